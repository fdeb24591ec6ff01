#include "eventhub/partition_key.h"

typedef struct triple {
    uint32_t a, b, c;
} triple;

static uint32_t rotate(uint32_t x, unsigned k)
{
    return (x << k) | (x >> (32 - k));
}

static uint32_t little32(const uint8_t *p)
{
    return (uint32_t)p[0] | ((uint32_t)p[1] << 8) | ((uint32_t)p[2] << 16) | ((uint32_t)p[3] << 24);
}

static triple add(triple t, const uint8_t block[12])
{
    t.a += little32(block);
    t.b += little32(block + 4);
    t.c += little32(block + 8);
    return t;
}

static triple mix(triple t)
{
    t.a -= t.c, t.a ^= rotate(t.c, 4), t.c += t.b;
    t.b -= t.a, t.b ^= rotate(t.a, 6), t.a += t.c;
    t.c -= t.b, t.c ^= rotate(t.b, 8), t.b += t.a;
    t.a -= t.c, t.a ^= rotate(t.c, 16), t.c += t.b;
    t.b -= t.a, t.b ^= rotate(t.a, 19), t.a += t.c;
    t.c -= t.b, t.c ^= rotate(t.b, 4), t.b += t.a;
    return t;
}

static triple finish(triple t)
{
    t.c ^= t.b, t.c -= rotate(t.b, 14);
    t.a ^= t.c, t.a -= rotate(t.c, 11);
    t.b ^= t.a, t.b -= rotate(t.a, 25);
    t.c ^= t.b, t.c -= rotate(t.b, 16);
    t.a ^= t.c, t.a -= rotate(t.c, 4);
    t.b ^= t.a, t.b -= rotate(t.a, 14);
    t.c ^= t.b, t.c -= rotate(t.b, 24);
    return t;
}

int16_t rh_partition_key_hash(rh_slice key)
{
    if (key.n == 0) return 0;
    uint32_t seed = 0xdeadbeefu + (uint32_t)key.n;
    triple   t    = { seed, seed, seed };
    while (key.n > 12) {
        t   = mix(add(t, key.p));
        key = rh_slice_of(key.p + 12, key.n - 12);
    }
    /* A key of exactly 12 bytes is all tail: mixing it would give another hash than everybody else's. */
    uint8_t tail[12] = { 0 };
    memcpy(tail, key.p, key.n);
    t = finish(add(t, tail));

    uint32_t low = (t.c ^ t.b) & 0xffffu;
    return (int16_t)(low < 0x8000u ? (int32_t)low : (int32_t)low - 0x10000);
}

uint32_t rh_partition_of_key(rh_slice key, uint32_t partition_count)
{
    if (partition_count == 0) return 0;
    int32_t hash = rh_partition_key_hash(key);
    /* |hash rem n| of a truncating remainder is |hash| mod n; Python's floored one goes elsewhere. */
    return (uint32_t)(hash < 0 ? -hash : hash) % partition_count;
}
