/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * \file
 * The interrupt command register, alone: what a value says, whether it is sent, whom it names. For hosts without a model behind it: a
 * thin hypervisor that leaves the physical APIC to its guest and looks at IPIs on their way (docs/THIN.md). Optional at link
 * time; pure functions; independent of the rest of the library.
 */
#ifndef VLAPIC_ICR_H
#define VLAPIC_ICR_H

#include "platform.h"
#include "registers.h"
#include "vm.h"

VLAPIC_BEGIN_DECLS

/** The mode of the APIC that the value was written to. */
enum vlapic_icr_format {
    VLAPIC_ICR_FORMAT_XAPIC = 0, /**< registers 300h and 310h: destination in bits 63:56 */
    VLAPIC_ICR_FORMAT_X2APIC = 1 /**< MSR 830h: destination in bits 63:32 */
};

/** A decoded ICR value. */
struct vlapic_icr {
    enum vlapic_icr_format format;
    enum vlapic_delivery delivery;
    enum vlapic_shorthand shorthand;
    uint32_t destination; /**< 8 bits in xAPIC format; without meaning if there is a shorthand */
    uint32_t reserved;    /**< reserved bits of the low half that are set, bit 12 (delivery status) among them */
    uint8_t vector;       /**< a SIPI's start page */
    bool logical;         /**< destination mode: logical instead of physical; without meaning if there is a shorthand */
    bool level;           /**< trigger mode: level instead of edge */
    bool asserted;        /**< the level bit */
};

/** Where manuals and processors differ. All zero: Intel, and what the manual calls invalid is sent. */
struct vlapic_icr_rules {
    enum vlapic_vendor vendor;
    enum vlapic_icr_policy policy;
    bool lowest_in_x2apic; /**< Intel, x2APIC: lowest-priority IPIs are sent */
    bool
        dest_alias; /**< receivers in xAPIC mode compare 8 bits also with what was sent in x2APIC mode, as hardware does */
};

/** What comes of an ICR write. */
enum vlapic_icr_verdict {
    VLAPIC_ICR_SENT = 0,           /**< it goes to those whom it names */
    VLAPIC_ICR_DROPPED = 1,        /**< nothing happens, no error is recorded */
    VLAPIC_ICR_ILLEGAL_VECTOR = 2, /**< not sent: ESR bit 5, and bit 6 besides if the shorthand is self */
    VLAPIC_ICR_REDIRECTABLE = 3,   /**< not sent: ESR bit 4 */
    VLAPIC_ICR_FAULT = 4           /**< the WRMSR is \#GP */
};

/** How a CPU answers to destinations: its registers as they read, so that nothing is to be converted. */
struct vlapic_target {
    uint64_t apic_base; /**< IA32_APIC_BASE: the mode */
    uint32_t apic_id;   /**< the 32-bit ID: MSR 802h, CPUID leaf 0Bh or 1Fh EDX */
    uint32_t xapic_id;  /**< xAPIC mode: register 020h */
    uint32_t ldr;       /**< xAPIC mode: register 0D0h */
    uint32_t dfr;       /**< xAPIC mode: register 0E0h */
};

/**
 * Takes an ICR value apart.
 * \param format  the mode of the APIC that it was written to
 * \param value   all 64 bits; in xAPIC mode 310h is the upper half, as it was when 300h was written
 * \param icr     receives the fields
 * \ctx_any
 * \manual{Intel SDM 3A, "Interrupt Command Register (ICR)", "ICR Operation in x2APIC Mode"}
 */
void vlapic_icr_decode(enum vlapic_icr_format format, uint64_t value, struct vlapic_icr *icr);

/**
 * Whether it is sent, in the order in which an APIC looks: faults, reserved delivery modes, the INIT de-assert of old buses,
 * combinations that are not valid, lowest priority where it is not supported, illegal vectors.
 * \param icr    a decoded value
 * \param rules  whose rules
 * \return what comes of the write
 * \ctx_any
 * \manual{Intel SDM 3A, "Interrupt Command Register (ICR)", table "Valid Combinations"; AMD APM 2, "Interprocessor Interrupts"}
 */
enum vlapic_icr_verdict vlapic_icr_check(const struct vlapic_icr *icr, const struct vlapic_icr_rules *rules);

/**
 * Whether it names a CPU. Of those that a lowest-priority IPI names one alone takes it. Not asked is whether the CPU accepts, which for
 * Fixed and lowest priority needs SVR bit 8, and for a SIPI that it waits for one.
 * \param icr        a decoded value
 * \param rules      whose rules
 * \param target     the CPU
 * \param is_sender  it is the one that wrote the ICR
 * \return true if so; never if its APIC is disabled (IA32_APIC_BASE bit 11)
 * \ctx_any
 * \manual{Intel SDM 3A, "Determining IPI Destination", "Logical Destination Mode in x2APIC Mode"}
 */
bool vlapic_icr_matches(const struct vlapic_icr *icr, const struct vlapic_icr_rules *rules,
                        const struct vlapic_target *target, bool is_sender);

VLAPIC_END_DECLS

#endif
