/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VM entry: the checks on controls, each failing alone; what they do not ask for; the TPR threshold right after entry.
 */
#include "apicv_machine.h"

static struct machine m;

/* Everything on that can be on together. */
static const struct controls all = {
    .pin = APICV_PIN_EXTERNAL_INTERRUPT_EXITING | APICV_PIN_NMI_EXITING | APICV_PIN_VIRTUAL_NMIS |
           APICV_PIN_POSTED_INTERRUPTS,
    .primary = APICV_PRIMARY_TPR_SHADOW | APICV_PRIMARY_MSR_BITMAPS,
    .secondary = 0x301, /* APIC accesses, register virtualization, virtual-interrupt delivery */
    .exit = APICV_EXIT_ACKNOWLEDGE_INTERRUPT,
    .tertiary = APICV_TERTIARY_IPI_VIRTUALIZATION,
};

static struct apicv_cpu *prepare(struct controls controls)
{
    machine_start(&m, apicv_caps_sapphire_rapids());
    machine_controls(&m, 0, controls);
    return &m.cpu[0];
}

static void change(struct apicv_cpu *cpu, uint32_t encoding, uint64_t clear, uint64_t set)
{
    vmcs_put(cpu, encoding, (vmcs_get(cpu, encoding) & ~clear) | set);
}

static void fails(struct apicv_cpu *cpu, enum apicv_check check)
{
    struct apicv_result result = apicv_enter(cpu);

    assert_int_equal(result.outcome, APICV_VMFAIL);
    assert_int_equal(result.check, check);
    assert_int_equal(result.instruction_error, 7);
    assert_int_equal(vmcs_get(cpu, APICV_INSTRUCTION_ERROR), 7);
    assert_false(cpu->in_guest);
}

/* ---- one change that spoils it ---- */

struct spoiler {
    uint32_t encoding;
    uint64_t clear, set;
    enum apicv_check check;
};

/* Of 52 address bits, bit 52 is the first that is too many. */
#define BEYOND (1ull << 52)

static void each_check_fails_alone(void **unused)
{
    /* Reference 3, with virtual-interrupt delivery on */
    static const struct spoiler spoilers[] = {
        { APICV_VIRTUAL_APIC_ADDRESS, 0, 0x001, 1 },
        { APICV_VIRTUAL_APIC_ADDRESS, 0, 0x800, 1 },
        { APICV_VIRTUAL_APIC_ADDRESS, 0, BEYOND, 1 },
        { APICV_APIC_ACCESS_ADDRESS, 0, 0x001, 5 },
        { APICV_APIC_ACCESS_ADDRESS, 0, 0x800, 5 },
        { APICV_APIC_ACCESS_ADDRESS, 0, BEYOND, 5 },
        { APICV_SECONDARY_CONTROLS, 0, 0x10, 6 },
        { APICV_PIN_CONTROLS, 0x1, 0, 7 },
        { APICV_SECONDARY_CONTROLS, 0x200, 0, 8 },
        { APICV_EXIT_CONTROLS, 0x8000, 0, 8 },
        { APICV_NOTIFICATION_VECTOR, 0, 0x100, 8 },
        { APICV_NOTIFICATION_VECTOR, 0, 0x8000, 8 },
        { APICV_DESCRIPTOR_ADDRESS, 0, 0x01, 8 },
        { APICV_DESCRIPTOR_ADDRESS, 0, 0x20, 8 },
        { APICV_DESCRIPTOR_ADDRESS, 0, BEYOND, 8 },
        { APICV_PID_TABLE_ADDRESS, 0, 0x1, 9 },
        { APICV_PID_TABLE_ADDRESS, 0, 0x4, 9 },
        { APICV_PID_TABLE_ADDRESS, 0, BEYOND, 9 },
        { APICV_PIN_CONTROLS, 0x8, 0, 10 },
        { APICV_PIN_CONTROLS, 0x2, 0, 12 },   /* a bit that must be 1 */
        { APICV_PIN_CONTROLS, 0, 0x100, 12 }, /* and ones that must be 0 */
        { APICV_PRIMARY_CONTROLS, 0, 0x00040000, 12 },
        { APICV_SECONDARY_CONTROLS, 0, 0x80000000, 12 },
        { APICV_TERTIARY_CONTROLS, 0, 1ull << 40, 12 },
        { APICV_EXIT_CONTROLS, 0x100, 0, 12 },
        { APICV_ENTRY_CONTROLS, 0x10, 0, 12 },
        { APICV_ENTRY_INTERRUPTION, 0, 0x80001020, 13 }, /* reserved bit 12 */
        { APICV_ENTRY_INTERRUPTION, 0, 0xC0000020, 13 }, /* and 30 */
        { APICV_ENTRY_INTERRUPTION, 0, 0x80000120, 13 }, /* type 1 */
        { APICV_ENTRY_INTERRUPTION, 0, 0x80000203, 13 }, /* an NMI with another vector */
        { APICV_ENTRY_INTERRUPTION, 0, 0x80000320, 13 }, /* exception 20h */
        { APICV_ENTRY_INTERRUPTION, 0, 0x80000700, 13 }, /* monitor trap flag, which no part here has */
        { APICV_ENTRY_INTERRUPTION, 0, 0x80000820, 13 }, /* an interrupt with an error code */
        { APICV_ENTRY_INTERRUPTION, 0, 0x80000430, 13 }, /* INT n without an instruction length */
        { APICV_MSR_BITMAP, 0, 0x800, 14 },
        { APICV_MSR_BITMAP, 0, BEYOND, 14 },
    };

    (void)unused;
    for (size_t i = 0; i < sizeof spoilers / sizeof spoilers[0]; i++) {
        struct apicv_cpu *cpu = prepare(all);
        uint64_t good = vmcs_get(cpu, spoilers[i].encoding);

        change(cpu, spoilers[i].encoding, spoilers[i].clear, spoilers[i].set);
        fails(cpu, spoilers[i].check);
        vmcs_put(cpu, spoilers[i].encoding, good);
        is_nothing(apicv_enter(cpu));
    }
}

static void the_last_entry_of_the_pid_table_is_within_the_address_width(void **unused)
{
    /* Reference 3, check 9: the entry with the last index */
    struct apicv_cpu *cpu = prepare(all);

    (void)unused;
    vmcs_put(cpu, APICV_PID_TABLE_ADDRESS, BEYOND - 0x1000);
    vmcs_put(cpu, APICV_LAST_PID_INDEX, 512);
    fails(cpu, APICV_CHECK_PID_TABLE);
    vmcs_put(cpu, APICV_LAST_PID_INDEX, 511);
    is_nothing(apicv_enter(cpu));
}

static void four_controls_need_tpr_shadow(void **unused)
{
    /* Reference 3, check 2 */
    static const struct controls without[] = {
        { .secondary = 0x10 },
        { .secondary = 0x100 },
        { .secondary = 0x200, .pin = 1 },
        { .tertiary = 0x10 },
    };

    (void)unused;
    for (size_t i = 0; i < 4; i++) {
        struct controls with = without[i];
        struct apicv_cpu *cpu = prepare(without[i]);

        fails(cpu, APICV_CHECK_NEEDS_TPR_SHADOW);
        with.primary |= APICV_PRIMARY_TPR_SHADOW;
        machine_controls(&m, 0, with);
        is_nothing(apicv_enter(cpu));
    }
}

static void nmi_window_exiting_needs_virtual_nmis(void **unused)
{
    /* Reference 3, check 11 */
    struct apicv_cpu *cpu = prepare((struct controls){ .pin = 0x8, .primary = APICV_PRIMARY_NMI_WINDOW_EXITING });

    (void)unused;
    fails(cpu, APICV_CHECK_NMI_WINDOW);
    machine_controls(&m, 0, (struct controls){ .pin = 0x28, .primary = APICV_PRIMARY_NMI_WINDOW_EXITING });
    is_nothing(apicv_enter(cpu));
}

/* ---- the threshold ---- */

static void threshold_bits_31_4_are_reserved_without_vid(void **unused)
{
    /* Reference 3, check 3 */
    struct apicv_cpu *cpu = prepare((struct controls){ .primary = APICV_PRIMARY_TPR_SHADOW });

    (void)unused;
    for (unsigned bit = 4; bit < 32; bit++) {
        vmcs_put(cpu, APICV_TPR_THRESHOLD, 1ull << bit);
        fails(cpu, APICV_CHECK_THRESHOLD_RESERVED);
    }
    vmcs_put(cpu, APICV_TPR_THRESHOLD, 0);
    is_nothing(apicv_enter(cpu));
}

static void threshold_is_at_most_the_class_of_tpr(void **unused)
{
    /* Reference 3, check 4, for all thresholds and TPRs */
    (void)unused;
    for (unsigned threshold = 0; threshold < 16; threshold++) {
        for (unsigned tpr = 0; tpr < 256; tpr++) {
            struct apicv_cpu *cpu = prepare((struct controls){ .primary = APICV_PRIMARY_TPR_SHADOW });

            vmcs_put(cpu, APICV_TPR_THRESHOLD, threshold);
            page_put(&m, 0, 0x80, tpr);
            if (threshold > tpr / 16)
                fails(cpu, APICV_CHECK_THRESHOLD_ABOVE_VTPR);
            else
                is_nothing(apicv_enter(cpu));
        }
    }
}

static void with_apic_accesses_a_tpr_below_the_threshold_exits_after_entry(void **unused)
{
    /* Reference 3, last but one paragraph: not blocked by IF or interruptibility; wakes HLT, not shutdown and wait-for-SIPI */
    static const struct {
        uint64_t rflags, interruptibility, activity;
        bool exits;
    } states[] = {
        { 0x202, 0, 0, true }, { 0x002, 0, 0, true }, { 0x202, 1, 0, true },  { 0x002, 2, 0, true },
        { 0x002, 0, 1, true }, { 0x202, 0, 1, true }, { 0x202, 0, 2, false }, { 0x202, 0, 3, false },
    };

    (void)unused;
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
        for (unsigned threshold = 0; threshold < 16; threshold++) {
            struct apicv_cpu *cpu = prepare((struct controls){ .primary = APICV_PRIMARY_TPR_SHADOW, .secondary = 1 });
            struct apicv_result result;

            vmcs_put(cpu, APICV_TPR_THRESHOLD, threshold);
            vmcs_put(cpu, APICV_GUEST_RFLAGS, states[i].rflags);
            vmcs_put(cpu, APICV_GUEST_INTERRUPTIBILITY, states[i].interruptibility);
            vmcs_put(cpu, APICV_GUEST_ACTIVITY, states[i].activity);
            page_put(&m, 0, 0x80, 0x7F);
            result = apicv_enter(cpu);
            if (threshold > 7 && states[i].exits)
                is_exit(cpu, result, 43, 0);
            else
                is_nothing(result);
        }
    }
}

static void the_threshold_exit_comes_after_the_injected_event(void **unused)
{
    /* Reference 3 and 13 */
    struct apicv_cpu *cpu = prepare((struct controls){ .primary = APICV_PRIMARY_TPR_SHADOW, .secondary = 1 });
    struct apicv_result result;

    (void)unused;
    vmcs_put(cpu, APICV_TPR_THRESHOLD, 1);
    vmcs_put(cpu, APICV_GUEST_RFLAGS, 0x202);
    vmcs_put(cpu, APICV_ENTRY_INTERRUPTION, 0x80000031);
    result = apicv_enter(cpu);
    is_exit(cpu, result, 43, 0);
    assert_true(result.delivered);
    assert_int_equal(result.vector, 0x31);
    assert_int_equal(vmcs_get(cpu, APICV_GUEST_RFLAGS), 0x002);
    assert_int_equal(vmcs_get(cpu, APICV_IDT_VECTORING) >> 31, 0);
    assert_int_equal(vmcs_get(cpu, APICV_ENTRY_INTERRUPTION) >> 31, 0);
}

static void with_vid_the_threshold_may_hold_anything(void **unused)
{
    /* Reference 3, "not required" */
    static const uint32_t values[] = { 0, 1, 0xF, 0x10, 0x1F, 0xFFFFFFFF };

    (void)unused;
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        for (uint32_t accesses = 0; accesses < 2; accesses++) {
            struct apicv_cpu *cpu = prepare(
                (struct controls){ .pin = 1, .primary = APICV_PRIMARY_TPR_SHADOW, .secondary = 0x200 | accesses });

            vmcs_put(cpu, APICV_TPR_THRESHOLD, values[i]);
            is_nothing(apicv_enter(cpu));
        }
    }
}

/* ---- what is not asked for ---- */

static void many_combinations_are_legal(void **unused)
{
    /* Reference 3, "not required" */
    static const struct controls legal[] = {
        { .primary = APICV_PRIMARY_TPR_SHADOW, .secondary = 0x100 },           /* register virtualization alone */
        { .primary = APICV_PRIMARY_TPR_SHADOW, .secondary = 0x200, .pin = 1 }, /* VID alone */
        { .primary = APICV_PRIMARY_TPR_SHADOW, .tertiary = 0x10 },             /* IPI virtualization alone */
        { .secondary = 0x001 },                                                /* APIC accesses without TPR shadow */
        { .primary = APICV_PRIMARY_TPR_SHADOW | APICV_PRIMARY_CR8_LOAD_EXITING | APICV_PRIMARY_CR8_STORE_EXITING },
    };

    (void)unused;
    for (size_t i = 0; i < sizeof legal / sizeof legal[0]; i++)
        is_nothing(apicv_enter(prepare(legal[i])));
}

static void without_tpr_shadow_the_threshold_means_nothing(void **unused)
{
    /* Reference 3, "not required" */
    struct apicv_cpu *cpu = prepare((struct controls){ .secondary = 0x001 });

    (void)unused;
    vmcs_put(cpu, APICV_TPR_THRESHOLD, 0xFFFFFFFF);
    is_nothing(apicv_enter(cpu));
}

static void controls_of_an_inactive_group_count_as_0(void **unused)
{
    /* Reference, conventions: secondary 0x310 would need TPR shadow and external-interrupt exiting */
    struct apicv_cpu *cpu = prepare((struct controls){ 0 });

    (void)unused;
    vmcs_put(cpu, APICV_SECONDARY_CONTROLS, 0x310);
    vmcs_put(cpu, APICV_TERTIARY_CONTROLS, 0x10);
    is_nothing(apicv_enter(cpu));
}

static void entry_may_clear_the_upper_bytes_of_tpr(void **unused)
{
    /* Reference 3: even if the entry then fails. The knob decides. */
    (void)unused;
    for (unsigned clears = 0; clears < 2; clears++) {
        struct apicv_cpu *cpu = prepare((struct controls){ .primary = APICV_PRIMARY_TPR_SHADOW });

        cpu->knobs.entry_clears_vtpr = clears;
        page_put(&m, 0, 0x80, 0x12345678);
        vmcs_put(cpu, APICV_TPR_THRESHOLD, 8);
        fails(cpu, APICV_CHECK_THRESHOLD_ABOVE_VTPR);
        assert_int_equal(page_get(&m, 0, 0x80), clears ? 0x78 : 0x12345678);
    }
}

static void an_open_question_can_be_answered_the_other_way(void **unused)
{
    /* Reference 21: whether IPI virtualization needs VID */
    struct apicv_cpu *cpu = prepare((struct controls){ .primary = APICV_PRIMARY_TPR_SHADOW, .tertiary = 0x10 });

    (void)unused;
    cpu->knobs.ipi_virtualization_needs_vid = true;
    fails(cpu, APICV_CHECK_PID_TABLE);
}

static void without_a_current_vmcs_there_is_no_entry(void **unused)
{
    struct apicv_cpu *cpu = prepare(all);
    struct apicv_result result;

    (void)unused;
    assert_true(apicv_vmclear(cpu, &m.vmcs[0]));
    result = apicv_enter(cpu);
    assert_int_equal(result.outcome, APICV_VMFAIL);
    assert_int_equal(result.instruction_error, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_check_fails_alone),
        cmocka_unit_test(the_last_entry_of_the_pid_table_is_within_the_address_width),
        cmocka_unit_test(four_controls_need_tpr_shadow),
        cmocka_unit_test(nmi_window_exiting_needs_virtual_nmis),
        cmocka_unit_test(threshold_bits_31_4_are_reserved_without_vid),
        cmocka_unit_test(threshold_is_at_most_the_class_of_tpr),
        cmocka_unit_test(with_apic_accesses_a_tpr_below_the_threshold_exits_after_entry),
        cmocka_unit_test(the_threshold_exit_comes_after_the_injected_event),
        cmocka_unit_test(with_vid_the_threshold_may_hold_anything),
        cmocka_unit_test(many_combinations_are_legal),
        cmocka_unit_test(without_tpr_shadow_the_threshold_means_nothing),
        cmocka_unit_test(controls_of_an_inactive_group_count_as_0),
        cmocka_unit_test(entry_may_clear_the_upper_bytes_of_tpr),
        cmocka_unit_test(an_open_question_can_be_answered_the_other_way),
        cmocka_unit_test(without_a_current_vmcs_there_is_no_entry),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
