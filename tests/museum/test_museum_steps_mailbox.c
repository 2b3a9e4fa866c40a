/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The museum, section C: vectors and their trigger modes in the mailbox, with instrumented atomics. The order of the stores is
 * recorded, and another thread gets its turn before each atomic operation. See museum.h.
 */
#include "museum_steps.h"

#include "museum_smp.h"

static struct fake_vm fake;
static struct vlapic_cpu *cpu;

static int start(void **state)
{
    (void)state;
    museum_on(&fake, VLAPIC_VENDOR_INTEL, 1, false);
    cpu = fake_cpu_at(&fake, 0);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    museum_at_stop = NULL;
    fake_vm_stop(&fake);
    return 0;
}

/* What a look at IRR and TMR showed of 0x61 and 0x62: bit 0 and bit 1. */
struct seen {
    unsigned pending, level;
};

static struct seen at_stop;

static struct seen look(void)
{
    uint32_t irr = guest_read(cpu, VLAPIC_REG_IRR + 0x30), tmr = guest_read(cpu, VLAPIC_REG_TMR + 0x30);

    return (struct seen){ irr >> 1 & 3u, tmr >> 1 & irr >> 1 & 3u };
}

static void post(uint8_t vector, bool level)
{
    assert_true(vlapic_cpu_post(cpu, vector, level));
}

/* Nothing pending; the last posts of 0x61 and 0x62 had these modes. */
static void prepare(bool level_61, bool level_62)
{
    museum_fresh(cpu, false);
    post(0x61, level_61);
    post(0x62, level_62);
    for (int i = 0; i < 2; i++) {
        assert_true(take_vector(cpu) >= 0);
        guest_eoi(cpu);
    }
    assert_int_equal(poll_vector(cpu), -1);
    at_stop = (struct seen){ 0, 0 };
    museum_store_count = 0;
}

static void museum_067_the_mode_is_stored_before_the_vector(void **state)
{
    /* Xen, KVM: IRR was set before TMR; the target took the vector in between, and its EOI never reached the I/O
     * APIC. */
    (void)state;
    for (int level = 0; level < 2; level++) {
        prepare(!level, false);
        post(0x61, level);
        assert_true(museum_store_count >= 2);
        assert_ptr_equal(museum_stores[0], &cpu->posted_level[1]);
        assert_ptr_equal(museum_stores[1], &cpu->posted[1]);
    }
}

static void turn_looks(void)
{
    at_stop = look();
}

static void museum_067_a_look_at_any_step_of_a_post(void **state)
{
    /* Xen, KVM: the same, seen from the target: whenever it looks, it finds no vector, or the vector with its mode. */
    (void)state;
    for (int level = 0; level < 2; level++) {
        unsigned step = 0;
        bool stopped;

        do {
            prepare(!level, false);
            museum_stop_before(step++, turn_looks);
            post(0x61, level);
            stopped = museum_stopped();
            assert_true(at_stop.pending == 0 || at_stop.level == (unsigned)level);
            assert_int_equal(look().pending, 1);
            assert_int_equal(look().level, level);
        } while (stopped);
        assert_true(step > 2);
    }
}

static bool other_level;

static void turn_posts_62(void)
{
    post(0x62, other_level);
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
            prepare(level == kept, other_level == kept);
            museum_stop_before(step++, turn_posts_62);
            post(0x61, level);
            stopped = museum_stopped();
            if (!stopped)
                turn_posts_62();
            assert_int_equal(look().pending, 3);
            assert_int_equal(look().level, (unsigned)level | (unsigned)other_level << 1);
        } while (stopped);
        assert_true(step > 2);
    }
}

static uint8_t late_vector;

static void turn_posts_late(void)
{
    post(late_vector, false);
}

static void museum_093_a_post_at_any_step_of_a_look(void **state)
{
    /* ACRN, KVM: the same between a post and the merge. */
    (void)state;
    for (late_vector = 0x61; late_vector <= 0x62; late_vector++) {
        unsigned step = 0;
        bool stopped;

        do {
            prepare(false, false);
            post(0x61, false);
            museum_stop_before(step++, turn_posts_late);
            at_stop = look();
            stopped = museum_stopped();
            assert_int_equal(at_stop.pending & 1u, 1);
            assert_int_equal(look().pending, stopped && late_vector == 0x62 ? 3 : 1);
        } while (stopped);
        assert_true(step > 2);
    }
}

static void turn_posts_61_again(void)
{
    post(0x61, other_level);
}

static void museum_067_the_later_mode_of_a_vector_that_is_on_its_way_counts(void **state)
{
    /* KVM, Xen: a second post of a vector that nobody has collected yet was taken for redundant, mode and all. */
    (void)state;
    for (int kind = 0; kind < 4; kind++) {
        other_level = (kind & 1) != 0;
        prepare((kind & 2) != 0, false);
        post(0x61, (kind & 2) != 0);
        turn_posts_61_again();
        assert_int_equal(look().pending, 1);
        assert_int_equal(look().level, other_level);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(museum_067_the_mode_is_stored_before_the_vector, start, stop),
        cmocka_unit_test_setup_teardown(museum_067_a_look_at_any_step_of_a_post, start, stop),
        cmocka_unit_test_setup_teardown(museum_067_the_later_mode_of_a_vector_that_is_on_its_way_counts, start, stop),
        cmocka_unit_test_setup_teardown(museum_093_a_post_at_any_step_of_a_post, start, stop),
        cmocka_unit_test_setup_teardown(museum_093_a_post_at_any_step_of_a_look, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
