/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which memory-mapped accesses are virtualized, and what a virtualized write leads to: every byte offset, size and set of controls, against
 * the reference's tables as data.
 */
#include "apicv_machine.h"

#include <string.h>

static struct machine m;

/* ---- reference 8.1 and 8.2 as data ---- */

/* An access is virtualized if it lies in one of these, first to last byte. */
struct range {
    uint32_t first, last;
};

static const struct range readable[] = {
    { 0x020, 0x023 }, { 0x030, 0x033 }, { 0x080, 0x083 }, { 0x0B0, 0x0B3 }, { 0x0D0, 0x0D3 }, { 0x0E0, 0x0E3 },
    { 0x0F0, 0x0F3 }, { 0x100, 0x103 }, { 0x110, 0x113 }, { 0x120, 0x123 }, { 0x130, 0x133 }, { 0x140, 0x143 },
    { 0x150, 0x153 }, { 0x160, 0x163 }, { 0x170, 0x173 }, { 0x180, 0x183 }, { 0x190, 0x193 }, { 0x1A0, 0x1A3 },
    { 0x1B0, 0x1B3 }, { 0x1C0, 0x1C3 }, { 0x1D0, 0x1D3 }, { 0x1E0, 0x1E3 }, { 0x1F0, 0x1F3 }, { 0x200, 0x203 },
    { 0x210, 0x213 }, { 0x220, 0x223 }, { 0x230, 0x233 }, { 0x240, 0x243 }, { 0x250, 0x253 }, { 0x260, 0x263 },
    { 0x270, 0x273 }, { 0x280, 0x283 }, { 0x300, 0x303 }, { 0x310, 0x313 }, { 0x320, 0x323 }, { 0x330, 0x333 },
    { 0x340, 0x343 }, { 0x350, 0x353 }, { 0x360, 0x363 }, { 0x370, 0x373 }, { 0x380, 0x383 }, { 0x3E0, 0x3E3 },
};

static const struct range writable[] = {
    { 0x020, 0x023 }, { 0x080, 0x083 }, { 0x0B0, 0x0B3 }, { 0x0D0, 0x0D3 }, { 0x0E0, 0x0E3 }, { 0x0F0, 0x0F3 },
    { 0x280, 0x283 }, { 0x300, 0x303 }, { 0x310, 0x313 }, { 0x320, 0x323 }, { 0x330, 0x333 }, { 0x340, 0x343 },
    { 0x350, 0x353 }, { 0x360, 0x363 }, { 0x370, 0x373 }, { 0x380, 0x383 }, { 0x3E0, 0x3E3 },
};

/* Sets of controls; where register virtualization is 0, exact offsets (0: none). Bochs: with read_0b0_300_by_register_virtualization. */
static const struct set {
    const char *name;
    struct controls controls;
    bool registers, vid;
    uint32_t reads[3], bochs_reads[3], writes[3];
} sets[] = {
    { "none", { .secondary = 0x001 }, false, false, { 0 }, { 0 }, { 0 } },
    { "TPR", { .primary = 1u << 21, .secondary = 0x001 }, false, false, { 0x080 }, { 0x080 }, { 0x080 } },
    { "TPR+reg", { .primary = 1u << 21, .secondary = 0x101 }, true, false, { 0 }, { 0 }, { 0 } },
    { "TPR+VID",
      { .pin = 1, .primary = 1u << 21, .secondary = 0x201 },
      false,
      true,
      { 0x080, 0x0B0, 0x300 },
      { 0x080 },
      { 0x080, 0x0B0, 0x300 } },
    { "TPR+reg+VID", { .pin = 1, .primary = 1u << 21, .secondary = 0x301 }, true, true, { 0 }, { 0 }, { 0 } },
    { "TPR+IPIv",
      { .primary = 1u << 21, .secondary = 0x001, .tertiary = 0x10 },
      false,
      false,
      { 0x080 },
      { 0x080 },
      { 0x080, 0x300 } },
    { "TPR+VID+IPIv",
      { .pin = 1, .primary = 1u << 21, .secondary = 0x201, .tertiary = 0x10 },
      false,
      true,
      { 0x080, 0x0B0, 0x300 },
      { 0x080 },
      { 0x080, 0x0B0, 0x300 } },
    { "TPR+reg+IPIv", { .primary = 1u << 21, .secondary = 0x101, .tertiary = 0x10 }, true, false, { 0 }, { 0 }, { 0 } },
};
#define SETS (sizeof sets / sizeof sets[0])

static bool within(const struct range *ranges, size_t count, uint32_t offset, uint32_t size)
{
    for (size_t i = 0; i < count; i++)
        if (offset >= ranges[i].first && offset + size - 1 <= ranges[i].last)
            return true;
    return false;
}

static bool exactly(const uint32_t offsets[3], uint32_t offset, uint32_t size)
{
    for (size_t i = 0; i < 3; i++)
        if (offsets[i] != 0 && offset == offsets[i] && size <= 4)
            return true;
    return false;
}

/* What a virtualized write leads to, by the offset at which it begins. */
enum action { NOTHING, NOTHING_BY_VID, APIC_WRITE };

static enum action action_at(uint32_t offset)
{
    static const struct {
        uint32_t first, last;
        enum action action;
    } actions[] = { { 0x080, 0x080, NOTHING }, { 0x0B0, 0x0B0, NOTHING_BY_VID }, { 0x310, 0x313, NOTHING } };

    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++)
        if (offset >= actions[i].first && offset <= actions[i].last)
            return actions[i].action;
    return APIC_WRITE; /* at 300h since what is written here has reserved bits set */
}

/* ---- running ---- */

static uint8_t pattern[4096];

static void restore_page(void)
{
    memcpy(machine_at(&m, PAGE_PA(0)), pattern, sizeof pattern);
}

static struct apicv_cpu *start(const struct set *set)
{
    for (uint32_t i = 0; i < sizeof pattern; i++)
        pattern[i] = (uint8_t)(7 * i + 13 * (i >> 8) + 3);
    return machine_enter(&m, apicv_caps_sapphire_rapids(), set->controls);
}

static void enter_again(struct apicv_cpu *cpu)
{
    if (cpu->in_guest)
        return;
    vmcs_put(cpu, APICV_GUEST_RFLAGS, 0x202);
    is_nothing(apicv_enter(cpu));
}

static void is_access_exit(struct apicv_cpu *cpu, struct apicv_result result, uint64_t rip, uint32_t type,
                           uint32_t offset)
{
    is_exit(cpu, result, 44, type << 12 | offset);
    assert_false(result.exit.trap_like);
    assert_int_equal(vmcs_get(cpu, APICV_GUEST_RIP), rip);
    assert_int_equal(vmcs_get(cpu, APICV_GUEST_RFLAGS), 0x10202); /* RF */
    assert_int_equal(vmcs_get(cpu, APICV_IDT_VECTORING) >> 31, 0);
    assert_memory_equal(machine_at(&m, PAGE_PA(0)), pattern, sizeof pattern);
}

static void read_every(const struct set *set, bool bochs, uint32_t size)
{
    struct apicv_cpu *cpu = start(set);

    cpu->knobs.read_0b0_300_by_register_virtualization = bochs;
    for (uint32_t offset = 0; offset + size <= 4096; offset++) {
        bool expected = set->registers ? within(readable, sizeof readable / sizeof readable[0], offset, size)
                                       : exactly(bochs ? set->bochs_reads : set->reads, offset, size);
        uint64_t rip = cpu->guest.rip;
        uint64_t value = 0, wanted = 0;
        struct apicv_result result;

        restore_page();
        memcpy(&wanted, pattern + offset, size);
        result = apicv_guest_read(cpu, FRAME_PA + offset, size, &value);
        if (expected) {
            is_nothing(result);
            assert_int_equal(value, wanted);
            assert_int_equal(cpu->guest.rip, rip + 3);
        } else {
            is_access_exit(cpu, result, rip, 0, offset);
            enter_again(cpu);
        }
    }
}

static void is_stored(uint32_t offset, uint32_t size)
{
    uint8_t expected[4096];

    memcpy(expected, pattern, sizeof expected);
    memset(expected + offset, 0xC3, size);
    assert_memory_equal(machine_at(&m, PAGE_PA(0)), expected, sizeof expected);
}

/* The dword that is left of a write which does not exit: TPR and EOI keep the low byte and nothing, ICR high the high byte. */
static void is_emulated(uint32_t offset, uint32_t size)
{
    uint8_t expected[4];
    uint32_t slot = offset & 0xFF0;

    memcpy(expected, pattern + slot, 4);
    memset(expected + (offset & 3), 0xC3, size);
    switch (slot) {
    case 0x080:
        assert_int_equal(page_get(&m, 0, slot), 0xC3);
        break;
    case 0x0B0:
        assert_int_equal(page_get(&m, 0, slot), 0);
        break;
    default:
        assert_int_equal(slot, 0x310);
        assert_int_equal(page_get(&m, 0, slot), (uint32_t)expected[3] << 24);
        break;
    }
}

static void write_every(const struct set *set, uint32_t size)
{
    struct apicv_cpu *cpu = start(set);

    for (uint32_t offset = 0; offset + size <= 4096; offset++) {
        bool virtualized = set->registers ? within(writable, sizeof writable / sizeof writable[0], offset, size)
                                          : exactly(set->writes, offset, size);
        enum action action = action_at(offset);
        uint64_t rip = cpu->guest.rip;
        struct apicv_result result;

        restore_page();
        result = apicv_guest_write(cpu, FRAME_PA + offset, size, 0xC3C3C3C3C3C3C3C3);
        if (!virtualized) {
            is_access_exit(cpu, result, rip, 1, offset);
            enter_again(cpu);
        } else if (action == APIC_WRITE || (action == NOTHING_BY_VID && !set->vid)) {
            is_exit(cpu, result, 56, offset);
            assert_true(result.exit.trap_like);
            assert_int_equal(vmcs_get(cpu, APICV_GUEST_RIP), rip + 3);
            is_stored(offset, size);
            enter_again(cpu);
        } else {
            is_nothing(result);
            assert_int_equal(cpu->guest.rip, rip + 3);
            is_emulated(offset, size);
        }
    }
}

static void reads_of_every_offset_size_and_set(void **unused)
{
    /* Reference 8.1 */
    (void)unused;
    for (size_t i = 0; i < SETS; i++)
        for (uint32_t size = 1; size <= 8; size *= 2)
            for (unsigned bochs = 0; bochs < 2; bochs++)
                read_every(&sets[i], bochs, size);
}

static void writes_of_every_offset_size_and_set(void **unused)
{
    /* Reference 8.2, and 8.3 as far as a write with reserved bits goes */
    (void)unused;
    for (size_t i = 0; i < SETS; i++)
        for (uint32_t size = 1; size <= 8; size *= 2)
            write_every(&sets[i], size);
}

static void what_kvm_unit_tests_expect_of_register_virtualization(void **unused)
{
    /* Reference 20, item 2: the other way round, from a list of results instead of ranges */
    static const struct {
        uint32_t first, last;
        uint32_t reason;
    } expected[] = {
        { 0x020, 0x020, 56 }, { 0x030, 0x030, 44 }, { 0x080, 0x080, 0 },  { 0x090, 0x0A0, 44 },
        { 0x0B0, 0x0B0, 56 }, { 0x0C0, 0x0C0, 44 }, { 0x0D0, 0x0F0, 56 }, { 0x100, 0x270, 44 },
        { 0x280, 0x280, 56 }, { 0x290, 0x2F0, 44 }, { 0x300, 0x300, 56 }, { 0x310, 0x310, 0 },
        { 0x320, 0x380, 56 }, { 0x390, 0x3D0, 44 }, { 0x3E0, 0x3E0, 56 }, { 0x3F0, 0xFF0, 44 },
    };
    struct apicv_cpu *cpu = start(&sets[2]);

    (void)unused;
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        for (uint32_t offset = expected[i].first; offset <= expected[i].last; offset += 0x10) {
            struct apicv_result result = apicv_guest_write(cpu, FRAME_PA + offset, 4, 0);

            assert_int_equal(result.outcome == APICV_EXIT ? result.exit.reason : 0, expected[i].reason);
            enter_again(cpu);
        }
    }
}

static void an_access_that_leaves_the_page_exits(void **unused)
{
    /* Reference 8.1, 8.2: not entirely within bytes 3:0 of a slot; the offset is that of the first byte on the page */
    struct apicv_cpu *cpu = start(&sets[4]);
    uint64_t value = 0;

    (void)unused;
    is_exit(cpu, apicv_guest_read(cpu, FRAME_PA - 2, 4, &value), 44, 0x0000);
    enter_again(cpu);
    is_exit(cpu, apicv_guest_write(cpu, FRAME_PA + 0xFFE, 4, 0), 44, 0x1FFE);
    enter_again(cpu);
    is_exit(cpu, apicv_guest_read(cpu, FRAME_PA + 0x02E, 4, &value), 44, 0x002E);
    enter_again(cpu);
}

static void outside_of_the_page_is_memory(void **unused)
{
    /* Reference 8 */
    struct apicv_cpu *cpu = start(&sets[0]);
    uint64_t value = 0;

    (void)unused;
    is_nothing(apicv_guest_write(cpu, RAM_PA + 0x080, 8, 0x1122334455667788));
    is_nothing(apicv_guest_read(cpu, RAM_PA + 0x082, 4, &value));
    assert_int_equal(value, 0x33445566);
    is_nothing(apicv_guest_read(cpu, RAM_PA + 0x080, 8, &value));
    assert_true(value == 0x1122334455667788);
    is_nothing(apicv_guest_write(cpu, RAM_PA + 0xFFE, 4, 0xAABBCCDD));
    is_nothing(apicv_guest_read(cpu, RAM_PA + 0xFFD, 8, &value));
    assert_int_equal(value, 0xAABBCCDD00);
}

static void with_the_control_0_the_frame_is_memory_like_any_other(void **unused)
{
    /* Reference 8 */
    struct apicv_cpu *cpu = machine_enter(&m, apicv_caps_skylake(),
                                          (struct controls){ .primary = APICV_PRIMARY_TPR_SHADOW, .secondary = 0x100 });
    uint64_t value = 0;

    (void)unused;
    is_nothing(apicv_guest_write(cpu, FRAME_PA + 0x030, 4, 0x12345678));
    is_nothing(apicv_guest_read(cpu, FRAME_PA + 0x030, 4, &value));
    assert_int_equal(value, 0x12345678);
    assert_int_equal(page_get(&m, 0, 0x030), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_of_every_offset_size_and_set),
        cmocka_unit_test(writes_of_every_offset_size_and_set),
        cmocka_unit_test(what_kvm_unit_tests_expect_of_register_virtualization),
        cmocka_unit_test(an_access_that_leaves_the_page_exits),
        cmocka_unit_test(outside_of_the_page_is_memory),
        cmocka_unit_test(with_the_control_0_the_frame_is_memory_like_any_other),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
