/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Forced schedules: the posting side of the vmx backend is compiled into the test with a stop before each of its atomic operations, where
 * another processor's turn is played. All interleavings with one change of processors are gone through.
 */
#include "vmx_rig.h"

static void (*at_stop)(void);
static unsigned steps_left;

static inline void step(void)
{
    void (*turn)(void) = at_stop;

    if (turn != NULL && steps_left-- == 0) {
        at_stop = NULL; /* the other's turn is not stopped */
        turn();
    }
}

#define __atomic_load_n(p, order) (step(), __atomic_load_n((p), (order)))
#define __atomic_store_n(p, v, order) (step(), __atomic_store_n((p), (v), (order)))
#define __atomic_fetch_or(p, v, order) (step(), __atomic_fetch_or((p), (v), (order)))
#define __atomic_fetch_and(p, v, order) (step(), __atomic_fetch_and((p), (v), (order)))
#define __atomic_exchange_n(p, v, order) (step(), __atomic_exchange_n((p), (v), (order)))
#define __atomic_compare_exchange_n(p, old, v, weak, yes, no)                                                          \
    (step(), __atomic_compare_exchange_n((p), (old), (v), (weak), (yes), (no)))
#include "vlapic_vmx_post.c"

#define LEVEL                                                                                                          \
    (VLAPIC_VMX_TPR_SHADOW | VLAPIC_VMX_APIC_ACCESS | VLAPIC_VMX_REGISTERS | VLAPIC_VMX_DELIVERY | VLAPIC_VMX_POSTED)
#define POSTED 0x61

static struct rig rig;
static struct rig_cpu *c;

static int clean(void **state)
{
    (void)state;
    at_stop = NULL;
    rig_clean(&rig);
    return 0;
}

static void start(void)
{
    c = rig_one(&rig, LEVEL, false);
}

/* Runs `what` with `turn` before its atomic operation of this number; false if it has fewer, and then the turn comes after it. */
static bool play(unsigned number, void (*what)(void), void (*turn)(void))
{
    bool played;

    steps_left = number;
    at_stop = turn;
    what();
    played = at_stop == NULL;
    at_stop = NULL;
    if (!played)
        turn();
    return played;
}

/* ---- turns ---- */

static void post(void)
{
    assert_true(vlapic_cpu_post(c->cpu, POSTED, false));
}

static void post_other(void)
{
    assert_true(vlapic_cpu_post(c->cpu, 0x71, false));
}

static void device_posts(void)
{
    rig_device_posts(c, POSTED);
}

static void collect(void)
{
    (void)guest_read(c->cpu, VLAPIC_REG_VERSION);
    vlapic_cpu_poll(c->cpu, &c->duty);
}

static bool in_guest(void)
{
    return c->core.in_guest;
}

/* The vCPU goes round until it is in the guest; then the processor takes what it was notified of. Nothing may be left behind. */
static void settle_in_guest(void)
{
    struct apicv_result r;

    for (unsigned i = 0; !in_guest(); i++) {
        struct vlapic_vmx_guest guest = rig_guest(true);

        assert_true(i < 8);
        if (rig_try(c, &guest))
            (void)rig_run(c);
    }
    for (unsigned i = 0; i < 4; i++) {
        r = apicv_boundary(&c->core);
        if (r.outcome == APICV_EXIT) {
            (void)rig_take(c, &r);
            return settle_in_guest();
        }
    }
}

/* Delivered to the guest or about to be, without any help of a later interrupt. */
static void assert_not_lost(uint8_t vector)
{
    bool has;

    settle_in_guest();
    has = rig_page_has(c, APICV_VIRR, vector) || rig_page_has(c, APICV_VISR, vector);
    if (!has)
        fail_msg("vector %x was lost: PIR %d, ON %d", vector, rig_posted(c, vector), rig_on(c));
}

/* ---- the owner collects ---- */

static void a_post_at_any_step_of_a_collection_is_not_lost(void **state)
{
    /* Reference 15: "ON-clear must be ordered before reading PIR (otherwise a bit set between is lost)" */
    void (*const turns[])(void) = { post, device_posts };

    (void)state;
    for (unsigned kind = 0; kind < 4; kind++) {
        unsigned number = 0;
        bool played;

        do {
            start();
            post_other();
            if (kind & 2)
                post();
            played = play(number++, collect, turns[kind & 1]);
            assert_not_lost(POSTED);
            assert_not_lost(0x71);
        } while (played);
        assert_true(number > 3);
    }
}

static void a_collection_at_any_step_of_a_post_takes_it_or_is_asked_again(void **state)
{
    /* Reference 15: PIR before ON. With another vector outstanding the poster leaves the announcement to others */
    (void)state;
    for (unsigned kind = 0; kind < 3; kind++) {
        unsigned number = 0;
        bool played;

        do {
            start();
            if (kind == 1)
                post_other();
            if (kind == 2)
                rig_device_posts(c, 0x71);
            played = play(number++, post, collect);
            assert_not_lost(POSTED);
        } while (played);
        assert_true(number > 3);
    }
}

static void enter(void)
{
    struct vlapic_vmx_guest guest = rig_guest(true);

    if (rig_try(c, &guest))
        (void)rig_run(c);
}

static void a_post_at_any_step_of_an_entry_is_not_lost(void **state)
{
    /* Reference 15, store-order pairs: poster PIR, ON, then the mode; target mode, then ON */
    void (*const turns[])(void) = { post, device_posts };

    (void)state;
    for (unsigned kind = 0; kind < 2; kind++) {
        unsigned number = 0;
        bool played;

        do {
            start();
            played = play(number++, enter, turns[kind]);
            assert_not_lost(POSTED);
        } while (played);
        assert_true(number > 1);
    }
}

/* ---- hardware processes the descriptor while somebody posts ---- */

static void hardware_looks(void)
{
    apicv_interrupt_arrives(&c->core, RIG_NOTIFICATION);
    (void)apicv_boundary(&c->core);
}

static void processing_at_any_step_of_a_post_takes_it_or_is_asked_again(void **state)
{
    /* Reference 10 and 15: ON is set after PIR, the notification comes last */
    (void)state;
    for (unsigned outstanding = 0; outstanding < 2; outstanding++) {
        unsigned number = 0;
        bool played;

        do {
            start();
            rig_go(c);
            if (outstanding)
                post_other(); /* its notification has not been seen */
            played = play(number++, post, hardware_looks);
            (void)apicv_boundary(&c->core); /* what the notification brought */
            assert_true(rig_page_has(c, APICV_VISR, POSTED) || rig_page_has(c, APICV_VIRR, POSTED));
            assert_false(rig_posted(c, POSTED) || rig_on(c));
        } while (played);
        assert_true(number > 3);
    }
}

/* In the place of the IPI: hardware has seen it before the poster goes on, and finds nothing later. */
static void look_at_once(struct rig_cpu *target)
{
    apicv_interrupt_arrives(&target->core, RIG_NOTIFICATION);
    (void)apicv_boundary(&target->core);
}

static void a_notification_comes_when_there_is_something_to_find(void **state)
{
    /* Reference 15: PIR and ON before the notification, which is handled in no time */
    (void)state;
    start();
    rig.on_notify = look_at_once;
    rig_go(c);
    post();
    assert_int_equal(c->calls, 1);
    assert_true(rig_page_has(c, APICV_VISR, POSTED));
    assert_false(rig_posted(c, POSTED) || rig_on(c));
}

/* ---- preemption, sleep ---- */

static void preempt(void)
{
    rig_put(c);
    rig_load(c, 20);
}

static void a_post_at_any_step_of_a_preemption_is_not_lost(void **state)
{
    /* Reference 15 and 16: what devices post under SN has no ON; load finds it */
    void (*const turns[])(void) = { post, device_posts };

    (void)state;
    for (unsigned kind = 0; kind < 2; kind++) {
        unsigned number = 0;
        bool played;

        do {
            start();
            played = play(number++, preempt, turns[kind]);
            assert_not_lost(POSTED);
            assert_int_equal(rig_ndst(c), 20);
        } while (played);
        assert_true(number > 3);
    }
}

static bool sleeps;

static void halt(void)
{
    sleeps = vlapic_cpu_halt(c->cpu);
}

/* What the embedder's handlers make of it. */
static bool is_woken(void)
{
    int vector;

    if (fake_count(&rig.fake, FAKE_KICK) != 0)
        return true;
    while ((vector = apicv_host_takes_interrupt(&c->core)) >= 0) {
        if (vector == RIG_WAKEUP && vlapic_vmx_is_outstanding(c->cpu))
            return true;
    }
    return false;
}

static void a_post_at_any_step_of_falling_asleep_wakes(void **state)
{
    /* Reference 16: NV := wake-up vector; then if ON is set already, no sleep. On the list first, or the vector finds nobody */
    void (*const turns[])(void) = { post, device_posts };

    (void)state;
    for (unsigned kind = 0; kind < 4; kind++) {
        unsigned number = 0;
        bool played;

        do {
            start();
            if (kind & 2)
                rig_put(c); /* SN is set when it falls asleep */
            played = play(number++, halt, turns[kind & 1]);
            if (sleeps)
                assert_true(is_woken());
            vlapic_cpu_exit(c->cpu);
            if (kind & 2)
                rig_load(c, 16);
            assert_not_lost(POSTED);
        } while (played);
        assert_true(number > 3);
    }
}

static void wake(void)
{
    vlapic_cpu_exit(c->cpu);
}

static void a_post_at_any_step_of_waking_is_not_lost(void **state)
{
    /* Reference 16: "unblocked: ... restore NV" */
    void (*const turns[])(void) = { post, device_posts };

    (void)state;
    for (unsigned kind = 0; kind < 2; kind++) {
        unsigned number = 0;
        bool played;

        do {
            start();
            halt();
            assert_true(sleeps);
            played = play(number++, wake, turns[kind]);
            assert_not_lost(POSTED);
            assert_int_equal(rig_nv(c), RIG_NOTIFICATION);
        } while (played);
    }
}

/* ---- trigger mode ---- */

static void post_level(void)
{
    assert_true(vlapic_cpu_post(c->cpu, POSTED, true));
}

static void the_eoi_of_a_level_post_exits_whenever_the_owner_enters(void **state)
{
    /* Reference 15, step 1, and 19.3: no level request before the EOI-exit bitmap has it */
    unsigned number = 0;
    bool played;

    (void)state;
    do {
        start();
        played = play(number++, post_level, enter);
        if (in_guest() && fake_count(&rig.fake, FAKE_KICK) != 0)
            rig_kick_out(c);
        settle_in_guest();
        (void)apicv_boundary(&c->core);
        assert_true(rig_page_has(c, APICV_VISR, POSTED));
        assert_int_equal(
            rig_take_reason(c, apicv_guest_write(&c->core, RIG_APIC + 0xB0, 4, 0), APICV_EXIT_VIRTUALIZED_EOI),
            VLAPIC_VMX_RESUME);
        assert_int_equal(fake_count(&rig.fake, FAKE_EOI_BROADCAST), 1);
    } while (played);
    assert_true(number > 1);
}

static void reset(void)
{
    vlapic_cpu_reset(c->cpu);
    guest_software_enable(c->cpu);
}

static void a_level_post_that_meets_a_reset_is_level_or_gone(void **state)
{
    /* Reference 15, step 1, and 17: RESET clears TMR, and what was posted before */
    unsigned number = 0;
    bool played;

    (void)state;
    do {
        start();
        rig_serve(c, POSTED, true);
        guest_eoi(c->cpu);
        assert_true(rig_page_has(c, VLAPIC_REG_TMR, POSTED));
        played = play(number++, post_level, reset);
        settle_in_guest();
        if (rig_page_has(c, APICV_VISR, POSTED) || rig_page_has(c, APICV_VIRR, POSTED))
            assert_true(rig_page_has(c, VLAPIC_REG_TMR, POSTED));
    } while (played);
    assert_true(number > 3);
}

#define TEST(name) cmocka_unit_test_teardown(name, clean)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_post_at_any_step_of_a_collection_is_not_lost),
        TEST(a_collection_at_any_step_of_a_post_takes_it_or_is_asked_again),
        TEST(a_post_at_any_step_of_an_entry_is_not_lost),
        TEST(processing_at_any_step_of_a_post_takes_it_or_is_asked_again),
        TEST(a_notification_comes_when_there_is_something_to_find),
        TEST(a_post_at_any_step_of_a_preemption_is_not_lost),
        TEST(a_post_at_any_step_of_falling_asleep_wakes),
        TEST(a_post_at_any_step_of_waking_is_not_lost),
        TEST(the_eoi_of_a_level_post_exits_whenever_the_owner_enters),
        TEST(a_level_post_that_meets_a_reset_is_level_or_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
