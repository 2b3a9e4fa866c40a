/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The physical and logical APIC ID tables, by which processors send IPIs themselves, and what keeps a VM from using them. AMD APM 2, "Physical
 * APIC ID Table", "Logical APIC ID Table".
 *
 * A vCPU whose APIC accepts no interrupts keeps a valid entry, with the discard page in the place of its own: hardware does not look at SVR or
 * mode, and gives up an IPI to several if one entry is invalid.
 */
#include "vlapic_svm_internal.h"

#define NO_INDEX UINT32_MAX
#define LOGICAL_ENTRIES 1024u
#define BROADCAST_CLUSTER 15u

static bool has_avic(const struct svm_vm *vm)
{
    return (vm->features & (VLAPIC_SVM_AVIC | VLAPIC_SVM_X2AVIC)) != 0;
}

static bool is_attached(const struct svm_cpu *state)
{
    return vlapic_backend_find(state->cpu, vlapic_cpu_apic_id(state->cpu)) == state->cpu;
}

static bool in_x2apic(const struct svm_cpu *state)
{
    return (vlapic_cpu_apic_base(state->cpu) & VLAPIC_BASE_EXTD) != 0;
}

/* --- the physical table ------------------------------------------------------------------------------------------------------ */

/* V, IR, page and host ID change together, so that no processor [A2] sees one without the others. */
static void write_physical(const struct svm_cpu *state)
{
    uint32_t id = vlapic_cpu_apic_id(state->cpu);
    uint64_t entry = 0;

    if (id > state->vm->table_limit) {
        return;
    }
    if (is_attached(state)) {
        entry = PHYSICAL_VALID | (svm_accepts(state) ? state->page_pa : state->vm->discard_pa);
    }
    if (entry != 0) {
        entry |= state->shared->host_id & PHYSICAL_HOST; /* a doorbell that comes late goes where the vCPU was */
    }
    if (entry != 0 && state->is_running && !state->vm->erratum_1235) {
        entry |= PHYSICAL_RUNNING;
    }
    __atomic_store_n(&state->vm->physical[id], entry, __ATOMIC_SEQ_CST);
}

/* Set: [L1], [L2]. Cleared: [W1], [U1], [B1]; the IOMMU hears of it first, so that it does not ring for nobody. */
void vlapic_svm_core_set_running(struct svm_cpu *state, bool running, bool blocked)
{
    if (!has_avic(state->vm) || (running == state->is_running && !blocked)) {
        return;
    }
    if (running) {
        __atomic_store_n(&state->shared->host_id, state->vm->ops.physical_apic_id(state->cookie), __ATOMIC_SEQ_CST);
        state->is_running = true;
        write_physical(state);
    }
    if (state->vm->ops.running != NULL) {
        state->vm->ops.running(state->cookie, running, state->shared->host_id, blocked);
    }
    if (!running) {
        state->is_running = false;
        write_physical(state);
    }
}

/* --- the logical table --------------------------------------------------------------------------------------------------------- */

/* NO_INDEX: an LDR that one entry cannot stand for. */
static uint32_t logical_index(uint32_t ldr8, bool flat)
{
    uint32_t member = flat ? ldr8 : ldr8 & 0xFu;
    uint32_t cluster = flat ? 0 : ldr8 >> 4;

    if ((member & (member - 1)) != 0 || cluster == BROADCAST_CLUSTER) {
        return NO_INDEX;
    }
    return 4 * cluster + (uint32_t)__builtin_ctz(member);
}

static bool claim(const struct svm_cpu *state, uint32_t index)
{
    uint32_t expected = 0, entry = LOGICAL_VALID | (vlapic_cpu_apic_id(state->cpu) & 0xFFu);

    return __atomic_compare_exchange_n(&state->vm->logical[index], &expected, entry, false, __ATOMIC_SEQ_CST,
                                       __ATOMIC_SEQ_CST);
}

static void release(const struct svm_cpu *state, uint32_t index)
{
    __atomic_store_n(&state->vm->logical[index], 0, __ATOMIC_SEQ_CST);
}

/* Where the vCPU belongs in xAPIC mode. A zero member mask belongs nowhere, and is no oddity. */
static void find_logical(const struct svm_cpu *state, struct svm_place *place)
{
    uint32_t ldr8 = svm_page(state, VLAPIC_REG_LDR) >> 24;
    uint32_t format = svm_page(state, VLAPIC_REG_DFR) >> 28;
    bool flat = format == 0xF;
    uint32_t index;

    if (format != 0xF && format != 0) {
        place->odd_logical = true;
        return;
    }
    if ((flat ? ldr8 : ldr8 & 0xFu) == 0) {
        return;
    }
    place->flat = flat;
    place->cluster = !flat;
    index = logical_index(ldr8, flat);
    place->has_logical = index != NO_INDEX;
    place->logical_index = index;
    place->odd_logical = index == NO_INDEX;
}

/* The entry that it has already is its own. */
static void settle_logical(const struct svm_cpu *state, struct svm_place *place)
{
    const struct svm_place *old = &state->place;
    bool keeps = old->has_logical && place->has_logical && old->logical_index == place->logical_index;

    if (old->has_logical && !keeps) {
        release(state, old->logical_index);
    }
    if (place->has_logical && !keeps && !claim(state, place->logical_index)) {
        place->has_logical = false;
        place->odd_logical = true;
    }
}

/* --- what stands against the tables ---------------------------------------------------------------------------------------------- */

static struct svm_place find_place(const struct svm_cpu *state)
{
    struct svm_place place = { 0 };
    uint32_t id = vlapic_cpu_apic_id(state->cpu);

    if (!is_attached(state) || !svm_accepts(state)) {
        return place;
    }
    place.x2apic = in_x2apic(state);
    place.xapic = !place.x2apic;
    if (place.x2apic) {
        place.odd_physical = id > state->vm->table_limit;
        return place;
    }
    place.odd_physical = id > 254 || svm_page(state, VLAPIC_REG_ID) >> 24 != id;
    if ((state->vm->features & VLAPIC_SVM_AVIC) != 0 && !place.odd_physical) {
        find_logical(state, &place);
    }
    return place;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): the check does not know atomic operations */
static void count(uint32_t *counter, bool was, bool is)
{
    if (is && !was) {
        __atomic_fetch_add(counter, 1, __ATOMIC_SEQ_CST);
    } else if (was && !is) {
        __atomic_fetch_sub(counter, 1, __ATOMIC_SEQ_CST);
    }
}

static void count_place(struct svm_vm *vm, const struct svm_place *old, const struct svm_place *place)
{
    count(&vm->odd_physical, old->odd_physical, place->odd_physical);
    count(&vm->odd_logical, old->odd_logical, place->odd_logical);
    count(&vm->flat_users, old->flat, place->flat);
    count(&vm->cluster_users, old->cluster, place->cluster);
    count(&vm->xapic_users, old->xapic, place->xapic);
    count(&vm->x2apic_users, old->x2apic, place->x2apic);
}

static bool any(const uint32_t *counter)
{
    return __atomic_load_n(counter, __ATOMIC_SEQ_CST) != 0;
}

uint32_t vlapic_svm_core_vm_inhibits(const struct svm_vm *vm)
{
    uint32_t reasons = __atomic_load_n(&vm->inhibits, __ATOMIC_SEQ_CST) | vm->lasting_inhibits;

    if (any(&vm->odd_physical)) {
        reasons |= VLAPIC_SVM_INHIBIT_PHYSICAL_ID;
    }
    if (any(&vm->odd_logical) || (any(&vm->flat_users) && any(&vm->cluster_users))) {
        reasons |= VLAPIC_SVM_INHIBIT_LOGICAL_ID;
    }
    if (any(&vm->xapic_users) && any(&vm->x2apic_users)) {
        reasons |= VLAPIC_SVM_INHIBIT_MIXED_MODES;
    }
    return reasons;
}

/* One vCPU's change concerns all: they look again before they next enter. */
static void tell_others(const struct svm_cpu *state, uint32_t before)
{
    if (vlapic_svm_core_vm_inhibits(state->vm) == before) {
        return;
    }
    for (uint32_t id = 0; id <= state->vm->max_apic_id; id++) {
        struct vlapic_cpu *other = vlapic_backend_find(state->cpu, id);

        if (other != NULL && other != state->cpu) {
            vlapic_backend_wake(other);
        }
    }
}

static void move(struct svm_cpu *state, struct svm_place place)
{
    uint32_t before = vlapic_svm_core_vm_inhibits(state->vm);

    settle_logical(state, &place);
    count_place(state->vm, &state->place, &place);
    state->place = place;
    tell_others(state, before);
}

void vlapic_svm_core_update_tables(struct svm_cpu *state)
{
    if (!has_avic(state->vm)) {
        return;
    }
    write_physical(state);
    move(state, find_place(state));
}

void vlapic_svm_core_leave_tables(struct svm_cpu *state)
{
    if (has_avic(state->vm)) {
        write_physical(state); /* it has been detached */
        move(state, (struct svm_place){ 0 });
    }
}
