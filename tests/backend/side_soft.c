/* SPDX-License-Identifier: BSD-2-Clause */
/* The soft backend: what a side has to look like. */
#include "side.h"

static void prepare(struct side *side)
{
    side->config.backend = &vlapic_backend_soft;
}

static void nothing(struct side_cpu *cpu)
{
    (void)cpu;
}

static enum vlapic_access access(struct side_cpu *cpu, struct side_access *a)
{
    switch (a->kind) {
    case SIDE_MMIO_READ:
        return vlapic_cpu_mmio_read(cpu->cpu, a->where, a->length, &a->value);
    case SIDE_MMIO_WRITE:
        return vlapic_cpu_mmio_write(cpu->cpu, a->where, a->length, a->value);
    case SIDE_RDMSR:
        return vlapic_cpu_msr_read(cpu->cpu, a->where, &a->value);
    case SIDE_WRMSR:
        return vlapic_cpu_msr_write(cpu->cpu, a->where, a->value);
    case SIDE_READ_CR8:
        a->value = vlapic_cpu_cr8_read(cpu->cpu);
        return VLAPIC_ACCESS_DONE;
    default:
        return vlapic_cpu_cr8_write(cpu->cpu, a->value);
    }
}

static void set_interrupts(struct side_cpu *cpu, bool on)
{
    cpu->interrupts = on;
}

static void halt(struct side_cpu *cpu)
{
    cpu->halted = true;
}

static void deliver(struct side_cpu *cpu, enum side_event_kind kind, uint64_t value)
{
    side_log(&cpu->log, kind, value);
    cpu->halted = false;
    if (kind != SIDE_NMI) {
        cpu->interrupts = false; /* an interrupt gate */
    }
}

/* True if it took something. The order is the processor's: NMI, the line of the external controller, the APIC. */
static bool take_one(struct side_cpu *cpu)
{
    struct vlapic_poll duty;

    side_poll(cpu, &duty);
    if (cpu->waits_for_sipi) {
        return false;
    }
    if (cpu->nmi) {
        cpu->nmi = false;
        deliver(cpu, SIDE_NMI, 2);
        return true;
    }
    if (cpu->interrupts && (cpu->extint || cpu->extint_message)) {
        cpu->extint_message = false;
        deliver(cpu, SIDE_EXTINT, SIDE_EXTINT_VECTOR);
        return true;
    }
    if (cpu->interrupts && duty.vector >= 0) {
        if (!vlapic_cpu_accept(cpu->cpu, (uint8_t)duty.vector)) {
            side_fail("soft: %02Xh was offered and not accepted", (unsigned)duty.vector);
        }
        deliver(cpu, SIDE_VECTOR, (uint64_t)duty.vector);
        return true;
    }
    return false;
}

static void settle(struct side_cpu *cpu)
{
    while (take_one(cpu)) {
    }
}

static void inhibit(struct side *side, bool on)
{
    (void)side;
    (void)on;
}

const struct side_kind side_soft = {
    .name = "soft",
    .prepare = prepare,
    .start = nothing,
    .end = nothing,
    .access = access,
    .set_interrupts = set_interrupts,
    .halt = halt,
    .settle = settle,
    .leave = nothing,
    .kick = nothing,
    .migrate = nothing,
    .preempt = nothing,
    .inhibit = inhibit,
};
