/* SPDX-License-Identifier: BSD-2-Clause */
/* What is done about an exit that KVM hands on. */
#include "vmm.h"

#include <stdio.h>
#include <string.h>

/* KVM has decoded the instruction. Where no APIC answers, nothing is: reads give ones. */
static void mmio(struct vcpu *cpu)
{
    uint64_t window = vlapic_cpu_apic_base(cpu->apic) & ~0xFFFull;
    uint64_t address = cpu->run->mmio.phys_addr, value = 0;
    uint32_t offset = (uint32_t)(address & 0xFFF), length = cpu->run->mmio.len;

    cpu->exits[GUEST_EXIT_MMIO]++;
    if (cpu->run->mmio.is_write) {
        memcpy(&value, cpu->run->mmio.data, length);
        if ((address & ~0xFFFull) == window) {
            vlapic_cpu_mmio_write(cpu->apic, offset, length, value);
        }
        return;
    }
    if ((address & ~0xFFFull) != window ||
        vlapic_cpu_mmio_read(cpu->apic, offset, length, &value) != VLAPIC_ACCESS_DONE) {
        value = UINT64_MAX;
    }
    memcpy(cpu->run->mmio.data, &value, length);
}

/* IA32_APIC_BASE and IA32_TSC_DEADLINE come because vmm_machine.c filters them; the x2APIC range, which cannot be filtered, because KVM, having no
 * APIC, finds each access invalid. Others that KVM does not know come too: there are none. */
static void msr(struct vcpu *cpu, bool write)
{
    uint64_t value = cpu->run->msr.data;
    enum vlapic_access access = write ? vlapic_cpu_msr_write(cpu->apic, cpu->run->msr.index, value)
                                      : vlapic_cpu_msr_read(cpu->apic, cpu->run->msr.index, &value);

    cpu->exits[GUEST_EXIT_MSR]++;
    cpu->run->msr.data = value;
    cpu->run->msr.error = access != VLAPIC_ACCESS_DONE; /* #GP */
}

static void give_up(const struct vcpu *cpu)
{
    printf("FAIL %s: vCPU %u: KVM exit reason %u (of <linux/kvm.h>)\n", vm.payload->name, cpu->index,
           cpu->run->exit_reason);
    vm_end(VERDICT_FAIL, 0);
}

void vcpu_exit(struct vcpu *cpu)
{
    switch (cpu->run->exit_reason) {
    case KVM_EXIT_IO:
        cpu->exits[GUEST_EXIT_IO]++;
        vcpu_port(cpu);
        break;
    case KVM_EXIT_MMIO:
        mmio(cpu);
        break;
    case KVM_EXIT_X86_RDMSR:
    case KVM_EXIT_X86_WRMSR:
        msr(cpu, cpu->run->exit_reason == KVM_EXIT_X86_WRMSR);
        break;
    case KVM_EXIT_HLT:
        cpu->exits[GUEST_EXIT_HLT]++;
        cpu->halted = true;
        break;
    case KVM_EXIT_SET_TPR: /* CR8 was lowered; kvm_run() has taken it */
        cpu->exits[GUEST_EXIT_CR8]++;
        break;
    case KVM_EXIT_IRQ_WINDOW_OPEN: /* the next entry injects */
        cpu->exits[GUEST_EXIT_WINDOW]++;
        break;
    case KVM_EXIT_INTR:
        cpu->exits[GUEST_EXIT_INTERRUPT]++;
        break;
    default:
        give_up(cpu);
    }
}
