/* SPDX-License-Identifier: BSD-2-Clause */
/* The driver for thin mode: interrupts, HLT and CR8 are the guest's; what exits is NMIs, by which CPUs kick one another, the ports, and the few MSRs. */
#include "hv_vmx.h"
#include "thin.h"

static void filled(struct vcpu *cpu)
{
    vmwrite(VMCS_PIN, vmread(VMCS_PIN) & ~(uint64_t)PIN_EXTERNAL_INTERRUPT);
    vmwrite(VMCS_PRIMARY, vmread(VMCS_PRIMARY) & ~(uint64_t)(PRIMARY_HLT | PRIMARY_CR8_LOAD | PRIMARY_CR8_STORE));
    thin_trap_msrs(hv_vmx_of(cpu)->msr_bitmap, vlapic_trap_vmx_set);
}

static bool prepare(struct vcpu *cpu, const struct vlapic_poll *duty)
{
    struct vcpu_entry entry;
    uint64_t primary = vmread(VMCS_PRIMARY) & ~(uint64_t)PRIMARY_NMI_WINDOW;

    (void)duty;
    vcpu_prepare_core(cpu, &entry);
    hv_vmx_inject(&entry.event);
    vmwrite(VMCS_PRIMARY, primary | (entry.nmi_window ? PRIMARY_NMI_WINDOW : 0));
    return true; /* an NMI that comes from now on, or came before, aborts the entry: hv_vmx_enter.S */
}

const struct hv_vmx_driver hv_vmx_thin_driver = {
    .name = "thin",
    .filled = filled,
    .prepare = prepare,
    .finish = hv_vmx_keep_interrupted,
    .free = thin_free,
};
