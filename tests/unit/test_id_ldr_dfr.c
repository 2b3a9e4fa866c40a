/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The registers by which an APIC is identified and addressed: ID, version, LDR, DFR. How messages are matched against them is
 * tested elsewhere; here only that matching follows what is written.
 */
#include "fake_host.h"
#include "state_helpers.h"

static struct fake_vm host;

static struct vlapic_cpu *start_with_id(uint32_t id)
{
    host.config.max_apic_id = VLAPIC_APIC_ID_LIMIT;
    fake_vm_start(&host, 1, &id);
    return fake_cpu_at(&host, 0);
}

static uint32_t reach(uint32_t destination, bool logical)
{
    return vlapic_vm_deliver(
        host.vm, &(struct vlapic_message){ .destination = destination, .logical = logical, .vector = 0x55 });
}

/* ---- ID ---- */

static const struct {
    uint32_t id;
    uint32_t xapic; /* ID register in xAPIC mode */
    uint32_t ldr;   /* LDR in x2APIC mode */
} ids[] = {
    { 0, 0x00000000, 0x00000001 },       { 1, 0x01000000, 0x00000002 },       { 15, 0x0F000000, 0x00008000 },
    { 16, 0x10000000, 0x00010001 },      { 17, 0x11000000, 0x00010002 },      { 254, 0xFE000000, 0x000F4000 },
    { 255, 0xFF000000, 0x000F8000 },     { 256, 0x00000000, 0x00100001 },     { 0x1234, 0x34000000, 0x01230010 },
    { 0xFFFF, 0xFF000000, 0x0FFF8000 },  { 0x10000, 0x00000000, 0x10000001 }, { 0xFFFFE, 0xFE000000, 0xFFFF4000 },
    { 0xFFFFF, 0xFF000000, 0xFFFF8000 },
};

static void id_and_ldr_follow_from_the_hardware_id(void **unused)
{
    /* Intel SDM 3A, "Local xAPIC ID", "x2APIC State Transitions", "Deriving Logical x2APIC ID from the Local x2APIC ID" */
    (void)unused;
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        struct vlapic_cpu *cpu;

        fake_vm_prepare(&host, VLAPIC_VENDOR_INTEL);
        cpu = start_with_id(ids[i].id);
        assert_int_equal(guest_read(cpu, VLAPIC_REG_ID), ids[i].xapic);
        assert_int_equal(guest_read(cpu, VLAPIC_REG_LDR), 0);
        assert_int_equal(vlapic_cpu_apic_id(cpu), ids[i].id);
        guest_enable_x2apic(cpu);
        assert_true(guest_rdmsr(cpu, 0x802) == ids[i].id);
        assert_true(guest_rdmsr(cpu, 0x80D) == ids[i].ldr);
        assert_int_equal(vlapic_cpu_apic_id(cpu), ids[i].id);
        fake_vm_stop(&host);
    }
}

static void ldr_derivation_over_many_ids(void **unused)
{
    /* Intel SDM 3A, "Deriving Logical x2APIC ID from the Local x2APIC ID"; a sample of one in 251 above the first 600 */
    (void)unused;
    fake_vm_prepare(&host, VLAPIC_VENDOR_AMD);
    host.config.max_apic_id = VLAPIC_APIC_ID_LIMIT;
    fake_vm_start(&host, 0, NULL);
    for (uint32_t id = 0; id < 0x10000; id += id < 600 ? 1 : 251) {
        struct vlapic_cpu *cpu = fake_cpu_at(&host, fake_vm_add_cpu(&host, id));

        guest_enable_x2apic(cpu);
        assert_true(guest_rdmsr(cpu, 0x80D) == ((uint64_t)(id / 16) << 16 | 1u << id % 16));
        fake_forget(&host);
    }
    fake_vm_stop(&host);
}

static void id_is_read_only_by_default(void **unused)
{
    /* Intel SDM 3A, "Local xAPIC ID": whether it can be written is model-specific */
    struct vlapic_cpu *cpu;

    (void)unused;
    fake_vm_prepare(&host, VLAPIC_VENDOR_INTEL);
    cpu = start_with_id(0x1B);
    guest_write(cpu, VLAPIC_REG_ID, 0x77FFFFFF);
    assert_int_equal(guest_read(cpu, VLAPIC_REG_ID), 0x1B000000);
    assert_int_equal(guest_esr(cpu), 0);
    guest_software_enable(cpu);
    assert_int_equal(reach(0x77, false), 0);
    assert_int_equal(reach(0x1B, false), 1);
    fake_vm_stop(&host);
}

static void physical_matching_follows_a_written_id(void **unused)
{
    /* Intel SDM 3A, "Local xAPIC ID" and "Physical Destination Mode"; setting id_writable */
    struct vlapic_cpu *cpu;

    (void)unused;
    fake_vm_prepare(&host, VLAPIC_VENDOR_INTEL);
    host.config.id_writable = true;
    cpu = start_with_id(0x1B);
    guest_software_enable(cpu);
    for (uint32_t id = 0; id < 0x100; id++) {
        guest_write(cpu, VLAPIC_REG_ID, id << 24 | 0x00ABCDEF);
        assert_int_equal(guest_read(cpu, VLAPIC_REG_ID), id << 24);
        assert_int_equal(reach(id, false), 1);
        if (id != 0x1B)
            assert_int_equal(reach(0x1B, false), 0);
        assert_int_equal(vlapic_cpu_apic_id(cpu), 0x1B);
        assert_ptr_equal(vlapic_vm_find(host.vm, 0x1B), cpu);
    }
    guest_write(cpu, VLAPIC_REG_ID, 0x1B000000);
    assert_int_equal(reach(0x1B, false), 1);
    fake_vm_stop(&host);
}

static void two_apics_with_the_same_written_id_both_receive(void **unused)
{
    /* Intel SDM 3A, "Physical Destination Mode": each APIC decodes for itself; setting id_writable */
    struct vlapic_cpu *first, *second;

    (void)unused;
    fake_vm_prepare(&host, VLAPIC_VENDOR_INTEL);
    host.config.id_writable = true;
    fake_vm_start(&host, 2, NULL);
    start_aps(&host);
    first = fake_cpu_at(&host, 0);
    second = fake_cpu_at(&host, 1);
    guest_software_enable(first);
    guest_software_enable(second);
    guest_write(second, VLAPIC_REG_ID, 0);
    assert_int_equal(reach(0, false), 2);
    assert_int_equal(reach(1, false), 0);
    assert_int_equal(poll_vector(first), 0x55);
    assert_int_equal(poll_vector(second), 0x55);
    fake_vm_stop(&host);
}

static void id_is_read_only_in_x2apic_mode_even_if_writable(void **unused)
{
    /* Intel SDM 3A, "x2APIC State Transitions"; setting id_writable */
    struct vlapic_cpu *cpu;

    (void)unused;
    fake_vm_prepare(&host, VLAPIC_VENDOR_INTEL);
    host.config.id_writable = true;
    cpu = start_with_id(0x1B);
    guest_enable_x2apic(cpu);
    guest_wrmsr_faults(cpu, 0x802, 0x1B);
    guest_wrmsr_faults(cpu, 0x80D, guest_rdmsr(cpu, 0x80D));
    fake_vm_stop(&host);
}

/* ---- version ---- */

static void version_register_shows_the_configuration(void **unused)
{
    /* Intel SDM 3A, "Local APIC Version Register"; AMD APM 2, "Local APIC Version Register" */
    static const uint8_t versions[] = { 0x10, 0x14, 0x15, 0x1F };

    (void)unused;
    for (unsigned n = 0; n < 4 * 2 * 2 * 2 * 2; n++) {
        uint32_t suppress = n & 1, ext = n >> 1 & 1, cmci = n >> 2 & 1, vendor = n >> 3 & 1;
        uint8_t version = versions[n >> 4];
        uint32_t expected = version | (5 + cmci) << 16 | suppress << 24 | ext << 31;
        struct vlapic_cpu *cpu;

        fake_vm_prepare(&host, vendor ? VLAPIC_VENDOR_AMD : VLAPIC_VENDOR_INTEL);
        host.config.version = version;
        host.config.eoi_suppression = suppress;
        host.config.ext_space = ext;
        host.config.max_lvt = (uint8_t)(5 + cmci);
        cpu = start_with_id(3);
        assert_int_equal(guest_read(cpu, VLAPIC_REG_VERSION), expected);
        guest_write(cpu, VLAPIC_REG_VERSION, ~expected);
        assert_int_equal(guest_read(cpu, VLAPIC_REG_VERSION), expected);
        assert_int_equal(guest_esr(cpu), 0);
        guest_enable_x2apic(cpu);
        assert_true(guest_rdmsr(cpu, 0x803) == expected);
        guest_wrmsr_faults(cpu, 0x803, expected);
        fake_vm_stop(&host);
    }
}

static void default_version_is_50014h_for_both_vendors(void **unused)
{
    /* Intel SDM 3A, "Local APIC Version Register" */
    (void)unused;
    for (unsigned vendor = 0; vendor < 2; vendor++) {
        fake_vm_prepare(&host, vendor ? VLAPIC_VENDOR_AMD : VLAPIC_VENDOR_INTEL);
        assert_int_equal(guest_read(start_with_id(0), VLAPIC_REG_VERSION), 0x00050014);
        fake_vm_stop(&host);
    }
}

/* ---- LDR and DFR ---- */

static void ldr_keeps_its_upper_byte(void **unused)
{
    /* Intel SDM 3A, "Logical Destination Mode", figure "Logical Destination Register" */
    struct vlapic_cpu *cpu;

    (void)unused;
    fake_vm_prepare(&host, VLAPIC_VENDOR_INTEL);
    cpu = start_with_id(3);
    for (uint32_t id = 0; id < 0x100; id++) {
        guest_write(cpu, VLAPIC_REG_LDR, id << 24 | 0x00FFFFFF);
        assert_int_equal(guest_read(cpu, VLAPIC_REG_LDR), id << 24);
    }
    fake_vm_stop(&host);
}

static void dfr_keeps_four_bits_and_reads_ones_below(void **unused)
{
    /* Intel SDM 3A, "Logical Destination Mode", figure "Destination Format Register" */
    struct vlapic_cpu *cpu;

    (void)unused;
    fake_vm_prepare(&host, VLAPIC_VENDOR_INTEL);
    cpu = start_with_id(3);
    assert_int_equal(guest_read(cpu, VLAPIC_REG_DFR), 0xFFFFFFFF);
    for (uint32_t model = 0; model < 16; model++) {
        guest_write(cpu, VLAPIC_REG_DFR, model << 28);
        assert_int_equal(guest_read(cpu, VLAPIC_REG_DFR), model << 28 | 0x0FFFFFFF);
    }
    fake_vm_stop(&host);
}

static void dfr_selects_the_model_and_reserved_values_match_broadcast_only(void **unused)
{
    /* Intel SDM 3A, "Logical Destination Mode": flat 1111b, cluster 0000b, all other values reserved */
    static const uint8_t ldrs[] = { 0x00, 0x01, 0x11, 0x18, 0x2F, 0x80, 0xF1, 0xFF };
    struct vlapic_cpu *cpu;

    (void)unused;
    fake_vm_prepare(&host, VLAPIC_VENDOR_INTEL);
    cpu = start_with_id(3);
    guest_software_enable(cpu);
    for (uint32_t model = 0; model < 16; model++)
        for (size_t i = 0; i < sizeof ldrs; i++) {
            uint32_t ldr = ldrs[i];

            guest_write(cpu, VLAPIC_REG_DFR, model << 28);
            guest_write(cpu, VLAPIC_REG_LDR, ldr << 24);
            for (uint32_t dest = 0; dest < 0x100; dest++) {
                bool flat = model == 15 && (dest & ldr) != 0;
                bool cluster = model == 0 && dest >> 4 == ldr >> 4 && (dest & ldr & 15) != 0;

                assert_int_equal(reach(dest, true), flat || cluster || dest == 0xFF);
            }
        }
    fake_vm_stop(&host);
}

static void ldr_and_dfr_follow_writes_while_software_disabled(void **unused)
{
    /* Intel SDM 3A, "Logical Destination Mode": set before the APIC is software-enabled */
    struct vlapic_cpu *cpu;

    (void)unused;
    fake_vm_prepare(&host, VLAPIC_VENDOR_INTEL);
    cpu = start_with_id(3);
    guest_write(cpu, VLAPIC_REG_DFR, 0);
    guest_write(cpu, VLAPIC_REG_LDR, 0x34000000);
    assert_int_equal(reach(0x34, true), 0); /* matched, but not accepted */
    guest_software_enable(cpu);
    assert_int_equal(reach(0x34, true), 1);
    assert_int_equal(reach(0x14, true), 0);
    fake_vm_stop(&host);
}

static void ldr_written_in_xapic_mode_does_not_reach_x2apic_mode(void **unused)
{
    /* Intel SDM 3A, "Deriving Logical x2APIC ID from the Local x2APIC ID" */
    struct vlapic_cpu *cpu;

    (void)unused;
    fake_vm_prepare(&host, VLAPIC_VENDOR_INTEL);
    cpu = start_with_id(0x1B);
    guest_software_enable(cpu);
    guest_write(cpu, VLAPIC_REG_LDR, 0x80000000);
    assert_int_equal(reach(0x80, true), 1);
    guest_enable_x2apic(cpu);
    assert_true(guest_rdmsr(cpu, 0x80D) == 0x10800);
    assert_int_equal(reach(0x80, true), 0);
    fake_vm_stop(&host);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(id_and_ldr_follow_from_the_hardware_id),
        cmocka_unit_test(ldr_derivation_over_many_ids),
        cmocka_unit_test(id_is_read_only_by_default),
        cmocka_unit_test(physical_matching_follows_a_written_id),
        cmocka_unit_test(two_apics_with_the_same_written_id_both_receive),
        cmocka_unit_test(id_is_read_only_in_x2apic_mode_even_if_writable),
        cmocka_unit_test(version_register_shows_the_configuration),
        cmocka_unit_test(default_version_is_50014h_for_both_vendors),
        cmocka_unit_test(ldr_keeps_its_upper_byte),
        cmocka_unit_test(dfr_keeps_four_bits_and_reads_ones_below),
        cmocka_unit_test(dfr_selects_the_model_and_reserved_values_match_broadcast_only),
        cmocka_unit_test(ldr_and_dfr_follow_writes_while_software_disabled),
        cmocka_unit_test(ldr_written_in_xapic_mode_does_not_reach_x2apic_mode),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
