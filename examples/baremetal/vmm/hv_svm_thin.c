/* SPDX-License-Identifier: BSD-2-Clause */
/* The driver for thin mode: interrupts, HLT and CR8 are the guest's; what exits is NMIs, by which CPUs kick one another, the ports, and the few MSRs. */
#include "hv_svm.h"
#include "thin.h"

static void filled(struct vcpu *cpu)
{
    hv_svm_set_intercept(cpu, INTERCEPT_INTR | INTERCEPT_HLT, false);
    vmcb_set(cpu, VMCB_INTERRUPT_CONTROL, 0, CLEAN_CONTROL); /* the guest's IF counts, and CR8 is the physical one */
    thin_trap_msrs(hv_svm_of(cpu)->msr_map, vlapic_trap_svm_set);
}

/* GIF is clear: an NMI that comes from now on waits for VMRUN, and ends it. */
static bool prepare(struct vcpu *cpu, const struct vlapic_poll *duty)
{
    struct vcpu_entry entry;

    (void)duty;
    if (__atomic_load_n(&this_cpu()->nmi, __ATOMIC_SEQ_CST) != 0) {
        return false;
    }
    vcpu_prepare_core(cpu, &entry);
    hv_svm_inject(cpu, &entry.event);
    hv_svm_prepare_nmi(cpu, &entry);
    /* An NMI waits for the end of one instruction. If that is HLT, the NMI ends it, which the trap flag does not everywhere. */
    hv_svm_set_intercept(cpu, INTERCEPT_HLT, hv_svm_of(cpu)->step);
    return true;
}

static void finish(struct vcpu *cpu)
{
    hv_svm_look_for_iret(cpu);
    hv_svm_keep_interrupted(cpu);
}

const struct hv_svm_driver hv_svm_thin_driver = {
    .name = "thin",
    .filled = filled,
    .prepare = prepare,
    .finish = finish,
    .free = thin_free,
};
