/* SPDX-License-Identifier: BSD-2-Clause */
/* TPR, CR8, PPR, dispatch, the interrupt-acknowledge cycle, EOI and SEOI. Reference 8, 10 and 19.4. */
#include "oracle.h"

/* The highest of the vectors that IER lets through, or -1. */
int oracle_highest(const struct oracle_apic *a, const bool vectors[256])
{
    for (int v = 255; v >= 0; v--) {
        if (vectors[v] && a->ier[v]) {
            return v;
        }
    }
    return -1;
}

uint8_t oracle_ppr(const struct oracle_apic *a)
{
    int isrv = oracle_highest(a, a->isr);
    int isr_class = isrv < 0 ? 0 : isrv >> 4;

    return (uint8_t)(a->tpr >> 4 >= isr_class ? a->tpr : isr_class << 4);
}

static bool deliverable(const struct oracle_apic *a, int vector)
{
    return vector >> 4 > oracle_ppr(a) >> 4;
}

int oracle_dispatchable(const struct oracle_apic *a)
{
    int irrv = oracle_highest(a, a->irr);

    return irrv >= 0 && deliverable(a, irrv) ? irrv : -1;
}

/*
 * Library: a vector that a poll offered may be taken for as long as it is deliverable, even if a higher one has come. What has come
 * since the poll is not looked at.
 */
bool oracle_take(struct oracle_apic *a, uint8_t vector)
{
    if (!a->irr[vector] || !a->ier[vector] || !deliverable(a, vector)) {
        return false;
    }
    a->irr[vector] = false;
    a->isr[vector] = true;
    return true;
}

/* Library: the opposite. */
bool oracle_give_back(struct oracle_apic *a, uint8_t vector)
{
    if (!a->isr[vector]) {
        return false;
    }
    a->isr[vector] = false;
    a->irr[vector] = true;
    return true;
}

bool oracle_acknowledge(struct oracle_apic *a, uint8_t *vector)
{
    int v;

    oracle_look(a);
    v = oracle_dispatchable(a);
    if (v < 0) {
        *vector = a->spurious;
        return false;
    }
    a->irr[v] = false;
    a->isr[v] = true;
    *vector = (uint8_t)v;
    return true;
}

/* Reference 10, "EOI write", from where the vector is known. */
static void end_of_interrupt(struct oracle_apic *a, uint8_t v)
{
    const struct oracle_hooks *hooks = &a->bus->hooks;
    struct oracle_lvt *lint0 = &a->lvt[ORACLE_LINT0];
    bool level = a->tmr[v];

    a->isr[v] = false;
    if (hooks->eoi_notify) {
        hooks->eoi_notify(a, v, level);
    }
    if (level && !a->suppress_eoi && hooks->eoi_broadcast) {
        hooks->eoi_broadcast(a->bus, v);
    }
    if (lint0->mode == ORACLE_FIXED && lint0->level && lint0->vector == v) {
        lint0->remote_irr = false;
        oracle_lint0_sample(a);
    }
}

void oracle_eoi(struct oracle_apic *a)
{
    int v = oracle_highest(a, a->isr);

    if (v >= 0) {
        end_of_interrupt(a, (uint8_t)v);
    }
}

void oracle_seoi(struct oracle_apic *a, uint8_t vector)
{
    if (a->ext_control[1] && a->isr[vector]) {
        end_of_interrupt(a, vector);
    }
}

uint64_t oracle_cr8_read(struct oracle_apic *a)
{
    return a->tpr >> 4;
}

enum oracle_result oracle_cr8_write(struct oracle_apic *a, uint64_t value)
{
    if (value > 15) {
        return ORACLE_GP;
    }
    a->tpr = (uint8_t)(value << 4);
    return ORACLE_DONE;
}
