/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Virtual interrupts without AVIC: V_IRQ, V_TPR, the shadow, the VINTR window, physical events, CR8, vNMI, virtual GIF, HLT.
 * Reference 3 and 2.3.
 */
#include "svm_rig.h"

#define CORE rig_core(0)

static void start(uint64_t control)
{
    rig_start(PLAIN, 1);
    rig_put(0, VINTR, 8, control);
}

static enum svmhw_happened first_boundary(bool interrupts_enabled)
{
    rig_expect_done(rig_run(0, interrupts_enabled));
    return svmhw_boundary(CORE).happened;
}

/* ---- when it is taken: reference 3.2 ---- */

static void v_irq_is_taken_if_its_priority_is_above_v_tpr(void **unused)
{
    (void)unused;
    for (unsigned priority = 0; priority < 16; priority++) {
        for (unsigned tpr = 0; tpr < 16; tpr++) {
            for (unsigned ignore = 0; ignore < 2; ignore++) {
                bool taken = ignore || priority > tpr;

                start(V_MASKING | V_IRQ | V_PRIO(priority) | V_VECTOR(0x31) | (ignore ? V_IGN_TPR : 0) | tpr);
                assert_int_equal(first_boundary(true), taken ? SVMHW_EVENT : SVMHW_DONE);
                rig_leave(0);
                assert_int_equal(rig_get(0, VINTR, 8) & V_IRQ, taken ? 0 : V_IRQ);
            }
        }
    }
}

/* Every gate, open or closed: only all open lets it through. */
static void v_irq_waits_for_every_gate(void **unused)
{
    (void)unused;
    for (unsigned gates = 0; gates < 32; gates++) {
        bool irq = gates & 1, enabled = gates & 2, no_shadow = gates & 4, v_gif = gates & 8, v_gif_used = gates & 16;
        bool taken = irq && enabled && no_shadow && (v_gif || !v_gif_used);

        start(V_MASKING | V_PRIO(5) | V_VECTOR(0x55) | (irq ? V_IRQ : 0) | (v_gif ? V_GIF : 0) |
              (v_gif_used ? V_GIF_ENABLE : 0));
        rig_put(0, SHADOW, 8, !no_shadow);
        assert_int_equal(first_boundary(enabled), taken ? SVMHW_EVENT : SVMHW_DONE);
    }
}

static void the_vector_comes_from_v_intr_vector(void **unused)
{
    (void)unused;
    for (unsigned vector = 0; vector < 256; vector++) {
        start(V_IRQ | V_IGN_TPR | V_VECTOR(vector));
        rig_expect_done(rig_run(0, true));
        rig_expect_event(svmhw_boundary(CORE), 0, vector);
        rig_expect_done(svmhw_boundary(CORE)); /* once */
    }
}

static void cli_blocks_sti_opens_after_its_shadow(void **unused)
{
    (void)unused;
    start(V_MASKING | V_IRQ | V_PRIO(5) | V_VECTOR(0x55));
    rig_enter(0, false);
    rig_expect_done(svmhw_nop(CORE));
    rig_expect_done(svmhw_sti(CORE));
    rig_expect_done(svmhw_boundary(CORE)); /* in the shadow */
    rig_expect_done(svmhw_nop(CORE));
    rig_expect_event(svmhw_nop(CORE), 0, 0x55); /* that instruction did not run */
    rig_leave(0);
    assert_int_equal(rig_get(0, RIP, 8), RIP_AT + 9);
}

static void a_second_sti_casts_no_shadow(void **unused)
{
    (void)unused;
    start(V_MASKING);
    rig_enter(0, true);
    rig_expect_done(svmhw_sti(CORE));
    rig_leave(0);
    assert_int_equal(rig_get(0, SHADOW, 8), 0);
}

static void mov_ss_casts_the_same_shadow(void **unused)
{
    (void)unused;
    start(V_MASKING);
    rig_enter(0, true);
    rig_expect_done(svmhw_mov_ss(CORE));
    rig_leave(0);
    assert_int_equal(rig_get(0, SHADOW, 8), 1);
    rig_set_bits(0, VINTR, V_IRQ | V_IGN_TPR | V_VECTOR(0x55));
    rig_expect_done(rig_run(0, true));
    rig_expect_done(svmhw_nop(CORE));
    rig_expect_event(svmhw_boundary(CORE), 0, 0x55);
}

static void popf_and_iret_open_at_once(void **unused)
{
    (void)unused;
    for (unsigned iret = 0; iret < 2; iret++) {
        start(V_MASKING | V_IRQ | V_IGN_TPR | V_VECTOR(0x55));
        rig_enter(0, false);
        rig_expect_done(iret ? svmhw_iret(CORE, true) : svmhw_popf(CORE, true));
        rig_expect_event(svmhw_boundary(CORE), 0, 0x55);
    }
}

static void cli_takes_the_chance_away(void **unused)
{
    (void)unused;
    start(V_MASKING);
    rig_enter(0, true);
    rig_expect_done(svmhw_cli(CORE));
    CORE->v_irq = true;
    rig_expect_done(svmhw_boundary(CORE));
}

static void lowering_cr8_lets_it_through(void **unused)
{
    (void)unused;
    start(V_MASKING | V_IRQ | V_PRIO(5) | V_VECTOR(0x55) | 5);
    rig_enter(0, true);
    rig_expect_done(svmhw_cr8_write(CORE, 0, 4));
    rig_expect_event(svmhw_boundary(CORE), 0, 0x55);
}

static void a_delivery_that_an_exit_interrupts_is_reported(void **unused)
{
    /* Reference 2.4: acknowledged, V_IRQ cleared */
    (void)unused;
    start(V_MASKING | V_IRQ | V_IGN_TPR | V_VECTOR(0x55));
    rig_expect_done(rig_run(0, true));
    svmhw_interrupt_next_delivery(CORE, 0x400, 1, 2);
    rig_expect_exit(0, svmhw_boundary(CORE), 0x400, 1, 2, 0);
    assert_int_equal(rig_get(0, INTINFO, 8), BIT(31) | 0x55);
    assert_int_equal(rig_get(0, VINTR, 8) & V_IRQ, 0);
}

/* ---- the window: reference 3.3 ---- */

static void the_window_opens_before_delivery(void **unused)
{
    (void)unused;
    start(V_MASKING | V_IRQ | V_IGN_TPR | 0xF);
    rig_intercept(0, 0x64);
    rig_enter(0, false);
    rig_expect_done(svmhw_sti(CORE));
    rig_expect_done(svmhw_nop(CORE));
    rig_expect_exit(0, svmhw_boundary(CORE), 0x64, 0, 0, 2);
    assert_int_equal(rig_get(0, VINTR, 8) & V_IRQ, V_IRQ);
    assert_int_equal(rig_get(0, INTINFO, 8), 0);
    assert_int_equal(rig_count(SVMHW_TRACE_DELIVER), 0);
}

static void no_window_while_the_priority_is_blocked(void **unused)
{
    (void)unused;
    start(V_MASKING | V_IRQ | V_PRIO(0xF) | 0xF);
    rig_intercept(0, 0x64);
    assert_int_equal(first_boundary(true), SVMHW_DONE);
}

/* ---- masking levels: reference 3.1 ---- */

static void which_if_masks_a_physical_interrupt(void **unused)
{
    (void)unused;
    for (unsigned row = 0; row < 16; row++) {
        bool masking = row & 1, guest_if = row & 2, host_if = row & 4, intercepted = row & 8;
        bool taken = masking ? host_if : guest_if;

        start(masking ? V_MASKING : 0);
        if (!intercepted) {
            rig_no_intercept(0, 0x60);
        }
        CORE->host_if = host_if;
        svmhw_physical_raise(CORE, SVMHW_PHYSICAL_INTR, 0x77);
        rig_expect_done(rig_run(0, guest_if));
        if (!taken) {
            rig_expect_done(svmhw_boundary(CORE));
        } else if (intercepted) {
            uint8_t vector = 0;

            rig_expect_exit(0, svmhw_boundary(CORE), 0x60, 0, 0, 0);
            assert_true(svmhw_host_takes(CORE, SVMHW_PHYSICAL_INTR, &vector)); /* it stayed pending */
            assert_int_equal(vector, 0x77);
            assert_false(svmhw_host_takes(CORE, SVMHW_PHYSICAL_INTR, &vector));
        } else {
            struct svmhw_result result = svmhw_boundary(CORE);

            assert_int_equal(result.happened, SVMHW_PHYSICAL);
            assert_int_equal(result.physical, SVMHW_PHYSICAL_INTR);
            assert_int_equal(result.vector, 0x77);
            assert_false(CORE->interrupts_enabled); /* its gate was the guest's */
        }
    }
}

static void a_shadow_holds_the_interrupt_that_the_guest_would_take(void **unused)
{
    (void)unused;
    start(0);
    rig_no_intercept(0, 0x60);
    rig_put(0, SHADOW, 8, 1);
    svmhw_physical_raise(CORE, SVMHW_PHYSICAL_INTR, 0x77);
    rig_expect_done(rig_run(0, true));
    rig_expect_done(svmhw_nop(CORE));
    assert_int_equal(svmhw_boundary(CORE).happened, SVMHW_PHYSICAL);
    rig_expect_done(svmhw_sti(CORE));
    svmhw_physical_raise(CORE, SVMHW_PHYSICAL_SMI, 0);
    assert_int_equal(svmhw_boundary(CORE).physical, SVMHW_PHYSICAL_SMI);
    assert_false(CORE->shadow);
}

static void an_unintercepted_event_ends_hlt(void **unused)
{
    (void)unused;
    start(V_MASKING);
    rig_enter(0, true);
    rig_expect_done(svmhw_hlt(CORE));
    svmhw_physical_raise(CORE, SVMHW_PHYSICAL_SMI, 0);
    assert_int_equal(svmhw_boundary(CORE).happened, SVMHW_PHYSICAL);
    rig_expect_done(svmhw_nop(CORE));
}

static void the_physical_tpr_always_masks(void **unused)
{
    (void)unused;
    for (unsigned tpr = 0; tpr < 256; tpr += 0x10) {
        start(V_MASKING);
        CORE->physical_tpr = (uint8_t)tpr;
        svmhw_physical_raise(CORE, SVMHW_PHYSICAL_INTR, 0x77);
        assert_int_equal(first_boundary(false), tpr < 0x70 ? SVMHW_EXIT : SVMHW_DONE);
    }
}

static void physical_events_win_in_their_order(void **unused)
{
    static const unsigned codes[] = { 0x63, 0x62, 0x61, 0x60 };

    (void)unused;
    start(V_MASKING | V_IRQ | V_IGN_TPR | V_VECTOR(0x55) | V_NMI_ENABLE | V_NMI);
    for (unsigned i = 0; i < 4; i++) {
        rig_intercept(0, codes[i]);
        svmhw_physical_raise(CORE, (enum svmhw_physical)i, 0x77);
    }
    for (unsigned i = 0; i < 4; i++) {
        uint8_t vector;

        rig_expect_done(rig_run(0, true));
        rig_expect_exit(0, svmhw_boundary(CORE), codes[i], 0, 0, 0);
        assert_true(svmhw_host_takes(CORE, (enum svmhw_physical)i, &vector));
    }
    rig_expect_done(rig_run(0, true));
    rig_expect_event(svmhw_boundary(CORE), 2, 2);
    rig_expect_done(svmhw_iret(CORE, true));
    rig_expect_event(svmhw_boundary(CORE), 0, 0x55);
}

static void init_without_intercept_can_become_sx(void **unused)
{
    /* Reference 3.6 */
    (void)unused;
    start(V_MASKING);
    svmhw_physical_raise(CORE, SVMHW_PHYSICAL_INIT, 0);
    rig_expect_done(rig_run(0, true));
    assert_int_equal(svmhw_boundary(CORE).physical, SVMHW_PHYSICAL_INIT);
    CORE->r_init = true;
    svmhw_physical_raise(CORE, SVMHW_PHYSICAL_INIT, 0);
    rig_expect_event(svmhw_boundary(CORE), 3, 30);
    rig_leave(0);
    rig_intercept(0, 0x5E); /* #SX */
    svmhw_physical_raise(CORE, SVMHW_PHYSICAL_INIT, 0);
    rig_expect_done(rig_run(0, true));
    rig_expect_exit(0, svmhw_boundary(CORE), 0x5E, 0, 0, 0);
}

static void clgi_without_virtual_gif_holds_everything(void **unused)
{
    (void)unused;
    start(V_MASKING | V_IRQ | V_IGN_TPR | V_VECTOR(0x55));
    rig_intercept(0, 0x62);
    rig_intercept(0, 0x63);
    rig_enter(0, false);
    rig_expect_done(svmhw_clgi(CORE));
    for (unsigned i = 0; i < 4; i++) {
        svmhw_physical_raise(CORE, (enum svmhw_physical)i, 0x77);
    }
    rig_expect_done(svmhw_popf(CORE, true));
    rig_expect_done(svmhw_nop(CORE));
    rig_expect_done(svmhw_stgi(CORE));
    assert_int_equal(svmhw_boundary(CORE).code, 0x63);
}

/* ---- CR8: reference 3.1, 3.4, 2.6 ---- */

static void cr8_reaches_the_physical_tpr_unless_masking(void **unused)
{
    (void)unused;
    for (unsigned masking = 0; masking < 2; masking++) {
        start((masking ? V_MASKING : 0) | 3);
        CORE->physical_tpr = 0x9A;
        rig_enter(0, false);
        assert_int_equal(svmhw_cr8_read(CORE, 0).value, masking ? 3 : 9);
        rig_expect_done(svmhw_cr8_write(CORE, 0, 6));
        assert_int_equal(CORE->physical_tpr, masking ? 0x9A : 0x60);
        assert_int_equal(svmhw_cr8_read(CORE, 0).value, 6);
        svmhw_physical_raise(CORE, SVMHW_PHYSICAL_NMI, 0);
        assert_int_equal(svmhw_boundary(CORE).code, 0x61);
        assert_int_equal(rig_get(0, VINTR, 8) & 0xF, 6);
    }
}

static void cr8_above_15_is_gp(void **unused)
{
    static const uint64_t values[] = { 0x10, 0xFF, BIT(63) };

    (void)unused;
    for (unsigned i = 0; i < COUNT(values); i++) {
        start(V_MASKING | 2);
        rig_enter(0, false);
        assert_int_equal(svmhw_cr8_write(CORE, 0, values[i]).happened, SVMHW_GP);
        rig_leave(0);
        assert_int_equal(rig_get(0, VINTR, 8), V_MASKING | 2);
        assert_int_equal(rig_get(0, RIP, 8), RIP_AT);
    }
}

static void gp_can_be_intercepted(void **unused)
{
    (void)unused;
    start(V_MASKING);
    rig_intercept(0, 0x4D);
    rig_enter(0, false);
    rig_expect_exit(0, svmhw_cr8_write(CORE, 0, 0x10), 0x4D, 0, 0, 0);
}

static void cr8_intercepts_name_the_register(void **unused)
{
    (void)unused;
    for (unsigned assists = 0; assists < 2; assists++) {
        for (unsigned gpr = 0; gpr < 16; gpr++) {
            uint64_t info = assists ? BIT(63) | gpr : 0;

            start(V_MASKING | 2);
            rig.machine.capabilities.decode_assists = assists;
            rig_intercept(0, 0x08);
            rig_intercept(0, 0x18);
            rig_enter(0, false);
            rig_expect_exit(0, svmhw_cr8_read(CORE, gpr), 0x08, info, 0, 0);
            assert_int_equal(rig_get(0, NRIP, 8), RIP_AT + 3);
            rig_enter(0, false);
            rig_expect_exit(0, svmhw_cr8_write(CORE, gpr, 5), 0x18, info, 0, 0);
            assert_int_equal(rig_get(0, NRIP, 8), RIP_AT + 3);
            assert_int_equal(rig_get(0, VINTR, 8) & 0xF, 2);
        }
    }
}

static void the_cr8_write_trap_comes_after(void **unused)
{
    (void)unused;
    start(V_MASKING | 2);
    rig_intercept(0, 0x98);
    rig_enter(0, false);
    rig_expect_exit(0, svmhw_cr8_write(CORE, 0, 5), 0x98, 5, 0, 1);
    assert_int_equal(rig_get(0, VINTR, 8) & 0xF, 5);
    assert_int_equal(rig_get(0, NRIP, 8), 0);
}

static void cr8_is_for_cpl_0(void **unused)
{
    (void)unused;
    start(V_MASKING);
    rig_intercept(0, 0x08);
    rig_intercept(0, 0x18);
    for (unsigned cpl = 1; cpl <= 3; cpl++) {
        rig_put(0, CPL, 1, cpl);
        rig_enter(0, false);
        assert_int_equal(svmhw_cr8_read(CORE, 0).happened, SVMHW_GP);
        assert_int_equal(svmhw_cr8_write(CORE, 0, 0).happened, SVMHW_GP);
        rig_leave(0);
    }
}

/* ---- vNMI: reference 3.5 ---- */

static void v_nmi_waits_for_mask_shadow_and_gif(void **unused)
{
    (void)unused;
    for (unsigned row = 0; row < 64; row++) {
        bool enabled = row & 1, pending = row & 2, masked = row & 4, shadow = row & 8, gif = row & 16,
             guest_if = row & 32;
        bool taken = enabled && pending && !masked && !shadow && gif;

        start(V_MASKING | V_GIF_ENABLE | (enabled ? V_NMI_ENABLE : 0) | (pending ? V_NMI : 0) |
              (masked ? V_NMI_MASK : 0) | (gif ? V_GIF : 0));
        rig_put(0, SHADOW, 8, shadow);
        assert_int_equal(first_boundary(guest_if), taken ? SVMHW_EVENT : SVMHW_DONE);
        rig_leave(0);
        if (taken) {
            assert_int_equal(rig_get(0, VINTR, 8) & (V_NMI | V_NMI_MASK), V_NMI_MASK);
        }
    }
}

static void iret_ends_v_nmi_blocking(void **unused)
{
    /* one pending besides one in service */
    (void)unused;
    start(V_MASKING | V_NMI_ENABLE | V_NMI | V_NMI_MASK);
    rig_enter(0, false);
    rig_expect_done(svmhw_nop(CORE));
    rig_expect_done(svmhw_iret(CORE, false));
    rig_expect_event(svmhw_boundary(CORE), 2, 2);
    rig_leave(0);
    assert_int_equal(rig_get(0, VINTR, 8) & (V_NMI | V_NMI_MASK), V_NMI_MASK);
}

static void an_intercepted_iret_keeps_blocking(void **unused)
{
    (void)unused;
    start(V_MASKING | V_NMI_ENABLE | V_NMI_MASK);
    rig_intercept(0, 0x74);
    rig_enter(0, false);
    rig_expect_exit(0, svmhw_iret(CORE, true), 0x74, 0, 0, 0);
    assert_int_equal(rig_get(0, NRIP, 8), RIP_AT + 3);
    assert_int_equal(rig_get(0, VINTR, 8) & V_NMI_MASK, V_NMI_MASK);
}

static void an_interrupted_v_nmi_is_saved_unmasked(void **unused)
{
    (void)unused;
    start(V_MASKING | V_NMI_ENABLE | V_NMI);
    rig_expect_done(rig_run(0, false));
    svmhw_interrupt_next_delivery(CORE, 0x400, 0, 0);
    assert_int_equal(svmhw_boundary(CORE).code, 0x400);
    assert_int_equal(rig_get(0, INTINFO, 8), BIT(31) | 2 << 8 | 2);
    assert_int_equal(rig_get(0, VINTR, 8) & (V_NMI | V_NMI_MASK), 0);
}

static void an_injected_nmi_masks_only_with_v_nmi(void **unused)
{
    (void)unused;
    for (unsigned enabled = 0; enabled < 2; enabled++) {
        start(V_MASKING | (enabled ? V_NMI_ENABLE : 0));
        rig_put(0, EVENTINJ, 8, BIT(31) | 2 << 8);
        rig_expect_event(rig_run(0, false), 2, 2);
        rig_leave(0);
        assert_int_equal(rig_get(0, VINTR, 8) & V_NMI_MASK, enabled ? V_NMI_MASK : 0);
    }
}

static void an_interrupted_injection_of_an_nmi_is_saved_unmasked(void **unused)
{
    (void)unused;
    start(V_MASKING | V_NMI_ENABLE);
    rig_put(0, EVENTINJ, 8, BIT(31) | 2 << 8);
    svmhw_interrupt_next_delivery(CORE, 0x400, 0, 0);
    assert_int_equal(rig_run(0, false).code, 0x400);
    assert_int_equal(rig_get(0, INTINFO, 8), BIT(31) | 2 << 8);
    assert_int_equal(rig_get(0, VINTR, 8) & V_NMI_MASK, 0);
}

/* ---- virtual GIF ---- */

static void stgi_and_clgi_move_the_virtual_gif(void **unused)
{
    (void)unused;
    start(V_MASKING | V_GIF_ENABLE | V_GIF | V_IRQ | V_IGN_TPR | V_VECTOR(0x55));
    rig_enter(0, false);
    rig_expect_done(svmhw_clgi(CORE));
    rig_expect_done(svmhw_popf(CORE, true));
    rig_expect_done(svmhw_nop(CORE));
    rig_leave(0); /* it does not hold physical events */
    assert_int_equal(rig_get(0, VINTR, 8) & V_GIF, 0);
    rig_enter(0, true);
    rig_expect_done(svmhw_stgi(CORE));
    rig_expect_event(svmhw_boundary(CORE), 0, 0x55);
    rig_leave(0);
    assert_int_equal(rig_get(0, VINTR, 8) & V_GIF, V_GIF);
}

static void intercepted_instructions_exit_with_nrip(void **unused)
{
    static const struct {
        struct svmhw_result (*play)(struct svmhw_core *core);
        unsigned code;
    } rows[] = { { svmhw_stgi, 0x84 }, { svmhw_clgi, 0x85 }, { svmhw_hlt, 0x78 } };

    (void)unused;
    for (unsigned i = 0; i < COUNT(rows); i++) {
        start(V_MASKING | V_GIF_ENABLE);
        rig_intercept(0, rows[i].code);
        rig_enter(0, false);
        rig_expect_exit(0, rows[i].play(CORE), rows[i].code, 0, 0, 0);
        assert_int_equal(rig_get(0, NRIP, 8), RIP_AT + 3);
        assert_int_equal(rig_get(0, VINTR, 8), V_MASKING | V_GIF_ENABLE);
    }
    start(V_MASKING);
    rig_intercept(0, 0x71);
    rig_enter(0, false);
    rig_expect_exit(0, svmhw_popf(CORE, true), 0x71, 0, 0, 0);
    assert_int_equal(rig_get(0, RFLAGS, 8) & 0x200, 0);
}

/* ---- HLT: reference 3.2, 2.3 ---- */

static void v_irq_ends_an_unintercepted_hlt(void **unused)
{
    (void)unused;
    start(V_MASKING | V_PRIO(5) | V_VECTOR(0x55));
    rig_enter(0, true);
    rig_expect_done(svmhw_hlt(CORE));
    assert_int_equal(svmhw_nop(CORE).happened, SVMHW_HALTED);
    CORE->v_irq = true;
    rig_expect_event(svmhw_boundary(CORE), 0, 0x55);
    rig_expect_done(svmhw_boundary(CORE)); /* awake */
    rig_leave(0);
    assert_int_equal(rig_get(0, RIP, 8), RIP_AT + 3);
}

static void a_physical_interrupt_ends_hlt_by_an_exit(void **unused)
{
    (void)unused;
    start(V_MASKING);
    rig_enter(0, false);
    rig_expect_done(svmhw_hlt(CORE));
    assert_int_equal(svmhw_boundary(CORE).happened, SVMHW_HALTED);
    svmhw_physical_raise(CORE, SVMHW_PHYSICAL_INTR, 0x77);
    rig_expect_exit(0, svmhw_boundary(CORE), 0x60, 0, 0, 1);
}

static void idle_hlt_exits_if_nothing_is_pending(void **unused)
{
    static const struct {
        uint64_t pending;
        bool hlt, capable;
        uint64_t code; /* 0: none */
    } rows[] = {
        { 0, false, true, 0xA6 },     { V_IRQ, false, true, 0 }, { V_NMI_ENABLE | V_NMI | V_NMI_MASK, false, true, 0 },
        { V_NMI, false, true, 0xA6 }, { 0, true, true, 0x78 },   { V_IRQ, true, true, 0x78 },
        { 0, false, false, 0 },
    };

    (void)unused;
    for (unsigned i = 0; i < COUNT(rows); i++) {
        struct svmhw_result result;

        start(V_MASKING | rows[i].pending);
        rig.machine.capabilities.idle_hlt = rows[i].capable;
        rig_intercept(0, 0xA6);
        if (rows[i].hlt) {
            rig_intercept(0, 0x78);
        }
        rig_enter(0, false);
        result = svmhw_hlt(CORE);
        if (rows[i].code) {
            rig_expect_exit(0, result, rows[i].code, 0, 0, 0);
            assert_int_equal(rig_get(0, NRIP, 8), RIP_AT + 3);
        } else {
            rig_expect_done(result);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(v_irq_is_taken_if_its_priority_is_above_v_tpr),
        cmocka_unit_test(v_irq_waits_for_every_gate),
        cmocka_unit_test(the_vector_comes_from_v_intr_vector),
        cmocka_unit_test(cli_blocks_sti_opens_after_its_shadow),
        cmocka_unit_test(a_second_sti_casts_no_shadow),
        cmocka_unit_test(mov_ss_casts_the_same_shadow),
        cmocka_unit_test(popf_and_iret_open_at_once),
        cmocka_unit_test(cli_takes_the_chance_away),
        cmocka_unit_test(lowering_cr8_lets_it_through),
        cmocka_unit_test(a_delivery_that_an_exit_interrupts_is_reported),
        cmocka_unit_test(the_window_opens_before_delivery),
        cmocka_unit_test(no_window_while_the_priority_is_blocked),
        cmocka_unit_test(which_if_masks_a_physical_interrupt),
        cmocka_unit_test(a_shadow_holds_the_interrupt_that_the_guest_would_take),
        cmocka_unit_test(an_unintercepted_event_ends_hlt),
        cmocka_unit_test(the_physical_tpr_always_masks),
        cmocka_unit_test(physical_events_win_in_their_order),
        cmocka_unit_test(init_without_intercept_can_become_sx),
        cmocka_unit_test(clgi_without_virtual_gif_holds_everything),
        cmocka_unit_test(cr8_reaches_the_physical_tpr_unless_masking),
        cmocka_unit_test(cr8_above_15_is_gp),
        cmocka_unit_test(gp_can_be_intercepted),
        cmocka_unit_test(cr8_intercepts_name_the_register),
        cmocka_unit_test(the_cr8_write_trap_comes_after),
        cmocka_unit_test(cr8_is_for_cpl_0),
        cmocka_unit_test(v_nmi_waits_for_mask_shadow_and_gif),
        cmocka_unit_test(iret_ends_v_nmi_blocking),
        cmocka_unit_test(an_intercepted_iret_keeps_blocking),
        cmocka_unit_test(an_interrupted_v_nmi_is_saved_unmasked),
        cmocka_unit_test(an_injected_nmi_masks_only_with_v_nmi),
        cmocka_unit_test(an_interrupted_injection_of_an_nmi_is_saved_unmasked),
        cmocka_unit_test(stgi_and_clgi_move_the_virtual_gif),
        cmocka_unit_test(intercepted_instructions_exit_with_nrip),
        cmocka_unit_test(v_irq_ends_an_unintercepted_hlt),
        cmocka_unit_test(a_physical_interrupt_ends_hlt_by_an_exit),
        cmocka_unit_test(idle_hlt_exits_if_nothing_is_pending),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
