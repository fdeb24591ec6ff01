/*
 * The floor of a stream: what sending and receiving the reference event over AMQP costs somebody who writes nothing but
 * this, on blocking sockets. Events are encoded and decoded by floor/codec.c, connections opened by floor/amqp.c; here are
 * the frames in between. Not a product: it trusts its peer with everything.
 */
#include "bench/codec.h"
#include "bench/floor/amqp.h"
#include "bench/lines.h"

#include <openssl/ssl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define FRAME      65536u          /* the null peer's largest */
#define HEADER     33u             /* of a frame: its header and a transfer of six fields */
#define ROOM       (FRAME - HEADER)
#define WRITE      (256u * 1024)
#define READ       (256u * 1024)
#define FRAMES_MAX 32              /* of one message */
#define CREDIT     5000u
#define SETTLE     500u            /* deliveries acknowledged at once */
#define AHEAD      3u              /* batches without outcome */
#define AHEAD_ONES 2000u           /* single events likewise */

static struct {
    rh_order         order;
    int              fd;
    SSL_CTX         *context;
    SSL             *tls;
    uint8_t         *body;    /* of events that have not the reference's size */
    uint8_t         *bytes;   /* encoded; frames on their way in */
    size_t           held;    /* receive: of a frame that is not whole */
    uint8_t         *gather;  /* receive: a delivery of several frames */
    size_t           gathered;
    uint8_t         *flat;    /* TLS: headers and payload side by side */
    uint32_t         next;    /* delivery */
    uint32_t         granted, settled, received;
    rh_floor_answers answers;
} pump = { .fd = -1 };

/* -- bytes ----------------------------------------------------------------------------------- */

static bool write_all(void *user, const uint8_t *p, size_t n)
{
    (void)user;
    while (n > 0) {
        ssize_t part = pump.tls ? SSL_write(pump.tls, p, (int)n) : send(pump.fd, p, n, MSG_NOSIGNAL);
        if (part <= 0) return false;
        p += part;
        n -= (size_t)part;
    }
    return true;
}

/* What is there, at least one byte; 0 at the end. */
static size_t read_some(uint8_t *p, size_t n)
{
    ssize_t part = pump.tls ? SSL_read(pump.tls, p, (int)n) : recv(pump.fd, p, n, 0);
    return part > 0 ? (size_t)part : 0;
}

static bool read_all(void *user, uint8_t *p, size_t n)
{
    (void)user;
    while (n > 0) {
        size_t part = read_some(p, n);
        if (part == 0) return false;
        p += part;
        n -= part;
    }
    return true;
}

static bool write_pieces(struct iovec *pieces, int count)
{
    if (pump.tls) {
        size_t n = 0;
        for (int i = 0; i < count; n += pieces[i++].iov_len) memcpy(pump.flat + n, pieces[i].iov_base, pieces[i].iov_len);
        return write_all(NULL, pump.flat, n);
    }
    while (count > 0) {
        ssize_t part = writev(pump.fd, pieces, count);
        if (part <= 0) return false;
        for (; count > 0 && (size_t)part >= pieces->iov_len; pieces++, count--) part -= (ssize_t)pieces->iov_len;
        if (count > 0) {
            pieces->iov_base = (uint8_t *)pieces->iov_base + part;
            pieces->iov_len -= (size_t)part;
        }
    }
    return true;
}

/* -- out ------------------------------------------------------------------------------------- */

static void put_header(uint8_t *p, size_t n, uint32_t delivery, uint32_t format, bool more)
{
    /* handle 0, delivery-id, a tag of one byte, message-format, settled, more */
    static const uint8_t form[] = "\0\0\0\0\x02\0\0\0\0\x53\x14\xc0\x14\x06\x43\x70\0\0\0\0\xa0\x04\0\0\0\0\x70\0\0\0\0\x42\x42";
    memcpy(p, form, HEADER);
    rh_put32(p, (uint32_t)(HEADER + n));
    rh_put32(p + 16, delivery);
    rh_put32(p + 22, delivery);
    rh_put32(p + 27, format);
    if (pump.order.settled) p[31] = 0x41;
    if (more) p[32] = 0x41;
}

static size_t encode(uint8_t *to, uint64_t i)
{
    rh_reference_event event = *rh_reference_event_at(i % RH_REFERENCE_COUNT);
    if (pump.body) event.body = rh_slice_of(pump.body, pump.order.size);
    return rh_codec_hand.encode(to, SIZE_MAX, &event);
}

/* Outcomes that came; waits for one only when told to. */
static bool hear(bool wait)
{
    size_t room = sizeof pump.answers.bytes - pump.answers.n;
    if (pump.tls && !wait && !SSL_has_pending(pump.tls)) {
        struct pollfd ready = { pump.fd, POLLIN, 0 };
        if (poll(&ready, 1, 0) <= 0) return true;
    }
    if (pump.tls) {
        size_t n = read_some(pump.answers.bytes + pump.answers.n, room);
        return n > 0 && rh_floor_answered(&pump.answers, n);
    }
    ssize_t n = recv(pump.fd, pump.answers.bytes + pump.answers.n, room, wait ? 0 : MSG_DONTWAIT);
    return n < 0 ? !wait : n > 0 && rh_floor_answered(&pump.answers, (size_t)n);
}

/* A message at bytes[at], cut into frames behind those that are in the list; answers the list's length. */
static int cut(struct iovec *pieces, int count, size_t at, size_t n, uint32_t format)
{
    static uint8_t headers[FRAMES_MAX][HEADER];
    for (size_t end = at + n; at < end; count += 2) {
        size_t part = end - at < ROOM ? end - at : ROOM;
        put_header(headers[count / 2], part, pump.next, format, at + part < end);
        pieces[count]     = (struct iovec){ headers[count / 2], HEADER };
        pieces[count + 1] = (struct iovec){ pump.bytes + at, part };
        at += part;
    }
    pump.next++;
    return count;
}

static bool send_batch(uint64_t first, uint64_t count)
{
    uint8_t *p = pump.bytes;
    for (uint64_t i = 0; i < count; i++) {
        size_t n = encode(p + 8, first + i);
        rh_put32(p, 0x005375b0);
        rh_put32(p + 4, (uint32_t)n);
        p += 8 + n;
    }
    struct iovec pieces[2 * FRAMES_MAX];
    return write_pieces(pieces, cut(pieces, 0, 0, (size_t)(p - pump.bytes), RH_FORMAT_BATCH));
}

/* As many as fill one write, each in several frames. */
static uint64_t send_large(uint64_t first, uint64_t count)
{
    struct iovec pieces[2 * FRAMES_MAX];
    int          used = 0;
    uint64_t     done = 0;
    for (size_t at = 0, n; done < count && at < WRITE; done++, at += n) {
        n    = encode(pump.bytes + at, first + done);
        used = cut(pieces, used, at, n, RH_FORMAT_MESSAGE);
    }
    return write_pieces(pieces, used) ? done : 0;
}

/* As many as fill one write, each in its frame. */
static uint64_t send_singles(uint64_t first, uint64_t count)
{
    uint8_t *p    = pump.bytes;
    uint64_t done = 0;
    for (; done < count && (size_t)(p - pump.bytes) < WRITE; done++) {
        size_t n = encode(p + HEADER, first + done);
        put_header(p, n, pump.next++, RH_FORMAT_MESSAGE, false);
        p += HEADER + n;
    }
    return write_all(NULL, pump.bytes, (size_t)(p - pump.bytes)) ? done : 0;
}

static bool is_late(void)
{
    return !pump.order.settled && pump.next - pump.answers.settled >= (pump.order.batch > 1 ? AHEAD : AHEAD_ONES);
}

static const char *run_send(rh_turn *turn)
{
    bool fits = pump.order.size + RH_REFERENCE_SENT < ROOM;
    for (uint64_t done = 0, count; done < turn->events; done += count) {
        uint64_t left = turn->events - done;
        while (is_late() || pump.answers.credit == pump.next) {
            if (!hear(true)) return rh_lines_failed("the peer left");
        }
        if (pump.order.batch > 1) {
            count = left < pump.order.batch ? left : pump.order.batch;
            if (!send_batch(done, count)) return rh_lines_failed("the peer left");
        } else {
            uint64_t credit = pump.answers.credit - pump.next, most = left < credit ? left : credit;
            count           = fits ? send_singles(done, most) : send_large(done, most);
            if (count == 0) return rh_lines_failed("the peer left");
        }
        if (!hear(false)) return rh_lines_failed("the peer left");
    }
    while (!pump.order.settled && pump.answers.settled != pump.next) {
        if (!hear(true)) return rh_lines_failed("the peer left");
    }
    turn->bytes = turn->events * pump.order.size;
    return NULL;
}

/* -- in -------------------------------------------------------------------------------------- */

/* Acknowledges, and gives as much credit again. */
static bool settle(void)
{
    static const char flow[] = "\0\0\0\0\x02\0\0\0\0\x53\x13\xc0\0\x07\x70\0\0\0\0\x70\x7f\xff\xff\xff\x43\x70\x7f\xff\xff\xff\x43"
                               "\x70\0\0\0\0\x70\0\0\0\0";
    static const char accept[] = "\0\0\0\x1f\x02\0\0\0\0\x53\x15\xc0\x12\x05\x41\x70\0\0\0\0\x70\0\0\0\0\x41\0\x53\x24\x45";
    uint8_t bytes[sizeof flow + sizeof accept];
    size_t  n = 0;
    if (!pump.order.settled) {
        memcpy(bytes, accept, sizeof accept - 1);
        rh_put32(bytes, sizeof accept - 1);
        bytes[12] = (uint8_t)(sizeof accept - 1 - 13);
        rh_put32(bytes + 16, pump.settled);
        rh_put32(bytes + 21, pump.received - 1);
        n = sizeof accept - 1;
    }
    pump.settled = pump.received;
    if (pump.granted - pump.received <= CREDIT / 2) {
        uint8_t *p = bytes + n;
        memcpy(p, flow, sizeof flow - 1);
        rh_put32(p, sizeof flow - 1);
        p[12] = (uint8_t)(sizeof flow - 1 - 13);
        rh_put32(p + 15, pump.received);
        rh_put32(p + 32, pump.received);
        rh_put32(p + 37, CREDIT);
        pump.granted = pump.received + CREDIT;
        n += sizeof flow - 1;
    }
    return n == 0 || write_all(NULL, bytes, n);
}

static bool take_message(rh_slice message)
{
    rh_reference_view view;
    pump.received++;
    return rh_codec_hand.decode(message, &view) && view.body.n == pump.order.size;
}

/* The null peer's transfers: lists of one-byte sizes, `more` the sixth field. */
static bool take_frame(const uint8_t *p, size_t n)
{
    const uint8_t *field = p + 14, *payload = p + 13 + p[12];
    if (n < 16 || p[10] != 0x14) return n == 8 || p[10] == 0x13;
    for (int i = 0; i < 5; i++) {
        switch (*field) {
        case 0x70: field += 5; break;
        case 0x52: case 0x56: field += 2; break;
        case 0xa0: field += 2 + field[1]; break;
        default: field++;
        }
    }
    bool     more = *field == 0x41;
    rh_slice part = rh_slice_of(payload, n - (size_t)(payload - p));
    if (!more && pump.gathered == 0) return take_message(part);
    memcpy(pump.gather + pump.gathered, part.p, part.n);
    pump.gathered += part.n;
    if (more) return true;
    part          = rh_slice_of(pump.gather, pump.gathered);
    pump.gathered = 0;
    return take_message(part);
}

static bool take_frames(void)
{
    const uint8_t *p = pump.bytes, *end = p + pump.held;
    while (end - p >= 8 && (size_t)(end - p) >= rh_get32(p)) {
        if (!take_frame(p, rh_get32(p))) return false;
        p += rh_get32(p);
        if (pump.received - pump.settled >= SETTLE && !settle()) return false;
    }
    pump.held = (size_t)(end - p);
    if (pump.held) memmove(pump.bytes, p, pump.held);
    return true;
}

static const char *run_receive(rh_turn *turn)
{
    uint32_t from = pump.received;
    while (pump.received - from < turn->events) {
        size_t n = read_some(pump.bytes + pump.held, READ + FRAME - pump.held);
        if (n == 0) return rh_lines_failed("the peer left");
        pump.held += n;
        if (!take_frames()) return rh_lines_failed("an event is not what it should be");
    }
    turn->events = pump.received - from;
    turn->bytes  = turn->events * pump.order.size;
    return NULL;
}

/* -- open and close -------------------------------------------------------------------------- */

static void end(void)
{
    SSL_free(pump.tls);
    SSL_CTX_free(pump.context);
    if (pump.fd >= 0) close(pump.fd);
    free(pump.body);
    free(pump.bytes);
    free(pump.gather);
    free(pump.flat);
    memset(&pump, 0, sizeof pump);
    pump.fd = -1;
}

static bool secure(void)
{
    pump.context = SSL_CTX_new(TLS_client_method());
    if (!pump.context || SSL_CTX_load_verify_file(pump.context, pump.order.ca) != 1) return false;
    SSL_CTX_set_verify(pump.context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_read_ahead(pump.context, 1);
    SSL_CTX_set_default_read_buffer_len(pump.context, READ);
    pump.tls = SSL_new(pump.context);
    return pump.tls && SSL_set_fd(pump.tls, pump.fd) == 1 && SSL_set1_host(pump.tls, "localhost") == 1 && SSL_connect(pump.tls) == 1;
}

static bool make_room(void)
{
    size_t event = RH_REFERENCE_RECEIVED + pump.order.size + HEADER, most = event * pump.order.batch;
    size_t n     = most + WRITE + READ + 2 * FRAME;
    pump.bytes   = malloc(n);
    pump.gather  = malloc(event + FRAME);
    pump.flat    = malloc(n);
    if (pump.order.size != RH_REFERENCE_BODY) {
        pump.body = malloc(pump.order.size + 1);
        if (pump.body) memset(pump.body, 0x5a, pump.order.size);
    }
    return pump.bytes && pump.gather && pump.flat && (pump.body || pump.order.size == RH_REFERENCE_BODY) && most / ROOM < FRAMES_MAX;
}

static rh_floor_role role_of(const rh_order *order)
{
    if (strcmp(order->task, "receive") == 0) return order->settled ? RH_FLOOR_RECEIVES : RH_FLOOR_RECEIVES_UNSETTLED;
    return order->settled ? RH_FLOOR_SENDS_SETTLED : RH_FLOOR_SENDS;
}

static const char *open_pump(const rh_order *order)
{
    rh_floor_stream stream = { write_all, read_all, NULL };
    const char     *words  = NULL;
    pump.order             = *order;
    if (strcmp(order->task, "send") != 0 && strcmp(order->task, "receive") != 0) return rh_lines_cannot("no task %s", order->task);
    if (!make_room()) words = rh_lines_failed("no room for such messages");
    else if ((pump.fd = rh_floor_dial(order->host, (uint16_t)atoi(order->port))) < 0) words = rh_lines_failed("no connection");
    else if (order->tls && !secure()) words = rh_lines_failed("no TLS");
    else if (!rh_floor_open_given(&stream, role_of(order), order->address, CREDIT, &pump.answers.credit)) words = rh_lines_failed("no link");
    pump.granted = CREDIT;
    if (words) end();
    return words;
}

static const char *run(rh_turn *turn) { return strcmp(pump.order.task, "send") == 0 ? run_send(turn) : run_receive(turn); }

static const char *const settings[] = {
    "blocking socket, TCP_NODELAY, no SASL, frames of 64 KiB; writes a batch or 256 KiB of singles at once, reads 256 KiB",
    "send: up to 3 batches or 2000 events without outcome; receive: credit 5000, every field of each event decoded, 500 accepted at once",
    NULL,
};

int main(void)
{
    rh_reference_init();
    return rh_lines_serve(&(rh_lines){
        .name = "floor: frame pump", .version = "1", .tasks = "send,receive", .settings = settings,
        .open = open_pump, .run = run, .close = end,
    });
}
