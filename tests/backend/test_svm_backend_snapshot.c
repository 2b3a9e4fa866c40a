/* SPDX-License-Identifier: BSD-2-Clause */
/* What is saved after the guest ran can be restored, whatever it did. AMD APM 2, "AVIC Backing Page", "EXITINTINFO", "NMI Virtualization". */
#include "svm_bed.h"

#define WINDOW 0xFEE00000u
#define CLOSED 0x2

static void run_on_hardware(void)
{
    bed_prepare(BED_AVIC);
    bed_hardware();
    bed_start(1);
    bed.cpu[0].guest.rflags = CLOSED;
    bed_enter(0);
    assert_int_equal(bed_vmrun(0).happened, SVMHW_DONE);
}

static void interrupt_hardware(void)
{
    bed_core(0)->host_if = true;
    svmhw_physical_raise(bed_core(0), SVMHW_PHYSICAL_INTR, 0xF0);
    assert_int_equal(svmhw_boundary(bed_core(0)).happened, SVMHW_EXIT);
    assert_int_equal(vlapic_svm_exit(bed.cpu[0].cpu, &bed.cpu[0].length), VLAPIC_SVM_NOT_MINE);
}

static struct vlapic_cpu_state save_and_restore(void)
{
    struct vlapic_cpu_state saved;
    const char *field = NULL;

    assert_int_equal(vlapic_cpu_get_state(bed.cpu[0].cpu, &saved, sizeof saved), VLAPIC_OK);
    if (vlapic_cpu_set_state(bed.cpu[0].cpu, &saved, VLAPIC_TIME_STOPPED, &field) != VLAPIC_OK) {
        fail_msg("refused: %s", field);
    }
    return saved;
}

/* ---- the page ---- */

/* Reference 6.4: hardware does a self-IPI without an exit, and the page has reserved bit 20. */
static void an_accelerated_icr_write_can_be_restored(void **state)
{
    (void)state;
    run_on_hardware();
    assert_int_equal(svmhw_mmio_write(bed_core(0), WINDOW + VLAPIC_REG_ICR_LOW, 4, 0x00140061).happened, SVMHW_DONE);
    interrupt_hardware();
    assert_int_equal(save_and_restore().icr, 0x00040061);
}

/* Reference 16.4, [A26]: accesses of other widths go to the page as to memory. */
static void bytes_of_any_register_leave_a_state_that_can_be_restored(void **state)
{
    static const uint8_t values[] = { 0xFF, 0x00, 0xA5, 0x5A };

    (void)state;
    for (unsigned i = 0; i < sizeof values / sizeof values[0]; i++) {
        run_on_hardware();
        for (uint32_t at = 0; at < 0x1000; at++) {
            assert_int_equal(svmhw_mmio_write(bed_core(0), WINDOW + at, 1, values[i]).happened, SVMHW_DONE);
        }
        interrupt_hardware();
        assert_int_equal(bed_read(0, VLAPIC_REG_VERSION), 0x00050014);
        assert_int_equal(bed_read(0, VLAPIC_REG_SVR), 0x1FF);
        assert_int_equal(save_and_restore().irr[7] & 0xFF, values[i]);
        bed_end();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(an_accelerated_icr_write_can_be_restored, bed_teardown),
        cmocka_unit_test_teardown(bytes_of_any_register_leave_a_state_that_can_be_restored, bed_teardown),
    };
    return cmocka_run_group_tests_name("svm: snapshots", tests, NULL, NULL);
}
