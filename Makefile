# ringhub: `make help` lists what there is.
BUILD   ?= build
PREFIX  ?= /usr/local
VERSION  = 0.1.0
SOVERSION = 0
CC      ?= cc
CFLAGS  ?= -O2 -g
SANITIZE ?=
# `make Q=` shows the commands.
Q ?= @

comma := ,

include packages.mk

LAYERS   = codec proto transport eventhub emulator
WARNINGS = -Wall -Wextra -Wconversion -Wshadow -Werror
STD_codec = -std=c11
STD_proto = -std=c11
STD      = -std=gnu11 -D_GNU_SOURCE

# A call inside the library is a call of the library: nobody puts another function in between, so it may be inlined. The rest
# is about gcc 12: it moves pairs of pointers through vector registers for no gain, and clears and copies structs of a few
# hundred bytes with `rep stos` and `rep movs`, which take longer to start than plain stores need for all of it.
takes    = $(if $(shell $(CC) -Werror $1 -fsyntax-only -xc /dev/null 2>&1),,$1)
TUNING  := -fno-semantic-interposition -fno-tree-vectorize \
           $(call takes,-mmemset-strategy=vector_loop:512:noalign$(comma)libcall:-1:noalign) \
           $(call takes,-mmemcpy-strategy=vector_loop:512:noalign$(comma)libcall:-1:noalign)
COMPILE  = $(CC) $(CFLAGS) $(TUNING) $(SANITIZE) $(WARNINGS) -I. -fPIC -fvisibility=hidden -pthread -MMD -MP
LIBS     = -luring -lssl -lcrypto -lcares -ljansson -pthread

SOURCES  = $(foreach layer,$(LAYERS),$(wildcard $(layer)/*.c))
OBJECTS  = $(SOURCES:%.c=$(BUILD)/%.o)
CLI      = $(patsubst %.c,$(BUILD)/%.o,$(wildcard cli/*.c))
EXAMPLES = $(patsubst %.c,$(BUILD)/%,$(wildcard examples/*.c))
PUBLIC   = codec/base.h codec/value.h codec/dec.h codec/enc.h codec/codec.h proto/composite.h proto/performatives.def proto/message.h \
           proto/proto.h transport/transport.h eventhub/eventhub.h emulator/emulator.h
HEADERS  = $(foreach h,$(PUBLIC),$(BUILD)/include/ringhub/$(notdir $h))
TESTS    = $(patsubst tests/%_test.c,$(BUILD)/tests/%,$(wildcard tests/*_test.c))
WORLD    = $(patsubst %.c,$(BUILD)/%.o,$(filter-out %_test.c %_main.c,$(wildcard tests/*.c)))
PROGRAMS = $(patsubst tests/%_main.c,$(BUILD)/tests/%,$(wildcard tests/*_main.c))
TARGETS  = $(filter-out replay storm $(if $(wildcard /usr/include/proton/codec.h),,rival),$(patsubst fuzz/%.c,%,$(wildcard fuzz/*.c)))
REPLAYS  = $(TARGETS:%=$(BUILD)/replay/%)
KIT      = $(patsubst %.c,$(BUILD)/%.o,$(wildcard fuzz/kit/*.c))

STATIC = $(BUILD)/libringhub.a
SHARED = $(BUILD)/libringhub.so.$(VERSION)

.PHONY: all build help run check test sim long soak canaries determinism sanitize sanitize-threads sanitize-memory valgrind counted instructions record-sessions fuzz fuzz-storm fuzz-canaries fuzz-seeds lint install clean
.DELETE_ON_ERROR:
.SECONDARY:

all: packages-build
	@$(MAKE) --no-print-directory build
build: $(STATIC) $(BUILD)/libringhub.so $(BUILD)/ringhub $(EXAMPLES) $(HEADERS) $(BUILD)/ringhub.pc

help:
	@echo "make            the libraries, build/ringhub and the examples"
	@echo "make run        the main job: real events out and in over TLS on the embedded emulator"
	@echo "make check      the quick gate while working"
	@echo "make test       every test, check included"
	@echo "make sim        simulated worlds: client, emulator, network and clock from one seed (SEEDS=1000, FROM=0, JOBS=1)"
	@echo "make canaries   six planted bugs that those must find, and after how many seeds"
	@echo "make determinism  the same seeds by gcc and clang, -O0 and -O3, twice: the same stories (SEEDS, FROM, JOBS)"
	@echo "make soak       our client over TLS beside an emulator that errs by a script, every event looked for (TIME=60 seconds)"
	@echo "make long       days and a month on virtual time: idleness, silence, sleep, tokens, one link of many that dies (RUN=month)"
	@echo "make sanitize   the tests under ASan and UBSan; sanitize-threads: what threads share under TSan; sanitize-memory: fuzz inputs under MSan"
	@echo "make valgrind   unit tests of codec/ and proto/, fuzz inputs and worlds under valgrind (SEEDS=20)"
	@echo "make coverage   every line of codec/ and proto/ is reached by unit tests and corpora together"
	@echo "make fuzz       the fuzz targets (TIME=60 seconds each, JOBS=1 at once, TARGET=value for one; fuzz/README.md)"
	@echo "make fuzz-X     coverage, min, floors: of the corpora; canaries: every planted bug is found; seeds: those of the tables, written again"
	@echo "make lint       gcc and clang at the full warning level"
	@echo "make instructions  what a path costs, into the table that make test holds it to (REASON=... to raise a row)"
	@echo "make bench      every bench beside floors and rivals, and the goal table: 10 minutes (FULL=1: all sizes, much longer)"
	@echo "make bench-X    one of them: codec engine stream latency tls connect memory"
	@echo "make bench-results  the last run's table and plots into bench/RESULTS.md"
	@echo "make install    PREFIX=$(PREFIX)"

# --- objects ------------------------------------------------------------------------------------

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	@echo "  cc   $<"
	$(Q)$(COMPILE) $(or $(STD_$(firstword $(subst /, ,$<))),$(STD)) -c $< -o $@

$(BUILD)/cli/%.o $(BUILD)/examples/%.o: COMPILE += -I$(BUILD)/include
$(CLI) $(EXAMPLES:=.o): $(HEADERS)

$(STATIC): $(OBJECTS)
	@rm -f $@
	@echo "  ar   $@"
	$(Q)ar rcs $@ $^

$(SHARED): $(OBJECTS)
	@echo "  link $@"
	$(Q)$(CC) $(CFLAGS) $(SANITIZE) -shared -Wl,-soname,libringhub.so.$(SOVERSION) -Wl,-z,defs -Wl,-Bsymbolic-functions -o $@ $^ $(LIBS)

$(BUILD)/libringhub.so: $(SHARED)
	$(Q)ln -sf $(notdir $<) $(BUILD)/libringhub.so.$(SOVERSION)
	$(Q)ln -sf $(notdir $<) $@

$(BUILD)/ringhub: $(CLI) $(STATIC)
	@echo "  link $@"
	$(Q)$(CC) $(CFLAGS) $(SANITIZE) -o $@ $^ -lxxhash $(LIBS) -lm

$(BUILD)/examples/%: $(BUILD)/examples/%.o $(STATIC)
	@echo "  link $@"
	$(Q)$(CC) $(CFLAGS) $(SANITIZE) -o $@ $^ $(LIBS)

# The public headers lie flat under ringhub/, here as after installation.
define flat_header
$(BUILD)/include/ringhub/$(notdir $1): $1
	@mkdir -p $$(@D)
	$(Q)sed -E 's|#include "[a-z]+/([a-z]+\.(h\|def))"|#include <ringhub/\1>|' $$< > $$@
endef
$(foreach h,$(PUBLIC),$(eval $(call flat_header,$h)))

$(BUILD)/ringhub.pc: ringhub.pc.in
	@mkdir -p $(@D)
	$(Q)sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(VERSION)|' $< > $@

install: all
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(VERSION)|' ringhub.pc.in > $(BUILD)/ringhub.pc
	install -d $(DESTDIR)$(PREFIX)/include/ringhub $(DESTDIR)$(PREFIX)/lib/pkgconfig $(DESTDIR)$(PREFIX)/bin
	install -m 644 $(HEADERS) $(DESTDIR)$(PREFIX)/include/ringhub
	install -m 644 $(STATIC) $(DESTDIR)$(PREFIX)/lib
	install -m 755 $(SHARED) $(DESTDIR)$(PREFIX)/lib
	ln -sf libringhub.so.$(VERSION) $(DESTDIR)$(PREFIX)/lib/libringhub.so.$(SOVERSION)
	ln -sf libringhub.so.$(VERSION) $(DESTDIR)$(PREFIX)/lib/libringhub.so
	install -m 644 $(BUILD)/ringhub.pc $(DESTDIR)$(PREFIX)/lib/pkgconfig
	install -m 755 $(BUILD)/ringhub $(DESTDIR)$(PREFIX)/bin
	@if [ -z "$(DESTDIR)" ] && [ "$$(id -u)" = 0 ]; then ldconfig; fi

# --- the main job -------------------------------------------------------------------------------

run: all
	$(BUILD)/ringhub run

# --- tests --------------------------------------------------------------------------------------

# An archive: a test takes of the shared worlds what it names, no more.
$(BUILD)/tests/world.a: $(WORLD)
	@rm -f $@
	$(Q)ar rcs $@ $^

$(BUILD)/tests/%: $(BUILD)/tests/%_test.o $(BUILD)/tests/world.a $(STATIC)
	@echo "  link $@"
	$(Q)$(CC) $(CFLAGS) $(SANITIZE) -o $@ $^ $(TEST_LIBS) -lcriterion -lxxhash $(LIBS)

$(BUILD)/tests/%: $(BUILD)/tests/%_main.o $(BUILD)/tests/world.a $(STATIC)
	@echo "  link $@"
	$(Q)$(CC) $(CFLAGS) $(SANITIZE) -o $@ $^ $(TEST_LIBS) -lxxhash $(LIBS)

$(BUILD)/tests/event_lines: tests/interop/event_lines.c $(STATIC) $(HEADERS)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(SANITIZE) -std=gnu11 $(WARNINGS) -I$(BUILD)/include -o $@ $< $(STATIC) $(LIBS)

$(BUILD)/tests/proto_spec_test.o: COMPILE += $(shell pkg-config --cflags libxml-2.0 2>/dev/null)
$(BUILD)/tests/proto_spec: TEST_LIBS = -lxml2
$(BUILD)/tests/cli_histogram: $(BUILD)/cli/histogram.o
$(BUILD)/tests/resets: $(BUILD)/tests/sim.a
$(BUILD)/tests/resets: TEST_LIBS = $(BUILD)/tests/sim.a $(STATIC)
$(BUILD)/tests/cli_histogram: TEST_LIBS = -lm
# Calls of the heap by the program's own objects come to tests/starve.c.
STARVING = $(patsubst %,-Wl$(comma)--wrap=%,malloc calloc realloc strdup free mmap)
$(BUILD)/tests/starvation: TEST_LIBS = $(STARVING)
$(BUILD)/tests/codec_proton $(BUILD)/tests/proto_proton $(BUILD)/tests/proto_proton_engine: TEST_LIBS = -lqpid-proton

tests: build $(TESTS) $(PROGRAMS) $(BUILD)/rh-sim $(BUILD)/rh-long $(BUILD)/soak $(REPLAYS) $(BUILD)/aim $(BUILD)/tests/proton_listener $(BUILD)/tests/event_lines $(BUILD)/bench/heap.so $(BUILD)/bench/delay

check: packages-test
	@$(MAKE) --no-print-directory tests
	@BUILD=$(BUILD) tests/run.sh check

test: packages-test
	@$(MAKE) --no-print-directory tests counted
	@BUILD=$(BUILD) $(COUNTING) tests/run.sh test

SEEDS ?= 1000
FROM  ?= 0
SIM    = $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/sim/*.c))

$(BUILD)/rh-sim: $(SIM) $(STATIC)
	@echo "  link $@"
	$(Q)$(CC) $(CFLAGS) $(SANITIZE) -o $@ $^ -lxxhash $(LIBS)

# Long runs on the same virtual time: days without traffic, a month of tokens, one link of many that dies.
LONG       = $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/sim/long/*.c))

# An archive: they take of the worlds' parts what they need.
$(BUILD)/tests/sim.a: $(filter-out %/rh_sim.o,$(SIM))
	@rm -f $@
	$(Q)ar rcs $@ $^

$(BUILD)/rh-long: $(LONG) $(BUILD)/tests/sim.a $(STATIC)
	@echo "  link $@"
	$(Q)$(CC) $(CFLAGS) $(SANITIZE) -o $@ $^ -lxxhash $(LIBS)

# Our client beside an emulator that errs by a script, over real TLS: TIME is the seconds of it.
SOAK = $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/soak/*.c))

$(BUILD)/tests/soak/%.o: COMPILE += -I$(BUILD)/include
$(SOAK): $(HEADERS)

$(BUILD)/soak: $(SOAK) $(STATIC)
	@echo "  link $@"
	$(Q)$(CC) $(CFLAGS) $(SANITIZE) -o $@ $^ -lxxhash $(LIBS)

soak: packages-build
	@$(MAKE) --no-print-directory build $(BUILD)/soak
	@BUILD=$(BUILD) tests/soak/run.sh $(TIME)

RUN ?=

long: packages-build
	@$(MAKE) --no-print-directory $(BUILD)/rh-long
	$(BUILD)/rh-long $(RUN)

sim: packages-build
	@$(MAKE) --no-print-directory $(BUILD)/rh-sim
	@$(BUILD)/rh-sim --from $(FROM) --seeds $(SEEDS) --jobs $(JOBS) || { \
		echo "of a seed that failed: $(BUILD)/rh-sim SEED tells the story, $(BUILD)/rh-sim SEED --shrink leaves out what it does not need (tests/sim/README.md)"; exit 1; }

# Real clients against the emulator and the stand-in, into tests/sessions/; prints the table of its README.md.
record-sessions: packages-bench
	@$(MAKE) --no-print-directory build $(BUILD)/bench/rivals/proton
	@BUILD=$(BUILD) tests/interop/record_sessions.sh

# Six bugs, planted into copies of the tree, that the simulated worlds must find.
canaries: packages-test
	@BUILD=$(BUILD) tests/sim/canaries.sh

# The same worlds by two compilers at two levels, twice: the same stories.
determinism: packages-lint
	@BUILD=$(BUILD) SEEDS=$(SEEDS) FROM=$(FROM) JOBS=$(JOBS) tests/sim/determinism.sh

sanitize: packages-sanitize
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/sanitize CFLAGS='-O1 -g -fno-omit-frame-pointer' SANITIZE='-fsanitize=address,undefined -fno-sanitize-recover=undefined' tests
	@BUILD=$(BUILD)/sanitize LSAN_OPTIONS=suppressions=tests/lsan.supp:print_suppressions=0 tests/run.sh check

# The program with threads, on epoll: the sanitizer does not see what the kernel writes through a ring.
sanitize-threads: packages-lint
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/tsan CC=clang CFLAGS='-O1 -g' SANITIZE=-fsanitize=thread $(BUILD)/tsan/tests/threads
	RH_LOOP=epoll timeout 300 $(BUILD)/tsan/tests/threads

# The inputs of the fuzz targets, which call nothing foreign: libraries that are not built for it would be accused.
sanitize-memory: packages-fuzz
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/msan CC=clang CFLAGS='-O1 -g -fno-omit-frame-pointer' SANITIZE='-fsanitize=memory -fsanitize-memory-track-origins' $(TARGETS:%=$(BUILD)/msan/replay/%)
	BUILD=$(BUILD)/msan tests/corpora.sh

valgrind: packages-test
	@$(MAKE) --no-print-directory tests
	BUILD=$(BUILD) SEEDS=$(or $(filter-out 1000,$(SEEDS)),20) tests/valgrind.sh

COVERED = $(patsubst tests/%_test.c,%,$(wildcard tests/codec_*_test.c tests/proto_*_test.c))

coverage: packages-test
	@$(MAKE) --no-print-directory -s BUILD=$(BUILD)/coverage CC=gcc CFLAGS='-O0 -g --coverage -fprofile-update=atomic' $(COVERED:%=$(BUILD)/coverage/tests/%) $(TARGETS:%=$(BUILD)/coverage/replay/%)
	@BUILD=$(BUILD)/coverage tests/coverage.sh

lint: packages-lint
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/gcc CC=gcc tests
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/clang CC=clang tests

# --- instruction counts -------------------------------------------------------------------------

# Programs of bench/ that answer --instructions: tests/instructions.sh holds what they count of ours.
COUNTED  = codec engine
COUNTING = COMPILER='$(CC)' OPTIONS='$(CFLAGS)' COUNTED='$(COUNTED)'

counted: $(COUNTED:%=$(BUILD)/bench/%)

instructions: packages-test
	@$(MAKE) --no-print-directory counted
	@BUILD=$(BUILD) $(COUNTING) tests/instructions.sh write

# --- fuzzing ------------------------------------------------------------------------------------

TIME   ?= 60
JOBS   ?= 1
TARGET ?= $(TARGETS)

# All in one go, for the layers are compiled once for all.
$(TARGETS:%=$(BUILD)/fuzz/%) &: $(TARGETS:%=fuzz/%.c) $(wildcard fuzz/*.h fuzz/kit/*.[ch] codec/*.[ch] proto/*.[ch] proto/*.def) fuzz/build.sh fuzz/dictionary.sh $(wildcard transport/*.[ch] eventhub/*.[ch] emulator/*.[ch] tests/sim/*.[ch])
	@echo "  fuzz $(TARGETS)"
	$(Q)OUT=$(BUILD)/fuzz fuzz/build.sh $(TARGETS)

fuzz: packages-fuzz
	@$(MAKE) --no-print-directory -s $(TARGET:%=$(BUILD)/fuzz/%)
	@BUILD=$(BUILD) TIME=$(TIME) JOBS=$(JOBS) fuzz/campaign.sh $(TARGET)

# Several times as many executions a second, with nobody looking where they lead.
STORM = -O2 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined
$(TARGETS:%=$(BUILD)/storm/%) &: $(TARGETS:%=$(BUILD)/fuzz/%) fuzz/storm.c
	@echo "  storm $(TARGETS)"
	$(Q)CC=clang CFLAGS='$(STORM)' LIB_FUZZING_ENGINE=fuzz/storm.c OUT=$(BUILD)/storm fuzz/build.sh $(TARGETS)

fuzz-storm: packages-fuzz
	@$(MAKE) --no-print-directory -s $(TARGET:%=$(BUILD)/storm/%)
	@BUILD=$(BUILD) TIME=$(TIME) JOBS=$(JOBS) fuzz/storm.sh $(TARGET)

# Planted bugs, each found from the shipped corpus: proof that the targets notice.
fuzz-canaries: packages-fuzz
	@BUILD=$(BUILD) fuzz/canaries.sh

# What the corpora of the tree reach of codec/ and proto/ by themselves; and no more inputs than that needs.
fuzz-coverage: packages-fuzz
	@BUILD=$(BUILD) fuzz/coverage.sh

MINIMAL = $(if $(filter command line,$(origin TARGET)),$(TARGET),$(filter-out schedule,$(TARGETS)))
fuzz-min: packages-fuzz
	@$(MAKE) --no-print-directory -s $(MINIMAL:%=$(BUILD)/fuzz/%)
	@BUILD=$(BUILD) fuzz/minimize.sh $(MINIMAL)

fuzz-floors fuzz-floors-check: packages-fuzz
	@$(MAKE) --no-print-directory -s $(TARGET:%=$(BUILD)/fuzz/%)
	@BUILD=$(BUILD) fuzz/floors.sh $(if $(filter %-check,$@),check,write) $(TARGET)

# The same targets with files for input, by any compiler: fuzz/replay.c.
$(BUILD)/replay/%: $(BUILD)/fuzz/%.o $(BUILD)/fuzz/replay.o $(KIT) $(STATIC)
	@mkdir -p $(@D)
	@echo "  link $@"
	$(Q)$(CC) $(CFLAGS) $(SANITIZE) -o $@ $^ $(LIBS)

# A simulated world is made of more than the others.
$(BUILD)/replay/schedule $(BUILD)/replay/emulator: $(BUILD)/replay/%: $(BUILD)/fuzz/%.o $(BUILD)/fuzz/replay.o $(KIT) $(filter-out %/rh_sim.o %/tally.o %/reach.o %/shrink.o %/apart.o,$(SIM)) $(STATIC)
	@mkdir -p $(@D)
	@echo "  link $@"
	$(Q)$(CC) $(CFLAGS) $(SANITIZE) -o $@ $^ -lxxhash $(LIBS)

$(BUILD)/replay/rival: LIBS += -lqpid-proton

# The same inputs for somebody else's stack, over TCP: fuzz/aim/aim.c.
AIM = $(patsubst %.c,$(BUILD)/%.o,$(wildcard fuzz/aim/*.c)) $(BUILD)/fuzz/kit/story.o

$(BUILD)/aim: $(AIM) $(STATIC)
	@echo "  link $@"
	$(Q)$(CC) $(CFLAGS) $(SANITIZE) -o $@ $^ $(LIBS)

$(BUILD)/tests/proton_listener: tests/interop/proton_listener.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(SANITIZE) -std=gnu11 $(WARNINGS) -o $@ $< $$(test -e /usr/include/proton/proactor.h && echo -lqpid-proton)

# The seeds that come of tables, written again; those of other inputs were written by hand.
$(BUILD)/make-seeds: $(patsubst %.c,$(BUILD)/%.o,$(wildcard fuzz/seeds/*.c)) $(STATIC)
	$(Q)$(CC) $(CFLAGS) $(SANITIZE) -o $@ $^ $(LIBS)

fuzz-seeds: $(BUILD)/make-seeds
	$(BUILD)/make-seeds fuzz/corpus tests/sessions/*.session

clean:
	rm -rf $(BUILD)

-include bench/bench.mk
-include $(OBJECTS:.o=.d) $(SIM:.o=.d) $(SOAK:.o=.d) $(LONG:.o=.d) $(wildcard $(BUILD)/fuzz/*.d $(BUILD)/fuzz/*/*.d) $(CLI:.o=.d) $(EXAMPLES:=.d) $(WORLD:.o=.d) $(TESTS:=_test.d) $(PROGRAMS:=_main.d)
