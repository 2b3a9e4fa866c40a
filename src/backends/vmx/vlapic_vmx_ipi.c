/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * IPI virtualization: the PID-pointer table, by which processors post IPIs themselves. Intel SDM 3C, "IPI Virtualization".
 *
 * Hardware does not look at the target's mode or SVR: an APIC that accepts no Fixed interrupts, or is not on the bus, has no valid entry, so
 * that the sender exits.
 */
#include "vlapic_vmx_internal.h"

#define ENTRY_VALID 1u
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

static bool is_ambiguous(const struct vmx_cpu *state, uint32_t id)
{
    return id <= 0xFF && (__atomic_load_n(&state->vm->ambiguous[id / 32], __ATOMIC_SEQ_CST) >> (id % 32) & 1) != 0;
}

static void store(const struct vmx_cpu *state, uint32_t index, uint64_t entry)
{
    __atomic_store_n(&state->vm->pid_table[index], entry, __ATOMIC_SEQ_CST);
}

/* Guests have no reason to run a vCPU so: what one did loses its entry for good. The owner of that entry sets it before it looks at the bit, and
 * here it is the other way round, so that the entry does not stay. */
static void make_ambiguous(const struct vmx_cpu *state, uint32_t id)
{
    __atomic_fetch_or(&state->vm->ambiguous[id / 32], 1u << (id % 32), __ATOMIC_SEQ_CST);
    if (id <= state->vm->pid_last) {
        store(state, id, 0);
    }
}

void vlapic_vmx_core_update_pid_table(struct vmx_cpu *state)
{
    uint32_t id = vlapic_cpu_apic_id(state->cpu);
    uint32_t index;

    if ((state->vm->features & VLAPIC_VMX_IPI) == 0) {
        return;
    }
    if (answers_to_low_id(state, id)) {
        make_ambiguous(state, id & 0xFFu);
    }
    index = has_entry(state, id) && !is_ambiguous(state, id) ? id : VMX_NO_INDEX;
    if (index == state->pid_index) {
        return;
    }
    if (state->pid_index != VMX_NO_INDEX) {
        store(state, state->pid_index, 0);
    }
    if (index != VMX_NO_INDEX) {
        store(state, index, state->descriptor_pa | ENTRY_VALID);
        if (is_ambiguous(state, index)) {
            store(state, index, 0);
        }
    }
    state->pid_index = index;
}
