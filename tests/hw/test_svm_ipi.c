/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * IPIs under AVIC: destinations, shorthands, the tables, and every ID of the exit INCOMPLETE_IPI. Reference 4.3, 4.4, 6.4, 7.1, 16.6.
 */
#include "svm_rig.h"

#define CORE rig_core(0)
#define VECTOR 0x61u
#define LOGICAL_MODE 0x800u
#define TO_SELF 0x40000u
#define TO_ALL 0x80000u
#define TO_OTHERS 0xC0000u
#define PASSES 0xFFu

static uint64_t info2(unsigned id, unsigned index)
{
    return (uint64_t)id << 32 | index;
}

/* Bit n: vCPU n has the vector, and it alone, in IRR. */
static unsigned receivers(void)
{
    unsigned set = 0;

    for (unsigned n = 0; n < RIG_VCPUS; n++) {
        if (rig_only_irr(n) == VECTOR) {
            set |= 1u << n;
        } else {
            assert_int_equal(rig_only_irr(n), RIG_NONE);
        }
    }
    return set;
}

/* ---- xAVIC ---- */

/* Six vCPUs with IDs 0 to 5; flat logical IDs 1, 2, 4 ... 20h; those with a bit in `asleep` have IR = 0. */
static void start_flat(unsigned asleep)
{
    rig_start(XAVIC, 6);
    rig_put(0, PHYSICAL, 8, PA(PAGE_PHYSICAL) | 5);
    for (unsigned n = 0; n < 6; n++) {
        rig_logical(n, UINT32_C(1) << 31 | n);
        rig_entry(n, rig_entry_of(n, !(asleep >> n & 1)));
    }
}

struct ipi {
    const char *what;
    unsigned asleep;
    uint32_t high, low;
    unsigned receivers, doorbells;
    unsigned id; /* of the exit; PASSES: none */
    unsigned index;
};

static const struct ipi flat[] = {
    { "physical", 0, 3u << 24, VECTOR, 0x08, 1, PASSES, 0 },
    { "physical, bits below 56 of ICR are not looked at", 0, 0x03FFFFFF, VECTOR, 0x08, 1, PASSES, 0 },
    { "physical, asleep", 0x08, 3u << 24, VECTOR, 0x08, 0, 1, 3 },
    { "physical, others asleep", 0x37, 3u << 24, VECTOR, 0x08, 1, PASSES, 0 },
    { "physical, own", 0, 0, VECTOR, 0x01, 1, PASSES, 0 },
    { "physical, own with IR = 0", 0x01, 0, VECTOR, 0x01, 0, 1, 0 },
    { "physical, beyond the table", 0, 6u << 24, VECTOR, 0, 0, 2, 6 },
    { "physical, far beyond the table", 0, 0xFEu << 24, VECTOR, 0, 0, 2, 0xFE },
    { "physical broadcast", 0, 0xFFu << 24, VECTOR, 0x3F, 6, PASSES, 0 },
    { "physical broadcast, some asleep", 0x14, 0xFFu << 24, VECTOR, 0x3F, 4, 1, 2 },
    { "logical broadcast", 0, 0xFFu << 24, LOGICAL_MODE | VECTOR, 0x3F, 6, PASSES, 0 },
    { "logical, one", 0, 0x04u << 24, LOGICAL_MODE | VECTOR, 0x04, 1, PASSES, 0 },
    { "logical, several", 0, 0x2Au << 24, LOGICAL_MODE | VECTOR, 0x2A, 3, PASSES, 0 },
    { "logical, several, two asleep", 0x28, 0x2Au << 24, LOGICAL_MODE | VECTOR, 0x2A, 1, 1, 3 },
    { "logical, no such member", 0, 0x40u << 24, LOGICAL_MODE | VECTOR, 0, 0, 2, 6 },
    { "logical, one of several is no member", 0, 0x4Au << 24, LOGICAL_MODE | VECTOR, 0, 0, 2, 6 },
    { "logical, none", 0, 0, LOGICAL_MODE | VECTOR, 0, 0, PASSES, 0 },
    { "self", 0, 0, TO_SELF | VECTOR, 0x01, 0, PASSES, 0 },
    { "self with IR = 0, destination and mode not looked at", 0x3F, 0x77u << 24, TO_SELF | LOGICAL_MODE | VECTOR, 0x01,
      0, PASSES, 0 },
    { "all", 0, 0, TO_ALL | VECTOR, 0x3F, 6, PASSES, 0 },
    { "all, own asleep", 0x01, 0, TO_ALL | VECTOR, 0x3F, 5, 1, 0 },
    { "others", 0, 0, TO_OTHERS | VECTOR, 0x3E, 5, PASSES, 0 },
    { "others, own asleep", 0x01, 0, TO_OTHERS | VECTOR, 0x3E, 5, PASSES, 0 },
    { "others, all asleep", 0x3F, 0, TO_OTHERS | VECTOR, 0x3E, 0, 1, 1 },
    { "level", 0, 3u << 24, 0x8000 | VECTOR, 0, 0, 0, 0 },
    { "level, asserted", 0, 3u << 24, 0xC000 | VECTOR, 0, 0, 0, 0 },
    { "assert bit with edge", 0, 3u << 24, 0x4000 | VECTOR, 0x08, 1, PASSES, 0 },
    { "lowest priority", 0, 3u << 24, 1 << 8 | VECTOR, 0, 0, 0, 0 },
    { "SMI", 0, 3u << 24, 2 << 8, 0, 0, 0, 0 },
    { "reserved type", 0, 3u << 24, 3 << 8 | VECTOR, 0, 0, 0, 0 },
    { "NMI", 0, 3u << 24, 4 << 8, 0, 0, 0, 0 },
    { "INIT", 0, 3u << 24, 0xC500, 0, 0, 0, 0 },
    { "SIPI", 0, 3u << 24, 0x600 | 0x9A, 0, 0, 0, 0 },
    { "type 7", 0, 3u << 24, 7 << 8 | VECTOR, 0, 0, 0, 0 },
    { "NMI to all", 0, 0, TO_ALL | 4 << 8, 0, 0, 0, 0 },
    { "NMI to self", 0, 0, TO_SELF | 4 << 8, 0, 0, 0, 0 },
    { "vector 15", 0, 3u << 24, 15, 0, 0, 4, 0 },
    { "vector 0 to self", 0, 0, TO_SELF, 0, 0, 4, 0 },
    { "vector 15 to nobody", 0, 0x77u << 24, 15, 0, 0, 4, 0 },
};

static void check(const struct ipi *row)
{
    struct svmhw_result result = rig_send(0, row->high, row->low);
    unsigned instructions = rig.mode == X2AVIC ? 1 : 2;

    if ((result.happened == SVMHW_EXIT) != (row->id != PASSES)) {
        print_error("%s\n", row->what);
    }
    if (row->id == PASSES) {
        rig_expect_done(result);
    } else {
        rig_expect_exit(0, result, 0x401, (uint64_t)row->high << 32 | row->low, info2(row->id, row->index),
                        instructions);
        assert_int_equal(rig_get(0, NRIP, 8), 0);
    }
    if (receivers() != row->receivers || rig.doorbells != row->doorbells) {
        print_error("%s: to %x, %u doorbells\n", row->what, receivers(), rig.doorbells);
    }
    assert_int_equal(receivers(), row->receivers);
    assert_int_equal(rig.doorbells, row->doorbells);
    assert_int_equal(rig_reg(0, 0x300), row->low); /* stored first */
    assert_int_equal(rig_reg(0, 0x310), row->high);
}

static void xavic_ipis_reach_whom_the_tables_name(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < COUNT(flat); i++) {
        start_flat(flat[i].asleep);
        rig.doorbells_arrive = false;
        rig_enter(0, false);
        check(&flat[i]);
    }
}

static void every_vector_arrives(void **unused)
{
    (void)unused;
    for (unsigned vector = 0; vector < 256; vector++) {
        for (unsigned own = 0; own < 2; own++) {
            struct svmhw_result result;

            start_flat(0);
            rig_enter(0, false);
            result = own ? rig_send(0, 0, TO_SELF | vector) : rig_send(0, 3u << 24, vector);
            assert_int_equal(result.happened, vector < 16 ? SVMHW_EXIT : SVMHW_DONE);
            assert_int_equal(rig_only_irr(own ? 0 : 3), vector < 16 ? RIG_NONE : vector);
        }
    }
}

static void a_doorbell_goes_to_the_core_of_the_entry(void **unused)
{
    (void)unused;
    for (unsigned narrow = 0; narrow < 2; narrow++) {
        start_flat(0);
        rig.machine.capabilities.narrow_host_id = narrow;
        rig_entry(3, ENTRY_V | ENTRY_IR | PA(PAGE_BACKING + 3) | 0xABC);
        rig_enter(0, false);
        rig_expect_done(rig_send(0, 3u << 24, VECTOR));
        assert_int_equal(rig.doorbells, 1);
        assert_int_equal(rig.last_doorbell, narrow ? 0xBC : 0xABC);
    }
}

static void a_directed_ipi_to_an_entry_that_is_not_valid_is_id_2(void **unused)
{
    (void)unused;
    start_flat(0);
    rig_entry(3, rig_entry_of(3, true) & ~ENTRY_V);
    rig_enter(0, false);
    rig_expect_exit(0, rig_send(0, 3u << 24, VECTOR), 0x401, (uint64_t)3 << 56 | VECTOR, info2(2, 3), 2);
    assert_int_equal(receivers(), 0);
}

static void broadcasts_skip_entries_that_are_not_valid(void **unused)
{
    (void)unused;
    start_flat(0);
    rig_entry(3, rig_entry_of(3, true) & ~ENTRY_V);
    rig_enter(0, false);
    rig_expect_done(rig_send(0, 0, TO_ALL | VECTOR));
    assert_int_equal(receivers(), 0x37);
}

static void a_logical_entry_can_name_an_entry_that_is_not_valid(void **unused)
{
    /* The index is of the logical table: reference 7.1 */
    static const struct {
        uint32_t names;
        bool valid;
    } rows[] = { { 3, false }, { 6, true }, { 255, true } };

    (void)unused;
    for (unsigned i = 0; i < COUNT(rows); i++) {
        start_flat(0);
        rig_entry(3, rows[i].valid ? rig_entry_of(3, true) : 0);
        rig_logical(4, UINT32_C(1) << 31 | rows[i].names);
        rig_enter(0, false);
        rig_expect_exit(0, rig_send(0, 0x13u << 24, LOGICAL_MODE | VECTOR), 0x401,
                        (uint64_t)0x13 << 56 | LOGICAL_MODE | VECTOR, info2(2, 4), 2);
        assert_int_equal(receivers(), 0);
        assert_int_equal(rig.doorbells, 0);
    }
}

static void a_sleeping_logical_target_is_reported_by_its_logical_index(void **unused)
{
    (void)unused;
    start_flat(0x02);
    rig_logical(5, UINT32_C(1) << 31 | 1);
    rig_enter(0, false);
    rig_expect_exit(0, rig_send(0, 0x20u << 24, LOGICAL_MODE | VECTOR), 0x401,
                    (uint64_t)0x20 << 56 | LOGICAL_MODE | VECTOR, info2(1, 5), 2);
    assert_int_equal(receivers(), 0x02);
}

static void an_illegal_backing_page_is_id_3(void **unused)
{
    static const struct {
        uint32_t high, low;
    } rows[] = {
        { 3u << 24, VECTOR }, { 0x08u << 24, LOGICAL_MODE | VECTOR }, { 0, TO_ALL | VECTOR }, { 0, TO_OTHERS | VECTOR }
    };

    (void)unused;
    for (unsigned i = 0; i < COUNT(rows); i++) {
        start_flat(0);
        rig_entry(3, ENTRY_V | ENTRY_IR | UINT64_C(0x000FFFFFFFFFF000) | 0x23);
        rig_enter(0, false);
        rig_expect_exit(0, rig_send(0, rows[i].high, rows[i].low), 0x401, (uint64_t)rows[i].high << 32 | rows[i].low,
                        info2(3, 3), 2);
        assert_int_equal(receivers(), 0);
    }
}

static void entry_255_is_never_used_in_xavic(void **unused)
{
    (void)unused;
    start_flat(0);
    rig_put(0, PHYSICAL, 8, PA(PAGE_PHYSICAL) | 255);
    rig_entry(255, rig_entry_of(5, true));
    rig_entry(5, 0);
    rig_enter(0, false);
    rig_expect_done(rig_send(0, 0, TO_ALL | VECTOR));
    assert_int_equal(receivers(), 0x1F);
}

/* ---- logical addressing: reference 4.4 ---- */

static void flat_index_is_the_bit_number(void **unused)
{
    (void)unused;
    for (unsigned bit = 0; bit < 8; bit++) {
        start_flat(0);
        for (unsigned n = 0; n < 6; n++) {
            rig_logical(n, 0);
        }
        rig_logical(bit, UINT32_C(1) << 31 | 4);
        rig_enter(0, false);
        rig_expect_done(rig_send(0, (1u << bit) << 24, LOGICAL_MODE | VECTOR));
        assert_int_equal(receivers(), 1 << 4);
    }
}

static void cluster_index_is_four_times_the_cluster_and_the_bit(void **unused)
{
    (void)unused;
    for (unsigned cluster = 0; cluster < 16; cluster++) {
        for (unsigned bit = 0; bit < 4; bit++) {
            uint32_t high = (cluster << 4 | 1u << bit) << 24;
            struct svmhw_result result;

            start_flat(0);
            for (unsigned n = 0; n < 6; n++) {
                rig_logical(n, 0);
            }
            rig_set_reg(0, 0x0E0, 0x0FFFFFFF);
            rig_logical(4 * cluster + bit, UINT32_C(1) << 31 | 4);
            rig_enter(0, false);
            result = rig_send(0, high, LOGICAL_MODE | VECTOR);
            if (cluster < 15) {
                rig_expect_done(result);
                assert_int_equal(receivers(), 1 << 4);
            } else {
                rig_expect_exit(0, result, 0x401, (uint64_t)high << 32 | LOGICAL_MODE | VECTOR, info2(2, 60 + bit), 2);
            }
        }
    }
}

static void a_cluster_takes_several_members(void **unused)
{
    (void)unused;
    start_flat(0);
    rig_set_reg(0, 0x0E0, 0);
    rig_logical(4 * 2 + 0, UINT32_C(1) << 31 | 1);
    rig_logical(4 * 2 + 3, UINT32_C(1) << 31 | 5);
    rig_enter(0, false);
    rig_expect_done(rig_send(0, 0x29u << 24, LOGICAL_MODE | VECTOR));
    assert_int_equal(receivers(), 0x22);
}

/* ---- x2AVIC ---- */

/* vCPUs 0 to 5 have IDs 0, 1, 15, 16, 18, 511. */
static const uint32_t x2_ids[RIG_VCPUS] = { 0, 1, 15, 16, 18, 511 };

static void start_x2(unsigned asleep)
{
    rig_reset(X2AVIC);
    for (unsigned n = 0; n < RIG_VCPUS; n++) {
        rig_vcpu(n, x2_ids[n]);
        rig_entry(x2_ids[n], rig_entry_of(n, !(asleep >> n & 1)));
    }
}

static const struct ipi x2[] = {
    { "physical", 0, 16, VECTOR, 0x08, 1, PASSES, 0 },
    { "physical 511", 0, 511, VECTOR, 0x20, 1, PASSES, 0 },
    { "physical 512", 0, 512, VECTOR, 0, 0, 2, 512 },
    { "physical 1000h: the index has 12 bits", 0, 0x1000, VECTOR, 0, 0, 2, 0 },
    { "physical FFh is not special", 0, 0xFF, VECTOR, 0, 0, 2, 0xFF },
    { "physical, asleep", 0x08, 16, VECTOR, 0x08, 0, 1, 16 },
    { "broadcast", 0, 0xFFFFFFFF, VECTOR, 0x3F, 6, PASSES, 0 },
    { "broadcast, logical", 0, 0xFFFFFFFF, LOGICAL_MODE | VECTOR, 0x3F, 6, PASSES, 0 },
    { "cluster 0, members 0, 1, 15", 0, 0x8003, LOGICAL_MODE | VECTOR, 0x07, 3, PASSES, 0 },
    { "cluster 1, members 0, 2", 0, 0x00010005, LOGICAL_MODE | VECTOR, 0x18, 2, PASSES, 0 },
    { "cluster 1, member 1 is nobody", 0, 0x00010007, LOGICAL_MODE | VECTOR, 0, 0, 2, 17 },
    { "cluster 31, member 15", 0, 0x001F8000, LOGICAL_MODE | VECTOR, 0x20, 1, PASSES, 0 },
    { "cluster 32 is beyond the table", 0, 0x00208000, LOGICAL_MODE | VECTOR, 0, 0, 2, 527 },
    { "cluster 1, one asleep", 0x10, 0x00010005, LOGICAL_MODE | VECTOR, 0x18, 1, 1, 18 },
    { "no members", 0, 0x00010000, LOGICAL_MODE | VECTOR, 0, 0, PASSES, 0 },
    { "all", 0, 0, TO_ALL | VECTOR, 0x3F, 6, PASSES, 0 },
    { "others", 0, 0, TO_OTHERS | VECTOR, 0x3E, 5, PASSES, 0 },
    { "others, two asleep", 0x30, 0, TO_OTHERS | VECTOR, 0x3E, 3, 1, 18 },
    { "self", 0, 0, TO_SELF | VECTOR, 0x01, 0, PASSES, 0 },
    { "NMI", 0, 16, 4 << 8, 0, 0, 0, 0 },
    { "vector 15", 0, 16, 15, 0, 0, 4, 0 },
};

static void x2avic_ipis_reach_whom_the_table_names(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < COUNT(x2); i++) {
        start_x2(x2[i].asleep);
        rig.doorbells_arrive = false;
        rig_enter(0, false);
        check(&x2[i]);
    }
}

static void x2avic_does_not_look_at_the_logical_table_and_dfr(void **unused)
{
    (void)unused;
    start_x2(0);
    rig_put(0, LOGICAL, 8, 0);
    rig_set_reg(0, 0x0E0, 0);
    rig_enter(0, false);
    rig_expect_done(rig_send(0, 0x8003, LOGICAL_MODE | VECTOR));
    assert_int_equal(receivers(), 0x07);
}

static void the_extension_has_eight_pages_of_entries(void **unused)
{
    (void)unused;
    for (unsigned id = 0; id < 4096; id += 409) {
        rig_reset(X2AVIC);
        rig_vcpu(0, 3);
        rig_vcpu(1, id);
        rig_put(0, PHYSICAL, 8, PA(PAGE_PHYSICAL) | 4095);
        rig_enter(0, false);
        rig_expect_done(rig_send(0, id, VECTOR));
        assert_int_equal(receivers(), 2);
        rig_leave(0);

        rig_set_reg(1, 0x200 + 0x30, 0);
        rig_enter(0, false);
        rig_expect_done(rig_send(0, id >> 4 << 16 | 1u << id % 16, LOGICAL_MODE | VECTOR));
        assert_int_equal(receivers(), 2);
        rig_leave(0);

        rig_set_reg(1, 0x200 + 0x30, 0);
        rig_enter(0, false);
        rig_expect_done(rig_send(0, 0, TO_OTHERS | VECTOR));
        assert_int_equal(receivers(), 2);
    }
}

static void max_index_ends_the_table(void **unused)
{
    (void)unused;
    start_x2(0);
    rig_put(0, PHYSICAL, 8, PA(PAGE_PHYSICAL) | 17);
    rig_enter(0, false);
    rig_expect_done(rig_send(0, 0, TO_ALL | VECTOR));
    assert_int_equal(receivers(), 0x0F);
    rig_leave(0);
    rig_enter(0, false);
    assert_int_equal(rig_send(0, 18, VECTOR).code, 0x401);
    assert_int_equal(rig_get(0, INFO2, 8), info2(2, 18));
}

/* ---- details ---- */

static void own_id_in_the_page_is_what_others_are_told_from(void **unused)
{
    /* Reference A29: 31:24 in xAVIC, 32 bits in x2AVIC */
    (void)unused;
    for (enum rig_mode mode = XAVIC; mode <= X2AVIC; mode++) {
        rig_start(mode, 3);
        rig_set_reg(0, 0x020, mode == X2AVIC ? 2 : 2u << 24 | 0xFFFFFF);
        rig_enter(0, false);
        rig_expect_done(rig_send(0, 0, TO_OTHERS | VECTOR));
        assert_int_equal(receivers(), 0x03);
    }
}

static void an_ipi_that_includes_the_sender_is_evaluated_at_the_next_boundary(void **unused)
{
    (void)unused;
    for (unsigned arrives = 0; arrives < 2; arrives++) {
        start_flat(0);
        rig.doorbells_arrive = arrives;
        rig_enter(0, true);
        rig_expect_done(rig_send(0, 0, TO_ALL | VECTOR));
        rig_expect_event(svmhw_boundary(CORE), 0, VECTOR);
    }
}

static void the_senders_own_vector_waits_for_the_next_run_after_an_exit(void **unused)
{
    /* Reference 16.10: 401h with the sender among the targets, its own entry with IR = 0 (as erratum 1235 wants) */
    (void)unused;
    start_flat(0x3F);
    rig_enter(0, true);
    rig_expect_exit(0, rig_send(0, 0, TO_ALL | VECTOR), 0x401, TO_ALL | VECTOR, info2(1, 0), 2);
    assert_int_equal(receivers(), 0x3F);
    rig_expect_done(rig_run(0, true));
    rig_expect_event(svmhw_boundary(CORE), 0, VECTOR);
}

static void senders_do_not_look_at_svr(void **unused)
{
    /* Reference A17 */
    (void)unused;
    start_flat(0);
    rig_set_reg(3, 0x0F0, 0xFF);
    rig_enter(0, false);
    rig_expect_done(rig_send(0, 3u << 24, VECTOR));
    assert_int_equal(receivers(), 0x08);
}

static void an_ipi_keeps_the_targets_tmr(void **unused)
{
    (void)unused;
    start_flat(0);
    rig_set_vector(3, 0x180, VECTOR);
    rig_enter(0, false);
    rig_expect_done(rig_send(0, 3u << 24, VECTOR));
    assert_true(rig_vector(3, 0x180, VECTOR));
}

static void undefined_bits_of_401h_can_be_noise(void **unused)
{
    static const struct {
        uint32_t high, low;
        unsigned asleep, id, index;
        bool has_index;
    } rows[] = {
        { 3u << 24, 4 << 8, 0, 0, 0, false },
        { 3u << 24, VECTOR, 0x08, 1, 3, true },
        { 9u << 24, VECTOR, 0, 2, 9, true },
        { 3u << 24, 3, 0, 4, 0, false },
    };

    (void)unused;
    for (unsigned i = 0; i < COUNT(rows); i++) {
        uint64_t information;

        start_flat(rows[i].asleep);
        rig.machine.options.poison = true;
        rig_enter(0, false);
        assert_int_equal(rig_send(0, rows[i].high, rows[i].low).code, 0x401);
        information = rig_get(0, INFO2, 8);
        assert_int_equal(information >> 32, rows[i].id);
        assert_int_not_equal(information & 0xFFFFF000, 0);
        assert_int_equal((information & 0xFFF) == rows[i].index, rows[i].has_index);
        assert_int_equal(rig_get(0, INFO1, 8), (uint64_t)rows[i].high << 32 | rows[i].low);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(xavic_ipis_reach_whom_the_tables_name),
        cmocka_unit_test(every_vector_arrives),
        cmocka_unit_test(a_doorbell_goes_to_the_core_of_the_entry),
        cmocka_unit_test(a_directed_ipi_to_an_entry_that_is_not_valid_is_id_2),
        cmocka_unit_test(broadcasts_skip_entries_that_are_not_valid),
        cmocka_unit_test(a_logical_entry_can_name_an_entry_that_is_not_valid),
        cmocka_unit_test(a_sleeping_logical_target_is_reported_by_its_logical_index),
        cmocka_unit_test(an_illegal_backing_page_is_id_3),
        cmocka_unit_test(entry_255_is_never_used_in_xavic),
        cmocka_unit_test(flat_index_is_the_bit_number),
        cmocka_unit_test(cluster_index_is_four_times_the_cluster_and_the_bit),
        cmocka_unit_test(a_cluster_takes_several_members),
        cmocka_unit_test(x2avic_ipis_reach_whom_the_table_names),
        cmocka_unit_test(x2avic_does_not_look_at_the_logical_table_and_dfr),
        cmocka_unit_test(the_extension_has_eight_pages_of_entries),
        cmocka_unit_test(max_index_ends_the_table),
        cmocka_unit_test(own_id_in_the_page_is_what_others_are_told_from),
        cmocka_unit_test(an_ipi_that_includes_the_sender_is_evaluated_at_the_next_boundary),
        cmocka_unit_test(the_senders_own_vector_waits_for_the_next_run_after_an_exit),
        cmocka_unit_test(senders_do_not_look_at_svr),
        cmocka_unit_test(an_ipi_keeps_the_targets_tmr),
        cmocka_unit_test(undefined_bits_of_401h_can_be_noise),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
