/* SPDX-License-Identifier: BSD-2-Clause */
/* Much at once: kicks, messages from the other CPU, snapshots, acceleration that comes and goes, vCPUs that change places. What counts is that no
 * interrupt is lost and none comes twice. */
#include "guest.h"
#include "payloads.h"

#define STORM 400u
#define BURST 8u

/* Kicks make exits and nothing else. */
void payload_kick_storm(void)
{
    for (uint32_t i = 1; i <= STORM / BURST; i++) {
        out32(GUEST_PORT_KICK, 0 | BURST << 8);
        apic_send_self(0x45);
        SPIN(me()->count[0x45] == i);
    }
    CHECK(guest_exits(GUEST_EXIT_INTERRUPT) >= 1);
    CHECK_IS(me()->logged, STORM / BURST);
    CHECK_IS(me()->spurious, 0);
}

static volatile bool stop;
static volatile uint32_t sent;

/* With a rest of another length after each burst: where CPUs run in lock step, bursts at a fixed rate can end each run of the other vCPU before its
 * first instruction, for ever. */
static void kick_other(void)
{
    while (!stop) {
        out32(GUEST_PORT_KICK, 0 | BURST << 8);
        sent++;
        for (uint32_t rest = sent * 37 % 256; rest > 0; rest--) {
            __asm__ volatile("pause" : : : "memory");
        }
    }
}

void payload_kick_storm_other(void)
{
    ap_start();
    ap_run(kick_other);
    SPIN(sent >= 1);
    for (uint32_t i = 1; i <= STORM / 4; i++) {
        apic_send_self(0x45);
        SPIN(me()->count[0x45] == i);
    }
    stop = true;
    ap_join();
    CHECK_IS(me()->logged, STORM / 4);
}

/* A sender says in memory what it has sent and then sends; the handler looks there. At the end the handler must have seen the last one: however
 * many have merged, none came to nothing. */
static volatile uint32_t announced[4], seen[4];

static void take(uint8_t vector)
{
    seen[vector & 3] = announced[vector & 3];
}

static void send_storm(void)
{
    for (uint32_t i = 1; i <= STORM; i++) {
        for (uint32_t n = 0; n < 4; n++) {
            announced[n] = i;
            guest_msi(0, (0x50 + 0x20 * n) | n);
        }
    }
}

static void prepare_storm(void)
{
    for (uint32_t n = 0; n < 4; n++) {
        me()->handler[(0x50 + 0x20 * n) | n] = take;
    }
    ap_start();
    ap_run(send_storm);
}

static bool all_seen(void)
{
    return seen[0] == STORM && seen[1] == STORM && seen[2] == STORM && seen[3] == STORM;
}

void payload_msi_storm(void)
{
    prepare_storm();
    for (uint32_t i = 1; i <= STORM; i++) { /* patience for each, not for all of them */
        SPIN(announced[3] >= i);
    }
    ap_join();
    SPIN(all_seen());
    CHECK(me()->logged <= 4 * STORM);
}

void payload_msi_storm_halt(void)
{
    prepare_storm();
    for (;;) {
        cli();
        if (all_seen()) {
            break;
        }
        sti_hlt();
    }
    sti();
    ap_join();
    CHECK(me()->logged <= 4 * STORM);
}

/* One by one, so that each has to be delivered on its own, past all destinations. */
static void post_storm(void)
{
    for (uint32_t i = 1; i <= STORM; i++) {
        out32(GUEST_PORT_POST, 0x66 | 0 << 8);
        SPIN(guest_cpus[0].count[0x66] == i);
    }
}

void payload_post(void)
{
    ap_start();
    ap_run(post_storm);
    for (uint32_t i = 1; i <= STORM; i++) {
        SPIN(me()->count[0x66] >= i);
    }
    ap_join();
    CHECK_IS(me()->logged, STORM);
}

/* Everything that can be under way is, while the state is taken out and put back. */
static void snapshot(void)
{
    out32(GUEST_PORT_SNAPSHOT, 0);
}

static void in_service(uint8_t vector)
{
    (void)vector;
    apic_send_self(0x35);
    apic_send_self(0x75);
    snapshot();
    CHECK(apic_bit(VLAPIC_REG_ISR, 0x55));
    CHECK(apic_bit(VLAPIC_REG_IRR, 0x35));
    CHECK(apic_bit(VLAPIC_REG_IRR, 0x75));
    CHECK_IS(apic_read(VLAPIC_REG_PPR), 0x50);
    sti();
    SPIN(me()->count[0x75] != 0);
    cli();
    snapshot();
    CHECK_IS(me()->count[0x35], 0);
}

void payload_snapshot(void)
{
    me()->handler[0x55] = in_service;
    apic_write(VLAPIC_REG_LVT_THERMAL, 0x63);
    apic_send_self(0x55);
    SPIN(me()->count[0x35] == 1);
    CHECK_IS(apic_read(VLAPIC_REG_LVT_THERMAL), 0x63);
    CHECK(apic_is_empty(VLAPIC_REG_ISR));
    CHECK_IS(me()->log[0], 0x55);
    CHECK_IS(me()->log[1], 0x75);
    CHECK_IS(me()->log[2], 0x35);

    apic_write(VLAPIC_REG_DIVIDE_CONFIG, 0xB);
    apic_write(VLAPIC_REG_LVT_TIMER, VLAPIC_LVT_TIMER_PERIODIC | 0xA5);
    apic_write(VLAPIC_REG_INITIAL_COUNT, 10000);
    for (uint32_t i = 1; i <= 30; i++) {
        snapshot();
        apic_send_self(0x45);
        SPIN(me()->count[0x45] == i);
    }
    WAIT(me()->count[0xA5] >= 3);
    apic_write(VLAPIC_REG_INITIAL_COUNT, 0);
    write_cr8(6);
    snapshot();
    CHECK_IS(read_cr8(), 6);
}

/* Acceleration is withdrawn and given back with interrupts pending, in service and masked. */
static void switch_in_service(uint8_t vector)
{
    out32(GUEST_PORT_INHIBIT, vector & 1);
    CHECK(apic_bit(VLAPIC_REG_ISR, vector));
    apic_send_self((uint8_t)(vector + 0x20));
    sti();
    SPIN(me()->count[vector + 0x20] == me()->count[vector]);
    cli();
}

void payload_inhibit(void)
{
    me()->handler[0x50] = switch_in_service;
    me()->handler[0x51] = switch_in_service;
    for (uint32_t i = 1; i <= 20; i++) {
        cli();
        apic_send_self(0x50);
        apic_send_self(0x51);
        apic_send_self(0x40);
        out32(GUEST_PORT_INHIBIT, i & 1);
        sti();
        SPIN(me()->count[0x40] == i);
        CHECK_IS(me()->count[0x50], i);
        CHECK_IS(me()->count[0x51], i);
        CHECK(apic_is_empty(VLAPIC_REG_ISR));
    }
    out32(GUEST_PORT_INHIBIT, 0);
}

static void inhibit_storm(void)
{
    for (uint32_t i = 1; i <= STORM / 4; i++) {
        announced[0] = i;
        out32(GUEST_PORT_INHIBIT, i & 1);
        guest_msi(0, 0x50);
    }
    out32(GUEST_PORT_INHIBIT, 0);
}

/* It comes and goes under a running vCPU, between messages to it. */
void payload_inhibit_storm(void)
{
    me()->handler[0x50] = take;
    ap_start();
    ap_run(inhibit_storm);
    SPIN(seen[0] == STORM / 4);
    ap_join();
    CHECK(me()->logged <= STORM / 4);
}

/* The vCPUs change places while one sends to the other and a timer runs. */
static void answer(uint8_t vector)
{
    (void)vector;
    apic_send(0, VLAPIC_ICR_ASSERT | 0x52);
}

void payload_move(void)
{
    ap_start();
    guest_cpus[1].handler[0x51] = answer;
    apic_write(VLAPIC_REG_DIVIDE_CONFIG, 0xB);
    apic_write(VLAPIC_REG_LVT_TIMER, VLAPIC_LVT_TIMER_PERIODIC | 0xA5);
    apic_write(VLAPIC_REG_INITIAL_COUNT, 20000);
    for (uint32_t i = 1; i <= 60; i++) {
        uint32_t ticks = me()->count[0xA5];

        apic_send(1, VLAPIC_ICR_ASSERT | 0x51);
        if (i % 3 == 0) {
            out32(GUEST_PORT_MOVE, 0);
        }
        SPIN(me()->count[0x52] == i && guest_cpus[1].count[0x51] == i);
        if (i % 10 == 0) {
            SPIN(me()->count[0xA5] > ticks);
        }
    }
    apic_write(VLAPIC_REG_INITIAL_COUNT, 0);
}
