/* A small simulated world (tests/sim) whose choices are the input: limits, faults and their moments, what is sent and
 * when somebody leaves. What the worlds of seeds are held to holds here: nothing accepted is lost, nothing is told twice,
 * and everything ends soon after the last fault.
 *
 * The input: two bytes of seed for what nobody chooses (latencies, ids), then the choices in the order in which they are
 * asked for; when they are used up the seed chooses. */
#include "tests/sim/world.h"

#include <stdlib.h>

/* Two producers and two consumers at most, half a minute of chaos. */
static const sim_limits small = {
    .chaos = RH_SECONDS(30), .sends = 4, .small = true, .mute_producers = ~UINT64_C(3), .mute_consumers = ~UINT64_C(3),
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) return 0;
    sim_input  input  = { data + 2, size - 2 };
    sim_result result = sim_world_run(&(sim_run){ .seed = (uint64_t)(data[0] << 8 | data[1]), .faults = UINT32_MAX, .limits = small, .input = &input });
    if (!result.wrong[0]) return 0;
    (void)fprintf(stderr, "%s\n", result.wrong);
    abort();
}
