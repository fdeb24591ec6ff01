#include "emulator/store.h"

#include "codec/codec.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define FORMAT 1

#define HEAD_N     32u
#define CHECKSUM_N 8u

/* Holds the largest event and its record twice. What one delivery appends is gathered here and written with one call. */
#define BUFFER_N (2u * 1024 * 1024)

/* Files open at once, of all partitions: the usual limit of a process is 1024 descriptors, connections included. */
#define OPEN_MAX_FILES 128u

#define FOLDER_MAX 264 /* a hub's folder name, a slash, a partition's number */
#define PATH_ROOM  (FOLDER_MAX + 48)

struct file {
    struct file *next;
    int64_t      first; /* sequence number of its first record, there or to come */
    uint64_t     offset;
};

struct log {
    rh_emu_keeper     base;
    struct log       *next;
    rh_emu_disk      *disk;
    rh_emu_partition *partition;
    struct file      *files, *last; /* oldest first; records go to the last */
    uint64_t          size;         /* of the last file's records that are kept */
    uint64_t          written;      /* the same and what was written since the last flush */
    int               fd;           /* of the last file; -1: closed for now */
    bool              is_failed;    /* since the last flush */
    bool              is_torn;      /* bytes behind size that could not be cut off yet */
    char              folder[FOLDER_MAX];
};

struct rh_emu_disk {
    const rh_allocator *allocator;
    rh_log              log;
    uint64_t            file_bytes;
    char                folder[256]; /* for words; cut if longer */
    int                 fd;          /* of the folder, with the lock */
    struct log         *logs;
    struct log         *open[OPEN_MAX_FILES];
    unsigned            turn; /* whose place the next file to be opened takes */
    size_t              used; /* bytes of buffer */
    uint8_t             buffer[BUFFER_N];
};

/* -- telling: words begin with the folder, so that formats begin with what is in it --------------- */

__attribute__((format(printf, 4, 5))) static void tell(const rh_emu_disk *disk, rh_log_level level, const char *id, const char *format, ...)
{
    char    text[768];
    va_list list;
    if (!disk->log.on_log) return;
    int saved = errno, n = snprintf(text, sizeof text, "%s/", disk->folder);
    va_start(list, format);
    errno = saved; /* for %m */
    vsnprintf(text + n, sizeof text - (size_t)n, format, list);
    va_end(list);
    disk->log.on_log(disk->log.user, level, id, text);
}

__attribute__((format(printf, 4, 5))) static rh_status fail(const rh_emu_disk *disk, rh_error *error, rh_status status, const char *format, ...)
{
    char    text[768];
    va_list list;
    int     saved = errno, n = snprintf(text, sizeof text, "%s/", disk->folder);
    va_start(list, format);
    errno = saved;
    vsnprintf(text + n, sizeof text - (size_t)n, format, list);
    va_end(list);
    if (error) rh_error_set(error, status, NULL, text);
    return status;
}

static const char *path_of(const struct log *log, const struct file *file, char path[PATH_ROOM])
{
    snprintf(path, PATH_ROOM, "%s/%020" PRId64 "-%020" PRIu64 ".log", log->folder, file->first, file->offset);
    return path;
}

/* -- records ---------------------------------------------------------------------------------- */

static size_t record_n(size_t event_n)
{
    return HEAD_N + event_n + CHECKSUM_N;
}

static void put_record(uint8_t *p, const rh_emu_stored *event)
{
    size_t n = event->bytes.n;
    rh_put32(p, (uint32_t)n);
    rh_put32(p + 4, event->record->header_n);
    rh_put64(p + 8, (uint64_t)event->sequence);
    rh_put64(p + 16, event->record->offset);
    rh_put64(p + 24, (uint64_t)event->record->enqueued_ms);
    memcpy(p + HEAD_N, event->bytes.p, n);
    rh_put64(p + HEAD_N + n, XXH3_64bits(p, HEAD_N + n));
}

/* The record at the front of bytes, if it is whole, sound and the one that comes next; its length, else 0. */
static size_t check_record(const rh_emu_partition *partition, const uint8_t *p, size_t n)
{
    if (n < record_n(0)) return 0;
    size_t event_n = rh_get32(p);
    if (event_n > n - record_n(0) || rh_get32(p + 4) > event_n) return 0;
    if (rh_get64(p + HEAD_N + event_n) != XXH3_64bits(p, HEAD_N + event_n)) return 0;
    if ((int64_t)rh_get64(p + 8) != partition->end || rh_get64(p + 16) != partition->next_offset) return 0;
    return (int64_t)rh_get64(p + 24) >= partition->last_enqueued_ms ? record_n(event_n) : 0;
}

static bool take_record(rh_emu_partition *partition, const uint8_t *p)
{
    size_t   n    = rh_get32(p);
    uint8_t *room = rh_emu_partition_reserve(partition, n);
    if (!room) return false;
    memcpy(room, p + HEAD_N, n);
    rh_emu_partition_commit(partition, n, rh_get32(p + 4), (int64_t)rh_get64(p + 24));
    return true;
}

/* -- files ------------------------------------------------------------------------------------ */

static bool add_file(struct log *log, int64_t first, uint64_t offset)
{
    const rh_allocator *allocator = log->disk->allocator;
    struct file        *file      = allocator->alloc(allocator->user, sizeof *file);
    if (!file) return false;
    *file = (struct file){ NULL, first, offset };
    if (log->last) log->last->next = file;
    else log->files = file;
    log->last = file;
    return true;
}

static void free_file(struct log *log, struct file *file)
{
    log->disk->allocator->free(log->disk->allocator->user, file, sizeof *file);
}

static void close_last(struct log *log)
{
    if (log->fd >= 0) close(log->fd);
    log->fd = -1;
    for (size_t i = 0; i < OPEN_MAX_FILES; i++)
        if (log->disk->open[i] == log) log->disk->open[i] = NULL;
}

static bool open_last(struct log *log)
{
    char         path[PATH_ROOM];
    rh_emu_disk *disk = log->disk;
    if (log->fd >= 0) return true;
    unsigned place = disk->turn++ % OPEN_MAX_FILES;
    if (disk->open[place]) close_last(disk->open[place]);
    log->fd = openat(disk->fd, path_of(log, log->last, path), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (log->fd < 0) return false;
    disk->open[place] = log;
    return true;
}

static void fail_log(struct log *log, const char *what)
{
    char path[PATH_ROOM] = "";
    if (log->last) path_of(log, log->last, path);
    tell(log->disk, RH_LOG_ERROR, "emulator.disk", "%s: cannot %s: %m; events are rejected", log->last ? path : log->folder, what);
    log->is_failed = true;
}

/* Cuts off what is behind the kept records, lest it comes back as events with the next start. */
static bool cut(struct log *log)
{
    log->written = log->size;
    log->is_torn = !open_last(log) || ftruncate(log->fd, (off_t)log->size) != 0;
    if (log->is_torn) fail_log(log, "cut off what was not accepted");
    return !log->is_torn;
}

/* -- the keeper: appending -------------------------------------------------------------------- */

/* A full file is left at the beginning of a delivery only, so that taking one back never spans two. */
static void begin_delivery(struct log *log, const rh_emu_stored *event)
{
    if (log->is_torn && !cut(log)) return;
    if (log->last && log->size < log->disk->file_bytes) return;
    if (!add_file(log, event->sequence, event->record->offset)) {
        errno = ENOMEM;
        if (!log->last) fail_log(log, "begin a file");
        return; /* else the old one grows on */
    }
    close_last(log);
    log->size = log->written = 0;
}

static void write_out(struct log *log)
{
    rh_emu_disk *disk = log->disk;
    if (!log->is_failed && !open_last(log)) fail_log(log, "open it");
    for (size_t at = 0; at < disk->used && !log->is_failed;) {
        ssize_t n = pwrite(log->fd, disk->buffer + at, disk->used - at, (off_t)log->written);
        if (n > 0) {
            at += (size_t)n;
            log->written += (uint64_t)n;
        } else if (n == 0 || errno != EINTR) {
            fail_log(log, "write");
        }
    }
    disk->used = 0;
}

static void log_append(rh_emu_keeper *keeper, const rh_emu_stored *event)
{
    struct log  *log  = (struct log *)keeper;
    rh_emu_disk *disk = log->disk;
    size_t       n    = record_n(event->bytes.n);
    if (log->is_failed) return;
    if (disk->used == 0 && log->written == log->size) begin_delivery(log, event);
    if (n > BUFFER_N) {
        errno = EMSGSIZE;
        fail_log(log, "take an event");
    }
    if (n > BUFFER_N - disk->used) write_out(log);
    if (log->is_failed) return;
    put_record(disk->buffer + disk->used, event);
    disk->used += n;
}

static bool log_flush(rh_emu_keeper *keeper)
{
    struct log *log = (struct log *)keeper;
    if (log->disk->used) write_out(log);
    if (log->is_failed) return false;
    log->size = log->written;
    return true;
}

static void log_drop(rh_emu_keeper *keeper)
{
    struct log *log  = (struct log *)keeper;
    log->disk->used  = 0;
    if (log->written > log->size) cut(log);
    log->is_failed = false; /* the next delivery may have better luck */
}

static void log_forget(rh_emu_keeper *keeper, int64_t begin)
{
    struct log *log = (struct log *)keeper;
    while (log->files && log->files->next && log->files->next->first <= begin) {
        /* A last file that could not be made yet remembers nothing. */
        if (log->files->next == log->last && log->size == 0) return;
        char         path[PATH_ROOM];
        struct file *file = log->files;
        log->files        = file->next;
        if (unlinkat(log->disk->fd, path_of(log, file, path), 0) != 0)
            tell(log->disk, RH_LOG_WARNING, "emulator.disk", "%s: cannot remove it: %m", path);
        free_file(log, file);
    }
}

static const rh_emu_keeper_ops ops = { .append = log_append, .flush = log_flush, .drop = log_drop, .forget = log_forget };

/* -- reading back ----------------------------------------------------------------------------- */

static bool parse_name(const char *name, int64_t *first, uint64_t *offset)
{
    int n = 0;
    return strlen(name) == 45 && sscanf(name, "%20" SCNd64 "-%20" SCNu64 ".log%n", first, offset, &n) == 2 && n == 45 && *first >= 0;
}

static rh_status put_in_order(struct log *log, int64_t first, uint64_t offset)
{
    struct file **at = &log->files, *later;
    if (!add_file(log, first, offset)) return RH_E_MEMORY;
    while ((*at)->first < first) at = &(*at)->next;
    if (*at == log->last) return RH_OK;

    struct file *file = log->last;
    for (later = *at; later->next != file; later = later->next) continue;
    later->next = NULL;
    log->last   = later;
    file->next  = *at;
    *at         = file;
    return RH_OK;
}

static rh_status list_files(struct log *log, rh_error *error)
{
    int  fd     = openat(log->disk->fd, log->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
    if (!folder) {
        fail(log->disk, error, RH_E_IO, "%s: cannot read it: %m", log->folder);
        if (fd >= 0) close(fd);
        return RH_E_IO;
    }
    rh_status      status = RH_OK;
    struct dirent *entry;
    int64_t        first;
    uint64_t       offset;
    while (status == RH_OK && (entry = readdir(folder)))
        if (parse_name(entry->d_name, &first, &offset)) status = put_in_order(log, first, offset);
    closedir(folder);
    return status == RH_OK ? RH_OK : fail(log->disk, error, status, "%s: no memory for its files", log->folder);
}

/* Reads records until one is not sound; *good receives the bytes before it. Uses the buffer, which is empty at the start. */
static rh_status read_records(struct log *log, int fd, const char *path, uint64_t *good, rh_error *error)
{
    rh_emu_disk *disk = log->disk;
    size_t       have = 0, at = 0, n;
    for (*good = 0;;) {
        ssize_t got = pread(fd, disk->buffer + have, BUFFER_N - have, (off_t)(*good + have));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail(log->disk, error, RH_E_IO, "%s: cannot read it: %m", path);
        have += (size_t)got;
        for (at = 0; (n = check_record(log->partition, disk->buffer + at, have - at)); at += n)
            if (!take_record(log->partition, disk->buffer + at)) return fail(log->disk, error, RH_E_MEMORY, "%s: no memory for its events", path);
        /* A record that the buffer cannot hold was never written: what stands at its front is not sound. */
        if (got == 0 || (at == 0 && have == BUFFER_N)) return RH_OK;
        have -= at;
        *good += at;
        memmove(disk->buffer, disk->buffer + at, have);
    }
}

/* What is cut off may be events that somebody misses: damage is not for us to tell from a write that was torn. */
static bool keep_aside(rh_emu_disk *disk, int fd, const char *path, uint64_t from)
{
    char name[PATH_ROOM + 8];
    snprintf(name, sizeof name, "%s.cut", path);
    int aside = openat(disk->fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    ssize_t got = -1;
    while (aside >= 0 && (got = pread(fd, disk->buffer, BUFFER_N, (off_t)from)) > 0) {
        if (write(aside, disk->buffer, (size_t)got) != got) break;
        from += (uint64_t)got;
    }
    if (aside >= 0) close(aside);
    return aside >= 0 && got == 0;
}

static rh_status judge_end(struct log *log, const struct file *file, int fd, const char *path, uint64_t good, rh_error *error)
{
    struct stat info;
    if (fstat(fd, &info) != 0) return fail(log->disk, error, RH_E_IO, "%s: cannot look at it: %m", path);
    uint64_t rest = (uint64_t)info.st_size - good;
    if (rest && file->next)
        return fail(log->disk, error, RH_E_IO, "%s: the record at byte %" PRIu64 " is damaged and later files follow; move the log away to go on", path, good);
    if (rest) {
        if (!keep_aside(log->disk, fd, path, good)) return fail(log->disk, error, RH_E_IO, "%s: cannot keep its torn end aside: %m", path);
        if (ftruncate(fd, (off_t)good) != 0) return fail(log->disk, error, RH_E_IO, "%s: cannot cut off its torn end: %m", path);
        tell(log->disk, RH_LOG_WARNING, "emulator.disk_cut", "%s: %" PRIu64 " bytes from byte %" PRIu64 " on were torn or damaged: cut off, and kept in a file named .cut beside it",
             path, rest, good);
    }
    if (!file->next) log->size = log->written = good;
    return RH_OK;
}

static rh_status read_file(struct log *log, const struct file *file, rh_error *error)
{
    char              path[PATH_ROOM];
    rh_emu_partition *partition = log->partition;
    path_of(log, file, path);
    if (file == log->files) {
        partition->begin = partition->end = file->first;
        partition->next_offset = partition->last_offset = file->offset;
    } else if (file->first != partition->end || file->offset != partition->next_offset) {
        return fail(log->disk, error, RH_E_IO, "%s: does not go on where the file before it ended, with sequence number %" PRId64, path, partition->end);
    }
    int fd = openat(log->disk->fd, path, O_RDWR | O_CLOEXEC);
    if (fd < 0) return fail(log->disk, error, RH_E_IO, "%s: cannot open it: %m", path);
    uint64_t  good   = 0;
    rh_status status = read_records(log, fd, path, &good, error);
    if (status == RH_OK) status = judge_end(log, file, fd, path, good, error);
    close(fd);
    return status;
}

static rh_status read_log(struct log *log, rh_error *error)
{
    const rh_emu_partition *partition = log->partition;
    if (mkdirat(log->disk->fd, log->folder, 0755) != 0 && errno != EEXIST)
        return fail(log->disk, error, RH_E_IO, "%s: cannot make this folder: %m", log->folder);
    if (faccessat(log->disk->fd, log->folder, W_OK | X_OK, AT_EACCESS) != 0) return fail(log->disk, error, RH_E_IO, "%s: cannot write to it: %m", log->folder);

    rh_status status = list_files(log, error);
    for (struct file *file = log->files; file && status == RH_OK; file = file->next) status = read_file(log, file, error);
    if (status != RH_OK || !log->files) return status;
    tell(log->disk, RH_LOG_INFO, "emulator.disk_read",
         "%s: %" PRId64 " events from sequence number %" PRId64 " on were read back; %" PRId64 " before them no longer fit", log->folder,
         partition->end - partition->begin, partition->begin, partition->begin - log->files->first);
    log_forget(&log->base, partition->begin);
    return RH_OK;
}

static rh_status keep(rh_emu_disk *disk, const char *folder, rh_emu_partition *partition, rh_error *error)
{
    struct log *log = disk->allocator->alloc(disk->allocator->user, sizeof *log);
    if (!log) return fail(disk, error, RH_E_MEMORY, "%s: no memory for a log", folder);
    *log       = (struct log){ .base = { &ops }, .next = disk->logs, .disk = disk, .partition = partition, .fd = -1 };
    disk->logs = log;
    snprintf(log->folder, sizeof log->folder, "%s/%" PRIu32, folder, partition->id);
    rh_status status = read_log(log, error);
    if (status == RH_OK) partition->keeper = &log->base;
    return status;
}

/* -- a hub's folder --------------------------------------------------------------------------- */

/* '%' is in no hub's name, so no two names share a folder. */
static rh_status name_folder(const rh_emu_disk *disk, const char *hub, char folder[NAME_MAX + 1], rh_error *error)
{
    size_t n = 0;
    for (const char *c = hub; *c; c++) {
        if (n + 3 > NAME_MAX) return fail(disk, error, RH_E_ARGUMENT, "hub \"%.100s...\": the name is too long for a folder", hub);
        if (*c == '/') n += (size_t)snprintf(folder + n, 4, "%%2f");
        else folder[n++] = (char)(*c >= 'A' && *c <= 'Z' ? *c - 'A' + 'a' : *c);
    }
    folder[n] = 0;
    return RH_OK;
}

/* Written beside and renamed: it is there whole or not at all. */
static rh_status remember(rh_emu_disk *disk, const char *path, uint32_t count, int64_t created_ms, rh_error *error)
{
    char new_path[PATH_ROOM], text[96];
    snprintf(new_path, sizeof new_path, "%.280s.new", path);
    int  n    = snprintf(text, sizeof text, "ringhub %d\npartitions %" PRIu32 "\ncreated %" PRId64 "\n", FORMAT, count, created_ms);
    int  fd   = openat(disk->fd, new_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    bool done = fd >= 0 && write(fd, text, (size_t)n) == n;
    if (fd >= 0) close(fd);
    if (!done || renameat(disk->fd, new_path, disk->fd, path) != 0) return fail(disk, error, RH_E_IO, "%s: cannot write it: %m", path);
    return RH_OK;
}

static rh_status recall(rh_emu_disk *disk, const char *path, uint32_t count, int64_t *created_ms, rh_error *error)
{
    char     text[96] = "";
    int      format;
    uint32_t count_then;
    int64_t  created_then;
    int      fd = openat(disk->fd, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) return remember(disk, path, count, *created_ms, error);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    if (n < 0) fail(disk, error, RH_E_IO, "%s: cannot read it: %m", path);
    if (fd >= 0) close(fd);
    if (n < 0) return RH_E_IO;

    if (sscanf(text, "ringhub %d partitions %" SCNu32 " created %" SCNd64, &format, &count_then, &created_then) != 3 || format != FORMAT)
        return fail(disk, error, RH_E_IO, "%s: not written by this version of the emulator", path);
    if (count_then != count)
        return fail(disk, error, RH_E_CONFLICT, "%s: the hub has %" PRIu32 " partitions on disk and cannot have %" PRIu32 " now", path, count_then, count);
    *created_ms = created_then;
    return RH_OK;
}

rh_status rh_emu_disk_keep(rh_emu_disk *disk, const char *hub, rh_emu_partition *partitions, uint32_t count, int64_t *created_ms, rh_error *error)
{
    char      folder[NAME_MAX + 1], path[PATH_ROOM];
    rh_status status = name_folder(disk, hub, folder, error);
    if (status != RH_OK || count == 0) return status;
    if (mkdirat(disk->fd, folder, 0755) != 0 && errno != EEXIST) return fail(disk, error, RH_E_IO, "%s: cannot make this folder: %m", folder);
    snprintf(path, sizeof path, "%s/hub", folder);
    status = recall(disk, path, count, created_ms, error);

    /* What does not fit any more was told when it was evicted the first time. */
    rh_emu_store *store = partitions->store;
    void (*on_evicted)(void *, const rh_emu_partition *, uint64_t, uint64_t, const char *) = store->on_evicted;
    store->on_evicted = NULL;
    for (uint32_t i = 0; i < count && status == RH_OK; i++) status = keep(disk, folder, &partitions[i], error);
    store->on_evicted = on_evicted;
    return status;
}

/* -- open, close ------------------------------------------------------------------------------ */

static rh_status lock(const rh_emu_disk *disk, rh_error *error)
{
    if (flock(disk->fd, LOCK_EX | LOCK_NB) != 0)
        return errno == EWOULDBLOCK ? fail(disk, error, RH_E_CONFLICT, ": another emulator keeps its events there")
                                    : fail(disk, error, RH_E_IO, ": cannot lock this folder: %m");
    return faccessat(disk->fd, ".", W_OK | X_OK, AT_EACCESS) == 0 ? RH_OK : fail(disk, error, RH_E_IO, ": cannot write to this folder: %m");
}

rh_status rh_emu_disk_open(const rh_emu_disk_opts *opts, rh_emu_disk **out, rh_error *error)
{
    *out              = NULL;
    rh_emu_disk *disk = opts->allocator->alloc(opts->allocator->user, sizeof *disk);
    if (!disk) {
        if (error) rh_error_set(error, RH_E_MEMORY, NULL, "no memory to write to disk");
        return RH_E_MEMORY;
    }
    memset(disk, 0, offsetof(rh_emu_disk, buffer));
    disk->allocator  = opts->allocator;
    disk->log        = opts->log;
    disk->file_bytes = opts->file_bytes;
    snprintf(disk->folder, sizeof disk->folder, "%s", opts->folder);

    rh_status status = RH_OK;
    disk->fd         = -1;
    if (mkdir(opts->folder, 0755) != 0 && errno != EEXIST) status = fail(disk, error, RH_E_IO, ": cannot make this folder: %m");
    if (status == RH_OK) disk->fd = open(opts->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (status == RH_OK && disk->fd < 0) status = fail(disk, error, RH_E_IO, ": cannot open this folder: %m");
    if (status == RH_OK) status = lock(disk, error);
    if (status == RH_OK) *out = disk;
    else rh_emu_disk_close(disk);
    return status;
}

void rh_emu_disk_close(rh_emu_disk *disk)
{
    if (!disk) return;
    const rh_allocator *allocator = disk->allocator;
    while (disk->logs) {
        struct log *log = disk->logs;
        disk->logs      = log->next;
        close_last(log);
        while (log->files) {
            struct file *file = log->files;
            log->files        = file->next;
            free_file(log, file);
        }
        allocator->free(allocator->user, log, sizeof *log);
    }
    if (disk->fd >= 0) close(disk->fd);
    allocator->free(allocator->user, disk, sizeof *disk);
}
