/**
 * The engine as a whole: opening, closing, time, and what two engines make of each other.
 */
#include "tests/pair.h"

#include <criterion/criterion.h>
#include <stdlib.h>

Test(engine, two_engines_exchange_a_delivery)
{
    struct pair *pair = PAIR();
    cr_expect_eq(pair->client.count[ON_OPEN], 1);
    cr_expect_eq(pair->client.count[ON_ATTACH], 1);
    cr_assert_eq(end_send(&pair->client, "hello", false), RH_OK);
    pair_run(pair);
    cr_expect_eq(pair->server.count[ON_DELIVERY], 1);
    cr_expect_eq(pair->server.last_n, 5);
    cr_expect_arr_eq(pair->server.last, "hello", 5);
    cr_expect_eq(pair->client.outcomes[RH_ACCEPTED], 1);
    pair_free(pair);
}

Test(engine, a_clean_close_is_told_once_on_both_sides)
{
    struct pair *pair = PAIR();
    cr_expect_eq(rh_engine_close(pair->client.engine, NULL, NULL), RH_OK);
    pair_run(pair);
    cr_expect_eq(pair->client.count[ON_CLOSE], 1);
    cr_expect_eq(pair->server.count[ON_CLOSE], 1);
    cr_expect_eq(pair->client.closed.status, RH_OK);
    cr_expect_eq(pair->server.closed.status, RH_OK);
    cr_expect_eq(pair->client.count[ON_DETACH], 1);
    cr_expect_eq(pair->client.count[ON_END], 1);
    cr_expect(rh_engine_is_closed(pair->client.engine) && rh_engine_is_closed(pair->server.engine));
    cr_expect_eq(rh_engine_deadline(pair->client.engine), RH_TIME_NEVER);
    pair_free(pair);
}
