/* SPDX-License-Identifier: BSD-2-Clause */
/* The soft backend against the vmx backend on the hardware model: the first byte is the level. */
#include "compare.h"
#include "levels.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size != 0) {
        compare_run(&side_vmx, vmx_levels[data[0] % VMX_LEVELS].features, data + 1, size - 1);
    }
    return 0;
}
