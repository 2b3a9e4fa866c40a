/* SPDX-License-Identifier: BSD-2-Clause */
/* The physical and logical APIC ID tables. AMD APM 2, "Physical APIC ID Table", "Logical APIC ID Table". */
#include "svm_bed.h"

#define DFR_FLAT 0xFFFFFFFFu
#define DFR_CLUSTER 0x0FFFFFFFu
#define LOGICAL(id) (SVMHW_LOGICAL_VALID | (id))
#define NOBODY 0xFFFFFFFFu

static uint64_t inhibits(unsigned cpu)
{
    return vlapic_backend_svm.inhibits(vlapic_backend_cpu_state(bed.cpu[cpu].cpu, &vlapic_backend_svm));
}

static void start(uint32_t features, unsigned count)
{
    bed_prepare(features);
    bed_start(count);
}

static uint64_t own_page(unsigned cpu)
{
    return BED_VALID | bed.cpu[cpu].page_pa;
}

static uint64_t discard_page(void)
{
    return BED_VALID | bed.svm.discard_page.pa;
}

/* Exactly these entries of the logical table are valid: index, ID; up to NOBODY. */
static void assert_logical(const uint32_t *pairs)
{
    for (uint32_t i = 0; i < BED_PAGE / 4; i++) {
        uint32_t expected = 0;

        for (const uint32_t *pair = pairs; *pair != NOBODY; pair += 2) {
            expected = pair[0] == i ? LOGICAL(pair[1]) : expected;
        }
        if (bed.logical[i] != expected) {
            fail_msg("logical entry %u is %x, not %x", i, bed.logical[i], expected);
        }
    }
}
#define ASSERT_LOGICAL(...) assert_logical((const uint32_t[]){ __VA_ARGS__, NOBODY })

/* ---- the physical table ---- */

static void an_entry_comes_and_goes_with_the_vcpu(void **state)
{
    (void)state;
    bed_prepare(BED_ALL);
    bed.id[1] = 7;
    bed_start(2);
    assert_int_equal(bed_physical(0), own_page(0));
    assert_int_equal(bed_physical(7), own_page(1));
    for (uint32_t id = 0; id < BED_TABLE_PAGES * BED_PAGE / 8; id++) {
        assert_true(id == 0 || id == 7 || bed_physical(id) == 0);
    }
    bed_write(1, VLAPIC_REG_LDR, 0x02000000);
    assert_int_equal(bed.logical[1], LOGICAL(7));
    vlapic_cpu_detach(bed.cpu[1].cpu);
    assert_int_equal(bed_physical(7), 0);
    assert_int_equal(bed.logical[1], 0);
    assert_int_equal(vlapic_cpu_attach(bed.cpu[1].cpu), VLAPIC_OK);
    assert_int_equal(bed_physical(7), own_page(1));
    assert_int_equal(bed.logical[1], LOGICAL(7));
    vlapic_cpu_destroy(bed.cpu[1].cpu);
    bed.cpu[1].cpu = NULL;
    assert_int_equal(bed_physical(7), 0);
    assert_int_equal(bed.logical[1], 0);
    assert_int_equal(bed_physical(0), own_page(0));
}

/* Hardware looks at neither SVR nor mode, and gives up an IPI to many if one entry is invalid. */
static void who_accepts_nothing_has_the_discard_page(void **state)
{
    (void)state;
    bed_prepare(BED_ALL);
    bed_make_vm();
    bed_make_cpu(0);
    assert_int_equal(bed_physical(0), discard_page());
    bed_write(0, VLAPIC_REG_SVR, 0x1FF);
    assert_int_equal(bed_physical(0), own_page(0));
    bed_write(0, VLAPIC_REG_SVR, 0x0FF);
    assert_int_equal(bed_physical(0), discard_page());
    bed_write(0, VLAPIC_REG_SVR, 0x1FF);
    bed_set_base(0, 0);
    assert_int_equal(bed_physical(0), discard_page());
    bed_set_base(0, VLAPIC_BASE_EN);
    assert_int_equal(bed_physical(0), discard_page()); /* SVR was reset */
    bed_write(0, VLAPIC_REG_SVR, 0x1FF);
    assert_int_equal(bed_physical(0), own_page(0));
    bed_x2apic(0);
    assert_int_equal(bed_physical(0), own_page(0));
    vlapic_cpu_reset(bed.cpu[0].cpu);
    assert_int_equal(bed_physical(0), discard_page());
}

static void an_id_beyond_the_table_has_no_entry(void **state)
{
    (void)state;
    bed_prepare(BED_X2AVIC);
    bed.config.max_apic_id = 600;
    bed.svm.physical_table_pages = 1;
    bed.id[1] = 600;
    bed_start(2);
    for (uint32_t id = 1; id < BED_TABLE_PAGES * BED_PAGE / 8; id++) {
        assert_int_equal(bed_physical(id), 0);
    }
    assert_int_equal(inhibits(0), VLAPIC_SVM_INHIBIT_PHYSICAL_ID);
    bed_x2apic(0);
    bed_x2apic(1);
    assert_int_equal(inhibits(0), VLAPIC_SVM_INHIBIT_PHYSICAL_ID);
    /* It is no matter while the vCPU accepts nothing. */
    bed_write(1, VLAPIC_REG_SVR, 0x0FF);
    assert_int_equal(inhibits(0), 0);
    bed_round(1);
}

static void an_id_that_the_guest_changed_inhibits(void **state)
{
    (void)state;
    bed_prepare(BED_ALL);
    bed.config.id_writable = true;
    bed_start(2);
    bed_write(1, VLAPIC_REG_ID, 0x05000000);
    assert_int_equal(inhibits(0), VLAPIC_SVM_INHIBIT_PHYSICAL_ID);
    assert_int_equal(inhibits(1), VLAPIC_SVM_INHIBIT_PHYSICAL_ID);
    assert_int_equal(bed_physical(1), own_page(1));
    bed_write(1, VLAPIC_REG_ID, 0x01000000);
    assert_int_equal(inhibits(0), 0);
    bed_write(1, VLAPIC_REG_ID, 0x05000000);
    bed_x2apic(0);
    bed_x2apic(1); /* the hardware ID again */
    assert_int_equal(inhibits(0), 0);
}

/* ---- the logical table ---- */

static void flat_ids_have_the_first_eight_entries(void **state)
{
    (void)state;
    start(BED_AVIC, 2);
    ASSERT_LOGICAL(NOBODY, 0); /* LDR is 0: nowhere, and no oddity */
    assert_int_equal(inhibits(0), 0);
    for (uint32_t bit = 0; bit < 8; bit++) {
        bed_write(0, VLAPIC_REG_LDR, 0x01000000u << bit);
        ASSERT_LOGICAL(bit, 0);
        assert_int_equal(inhibits(0), 0);
    }
    bed_write(1, VLAPIC_REG_LDR, 0x01000000);
    ASSERT_LOGICAL(7, 0, 0, 1);
    bed_write(0, VLAPIC_REG_LDR, 0);
    ASSERT_LOGICAL(0, 1);
}

static void cluster_ids_have_four_entries_a_cluster(void **state)
{
    (void)state;
    start(BED_AVIC, 1);
    bed_write(0, VLAPIC_REG_DFR, DFR_CLUSTER);
    for (uint32_t cluster = 0; cluster < 15; cluster++) {
        for (uint32_t bit = 0; bit < 4; bit++) {
            bed_write(0, VLAPIC_REG_LDR, cluster << 28 | 0x01000000u << bit);
            ASSERT_LOGICAL(4 * cluster + bit, 0);
            assert_int_equal(inhibits(0), 0);
        }
        bed_write(0, VLAPIC_REG_LDR, cluster << 28);
        ASSERT_LOGICAL(NOBODY, 0);
        assert_int_equal(inhibits(0), 0);
    }
}

static void what_an_entry_cannot_stand_for_inhibits(void **state)
{
    static const struct {
        uint32_t dfr, ldr;
    } rows[] = {
        { DFR_FLAT, 0x03000000 },    { DFR_FLAT, 0xFF000000 },
        { DFR_CLUSTER, 0x13000000 }, { DFR_CLUSTER, 0xF1000000 }, /* cluster 15 */
        { 0x5FFFFFFF, 0x01000000 },                               /* a format that there is not */
    };

    (void)state;
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        start(BED_AVIC, 2);
        bed_write(0, VLAPIC_REG_DFR, rows[i].dfr);
        bed_write(0, VLAPIC_REG_LDR, rows[i].ldr);
        ASSERT_LOGICAL(NOBODY, 0);
        assert_int_equal(inhibits(0), VLAPIC_SVM_INHIBIT_LOGICAL_ID);
        assert_int_equal(inhibits(1), VLAPIC_SVM_INHIBIT_LOGICAL_ID);
        bed_write(0, VLAPIC_REG_DFR, DFR_FLAT);
        bed_write(0, VLAPIC_REG_LDR, 0x04000000);
        ASSERT_LOGICAL(2, 0);
        assert_int_equal(inhibits(1), 0);
        bed_end();
    }
}

static void a_logical_id_used_twice_inhibits(void **state)
{
    (void)state;
    start(BED_AVIC, 3);
    bed_write(0, VLAPIC_REG_LDR, 0x01000000);
    bed_write(1, VLAPIC_REG_LDR, 0x01000000);
    ASSERT_LOGICAL(0, 0);
    assert_int_equal(inhibits(2), VLAPIC_SVM_INHIBIT_LOGICAL_ID);
    /* The second leaves: the first keeps its entry. */
    bed_write(1, VLAPIC_REG_LDR, 0x02000000);
    ASSERT_LOGICAL(0, 0, 1, 1);
    assert_int_equal(inhibits(2), 0);
}

static void two_formats_inhibit(void **state)
{
    (void)state;
    start(BED_AVIC, 2);
    bed_write(0, VLAPIC_REG_LDR, 0x01000000);
    bed_write(1, VLAPIC_REG_DFR, DFR_CLUSTER);
    assert_int_equal(inhibits(0), 0); /* it has no logical ID */
    bed_write(1, VLAPIC_REG_LDR, 0x12000000);
    ASSERT_LOGICAL(0, 0, 5, 1);
    assert_int_equal(inhibits(0), VLAPIC_SVM_INHIBIT_LOGICAL_ID);
    bed_write(0, VLAPIC_REG_DFR, DFR_CLUSTER);
    assert_int_equal(inhibits(0), 0);
    ASSERT_LOGICAL(0, 0, 5, 1);
}

static void whoever_accepts_nothing_has_no_logical_entry(void **state)
{
    (void)state;
    start(BED_AVIC, 2);
    bed_write(0, VLAPIC_REG_LDR, 0x01000000);
    bed_write(1, VLAPIC_REG_LDR, 0x03000000);
    assert_int_equal(inhibits(0), VLAPIC_SVM_INHIBIT_LOGICAL_ID);
    bed_write(1, VLAPIC_REG_SVR, 0x0FF);
    assert_int_equal(inhibits(0), 0);
    bed_write(0, VLAPIC_REG_SVR, 0x0FF);
    ASSERT_LOGICAL(NOBODY, 0);
    bed_write(0, VLAPIC_REG_SVR, 0x1FF);
    ASSERT_LOGICAL(0, 0);
    vlapic_cpu_reset(bed.cpu[0].cpu);
    ASSERT_LOGICAL(NOBODY, 0);
    bed_write(1, VLAPIC_REG_SVR, 0x1FF);
    assert_int_equal(inhibits(1), VLAPIC_SVM_INHIBIT_LOGICAL_ID);
    bed_set_base(1, 0);
    assert_int_equal(inhibits(1) & VLAPIC_SVM_INHIBIT_LOGICAL_ID, 0);
}

static void in_x2apic_mode_the_logical_table_is_empty(void **state)
{
    (void)state;
    start(BED_ALL, 1);
    bed_write(0, VLAPIC_REG_LDR, 0x01000000);
    ASSERT_LOGICAL(0, 0);
    bed_x2apic(0);
    ASSERT_LOGICAL(NOBODY, 0);
    assert_int_equal(inhibits(0), 0);
}

static void mixed_modes_inhibit(void **state)
{
    (void)state;
    start(BED_ALL, 3);
    bed_x2apic(0);
    assert_int_equal(inhibits(0), VLAPIC_SVM_INHIBIT_MIXED_MODES);
    assert_int_equal(inhibits(1), VLAPIC_SVM_INHIBIT_MIXED_MODES);
    bed_x2apic(1);
    assert_int_equal(inhibits(1), VLAPIC_SVM_INHIBIT_MIXED_MODES);
    bed_write(2, VLAPIC_REG_SVR, 0x0FF); /* accepts nothing: no matter */
    assert_int_equal(inhibits(0), 0);
}

/* With nothing but x2AVIC the logical table is not there, and what xAPIC guests do with LDR is no matter. */
static void without_avic_the_logical_table_is_not_touched(void **state)
{
    (void)state;
    bed_prepare(VLAPIC_SVM_X2AVIC);
    bed.svm.logical_table.va = NULL;
    bed_start(1);
    bed_write(0, VLAPIC_REG_LDR, 0x03000000);
    assert_int_equal(inhibits(0), VLAPIC_SVM_INHIBIT_MODE);
    bed_x2apic(0);
    assert_int_equal(inhibits(0), 0);
}

/* ---- others are told ---- */

static void who_changes_the_inhibits_wakes_all_others(void **state)
{
    (void)state;
    start(BED_AVIC, 3);
    for (unsigned i = 0; i < 3; i++) {
        bed_enter(i);
    }
    bed_forget();
    assert_int_equal(bed_trap(0, VLAPIC_REG_LDR, 0x03000000), VLAPIC_SVM_RESUME);
    assert_int_equal(bed_count(BED_KICK, 0), 0);
    assert_int_equal(bed_count(BED_KICK, 1), 1);
    assert_int_equal(bed_count(BED_KICK, 2), 1);
    bed_leave(1);
    bed_enter(1);
    assert_false(bed_uses_avic(1));
    /* The same on the way back; and a change that concerns nobody tells nobody. */
    bed_enter(0);
    assert_false(bed_uses_avic(0));
    bed_leave(0);
    bed_forget();
    bed_write(0, VLAPIC_REG_LDR, 0x01000000);
    assert_int_equal(bed_count(BED_KICK, 1), 1);
    bed_write(0, VLAPIC_REG_LDR, 0x02000000);
    assert_int_equal(bed_count(BED_KICK, 1), 1);
    bed_leave(1);
    bed_enter(1);
    assert_true(bed_uses_avic(1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(an_entry_comes_and_goes_with_the_vcpu, bed_teardown),
        cmocka_unit_test_teardown(who_accepts_nothing_has_the_discard_page, bed_teardown),
        cmocka_unit_test_teardown(an_id_beyond_the_table_has_no_entry, bed_teardown),
        cmocka_unit_test_teardown(an_id_that_the_guest_changed_inhibits, bed_teardown),
        cmocka_unit_test_teardown(flat_ids_have_the_first_eight_entries, bed_teardown),
        cmocka_unit_test_teardown(cluster_ids_have_four_entries_a_cluster, bed_teardown),
        cmocka_unit_test_teardown(what_an_entry_cannot_stand_for_inhibits, bed_teardown),
        cmocka_unit_test_teardown(a_logical_id_used_twice_inhibits, bed_teardown),
        cmocka_unit_test_teardown(two_formats_inhibit, bed_teardown),
        cmocka_unit_test_teardown(whoever_accepts_nothing_has_no_logical_entry, bed_teardown),
        cmocka_unit_test_teardown(in_x2apic_mode_the_logical_table_is_empty, bed_teardown),
        cmocka_unit_test_teardown(mixed_modes_inhibit, bed_teardown),
        cmocka_unit_test_teardown(without_avic_the_logical_table_is_not_touched, bed_teardown),
        cmocka_unit_test_teardown(who_changes_the_inhibits_wakes_all_others, bed_teardown),
    };
    return cmocka_run_group_tests_name("svm: tables", tests, NULL, NULL);
}
