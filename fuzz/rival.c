/*
 * A value, read by us and by qpid-proton: both take it or both refuse it, and what proton makes of it and writes again reads the
 * same as what we made of it; or there is a reason on the list of fuzz/kit/rival_differences.c. Built where proton is installed.
 */
#include <proton/codec.h>
#include <stdio.h>

#include "fuzz/kit/lent.h"
#include "fuzz/kit/mutator.h"
#include "fuzz/kit/target.h"
#include "fuzz/oracle.h"
#include "fuzz/kit/rival_differences.h"

enum { ROOM = 1 << 16, INPUT = 4096 };

/* False: proton refuses it, or has not used all of it. */
static bool read_by_proton(pn_data_t *data, rh_slice bytes)
{
    KIT_LENT(lent, INPUT);
    uint8_t *exact = KIT_LEND(lent, bytes.n);
    if (bytes.n) memcpy(exact, bytes.p, bytes.n);
    pn_data_clear(data);
    bool taken = pn_data_decode(data, (const char *)exact, bytes.n) == (ssize_t)bytes.n;
    KIT_RETURN(lent, bytes.n);
    return taken;
}

static const char *text_of_proton(pn_data_t *data)
{
    static char again[ROOM], text[ROOM];
    ssize_t     n = pn_data_encode(data, again, sizeof again);
    if (n <= 0) return "not written";
    rh_value_print(rh_slice_of(again, (size_t)n), text, sizeof text);
    return text;
}

static void explain(const struct rival_case *it)
{
    const char *why = rival_difference(it);
    static int  tells = -1;
    if (tells < 0) tells = getenv("RH_TELL") != NULL;
    if (tells && why) fprintf(stderr, "%s\n", why);
    if (why) return;
    fprintf(stderr, "ours: %s %.400s\ntheirs: %s %.400s\n", it->ours ? "takes" : "refuses", it->our_text, it->theirs ? "takes" : "refuses", it->their_text);
    abort();
}

static void run(const uint8_t *data, size_t size)
{
    static pn_data_t *theirs;
    static char       text[ROOM];
    if (size == 0 || size > INPUT) return;
    if (theirs == NULL) theirs = pn_data(64);
    rh_slice bytes = rh_slice_of(data, size);
    size_t   whole = rh_value_size(bytes);
    if (whole > 0) bytes.n = whole;
    struct rival_case it = { .bytes = bytes, .our_text = text, .their_text = "" };
    it.ours   = whole > 0 && rh_value_check(bytes) == RH_OK;
    it.theirs = read_by_proton(theirs, bytes);
    rh_value_print(bytes, text, sizeof text);
    if (it.ours && it.theirs && rival_cannot_write(bytes)) return;
    if (it.ours && it.theirs) it.their_text = text_of_proton(theirs);
    if (it.ours != it.theirs || (it.ours && strcmp(it.our_text, it.their_text) != 0)) explain(&it);
}

TARGET(run, 20000, 4000)
TARGET_HOLDS_VALUES(0)
