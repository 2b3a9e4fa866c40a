/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Events in flight when the guest exits, and what the information fields of an exit hold.
 */
#include "apicv_machine.h"

static struct machine m;

static const struct controls vid = { .pin = 1, .primary = APICV_PRIMARY_TPR_SHADOW, .secondary = 0x301 };
static const struct controls nmis = { .pin = 0x29, .primary = APICV_PRIMARY_TPR_SHADOW, .secondary = 0x301 };

static struct apicv_cpu *prepare(struct controls controls)
{
    machine_start(&m, apicv_caps_skylake());
    machine_controls(&m, 0, controls);
    vmcs_put(&m.cpu[0], APICV_GUEST_RFLAGS, 0x202);
    return &m.cpu[0];
}

static void pend(struct apicv_cpu *cpu, uint8_t vector)
{
    page_add(&m, 0, 0x200, vector);
    vmcs_put(cpu, APICV_GUEST_INTERRUPT_STATUS, vector);
}

static void the_stack_is(struct apicv_cpu *cpu, enum apicv_access_type type, uint64_t address)
{
    cpu->guest.delivery_accesses = true;
    cpu->guest.delivery_access = (struct apicv_access){ .type = type, .address = address, .size = 8, .write = true };
}

static void a_virtual_interrupt_whose_delivery_exits_is_in_idt_vectoring(void **unused)
{
    /* Reference 6, 8.5, 13: VISR, SVI, VPPR, RVI are updated; then it is injected again */
    static const struct {
        enum apicv_access_type type;
        uint32_t bits_15_12;
    } rows[] = { { APICV_ACCESS_DELIVERY, 3 }, { APICV_ACCESS_GUEST_PHYSICAL_DELIVERY, 10 } };

    (void)unused;
    for (size_t i = 0; i < 2; i++) {
        struct apicv_cpu *cpu = prepare(vid);
        struct apicv_result result;
        uint64_t event;

        pend(cpu, 0x51);
        page_add(&m, 0, 0x200, 0x41);
        vmcs_put(cpu, APICV_GUEST_ACTIVITY, APICV_HALTED);
        the_stack_is(cpu, rows[i].type, FRAME_PA + 0x7F8);
        is_nothing(apicv_enter(cpu));
        result = apicv_boundary(cpu);
        assert_int_equal(result.outcome, APICV_EXIT);
        assert_false(result.delivered);
        assert_int_equal(vmcs_get(cpu, APICV_EXIT_REASON), 44);
        assert_int_equal(vmcs_get(cpu, APICV_EXIT_QUALIFICATION) >> 12, rows[i].bits_15_12);
        event = vmcs_get(cpu, APICV_IDT_VECTORING);
        assert_int_equal(event, 0x80000051);
        assert_int_equal(vmcs_get(cpu, APICV_GUEST_INTERRUPT_STATUS), 0x5141);
        assert_true(page_has(&m, 0, 0x100, 0x51));
        assert_false(page_has(&m, 0, 0x200, 0x51));
        assert_int_equal(page_get(&m, 0, 0x0A0), 0x50);
        assert_int_equal(vmcs_get(cpu, APICV_GUEST_RFLAGS), 0x202); /* no RF, IF still 1 */
        assert_int_equal(vmcs_get(cpu, APICV_GUEST_ACTIVITY), APICV_ACTIVE);

        cpu->guest.delivery_accesses = false;
        vmcs_put(cpu, APICV_ENTRY_INTERRUPTION, event);
        is_delivered(apicv_enter(cpu), 0x51);
        assert_int_equal(cpu->svi, 0x51);
        is_nothing(apicv_guest_write(cpu, FRAME_PA + 0x0B0, 4, 0));
        is_nothing(apicv_guest_iret(cpu, true));
        is_delivered(apicv_boundary(cpu), 0x41);
    }
}

static void an_injected_event_whose_delivery_exits_is_in_idt_vectoring(void **unused)
{
    /* Reference 13: with its error code; NMIs are blocked already */
    static const struct {
        uint32_t event, error_code, interruptibility;
    } rows[] = { { 0x80000030, 0, 0 }, { 0x80000B0E, 0x15, 0 }, { 0x80000202, 0, APICV_BLOCKING_NMI } };

    (void)unused;
    for (size_t i = 0; i < 3; i++) {
        struct apicv_cpu *cpu = prepare(nmis);

        the_stack_is(cpu, APICV_ACCESS_DELIVERY, FRAME_PA + 0x7F8);
        vmcs_put(cpu, APICV_ENTRY_INTERRUPTION, rows[i].event);
        vmcs_put(cpu, APICV_ENTRY_ERROR_CODE, rows[i].error_code);
        is_exit(cpu, apicv_enter(cpu), 44, 0x37F8);
        assert_int_equal(vmcs_get(cpu, APICV_IDT_VECTORING), rows[i].event);
        if (rows[i].error_code)
            assert_int_equal(vmcs_get(cpu, APICV_IDT_VECTORING_ERROR_CODE), rows[i].error_code);
        assert_int_equal(vmcs_get(cpu, APICV_GUEST_INTERRUPTIBILITY), rows[i].interruptibility);
        assert_int_equal(vmcs_get(cpu, APICV_ENTRY_INTERRUPTION) >> 31, 0);
    }
}

static void a_delivery_that_hits_an_ept_hole_exits(void **unused)
{
    /* Reference 13 */
    struct controls controls = vid;
    struct apicv_cpu *cpu;

    (void)unused;
    controls.secondary |= APICV_SECONDARY_EPT;
    cpu = prepare(controls);
    m.unmapped = true;
    the_stack_is(cpu, APICV_ACCESS_DELIVERY, APIC_GPA);
    pend(cpu, 0x51);
    is_nothing(apicv_enter(cpu));
    is_exit(cpu, apicv_boundary(cpu), 48, 0x182);
    assert_int_equal(vmcs_get(cpu, APICV_IDT_VECTORING), 0x80000051);
}

static void a_delivery_may_write_a_virtualized_register(void **unused)
{
    /* Reference 8.2: emulation follows the delivery; 4 bytes at 0D0h are an APIC write after it */
    struct apicv_cpu *cpu = prepare(vid);
    struct apicv_result result;

    (void)unused;
    the_stack_is(cpu, APICV_ACCESS_DELIVERY, FRAME_PA + 0x0D0);
    cpu->guest.delivery_access.size = 4;
    pend(cpu, 0x51);
    is_nothing(apicv_enter(cpu));
    result = apicv_boundary(cpu);
    is_exit(cpu, result, 56, 0x0D0);
    assert_true(result.delivered);
    assert_int_equal(result.vector, 0x51);
    assert_int_equal(vmcs_get(cpu, APICV_IDT_VECTORING) >> 31, 0);
    assert_int_equal(vmcs_get(cpu, APICV_GUEST_RFLAGS), 0x002);
}

static void information_of_another_exit_is_not_valid(void **unused)
{
    /* Reference 2, 12: bits 31 are 0, the rest and the length of a trap-like exit hold garbage */
    struct apicv_cpu *cpu = prepare(vid);

    (void)unused;
    is_nothing(apicv_enter(cpu));
    is_exit(cpu, apicv_guest_write(cpu, FRAME_PA + 0x0D0, 4, 0), 56, 0x0D0);
    assert_int_equal(vmcs_get(cpu, APICV_EXIT_INTERRUPTION) >> 31, 0);
    assert_int_equal(vmcs_get(cpu, APICV_IDT_VECTORING) >> 31, 0);
    assert_int_equal(vmcs_get(cpu, APICV_EXIT_INSTRUCTION_LENGTH), cpu->knobs.poison);
    assert_true(cpu->knobs.poison > 15); /* which is no length */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_virtual_interrupt_whose_delivery_exits_is_in_idt_vectoring),
        cmocka_unit_test(an_injected_event_whose_delivery_exits_is_in_idt_vectoring),
        cmocka_unit_test(a_delivery_that_hits_an_ept_hole_exits),
        cmocka_unit_test(a_delivery_may_write_a_virtualized_register),
        cmocka_unit_test(information_of_another_exit_is_not_valid),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
