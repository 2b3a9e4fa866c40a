/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The few atomic operations that the mailbox and the routing tables need, over the compiler's builtins.
 * All sizes used are lock-free on every 64-bit host. docs/CONCURRENCY.md argues the orders.
 */
#ifndef VLAPIC_ATOMIC_H
#define VLAPIC_ATOMIC_H

#define vlapic_load_relaxed(p) __atomic_load_n((p), __ATOMIC_RELAXED)
#define vlapic_load_acquire(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define vlapic_load_seq(p) __atomic_load_n((p), __ATOMIC_SEQ_CST)
#define vlapic_store_relaxed(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define vlapic_store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define vlapic_store_seq(p, v) __atomic_store_n((p), (v), __ATOMIC_SEQ_CST)
#define vlapic_exchange(p, v) __atomic_exchange_n((p), (v), __ATOMIC_SEQ_CST)
#define vlapic_fetch_or(p, v) __atomic_fetch_or((p), (v), __ATOMIC_SEQ_CST)
#define vlapic_fetch_and(p, v) __atomic_fetch_and((p), (v), __ATOMIC_SEQ_CST)
#define vlapic_fetch_add(p, v) __atomic_fetch_add((p), (v), __ATOMIC_SEQ_CST)
#define vlapic_compare_swap(p, expected, v)                                                                            \
    __atomic_compare_exchange_n((p), (expected), (v), 0, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)

#define vlapic_fence() __atomic_thread_fence(__ATOMIC_SEQ_CST)

#define vlapic_unlikely(x) __builtin_expect(!!(x), 0)
/* Attributes in their reserved spelling: kernels define macros by the other. */
#define vlapic_always_inline inline __attribute__((__always_inline__))
/* Kept out of its callers, so that their frames stay small. */
#define vlapic_noinline __attribute__((__noinline__))
/* Kept out of its callers, so that their common path needs no stack frame. */
#define vlapic_cold __attribute__((__noinline__, __cold__))

#endif
