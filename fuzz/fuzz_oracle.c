/* SPDX-License-Identifier: BSD-2-Clause */
/* Sequences of operations on several vCPUs: the library against the oracle. With VLAPIC_TRACE set, every step is told. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "differential.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    if (getenv("VLAPIC_TRACE")) {
        differential_trace(bytes, size);
    } else {
        differential_run(bytes, size);
    }
    return 0;
}
