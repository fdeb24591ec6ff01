#include <criterion/criterion.h>
#include <dirent.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "emulator/store.h"
#include "tests/emulator_world.h"

/* -- a folder, and a store with a hub of two partitions that is kept in it ---------------------- */

#define FILE_BYTES 4096
#define RECORD     40 /* what a record adds to an event */

struct kept {
    char             root[64], folder[96];
    size_t           allocated;
    unsigned         fail_allocation; /* counts down; the one that reaches 0 fails; 0: none does */
    rh_allocator     allocator;
    rh_emu_store     store;
    rh_emu_partition partitions[2];
    rh_emu_disk     *disk;
    rh_error         error;
    int64_t          created_ms;
    char             logged[64], words[800]; /* the last record at or above warning */
};

static void *counted_alloc(void *user, size_t n)
{
    struct kept *k = user;
    if (k->fail_allocation && --k->fail_allocation == 0) return NULL;
    k->allocated += n;
    return malloc(n);
}

static void counted_free(void *user, void *p, size_t n)
{
    ((struct kept *)user)->allocated -= n;
    free(p);
}

static void on_log(void *user, rh_log_level level, const char *id, const char *text)
{
    struct kept *k = user;
    if (level > RH_LOG_WARNING) return;
    snprintf(k->logged, sizeof k->logged, "%s", id);
    snprintf(k->words, sizeof k->words, "%s", text);
}

static void folder_make(struct kept *k)
{
    memset(k, 0, sizeof *k);
    k->created_ms = 77;
    strcpy(k->root, "/tmp/ringhub-store-XXXXXX");
    cr_assert_not_null(mkdtemp(k->root));
    snprintf(k->folder, sizeof k->folder, "%s/data", k->root);
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *walk)
{
    (void)info, (void)kind, (void)walk;
    return remove(path);
}

static void folder_remove(const struct kept *k)
{
    nftw(k->root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static rh_status start_hub(struct kept *k, const char *hub, uint32_t count, uint64_t max_bytes)
{
    k->allocator  = (rh_allocator){ counted_alloc, counted_free, k };
    k->store      = (rh_emu_store){ .allocator = &k->allocator, .max_bytes = max_bytes, .retention_ms = 1000000 };
    k->logged[0] = k->words[0] = 0;
    for (uint32_t i = 0; i < 2; i++) rh_emu_partition_init(&k->partitions[i], &k->store, i);
    rh_emu_disk_opts opts = { &k->allocator, { on_log, k }, k->folder, FILE_BYTES };
    rh_status        status = rh_emu_disk_open(&opts, &k->disk, &k->error);
    return status == RH_OK ? rh_emu_disk_keep(k->disk, hub, k->partitions, count, &k->created_ms, &k->error) : status;
}

static rh_status start(struct kept *k)
{
    return start_hub(k, "telemetry", 2, 1 << 20);
}

static void must_start(struct kept *k)
{
    cr_assert_eq(start(k), RH_OK, "%s", k->error.description);
}

static void stop(struct kept *k)
{
    for (int i = 0; i < 2; i++) rh_emu_partition_fini(&k->partitions[i]);
    rh_emu_disk_close(k->disk);
    k->disk = NULL;
    cr_expect_eq(k->allocated, 0, "%zu bytes are still allocated", k->allocated);
}

/* An event of n bytes that all are its sequence number's last digit; the first of them are its header. */
static void put(rh_emu_partition *p, size_t n, int64_t wall_ms)
{
    uint8_t *room = rh_emu_partition_reserve(p, n + 100);
    cr_assert_not_null(room);
    memset(room, '0' + (int)(p->end % 10), n);
    rh_emu_partition_commit(p, n, n / 3, rh_emu_partition_time(p, wall_ms));
}

static void append(rh_emu_partition *p, size_t n, int64_t wall_ms)
{
    put(p, n, wall_ms);
    cr_assert(rh_emu_partition_flush(p));
}

static void expect_events(const rh_emu_partition *p, int64_t begin, int64_t end)
{
    rh_emu_stored s;
    cr_assert_eq(p->begin, begin, "begins at %lld", (long long)p->begin);
    cr_assert_eq(p->end, end, "ends at %lld", (long long)p->end);
    for (int64_t i = begin; i < end; i++) {
        cr_assert(rh_emu_partition_at(p, i, &s));
        cr_assert_eq(s.sequence, i);
        cr_assert_eq(s.record->header_n, s.bytes.n / 3);
        for (size_t b = 0; b < s.bytes.n; b++) cr_assert_eq(s.bytes.p[b], '0' + i % 10, "byte %zu of event %lld", b, (long long)i);
    }
}

/* -- files ------------------------------------------------------------------------------------ */

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_log(const struct dirent *entry)
{
    return strstr(entry->d_name, ".log") != NULL;
}

/* The path of a partition's file; from the end when negative. Answers how many files there are. */
static int nth_file(const struct kept *k, const char *log, int n, char path[400])
{
    char            folder[128];
    struct dirent **entries;
    snprintf(folder, sizeof folder, "%s/%s", k->folder, log);
    int count = scandir(folder, &entries, is_log, by_name);
    if (n < 0) n += count;
    path[0] = 0;
    for (int i = 0; i < count; i++) {
        if (i == n) snprintf(path, 400, "%s/%s", folder, entries[i]->d_name);
        free(entries[i]);
    }
    if (count >= 0) free(entries);
    return count;
}

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
    folder_make(&k);
    must_start(&k);
    rh_emu_partition *p = &k.partitions[1];
    for (int i = 0; i < 300; i++) append(p, (size_t)(i * 7) % 200, 1000 + i / 3);
    for (int i = 0; i < 300; i++) {
        cr_assert(rh_emu_partition_at(p, i, &s));
        times[i]   = s.record->enqueued_ms;
        offsets[i] = s.record->offset;
    }
    next_offset = p->next_offset;
    last_offset = p->last_offset;
    stop(&k);

    must_start(&k);
    cr_expect_str_empty(k.logged, "%s", k.words);
    expect_events(p, 0, 300);
    for (int i = 0; i < 300; i++) {
        cr_assert(rh_emu_partition_at(p, i, &s));
        cr_assert(s.record->enqueued_ms == times[i] && s.record->offset == offsets[i], "event %d", i);
    }
    cr_expect(p->next_offset == next_offset && p->last_offset == last_offset && p->last_enqueued_ms == times[299]);
    cr_expect_eq(k.partitions[0].end, 0);

    append(p, 50, 500); /* the wall clock stepped back meanwhile, the log does not */
    cr_assert(rh_emu_partition_at(p, 300, &s));
    cr_expect(s.record->offset == next_offset && s.record->enqueued_ms == times[299]);
    stop(&k);
    must_start(&k);
    expect_events(p, 0, 301);
    stop(&k);
    folder_remove(&k);
}

Test(emulator_store, a_hub_remembers_when_it_was_created)
{
    struct kept k;
    folder_make(&k);
    must_start(&k);
    cr_expect_eq(k.created_ms, 77);
    stop(&k);
    k.created_ms = 99;
    cr_assert_eq(start_hub(&k, "TELEMETRY", 2, 1 << 20), RH_OK, "names differ in more than case: %s", k.error.description);
    cr_expect_eq(k.created_ms, 77);
    stop(&k);
    folder_remove(&k);
}

Test(emulator_store, names_that_look_like_paths_stay_apart)
{
    static const char *const names[] = { "a", "a/0", "a/0/0", "a..b", "a/../b", "a.log", "a_2f0", "hub" };
    struct kept k;
    folder_make(&k);
    for (int i = 0; i < 8; i++) {
        cr_assert_eq(start_hub(&k, names[i], 2, 1 << 20), RH_OK, "%s: %s", names[i], k.error.description);
        cr_assert_eq(k.partitions[0].end, 0, "%s found the events of another hub", names[i]);
        for (int n = 0; n <= i; n++) append(&k.partitions[0], 10, 1000);
        stop(&k);
    }
    for (int i = 0; i < 8; i++) {
        cr_assert_eq(start_hub(&k, names[i], 2, 1 << 20), RH_OK);
        expect_events(&k.partitions[0], 0, i + 1);
        stop(&k);
    }
    struct dirent **entries;
    int             count = scandir(k.root, &entries, NULL, by_name);
    cr_expect_eq(count, 3, "., .. and data, nothing beside it");
    for (int i = 0; i < count; i++) free(entries[i]);
    free(entries);

    char name[257] = "";
    memset(name, 'x', 256);
    cr_expect_eq(start_hub(&k, name, 2, 1 << 20), RH_E_ARGUMENT);
    stop(&k);
    folder_remove(&k);
}

/* -- torn, damaged, missing ------------------------------------------------------------------- */

Test(emulator_store, a_last_record_torn_at_any_byte_is_cut_off)
{
    struct kept k;
    char        path[400];
    uint8_t     bytes[4096];
    struct stat info;
    folder_make(&k);
    must_start(&k);
    rh_emu_partition *p = &k.partitions[0];
    for (int i = 0; i < 5; i++) append(p, 60, 1000);
    stop(&k);
    cr_assert_eq(nth_file(&k, "telemetry/0", 0, path), 1);
    size_t n = read_all(path, bytes, sizeof bytes);
    cr_assert_eq(n, 5 * (60 + RECORD));

    for (size_t cut = 1; cut <= 60 + RECORD; cut++) {
        write_all(path, bytes, n - cut);
        must_start(&k);
        expect_events(p, 0, 4);
        bool clean = cut == 60 + RECORD;
        cr_expect_str_eq(k.logged, clean ? "" : "emulator.disk_cut", "cut by %zu", cut);
        cr_assert(stat(path, &info) == 0 && info.st_size == 4 * (60 + RECORD), "cut by %zu", cut);
        append(p, 60, 1000);
        stop(&k);
        must_start(&k);
        expect_events(p, 0, 5);
        cr_expect_str_empty(k.logged);
        stop(&k);
    }
    folder_remove(&k);
}

Test(emulator_store, a_damaged_byte_anywhere_in_a_record_is_noticed)
{
    struct kept k;
    char        path[400];
    uint8_t     bytes[4096];
    folder_make(&k);
    must_start(&k);
    for (int i = 0; i < 3; i++) append(&k.partitions[0], 30, 1000);
    stop(&k);
    nth_file(&k, "telemetry/0", 0, path);
    size_t n = read_all(path, bytes, sizeof bytes), record = 30 + RECORD;

    for (size_t at = record; at < 2 * record; at++) {
        bytes[at] ^= 0x40;
        write_all(path, bytes, n);
        bytes[at] ^= 0x40;
        must_start(&k);
        expect_events(&k.partitions[0], 0, 1);
        cr_expect_str_eq(k.logged, "emulator.disk_cut", "byte %zu", at);
        cr_expect_not_null(strstr(k.words, "from byte 70 on"), "%s", k.words);
        stop(&k);
    }
    folder_remove(&k);
}

Test(emulator_store, a_log_cut_to_nothing_still_knows_its_position)
{
    struct kept k;
    char        path[400];
    folder_make(&k);
    must_start(&k);
    rh_emu_partition *p = &k.partitions[0];
    for (int i = 0; i < 200; i++) append(p, 60, 1000 + i);
    rh_emu_store_expire(&k.store, 1000 + 1000000 + 190);
    stop(&k);
    cr_assert_eq(nth_file(&k, "telemetry/0", -1, path), 1);
    cr_assert_eq(truncate(path, 3), 0);

    must_start(&k);
    cr_expect_gt(p->begin, 100);
    expect_events(p, p->begin, p->begin);
    cr_expect_eq(p->next_offset, (uint64_t)p->begin * 60);
    stop(&k);
    folder_remove(&k);
}

static void expect_refusal(struct kept *k, rh_status status, const char *words)
{
    cr_expect_eq(start(k), status, "%s", k->error.description);
    cr_expect_eq(k->error.status, status);
    cr_expect_not_null(strstr(k->error.description, words), "%s", k->error.description);
    cr_expect_not_null(strstr(k->error.description, k->folder), "%s", k->error.description);
    stop(k);
}

Test(emulator_store, damage_before_the_last_file_is_for_a_person_to_judge)
{
    struct kept k;
    char        path[400];
    uint8_t     bytes[8192];
    folder_make(&k);
    must_start(&k);
    for (int i = 0; i < 200; i++) append(&k.partitions[0], 60, 1000);
    stop(&k);
    cr_assert_gt(nth_file(&k, "telemetry/0", 1, path), 3);
    size_t n = read_all(path, bytes, sizeof bytes);

    bytes[500] ^= 1;
    write_all(path, bytes, n);
    expect_refusal(&k, RH_E_IO, "the record at byte 500 is damaged");
    cr_expect_eq(read_all(path, bytes, sizeof bytes), n, "nothing was cut off");

    cr_assert_eq(remove(path), 0);
    expect_refusal(&k, RH_E_IO, "does not go on where the file before it ended");
    folder_remove(&k);
}

/* -- eviction --------------------------------------------------------------------------------- */

Test(emulator_store, files_go_when_all_their_events_are_evicted)
{
    struct kept k;
    char        path[400], last[400];
    folder_make(&k);
    must_start(&k);
    rh_emu_partition *p = &k.partitions[0];
    for (int i = 0; i < 500; i++) append(p, 60, 1000 + i);
    int before = nth_file(&k, "telemetry/0", -1, last);
    cr_expect_gt(before, 10);

    rh_emu_store_expire(&k.store, 1000 + 1000000 + 249); /* half of them */
    int half = nth_file(&k, "telemetry/0", 0, path);
    cr_expect(half <= before / 2 + 1 && half >= before / 2, "%d files of %d", half, before);
    cr_expect_eq(p->begin, 250);

    rh_emu_store_expire(&k.store, 9000000);
    cr_expect_eq(nth_file(&k, "telemetry/0", 0, path), 1);
    cr_expect_str_eq(path, last);
    stop(&k);

    must_start(&k);
    rh_emu_store_expire(&k.store, 9000000);
    expect_events(p, 500, 500);
    append(p, 60, 9000000);
    expect_events(p, 500, 501);
    stop(&k);
    folder_remove(&k);
}

Test(emulator_store, the_size_limit_holds_while_logs_are_read_back)
{
    struct kept k;
    char        path[400];
    folder_make(&k);
    must_start(&k);
    for (int i = 0; i < 1000; i++) append(&k.partitions[i % 2], 60, 1000 + i);
    int before = nth_file(&k, "telemetry/1", 0, path);
    stop(&k);

    cr_assert_eq(start_hub(&k, "telemetry", 2, 32768), RH_OK, "%s", k.error.description);
    cr_expect_leq(k.store.used, 32768);
    for (int i = 0; i < 2; i++) {
        cr_expect_gt(k.partitions[i].begin, 200);
        expect_events(&k.partitions[i], k.partitions[i].begin, 500);
    }
    cr_expect_lt(nth_file(&k, "telemetry/1", 0, path), before);
    stop(&k);
    folder_remove(&k);
}

/* -- what cannot be written ------------------------------------------------------------------- */

/* What a full disk does, to this process only. */
static void limit_files(rlim_t n)
{
    struct rlimit limit;
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = n;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

Test(emulator_store, what_cannot_be_written_is_taken_back_whole)
{
    struct kept k;
    char        path[400];
    struct stat info;
    folder_make(&k);
    must_start(&k);
    rh_emu_partition *p = &k.partitions[0];
    append(p, 60, 1000);
    rh_emu_mark mark = rh_emu_partition_mark(p);
    uint64_t    used = k.store.used;

    limit_files(250); /* one and a half of the three */
    for (int i = 0; i < 3; i++) put(p, 60, 2000);
    cr_expect_not(rh_emu_partition_flush(p));
    cr_expect_str_eq(k.logged, "emulator.disk");
    rh_emu_partition_take_back(p, &mark);
    expect_events(p, 0, 1);
    cr_expect_eq(p->last_enqueued_ms, 1000);
    cr_expect_eq(k.store.used, used);
    nth_file(&k, "telemetry/0", 0, path);
    cr_expect(stat(path, &info) == 0 && info.st_size == 100, "%lld bytes", (long long)info.st_size);

    limit_files(RLIM_INFINITY);
    append(p, 60, 3000);
    stop(&k);
    must_start(&k);
    cr_expect_str_empty(k.logged);
    expect_events(p, 0, 2);
    stop(&k);
    folder_remove(&k);
}

static void limit_descriptors(rlim_t n)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = n;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

Test(emulator_store, a_file_that_could_not_be_begun_takes_no_other_along)
{
    struct kept   k;
    struct rlimit usual;
    getrlimit(RLIMIT_NOFILE, &usual);
    folder_make(&k);
    must_start(&k);
    rh_emu_partition *p = &k.partitions[0];
    while (p->next_offset + RECORD * (uint64_t)p->end < FILE_BYTES) append(p, 60, 1000);
    int64_t     end  = p->end;
    rh_emu_mark mark = rh_emu_partition_mark(p);

    limit_descriptors(3); /* all taken */
    put(p, 60, 1000);
    cr_expect_not(rh_emu_partition_flush(p), "the file was full and another one could be opened");
    rh_emu_partition_take_back(p, &mark);
    rh_emu_store_expire(&k.store, 9000000);
    limit_descriptors(usual.rlim_cur);
    expect_events(p, end, end);
    stop(&k);

    must_start(&k);
    cr_expect_eq(p->end, end, "the next event would be %lld again", (long long)p->end);
    append(p, 60, 9000000);
    stop(&k);
    folder_remove(&k);
}

Test(emulator_store, many_partitions_share_few_descriptors)
{
    enum { MANY = 300 };
    static rh_emu_partition many[MANY];
    struct kept             k;
    folder_make(&k);
    for (int round = 0; round < 3; round++) {
        cr_assert_eq(start_hub(&k, "few", 2, 1 << 20), RH_OK, "%s", k.error.description);
        for (uint32_t i = 0; i < MANY; i++) rh_emu_partition_init(&many[i], &k.store, i);
        cr_assert_eq(rh_emu_disk_keep(k.disk, "many", many, MANY, &k.created_ms, &k.error), RH_OK, "%s", k.error.description);
        struct dirent **entries;
        for (int i = 0; i < MANY; i++) {
            expect_events(&many[i], 0, 2 * round);
            append(&many[i], 20, 1000);
        }
        for (int i = 0; i < MANY; i++) append(&many[i], 20, 1000);
        int open = scandir("/proc/self/fd", &entries, NULL, by_name);
        cr_expect_lt(open, 200, "%d descriptors", open);
        for (int i = 0; i < open; i++) free(entries[i]);
        free(entries);
        for (int i = 0; i < MANY; i++) rh_emu_partition_fini(&many[i]);
        stop(&k);
    }
    folder_remove(&k);
}

/* A delivery may fill many segments, evict the oldest events of all, its own included, and still fail. */
Test(emulator_store, a_delivery_of_any_size_can_be_taken_back)
{
    for (int before = 0; before < 3; before++)
        for (int count = 1; count < 2000; count = count * 3 + 1) {
            struct kept k;
            folder_make(&k);
            cr_assert_eq(start_hub(&k, "telemetry", 2, 65536), RH_OK);
            rh_emu_partition *p = &k.partitions[0];
            for (int i = 0; i < before; i++) append(p, 100, 1000);
            rh_emu_mark mark = rh_emu_partition_mark(p);
            for (int i = 0; i < count; i++) put(p, 100, 2000);
            rh_emu_partition_take_back(p, &mark);
            int64_t begin = p->begin;
            cr_assert_leq(begin, before, "begins at %lld", (long long)begin);
            expect_events(p, begin, before);
            append(p, 100, 3000);
            expect_events(p, begin, before + 1);
            stop(&k);

            cr_assert_eq(start_hub(&k, "telemetry", 2, 65536), RH_OK, "%s", k.error.description);
            cr_expect_str_empty(k.logged);
            expect_events(p, p->begin, before + 1);
            cr_expect_leq(p->begin, begin);
            stop(&k);
            folder_remove(&k);
        }
}

Test(emulator_store, a_delivery_larger_than_the_buffer_is_written_and_taken_back_too)
{
    struct kept k;
    folder_make(&k);
    cr_assert_eq(start_hub(&k, "telemetry", 2, 64 << 20), RH_OK);
    rh_emu_partition *p = &k.partitions[0];
    for (int i = 0; i < 9; i++) put(p, 1000000, 1000);
    cr_assert(rh_emu_partition_flush(p));
    rh_emu_mark mark = rh_emu_partition_mark(p);
    for (int i = 0; i < 9; i++) put(p, 1000000, 2000);
    rh_emu_partition_take_back(p, &mark);
    stop(&k);
    cr_assert_eq(start_hub(&k, "telemetry", 2, 64 << 20), RH_OK);
    cr_expect_str_empty(k.logged);
    expect_events(p, 0, 9);
    stop(&k);
    folder_remove(&k);
}

Test(emulator_store, every_allocation_may_fail)
{
    struct kept k;
    folder_make(&k);
    must_start(&k);
    for (int i = 0; i < 100; i++) append(&k.partitions[i % 2], 60, 1000);
    stop(&k);
    rh_status status = RH_E_MEMORY;
    unsigned  n;
    for (n = 1; status != RH_OK; n++) {
        cr_assert_lt(n, 1000);
        k.fail_allocation = n;
        status            = start(&k);
        cr_assert(status == RH_OK || status == RH_E_MEMORY, "allocation %u: %s", n, k.error.description);
        if (status == RH_OK) expect_events(&k.partitions[0], 0, 50);
        k.fail_allocation = 0;
        stop(&k);
    }
    cr_expect_gt(n, 5);
    folder_remove(&k);
}

/* -- folders that cannot be had --------------------------------------------------------------- */

Test(emulator_store, a_folder_that_cannot_be_written_is_refused_at_the_start)
{
    struct kept k;
    folder_make(&k);
    FILE *f = fopen(k.folder, "w"); /* a file is in its place */
    fclose(f);
    expect_refusal(&k, RH_E_IO, "Not a directory");
    remove(k.folder);

    snprintf(k.folder, sizeof k.folder, "%s/no/parent", k.root);
    expect_refusal(&k, RH_E_IO, "No such file or directory");

    snprintf(k.folder, sizeof k.folder, "%s/data", k.root);
    must_start(&k);
    stop(&k);
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
    folder_remove(&k);
}

Test(emulator_store, a_hub_cannot_come_back_with_other_partitions)
{
    struct kept k;
    folder_make(&k);
    must_start(&k);
    append(&k.partitions[1], 10, 1000);
    stop(&k);
    cr_expect_eq(start_hub(&k, "telemetry", 1, 1 << 20), RH_E_CONFLICT);
    cr_expect_not_null(strstr(k.error.description, "has 2 partitions on disk and cannot have 1 now"), "%s", k.error.description);
    stop(&k);

    char path[128];
    snprintf(path, sizeof path, "%s/telemetry/hub", k.folder);
    write_all(path, (const uint8_t *)"ringhub 9\npartitions 2\ncreated 5\n", 33);
    expect_refusal(&k, RH_E_IO, "telemetry/hub: not written by this version");
    folder_remove(&k);
}

Test(emulator_store, two_cannot_have_the_same_folder)
{
    struct kept k, second;
    folder_make(&k);
    must_start(&k);
    second           = k;
    second.allocated = 0;
    expect_refusal(&second, RH_E_CONFLICT, "another emulator");
    stop(&k);
    must_start(&k);
    stop(&k);
    folder_remove(&k);
}

/* -- a whole namespace ------------------------------------------------------------------------ */

struct client {
    emulator_world world;
    raw_client     raw;
    raw_link       sender, reader;
};

static void client_open(struct client *c, const char *folder)
{
    static const rh_emulator_hub hub = { .name = "Hub", .partitions = 4 };
    namespace_open(&c->world, RH_EMULATOR_OPTS(.hubs = &hub, .hub_count = 1, .data_dir = folder));
    cr_assert(raw_open(&c->raw, &c->world, NULL, NULL));
    raw_authorize(&c->raw);
    cr_assert(RAW_ATTACH(&c->raw, &c->sender, .address = "hub/Partitions/2"));
    cr_assert(RAW_ATTACH(&c->raw, &c->reader, .address = "hub/ConsumerGroups/$Default/Partitions/2", .receiver = true));
}

static void client_close(struct client *c)
{
    raw_close(&c->raw);
    namespace_close(&c->world);
}

Test(emulator_store, a_namespace_goes_on_where_it_ended)
{
    static struct client c;
    struct kept          k;
    folder_make(&k);
    client_open(&c, k.folder);
    cr_expect_eq(raw_send(&c.sender, "one", "key"), RH_ACCEPTED);
    cr_expect_eq(raw_send_batch(&c.sender, "many", 40, NULL), RH_ACCEPTED);
    client_close(&c);

    client_open(&c, k.folder);
    raw_pass(&c.raw, 1);
    cr_assert_eq(c.reader.count, 41);
    cr_expect_str_eq(c.reader.events[0].body, "one");
    cr_expect_str_eq(c.reader.events[0].key, "key");
    cr_expect_str_eq(c.reader.events[40].body, "many39");
    cr_expect_eq(raw_send(&c.sender, "after", NULL), RH_ACCEPTED);
    raw_pass(&c.raw, 1);
    cr_assert_eq(c.reader.count, 42);
    cr_expect_eq(c.reader.events[41].sequence, 41);
    cr_expect_str_eq(c.reader.events[41].body, "after");

    rh_emulator_stats stats;
    rh_emulator_stats_read(c.world.emulator, &stats);
    cr_expect_eq(stats.events_in, 1, "what was read back did not come in");
    cr_expect_gt(stats.bytes_stored, 41 * 50);
    client_close(&c);
    folder_remove(&k);
}

Test(emulator_store, an_event_that_cannot_be_written_is_rejected_and_never_seen)
{
    static struct client c;
    struct kept          k;
    folder_make(&k);
    client_open(&c, k.folder);
    cr_expect_eq(raw_send(&c.sender, "good", NULL), RH_ACCEPTED);
    limit_files(400);
    cr_expect_eq(raw_send_batch(&c.sender, "lost", 10, NULL), RH_REJECTED);
    cr_expect_str_eq(c.world.logged, "emulator.disk");
    raw_pass(&c.raw, 1);
    cr_expect_eq(c.reader.count, 1);
    limit_files(RLIM_INFINITY);
    cr_expect_eq(raw_send(&c.sender, "better", NULL), RH_ACCEPTED);
    raw_pass(&c.raw, 1);
    cr_assert_eq(c.reader.count, 2);
    cr_expect_str_eq(c.reader.events[1].body, "better");
    cr_expect_eq(c.reader.events[1].sequence, 1);
    client_close(&c);
    folder_remove(&k);
}
