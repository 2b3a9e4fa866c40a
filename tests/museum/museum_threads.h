/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * For museum tests with real threads: a host whose callbacks any thread may run at once (the fake host's record is for
 * one thread), and waiting with an end. No cmocka assertion outside of the test's own thread.
 */
#ifndef TESTS_MUSEUM_MUSEUM_THREADS_H
#define TESTS_MUSEUM_MUSEUM_THREADS_H

#include "museum_smp.h"

#include <pthread.h>
#include <sched.h>
#include <time.h>

/* Loops end after this many rounds or, on a busy machine, this much time. */
#define MUSEUM_ROUNDS 20000u
#define MUSEUM_LOOP_NS 300000000ull
/* Nothing takes this long unless it hangs. */
#define MUSEUM_PATIENCE_NS 20000000000ull

/* How often callbacks came; atomic. */
struct museum_counts {
    unsigned kicks; /* of all vCPUs together */
    unsigned broadcasts;
};

static struct museum_counts museum_counted;

static inline void museum_count_kick(void *cpu_cookie)
{
    (void)cpu_cookie;
    __atomic_fetch_add(&museum_counted.kicks, 1u, __ATOMIC_SEQ_CST);
}

static inline void museum_count_broadcast(void *vm_cookie, uint8_t vector)
{
    (void)vm_cookie;
    (void)vector;
    __atomic_fetch_add(&museum_counted.broadcasts, 1u, __ATOMIC_SEQ_CST);
}

static inline unsigned museum_get(const unsigned *counter)
{
    return __atomic_load_n(counter, __ATOMIC_ACQUIRE);
}

static inline void museum_set(unsigned *counter, unsigned value)
{
    __atomic_store_n(counter, value, __ATOMIC_RELEASE);
}

static inline uint64_t museum_clock_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Set by the test's own thread: the others are to end. Atomic. */
static unsigned museum_over;
static uint64_t museum_loop_end;

static inline void museum_loop_begin(void)
{
    museum_set(&museum_over, 0);
    museum_loop_end = museum_clock_ns() + MUSEUM_LOOP_NS;
}

static inline bool museum_loop_goes_on(unsigned round)
{
    return round < MUSEUM_ROUNDS && museum_clock_ns() < museum_loop_end;
}

static inline void museum_loop_join(const pthread_t *threads, unsigned count)
{
    museum_set(&museum_over, 1);
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

/* Waits until the counter has at least this value; false if the loop is over first, or if it takes for ever. */
static inline bool museum_wait(const unsigned *counter, unsigned value)
{
    uint64_t end = 0;

    for (unsigned turn = 1; museum_get(counter) < value; turn++) {
        if (museum_get(&museum_over) != 0)
            return false;
        /* Not at once: threads that wait for the same counter are to go on at the same moment. */
        if (turn % 64 == 0)
            sched_yield();
        if (turn % 4096 == 0) {
            end = end != 0 ? end : museum_clock_ns() + MUSEUM_PATIENCE_NS;
            if (museum_clock_ns() > end)
                return false;
        }
    }
    return true;
}

/* vCPUs running and software-enabled in xAPIC mode, under a host that only counts kicks and EOI broadcasts. NULL:
 * soft. */
static inline void museum_start_threaded(struct fake_vm *f, unsigned count, const struct vlapic_backend *backend)
{
    museum_counted = (struct museum_counts){ 0 };
    fake_vm_prepare(f, VLAPIC_VENDOR_INTEL);
    f->ops.kick = museum_count_kick;
    f->ops.eoi_broadcast = museum_count_broadcast;
    f->ops.eoi_notify = NULL;
    f->ops.base_changed = NULL;
    if (backend != NULL)
        f->config.backend = backend;
    museum_start(f, count, NULL, false);
}

#endif
