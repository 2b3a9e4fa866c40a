/* SPDX-License-Identifier: BSD-2-Clause */
/* Delivery of events through the guest's IDT. Reference 6, 8.2, 13. */
#include "apicv_internal.h"

#include <string.h>

uint32_t apicv_event(enum apicv_event_type type, uint8_t vector)
{
    return APICV_INTERRUPTION_VALID | (uint32_t)type << 8 | vector;
}

enum apicv_event_type apicv_event_type(uint32_t event)
{
    return (enum apicv_event_type)(event >> 8 & 7);
}

bool apicv_vector_has_error_code(uint8_t vector)
{
    return vector == 8 || (vector >= 10 && vector <= 14) || vector == 17;
}

/*
 * The accesses of a delivery are one operation, whose writes to the APIC-access page are emulated after it. An exit in it leaves the event
 * in the IDT-vectoring field; that the processor is active and NMIs are blocked has then come true already.
 */
struct apicv_result apicv_deliver(struct apicv_cpu *cpu, uint32_t event, uint32_t error_code)
{
    struct apicv_guest *guest = &cpu->guest;
    struct apicv_result result = apicv_result(APICV_DONE);
    struct apicv_operation finished;

    guest->activity = APICV_ACTIVE;
    guest->interruptibility &= ~(APICV_BLOCKING_STI | APICV_BLOCKING_MOV_SS);
    if (apicv_event_type(event) == APICV_EVENT_NMI) {
        guest->interruptibility |= APICV_BLOCKING_NMI;
    }

    memset(&cpu->operation, 0, sizeof cpu->operation);
    cpu->operation.open = true;
    cpu->operation.delivering = true;
    cpu->operation.event = event;
    cpu->operation.error_code = error_code;
    if (guest->delivery_accesses) {
        uint64_t pushed = guest->rip;
        struct apicv_result accessed = apicv_operation_access(cpu, &guest->delivery_access, &pushed);

        if (accessed.outcome == APICV_EXIT) {
            return accessed;
        }
    }
    guest->rflags &= ~(APICV_RFLAGS_IF | APICV_RFLAGS_RF); /* an interrupt gate */
    finished = cpu->operation;
    memset(&cpu->operation, 0, sizeof cpu->operation);

    result.delivered = true;
    result.vector = (uint8_t)event;
    result.type = apicv_event_type(event);
    return apicv_trap_exit(cpu, apicv_write_emulation(cpu, &finished), result);
}
