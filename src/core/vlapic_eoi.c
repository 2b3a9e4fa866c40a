/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * EOI and AMD's specific EOI. Intel SDM 3A, "Signaling Interrupt Servicing Completion"; AMD APM 2, "Specific End of
 * Interrupt Register".
 */
#include "vlapic_model.h"
#include "vlapic_vectors.h"

/* ISR is up to date before anybody is told: an I/O APIC may send the vector again from within the callback. */
static vlapic_cold void tell_all(struct vlapic_cpu *cpu, uint8_t vector, bool level)
{
    const struct vlapic_host_ops *host = &cpu->vm->host;

    vlapic_tell_backend(cpu, VLAPIC_CHANGE_ISR);
    if (host->eoi_notify != NULL) {
        host->eoi_notify(cpu->cookie, vector, level);
    }
    if (level && host->eoi_broadcast != NULL && (vlapic_get(cpu, VLAPIC_REG_SVR) & VLAPIC_SVR_EOI_SUPPRESS) == 0) {
        host->eoi_broadcast(cpu->vm->config.cookie, vector);
    }
    if ((cpu->lvt_lint0 & VLAPIC_LVT_REMOTE_IRR) != 0) {
        vlapic_core_lint0_eoi(cpu, vector);
    }
}

static inline void complete(struct vlapic_cpu *cpu, uint32_t vector)
{
    bool level = vlapic_test_vector(cpu, VLAPIC_REG_TMR, vector);

    vlapic_clear_bit(cpu, VLAPIC_REG_ISR, &cpu->isr_words, vector);
    vlapic_update_in_service(cpu);
    cpu->stats.eois++;
    /* Edge, and nobody who wants to know: the common case. */
    if (vlapic_unlikely(level || cpu->backend_watches || cpu->vm->host.eoi_notify != NULL ||
                        (cpu->lvt_lint0 & VLAPIC_LVT_REMOTE_IRR) != 0)) {
        tell_all(cpu, (uint8_t)vector, level);
    }
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

/* Readable in x2APIC mode alone. */
uint32_t vlapic_core_read_seoi(struct vlapic_cpu *cpu, uint32_t offset)
{
    (void)cpu;
    (void)offset;
    return 0;
}

void vlapic_core_write_seoi(struct vlapic_cpu *cpu, uint32_t offset, uint32_t value)
{
    uint32_t vector = value;

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

void vlapic_backend_eoi(struct vlapic_cpu *cpu, uint8_t vector)
{
    VLAPIC_ASSERT_OWNER(cpu);
    if (vector < 16) {
        return;
    }
    cpu->stats.eois++;
    tell_all(cpu, vector, vlapic_test_vector(cpu, VLAPIC_REG_TMR, vector));
}
