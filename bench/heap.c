/*
 * heap.so, to be preloaded: stands before glibc's malloc and its kin and counts them into a shared file. It never
 * allocates itself. Nobody is timed under it.
 */
#include "bench/heap.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

/* Until the file is mapped, and where there is none. */
static rh_heap_counts own;
static rh_heap_counts *counts = &own;
static pid_t counted;

__attribute__((constructor)) static void map_file(void)
{
    const char *file = getenv(RH_HEAP_VARIABLE);
    int fd = file ? open(file, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0) return;
    rh_heap_counts *shared = MAP_FAILED;
    if (ftruncate(fd, sizeof *shared) == 0) shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (shared == MAP_FAILED) return;
    counted = getpid();
    uint64_t owner = atomic_load(&shared->process);
    if (owner && owner != (uint64_t)counted) {
        munmap(shared, sizeof *shared);
        return;
    }
    /* One thread runs yet: what was counted so far moves over. */
    atomic_store(&shared->mallocs, own.mallocs);
    atomic_store(&shared->callocs, own.callocs);
    atomic_store(&shared->reallocs, own.reallocs);
    atomic_store(&shared->frees, own.frees);
    atomic_store(&shared->live, own.live);
    atomic_store(&shared->process, (uint64_t)counted);
    counts = shared;
}

/* A child of fork() shares the mapping; its copies of our blocks are not ours. */
static void leave_to_parent(void) { counts = &own; }

__attribute__((constructor)) static void watch_forks(void) { (void)pthread_atfork(NULL, NULL, leave_to_parent); }

static void add(_Atomic uint64_t *count, uint64_t n) { atomic_fetch_add_explicit(count, n, memory_order_relaxed); }

static void *given(_Atomic uint64_t *count, void *p)
{
    add(count, 1);
    if (p) add(&counts->live, malloc_usable_size(p));
    return p;
}

/* glibc's own names for what the definitions below hide. */
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t count, size_t n);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t align, size_t n);
void  __libc_free(void *p);

void *malloc(size_t n) { return given(&counts->mallocs, __libc_malloc(n)); }

void *calloc(size_t count, size_t n) { return given(&counts->callocs, __libc_calloc(count, n)); }

void *memalign(size_t align, size_t n) { return given(&counts->mallocs, __libc_memalign(align, n)); }

void *aligned_alloc(size_t align, size_t n) { return memalign(align, n); }

void *valloc(size_t n) { return memalign((size_t)sysconf(_SC_PAGESIZE), n); }

int posix_memalign(void **out, size_t align, size_t n)
{
    *out = memalign(align, n);
    return *out ? 0 : ENOMEM;
}

void *realloc(void *p, size_t n)
{
    size_t before = p ? malloc_usable_size(p) : 0;
    void *moved = __libc_realloc(p, n);
    bool stayed = !moved && n > 0; /* no memory: the old block lives on */
    if (!stayed) add(&counts->live, -(uint64_t)before);
    return given(&counts->reallocs, moved);
}

void *reallocarray(void *p, size_t count, size_t n)
{
    size_t bytes;
    if (!__builtin_mul_overflow(count, n, &bytes)) return realloc(p, bytes);
    errno = ENOMEM;
    return NULL;
}

void free(void *p)
{
    if (!p) return;
    add(&counts->frees, 1);
    add(&counts->live, -(uint64_t)malloc_usable_size(p));
    __libc_free(p);
}
