/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pulses on the LINT pins: the line has fallen again before the owner looks. What an edge or the start of a level causes is
 * not withdrawn by the fall; ExtINT is a level and goes with the line.
 */
#include "fake_host.h"
#include "state_helpers.h"

static struct fake_vm host;

static void pulse(struct vlapic_cpu *cpu, uint32_t pin)
{
    vlapic_cpu_lint(cpu, pin, true);
    vlapic_cpu_lint(cpu, pin, false);
}

static void a_pulse_is_seen_by_every_mode_but_extint(void **unused)
{
    /* Intel SDM 3A, "Local Vector Table": trigger mode and delivery mode of LINT0 and LINT1 */
    static const struct {
        uint32_t lvt;
        int vector;
        bool nmi, smi, init;
    } rows[] = {
        { 0x0055, 0x55, false, false, false }, { 0x10055, -1, false, false, false },
        { 0x0200, -1, false, true, false },    { 0x0400, -1, true, false, false },
        { 0x0500, -1, false, false, true },    { 0x0700, -1, false, false, false },
        { 0x8055, 0x55, false, false, false }, { 0x18055, -1, false, false, false },
        { 0x8400, -1, true, false, false },    { 0x0100, -1, false, false, false },
        { 0x0300, -1, false, false, false },   { 0x0600, -1, false, false, false },
    };

    (void)unused;
    for (uint32_t pin = 0; pin < 2; pin++)
        for (unsigned x2apic = 0; x2apic < 2; x2apic++)
            for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
                struct vlapic_cpu *cpu;
                struct vlapic_poll duty;

                if (x2apic)
                    fake_one_x2apic_cpu(&host, VLAPIC_VENDOR_INTEL);
                else
                    fake_one_cpu(&host, VLAPIC_VENDOR_INTEL);
                cpu = fake_cpu_at(&host, 0);
                guest_set(cpu, pin ? VLAPIC_REG_LVT_LINT1 : VLAPIC_REG_LVT_LINT0, rows[i].lvt);
                pulse(cpu, pin);
                vlapic_cpu_poll(cpu, &duty);
                assert_int_equal(duty.vector, rows[i].vector);
                assert_int_equal(duty.nmi, rows[i].nmi);
                assert_int_equal(duty.smi, rows[i].smi);
                assert_int_equal(duty.init, rows[i].init);
                assert_false(duty.extint);
                assert_false(duty.extint_message);
                fake_vm_stop(&host);
            }
}

static void a_level_pulse_is_one_interrupt(void **unused)
{
    /* Intel SDM 3A, "Local Vector Table": remote IRR */
    struct vlapic_cpu *cpu;

    (void)unused;
    fake_one_cpu(&host, VLAPIC_VENDOR_INTEL);
    cpu = fake_cpu_at(&host, 0);
    guest_write(cpu, VLAPIC_REG_LVT_LINT0, 0x8055);
    pulse(cpu, 0);
    pulse(cpu, 0);
    assert_int_equal(take_vector(cpu), 0x55);
    assert_true(guest_bit(cpu, VLAPIC_REG_TMR, 0x55));
    assert_int_equal(guest_read(cpu, VLAPIC_REG_LVT_LINT0), 0xC055);
    pulse(cpu, 0); /* while remote IRR is set: nothing */
    assert_int_equal(poll_vector(cpu), -1);
    guest_eoi(cpu);
    assert_int_equal(guest_read(cpu, VLAPIC_REG_LVT_LINT0), 0x8055);
    assert_int_equal(poll_vector(cpu), -1); /* the line is low */
    pulse(cpu, 0);
    assert_int_equal(take_vector(cpu), 0x55);
    fake_vm_stop(&host);
}

static void a_pulse_on_lint1_of_a_disabled_apic_is_an_nmi(void **unused)
{
    /* Intel SDM 3A, "Enabling or Disabling the Local APIC": LINT0 and LINT1 become INTR and NMI */
    struct vlapic_cpu *cpu;
    struct vlapic_poll duty;

    (void)unused;
    fake_one_cpu(&host, VLAPIC_VENDOR_INTEL);
    cpu = fake_cpu_at(&host, 0);
    guest_disable_apic(cpu);
    pulse(cpu, 0);
    pulse(cpu, 1);
    vlapic_cpu_poll(cpu, &duty);
    assert_true(duty.nmi);
    assert_false(duty.extint);
    fake_vm_stop(&host);
}

static void other_pins_do_not_exist(void **unused)
{
    /* Library: vlapic_cpu_lint(): pin 0 or 1; others are ignored */
    struct vlapic_cpu_state before, after;
    struct vlapic_cpu *cpu;

    (void)unused;
    fake_one_cpu(&host, VLAPIC_VENDOR_INTEL);
    cpu = fake_cpu_at(&host, 0);
    guest_write(cpu, VLAPIC_REG_LVT_LINT0, 0x55);
    guest_write(cpu, VLAPIC_REG_LVT_LINT1, 0x56);
    state_read(cpu, &before);
    for (unsigned shift = 1; shift < 32; shift++) {
        vlapic_cpu_lint(cpu, 1u << shift, true);
        vlapic_cpu_lint(cpu, (1u << shift) | 1u, true);
    }
    state_read(cpu, &after);
    assert_same_state(&before, &after);
    fake_vm_stop(&host);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pulse_is_seen_by_every_mode_but_extint),
        cmocka_unit_test(a_level_pulse_is_one_interrupt),
        cmocka_unit_test(a_pulse_on_lint1_of_a_disabled_apic_is_an_nmi),
        cmocka_unit_test(other_pins_do_not_exist),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
