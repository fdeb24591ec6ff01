/* Text that people may look at. Private to codec/. */
#ifndef RH_UTF8_H
#define RH_UTF8_H

#include "codec/codec.h"

/* Bytes of the character at p, of which `left` may be used (at least one); 0 when it is not well-formed or is a
 * control character, which would move a reader's cursor. */
size_t rh_utf8_printable(const uint8_t *p, size_t left);

#endif
