#include "tests/sim/garbage.h"

#include <string.h>

/* What is no frame, as it is sent. */
static const struct { uint8_t n, bytes[16]; } raw[] = {
    { 8, { 0, 0, 0, 0, 2, 0, 0, 0 } },                  /* nothing at all */
    { 8, { 0, 0, 0, 7, 2, 0, 0, 0 } },                  /* smaller than its header */
    { 8, { 0, 0, 0, 8, 0, 0, 0, 0 } },                  /* data that begins before the frame */
    { 8, { 0, 0, 0, 8, 1, 0, 0, 0 } },                  /* a header of four bytes */
    { 8, { 0, 0, 0, 8, 3, 0, 0, 0 } },                  /* a header longer than the frame */
    { 8, { 0, 0, 0, 8, 255, 0, 0, 0 } },                /* the longest there is */
    { 8, { 0x7f, 0xff, 0xff, 0xff, 2, 0, 0, 0 } },      /* larger than ever agreed */
    { 8, { 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0 } },      /* and as large as can be: size + 1 is nothing */
    { 8, { 'A', 'M', 'Q', 'P', 0, 1, 0, 0 } },          /* it begins again */
    { 12, { 'H', 'T', 'T', 'P', '/', '1', '.', '1', ' ', '4', '0', '0' } },
};

/* Bodies of frames of a type on a channel; the framing around them is sound. */
static const struct { uint8_t type; uint16_t channel; uint8_t n, bytes[40]; } bodies[] = {
    /* What comes instead of a performative. */
    { 0, 0, 4, { 0x00, 0x53, 0x7f, 0x45 } },                                      /* one that does not exist */
    { 0, 0, 4, { 0xde, 0xad, 0xbe, 0xef } },                                      /* no value */
    { 0, 0, 1, { 0x00 } },                                                        /* a descriptor that does not come */
    { 0, 0, 1, { 0x40 } },                                                        /* null */
    { 0, 0, 7, { 0x00, 0xa1, 0x01, 0x61, 0xc0, 0x01, 0x00 } },                    /* described by a string */
    { 0, 0, 13, { 0x00, 0x80, 255, 255, 255, 255, 255, 255, 255, 255, 0xc0, 1, 0 } }, /* by a number of nobody's */
    { 0, 0, 40, { 0 } },                                                          /* descriptors of descriptors */
    { 0, 0, 4, { 0x00, 0x53, 0x10, 0x43 } },                                      /* no list behind it */
    /* Lengths and counts: nothing is as long as it says. */
    { 0, 0, 5, { 0x00, 0x53, 0x10, 0xc0, 0xff } },                                /* ends behind its frame */
    { 0, 0, 12, { 0x00, 0x53, 0x14, 0xd0, 0, 0, 0, 2, 0, 0, 0, 1 } },             /* smaller than its own count */
    { 0, 0, 12, { 0x00, 0x53, 0x10, 0xd0, 255, 255, 255, 255, 0, 0, 0, 1 } },     /* size + 4 is nothing */
    { 0, 0, 12, { 0x00, 0x53, 0x10, 0xd0, 0, 0, 0, 4, 255, 255, 255, 255 } },     /* billions of fields in no bytes */
    { 0, 0, 7, { 0x00, 0x53, 0x13, 0xc0, 0x02, 0x05, 0x40 } },                    /* more fields than it has */
    { 0, 0, 11, { 0x00, 0x53, 0x10, 0xc0, 0x06, 0x01, 0xb1, 255, 255, 255, 255 } }, /* a text of 4 GiB */
    { 0, 0, 11, { 0x00, 0x53, 0x10, 0xc0, 0x06, 0x01, 0xb1, 0x7f, 255, 255, 255 } },
    { 0, 0, 9, { 0x00, 0x53, 0x10, 0xc0, 0x04, 0x01, 0xa1, 0x20, 0x61 } },        /* longer than the list around it */
    { 0, 0, 8, { 0x00, 0x53, 0x11, 0xc0, 0x03, 0x02, 0x60, 0x00 } },              /* half a number */
    { 0, 0, 16, { 0x00, 0x53, 0x10, 0xc0, 11, 1, 0xf0, 0, 0, 0, 5, 255, 255, 255, 255, 0x40 } }, /* billions of nulls */
    { 0, 0, 20, { 0x00, 0x53, 0x10, 0xc0, 15, 1, 0xf0, 0, 0, 0, 9, 0, 0, 0, 1, 0xf0, 0, 0, 0, 99 } }, /* arrays of arrays */
    /* Values that are none, and fields of another type. */
    { 0, 0, 9, { 0x00, 0x53, 0x10, 0xc0, 0x04, 0x01, 0xa1, 0x01, 0xff } },        /* no UTF-8 */
    { 0, 0, 13, { 0x00, 0x53, 0x12, 0xc0, 8, 3, 0xa1, 1, 0x61, 0x43, 0x56, 0x02, 0x40 } }, /* neither true nor false */
    { 0, 0, 9, { 0x00, 0x53, 0x16, 0xc0, 0x04, 0x01, 0xa1, 0x01, 0x61 } },        /* a handle that is text */
    { 0, 0, 6, { 0x00, 0x53, 0x10, 0xc0, 0x01, 0x00 } },                          /* an open of nobody */
    { 0, 0, 10, { 0x00, 0x53, 0x12, 0xc0, 0x05, 0x01, 0xa1, 0x02, 0x61, 0x61 } }, /* an attach without handle and role */
    { 0, 0, 8, { 0x00, 0x53, 0x13, 0xc0, 0x03, 0x01, 0x40, 0x40 } },              /* a flow that says nothing */
    /* What is right in form and comes at the wrong time. */
    { 0, 0, 9, { 0x00, 0x53, 0x10, 0xc0, 0x04, 0x01, 0xa1, 0x01, 0x61 } },        /* opened again */
    { 0, 9, 6, { 0x00, 0x53, 0x14, 0xc0, 0x01, 0x00 } },                          /* a transfer on no session */
    { 0, 300, 4, { 0x00, 0x53, 0x17, 0x45 } },                                    /* the end of one that never began */
    { 0, 301, 8, { 0x00, 0x53, 0x16, 0xc0, 0x03, 0x01, 0x52, 0xc8 } },            /* a detach there */
    { 0, 0, 8, { 0x00, 0x53, 0x16, 0xc0, 0x03, 0x01, 0x52, 0xc8 } },              /* of a handle that nobody has */
    { 0, 0, 11, { 0x00, 0x53, 0x14, 0xc0, 6, 3, 0x52, 0xc8, 0x43, 0xa0, 0 } },    /* a transfer on it */
    { 0, 302, 10, { 0x00, 0x53, 0x11, 0xc0, 5, 4, 0x60, 0, 77, 0x43 } },          /* an answer to no begin, and cut */
    { 0, 0, 10, { 0x00, 0x53, 0x41, 0xc0, 5, 1, 0xa3, 2, 0x58, 0x58 } },          /* SASL in a frame of AMQP's */
    { 1, 0, 7, { 0x00, 0x53, 0x44, 0xc0, 0x03, 0x01, 0x50 } },                    /* and in its own, when its time is over */
    { 1, 0, 4, { 0x00, 0x53, 0x18, 0x45 } },                                      /* a close in a frame of SASL's */
};

#define RAWS   (sizeof raw / sizeof *raw)
#define BODIES (sizeof bodies / sizeof *bodies)

size_t sim_garbage(sim_chance *chance, uint8_t frame[SIM_GARBAGE_MAX])
{
    size_t i = sim_below(chance, RAWS + BODIES);
    if (i < RAWS) {
        memcpy(frame, raw[i].bytes, raw[i].n);
        return raw[i].n;
    }
    i -= RAWS;
    size_t n = 8u + bodies[i].n;
    memcpy(frame, (uint8_t[8]){ 0, 0, 0, (uint8_t)n, 2, bodies[i].type, (uint8_t)(bodies[i].channel >> 8), (uint8_t)bodies[i].channel }, 8);
    memcpy(frame + 8, bodies[i].bytes, bodies[i].n);
    return n;
}
