/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Nanoseconds and input clocks. Intel SDM 3A, "APIC Timer" (divide configuration). Everything is exact: a second is `hz`
 * clocks, so both directions split off whole seconds and what remains fits 64 bits.
 */
#include "vlapic_clock.h"

uint64_t vlapic_core_clock_from_ns(uint64_t ns, uint64_t hz, uint64_t phase, uint64_t *rest)
{
    uint64_t seconds, part, below;

    if (hz == VLAPIC_NS_PER_S) { /* the default, and most hosts' choice */
        if (rest != NULL) {
            *rest = phase;
        }
        return ns;
    }
    seconds = ns / VLAPIC_NS_PER_S;
    part = (ns % VLAPIC_NS_PER_S) * hz + phase;
    below = part / VLAPIC_NS_PER_S;
    if (rest != NULL) {
        *rest = part % VLAPIC_NS_PER_S;
    }
    if (seconds > (UINT64_MAX - below) / hz) {
        return UINT64_MAX;
    }
    return seconds * hz + below;
}

uint64_t vlapic_core_clock_to_ns(uint64_t clocks, uint64_t hz, uint64_t phase)
{
    uint64_t seconds, part, below;

    if (hz == VLAPIC_NS_PER_S) {
        return clocks;
    }
    seconds = clocks / hz;
    part = (clocks % hz) * VLAPIC_NS_PER_S;
    if (part < phase) {
        if (seconds == 0) {
            return 0;
        }
        seconds--;
        part += hz * VLAPIC_NS_PER_S;
    }
    part -= phase;
    below = part / hz + (part % hz != 0);
    if (seconds > (UINT64_MAX - below) / VLAPIC_NS_PER_S) {
        return UINT64_MAX;
    }
    return seconds * VLAPIC_NS_PER_S + below;
}

uint32_t vlapic_core_clock_shift(uint32_t divide_config)
{
    uint32_t code = ((divide_config >> 1) & 4u) | (divide_config & 3u);

    return (code + 1u) & 7u;
}

uint64_t vlapic_core_clock_rescale(uint64_t remaining, uint32_t old_shift, uint32_t new_shift)
{
    if (new_shift >= old_shift) {
        return remaining << (new_shift - old_shift);
    }
    return (remaining + (1ull << (old_shift - new_shift)) - 1) >> (old_shift - new_shift);
}

uint32_t vlapic_core_clock_count(uint64_t remaining, uint32_t shift)
{
    return (uint32_t)((remaining + (1ull << shift) - 1) >> shift);
}
