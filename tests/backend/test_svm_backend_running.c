/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * IsRunning, the host's APIC ID, posting and waking: docs/CONCURRENCY.md, section 7, step by step. The test acts between the backend's steps, or
 * between those of a core of tests/hw/svm that sends an IPI. AMD APM 2, "Doorbell Mechanism", "Physical APIC ID Table".
 */
#include "svm_bed.h"

#define V 0x51
#define HOST(entry) ((entry)&0xFFF)

static bool is_running(uint32_t id)
{
    return (bed_physical(id) & BED_RUNNING) != 0;
}

static void start(uint32_t features, unsigned count)
{
    bed_prepare(features);
    bed_start(count);
}

/* ---- the order of things ---- */

static void an_entry_says_running_when_the_tables_are_ready(void **state)
{
    const struct bed_event *runs;

    (void)state;
    start(BED_AVIC, 1);
    assert_false(is_running(0));
    vlapic_cpu_put(bed.cpu[0].cpu);
    vlapic_cpu_load(bed.cpu[0].cpu);
    assert_false(is_running(0)); /* loaded alone is not enough */
    bed_enter(0);
    runs = bed_event_at(bed.events - 1, BED_RUNS);
    assert_int_equal(runs->value, bed.cpu[0].core);
    /* By then the entry has it all: table first, IOMMU after it. */
    assert_true(runs->entry == (BED_VALID | BED_RUNNING | bed.cpu[0].page_pa | bed.cpu[0].core));
    bed_leave(0);
    assert_true(is_running(0)); /* in the host for a moment */
    bed_forget();
    bed_enter(0);
    assert_int_equal(bed.events, 0);
}

static void a_put_clears_it_and_keeps_the_host_id(void **state)
{
    (void)state;
    start(BED_AVIC, 1);
    bed_round(0);
    bed_forget();
    vlapic_cpu_put(bed.cpu[0].cpu);
    /* The IOMMU first. */
    assert_int_equal(bed.events, 1);
    assert_true(bed_event_at(0, BED_PUT)->entry & BED_RUNNING);
    assert_true(bed_physical(0) == (BED_VALID | bed.cpu[0].page_pa | bed.cpu[0].core));
}

static void a_migration_changes_the_host_id_with_the_next_entry(void **state)
{
    (void)state;
    start(BED_AVIC, 1);
    bed_round(0);
    bed_migrate(0, 6);
    assert_false(is_running(0));
    assert_int_equal(HOST(bed_physical(0)), 2);
    bed_enter(0);
    assert_true(is_running(0));
    assert_int_equal(HOST(bed_physical(0)), 6);
    bed_forget();
    assert_true(vlapic_cpu_post(bed.cpu[0].cpu, V, false));
    assert_int_equal(bed_event_at(0, BED_DOORBELL)->value, 6);
}

static void only_twelve_bits_of_the_host_id_fit(void **state)
{
    (void)state;
    start(BED_AVIC, 1);
    bed_migrate(0, 0x12345);
    bed_enter(0);
    assert_true(bed_physical(0) == (BED_VALID | BED_RUNNING | bed.cpu[0].page_pa | 0x345));
    bed_forget();
    assert_true(vlapic_cpu_post(bed.cpu[0].cpu, V, false));
    assert_int_equal(bed_event_at(0, BED_DOORBELL)->value, 0x12345);
}

static void other_changes_keep_it(void **state)
{
    (void)state;
    start(BED_AVIC, 1);
    bed_enter(0);
    assert_int_equal(bed_trap(0, VLAPIC_REG_LDR, 0x02000000), VLAPIC_SVM_RESUME);
    assert_true(is_running(0));
    bed_enter(0);
    assert_int_equal(bed_trap(0, VLAPIC_REG_SVR, 0x0FF), VLAPIC_SVM_RESUME);
    assert_true(is_running(0));
    assert_int_equal(bed_physical(0) & SVMHW_ENTRY_PAGE, bed.svm.discard_page.pa);
    bed_enter(0); /* without AVIC */
    assert_false(is_running(0));
}

static void without_avic_nobody_is_told(void **state)
{
    (void)state;
    start(VLAPIC_SVM_VNMI, 1);
    bed_round(0);
    assert_int_equal(bed_pending(0), -1);
    assert_true(vlapic_cpu_halt(bed.cpu[0].cpu));
    vlapic_cpu_exit(bed.cpu[0].cpu);
    vlapic_cpu_put(bed.cpu[0].cpu);
    assert_int_equal(bed.events, 0);
    assert_int_equal(bed_physical(0), 0);
}

static void without_the_op_the_table_is_kept(void **state)
{
    (void)state;
    bed_prepare(BED_AVIC);
    bed.ops.running = NULL;
    bed_start(1);
    bed_round(0);
    assert_true(is_running(0));
    vlapic_cpu_put(bed.cpu[0].cpu);
    assert_false(is_running(0));
}

/* ---- blocking ---- */

static void a_block_says_so_before_the_last_look(void **state)
{
    (void)state;
    start(BED_AVIC, 1);
    bed_round(0);
    assert_int_equal(bed_pending(0), -1);
    bed_forget();
    assert_true(vlapic_cpu_halt(bed.cpu[0].cpu));
    assert_int_equal(bed.events, 1);
    assert_true(bed_event_at(0, BED_BLOCKED)->entry & BED_RUNNING);
    assert_false(is_running(0));
    vlapic_cpu_exit(bed.cpu[0].cpu);
    /* Once more, without having run: the IOMMU is told, for it may have been put meanwhile. */
    bed_forget();
    assert_true(vlapic_cpu_halt(bed.cpu[0].cpu));
    assert_int_equal(bed.events, 1);
    (void)bed_event_at(0, BED_BLOCKED);
    vlapic_cpu_exit(bed.cpu[0].cpu);
    bed_forget();
    bed_enter(0);
    assert_int_equal(bed.events, 1);
    (void)bed_event_at(0, BED_RUNS);
}

static void what_hardware_set_keeps_it_awake(void **state)
{
    (void)state;
    start(BED_AVIC, 1);
    bed_round(0);
    assert_int_equal(bed_pending(0), -1);
    bed_set_bit(0, VLAPIC_REG_IRR, V); /* its doorbell came to the host */
    assert_false(vlapic_cpu_halt(bed.cpu[0].cpu));
    assert_int_equal(bed_pending(0), V);
    /* What is known, and waits for priority, does not. */
    bed_write(0, VLAPIC_REG_TPR, 0x60);
    assert_int_equal(bed_pending(0), -1);
    assert_true(vlapic_cpu_halt(bed.cpu[0].cpu));
}

static void each_vector_counts_as_news(void **state)
{
    (void)state;
    for (unsigned v = 16; v < 256; v++) {
        start(BED_AVIC, 1);
        bed_enter(0);
        bed_set_bit(0, VLAPIC_REG_IRR, 0x1F);
        bed_leave(0);
        (void)bed_pending(0);
        if (v != 0x1F) {
            bed_set_bit(0, VLAPIC_REG_IRR, (uint8_t)v);
        }
        assert_int_equal(vlapic_cpu_halt(bed.cpu[0].cpu), v == 0x1F);
        bed_end();
    }
}

static void an_entry_does_not_look(void **state)
{
    (void)state;
    start(BED_AVIC, 1);
    bed_round(0);
    assert_int_equal(bed_pending(0), -1);
    bed_set_bit(0, VLAPIC_REG_IRR, V); /* VMRUN will */
    assert_true(vlapic_svm_enter(bed.cpu[0].cpu, &bed.cpu[0].guest, &bed.cpu[0].entry));
}

/* ---- posting ---- */

static void a_post_goes_into_irr_and_rings(void **state)
{
    (void)state;
    start(BED_AVIC, 1);
    bed_enter(0);
    bed_forget();
    for (unsigned v = 16; v < 256; v++) {
        assert_true(vlapic_cpu_post(bed.cpu[0].cpu, (uint8_t)v, false));
        assert_true(bed_bit(0, VLAPIC_REG_IRR, (uint8_t)v));
        assert_int_equal(bed.events, 1);
        assert_int_equal(bed_event_at(0, BED_DOORBELL)->value, bed.cpu[0].core);
        /* Once more is nothing. */
        assert_true(vlapic_cpu_post(bed.cpu[0].cpu, (uint8_t)v, false));
        assert_int_equal(bed.events, 1);
        bed_forget();
    }
}

static void in_the_other_trigger_mode_it_goes_round_by_the_owner(void **state)
{
    (void)state;
    start(BED_AVIC, 1);
    bed_enter(0);
    bed_forget();
    assert_true(vlapic_cpu_post(bed.cpu[0].cpu, V, true));
    assert_int_equal(bed.events, 1);
    (void)bed_event_at(0, BED_KICK);
    assert_false(bed_bit(0, VLAPIC_REG_IRR, V));
    bed_leave(0);
    bed_enter(0);
    assert_true(bed_bit(0, VLAPIC_REG_IRR, V));
    assert_true(bed_bit(0, VLAPIC_REG_TMR, V));
    /* The next one of that mode need not. */
    __atomic_fetch_and(&bed.cpu[0].page[VLAPIC_REG_IRR / 4 + V / 32 * 4], ~(1u << V % 32), __ATOMIC_SEQ_CST);
    bed_forget();
    assert_true(vlapic_cpu_post(bed.cpu[0].cpu, V, true));
    (void)bed_event_at(0, BED_DOORBELL);
    assert_true(bed_bit(0, VLAPIC_REG_IRR, V));
    /* An edge has to, now. */
    bed_forget();
    assert_true(vlapic_cpu_post(bed.cpu[0].cpu, V, false));
    (void)bed_event_at(0, BED_KICK);
}

static void without_avic_a_post_waits_in_the_mailbox(void **state)
{
    (void)state;
    start(BED_AVIC, 1);
    vlapic_svm_inhibit(bed.vm, VLAPIC_SVM_INHIBIT_REQUEST, true);
    bed_enter(0);
    bed_forget();
    assert_true(vlapic_cpu_post(bed.cpu[0].cpu, V, false));
    (void)bed_event_at(0, BED_KICK);
    assert_false(bed_bit(0, VLAPIC_REG_IRR, V));
    bed_leave(0);
    bed_enter(0);
    assert_int_equal(bed_injected(0), SVMHW_EVENT_VALID | V);
}

/* ---- erratum 1235 ---- */

static void under_erratum_1235_the_table_never_says_running(void **state)
{
    (void)state;
    bed_prepare(BED_ALL);
    bed.svm.erratum_1235 = true;
    bed_start(1);
    bed_enter(0);
    assert_true(bed_physical(0) == (BED_VALID | bed.cpu[0].page_pa | bed.cpu[0].core));
    /* The IOMMU and posters are told as ever: they have no such erratum. */
    (void)bed_event_at(bed.events - 1, BED_RUNS);
    bed_forget();
    assert_true(vlapic_cpu_post(bed.cpu[0].cpu, V, false));
    (void)bed_event_at(0, BED_DOORBELL);
    bed_leave(0);
    assert_int_equal(bed_pending(0), V);
    bed_write(0, VLAPIC_REG_TPR, 0xF0);
    assert_int_equal(bed_pending(0), -1);
    bed_forget();
    assert_true(vlapic_cpu_halt(bed.cpu[0].cpu));
    (void)bed_event_at(0, BED_BLOCKED);
}

/* ---- against a core that sends an IPI: what the owner does between the sender's steps ---- */

static enum svmhw_trace act_at;
static void (*action)(void);
static bool halted, kicked;

static void between_steps(void *context, struct svmhw_core *core, enum svmhw_trace what, uint64_t a, uint64_t b)
{
    (void)context;
    (void)core;
    (void)b;
    if (action != NULL && what == act_at && (what == SVMHW_TRACE_TRAP_STORE || a == 1)) {
        void (*now)(void) = action;

        action = NULL;
        now();
    }
}

static void start_on_hardware(uint32_t features)
{
    bed_prepare(features);
    bed_hardware();
    bed.machine.callbacks.trace = between_steps;
    bed_start(2);
    bed_enter(0);
    assert_int_equal(bed_vmrun(0).happened, SVMHW_DONE);
    bed_round(1);
    assert_int_equal(bed_pending(1), -1);
    halted = false;
    kicked = false;
}

/* vCPU 0 sends V to vCPU 1. True: without an exit. */
static bool send(enum svmhw_trace at, void (*what)(void))
{
    struct svmhw_result r;

    act_at = at;
    action = what;
    bed_forget();
    assert_int_equal(svmhw_mmio_write(bed_core(0), 0xFEE00310, 4, 0x01000000).happened, SVMHW_DONE);
    r = svmhw_mmio_write(bed_core(0), 0xFEE00300, 4, 0x4000 | V);
    assert_null(action);
    if (r.happened == SVMHW_DONE) {
        return true;
    }
    assert_int_equal(r.happened, SVMHW_EXIT);
    assert_int_equal(r.code, SVMHW_EXIT_INCOMPLETE_IPI);
    assert_int_equal(vlapic_svm_exit(bed.cpu[0].cpu, &bed.cpu[0].length), VLAPIC_SVM_RESUME);
    return false;
}

static void halts(void)
{
    halted = vlapic_cpu_halt(bed.cpu[1].cpu);
}

/* Whoever sleeps has been kicked since, or there is nothing for it. */
static void assert_not_left_asleep(void)
{
    kicked = bed_count(BED_KICK, 1) != 0;
    if (halted) {
        assert_true(kicked);
        vlapic_cpu_exit(bed.cpu[1].cpu);
    }
    bed_enter(1);
    assert_true(bed_bit(1, VLAPIC_REG_IRR, V));
    assert_int_equal(bed_vmrun(1).happened, SVMHW_DONE);
    assert_int_equal(svmhw_boundary(bed_core(1)).vector, V);
    assert_int_equal(svmhw_boundary(bed_core(1)).happened, SVMHW_DONE); /* once */
}

static void an_ipi_against_a_block_at_each_step(void **state)
{
    static const enum svmhw_trace steps[] = { SVMHW_TRACE_TARGET, SVMHW_TRACE_IRR_SET, SVMHW_TRACE_RUNNING_READ };

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        bool finished;

        start_on_hardware(BED_AVIC);
        finished = send(steps[i], halts);
        /* The sender saw IR set and rang for nobody: the block has to find IRR set. Or it saw it clear, and woke. */
        assert_int_equal(finished, i == 2);
        assert_int_equal(halted, i == 0);
        assert_not_left_asleep();
        bed_end();
    }
}

static void is_put(void)
{
    vlapic_cpu_put(bed.cpu[1].cpu);
}

static void moves(void)
{
    bed_migrate(1, 7);
}

static void withdraws(void)
{
    vlapic_svm_inhibit(bed.vm, VLAPIC_SVM_INHIBIT_NESTED, true);
    bed_enter(1);
}

static void an_ipi_against_a_put_and_a_migration(void **state)
{
    static const enum svmhw_trace steps[] = { SVMHW_TRACE_TARGET, SVMHW_TRACE_IRR_SET, SVMHW_TRACE_RUNNING_READ };

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        start_on_hardware(BED_AVIC);
        (void)send(steps[i], is_put);
        vlapic_cpu_load(bed.cpu[1].cpu);
        assert_not_left_asleep();
        bed_end();
        start_on_hardware(BED_AVIC);
        (void)send(steps[i], moves);
        assert_not_left_asleep();
        bed_end();
    }
}

/* It enters without AVIC while the IPI is under way: the vector is injected at that entry, or a kick ends it. */
static void an_ipi_against_a_withdrawal(void **state)
{
    static const enum svmhw_trace steps[] = { SVMHW_TRACE_TARGET, SVMHW_TRACE_IRR_SET, SVMHW_TRACE_RUNNING_READ };

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        start_on_hardware(BED_AVIC);
        (void)send(steps[i], withdraws);
        assert_false(bed_uses_avic(1));
        if (bed_injected(1) != (SVMHW_EVENT_VALID | V)) {
            assert_int_equal(bed_count(BED_KICK, 1), 1);
            bed_leave(1);
            bed_enter(1);
        }
        assert_int_equal(bed_injected(1), SVMHW_EVENT_VALID | V);
        bed_leave(1);
        bed_end();
    }
}

/* In the guest on another core than before: the doorbell has to find it there. */
static void a_doorbell_finds_the_vcpu_where_it_is(void **state)
{
    (void)state;
    for (unsigned by_software = 0; by_software < 2; by_software++) {
        start_on_hardware(BED_AVIC);
        bed_migrate(1, 7);
        bed_enter(1);
        assert_int_equal(bed_vmrun(1).happened, SVMHW_DONE);
        assert_int_equal(svmhw_boundary(bed_core(1)).happened, SVMHW_DONE);
        if (by_software) {
            assert_true(vlapic_cpu_post(bed.cpu[1].cpu, V, false));
        } else {
            assert_int_equal(svmhw_mmio_write(bed_core(0), 0xFEE00310, 4, 0x01000000).happened, SVMHW_DONE);
            assert_int_equal(svmhw_mmio_write(bed_core(0), 0xFEE00300, 4, 0x4000 | V).happened, SVMHW_DONE);
        }
        assert_int_equal(bed_core(1)->host_apic_id, 7);
        assert_int_equal(svmhw_boundary(bed_core(1)).vector, V);
        bed_end();
    }
}

/* A core that believes for a moment longer that the vCPU runs: with the setting there is nothing to believe. */
static void erratum_1235_loses_nothing(void **state)
{
    static const enum svmhw_trace steps[] = { SVMHW_TRACE_TARGET, SVMHW_TRACE_IRR_SET, SVMHW_TRACE_RUNNING_READ };

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        bed_prepare(BED_AVIC);
        bed.svm.erratum_1235 = true;
        bed_hardware();
        bed.machine.options.erratum_1235 = true;
        bed.machine.callbacks.trace = between_steps;
        bed_start(2);
        bed_enter(0);
        assert_int_equal(bed_vmrun(0).happened, SVMHW_DONE);
        bed_round(1);
        assert_int_equal(bed_pending(1), -1);
        halted = false;
        assert_false(send(steps[i], halts));
        assert_not_left_asleep();
        bed_end();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(an_entry_says_running_when_the_tables_are_ready, bed_teardown),
        cmocka_unit_test_teardown(a_put_clears_it_and_keeps_the_host_id, bed_teardown),
        cmocka_unit_test_teardown(a_migration_changes_the_host_id_with_the_next_entry, bed_teardown),
        cmocka_unit_test_teardown(only_twelve_bits_of_the_host_id_fit, bed_teardown),
        cmocka_unit_test_teardown(other_changes_keep_it, bed_teardown),
        cmocka_unit_test_teardown(without_avic_nobody_is_told, bed_teardown),
        cmocka_unit_test_teardown(without_the_op_the_table_is_kept, bed_teardown),
        cmocka_unit_test_teardown(a_block_says_so_before_the_last_look, bed_teardown),
        cmocka_unit_test_teardown(what_hardware_set_keeps_it_awake, bed_teardown),
        cmocka_unit_test_teardown(each_vector_counts_as_news, bed_teardown),
        cmocka_unit_test_teardown(an_entry_does_not_look, bed_teardown),
        cmocka_unit_test_teardown(a_post_goes_into_irr_and_rings, bed_teardown),
        cmocka_unit_test_teardown(in_the_other_trigger_mode_it_goes_round_by_the_owner, bed_teardown),
        cmocka_unit_test_teardown(without_avic_a_post_waits_in_the_mailbox, bed_teardown),
        cmocka_unit_test_teardown(under_erratum_1235_the_table_never_says_running, bed_teardown),
        cmocka_unit_test_teardown(an_ipi_against_a_block_at_each_step, bed_teardown),
        cmocka_unit_test_teardown(an_ipi_against_a_put_and_a_migration, bed_teardown),
        cmocka_unit_test_teardown(an_ipi_against_a_withdrawal, bed_teardown),
        cmocka_unit_test_teardown(a_doorbell_finds_the_vcpu_where_it_is, bed_teardown),
        cmocka_unit_test_teardown(erratum_1235_loses_nothing, bed_teardown),
    };
    return cmocka_run_group_tests_name("svm: running", tests, NULL, NULL);
}
