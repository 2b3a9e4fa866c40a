/* SPDX-License-Identifier: BSD-2-Clause */
/* What is done about an exit that is not the APIC's, or not only. */
#include <linux/kernel.h>

#include "hv.h"

#define GP_EVENT (VMM_EVENT_VALID | VMM_EVENT_HAS_ERROR_CODE | VMM_EVENT_EXCEPTION | X86_TRAP_GP)

static void advance(struct vmm_vcpu *vcpu, u32 length)
{
    vcpu->rip += length;
    vcpu->shadow &= ~VMM_SHADOW;
}

static int fail(struct vmm_vcpu *vcpu, const struct vmm_exit *exit)
{
    vcpu->run.reason = VLAPIC_VMM_FAILED;
    vcpu->run.exit_code = exit->code;
    vcpu->run.exit_info[0] = exit->info[0];
    vcpu->run.exit_info[1] = exit->info[1];
    vcpu->run.rip = vcpu->rip;
    return 0;
}

static int inject_gp(struct vmm_vcpu *vcpu)
{
    vcpu->exception = GP_EVENT;
    return 1;
}

/* Of INT3 and INTO, RIP is still at the instruction. Bits beside those of an event say nothing. */
void vmm_keep_exception(struct vmm_vcpu *vcpu, u32 information, u32 error_code)
{
    u32 vector = information & VMM_EVENT_VECTOR;

    if (information & VMM_EVENT_VALID && (information & VMM_EVENT_TYPE) == VMM_EVENT_EXCEPTION &&
        vector != X86_TRAP_BP && vector != X86_TRAP_OF) {
        vcpu->exception = (information & VMM_EVENT_BITS) | (u64)error_code << 32;
    }
}

/* IN and OUT alone. */
static int port(struct vmm_vcpu *vcpu, const struct vmm_exit *exit)
{
    if (exit->string) {
        return fail(vcpu, exit);
    }
    vcpu->run.reason = VLAPIC_VMM_IO;
    vcpu->run.port = exit->port;
    vcpu->run.width = exit->width;
    vcpu->run.write = exit->write;
    vcpu->run.value = vcpu->general[VMM_RAX] & (U32_MAX >> (32 - 8 * exit->width));
    vcpu->io_in_width = exit->write ? 0 : exit->width;
    advance(vcpu, exit->length);
    return 0;
}

/* An access to a place where there is neither memory nor, now, the APIC: reads give ones. The decoder does it with callbacks that say so. */
static int access_nothing(struct vmm_vcpu *vcpu, const struct vmm_exit *exit)
{
    u8 bytes[VLAPIC_DECODE_MAX_LENGTH];
    enum vlapic_decode_mode mode;
    struct vlapic_decode_insn insn;
    size_t count = vmm_fetch(vcpu, bytes, sizeof(bytes), &mode);
    enum vlapic_decode_status status = vlapic_decode_parse(mode, bytes, count, &insn);

    if (status == VLAPIC_DECODE_DONE) {
        status = vlapic_decode_execute(&insn, &vmm_guest_ops, vcpu, exit->address, exit->write);
    }
    if (status == VLAPIC_DECODE_DONE) {
        advance(vcpu, insn.length);
    }
    return status == VLAPIC_DECODE_DONE || status == VLAPIC_DECODE_AGAIN ? 1 : fail(vcpu, exit);
}

static int other_exit(struct vmm_vcpu *vcpu, const struct vmm_exit *exit)
{
    switch (exit->kind) {
    case VLAPIC_VMM_KIND_INTERRUPT: /* taken by now */
    case VLAPIC_VMM_KIND_WINDOW:
        return 1;
    case VLAPIC_VMM_KIND_IO:
        return port(vcpu, exit);
    case VLAPIC_VMM_KIND_HLT:
        advance(vcpu, exit->length);
        vcpu->halted = true;
        return 1;
    case VLAPIC_VMM_KIND_MSR: /* there are no others */
        return inject_gp(vcpu);
    case VLAPIC_VMM_KIND_MMIO:
        return access_nothing(vcpu, exit);
    default:
        return fail(vcpu, exit);
    }
}

static int finish(struct vmm_vcpu *vcpu, const struct vmm_exit *exit)
{
    switch (exit->verdict) {
    case VMM_NOT_MINE:
        return other_exit(vcpu, exit);
    case VMM_RESUME:
        return 1;
    case VMM_ADVANCE:
        advance(vcpu, exit->length);
        return 1;
    case VMM_GP:
        return inject_gp(vcpu);
    default:
        return fail(vcpu, exit);
    }
}

int vmm_exit(struct vmm_vcpu *vcpu, const struct vmm_exit *exit)
{
    int go_on = finish(vcpu, exit);

    vcpu->run.exits[exit->kind]++;
    if (go_on && vcpu->eoi_came) {
        vcpu->eoi_came = false;
        vcpu->run.reason = VLAPIC_VMM_EOI;
        vcpu->run.vector = vcpu->eoi_vector;
        return 0;
    }
    return go_on;
}
