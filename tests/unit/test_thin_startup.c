/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * INIT and SIPI without a model: the protocol, step by step; the model itself as a second opinion; two threads. Intel SDM 3A, "MP
 * Initialization Protocol Algorithm for MP Systems".
 */
#include "fake_host.h"
#include "reception.h"

#include <vlapic/startup.h>

#include <pthread.h>
#include <sched.h>

#define INIT VLAPIC_DELIVERY_INIT
#define SIPI VLAPIC_DELIVERY_SIPI

static struct vlapic_startup ap, bsp;
static uint8_t page;

static int start(void **state)
{
    (void)state;
    vlapic_startup_reset(&ap, false, true);
    vlapic_startup_reset(&bsp, true, false);
    page = 0;
    return 0;
}

static void assert_duty(struct vlapic_startup *s, enum vlapic_startup_duty duty)
{
    assert_int_equal(vlapic_startup_take(s, &page), duty);
}

static void a_bsp_runs_and_another_cpu_waits(void **state)
{
    (void)state;
    assert_duty(&bsp, VLAPIC_STARTUP_RUN);
    assert_duty(&ap, VLAPIC_STARTUP_WAIT);
    assert_duty(&ap, VLAPIC_STARTUP_WAIT);
}

static void init_sipi_sipi_starts_a_cpu_once(void **state)
{
    (void)state;
    assert_true(vlapic_startup_post(&ap, INIT, 0));
    assert_duty(&ap, VLAPIC_STARTUP_INIT);
    assert_duty(&ap, VLAPIC_STARTUP_WAIT);
    assert_true(vlapic_startup_post(&ap, SIPI, 0x9A));
    assert_false(vlapic_startup_post(&ap, SIPI, 0x12)); /* the first one counts */
    assert_duty(&ap, VLAPIC_STARTUP_SIPI);
    assert_int_equal(page, 0x9A);
    assert_duty(&ap, VLAPIC_STARTUP_RUN);
    assert_false(vlapic_startup_post(&ap, SIPI, 0x12));
    assert_duty(&ap, VLAPIC_STARTUP_RUN);
    assert_int_equal(page, 0x9A);
}

static void a_sipi_needs_no_init_after_power_up(void **state)
{
    (void)state;
    assert_true(vlapic_startup_post(&ap, SIPI, 0));
    assert_duty(&ap, VLAPIC_STARTUP_SIPI);
    assert_int_equal(page, 0);
    assert_duty(&ap, VLAPIC_STARTUP_RUN);
}

static void a_sipi_behind_an_init_that_is_not_taken_yet_is_kept(void **state)
{
    (void)state;
    assert_true(vlapic_startup_post(&ap, SIPI, 0x11));
    assert_duty(&ap, VLAPIC_STARTUP_SIPI);
    assert_true(vlapic_startup_post(&ap, INIT, 0)); /* it runs: an INIT stops it */
    assert_true(vlapic_startup_post(&ap, SIPI, 0x33));
    assert_duty(&ap, VLAPIC_STARTUP_INIT);
    assert_duty(&ap, VLAPIC_STARTUP_SIPI);
    assert_int_equal(page, 0x33);
}

static void an_init_voids_an_older_sipi(void **state)
{
    (void)state;
    assert_true(vlapic_startup_post(&ap, SIPI, 0xFF));
    assert_true(vlapic_startup_post(&ap, INIT, 0xEE)); /* whose vector does not count */
    assert_duty(&ap, VLAPIC_STARTUP_INIT);
    assert_duty(&ap, VLAPIC_STARTUP_WAIT);
    assert_true(vlapic_startup_post(&ap, SIPI, 0x40)); /* nothing of the old page is left */
    assert_duty(&ap, VLAPIC_STARTUP_SIPI);
    assert_int_equal(page, 0x40);
}

static void a_second_init_merges(void **state)
{
    (void)state;
    assert_true(vlapic_startup_post(&ap, INIT, 0));
    assert_false(vlapic_startup_post(&ap, INIT, 0));
    assert_duty(&ap, VLAPIC_STARTUP_INIT);
    assert_duty(&ap, VLAPIC_STARTUP_WAIT);
    assert_true(vlapic_startup_post(&ap, INIT, 0)); /* while it waits: it is reset again */
    assert_duty(&ap, VLAPIC_STARTUP_INIT);
}

static void an_init_restarts_a_bsp_which_takes_no_sipi(void **state)
{
    (void)state;
    assert_false(vlapic_startup_post(&bsp, SIPI, 0x33));
    assert_duty(&bsp, VLAPIC_STARTUP_RUN);
    assert_true(vlapic_startup_post(&bsp, INIT, 0));
    assert_false(vlapic_startup_post(&bsp, SIPI, 0x33));
    assert_duty(&bsp, VLAPIC_STARTUP_INIT);
    assert_duty(&bsp, VLAPIC_STARTUP_RUN);
}

static void other_modes_change_nothing(void **state)
{
    (void)state;
    for (unsigned mode = 0; mode < 8; mode++)
        if (mode != INIT && mode != SIPI) {
            assert_false(vlapic_startup_post(&ap, (enum vlapic_delivery)mode, 0x33));
            assert_false(vlapic_startup_post(&bsp, (enum vlapic_delivery)mode, 0x33));
        }
    assert_duty(&ap, VLAPIC_STARTUP_WAIT);
    assert_duty(&bsp, VLAPIC_STARTUP_RUN);
}

/* ---- the model as a second opinion ---- */

static enum vlapic_startup_duty model_take(struct vlapic_cpu *cpu, uint8_t *vector)
{
    struct vlapic_poll duty;

    vlapic_cpu_poll(cpu, &duty);
    if (duty.init) {
        vlapic_cpu_take_init(cpu);
        return VLAPIC_STARTUP_INIT;
    }
    if (duty.sipi) {
        *vector = duty.sipi_vector;
        return VLAPIC_STARTUP_SIPI;
    }
    return duty.wait_for_sipi ? VLAPIC_STARTUP_WAIT : VLAPIC_STARTUP_RUN;
}

static void any_sequence_does_what_the_model_does(void **state)
{
    static struct fake_vm fake;
    struct vlapic_startup thin[2];
    uint64_t seed = 42;

    (void)state;
    fake_vm_prepare(&fake, VLAPIC_VENDOR_INTEL);
    fake_vm_start(&fake, 2, NULL);
    vlapic_startup_reset(&thin[0], true, false);
    vlapic_startup_reset(&thin[1], false, true);
    for (unsigned step = 0; step < 100000; step++) {
        uint32_t bits = next_random(&seed);
        unsigned cpu = bits & 1;
        uint8_t vector = (uint8_t)(bits >> 8);

        if (bits & 2) {
            enum vlapic_delivery mode = bits & 4 ? SIPI : INIT;
            struct vlapic_message message = { .destination = cpu, .delivery = mode, .vector = vector };

            /* An SIPI comes by ICR alone: from the other CPU. */
            if (mode == INIT)
                vlapic_vm_deliver(fake.vm, &message);
            else
                guest_icr(fake_cpu_at(&fake, !cpu), cpu << 24, 0x4600u | vector);
            vlapic_startup_post(&thin[cpu], mode, vector);
        } else {
            uint8_t pages[2] = { 0, 0 };

            assert_int_equal(vlapic_startup_take(&thin[cpu], &pages[0]),
                             model_take(fake_cpu_at(&fake, cpu), &pages[1]));
            assert_int_equal(pages[0], pages[1]);
        }
        fake_forget(&fake);
    }
    fake_vm_stop(&fake);
}

/* ---- two threads ---- */

#define ROUNDS 20000u
#define PATIENCE 5000000u /* looks at a CPU that does not start */

static bool running; /* what the CPU itself says */
static bool over;
static bool wrong_page;

static bool look(bool *flag)
{
    return __atomic_load_n(flag, __ATOMIC_SEQ_CST);
}

static void say(bool *flag, bool value)
{
    __atomic_store_n(flag, value, __ATOMIC_SEQ_CST);
}

static void *cpu_thread(void *unused)
{
    unsigned starts = 0;

    while (!look(&over)) {
        uint8_t vector = 0;

        switch (vlapic_startup_take(&ap, &vector)) {
        case VLAPIC_STARTUP_INIT:
            say(&running, false);
            break;
        case VLAPIC_STARTUP_SIPI:
            if (vector != (uint8_t)starts++)
                say(&wrong_page, true);
            say(&running, true);
            break;
        default:
            sched_yield();
        }
    }
    return unused;
}

static bool starts_within_patience(void)
{
    unsigned looks = 0;

    while (!look(&running) && ++looks < PATIENCE)
        sched_yield();
    return looks < PATIENCE;
}

static void each_init_and_sipi_of_another_thread_start_it_once(void **state)
{
    pthread_t thread;
    bool started = true;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, cpu_thread, NULL), 0);
    for (unsigned round = 0; round < ROUNDS && started; round++) {
        say(&running, false);
        vlapic_startup_post(&ap, INIT, 0);
        vlapic_startup_post(&ap, SIPI, (uint8_t)round);
        vlapic_startup_post(&ap, SIPI, 0x5A); /* dropped, whether the first one was taken or not */
        started = starts_within_patience();
    }
    say(&over, true);
    pthread_join(thread, NULL);
    assert_true(started);
    assert_false(wrong_page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_bsp_runs_and_another_cpu_waits, start),
        cmocka_unit_test_setup(init_sipi_sipi_starts_a_cpu_once, start),
        cmocka_unit_test_setup(a_sipi_needs_no_init_after_power_up, start),
        cmocka_unit_test_setup(a_sipi_behind_an_init_that_is_not_taken_yet_is_kept, start),
        cmocka_unit_test_setup(an_init_voids_an_older_sipi, start),
        cmocka_unit_test_setup(a_second_init_merges, start),
        cmocka_unit_test_setup(an_init_restarts_a_bsp_which_takes_no_sipi, start),
        cmocka_unit_test_setup(other_modes_change_nothing, start),
        cmocka_unit_test_setup(any_sequence_does_what_the_model_does, start),
        cmocka_unit_test_setup(each_init_and_sipi_of_another_thread_start_it_once, start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
