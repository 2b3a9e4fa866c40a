/* SPDX-License-Identifier: BSD-2-Clause */
/* Registers: which bits hold, what is read only, what is not there; the instructions that reach them. */
#include "guest.h"
#include "payloads.h"

#define NOTHING 0xFFFFFFFFu

struct expectation {
    uint32_t offset;
    uint32_t reset;    /* after the start, software-enabled */
    uint32_t writable; /* xAPIC: what is read back of all ones */
    uint32_t x2apic;   /* bits that may be written in x2APIC mode; the rest is #GP */
};

/* A masked LVT timer, else it would fire; DFR is xAPIC's alone. */
static const struct expectation registers[] = {
    { VLAPIC_REG_TPR, 0, 0xFF, 0xFF },
    { VLAPIC_REG_SVR, VLAPIC_SVR_ENABLE | SPURIOUS, 0x3FF, 0x3FF },
    { VLAPIC_REG_LVT_TIMER, 0x10000, 0x700FF, 0x710FF },
    { VLAPIC_REG_LVT_THERMAL, 0x10000, 0x107FF, 0x117FF },
    { VLAPIC_REG_LVT_PERF, 0x10000, 0x107FF, 0x117FF },
    { VLAPIC_REG_LVT_LINT0, 0x10000, 0x1A7FF, 0x1F7FF },
    { VLAPIC_REG_LVT_LINT1, 0x10000, 0x1A7FF, 0x1F7FF },
    { VLAPIC_REG_LVT_ERROR, 0x10000, 0x100FF, 0x110FF },
    { VLAPIC_REG_DIVIDE_CONFIG, 0, 0xB, 0xB },
};
#define REGISTER_COUNT (sizeof(registers) / sizeof(registers[0]))

static void check_version(void)
{
    uint32_t version = apic_read(VLAPIC_REG_VERSION);

    CHECK((version & 0xFF) >= 0x10);
    CHECK_IS(version >> VLAPIC_VERSION_MAX_LVT_SHIFT & 0xFF, 5);
    CHECK_IS(apic_read(VLAPIC_REG_PPR), 0);
    CHECK(apic_is_empty(VLAPIC_REG_ISR));
    CHECK(apic_is_empty(VLAPIC_REG_TMR));
    CHECK(apic_is_empty(VLAPIC_REG_IRR));
    CHECK_IS(apic_read(VLAPIC_REG_CURRENT_COUNT), 0);
    CHECK_IS(rdmsr(VLAPIC_MSR_APIC_BASE),
             VLAPIC_BASE_DEFAULT | VLAPIC_BASE_EN | VLAPIC_BASE_BSP | (me()->x2apic ? VLAPIC_BASE_EXTD : 0));
}

void payload_registers(void)
{
    cli();
    check_version();
    CHECK_IS(mmio_read(VLAPIC_REG_ID), 0);
    for (size_t i = 0; i < REGISTER_COUNT; i++) {
        const struct expectation *r = &registers[i];

        CHECK_IS(mmio_read(r->offset), r->reset);
        mmio_write(r->offset, NOTHING);
        CHECK_IS(mmio_read(r->offset), r->writable);
        for (uint32_t bit = 0; bit < 32; bit++) {
            uint32_t keep = r->reset & (VLAPIC_LVT_MASKED | (r->offset == VLAPIC_REG_SVR ? VLAPIC_SVR_ENABLE : 0));

            mmio_write(r->offset, 1u << bit | keep);
            CHECK_IS(mmio_read(r->offset), ((1u << bit) & r->writable) | keep);
        }
        mmio_write(r->offset, r->reset);
    }
    mmio_write(VLAPIC_REG_DFR, 0);
    CHECK_IS(mmio_read(VLAPIC_REG_DFR), 0x0FFFFFFF);
    mmio_write(VLAPIC_REG_DFR, NOTHING);
    CHECK_IS(mmio_read(VLAPIC_REG_DFR), NOTHING);
    mmio_write(VLAPIC_REG_LDR, NOTHING);
    CHECK_IS(mmio_read(VLAPIC_REG_LDR), 0xFF000000);
    mmio_write(VLAPIC_REG_LDR, 0);

    /* Read only: nothing happens. */
    mmio_write(VLAPIC_REG_ID, NOTHING);
    mmio_write(VLAPIC_REG_VERSION, NOTHING);
    mmio_write(VLAPIC_REG_PPR, NOTHING);
    mmio_write(VLAPIC_REG_IRR + 0x70, NOTHING);
    mmio_write(VLAPIC_REG_ISR + 0x70, NOTHING);
    mmio_write(VLAPIC_REG_CURRENT_COUNT, NOTHING);
    CHECK_IS(mmio_read(VLAPIC_REG_ID), 0);
    CHECK_IS(mmio_read(VLAPIC_REG_EOI), 0);
    check_version();
    sti();
}

/* ICR: what is sent is read back, without status and reserved bits. To a destination where nobody is. */
void payload_icr(void)
{
    mmio_write(VLAPIC_REG_ICR_HIGH, NOTHING);
    CHECK_IS(mmio_read(VLAPIC_REG_ICR_HIGH), 0xFF000000);
    mmio_write(VLAPIC_REG_ICR_HIGH, 0x77000000);
    for (uint32_t bit = 8; bit < 32; bit++) {
        uint32_t value = 1u << bit;

        if ((value & VLAPIC_ICR_SHORTHAND_MASK) == 0) {
            mmio_write(VLAPIC_REG_ICR_LOW, value | 0x40);
            CHECK_IS(mmio_read(VLAPIC_REG_ICR_LOW), (value & 0xCCFFF & ~VLAPIC_ICR_STATUS) | 0x40);
        }
    }
    CHECK_IS(mmio_read(VLAPIC_REG_ICR_HIGH), 0x77000000);
    CHECK_IS(me()->logged, 0);
    CHECK_IS(mmio_read(VLAPIC_REG_ESR), 0);
}

static bool is_readable(uint32_t msr)
{
    return msr == 0x802 || msr == 0x803 || msr == 0x808 || msr == 0x80A || msr == 0x80D || msr == 0x80F ||
           (msr >= 0x810 && msr <= 0x828) || msr == 0x830 || (msr >= 0x832 && msr <= 0x839) || msr == 0x83E;
}

static bool is_writable(uint32_t msr)
{
    return msr == 0x808 || msr == 0x80B || msr == 0x80F || msr == 0x828 || msr == 0x830 ||
           (msr >= 0x832 && msr <= 0x838) || msr == 0x83E || msr == 0x83F;
}

/* All MSRs of x2APIC mode: which of them are there, and which bits of them. */
void payload_registers_x2apic(void)
{
    cli();
    check_version();
    for (uint32_t msr = 0x800; msr <= 0x8FF; msr++) {
        CHECK_IS(rdmsr_faults(msr) << 16 | msr, !is_readable(msr) << 16 | msr);
        CHECK_IS(wrmsr_faults(msr, 1ull << 32) << 16 | msr, (msr != 0x830) << 16 | msr);
        if (!is_writable(msr)) {
            CHECK(wrmsr_faults(msr, 0));
        }
    }
    for (size_t i = 0; i < REGISTER_COUNT; i++) {
        const struct expectation *r = &registers[i];
        uint32_t msr = VLAPIC_MSR_OF(r->offset);

        CHECK_IS(rdmsr(msr), r->reset);
        for (uint32_t bit = 0; bit < 64; bit++) {
            uint32_t keep = r->reset & (VLAPIC_LVT_MASKED | (r->offset == VLAPIC_REG_SVR ? VLAPIC_SVR_ENABLE : 0));
            bool allowed = bit < 32 && (r->x2apic >> bit & 1) != 0;

            CHECK_IS(wrmsr_faults(msr, 1ull << bit | keep) << 8 | bit, !allowed << 8 | bit);
            if (allowed) {
                CHECK_IS(rdmsr(msr), ((1u << bit) & r->writable) | keep);
            }
        }
        wrmsr(msr, r->reset);
    }
    CHECK(wrmsr_faults(VLAPIC_MSR_OF(VLAPIC_REG_EOI), 1));
    CHECK(wrmsr_faults(VLAPIC_MSR_OF(VLAPIC_REG_ESR), 1));
    CHECK(wrmsr_faults(VLAPIC_MSR_OF(VLAPIC_REG_SELF_IPI), 0x100));
    CHECK(!wrmsr_faults(VLAPIC_MSR_OF(VLAPIC_REG_EOI), 0));
    for (uint32_t bit = 8; bit < 32; bit++) {
        bool allowed = ((0xCCFFFu | VLAPIC_ICR_STATUS) >> bit & 1) != 0;

        if (((1u << bit) & VLAPIC_ICR_SHORTHAND_MASK) == 0) {
            CHECK_IS(wrmsr_faults(0x830, 0x70001ull << 32 | 1u << bit | 0x40) << 8 | bit, !allowed << 8 | bit);
        }
    }
    wrmsr(0x830, 0x12345678ull << 32 | VLAPIC_ICR_ASSERT | 0x41);
    CHECK_IS(rdmsr(0x830), 0x12345678ull << 32 | VLAPIC_ICR_ASSERT | 0x41);
    /* The page is gone, and the other modes' MSRs are as before. */
    CHECK_IS(mmio_read(VLAPIC_REG_VERSION), NOTHING);
    mmio_write(VLAPIC_REG_TPR, 0x50);
    CHECK_IS(rdmsr(0x808), 0);
    sti();
    CHECK_IS(me()->logged, 0);
}

/* In xAPIC mode there are no such MSRs. */
void payload_msrs_xapic(void)
{
    for (uint32_t msr = 0x800; msr <= 0x8FF; msr++) {
        CHECK(rdmsr_faults(msr));
        CHECK(wrmsr_faults(msr, 0));
    }
    CHECK(wrmsr_faults(VLAPIC_MSR_APIC_BASE, rdmsr(VLAPIC_MSR_APIC_BASE) | 1));
    CHECK(wrmsr_faults(VLAPIC_MSR_APIC_BASE, rdmsr(VLAPIC_MSR_APIC_BASE) | 1ull << 9));
    CHECK(wrmsr_faults(VLAPIC_MSR_APIC_BASE, rdmsr(VLAPIC_MSR_APIC_BASE) | 1ull << 63));
    CHECK(wrmsr_faults(VLAPIC_MSR_APIC_BASE, VLAPIC_BASE_DEFAULT | VLAPIC_BASE_BSP | VLAPIC_BASE_EXTD));
}

/* What compilers and old kernels make of an access to TPR. */
void payload_instructions(void)
{
    volatile uint32_t *tpr = (volatile uint32_t *)(uintptr_t)(GUEST_WINDOW + VLAPIC_REG_TPR);
    uint32_t value = 0x61, copy[4] = { 0 };
    uint8_t byte;
    uint16_t word;
    const void *source;
    void *target;

    *tpr = 0x50;
    __asm__ volatile("xchg %0, (%1)" : "+r"(value) : "r"(tpr) : "memory");
    CHECK_IS(value, 0x50);
    CHECK_IS(*tpr, 0x61);
    __asm__ volatile("orl $0x12, (%0)" : : "r"(tpr) : "memory", "cc");
    CHECK_IS(*tpr, 0x73);
    __asm__ volatile("andl $0xF0, (%0)" : : "r"(tpr) : "memory", "cc");
    CHECK_IS(*tpr, 0x70);
    __asm__ volatile("addl %1, (%0)" : : "r"(tpr), "r"(5) : "memory", "cc");
    CHECK_IS(*tpr, 0x75);
    __asm__ volatile("movl $0x83, (%0)" : : "r"(tpr) : "memory");
    CHECK_IS(*tpr, 0x83);
    __asm__ volatile("movb (%1), %0" : "=q"(byte) : "r"(tpr) : "memory");
    CHECK_IS(byte, 0x83);
    __asm__ volatile("movzwl (%1), %0" : "=r"(value) : "r"(tpr) : "memory");
    CHECK_IS(value, 0x83);
    __asm__ volatile("movw (%1), %0" : "=r"(word) : "r"(tpr) : "memory");
    CHECK_IS(word, 0x83);
    __asm__ volatile("testl $0x80, (%1); setnz %0" : "=q"(byte) : "r"(tpr) : "memory", "cc");
    CHECK_IS(byte, 1);
    __asm__ volatile("btl $0, (%1); setc %0" : "=q"(byte) : "r"(tpr) : "memory", "cc");
    CHECK_IS(byte, 1);
    source = (const void *)tpr;
    target = copy;
    __asm__ volatile("movsl" : "+S"(source), "+D"(target) : : "memory");
    CHECK_IS(copy[0], 0x83);
    copy[0] = 0x42;
    source = copy;
    target = (void *)(uintptr_t)(GUEST_WINDOW + VLAPIC_REG_TPR);
    __asm__ volatile("movsl" : "+S"(source), "+D"(target) : : "memory");
    CHECK_IS(*tpr, 0x42);
    target = (void *)(uintptr_t)(GUEST_WINDOW + VLAPIC_REG_TPR);
    __asm__ volatile("stosl" : "+D"(target) : "a"(0) : "memory");
    CHECK_IS(*tpr, 0);
    /* With RIP-relative and indexed addresses, and with high registers. */
    __asm__ volatile("mov %0, %%r12; mov $4, %%r9d; movl $0x33, %%r15d; movl %%r15d, 0x40(%%r12,%%r9,8)"
                     :
                     : "r"((uint64_t)(uintptr_t)tpr - 0x60)
                     : "r12", "r9", "r15", "memory");
    CHECK_IS(*tpr, 0x33);
    *tpr = 0;
}

static volatile uint32_t errors;
static void error_handler(uint8_t vector)
{
    (void)vector;
    errors++;
}

/* The error register shows what was recorded before the last write; the LVT entry tells of each new bit. */
void payload_esr(void)
{
    apic_write(VLAPIC_REG_ESR, 0);
    CHECK_IS(apic_read(VLAPIC_REG_ESR), 0);
    apic_send(1, VLAPIC_ICR_ASSERT | 5);
    CHECK_IS(apic_read(VLAPIC_REG_ESR), 0);
    apic_write(VLAPIC_REG_ESR, 0);
    CHECK_IS(apic_read(VLAPIC_REG_ESR), VLAPIC_ESR_SEND_ILLEGAL_VECTOR);
    CHECK_IS(apic_read(VLAPIC_REG_ESR), VLAPIC_ESR_SEND_ILLEGAL_VECTOR);
    apic_write(VLAPIC_REG_ESR, 0);
    CHECK_IS(apic_read(VLAPIC_REG_ESR), 0);

    apic_send_self(15);
    guest_msi(0, 3);
    CHECK_IS(in32(GUEST_PORT_MSI_DATA), 0);
    apic_write(VLAPIC_REG_ESR, 0);
    CHECK_IS(apic_read(VLAPIC_REG_ESR), VLAPIC_ESR_SEND_ILLEGAL_VECTOR | VLAPIC_ESR_RECEIVE_ILLEGAL_VECTOR);

    me()->handler[0x66] = error_handler;
    apic_write(VLAPIC_REG_LVT_ERROR, 0x66);
    apic_write(VLAPIC_REG_ESR, 0);
    guest_msi(0, 3);
    SPIN(errors == 1);
    guest_msi(0, 4); /* the same bit: no second interrupt before ESR is written */
    apic_send(1, VLAPIC_ICR_ASSERT | 5);
    SPIN(errors == 2);
    apic_write(VLAPIC_REG_ESR, 0);
    CHECK_IS(apic_read(VLAPIC_REG_ESR), VLAPIC_ESR_SEND_ILLEGAL_VECTOR | VLAPIC_ESR_RECEIVE_ILLEGAL_VECTOR);
    if (me()->x2apic) {
        wrmsr(VLAPIC_MSR_OF(VLAPIC_REG_SELF_IPI), 0x0F);
        SPIN(errors >= 3);
        apic_write(VLAPIC_REG_ESR, 0);
        CHECK_IS(apic_read(VLAPIC_REG_ESR), VLAPIC_ESR_SEND_ILLEGAL_VECTOR | VLAPIC_ESR_RECEIVE_ILLEGAL_VECTOR);
    } else {
        CHECK_IS(mmio_read(0x040), 0);
        SPIN(errors == 3);
        mmio_write(0x3F0, 0x55);
        apic_write(VLAPIC_REG_ESR, 0);
        CHECK_IS(apic_read(VLAPIC_REG_ESR), VLAPIC_ESR_ILLEGAL_REGISTER);
        CHECK_IS(me()->count[0x55], 0);
    }
}
