/* SPDX-License-Identifier: BSD-2-Clause */
/* What needs no exit makes none; what the VMM does not call free is counted too, and makes one each. */
#include "guest.h"
#include "payloads.h"

#define ROUNDS 20u

/* Exits that \p action makes for the APIC in ROUNDS goes. */
static uint32_t exits_of(void (*action)(void))
{
    uint32_t before = guest_exits(GUEST_EXIT_APIC);

    for (uint32_t i = 0; i < ROUNDS; i++) {
        action();
    }
    return guest_exits(GUEST_EXIT_APIC) - before;
}

static void check_exits(uint32_t free_bit, uint32_t each, void (*action)(void))
{
    uint32_t exits = exits_of(action);

    if ((guest_free() & free_bit) != 0) {
        CHECK_IS(exits, 0);
    } else {
        CHECK_IS(exits, each * ROUNDS);
    }
}

static void use_cr8(void)
{
    write_cr8(5);
    CHECK_IS(read_cr8(), 5);
    write_cr8(0);
}

static void use_tpr(void)
{
    apic_write(VLAPIC_REG_TPR, 0x42);
    CHECK_IS(apic_read(VLAPIC_REG_TPR), 0x42);
}

static void read_registers(void)
{
    static const uint32_t offsets[] = { VLAPIC_REG_ID,        VLAPIC_REG_VERSION,      VLAPIC_REG_LDR,
                                        VLAPIC_REG_SVR,       VLAPIC_REG_ISR,          VLAPIC_REG_TMR,
                                        VLAPIC_REG_IRR + 16,  VLAPIC_REG_ESR,          VLAPIC_REG_ICR_LOW,
                                        VLAPIC_REG_LVT_TIMER, VLAPIC_REG_LVT_ERROR,    VLAPIC_REG_INITIAL_COUNT,
                                        VLAPIC_REG_LVT_LINT0, VLAPIC_REG_DIVIDE_CONFIG };

    for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
        apic_read(offsets[i]);
    }
}

static volatile bool eoi_only;
static void send_and_count(uint8_t vector)
{
    (void)vector;
    if (!eoi_only) {
        return;
    }
    apic_eoi();
}

/* Interrupts on, its own EOI: self-IPI and EOI are counted apart by sending through a port, which is another kind of exit. */
static void take_one(void)
{
    uint32_t before = me()->count[0x58];

    out32(GUEST_PORT_POST, 0x58);
    SPIN(me()->count[0x58] == before + 1);
}

static void self_ipi(void)
{
    if (me()->x2apic) {
        wrmsr(VLAPIC_MSR_OF(VLAPIC_REG_SELF_IPI), 0x59);
    } else {
        mmio_write(VLAPIC_REG_ICR_LOW, ICR_SELF | VLAPIC_ICR_ASSERT | 0x59);
    }
}

void payload_exits(void)
{
    uint32_t windows, level_exits;

    check_exits(GUEST_FREE_CR8, 3, use_cr8);
    check_exits(GUEST_FREE_TPR, 2, use_tpr);
    apic_write(VLAPIC_REG_TPR, 0);
    check_exits(GUEST_FREE_READS, 14, read_registers);

    eoi_only = true;
    me()->handler[0x58] = send_and_count;
    me()->no_eoi[0x58] = true;
    check_exits(GUEST_FREE_EOI, 1, take_one);
    me()->no_eoi[0x58] = false;
    me()->handler[0x58] = NULL;

    cli();
    check_exits(GUEST_FREE_SELF_IPI, 1, self_ipi);
    CHECK(apic_bit(VLAPIC_REG_IRR, 0x59));
    windows = guest_exits(GUEST_EXIT_WINDOW);
    sti();
    SPIN(me()->count[0x59] == 1);
    if ((guest_free() & GUEST_FREE_DELIVERY) != 0) {
        CHECK_IS(guest_exits(GUEST_EXIT_WINDOW), windows);
    }

    /* The EOI of a level-triggered vector is seen in any case. */
    level_exits = guest_exits(GUEST_EXIT_APIC);
    out32(GUEST_PORT_POST, 0x5A | 0 << 8 | 1u << 16);
    SPIN(me()->count[0x5A] == 1);
    CHECK(guest_exits(GUEST_EXIT_APIC) > level_exits);
}

static void spin_for_posts(void)
{
    SPIN(guest_cpus[1].count[0x67] == ROUNDS);
}

static volatile uint32_t other_exits[2];
static void count_interrupts(void)
{
    other_exits[0] = guest_exits(GUEST_EXIT_INTERRUPT);
    spin_for_posts();
    other_exits[1] = guest_exits(GUEST_EXIT_INTERRUPT);
}

/* A post to a running vCPU: with posted interrupts it makes no exit there. The host's timer may make some. */
void payload_exits_posted(void)
{
    ap_start();
    ap_run(count_interrupts);
    for (uint32_t i = 1; i <= ROUNDS; i++) {
        out32(GUEST_PORT_POST, 0x67 | 1 << 8);
        SPIN(guest_cpus[1].count[0x67] == i);
    }
    ap_join();
    if ((guest_free() & GUEST_FREE_POSTED) != 0) {
        CHECK(other_exits[1] - other_exits[0] < ROUNDS / 2);
    }
}

static uint32_t post_exits(void)
{
    return guest_exits(GUEST_EXIT_APIC) + guest_exits(GUEST_EXIT_INTERRUPT) + guest_exits(GUEST_EXIT_WINDOW);
}

/* Its two counts are the only exits that vCPU 1 may make between them. */
static volatile bool counting;
static void count_exits(void)
{
    other_exits[0] = post_exits();
    counting = true;
    SPIN(guest_cpus[1].count[0x68] == ROUNDS && guest_cpus[1].count[0x69] == ROUNDS);
    other_exits[1] = post_exits();
}

/* An IPI and an MSI to a vCPU that runs make no exit there with posted interrupts; the IPI makes none here, either, with IPI virtualization. */
void payload_exits_ipi(void)
{
    uint32_t before, exits, free_bits;

    ap_start();
    ap_run(count_exits);
    SPIN(counting);
    before = guest_exits(GUEST_EXIT_APIC);
    for (uint32_t i = 1; i <= ROUNDS; i++) {
        apic_send(1, VLAPIC_ICR_ASSERT | 0x68);
        SPIN(guest_cpus[1].count[0x68] == i);
    }
    exits = guest_exits(GUEST_EXIT_APIC) - before;
    for (uint32_t i = 1; i <= ROUNDS; i++) {
        guest_msi(1, 0x69);
        SPIN(guest_cpus[1].count[0x69] == i);
    }
    ap_join();
    free_bits = guest_free();
    if ((free_bits & GUEST_FREE_IPI) != 0) {
        CHECK_IS(exits, 0);
    } else {
        CHECK(exits >= ROUNDS);
    }
    if ((free_bits & GUEST_FREE_POSTED) != 0) {
        CHECK_IS(other_exits[1] - other_exits[0], 0);
    } else {
        CHECK(other_exits[1] - other_exits[0] >= 2 * ROUNDS);
    }
}
