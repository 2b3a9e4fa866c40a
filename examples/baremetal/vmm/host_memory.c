/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory: an arena that lives as long as one payload, and what compilers call behind one's back. */
#include "host.h"

#define ARENA_BYTES 0x400000u

static uint8_t arena[ARENA_BYTES] __attribute__((aligned(4096)));
static size_t arena_used; /* atomic: CPUs map pages at the same time */

void *host_alloc(size_t bytes, size_t alignment)
{
    size_t used = __atomic_load_n(&arena_used, __ATOMIC_RELAXED), start;

    do {
        start = (used + alignment - 1) / alignment * alignment;
        HOST_MUST(start + bytes <= sizeof(arena));
    } while (
        !__atomic_compare_exchange_n(&arena_used, &used, start + bytes, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return memset(arena + start, 0, bytes);
}

void *host_alloc_page(void)
{
    return host_alloc(PAGE_BYTES, PAGE_BYTES);
}

void host_alloc_reset(void)
{
    arena_used = 0;
}

void *memcpy(void *to, const void *from, size_t bytes)
{
    void *start = to;

    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory");
    return start;
}

void *memmove(void *to, const void *from, size_t bytes)
{
    uint8_t *target = to;
    const uint8_t *source = from;

    if (target <= source || target >= source + bytes) {
        return memcpy(to, from, bytes);
    }
    while (bytes-- > 0) {
        *(volatile uint8_t *)(target + bytes) = source[bytes];
    }
    return to;
}

void *memset(void *to, int value, size_t bytes)
{
    void *start = to;

    __asm__ volatile("rep stosb" : "+D"(to), "+c"(bytes) : "a"(value) : "memory");
    return start;
}

int memcmp(const void *left, const void *right, size_t bytes)
{
    const uint8_t *a = left, *b = right;

    for (; bytes > 0; a++, b++, bytes--) {
        if (*a != *b) {
            return *a < *b ? -1 : 1;
        }
    }
    return 0;
}

bool strings_are_equal(const char *left, const char *right)
{
    while (*left != 0 && *left == *right) {
        left++;
        right++;
    }
    return *left == *right;
}
