/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Acceptance of Fixed messages: IRR, ISR and TMR, the two steps of taking a vector, the acknowledge cycle.
 */
#include "fake_host.h"
#include "posting_backend.h"
#include "reception.h"

static struct fake_vm host;

static struct vlapic_cpu *start(bool x2apic)
{
    if (x2apic)
        fake_one_x2apic_cpu(&host, VLAPIC_VENDOR_INTEL);
    else
        fake_one_cpu(&host, VLAPIC_VENDOR_INTEL);
    return fake_cpu_at(&host, 0);
}

static bool irr(struct vlapic_cpu *cpu, uint8_t vector)
{
    return guest_bit(cpu, VLAPIC_REG_IRR, vector);
}

static bool isr(struct vlapic_cpu *cpu, uint8_t vector)
{
    return guest_bit(cpu, VLAPIC_REG_ISR, vector);
}

static bool tmr(struct vlapic_cpu *cpu, uint8_t vector)
{
    return guest_bit(cpu, VLAPIC_REG_TMR, vector);
}

static unsigned deliveries(struct vlapic_cpu *cpu, uint8_t vector)
{
    unsigned count = 0;

    while (take_vector(cpu) == vector) {
        count++;
        guest_eoi(cpu);
    }
    return count;
}

/* ---- the same vector again ---- */

static void a_vector_pending_already_merges(void **unused)
{
    /* Intel SDM 3A, "Interrupt Acceptance for Fixed Interrupts": IRR has one bit a vector */
    (void)unused;
    for (unsigned merged = 0; merged < 2; merged++) {
        struct vlapic_cpu *cpu = start(false);

        assert_true(vlapic_cpu_post(cpu, 0x61, false));
        if (merged)
            assert_int_equal(poll_vector(cpu), 0x61);
        assert_true(vlapic_cpu_post(cpu, 0x61, false));
        assert_true(vlapic_cpu_post(cpu, 0x61, false));
        assert_int_equal(deliveries(cpu, 0x61), 1);
        fake_vm_stop(&host);
    }
}

static void a_vector_in_service_is_requested_again(void **unused)
{
    /* Intel SDM 3A, "Interrupt Acceptance for Fixed Interrupts": one in service, one requested */
    struct vlapic_cpu *cpu = start(false);

    (void)unused;
    assert_true(vlapic_cpu_post(cpu, 0x61, false));
    assert_int_equal(take_vector(cpu), 0x61);
    assert_true(vlapic_cpu_post(cpu, 0x61, false));
    assert_true(irr(cpu, 0x61) && isr(cpu, 0x61));
    assert_int_equal(poll_vector(cpu), -1);
    guest_eoi(cpu);
    assert_true(irr(cpu, 0x61) && !isr(cpu, 0x61));
    assert_int_equal(deliveries(cpu, 0x61), 1);
    fake_vm_stop(&host);
}

static void at_most_two_of_a_vector_are_held(void **unused)
{
    /* Intel SDM 3A, "Interrupt Acceptance for Fixed Interrupts": in service and requested: a third merges */
    struct vlapic_cpu *cpu = start(true);

    (void)unused;
    assert_true(vlapic_cpu_post(cpu, 0xFE, false));
    assert_int_equal(take_vector(cpu), 0xFE);
    for (unsigned i = 0; i < 5; i++) {
        assert_true(vlapic_cpu_post(cpu, 0xFE, false));
        assert_int_equal(poll_vector(cpu), -1);
    }
    guest_eoi(cpu);
    assert_int_equal(deliveries(cpu, 0xFE), 1);
    fake_vm_stop(&host);
}

/* ---- TMR ---- */

enum stage { IDLE, POSTED, REQUESTED, SERVED, BOTH };

static void bring_to(struct vlapic_cpu *cpu, enum stage stage, uint8_t vector, bool level)
{
    if (stage == IDLE) {
        assert_true(vlapic_cpu_post(cpu, vector, level));
        assert_int_equal(take_vector(cpu), vector);
        guest_eoi(cpu);
        return;
    }
    assert_true(vlapic_cpu_post(cpu, vector, level));
    if (stage >= REQUESTED)
        assert_int_equal(poll_vector(cpu), vector);
    if (stage >= SERVED)
        assert_int_equal(take_vector(cpu), vector);
    if (stage == BOTH) {
        assert_true(vlapic_cpu_post(cpu, vector, level));
        assert_int_equal(poll_vector(cpu), -1);
    }
}

static void every_accept_rewrites_tmr(void **unused)
{
    /* Intel SDM 3A, "Interrupt Acceptance for Fixed Interrupts": TMR := trigger mode, whatever IRR and ISR hold */
    static const uint8_t vectors[] = { 0x10, 0x3F, 0x40, 0x9F, 0xFF };

    (void)unused;
    for (enum stage stage = IDLE; stage <= BOTH; stage++)
        for (unsigned first = 0; first < 2; first++)
            for (unsigned second = 0; second < 2; second++)
                for (size_t i = 0; i < sizeof vectors; i++) {
                    struct vlapic_cpu *cpu = start(i & 1);
                    uint8_t v = vectors[i];

                    bring_to(cpu, stage, v, first);
                    assert_int_equal(tmr(cpu, v), first);
                    assert_true(vlapic_cpu_post(cpu, v, second));
                    assert_int_equal(tmr(cpu, v), second);
                    assert_true(irr(cpu, v));
                    assert_int_equal(isr(cpu, v), stage >= SERVED);
                    fake_vm_stop(&host);
                }
}

static void a_vector_posted_twice_before_a_look_has_the_later_trigger_mode(void **unused)
{
    /* Intel SDM 3A, "Interrupt Acceptance for Fixed Interrupts": messages count in the order they come */
    (void)unused;
    for (unsigned modes = 0; modes < 8; modes++) {
        struct vlapic_cpu *cpu = start(false);

        for (unsigned i = 0; i < 3; i++)
            assert_true(vlapic_cpu_post(cpu, 0x71, modes >> i & 1));
        assert_int_equal(take_vector(cpu), 0x71);
        assert_int_equal(tmr(cpu, 0x71), modes >> 2 & 1);
        fake_vm_stop(&host);
    }
}

static void acceptance_touches_no_other_vector(void **unused)
{
    /* Intel SDM 3A, "Interrupt Acceptance for Fixed Interrupts" */
    struct vlapic_cpu *cpu = start(false);

    (void)unused;
    assert_true(vlapic_cpu_post(cpu, 0x62, true));
    assert_true(vlapic_cpu_post(cpu, 0x61, false));
    assert_int_equal(guest_get(cpu, VLAPIC_REG_IRR + 3 * 16), 0x6);
    assert_int_equal(guest_get(cpu, VLAPIC_REG_TMR + 3 * 16), 0x4);
    assert_true(vlapic_cpu_post(cpu, 0x61, true));
    assert_true(vlapic_cpu_post(cpu, 0x62, false));
    assert_int_equal(guest_get(cpu, VLAPIC_REG_IRR + 3 * 16), 0x6);
    assert_int_equal(guest_get(cpu, VLAPIC_REG_TMR + 3 * 16), 0x2);
    fake_vm_stop(&host);
}

/* ---- what is not accepted ---- */

static void vectors_below_16_are_an_error(void **unused)
{
    /* Intel SDM 3A, "Valid Interrupt Vectors": receive illegal vector; IRR unchanged */
    (void)unused;
    for (unsigned level = 0; level < 2; level++) {
        struct vlapic_cpu *cpu = start(level);

        for (uint32_t vector = 0; vector < 16; vector++) {
            assert_false(vlapic_cpu_post(cpu, (uint8_t)vector, level));
            assert_int_equal(poll_vector(cpu), -1);
            assert_int_equal(guest_get(cpu, VLAPIC_REG_IRR), 0);
            assert_int_equal(guest_get(cpu, VLAPIC_REG_TMR), 0);
            assert_int_equal(guest_esr(cpu), VLAPIC_ESR_RECEIVE_ILLEGAL_VECTOR);
            assert_int_equal(guest_esr(cpu), 0);
        }
        fake_vm_stop(&host);
    }
}

static void a_software_disabled_apic_drops_without_an_error(void **unused)
{
    /* Intel SDM 3A, "Local APIC State After It Has Been Software Disabled": not even for an illegal vector */
    struct vlapic_cpu *cpu = start(false);

    (void)unused;
    guest_set(cpu, VLAPIC_REG_SVR, 0xFF);
    for (uint32_t vector = 0; vector < 256; vector++)
        assert_false(vlapic_cpu_post(cpu, (uint8_t)vector, vector & 1));
    assert_int_equal(guest_esr(cpu), 0);
    guest_software_enable(cpu);
    assert_received_nothing(cpu, "after enabling");
    fake_vm_stop(&host);
}

static void a_disabled_apic_drops(void **unused)
{
    /* Intel SDM 3A, "Enabling or Disabling the Local APIC": messages are dropped, never queued */
    struct vlapic_cpu *cpu = start(false);

    (void)unused;
    guest_disable_apic(cpu);
    for (uint32_t vector = 0; vector < 256; vector++)
        assert_false(vlapic_cpu_post(cpu, (uint8_t)vector, vector & 1));
    assert_int_equal(poll_vector(cpu), -1);
    guest_enable_xapic(cpu);
    guest_software_enable(cpu);
    assert_received_nothing(cpu, "after enabling");
    fake_vm_stop(&host);
}

static void a_request_accepted_before_software_disable_is_kept(void **unused)
{
    /* Intel SDM 3A, "Local APIC State After It Has Been Software Disabled": IRR and ISR are held and still dispatched */
    (void)unused;
    for (unsigned merged = 0; merged < 2; merged++) {
        struct vlapic_cpu *cpu = start(false);

        assert_true(vlapic_cpu_post(cpu, 0x84, true));
        if (merged)
            assert_int_equal(poll_vector(cpu), 0x84);
        guest_set(cpu, VLAPIC_REG_SVR, 0xFF);
        assert_true(irr(cpu, 0x84));
        assert_int_equal(take_vector(cpu), 0x84);
        assert_true(isr(cpu, 0x84));
        guest_eoi(cpu);
        assert_false(isr(cpu, 0x84));
        assert_int_equal(fake_last(&host, FAKE_EOI_BROADCAST)->a, 0x84);
        fake_vm_stop(&host);
    }
}

static void level_de_assert_messages_are_dropped_unchecked(void **unused)
{
    /* Intel SDM 3A, "Message Data Register Format": level, de-assert has no effect; the vector is not looked at */
    struct vlapic_cpu *cpu = start(false);

    (void)unused;
    for (uint32_t vector = 0; vector < 256; vector++) {
        struct vlapic_message message = { .vector = (uint8_t)vector, .level = true, .deassert = true };

        assert_int_equal(vlapic_vm_deliver(host.vm, &message), 0);
        message.delivery = VLAPIC_DELIVERY_LOWEST;
        assert_int_equal(vlapic_vm_deliver(host.vm, &message), 0);
    }
    assert_received_nothing(cpu, "de-assert");
    fake_vm_stop(&host);
}

static void de_assert_means_nothing_on_an_edge(void **unused)
{
    /* Intel SDM 3A, "Message Data Register Format": the level bit matters for level triggered messages alone */
    struct vlapic_cpu *cpu = start(false);
    struct vlapic_message message = { .vector = 0x51, .deassert = true };

    (void)unused;
    assert_int_equal(vlapic_vm_deliver(host.vm, &message), 1);
    assert_received(cpu, (struct reception){ .vectors = 1, .vector = 0x51 }, "edge");
    fake_vm_stop(&host);
}

static void nmi_smi_init_and_extint_pass_by_irr(void **unused)
{
    /* Intel SDM 3A, "Interrupt Acceptance for Fixed Interrupts": other delivery modes do not use IRR, ISR and TMR */
    static const enum vlapic_delivery modes[] = { VLAPIC_DELIVERY_SMI, VLAPIC_DELIVERY_NMI, VLAPIC_DELIVERY_INIT,
                                                  VLAPIC_DELIVERY_EXTINT };
    struct vlapic_cpu *cpu = start(false);

    (void)unused;
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++)
        for (uint32_t vector = 0; vector < 256; vector += 5) {
            struct vlapic_message message = { .delivery = modes[i], .vector = (uint8_t)vector, .level = vector & 1 };
            struct reception expected = { .smi = i == 0, .nmi = i == 1, .init = i == 2, .extint = i == 3 };

            assert_int_equal(vlapic_vm_deliver(host.vm, &message), 1);
            assert_received(cpu, expected, "event");
            for (uint32_t word = 0; word < 8; word++) {
                assert_int_equal(guest_get(cpu, VLAPIC_REG_IRR + word * 16), 0);
                assert_int_equal(guest_get(cpu, VLAPIC_REG_TMR + word * 16), 0);
            }
        }
    fake_vm_stop(&host);
}

/* ---- taking a vector in two steps ---- */

static void an_offer_alone_changes_nothing(void **unused)
{
    /* Intel SDM 3A, "Interrupt Acceptance for Fixed Interrupts": IRR to ISR when the processor takes it, not before */
    struct vlapic_cpu *cpu = start(false);
    struct vlapic_cpu_stats stats;

    (void)unused;
    assert_true(vlapic_cpu_post(cpu, 0x45, false));
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(poll_vector(cpu), 0x45);
    assert_true(irr(cpu, 0x45) && !isr(cpu, 0x45));
    assert_int_equal(guest_get(cpu, VLAPIC_REG_PPR), 0);
    assert_int_equal(vlapic_cpu_get_stats(cpu, &stats, sizeof stats), VLAPIC_OK);
    assert_int_equal(stats.accepts, 0);
    assert_true(vlapic_cpu_accept(cpu, 0x45));
    assert_int_equal(vlapic_cpu_get_stats(cpu, &stats, sizeof stats), VLAPIC_OK);
    assert_int_equal(stats.accepts, 1);
    fake_vm_stop(&host);
}

static void accept_refuses_what_is_not_deliverable(void **unused)
{
    /* Intel SDM 3A, "Interrupt Acceptance for Fixed Interrupts": not requested, or not above the processor priority */
    struct vlapic_cpu *cpu = start(false);

    (void)unused;
    for (uint32_t vector = 16; vector < 256; vector++)
        assert_false(vlapic_cpu_accept(cpu, (uint8_t)vector));

    assert_true(vlapic_cpu_post(cpu, 0x64, false));
    assert_int_equal(poll_vector(cpu), 0x64);
    guest_set(cpu, VLAPIC_REG_TPR, 0x60);
    assert_false(vlapic_cpu_accept(cpu, 0x64));
    assert_true(irr(cpu, 0x64) && !isr(cpu, 0x64));
    guest_set(cpu, VLAPIC_REG_TPR, 0);

    assert_true(vlapic_cpu_accept(cpu, 0x64));
    assert_false(vlapic_cpu_accept(cpu, 0x64));
    assert_true(vlapic_cpu_post(cpu, 0x63, false));
    assert_int_equal(poll_vector(cpu), -1);
    assert_false(vlapic_cpu_accept(cpu, 0x63));
    assert_true(irr(cpu, 0x63) && isr(cpu, 0x64));
    fake_vm_stop(&host);
}

static void an_offered_vector_can_be_taken_though_a_higher_one_came(void **unused)
{
    /* Library: what arrives between poll and accept waits for the next poll */
    struct vlapic_cpu *cpu = start(false);

    (void)unused;
    assert_true(vlapic_cpu_post(cpu, 0x41, false));
    assert_int_equal(poll_vector(cpu), 0x41);
    assert_true(vlapic_cpu_post(cpu, 0xA1, false));
    assert_true(vlapic_cpu_accept(cpu, 0x41));
    assert_int_equal(take_vector(cpu), 0xA1);
    guest_eoi(cpu);
    guest_eoi(cpu);
    assert_received_nothing(cpu, "all taken");
    fake_vm_stop(&host);
}

static void unaccept_gives_the_vector_back(void **unused)
{
    /* Library: a cancelled guest entry loses nothing; ISR to IRR, TMR stays */
    (void)unused;
    for (unsigned level = 0; level < 2; level++) {
        struct vlapic_cpu *cpu = start(level);

        for (uint32_t vector = 16; vector < 256; vector++) {
            uint8_t v = (uint8_t)vector;

            assert_true(vlapic_cpu_post(cpu, v, level));
            assert_int_equal(take_vector(cpu), vector);
            assert_true(vlapic_cpu_unaccept(cpu, v));
            assert_true(irr(cpu, v) && !isr(cpu, v));
            assert_int_equal(tmr(cpu, v), level);
            assert_int_equal(guest_get(cpu, VLAPIC_REG_PPR), 0);
            assert_int_equal(take_vector(cpu), vector);
            guest_eoi(cpu);
            assert_int_equal(poll_vector(cpu), -1);
            fake_forget(&host);
        }
        fake_vm_stop(&host);
    }
}

static void unaccept_under_a_nested_vector_keeps_that_one_in_service(void **unused)
{
    /* Library: unaccept names the vector; PPR follows */
    struct vlapic_cpu *cpu = start(false);

    (void)unused;
    assert_true(vlapic_cpu_post(cpu, 0x31, false));
    assert_int_equal(take_vector(cpu), 0x31);
    assert_true(vlapic_cpu_post(cpu, 0x81, false));
    assert_int_equal(take_vector(cpu), 0x81);
    assert_true(vlapic_cpu_unaccept(cpu, 0x81));
    assert_int_equal(guest_get(cpu, VLAPIC_REG_PPR), 0x30);
    assert_int_equal(take_vector(cpu), 0x81);
    assert_true(vlapic_cpu_unaccept(cpu, 0x31));
    assert_int_equal(guest_get(cpu, VLAPIC_REG_PPR), 0x80);
    assert_int_equal(poll_vector(cpu), -1);
    guest_eoi(cpu);
    assert_int_equal(take_vector(cpu), 0x31);
    fake_vm_stop(&host);
}

static void unaccept_merges_with_a_new_request(void **unused)
{
    /* Library: IRR has one bit a vector; a newer trigger mode stands */
    struct vlapic_cpu *cpu = start(false);

    (void)unused;
    assert_true(vlapic_cpu_post(cpu, 0x31, false));
    assert_int_equal(take_vector(cpu), 0x31);
    assert_true(vlapic_cpu_post(cpu, 0x31, true));
    assert_true(vlapic_cpu_unaccept(cpu, 0x31));
    assert_true(tmr(cpu, 0x31));
    assert_int_equal(deliveries(cpu, 0x31), 1);
    fake_vm_stop(&host);
}

static void unaccept_refuses_what_is_not_in_service(void **unused)
{
    /* Library: false, and nothing changed */
    struct vlapic_cpu *cpu = start(false);

    (void)unused;
    assert_true(vlapic_cpu_post(cpu, 0x77, false));
    assert_int_equal(poll_vector(cpu), 0x77);
    for (uint32_t vector = 16; vector < 256; vector++)
        assert_false(vlapic_cpu_unaccept(cpu, (uint8_t)vector));
    assert_true(irr(cpu, 0x77) && !isr(cpu, 0x77));
    assert_false(irr(cpu, 0x76));
    fake_vm_stop(&host);
}

/* ---- acknowledge ---- */

static void acknowledge_takes_the_highest_vector(void **unused)
{
    /* Intel SDM 3A, "Spurious Interrupt": INTA with something dispatchable */
    struct vlapic_cpu *cpu = start(false);
    uint8_t vector = 0;

    (void)unused;
    assert_true(vlapic_cpu_post(cpu, 0x53, false));
    assert_true(vlapic_cpu_post(cpu, 0x64, false));
    assert_int_equal(poll_vector(cpu), 0x64);
    assert_true(vlapic_cpu_acknowledge(cpu, &vector));
    assert_int_equal(vector, 0x64);
    assert_true(isr(cpu, 0x64) && !irr(cpu, 0x64));
    assert_false(vlapic_cpu_acknowledge(cpu, &vector));
    assert_int_equal(vector, 0xFF);
    guest_eoi(cpu);
    assert_true(vlapic_cpu_acknowledge(cpu, &vector));
    assert_int_equal(vector, 0x53);
    fake_vm_stop(&host);
}

static void acknowledge_without_a_request_gives_the_spurious_vector(void **unused)
{
    /* Intel SDM 3A, "Spurious Interrupt": SVR bits 7:0 as they are, ISR is not set, no EOI is due */
    (void)unused;
    for (unsigned enabled = 0; enabled < 2; enabled++) {
        struct vlapic_cpu *cpu = start(enabled);
        struct vlapic_cpu_stats stats;

        for (uint32_t spurious = 0; spurious < 256; spurious++) {
            uint8_t vector = (uint8_t)~spurious;

            guest_set(cpu, VLAPIC_REG_SVR, enabled << 8 | spurious);
            assert_false(vlapic_cpu_acknowledge(cpu, &vector));
            assert_int_equal(vector, spurious);
            for (uint32_t word = 0; word < 8; word++)
                assert_int_equal(guest_get(cpu, VLAPIC_REG_ISR + word * 16), 0);
        }
        assert_int_equal(guest_esr(cpu), 0);
        assert_int_equal(vlapic_cpu_get_stats(cpu, &stats, sizeof stats), VLAPIC_OK);
        assert_int_equal(stats.spurious, 256);
        assert_int_equal(stats.accepts, 0);
        fake_vm_stop(&host);
    }
}

static void a_request_that_tpr_shut_out_meanwhile_is_spurious(void **unused)
{
    /* Intel SDM 3A, "Spurious Interrupt": TPR raised between INTR and INTA; the request stays */
    struct vlapic_cpu *cpu = start(false);
    uint8_t vector = 0;

    (void)unused;
    assert_true(vlapic_cpu_post(cpu, 0x53, false));
    assert_int_equal(poll_vector(cpu), 0x53);
    assert_int_equal(vlapic_cpu_cr8_write(cpu, 5), VLAPIC_ACCESS_DONE);
    assert_false(vlapic_cpu_acknowledge(cpu, &vector));
    assert_int_equal(vector, 0xFF);
    assert_true(irr(cpu, 0x53) && !isr(cpu, 0x53));
    assert_int_equal(vlapic_cpu_cr8_write(cpu, 4), VLAPIC_ACCESS_DONE);
    assert_true(vlapic_cpu_acknowledge(cpu, &vector));
    assert_int_equal(vector, 0x53);
    fake_vm_stop(&host);
}

static void a_fixed_interrupt_on_the_spurious_vector_is_an_ordinary_one(void **unused)
{
    /* Intel SDM 3A, "Spurious Interrupt": vector equal to SVR bits 7:0: ISR set, EOI due */
    struct vlapic_cpu *cpu = start(false);
    uint8_t vector = 0;

    (void)unused;
    assert_true(vlapic_cpu_post(cpu, 0xFF, false));
    assert_true(vlapic_cpu_acknowledge(cpu, &vector));
    assert_int_equal(vector, 0xFF);
    assert_true(isr(cpu, 0xFF));
    guest_eoi(cpu);
    assert_false(isr(cpu, 0xFF));
    fake_vm_stop(&host);
}

static void acknowledge_does_not_look_at_software_enable(void **unused)
{
    /* Intel SDM 3A, "Local APIC State After It Has Been Software Disabled": held requests are still dispatched */
    struct vlapic_cpu *cpu = start(false);
    uint8_t vector = 0;

    (void)unused;
    assert_true(vlapic_cpu_post(cpu, 0x53, false));
    guest_set(cpu, VLAPIC_REG_SVR, 0x20);
    assert_true(vlapic_cpu_acknowledge(cpu, &vector));
    assert_int_equal(vector, 0x53);
    assert_false(vlapic_cpu_acknowledge(cpu, &vector));
    assert_int_equal(vector, 0x20);
    fake_vm_stop(&host);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_vector_pending_already_merges),
        cmocka_unit_test(a_vector_in_service_is_requested_again),
        cmocka_unit_test(at_most_two_of_a_vector_are_held),
        cmocka_unit_test(every_accept_rewrites_tmr),
        cmocka_unit_test(a_vector_posted_twice_before_a_look_has_the_later_trigger_mode),
        cmocka_unit_test(acceptance_touches_no_other_vector),
        cmocka_unit_test(vectors_below_16_are_an_error),
        cmocka_unit_test(a_software_disabled_apic_drops_without_an_error),
        cmocka_unit_test(a_disabled_apic_drops),
        cmocka_unit_test(a_request_accepted_before_software_disable_is_kept),
        cmocka_unit_test(level_de_assert_messages_are_dropped_unchecked),
        cmocka_unit_test(de_assert_means_nothing_on_an_edge),
        cmocka_unit_test(nmi_smi_init_and_extint_pass_by_irr),
        cmocka_unit_test(an_offer_alone_changes_nothing),
        cmocka_unit_test(accept_refuses_what_is_not_deliverable),
        cmocka_unit_test(an_offered_vector_can_be_taken_though_a_higher_one_came),
        cmocka_unit_test(unaccept_gives_the_vector_back),
        cmocka_unit_test(unaccept_under_a_nested_vector_keeps_that_one_in_service),
        cmocka_unit_test(unaccept_merges_with_a_new_request),
        cmocka_unit_test(unaccept_refuses_what_is_not_in_service),
        cmocka_unit_test(acknowledge_takes_the_highest_vector),
        cmocka_unit_test(acknowledge_without_a_request_gives_the_spurious_vector),
        cmocka_unit_test(a_request_that_tpr_shut_out_meanwhile_is_spurious),
        cmocka_unit_test(a_fixed_interrupt_on_the_spurious_vector_is_an_ordinary_one),
        cmocka_unit_test(acknowledge_does_not_look_at_software_enable),
    };

    int failed = cmocka_run_group_tests_name("soft", tests, NULL, NULL);

    fake_backend = &posting_backend;
    return failed + cmocka_run_group_tests_name("posting backend", tests, NULL, NULL);
}
