/* SPDX-License-Identifier: BSD-2-Clause */
/* Error status. Intel SDM 3A, "Error Handling". */
#include "fake_host.h"

#define RESERVED_OFFSET 0x040u
#define LVT_VECTOR 0xE0

static struct fake_vm fake;

static struct vlapic_cpu *start(void)
{
    fake_one_cpu(&fake, VLAPIC_VENDOR_INTEL);
    return fake_cpu_at(&fake, 0);
}

static int stop(void **state)
{
    (void)state;
    fake_vm_stop(&fake);
    return 0;
}

static void bad_register(struct vlapic_cpu *cpu)
{
    (void)guest_read(cpu, RESERVED_OFFSET);
}

static void bad_ipi(struct vlapic_cpu *cpu)
{
    guest_icr(cpu, 0, 0x05);
}

static void a_write_makes_pending_errors_visible(void **state)
{
    struct vlapic_cpu *cpu = start();

    (void)state;
    bad_register(cpu);
    assert_int_equal(guest_read(cpu, VLAPIC_REG_ESR), 0);
    guest_write(cpu, VLAPIC_REG_ESR, 0xFFFFFFFF); /* the value is ignored */
    assert_int_equal(guest_read(cpu, VLAPIC_REG_ESR), VLAPIC_ESR_ILLEGAL_REGISTER);
    assert_int_equal(guest_read(cpu, VLAPIC_REG_ESR), VLAPIC_ESR_ILLEGAL_REGISTER);
    bad_ipi(cpu);
    assert_int_equal(guest_read(cpu, VLAPIC_REG_ESR), VLAPIC_ESR_ILLEGAL_REGISTER);
    guest_write(cpu, VLAPIC_REG_ESR, 0);
    assert_int_equal(guest_read(cpu, VLAPIC_REG_ESR), VLAPIC_ESR_SEND_ILLEGAL_VECTOR);
    guest_write(cpu, VLAPIC_REG_ESR, 0);
    assert_int_equal(guest_read(cpu, VLAPIC_REG_ESR), 0);
}

static void errors_accumulate(void **state)
{
    struct vlapic_cpu *cpu = start();

    (void)state;
    bad_register(cpu);
    bad_ipi(cpu);
    vlapic_cpu_post(cpu, 3, false);
    assert_int_equal(guest_esr(cpu),
                     VLAPIC_ESR_ILLEGAL_REGISTER | VLAPIC_ESR_SEND_ILLEGAL_VECTOR | VLAPIC_ESR_RECEIVE_ILLEGAL_VECTOR);
}

static void the_error_interrupt_comes_once_for_each_new_bit(void **state)
{
    struct vlapic_cpu *cpu = start();

    (void)state;
    guest_write(cpu, VLAPIC_REG_LVT_ERROR, LVT_VECTOR);
    for (int i = 0; i < 3; i++) {
        bad_register(cpu);
        assert_int_equal(take_vector(cpu), i == 0 ? LVT_VECTOR : -1);
        guest_eoi(cpu);
    }
    bad_ipi(cpu);
    assert_int_equal(take_vector(cpu), LVT_VECTOR);
    guest_eoi(cpu);
    guest_write(cpu, VLAPIC_REG_ESR, 0); /* re-arms */
    bad_register(cpu);
    assert_int_equal(take_vector(cpu), LVT_VECTOR);
}

static void a_masked_error_is_recorded_and_never_signalled(void **state)
{
    struct vlapic_cpu *cpu = start();

    (void)state;
    guest_write(cpu, VLAPIC_REG_LVT_ERROR, LVT_VECTOR | VLAPIC_LVT_MASKED);
    bad_register(cpu);
    guest_write(cpu, VLAPIC_REG_LVT_ERROR, LVT_VECTOR);
    assert_int_equal(poll_vector(cpu), -1);
    assert_int_equal(guest_esr(cpu), VLAPIC_ESR_ILLEGAL_REGISTER);
}

static void an_illegal_error_vector_is_one_more_error_and_no_more(void **state)
{
    struct vlapic_cpu *cpu = start();

    (void)state;
    for (uint32_t vector = 0; vector < 16; vector++) {
        guest_write(cpu, VLAPIC_REG_LVT_ERROR, vector);
        bad_register(cpu);
        assert_int_equal(poll_vector(cpu), -1);
        assert_int_equal(guest_esr(cpu), VLAPIC_ESR_ILLEGAL_REGISTER | VLAPIC_ESR_RECEIVE_ILLEGAL_VECTOR);
    }
    vlapic_cpu_post(cpu, 3, false); /* the very bit that the error itself records */
    assert_int_equal(guest_esr(cpu), VLAPIC_ESR_RECEIVE_ILLEGAL_VECTOR);
}

static uint64_t errors_counted(struct vlapic_cpu *cpu)
{
    struct vlapic_cpu_stats stats;

    assert_int_equal(vlapic_cpu_get_stats(cpu, &stats, sizeof(stats)), VLAPIC_OK);
    return stats.errors;
}

/* include/vlapic/state.h: bits newly recorded, the one for an illegal error vector among them. */
static void each_bit_counts_when_it_is_recorded(void **state)
{
    struct vlapic_cpu *cpu = start();

    (void)state;
    bad_register(cpu);
    bad_register(cpu);
    assert_int_equal(errors_counted(cpu), 1);
    guest_esr(cpu);
    guest_write(cpu, VLAPIC_REG_LVT_ERROR, 5);
    bad_register(cpu);
    assert_int_equal(errors_counted(cpu), 3);
    guest_esr(cpu);
    vlapic_cpu_post(cpu, 3, false);
    (void)poll_vector(cpu);
    assert_int_equal(errors_counted(cpu), 4);
    bad_register(cpu);
    assert_int_equal(errors_counted(cpu), 5);
}

static void errors_are_recorded_while_software_disabled(void **state)
{
    struct vlapic_cpu *cpu = start();

    (void)state;
    guest_write(cpu, VLAPIC_REG_LVT_ERROR, LVT_VECTOR);
    guest_write(cpu, VLAPIC_REG_SVR, 0xFF);
    bad_register(cpu);
    bad_ipi(cpu);
    assert_int_equal(poll_vector(cpu), -1);
    assert_int_equal(guest_esr(cpu), VLAPIC_ESR_ILLEGAL_REGISTER | VLAPIC_ESR_SEND_ILLEGAL_VECTOR);
    vlapic_cpu_post(cpu, 3, false); /* not accepted at all */
    assert_int_equal(guest_esr(cpu), 0);
}

static void an_illegal_self_ipi_is_sent_and_received(void **state)
{
    struct vlapic_cpu *cpu;

    (void)state;
    fake_one_x2apic_cpu(&fake, VLAPIC_VENDOR_INTEL);
    cpu = fake_cpu_at(&fake, 0);
    guest_wrmsr(cpu, VLAPIC_MSR_OF(VLAPIC_REG_SELF_IPI), 0x0F);
    guest_wrmsr(cpu, VLAPIC_MSR_OF(VLAPIC_REG_ESR), 0);
    assert_int_equal(guest_rdmsr(cpu, VLAPIC_MSR_OF(VLAPIC_REG_ESR)),
                     VLAPIC_ESR_SEND_ILLEGAL_VECTOR | VLAPIC_ESR_RECEIVE_ILLEGAL_VECTOR);
    assert_int_equal(poll_vector(cpu), -1);
}

static void entering_x2apic_keeps_both_values(void **state)
{
    struct vlapic_cpu *cpu = start();

    (void)state;
    bad_register(cpu);
    guest_write(cpu, VLAPIC_REG_ESR, 0);
    bad_ipi(cpu);
    guest_enable_x2apic(cpu);
    assert_int_equal(guest_rdmsr(cpu, VLAPIC_MSR_OF(VLAPIC_REG_ESR)), VLAPIC_ESR_ILLEGAL_REGISTER);
    guest_wrmsr(cpu, VLAPIC_MSR_OF(VLAPIC_REG_ESR), 0);
    assert_int_equal(guest_rdmsr(cpu, VLAPIC_MSR_OF(VLAPIC_REG_ESR)), VLAPIC_ESR_SEND_ILLEGAL_VECTOR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_write_makes_pending_errors_visible, stop),
        cmocka_unit_test_teardown(errors_accumulate, stop),
        cmocka_unit_test_teardown(the_error_interrupt_comes_once_for_each_new_bit, stop),
        cmocka_unit_test_teardown(a_masked_error_is_recorded_and_never_signalled, stop),
        cmocka_unit_test_teardown(an_illegal_error_vector_is_one_more_error_and_no_more, stop),
        cmocka_unit_test_teardown(each_bit_counts_when_it_is_recorded, stop),
        cmocka_unit_test_teardown(errors_are_recorded_while_software_disabled, stop),
        cmocka_unit_test_teardown(an_illegal_self_ipi_is_sent_and_received, stop),
        cmocka_unit_test_teardown(entering_x2apic_keeps_both_values, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
