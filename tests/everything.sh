# Sourced by run.sh: what `make test` runs beyond `make check`.

echo "the connection lost after every byte"
part resets_all 120 "$BUILD/tests/resets" --every 1

echo "codec/ and proto/ by their call graph and their lines"
part recursion 120 tests/recursion.sh
part coverage 400 make --no-print-directory -s coverage

echo "the fuzzing kit"
part fuzz_floors 500 make --no-print-directory -s fuzz-floors-check
part aim 200 tests/aim.sh

echo "instructions"
part instructions 300 tests/instructions.sh check

echo "long runs on virtual time"
part long.more 300 "$BUILD/rh-long" audiences refresh stable month rough

echo "the program and strangers"
part cli 240 tests/cli.sh
part interop 400 tests/interop/run.sh
part main_job 60 "$BUILD/ringhub" run --rounds 1
part soak 200 tests/soak/run.sh 20
RESTARTS=4 SEED=3 part soak.restarts 200 tests/soak/run.sh 8
part install 120 tests/install.sh

echo "every allocation fails in turn"
part starvation.all 300 "$BUILD/tests/starvation" all
RH_LOOP=epoll part starvation.epoll 60 "$BUILD/tests/starvation"

echo "epoll instead of the ring"
units .epoll '^(transport|tls|eventhub)' RH_LOOP=epoll
RH_LOOP=epoll part cli.epoll 240 tests/cli.sh
RH_LOOP=epoll SEED=2 part soak.epoll 200 tests/soak/run.sh 20
RH_LOOP=epoll part interop.epoll 400 tests/interop/run.sh
RH_LOOP=epoll part main_job.epoll 60 "$BUILD/ringhub" run --rounds 1

echo "the ring of Debian 12's own kernel"
units .6.1 '^(transport|tls|eventhub)' RH_RING_FEATURES=6.1
RH_RING_FEATURES=6.1 part interop.6.1 400 tests/interop/run.sh
RH_RING_FEATURES=6.1 part main_job.6.1 60 "$BUILD/ringhub" run --rounds 1

echo "as a plain user"
part plain_user 300 tests/plain_user.sh

echo "simulated worlds, by two compilers"
part determinism 600 env SEEDS=100 tests/sim/determinism.sh
echo "bugs planted into them"
part canaries 900 tests/sim/canaries.sh
