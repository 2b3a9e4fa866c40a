/* SPDX-License-Identifier: BSD-2-Clause */
/* Local vector table and LINT pins. Intel SDM 3A, "Local Vector Table". The timer entry is in test_timer.c. */
#include "fake_host.h"

#define MASKED VLAPIC_LVT_MASKED
#define LEVEL VLAPIC_LVT_LEVEL
#define REMOTE_IRR VLAPIC_LVT_REMOTE_IRR
#define MODE(m) ((uint32_t)(m) << 8)

static struct fake_vm fake;

static struct vlapic_cpu *start(enum vlapic_vendor vendor)
{
    struct vlapic_cpu *cpu;

    fake_vm_prepare(&fake, vendor);
    fake.config.max_lvt = 6;
    fake_vm_start(&fake, 1, NULL);
    cpu = fake_cpu_at(&fake, 0);
    guest_software_enable(cpu);
    return cpu;
}

static int stop(void **state)
{
    (void)state;
    fake_vm_stop(&fake);
    return 0;
}

static const struct {
    enum vlapic_lvt entry;
    uint32_t offset;
} events[] = {
    { VLAPIC_LVT_THERMAL, VLAPIC_REG_LVT_THERMAL },
    { VLAPIC_LVT_PERF, VLAPIC_REG_LVT_PERF },
    { VLAPIC_LVT_CMCI, VLAPIC_REG_LVT_CMCI },
};
#define EVENTS (sizeof(events) / sizeof(events[0]))

static void pulse(struct vlapic_cpu *cpu, uint32_t pin)
{
    vlapic_cpu_lint(cpu, pin, true);
    vlapic_cpu_lint(cpu, pin, false);
}

static void check_duty(struct vlapic_cpu *cpu, uint32_t mode, bool lint)
{
    struct vlapic_poll duty;

    vlapic_cpu_poll(cpu, &duty);
    assert_int_equal(duty.vector, mode == 0 ? 0x41 : -1);
    assert_int_equal(duty.smi, mode == 2);
    assert_int_equal(duty.nmi, mode == 4);
    assert_int_equal(duty.init, mode == 5 && lint);
    assert_false(duty.extint_message);
    if (duty.vector >= 0) {
        assert_true(vlapic_cpu_accept(cpu, 0x41));
        assert_false(guest_bit(cpu, VLAPIC_REG_TMR, 0x41));
        guest_eoi(cpu);
    }
    assert_int_equal(guest_esr(cpu), 0);
}

/* Reserved delivery modes, and those that the entry may not use, do nothing. */
static void each_entry_obeys_its_delivery_modes(void **state)
{
    struct vlapic_cpu *cpu = start(VLAPIC_VENDOR_AMD);

    (void)state;
    for (uint32_t mode = 0; mode < 8; mode++) {
        for (size_t i = 0; i < EVENTS; i++) {
            guest_write(cpu, events[i].offset, MODE(mode) | 0x41);
            vlapic_cpu_lvt_event(cpu, events[i].entry);
            check_duty(cpu, mode, false);
        }
        for (uint32_t pin = 0; pin < 2; pin++) {
            guest_write(cpu, VLAPIC_REG_LVT_LINT0 + pin * 0x10, MODE(mode) | 0x41);
            pulse(cpu, pin);
            check_duty(cpu, mode, true);
            guest_write(cpu, VLAPIC_REG_LVT_LINT0 + pin * 0x10, MASKED);
        }
    }
}

static void a_masked_event_is_lost(void **state)
{
    struct vlapic_cpu *cpu = start(VLAPIC_VENDOR_INTEL);

    (void)state;
    for (size_t i = 0; i < EVENTS; i++) {
        guest_write(cpu, events[i].offset, MASKED | 0x41);
        vlapic_cpu_lvt_event(cpu, events[i].entry);
        assert_int_equal(poll_vector(cpu), -1);
        guest_write(cpu, events[i].offset, 0x41);
        assert_int_equal(poll_vector(cpu), -1);
    }
    guest_write(cpu, VLAPIC_REG_LVT_LINT1, MASKED | 0x41);
    vlapic_cpu_lint(cpu, 1, true);
    guest_write(cpu, VLAPIC_REG_LVT_LINT1, 0x41); /* unmasking with the line high makes no edge */
    assert_int_equal(poll_vector(cpu), -1);
    vlapic_cpu_lint(cpu, 1, true); /* neither does being told again */
    assert_int_equal(poll_vector(cpu), -1);
}

static void entries_without_events_ignore_them(void **state)
{
    struct vlapic_cpu *cpu;
    static const int odd[] = { VLAPIC_LVT_TIMER, VLAPIC_LVT_LINT0,    VLAPIC_LVT_LINT1,
                               VLAPIC_LVT_ERROR, VLAPIC_LVT_COUNT,    VLAPIC_LVT_CMCI,
                               VLAPIC_LVT_EXT0,  VLAPIC_LVT_EXT0 + 8, 1000 };

    (void)state;
    fake_one_cpu(&fake, VLAPIC_VENDOR_INTEL); /* no CMCI, no extended space */
    cpu = fake_cpu_at(&fake, 0);
    guest_write(cpu, VLAPIC_REG_LVT_TIMER, 0x41);
    guest_write(cpu, VLAPIC_REG_LVT_LINT0, 0x41);
    guest_write(cpu, VLAPIC_REG_LVT_LINT1, 0x41);
    guest_write(cpu, VLAPIC_REG_LVT_ERROR, 0x41);
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        vlapic_cpu_lvt_event(cpu, (enum vlapic_lvt)odd[i]);
        assert_int_equal(poll_vector(cpu), -1);
    }
    vlapic_cpu_lint(cpu, 2, true); /* no such pin */
    assert_int_equal(poll_vector(cpu), -1);
}

static void a_pmi_masks_its_entry_on_intel_alone(void **state)
{
    (void)state;
    for (uint32_t mode = 0; mode < 8; mode++) {
        struct vlapic_cpu *cpu = start(VLAPIC_VENDOR_INTEL);

        guest_write(cpu, VLAPIC_REG_LVT_PERF, MODE(mode) | 0x41);
        vlapic_cpu_lvt_event(cpu, VLAPIC_LVT_PERF);
        assert_int_equal(guest_read(cpu, VLAPIC_REG_LVT_PERF), MASKED | MODE(mode) | 0x41);
        guest_write(cpu, VLAPIC_REG_LVT_THERMAL, MODE(mode) | 0x41);
        vlapic_cpu_lvt_event(cpu, VLAPIC_LVT_THERMAL);
        assert_int_equal(guest_read(cpu, VLAPIC_REG_LVT_THERMAL), MODE(mode) | 0x41);
        fake_vm_stop(&fake);
        cpu = start(VLAPIC_VENDOR_AMD);
        guest_write(cpu, VLAPIC_REG_LVT_PERF, MODE(mode) | 0x41);
        vlapic_cpu_lvt_event(cpu, VLAPIC_LVT_PERF);
        assert_int_equal(guest_read(cpu, VLAPIC_REG_LVT_PERF), MODE(mode) | 0x41);
        fake_vm_stop(&fake);
    }
}

static void an_illegal_vector_is_an_error_when_it_happens(void **state)
{
    struct vlapic_cpu *cpu = start(VLAPIC_VENDOR_INTEL);

    (void)state;
    for (uint32_t vector = 0; vector < 16; vector++) {
        for (size_t i = 0; i < EVENTS; i++) {
            guest_write(cpu, events[i].offset, vector);
            assert_int_equal(guest_esr(cpu), 0);
            vlapic_cpu_lvt_event(cpu, events[i].entry);
            assert_int_equal(poll_vector(cpu), -1);
            assert_int_equal(guest_esr(cpu), VLAPIC_ESR_RECEIVE_ILLEGAL_VECTOR);
        }
        guest_write(cpu, VLAPIC_REG_LVT_LINT0, LEVEL | vector);
        vlapic_cpu_lint(cpu, 0, true);
        assert_int_equal(guest_esr(cpu), VLAPIC_ESR_RECEIVE_ILLEGAL_VECTOR);
        assert_int_equal(guest_read(cpu, VLAPIC_REG_LVT_LINT0), LEVEL | vector);
        vlapic_cpu_lint(cpu, 0, false);
    }
}

static void a_level_on_lint0_comes_again_until_the_line_falls(void **state)
{
    struct vlapic_cpu *cpu = start(VLAPIC_VENDOR_INTEL);

    (void)state;
    guest_write(cpu, VLAPIC_REG_LVT_LINT0, LEVEL | 0x41);
    vlapic_cpu_lint(cpu, 0, true);
    for (int round = 0; round < 3; round++) {
        assert_int_equal(take_vector(cpu), 0x41);
        assert_true(guest_bit(cpu, VLAPIC_REG_TMR, 0x41));
        assert_int_equal(guest_read(cpu, VLAPIC_REG_LVT_LINT0), LEVEL | REMOTE_IRR | 0x41);
        assert_int_equal(poll_vector(cpu), -1); /* not again before its EOI */
        if (round == 2) {
            vlapic_cpu_lint(cpu, 0, false);
        }
        guest_eoi(cpu);
    }
    assert_int_equal(poll_vector(cpu), -1);
    assert_int_equal(guest_read(cpu, VLAPIC_REG_LVT_LINT0), LEVEL | 0x41);
}

static void every_legal_vector_on_lint0_sets_remote_irr(void **state)
{
    struct vlapic_cpu *cpu = start(VLAPIC_VENDOR_INTEL);

    (void)state;
    for (uint32_t vector = 16; vector < 256; vector++) {
        guest_write(cpu, VLAPIC_REG_LVT_LINT0, LEVEL | vector);
        vlapic_cpu_lint(cpu, 0, true);
        assert_int_equal(take_vector(cpu), vector);
        assert_int_equal(guest_read(cpu, VLAPIC_REG_LVT_LINT0), LEVEL | REMOTE_IRR | vector);
        vlapic_cpu_lint(cpu, 0, false);
        guest_eoi(cpu);
        assert_int_equal(guest_read(cpu, VLAPIC_REG_LVT_LINT0), LEVEL | vector);
    }
}

static void masking_keeps_remote_irr_and_holds_the_level_off(void **state)
{
    struct vlapic_cpu *cpu = start(VLAPIC_VENDOR_INTEL);

    (void)state;
    guest_write(cpu, VLAPIC_REG_LVT_LINT0, LEVEL | 0x41);
    vlapic_cpu_lint(cpu, 0, true);
    guest_write(cpu, VLAPIC_REG_LVT_LINT0, LEVEL | MASKED | 0x41);
    assert_int_equal(guest_read(cpu, VLAPIC_REG_LVT_LINT0), LEVEL | MASKED | REMOTE_IRR | 0x41);
    assert_int_equal(take_vector(cpu), 0x41); /* masking does not take it back */
    guest_eoi(cpu);
    assert_int_equal(guest_read(cpu, VLAPIC_REG_LVT_LINT0), LEVEL | MASKED | 0x41);
    assert_int_equal(poll_vector(cpu), -1);
    guest_write(cpu, VLAPIC_REG_LVT_LINT0, LEVEL | 0x41); /* the line is still high */
    assert_int_equal(take_vector(cpu), 0x41);
}

static void another_vector_or_mode_clears_remote_irr(void **state)
{
    struct vlapic_cpu *cpu = start(VLAPIC_VENDOR_INTEL);

    (void)state;
    guest_write(cpu, VLAPIC_REG_LVT_LINT0, LEVEL | 0x41);
    vlapic_cpu_lint(cpu, 0, true);
    assert_int_equal(take_vector(cpu), 0x41);
    guest_write(cpu, VLAPIC_REG_LVT_LINT0, LEVEL | 0x52); /* sampled anew */
    assert_int_equal(take_vector(cpu), 0x52);
    guest_write(cpu, VLAPIC_REG_LVT_LINT0, 0x52);
    assert_int_equal(guest_read(cpu, VLAPIC_REG_LVT_LINT0), 0x52);
    guest_write(cpu, VLAPIC_REG_LVT_LINT0, LEVEL | REMOTE_IRR | MASKED | 0x52); /* read-only bit */
    assert_int_equal(guest_read(cpu, VLAPIC_REG_LVT_LINT0), LEVEL | MASKED | 0x52);
}

static void an_eoi_of_another_vector_leaves_remote_irr(void **state)
{
    struct vlapic_cpu *cpu = start(VLAPIC_VENDOR_INTEL);

    (void)state;
    guest_write(cpu, VLAPIC_REG_LVT_LINT0, LEVEL | 0x41);
    vlapic_cpu_lint(cpu, 0, true);
    assert_int_equal(take_vector(cpu), 0x41);
    vlapic_cpu_post(cpu, 0x91, false);
    assert_int_equal(take_vector(cpu), 0x91);
    guest_eoi(cpu);
    assert_int_equal(guest_read(cpu, VLAPIC_REG_LVT_LINT0), LEVEL | REMOTE_IRR | 0x41);
    assert_false(guest_bit(cpu, VLAPIC_REG_IRR, 0x41)); /* the line that is still high was not sent again */
}

/* Only a restored state has the line high, the entry ready and no remote IRR. */
static void an_eoi_that_clears_no_remote_irr_does_not_sample_the_line(void **state)
{
    struct vlapic_cpu *cpu = start(VLAPIC_VENDOR_INTEL);
    struct vlapic_cpu_state s;

    (void)state;
    guest_write(cpu, VLAPIC_REG_LVT_LINT0, LEVEL | 0x41);
    vlapic_cpu_post(cpu, 0x41, true);
    assert_int_equal(take_vector(cpu), 0x41);
    assert_int_equal(vlapic_cpu_get_state(cpu, &s, sizeof(s)), VLAPIC_OK);
    s.events |= VLAPIC_EVENT_LINE0;
    assert_int_equal(vlapic_cpu_set_state(cpu, &s, VLAPIC_TIME_STOPPED, NULL), VLAPIC_OK);
    guest_eoi(cpu);
    assert_int_equal(poll_vector(cpu), -1);
    assert_int_equal(guest_read(cpu, VLAPIC_REG_LVT_LINT0), LEVEL | 0x41);
}

static void lint1_is_always_edge(void **state)
{
    struct vlapic_cpu *cpu = start(VLAPIC_VENDOR_INTEL);

    (void)state;
    guest_write(cpu, VLAPIC_REG_LVT_LINT1, LEVEL | 0x41);
    assert_int_equal(guest_read(cpu, VLAPIC_REG_LVT_LINT1), LEVEL | 0x41);
    vlapic_cpu_lint(cpu, 1, true);
    assert_int_equal(take_vector(cpu), 0x41);
    assert_false(guest_bit(cpu, VLAPIC_REG_TMR, 0x41));
    guest_eoi(cpu);
    assert_int_equal(poll_vector(cpu), -1);
}

static bool extint(struct vlapic_cpu *cpu)
{
    struct vlapic_poll duty;

    vlapic_cpu_poll(cpu, &duty);
    assert_int_equal(duty.vector, -1);
    return duty.extint;
}

/* The pin's level while unmasked and ExtINT; past TPR, IRR and ISR. */
static void extint_passes_the_pins_level(void **state)
{
    struct vlapic_cpu *cpu = start(VLAPIC_VENDOR_INTEL);

    (void)state;
    for (uint32_t pin = 0; pin < 2; pin++) {
        uint32_t offset = VLAPIC_REG_LVT_LINT0 + pin * 0x10;

        guest_write(cpu, VLAPIC_REG_TPR, 0xFF);
        vlapic_cpu_lint(cpu, pin, true);
        for (uint32_t mode = 0; mode < 7; mode++) {
            guest_write(cpu, offset, MODE(mode) | LEVEL | 0x41);
            assert_false(extint(cpu));
        }
        guest_write(cpu, offset, MODE(7) | MASKED);
        assert_false(extint(cpu));
        guest_write(cpu, offset, MODE(7));
        assert_true(extint(cpu));
        assert_true(extint(cpu));
        vlapic_cpu_lint(cpu, pin, false);
        assert_false(extint(cpu));
        guest_write(cpu, offset, MASKED);
    }
}

/* IA32_APIC_BASE.EN = 0: LINT0 is INTR, LINT1 is NMI. Software-disabled: both are silent. */
static void a_disabled_apic_passes_its_pins_through(void **state)
{
    struct vlapic_cpu *cpu = start(VLAPIC_VENDOR_INTEL);
    struct vlapic_poll duty;

    (void)state;
    guest_write(cpu, VLAPIC_REG_LVT_LINT0, MODE(7));
    guest_write(cpu, VLAPIC_REG_LVT_LINT1, MODE(4));
    guest_write(cpu, VLAPIC_REG_SVR, 0xFF);
    vlapic_cpu_lint(cpu, 0, true);
    pulse(cpu, 1);
    vlapic_cpu_poll(cpu, &duty);
    assert_false(duty.extint || duty.nmi);
    guest_disable_apic(cpu);
    pulse(cpu, 1);
    vlapic_cpu_poll(cpu, &duty);
    assert_true(duty.extint && duty.nmi);
    vlapic_cpu_lint(cpu, 0, false);
    vlapic_cpu_lvt_event(cpu, VLAPIC_LVT_THERMAL);
    vlapic_cpu_poll(cpu, &duty);
    assert_false(duty.extint || duty.nmi);
}

static void an_init_on_a_pin_voids_an_older_sipi(void **state)
{
    struct vlapic_cpu *cpu = start(VLAPIC_VENDOR_INTEL);
    struct vlapic_poll duty;

    (void)state;
    guest_write(cpu, VLAPIC_REG_LVT_LINT1, MODE(5));
    guest_icr(cpu, 0, 0x69A);
    pulse(cpu, 1);
    vlapic_cpu_poll(cpu, &duty);
    assert_true(duty.init && !duty.sipi);
    vlapic_cpu_take_init(cpu);
    vlapic_cpu_poll(cpu, &duty);
    assert_false(duty.init || duty.sipi);
}

/* Remote IRR is of the vector, not of the message that brought it last. */
static void an_eoi_clears_remote_irr_though_an_edge_came_in_between(void **state)
{
    struct vlapic_cpu *cpu;

    (void)state;
    fake_vm_prepare(&fake, VLAPIC_VENDOR_INTEL);
    fake.ops.eoi_notify = NULL; /* nobody else wants to know of the edge's EOI */
    fake_vm_start(&fake, 1, NULL);
    cpu = fake_cpu_at(&fake, 0);
    guest_software_enable(cpu);
    guest_write(cpu, VLAPIC_REG_LVT_LINT0, LEVEL | 0x41);
    vlapic_cpu_lint(cpu, 0, true);
    assert_int_equal(take_vector(cpu), 0x41);
    vlapic_cpu_lint(cpu, 0, false);
    vlapic_cpu_post(cpu, 0x41, false);
    assert_false(guest_bit(cpu, VLAPIC_REG_TMR, 0x41));
    assert_int_equal(guest_read(cpu, VLAPIC_REG_LVT_LINT0), LEVEL | REMOTE_IRR | 0x41);
    guest_eoi(cpu);
    assert_int_equal(guest_read(cpu, VLAPIC_REG_LVT_LINT0), LEVEL | 0x41);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(each_entry_obeys_its_delivery_modes, stop),
        cmocka_unit_test_teardown(a_masked_event_is_lost, stop),
        cmocka_unit_test_teardown(entries_without_events_ignore_them, stop),
        cmocka_unit_test(a_pmi_masks_its_entry_on_intel_alone),
        cmocka_unit_test_teardown(an_illegal_vector_is_an_error_when_it_happens, stop),
        cmocka_unit_test_teardown(a_level_on_lint0_comes_again_until_the_line_falls, stop),
        cmocka_unit_test_teardown(every_legal_vector_on_lint0_sets_remote_irr, stop),
        cmocka_unit_test_teardown(masking_keeps_remote_irr_and_holds_the_level_off, stop),
        cmocka_unit_test_teardown(another_vector_or_mode_clears_remote_irr, stop),
        cmocka_unit_test_teardown(an_eoi_of_another_vector_leaves_remote_irr, stop),
        cmocka_unit_test_teardown(an_eoi_clears_remote_irr_though_an_edge_came_in_between, stop),
        cmocka_unit_test_teardown(an_eoi_that_clears_no_remote_irr_does_not_sample_the_line, stop),
        cmocka_unit_test_teardown(lint1_is_always_edge, stop),
        cmocka_unit_test_teardown(extint_passes_the_pins_level, stop),
        cmocka_unit_test_teardown(a_disabled_apic_passes_its_pins_through, stop),
        cmocka_unit_test_teardown(an_init_on_a_pin_voids_an_older_sipi, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
