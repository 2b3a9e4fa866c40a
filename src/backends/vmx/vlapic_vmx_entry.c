/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is done before the guest runs, and taken back after: interrupt status or injection, windows, TPR threshold, EOI-exit bitmap.
 * Intel SDM 3C, "Virtual-Interrupt Delivery", "TPR Virtualization", "Event Injection", "Other Causes of VM Exits".
 */
#include "vlapic_vmx_internal.h"

/* --- events --------------------------------------------------------------------------------------------------------------- */

static void inject(struct vmx_cpu *state, uint32_t information, enum vlapic_vmx_injected what)
{
    vmx_write(state, VMCS_ENTRY_INFORMATION, EVENT_VALID | information);
    state->injected = EVENT_VALID | information;
    state->entry.injected = what;
    state->entry.vector = (uint8_t)information;
    state->guest.busy = true;
}

static bool can_take_interrupt(const struct vlapic_vmx_guest *guest)
{
    return !guest->busy && (guest->rflags & RFLAGS_IF) != 0 &&
           (guest->interruptibility & (BLOCKED_BY_STI | BLOCKED_BY_MOV_SS)) == 0;
}

/* Blocking by STI counts for an NMI on some processors: it is waited for on all. */
static bool can_take_nmi(const struct vlapic_vmx_guest *guest)
{
    return !guest->busy && (guest->interruptibility & (BLOCKED_BY_STI | BLOCKED_BY_MOV_SS | BLOCKED_BY_NMI)) == 0;
}

static uint32_t nmi_window(const struct vmx_cpu *state)
{
    return state->vm->has_virtual_nmis ? PRIMARY_NMI_WINDOW : PRIMARY_INTERRUPT_WINDOW;
}

/* IRET has not run, so NMIs are blocked; the one that was interrupted is to be delivered nevertheless. */
static void unblock_nmi(struct vmx_cpu *state)
{
    if ((state->guest.interruptibility & BLOCKED_BY_NMI) != 0) {
        state->guest.interruptibility &= ~BLOCKED_BY_NMI;
        vmx_write(state, VMCS_INTERRUPTIBILITY, state->guest.interruptibility);
    }
}

static uint32_t offer_nmi_again(struct vmx_cpu *state)
{
    if (!state->nmi_in_flight) {
        return 0;
    }
    if (!state->guest.busy) {
        unblock_nmi(state);
    }
    if (!can_take_nmi(&state->guest)) {
        state->guest.busy = true; /* nothing overtakes it */
        return nmi_window(state);
    }
    inject(state, EVENT_NMI | 2, VLAPIC_VMX_INJECTED_AGAIN);
    state->nmi_in_flight = false;
    return 0;
}

/* A vector of this APIC is in ISR since before the exit that interrupted it. */
static uint32_t offer_interrupt_again(struct vmx_cpu *state)
{
    if (state->in_flight == 0) {
        return 0;
    }
    if (!can_take_interrupt(&state->guest)) {
        state->guest.busy = true;
        return PRIMARY_INTERRUPT_WINDOW;
    }
    inject(state, state->in_flight & EVENT_VECTOR, VLAPIC_VMX_INJECTED_AGAIN);
    state->in_flight = 0;
    return 0;
}

static uint32_t offer_nmi(struct vmx_cpu *state)
{
    if (!state->guest.nmi) {
        return 0;
    }
    if (!can_take_nmi(&state->guest)) {
        return nmi_window(state);
    }
    inject(state, EVENT_NMI | 2, VLAPIC_VMX_INJECTED_NMI);
    return 0;
}

/* The line of the external controller goes first, as the processor has it for INTR. */
static uint32_t offer_interrupt(struct vmx_cpu *state, int16_t deliverable)
{
    bool own = !vmx_uses(state, VLAPIC_VMX_DELIVERY) && deliverable >= 0;

    if (!state->guest.extint && !own) {
        return 0;
    }
    if (!can_take_interrupt(&state->guest)) {
        return PRIMARY_INTERRUPT_WINDOW;
    }
    if (state->guest.extint && state->vm->ops.acknowledge_extint != NULL) {
        inject(state, EVENT_EXTERNAL | state->vm->ops.acknowledge_extint(state->cookie), VLAPIC_VMX_INJECTED_EXTINT);
        return PRIMARY_INTERRUPT_WINDOW; /* the line may still be up after it */
    }
    if (own && vlapic_cpu_accept(state->cpu, (uint8_t)deliverable)) {
        inject(state, EVENT_EXTERNAL | (uint8_t)deliverable, VLAPIC_VMX_INJECTED_VECTOR);
        state->accepted = true;
    }
    return 0;
}

/* --- without virtual-interrupt delivery: an exit when TPR lets something through ----------------------------------------------- */

/* What is blocked by the class in service is looked at with the EOI, which exits. */
static uint32_t threshold(const struct vmx_cpu *state, const struct vlapic_entry *entry)
{
    uint32_t pending = entry->pending / 16u;
    uint32_t tpr = vmx_page(state, VLAPIC_REG_TPR) / 16u;

    return state->accepted || entry->in_service / 16u >= pending || tpr < pending ? 0 : pending;
}

static void write_threshold(struct vmx_cpu *state, uint32_t value)
{
    if (value != state->threshold) {
        vmx_write(state, VMCS_TPR_THRESHOLD, value);
        state->threshold = value;
    }
}

/* --- with it ---------------------------------------------------------------------------------------------------------------- */

/* The vector of LINT0, while its level waits for an EOI: an edge of the same vector may have changed TMR meanwhile. */
static uint32_t lint0_wait(const struct vmx_cpu *state)
{
    uint32_t lvt = vmx_page(state, VLAPIC_REG_LVT_LINT0);

    return (lvt & VLAPIC_LVT_REMOTE_IRR) != 0 ? lvt & VLAPIC_VECTOR_MASK : 0;
}

/* An EOI has to exit if TMR says so, LINT0 waits for it, or somebody watches the vector. */
static void write_eoi_exits(struct vmx_cpu *state)
{
    for (uint32_t w = 0; w < 4; w++) {
        uint64_t lint0 = state->lint0_wait != 0 && state->lint0_wait / 64u == w ? 1ull << (state->lint0_wait % 64u) : 0;
        uint64_t wanted = state->shared->level[w] | state->vm->watch.word[w] | lint0;

        if (!state->eoi_exit_is_known || wanted != state->eoi_exit[w]) {
            vmx_write(state, VMCS_EOI_EXIT(w), wanted);
            state->eoi_exit[w] = wanted;
        }
    }
    state->eoi_exit_is_known = true;
    state->eoi_exit_is_stale = false;
}

static void write_status(struct vmx_cpu *state, const struct vlapic_entry *entry)
{
    uint32_t wait = lint0_wait(state);

    if (!state->eoi_exit_is_known || state->eoi_exit_is_stale || wait != state->lint0_wait) {
        state->lint0_wait = wait;
        write_eoi_exits(state);
    }
    vmx_write(state, VMCS_INTERRUPT_STATUS, (uint32_t)entry->in_service << 8 | entry->pending);
}

/* --- the page --------------------------------------------------------------------------------------------------------------- */

static const uint16_t shadow_offsets[VMX_SHADOWS] = {
    VLAPIC_REG_ID,          VLAPIC_REG_EOI,           VLAPIC_REG_LDR,           VLAPIC_REG_DFR,
    VLAPIC_REG_SVR,         VLAPIC_REG_ESR,           VLAPIC_REG_ICR_LOW,       VLAPIC_REG_LVT_TIMER,
    VLAPIC_REG_LVT_THERMAL, VLAPIC_REG_LVT_PERF,      VLAPIC_REG_LVT_LINT0,     VLAPIC_REG_LVT_LINT1,
    VLAPIC_REG_LVT_ERROR,   VLAPIC_REG_INITIAL_COUNT, VLAPIC_REG_DIVIDE_CONFIG,
};

static bool page_is_written(const struct vmx_cpu *state)
{
    return vmx_uses(state, VLAPIC_VMX_REGISTERS | VLAPIC_VMX_DELIVERY | VLAPIC_VMX_IPI);
}

static void keep_shadows(struct vmx_cpu *state)
{
    for (uint32_t i = 0; i < VMX_SHADOWS; i++) {
        state->shadow[i] = vmx_page(state, shadow_offsets[i]);
    }
}

uint32_t vmx_take_written(struct vmx_cpu *state, uint32_t offset)
{
    uint32_t value = vmx_page(state, offset);

    for (uint32_t i = 0; i < VMX_SHADOWS; i++) {
        if (shadow_offsets[i] == offset) {
            state->page[offset / 4] = state->shadow[i];
        }
    }
    return value;
}

/* In x2APIC mode the ICR is one quadword for hardware. */
static void to_hardware_format(struct vmx_cpu *state)
{
    if (vmx_uses(state, VLAPIC_VMX_X2APIC)) {
        state->page[PAGE_ICR_HIGH_X2APIC / 4] = vmx_page(state, VLAPIC_REG_ICR_HIGH);
    }
}

static void from_hardware_format(struct vmx_cpu *state)
{
    if (vmx_uses(state, VLAPIC_VMX_X2APIC)) {
        state->page[VLAPIC_REG_ICR_HIGH / 4] = vmx_page(state, PAGE_ICR_HIGH_X2APIC);
        state->page[PAGE_ICR_HIGH_X2APIC / 4] = 0;
        state->page[VLAPIC_REG_SELF_IPI / 4] = 0;
    }
}

/* --- entry and exit ----------------------------------------------------------------------------------------------------------- */

static bool features_may_have_changed(const struct vmx_cpu *state)
{
    return state->is_stale || __atomic_load_n(&state->vm->inhibits, __ATOMIC_SEQ_CST) != state->inhibited;
}

void vmx_enter(void *cpu_state, const struct vlapic_entry *entry)
{
    struct vmx_cpu *state = cpu_state;
    uint32_t windows;

    if (features_may_have_changed(state)) {
        vmx_update_controls(state);
    }
    state->entry.features = state->features;
    state->accepted = false;
    state->injected = 0;
    windows = offer_nmi_again(state);
    windows |= offer_interrupt_again(state);
    windows |= offer_nmi(state);
    windows |= offer_interrupt(state, entry->deliverable);
    vmx_set_windows(state, windows);
    if (vmx_uses(state, VLAPIC_VMX_DELIVERY)) {
        write_status(state, entry);
    } else if (vmx_uses(state, VLAPIC_VMX_TPR_SHADOW)) {
        write_threshold(state, threshold(state, entry));
    }
    if (page_is_written(state)) {
        keep_shadows(state);
        to_hardware_format(state);
    }
}

uint32_t vmx_exit(void *cpu_state)
{
    struct vmx_cpu *state = cpu_state;

    if (page_is_written(state)) {
        from_hardware_format(state);
    }
    if (vmx_uses(state, VLAPIC_VMX_DELIVERY)) {
        return VLAPIC_CHANGE_TPR | VLAPIC_CHANGE_ISR;
    }
    return vmx_uses(state, VLAPIC_VMX_TPR_SHADOW) ? VLAPIC_CHANGE_TPR : 0;
}

bool vlapic_vmx_enter(struct vlapic_cpu *cpu, const struct vlapic_vmx_guest *guest, struct vlapic_vmx_entry *entry)
{
    struct vmx_cpu *state = vmx_of(cpu);
    bool entered;

    *entry = (struct vlapic_vmx_entry){ 0 };
    if (state == NULL) {
        return false;
    }
    state->guest = *guest;
    state->entry = *entry;
    entered = vlapic_cpu_enter(cpu);
    state->guest = (struct vlapic_vmx_guest){ .busy = true }; /* an entry past this function injects nothing */
    if (entered) {
        *entry = state->entry;
    }
    return entered;
}

void vmx_keep_in_flight(struct vmx_cpu *state, uint32_t information)
{
    uint32_t type = information & EVENT_TYPE;

    if ((information & EVENT_VALID) == 0) {
        return;
    }
    if (type == EVENT_NMI) {
        state->nmi_in_flight = true;
    } else if (type == EVENT_EXTERNAL) {
        state->in_flight = EVENT_VALID | EVENT_EXTERNAL | (information & EVENT_VECTOR);
    }
}

void vlapic_vmx_cancel(struct vlapic_cpu *cpu)
{
    struct vmx_cpu *state = vmx_of(cpu);

    if (state == NULL) {
        return;
    }
    vlapic_cpu_exit(cpu);
    if (state->injected == 0) {
        return;
    }
    vmx_write(state, VMCS_ENTRY_INFORMATION, 0);
    if (!state->accepted || !vlapic_cpu_unaccept(cpu, (uint8_t)state->injected)) {
        vmx_keep_in_flight(state, state->injected);
    }
    state->accepted = false;
    state->injected = 0;
}
