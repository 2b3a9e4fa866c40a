/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What an ICR value says and whether it is sent: functions of the value and the settings alone. Intel SDM 3A, "Interrupt Command
 * Register (ICR)"; AMD APM 2, "Interprocessor Interrupts". Which combinations are sent, by vendor and policy, is the table in
 * docs/CAPABILITIES.md.
 */
#ifndef VLAPIC_ICR_RULES_H
#define VLAPIC_ICR_RULES_H

#include <vlapic/icr.h>

/* The fields of the low half. */
static inline struct vlapic_icr vlapic_icr_from(enum vlapic_icr_format format, uint32_t low, uint32_t destination)
{
    struct vlapic_icr icr = {
        .format = format,
        .delivery = (enum vlapic_delivery)((low & VLAPIC_DELIVERY_MASK) >> VLAPIC_DELIVERY_SHIFT),
        .shorthand = (enum vlapic_shorthand)((low & VLAPIC_ICR_SHORTHAND_MASK) >> VLAPIC_ICR_SHORTHAND_SHIFT),
        .destination = destination,
        .reserved = low & ~VLAPIC_ICR_BITS,
        .vector = (uint8_t)low,
        .logical = (low & VLAPIC_ICR_LOGICAL) != 0,
        .level = (low & VLAPIC_ICR_LEVEL) != 0,
        .asserted = (low & VLAPIC_ICR_ASSERT) != 0,
    };
    return icr;
}

/*
 * The combinations that are not sent and record no error. An INIT with trigger level and level 0 is the de-assert of old buses;
 * AMD has no level-triggered message with level 0, where Intel sends an edge.
 */
static inline bool vlapic_icr_is_dropped(const struct vlapic_icr *icr, const struct vlapic_vm_config *config)
{
    bool withdraws = icr->level && !icr->asserted;
    bool includes_self = icr->shorthand == VLAPIC_SHORTHAND_SELF || icr->shorthand == VLAPIC_SHORTHAND_ALL;

    if (icr->delivery == VLAPIC_DELIVERY_RESERVED || icr->delivery == VLAPIC_DELIVERY_EXTINT) {
        return true;
    }
    if (icr->delivery == VLAPIC_DELIVERY_INIT && withdraws) {
        return true;
    }
    if (includes_self && icr->delivery != VLAPIC_DELIVERY_FIXED && config->icr_policy == VLAPIC_ICR_STRICT) {
        return true;
    }
    return config->vendor == VLAPIC_VENDOR_AMD && withdraws && icr->delivery != VLAPIC_DELIVERY_SIPI;
}

/* Of the settings: vendor, icr_policy, lowest_in_x2apic. Reserved bits are the caller's to have looked at. */
static inline enum vlapic_icr_verdict vlapic_icr_judge(const struct vlapic_icr *icr,
                                                       const struct vlapic_vm_config *config)
{
    if (vlapic_icr_is_dropped(icr, config)) {
        return VLAPIC_ICR_DROPPED;
    }
    if (icr->delivery == VLAPIC_DELIVERY_LOWEST && icr->format == VLAPIC_ICR_FORMAT_X2APIC &&
        !config->lowest_in_x2apic && config->vendor == VLAPIC_VENDOR_INTEL) {
        return VLAPIC_ICR_REDIRECTABLE;
    }
    if ((icr->delivery == VLAPIC_DELIVERY_FIXED || icr->delivery == VLAPIC_DELIVERY_LOWEST) && icr->vector < 16) {
        return VLAPIC_ICR_ILLEGAL_VECTOR;
    }
    return VLAPIC_ICR_SENT;
}

#endif
