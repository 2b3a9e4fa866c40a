/* SPDX-License-Identifier: BSD-2-Clause */
/* Error status and the error interrupt. Intel SDM 3A, "Error Handling". */
#include "vlapic_model.h"

/*
 * Implementation choice: the error interrupt is raised when a bit is recorded that was not yet, and each ESR write re-arms
 * all bits. The manual leaves open whether a second, different error interrupts again before that. An LVT error entry with an
 * illegal vector records bit 6 and ends there, so there is no recursion.
 */
void vlapic_core_error(struct vlapic_cpu *cpu, uint32_t bit)
{
    uint32_t entry = vlapic_get(cpu, VLAPIC_REG_LVT_ERROR);
    uint8_t vector = (uint8_t)entry;

    if ((cpu->esr_pending & bit) != 0) {
        return;
    }
    cpu->esr_pending |= bit;
    cpu->stats.errors++;
    if ((entry & VLAPIC_LVT_MASKED) != 0) {
        return;
    }
    if (vector < 16) {
        cpu->stats.errors += (cpu->esr_pending & VLAPIC_ESR_RECEIVE_ILLEGAL_VECTOR) == 0;
        cpu->esr_pending |= VLAPIC_ESR_RECEIVE_ILLEGAL_VECTOR;
        return;
    }
    vlapic_core_accept_local(cpu, vector, false);
}

void vlapic_core_write_esr(struct vlapic_cpu *cpu, uint32_t offset, uint32_t value)
{
    (void)value;
    vlapic_put(cpu, offset, cpu->esr_pending);
    cpu->esr_pending = 0;
}
