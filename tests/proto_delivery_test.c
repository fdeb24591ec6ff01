/**
 * Deliveries: frames out and in, settlement, abort, and the one outcome of each.
 */
#include "tests/peer.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static struct peer *sender_peer(uint32_t max_frame_size, uint32_t credit)
{
    struct peer *peer = peer_new(RH_ENGINE_OPTS(.deliveries = 8));
    if (end_begin(&peer->end, NULL) != RH_OK || end_attach(&peer->end, "l", false) != RH_OK) abort();
    peer_hear(peer);
    peer_open(peer, max_frame_size, 0);
    peer_begin(peer, 0, 1000);
    peer_attach(peer, 0, 0, "l", true);
    peer_credit(peer, 0, credit);
    return peer;
}

static struct peer *receiver_peer(uint64_t max_message_size, uint32_t credit)
{
    struct peer *peer          = peer_new(RH_ENGINE_OPTS(.server = true));
    peer->end.credit           = credit;
    peer->end.max_message_size = max_message_size;
    peer_open(peer, 65536, 0);
    peer_begin(peer, 0, 1000);
    peer_attach(peer, 0, 0, "l", false);
    return peer;
}

static void say_part(struct peer *peer, uint32_t id, bool more, bool aborted, const char *text)
{
    rh_amqp_transfer transfer = transfer_to(0, id, more);
    transfer.has |= RH_HAS_TRANSFER_ABORTED;
    transfer.aborted = aborted;
    peer_say_transfer(peer, &transfer, text);
    peer_hear(peer);
}

/* -- out --------------------------------------------------------------------------------------- */

Test(delivery, frames_are_cut_at_the_peers_size_for_every_length)
{
    static uint8_t bytes[2200];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(i * 31);
    for (size_t n = 1; n < sizeof bytes; n += n < 460 || (n > 480 && n < 940) ? 23 : 1) {
        struct peer *peer = sender_peer(512, 10);
        cr_assert_eq(end_send_bytes(&peer->end, bytes, n, false, NULL), RH_OK);
        peer_hear(peer);
        size_t at = 0, got = 0, frames = 0;
        bool   more = true;
        while (at < peer->heard_n) {
            size_t   size = rh_frame_size(peer->heard + at, peer->heard_n - at);
            rh_frame frame;
            cr_assert_leq(size, 512);
            if (memcmp(peer->heard + at, "AMQP", 4) && rh_frame_parse(peer->heard + at, size, &frame) == RH_OK) {
                rh_dec           d = rh_dec_of(frame.body);
                rh_amqp_transfer transfer;
                if (rh_composite_peek(&d) == RH_AMQP_TRANSFER && rh_amqp_transfer_decode(&d, &transfer) == RH_OK) {
                    cr_assert(more, "a frame behind the last one");
                    cr_expect_eq(transfer.delivery_tag.p != NULL, frames == 0);
                    cr_assert_arr_eq(d.p, bytes + got, rh_dec_left(&d));
                    cr_expect_gt(rh_dec_left(&d), 0, "no frame is empty");
                    got += rh_dec_left(&d);
                    more = transfer.more;
                    frames++;
                }
            }
            at += size;
        }
        cr_expect_eq(got, n);
        cr_expect_not(more);
        peer_free(peer);
    }
}

Test(delivery, parts_are_sent_in_order_as_one_payload)
{
    struct pair   *pair = PAIR(.server.max_frame_size = 512);
    static uint8_t a[300], b[700], c[1];
    memset(a, 'a', sizeof a);
    memset(b, 'b', sizeof b);
    memset(c, 'c', sizeof c);
    rh_slice    parts[4] = { { a, sizeof a }, { NULL, 0 }, { b, sizeof b }, { c, sizeof c } };
    rh_transfer transfer = { .parts = parts, .part_count = 4, .tag = rh_str("my tag"), .message_format = 0x80013700u };
    rh_delivery *delivery;
    cr_assert_eq(rh_link_send(pair->client.link, &transfer, &delivery), RH_OK);
    pair_run(pair);
    uint64_t sum = 0;
    for (int i = 0; i < 300; i++) sum = sum * 31 + 'a';
    for (int i = 0; i < 700; i++) sum = sum * 31 + 'b';
    sum = sum * 31 + 'c';
    cr_expect_eq(pair->server.payload_sum, sum);
    cr_expect_eq(pair->server.incoming.message_format, 0x80013700u);
    cr_expect(pair->server.incoming.gathered);
    cr_expect_eq(rh_delivery_abort(delivery), RH_E_STATE, "its handle is dead");
    cr_expect_eq(rh_engine_counts_of(pair->client.engine).deliveries_out, 1);
    cr_expect_eq(rh_engine_counts_of(pair->client.engine).transfers_out, 3);
    cr_expect_eq(rh_engine_counts_of(pair->server.engine).transfers_in, 3);
    cr_expect_eq(rh_engine_counts_of(pair->server.engine).deliveries_in, 1);
    cr_expect_eq(rh_engine_counts_of(pair->client.engine).bytes_out, rh_engine_counts_of(pair->server.engine).bytes_in);
    cr_expect_eq(rh_engine_counts_of(pair->server.engine).frames_out, rh_engine_counts_of(pair->client.engine).frames_in);
    pair_free(pair);
}

Test(delivery, the_callers_mistakes_are_told)
{
    struct pair *pair   = PAIR();
    rh_slice     one    = rh_str("x"), five[5] = { one, one, one, one, one }, none = { NULL, 0 };
    static const char tag[33];
    cr_expect_eq(rh_link_send(pair->client.link, &(rh_transfer){ .parts = five, .part_count = 5 }, NULL), RH_E_ARGUMENT);
    cr_expect_eq(rh_link_send(pair->client.link, &(rh_transfer){ .parts = &none, .part_count = 1 }, NULL), RH_E_ARGUMENT);
    cr_expect_eq(rh_link_send(pair->client.link, &(rh_transfer){ .parts = &one, .part_count = 1, .tag = rh_slice_of(tag, 33) }, NULL), RH_E_ARGUMENT);
    cr_expect_eq(rh_link_send(pair->server.link, &(rh_transfer){ .parts = &one, .part_count = 1 }, NULL), RH_E_STATE, "a receiver does not send");
    cr_expect_eq(rh_link_send(NULL, &(rh_transfer){ .parts = &one, .part_count = 1 }, NULL), RH_E_STATE);
    cr_expect_eq(rh_link_queued(pair->client.link), 0);
    pair_free(pair);
}

Test(delivery, what_is_larger_than_the_peer_takes_is_not_queued)
{
    struct pair *pair             = PAIR(.half = true);
    pair->server.max_message_size = 10;
    cr_assert_eq(end_begin(&pair->client, NULL), RH_OK);
    cr_assert_eq(end_attach(&pair->client, "l", false), RH_OK);
    pair_run(pair);
    cr_expect_eq(rh_link_peer_max_message_size(pair->client.link), 10);
    cr_expect_eq(end_send(&pair->client, "0123456789a", false), RH_E_TOO_BIG);
    cr_expect_eq(end_send(&pair->client, "0123456789", false), RH_OK);
    pair_run(pair);
    cr_expect_eq(pair->client.outcomes[RH_ACCEPTED], 1);
    pair_free(pair);
}

Test(delivery, slots_run_out_with_again_and_come_back)
{
    struct pair *pair = PAIR(.client.deliveries = 4);
    int          sent = 0;
    while (end_send(&pair->client, "x", false) == RH_OK) sent++;
    cr_expect_geq(sent, 4);
    cr_expect_leq(sent, 5);
    pair_run(pair);
    cr_expect_eq(pair->client.outcomes[RH_ACCEPTED], (uint32_t)sent);
    cr_expect_eq(end_send(&pair->client, "x", false), RH_OK);
    pair_free(pair);
}

static void send_next(struct end *end, enum event event, void *handle)
{
    (void)handle;
    if (event == ON_OUTCOME && end->count[ON_OUTCOME] < 50) cr_expect_eq(end_send(end, "next", false), RH_OK);
}

Test(delivery, one_slot_is_enough_to_send_from_on_outcome)
{
    struct pair *pair = PAIR(.client.deliveries = 1);
    pair->client.hook = send_next;
    cr_assert_eq(end_send(&pair->client, "first", false), RH_OK);
    pair_run(pair);
    cr_expect_eq(pair->client.outcomes[RH_ACCEPTED], 50);
    pair_free(pair);
}

/* -- lent until told --------------------------------------------------------------------------- */

Test(delivery, an_outcome_waits_until_nothing_is_lent)
{
    struct peer *peer = sender_peer(65536, 10);
    rh_iov       iov[16];
    cr_assert_eq(end_send(&peer->end, "lent", false), RH_OK);
    size_t count = rh_engine_output(peer->end.engine, iov, 16), n = 0;
    for (size_t i = 0; i < count; i++) n += iov[i].n;
    rh_amqp_disposition disposition = { .has = RH_HAS_DISPOSITION_ROLE | RH_HAS_DISPOSITION_FIRST | RH_HAS_DISPOSITION_SETTLED, .role = true, .settled = true };
    uint8_t  error[200], state[220];
    rh_enc   e = rh_enc_of(error, sizeof error), r = rh_enc_of(state, sizeof state);
    rh_amqp_error_encode(&e, &(rh_amqp_error){ .condition = rh_str("amqp:not-allowed"), .description = rh_str("words that outlive their frame") });
    rh_amqp_rejected_encode(&r, &(rh_amqp_rejected){ .error = rh_enc_written(&e) });
    disposition.state = rh_enc_written(&r);
    peer_say(peer, 0, RH_AMQP_DISPOSITION, &disposition);
    cr_expect_eq(peer->end.count[ON_OUTCOME], 0, "the payload is still lent to the pipe");
    rh_engine_sent(peer->end.engine, n - 1, peer->now);
    rh_engine_tick(peer->end.engine, peer->now);
    cr_expect_eq(peer->end.count[ON_OUTCOME], 0, "one byte of it is");
    rh_engine_sent(peer->end.engine, 1, peer->now);
    cr_expect_eq(peer->end.count[ON_OUTCOME], 0, "sent() tells nothing itself");
    cr_expect_eq(rh_engine_deadline(peer->end.engine), 0);
    rh_engine_tick(peer->end.engine, peer->now);
    cr_expect_eq(peer->end.outcomes[RH_REJECTED], 1);
    cr_expect_str_eq(peer->end.condition, "amqp:not-allowed");
    cr_expect_str_eq(peer->end.description, "words that outlive their frame");
    peer_free(peer);
}

/* The pipe gives the pieces back one by one; only with the last of them may the owner have the payload again. */
Test(delivery, an_outcome_waits_for_every_piece_that_is_lent)
{
    struct peer   *peer    = sender_peer(512, 10);
    static uint8_t large[1500];
    rh_slice       parts[] = { rh_slice_of(large, 700), rh_slice_of(large, 1), rh_slice_of(large, 799) };
    rh_iov         iov[64];
    for (int aborted = 0; aborted < 2; aborted++) {
        rh_delivery *delivery;
        rh_transfer  transfer = { .parts = parts, .part_count = 3, .settled = !aborted };
        uint32_t     before   = peer->end.count[ON_OUTCOME];
        cr_assert_eq(rh_link_send(peer->end.link, &transfer, &delivery), RH_OK);
        uint32_t pieces = 0;
        rh_engine_output(peer->end.engine, iov, aborted ? 3 : 64);
        if (aborted) cr_assert_eq(rh_delivery_abort(delivery), RH_OK, "half of it is cut");
        while (rh_engine_output(peer->end.engine, iov, 1) == 1) {
            bool ours = (const uint8_t *)iov->p >= large && (const uint8_t *)iov->p < large + sizeof large;
            if (ours) cr_expect_eq(peer->end.count[ON_OUTCOME], before, "piece %u is still lent", pieces);
            pieces += ours;
            rh_engine_sent(peer->end.engine, iov->n, peer->now);
            rh_engine_tick(peer->end.engine, peer->now);
        }
        cr_expect_gt(pieces, 2);
        cr_expect_eq(peer->end.count[ON_OUTCOME], before + 1);
        cr_expect_eq(peer->end.outcomes[aborted ? RH_DROPPED : RH_SENT], 1);
    }
    peer_free(peer);
}

Test(delivery, words_that_must_be_kept_are_cut_between_characters)
{
    for (size_t shift = 0; shift < 2; shift++) {
        struct peer *peer = sender_peer(65536, 10);
        rh_iov       iov[16];
        uint8_t      words[400], error[500], state[520];
        cr_assert_eq(end_send(&peer->end, "lent", false), RH_OK);
        size_t count = rh_engine_output(peer->end.engine, iov, 16), n = 0;
        for (size_t i = 0; i < count; i++) n += iov[i].n;
        for (size_t i = 0; i < sizeof words; i++) words[i] = (i + shift) % 2 ? 0xa9 : 0xc3; /* e with an accent, again and again */
        if (shift) words[0] = 'x';
        rh_enc e = rh_enc_of(error, sizeof error), r = rh_enc_of(state, sizeof state);
        rh_amqp_error_encode(&e, &(rh_amqp_error){ .condition = rh_str("a:bc"), .description = rh_slice_of(words, sizeof words - shift * 1) });
        rh_amqp_rejected_encode(&r, &(rh_amqp_rejected){ .error = rh_enc_written(&e) });
        rh_amqp_disposition disposition = { .has = RH_HAS_DISPOSITION_ROLE | RH_HAS_DISPOSITION_FIRST | RH_HAS_DISPOSITION_SETTLED, .role = true, .settled = true };
        disposition.state = rh_enc_written(&r);
        peer_say(peer, 0, RH_AMQP_DISPOSITION, &disposition);
        rh_engine_sent(peer->end.engine, n, peer->now);
        rh_engine_tick(peer->end.engine, peer->now);
        cr_expect_eq(peer->end.outcomes[RH_REJECTED], 1);
        cr_expect_str_eq(peer->end.condition, "a:bc");
        size_t kept = strlen(peer->end.description);
        cr_expect(rh_utf8_is(rh_str(peer->end.description)));
        cr_expect(kept >= 91 - shift && kept <= 92, "%zu", kept);
        peer_free(peer);
    }
}

Test(delivery, output_asked_twice_answers_the_same_bytes_and_more)
{
    struct peer *peer = sender_peer(65536, 10);
    rh_iov       first[16], second[16];
    cr_assert_eq(end_send(&peer->end, "one", true), RH_OK);
    size_t a = rh_engine_output(peer->end.engine, first, 16);
    cr_assert_eq(end_send(&peer->end, "two", true), RH_OK);
    size_t b = rh_engine_output(peer->end.engine, second, 16);
    cr_expect_gt(b, a);
    for (size_t i = 0; i < a; i++) cr_expect(first[i].p == second[i].p && first[i].n <= second[i].n);
    cr_expect_eq(rh_engine_output(peer->end.engine, second, 1), 1);
    peer_free(peer);
}

Test(delivery, a_lost_pipe_tells_apart_what_left_and_what_did_not)
{
    static uint8_t large[1000];
    struct peer *peer = sender_peer(512, 4);
    rh_iov       iov[64];
    cr_assert_eq(end_send(&peer->end, "left", false), RH_OK);
    cr_assert_eq(end_send(&peer->end, "left settled", true), RH_OK);
    peer_hear(peer);
    cr_expect_eq(peer->end.outcomes[RH_SENT], 1);
    cr_assert_eq(end_send(&peer->end, "lent settled", true), RH_OK);
    rh_engine_output(peer->end.engine, iov, 64);
    cr_assert_eq(end_send_bytes(&peer->end, large, sizeof large, false, NULL), RH_OK); /* not cut */
    rh_engine_lost(peer->end.engine, NULL);
    rh_engine_tick(peer->end.engine, peer->now);
    cr_expect_eq(peer->end.outcomes[RH_UNKNOWN], 2, "one waited for its answer, one may have left");
    cr_expect_eq(peer->end.outcomes[RH_DROPPED], 1);
    cr_expect_eq(peer->end.closed.status, RH_E_CONNECTION_LOST);
    cr_expect_eq(peer->end.count[ON_OUTCOME], 4);
    peer_free(peer);
}

Test(delivery, half_a_delivery_is_not_unknown_when_the_pipe_is_lost)
{
    static uint8_t large[5000];
    struct peer *peer = sender_peer(512, 4);
    rh_iov       iov[4];
    cr_assert_eq(end_send_bytes(&peer->end, large, sizeof large, false, NULL), RH_OK);
    cr_expect_eq(rh_engine_output(peer->end.engine, iov, 4), 4);
    rh_engine_lost(peer->end.engine, NULL);
    rh_engine_tick(peer->end.engine, peer->now);
    cr_expect_eq(peer->end.outcomes[RH_DROPPED], 1, "its last frame never left: the peer cannot have it");
    peer_free(peer);
}

/* -- abort [2.7.5] ----------------------------------------------------------------------------- */

Test(delivery, a_queued_one_is_taken_back_without_a_trace)
{
    struct peer *peer = sender_peer(65536, 10);
    rh_delivery *delivery;
    cr_assert_eq(end_send_bytes(&peer->end, "x", 1, false, &delivery), RH_OK);
    cr_expect_eq(rh_delivery_abort(delivery), RH_OK);
    cr_expect_eq(rh_delivery_abort(delivery), RH_E_STATE);
    peer_hear(peer);
    cr_expect_eq(peer->end.outcomes[RH_DROPPED], 1);
    cr_expect_eq(peer_heard_count(peer, RH_AMQP_TRANSFER), 0);
    cr_expect_eq(rh_link_credit_left(peer->end.link), 10, "and its credit comes back");
    peer_free(peer);
}

Test(delivery, a_half_sent_one_is_aborted_on_the_wire)
{
    static uint8_t large[5000];
    struct peer *peer = sender_peer(512, 10);
    rh_delivery *delivery;
    rh_iov       iov[4];
    cr_assert_eq(end_send_bytes(&peer->end, large, sizeof large, false, &delivery), RH_OK);
    cr_assert_eq(end_send(&peer->end, "next", false), RH_OK);
    rh_engine_output(peer->end.engine, iov, 4);
    cr_expect_eq(rh_delivery_abort(delivery), RH_OK);
    peer_hear(peer);
    rh_amqp_transfer transfer;
    uint32_t         n = peer_heard_count(peer, RH_AMQP_TRANSFER);
    cr_assert(peer_heard(peer, RH_AMQP_TRANSFER, n - 2, &transfer));
    cr_expect(transfer.aborted);
    cr_assert(peer_heard(peer, RH_AMQP_TRANSFER, n - 1, &transfer));
    cr_expect_eq(transfer.delivery_id, 1);
    cr_expect_eq(peer->end.outcomes[RH_DROPPED], 1);
    peer_free(peer);
}

Test(delivery, an_aborted_delivery_is_forgotten_by_the_receiver)
{
    static uint8_t large[5000];
    struct pair *pair = PAIR(.server.max_frame_size = 512, .window = 3);
    rh_delivery *delivery;
    pair->server.mute = true;
    cr_assert_eq(end_send_bytes(&pair->client, large, sizeof large, false, &delivery), RH_OK);
    pair_run(pair); /* three frames leave, the window is shut */
    cr_expect_eq(rh_delivery_abort(delivery), RH_OK);
    cr_assert_eq(end_send(&pair->client, "whole", false), RH_OK);
    pair->server.mute = false;
    pair_run(pair);
    cr_expect_eq(pair->server.count[ON_DELIVERY], 1);
    cr_expect_arr_eq(pair->server.last, "whole", 5);
    cr_expect_eq(pair->client.outcomes[RH_DROPPED], 1);
    cr_expect_eq(pair->client.outcomes[RH_ACCEPTED], 1);
    pair_free(pair);
}

Test(delivery, one_that_is_aborted_gives_its_credit_back)
{
    struct peer *peer = receiver_peer(0, 1);
    peer->end.credit  = 0; /* its owner renews nothing, for it is told nothing */
    for (uint32_t id = 0; id < 6; id += 2) {
        say_part(peer, id, true, false, "half");
        say_part(peer, id, false, true, "");
        cr_expect_eq(rh_link_credit_left(peer->end.link), 1);
        say_part(peer, id + 1, false, true, "aborted in its first frame");
        cr_expect_eq(rh_link_credit_left(peer->end.link), 1);
    }
    rh_amqp_flow flow;
    cr_assert(peer_heard(peer, RH_AMQP_FLOW, peer_heard_count(peer, RH_AMQP_FLOW) - 1, &flow));
    cr_expect_eq(flow.link_credit, 1, "and the sender hears of it");
    say_part(peer, 6, false, false, "whole");
    cr_expect_eq(peer->end.count[ON_DELIVERY], 1);
    cr_expect_eq(peer->end.count[ON_DETACH], 0);
    cr_expect_eq(rh_link_credit_left(peer->end.link), 0);
    peer_free(peer);
}

Test(delivery, one_that_is_aborted_may_end_a_drain)
{
    struct peer *peer = receiver_peer(0, 2);
    peer->end.credit  = 0;
    cr_assert_eq(rh_link_drain(peer->end.link), RH_OK);
    say_part(peer, 0, false, true, "");
    cr_expect_eq(peer->end.count[ON_DRAINED], 0, "one may still come");
    say_part(peer, 1, false, true, "");
    cr_expect_eq(peer->end.count[ON_DRAINED], 1);
    cr_expect_eq(rh_link_credit_left(peer->end.link), 0);
    peer_free(peer);
}

Test(delivery, one_that_left_cannot_be_taken_back)
{
    struct peer *peer = sender_peer(65536, 10);
    rh_delivery *delivery;
    cr_assert_eq(end_send_bytes(&peer->end, "x", 1, false, &delivery), RH_OK);
    peer_hear(peer);
    cr_expect_eq(rh_delivery_abort(delivery), RH_E_STATE);
    peer_free(peer);
}

Test(delivery, a_peer_that_settles_half_a_delivery_gets_no_more_of_it)
{
    static uint8_t large[5000];
    struct peer *peer = sender_peer(512, 10);
    rh_iov       iov[4];
    size_t       n = 0;
    cr_assert_eq(end_send_bytes(&peer->end, large, sizeof large, false, NULL), RH_OK);
    size_t count = rh_engine_output(peer->end.engine, iov, 4);
    for (size_t i = 0; i < count; i++) n += iov[i].n;
    rh_engine_sent(peer->end.engine, n, peer->now);
    rh_amqp_disposition disposition = { .has = RH_HAS_DISPOSITION_ROLE | RH_HAS_DISPOSITION_FIRST | RH_HAS_DISPOSITION_SETTLED, .role = true, .settled = true,
                                        .state = rh_slice_of("\x00\x53\x26\x45", 4) };
    peer_say(peer, 0, RH_AMQP_DISPOSITION, &disposition);
    cr_expect_eq(peer->end.outcomes[RH_RELEASED], 1);
    peer_hear(peer);
    rh_amqp_transfer transfer;
    cr_assert(peer_heard(peer, RH_AMQP_TRANSFER, peer_heard_count(peer, RH_AMQP_TRANSFER) - 1, &transfer));
    cr_expect(transfer.aborted);
    peer_free(peer);
}

/* -- in ---------------------------------------------------------------------------------------- */

Test(delivery, frames_are_put_together_once)
{
    struct peer *peer = receiver_peer(0, 10);
    say_part(peer, 0, true, false, "one ");
    say_part(peer, 0, true, false, "");
    say_part(peer, 0, false, false, "two");
    cr_expect_eq(peer->end.count[ON_DELIVERY], 1);
    cr_expect_eq(peer->end.last_n, 7);
    cr_expect_arr_eq(peer->end.last, "one two", 7);
    cr_expect(peer->end.incoming.gathered);
    cr_expect_eq(peer->end.incoming.payload.p, peer->end.gather);
    cr_expect_eq(peer->end.count[ON_GATHER], 0, "the buffer was there");
    peer_free(peer);
}

Test(delivery, the_first_frame_needs_a_name)
{
    for (int without = 0; without < 3; without++) {
        struct peer     *peer     = receiver_peer(0, 10);
        rh_amqp_transfer transfer = transfer_to(0, 0, false);
        static const char tag[33];
        if (without == 0) transfer.has &= ~(uint32_t)RH_HAS_TRANSFER_DELIVERY_ID;
        if (without == 1) transfer.delivery_tag = rh_slice_of(NULL, 0);
        if (without == 2) transfer.delivery_tag = rh_slice_of(tag, 33);
        peer_say_transfer(peer, &transfer, "x");
        peer_hear(peer);
        cr_expect_str_eq(peer_heard_condition(peer, RH_AMQP_DETACH), "amqp:invalid-field", "%d", without);
        cr_expect_eq(peer->end.count[ON_DELIVERY], 0);
        peer_free(peer);
    }
}

Test(delivery, another_delivery_inside_one_is_not_allowed)
{
    struct peer *peer = receiver_peer(0, 10);
    say_part(peer, 0, true, false, "a");
    say_part(peer, 1, true, false, "b");
    cr_expect_str_eq(peer_heard_condition(peer, RH_AMQP_DETACH), "amqp:not-allowed");
    peer_free(peer);
}

Test(delivery, later_frames_may_leave_the_names_out)
{
    struct peer     *peer = receiver_peer(0, 10);
    rh_amqp_transfer rest = { .has = RH_HAS_TRANSFER_HANDLE | RH_HAS_TRANSFER_SETTLED, .settled = true };
    say_part(peer, 5, true, false, "a");
    peer_say_transfer(peer, &rest, "b");
    cr_expect_eq(peer->end.count[ON_DELIVERY], 1);
    cr_expect_eq(peer->end.incoming.delivery_id, 5);
    cr_expect(peer->end.incoming.settled, "settled by any of its frames");
    peer_free(peer);
}

Test(delivery, an_abort_makes_room_for_the_next)
{
    struct peer *peer = receiver_peer(0, 10);
    say_part(peer, 0, true, false, "lost");
    say_part(peer, 0, false, true, "");
    say_part(peer, 1, false, false, "kept");
    cr_expect_eq(peer->end.count[ON_DELIVERY], 1);
    cr_expect_arr_eq(peer->end.last, "kept", 4);
    peer_free(peer);
}

/* B15: an endless delivery costs the gather buffer and not a byte more. */
Test(delivery, endless_frames_end_with_the_announced_size)
{
    struct peer *peer  = receiver_peer(1000, 10);
    peer->end.gather_n = 4000;
    int frames = 0;
    while (peer->end.count[ON_DETACH] == 0 && frames < 1000) {
        say_part(peer, 0, true, false, "ten bytes.");
        frames++;
    }
    cr_expect_eq(frames, 101);
    cr_expect_eq(peer->end.detached.status, RH_E_MESSAGE_SIZE);
    cr_expect_str_eq(peer_heard_condition(peer, RH_AMQP_DETACH), "amqp:link:message-size-exceeded");
    peer_free(peer);
}

Test(delivery, a_gather_buffer_that_is_too_small_is_a_limit_too)
{
    for (size_t n = 0; n < 25; n++) {
        struct peer *peer = peer_new(RH_ENGINE_OPTS(.server = true));
        uint8_t     *whole = peer->end.gather;
        peer->end.credit   = 10;
        peer->end.gather_n = n;
        peer->end.gather   = n ? malloc(n) : NULL; /* exactly: the sanitizer sees a byte too many */
        peer_open(peer, 65536, 0);
        peer_begin(peer, 0, 1000);
        peer_attach(peer, 0, 0, "l", false);
        say_part(peer, 0, true, false, "ten bytes.");
        say_part(peer, 0, false, false, "ten bytes.");
        cr_expect_eq(peer->end.count[ON_DELIVERY], n >= 20 ? 1 : 0, "%zu", n);
        cr_expect_eq(peer->end.count[ON_DETACH] + (n >= 20), 1, "%zu", n);
        free(peer->end.gather);
        peer->end.gather = whole;
        peer_free(peer);
    }
}

Test(delivery, a_single_frame_needs_no_gather_buffer_but_obeys_the_size)
{
    struct peer *peer = receiver_peer(5, 10);
    say_part(peer, 0, false, false, "12345");
    cr_expect_eq(peer->end.count[ON_DELIVERY], 1);
    cr_expect_not(peer->end.incoming.gathered);
    say_part(peer, 1, false, false, "123456");
    cr_expect_eq(peer->end.detached.status, RH_E_MESSAGE_SIZE);
    peer_free(peer);
}

Test(delivery, the_gather_buffer_may_come_with_the_first_frame)
{
    struct peer *peer      = peer_new(RH_ENGINE_OPTS(.server = true));
    peer->end.gathers_late = true;
    peer->end.credit       = 10;
    peer_open(peer, 65536, 0);
    peer_begin(peer, 0, 1000);
    peer_attach(peer, 0, 0, "l", false);
    say_part(peer, 0, true, false, "a");
    cr_expect_eq(peer->end.count[ON_GATHER], 1);
    say_part(peer, 0, false, false, "b");
    cr_expect_eq(peer->end.count[ON_DELIVERY], 1);
    peer_free(peer);
}

static uint8_t other_buffer[64];

static void keep_payload(struct end *end, enum event event, void *handle)
{
    (void)end;
    if (event == ON_DELIVERY) cr_expect_eq(rh_link_gather(handle, other_buffer, sizeof other_buffer), RH_OK);
}

Test(delivery, a_gathered_payload_is_kept_by_giving_another_buffer)
{
    struct peer *peer = receiver_peer(0, 10);
    peer->end.hook    = keep_payload;
    say_part(peer, 0, true, false, "ke");
    cr_expect_eq(rh_link_gather(peer->end.link, other_buffer, sizeof other_buffer), RH_E_STATE, "not in the middle");
    say_part(peer, 0, false, false, "pt");
    say_part(peer, 1, true, false, "ne");
    say_part(peer, 1, false, false, "xt");
    cr_expect_arr_eq(peer->end.gather, "kept", 4);
    cr_expect_arr_eq(other_buffer, "next", 4);
    peer_free(peer);
}

/* A receiver that rejects what is too large, as the service does, and keeps the link. */
Test(delivery, an_oversized_one_is_swallowed_and_rejected_where_asked)
{
    struct peer *peer = peer_new(RH_ENGINE_OPTS(.server = true));
    peer->end.waits   = true;
    peer->end.settles = false;
    peer_open(peer, 65536, 0);
    peer_begin(peer, 0, 1000);
    peer_attach(peer, 0, 0, "l", false);
    cr_assert_eq(rh_link_accept(peer->end.link, &(rh_link_opts){ .target = &(rh_amqp_target){ .has = 0 }, .max_message_size = 15, .reject_oversize = true,
                                                                 .gather = peer->end.gather, .gather_n = 12 }), RH_OK);
    cr_assert_eq(rh_link_credit(peer->end.link, 10), RH_OK);
    say_part(peer, 0, false, false, "this one is single and too large");
    say_part(peer, 1, true, false, "ten bytes.");
    say_part(peer, 1, true, false, "ten bytes.");
    say_part(peer, 1, false, false, "the rest");
    say_part(peer, 2, true, false, "ten bytes.");
    say_part(peer, 2, false, false, "+3.");
    say_part(peer, 3, false, false, "fits");
    cr_expect_eq(peer->end.count[ON_DELIVERY], 1);
    cr_expect_arr_eq(peer->end.last, "fits", 4);
    cr_expect_eq(rh_link_credit_left(peer->end.link), 9, "its owner heard of one, and renews the credit of no other");
    cr_expect_eq(peer->end.count[ON_DETACH], 0);
    cr_expect_eq(peer_heard_count(peer, RH_AMQP_DISPOSITION), 3);
    rh_amqp_disposition disposition;
    rh_amqp_rejected    rejected;
    rh_amqp_error       error;
    cr_assert(peer_heard(peer, RH_AMQP_DISPOSITION, 1, &disposition));
    cr_expect_eq(disposition.first, 1);
    cr_assert_eq(rh_amqp_rejected_view(disposition.state, &rejected), RH_OK);
    cr_assert_eq(rh_amqp_error_view(rejected.error, &error), RH_OK);
    cr_expect(rh_slice_is(error.condition, "amqp:link:message-size-exceeded"));
    peer_free(peer);
}

Test(delivery, resuming_is_not_offered)
{
    struct peer     *peer     = receiver_peer(0, 10);
    rh_amqp_transfer transfer = transfer_to(0, 0, false);
    transfer.has |= RH_HAS_TRANSFER_RESUME;
    transfer.resume = true;
    peer_say_transfer(peer, &transfer, "x");
    peer_hear(peer);
    cr_expect_str_eq(peer_heard_condition(peer, RH_AMQP_DETACH), "amqp:not-allowed");
    cr_expect_eq(peer->end.count[ON_DELIVERY], 0);
    peer_free(peer);
}

Test(delivery, the_last_credit_carries_all_frames_of_a_delivery)
{
    static uint8_t large[2000];
    struct peer   *peer = sender_peer(512, 1);
    cr_assert_eq(end_send_bytes(&peer->end, large, sizeof large, false, NULL), RH_OK);
    cr_expect_eq(end_send(&peer->end, "no more", false), RH_AGAIN);
    peer_hear(peer);
    cr_expect_eq(peer_heard_count(peer, RH_AMQP_TRANSFER), 5);
    peer_free(peer);
}

Test(delivery, a_tag_has_up_to_32_bytes_and_is_sent_as_given)
{
    static const char tag[] = "0123456789abcdef0123456789ABCDEF";
    struct peer *peer = sender_peer(65536, 3);
    rh_slice     part = rh_str("x");
    cr_assert_eq(rh_link_send(peer->end.link, &(rh_transfer){ .parts = &part, .part_count = 1, .tag = rh_str(tag) }, NULL), RH_OK);
    cr_assert_eq(end_send(&peer->end, "x", false), RH_OK);
    cr_assert_eq(end_send(&peer->end, "x", false), RH_OK);
    peer_hear(peer);
    rh_amqp_transfer given, first, second;
    cr_assert(peer_heard(peer, RH_AMQP_TRANSFER, 0, &given));
    cr_assert(peer_heard(peer, RH_AMQP_TRANSFER, 1, &first));
    cr_assert(peer_heard(peer, RH_AMQP_TRANSFER, 2, &second));
    cr_expect(rh_slice_is(given.delivery_tag, tag));
    cr_expect_not(rh_slice_equal(first.delivery_tag, second.delivery_tag), "the engine's own differ");
    peer_free(peer);
}

Test(delivery, a_rejection_that_cannot_be_read_ends_the_connection)
{
    static const uint8_t states[][10] = { { 0x00, 0x53, 0x25, 0xc0, 0x02, 0x01, 0x41 }, { 0x00, 0x53, 0x25, 0xc0, 0x05, 0x01, 0x00, 0x53, 0x1d, 0x45 } };
    for (size_t i = 0; i < 2; i++) {
        struct peer        *peer        = sender_peer(65536, 3);
        rh_amqp_disposition disposition = { .has = RH_HAS_DISPOSITION_ROLE | RH_HAS_DISPOSITION_FIRST | RH_HAS_DISPOSITION_SETTLED, .role = true, .settled = true };
        disposition.state               = rh_slice_of(states[i], i ? 10 : 7);
        cr_assert_eq(end_send(&peer->end, "x", false), RH_OK);
        peer_hear(peer);
        peer_say(peer, 0, RH_AMQP_DISPOSITION, &disposition);
        peer_hear(peer);
        cr_expect_eq(peer->end.count[ON_CLOSE], 1, "%zu", i);
        cr_expect_eq(peer->end.outcomes[RH_UNKNOWN], 1, "%zu", i);
        peer_free(peer);
    }
}

/* Every delivery of a long random life is told once, whatever happens to it. */
Test(delivery, each_one_ends_exactly_once, .timeout = 60)
{
    for (uint32_t seed = 1; seed <= 200; seed++) {
        struct pair   *pair = PAIR(.client.deliveries = 16, .server.max_frame_size = 512, .window = 4, .credit = 6, .client.first_id = seed * 0x9e3779b9u);
        static uint8_t large[3000];
        uint32_t       random = seed, sent = 0;
        rh_delivery   *last = NULL;
        for (int step = 0; step < 60; step++) {
            random = random * 1664525u + 1013904223u;
            uint32_t dice = random >> 24;
            if (dice < 130) sent += end_send_bytes(&pair->client, large, 1 + random % sizeof large, dice & 1, &last) == RH_OK;
            else if (dice < 150) (void)rh_delivery_abort(last);
            else if (dice < 200) pair_run(pair);
            else if (dice < 210) pair->server.mute = !pair->server.mute;
            else if (dice < 220) pair->server.settles = !pair->server.settles;
            else if (dice < 224) (void)rh_link_detach(pair->client.link, true, NULL, NULL);
            else if (dice < 226) (void)rh_session_end(pair->server.session, NULL, NULL);
            else if (dice < 227) (void)rh_engine_close(pair->server.engine, "amqp:connection:forced", NULL);
            else if (dice < 228) rh_engine_lost(pair->client.engine, NULL);
        }
        pair->server.mute = false;
        pair_run(pair);
        rh_engine_lost(pair->client.engine, NULL);
        rh_engine_lost(pair->server.engine, NULL);
        pair_run(pair);
        cr_assert_eq(pair->client.count[ON_OUTCOME], sent, "seed %u: %u sent, %u told", seed, sent, pair->client.count[ON_OUTCOME]);
        cr_assert_eq(pair->client.count[ON_CLOSE], 1, "seed %u", seed);
        cr_assert_eq(pair->client.count[ON_END], 1, "seed %u", seed);
        cr_assert_eq(pair->client.count[ON_DETACH], 1, "seed %u", seed);
        cr_assert_eq(pair->server.count[ON_CLOSE], 1, "seed %u", seed);
        pair_free(pair);
    }
}
