/* SPDX-License-Identifier: BSD-2-Clause */
/* Defects that the comparison with the oracle (tests/oracle) brought to light, each a test by itself. */
#include "fake_host.h"

static struct fake_vm fake;
static struct vlapic_poll duty;

static struct vlapic_cpu *start(unsigned cpus)
{
    fake_vm_prepare(&fake, VLAPIC_VENDOR_INTEL);
    fake_vm_start(&fake, cpus, NULL);
    return fake_cpu_at(&fake, cpus - 1);
}

static void send(enum vlapic_delivery delivery, uint8_t vector, uint32_t destination)
{
    const struct vlapic_message message = { .destination = destination, .delivery = delivery, .vector = vector };

    assert_int_equal(vlapic_vm_deliver(fake.vm, &message), 1);
}

static void sipi(uint8_t vector)
{
    guest_icr(fake_cpu_at(&fake, 0), 1u << 24, 0x4600u | vector);
}

/* NMI, SMI and ExtINT that were latched when the core took an INIT came up behind it. */
static void taking_an_init_wipes_latched_events(void **state)
{
    /* Intel SDM 3A, "Local APIC State After an INIT Reset" */
    (void)state;
    for (unsigned seen = 0; seen < 2; seen++) {
        struct vlapic_cpu *cpu = start(1);

        guest_software_enable(cpu);
        send(VLAPIC_DELIVERY_NMI, 0, 0);
        send(VLAPIC_DELIVERY_SMI, 0, 0);
        send(VLAPIC_DELIVERY_EXTINT, 0, 0);
        if (seen) {
            assert_int_equal(guest_read(cpu, VLAPIC_REG_SVR), 0x1FF); /* out of the mailbox, not reported */
        }
        vlapic_cpu_take_init(cpu);
        vlapic_cpu_poll(cpu, &duty);
        assert_false(duty.nmi || duty.smi || duty.extint_message);
        send(VLAPIC_DELIVERY_NMI, 0, 0); /* what comes after it is not touched */
        vlapic_cpu_poll(cpu, &duty);
        assert_true(duty.nmi);
        fake_vm_stop(&fake);
    }
}

/* The INIT of a pin voided a SIPI that came after it, if nobody had looked in between: the vCPU never started. */
static void a_sipi_after_an_init_by_pin_is_kept(void **state)
{
    /* Intel SDM 3A, "MP Initialization Protocol Algorithm for MP Systems" */
    struct vlapic_cpu *ap = start(2);

    (void)state;
    guest_software_enable(ap);
    guest_write(ap, VLAPIC_REG_LVT_LINT1, 0x500);
    vlapic_cpu_lint(ap, 1, true);
    sipi(0x9A);
    vlapic_cpu_poll(ap, &duty);
    assert_true(duty.init);
    vlapic_cpu_take_init(ap);
    vlapic_cpu_poll(ap, &duty);
    assert_true(duty.sipi);
    assert_int_equal(duty.sipi_vector, 0x9A);
    fake_vm_stop(&fake);
}

static void a_sipi_before_an_init_by_pin_is_void(void **state)
{
    /* Intel SDM 3A, "MP Initialization Protocol Algorithm for MP Systems" */
    struct vlapic_cpu *ap = start(2);

    (void)state;
    guest_software_enable(ap);
    guest_write(ap, VLAPIC_REG_LVT_LINT1, 0x500);
    sipi(0x9A);
    assert_int_equal(guest_read(ap, VLAPIC_REG_TPR), 0); /* looked at */
    vlapic_cpu_lint(ap, 1, true);
    vlapic_cpu_poll(ap, &duty);
    assert_true(duty.init);
    vlapic_cpu_take_init(ap);
    vlapic_cpu_poll(ap, &duty);
    assert_true(duty.wait_for_sipi && !duty.sipi);
    fake_vm_stop(&fake);
}

/* INIT and SIPI came before the same poll: who went to sleep after taking the INIT slept for ever. */
static void a_sipi_latched_before_the_init_is_taken_ends_the_sleep(void **state)
{
    /* Library: vlapic_cpu_halt() */
    struct vlapic_cpu *ap = start(2);

    (void)state;
    send(VLAPIC_DELIVERY_INIT, 0, 1);
    sipi(0x9A);
    vlapic_cpu_poll(ap, &duty);
    assert_true(duty.init && !duty.sipi);
    vlapic_cpu_take_init(ap);
    assert_false(vlapic_cpu_halt(ap));
    vlapic_cpu_poll(ap, &duty);
    assert_true(duty.sipi);
    assert_true(vlapic_cpu_halt(ap));
    fake_vm_stop(&fake);
}

/* With the catch-up policy "rebase" the next period was short by what had passed of the input clock: most of a second at 1 Hz. */
static void a_rebased_period_is_a_whole_one(void **state)
{
    /* Library: VLAPIC_CATCH_UP_REBASE */
    uint64_t expiry = 0;
    struct vlapic_cpu *cpu;

    (void)state;
    fake_vm_prepare(&fake, VLAPIC_VENDOR_INTEL);
    fake.config.timer_hz = 1;
    fake.config.catch_up = VLAPIC_CATCH_UP_REBASE;
    fake_vm_start(&fake, 1, NULL);
    cpu = fake_cpu_at(&fake, 0);
    guest_software_enable(cpu);
    guest_write(cpu, VLAPIC_REG_DIVIDE_CONFIG, 0xB);
    guest_write(cpu, VLAPIC_REG_LVT_TIMER, VLAPIC_LVT_TIMER_PERIODIC | 0x41);
    guest_write(cpu, VLAPIC_REG_INITIAL_COUNT, 2);
    fake_set_ns(&fake, 5900000000); /* two periods and 1.9 seconds */
    vlapic_cpu_timer_expired(cpu);
    assert_int_equal(take_vector(cpu), 0x41);
    assert_true(vlapic_cpu_next_expiry(cpu, &expiry));
    assert_true(expiry == 7900000000);
    assert_int_equal(guest_read(cpu, VLAPIC_REG_CURRENT_COUNT), 2);
    fake_set_ns(&fake, 7899999999);
    assert_int_equal(guest_read(cpu, VLAPIC_REG_CURRENT_COUNT), 1);
    vlapic_cpu_timer_expired(cpu);
    assert_int_equal(poll_vector(cpu), -1);
    fake_set_ns(&fake, 7900000000);
    vlapic_cpu_timer_expired(cpu);
    guest_eoi(cpu);
    assert_int_equal(poll_vector(cpu), 0x41);
    fake_vm_stop(&fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(taking_an_init_wipes_latched_events),
        cmocka_unit_test(a_sipi_after_an_init_by_pin_is_kept),
        cmocka_unit_test(a_sipi_before_an_init_by_pin_is_void),
        cmocka_unit_test(a_sipi_latched_before_the_init_is_taken_ends_the_sleep),
        cmocka_unit_test(a_rebased_period_is_a_whole_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
