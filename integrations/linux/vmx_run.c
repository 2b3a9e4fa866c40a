/* SPDX-License-Identifier: BSD-2-Clause */
/* Once into the guest and back, on VMX; and what an exit means. */
#include <linux/mm.h>
#include <linux/smp.h>
#include <asm/io.h>
#include <asm/msr.h>
#include <asm/special_insns.h>
#include <asm/tsc.h>

#include "vmx.h"

#define IO_IN (1u << 3)
#define IO_STRING (1u << 4)
#define CR_8 8u
#define VIOLATION_WRITE (1u << 1)
#define VIOLATION_NMI_UNBLOCKED (1u << 12)
#define NMI_EXIT (INTR_INFO_VALID_MASK | INTR_TYPE_NMI_INTR | X86_TRAP_NMI)

/* --- into the guest ---------------------------------------------------------------------------------------------------------- */

/* Linear translations go at each entry, since there is no VPID. */
static void flush(const struct vmm_vcpu *vcpu)
{
    struct {
        u64 pointer, reserved;
    } descriptor = { vmm_vmx_ept_pointer(vcpu), 0 };

    asm volatile("invept %0, %1" : : "m"(descriptor), "r"((u64)VMX_EPT_EXTENT_CONTEXT) : "cc", "memory");
}

/* What the entry changed in the mapping of guest-physical memory; and what else this CPU may have cached of this vCPU, or of one that was freed and had its
 * EPT in the same place. */
static int obey(struct vmm_vcpu *vcpu, struct vmm_cpu *host, const struct vlapic_vmx_entry *entry)
{
    struct vmm_vmx_vcpu *v = vmm_vmx_of(vcpu);
    bool foreign = host->last_vcpu != vcpu->serial || vcpu->last_cpu != smp_processor_id();

    v->features = entry->features;
    v->window_is_due |= entry->changes & VLAPIC_VMX_CHANGED_MAPPING;
    if (v->window_is_due || entry->changes || foreign) {
        int error = v->window_is_due ? vmm_vmx_map_window(vcpu) : 0;

        flush(vcpu);
        if (error) {
            return error;
        }
        v->window_is_due = false;
    }
    host->last_vcpu = vcpu->serial;
    vcpu->last_cpu = smp_processor_id();
    return 0;
}

static void write_guest(struct vmm_vcpu *vcpu)
{
    vmm_vmwrite(GUEST_RIP, vcpu->rip);
    vmm_vmwrite(GUEST_RSP, vcpu->general[VMM_RSP]);
    vmm_vmwrite(GUEST_RFLAGS, vcpu->rflags);
    if (vcpu->exception) {
        vmm_vmwrite(VM_ENTRY_EXCEPTION_ERROR_CODE, vcpu->exception >> 32);
        vmm_vmwrite(VM_ENTRY_INTR_INFO_FIELD, (u32)vcpu->exception);
        vcpu->exception = 0;
    }
    if (vmm_vmx_bound_us) {
        u64 ticks = (u64)tsc_khz * vmm_vmx_bound_us / 1000 >> vmm_vmx_can.preemption_shift;

        vmm_vmwrite(VMX_PREEMPTION_TIMER_VALUE, clamp(ticks, 1ull, (u64)U32_MAX));
    }
}

static void read_guest(struct vmm_vcpu *vcpu)
{
    vcpu->rip = vmm_vmread(GUEST_RIP);
    vcpu->general[VMM_RSP] = vmm_vmread(GUEST_RSP);
    vcpu->rflags = vmm_vmread(GUEST_RFLAGS);
    vcpu->shadow = vmm_vmread(GUEST_INTERRUPTIBILITY_INFO);
}

/* An exit by an NMI has taken it, with others blocked until an IRET; other interrupts are still pending. True: the guest ran. */
static bool run_guest(struct vmm_vcpu *vcpu)
{
    struct vmm_vmx_vcpu *v = vmm_vmx_of(vcpu);
    struct vmm_vmx_host host;
    bool failed;

    vmm_vmx_host_save(&host);
    wrmsrl(MSR_KERNEL_GS_BASE, v->kernel_gs_base);
    native_write_cr2(v->cr2);
    failed = vmm_vmx_enter(vcpu->general);
    v->cr2 = native_read_cr2();
    rdmsrl(MSR_KERNEL_GS_BASE, v->kernel_gs_base);
    vmm_vmx_host_restore(&host);
    if (failed) {
        return false;
    }
    if ((u16)vmm_vmread(VM_EXIT_REASON) == EXIT_REASON_EXCEPTION_NMI &&
        (vmm_vmread(VM_EXIT_INTR_INFO) & (NMI_EXIT | INTR_INFO_INTR_TYPE_MASK)) == NMI_EXIT) {
        asm volatile("int $2");
    }
    read_guest(vcpu);
    return true;
}

/* --- exits ------------------------------------------------------------------------------------------------------------------- */

static enum vlapic_vmm_kind kind_of(u32 reason, u64 qualification, u32 information)
{
    switch (reason) {
    case EXIT_REASON_EXCEPTION_NMI:
        return (information & (NMI_EXIT | INTR_INFO_INTR_TYPE_MASK)) == NMI_EXIT ? VLAPIC_VMM_KIND_INTERRUPT
                                                                                 : VLAPIC_VMM_KIND_OTHER;
    case EXIT_REASON_EXTERNAL_INTERRUPT:
    case EXIT_REASON_PREEMPTION_TIMER:
        return VLAPIC_VMM_KIND_INTERRUPT;
    case EXIT_REASON_INTERRUPT_WINDOW:
    case EXIT_REASON_NMI_WINDOW:
        return VLAPIC_VMM_KIND_WINDOW;
    case EXIT_REASON_HLT:
        return VLAPIC_VMM_KIND_HLT;
    case EXIT_REASON_CR_ACCESS:
        return (qualification & 15) == CR_8 ? VLAPIC_VMM_KIND_CR8 : VLAPIC_VMM_KIND_OTHER;
    case EXIT_REASON_IO_INSTRUCTION:
        return VLAPIC_VMM_KIND_IO;
    case EXIT_REASON_MSR_READ:
    case EXIT_REASON_MSR_WRITE:
        return VLAPIC_VMM_KIND_MSR;
    case EXIT_REASON_EPT_VIOLATION:
    case EXIT_REASON_APIC_ACCESS:
        return VLAPIC_VMM_KIND_MMIO;
    case EXIT_REASON_APIC_WRITE:
        return VLAPIC_VMM_KIND_WRITE;
    case EXIT_REASON_EOI_INDUCED:
        return VLAPIC_VMM_KIND_EOI;
    case EXIT_REASON_TPR_BELOW_THRESHOLD:
        return VLAPIC_VMM_KIND_TPR;
    default:
        return VLAPIC_VMM_KIND_OTHER;
    }
}

static void decode(struct vmm_exit *exit)
{
    u32 reason = vmm_vmread(VM_EXIT_REASON);
    u64 qualification = vmm_vmread(EXIT_QUALIFICATION);

    *exit = (struct vmm_exit){
        .kind = kind_of(reason, qualification, vmm_vmread(VM_EXIT_INTR_INFO)),
        .length = vmm_vmread(VM_EXIT_INSTRUCTION_LEN),
        .code = reason,
        .info = { qualification, vmm_vmread(GUEST_PHYSICAL_ADDRESS) },
    };
    if (exit->kind == VLAPIC_VMM_KIND_IO) {
        exit->width = (qualification & 7) + 1;
        exit->write = !(qualification & IO_IN);
        exit->string = qualification & IO_STRING;
        exit->port = qualification >> 16 & 0xFFFF;
    } else if (reason == EXIT_REASON_EPT_VIOLATION) {
        exit->write = qualification & VIOLATION_WRITE;
        exit->address = exit->info[1];
    }
}

/* The guest did not run: one of the checks at the entry found something. */
static void fail(struct vmm_vcpu *vcpu, struct vmm_exit *exit, u64 code)
{
    vlapic_vmx_cancel(vcpu->apic);
    *exit = (struct vmm_exit){ .kind = VLAPIC_VMM_KIND_OTHER, .verdict = VMM_FAIL, .code = code };
}

static void finish(struct vmm_vcpu *vcpu, struct vmm_exit *exit)
{
    struct vlapic_vmx_exit vmx = {
        .reason = exit->code,
        .instruction_length = exit->length,
        .qualification = exit->info[0],
        .guest_physical = exit->info[1],
        .vectoring = vmm_vmread(IDT_VECTORING_INFO_FIELD),
    };
    enum vlapic_vmx_result result;
    u32 length = 0;

    BUILD_BUG_ON((int)VMM_ADVANCE != (int)VLAPIC_VMX_ADVANCE || (int)VMM_GP != (int)VLAPIC_VMX_GP);
    if (exit->code == EXIT_REASON_EPT_VIOLATION && exit->info[0] & VIOLATION_NMI_UNBLOCKED &&
        !(vmx.vectoring & VECTORING_INFO_VALID_MASK)) {
        vcpu->shadow |= GUEST_INTR_STATE_NMI; /* an IRET, which will run again */
    }
    result = vlapic_vmx_exit(vcpu->apic, &vmx, &length);
    exit->verdict = result <= VLAPIC_VMX_GP ? (enum vmm_verdict)result : VMM_FAIL;
    exit->length = result == VLAPIC_VMX_ADVANCE ? length : exit->length;
    vmm_keep_exception(vcpu, vmx.vectoring, vmm_vmread(IDT_VECTORING_ERROR_CODE));
}

static u32 free_of_exits(u32 features)
{
    bool access = features & (VLAPIC_VMX_APIC_ACCESS | VLAPIC_VMX_X2APIC);
    u32 bits = features & VLAPIC_VMX_TPR_SHADOW ? VLAPIC_VMM_FREE_CR8 : 0;

    if (features & VLAPIC_VMX_DELIVERY) {
        bits |= VLAPIC_VMM_FREE_DELIVERY;
        bits |= access ? VLAPIC_VMM_FREE_EOI | VLAPIC_VMM_FREE_SELF_IPI : 0;
    }
    bits |= features & VLAPIC_VMX_TPR_SHADOW && access ? VLAPIC_VMM_FREE_TPR : 0;
    bits |= features & VLAPIC_VMX_REGISTERS && access ? VLAPIC_VMM_FREE_READS : 0;
    return bits;
}

/* --- both ---------------------------------------------------------------------------------------------------------------------- */

/* The VMCS is current. */
static int try_to_run(struct vmm_vcpu *vcpu, struct vmm_cpu *host, struct vmm_exit *exit)
{
    struct vlapic_vmx_guest guest = {
        .rflags = vcpu->rflags,
        .interruptibility = vcpu->shadow,
        .busy = vcpu->exception != 0,
        .nmi = vcpu->nmi_pending,
    };
    struct vlapic_vmx_entry entry;
    int error;

    vmm_vmwrite(GUEST_INTERRUPTIBILITY_INFO,
                vcpu->shadow); /* the backend changes it for an NMI that is injected again */
    if (!vlapic_vmx_enter(vcpu->apic, &guest, &entry)) {
        return 0;
    }
    if (entry.injected == VLAPIC_VMX_INJECTED_NMI) {
        vcpu->nmi_pending = false;
    }
    error = obey(vcpu, host, &entry);
    if (error || vmm_must_not_enter(vcpu)) {
        vlapic_vmx_cancel(vcpu->apic);
        return error;
    }
    write_guest(vcpu);
    if (!run_guest(vcpu)) {
        fail(vcpu, exit, vmm_vmread(VM_INSTRUCTION_ERROR));
        return 1;
    }
    decode(exit);
    if (exit->code & VMX_EXIT_REASONS_FAILED_VMENTRY) {
        fail(vcpu, exit, exit->code);
    } else {
        finish(vcpu, exit);
    }
    vcpu->run.free = free_of_exits(vmm_vmx_of(vcpu)->features);
    return 1;
}

int vmm_vmx_run(struct vmm_vcpu *vcpu, struct vmm_cpu *host, struct vmm_exit *exit)
{
    int result;

    vmm_vmx_load(vcpu);
    vlapic_cpu_load(vcpu->apic);
    result = try_to_run(vcpu, host, exit);
    vlapic_cpu_put(vcpu->apic);
    vmm_vmx_put(vcpu);
    return result;
}
