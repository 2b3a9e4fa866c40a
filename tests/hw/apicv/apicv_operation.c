/* SPDX-License-Identifier: BSD-2-Clause */
/* Operations, at whose end APIC-write emulation takes place, and the instructions that consist of data accesses. Reference 8.2. */
#include "apicv_internal.h"

#include <string.h>

/* ---- operations ---- */

void apicv_operation_begin(struct apicv_cpu *cpu)
{
    apicv_instruction_starts(cpu);
    memset(&cpu->operation, 0, sizeof cpu->operation);
    cpu->operation.open = true;
}

static struct apicv_operation close_operation(struct apicv_cpu *cpu)
{
    struct apicv_operation finished = cpu->operation;

    if (!finished.open) {
        apicv_die("an end without an operation");
    }
    memset(&cpu->operation, 0, sizeof cpu->operation);
    return finished;
}

struct apicv_result apicv_operation_end(struct apicv_cpu *cpu)
{
    struct apicv_operation finished = close_operation(cpu);

    apicv_instruction_completes(cpu);
    return apicv_trap_exit(cpu, apicv_write_emulation(cpu, &finished), apicv_result(APICV_DONE));
}

/* Emulation comes between the delivery of the fault and its handler; an exit of the delivery drops it. */
struct apicv_result apicv_operation_fault(struct apicv_cpu *cpu, uint8_t vector)
{
    struct apicv_operation finished = close_operation(cpu);
    uint32_t event = apicv_event(APICV_EVENT_HARDWARE_EXCEPTION, vector);
    struct apicv_result result;

    if (apicv_vector_has_error_code(vector)) {
        event |= APICV_INTERRUPTION_ERROR_CODE;
    }
    result = apicv_deliver(cpu, event, 0);
    if (result.outcome == APICV_EXIT) {
        return result;
    }
    return apicv_trap_exit(cpu, apicv_write_emulation(cpu, &finished), result);
}

/* ---- instructions ---- */

static struct apicv_result end_unless_left(struct apicv_cpu *cpu, struct apicv_result accessed)
{
    struct apicv_result ended;

    if (accessed.outcome == APICV_EXIT) {
        return accessed;
    }
    ended = apicv_operation_end(cpu);
    return ended.outcome == APICV_EXIT ? ended : accessed;
}

struct apicv_result apicv_guest_access(struct apicv_cpu *cpu, const struct apicv_access *access, uint64_t *value)
{
    apicv_operation_begin(cpu);
    return end_unless_left(cpu, apicv_operation_access(cpu, access, value));
}

struct apicv_result apicv_guest_read(struct apicv_cpu *cpu, uint64_t address, uint32_t size, uint64_t *value)
{
    struct apicv_access access = { .type = APICV_ACCESS_READ, .address = address, .size = size };

    return apicv_guest_access(cpu, &access, value);
}

struct apicv_result apicv_guest_write(struct apicv_cpu *cpu, uint64_t address, uint32_t size, uint64_t value)
{
    struct apicv_access access = { .type = APICV_ACCESS_WRITE, .address = address, .size = size };

    return apicv_guest_access(cpu, &access, &value);
}

struct apicv_result apicv_guest_or(struct apicv_cpu *cpu, uint64_t address, uint32_t size, uint64_t value)
{
    struct apicv_access access = { .type = APICV_ACCESS_READ, .address = address, .size = size, .rmw = true };
    struct apicv_result result;
    uint64_t old = 0;

    apicv_operation_begin(cpu);
    result = apicv_operation_access(cpu, &access, &old);
    if (result.outcome == APICV_EXIT) {
        return result;
    }
    value |= old;
    access.type = APICV_ACCESS_WRITE;
    return end_unless_left(cpu, apicv_operation_access(cpu, &access, &value));
}
