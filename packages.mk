# What each job needs of Debian 12. `make packages-X` installs only what is missing, with sudo when not root.
PACKAGES_build    = gcc libc6-dev pkg-config liburing-dev libssl-dev libxxhash-dev libc-ares-dev libjansson-dev
PACKAGES_test     = $(PACKAGES_build) g++ binutils openssl libcriterion-dev libqpid-proton11-dev libxml2-dev amqp-specs util-linux procps patch valgrind jq $(NPM)
PACKAGES_fuzz     = $(PACKAGES_build) clang libclang-rt-14-dev llvm
PACKAGES_sanitize = $(PACKAGES_test)
PACKAGES_lint     = $(PACKAGES_test) clang

# A machine that brings its own npm keeps it.
NPM := $(if $(shell command -v npm 2>/dev/null),,npm)

packages-%:
	@missing=; for package in $(PACKAGES_$*); do \
	    dpkg-query -W -f '$${Status}' $$package 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$package"; \
	done; \
	test -z "$$missing" && exit 0; \
	echo "installing:$$missing"; \
	root=; test "$$(id -u)" = 0 || root=sudo; \
	$$root apt-get -qq update && DEBIAN_FRONTEND=noninteractive $$root apt-get -qq install -y --no-install-recommends $$missing >/dev/null
