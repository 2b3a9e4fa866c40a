/* SPDX-License-Identifier: BSD-2-Clause */
/* The timer: one-shot, periodic, TSC deadline. Never early; late is no fault, for the machine may be slow. */
#include "guest.h"
#include "payloads.h"

#define VECTOR 0xA1
#define DIVIDE_BY_1 0xB
#define DIVIDE_BY_16 0x3
#define COUNT 20000u

static volatile uint64_t fired_at;
static void look_at_clock(uint8_t vector)
{
    (void)vector;
    fired_at = guest_clock();
}

static void start(uint32_t lvt, uint32_t divide, uint32_t count)
{
    apic_write(VLAPIC_REG_LVT_TIMER, lvt);
    apic_write(VLAPIC_REG_DIVIDE_CONFIG, divide);
    apic_write(VLAPIC_REG_INITIAL_COUNT, count);
}

void payload_timer_one_shot(void)
{
    uint32_t last = COUNT, now;
    uint64_t start_clock;

    me()->handler[VECTOR] = look_at_clock;
    for (uint32_t round = 0; round < 4; round++) {
        uint32_t divisor = round % 2 == 0 ? 1 : 16;

        start_clock = guest_clock();
        start(VECTOR, divisor == 1 ? DIVIDE_BY_1 : DIVIDE_BY_16, COUNT);
        CHECK_IS(apic_read(VLAPIC_REG_INITIAL_COUNT), COUNT);
        last = COUNT;
        while (me()->count[VECTOR] == round) { /* the count goes down, and is 0 only afterwards */
            now = apic_read(VLAPIC_REG_CURRENT_COUNT);
            CHECK(now <= last);
            CHECK(guest_clock() - start_clock < 1000000000ull);
            last = now;
        }
        CHECK(fired_at - start_clock >= (uint64_t)COUNT * divisor);
        CHECK_IS(apic_read(VLAPIC_REG_CURRENT_COUNT), 0);
        CHECK_IS(apic_read(VLAPIC_REG_INITIAL_COUNT), COUNT);
    }
    /* Masked: it runs down without an interrupt. Stopped: it does not run. */
    start(VLAPIC_LVT_MASKED | VECTOR, DIVIDE_BY_1, COUNT);
    WAIT(apic_read(VLAPIC_REG_CURRENT_COUNT) == 0);
    apic_write(VLAPIC_REG_LVT_TIMER, VECTOR);
    start(VECTOR, DIVIDE_BY_1, 400000000);
    CHECK(apic_read(VLAPIC_REG_CURRENT_COUNT) != 0);
    apic_write(VLAPIC_REG_INITIAL_COUNT, 0);
    CHECK_IS(apic_read(VLAPIC_REG_CURRENT_COUNT), 0);
    CHECK_IS(me()->count[VECTOR], 4);
}

void payload_timer_periodic(void)
{
    uint64_t start_clock = guest_clock();

    me()->handler[VECTOR] = look_at_clock;
    start(VLAPIC_LVT_TIMER_PERIODIC | VECTOR, DIVIDE_BY_1, COUNT);
    for (uint32_t n = 1; n <= 10; n++) {
        WAIT(me()->count[VECTOR] >= n);
        CHECK(apic_read(VLAPIC_REG_CURRENT_COUNT) != 0);
    }
    cli();
    CHECK(fired_at - start_clock >= (uint64_t)me()->count[VECTOR] * COUNT);
    sti();
    /* To one-shot while it runs: once more at most. */
    cli();
    apic_write(VLAPIC_REG_LVT_TIMER, VECTOR);
    WAIT(apic_read(VLAPIC_REG_CURRENT_COUNT) == 0);
    sti();
    WAIT(apic_is_empty(VLAPIC_REG_IRR));
    CHECK_IS(apic_read(VLAPIC_REG_CURRENT_COUNT), 0);
}

static uint32_t stable_count(void)
{
    return me()->count[VECTOR];
}

void payload_deadline(void)
{
    uint64_t deadline;

    apic_write(VLAPIC_REG_LVT_TIMER, VLAPIC_LVT_TIMER_DEADLINE | VECTOR);
    CHECK_IS(rdmsr(VLAPIC_MSR_TSC_DEADLINE), 0);
    for (uint32_t round = 1; round <= 5; round++) {
        deadline = rdtsc() + COUNT;
        wrmsr(VLAPIC_MSR_TSC_DEADLINE, deadline);
        WAIT(stable_count() == round);
        CHECK(rdtsc() >= deadline);
        CHECK_IS(rdmsr(VLAPIC_MSR_TSC_DEADLINE), 0);
    }
    wrmsr(VLAPIC_MSR_TSC_DEADLINE, 1); /* in the past: at once */
    WAIT(stable_count() == 6);
    deadline = rdtsc() + (1ull << 40);
    wrmsr(VLAPIC_MSR_TSC_DEADLINE, deadline);
    CHECK_IS(rdmsr(VLAPIC_MSR_TSC_DEADLINE), deadline);
    apic_write(VLAPIC_REG_INITIAL_COUNT, 5); /* ignored */
    CHECK_IS(apic_read(VLAPIC_REG_INITIAL_COUNT), 0);
    CHECK_IS(apic_read(VLAPIC_REG_CURRENT_COUNT), 0);
    wrmsr(VLAPIC_MSR_TSC_DEADLINE, 0); /* disarms */
    CHECK_IS(rdmsr(VLAPIC_MSR_TSC_DEADLINE), 0);
    wrmsr(VLAPIC_MSR_TSC_DEADLINE, deadline);
    apic_write(VLAPIC_REG_LVT_TIMER, VECTOR); /* another mode disarms, too */
    CHECK_IS(rdmsr(VLAPIC_MSR_TSC_DEADLINE), 0);
    wrmsr(VLAPIC_MSR_TSC_DEADLINE, 1); /* and there it is ignored */
    CHECK_IS(rdmsr(VLAPIC_MSR_TSC_DEADLINE), 0);
    CHECK_IS(stable_count(), 6);
}

/* HLT sleeps until the timer; with interrupts off it would not wake, so they are let in by the STI before it. */
void payload_halt_timer(void)
{
    for (uint32_t round = 1; round <= 20; round++) {
        uint64_t start_clock = guest_clock();

        cli();
        start(VECTOR, DIVIDE_BY_1, COUNT);
        while (me()->count[VECTOR] < round) {
            sti_hlt();
            cli();
        }
        sti();
        CHECK(guest_clock() - start_clock >= COUNT);
        CHECK_IS(me()->count[VECTOR], round);
    }
    CHECK((guest_features & GUEST_FEATURE_PHYSICAL) != 0 || guest_exits(GUEST_EXIT_HLT) >= 1);
    /* Pending already, or never going to sleep: one that is due at once. */
    for (uint32_t round = 21; round <= 40; round++) {
        cli();
        apic_send_self(VECTOR);
        sti_hlt();
        CHECK_IS(me()->count[VECTOR], round);
    }
}
