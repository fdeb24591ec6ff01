/*
 * lent.h: memory that is lent for a while. A byte beyond what was lent, and any byte of it afterwards, is found by
 * AddressSanitizer; without it what was lent is overwritten, so that whoever still reads it reads nonsense. It costs a small
 * part of what malloc() and free() would.
 */
#ifndef RH_KIT_LENT_H
#define RH_KIT_LENT_H

#include <sanitizer/asan_interface.h>
#include <stdint.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define KIT_POISONS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define KIT_POISONS 1
#endif
#endif

/* Poison is exact at the end of a range that ends at a multiple of eight; before the start it may leave seven bytes. */
enum { KIT_GUARD = 32 };

/** `room` bytes, a multiple of eight, between two guards. Declare it static and give it to these calls only. */
#define KIT_LENT(name, room) _Alignas(16) static uint8_t name[KIT_GUARD + (room) + KIT_GUARD]

/** The last n bytes of it. */
static inline uint8_t *kit_lend(uint8_t *lent, size_t all, size_t n)
{
    uint8_t *end = lent + all - KIT_GUARD;
#ifdef KIT_POISONS
    __asan_poison_memory_region(lent, all);
    __asan_unpoison_memory_region(end - n, n);
#endif
    return end - n;
}

/** Nobody may look at what was lent any more. */
static inline void kit_return(uint8_t *lent, size_t all, size_t n)
{
#ifdef KIT_POISONS
    (void)n;
    __asan_poison_memory_region(lent, all);
#else
    memset(lent + all - KIT_GUARD - n, 0xa5, n);
#endif
}

#define KIT_LEND(name, n)   kit_lend(name, sizeof name, n)
#define KIT_RETURN(name, n) kit_return(name, sizeof name, n)

#endif
