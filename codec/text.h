/* Text written into a bounded buffer, counting what it would have wanted. Private to the library. */
#ifndef RH_TEXT_H
#define RH_TEXT_H

#include "codec/codec.h"

typedef struct rh_text {
    char  *out;
    size_t n;      /* of out, with room for the closing zero */
    size_t wanted; /* characters put so far, whether they fitted or not */
} rh_text;

void rh_text_char(rh_text *text, char c);
void rh_text_string(rh_text *text, const char *string);
void rh_text_unsigned(rh_text *text, uint64_t v);
void rh_text_signed(rh_text *text, int64_t v);

/* The lowest `digits` hexadecimal digits, leading zeros too. */
void rh_text_hex(rh_text *text, uint64_t v, unsigned digits);

/* A decimal that reads back as the same number if a short one is found, else the exact 0x1.8p+3 of C.
 * narrow: v was a float, so a decimal needs to read back as that float only. */
void rh_text_double(rh_text *text, double v, bool narrow);

/* Well-formed characters as they are; controls, quotes, backslashes and broken bytes escaped. */
void rh_text_escaped(rh_text *text, rh_slice bytes);

/* The digits alone, lent from `room`, with a closing zero behind them. */
#define RH_DECIMAL_ROOM 21
rh_slice rh_text_decimal(uint64_t v, char room[RH_DECIMAL_ROOM]);

/* Ends the text with a zero, never in the middle of a character, and answers what it wanted. */
size_t rh_text_end(rh_text *text);

#endif
