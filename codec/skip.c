#include "codec/constructor.h"

/* [1.6] by constructor. X is no constructor of AMQP 1.0. */
#define X RH_INVALID
#define X8 X, X, X, X, X, X, X, X
const uint8_t rh_constructor_types[256] = {
    /* 00 */ RH_DESCRIBED, X, X, X, X, X, X, X, X8,
    /* 10 */ X8, X8,
    /* 20 */ X8, X8,
    /* 30 */ X8, X8,
    /* 40 */ RH_NULL, RH_BOOL, RH_BOOL, RH_UINT, RH_ULONG, RH_LIST, X, X, X8,
    /* 50 */ RH_UBYTE, RH_BYTE, RH_UINT, RH_ULONG, RH_INT, RH_LONG, RH_BOOL, X, X8,
    /* 60 */ RH_USHORT, RH_SHORT, X, X, X, X, X, X, X8,
    /* 70 */ RH_UINT, RH_INT, RH_FLOAT, RH_CHAR, RH_DECIMAL32, X, X, X, X8,
    /* 80 */ RH_ULONG, RH_LONG, RH_DOUBLE, RH_TIMESTAMP, RH_DECIMAL64, X, X, X, X8,
    /* 90 */ X, X, X, X, RH_DECIMAL128, X, X, X, RH_UUID, X, X, X, X, X, X, X,
    /* a0 */ RH_BINARY, RH_STRING, X, RH_SYMBOL, X, X, X, X, X8,
    /* b0 */ RH_BINARY, RH_STRING, X, RH_SYMBOL, X, X, X, X, X8,
    /* c0 */ RH_LIST, RH_MAP, X, X, X, X, X, X, X8,
    /* d0 */ RH_LIST, RH_MAP, X, X, X, X, X, X, X8,
    /* e0 */ RH_ARRAY, X, X, X, X, X, X, X, X8,
    /* f0 */ RH_ARRAY, X, X, X, X, X, X, X, X8,
};
#undef X8
#undef X

/* The smallest payload of each variable or compound format: its prefix, count and element constructor. */
static const uint8_t smallest_payload[] = { ['a' - 'a'] = 1, ['b' - 'a'] = 4, ['c' - 'a'] = 2,
                                            ['d' - 'a'] = 8, ['e' - 'a'] = 3, ['f' - 'a'] = 9 };

bool rh_elements_fit(uint8_t code, uint32_t count, size_t n)
{
    if (!rh_constructor_is_fixed(code)) {
        size_t smallest = smallest_payload[(code >> 4) - 10];
        return count == 0 ? n == 0 : n / smallest >= count;
    }
    size_t width = rh_constructor_width(code);
    if (width == 0) return n == 0 && count <= RH_ZERO_WIDTH_MAX;
    return n % width == 0 && n / width == count;
}

bool rh_array_is_possible(uint32_t count, const uint8_t *p, size_t n)
{
    if (n == 0) return false; /* [1.2.4] the element constructor is never left out */
    if (*p == 0x00) return n >= 3;
    return rh_constructor_type(*p) != RH_INVALID && rh_elements_fit(*p, count, n - 1);
}

/* Steps over one value that is not described. */
static inline bool step_over(rh_dec *d)
{
    const uint8_t *at = d->p;
    if (RH_UNLIKELY(at == d->end)) return false;
    size_t n = rh_payload_size(*at, at + 1, rh_dec_left(d) - 1);
    if (RH_UNLIKELY(n == RH_MALFORMED)) return false;
    d->p = at + 1 + n;
    return true;
}

/* [1.2] 00 stands before a descriptor and a value: it pays for one value and owes two. The debt cannot wrap,
 * since each step uses up a byte. */
static void skip_described(rh_dec *d)
{
    size_t debt = 1;
    while (debt > 0) {
        if (d->p != d->end && *d->p == 0x00) {
            d->p++;
            debt++;
        } else if (step_over(d)) {
            debt--;
        } else {
            rh_dec_fail(d, RH_E_DECODE);
            return;
        }
    }
}

void rh_dec_skip(rh_dec *d)
{
    if (RH_LIKELY(d->p != d->end) && *d->p != 0x00 && step_over(d)) return;
    skip_described(d); /* or what is neither; that fails there */
}

rh_slice rh_dec_raw(rh_dec *d)
{
    const uint8_t *at = d->p;
    if (RH_UNLIKELY(at == d->end) || *at == 0x00 || !step_over(d)) {
        skip_described(d);
        if (d->status != RH_OK) return rh_slice_of(NULL, 0);
    }
    return rh_slice_of(at, (size_t)(d->p - at));
}

size_t rh_value_size(rh_slice bytes)
{
    rh_dec d = rh_dec_of(bytes);
    return rh_dec_raw(&d).n;
}

rh_type rh_dec_peek(const rh_dec *d)
{
    return d->p == d->end ? RH_INVALID : rh_constructor_type(*d->p);
}
