/* SPDX-License-Identifier: BSD-2-Clause */
/* Messages from outside. Intel SDM 3A, "Message Address Register Format", "Message Data Register Format". */
#include "fake_host.h"
#include "state_helpers.h"

#define ADDRESS 0xFEE00000ull
#define DEST(id) ((uint64_t)(id) << 12)
#define HINT (1u << 3)
#define LOGICAL (1u << 2)
#define LEVEL (1u << 15)
#define ASSERT (1u << 14)
#define MODE(m) ((uint32_t)(m) << 8)

static struct fake_vm fake;

static void prepare(void)
{
    fake_vm_prepare(&fake, VLAPIC_VENDOR_INTEL);
    fake.config.max_apic_id = 0xFFFFF;
}

/* Four CPUs, running, flat logical IDs 1, 2, 4, 8. */
static void start(const uint32_t *ids)
{
    fake_vm_start(&fake, 4, ids);
    start_aps(&fake);
    for (unsigned i = 0; i < 4; i++) {
        struct vlapic_cpu *cpu = fake_cpu_at(&fake, i);

        guest_write(cpu, VLAPIC_REG_LDR, 1u << (24 + i));
        guest_software_enable(cpu);
    }
    fake_forget(&fake);
}

static int stop(void **state)
{
    (void)state;
    fake_vm_stop(&fake);
    return 0;
}

static uint32_t msi(uint64_t address, uint32_t data)
{
    uint32_t accepted = 99;

    assert_int_equal(vlapic_vm_msi(fake.vm, address, data, &accepted), VLAPIC_ACCESS_DONE);
    return accepted;
}

static void other_addresses_are_not_ours(void **state)
{
    uint32_t accepted = 99;

    (void)state;
    prepare();
    start(NULL);
    for (uint32_t top = 0; top < 0x1000; top++) {
        if (top != 0xFEE) {
            assert_int_equal(vlapic_vm_msi(fake.vm, (uint64_t)top << 20, 0x41, &accepted), VLAPIC_ACCESS_NOT_MINE);
            assert_int_equal(accepted, 99);
        }
    }
    assert_int_equal(vlapic_vm_msi(fake.vm, ADDRESS, 0x41, NULL), VLAPIC_ACCESS_DONE);
    assert_int_equal(poll_vector(fake_cpu_at(&fake, 0)), 0x41);
}

static void the_destination_is_in_bits_19_to_12(void **state)
{
    (void)state;
    prepare();
    start(NULL);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(msi(ADDRESS | DEST(i), 0x41), 1);
        assert_int_equal(take_vector(fake_cpu_at(&fake, i)), 0x41);
        assert_int_equal(msi(ADDRESS | DEST(1u << i) | LOGICAL, 0x51), 1);
        assert_int_equal(take_vector(fake_cpu_at(&fake, i)), 0x51);
    }
    assert_int_equal(msi(ADDRESS | DEST(9), 0x41), 0);
    assert_int_equal(msi(ADDRESS | DEST(0x5) | LOGICAL, 0x61), 2);
    assert_int_equal(msi(ADDRESS | DEST(0xFF), 0x71), 4);
    assert_int_equal(msi(ADDRESS | DEST(0xFF) | LOGICAL, 0x72), 4);
}

/* Bits 4, 1 and 0 of the address and 31:16, 13:11 of the data mean nothing here. */
static void meaningless_bits_are_ignored(void **state)
{
    (void)state;
    prepare();
    start(NULL);
    assert_int_equal(msi(ADDRESS | DEST(2) | 0x13, 0xFFFF3841), 1);
    assert_int_equal(take_vector(fake_cpu_at(&fake, 2)), 0x41);
    assert_false(guest_bit(fake_cpu_at(&fake, 2), VLAPIC_REG_TMR, 0x41));
}

static void merging_counts_as_accepted_and_disabled_does_not(void **state)
{
    (void)state;
    prepare();
    start(NULL);
    assert_int_equal(msi(ADDRESS | DEST(1), 0x41), 1);
    assert_int_equal(msi(ADDRESS | DEST(1), 0x41), 1);
    guest_write(fake_cpu_at(&fake, 2), VLAPIC_REG_SVR, 0xFF);
    assert_int_equal(msi(ADDRESS | DEST(2), 0x41), 0);
    guest_disable_apic(fake_cpu_at(&fake, 3));
    assert_int_equal(msi(ADDRESS | DEST(3), MODE(4)), 0);
    assert_int_equal(msi(ADDRESS | DEST(0xFF), 0x42), 2);
}

static void trigger_and_level_decide_for_vectors_alone(void **state)
{
    static const struct {
        uint32_t data;
        uint32_t accepted;
        bool tmr;
    } rows[] = {
        { 0x41, 1, false },           { 0x41 | ASSERT, 1, false },         { 0x41 | LEVEL | ASSERT, 1, true },
        { 0x41 | LEVEL, 0, true },    { 0x41 | MODE(1) | LEVEL, 0, true }, { 0x41 | MODE(1) | LEVEL | ASSERT, 1, true },
        { 0x41 | MODE(1), 1, false }, { MODE(4) | LEVEL, 1, false },       { MODE(2) | LEVEL, 1, false },
    };

    (void)state;
    prepare();
    start(NULL);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(msi(ADDRESS | DEST(1), rows[i].data), rows[i].accepted);
        if (rows[i].accepted) {
            (void)take_vector(fake_cpu_at(&fake, 1));
            guest_eoi(fake_cpu_at(&fake, 1));
        }
        assert_int_equal(guest_bit(fake_cpu_at(&fake, 1), VLAPIC_REG_TMR, 0x41), rows[i].tmr);
    }
}

static void each_delivery_mode_does_what_it_names(void **state)
{
    struct vlapic_cpu *cpu;
    struct vlapic_poll duty;

    (void)state;
    prepare();
    start(NULL);
    cpu = fake_cpu_at(&fake, 1);
    for (uint32_t mode = 0; mode < 8; mode++) {
        bool dropped = mode == 3 || mode == 6;

        assert_int_equal(msi(ADDRESS | DEST(1), MODE(mode) | 0x41), !dropped);
        vlapic_cpu_poll(cpu, &duty);
        assert_int_equal(duty.vector >= 0, mode <= 1);
        assert_int_equal(duty.smi, mode == 2);
        assert_int_equal(duty.nmi, mode == 4);
        assert_int_equal(duty.init, mode == 5);
        assert_int_equal(duty.extint_message, mode == 7);
        assert_false(duty.sipi);
        while (take_vector(cpu) >= 0) {
            guest_eoi(cpu);
        }
    }
    assert_int_equal(guest_esr(cpu), 0);
}

static void an_illegal_vector_is_the_receivers_error(void **state)
{
    (void)state;
    prepare();
    start(NULL);
    guest_write(fake_cpu_at(&fake, 3), VLAPIC_REG_SVR, 0xFF);
    for (uint32_t vector = 0; vector < 16; vector++) {
        assert_int_equal(msi(ADDRESS | DEST(0xFF), vector), 0);
    }
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(guest_esr(fake_cpu_at(&fake, i)), i == 3 ? 0 : VLAPIC_ESR_RECEIVE_ILLEGAL_VECTOR);
    }
}

/* Lowest priority, or the redirection hint whatever the mode: candidate number vector % count, by ascending ID. */
static void logical_arbitration_picks_by_vector(void **state)
{
    static const uint32_t ids[] = { 9, 3, 40, 5 };  /* the BSP is not the lowest */
    static const unsigned by_id[] = { 1, 3, 0, 2 }; /* indices by ascending ID */

    (void)state;
    prepare();
    start(ids);
    for (uint32_t vector = 0x20; vector < 0x60; vector++) {
        for (int hint = 0; hint < 2; hint++) {
            uint64_t address = ADDRESS | DEST(vector & 1 ? 0xFF : 0xF) | LOGICAL | (hint ? HINT : 0);

            assert_int_equal(msi(address, vector | MODE(!hint)), 1);
            for (unsigned i = 0; i < 4; i++) {
                bool chosen = by_id[vector % 4] == i;

                assert_int_equal(take_vector(fake_cpu_at(&fake, i)), chosen ? (int)vector : -1);
                guest_eoi(fake_cpu_at(&fake, i));
            }
        }
    }
    /* Software-disabled CPUs are no candidates, for NMIs with the hint neither. */
    guest_write(fake_cpu_at(&fake, 1), VLAPIC_REG_SVR, 0xFF);
    guest_write(fake_cpu_at(&fake, 3), VLAPIC_REG_SVR, 0xFF);
    assert_int_equal(msi(ADDRESS | DEST(0xF) | LOGICAL, 0x41 | MODE(1)), 1);
    assert_int_equal(take_vector(fake_cpu_at(&fake, 2)), 0x41);
    guest_write(fake_cpu_at(&fake, 0), VLAPIC_REG_SVR, 0xFF);
    guest_write(fake_cpu_at(&fake, 2), VLAPIC_REG_SVR, 0xFF);
    assert_int_equal(msi(ADDRESS | DEST(0xF) | LOGICAL, 0x41 | MODE(1)), 0);
    assert_int_equal(msi(ADDRESS | DEST(0xF) | LOGICAL | HINT, MODE(4)), 0);
}

static void physical_messages_are_not_arbitrated(void **state)
{
    (void)state;
    prepare();
    start(NULL);
    assert_int_equal(msi(ADDRESS | DEST(0xFF), 0x41 | MODE(1)), 4);
    assert_int_equal(msi(ADDRESS | DEST(0xFF) | HINT, 0x42), 4);
    assert_int_equal(msi(ADDRESS | DEST(2) | HINT, 0x43 | MODE(1)), 1);
    assert_int_equal(poll_vector(fake_cpu_at(&fake, 2)), 0x43);
}

static void the_host_may_choose(void **state)
{
    (void)state;
    prepare();
    fake.ops.choose_lowest = fake_choose_lowest;
    start(NULL);
    fake.expect[FAKE_CHOOSE_LOWEST] = true;
    fake.choose_result = 2;
    assert_int_equal(msi(ADDRESS | DEST(0xF) | LOGICAL, 0x41 | MODE(1)), 1);
    assert_int_equal(poll_vector(fake_cpu_at(&fake, 2)), 0x41);
    assert_int_equal(fake_last(&fake, FAKE_CHOOSE_LOWEST)->a, 4);
    fake.choose_result = 7; /* too large: modulo */
    assert_int_equal(msi(ADDRESS | DEST(0xF) | LOGICAL, 0x42 | MODE(1)), 1);
    assert_int_equal(poll_vector(fake_cpu_at(&fake, 3)), 0x42);
}

static void extended_destinations_count_when_configured(void **state)
{
    static const uint32_t ids[] = { 1, 0x101, 0x7F01, 0x80001 };
    const uint64_t ext_101 = ADDRESS | DEST(1) | 1u << 5, ext_7f01 = ADDRESS | DEST(1) | 0x7Fu << 5;
    const uint64_t wide = (uint64_t)0x800 << 40;

    (void)state;
    for (int setting = 0; setting < 4; setting++) {
        prepare();
        fake.config.msi_ext_dest = setting & 1;
        fake.config.msi_dest32 = setting & 2;
        start(ids);
        for (unsigned i = 0; i < 4; i++) {
            guest_enable_x2apic(fake_cpu_at(&fake, i));
        }
        assert_int_equal(msi(ext_101, 0x41), 1);
        assert_int_equal(poll_vector(fake_cpu_at(&fake, setting & 1 ? 1 : 0)), 0x41);
        assert_int_equal(msi(ext_7f01, 0x51), 1);
        assert_int_equal(poll_vector(fake_cpu_at(&fake, setting & 1 ? 2 : 0)), 0x51);
        assert_int_equal(msi(wide | ADDRESS | DEST(1), 0x61), 1);
        assert_int_equal(poll_vector(fake_cpu_at(&fake, setting & 2 ? 3 : 0)), 0x61);
        /* Bits 39:32 must be zero where the 32-bit format is understood. */
        assert_int_equal(msi(1ull << 32 | ADDRESS | DEST(1), 0x71), setting & 2 ? 0 : 1);
        fake_vm_stop(&fake);
    }
}

static void decoded_messages_are_checked(void **state)
{
    struct vlapic_message message = { .destination = 1, .vector = 0x41 };

    (void)state;
    prepare();
    start(NULL);
    message.delivery = (enum vlapic_delivery)8;
    assert_int_equal(vlapic_vm_deliver(fake.vm, &message), 0);
    message.delivery = VLAPIC_DELIVERY_SIPI;
    assert_int_equal(vlapic_vm_deliver(fake.vm, &message), 0);
    message.delivery = VLAPIC_DELIVERY_FIXED;
    message.deassert = true; /* of an edge: no meaning */
    assert_int_equal(vlapic_vm_deliver(fake.vm, &message), 1);
    message.level = true;
    assert_int_equal(vlapic_vm_deliver(fake.vm, &message), 0);
}

static void an_event_for_all_reaches_every_cpu(void **state)
{
    (void)state;
    prepare();
    start(NULL);
    for (unsigned i = 0; i < 4; i++) {
        guest_write(fake_cpu_at(&fake, i), VLAPIC_REG_LVT_THERMAL, 0x44 + i);
    }
    vlapic_vm_lvt_event(fake.vm, VLAPIC_LVT_THERMAL);
    vlapic_vm_lvt_event(fake.vm, VLAPIC_LVT_CMCI);  /* this VM has none */
    vlapic_vm_lvt_event(fake.vm, VLAPIC_LVT_TIMER); /* no such event */
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(take_vector(fake_cpu_at(&fake, i)), 0x44 + (int)i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(other_addresses_are_not_ours, stop),
        cmocka_unit_test_teardown(the_destination_is_in_bits_19_to_12, stop),
        cmocka_unit_test_teardown(meaningless_bits_are_ignored, stop),
        cmocka_unit_test_teardown(merging_counts_as_accepted_and_disabled_does_not, stop),
        cmocka_unit_test_teardown(trigger_and_level_decide_for_vectors_alone, stop),
        cmocka_unit_test_teardown(each_delivery_mode_does_what_it_names, stop),
        cmocka_unit_test_teardown(an_illegal_vector_is_the_receivers_error, stop),
        cmocka_unit_test_teardown(logical_arbitration_picks_by_vector, stop),
        cmocka_unit_test_teardown(physical_messages_are_not_arbitrated, stop),
        cmocka_unit_test_teardown(the_host_may_choose, stop),
        cmocka_unit_test(extended_destinations_count_when_configured),
        cmocka_unit_test_teardown(decoded_messages_are_checked, stop),
        cmocka_unit_test_teardown(an_event_for_all_reaches_every_cpu, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
