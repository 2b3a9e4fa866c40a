/* SPDX-License-Identifier: BSD-2-Clause */
/* Pure arithmetic between nanoseconds and the timer's input clock. No state, no callbacks. */
#ifndef VLAPIC_CLOCK_H
#define VLAPIC_CLOCK_H

#include <vlapic/platform.h>

#define VLAPIC_NS_PER_S 1000000000ull
/* Fastest input clock: keeps every intermediate product below 2^64. */
#define VLAPIC_TIMER_HZ_MAX 4000000000ull

/* Input clocks in `ns` nanoseconds that begin `phase` billionths of a clock after an edge: floor((ns * hz + phase) / 10^9),
 * UINT64_MAX if it does not fit. `rest`, if not NULL, receives the phase at the end. */
uint64_t vlapic_core_clock_from_ns(uint64_t ns, uint64_t hz, uint64_t phase, uint64_t *rest);

/* The fewest nanoseconds after which vlapic_core_clock_from_ns() gives at least `clocks`; UINT64_MAX if it does not fit. */
uint64_t vlapic_core_clock_to_ns(uint64_t clocks, uint64_t hz, uint64_t phase);

/* log2 of the divisor that a divide configuration register selects (bits 3, 1, 0). */
uint32_t vlapic_core_clock_shift(uint32_t divide_config);

/* Clocks that remain, after the divisor changed: the count stays as it is, ceil(remaining * 2^new / 2^old). */
uint64_t vlapic_core_clock_rescale(uint64_t remaining, uint32_t old_shift, uint32_t new_shift);

/* What the current-count register shows: ceil(remaining / 2^shift). */
uint32_t vlapic_core_clock_count(uint64_t remaining, uint32_t shift);

#endif
