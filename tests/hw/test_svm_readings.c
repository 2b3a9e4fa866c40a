/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The register of ambiguities: for each entry, what each of its readings does. Reference 17. A test plays all readings of its entry; the row of
 * expectations has one column for each, in the register's order, the default first.
 */
#include "svm_rig.h"

#define CORE rig_core(0)
#define VECTOR 0x61u
#define LOGICAL_MODE 0x800u
#define TO_SELF 0x40000u
#define TO_ALL 0x80000u
#define TO_OTHERS 0xC0000u

static void start(enum rig_mode mode, unsigned vcpus, unsigned ambiguity, unsigned reading)
{
    rig_start(mode, vcpus);
    rig.machine.readings.play[ambiguity] = (uint8_t)reading;
    rig.doorbells_arrive = false;
}

static uint64_t info2(unsigned id, unsigned index)
{
    return (uint64_t)id << 32 | index;
}

static unsigned receivers(void)
{
    unsigned set = 0;

    for (unsigned n = 0; n < RIG_VCPUS; n++) {
        set |= (rig_only_irr(n) == VECTOR ? 1u : 0) << n;
    }
    return set;
}

/* ---- the register ---- */

/* Reference 17: readings of each entry, and those that a backend has to be correct under, bit n for reading n. */
static const struct {
    unsigned count, required;
} entries[38] = {
    { 0, 0 },   { 5, 0x07 }, { 2, 0x3 }, { 2, 0x1 }, { 4, 0x1 },  { 3, 0x7 }, { 2, 0x1 }, { 2, 0x1 },
    { 1, 0x1 }, { 2, 0x1 },  { 1, 0x1 }, { 1, 0x1 }, { 5, 0x1D }, { 3, 0x1 }, { 3, 0x3 }, { 2, 0x3 },
    { 3, 0x3 }, { 1, 0x1 },  { 2, 0x3 }, { 3, 0x1 }, { 3, 0x1 },  { 2, 0x3 }, { 4, 0xF }, { 2, 0x3 },
    { 4, 0x7 }, { 2, 0x1 },  { 3, 0x1 }, { 2, 0x3 }, { 2, 0x3 },  { 2, 0x1 }, { 2, 0x1 }, { 2, 0x1 },
    { 1, 0x1 }, { 1, 0x1 },  { 2, 0x3 }, { 2, 0x1 }, { 2, 0x1 },  { 2, 0x3 },
};

static void the_register_is_complete(void **unused)
{
    (void)unused;
    for (unsigned a = 1; a <= 37; a++) {
        const struct svmhw_ambiguity *entry = &svmhw_ambiguities[a];

        assert_non_null(entry->question);
        assert_int_equal(entry->count, entries[a].count);
        for (unsigned r = 0; r < SVMHW_MOST_READINGS; r++) {
            assert_int_equal(entry->readings[r].means != NULL, r < entry->count);
            assert_int_equal(entry->readings[r].required, entries[a].required >> r & 1);
        }
    }
}

static void variants_change_one_reading_each(void **unused)
{
    struct svmhw_variant variant;
    unsigned n = 0;

    (void)unused;
    assert_true(svmhw_variant(n++, &variant));
    assert_int_equal(variant.ambiguity, 0);
    assert_true(variant.required);
    for (unsigned a = 1; a <= 37; a++) {
        assert_int_equal(variant.readings.play[a], 0);
    }
    for (unsigned a = 1; a <= 37; a++) {
        for (unsigned r = 1; r < entries[a].count; r++) {
            assert_true(svmhw_variant(n++, &variant));
            assert_int_equal(variant.ambiguity, a);
            assert_int_equal(variant.reading, r);
            assert_int_equal(variant.required, entries[a].required >> r & 1);
            for (unsigned other = 1; other <= 37; other++) {
                assert_int_equal(variant.readings.play[other], other == a ? r : 0);
            }
        }
    }
    assert_false(svmhw_variant(n, &variant));
}

/* ---- A1 to A7: VMRUN and delivery ---- */

static void a1_which_tpr_masks(void **unused)
{
    /* By V_TPR and TPR of the page: is a vector of class 6 delivered? And what is left of the two copies and of PPR (7 in page, 2 in V_TPR)? */
    static const bool high_in_page[] = { true, false, false, false, true };
    static const bool high_in_v_tpr[] = { false, true, false, true, false };
    static const uint32_t page_after[] = { 0x75, 0x75, 0x75, 0x75, 0x25 };
    static const uint32_t v_tpr_after[] = { 2, 2, 2, 7, 2 };
    static const uint32_t ppr_after[] = { 0x20, 0x75, 0x75, 0x75, 0x25 };

    (void)unused;
    for (unsigned r = 0; r < 5; r++) {
        start(XAVIC, 1, 1, r);
        rig_set_bits(0, VINTR, 7);
        rig_set_reg(0, 0x080, 0x25);
        rig_set_vector(0, 0x200, VECTOR);
        rig_expect_done(rig_run(0, true));
        assert_int_equal(svmhw_boundary(CORE).happened == SVMHW_EVENT, high_in_v_tpr[r]);

        start(XAVIC, 1, 1, r);
        rig_set_bits(0, VINTR, 2);
        rig_set_reg(0, 0x080, 0x75);
        rig_set_vector(0, 0x200, VECTOR);
        rig_expect_done(rig_run(0, false));
        assert_int_equal(rig_reg(0, 0x0A0), ppr_after[r]);
        assert_int_equal(svmhw_mmio_read(CORE, APIC_GPA + 0x80, 4).value, page_after[r]);
        assert_int_equal(svmhw_cr8_read(CORE, 0).value, v_tpr_after[r]);
        rig_expect_done(svmhw_popf(CORE, true));
        assert_int_equal(svmhw_boundary(CORE).happened == SVMHW_EVENT, high_in_page[r]);
    }
}

static void a2_whether_irr_counts_for_a_guest_that_halts(void **unused)
{
    static const enum svmhw_happened idle[] = { SVMHW_DONE, SVMHW_EXIT };
    static const enum svmhw_happened after_bell[] = { SVMHW_EVENT, SVMHW_HALTED };

    (void)unused;
    for (unsigned r = 0; r < 2; r++) {
        start(XAVIC, 1, 2, r);
        rig_intercept(0, 0xA6);
        rig_enter(0, true);
        rig_set_vector(0, 0x200, VECTOR);
        assert_int_equal(svmhw_hlt(CORE).happened, idle[r]);

        start(XAVIC, 1, 2, r);
        rig_enter(0, true);
        rig_expect_done(svmhw_hlt(CORE));
        rig_set_vector(0, 0x200, VECTOR);
        svmhw_doorbell_arrives(CORE);
        assert_int_equal(svmhw_boundary(CORE).happened, after_bell[r]);
    }
}

static void a3_irr_and_isr_of_an_interrupted_delivery(void **unused)
{
    static const bool in_service[] = { true, false };

    (void)unused;
    for (unsigned r = 0; r < 2; r++) {
        start(XAVIC, 1, 3, r);
        rig_set_vector(0, 0x200, VECTOR);
        rig_expect_done(rig_run(0, true));
        svmhw_interrupt_next_delivery(CORE, 0x400, 5, 6);
        rig_expect_exit(0, svmhw_boundary(CORE), 0x400, 5, 6, 0);
        assert_int_equal(rig_vector(0, 0x100, VECTOR), in_service[r]);
        assert_int_equal(rig_vector(0, 0x200, VECTOR), !in_service[r]);
        assert_int_equal(rig_reg(0, 0x0A0), in_service[r] ? 0x60 : 0);
        assert_int_equal(rig_get(0, INTINFO, 8), in_service[r] ? BIT(31) | VECTOR : 0);
    }
}

static void a4_clean_bits_of_the_enables(void **unused)
{
    /* clean bits 3 and 11: is a new AVIC enable seen? */
    static const struct {
        uint32_t clean;
        bool seen[4];
    } rows[] = {
        { 0, { true, true, true, true } },
        { 1u << 3, { false, false, true, true } },
        { 1u << 11, { false, true, false, true } },
        { 1u << 3 | 1u << 11, { false, false, false, true } },
    };

    (void)unused;
    for (unsigned r = 0; r < 4; r++) {
        for (unsigned i = 0; i < COUNT(rows); i++) {
            start(XAVIC, 1, 4, r);
            rig_clear_bits(0, VINTR, AVIC_ON);
            rig_enter(0, false);
            rig_leave(0);
            rig_set_bits(0, VINTR, AVIC_ON);
            rig_put(0, CLEAN, 4, rows[i].clean);
            rig_enter(0, false);
            assert_int_equal(svmhw_mmio_read(CORE, APIC_GPA + 0x20, 4).happened,
                             rows[i].seen[r] ? SVMHW_DONE : SVMHW_MEMORY);
            assert_int_equal(rig_count(SVMHW_TRACE_STALE_FIELD), !rows[i].seen[r]);
        }
    }
}

static void a5_nrip_of_avic_exits(void **unused)
{
    static const uint64_t expected[] = { 0, RIP_AT + 3, 0x1234 };

    (void)unused;
    for (unsigned r = 0; r < 3; r++) {
        for (unsigned kind = 0; kind < 3; kind++) {
            struct svmhw_result result;

            start(X2AVIC, 1, 5, r);
            rig_put(0, NRIP, 8, 0x1234);
            rig_expect_done(rig_run(0, false));
            result = kind == 0 ? svmhw_rdmsr(CORE, 0x839) : svmhw_wrmsr(CORE, kind == 1 ? 0x80F : 0x830, 0);
            assert_int_equal(result.code, kind == 2 ? 0x401 : 0x402);
            assert_int_equal(rig_get(0, NRIP, 8), expected[r]);
            assert_int_equal(rig_get(0, RIP, 8), RIP_AT + (kind == 0 ? 0 : 3));
        }
    }
}

static void a6_unused_pointers_in_x2avic(void **unused)
{
    static const bool beyond_range_is_legal[] = { true, false };
    static const unsigned offsets[] = { BAR, LOGICAL };

    (void)unused;
    for (unsigned r = 0; r < 2; r++) {
        for (unsigned i = 0; i < 2; i++) {
            start(X2AVIC, 1, 6, r);
            rig.machine.capabilities.physical_bits = 40;
            rig_put(0, offsets[i], 8, BIT(41));
            assert_int_equal(rig_run(0, false).happened == SVMHW_DONE, beyond_range_is_legal[r]);

            start(X2AVIC, 1, 6, r);
            rig_put(0, offsets[i], 8, 0);
            rig_expect_done(rig_run(0, false));
        }
    }
}

static void a7_avic_without_nested_paging(void **unused)
{
    (void)unused;
    for (unsigned r = 0; r < 2; r++) {
        start(XAVIC, 1, 7, r);
        rig_put(0, NP, 8, 0);
        assert_int_equal(rig_run(0, false).happened, r == 0 ? SVMHW_EXIT : SVMHW_DONE);
        if (r == 1) {
            rig_expect_done(svmhw_mmio_write(CORE, APIC_GPA + 0x80, 4, 0x20));
            assert_int_equal(rig_reg(0, 0x80), 0x20);
        }
    }
}

/* ---- A8 to A14: x2AVIC ---- */

static void a8_a32_a_table_of_eight_pages_is_contiguous(void **unused)
{
    (void)unused;
    start(X2AVIC, 2, 8, 0);
    rig_put(0, PHYSICAL, 8, PA(PAGE_PHYSICAL) | 4095);
    rig_entry(4095, rig_entry_of(1, true));
    rig_enter(0, false);
    rig_expect_done(rig_send(0, 4095, VECTOR));
    assert_int_equal(receivers(), 2);
}

static void a9_ff_in_x2avic(void **unused)
{
    /* vCPU 1 has entry 255 */
    static const unsigned to_ff[] = { 0x2, 0xD }, to_all[] = { 0xF, 0xD };

    (void)unused;
    for (unsigned r = 0; r < 2; r++) {
        for (unsigned all = 0; all < 2; all++) {
            start(X2AVIC, 4, 9, r);
            rig_entry(255, rig_entry_of(1, true));
            rig_entry(1, 0);
            rig_enter(0, false);
            rig_expect_done(rig_send(0, all ? 0 : 0xFF, (all ? TO_ALL : 0) | VECTOR));
            assert_int_equal(receivers(), (all ? to_all : to_ff)[r]);
        }
        start(X2AVIC, 1, 9, r);
        rig_entry(255, rig_entry_of(1, true));
        rig_enter(0, false);
        assert_int_equal(rig_send(0, 0x000F8000, LOGICAL_MODE | VECTOR).happened, r == 0 ? SVMHW_DONE : SVMHW_EXIT);
    }
}

static void a10_mmio_with_x2avic_is_ordinary(void **unused)
{
    (void)unused;
    start(X2AVIC, 1, 10, 0);
    rig_enter(0, false);
    assert_int_equal(svmhw_mmio_write(CORE, APIC_GPA + 0x80, 4, 0x20).address, PA(PAGE_FRAME) + 0x80);
    assert_int_equal(rig_reg(0, 0x80), 0);
}

static void a11_illegal_pointers_are_invalid(void **unused)
{
    (void)unused;
    start(XAVIC, 1, 11, 0);
    rig_put(0, BACKING, 8, 0);
    assert_int_equal(rig_run(0, false).code, INVALID);
}

static void a12_self_ipi_msr(void **unused)
{
    static const bool reads[] = { false, true, false, false, false };
    static const uint32_t at_3f0[] = { 0x77, 0x77, VECTOR, 0x77, 0x77 };
    static const uint32_t at_300[] = { 0x33, 0x33, 0x33, 0x00040000 | VECTOR, 0x33 };
    static const uint32_t at_310[] = { 0x44, 0x44, 0x44, 0, 0x44 };
    static const uint64_t report[] = { 0x0004000F, 0x0004000F, 0x0004000F, 0x0004000F, 0x0F };

    (void)unused;
    for (unsigned r = 0; r < 5; r++) {
        struct svmhw_result result;

        start(X2AVIC, 1, 12, r);
        rig_set_reg(0, 0x3F0, 0x77);
        rig_set_reg(0, 0x300, 0x33);
        rig_set_reg(0, 0x310, 0x44);
        rig_enter(0, false);
        result = svmhw_rdmsr(CORE, 0x83F);
        assert_int_equal(result.happened, reads[r] ? SVMHW_DONE : SVMHW_GP);
        assert_int_equal(result.value, reads[r] ? 0x77 : 0);
        rig_expect_done(svmhw_wrmsr(CORE, 0x83F, VECTOR));
        assert_int_equal(receivers(), 1);
        assert_int_equal(rig_reg(0, 0x3F0), at_3f0[r]);
        assert_int_equal(rig_reg(0, 0x300), at_300[r]);
        assert_int_equal(rig_reg(0, 0x310), at_310[r]);
        assert_int_equal(svmhw_wrmsr(CORE, 0x83F, 0x0F).code, 0x401);
        assert_int_equal(rig_get(0, INFO1, 8), report[r]);
        assert_int_equal(rig_get(0, INFO2, 8), info2(4, 0));
    }
}

static void a13_unlisted_msrs(void **unused)
{
    static const uint32_t msrs[] = { 0x800, 0x80C, 0x80E, 0x831, 0x82F, 0x844, 0x854, 0x8FF };

    (void)unused;
    for (unsigned i = 0; i < COUNT(msrs); i++) {
        unsigned offset = (msrs[i] - 0x800) * 0x10;

        for (unsigned r = 0; r < 3; r++) {
            start(X2AVIC, 1, 13, r);
            rig_enter(0, false);
            if (r == 0) {
                assert_int_equal(svmhw_wrmsr(CORE, msrs[i], 0x1122).happened, SVMHW_GP);
                assert_int_equal(svmhw_rdmsr(CORE, msrs[i]).happened, SVMHW_GP);
            } else if (r == 1) {
                rig_expect_done(svmhw_wrmsr(CORE, msrs[i], 0x1122));
                assert_int_equal(rig_reg(0, offset), 0x1122);
                assert_int_equal(svmhw_rdmsr(CORE, msrs[i]).value, 0x1122);
            } else {
                rig_expect_exit(0, svmhw_wrmsr(CORE, msrs[i], 0x1122), 0x402, BIT(32) | offset, 0, 0);
                rig_enter(0, false);
                rig_expect_exit(0, svmhw_rdmsr(CORE, msrs[i]), 0x402, offset, 0, 0);
            }
        }
    }
}

static void a14_which_x2apic_rules_are_checked(void **unused)
{
    /* ICR bit 12; a reserved bit of TPR; a write to a read-only register; a non-zero EOI; a read of EOI: #GP? */
    static const bool icr[] = { true, false, true }, others[] = { true, false, false };

    (void)unused;
    for (unsigned r = 0; r < 3; r++) {
        start(X2AVIC, 1, 14, r);
        rig_enter(0, false);
        assert_int_equal(svmhw_wrmsr(CORE, 0x808, 0x100).happened == SVMHW_GP, others[r]);
        assert_int_equal(svmhw_wrmsr(CORE, 0x80B, 1).happened == SVMHW_GP, others[r]);
        assert_int_equal(svmhw_rdmsr(CORE, 0x80B).happened == SVMHW_GP, others[r]);
        assert_int_equal(svmhw_wrmsr(CORE, 0x830, 0x1000 | TO_SELF | VECTOR).happened == SVMHW_GP, icr[r]);
        assert_int_equal(svmhw_wrmsr(CORE, 0x802, 1).happened == SVMHW_GP, others[r]);
    }
}

/* ---- A15 to A21: priorities, EOI, doorbells ---- */

static void a15_ppr_at_vmrun(void **unused)
{
    /* Software left PPR at 70h while TPR and ISR are empty */
    static const uint32_t ppr[] = { 0, 0x70 };
    static const enum svmhw_happened at_once[] = { SVMHW_EVENT, SVMHW_DONE };

    (void)unused;
    for (unsigned r = 0; r < 2; r++) {
        start(XAVIC, 1, 15, r);
        rig_set_reg(0, 0x0A0, 0x70);
        rig_set_vector(0, 0x200, VECTOR);
        rig_expect_done(rig_run(0, true));
        assert_int_equal(rig_reg(0, 0x0A0), ppr[r]);
        assert_int_equal(svmhw_boundary(CORE).happened, at_once[r]);

        start(XAVIC, 1, 15, r);
        rig_set_reg(0, 0x0A0, 0x70);
        rig_set_vector(0, 0x200, VECTOR);
        rig_enter(0, false);
        rig_expect_done(svmhw_cr8_write(CORE, 0, 1)); /* now it is recomputed in any case */
        assert_int_equal(rig_reg(0, 0x0A0), 0x10);
        rig_expect_done(svmhw_popf(CORE, true));
        rig_expect_event(svmhw_boundary(CORE), 0, VECTOR);
    }
}

static void a16_level_eoi(void **unused)
{
    static const bool kept[] = { true, false, true };
    static const unsigned moved[] = { 1, 1, 0 };
    static const uint32_t ppr[] = { 0x60, 0x30, 0x60 };
    static const uint32_t at_0b0[] = { 0, 0, 0x99 };

    (void)unused;
    for (unsigned r = 0; r < 3; r++) {
        start(XAVIC, 1, 16, r);
        rig_set_vector(0, 0x100, VECTOR);
        rig_set_vector(0, 0x180, VECTOR);
        rig_set_vector(0, 0x100, 0x31);
        rig_set_vector(0, 0x200, 0x41);
        rig_set_reg(0, 0x0B0, 0x99);
        rig_enter(0, true);
        rig_expect_exit(0, svmhw_mmio_write(CORE, APIC_GPA + 0xB0, 4, 0), 0x402, BIT(32) | 0xB0, VECTOR, moved[r]);
        assert_int_equal(rig_vector(0, 0x100, VECTOR), kept[r]);
        assert_true(rig_vector(0, 0x100, 0x31));
        assert_int_equal(rig_reg(0, 0x0A0), ppr[r]);
        assert_int_equal(rig_reg(0, 0x0B0), at_0b0[r]);
        assert_int_equal(rig_count(SVMHW_TRACE_DELIVER), 0); /* no evaluation */
    }
}

static void a17_a33_senders_and_hardware_look_at_neither_svr_nor_apic_base(void **unused)
{
    (void)unused;
    start(XAVIC, 2, 17, 0);
    rig_set_reg(1, 0x0F0, 0xFF);
    rig_set_reg(0, 0x0F0, 0xFF);
    rig_enter(0, true);
    rig_expect_done(rig_send(0, 1u << 24, VECTOR));
    assert_int_equal(receivers(), 2);
    rig_expect_done(rig_send(0, 0, TO_SELF | VECTOR));
    rig_expect_event(svmhw_boundary(CORE), 0, VECTOR);
    assert_int_equal(svmhw_wrmsr(CORE, 0x1B, 0xFEE00000).happened, SVMHW_HOST_MSR); /* it has no copy of its own */
    rig_expect_done(svmhw_mmio_read(CORE, APIC_GPA + 0x20, 4));
}

static void a18_tmr_of_the_target(void **unused)
{
    static const bool left[] = { true, false };

    (void)unused;
    for (unsigned r = 0; r < 2; r++) {
        start(XAVIC, 2, 18, r);
        for (unsigned n = 0; n < 2; n++) {
            rig_set_vector(n, 0x180, VECTOR);
            rig_set_vector(n, 0x180, VECTOR + 1);
        }
        rig_enter(0, false);
        rig_expect_done(rig_send(0, 0, TO_OTHERS | VECTOR));
        rig_expect_done(rig_send(0, 0, TO_SELF | VECTOR));
        for (unsigned n = 0; n < 2; n++) {
            assert_int_equal(rig_vector(n, 0x180, VECTOR), left[r]);
            assert_true(rig_vector(n, 0x180, VECTOR + 1));
        }
    }
}

static void a19_width_of_the_doorbell_value(void **unused)
{
    static const struct {
        uint64_t value;
        uint64_t to[3]; /* UINT64_MAX: #GP */
    } rows[] = {
        { 0x12, { 0x12, 0x12, 0x12 } },
        { 0x123, { 0x123, UINT64_MAX, 0x123 } },
        { 0x12345678, { 0x12345678, UINT64_MAX, 0x678 } },
        { 0xFFFFFFFF, { 0xFFFFFFFF, UINT64_MAX, 0xFFF } },
        { BIT(63) | 0xFF, { UINT64_MAX, UINT64_MAX, 0xFF } },
        { 0xFF, { 0xFF, 0xFF, 0xFF } },
        { BIT(32) | 0x12, { UINT64_MAX, UINT64_MAX, 0x12 } },
    };

    (void)unused;
    for (unsigned r = 0; r < 3; r++) {
        for (unsigned i = 0; i < COUNT(rows); i++) {
            bool rings = rows[i].to[r] != UINT64_MAX;

            start(XAVIC, 1, 19, r);
            assert_int_equal(svmhw_host_writes_doorbell(CORE, rows[i].value), rings);
            assert_int_equal(rig.doorbells, rings);
            assert_int_equal(rig.last_doorbell, rings ? rows[i].to[r] : 0);
        }
    }
}

static void a20_a_doorbell_in_host_mode(void **unused)
{
    static const unsigned taken[] = { 0, 1, 0 }, host_interrupts[] = { 0, 0, 1 };

    (void)unused;
    for (unsigned r = 0; r < 3; r++) {
        start(XAVIC, 1, 20, r);
        svmhw_doorbell_arrives(CORE);
        rig_enter(0, false);
        assert_int_equal(rig_count(SVMHW_TRACE_DOORBELL_TAKEN), taken[r]);
        assert_int_equal(rig.host_interrupts, host_interrupts[r]);
        svmhw_doorbell_arrives(CORE); /* in guest mode there is no question */
        rig_expect_done(svmhw_boundary(CORE));
        assert_int_equal(rig_count(SVMHW_TRACE_DOORBELL_TAKEN), taken[r] + 1);
        assert_int_equal(rig.host_interrupts, host_interrupts[r]);
    }
}

static void a21_what_an_edge_delivers(void **unused)
{
    /* 41h is recognised while IF = 0, 61h is stored silently */
    static const unsigned silent[] = { 0x61, 0 }, after_recognised[] = { 0x61, 0x41 };

    (void)unused;
    for (unsigned r = 0; r < 2; r++) {
        for (unsigned how = 0; how < 3; how++) {
            start(XAVIC, 1, 21, r);
            rig_set_bits(0, VINTR, V_GIF_ENABLE | V_GIF);
            rig_enter(0, how != 0);
            if (how == 1) {
                rig_expect_done(svmhw_clgi(CORE));
            } else if (how == 2) {
                rig_expect_done(svmhw_mov_ss(CORE));
            }
            rig_set_vector(0, 0x200, VECTOR);
            rig_expect_done(how == 0 ? svmhw_popf(CORE, true) : how == 1 ? svmhw_stgi(CORE) : svmhw_nop(CORE));
            assert_int_equal(svmhw_boundary(CORE).vector, silent[r]);
        }
        start(XAVIC, 1, 21, r);
        rig_set_vector(0, 0x200, 0x41);
        rig_enter(0, false);
        rig_set_vector(0, 0x200, VECTOR);
        rig_expect_done(svmhw_popf(CORE, true));
        assert_int_equal(svmhw_boundary(CORE).vector, after_recognised[r]);
    }
}

/* ---- A22 to A31, A34, A37: IPIs ---- */

static void a22_types_that_are_not_accelerated(void **unused)
{
    static const uint32_t lows[] = { 1 << 8 | VECTOR, 2 << 8,          4 << 8,         0xC500,
                                     0x600 | 0x9A,    7 << 8 | VECTOR, 0x8000 | VECTOR };
    static const uint64_t codes[] = { 0x401, 0x402, 0x401, 0x401 };
    static const unsigned ids[] = { 0, 0, 2, 4 };

    (void)unused;
    for (unsigned r = 0; r < 4; r++) {
        for (unsigned i = 0; i < COUNT(lows); i++) {
            uint64_t info1 = codes[r] == 0x402 ? BIT(32) | 0x300 : BIT(56) | lows[i];

            start(XAVIC, 2, 22, r);
            rig_enter(0, false);
            rig_expect_exit(0, rig_send(0, 1u << 24, lows[i]), codes[r], info1, info2(ids[r], 0), 2);
            assert_int_equal(rig_reg(0, 0x300), lows[i]);
            assert_int_equal(rig_only_irr(1), RIG_NONE);
            assert_int_equal(rig.doorbells, 0);
        }
    }
}

static void a23_targets_before_a_bad_one(void **unused)
{
    /* flat 0Fh: 0, 1 good, 2 bad, 3 good */
    static const unsigned served[] = { 0, 0x3 };

    (void)unused;
    for (unsigned r = 0; r < 2; r++) {
        for (unsigned id = 2; id <= 3; id++) {
            start(XAVIC, 4, 23, r);
            for (unsigned n = 0; n < 4; n++) {
                rig_logical(n, UINT32_C(1) << 31 | n);
            }
            rig_entry(2, id == 2 ? 0 : ENTRY_V);
            rig_entry(1, rig_entry_of(1, false));
            rig_enter(0, false);
            assert_int_equal(rig_send(0, 0x0Fu << 24, LOGICAL_MODE | VECTOR).code, 0x401);
            assert_int_equal(rig_get(0, INFO2, 8), info2(id, 2));
            assert_int_equal(receivers(), served[r]);
            assert_int_equal(rig.doorbells, r);
        }
        start(XAVIC, 4, 23, r); /* broadcast over an illegal page */
        rig_entry(2, ENTRY_V);
        rig_enter(0, false);
        assert_int_equal(rig_send(0, 0, TO_ALL | VECTOR).code, 0x401);
        assert_int_equal(rig_get(0, INFO2, 8), info2(3, 2));
        assert_int_equal(receivers(), served[r]);
    }
}

static uint64_t index_of_logical(unsigned r, bool bad, unsigned repeat)
{
    start(X2AVIC, 4, 24, r);
    for (unsigned n = 1; n < 4; n++) { /* IDs 17, 18, 19 */
        rig_entry(16 + n, bad ? 0 : rig_entry_of(n, false));
    }
    do {
        rig_enter(0, false);
        assert_int_equal(rig_send(0, 0x0001000E, LOGICAL_MODE | VECTOR).code, 0x401);
    } while (repeat-- > 0);
    assert_int_equal(rig_get(0, INFO2, 8) >> 32, bad ? 2 : 1);
    return rig_get(0, INFO2, 8) & 0xFFF;
}

static void a24_which_target_is_reported(void **unused)
{
    static const unsigned expected[] = { 17, 19, 17, 1 };

    (void)unused;
    for (unsigned r = 0; r < 4; r++) {
        assert_int_equal(index_of_logical(r, false, 0), expected[r]);
        assert_int_equal(index_of_logical(r, true, 0), expected[r]);
    }
    for (unsigned repeat = 0; repeat < 6; repeat++) { /* any: one after the other */
        assert_int_equal(index_of_logical(SVMHW_A24_ANY, false, repeat), 17 + repeat % 3);
        assert_int_equal(index_of_logical(SVMHW_A24_ANY, true, repeat), 17 + repeat % 3);
    }
}

static void a25_the_vintr_intercept(void **unused)
{
    (void)unused;
    for (unsigned r = 0; r < 2; r++) {
        start(XAVIC, 1, 25, r);
        rig_intercept(0, 0x64);
        rig_set_vector(0, 0x200, VECTOR);
        rig_expect_done(rig_run(0, true));
        if (r == 0) {
            rig_expect_event(svmhw_boundary(CORE), 0, VECTOR);
        } else {
            rig_expect_exit(0, svmhw_boundary(CORE), 0x64, 0, 0, 0);
            assert_int_equal(receivers(), 1);
        }
    }
}

static void a26_other_widths(void **unused)
{
    static const struct {
        unsigned offset, bytes;
    } rows[] = { { 0x080, 1 }, { 0x080, 2 }, { 0x080, 8 }, { 0x081, 1 }, { 0x082, 4 },
                 { 0x084, 4 }, { 0x08C, 4 }, { 0x30C, 4 }, { 0xF84, 4 } };

    (void)unused;
    for (unsigned i = 0; i < COUNT(rows); i++) {
        uint64_t gpa = APIC_GPA + rows[i].offset, mask = rows[i].bytes == 8 ? UINT64_MAX : BIT(8 * rows[i].bytes) - 1;
        uint64_t value = UINT64_C(0x8877665544332211) & mask;

        for (unsigned r = 0; r < 3; r++) {
            uint64_t stored = 0;

            start(XAVIC, 1, 26, r);
            rig_enter(0, false);
            if (r == 1) {
                rig_expect_exit(0, svmhw_mmio_write(CORE, gpa, rows[i].bytes, value), 0x402,
                                BIT(32) | (rows[i].offset & 0xFF0), 0, 0);
                rig_enter(0, false);
                rig_expect_exit(0, svmhw_mmio_read(CORE, gpa, rows[i].bytes), 0x402, rows[i].offset & 0xFF0, 0, 0);
            } else {
                rig_expect_done(svmhw_mmio_write(CORE, gpa, rows[i].bytes, value));
                assert_int_equal(svmhw_mmio_read(CORE, gpa, rows[i].bytes).value, r == 0 ? value : 0);
                assert_int_equal(CORE->v_tpr, 0);
            }
            memcpy(&stored, &rig.memory[PAGE_BACKING][rows[i].offset], rows[i].bytes);
            assert_int_equal(stored, r == 0 ? value : 0);
        }
    }
}

static void a27_a_bad_type_with_a_bad_vector(void **unused)
{
    static const unsigned ids[] = { 0, 4 };

    (void)unused;
    for (unsigned r = 0; r < 2; r++) {
        start(XAVIC, 2, 27, r);
        rig_enter(0, false);
        rig_expect_exit(0, rig_send(0, 1u << 24, 4 << 8 | 2), 0x401, BIT(56) | 4 << 8 | 2, info2(ids[r], 0), 2);
    }
}

static void a28_all_ones_in_x2avic(void **unused)
{
    (void)unused;
    for (unsigned r = 0; r < 2; r++) {
        for (unsigned logical = 0; logical < 2; logical++) {
            uint32_t low = (logical ? LOGICAL_MODE : 0) | VECTOR;
            struct svmhw_result result;

            start(X2AVIC, 3, 28, r);
            rig_enter(0, false);
            result = rig_send(0, 0xFFFFFFFF, low);
            if (r == 0) {
                rig_expect_done(result);
                assert_int_equal(receivers(), 7);
            } else {
                unsigned index = logical ? 0xFF0 : 0xFFF; /* cluster FFFFh, member 0, 12 bits of it */

                rig_expect_exit(0, result, 0x401, UINT64_C(0xFFFFFFFF) << 32 | low, info2(2, index), 1);
                assert_int_equal(receivers(), 0);
            }
        }
    }
}

static void a29_who_is_self(void **unused)
{
    /* The page says 2, the entry with this page is 0 */
    static const unsigned others[] = { 0x3, 0x6 };

    (void)unused;
    for (unsigned r = 0; r < 2; r++) {
        start(XAVIC, 3, 29, r);
        rig_set_reg(0, 0x020, 2u << 24);
        rig_enter(0, false);
        rig_expect_done(rig_send(0, 0, TO_OTHERS | VECTOR));
        assert_int_equal(receivers(), others[r]);
    }
}

static void a30_other_dfr_models(void **unused)
{
    (void)unused;
    for (unsigned r = 0; r < 2; r++) {
        for (unsigned model = 0; model < 16; model++) {
            bool refused = r == 1 && model != 0 && model != 15;
            struct svmhw_result result;

            start(XAVIC, 3, 30, r);
            rig_set_reg(0, 0x0E0, model << 28 | 0x0FFFFFFF);
            rig_logical(4, UINT32_C(1) << 31 | 1); /* flat 10h; cluster 1, member 0 */
            rig_logical(0, UINT32_C(1) << 31 | 2); /* flat 01h */
            rig_enter(0, false);
            result = rig_send(0, 0x11u << 24, LOGICAL_MODE | VECTOR);
            if (refused) {
                rig_expect_exit(0, result, 0x401, UINT64_C(0x11) << 56 | LOGICAL_MODE | VECTOR, info2(2, 0), 2);
            } else {
                rig_expect_done(result);
            }
            assert_int_equal(receivers(), refused ? 0 : model == 15 ? 0x6 : 0x2);
        }
    }
}

static void a31_no_members(void **unused)
{
    static const struct {
        enum rig_mode mode;
        uint32_t dfr, destination;
        unsigned index;
    } rows[] = { { XAVIC, 0xFFFFFFFF, 0, 0 }, { XAVIC, 0x0FFFFFFF, 3u << 28, 12 }, { X2AVIC, 0, 0x00020000, 32 } };

    (void)unused;
    for (unsigned r = 0; r < 2; r++) {
        for (unsigned i = 0; i < COUNT(rows); i++) {
            struct svmhw_result result;

            start(rows[i].mode, 2, 31, r);
            rig_set_reg(0, 0x0E0, rows[i].dfr);
            rig_enter(0, false);
            result = rig_send(0, rows[i].destination, LOGICAL_MODE | VECTOR);
            assert_int_equal(result.happened, r == 0 ? SVMHW_DONE : SVMHW_EXIT);
            assert_int_equal(rig_get(0, INFO2, 8), r == 0 ? 0 : info2(2, rows[i].index));
            assert_int_equal(receivers(), 0);
        }
    }
}

static void a34_reserved_bits_of_entries(void **unused)
{
    (void)unused;
    for (unsigned r = 0; r < 2; r++) {
        for (unsigned bit = 52; bit < 62; bit++) {
            start(XAVIC, 2, 34, r);
            rig_entry(1, rig_entry_of(1, true) | BIT(bit));
            rig_enter(0, false);
            assert_int_equal(rig_send(0, 1u << 24, VECTOR).happened, r == 0 ? SVMHW_DONE : SVMHW_EXIT);
            assert_int_equal(rig_get(0, INFO2, 8), r == 0 ? 0 : info2(3, 1));
        }
        for (unsigned bit = 8; bit < 31; bit++) {
            start(XAVIC, 2, 34, r);
            rig_logical(3, UINT32_C(1) << 31 | UINT32_C(1) << bit | 1);
            rig_enter(0, false);
            assert_int_equal(rig_send(0, 8u << 24, LOGICAL_MODE | VECTOR).happened, r == 0 ? SVMHW_DONE : SVMHW_EXIT);
            assert_int_equal(rig_get(0, INFO2, 8), r == 0 ? 0 : info2(2, 3));
        }
    }
}

static void a37_delivery_status_after_an_exit(void **unused)
{
    static const struct {
        uint32_t high, low;
        bool may_be_set; /* IDs 0 and 2 */
    } rows[] = {
        { 1u << 24, 4 << 8, true }, { 9u << 24, VECTOR, true }, { 1u << 24, VECTOR, false }, { 1u << 24, 3, false }
    };

    (void)unused;
    for (unsigned r = 0; r < 2; r++) {
        for (unsigned i = 0; i < COUNT(rows); i++) {
            start(XAVIC, 2, 37, r);
            rig_entry(1, rig_entry_of(1, false));
            rig_enter(0, false);
            assert_int_equal(rig_send(0, rows[i].high, rows[i].low).code, 0x401);
            assert_int_equal(rig_reg(0, 0x300), rows[i].low | (r == 1 && rows[i].may_be_set ? 0x1000 : 0));
            assert_int_equal(rig_get(0, INFO1, 8) & 0xFFFFFFFF, rows[i].low);
        }
    }
}

/* ---- A35, A36 ---- */

static void a35_intr_with_host_if_0(void **unused)
{
    (void)unused;
    for (unsigned r = 0; r < 2; r++) {
        start(PLAIN, 1, 35, r);
        CORE->host_if = false;
        svmhw_physical_raise(CORE, SVMHW_PHYSICAL_INTR, 0x77);
        rig_expect_done(rig_run(0, true));
        assert_int_equal(svmhw_boundary(CORE).happened, r == 0 ? SVMHW_DONE : SVMHW_EXIT);
    }
}

static void a36_cr8_without_masking(void **unused)
{
    static const uint8_t physical[] = { 0x50, 0x90 };

    (void)unused;
    for (unsigned r = 0; r < 2; r++) {
        for (unsigned masking = 0; masking < 2; masking++) {
            start(XAVIC, 1, 36, r);
            rig_clear_bits(0, VINTR, masking ? 0 : V_MASKING);
            CORE->physical_tpr = 0x50;
            rig_enter(0, false);
            rig_expect_done(svmhw_cr8_write(CORE, 0, 9));
            assert_int_equal(CORE->physical_tpr, masking ? 0x50 : physical[r]);
            assert_int_equal(rig_reg(0, 0x80), 0x90);
            assert_int_equal(CORE->v_tpr, 9);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_register_is_complete),
        cmocka_unit_test(variants_change_one_reading_each),
        cmocka_unit_test(a1_which_tpr_masks),
        cmocka_unit_test(a2_whether_irr_counts_for_a_guest_that_halts),
        cmocka_unit_test(a3_irr_and_isr_of_an_interrupted_delivery),
        cmocka_unit_test(a4_clean_bits_of_the_enables),
        cmocka_unit_test(a5_nrip_of_avic_exits),
        cmocka_unit_test(a6_unused_pointers_in_x2avic),
        cmocka_unit_test(a7_avic_without_nested_paging),
        cmocka_unit_test(a8_a32_a_table_of_eight_pages_is_contiguous),
        cmocka_unit_test(a9_ff_in_x2avic),
        cmocka_unit_test(a10_mmio_with_x2avic_is_ordinary),
        cmocka_unit_test(a11_illegal_pointers_are_invalid),
        cmocka_unit_test(a12_self_ipi_msr),
        cmocka_unit_test(a13_unlisted_msrs),
        cmocka_unit_test(a14_which_x2apic_rules_are_checked),
        cmocka_unit_test(a15_ppr_at_vmrun),
        cmocka_unit_test(a16_level_eoi),
        cmocka_unit_test(a17_a33_senders_and_hardware_look_at_neither_svr_nor_apic_base),
        cmocka_unit_test(a18_tmr_of_the_target),
        cmocka_unit_test(a19_width_of_the_doorbell_value),
        cmocka_unit_test(a20_a_doorbell_in_host_mode),
        cmocka_unit_test(a21_what_an_edge_delivers),
        cmocka_unit_test(a22_types_that_are_not_accelerated),
        cmocka_unit_test(a23_targets_before_a_bad_one),
        cmocka_unit_test(a24_which_target_is_reported),
        cmocka_unit_test(a25_the_vintr_intercept),
        cmocka_unit_test(a26_other_widths),
        cmocka_unit_test(a27_a_bad_type_with_a_bad_vector),
        cmocka_unit_test(a28_all_ones_in_x2avic),
        cmocka_unit_test(a29_who_is_self),
        cmocka_unit_test(a30_other_dfr_models),
        cmocka_unit_test(a31_no_members),
        cmocka_unit_test(a34_reserved_bits_of_entries),
        cmocka_unit_test(a35_intr_with_host_if_0),
        cmocka_unit_test(a36_cr8_without_masking),
        cmocka_unit_test(a37_delivery_status_after_an_exit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
