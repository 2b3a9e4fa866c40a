/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which features are used, and the controls, addresses and MSR bitmap that follow from it. Intel SDM 3C, "VM-Execution Control
 * Fields", "Checks on VMX Controls", "MSR-Bitmap Address"; appendix A for the capability MSRs.
 */
#include "vlapic_vmx_internal.h"

#define DELIVERING (VLAPIC_VMX_DELIVERY | VLAPIC_VMX_POSTED | VLAPIC_VMX_IPI)

static bool may_be_one(uint64_t capability, uint32_t bit)
{
    return ((uint32_t)(capability >> 32) & bit) != 0;
}

static uint32_t if_secondary(const struct vlapic_vmx_capabilities *c, uint32_t bit, uint32_t feature)
{
    return may_be_one(c->primary, PRIMARY_SECONDARY) && may_be_one(c->secondary, bit) ? feature : 0;
}

static bool can_notify(const struct vlapic_vmx_config *config)
{
    return config->notification_vector >= 16 && config->ops != NULL && config->ops->notify != NULL &&
           config->ops->physical_apic_id != NULL;
}

/* Where processors post by themselves, only the wake-up vector reaches a vCPU that sleeps. As notification vector, the guest that runs there
 * might take it. */
static bool can_wake(const struct vlapic_vmx_config *config)
{
    return config->wakeup_vector >= 16 && config->wakeup_vector != config->notification_vector &&
           config->ops->blocked != NULL;
}

static uint32_t offered(const struct vlapic_vmx_config *config)
{
    const struct vlapic_vmx_capabilities *c = &config->capabilities;
    uint32_t features = may_be_one(c->primary, PRIMARY_TPR_SHADOW) ? VLAPIC_VMX_TPR_SHADOW : 0;

    if (config->apic_access_page != 0) {
        features |= if_secondary(c, SECONDARY_APIC_ACCESS, VLAPIC_VMX_APIC_ACCESS);
    }
    features |= if_secondary(c, SECONDARY_X2APIC, VLAPIC_VMX_X2APIC);
    features |= if_secondary(c, SECONDARY_REGISTERS, VLAPIC_VMX_REGISTERS);
    features |= if_secondary(c, SECONDARY_DELIVERY, VLAPIC_VMX_DELIVERY);
    if (may_be_one(c->pin, PIN_POSTED) && may_be_one(c->exit, EXIT_ACKNOWLEDGE) && can_notify(config)) {
        features |= VLAPIC_VMX_POSTED;
    }
    if (may_be_one(c->primary, PRIMARY_TERTIARY) && (c->tertiary & TERTIARY_IPI) != 0 && config->pid_table.va != NULL &&
        config->pid_table_entries != 0 && config->ops != NULL && can_wake(config)) {
        features |= VLAPIC_VMX_IPI;
    }
    return features;
}

uint32_t vlapic_vmx_features(const struct vlapic_vmx_config *config)
{
    uint32_t features;

    if (config == NULL) {
        return 0;
    }
    features = offered(config) & config->features;
    if ((features & VLAPIC_VMX_TPR_SHADOW) == 0) {
        return 0;
    }
    if ((features & VLAPIC_VMX_DELIVERY) == 0) {
        features &= ~(uint32_t)VLAPIC_VMX_POSTED;
    }
    /* Without register virtualization a guest's write to ICR 63:32 would have to be copied into the page. */
    if ((features & VLAPIC_VMX_POSTED) == 0 || (features & VLAPIC_VMX_REGISTERS) == 0) {
        features &= ~(uint32_t)VLAPIC_VMX_IPI;
    }
    return features;
}

/* --- what this vCPU uses now ---------------------------------------------------------------------------------------------- */

uint32_t vlapic_vmx_core_inhibits(const struct vmx_cpu *state)
{
    uint32_t reasons = __atomic_load_n(&state->vm->inhibits, __ATOMIC_SEQ_CST);

    if ((vlapic_cpu_apic_base(state->cpu) & VLAPIC_BASE_EN) == 0) {
        reasons |= VLAPIC_VMX_INHIBIT_MODE;
    }
    if ((vmx_page(state, VLAPIC_REG_SVR) & VLAPIC_SVR_ENABLE) == 0) {
        reasons |= VLAPIC_VMX_INHIBIT_SOFTWARE_DISABLED;
    }
    return reasons;
}

static uint32_t wanted_features(const struct vmx_cpu *state)
{
    uint64_t base = vlapic_cpu_apic_base(state->cpu);
    uint32_t features = state->vm->features;

    if ((base & VLAPIC_BASE_EN) == 0) {
        return features & VLAPIC_VMX_TPR_SHADOW;
    }
    if (vlapic_vmx_core_inhibits(state) != 0) {
        features &= ~(uint32_t)DELIVERING;
    }
    features &= ~(uint32_t)((base & VLAPIC_BASE_EXTD) != 0 ? VLAPIC_VMX_APIC_ACCESS : VLAPIC_VMX_X2APIC);
    if ((features & (VLAPIC_VMX_APIC_ACCESS | VLAPIC_VMX_X2APIC)) == 0) {
        features &= ~(uint32_t)(VLAPIC_VMX_REGISTERS |
                                VLAPIC_VMX_IPI); /* no access of the guest would be virtualized */
    }
    return features;
}

/* --- controls ------------------------------------------------------------------------------------------------------------- */

static void set_bits(const struct vmx_cpu *state, uint32_t field, uint64_t mask, uint64_t value)
{
    uint64_t old = vmx_read(state, field);
    uint64_t updated = (old & ~mask) | value;

    if (updated != old) {
        vmx_write(state, field, updated);
    }
}

static uint32_t bit_if(uint32_t features, uint32_t feature, uint32_t bit)
{
    return (features & feature) != 0 ? bit : 0;
}

static uint32_t secondary_bits(uint32_t features)
{
    return bit_if(features, VLAPIC_VMX_APIC_ACCESS, SECONDARY_APIC_ACCESS) |
           bit_if(features, VLAPIC_VMX_X2APIC, SECONDARY_X2APIC) |
           bit_if(features, VLAPIC_VMX_REGISTERS, SECONDARY_REGISTERS) |
           bit_if(features, VLAPIC_VMX_DELIVERY, SECONDARY_DELIVERY);
}

static void write_controls(const struct vmx_cpu *state, uint32_t features)
{
    const uint32_t primary = PRIMARY_CR8_LOAD | PRIMARY_CR8_STORE | PRIMARY_TPR_SHADOW;
    uint32_t secondary = secondary_bits(features);
    uint32_t activate = (secondary != 0 ? PRIMARY_SECONDARY : 0) | bit_if(features, VLAPIC_VMX_IPI, PRIMARY_TERTIARY);

    set_bits(state, VMCS_PIN, PIN_POSTED, bit_if(features, VLAPIC_VMX_POSTED, PIN_POSTED));
    set_bits(state, VMCS_PRIMARY, primary | activate,
             activate |
                 ((features & VLAPIC_VMX_TPR_SHADOW) != 0 ? PRIMARY_TPR_SHADOW : PRIMARY_CR8_LOAD | PRIMARY_CR8_STORE));
    if (state->vm->has_secondary) {
        set_bits(state, VMCS_SECONDARY, secondary_bits(VLAPIC_VMX_ALL_FEATURES), secondary);
    }
    if (state->vm->has_tertiary) {
        set_bits(state, VMCS_TERTIARY, TERTIARY_IPI, (features & VLAPIC_VMX_IPI) != 0 ? TERTIARY_IPI : 0);
    }
}

static void write_addresses(const struct vmx_cpu *state, uint32_t features)
{
    const struct vmx_vm *vm = state->vm;

    if ((features & VLAPIC_VMX_TPR_SHADOW) != 0) {
        vmx_write(state, VMCS_VIRTUAL_APIC, state->page_pa);
    }
    if ((features & VLAPIC_VMX_APIC_ACCESS) != 0) {
        vmx_write(state, VMCS_APIC_ACCESS, vm->apic_access_page);
    }
    if ((features & VLAPIC_VMX_POSTED) != 0) {
        vmx_write(state, VMCS_DESCRIPTOR, state->descriptor_pa);
        vmx_write(state, VMCS_NOTIFICATION_VECTOR, vm->notification_vector);
    }
    if ((features & VLAPIC_VMX_IPI) != 0) {
        vmx_write(state, VMCS_PID_TABLE, vm->pid_table_pa);
        vmx_write(state, VMCS_LAST_PID_INDEX, vm->pid_last);
    }
}

void vlapic_vmx_core_set_windows(struct vmx_cpu *state, uint32_t windows)
{
    if (state->windows != windows) {
        set_bits(state, VMCS_PRIMARY, PRIMARY_INTERRUPT_WINDOW | PRIMARY_NMI_WINDOW, windows);
        state->windows = windows;
    }
}

/* --- MSR bitmap ----------------------------------------------------------------------------------------------------------- */

#define BITMAP_READ 0u
#define BITMAP_WRITE 0x800u

static void intercept(uint8_t *bitmap, uint32_t half, uint32_t msr)
{
    bitmap[half + msr / 8] |= (uint8_t)(1u << (msr % 8));
}

static void pass(uint8_t *bitmap, uint32_t half, uint32_t first, uint32_t last)
{
    for (uint32_t msr = first; msr <= last; msr++) {
        bitmap[half + msr / 8] &= (uint8_t) ~(1u << (msr % 8));
    }
}

/* Registers whose value is in the page at any time: not PPR, unless hardware keeps it, and not the current count. */
static void pass_reads(uint8_t *bitmap, uint32_t features, bool has_cmci)
{
    static const uint16_t ranges[][2] = {
        { 0x802, 0x803 }, { 0x80D, 0x80D }, { 0x80F, 0x828 }, { 0x830, 0x830 }, { 0x832, 0x838 }, { 0x83E, 0x83E },
    };

    for (uint32_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
        pass(bitmap, BITMAP_READ, ranges[i][0], ranges[i][1]);
    }
    if (has_cmci) {
        pass(bitmap, BITMAP_READ, 0x82F, 0x82F);
    }
    if ((features & VLAPIC_VMX_DELIVERY) != 0) {
        pass(bitmap, BITMAP_READ, 0x80A, 0x80A);
    }
}

static void pass_x2apic(uint8_t *bitmap, uint32_t features, bool has_cmci)
{
    pass(bitmap, BITMAP_READ, 0x808, 0x808);
    pass(bitmap, BITMAP_WRITE, 0x808, 0x808);
    if ((features & VLAPIC_VMX_REGISTERS) != 0) {
        pass_reads(bitmap, features, has_cmci);
    }
    if ((features & VLAPIC_VMX_DELIVERY) != 0) {
        pass(bitmap, BITMAP_WRITE, 0x80B, 0x80B);
        pass(bitmap, BITMAP_WRITE, 0x83F, 0x83F);
    }
    if ((features & VLAPIC_VMX_IPI) != 0) {
        pass(bitmap, BITMAP_WRITE, 0x830, 0x830);
    }
}

static void write_bitmap(const struct vmx_cpu *state, uint32_t features)
{
    uint8_t *bitmap = state->vm->ops.msr_bitmap != NULL ? state->vm->ops.msr_bitmap(state->cookie) : NULL;

    if (bitmap == NULL) {
        return;
    }
    for (uint32_t msr = VLAPIC_MSR_X2APIC_FIRST; msr <= VLAPIC_MSR_X2APIC_LAST; msr++) {
        intercept(bitmap, BITMAP_READ, msr);
        intercept(bitmap, BITMAP_WRITE, msr);
    }
    intercept(bitmap, BITMAP_READ, VLAPIC_MSR_APIC_BASE);
    intercept(bitmap, BITMAP_WRITE, VLAPIC_MSR_APIC_BASE);
    intercept(bitmap, BITMAP_READ, VLAPIC_MSR_TSC_DEADLINE);
    intercept(bitmap, BITMAP_WRITE, VLAPIC_MSR_TSC_DEADLINE);
    if ((features & VLAPIC_VMX_X2APIC) != 0) {
        pass_x2apic(bitmap, features, state->vm->has_cmci);
    }
}

/* --- all of it ------------------------------------------------------------------------------------------------------------ */

bool vlapic_vmx_apic_page(struct vlapic_cpu *cpu, uint64_t *guest_physical)
{
    const struct vmx_cpu *state = vmx_of(cpu);

    if (state == NULL || (wanted_features(state) & VLAPIC_VMX_APIC_ACCESS) == 0) {
        return false;
    }
    *guest_physical = vlapic_cpu_apic_base(cpu) & ~0xFFFull;
    return true;
}

static void note_mapping(struct vmx_cpu *state)
{
    uint64_t base;
    uint64_t mapped = vlapic_vmx_apic_page(state->cpu, &base) ? base | VMX_MAPPED : 0;

    if (mapped != state->mapped) {
        state->mapped = mapped;
        state->entry.changes |= VLAPIC_VMX_CHANGED_MAPPING;
    }
}

void vlapic_vmx_core_update_controls(struct vmx_cpu *state)
{
    uint32_t features;
    bool first = !state->is_written;

    state->inhibited = __atomic_load_n(&state->vm->inhibits, __ATOMIC_SEQ_CST);
    state->is_stale = false;
    features = wanted_features(state);
    note_mapping(state);
    if (!first && features == state->features) {
        return;
    }
    if (first || ((features ^ state->features) & (VLAPIC_VMX_APIC_ACCESS | VLAPIC_VMX_X2APIC)) != 0) {
        state->entry.changes |= VLAPIC_VMX_CHANGED_CONTROLS;
    }
    write_controls(state, features);
    write_addresses(state, features);
    write_bitmap(state, features);
    state->windows = first ? UINT32_MAX : state->windows;
    state->has_virtual_nmis = (vmx_read(state, VMCS_PIN) & PIN_VIRTUAL_NMIS) != 0;
    state->threshold = UINT32_MAX;
    state->eoi_exit_is_known = !first && state->eoi_exit_is_known;
    state->features = features;
    state->is_written = true;
    __atomic_store_n(&state->shared->notifies, (features & VLAPIC_VMX_POSTED) != 0, __ATOMIC_SEQ_CST);
}
