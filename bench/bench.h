/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The benchmark's vocabulary: a machine (VM, vCPUs and a host that counts), and rows. A row is one operation: what must be in
 * place before a burst, the burst itself, what must be true after it, and the floor: the locked operations, indirect calls and
 * clock reads without which the operation cannot be.
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vlapic/vlapic.h>

/* BENCH_ORDERED: flat, and the VM promises posts_ordered. */
enum bench_mode { BENCH_FLAT, BENCH_CLUSTER, BENCH_X2APIC, BENCH_ORDERED };

/* --- machine.c: a VM whose host counts what is asked of it ----------------------------------------------------------- */
struct bench_machine {
    struct vlapic_vm *vm;
    struct vlapic_cpu **cpus;
    unsigned count;
    enum bench_mode mode;
    struct vlapic_vm_config config;
    void *vm_memory;
    uint8_t *cpu_memory; /* all vCPUs side by side */
    size_t cpu_stride;
};

/* Callbacks since the last bench_counters_clear(), summed over all machines of this thread. */
struct bench_counters {
    uint64_t kicks, eois, arms, clocks;
};
extern _Thread_local struct bench_counters bench_counters;

/* IDs are 0, step, 2 * step, ...; every vCPU runs, software-enabled, in the mode. */
struct bench_machine *bench_machine_make(unsigned count, enum bench_mode mode, unsigned step);
void bench_machine_free(struct bench_machine *m);
/* Nothing pending or in service, TPR 0, every vCPU of the range in host state. */
void bench_settle(struct bench_machine *m, unsigned first, unsigned count);
/* Poll, then enter: from now on a post kicks. */
void bench_enter(struct bench_machine *m, unsigned first, unsigned count);
unsigned bench_pending(struct bench_machine *m, unsigned cpu); /* vectors in IRR; settles the mailbox */

/* --- rows_*.c ------------------------------------------------------------------------------------------------------------ */
struct bench_row {
    const char *name;
    unsigned vcpus;
    enum bench_mode mode;
    unsigned burst;    /* operations a burst */
    unsigned per;      /* divides: targets an operation, or 1 */
    unsigned locked;   /* floor, for one of `per`: locked operations */
    unsigned calls;    /* calls through a pointer */
    unsigned clocks;   /* clock reads */
    uint32_t argument; /* the row's own */
    void (*prepare)(struct bench_machine *m, const struct bench_row *row);
    void (*run)(struct bench_machine *m, const struct bench_row *row); /* the burst */
    bool (*check)(struct bench_machine *m, const struct bench_row *row);
};

struct bench_table {
    const struct bench_row *rows;
    size_t count;
};
extern const struct bench_table bench_guest_rows, bench_message_rows, bench_life_rows;

/* --- measure.c ------------------------------------------------------------------------------------------------------------ */
struct bench_floor {
    double locked, call, clock, contended_look; /* ns */
};

struct bench_floor bench_measure_floor(void);

struct bench_result {
    double ns;     /* an operation, net: median over bursts */
    double spread; /* 90th percentile of the bursts over their median */
    bool correct;
};
struct bench_result bench_measure(struct bench_machine *m, const struct bench_row *row);
/* One burst under callgrind, reported to it under the row's name. */
bool bench_count(struct bench_machine *m, const struct bench_row *row);

uint64_t bench_ticks(void);
double bench_ns_per_tick(void);

/* --- scale.c -------------------------------------------------------------------------------------------------------------- */
/* Boot, IPIs and timers of a VM of up to 4,096 vCPUs, printed; false if something did not arrive. */
bool bench_scale(void);

/* --- threads.c -------------------------------------------------------------------------------------------------------------- */
/* Runs the two-thread rows, and hands each result to `report`. */
void bench_threads(void (*report)(const char *name, double ns, double floor_ns));

#endif
