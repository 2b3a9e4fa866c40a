/* SPDX-License-Identifier: BSD-2-Clause */
/* INIT, SIPI, NMI and ExtINT of the glue for bhyve's vmm: in the kernel, and with exits to user space. */
#include "vmm.h"

#include <string.h>

#define TO(id) ((uint32_t)(id) << 24)
#define INIT 0x4500u
#define SIPI(page) (0x4600u | (page))
#define OTHERS 0xC0000u

static struct vmm vmm;
static struct vcpu *const bsp = &vmm.vcpu[0], *const ap = &vmm.vcpu[1];

static int start(void **state)
{
    (void)state;
    vmm_prepare(&vmm);
    vmm_start(&vmm, 2);
    return 0;
}

/* User space is told. */
static int start_with_exits(void **state)
{
    (void)state;
    vmm_prepare(&vmm);
    vmm.host.ipi_exit = vmm_ipi_exit;
    vmm.to_user = true;
    vmm_start(&vmm, 2);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    vmm_stop(&vmm);
    return 0;
}

/* ---- in the kernel ---- */

static void an_ap_waits_until_init_and_sipi_came(void **state)
{
    (void)state;
    assert_true(events(bsp));
    assert_false(events(ap));
    assert_false(guest_icr(bsp, TO(1), INIT));
    assert_int_equal(notified(ap), 1);
    assert_true(events_pending(ap));
    assert_false(events(ap));
    assert_int_equal(ap->inits, 1);
    assert_false(events_pending(ap));
    assert_false(guest_icr(bsp, TO(1), SIPI(0x9A)));
    assert_int_equal(notified(ap), 1);
    assert_true(events_pending(ap));
    assert_true(events(ap));
    assert_int_equal(ap->sipis, 1);
    assert_int_equal(ap->page, 0x9A);
    guest_icr(bsp, TO(1), SIPI(0x12));
    assert_true(events(ap));
    assert_int_equal(ap->sipis, 1);
    assert_int_equal(bsp->inits + bsp->sipis, 0);
}

static void an_init_and_its_sipi_are_handed_over_at_once(void **state)
{
    (void)state;
    guest_icr(bsp, TO(1), INIT);
    guest_icr(bsp, TO(1), SIPI(0x33));
    assert_true(events(ap));
    assert_int_equal(ap->inits, 1);
    assert_int_equal(ap->sipis, 1);
    assert_int_equal(ap->page, 0x33);
}

static void an_init_resets_the_apic_and_what_was_held(void **state)
{
    (void)state;
    vmm_start_aps(&vmm, 2);
    guest_write(ap, VLAPIC_REG_LDR, TO(0x02));
    guest_icr(bsp, TO(1), 0x4400); /* NMI */
    assert_true(events_pending(ap));
    guest_icr(bsp, TO(1), 0x4041);
    guest_icr(bsp, TO(1), INIT);
    assert_int_equal(pending(ap), -1); /* a vector would be lost with the registers */
    assert_false(events(ap));
    assert_int_equal(ap->nmis, 0);
    assert_int_equal(guest_read(ap, VLAPIC_REG_LDR), 0);
    assert_int_equal(guest_read(ap, VLAPIC_REG_SVR), 0xFF);
}

static void an_event_that_another_question_finds_is_held(void **state)
{
    (void)state;
    vmm_start_aps(&vmm, 2);
    guest_icr(bsp, TO(1), 0x4400);
    assert_int_equal(pending(ap), -1);
    assert_int_equal(ap->nmis, 0);
    assert_true(events_pending(ap));
    assert_true(events_pending(ap));
    assert_true(events(ap));
    assert_int_equal(ap->nmis, 1);
    assert_false(events_pending(ap));
    assert_true(events(ap));
    assert_int_equal(ap->nmis, 1);
    /* The same for INIT and SIPI. */
    guest_icr(bsp, TO(1), INIT);
    assert_int_equal(pending(ap), -1);
    guest_icr(bsp, TO(1), SIPI(0x44));
    assert_int_equal(pending(ap), -1);
    assert_true(events(ap));
    assert_int_equal(ap->inits, 2);
    assert_int_equal(ap->page, 0x44);
    guest_icr(bsp, TO(1), INIT);
    assert_false(events(ap));
    guest_icr(bsp, TO(1), SIPI(0x45));
    assert_int_equal(pending(ap), -1);
    assert_int_equal(pending(ap), -1);
    assert_true(events_pending(ap));
    assert_true(events(ap));
    assert_int_equal(ap->page, 0x45);
}

/* Whoever sends INITs without end keeps no other vCPU in here: another one came while the first was taken. */
static void send_another_init(void *cookie)
{
    struct vcpu *vcpu = cookie;

    vcpu->inits++;
    vlapic_bhyve_deliver(vmm.vm, false, vcpu->id, true, VLAPIC_DELIVERY_INIT, 0);
}

static void one_init_is_taken_at_a_time(void **state)
{
    (void)state;
    vmm.host.init = send_another_init;
    guest_icr(ap, TO(0), INIT);
    assert_false(events(bsp));
    assert_int_equal(bsp->inits, 1);
    assert_true(events_pending(bsp));
    assert_false(events(bsp));
    assert_int_equal(bsp->inits, 2);
}

static void an_8259s_level_is_told_once_for_each_interrupt(void **state)
{
    (void)state;
    guest_write(bsp, VLAPIC_REG_LVT_LINT0, 0x700); /* ExtINT */
    kernel_critical_enter();
    vlapic_bhyve_set_lint(vmm.vm, bsp->apic, 0, true);
    kernel_critical_exit();
    assert_int_equal(notified(bsp), 1);
    assert_true(events_pending(bsp));
    assert_true(events(bsp));
    assert_true(events(bsp));
    assert_int_equal(bsp->extints, 1);
    assert_false(events_pending(bsp));       /* it may sleep: the vmm knows */
    vlapic_bhyve_extint_accepted(bsp->apic); /* and the 8259 has another one */
    assert_true(events_pending(bsp));
    assert_true(events(bsp));
    assert_int_equal(bsp->extints, 2);
    vlapic_bhyve_extint_accepted(bsp->apic);
    vlapic_bhyve_set_lint(vmm.vm, NULL, 0, false);
    assert_true(events(bsp));
    assert_int_equal(bsp->extints, 2);
    vlapic_bhyve_set_lint(vmm.vm, NULL, 0, true); /* of all vCPUs, this one alone listens */
    assert_true(events(bsp));
    assert_int_equal(bsp->extints, 3);
    vlapic_bhyve_set_lint(vmm.vm, bsp->apic, 0, false);
    assert_true(events(bsp));
    vlapic_bhyve_set_lint(vmm.vm, bsp->apic, 0, true); /* a new edge is told, though the last one was not served */
    vlapic_bhyve_set_lint(vmm.vm, bsp->apic, 2, true); /* there is no such pin */
    vlapic_bhyve_set_lint(vmm.vm, bsp->apic, -1, true);
    assert_true(events(bsp));
    assert_int_equal(bsp->extints, 4);
}

static void an_extint_message_is_told_once_and_without_an_8259_not_at_all(void **state)
{
    (void)state;
    vlapic_bhyve_deliver(vmm.vm, false, 0, true, VLAPIC_DELIVERY_EXTINT, 0);
    assert_int_equal(pending(bsp), -1);
    assert_true(events(bsp));
    assert_true(events(bsp));
    assert_int_equal(bsp->extints, 1);
    vmm.host.inject_extint = NULL;
    vlapic_bhyve_deliver(vmm.vm, false, 0, true, VLAPIC_DELIVERY_EXTINT, 0);
    assert_false(events_pending(bsp));
    assert_true(events(bsp));
    assert_int_equal(bsp->extints, 1);
}

static void a_snapshot_keeps_an_ap_waiting(void **state)
{
    uint8_t bytes[VLAPIC_SNAPSHOT_MAX];
    size_t length = sizeof bytes;

    (void)state;
    assert_int_equal(vlapic_bhyve_snapshot(ap->apic, bytes, &length, true), 0);
    vmm_start_aps(&vmm, 2);
    assert_int_equal(vlapic_bhyve_snapshot(ap->apic, bytes, &length, false), 0);
    assert_false(events(ap));
    guest_icr(bsp, TO(1), SIPI(0x77));
    assert_true(events(ap));
    assert_int_equal(ap->page, 0x77);
}

static void a_snapshot_hands_over_an_init_first_and_brings_back_a_sipi(void **state)
{
    uint8_t bytes[VLAPIC_SNAPSHOT_MAX];
    size_t length = sizeof bytes;

    (void)state;
    guest_icr(bsp, TO(1), INIT);
    assert_int_equal(vlapic_bhyve_snapshot(ap->apic, bytes, &length, true), 0);
    assert_int_equal(ap->inits, 1);
    /* A SIPI in the library's state, as another host may have saved it. */
    guest_icr(bsp, TO(1), SIPI(0x21));
    length = sizeof bytes;
    assert_int_equal(vlapic_snapshot_export_cpu(vlapic_bhyve_library_cpu(ap->apic), bytes, length, &length), VLAPIC_OK);
    vlapic_bhyve_reset(ap->apic);
    assert_int_equal(vlapic_bhyve_snapshot(ap->apic, bytes, &length, false), 0);
    assert_true(events_pending(ap));
    assert_true(events(ap));
    assert_int_equal(ap->page, 0x21);
}

static void a_restored_8259s_level_is_told_again(void **state)
{
    uint8_t bytes[VLAPIC_SNAPSHOT_MAX];
    size_t length = sizeof bytes;

    (void)state;
    guest_write(bsp, VLAPIC_REG_LVT_LINT0, 0x700);
    vlapic_bhyve_set_lint(vmm.vm, bsp->apic, 0, true);
    assert_int_equal(vlapic_bhyve_snapshot(bsp->apic, bytes, &length, true), 0);
    assert_int_equal(bsp->extints, 1);
    assert_int_equal(vlapic_bhyve_snapshot(bsp->apic, bytes, &length, false), 0);
    assert_true(events(bsp));
    assert_int_equal(bsp->extints, 2);
}

/* ---- exits to user space ---- */

static void assert_exit(struct vcpu *sender, enum vlapic_delivery mode, uint8_t vector, uint64_t first, unsigned count)
{
    assert_int_equal(vmm.exits, count);
    assert_ptr_equal(vmm.exit_sender, sender);
    assert_int_equal(vmm.exit_mode, mode);
    assert_int_equal(vmm.exit_vector, vector);
    assert_int_equal(vmm.exit_set[0], first);
}

static void user_space_hears_of_each_init_and_of_the_first_sipi(void **state)
{
    (void)state;
    assert_true(guest_icr(bsp, TO(1), INIT));
    assert_exit(bsp, VLAPIC_DELIVERY_INIT, 0, 2, 1);
    assert_int_equal(vmm.exit_words, 1);
    assert_true(guest_icr(bsp, TO(1), SIPI(0x9A)));
    assert_exit(bsp, VLAPIC_DELIVERY_SIPI, 0x9A, 2, 2);
    assert_false(guest_icr(bsp, TO(1), SIPI(0x9A))); /* though the AP's thread has not looked yet */
    assert_true(events(ap));
    assert_int_equal(ap->inits, 1);
    assert_int_equal(ap->page, 0x9A);
    assert_false(guest_icr(bsp, TO(1), SIPI(0x9A)));
    assert_int_equal(vmm.exits, 2);
    assert_true(guest_icr(bsp, TO(1), INIT)); /* and once more from the start */
    assert_false(events(ap));
    assert_true(guest_icr(bsp, TO(1), SIPI(0x10)));
    assert_true(events(ap));
    assert_int_equal(ap->page, 0x10);
    assert_int_equal(vmm.exits, 4);
}

static void what_is_not_sent_or_names_nobody_is_not_told(void **state)
{
    (void)state;
    assert_false(guest_icr(bsp, TO(1), 0x8500));         /* de-assert */
    assert_false(guest_icr(bsp, TO(1), 0x4400));         /* NMI */
    assert_false(guest_icr(bsp, TO(1), 0x4041));         /* Fixed */
    assert_false(guest_icr(bsp, TO(3), INIT));           /* not created */
    assert_false(guest_icr(bsp, TO(0x77), INIT));        /* will never be */
    assert_false(guest_icr(bsp, TO(1), INIT | 0x40000)); /* to self: not valid */
    assert_false(guest_icr(bsp, TO(0), SIPI(1)));        /* runs */
    assert_false(guest_write(bsp, VLAPIC_REG_ICR_HIGH, TO(1)));
    guest_wrmsr_faults(bsp, 0x830, 0x100000000 | INIT); /* in xAPIC mode */
    assert_int_equal(vmm.exits, 0);
    assert_false(events(ap));
    assert_int_equal(ap->inits, 0);
}

static void narrow_writes_of_icr_are_not_told(void **state)
{
    bool exit = true;

    (void)state;
    guest_write(bsp, VLAPIC_REG_ICR_HIGH, TO(1));
    assert_int_equal(vlapic_bhyve_write(bsp->apic, true, VLAPIC_REG_ICR_LOW, 2, INIT, &exit), 0);
    assert_false(exit);
    assert_false(events_pending(ap)); /* nor sent */
}

static void the_kernel_may_keep_it_to_itself(void **state)
{
    (void)state;
    vmm.to_user = false;
    assert_false(guest_icr(bsp, TO(1), INIT));
    assert_int_equal(vmm.exits, 1);
    assert_false(events(ap));
    assert_int_equal(ap->inits, 1);
}

static void the_set_has_room_for_every_vcpu(void **state)
{
    (void)state;
    vmm_prepare(&vmm);
    vmm.host.ipi_exit = vmm_ipi_exit;
    vmm.to_user = true;
    vmm.options.max_cpus = MAX_VCPUS;
    vmm_start(&vmm, 1);
    for (unsigned id = 1; id < MAX_VCPUS; id += id < 60 ? 20 : 1) /* some are not there */
        vmm_add(&vmm, id);
    assert_true(guest_icr(bsp, 0, INIT | OTHERS));
    assert_int_equal(vmm.exit_words, 3);
    assert_true(vmm.exit_set[0] == (0xE000000000000000ull | 1ull << 1 | 1ull << 21 | 1ull << 41 | 0));
    assert_true(vmm.exit_set[1] == UINT64_MAX);
    assert_int_equal(vmm.exit_set[2], 3);
    assert_true(guest_icr(bsp, TO(129), SIPI(7)));
    assert_true(vmm.exit_set[0] == 0 && vmm.exit_set[1] == 0 && vmm.exit_set[2] == 2);
    assert_true(guest_icr(bsp, 0, SIPI(8) | OTHERS)); /* 129 has its SIPI */
    assert_int_equal(vmm.exit_set[2], 1);
    assert_true(events(&vmm.vcpu[129]));
    assert_int_equal(vmm.vcpu[129].page, 7);
    assert_true(events(&vmm.vcpu[128]));
    assert_int_equal(vmm.vcpu[128].page, 8);
    vmm_stop(&vmm);
}

static void x2apic_destinations_are_understood(void **state)
{
    (void)state;
    guest_wrmsr(bsp, 0x1B, 0xFEE00D00);
    assert_true(guest_wrmsr(bsp, 0x830, 0x100000000 | INIT)); /* the AP is in xAPIC mode */
    assert_exit(bsp, VLAPIC_DELIVERY_INIT, 0, 2, 1);
    assert_false(events(ap));
    guest_wrmsr(ap, 0x1B, 0xFEE00C00);
    assert_true(guest_wrmsr(bsp, 0x830, 0x200000000 | SIPI(5) | 0x800)); /* logical: cluster 0, member 1 */
    assert_exit(bsp, VLAPIC_DELIVERY_SIPI, 5, 2, 2);
    assert_true(events(ap));
    guest_wrmsr_faults(bsp, 0x830, 0x100000000 | INIT | 1u << 13);
    assert_int_equal(vmm.exits, 2);
}

static void the_guests_logical_ids_are_followed(void **state)
{
    (void)state;
    assert_false(guest_icr(bsp, TO(0x04), INIT | 0x800));
    guest_write(ap, VLAPIC_REG_LDR, TO(0x04));
    assert_true(guest_icr(bsp, TO(0x04), INIT | 0x800));
    assert_exit(bsp, VLAPIC_DELIVERY_INIT, 0, 2, 1);
    guest_write(ap, VLAPIC_REG_DFR, 0x0FFFFFFF); /* cluster model: 0, member 2 */
    assert_false(guest_icr(bsp, TO(0x14), INIT | 0x800));
    assert_false(events(ap)); /* INIT: no LDR any more */
    assert_false(guest_icr(bsp, TO(0x04), INIT | 0x800));
    /* Disabled by IA32_APIC_BASE: named by nobody. */
    guest_wrmsr(ap, 0x1B, 0xFEE00000);
    assert_false(guest_icr(bsp, TO(1), INIT));
    assert_int_equal(vmm.exits, 1);
    vlapic_bhyve_reset(ap->apic);
    assert_true(guest_icr(bsp, TO(1), INIT));
}

static void an_init_that_user_space_did_not_hear_of_counts_for_the_next_sipi(void **state)
{
    (void)state;
    vmm_start_aps(&vmm, 2);
    vmm.exits = 0;
    vlapic_bhyve_deliver(vmm.vm, false, 1, true, VLAPIC_DELIVERY_INIT, 0); /* by the I/O APIC */
    assert_false(events(ap));
    assert_true(guest_icr(bsp, TO(1), SIPI(0x66)));
    assert_exit(bsp, VLAPIC_DELIVERY_SIPI, 0x66, 2, 1);
    assert_true(events(ap));
    assert_false(guest_icr(bsp, TO(1), SIPI(0x66)));
}

static void an_init_after_one_that_user_space_did_not_hear_of_is_told(void **state)
{
    (void)state;
    vmm_start_aps(&vmm, 2);
    vlapic_bhyve_deliver(vmm.vm, false, 1, true, VLAPIC_DELIVERY_INIT, 0);
    assert_false(events(ap));
    assert_true(guest_icr(bsp, TO(1), INIT));
}

static void after_power_up_and_reset_a_sipi_needs_no_init(void **state)
{
    (void)state;
    assert_true(guest_icr(bsp, TO(1), SIPI(0x66)));
    assert_true(events(ap));
    vlapic_bhyve_reset(ap->apic);
    assert_false(events(ap));
    assert_true(guest_icr(bsp, TO(1), SIPI(0x67)));
    assert_true(events(ap));
    assert_int_equal(ap->page, 0x67);
}

static void a_bsp_restarts_by_init_and_takes_no_sipi(void **state)
{
    uint8_t bytes[VLAPIC_SNAPSHOT_MAX];
    size_t length = sizeof bytes;

    (void)state;
    vmm_start_aps(&vmm, 2);
    for (unsigned n = 0; n < 3; n++) {
        if (n == 1)
            vlapic_bhyve_reset(bsp->apic);
        if (n == 2) {
            assert_int_equal(vlapic_bhyve_snapshot(bsp->apic, bytes, &length, true), 0);
            assert_int_equal(vlapic_bhyve_snapshot(bsp->apic, bytes, &length, false), 0);
        }
        assert_false(guest_icr(ap, TO(0), SIPI(1)));
        assert_true(guest_icr(ap, TO(0), INIT));
        assert_int_equal(vmm.exit_set[0], 1);
        assert_false(guest_icr(ap, TO(0), SIPI(1)));
        assert_true(events(bsp));
        assert_int_equal(bsp->inits, n + 1);
        assert_int_equal(bsp->sipis, 0);
    }
}

static void after_a_restore_the_state_of_the_snapshot_counts(void **state)
{
    uint8_t waiting[VLAPIC_SNAPSHOT_MAX], running[VLAPIC_SNAPSHOT_MAX];
    size_t waiting_length = sizeof waiting, running_length = sizeof running;

    (void)state;
    assert_int_equal(vlapic_bhyve_snapshot(ap->apic, waiting, &waiting_length, true), 0);
    vmm_start_aps(&vmm, 2);
    assert_int_equal(vlapic_bhyve_snapshot(ap->apic, running, &running_length, true), 0);
    assert_int_equal(vlapic_bhyve_snapshot(ap->apic, waiting, &waiting_length, false), 0);
    assert_true(guest_icr(bsp, TO(1), SIPI(0x66)));
    assert_true(events(ap));
    assert_int_equal(vlapic_bhyve_snapshot(ap->apic, waiting, &waiting_length, false), 0);
    assert_int_equal(vlapic_bhyve_snapshot(ap->apic, running, &running_length, false), 0);
    assert_false(guest_icr(bsp, TO(1), SIPI(0x66)));
    /* And its logical ID. */
    guest_write(ap, VLAPIC_REG_LDR, TO(0x02));
    assert_int_equal(vlapic_bhyve_snapshot(ap->apic, running, &running_length, false), 0);
    assert_false(guest_icr(bsp, TO(0x02), INIT | 0x800));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_ap_waits_until_init_and_sipi_came, start, stop),
        cmocka_unit_test_setup_teardown(an_init_and_its_sipi_are_handed_over_at_once, start, stop),
        cmocka_unit_test_setup_teardown(an_init_resets_the_apic_and_what_was_held, start, stop),
        cmocka_unit_test_setup_teardown(an_event_that_another_question_finds_is_held, start, stop),
        cmocka_unit_test_setup_teardown(one_init_is_taken_at_a_time, start, stop),
        cmocka_unit_test_setup_teardown(an_8259s_level_is_told_once_for_each_interrupt, start, stop),
        cmocka_unit_test_setup_teardown(an_extint_message_is_told_once_and_without_an_8259_not_at_all, start, stop),
        cmocka_unit_test_setup_teardown(a_snapshot_keeps_an_ap_waiting, start, stop),
        cmocka_unit_test_setup_teardown(a_snapshot_hands_over_an_init_first_and_brings_back_a_sipi, start, stop),
        cmocka_unit_test_setup_teardown(a_restored_8259s_level_is_told_again, start, stop),
        cmocka_unit_test_setup_teardown(after_power_up_and_reset_a_sipi_needs_no_init, start_with_exits, stop),
        cmocka_unit_test_setup_teardown(a_bsp_restarts_by_init_and_takes_no_sipi, start_with_exits, stop),
        cmocka_unit_test_setup_teardown(user_space_hears_of_each_init_and_of_the_first_sipi, start_with_exits, stop),
        cmocka_unit_test_setup_teardown(what_is_not_sent_or_names_nobody_is_not_told, start_with_exits, stop),
        cmocka_unit_test_setup_teardown(narrow_writes_of_icr_are_not_told, start_with_exits, stop),
        cmocka_unit_test_setup_teardown(the_kernel_may_keep_it_to_itself, start_with_exits, stop),
        cmocka_unit_test(the_set_has_room_for_every_vcpu),
        cmocka_unit_test_setup_teardown(x2apic_destinations_are_understood, start_with_exits, stop),
        cmocka_unit_test_setup_teardown(the_guests_logical_ids_are_followed, start_with_exits, stop),
        cmocka_unit_test_setup_teardown(an_init_that_user_space_did_not_hear_of_counts_for_the_next_sipi,
                                        start_with_exits, stop),
        cmocka_unit_test_setup_teardown(an_init_after_one_that_user_space_did_not_hear_of_is_told, start_with_exits,
                                        stop),
        cmocka_unit_test_setup_teardown(after_a_restore_the_state_of_the_snapshot_counts, start_with_exits, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
