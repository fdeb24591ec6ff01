/**
 * ringhub/codec.h: bytes <-> AMQP values.
 *
 * Nothing here allocates, locks, recurses, reads a clock or errno, prints, or keeps state between
 * calls. Every function may be called on any thread; a cursor belongs to one caller at a time.
 *
 * Both cursors are sticky. One that failed stays failed: a reader then answers zeros and absent
 * slices, a writer writes nothing. So a run of calls needs one look at `status` at its end.
 *
 * What a reader answers is borrowed: slices point into the bytes the cursor was made of and live as
 * long as those do. Lengths and counts come from a stranger: nothing is sized by them, bounds are
 * always "less is left than asked for" (a sum of pointers would wrap), and the time of every call is
 * at most linear in the bytes it passes over.
 *
 * Sections in brackets are those of OASIS AMQP 1.0, part 1 (types).
 */
#ifndef RH_CODEC_H
#define RH_CODEC_H

#include "codec/dec.h"
#include "codec/enc.h"

#ifdef __cplusplus
extern "C" {
#endif

/* -- text ------------------------------------------------------------------------------------ */

/** Well-formed UTF-8 as Unicode defines it (no surrogates, nothing overlong); an empty slice is. */
RH_API bool rh_utf8_is(rh_slice text);

/** Bytes 0 to 127 only; an empty slice is. */
RH_API bool rh_ascii_is(rh_slice text);

#ifdef __cplusplus
}
#endif

#endif
