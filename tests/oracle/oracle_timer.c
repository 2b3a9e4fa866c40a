/* SPDX-License-Identifier: BSD-2-Clause */
/* The timer. Reference 14. */
#include "oracle.h"

typedef unsigned __int128 wide;

#define BILLION 1000000000u

static enum oracle_timer_mode mode(const struct oracle_apic *a)
{
    return a->lvt[ORACLE_TIMER].timer_mode;
}

static bool counts(enum oracle_timer_mode m)
{
    return m == ORACLE_ONE_SHOT || m == ORACLE_PERIODIC;
}

/* Reference 14.1, the table: bits 3, 1, 0. */
static unsigned divisor_of(uint32_t dcr)
{
    static const unsigned table[8] = { 2, 4, 8, 16, 32, 64, 128, 1 };

    return table[(dcr >> 3 & 1) * 4 + (dcr & 3)];
}

unsigned oracle_divisor(const struct oracle_apic *a)
{
    return divisor_of(oracle_dcr_read(a));
}

static wide now(const struct oracle_apic *a)
{
    return (wide)a->bus->now_ns * a->bus->options.timer_hz;
}

static wide period(const struct oracle_apic *a)
{
    return (wide)a->initial_count * oracle_divisor(a) * BILLION;
}

/* Library: an expired count that nobody has looked at has zero clocks left. */
uint64_t oracle_clocks_left(const struct oracle_apic *a)
{
    if (!a->counting || a->due <= now(a)) {
        return 0;
    }
    return (uint64_t)((a->due - now(a) + BILLION - 1) / BILLION);
}

/* Billionths of the current input clock that have passed. */
uint64_t oracle_clock_phase(const struct oracle_apic *a)
{
    if (!a->counting) {
        return 0;
    }
    return (uint64_t)(now(a) + (wide)oracle_clocks_left(a) * BILLION - a->due);
}

uint32_t oracle_current_count(struct oracle_apic *a)
{
    unsigned divisor = oracle_divisor(a);

    if (a->counting) {
        oracle_look_at_clock(a);
    }
    return (uint32_t)((oracle_clocks_left(a) + divisor - 1) / divisor);
}

/* Reference 14.2: masked at expiry, the event is lost. */
static void interrupt(struct oracle_apic *a)
{
    if (!a->lvt[ORACLE_TIMER].masked) {
        oracle_accept(a, a->lvt[ORACLE_TIMER].vector, false);
    }
}

/* One accept, however many periods have passed; the grid stays, unless missed periods start a new one. */
static void count_expires(struct oracle_apic *a)
{
    wide missed = (now(a) - a->due) / period(a);

    interrupt(a);
    if (mode(a) != ORACLE_PERIODIC) {
        a->counting = false;
    } else if (missed > 0 && a->bus->options.rebase) {
        a->due = now(a) + period(a);
    } else {
        a->due += (missed + 1) * period(a);
    }
}

/* Library: whoever looks at the clock at or after the due time makes the expiry take place. */
void oracle_look_at_clock(struct oracle_apic *a)
{
    if (a->counting && now(a) >= a->due) {
        count_expires(a);
    }
    if (a->deadline != 0 && a->tsc >= a->deadline) {
        a->deadline = 0;
        interrupt(a);
    }
}

uint32_t oracle_initial_count_read(const struct oracle_apic *a)
{
    return counts(mode(a)) ? a->initial_count : 0;
}

void oracle_initial_count_write(struct oracle_apic *a, uint32_t value)
{
    if (!counts(mode(a))) {
        return;
    }
    oracle_look_at_clock(a);
    a->initial_count = value;
    a->counting = value != 0;
    a->due = now(a) + period(a);
}

uint32_t oracle_dcr_read(const struct oracle_apic *a)
{
    return (a->dcr[3] ? 8u : 0) | (a->dcr[1] ? 2u : 0) | (a->dcr[0] ? 1u : 0);
}

/* Reference 14.2: r := ceil(r * new / old). What has passed of the current input clock has passed. */
void oracle_dcr_write(struct oracle_apic *a, uint32_t value)
{
    unsigned before = oracle_divisor(a), after = divisor_of(value);
    uint64_t left, phase;

    if (after != before) {
        oracle_look_at_clock(a);
    }
    left = oracle_clocks_left(a);
    phase = oracle_clock_phase(a);
    for (unsigned bit = 0; bit < 4; bit++) {
        a->dcr[bit] = bit != 2 && (value >> bit & 1) != 0;
    }
    if (a->counting && after != before) {
        left = (left * after + before - 1) / before;
        a->due = now(a) + (wide)left * BILLION - phase;
    }
}

uint64_t oracle_deadline_read(struct oracle_apic *a)
{
    if (mode(a) == ORACLE_DEADLINE) {
        oracle_look_at_clock(a);
    }
    return a->deadline;
}

void oracle_deadline_write(struct oracle_apic *a, uint64_t value)
{
    if (!a->en || mode(a) != ORACLE_DEADLINE) {
        return;
    }
    oracle_look_at_clock(a);
    a->deadline = value;
    oracle_look_at_clock(a);
}

/* Reference 14.3. */
void oracle_timer_mode_change(struct oracle_apic *a, enum oracle_timer_mode from, enum oracle_timer_mode to)
{
    if (from == to || (counts(from) && counts(to))) {
        return;
    }
    a->counting = false;
    a->initial_count = 0;
    a->deadline = 0;
}
