/*
 * Frames that are wrong, one table of all the ways that other engines have met: what each ends (connection, session, link), with which
 * condition, and at which byte.
 *
 * A frame is written in hexadecimal: its body, or all of it where it begins with '='. The place that is told has '>' in front: the
 * constructor of what is wrong, or the end of a list that is too short. Without a mark it is the frame's first byte, and for what ends
 * less than the connection no place is told.
 */
#include "tests/peer.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

enum depth { GREETED, OPENED, BEGUN, ATTACHED, SASL };
enum ends { CLOSE = RH_AMQP_CLOSE, END = RH_AMQP_END, DETACH = RH_AMQP_DETACH };

#define DECODE  RH_E_DECODE
#define FRAMING RH_E_FRAMING
#define FIELD   RH_E_INVALID_FIELD

/* [2.8.15 to 2.8.18] */
static const struct {
    rh_status status;
    const char *condition;
} conditions[] = {
    { DECODE, "amqp:decode-error" },
    { FRAMING, "amqp:connection:framing-error" },
    { FIELD, "amqp:invalid-field" },
    { RH_E_PEER_LIMIT, "amqp:connection:framing-error" },
    { RH_E_PROTOCOL, "amqp:illegal-state" },
    { RH_E_NOT_ALLOWED, "amqp:not-allowed" },
    { RH_E_UNATTACHED_HANDLE, "amqp:session:unattached-handle" },
    { RH_E_HANDLE_IN_USE, "amqp:session:handle-in-use" },
    { RH_E_WINDOW_VIOLATION, "amqp:session:window-violation" },
    { RH_E_TRANSFER_LIMIT, "amqp:link:transfer-limit-exceeded" },
    { RH_E_MESSAGE_SIZE, "amqp:link:message-size-exceeded" },
};

static const struct bad {
    const char *class, *why;
    enum depth depth;
    enum ends ends;
    rh_status status;
    const char *bytes;
} bad[] = {
    /* B1: lengths that wrap, or reach behind the end */
    { "B1", "a string of 4 GiB less one", GREETED, CLOSE, DECODE, "005310 c0 09 01 >b1 ffffffff 616161" },
    { "B1", "a string of 2 GiB", GREETED, CLOSE, DECODE, "005310 c0 09 01 >b1 80000000 616161" },
    { "B1", "a string of 2 GiB less one", GREETED, CLOSE, DECODE, "005310 c0 09 01 >b1 7fffffff 616161" },
    { "B1", "a string that wraps to just behind itself", GREETED, CLOSE, DECODE, "005310 c0 09 01 >b1 fffffffb 616161" },
    { "B1", "a string one byte too long", GREETED, CLOSE, DECODE, "005310 c0 06 01 >a1 04 616161" },
    { "B1", "a string of 256 bytes in a short list", GREETED, CLOSE, DECODE, "005310 c0 09 01 >b1 00000100 616161" },
    { "B1", "a binary of 4 GiB less one as tag", ATTACHED, CLOSE, DECODE, "005314 c0 0a 03 43 43 >b0 ffffffff 6161" },
    { "B1", "a symbol of 4 GiB less one", GREETED, CLOSE, DECODE, "005310 c0 0e 06 a10161 40 40 40 40 >b3 ffffffff 61" },
    /* B2: sizes and counts as large as four bytes can say */
    { "B2", "a list of 4 GiB less one", OPENED, CLOSE, DECODE, "005311 >d0 ffffffff 00000004 40" },
    { "B2", "a list of 2 GiB", OPENED, CLOSE, DECODE, "005311 >d0 80000000 00000004 40" },
    { "B2", "a count of 4 Gi less one", OPENED, CLOSE, DECODE, "005311 >d0 00000005 ffffffff 40" },
    { "B2", "255 fields in one byte", OPENED, CLOSE, DECODE, "005311 >c0 02 ff 40" },
    { "B2", "a map of 4 GiB less one", BEGUN, CLOSE, DECODE, "005312 c0 13 08 a10161 43 42 40 40 40 40 >d1 ffffffff 00000000" },
    { "B2", "a map of 4 Gi less two elements", BEGUN, CLOSE, DECODE, "005312 c0 13 08 a10161 43 42 40 40 40 40 >d1 00000004 fffffffe" },
    { "B2", "an array of 4 Gi less one bytes", GREETED, CLOSE, DECODE, "005310 c0 15 08 a10161 40 40 40 40 40 40 >f0 00000006 ffffffff 50 00" },
    /* B3: nesting without end */
    { "B3", "descriptors all the way down", GREETED, CLOSE, DECODE, "005310 c0 0d 01 >00 00 00 00 00 00 00 00 00 00 00 00" },
    { "B3", "a described descriptor", OPENED, CLOSE, DECODE, "00 00 53 11 45 45" },
    { "B3", "a descriptor and nothing", OPENED, CLOSE, DECODE, "00 53 11>" },
    { "B3", "half a descriptor", OPENED, CLOSE, DECODE, "00 80 00 00" },
    { "B3", "a list for a descriptor", OPENED, CLOSE, DECODE, "00 45 45" },
    /* B4: elements that take no bytes */
    { "B4", "4 Gi less one nulls", GREETED, CLOSE, DECODE, "005310 c0 14 08 a10161 40 40 40 40 40 40 >f0 00000005 ffffffff 40" },
    { "B4", "4 Gi less one empty lists", GREETED, CLOSE, DECODE, "005310 c0 14 08 a10161 40 40 40 40 40 40 >f0 00000005 ffffffff 45" },
    { "B4", "4 Gi less one truths", GREETED, CLOSE, DECODE, "005310 c0 14 08 a10161 40 40 40 40 40 40 >f0 00000005 ffffffff 41" },
    /* B5: a size smaller than its own count */
    { "B5", "a list of no bytes at all", OPENED, CLOSE, DECODE, "005311 >c0 00 40" },
    { "B5", "a wide list of three bytes", OPENED, CLOSE, DECODE, "005311 >d0 00000003 000000" },
    { "B5", "a map of no bytes at all", GREETED, CLOSE, DECODE, "005310 c0 0e 0a a10161 40 40 40 40 40 40 40 40 >c1 00" },
    { "B5", "a wide map of three bytes", GREETED, CLOSE, DECODE, "005310 c0 14 0a a10161 40 40 40 40 40 40 40 40 >d1 00000003 000000" },
    { "B5", "an array of no bytes at all", GREETED, CLOSE, DECODE, "005310 c0 0c 08 a10161 40 40 40 40 40 40 >e0 00" },
    { "B5", "an array without a constructor", GREETED, CLOSE, DECODE, "005310 c0 0d 08 a10161 40 40 40 40 40 40 >e0 01 00" },
    /* B6: an inner value longer than the outer one */
    { "B6", "a string behind the end of its list", GREETED, CLOSE, DECODE, "005310 c0 03 01 >a1 03 616161" },
    { "B6", "a list behind the end of its list", OPENED, CLOSE, DECODE, "005318 c0 06 01 00531d >c0 08 03 a30161 40 40" },
    { "B6", "a list behind the end of its frame", OPENED, CLOSE, DECODE, "005318 >c0 0c 01 00531d c0 06 03 a30161 40" },
    { "B6", "a number behind the end of its list", OPENED, CLOSE, DECODE, "005311 c0 05 02 40 >70 0000 0000" },
    /* B7: what fails inside */
    { "B7", "no constructor", OPENED, CLOSE, DECODE, "005311 c0 05 04 40 43 >3f 43" },
    { "B7", "a constructor of the future", OPENED, CLOSE, DECODE, "005311 c0 05 04 40 43 >9f 43" },
    { "B7", "a truth that is neither", BEGUN, CLOSE, DECODE, "005313 c0 0b 09 43 43 43 43 40 40 40 40 >56 02" },
    { "B7", "fewer fields than counted", OPENED, CLOSE, DECODE, "005311 >c0 03 04 40 43" },
    { "B7", "more bytes than counted fields", OPENED, CLOSE, DECODE, "005311 c0 06 04 40 43 43 43 >43" },
    { "B7", "a field too many", BEGUN, CLOSE, DECODE, "005317 c0 03 02 >40 40" },
    { "B7", "bytes behind a performative", BEGUN, CLOSE, DECODE, "005317 45 >40" },
    { "B7", "a broken error", OPENED, CLOSE, DECODE, "005318 c0 0a 01 00531d c0 04 02 a30161 >3f" },
    /* fields: missing, or of another type */
    { "B11", "an open without a name", GREETED, CLOSE, FIELD, "005310 45>" },
    { "B11", "an open whose name is null", GREETED, CLOSE, FIELD, "005310 c0 02 01 40>" },
    { "B11", "an open whose name is a symbol", GREETED, CLOSE, FIELD, "005310 c0 04 01 >a3 01 61" },
    { "B11", "a begin without windows", OPENED, CLOSE, FIELD, "005311 c0 03 02 40 43>" },
    { "B11", "a begin whose window is a ulong", OPENED, CLOSE, FIELD, "005311 c0 05 04 40 43 >44 43" },
    { "B11", "an attach without a role", BEGUN, CLOSE, FIELD, "005312 c0 05 02 a10161 43>" },
    { "B11", "a transfer without a handle", ATTACHED, CLOSE, FIELD, "005314 45>" },
    { "B11", "a flow without windows", BEGUN, CLOSE, FIELD, "005313 c0 02 01 43>" },
    { "B11", "a disposition without a first", BEGUN, CLOSE, FIELD, "005315 c0 02 01 41>" },
    { "B11", "a detach without a handle", BEGUN, CLOSE, FIELD, "005316 45>" },
    /* B11: legal in form, wrong in its state */
    { "B11", "no performative at all", OPENED, CLOSE, DECODE, "40" },
    { "B11", "a performative nobody knows", OPENED, CLOSE, DECODE, "00 53 1f 45" },
    { "B11", "a section for a performative", OPENED, CLOSE, DECODE, "00 53 75 a0 00" },
    { "B11", "a state for a performative", OPENED, CLOSE, RH_E_PROTOCOL, "00 53 24 45" },
    { "B11", "SASL inside AMQP", OPENED, CLOSE, RH_E_PROTOCOL, "00 53 41 c0 05 01 a3 02 61 61" },
    { "B11", "a second open", OPENED, CLOSE, RH_E_PROTOCOL, "00 53 10 c0 04 01 a1 01 61" },
    { "B11", "a begin before the open", GREETED, CLOSE, RH_E_PROTOCOL, "00 53 11 c0 05 04 40 43 43 43" },
    { "B11", "an attach before its begin", OPENED, CLOSE, RH_E_NOT_ALLOWED, "00 53 12 c0 06 03 a10161 43 42" },
    { "B11", "a transfer before its begin", OPENED, CLOSE, RH_E_NOT_ALLOWED, "00 53 14 c0 02 01 43" },
    { "B11", "an end of nothing", OPENED, CLOSE, RH_E_NOT_ALLOWED, "00 53 17 45" },
    { "B11", "a begin where one began", BEGUN, CLOSE, RH_E_PROTOCOL, "00 53 11 c0 05 04 40 43 43 43" },
    { "B11", "a transfer on no link", BEGUN, END, RH_E_UNATTACHED_HANDLE, "00 53 14 c0 05 03 43 43 a0 00" },
    { "B11", "a detach of no link", BEGUN, END, RH_E_UNATTACHED_HANDLE, "00 53 16 c0 02 01 43" },
    { "B11", "a handle used twice", ATTACHED, END, RH_E_HANDLE_IN_USE, "00 53 12 c0 06 03 a10162 43 42" },
    { "B11", "a delivery without an id", ATTACHED, DETACH, FIELD, "00 53 14 c0 02 01 43" },
    { "B11", "a delivery without a tag", ATTACHED, DETACH, FIELD, "00 53 14 c0 03 02 43 43" },
    /* B14: frames that cannot be */
    { "B14", "a frame of nothing", OPENED, CLOSE, FRAMING, "=00000000 02 00 0000" },
    { "B14", "a frame smaller than its header", OPENED, CLOSE, FRAMING, "=00000007 02 00 0000" },
    { "B14", "a body before its header's end", OPENED, CLOSE, FRAMING, "=0000000c 01 00 0000 00531745" },
    { "B14", "a body behind the frame's end", OPENED, CLOSE, FRAMING, "=00000008 03 00 0000" },
    { "B14", "a type nobody knows", OPENED, CLOSE, FRAMING, "=0000000c 02 02 0000 00531745" },
    { "B14", "a frame longer than announced", OPENED, CLOSE, FRAMING, "=00001001 02 00 0000" },
    { "B14", "a frame of 4 GiB less one", OPENED, CLOSE, FRAMING, "=ffffffff 02 00 0000" },
    { "B14", "a protocol header between frames", OPENED, CLOSE, FRAMING, "=414d5150 00 01 0000" },
    { "B14", "a channel above what was announced", OPENED, CLOSE, RH_E_PEER_LIMIT, "=00000010 02 00 ffff 005311 45 40404040" },
    { "B14", "a SASL frame behind SASL", OPENED, CLOSE, FRAMING, "=0000000c 02 01 0000 00534045" },
};

enum { ROWS = sizeof bad / sizeof *bad };

/* Answers the number of bytes; *mark is the place of the marked one. */
static size_t read_hex(const char *text, uint8_t *out, size_t *mark)
{
    size_t n = 0;
    for (; *text; text++) {
        unsigned byte;
        if (*text == '>') *mark = n;
        if (strchr("> =", *text) || sscanf(text, "%2x", &byte) != 1) continue;
        out[n++] = (uint8_t)byte;
        text++;
    }
    return n;
}

static struct peer *peer_at(enum depth depth)
{
    struct peer *peer = peer_new(RH_ENGINE_OPTS(.server = true, .max_frame_size = 4096, .channel_max = 15));
    peer->end.credit = 10;
    if (depth == GREETED) peer_headers(peer);
    else peer_open(peer, 65536, 0);
    if (depth >= BEGUN) peer_begin(peer, 0, 1000);
    if (depth >= ATTACHED) peer_attach(peer, 0, 0, "l", false);
    return peer;
}

static const char *condition_of(rh_status status)
{
    for (size_t i = 0; i < sizeof conditions / sizeof *conditions; i++)
        if (conditions[i].status == status) return conditions[i].condition;
    return "?";
}

static const rh_error *told(const struct peer *peer, enum ends ends)
{
    return ends == CLOSE ? &peer->end.closed : ends == END ? &peer->end.ended : &peer->end.detached;
}

static void expect_row(const struct bad *row)
{
    uint8_t bytes[64];
    size_t mark = 0, n = read_hex(row->bytes, bytes, &mark);
    bool is_whole = row->bytes[0] == '=';
    struct peer *peer = peer_at(row->depth);
    uint64_t at = rh_engine_counts_of(peer->end.engine).bytes_in;
    if (is_whole) peer_say_bytes(peer, bytes, n);
    else peer_say_frame(peer, RH_FRAME_AMQP, 0, rh_slice_of(bytes, n));
    peer_hear(peer);
    const rh_error *error = told(peer, row->ends);
    bool has_mark = strchr(row->bytes, '>') && !is_whole;
    uint64_t place = row->ends != CLOSE ? 0 : has_mark ? at + 8 + mark : at;
    cr_expect_eq(error->status, row->status, "%s: %s: %s", row->why, rh_status_name(error->status), error->description);
    cr_expect_eq(error->position, place, "%s: at %lld, not %lld", row->why, (long long)(error->position - at), (long long)(place - at));
    cr_expect_str_eq(peer_heard_condition(peer, (rh_composite_id)row->ends), condition_of(row->status), "%s", row->why);
    peer_free(peer);
}

Test(malformed, each_frame_is_answered_with_its_condition_and_its_place)
{
    for (size_t i = 0; i < ROWS; i++) expect_row(&bad[i]);
}
