/* SPDX-License-Identifier: BSD-2-Clause */
/* What SVM does not know, that NMIs are blocked up to an IRET, is kept here; and what an exit interrupted. */
#include "hv_svm.h"

void hv_svm_set_intercept(struct vcpu *cpu, uint32_t intercept, bool on)
{
    uint32_t intercepts = vmcb_get32(cpu, VMCB_INTERCEPTS3) & ~intercept;

    vmcb_set32(cpu, VMCB_INTERCEPTS3, intercepts | (on ? intercept : 0), CLEAN_INTERCEPTS);
}

/* The IRET is intercepted before it is executed, and executed by the next entry. What is delivered in that entry has an IRET of its own, which
 * comes first. */
void hv_svm_prepare_nmi(struct vcpu *cpu, const struct vcpu_entry *entry)
{
    struct hv_svm_vcpu *v = hv_svm_of(cpu);

    if (entry->event.type == EVENT_NMI) {
        cpu->shadow |= SHADOW_NMI;
    }
    v->iret_is_next = v->iret_is_next && entry->event.type == EVENT_NONE;
    hv_svm_set_intercept(cpu, INTERCEPT_IRET, (cpu->shadow & SHADOW_NMI) != 0 && !v->iret_is_next);
    v->step = entry->nmi_window && (v->iret_is_next || (cpu->shadow & SHADOW_NMI) == 0);
}

void hv_svm_look_for_iret(struct vcpu *cpu)
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

void hv_svm_keep_interrupted(struct vcpu *cpu)
{
    uint32_t interrupted = vmcb_get32(cpu, VMCB_EXIT_EVENT);

    if ((interrupted & EVENT_VALID) != 0) {
        cpu->in_flight = (struct vcpu_event){ (enum event_type)(interrupted >> 8 & 7), (uint8_t)interrupted };
        if (cpu->in_flight.type == EVENT_NMI) { /* it has begun to block others, and will do so again */
            cpu->shadow &= ~SHADOW_NMI;
        }
    }
}
