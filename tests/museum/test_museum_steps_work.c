/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The museum, sections C and D: the mailbox between senders and a vCPU, with instrumented atomics. Whoever is on the
 * other side gets its turn before each atomic operation of vlapic_post.c and vlapic_work.c. See museum.h.
 */
#include "museum_steps.h"
#include "museum_smp.h"

static struct fake_vm fake;
static struct vlapic_cpu *sender, *target;

static int stop(void **state)
{
    (void)state;
    museum_at_stop = NULL;
    museum_stop(&fake);
    return 0;
}

static void start(void)
{
    museum_on(&fake, VLAPIC_VENDOR_INTEL, 2, false);
    sender = fake_cpu_at(&fake, 0);
    target = fake_cpu_at(&fake, 1);
}

/* Both running, nothing anywhere, and the target has just looked. */
static void begin_round(void)
{
    vlapic_cpu_exit(target);
    museum_fresh(target, false);
    fake_forget(&fake);
}

static unsigned kicks(void)
{
    return fake_count(&fake, FAKE_KICK);
}

/* ---- what a sender does ---- */

static void send_vector(void)
{
    assert_true(vlapic_cpu_post(target, 0x51, false));
}

static void send_init(void)
{
    guest_icr(sender, TO(1), INIT);
}

static void send_init_and_sipi(void)
{
    guest_icr(sender, TO(1), INIT);
    guest_icr(sender, TO(1), SIPI(0x10));
}

/* ---- what the target's owner does ---- */

static struct vlapic_poll found; /* by all its looks */
static unsigned starts;
static bool asleep;

static void look(void)
{
    struct vlapic_poll duty = museum_poll(target);

    found.init |= duty.init;
    found.vector = duty.vector >= 0 ? duty.vector : found.vector;
    if (duty.init)
        vlapic_cpu_take_init(target);
    starts += duty.sipi && duty.sipi_vector == 0x10;
}

static void halt(void)
{
    asleep = vlapic_cpu_halt(target);
}

static void enter(void)
{
    asleep = vlapic_cpu_enter(target);
}

static void look_and_halt(void)
{
    look();
    halt();
}

static void look_and_enter(void)
{
    look();
    enter();
}

static void begin_owner(void)
{
    found = (struct vlapic_poll){ .vector = -1 };
    starts = 0;
    asleep = false;
}

typedef void (*action)(void);

/* Plays `second` before each step of `first` in turn. Whatever the schedule: a vCPU that went away was kicked, or had
 * found it. */
static void interleave(action first, action second, bool init)
{
    unsigned step = 0;
    bool stopped;

    start();
    do {
        begin_round();
        begin_owner();
        museum_stop_before(step++, second);
        first();
        stopped = museum_stopped();
        if (!stopped)
            second();
        if (asleep && (init ? !found.init : found.vector < 0) && kicks() == 0)
            fail_msg("step %u: nobody wakes the vCPU", step - 1);
        vlapic_cpu_exit(target);
        look();
        assert_true(init ? found.init : found.vector == 0x51);
    } while (stopped);
    assert_true(step > 2);
    fake_vm_stop(&fake);
}

static void museum_092_a_post_at_any_step_of_a_look(void **state)
{
    /* KVM: a hint that IRR has bits was cleared after the bit, over a request that had just come; the vCPU slept on
     * it. */
    (void)state;
    interleave(look_and_halt, send_vector, false);
    interleave(look_and_enter, send_vector, false);
}

static void send_41_then_look(void)
{
    assert_true(vlapic_cpu_post(target, 0x41, false));
    look_and_halt();
}

static void museum_092_a_post_at_any_step_of_a_look_that_finds_something(void **state)
{
    /* KVM: the same where there was a request already, so that there is something to clear. */
    (void)state;
    interleave(send_41_then_look, send_vector, false);
}

static void museum_118_the_target_goes_away_at_any_step_of_a_post(void **state)
{
    /* KVM: the target's state was looked at too early; it changed meanwhile, and nobody delivered the vector. */
    (void)state;
    interleave(send_vector, halt, false);
    interleave(send_vector, enter, false);
    interleave(send_vector, look_and_halt, false);
    interleave(send_vector, look_and_enter, false);
}

static void museum_143_an_init_at_any_step_of_a_halt(void **state)
{
    /* KVM: a vCPU that was just going to halt wrote its halted state over the INIT. */
    (void)state;
    interleave(halt, send_init, true);
    interleave(look_and_halt, send_init, true);
}

static void museum_143_a_halt_at_any_step_of_an_init(void **state)
{
    /* KVM: the same, seen from the sender. */
    (void)state;
    interleave(send_init, halt, true);
    interleave(send_init, look_and_halt, true);
}

/* Plays `second` before each step of `first`. Whatever the schedule: one start, at the page that was sent. */
static void interleave_start(action first, action second, bool from_reset)
{
    unsigned step = 0;
    bool stopped;

    start();
    do {
        begin_round();
        if (from_reset)
            vlapic_cpu_reset(target);
        begin_owner();
        museum_stop_before(step++, second);
        first();
        stopped = museum_stopped();
        if (!stopped)
            second();
        for (int i = 0; i < 3; i++)
            look();
        assert_int_equal(starts, 1);
        assert_true(found.init);
        museum_idle(target);
    } while (stopped);
    assert_true(step > 2);
    fake_vm_stop(&fake);
}

static void look_twice(void)
{
    look();
    look();
}

static void museum_142_a_look_at_any_step_of_init_and_sipi(void **state)
{
    /* OpenVMM: waiting for SIPI was brought about by an INIT that the AP sent itself, and could overtake the guest's
     * SIPI. */
    (void)state;
    interleave_start(send_init_and_sipi, look, true);
    interleave_start(send_init_and_sipi, look_twice, true);
    interleave_start(look_twice, send_init_and_sipi, true);
}

static void museum_148_a_sipi_comes_behind_its_init_at_any_step(void **state)
{
    /* Jailhouse: delivery status was idle before the INIT took effect, and a SIPI right after it was lost. */
    (void)state;
    interleave_start(send_init_and_sipi, look, false);
    interleave_start(send_init_and_sipi, look_twice, false);
    interleave_start(look_twice, send_init_and_sipi, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(museum_092_a_post_at_any_step_of_a_look, stop),
        cmocka_unit_test_teardown(museum_092_a_post_at_any_step_of_a_look_that_finds_something, stop),
        cmocka_unit_test_teardown(museum_118_the_target_goes_away_at_any_step_of_a_post, stop),
        cmocka_unit_test_teardown(museum_143_an_init_at_any_step_of_a_halt, stop),
        cmocka_unit_test_teardown(museum_143_a_halt_at_any_step_of_an_init, stop),
        cmocka_unit_test_teardown(museum_142_a_look_at_any_step_of_init_and_sipi, stop),
        cmocka_unit_test_teardown(museum_148_a_sipi_comes_behind_its_init_at_any_step, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
