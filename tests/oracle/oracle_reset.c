/* SPDX-License-Identifier: BSD-2-Clause */
/* RESET, INIT and the reset at EN 1 -> 0. Reference 2.2, 3 and 18. */
#include "oracle.h"

static void reset_vectors(struct oracle_apic *a)
{
    for (unsigned v = 0; v < 256; v++) {
        a->irr[v] = false;
        a->isr[v] = false;
        a->tmr[v] = false;
        a->ier[v] = true;
    }
}

static void reset_lvts(struct oracle_apic *a)
{
    for (unsigned entry = 0; entry < ORACLE_ENTRIES; entry++) {
        a->lvt[entry] = (struct oracle_lvt){ .masked = true };
    }
}

/* Every register but the ID and IA32_APIC_BASE. Line levels are outside the APIC. */
void oracle_reset_registers(struct oracle_apic *a)
{
    a->tpr = 0;
    a->ldr = 0;
    a->dfr = 0xF;
    a->spurious = 0xFF;
    a->software_enabled = false;
    a->focus_disable = false;
    a->suppress_eoi = false;
    reset_vectors(a);
    for (unsigned bit = 0; bit < 8; bit++) {
        a->esr_visible[bit] = false;
        a->esr_pending[bit] = false;
    }
    a->icr_low = 0;
    a->icr_high = 0;
    reset_lvts(a);
    a->initial_count = 0;
    for (unsigned bit = 0; bit < 4; bit++) {
        a->dcr[bit] = false;
    }
    a->counting = false;
    a->due = 0;
    a->deadline = 0;
    for (unsigned bit = 0; bit < 3; bit++) {
        a->ext_control[bit] = false;
    }
}

static void forget_events(struct oracle_apic *a)
{
    a->nmi = false;
    a->smi = false;
    a->extint = false;
    a->init_reported = false;
}

void oracle_reset(struct oracle_apic *a)
{
    uint64_t before = oracle_base_read(a), after;

    oracle_reset_registers(a);
    a->arrived = (struct oracle_arrived){ 0 };
    forget_events(a);
    a->init = false;
    a->sipi = false;
    a->base = 0xFEE00000;
    a->en = true;
    a->extd = false;
    a->bsp = a->made_bsp;
    a->xapic_id = a->id32 & 0xFF;
    a->waits_for_sipi = !a->made_bsp;
    after = oracle_base_read(a);
    if (before != after && a->bus->hooks.base_changed) {
        a->bus->hooks.base_changed(a, before, after);
    }
}

/*
 * What was accepted before the core takes the INIT is wiped. A SIPI that an INIT message has dropped is gone already, so one that
 * is latched came after it. Library: an INIT that no poll has reported yet is still to come.
 */
void oracle_take_init(struct oracle_apic *a)
{
    struct oracle_arrived kept = { .init = a->arrived.init,
                                   .sipi = a->arrived.sipi,
                                   .sipi_vector = a->arrived.sipi_vector };

    oracle_reset_registers(a);
    forget_events(a);
    a->arrived = kept;
    a->waits_for_sipi = !a->bsp;
}

/* Library: the INIT that a poll reported is consumed elsewhere. A SIPI behind it is void, unless a newer INIT is before that. */
void oracle_drop_init(struct oracle_apic *a)
{
    oracle_look(a);
    if (a->init_reported && !a->init) {
        a->sipi = false;
    }
    a->init_reported = false;
}

void oracle_make(struct oracle *bus, unsigned index, uint32_t id32, bool bsp)
{
    struct oracle_apic *a = &bus->apic[index];

    *a = (struct oracle_apic){ .bus = bus, .id32 = id32, .made_bsp = bsp, .base = 0xFEE00000, .en = true, .bsp = bsp };
    oracle_reset(a);
}
