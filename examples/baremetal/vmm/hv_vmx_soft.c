/* SPDX-License-Identifier: BSD-2-Clause */
/* The driver for backend `soft`: VMX without any of its APIC virtualization. */
#include "hv_vmx.h"

static bool prepare(struct vcpu *cpu, const struct vlapic_poll *duty)
{
    struct vcpu_entry entry;
    uint32_t primary;

    if (!vcpu_prepare_soft(cpu, duty, &entry)) {
        return false;
    }
    hv_vmx_inject(&entry.event);
    primary = (uint32_t)vmread(VMCS_PRIMARY) & ~(PRIMARY_INTERRUPT_WINDOW | PRIMARY_NMI_WINDOW);
    primary |= entry.window ? PRIMARY_INTERRUPT_WINDOW : 0;
    primary |= entry.nmi_window ? PRIMARY_NMI_WINDOW : 0;
    vmwrite(VMCS_PRIMARY, primary);
    return true;
}

static void finish(struct vcpu *cpu)
{
    vlapic_cpu_exit(cpu->apic);
    hv_vmx_keep_interrupted(cpu);
}

const struct hv_vmx_driver hv_vmx_soft_driver = {
    .name = "soft",
    .backend = &vlapic_backend_soft,
    .prepare = prepare,
    .finish = finish,
};
