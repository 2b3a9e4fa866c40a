/* SPDX-License-Identifier: BSD-2-Clause */
/* AMD's extended APIC space. AMD APM 2, "Extended APIC Feature Register", "Interrupt Enable Registers". SEOI: vlapic_eoi.c. */
#include "vlapic_model.h"

uint32_t vlapic_core_read_ext_feature(struct vlapic_cpu *cpu, uint32_t offset)
{
    const struct vlapic_vm_config *config = &cpu->vm->config;

    (void)offset;
    return (uint32_t)config->ext_lvt_count << VLAPIC_EXT_LVT_COUNT_SHIFT | config->ext_features;
}

/* Implementation choice: a cleared IER bit hides a vector in service as well as a pending one; servicing a lower vector
 * while a higher one is in service, which is what the registers are for, needs both. */
void vlapic_core_write_ier(struct vlapic_cpu *cpu, uint32_t offset, uint32_t value)
{
    if ((vlapic_get(cpu, VLAPIC_REG_EXT_CONTROL) & VLAPIC_EXT_IER) == 0) {
        return;
    }
    vlapic_put(cpu, offset, value);
    vlapic_core_derive(cpu);
}
