/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The oracle by itself, against facts of the register reference that are written out here; then the library against the oracle,
 * over a fixed set of pseudo-random sequences. The sequences that a fuzzer found worth keeping are replayed elsewhere.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka.h wants the headers above first. */
#include <cmocka.h>

#include "differential.h"
#include "oracle.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define SECOND UINT64_C(1000000000)
#define X ORACLE_FROM_XAPIC
#define X2 ORACLE_FROM_X2APIC
#define OUT ORACLE_FROM_OUTSIDE

static struct oracle bus;
static struct oracle_apic *const a = &bus.apic[0], *const b = &bus.apic[1], *const c = &bus.apic[2];
static unsigned broadcasts;
static uint8_t broadcast_vector;

static void count_broadcast(struct oracle *o, uint8_t vector)
{
    (void)o;
    broadcasts++;
    broadcast_vector = vector;
}

/* Attached APICs with these IDs in xAPIC mode, software-enabled. */
static void make(unsigned count, const uint32_t *ids)
{
    bus = (struct oracle){
        .options = { .x2apic = true, .version = 0x14, .max_lvt = 5, .phys_bits = 52, .timer_hz = SECOND },
        .hooks = { .eoi_broadcast = count_broadcast },
        .count = count,
    };
    for (unsigned i = 0; i < count; i++) {
        oracle_make(&bus, i, ids[i], i == 0);
        bus.apic[i].attached = true;
        bus.apic[i].waits_for_sipi = false;
        oracle_mmio_write(&bus.apic[i], 0x0F0, 4, 0x1FF);
    }
    broadcasts = 0;
}

static void make_one(void)
{
    make(1, (const uint32_t[]){ 0 });
}

static void make_three(void)
{
    make(3, (const uint32_t[]){ 0, 1, 2 });
}

static void write(struct oracle_apic *apic, uint32_t offset, uint32_t value)
{
    assert_int_equal(oracle_mmio_write(apic, offset, 4, value), ORACLE_DONE);
}

static uint32_t read(struct oracle_apic *apic, uint32_t offset)
{
    uint64_t value = 0;

    assert_int_equal(oracle_mmio_read(apic, offset, 4, &value), ORACLE_DONE);
    return (uint32_t)value;
}

static void to_x2apic(struct oracle_apic *apic)
{
    assert_int_equal(oracle_msr_write(apic, 0x1B, oracle_base_read(apic) | 0xC00), ORACLE_DONE);
}

static int poll(struct oracle_apic *apic)
{
    struct oracle_duty duty;

    oracle_poll(apic, &duty);
    return duty.vector;
}

static void take(struct oracle_apic *apic, uint8_t vector)
{
    assert_int_equal(poll(apic), vector);
    assert_true(oracle_take(apic, vector));
}

static uint32_t esr(struct oracle_apic *apic)
{
    write(apic, 0x280, 0);
    return read(apic, 0x280);
}

/* ---- the facts ---- */

static void ppr_is_the_greater_class(void **state)
{
    static const struct {
        uint8_t tpr;
        int isrv;
        uint8_t ppr;
    } rows[] = {
        { 0x00, -1, 0x00 },   { 0x05, -1, 0x05 },   { 0x2A, -1, 0x2A },   { 0x00, 0x41, 0x40 }, { 0x3F, 0x41, 0x40 },
        { 0x45, 0x41, 0x45 }, { 0x40, 0x4F, 0x40 }, { 0x51, 0x41, 0x51 }, { 0xFF, 0xFE, 0xFF }, { 0x0F, 0x10, 0x10 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        make_one();
        a->tpr = rows[i].tpr;
        if (rows[i].isrv >= 0) {
            a->isr[rows[i].isrv] = true;
        }
        assert_int_equal(oracle_ppr(a), rows[i].ppr);
    }
}

static void dispatch_needs_a_strictly_higher_class(void **state)
{
    (void)state;
    make_one();
    a->irr[0x4F] = true;
    for (unsigned tpr = 0; tpr < 256; tpr++) {
        a->tpr = (uint8_t)tpr;
        assert_int_equal(oracle_dispatchable(a), tpr < 0x40 ? 0x4F : -1);
    }
    a->tpr = 0;
    a->isr[0x40] = true;
    assert_int_equal(oracle_dispatchable(a), -1);
}

static void cr8_loses_the_sub_class(void **state)
{
    (void)state;
    make_one();
    write(a, 0x080, 0x5A);
    assert_int_equal(oracle_cr8_read(a), 5);
    assert_int_equal(oracle_cr8_write(a, 5), ORACLE_DONE);
    assert_int_equal(read(a, 0x080), 0x50);
    assert_int_equal(oracle_cr8_write(a, 16), ORACLE_GP);
}

static void every_cell_of_the_mode_table(void **state)
{
    enum { OFF = 0, WRONG = 0x400, XAPIC = 0x800, X2APIC = 0xC00 };
    static const struct {
        uint64_t from, to;
        bool legal;
    } cells[] = {
        { OFF, OFF, true },    { OFF, XAPIC, true },     { OFF, X2APIC, false },   { OFF, WRONG, false },
        { XAPIC, OFF, true },  { XAPIC, XAPIC, true },   { XAPIC, X2APIC, true },  { XAPIC, WRONG, false },
        { X2APIC, OFF, true }, { X2APIC, XAPIC, false }, { X2APIC, X2APIC, true }, { X2APIC, WRONG, false },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cells); i++) {
        uint64_t from = 0xFEE00100 | cells[i].from, to = 0xFEE00000 | cells[i].to; /* the BSP bit makes it a change */

        make_one();
        assert_int_equal(oracle_msr_write(a, 0x1B, from), ORACLE_DONE);
        assert_int_equal(oracle_msr_write(a, 0x1B, to), cells[i].legal ? ORACLE_DONE : ORACLE_GP);
        assert_true(oracle_base_read(a) == (cells[i].legal ? to : from));
    }
}

static void reserved_bits_of_the_base_fault(void **state)
{
    (void)state;
    make_one();
    bus.options.phys_bits = 40;
    for (unsigned bit = 0; bit < 64; bit++) {
        bool reserved = bit < 8 || bit == 9 || bit >= 40;

        oracle_reset(a);
        if (bit != 11) {
            assert_int_equal(oracle_msr_write(a, 0x1B, oracle_base_read(a) ^ UINT64_C(1) << bit),
                             reserved ? ORACLE_GP : ORACLE_DONE);
        }
    }
}

static void ldr_of_x2apic_mode_follows_the_id(void **state)
{
    static const uint32_t rows[][2] = {
        { 0, 0x00000001 },   { 1, 0x00000002 },   { 15, 0x00008000 },      { 16, 0x00010001 },
        { 255, 0x000F8000 }, { 256, 0x00100001 }, { 0xFFFFF, 0xFFFF8000 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        uint64_t value;

        make(1, &rows[i][0]);
        to_x2apic(a);
        assert_int_equal(oracle_msr_read(a, 0x80D, &value), ORACLE_DONE);
        assert_int_equal(value, rows[i][1]);
        assert_int_equal(oracle_msr_read(a, 0x802, &value), ORACLE_DONE);
        assert_int_equal(value, rows[i][0]);
    }
}

static void disabling_resets_and_enabling_does_not(void **state)
{
    (void)state;
    make_one();
    write(a, 0x320, 0x20041);
    write(a, 0x380, 1000);
    oracle_accept(a, 0x50, true);
    assert_int_equal(oracle_msr_write(a, 0x1B, 0xFEE00100), ORACLE_DONE);
    assert_int_equal(oracle_cr8_write(a, 7), ORACLE_DONE);
    assert_false(oracle_post(a, 0x60, false));
    assert_int_equal(oracle_msr_write(a, 0x1B, 0xFEE00900), ORACLE_DONE);
    assert_int_equal(read(a, 0x080), 0x70);
    assert_int_equal(read(a, 0x0F0), 0xFF);
    assert_int_equal(read(a, 0x320), 0x10000);
    assert_int_equal(read(a, 0x390), 0);
    assert_int_equal(read(a, 0x220), 0);
}

/* Reference 12: who is named, for senders of each kind. a: xAPIC, ID 1; b: x2APIC, ID 255; c: xAPIC, ID 257. */
static void destinations_of_mixed_modes(void **state)
{
    static const struct {
        enum oracle_source source;
        uint32_t dest;
        bool logical, a, b, c;
    } rows[] = {
        { X, 0xFF, false, true, true, true },     { X, 0xFF, true, true, true, true },
        { X2, 0xFF, false, false, true, false },  { X2, 0xFFFFFFFF, false, true, true, true },
        { OUT, 0xFF, false, true, true, true },   { OUT, 0xFFFFFFFF, true, true, true, true },
        { X, 1, false, true, false, true },       { X2, 257, false, false, false, true },
        { X2, 0x101, true, false, false, false }, { X2, 0x000F8000, true, false, true, false },
        { X, 0x20, true, true, false, false },    { X, 0x10, true, false, false, false },
        { OUT, 0, true, false, false, false },    { X2, 0x000F4000, true, false, false, false },
    };

    (void)state;
    make(3, (const uint32_t[]){ 1, 255, 257 });
    to_x2apic(b);
    write(a, 0x0D0, 0x20000000);
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_int_equal(oracle_match(a, rows[i].source, rows[i].dest, rows[i].logical), rows[i].a);
        assert_int_equal(oracle_match(b, rows[i].source, rows[i].dest, rows[i].logical), rows[i].b);
        assert_int_equal(oracle_match(c, rows[i].source, rows[i].dest, rows[i].logical), rows[i].c);
    }
    bus.options.msi_ff_not_broadcast = true;
    assert_true(oracle_match(b, OUT, 0xFF, false)); /* its ID */
    assert_false(oracle_match(b, OUT, 0xFF, true));
    bus.options.dest_alias = true;
    assert_true(oracle_match(a, X2, 0x301, false));
}

static void cluster_members_and_other_formats(void **state)
{
    (void)state;
    make_one();
    write(a, 0x0E0, 0x0FFFFFFF);
    write(a, 0x0D0, 0x25000000);
    assert_true(oracle_match(a, ORACLE_FROM_XAPIC, 0x21, true));
    assert_true(oracle_match(a, ORACLE_FROM_XAPIC, 0x24, true));
    assert_false(oracle_match(a, ORACLE_FROM_XAPIC, 0x22, true));
    assert_false(oracle_match(a, ORACLE_FROM_XAPIC, 0x35, true));
    write(a, 0x0E0, 0x5FFFFFFF);
    assert_int_equal(read(a, 0x0E0), 0x5FFFFFFF);
    assert_false(oracle_match(a, ORACLE_FROM_XAPIC, 0x25, true));
    assert_true(oracle_match(a, ORACLE_FROM_XAPIC, 0xFF, true));
}

/* CCR = ceil(clocks left / divisor): TICR at once, 1 until the end. */
static void ccr_rounds_up(void **state)
{
    (void)state;
    make_one();
    write(a, 0x320, 0x41);
    write(a, 0x3E0, 1); /* by 4 */
    write(a, 0x380, 3);
    for (bus.now_ns = 0; bus.now_ns < 12; bus.now_ns++) {
        assert_int_equal(read(a, 0x390), 3 - bus.now_ns / 4);
    }
    assert_int_equal(poll(a), -1);
    assert_int_equal(read(a, 0x390), 0);
    assert_int_equal(poll(a), 0x41);
}

static void another_divisor_keeps_the_count(void **state)
{
    (void)state;
    make_one();
    write(a, 0x320, 0x41);
    write(a, 0x3E0, 2); /* by 8 */
    write(a, 0x380, 10);
    bus.now_ns = 8 * 3 + 5;
    assert_int_equal(read(a, 0x390), 7);
    write(a, 0x3E0, 0); /* by 2 */
    assert_int_equal(read(a, 0x390), 7);
    assert_int_equal(oracle_clocks_left(a), (80 - 29 + 3) / 4); /* ceil(51 * 2 / 8) = 13 */
}

static void a_late_periodic_timer_fires_once_and_keeps_its_grid(void **state)
{
    (void)state;
    make_one();
    write(a, 0x320, 0x20041);
    write(a, 0x3E0, 0xB);
    write(a, 0x380, 100);
    bus.now_ns = 730;
    oracle_rang(a);
    take(a, 0x41);
    assert_int_equal(poll(a), -1);
    assert_int_equal(read(a, 0x390), 70);
    write(a, 0x320, 0x41); /* one-shot: the count goes on, and ends */
    bus.now_ns = 800;
    assert_int_equal(read(a, 0x390), 0);
    bus.now_ns = 900;
    assert_int_equal(read(a, 0x390), 0);
}

static void a_deadline_in_the_past_fires_at_the_write(void **state)
{
    uint64_t value = 1;

    (void)state;
    make_one();
    assert_int_equal(oracle_msr_read(a, 0x6E0, &value), ORACLE_GP);
    bus.options.deadline = true;
    a->tsc = 1000;
    assert_int_equal(oracle_msr_write(a, 0x6E0, 2000), ORACLE_DONE); /* not in its mode */
    assert_int_equal(oracle_msr_read(a, 0x6E0, &value), ORACLE_DONE);
    assert_int_equal(value, 0);
    write(a, 0x320, 0x40041);
    assert_int_equal(oracle_msr_write(a, 0x6E0, 2000), ORACLE_DONE);
    assert_int_equal(oracle_msr_read(a, 0x6E0, &value), ORACLE_DONE);
    assert_int_equal(value, 2000);
    assert_int_equal(oracle_msr_write(a, 0x6E0, 1000), ORACLE_DONE);
    take(a, 0x41);
    assert_int_equal(oracle_msr_read(a, 0x6E0, &value), ORACLE_DONE);
    assert_int_equal(value, 0);
}

static void errors_accumulate_and_interrupt_once_each(void **state)
{
    (void)state;
    make_one();
    write(a, 0x370, 0x41);
    read(a, 0x040);
    take(a, 0x41);
    write(a, 0x0B0, 0);
    read(a, 0x050);
    assert_int_equal(poll(a), -1);
    assert_int_equal(read(a, 0x280), 0);
    assert_int_equal(esr(a), 0x80);
    assert_int_equal(read(a, 0x280), 0x80);
    assert_int_equal(esr(a), 0);
    write(a, 0x370, 0x0F); /* an illegal vector in the error entry: no recursion */
    read(a, 0x040);
    assert_int_equal(esr(a), 0xC0);
    assert_int_equal(poll(a), -1);
}

static void an_illegal_vector_is_an_error_of_whom(void **state)
{
    (void)state;
    make_three();
    write(a, 0x310, 1u << 24);
    write(a, 0x300, 0x0F);
    assert_int_equal(esr(a), 0x20);
    oracle_look(b);
    assert_int_equal(esr(b), 0);
    write(a, 0x300, 0x4000F); /* self */
    assert_int_equal(esr(a), 0x60);
    write(a, 0x300, 0x8000F); /* all */
    assert_int_equal(esr(a), 0x20);
    assert_false(oracle_post(a, 0x0F, false));
    assert_int_equal(esr(a), 0x40);
}

static void eoi_ends_the_highest_and_broadcasts_levels(void **state)
{
    (void)state;
    make_one();
    oracle_post(a, 0x41, true);
    take(a, 0x41);
    oracle_post(a, 0x51, false);
    take(a, 0x51);
    write(a, 0x0B0, 0);
    assert_int_equal(broadcasts, 0);
    assert_true(a->isr[0x41] && !a->isr[0x51]);
    write(a, 0x0B0, 0);
    assert_int_equal(broadcasts, 1);
    assert_int_equal(broadcast_vector, 0x41);
    assert_true(a->tmr[0x41]); /* stays */
    write(a, 0x0B0, 0);
    assert_int_equal(broadcasts, 1);
    bus.options.eoi_suppression = true;
    write(a, 0x0F0, 0x11FF);
    oracle_post(a, 0x41, true);
    take(a, 0x41);
    write(a, 0x0B0, 0);
    assert_int_equal(broadcasts, 1);
}

static void remote_irr_of_lint0(void **state)
{
    (void)state;
    make_one();
    write(a, 0x350, 0x8041);
    oracle_pin(a, 0, true);
    take(a, 0x41);
    assert_int_equal(read(a, 0x350), 0xC041);
    write(a, 0x350, 0x18041); /* masking keeps it */
    assert_int_equal(read(a, 0x350), 0x1C041);
    write(a, 0x350, 0x8041);
    assert_int_equal(poll(a), -1);
    write(a, 0x0B0, 0); /* the line is still high */
    take(a, 0x41);
    oracle_pin(a, 0, false);
    write(a, 0x0B0, 0);
    assert_int_equal(read(a, 0x350), 0x8041);
    assert_int_equal(poll(a), -1);
}

static void software_disable_masks_and_keeps(void **state)
{
    (void)state;
    make_one();
    write(a, 0x330, 0x41);
    oracle_post(a, 0x51, false);
    write(a, 0x0F0, 0xFF);
    assert_int_equal(read(a, 0x330), 0x10041);
    write(a, 0x330, 0x42);
    assert_int_equal(read(a, 0x330), 0x10042);
    assert_false(oracle_post(a, 0x61, false));
    assert_int_equal(poll(a), 0x51);
    write(a, 0x0F0, 0x1FF);
    assert_int_equal(read(a, 0x330), 0x10042);
}

static void lowest_priority_is_vector_modulo_candidates(void **state)
{
    (void)state;
    make(3, (const uint32_t[]){ 9, 4, 6 });
    for (unsigned vector = 0x40; vector < 0x46; vector++) {
        static const unsigned by_id[] = { 1, 2, 0 }; /* IDs 4, 6, 9 */
        struct oracle_message m = {
            .destination = 0xFF, .mode = ORACLE_LOWEST, .vector = (uint8_t)vector, .logical = true
        };

        assert_int_equal(oracle_deliver(&bus, &m), 1);
        oracle_look(&bus.apic[by_id[vector % 3]]);
        assert_true(bus.apic[by_id[vector % 3]].irr[vector]);
        m.logical = false; /* physical: not arbitrated */
        assert_int_equal(oracle_deliver(&bus, &m), 3);
    }
    oracle_svr_write(c, 0xFF);
    assert_int_equal(oracle_deliver(&bus, &(struct oracle_message){ 0xFF, ORACLE_NMI, 0x41, true, false, false, true }),
                     1);
    assert_true(bus.apic[0].arrived.nmi); /* 41h modulo two: the second of 4 and 9 */
}

static void msi_destination_formats(void **state)
{
    uint32_t accepted = 0;

    (void)state;
    make(2, (const uint32_t[]){ 0, 0x102 });
    assert_int_equal(oracle_msi(&bus, 0xFED00000, 0x41, &accepted), ORACLE_NOT_MINE);
    oracle_msi(&bus, 0xFEE02020, 0x41, &accepted); /* bits 11:5 are ignored: ID 2 is b's low byte */
    assert_int_equal(accepted, 1);
    to_x2apic(b);
    oracle_msi(&bus, 0xFEE02020, 0x41, &accepted);
    assert_int_equal(accepted, 0);
    bus.options.msi_ext_dest = true;
    oracle_msi(&bus, 0xFEE02020, 0x41, &accepted);
    assert_int_equal(accepted, 1);
    bus.options.msi_ext_dest = false;
    bus.options.msi_dest32 = true;
    oracle_msi(&bus, UINT64_C(0x100FEE02000), 0x41, &accepted);
    assert_int_equal(accepted, 1);
    oracle_msi(&bus, UINT64_C(0x101FEE02000), 0x41, &accepted);
    assert_int_equal(accepted, 0);
    oracle_msi(&bus, 0xFEE00000, 0x8041, &accepted); /* level, de-assert */
    assert_int_equal(accepted, 0);
    oracle_msi(&bus, 0xFEE00000, 0xC041, &accepted);
    assert_int_equal(accepted, 1);
    oracle_msi(&bus, 0xFEE00000, 0x641, &accepted); /* SIPI */
    assert_int_equal(accepted, 0);
}

/* The MSRs that exist in x2APIC mode, without CMCI and extended space. */
static void msrs_of_x2apic_mode(void **state)
{
    (void)state;
    make_one();
    to_x2apic(a);
    for (uint32_t msr = 0x800; msr <= 0x8FF; msr++) {
        bool rw = msr == 0x808 || msr == 0x80F || msr == 0x828 || msr == 0x830 || (msr >= 0x832 && msr <= 0x838) ||
                  msr == 0x83E;
        bool ro = msr == 0x802 || msr == 0x803 || msr == 0x80A || msr == 0x80D || (msr >= 0x810 && msr <= 0x827) ||
                  msr == 0x839;
        bool wo = msr == 0x80B || msr == 0x83F;
        uint64_t value;

        assert_int_equal(oracle_msr_read(a, msr, &value), rw || ro ? ORACLE_DONE : ORACLE_GP);
        assert_int_equal(oracle_msr_write(a, msr, 0), rw || wo ? ORACLE_DONE : ORACLE_GP);
        if (msr != 0x830) {
            assert_int_equal(oracle_msr_write(a, msr, UINT64_C(1) << 32), ORACLE_GP);
        }
    }
}

static void reserved_slots_of_the_window(void **state)
{
    unsigned reserved = 0;

    (void)state;
    make_one();
    for (uint32_t offset = 0; offset < 0x1000; offset += 0x10) {
        read(a, offset);
        if (esr(a) != 0) {
            assert_int_equal(esr(a), 0);
            reserved++;
        }
    }
    /* 000, 010; 040..070; 290..2E0; 2F0; 3A0..3D0; 3F0; 400..FF0 */
    assert_int_equal(reserved, 2 + 4 + 6 + 1 + 4 + 1 + 0xC0);
}

static void init_then_sipi(void **state)
{
    struct oracle_duty duty;

    (void)state;
    make_three();
    write(a, 0x310, 1u << 24);
    write(a, 0x300, 0x4612); /* not waiting: lost */
    oracle_poll(b, &duty);
    assert_false(duty.sipi);
    write(a, 0x300, 0x4500);
    write(a, 0x300, 0x8500); /* de-assert */
    write(a, 0x300, 0x4612);
    write(a, 0x300, 0x4613);
    oracle_poll(b, &duty);
    assert_true(duty.init && !duty.sipi);
    oracle_take_init(b);
    assert_int_equal(oracle_svr_read(b), 0xFF);
    oracle_poll(b, &duty);
    assert_true(duty.sipi && !duty.wait_for_sipi);
    assert_int_equal(duty.sipi_vector, 0x12);
}

static void seoi_and_ier(void **state)
{
    (void)state;
    make_one();
    bus.options.ext_space = bus.options.ext_seoi = bus.options.ext_ier = true;
    bus.options.ext_lvts = 4;
    assert_int_equal(read(a, 0x400), 0x40003);
    assert_int_equal(read(a, 0x030), 0x80050014);
    oracle_post(a, 0x41, false);
    take(a, 0x41);
    oracle_post(a, 0x81, false);
    take(a, 0x81);
    write(a, 0x420, 0x41); /* not enabled */
    assert_true(a->isr[0x41]);
    write(a, 0x410, 7);
    assert_int_equal(read(a, 0x410), 3);
    write(a, 0x4C0, 0xFFFFFFFD); /* hides 81h */
    assert_int_equal(oracle_ppr(a), 0x40);
    write(a, 0x420, 0x81); /* SEOI does not ask IER */
    assert_false(a->isr[0x81]);
    write(a, 0x420, 0x41);
    assert_false(a->isr[0x41]);
}

/* ---- the library ---- */

static void random_sequences_agree(void **state)
{
    static uint8_t bytes[640];
    uint64_t x = UINT64_C(0x9E3779B97F4A7C15);

    (void)state;
    for (unsigned run = 0; run < 7000; run++) {
        size_t size = 100 + run % 500;

        for (size_t i = 0; i < size; i++) {
            x ^= x >> 12;
            x ^= x << 25;
            x ^= x >> 27;
            bytes[i] = (uint8_t)((x * UINT64_C(0x2545F4914F6CDD1D)) >> 56);
        }
        differential_run(bytes, size);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ppr_is_the_greater_class),
        cmocka_unit_test(dispatch_needs_a_strictly_higher_class),
        cmocka_unit_test(cr8_loses_the_sub_class),
        cmocka_unit_test(every_cell_of_the_mode_table),
        cmocka_unit_test(reserved_bits_of_the_base_fault),
        cmocka_unit_test(ldr_of_x2apic_mode_follows_the_id),
        cmocka_unit_test(disabling_resets_and_enabling_does_not),
        cmocka_unit_test(destinations_of_mixed_modes),
        cmocka_unit_test(cluster_members_and_other_formats),
        cmocka_unit_test(ccr_rounds_up),
        cmocka_unit_test(another_divisor_keeps_the_count),
        cmocka_unit_test(a_late_periodic_timer_fires_once_and_keeps_its_grid),
        cmocka_unit_test(a_deadline_in_the_past_fires_at_the_write),
        cmocka_unit_test(errors_accumulate_and_interrupt_once_each),
        cmocka_unit_test(an_illegal_vector_is_an_error_of_whom),
        cmocka_unit_test(eoi_ends_the_highest_and_broadcasts_levels),
        cmocka_unit_test(remote_irr_of_lint0),
        cmocka_unit_test(software_disable_masks_and_keeps),
        cmocka_unit_test(lowest_priority_is_vector_modulo_candidates),
        cmocka_unit_test(msi_destination_formats),
        cmocka_unit_test(msrs_of_x2apic_mode),
        cmocka_unit_test(reserved_slots_of_the_window),
        cmocka_unit_test(init_then_sipi),
        cmocka_unit_test(seoi_and_ier),
        cmocka_unit_test(random_sequences_agree),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
