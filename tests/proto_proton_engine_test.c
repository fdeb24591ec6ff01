/**
 * A stranger on the other side: qpid-proton's engine talks to ours in memory, in both roles, over every
 * part of the protocol that both have.
 */
#include "tests/pair.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#include <proton/condition.h>
#include <proton/connection.h>
#include <proton/connection_driver.h>
#include <proton/delivery.h>
#include <proton/disposition.h>
#include <proton/event.h>
#include <proton/link.h>
#include <proton/sasl.h>
#include <proton/session.h>
#include <proton/terminus.h>
#include <proton/transport.h>

enum { DELIVERIES = 1000, LARGE = 5000 };

struct stranger {
    pn_connection_driver_t driver;
    struct end             end; /* ours */
    rh_time                now;
    pn_link_t             *link;
    uint32_t received, accepted, released, finals, to_send, sent;
    uint64_t received_bytes, received_sum;
    bool     sender, closed, transport_error;
    char     condition[64];
    uint8_t *buffer;
};

static size_t size_of(uint32_t i)
{
    return i % 10 == 9 ? LARGE : 1 + i % 50;
}

static uint8_t byte_of(uint32_t i, size_t at)
{
    return (uint8_t)(i * 7 + at * 13);
}

static void fill(uint8_t *p, uint32_t i)
{
    for (size_t at = 0; at < size_of(i); at++) p[at] = byte_of(i, at);
}

static void stranger_sends(struct stranger *s)
{
    while (s->sent < s->to_send && pn_link_credit(s->link) > 0) {
        uint8_t tag[4] = { (uint8_t)(s->sent >> 24), (uint8_t)(s->sent >> 16), (uint8_t)(s->sent >> 8), (uint8_t)s->sent };
        pn_delivery_t *delivery = pn_delivery(s->link, pn_dtag((const char *)tag, sizeof tag));
        fill(s->buffer, s->sent);
        pn_link_send(s->link, (const char *)s->buffer, size_of(s->sent));
        pn_link_advance(s->link);
        if (s->sent % 3 == 0) pn_delivery_settle(delivery);
        s->sent++;
    }
}

static void stranger_receives(struct stranger *s, pn_delivery_t *delivery)
{
    if (!pn_delivery_readable(delivery) || pn_delivery_partial(delivery)) return;
    ssize_t n = pn_link_recv(pn_delivery_link(delivery), (char *)s->buffer, 1 << 16);
    for (ssize_t i = 0; i < n; i++) s->received_sum = s->received_sum * 31 + s->buffer[i];
    s->received_bytes += n > 0 ? (uint64_t)n : 0;
    pn_delivery_update(delivery, s->received % 5 == 4 ? PN_RELEASED : PN_ACCEPTED);
    pn_delivery_settle(delivery);
    s->received++;
    pn_link_flow(s->link, 1);
}

static void stranger_told(struct stranger *s, pn_delivery_t *delivery)
{
    if (!pn_delivery_updated(delivery)) return;
    s->accepted += pn_delivery_remote_state(delivery) == PN_ACCEPTED;
    s->finals += pn_delivery_settled(delivery);
    pn_delivery_settle(delivery);
}

static void stranger_handles(struct stranger *s, pn_event_t *event)
{
    switch (pn_event_type(event)) {
    case PN_CONNECTION_REMOTE_OPEN: pn_connection_open(s->driver.connection); break;
    case PN_SESSION_REMOTE_OPEN: pn_session_open(pn_event_session(event)); break;
    case PN_LINK_REMOTE_OPEN:
        s->link = pn_event_link(event);
        if (pn_link_state(s->link) & PN_LOCAL_UNINIT) {
            pn_terminus_copy(pn_link_source(s->link), pn_link_remote_source(s->link));
            pn_terminus_copy(pn_link_target(s->link), pn_link_remote_target(s->link));
            pn_link_open(s->link);
        }
        if (pn_link_is_receiver(s->link)) pn_link_flow(s->link, 50);
        break;
    case PN_LINK_FLOW:
        if (pn_link_is_sender(s->link)) stranger_sends(s);
        break;
    case PN_DELIVERY:
        if (pn_link_is_receiver(pn_event_link(event))) stranger_receives(s, pn_event_delivery(event));
        else stranger_told(s, pn_event_delivery(event));
        break;
    case PN_LINK_REMOTE_CLOSE: pn_link_close(pn_event_link(event)); break;
    case PN_SESSION_REMOTE_CLOSE: pn_session_close(pn_event_session(event)); break;
    case PN_CONNECTION_REMOTE_CLOSE:
        s->closed = true;
        if (pn_condition_is_set(pn_connection_remote_condition(s->driver.connection)))
            strncpy(s->condition, pn_condition_get_name(pn_connection_remote_condition(s->driver.connection)), sizeof s->condition - 1);
        pn_connection_close(s->driver.connection);
        break;
    case PN_TRANSPORT_ERROR: s->transport_error = true; break;
    default: break;
    }
}

static bool events(struct stranger *s)
{
    pn_event_t *event;
    bool        any = false;
    while ((event = pn_connection_driver_next_event(&s->driver))) {
        stranger_handles(s, event);
        any = true;
    }
    return any;
}

/* Bytes both ways until neither has any. */
static void talk(struct stranger *s)
{
    static uint8_t inbox[1 << 20];
    static size_t  held;
    for (int idle = 0; idle < 3;) {
        bool progress = events(s);
        pn_bytes_t out = pn_connection_driver_write_buffer(&s->driver);
        if (out.size > 0) {
            memcpy(inbox + held, out.start, out.size);
            held += out.size;
            pn_connection_driver_write_done(&s->driver, out.size);
            progress = true;
        }
        size_t used = end_feed(&s->end, inbox, held, s->now);
        memmove(inbox, inbox + used, held - used);
        held -= used;
        size_t   n, at = 0;
        uint8_t *bytes = end_take(&s->end, &n, s->now);
        while (at < n) {
            pn_rwbytes_t room = pn_connection_driver_read_buffer(&s->driver);
            size_t       part = room.size < n - at ? room.size : n - at;
            if (part == 0 && !events(s)) break;
            if (part) memcpy(room.start, bytes + at, part);
            pn_connection_driver_read_done(&s->driver, part);
            at += part;
            events(s);
        }
        free(bytes);
        if (rh_engine_deadline(s->end.engine) <= s->now) rh_engine_tick(s->end.engine, s->now);
        idle = progress || n > 0 || used > 0 ? 0 : idle + 1;
    }
    held = rh_engine_is_closed(s->end.engine) ? 0 : held;
}

static struct stranger *stranger_new(bool we_serve, bool sasl)
{
    struct stranger *s = calloc(1, sizeof *s);
    rh_engine_opts   opts = { .server = we_serve, .sasl = sasl ? RH_SASL_ANONYMOUS : RH_SASL_NONE, .max_frame_size = 1024, .container_id = rh_str("ours"), .deliveries = 64 };
    pn_connection_driver_init(&s->driver, NULL, NULL);
    pn_transport_set_max_frame(s->driver.transport, 1024);
    pn_connection_set_container(s->driver.connection, "proton");
    s->buffer = malloc(1 << 16);
    s->now    = RH_SECONDS(1);
    end_init(&s->end, "ours", &opts);
    s->end.credit = 40;
    if (!we_serve) pn_transport_set_server(s->driver.transport);
    if (sasl) {
        pn_sasl_allowed_mechs(pn_sasl(s->driver.transport), "ANONYMOUS");
        if (!we_serve) pn_transport_require_auth(s->driver.transport, true);
    }
    if (we_serve) pn_connection_open(s->driver.connection);
    return s;
}

static void stranger_free(struct stranger *s)
{
    pn_connection_driver_destroy(&s->driver);
    end_fini(&s->end);
    free(s->buffer);
    free(s);
}

static void open_theirs(struct stranger *s, bool sender)
{
    pn_session_t *session = pn_session(s->driver.connection);
    pn_session_open(session);
    s->link = sender ? pn_sender(session, "theirs") : pn_receiver(session, "theirs");
    pn_terminus_set_address(pn_link_source(s->link), "source");
    pn_terminus_set_address(pn_link_target(s->link), "target");
    pn_link_open(s->link);
    talk(s);
}

static void open_ours(struct stranger *s, bool receiver)
{
    cr_assert_eq(end_begin(&s->end, NULL), RH_OK);
    cr_assert_eq(end_attach(&s->end, "ours", receiver), RH_OK);
    talk(s);
    cr_assert_eq(s->end.count[ON_ATTACH], 1);
}

static uint64_t sum_of_all(uint64_t *bytes)
{
    uint64_t sum = 0;
    *bytes       = 0;
    for (uint32_t i = 0; i < DELIVERIES; i++)
        for (size_t at = 0; at < size_of(i); at++, ++*bytes) sum = sum * 31 + byte_of(i, at);
    return sum;
}

static void close_and_check(struct stranger *s, bool ours)
{
    if (ours) (void)rh_engine_close(s->end.engine, NULL, NULL);
    else pn_connection_close(s->driver.connection);
    talk(s);
    cr_expect(s->closed);
    cr_expect_not(s->transport_error);
    cr_expect_str_eq(s->condition, "");
    cr_expect_eq(s->end.closed.status, RH_OK, "%s", s->end.closed.description);
    cr_expect(rh_engine_is_closed(s->end.engine));
}

static void they_send(struct stranger *s)
{
    uint64_t bytes, sum = sum_of_all(&bytes);
    s->to_send = DELIVERIES;
    stranger_sends(s);
    talk(s);
    cr_expect_eq(s->end.count[ON_DELIVERY], DELIVERIES);
    cr_expect_eq(s->end.payload_bytes, bytes);
    cr_expect_eq(s->end.payload_sum, sum);
    cr_expect_eq(s->accepted, DELIVERIES - (DELIVERIES + 2) / 3, "every third was sent settled");
}

/* Our payloads are lent until their outcome, so each has memory of its own. */
static void we_send(struct stranger *s)
{
    static uint8_t payloads[DELIVERIES][LARGE];
    uint64_t       bytes, sum = sum_of_all(&bytes);
    for (uint32_t i = 0; i < DELIVERIES; i++) {
        fill(payloads[i], i);
        rh_status status;
        while ((status = end_send_bytes(&s->end, payloads[i], size_of(i), i % 3 == 0, NULL)) == RH_AGAIN) {
            uint32_t before = s->received;
            talk(s);
            cr_assert_gt(s->received, before, "stalled at %u", i);
        }
        cr_assert_eq(status, RH_OK);
    }
    talk(s);
    cr_expect_eq(s->received, DELIVERIES);
    cr_expect_eq(s->received_bytes, bytes);
    cr_expect_eq(s->received_sum, sum);
    cr_expect_eq(s->end.outcomes[RH_SENT], (DELIVERIES + 2) / 3);
    cr_expect_gt(s->end.outcomes[RH_RELEASED], 0);
    cr_expect_eq(s->end.outcomes[RH_SENT] + s->end.outcomes[RH_ACCEPTED] + s->end.outcomes[RH_RELEASED], DELIVERIES);
}

Test(proton_engine, a_proton_client_sends_to_our_server)
{
    struct stranger *s = stranger_new(true, true);
    open_theirs(s, true);
    they_send(s);
    pn_link_close(s->link);
    talk(s);
    cr_expect_eq(s->end.count[ON_DETACH], 1);
    close_and_check(s, false);
    stranger_free(s);
}

Test(proton_engine, a_proton_client_receives_from_our_server)
{
    struct stranger *s = stranger_new(true, false);
    open_theirs(s, false);
    we_send(s);
    cr_expect_eq(rh_session_end(s->end.session, NULL, NULL), RH_OK);
    talk(s);
    cr_expect_eq(s->end.count[ON_END], 1);
    close_and_check(s, true);
    stranger_free(s);
}

Test(proton_engine, our_client_sends_to_a_proton_server)
{
    struct stranger *s = stranger_new(false, true);
    open_ours(s, false);
    we_send(s);
    cr_expect_eq(rh_link_detach(s->end.link, true, NULL, NULL), RH_OK);
    talk(s);
    cr_expect_eq(s->end.count[ON_DETACH], 1);
    close_and_check(s, true);
    stranger_free(s);
}

Test(proton_engine, our_client_receives_from_a_proton_server)
{
    struct stranger *s = stranger_new(false, false);
    open_ours(s, true);
    they_send(s);
    close_and_check(s, false);
    stranger_free(s);
}

Test(proton_engine, an_error_of_ours_reaches_proton_with_its_condition)
{
    struct stranger *s = stranger_new(true, true);
    open_theirs(s, true);
    (void)rh_engine_close(s->end.engine, "amqp:connection:forced", "maintenance");
    talk(s);
    cr_expect_str_eq(s->condition, "amqp:connection:forced");
    cr_expect_eq(s->end.count[ON_CLOSE], 1);
    stranger_free(s);
}

Test(proton_engine, draining_works_both_ways)
{
    struct stranger *s = stranger_new(true, false);
    open_theirs(s, false);
    pn_link_drain(s->link, 10);
    talk(s);
    cr_expect_eq(pn_link_credit(s->link), 0, "we gave the credit back");
    stranger_free(s);

    s = stranger_new(true, false);
    open_theirs(s, true);
    cr_expect_eq(rh_link_drain(s->end.link), RH_OK);
    talk(s);
    pn_link_drained(s->link);
    talk(s);
    cr_expect_eq(s->end.count[ON_DRAINED], 1);
    stranger_free(s);
}
