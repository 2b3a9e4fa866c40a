/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The owner's side of the mailbox: taking out what others posted, the run state, polling. The hand-overs are argued in
 * docs/CONCURRENCY.md; the numbers in brackets are its steps. The posters' side: vlapic_mailbox.h, vlapic_post.c. Intel SDM 3A,
 * "Handling Interrupts".
 */
#include "vlapic_model.h"

static void latch_core_events(struct vlapic_cpu *cpu, uint64_t work)
{
    if ((work & VLAPIC_WORK_INIT) != 0) {
        cpu->events &= ~(VLAPIC_WORK_SIPI | VLAPIC_WORK_SIPI_VECTOR);
    }
    cpu->events |= work & (VLAPIC_WORK_INIT | VLAPIC_WORK_NMI | VLAPIC_WORK_SMI | VLAPIC_WORK_EXTINT);
    if ((work & VLAPIC_WORK_SIPI) != 0 && (cpu->events & VLAPIC_WORK_SIPI) == 0) {
        cpu->events |= work & (VLAPIC_WORK_SIPI | VLAPIC_WORK_SIPI_VECTOR);
    }
}

/* [C2] The looks are sequentially consistent: [C1] has said before that we look. */
static inline uint64_t take_posted(struct vlapic_cpu *cpu, uint32_t word)
{
    return vlapic_load_seq(&cpu->posted[word]) != 0 ? vlapic_exchange(&cpu->posted[word], 0) : 0;
}

static void collect_from_backend(struct vlapic_cpu *cpu, bool keep)
{
    struct vlapic_vectors posted, level;

    if (cpu->backend->collect(cpu->backend_state, &posted, &level) && keep) {
        for (uint32_t w = 0; w < 4; w++) {
            vlapic_core_merge(cpu, w, posted.word[w], level.word[w]);
        }
    }
    if (cpu->irr_is_shared) {
        vlapic_core_page_changed(cpu);
    }
}

/* A vector that arrives while the APIC is disabled is dropped; senders look, but may have looked before. What a backend declined comes
 * after what it took: its trigger mode is the newer one. */
static void collect(struct vlapic_cpu *cpu, bool keep)
{
    if (vlapic_unlikely(cpu->backend->collect != NULL)) {
        collect_from_backend(cpu, keep);
    }
    for (uint32_t w = 0; w < 4; w++) {
        uint64_t posted = take_posted(cpu, w);

        /* The load of the mode is sequentially consistent also because it keeps what the handler reads behind the exchange [P0]. */
        if (posted != 0 && keep) {
            vlapic_core_merge(cpu, w, posted, vlapic_load_seq(&cpu->posted_level[w]));
        }
    }
}

void vlapic_core_drop_posted(struct vlapic_cpu *cpu)
{
    collect(cpu, false);
}

/* Pins come before messages: an INIT by pin voids a SIPI that was seen before, but not one that may have come after it. */
static void settle_rare(struct vlapic_cpu *cpu, uint64_t work)
{
    for (uint32_t pin = 0; pin < 2; pin++) {
        if ((work & VLAPIC_WORK_RISE(pin)) != 0) {
            vlapic_core_lint_rise(cpu, pin);
        }
    }
    latch_core_events(cpu, work);
    for (uint64_t bits = (work >> 16) & 0xFFFFu; bits != 0; bits &= bits - 1) {
        vlapic_core_lvt_event(cpu, vlapic_bit_index(bits));
    }
    if ((work & VLAPIC_WORK_BAD_VECTOR) != 0 && vlapic_is_enabled(cpu)) {
        vlapic_core_error(cpu, VLAPIC_ESR_RECEIVE_ILLEGAL_VECTOR);
    }
    if ((work & VLAPIC_WORK_TIMER) != 0) {
        vlapic_core_timer_host_expired(cpu);
    }
}

void vlapic_core_settle(struct vlapic_cpu *cpu)
{
    /* [C1] The bits are cleared before what they announce is fetched: what is posted from now on sets them anew. */
    uint64_t work = vlapic_exchange(&cpu->work, 0);

    cpu->repoll = true;
    if ((work & VLAPIC_WORK_POSTED) != 0) {
        collect(cpu, vlapic_is_enabled(cpu));
    }
    if ((work & ~VLAPIC_WORK_POSTED) != 0) {
        settle_rare(cpu, work);
    }
}

void vlapic_core_settle_all(struct vlapic_cpu *cpu)
{
    vlapic_settle(cpu);
    if (cpu->backend->collect != NULL) {
        collect_from_backend(cpu, vlapic_is_enabled(cpu));
        cpu->repoll = true;
    }
}

/* A SIPI counts only for a vCPU that waits for one; while an INIT is on its way to the core it stays latched. */
static void report_sipi(struct vlapic_cpu *cpu, struct vlapic_poll *duty)
{
    if ((cpu->events & VLAPIC_WORK_SIPI) == 0 || cpu->init_handed_over) {
        return;
    }
    if (cpu->wait_for_sipi) {
        duty->sipi = true;
        duty->sipi_vector = (uint8_t)(cpu->events >> VLAPIC_WORK_SIPI_SHIFT);
        cpu->wait_for_sipi = false;
    }
    cpu->events &= ~(VLAPIC_WORK_SIPI | VLAPIC_WORK_SIPI_VECTOR);
}

static void report_events(struct vlapic_cpu *cpu, struct vlapic_poll *duty)
{
    if ((cpu->events & VLAPIC_WORK_INIT) != 0) {
        duty->init = true;
        cpu->init_handed_over = true;
        cpu->events &= ~VLAPIC_WORK_INIT;
    }
    report_sipi(cpu, duty);
    if (!cpu->wait_for_sipi) {
        duty->nmi = (cpu->events & VLAPIC_WORK_NMI) != 0;
        duty->smi = (cpu->events & VLAPIC_WORK_SMI) != 0;
        duty->extint_message = (cpu->events & VLAPIC_WORK_EXTINT) != 0;
        cpu->events &= ~(VLAPIC_WORK_NMI | VLAPIC_WORK_SMI | VLAPIC_WORK_EXTINT);
    }
}

static vlapic_cold void poll_all(struct vlapic_cpu *cpu, struct vlapic_poll *duty)
{
    *duty = (struct vlapic_poll){ .vector = -1 };
    report_events(cpu, duty);
    duty->wait_for_sipi = cpu->wait_for_sipi;
    if (!cpu->wait_for_sipi) {
        duty->extint = vlapic_core_lint_extint(cpu);
        duty->vector = vlapic_deliverable(cpu);
    }
}

static inline void report(struct vlapic_cpu *cpu, struct vlapic_poll *duty)
{
    vlapic_core_check_derived(cpu);
    cpu->repoll = false;
    if (vlapic_unlikely((cpu->events | vlapic_load_acquire(&cpu->lines)) != 0 || cpu->wait_for_sipi)) {
        poll_all(cpu, duty);
    } else {
        *duty = (struct vlapic_poll){ .vector = vlapic_deliverable(cpu) };
    }
}

static void settle_and_report(struct vlapic_cpu *cpu, struct vlapic_poll *duty)
{
    vlapic_core_settle(cpu);
    report(cpu, duty);
}

void vlapic_cpu_poll(struct vlapic_cpu *cpu, struct vlapic_poll *duty)
{
    VLAPIC_ASSERT_OWNER(cpu);
    if (vlapic_has_work(cpu)) {
        settle_and_report(cpu, duty);
    } else {
        report(cpu, duty);
    }
}

/* [E2], [H2] */
static bool has_news(struct vlapic_cpu *cpu)
{
    if (cpu->repoll || vlapic_load_seq(&cpu->work) != 0) {
        return true;
    }
    if (vlapic_unlikely(cpu->backend->pending != NULL && cpu->backend->pending(cpu->backend_shared))) {
        vlapic_fetch_or(&cpu->work, VLAPIC_WORK_POSTED); /* for the poll that follows */
        return true;
    }
    return false;
}

static vlapic_cold void wake_up(struct vlapic_cpu *cpu)
{
    if (cpu->backend->unblock != NULL) {
        cpu->backend->unblock(cpu->backend_state);
    }
}

/* Leave the host state, then look once more: see vlapic_kick_if_away(). */
bool vlapic_cpu_enter(struct vlapic_cpu *cpu)
{
    VLAPIC_ASSERT_OWNER(cpu);
    if (vlapic_unlikely(vlapic_exchange(&cpu->run_state, VLAPIC_RUN_GUEST) == VLAPIC_RUN_HALTED)) { /* [E1] */
        wake_up(cpu);
    }
    if (has_news(cpu)) {
        vlapic_store_release(&cpu->run_state, VLAPIC_RUN_HOST);
        return false;
    }
    if (cpu->backend->enter != NULL) {
        const struct vlapic_entry entry = {
            .pending = (uint8_t)cpu->pending,
            .in_service = (uint8_t)cpu->in_service,
            .ppr = (uint8_t)vlapic_get(cpu, VLAPIC_REG_PPR),
            .deliverable = vlapic_deliverable(cpu),
        };

        cpu->backend->enter(cpu->backend_state, &entry);
    }
    return true;
}

static vlapic_cold void leave_guest(struct vlapic_cpu *cpu)
{
    if (cpu->backend->exit(cpu->backend_state) != 0) {
        vlapic_core_page_changed(cpu);
    }
}

void vlapic_cpu_exit(struct vlapic_cpu *cpu)
{
    uint32_t run_state = vlapic_load_relaxed(&cpu->run_state);

    VLAPIC_ASSERT_OWNER(cpu);
    if (cpu->backend->exit != NULL && run_state == VLAPIC_RUN_GUEST) {
        leave_guest(cpu);
    }
    if (vlapic_unlikely(run_state == VLAPIC_RUN_HALTED)) {
        wake_up(cpu);
    }
    vlapic_store_release(&cpu->run_state, VLAPIC_RUN_HOST);
}

bool vlapic_cpu_halt(struct vlapic_cpu *cpu)
{
    VLAPIC_ASSERT_OWNER(cpu);
    vlapic_exchange(&cpu->run_state, VLAPIC_RUN_HALTED); /* [H1] */
    if (cpu->backend->block != NULL) {
        cpu->backend->block(cpu->backend_state);
    }
    if (has_news(cpu)) {
        vlapic_cpu_exit(cpu);
        return false;
    }
    return true;
}

void vlapic_cpu_load(struct vlapic_cpu *cpu)
{
    VLAPIC_ASSERT_OWNER(cpu);
    if (cpu->backend->load != NULL) {
        cpu->backend->load(cpu->backend_state);
    }
}

void vlapic_cpu_put(struct vlapic_cpu *cpu)
{
    VLAPIC_ASSERT_OWNER(cpu);
    if (cpu->backend->put != NULL) {
        cpu->backend->put(cpu->backend_state);
    }
}
