/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which event an entry injects: for backends of processors that take events by an injection field. VMX's interruption information and
 * SVM's EVENTINJ agree in the bits that are used here. Intel SDM 3C, "Event Injection"; AMD APM 2, "Event Injection".
 */
#ifndef VLAPIC_EVENTS_H
#define VLAPIC_EVENTS_H

#include <vlapic/vlapic.h>

#define VLAPIC_EVENT_VALID (1u << 31)
#define VLAPIC_EVENT_TYPE (7u << 8)
#define VLAPIC_EVENT_TYPE_EXTERNAL (0u << 8)
#define VLAPIC_EVENT_TYPE_NMI (2u << 8)
#define VLAPIC_EVENT_VECTOR 0xFFu
#define VLAPIC_EVENT_IS_NMI (VLAPIC_EVENT_VALID | VLAPIC_EVENT_TYPE_NMI | 2u)
#define VLAPIC_EVENT_AND_NMI (1u << 30) /* not hardware's: an NMI besides the external interrupt */

/* Numbered as the backends' public enums. */
enum vlapic_injected {
    VLAPIC_INJECTED_NONE = 0,
    VLAPIC_INJECTED_VECTOR = 1,
    VLAPIC_INJECTED_EXTINT = 2,
    VLAPIC_INJECTED_NMI = 3,
    VLAPIC_INJECTED_AGAIN = 4
};

/* What is on its way to the guest. */
struct vlapic_events {
    uint32_t in_flight;    /* an external interrupt that an exit interrupted, 0 for none */
    bool extint_in_flight; /* it came from the external controller: ISR has no bit of it */
    bool nmi_in_flight;    /* the same of an NMI */
    bool extint_injected;  /* what the entry injects is of that kind */
    bool accepted;         /* what the entry injects has gone from IRR to ISR for it */
    uint32_t injected;     /* by the entry */
};

/* What the guest can take at this entry, and what there is for it. */
struct vlapic_offer {
    bool busy;      /* the injection field is taken */
    bool open;      /* for maskable interrupts: IF, no shadow */
    bool nmi_open;  /* no shadow, NMIs not blocked */
    bool nmi_again; /* the same for one that was interrupted on its way: that NMIs are blocked is its own doing */
    bool nmi;
    bool extint;
    int16_t vector; /* of this APIC, to be injected; -1: none, or hardware delivers */
};

/* What came of it. */
struct vlapic_plan {
    uint32_t information; /* to be injected, 0 for nothing */
    enum vlapic_injected what;
    bool window;     /* exit when maskable interrupts can be taken */
    bool nmi_window; /* exit when NMIs can */
};

/* Decides; accepts the vector if it is the one. `acknowledge` gives the vector of an ExtINT; NULL: there is no such controller. */
struct vlapic_plan vlapic_events_plan(struct vlapic_events *events, struct vlapic_cpu *cpu, struct vlapic_offer offer,
                                      uint8_t (*acknowledge)(void *cookie));
/* The entry did not take place. */
void vlapic_events_cancel(struct vlapic_events *events, struct vlapic_cpu *cpu);
/* The guest ran; `interrupted` is the event whose delivery the exit interrupted, as hardware tells it. Types that are not ours are ignored. */
void vlapic_events_exited(struct vlapic_events *events, uint32_t interrupted);
/* For saving: a vector goes back to IRR, the rest is told. `nmi`: there is one besides. */
uint32_t vlapic_events_take_back(struct vlapic_events *events, struct vlapic_cpu *cpu, bool nmi);
void vlapic_events_restore(struct vlapic_events *events, uint32_t information);

#endif
