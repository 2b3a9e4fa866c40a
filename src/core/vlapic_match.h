/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whether a destination names a receiver, in the receiver's own mode: a function of the destination, the route word and the ID.
 * Intel SDM 3A, "Determining IPI Destination", "Logical Destination Mode", "Logical x2APIC ID".
 */
#ifndef VLAPIC_MATCH_H
#define VLAPIC_MATCH_H

#include "vlapic_model.h"

/* The destinations of an ICR that name everybody, physical or logical. */
#define VLAPIC_XAPIC_ALL 0xFFu
#define VLAPIC_X2APIC_ALL UINT32_MAX

static inline bool vlapic_is_broadcast(const struct vlapic_vm *vm, const struct vlapic_request *q, bool to_x2apic)
{
    switch (q->source) {
    case VLAPIC_FROM_XAPIC:
        return q->destination == VLAPIC_XAPIC_ALL;
    case VLAPIC_FROM_X2APIC:
        return q->destination == VLAPIC_X2APIC_ALL;
    default:
        return q->destination == VLAPIC_X2APIC_ALL ||
               (q->destination == VLAPIC_XAPIC_ALL && (!to_x2apic || !vm->config.msi_ff_not_broadcast));
    }
}

static inline bool vlapic_matches_physical(uint32_t route, uint32_t apic_id, bool alias, uint32_t destination)
{
    if ((route & VLAPIC_ROUTE_EXTD) == 0) {
        if (destination <= 0xFF) {
            return destination == VLAPIC_ROUTE_ID8(route);
        }
        if (alias) {
            return (destination & 0xFF) == VLAPIC_ROUTE_ID8(route);
        }
    }
    return destination == apic_id;
}

static inline bool vlapic_matches_xapic_logical(uint32_t route, uint32_t destination)
{
    uint32_t ldr = VLAPIC_ROUTE_LDR8(route);

    switch (VLAPIC_ROUTE_DFR4(route)) {
    case 0xF:
        return (destination & ldr) != 0;
    case 0x0:
        return (destination >> 4) == (ldr >> 4) && (destination & ldr & 0xFu) != 0;
    default:
        return false;
    }
}

static inline bool vlapic_matches_logical(uint32_t route, uint32_t apic_id, uint32_t destination)
{
    if ((route & VLAPIC_ROUTE_EXTD) != 0) {
        return (destination >> 16) == ((apic_id >> 4) & 0xFFFFu) && ((destination >> (apic_id & 0xFu)) & 1u) != 0;
    }
    return destination <= 0xFF && vlapic_matches_xapic_logical(route, destination);
}

/* No shorthand, a destination; `route` has EN set. */
static inline bool vlapic_matches(const struct vlapic_request *q, const struct vlapic_cpu *cpu, uint32_t route)
{
    if (vlapic_is_broadcast(cpu->vm, q, (route & VLAPIC_ROUTE_EXTD) != 0)) {
        return true;
    }
    return q->logical ? vlapic_matches_logical(route, cpu->apic_id, q->destination)
                      : vlapic_matches_physical(route, cpu->apic_id, cpu->vm->config.dest_alias, q->destination);
}

#endif
