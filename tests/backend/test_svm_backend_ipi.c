/* SPDX-License-Identifier: BSD-2-Clause */
/* Exits 401h: IPIs that hardware did not finish. AMD APM 2, "AVIC Incomplete IPI", "AVIC IPI Virtualization". */
#include "svm_bed.h"

#define OTHERS 0xC0000u
#define ALL_AND_SELF 0x80000u
#define SELF 0x40000u
#define LOGICAL 0x800u
#define FIXED 0x4000u
#define V 0x51

static void start(uint32_t features, unsigned count, bool x2apic)
{
    bed_prepare(features);
    bed_start(count);
    for (unsigned i = 0; i < count; i++) {
        if (x2apic) {
            bed_x2apic(i);
        }
    }
}

/* Asleep, so that waking is a kick. */
static void sleep_all_but_the_first(void)
{
    for (unsigned i = 1; i < bed.count; i++) {
        assert_int_equal(bed_pending(i), -1);
        assert_true(vlapic_cpu_halt(bed.cpu[i].cpu));
    }
    bed_enter(0);
    bed_forget();
}

static void wake_up(void)
{
    for (unsigned i = 1; i < bed.count; i++) {
        vlapic_cpu_exit(bed.cpu[i].cpu);
    }
}

/* vCPU 0 sends; those of the mask are woken once each, nobody is sent anything again, and nothing else happens. */
static void expect_woken(uint32_t high, uint32_t low, unsigned mask)
{
    sleep_all_but_the_first();
    assert_int_equal(bed_incomplete(0, 1, high, low), VLAPIC_SVM_RESUME);
    assert_int_equal(bed.cpu[0].length, 0);
    for (unsigned i = 0; i < bed.count; i++) {
        if (bed_count(BED_KICK, i) != (mask >> i & 1)) {
            fail_msg("ICR %x %x: vCPU %u, %u kicks", high, low, i, bed_count(BED_KICK, i));
        }
        assert_false(bed_bit(i, VLAPIC_REG_IRR, V));
    }
    assert_int_equal(bed.events, (unsigned)__builtin_popcount(mask));
    wake_up();
    for (unsigned i = 0; i < bed.count; i++) {
        assert_int_equal(bed_pending(i), -1); /* in no mailbox either */
    }
}

/* ---- ID 1: not running ---- */

static void a_physical_target_is_woken(void **state)
{
    (void)state;
    start(BED_AVIC, 3, false);
    expect_woken(0x01000000, FIXED | V, 2);
    expect_woken(0x02000000, FIXED | V, 4);
    expect_woken(0x03000000, FIXED | V, 0);
    expect_woken(0xFF000000, FIXED | V, 6);
    expect_woken(0xFF000000, FIXED | LOGICAL | V, 6);
    bed_end();
    start(BED_ALL, 3, true);
    expect_woken(1, FIXED | V, 2);
    expect_woken(0xFF, FIXED | V, 0);
    expect_woken(0xFFFFFFFF, FIXED | V, 6);
    expect_woken(0x7FFFFFFF, FIXED | V, 0);
}

static void shorthands_wake_all_that_sleep(void **state)
{
    (void)state;
    for (unsigned x2apic = 0; x2apic < 2; x2apic++) {
        start(BED_ALL, 4, x2apic);
        expect_woken(0, OTHERS | FIXED | V, 0xE);
        expect_woken(0, ALL_AND_SELF | FIXED | V, 0xE);
        expect_woken(0x01000000, SELF | FIXED | V, 0); /* it is running */
        bed_end();
    }
}

static void flat_and_cluster_targets_are_woken(void **state)
{
    (void)state;
    start(BED_AVIC, 3, false);
    bed_write(0, VLAPIC_REG_LDR, 0x01000000);
    bed_write(1, VLAPIC_REG_LDR, 0x02000000);
    bed_write(2, VLAPIC_REG_LDR, 0x80000000);
    expect_woken(0x02000000, FIXED | LOGICAL | V, 2);
    expect_woken(0x83000000, FIXED | LOGICAL | V, 6);
    expect_woken(0x40000000, FIXED | LOGICAL | V, 0);
    for (unsigned i = 0; i < 3; i++) {
        bed_write(i, VLAPIC_REG_DFR, 0x0FFFFFFF);
        bed_write(i, VLAPIC_REG_LDR, 0x31000000u + i * 0x0F000000u + (i == 2 ? 0x06000000u : 0)); /* 31, 40, 55 */
    }
    bed_write(1, VLAPIC_REG_LDR, 0x34000000);
    bed_write(2, VLAPIC_REG_LDR, 0x58000000);
    expect_woken(0x34000000, FIXED | LOGICAL | V, 2);
    expect_woken(0x35000000, FIXED | LOGICAL | V, 2);
    expect_woken(0x58000000, FIXED | LOGICAL | V, 4);
    expect_woken(0x50000000, FIXED | LOGICAL | V, 0);
    expect_woken(0xF8000000, FIXED | LOGICAL | V, 0);
}

static void x2apic_clusters_are_woken(void **state)
{
    (void)state;
    bed_prepare(BED_ALL);
    bed.config.max_apic_id = 300;
    bed.id[1] = 0x23;
    bed.id[2] = 0x2F;
    bed.id[3] = 300;
    bed_start(4);
    for (unsigned i = 0; i < 4; i++) {
        bed_x2apic(i);
    }
    expect_woken(0x00020008, FIXED | LOGICAL | V, 2);
    expect_woken(0x00028008, FIXED | LOGICAL | V, 6);
    expect_woken(0x00028000, FIXED | LOGICAL | V, 4);
    expect_woken(0x00121000, FIXED | LOGICAL | V, 8);
    expect_woken(0x00120001, FIXED | LOGICAL | V, 0);
    expect_woken(0xFFFE8008, FIXED | LOGICAL | V, 0); /* beyond the table */
}

/* Hardware rang for those that run; the others it leaves to us. */
static void who_runs_is_left_alone(void **state)
{
    (void)state;
    start(BED_AVIC, 3, false);
    bed_enter(0);
    bed_enter(1);
    assert_int_equal(bed_pending(2), -1);
    assert_true(vlapic_cpu_halt(bed.cpu[2].cpu));
    bed_forget();
    assert_int_equal(bed_incomplete(0, 1, 0, OTHERS | FIXED | V), VLAPIC_SVM_RESUME);
    assert_int_equal(bed.events, 1);
    assert_int_equal(bed_event_at(0, BED_KICK)->cpu, 2);
}

/* With erratum 1235 nobody runs by the table: hardware has rung for none. */
static void under_erratum_1235_all_targets_are_woken(void **state)
{
    (void)state;
    bed_prepare(BED_AVIC);
    bed.svm.erratum_1235 = true;
    bed_start(3);
    bed_enter(0);
    bed_enter(1);
    assert_int_equal(bed_pending(2), -1);
    assert_true(vlapic_cpu_halt(bed.cpu[2].cpu));
    bed_set_bit(1, VLAPIC_REG_IRR, V);
    bed_set_bit(0, VLAPIC_REG_IRR, V);
    bed_forget();
    assert_int_equal(bed_incomplete(0, 1, 0, ALL_AND_SELF | FIXED | V), VLAPIC_SVM_RESUME);
    assert_int_equal(bed_count(BED_KICK, 1), 1);
    assert_int_equal(bed_count(BED_KICK, 2), 1);
    assert_int_equal(bed_count(BED_KICK, 0), 0); /* it is here */
    /* The sender itself looks before it enters again. */
    bed_enter(0);
    assert_int_equal(bed.cpu[0].duty.vector, V);
}

/* What the exit's index says does not count. */
static void the_index_is_not_relied_on(void **state)
{
    static const uint32_t indices[] = { 0, 1, 2, 0xFFF, 0xFFFFF000 };

    (void)state;
    start(BED_AVIC, 3, false);
    for (unsigned i = 0; i < 5; i++) {
        sleep_all_but_the_first();
        assert_int_equal(bed_exit(0, SVMHW_EXIT_INCOMPLETE_IPI, 0x0100000000004051, 1ull << 32 | indices[i]),
                         VLAPIC_SVM_RESUME);
        assert_int_equal(bed.events, 1);
        assert_int_equal(bed_event_at(0, BED_KICK)->cpu, 1);
        wake_up();
    }
}

/* ---- IDs 0, 2, 4, 5: by software ---- */

static void an_ipi_that_was_not_sent_is_sent_by_software(void **state)
{
    static const uint32_t ids[] = { 2, 5 };

    (void)state;
    for (unsigned x2apic = 0; x2apic < 2; x2apic++) {
        for (unsigned i = 0; i < 2; i++) {
            start(BED_ALL, 3, x2apic);
            bed_enter(0);
            assert_int_equal(bed_incomplete(0, ids[i], x2apic ? 1 : 0x01000000, FIXED | 0x1000u * !x2apic | V),
                             VLAPIC_SVM_RESUME);
            assert_int_equal(bed.cpu[0].length, 0);
            assert_int_equal(bed_pending(1), V);
            assert_int_equal(bed_pending(2), -1);
            assert_int_equal(bed.cpu[0].page[VLAPIC_REG_ICR_LOW / 4], FIXED | V);
            assert_int_equal(bed.cpu[0].page[VLAPIC_REG_ICR_HIGH / 4], x2apic ? 1 : 0x01000000);
            /* And once. */
            assert_true(vlapic_cpu_accept(bed.cpu[1].cpu, V));
            bed_write(1, VLAPIC_REG_EOI, 0);
            assert_int_equal(bed_pending(1), -1);
            bed_end();
        }
    }
}

static void valid_targets_beside_invalid_ones_get_it(void **state)
{
    (void)state;
    start(BED_AVIC, 3, false);
    bed_write(1, VLAPIC_REG_LDR, 0x02000000);
    bed_enter(0);
    assert_int_equal(bed_incomplete(0, 2, 0x82000000, FIXED | LOGICAL | V), VLAPIC_SVM_RESUME);
    assert_int_equal(bed_pending(1), V);
    assert_int_equal(bed_pending(2), -1);
}

/* Whatever number the exit has. */
static void other_messages_are_sent_by_software(void **state)
{
    (void)state;
    for (uint32_t id = 0; id < 6; id++) {
        struct vlapic_poll duty;

        start(BED_AVIC, 2, false);
        bed_enter(0);
        assert_int_equal(bed_incomplete(0, id, 0x01000000, FIXED | 0x400), VLAPIC_SVM_RESUME);
        vlapic_cpu_poll(bed.cpu[1].cpu, &duty);
        assert_true(duty.nmi);
        bed_enter(0);
        assert_int_equal(bed_incomplete(0, id, 0x01000000, FIXED | 0x200), VLAPIC_SVM_RESUME);
        bed_enter(0);
        assert_int_equal(bed_incomplete(0, id, 0x01000000, FIXED | 0x100 | V), VLAPIC_SVM_RESUME); /* lowest priority */
        vlapic_cpu_poll(bed.cpu[1].cpu, &duty);
        assert_true(duty.smi);
        assert_int_equal(duty.vector, V);
        bed_enter(0);
        assert_int_equal(bed_incomplete(0, id, 0x01000000, 0xC500), VLAPIC_SVM_RESUME);
        vlapic_cpu_poll(bed.cpu[1].cpu, &duty);
        assert_true(duty.init);
        vlapic_cpu_drop_init(bed.cpu[1].cpu);
        bed_end();
    }
}

/* Reference 7.1, [A23]: hardware has set the bit of a target that sleeps before it came to an invalid one. */
static void a_target_before_an_invalid_one_is_woken(void **state)
{
    (void)state;
    bed_prepare(BED_AVIC);
    bed_hardware();
    bed.machine.readings.play[23] = SVMHW_A23_EARLIER;
    bed_start(2);
    bed_write(0, VLAPIC_REG_LDR, 0x01000000);
    bed_write(1, VLAPIC_REG_LDR, 0x02000000);
    bed_round(1);
    sleep_all_but_the_first();
    assert_int_equal(bed_vmrun(0).happened, SVMHW_DONE);
    assert_int_equal(svmhw_mmio_write(bed_core(0), 0xFEE00310, 4, 0x06000000).happened, SVMHW_DONE);
    assert_int_equal(svmhw_mmio_write(bed_core(0), 0xFEE00300, 4, LOGICAL | 0x61).happened, SVMHW_EXIT);
    assert_true(bed_bit(1, VLAPIC_REG_IRR, 0x61));
    assert_int_equal(vlapic_svm_exit(bed.cpu[0].cpu, &bed.cpu[0].length), VLAPIC_SVM_RESUME);
    assert_int_equal(bed_count(BED_KICK, 1), 1);
}

/* Reference 7.1, [A37]: hardware may have set the delivery status, which AMD's x2APIC mode refuses. */
static void the_delivery_status_does_not_lose_an_ipi(void **state)
{
    struct vlapic_poll duty;

    (void)state;
    bed_prepare(BED_X2AVIC);
    assert_int_equal(vlapic_vm_config_defaults(&bed.config, sizeof bed.config, VLAPIC_VENDOR_AMD), VLAPIC_OK);
    bed.config.host = &bed.host;
    bed.config.backend = &vlapic_backend_svm;
    bed.config.backend_config = &bed.svm;
    bed.config.x2apic = true;
    bed_start(2);
    bed_x2apic(0);
    bed_x2apic(1);
    bed_enter(0);
    assert_true(bed_uses_avic(0));
    assert_int_equal(bed_incomplete(0, 0, 1, 0x5400), VLAPIC_SVM_RESUME);
    vlapic_cpu_poll(bed.cpu[1].cpu, &duty);
    assert_true(duty.nmi);
    /* [A22]: the same as a trap. */
    bed_enter(0);
    bed.cpu[0].page[VLAPIC_REG_ICR_HIGH / 4] = 1;
    assert_int_equal(bed_trap(0, VLAPIC_REG_ICR_LOW, 0x5400), VLAPIC_SVM_RESUME);
    vlapic_cpu_poll(bed.cpu[1].cpu, &duty);
    assert_true(duty.nmi);
}

static void an_illegal_vector_is_an_error(void **state)
{
    (void)state;
    start(BED_AVIC, 2, false);
    bed_enter(0);
    assert_int_equal(bed_incomplete(0, 4, 0x01000000, FIXED | 0x0F), VLAPIC_SVM_RESUME);
    assert_int_equal(bed_pending(1), -1);
    bed_write(0, VLAPIC_REG_ESR, 0);
    assert_int_equal(bed_read(0, VLAPIC_REG_ESR), VLAPIC_ESR_SEND_ILLEGAL_VECTOR);
    bed_end();
    start(BED_ALL, 2, true);
    bed_enter(0);
    assert_int_equal(bed_incomplete(0, 4, 1, FIXED | 0x0F), VLAPIC_SVM_RESUME);
    bed_write(0, VLAPIC_REG_ESR, 0);
    assert_int_equal(bed_read(0, VLAPIC_REG_ESR), VLAPIC_ESR_SEND_ILLEGAL_VECTOR);
}

/* ---- the rest ---- */

static void broken_tables_are_reported(void **state)
{
    static const uint32_t ids[] = { 3, 6, 7, 0x80000001 };

    (void)state;
    start(BED_AVIC, 2, false);
    for (unsigned i = 0; i < 4; i++) {
        bed_enter(0);
        assert_int_equal(bed_incomplete(0, ids[i], 0x01000000, FIXED | V), VLAPIC_SVM_BROKEN);
        assert_int_equal(bed_pending(1), -1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_physical_target_is_woken, bed_teardown),
        cmocka_unit_test_teardown(shorthands_wake_all_that_sleep, bed_teardown),
        cmocka_unit_test_teardown(flat_and_cluster_targets_are_woken, bed_teardown),
        cmocka_unit_test_teardown(x2apic_clusters_are_woken, bed_teardown),
        cmocka_unit_test_teardown(who_runs_is_left_alone, bed_teardown),
        cmocka_unit_test_teardown(under_erratum_1235_all_targets_are_woken, bed_teardown),
        cmocka_unit_test_teardown(the_index_is_not_relied_on, bed_teardown),
        cmocka_unit_test_teardown(an_ipi_that_was_not_sent_is_sent_by_software, bed_teardown),
        cmocka_unit_test_teardown(valid_targets_beside_invalid_ones_get_it, bed_teardown),
        cmocka_unit_test_teardown(other_messages_are_sent_by_software, bed_teardown),
        cmocka_unit_test_teardown(a_target_before_an_invalid_one_is_woken, bed_teardown),
        cmocka_unit_test_teardown(the_delivery_status_does_not_lose_an_ipi, bed_teardown),
        cmocka_unit_test_teardown(an_illegal_vector_is_an_error, bed_teardown),
        cmocka_unit_test_teardown(broken_tables_are_reported, bed_teardown),
    };
    return cmocka_run_group_tests_name("svm: incomplete IPIs", tests, NULL, NULL);
}
