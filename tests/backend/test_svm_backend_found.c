/* SPDX-License-Identifier: BSD-2-Clause */
/* Mistakes of the svm backend that were found by reading it: each stays found. */
#include "svm_bed.h"

static void start(uint32_t features, unsigned count)
{
    bed_prepare(features);
    bed_start(count);
}

static uint64_t inhibits(unsigned cpu)
{
    return vlapic_backend_svm.inhibits(vlapic_backend_cpu_state(bed.cpu[cpu].cpu, &vlapic_backend_svm));
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

/* Hardware set IRR and rang while the vCPU was in the host; VMRUN without AVIC does not look. */
static void irr_is_looked_at_when_avic_is_withdrawn(void **state)
{
    (void)state;
    start(BED_AVIC, 1);
    bed_enter(0);
    bed_set_bit(0, VLAPIC_REG_ISR, 0x41);
    bed_set(0, SVMHW_EXITINTINFO, 8, SVMHW_EVENT_VALID | 0x41); /* has to be injected again, in a window */
    bed_leave(0);
    bed_set(0, SVMHW_EXITINTINFO, 8, 0);
    bed.cpu[0].guest.rflags = 2;
    bed_set_bit(0, VLAPIC_REG_IRR, 0x61);
    bed_enter(0);
    assert_false(bed_uses_avic(0));
    assert_int_equal(bed.cpu[0].duty.vector, 0x61);
    bed_leave(0);
    bed.cpu[0].guest.rflags = 0x202;
    bed_enter(0);
    assert_int_equal(bed_injected(0), SVMHW_EVENT_VALID | 0x41);
    bed_leave(0);
    bed_enter(0); /* AVIC again: hardware delivers */
    assert_true(bed_uses_avic(0));
    assert_true(bed_bit(0, VLAPIC_REG_IRR, 0x61));
}

/* Changes that an entry found and did not get to tell are told by the one that takes place. */
static void changes_survive_an_entry_that_does_not_take_place(void **state)
{
    (void)state;
    start(BED_AVIC, 1);
    bed_round(0);
    vlapic_svm_inhibit(bed.vm, VLAPIC_SVM_INHIBIT_REQUEST, true);
    assert_int_equal(bed_pending(0), -1);
    assert_true(vlapic_cpu_post(bed.cpu[0].cpu, 0x61, false));
    assert_false(vlapic_svm_enter(bed.cpu[0].cpu, &bed.cpu[0].guest, &bed.cpu[0].entry));
    assert_int_equal(bed.cpu[0].entry.changes, 0);
    bed_enter(0);
    assert_int_equal(bed.cpu[0].entry.changes & VLAPIC_SVM_CHANGED_MAPPING, VLAPIC_SVM_CHANGED_MAPPING);
    assert_int_equal(bed.cpu[0].entry.changes & VLAPIC_SVM_FLUSH_TLB, VLAPIC_SVM_FLUSH_TLB);
    bed_leave(0);
    bed_enter(0);
    assert_int_equal(bed.cpu[0].entry.changes, 0);
}

/* It was told as the vector that was injected besides: the embedder kept it pending, and the guest got it twice. */
static void an_nmi_for_vnmi_goes_before_interrupts(void **state)
{
    (void)state;
    start(VLAPIC_SVM_VNMI, 1);
    assert_true(vlapic_cpu_post(bed.cpu[0].cpu, 0x61, false));
    bed.cpu[0].guest.nmi = true;
    bed_enter(0);
    assert_int_equal(bed.cpu[0].entry.injected, VLAPIC_SVM_INJECTED_NMI);
    assert_true(bed_control(0) & SVMHW_V_NMI);
    assert_int_equal(bed_injected(0), 0);
    assert_true(bed_control(0) & SVMHW_V_IRQ);
    bed_set(0, SVMHW_VINTR_CONTROL, 8, (bed_control(0) & ~SVMHW_V_NMI) | SVMHW_V_NMI_MASK);
    assert_int_equal(bed_exit(0, SVMHW_EXIT_VINTR, 0, 0), VLAPIC_SVM_RESUME);
    bed.cpu[0].guest.nmi = false;
    bed_enter(0);
    assert_int_equal(bed.cpu[0].entry.injected, VLAPIC_SVM_INJECTED_VECTOR);
    assert_int_equal(bed_injected(0), SVMHW_EVENT_VALID | 0x61);
    bed_leave(0);
}

/* One whose delivery was interrupted and a new one: the first is injected, the second is pending behind it. */
static void an_interrupted_nmi_does_not_hide_a_new_one(void **state)
{
    (void)state;
    start(VLAPIC_SVM_VNMI, 1);
    bed_enter(0);
    bed_set(0, SVMHW_EXITINTINFO, 8, SVMHW_EVENT_VALID | SVMHW_TYPE_NMI << 8 | 2);
    bed_leave(0);
    bed_set(0, SVMHW_EXITINTINFO, 8, 0);
    bed.cpu[0].guest.nmi = true;
    bed_enter(0);
    assert_int_equal(bed.cpu[0].entry.injected, VLAPIC_SVM_INJECTED_NMI);
    assert_int_equal(bed_injected(0), SVMHW_EVENT_VALID | SVMHW_TYPE_NMI << 8 | 2);
    assert_true(bed_control(0) & SVMHW_V_NMI);
}

/* One NMI is in service, another is pending: both were there still after RESET and INIT. */
static void a_reset_ends_what_vnmi_holds(void **state)
{
    (void)state;
    start(VLAPIC_SVM_VNMI, 1);
    bed.cpu[0].guest.nmi = true;
    bed_enter(0);
    bed.cpu[0].guest.nmi = false;
    bed_set(0, SVMHW_VINTR_CONTROL, 8, bed_control(0) | SVMHW_V_NMI_MASK);
    bed_leave(0);
    bed_enter(0);
    assert_true((bed_control(0) & (SVMHW_V_NMI | SVMHW_V_NMI_MASK)) == (SVMHW_V_NMI | SVMHW_V_NMI_MASK));
    bed_leave(0);
    bed_set(0, SVMHW_CLEAN, 4, UINT32_MAX);
    vlapic_cpu_reset(bed.cpu[0].cpu);
    bed_enter(0);
    assert_false(bed_control(0) & (SVMHW_V_NMI | SVMHW_V_NMI_MASK));
    assert_false(bed_get(0, SVMHW_CLEAN, 4) >> SVMHW_CLEAN_VINTR & 1);
    /* Once. */
    bed_set(0, SVMHW_VINTR_CONTROL, 8, bed_control(0) | SVMHW_V_NMI_MASK);
    bed_round(0);
    assert_true(bed_control(0) & SVMHW_V_NMI_MASK);
    /* In a VMCB that was restored it stays as it is. */
    vlapic_cpu_reset(bed.cpu[0].cpu);
    vlapic_svm_vmcb_replaced(bed.cpu[0].cpu);
    bed_enter(0);
    assert_true(bed_control(0) & SVMHW_V_NMI_MASK);
}

/* It goes on setting IRR, where nobody looks. */
static void an_iommu_tells_of_what_it_posts_while_avic_is_withdrawn(void **state)
{
    (void)state;
    start(BED_AVIC, 1);
    bed_round(0);
    bed_forget();
    vlapic_svm_inhibit(bed.vm, VLAPIC_SVM_INHIBIT_REQUEST, true);
    bed_enter(0);
    (void)bed_event_at(0, BED_BLOCKED);
    assert_int_equal(bed.events, 1);
    /* It posts, writes its log, and the embedder hears of it. */
    bed_set_bit(0, VLAPIC_REG_IRR, 0x61);
    vlapic_backend_wake(bed.cpu[0].cpu);
    assert_int_equal(bed_count(BED_KICK, 0), 1);
    bed_leave(0);
    bed_enter(0);
    assert_int_equal(bed_injected(0), SVMHW_EVENT_VALID | 0x61);
    bed_leave(0);
    /* A put does not take that back. */
    bed_forget();
    vlapic_cpu_put(bed.cpu[0].cpu);
    assert_int_equal(bed.events, 0);
}

/* The second of two with one logical ID inhibited AVIC for good, also when the first had another one. */
static void a_logical_id_that_was_given_up_is_taken(void **state)
{
    (void)state;
    start(BED_AVIC, 2);
    bed_write(0, VLAPIC_REG_LDR, 0x01000000);
    bed_write(1, VLAPIC_REG_LDR, 0x01000000);
    assert_int_equal(inhibits(0), VLAPIC_SVM_INHIBIT_LOGICAL_ID);
    bed_round(1);
    assert_false(bed_uses_avic(1));
    bed_write(0, VLAPIC_REG_LDR, 0x02000000);
    bed_enter(1);
    assert_int_equal(inhibits(0), 0);
    assert_true(bed_uses_avic(1));
    assert_int_equal(bed.logical[0], SVMHW_LOGICAL_VALID | 1);
    assert_int_equal(bed.logical[1], SVMHW_LOGICAL_VALID | 0);
}

/* The processor has not seen TLB_CONTROL, and the embedder may not have come to the mapping. */
static void changes_of_a_cancelled_entry_are_told_again(void **state)
{
    const uint32_t changes = VLAPIC_SVM_CHANGED_MAPPING | VLAPIC_SVM_FLUSH_TLB;

    (void)state;
    start(BED_AVIC, 1);
    bed_enter(0);
    assert_int_equal(bed.cpu[0].entry.changes, changes);
    vlapic_svm_cancel(bed.cpu[0].cpu);
    bed_enter(0);
    assert_int_equal(bed.cpu[0].entry.changes, changes);
    bed_leave(0);
    bed_enter(0);
    assert_int_equal(bed.cpu[0].entry.changes, 0);
}

/* docs/CONCURRENCY.md, 7: hardware set IRR and rang, AVIC is withdrawn [W1], and neither the entry nor a halt got to look at IRR. */
static void a_halt_that_fails_does_not_forget_irr(void **state)
{
    (void)state;
    start(BED_AVIC, 1);
    bed_round(0);
    assert_int_equal(bed_pending(0), -1);
    bed_set_bit(0, VLAPIC_REG_IRR, 0x61);
    vlapic_svm_inhibit(bed.vm, VLAPIC_SVM_INHIBIT_REQUEST, true);
    vlapic_cpu_timer_expired(bed.cpu[0].cpu); /* any news that is no vector */
    assert_false(vlapic_svm_enter(bed.cpu[0].cpu, &bed.cpu[0].guest, &bed.cpu[0].entry));
    vlapic_cpu_poll(bed.cpu[0].cpu, &bed.cpu[0].duty);
    vlapic_cpu_timer_expired(bed.cpu[0].cpu);
    assert_false(vlapic_cpu_halt(bed.cpu[0].cpu)); /* it is to pause, say */
    bed_enter(0);
    assert_false(bed_uses_avic(0));
    assert_int_equal(bed_injected(0), SVMHW_EVENT_VALID | 0x61);
}

/* Reference 6.5, [A18], the other reading: an IPI clears TMR, and the next level is to set it again. */
static void a_level_after_an_ipi_has_its_eoi(void **state)
{
    (void)state;
    start(BED_AVIC, 1);
    assert_true(vlapic_cpu_post(bed.cpu[0].cpu, 0x61, true));
    bed_round(0);
    bed_enter(0);
    /* The guest takes it and ends it; then the IPI comes, is taken and ended. */
    __atomic_fetch_and(&bed.cpu[0].page[(VLAPIC_REG_IRR + 0x30) / 4], ~2u, __ATOMIC_SEQ_CST);
    __atomic_fetch_and(&bed.cpu[0].page[(VLAPIC_REG_TMR + 0x30) / 4], ~2u, __ATOMIC_SEQ_CST);
    bed_leave(0);
    assert_true(vlapic_cpu_post(bed.cpu[0].cpu, 0x61, true));
    bed_round(0);
    assert_true(bed_bit(0, VLAPIC_REG_IRR, 0x61));
    assert_true(bed_bit(0, VLAPIC_REG_TMR, 0x61));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(the_mapping_is_that_of_the_entry, bed_teardown),
        cmocka_unit_test_teardown(irr_is_looked_at_when_avic_is_withdrawn, bed_teardown),
        cmocka_unit_test_teardown(changes_survive_an_entry_that_does_not_take_place, bed_teardown),
        cmocka_unit_test_teardown(an_nmi_for_vnmi_goes_before_interrupts, bed_teardown),
        cmocka_unit_test_teardown(an_interrupted_nmi_does_not_hide_a_new_one, bed_teardown),
        cmocka_unit_test_teardown(a_reset_ends_what_vnmi_holds, bed_teardown),
        cmocka_unit_test_teardown(an_iommu_tells_of_what_it_posts_while_avic_is_withdrawn, bed_teardown),
        cmocka_unit_test_teardown(a_logical_id_that_was_given_up_is_taken, bed_teardown),
        cmocka_unit_test_teardown(changes_of_a_cancelled_entry_are_told_again, bed_teardown),
        cmocka_unit_test_teardown(a_halt_that_fails_does_not_forget_irr, bed_teardown),
        cmocka_unit_test_teardown(a_level_after_an_ipi_has_its_eoi, bed_teardown),
    };
    return cmocka_run_group_tests_name("svm: found by reading", tests, NULL, NULL);
}
