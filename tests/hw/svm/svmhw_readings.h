/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The register of ambiguities (reference 17): where the manual leaves it open, which reading the model plays. Each entry is a knob,
 * each reading a value of it; value 0 is the default of the register. Entries for which the register names no other reading have
 * their one value, so that the table is complete.
 */
#ifndef TESTS_SVMHW_READINGS_H
#define TESTS_SVMHW_READINGS_H

#include <stdbool.h>
#include <stdint.h>

#define SVMHW_AMBIGUITIES 37

/** One reading for each entry: play[16] is that of A16. play[0] is unused. All zero: every default. */
struct svmhw_readings {
    uint8_t play[SVMHW_AMBIGUITIES + 1];
};

/* Which TPR masks delivery under AVIC, and what VMRUN copies. */
enum { SVMHW_A1_V_TPR, SVMHW_A1_PAGE, SVMHW_A1_LARGER, SVMHW_A1_VMRUN_TO_V_TPR, SVMHW_A1_VMRUN_TO_PAGE };
/* Whether IRR of the backing page counts for a guest that halts. */
enum { SVMHW_A2_COUNTS, SVMHW_A2_IGNORED };
/* IRR and ISR when an exit interrupts delivery through the IDT. */
enum { SVMHW_A3_IN_SERVICE, SVMHW_A3_RETRIED };
/* Which clean bits cover 060h bits 31:30. */
enum { SVMHW_A4_BOTH_CLEAR, SVMHW_A4_BIT_3, SVMHW_A4_BIT_11, SVMHW_A4_NEVER_CACHED };
/* nRIP at 401h and 402h. */
enum { SVMHW_A5_ZERO, SVMHW_A5_VALID, SVMHW_A5_STALE };
/* 098h and 0F0h in x2AVIC. */
enum { SVMHW_A6_UNUSED, SVMHW_A6_CHECKED };
/* AVIC with NP_ENABLE = 0. */
enum { SVMHW_A7_INVALID, SVMHW_A7_RUNS };
/* A physical table of several pages. */
enum { SVMHW_A8_CONTIGUOUS };
/* FFh and entry 255 in x2AVIC. */
enum { SVMHW_A9_PLAIN, SVMHW_A9_BROADCAST };
/* MMIO at the APIC page with x2AVIC on. */
enum { SVMHW_A10_ORDINARY };
/* Illegal pointers at VMRUN. */
enum { SVMHW_A11_INVALID };
/* MSR 83Fh: reading it; what a write leaves in the page; how a vector below 16 is reported. */
enum { SVMHW_A12_DEFAULT, SVMHW_A12_READS_3F0, SVMHW_A12_STORES_3F0, SVMHW_A12_STORES_ICR, SVMHW_A12_REPORTS_VECTOR };
/* Unlisted MSRs in x2AVIC. */
enum { SVMHW_A13_GP, SVMHW_A13_PAGE, SVMHW_A13_FAULT };
/* Which x2APIC rules hardware checks before the AVIC filter. */
enum { SVMHW_A14_ALL, SVMHW_A14_NONE, SVMHW_A14_ICR };
/* PPR at VMRUN. */
enum { SVMHW_A15_RECOMPUTED, SVMHW_A15_AS_STORED };
/* EOI of a level-triggered vector. */
enum { SVMHW_A16_TRAP_KEPT, SVMHW_A16_TRAP_CLEARED, SVMHW_A16_FAULT };
/* Whether senders look at the target's SVR. */
enum { SVMHW_A17_NOT_CHECKED };
/* TMR of the target of an IPI. */
enum { SVMHW_A18_UNCHANGED, SVMHW_A18_CLEARED };
/* Width of the value written to the doorbell MSR. */
enum { SVMHW_A19_32_BITS, SVMHW_A19_8_BITS, SVMHW_A19_12_BITS };
/* A doorbell to a core in host mode. */
enum { SVMHW_A20_DROPPED, SVMHW_A20_LATCHED, SVMHW_A20_HOST_INTERRUPT };
/* What is delivered when IF, the shadow or the virtual GIF opens. */
enum { SVMHW_A21_LOOKS_AGAIN, SVMHW_A21_RECOGNISED };
/* The exit for message types other than fixed, and for level. "Another ID" is played with the two that have handlers. */
enum { SVMHW_A22_ID_0, SVMHW_A22_NOACCEL, SVMHW_A22_ID_2, SVMHW_A22_ID_4 };
/* Targets before the one that fails with ID 2 or 3. */
enum { SVMHW_A23_NONE, SVMHW_A23_EARLIER };
/* Index reported when several targets fail. */
enum { SVMHW_A24_FIRST, SVMHW_A24_LAST, SVMHW_A24_ANY, SVMHW_A24_BIT };
/* The VINTR intercept with AVIC on. */
enum { SVMHW_A25_IGNORED, SVMHW_A25_EXIT };
/* MMIO that is not an aligned doubleword at a register. */
enum { SVMHW_A26_PLAIN, SVMHW_A26_FAULT, SVMHW_A26_IGNORED };
/* A bad type and a vector below 16 at once. */
enum { SVMHW_A27_TYPE_FIRST, SVMHW_A27_VECTOR_FIRST };
/* Destination FFFF_FFFFh in x2AVIC. */
enum { SVMHW_A28_BROADCAST, SVMHW_A28_PLAIN };
/* How all-excluding-self finds the sender. */
enum { SVMHW_A29_OWN_ID, SVMHW_A29_BACKING_PAGE };
/* DFR models other than 0h and Fh. */
enum { SVMHW_A30_CLUSTER, SVMHW_A30_ID_2 };
/* A logical destination without members. */
enum { SVMHW_A31_NOTHING_SENT, SVMHW_A31_ID_2 };
/* MAX_INDEX above 511 with x2AVIC_EXT. */
enum { SVMHW_A32_ACCEPTED };
/* The guest's APIC_BASE.AE. */
enum { SVMHW_A33_UNKNOWN_TO_HARDWARE };
/* Reserved bits in table entries. */
enum { SVMHW_A34_IGNORED, SVMHW_A34_CHECKED };
/* The INTR intercept with host IF = 0 and V_INTR_MASKING = 1. */
enum { SVMHW_A35_HELD, SVMHW_A35_FIRES };
/* CR8 writes under AVIC with V_INTR_MASKING = 0. */
enum { SVMHW_A36_VIRTUAL_ONLY, SVMHW_A36_PHYSICAL_TOO };
/* ICR bit 12 in the page after ID 0 or 2. */
enum { SVMHW_A37_AS_WRITTEN, SVMHW_A37_SET };

/** One reading of one entry. */
struct svmhw_reading {
    const char *means;
    /** The reference asks of a backend to be correct under it: the default, and what it marks with a star. */
    bool required;
};

#define SVMHW_MOST_READINGS 5

/** One entry of the register; reading n is what play[] = n stands for. */
struct svmhw_ambiguity {
    const char *question;
    unsigned count;
    struct svmhw_reading readings[SVMHW_MOST_READINGS];
};

/** The register: [n] is An; [0] is empty. */
extern const struct svmhw_ambiguity svmhw_ambiguities[SVMHW_AMBIGUITIES + 1];

/** A way to run a suite: every default, but for one entry. */
struct svmhw_variant {
    unsigned ambiguity; /**< 1 to 37, or 0: nothing but defaults */
    unsigned reading;
    bool required; /**< a backend has to be correct under it */
    struct svmhw_readings readings;
};

/**
 * Variant \p n: 0 is the defaults, then each other reading of A1, of A2 ... by itself. False, and nothing is filled in, when there
 * are no more.
 */
bool svmhw_variant(unsigned n, struct svmhw_variant *variant);

#endif
