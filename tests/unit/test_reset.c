/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * RESET, INIT and software disable: what each of them changes, register by register.
 */
#include "fake_host.h"
#include "state_helpers.h"

#include <string.h>

#define APIC_ID 0x1Bu

static struct fake_vm host;

enum variant { INTEL, INTEL_FULL, AMD, AMD_EXT, VARIANTS };

static struct vlapic_cpu *start(enum variant variant)
{
    const uint32_t id = APIC_ID;

    fake_vm_prepare(&host, variant >= AMD ? VLAPIC_VENDOR_AMD : VLAPIC_VENDOR_INTEL);
    if (variant == INTEL_FULL) {
        host.config.max_lvt = 6;
        host.config.tsc_deadline = true;
        host.config.eoi_suppression = true;
    }
    host.config.ext_space = variant == AMD_EXT;
    host.config.id_writable = variant == INTEL_FULL || variant == AMD_EXT;
    fake_vm_start(&host, 1, &id);
    return fake_cpu_at(&host, 0);
}

static void arm_deadline(struct vlapic_cpu *cpu)
{
    guest_set(cpu, VLAPIC_REG_LVT_TIMER, 0x40051);
    guest_wrmsr(cpu, VLAPIC_MSR_TSC_DEADLINE, host.now_tsc + 5000);
    assert_true(host.cpus[0].armed_tsc);
}

static void nothing_expires(struct vlapic_cpu *cpu)
{
    assert_false(host.cpus[0].armed_ns);
    assert_false(host.cpus[0].armed_tsc);
    fake_advance_ns(&host, 1ull << 33);
    fake_advance_tsc(&host, 1ull << 33);
    vlapic_cpu_timer_expired(cpu); /* one that was under way */
    assert_int_equal(poll_vector(cpu), -1);
}

/* ---- creation and RESET ---- */

static void a_new_apic_is_in_the_reset_state(void **unused)
{
    /* Intel SDM 3A, "Local APIC State After Power-Up or Reset" */
    (void)unused;
    for (enum variant v = INTEL; v < VARIANTS; v++) {
        struct vlapic_cpu_state expected, actual;
        struct vlapic_cpu *cpu = start(v);
        unsigned ap = fake_vm_add_cpu(&host, 0x2C);

        state_after_reset(&host, APIC_ID, true, &expected);
        state_read(cpu, &actual);
        assert_same_state(&expected, &actual);
        state_after_reset(&host, 0x2C, false, &expected);
        state_read(fake_cpu_at(&host, ap), &actual);
        assert_same_state(&expected, &actual);
        assert_int_equal(host.call_count, 0);
        fake_vm_stop(&host);
    }
}

static void reset_restores_everything_in_every_mode(void **unused)
{
    /* Intel SDM 3A, "Local APIC State After Power-Up or Reset" */
    (void)unused;
    for (enum variant v = INTEL; v < VARIANTS; v++)
        for (unsigned mode = 0; mode < 3; mode++) {
            struct vlapic_cpu_state expected, actual;
            struct vlapic_cpu *cpu = start(v);
            uint64_t old;

            if (mode == 1)
                guest_enable_x2apic(cpu);
            busy_state(&host);
            if (v == INTEL_FULL)
                arm_deadline(cpu);
            if (mode == 2)
                guest_disable_apic(cpu);
            old = vlapic_cpu_apic_base(cpu);
            fake_forget(&host);
            vlapic_cpu_reset(cpu);

            state_after_reset(&host, APIC_ID, true, &expected);
            expected.events = VLAPIC_EVENT_LINE0;
            state_read(cpu, &actual);
            assert_same_state(&expected, &actual);
            assert_int_equal(guest_read(cpu, VLAPIC_REG_ID), APIC_ID << 24);
            assert_int_equal(fake_count(&host, FAKE_BASE_CHANGED), mode != 0);
            if (mode != 0) {
                assert_true(fake_last(&host, FAKE_BASE_CHANGED)->a == old);
                assert_true(fake_last(&host, FAKE_BASE_CHANGED)->b == 0xFEE00900);
            }
            nothing_expires(cpu);
            fake_vm_stop(&host);
        }
}

static void reset_restores_a_moved_base_and_the_bsp_bit(void **unused)
{
    /* Intel SDM 3A, "Local APIC Status and Location" */
    struct vlapic_cpu *cpu = start(INTEL);
    struct vlapic_cpu *ap = fake_cpu_at(&host, fake_vm_add_cpu(&host, 2));

    (void)unused;
    guest_wrmsr(cpu, VLAPIC_MSR_APIC_BASE, 0x12345800);
    guest_wrmsr(ap, VLAPIC_MSR_APIC_BASE, 0x12345900);
    vlapic_cpu_reset(cpu);
    vlapic_cpu_reset(ap);
    assert_true(vlapic_cpu_apic_base(cpu) == 0xFEE00900);
    assert_true(vlapic_cpu_apic_base(ap) == 0xFEE00800);
    fake_vm_stop(&host);
}

static void reset_forgets_latched_events(void **unused)
{
    /* Intel SDM 3A, "Local APIC State After Power-Up or Reset" */
    struct vlapic_cpu *cpu = start(INTEL);
    struct vlapic_cpu *ap = fake_cpu_at(&host, fake_vm_add_cpu(&host, 2));

    (void)unused;
    for (unsigned i = 0; i < 2; i++) {
        struct vlapic_cpu *target = i ? ap : cpu;
        struct vlapic_poll duty;

        guest_software_enable(target);
        for (uint32_t delivery = 0; delivery < 8; delivery++)
            if (delivery != VLAPIC_DELIVERY_RESERVED)
                guest_icr(cpu, vlapic_cpu_apic_id(target) << 24, delivery << 8 | 0x66);
        vlapic_vm_deliver(host.vm, &(struct vlapic_message){ .destination = vlapic_cpu_apic_id(target),
                                                             .delivery = VLAPIC_DELIVERY_EXTINT });
        assert_true(vlapic_cpu_post(target, 0x67, true));
        vlapic_cpu_lvt_event(target, VLAPIC_LVT_THERMAL);
        vlapic_cpu_reset(target);
        guest_software_enable(target);
        vlapic_cpu_poll(target, &duty);
        assert_false(duty.init);
        assert_false(duty.sipi);
        assert_false(duty.nmi);
        assert_false(duty.smi);
        assert_false(duty.extint_message);
        assert_false(duty.extint);
        assert_int_equal(duty.wait_for_sipi, i);
        assert_int_equal(duty.vector, -1);
    }
    fake_vm_stop(&host);
}

static void reset_of_a_started_ap_makes_it_wait_for_sipi_again(void **unused)
{
    /* Intel SDM 3A, "MP Initialization Protocol Algorithm for MP Systems" */
    struct vlapic_cpu *cpu = start(INTEL);
    struct vlapic_cpu *ap = fake_cpu_at(&host, fake_vm_add_cpu(&host, 2));
    struct vlapic_poll duty;

    (void)unused;
    guest_icr(cpu, 2u << 24, 0x6A5);
    vlapic_cpu_poll(ap, &duty);
    assert_true(duty.sipi);
    assert_int_equal(duty.sipi_vector, 0xA5);
    assert_false(duty.wait_for_sipi);
    vlapic_cpu_reset(ap);
    vlapic_cpu_poll(ap, &duty);
    assert_true(duty.wait_for_sipi);
    vlapic_cpu_reset(cpu);
    vlapic_cpu_poll(cpu, &duty);
    assert_false(duty.wait_for_sipi);
    fake_vm_stop(&host);
}

/* ---- INIT ---- */

static void init_resets_all_but_id_and_base(void **unused)
{
    /* Intel SDM 3A, "Local APIC State After an INIT Reset (Wait-for-SIPI State)" */
    (void)unused;
    for (enum variant v = INTEL; v < VARIANTS; v++)
        for (unsigned mode = 0; mode < 3; mode++) {
            struct vlapic_cpu_state expected, actual;
            struct vlapic_cpu *cpu = start(v);
            bool keeps_id = mode == 0 && (v == INTEL_FULL || v == AMD_EXT);
            uint64_t base;

            guest_wrmsr(cpu, VLAPIC_MSR_APIC_BASE, 0x12345900);
            if (mode == 1)
                guest_enable_x2apic(cpu);
            busy_state(&host);
            if (v == INTEL_FULL)
                arm_deadline(cpu);
            if (mode == 2) {
                guest_disable_apic(cpu);
                vlapic_cpu_cr8_write(cpu, 9);
            }
            base = vlapic_cpu_apic_base(cpu);
            state_read(cpu, &actual);
            fake_forget(&host);
            state_after_reset(&host, APIC_ID, true, &expected);
            expected.apic_base = base;
            expected.xapic_id = actual.xapic_id;
            expected.events = VLAPIC_EVENT_LINE0;

            vlapic_cpu_take_init(cpu);
            state_read(cpu, &actual);
            assert_same_state(&expected, &actual);
            assert_int_equal(fake_count(&host, FAKE_BASE_CHANGED), 0);
            if (mode == 0) {
                assert_int_equal(guest_read(cpu, VLAPIC_REG_ID), keeps_id ? 0x77000000 : APIC_ID << 24);
                assert_int_equal(guest_read(cpu, VLAPIC_REG_LDR), 0);
                assert_int_equal(guest_read(cpu, VLAPIC_REG_DFR), 0xFFFFFFFF);
            } else if (mode == 1) {
                assert_true(guest_rdmsr(cpu, 0x802) == APIC_ID);
                assert_true(guest_rdmsr(cpu, 0x80D) == (1u << 16 | 1u << 0xB));
                assert_true(guest_rdmsr(cpu, 0x830) == 0);
            }
            if (mode != 2) {
                assert_int_equal(guest_get(cpu, VLAPIC_REG_SVR), 0xFF);
                assert_int_equal(guest_get(cpu, VLAPIC_REG_CURRENT_COUNT), 0);
            }
            assert_true(vlapic_cpu_cr8_read(cpu) == 0);
            nothing_expires(cpu);
            fake_vm_stop(&host);
        }
}

static void init_resets_the_hidden_dfr_of_x2apic_mode(void **unused)
{
    /* Intel SDM 3A, "Local APIC State After an INIT Reset (Wait-for-SIPI State)" */
    struct vlapic_cpu *cpu = start(INTEL);
    struct vlapic_cpu_state state;

    (void)unused;
    guest_write(cpu, VLAPIC_REG_DFR, 0x0FFFFFFF);
    guest_enable_x2apic(cpu);
    vlapic_cpu_take_init(cpu);
    state_read(cpu, &state);
    assert_int_equal(state.dfr, 0xFFFFFFFF);
    fake_vm_stop(&host);
}

static void init_makes_waiting_for_sipi_follow_the_bsp_bit(void **unused)
{
    /* Intel SDM 3A, "Local APIC State After an INIT Reset (Wait-for-SIPI State)"; "MP Initialization Protocol Algorithm" */
    struct vlapic_cpu *cpu = start(INTEL);
    struct vlapic_poll duty;

    (void)unused;
    vlapic_cpu_take_init(cpu);
    vlapic_cpu_poll(cpu, &duty);
    assert_false(duty.wait_for_sipi);
    guest_wrmsr(cpu, VLAPIC_MSR_APIC_BASE, 0xFEE00800);
    vlapic_cpu_take_init(cpu);
    vlapic_cpu_poll(cpu, &duty);
    assert_true(duty.wait_for_sipi);
    fake_vm_stop(&host);
}

static void init_wipes_what_was_accepted_before_it_is_taken(void **unused)
{
    /* Intel SDM 3A, "Local APIC State After an INIT Reset": the message only latches an event */
    struct vlapic_cpu *cpu;
    struct vlapic_poll duty;

    (void)unused;
    fake_one_cpu(&host, VLAPIC_VENDOR_INTEL);
    cpu = fake_cpu_at(&host, 0);
    guest_write(cpu, VLAPIC_REG_TPR, 0x20);
    vlapic_vm_deliver(host.vm, &(struct vlapic_message){ .delivery = VLAPIC_DELIVERY_INIT });
    vlapic_cpu_poll(cpu, &duty);
    assert_true(duty.init);
    assert_int_equal(guest_read(cpu, VLAPIC_REG_TPR), 0x20); /* not yet */
    assert_int_equal(guest_read(cpu, VLAPIC_REG_SVR), 0x1FF);
    assert_true(vlapic_cpu_post(cpu, 0x80, false));
    assert_int_equal(poll_vector(cpu), 0x80);
    assert_true(vlapic_cpu_post(cpu, 0x81, false)); /* this one not even looked at */
    vlapic_cpu_take_init(cpu);
    guest_software_enable(cpu);
    vlapic_cpu_poll(cpu, &duty);
    assert_false(duty.init);
    assert_int_equal(duty.vector, -1);
    for (uint32_t i = 0; i < 8; i++)
        assert_int_equal(guest_read(cpu, VLAPIC_REG_IRR + 16 * i), 0);
    fake_vm_stop(&host);
}

static void after_init_fixed_is_dropped_and_nmi_latched(void **unused)
{
    /* Intel SDM 3A, "Local APIC State After an INIT Reset": Fixed is dropped afterwards, the APIC is software-disabled */
    struct vlapic_cpu *cpu;
    struct vlapic_poll duty;

    (void)unused;
    fake_one_cpu(&host, VLAPIC_VENDOR_INTEL);
    cpu = fake_cpu_at(&host, 0);
    vlapic_cpu_take_init(cpu);
    assert_false(vlapic_cpu_post(cpu, 0x80, false));
    assert_int_equal(vlapic_vm_deliver(host.vm, &(struct vlapic_message){ .delivery = VLAPIC_DELIVERY_NMI }), 1);
    vlapic_cpu_poll(cpu, &duty);
    assert_true(duty.nmi);
    fake_vm_stop(&host);
}

static void init_then_sipi_starts_an_ap(void **unused)
{
    /* Intel SDM 3A, "MP Initialization Protocol Algorithm for MP Systems" */
    (void)unused;
    for (unsigned x2apic = 0; x2apic < 2; x2apic++)
        for (unsigned early_sipi = 0; early_sipi < 2; early_sipi++) {
            struct vlapic_cpu *cpu = start(INTEL);
            struct vlapic_cpu *ap = fake_cpu_at(&host, fake_vm_add_cpu(&host, 2));
            struct vlapic_poll duty;

            if (x2apic) {
                guest_enable_x2apic(cpu);
                guest_enable_x2apic(ap);
            }
            guest_icr(cpu, x2apic ? 2 : 2u << 24, 0x644);
            vlapic_cpu_poll(ap, &duty);
            assert_true(duty.sipi);
            assert_false(duty.wait_for_sipi);

            /* Running: a SIPI alone is nothing; after an INIT it starts the processor once the INIT is taken. */
            guest_icr(cpu, x2apic ? 2 : 2u << 24, 0x655);
            vlapic_cpu_poll(ap, &duty);
            assert_false(duty.sipi);
            guest_icr(cpu, x2apic ? 2 : 2u << 24, 0x4500);
            if (early_sipi)
                guest_icr(cpu, x2apic ? 2 : 2u << 24, 0x666);
            vlapic_cpu_poll(ap, &duty);
            assert_true(duty.init);
            assert_false(duty.sipi);
            vlapic_cpu_take_init(ap);
            if (!early_sipi) {
                vlapic_cpu_poll(ap, &duty);
                assert_true(duty.wait_for_sipi);
                assert_false(duty.sipi);
                guest_icr(cpu, x2apic ? 2 : 2u << 24, 0x666);
            }
            vlapic_cpu_poll(ap, &duty);
            assert_true(duty.sipi);
            assert_int_equal(duty.sipi_vector, 0x66);
            assert_false(duty.wait_for_sipi);
            vlapic_cpu_poll(ap, &duty);
            assert_false(duty.sipi);
            fake_vm_stop(&host);
        }
}

/* ---- LINT levels ---- */

static void line_levels_survive_reset_and_init(void **unused)
{
    /* Intel SDM 3A, "Local Vector Table": pins are outside the APIC; they are sampled again by an LVT write */
    (void)unused;
    for (unsigned init = 0; init < 2; init++) {
        struct vlapic_cpu *cpu = start(INTEL);
        struct vlapic_cpu_state state;
        struct vlapic_poll duty;

        vlapic_cpu_lint(cpu, 0, true);
        vlapic_cpu_lint(cpu, 1, true);
        poll_vector(cpu);
        if (init)
            vlapic_cpu_take_init(cpu);
        else
            vlapic_cpu_reset(cpu);
        state_read(cpu, &state);
        assert_int_equal(state.events, VLAPIC_EVENT_LINE0 | VLAPIC_EVENT_LINE1);
        guest_software_enable(cpu);
        assert_int_equal(poll_vector(cpu), -1);
        guest_write(cpu, VLAPIC_REG_LVT_LINT0, 0x8055);
        assert_int_equal(poll_vector(cpu), 0x55);
        assert_int_equal(guest_read(cpu, VLAPIC_REG_LVT_LINT0), 0xC055);
        guest_write(cpu, VLAPIC_REG_LVT_LINT1, 0x400); /* NMI: an edge, and there is none */
        guest_write(cpu, VLAPIC_REG_LVT_LINT0, 0x700);
        vlapic_cpu_poll(cpu, &duty);
        assert_false(duty.nmi);
        assert_true(duty.extint);
        fake_vm_stop(&host);
    }
}

static void line_levels_not_yet_looked_at_survive_too(void **unused)
{
    /* Intel SDM 3A, "Local Vector Table": pins are outside the APIC */
    (void)unused;
    for (unsigned init = 0; init < 2; init++) {
        struct vlapic_cpu *cpu = start(INTEL);
        struct vlapic_cpu_state state;

        vlapic_cpu_lint(cpu, 0, true);
        if (init)
            vlapic_cpu_take_init(cpu);
        else
            vlapic_cpu_reset(cpu);
        state_read(cpu, &state);
        assert_int_equal(state.events, VLAPIC_EVENT_LINE0);
        assert_int_equal(poll_vector(cpu), -1);
        fake_vm_stop(&host);
    }
}

/* ---- software disable ---- */

static void software_disable_changes_svr_and_lvt_masks_only(void **unused)
{
    /* Intel SDM 3A, "Local APIC State After It Has Been Software Disabled" */
    (void)unused;
    for (enum variant v = INTEL; v < VARIANTS; v++)
        for (unsigned x2apic = 0; x2apic < 2; x2apic++) {
            struct vlapic_cpu_state expected, actual;
            struct vlapic_cpu *cpu = start(v);

            if (x2apic)
                guest_enable_x2apic(cpu);
            busy_state(&host);
            state_read(cpu, &expected);
            guest_set(cpu, VLAPIC_REG_SVR, 0x0A7);
            state_read(cpu, &actual);
            expected.svr = 0xA7;
            for (unsigned i = 0; i < VLAPIC_LVT_COUNT; i++)
                expected.lvt[i] |= 0x10000;
            for (unsigned i = 0; i < VLAPIC_LVT_EXT_MAX; i++)
                expected.lvt_ext[i] |= 0x10000;
            assert_same_state(&expected, &actual);
            assert_int_equal(fake_count(&host, FAKE_CANCEL), 0);
            fake_vm_stop(&host);
        }
}

static void software_disable_keeps_the_deadline(void **unused)
{
    /* Intel SDM 3A, "TSC-Deadline Mode"; the manual leaves open what software disable does: it stays armed */
    struct vlapic_cpu *cpu = start(INTEL_FULL);

    (void)unused;
    guest_software_enable(cpu);
    arm_deadline(cpu);
    guest_write(cpu, VLAPIC_REG_SVR, 0xFF);
    assert_true(guest_rdmsr(cpu, VLAPIC_MSR_TSC_DEADLINE) == 5000);
    assert_true(host.cpus[0].armed_tsc);
    fake_vm_stop(&host);
}

/* ---- what was posted and not looked at ---- */

static void vectors_posted_before_reset_or_init_never_come_back(void **unused)
{
    /* Intel SDM 3A, "Local APIC State After Power-Up or Reset": IRR is 0, whatever has not yet reached it */
    (void)unused;
    for (unsigned init = 0; init < 2; init++)
        for (unsigned x2apic = 0; x2apic < 2; x2apic++) {
            struct vlapic_cpu *cpu = start(INTEL);

            guest_software_enable(cpu);
            if (x2apic)
                guest_enable_x2apic(cpu);
            assert_true(vlapic_cpu_post(cpu, 0xF1, true));
            assert_true(vlapic_cpu_post(cpu, 0x02, true) == false); /* receive illegal vector, not yet recorded */
            if (init)
                vlapic_cpu_take_init(cpu);
            else
                vlapic_cpu_reset(cpu);
            guest_software_enable(cpu);
            assert_int_equal(poll_vector(cpu), -1);
            assert_true(vlapic_cpu_post(cpu, 0x21, false));
            assert_int_equal(poll_vector(cpu), 0x21);
            assert_false(guest_bit(cpu, VLAPIC_REG_IRR, 0xF1));
            assert_false(guest_bit(cpu, VLAPIC_REG_TMR, 0xF1));
            assert_int_equal(guest_esr(cpu), 0);
            fake_vm_stop(&host);
        }
}

static void reset_forgets_an_init_that_was_handed_over(void **unused)
{
    /* Intel SDM 3A, "Local APIC State After Power-Up or Reset" */
    struct vlapic_cpu *cpu = start(INTEL);
    struct vlapic_cpu *ap = fake_cpu_at(&host, fake_vm_add_cpu(&host, 2));
    struct vlapic_cpu_state state;
    struct vlapic_poll duty;

    (void)unused;
    guest_icr(cpu, APIC_ID << 24, 0x4500);
    guest_icr(cpu, 2u << 24, 0x4500);
    vlapic_cpu_poll(cpu, &duty);
    assert_true(duty.init);
    vlapic_cpu_poll(ap, &duty);
    assert_true(duty.init);
    vlapic_cpu_reset(cpu);
    vlapic_cpu_reset(ap);

    /* A SIPI to the running processor is discarded, one to the waiting processor starts it. */
    guest_icr(cpu, APIC_ID << 24, 0x611);
    guest_icr(cpu, 2u << 24, 0x622);
    vlapic_cpu_poll(cpu, &duty);
    assert_false(duty.init || duty.sipi || duty.wait_for_sipi);
    state_read(cpu, &state);
    assert_int_equal(state.events, 0);
    vlapic_cpu_poll(ap, &duty);
    assert_false(duty.init);
    assert_true(duty.sipi);
    assert_int_equal(duty.sipi_vector, 0x22);
    fake_vm_stop(&host);
}

static void lint0_is_silent_after_reset(void **unused)
{
    /* Intel SDM 3A, "Local Vector Table": every entry is masked after reset */
    static const uint32_t entries[] = { 0x55, 0x8055, 0x200, 0x400, 0x500, 0x700 };

    (void)unused;
    for (unsigned init = 0; init < 2; init++)
        for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++) {
            struct vlapic_cpu *cpu = start(INTEL);
            struct vlapic_poll duty;

            guest_software_enable(cpu);
            guest_write(cpu, VLAPIC_REG_LVT_LINT0, entries[i]);
            if (init)
                vlapic_cpu_take_init(cpu);
            else
                vlapic_cpu_reset(cpu);
            guest_software_enable(cpu);
            vlapic_cpu_lint(cpu, 0, true);
            vlapic_cpu_poll(cpu, &duty);
            assert_int_equal(duty.vector, -1);
            assert_false(duty.extint || duty.nmi || duty.smi || duty.init);
            assert_int_equal(guest_read(cpu, VLAPIC_REG_LVT_LINT0), 0x10000);
            fake_vm_stop(&host);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_apic_is_in_the_reset_state),
        cmocka_unit_test(reset_restores_everything_in_every_mode),
        cmocka_unit_test(reset_restores_a_moved_base_and_the_bsp_bit),
        cmocka_unit_test(reset_forgets_latched_events),
        cmocka_unit_test(reset_of_a_started_ap_makes_it_wait_for_sipi_again),
        cmocka_unit_test(init_resets_all_but_id_and_base),
        cmocka_unit_test(init_resets_the_hidden_dfr_of_x2apic_mode),
        cmocka_unit_test(init_makes_waiting_for_sipi_follow_the_bsp_bit),
        cmocka_unit_test(init_wipes_what_was_accepted_before_it_is_taken),
        cmocka_unit_test(after_init_fixed_is_dropped_and_nmi_latched),
        cmocka_unit_test(init_then_sipi_starts_an_ap),
        cmocka_unit_test(line_levels_survive_reset_and_init),
        cmocka_unit_test(line_levels_not_yet_looked_at_survive_too),
        cmocka_unit_test(software_disable_changes_svr_and_lvt_masks_only),
        cmocka_unit_test(software_disable_keeps_the_deadline),
        cmocka_unit_test(vectors_posted_before_reset_or_init_never_come_back),
        cmocka_unit_test(reset_forgets_an_init_that_was_handed_over),
        cmocka_unit_test(lint0_is_silent_after_reset),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
