/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What one APIC received, and which APICs a destination names: the second written straight from the rules for the receiver,
 * one receiver at a time, so that it shares nothing with the library.
 */
#ifndef TESTS_SUPPORT_RECEPTION_H
#define TESTS_SUPPORT_RECEPTION_H

#include "fake_host.h"

/* Everything that came in since the last look. All zero is nothing. */
struct reception {
    uint8_t vector;  /* the highest one */
    bool level;      /* TMR of that vector */
    uint8_t vectors; /* how many different ones */
    bool init, nmi, smi, extint;
    bool sipi;
    uint8_t page;   /* with sipi */
    uint8_t errors; /* ESR bits */
};

/*
 * Polls until nothing is left: every vector is accepted and ended by EOI, events are collected, ESR is read and re-armed.
 * The vCPU runs (does not wait for SIPI but for an expected SIPI) and its TPR is 0.
 */
struct reception receive(struct vlapic_cpu *cpu);
/* Fails the test, naming the case and the member. */
void assert_reception(const struct reception *expected, const struct reception *actual, const char *what, unsigned cpu);
/* receive() and assert_reception(). */
void assert_received(struct vlapic_cpu *cpu, struct reception expected, const char *what);
void assert_received_nothing(struct vlapic_cpu *cpu, const char *what);

enum sender { SENDER_XAPIC_ICR, SENDER_X2APIC_ICR, SENDER_OUTSIDE };

/* A receiver as the bus sees it. */
struct receiver {
    bool enabled; /* IA32_APIC_BASE.EN */
    bool x2apic;
    bool software_enabled; /* SVR[8] */
    uint32_t id;           /* hardware ID */
    uint32_t xapic_id;     /* ID register, 8 bits */
    uint32_t ldr;          /* 8 bits, xAPIC */
    uint32_t dfr;          /* 4 bits, xAPIC */
};

/* How the vCPU answers to destinations at present. */
struct receiver receiver_of(struct vlapic_cpu *cpu);
/* Whether a destination field names the receiver; no shorthand. */
bool destination_names(const struct vlapic_vm_config *config, enum sender sender, uint32_t destination, bool logical,
                       const struct receiver *r);

/* xorshift64*: the same numbers in every run. */
uint32_t next_random(uint64_t *state);

#endif
