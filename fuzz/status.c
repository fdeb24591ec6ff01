/*
 * Numbers of statuses, and words for errors. Every number has a name and words, whether it is one of ours or not, and it has both
 * or neither; an error keeps whole characters of what it is told, as many as fit, and nothing else.
 *
 * The input is both: numbers of two bytes each, and a condition and a description behind a byte that tells where to part.
 */
#include "fuzz/kit/target.h"
#include "fuzz/oracle.h"

static void check_number(uint16_t number)
{
    rh_status status = (rh_status)number;
    bool      named = strcmp(rh_status_name(status), "RH_E_?") != 0, worded = strcmp(rh_status_words(status), rh_status_words((rh_status)UINT16_MAX)) != 0;
    REQUIRE(named == worded);
    REQUIRE(!named || strncmp(rh_status_name(status), "RH_", 3) == 0);
    REQUIRE(named || number != RH_OK);
}

/* As long as the words, and the beginning of them but where they are no text. */
static void check_text(const char *kept, size_t room, rh_slice words)
{
    size_t n = strlen(kept);
    REQUIRE(n < room && n <= words.n);
    REQUIRE(rh_utf8_is(rh_slice_of(kept, n)));
    REQUIRE(n == words.n || room - n <= 4);
    for (size_t i = 0; i < n; i++) REQUIRE(kept[i] == '?' || (uint8_t)kept[i] == words.p[i]);
}

static void run(const uint8_t *data, size_t size)
{
    if (size == 0) return;
    for (size_t at = 0; at + 2 <= size; at += 2) check_number(rh_get16(data + at));
    rh_error error;
    size_t   first     = data[0] < size ? data[0] : size;
    rh_slice condition = rh_slice_of(data, first), words = rh_slice_of(data + first, size - first);
    rh_error_set_slices(&error, RH_E_SERVICE, condition, words);
    REQUIRE(error.status == RH_E_SERVICE);
    check_text(error.condition, sizeof error.condition, condition);
    check_text(error.description, sizeof error.description, words);
    rh_error again = error;
    rh_error_set(&again, RH_E_SERVICE, again.condition, again.description);
    REQUIRE(strcmp(again.condition, error.condition) == 0 && strcmp(again.description, error.description) == 0);
}

TARGET(run, 20000, 200)
