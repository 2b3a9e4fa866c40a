/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which VMCB fields and MSR permission bits an entry writes, and no others. AMD APM 2, "VMCB Layout", "VMCB Clean Bits", "VMCB Changes for
 * AVIC", "MSR Intercepts", "TPR Virtualization".
 */
#include "svm_bed.h"

#define CLEAN_INTERCEPTS (1u << SVMHW_CLEAN_INTERCEPTS)
#define CLEAN_MAPS (1u << SVMHW_CLEAN_PERMISSION_MAPS)
#define CLEAN_VINTR (1u << SVMHW_CLEAN_VINTR)
#define CLEAN_AVIC (1u << SVMHW_CLEAN_AVIC)
#define FOREIGN 0xC3
#define CR8_READ_AND_WRITE (1u << 8 | 1u << 24)
#define VINTR (1u << 4)

/* 060h as the embedder has it: V_INTR_MASKING, VGIF. */
#define OURS (SVMHW_V_INTR_MASKING | SVMHW_V_GIF | SVMHW_V_GIF_ENABLE)

static void start(uint32_t features, unsigned count)
{
    bed_prepare(features);
    bed_start(count);
}

static uint32_t clean(unsigned cpu)
{
    return (uint32_t)bed_get(cpu, SVMHW_CLEAN, 4);
}

/* What an entry takes away of clean bits that are all set. */
static uint32_t dirtied(void)
{
    bed_set(0, SVMHW_CLEAN, 4, UINT32_MAX);
    bed_enter(0);
    return ~clean(0);
}

/* ---- the whole page ---- */

static bool may_differ(unsigned offset)
{
    return offset < 4 || (offset >= 0x00C && offset < 0x010) || (offset >= 0x060 && offset < 0x068) ||
           (offset >= 0x098 && offset < 0x0A0) || (offset >= 0x0C0 && offset < 0x0C4) ||
           (offset >= 0x0E0 && offset < 0x0E8) || (offset >= 0x0F0 && offset < 0x100);
}

static void no_other_field_is_touched(void **state)
{
    static uint8_t before[BED_PAGE];

    (void)state;
    start(BED_ALL, 1);
    memset(bed.cpu[0].vmcb, FOREIGN, BED_PAGE);
    bed_set(0, SVMHW_VINTR_CONTROL, 8, OURS);
    memcpy(before, bed.cpu[0].vmcb, BED_PAGE);
    bed_enter(0);
    for (unsigned i = 0; i < BED_PAGE; i++) {
        if (!may_differ(i) && bed.cpu[0].vmcb[i] != before[i]) {
            fail_msg("offset %x: %x", i, bed.cpu[0].vmcb[i]);
        }
    }
    /* Of the shared words only what is the backend's. */
    assert_int_equal(bed_get(0, SVMHW_INTERCEPT_CR, 4), 0xC3C3C3C3u & ~CR8_READ_AND_WRITE);
    assert_int_equal(bed_get(0, SVMHW_INTERCEPT_3, 4), 0xC3C3C3C3u & ~VINTR);
    assert_int_equal(bed_control(0), OURS | SVMHW_AVIC_ENABLE | SVMHW_V_NMI_ENABLE);
    assert_int_equal(bed_get(0, SVMHW_APIC_BAR, 8), 0xFEE00000);
    assert_int_equal(bed_get(0, SVMHW_BACKING_PAGE, 8), bed.cpu[0].page_pa);
    assert_int_equal(bed_get(0, SVMHW_LOGICAL_TABLE, 8), bed.svm.logical_table.pa);
    assert_int_equal(bed_get(0, SVMHW_PHYSICAL_TABLE, 8), bed.svm.physical_table.pa | 254);
}

/* V_TPR, V_IRQ, priority, V_IGN_TPR, vector, V_NMI, vNMI and AVIC enable: whatever was there is gone. */
static void of_060h_all_but_masking_and_vgif_is_the_backends(void **state)
{
    (void)state;
    start(0, 1);
    bed_set(0, SVMHW_VINTR_CONTROL, 8, UINT64_MAX);
    bed_write(0, VLAPIC_REG_TPR, 0x70);
    bed_enter(0);
    assert_int_equal(bed_control(0) & 0x000000FFC41F090F, 7);
    assert_int_equal(bed_control(0) & OURS, OURS);
    bed_end();
    start(VLAPIC_SVM_VNMI, 1);
    bed_set(0, SVMHW_VINTR_CONTROL, 8, OURS | SVMHW_V_NMI_MASK);
    vlapic_svm_vmcb_replaced(bed.cpu[0].cpu);
    bed_enter(0);
    assert_int_equal(bed_control(0), OURS | SVMHW_V_NMI_MASK | SVMHW_V_NMI_ENABLE);
}

static void without_avic_its_pointers_are_not_written(void **state)
{
    (void)state;
    start(VLAPIC_SVM_VNMI, 1);
    bed_set(0, SVMHW_APIC_BAR, 8, 1);
    bed_set(0, SVMHW_BACKING_PAGE, 8, 2);
    bed_set(0, SVMHW_LOGICAL_TABLE, 8, 3);
    bed_set(0, SVMHW_PHYSICAL_TABLE, 8, 4);
    bed_enter(0);
    assert_int_equal(bed_get(0, SVMHW_APIC_BAR, 8), 1);
    assert_int_equal(bed_get(0, SVMHW_BACKING_PAGE, 8), 2);
    assert_int_equal(bed_get(0, SVMHW_LOGICAL_TABLE, 8), 3);
    assert_int_equal(bed_get(0, SVMHW_PHYSICAL_TABLE, 8), 4);
}

/* ---- clean bits ---- */

static void an_entry_that_changes_nothing_keeps_all_clean_bits(void **state)
{
    (void)state;
    start(BED_ALL, 1);
    assert_int_equal(dirtied(), CLEAN_VINTR | CLEAN_AVIC | CLEAN_MAPS);
    bed_leave(0);
    assert_int_equal(dirtied(), 0);
    bed_leave(0);
    bed_end();
    start(0, 1);
    bed_round(0);
    assert_int_equal(dirtied(), 0);
}

static void each_change_clears_its_clean_bit_alone(void **state)
{
    (void)state;
    start(BED_ALL, 1);
    bed_round(0);
    /* TPR. */
    bed_write(0, VLAPIC_REG_TPR, 0x50);
    assert_int_equal(dirtied(), CLEAN_VINTR);
    bed_leave(0);
    bed_write(0, VLAPIC_REG_TPR, 0x00);
    bed_round(0);
    /* The base moves within the mode. */
    assert_int_equal(vlapic_cpu_msr_write(bed.cpu[0].cpu, VLAPIC_MSR_APIC_BASE, 0xFEC00900), VLAPIC_ACCESS_DONE);
    assert_int_equal(dirtied(), CLEAN_AVIC);
    assert_int_equal(bed_get(0, SVMHW_APIC_BAR, 8), 0xFEC00000);
    bed_leave(0);
    /* An NMI for vNMI. */
    bed.cpu[0].guest.nmi = true;
    assert_int_equal(dirtied(), CLEAN_VINTR);
    bed.cpu[0].guest.nmi = false;
    bed_set(0, SVMHW_VINTR_CONTROL, 8, bed_control(0) & ~SVMHW_V_NMI);
    bed_leave(0);
    /* AVIC off: 060h and the map. */
    vlapic_svm_inhibit(bed.vm, VLAPIC_SVM_INHIBIT_REQUEST, true);
    assert_int_equal(dirtied(), CLEAN_VINTR | CLEAN_AVIC | CLEAN_MAPS);
    bed_leave(0);
    /* A window: 060h and the intercepts. */
    bed.cpu[0].guest.rflags = 2;
    assert_true(vlapic_cpu_post(bed.cpu[0].cpu, 0x61, false));
    assert_int_equal(dirtied(), CLEAN_VINTR | CLEAN_INTERCEPTS);
    bed_leave(0);
    /* The CR8 intercept. */
    bed_write(0, VLAPIC_REG_TPR, 0x60);
    bed_set(0, SVMHW_VINTR_CONTROL, 1, 6);
    assert_int_equal(dirtied(), CLEAN_VINTR | CLEAN_INTERCEPTS);
    bed_leave(0);
    /* EVENTINJ is never cached. */
    bed_write(0, VLAPIC_REG_TPR, 0);
    bed_round(0);
    bed.cpu[0].guest.rflags = 0x202;
    bed_enter(0);
    assert_int_equal(bed_injected(0), SVMHW_EVENT_VALID | 0x61);
    bed_leave(0);
    assert_true(vlapic_cpu_post(bed.cpu[0].cpu, 0x71, false));
    assert_int_equal(dirtied(), 0);
    assert_int_equal(bed_injected(0), SVMHW_EVENT_VALID | 0x71);
    bed_leave(0);
    /* The CR8 intercept alone. */
    bed_write(0, VLAPIC_REG_TPR, 0x01);
    assert_int_equal(dirtied(), CLEAN_INTERCEPTS);
}

static void a_new_vmcb_is_written_whole(void **state)
{
    (void)state;
    start(BED_ALL, 1);
    bed_x2apic(0);
    bed_round(0);
    bed_set(0, SVMHW_VINTR_CONTROL, 8, SVMHW_V_INTR_MASKING);
    bed_set(0, SVMHW_BACKING_PAGE, 8, 0);
    bed_set(0, SVMHW_PHYSICAL_TABLE, 8, 0);
    memset(bed.cpu[0].msr_map, 0xFF, 2 * BED_PAGE);
    bed_enter(0);
    assert_int_equal(bed_control(0), SVMHW_V_INTR_MASKING); /* it was not told */
    bed_leave(0);
    vlapic_svm_vmcb_replaced(bed.cpu[0].cpu);
    assert_int_equal(dirtied(), CLEAN_VINTR | CLEAN_AVIC | CLEAN_MAPS);
    assert_int_equal(bed_control(0),
                     SVMHW_V_INTR_MASKING | SVMHW_AVIC_ENABLE | SVMHW_X2AVIC_ENABLE | SVMHW_V_NMI_ENABLE);
    assert_int_equal(bed_get(0, SVMHW_BACKING_PAGE, 8), bed.cpu[0].page_pa);
    assert_int_equal(bed_get(0, SVMHW_PHYSICAL_TABLE, 8), bed.svm.physical_table.pa | 254);
    assert_int_equal(bed.cpu[0].msr_map[0x202] & 3, 0);
    assert_true(bed_physical(0) & BED_RUNNING);
}

/* ---- V_TPR and CR8 ---- */

static void v_tpr_goes_in_and_comes_back(void **state)
{
    (void)state;
    start(0, 1);
    for (unsigned tpr = 0; tpr < 256; tpr += 15) {
        bed_write(0, VLAPIC_REG_TPR, tpr);
        bed_enter(0);
        assert_int_equal(bed_control(0) & SVMHW_V_TPR, tpr >> 4);
        bed_leave(0);
        assert_int_equal(bed_read(0, VLAPIC_REG_TPR), tpr);
        bed_enter(0);
        bed_set(0, SVMHW_VINTR_CONTROL, 1, (tpr >> 4) ^ 5);
        bed_leave(0);
        assert_int_equal(bed_read(0, VLAPIC_REG_TPR), ((tpr >> 4) ^ 5) << 4);
        assert_int_equal(bed_read(0, VLAPIC_REG_PPR), ((tpr >> 4) ^ 5) << 4);
    }
}

/* With AVIC hardware keeps the page, and V_TPR is not looked at. */
static void with_avic_tpr_is_the_pages(void **state)
{
    (void)state;
    start(BED_AVIC, 1);
    bed_write(0, VLAPIC_REG_TPR, 0x4B);
    bed_enter(0);
    assert_int_equal(bed_control(0) & SVMHW_V_TPR, 4);
    bed.cpu[0].page[VLAPIC_REG_TPR / 4] = 0xABCDEF37; /* as the guest wrote it */
    bed_set(0, SVMHW_VINTR_CONTROL, 1, 9);
    bed_leave(0);
    assert_int_equal(bed_read(0, VLAPIC_REG_TPR), 0x37);
    assert_int_equal(bed_read(0, VLAPIC_REG_PPR), 0x37);
    bed_enter(0);
    assert_int_equal(bed_control(0) & SVMHW_V_TPR, 3);
}

static bool cr8_exits(void)
{
    uint64_t intercepts = bed_get(0, SVMHW_INTERCEPT_CR, 4);

    assert_false(intercepts >> 8 & 1);
    return (intercepts >> 24 & 1) != 0;
}

static void cr8_exits_only_where_its_write_can_let_something_through(void **state)
{
    static const struct {
        uint32_t tpr;
        uint8_t irr, isr;
        bool exits;
    } rows[] = {
        { 0x00, 0x00, 0x00, false }, { 0xF0, 0x00, 0x00, false }, { 0xF0, 0x21, 0x00, true },
        { 0x20, 0x21, 0x00, true },  { 0x10, 0x21, 0x00, false }, /* it is injected */
        { 0x50, 0x31, 0x41, false },                              /* ISR holds it back, too */
        { 0x50, 0x4F, 0x41, false }, { 0x50, 0x51, 0x41, true },  { 0x01, 0x00, 0x00, true }, /* a sub-class */
        { 0x4F, 0x00, 0x00, true },
    };

    (void)state;
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        start(0, 1);
        if (rows[i].isr != 0) {
            assert_true(vlapic_cpu_post(bed.cpu[0].cpu, rows[i].isr, false));
            assert_int_equal(bed_pending(0), rows[i].isr);
            assert_true(vlapic_cpu_accept(bed.cpu[0].cpu, rows[i].isr));
        }
        if (rows[i].irr != 0) {
            assert_true(vlapic_cpu_post(bed.cpu[0].cpu, rows[i].irr, false));
        }
        bed_write(0, VLAPIC_REG_TPR, rows[i].tpr);
        bed_enter(0);
        assert_int_equal(cr8_exits(), rows[i].exits);
        bed_leave(0);
        bed_end();
    }
}

static void with_avic_cr8_never_exits(void **state)
{
    (void)state;
    start(BED_AVIC, 1);
    bed_set(0, SVMHW_INTERCEPT_CR, 4, CR8_READ_AND_WRITE | 1);
    bed_write(0, VLAPIC_REG_TPR, 0x6F);
    assert_true(vlapic_cpu_post(bed.cpu[0].cpu, 0x51, false));
    bed_enter(0);
    assert_false(cr8_exits());
    assert_int_equal(bed_get(0, SVMHW_INTERCEPT_CR, 4), 1);
    bed_leave(0);
    /* The next entry does without AVIC. */
    vlapic_svm_inhibit(bed.vm, VLAPIC_SVM_INHIBIT_REQUEST, true);
    bed_enter(0);
    assert_true(cr8_exits());
    bed_leave(0);
    vlapic_svm_inhibit(bed.vm, VLAPIC_SVM_INHIBIT_REQUEST, false);
    bed_enter(0);
    assert_false(cr8_exits());
}

/* ---- the MSR permission map ---- */

static unsigned map_bits(uint32_t msr)
{
    return bed.cpu[0].msr_map[msr / 4] >> (2 * (msr % 4)) & 3u;
}

/* 1: reads exit, 2: writes do. */
static unsigned x2avic_bits(uint32_t msr, bool self_ipi)
{
    if (msr == 0x808 || msr == 0x830) {
        return 0;
    }
    if (msr == 0x80B || (msr == 0x83F && self_ipi)) {
        return 1;
    }
    if (msr == 0x802 || msr == 0x803 || msr == 0x80A || msr == 0x80D || (msr >= 0x80F && msr <= 0x828) ||
        (msr >= 0x833 && msr <= 0x838) || msr == 0x83E) {
        return 2;
    }
    return 3;
}

static void assert_map(bool x2avic, bool self_ipi, unsigned elsewhere)
{
    for (uint32_t msr = 0; msr < 0x2000; msr++) {
        unsigned expected = elsewhere;

        if (msr == 0x1B || msr == 0x6E0) {
            expected = 3;
        } else if (msr >= 0x800 && msr <= 0x8FF) {
            expected = x2avic ? x2avic_bits(msr, self_ipi) : 3;
        }
        if (map_bits(msr) != expected) {
            fail_msg("MSR %x: %x, not %x", msr, map_bits(msr), expected);
        }
    }
    for (unsigned i = 0x800; i < 2 * BED_PAGE; i++) {
        assert_int_equal(bed.cpu[0].msr_map[i], elsewhere * 0x55);
    }
}

static void the_msr_map_follows_mode_and_avic(void **state)
{
    (void)state;
    for (unsigned elsewhere = 0; elsewhere < 4; elsewhere++) {
        for (unsigned self_ipi = 0; self_ipi < 2; self_ipi++) {
            start(BED_ALL | (self_ipi ? VLAPIC_SVM_SELF_IPI : 0), 1);
            memset(bed.cpu[0].msr_map, (int)elsewhere * 0x55, 2 * BED_PAGE);
            bed_round(0);
            assert_map(false, self_ipi, elsewhere);
            bed_x2apic(0);
            bed_round(0);
            assert_map(true, self_ipi, elsewhere);
            vlapic_svm_inhibit(bed.vm, VLAPIC_SVM_INHIBIT_NESTED, true);
            bed_round(0);
            assert_map(false, self_ipi, elsewhere);
            vlapic_svm_inhibit(bed.vm, VLAPIC_SVM_INHIBIT_NESTED, false);
            bed_round(0);
            assert_map(true, self_ipi, elsewhere);
            bed_set_base(0, 0);
            bed_round(0);
            assert_map(false, self_ipi, elsewhere);
            bed_end();
        }
    }
}

static uint8_t *no_map(void *cookie)
{
    (void)cookie;
    return NULL;
}

static void without_a_map_all_msrs_exit_anyway(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        bed_prepare(BED_ALL);
        bed.ops.msr_map = i == 0 ? NULL : no_map;
        bed_start(1);
        bed_x2apic(0);
        bed_set(0, SVMHW_CLEAN, 4, UINT32_MAX);
        bed_enter(0);
        assert_true(bed_control(0) & SVMHW_X2AVIC_ENABLE);
        assert_true(clean(0) & CLEAN_MAPS);
        bed_end();
    }
}

/* ---- what the embedder is told ---- */

static void modes_decide_the_enable_bits_and_the_mapping(void **state)
{
    const uint64_t avic = SVMHW_AVIC_ENABLE, x2avic = SVMHW_X2AVIC_ENABLE;
    uint64_t page;

    (void)state;
    start(BED_ALL, 1);
    bed_enter(0);
    assert_int_equal(bed_control(0) & (avic | x2avic), avic);
    assert_int_equal(bed.cpu[0].entry.features, VLAPIC_SVM_AVIC | VLAPIC_SVM_VNMI);
    assert_int_equal(bed.cpu[0].entry.changes, VLAPIC_SVM_CHANGED_MAPPING | VLAPIC_SVM_FLUSH_TLB);
    assert_true(vlapic_svm_apic_page(bed.cpu[0].cpu, &page));
    bed_leave(0);
    bed_x2apic(0);
    bed_enter(0);
    assert_int_equal(bed_control(0) & (avic | x2avic), avic | x2avic);
    assert_int_equal(bed.cpu[0].entry.features, VLAPIC_SVM_X2AVIC | VLAPIC_SVM_VNMI);
    assert_int_equal(bed.cpu[0].entry.changes, VLAPIC_SVM_CHANGED_MAPPING | VLAPIC_SVM_FLUSH_TLB);
    assert_false(vlapic_svm_apic_page(bed.cpu[0].cpu, &page));
    bed_leave(0);
    bed_set_base(0, 0);
    bed_enter(0);
    assert_int_equal(bed_control(0) & (avic | x2avic), 0);
    assert_int_equal(bed.cpu[0].entry.features, VLAPIC_SVM_VNMI);
    bed_leave(0);
    bed_enter(0);
    assert_int_equal(bed.cpu[0].entry.changes, 0);
    bed_leave(0);
    /* Another vCPU may have run on this processor. */
    bed_migrate(0, 5);
    bed_enter(0);
    assert_int_equal(bed.cpu[0].entry.changes, VLAPIC_SVM_FLUSH_TLB);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(no_other_field_is_touched, bed_teardown),
        cmocka_unit_test_teardown(of_060h_all_but_masking_and_vgif_is_the_backends, bed_teardown),
        cmocka_unit_test_teardown(without_avic_its_pointers_are_not_written, bed_teardown),
        cmocka_unit_test_teardown(an_entry_that_changes_nothing_keeps_all_clean_bits, bed_teardown),
        cmocka_unit_test_teardown(each_change_clears_its_clean_bit_alone, bed_teardown),
        cmocka_unit_test_teardown(a_new_vmcb_is_written_whole, bed_teardown),
        cmocka_unit_test_teardown(v_tpr_goes_in_and_comes_back, bed_teardown),
        cmocka_unit_test_teardown(with_avic_tpr_is_the_pages, bed_teardown),
        cmocka_unit_test_teardown(cr8_exits_only_where_its_write_can_let_something_through, bed_teardown),
        cmocka_unit_test_teardown(with_avic_cr8_never_exits, bed_teardown),
        cmocka_unit_test_teardown(the_msr_map_follows_mode_and_avic, bed_teardown),
        cmocka_unit_test_teardown(without_a_map_all_msrs_exit_anyway, bed_teardown),
        cmocka_unit_test_teardown(modes_decide_the_enable_bits_and_the_mapping, bed_teardown),
    };
    return cmocka_run_group_tests_name("svm: VMCB", tests, NULL, NULL);
}
