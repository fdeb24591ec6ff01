/*
 * make.h: AMQP values, lists and sections made at random: mostly sound, and mostly what sessions really hold, for the rest
 * is what a fuzzer makes of them.
 */
#ifndef RH_KIT_MAKE_H
#define RH_KIT_MAKE_H

#include "fuzz/kit/chance.h"
#include "proto/proto.h"

/** One value of any type, at its edges; compounds down to `depth`. */
void kit_make_value(rh_enc *e, kit_chance *chance, unsigned depth);

/** The list with some of its fields, in any width, each mostly of its kind. */
void kit_make_list(rh_enc *e, kit_chance *chance, rh_composite_id id);

/** A section of a message. */
void kit_make_section(rh_enc *e, kit_chance *chance);

#endif
