/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which accesses a thin hypervisor traps, and the MSR maps of both vendors, byte by byte. Intel SDM 3C, "MSR-Bitmap Address"; AMD
 * APM 2, "MSR Intercepts".
 */
#include "fake_host.h"

#include <vlapic/trap.h>

#include <string.h>

#define R VLAPIC_TRAP_READ
#define W VLAPIC_TRAP_WRITE

static uint8_t map[8192];

/* ---- what is trapped ---- */

static void of_the_window_only_writes_of_icr_low_are_trapped(void **unused)
{
    /* Intel SDM 3A, "Interrupt Command Register (ICR)": writing the low half sends; "Accessing the APIC Registers": of the 16 bytes only the first
     * four are defined, and an APIC may take the others for them */
    (void)unused;
    for (uint32_t offset = 0; offset < 0x1000; offset += 4) {
        assert_int_equal(vlapic_trap_mmio(offset, 4, false), VLAPIC_TRAP_NONE);
        assert_int_equal(vlapic_trap_mmio(offset, 4, true), offset / 16 == 0x30 ? VLAPIC_TRAP_ICR : VLAPIC_TRAP_NONE);
    }
    assert_int_equal(vlapic_trap_mmio(VLAPIC_REG_EOI, 4, true), VLAPIC_TRAP_NONE);
}

static void a_write_that_touches_icr_low_counts(void **unused)
{
    static const struct {
        uint32_t offset, length;
        bool touches;
    } rows[] = {
        { 0x300, 1, true },  { 0x303, 1, true },      { 0x304, 1, true },    { 0x2FF, 1, false },
        { 0x2FF, 2, true },  { 0x2FC, 4, false },     { 0x2FC, 8, true },    { 0x301, 2, true },
        { 0x300, 0, false }, { 0x302, 0, false },     { 0x000, 4096, true }, { 0xFFFFFFFC, 8, false },
        { 0x310, 4, false }, { 0, 0xFFFFFFFF, true }, { 0x30F, 1, true },    { 0x30C, 8, true },
    };

    (void)unused;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if ((vlapic_trap_mmio(rows[i].offset, rows[i].length, true) == VLAPIC_TRAP_ICR) != rows[i].touches)
            fail_msg("row %zu", i);
        assert_int_equal(vlapic_trap_mmio(rows[i].offset, rows[i].length, false), VLAPIC_TRAP_NONE);
    }
}

static void of_the_msrs_only_writes_of_icr_and_base_are_trapped(void **unused)
{
    /* Intel SDM 3A, "ICR Operation in x2APIC Mode"; EOI (80Bh) and SELF IPI (83Fh) are not */
    (void)unused;
    for (uint32_t msr = 0; msr < 0x2000; msr++) {
        assert_int_equal(vlapic_trap_msr(msr, false), VLAPIC_TRAP_NONE);
        assert_int_equal(vlapic_trap_msr(msr, true), msr == 0x830  ? VLAPIC_TRAP_ICR
                                                     : msr == 0x1B ? VLAPIC_TRAP_BASE
                                                                   : VLAPIC_TRAP_NONE);
    }
    assert_int_equal(vlapic_trap_msr(0xC0000830, true), VLAPIC_TRAP_NONE);
}

/* ---- the maps ---- */

typedef bool (*set_fn)(uint8_t *map, uint32_t msr, uint32_t access, bool trap);
typedef uint32_t (*get_fn)(const uint8_t *map, uint32_t msr);

static void assert_one_bit(size_t byte, unsigned bit, uint8_t background)
{
    uint8_t seen = map[byte];

    assert_int_equal(seen, background ^ 1u << bit);
    map[byte] = background;
    assert_true(map[0] == background && memcmp(map, map + 1, sizeof map - 1) == 0);
    map[byte] = seen;
}

/* Sets and clears one bit, in a map of zeros and of ones: nothing else changes. */
static void check_bit(set_fn set, get_fn get, uint32_t msr, uint32_t access, size_t byte, unsigned bit)
{
    for (unsigned trap = 0; trap < 2; trap++) {
        uint8_t background = trap ? 0 : 0xFF;

        memset(map, background, sizeof map);
        assert_true(set(map, msr, access, trap));
        assert_one_bit(byte, bit, background);
        assert_int_equal(get(map, msr), trap ? access : (R | W) & ~access);
    }
}

static void each_msr_has_its_bits_in_intels_bitmap(void **unused)
{
    /* Read low 000h, read high 400h, write low 800h, write high C00h */
    (void)unused;
    for (uint32_t n = 0; n < 0x2000; n++) {
        check_bit(vlapic_trap_vmx_set, vlapic_trap_vmx_get, n, R, n >> 3, n & 7);
        check_bit(vlapic_trap_vmx_set, vlapic_trap_vmx_get, n, W, 0x800 + (n >> 3), n & 7);
        check_bit(vlapic_trap_vmx_set, vlapic_trap_vmx_get, 0xC0000000 + n, R, 0x400 + (n >> 3), n & 7);
        check_bit(vlapic_trap_vmx_set, vlapic_trap_vmx_get, 0xC0000000 + n, W, 0xC00 + (n >> 3), n & 7);
    }
}

static void each_msr_has_its_bits_in_amds_map(void **unused)
{
    static const struct {
        uint32_t first;
        size_t base;
    } ranges[] = { { 0, 0 }, { 0xC0000000, 0x800 }, { 0xC0010000, 0x1000 } };

    (void)unused;
    for (unsigned r = 0; r < 3; r++)
        for (uint32_t n = 0; n < 0x2000; n++) {
            check_bit(vlapic_trap_svm_set, vlapic_trap_svm_get, ranges[r].first + n, R, ranges[r].base + n / 4,
                      n % 4 * 2);
            check_bit(vlapic_trap_svm_set, vlapic_trap_svm_get, ranges[r].first + n, W, ranges[r].base + n / 4,
                      n % 4 * 2 + 1);
        }
}

static void the_apics_msrs_are_where_the_manual_has_them(void **unused)
{
    /* Worked out by hand: ICR, EOI, IA32_APIC_BASE; the AVIC doorbell. */
    (void)unused;
    check_bit(vlapic_trap_vmx_set, vlapic_trap_vmx_get, 0x830, W, 0x906, 0);
    check_bit(vlapic_trap_vmx_set, vlapic_trap_vmx_get, 0x80B, W, 0x901, 3);
    check_bit(vlapic_trap_vmx_set, vlapic_trap_vmx_get, 0x1B, W, 0x803, 3);
    check_bit(vlapic_trap_svm_set, vlapic_trap_svm_get, 0x830, W, 0x20C, 1);
    check_bit(vlapic_trap_svm_set, vlapic_trap_svm_get, 0x80B, W, 0x202, 7);
    check_bit(vlapic_trap_svm_set, vlapic_trap_svm_get, 0x1B, W, 0x006, 7);
    check_bit(vlapic_trap_svm_set, vlapic_trap_svm_get, 0xC001011B, W, 0x1046, 7);
}

static void both_accesses_at_once_and_none_at_all(void **unused)
{
    static const set_fn set[] = { vlapic_trap_vmx_set, vlapic_trap_svm_set };
    static const get_fn get[] = { vlapic_trap_vmx_get, vlapic_trap_svm_get };

    (void)unused;
    for (unsigned m = 0; m < 2; m++) {
        memset(map, 0, sizeof map);
        assert_true(set[m](map, 0x830, R | W, true));
        assert_int_equal(get[m](map, 0x830), R | W);
        assert_int_equal(get[m](map, 0x82F) | get[m](map, 0x831), 0);
        assert_true(set[m](map, 0x830, 0, false));
        assert_int_equal(get[m](map, 0x830), R | W);
        assert_true(set[m](map, 0x831, R | W, true));
        assert_true(set[m](map, 0x830, ~(R | W), false)); /* other bits mean nothing */
        assert_int_equal(get[m](map, 0x830), R | W);
        assert_int_equal(get[m](map, 0x831), R | W);
        assert_true(set[m](map, 0x830, R | W, false));
        assert_int_equal(get[m](map, 0x830), 0);
    }
}

static void msrs_outside_of_the_maps_always_trap(void **unused)
{
    static const uint32_t neither[] = { 0x2000,     0x3FFF,     0xBFFFFFFF, 0xC0002000,
                                        0xC000FFFF, 0xC0012000, 0xFFFFFFFF, 0x40000000 };

    (void)unused;
    memset(map, 0, sizeof map);
    for (size_t i = 0; i < sizeof neither / sizeof neither[0]; i++) {
        assert_false(vlapic_trap_vmx_set(map, neither[i], R | W, true));
        assert_false(vlapic_trap_svm_set(map, neither[i], R | W, true));
        assert_int_equal(vlapic_trap_vmx_get(map, neither[i]), R | W);
        assert_int_equal(vlapic_trap_svm_get(map, neither[i]), R | W);
    }
    assert_false(vlapic_trap_vmx_set(map, 0xC0010000, R | W, true)); /* AMD's alone */
    assert_int_equal(vlapic_trap_vmx_get(map, 0xC0011FFF), R | W);
    assert_true(map[0] == 0 && memcmp(map, map + 1, sizeof map - 1) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_the_window_only_writes_of_icr_low_are_trapped),
        cmocka_unit_test(a_write_that_touches_icr_low_counts),
        cmocka_unit_test(of_the_msrs_only_writes_of_icr_and_base_are_trapped),
        cmocka_unit_test(each_msr_has_its_bits_in_intels_bitmap),
        cmocka_unit_test(each_msr_has_its_bits_in_amds_map),
        cmocka_unit_test(the_apics_msrs_are_where_the_manual_has_them),
        cmocka_unit_test(both_accesses_at_once_and_none_at_all),
        cmocka_unit_test(msrs_outside_of_the_maps_always_trap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
