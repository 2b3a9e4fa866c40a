/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The museum, section C: the soft backend's posted set, with instrumented atomics. The order of its stores is recorded,
 * and another thread gets its turn before each of its atomic operations. See museum.h.
 */
#include "museum.h"
#include "museum_steps.h"

#include <vlapic/backend.h>

/* Which words were written, in which order. */
struct store {
    const uint64_t *word;
    int order;
};

static struct store stores[16];
static unsigned store_count;

static void note_store(const uint64_t *word, int order)
{
    museum_step();
    if (store_count < sizeof stores / sizeof stores[0])
        stores[store_count++] = (struct store){ word, order };
}

static uint64_t step_load(const uint64_t *word)
{
    museum_step();
    return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

static uint64_t step_or(uint64_t *word, uint64_t bits, int order)
{
    note_store(word, order);
    return __atomic_fetch_or(word, bits, __ATOMIC_SEQ_CST);
}

static uint64_t step_and(uint64_t *word, uint64_t bits, int order)
{
    note_store(word, order);
    return __atomic_fetch_and(word, bits, __ATOMIC_SEQ_CST);
}

static uint64_t step_exchange(uint64_t *word, uint64_t value, int order)
{
    note_store(word, order);
    return __atomic_exchange_n(word, value, __ATOMIC_SEQ_CST);
}

#define __atomic_load_n(word, order) step_load(word)
#define __atomic_fetch_or(word, bits, order) step_or(word, bits, order)
#define __atomic_fetch_and(word, bits, order) step_and(word, bits, order)
#define __atomic_exchange_n(word, value, order) step_exchange(word, value, order)
#define __atomic_store_n(word, value, order) ((void)step_exchange(word, value, order))
/* Takes the place of the library's object of the same name. */
#include "../backends/soft/vlapic_soft.c"
#undef __atomic_load_n
#undef __atomic_fetch_or
#undef __atomic_fetch_and
#undef __atomic_exchange_n
#undef __atomic_store_n

#define WORD 1 /* of 0x61 and 0x62 */
#define BIT_61 (1ull << 0x21)
#define BIT_62 (1ull << 0x22)

static struct soft_cpu cpu;

/* What collect() found, in word 1: by the turn at the stop, and by the test afterwards. */
struct catch
{
    uint64_t posted, level;
};

static struct catch at_stop, afterwards;

static struct catch take(void)
{
    struct vlapic_vectors posted, level;

    if (!vlapic_backend_soft.collect(&cpu, &posted, &level))
        return (struct catch){ 0 };
    return (struct catch){ posted.word[WORD], level.word[WORD] & posted.word[WORD] };
}

/* An empty set in which the last post of 0x61 and 0x62 had these modes. */
static void prepare(bool level_61, bool level_62)
{
    memset(&cpu, 0, sizeof cpu);
    vlapic_backend_soft.post(&cpu, 0x61, level_61);
    vlapic_backend_soft.post(&cpu, 0x62, level_62);
    assert_true(take().posted == (BIT_61 | BIT_62));
    at_stop = afterwards = (struct catch){ 0 };
    store_count = 0;
}

static bool is_release(int order)
{
    return order == __ATOMIC_RELEASE || order == __ATOMIC_ACQ_REL || order == __ATOMIC_SEQ_CST;
}

static void museum_067_the_mode_is_stored_before_the_vector(void **state)
{
    /* Xen, KVM: IRR was set before TMR; the target took the vector in between, and its EOI never reached the I/O
     * APIC. */
    (void)state;
    for (int level = 0; level < 2; level++) {
        prepare(!level, false);
        assert_int_equal(vlapic_backend_soft.post(&cpu, 0x61, level), VLAPIC_POST_KICK);
        assert_int_equal(store_count, 2);
        assert_ptr_equal(stores[0].word, &cpu.level[WORD]);
        assert_ptr_equal(stores[1].word, &cpu.posted[WORD]);
        assert_true(is_release(stores[1].order));
    }
}

static void turn_collects(void)
{
    at_stop = take();
}

static void museum_067_a_collect_at_any_step_of_a_post(void **state)
{
    /* Xen, KVM: the same, seen from the target: whenever it looks, it finds no vector, or the vector with its mode. */
    (void)state;
    for (int level = 0; level < 2; level++) {
        unsigned step = 0;

        do {
            prepare(!level, false);
            museum_stop_before(step++, turn_collects);
            assert_int_equal(vlapic_backend_soft.post(&cpu, 0x61, level), VLAPIC_POST_KICK);
            afterwards = take();
            assert_true((at_stop.posted | afterwards.posted) == BIT_61);
            assert_true((at_stop.posted & afterwards.posted) == 0);
            assert_true((at_stop.level | afterwards.level) == (level ? BIT_61 : 0));
        } while (museum_stopped());
        assert_true(step > 2);
    }
}

static bool other_level;
static enum vlapic_post other_verdict;

static void turn_posts_62(void)
{
    other_verdict = vlapic_backend_soft.post(&cpu, 0x62, other_level);
}

static void post_both(unsigned step, bool level, bool kept)
{
    other_verdict = VLAPIC_POST_KICK;
    prepare(level == kept, other_level == kept);
    museum_stop_before(step, turn_posts_62);
    assert_int_equal(vlapic_backend_soft.post(&cpu, 0x61, level), VLAPIC_POST_KICK);
    assert_int_equal(other_verdict, VLAPIC_POST_KICK);
}

static void museum_093_a_post_at_any_step_of_a_post(void **state)
{
    /* ACRN, KVM: two CPUs changed bits of one word at once by plain read-modify-writes, and one of the bits was
     * lost. */
    (void)state;
    for (int kind = 0; kind < 8; kind++) {
        bool level = kind & 1, kept = (kind & 4) != 0, stopped;
        unsigned step = 0;

        other_level = (kind & 2) != 0;
        do {
            post_both(step++, level, kept);
            stopped = museum_stopped();
            if (!stopped)
                turn_posts_62();
            afterwards = take();
            assert_true(afterwards.posted == (BIT_61 | BIT_62));
            assert_true(afterwards.level == ((level ? BIT_61 : 0) | (other_level ? BIT_62 : 0)));
        } while (stopped);
        assert_true(step > 2);
    }
}

static uint8_t late_vector;

static void turn_posts_late(void)
{
    other_verdict = vlapic_backend_soft.post(&cpu, late_vector, false);
}

static void museum_093_a_post_at_any_step_of_a_collect(void **state)
{
    /* ACRN, KVM: the same between a post and the merge. A verdict of "nothing new" means that this collect takes it. */
    (void)state;
    for (late_vector = 0x61; late_vector <= 0x62; late_vector++) {
        uint64_t late = late_vector == 0x61 ? BIT_61 : BIT_62;
        unsigned step = 0;
        bool stopped;

        do {
            prepare(false, false);
            vlapic_backend_soft.post(&cpu, 0x61, false);
            museum_stop_before(step++, turn_posts_late);
            at_stop = take();
            stopped = museum_stopped();
            afterwards = take();
            assert_true((at_stop.posted & BIT_61) != 0);
            if (stopped)
                assert_true(((other_verdict == VLAPIC_POST_KICK ? at_stop.posted | afterwards.posted : at_stop.posted) &
                             late) != 0);
            if (stopped && late_vector == 0x61 && other_verdict == VLAPIC_POST_KICK)
                assert_true(afterwards.posted == BIT_61);
        } while (stopped);
        assert_true(step > 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(museum_067_the_mode_is_stored_before_the_vector),
        cmocka_unit_test(museum_067_a_collect_at_any_step_of_a_post),
        cmocka_unit_test(museum_093_a_post_at_any_step_of_a_post),
        cmocka_unit_test(museum_093_a_post_at_any_step_of_a_collect),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
