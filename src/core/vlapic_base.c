/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * IA32_APIC_BASE and the modes. Intel SDM 3A, "Local APIC Status and Location", "x2APIC State Transitions", "Enabling or
 * Disabling the Local APIC".
 */
#include "vlapic_model.h"

#define MODE_BITS (VLAPIC_BASE_EN | VLAPIC_BASE_EXTD)

static uint64_t address_bits(const struct vlapic_vm *vm)
{
    return ((1ull << vm->config.phys_bits) - 1) & ~0xFFFull;
}

bool vlapic_core_base_is_valid(const struct vlapic_vm *vm, uint64_t value)
{
    uint64_t known = address_bits(vm) | VLAPIC_BASE_BSP | VLAPIC_BASE_EN;

    if (vm->config.x2apic) {
        known |= VLAPIC_BASE_EXTD;
    }
    return (value & ~known) == 0 && (value & MODE_BITS) != VLAPIC_BASE_EXTD;
}

/* Legal steps: each mode to itself, disabled <-> xAPIC, xAPIC -> x2APIC, x2APIC -> disabled. */
static bool transition_is_legal(const struct vlapic_vm *vm, uint64_t from, uint64_t to)
{
    bool from_x2apic = (from & VLAPIC_BASE_EXTD) != 0;
    bool to_x2apic = (to & VLAPIC_BASE_EXTD) != 0;

    if (vm->config.base_fixed && ((from ^ to) & address_bits(vm)) != 0) {
        return false;
    }
    if (from_x2apic && !to_x2apic) {
        return (to & VLAPIC_BASE_EN) == 0 && !vm->config.x2apic_locked;
    }
    return !to_x2apic || (from & VLAPIC_BASE_EN) != 0;
}

/*
 * Implementation choice, where the manual guarantees nothing: all registers but the ID are reset when EN goes from 1 to 0, and not
 * a second time when it goes back to 1.
 */
static void change_mode(struct vlapic_cpu *cpu, uint64_t from, uint64_t to)
{
    uint32_t xapic_id = cpu->apic_id & 0xFFu;

    if ((to & VLAPIC_BASE_EN) == 0) {
        vlapic_core_reset_registers(cpu, VLAPIC_CHANGE_ALL & ~(uint32_t)VLAPIC_CHANGE_VOID);
        if ((from & VLAPIC_BASE_EXTD) == 0) {
            xapic_id = vlapic_get(cpu, VLAPIC_REG_ID) >> 24;
        }
    } else if ((from & VLAPIC_BASE_EN) != 0) {
        vlapic_put(cpu, VLAPIC_REG_ICR_HIGH, 0); /* xAPIC to x2APIC */
    }
    vlapic_core_identity_changed(cpu, xapic_id);
}

void vlapic_core_set_base(struct vlapic_cpu *cpu, uint64_t value)
{
    cpu->apic_base = value;
    cpu->window = (value & MODE_BITS) == VLAPIC_BASE_EN ? VLAPIC_WINDOW : 0;
}

enum vlapic_access vlapic_core_base_write(struct vlapic_cpu *cpu, uint64_t value)
{
    uint64_t old = cpu->apic_base;

    if (value == old) {
        return VLAPIC_ACCESS_DONE;
    }
    if (!vlapic_core_base_is_valid(cpu->vm, value) || !transition_is_legal(cpu->vm, old, value)) {
        return VLAPIC_ACCESS_GP;
    }
    vlapic_core_set_base(cpu, value);
    if (((value ^ old) & MODE_BITS) != 0) {
        change_mode(cpu, old, value);
    }
    vlapic_tell_backend(cpu, VLAPIC_CHANGE_MODE);
    if (cpu->vm->host.base_changed != NULL) {
        cpu->vm->host.base_changed(cpu->cookie, old, value);
    }
    return VLAPIC_ACCESS_DONE;
}

uint64_t vlapic_cpu_apic_base(const struct vlapic_cpu *cpu)
{
    VLAPIC_ASSERT_OWNER(cpu);
    return cpu->apic_base;
}
