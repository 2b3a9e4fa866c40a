/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The timer: one-shot, periodic, TSC-deadline. Intel SDM 3A, "APIC Timer", "TSC-Deadline Mode". The arithmetic is in
 * vlapic_clock.c. Nothing ticks: an expiry takes place when the owner settles the timer at or after its due time, and
 * whatever the guest reads or changes is settled first.
 */
#include "vlapic_model.h"

static uint64_t now_ns(const struct vlapic_cpu *cpu)
{
    return cpu->vm->host.now_ns(cpu->cookie);
}

static uint64_t now_tsc(const struct vlapic_cpu *cpu)
{
    return cpu->vm->host.now_tsc(cpu->cookie);
}

/* --- the host timer ------------------------------------------------------------------------------------------------------ */

static void disarm(struct vlapic_cpu *cpu)
{
    if (cpu->timer.armed) {
        cpu->timer.armed = false;
        cpu->vm->host.timer_cancel(cpu->cookie);
    }
}

/* The floor delays the host timer alone: counts and grid stay exact. */
static void arm(struct vlapic_cpu *cpu, uint64_t now)
{
    const struct vlapic_vm_config *config = &cpu->vm->config;
    uint64_t wait = vlapic_core_clock_to_ns(cpu->timer.due, config->timer_hz, cpu->timer.phase);
    uint64_t due_ns = wait > UINT64_MAX - cpu->timer.origin_ns ? UINT64_MAX : cpu->timer.origin_ns + wait;
    uint64_t earliest = config->timer_floor_ns > UINT64_MAX - now ? UINT64_MAX : now + config->timer_floor_ns;

    cpu->timer.armed = true;
    cpu->vm->host.timer_arm_ns(cpu->cookie, due_ns < earliest ? earliest : due_ns);
}

static void arm_deadline(struct vlapic_cpu *cpu)
{
    cpu->timer.armed = true;
    cpu->vm->host.timer_arm_tsc(cpu->cookie, cpu->timer.deadline);
}

/* --- expiry -------------------------------------------------------------------------------------------------------------- */

/* One interrupt, however many periods have passed; a masked one is lost. */
static void fire(struct vlapic_cpu *cpu)
{
    uint32_t lvt = vlapic_get(cpu, VLAPIC_REG_LVT_TIMER);

    cpu->stats.timer_expiries++;
    cpu->repoll = true; /* also where no poll need follow: a state that is read, a TSC that jumps */
    if ((lvt & VLAPIC_LVT_MASKED) == 0) {
        vlapic_core_accept_local(cpu, (uint8_t)lvt, false);
    }
}

/* Moves the origin to `now`; a clock that went backwards counts as standing still. Returns the clocks that passed. */
static uint64_t advance_origin(struct vlapic_cpu *cpu, uint64_t now)
{
    struct vlapic_timer *timer = &cpu->timer;
    uint64_t elapsed = now > timer->origin_ns ? now - timer->origin_ns : 0;
    uint64_t clocks = vlapic_core_clock_from_ns(elapsed, cpu->vm->config.timer_hz, timer->phase, &timer->phase);

    timer->origin_ns += elapsed;
    return clocks;
}

static void expire(struct vlapic_cpu *cpu, uint64_t late)
{
    struct vlapic_timer *timer = &cpu->timer;
    uint64_t period = (uint64_t)vlapic_get(cpu, VLAPIC_REG_INITIAL_COUNT) << timer->shift;

    if (timer->mode != VLAPIC_TIMER_PERIODIC || period == 0) {
        timer->running = false;
        timer->due = 0;
        disarm(cpu);
    } else if (cpu->vm->config.catch_up == VLAPIC_CATCH_UP_REBASE && late >= period) {
        timer->due = period;
        timer->phase = 0; /* a full period from now, not from the input clock's last edge */
    } else {
        timer->due = period - late % period; /* the next point of the original grid */
    }
    fire(cpu);
}

/* True if it expired. */
static bool settle_count(struct vlapic_cpu *cpu, uint64_t now)
{
    struct vlapic_timer *timer = &cpu->timer;
    uint64_t clocks;

    if (!timer->running) {
        return false;
    }
    clocks = advance_origin(cpu, now);
    if (clocks < timer->due) {
        timer->due -= clocks;
        return false;
    }
    expire(cpu, clocks - timer->due);
    return true;
}

static void settle_deadline_at(struct vlapic_cpu *cpu, uint64_t tsc)
{
    if (cpu->timer.deadline != 0 && tsc >= cpu->timer.deadline) {
        cpu->timer.deadline = 0;
        disarm(cpu);
        fire(cpu);
    }
}

static void settle_deadline(struct vlapic_cpu *cpu)
{
    if (cpu->timer.deadline != 0) {
        settle_deadline_at(cpu, now_tsc(cpu));
    }
}

void vlapic_core_timer_settle(struct vlapic_cpu *cpu)
{
    if (cpu->timer.running) {
        uint64_t now = now_ns(cpu);

        if (settle_count(cpu, now) && cpu->timer.running) {
            arm(cpu, now);
        }
    }
    settle_deadline(cpu);
}

/* The host's expiry used up what was armed, even if it came early. */
void vlapic_core_timer_host_expired(struct vlapic_cpu *cpu)
{
    if (cpu->timer.running) {
        uint64_t now = now_ns(cpu);

        settle_count(cpu, now);
        if (cpu->timer.running) {
            arm(cpu, now);
        }
    }
    settle_deadline(cpu);
    if (cpu->timer.deadline != 0) {
        arm_deadline(cpu);
    }
}

/* --- registers ----------------------------------------------------------------------------------------------------------- */

static bool counts(const struct vlapic_cpu *cpu)
{
    return cpu->timer.mode == VLAPIC_TIMER_ONE_SHOT || cpu->timer.mode == VLAPIC_TIMER_PERIODIC;
}

static void stop(struct vlapic_cpu *cpu)
{
    disarm(cpu);
    cpu->timer.running = false;
    cpu->timer.due = 0;
    cpu->timer.phase = 0;
    cpu->timer.deadline = 0;
}

void vlapic_core_timer_reset(struct vlapic_cpu *cpu)
{
    stop(cpu);
    cpu->timer.mode = VLAPIC_TIMER_ONE_SHOT;
    cpu->timer.shift = (uint8_t)vlapic_core_clock_shift(0);
}

uint32_t vlapic_core_read_current_count(struct vlapic_cpu *cpu, uint32_t offset)
{
    (void)offset;
    if (!cpu->timer.running) {
        return 0;
    }
    vlapic_core_timer_settle(cpu);
    return vlapic_core_clock_count(cpu->timer.due, cpu->timer.shift);
}

void vlapic_core_write_initial_count(struct vlapic_cpu *cpu, uint32_t offset, uint32_t value)
{
    uint64_t now;

    if (!counts(cpu)) {
        return;
    }
    now = now_ns(cpu);
    (void)settle_count(cpu, now);
    vlapic_put(cpu, offset, value);
    if (value == 0) {
        stop(cpu);
        return;
    }
    cpu->timer.origin_ns = now;
    cpu->timer.phase = 0;
    cpu->timer.due = (uint64_t)value << cpu->timer.shift;
    cpu->timer.running = true;
    arm(cpu, now);
}

/*
 * Implementation choice: a running count stays as it is and goes on at the new rate, as bare metal was seen to do; the
 * manual is silent.
 */
void vlapic_core_write_divide_config(struct vlapic_cpu *cpu, uint32_t offset, uint32_t value)
{
    struct vlapic_timer *timer = &cpu->timer;
    uint32_t shift = vlapic_core_clock_shift(value);
    uint32_t old = timer->shift;

    if (shift != old) {
        vlapic_core_timer_settle(cpu);
    }
    vlapic_put(cpu, offset, value);
    timer->shift = (uint8_t)shift;
    if (timer->running && shift != old) {
        timer->due = vlapic_core_clock_rescale(timer->due, old, shift);
        arm(cpu, timer->origin_ns);
    }
}

/* One-shot and periodic may be exchanged while counting: the mode at expiry decides. Every other change clears the timer. */
static void change_mode(struct vlapic_cpu *cpu, uint8_t mode)
{
    bool counted = counts(cpu);

    cpu->timer.mode = mode;
    if (!counted || !counts(cpu)) {
        stop(cpu);
        vlapic_put(cpu, VLAPIC_REG_INITIAL_COUNT, 0);
    }
}

void vlapic_core_write_lvt_timer(struct vlapic_cpu *cpu, uint32_t offset, uint32_t value)
{
    uint8_t mode = (uint8_t)((value & VLAPIC_LVT_TIMER_MODE_MASK) >> VLAPIC_LVT_TIMER_MODE_SHIFT);

    vlapic_core_timer_settle(cpu);
    if (mode != cpu->timer.mode) {
        change_mode(cpu, mode);
    }
    vlapic_core_write_lvt(cpu, offset, value);
}

enum vlapic_access vlapic_core_deadline_read(struct vlapic_cpu *cpu, uint64_t *value)
{
    if (!cpu->vm->config.tsc_deadline) {
        return VLAPIC_ACCESS_GP;
    }
    settle_deadline(cpu);
    *value = cpu->timer.deadline;
    return VLAPIC_ACCESS_DONE;
}

/* Disabling the APIC returns the mode to one-shot, in which writes are ignored. */
enum vlapic_access vlapic_core_deadline_write(struct vlapic_cpu *cpu, uint64_t value)
{
    uint64_t tsc;

    if (!cpu->vm->config.tsc_deadline) {
        return VLAPIC_ACCESS_GP;
    }
    if (cpu->timer.mode != VLAPIC_TIMER_DEADLINE) {
        return VLAPIC_ACCESS_DONE;
    }
    if ((value | cpu->timer.deadline) == 0) {
        return VLAPIC_ACCESS_DONE;
    }
    tsc = now_tsc(cpu);
    settle_deadline_at(cpu, tsc); /* the former one */
    cpu->timer.deadline = value;
    settle_deadline_at(cpu, tsc);
    if (cpu->timer.deadline != 0) {
        arm_deadline(cpu);
    } else {
        disarm(cpu);
    }
    return VLAPIC_ACCESS_DONE;
}

void vlapic_cpu_tsc_changed(struct vlapic_cpu *cpu)
{
    VLAPIC_ASSERT_OWNER(cpu);
    vlapic_settle(cpu);
    settle_deadline(cpu);
    if (cpu->timer.deadline != 0) {
        arm_deadline(cpu);
    }
}

bool vlapic_cpu_next_expiry(const struct vlapic_cpu *cpu, uint64_t *deadline_ns)
{
    uint64_t wait = vlapic_core_clock_to_ns(cpu->timer.due, cpu->vm->config.timer_hz, cpu->timer.phase);

    VLAPIC_ASSERT_OWNER(cpu);
    if (!cpu->timer.running) {
        return false;
    }
    *deadline_ns = wait > UINT64_MAX - cpu->timer.origin_ns ? UINT64_MAX : cpu->timer.origin_ns + wait;
    return true;
}

/* --- state --------------------------------------------------------------------------------------------------------------- */

/* The registers and the rest of the timer's state are in place. */
void vlapic_core_timer_resume(struct vlapic_cpu *cpu, uint64_t origin_ns)
{
    struct vlapic_timer *timer = &cpu->timer;
    uint64_t now = now_ns(cpu);
    uint32_t lvt = vlapic_get(cpu, VLAPIC_REG_LVT_TIMER);

    timer->mode = (uint8_t)((lvt & VLAPIC_LVT_TIMER_MODE_MASK) >> VLAPIC_LVT_TIMER_MODE_SHIFT);
    timer->shift = (uint8_t)vlapic_core_clock_shift(vlapic_get(cpu, VLAPIC_REG_DIVIDE_CONFIG));
    timer->origin_ns = origin_ns < now ? origin_ns : now;
    /* As if the host timer had gone off: what is due happens, the rest is armed. */
    vlapic_core_timer_host_expired(cpu);
}
