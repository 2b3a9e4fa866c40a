/* SPDX-License-Identifier: BSD-2-Clause */
/* VM exits: what is saved, what the information fields hold. Reference 2, 8.5, 8.6, 12. */
#include "apicv_internal.h"

#include <string.h>

static void save_guest(struct apicv_cpu *cpu, uint64_t rflags)
{
    apicv_set(cpu, APICV_GUEST_RIP, cpu->guest.rip);
    apicv_set(cpu, APICV_GUEST_RFLAGS, rflags);
    apicv_set(cpu, APICV_GUEST_INTERRUPTIBILITY, cpu->guest.interruptibility);
    apicv_set(cpu, APICV_GUEST_ACTIVITY, cpu->guest.activity);
    if (apicv_virtual_interrupt_delivery(cpu)) {
        apicv_set(cpu, APICV_GUEST_INTERRUPT_STATUS, (uint32_t)cpu->svi << 8 | cpu->rvi);
    }
}

static void fill_information(struct apicv_cpu *cpu, const struct apicv_exit *exit)
{
    apicv_set(cpu, APICV_EXIT_REASON, exit->reason);
    apicv_set(cpu, APICV_EXIT_QUALIFICATION, exit->qualification);
    apicv_set(cpu, APICV_EXIT_INTERRUPTION, exit->interruption);
    apicv_set(cpu, APICV_EXIT_ERROR_CODE, exit->interruption_error_code);
    apicv_set(cpu, APICV_IDT_VECTORING, exit->idt_vectoring);
    apicv_set(cpu, APICV_IDT_VECTORING_ERROR_CODE, exit->idt_vectoring_error_code);
    apicv_set(cpu, APICV_EXIT_INSTRUCTION_LENGTH, exit->instruction_length);
}

/* Of an information field that is not valid, only bit 31 is defined. */
static uint32_t invalid_information(const struct apicv_cpu *cpu)
{
    return cpu->knobs.poison & ~APICV_INTERRUPTION_VALID;
}

static bool is_memory_fault(uint32_t reason)
{
    return reason == APICV_EXIT_APIC_ACCESS || reason == APICV_EXIT_EPT_VIOLATION;
}

static void add_idt_vectoring(const struct apicv_cpu *cpu, struct apicv_exit *exit)
{
    const struct apicv_operation *operation = &cpu->operation;

    exit->idt_vectoring = invalid_information(cpu);
    exit->idt_vectoring_error_code = cpu->knobs.poison;
    if (operation->delivering) {
        exit->idt_vectoring = operation->event;
        if (operation->event & APICV_INTERRUPTION_ERROR_CODE) {
            exit->idt_vectoring_error_code = operation->error_code;
        }
    }
}

struct apicv_result apicv_leave(struct apicv_cpu *cpu, struct apicv_exit exit)
{
    struct apicv_result result = apicv_result(APICV_EXIT);
    uint64_t rflags = cpu->guest.rflags;

    if (is_memory_fault(exit.reason) && !cpu->operation.delivering) {
        rflags |= APICV_RFLAGS_RF;
    }
    if (!(exit.interruption & APICV_INTERRUPTION_VALID)) {
        exit.interruption = invalid_information(cpu);
    }
    exit.interruption_error_code = cpu->knobs.poison;
    add_idt_vectoring(cpu, &exit);

    save_guest(cpu, rflags);
    fill_information(cpu, &exit);
    apicv_set(cpu, APICV_ENTRY_INTERRUPTION,
              apicv_get(cpu, APICV_ENTRY_INTERRUPTION) & ~(uint64_t)APICV_INTERRUPTION_VALID);
    cpu->in_guest = false;
    cpu->recognised = false;
    memset(&cpu->operation, 0, sizeof cpu->operation);
    apicv_emit(cpu, APICV_TRACE_EXIT, exit.reason, exit.qualification);

    result.exit = exit;
    return result;
}

/* Nothing committed, RIP on the instruction. Its length is defined, but for memory accesses only where parts in use fill it (8.5). */
struct apicv_result apicv_fault_exit(struct apicv_cpu *cpu, uint32_t reason, uint64_t qualification)
{
    struct apicv_exit exit = { .reason = reason,
                               .qualification = qualification,
                               .instruction_length = cpu->guest.instruction_length };

    if (is_memory_fault(reason) && (cpu->knobs.apic_access_length_undefined || cpu->operation.delivering)) {
        exit.instruction_length = cpu->knobs.poison;
    }
    return apicv_leave(cpu, exit);
}

struct apicv_result apicv_event_exit(struct apicv_cpu *cpu, uint32_t reason, uint64_t qualification,
                                     uint32_t interruption)
{
    struct apicv_exit exit = { .reason = reason,
                               .qualification = qualification,
                               .interruption = interruption,
                               .instruction_length = cpu->knobs.poison };

    return apicv_leave(cpu, exit);
}

struct apicv_result apicv_trap_exit(struct apicv_cpu *cpu, struct apicv_trap trap, struct apicv_result otherwise)
{
    struct apicv_exit exit = { .reason = trap.reason,
                               .qualification = trap.qualification,
                               .instruction_length = cpu->knobs.poison,
                               .trap_like = true };
    struct apicv_result result;

    if (!trap.exits) {
        return otherwise;
    }
    result = apicv_leave(cpu, exit);
    result.delivered = otherwise.delivered;
    result.vector = otherwise.vector;
    result.type = otherwise.type;
    result.posted = otherwise.posted;
    return result;
}
