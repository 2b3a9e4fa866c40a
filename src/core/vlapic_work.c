/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The mailbox between all threads and the owner: posting, kicking, the run state, polling. The hand-overs are argued in
 * docs/CONCURRENCY.md; the numbers in brackets are its steps. Intel SDM 3A, "Handling Interrupts".
 */
#include "vlapic_model.h"

/* A kick is due if the vCPU may be in the guest or asleep. [P3] pairs with [E1] and [H1]: both sides write, then read, in
 * sequentially consistent order, so at least one of them sees the other. */
static void kick_if_away(struct vlapic_cpu *cpu)
{
    if (vlapic_load_seq(&cpu->run_state) != VLAPIC_RUN_HOST) {
        cpu->vm->host.kick(cpu->cookie);
    }
}

void vlapic_core_notify(struct vlapic_cpu *cpu, uint64_t bit)
{
    /* [P2] If the bit was set already, whoever set it has kicked or is about to, and the owner has not looked since. */
    if ((vlapic_fetch_or(&cpu->work, bit) & bit) == 0) {
        kick_if_away(cpu);
    }
}

/* An INIT voids a SIPI that is older; of several SIPIs the first is kept. */
static uint64_t with_init_or_sipi(uint64_t work, uint8_t delivery, uint8_t vector)
{
    if (delivery == VLAPIC_DELIVERY_INIT) {
        return (work & ~(VLAPIC_WORK_SIPI | VLAPIC_WORK_SIPI_VECTOR)) | VLAPIC_WORK_INIT;
    }
    if ((work & VLAPIC_WORK_SIPI) != 0) {
        return work;
    }
    return work | VLAPIC_WORK_SIPI | (uint64_t)vector << VLAPIC_WORK_SIPI_SHIFT;
}

static void post_init_or_sipi(struct vlapic_cpu *cpu, uint8_t delivery, uint8_t vector)
{
    uint64_t old = vlapic_load_relaxed(&cpu->work);
    uint64_t updated;

    do {
        updated = with_init_or_sipi(old, delivery, vector);
    } while (!vlapic_compare_swap(&cpu->work, &old, updated));
    if (updated != old) {
        kick_if_away(cpu);
    }
}

/* accept() of the reference for a message from elsewhere. */
static bool post_vector(struct vlapic_cpu *cpu, uint8_t vector, bool level)
{
    if ((vlapic_load_acquire(&cpu->route) & VLAPIC_ROUTE_SOFTWARE_ENABLED) == 0) {
        return false;
    }
    if (vector < 16) {
        vlapic_core_notify(cpu, VLAPIC_WORK_BAD_VECTOR);
        return false;
    }
    /* [P1] */
    if (cpu->backend->post(cpu->backend_state, vector, level) == VLAPIC_POST_KICK) {
        vlapic_core_notify(cpu, VLAPIC_WORK_POSTED);
    }
    return true;
}

bool vlapic_core_post(struct vlapic_cpu *cpu, uint8_t delivery, uint8_t vector, bool level)
{
    switch (delivery) {
    case VLAPIC_DELIVERY_FIXED:
    case VLAPIC_DELIVERY_LOWEST:
        return post_vector(cpu, vector, level);
    case VLAPIC_DELIVERY_SMI:
        vlapic_core_notify(cpu, VLAPIC_WORK_SMI);
        return true;
    case VLAPIC_DELIVERY_NMI:
        vlapic_core_notify(cpu, VLAPIC_WORK_NMI);
        return true;
    case VLAPIC_DELIVERY_INIT:
    case VLAPIC_DELIVERY_SIPI:
        post_init_or_sipi(cpu, delivery, vector);
        return true;
    case VLAPIC_DELIVERY_EXTINT:
        /* Implementation choice: as a Fixed one, it is not accepted while software-disabled. */
        if ((vlapic_load_acquire(&cpu->route) & VLAPIC_ROUTE_SOFTWARE_ENABLED) == 0) {
            return false;
        }
        vlapic_core_notify(cpu, VLAPIC_WORK_EXTINT);
        return true;
    default:
        return false;
    }
}

bool vlapic_cpu_post(struct vlapic_cpu *cpu, uint8_t vector, bool level)
{
    return (vlapic_load_acquire(&cpu->route) & VLAPIC_ROUTE_EN) != 0 && post_vector(cpu, vector, level);
}

void vlapic_cpu_timer_expired(struct vlapic_cpu *cpu)
{
    vlapic_core_notify(cpu, VLAPIC_WORK_TIMER);
}

/* --- the owner's side ---------------------------------------------------------------------------------------------------- */

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

static void collect(struct vlapic_cpu *cpu)
{
    struct vlapic_vectors posted, level;

    /* [C2] A vector that arrives while the APIC is disabled is dropped; senders look, but may have looked before. */
    if (cpu->backend->collect(cpu->backend_state, &posted, &level) && vlapic_is_enabled(cpu)) {
        vlapic_core_merge(cpu, &posted, &level);
    }
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
    uint64_t work = vlapic_fetch_and(&cpu->work, VLAPIC_WORK_LINES) & ~VLAPIC_WORK_LINES;

    if ((work & VLAPIC_WORK_POSTED) != 0) {
        collect(cpu);
    }
    if ((work & ~VLAPIC_WORK_POSTED) != 0) {
        settle_rare(cpu, work);
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

void vlapic_cpu_poll(struct vlapic_cpu *cpu, struct vlapic_poll *duty)
{
    VLAPIC_ASSERT_OWNER(cpu);
    vlapic_settle(cpu);
    vlapic_core_check_derived(cpu);
    cpu->repoll = false;
    *duty = (struct vlapic_poll){ .vector = -1 };
    if (vlapic_unlikely(cpu->events != 0)) {
        report_events(cpu, duty);
    }
    if (vlapic_unlikely(cpu->wait_for_sipi)) {
        duty->wait_for_sipi = true;
        return;
    }
    duty->extint = vlapic_core_lint_extint(cpu);
    duty->vector = vlapic_core_deliverable(cpu);
}

/* Leave the host state, then look once more: see kick_if_away(). */
static bool go_away(struct vlapic_cpu *cpu, uint32_t run_state)
{
    vlapic_exchange(&cpu->run_state, run_state);                                  /* [E1], [H1] */
    if (cpu->repoll || (vlapic_load_seq(&cpu->work) & ~VLAPIC_WORK_LINES) != 0) { /* [E2], [H2] */
        vlapic_store_release(&cpu->run_state, VLAPIC_RUN_HOST);
        return false;
    }
    return true;
}

bool vlapic_cpu_enter(struct vlapic_cpu *cpu)
{
    VLAPIC_ASSERT_OWNER(cpu);
    if (!go_away(cpu, VLAPIC_RUN_GUEST)) {
        return false;
    }
    if (cpu->backend->enter != NULL) {
        cpu->backend->enter(cpu->backend_state);
    }
    return true;
}

void vlapic_cpu_exit(struct vlapic_cpu *cpu)
{
    VLAPIC_ASSERT_OWNER(cpu);
    if (cpu->backend->exit != NULL && vlapic_load_relaxed(&cpu->run_state) == VLAPIC_RUN_GUEST) {
        cpu->backend->exit(cpu->backend_state);
    }
    vlapic_store_release(&cpu->run_state, VLAPIC_RUN_HOST);
}

bool vlapic_cpu_halt(struct vlapic_cpu *cpu)
{
    VLAPIC_ASSERT_OWNER(cpu);
    return go_away(cpu, VLAPIC_RUN_HALTED);
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
