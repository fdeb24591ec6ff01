# The benches, included by the Makefile. They see what an application sees: public headers and the static library.
PACKAGES_bench = $(PACKAGES_build) libqpid-proton11-dev python3-uamqp valgrind $(NPM)

$(BUILD)/bench/%.o: COMPILE = $(CC) $(CFLAGS) $(SANITIZE) $(WARNINGS) -iquote . -I$(BUILD)/include -pthread -MMD -MP

CODEC_BENCH = $(patsubst %,$(BUILD)/bench/%.o,codec codec_ours codec_proton codec_rivals contender crew floor/codec counts reference rounds task)
$(CODEC_BENCH): $(HEADERS)

# Asked when the program is linked, which is after the packages are there.
$(BUILD)/bench/codec: $(CODEC_BENCH) $(STATIC)
	@echo "  link $@"
	$(Q)$(CC) $(CFLAGS) $(SANITIZE) -o $@ $^ $$(test -e /usr/include/proton/message.h && echo -lqpid-proton) -lm

.PHONY: bench-codec
bench-codec: packages-bench
	@$(MAKE) --no-print-directory $(BUILD)/bench/codec
	@tests/interop/packages.sh
	@CC='$(CC)' CFLAGS='$(CFLAGS)' bench/machine.sh | tee $(BUILD)/bench/machine.txt
	@bench/instructions.sh $(BUILD)/bench/codec $(BUILD)/bench/codec.ir
	@$(BUILD)/bench/codec $(BUILD)/bench

# The rivals speak the line protocol of bench/rivals/README.md. Those in JavaScript live on the packages of the interop tests.
RIVAL_PROTON = $(patsubst %,$(BUILD)/bench/%.o,rivals/proton rivals/proton_peer lines codec_proton reference)
$(RIVAL_PROTON): $(HEADERS)

$(BUILD)/bench/rivals/proton: $(RIVAL_PROTON) $(STATIC)
	@echo "  link $@"
	$(Q)$(CC) $(CFLAGS) $(SANITIZE) -pthread -o $@ $^ $$(test -e /usr/include/proton/proactor.h && echo -lqpid-proton) -lcrypto

.PHONY: bench-rivals
bench-rivals: packages-bench
	@$(MAKE) --no-print-directory $(BUILD)/bench/rivals/proton
	@tests/interop/packages.sh

# A few events of every task of every contender: whether they do it, not how fast. Under a minute.
.PHONY: bench-smoke
bench-smoke: bench-rivals
	@$(MAKE) --no-print-directory $(BUILD)/bench/null $(BUILD)/bench/ours $(BUILD)/ringhub
	@bench/rivals/smoke.sh $(BUILD)

ENGINE_BENCH = $(patsubst %,$(BUILD)/bench/%.o,engine engine_ours engine_proton codec_ours codec_proton counts reference rounds)
$(ENGINE_BENCH): $(HEADERS)

$(BUILD)/bench/engine: $(ENGINE_BENCH) $(STATIC)
	@echo "  link $@"
	$(Q)$(CC) $(CFLAGS) $(SANITIZE) -o $@ $^ $$(test -e /usr/include/proton/message.h && echo -lqpid-proton) -lm

.PHONY: bench-engine
bench-engine: packages-bench
	@$(MAKE) --no-print-directory $(BUILD)/bench/engine
	@CC='$(CC)' CFLAGS='$(CFLAGS)' bench/machine.sh >$(BUILD)/bench/machine.txt
	@bench/instructions.sh $(BUILD)/bench/engine $(BUILD)/bench/engine.ir
	@$(BUILD)/bench/engine $(BUILD)/bench

# Preloaded into whoever is counted. Without builtins: gcc takes a malloc of ours for the one it knows.
$(BUILD)/bench/heap.so: bench/heap.c bench/heap.h
	@mkdir -p $(@D)
	@echo "  link $@"
	$(Q)$(CC) -O2 -g -std=gnu11 -D_GNU_SOURCE $(WARNINGS) -iquote . -fno-builtin -fPIC -shared -pthread -o $@ $<

# What talks over the wire. Objects lie apart, for a program is named like its folder.
$(BUILD)/bench/objects/%.o: bench/%.c
	@mkdir -p $(@D)
	@echo "  cc   $<"
	$(Q)$(COMPILE) $(STD) -c $< -o $@

NULL_PEER = $(patsubst %.c,$(BUILD)/bench/objects/%.o,$(patsubst bench/%,%,$(wildcard bench/null/*.c)) reference.c)
$(NULL_PEER): $(HEADERS)
$(BUILD)/bench/null: $(NULL_PEER) $(STATIC)
	@echo "  link $@"
	$(Q)$(CC) $(CFLAGS) $(SANITIZE) -o $@ $^ -lssl -lcrypto

# Floors on the wire: bare sockets and a bare ring, which speak the line protocol like everybody.
FLOORS     = echo ring
FLOOR_WIRE = $(patsubst %,$(BUILD)/bench/objects/%.o,$(FLOORS:%=floor/%) floor/amqp reference lines)
$(FLOOR_WIRE): $(HEADERS)
$(FLOORS:%=$(BUILD)/bench/floor/%): $(BUILD)/bench/floor/%: $(BUILD)/bench/objects/floor/%.o $(patsubst %,$(BUILD)/bench/objects/%.o,floor/amqp reference lines) $(STATIC)
	@mkdir -p $(@D)
	@echo "  link $@"
	$(Q)$(CC) $(CFLAGS) $(SANITIZE) -o $@ $^ -lssl -lcrypto -luring

# The pump encodes and decodes with the codec's floor.
PUMP = $(patsubst %,$(BUILD)/bench/objects/%.o,floor/pump floor/amqp floor/codec reference lines)
$(PUMP): $(HEADERS)
$(BUILD)/bench/pump: $(PUMP) $(STATIC)
	@echo "  link $@"
	$(Q)$(CC) $(CFLAGS) $(SANITIZE) -o $@ $^ -lssl -lcrypto

OURS = $(patsubst bench/%.c,$(BUILD)/bench/objects/%.o,$(wildcard bench/ours/*.c) bench/codec_ours.c bench/lines.c bench/reference.c)
$(OURS): $(HEADERS)
$(BUILD)/bench/ours: $(OURS) $(STATIC)
	@echo "  link $@"
	$(Q)$(CC) $(CFLAGS) $(SANITIZE) -o $@ $^ $(LIBS)

# Preloaded likewise. Its own loops must not become calls of what it stands before.
$(BUILD)/bench/copies.so: bench/copies.c
	@mkdir -p $(@D)
	@echo "  link $@"
	$(Q)$(CC) -O2 -g -std=gnu11 -D_GNU_SOURCE $(WARNINGS) -fno-builtin -fno-tree-loop-distribute-patterns -fPIC -shared -o $@ $<

# Who is started by the benches on the wire, beside the bench's own program.
ON_THE_WIRE = $(BUILD)/bench/null $(BUILD)/bench/ours $(BUILD)/bench/rivals/proton $(BUILD)/bench/heap.so $(BUILD)/bench/copies.so
CONDUCTOR   = $(patsubst %,$(BUILD)/bench/objects/%.o,contender crew task rounds)
PACKAGES_bench-wire = $(PACKAGES_bench) strace

$(BUILD)/bench/stream: $(BUILD)/bench/objects/stream.o $(CONDUCTOR)
	@echo "  link $@"
	$(Q)$(CC) $(CFLAGS) $(SANITIZE) -o $@ $^ -lm

.PHONY: bench-stream
bench-stream: packages-bench-wire
	@$(MAKE) --no-print-directory $(ON_THE_WIRE) $(BUILD)/bench/pump $(BUILD)/bench/stream
	@tests/interop/packages.sh
	@CC='$(CC)' CFLAGS='$(CFLAGS)' bench/machine.sh >$(BUILD)/bench/machine.txt
	@$(BUILD)/bench/stream $(BUILD) $(if $(FULL),full)

$(BUILD)/bench/delay: $(BUILD)/bench/objects/delay.o
	@echo "  link $@"
	$(Q)$(CC) $(CFLAGS) $(SANITIZE) -o $@ $^

$(BUILD)/bench/connect: $(BUILD)/bench/objects/connect.o $(CONDUCTOR)
	@echo "  link $@"
	$(Q)$(CC) $(CFLAGS) $(SANITIZE) -o $@ $^ -lm

$(BUILD)/bench/memory: $(patsubst %,$(BUILD)/bench/objects/%.o,memory footprint) $(CONDUCTOR)
	@echo "  link $@"
	$(Q)$(CC) $(CFLAGS) $(SANITIZE) -o $@ $^ -lm

.PHONY: bench-connect bench-memory
bench-connect: packages-bench
	@$(MAKE) --no-print-directory $(ON_THE_WIRE) $(BUILD)/bench/delay $(BUILD)/bench/connect
	@tests/interop/packages.sh
	@CC='$(CC)' CFLAGS='$(CFLAGS)' bench/machine.sh >$(BUILD)/bench/machine.txt
	@$(BUILD)/bench/connect $(BUILD)

bench-memory: packages-bench
	@$(MAKE) --no-print-directory $(ON_THE_WIRE) $(BUILD)/bench/memory
	@tests/interop/packages.sh
	@CC='$(CC)' CFLAGS='$(CFLAGS)' bench/machine.sh >$(BUILD)/bench/machine.txt
	@$(BUILD)/bench/memory $(BUILD)

# Every round's samples are merged, and the curve is drawn from them.
$(BUILD)/bench/latency: $(BUILD)/bench/objects/latency.o $(BUILD)/bench/objects/samples.o $(CONDUCTOR)
	@echo "  link $@"
	$(Q)$(CC) $(CFLAGS) $(SANITIZE) -o $@ $^ -lm

.PHONY: bench-latency
bench-latency: packages-bench-wire
	@$(MAKE) --no-print-directory $(ON_THE_WIRE) $(FLOORS:%=$(BUILD)/bench/floor/%) $(BUILD)/bench/latency
	@tests/interop/packages.sh
	@CC='$(CC)' CFLAGS='$(CFLAGS)' bench/machine.sh >$(BUILD)/bench/machine.txt
	@$(BUILD)/bench/latency $(BUILD) $(if $(FULL),full)

# --- all of it, and what people look at -----------------------------------------------------------

BENCHES = bench-codec bench-engine bench-stream bench-latency bench-tls bench-connect bench-memory
PACKAGES_bench-results = jq gnuplot-nox fonts-dejavu-core

# Every part, then the goal table; plots and a RESULTS.md of this run are in $(BUILD)/bench.
.PHONY: bench bench-results
bench: packages-bench-results
	@for part in $(BENCHES); do echo; echo "== $$part"; $(MAKE) --no-print-directory $$part || exit; done
	@echo; echo "== goals"; bench/results.sh $(BUILD)/bench $(BUILD)/bench

# The last run's, into the tree.
bench-results: packages-bench-results
	@bench/results.sh $(BUILD)/bench bench

# Handshakes are made by the bench itself: ringhub's over its public transport, a floor's over libssl.
$(patsubst %,$(BUILD)/bench/objects/%.o,tls visit floor/aead floor/handshake): $(HEADERS)
$(BUILD)/bench/tls: $(patsubst %,$(BUILD)/bench/objects/%.o,tls visit samples floor/aead floor/handshake floor/amqp lines reference) $(CONDUCTOR) $(STATIC)
	@echo "  link $@"
	$(Q)$(CC) $(CFLAGS) $(SANITIZE) -o $@ $^ $(LIBS) -lm

.PHONY: bench-tls
bench-tls: packages-bench-wire
	@$(MAKE) --no-print-directory $(ON_THE_WIRE) $(BUILD)/bench/floor/echo $(BUILD)/bench/tls
	@CC='$(CC)' CFLAGS='$(CFLAGS)' bench/machine.sh >$(BUILD)/bench/machine.txt
	@$(BUILD)/bench/tls $(BUILD) $(if $(FULL),full)

-include $(shell find $(BUILD)/bench -name '*.d' 2>/dev/null)
