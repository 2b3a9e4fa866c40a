/* SPDX-License-Identifier: BSD-2-Clause */
/* Acceptance, events for the core, and the lowest-priority rule. Reference 9. */
#include "oracle.h"

bool oracle_accept(struct oracle_apic *a, uint8_t vector, bool level)
{
    if (!a->en || !a->software_enabled) {
        return false;
    }
    if (vector < 16) {
        oracle_error(a, 6);
        return false;
    }
    a->tmr[vector] = level;
    a->irr[vector] = true;
    return true;
}

/* Reference 18: one SIPI is latched, the first; an INIT drops an older one. */
void oracle_latch(struct oracle_apic *a, enum oracle_mode mode, uint8_t vector)
{
    switch (mode) {
    case ORACLE_SMI:
        a->smi = true;
        break;
    case ORACLE_NMI:
        a->nmi = true;
        break;
    case ORACLE_INIT:
        a->init = true;
        a->sipi = false;
        break;
    case ORACLE_SIPI:
        if (!a->sipi) {
            a->sipi = true;
            a->sipi_vector = vector;
        }
        break;
    case ORACLE_EXTINT:
        a->extint = true;
        break;
    case ORACLE_FIXED:
    case ORACLE_LOWEST:
    case ORACLE_REMOTE_READ:
        break;
    }
}

uint32_t oracle_receive_all(struct oracle *bus, const bool targets[ORACLE_APICS], enum oracle_mode mode, uint8_t vector,
                            bool level)
{
    uint32_t accepted = 0;

    for (unsigned i = 0; i < bus->count; i++) {
        if (targets[i] && oracle_receive(&bus->apic[i], mode, vector, level)) {
            accepted++;
        }
    }
    return accepted;
}

/* How many of the targets have a lower hardware ID. */
static uint32_t rank(const struct oracle *bus, const bool targets[ORACLE_APICS], unsigned index)
{
    uint32_t below = 0;

    for (unsigned i = 0; i < bus->count; i++) {
        if (targets[i] && bus->apic[i].id32 < bus->apic[index].id32) {
            below++;
        }
    }
    return below;
}

/* Leaves one of the targets: candidate number vector % count, in the order of hardware IDs. */
void oracle_arbitrate(struct oracle *bus, bool targets[ORACLE_APICS], uint8_t vector)
{
    bool candidates[ORACLE_APICS] = { false };
    uint32_t count = 0, chosen;

    for (unsigned i = 0; i < bus->count; i++) {
        candidates[i] = targets[i] && bus->apic[i].en && bus->apic[i].software_enabled;
        count += candidates[i];
    }
    if (count == 0) {
        chosen = 0;
    } else if (bus->hooks.choose_lowest) {
        chosen = bus->hooks.choose_lowest(bus, vector, count) % count;
    } else {
        chosen = vector % count;
    }
    for (unsigned i = 0; i < bus->count; i++) {
        targets[i] = candidates[i] && rank(bus, candidates, i) == chosen;
    }
}
