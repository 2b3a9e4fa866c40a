/* SPDX-License-Identifier: BSD-2-Clause */
/* Sending by ICR and SELF IPI. Reference 11, 12 and 16. */
#include "oracle.h"

enum shorthand { NONE, SELF, ALL, OTHERS };

struct icr {
    uint8_t vector;
    enum oracle_mode mode;
    bool logical, assert, level;
    enum shorthand shorthand;
    uint32_t destination;
    enum oracle_source source;
};

static struct icr decode(const struct oracle_apic *a)
{
    struct icr icr = {
        .vector = a->icr_low & 0xFF,
        .mode = (enum oracle_mode)(a->icr_low >> 8 & 7),
        .logical = (a->icr_low >> 11 & 1) != 0,
        .assert = (a->icr_low >> 14 & 1) != 0,
        .level = (a->icr_low >> 15 & 1) != 0,
        .shorthand = (enum shorthand)(a->icr_low >> 18 & 3),
    };

    if (oracle_in_x2apic(a)) {
        icr.destination = a->icr_high;
        icr.source = ORACLE_FROM_X2APIC;
    } else {
        icr.destination = a->icr_high >> 24;
        icr.source = ORACLE_FROM_XAPIC;
    }
    return icr;
}

static bool has_vector(const struct icr *icr)
{
    return icr->mode == ORACLE_FIXED || icr->mode == ORACLE_LOWEST;
}

/* Reference 11.3, steps 2 to 4: whether the combination is sent at all. */
static bool is_sent(const struct oracle_apic *a, const struct icr *icr)
{
    bool deassert = icr->level && !icr->assert;

    if (icr->mode == ORACLE_REMOTE_READ || icr->mode == ORACLE_EXTINT) {
        return false;
    }
    if (icr->mode == ORACLE_INIT && deassert) {
        return false;
    }
    if (a->bus->options.strict && icr->mode != ORACLE_FIXED && (icr->shorthand == SELF || icr->shorthand == ALL)) {
        return false;
    }
    if (a->bus->options.amd && deassert) {
        return icr->mode == ORACLE_SIPI;
    }
    return true;
}

static bool lowest_is_supported(const struct oracle_apic *a)
{
    return oracle_in_xapic(a) || a->bus->options.amd || a->bus->options.lowprio_x2apic;
}

static bool is_target(const struct oracle_apic *sender, const struct oracle_apic *r, const struct icr *icr)
{
    switch (icr->shorthand) {
    case NONE:
        break;
    case SELF:
        return r == sender;
    case ALL:
        return r->attached && r->en;
    case OTHERS:
        return r->attached && r->en && r != sender;
    }
    return oracle_match(r, icr->source, icr->destination, icr->logical);
}

/* Reference 9: a physical destination is not arbitrated. */
static void send(struct oracle_apic *a, const struct icr *icr)
{
    bool targets[ORACLE_APICS] = { false };

    for (unsigned i = 0; i < a->bus->count; i++) {
        targets[i] = is_target(a, &a->bus->apic[i], icr);
    }
    if (icr->mode == ORACLE_LOWEST && (icr->shorthand != NONE || icr->logical)) {
        oracle_arbitrate(a->bus, targets, icr->vector);
    }
    oracle_receive_all(a->bus, targets, icr->mode, icr->vector, a->bus->options.amd && icr->level);
}

void oracle_icr_send(struct oracle_apic *a)
{
    struct icr icr = decode(a);

    if (!is_sent(a, &icr)) {
        return;
    }
    if (icr.mode == ORACLE_LOWEST && !lowest_is_supported(a)) {
        oracle_error(a, 4);
        return;
    }
    if (has_vector(&icr) && icr.vector < 16) {
        oracle_error(a, 5);
        if (icr.shorthand == SELF && a->software_enabled) {
            oracle_error(a, 6);
        }
        return;
    }
    send(a, &icr);
}

/* Reference 11.4. */
void oracle_self_ipi(struct oracle_apic *a, uint8_t vector)
{
    if (vector < 16) {
        oracle_error(a, 5);
        if (a->software_enabled) {
            oracle_error(a, 6);
        }
        return;
    }
    oracle_accept(a, vector, false);
}
