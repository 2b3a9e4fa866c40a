/* SPDX-License-Identifier: BSD-2-Clause */
/* Whether a destination names a receiver. Reference 12, "Complete rule, mixed modes included". */
#include "oracle.h"

static bool is_broadcast(const struct oracle_apic *r, enum oracle_source source, uint32_t dest)
{
    switch (source) {
    case ORACLE_FROM_XAPIC:
        return dest == 0xFF;
    case ORACLE_FROM_X2APIC:
        return dest == 0xFFFFFFFF;
    case ORACLE_FROM_OUTSIDE:
        break;
    }
    if (dest == 0xFFFFFFFF) {
        return true;
    }
    return dest == 0xFF && (oracle_in_xapic(r) || !r->bus->options.msi_ff_not_broadcast);
}

static bool physical(const struct oracle_apic *r, uint32_t dest)
{
    if (oracle_in_x2apic(r)) {
        return dest == r->id32;
    }
    if (dest <= 0xFF) {
        return dest == r->xapic_id;
    }
    if (r->bus->options.dest_alias) {
        return (dest & 0xFF) == r->xapic_id;
    }
    return dest == r->id32;
}

static bool logical_xapic(const struct oracle_apic *r, uint32_t dest)
{
    if (dest > 0xFF) {
        return false;
    }
    if (r->dfr == 0xF) {
        return (dest & r->ldr) != 0;
    }
    if (r->dfr == 0) {
        return dest >> 4 == (uint32_t)r->ldr >> 4 && (dest & r->ldr & 15) != 0;
    }
    return false;
}

static bool logical_x2apic(const struct oracle_apic *r, uint32_t dest)
{
    uint32_t ldr = oracle_ldr(r);

    return dest >> 16 == ldr >> 16 && (dest & ldr & 0xFFFF) != 0;
}

bool oracle_match(const struct oracle_apic *r, enum oracle_source source, uint32_t dest, bool logical)
{
    if (!r->attached || !r->en) {
        return false;
    }
    if (is_broadcast(r, source, dest)) {
        return true;
    }
    if (!logical) {
        return physical(r, dest);
    }
    return oracle_in_x2apic(r) ? logical_x2apic(r, dest) : logical_xapic(r, dest);
}
