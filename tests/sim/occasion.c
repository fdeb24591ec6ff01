#include "tests/sim/occasion.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A letter, 28 bits of number, 28 bits of part; the part is 0 where there is none. */
#define NUMBER_BITS 28
#define NUMBER_MASK ((UINT64_C(1) << NUMBER_BITS) - 1)

static const char letters[] = "twdrckb";

sim_occasion sim_occasion_of(char letter, uint32_t number, uint32_t part)
{
    return (uint64_t)(unsigned char)letter << 56 | (number & NUMBER_MASK) << NUMBER_BITS | (part & NUMBER_MASK);
}

static bool has_part(char letter)
{
    return letter != 't' && letter != 'r';
}

const char *sim_occasion_name(sim_occasion occasion, char text[SIM_OCCASION_MAX])
{
    char     letter = (char)(occasion >> 56);
    unsigned number = (unsigned)(occasion >> NUMBER_BITS & NUMBER_MASK), part = (unsigned)(occasion & NUMBER_MASK);
    if (has_part(letter)) (void)snprintf(text, SIM_OCCASION_MAX, "%c%u.%u", letter, number, part);
    else (void)snprintf(text, SIM_OCCASION_MAX, "%c%u", letter, number);
    return text;
}

void sim_occasions_add(sim_occasions *set, sim_occasion occasion)
{
    if (set->count == set->room) {
        set->room = set->room ? set->room * 2 : 64;
        set->list = realloc(set->list, set->room * sizeof *set->list);
    }
    set->list[set->count++] = occasion;
}

bool sim_occasions_have(const sim_occasions *set, sim_occasion occasion)
{
    for (size_t i = 0; i < set->count; i++)
        if (set->list[i] == occasion) return true;
    return false;
}

void sim_occasions_fini(sim_occasions *set)
{
    free(set->list);
    *set = (sim_occasions){ 0 };
}

/* Digits at *text, which goes on behind them. */
static bool read_number(const char **text, uint32_t *number)
{
    char *end;
    if (**text < '0' || **text > '9') return false;
    *number = (uint32_t)strtoul(*text, &end, 10);
    *text   = end;
    return true;
}

static bool read_one(const char **text, sim_occasion *occasion)
{
    char     letter = **text;
    uint32_t number, part = 0;
    if (!letter || !strchr(letters, letter)) return false;
    (*text)++;
    if (!read_number(text, &number)) return false;
    if (has_part(letter) && (*(*text)++ != '.' || !read_number(text, &part))) return false;
    *occasion = sim_occasion_of(letter, number, part);
    return **text == 0 || **text == ',';
}

bool sim_occasions_read(sim_occasions *set, const char *text)
{
    while (*text) {
        sim_occasion occasion;
        if (!read_one(&text, &occasion)) return false;
        sim_occasions_add(set, occasion);
        if (*text == ',') text++;
    }
    return true;
}

bool sim_switches_allow(const sim_switches *switches, sim_occasion occasion)
{
    if (switches->only && !sim_occasions_have(switches->only, occasion)) return false;
    return !switches->without || !sim_occasions_have(switches->without, occasion);
}
