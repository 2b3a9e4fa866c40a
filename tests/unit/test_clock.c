/* SPDX-License-Identifier: BSD-2-Clause */
/* The timer's arithmetic against 128-bit integers. Intel SDM 3A, "APIC Timer". */
#include "fake_host.h"
#include "vlapic_clock.h"

typedef unsigned __int128 wide;

#define E9 1000000000ull

static const uint64_t rates[] = { 1,         2,         3,         7,  1193182,       19200000,     24000000,
                                  100000000, 133333333, 999999999, E9, 2600000001ull, 4000000000ull };
static const uint64_t edges[] = { 0,
                                  1,
                                  2,
                                  999,
                                  E9 - 1,
                                  E9,
                                  E9 + 1,
                                  0xFFFFFFFFull,
                                  0x100000000ull,
                                  0xFFFFFFFFull * 128,
                                  1ull << 40,
                                  1ull << 62,
                                  UINT64_MAX / 4,
                                  UINT64_MAX - 1,
                                  UINT64_MAX };
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static uint64_t random_state;

static uint64_t next_random(void)
{
    random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
    return (random_state >> 33 | random_state << 31) >> (random_state >> 58);
}

static uint64_t clip(wide value)
{
    return value > UINT64_MAX ? UINT64_MAX : (uint64_t)value;
}

static void check_from_ns(uint64_t ns, uint64_t hz, uint64_t phase)
{
    wide exact = (wide)ns * hz + phase;
    uint64_t rest = 0;

    assert_int_equal(vlapic_core_clock_from_ns(ns, hz, phase, &rest), clip(exact / E9));
    assert_int_equal(rest, (uint64_t)(exact % E9));
}

/* Fewest n with n * hz + phase >= clocks * 10^9. */
static void check_to_ns(uint64_t clocks, uint64_t hz, uint64_t phase)
{
    wide need = (wide)clocks * E9;
    wide expected = need > phase ? (need - phase + hz - 1) / hz : 0;

    assert_int_equal(vlapic_core_clock_to_ns(clocks, hz, phase), clip(expected));
}

static void conversions_are_exact_at_edges(void **state)
{
    static const uint64_t phases[] = { 0, 1, E9 / 2, E9 - 1 };

    (void)state;
    for (size_t r = 0; r < COUNT(rates); r++) {
        for (size_t e = 0; e < COUNT(edges); e++) {
            for (size_t p = 0; p < COUNT(phases); p++) {
                check_from_ns(edges[e], rates[r], phases[p]);
                check_to_ns(edges[e], rates[r], phases[p]);
            }
        }
    }
}

static void conversions_are_exact_at_random(void **state)
{
    (void)state;
    random_state = 1;
    for (int i = 0; i < 200000; i++) {
        uint64_t hz = 1 + next_random() % 4000000000ull;
        uint64_t phase = next_random() % E9;

        check_from_ns(next_random(), hz, phase);
        check_to_ns(next_random(), hz, phase);
    }
}

/* The host timer is armed by to_ns and asked by from_ns: not early, not a nanosecond late. */
static void to_ns_is_the_first_instant_at_which_from_ns_agrees(void **state)
{
    (void)state;
    random_state = 7;
    for (int i = 0; i < 100000; i++) {
        uint64_t hz = 1 + next_random() % 4000000000ull;
        uint64_t phase = next_random() % E9;
        uint64_t clocks = next_random() % (0xFFFFFFFFull * 128);
        uint64_t ns = vlapic_core_clock_to_ns(clocks, hz, phase);

        if (ns == UINT64_MAX) {
            continue;
        }
        assert_true(vlapic_core_clock_from_ns(ns, hz, phase, NULL) >= clocks);
        if (ns > 0) {
            assert_true(vlapic_core_clock_from_ns(ns - 1, hz, phase, NULL) < clocks);
        }
    }
}

static void every_divide_value_selects_its_divisor(void **state)
{
    static const struct {
        uint32_t value, divisor;
    } rows[] = { { 0x0, 2 }, { 0x1, 4 }, { 0x2, 8 }, { 0x3, 16 }, { 0x8, 32 }, { 0x9, 64 }, { 0xA, 128 }, { 0xB, 1 } };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_int_equal(1u << vlapic_core_clock_shift(rows[i].value), rows[i].divisor);
    }
}

static void a_rescale_keeps_the_count(void **state)
{
    (void)state;
    for (uint32_t from = 0; from < 8; from++) {
        for (uint32_t to = 0; to < 8; to++) {
            for (uint64_t left = 1; left < 2000; left++) {
                uint64_t scaled = vlapic_core_clock_rescale(left, from, to);

                /* ceil(left * 2^to / 2^from) */
                assert_int_equal(scaled, ((left << to) + (1ull << from) - 1) >> from);
                assert_int_equal(vlapic_core_clock_count(scaled, to), vlapic_core_clock_count(left, from));
            }
        }
    }
}

static void the_count_is_rounded_up(void **state)
{
    (void)state;
    assert_int_equal(vlapic_core_clock_count(0, 3), 0);
    assert_int_equal(vlapic_core_clock_count(1, 3), 1);
    assert_int_equal(vlapic_core_clock_count(8, 3), 1);
    assert_int_equal(vlapic_core_clock_count(9, 3), 2);
    assert_int_equal(vlapic_core_clock_count(0xFFFFFFFFull << 7, 7), 0xFFFFFFFFu);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conversions_are_exact_at_edges),
        cmocka_unit_test(conversions_are_exact_at_random),
        cmocka_unit_test(to_ns_is_the_first_instant_at_which_from_ns_agrees),
        cmocka_unit_test(every_divide_value_selects_its_divisor),
        cmocka_unit_test(a_rescale_keeps_the_count),
        cmocka_unit_test(the_count_is_rounded_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
