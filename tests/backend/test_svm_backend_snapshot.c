/* SPDX-License-Identifier: BSD-2-Clause */
/* What is saved after the guest ran can be restored, whatever it did. AMD APM 2, "AVIC Backing Page", "EXITINTINFO", "NMI Virtualization". */
#include "svm_bed.h"

#define WINDOW 0xFEE00000u
#define CLOSED 0x2
#define NMI (SVMHW_EVENT_VALID | SVMHW_TYPE_NMI << 8 | 2)
#define NMI_BLOCKED (1u << 29)
#define EXTINT (SVMHW_EVENT_VALID | BED_EXTINT)

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

/* ---- NMIs ---- */

static void start(uint32_t features)
{
    bed_prepare(features);
    bed_start(1);
}

/* To a new vCPU, and to one that has been used, with or without vNMI. */
static void restore_to(uint32_t features, const struct vlapic_cpu_state *saved, uint32_t in_flight)
{
    start(features);
    bed.cpu[0].guest.nmi = true;
    bed_round(0);
    bed.cpu[0].guest.nmi = false;
    bed_set(0, SVMHW_VINTR_CONTROL, 8, SVMHW_V_INTR_MASKING);
    assert_int_equal(vlapic_cpu_set_state(bed.cpu[0].cpu, saved, VLAPIC_TIME_STOPPED, NULL), VLAPIC_OK);
    vlapic_svm_vmcb_replaced(bed.cpu[0].cpu);
    vlapic_svm_set_in_flight(bed.cpu[0].cpu, in_flight);
    assert_int_equal(vlapic_svm_get_in_flight(bed.cpu[0].cpu), in_flight);
}

static uint32_t save_and_end(struct vlapic_cpu_state *saved)
{
    uint32_t in_flight = vlapic_svm_get_in_flight(bed.cpu[0].cpu);

    assert_int_equal(vlapic_cpu_get_state(bed.cpu[0].cpu, saved, sizeof *saved), VLAPIC_OK);
    bed_end();
    return in_flight;
}

/* An NMI is in service; with vNMI another one may be pending in hardware. */
static uint32_t saved_in_service(uint32_t features, bool another, struct vlapic_cpu_state *saved)
{
    start(features);
    bed.cpu[0].guest.nmi = true;
    bed_enter(0);
    bed.cpu[0].guest.nmi = false;
    if (features == VLAPIC_SVM_VNMI) {
        uint64_t pending = another ? SVMHW_V_NMI : 0;

        bed_set(0, SVMHW_VINTR_CONTROL, 8, (bed_control(0) & ~SVMHW_V_NMI) | SVMHW_V_NMI_MASK | pending);
    }
    bed_leave(0);
    return save_and_end(saved);
}

static bool iret_exits(void)
{
    return (bed_get(0, SVMHW_INTERCEPT_3, 4) >> 20 & 1) != 0;
}

static const uint32_t kinds[] = { 0, VLAPIC_SVM_VNMI };

/* Reference 3.5: blocked up to the IRET. svm_run.h, vlapic_svm_get_in_flight(): bit 29. */
static void nmi_blocking_survives_a_snapshot(void **state)
{
    struct vlapic_cpu_state saved;

    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        uint32_t from = kinds[i / 2], to = kinds[i % 2];
        uint32_t in_flight = saved_in_service(from, false, &saved);

        assert_int_equal(in_flight, NMI_BLOCKED);
        restore_to(to, &saved, in_flight);
        bed.cpu[0].guest.nmi = true;
        bed_enter(0);
        assert_int_equal(bed_injected(0), 0);
        if (to == VLAPIC_SVM_VNMI) {
            assert_int_equal(bed_control(0) & (SVMHW_V_NMI | SVMHW_V_NMI_MASK), SVMHW_V_NMI | SVMHW_V_NMI_MASK);
            assert_int_equal(bed_exit(0, SVMHW_EXIT_IRET, 0, 0), VLAPIC_SVM_NOT_MINE); /* the embedder's intercept */
        } else {
            assert_true(iret_exits());
            assert_int_equal(bed_exit(0, SVMHW_EXIT_IRET, 0, 0), VLAPIC_SVM_RESUME);
            bed_set(0, SVMHW_RIP, 8, 0x7777);
            bed_enter(0);
            assert_int_equal(bed_injected(0), NMI);
        }
        bed_end();
    }
}

/* Reference 3.5: "one pending NMI can be held besides one in service". It must not come on top of the handler. */
static void a_restored_nmi_waits_for_the_one_in_service(void **state)
{
    struct vlapic_cpu_state saved;

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        uint32_t in_flight = saved_in_service(VLAPIC_SVM_VNMI, true, &saved);

        assert_int_equal(in_flight, NMI | NMI_BLOCKED);
        restore_to(kinds[i], &saved, in_flight);
        assert_true(vlapic_cpu_post(bed.cpu[0].cpu, 0x61, false));
        bed_enter(0);
        if (kinds[i] == VLAPIC_SVM_VNMI) {
            assert_int_equal(bed_injected(0), 0);
            assert_int_equal(bed_control(0) & (SVMHW_V_NMI | SVMHW_V_NMI_MASK), SVMHW_V_NMI | SVMHW_V_NMI_MASK);
            bed_leave(0);
            assert_int_equal(vlapic_svm_get_in_flight(bed.cpu[0].cpu), NMI | NMI_BLOCKED);
        } else {
            assert_int_equal(bed_injected(0), SVMHW_EVENT_VALID | 0x61); /* the handler has IF = 1 */
            assert_true(iret_exits());
            bed_leave(0);
            assert_int_equal(bed_exit(0, SVMHW_EXIT_IRET, 0, 0), VLAPIC_SVM_RESUME);
            bed_set(0, SVMHW_RIP, 8, 0x7777);
            bed_enter(0);
            assert_int_equal(bed_injected(0), NMI);
            bed_leave(0);
            assert_int_equal(vlapic_svm_get_in_flight(bed.cpu[0].cpu), NMI_BLOCKED); /* once */
        }
        bed_end();
    }
}

/* Reference 3.5: an exit on the way of an NMI; that it blocks others is its own doing. */
static void an_interrupted_nmi_is_restored_as_one(void **state)
{
    struct vlapic_cpu_state saved;

    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        uint32_t in_flight;

        start(kinds[i / 2]);
        bed.cpu[0].guest.nmi = true;
        bed_enter(0);
        bed.cpu[0].guest.nmi = false;
        bed_set(0, SVMHW_VINTR_CONTROL, 8, bed_control(0) & ~SVMHW_V_NMI);
        bed_set(0, SVMHW_EXITINTINFO, 8, NMI);
        bed_leave(0);
        in_flight = save_and_end(&saved);
        assert_int_equal(in_flight, NMI);
        restore_to(kinds[i % 2], &saved, in_flight);
        bed_enter(0);
        assert_int_equal(bed_injected(0), NMI);
        bed_end();
    }
}

/* svm_run.h, vlapic_svm_get_in_flight(): bit 30. The ExtINT was interrupted on its way, the NMI is pending in V_NMI. */
static void an_nmi_beside_an_extint_is_saved_with_it(void **state)
{
    const uint32_t both = (uint32_t)EXTINT | 1u << 30;

    (void)state;
    start(VLAPIC_SVM_VNMI);
    bed.cpu[0].guest.extint = true;
    bed_enter(0);
    assert_int_equal(bed_injected(0), EXTINT);
    bed.cpu[0].guest.extint = false;
    bed_set(0, SVMHW_EXITINTINFO, 8, EXTINT);
    bed_leave(0);
    bed_set(0, SVMHW_EXITINTINFO, 8, 0);
    bed.cpu[0].guest.nmi = true;
    bed_enter(0);
    assert_int_equal(bed.cpu[0].entry.injected, VLAPIC_SVM_INJECTED_NMI); /* pending no more */
    vlapic_svm_cancel(bed.cpu[0].cpu);
    bed.cpu[0].guest.nmi = false;
    assert_int_equal(vlapic_svm_get_in_flight(bed.cpu[0].cpu), both);
    vlapic_svm_set_in_flight(bed.cpu[0].cpu, both);
    bed_enter(0);
    assert_int_equal(bed_injected(0), NMI);
    bed_leave(0);
    bed_enter(0);
    assert_int_equal(bed_injected(0), EXTINT);
}

/* A reset and another state end what was restored. */
static void a_reset_ends_restored_blocking(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        start(kinds[i]);
        vlapic_svm_set_in_flight(bed.cpu[0].cpu, NMI | NMI_BLOCKED);
        vlapic_cpu_reset(bed.cpu[0].cpu);
        assert_int_equal(vlapic_svm_get_in_flight(bed.cpu[0].cpu), 0);
        bed_enter(0);
        assert_int_equal(bed_injected(0), 0);
        assert_int_equal(bed_control(0) & (SVMHW_V_NMI | SVMHW_V_NMI_MASK), 0);
        assert_false(iret_exits());
        bed_end();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(an_accelerated_icr_write_can_be_restored, bed_teardown),
        cmocka_unit_test_teardown(bytes_of_any_register_leave_a_state_that_can_be_restored, bed_teardown),
        cmocka_unit_test_teardown(nmi_blocking_survives_a_snapshot, bed_teardown),
        cmocka_unit_test_teardown(a_restored_nmi_waits_for_the_one_in_service, bed_teardown),
        cmocka_unit_test_teardown(an_interrupted_nmi_is_restored_as_one, bed_teardown),
        cmocka_unit_test_teardown(an_nmi_beside_an_extint_is_saved_with_it, bed_teardown),
        cmocka_unit_test_teardown(a_reset_ends_restored_blocking, bed_teardown),
    };
    return cmocka_run_group_tests_name("svm: snapshots", tests, NULL, NULL);
}
