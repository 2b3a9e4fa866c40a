/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bits that hardware sets in IRR of an APIC that takes none, or whose state was replaced. AMD APM 2, "AVIC Backing Page", "AVIC IPI
 * Virtualization"; the register's rules: Intel SDM 3A, "Local APIC State After It Has Been Software Disabled".
 */
#include "svm_bed.h"

#define HELD 0x51
#define LATE 0x61

static void start(void)
{
    bed_prepare(BED_AVIC);
    bed_start(1);
    bed_round(0);
}

/* An IOMMU, or a sender that had read the table's entry before. */
static void hardware_sets(uint8_t vector)
{
    bed_set_bit(0, VLAPIC_REG_IRR, vector);
}

static void an_iommu_tells(uint8_t vector)
{
    hardware_sets(vector);
    vlapic_backend_wake(bed.cpu[0].cpu);
}

static void is_restorable(void)
{
    struct vlapic_cpu_state saved;
    const char *field = NULL;

    assert_int_equal(vlapic_cpu_get_state(bed.cpu[0].cpu, &saved, sizeof saved), VLAPIC_OK);
    if (vlapic_cpu_set_state(bed.cpu[0].cpu, &saved, VLAPIC_TIME_STOPPED, &field) != VLAPIC_OK) {
        fail_msg("refused: %s", field);
    }
}

/* Reference 13: "disabled: drop IRR bits on re-enable". */
static void what_comes_to_a_disabled_apic_is_dropped(void **state)
{
    (void)state;
    start();
    bed_set_base(0, 0);
    bed_round(0);
    an_iommu_tells(LATE);
    bed_enter(0);
    assert_int_equal(bed_injected(0), 0);
    bed_leave(0);
    hardware_sets(LATE); /* and nobody tells */
    is_restorable();
    hardware_sets(LATE);
    bed_set_base(0, VLAPIC_BASE_EN);
    bed_write(0, VLAPIC_REG_SVR, 0x1FF);
    bed_enter(0);
    assert_true(bed_uses_avic(0));
    assert_false(bed_bit(0, VLAPIC_REG_IRR, LATE));
}

/* Reference 13: "vCPU INIT: drop IRR bits that hardware senders set meanwhile". */
static void what_comes_after_an_init_is_dropped(void **state)
{
    (void)state;
    start();
    vlapic_cpu_take_init(bed.cpu[0].cpu);
    an_iommu_tells(LATE);
    bed_enter(0);
    assert_int_equal(bed_injected(0), 0);
    bed_leave(0);
    assert_false(bed_bit(0, VLAPIC_REG_IRR, LATE));
}

/* lapic.md 7.1: "not accepted"; "Bits already in IRR and ISR are held". */
static void a_software_disabled_apic_holds_what_it_had_and_takes_no_more(void **state)
{
    (void)state;
    for (unsigned is_told = 0; is_told < 2; is_told++) {
        start();
        bed.cpu[0].guest.rflags = 2;
        bed_enter(0);
        hardware_sets(HELD);
        assert_int_equal(bed_trap(0, VLAPIC_REG_SVR, 0x0FF), VLAPIC_SVM_RESUME);
        hardware_sets(LATE);
        if (is_told) {
            vlapic_backend_wake(bed.cpu[0].cpu);
            assert_int_equal(bed_pending(0), HELD);
            assert_false(bed_bit(0, VLAPIC_REG_IRR, LATE));
        }
        /* Neither a change of its identity nor a load of its state takes the rest away. */
        bed_write(0, VLAPIC_REG_LDR, 0x02000000);
        is_restorable();
        assert_true(bed_bit(0, VLAPIC_REG_IRR, HELD));
        assert_false(bed_bit(0, VLAPIC_REG_IRR, LATE));
        hardware_sets(LATE);
        bed_write(0, VLAPIC_REG_SVR, 0x1FF);
        assert_false(bed_bit(0, VLAPIC_REG_IRR, LATE));
        bed_enter(0);
        assert_true(bed_uses_avic(0));
        assert_true(bed_bit(0, VLAPIC_REG_IRR, HELD));
        bed_leave(0);
        bed_end();
    }
}

/* What it has not seen yet when it stops accepting came before: it is to be dispatched. */
static void a_bit_that_comes_just_before_the_disable_is_held(void **state)
{
    (void)state;
    start();
    assert_int_equal(bed_pending(0), -1);
    hardware_sets(HELD);
    bed_write(0, VLAPIC_REG_SVR, 0x0FF);
    bed_enter(0);
    assert_int_equal(bed_injected(0), SVMHW_EVENT_VALID | HELD);
}

/* An entry that is cancelled, and a delivery that is saved, give back what was held. */
static void a_held_vector_can_be_given_back(void **state)
{
    (void)state;
    start();
    hardware_sets(HELD);
    bed_write(0, VLAPIC_REG_SVR, 0x0FF);
    bed_enter(0);
    assert_int_equal(bed_injected(0), SVMHW_EVENT_VALID | HELD);
    assert_false(bed_bit(0, VLAPIC_REG_IRR, HELD));
    vlapic_svm_cancel(bed.cpu[0].cpu);
    an_iommu_tells(LATE);
    assert_int_equal(bed_pending(0), HELD);
    bed_enter(0);
    assert_int_equal(bed_injected(0), SVMHW_EVENT_VALID | HELD);
    bed_set(0, SVMHW_EXITINTINFO, 8, SVMHW_EVENT_VALID | HELD);
    bed_leave(0);
    bed_set(0, SVMHW_EXITINTINFO, 8, 0);
    assert_int_equal(vlapic_svm_get_in_flight(bed.cpu[0].cpu), 0);
    an_iommu_tells(LATE);
    assert_int_equal(bed_pending(0), HELD);
    /* Once it is taken, another one comes too late, too. */
    bed_enter(0);
    assert_int_equal(bed_injected(0), SVMHW_EVENT_VALID | HELD);
    bed_leave(0);
    an_iommu_tells(HELD);
    (void)bed_pending(0);
    assert_false(bed_bit(0, VLAPIC_REG_IRR, HELD));
}

/* What was known of the old state's IRR is news in the new one. */
static void a_restored_vcpu_hears_of_hardware(void **state)
{
    struct vlapic_cpu_state saved;

    (void)state;
    start();
    assert_int_equal(vlapic_cpu_get_state(bed.cpu[0].cpu, &saved, sizeof saved), VLAPIC_OK);
    bed_enter(0);
    hardware_sets(LATE);
    bed_leave(0);
    assert_int_equal(vlapic_cpu_set_state(bed.cpu[0].cpu, &saved, VLAPIC_TIME_STOPPED, NULL), VLAPIC_OK);
    assert_false(bed_bit(0, VLAPIC_REG_IRR, LATE));
    assert_int_equal(bed_pending(0), -1);
    /* IsRunning is set: the doorbell gets to the host. */
    assert_true(bed_physical(0) & BED_RUNNING);
    hardware_sets(LATE);
    assert_false(vlapic_cpu_halt(bed.cpu[0].cpu));
}

/* No APIC accepts vectors below 16; an IRTE may name one. */
static void illegal_vectors_do_not_stay(void **state)
{
    (void)state;
    start();
    bed_enter(0);
    hardware_sets(0x0F);
    hardware_sets(0x10);
    bed_leave(0);
    assert_int_equal(bed.cpu[0].page[VLAPIC_REG_IRR / 4], 1u << 0x10);
    hardware_sets(0x00);
    is_restorable();
    assert_int_equal(bed.cpu[0].page[VLAPIC_REG_IRR / 4], 1u << 0x10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(what_comes_to_a_disabled_apic_is_dropped, bed_teardown),
        cmocka_unit_test_teardown(what_comes_after_an_init_is_dropped, bed_teardown),
        cmocka_unit_test_teardown(a_software_disabled_apic_holds_what_it_had_and_takes_no_more, bed_teardown),
        cmocka_unit_test_teardown(a_bit_that_comes_just_before_the_disable_is_held, bed_teardown),
        cmocka_unit_test_teardown(a_held_vector_can_be_given_back, bed_teardown),
        cmocka_unit_test_teardown(a_restored_vcpu_hears_of_hardware, bed_teardown),
        cmocka_unit_test_teardown(illegal_vectors_do_not_stay, bed_teardown),
    };
    return cmocka_run_group_tests_name("svm: what hardware sets in IRR", tests, NULL, NULL);
}
