/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A bare-metal guest for what Linux never does to its local APIC. 32-bit, no paging, one CPU, interrupts off: a multiboot image for
 * QEMU's -kernel. It prints "guest: payload NAME: ok" or "... FAILED" per test, and ends QEMU through isa-debug-exit.
 */
#include <stdbool.h>
#include <stdint.h>

__asm__(".section .text\n"
        ".align 4\n"
        ".long 0x1BADB002, 0, -0x1BADB002\n" /* multiboot header: magic, flags, checksum */
        ".globl _start\n"
        "_start:\n"
        "    mov $stack_top, %esp\n"
        "    call payload\n"
        "1:  hlt\n"
        "    jmp 1b\n"
        ".section .bss\n"
        ".align 16\n"
        ".skip 16384\n"
        "stack_top:\n"
        ".text\n");

#define COM1 0x3f8u
#define DEBUG_EXIT 0xf4u

#define MSR_APIC_BASE 0x1bu
#define MSR_TSC_DEADLINE 0x6e0u
#define MSR_X2APIC(offset) (0x800u + ((offset) >> 4))
#define BASE_EN (1u << 11)
#define BASE_EXTD (1u << 10)

#define REG_VERSION 0x30u
#define REG_TPR 0x80u
#define REG_SVR 0xf0u
#define REG_IRR 0x200u
#define REG_LVT_TIMER 0x320u
#define REG_INITIAL_COUNT 0x380u
#define REG_CURRENT_COUNT 0x390u
#define REG_DIVIDE 0x3e0u

#define VECTOR 0x51u
#define TIMER_PERIODIC (1u << 17)
#define TIMER_DEADLINE (2u << 17)
#define ALL_ONES 0xffffffffu

static void out8(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static uint8_t in8(uint16_t port)
{
    uint8_t value;

    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static uint64_t rdmsr(uint32_t msr)
{
    uint64_t value;

    __asm__ volatile("rdmsr" : "=A"(value) : "c"(msr));
    return value;
}

static void wrmsr(uint32_t msr, uint64_t value)
{
    __asm__ volatile("wrmsr" : : "A"(value), "c"(msr));
}

static uint64_t rdtsc(void)
{
    uint64_t value;

    __asm__ volatile("rdtsc" : "=A"(value));
    return value;
}

static uint32_t cpuid1(bool ecx)
{
    uint32_t a = 1, b, c = 0, d;

    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    return ecx ? c : d;
}

static volatile uint32_t *window(uint32_t offset)
{
    return (volatile uint32_t *)(0xfee00000u + offset);
}

static void print(const char *text)
{
    for (; *text != '\0'; text++) {
        while ((in8(COM1 + 5) & 0x20) == 0) {
        }
        out8(COM1, (uint8_t)*text);
    }
}

static bool all_ok = true;

static void verdict(const char *name, bool ok)
{
    print("guest: payload ");
    print(name);
    print(ok ? ": ok\n" : ": FAILED\n");
    all_ok = all_ok && ok;
}

/* Long enough for the timers below, whatever the host's speed. */
static void wait_ticks(uint64_t ticks)
{
    uint64_t start = rdtsc();

    while (rdtsc() - start < ticks) {
    }
}

static bool pending(uint32_t vector)
{
    return (*window(REG_IRR + ((vector >> 5) << 4)) >> (vector & 31)) & 1;
}

static void set_mode(uint32_t bits)
{
    uint64_t base = rdmsr(MSR_APIC_BASE) & ~(uint64_t)(BASE_EN | BASE_EXTD);

    wrmsr(MSR_APIC_BASE, base | bits);
}

static void enabled_window_answers(void)
{
    verdict("window-answers-when-enabled", (*window(REG_VERSION) & 0xf0) == 0x10);
}

static void disabled_window_reads_all_ones(void)
{
    bool flag, silent;

    set_mode(0);
    silent = *window(REG_VERSION) == ALL_ONES && *window(REG_TPR) == ALL_ONES;
    flag = cpuid1(false) & (1u << 9);
    set_mode(BASE_EN);
    verdict("window-all-ones-when-disabled", silent);
    verdict("cpuid-flag-clear-when-disabled", !flag);
    verdict("window-answers-when-enabled-again", (*window(REG_VERSION) & 0xf0) == 0x10);
}

static void x2apic_window_reads_all_ones(void)
{
    bool silent, dropped, answers;

    if ((cpuid1(true) & (1u << 21)) == 0) {
        verdict("window-all-ones-in-x2apic", false);
        return;
    }
    set_mode(BASE_EN | BASE_EXTD);
    silent = *window(REG_VERSION) == ALL_ONES;
    *window(REG_TPR) = 0x50;
    dropped = rdmsr(MSR_X2APIC(REG_TPR)) == 0;
    answers = (rdmsr(MSR_X2APIC(REG_VERSION)) & 0xf0) == 0x10;
    set_mode(0);
    set_mode(BASE_EN);
    verdict("window-all-ones-in-x2apic", silent);
    verdict("window-drops-writes-in-x2apic", dropped);
    verdict("msrs-answer-in-x2apic", answers);
}

static void expired_one_shot_stays_at_zero(void)
{
    *window(REG_SVR) = 0x1ff;
    *window(REG_DIVIDE) = 0xb;
    *window(REG_LVT_TIMER) = VECTOR;
    *window(REG_INITIAL_COUNT) = 100000;
    while (*window(REG_CURRENT_COUNT) != 0) {
    }
    verdict("one-shot-expires", pending(VECTOR));
    *window(REG_LVT_TIMER) = TIMER_PERIODIC | (VECTOR + 0x10);
    wait_ticks(100000000);
    verdict("expired-one-shot-stays-at-zero-as-periodic", *window(REG_CURRENT_COUNT) == 0 && !pending(VECTOR + 0x10));
    *window(REG_INITIAL_COUNT) = 100000;
    while (!pending(VECTOR + 0x10)) {
    }
    verdict("periodic-starts-with-a-count", true);
    *window(REG_INITIAL_COUNT) = 0;
}

static void deadline_fires_once(void)
{
    uint64_t deadline;

    if ((cpuid1(true) & (1u << 24)) == 0) {
        return;
    }
    *window(REG_LVT_TIMER) = TIMER_DEADLINE | (VECTOR + 0x20);
    deadline = rdtsc() + 50000000;
    wrmsr(MSR_TSC_DEADLINE, deadline);
    verdict("deadline-reads-back", rdmsr(MSR_TSC_DEADLINE) == deadline);
    while (!pending(VECTOR + 0x20)) {
    }
    verdict("deadline-not-early", rdtsc() >= deadline);
    verdict("deadline-reads-zero-when-over", rdmsr(MSR_TSC_DEADLINE) == 0);
}

/* Called by the first instructions above. */
void payload(void);
void payload(void)
{
    enabled_window_answers();
    disabled_window_reads_all_ones();
    x2apic_window_reads_all_ones();
    expired_one_shot_stays_at_zero();
    deadline_fires_once();
    print(all_ok ? "guest: payload: ok\n" : "guest: payload: FAILED\n");
    while ((in8(COM1 + 5) & 0x40) == 0) {
    }
    out8(DEBUG_EXIT, all_ok ? 0 : 1);
}
