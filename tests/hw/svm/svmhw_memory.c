/* SPDX-License-Identifier: BSD-2-Clause */
/* Physical memory. Reference 4.5. */
#include "svmhw_internal.h"

bool svmhw_in_range(const struct svmhw_machine *machine, uint64_t pa, uint64_t bytes)
{
    unsigned bits = machine->capabilities.physical_bits ? machine->capabilities.physical_bits : 52;
    uint64_t end = UINT64_C(1) << bits;

    return pa < end && bytes <= end - pa;
}

uint8_t *svmhw_memory(const struct svmhw_machine *machine, uint64_t pa, size_t bytes)
{
    return svmhw_in_range(machine, pa, bytes) ? machine->callbacks.memory(machine->context, pa, bytes) : NULL;
}

uint64_t svmhw_get(const uint8_t *at, unsigned bytes)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < bytes; i++) {
        value |= (uint64_t)at[i] << 8 * i;
    }
    return value;
}

void svmhw_put(uint8_t *at, unsigned bytes, uint64_t value)
{
    for (unsigned i = 0; i < bytes; i++) {
        at[i] = (uint8_t)(value >> 8 * i);
    }
}
