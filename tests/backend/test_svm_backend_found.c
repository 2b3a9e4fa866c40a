/* SPDX-License-Identifier: BSD-2-Clause */
/* Mistakes of the svm backend that were found by reading it: each stays found. */
#include "svm_bed.h"

static void start(uint32_t features, unsigned count)
{
    bed_prepare(features);
    bed_start(count);
}

/* Another thread changes an inhibit between the entry and the question: the page was mapped, and AVIC off. */
static void the_mapping_is_that_of_the_entry(void **state)
{
    uint64_t page = 0;

    (void)state;
    start(BED_AVIC, 1);
    assert_false(vlapic_svm_apic_page(bed.cpu[0].cpu, &page));
    bed_enter(0);
    assert_true(vlapic_svm_apic_page(bed.cpu[0].cpu, &page));
    assert_int_equal(page, 0xFEE00000);
    bed_leave(0);
    vlapic_svm_inhibit(bed.vm, VLAPIC_SVM_INHIBIT_REQUEST, true);
    bed_enter(0);
    assert_int_equal(bed.cpu[0].entry.changes & VLAPIC_SVM_CHANGED_MAPPING, VLAPIC_SVM_CHANGED_MAPPING);
    vlapic_svm_inhibit(bed.vm, VLAPIC_SVM_INHIBIT_REQUEST, false);
    assert_false(bed_uses_avic(0));
    assert_false(vlapic_svm_apic_page(bed.cpu[0].cpu, &page));
    bed_leave(0);
    bed_enter(0);
    assert_true(bed_uses_avic(0));
    assert_int_equal(bed.cpu[0].entry.changes & VLAPIC_SVM_CHANGED_MAPPING, VLAPIC_SVM_CHANGED_MAPPING);
    assert_true(vlapic_svm_apic_page(bed.cpu[0].cpu, &page));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(the_mapping_is_that_of_the_entry, bed_teardown),
    };
    return cmocka_run_group_tests_name("svm: found by reading", tests, NULL, NULL);
}
