/* SPDX-License-Identifier: BSD-2-Clause */
/* A vCPU on SVM: its VMCB; the svm backend's settings. */
#include <linux/mm.h>
#include <linux/slab.h>
#include <asm/pgtable.h>

#include "svm.h"

#define PRESENT_WRITABLE_USER 7ull /* a nested walk is one of user mode */

/* --- the VMCB ------------------------------------------------------------------------------------------------------------ */

static void intercept(struct vmcb *vmcb, unsigned int bit)
{
    vmcb->control.intercepts[bit / 32] |= 1u << bit % 32;
}

/* All that reaches past what the guest owns. CR8, VINTR and IRET are the backend's. */
static void set_intercepts(struct vmcb *vmcb)
{
    static const u8 bits[] = {
        INTERCEPT_CR0_WRITE,
        INTERCEPT_CR3_WRITE,
        INTERCEPT_CR4_WRITE,
        INTERCEPT_INTR,
        INTERCEPT_NMI,
        INTERCEPT_SMI,
        INTERCEPT_INIT,
        INTERCEPT_RDPMC,
        INTERCEPT_CPUID,
        INTERCEPT_RSM,
        INTERCEPT_INVD,
        INTERCEPT_HLT,
        INTERCEPT_INVLPGA,
        INTERCEPT_IOIO_PROT,
        INTERCEPT_MSR_PROT,
        INTERCEPT_TASK_SWITCH,
        INTERCEPT_FERR_FREEZE,
        INTERCEPT_SHUTDOWN,
        INTERCEPT_VMRUN,
        INTERCEPT_VMMCALL,
        INTERCEPT_VMLOAD,
        INTERCEPT_VMSAVE,
        INTERCEPT_STGI,
        INTERCEPT_CLGI,
        INTERCEPT_SKINIT,
        INTERCEPT_RDTSCP,
        INTERCEPT_ICEBP,
        INTERCEPT_WBINVD,
        INTERCEPT_MONITOR,
        INTERCEPT_MWAIT,
        INTERCEPT_XSETBV,
        INTERCEPT_RDPRU,
        INTERCEPT_EXCEPTION_OFFSET + X86_TRAP_DB,
        INTERCEPT_EXCEPTION_OFFSET + X86_TRAP_MC,
    };
    size_t i;

    vmcb->control.intercepts[INTERCEPT_DR] = ~0u; /* the host's debug registers are there */
    for (i = 0; i < ARRAY_SIZE(bits); i++) {
        intercept(vmcb, bits[i]);
    }
}

static void set_segment(struct vmcb_seg *segment, u16 selector, u16 attributes, u32 limit)
{
    *segment = (struct vmcb_seg){ .selector = selector, .attrib = attributes, .limit = limit };
}

/* Long mode, CPL 0, flat. CR0.TS stays set: an FPU instruction is #NM in the guest, so the FPU is the host's throughout. */
static void make_vmcb(struct vmm_vcpu *vcpu, u64 cr3)
{
    struct vmcb *vmcb = vcpu->hv;
    struct vmcb_control_area *control = &vmcb->control;
    struct vmcb_save_area *save = &vmcb->save;

    memset(vmcb, 0, PAGE_SIZE);
    set_intercepts(vmcb);
    control->iopm_base_pa = __pa(vmm_io_map);
    control->msrpm_base_pa = __pa(vmm_msr_map);
    control->asid = 1;
    control->int_ctl = V_INTR_MASKING_MASK;
    control->nested_ctl = SVM_NESTED_CTL_NP_ENABLE;
    control->nested_cr3 = __pa(vcpu->nested_root);
    set_segment(&save->cs, 8, 0xA9B, U32_MAX);
    set_segment(&save->ds, 16, 0xC93, U32_MAX);
    save->es = save->ss = save->fs = save->gs = save->ds;
    set_segment(&save->tr, 0, 0x08B, 0x67);
    set_segment(&save->ldtr, 0, 0x082, 0);
    save->efer = EFER_SVME | EFER_LME | EFER_LMA;
    save->cr0 = X86_CR0_PG | X86_CR0_WP | X86_CR0_NE | X86_CR0_ET | X86_CR0_TS | X86_CR0_MP | X86_CR0_PE;
    save->cr3 = cr3;
    save->cr4 = X86_CR4_PAE;
    save->dr6 = 0xFFFF0FF0;
    save->dr7 = 0x400;
    save->g_pat = 0x0007040600070406;
}

static int create(struct vmm_vcpu *vcpu)
{
    BUILD_BUG_ON(sizeof(struct vmcb) > PAGE_SIZE);
    vcpu->hv = vmm_alloc(PAGE_SIZE, PAGE_SIZE);
    if (!vcpu->hv) {
        return -ENOMEM;
    }
    make_vmcb(vcpu, 0);
    return 0;
}

static void free_vcpu(struct vmm_vcpu *vcpu)
{
    kfree(vcpu->hv);
}

static void reset(struct vmm_vcpu *vcpu, u64 cr3)
{
    make_vmcb(vcpu, cr3);
    vlapic_svm_vmcb_replaced(vcpu->apic);
}

/* The backend has the IRET intercept on while NMIs are blocked. */
static bool nmi_is_blocked(const struct vmm_vcpu *vcpu)
{
    const struct vmcb *vmcb = vcpu->hv;

    return vmcb->control.intercepts[INTERCEPT_IRET / 32] & 1u << INTERCEPT_IRET % 32;
}

/* --- the backend ---------------------------------------------------------------------------------------------------------- */

static void *vmcb_of(void *cookie)
{
    return ((struct vmm_vcpu *)cookie)->hv;
}

static const struct vlapic_svm_ops ops = {
    .size = sizeof(ops),
    .abi = VLAPIC_SVM_ABI,
    .vmcb = vmcb_of,
    .fetch = vmm_fetch,
    .guest = &vmm_guest_ops,
};

/* No AVIC and no NMI virtualization (features = 0): no machine was there to try them on. */
static int create_apics(struct vmm_vm *vm, struct vlapic_vm_config *config)
{
    struct vlapic_svm_config svm;

    if (vlapic_svm_config_defaults(&svm, sizeof(svm)) != VLAPIC_OK) {
        return -EINVAL;
    }
    svm.features = 0;
    svm.ops = &ops;
    svm.edge_eoi_not_needed = true;
    config->backend = &vlapic_backend_svm;
    config->backend_config = &svm;
    return vmm_vm_create_apics(vm, config);
}

static void inhibit(struct vmm_vm *vm, bool on)
{
    vlapic_svm_inhibit(vm->apics, VLAPIC_SVM_INHIBIT_REQUEST, on);
}

static int npt_levels(void)
{
    return pgtable_l5_enabled() ? 5 : 4;
}

const struct vmm_hv vmm_svm = {
    .name = "svm",
    .is_there = vmm_svm_is_there,
    .start = vmm_svm_start,
    .stop = vmm_svm_stop,
    .cpu_on = vmm_svm_cpu_on,
    .cpu_off = vmm_svm_cpu_off,
    .npt_table = PRESENT_WRITABLE_USER,
    .npt_leaf = PRESENT_WRITABLE_USER,
    .npt_levels = npt_levels,
    .create_apics = create_apics,
    .inhibit = inhibit,
    .create = create,
    .free = free_vcpu,
    .reset = reset,
    .nmi_is_blocked = nmi_is_blocked,
    .get_in_flight = vlapic_svm_get_in_flight,
    .set_in_flight = vlapic_svm_set_in_flight,
    .run = vmm_svm_run,
};
