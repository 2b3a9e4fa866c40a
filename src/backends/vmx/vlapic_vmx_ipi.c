/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * IPI virtualization: the PID-pointer table, by which processors post IPIs themselves. Intel SDM 3C, "IPI Virtualization".
 *
 * Hardware does not look at the target's mode or SVR: an APIC that accepts no Fixed interrupts, or is not on the bus, has no valid entry, so
 * that the sender exits.
 */
#include "vlapic_vmx_internal.h"

#define ENTRY_VALID 1u
#define ENTRY_AMBIGUOUS 2u /* ours, in an entry that is not valid: two vCPUs have this 8-bit ID */
#define BROADCAST_XAPIC 0xFFu

/* A sender in xAPIC mode means everybody by FFh; and a vCPU in that mode answers to 8 bits of its ID alone. */
static bool has_entry(const struct vmx_cpu *state, uint32_t id)
{
    uint64_t base = vlapic_cpu_apic_base(state->cpu);

    return (base & VLAPIC_BASE_EN) != 0 && ((base & VLAPIC_BASE_EXTD) != 0 || id < BROADCAST_XAPIC) &&
           (vmx_page(state, VLAPIC_REG_SVR) & VLAPIC_SVR_ENABLE) != 0 && id <= state->vm->pid_last &&
           id != BROADCAST_XAPIC && vlapic_backend_find(state->cpu, id) == state->cpu;
}

/* --- 8-bit IDs of wider ones ---------------------------------------------------------------------------------------------- */

static bool answers_to_low_id(const struct vmx_cpu *state, uint32_t id)
{
    return id > 0xFF && (vlapic_cpu_apic_base(state->cpu) & (VLAPIC_BASE_EN | VLAPIC_BASE_EXTD)) == VLAPIC_BASE_EN &&
           (vmx_page(state, VLAPIC_REG_SVR) & VLAPIC_SVR_ENABLE) != 0 &&
           vlapic_backend_find(state->cpu, id) == state->cpu;
}

/* Guests have no reason to run a vCPU so: the entry is lost for good. */
static void make_ambiguous(const struct vmx_vm *vm, uint32_t id)
{
    if (id <= vm->pid_last) {
        __atomic_store_n(&vm->pid_table[id], ENTRY_AMBIGUOUS, __ATOMIC_SEQ_CST);
    }
}

/* --- the table -------------------------------------------------------------------------------------------------------------- */

/* Nobody but the owner writes its entry, but for the mark that it is ambiguous, which stays. */
static void exchange(const struct vmx_vm *vm, uint32_t index, uint64_t from, uint64_t to)
{
    (void)__atomic_compare_exchange_n(&vm->pid_table[index], &from, to, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

void vlapic_vmx_core_update_pid_table(struct vmx_cpu *state)
{
    uint64_t entry = state->descriptor_pa | ENTRY_VALID;
    uint32_t id = vlapic_cpu_apic_id(state->cpu);
    uint32_t index = has_entry(state, id) ? id : VMX_NO_INDEX;

    if ((state->vm->features & VLAPIC_VMX_IPI) == 0) {
        return;
    }
    if (answers_to_low_id(state, id)) {
        make_ambiguous(state->vm, id & 0xFFu);
    }
    if (index == state->pid_index) {
        return;
    }
    if (state->pid_index != VMX_NO_INDEX) {
        exchange(state->vm, state->pid_index, entry, 0);
    }
    if (index != VMX_NO_INDEX) {
        exchange(state->vm, index, 0, entry);
    }
    state->pid_index = index;
}
