#include "bench/visit.h"
#include "bench/lines.h"

#include <ringhub/transport.h>

#include <math.h>
#include <string.h>

#define HELLO   "AMQP\0\1\0\0"
#define HELLO_N (sizeof HELLO - 1)
#define WAIT_MS 5000u

typedef struct visit {
    rh_loop *loop;
    size_t   lent;
    bool     answered, is_down;
} visit;

static void on_up(void *user, rh_pipe *pipe)
{
    (void)user;
    rh_pipe_wake(pipe);
}

static size_t frame_size(void *user, const uint8_t *bytes, size_t n)
{
    (void)user, (void)bytes;
    return n < HELLO_N ? 0 : HELLO_N;
}

static size_t input(void *user, rh_pipe *pipe, const uint8_t *bytes, size_t n)
{
    visit *of = user;
    of->answered = memcmp(bytes, HELLO, HELLO_N) == 0;
    rh_pipe_close(pipe, false);
    return n;
}

static bool wants_input(void *user) { return !((visit *)user)->answered; }

static size_t output(void *user, rh_iov *iov, size_t max)
{
    visit *of = user;
    (void)max;
    iov[0] = (rh_iov){ (const uint8_t *)HELLO + of->lent, HELLO_N - of->lent };
    bool some = of->lent < HELLO_N;
    of->lent = HELLO_N;
    return some;
}

static void sent(void *user, size_t n) { (void)user, (void)n; }

static void on_down(void *user, rh_pipe *pipe, const rh_error *error)
{
    visit *of = user;
    (void)pipe, (void)error;
    of->is_down = true;
    rh_loop_stop(of->loop);
}

static const rh_pipe_handler handler = { on_up, frame_size, input, wants_input, output, sent, on_down };

static bool visit_once(rh_loop *loop, const char *host, uint16_t port, rh_tls *tls)
{
    visit   of  = { .loop = loop };
    rh_time end = rh_loop_now(loop) + RH_MS(WAIT_MS);
    if (rh_loop_dial(loop, RH_DIAL_OPTS(.host = host, .port = port, .tls = tls, .tls_name = "localhost"), &handler, &of, NULL)) return false;
    while (!of.is_down && rh_loop_now(loop) < end)
        if (rh_loop_run(loop, end)) return false;
    return of.answered;
}

double rh_visits(const char *host, uint16_t port, const char *ca, bool resumed, unsigned count)
{
    rh_loop *loop = NULL;
    rh_tls  *tls  = NULL;
    uint64_t spent = 0;
    bool     good  = rh_loop_create(NULL, &loop, NULL) == RH_OK;
    /* The first of the resumed ones has nothing to resume and does not count. */
    for (unsigned i = 0; good && i < count + resumed; i++) {
        if (ca && !tls) good = rh_tls_create(RH_TLS_OPTS(.ca_file = ca), &tls, NULL) == RH_OK;
        uint64_t since = rh_lines_cpu();
        good = good && visit_once(loop, host, port, tls);
        if (!resumed || i > 0) spent += rh_lines_cpu() - since;
        if (resumed) continue;
        rh_tls_destroy(tls);
        tls = NULL;
    }
    rh_tls_destroy(tls);
    rh_loop_destroy(loop);
    return good ? (double)spent : NAN;
}
