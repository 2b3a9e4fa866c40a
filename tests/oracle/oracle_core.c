/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the core collects: INIT, SIPI, NMI, SMI, ExtINT, a vector. Reference 18; where it leaves the shape to the library, the
 * library's description of a poll: events are handed over once; a vCPU that waits for SIPI is given INIT and SIPI alone.
 */
#include "oracle.h"

/* Reference 13 and, with EN = 0, 2.3. */
static bool extint_level(const struct oracle_apic *a)
{
    const struct oracle_lvt *l0 = &a->lvt[ORACLE_LINT0], *l1 = &a->lvt[ORACLE_LINT1];

    if (!a->en) {
        return a->line[0];
    }
    return (a->line[0] && !l0->masked && l0->mode == ORACLE_EXTINT) ||
           (a->line[1] && !l1->masked && l1->mode == ORACLE_EXTINT);
}

static bool hand_over(bool *event)
{
    bool was = *event;

    *event = false;
    return was;
}

/* Reference 18: INIT first; after it, a SIPI starts a core that waits for one and is lost on any other. */
static void start_up(struct oracle_apic *a, struct oracle_duty *duty)
{
    if (hand_over(&a->init)) {
        duty->init = true;
        a->init_reported = true;
    }
    if (a->init_reported || !a->sipi) {
        return;
    }
    a->sipi = false;
    if (a->waits_for_sipi) {
        duty->sipi = true;
        duty->sipi_vector = a->sipi_vector;
        a->waits_for_sipi = false;
    }
}

void oracle_poll(struct oracle_apic *a, struct oracle_duty *duty)
{
    oracle_look(a);
    *duty = (struct oracle_duty){ .vector = -1 };
    start_up(a, duty);
    duty->wait_for_sipi = a->waits_for_sipi;
    if (a->waits_for_sipi) {
        return;
    }
    duty->nmi = hand_over(&a->nmi);
    duty->smi = hand_over(&a->smi);
    duty->extint_message = hand_over(&a->extint);
    duty->extint = extint_level(a);
    duty->vector = oracle_dispatchable(a);
}
