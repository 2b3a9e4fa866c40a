/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Timing: short bursts between two reads of the time-stamp counter, the median of many, less a burst of nothing. The floor's
 * primitives are measured the same way in the same process, so that a ratio does not depend on the machine.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench.h"

#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#else
#define CALLGRIND_TOGGLE_COLLECT (void)0
#define CALLGRIND_DUMP_STATS_AT(name) (void)(name)
#define CALLGRIND_ZERO_STATS (void)0
#endif

#define BURSTS 301u
#define FLOOR_OPERATIONS 256u

uint64_t bench_ticks(void)
{
#if defined(__x86_64__)
    uint32_t low, high;

    __asm__ volatile("lfence\n\trdtsc\n\tlfence" : "=a"(low), "=d"(high) : : "memory");
    return (uint64_t)high << 32 | low;
#else
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
#endif
}

static uint64_t monotonic_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

double bench_ns_per_tick(void)
{
    static double ratio;

    if (ratio == 0) {
        uint64_t ns = monotonic_ns(), ticks = bench_ticks();

        while (monotonic_ns() - ns < 20000000u) {
        }
        ratio = (double)(monotonic_ns() - ns) / (double)(bench_ticks() - ticks);
    }
    return ratio;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double percentile(double *values, unsigned count, unsigned percent)
{
    qsort(values, count, sizeof(*values), by_value);
    return values[(count - 1) * percent / 100];
}

/* --- the floor ------------------------------------------------------------------------------------------------------------- */

static uint64_t word __attribute__((aligned(64)));

__attribute__((noinline)) static void called(void *cookie)
{
    __asm__ volatile("" : : "r"(cookie) : "memory");
}
static void (*volatile call_pointer)(void *) = called;

static void floor_nothing(void)
{
    for (unsigned i = 0; i < FLOOR_OPERATIONS; i++) {
        __asm__ volatile("" : : "r"(i) : "memory");
    }
}

static void floor_locked(void)
{
    for (unsigned i = 0; i < FLOOR_OPERATIONS; i++) {
        __asm__ volatile("" : : "r"(i) : "memory");
        __atomic_fetch_or(&word, 1, __ATOMIC_SEQ_CST);
    }
}

static void floor_call(void)
{
    for (unsigned i = 0; i < FLOOR_OPERATIONS; i++) {
        __asm__ volatile("" : : "r"(i) : "memory");
        call_pointer(&word);
    }
}

static void floor_clock(void)
{
    for (unsigned i = 0; i < FLOOR_OPERATIONS; i++) {
        __asm__ volatile("" : : "r"(i) : "memory");
#if defined(__x86_64__)
        (void)__builtin_ia32_rdtsc();
#else
        (void)bench_ticks();
#endif
    }
}

static double time_of(void (*burst)(void))
{
    double ns[BURSTS];

    burst();
    for (unsigned i = 0; i < BURSTS; i++) {
        uint64_t start = bench_ticks();

        burst();
        ns[i] = (double)(bench_ticks() - start) * bench_ns_per_tick();
    }
    return percentile(ns, BURSTS, 50);
}

struct bench_floor bench_measure_floor(void)
{
    double nothing = time_of(floor_nothing);

    return (struct bench_floor){
        .locked = (time_of(floor_locked) - nothing) / FLOOR_OPERATIONS,
        .call = (time_of(floor_call) - nothing) / FLOOR_OPERATIONS,
        .clock = (time_of(floor_clock) - nothing) / FLOOR_OPERATIONS,
    };
}

/* --- rows --------------------------------------------------------------------------------------------------------------------- */

static void run_nothing(struct bench_machine *m, const struct bench_row *row)
{
    (void)m;
    for (unsigned i = 0; i < row->burst; i++) {
        __asm__ volatile("" : : "r"(i) : "memory");
    }
}

static double burst_ns(struct bench_machine *m, const struct bench_row *row,
                       void (*run)(struct bench_machine *, const struct bench_row *))
{
    uint64_t start = bench_ticks();

    run(m, row);
    return (double)(bench_ticks() - start) * bench_ns_per_tick();
}

struct bench_result bench_measure(struct bench_machine *m, const struct bench_row *row)
{
    unsigned bursts = row->vcpus >= 1024 && row->per > 1 ? 61 : BURSTS;
    double ns[BURSTS], nothing[BURSTS];
    struct bench_result result = { .correct = true };

    for (unsigned i = 0; i < bursts; i++) {
        nothing[i] = burst_ns(m, row, run_nothing);
        row->prepare(m, row);
        bench_counters = (struct bench_counters){ 0 };
        ns[i] = burst_ns(m, row, row->run);
        result.correct = row->check(m, row) && result.correct;
    }
    result.ns = percentile(ns, bursts, 50);
    result.spread = percentile(ns, bursts, 90) / result.ns;
    result.ns = (result.ns - percentile(nothing, bursts, 50)) / row->burst / row->per;
    return result;
}

bool bench_count(struct bench_machine *m, const struct bench_row *row)
{
    /* Once for nothing: the dynamic linker and the caches of the summaries have been through it. */
    row->prepare(m, row);
    row->run(m, row);
    row->prepare(m, row);
    bench_counters = (struct bench_counters){ 0 };
    CALLGRIND_ZERO_STATS;
    CALLGRIND_TOGGLE_COLLECT;
    row->run(m, row);
    CALLGRIND_TOGGLE_COLLECT;
    CALLGRIND_DUMP_STATS_AT(row->name);
    return row->check(m, row);
}
