/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Posted entries of VT-d's interrupt-remapping table. VT-d specification, "Interrupt Remapping Table Entry (IRTE) for Posted Interrupts":
 * bit 0 P, 1 FPD, 11:8 AVAIL, 14 URG, 15 IM = 1, 23:16 virtual vector, 63:38 descriptor address 31:6; 79:64 SID, 81:80 SQ, 83:82 SVT, 127:96
 * descriptor address 63:32; all others reserved 0.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <vlapic/vtd.h>

static uint64_t field(const struct vlapic_vtd_irte *e, unsigned high, unsigned low)
{
    uint64_t word = low < 64 ? e->low : e->high;
    unsigned width = high - low + 1;

    return word >> (low % 64) & (width == 64 ? UINT64_MAX : (1ull << width) - 1);
}

static void every_field_of_a_posted_entry_is_in_its_place(void **state)
{
    const struct vlapic_vtd_irte all = { UINT64_MAX, UINT64_MAX };
    struct vlapic_vtd_irte e;

    (void)state;
    assert_int_equal(vlapic_vtd_irte_post(&all, 0x123456789ABCDEC0ull, 0xD1, true, &e), VLAPIC_OK);
    assert_int_equal(field(&e, 0, 0), 1);
    assert_int_equal(field(&e, 1, 1), 1);
    assert_int_equal(field(&e, 7, 2), 0);
    assert_int_equal(field(&e, 11, 8), 0xF);
    assert_int_equal(field(&e, 13, 12), 0);
    assert_int_equal(field(&e, 14, 14), 1);
    assert_int_equal(field(&e, 15, 15), 1);
    assert_int_equal(field(&e, 23, 16), 0xD1);
    assert_int_equal(field(&e, 37, 24), 0);
    assert_int_equal(field(&e, 63, 38), 0x9ABCDEC0u >> 6);
    assert_int_equal(field(&e, 83, 64), 0xFFFFF);
    assert_int_equal(field(&e, 95, 84), 0);
    assert_int_equal(field(&e, 127, 96), 0x12345678);
}

static void nothing_of_the_remapped_format_is_left(void **state)
{
    /* In the remapped format 2 DM, 3 RH, 4 TM, 7:5 DLM, 23:16 vector, 63:32 destination */
    const struct vlapic_vtd_irte remapped = { 0x12345678ull << 32 | 0x00EE00FDull, 0 };
    struct vlapic_vtd_irte e = remapped;

    (void)state;
    assert_int_equal(vlapic_vtd_irte_post(&e, 0x1000, 0x10, false, &e), VLAPIC_OK); /* in place */
    assert_int_equal(e.low, 0x1000ull >> 6 << 38 | 0x10ull << 16 | 1u << 15 | 1);
    assert_int_equal(e.high, 0);
}

static void what_is_written_is_read(void **state)
{
    const struct vlapic_vtd_irte present = { 1, 0x000C0123 };
    struct vlapic_vtd_irte e;

    (void)state;
    for (unsigned bit = 6; bit < 64; bit++) {
        for (unsigned vector = 16; vector < 256; vector += 17) {
            uint64_t descriptor = 0;
            uint8_t read = 0;

            assert_int_equal(vlapic_vtd_irte_post(&present, 1ull << bit, (uint8_t)vector, bit % 2, &e), VLAPIC_OK);
            assert_true(vlapic_vtd_irte_is_posted(&e, &descriptor, &read));
            assert_true(descriptor == 1ull << bit);
            assert_int_equal(read, vector);
            assert_int_equal(e.high & 0xFFFFF, 0xC0123);
            assert_int_equal(field(&e, 14, 14), bit % 2);
        }
    }
}

static void an_entry_that_is_absent_or_remapped_is_not_posted(void **state)
{
    struct vlapic_vtd_irte e = { 0x8000, 0 };
    uint64_t descriptor = 5;
    uint8_t vector = 7;

    (void)state;
    assert_false(vlapic_vtd_irte_is_posted(&e, &descriptor, &vector));
    e.low = 0x0061007Dull;
    assert_false(vlapic_vtd_irte_is_posted(&e, &descriptor, &vector));
    assert_int_equal(descriptor, 5);
    assert_int_equal(vector, 7);
}

static void mistakes_are_refused(void **state)
{
    const struct vlapic_vtd_irte present = { 1, 0 };
    struct vlapic_vtd_irte e = { 9, 9 };

    (void)state;
    for (unsigned vector = 0; vector < 16; vector++)
        assert_int_equal(vlapic_vtd_irte_post(&present, 0x1000, (uint8_t)vector, false, &e), VLAPIC_INVALID);
    for (unsigned bit = 0; bit < 6; bit++)
        assert_int_equal(vlapic_vtd_irte_post(&present, 0x1000 | 1u << bit, 0x61, false, &e), VLAPIC_MISALIGNED);
    assert_int_equal(vlapic_vtd_irte_post(NULL, 0x1000, 0x61, false, &e), VLAPIC_INVALID);
    assert_int_equal(vlapic_vtd_irte_post(&present, 0x1000, 0x61, false, NULL), VLAPIC_INVALID);
    assert_int_equal(e.low, 9);
    assert_int_equal(e.high, 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_of_a_posted_entry_is_in_its_place),
        cmocka_unit_test(nothing_of_the_remapped_format_is_left),
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(an_entry_that_is_absent_or_remapped_is_not_posted),
        cmocka_unit_test(mistakes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
