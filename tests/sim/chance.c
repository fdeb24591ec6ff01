#include "tests/sim/chance.h"

static uint64_t turned(uint64_t x, unsigned by)
{
    return x << by | x >> (64 - by);
}

/* splitmix64: spreads a seed, so that neighbours have nothing in common. */
static uint64_t spread(uint64_t *seed)
{
    uint64_t x = *seed += UINT64_C(0x9e3779b97f4a7c15);
    x          = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x          = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

sim_chance sim_chance_of_seed(uint64_t seed, uint64_t stream)
{
    sim_chance chance = { .input = NULL };
    uint64_t   from   = seed ^ spread(&stream);
    for (size_t i = 0; i < 4; i++) chance.state[i] = spread(&from);
    return chance;
}

/* xoshiro256**. */
uint64_t sim_draw(sim_chance *chance)
{
    uint64_t *s      = chance->state;
    uint64_t  result = turned(s[1] * 5, 7) * 9;
    uint64_t  t      = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = turned(s[3], 45);
    return result;
}

/* A byte where one is enough, else two, which are spread over the range: a schedule needs no finer choice, and its bytes
 * are few. */
static uint64_t taken(sim_input *input, uint64_t n)
{
    uint64_t value = *input->bytes++;
    input->n--;
    if (n <= 256 || input->n == 0) return value % n;
    value = value << 8 | *input->bytes++;
    input->n--;
    return n < UINT64_C(1) << 48 ? value * n >> 16 : value;
}

uint64_t sim_below(sim_chance *chance, uint64_t n)
{
    if (chance->input && chance->input->n && n > 1) return taken(chance->input, n);
    return sim_draw(chance) % n;
}

uint64_t sim_between(sim_chance *chance, uint64_t least, uint64_t most)
{
    return least + sim_below(chance, most - least + 1);
}

uint64_t sim_scale(sim_chance *chance, uint64_t least, uint64_t most)
{
    unsigned doublings = 0;
    while (most >> doublings > least) doublings++;
    uint64_t low  = least << sim_below(chance, doublings + 1u);
    uint64_t high = low * 2 - 1;
    if (low > most) low = most;
    return sim_between(chance, low, high < most ? high : most);
}

bool sim_once_in(sim_chance *chance, uint64_t n)
{
    return n && sim_below(chance, n) == 0;
}
