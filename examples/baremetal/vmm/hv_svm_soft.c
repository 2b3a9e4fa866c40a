/* SPDX-License-Identifier: BSD-2-Clause */
/* The driver for backend `soft`: event injection and windows; CR8 exits. What SVM does not know, that NMIs are blocked up to an IRET, is kept here. */
#include "hv_svm.h"

static void set_intercept(struct vcpu *cpu, uint32_t intercept, bool on)
{
    uint32_t intercepts = vmcb_get32(cpu, VMCB_INTERCEPTS3) & ~intercept;

    vmcb_set32(cpu, VMCB_INTERCEPTS3, intercepts | (on ? intercept : 0), CLEAN_INTERCEPTS);
}

/* A virtual interrupt asks for the window; the intercept comes before its delivery. */
static void set_window(struct vcpu *cpu, bool on)
{
    vmcb_set(cpu, VMCB_INTERRUPT_CONTROL,
             CONTROL_V_INTR_MASKING | (on ? CONTROL_V_IRQ | CONTROL_V_PRIORITY | CONTROL_V_IGNORE_TPR : 0),
             CLEAN_CONTROL);
    set_intercept(cpu, INTERCEPT_VINTR, on);
}

/* The IRET is intercepted before it is executed, and executed by the next entry. What is delivered in that entry has an IRET of its own, which
 * comes first. */
static void prepare_nmi(struct vcpu *cpu, const struct vcpu_entry *entry)
{
    struct hv_svm_vcpu *v = hv_svm_of(cpu);

    if (entry->event.type == EVENT_NMI) {
        cpu->shadow |= SHADOW_NMI;
    }
    v->iret_is_next = v->iret_is_next && entry->event.type == EVENT_NONE;
    set_intercept(cpu, INTERCEPT_IRET, (cpu->shadow & SHADOW_NMI) != 0 && !v->iret_is_next);
    v->step = entry->nmi_window && (v->iret_is_next || (cpu->shadow & SHADOW_NMI) == 0);
}

static bool prepare(struct vcpu *cpu, const struct vlapic_poll *duty)
{
    struct vcpu_entry entry;

    if (!vcpu_prepare_soft(cpu, duty, &entry)) {
        return false;
    }
    hv_svm_inject(cpu, &entry.event);
    set_window(cpu, entry.window);
    prepare_nmi(cpu, &entry);
    return true;
}

static void look_for_iret(struct vcpu *cpu)
{
    struct hv_svm_vcpu *v = hv_svm_of(cpu);

    if (cpu->exit.reason == CODE_IRET) {
        v->iret_is_next = true;
        v->iret_rip = cpu->regs.rip;
    } else if (v->iret_is_next && cpu->regs.rip != v->iret_rip) {
        v->iret_is_next = false;
        cpu->shadow &= ~SHADOW_NMI;
    }
}

static void finish(struct vcpu *cpu)
{
    uint32_t interrupted = vmcb_get32(cpu, VMCB_EXIT_EVENT);

    vlapic_cpu_exit(cpu->apic);
    look_for_iret(cpu);
    if ((interrupted & EVENT_VALID) != 0) {
        cpu->in_flight = (struct vcpu_event){ (enum event_type)(interrupted >> 8 & 7), (uint8_t)interrupted };
        if (cpu->in_flight.type == EVENT_NMI) { /* it has begun to block others, and will do so again */
            cpu->shadow &= ~SHADOW_NMI;
        }
    }
}

const struct hv_svm_driver hv_svm_soft_driver = {
    .name = "soft",
    .backend = &vlapic_backend_soft,
    .cr_intercepts = CR8_READ | CR8_WRITE,
    .prepare = prepare,
    .finish = finish,
};
