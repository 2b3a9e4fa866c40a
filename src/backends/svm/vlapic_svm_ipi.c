/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * IPIs that hardware could not finish. AMD APM 2, "AVIC Incomplete IPI", "AVIC IPI Virtualization". Which of several targets made it exit is
 * not relied on: the ICR tells all of them.
 */
#include "vlapic_svm_internal.h"

enum incomplete { INVALID_TYPE = 0, NOT_RUNNING = 1, INVALID_TARGET = 2, INVALID_PAGE = 3, INVALID_VECTOR = 4 };

#define ICR_NOT_PLAIN (VLAPIC_ICR_LEVEL | VLAPIC_DELIVERY_MASK)
#define LAST_ID 5u

static bool in_x2apic(const struct svm_cpu *state)
{
    return (vlapic_cpu_apic_base(state->cpu) & VLAPIC_BASE_EXTD) != 0;
}

/* The delivery status that hardware may have set is no part of what the guest wrote, and a reserved bit in AMD's x2APIC mode. */
void vlapic_svm_core_send(struct svm_cpu *state, uint64_t icr)
{
    icr &= ~(uint64_t)VLAPIC_ICR_STATUS;
    if (in_x2apic(state)) {
        (void)vlapic_cpu_msr_write(state->cpu, VLAPIC_MSR_OF(VLAPIC_REG_ICR_LOW), icr);
        return;
    }
    (void)vlapic_cpu_mmio_write(state->cpu, VLAPIC_REG_ICR_HIGH, 4, icr >> 32);
    (void)vlapic_cpu_mmio_write(state->cpu, VLAPIC_REG_ICR_LOW, 4, (uint32_t)icr);
}

/* --- [A3] targets that do not run: their IRR bit is set, they have to look --------------------------------------------------------- */

static void wake(const struct svm_cpu *state, uint32_t id)
{
    struct vlapic_cpu *target = vlapic_backend_find(state->cpu, id);

    if (target != NULL && id <= state->vm->table_limit &&
        (__atomic_load_n(&state->vm->physical[id], __ATOMIC_SEQ_CST) & PHYSICAL_RUNNING) == 0) {
        vlapic_backend_wake(target);
    }
}

static void wake_all(const struct svm_cpu *state)
{
    uint32_t last = state->vm->max_apic_id < state->vm->table_limit ? state->vm->max_apic_id : state->vm->table_limit;

    for (uint32_t id = 0; id <= last; id++) {
        wake(state, id);
    }
}

static void wake_entry(const struct svm_cpu *state, uint32_t index)
{
    uint32_t entry = __atomic_load_n(&state->vm->logical[index], __ATOMIC_SEQ_CST);

    if ((entry & LOGICAL_VALID) != 0) {
        wake(state, entry & 0xFFu);
    }
}

static void wake_xapic_logical(const struct svm_cpu *state, uint32_t destination)
{
    bool flat = svm_page(state, VLAPIC_REG_DFR) >> 28 == 0xF;
    uint32_t first = flat ? 0 : 4 * (destination >> 4);

    for (uint32_t bits = flat ? destination : destination & 0xFu; bits != 0; bits &= bits - 1) {
        wake_entry(state, first + (uint32_t)__builtin_ctz(bits));
    }
}

static void wake_x2apic_logical(const struct svm_cpu *state, uint32_t destination)
{
    for (uint32_t bits = destination & 0xFFFFu; bits != 0; bits &= bits - 1) {
        wake(state, (destination >> 16 << 4) + (uint32_t)__builtin_ctz(bits));
    }
}

static void wake_targets(const struct svm_cpu *state, uint64_t icr)
{
    bool x2apic = in_x2apic(state);
    uint32_t shorthand = ((uint32_t)icr & VLAPIC_ICR_SHORTHAND_MASK) >> VLAPIC_ICR_SHORTHAND_SHIFT;
    uint32_t destination = x2apic ? (uint32_t)(icr >> 32) : (uint32_t)(icr >> 56);

    if (shorthand == VLAPIC_SHORTHAND_SELF) {
        wake(state, vlapic_cpu_apic_id(state->cpu));
    } else if (shorthand != VLAPIC_SHORTHAND_NONE || destination == (x2apic ? UINT32_MAX : 0xFFu)) {
        wake_all(state);
    } else if (((uint32_t)icr & VLAPIC_ICR_LOGICAL) == 0) {
        wake(state, destination);
    } else if (x2apic) {
        wake_x2apic_logical(state, destination);
    } else {
        wake_xapic_logical(state, destination);
    }
}

/* ID 1 alone means that IRR bits are set: sending again would deliver twice. */
enum vlapic_svm_result vlapic_svm_core_incomplete_ipi(struct svm_cpu *state, uint64_t info1, uint64_t info2)
{
    uint32_t id = (uint32_t)(info2 >> 32);

    if ((info1 & ICR_NOT_PLAIN) != 0) {
        vlapic_svm_core_send(state, info1);
        return VLAPIC_SVM_RESUME;
    }
    if (id == NOT_RUNNING) {
        wake_targets(state, info1);
        return VLAPIC_SVM_RESUME;
    }
    if (id == INVALID_PAGE || id > LAST_ID) {
        return VLAPIC_SVM_BROKEN;
    }
    vlapic_svm_core_send(state, info1);
    if (id == INVALID_TARGET) {
        wake_targets(state, info1); /* for a post, a bit that hardware set before it met the bad target is no news */
    }
    return VLAPIC_SVM_RESUME;
}
