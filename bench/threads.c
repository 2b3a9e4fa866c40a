/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rows with two threads: posting to one and to different vCPUs, and posting against the vCPU that drains. A barrier before each
 * burst makes the two overlap. Vectors cycle through 32, so that most posts to one vCPU find their vector pending.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"

#define BURST 256u
#define BURSTS 2001u
#define VECTORS 32u

struct worker {
    struct bench_machine *m;
    unsigned index;
    void (*step)(struct worker *w, unsigned i);
    unsigned target;
    double ns[BURSTS];
};

static atomic_uint arrived;

/* The barrier spins: sleeping threads would not overlap. */
static void meet(unsigned round)
{
    atomic_fetch_add(&arrived, 1);
    while (atomic_load(&arrived) < 2 * (round + 1)) {
    }
}

static void *work(void *argument)
{
    struct worker *w = argument;

    for (unsigned round = 0; round < BURSTS; round++) {
        uint64_t start;

        meet(round);
        start = bench_ticks();
        for (unsigned i = 0; i < BURST; i++) {
            w->step(w, i);
        }
        w->ns[round] = (double)(bench_ticks() - start) * bench_ns_per_tick() / BURST;
    }
    return NULL;
}

static void post(struct worker *w, unsigned i)
{
    vlapic_cpu_post(w->m->cpus[w->target], (uint8_t)(0x20 + VECTORS * w->index + i % VECTORS), false);
}

static void drain(struct worker *w, unsigned i)
{
    struct vlapic_cpu *cpu = w->m->cpus[w->target];
    struct vlapic_poll duty;

    (void)i;
    vlapic_cpu_poll(cpu, &duty);
    if (duty.vector >= 0 && vlapic_cpu_accept(cpu, (uint8_t)duty.vector)) {
        vlapic_cpu_mmio_write(cpu, VLAPIC_REG_EOI, 4, 0);
    }
}

static uint64_t word __attribute__((aligned(64)));

/* The floor: a look at a word that the other thread looks at too, and that stays as it is. */
static void look(struct worker *w, unsigned i)
{
    uint64_t bit = 1ull << (VECTORS * w->index + i % VECTORS);

    if ((__atomic_load_n(&word, __ATOMIC_RELAXED) & bit) == 0) {
        __atomic_fetch_or(&word, bit, __ATOMIC_SEQ_CST);
    }
}

/* The floor of hand-overs: a locked operation on a line that the other thread writes too. */
static void lock(struct worker *w, unsigned i)
{
    (void)w;
    __atomic_fetch_or(&word, 1ull << (i % 64), __ATOMIC_SEQ_CST);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Runs both, and returns the first one's median. */
static double run_two(struct worker *first, struct worker *second)
{
    pthread_t thread;

    atomic_store(&arrived, 0);
    word = 0;
    if (pthread_create(&thread, NULL, work, second) != 0) {
        fprintf(stderr, "bench: no second thread\n");
        exit(2);
    }
    work(first);
    pthread_join(thread, NULL);
    qsort(first->ns, BURSTS, sizeof(first->ns[0]), by_value);
    return first->ns[BURSTS / 2];
}

static double two(struct bench_machine *m, void (*a)(struct worker *, unsigned), unsigned a_target,
                  void (*b)(struct worker *, unsigned), unsigned b_target)
{
    static struct worker first, second;

    first = (struct worker){ .m = m, .index = 0, .step = a, .target = a_target };
    second = (struct worker){ .m = m, .index = 1, .step = b, .target = b_target };
    return run_two(&first, &second);
}

void bench_threads(void (*report)(const char *name, double ns, double floor_ns))
{
    struct bench_machine *m = bench_machine_make(8, BENCH_FLAT, 1);
    struct bench_machine *ordered = bench_machine_make(8, BENCH_ORDERED, 1);
    double contended_look = two(m, look, 0, look, 0);
    double contended_lock = two(m, lock, 0, lock, 0);

    bench_enter(m, 0, m->count);
    report("threads-post-different-targets", two(m, post, 0, post, 5), contended_look);
    bench_enter(m, 0, m->count);
    report("threads-post-same-target", two(m, post, 0, post, 0), contended_look);
    bench_enter(ordered, 0, ordered->count);
    report("threads-post-same-target-ordered", two(ordered, post, 0, post, 0), contended_look);
    report("threads-poster-against-drainer", two(m, post, 0, drain, 0), contended_lock);
    report("threads-drainer-against-poster", two(m, drain, 0, post, 0), contended_lock);
    bench_machine_free(ordered);
    bench_machine_free(m);
}
