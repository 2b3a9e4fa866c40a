/* SPDX-License-Identifier: BSD-2-Clause */
/* What controls exist, and the capability MSRs that tell it. Reference 1. */
#include "apicv.h"

/* The default-1 class; the TRUE MSRs allow some of it to be 0. */
#define PIN_DEFAULT 0x00000016u
#define PRIMARY_DEFAULT 0x0401E172u
#define PRIMARY_TRUE_DEFAULT 0x04006172u
#define EXIT_DEFAULT 0x00036DFFu
#define EXIT_TRUE_DEFAULT 0x00036DFBu
#define ENTRY_DEFAULT 0x000011FFu
#define ENTRY_TRUE_DEFAULT 0x000011FBu

/* All that early parts have but TPR shadow, the other groups and the monitor trap flag. */
#define PRIMARY_EARLY 0x77D9FFFEu

struct apicv_caps apicv_caps_none(void)
{
    struct apicv_caps caps = {
        .pin = PIN_DEFAULT | APICV_PIN_EXTERNAL_INTERRUPT_EXITING | APICV_PIN_NMI_EXITING | APICV_PIN_VIRTUAL_NMIS,
        .primary = PRIMARY_EARLY,
        .exit = 0x0003FFFF,
        .entry = 0x00003FFF,
        .physical_bits = 36,
    };

    return caps;
}

struct apicv_caps apicv_caps_core2(void)
{
    struct apicv_caps caps = apicv_caps_none();

    caps.primary |= APICV_PRIMARY_TPR_SHADOW | APICV_PRIMARY_SECONDARY;
    caps.secondary = APICV_SECONDARY_APIC_ACCESSES | 0x40; /* and WBINVD exiting */
    caps.true_msrs = true;
    return caps;
}

struct apicv_caps apicv_caps_sandy_bridge(void)
{
    struct apicv_caps caps = apicv_caps_core2();

    caps.pin |= APICV_PIN_PREEMPTION_TIMER;
    caps.secondary |= 0x4FF; /* APIC accesses, EPT, x2APIC mode, VPID, and others up to PAUSE-loop exiting */
    caps.exit = 0x007FFFFF;
    caps.entry = 0x0000FFFF;
    caps.physical_bits = 46;
    return caps;
}

struct apicv_caps apicv_caps_skylake(void)
{
    struct apicv_caps caps = apicv_caps_sandy_bridge();

    caps.pin |= APICV_PIN_POSTED_INTERRUPTS;
    caps.secondary |= APICV_SECONDARY_REGISTER_VIRTUALIZATION | APICV_SECONDARY_VIRTUAL_INTERRUPT_DELIVERY;
    caps.vmwrite_any = true;
    return caps;
}

struct apicv_caps apicv_caps_sapphire_rapids(void)
{
    struct apicv_caps caps = apicv_caps_skylake();

    caps.primary |= APICV_PRIMARY_TERTIARY;
    caps.tertiary = APICV_TERTIARY_IPI_VIRTUALIZATION | APICV_TERTIARY_TIMER_VIRTUALIZATION;
    caps.physical_bits = 52;
    return caps;
}

static uint64_t must_and_may(uint32_t must, uint32_t may)
{
    return (uint64_t)may << 32 | must;
}

/* Revision 12h, regions of 4 KiB, memory type write-back, information about INS and OUTS. */
static uint64_t basic(const struct apicv_caps *caps)
{
    return (uint64_t)caps->true_msrs << 55 | 1ull << 54 | 6ull << 50 | 0x1000ull << 32 | 0x12;
}

bool apicv_capability_msr(const struct apicv_caps *caps, uint32_t msr, uint64_t *value)
{
    switch (msr) {
    case APICV_MSR_BASIC:
        *value = basic(caps);
        return true;
    case APICV_MSR_PINBASED:
        *value = must_and_may(PIN_DEFAULT, caps->pin);
        return true;
    case APICV_MSR_PROCBASED:
        *value = must_and_may(PRIMARY_DEFAULT, caps->primary);
        return true;
    case APICV_MSR_EXIT:
        *value = must_and_may(EXIT_DEFAULT, caps->exit);
        return true;
    case APICV_MSR_ENTRY:
        *value = must_and_may(ENTRY_DEFAULT, caps->entry);
        return true;
    case APICV_MSR_TRUE_PINBASED:
        *value = must_and_may(PIN_DEFAULT, caps->pin);
        return caps->true_msrs;
    case APICV_MSR_TRUE_PROCBASED:
        *value = must_and_may(PRIMARY_TRUE_DEFAULT, caps->primary);
        return caps->true_msrs;
    case APICV_MSR_TRUE_EXIT:
        *value = must_and_may(EXIT_TRUE_DEFAULT, caps->exit);
        return caps->true_msrs;
    case APICV_MSR_TRUE_ENTRY:
        *value = must_and_may(ENTRY_TRUE_DEFAULT, caps->entry);
        return caps->true_msrs;
    case APICV_MSR_PROCBASED2:
        *value = must_and_may(0, caps->secondary);
        return (caps->primary & APICV_PRIMARY_SECONDARY) != 0;
    case APICV_MSR_PROCBASED3:
        *value = caps->tertiary;
        return (caps->primary & APICV_PRIMARY_TERTIARY) != 0;
    default:
        return false;
    }
}
