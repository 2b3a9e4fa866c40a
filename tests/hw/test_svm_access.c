/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the guest may do to its APIC under AVIC, register by register, through both doors; the permission map; nested page faults.
 * Reference 5, 3.7, 3.8, 4.5, 16.4, 16.5.
 */
#include "svm_rig.h"

#define CORE rig_core(0)

/*
 * Table 5.1, a character a register, a line for 16: '.' not listed; A allowed; F fault; T trap; X allowed with the extended access
 * capability, else fault; Y the same with trap; H TPR, E EOI, I ICR, S SELF IPI: accelerated, tested elsewhere.
 */
static const char xavic_read[] = "..AA....AFAAAAAA"
                                 "AAAAAAAAAAAAAAAA"
                                 "AAAAAAAAA......."
                                 "AAAAAAAAAF....A."
                                 "FFF.....FFFFFFFF"
                                 "XXXXFFFFFFFFFFFF";
static const char xavic_write[] = "..TF....HFFETTTT"
                                  "FFFFFFFFFFFFFFFF"
                                  "FFFFFFFFT......."
                                  "IATTTTTTTF....T."
                                  "FFF.....FFFFFFFF"
                                  "YYYYFFFFFFFFFFFF";
static const char x2avic_read[] = "..AA....AFAA.A.A"
                                  "AAAAAAAAAAAAAAAA"
                                  "AAAAAAAAA......."
                                  "A.AAAAAAAF....A."
                                  "FFF.....FFFFFFFF"
                                  "XXXX............";
static const char x2avic_write[] = "..TF....HFFE.T.T"
                                   "FFFFFFFFFFFFFFFF"
                                   "FFFFFFFFT......."
                                   "I.TTTTTTTF....TS"
                                   "FFF.....FFFFFFFF"
                                   "YYYY............";
#define ROWS_END 0x600u

static char class_of(const char *table, unsigned offset, char behind, bool extended)
{
    char c = offset < ROWS_END ? table[offset / 0x10] : behind;

    if (c == 'X' || c == 'Y') {
        return !extended ? 'F' : c == 'X' ? 'A' : 'T';
    }
    return c;
}

static uint8_t before[4096];

static void fill_page(void)
{
    for (unsigned i = 0; i < 4096; i += 4) {
        rig_set_reg(0, i, 0x10203040 + i * 0x01010101);
    }
    memcpy(before, rig.memory[PAGE_BACKING], sizeof before);
}

/* The page is as it was but for this register, which has this value. */
static void expect_stored(unsigned offset, uint32_t value)
{
    memcpy(before + offset, &value, sizeof value);
    assert_memory_equal(before, rig.memory[PAGE_BACKING], sizeof before);
}

static void expect_untouched(void)
{
    assert_memory_equal(before, rig.memory[PAGE_BACKING], sizeof before);
}

static void enter(enum rig_mode mode, bool extended, unsigned a14)
{
    rig_start(mode, 1);
    rig.machine.capabilities.extended_lvt_access = extended;
    rig.machine.readings.play[14] = (uint8_t)a14;
    rig_enter(0, false);
    fill_page();
}

/* ---- table 5.1 ---- */

static void check_read(struct svmhw_result result, char class, unsigned offset, bool gp_if_unlisted)
{
    if (class == 'F') {
        rig_expect_exit(0, result, 0x402, offset, 0, 0);
        assert_int_equal(rig_get(0, NRIP, 8), 0);
    } else if (class == '.' && gp_if_unlisted) {
        assert_int_equal(result.happened, SVMHW_GP);
    } else {
        rig_expect_done(result);
        assert_int_equal(result.value & UINT32_C(0xFFFFFFFF), 0x10203040 + offset * 0x01010101);
        rig_leave(0);
        assert_int_equal(rig_get(0, RIP, 8), RIP_AT + 3);
    }
    expect_untouched();
}

static void check_write(struct svmhw_result result, char class, unsigned offset, uint32_t value, bool gp_if_unlisted)
{
    if (class == 'F') {
        rig_expect_exit(0, result, 0x402, BIT(32) | offset, 0, 0);
        expect_untouched();
    } else if (class == 'T') {
        rig_expect_exit(0, result, 0x402, BIT(32) | offset, 0, 1);
        assert_int_equal(rig_get(0, NRIP, 8), 0);
        expect_stored(offset, value); /* raw */
    } else if (class == '.' && gp_if_unlisted) {
        assert_int_equal(result.happened, SVMHW_GP);
        expect_untouched();
    } else {
        rig_expect_done(result);
        expect_stored(offset, value);
    }
}

static bool is_accelerated(char class)
{
    return class == 'H' || class == 'E' || class == 'I' || class == 'S';
}

static void every_mmio_read_follows_the_table(void **unused)
{
    (void)unused;
    for (unsigned extended = 0; extended < 2; extended++) {
        for (unsigned offset = 0; offset < 0x1000; offset += 0x10) {
            enter(XAVIC, extended, 0);
            check_read(svmhw_mmio_read(CORE, APIC_GPA + offset, 4), class_of(xavic_read, offset, 'F', extended), offset,
                       false);
        }
    }
}

static void every_mmio_write_follows_the_table(void **unused)
{
    (void)unused;
    for (unsigned extended = 0; extended < 2; extended++) {
        for (unsigned offset = 0; offset < 0x1000; offset += 0x10) {
            char class = class_of(xavic_write, offset, 'F', extended);

            if (!is_accelerated(class)) {
                enter(XAVIC, extended, 0);
                check_write(svmhw_mmio_write(CORE, APIC_GPA + offset, 4, 0xA5A5A5A5), class, offset, 0xA5A5A5A5, false);
            }
        }
    }
}

static void every_rdmsr_follows_the_table(void **unused)
{
    /* 83Fh has no entry: #GP. 80Bh is #GP if all x2APIC rules are checked. */
    (void)unused;
    for (unsigned extended = 0; extended < 2; extended++) {
        for (unsigned a14 = 0; a14 < 3; a14++) {
            for (unsigned offset = 0; offset < 0x1000; offset += 0x10) {
                char class = class_of(x2avic_read, offset, '.', extended);

                enter(X2AVIC, extended, a14);
                if (offset == 0x0B0 && a14 == SVMHW_A14_ALL) {
                    class = '.';
                }
                check_read(svmhw_rdmsr(CORE, 0x800 + offset / 0x10), class, offset, true);
            }
        }
    }
}

/* 802h 803h 809h 80Ah 80Dh 810h-827h 839h: reference A14. */
static bool is_read_only_msr(uint32_t msr)
{
    return msr == 0x802 || msr == 0x803 || msr == 0x809 || msr == 0x80A || msr == 0x80D ||
           (msr >= 0x810 && msr <= 0x827) || msr == 0x839;
}

static void every_wrmsr_follows_the_table(void **unused)
{
    (void)unused;
    for (unsigned extended = 0; extended < 2; extended++) {
        for (unsigned a14 = 0; a14 < 3; a14++) {
            for (unsigned offset = 0; offset < 0x1000; offset += 0x10) {
                char class = class_of(x2avic_write, offset, '.', extended);
                uint32_t msr = 0x800 + offset / 0x10;

                if (is_accelerated(class)) {
                    continue;
                }
                enter(X2AVIC, extended, a14);
                if (is_read_only_msr(msr) && a14 == SVMHW_A14_ALL) {
                    class = '.';
                }
                check_write(svmhw_wrmsr(CORE, msr, 0), class, offset, 0, true);
            }
        }
    }
}

static void icr_is_one_msr_of_two_registers(void **unused)
{
    /* Reference 4.2 */
    (void)unused;
    rig_start(X2AVIC, 1);
    rig_enter(0, false);
    rig_set_reg(0, 0x300, 0x11223344);
    rig_set_reg(0, 0x304, UINT32_C(0xFFFFFFFF));
    rig_set_reg(0, 0x310, 0x55667788);
    assert_int_equal(svmhw_rdmsr(CORE, 0x830).value, 0x5566778811223344);
}

/* ---- x2APIC rules: A14 ---- */

static void reserved_bits_are_gp_where_they_are_checked(void **unused)
{
    static const struct {
        uint32_t msr;
        uint32_t writable;
    } rows[] = {
        { 0x808, 0x000000FF }, { 0x80B, 0 },          { 0x80F, 0x000003FF }, { 0x828, 0 },
        { 0x832, 0x000310FF }, { 0x833, 0x000117FF }, { 0x834, 0x000117FF }, { 0x835, 0x0001F7FF },
        { 0x836, 0x0001F7FF }, { 0x837, 0x000110FF }, { 0x838, 0xFFFFFFFF }, { 0x83E, 0x0000000B },
        { 0x83F, 0x000000FF }, { 0x850, 0x000117FF }, { 0x853, 0x000117FF },
    };

    (void)unused;
    for (unsigned i = 0; i < COUNT(rows); i++) {
        for (unsigned bit = 0; bit < 64; bit++) {
            for (unsigned a14 = 0; a14 < 3; a14++) {
                bool reserved = bit >= 32 || !(rows[i].writable >> bit & 1);
                struct svmhw_result result;

                rig_start(X2AVIC, 1);
                rig.machine.readings.play[14] = (uint8_t)a14;
                rig_enter(0, false);
                result = svmhw_wrmsr(CORE, rows[i].msr, BIT(bit));
                assert_int_equal(result.happened == SVMHW_GP, reserved && a14 == SVMHW_A14_ALL);
            }
        }
    }
}

static void reserved_bits_of_icr_are_gp(void **unused)
{
    /* 31:20, 17:16, 13, and on AMD 12 */
    (void)unused;
    for (unsigned bit = 0; bit < 64; bit++) {
        for (unsigned a14 = 0; a14 < 3; a14++) {
            bool reserved = (bit >= 20 && bit < 32) || bit == 17 || bit == 16 || bit == 13 || bit == 12;
            struct svmhw_result result;

            rig_start(X2AVIC, 1);
            rig.machine.readings.play[14] = (uint8_t)a14;
            rig_enter(0, false);
            result = svmhw_wrmsr(CORE, 0x830, BIT(bit) | 0x40);
            assert_int_equal(result.happened == SVMHW_GP, reserved && a14 != SVMHW_A14_NONE);
        }
    }
}

/* ---- permission map: reference 3.8 ---- */

static const struct {
    uint32_t msr;
    unsigned byte, read_bit;
} map_rows[] = {
    { 0x1B, 0x0006, 6 },       { 0x6E0, 0x01B8, 0 },      { 0x800, 0x0200, 0 }, { 0x802, 0x0200, 4 },
    { 0x808, 0x0202, 0 },      { 0x80A, 0x0202, 4 },      { 0x80B, 0x0202, 6 }, { 0x80D, 0x0203, 2 },
    { 0x80F, 0x0203, 6 },      { 0x810, 0x0204, 0 },      { 0x820, 0x0208, 0 }, { 0x828, 0x020A, 0 },
    { 0x830, 0x020C, 0 },      { 0x832, 0x020C, 4 },      { 0x838, 0x020E, 0 }, { 0x839, 0x020E, 2 },
    { 0x83E, 0x020F, 4 },      { 0x83F, 0x020F, 6 },      { 0x8FF, 0x023F, 6 }, { 0xC001011B, 0x1046, 6 },
    { 0xC0010138, 0x104E, 0 }, { 0xC0000080, 0x0820, 0 },
};

static void an_intercepted_msr_exits_before_anything_else(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < COUNT(map_rows); i++) {
        for (unsigned write = 0; write < 2; write++) {
            struct svmhw_result result;
            uint32_t msr = map_rows[i].msr;

            rig_start(X2AVIC, 1);
            rig_msr_intercept(map_rows[i].byte, map_rows[i].read_bit + write);
            rig_enter(0, false);
            fill_page();
            result = write ? svmhw_wrmsr(CORE, msr, UINT64_MAX) : svmhw_rdmsr(CORE, msr);
            rig_expect_exit(0, result, 0x7C, write, 0, 0);
            assert_int_equal(rig_get(0, NRIP, 8), RIP_AT + 3);
            expect_untouched();
        }
    }
}

static void a_bit_of_the_map_is_for_one_direction_of_one_msr(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < COUNT(map_rows); i++) {
        for (unsigned j = 0; j < COUNT(map_rows); j++) {
            rig_start(PLAIN, 1);
            rig_msr_intercept(map_rows[i].byte, map_rows[i].read_bit);
            rig_enter(0, false);
            assert_int_equal(svmhw_wrmsr(CORE, map_rows[j].msr, 0).happened, SVMHW_HOST_MSR);
            assert_int_equal(svmhw_rdmsr(CORE, map_rows[j].msr).happened, i == j ? SVMHW_EXIT : SVMHW_HOST_MSR);
        }
    }
}

static void msrs_outside_the_map_are_intercepted_with_msr_prot(void **unused)
{
    (void)unused;
    for (unsigned protect = 0; protect < 2; protect++) {
        rig_start(PLAIN, 1);
        if (!protect) {
            rig_no_intercept(0, 0x7C);
        }
        rig_enter(0, false);
        assert_int_equal(svmhw_rdmsr(CORE, 0x4B564D00).happened, protect ? SVMHW_EXIT : SVMHW_HOST_MSR);
    }
}

static void cpl_comes_before_the_map(void **unused)
{
    (void)unused;
    rig_start(X2AVIC, 1);
    rig_msr_intercept(0x202, 0);
    rig_put(0, CPL, 1, 3);
    rig_enter(0, false);
    assert_int_equal(svmhw_rdmsr(CORE, 0x808).happened, SVMHW_GP);
    assert_int_equal(svmhw_wrmsr(CORE, 0x808, 0).happened, SVMHW_GP);
}

static void x2apic_msrs_are_the_hosts_without_x2avic(void **unused)
{
    /* The guest in x2APIC mode under xAVIC or none: the map has to intercept */
    (void)unused;
    for (unsigned mode = PLAIN; mode <= XAVIC; mode++) {
        rig_start((enum rig_mode)mode, 1);
        rig_enter(0, false);
        assert_int_equal(svmhw_rdmsr(CORE, 0x802).happened, SVMHW_HOST_MSR);
        assert_int_equal(svmhw_wrmsr(CORE, 0x830, 0x40).happened, SVMHW_HOST_MSR);
    }
}

static void msrs_beside_the_block_are_the_hosts_under_x2avic(void **unused)
{
    static const uint32_t msrs[] = { 0x1B, 0x6E0, 0x7FF, 0x900, 0xC0000080 };

    (void)unused;
    for (unsigned i = 0; i < COUNT(msrs); i++) {
        rig_start(X2AVIC, 1);
        rig_enter(0, false);
        assert_int_equal(svmhw_rdmsr(CORE, msrs[i]).happened, SVMHW_HOST_MSR);
        assert_int_equal(svmhw_wrmsr(CORE, msrs[i], 0).happened, SVMHW_HOST_MSR);
    }
}

/* ---- nested translation: reference 3.7, 4.5, 2.6 ---- */

static void a_missing_mapping_is_a_nested_page_fault(void **unused)
{
    static const uint8_t bytes[3] = { 0x89, 0x07, 0x90 };

    (void)unused;
    for (unsigned mode = PLAIN; mode <= X2AVIC; mode++) {
        for (unsigned write = 0; write < 2; write++) {
            for (unsigned assists = 0; assists < 2; assists++) {
                struct svmhw_result result;

                rig_start((enum rig_mode)mode, 1);
                rig.machine.capabilities.decode_assists = assists;
                rig.apic_unmapped = true;
                memcpy(CORE->instruction_bytes, bytes, sizeof bytes);
                rig_put(0, FETCHED, 1, 9);
                rig_enter(0, false);
                result = write ? svmhw_mmio_write(CORE, APIC_GPA + 0x80, 4, 0x10)
                               : svmhw_mmio_read(CORE, APIC_GPA + 0x80, 4);
                rig_expect_exit(0, result, 0x400, BIT(32) | 4 | (write ? 2 : 0), APIC_GPA + 0x80, 0);
                assert_int_equal(rig_get(0, FETCHED, 1), assists ? 3 : 0);
                assert_int_equal(rig_get(0, FETCHED + 1, 3), assists ? 0x900789 : 0);
                assert_int_equal(rig_get(0, NRIP, 8), 0);
            }
        }
    }
}

static void a_read_only_mapping_lets_reads_through(void **unused)
{
    (void)unused;
    rig_start(XAVIC, 1);
    rig.apic_read_only = true;
    rig_enter(0, false);
    rig_expect_done(svmhw_mmio_read(CORE, APIC_GPA + 0x80, 4));
    rig_expect_exit(0, svmhw_mmio_write(CORE, APIC_GPA + 0x80, 4, 0), 0x400, BIT(32) | 4 | 2 | 1, APIC_GPA + 0x80, 1);
}

static void other_pages_are_ordinary(void **unused)
{
    (void)unused;
    rig_start(XAVIC, 1);
    rig_put(0, BAR, 8, 0x10000000);
    rig_enter(0, false);
    assert_int_equal(svmhw_mmio_read(CORE, APIC_GPA + 0x80, 4).address, PA(PAGE_FRAME) + 0x80);
    rig_expect_exit(0, svmhw_mmio_read(CORE, 0x10000080, 4), 0x400, BIT(32) | 4, 0x10000080, 1);
}

static void without_a_callback_the_apic_page_is_mapped_for_xavic(void **unused)
{
    (void)unused;
    for (unsigned mode = PLAIN; mode <= X2AVIC; mode++) {
        rig_start((enum rig_mode)mode, 1);
        rig.machine.callbacks.nested_page = NULL;
        rig_enter(0, false);
        assert_int_equal(svmhw_mmio_read(CORE, APIC_GPA + 0x20, 4).happened, mode == XAVIC ? SVMHW_DONE : SVMHW_EXIT);
    }
}

/* ---- raw values are there before the handler: reference 5.2, 16.10 ---- */

static uint32_t seen_at_store, seen_offset;

static void look_at_store(enum svmhw_trace what, uint64_t a, uint64_t b)
{
    if (what == SVMHW_TRACE_TRAP_STORE) {
        assert_int_equal(b, rig_reg(0, (unsigned)a));
        assert_int_equal(CORE->in_guest, 1);
        seen_at_store = rig_reg(0, (unsigned)a);
        seen_offset = (uint32_t)a;
    }
}

static void a_trap_store_is_visible_before_its_exit(void **unused)
{
    static const unsigned offsets[] = { 0x020, 0x0F0, 0x320, 0x350, 0x3E0 };

    (void)unused;
    for (unsigned i = 0; i < COUNT(offsets); i++) {
        rig_start(XAVIC, 1);
        rig_enter(0, false);
        rig.hook = look_at_store;
        rig_expect_exit(0, svmhw_mmio_write(CORE, APIC_GPA + offsets[i], 4, 0xFFFFFFFF), 0x402, BIT(32) | offsets[i], 0,
                        1);
        assert_int_equal(seen_offset, offsets[i]);
        assert_int_equal(seen_at_store, 0xFFFFFFFF);
    }
}

static void no_evaluation_between_a_trap_and_its_exit(void **unused)
{
    (void)unused;
    rig_start(XAVIC, 1);
    rig_enter(0, true);
    rig_set_vector(0, 0x200, 0x80);
    assert_int_equal(svmhw_mmio_write(CORE, APIC_GPA + 0xF0, 4, 0xFF).code, 0x402);
    assert_int_equal(rig_count(SVMHW_TRACE_DELIVER), 0);
}

static void reserved_bits_of_402h_can_be_noise(void **unused)
{
    (void)unused;
    rig_start(XAVIC, 1);
    rig.machine.options.poison = true;
    rig_enter(0, false);
    assert_int_equal(svmhw_mmio_write(CORE, APIC_GPA + 0xF0, 4, 0xFF).code, 0x402);
    assert_int_equal(rig_get(0, INFO1, 8) & (BIT(32) | 0xFF0), BIT(32) | 0xF0);
    assert_int_not_equal(rig_get(0, INFO1, 8) & ~(BIT(32) | 0xFF0), 0);
    assert_int_not_equal(rig_get(0, INFO2, 8), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_mmio_read_follows_the_table),
        cmocka_unit_test(every_mmio_write_follows_the_table),
        cmocka_unit_test(every_rdmsr_follows_the_table),
        cmocka_unit_test(every_wrmsr_follows_the_table),
        cmocka_unit_test(icr_is_one_msr_of_two_registers),
        cmocka_unit_test(reserved_bits_are_gp_where_they_are_checked),
        cmocka_unit_test(reserved_bits_of_icr_are_gp),
        cmocka_unit_test(an_intercepted_msr_exits_before_anything_else),
        cmocka_unit_test(a_bit_of_the_map_is_for_one_direction_of_one_msr),
        cmocka_unit_test(msrs_outside_the_map_are_intercepted_with_msr_prot),
        cmocka_unit_test(cpl_comes_before_the_map),
        cmocka_unit_test(x2apic_msrs_are_the_hosts_without_x2avic),
        cmocka_unit_test(msrs_beside_the_block_are_the_hosts_under_x2avic),
        cmocka_unit_test(a_missing_mapping_is_a_nested_page_fault),
        cmocka_unit_test(a_read_only_mapping_lets_reads_through),
        cmocka_unit_test(other_pages_are_ordinary),
        cmocka_unit_test(without_a_callback_the_apic_page_is_mapped_for_xavic),
        cmocka_unit_test(a_trap_store_is_visible_before_its_exit),
        cmocka_unit_test(no_evaluation_between_a_trap_and_its_exit),
        cmocka_unit_test(reserved_bits_of_402h_can_be_noise),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
