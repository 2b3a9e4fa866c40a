/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * EOI: what it clears, whom it tells, and that it may come to the same APIC again from within.
 */
#include "fake_host.h"
#include "reception.h"
#include "state_helpers.h"

static struct fake_vm host;

static struct vlapic_cpu *start(bool x2apic)
{
    if (x2apic)
        fake_one_x2apic_cpu(&host, VLAPIC_VENDOR_INTEL);
    else
        fake_one_cpu(&host, VLAPIC_VENDOR_INTEL);
    return fake_cpu_at(&host, 0);
}

static void serve(struct vlapic_cpu *cpu, uint8_t vector, bool level)
{
    assert_true(vlapic_cpu_post(cpu, vector, level));
    assert_int_equal(take_vector(cpu), vector);
}

static bool isr(struct vlapic_cpu *cpu, uint8_t vector)
{
    return guest_bit(cpu, VLAPIC_REG_ISR, vector);
}

/* ---- what an EOI clears ---- */

static void eoi_ends_the_highest_vector_in_service(void **unused)
{
    /* Intel SDM 3A, "Signaling Interrupt Servicing Completion": nested handlers end innermost first */
    static const uint8_t nested[] = { 0x1F, 0x20, 0x3A, 0x41, 0x5C, 0x7F, 0x80, 0x92, 0xBF, 0xC0, 0xDD, 0xE4, 0xF0 };

    (void)unused;
    for (unsigned x2apic = 0; x2apic < 2; x2apic++) {
        struct vlapic_cpu *cpu = start(x2apic);
        size_t n = sizeof nested;

        for (size_t i = 0; i < n; i++)
            serve(cpu, nested[i], false);
        for (size_t i = n; i-- > 0;) {
            assert_true(isr(cpu, nested[i]));
            guest_eoi(cpu);
            assert_false(isr(cpu, nested[i]));
            for (size_t j = 0; j < i; j++)
                assert_true(isr(cpu, nested[j]));
        }
        fake_vm_stop(&host);
    }
}

static void eoi_goes_by_priority_not_by_order_of_delivery(void **unused)
{
    /* Intel SDM 3A, "Signaling Interrupt Servicing Completion": two of one class in service, as a load can leave them */
    struct vlapic_cpu *cpu = start(false);
    struct vlapic_cpu_state state;

    (void)unused;
    serve(cpu, 0x53, false);
    assert_int_equal(vlapic_cpu_get_state(cpu, &state, sizeof state), VLAPIC_OK);
    state.isr[2] |= 1u << 0x11;
    assert_int_equal(vlapic_cpu_set_state(cpu, &state, VLAPIC_TIME_STOPPED, NULL), VLAPIC_OK);
    guest_eoi(cpu);
    assert_true(isr(cpu, 0x51) && !isr(cpu, 0x53));
    guest_eoi(cpu);
    assert_false(isr(cpu, 0x51));
    fake_vm_stop(&host);
}

static void eoi_lets_the_next_vector_through(void **unused)
{
    /* Intel SDM 3A, "Signaling Interrupt Servicing Completion": dispatch is looked at again */
    struct vlapic_cpu *cpu = start(false);

    (void)unused;
    serve(cpu, 0x80, false);
    assert_true(vlapic_cpu_post(cpu, 0x81, false));
    assert_true(vlapic_cpu_post(cpu, 0x22, false));
    assert_int_equal(poll_vector(cpu), -1);
    guest_eoi(cpu);
    assert_int_equal(take_vector(cpu), 0x81);
    guest_eoi(cpu);
    assert_int_equal(take_vector(cpu), 0x22);
    fake_vm_stop(&host);
}

static void eoi_with_nothing_in_service_does_nothing(void **unused)
{
    /* Intel SDM 3A, "Signaling Interrupt Servicing Completion": no broadcast, no error */
    (void)unused;
    for (unsigned x2apic = 0; x2apic < 2; x2apic++) {
        struct vlapic_cpu *cpu = start(x2apic);
        struct vlapic_cpu_stats stats;

        assert_true(vlapic_cpu_post(cpu, 0x66, true));
        assert_int_equal(poll_vector(cpu), 0x66);
        fake_forget(&host);
        guest_eoi(cpu);
        guest_eoi(cpu);
        assert_int_equal(host.call_count, 0);
        assert_true(guest_bit(cpu, VLAPIC_REG_IRR, 0x66));
        assert_true(guest_bit(cpu, VLAPIC_REG_TMR, 0x66));
        assert_int_equal(guest_esr(cpu), 0);
        assert_int_equal(vlapic_cpu_get_stats(cpu, &stats, sizeof stats), VLAPIC_OK);
        assert_int_equal(stats.empty_eois, 2);
        assert_int_equal(stats.eois, 0);
        fake_vm_stop(&host);
    }
}

static void eoi_value_is_ignored_in_xapic_mode(void **unused)
{
    /* Intel SDM 3A, "Signaling Interrupt Servicing Completion": any value ends the highest vector */
    static const uint32_t values[] = { 0, 1, 0x31, 0xFF, 0x80000000, 0xFFFFFFFF };
    struct vlapic_cpu *cpu = start(false);

    (void)unused;
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        serve(cpu, 0x31, false);
        guest_write(cpu, VLAPIC_REG_EOI, values[i]);
        assert_false(isr(cpu, 0x31));
        assert_int_equal(guest_read(cpu, VLAPIC_REG_EOI), 0);
    }
    fake_vm_stop(&host);
}

static void eoi_value_must_be_zero_in_x2apic_mode(void **unused)
{
    /* Intel SDM 3A, "Reserved Bit Checking": a fault changes nothing */
    struct vlapic_cpu *cpu = start(true);

    (void)unused;
    serve(cpu, 0x31, true);
    fake_forget(&host);
    for (unsigned bit = 0; bit < 64; bit++)
        guest_wrmsr_faults(cpu, VLAPIC_MSR_OF(VLAPIC_REG_EOI), 1ull << bit);
    assert_true(isr(cpu, 0x31));
    assert_int_equal(host.call_count, 0);
    guest_wrmsr(cpu, VLAPIC_MSR_OF(VLAPIC_REG_EOI), 0);
    assert_false(isr(cpu, 0x31));
    fake_vm_stop(&host);
}

static void eoi_works_while_software_disabled(void **unused)
{
    /* Intel SDM 3A, "Local APIC State After It Has Been Software Disabled" */
    struct vlapic_cpu *cpu = start(false);

    (void)unused;
    serve(cpu, 0x31, true);
    guest_set(cpu, VLAPIC_REG_SVR, 0xFF);
    fake_forget(&host);
    guest_eoi(cpu);
    assert_false(isr(cpu, 0x31));
    assert_int_equal(fake_count(&host, FAKE_EOI_BROADCAST), 1);
    fake_vm_stop(&host);
}

/* ---- whom it tells ---- */

static void eoi_of_every_level_vector_is_broadcast(void **unused)
{
    /* Intel SDM 3A, "Signaling Interrupt Servicing Completion": only if the vector's TMR bit is set; notify comes first */
    (void)unused;
    for (unsigned x2apic = 0; x2apic < 2; x2apic++) {
        struct vlapic_cpu *cpu = start(x2apic);

        for (uint32_t vector = 16; vector < 256; vector++)
            for (unsigned level = 0; level < 2; level++) {
                serve(cpu, (uint8_t)vector, level);
                fake_forget(&host);
                guest_eoi(cpu);
                assert_int_equal(host.call_count, 1 + level);
                assert_int_equal(host.calls[0].kind, FAKE_EOI_NOTIFY);
                assert_int_equal(host.calls[0].cpu, 0);
                assert_int_equal(host.calls[0].a, vector);
                assert_int_equal(host.calls[0].b, level);
                if (level) {
                    assert_int_equal(host.calls[1].kind, FAKE_EOI_BROADCAST);
                    assert_int_equal(host.calls[1].a, vector);
                }
            }
        fake_vm_stop(&host);
    }
}

static void tmr_is_kept_after_eoi(void **unused)
{
    /* Intel SDM 3A, "Interrupt Acceptance for Fixed Interrupts": TMR changes with the next acceptance alone */
    struct vlapic_cpu *cpu = start(false);

    (void)unused;
    for (uint32_t vector = 16; vector < 256; vector++) {
        serve(cpu, (uint8_t)vector, true);
        guest_eoi(cpu);
        assert_true(guest_bit(cpu, VLAPIC_REG_TMR, (uint8_t)vector));
        fake_forget(&host);
    }
    for (uint32_t vector = 16; vector < 256; vector++) {
        serve(cpu, (uint8_t)vector, false);
        guest_eoi(cpu);
        assert_false(guest_bit(cpu, VLAPIC_REG_TMR, (uint8_t)vector));
        assert_int_equal(fake_count(&host, FAKE_EOI_BROADCAST), 0);
        fake_forget(&host);
    }
    fake_vm_stop(&host);
}

static void broadcast_goes_by_tmr_at_the_time_of_the_eoi(void **unused)
{
    /* Intel SDM 3A, "Signaling Interrupt Servicing Completion": accepted again with the other trigger mode while in service */
    (void)unused;
    for (unsigned first = 0; first < 2; first++)
        for (unsigned second = 0; second < 2; second++) {
            struct vlapic_cpu *cpu = start(false);

            serve(cpu, 0x99, first);
            assert_true(vlapic_cpu_post(cpu, 0x99, second));
            fake_forget(&host);
            guest_eoi(cpu);
            assert_int_equal(fake_last(&host, FAKE_EOI_NOTIFY)->b, second);
            assert_int_equal(fake_count(&host, FAKE_EOI_BROADCAST), second);
            assert_int_equal(take_vector(cpu), 0x99);
            fake_forget(&host);
            guest_eoi(cpu);
            assert_int_equal(fake_count(&host, FAKE_EOI_BROADCAST), second);
            fake_vm_stop(&host);
        }
}

static void svr_bit_12_suppresses_the_broadcast_where_the_version_offers_it(void **unused)
{
    /* Intel SDM 3A, "Signaling Interrupt Servicing Completion": directed EOI; ISR is cleared all the same */
    (void)unused;
    for (unsigned x2apic = 0; x2apic < 2; x2apic++)
        for (unsigned offered = 0; offered < 2; offered++)
            for (unsigned wanted = 0; wanted < 2; wanted++)
                for (unsigned level = 0; level < 2; level++) {
                    struct vlapic_cpu *cpu;
                    uint32_t svr = wanted ? 0x11FF : 0x1FF;

                    fake_vm_prepare(&host, VLAPIC_VENDOR_INTEL);
                    host.config.eoi_suppression = offered;
                    fake_vm_start(&host, 1, NULL);
                    cpu = fake_cpu_at(&host, 0);
                    guest_write(cpu, VLAPIC_REG_SVR, svr);
                    if (x2apic)
                        guest_enable_x2apic(cpu);
                    serve(cpu, 0x48, level);
                    fake_forget(&host);
                    guest_eoi(cpu);
                    assert_false(isr(cpu, 0x48));
                    assert_int_equal(fake_count(&host, FAKE_EOI_NOTIFY), 1);
                    assert_int_equal(fake_last(&host, FAKE_EOI_NOTIFY)->b, level);
                    assert_int_equal(fake_count(&host, FAKE_EOI_BROADCAST), level && !(offered && wanted));
                    fake_vm_stop(&host);
                }
}

static void svr_bit_12_counts_as_it_stands_at_the_eoi(void **unused)
{
    /* Intel SDM 3A, "Signaling Interrupt Servicing Completion": not as it stood at acceptance */
    (void)unused;
    for (unsigned at_eoi = 0; at_eoi < 2; at_eoi++) {
        struct vlapic_cpu *cpu;

        fake_vm_prepare(&host, VLAPIC_VENDOR_INTEL);
        host.config.eoi_suppression = true;
        fake_vm_start(&host, 1, NULL);
        cpu = fake_cpu_at(&host, 0);
        guest_write(cpu, VLAPIC_REG_SVR, at_eoi ? 0x1FF : 0x11FF);
        serve(cpu, 0x48, true);
        guest_write(cpu, VLAPIC_REG_SVR, at_eoi ? 0x11FF : 0x1FF);
        fake_forget(&host);
        guest_eoi(cpu);
        assert_int_equal(fake_count(&host, FAKE_EOI_BROADCAST), !at_eoi);
        fake_vm_stop(&host);
    }
}

static void a_host_without_io_apic_or_listener_is_not_called(void **unused)
{
    /* Library: eoi_broadcast and eoi_notify may be NULL */
    struct vlapic_cpu *cpu;

    (void)unused;
    fake_vm_prepare(&host, VLAPIC_VENDOR_INTEL);
    host.ops.eoi_broadcast = NULL;
    host.ops.eoi_notify = NULL;
    fake_vm_start(&host, 1, NULL);
    cpu = fake_cpu_at(&host, 0);
    guest_software_enable(cpu);
    serve(cpu, 0x48, true);
    guest_eoi(cpu);
    assert_false(isr(cpu, 0x48));
    fake_vm_stop(&host);
}

static void the_spurious_vector_and_events_leave_nothing_to_end(void **unused)
{
    /* Intel SDM 3A, "Spurious Interrupt" and "Signaling Interrupt Servicing Completion": no EOI but for Fixed */
    struct vlapic_cpu *cpu = start(false);
    struct vlapic_message message = { .delivery = VLAPIC_DELIVERY_NMI };
    uint8_t vector;

    (void)unused;
    serve(cpu, 0x31, false);
    assert_int_equal(vlapic_vm_deliver(host.vm, &message), 1);
    message.delivery = VLAPIC_DELIVERY_EXTINT;
    assert_int_equal(vlapic_vm_deliver(host.vm, &message), 1);
    assert_int_equal(poll_vector(cpu), -1);
    assert_false(vlapic_cpu_acknowledge(cpu, &vector));
    assert_int_equal(guest_get(cpu, VLAPIC_REG_PPR), 0x30);
    guest_eoi(cpu);
    assert_int_equal(guest_get(cpu, VLAPIC_REG_PPR), 0);
    fake_vm_stop(&host);
}

/* ---- from within the broadcast ---- */

static unsigned resends;
static uint8_t resent_vector;

static void line_is_still_high(struct fake_vm *f, uint8_t vector)
{
    struct vlapic_message message = { .vector = resent_vector ? resent_vector : vector, .level = true };

    if (!resends)
        return;
    resends--;
    assert_int_equal(vlapic_vm_deliver(f->vm, &message), 1);
}

static void an_io_apic_may_send_the_vector_again_at_once(void **unused)
{
    /* Intel SDM 3A, "Signaling Interrupt Servicing Completion": ISR is updated before the I/O APIC hears of it */
    (void)unused;
    for (unsigned x2apic = 0; x2apic < 2; x2apic++) {
        struct vlapic_cpu *cpu = start(x2apic);

        host.on_eoi_broadcast = line_is_still_high;
        resent_vector = 0;
        resends = 3;
        serve(cpu, 0x73, true);
        for (unsigned i = 0; i < 3; i++) {
            guest_eoi(cpu);
            assert_false(isr(cpu, 0x73));
            assert_true(guest_bit(cpu, VLAPIC_REG_IRR, 0x73));
            assert_int_equal(take_vector(cpu), 0x73);
        }
        fake_forget(&host);
        guest_eoi(cpu);
        assert_int_equal(fake_count(&host, FAKE_EOI_BROADCAST), 1);
        assert_received_nothing(cpu, "line low");
        fake_vm_stop(&host);
    }
}

static void a_vector_sent_from_the_broadcast_meets_the_new_priority(void **unused)
{
    /* Intel SDM 3A, "Signaling Interrupt Servicing Completion": an outer handler may still hold it back */
    struct vlapic_cpu *cpu = start(false);

    (void)unused;
    host.on_eoi_broadcast = line_is_still_high;
    resent_vector = 0x35;
    resends = 1;
    serve(cpu, 0x31, false);
    serve(cpu, 0x73, true);
    guest_eoi(cpu);
    assert_true(guest_bit(cpu, VLAPIC_REG_IRR, 0x35));
    assert_int_equal(poll_vector(cpu), -1);
    guest_eoi(cpu);
    assert_int_equal(take_vector(cpu), 0x35);
    resent_vector = 0;
    guest_eoi(cpu);
    fake_vm_stop(&host);
}

static void the_broadcast_may_reach_another_vcpu(void **unused)
{
    /* Library: everything ctx_any of any vCPU may be called from the callback */
    struct vlapic_cpu *cpu, *other;

    (void)unused;
    fake_vm_prepare(&host, VLAPIC_VENDOR_INTEL);
    fake_vm_start(&host, 2, NULL);
    cpu = fake_cpu_at(&host, 0);
    other = fake_cpu_at(&host, 1);
    start_aps(&host);
    guest_software_enable(cpu);
    guest_software_enable(other);
    host.on_eoi_broadcast = line_is_still_high;
    resent_vector = 0;
    resends = 1;
    serve(other, 0x73, true);
    guest_eoi(other);
    assert_int_equal(take_vector(cpu), 0x73);
    assert_int_equal(poll_vector(other), -1);
    fake_vm_stop(&host);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(eoi_ends_the_highest_vector_in_service),
        cmocka_unit_test(eoi_goes_by_priority_not_by_order_of_delivery),
        cmocka_unit_test(eoi_lets_the_next_vector_through),
        cmocka_unit_test(eoi_with_nothing_in_service_does_nothing),
        cmocka_unit_test(eoi_value_is_ignored_in_xapic_mode),
        cmocka_unit_test(eoi_value_must_be_zero_in_x2apic_mode),
        cmocka_unit_test(eoi_works_while_software_disabled),
        cmocka_unit_test(eoi_of_every_level_vector_is_broadcast),
        cmocka_unit_test(tmr_is_kept_after_eoi),
        cmocka_unit_test(broadcast_goes_by_tmr_at_the_time_of_the_eoi),
        cmocka_unit_test(svr_bit_12_suppresses_the_broadcast_where_the_version_offers_it),
        cmocka_unit_test(svr_bit_12_counts_as_it_stands_at_the_eoi),
        cmocka_unit_test(a_host_without_io_apic_or_listener_is_not_called),
        cmocka_unit_test(the_spurious_vector_and_events_leave_nothing_to_end),
        cmocka_unit_test(an_io_apic_may_send_the_vector_again_at_once),
        cmocka_unit_test(a_vector_sent_from_the_broadcast_meets_the_new_priority),
        cmocka_unit_test(the_broadcast_may_reach_another_vcpu),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
