/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The pins LINT0 and LINT1. Intel SDM 3A, "Local Vector Table" and "Local APIC Status and Location" (pins of a disabled
 * APIC are INTR and NMI). The host reports pin levels with the polarity resolved; LVT bit 13 is storage only.
 *
 * Implementation choice: LINT1 is always edge triggered, since the manual does not support level there.
 */
#include "vlapic_model.h"

static bool line_is_high(const struct vlapic_cpu *cpu, uint32_t pin)
{
    return (vlapic_load_acquire(&cpu->lines) >> pin & 1u) != 0;
}

static uint32_t delivery_of(uint32_t lvt)
{
    return (lvt & VLAPIC_DELIVERY_MASK) >> VLAPIC_DELIVERY_SHIFT;
}

static bool is_fixed_level(uint32_t lvt)
{
    return delivery_of(lvt) == VLAPIC_DELIVERY_FIXED && (lvt & VLAPIC_LVT_LEVEL) != 0;
}

static void set_lint0(struct vlapic_cpu *cpu, uint32_t value)
{
    cpu->lvt_lint0 = value;
    vlapic_put(cpu, VLAPIC_REG_LVT_LINT0, value);
}

/* A level on LINT0 is sent unless the last one still waits for its EOI. */
static void assert_lint0(struct vlapic_cpu *cpu)
{
    uint32_t lvt = cpu->lvt_lint0;
    uint8_t vector = (uint8_t)lvt;

    if (!vlapic_is_enabled(cpu) || !is_fixed_level(lvt) || (lvt & (VLAPIC_LVT_MASKED | VLAPIC_LVT_REMOTE_IRR)) != 0) {
        return;
    }
    if (vector >= 16) {
        set_lint0(cpu, lvt | VLAPIC_LVT_REMOTE_IRR);
    }
    vlapic_core_accept_local(cpu, vector, true);
}

static void sample_lint0(struct vlapic_cpu *cpu)
{
    if (line_is_high(cpu, 0)) {
        assert_lint0(cpu);
    }
}

void vlapic_core_write_lint0(struct vlapic_cpu *cpu, uint32_t offset, uint32_t value)
{
    uint32_t old = cpu->lvt_lint0;

    (void)offset;
    if (!vlapic_is_software_enabled(cpu)) {
        value |= VLAPIC_LVT_MASKED;
    }
    if (is_fixed_level(value) && (uint8_t)value == (uint8_t)old) {
        value |= old & VLAPIC_LVT_REMOTE_IRR;
    }
    set_lint0(cpu, value);
    sample_lint0(cpu);
}

void vlapic_core_lint0_eoi(struct vlapic_cpu *cpu, uint8_t vector)
{
    uint32_t lvt = cpu->lvt_lint0;

    if ((lvt & VLAPIC_LVT_REMOTE_IRR) != 0 && (uint8_t)lvt == vector) {
        set_lint0(cpu, lvt & ~VLAPIC_LVT_REMOTE_IRR);
        sample_lint0(cpu);
    }
}

/* Edge modes. ExtINT is a level, told by every poll. */
static void pulse(struct vlapic_cpu *cpu, uint32_t lvt)
{
    switch (delivery_of(lvt)) {
    case VLAPIC_DELIVERY_FIXED:
        vlapic_core_accept_local(cpu, (uint8_t)lvt, false);
        break;
    case VLAPIC_DELIVERY_SMI:
        cpu->events |= VLAPIC_WORK_SMI;
        break;
    case VLAPIC_DELIVERY_NMI:
        cpu->events |= VLAPIC_WORK_NMI;
        break;
    case VLAPIC_DELIVERY_INIT:
        /* As an INIT message: a SIPI that was latched before it is void. */
        cpu->events &= ~(VLAPIC_WORK_SIPI | VLAPIC_WORK_SIPI_VECTOR);
        cpu->events |= VLAPIC_WORK_INIT;
        break;
    default:
        break;
    }
}

void vlapic_core_lint_rise(struct vlapic_cpu *cpu, uint32_t pin)
{
    uint32_t lvt = pin == 0 ? cpu->lvt_lint0 : vlapic_get(cpu, VLAPIC_REG_LVT_LINT1);

    if (!vlapic_is_enabled(cpu)) {
        cpu->events |= pin == 1 ? VLAPIC_WORK_NMI : 0;
    } else if (pin == 0 && is_fixed_level(lvt)) {
        assert_lint0(cpu); /* though the line may have fallen since */
    } else if ((lvt & VLAPIC_LVT_MASKED) == 0) {
        pulse(cpu, lvt);
    }
}

static bool passes_extint(const struct vlapic_cpu *cpu, uint32_t pin, uint32_t lvt)
{
    return (lvt & VLAPIC_LVT_MASKED) == 0 && delivery_of(lvt) == VLAPIC_DELIVERY_EXTINT && line_is_high(cpu, pin);
}

bool vlapic_core_lint_extint(const struct vlapic_cpu *cpu)
{
    if (!vlapic_is_enabled(cpu)) {
        return line_is_high(cpu, 0);
    }
    return passes_extint(cpu, 0, cpu->lvt_lint0) || passes_extint(cpu, 1, vlapic_get(cpu, VLAPIC_REG_LVT_LINT1));
}

void vlapic_cpu_lint(struct vlapic_cpu *cpu, uint32_t pin, bool asserted)
{
    if (pin > 1) {
        return;
    }
    if (!asserted) {
        vlapic_fetch_and(&cpu->lines, ~(1u << pin));
    } else if ((vlapic_fetch_or(&cpu->lines, 1u << pin) >> pin & 1u) == 0) {
        vlapic_core_notify(cpu, VLAPIC_WORK_RISE(pin));
    }
}
