/* SPDX-License-Identifier: BSD-2-Clause */
/* Instructions of the guest: what all of them have in common, and those that do not touch the APIC. */
#include "apicv_internal.h"

void apicv_instruction_starts(const struct apicv_cpu *cpu)
{
    if (!cpu->in_guest) {
        apicv_die("a guest instruction in root operation");
    }
    if (cpu->guest.activity != APICV_ACTIVE) {
        apicv_die("a guest instruction while the guest is not active");
    }
    if (cpu->operation.open) {
        apicv_die("an instruction within another");
    }
}

/* Between two iterations of REP, RF is what an event would save. */
void apicv_instruction_completes(struct apicv_cpu *cpu)
{
    cpu->guest.rip += cpu->guest.instruction_length;
    cpu->guest.interruptibility &= ~(APICV_BLOCKING_STI | APICV_BLOCKING_MOV_SS);
    cpu->guest.rflags &= ~APICV_RFLAGS_RF;
    if (cpu->guest.instruction_length == 0) {
        cpu->guest.rflags |= APICV_RFLAGS_RF;
    }
}

struct apicv_result apicv_instruction_gp(struct apicv_cpu *cpu)
{
    apicv_emit(cpu, APICV_TRACE_GP, 0, 0);
    return apicv_result(APICV_GP);
}

struct apicv_result apicv_instruction_reaches_host(struct apicv_cpu *cpu, uint64_t what, bool write)
{
    apicv_emit(cpu, APICV_TRACE_HOST_ACCESS, what, write);
    apicv_instruction_completes(cpu);
    return apicv_result(APICV_HOST_ACCESS);
}

struct apicv_result apicv_guest_nop(struct apicv_cpu *cpu)
{
    apicv_instruction_starts(cpu);
    apicv_instruction_completes(cpu);
    return apicv_result(APICV_DONE);
}

struct apicv_result apicv_guest_hlt(struct apicv_cpu *cpu)
{
    apicv_instruction_starts(cpu);
    if (cpu->guest.cpl > 0) {
        return apicv_instruction_gp(cpu);
    }
    if (apicv_primary(cpu, APICV_PRIMARY_HLT_EXITING)) {
        return apicv_fault_exit(cpu, APICV_EXIT_HLT, 0);
    }
    apicv_instruction_completes(cpu);
    cpu->guest.activity = APICV_HALTED;
    return apicv_result(APICV_DONE);
}

struct apicv_result apicv_guest_sti(struct apicv_cpu *cpu)
{
    bool was_clear = (cpu->guest.rflags & APICV_RFLAGS_IF) == 0;

    apicv_instruction_starts(cpu);
    apicv_instruction_completes(cpu);
    cpu->guest.rflags |= APICV_RFLAGS_IF;
    if (was_clear) {
        cpu->guest.interruptibility |= APICV_BLOCKING_STI;
    }
    return apicv_result(APICV_DONE);
}

struct apicv_result apicv_guest_cli(struct apicv_cpu *cpu)
{
    apicv_instruction_starts(cpu);
    apicv_instruction_completes(cpu);
    cpu->guest.rflags &= ~APICV_RFLAGS_IF;
    return apicv_result(APICV_DONE);
}

struct apicv_result apicv_guest_mov_ss(struct apicv_cpu *cpu)
{
    apicv_instruction_starts(cpu);
    apicv_instruction_completes(cpu);
    cpu->guest.interruptibility |= APICV_BLOCKING_MOV_SS;
    return apicv_result(APICV_DONE);
}

struct apicv_result apicv_guest_iret(struct apicv_cpu *cpu, bool interrupt_flag)
{
    apicv_instruction_starts(cpu);
    apicv_instruction_completes(cpu);
    cpu->guest.interruptibility &= ~APICV_BLOCKING_NMI;
    cpu->guest.rflags &= ~APICV_RFLAGS_IF;
    if (interrupt_flag) {
        cpu->guest.rflags |= APICV_RFLAGS_IF;
    }
    return apicv_result(APICV_DONE);
}

struct apicv_result apicv_guest_exit(struct apicv_cpu *cpu, uint32_t reason, uint64_t qualification)
{
    apicv_instruction_starts(cpu);
    return apicv_fault_exit(cpu, reason, qualification);
}
