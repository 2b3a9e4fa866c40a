/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ICR without a model behind it. Intel SDM 3A, "Interrupt Command Register (ICR)", "Determining IPI Destination". The rules are the
 * core's: vlapic_icr_rules.h, vlapic_match.h.
 */
#include <vlapic/icr.h>

#include "../core/vlapic_icr_rules.h"
#include "../core/vlapic_match.h"

void vlapic_icr_decode(enum vlapic_icr_format format, uint64_t value, struct vlapic_icr *icr)
{
    *icr = vlapic_icr_from(format, (uint32_t)value, (uint32_t)(value >> (format == VLAPIC_ICR_FORMAT_XAPIC ? 56 : 32)));
}

/* The manuals define no fault in xAPIC mode. Intel's x2APIC ignores the delivery status, AMD's does not. */
static bool faults(const struct vlapic_icr *icr, enum vlapic_vendor vendor)
{
    uint32_t ignored = vendor == VLAPIC_VENDOR_INTEL ? VLAPIC_ICR_STATUS : 0;

    return icr->format == VLAPIC_ICR_FORMAT_X2APIC && (icr->reserved & ~ignored) != 0;
}

enum vlapic_icr_verdict vlapic_icr_check(const struct vlapic_icr *icr, const struct vlapic_icr_rules *rules)
{
    const struct vlapic_vm_config config = {
        .vendor = rules->vendor,
        .icr_policy = rules->policy,
        .lowest_in_x2apic = rules->lowest_in_x2apic,
    };

    return faults(icr, rules->vendor) ? VLAPIC_ICR_FAULT : vlapic_icr_judge(icr, &config);
}

static uint32_t route_of(const struct vlapic_target *target)
{
    return (target->xapic_id >> 24) | VLAPIC_ROUTE_LOGICAL(target->dfr >> 28, target->ldr >> 24) |
           ((target->apic_base & VLAPIC_BASE_EXTD) != 0 ? VLAPIC_ROUTE_EXTD : 0);
}

static bool destination_matches(const struct vlapic_icr *icr, const struct vlapic_icr_rules *rules,
                                const struct vlapic_target *target)
{
    uint32_t route = route_of(target);

    if (icr->destination == (icr->format == VLAPIC_ICR_FORMAT_XAPIC ? VLAPIC_XAPIC_ALL : VLAPIC_X2APIC_ALL)) {
        return true;
    }
    return icr->logical ? vlapic_matches_logical(route, target->apic_id, icr->destination)
                        : vlapic_matches_physical(route, target->apic_id, rules->dest_alias, icr->destination);
}

bool vlapic_icr_matches(const struct vlapic_icr *icr, const struct vlapic_icr_rules *rules,
                        const struct vlapic_target *target, bool is_sender)
{
    if ((target->apic_base & VLAPIC_BASE_EN) == 0) {
        return false;
    }
    switch (icr->shorthand) {
    case VLAPIC_SHORTHAND_SELF:
        return is_sender;
    case VLAPIC_SHORTHAND_ALL:
        return true;
    case VLAPIC_SHORTHAND_OTHERS:
        return !is_sender;
    default:
        return destination_matches(icr, rules, target);
    }
}
