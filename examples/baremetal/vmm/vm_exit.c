/* SPDX-License-Identifier: BSD-2-Clause */
/* What is done about an exit. */
#include "vm.h"

/* RIP goes on behind an instruction that the VMM has carried out: it was the one that an interrupt shadow covered. */
void vcpu_advance(struct vcpu *cpu, uint32_t length)
{
    cpu->regs.rip += length;
    cpu->shadow &= ~(SHADOW_STI | SHADOW_MOV_SS);
}

static void give_up(struct vcpu *cpu)
{
    host_print("FAIL %s: vCPU %u at %llx: exit reason %u, qualification %llx, address %llx\n", vm.payload->name,
               cpu->index, (unsigned long long)cpu->regs.rip, cpu->exit.reason,
               (unsigned long long)cpu->exit.qualification, (unsigned long long)cpu->exit.address);
    vm_end(VERDICT_FAIL, 0);
}

void vm_exit(struct vcpu *cpu)
{
    const struct vcpu_exit *exit = &cpu->exit;

    cpu->exits[exit->kind]++;
    trace(cpu, 'E', exit->reason, exit->qualification);
    if (exit->finished) {
        return;
    }
    switch (exit->kind) {
    case GUEST_EXIT_IO:
        vcpu_advance(cpu, exit->length);
        vm_port(cpu);
        break;
    case GUEST_EXIT_HLT:
        vcpu_advance(cpu, exit->length);
        cpu->halted = true;
        break;
    case GUEST_EXIT_MMIO:
        vm_mmio(cpu);
        break;
    case GUEST_EXIT_MSR:
        vm_msr(cpu);
        break;
    case GUEST_EXIT_CR8:
        vm_cr8(cpu);
        break;
    case GUEST_EXIT_INTERRUPT: /* dispatched already */
    case GUEST_EXIT_WINDOW:    /* the next entry injects */
        break;
    default:
        give_up(cpu);
    }
}
