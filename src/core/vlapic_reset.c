/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * RESET and INIT. Intel SDM 3A, "Local APIC State After Power-Up or Reset", "Local APIC State After an INIT Reset",
 * "Deriving Logical x2APIC ID from the Local x2APIC ID".
 */
#include "vlapic_model.h"

/* Cluster: ID bits 19:4; member: one bit by ID bits 3:0. */
static uint32_t derived_ldr(uint32_t apic_id)
{
    return (apic_id & 0x000FFFF0u) << 12 | 1u << (apic_id & 0xFu);
}

static uint32_t version(const struct vlapic_vm_config *config)
{
    return config->version | (uint32_t)config->max_lvt << VLAPIC_VERSION_MAX_LVT_SHIFT |
           (config->eoi_suppression ? VLAPIC_VERSION_EOI_SUPPRESS : 0) |
           (config->ext_space ? VLAPIC_VERSION_EXT_SPACE : 0);
}

void vlapic_core_identity_changed(struct vlapic_cpu *cpu, uint32_t xapic_id)
{
    vlapic_put(cpu, VLAPIC_REG_VERSION, version(&cpu->vm->config));
    if (vlapic_is_x2apic(cpu)) {
        vlapic_put(cpu, VLAPIC_REG_ID, cpu->apic_id);
        vlapic_put(cpu, VLAPIC_REG_LDR, derived_ldr(cpu->apic_id));
    } else {
        vlapic_put(cpu, VLAPIC_REG_ID, xapic_id << 24);
    }
    vlapic_core_route_update(cpu);
    vlapic_tell_backend(cpu, VLAPIC_CHANGE_IDENTITY);
}

void vlapic_core_reset_registers(struct vlapic_cpu *cpu, uint32_t what)
{
    /* Requests that were accepted but not merged go with IRR; events for the core stay. */
    vlapic_fetch_and(&cpu->work, VLAPIC_WORK_CORE_EVENTS);
    vlapic_core_drop_posted(cpu);
    vlapic_core_timer_reset(cpu);
    vlapic_core_reg_reset(cpu);
    cpu->lvt_lint0 = vlapic_get(cpu, VLAPIC_REG_LVT_LINT0);
    cpu->esr_pending = 0;
    vlapic_core_derive(cpu);
    vlapic_tell_backend(cpu, what);
}

uint64_t vlapic_core_reset_base(const struct vlapic_cpu *cpu)
{
    return VLAPIC_BASE_DEFAULT | VLAPIC_BASE_EN | (cpu->bsp ? VLAPIC_BASE_BSP : 0);
}

void vlapic_cpu_reset(struct vlapic_cpu *cpu)
{
    uint64_t old = cpu->apic_base;

    VLAPIC_ASSERT_OWNER(cpu);
    vlapic_exchange(&cpu->work, 0);
    cpu->events = 0;
    cpu->init_handed_over = false;
    cpu->repoll = true;
    cpu->wait_for_sipi = !cpu->bsp;
    vlapic_core_set_base(cpu, vlapic_core_reset_base(cpu));
    vlapic_core_reset_registers(cpu, VLAPIC_CHANGE_ALL);
    vlapic_core_identity_changed(cpu, cpu->apic_id & 0xFFu);
    if (cpu->apic_base != old && cpu->vm->host.base_changed != NULL) {
        cpu->vm->host.base_changed(cpu->cookie, old, cpu->apic_base);
    }
}

void vlapic_cpu_drop_init(struct vlapic_cpu *cpu)
{
    VLAPIC_ASSERT_OWNER(cpu);
    vlapic_settle(cpu);
    /* A newer INIT has voided older SIPIs already, and keeps its own. */
    if (cpu->init_handed_over && (cpu->events & VLAPIC_WORK_INIT) == 0) {
        cpu->events &= ~(VLAPIC_WORK_SIPI | VLAPIC_WORK_SIPI_VECTOR);
    }
    cpu->init_handed_over = false;
    cpu->repoll = true;
}

/* Besides the registers. An INIT that no poll has reported is still to come, and so is the SIPI behind it. */
#define WIPED_BY_INIT (VLAPIC_WORK_NMI | VLAPIC_WORK_SMI | VLAPIC_WORK_EXTINT)

void vlapic_cpu_take_init(struct vlapic_cpu *cpu)
{
    uint32_t xapic_id = vlapic_is_x2apic(cpu) ? cpu->apic_id & 0xFFu : vlapic_get(cpu, VLAPIC_REG_ID) >> 24;

    VLAPIC_ASSERT_OWNER(cpu);
    vlapic_fetch_and(&cpu->work, ~WIPED_BY_INIT);
    cpu->events &= ~WIPED_BY_INIT;
    vlapic_core_reset_registers(cpu, VLAPIC_CHANGE_ALL);
    vlapic_core_identity_changed(cpu, xapic_id);
    cpu->init_handed_over = false;
    cpu->repoll = true;
    cpu->wait_for_sipi = (cpu->apic_base & VLAPIC_BASE_BSP) == 0;
}
