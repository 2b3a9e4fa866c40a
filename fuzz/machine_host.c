/* SPDX-License-Identifier: BSD-2-Clause */
/* The fuzzers' host: callbacks with what each call must be, clocks and host timers, a backend that watches what it is told. */
#include "machine_internal.h"
#include "posting_backend.h"

/* --- callbacks ------------------------------------------------------------------------------------------------------------- */

static uint64_t saturating_add(uint64_t a, uint64_t b)
{
    return b > UINT64_MAX - a ? UINT64_MAX : a + b;
}

static void step_clock(struct machine *m, uint64_t ns)
{
    m->now_ns = saturating_add(m->now_ns, ns);
    if (m->now_ns > m->latest_ns) {
        m->latest_ns = m->now_ns;
    }
}

static uint64_t now_ns(void *cookie)
{
    struct machine *m = ((struct machine_cpu *)cookie)->machine;

    step_clock(m, m->drift_ns);
    return m->now_ns;
}

static uint64_t now_tsc(void *cookie)
{
    return ((struct machine_cpu *)cookie)->machine->now_tsc;
}

static void goes_off_at_once(struct machine_cpu *c)
{
    if (c->machine->eager && ++c->machine->arms % 4 == 0) {
        machine_fire(c);
    }
}

static void arm_ns(void *cookie, uint64_t deadline_ns)
{
    struct machine_cpu *c = cookie;
    struct machine *m = c->machine;

    c->armed_ns = true;
    c->armed_tsc = false;
    c->armed_exactly = m->drift_ns == 0 && !machine_clock_is_behind(m);
    c->deadline = deadline_ns;
    c->earliest_ns = saturating_add(m->now_ns, m->config.timer_floor_ns);
    MUST(!c->armed_exactly || deadline_ns >= c->earliest_ns);
    goes_off_at_once(c);
}

static void arm_tsc(void *cookie, uint64_t deadline_tsc)
{
    struct machine_cpu *c = cookie;

    MUST(deadline_tsc > c->machine->now_tsc);
    c->armed_ns = false;
    c->armed_tsc = true;
    c->deadline = deadline_tsc;
    goes_off_at_once(c);
}

static void cancel(void *cookie)
{
    struct machine_cpu *c = cookie;

    c->armed_ns = false;
    c->armed_tsc = false;
}

static void kick(void *cookie)
{
    struct machine_cpu *c = cookie;

    MUST(c->run != MACHINE_IN_HOST);
    c->kicked = true;
}

static void kick_many(void *vm_cookie, void *const *cpu_cookies, uint32_t count)
{
    (void)vm_cookie;
    MUST(count >= 1 && count <= 16);
    for (uint32_t i = 0; i < count; i++) {
        kick(cpu_cookies[i]);
    }
}

static void eoi_notify(void *cookie, uint8_t vector, bool level)
{
    struct machine_cpu *c = cookie;

    MUST(c->notified_vector < 0);
    c->notified_vector = vector;
    c->notified_level = level;
}

static void eoi_broadcast(void *cookie, uint8_t vector)
{
    struct machine *m = cookie;
    struct vlapic_message again = { .vector = vector, .level = true };

    MUST(m->broadcast < 0);
    m->broadcast = vector;
    if (m->resend) {
        again.destination = m->current->apic_id;
        vlapic_vm_deliver(m->vm, &again);
    }
}

static void base_changed(void *cookie, uint64_t old_value, uint64_t new_value)
{
    struct machine_cpu *c = cookie;

    MUST(old_value == c->base && new_value != old_value);
    c->base = new_value;
}

static uint32_t choose_lowest(void *cookie, uint8_t vector, uint32_t count)
{
    struct machine *m = cookie;

    MUST(count >= 1 && count <= m->cpu_count);
    (void)vector;
    return m->choice;
}

static bool on_cpu_thread(void *cookie)
{
    return machine_is_home(cookie);
}

/* --- the watching backend: vectors go through `soft`, the registers lie in a page ------------------------------------------ */

#define POSTING_BYTES 64u

struct watched_cpu {
    _Alignas(8) uint8_t posting[POSTING_BYTES]; /* what posting_backend's owner has */
    struct machine_cpu *owner;
};

static enum vlapic_status watched_init(const struct vlapic_cpu_memory *memory, void *vm_state, struct vlapic_cpu *cpu)
{
    struct watched_cpu *watched = memory->owned;
    const struct vlapic_cpu_memory parts = { .owned = watched->posting, .shared = memory->shared };

    MUST(posting_backend.cpu_state_bytes <= POSTING_BYTES && posting_backend.cpu_shared_bytes <= POSTING_BYTES);
    MUST(posting_backend.cpu_init(&parts, vm_state, cpu) == VLAPIC_OK);
    watched->owner = vlapic_cpu_cookie(cpu);
    watched->owner->changed = 0;
    watched->owner->in_guest = false;
    return VLAPIC_OK;
}

static enum vlapic_post watched_post(void *shared, uint8_t vector, bool level)
{
    MUST(vector >= 16);
    return posting_backend.post(shared, vector, level);
}

static bool watched_collect(void *state, struct vlapic_vectors *posted, struct vlapic_vectors *level)
{
    struct watched_cpu *watched = state;

    MUST(!watched->owner->in_guest || watched->owner->machine->notified);
    return posting_backend.collect(watched->posting, posted, level);
}

static void watched_enter(void *state, const struct vlapic_entry *entry)
{
    struct machine_cpu *owner = ((struct watched_cpu *)state)->owner;

    MUST(!owner->in_guest);
    MUST(entry->deliverable == -1 || (uint32_t)entry->deliverable == entry->pending);
    owner->in_guest = true;
}

static uint32_t watched_exit(void *state)
{
    struct machine_cpu *owner = ((struct watched_cpu *)state)->owner;

    MUST(owner->in_guest);
    owner->in_guest = false;
    return 0;
}

static void watched_changed(void *state, uint32_t what)
{
    MUST(what != 0 && (what & ~(uint32_t)VLAPIC_CHANGE_ALL) == 0);
    ((struct watched_cpu *)state)->owner->changed |= what;
}

static const struct vlapic_backend watched_backend = {
    .abi = VLAPIC_BACKEND_ABI,
    .size = sizeof(struct vlapic_backend),
    .name = "watched",
    .cpu_state_bytes = sizeof(struct watched_cpu),
    .cpu_shared_bytes = POSTING_BYTES,
    .cpu_pages = 1,
    .cpu_init = watched_init,
    .post = watched_post,
    .collect = watched_collect,
    .enter = watched_enter,
    .exit = watched_exit,
    .changed = watched_changed,
};

/* --- all of it ------------------------------------------------------------------------------------------------------------- */

void machine_set_host(struct machine *m)
{
    m->ops = (struct vlapic_host_ops){
        .size = m->bare ? offsetof(struct vlapic_host_ops, eoi_broadcast) : sizeof(m->ops),
        .abi = VLAPIC_HOST_ABI,
        .now_ns = now_ns,
        .timer_arm_ns = arm_ns,
        .timer_cancel = cancel,
        .kick = kick,
        .eoi_broadcast = eoi_broadcast,
        .eoi_notify = eoi_notify,
        .base_changed = base_changed,
        .now_tsc = m->config.tsc_deadline ? now_tsc : NULL,
        .timer_arm_tsc = m->config.tsc_deadline ? arm_tsc : NULL,
        .choose_lowest = m->chooser ? choose_lowest : NULL,
        .on_cpu_thread = on_cpu_thread,
        .kick_many = m->watched ? kick_many : NULL,
    };
    m->config.host = &m->ops;
    m->config.cookie = m;
    m->config.backend = m->watched ? &watched_backend : &vlapic_backend_soft;
}

/* --- time ------------------------------------------------------------------------------------------------------------------ */

void machine_pass(struct machine *m, uint64_t ns)
{
    step_clock(m, ns);
    m->now_tsc += ns * m->tsc_rate;
}

bool machine_clock_is_behind(const struct machine *m)
{
    return m->now_ns < m->latest_ns;
}

void machine_fire(struct machine_cpu *c)
{
    bool known = c->expired;

    c->armed_ns = false;
    c->armed_tsc = false;
    c->expired = true;
    vlapic_cpu_timer_expired(c->cpu);
    if (!known) {
        machine_check_kick(c);
    }
}

void machine_fire_due(struct machine *m)
{
    for (unsigned i = 0; i < m->cpu_count; i++) {
        struct machine_cpu *c = &m->cpus[i];

        if ((c->armed_ns && m->now_ns >= c->deadline) || (c->armed_tsc && m->now_tsc >= c->deadline)) {
            machine_fire(c);
        }
    }
}
