/* SPDX-License-Identifier: BSD-2-Clause */
/* The physical APIC of this CPU: what an INIT would have done to it, and what senders have to know of it. */
#include "thin.h"

#define NO_VECTOR 0x0Fu /* that can be in service: Bochs does not end an interrupt with SVR's */
#define SVR_RESET 0xFFu
#define VECTORS 256u

static bool has_in_service(void)
{
    for (uint32_t i = 0; i < 8; i++) {
        if (host_lapic_read(VLAPIC_REG_ISR + 16 * i) != 0) {
            return true;
        }
    }
    return false;
}

static void mask_lvts(void)
{
    static const uint32_t in_order[] = { VLAPIC_REG_LVT_TIMER, VLAPIC_REG_LVT_LINT0, VLAPIC_REG_LVT_LINT1,
                                         VLAPIC_REG_LVT_ERROR, VLAPIC_REG_LVT_PERF,  VLAPIC_REG_LVT_THERMAL,
                                         VLAPIC_REG_LVT_CMCI };
    uint32_t last = host_lapic_read(VLAPIC_REG_VERSION) >> VLAPIC_VERSION_MAX_LVT_SHIFT & 0xFF;

    for (uint32_t i = 0; i <= last && i < sizeof(in_order) / sizeof(in_order[0]); i++) {
        host_lapic_write(in_order[i], VLAPIC_LVT_MASKED);
    }
}

/* Nothing more comes in by itself: then what is in service is ended, and what is pending taken by the VMM. */
static void forget_interrupts(void)
{
    host_lapic_write(VLAPIC_REG_TPR, 0);
    host_lapic_write(VLAPIC_REG_SVR, VLAPIC_SVR_ENABLE | NO_VECTOR);
    for (uint32_t i = 0; i < VECTORS && has_in_service(); i++) {
        host_lapic_eoi();
    }
    host_drain();
    host_lapic_write(VLAPIC_REG_SVR, SVR_RESET);
}

void thin_apic_init(struct vcpu *cpu)
{
    host_lapic_write(VLAPIC_REG_INITIAL_COUNT, 0);
    mask_lvts();
    forget_interrupts();
    host_lapic_write(VLAPIC_REG_DIVIDE_CONFIG, 0);
    host_lapic_write(VLAPIC_REG_ESR, 0);
    host_lapic_write(VLAPIC_REG_ESR, 0);
    if (!host_lapic_is_x2apic()) {
        host_lapic_write(VLAPIC_REG_DFR, UINT32_MAX);
        host_lapic_write(VLAPIC_REG_LDR, 0);
        host_lapic_write(VLAPIC_REG_ICR_HIGH, 0);
    }
    thin_apic_note(cpu);
}

/* ID: a guest with the window to itself can write it, and of what was sent meanwhile nothing came here. */
void thin_apic_restore(struct vcpu *cpu)
{
    uint64_t base = rdmsr(VLAPIC_MSR_APIC_BASE);

    wrmsr(VLAPIC_MSR_APIC_BASE, (base & (PAGE_BYTES - 1)) | GUEST_WINDOW);
    if (host_lapic_id() != cpu->host->apic_id) {
        host_lapic_write(VLAPIC_REG_ID, cpu->host->apic_id << 24);
        __atomic_store_n(&cpu->thin->kicked, false, __ATOMIC_SEQ_CST);
    }
}

void thin_apic_note(struct vcpu *cpu)
{
    struct vlapic_target *target = &cpu->thin->target;

    __atomic_store_n(&target->apic_base, rdmsr(VLAPIC_MSR_APIC_BASE), __ATOMIC_RELEASE);
    if ((target->apic_base & (VLAPIC_BASE_EN | VLAPIC_BASE_EXTD)) == VLAPIC_BASE_EN) {
        __atomic_store_n(&target->xapic_id, host_lapic_read(VLAPIC_REG_ID), __ATOMIC_RELEASE);
        __atomic_store_n(&target->ldr, host_lapic_read(VLAPIC_REG_LDR), __ATOMIC_RELEASE);
        __atomic_store_n(&target->dfr, host_lapic_read(VLAPIC_REG_DFR), __ATOMIC_RELEASE);
    }
}
