/* SPDX-License-Identifier: BSD-2-Clause */
/* The physical local APIC, and the timer in TSC ticks. */
#include "host.h"
#include <vlapic/registers.h>

#define CALIBRATION_TICKS 200000u

static uint64_t timer_ratio; /* APIC timer ticks per TSC tick, times 2^16 */

static uint64_t clock_ratio; /* a little more */

bool host_lapic_is_x2apic(void)
{
    return (rdmsr(VLAPIC_MSR_APIC_BASE) & VLAPIC_BASE_EXTD) != 0;
}

static volatile uint32_t *window(uint32_t offset)
{
    return (volatile uint32_t *)(uintptr_t)((rdmsr(VLAPIC_MSR_APIC_BASE) & ~0xFFFull) + offset);
}

uint32_t host_lapic_read(uint32_t offset)
{
    return host_lapic_is_x2apic() ? (uint32_t)rdmsr(VLAPIC_MSR_OF(offset)) : *window(offset);
}

void host_lapic_write(uint32_t offset, uint32_t value)
{
    if (host_lapic_is_x2apic()) {
        wrmsr(VLAPIC_MSR_OF(offset), value);
    } else {
        *window(offset) = value;
    }
}

void host_lapic_start(void)
{
    wrmsr(VLAPIC_MSR_APIC_BASE, rdmsr(VLAPIC_MSR_APIC_BASE) | VLAPIC_BASE_EN);
    host_lapic_write(VLAPIC_REG_TPR, 0);
    host_lapic_write(VLAPIC_REG_SVR, VLAPIC_SVR_ENABLE | HOST_VECTOR_SPURIOUS);
    host_lapic_write(VLAPIC_REG_LVT_LINT0, VLAPIC_LVT_MASKED);
    host_lapic_write(VLAPIC_REG_LVT_LINT1, VLAPIC_LVT_MASKED);
    host_lapic_write(VLAPIC_REG_DIVIDE_CONFIG, 0xB); /* by 1 */
    host_lapic_write(VLAPIC_REG_LVT_TIMER, HOST_VECTOR_TIMER);
}

uint32_t host_lapic_id(void)
{
    uint32_t id = host_lapic_read(VLAPIC_REG_ID);

    return host_lapic_is_x2apic() ? id : id >> 24;
}

void host_lapic_eoi(void)
{
    host_lapic_write(VLAPIC_REG_EOI, 0);
}

void host_lapic_send(uint32_t apic_id, uint32_t icr_low)
{
    if (host_lapic_is_x2apic()) {
        wrmsr(VLAPIC_MSR_OF(VLAPIC_REG_ICR_LOW), (uint64_t)apic_id << 32 | icr_low);
        return;
    }
    while ((host_lapic_read(VLAPIC_REG_ICR_LOW) & VLAPIC_ICR_STATUS) != 0) {
        relax();
    }
    host_lapic_write(VLAPIC_REG_ICR_HIGH, apic_id << 24);
    host_lapic_write(VLAPIC_REG_ICR_LOW, icr_low);
}

void host_lapic_calibrate(void)
{
    uint64_t start, ticks;
    uint32_t count;

    host_lapic_write(VLAPIC_REG_LVT_TIMER, HOST_VECTOR_TIMER | VLAPIC_LVT_MASKED);
    host_lapic_write(VLAPIC_REG_INITIAL_COUNT, UINT32_MAX);
    start = rdtsc();
    do {
        ticks = rdtsc() - start;
    } while (ticks < CALIBRATION_TICKS);
    count = UINT32_MAX - host_lapic_read(VLAPIC_REG_CURRENT_COUNT);
    host_lapic_write(VLAPIC_REG_INITIAL_COUNT, 0);
    host_lapic_write(VLAPIC_REG_LVT_TIMER, HOST_VECTOR_TIMER);
    timer_ratio = ((uint64_t)count << 16) / ticks;
    clock_ratio = ((uint64_t)count << 32) / ticks;
    clock_ratio += clock_ratio >> 7;
}

uint64_t host_lapic_clock(void)
{
    return (uint64_t)((unsigned __int128)rdtsc() * clock_ratio >> 32);
}

void host_lapic_timer(uint64_t tsc_ticks)
{
    uint64_t count = tsc_ticks < 1u << 31 ? (tsc_ticks * timer_ratio >> 16) + 1 : UINT32_MAX;

    host_lapic_write(VLAPIC_REG_INITIAL_COUNT, count > UINT32_MAX ? UINT32_MAX : (uint32_t)count);
}
