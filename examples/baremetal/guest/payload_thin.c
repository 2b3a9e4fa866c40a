/* SPDX-License-Identifier: BSD-2-Clause */
/* For a guest that has the machine's own APICs: what exits, to the number; and how ICR may be written. In x2APIC mode ICR alone exits, in xAPIC mode
 * each write to the page that it is on, unless the VMM looks at no IPIs any more. */
#include "guest.h"
#include "payloads.h"

#define ROUNDS 20u

static volatile uint8_t *icr(void)
{
    return (volatile uint8_t *)(uintptr_t)(GUEST_WINDOW + VLAPIC_REG_ICR_LOW);
}

/* All but those of the ports, by which they are asked. */
static uint32_t exits_now(void)
{
    uint32_t sum = 0;

    for (uint32_t kind = 0; kind < GUEST_EXIT_KINDS; kind++) {
        sum += kind == GUEST_EXIT_IO ? 0 : guest_exits(kind);
    }
    return sum;
}

/* Writes of the page need no exit once the VMM has released it. */
static uint32_t each(uint32_t xapic, uint32_t x2apic)
{
    if (me()->x2apic) {
        return x2apic;
    }
    return (guest_free() & GUEST_FREE_EOI) != 0 ? 0 : xapic;
}

static void check_exits(void (*action)(void), uint32_t xapic, uint32_t x2apic)
{
    uint32_t before = exits_now();

    for (uint32_t i = 0; i < ROUNDS; i++) {
        action();
    }
    CHECK_IS(exits_now() - before, ROUNDS * each(xapic, x2apic));
}

static void use_cr8(void)
{
    write_cr8(5);
    CHECK_IS(read_cr8(), 5);
    write_cr8(0);
}

static void read_registers(void)
{
    apic_read(VLAPIC_REG_ID);
    apic_read(VLAPIC_REG_VERSION);
    apic_read(VLAPIC_REG_PPR);
    apic_read(VLAPIC_REG_ISR);
    apic_read(VLAPIC_REG_IRR);
    apic_read(VLAPIC_REG_ICR_LOW);
    apic_read(VLAPIC_REG_CURRENT_COUNT);
    rdmsr(VLAPIC_MSR_APIC_BASE);
}

static void write_tpr(void)
{
    apic_write(VLAPIC_REG_TPR, 0x10);
    CHECK_IS(apic_read(VLAPIC_REG_TPR), 0x10);
}

static void send_by_icr(void)
{
    uint32_t before = me()->count[0x58];

    if (me()->x2apic) {
        apic_send_self(0x58);
    } else { /* one write: ICR high does not matter */
        mmio_write(VLAPIC_REG_ICR_LOW, ICR_SELF | VLAPIC_ICR_ASSERT | 0x58);
    }
    SPIN(me()->count[0x58] == before + 1);
}

static void send_by_self_ipi(void)
{
    uint32_t before = me()->count[0x59];

    if (me()->x2apic) {
        wrmsr(VLAPIC_MSR_OF(VLAPIC_REG_SELF_IPI), 0x59);
        SPIN(me()->count[0x59] == before + 1);
    }
}

/* The timer is armed by one write, sleeps are ended by it, and the EOI is one write. */
static void sleep_for_timer(void)
{
    uint32_t before = me()->count[0xA1];

    cli();
    apic_write(VLAPIC_REG_INITIAL_COUNT, 20000);
    while (me()->count[0xA1] == before) {
        sti_hlt();
        cli();
    }
    sti();
}

void payload_thin_exits(void)
{
    check_exits(use_cr8, 0, 0);
    check_exits(read_registers, 0, 0);
    check_exits(write_tpr, 1, 0);
    apic_write(VLAPIC_REG_TPR, 0);
    check_exits(send_by_icr, 2, 1); /* and the EOI */
    check_exits(send_by_self_ipi, 0, 0);
    apic_write(VLAPIC_REG_LVT_TIMER, 0xA1);
    apic_write(VLAPIC_REG_DIVIDE_CONFIG, 0xB);
    check_exits(sleep_for_timer, 2, 0);
    CHECK_IS(me()->count[0xA1], ROUNDS);
    CHECK(apic_is_empty(VLAPIC_REG_ISR));
}

static volatile bool counting;
static volatile uint32_t others_exits;

static void count_exits(void)
{
    uint32_t before = exits_now();

    counting = true;
    SPIN(me()->count[0x68] == ROUNDS);
    others_exits = exits_now() - before;
}

/* An IPI is one exit where it is sent (two writes in xAPIC mode), and none where it is taken but for the EOI. */
void payload_thin_exits_ipi(void)
{
    uint32_t before;

    ap_start();
    ap_run(count_exits);
    SPIN(counting);
    before = exits_now();
    for (uint32_t i = 1; i <= ROUNDS; i++) {
        apic_send(1, VLAPIC_ICR_ASSERT | 0x68);
        SPIN(guest_cpus[1].count[0x68] == i);
    }
    CHECK_IS(exits_now() - before, ROUNDS * each(2, 1));
    ap_join();
    CHECK_IS(others_exits, ROUNDS * each(1, 0));
}

/* One exit, one interrupt. */
#define FORM(vector, ...)                                                                                              \
    do {                                                                                                               \
        uint32_t count_ = me()->count[vector], exits_ = exits_now();                                                   \
        cli();                                                                                                         \
        __VA_ARGS__;                                                                                                   \
        CHECK_IS(exits_now() - exits_, 1);                                                                             \
        sti();                                                                                                         \
        SPIN(me()->count[vector] == count_ + 1);                                                                       \
    } while (0)

static void check_forms(void)
{
    const uint32_t send = ICR_SELF | VLAPIC_ICR_ASSERT;
    uint32_t value = send | 0x42, source = send | 0x44;
    const void *from = &source;
    void *to = (void *)(uintptr_t)icr();

    FORM(0x40, __asm__ volatile("movl %0, (%1)" : : "r"(send | 0x40), "r"(icr()) : "memory"));
    FORM(0x41, __asm__ volatile("movl %0, (%1)" : : "i"(ICR_SELF | VLAPIC_ICR_ASSERT | 0x41), "r"(icr()) : "memory"));
    FORM(0x42, __asm__ volatile("xchg %0, (%1)" : "+r"(value) : "r"(icr()) : "memory"));
    CHECK_IS(value & ~VLAPIC_ICR_STATUS, send | 0x41);
    FORM(0x43, __asm__ volatile("stosl" : "+D"(to) : "a"(send | 0x43) : "memory"));
    to = (void *)(uintptr_t)icr();
    FORM(0x44, __asm__ volatile("movsl" : "+S"(from), "+D"(to) : : "memory"));
    FORM(0x45, __asm__ volatile("orl $1, (%0)" : : "r"(icr()) : "memory", "cc"));
    FORM(0x41, __asm__ volatile("andl $~4, (%0)" : : "r"(icr()) : "memory", "cc"));
    FORM(0x46, __asm__ volatile("addl %1, (%0)" : : "r"(icr()), "r"(5) : "memory", "cc"));
    FORM(0x47, __asm__ volatile("incl (%0)" : : "r"(icr()) : "memory", "cc"));
    FORM(0x4F, __asm__ volatile("btsl $3, (%0)" : : "r"(icr()) : "memory", "cc"));
    FORM(0x48, __asm__ volatile("lock xorl $7, (%0)" : : "r"(icr()) : "memory", "cc"));
    FORM(0x49, __asm__ volatile("movabs %%eax, 0xFEE00300" : : "a"(send | 0x49) : "memory"));
    FORM(0x4A, __asm__ volatile("mov %0, %%r12; mov $4, %%r9d; mov %1, %%r15d; movl %%r15d, 0x40(%%r12,%%r9,8)"
                                :
                                : "r"((uint64_t)(uintptr_t)icr() - 0x60), "r"(send | 0x4A)
                                : "r12", "r9", "r15", "memory"));
}

static volatile uint32_t answers;
static void answer(void)
{
    answers++;
}

/* The other vCPU is as it was: neither stopped nor disturbed. */
static void check_other(void)
{
    uint32_t before = answers;

    ap_do(answer);
    CHECK_IS(answers, before + 1);
    CHECK_IS(guest_sipi_vector, 0x9A);
    CHECK_IS(guest_cpus[1].count[2], 0);
    CHECK_IS(guest_cpus[1].logged, 0);
}

/* What the manuals do not define sends nothing, least of all an INIT or an NMI past the VMM. */
static void check_no_forms(void)
{
    static const uint32_t modes[] = { ICR(INIT), ICR(NMI), ICR(SIPI) | 0x55, 0x55 };
    const void *from;
    void *to;

    for (uint32_t i = 0; i < 4; i++) {
        uint32_t low = modes[i] | VLAPIC_ICR_ASSERT;
        uint64_t both = (uint64_t)low << 32 | low;

        mmio_write(VLAPIC_REG_ICR_HIGH, 1u << 24);
        __asm__ volatile("movb %b0, (%1)" : : "q"(low >> 8), "r"(icr() + 1) : "memory");
        __asm__ volatile("movb %b0, (%1)" : : "q"(low), "r"(icr()) : "memory");
        __asm__ volatile("movw %w0, (%1)" : : "r"(low), "r"(icr()) : "memory");
        __asm__ volatile("movw %w0, (%1)" : : "r"(low >> 8), "r"(icr() + 1) : "memory");
        __asm__ volatile("movq %0, (%1)" : : "r"(both), "r"(icr()) : "memory");
        __asm__ volatile("movq %0, (%1)" : : "r"(both), "r"(icr() - 4) : "memory");
        for (uint32_t offset = 1; offset < 16; offset++) {
            __asm__ volatile("movl %0, (%1)" : : "r"(low), "r"(icr() + offset) : "memory");
        }
        for (uint32_t offset = 1; offset < 4; offset++) {
            __asm__ volatile("movl %0, (%1)" : : "r"(low << 8 * offset), "r"(icr() - offset) : "memory");
        }
        from = &both;
        to = (void *)(uintptr_t)icr();
        __asm__ volatile("movsq" : "+S"(from), "+D"(to) : : "memory");
        check_other();
    }
}

void payload_thin_forms(void)
{
    ap_start();
    check_forms();
    check_no_forms();
    check_forms();
    check_other();
}

static uint64_t base_of(uint64_t bits)
{
    return (rdmsr(VLAPIC_MSR_APIC_BASE) & ~(uint64_t)(VLAPIC_BASE_EN | VLAPIC_BASE_EXTD)) | bits;
}

static void turn_off(void)
{
    CHECK(wrmsr_faults(VLAPIC_MSR_APIC_BASE, 0));
    CHECK(wrmsr_faults(VLAPIC_MSR_APIC_BASE, base_of(0)));
    CHECK(wrmsr_faults(VLAPIC_MSR_APIC_BASE, base_of(VLAPIC_BASE_EXTD)));
    CHECK((rdmsr(VLAPIC_MSR_APIC_BASE) & VLAPIC_BASE_EN) != 0);
}

static void check_reach(void)
{
    uint32_t interrupts = guest_cpus[1].count[0x6A], nmis = guest_cpus[1].count[2];

    apic_send(1, VLAPIC_ICR_ASSERT | 0x6A);
    SPIN(guest_cpus[1].count[0x6A] == interrupts + 1);
    apic_send(1, ICR(NMI) | VLAPIC_ICR_ASSERT);
    SPIN(guest_cpus[1].count[2] == nmis + 1);
}

/* A CPU whose APIC is off could not be made to look any more. */
void payload_thin_off(void)
{
    ap_start();
    turn_off();
    ap_do(turn_off);
    check_reach();
}

static void write_id(void)
{
    uint32_t id = mmio_read(VLAPIC_REG_ID);

    for (uint32_t other = 0; other < 16; other++) {
        mmio_write(VLAPIC_REG_ID, other << 24);
        CHECK_IS(mmio_read(VLAPIC_REG_ID), id);
    }
}

/* Nor one with another ID. Where the window is the guest's, the ID is as well, and the next payload finds it as it was. */
void payload_thin_id(void)
{
    ap_start();
    if ((guest_free() & GUEST_FREE_EOI) != 0) {
        mmio_write(VLAPIC_REG_ID, 7u << 24);
        return;
    }
    write_id();
    ap_do(write_id);
    check_reach();
    ap_start(); /* INIT and SIPI too */
    check_reach();
}

/* The window moves, and is found at its old place by the next payload. */
void payload_thin_moved(void)
{
    mmio_write(VLAPIC_REG_TPR, 0x30);
    wrmsr(VLAPIC_MSR_APIC_BASE, GUEST_WINDOW_MOVED | VLAPIC_BASE_EN | VLAPIC_BASE_BSP);
    me()->window = GUEST_WINDOW_MOVED;
    CHECK_IS(mmio_read(VLAPIC_REG_TPR), 0x30);
    mmio_write(VLAPIC_REG_TPR, 0);
    for (uint32_t i = 1; i <= ROUNDS; i++) {
        apic_send_self(0x6B);
        SPIN(me()->count[0x6B] == i);
    }
    CHECK(wrmsr_faults(VLAPIC_MSR_APIC_BASE, GUEST_BASE | VLAPIC_BASE_EN | VLAPIC_BASE_BSP));
}
