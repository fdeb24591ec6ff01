/* What a loop has once for all who work on it: blocks to borrow, buffers that come and go, TLS contexts. */
#include "tests/wire.h"
#include "transport/reactor.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static size_t alive;
static bool   is_poor; /* nothing is to be had */

static void *counted_alloc(void *user, size_t n)
{
    (void)user;
    if (is_poor) return NULL;
    alive += n;
    return malloc(n);
}

static void counted_free(void *user, void *p, size_t n)
{
    (void)user;
    alive -= n;
    free(p);
}

static const rh_allocator counting = { counted_alloc, counted_free, NULL };

static rh_loop *make_loop(rh_loop_backend backend)
{
    rh_loop *loop;
    alive = 0;
    cr_assert_eq(rh_loop_create(RH_LOOP_OPTS(.backend = backend, .allocator = &counting), &loop, NULL), RH_OK);
    return loop;
}

static void pass(rh_loop *loop, rh_time time)
{
    cr_assert_eq(rh_loop_run(loop, rh_loop_now(loop) + time), RH_OK);
}

/* -- blocks */

Test(borrow, what_was_given_back_a_moment_ago_is_lent_again)
{
    for (each_backend(backend)) {
        rh_loop *loop = make_loop(backend);
        void *first = rh_loop_borrow(loop, 20000), *second = rh_loop_borrow(loop, 20000), *other = rh_loop_borrow(loop, 100);
        cr_assert(first && second && other && first != second);
        memset(first, 1, 20000), memset(second, 2, 20000), memset(other, 3, 100);
        cr_expect_eq((uintptr_t)first % 16, 0, "aligned for any type");
        size_t before = alive;
        for (int i = 0; i < 100; i++) {
            rh_loop_give_back(loop, first, 20000);
            cr_assert_eq(rh_loop_borrow(loop, 20000), first);
            cr_assert_eq(alive, before);
        }
        rh_loop_give_back(loop, first, 20000);
        rh_loop_give_back(loop, second, 20000);
        rh_loop_give_back(loop, other, 100);
        rh_loop_give_back(loop, NULL, 20000);
        cr_expect_eq(rh_loop_destroy(loop), RH_OK);
        cr_expect_eq(alive, 0);
    }
}

Test(borrow, what_nobody_needed_for_a_while_goes_but_for_two)
{
    for (each_backend(backend)) {
        rh_loop *loop = make_loop(backend);
        size_t before = alive;
        void *blocks[10];
        for (int i = 0; i < 10; i++) cr_assert_not_null(blocks[i] = rh_loop_borrow(loop, 20000));
        pass(loop, RH_MS(10));
        for (int i = 1; i < 10; i++) rh_loop_give_back(loop, blocks[i], 20000);
        pass(loop, RH_MS(1600));
        cr_expect_leq(alive, before + 3 * 20100, "%zu", alive - before);
        cr_expect_geq(alive, before + 2 * 20000, "one is lent, another kept");
        rh_loop_stats rested, later;
        rh_loop_stats_read(loop, &rested);
        pass(loop, RH_MS(1600));
        rh_loop_stats_read(loop, &later);
        cr_expect_leq(later.turns, rested.turns + 2, "and nobody looks any more");
        rh_loop_give_back(loop, blocks[0], 20000);
        cr_expect_eq(rh_loop_destroy(loop), RH_OK);
        cr_expect_eq(alive, 0);
    }
}

Test(borrow, without_memory_there_is_no_block)
{
    rh_loop *loop = make_loop(RH_BACKEND_EPOLL);
    is_poor = true;
    cr_expect_null(rh_loop_borrow(loop, 20000));
    is_poor = false;
    void *block = rh_loop_borrow(loop, 20000);
    cr_expect_not_null(block);
    rh_loop_give_back(loop, block, 20000);
    cr_expect_eq(rh_loop_destroy(loop), RH_OK);
}

/* -- frame buffers */

Test(buffers, a_pool_that_grew_shrinks_to_what_it_began_with)
{
    rh_buffers pool;
    rh_buffer *some[8];
    alive = 0;
    cr_assert_eq(rh_buffers_init(&pool, &counting, 2, 1000), RH_OK);
    for (int i = 0; i < 8; i++) some[i] = rh_buffer_borrow(&pool);
    rh_buffers_rest(&pool);
    for (int i = 0; i < 8; i++) rh_buffer_return(&pool, some[i]);
    rh_buffers_rest(&pool);
    cr_expect_eq(pool.count, 8, "all of them were in use since the last rest");
    for (int i = 0; i < 3; i++) some[i] = rh_buffer_borrow(&pool);
    for (int i = 0; i < 3; i++) rh_buffer_return(&pool, some[i]);
    rh_buffers_rest(&pool);
    cr_expect_eq(pool.count, 3, "three at once were needed");
    rh_buffers_rest(&pool);
    cr_expect_eq(pool.count, 2);
    rh_buffers_fini(&pool);
    cr_expect_eq(alive, 0);
}

/* -- TLS contexts */

static char cert[RH_TLS_PEM_MAX], key[RH_TLS_PEM_MAX];

static rh_tls *share(rh_loop *loop, const rh_tls_opts *opts)
{
    rh_tls *tls;
    rh_error error;
    cr_assert_eq(rh_tls_share(loop, opts, &tls, &error), RH_OK, "%s", error.description);
    return tls;
}

Test(share, who_asks_for_the_same_gets_the_same_context)
{
    cr_assert_eq(rh_tls_self_signed(NULL, cert, sizeof cert, key, sizeof key, NULL), RH_OK);
    rh_loop *loop = make_loop(RH_BACKEND_EPOLL), *other = make_loop(RH_BACKEND_EPOLL);
    rh_tls_opts opts = *RH_TLS_OPTS(.ca_pem = rh_str(cert));
    rh_tls *a = share(loop, &opts), *b = share(loop, &opts), *elsewhere = share(other, &opts);
    cr_expect_eq(a, b);
    cr_expect_neq(a, elsewhere, "a loop is one thread, and so is what works on it");
    rh_tls *careless = share(loop, RH_TLS_OPTS(.ca_pem = rh_str(cert), .insecure = true));
    rh_tls *known = share(loop, RH_TLS_OPTS(.ca_pem = rh_str(cert), .cert_pem = rh_str(cert), .key_pem = rh_str(key)));
    cr_expect(careless != a && known != a && known != careless);
    rh_tls_destroy(a);
    rh_tls *c = share(loop, &opts);
    cr_expect_eq(c, b, "it lives while one has it");
    rh_tls_destroy(b), rh_tls_destroy(c), rh_tls_destroy(careless), rh_tls_destroy(known);
    rh_tls *again = share(loop, &opts);
    cr_expect_eq(rh_loop_destroy(loop), RH_OK);
    rh_tls_destroy(again); /* may outlive its loop */
    rh_tls_destroy(elsewhere);
    cr_expect_eq(rh_loop_destroy(other), RH_OK);
}

static void write_file(const char *file, const char *text)
{
    FILE *out = fopen(file, "w");
    cr_assert_not_null(out);
    fputs(text, out);
    cr_assert_eq(fclose(out), 0);
}

Test(share, a_file_that_was_renewed_is_read_again)
{
    char file[] = "/tmp/ringhub-share-XXXXXX";
    int fd = mkstemp(file);
    cr_assert_geq(fd, 0);
    close(fd);
    rh_loop *loop = make_loop(RH_BACKEND_EPOLL);
    cr_assert_eq(rh_tls_self_signed("one", cert, sizeof cert, key, sizeof key, NULL), RH_OK);
    write_file(file, cert);
    rh_tls *one = share(loop, RH_TLS_OPTS(.ca_file = file)), *same = share(loop, RH_TLS_OPTS(.ca_file = file));
    cr_expect_eq(one, same);
    cr_assert_eq(rh_tls_self_signed("another.with.a.longer.name", cert, sizeof cert, key, sizeof key, NULL), RH_OK);
    write_file(file, cert);
    rh_tls *renewed = share(loop, RH_TLS_OPTS(.ca_file = file));
    cr_expect_neq(renewed, one);
    rh_tls_destroy(one), rh_tls_destroy(same), rh_tls_destroy(renewed);
    unlink(file);
    rh_tls *gone;
    cr_expect_eq(rh_tls_share(loop, RH_TLS_OPTS(.ca_file = file), &gone, NULL), RH_E_IO);
    cr_expect_eq(rh_loop_destroy(loop), RH_OK);
}
