/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What happens between cores: doorbells to cores that have left, run another vCPU or are just entering; IR cleared while an IPI is on its way;
 * erratum 1235; the IOMMU; and senders in real threads. Reference 6.7, 10, 12, 16.7, 16.8, 16.10.
 */
#include "svm_rig.h"

#include <pthread.h>
#include <sched.h>

#define VECTOR 0x61u

/* ---- doorbells ---- */

static void a_doorbell_to_a_core_that_has_left_is_lost_and_nothing_with_it(void **unused)
{
    (void)unused;
    rig_start(XAVIC, 2);
    rig_enter(1, true);
    rig_leave(1);
    rig_enter(0, false);
    rig_expect_done(rig_send(0, 1u << 24, VECTOR)); /* its entry still says IR */
    assert_int_equal(rig.doorbells, 1);
    assert_int_equal(rig_count(SVMHW_TRACE_DOORBELL_SENT), 1);
    assert_int_equal(rig_core(1)->bell, 0);
    rig_expect_done(rig_run(1, true)); /* VMRUN evaluates */
    rig_expect_event(svmhw_boundary(rig_core(1)), 0, VECTOR);
}

static void a_doorbell_to_a_core_that_runs_another_vcpu_is_harmless(void **unused)
{
    /* vCPUs 1 and 5 share core 1 */
    (void)unused;
    rig_start(XAVIC, 6);
    rig_enter(5, true);
    rig_enter(0, false);
    rig_expect_done(rig_send(0, 1u << 24, VECTOR));
    rig_expect_done(svmhw_boundary(rig_core(5)));
    assert_int_equal(rig_count(SVMHW_TRACE_DOORBELL_TAKEN), 1);
    assert_int_equal(rig_only_irr(1), VECTOR);
    assert_int_equal(rig_only_irr(5), RIG_NONE);
}

static void ring_during_vmrun(enum svmhw_trace what, uint64_t a, uint64_t b)
{
    (void)a;
    (void)b;
    if (what == SVMHW_TRACE_VMRUN) {
        rig.hook = NULL;
        rig_set_vector(0, 0x200, VECTOR);
        svmhw_doorbell_arrives(rig_core(0));
    }
}

static void ring_at_store(enum svmhw_trace what, uint64_t a, uint64_t b)
{
    (void)a;
    (void)b;
    if (what == SVMHW_TRACE_TRAP_STORE) {
        svmhw_doorbell_arrives(rig_core(0));
    }
}

static void a_doorbell_during_vmrun_is_recognised_after_entry(void **unused)
{
    (void)unused;
    rig_start(XAVIC, 1);
    rig_put(0, EVENTINJ, 8, BIT(31) | 4 << 8 | 0x80);
    rig.hook = ring_during_vmrun;
    rig_expect_event(rig_run(0, true), 4, 0x80);
    rig_expect_done(svmhw_iret(rig_core(0), true));
    rig_expect_event(svmhw_boundary(rig_core(0)), 0, VECTOR);
    assert_int_equal(rig_count(SVMHW_TRACE_DOORBELL_TAKEN), 1);
}

static void a_bell_does_not_survive_the_next_vmrun(void **unused)
{
    /* It comes while an instruction exits, after its boundary */
    (void)unused;
    rig_start(XAVIC, 1);
    rig_enter(0, false);
    rig.hook = ring_at_store;
    assert_int_equal(svmhw_mmio_write(rig_core(0), APIC_GPA + 0xF0, 4, 0xFF).code, 0x402);
    rig_enter(0, false);
    assert_int_equal(rig_count(SVMHW_TRACE_DOORBELL_TAKEN), 0);
}

static void a_doorbell_means_nothing_without_avic(void **unused)
{
    (void)unused;
    rig_start(PLAIN, 1);
    rig_set_vector(0, 0x200, VECTOR);
    rig_enter(0, true);
    svmhw_doorbell_arrives(rig_core(0));
    rig_expect_done(svmhw_boundary(rig_core(0)));
}

static void the_host_rings_by_the_msr(void **unused)
{
    uint64_t value = 1;

    (void)unused;
    rig_start(XAVIC, 2);
    rig_enter(1, true);
    rig_set_vector(1, 0x200, VECTOR);
    rig_expect_done(svmhw_boundary(rig_core(1)));
    assert_true(svmhw_host_writes_doorbell(rig_core(0), rig_host_id(1)));
    rig_expect_event(svmhw_boundary(rig_core(1)), 0, VECTOR);
    assert_false(svmhw_host_writes_doorbell(rig_core(0), BIT(32) | rig_host_id(1)));
    assert_false(svmhw_host_reads_doorbell(rig_core(0), &value));
    assert_int_equal(value, 0);
    assert_int_equal(rig.doorbells, 1);
}

/* ---- IR cleared while an IPI is on its way ---- */

static enum svmhw_trace clear_at;

static void clear_ir(enum svmhw_trace what, uint64_t a, uint64_t b)
{
    (void)b;
    if (what == clear_at && a == 1) {
        rig_entry(1, rig_entry_of(1, false));
    }
}

static void ir_is_read_after_irr_is_written(void **unused)
{
    /* Reference 16.10: both orders, by where the clear comes */
    static const struct {
        enum svmhw_trace at;
        bool exits;
    } rows[] = { { SVMHW_TRACE_TARGET, true }, { SVMHW_TRACE_IRR_SET, true }, { SVMHW_TRACE_RUNNING_READ, false } };

    (void)unused;
    for (unsigned i = 0; i < COUNT(rows); i++) {
        struct svmhw_result result;

        rig_start(XAVIC, 2);
        rig_enter(0, false);
        clear_at = rows[i].at;
        rig.hook = clear_ir;
        result = rig_send(0, 1u << 24, VECTOR);
        assert_int_equal(result.happened, rows[i].exits ? SVMHW_EXIT : SVMHW_DONE);
        assert_int_equal(rig.doorbells, !rows[i].exits);
        assert_int_equal(rig_count(SVMHW_TRACE_RUNNING_READ), 1);
        assert_int_equal(rig_only_irr(1), VECTOR);
    }
}

static bool irr_was_set;

static void look_at_irr(enum svmhw_trace what, uint64_t a, uint64_t b)
{
    (void)b;
    if (what == SVMHW_TRACE_IRR_SET && a == 1) {
        irr_was_set = rig_only_irr(1) == VECTOR;
    }
}

static void irr_is_there_before_ir_is_read(void **unused)
{
    (void)unused;
    rig_start(XAVIC, 2);
    rig_enter(0, false);
    irr_was_set = false;
    rig.hook = look_at_irr;
    rig_expect_done(rig_send(0, 1u << 24, VECTOR));
    assert_true(irr_was_set);
}

static void wake_target(enum svmhw_trace what, uint64_t a, uint64_t b)
{
    (void)b;
    if (what == SVMHW_TRACE_IRR_SET && a == 1) {
        rig.hook = NULL;
        rig_entry(1, rig_entry_of(1, true));
        rig_enter(1, false);
    }
}

static void a_target_that_wakes_concurrently_gets_a_doorbell_instead(void **unused)
{
    (void)unused;
    rig_start(XAVIC, 2);
    rig_entry(1, rig_entry_of(1, false));
    rig_enter(0, false);
    rig.hook = wake_target;
    rig_expect_done(rig_send(0, 1u << 24, VECTOR));
    assert_int_equal(rig.doorbells, 1);
    rig_expect_done(svmhw_popf(rig_core(1), true));
    rig_expect_event(svmhw_boundary(rig_core(1)), 0, VECTOR);
}

static void erratum_1235_sees_a_cleared_ir_once_more(void **unused)
{
    (void)unused;
    for (unsigned erratum = 0; erratum < 2; erratum++) {
        rig_start(XAVIC, 2);
        rig.machine.options.erratum_1235 = erratum;
        rig_enter(0, false);
        rig_expect_done(rig_send(0, 1u << 24, VECTOR));
        rig_entry(1, rig_entry_of(1, false));
        if (erratum) {
            rig_expect_done(rig_send(0, 1u << 24, VECTOR)); /* a lost wake-up */
            assert_int_equal(rig.doorbells, 2);
        }
        assert_int_equal(rig_send(0, 1u << 24, VECTOR).code, 0x401);
        assert_int_equal(rig_get(0, INFO2, 8), BIT(32) | 1);
    }
}

static void erratum_1235_remembers_each_target(void **unused)
{
    static const uint32_t ids[RIG_VCPUS] = { 0, 1, 9, 2, 511, 3 };

    (void)unused;
    rig_reset(X2AVIC);
    rig.machine.options.erratum_1235 = true;
    for (unsigned n = 0; n < RIG_VCPUS; n++) {
        rig_vcpu(n, ids[n]);
    }
    for (unsigned seen = 1; seen < RIG_VCPUS; seen++) {
        rig_enter(0, false);
        rig_expect_done(rig_send(0, ids[seen], VECTOR));
        for (unsigned n = 1; n < RIG_VCPUS; n++) {
            rig_entry(ids[n], rig_entry_of(n, false));
        }
        for (unsigned n = 1; n < RIG_VCPUS; n++) {
            struct svmhw_result result = rig_send(0, ids[n], VECTOR);

            assert_int_equal(result.happened, n == seen ? SVMHW_DONE : SVMHW_EXIT);
            if (n != seen) {
                rig_enter(0, false);
            }
        }
        for (unsigned n = 1; n < RIG_VCPUS; n++) {
            rig_entry(ids[n], rig_entry_of(n, true));
        }
        rig_leave(0);
    }
}

static void erratum_1235_is_avoided_by_never_setting_ir(void **unused)
{
    (void)unused;
    rig_start(XAVIC, 2);
    rig.machine.options.erratum_1235 = true;
    rig_entry(1, rig_entry_of(1, false));
    for (unsigned i = 0; i < 3; i++) {
        rig_enter(0, false);
        assert_int_equal(rig_send(0, 1u << 24, VECTOR).code, 0x401);
    }
    assert_int_equal(rig_only_irr(1), VECTOR);
    assert_int_equal(rig.doorbells, 0);
}

/* ---- the IOMMU: reference 9, 16.8 ---- */

static void the_iommu_posts_into_the_page_of_the_entry(void **unused)
{
    static const struct {
        uint64_t low;
        unsigned doorbells, logs;
        bool posted;
    } rows[] = {
        { BIT(0) | BIT(7), 0, 0, true },          { BIT(0) | BIT(7) | BIT(2), 0, 1, true },
        { BIT(0) | BIT(7) | BIT(6), 1, 0, true }, { BIT(0) | BIT(7) | BIT(6) | BIT(2), 1, 0, true },
        { BIT(0) | BIT(6), 0, 0, false }, /* not in guest mode */
        { BIT(7) | BIT(6), 0, 0, false }, /* not valid */
    };

    (void)unused;
    for (unsigned i = 0; i < COUNT(rows); i++) {
        uint64_t low = rows[i].low | UINT64_C(0xCAFE0001) << 32 | UINT64_C(0x345678) << 8;
        uint64_t high = UINT64_C(0x12) << 56 | PA(PAGE_BACKING + 1) | VECTOR;

        rig_start(XAVIC, 2);
        assert_int_equal(svmhw_iommu_post(&rig.machine, low, high), rows[i].posted ? SVMHW_POSTED : SVMHW_NOT_POSTED);
        assert_int_equal(rig_only_irr(1), rows[i].posted ? VECTOR : RIG_NONE);
        assert_int_equal(rig.doorbells, rows[i].doorbells);
        assert_int_equal(rig.last_doorbell, rows[i].doorbells ? 0x12345678 : 0);
        assert_int_equal(rig.ga_logs, rows[i].logs);
        assert_int_equal(rig.last_tag, rows[i].logs ? 0xCAFE0001 : 0);
    }
    assert_int_equal(svmhw_iommu_post(&rig.machine, BIT(0) | BIT(7), VECTOR), SVMHW_NOT_POSTED); /* no such page */
}

/* ---- real threads: reference 4.5, 12 ---- */

#define ROUNDS 3000u
#define SENDERS 2u

/* What each sender has posted and the receiver has taken, for one vector each. */
static uint32_t sent[SENDERS], taken[SENDERS], finished;

static unsigned vector_of(unsigned sender)
{
    return 0x50 + 0x20 * sender;
}

/* The guest of a vCPU: sends to vCPU 0, waits until that was taken, sends again. */
static void *send_many(void *context)
{
    unsigned sender = *(unsigned *)context, vcpu = 1 + sender;

    if (rig_run(vcpu, false).happened != SVMHW_DONE) {
        return NULL;
    }
    for (unsigned i = 1; i <= ROUNDS; i++) {
        uint32_t low = vector_of(sender);
        struct svmhw_result result;

        __atomic_store_n(&sent[sender], i, __ATOMIC_SEQ_CST);
        result = svmhw_wrmsr(rig_core(vcpu), 0x830, low);
        if (result.happened == SVMHW_EXIT) { /* the receiver was not running: its VMRUN will see IRR */
            if (rig_run(vcpu, false).happened != SVMHW_DONE) {
                return NULL;
            }
        }
        while (__atomic_load_n(&taken[sender], __ATOMIC_SEQ_CST) != i) {
            sched_yield();
        }
    }
    __atomic_fetch_add(&finished, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

/* The receiver leaves and comes back now and then, with its entry as the protocol of reference 12 has it. */
static void leave_and_come_back(void)
{
    uint64_t *entry = (uint64_t *)(void *)&rig.memory[PAGE_PHYSICAL][0];

    rig_leave(0);
    __atomic_store_n(entry, rig_entry_of(0, false), __ATOMIC_SEQ_CST);
    __atomic_store_n(entry, rig_entry_of(0, true), __ATOMIC_SEQ_CST);
    rig_expect_done(rig_run(0, true));
}

static void receive(void)
{
    struct svmhw_result result = svmhw_boundary(rig_core(0));

    if (result.happened != SVMHW_EVENT) {
        assert_int_equal(result.happened, SVMHW_DONE);
        sched_yield();
        return;
    }
    for (unsigned s = 0; s < SENDERS; s++) {
        if (result.vector == vector_of(s)) {
            assert_int_equal(__atomic_load_n(&sent[s], __ATOMIC_SEQ_CST), taken[s] + 1);
            assert_int_equal(svmhw_wrmsr(rig_core(0), 0x80B, 0).happened, SVMHW_DONE);
            assert_int_equal(svmhw_iret(rig_core(0), true).happened, SVMHW_DONE);
            __atomic_fetch_add(&taken[s], 1, __ATOMIC_SEQ_CST);
            return;
        }
    }
    fail();
}

static void threads_lose_no_interrupt(void **unused)
{
    pthread_t thread[SENDERS];
    unsigned number[SENDERS];

    (void)unused;
    rig_start(X2AVIC, 1 + SENDERS);
    memset(sent, 0, sizeof sent);
    memset(taken, 0, sizeof taken);
    finished = 0;
    rig_expect_done(rig_run(0, true));
    for (unsigned s = 0; s < SENDERS; s++) {
        number[s] = s;
        assert_int_equal(pthread_create(&thread[s], NULL, send_many, &number[s]), 0);
    }
    for (unsigned i = 1; __atomic_load_n(&finished, __ATOMIC_SEQ_CST) != SENDERS; i++) {
        receive();
        if (i % 64 == 0) {
            leave_and_come_back();
        }
    }
    for (unsigned s = 0; s < SENDERS; s++) {
        assert_int_equal(pthread_join(thread[s], NULL), 0);
        assert_int_equal(taken[s], ROUNDS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_doorbell_to_a_core_that_has_left_is_lost_and_nothing_with_it),
        cmocka_unit_test(a_doorbell_to_a_core_that_runs_another_vcpu_is_harmless),
        cmocka_unit_test(a_doorbell_during_vmrun_is_recognised_after_entry),
        cmocka_unit_test(a_bell_does_not_survive_the_next_vmrun),
        cmocka_unit_test(a_doorbell_means_nothing_without_avic),
        cmocka_unit_test(the_host_rings_by_the_msr),
        cmocka_unit_test(ir_is_read_after_irr_is_written),
        cmocka_unit_test(irr_is_there_before_ir_is_read),
        cmocka_unit_test(a_target_that_wakes_concurrently_gets_a_doorbell_instead),
        cmocka_unit_test(erratum_1235_sees_a_cleared_ir_once_more),
        cmocka_unit_test(erratum_1235_remembers_each_target),
        cmocka_unit_test(erratum_1235_is_avoided_by_never_setting_ir),
        cmocka_unit_test(the_iommu_posts_into_the_page_of_the_entry),
        cmocka_unit_test(threads_lose_no_interrupt),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
