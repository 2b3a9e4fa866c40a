/* SPDX-License-Identifier: BSD-2-Clause */
/* Rows: what a vCPU's own thread does. TPR, EOI, query, accept, timer, register reads. */
#include "bench.h"

#define WIDE 8u /* vCPUs of the rows that can do their operation only once a vCPU */

static void fresh(struct bench_machine *m, const struct bench_row *row)
{
    (void)row;
    bench_settle(m, 0, m->count);
}

static uint64_t read_register(struct bench_machine *m, struct vlapic_cpu *cpu, uint32_t offset)
{
    uint64_t value = 0;

    if (m->mode == BENCH_X2APIC) {
        vlapic_cpu_msr_read(cpu, VLAPIC_MSR_OF(offset), &value);
    } else {
        vlapic_cpu_mmio_read(cpu, offset, 4, &value);
    }
    return value;
}

static struct vlapic_poll poll(struct vlapic_cpu *cpu)
{
    struct vlapic_poll duty;

    vlapic_cpu_poll(cpu, &duty);
    return duty;
}

/* --- TPR --------------------------------------------------------------------------------------------------------------------- */

static void tpr_mmio(struct bench_machine *m, const struct bench_row *row)
{
    for (unsigned i = 0; i < row->burst; i++) {
        vlapic_cpu_mmio_write(m->cpus[0], VLAPIC_REG_TPR, 4, (i & 1) != 0 ? row->argument : 0x10);
    }
}

static void tpr_msr(struct bench_machine *m, const struct bench_row *row)
{
    for (unsigned i = 0; i < row->burst; i++) {
        vlapic_cpu_msr_write(m->cpus[0], VLAPIC_MSR_OF(VLAPIC_REG_TPR), (i & 1) != 0 ? row->argument : 0x10);
    }
}

static bool tpr_is_last(struct bench_machine *m, const struct bench_row *row)
{
    return read_register(m, m->cpus[0], VLAPIC_REG_TPR) == row->argument;
}

static void one_pending(struct bench_machine *m, const struct bench_row *row)
{
    fresh(m, row);
    vlapic_cpu_post(m->cpus[0], 0x61, false);
    poll(m->cpus[0]);
}

/* --- EOI and accept: once a vCPU -------------------------------------------------------------------------------------------- */

static void each_in_service(struct bench_machine *m, const struct bench_row *row)
{
    fresh(m, row);
    for (unsigned i = 0; i < WIDE; i++) {
        vlapic_cpu_post(m->cpus[i], 0x61, false);
        vlapic_cpu_accept(m->cpus[i], (uint8_t)poll(m->cpus[i]).vector);
        if (row->argument != 0) {
            vlapic_cpu_post(m->cpus[i], (uint8_t)row->argument, false);
            poll(m->cpus[i]);
        }
    }
}

static void eoi_each(struct bench_machine *m, const struct bench_row *row)
{
    for (unsigned i = 0; i < row->burst; i++) {
        vlapic_cpu_mmio_write(m->cpus[i], VLAPIC_REG_EOI, 4, 0);
    }
}

static bool none_in_service(struct bench_machine *m, const struct bench_row *row)
{
    bool good = true;

    for (unsigned i = 0; i < row->burst; i++) {
        good = good && read_register(m, m->cpus[i], VLAPIC_REG_PPR) == 0;
        good = good && bench_pending(m, i) == (row->argument != 0);
    }
    return good;
}

static void each_pending(struct bench_machine *m, const struct bench_row *row)
{
    fresh(m, row);
    for (unsigned i = 0; i < WIDE; i++) {
        vlapic_cpu_post(m->cpus[i], 0x61, false);
        poll(m->cpus[i]);
    }
}

static void accept_each(struct bench_machine *m, const struct bench_row *row)
{
    for (unsigned i = 0; i < row->burst; i++) {
        vlapic_cpu_accept(m->cpus[i], 0x61);
    }
}

static bool each_was_accepted(struct bench_machine *m, const struct bench_row *row)
{
    bool good = true;

    for (unsigned i = 0; i < row->burst; i++) {
        good = good && read_register(m, m->cpus[i], VLAPIC_REG_PPR) == 0x60;
    }
    return good;
}

/* --- query: the argument is the vector that must be offered, 0 for none ------------------------------------------------------ */

static int32_t offered; /* sum of what a burst was told */

static void query(struct bench_machine *m, const struct bench_row *row)
{
    int32_t sum = 0;

    for (unsigned i = 0; i < row->burst; i++) {
        sum += poll(m->cpus[0]).vector;
    }
    offered = sum;
}

static bool was_offered(struct bench_machine *m, const struct bench_row *row)
{
    (void)m;
    return offered == (int32_t)row->burst * (row->argument != 0 ? (int32_t)row->argument : -1);
}

static void pending_is_argument(struct bench_machine *m, const struct bench_row *row)
{
    fresh(m, row);
    vlapic_cpu_post(m->cpus[0], (uint8_t)row->argument, false);
    poll(m->cpus[0]);
}

static void sixteen_pending(struct bench_machine *m, const struct bench_row *row)
{
    fresh(m, row);
    for (unsigned i = 0; i < 16; i++) {
        vlapic_cpu_post(m->cpus[0], (uint8_t)(row->argument - 13 * i), false);
    }
    poll(m->cpus[0]);
}

static void blocked(struct bench_machine *m, const struct bench_row *row)
{
    fresh(m, row);
    vlapic_cpu_post(m->cpus[0], 0x91, false);
    vlapic_cpu_accept(m->cpus[0], (uint8_t)poll(m->cpus[0]).vector);
    vlapic_cpu_post(m->cpus[0], 0x61, false);
    poll(m->cpus[0]);
}

/* --- the full cycle ------------------------------------------------------------------------------------------------------------ */

static unsigned cycles;

static void cycle(struct bench_machine *m, const struct bench_row *row)
{
    struct vlapic_cpu *cpu = m->cpus[0];

    cycles = 0;
    for (unsigned i = 0; i < row->burst; i++) {
        struct vlapic_poll duty;

        vlapic_vm_msi(m->vm, 0xFEE00000, 0x61, NULL);
        vlapic_cpu_poll(cpu, &duty);
        cycles += vlapic_cpu_accept(cpu, (uint8_t)duty.vector);
        vlapic_cpu_mmio_write(cpu, VLAPIC_REG_EOI, 4, 0);
    }
}

static bool all_cycles(struct bench_machine *m, const struct bench_row *row)
{
    return cycles == row->burst && read_register(m, m->cpus[0], VLAPIC_REG_PPR) == 0;
}

/* --- timer ------------------------------------------------------------------------------------------------------------------------ */

static void one_shot(struct bench_machine *m, const struct bench_row *row)
{
    fresh(m, row);
    vlapic_cpu_mmio_write(m->cpus[0], VLAPIC_REG_LVT_TIMER, 4, 0xEC);
    vlapic_cpu_mmio_write(m->cpus[0], VLAPIC_REG_DIVIDE_CONFIG, 4, 0xB);
    vlapic_cpu_mmio_write(m->cpus[0], VLAPIC_REG_INITIAL_COUNT, 4, 0xFFFFFFFF);
}

static void arm_count(struct bench_machine *m, const struct bench_row *row)
{
    for (unsigned i = 0; i < row->burst; i++) {
        vlapic_cpu_mmio_write(m->cpus[0], VLAPIC_REG_INITIAL_COUNT, 4, 0xF0000000 + i);
    }
}

static bool armed_each_time(struct bench_machine *m, const struct bench_row *row)
{
    (void)m;
    return bench_counters.arms == row->burst;
}

static void read_many(struct bench_machine *m, const struct bench_row *row)
{
    uint64_t value;

    for (unsigned i = 0; i < row->burst; i++) {
        vlapic_cpu_mmio_read(m->cpus[0], row->argument, 4, &value);
    }
}

static void read_many_msr(struct bench_machine *m, const struct bench_row *row)
{
    uint64_t value;

    for (unsigned i = 0; i < row->burst; i++) {
        vlapic_cpu_msr_read(m->cpus[0], VLAPIC_MSR_OF(row->argument), &value);
    }
}

static bool count_is_running(struct bench_machine *m, const struct bench_row *row)
{
    return bench_counters.clocks >= row->burst && read_register(m, m->cpus[0], VLAPIC_REG_CURRENT_COUNT) != 0;
}

static void deadline_mode(struct bench_machine *m, const struct bench_row *row)
{
    fresh(m, row);
    vlapic_cpu_mmio_write(m->cpus[0], VLAPIC_REG_LVT_TIMER, 4, VLAPIC_LVT_TIMER_DEADLINE | 0xEC);
}

static void arm_deadline(struct bench_machine *m, const struct bench_row *row)
{
    for (unsigned i = 0; i < row->burst; i++) {
        vlapic_cpu_msr_write(m->cpus[0], VLAPIC_MSR_TSC_DEADLINE, UINT64_MAX - i);
    }
}

static bool always(struct bench_machine *m, const struct bench_row *row)
{
    uint64_t id = read_register(m, m->cpus[0], VLAPIC_REG_VERSION);

    (void)row;
    return (id & 0xFF) == 0x14;
}

/* --- nothing: what the loop of a burst and its call cost, for bench/instructions to subtract ------------------------------------ */

__attribute__((noinline)) static uint64_t empty(struct vlapic_cpu *cpu, uint32_t a, uint32_t b, uint64_t c)
{
    __asm__ volatile("" : : "r"(cpu), "r"(a), "r"(b), "r"(c) : "memory");
    return 0;
}

static void call_empty(struct bench_machine *m, const struct bench_row *row)
{
    for (unsigned i = 0; i < row->burst; i++) {
        empty(m->cpus[0], 0x80, 4, (i & 1) != 0 ? row->argument : 0x10);
    }
}

static const struct bench_row rows[] = {
    { "empty", 1, BENCH_FLAT, 256, 1, 0, 0, 0, 0, fresh, call_empty, always },
    { "tpr-write-mmio", 1, BENCH_FLAT, 256, 1, 0, 0, 0, 0x20, fresh, tpr_mmio, tpr_is_last },
    { "tpr-write-msr", 1, BENCH_X2APIC, 256, 1, 0, 0, 0, 0x20, fresh, tpr_msr, tpr_is_last },
    { "tpr-write-over-pending", 1, BENCH_FLAT, 256, 1, 0, 0, 0, 0xF0, one_pending, tpr_mmio, tpr_is_last },
    { "eoi", WIDE, BENCH_FLAT, WIDE, 1, 0, 0, 0, 0, each_in_service, eoi_each, none_in_service },
    { "eoi-another-below", WIDE, BENCH_FLAT, WIDE, 1, 0, 0, 0, 0x31, each_in_service, eoi_each, none_in_service },
    { "query-empty", 1, BENCH_FLAT, 256, 1, 0, 0, 0, 0, fresh, query, was_offered },
    { "query-31h", 1, BENCH_FLAT, 256, 1, 0, 0, 0, 0x31, pending_is_argument, query, was_offered },
    { "query-e1h", 1, BENCH_FLAT, 256, 1, 0, 0, 0, 0xE1, pending_is_argument, query, was_offered },
    { "query-16-pending", 1, BENCH_FLAT, 256, 1, 0, 0, 0, 0xF1, sixteen_pending, query, was_offered },
    { "query-blocked", 1, BENCH_FLAT, 256, 1, 0, 0, 0, 0, blocked, query, was_offered },
    { "accept", WIDE, BENCH_FLAT, WIDE, 1, 0, 0, 0, 0, each_pending, accept_each, each_was_accepted },
    { "full-cycle", 1, BENCH_FLAT, 64, 1, 4, 0, 0, 0, fresh, cycle, all_cycles },
    { "timer-arm", 1, BENCH_FLAT, 256, 1, 0, 2, 1, 0, one_shot, arm_count, armed_each_time },
    { "current-count-read", 1, BENCH_FLAT, 256, 1, 0, 1, 1, VLAPIC_REG_CURRENT_COUNT, one_shot, read_many,
      count_is_running },
    { "tsc-deadline-write", 1, BENCH_FLAT, 256, 1, 0, 1, 0, 0, deadline_mode, arm_deadline, armed_each_time },
    { "read-id-mmio", 1, BENCH_FLAT, 256, 1, 0, 0, 0, VLAPIC_REG_ID, fresh, read_many, always },
    { "read-ppr-mmio", 1, BENCH_FLAT, 256, 1, 0, 0, 0, VLAPIC_REG_PPR, fresh, read_many, always },
    { "read-irr-mmio", 1, BENCH_FLAT, 256, 1, 0, 0, 0, VLAPIC_REG_IRR, fresh, read_many, always },
    { "read-id-msr", 1, BENCH_X2APIC, 256, 1, 0, 0, 0, VLAPIC_REG_ID, fresh, read_many_msr, always },
};

const struct bench_table bench_guest_rows = { rows, sizeof(rows) / sizeof(rows[0]) };
