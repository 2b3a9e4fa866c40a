/* SPDX-License-Identifier: BSD-2-Clause */
/* The MSR bitmap, bit by bit, at each level and in each mode. */
#include "vmx_rig.h"

#include "levels.h"

static struct rig rig;

static int clean(void **state)
{
    (void)state;
    rig_clean(&rig);
    return 0;
}

/* Reference 9.3, its table: the lines of it that hold. */
struct line {
    bool virtualized, registers, delivery, ipi, cmci;
};

static bool reads_pass(const struct line *l, unsigned msr)
{
    if (!l->virtualized)
        return false;
    if (msr == 0x808)
        return true;
    if (!l->registers)
        return false;
    switch (msr) {
    case 0x802:
    case 0x803:
    case 0x80D:
    case 0x80F:
    case 0x828:
    case 0x830:
    case 0x83E:
        return true;
    case 0x80A:
        return l->delivery;
    case 0x82F:
        return l->cmci;
    default:
        return (msr >= 0x810 && msr <= 0x827) || (msr >= 0x832 && msr <= 0x838);
    }
}

static bool writes_pass(const struct line *l, unsigned msr)
{
    if (!l->virtualized)
        return false;
    switch (msr) {
    case 0x808:
        return true;
    case 0x80B:
    case 0x83F:
        return l->delivery;
    case 0x830:
        return l->ipi;
    default:
        return false;
    }
}

static bool intercepts(const uint8_t *bitmap, bool write, unsigned msr)
{
    return (bitmap[(write ? 0x800 : 0) + msr / 8] >> (msr % 8) & 1) != 0;
}

/* Every bit of the first half of reads and of writes; the backend's are 800h..8FFh, 1Bh, 6E0h, all others as they were. */
static void assert_bitmap(const uint8_t *bitmap, const struct line *l, bool others)
{
    for (unsigned msr = 0; msr < 0x2000; msr++) {
        bool mine = msr == 0x1B || msr == 0x6E0;
        bool x2apic = msr >= 0x800 && msr <= 0x8FF;
        bool read = mine || (x2apic ? !reads_pass(l, msr) : others);
        bool write = mine || (x2apic ? !writes_pass(l, msr) : others);

        if (intercepts(bitmap, false, msr) != read || intercepts(bitmap, true, msr) != write)
            fail_msg("MSR %x: RDMSR %s, WRMSR %s", msr, intercepts(bitmap, false, msr) ? "exits" : "passes",
                     intercepts(bitmap, true, msr) ? "exits" : "passes");
    }
    for (unsigned i = 0; i < 0x400; i++) {
        assert_int_equal(bitmap[0x400 + i], others ? 0xFF : 0);
        assert_int_equal(bitmap[0xC00 + i], others ? 0xFF : 0);
    }
}

static void check_level(uint32_t features, bool x2apic, bool cmci, bool others)
{
    struct line line = { .cmci = cmci };
    struct rig_cpu *c = &rig.cpu[0];

    rig_clean(&rig);
    rig_prepare(&rig, features);
    rig.fake.config.max_lvt = cmci ? 6 : 5;
    rig_start(&rig, 1, x2apic);
    memset(c->bitmap, others ? 0xFF : 0, RIG_PAGE);
    rig_enter_open(c);
    line.virtualized = x2apic && (features & VLAPIC_VMX_X2APIC) != 0;
    line.registers = (features & VLAPIC_VMX_REGISTERS) != 0;
    line.delivery = (features & VLAPIC_VMX_DELIVERY) != 0;
    line.ipi = (features & VLAPIC_VMX_IPI) != 0;
    assert_bitmap(c->bitmap, &line, others);
}

static void each_level_passes_what_the_processor_virtualizes_and_no_more(void **state)
{
    /* Reference 9.3 */
    (void)state;
    for (size_t i = 0; i < VMX_LEVELS; i++) {
        for (unsigned kind = 0; kind < 8; kind++)
            check_level(vmx_levels[i].features, kind & 1, kind & 2, kind & 4);
    }
}

static void levels_without_register_virtualization_pass_few(void **state)
{
    /* Reference 9.1, 9.2: delivery alone virtualizes EOI and SELF IPI, and no read but that of TPR */
    const uint32_t alone = VLAPIC_VMX_TPR_SHADOW | VLAPIC_VMX_X2APIC;

    (void)state;
    check_level(alone, true, false, true);
    check_level(alone | VLAPIC_VMX_DELIVERY, true, false, true);
    check_level(alone | VLAPIC_VMX_REGISTERS, true, true, true);
}

static void the_bitmap_follows_mode_enable_bit_and_inhibits(void **state)
{
    /* Reference 9.3, 17; museum 55 and 56 */
    const struct line off = { 0 }, registers = { .virtualized = true, .registers = true },
                      all = { true, true, true, true, false };
    struct rig_cpu *c = rig_one(&rig, VLAPIC_VMX_ALL_FEATURES, true);

    (void)state;
    rig_enter_open(c);
    assert_bitmap(c->bitmap, &all, false);
    rig_exit_plain(c);
    vlapic_vmx_inhibit(rig.fake.vm, VLAPIC_VMX_INHIBIT_NESTED, true);
    rig_enter_open(c);
    assert_bitmap(c->bitmap, &registers, false);
    rig_exit_plain(c);
    vlapic_vmx_inhibit(rig.fake.vm, VLAPIC_VMX_INHIBIT_NESTED, false);
    guest_set(c->cpu, VLAPIC_REG_SVR, 0xFF);
    rig_enter_open(c);
    assert_bitmap(c->bitmap, &registers, false);
    rig_exit_plain(c);
    guest_set(c->cpu, VLAPIC_REG_SVR, 0x1FF);
    rig_enter_open(c);
    assert_bitmap(c->bitmap, &all, false);
    rig_exit_plain(c);
    guest_disable_apic(c->cpu);
    rig_enter_open(c);
    assert_bitmap(c->bitmap, &off, false);
    rig_exit_plain(c);
    guest_enable_xapic(c->cpu);
    rig_enter_open(c);
    assert_bitmap(c->bitmap, &off, false);
}

static uint8_t *no_bitmap(void *cookie)
{
    (void)cookie;
    return NULL;
}

static void without_a_bitmap_every_access_exits(void **state)
{
    /* vmx.h, msr_bitmap; reference 2: with "use MSR bitmaps" = 0 every RDMSR and WRMSR exits */
    (void)state;
    for (unsigned kind = 0; kind < 2; kind++) {
        struct rig_cpu *c = &rig.cpu[0];
        uint64_t value = 0;

        rig_clean(&rig);
        rig_prepare(&rig, VLAPIC_VMX_ALL_FEATURES);
        rig.ops.msr_bitmap = kind ? no_bitmap : NULL;
        rig_start(&rig, 1, true);
        rig_set(c, APICV_PRIMARY_CONTROLS, rig_get(c, APICV_PRIMARY_CONTROLS) & ~(uint64_t)APICV_PRIMARY_MSR_BITMAPS);
        rig_go(c);
        c->reg[1] = 0x808;
        assert_int_equal(rig_take_reason(c, apicv_guest_rdmsr(&c->core, 0x808, &value), APICV_EXIT_RDMSR),
                         VLAPIC_VMX_ADVANCE);
        for (unsigned i = 0; i < RIG_PAGE; i++)
            assert_int_equal(c->bitmap[i], 0);
    }
}

#define TEST(name) cmocka_unit_test_teardown(name, clean)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_level_passes_what_the_processor_virtualizes_and_no_more),
        TEST(levels_without_register_virtualization_pass_few),
        TEST(the_bitmap_follows_mode_enable_bit_and_inhibits),
        TEST(without_a_bitmap_every_access_exits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
