/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A simulated VM of many vCPUs: what a boot and a storm cost a vCPU or an IPI, at sizes that differ by sixteen, so that a
 * step whose cost grows with the square shows.
 */
#include <stdio.h>

#include "bench.h"

static double since(uint64_t start)
{
    return (double)(bench_ticks() - start) * bench_ns_per_tick();
}

static void x2apic_icr(struct vlapic_cpu *cpu, uint32_t destination, uint32_t low)
{
    vlapic_cpu_msr_write(cpu, VLAPIC_MSR_OF(VLAPIC_REG_ICR_LOW), (uint64_t)destination << 32 | low);
}

/* INIT and SIPI to all others; each takes both, and software-enables its APIC. Returns how many started. */
static unsigned boot(struct bench_machine *m)
{
    const uint32_t others = VLAPIC_SHORTHAND_OTHERS << VLAPIC_ICR_SHORTHAND_SHIFT;
    unsigned started = 0;

    for (unsigned i = 1; i < m->count; i++) {
        vlapic_cpu_msr_write(m->cpus[i], VLAPIC_MSR_APIC_BASE, 0xFEE00C00);
    }
    x2apic_icr(m->cpus[0], 0, others | VLAPIC_DELIVERY_INIT << VLAPIC_DELIVERY_SHIFT | VLAPIC_ICR_ASSERT);
    for (unsigned i = 1; i < m->count; i++) {
        struct vlapic_poll duty;

        vlapic_cpu_poll(m->cpus[i], &duty);
        if (duty.init) {
            vlapic_cpu_take_init(m->cpus[i]);
        }
    }
    x2apic_icr(m->cpus[0], 0, others | VLAPIC_DELIVERY_SIPI << VLAPIC_DELIVERY_SHIFT | 0x9A);
    for (unsigned i = 1; i < m->count; i++) {
        struct vlapic_poll duty;

        vlapic_cpu_poll(m->cpus[i], &duty);
        started += duty.sipi;
        vlapic_cpu_msr_write(m->cpus[i], VLAPIC_MSR_OF(VLAPIC_REG_SVR), 0x1FF);
    }
    return started;
}

static unsigned take_all(struct bench_machine *m)
{
    unsigned taken = 0;

    for (unsigned i = 0; i < m->count; i++) {
        struct vlapic_poll duty;

        vlapic_cpu_poll(m->cpus[i], &duty);
        while (duty.vector >= 0 && vlapic_cpu_accept(m->cpus[i], (uint8_t)duty.vector)) {
            taken++;
            vlapic_cpu_msr_write(m->cpus[i], VLAPIC_MSR_OF(VLAPIC_REG_EOI), 0);
            vlapic_cpu_poll(m->cpus[i], &duty);
        }
    }
    return taken;
}

/* Each vCPU to each of `peers` others, spread over all. */
static unsigned all_to_all(struct bench_machine *m, unsigned peers, unsigned step)
{
    for (unsigned i = 0; i < m->count; i++) {
        for (unsigned k = 1; k <= peers; k++) {
            unsigned target = (i + k * (m->count / (peers + 1))) % m->count;

            x2apic_icr(m->cpus[i], target * step, 0x40 + k);
        }
    }
    return take_all(m);
}

static void arm_timers(struct bench_machine *m)
{
    for (unsigned i = 0; i < m->count; i++) {
        vlapic_cpu_msr_write(m->cpus[i], VLAPIC_MSR_OF(VLAPIC_REG_LVT_TIMER), VLAPIC_LVT_TIMER_PERIODIC | 0xEC);
        vlapic_cpu_msr_write(m->cpus[i], VLAPIC_MSR_OF(VLAPIC_REG_INITIAL_COUNT), 1000000000);
    }
}

#define PEERS 32u

static bool simulate(unsigned count, unsigned step)
{
    uint64_t start = bench_ticks();
    struct bench_machine *m = bench_machine_make(count, BENCH_X2APIC, step);
    double made = since(start), booted, sent, armed;
    unsigned started, taken;
    struct vlapic_layout layout;

    start = bench_ticks();
    started = boot(m);
    booted = since(start);
    start = bench_ticks();
    taken = all_to_all(m, PEERS, step);
    sent = since(start);
    start = bench_ticks();
    arm_timers(m);
    armed = since(start);
    vlapic_vm_layout(&m->config, &layout);
    printf(
        "%6u vCPUs, IDs to %7u: create %6.0f ns, boot %6.0f ns a vCPU; IPI there and taken %5.0f ns; timer %5.0f ns; "
        "VM %zu bytes, vCPU %zu bytes\n",
        count, (count - 1) * step, made / count, booted / count, sent / (count * PEERS), armed / count, layout.bytes,
        m->cpu_stride);
    bench_machine_free(m);
    return started == count - 1 && taken == count * PEERS;
}

bool bench_scale(void)
{
    bool good = true;

    printf("\nscale: a simulated VM\n");
    good = simulate(16, 1) && good;
    good = simulate(256, 1) && good;
    good = simulate(4096, 1) && good;
    good = simulate(4096, 256) && good; /* sparse, IDs to 2^20 */
    return good;
}
