/* SPDX-License-Identifier: BSD-2-Clause */
/* The physical local APIC, and the timer in TSC ticks. */
#include "host.h"
#include <vlapic/registers.h>

#define CALIBRATION_TICKS 200000u

static uint64_t timer_ratio; /* APIC timer ticks per TSC tick, times 2^16 */

static volatile uint32_t *lapic(uint32_t offset)
{
    return (volatile uint32_t *)(uintptr_t)(VLAPIC_BASE_DEFAULT + offset);
}

void host_lapic_start(void)
{
    wrmsr(VLAPIC_MSR_APIC_BASE, rdmsr(VLAPIC_MSR_APIC_BASE) | VLAPIC_BASE_EN);
    *lapic(VLAPIC_REG_TPR) = 0;
    *lapic(VLAPIC_REG_SVR) = VLAPIC_SVR_ENABLE | HOST_VECTOR_SPURIOUS;
    *lapic(VLAPIC_REG_LVT_LINT0) = VLAPIC_LVT_MASKED;
    *lapic(VLAPIC_REG_LVT_LINT1) = VLAPIC_LVT_MASKED;
    *lapic(VLAPIC_REG_DIVIDE_CONFIG) = 0xB; /* by 1 */
    *lapic(VLAPIC_REG_LVT_TIMER) = HOST_VECTOR_TIMER;
}

uint32_t host_lapic_id(void)
{
    return *lapic(VLAPIC_REG_ID) >> 24;
}

void host_lapic_eoi(void)
{
    *lapic(VLAPIC_REG_EOI) = 0;
}

void host_lapic_send(uint32_t apic_id, uint32_t icr_low)
{
    while ((*lapic(VLAPIC_REG_ICR_LOW) & VLAPIC_ICR_STATUS) != 0) {
        relax();
    }
    *lapic(VLAPIC_REG_ICR_HIGH) = apic_id << 24;
    *lapic(VLAPIC_REG_ICR_LOW) = icr_low;
}

void host_lapic_calibrate(void)
{
    uint64_t start, ticks;
    uint32_t count;

    *lapic(VLAPIC_REG_LVT_TIMER) = HOST_VECTOR_TIMER | VLAPIC_LVT_MASKED;
    *lapic(VLAPIC_REG_INITIAL_COUNT) = UINT32_MAX;
    start = rdtsc();
    do {
        ticks = rdtsc() - start;
    } while (ticks < CALIBRATION_TICKS);
    count = UINT32_MAX - *lapic(VLAPIC_REG_CURRENT_COUNT);
    *lapic(VLAPIC_REG_INITIAL_COUNT) = 0;
    *lapic(VLAPIC_REG_LVT_TIMER) = HOST_VECTOR_TIMER;
    timer_ratio = ((uint64_t)count << 16) / ticks;
}

void host_lapic_timer(uint64_t tsc_ticks)
{
    uint64_t count = tsc_ticks < 1u << 31 ? (tsc_ticks * timer_ratio >> 16) + 1 : UINT32_MAX;

    *lapic(VLAPIC_REG_INITIAL_COUNT) = count > UINT32_MAX ? UINT32_MAX : (uint32_t)count;
}
