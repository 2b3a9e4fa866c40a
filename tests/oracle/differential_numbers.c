/* SPDX-License-Identifier: BSD-2-Clause */
/* Destinations that somebody answers to, out of few bytes. */
#include "differential_internal.h"

uint32_t pick_destination(struct machine *m)
{
    uint8_t byte = fuzz_u8(&m->in);
    const struct oracle_apic *a = &m->oracle.apic[(byte >> 3) % m->count];

    switch (byte & 7) {
    case 0:
        return a->id32;
    case 1:
        return a->xapic_id;
    case 2:
        return (byte & 8) != 0 ? 0xFFFFFFFF : 0xFF;
    case 3:
        return 1u << (byte >> 3);
    case 4:
        return (a->id32 >> 4 & 0xFFFF) << 16 | (1u << (a->id32 & 15)) | (byte >> 5);
    case 5:
        return a->ldr;
    case 6:
        return fuzz_u8(&m->in);
    default:
        return fuzz_u32(&m->in);
    }
}
