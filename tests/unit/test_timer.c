/* SPDX-License-Identifier: BSD-2-Clause */
/* One-shot and periodic timer. Intel SDM 3A, "APIC Timer". The deadline mode is in test_tsc_deadline.c. */
#include "fake_host.h"

#include "vlapic_model.h"

#define VECTOR 0x40u
#define ONE_SHOT VECTOR
#define PERIODIC (VLAPIC_LVT_TIMER_PERIODIC | VECTOR)
#define DEADLINE (VLAPIC_LVT_TIMER_DEADLINE | VECTOR)
#define RESERVED_MODE (VLAPIC_LVT_TIMER_MODE_MASK | VECTOR)
#define DIVIDE_BY_1 0xBu
#define YEAR_NS (365ull * 86400 * 1000000000)

static const struct {
    uint32_t value, divisor;
} divides[] = { { 0xB, 1 }, { 0x0, 2 }, { 0x1, 4 }, { 0x2, 8 }, { 0x3, 16 }, { 0x8, 32 }, { 0x9, 64 }, { 0xA, 128 } };
#define DIVIDES (sizeof(divides) / sizeof(divides[0]))

static struct fake_vm fake;

static struct vlapic_cpu *start(uint64_t hz, bool tsc_deadline)
{
    struct vlapic_cpu *cpu;

    fake_vm_prepare(&fake, VLAPIC_VENDOR_INTEL);
    fake.config.timer_hz = hz;
    fake.config.tsc_deadline = tsc_deadline;
    fake_vm_start(&fake, 1, NULL);
    cpu = fake_cpu_at(&fake, 0);
    guest_software_enable(cpu);
    guest_write(cpu, VLAPIC_REG_DIVIDE_CONFIG, DIVIDE_BY_1);
    return cpu;
}

static int stop(void **state)
{
    (void)state;
    fake_vm_stop(&fake);
    return 0;
}

static void arm(struct vlapic_cpu *cpu, uint32_t lvt, uint32_t count)
{
    guest_write(cpu, VLAPIC_REG_LVT_TIMER, lvt);
    guest_write(cpu, VLAPIC_REG_INITIAL_COUNT, count);
}

static uint32_t current(struct vlapic_cpu *cpu)
{
    return guest_read(cpu, VLAPIC_REG_CURRENT_COUNT);
}

/* Takes all timer interrupts that are pending, one after the other: there can be at most one. */
static unsigned take_all(struct vlapic_cpu *cpu)
{
    unsigned count = 0;

    while (take_vector(cpu) == (int)VECTOR) {
        guest_eoi(cpu);
        count++;
    }
    return count;
}

static void one_shot_fires_once_after_count_times_divisor(void **state)
{
    (void)state;
    for (size_t i = 0; i < DIVIDES; i++) {
        struct vlapic_cpu *cpu = start(1000000000, false);

        guest_write(cpu, VLAPIC_REG_DIVIDE_CONFIG, divides[i].value);
        arm(cpu, ONE_SHOT, 1000);
        fake_advance_ns(&fake, 1000ull * divides[i].divisor - 1);
        assert_int_equal(take_all(cpu), 0);
        assert_int_equal(current(cpu), 1);
        fake_advance_ns(&fake, 1);
        assert_int_equal(take_all(cpu), 1);
        assert_int_equal(current(cpu), 0);
        fake_advance_ns(&fake, 1000000);
        assert_int_equal(take_all(cpu), 0);
        assert_int_equal(guest_read(cpu, VLAPIC_REG_INITIAL_COUNT), 1000);
        fake_vm_stop(&fake);
    }
}

/* CCR = TICR - floor(elapsed clocks / divisor), elapsed clocks by the exact rational clock. */
static void the_current_count_follows_the_formula_at_every_phase(void **state)
{
    static const uint64_t rates[] = { 1000000000, 100000000, 24000000, 19200000, 1193182, 133333333, 2600000001ull };

    (void)state;
    for (size_t r = 0; r < sizeof(rates) / sizeof(rates[0]); r++) {
        for (size_t i = 0; i < DIVIDES; i++) {
            struct vlapic_cpu *cpu = start(rates[r], false);
            uint64_t start_ns = fake.now_ns;

            guest_write(cpu, VLAPIC_REG_DIVIDE_CONFIG, divides[i].value);
            arm(cpu, ONE_SHOT, 5000);
            for (uint64_t ns = 0; ns < 3000; ns += 7) {
                uint64_t clocks = ns * rates[r] / 1000000000;
                uint64_t gone = clocks / divides[i].divisor;

                fake_set_ns(&fake, start_ns + ns);
                assert_int_equal(current(cpu), gone >= 5000 ? 0 : 5000 - gone);
            }
            fake_vm_stop(&fake);
        }
    }
}

static void a_periodic_timer_keeps_to_its_grid(void **state)
{
    static const uint64_t rates[] = { 1000000000, 24000000, 1193182, 133333333 };

    (void)state;
    for (size_t r = 0; r < sizeof(rates) / sizeof(rates[0]); r++) {
        struct vlapic_cpu *cpu = start(rates[r], false);
        uint64_t start_ns = fake.now_ns;

        arm(cpu, PERIODIC, 1001);
        for (uint64_t k = 1; k <= 3000; k++) {
            /* First nanosecond at which k periods of clocks have passed. */
            uint64_t due = (k * 1001 * 1000000000ull + rates[r] - 1) / rates[r];

            fake_advance_ns(&fake, start_ns + due - 1 - fake.now_ns);
            assert_int_equal(take_all(cpu), 0);
            fake_advance_ns(&fake, 1);
            assert_int_equal(take_all(cpu), 1);
            fake_forget(&fake);
        }
        fake_vm_stop(&fake);
    }
}

static void a_periodic_timer_does_not_drift_over_years_of_late_hosts(void **state)
{
    struct vlapic_cpu *cpu = start(24000000, false);
    uint64_t start_ns = fake.now_ns;

    (void)state;
    arm(cpu, PERIODIC, 24000);
    for (uint64_t i = 1; i <= 40; i++) {
        /* 1 ms periods: an odd amount of time past the grid. */
        fake_set_ns(&fake, start_ns + i * (YEAR_NS + 123456789));
        (void)current(cpu);
        assert_int_equal(take_all(cpu), 1);
        assert_int_equal(current(cpu), 24000 - (i * (YEAR_NS + 123456789)) % 1000000 * 24 / 1000);
    }
}

static void missed_periods_give_one_interrupt(void **state)
{
    struct vlapic_cpu *cpu = start(1000000000, false);

    (void)state;
    arm(cpu, PERIODIC, 1000);
    fake_set_ns(&fake, fake.now_ns + 7300);
    vlapic_cpu_timer_expired(cpu);
    assert_int_equal(take_all(cpu), 1);
    assert_int_equal(current(cpu), 700);
    fake_advance_ns(&fake, 700);
    assert_int_equal(take_all(cpu), 1);
}

static void rebase_starts_a_full_period_after_missed_ones(void **state)
{
    struct vlapic_cpu *cpu;

    (void)state;
    fake_vm_prepare(&fake, VLAPIC_VENDOR_INTEL);
    fake.config.catch_up = VLAPIC_CATCH_UP_REBASE;
    fake_vm_start(&fake, 1, NULL);
    cpu = fake_cpu_at(&fake, 0);
    guest_software_enable(cpu);
    guest_write(cpu, VLAPIC_REG_DIVIDE_CONFIG, DIVIDE_BY_1);
    arm(cpu, PERIODIC, 1000);
    fake_set_ns(&fake, fake.now_ns + 7300);
    vlapic_cpu_timer_expired(cpu);
    assert_int_equal(take_all(cpu), 1);
    assert_int_equal(current(cpu), 1000);
    /* Late by less than a period: the grid is kept. */
    fake_set_ns(&fake, fake.now_ns + 1200);
    vlapic_cpu_timer_expired(cpu);
    assert_int_equal(take_all(cpu), 1);
    assert_int_equal(current(cpu), 800);
}

static void a_running_periodic_timer_never_reads_zero(void **state)
{
    struct vlapic_cpu *cpu = start(1000000000, false);

    (void)state;
    arm(cpu, PERIODIC, 3);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(current(cpu), 3 - (unsigned)i % 3);
        fake_set_ns(&fake, fake.now_ns + 1);
    }
}

static void an_expiry_that_the_guest_sees_in_the_count_is_in_irr(void **state)
{
    struct vlapic_cpu *cpu = start(1000000000, false);

    (void)state;
    arm(cpu, ONE_SHOT, 100);
    fake_set_ns(&fake, fake.now_ns + 100);
    assert_int_equal(current(cpu), 0);
    assert_true(guest_bit(cpu, VLAPIC_REG_IRR, VECTOR));
}

static void a_count_of_zero_stops(void **state)
{
    struct vlapic_cpu *cpu = start(1000000000, false);

    (void)state;
    arm(cpu, PERIODIC, 100);
    fake_advance_ns(&fake, 100);
    guest_write(cpu, VLAPIC_REG_INITIAL_COUNT, 0);
    assert_int_equal(current(cpu), 0);
    assert_int_equal(guest_read(cpu, VLAPIC_REG_INITIAL_COUNT), 0);
    assert_true(guest_bit(cpu, VLAPIC_REG_IRR, VECTOR)); /* what had expired stays */
    assert_int_equal(take_all(cpu), 1);
    fake_advance_ns(&fake, 100000);
    assert_int_equal(take_all(cpu), 0);
}

static void a_period_of_zero_ends_the_timer(void **state)
{
    /* No way there is known; a page that hardware writes into is not to be divided by */
    struct vlapic_cpu *cpu = start(1000000000, false);

    (void)state;
    arm(cpu, PERIODIC, 1000);
    vlapic_put(cpu, VLAPIC_REG_INITIAL_COUNT, 0);
    fake_advance_ns(&fake, 2500);
    assert_int_equal(take_all(cpu), 1);
    fake_advance_ns(&fake, 2500);
    assert_int_equal(take_all(cpu), 0);
}

static void rewriting_the_count_restarts_it(void **state)
{
    struct vlapic_cpu *cpu = start(1000000000, false);

    (void)state;
    arm(cpu, ONE_SHOT, 100);
    fake_advance_ns(&fake, 60);
    guest_write(cpu, VLAPIC_REG_INITIAL_COUNT, 100);
    assert_int_equal(current(cpu), 100);
    fake_advance_ns(&fake, 99);
    assert_int_equal(take_all(cpu), 0);
    fake_advance_ns(&fake, 1);
    assert_int_equal(take_all(cpu), 1);
}

static void a_masked_expiry_is_lost_but_counted_down(void **state)
{
    struct vlapic_cpu *cpu = start(1000000000, false);

    (void)state;
    arm(cpu, ONE_SHOT | VLAPIC_LVT_MASKED, 100);
    fake_advance_ns(&fake, 40);
    assert_int_equal(current(cpu), 60);
    fake_advance_ns(&fake, 60);
    assert_int_equal(current(cpu), 0);
    guest_write(cpu, VLAPIC_REG_LVT_TIMER, ONE_SHOT);
    assert_int_equal(take_all(cpu), 0);
    arm(cpu, PERIODIC | VLAPIC_LVT_MASKED, 100);
    fake_advance_ns(&fake, 250);
    guest_write(cpu, VLAPIC_REG_LVT_TIMER, PERIODIC);
    assert_int_equal(take_all(cpu), 0);
    fake_advance_ns(&fake, 50);
    assert_int_equal(take_all(cpu), 1);
}

/* Unmasking must not let an expiry through that was due before. */
static void an_expiry_due_before_the_unmask_is_lost_on_a_late_host(void **state)
{
    struct vlapic_cpu *cpu = start(1000000000, false);

    (void)state;
    arm(cpu, ONE_SHOT | VLAPIC_LVT_MASKED, 100);
    fake_set_ns(&fake, fake.now_ns + 150);
    guest_write(cpu, VLAPIC_REG_LVT_TIMER, ONE_SHOT);
    vlapic_cpu_timer_expired(cpu);
    assert_int_equal(take_all(cpu), 0);
}

static void the_vector_is_the_one_at_expiry(void **state)
{
    struct vlapic_cpu *cpu = start(1000000000, false);

    (void)state;
    arm(cpu, ONE_SHOT, 100);
    guest_write(cpu, VLAPIC_REG_LVT_TIMER, 0x51);
    fake_advance_ns(&fake, 100);
    assert_int_equal(take_vector(cpu), 0x51);
}

static void an_illegal_vector_is_an_error_at_expiry(void **state)
{
    struct vlapic_cpu *cpu = start(1000000000, false);

    (void)state;
    arm(cpu, 0x0F, 100);
    assert_int_equal(guest_esr(cpu), 0);
    fake_advance_ns(&fake, 100);
    assert_int_equal(poll_vector(cpu), -1);
    assert_int_equal(guest_esr(cpu), VLAPIC_ESR_RECEIVE_ILLEGAL_VECTOR);
}

static void an_expiry_merges_with_a_pending_one(void **state)
{
    struct vlapic_cpu *cpu = start(1000000000, false);

    (void)state;
    arm(cpu, PERIODIC, 100);
    for (int i = 0; i < 5; i++) {
        fake_advance_ns(&fake, 100);
        assert_int_equal(poll_vector(cpu), VECTOR);
    }
    assert_int_equal(take_all(cpu), 1);
}

static void a_new_divisor_keeps_the_count_and_changes_the_rate(void **state)
{
    (void)state;
    for (size_t from = 0; from < DIVIDES; from++) {
        for (size_t to = 0; to < DIVIDES; to++) {
            for (uint64_t phase = 0; phase < 2 * divides[from].divisor; phase++) {
                struct vlapic_cpu *cpu = start(1000000000, false);
                uint64_t left, scaled;
                uint32_t before;

                guest_write(cpu, VLAPIC_REG_DIVIDE_CONFIG, divides[from].value);
                arm(cpu, PERIODIC, 10);
                fake_advance_ns(&fake, phase);
                left = 10ull * divides[from].divisor - phase;
                before = (uint32_t)((left + divides[from].divisor - 1) / divides[from].divisor);
                if (phase % 2 == 0) { /* whether or not somebody looks at it before */
                    assert_int_equal(current(cpu), before);
                }
                guest_write(cpu, VLAPIC_REG_DIVIDE_CONFIG, divides[to].value);
                assert_int_equal(current(cpu), before);
                scaled = (left * divides[to].divisor + divides[from].divisor - 1) / divides[from].divisor;
                fake_advance_ns(&fake, scaled - 1);
                assert_int_equal(take_all(cpu), 0);
                fake_advance_ns(&fake, 1);
                assert_int_equal(take_all(cpu), 1);
                /* Later periods are whole ones of the new divisor. */
                fake_advance_ns(&fake, 10ull * divides[to].divisor - 1);
                assert_int_equal(take_all(cpu), 0);
                fake_advance_ns(&fake, 1);
                assert_int_equal(take_all(cpu), 1);
                fake_vm_stop(&fake);
            }
        }
    }
}

static void the_same_divisor_again_changes_nothing(void **state)
{
    struct vlapic_cpu *cpu = start(1000000000, false);

    (void)state;
    guest_write(cpu, VLAPIC_REG_DIVIDE_CONFIG, 0xA);
    arm(cpu, ONE_SHOT, 2);
    fake_advance_ns(&fake, 77);
    guest_write(cpu, VLAPIC_REG_DIVIDE_CONFIG, 0xA);
    fake_advance_ns(&fake, 256 - 77 - 1);
    assert_int_equal(take_all(cpu), 0);
    fake_advance_ns(&fake, 1);
    assert_int_equal(take_all(cpu), 1);
}

static void one_shot_and_periodic_are_exchanged_while_counting(void **state)
{
    struct vlapic_cpu *cpu = start(1000000000, false);

    (void)state;
    arm(cpu, ONE_SHOT, 100);
    fake_advance_ns(&fake, 30);
    guest_write(cpu, VLAPIC_REG_LVT_TIMER, PERIODIC);
    assert_int_equal(current(cpu), 70);
    assert_int_equal(guest_read(cpu, VLAPIC_REG_INITIAL_COUNT), 100);
    fake_advance_ns(&fake, 70);
    assert_int_equal(take_all(cpu), 1);
    assert_int_equal(current(cpu), 100);
    guest_write(cpu, VLAPIC_REG_LVT_TIMER, ONE_SHOT);
    fake_advance_ns(&fake, 100);
    assert_int_equal(take_all(cpu), 1);
    assert_int_equal(current(cpu), 0);
}

static void an_expired_one_shot_stays_at_zero_when_switched_to_periodic(void **state)
{
    struct vlapic_cpu *cpu = start(1000000000, false);

    (void)state;
    arm(cpu, ONE_SHOT, 100);
    fake_advance_ns(&fake, 100);
    assert_int_equal(take_all(cpu), 1);
    guest_write(cpu, VLAPIC_REG_LVT_TIMER, PERIODIC);
    fake_advance_ns(&fake, 1000);
    assert_int_equal(current(cpu), 0);
    assert_int_equal(take_all(cpu), 0);
    guest_write(cpu, VLAPIC_REG_INITIAL_COUNT, 100);
    fake_advance_ns(&fake, 100);
    assert_int_equal(take_all(cpu), 1);
}

/* Every change but one-shot <-> periodic clears count, deadline and timer; a bit in IRR stays. */
static void other_mode_changes_clear_the_timer(void **state)
{
    static const uint32_t modes[] = { ONE_SHOT, PERIODIC, DEADLINE, RESERVED_MODE };

    (void)state;
    for (int from = 0; from < 4; from++) {
        for (int to = 0; to < 4; to++) {
            struct vlapic_cpu *cpu = start(1000000000, true);

            if (from == to || (from < 2 && to < 2)) {
                fake_vm_stop(&fake);
                continue;
            }
            fake_set_tsc(&fake, 1000);
            arm(cpu, modes[from], 100);
            guest_wrmsr(cpu, VLAPIC_MSR_TSC_DEADLINE, 5000);
            vlapic_cpu_post(cpu, VECTOR, false);
            guest_write(cpu, VLAPIC_REG_LVT_TIMER, modes[to]);
            assert_int_equal(guest_read(cpu, VLAPIC_REG_INITIAL_COUNT), 0);
            assert_int_equal(current(cpu), 0);
            assert_int_equal(guest_rdmsr(cpu, VLAPIC_MSR_TSC_DEADLINE), 0);
            assert_int_equal(take_all(cpu), 1);
            fake_advance_ns(&fake, 1000);
            fake_advance_tsc(&fake, 10000);
            assert_int_equal(take_all(cpu), 0);
            fake_vm_stop(&fake);
        }
    }
}

static void the_reserved_mode_is_stored_and_does_nothing(void **state)
{
    struct vlapic_cpu *cpu = start(1000000000, true);

    (void)state;
    arm(cpu, RESERVED_MODE, 100);
    assert_int_equal(guest_read(cpu, VLAPIC_REG_LVT_TIMER), RESERVED_MODE);
    assert_int_equal(guest_read(cpu, VLAPIC_REG_INITIAL_COUNT), 0);
    guest_wrmsr(cpu, VLAPIC_MSR_TSC_DEADLINE, 5);
    assert_int_equal(guest_rdmsr(cpu, VLAPIC_MSR_TSC_DEADLINE), 0);
    fake_advance_ns(&fake, 1000);
    assert_int_equal(take_all(cpu), 0);
}

static void without_the_deadline_flag_bit_18_is_not_stored(void **state)
{
    struct vlapic_cpu *cpu = start(1000000000, false);

    (void)state;
    arm(cpu, RESERVED_MODE, 100);
    assert_int_equal(guest_read(cpu, VLAPIC_REG_LVT_TIMER), PERIODIC);
    fake_advance_ns(&fake, 100);
    assert_int_equal(take_all(cpu), 1);
}

static void software_disable_masks_the_timer_but_lets_it_count(void **state)
{
    struct vlapic_cpu *cpu = start(1000000000, false);

    (void)state;
    arm(cpu, PERIODIC, 100);
    fake_advance_ns(&fake, 30);
    guest_write(cpu, VLAPIC_REG_SVR, 0xFF);
    assert_int_equal(current(cpu), 70);
    fake_advance_ns(&fake, 100);
    assert_int_equal(current(cpu), 70);
    guest_software_enable(cpu);
    assert_int_equal(take_all(cpu), 0);
    guest_write(cpu, VLAPIC_REG_LVT_TIMER, PERIODIC);
    fake_advance_ns(&fake, 70);
    assert_int_equal(take_all(cpu), 1);
}

static void disabling_the_apic_stops_the_timer(void **state)
{
    struct vlapic_cpu *cpu = start(1000000000, false);

    (void)state;
    arm(cpu, PERIODIC, 100);
    guest_disable_apic(cpu);
    assert_false(fake.cpus[0].armed_ns);
    guest_enable_xapic(cpu);
    assert_int_equal(guest_read(cpu, VLAPIC_REG_INITIAL_COUNT), 0);
    assert_int_equal(current(cpu), 0);
}

static void the_largest_count_and_divisor_fit(void **state)
{
    struct vlapic_cpu *cpu = start(1, false);

    (void)state;
    guest_write(cpu, VLAPIC_REG_DIVIDE_CONFIG, 0xA);
    arm(cpu, ONE_SHOT, 0xFFFFFFFF);
    assert_int_equal(current(cpu), 0xFFFFFFFF);
    /* 2^32 * 128 seconds do not fit 64 bits of nanoseconds: never. */
    assert_int_equal(fake.cpus[0].deadline, UINT64_MAX);
}

static void a_clock_that_jumps_back_counts_as_standing_still(void **state)
{
    struct vlapic_cpu *cpu = start(1000000000, false);
    uint64_t start_ns;

    (void)state;
    fake_set_ns(&fake, 1000000);
    start_ns = fake.now_ns;
    arm(cpu, ONE_SHOT, 100);
    fake_set_ns(&fake, start_ns + 40);
    assert_int_equal(current(cpu), 60);
    fake_set_ns(&fake, start_ns - 5000);
    assert_int_equal(current(cpu), 60);
    fake_set_ns(&fake, start_ns + 100);
    assert_int_equal(current(cpu), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_shot_fires_once_after_count_times_divisor),
        cmocka_unit_test(the_current_count_follows_the_formula_at_every_phase),
        cmocka_unit_test(a_periodic_timer_keeps_to_its_grid),
        cmocka_unit_test_teardown(a_periodic_timer_does_not_drift_over_years_of_late_hosts, stop),
        cmocka_unit_test_teardown(missed_periods_give_one_interrupt, stop),
        cmocka_unit_test_teardown(rebase_starts_a_full_period_after_missed_ones, stop),
        cmocka_unit_test_teardown(a_running_periodic_timer_never_reads_zero, stop),
        cmocka_unit_test_teardown(an_expiry_that_the_guest_sees_in_the_count_is_in_irr, stop),
        cmocka_unit_test_teardown(a_count_of_zero_stops, stop),
        cmocka_unit_test_teardown(a_period_of_zero_ends_the_timer, stop),
        cmocka_unit_test_teardown(rewriting_the_count_restarts_it, stop),
        cmocka_unit_test_teardown(a_masked_expiry_is_lost_but_counted_down, stop),
        cmocka_unit_test_teardown(an_expiry_due_before_the_unmask_is_lost_on_a_late_host, stop),
        cmocka_unit_test_teardown(the_vector_is_the_one_at_expiry, stop),
        cmocka_unit_test_teardown(an_illegal_vector_is_an_error_at_expiry, stop),
        cmocka_unit_test_teardown(an_expiry_merges_with_a_pending_one, stop),
        cmocka_unit_test(a_new_divisor_keeps_the_count_and_changes_the_rate),
        cmocka_unit_test_teardown(the_same_divisor_again_changes_nothing, stop),
        cmocka_unit_test_teardown(one_shot_and_periodic_are_exchanged_while_counting, stop),
        cmocka_unit_test_teardown(an_expired_one_shot_stays_at_zero_when_switched_to_periodic, stop),
        cmocka_unit_test(other_mode_changes_clear_the_timer),
        cmocka_unit_test_teardown(the_reserved_mode_is_stored_and_does_nothing, stop),
        cmocka_unit_test_teardown(without_the_deadline_flag_bit_18_is_not_stored, stop),
        cmocka_unit_test_teardown(software_disable_masks_the_timer_but_lets_it_count, stop),
        cmocka_unit_test_teardown(disabling_the_apic_stops_the_timer, stop),
        cmocka_unit_test_teardown(the_largest_count_and_divisor_fit, stop),
        cmocka_unit_test_teardown(a_clock_that_jumps_back_counts_as_standing_still, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
