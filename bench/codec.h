/**
 * One way of doing the codec's work, behind a table, so that everybody pays for the same call. A member that is NULL is
 * what this one cannot do.
 */
#ifndef RH_BENCH_CODEC_H
#define RH_BENCH_CODEC_H

#include "bench/reference.h"

typedef struct rh_codec {
    const char *name;
    size_t (*encode)(uint8_t *to, size_t n, const rh_reference_event *event); /* bytes written; 0: failed */
    bool   (*decode)(rh_slice message, rh_reference_view *out);               /* every field, into views */
    bool   (*lazy)(rh_slice message, rh_slice *body);                         /* sections found, body viewed */
    size_t (*batch)(uint8_t *to, size_t n);                                   /* the thousand, each in a data section */
    size_t (*batch_decode)(rh_slice batch, rh_reference_view *last);          /* all fields of each; answers how many */
} rh_codec;

extern const rh_codec rh_codec_memcpy; /* the least that moving these bytes costs */
extern const rh_codec rh_codec_hand;   /* the least that this task costs: straight-line code that knows the event */
extern const rh_codec rh_codec_ours;
extern const rh_codec rh_codec_proton; /* all members NULL when it was built without the library */

#endif
