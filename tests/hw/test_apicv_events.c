/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Events: injection, priorities at a boundary, HLT and the other activity states.
 */
#include "apicv_machine.h"

#include <string.h>

static struct machine m;

#define VECTORING_NMI 0x80000202u

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

/* ---- injection (13) ---- */

static void what_may_be_injected_into_which_state(void **unused)
{
    /* Reference 13 */
    static const uint32_t external = 0x80000030, nmi = 0x80000202, gp = 0x80000B0D, db = 0x80000301, mc = 0x80000312;
    const struct {
        uint32_t event, rflags, interruptibility, activity;
        bool entered, nmi_needs_no_sti;
    } rows[] = {
        { external, 0x202, 0, 0, true, 0 },  { external, 0x002, 0, 0, false, 0 }, { external, 0x202, 1, 0, false, 0 },
        { external, 0x202, 2, 0, false, 0 }, { external, 0x202, 8, 0, true, 0 },  { external, 0x202, 0, 1, true, 0 },
        { external, 0x002, 0, 1, false, 0 }, { external, 0x202, 0, 2, false, 0 }, { external, 0x202, 0, 3, false, 0 },
        { nmi, 0x002, 0, 0, true, 0 },       { nmi, 0x002, 2, 0, false, 0 },      { nmi, 0x202, 1, 0, true, 0 },
        { nmi, 0x202, 1, 0, false, 1 },      { nmi, 0x002, 8, 0, false, 0 },      { nmi, 0x002, 0, 1, true, 0 },
        { nmi, 0x002, 0, 2, true, 0 },       { nmi, 0x002, 0, 3, false, 0 },      { gp, 0x002, 0, 0, true, 0 },
        { gp, 0x002, 2, 0, true, 0 },        { gp, 0x002, 0, 1, false, 0 },       { gp, 0x002, 0, 2, false, 0 },
        { gp, 0x002, 0, 3, false, 0 },       { db, 0x002, 0, 1, true, 0 },        { db, 0x002, 0, 2, false, 0 },
        { mc, 0x002, 0, 1, true, 0 },        { mc, 0x002, 0, 2, true, 0 },        { mc, 0x002, 0, 3, false, 0 },
    };

    (void)unused;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct apicv_cpu *cpu = prepare(nmis); /* with virtual NMIs */
        struct apicv_result result;

        cpu->knobs.nmi_injection_needs_no_sti = rows[i].nmi_needs_no_sti;
        vmcs_put(cpu, APICV_ENTRY_INTERRUPTION, rows[i].event);
        vmcs_put(cpu, APICV_GUEST_RFLAGS, rows[i].rflags);
        vmcs_put(cpu, APICV_GUEST_INTERRUPTIBILITY, rows[i].interruptibility);
        vmcs_put(cpu, APICV_GUEST_ACTIVITY, rows[i].activity);
        result = apicv_enter(cpu);
        if (rows[i].entered) {
            is_done(result);
            assert_true(result.delivered);
            assert_int_equal(result.vector, rows[i].event & 0xFF);
            assert_int_equal(cpu->guest.activity, APICV_ACTIVE);
            assert_int_equal(cpu->guest.interruptibility & 3, 0);
        } else {
            is_exit(cpu, result, 0x80000021, 0);
            assert_int_equal(vmcs_get(cpu, APICV_ENTRY_INTERRUPTION), rows[i].event);
        }
    }
}

static void a_state_that_contradicts_itself_fails_entry(void **unused)
{
    /* Reference 2 and 13 */
    static const struct {
        uint64_t rflags, interruptibility, activity;
    } rows[] = { { 0x200, 0, 0 }, { 0x202, 3, 0 },    { 0x202, 1, 1 }, { 0x202, 2, 1 },
                 { 0x002, 1, 0 }, { 0x202, 0x20, 0 }, { 0x202, 0, 4 } };

    (void)unused;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct apicv_cpu *cpu = prepare(vid);

        vmcs_put(cpu, APICV_GUEST_RFLAGS, rows[i].rflags);
        vmcs_put(cpu, APICV_GUEST_INTERRUPTIBILITY, rows[i].interruptibility);
        vmcs_put(cpu, APICV_GUEST_ACTIVITY, rows[i].activity);
        is_exit(cpu, apicv_enter(cpu), 0x80000021, 0);
    }
}

static void an_injected_event_comes_before_a_virtual_interrupt(void **unused)
{
    /* Reference 13 */
    struct apicv_cpu *cpu = prepare(vid);

    (void)unused;
    pend(cpu, 0x91);
    vmcs_put(cpu, APICV_ENTRY_INTERRUPTION, 0x80000030);
    is_delivered(apicv_enter(cpu), 0x30);
    assert_true(cpu->recognised);
    is_nothing(apicv_boundary(cpu)); /* IF = 0 in the handler */
    is_nothing(apicv_guest_iret(cpu, true));
    is_delivered(apicv_boundary(cpu), 0x91);
}

static void injection_touches_no_register_of_the_apic(void **unused)
{
    /* Reference 13 */
    struct apicv_cpu *cpu = prepare(vid);
    uint8_t before[4096];

    (void)unused;
    memcpy(before, machine_at(&m, PAGE_PA(0)), sizeof before);
    vmcs_put(cpu, APICV_ENTRY_INTERRUPTION, 0x80000051);
    is_delivered(apicv_enter(cpu), 0x51);
    assert_memory_equal(machine_at(&m, PAGE_PA(0)), before, sizeof before);
    assert_int_equal(cpu->rvi | cpu->svi, 0);
}

static void an_injected_nmi_blocks_nmis_until_iret(void **unused)
{
    /* Reference 2, 13 */
    struct apicv_cpu *cpu = prepare(nmis);
    struct apicv_result result;

    (void)unused;
    vmcs_put(cpu, APICV_ENTRY_INTERRUPTION, VECTORING_NMI);
    result = apicv_enter(cpu);
    assert_int_equal(result.type, APICV_EVENT_NMI);
    assert_int_equal(cpu->guest.interruptibility, APICV_BLOCKING_NMI);
    is_nothing(apicv_guest_iret(cpu, true));
    assert_int_equal(cpu->guest.interruptibility, 0);
}

/* ---- priorities (6, 12) ---- */

static void events_come_in_order_of_priority(void **unused)
{
    /* Reference 6, 12, 18.8: INIT, NMI window, NMI, interrupt window, external interrupt */
    struct controls controls = nmis;
    struct apicv_cpu *cpu;

    (void)unused;
    controls.primary |= APICV_PRIMARY_NMI_WINDOW_EXITING | APICV_PRIMARY_INTERRUPT_WINDOW_EXITING;
    controls.exit = APICV_EXIT_ACKNOWLEDGE_INTERRUPT;
    cpu = prepare(controls);
    pend(cpu, 0x91);
    apicv_interrupt_arrives(cpu, 0x33);
    apicv_interrupt_arrives(cpu, 0x43);
    apicv_nmi_arrives(cpu);
    apicv_init_arrives(cpu);

    is_nothing(apicv_enter(cpu));
    is_exit(cpu, apicv_boundary(cpu), 3, 0);
    is_nothing(apicv_enter(cpu));
    is_exit(cpu, apicv_boundary(cpu), 8, 0);
    controls.primary &= ~APICV_PRIMARY_NMI_WINDOW_EXITING;
    machine_controls(&m, 0, controls);
    is_nothing(apicv_enter(cpu));
    is_exit(cpu, apicv_boundary(cpu), 0, 0);
    assert_int_equal(vmcs_get(cpu, APICV_EXIT_INTERRUPTION), VECTORING_NMI);
    is_nothing(apicv_enter(cpu));
    is_exit(cpu, apicv_boundary(cpu), 7, 0);
    controls.primary &= ~APICV_PRIMARY_INTERRUPT_WINDOW_EXITING;
    machine_controls(&m, 0, controls);
    is_nothing(apicv_enter(cpu));
    is_delivered(apicv_boundary(cpu), 0x91); /* before the external interrupts */
    is_exit(cpu, apicv_boundary(cpu), 1, 0);
    assert_int_equal(vmcs_get(cpu, APICV_EXIT_INTERRUPTION), 0x80000043);
    is_nothing(apicv_enter(cpu));
    is_exit(cpu, apicv_boundary(cpu), 1, 0);
    assert_int_equal(vmcs_get(cpu, APICV_EXIT_INTERRUPTION), 0x80000033);
    is_nothing(apicv_enter(cpu));
    is_nothing(apicv_boundary(cpu));
}

static void windows_open_when_nothing_blocks(void **unused)
{
    /* Reference 2, 6: which blocking keeps the interrupt window and the NMI window shut */
    static const struct {
        uint32_t rflags, interruptibility;
        bool interrupts, nmis;
    } rows[] = {
        { 0x202, 0, true, true },   { 0x002, 0, false, true }, { 0x202, 1, false, true },
        { 0x202, 2, false, false }, { 0x202, 8, true, false },
    };

    (void)unused;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (unsigned nmi = 0; nmi < 2; nmi++) {
            struct controls controls = nmis;
            bool open = nmi ? rows[i].nmis : rows[i].interrupts;
            struct apicv_cpu *cpu;

            controls.primary |= nmi ? APICV_PRIMARY_NMI_WINDOW_EXITING : APICV_PRIMARY_INTERRUPT_WINDOW_EXITING;
            cpu = prepare(controls);
            vmcs_put(cpu, APICV_GUEST_RFLAGS, rows[i].rflags);
            vmcs_put(cpu, APICV_GUEST_INTERRUPTIBILITY, rows[i].interruptibility);
            is_nothing(apicv_enter(cpu));
            if (open)
                is_exit(cpu, apicv_boundary(cpu), nmi ? 8 : 7, 0);
            else
                is_nothing(apicv_boundary(cpu));
        }
    }
}

static void an_nmi_without_exiting_goes_to_the_guest(void **unused)
{
    /* Reference 2: blocking by NMI */
    struct apicv_cpu *cpu = prepare(vid);
    struct apicv_result result;

    (void)unused;
    is_nothing(apicv_enter(cpu));
    result = apicv_nmi(cpu);
    is_done(result);
    assert_true(result.delivered);
    assert_int_equal(result.type, APICV_EVENT_NMI);
    is_nothing(apicv_nmi(cpu));
    is_nothing(apicv_guest_iret(cpu, true));
    assert_true(apicv_boundary(cpu).delivered);
}

static void virtual_nmi_blocking_does_not_hold_physical_nmis(void **unused)
{
    /* Reference 2 */
    struct apicv_cpu *cpu = prepare(nmis);

    (void)unused;
    vmcs_put(cpu, APICV_GUEST_INTERRUPTIBILITY, APICV_BLOCKING_NMI);
    is_nothing(apicv_enter(cpu));
    is_exit(cpu, apicv_nmi(cpu), 0, 0);
}

static void an_nmi_that_comes_in_root_operation_is_the_hosts(void **unused)
{
    struct apicv_cpu *cpu = prepare(nmis);

    (void)unused;
    apicv_nmi_arrives(cpu);
    assert_true(apicv_host_takes_nmi(cpu));
    assert_false(apicv_host_takes_nmi(cpu));
    is_nothing(apicv_enter(cpu));
    is_nothing(apicv_boundary(cpu));
}

static void external_interrupts_without_exiting_go_to_the_guest(void **unused)
{
    /* Reference 1 */
    struct apicv_cpu *cpu = prepare((struct controls){ .primary = APICV_PRIMARY_TPR_SHADOW });

    (void)unused;
    is_nothing(apicv_enter(cpu));
    is_delivered(apicv_external_interrupt(cpu, 0x33), 0x33);
    is_nothing(apicv_external_interrupt(cpu, 0x43)); /* IF = 0 */
    is_nothing(apicv_guest_iret(cpu, true));
    is_delivered(apicv_boundary(cpu), 0x43);
}

static void an_external_interrupt_exits_whatever_if_says(void **unused)
{
    /* Reference 10: IF of the guest does not matter with external-interrupt exiting */
    struct apicv_cpu *cpu = prepare(vid);

    (void)unused;
    vmcs_put(cpu, APICV_GUEST_RFLAGS, 0x002);
    is_nothing(apicv_enter(cpu));
    is_exit(cpu, apicv_external_interrupt(cpu, 0x33), 1, 0);
}

static void one_instruction_behind_sti_or_mov_ss_nothing_comes(void **unused)
{
    /* The model's choice, where the reference is silent: external interrupts wait for both, NMIs for MOV SS */
    struct apicv_cpu *cpu = prepare(nmis);

    (void)unused;
    vmcs_put(cpu, APICV_GUEST_RFLAGS, 0x002);
    is_nothing(apicv_enter(cpu));
    is_nothing(apicv_guest_sti(cpu));
    is_nothing(apicv_external_interrupt(cpu, 0x33));
    is_nothing(apicv_guest_mov_ss(cpu));
    is_nothing(apicv_nmi(cpu));
    is_nothing(apicv_guest_nop(cpu));
    is_exit(cpu, apicv_boundary(cpu), 0, 0);
    is_nothing(apicv_enter(cpu));
    is_exit(cpu, apicv_boundary(cpu), 1, 0);
}

/* ---- activity states ---- */

static void hlt_exits_or_halts(void **unused)
{
    /* Reference 12 */
    struct controls controls = vid;
    struct apicv_cpu *cpu = prepare(vid);

    (void)unused;
    is_nothing(apicv_enter(cpu));
    cpu->guest.instruction_length = 1;
    is_nothing(apicv_guest_hlt(cpu));
    assert_int_equal(cpu->guest.activity, APICV_HALTED);
    assert_int_equal(cpu->guest.rip, 1);

    controls.primary |= APICV_PRIMARY_HLT_EXITING;
    cpu = prepare(controls);
    is_nothing(apicv_enter(cpu));
    cpu->guest.instruction_length = 1;
    cpu->guest.cpl = 3;
    is_gp(apicv_guest_hlt(cpu));
    cpu->guest.cpl = 0;
    is_exit(cpu, apicv_guest_hlt(cpu), 12, 0);
    assert_int_equal(vmcs_get(cpu, APICV_GUEST_RIP), 0);
    assert_int_equal(vmcs_get(cpu, APICV_EXIT_INSTRUCTION_LENGTH), 1);
    assert_int_equal(vmcs_get(cpu, APICV_GUEST_ACTIVITY), APICV_ACTIVE);
}

static void entering_halted_with_rvi_delivers_at_once(void **unused)
{
    /* Reference 6 (as kvm-unit-tests has it), and with IF = 0 it sleeps on */
    struct apicv_cpu *cpu = prepare(vid);

    (void)unused;
    pend(cpu, 0x51);
    vmcs_put(cpu, APICV_GUEST_ACTIVITY, APICV_HALTED);
    is_nothing(apicv_enter(cpu));
    is_delivered(apicv_boundary(cpu), 0x51);
    assert_int_equal(cpu->guest.activity, APICV_ACTIVE);

    cpu = prepare(vid);
    pend(cpu, 0x51);
    vmcs_put(cpu, APICV_GUEST_ACTIVITY, APICV_HALTED);
    vmcs_put(cpu, APICV_GUEST_RFLAGS, 0x002);
    is_nothing(apicv_enter(cpu));
    is_nothing(apicv_boundary(cpu));
    assert_int_equal(cpu->guest.activity, APICV_HALTED);
}

static void shutdown_and_wait_for_sipi_take_no_interrupts(void **unused)
{
    /* Reference 6 */
    (void)unused;
    for (uint64_t activity = APICV_SHUTDOWN; activity <= APICV_WAIT_FOR_SIPI; activity++) {
        struct apicv_cpu *cpu = prepare(nmis);

        pend(cpu, 0x51);
        vmcs_put(cpu, APICV_GUEST_ACTIVITY, activity);
        is_nothing(apicv_enter(cpu));
        is_nothing(apicv_external_interrupt(cpu, 0x33));
        if (activity == APICV_SHUTDOWN)
            is_exit(cpu, apicv_nmi(cpu), 0, 0);
        else
            is_nothing(apicv_nmi(cpu));
    }
}

static void only_wait_for_sipi_takes_a_sipi(void **unused)
{
    /* Reference 12 */
    struct apicv_cpu *cpu = prepare(vid);

    (void)unused;
    is_nothing(apicv_enter(cpu));
    apicv_sipi_arrives(cpu, 0x9A);
    is_nothing(apicv_boundary(cpu));
    is_exit(cpu, apicv_guest_exit(cpu, 10, 0), 10, 0);
    vmcs_put(cpu, APICV_GUEST_ACTIVITY, APICV_WAIT_FOR_SIPI);
    is_nothing(apicv_enter(cpu));
    apicv_init_arrives(cpu); /* blocked here */
    is_nothing(apicv_boundary(cpu));
    apicv_sipi_arrives(cpu, 0x9A);
    is_exit(cpu, apicv_boundary(cpu), 4, 0x9A);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_may_be_injected_into_which_state),
        cmocka_unit_test(a_state_that_contradicts_itself_fails_entry),
        cmocka_unit_test(an_injected_event_comes_before_a_virtual_interrupt),
        cmocka_unit_test(injection_touches_no_register_of_the_apic),
        cmocka_unit_test(an_injected_nmi_blocks_nmis_until_iret),
        cmocka_unit_test(events_come_in_order_of_priority),
        cmocka_unit_test(windows_open_when_nothing_blocks),
        cmocka_unit_test(an_nmi_without_exiting_goes_to_the_guest),
        cmocka_unit_test(virtual_nmi_blocking_does_not_hold_physical_nmis),
        cmocka_unit_test(an_nmi_that_comes_in_root_operation_is_the_hosts),
        cmocka_unit_test(external_interrupts_without_exiting_go_to_the_guest),
        cmocka_unit_test(an_external_interrupt_exits_whatever_if_says),
        cmocka_unit_test(one_instruction_behind_sti_or_mov_ss_nothing_comes),
        cmocka_unit_test(hlt_exits_or_halts),
        cmocka_unit_test(entering_halted_with_rvi_delivers_at_once),
        cmocka_unit_test(shutdown_and_wait_for_sipi_take_no_interrupts),
        cmocka_unit_test(only_wait_for_sipi_takes_a_sipi),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
