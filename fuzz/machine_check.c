/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What has to hold after any operation, from the manuals: reserved bits, priorities, the software-disabled state, the timer. Nothing
 * here knows how the library computes any of it.
 */
#include "machine_internal.h"

#include <string.h>

#define DFR_LOW 0x0FFFFFFFu
#define ICR_LOW_BITS 0x000CCFFFu
/* Bits that this model records: redirectable IPI, send and receive illegal vector, illegal register address. */
#define ESR_BITS 0xF0u

/* --- the state's parts ----------------------------------------------------------------------------------------------------- */

static void check_base(const struct machine_cpu *c, const struct vlapic_cpu_state *s)
{
    const struct vlapic_vm_config *config = &c->machine->config;
    uint64_t mode = s->apic_base & (VLAPIC_BASE_EN | VLAPIC_BASE_EXTD);

    MUST(s->apic_base == vlapic_cpu_apic_base(c->cpu));
    MUST(s->apic_base >> config->phys_bits == 0 && (s->apic_base & 0x2FF) == 0);
    MUST(mode != VLAPIC_BASE_EXTD);
    MUST(config->x2apic || (mode & VLAPIC_BASE_EXTD) == 0);
    if (!c->machine->bare) {
        MUST(s->apic_base == c->base);
    }
}

static void check_identity(const struct machine_cpu *c, const struct vlapic_cpu_state *s)
{
    const struct vlapic_vm_config *config = &c->machine->config;
    bool x2apic = (s->apic_base & VLAPIC_BASE_EXTD) != 0;

    MUST(s->apic_id == c->apic_id);
    MUST(s->xapic_id <= 0xFF);
    MUST(s->xapic_id == (c->apic_id & 0xFF) || (config->id_writable && !x2apic));
    MUST((s->ldr & 0x00FFFFFF) == 0 && (!x2apic || s->ldr == 0));
    MUST((s->dfr & DFR_LOW) == DFR_LOW);
}

static void check_control(const struct machine_cpu *c, const struct vlapic_cpu_state *s)
{
    const struct vlapic_vm_config *config = &c->machine->config;
    uint32_t esr_bits = c->machine->imported ? 0xFF : ESR_BITS;
    bool x2apic = (s->apic_base & VLAPIC_BASE_EXTD) != 0;

    MUST(s->tpr <= 0xFF);
    MUST(vlapic_cpu_cr8_read(c->cpu) == s->tpr >> 4);
    MUST((s->svr & ~(config->eoi_suppression ? 0x13FFu : 0x3FFu)) == 0);
    MUST(((s->esr | s->esr_pending) & ~esr_bits) == 0);
    MUST((s->icr & 0xFFFFFFFFu & ~ICR_LOW_BITS) == 0);
    MUST(x2apic || (s->icr >> 32 & 0x00FFFFFF) == 0);
    MUST((s->ext_control & ~(config->ext_space ? (uint32_t)config->ext_features : 0)) == 0);
}

uint32_t machine_lvt_bits(const struct vlapic_vm_config *config, uint32_t entry)
{
    switch (entry) {
    case VLAPIC_LVT_TIMER:
        return config->tsc_deadline ? 0x700FF : 0x300FF;
    case VLAPIC_LVT_THERMAL:
    case VLAPIC_LVT_PERF:
        return 0x107FF;
    case VLAPIC_LVT_LINT0:
    case VLAPIC_LVT_LINT1:
        return 0x1A7FF;
    case VLAPIC_LVT_ERROR:
        return 0x100FF;
    case VLAPIC_LVT_CMCI:
        return config->max_lvt >= 6 ? 0x107FF : 0;
    default:
        return config->ext_space && entry - VLAPIC_LVT_EXT0 < config->ext_lvt_count ? 0x107FF : 0;
    }
}

static void check_lvt(const struct machine_cpu *c, const struct vlapic_cpu_state *s, uint32_t entry, uint32_t value)
{
    uint32_t bits = machine_lvt_bits(&c->machine->config, entry);

    if (bits == 0) {
        MUST(value == VLAPIC_LVT_MASKED);
        return;
    }
    if (entry == VLAPIC_LVT_LINT0 && (value & (VLAPIC_DELIVERY_MASK | VLAPIC_LVT_LEVEL)) == VLAPIC_LVT_LEVEL) {
        bits |= VLAPIC_LVT_REMOTE_IRR;
    }
    MUST((value & ~bits) == 0);
    MUST((s->svr & VLAPIC_SVR_ENABLE) != 0 || (value & VLAPIC_LVT_MASKED) != 0);
}

static void check_lvts(const struct machine_cpu *c, const struct vlapic_cpu_state *s)
{
    for (uint32_t i = 0; i < VLAPIC_LVT_COUNT; i++) {
        check_lvt(c, s, i, s->lvt[i]);
    }
    for (uint32_t i = 0; i < VLAPIC_LVT_EXT_MAX; i++) {
        check_lvt(c, s, VLAPIC_LVT_EXT0 + i, s->lvt_ext[i]);
    }
}

static uint32_t any_of(const uint32_t words[8])
{
    uint32_t any = 0;

    for (uint32_t w = 0; w < 8; w++) {
        any |= words[w];
    }
    return any;
}

static void check_vectors(const struct machine_cpu *c, const struct vlapic_cpu_state *s)
{
    MUST(((s->isr[0] | s->irr[0] | s->tmr[0]) & 0xFFFF) == 0);
    if ((s->apic_base & VLAPIC_BASE_EN) == 0) {
        MUST((any_of(s->isr) | any_of(s->irr) | any_of(s->tmr)) == 0);
    }
    for (uint32_t w = 0; w < 8; w++) {
        MUST(s->ier[w] == UINT32_MAX || machine_has_ier(&c->machine->config));
    }
}

static void check_events(struct machine_cpu *c, const struct vlapic_cpu_state *s)
{
    bool line0 = (s->events & VLAPIC_EVENT_LINE0) != 0, line1 = (s->events & VLAPIC_EVENT_LINE1) != 0;

    MUST(s->events <= 0xFF);
    MUST(s->sipi_vector <= ((s->events & VLAPIC_EVENT_SIPI) != 0 ? 0xFFu : 0u));
    MUST((line0 == c->line[0] && line1 == c->line[1]) || c->machine->imported);
    c->line[0] = line0;
    c->line[1] = line1;
}

static uint32_t divisor_shift(uint32_t divide_config)
{
    static const uint8_t shifts[8] = { 1, 2, 3, 4, 5, 6, 7, 0 };

    return shifts[(divide_config >> 1 & 4u) | (divide_config & 3u)];
}

static void check_count(const struct machine_cpu *c, const struct vlapic_cpu_state *s)
{
    uint64_t full = (uint64_t)s->initial_count << divisor_shift(s->divide_config);
    uint64_t next = 0;

    MUST((s->divide_config & ~0xBu) == 0);
    MUST(s->timer_running <= 1);
    MUST(vlapic_cpu_next_expiry(c->cpu, &next) == (s->timer_running == 1));
    if (s->timer_running == 0) {
        MUST(s->timer_remaining == 0 && s->timer_phase == 0);
        return;
    }
    MUST(s->timer_remaining >= 1 && s->timer_remaining <= full);
    MUST(s->timer_phase < 1000000000u);
    MUST(next > c->machine->now_ns || next == UINT64_MAX);
}

static void check_timer(const struct machine_cpu *c, const struct vlapic_cpu_state *s)
{
    uint32_t mode = s->lvt[VLAPIC_LVT_TIMER] & VLAPIC_LVT_TIMER_MODE_MASK;
    bool counts = mode == VLAPIC_LVT_TIMER_ONE_SHOT || mode == VLAPIC_LVT_TIMER_PERIODIC;
    bool enabled = (s->apic_base & VLAPIC_BASE_EN) != 0;

    check_count(c, s);
    MUST(s->initial_count == 0 || (counts && enabled));
    MUST(s->tsc_deadline == 0 || (mode == VLAPIC_LVT_TIMER_DEADLINE && enabled));
    MUST(s->tsc_deadline == 0 || s->tsc_deadline > c->machine->now_tsc);
}

/* Armed if, and only if, there is something to wait for; and for the right time. */
static void check_host_timer(const struct machine_cpu *c, const struct vlapic_cpu_state *s)
{
    bool waits = s->timer_running == 1 || s->tsc_deadline != 0;
    uint64_t next;

    if (waits) {
        MUST(c->armed_ns || c->armed_tsc || c->expired);
    } else {
        MUST(!c->armed_ns && !c->armed_tsc);
    }
    MUST(!c->armed_tsc || c->deadline == s->tsc_deadline);
    if (c->armed_ns) {
        MUST(vlapic_cpu_next_expiry(c->cpu, &next));
        MUST(!c->armed_exactly || c->deadline == (next < c->earliest_ns ? c->earliest_ns : next));
        MUST(c->deadline >= next);
    }
}

/* What hardware mirrors may not change without a word to the backend. */
static void check_mirror(struct machine_cpu *c, const struct vlapic_cpu_state *s)
{
    const struct vlapic_cpu_state *old = &c->state;
    uint32_t news = 0;

    if (c->observed && c->machine->watched) {
        news |= s->apic_base != old->apic_base ? VLAPIC_CHANGE_MODE : 0u;
        news |= s->xapic_id != old->xapic_id || s->ldr != old->ldr || s->dfr != old->dfr ? VLAPIC_CHANGE_IDENTITY : 0u;
        news |= s->tpr != old->tpr ? VLAPIC_CHANGE_TPR : 0u;
        news |= memcmp(s->isr, old->isr, sizeof(s->isr)) != 0 ? VLAPIC_CHANGE_ISR : 0u;
        news |= memcmp(s->tmr, old->tmr, sizeof(s->tmr)) != 0 ? VLAPIC_CHANGE_TMR : 0u;
        MUST((news & ~c->changed) == 0);
    }
    c->changed = 0;
    c->observed = true;
}

/* --- the same, as the guest reads it --------------------------------------------------------------------------------------- */

static uint32_t expected_version(const struct vlapic_vm_config *config)
{
    return config->version | (uint32_t)config->max_lvt << 16 | (config->eoi_suppression ? 1u << 24 : 0) |
           (config->ext_space ? 1u << 31 : 0);
}

static void check_guest_identity(struct machine_cpu *c, const struct vlapic_cpu_state *s)
{
    uint32_t id = c->apic_id;

    if (machine_is_x2apic(c)) {
        MUST(machine_read(c, VLAPIC_REG_ID) == id);
        MUST(machine_read(c, VLAPIC_REG_LDR) == ((id >> 4 & 0xFFFF) << 16 | 1u << (id & 15)));
    } else {
        MUST(machine_read(c, VLAPIC_REG_ID) == s->xapic_id << 24);
        MUST(machine_read(c, VLAPIC_REG_LDR) == s->ldr);
    }
    MUST(machine_read(c, VLAPIC_REG_VERSION) == expected_version(&c->machine->config));
}

static void check_guest_view(struct machine_cpu *c, const struct vlapic_cpu_state *s)
{
    uint32_t isr[8], shift = divisor_shift(s->divide_config);
    uint64_t count = (s->timer_remaining + (1ull << shift) - 1) >> shift;

    check_guest_identity(c, s);
    for (uint32_t w = 0; w < 8; w++) {
        isr[w] = s->isr[w] & s->ier[w];
    }
    MUST(machine_read(c, VLAPIC_REG_PPR) == machine_ppr_of(s->tpr, machine_highest(isr)));
    MUST(machine_read(c, VLAPIC_REG_ESR) == s->esr);
    MUST(machine_read(c, VLAPIC_REG_ICR_LOW) == (uint32_t)s->icr);
    MUST(machine_read(c, VLAPIC_REG_INITIAL_COUNT) == s->initial_count);
    MUST(machine_read(c, VLAPIC_REG_CURRENT_COUNT) == count && count <= s->initial_count);
}

/* --- all of it ------------------------------------------------------------------------------------------------------------- */

const struct vlapic_cpu_state *machine_observe(struct machine_cpu *c)
{
    struct machine *m = c->machine;
    uint64_t drift_ns = m->drift_ns;
    struct vlapic_cpu_state s;

    m->drift_ns = 0;
    c->expired = false; /* getting the state takes in what came */
    MUST(vlapic_cpu_get_state(c->cpu, &s, sizeof(s)) == VLAPIC_OK);
    MUST(s.size == sizeof(s));
    check_base(c, &s);
    check_identity(c, &s);
    check_control(c, &s);
    check_lvts(c, &s);
    check_vectors(c, &s);
    check_events(c, &s);
    check_timer(c, &s);
    check_host_timer(c, &s);
    check_mirror(c, &s);
    if (machine_is_enabled(c)) {
        check_guest_view(c, &s);
    }
    c->state = s;
    m->drift_ns = drift_ns;
    return &c->state;
}

static bool same_part(const struct vlapic_cpu_state *a, const struct vlapic_cpu_state *b, size_t from, size_t to)
{
    return memcmp((const uint8_t *)a + from, (const uint8_t *)b + from, to - from) == 0;
}

/* In three parts: between them are padding bytes. */
bool machine_same_state(const struct vlapic_cpu_state *a, const struct vlapic_cpu_state *b)
{
    const size_t u32 = sizeof(uint32_t);

    return same_part(a, b, 0, offsetof(struct vlapic_cpu_state, esr_pending) + u32) &&
           same_part(a, b, offsetof(struct vlapic_cpu_state, icr),
                     offsetof(struct vlapic_cpu_state, timer_running) + u32) &&
           same_part(a, b, offsetof(struct vlapic_cpu_state, timer_remaining), sizeof(*a));
}

void machine_settle(struct machine *m)
{
    for (unsigned i = 0; i < m->cpu_count && !m->lazy; i++) {
        if (machine_is_home(&m->cpus[i])) {
            machine_observe(&m->cpus[i]);
        }
    }
}

void machine_check_kick(const struct machine_cpu *c)
{
    MUST(c->run == MACHINE_IN_HOST || c->kicked);
}

/* --- snapshots ------------------------------------------------------------------------------------------------------------- */

static size_t export_cpu(struct machine_cpu *c, uint8_t bytes[VLAPIC_SNAPSHOT_MAX])
{
    size_t length = 0;

    MUST(vlapic_snapshot_export_cpu(c->cpu, bytes, VLAPIC_SNAPSHOT_MAX, &length) == VLAPIC_OK);
    MUST(length > 0 && length <= VLAPIC_SNAPSHOT_MAX);
    return length;
}

static void make_twin(struct machine_cpu *c)
{
    struct machine *m = c->machine;

    m->twin.machine = m;
    machine_create_cpu(&m->twin, machine_twin_vm(m), c->apic_id, c->bsp);
}

static void check_same(const struct machine_cpu *c, const struct machine_cpu *twin)
{
    struct vlapic_cpu_state a, b;
    uint64_t mine = 0, its = 0;

    MUST(vlapic_cpu_get_state(c->cpu, &a, sizeof(a)) == VLAPIC_OK);
    MUST(vlapic_cpu_get_state(twin->cpu, &b, sizeof(b)) == VLAPIC_OK);
    MUST(machine_same_state(&a, &b));
    MUST(vlapic_cpu_next_expiry(c->cpu, &mine) == vlapic_cpu_next_expiry(twin->cpu, &its));
    MUST(mine == its);
}

void machine_check_snapshot(struct machine_cpu *c)
{
    static uint8_t before[VLAPIC_SNAPSHOT_MAX], after[VLAPIC_SNAPSHOT_MAX];
    struct machine *m = c->machine;
    uint64_t drift_ns = m->drift_ns;
    struct vlapic_snapshot_error error;
    size_t length;

    m->drift_ns = 0;
    make_twin(c);
    length = export_cpu(c, before);
    MUST(vlapic_snapshot_import_cpu(m->twin.cpu, before, length, VLAPIC_TIME_STOPPED, &error) == VLAPIC_OK);
    MUST(export_cpu(&m->twin, after) == length && memcmp(before, after, length) == 0);
    check_same(c, &m->twin);
    machine_destroy_cpu(&m->twin);
    m->drift_ns = drift_ns;
}
