#include "bench/floor/amqp.h"
#include "bench/reference.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Second bytes of the descriptors [2.7]. */
enum { BEGIN = 0x11, ATTACH, FLOW, TRANSFER, DISPOSITION, DETACH, END, CLOSE };

#define FRAME_HEADER 8
#define FRAME_MAX    (64u * 1024)

/* -- numbers of the wire --------------------------------------------------------------------- */

static uint32_t read_32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void write_32(uint8_t *p, uint32_t value)
{
    p[0] = (uint8_t)(value >> 24);
    p[1] = (uint8_t)(value >> 16);
    p[2] = (uint8_t)(value >> 8);
    p[3] = (uint8_t)value;
}

/* Reads one field of a list if it is an uint; passes over it if it is null, boolean or a small number. */
static const uint8_t *read_field(const uint8_t *p, uint32_t *value)
{
    switch (*p++) {
    case 0x70: *value = read_32(p); return p + 4;
    case 0x52: *value = *p; return p + 1;
    case 0x43: *value = 0; return p;
    case 0x50: case 0x56: return p + 1;
    case 0x60: return p + 2;
    default: return p;
    }
}

/* The fields of the list in a frame, and how many. */
static const uint8_t *fields_of(const uint8_t *frame, size_t *count)
{
    const uint8_t *list = frame + FRAME_HEADER + 3, *field = list + (*list == 0xd0 ? 9 : 3);
    *count = field[-1];
    return field;
}

/* How many deliveries a flow allows altogether: delivery-count and link-credit are its sixth and seventh field [2.7.4]; a
 * session's own flow has none. */
static uint32_t flow_credit(const uint8_t *frame)
{
    size_t         count;
    const uint8_t *field    = fields_of(frame, &count);
    uint32_t       value[7] = { 0 };
    for (size_t i = 0; i < 7 && i < count; i++) field = read_field(field, &value[i]);
    return value[5] + value[6];
}

/* -- the opening ----------------------------------------------------------------------------- */

int rh_floor_dial(const char *host, uint16_t port)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1) return -1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    if (fd < 0) return -1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0) return fd;
    close(fd);
    return -1;
}

static bool socket_write(void *user, const uint8_t *bytes, size_t n)
{
    int *fd = user;
    while (n > 0) {
        ssize_t part = send(*fd, bytes, n, MSG_NOSIGNAL);
        if (part <= 0) return false;
        bytes += part;
        n -= (size_t)part;
    }
    return true;
}

static bool socket_read(void *user, uint8_t *bytes, size_t n)
{
    int *fd = user;
    return recv(*fd, bytes, n, MSG_WAITALL) == (ssize_t)n;
}

rh_floor_stream rh_floor_stream_of(int *fd) { return (rh_floor_stream){ socket_write, socket_read, fd }; }

struct pen {
    uint8_t bytes[1024];
    size_t  n;
};

static void put(struct pen *pen, const void *bytes, size_t n)
{
    memcpy(pen->bytes + pen->n, bytes, n);
    pen->n += n;
}

#define PUT(pen, literal) put((pen), (literal), sizeof(literal) - 1)

/* A frame of one performative; answers where it begins. */
static size_t frame(struct pen *pen, uint8_t code, uint8_t fields)
{
    size_t at = pen->n;
    PUT(pen, "\0\0\0\0\x02\0\0\0\0\x53");
    put(pen, &code, 1);
    PUT(pen, "\xd0\0\0\0\0\0\0\0");
    put(pen, &fields, 1);
    return at;
}

static void frame_end(struct pen *pen, size_t at)
{
    write_32(pen->bytes + at, (uint32_t)(pen->n - at));
    write_32(pen->bytes + at + 12, (uint32_t)(pen->n - at - 16));
}

static void put_terminus(struct pen *pen, uint8_t code, const char *address)
{
    uint8_t n = (uint8_t)strlen(address), size = (uint8_t)(n + 3);
    PUT(pen, "\0\x53");
    put(pen, &code, 1);
    PUT(pen, "\xc0");
    put(pen, &size, 1);
    PUT(pen, "\x01\xa1");
    put(pen, &n, 1);
    put(pen, address, n);
}

static void put_opening(struct pen *pen, rh_floor_role role, const char *address, uint32_t credit)
{
    bool receives = role >= RH_FLOOR_RECEIVES;
    PUT(pen, "AMQP\0\1\0\0");
    size_t at = frame(pen, 0x10, 3); /* open: container-id, hostname, max-frame-size */
    PUT(pen, "\xa1\x05" "floor" "\xa1\x09" "localhost" "\x70\0\1\0\0");
    frame_end(pen, at);
    at = frame(pen, BEGIN, 4); /* remote-channel, next-outgoing-id, windows that never close in the time of a bench */
    PUT(pen, "\x40\x43\x70\x7f\xff\xff\xff\x70\x7f\xff\xff\xff");
    frame_end(pen, at);
    at = frame(pen, ATTACH, receives ? 7 : 10); /* name, handle, role, settle modes, source, target, -, -, count */
    PUT(pen, "\xa1\x04" "link" "\x43");
    if (role == RH_FLOOR_RECEIVES) PUT(pen, "\x41\x50\x01\x50\0");
    else if (receives) PUT(pen, "\x41\x50\0\x50\0");
    else if (role == RH_FLOOR_SENDS) PUT(pen, "\x42\x50\0\x50\0");
    else PUT(pen, "\x42\x50\x01\x50\0");
    put_terminus(pen, 0x28, address);
    put_terminus(pen, 0x29, address);
    if (!receives) PUT(pen, "\x40\x40\x43");
    frame_end(pen, at);
    if (!receives) return;
    at = frame(pen, FLOW, 7); /* next-incoming-id, windows, next-outgoing-id, handle, delivery-count, link-credit */
    PUT(pen, "\x43\x70\x7f\xff\xff\xff\x43\x70\x7f\xff\xff\xff\x43\x43\x70");
    write_32(pen->bytes + pen->n, credit);
    pen->n += 4;
    frame_end(pen, at);
}

/* One whole frame into bytes; answers its performative's code, -1 at the end of the stream. */
static int read_frame(const rh_floor_stream *stream, uint8_t *bytes, size_t room)
{
    if (!stream->read(stream->user, bytes, FRAME_HEADER)) return -1;
    size_t n = read_32(bytes);
    if (n < FRAME_HEADER || n > room || !stream->read(stream->user, bytes + FRAME_HEADER, n - FRAME_HEADER)) return -1;
    return n > FRAME_HEADER + 2 ? bytes[FRAME_HEADER + 2] : 0;
}

bool rh_floor_open(const rh_floor_stream *stream, rh_floor_role role, const char *address, uint32_t credit)
{
    uint32_t given;
    return rh_floor_open_given(stream, role, address, credit, &given);
}

bool rh_floor_open_given(const rh_floor_stream *stream, rh_floor_role role, const char *address, uint32_t credit, uint32_t *given)
{
    struct pen pen = { .n = 0 };
    uint8_t    bytes[4096];
    if (strlen(address) > 200) return false;
    put_opening(&pen, role, address, credit);
    if (!stream->write(stream->user, pen.bytes, pen.n)) return false;
    if (!stream->read(stream->user, bytes, 8) || memcmp(bytes, "AMQP\0\1\0\0", 8) != 0) return false;
    int last = role >= RH_FLOOR_RECEIVES ? ATTACH : FLOW, code;
    do {
        code = read_frame(stream, bytes, sizeof bytes);
    } while (code >= 0 && code < DETACH && code != last);
    *given = code == FLOW ? flow_credit(bytes) : 0;
    return code == last;
}

/* -- an event out, its outcome in ------------------------------------------------------------ */

void rh_floor_transfer(uint8_t to[RH_FLOOR_TRANSFER], size_t n, bool settled)
{
    /* handle 0, delivery-id, delivery-tag of one byte, message-format 0, settled */
    static const uint8_t form[RH_FLOOR_TRANSFER] = "\0\0\0\0\x02\0\0\0\0\x53\x14\xc0\x0c\x05\x43\x70\0\0\0\0\xa0\x01\0\x43\x42";
    memcpy(to, form, RH_FLOOR_TRANSFER);
    write_32(to, (uint32_t)(RH_FLOOR_TRANSFER + n));
    if (settled) to[RH_FLOOR_TRANSFER - 1] = 0x41;
}

uint8_t *rh_floor_event(size_t body_n, size_t *n)
{
    size_t   room  = RH_FLOOR_TRANSFER + RH_REFERENCE_SENT + body_n;
    uint8_t *frame = room <= FRAME_MAX ? malloc(room) : NULL;
    if (!frame) return NULL;
    *n = rh_reference_write(frame + RH_FLOOR_TRANSFER, room - RH_FLOOR_TRANSFER, 0, body_n, false);
    rh_floor_transfer(frame, *n, false);
    *n += RH_FLOOR_TRANSFER;
    return frame;
}

void rh_floor_transfer_number(uint8_t frame[RH_FLOOR_TRANSFER], uint32_t delivery) { write_32(frame + 16, delivery); }

/* Role, first, last: which may be null for first alone [2.7.6]. */
static void read_disposition(rh_floor_answers *answers, const uint8_t *field)
{
    uint32_t first = 0;
    field = read_field(field + 1, &first);
    uint32_t last = first;
    read_field(field, &last);
    if (last + 1 > answers->settled) answers->settled = last + 1;
}

static void read_flow(rh_floor_answers *answers, const uint8_t *frame)
{
    size_t count;
    fields_of(frame, &count);
    if (count >= 7) answers->credit = flow_credit(frame);
}

bool rh_floor_answered(rh_floor_answers *answers, size_t n)
{
    size_t at = 0;
    answers->n += n;
    while (answers->n - at >= FRAME_HEADER) {
        const uint8_t *frame = answers->bytes + at;
        size_t size = read_32(frame);
        if (size < FRAME_HEADER || size > sizeof answers->bytes) return false;
        if (size > answers->n - at) break;
        at += size;
        if (size == FRAME_HEADER) continue;
        size_t count;
        if (frame[FRAME_HEADER + 2] == DISPOSITION) read_disposition(answers, fields_of(frame, &count));
        else if (frame[FRAME_HEADER + 2] == FLOW) read_flow(answers, frame);
        else if (frame[FRAME_HEADER + 2] >= DETACH) return false;
    }
    answers->n -= at;
    if (answers->n > 0 && at > 0) memmove(answers->bytes, answers->bytes + at, answers->n);
    return true;
}
