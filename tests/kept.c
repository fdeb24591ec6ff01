#include "tests/kept.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>

/* -- memory and log --------------------------------------------------------------------------- */

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

/* -- the folder ------------------------------------------------------------------------------ */

void kept_make(struct kept *k)
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

void kept_remove(const struct kept *k)
{
    nftw(k->root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* -- the store ------------------------------------------------------------------------------- */

rh_status kept_start_hub(struct kept *k, const char *hub, uint32_t count, uint64_t max_bytes)
{
    k->allocator  = (rh_allocator){ counted_alloc, counted_free, k };
    k->store      = (rh_emu_store){ .allocator = &k->allocator, .max_bytes = max_bytes, .retention_ms = 1000000 };
    k->logged[0] = k->words[0] = 0;
    for (uint32_t i = 0; i < 2; i++) rh_emu_partition_init(&k->partitions[i], &k->store, i);
    rh_emu_disk_opts opts = { &k->allocator, { on_log, k }, k->folder, KEPT_FILE_BYTES };
    rh_status        status = rh_emu_disk_open(&opts, &k->disk, &k->error);
    return status == RH_OK ? rh_emu_disk_keep(k->disk, hub, k->partitions, count, &k->created_ms, &k->error) : status;
}

rh_status kept_start(struct kept *k)
{
    return kept_start_hub(k, "telemetry", 2, 1 << 20);
}

void kept_must_start(struct kept *k)
{
    cr_assert_eq(kept_start(k), RH_OK, "%s", k->error.description);
}

void kept_stop(struct kept *k)
{
    for (int i = 0; i < 2; i++) rh_emu_partition_fini(&k->partitions[i]);
    rh_emu_disk_close(k->disk);
    k->disk = NULL;
    cr_expect_eq(k->allocated, 0, "%zu bytes are still allocated", k->allocated);
}

void kept_put(rh_emu_partition *p, size_t n, int64_t wall_ms)
{
    uint8_t *room = rh_emu_partition_reserve(p, n + 100);
    cr_assert_not_null(room);
    memset(room, '0' + (int)(p->end % 10), n);
    rh_emu_partition_commit(p, n, n / 3, rh_emu_partition_time(p, wall_ms));
}

void kept_append(rh_emu_partition *p, size_t n, int64_t wall_ms)
{
    kept_put(p, n, wall_ms);
    cr_assert(rh_emu_partition_flush(p));
}

void kept_expect(const rh_emu_partition *p, int64_t begin, int64_t end)
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

int kept_file(const struct kept *k, const char *log, int n, char path[400])
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

/* -- what the machine refuses, to this process only ---------------------------------------------- */

void limit_files(rlim_t n)
{
    struct rlimit limit;
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = n;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

void limit_descriptors(rlim_t n)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = n;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}
