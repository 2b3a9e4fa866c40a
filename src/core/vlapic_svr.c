/* SPDX-License-Identifier: BSD-2-Clause */
/* Spurious-interrupt vector register and software disable. Intel SDM 3A, "Local APIC State After It Has Been Software Disabled". */
#include "vlapic_model.h"

void vlapic_core_write_svr(struct vlapic_cpu *cpu, uint32_t offset, uint32_t value)
{
    bool was_enabled = vlapic_is_software_enabled(cpu);

    if ((value & VLAPIC_SVR_ENABLE) == 0 && was_enabled) {
        /* An expiry up to now still finds the entry unmasked. */
        vlapic_core_timer_settle(cpu);
    }
    vlapic_put(cpu, offset, value);
    if ((value & VLAPIC_SVR_ENABLE) == 0) {
        vlapic_core_mask_all_lvts(cpu);
    }
    if (was_enabled != vlapic_is_software_enabled(cpu)) {
        vlapic_core_route_update(cpu);
        vlapic_tell_backend(cpu, VLAPIC_CHANGE_ENABLE);
    }
}
