#include "tests/wire.h"

#include <stdlib.h>

static uint64_t digest(uint64_t seed, const uint8_t *bytes, size_t n)
{
    while (n--) seed = (seed ^ *bytes++) * 0x100000001b3u;
    return seed;
}

static size_t frame_size(void *user, const uint8_t *bytes, size_t n)
{
    (void)user;
    if (n < 4) return 0;
    return (size_t)bytes[0] << 24 | (size_t)bytes[1] << 16 | (size_t)bytes[2] << 8 | bytes[3];
}

static void put_size(uint8_t *at, size_t size)
{
    for (int i = 0; i < 4; i++) at[i] = (uint8_t)(size >> (24 - 8 * i));
}

static void on_up(void *user, rh_pipe *pipe)
{
    struct end *end = user;
    cr_assert_not(end->is_up);
    cr_assert_not(end->is_down);
    end->is_up = true;
    end->pipe = pipe;
    if (end->closes_at_up) rh_pipe_close(pipe, true);
}

static bool is_deaf(const struct end *end) { return end->deaf || (end->holds && end->said > 0); }

static size_t input(void *user, rh_pipe *pipe, const uint8_t *bytes, size_t n)
{
    struct end *end = user;
    cr_assert(end->is_up && !end->is_down && n > 0);
    if (is_deaf(end)) return 0;
    end->inputs++;
    if (end->refuses_frames) {
        end->refused += n;
        rh_pipe_close(pipe, false);
        return n;
    }
    size_t at = 0;
    while (at < n && !is_deaf(end)) {
        size_t size = frame_size(NULL, bytes + at, n - at);
        cr_assert(size >= 4 && size <= n - at, "a frame of %zu in %zu bytes", size, n - at);
        end->frames++;
        if (size > end->frame_max) end->frame_max = size;
        end->digest = digest(end->digest, bytes + at, size);
        if (end->echoes) wire_say_raw(end, bytes + at, size);
        at += size;
        if (end->stops_every && end->frames % end->stops_every == 0) end->deaf = true;
    }
    end->bytes_in += at;
    if (end->echoes) rh_pipe_wake(pipe);
    if (end->closes_at_frame) rh_pipe_close(pipe, true);
    return at;
}

static bool wants_input(void *user) { return !is_deaf(user); }

static size_t output(void *user, rh_iov *iov, size_t max)
{
    struct end *end = user;
    cr_assert_eq(end->gone, end->lent, "asked again only when all that was lent came back");
    size_t count = 0;
    /* Pieces of odd sizes, so that their borders fall anywhere. */
    for (size_t piece = 1; end->lent < end->said && count < max; piece = piece * 7 + 1) {
        size_t left = end->said - end->lent, n = piece < left && count + 1 < max ? piece : left < 300000 ? left : 300000;
        iov[count++] = (rh_iov){ end->out + end->lent, n };
        end->lent += n;
    }
    if (end->cuts_in_output && count) rh_pipe_close(end->pipe, false);
    return count;
}

static void sent(void *user, size_t n)
{
    struct end *end = user;
    end->gone += n;
    end->sent_total += n;
    cr_assert_leq(end->gone, end->lent);
    /* What came back may be anything from now on. */
    memset(end->out + end->gone - n, 0xdd, n);
    if (end->gone == end->said) end->gone = end->lent = end->said = 0;
    if (end->cuts_in_sent) rh_pipe_close(end->pipe, false);
}

static void on_down(void *user, rh_pipe *pipe, const rh_error *error)
{
    struct end *end = user;
    (void)pipe;
    cr_assert_not(end->is_down);
    end->is_down = true;
    end->error = *error;
    end->pipe = NULL;
    if (end->out) memset(end->out, 0xee, end->most);
}

const rh_pipe_handler wire_handler = { .on_up = on_up, .frame_size = frame_size, .input = input, .wants_input = wants_input,
                                      .output = output, .sent = sent, .on_down = on_down };

void wire_say_raw(struct end *end, const void *bytes, size_t n)
{
    if (!end->out) end->out = malloc(WIRE_OUT);
    cr_assert_leq(end->said + n, WIRE_OUT, "the test's own output does not fit");
    memcpy(end->out + end->said, bytes, n);
    end->said += n;
    if (end->said > end->most) end->most = end->said;
}

void wire_say(struct end *end, const void *body, size_t n)
{
    uint8_t size[4];
    put_size(size, n + 4);
    wire_say_raw(end, size, 4);
    wire_say_raw(end, body, n);
    if (end->pipe) rh_pipe_wake(end->pipe);
}

void wire_say_many(struct end *end, size_t count, size_t n)
{
    uint8_t *body = malloc(n + 1);
    for (size_t i = 0; i < count; i++) {
        memset(body, (int)(i * 31 + n), n);
        wire_say(end, body, n);
    }
    free(body);
}

uint64_t wire_said_digest(const struct end *end) { return digest(0, end->out, end->said); }

void wire_forget(struct end *end)
{
    free(end->out);
    end->out = NULL;
}

void wire_accept(void *user, rh_pipe *pipe)
{
    struct wire *wire = user;
    struct end *end = wire->accepted;
    if (!end) {
        rh_pipe_close(pipe, false);
        return;
    }
    rh_pipe_adopt(pipe, &wire_handler, end);
}

static void on_log(void *user, rh_log_level level, const char *id, const char *text)
{
    (void)text;
    ((struct wire *)user)->warned += level <= RH_LOG_WARNING;
    if (strcmp(id, "loop.epoll") == 0) ((struct wire *)user)->logged_epoll++;
}

void wire_open(struct wire *wire, rh_loop_backend backend, const rh_loop_opts *opts)
{
    rh_loop_opts own = opts ? *opts : (rh_loop_opts){ .size = sizeof own };
    rh_error error = { .status = RH_OK };
    own.backend = backend;
    own.log = (rh_log){ on_log, wire };
    cr_assert_eq(rh_loop_create(&own, &wire->loop, &error), RH_OK, "%s", error.description);
    wire->accepted = &wire->server;
    cr_assert_eq(rh_loop_listen(wire->loop, RH_LISTEN_OPTS(.tls = wire->server_tls), wire_accept, wire, &wire->listener, &error), RH_OK, "%s",
                 error.description);
}

void wire_dial(struct wire *wire, struct end *end, const rh_dial_opts *opts)
{
    cr_assert_eq(rh_loop_dial(wire->loop, opts, &wire_handler, end, &end->pipe), RH_OK);
}

void wire_connect(struct wire *wire)
{
    wire_dial(wire, &wire->client, RH_DIAL_OPTS(.host = "127.0.0.1", .port = rh_listener_port(wire->listener), .tls = wire->client_tls));
    cr_assert(wire_until(wire, wire->client.is_up && wire->server.is_up), "%s %s", wire->client.error.description,
              wire->server.error.description);
}

void wire_pass(struct wire *wire, rh_time time)
{
    rh_time end = rh_loop_now(wire->loop) + time;
    while (rh_loop_now(wire->loop) < end) cr_assert_eq(rh_loop_turn(wire->loop, end), RH_OK);
}

void wire_close(struct wire *wire)
{
    cr_assert_eq(rh_loop_destroy(wire->loop), RH_OK);
    wire_forget(&wire->client);
    wire_forget(&wire->server);
    rh_tls_destroy(wire->server_tls);
    rh_tls_destroy(wire->client_tls);
}

/* -- stories ------------------------------------------------------------------------------------- */

void wire_expect_stops_and_starts(struct wire *wire)
{
    wire->server.stops_every = 3;
    for (size_t i = 0; i < 400; i++) wire_say_many(&wire->client, 1, i * 13 % 5000);
    uint64_t said = wire_said_digest(&wire->client);
    rh_time end = rh_loop_now(wire->loop) + RH_SECONDS(10);
    while (wire->server.frames < 400 && rh_loop_now(wire->loop) < end) {
        wire_pass(wire, RH_US(50));
        if (wire->server.deaf) wire->server.deaf = false, rh_pipe_wake(wire->server.pipe);
    }
    cr_expect_eq(wire->server.frames, 400);
    cr_expect_eq(wire->server.digest, said);
}

/* A send that is done at once makes the room that input waited for, and nothing else would tell. */
void wire_expect_room_is_noticed(struct wire *wire)
{
    wire->server.echoes = wire->server.holds = true;
    wire_say_many(&wire->client, 30, 100);
    uint64_t said = wire_said_digest(&wire->client);
    cr_assert(wire_until(wire, wire->client.frames == 30), "%s: %zu of 30 came back", rh_loop_backend_name(wire->loop),
              (size_t)wire->client.frames);
    cr_expect_eq(wire->client.digest, said);
}

void wire_expect_flush(struct wire *wire)
{
    wire_say_many(&wire->client, 100, 50000);
    uint64_t said = wire_said_digest(&wire->client);
    rh_pipe_close(wire->client.pipe, true);
    cr_expect_not(wire->client.is_down, "never from inside the call");
    cr_assert(wire_until(wire, wire->client.is_down && wire->server.is_down));
    cr_expect_eq(wire->client.error.status, RH_OK, "%s", wire->client.error.description);
    cr_expect_eq(wire->server.error.status, RH_E_CONNECTION_LOST, "an orderly end, but not ours: %s", wire->server.error.description);
    cr_expect_eq(wire->server.frames, 100);
    cr_expect_eq(wire->server.digest, said);
}

void wire_expect_cut(struct wire *wire, bool in_sent)
{
    wire->client.cuts_in_sent = in_sent;
    wire->client.cuts_in_output = !in_sent;
    wire_say_many(&wire->client, 100, 60000);
    cr_assert(wire_until(wire, wire->client.is_down && wire->server.is_down));
    cr_expect_eq(wire->client.error.status, RH_E_CANCELLED);
    if (!in_sent) cr_expect_eq(wire->server.bytes_in, 0, "what is lent while it cuts never leaves");
}
