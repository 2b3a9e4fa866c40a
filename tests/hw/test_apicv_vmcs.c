/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VMCS fields and capability MSRs: which of them exist on which part; the trace.
 */
#include "apicv_machine.h"

static struct machine m;

/* The columns of the table below, by generation. */
enum part { NONE, CORE2, SANDY_BRIDGE, SKYLAKE, SAPPHIRE_RAPIDS, PARTS };

static struct apicv_caps caps_of(unsigned part)
{
    switch (part) {
    case NONE:
        return apicv_caps_none();
    case CORE2:
        return apicv_caps_core2();
    case SANDY_BRIDGE:
        return apicv_caps_sandy_bridge();
    case SKYLAKE:
        return apicv_caps_skylake();
    default:
        return apicv_caps_sapphire_rapids();
    }
}

/* Reference 2: encoding, width in bits, the first part that has it. */
static const struct {
    uint32_t encoding;
    unsigned width;
    enum part since;
} fields[] = {
    { 0x0002, 16, SKYLAKE },
    { 0x0008, 16, SAPPHIRE_RAPIDS },
    { 0x000A, 16, SAPPHIRE_RAPIDS },
    { 0x0810, 16, SKYLAKE },
    { 0x2004, 64, NONE },
    { 0x2010, 64, NONE },
    { 0x2012, 64, CORE2 },
    { 0x2014, 64, CORE2 },
    { 0x2016, 64, SKYLAKE },
    { 0x201C, 64, SKYLAKE },
    { 0x201E, 64, SKYLAKE },
    { 0x2020, 64, SKYLAKE },
    { 0x2022, 64, SKYLAKE },
    { 0x2034, 64, SAPPHIRE_RAPIDS },
    { 0x2042, 64, SAPPHIRE_RAPIDS },
    { 0x204E, 64, SAPPHIRE_RAPIDS },
    { 0x2400, 64, SANDY_BRIDGE },
    { 0x2830, 64, SAPPHIRE_RAPIDS },
    { 0x4000, 32, NONE },
    { 0x4002, 32, NONE },
    { 0x400C, 32, NONE },
    { 0x4012, 32, NONE },
    { 0x4016, 32, NONE },
    { 0x4018, 32, NONE },
    { 0x401A, 32, NONE },
    { 0x401C, 32, CORE2 },
    { 0x401E, 32, CORE2 },
    { 0x4402, 32, NONE },
    { 0x4404, 32, NONE },
    { 0x4406, 32, NONE },
    { 0x4408, 32, NONE },
    { 0x440A, 32, NONE },
    { 0x440C, 32, NONE },
    { 0x4824, 32, NONE },
    { 0x4826, 32, NONE },
    { 0x6400, 64, NONE },
    { 0x640A, 64, NONE },
};

static bool is_read_only(uint32_t encoding)
{
    return (encoding & 0x0C00) == 0x0400;
}

static void fields_exist_by_part_and_have_their_width(void **unused)
{
    /* Reference 2 */
    (void)unused;
    for (unsigned part = 0; part < PARTS; part++) {
        struct apicv_cpu *cpu = &m.cpu[0];

        machine_start(&m, caps_of(part));
        cpu->caps.vmwrite_any = false;
        for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
            uint32_t encoding = fields[i].encoding;
            uint64_t mask = fields[i].width == 64 ? ~0ull : (1ull << fields[i].width) - 1;
            uint64_t value = 1;

            if (part < fields[i].since) {
                assert_int_equal(apicv_vmread(cpu, encoding, &value), 12);
                assert_int_equal(value, 1);
                assert_int_equal(apicv_vmwrite(cpu, encoding, 0), 12);
                assert_int_equal(vmcs_get(cpu, APICV_INSTRUCTION_ERROR), 12);
                continue;
            }
            if (is_read_only(encoding)) {
                assert_int_equal(apicv_vmwrite(cpu, encoding, 0), 13);
                assert_int_equal(vmcs_get(cpu, APICV_INSTRUCTION_ERROR), 13);
                cpu->caps.vmwrite_any = true;
            }
            vmcs_put(cpu, encoding, 0xF123456789ABCDEF);
            assert_true(vmcs_get(cpu, encoding) == (0xF123456789ABCDEF & mask));
            cpu->caps.vmwrite_any = false;
        }
    }
}

static void high_halves_of_64_bit_fields(void **unused)
{
    /* Reference 2: encoding | 1; nothing of the kind for other widths */
    struct apicv_cpu *cpu = &m.cpu[0];
    uint64_t value = 0;

    (void)unused;
    machine_start(&m, apicv_caps_skylake());
    vmcs_put(cpu, 0x201C, 0x1111222233334444);
    assert_int_equal(vmcs_get(cpu, 0x201D), 0x11112222);
    vmcs_put(cpu, 0x201D, 0xAAAABBBB);
    assert_true(vmcs_get(cpu, 0x201C) == 0xAAAABBBB33334444);
    assert_int_equal(apicv_vmread(cpu, 0x0811, &value), 12);
    assert_int_equal(apicv_vmread(cpu, 0x401D, &value), 12);
    assert_int_equal(apicv_vmread(cpu, 0x6401, &value), 12);
}

static void neighbours_of_fields_are_not_the_fields(void **unused)
{
    /* Reference 2: PML index, UINV, EPTP index, HLAT, PLE */
    static const uint32_t others[] = { 0x0812, 0x0814, 0x0004, 0x0006, 0x2040, 0x4020, 0x4022, 0x2024, 0x201A };
    struct apicv_cpu *cpu = &m.cpu[0];
    uint64_t value = 0;

    (void)unused;
    machine_start(&m, apicv_caps_sapphire_rapids());
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        assert_int_equal(apicv_vmread(cpu, others[i], &value), 12);
        assert_int_equal(apicv_vmwrite(cpu, others[i], 0), 12);
    }
}

static void without_a_current_vmcs_there_are_no_fields(void **unused)
{
    struct apicv_cpu *cpu = &m.cpu[0];
    uint64_t value = 0;

    (void)unused;
    machine_start(&m, apicv_caps_skylake());
    assert_true(apicv_vmclear(cpu, &m.vmcs[0]));
    assert_int_equal(apicv_vmread(cpu, 0x4000, &value), APICV_VM_NO_CURRENT);
    assert_int_equal(apicv_vmwrite(cpu, 0x4000, 0), APICV_VM_NO_CURRENT);
}

/* ---- capability MSRs (1) ---- */

static uint64_t capability(unsigned part, uint32_t msr)
{
    struct apicv_caps caps = caps_of(part);
    uint64_t value = 0;

    assert_true(apicv_capability_msr(&caps, msr, &value));
    return value;
}

static void controls_may_be_1_by_part(void **unused)
{
    /* Reference 1: the typical generations */
    static const struct {
        uint32_t msr;
        unsigned bit; /* of the MSR */
        enum part since;
    } rows[] = {
        { 0x481, 32 + 0, NONE },
        { 0x481, 32 + 3, NONE },
        { 0x481, 32 + 5, NONE },
        { 0x481, 32 + 7, SKYLAKE },
        { 0x482, 32 + 2, NONE },
        { 0x482, 32 + 7, NONE },
        { 0x482, 32 + 19, NONE },
        { 0x482, 32 + 20, NONE },
        { 0x482, 32 + 22, NONE },
        { 0x482, 32 + 28, NONE },
        { 0x482, 32 + 21, CORE2 },
        { 0x482, 32 + 31, CORE2 },
        { 0x482, 32 + 17, SAPPHIRE_RAPIDS },
        { 0x483, 32 + 15, NONE },
        { 0x48B, 32 + 0, CORE2 },
        { 0x48B, 32 + 1, SANDY_BRIDGE },
        { 0x48B, 32 + 4, SANDY_BRIDGE },
        { 0x48B, 32 + 5, SANDY_BRIDGE },
        { 0x48B, 32 + 8, SKYLAKE },
        { 0x48B, 32 + 9, SKYLAKE },
        { 0x492, 4, SAPPHIRE_RAPIDS },
        { 0x492, 8, SAPPHIRE_RAPIDS },
    };

    (void)unused;
    for (unsigned part = 0; part < PARTS; part++) {
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
            if ((rows[i].msr == 0x48B && part < CORE2) || (rows[i].msr == 0x492 && part < SAPPHIRE_RAPIDS))
                continue;
            assert_int_equal(capability(part, rows[i].msr) >> rows[i].bit & 1, part >= rows[i].since);
        }
    }
}

static void capability_msrs_exist_by_part(void **unused)
{
    /* Reference 1: TRUE MSRs by bit 55 of IA32_VMX_BASIC, PROCBASED2 and 3 by the activating bits */
    uint64_t value = 0;

    (void)unused;
    for (unsigned part = 0; part < PARTS; part++) {
        struct apicv_caps caps = caps_of(part);

        for (uint32_t msr = 0x48D; msr <= 0x490; msr++)
            assert_int_equal(apicv_capability_msr(&caps, msr, &value), capability(part, 0x480) >> 55 & 1);
        assert_int_equal(apicv_capability_msr(&caps, 0x48B, &value), part >= CORE2);
        assert_int_equal(apicv_capability_msr(&caps, 0x492, &value), part >= SAPPHIRE_RAPIDS);
        assert_false(apicv_capability_msr(&caps, 0x47F, &value));
        assert_int_equal(capability(part, 0x480) >> 50 & 0xF, 6);
    }
}

static void what_must_be_1_may_be_1_and_is_no_cr8_exiting(void **unused)
{
    /* Reference 1: CR8-load and -store exiting are not default-1 bits */
    static const uint32_t msrs[] = { 0x481, 0x482, 0x483, 0x484 };

    (void)unused;
    for (unsigned part = 0; part < PARTS; part++) {
        for (size_t i = 0; i < 4; i++) {
            uint64_t value = capability(part, msrs[i]);

            assert_int_equal(value & ~(value >> 32) & 0xFFFFFFFF, 0);
            assert_int_not_equal(value & 0xFFFFFFFF, 0);
        }
        assert_int_equal(capability(part, 0x482) & (APICV_PRIMARY_CR8_LOAD_EXITING | APICV_PRIMARY_CR8_STORE_EXITING),
                         0);
    }
}

static void every_part_enters_with_what_must_be_1(void **unused)
{
    (void)unused;
    for (unsigned part = 0; part < PARTS; part++)
        (void)machine_enter(&m, caps_of(part), (struct controls){ 0 });
}

/* ---- the trace ---- */

static void a_run_can_be_told_as_text(void **unused)
{
    static const char *const expected[] = { "entered",
                                            "self-ipi 51",
                                            "virtual 51",
                                            "eoi 51",
                                            "exit 44 qualification 390",
                                            "entered",
                                            "gp",
                                            "exit 10 qualification 0",
                                            "vmfail check 7" };
    struct apicv_cpu *cpu = machine_enter(
        &m, apicv_caps_skylake(),
        (struct controls){ .pin = 1, .primary = APICV_PRIMARY_TPR_SHADOW, .secondary = 0x301 });
    char text[APICV_TRACE_TEXT];
    uint64_t value = 0;

    (void)unused;
    (void)apicv_guest_write(cpu, FRAME_PA + 0x300, 4, 0x40051);
    (void)apicv_boundary(cpu);
    (void)apicv_guest_write(cpu, FRAME_PA + 0x0B0, 4, 0);
    (void)apicv_guest_read(cpu, FRAME_PA + 0x390, 4, &value);
    (void)apicv_enter(cpu);
    (void)apicv_guest_write_cr8(cpu, 0, 16);
    (void)apicv_guest_exit(cpu, 10, 0);
    machine_controls(&m, 0, (struct controls){ .primary = APICV_PRIMARY_TPR_SHADOW, .secondary = 0x301 });
    (void)apicv_enter(cpu);
    assert_int_equal(m.traced, sizeof expected / sizeof expected[0]);
    for (unsigned i = 0; i < m.traced; i++)
        assert_string_equal(apicv_trace_text(&m.trace[i], text), expected[i]);
}

static void every_kind_of_trace_has_a_text(void **unused)
{
    static const struct {
        struct apicv_trace trace;
        const char *text;
    } rows[] = {
        { { APICV_TRACE_INJECTED, 0x30, 0 }, "injected 30 type 0" },
        { { APICV_TRACE_PHYSICAL, 2, 2 }, "physical 02 type 2" },
        { { APICV_TRACE_IPI, 0x31, 0x12 }, "ipi 31 to 12" },
        { { APICV_TRACE_POSTED, 0x51, 0 }, "posted rvi 51" },
        { { APICV_TRACE_HOST_ACCESS, 0x830, 1 }, "host-access 830 write 1" },
        { { APICV_TRACE_EXIT, 0x80000021, 0 }, "entry-failure 33" },
    };
    char text[APICV_TRACE_TEXT];

    (void)unused;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_string_equal(apicv_trace_text(&rows[i].trace, text), rows[i].text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_exist_by_part_and_have_their_width),
        cmocka_unit_test(high_halves_of_64_bit_fields),
        cmocka_unit_test(neighbours_of_fields_are_not_the_fields),
        cmocka_unit_test(without_a_current_vmcs_there_are_no_fields),
        cmocka_unit_test(controls_may_be_1_by_part),
        cmocka_unit_test(capability_msrs_exist_by_part),
        cmocka_unit_test(what_must_be_1_may_be_1_and_is_no_cr8_exiting),
        cmocka_unit_test(every_part_enters_with_what_must_be_1),
        cmocka_unit_test(a_run_can_be_told_as_text),
        cmocka_unit_test(every_kind_of_trace_has_a_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
