/* SPDX-License-Identifier: BSD-2-Clause */
/* What an entry prepares for vectors: TPR threshold without virtual-interrupt delivery, RVI, SVI and EOI-exit bitmap with it. */
#include "vmx_rig.h"

#include "levels.h"

static struct rig rig;

static int clean(void **state)
{
    (void)state;
    rig_clean(&rig);
    return 0;
}

/* ---- TPR threshold ---- */

/* What the model holds, in classes; 0 for none. */
struct classes {
    unsigned pending, tpr, in_service;
};

static void put_classes(struct rig_cpu *c, struct classes k)
{
    struct vlapic_cpu_state state = { .size = sizeof state };

    assert_int_equal(vlapic_cpu_get_state(c->cpu, &state, sizeof state), VLAPIC_OK);
    memset(state.irr, 0, sizeof state.irr);
    memset(state.isr, 0, sizeof state.isr);
    if (k.pending != 0)
        state.irr[k.pending / 2] = 2u << (k.pending % 2 * 16);
    if (k.in_service != 0)
        state.isr[k.in_service / 2] = 4u << (k.in_service % 2 * 16);
    state.tpr = k.tpr << 4 | 3;
    assert_int_equal(vlapic_cpu_set_state(c->cpu, &state, VLAPIC_TIME_STOPPED, NULL), VLAPIC_OK);
}

/* Reference 18.1. */
static unsigned threshold_of(struct classes k)
{
    if (k.pending == 0 || k.in_service >= k.pending)
        return 0;
    return k.tpr < k.pending ? 0 : k.pending;
}

static bool is_deliverable(struct classes k)
{
    return k.pending > k.tpr && k.pending > k.in_service;
}

/* A guest that takes interrupts has the deliverable one injected; one that does not has a window asked for. */
static void check_threshold(struct rig_cpu *c, struct classes k, bool interrupts)
{
    struct vlapic_vmx_guest guest = rig_guest(interrupts);
    struct apicv_result r;
    bool window;

    put_classes(c, k);
    rig_enter(c, &guest);
    window = (rig_get(c, APICV_PRIMARY_CONTROLS) & APICV_PRIMARY_INTERRUPT_WINDOW_EXITING) != 0;
    if (rig_get(c, APICV_TPR_THRESHOLD) != threshold_of(k))
        fail_msg("pending %x, TPR %x, in service %x: threshold %x", k.pending, k.tpr, k.in_service,
                 (unsigned)rig_get(c, APICV_TPR_THRESHOLD));
    if (is_deliverable(k) && interrupts)
        assert_int_equal(c->entry.injected, VLAPIC_VMX_INJECTED_VECTOR);
    else
        assert_int_equal(c->entry.injected, VLAPIC_VMX_INJECTED_NONE);
    assert_int_equal(window, is_deliverable(k) && !interrupts);
    r = rig_run(c); /* reference 3, checks 3 and 4; no exit right after it */
    assert_int_equal(r.outcome, APICV_DONE);
    assert_int_equal(r.delivered, is_deliverable(k) && interrupts);
    rig_kick_out(c);
}

static void the_threshold_is_the_class_that_tpr_holds_back(void **state)
{
    /* Reference 18.1, for all classes, with and without APIC accesses, which decide between checks 3 and 4 */
    static const uint32_t levels[] = { LEVEL_SHADOW, LEVEL_ACCESS, LEVEL_REGISTERS };

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct rig_cpu *c = rig_one(&rig, levels[i], false);

        for (unsigned n = 0; n < 16 * 16 * 16; n++) {
            struct classes k = { n & 15, n >> 4 & 15, n >> 8 };

            check_threshold(c, k, false);
            check_threshold(c, k, true);
        }
    }
}

static void lowering_tpr_below_the_threshold_lets_the_vector_through(void **state)
{
    /* Reference 5, 12, 18.1: exit 43, then injection */
    for (unsigned x2apic = 0; x2apic < 2; x2apic++) {
        struct rig_cpu *c = rig_one(&rig, LEVEL_ACCESS | VLAPIC_VMX_X2APIC, x2apic);

        (void)state;
        guest_set(c->cpu, VLAPIC_REG_TPR, 0x60);
        rig_pend(c, 0x55, false);
        rig_enter_open(c);
        assert_int_equal(rig_get(c, APICV_TPR_THRESHOLD), 5);
        assert_int_equal(rig_run(c).outcome, APICV_DONE);
        assert_int_equal(apicv_guest_write_cr8(&c->core, 0, 5).outcome, APICV_DONE);
        assert_int_equal(rig_take_reason(c, apicv_guest_write_cr8(&c->core, 0, 4), APICV_EXIT_TPR_BELOW_THRESHOLD),
                         VLAPIC_VMX_RESUME);
        assert_int_equal(guest_get(c->cpu, VLAPIC_REG_TPR), 0x40);
        rig_enter_open(c);
        assert_int_equal(c->entry.injected, VLAPIC_VMX_INJECTED_VECTOR);
        assert_int_equal(rig_get(c, APICV_ENTRY_INTERRUPTION), 0x80000055);
        assert_int_equal(rig_get(c, APICV_TPR_THRESHOLD), 0);
    }
}

/* ---- RVI and SVI ---- */

static uint64_t status_at_entry(struct rig_cpu *c)
{
    uint64_t status;

    rig_enter_open(c);
    status = rig_get(c, APICV_GUEST_INTERRUPT_STATUS);
    assert_int_equal(rig_get(c, APICV_ENTRY_INTERRUPTION) & 0x80000000, 0);
    rig_exit_plain(c);
    return status;
}

static void the_interrupt_status_is_what_irr_and_isr_hold(void **state)
{
    /* Reference 15, step c, and 18.4: never by injection */
    struct rig_cpu *c = rig_one(&rig, LEVEL_POSTED, false);

    (void)state;
    assert_int_equal(status_at_entry(c), 0);
    rig_pend(c, 0x31, false);
    rig_pend(c, 0xFE, false);
    assert_int_equal(status_at_entry(c), 0x00FE);
    assert_true(vlapic_cpu_accept(c->cpu, 0xFE));
    assert_int_equal(status_at_entry(c), 0xFE31);
    guest_eoi(c->cpu);
    assert_int_equal(status_at_entry(c), 0x0031);
    guest_write(c->cpu, VLAPIC_REG_TPR, 0xFF); /* not a matter of RVI */
    assert_int_equal(status_at_entry(c), 0x0031);
    vlapic_cpu_reset(c->cpu);
    guest_software_enable(c->cpu);
    assert_int_equal(status_at_entry(c), 0);
}

static void a_vector_below_its_priority_waits_in_rvi(void **state)
{
    /* Reference 6: delivered iff its class is above that of PPR; the model decides, no window is asked for */
    struct rig_cpu *c = rig_one(&rig, LEVEL_POSTED, false);
    struct vlapic_vmx_guest closed = rig_guest(false);

    (void)state;
    rig_pend(c, 0x61, false);
    rig_enter(c, &closed);
    assert_int_equal(rig_get(c, APICV_PRIMARY_CONTROLS) & APICV_PRIMARY_INTERRUPT_WINDOW_EXITING, 0);
    assert_int_equal(rig_get(c, APICV_GUEST_INTERRUPT_STATUS), 0x61);
    assert_int_equal(rig_run(c).outcome, APICV_DONE);
    assert_false(apicv_boundary(&c->core).delivered);
    (void)apicv_guest_sti(&c->core);
    (void)apicv_guest_nop(&c->core);
    assert_int_equal(apicv_boundary(&c->core).vector, 0x61);
    rig_kick_out(c);
    assert_true(rig_page_has(c, APICV_VISR, 0x61));
    assert_int_equal(guest_read(c->cpu, VLAPIC_REG_PPR), 0x60);
    assert_int_equal(poll_vector(c->cpu), -1);
    guest_eoi(c->cpu);
    assert_int_equal(guest_read(c->cpu, VLAPIC_REG_PPR), 0);
}

static void what_hardware_did_is_the_models_state_after_an_exit(void **state)
{
    /* Reference 15: after an exit the model reads the page; two deliveries, an EOI, a TPR write without any exit */
    struct rig_cpu *c = rig_one(&rig, LEVEL_DELIVERY, false);
    struct vlapic_cpu_state read = { .size = sizeof read };

    (void)state;
    rig_pend(c, 0x45, false);
    rig_pend(c, 0x91, false);
    rig_pend(c, 0x31, false);
    rig_go(c);
    assert_int_equal(apicv_boundary(&c->core).vector, 0x91);
    assert_int_equal(apicv_guest_write(&c->core, RIG_APIC + 0xB0, 4, 0).outcome, APICV_DONE);
    (void)apicv_guest_sti(&c->core);
    (void)apicv_guest_nop(&c->core);
    assert_int_equal(apicv_boundary(&c->core).vector, 0x45);
    assert_int_equal(apicv_guest_write(&c->core, RIG_APIC + 0x80, 4, 0x2B).outcome, APICV_DONE);
    rig_kick_out(c);
    assert_int_equal(vlapic_cpu_get_state(c->cpu, &read, sizeof read), VLAPIC_OK);
    assert_int_equal(read.isr[2], 1u << 5);
    assert_int_equal(read.isr[4], 0);
    assert_int_equal(read.irr[1], 1u << 17);
    assert_int_equal(read.irr[2] | read.irr[4], 0);
    assert_int_equal(read.tpr, 0x2B);
    assert_int_equal(guest_read(c->cpu, VLAPIC_REG_PPR), 0x40);
    assert_int_equal(status_at_entry(c), 0x4531);
}

/* ---- EOI-exit bitmap ---- */

/* Fails unless exactly these vectors exit; -1 for none. */
static void assert_eoi_exits(struct rig_cpu *c, int first, int second)
{
    rig_enter_open(c);
    for (int v = 0; v < 256; v++) {
        if (rig_eoi_exits(c, (uint8_t)v) != (v == first || v == second))
            fail_msg("EOI of %x %s", (unsigned)v, rig_eoi_exits(c, (uint8_t)v) ? "exits" : "does not exit");
    }
    rig_exit_plain(c);
}

static void the_eoi_of_each_level_vector_exits(void **state)
{
    /* Reference 2 and 18.4: bit v & 63 of bitmap v >> 6 */
    (void)state;
    for (unsigned v = 16; v < 256; v++) {
        struct rig_cpu *c = rig_one(&rig, LEVEL_POSTED, false);

        assert_eoi_exits(c, -1, -1);
        rig_pend(c, (uint8_t)v, true);
        assert_eoi_exits(c, (int)v, -1);
        rig_pend(c, (uint8_t)v, false); /* TMR follows the last request: lapic.md */
        assert_eoi_exits(c, -1, -1);
    }
}

static void the_bitmap_is_written_by_the_word_that_changed(void **state)
{
    /* vmx_run.h: VMWRITEs are not free */
    struct rig_cpu *c = rig_one(&rig, LEVEL_POSTED, false);

    (void)state;
    assert_eoi_exits(c, -1, -1);
    rig_pend(c, 0x81, true);
    rig_forget(c);
    assert_eoi_exits(c, 0x81, -1);
    assert_int_equal(rig_wrote(c, APICV_EOI_EXIT_BITMAP_2), 1);
    assert_int_equal(c->writes, 2); /* and the status */
}

static void lint0_that_waits_for_its_eoi_has_the_exit(void **state)
{
    /* lapic.md, LINT0 level: remote IRR ends with the EOI, whatever an edge of the same vector did to TMR */
    struct rig_cpu *c = rig_one(&rig, LEVEL_POSTED, false);

    (void)state;
    guest_write(c->cpu, VLAPIC_REG_LVT_LINT0, 0x8061);
    vlapic_cpu_lint(c->cpu, 0, true);
    vlapic_cpu_poll(c->cpu, &c->duty);
    assert_true(rig_page(c, VLAPIC_REG_LVT_LINT0) & VLAPIC_LVT_REMOTE_IRR);
    assert_eoi_exits(c, 0x61, -1);
    rig_pend(c, 0x61, false);
    assert_false(rig_page_has(c, VLAPIC_REG_TMR, 0x61));
    assert_eoi_exits(c, 0x61, -1);
    vlapic_cpu_lint(c->cpu, 0, false);
    assert_true(vlapic_cpu_accept(c->cpu, 0x61));
    guest_eoi(c->cpu);
    assert_false(rig_page(c, VLAPIC_REG_LVT_LINT0) & VLAPIC_LVT_REMOTE_IRR);
    assert_eoi_exits(c, -1, -1);
}

static void start_watching(bool given, uint8_t vector)
{
    rig_clean(&rig);
    rig_prepare(&rig, LEVEL_POSTED);
    rig.vmx.watch_given = given;
    if (vector != 0)
        rig.vmx.watch.word[vector / 64] = 1ull << (vector % 64);
}

static unsigned heard;

static void hear(void *cpu_cookie, uint8_t vector, bool level)
{
    (void)cpu_cookie;
    heard++;
    assert_int_equal(vector, 0xD1);
    assert_false(level);
}

static void watched_vectors_exit_whatever_their_trigger_mode(void **state)
{
    /* Reference 18.4: "or an EOI notifier ... is registered" */
    struct rig_cpu *c = &rig.cpu[0];

    (void)state;
    heard = 0;
    start_watching(true, 0xD1);
    rig.fake.ops.eoi_notify = hear;
    rig_start(&rig, 1, false);
    assert_eoi_exits(c, 0xD1, -1);
    rig_pend(c, 0xE1, true);
    assert_eoi_exits(c, 0xD1, 0xE1);
    assert_int_equal(heard, 0);
}

static void a_notifier_without_a_set_watches_all(void **state)
{
    /* vmx.h, watch_given */
    struct rig_cpu *c = &rig.cpu[0];

    (void)state;
    start_watching(false, 0xD1);
    rig.fake.ops.eoi_notify = hear;
    rig_start(&rig, 1, false);
    rig_enter_open(c);
    for (unsigned v = 0; v < 256; v++)
        assert_true(rig_eoi_exits(c, (uint8_t)v));
    start_watching(true, 0xD1); /* nobody to tell */
    rig_start(&rig, 1, false);
    assert_eoi_exits(c, -1, -1);
}

static void the_bitmap_is_current_after_delivery_was_off(void **state)
{
    /* Reference 17: turning delivery on again */
    struct rig_cpu *c = rig_one(&rig, LEVEL_POSTED, false);

    (void)state;
    assert_eoi_exits(c, -1, -1);
    vlapic_vmx_inhibit(rig.fake.vm, VLAPIC_VMX_INHIBIT_REQUEST, true);
    guest_write(c->cpu, VLAPIC_REG_TPR, 0xFF);
    rig_pend(c, 0x61, true);
    rig_enter_open(c);
    rig_exit_plain(c);
    vlapic_vmx_inhibit(rig.fake.vm, VLAPIC_VMX_INHIBIT_REQUEST, false);
    assert_eoi_exits(c, 0x61, -1);
}

#define TEST(name) cmocka_unit_test_teardown(name, clean)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_threshold_is_the_class_that_tpr_holds_back),
        TEST(lowering_tpr_below_the_threshold_lets_the_vector_through),
        TEST(the_interrupt_status_is_what_irr_and_isr_hold),
        TEST(a_vector_below_its_priority_waits_in_rvi),
        TEST(what_hardware_did_is_the_models_state_after_an_exit),
        TEST(the_eoi_of_each_level_vector_exits),
        TEST(the_bitmap_is_written_by_the_word_that_changed),
        TEST(lint0_that_waits_for_its_eoi_has_the_exit),
        TEST(watched_vectors_exit_whatever_their_trigger_mode),
        TEST(a_notifier_without_a_set_watches_all),
        TEST(the_bitmap_is_current_after_delivery_was_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
