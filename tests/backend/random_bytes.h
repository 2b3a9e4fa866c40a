/* SPDX-License-Identifier: BSD-2-Clause */
/* Random sequences for compare.h, the same each time. */
#ifndef TESTS_BACKEND_RANDOM_BYTES_H
#define TESTS_BACKEND_RANDOM_BYTES_H

#include "compare.h"

#define RANDOM_BYTES 400

static inline void random_sequences(const struct side_kind *kind, uint32_t features, unsigned count)
{
    uint64_t seed = features + 1;
    uint8_t bytes[RANDOM_BYTES];

    for (unsigned i = 0; i < count; i++) {
        for (unsigned k = 0; k < RANDOM_BYTES; k++) {
            seed = seed * 6364136223846793005ull + 1442695040888963407ull;
            bytes[k] = (uint8_t)(seed >> 56);
        }
        compare_run(kind, features, bytes, sizeof bytes);
    }
}

#endif
