#include "tests/heap.h"

#include <dlfcn.h>
#include <link.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <errno.h>

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif

#ifdef SANITIZED

bool heap_is_counted(void)
{
    return false;
}

struct heap_count heap_count(void)
{
    return (struct heap_count){ 0, 0 };
}

#else

static _Thread_local size_t ours, tls;

struct range {
    uintptr_t from, to;
};
static struct range tls_code[8];
static _Atomic int tls_code_count = -1;

/* dl_iterate_phdr allocates nothing, so it may be asked from inside malloc. */
static int note_library(struct dl_phdr_info *info, size_t size, void *user)
{
    int *count = user;
    (void)size;
    if (!strstr(info->dlpi_name, "libssl") && !strstr(info->dlpi_name, "libcrypto")) return 0;
    for (int i = 0; i < info->dlpi_phnum && *count < 8; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        if (header->p_type != PT_LOAD || !(header->p_flags & PF_X)) continue;
        uintptr_t from = info->dlpi_addr + header->p_vaddr;
        tls_code[(*count)++] = (struct range){ from, from + header->p_memsz };
    }
    return 0;
}

static bool is_tls(const void *caller)
{
    if (tls_code_count < 0) {
        int count = 0;
        dl_iterate_phdr(note_library, &count);
        tls_code_count = count;
    }
    for (int i = 0; i < tls_code_count; i++)
        if ((uintptr_t)caller >= tls_code[i].from && (uintptr_t)caller < tls_code[i].to) return true;
    return false;
}

static void note(const void *caller)
{
    if (is_tls(caller)) tls++;
    else ours++;
}

bool heap_is_counted(void)
{
    return true;
}

struct heap_count heap_count(void)
{
    return (struct heap_count){ ours, tls };
}

/* glibc's own names: the program's definitions below come before the library's, for everybody in the process. */
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t count, size_t n);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t align, size_t n);

void *malloc(size_t n)
{
    note(__builtin_return_address(0));
    return __libc_malloc(n);
}

void *calloc(size_t count, size_t n)
{
    note(__builtin_return_address(0));
    return __libc_calloc(count, n);
}

void *realloc(void *p, size_t n)
{
    note(__builtin_return_address(0));
    return __libc_realloc(p, n);
}

void *aligned_alloc(size_t align, size_t n)
{
    note(__builtin_return_address(0));
    return __libc_memalign(align, n);
}

int posix_memalign(void **out, size_t align, size_t n)
{
    note(__builtin_return_address(0));
    *out = __libc_memalign(align, n);
    return *out ? 0 : ENOMEM;
}

void *mmap(void *at, size_t n, int protection, int flags, int fd, off_t offset)
{
    note(__builtin_return_address(0));
    return (void *)syscall(SYS_mmap, at, n, protection, flags, fd, offset);
}

#endif
