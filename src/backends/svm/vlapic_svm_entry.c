/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is done before the guest runs, and taken back after: injection or a window, V_TPR and the CR8 intercept, or AVIC. AMD APM 2,
 * "Interrupt and Local APIC Support", "Event Injection", "NMI Virtualization".
 */
#include "vlapic_svm_internal.h"

/* --- NMIs without vNMI: blocked from the injection to the IRET ---------------------------------------------------------------- */

/* The IRET was intercepted before it was executed: it is over when RIP has moved. */
static void look_for_iret(struct svm_cpu *state)
{
    if (state->iret_is_next && svm_get(state, VMCB_RIP) != state->iret_rip) {
        state->iret_is_next = false;
        state->nmi_blocked = false;
    }
}

/* With vNMI hardware holds one pending besides the one in service; more of them are one. It goes before any interrupt. */
static void give_to_vnmi(struct svm_cpu *state, struct vlapic_offer *offer)
{
    if (svm_uses_vnmi(state) && offer->nmi) {
        state->v_nmi = true;
        state->nmi_waits = false;
        state->entry.injected = VLAPIC_SVM_INJECTED_NMI;
        offer->nmi = false;
        offer->open = false;
    }
}

static void take_v_nmi(struct svm_cpu *state)
{
    uint64_t control = svm_get(state, VMCB_INTERRUPT_CONTROL);

    state->v_nmi = (control & CONTROL_V_NMI) != 0;
    if (svm_uses_vnmi(state)) {
        state->nmi_blocked = (control & CONTROL_V_NMI_MASK) != 0;
    }
}

/* --- what the entry is to do ---------------------------------------------------------------------------------------------------- */

static struct vlapic_offer make_offer(const struct svm_cpu *state, const struct vlapic_entry *entry)
{
    const struct vlapic_svm_guest *guest = &state->guest;

    return (struct vlapic_offer){
        .busy = guest->busy,
        .open = (guest->rflags & RFLAGS_IF) != 0 && !guest->shadow,
        .nmi_open = !guest->shadow && !state->nmi_blocked,
        .nmi_again = !guest->shadow,
        .nmi = guest->nmi || state->nmi_waits,
        .extint = guest->extint,
        .vector = (int16_t)(svm_uses_avic(state) ? -1 : entry->deliverable),
    };
}

/* Hardware might deliver an interrupt in the place of the IRET that ends the blocking of NMIs, and nobody could tell: RIP moves either way. */
static bool may_miss_the_iret(const struct svm_cpu *state)
{
    return state->iret_is_next && (state->guest.rflags & RFLAGS_IF) != 0;
}

/* AVIC knows no windows: while one is needed it is not used. */
static bool needs_window(const struct svm_cpu *state)
{
    return (state->guest.extint && state->vm->ops.acknowledge_extint != NULL) || state->events.in_flight != 0 ||
           may_miss_the_iret(state);
}

static void update_features(struct svm_cpu *state)
{
    bool waits = needs_window(state);

    if (state->place.odd_logical) {
        vlapic_svm_core_update_tables(state); /* who had this logical ID may have given it up */
    }
    if (waits != state->by_hand || state->is_stale || !state->is_written ||
        vlapic_svm_core_inhibits(state) != state->inhibited) {
        state->by_hand = waits;
        vlapic_svm_core_update_features(state);
    }
}

/* V_IRQ asks for the window; its vector is never delivered, because the intercept comes before. */
static uint64_t window_bits(bool window)
{
    return window ? CONTROL_V_IRQ | CONTROL_V_PRIORITY | CONTROL_V_IGNORE_TPR : 0;
}

static void write_control(struct svm_cpu *state, bool window)
{
    const uint64_t ours = CONTROL_V_TPR | CONTROL_V_IRQ | CONTROL_V_PRIORITY | CONTROL_V_IGNORE_TPR | CONTROL_V_VECTOR |
                          CONTROL_V_NMI;
    uint64_t control = svm_get(state, VMCB_INTERRUPT_CONTROL) & ~ours;

    control |= svm_page(state, VLAPIC_REG_TPR) >> 4 & CONTROL_V_TPR;
    control |= window_bits(window) | (state->v_nmi ? CONTROL_V_NMI : 0);
    if (state->unblocks_nmi && svm_uses_vnmi(state)) {
        control &= ~CONTROL_V_NMI_MASK;
    }
    control |= state->blocks_nmi ? CONTROL_V_NMI_MASK : 0;
    state->unblocks_nmi = false;
    state->blocks_nmi = false;
    svm_set(state, VMCB_INTERRUPT_CONTROL, control, CLEAN_CONTROL);
}

/* A write to CR8 clears TPR bits 3:0, which V_TPR has not: it could not be told from none that leaves bits 7:4 alone. */
static bool has_subclass(const struct svm_cpu *state)
{
    return !svm_uses_avic(state) && (svm_page(state, VLAPIC_REG_TPR) & 0xFu) != 0;
}

/* Something waits for TPR alone: the write that lets it through has to exit. */
static bool waits_for_tpr(const struct svm_cpu *state, const struct vlapic_entry *entry)
{
    uint32_t pending = entry->pending / 16u;

    return !svm_uses_avic(state) && !state->events.accepted && pending > entry->in_service / 16u &&
           svm_page(state, VLAPIC_REG_TPR) / 16 >= pending;
}

static void write_intercepts(struct svm_cpu *state, bool window, bool cr8)
{
    uint32_t cr = svm_get32(state, VMCB_CR_INTERCEPTS) & ~(CR8_READ | CR8_WRITE);
    uint32_t other = svm_get32(state, VMCB_INTERCEPTS3) & ~INTERCEPT_VINTR;

    svm_set32(state, VMCB_CR_INTERCEPTS, cr | (cr8 ? CR8_WRITE : 0), CLEAN_INTERCEPTS);
    other |= window ? INTERCEPT_VINTR : 0;
    if (!svm_uses_vnmi(state)) {
        other = state->nmi_blocked && !state->iret_is_next ? other | INTERCEPT_IRET : other & ~INTERCEPT_IRET;
    }
    svm_set32(state, VMCB_INTERCEPTS3, other, CLEAN_INTERCEPTS);
}

static void inject(struct svm_cpu *state, const struct vlapic_plan *plan)
{
    if (plan->information == 0) {
        return;
    }
    *(uint64_t *)(void *)(state->vmcb + VMCB_EVENT_INJECTION) = plan->information;
    if (state->entry.injected == VLAPIC_SVM_INJECTED_NONE) { /* vNMI may have got one, too */
        state->entry.injected = (enum vlapic_svm_injected)plan->what;
        state->entry.vector = (uint8_t)plan->information;
    }
    if ((plan->information & VLAPIC_EVENT_TYPE) == VLAPIC_EVENT_TYPE_NMI && !svm_uses_vnmi(state)) {
        state->nmi_blocked = true;
        state->nmi_waits = false;
    }
}

/* What is delivered before the IRET has an IRET of its own, which comes first and ends blocking: that one has to be seen. */
static void expect_another_iret(struct svm_cpu *state, const struct vlapic_plan *plan)
{
    if (plan->information != 0 || state->guest.busy) {
        state->iret_is_next = false;
    }
}

/* An NMI that waits for the end of NMI blocking has the IRET intercept; for anything else, and one on its way always, the next instruction. */
static void wait_for_nmi(struct svm_cpu *state, const struct vlapic_plan *plan)
{
    if (plan->nmi_window && (state->events.nmi_in_flight || !state->nmi_blocked || state->iret_is_next)) {
        state->entry.changes |= VLAPIC_SVM_SINGLE_STEP;
    }
}

/* --- the page --------------------------------------------------------------------------------------------------------------------- */

/* Written by MOV to CR8. */
static void take_v_tpr(struct svm_cpu *state)
{
    uint32_t v_tpr = (uint32_t)(svm_get(state, VMCB_INTERRUPT_CONTROL) & CONTROL_V_TPR);

    if (svm_page(state, VLAPIC_REG_TPR) >> 4 != v_tpr) {
        state->page[VLAPIC_REG_TPR / 4] = v_tpr << 4;
    }
}

/*
 * Accesses that are not of one aligned register go to the page as to memory, without an exit. The VM has no extended registers, or it did without
 * AVIC: what the page has in their places never changes. The shadow has the others.
 */
static void tidy_page(struct svm_cpu *state)
{
    vlapic_shadow_restore(&state->shadow, state->page);
    vlapic_shadow_tidy(state->page, (state->features & VLAPIC_SVM_AVIC) == 0);
    state->page[VLAPIC_REG_VERSION / 4] = state->version;
    state->page[VLAPIC_REG_ISR / 4] &= ~ILLEGAL_VECTORS;
    state->page[VLAPIC_REG_TMR / 4] &= ~ILLEGAL_VECTORS;
    state->page[VLAPIC_REG_EXT_CONTROL / 4] = 0;
    for (uint32_t i = 0; i < 8; i++) {
        state->page[VLAPIC_REG_IER / 4 + i * 4] = UINT32_MAX;
        state->page[VLAPIC_REG_EXT_LVT / 4 + i * 4] = VLAPIC_LVT_MASKED;
    }
}

/* --- entry and exit ------------------------------------------------------------------------------------------------------------------ */

/*
 * AVIC is switched before the run state says that the guest runs. What hardware and posters have set in IRR since the last exit, because they
 * saw AVIC, VMRUN does not look at without it: then the last look before the entry has to [E2].
 */
static void prepare(struct svm_cpu *state)
{
    bool used_avic = svm_uses_avic(state);

    state->vmcb = state->vm->ops.vmcb(state->cookie);
    update_features(state);
    state->shared->asks = (state->shared->asks || used_avic) && !svm_uses_avic(state);
    state->is_prepared = true;
}

void vlapic_svm_core_enter(void *cpu_state, const struct vlapic_entry *entry)
{
    struct svm_cpu *state = cpu_state;
    struct vlapic_offer offer;
    struct vlapic_plan plan;

    if (!state->is_prepared) {
        prepare(state);
    }
    state->is_prepared = false;
    state->shared->asks = false;
    look_for_iret(state);
    offer = make_offer(state, entry);
    give_to_vnmi(state, &offer);
    plan = vlapic_events_plan(&state->events, state->cpu, offer, state->vm->ops.acknowledge_extint);
    if (state->events.accepted) {
        vlapic_svm_core_know_one(state, (uint8_t)state->events.injected, false);
    }
    inject(state, &plan);
    expect_another_iret(state, &plan);
    wait_for_nmi(state, &plan);
    write_control(state, plan.window);
    write_intercepts(state, plan.window, waits_for_tpr(state, entry) || has_subclass(state));
    state->entry.features = state->features;
    state->entry.changes |= state->changes;
    state->changes = 0;
    if (state->needs_flush && (state->vm->features & VLAPIC_SVM_AVIC) != 0) {
        state->entry.changes |= VLAPIC_SVM_FLUSH_TLB;
    }
    state->needs_flush = false;
    if (svm_uses_avic(state)) {
        vlapic_shadow_keep(&state->shadow, state->page);
        state->version = svm_page(state, VLAPIC_REG_VERSION);
        vlapic_svm_core_set_running(state, true, false);
    }
}

uint32_t vlapic_svm_core_exit(void *cpu_state)
{
    struct svm_cpu *state = cpu_state;

    take_v_nmi(state);
    look_for_iret(state);
    if (svm_uses_avic(state)) {
        tidy_page(state);
        vlapic_svm_core_publish_levels(state);
        vlapic_svm_core_know(state);
        return VLAPIC_CHANGE_TPR | VLAPIC_CHANGE_ISR;
    }
    take_v_tpr(state);
    return VLAPIC_CHANGE_TPR;
}

bool vlapic_svm_enter(struct vlapic_cpu *cpu, const struct vlapic_svm_guest *guest, struct vlapic_svm_entry *entry)
{
    struct svm_cpu *state = svm_of(cpu);
    bool entered;

    *entry = (struct vlapic_svm_entry){ 0 };
    if (state == NULL) {
        return false;
    }
    state->guest = *guest;
    state->entry = *entry;
    prepare(state);
    entered = vlapic_cpu_enter(cpu);
    state->guest = (struct vlapic_svm_guest){ .busy = true }; /* an entry past this function injects nothing */
    if (entered) {
        *entry = state->entry;
    }
    return entered;
}

void vlapic_svm_cancel(struct vlapic_cpu *cpu)
{
    struct svm_cpu *state = svm_of(cpu);
    uint8_t vector;
    bool accepted;

    if (state == NULL) {
        return;
    }
    vector = (uint8_t)state->events.injected;
    accepted = state->events.accepted;
    if (state->events.injected != 0) {
        *(uint64_t *)(void *)(state->vmcb + VMCB_EVENT_INJECTION) = 0;
    }
    /* Not done, or it does not harm to do it again; a step is for what waits then. */
    state->changes |= state->entry.changes & (VLAPIC_SVM_CHANGED_MAPPING | VLAPIC_SVM_FLUSH_TLB);
    vlapic_cpu_exit(cpu);
    vlapic_events_cancel(&state->events, cpu);
    if (accepted) {
        vlapic_svm_core_know_one(state, vector, true);
    }
}
