#include "proto/proto.h"

size_t rh_frame_size(const uint8_t *p, size_t n)
{
    if (n < 4) return 0;
    if (memcmp(p, "AMQP", 4) == 0) return 8;
    uint32_t size = rh_get32(p);
    return size < RH_FRAME_HEADER ? RH_FRAME_HEADER : size;
}

rh_status rh_frame_parse(const uint8_t *p, size_t n, rh_frame *out)
{
    *out = (rh_frame){ .size = 0 };
    if (n < RH_FRAME_HEADER) return RH_AGAIN;

    uint32_t size = rh_get32(p);
    uint32_t head = UINT32_C(4) * p[4];
    if (head < RH_FRAME_HEADER || head > size) return RH_E_FRAMING; /* [2.3.1] */
    if (n < size) return RH_AGAIN;

    out->size    = size;
    out->doff    = p[4];
    out->type    = p[5];
    out->channel = rh_get16(p + 6);
    out->body    = rh_slice_of(p + head, size - head); /* the extended header before it is ignored [2.3.1] */
    return RH_OK;
}
