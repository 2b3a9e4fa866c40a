/* SPDX-License-Identifier: BSD-2-Clause */
/* TSC-deadline mode, and what the host timer may do to us. Intel SDM 3A, "TSC-Deadline Mode". */
#include "fake_host.h"

#define VECTOR 0x40u
#define DEADLINE (VLAPIC_LVT_TIMER_DEADLINE | VECTOR)

static struct fake_vm fake;

static struct vlapic_cpu *start(void)
{
    struct vlapic_cpu *cpu;

    fake_vm_prepare(&fake, VLAPIC_VENDOR_INTEL);
    fake.config.tsc_deadline = true;
    fake_vm_start(&fake, 1, NULL);
    cpu = fake_cpu_at(&fake, 0);
    guest_software_enable(cpu);
    guest_write(cpu, VLAPIC_REG_LVT_TIMER, DEADLINE);
    fake_set_tsc(&fake, 1000);
    return cpu;
}

static int stop(void **state)
{
    (void)state;
    fake_vm_stop(&fake);
    return 0;
}

static void deadline(struct vlapic_cpu *cpu, uint64_t value)
{
    guest_wrmsr(cpu, VLAPIC_MSR_TSC_DEADLINE, value);
}

static uint64_t armed(struct vlapic_cpu *cpu)
{
    return guest_rdmsr(cpu, VLAPIC_MSR_TSC_DEADLINE);
}

static unsigned take_all(struct vlapic_cpu *cpu)
{
    unsigned count = 0;

    while (take_vector(cpu) == (int)VECTOR) {
        guest_eoi(cpu);
        count++;
    }
    return count;
}

static void a_future_deadline_fires_once_and_reads_back_until_then(void **state)
{
    struct vlapic_cpu *cpu = start();

    (void)state;
    deadline(cpu, 5000);
    assert_int_equal(armed(cpu), 5000);
    assert_int_equal(fake_last(&fake, FAKE_ARM_TSC)->a, 5000);
    fake_advance_tsc(&fake, 3999);
    assert_int_equal(take_all(cpu), 0);
    fake_advance_tsc(&fake, 1);
    assert_int_equal(take_all(cpu), 1);
    assert_int_equal(armed(cpu), 0);
    fake_advance_tsc(&fake, 100000);
    assert_int_equal(take_all(cpu), 0);
}

static void a_deadline_that_is_reached_fires_at_the_write(void **state)
{
    static const uint64_t past[] = { 1, 999, 1000 };

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct vlapic_cpu *cpu = start();

        deadline(cpu, past[i]);
        assert_true(guest_bit(cpu, VLAPIC_REG_IRR, VECTOR));
        assert_int_equal(armed(cpu), 0);
        assert_int_equal(take_all(cpu), 1);
        fake_vm_stop(&fake);
    }
}

static void zero_disarms_and_leaves_irr_alone(void **state)
{
    struct vlapic_cpu *cpu = start();

    (void)state;
    deadline(cpu, 500);
    deadline(cpu, 5000);
    deadline(cpu, 0);
    assert_false(fake.cpus[0].armed_tsc);
    assert_int_equal(take_all(cpu), 1);
    fake_advance_tsc(&fake, 100000);
    assert_int_equal(take_all(cpu), 0);
}

static void a_new_deadline_replaces_the_old_one(void **state)
{
    struct vlapic_cpu *cpu = start();

    (void)state;
    deadline(cpu, 5000);
    deadline(cpu, 9000);
    fake_advance_tsc(&fake, 5000);
    assert_int_equal(take_all(cpu), 0);
    fake_advance_tsc(&fake, 3000);
    assert_int_equal(take_all(cpu), 1);
}

static void the_largest_deadline_is_a_deadline(void **state)
{
    struct vlapic_cpu *cpu = start();

    (void)state;
    deadline(cpu, UINT64_MAX);
    assert_int_equal(armed(cpu), UINT64_MAX);
    fake_set_tsc(&fake, UINT64_MAX);
    assert_int_equal(armed(cpu), 0);
    assert_int_equal(take_all(cpu), 1);
}

static void in_other_modes_writes_are_ignored(void **state)
{
    static const uint32_t modes[] = { VLAPIC_LVT_TIMER_ONE_SHOT, VLAPIC_LVT_TIMER_PERIODIC,
                                      VLAPIC_LVT_TIMER_MODE_MASK };
    struct vlapic_cpu *cpu = start();

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        guest_write(cpu, VLAPIC_REG_LVT_TIMER, modes[i] | VECTOR);
        deadline(cpu, 500);
        assert_int_equal(armed(cpu), 0);
        assert_int_equal(take_all(cpu), 0);
    }
}

static void the_count_registers_are_dead_in_deadline_mode(void **state)
{
    struct vlapic_cpu *cpu = start();

    (void)state;
    guest_write(cpu, VLAPIC_REG_INITIAL_COUNT, 100);
    assert_int_equal(guest_read(cpu, VLAPIC_REG_INITIAL_COUNT), 0);
    assert_int_equal(guest_read(cpu, VLAPIC_REG_CURRENT_COUNT), 0);
    guest_write(cpu, VLAPIC_REG_DIVIDE_CONFIG, 0xB);
    assert_int_equal(guest_read(cpu, VLAPIC_REG_DIVIDE_CONFIG), 0xB);
    fake_advance_ns(&fake, 1000);
    assert_int_equal(take_all(cpu), 0);
}

static void a_masked_expiry_consumes_the_deadline(void **state)
{
    struct vlapic_cpu *cpu = start();

    (void)state;
    deadline(cpu, 5000);
    guest_write(cpu, VLAPIC_REG_LVT_TIMER, DEADLINE | VLAPIC_LVT_MASKED);
    assert_int_equal(armed(cpu), 5000);
    fake_advance_tsc(&fake, 4000);
    assert_int_equal(armed(cpu), 0);
    guest_write(cpu, VLAPIC_REG_LVT_TIMER, DEADLINE);
    assert_int_equal(take_all(cpu), 0);
}

static void software_disable_keeps_the_deadline_armed(void **state)
{
    struct vlapic_cpu *cpu = start();

    (void)state;
    deadline(cpu, 5000);
    guest_write(cpu, VLAPIC_REG_SVR, 0xFF);
    assert_int_equal(armed(cpu), 5000);
    fake_advance_tsc(&fake, 4000);
    assert_int_equal(armed(cpu), 0);
    guest_software_enable(cpu);
    assert_int_equal(take_all(cpu), 0);
}

static void a_disabled_apic_ignores_writes_and_reads_zero(void **state)
{
    struct vlapic_cpu *cpu = start();

    (void)state;
    deadline(cpu, 5000);
    guest_disable_apic(cpu);
    assert_int_equal(armed(cpu), 0);
    assert_false(fake.cpus[0].armed_tsc);
    deadline(cpu, 500);
    assert_int_equal(armed(cpu), 0);
    assert_int_equal(take_all(cpu), 0);
}

static void a_tsc_that_jumps_moves_the_expiry(void **state)
{
    struct vlapic_cpu *cpu = start();

    (void)state;
    deadline(cpu, 5000);
    fake_set_tsc(&fake, 6000);
    vlapic_cpu_tsc_changed(cpu);
    assert_int_equal(take_all(cpu), 1);
    deadline(cpu, 7000);
    fake_set_tsc(&fake, 10);
    fake_forget(&fake);
    vlapic_cpu_tsc_changed(cpu);
    assert_int_equal(take_all(cpu), 0);
    assert_int_equal(fake_last(&fake, FAKE_ARM_TSC)->a, 7000);
    fake_forget(&fake);
    deadline(cpu, 0);
    vlapic_cpu_tsc_changed(cpu);
    assert_int_equal(fake_count(&fake, FAKE_ARM_TSC), 0);
}

static void without_the_flag_the_msr_does_not_exist(void **state)
{
    struct vlapic_cpu *cpu;

    (void)state;
    fake_one_cpu(&fake, VLAPIC_VENDOR_INTEL);
    cpu = fake_cpu_at(&fake, 0);
    guest_rdmsr_faults(cpu, VLAPIC_MSR_TSC_DEADLINE);
    guest_wrmsr_faults(cpu, VLAPIC_MSR_TSC_DEADLINE, 0);
}

static void the_deadline_works_in_x2apic_mode(void **state)
{
    struct vlapic_cpu *cpu = start();

    (void)state;
    guest_enable_x2apic(cpu);
    deadline(cpu, 5000);
    fake_advance_tsc(&fake, 4000);
    assert_int_equal(take_all(cpu), 1);
}

/* --- a host timer that is early, late, double or spurious -------------------------- */

static void a_spurious_host_expiry_is_harmless(void **state)
{
    struct vlapic_cpu *cpu = start();

    (void)state;
    fake_forget(&fake);
    vlapic_cpu_timer_expired(cpu);
    assert_int_equal(take_all(cpu), 0);
    assert_int_equal(fake_count(&fake, FAKE_ARM_TSC) + fake_count(&fake, FAKE_ARM_NS), 0);
}

static void an_early_host_expiry_arms_again(void **state)
{
    struct vlapic_cpu *cpu = start();

    (void)state;
    deadline(cpu, 5000);
    fake_forget(&fake);
    vlapic_cpu_timer_expired(cpu);
    assert_int_equal(take_all(cpu), 0);
    assert_int_equal(fake_last(&fake, FAKE_ARM_TSC)->a, 5000);
    guest_write(cpu, VLAPIC_REG_LVT_TIMER, VECTOR);
    guest_write(cpu, VLAPIC_REG_INITIAL_COUNT, 100);
    fake_forget(&fake);
    vlapic_cpu_timer_expired(cpu);
    assert_int_equal(take_all(cpu), 0);
    assert_int_equal(fake_last(&fake, FAKE_ARM_NS)->a, fake.now_ns + 200);
}

static void a_double_host_expiry_fires_once(void **state)
{
    struct vlapic_cpu *cpu = start();

    (void)state;
    deadline(cpu, 5000);
    fake_set_tsc(&fake, 5001);
    vlapic_cpu_timer_expired(cpu);
    assert_int_equal(take_all(cpu), 1);
    vlapic_cpu_timer_expired(cpu);
    assert_int_equal(take_all(cpu), 0);
}

static void the_floor_delays_the_host_timer_alone(void **state)
{
    struct vlapic_cpu *cpu;
    uint64_t start_ns;

    (void)state;
    fake_vm_prepare(&fake, VLAPIC_VENDOR_INTEL);
    fake.config.timer_floor_ns = 200000;
    fake_vm_start(&fake, 1, NULL);
    cpu = fake_cpu_at(&fake, 0);
    guest_software_enable(cpu);
    guest_write(cpu, VLAPIC_REG_DIVIDE_CONFIG, 0xB);
    guest_write(cpu, VLAPIC_REG_LVT_TIMER, VLAPIC_LVT_TIMER_PERIODIC | VECTOR);
    start_ns = fake.now_ns;
    guest_write(cpu, VLAPIC_REG_INITIAL_COUNT, 1);
    assert_int_equal(fake_last(&fake, FAKE_ARM_NS)->a, start_ns + 200000);
    assert_int_equal(guest_read(cpu, VLAPIC_REG_CURRENT_COUNT), 1);
    fake_forget(&fake);
    fake_advance_ns(&fake, 200000);
    assert_int_equal(take_all(cpu), 1);
    assert_int_equal(fake_last(&fake, FAKE_ARM_NS)->a, start_ns + 400000);
    guest_write(cpu, VLAPIC_REG_INITIAL_COUNT, 1000000);
    assert_int_equal(fake_last(&fake, FAKE_ARM_NS)->a, fake.now_ns + 1000000);
}

static void next_expiry_tells_of_a_running_count_only(void **state)
{
    struct vlapic_cpu *cpu = start();
    uint64_t due = 0;

    (void)state;
    deadline(cpu, 5000);
    assert_false(vlapic_cpu_next_expiry(cpu, &due));
    guest_write(cpu, VLAPIC_REG_LVT_TIMER, VECTOR);
    guest_write(cpu, VLAPIC_REG_INITIAL_COUNT, 100);
    assert_true(vlapic_cpu_next_expiry(cpu, &due));
    assert_int_equal(due, fake.now_ns + 200);
    fake_advance_ns(&fake, 200);
    assert_int_equal(take_all(cpu), 1);
    assert_false(vlapic_cpu_next_expiry(cpu, &due));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_future_deadline_fires_once_and_reads_back_until_then, stop),
        cmocka_unit_test(a_deadline_that_is_reached_fires_at_the_write),
        cmocka_unit_test_teardown(zero_disarms_and_leaves_irr_alone, stop),
        cmocka_unit_test_teardown(a_new_deadline_replaces_the_old_one, stop),
        cmocka_unit_test_teardown(the_largest_deadline_is_a_deadline, stop),
        cmocka_unit_test_teardown(in_other_modes_writes_are_ignored, stop),
        cmocka_unit_test_teardown(the_count_registers_are_dead_in_deadline_mode, stop),
        cmocka_unit_test_teardown(a_masked_expiry_consumes_the_deadline, stop),
        cmocka_unit_test_teardown(software_disable_keeps_the_deadline_armed, stop),
        cmocka_unit_test_teardown(a_disabled_apic_ignores_writes_and_reads_zero, stop),
        cmocka_unit_test_teardown(a_tsc_that_jumps_moves_the_expiry, stop),
        cmocka_unit_test_teardown(without_the_flag_the_msr_does_not_exist, stop),
        cmocka_unit_test_teardown(the_deadline_works_in_x2apic_mode, stop),
        cmocka_unit_test_teardown(a_spurious_host_expiry_is_harmless, stop),
        cmocka_unit_test_teardown(an_early_host_expiry_arms_again, stop),
        cmocka_unit_test_teardown(a_double_host_expiry_fires_once, stop),
        cmocka_unit_test_teardown(the_floor_delays_the_host_timer_alone, stop),
        cmocka_unit_test_teardown(next_expiry_tells_of_a_running_count_only, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
