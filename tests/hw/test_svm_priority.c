/* SPDX-License-Identifier: BSD-2-Clause */
/* AVIC by itself: TPR, PPR, evaluation, delivery, EOI, CR8, self IPI, HLT. Reference 6.1 to 6.8, 16.3, 16.5, 16.9. */
#include "svm_rig.h"

#define CORE rig_core(0)

static struct svmhw_result write(unsigned offset, uint32_t value)
{
    if (rig.mode == X2AVIC) {
        return svmhw_wrmsr(CORE, 0x800 + offset / 0x10, value);
    }
    return svmhw_mmio_write(CORE, APIC_GPA + offset, 4, value);
}

static void start(enum rig_mode mode)
{
    rig_start(mode, 1);
}

#define BOTH_MODES(mode)                                                                                               \
    enum rig_mode mode = XAVIC;                                                                                        \
    mode <= X2AVIC;                                                                                                    \
    mode++

static uint32_t ppr_by_the_manual(uint32_t tpr, uint32_t isrv)
{
    return tpr >> 4 >= isrv >> 4 ? tpr : isrv & 0xF0;
}

/* ---- TPR and PPR ---- */

static void ppr_follows_tpr_and_isr(void **unused)
{
    (void)unused;
    for (BOTH_MODES(mode)) {
        for (unsigned isrv = 0; isrv < 256; isrv = isrv ? isrv + 1 : 16) {
            start(mode);
            if (isrv) {
                rig_set_vector(0, 0x100, isrv);
            }
            rig_enter(0, false);
            assert_int_equal(rig_reg(0, 0x0A0), ppr_by_the_manual(0, isrv)); /* VMRUN recomputes */
            for (unsigned tpr = 0; tpr < 256; tpr += 7) {
                rig_expect_done(write(0x080, tpr));
                assert_int_equal(rig_reg(0, 0x080), tpr);
                assert_int_equal(rig_reg(0, 0x0A0), ppr_by_the_manual(tpr, isrv));
            }
            rig_leave(0);
            assert_int_equal(rig_get(0, VINTR, 8) & 0xF, 252 >> 4);
        }
    }
}

static void only_the_low_byte_of_tpr_counts(void **unused)
{
    (void)unused;
    start(XAVIC);
    rig_enter(0, false);
    rig_expect_done(write(0x080, 0xABCDEF35));
    assert_int_equal(rig_reg(0, 0x080), 0xABCDEF35);
    assert_int_equal(rig_reg(0, 0x0A0), 0x35);
    rig_leave(0);
    assert_int_equal(rig_get(0, VINTR, 8) & 0xF, 3);
}

static void cr8_writes_both_copies(void **unused)
{
    (void)unused;
    for (unsigned masking = 0; masking < 2; masking++) {
        start(XAVIC);
        rig_clear_bits(0, VINTR, masking ? 0 : V_MASKING);
        CORE->physical_tpr = 0x50;
        rig_enter(0, false);
        rig_expect_done(write(0x080, 0x37));
        assert_int_equal(svmhw_cr8_read(CORE, 0).value, 3);
        for (unsigned cr8 = 0; cr8 < 16; cr8++) {
            rig_expect_done(svmhw_cr8_write(CORE, 0, cr8));
            assert_int_equal(rig_reg(0, 0x080), cr8 << 4);
            assert_int_equal(rig_reg(0, 0x0A0), cr8 << 4);
            assert_int_equal(svmhw_cr8_read(CORE, 0).value, cr8);
        }
        assert_int_equal(svmhw_cr8_write(CORE, 0, 16).happened, SVMHW_GP);
        assert_int_equal(CORE->physical_tpr, 0x50);
        assert_int_equal(rig_reg(0, 0x080), 0xF0);
    }
}

/* ---- delivery ---- */

static void a_vector_is_delivered_if_its_class_is_above_tpr_and_isr(void **unused)
{
    (void)unused;
    for (unsigned vector = 0; vector < 256; vector += 5) {
        for (unsigned tpr = 0; tpr < 16; tpr++) {
            for (unsigned isrv = 0; isrv < 256; isrv += 0x33) {
                bool taken = vector >> 4 > tpr && vector >> 4 > isrv >> 4;

                start(XAVIC);
                rig_set_vector(0, 0x200, vector);
                rig_set_reg(0, 0x080, tpr << 4);
                rig_set_bits(0, VINTR, tpr);
                if (isrv) {
                    rig_set_vector(0, 0x100, isrv);
                }
                rig_expect_done(rig_run(0, true));
                if (taken) {
                    rig_expect_event(svmhw_boundary(CORE), 0, vector);
                } else {
                    rig_expect_done(svmhw_boundary(CORE));
                }
                assert_int_equal(rig_vector(0, 0x200, vector), !taken);
                assert_int_equal(rig_vector(0, 0x100, vector), taken || (isrv && vector == isrv));
            }
        }
    }
}

static void delivery_updates_isr_and_ppr_and_nests(void **unused)
{
    (void)unused;
    for (BOTH_MODES(mode)) {
        start(mode);
        rig_set_vector(0, 0x200, 0x41);
        rig_expect_done(rig_run(0, true));
        rig_expect_event(svmhw_boundary(CORE), 0, 0x41);
        assert_int_equal(rig_reg(0, 0x0A0), 0x40);
        rig_set_vector(0, 0x200, 0x4F); /* the same class waits */
        rig_set_vector(0, 0x200, 0x52);
        svmhw_doorbell_arrives(CORE);
        rig_expect_done(svmhw_boundary(CORE)); /* the gate cleared IF */
        rig_expect_done(svmhw_sti(CORE));
        rig_expect_done(svmhw_nop(CORE));
        rig_expect_event(svmhw_boundary(CORE), 0, 0x52);
        assert_int_equal(rig_reg(0, 0x0A0), 0x50);
        rig_expect_done(write(0x0B0, 0));
        assert_int_equal(rig_reg(0, 0x0A0), 0x40);
        rig_expect_done(svmhw_iret(CORE, true));
        rig_expect_done(svmhw_boundary(CORE));
        rig_expect_done(write(0x0B0, 0));
        rig_expect_event(svmhw_boundary(CORE), 0, 0x4F);
        assert_int_equal(rig_only_irr(0), RIG_NONE);
    }
}

static void v_irq_and_its_fields_are_ignored(void **unused)
{
    (void)unused;
    start(XAVIC);
    rig_set_bits(0, VINTR, V_IRQ | V_PRIO(15) | V_IGN_TPR | V_VECTOR(0x77));
    rig_enter(0, true);
    rig_expect_done(svmhw_nop(CORE));
    rig_leave(0);
    assert_int_equal(rig_get(0, VINTR, 8) & V_IRQ, V_IRQ);
}

static void avic_waits_for_every_gate(void **unused)
{
    (void)unused;
    for (unsigned gates = 0; gates < 16; gates++) {
        bool enabled = gates & 1, no_shadow = gates & 2, v_gif = gates & 4, v_gif_used = gates & 8;
        bool taken = enabled && no_shadow && (v_gif || !v_gif_used);

        start(XAVIC);
        rig_set_vector(0, 0x200, 0x41);
        rig_set_bits(0, VINTR, (v_gif ? V_GIF : 0) | (v_gif_used ? V_GIF_ENABLE : 0));
        rig_put(0, SHADOW, 8, !no_shadow);
        rig_expect_done(rig_run(0, enabled));
        assert_int_equal(svmhw_boundary(CORE).happened, taken ? SVMHW_EVENT : SVMHW_DONE);
    }
}

/* ---- evaluation points: reference 6.8 ---- */

static void a_silent_store_to_irr_is_no_evaluation_point(void **unused)
{
    (void)unused;
    start(XAVIC);
    rig_enter(0, true);
    rig_set_vector(0, 0x200, 0x41);
    for (unsigned i = 0; i < 3; i++) {
        rig_expect_done(svmhw_nop(CORE));
    }
    rig_expect_done(svmhw_mmio_read(CORE, APIC_GPA + 0x80, 4));
    svmhw_doorbell_arrives(CORE);
    rig_expect_event(svmhw_boundary(CORE), 0, 0x41);
    assert_int_equal(rig_count(SVMHW_TRACE_DOORBELL_TAKEN), 1);
}

static struct svmhw_result open_nothing(void)
{
    return svmhw_nop(CORE);
}
static struct svmhw_result write_tpr(void)
{
    return write(0x080, 0x10);
}
static struct svmhw_result write_cr8(void)
{
    return svmhw_cr8_write(CORE, 0, 1);
}
static struct svmhw_result write_eoi(void)
{
    return write(0x0B0, 0);
}
static struct svmhw_result self_ipi(void)
{
    return rig_send(0, 0, 0x00040000 | 0x22);
}
static struct svmhw_result open_gif(void)
{
    rig_expect_done(svmhw_clgi(CORE));
    return svmhw_stgi(CORE);
}
static struct svmhw_result close_gif(void)
{
    rig_expect_done(svmhw_clgi(CORE));
    CORE->v_gif = true; /* without the edge that STGI is */
    return svmhw_nop(CORE);
}
static struct svmhw_result open_gif_twice(void)
{
    return svmhw_stgi(CORE);
}
static struct svmhw_result open_if(void)
{
    rig_expect_done(svmhw_cli(CORE));
    return svmhw_popf(CORE, true);
}
static struct svmhw_result open_shadow(void)
{
    rig_expect_done(svmhw_mov_ss(CORE));
    return svmhw_nop(CORE);
}

static void evaluation_points_see_a_silent_store(void **unused)
{
    static const struct {
        struct svmhw_result (*play)(void);
        bool looks;
    } rows[] = { { open_nothing, false }, { write_tpr, true },  { write_cr8, true },       { write_eoi, true },
                 { self_ipi, true },      { close_gif, false }, { open_gif_twice, false }, { open_gif, true },
                 { open_if, true },       { open_shadow, true } };

    (void)unused;
    for (BOTH_MODES(mode)) {
        for (unsigned i = 0; i < COUNT(rows); i++) {
            start(mode);
            rig_set_bits(0, VINTR, V_GIF_ENABLE | V_GIF);
            rig_set_vector(0, 0x100, 0x31);
            rig_enter(0, true);
            rig_set_vector(0, 0x200, 0x61);
            rig_expect_done(rows[i].play());
            assert_int_equal(svmhw_boundary(CORE).vector, rows[i].looks ? 0x61 : 0);
        }
    }
}

static void vmrun_evaluates_without_a_bell(void **unused)
{
    (void)unused;
    start(XAVIC);
    rig_set_vector(0, 0x200, 0x41);
    rig_expect_done(rig_run(0, true));
    rig_expect_event(svmhw_nop(CORE), 0, 0x41);
}

static void a_vector_that_was_taken_back_is_not_delivered(void **unused)
{
    (void)unused;
    for (unsigned a21 = 0; a21 < 2; a21++) { /* also if it was recognised before */
        start(XAVIC);
        rig.machine.readings.play[21] = (uint8_t)a21;
        rig_set_vector(0, 0x200, 0x41);
        rig_enter(0, false);
        rig_set_reg(0, 0x220, 0);
        rig_expect_done(svmhw_popf(CORE, true));
        rig_expect_done(svmhw_boundary(CORE));
        assert_int_equal(rig_reg(0, 0x0A0), 0);
    }
}

static struct svmhw_result play(unsigned n)
{
    switch (n) {
    case 0:
        return svmhw_nop(CORE);
    case 1:
        return svmhw_cli(CORE);
    case 2:
        return svmhw_sti(CORE);
    case 3:
        return svmhw_mov_ss(CORE);
    case 4:
        return svmhw_popf(CORE, false);
    case 5:
        return svmhw_iret(CORE, false);
    case 6:
        return svmhw_hlt(CORE);
    case 7:
        return svmhw_stgi(CORE);
    case 8:
        return svmhw_clgi(CORE);
    case 9:
        return svmhw_cr8_read(CORE, 0);
    case 10:
        return svmhw_cr8_write(CORE, 0, 15);
    case 11:
        return svmhw_rdmsr(CORE, 0x802);
    case 12:
        return svmhw_wrmsr(CORE, 0x80F, 0xFF);
    case 13:
        return svmhw_mmio_read(CORE, APIC_GPA, 4);
    default:
        return svmhw_mmio_write(CORE, APIC_GPA + 0xF0, 4, 0xFF);
    }
}

static void every_instruction_gives_way_to_what_is_pending(void **unused)
{
    (void)unused;
    for (BOTH_MODES(mode)) {
        for (unsigned n = 0; n < 15; n++) {
            start(mode);
            rig_set_vector(0, 0x200, 0x41);
            rig_expect_done(rig_run(0, true));
            rig_expect_event(play(n), 0, 0x41);
            rig_leave(0);
            assert_int_equal(rig_get(0, RIP, 8), RIP_AT);
            assert_int_equal(rig_get(0, VINTR, 8) & 0xF, 0);
            assert_int_equal(rig_reg(0, 0x0F0), 0x1FF);
        }
    }
}

/* ---- EOI: reference 6.3 ---- */

static void an_edge_eoi_is_silent(void **unused)
{
    (void)unused;
    for (BOTH_MODES(mode)) {
        start(mode);
        rig_set_vector(0, 0x100, 0x31);
        rig_set_vector(0, 0x100, 0x72);
        rig_set_vector(0, 0x180, 0x31); /* a lower one is level triggered */
        rig_set_vector(0, 0x200, 0x41);
        rig_enter(0, true);
        rig_expect_done(write(0x0B0, 0));
        assert_false(rig_vector(0, 0x100, 0x72));
        assert_true(rig_vector(0, 0x100, 0x31));
        assert_int_equal(rig_reg(0, 0x0A0), 0x30);
        assert_int_equal(rig_reg(0, 0x0B0), 0);
        rig_expect_event(svmhw_boundary(CORE), 0, 0x41);
    }
}

static void a_level_eoi_traps_with_its_vector(void **unused)
{
    (void)unused;
    for (BOTH_MODES(mode)) {
        for (unsigned vector = 16; vector < 256; vector += 3) {
            start(mode);
            rig_set_vector(0, 0x100, 0x10);
            rig_set_vector(0, 0x100, vector);
            rig_set_vector(0, 0x180, vector);
            rig_set_vector(0, 0x200, 0xFF);
            rig_enter(0, false);
            rig_expect_exit(0, write(0x0B0, 0), 0x402, BIT(32) | 0x0B0, vector, 1);
            assert_true(rig_vector(0, 0x100, vector));
            assert_int_equal(rig_reg(0, 0x0A0), vector & 0xF0);
        }
    }
}

static void a_stale_tmr_bit_traps_too(void **unused)
{
    /* Reference 6.5, 16.10: an edge interrupt over an old TMR bit */
    (void)unused;
    start(XAVIC);
    rig_set_vector(0, 0x180, 0x41);
    rig_enter(0, true);
    rig_expect_done(rig_send(0, 0, 0x00040041));
    rig_expect_event(svmhw_boundary(CORE), 0, 0x41);
    rig_expect_exit(0, write(0x0B0, 0), 0x402, BIT(32) | 0x0B0, 0x41, 3);
}

static void an_eoi_with_nothing_in_service_does_nothing(void **unused)
{
    (void)unused;
    start(XAVIC);
    rig_set_vector(0, 0x180, 0x41);
    rig_enter(0, false);
    rig_expect_done(write(0x0B0, 0x12345678)); /* the value is irrelevant */
    assert_int_equal(rig_reg(0, 0x0A0), 0);
    assert_int_equal(rig_reg(0, 0x0B0), 0);
}

static void the_level_eoi_vector_is_all_that_is_defined(void **unused)
{
    (void)unused;
    start(XAVIC);
    rig.machine.options.poison = true;
    rig_set_vector(0, 0x100, 0x41);
    rig_set_vector(0, 0x180, 0x41);
    rig_enter(0, false);
    assert_int_equal(write(0x0B0, 0).code, 0x402);
    assert_int_equal(rig_get(0, INFO2, 8) & 0xFF, 0x41);
    assert_int_not_equal(rig_get(0, INFO2, 8) >> 8, 0);
    assert_int_not_equal(rig_reg(0, 0x0B0), 0);
}

/* ---- interrupted delivery: reference 2.4, 16.3 ---- */

static void an_interrupted_delivery_is_in_service(void **unused)
{
    (void)unused;
    start(XAVIC);
    rig_set_vector(0, 0x200, 0x41);
    rig_expect_done(rig_run(0, true));
    svmhw_interrupt_next_delivery(CORE, 0x400, 0x100000006, 0x8000);
    rig_expect_exit(0, svmhw_boundary(CORE), 0x400, 0x100000006, 0x8000, 0);
    assert_int_equal(rig_get(0, INTINFO, 8), BIT(31) | 0x41);
    assert_false(rig_vector(0, 0x200, 0x41));
    assert_true(rig_vector(0, 0x100, 0x41));
    assert_int_equal(rig_reg(0, 0x0A0), 0x40);
    assert_int_equal(rig_get(0, RFLAGS, 8) & 0x200, 0x200);
    rig_put(0, EVENTINJ, 8, rig_get(0, INTINFO, 8));
    rig_expect_event(rig_run(0, true), 0, 0x41);
    assert_int_equal(rig_only_irr(0), RIG_NONE);
}

/* ---- self IPI: reference 6.6, 16.6 ---- */

static void a_self_ipi_needs_no_table(void **unused)
{
    (void)unused;
    for (BOTH_MODES(mode)) {
        for (unsigned msr = 0; msr <= (mode == X2AVIC); msr++) {
            start(mode);
            rig_entry(0, 0);
            rig_enter(0, true);
            rig_expect_done(msr ? svmhw_wrmsr(CORE, 0x83F, 0x91) : rig_send(0, 0, 0x00040091));
            rig_expect_event(svmhw_boundary(CORE), 0, 0x91);
            assert_int_equal(rig.doorbells, 0);
            assert_int_equal(rig_reg(0, 0x300), msr ? 0 : 0x00040091);
            assert_int_equal(rig_reg(0, 0x3F0), 0);
        }
    }
}

static void self_ipi_msr_below_16_is_reported(void **unused)
{
    (void)unused;
    for (unsigned vector = 0; vector < 17; vector++) {
        struct svmhw_result result;

        start(X2AVIC);
        rig_enter(0, false);
        result = svmhw_wrmsr(CORE, 0x83F, vector);
        if (vector < 16) {
            rig_expect_exit(0, result, 0x401, 0x00040000 | vector, UINT64_C(4) << 32, 1);
            assert_int_equal(rig_only_irr(0), RIG_NONE);
        } else {
            rig_expect_done(result);
            assert_int_equal(rig_only_irr(0), vector);
        }
    }
}

/* ---- HLT: reference 16.9 ---- */

static void a_doorbell_ends_an_unintercepted_hlt(void **unused)
{
    (void)unused;
    for (unsigned enabled = 0; enabled < 2; enabled++) {
        start(XAVIC);
        rig_enter(0, enabled);
        rig_expect_done(svmhw_hlt(CORE));
        rig_set_vector(0, 0x200, 0x41);
        assert_int_equal(svmhw_boundary(CORE).happened, SVMHW_HALTED);
        svmhw_doorbell_arrives(CORE);
        assert_int_equal(svmhw_boundary(CORE).happened, enabled ? SVMHW_EVENT : SVMHW_HALTED);
        assert_int_equal(svmhw_nop(CORE).happened, enabled ? SVMHW_DONE : SVMHW_HALTED);
    }
}

static void sti_hlt_loses_nothing(void **unused)
{
    (void)unused;
    start(XAVIC);
    rig_set_vector(0, 0x200, 0x41);
    rig_enter(0, false);
    rig_expect_done(svmhw_sti(CORE));
    rig_expect_done(svmhw_hlt(CORE));
    rig_expect_event(svmhw_boundary(CORE), 0, 0x41);
}

static void an_intercepted_hlt_exits_whatever_is_pending(void **unused)
{
    (void)unused;
    start(XAVIC);
    rig_intercept(0, 0x78);
    rig_enter(0, true);
    rig_set_vector(0, 0x200, 0x41);
    rig_expect_exit(0, svmhw_hlt(CORE), 0x78, 0, 0, 0);
}

static void idle_hlt_looks_at_irr_priority_and_if(void **unused)
{
    static const struct {
        unsigned vector, tpr;
        bool enabled, exits;
    } rows[] = { { 0, 0, true, true }, { 0x41, 0, true, false }, { 0x41, 4, true, true }, { 0x41, 0, false, true } };

    (void)unused;
    for (unsigned i = 0; i < COUNT(rows); i++) {
        start(XAVIC);
        rig_intercept(0, 0xA6);
        rig_set_bits(0, VINTR, rows[i].tpr);
        rig_set_reg(0, 0x080, rows[i].tpr << 4);
        rig_enter(0, rows[i].enabled);
        if (rows[i].vector) {
            rig_set_vector(0, 0x200, rows[i].vector);
        }
        assert_int_equal(svmhw_hlt(CORE).happened, rows[i].exits ? SVMHW_EXIT : SVMHW_DONE);
    }
}

/* ---- TPR written by the host in one copy only: reference 6.1, 16.10 ---- */

static void v_tpr_decides_and_nothing_reconciles(void **unused)
{
    (void)unused;
    start(XAVIC);
    rig_set_bits(0, VINTR, 8);
    rig_set_reg(0, 0x080, 0x00);
    rig_set_vector(0, 0x200, 0x71);
    rig_expect_done(rig_run(0, true));
    rig_expect_done(svmhw_boundary(CORE));
    assert_int_equal(rig_reg(0, 0x080), 0);
    assert_int_equal(rig_reg(0, 0x0A0), 0x80);
    assert_int_equal(svmhw_cr8_read(CORE, 0).value, 8);
    assert_int_equal(svmhw_mmio_read(CORE, APIC_GPA + 0x80, 4).value, 0);
    rig_expect_done(write(0x080, 0x10));
    rig_expect_event(svmhw_boundary(CORE), 0, 0x71);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ppr_follows_tpr_and_isr),
        cmocka_unit_test(only_the_low_byte_of_tpr_counts),
        cmocka_unit_test(cr8_writes_both_copies),
        cmocka_unit_test(a_vector_is_delivered_if_its_class_is_above_tpr_and_isr),
        cmocka_unit_test(delivery_updates_isr_and_ppr_and_nests),
        cmocka_unit_test(v_irq_and_its_fields_are_ignored),
        cmocka_unit_test(avic_waits_for_every_gate),
        cmocka_unit_test(a_silent_store_to_irr_is_no_evaluation_point),
        cmocka_unit_test(evaluation_points_see_a_silent_store),
        cmocka_unit_test(vmrun_evaluates_without_a_bell),
        cmocka_unit_test(a_vector_that_was_taken_back_is_not_delivered),
        cmocka_unit_test(every_instruction_gives_way_to_what_is_pending),
        cmocka_unit_test(an_edge_eoi_is_silent),
        cmocka_unit_test(a_level_eoi_traps_with_its_vector),
        cmocka_unit_test(a_stale_tmr_bit_traps_too),
        cmocka_unit_test(an_eoi_with_nothing_in_service_does_nothing),
        cmocka_unit_test(the_level_eoi_vector_is_all_that_is_defined),
        cmocka_unit_test(an_interrupted_delivery_is_in_service),
        cmocka_unit_test(a_self_ipi_needs_no_table),
        cmocka_unit_test(self_ipi_msr_below_16_is_reported),
        cmocka_unit_test(a_doorbell_ends_an_unintercepted_hlt),
        cmocka_unit_test(sti_hlt_loses_nothing),
        cmocka_unit_test(an_intercepted_hlt_exits_whatever_is_pending),
        cmocka_unit_test(idle_hlt_looks_at_irr_priority_and_if),
        cmocka_unit_test(v_tpr_decides_and_nothing_reconciles),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
