#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/kept.h"

/* -- files ------------------------------------------------------------------------------------ */

static size_t read_all(const char *path, uint8_t *bytes, size_t room)
{
    FILE *f = fopen(path, "rb");
    cr_assert_not_null(f);
    size_t n = fread(bytes, 1, room, f);
    fclose(f);
    return n;
}

static void write_all(const char *path, const uint8_t *bytes, size_t n)
{
    FILE *f = fopen(path, "wb");
    cr_assert_not_null(f);
    cr_assert_eq(fwrite(bytes, 1, n, f), n);
    fclose(f);
}

/* -- coming back ------------------------------------------------------------------------------ */

Test(emulator_store, a_restart_finds_every_event_at_its_place)
{
    struct kept      k;
    rh_emu_stored    s;
    int64_t          times[300];
    uint64_t         offsets[300], next_offset, last_offset;
    kept_make(&k);
    kept_must_start(&k);
    rh_emu_partition *p = &k.partitions[1];
    for (int i = 0; i < 300; i++) kept_append(p, (size_t)(i * 7) % 200, 1000 + i / 3);
    for (int i = 0; i < 300; i++) {
        cr_assert(rh_emu_partition_at(p, i, &s));
        times[i]   = s.record->enqueued_ms;
        offsets[i] = s.record->offset;
    }
    next_offset = p->next_offset;
    last_offset = p->last_offset;
    kept_stop(&k);

    kept_must_start(&k);
    cr_expect_str_empty(k.logged, "%s", k.words);
    kept_expect(p, 0, 300);
    for (int i = 0; i < 300; i++) {
        cr_assert(rh_emu_partition_at(p, i, &s));
        cr_assert(s.record->enqueued_ms == times[i] && s.record->offset == offsets[i], "event %d", i);
    }
    cr_expect(p->next_offset == next_offset && p->last_offset == last_offset && p->last_enqueued_ms == times[299]);
    cr_expect_eq(k.partitions[0].end, 0);

    kept_append(p, 50, 500); /* the wall clock stepped back meanwhile, the log does not */
    cr_assert(rh_emu_partition_at(p, 300, &s));
    cr_expect(s.record->offset == next_offset && s.record->enqueued_ms == times[299]);
    kept_stop(&k);
    kept_must_start(&k);
    kept_expect(p, 0, 301);
    kept_stop(&k);
    kept_remove(&k);
}

Test(emulator_store, a_hub_remembers_when_it_was_created)
{
    struct kept k;
    kept_make(&k);
    kept_must_start(&k);
    cr_expect_eq(k.created_ms, 77);
    kept_stop(&k);
    k.created_ms = 99;
    cr_assert_eq(kept_start_hub(&k, "TELEMETRY", 2, 1 << 20), RH_OK, "names differ in more than case: %s", k.error.description);
    cr_expect_eq(k.created_ms, 77);
    kept_stop(&k);
    kept_remove(&k);
}

Test(emulator_store, names_that_look_like_paths_stay_apart)
{
    static const char *const names[] = { "a", "a/0", "a/0/0", "a..b", "a/../b", "a.log", "a_2f0", "hub" };
    struct kept k;
    kept_make(&k);
    for (int i = 0; i < 8; i++) {
        cr_assert_eq(kept_start_hub(&k, names[i], 2, 1 << 20), RH_OK, "%s: %s", names[i], k.error.description);
        cr_assert_eq(k.partitions[0].end, 0, "%s found the events of another hub", names[i]);
        for (int n = 0; n <= i; n++) kept_append(&k.partitions[0], 10, 1000);
        kept_stop(&k);
    }
    for (int i = 0; i < 8; i++) {
        cr_assert_eq(kept_start_hub(&k, names[i], 2, 1 << 20), RH_OK);
        kept_expect(&k.partitions[0], 0, i + 1);
        kept_stop(&k);
    }
    struct dirent **entries;
    int             count = scandir(k.root, &entries, NULL, NULL);
    cr_expect_eq(count, 3, "., .. and data, nothing beside it");
    for (int i = 0; i < count; i++) free(entries[i]);
    free(entries);

    char name[257] = "";
    memset(name, 'x', 256);
    cr_expect_eq(kept_start_hub(&k, name, 2, 1 << 20), RH_E_ARGUMENT);
    kept_stop(&k);
    kept_remove(&k);
}

/* -- torn, damaged, missing ------------------------------------------------------------------- */

Test(emulator_store, a_last_record_torn_at_any_byte_is_cut_off)
{
    struct kept k;
    char        path[400];
    uint8_t     bytes[4096];
    struct stat info;
    kept_make(&k);
    kept_must_start(&k);
    rh_emu_partition *p = &k.partitions[0];
    for (int i = 0; i < 5; i++) kept_append(p, 60, 1000);
    kept_stop(&k);
    cr_assert_eq(kept_file(&k, "telemetry/0", 0, path), 1);
    size_t n = read_all(path, bytes, sizeof bytes);
    cr_assert_eq(n, 5 * (60 + KEPT_RECORD));

    for (size_t cut = 1; cut <= 60 + KEPT_RECORD; cut++) {
        write_all(path, bytes, n - cut);
        kept_must_start(&k);
        kept_expect(p, 0, 4);
        bool clean = cut == 60 + KEPT_RECORD;
        cr_expect_str_eq(k.logged, clean ? "" : "emulator.disk_cut", "cut by %zu", cut);
        cr_assert(stat(path, &info) == 0 && info.st_size == 4 * (60 + KEPT_RECORD), "cut by %zu", cut);
        kept_append(p, 60, 1000);
        kept_stop(&k);
        kept_must_start(&k);
        kept_expect(p, 0, 5);
        cr_expect_str_empty(k.logged);
        kept_stop(&k);
    }
    kept_remove(&k);
}

Test(emulator_store, a_damaged_byte_anywhere_in_a_record_is_noticed)
{
    struct kept k;
    char        path[400];
    uint8_t     bytes[4096];
    kept_make(&k);
    kept_must_start(&k);
    for (int i = 0; i < 3; i++) kept_append(&k.partitions[0], 30, 1000);
    kept_stop(&k);
    kept_file(&k, "telemetry/0", 0, path);
    size_t n = read_all(path, bytes, sizeof bytes), record = 30 + KEPT_RECORD;

    for (size_t at = record; at < 2 * record; at++) {
        bytes[at] ^= 0x40;
        write_all(path, bytes, n);
        bytes[at] ^= 0x40;
        kept_must_start(&k);
        kept_expect(&k.partitions[0], 0, 1);
        cr_expect_str_eq(k.logged, "emulator.disk_cut", "byte %zu", at);
        cr_expect_not_null(strstr(k.words, "from byte 70 on"), "%s", k.words);
        kept_stop(&k);
    }
    /* Nothing that may have been an event is thrown away. */
    char    aside[410];
    uint8_t kept[4096];
    snprintf(aside, sizeof aside, "%s.cut", path);
    bytes[2 * record - 1] ^= 0x40;
    cr_assert_eq(read_all(aside, kept, sizeof kept), n - record);
    cr_expect_arr_eq(kept, bytes + record, n - record);
    unlink(aside);
    kept_remove(&k);
}

Test(emulator_store, a_log_cut_to_nothing_still_knows_its_position)
{
    struct kept k;
    char        path[400];
    kept_make(&k);
    kept_must_start(&k);
    rh_emu_partition *p = &k.partitions[0];
    for (int i = 0; i < 200; i++) kept_append(p, 60, 1000 + i);
    rh_emu_store_expire(&k.store, 1000 + 1000000 + 190);
    kept_stop(&k);
    cr_assert_eq(kept_file(&k, "telemetry/0", -1, path), 1);
    cr_assert_eq(truncate(path, 3), 0);

    kept_must_start(&k);
    cr_expect_gt(p->begin, 100);
    kept_expect(p, p->begin, p->begin);
    cr_expect_eq(p->next_offset, (uint64_t)p->begin * 60);
    kept_stop(&k);
    kept_remove(&k);
}

static void expect_refusal(struct kept *k, rh_status status, const char *words)
{
    cr_expect_eq(kept_start(k), status, "%s", k->error.description);
    cr_expect_eq(k->error.status, status);
    cr_expect_not_null(strstr(k->error.description, words), "%s", k->error.description);
    cr_expect_not_null(strstr(k->error.description, k->folder), "%s", k->error.description);
    kept_stop(k);
}

Test(emulator_store, damage_before_the_last_file_is_for_a_person_to_judge)
{
    struct kept k;
    char        path[400];
    uint8_t     bytes[8192];
    kept_make(&k);
    kept_must_start(&k);
    for (int i = 0; i < 200; i++) kept_append(&k.partitions[0], 60, 1000);
    kept_stop(&k);
    cr_assert_gt(kept_file(&k, "telemetry/0", 1, path), 3);
    size_t n = read_all(path, bytes, sizeof bytes);

    bytes[500] ^= 1;
    write_all(path, bytes, n);
    expect_refusal(&k, RH_E_IO, "the record at byte 500 is damaged");
    cr_expect_eq(read_all(path, bytes, sizeof bytes), n, "nothing was cut off");

    cr_assert_eq(remove(path), 0);
    expect_refusal(&k, RH_E_IO, "does not go on where the file before it ended");
    kept_remove(&k);
}

/* -- eviction --------------------------------------------------------------------------------- */

Test(emulator_store, files_go_when_all_their_events_are_evicted)
{
    struct kept k;
    char        path[400], last[400];
    kept_make(&k);
    kept_must_start(&k);
    rh_emu_partition *p = &k.partitions[0];
    for (int i = 0; i < 500; i++) kept_append(p, 60, 1000 + i);
    int before = kept_file(&k, "telemetry/0", -1, last);
    cr_expect_gt(before, 10);

    rh_emu_store_expire(&k.store, 1000 + 1000000 + 249); /* half of them */
    int half = kept_file(&k, "telemetry/0", 0, path);
    cr_expect(half <= before / 2 + 1 && half >= before / 2, "%d files of %d", half, before);
    cr_expect_eq(p->begin, 250);

    rh_emu_store_expire(&k.store, 9000000);
    cr_expect_eq(kept_file(&k, "telemetry/0", 0, path), 1);
    cr_expect_str_eq(path, last);
    kept_stop(&k);

    kept_must_start(&k);
    rh_emu_store_expire(&k.store, 9000000);
    kept_expect(p, 500, 500);
    kept_append(p, 60, 9000000);
    kept_expect(p, 500, 501);
    kept_stop(&k);
    kept_remove(&k);
}

Test(emulator_store, the_size_limit_holds_while_logs_are_read_back)
{
    struct kept k;
    char        path[400];
    kept_make(&k);
    kept_must_start(&k);
    for (int i = 0; i < 1000; i++) kept_append(&k.partitions[i % 2], 60, 1000 + i);
    int before = kept_file(&k, "telemetry/1", 0, path);
    kept_stop(&k);

    cr_assert_eq(kept_start_hub(&k, "telemetry", 2, 32768), RH_OK, "%s", k.error.description);
    cr_expect_leq(k.store.used, 32768);
    for (int i = 0; i < 2; i++) {
        cr_expect_gt(k.partitions[i].begin, 200);
        kept_expect(&k.partitions[i], k.partitions[i].begin, 500);
    }
    cr_expect_lt(kept_file(&k, "telemetry/1", 0, path), before);
    kept_stop(&k);
    kept_remove(&k);
}

/* -- what cannot be written ------------------------------------------------------------------- */

Test(emulator_store, what_cannot_be_written_is_taken_back_whole)
{
    struct kept k;
    char        path[400];
    struct stat info;
    kept_make(&k);
    kept_must_start(&k);
    rh_emu_partition *p = &k.partitions[0];
    kept_append(p, 60, 1000);
    rh_emu_mark mark = rh_emu_partition_mark(p);
    uint64_t    used = k.store.used;

    limit_files(250); /* one and a half of the three */
    for (int i = 0; i < 3; i++) kept_put(p, 60, 2000);
    cr_expect_not(rh_emu_partition_flush(p));
    cr_expect_str_eq(k.logged, "emulator.disk");
    rh_emu_partition_take_back(p, &mark);
    kept_expect(p, 0, 1);
    cr_expect_eq(p->last_enqueued_ms, 1000);
    cr_expect_eq(k.store.used, used);
    kept_file(&k, "telemetry/0", 0, path);
    cr_expect(stat(path, &info) == 0 && info.st_size == 100, "%lld bytes", (long long)info.st_size);

    limit_files(RLIM_INFINITY);
    kept_append(p, 60, 3000);
    kept_stop(&k);
    kept_must_start(&k);
    cr_expect_str_empty(k.logged);
    kept_expect(p, 0, 2);
    kept_stop(&k);
    kept_remove(&k);
}

Test(emulator_store, a_file_that_could_not_be_begun_takes_no_other_along)
{
    struct kept   k;
    struct rlimit usual;
    getrlimit(RLIMIT_NOFILE, &usual);
    kept_make(&k);
    kept_must_start(&k);
    rh_emu_partition *p = &k.partitions[0];
    while (p->next_offset + KEPT_RECORD * (uint64_t)p->end < KEPT_FILE_BYTES) kept_append(p, 60, 1000);
    int64_t     end  = p->end;
    rh_emu_mark mark = rh_emu_partition_mark(p);

    limit_descriptors(3); /* all taken */
    kept_put(p, 60, 1000);
    cr_expect_not(rh_emu_partition_flush(p), "the file was full and another one could be opened");
    rh_emu_partition_take_back(p, &mark);
    rh_emu_store_expire(&k.store, 9000000);
    limit_descriptors(usual.rlim_cur);
    kept_expect(p, end, end);
    kept_stop(&k);

    kept_must_start(&k);
    cr_expect_eq(p->end, end, "the next event would be %lld again", (long long)p->end);
    kept_append(p, 60, 9000000);
    kept_stop(&k);
    kept_remove(&k);
}

Test(emulator_store, many_partitions_share_few_descriptors)
{
    enum { MANY = 300 };
    static rh_emu_partition many[MANY];
    struct kept             k;
    kept_make(&k);
    for (int round = 0; round < 3; round++) {
        cr_assert_eq(kept_start_hub(&k, "few", 2, 1 << 20), RH_OK, "%s", k.error.description);
        for (uint32_t i = 0; i < MANY; i++) rh_emu_partition_init(&many[i], &k.store, i);
        cr_assert_eq(rh_emu_disk_keep(k.disk, "many", many, MANY, &k.created_ms, &k.error), RH_OK, "%s", k.error.description);
        struct dirent **entries;
        for (int i = 0; i < MANY; i++) {
            kept_expect(&many[i], 0, 2 * round);
            kept_append(&many[i], 20, 1000);
        }
        for (int i = 0; i < MANY; i++) kept_append(&many[i], 20, 1000);
        int open = scandir("/proc/self/fd", &entries, NULL, NULL);
        cr_expect_lt(open, 200, "%d descriptors", open);
        for (int i = 0; i < open; i++) free(entries[i]);
        free(entries);
        for (int i = 0; i < MANY; i++) rh_emu_partition_fini(&many[i]);
        kept_stop(&k);
    }
    kept_remove(&k);
}

/* A delivery may fill many segments, evict the oldest events of all, its own included, and still fail. */
Test(emulator_store, a_delivery_of_any_size_can_be_taken_back)
{
    for (int before = 0; before < 3; before++)
        for (int count = 1; count < 2000; count = count * 3 + 1) {
            struct kept k;
            kept_make(&k);
            cr_assert_eq(kept_start_hub(&k, "telemetry", 2, 65536), RH_OK);
            rh_emu_partition *p = &k.partitions[0];
            for (int i = 0; i < before; i++) kept_append(p, 100, 1000);
            rh_emu_mark mark = rh_emu_partition_mark(p);
            for (int i = 0; i < count; i++) kept_put(p, 100, 2000);
            rh_emu_partition_take_back(p, &mark);
            int64_t begin = p->begin;
            cr_assert_leq(begin, before, "begins at %lld", (long long)begin);
            kept_expect(p, begin, before);
            kept_append(p, 100, 3000);
            kept_expect(p, begin, before + 1);
            kept_stop(&k);

            cr_assert_eq(kept_start_hub(&k, "telemetry", 2, 65536), RH_OK, "%s", k.error.description);
            cr_expect_str_empty(k.logged);
            kept_expect(p, p->begin, before + 1);
            cr_expect_leq(p->begin, begin);
            kept_stop(&k);
            kept_remove(&k);
        }
}

Test(emulator_store, a_delivery_larger_than_the_buffer_is_written_and_taken_back_too)
{
    struct kept k;
    kept_make(&k);
    cr_assert_eq(kept_start_hub(&k, "telemetry", 2, 64 << 20), RH_OK);
    rh_emu_partition *p = &k.partitions[0];
    for (int i = 0; i < 9; i++) kept_put(p, 1000000, 1000);
    cr_assert(rh_emu_partition_flush(p));
    rh_emu_mark mark = rh_emu_partition_mark(p);
    for (int i = 0; i < 9; i++) kept_put(p, 1000000, 2000);
    rh_emu_partition_take_back(p, &mark);
    kept_stop(&k);
    cr_assert_eq(kept_start_hub(&k, "telemetry", 2, 64 << 20), RH_OK);
    cr_expect_str_empty(k.logged);
    kept_expect(p, 0, 9);
    kept_stop(&k);
    kept_remove(&k);
}

Test(emulator_store, every_allocation_may_fail)
{
    struct kept k;
    kept_make(&k);
    kept_must_start(&k);
    for (int i = 0; i < 100; i++) kept_append(&k.partitions[i % 2], 60, 1000);
    kept_stop(&k);
    rh_status status = RH_E_MEMORY;
    unsigned  n;
    for (n = 1; status != RH_OK; n++) {
        cr_assert_lt(n, 1000);
        k.fail_allocation = n;
        status            = kept_start(&k);
        cr_assert(status == RH_OK || status == RH_E_MEMORY, "allocation %u: %s", n, k.error.description);
        if (status == RH_OK) kept_expect(&k.partitions[0], 0, 50);
        k.fail_allocation = 0;
        kept_stop(&k);
    }
    cr_expect_gt(n, 5);
    kept_remove(&k);
}

/* -- folders that cannot be had --------------------------------------------------------------- */

Test(emulator_store, a_folder_that_cannot_be_written_is_refused_at_the_start)
{
    struct kept k;
    kept_make(&k);
    FILE *f = fopen(k.folder, "w"); /* a file is in its place */
    fclose(f);
    expect_refusal(&k, RH_E_IO, "Not a directory");
    remove(k.folder);

    snprintf(k.folder, sizeof k.folder, "%s/no/parent", k.root);
    expect_refusal(&k, RH_E_IO, "No such file or directory");

    snprintf(k.folder, sizeof k.folder, "%s/data", k.root);
    kept_must_start(&k);
    kept_stop(&k);
    if (geteuid() != 0) { /* nothing is forbidden to root */
        char path[128];
        snprintf(path, sizeof path, "%s/telemetry/1", k.folder);
        chmod(path, 0500);
        expect_refusal(&k, RH_E_IO, "Permission denied");
        chmod(path, 0700);
        chmod(k.folder, 0500);
        expect_refusal(&k, RH_E_IO, "Permission denied");
        chmod(k.folder, 0700);
    }
    kept_remove(&k);
}

Test(emulator_store, a_hub_cannot_come_back_with_other_partitions)
{
    struct kept k;
    kept_make(&k);
    kept_must_start(&k);
    kept_append(&k.partitions[1], 10, 1000);
    kept_stop(&k);
    cr_expect_eq(kept_start_hub(&k, "telemetry", 1, 1 << 20), RH_E_CONFLICT);
    cr_expect_not_null(strstr(k.error.description, "has 2 partitions on disk and cannot have 1 now"), "%s", k.error.description);
    kept_stop(&k);

    char path[128];
    snprintf(path, sizeof path, "%s/telemetry/hub", k.folder);
    write_all(path, (const uint8_t *)"ringhub 9\npartitions 2\ncreated 5\n", 33);
    expect_refusal(&k, RH_E_IO, "telemetry/hub: not written by this version");
    kept_remove(&k);
}

Test(emulator_store, two_cannot_have_the_same_folder)
{
    struct kept k, second;
    kept_make(&k);
    kept_must_start(&k);
    second           = k;
    second.allocated = 0;
    expect_refusal(&second, RH_E_CONFLICT, "another emulator");
    kept_stop(&k);
    kept_must_start(&k);
    kept_stop(&k);
    kept_remove(&k);
}
