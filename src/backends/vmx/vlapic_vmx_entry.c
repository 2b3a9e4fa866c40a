/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is done before the guest runs, and taken back after: interrupt status or injection, windows, TPR threshold, EOI-exit bitmap.
 * Intel SDM 3C, "Virtual-Interrupt Delivery", "TPR Virtualization", "Event Injection", "Other Causes of VM Exits".
 */
#include "vlapic_vmx_internal.h"

/* --- events --------------------------------------------------------------------------------------------------------------- */

/* Blocking by STI counts for an NMI on some processors: it is waited for on all. */
static struct vlapic_offer make_offer(const struct vmx_cpu *state, const struct vlapic_entry *entry)
{
    const struct vlapic_vmx_guest *guest = &state->guest;
    bool shadow = (guest->interruptibility & (BLOCKED_BY_STI | BLOCKED_BY_MOV_SS)) != 0;

    return (struct vlapic_offer){
        .busy = guest->busy,
        .open = (guest->rflags & RFLAGS_IF) != 0 && !shadow,
        .nmi_open = !shadow && (guest->interruptibility & BLOCKED_BY_NMI) == 0,
        .nmi_again = !shadow,
        .nmi = guest->nmi,
        .extint = guest->extint,
        .vector = (int16_t)(vmx_uses(state, VLAPIC_VMX_DELIVERY) ? -1 : entry->deliverable),
    };
}

/* IRET has not run, so NMIs are blocked; the one that was interrupted is to be delivered nevertheless. */
static void unblock_nmi(struct vmx_cpu *state)
{
    if ((state->guest.interruptibility & BLOCKED_BY_NMI) != 0) {
        vmx_write(state, VMCS_INTERRUPTIBILITY, state->guest.interruptibility & ~BLOCKED_BY_NMI);
    }
}

static void inject(struct vmx_cpu *state, const struct vlapic_plan *plan)
{
    if (plan->information == 0) {
        return;
    }
    if ((plan->information & VLAPIC_EVENT_TYPE) == VLAPIC_EVENT_TYPE_NMI) {
        unblock_nmi(state);
    }
    vmx_write(state, VMCS_ENTRY_INFORMATION, plan->information);
    state->entry.injected = (enum vlapic_vmx_injected)plan->what;
    state->entry.vector = (uint8_t)plan->information;
}

/*
 * A window that opens at an entry while the NMI has to wait all the same would exit for ever. The NMI window may do so behind an STI: the
 * interrupt window does not. Without virtual NMIs there is no NMI window, and the handler's IRET most likely opens the other one; if that is open
 * in the handler, the next exit of any kind has to do.
 */
static uint32_t nmi_window(const struct vmx_cpu *state)
{
    const struct vlapic_vmx_guest *guest = &state->guest;

    if ((guest->interruptibility & BLOCKED_BY_STI) != 0) {
        return PRIMARY_INTERRUPT_WINDOW;
    }
    if (state->has_virtual_nmis) {
        return PRIMARY_NMI_WINDOW;
    }
    return (guest->interruptibility & BLOCKED_BY_NMI) != 0 && (guest->rflags & RFLAGS_IF) != 0
               ? 0
               : PRIMARY_INTERRUPT_WINDOW;
}

static uint32_t windows_of(const struct vmx_cpu *state, const struct vlapic_plan *plan)
{
    return (plan->window ? PRIMARY_INTERRUPT_WINDOW : 0) | (plan->nmi_window ? nmi_window(state) : 0);
}

/* --- without virtual-interrupt delivery: an exit when TPR lets something through ----------------------------------------------- */

/* What is blocked by the class in service is looked at with the EOI, which exits. */
static uint32_t threshold(const struct vmx_cpu *state, const struct vlapic_entry *entry)
{
    uint32_t pending = entry->pending / 16u;
    uint32_t tpr = vmx_page(state, VLAPIC_REG_TPR) / 16u;

    return state->events.accepted || entry->in_service / 16u >= pending || tpr < pending ? 0 : pending;
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

static bool page_is_written(const struct vmx_cpu *state)
{
    return vmx_uses(state, VLAPIC_VMX_REGISTERS | VLAPIC_VMX_DELIVERY | VLAPIC_VMX_IPI);
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
    }
}

/* --- entry and exit ----------------------------------------------------------------------------------------------------------- */

static bool features_may_have_changed(const struct vmx_cpu *state)
{
    return state->is_stale || __atomic_load_n(&state->vm->inhibits, __ATOMIC_SEQ_CST) != state->inhibited;
}

void vlapic_vmx_core_enter(void *cpu_state, const struct vlapic_entry *entry)
{
    struct vmx_cpu *state = cpu_state;
    struct vlapic_plan plan;

    vlapic_vmx_core_unblock(state); /* where a halt came before, and no exit */
    if (features_may_have_changed(state)) {
        vlapic_vmx_core_update_controls(state);
    }
    state->entry.features = state->features;
    plan = vlapic_events_plan(&state->events, state->cpu, make_offer(state, entry), state->vm->ops.acknowledge_extint);
    inject(state, &plan);
    vlapic_vmx_core_set_windows(state, windows_of(state, &plan));
    if (vmx_uses(state, VLAPIC_VMX_DELIVERY)) {
        write_status(state, entry);
    } else if (vmx_uses(state, VLAPIC_VMX_TPR_SHADOW)) {
        write_threshold(state, threshold(state, entry));
    }
    if (page_is_written(state)) {
        vlapic_shadow_keep(&state->shadow, state->page);
        to_hardware_format(state);
    }
}

uint32_t vlapic_vmx_core_exit(void *cpu_state)
{
    struct vmx_cpu *state = cpu_state;

    if (!vmx_uses(state, VLAPIC_VMX_TPR_SHADOW)) {
        return 0;
    }
    if (page_is_written(state)) {
        vlapic_shadow_restore(&state->shadow, state->page);
        from_hardware_format(state);
    }
    vlapic_shadow_tidy(state->page, (vlapic_cpu_apic_base(state->cpu) & VLAPIC_BASE_EXTD) != 0);
    return vmx_uses(state, VLAPIC_VMX_DELIVERY) ? VLAPIC_CHANGE_TPR | VLAPIC_CHANGE_ISR : VLAPIC_CHANGE_TPR;
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

void vlapic_vmx_cancel(struct vlapic_cpu *cpu)
{
    struct vmx_cpu *state = vmx_of(cpu);

    if (state == NULL) {
        return;
    }
    if (state->events.injected != 0) {
        vmx_write(state, VMCS_ENTRY_INFORMATION, 0);
    }
    vlapic_cpu_exit(cpu);
    vlapic_events_cancel(&state->events, cpu);
}
