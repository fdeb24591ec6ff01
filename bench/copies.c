/*
 * Preloaded: counts the bytes that a program and its libraries copy with memcpy and its kin, into the file that
 * RH_COPIES_FILE names (eight bytes, native order), read from outside at any time. Copies of a size known when the caller
 * was compiled are a few instructions in place and not seen; neither is what the kernel copies. Slow on purpose: nothing
 * is timed under it.
 */
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

void *memcpy(void *restrict to, const void *restrict from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *mempcpy(void *restrict to, const void *restrict from, size_t n);
void *__memcpy_chk(void *restrict to, const void *restrict from, size_t n, size_t room);
void *__memmove_chk(void *to, const void *from, size_t n, size_t room);

static uint64_t nowhere, *copied = &nowhere;

__attribute__((constructor)) static void begin(void)
{
    const char *file = getenv("RH_COPIES_FILE");
    int         fd   = file ? open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (fd < 0) return;
    if (ftruncate(fd, sizeof *copied) == 0) {
        void *shared = mmap(NULL, sizeof *copied, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (shared != MAP_FAILED) copied = shared;
    }
    close(fd);
}

static void count(size_t n) { __atomic_fetch_add(copied, n, __ATOMIC_RELAXED); }

static void forwards(void *to, const void *from, size_t n)
{
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
}

static void backwards(uint8_t *to, const uint8_t *from, size_t n)
{
    while (n--) to[n] = from[n];
}

void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
    count(n);
    forwards(to, from, n);
    return to;
}

void *memmove(void *to, const void *from, size_t n)
{
    count(n);
    if ((uintptr_t)to - (uintptr_t)from >= n) forwards(to, from, n);
    else backwards(to, from, n);
    return to;
}

void *mempcpy(void *restrict to, const void *restrict from, size_t n) { return (uint8_t *)memcpy(to, from, n) + n; }

void *__memcpy_chk(void *restrict to, const void *restrict from, size_t n, size_t room)
{
    if (n > room) abort();
    return memcpy(to, from, n);
}

void *__memmove_chk(void *to, const void *from, size_t n, size_t room)
{
    if (n > room) abort();
    return memmove(to, from, n);
}
