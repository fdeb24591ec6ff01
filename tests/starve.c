#include "tests/starve.h"

#include <ares.h>
#include <errno.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* The linker gives the program's own calls of NAME to __wrap_NAME, and those of __real_NAME to what would have been called. */
void *__real_malloc(size_t n);
void *__real_calloc(size_t count, size_t n);
void *__real_realloc(void *p, size_t n);
void  __real_free(void *p);
void *__real_mmap(void *at, size_t n, int protection, int flags, int fd, off_t offset);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t count, size_t n);
void *__wrap_realloc(void *p, size_t n);
char *__wrap_strdup(const char *text);
void  __wrap_free(void *p);
void *__wrap_mmap(void *at, size_t n, int protection, int flags, int fd, off_t offset);

static _Thread_local enum starve_who victim;
static _Thread_local uint64_t        left; /* how often it may still ask, the time it fails included; 0: for ever */
static _Thread_local bool            happened;
static _Thread_local int64_t         alive;

static bool refuses(enum starve_who who)
{
    if (who != victim || left == 0 || --left > 0) return false;
    happened = true;
    errno = ENOMEM;
    return true;
}

static void *counted(void *p)
{
    alive += p != NULL;
    return p;
}

static void *grow(void *p, size_t n)
{
    void *more = __real_realloc(p, n);
    alive += !p && more;
    return more;
}

void *__wrap_malloc(size_t n) { return refuses(STARVE_OURS) ? NULL : counted(__real_malloc(n)); }
void *__wrap_calloc(size_t count, size_t n) { return refuses(STARVE_OURS) ? NULL : counted(__real_calloc(count, n)); }
void *__wrap_realloc(void *p, size_t n) { return refuses(STARVE_OURS) ? NULL : grow(p, n); }

char *__wrap_strdup(const char *text)
{
    size_t n = strlen(text) + 1;
    char *copy = __wrap_malloc(n);
    return copy ? memcpy(copy, text, n) : NULL;
}

void __wrap_free(void *p)
{
    alive -= p != NULL;
    __real_free(p);
}

void *__wrap_mmap(void *at, size_t n, int protection, int flags, int fd, off_t offset)
{
    return flags & MAP_ANONYMOUS && refuses(STARVE_OURS) ? MAP_FAILED : __real_mmap(at, n, protection, flags, fd, offset);
}

static void *tls_malloc(size_t n, const char *file, int line)
{
    (void)file, (void)line;
    return n == 0 || refuses(STARVE_TLS) ? NULL : counted(__real_malloc(n));
}

static void tls_free(void *p, const char *file, int line)
{
    (void)file, (void)line;
    __wrap_free(p);
}

static void *tls_realloc(void *p, size_t n, const char *file, int line)
{
    if (n == 0) tls_free(p, file, line);
    return n == 0 || refuses(STARVE_TLS) ? NULL : grow(p, n);
}

void starve_begin(void)
{
    bool is_first = CRYPTO_set_mem_functions(tls_malloc, tls_realloc, tls_free) == 1;
    json_set_alloc_funcs(__wrap_malloc, __wrap_free);
    if (is_first && ares_library_init_mem(ARES_LIB_INIT_ALL, __wrap_malloc, __wrap_free, __wrap_realloc) == ARES_SUCCESS) return;
    fprintf(stderr, "somebody allocated before the test began\n");
    exit(1);
}

void starve_at(enum starve_who who, uint64_t nth)
{
    victim = who;
    left = nth;
    if (nth) happened = false;
}

bool starve_happened(void) { return happened; }

int64_t starve_alive(void)
{
    OPENSSL_thread_stop(); /* what it keeps for the thread: error texts, generators */
    return alive;
}
