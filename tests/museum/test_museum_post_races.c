/* SPDX-License-Identifier: BSD-2-Clause */
/* The museum, section C: posting against taking, with real threads and with forced schedules. See museum.h. */
#include "museum_threads.h"
#include "posting_backend.h"

#include <stdlib.h>

static struct fake_vm fake;
static struct vlapic_cpu *cpu;

static int stop(void **state)
{
    (void)state;
    museum_stop(&fake);
    return 0;
}

static void start(const struct vlapic_backend *backend)
{
    museum_start_threaded(&fake, 1, backend);
    cpu = fake_cpu_at(&fake, 0);
}

/* ---- a backend that stops at chosen places: between two steps of the core, others get their turn ---- */

static void (*after_post)(void);
static void (*after_collect)(void);
static void (*after_isr_change)(void);

/* Runs the hook once. */
static void run(void (**hook)(void))
{
    void (*now)(void) = *hook;

    *hook = NULL;
    if (now != NULL)
        now();
}

static enum vlapic_post stopping_post(void *cpu_state, uint8_t vector, bool level)
{
    enum vlapic_post verdict = posting_backend.post(cpu_state, vector, level);

    run(&after_post);
    return verdict;
}

static bool stopping_collect(void *cpu_state, struct vlapic_vectors *posted, struct vlapic_vectors *level)
{
    bool found = posting_backend.collect(cpu_state, posted, level);

    run(&after_collect);
    return found;
}

static void stopping_changed(void *cpu_state, uint32_t what)
{
    (void)cpu_state;
    if ((what & VLAPIC_CHANGE_ISR) != 0)
        run(&after_isr_change);
}

static struct vlapic_backend stopping;

static void start_stopping(void)
{
    after_post = after_collect = after_isr_change = NULL;
    stopping = posting_backend;
    stopping.post = stopping_post;
    stopping.collect = stopping_collect;
    stopping.changed = stopping_changed;
    start(&stopping);
}

static unsigned posted_vector;
static bool posted_accepted;

static void *post_it(void *unused)
{
    posted_accepted = vlapic_cpu_post(cpu, (uint8_t)posted_vector, false);
    return unused;
}

/* Another thread posts posted_vector while this one stands still. */
static void another_thread_posts(void)
{
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, post_it, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(posted_accepted);
}

/* ---- 067: trigger mode against vector ---- */

#define NOISE 0x91 /* outranks 0x61, and keeps the owner collecting at any moment */

static unsigned posts, handled;

static void *post_alternating(void *unused)
{
    do {
        vlapic_cpu_post(cpu, 0x61, posts % 2 == 0);
        posts++;
    } while (museum_wait(&handled, posts));
    return unused;
}

static void *post_noise(void *unused)
{
    while (museum_get(&museum_over) == 0) {
        vlapic_cpu_post(cpu, NOISE, false);
        sched_yield();
    }
    return unused;
}

/* Takes a vector if there is one; false if TMR is not of the post that brought it. */
static bool serve_alternating(void)
{
    int vector = take_vector(cpu);
    bool good;

    if (vector < 0)
        return true;
    good = vector != 0x61 || guest_bit(cpu, VLAPIC_REG_TMR, 0x61) == (handled % 2 == 0);
    guest_eoi(cpu);
    if (vector == 0x61)
        museum_set(&handled, handled + 1);
    return good;
}

static void museum_067_the_trigger_mode_is_there_before_the_request(void **state)
{
    /* Xen, KVM: IRR was set before TMR; the target took the vector in between, and its EOI never reached the I/O
     * APIC. */
    pthread_t threads[2];
    bool good = true;

    (void)state;
    start(NULL);
    posts = handled = 0;
    museum_loop_begin();
    assert_int_equal(pthread_create(&threads[0], NULL, post_alternating, NULL), 0);
    assert_int_equal(pthread_create(&threads[1], NULL, post_noise, NULL), 0);
    while (good && museum_loop_goes_on(handled))
        good = serve_alternating();
    museum_loop_join(threads, 2);
    while (good && poll_vector(cpu) >= 0)
        good = serve_alternating();
    assert_true(good);
    assert_int_equal(handled, posts);
    assert_int_equal(museum_get(&museum_counted.broadcasts), (posts + 1) / 2);
}

static void *post_to_backend(void *shared)
{
    do {
        posting_backend.post(shared, 0x61, posts % 2 == 0);
        posts++;
    } while (museum_wait(&handled, posts));
    return NULL;
}

static bool collect_from_backend(void *cpu_state)
{
    uint64_t bit = 1ull << 33;
    struct vlapic_vectors posted, level;
    bool good;

    if (!posting_backend.collect(cpu_state, &posted, &level))
        return true;
    good = posted.word[1] == bit && (level.word[1] & bit) == (handled % 2 == 0 ? bit : 0);
    museum_set(&handled, handled + 1);
    return good;
}

static void museum_067_a_backend_hands_over_vector_and_mode_together(void **state)
{
    /* Xen, KVM: the same order, where it is made: the backend's post against its collect. */
    _Alignas(64) unsigned char owned[64] = { 0 }, shared[64] = { 0 };
    const struct vlapic_cpu_memory memory = { .owned = owned, .shared = shared };
    pthread_t thread;
    bool good = true;

    (void)state;
    assert_true(posting_backend.cpu_state_bytes <= sizeof(owned) && posting_backend.cpu_shared_bytes <= sizeof(shared));
    assert_int_equal(posting_backend.cpu_init(&memory, NULL, NULL), VLAPIC_OK);
    posts = handled = 0;
    museum_loop_begin();
    assert_int_equal(pthread_create(&thread, NULL, post_to_backend, shared), 0);
    while (good && museum_loop_goes_on(handled))
        good = collect_from_backend(owned);
    museum_loop_join(&thread, 1);
    good &= collect_from_backend(owned);
    assert_true(good);
    assert_int_equal(handled, posts);
}

/* ---- 092: what says that something is pending, against what is ---- */

static void museum_092_a_post_while_a_vector_is_taken_is_seen(void **state)
{
    /* KVM: a hint that IRR has bits was cleared after the bit, over a request that had just come; the vCPU slept on
     * it. */
    static const unsigned later[] = { 0x51, 0x6F, 0x71 };

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        start_stopping();
        posted_vector = later[i];
        assert_true(vlapic_cpu_post(cpu, 0x61, false));
        assert_int_equal(poll_vector(cpu), 0x61);
        after_isr_change = another_thread_posts;
        assert_true(vlapic_cpu_accept(cpu, 0x61));
        assert_null(after_isr_change);
        assert_int_equal(poll_vector(cpu), later[i] == 0x71 ? 0x71 : -1);
        museum_only(cpu, VLAPIC_REG_ISR, 0x61, -1);
        guest_eoi(cpu);
        assert_int_equal(poll_vector(cpu), (int)later[i]);
        fake_vm_stop(&fake);
    }
}

static void museum_092_a_post_while_a_vector_is_ended_is_seen(void **state)
{
    /* KVM: the same, at the EOI. */
    (void)state;
    start_stopping();
    posted_vector = 0x51;
    museum_in_service(cpu, 0x61, false);
    after_isr_change = another_thread_posts;
    guest_eoi(cpu);
    assert_null(after_isr_change);
    assert_false(vlapic_cpu_enter(cpu)); /* the core knows that it has to look */
    assert_int_equal(poll_vector(cpu), 0x51);
}

static unsigned round_begun, round_done;

static void *post_51_once_a_round(void *unused)
{
    for (unsigned round = 1; museum_wait(&round_begun, round); round++) {
        vlapic_cpu_post(cpu, 0x51, false);
        museum_set(&round_done, round);
    }
    return unused;
}

/* 0x61 is taken and ended while the other thread posts 0x51. Then nothing but 0x51 is there, and it is offered. */
static bool take_61_then_51(unsigned round)
{
    bool good = vlapic_cpu_post(cpu, 0x61, false);

    museum_set(&round_begun, round);
    good &= take_vector(cpu) == 0x61;
    guest_eoi(cpu);
    good &= museum_wait(&round_done, round);
    good &= poll_vector(cpu) == 0x51 && guest_read(cpu, 0x220) == 0x00020000;
    good &= vlapic_cpu_accept(cpu, 0x51);
    guest_eoi(cpu);
    return good;
}

static void museum_092_no_request_is_lost_to_ack_and_eoi(void **state)
{
    /* KVM: the same race, left to chance. */
    pthread_t thread;
    unsigned round = 0;
    bool good = true;

    (void)state;
    start(NULL);
    round_begun = round_done = 0;
    museum_loop_begin();
    assert_int_equal(pthread_create(&thread, NULL, post_51_once_a_round, NULL), 0);
    while (good && museum_loop_goes_on(round))
        good = take_61_then_51(++round);
    museum_loop_join(&thread, 1);
    assert_true(good);
}

/* ---- 093: words that several threads write ---- */

static void museum_093_a_post_during_the_merge_keeps_both(void **state)
{
    /* ACRN, KVM: merging was a plain read-modify-write, and a bit that came to the same word meanwhile was lost. */
    (void)state;
    start_stopping();
    posted_vector = 0x62;
    assert_true(vlapic_cpu_post(cpu, 0x61, false));
    after_collect = another_thread_posts;
    assert_int_equal(poll_vector(cpu), 0x61);
    assert_null(after_collect);
    assert_int_equal(guest_read(cpu, 0x230), 0x00000006);
    assert_int_equal(poll_vector(cpu), 0x62);
}

/* Eight vectors of one word, so that two of these have many chances to meet. Bit n: vector 60h + n. */
#define FIRST_EIGHT 0x22222222u /* 61h, 65h, 69h ... */
#define OTHER_EIGHT 0x44444444u /* 62h, 66h, 6Ah ... */

struct neighbour {
    uint32_t vectors;
    unsigned level_when; /* round modulo 2 */
    unsigned done;
};

static struct neighbour neighbours[2];

static void *post_beside(void *argument)
{
    struct neighbour *n = argument;

    for (unsigned round = 1; museum_wait(&round_begun, round); round++) {
        for (uint32_t bits = n->vectors; bits != 0; bits &= bits - 1)
            vlapic_cpu_post(cpu, (uint8_t)(0x60 + __builtin_ctz(bits)), round % 2 == n->level_when);
        museum_set(&n->done, round);
    }
    return NULL;
}

/* All of them came, each with the mode of its own post: TMR is what an EOI-exit bitmap is made of. */
static bool take_both(unsigned round)
{
    uint32_t level = round % 2 == 0 ? FIRST_EIGHT : OTHER_EIGHT;
    uint32_t seen;
    bool good = true;

    museum_set(&round_begun, round);
    (void)guest_read(cpu, 0x230); /* merges whatever is there by now */
    good &= museum_wait(&neighbours[0].done, round) && museum_wait(&neighbours[1].done, round);
    seen = guest_read(cpu, 0x230);
    good &= seen == (FIRST_EIGHT | OTHER_EIGHT) && guest_read(cpu, 0x1B0) == level;
    for (; seen != 0; seen &= seen - 1) {
        good &= take_vector(cpu) >= 0;
        guest_eoi(cpu);
    }
    return good;
}

static void museum_093_neighbours_in_a_word_do_not_lose_each_other(void **state)
{
    /* ACRN, KVM: two CPUs changed bits of one word of the EOI-exit set at once, and one of them was lost. */
    pthread_t threads[2];
    unsigned round = 0;
    bool good = true;

    (void)state;
    start(NULL);
    round_begun = 0;
    museum_loop_begin();
    for (unsigned i = 0; i < 2; i++) {
        neighbours[i] = (struct neighbour){ .vectors = i ? OTHER_EIGHT : FIRST_EIGHT, .level_when = i };
        assert_int_equal(pthread_create(&threads[i], NULL, post_beside, &neighbours[i]), 0);
    }
    while (good && museum_loop_goes_on(round))
        good = take_both(++round);
    museum_loop_join(threads, 2);
    assert_true(good);
}

/* ---- 094: a kick is a hint ---- */

static void take_everything(void)
{
    while (take_vector(cpu) >= 0)
        guest_eoi(cpu);
}

static void museum_094_an_announcement_without_a_vector_is_legal(void **state)
{
    /* ACRN: a vCPU that was told of an interrupt and found none was stopped as broken. */
    (void)state;
    start_stopping();
    assert_true(vlapic_cpu_post(cpu, 0x41, false));
    after_post = take_everything; /* between the post of 0x51 and its announcement, both are taken */
    assert_true(vlapic_cpu_post(cpu, 0x51, false));
    assert_null(after_post);
    museum_only(cpu, VLAPIC_REG_IRR, -1, -1);
    museum_idle(cpu);
    assert_int_equal(museum_stats(cpu).accepts, 2);
    assert_true(vlapic_cpu_enter(cpu));
}

static void museum_094_spurious_kicks_change_nothing(void **state)
{
    /* ACRN: the same, with a thousand kicks for nothing. */
    struct vlapic_cpu_state before, after;
    struct museum_blob saved, now;
    struct vlapic_poll duty;

    (void)state;
    fake_one_cpu(&fake, VLAPIC_VENDOR_INTEL);
    cpu = fake_cpu_at(&fake, 0);
    busy_state(&fake);
    state_read(cpu, &before);
    museum_save(cpu, &saved);
    duty = museum_poll(cpu);
    for (unsigned i = 0; i < 1000; i++) {
        struct vlapic_poll again = museum_poll(cpu);

        assert_int_equal(again.vector, duty.vector);
        assert_false(again.init || again.nmi || again.smi || again.sipi || again.extint_message);
        assert_true(i % 2 ? vlapic_cpu_enter(cpu) : vlapic_cpu_halt(cpu));
        vlapic_cpu_timer_expired(cpu);
        vlapic_cpu_exit(cpu);
        fake_forget(&fake);
    }
    state_read(cpu, &after);
    assert_same_state(&before, &after);
    museum_save(cpu, &now);
    assert_memory_equal(&saved, &now, sizeof saved);
}

/* ---- 118: the target changes its mind between the vector and the look at it ---- */

static void target_halts(void)
{
    assert_true(vlapic_cpu_halt(cpu));
}

static void target_enters(void)
{
    assert_true(vlapic_cpu_enter(cpu));
}

static void target_exits_and_polls(void)
{
    vlapic_cpu_exit(cpu);
    (void)poll_vector(cpu);
}

static void museum_118_the_sender_looks_after_the_vector_is_stored(void **state)
{
    /* KVM: the target's state was looked at too early; it changed meanwhile, and nobody delivered the vector. */
    static void (*const changes[])(void) = { target_halts, target_enters };

    (void)state;
    start_stopping();
    for (unsigned i = 0; i < 2; i++) {
        unsigned kicks = museum_get(&museum_counted.kicks);

        assert_int_equal(poll_vector(cpu), -1);
        after_post = changes[i];
        assert_true(vlapic_cpu_post(cpu, 0x61, false));
        assert_int_equal(museum_get(&museum_counted.kicks), kicks + 1);
        vlapic_cpu_exit(cpu);
        assert_int_equal(take_vector(cpu), 0x61);
        guest_eoi(cpu);
    }
    assert_int_equal(poll_vector(cpu), -1);
    assert_true(vlapic_cpu_enter(cpu));
    after_post = target_exits_and_polls;
    assert_true(vlapic_cpu_post(cpu, 0x61, false));
    assert_false(vlapic_cpu_enter(cpu));
    assert_int_equal(poll_vector(cpu), 0x61);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(museum_067_the_trigger_mode_is_there_before_the_request, stop),
        cmocka_unit_test_teardown(museum_067_a_backend_hands_over_vector_and_mode_together, stop),
        cmocka_unit_test_teardown(museum_092_a_post_while_a_vector_is_taken_is_seen, stop),
        cmocka_unit_test_teardown(museum_092_a_post_while_a_vector_is_ended_is_seen, stop),
        cmocka_unit_test_teardown(museum_092_no_request_is_lost_to_ack_and_eoi, stop),
        cmocka_unit_test_teardown(museum_093_a_post_during_the_merge_keeps_both, stop),
        cmocka_unit_test_teardown(museum_093_neighbours_in_a_word_do_not_lose_each_other, stop),
        cmocka_unit_test_teardown(museum_094_an_announcement_without_a_vector_is_legal, stop),
        cmocka_unit_test_teardown(museum_094_spurious_kicks_change_nothing, stop),
        cmocka_unit_test_teardown(museum_118_the_sender_looks_after_the_vector_is_stored, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
