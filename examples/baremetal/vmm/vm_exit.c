/* SPDX-License-Identifier: BSD-2-Clause */
/* What is done about an exit. */
#include "vm.h"

/* RIP goes on behind an instruction that the VMM has carried out: it was the one that an interrupt shadow covered. */
void vcpu_advance(struct vcpu *cpu, uint32_t length)
{
    cpu->regs.rip += length;
    cpu->shadow &= ~(SHADOW_STI | SHADOW_MOV_SS);
}

void vm_give_up(struct vcpu *cpu)
{
    host_print("FAIL %s: vCPU %u at %llx: exit reason %u, qualification %llx, address %llx\n", vm.payload->name,
               cpu->index, (unsigned long long)cpu->regs.rip, cpu->exit.reason,
               (unsigned long long)cpu->exit.qualification, (unsigned long long)cpu->exit.address);
    vm_end(VERDICT_FAIL, 0);
}

/* What the mode does about an exit that not every mode asks for. */
static void carry_out(struct vcpu *cpu, void (*action)(struct vcpu *cpu))
{
    if (action == NULL) {
        vm_give_up(cpu);
    } else {
        action(cpu);
    }
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
        carry_out(cpu, vm_mode->mmio);
        break;
    case GUEST_EXIT_MSR:
        carry_out(cpu, vm_mode->msr);
        break;
    case GUEST_EXIT_CR8:
        carry_out(cpu, vm_mode->cr8);
        break;
    case GUEST_EXIT_INIT:
        carry_out(cpu, vm_mode->init);
        break;
    case GUEST_EXIT_INTERRUPT: /* dispatched already */
    case GUEST_EXIT_WINDOW:    /* the next entry injects */
        break;
    default:
        vm_give_up(cpu);
    }
}
