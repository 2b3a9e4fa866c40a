/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What comes from others between two looks of the owner. Whether a message is accepted is decided when it comes (reference 9);
 * what came is taken as the library's run.h says of vlapic_cpu_poll().
 */
#include "oracle.h"

static bool receive_vector(struct oracle_apic *a, uint8_t vector, bool level)
{
    unsigned i = 0;

    if (!a->software_enabled) {
        return false;
    }
    if (vector < 16) {
        a->arrived.bad_vector = true;
        return false;
    }
    while (i < a->arrived.vectors && a->arrived.vector[i] != vector) {
        i++;
    }
    if (i == a->arrived.vectors) {
        a->arrived.vectors++;
    }
    a->arrived.vector[i] = vector;
    a->arrived.level[i] = level;
    return true;
}

/* Returns whether the message was accepted. */
bool oracle_receive(struct oracle_apic *a, enum oracle_mode mode, uint8_t vector, bool level)
{
    if (!a->en) {
        return false;
    }
    switch (mode) {
    case ORACLE_FIXED:
    case ORACLE_LOWEST:
        return receive_vector(a, vector, level);
    case ORACLE_SMI:
        a->arrived.smi = true;
        return true;
    case ORACLE_NMI:
        a->arrived.nmi = true;
        return true;
    case ORACLE_INIT:
        a->arrived.init = true;
        a->arrived.sipi = false;
        return true;
    case ORACLE_SIPI:
        if (!a->arrived.sipi) {
            a->arrived.sipi = true;
            a->arrived.sipi_vector = vector;
        }
        return true;
    case ORACLE_EXTINT:
        a->arrived.extint = a->arrived.extint || a->software_enabled;
        return a->software_enabled;
    case ORACLE_REMOTE_READ:
        break;
    }
    return false;
}

void oracle_pin(struct oracle_apic *a, unsigned pin, bool asserted)
{
    if (pin > 1) {
        return;
    }
    if (asserted && !a->line[pin]) {
        a->arrived.rise[pin] = true;
    }
    a->line[pin] = asserted;
}

static bool has_events(enum oracle_entry entry)
{
    return entry == ORACLE_THERMAL || entry == ORACLE_PERF || entry == ORACLE_CMCI || entry >= ORACLE_EXT0;
}

void oracle_lvt_event(struct oracle_apic *a, enum oracle_entry entry)
{
    if (entry < ORACLE_ENTRIES && has_events(entry) && oracle_lvt_exists(a, entry)) {
        a->arrived.event[entry] = true;
    }
}

void oracle_lvt_event_all(struct oracle *bus, enum oracle_entry entry)
{
    for (unsigned i = 0; i < bus->count; i++) {
        if (bus->apic[i].attached) {
            oracle_lvt_event(&bus->apic[i], entry);
        }
    }
}

void oracle_rang(struct oracle_apic *a)
{
    a->arrived.rang = true;
}

/* ---- the look ---- */

static void take_vectors(struct oracle_apic *a)
{
    for (unsigned i = 0; i < a->arrived.vectors; i++) {
        a->irr[a->arrived.vector[i]] = true;
        a->tmr[a->arrived.vector[i]] = a->arrived.level[i];
    }
}

static void take_core_events(struct oracle_apic *a)
{
    if (a->arrived.init) {
        oracle_latch(a, ORACLE_INIT, 0);
    }
    if (a->arrived.sipi) {
        oracle_latch(a, ORACLE_SIPI, a->arrived.sipi_vector);
    }
    if (a->arrived.nmi) {
        oracle_latch(a, ORACLE_NMI, 0);
    }
    if (a->arrived.smi) {
        oracle_latch(a, ORACLE_SMI, 0);
    }
    if (a->arrived.extint) {
        oracle_latch(a, ORACLE_EXTINT, 0);
    }
}

static void take_local_events(struct oracle_apic *a)
{
    for (unsigned entry = 0; entry < ORACLE_ENTRIES; entry++) {
        if (a->arrived.event[entry]) {
            oracle_lvt_signal(a, (enum oracle_entry)entry);
        }
    }
}

void oracle_look(struct oracle_apic *a)
{
    take_vectors(a);
    for (unsigned pin = 0; pin < 2; pin++) {
        if (a->arrived.rise[pin]) {
            oracle_lint_rise(a, pin);
        }
    }
    take_core_events(a);
    take_local_events(a);
    if (a->arrived.bad_vector) {
        oracle_error(a, 6);
    }
    if (a->arrived.rang) {
        oracle_look_at_clock(a);
    }
    a->arrived = (struct oracle_arrived){ 0 };
}
