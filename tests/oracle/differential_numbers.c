/* SPDX-License-Identifier: BSD-2-Clause */
/* Vectors, words and destinations that bring something about, out of few bytes. */
#include "differential_internal.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* Few different ones, so that they meet: both ends, class boundaries, the illegal ones. */
uint8_t pick_vector(struct fuzz_input *in)
{
    static const uint8_t vectors[] = { 0x00, 0x0F, 0x10, 0x1F, 0x30, 0x31, 0x3F, 0x41,
                                       0x42, 0x4F, 0x50, 0x80, 0xEF, 0xF0, 0xFE, 0xFF };
    uint8_t byte = fuzz_u8(in);

    return byte < 0xC0 ? vectors[byte % COUNT(vectors)] : byte;
}

uint32_t pick_word(struct fuzz_input *in)
{
    uint8_t byte = fuzz_u8(in);

    switch (byte & 7) {
    case 0:
        return byte >> 3;
    case 1:
        return 1u << (byte >> 3);
    case 2:
        return ~0u;
    case 3:
        return ~(1u << (byte >> 3));
    case 4:
    case 5:
        return fuzz_u16(in);
    default:
        return fuzz_u32(in);
    }
}

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
