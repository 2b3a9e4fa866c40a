/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The timer under clocks that jump, end and wrap, and under host timers that are late, early, spurious or doubled. Input clocks are
 * conserved to the billionth: what was left, less what has passed, is left.
 */
#include "machine.h"

#include <string.h>

#define NS_PER_S 1000000000ull

/* Billionths of an input clock: a nanosecond is timer_hz of them. */
typedef __int128 ticks;

enum mode { ONE_SHOT = 0, PERIODIC = 1, DEADLINE = 2, RESERVED = 3 };

static enum mode mode_of(const struct vlapic_cpu_state *s)
{
    return (enum mode)(s->lvt[VLAPIC_LVT_TIMER] >> 17 & 3u);
}

static bool counts(enum mode mode)
{
    return mode == ONE_SHOT || mode == PERIODIC;
}

static ticks left_of(const struct vlapic_cpu_state *s)
{
    return (ticks)s->timer_remaining * NS_PER_S - s->timer_phase;
}

static uint32_t divisor_of(const struct vlapic_cpu_state *s)
{
    uint32_t code = (s->divide_config >> 1 & 4u) | (s->divide_config & 3u);

    return code == 7 ? 1 : 2u << code;
}

static uint32_t count_of(const struct vlapic_cpu_state *s)
{
    return (uint32_t)((s->timer_remaining + divisor_of(s) - 1) / divisor_of(s));
}

static uint64_t expiries_of(const struct machine_cpu *c)
{
    struct vlapic_cpu_stats stats;

    MUST(vlapic_cpu_get_stats(c->cpu, &stats, sizeof(stats)) == VLAPIC_OK);
    return stats.timer_expiries;
}

/* --- time passes ----------------------------------------------------------------------------------------------------------- */

/* Coalesced periods stay on their grid. With REBASE the next one is a full period away, but for the fraction of a clock. */
static void check_period(const struct machine_cpu *c, const struct vlapic_cpu_state *s, ticks late)
{
    ticks period = (ticks)s->initial_count * divisor_of(s) * NS_PER_S;

    MUST(s->timer_running == 1);
    if (c->machine->config.catch_up == VLAPIC_CATCH_UP_REBASE && late / NS_PER_S * NS_PER_S >= period) {
        MUST(left_of(s) > period - NS_PER_S && left_of(s) <= period);
    } else {
        MUST(left_of(s) == period - late % period);
    }
}

/* True if an expiry was due. */
static bool check_count(const struct machine_cpu *c, const struct vlapic_cpu_state *old, uint64_t passed_ns)
{
    const struct vlapic_cpu_state *s = &c->state;
    ticks passed = (ticks)passed_ns * c->machine->config.timer_hz, left;

    if (old->timer_running == 0) {
        MUST(s->timer_running == 0);
        return false;
    }
    left = left_of(old) - passed;
    if (left > 0) {
        MUST(s->timer_running == 1 && left_of(s) == left);
        return false;
    }
    if (mode_of(old) == ONE_SHOT) {
        MUST(s->timer_running == 0);
    } else if (passed / NS_PER_S < UINT64_MAX) { /* what 64 bits hold */
        check_period(c, s, -left);
    }
    return true;
}

static void check_passed(const struct machine_cpu *c, const struct vlapic_cpu_state *old, uint64_t passed_ns,
                         uint64_t expiries)
{
    const struct vlapic_cpu_state *s = &c->state;
    bool fires = check_count(c, old, passed_ns);
    uint32_t lvt = old->lvt[VLAPIC_LVT_TIMER];

    if (old->tsc_deadline != 0) {
        fires = c->machine->now_tsc >= old->tsc_deadline;
        MUST(s->tsc_deadline == (fires ? 0 : old->tsc_deadline));
    }
    MUST(expiries_of(c) == expiries + fires);
    MUST(s->initial_count == old->initial_count);
    if (fires && (lvt & VLAPIC_LVT_MASKED) == 0) {
        /* An illegal vector is an error, and may raise the error interrupt instead. */
        MUST((lvt & 0xFF) < 16 || machine_test_vector(s->irr, (uint8_t)lvt));
    } else {
        MUST(memcmp(s->irr, old->irr, sizeof(s->irr)) == 0);
    }
}

/* Nobody looks meanwhile; host timers that are due go off at the end, if they do. */
static void pass(struct machine *m, uint64_t ns, uint64_t tsc_jump, bool fire)
{
    struct machine_cpu *c = m->current;
    uint64_t drift_ns = m->drift_ns, from = m->now_ns, expiries;
    bool behind = machine_clock_is_behind(m);
    struct vlapic_cpu_state old;

    machine_come_home(c);
    m->drift_ns = 0;
    old = *machine_observe(c);
    expiries = expiries_of(c);
    machine_pass(m, ns);
    m->now_tsc += tsc_jump;
    if (tsc_jump != 0) {
        vlapic_cpu_tsc_changed(c->cpu);
    }
    if (fire) {
        machine_fire_due(m);
    }
    machine_observe(c);
    if (!behind) {
        check_passed(c, &old, m->now_ns - from, expiries);
    }
    m->drift_ns = drift_ns;
    machine_settle(m);
}

static void op_pass(struct machine *m, struct fuzz_input *in)
{
    uint8_t byte = fuzz_u8(in);

    pass(m, (1ull << (byte & 63u)) + fuzz_u16(in), 0, (byte & 0x40u) == 0);
}

/* Around the moment that is due, some periods on. */
static void op_pass_due(struct machine *m, struct fuzz_input *in)
{
    uint8_t byte = fuzz_u8(in), periods = byte >> 4;
    struct machine_cpu *c = m->current;
    uint64_t next = m->now_ns, wait;

    machine_come_home(c);
    if (!vlapic_cpu_next_expiry(c->cpu, &next) && c->armed_tsc) {
        next = m->now_ns + (c->deadline - m->now_tsc) / m->tsc_rate;
    }
    wait = next > m->now_ns ? next - m->now_ns : 1;
    pass(m, wait * (periods + 1u) + (byte & 3u) - 1u, 0, (byte & 4u) == 0);
}

/* The guest's TSC is written. */
static void op_tsc(struct machine *m, struct fuzz_input *in)
{
    uint8_t byte = fuzz_u8(in);
    uint64_t to = (byte & 0x80u) != 0 ? fuzz_u64(in) : m->now_tsc + (1ull << (byte & 63u));

    if (m->config.tsc_deadline) {
        pass(m, 0, to - m->now_tsc, false);
    }
}

/* A clock that goes backwards stands still for the timer. */
static void op_backwards(struct machine *m, struct fuzz_input *in)
{
    struct machine_cpu *c = m->current;
    uint64_t back = 1ull << (fuzz_u8(in) & 63u), drift_ns = m->drift_ns, next = 0, next_then = 0;
    bool runs;

    machine_come_home(c);
    m->drift_ns = 0;
    machine_observe(c);
    runs = vlapic_cpu_next_expiry(c->cpu, &next);
    m->now_ns -= back < m->now_ns ? back : m->now_ns;
    machine_observe(c);
    MUST(vlapic_cpu_next_expiry(c->cpu, &next_then) == runs && next == next_then);
    m->drift_ns = drift_ns;
    machine_settle(m);
}

static void op_drift(struct machine *m, struct fuzz_input *in)
{
    m->drift_ns = fuzz_u8(in);
}

/* --- the registers --------------------------------------------------------------------------------------------------------- */

/* The state before, with the clock standing still until done(). */
static struct vlapic_cpu_state begin(struct machine *m, uint64_t *drift_ns)
{
    machine_come_home(m->current);
    *drift_ns = m->drift_ns;
    m->drift_ns = 0;
    return *machine_observe(m->current);
}

static void done(struct machine *m, uint64_t drift_ns)
{
    m->drift_ns = drift_ns;
    machine_settle(m);
}

static void op_initial_count(struct machine *m, struct fuzz_input *in)
{
    uint8_t byte = fuzz_u8(in);
    uint32_t value = (byte & 0x80u) != 0 ? fuzz_u32(in) : (byte & 0x40u) != 0 ? 1u << (byte & 31u) : byte & 63u;
    uint64_t drift_ns;
    struct vlapic_cpu_state old = begin(m, &drift_ns);
    const struct vlapic_cpu_state *s;

    machine_write(m->current, VLAPIC_REG_INITIAL_COUNT, value);
    s = machine_observe(m->current);
    if (counts(mode_of(&old)) && machine_is_enabled(m->current)) {
        MUST(s->initial_count == value && s->timer_running == (value != 0) && count_of(s) == value);
        MUST(s->timer_phase == 0);
    } else {
        MUST(s->initial_count == 0 && s->timer_running == 0 && s->tsc_deadline == old.tsc_deadline);
    }
    done(m, drift_ns);
}

/* The count stays; the rate changes. */
static void op_divide(struct machine *m, struct fuzz_input *in)
{
    uint64_t drift_ns;
    struct vlapic_cpu_state old = begin(m, &drift_ns);
    const struct vlapic_cpu_state *s;

    machine_write(m->current, VLAPIC_REG_DIVIDE_CONFIG, fuzz_u8(in) & 0xBu);
    s = machine_observe(m->current);
    MUST(s->timer_running == old.timer_running && count_of(s) == count_of(&old));
    MUST(s->timer_phase == old.timer_phase && s->tsc_deadline == old.tsc_deadline);
    MUST(s->divide_config != old.divide_config || s->timer_remaining == old.timer_remaining);
    done(m, drift_ns);
}

static void check_mode_change(const struct vlapic_cpu_state *old, const struct vlapic_cpu_state *s)
{
    bool kept = mode_of(old) == mode_of(s) || (counts(mode_of(old)) && counts(mode_of(s)));

    if (kept) {
        MUST(s->initial_count == old->initial_count && s->timer_running == old->timer_running);
        MUST(left_of(s) == left_of(old) && s->tsc_deadline == old->tsc_deadline);
    } else {
        MUST(s->initial_count == 0 && s->timer_running == 0 && s->tsc_deadline == 0);
    }
    MUST(memcmp(s->irr, old->irr, sizeof(s->irr)) == 0);
}

static void op_lvt(struct machine *m, struct fuzz_input *in)
{
    uint8_t byte = fuzz_u8(in);
    uint32_t value = (uint32_t)(byte & 3u) << 17 | ((byte & 4u) != 0 ? VLAPIC_LVT_MASKED : 0) | fuzz_u8(in);
    uint64_t drift_ns;
    struct vlapic_cpu_state old = begin(m, &drift_ns);
    const struct vlapic_cpu_state *s;

    value &= machine_lvt_bits(&m->config, VLAPIC_LVT_TIMER);
    machine_write(m->current, VLAPIC_REG_LVT_TIMER, value);
    s = machine_observe(m->current);
    if (machine_is_enabled(m->current)) {
        uint32_t forced = (old.svr & VLAPIC_SVR_ENABLE) != 0 ? 0 : VLAPIC_LVT_MASKED;

        MUST(s->lvt[VLAPIC_LVT_TIMER] == (value | forced));
        check_mode_change(&old, s);
    }
    done(m, drift_ns);
}

static void op_deadline(struct machine *m, struct fuzz_input *in)
{
    uint8_t byte = fuzz_u8(in);
    uint64_t value = (byte & 0x80u) != 0 ? fuzz_u64(in) : m->now_tsc + (1ull << (byte & 63u)) - (byte & 0x40u);
    uint64_t drift_ns;
    struct vlapic_cpu_state old = begin(m, &drift_ns);
    enum vlapic_access expected = m->config.tsc_deadline ? VLAPIC_ACCESS_DONE : VLAPIC_ACCESS_GP;
    uint64_t expiries = expiries_of(m->current);
    const struct vlapic_cpu_state *s;
    bool armed, reached;

    MUST(vlapic_cpu_msr_write(m->current->cpu, VLAPIC_MSR_TSC_DEADLINE, value) == expected);
    s = machine_observe(m->current);
    armed = mode_of(&old) == DEADLINE && value != 0;
    reached = armed && m->now_tsc >= value;
    MUST(s->tsc_deadline == (armed && !reached ? value : 0));
    MUST(expiries_of(m->current) == expiries + reached);
    done(m, drift_ns);
}

/* A count that is read is settled first: it never goes up within a period, and never shows zero while it runs. */
static void op_read_count(struct machine *m, struct fuzz_input *in)
{
    uint64_t drift_ns;
    struct vlapic_cpu_state s = begin(m, &drift_ns);

    (void)in;
    if (machine_is_enabled(m->current)) {
        MUST(machine_read(m->current, VLAPIC_REG_CURRENT_COUNT) == count_of(&s));
        MUST((count_of(&s) != 0) == (s.timer_running != 0));
    }
    done(m, drift_ns);
}

static void op_enable(struct machine *m, struct fuzz_input *in)
{
    machine_come_home(m->current);
    machine_write(m->current, VLAPIC_REG_SVR, fuzz_u8(in) % 4 == 3 ? 0xFF : 0x1FF);
    machine_settle(m);
}

/* --- saving and restoring -------------------------------------------------------------------------------------------------- */

static size_t save(struct machine_cpu *c, uint8_t bytes[VLAPIC_SNAPSHOT_MAX])
{
    size_t length = 0;

    MUST(vlapic_snapshot_export_cpu(c->cpu, bytes, VLAPIC_SNAPSHOT_MAX, &length) == VLAPIC_OK);
    return length;
}

/* Time passes between saving and restoring. If the clock went on it is as if nothing had happened, else as if no time had. */
static void op_migrate(struct machine *m, struct fuzz_input *in)
{
    static uint8_t bytes[VLAPIC_SNAPSHOT_MAX];
    uint8_t byte = fuzz_u8(in);
    enum vlapic_time time = (byte & 0x40u) != 0 ? VLAPIC_TIME_RAN : VLAPIC_TIME_STOPPED;
    struct machine_cpu *c = m->current;
    uint64_t drift_ns;
    struct vlapic_cpu_state then = begin(m, &drift_ns), now;
    const struct vlapic_cpu_state *s;
    size_t length = save(c, bytes);
    bool behind = machine_clock_is_behind(m);

    machine_pass(m, (1ull << (byte & 63u)) + fuzz_u8(in));
    now = *machine_observe(c);
    MUST(vlapic_snapshot_import_cpu(c->cpu, bytes, length, time, NULL) == VLAPIC_OK);
    c->init_handed_over = false;
    s = machine_observe(c);
    if (time == VLAPIC_TIME_RAN) {
        MUST(behind || machine_same_state(s, &now));
    } else {
        MUST(s->timer_running == then.timer_running && left_of(s) == left_of(&then));
        MUST(s->time_ns == m->now_ns);
    }
    done(m, drift_ns);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static machine_op *const ops[] = {
        op_initial_count,   op_pass,
        op_pass_due,        op_lvt,
        op_divide,          op_deadline,
        op_read_count,      op_tsc,
        op_backwards,       op_drift,
        op_enable,          op_migrate,
        machine_op_advance, machine_op_fire,
        machine_op_poll,    machine_op_take,
        machine_op_eoi,     machine_op_enter,
        machine_op_mode,    machine_op_take_init,
        machine_op_reset,   machine_op_snapshot,
        machine_op_write,
    };
    struct fuzz_input in = { .bytes = data, .left = size };
    struct machine *m = machine_start(&in, 2);

    machine_run(m, &in, ops, sizeof(ops) / sizeof(ops[0]), MACHINE_MAX_OPS);
    machine_stop(m);
    return 0;
}
