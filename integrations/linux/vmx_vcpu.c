/* SPDX-License-Identifier: BSD-2-Clause */
/* A vCPU on VMX: its VMCS. Intel SDM 3C, "Virtual-Machine Control Structures", "Checks on VMX Controls", "Checks on the Guest State Area". */
#include <linux/mm.h>
#include <linux/slab.h>
#include <asm/io.h>
#include <asm/msr.h>

#include "vmx.h"

#define EPT_POINTER_BITS (VMX_EPTP_PWL_4 | VMX_EPTP_MT_WB)
#define GUEST_CR0_VALUE (X86_CR0_PG | X86_CR0_WP | X86_CR0_NE | X86_CR0_ET | X86_CR0_TS | X86_CR0_MP | X86_CR0_PE)
#define UNUSABLE 0x10000u

static void vmclear(const void *vmcs)
{
    u64 pa = __pa(vmcs);
    bool failed;

    asm volatile("vmclear %1; setna %0" : "=qm"(failed) : "m"(pa) : "cc", "memory");
    WARN_ONCE(failed, "VMCLEAR");
}

static void vmptrld(const void *vmcs)
{
    u64 pa = __pa(vmcs);
    bool failed;

    asm volatile("vmptrld %1; setna %0" : "=qm"(failed) : "m"(pa) : "cc", "memory");
    WARN_ONCE(failed, "VMPTRLD");
}

u64 vmm_vmx_ept_pointer(const struct vmm_vcpu *vcpu)
{
    return __pa(vcpu->nested_root) | EPT_POINTER_BITS;
}

/* The backend changes what is its of these. Exceptions: the host's debug registers and machine checks; and #AC, for the host may want it of its own code. */
static void fill_controls(const struct vmm_vcpu *vcpu)
{
    vmm_vmwrite(PIN_BASED_VM_EXEC_CONTROL, vmm_vmx_controls.pin);
    vmm_vmwrite(CPU_BASED_VM_EXEC_CONTROL, vmm_vmx_controls.primary);
    vmm_vmwrite(SECONDARY_VM_EXEC_CONTROL, vmm_vmx_controls.secondary);
    vmm_vmwrite(VM_EXIT_CONTROLS, vmm_vmx_controls.exit);
    vmm_vmwrite(VM_ENTRY_CONTROLS, vmm_vmx_controls.entry);
    vmm_vmwrite(EXCEPTION_BITMAP, BIT(X86_TRAP_DB) | BIT(X86_TRAP_AC) | BIT(X86_TRAP_MC));
    vmm_vmwrite(PAGE_FAULT_ERROR_CODE_MASK, 0);
    vmm_vmwrite(PAGE_FAULT_ERROR_CODE_MATCH, 0);
    vmm_vmwrite(CR3_TARGET_COUNT, 0);
    vmm_vmwrite(VM_EXIT_MSR_STORE_COUNT, 0);
    vmm_vmwrite(VM_EXIT_MSR_LOAD_COUNT, 0);
    vmm_vmwrite(VM_ENTRY_MSR_LOAD_COUNT, 0);
    vmm_vmwrite(VM_ENTRY_INTR_INFO_FIELD, 0);
    vmm_vmwrite(MSR_BITMAP, __pa(vmm_vmx_of(vcpu)->msr_bitmap));
    vmm_vmwrite(TSC_OFFSET, 0);
    vmm_vmwrite(EPT_POINTER, vmm_vmx_ept_pointer(vcpu));
    vmm_vmwrite(VMCS_LINK_POINTER, U64_MAX);
}

/* Each in the order of ES CS SS DS FS GS LDTR TR, in steps of 2. */
static void fill_segments(void)
{
    static const u16 selectors[8] = { 16, 8, 16, 16, 16, 16, 0, 24 };
    static const u32 rights[8] = { 0xC093, 0xA09B, 0xC093, 0xC093, 0xC093, 0xC093, UNUSABLE, 0x8B };
    u32 i;

    for (i = 0; i < 8; i++) {
        vmm_vmwrite(GUEST_ES_SELECTOR + 2 * i, selectors[i]);
        vmm_vmwrite(GUEST_ES_LIMIT + 2 * i, i < 6 ? U32_MAX : 0x67);
        vmm_vmwrite(GUEST_ES_AR_BYTES + 2 * i, rights[i]);
        vmm_vmwrite(GUEST_ES_BASE + 2 * i, 0);
    }
    vmm_vmwrite(GUEST_GDTR_LIMIT, 0);
    vmm_vmwrite(GUEST_IDTR_LIMIT, 0);
    vmm_vmwrite(GUEST_GDTR_BASE, 0);
    vmm_vmwrite(GUEST_IDTR_BASE, 0);
}

/* Long mode, CPL 0, flat. No bit of CR0 and CR4 can be changed. CR0.TS stays set: an FPU instruction is #NM in the guest, so the FPU is the host's throughout. */
static void fill_guest(const struct vmm_vcpu *vcpu)
{
    u64 cr0_fixed, cr4_fixed;

    rdmsrl(MSR_IA32_VMX_CR0_FIXED0, cr0_fixed);
    rdmsrl(MSR_IA32_VMX_CR4_FIXED0, cr4_fixed);
    fill_segments();
    vmm_vmwrite(GUEST_CR0, GUEST_CR0_VALUE | cr0_fixed);
    vmm_vmwrite(GUEST_CR4, X86_CR4_PAE | cr4_fixed);
    vmm_vmwrite(CR0_GUEST_HOST_MASK, U64_MAX);
    vmm_vmwrite(CR4_GUEST_HOST_MASK, U64_MAX);
    vmm_vmwrite(CR0_READ_SHADOW, GUEST_CR0_VALUE);
    vmm_vmwrite(CR4_READ_SHADOW, X86_CR4_PAE);
    vmm_vmwrite(GUEST_CR3, vmm_vmx_of(vcpu)->cr3);
    vmm_vmwrite(GUEST_IA32_EFER, EFER_LME | EFER_LMA);
    vmm_vmwrite(GUEST_DR7, 0x400);
    vmm_vmwrite(GUEST_IA32_DEBUGCTL, 0);
    vmm_vmwrite(GUEST_PENDING_DBG_EXCEPTIONS, 0);
    vmm_vmwrite(GUEST_ACTIVITY_STATE, GUEST_ACTIVITY_ACTIVE);
    vmm_vmwrite(GUEST_SYSENTER_CS, 0);
    vmm_vmwrite(GUEST_SYSENTER_ESP, 0);
    vmm_vmwrite(GUEST_SYSENTER_EIP, 0);
}

void vmm_vmx_load(struct vmm_vcpu *vcpu)
{
    struct vmm_vmx_vcpu *v = vmm_vmx_of(vcpu);

    if (v->is_new) {
        *(u32 *)v->vmcs = vmm_vmx_can.revision;
        vmclear(v->vmcs);
    }
    vmptrld(v->vmcs);
    if (v->is_new) {
        fill_controls(vcpu);
        fill_guest(vcpu);
        v->is_new = false;
    }
}

void vmm_vmx_put(struct vmm_vcpu *vcpu)
{
    vmclear(vmm_vmx_of(vcpu)->vmcs);
}

void vmm_vmx_reset(struct vmm_vcpu *vcpu, u64 cr3)
{
    struct vmm_vmx_vcpu *v = vmm_vmx_of(vcpu);

    v->cr3 = cr3;
    v->cr2 = v->kernel_gs_base = 0;
    v->is_new = v->window_is_due = true;
    memset(v->msr_bitmap, 0xFF, PAGE_SIZE);
    vlapic_vmx_vmcs_replaced(vcpu->apic);
}

int vmm_vmx_create(struct vmm_vcpu *vcpu)
{
    struct vmm_vmx_vcpu *v = vmm_alloc(sizeof(*v), 1);

    vcpu->hv = v;
    if (!v) {
        return -ENOMEM;
    }
    v->vmcs = vmm_alloc(PAGE_SIZE, PAGE_SIZE);
    v->msr_bitmap = vmm_alloc(PAGE_SIZE, PAGE_SIZE);
    return v->vmcs && v->msr_bitmap ? 0 : -ENOMEM;
}

void vmm_vmx_free(struct vmm_vcpu *vcpu)
{
    struct vmm_vmx_vcpu *v = vmm_vmx_of(vcpu);

    if (v) {
        kfree(v->vmcs);
        kfree(v->msr_bitmap);
        kfree(v);
    }
}
