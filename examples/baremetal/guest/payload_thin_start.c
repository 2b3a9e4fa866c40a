/* SPDX-License-Identifier: BSD-2-Clause */
/* For a guest that has the machine's own APICs: INIT and SIPI, many times, at a vCPU in every state; and at all of them at once. */
#include "guest.h"
#include "payloads.h"

#define ROUNDS 60u
#define RACES 1024u
#define RACES_AT_LEAST 128u
#define IN_SERVICE 0x51
#define PENDING 0x41
#define LOGICAL 2u /* flat, or as it follows from ID 1 in x2APIC mode */

static volatile uint32_t state, starts;
static volatile bool reached;

static void reach(void)
{
    reached = true;
}

static void spin(void)
{
    sti();
    reach();
    for (;;) {
        __asm__ volatile("pause" : : : "memory");
    }
}

static void sleep(void)
{
    reach();
    for (;;) {
        __asm__ volatile("cli; hlt");
    }
}

static void sleep_with_interrupts(void)
{
    reach();
    for (;;) {
        sti_hlt();
    }
}

static void stay(uint8_t vector)
{
    (void)vector;
    reach();
    for (;;) {
        __asm__ volatile("pause" : : : "memory");
    }
}

static void stay_with_one_pending(uint8_t vector)
{
    apic_send_self(PENDING);
    stay(vector);
}

static void stay_in_nmi(void)
{
    me()->handler[2] = stay;
    apic_send(guest_index() == 1 ? 1 : 0, ICR(NMI) | VLAPIC_ICR_ASSERT);
    sleep_with_interrupts();
}

static void stay_in_interrupt(void)
{
    me()->handler[IN_SERVICE] = stay_with_one_pending;
    apic_send_self(IN_SERVICE);
    sti();
    for (;;) {
    }
}

/* Exits all the time, for the window's writes, or for ICR's. */
static void send(void)
{
    reach();
    for (;;) {
        apic_send(7, VLAPIC_ICR_ASSERT | 0x33);
    }
}

static void run_timer(void)
{
    apic_write(VLAPIC_REG_LVT_TIMER, VLAPIC_LVT_TIMER_PERIODIC | 0xA1);
    apic_write(VLAPIC_REG_DIVIDE_CONFIG, 0x3);
    apic_write(VLAPIC_REG_INITIAL_COUNT, 10000);
    apic_write(VLAPIC_REG_TPR, 0x30);
    spin();
}

static void (*const states[])(void) = { spin, sleep,    sleep_with_interrupts, stay_in_nmi, stay_in_interrupt,
                                        send, run_timer };
#define QUIET_STATES 5u
#define STATES (sizeof(states) / sizeof(states[0]))

/* As an INIT leaves an APIC, whatever the vCPU was at. */
static void check_apic(void)
{
    me()->window = GUEST_WINDOW;
    me()->x2apic = (rdmsr(VLAPIC_MSR_APIC_BASE) & VLAPIC_BASE_EXTD) != 0;
    CHECK_IS(apic_read(VLAPIC_REG_SVR), 0xFF);
    CHECK_IS(apic_read(VLAPIC_REG_TPR), 0);
    CHECK_IS(apic_read(VLAPIC_REG_LVT_TIMER), VLAPIC_LVT_MASKED);
    CHECK_IS(apic_read(VLAPIC_REG_INITIAL_COUNT), 0);
    CHECK(apic_is_empty(VLAPIC_REG_ISR));
    CHECK(apic_is_empty(VLAPIC_REG_IRR));
}

static void ap_main(uint8_t sipi_vector)
{
    check_apic();
    guest_prepare(guest_cpus[0].x2apic);
    me()->handler[2] = NULL;
    me()->handler[IN_SERVICE] = NULL;
    if (!me()->x2apic) {
        apic_write(VLAPIC_REG_LDR, LOGICAL << 24);
    }
    guest_sipi_vector = sipi_vector;
    starts++;
    states[state]();
}

/* The first SIPI behind an INIT counts; a second one, and one to a vCPU that runs, do not. */
void payload_thin_start(void)
{
    uint8_t vector = 0;

    guest_ap_main = ap_main;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        vector = (uint8_t)(0x10 + round);
        state = round % STATES;
        reached = false;
        if (round % 4 == 3) { /* by the ID that the vCPU has given itself */
            apic_send(LOGICAL, ICR(INIT) | VLAPIC_ICR_LOGICAL | VLAPIC_ICR_ASSERT);
        } else {
            apic_send(1, ICR(INIT) | VLAPIC_ICR_ASSERT);
        }
        if (round % 3 == 1) {
            apic_send(1, ICR(INIT) | VLAPIC_ICR_ASSERT | VLAPIC_ICR_LEVEL);
            apic_send(1, ICR(INIT) | VLAPIC_ICR_LEVEL); /* the de-assert of old: nothing */
        }
        for (volatile uint32_t delay = round * 7 % 64; delay > 0; delay--) {
        }
        apic_send(1, ICR(SIPI) | VLAPIC_ICR_ASSERT | vector);
        apic_send(1, ICR(SIPI) | VLAPIC_ICR_ASSERT | 0x99);
        SPIN(reached);
        CHECK_IS(guest_sipi_vector, vector);
        CHECK_IS(starts, round + 1);
        apic_send(1, ICR(SIPI) | VLAPIC_ICR_ASSERT | 0x98);
    }
    /* Stopped: neither a Fixed interrupt nor an NMI brings it back. */
    apic_send(1, ICR(INIT) | VLAPIC_ICR_ASSERT);
    apic_send(1, ICR(NMI) | VLAPIC_ICR_ASSERT);
    apic_send(1, VLAPIC_ICR_ASSERT | 0x34);
    for (uint32_t i = 0; i < 100; i++) {
        in32(GUEST_PORT_PATIENCE);
    }
    CHECK_IS(starts, ROUNDS);
    CHECK_IS(guest_sipi_vector, vector);
    CHECK_IS(guest_cpus[1].count[0x34], 0);
}

static volatile uint32_t started_with[GUEST_CPUS], started[GUEST_CPUS];

static void one_of_all(uint8_t sipi_vector)
{
    check_apic();
    guest_prepare(guest_cpus[0].x2apic);
    started_with[guest_index()] = sipi_vector;
    started[guest_index()]++;
    sti();
    for (;;) {
        __asm__ volatile("pause" : : : "memory");
    }
}

/* All others at once, by shorthand and by broadcast; then an interrupt and an NMI for them all. */
void payload_thin_start_all(void)
{
    uint32_t everybody = me()->x2apic ? 0xFFFFFFFF : 0xFF;

    guest_ap_main = one_of_all;
    for (uint32_t round = 1; round <= 10; round++) {
        apic_send(0, ICR_OTHERS | ICR(INIT) | VLAPIC_ICR_ASSERT);
        if (round % 2 == 0) {
            apic_send(0, ICR_OTHERS | ICR(SIPI) | VLAPIC_ICR_ASSERT | round);
        } else { /* this vCPU runs, and does not start anew */
            apic_send(everybody, ICR(SIPI) | VLAPIC_ICR_ASSERT | round);
        }
        for (uint32_t i = 1; i < guest_cpu_count; i++) {
            SPIN(started[i] == round);
            CHECK_IS(started_with[i], round);
        }
        apic_send(0, ICR_OTHERS | VLAPIC_ICR_ASSERT | 0x61);
        apic_send(0, ICR_OTHERS | ICR(NMI) | VLAPIC_ICR_ASSERT);
        for (uint32_t i = 1; i < guest_cpu_count; i++) {
            SPIN(guest_cpus[i].count[0x61] == round && guest_cpus[i].count[2] == round);
        }
    }
    CHECK_IS(me()->count[2] + me()->count[0x61], 0);
    CHECK_IS(started[0], 0);
}

static bool starts_by(uint32_t vector, uint32_t round)
{
    apic_send(1, ICR(SIPI) | VLAPIC_ICR_ASSERT | vector);
    return starts > round;
}

/* A physical INIT, past the ICR. It comes when it comes, so a SIPI is sent until it does something. In the states that make no exits:
 * Bochs forgets an INIT that finds the VMM running. */
void payload_thin_init(void)
{
    guest_ap_main = ap_main;
    apic_send(1, ICR(INIT) | VLAPIC_ICR_ASSERT);
    for (uint32_t round = 0; round < ROUNDS / 2; round++) {
        uint32_t vector = 0x10 + round;

        state = round % QUIET_STATES;
        reached = false;
        if (round != 0) {
            out32(GUEST_PORT_INIT, 1);
        }
        SPIN(starts_by(vector, round));
        SPIN(reached);
        CHECK_IS(guest_sipi_vector, vector);
        CHECK_IS(starts, round + 1);
    }
}

static volatile uint32_t turn, last, most;

/* Into the VMM and back, a few times; then where nothing exits. */
static void exit_once_each(void)
{
    for (uint32_t i = 1; last == 0 || i <= last; i++) {
        turn = i;
        for (uint32_t exits = 0; exits <= i % most; exits++) {
            in32(GUEST_PORT_PATIENCE);
        }
        SPIN(me()->count[2] == i);
    }
}

static uint64_t ticks_of(void (*action)(void))
{
    uint64_t best = UINT64_MAX;

    for (uint32_t i = 0; i < ROUNDS; i++) {
        uint64_t start = rdtsc(), ticks;

        action();
        ticks = rdtsc() - start;
        best = ticks < best ? ticks : best;
    }
    return best;
}

static void send_to_nobody(void)
{
    apic_send(7, ICR(NMI) | VLAPIC_ICR_ASSERT);
}

static void exit_once(void)
{
    in32(GUEST_PORT_PATIENCE);
}

/*
 * An NMI is sent at every moment of the other's way back into the guest: it must not be forgotten there. Sending takes exits as well, of another
 * length, so the other makes from one to twice as many as fit into that. Where a round takes a time slice, since CPUs are threads of a busy machine, there are
 * fewer rounds.
 */
void payload_thin_race(void)
{
    uint64_t start = rdtsc();

    ap_start();
    most = 2 + (uint32_t)(2 * ticks_of(send_to_nobody) / ticks_of(exit_once));
    ap_run(exit_once_each);
    for (uint32_t i = 1; last == 0; i++) {
        SPIN(turn == i);
        for (uint32_t delay = i * 37 % 256; delay > 0; delay--) {
            __asm__ volatile("pause" : : : "memory");
        }
        if (i >= RACES || (i >= RACES_AT_LEAST && rdtsc() - start > 2 * guest_patience)) {
            last = i; /* before the NMI, at which the other looks */
        }
        apic_send(1, ICR(NMI) | VLAPIC_ICR_ASSERT);
        SPIN(guest_cpus[1].count[2] == i);
    }
    ap_join();
}
