/* SPDX-License-Identifier: BSD-2-Clause */
/* Local vector table and LINT pins. Reference 13, and 19.4 for the extended entries. */
#include "oracle.h"

bool oracle_lvt_exists(const struct oracle_apic *a, enum oracle_entry entry)
{
    if (entry >= ORACLE_EXT0) {
        return a->bus->options.ext_space && entry - ORACLE_EXT0 < a->bus->options.ext_lvts;
    }
    return (unsigned)entry <= a->bus->options.max_lvt;
}

static bool is_lint(enum oracle_entry entry)
{
    return entry == ORACLE_LINT0 || entry == ORACLE_LINT1;
}

static bool has_mode(enum oracle_entry entry)
{
    return entry != ORACLE_TIMER && entry != ORACLE_ERROR;
}

uint32_t oracle_lvt_read(const struct oracle_apic *a, enum oracle_entry entry)
{
    const struct oracle_lvt *l = &a->lvt[entry];
    uint32_t value = l->vector | (uint32_t)l->mode << 8 | (uint32_t)l->timer_mode << 17;

    value |= l->polarity ? 1u << 13 : 0;
    value |= l->remote_irr ? 1u << 14 : 0;
    value |= l->level ? 1u << 15 : 0;
    value |= l->masked ? 1u << 16 : 0;
    return value;
}

static enum oracle_timer_mode timer_mode(const struct oracle_apic *a, uint32_t value)
{
    uint32_t mode = value >> 17 & 3;

    return (enum oracle_timer_mode)(a->bus->options.deadline ? mode : mode & 1);
}

/* Library: level is not supported on LINT1 (reference 13), bit 15 there is storage. */
static bool is_level(const struct oracle_lvt *l)
{
    return l->mode == ORACLE_FIXED && l->level;
}

void oracle_lvt_write(struct oracle_apic *a, enum oracle_entry entry, uint32_t value)
{
    struct oracle_lvt *l = &a->lvt[entry], before;

    if (entry == ORACLE_TIMER) {
        oracle_look_at_clock(a);
    }
    before = *l;
    l->vector = value & 0xFF;
    l->masked = (value >> 16 & 1) != 0 || !a->software_enabled;
    if (has_mode(entry)) {
        l->mode = (enum oracle_mode)(value >> 8 & 7);
    }
    if (is_lint(entry)) {
        l->polarity = (value >> 13 & 1) != 0;
        l->level = (value >> 15 & 1) != 0;
    }
    if (entry == ORACLE_TIMER) {
        l->timer_mode = timer_mode(a, value);
        oracle_timer_mode_change(a, before.timer_mode, l->timer_mode);
    }
    if (entry == ORACLE_LINT0) {
        if (!is_level(l) || l->vector != before.vector) {
            l->remote_irr = false;
        }
        oracle_lint0_sample(a);
    }
}

/* A level that went up is one request, though the line may have fallen before the owner looks. */
static void lint0_request(struct oracle_apic *a)
{
    struct oracle_lvt *l = &a->lvt[ORACLE_LINT0];

    if (!a->en || l->masked || !is_level(l) || l->remote_irr) {
        return;
    }
    if (oracle_accept(a, l->vector, true)) {
        l->remote_irr = true;
    }
}

void oracle_lint0_sample(struct oracle_apic *a)
{
    if (a->line[0]) {
        lint0_request(a);
    }
}

/* An event on an entry whose delivery mode is one that the entry allows. */
static void signal(struct oracle_apic *a, const struct oracle_lvt *l)
{
    if (l->mode == ORACLE_FIXED) {
        oracle_accept(a, l->vector, false);
    } else {
        oracle_latch(a, l->mode, 0);
    }
}

static bool pin_allows(enum oracle_mode mode)
{
    return mode == ORACLE_FIXED || mode == ORACLE_SMI || mode == ORACLE_NMI || mode == ORACLE_INIT;
}

/* Reference 13, "Pin model"; 2.3 for EN = 0. ExtINT is a level, which a poll tells. */
void oracle_lint_rise(struct oracle_apic *a, unsigned pin)
{
    const struct oracle_lvt *l = &a->lvt[pin == 0 ? ORACLE_LINT0 : ORACLE_LINT1];

    if (!a->en) {
        a->nmi = a->nmi || pin == 1;
    } else if (l->masked || !pin_allows(l->mode)) {
        return;
    } else if (pin == 0 && is_level(l)) {
        lint0_request(a);
    } else {
        signal(a, l);
    }
}

static bool entry_allows(enum oracle_entry entry, enum oracle_mode mode)
{
    return mode == ORACLE_FIXED || mode == ORACLE_SMI || mode == ORACLE_NMI ||
           (mode == ORACLE_EXTINT && entry >= ORACLE_EXT0);
}

/* Entries without a pin. */
void oracle_lvt_signal(struct oracle_apic *a, enum oracle_entry entry)
{
    struct oracle_lvt *l = &a->lvt[entry];

    if (!a->en || l->masked) {
        return;
    }
    if (entry == ORACLE_PERF && !a->bus->options.amd) {
        l->masked = true;
    }
    if (entry_allows(entry, l->mode)) {
        signal(a, l);
    }
}
