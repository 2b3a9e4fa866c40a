/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Local vector table: the entries without a pin. Intel SDM 3A, "Local Vector Table"; AMD APM 2, "Extended Local Vector
 * Table". The timer entry is in vlapic_timer.c, the pins are in vlapic_lint.c.
 */
#include "vlapic_model.h"

uint32_t vlapic_core_lvt_offset(const struct vlapic_vm *vm, uint32_t entry)
{
    static const uint16_t offsets[VLAPIC_LVT_COUNT] = {
        VLAPIC_REG_LVT_TIMER, VLAPIC_REG_LVT_THERMAL, VLAPIC_REG_LVT_PERF, VLAPIC_REG_LVT_LINT0,
        VLAPIC_REG_LVT_LINT1, VLAPIC_REG_LVT_ERROR,   VLAPIC_REG_LVT_CMCI,
    };
    uint32_t offset = 0;

    if (entry < VLAPIC_LVT_COUNT) {
        offset = offsets[entry];
    } else if (entry >= VLAPIC_LVT_EXT0 && entry < VLAPIC_LVT_EXT0 + VLAPIC_LVT_EXT_MAX) {
        offset = VLAPIC_REG_EXT_LVT + ((entry - VLAPIC_LVT_EXT0) << 4);
    }
    return offset != 0 && vlapic_reg_exists(vm, offset) ? offset : 0;
}

/* While the APIC is software-disabled the mask cannot be cleared. */
void vlapic_core_write_lvt(struct vlapic_cpu *cpu, uint32_t offset, uint32_t value)
{
    if (!vlapic_is_software_enabled(cpu)) {
        value |= VLAPIC_LVT_MASKED;
    }
    vlapic_put(cpu, offset, value);
}

void vlapic_core_mask_all_lvts(struct vlapic_cpu *cpu)
{
    for (uint32_t entry = 0; entry < VLAPIC_LVT_EXT0 + VLAPIC_LVT_EXT_MAX; entry++) {
        uint32_t offset = vlapic_core_lvt_offset(cpu->vm, entry);

        if (offset != 0) {
            vlapic_put(cpu, offset, vlapic_get(cpu, offset) | VLAPIC_LVT_MASKED);
        }
    }
    cpu->lvt_lint0 |= VLAPIC_LVT_MASKED;
}

/* Delivery modes that an entry may not use do nothing; only extended entries have ExtINT. */
static void deliver(struct vlapic_cpu *cpu, uint32_t entry, uint32_t value)
{
    switch ((value & VLAPIC_DELIVERY_MASK) >> VLAPIC_DELIVERY_SHIFT) {
    case VLAPIC_DELIVERY_FIXED:
        vlapic_core_accept_local(cpu, (uint8_t)value, false);
        break;
    case VLAPIC_DELIVERY_SMI:
        cpu->events |= VLAPIC_WORK_SMI;
        break;
    case VLAPIC_DELIVERY_NMI:
        cpu->events |= VLAPIC_WORK_NMI;
        break;
    case VLAPIC_DELIVERY_EXTINT:
        cpu->events |= entry >= VLAPIC_LVT_EXT0 ? VLAPIC_WORK_EXTINT : 0;
        break;
    default:
        break;
    }
}

void vlapic_core_lvt_event(struct vlapic_cpu *cpu, uint32_t entry)
{
    uint32_t offset = vlapic_core_lvt_offset(cpu->vm, entry);
    uint32_t value = vlapic_get(cpu, offset);

    if (!vlapic_is_enabled(cpu) || (value & VLAPIC_LVT_MASKED) != 0) {
        return;
    }
    /* Intel masks the entry when it signals a PMI, whatever comes of it; AMD does not. */
    if (entry == VLAPIC_LVT_PERF && cpu->vm->config.vendor == VLAPIC_VENDOR_INTEL) {
        vlapic_put(cpu, offset, value | VLAPIC_LVT_MASKED);
    }
    deliver(cpu, entry, value);
}

static bool has_event(const struct vlapic_vm *vm, enum vlapic_lvt entry)
{
    return (entry == VLAPIC_LVT_THERMAL || entry == VLAPIC_LVT_PERF || entry == VLAPIC_LVT_CMCI ||
            entry >= VLAPIC_LVT_EXT0) &&
           vlapic_core_lvt_offset(vm, (uint32_t)entry) != 0;
}

void vlapic_cpu_lvt_event(struct vlapic_cpu *cpu, enum vlapic_lvt entry)
{
    if (has_event(cpu->vm, entry)) {
        vlapic_core_notify(cpu, VLAPIC_WORK_LVT((uint32_t)entry));
    }
}

void vlapic_vm_lvt_event(struct vlapic_vm *vm, enum vlapic_lvt entry)
{
    struct vlapic_cpu *cpu = vlapic_core_route_next(vm, 0);

    while (cpu != NULL) {
        vlapic_cpu_lvt_event(cpu, entry);
        cpu = vlapic_core_route_next(vm, cpu->apic_id + 1);
    }
}
