/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Posted-interrupt processing.
 */
#include "apicv_machine.h"

#include <string.h>

static struct machine m;

static const struct controls posted = {
    .pin = 0x81,
    .primary = APICV_PRIMARY_TPR_SHADOW | APICV_PRIMARY_MSR_BITMAPS,
    .secondary = 0x301,
    .exit = APICV_EXIT_ACKNOWLEDGE_INTERRUPT,
};

static struct apicv_cpu *start(void)
{
    return machine_enter(&m, apicv_caps_skylake(), posted);
}

static void cpuid_exits(struct apicv_cpu *cpu)
{
    is_exit(cpu, apicv_guest_exit(cpu, 10, 0), 10, 0);
}

/* ---- where it ends ---- */

static void a_posted_vector_is_delivered_to_a_running_guest(void **unused)
{
    /* Reference 10, 20 item 6: every vector */
    (void)unused;
    for (unsigned vector = 16; vector < 256; vector++) {
        struct apicv_cpu *cpu = start();
        struct apicv_result result;

        descriptor_post(&m, 0, (uint8_t)vector);
        is_nothing(apicv_boundary(cpu)); /* no notification yet */
        result = apicv_external_interrupt(cpu, NOTIFICATION);
        is_delivered(result, (uint8_t)vector);
        assert_int_equal(result.posted, 1);
        assert_int_equal(cpu->physical_eois, 1);
        assert_false(descriptor_has(&m, 0, (uint8_t)vector));
        assert_int_equal(*descriptor_control(&m, 0), 0);
        assert_int_equal(apicv_boundary(cpu).posted, 0);
    }
}

static void a_posted_vector_wakes_a_halted_guest(void **unused)
{
    /* Reference 10, 20 item 6 */
    struct apicv_cpu *cpu = start();

    (void)unused;
    is_nothing(apicv_guest_hlt(cpu));
    is_nothing(apicv_boundary(cpu));
    assert_int_equal(cpu->guest.activity, APICV_HALTED);
    descriptor_post(&m, 0, 0x51);
    is_delivered(apicv_external_interrupt(cpu, NOTIFICATION), 0x51);
    assert_int_equal(cpu->guest.activity, APICV_ACTIVE);
}

static void a_halted_guest_stays_so_if_nothing_can_be_delivered(void **unused)
{
    /* Reference 10 */
    struct apicv_cpu *cpu = start();
    struct apicv_result result;

    (void)unused;
    is_nothing(apicv_guest_write_cr8(cpu, 0, 5));
    is_nothing(apicv_guest_hlt(cpu));
    descriptor_post(&m, 0, 0x51);
    result = apicv_external_interrupt(cpu, NOTIFICATION);
    is_nothing(result);
    assert_int_equal(result.posted, 1);
    assert_int_equal(cpu->guest.activity, APICV_HALTED);
    is_exit(cpu, apicv_external_interrupt(cpu, 0xF3), 1, 0);
    assert_int_equal(vmcs_get(cpu, APICV_GUEST_ACTIVITY), APICV_HALTED);
}

static void a_vector_below_tpr_moves_to_virr_only(void **unused)
{
    /* Reference 10, 20 item 6: every vector of the class of TPR and below */
    (void)unused;
    for (unsigned vector = 16; vector < 0x90; vector++) {
        struct apicv_cpu *cpu = start();

        is_nothing(apicv_guest_write_cr8(cpu, 0, 8));
        descriptor_post(&m, 0, (uint8_t)vector);
        is_nothing(apicv_external_interrupt(cpu, NOTIFICATION));
        assert_true(page_has(&m, 0, 0x200, (uint8_t)vector));
        assert_false(descriptor_has(&m, 0, (uint8_t)vector));
        assert_int_equal(cpu->rvi, vector);
    }
}

static void processing_does_not_wait_for_if(void **unused)
{
    /* Reference 10: IF delays only delivery */
    struct apicv_cpu *cpu = start();

    (void)unused;
    is_nothing(apicv_guest_cli(cpu));
    descriptor_post(&m, 0, 0x51);
    is_nothing(apicv_external_interrupt(cpu, NOTIFICATION));
    assert_true(page_has(&m, 0, 0x200, 0x51));
    is_nothing(apicv_guest_sti(cpu));
    is_nothing(apicv_guest_nop(cpu));
    is_delivered(apicv_boundary(cpu), 0x51);
}

/* ---- the descriptor ---- */

static void only_on_is_cleared(void **unused)
{
    /* Reference 10: SN, NV, NDST and the rest are never written */
    struct apicv_cpu *cpu = start();
    uint8_t *descriptor = machine_at(&m, DESCRIPTOR_PA(0));

    (void)unused;
    memset(descriptor + 32, 0xFF, 32);
    is_nothing(apicv_external_interrupt(cpu, NOTIFICATION));
    assert_true(*descriptor_control(&m, 0) == ~1ull);
    for (unsigned i = 40; i < 64; i++)
        assert_int_equal(descriptor[i], 0xFF);
}

static void all_of_pir_is_taken_at_once(void **unused)
{
    /* Reference 10, step 5 and 6 */
    struct apicv_cpu *cpu = start();

    (void)unused;
    is_nothing(apicv_guest_cli(cpu));
    memset(machine_at(&m, DESCRIPTOR_PA(0)), 0xA5, 32);
    is_nothing(apicv_external_interrupt(cpu, NOTIFICATION));
    for (uint32_t offset = 0x200; offset < 0x280; offset += 0x10)
        assert_int_equal(page_get(&m, 0, offset), 0xA5A5A5A5);
    for (unsigned vector = 0; vector < 256; vector++)
        assert_false(descriptor_has(&m, 0, (uint8_t)vector));
    assert_int_equal(cpu->rvi, 0xFF);
}

static void only_bits_of_pir_raise_rvi(void **unused)
{
    /* Reference 10, step 6: not what VIRR had before; and nothing with an empty PIR */
    struct apicv_cpu *cpu = start();

    (void)unused;
    is_nothing(apicv_guest_cli(cpu));
    page_add(&m, 0, 0x200, 0x91);
    is_nothing(apicv_external_interrupt(cpu, NOTIFICATION));
    assert_int_equal(cpu->rvi, 0);
    descriptor_post(&m, 0, 0x61);
    is_nothing(apicv_external_interrupt(cpu, NOTIFICATION));
    assert_int_equal(cpu->rvi, 0x61);
    descriptor_post(&m, 0, 0x41); /* below RVI, which stays */
    is_nothing(apicv_external_interrupt(cpu, NOTIFICATION));
    assert_int_equal(cpu->rvi, 0x61);
    assert_true(page_has(&m, 0, 0x200, 0x41) && page_has(&m, 0, 0x200, 0x61) && page_has(&m, 0, 0x200, 0x91));
}

static void sn_does_not_stop_processing(void **unused)
{
    /* Reference 10: SN is ignored by processing */
    struct apicv_cpu *cpu = start();

    (void)unused;
    *descriptor_control(&m, 0) = APICV_DESCRIPTOR_SN;
    descriptor_post(&m, 0, 0x51);
    is_delivered(apicv_external_interrupt(cpu, NOTIFICATION), 0x51);
    assert_int_equal(*descriptor_control(&m, 0), APICV_DESCRIPTOR_SN);
}

/* ---- other interrupts, other times ---- */

static void any_other_vector_exits(void **unused)
{
    /* Reference 10, step 2 */
    (void)unused;
    for (unsigned vector = 16; vector < 256; vector++) {
        struct apicv_cpu *cpu = start();
        struct apicv_result result;

        descriptor_post(&m, 0, 0x51);
        result = apicv_external_interrupt(cpu, (uint8_t)vector);
        if (vector == NOTIFICATION) {
            is_delivered(result, 0x51);
            continue;
        }
        is_exit(cpu, result, 1, 0);
        assert_int_equal(vmcs_get(cpu, APICV_EXIT_INTERRUPTION), 0x80000000u | vector);
        assert_true(descriptor_has(&m, 0, 0x51));
        assert_int_equal(*descriptor_control(&m, 0), 1);
        assert_int_equal(apicv_host_takes_interrupt(cpu), -1); /* acknowledged by the exit */
    }
}

static void without_the_control_the_notification_is_an_ordinary_interrupt(void **unused)
{
    /* Reference 10 */
    struct controls controls = posted;
    struct apicv_cpu *cpu;

    (void)unused;
    controls.pin = 0x01;
    cpu = machine_enter(&m, apicv_caps_skylake(), controls);
    is_exit(cpu, apicv_external_interrupt(cpu, NOTIFICATION), 1, 0);
    controls.exit = 0;
    machine_controls(&m, 0, controls);
    is_nothing(apicv_enter(cpu));
    is_exit(cpu, apicv_external_interrupt(cpu, NOTIFICATION), 1, 0);
    assert_int_equal(vmcs_get(cpu, APICV_EXIT_INTERRUPTION) >> 31, 0);
    assert_int_equal(apicv_host_takes_interrupt(cpu), NOTIFICATION); /* not acknowledged */
}

static void a_notification_that_came_before_entry_is_processed_after_it(void **unused)
{
    /* Reference 15: it waits in the processor's APIC while the host has interrupts off */
    struct apicv_cpu *cpu = start();

    (void)unused;
    cpuid_exits(cpu);
    descriptor_post(&m, 0, 0x51);
    apicv_interrupt_arrives(cpu, NOTIFICATION);
    assert_true(descriptor_has(&m, 0, 0x51));
    is_nothing(apicv_enter(cpu));
    is_delivered(apicv_boundary(cpu), 0x51);
}

static void a_notification_that_the_host_took_is_gone(void **unused)
{
    /* Reference 10 and 15: software has to look at ON */
    struct apicv_cpu *cpu = start();

    (void)unused;
    cpuid_exits(cpu);
    descriptor_post(&m, 0, 0x51);
    apicv_interrupt_arrives(cpu, NOTIFICATION);
    assert_int_equal(apicv_host_takes_interrupt(cpu), NOTIFICATION);
    is_nothing(apicv_enter(cpu));
    is_nothing(apicv_boundary(cpu));
    assert_int_equal(*descriptor_control(&m, 0), 1);
    assert_true(descriptor_has(&m, 0, 0x51));
}

static void whoever_runs_has_its_own_descriptor_processed(void **unused)
{
    /* Reference 10: a notification that comes while another vCPU runs */
    struct apicv_cpu *cpu = start();

    (void)unused;
    machine_controls(&m, 1, posted);
    cpuid_exits(cpu);
    assert_true(apicv_vmclear(&m.cpu[1], &m.vmcs[1]));
    assert_true(apicv_vmptrld(cpu, &m.vmcs[1]));
    is_nothing(apicv_enter(cpu));
    descriptor_post(&m, 0, 0x51);
    is_nothing(apicv_external_interrupt(cpu, NOTIFICATION));
    assert_true(descriptor_has(&m, 0, 0x51));
    assert_int_equal(*descriptor_control(&m, 0), 1);
}

static void between_iterations_of_rep_rf_is_set(void **unused)
{
    /* Reference 10 */
    struct apicv_cpu *cpu = start();

    (void)unused;
    cpu->guest.instruction_length = 0;
    is_nothing(apicv_guest_write(cpu, RAM_PA, 4, 1));
    is_nothing(apicv_external_interrupt(cpu, NOTIFICATION));
    is_exit(cpu, apicv_external_interrupt(cpu, 0x30), 1, 0);
    assert_int_equal(vmcs_get(cpu, APICV_GUEST_RFLAGS), 0x10202);
    assert_int_equal(vmcs_get(cpu, APICV_GUEST_RIP), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_posted_vector_is_delivered_to_a_running_guest),
        cmocka_unit_test(a_posted_vector_wakes_a_halted_guest),
        cmocka_unit_test(a_halted_guest_stays_so_if_nothing_can_be_delivered),
        cmocka_unit_test(a_vector_below_tpr_moves_to_virr_only),
        cmocka_unit_test(processing_does_not_wait_for_if),
        cmocka_unit_test(only_on_is_cleared),
        cmocka_unit_test(all_of_pir_is_taken_at_once),
        cmocka_unit_test(only_bits_of_pir_raise_rvi),
        cmocka_unit_test(sn_does_not_stop_processing),
        cmocka_unit_test(any_other_vector_exits),
        cmocka_unit_test(without_the_control_the_notification_is_an_ordinary_interrupt),
        cmocka_unit_test(a_notification_that_came_before_entry_is_processed_after_it),
        cmocka_unit_test(a_notification_that_the_host_took_is_gone),
        cmocka_unit_test(whoever_runs_has_its_own_descriptor_processed),
        cmocka_unit_test(between_iterations_of_rep_rf_is_set),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
