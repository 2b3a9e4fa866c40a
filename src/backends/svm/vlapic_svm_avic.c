/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whether AVIC is used, and the VMCB fields and MSR permission map that follow from it. AMD APM 2, "VMCB Changes for AVIC", "MSR
 * Intercepts".
 */
#include "vlapic_svm_internal.h"

#define AVIC_MAX_INDEX 0xFEu
#define APIC_BAR_MASK (((1ull << 52) - 1) & ~0xFFFull)

/* --- what this vCPU uses now ---------------------------------------------------------------------------------------------- */

static uint32_t feature_of_mode(const struct svm_cpu *state)
{
    uint64_t base = vlapic_cpu_apic_base(state->cpu);

    if ((base & VLAPIC_BASE_EN) == 0) {
        return 0;
    }
    return state->vm->features & ((base & VLAPIC_BASE_EXTD) != 0 ? VLAPIC_SVM_X2AVIC : VLAPIC_SVM_AVIC);
}

/* AVIC tells of EOIs by TMR alone. */
static bool lint0_needs_an_edge_eoi(const struct svm_cpu *state)
{
    uint32_t lvt = svm_page(state, VLAPIC_REG_LVT_LINT0);
    uint32_t vector = lvt & VLAPIC_VECTOR_MASK;

    return (lvt & VLAPIC_LVT_REMOTE_IRR) != 0 &&
           (svm_page(state, VLAPIC_REG_TMR + vector / 32 * 16) >> (vector % 32) & 1) == 0;
}

uint32_t vlapic_svm_core_inhibits(const struct svm_cpu *state)
{
    uint32_t reasons = vlapic_svm_core_vm_inhibits(state->vm);

    if (feature_of_mode(state) == 0) {
        reasons |= VLAPIC_SVM_INHIBIT_MODE;
    }
    if ((svm_page(state, VLAPIC_REG_SVR) & VLAPIC_SVR_ENABLE) == 0) {
        reasons |= VLAPIC_SVM_INHIBIT_SOFTWARE_DISABLED;
    }
    if (state->by_hand) {
        reasons |= VLAPIC_SVM_INHIBIT_WINDOW;
    }
    if (lint0_needs_an_edge_eoi(state)) {
        reasons |= VLAPIC_SVM_INHIBIT_LINT0;
    }
    return reasons;
}

/* --- the MSR permission map ------------------------------------------------------------------------------------------------- */

#define MAP_READ 1u
#define MAP_WRITE 2u

static void intercept(uint8_t *map, uint32_t msr, uint32_t bits)
{
    map[msr / 4] |= (uint8_t)(bits << (2 * (msr % 4)));
}

static void pass(uint8_t *map, uint32_t first, uint32_t last, uint32_t bits)
{
    for (uint32_t msr = first; msr <= last; msr++) {
        map[msr / 4] &= (uint8_t) ~(bits << (2 * (msr % 4)));
    }
}

/* Traps come too late for #GP, so a write passes only where hardware does it all; and 832h faults for the TSC-deadline bit. */
static void pass_x2avic(uint8_t *map, uint32_t features)
{
    pass(map, 0x802, 0x803, MAP_READ);
    pass(map, 0x808, 0x808, MAP_READ | MAP_WRITE);
    pass(map, 0x80A, 0x80A, MAP_READ);
    pass(map, 0x80B, 0x80B, MAP_WRITE);
    pass(map, 0x80D, 0x80D, MAP_READ);
    pass(map, 0x80F, 0x828, MAP_READ);
    pass(map, 0x830, 0x830, MAP_READ | MAP_WRITE);
    pass(map, 0x833, 0x838, MAP_READ);
    pass(map, 0x83E, 0x83E, MAP_READ);
    if ((features & VLAPIC_SVM_SELF_IPI) != 0) {
        pass(map, 0x83F, 0x83F, MAP_WRITE);
    }
}

static void write_msr_map(struct svm_cpu *state, uint32_t features)
{
    uint8_t *map = state->vm->ops.msr_map != NULL ? state->vm->ops.msr_map(state->cookie) : NULL;

    if (map == NULL) {
        return;
    }
    for (uint32_t msr = VLAPIC_MSR_X2APIC_FIRST; msr <= VLAPIC_MSR_X2APIC_LAST; msr++) {
        intercept(map, msr, MAP_READ | MAP_WRITE);
    }
    intercept(map, VLAPIC_MSR_APIC_BASE, MAP_READ | MAP_WRITE);
    intercept(map, VLAPIC_MSR_TSC_DEADLINE, MAP_READ | MAP_WRITE);
    if ((features & VLAPIC_SVM_X2AVIC) != 0) {
        pass_x2avic(map, state->vm->features);
    }
    svm_dirty(state, CLEAN_MSR_MAP);
}

/* --- the VMCB ------------------------------------------------------------------------------------------------------------------- */

static void write_control(struct svm_cpu *state, uint32_t features)
{
    uint64_t control = svm_get(state, VMCB_INTERRUPT_CONTROL) & ~(CONTROL_AVIC | CONTROL_X2AVIC | CONTROL_V_NMI_ENABLE);

    if ((features & (VLAPIC_SVM_AVIC | VLAPIC_SVM_X2AVIC)) != 0) {
        control |= CONTROL_AVIC;
    }
    if ((features & VLAPIC_SVM_X2AVIC) != 0) {
        control |= CONTROL_X2AVIC;
    }
    if ((features & VLAPIC_SVM_VNMI) != 0) {
        control |= CONTROL_V_NMI_ENABLE;
    }
    svm_set(state, VMCB_INTERRUPT_CONTROL, control, CLEAN_CONTROL | CLEAN_AVIC);
}

static void write_pointers(struct svm_cpu *state, uint32_t features)
{
    const struct svm_vm *vm = state->vm;
    uint32_t last = (features & VLAPIC_SVM_X2AVIC) != 0 ? vm->table_limit : AVIC_MAX_INDEX;

    if ((features & (VLAPIC_SVM_AVIC | VLAPIC_SVM_X2AVIC)) == 0) {
        return;
    }
    svm_set(state, VMCB_APIC_BAR, vlapic_cpu_apic_base(state->cpu) & APIC_BAR_MASK, CLEAN_AVIC);
    svm_set(state, VMCB_BACKING_PAGE, state->page_pa, CLEAN_AVIC);
    svm_set(state, VMCB_LOGICAL_TABLE, vm->logical_pa, CLEAN_AVIC);
    svm_set(state, VMCB_PHYSICAL_TABLE, vm->physical_pa | (last < vm->max_apic_id ? last : vm->max_apic_id),
            CLEAN_AVIC);
}

/* Posters follow: first where they may no longer set IRR [W1], last where they may. An IOMMU that goes on setting IRR has to tell. */
static void switch_posting(struct svm_cpu *state, bool delivers)
{
    if (!delivers) {
        vlapic_svm_core_set_running(state, false, true);
    }
    __atomic_store_n(&state->shared->delivers, delivers, __ATOMIC_SEQ_CST);
}

bool vlapic_svm_apic_page(struct vlapic_cpu *cpu, uint64_t *guest_physical)
{
    const struct svm_cpu *state = svm_of(cpu);

    if (state == NULL || (state->mapped & SVM_MAPPED) == 0) {
        return false;
    }
    *guest_physical = state->mapped & APIC_BAR_MASK;
    return true;
}

static void note_mapping(struct svm_cpu *state, uint32_t features)
{
    uint64_t base = vlapic_cpu_apic_base(state->cpu) & APIC_BAR_MASK;
    uint64_t mapped = (features & VLAPIC_SVM_AVIC) != 0 ? base | SVM_MAPPED : 0;

    if (mapped != state->mapped) {
        state->mapped = mapped;
        state->changes |= VLAPIC_SVM_CHANGED_MAPPING | VLAPIC_SVM_FLUSH_TLB;
    }
}

void vlapic_svm_core_update_features(struct svm_cpu *state)
{
    uint32_t inhibited = vlapic_svm_core_inhibits(state); /* once: others may change it */
    uint32_t avic = inhibited == 0 ? feature_of_mode(state) : 0;
    uint32_t features = avic | (state->vm->features & VLAPIC_SVM_VNMI);

    state->inhibited = inhibited;
    state->is_stale = false;
    note_mapping(state, features);
    if (!state->is_written || features != state->features) {
        switch_posting(state, false);
        write_control(state, features);
        write_msr_map(state, features);
        state->changes |= avic != 0 ? VLAPIC_SVM_FLUSH_TLB : 0;
    }
    write_pointers(state, features); /* the base may have moved within the mode */
    state->features = features;
    state->is_written = true;
    if (avic != 0) {
        switch_posting(state, true);
    }
}
