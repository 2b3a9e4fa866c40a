/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Setting posts_ordered: what a post of a vector that is pending already costs, and that its handler sees the data. docs/CONCURRENCY.md,
 * section 1. The posters' side of the mailbox is compiled into the test, in place of the library's object, with atomics that are counted.
 */
#include "fake_host.h"

#include <pthread.h>
#include <sched.h>

#include "vlapic_atomic.h"

static _Thread_local unsigned fences, locked;

#undef vlapic_fence
#undef vlapic_fetch_or
#undef vlapic_fetch_and
#define vlapic_fence() (fences++, __atomic_thread_fence(__ATOMIC_SEQ_CST))
#define vlapic_fetch_or(p, v) (locked++, __atomic_fetch_or((p), (v), __ATOMIC_SEQ_CST))
#define vlapic_fetch_and(p, v) (locked++, __atomic_fetch_and((p), (v), __ATOMIC_SEQ_CST))
#include "vlapic_post.c"

#define VECTOR 0x61
#define ROUNDS (LOOK_FIRST ? 100000u : 2000u) /* a tenth of them may be too few to find a broken promise */
#define SPINS 1000u
#define LINES 40u /* fewer than a store buffer has entries */

static struct fake_vm fake;
static struct vlapic_cpu *cpu;

static void start(bool posts_ordered)
{
    fake_vm_prepare(&fake, VLAPIC_VENDOR_INTEL);
    fake.config.posts_ordered = posts_ordered;
    fake_vm_start(&fake, 1, NULL);
    cpu = fake_cpu_at(&fake, 0);
    guest_software_enable(cpu);
}

static void post(bool level)
{
    fences = locked = 0;
    assert_true(vlapic_cpu_post(cpu, VECTOR, level));
}

static void assert_taken(bool level)
{
    assert_int_equal(take_vector(cpu), VECTOR);
    assert_int_equal(guest_read(cpu, VLAPIC_REG_TMR + 0x30) >> 1 & 1u, level);
    guest_eoi(cpu);
    assert_int_equal(poll_vector(cpu), -1);
}

/* ThreadSanitizer's build does not look first. */
static void assert_cost(unsigned expected_fences, unsigned expected_locked)
{
    if (LOOK_FIRST) {
        assert_int_equal(fences, expected_fences);
        assert_int_equal(locked, expected_locked);
    }
}

static void by_default_a_redundant_post_makes_a_fence(void **state)
{
    /* Library: docs/CONCURRENCY.md, P0 */
    (void)state;
    start(false);
    post(false);
    assert_cost(0, 2);
    post(false);
    assert_cost(1, 0);
    assert_taken(false);
    fake_vm_stop(&fake);
}

static void with_the_promise_a_redundant_post_only_looks(void **state)
{
    /* Library: vlapic_vm_config.posts_ordered */
    (void)state;
    start(true);
    for (unsigned round = 0; round < 3; round++) {
        post(false);
        assert_cost(0, 2);
        post(false);
        assert_cost(0, 0);
        assert_taken(false);
    }
    fake_vm_stop(&fake);
}

static void the_promise_is_remembered_when_the_mode_changes(void **state)
{
    /* Library: vlapic_vm_config.posts_ordered; senders are told of the new mode, and of nothing less than before */
    (void)state;
    start(true);
    guest_enable_x2apic(cpu);
    post(false);
    post(false);
    assert_cost(0, 0);
    fake_vm_stop(&fake);
}

static void a_change_of_the_trigger_mode_is_posted(void **state)
{
    /* Library: docs/CONCURRENCY.md, section 3 */
    (void)state;
    start(true);
    for (unsigned level = 0; level < 2; level++) {
        post(!level);
        post(level);
        assert_cost(0, 2);
        post(level);
        assert_cost(0, 0);
        assert_taken(level);
    }
    fake_vm_stop(&fake);
}

/* --- two threads --------------------------------------------------------------------------------------------------------------- */

static bool poster_orders;
static unsigned data __attribute__((aligned(64))), round_begun, round_done; /* atomic */
static unsigned lines[LINES][16] __attribute__((aligned(64))); /* both threads write them: stores that take long */

static void write_lines(unsigned value)
{
    for (unsigned i = 0; i < LINES; i++) {
        __atomic_store_n(&lines[i][0], value, __ATOMIC_RELAXED);
    }
}

static void wait_for(const unsigned *word, unsigned value)
{
    for (unsigned spins = 0; __atomic_load_n(word, __ATOMIC_ACQUIRE) != value; spins++) {
        if (spins > SPINS) {
            sched_yield();
        }
    }
}

/* Stores what the handler shall find, behind stores that take long, and posts a vector that is pending, or has just been taken. The
 * first post brings the mailbox near. */
static void *store_and_post(void *unused)
{
    (void)unused;
    for (unsigned round = 1; round <= ROUNDS; round++) {
        wait_for(&round_begun, round);
        (void)vlapic_cpu_post(cpu, VECTOR, false);
        write_lines(round);
        __atomic_store_n(&data, round, __ATOMIC_RELAXED);
        if (poster_orders) {
            __atomic_thread_fence(__ATOMIC_SEQ_CST);
        }
        (void)vlapic_cpu_post(cpu, VECTOR, false);
        __atomic_store_n(&round_done, round, __ATOMIC_RELEASE);
    }
    return NULL;
}

/* The handler, if there is something to handle: returns what it found, else what was found before. */
static unsigned handle(unsigned found)
{
    int vector = poll_vector(cpu);

    if (vector >= 0) {
        found = __atomic_load_n(&data, __ATOMIC_RELAXED);
        assert_true(vlapic_cpu_accept(cpu, (uint8_t)vector));
        guest_eoi(cpu);
    }
    return found;
}

static void the_handler_finds_what_was_stored_before_the_post(void **state)
{
    /* Library: docs/CONCURRENCY.md, section 1. The other thread posts while this one takes what it has posted itself. */
    (void)state;
    for (unsigned ordered = 0; ordered < 2; ordered++) {
        unsigned found = 0, missed = 0;
        pthread_t poster;

        start(ordered != 0);
        poster_orders = ordered != 0;
        data = round_begun = round_done = 0;
        assert_int_equal(pthread_create(&poster, NULL, store_and_post, NULL), 0);
        for (unsigned round = 1; round <= ROUNDS; round++) {
            (void)vlapic_cpu_post(cpu, VECTOR, false);
            write_lines(0);
            __atomic_store_n(&round_begun, round, __ATOMIC_RELEASE);
            for (volatile unsigned spins = 0; spins < round * 7919u % 1024u; spins++) {
            }
            found = handle(found);
            wait_for(&round_done, round);
            found = handle(found);
            missed += found != round;
            fake_forget(&fake);
        }
        assert_int_equal(pthread_join(poster, NULL), 0);
        assert_int_equal(missed, 0);
        fake_vm_stop(&fake);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_default_a_redundant_post_makes_a_fence),
        cmocka_unit_test(with_the_promise_a_redundant_post_only_looks),
        cmocka_unit_test(the_promise_is_remembered_when_the_mode_changes),
        cmocka_unit_test(a_change_of_the_trigger_mode_is_posted),
        cmocka_unit_test(the_handler_finds_what_was_stored_before_the_post),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
