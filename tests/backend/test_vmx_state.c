/* SPDX-License-Identifier: BSD-2-Clause */
/* Saving and restoring: vectors are somewhere in hardware, and have to be in the state. */
#include "vmx_rig.h"

#include "levels.h"

static struct rig rig;

static int clean(void **state)
{
    (void)state;
    rig_clean(&rig);
    return 0;
}

static bool has(const uint32_t words[8], uint8_t vector)
{
    return (words[vector / 32] >> (vector % 32) & 1) != 0;
}

static struct vlapic_cpu_state read_state(struct rig_cpu *c)
{
    struct vlapic_cpu_state s = { .size = sizeof s };

    assert_int_equal(vlapic_cpu_get_state(c->cpu, &s, sizeof s), VLAPIC_OK);
    return s;
}

/* The processor has one vector in each place: 31h in VIRR below 45h in VISR, 61h in PIR with ON, 71h in PIR without. */
static struct rig_cpu *make_busy(bool x2apic)
{
    struct rig_cpu *c = rig_one(&rig, LEVEL_POSTED | VLAPIC_VMX_X2APIC, x2apic);

    rig_pend(c, 0x31, false);
    rig_pend(c, 0x45, true);
    rig_go(c);
    assert_int_equal(apicv_boundary(&c->core).vector, 0x45);
    rig_kick_out(c);
    rig_device_posts(c, 0x61);
    rig_put(c);
    rig_device_posts(c, 0x71);
    return c;
}

static void assert_busy(const struct vlapic_cpu_state *s)
{
    assert_true(has(s->isr, 0x45) && has(s->tmr, 0x45));
    assert_true(has(s->irr, 0x31) && has(s->irr, 0x61) && has(s->irr, 0x71));
    assert_false(has(s->irr, 0x45) || has(s->tmr, 0x61));
}

static void a_state_has_what_hardware_holds(void **state)
{
    /* Reference 15 and 16: "pending = VIRR OR PIR"; "Live migration / save: sync PIR into VIRR" */
    (void)state;
    for (unsigned x2apic = 0; x2apic < 2; x2apic++) {
        struct rig_cpu *c = make_busy(x2apic);
        struct vlapic_cpu_state s = read_state(c);

        assert_busy(&s);
        assert_false(rig_posted(c, 0x61) || rig_posted(c, 0x71));
        s = read_state(c);
        assert_busy(&s); /* reading changes nothing */
    }
}

static void a_snapshot_goes_on_where_it_was_taken(void **state)
{
    /* Reference 16: "Restore: ... 0810h = (highest VISR << 8) | highest VIRR, rebuild EOI-exit bitmap from TMR" */
    uint8_t blob[VLAPIC_SNAPSHOT_MAX];
    size_t length = 0;

    (void)state;
    for (unsigned x2apic = 0; x2apic < 2; x2apic++) {
        struct rig_cpu *c = make_busy(x2apic);
        struct vlapic_snapshot_error error = { 0 };
        struct vlapic_cpu_state s;

        assert_int_equal(vlapic_snapshot_export_cpu(c->cpu, blob, sizeof blob, &length), VLAPIC_OK);
        c = rig_one(&rig, LEVEL_POSTED | VLAPIC_VMX_X2APIC, !x2apic);
        rig_pend(c, 0x91, true); /* goes with the old state */
        rig_device_posts(c, 0x92);
        assert_int_equal(vlapic_snapshot_import_cpu(c->cpu, blob, length, VLAPIC_TIME_STOPPED, &error), VLAPIC_OK);
        s = read_state(c);
        assert_busy(&s);
        assert_false(has(s.irr, 0x91) || has(s.irr, 0x92));
        rig_enter_open(c);
        assert_int_equal(rig_get(c, APICV_GUEST_INTERRUPT_STATUS), 0x4571);
        assert_int_equal(rig_get(c, APICV_EOI_EXIT_BITMAP_1), 1ull << 5);
        assert_int_equal(rig_get(c, APICV_EOI_EXIT_BITMAP_2), 0);
        assert_int_equal(rig_get(c, APICV_SECONDARY_CONTROLS) & 0x11, x2apic ? 0x10 : 1);
        assert_int_equal(rig_run(c).outcome, APICV_DONE);
        assert_int_equal(apicv_boundary(&c->core).vector, 0x71);
    }
}

static void an_icr_survives_between_hardwares_format_and_the_models(void **state)
{
    /* Reference 16: "save page (with ID/ICR formats normalised)" */
    struct rig_cpu *c = rig_one(&rig, LEVEL_POSTED | VLAPIC_VMX_X2APIC, true);
    struct vlapic_cpu_state s;

    (void)state;
    guest_wrmsr(c->cpu, 0x830, 0x0012345600004400ull);
    for (unsigned i = 0; i < 3; i++) {
        rig_enter_open(c);
        rig_exit_plain(c);
    }
    s = read_state(c);
    assert_true(s.icr == 0x0012345600004400ull);
    assert_int_equal(rig_page(c, 0x304), 0);
    vlapic_cpu_reset(c->cpu);
    guest_software_enable(c->cpu);
    rig_enter_open(c);
    assert_int_equal(rig_page(c, 0x304), 0); /* xAPIC mode: no quadword */
    assert_int_equal(rig_page(c, 0x310), 0);
}

static void a_delivery_that_was_cut_off_is_saved_as_pending(void **state)
{
    /* vmx_run.h, vlapic_vmx_get_in_flight(): before the state is read */
    struct rig_cpu *c = rig_one(&rig, LEVEL_POSTED, false);
    struct vlapic_cpu_state s;
    struct apicv_result r;

    (void)state;
    rig_pend(c, 0x61, true);
    rig_go(c);
    c->core.guest.delivery_accesses = true;
    c->core.guest.delivery_access = (struct apicv_access){
        .type = APICV_ACCESS_DELIVERY, .address = 0x1000, .size = 8, .write = true
    };
    r = apicv_boundary(&c->core);
    assert_int_equal(rig_take_reason(c, r, APICV_EXIT_EPT_VIOLATION), VLAPIC_VMX_NOT_MINE);
    assert_int_equal(vlapic_vmx_get_in_flight(c->cpu), 0);
    s = read_state(c);
    assert_true(has(s.irr, 0x61) && has(s.tmr, 0x61));
    assert_false(has(s.isr, 0x61));
    vlapic_cpu_reset(c->cpu);
    assert_int_equal(vlapic_cpu_set_state(c->cpu, &s, VLAPIC_TIME_STOPPED, NULL), VLAPIC_OK);
    c->core.guest.delivery_accesses = false;
    rig_go(c);
    r = apicv_boundary(&c->core);
    assert_true(r.delivered && r.vector == 0x61);
    rig_kick_out(c);
    assert_int_equal(poll_vector(c->cpu), -1); /* once */
}

#define TEST(name) cmocka_unit_test_teardown(name, clean)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_state_has_what_hardware_holds),
        TEST(a_snapshot_goes_on_where_it_was_taken),
        TEST(an_icr_survives_between_hardwares_format_and_the_models),
        TEST(a_delivery_that_was_cut_off_is_saved_as_pending),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
