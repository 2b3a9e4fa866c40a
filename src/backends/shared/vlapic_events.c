/* SPDX-License-Identifier: BSD-2-Clause */
/* See vlapic_events.h. */
#include "vlapic_events.h"

static void inject(struct vlapic_events *events, struct vlapic_offer *offer, struct vlapic_plan *plan,
                   uint32_t information, enum vlapic_injected what)
{
    plan->information = VLAPIC_EVENT_VALID | information;
    plan->what = what;
    events->injected = plan->information;
    offer->busy = true;
}

/* Nothing overtakes what is on its way. */
static void offer_nmi_again(struct vlapic_events *events, struct vlapic_offer *offer, struct vlapic_plan *plan)
{
    if (!events->nmi_in_flight) {
        return;
    }
    if (offer->busy || !offer->nmi_again) {
        plan->nmi_window = true;
        offer->busy = true;
        return;
    }
    inject(events, offer, plan, VLAPIC_EVENT_IS_NMI, VLAPIC_INJECTED_AGAIN);
    events->nmi_in_flight = false;
}

/* A vector of this APIC is in ISR since before the exit that interrupted it. Nothing maskable overtakes it; an NMI may. */
static void offer_interrupt_again(struct vlapic_events *events, struct vlapic_offer *offer, struct vlapic_plan *plan)
{
    if (events->in_flight == 0) {
        return;
    }
    if (offer->busy || !offer->open) {
        plan->window = true;
        offer->open = false;
        return;
    }
    inject(events, offer, plan, events->in_flight & VLAPIC_EVENT_VECTOR, VLAPIC_INJECTED_AGAIN);
    events->extint_injected = events->extint_in_flight;
    events->in_flight = 0;
}

static void offer_nmi(struct vlapic_events *events, struct vlapic_offer *offer, struct vlapic_plan *plan)
{
    if (!offer->nmi) {
        return;
    }
    if (offer->busy || !offer->nmi_open) {
        plan->nmi_window = true;
        return;
    }
    inject(events, offer, plan, VLAPIC_EVENT_IS_NMI, VLAPIC_INJECTED_NMI);
}

/* The line of the external controller goes first, and may still be up after it. */
static void offer_interrupt(struct vlapic_events *events, struct vlapic_cpu *cpu, struct vlapic_offer *offer,
                            struct vlapic_plan *plan, uint8_t (*acknowledge)(void *cookie))
{
    bool extint = offer->extint && acknowledge != NULL;

    if (!extint && offer->vector < 0) {
        return;
    }
    if (extint || offer->busy || !offer->open) {
        plan->window = true;
    }
    if (offer->busy || !offer->open) {
        return;
    }
    if (extint) {
        inject(events, offer, plan, acknowledge(vlapic_cpu_cookie(cpu)), VLAPIC_INJECTED_EXTINT);
        events->extint_injected = true;
    } else if (vlapic_cpu_accept(cpu, (uint8_t)offer->vector)) {
        inject(events, offer, plan, (uint8_t)offer->vector, VLAPIC_INJECTED_VECTOR);
        events->accepted = true;
    }
}

struct vlapic_plan vlapic_events_plan(struct vlapic_events *events, struct vlapic_cpu *cpu, struct vlapic_offer offer,
                                      uint8_t (*acknowledge)(void *cookie))
{
    struct vlapic_plan plan = { 0 };

    events->accepted = false;
    events->extint_injected = false;
    events->injected = 0;
    offer_nmi_again(events, &offer, &plan);
    offer_interrupt_again(events, &offer, &plan);
    offer_nmi(events, &offer, &plan);
    offer_interrupt(events, cpu, &offer, &plan, acknowledge);
    return plan;
}

static void keep(struct vlapic_events *events, uint32_t information)
{
    uint32_t type = information & VLAPIC_EVENT_TYPE;

    if ((information & VLAPIC_EVENT_VALID) == 0) {
        return;
    }
    if (type == VLAPIC_EVENT_TYPE_NMI) {
        events->nmi_in_flight = true;
    } else if (type == VLAPIC_EVENT_TYPE_EXTERNAL) {
        events->in_flight = VLAPIC_EVENT_VALID | (information & VLAPIC_EVENT_VECTOR);
        events->extint_in_flight = events->extint_injected;
    }
}

void vlapic_events_cancel(struct vlapic_events *events, struct vlapic_cpu *cpu)
{
    if (!events->accepted || !vlapic_cpu_unaccept(cpu, (uint8_t)events->injected)) {
        keep(events, events->injected);
    }
    events->accepted = false;
    events->injected = 0;
}

void vlapic_events_exited(struct vlapic_events *events, uint32_t interrupted)
{
    /* What hardware delivered by itself is of this APIC. */
    events->extint_injected = events->extint_injected && (uint8_t)interrupted == (uint8_t)events->injected;
    keep(events, interrupted);
    events->accepted = false;
    events->injected = 0;
}

uint32_t vlapic_events_take_back(struct vlapic_events *events, struct vlapic_cpu *cpu, bool nmi)
{
    if (events->in_flight != 0 && !events->extint_in_flight && vlapic_cpu_unaccept(cpu, (uint8_t)events->in_flight)) {
        events->in_flight = 0;
    }
    if (!nmi && !events->nmi_in_flight) {
        return events->in_flight;
    }
    return events->in_flight != 0 ? events->in_flight | VLAPIC_EVENT_AND_NMI : VLAPIC_EVENT_IS_NMI;
}

void vlapic_events_restore(struct vlapic_events *events, uint32_t information)
{
    *events = (struct vlapic_events){ .extint_injected = true }; /* a vector of this APIC was given back to it */
    keep(events, information);
    events->nmi_in_flight |= (information & VLAPIC_EVENT_VALID) != 0 && (information & VLAPIC_EVENT_AND_NMI) != 0;
    events->extint_injected = false;
}
