/* SPDX-License-Identifier: BSD-2-Clause */
/* Once into the guest and back, on SVM; and what an exit means. */
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <asm/io.h>

#include "svm.h"

#define DEBUG_EXCEPTION (SVM_EXIT_EXCP_BASE + X86_TRAP_DB)
#define NPF_WRITE (1u << 1)

/* QEMU's emulation lets reserved bits be written to CR8 without #GP. */
static bool cr8_exits;
module_param(cr8_exits, bool, 0444);
MODULE_PARM_DESC(cr8_exits, "let every MOV to and from CR8 exit");

/* All vCPUs have ASID 1: whoever follows another one, or has run elsewhere meanwhile, begins with an empty TLB. Nothing of the VMCB is
 * declared clean: that would save time on hardware, and need care. */
static void prepare_vmcb(struct vmm_vcpu *vcpu, struct vmm_cpu *host, int cpu)
{
    struct vmcb *vmcb = vcpu->hv;
    struct vmcb_control_area *control = &vmcb->control;
    bool foreign = host->last_vcpu != vcpu->serial || vcpu->last_cpu != cpu;

    control->tlb_ctl = foreign ? TLB_CONTROL_FLUSH_ALL_ASID : TLB_CONTROL_DO_NOTHING;
    control->clean = 0;
    host->last_vcpu = vcpu->serial;
    vcpu->last_cpu = cpu;
    if (vcpu->exception) {
        control->event_inj = (u32)vcpu->exception;
        control->event_inj_err = vcpu->exception >> 32;
        vcpu->exception = 0;
    }
    /* QEMU's emulation ends itself if MOV to CR8 finds V_IRQ set. The backend handles these exits whether it wanted them or not. */
    if (cr8_exits || control->int_ctl & V_IRQ_MASK) {
        control->intercepts[INTERCEPT_CR] |= 1u << INTERCEPT_CR8_WRITE;
    }
    if (cr8_exits) {
        control->intercepts[INTERCEPT_CR] |= 1u << INTERCEPT_CR8_READ;
    }
}

/*
 * QEMU 7.2 forgets the interrupt shadow at VMRUN: a window would open before the instruction behind an STI, and if that is a HLT, the interrupt that was to
 * end it would come before it. So that instruction runs alone first, whatever the processor, and is covered until it has run.
 */
static bool is_shadowed(const struct vmcb *vmcb)
{
    return vmcb->control.int_state & SVM_INTERRUPT_SHADOW_MASK;
}

static bool must_step(struct vmcb *vmcb)
{
    if (!is_shadowed(vmcb) || !(vmcb->control.int_ctl & V_IRQ_MASK)) {
        return false;
    }
    vmcb->control.int_ctl &= ~V_IRQ_MASK; /* the next entry asks for it again */
    return true;
}

static void write_guest(const struct vmm_vcpu *vcpu)
{
    struct vmcb *vmcb = vcpu->hv;

    vmcb->save.rax = vcpu->general[VMM_RAX];
    vmcb->save.rsp = vcpu->general[VMM_RSP];
    vmcb->save.rip = vcpu->rip;
    vmcb->save.rflags = vcpu->rflags;
    vmcb->control.int_state &= ~(u32)SVM_INTERRUPT_SHADOW_MASK;
    vmcb->control.int_state |= vcpu->shadow ? SVM_INTERRUPT_SHADOW_MASK : 0;
}

static void read_guest(struct vmm_vcpu *vcpu)
{
    const struct vmcb *vmcb = vcpu->hv;

    vcpu->general[VMM_RAX] = vmcb->save.rax;
    vcpu->general[VMM_RSP] = vmcb->save.rsp;
    vcpu->rip = vmcb->save.rip;
    vcpu->rflags = vmcb->save.rflags & ~(u64)X86_EFLAGS_TF;
    vcpu->shadow = is_shadowed(vmcb) ? 1 : 0;
}

/* An instruction that is stepped ends with #DB, which is intercepted. Guests have no single-stepping of their own. */
static void run_guest(struct vmm_vcpu *vcpu, bool step)
{
    struct vmcb *vmcb = vcpu->hv;
    bool shadowed = is_shadowed(vmcb);
    u64 rip = vmcb->save.rip;

    if (must_step(vmcb) || step) {
        vmcb->save.rflags |= X86_EFLAGS_TF;
    }
    vmm_svm_enter(__pa(vmcb), vcpu->general, __pa(this_cpu_ptr(&vmm_svm_cpus)->host_vmcb));
    if (shadowed && vmcb->save.rip == rip && vmcb->control.exit_code != DEBUG_EXCEPTION) {
        vmcb->control.int_state |= SVM_INTERRUPT_SHADOW_MASK;
    }
    read_guest(vcpu);
}

/* --- exits ------------------------------------------------------------------------------------------------------------------- */

static enum vlapic_vmm_kind kind_of(u32 code)
{
    switch (code) {
    case SVM_EXIT_IOIO:
        return VLAPIC_VMM_KIND_IO;
    case SVM_EXIT_HLT:
        return VLAPIC_VMM_KIND_HLT;
    case SVM_EXIT_INTR:
    case SVM_EXIT_NMI:
    case SVM_EXIT_SMI:
        return VLAPIC_VMM_KIND_INTERRUPT;
    case SVM_EXIT_VINTR:
    case SVM_EXIT_IRET:
    case DEBUG_EXCEPTION:
        return VLAPIC_VMM_KIND_WINDOW;
    case SVM_EXIT_NPF:
        return VLAPIC_VMM_KIND_MMIO;
    case SVM_EXIT_MSR:
        return VLAPIC_VMM_KIND_MSR;
    case SVM_EXIT_READ_CR8:
    case SVM_EXIT_WRITE_CR8:
        return VLAPIC_VMM_KIND_CR8;
    default:
        return VLAPIC_VMM_KIND_OTHER;
    }
}

/* Nothing tells the length of a HLT where nRIP is not there; prefixes on it are not known here. EXITINFO2 of an IN or OUT is the RIP behind it. */
static u32 length_of(const struct vmm_vcpu *vcpu, const struct vmcb_control_area *control)
{
    if (control->exit_code == SVM_EXIT_IOIO) {
        return control->exit_info_2 - vcpu->rip;
    }
    if (control->next_rip) {
        return control->next_rip - vcpu->rip;
    }
    return control->exit_code == SVM_EXIT_HLT ? 1 : 0;
}

static void decode(const struct vmm_vcpu *vcpu, struct vmm_exit *exit)
{
    const struct vmcb *vmcb = vcpu->hv;
    const struct vmcb_control_area *control = &vmcb->control;
    u64 info = control->exit_info_1;

    *exit = (struct vmm_exit){
        .kind = kind_of(control->exit_code),
        .length = length_of(vcpu, control),
        .code = control->exit_code,
        .info = { info, control->exit_info_2 },
    };
    if (control->exit_code == SVM_EXIT_IOIO) {
        exit->write = !(info & SVM_IOIO_TYPE_MASK);
        exit->string = info & SVM_IOIO_STR_MASK;
        exit->width = (info & SVM_IOIO_SIZE_MASK) >> SVM_IOIO_SIZE_SHIFT;
        exit->port = info >> 16 & 0xFFFF;
    } else if (control->exit_code == SVM_EXIT_NPF) {
        exit->write = info & NPF_WRITE;
        exit->address = control->exit_info_2;
    }
}

static void finish(struct vmm_vcpu *vcpu, struct vmm_exit *exit)
{
    const struct vmcb *vmcb = vcpu->hv;
    u32 length = 0;
    enum vlapic_svm_result result = vlapic_svm_exit(vcpu->apic, &length);

    BUILD_BUG_ON((int)VMM_ADVANCE != (int)VLAPIC_SVM_ADVANCE || (int)VMM_GP != (int)VLAPIC_SVM_GP);
    decode(vcpu, exit);
    exit->verdict = result <= VLAPIC_SVM_GP ? (enum vmm_verdict)result : VMM_FAIL;
    exit->length = length ? length : exit->length;
    vmm_keep_exception(vcpu, vmcb->control.exit_int_info, vmcb->control.exit_int_info_err);
}

static int try_to_run(struct vmm_vcpu *vcpu, struct vmm_cpu *host, struct vmm_exit *exit)
{
    struct vlapic_svm_guest guest = {
        .rflags = vcpu->rflags,
        .shadow = vcpu->shadow != 0,
        .busy = vcpu->exception != 0,
        .nmi = vcpu->nmi_pending,
    };
    struct vlapic_svm_entry entry;

    write_guest(vcpu);
    if (!vlapic_svm_enter(vcpu->apic, &guest, &entry)) {
        return 0;
    }
    if (entry.injected == VLAPIC_SVM_INJECTED_NMI) {
        vcpu->nmi_pending = false;
    }
    if (vmm_must_not_enter(vcpu)) {
        vlapic_svm_cancel(vcpu->apic);
        return 0;
    }
    prepare_vmcb(vcpu, host, smp_processor_id());
    run_guest(vcpu, entry.changes & VLAPIC_SVM_SINGLE_STEP);
    finish(vcpu, exit);
    vcpu->run.free = cr8_exits ? 0 : VLAPIC_VMM_FREE_CR8;
    return 1;
}

int vmm_svm_run(struct vmm_vcpu *vcpu, struct vmm_cpu *host, struct vmm_exit *exit)
{
    int result;

    vlapic_cpu_load(vcpu->apic);
    result = try_to_run(vcpu, host, exit);
    vlapic_cpu_put(vcpu->apic);
    return result;
}
