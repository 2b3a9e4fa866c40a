/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * EOI and AMD's specific EOI. Intel SDM 3A, "Signaling Interrupt Servicing Completion"; AMD APM 2, "Specific End of
 * Interrupt Register".
 */
#include "vlapic_model.h"

/* ISR is up to date before anybody is told: an I/O APIC may send the vector again from within the callback. */
static void complete(struct vlapic_cpu *cpu, uint8_t vector)
{
    const struct vlapic_host_ops *host = &cpu->vm->host;
    bool level = vlapic_test_vector(cpu, VLAPIC_REG_TMR, vector);

    vlapic_core_clear_in_service(cpu, vector);
    cpu->stats.eois++;
    if (host->eoi_notify != NULL) {
        host->eoi_notify(cpu->cookie, vector, level);
    }
    if (level && host->eoi_broadcast != NULL && (vlapic_get(cpu, VLAPIC_REG_SVR) & VLAPIC_SVR_EOI_SUPPRESS) == 0) {
        host->eoi_broadcast(cpu->vm->config.cookie, vector);
    }
    vlapic_core_lint0_eoi(cpu, vector);
}

void vlapic_core_write_eoi(struct vlapic_cpu *cpu, uint32_t offset, uint32_t value)
{
    (void)offset;
    (void)value;
    if (cpu->in_service == 0) {
        cpu->stats.empty_eois++;
        return;
    }
    complete(cpu, cpu->in_service);
}

void vlapic_core_write_seoi(struct vlapic_cpu *cpu, uint32_t offset, uint32_t value)
{
    uint8_t vector = (uint8_t)value;

    (void)offset;
    if ((vlapic_get(cpu, VLAPIC_REG_EXT_CONTROL) & VLAPIC_EXT_SEOI) == 0) {
        return;
    }
    if (!vlapic_test_vector(cpu, VLAPIC_REG_ISR, vector)) {
        cpu->stats.empty_eois++;
        return;
    }
    complete(cpu, vector);
}
