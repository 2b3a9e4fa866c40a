/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Forced schedules: code under test is compiled into the test with a stop before each of its atomic operations, where
 * another thread's turn is played. All interleavings with one change of threads are gone through, in one real thread.
 */
#ifndef TESTS_MUSEUM_MUSEUM_STEPS_H
#define TESTS_MUSEUM_MUSEUM_STEPS_H

#include "fake_host.h"
#include "vlapic_atomic.h"

static void (*museum_at_stop)(void);
static unsigned museum_steps_left;

/* Called before each atomic operation. */
static inline void museum_step(void)
{
    void (*turn)(void) = museum_at_stop;

    if (turn != NULL && museum_steps_left-- == 0) {
        museum_at_stop = NULL; /* the other's turn is not stopped */
        turn();
    }
}

/* The turn is played once, before the atomic operation with this number, from 0, that comes from now on. */
static inline void museum_stop_before(unsigned step, void (*turn)(void))
{
    museum_steps_left = step;
    museum_at_stop = turn;
}

/* True if the turn was played; if not, there were fewer operations than that. */
static inline bool museum_stopped(void)
{
    bool stopped = museum_at_stop == NULL;

    museum_at_stop = NULL;
    return stopped;
}

/* Which words were written, in this order. */
static const void *museum_stores[16];
static unsigned museum_store_count;

static inline void museum_store(const void *word)
{
    museum_step();
    if (museum_store_count < sizeof museum_stores / sizeof museum_stores[0])
        museum_stores[museum_store_count++] = word;
}

/* The mailbox, both sides of it, compiled into the test in place of the library's objects of the same names. */
#undef vlapic_load_relaxed
#undef vlapic_load_acquire
#undef vlapic_load_seq
#undef vlapic_store_release
#undef vlapic_exchange
#undef vlapic_fetch_or
#undef vlapic_fetch_and
#undef vlapic_compare_swap
#define vlapic_load_relaxed(p) (museum_step(), __atomic_load_n((p), __ATOMIC_SEQ_CST))
#define vlapic_load_acquire(p) (museum_step(), __atomic_load_n((p), __ATOMIC_SEQ_CST))
#define vlapic_load_seq(p) (museum_step(), __atomic_load_n((p), __ATOMIC_SEQ_CST))
#define vlapic_store_release(p, v) (museum_store(p), __atomic_store_n((p), (v), __ATOMIC_SEQ_CST))
#define vlapic_exchange(p, v) (museum_store(p), __atomic_exchange_n((p), (v), __ATOMIC_SEQ_CST))
#define vlapic_fetch_or(p, v) (museum_store(p), __atomic_fetch_or((p), (v), __ATOMIC_SEQ_CST))
#define vlapic_fetch_and(p, v) (museum_store(p), __atomic_fetch_and((p), (v), __ATOMIC_SEQ_CST))
#define vlapic_compare_swap(p, expected, v)                                                                            \
    (museum_store(p), __atomic_compare_exchange_n((p), (expected), (v), 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
#include "vlapic_post.c"
#include "vlapic_work.c"

#endif
