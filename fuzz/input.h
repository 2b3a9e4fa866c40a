/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The one decoder of fuzz inputs: numbers are taken from the front of the bytes, and once they are used up every number is zero.
 * An input is a list of operations, so a harness loops while fuzz_more() and caps the number of rounds.
 */
#ifndef FUZZ_INPUT_H
#define FUZZ_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fuzz_input {
    const uint8_t *bytes;
    size_t left;
};

static inline bool fuzz_more(const struct fuzz_input *in)
{
    return in->left != 0;
}

static inline uint8_t fuzz_u8(struct fuzz_input *in)
{
    if (in->left == 0) {
        return 0;
    }
    in->left--;
    return *in->bytes++;
}

/* Little-endian, so that a dictionary entry reads as in memory. */
static inline uint64_t fuzz_number(struct fuzz_input *in, unsigned bytes)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < bytes; i++) {
        value |= (uint64_t)fuzz_u8(in) << (8 * i);
    }
    return value;
}

static inline uint16_t fuzz_u16(struct fuzz_input *in)
{
    return (uint16_t)fuzz_number(in, 2);
}

static inline uint32_t fuzz_u32(struct fuzz_input *in)
{
    return (uint32_t)fuzz_number(in, 4);
}

static inline uint64_t fuzz_u64(struct fuzz_input *in)
{
    return fuzz_number(in, 8);
}

/* 0 .. count - 1; count is 1 .. 256. */
static inline unsigned fuzz_below(struct fuzz_input *in, unsigned count)
{
    return fuzz_u8(in) % count;
}

#endif
