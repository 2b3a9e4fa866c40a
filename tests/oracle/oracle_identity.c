/* SPDX-License-Identifier: BSD-2-Clause */
/* ID, version, LDR and SVR. Reference 6 and 7. */
#include "oracle.h"

uint32_t oracle_id(const struct oracle_apic *a)
{
    return oracle_in_x2apic(a) ? a->id32 : (uint32_t)a->xapic_id << 24;
}

uint32_t oracle_version(const struct oracle_apic *a)
{
    const struct oracle_options *o = &a->bus->options;

    return o->version | o->max_lvt << 16 | (o->eoi_suppression ? 1u << 24 : 0) | (o->ext_space ? 1u << 31 : 0);
}

uint32_t oracle_ldr(const struct oracle_apic *a)
{
    if (oracle_in_x2apic(a)) {
        uint32_t cluster = a->id32 >> 4 & 0xFFFF, member = a->id32 & 15;

        return cluster << 16 | 1u << member;
    }
    return (uint32_t)a->ldr << 24;
}

uint32_t oracle_svr_read(const struct oracle_apic *a)
{
    return a->spurious | (a->software_enabled ? 1u << 8 : 0) | (a->focus_disable ? 1u << 9 : 0) |
           (a->suppress_eoi ? 1u << 12 : 0);
}

/* Reference 7.1: an expiry before the write that disables is kept. */
void oracle_svr_write(struct oracle_apic *a, uint32_t value)
{
    bool enable = (value >> 8 & 1) != 0;

    if (a->software_enabled && !enable) {
        oracle_look_at_clock(a);
    }
    a->spurious = value & 0xFF;
    a->software_enabled = enable;
    a->focus_disable = (value >> 9 & 1) != 0;
    a->suppress_eoi = a->bus->options.eoi_suppression && (value >> 12 & 1) != 0;
    if (!a->software_enabled) {
        for (unsigned entry = 0; entry < ORACLE_ENTRIES; entry++) {
            a->lvt[entry].masked = true;
        }
    }
}
