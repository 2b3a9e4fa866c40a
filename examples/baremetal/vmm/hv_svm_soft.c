/* SPDX-License-Identifier: BSD-2-Clause */
/* The driver for backend `soft`: event injection and windows; CR8 exits. */
#include "hv_svm.h"

/* A virtual interrupt asks for the window; the intercept comes before its delivery. */
static void set_window(struct vcpu *cpu, bool on)
{
    vmcb_set(cpu, VMCB_INTERRUPT_CONTROL,
             CONTROL_V_INTR_MASKING | (on ? CONTROL_V_IRQ | CONTROL_V_PRIORITY | CONTROL_V_IGNORE_TPR : 0),
             CLEAN_CONTROL);
    hv_svm_set_intercept(cpu, INTERCEPT_VINTR, on);
}

static bool prepare(struct vcpu *cpu, const struct vlapic_poll *duty)
{
    struct vcpu_entry entry;

    if (!vcpu_prepare_soft(cpu, duty, &entry)) {
        return false;
    }
    hv_svm_inject(cpu, &entry.event);
    set_window(cpu, entry.window);
    hv_svm_prepare_nmi(cpu, &entry);
    return true;
}

static void finish(struct vcpu *cpu)
{
    vlapic_cpu_exit(cpu->apic);
    hv_svm_look_for_iret(cpu);
    hv_svm_keep_interrupted(cpu);
}

const struct hv_svm_driver hv_svm_soft_driver = {
    .name = "soft",
    .backend = &vlapic_backend_soft,
    .cr_intercepts = CR8_READ | CR8_WRITE,
    .prepare = prepare,
    .finish = finish,
};
