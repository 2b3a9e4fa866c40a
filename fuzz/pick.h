/* SPDX-License-Identifier: BSD-2-Clause */
/* Vectors and words that bring something about, out of few bytes of an input. */
#ifndef FUZZ_PICK_H
#define FUZZ_PICK_H

#include "input.h"

/* Few different ones, so that they meet: both ends, class boundaries, the illegal ones. */
static inline uint8_t pick_vector(struct fuzz_input *in)
{
    static const uint8_t vectors[] = { 0x00, 0x0F, 0x10, 0x1F, 0x30, 0x31, 0x3F, 0x41,
                                       0x42, 0x4F, 0x50, 0x80, 0xEF, 0xF0, 0xFE, 0xFF };
    uint8_t byte = fuzz_u8(in);

    return byte < 0xC0 ? vectors[byte % sizeof vectors] : byte;
}

static inline uint32_t pick_word(struct fuzz_input *in)
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

#endif
