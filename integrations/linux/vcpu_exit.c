/* SPDX-License-Identifier: BSD-2-Clause */
/* What is done about an exit that is not the APIC's, or not only. */
#include <linux/kernel.h>

#include "vmm.h"

#define DEBUG_EXCEPTION (SVM_EXIT_EXCP_BASE + X86_TRAP_DB)
#define GP_EVENT (SVM_EVTINJ_VALID | SVM_EVTINJ_VALID_ERR | SVM_EVTINJ_TYPE_EXEPT | X86_TRAP_GP)
#define NPF_WRITE (1u << 1)

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

static void advance(struct vmm_vcpu *vcpu, u64 rip)
{
    vcpu->vmcb->save.rip = rip;
    vcpu->vmcb->control.int_state &= ~(u32)SVM_INTERRUPT_SHADOW_MASK;
}

static int fail(struct vmm_vcpu *vcpu)
{
    const struct vmcb *vmcb = vcpu->vmcb;

    vcpu->run.reason = VLAPIC_VMM_FAILED;
    vcpu->run.exit_code = vmcb->control.exit_code;
    vcpu->run.exit_info[0] = vmcb->control.exit_info_1;
    vcpu->run.exit_info[1] = vmcb->control.exit_info_2;
    vcpu->run.rip = vmcb->save.rip;
    return 0;
}

static int inject_gp(struct vmm_vcpu *vcpu)
{
    vcpu->exception = GP_EVENT;
    return 1;
}

/* IN and OUT alone. EXITINFO2 is the RIP behind the instruction. */
static int port(struct vmm_vcpu *vcpu)
{
    u64 info = vcpu->vmcb->control.exit_info_1;
    u32 width = (info & SVM_IOIO_SIZE_MASK) >> SVM_IOIO_SIZE_SHIFT;
    bool in = info & SVM_IOIO_TYPE_MASK;

    if (info & SVM_IOIO_STR_MASK) {
        return fail(vcpu);
    }
    vcpu->run.reason = VLAPIC_VMM_IO;
    vcpu->run.port = info >> 16 & 0xFFFF;
    vcpu->run.width = width;
    vcpu->run.write = !in;
    vcpu->run.value = vcpu->vmcb->save.rax & (U32_MAX >> (32 - 8 * width));
    vcpu->io_in_width = in ? width : 0;
    advance(vcpu, vcpu->vmcb->control.exit_info_2);
    return 0;
}

/* An access to a place where there is neither memory nor, now, the APIC: reads give ones. The decoder does it with callbacks that say so. */
static int access_nothing(struct vmm_vcpu *vcpu)
{
    const struct vmcb_control_area *control = &vcpu->vmcb->control;
    const struct vlapic_decode_ops *guest = vmm_svm_ops.guest;
    u8 bytes[VLAPIC_DECODE_MAX_LENGTH];
    enum vlapic_decode_mode mode;
    struct vlapic_decode_insn insn;
    size_t count = vmm_svm_ops.fetch(vcpu, bytes, sizeof(bytes), &mode);
    enum vlapic_decode_status status = vlapic_decode_parse(mode, bytes, count, &insn);

    if (status == VLAPIC_DECODE_DONE) {
        status = vlapic_decode_execute(&insn, guest, vcpu, control->exit_info_2, control->exit_info_1 & NPF_WRITE);
    }
    if (status == VLAPIC_DECODE_DONE) {
        advance(vcpu, vcpu->vmcb->save.rip + insn.length);
    }
    return status == VLAPIC_DECODE_DONE || status == VLAPIC_DECODE_AGAIN ? 1 : fail(vcpu);
}

/* Nothing tells the length of a HLT where nRIP is not there; prefixes on it are not known here. */
static int hlt(struct vmm_vcpu *vcpu)
{
    u64 next = vcpu->vmcb->control.next_rip;

    advance(vcpu, next ? next : vcpu->vmcb->save.rip + 1);
    vcpu->halted = true;
    return 1;
}

static int other_exit(struct vmm_vcpu *vcpu)
{
    switch (vcpu->vmcb->control.exit_code) {
    case SVM_EXIT_INTR: /* taken by now */
    case SVM_EXIT_NMI:
    case SVM_EXIT_SMI:
    case SVM_EXIT_IRET:
    case DEBUG_EXCEPTION: /* the end of a step */
        return 1;
    case SVM_EXIT_IOIO:
        return port(vcpu);
    case SVM_EXIT_HLT:
        return hlt(vcpu);
    case SVM_EXIT_MSR: /* there are no others */
        return inject_gp(vcpu);
    case SVM_EXIT_NPF:
        return access_nothing(vcpu);
    default:
        return fail(vcpu);
    }
}

static int finish(struct vmm_vcpu *vcpu, enum vlapic_svm_result result, u32 length)
{
    switch (result) {
    case VLAPIC_SVM_NOT_MINE:
        return other_exit(vcpu);
    case VLAPIC_SVM_RESUME:
        return 1;
    case VLAPIC_SVM_ADVANCE:
        advance(vcpu, length ? vcpu->vmcb->save.rip + length : vcpu->vmcb->control.next_rip);
        return 1;
    case VLAPIC_SVM_GP:
        return inject_gp(vcpu);
    default:
        return fail(vcpu);
    }
}

int vmm_exit(struct vmm_vcpu *vcpu, enum vlapic_svm_result result, u32 length)
{
    int go_on = finish(vcpu, result, length);

    vcpu->run.exits[kind_of(vcpu->vmcb->control.exit_code)]++;
    if (go_on && vcpu->eoi_came) {
        vcpu->eoi_came = false;
        vcpu->run.reason = VLAPIC_VMM_EOI;
        vcpu->run.vector = vcpu->eoi_vector;
        return 0;
    }
    return go_on;
}
