/* SPDX-License-Identifier: BSD-2-Clause */
/* Entering the guest, and what an exit means in the words of no vendor. */
#include "hv_vmx.h"

#define PAGE_FAULT_INFORMATION (INFORMATION_VALID | 3u << 8 | 14u)
#define PAGE_FAULT_WRITE 2u

void hv_vmx_inject(const struct vcpu_event *event)
{
    uint32_t information = INFORMATION_VALID | (uint32_t)event->type << 8 | event->vector;

    if (event->type == EVENT_NONE) {
        information = 0;
    } else if (event->type == EVENT_EXCEPTION) { /* #GP alone */
        information |= INFORMATION_ERROR_CODE;
        vmwrite(VMCS_ENTRY_ERROR_CODE, 0);
    }
    vmwrite(VMCS_ENTRY_INFORMATION, information);
}

void hv_vmx_keep_interrupted(struct vcpu *cpu)
{
    uint32_t vectoring = (uint32_t)vmread(VMCS_VECTORING);

    if ((vectoring & INFORMATION_VALID) != 0) {
        cpu->in_flight = (struct vcpu_event){ (enum event_type)(vectoring >> 8 & 7), (uint8_t)vectoring };
        if (cpu->in_flight.type == EVENT_NMI) { /* it has begun to block others, and will do so again */
            cpu->shadow &= ~SHADOW_NMI;
        }
    }
}

static void decode_io(struct vcpu_exit *exit)
{
    exit->kind = GUEST_EXIT_IO;
    exit->width = (exit->qualification & 7) + 1;
    exit->write = (exit->qualification & 8) == 0;
    exit->port = (uint16_t)(exit->qualification >> 16);
    HOST_MUST((exit->qualification & 0x30) == 0); /* no string instructions in the contract */
}

static void decode_cr(struct vcpu_exit *exit)
{
    if ((exit->qualification & 15) == 8) {
        exit->kind = GUEST_EXIT_CR8;
        exit->write = (exit->qualification >> 4 & 3) == 0;
        exit->reg = exit->qualification >> 8 & 15;
    }
}

static void decode_memory(struct vcpu_exit *exit)
{
    exit->kind = GUEST_EXIT_MMIO;
    if (exit->reason == REASON_EPT) {
        exit->address = vmread(VMCS_GUEST_PHYSICAL);
        exit->write = (exit->qualification & 2) != 0;
    } else { /* a page fault: linear = physical */
        exit->address = exit->qualification;
        exit->write = (vmread(VMCS_EXIT_ERROR_CODE) & PAGE_FAULT_WRITE) != 0;
    }
}

static void decode(struct vcpu_exit *exit)
{
    exit->reason = (uint32_t)vmread(VMCS_EXIT_REASON);
    exit->qualification = vmread(VMCS_QUALIFICATION);
    exit->length = (uint32_t)vmread(VMCS_EXIT_LENGTH);
    switch (exit->reason) {
    case REASON_EXCEPTION:
        if ((uint32_t)vmread(VMCS_EXIT_INFORMATION) == INFORMATION_NMI) {
            exit->kind = GUEST_EXIT_INTERRUPT;
            exit->nmi = true;
        }
        if ((vmread(VMCS_EXIT_INFORMATION) & ~(uint64_t)INFORMATION_ERROR_CODE) == PAGE_FAULT_INFORMATION) {
            decode_memory(exit);
        }
        break;
    case REASON_INTERRUPT:
    case REASON_PREEMPTION:
        exit->kind = GUEST_EXIT_INTERRUPT;
        break;
    case REASON_INIT:
        exit->kind = GUEST_EXIT_INIT;
        break;
    case REASON_WINDOW:
    case REASON_NMI_WINDOW:
        exit->kind = GUEST_EXIT_WINDOW;
        break;
    case REASON_HLT:
        exit->kind = GUEST_EXIT_HLT;
        break;
    case REASON_CR:
        decode_cr(exit);
        break;
    case REASON_IO:
        decode_io(exit);
        break;
    case REASON_RDMSR:
    case REASON_WRMSR:
        exit->kind = GUEST_EXIT_MSR;
        exit->write = exit->reason == REASON_WRMSR;
        break;
    case REASON_EPT:
        decode_memory(exit);
        break;
    case REASON_APIC_ACCESS: /* these four come with a driver that asks for them, which finishes them */
        exit->kind = GUEST_EXIT_MMIO;
        break;
    case REASON_APIC_WRITE:
        exit->kind = GUEST_EXIT_WRITE;
        break;
    case REASON_EOI:
        exit->kind = GUEST_EXIT_EOI;
        break;
    case REASON_TPR:
        exit->kind = GUEST_EXIT_TPR;
        break;
    default:
        break; /* GUEST_EXIT_OTHER ends the payload; a failed entry, which has bit 31 of the reason set, too */
    }
}

/* What the entry would have injected is the next one's first. */
static void take_back(struct vcpu *cpu)
{
    uint32_t information = (uint32_t)vmread(VMCS_ENTRY_INFORMATION);

    if ((information & INFORMATION_VALID) != 0) {
        cpu->in_flight = (struct vcpu_event){ (enum event_type)(information >> 8 & 7), (uint8_t)information };
    }
}

/* False if an NMI came first: in thin mode alone, for no other has any. */
static bool enter(struct vcpu *cpu)
{
    struct hv_vmx_vcpu *v = hv_vmx_of(cpu);
    bool logs = hv_vmx_log_before(cpu);
    uint32_t result;

    vmwrite(VMCS_GUEST_RIP, cpu->regs.rip);
    vmwrite(VMCS_GUEST_RSP, cpu->regs.general[REG_RSP]);
    vmwrite(VMCS_GUEST_RFLAGS, cpu->regs.rflags);
    vmwrite(VMCS_GUEST_INTERRUPTIBILITY, cpu->shadow);
    if (hv_vmx_can.preemption_timer) {
        vmwrite(VMCS_PREEMPTION_TIMER, vm_watchdog() >> hv_vmx_can.preemption_shift);
    }
    result = hv_vmx_enter(&cpu->regs, v->launched);
    if (result == 2) {
        take_back(cpu);
        return false;
    }
    if (result != 0) {
        host_print("VM entry failed: error %u\n", (unsigned)vmread(VMCS_INSTRUCTION_ERROR));
        host_panic(__FILE__, __LINE__, "VM entry");
    }
    v->launched = true;
    if (logs) {
        hv_vmx_log_after(cpu);
    }
    cpu->regs.rip = vmread(VMCS_GUEST_RIP);
    cpu->regs.general[REG_RSP] = vmread(VMCS_GUEST_RSP);
    cpu->regs.rflags = vmread(VMCS_GUEST_RFLAGS);
    cpu->shadow = (uint32_t)vmread(VMCS_GUEST_INTERRUPTIBILITY);
    return true;
}

/* The three lines with `hv_vmx_driver` and hv_vmx_enter() are where a backend sits. */
bool hv_vmx_run(struct vcpu *cpu, const struct vlapic_poll *duty)
{
    if (!hv_vmx_driver->prepare(cpu, duty) || !enter(cpu)) {
        return false;
    }
    memset(&cpu->exit, 0, sizeof(cpu->exit));
    decode(&cpu->exit);
    hv_vmx_driver->finish(cpu);
    if (cpu->exit.reason == REASON_INTERRUPT) {
        host_interrupt(vmread(VMCS_EXIT_INFORMATION) & 0xFF, 0, NULL);
    } else if (cpu->exit.nmi) { /* its handler's IRET lets the next one in */
        __asm__ volatile("int $2" : : : "memory");
    }
    return true;
}
