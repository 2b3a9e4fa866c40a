/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Instructions with several accesses, of which the first is virtualized and the next exits for something else: the APIC-write exit of the first
 * never comes. Reference 8.4: such accesses are virtualized one by one.
 */
#include "vmx_rig.h"

#include "levels.h"

#define LVT_PERIODIC 0x00020040u

static struct rig rig;

static int clean(void **state)
{
    (void)state;
    rig_clean(&rig);
    return 0;
}

static struct apicv_result push(struct rig_cpu *c, uint64_t address, uint32_t value)
{
    struct apicv_access access = { .type = APICV_ACCESS_WRITE, .address = address, .size = 4 };
    uint64_t v = value;

    return apicv_operation_access(&c->core, &access, &v);
}

/* PUSHA in 32-bit code whose second doubleword goes to the address below. */
static struct apicv_result pusha(struct rig_cpu *c, uint32_t at, uint32_t value)
{
    apicv_operation_begin(&c->core);
    assert_int_equal(push(c, RIG_APIC + at, value).outcome, APICV_DONE);
    return push(c, RIG_APIC + at - 4, 0);
}

/* The same with the window as stack segment, whose 16-bit pointer wraps: the next is memory that is not mapped now. */
static struct apicv_result pusha_wraps(struct rig_cpu *c, uint32_t at, uint32_t value)
{
    apicv_operation_begin(&c->core);
    assert_int_equal(push(c, RIG_APIC + at, value).outcome, APICV_DONE);
    return push(c, RIG_APIC + at + 0xFFFC, 0);
}

static void half_write(struct rig_cpu *c, uint32_t at, uint32_t value)
{
    struct apicv_result r;

    rig_go(c);
    r = pusha_wraps(c, at, value);
    assert_int_equal(rig_page(c, at), value);
    assert_int_equal(rig_take_reason(c, r, APICV_EXIT_EPT_VIOLATION), VLAPIC_VMX_NOT_MINE);
}

static struct rig_cpu *start_periodic(void)
{
    struct rig_cpu *c = rig_one(&rig, LEVEL_REGISTERS, false);

    guest_write(c->cpu, VLAPIC_REG_LVT_TIMER, LVT_PERIODIC);
    guest_write(c->cpu, VLAPIC_REG_INITIAL_COUNT, 1000);
    return c;
}

static void a_periodic_timer_goes_on(void **state)
{
    /* Its period is the initial count: with the guest's 0 it would be divided by that */
    struct rig_cpu *c = start_periodic();
    struct vlapic_cpu_state s = { .size = sizeof s };

    (void)state;
    half_write(c, VLAPIC_REG_INITIAL_COUNT, 0);
    fake_advance_ns(&rig.fake, 100000);
    vlapic_cpu_poll(c->cpu, &c->duty);
    assert_int_equal(take_vector(c->cpu), 0x40);
    assert_int_equal(rig_page(c, VLAPIC_REG_INITIAL_COUNT), 1000);
    rig_clean(&rig);
    c = start_periodic();
    rig_go(c);
    assert_int_equal(rig_take_reason(c, pusha(c, VLAPIC_REG_INITIAL_COUNT, 0), APICV_EXIT_APIC_ACCESS),
                     VLAPIC_VMX_UNSUPPORTED);
    fake_advance_ns(&rig.fake, 100000);
    assert_int_equal(vlapic_cpu_get_state(c->cpu, &s, sizeof s), VLAPIC_OK);
    assert_int_equal(s.initial_count, 1000);
}

static void the_state_can_be_loaded_again(void **state)
{
    /* state.h: what is read, loads */
    static const uint32_t rows[][2] = { { 0x020, 0x55000000 }, { 0x080, 0x1234 },     { 0x0D0, ~0u }, { 0x0E0, 0 },
                                        { 0x0F0, ~0u },        { 0x280, ~0u },        { 0x300, ~0u }, { 0x310, ~0u },
                                        { 0x320, ~0u },        { 0x330, 0xFFFEFFFF }, { 0x340, ~0u }, { 0x350, ~0u },
                                        { 0x360, ~0u },        { 0x370, ~0u },        { 0x380, 5 },   { 0x3E0, ~0u } };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rig_cpu *c = rig_one(&rig, LEVEL_REGISTERS, false);
        struct vlapic_cpu_state s = { .size = sizeof s };
        const char *field = "nothing";

        half_write(c, rows[i][0], rows[i][1]);
        assert_int_equal(vlapic_cpu_get_state(c->cpu, &s, sizeof s), VLAPIC_OK);
        if (vlapic_cpu_set_state(c->cpu, &s, VLAPIC_TIME_STOPPED, &field) != VLAPIC_OK)
            fail_msg("after %03x: %s", rows[i][0], field);
    }
}

static void the_id_stays(void **state)
{
    /* Not to be written (lapic.md): an IPI to ID 1 must not come to vCPU 0 */
    struct rig_cpu *c = &rig.cpu[0];

    (void)state;
    rig_clean(&rig);
    rig_prepare(&rig, LEVEL_REGISTERS);
    rig_start(&rig, 2, false);
    half_write(c, VLAPIC_REG_ID, 0x01000000);
    vlapic_cpu_take_init(c->cpu);
    guest_software_enable(c->cpu);
    guest_icr(rig.cpu[1].cpu, 0x01000000, 0x4041);
    assert_int_equal(take_vector(c->cpu), -1);
    assert_int_equal(take_vector(rig.cpu[1].cpu), 0x41);
    assert_int_equal(rig_page(c, VLAPIC_REG_ID), 0);
}

#define TEST(name) cmocka_unit_test_teardown(name, clean)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_periodic_timer_goes_on),
        TEST(the_state_can_be_loaded_again),
        TEST(the_id_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
