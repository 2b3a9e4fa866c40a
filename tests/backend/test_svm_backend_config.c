/* SPDX-License-Identifier: BSD-2-Clause */
/* Settings of the svm backend: which features come of them, and what is refused. AMD APM 3, "Function 8000_000Ah"; APM 2, "AVIC Enumeration". */
#include <vlapic/amd_iommu.h>

#include "svm_bed.h"

#define EDX_AVIC (1u << 13)
#define EDX_X2AVIC (1u << 18)
#define EDX_VNMI (1u << 25)
#define ECX_EXT (1u << 6)
#define EVERYTHING (BED_ALL | VLAPIC_SVM_SELF_IPI)

static uint32_t features_of(uint32_t edx, uint32_t ecx, uint32_t wanted)
{
    bed_prepare(wanted);
    bed.svm.cpuid_edx = edx;
    bed.svm.cpuid_ecx = ecx;
    return vlapic_svm_features(&bed.svm);
}

static void defaults_are_filled_in(void **state)
{
    struct vlapic_svm_config config;

    (void)state;
    memset(&config, 0xA5, sizeof config);
    assert_int_equal(vlapic_svm_config_defaults(&config, sizeof config), VLAPIC_OK);
    assert_int_equal(config.size, sizeof config);
    assert_int_equal(config.abi, VLAPIC_SVM_ABI);
    assert_int_equal(config.features, VLAPIC_SVM_DEFAULT_FEATURES);
    assert_int_equal(config.features & VLAPIC_SVM_SELF_IPI, 0);
    assert_int_equal(config.physical_table_pages, 1);
    assert_null(config.ops);
    assert_null(config.physical_table.va);
    assert_false(config.erratum_1235 || config.edge_eoi_not_needed);
    assert_int_equal(vlapic_svm_config_defaults(NULL, sizeof config), VLAPIC_INVALID);
    assert_int_equal(vlapic_svm_config_defaults(&config, sizeof config - 1), VLAPIC_BAD_ABI);
}

static void features_come_from_cpuid_bits(void **state)
{
    static const struct {
        uint32_t edx, ecx, features;
    } rows[] = {
        { 0, 0, 0 },
        { EDX_AVIC, 0, VLAPIC_SVM_AVIC },
        { EDX_AVIC, ECX_EXT, VLAPIC_SVM_AVIC },
        { EDX_X2AVIC, ECX_EXT, 0 }, /* AVIC is a prerequisite */
        { EDX_AVIC | EDX_X2AVIC, 0, BED_X2AVIC | VLAPIC_SVM_SELF_IPI },
        { EDX_AVIC | EDX_X2AVIC, ECX_EXT, EVERYTHING & ~(uint32_t)VLAPIC_SVM_VNMI },
        { EDX_VNMI, 0, VLAPIC_SVM_VNMI },
        { EDX_VNMI | EDX_AVIC, 0, VLAPIC_SVM_VNMI | VLAPIC_SVM_AVIC },
        { ~(EDX_AVIC | EDX_X2AVIC | EDX_VNMI), ~ECX_EXT, 0 },
        { UINT32_MAX, UINT32_MAX, EVERYTHING },
    };

    (void)state;
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(features_of(rows[i].edx, rows[i].ecx, UINT32_MAX), rows[i].features);
    }
    assert_int_equal(vlapic_svm_features(NULL), 0);
}

static void features_can_be_forbidden(void **state)
{
    (void)state;
    for (uint32_t wanted = 0; wanted <= EVERYTHING; wanted++) {
        uint32_t expected = wanted;

        if ((wanted & VLAPIC_SVM_X2AVIC) == 0) {
            expected &= ~(uint32_t)(VLAPIC_SVM_X2AVIC_EXT | VLAPIC_SVM_SELF_IPI);
        }
        assert_int_equal(features_of(UINT32_MAX, UINT32_MAX, wanted), expected);
    }
}

static void without_what_avic_needs_there_is_none(void **state)
{
    (void)state;
    for (unsigned missing = 0; missing < 6; missing++) {
        uint32_t expected = VLAPIC_SVM_VNMI;

        bed_prepare(EVERYTHING);
        switch (missing) {
        case 0:
            bed.svm.physical_table.va = NULL;
            break;
        case 1:
            bed.svm.physical_table_pages = 0;
            break;
        case 2:
            bed.svm.discard_page.va = NULL;
            break;
        case 3:
            bed.ops.doorbell = NULL;
            break;
        case 4:
            bed.ops.physical_apic_id = NULL;
            break;
        default:
            bed.svm.logical_table.va = NULL;
            expected = EVERYTHING & ~BED_AVIC;
            break;
        }
        assert_int_equal(vlapic_svm_features(&bed.svm), expected);
        bed_start(1);
        bed_enter(0);
        assert_false(bed_uses_avic(0)); /* xAPIC mode */
        assert_int_equal(bed.cpu[0].entry.features, VLAPIC_SVM_VNMI);
        bed_end();
    }
    bed_prepare(EVERYTHING);
    bed.svm.ops = NULL;
    assert_int_equal(vlapic_svm_features(&bed.svm), VLAPIC_SVM_VNMI);
}

static enum vlapic_status creation(void)
{
    static _Alignas(64) uint8_t memory[65536];
    struct vlapic_layout layout;
    enum vlapic_status status;

    assert_int_equal(vlapic_vm_layout(&bed.config, &layout), VLAPIC_OK);
    assert_true(layout.bytes <= sizeof memory);
    status = vlapic_vm_create(memory, sizeof memory, &bed.config, &bed.vm);
    bed.vm = NULL;
    return status;
}

#define REFUSED(status, change)                                                                                        \
    do {                                                                                                               \
        bed_prepare(EVERYTHING);                                                                                       \
        change;                                                                                                        \
        assert_int_equal(creation(), (status));                                                                        \
    } while (0)

static void bad_settings_are_refused(void **state)
{
    static struct vlapic_decode_ops no_read, no_write;

    (void)state;
    REFUSED(VLAPIC_OK, (void)0);
    no_read = *bed.ops.guest;
    no_read.read_register = NULL;
    no_write = *bed.ops.guest;
    no_write.write_register = NULL;
    REFUSED(VLAPIC_INVALID, bed.config.backend_config = NULL);
    REFUSED(VLAPIC_INVALID, bed.svm.ops = NULL);
    REFUSED(VLAPIC_BAD_ABI, bed.svm.size--);
    REFUSED(VLAPIC_BAD_ABI, bed.svm.abi++);
    REFUSED(VLAPIC_BAD_ABI, bed.ops.size--);
    REFUSED(VLAPIC_BAD_ABI, bed.ops.abi++);
    REFUSED(VLAPIC_INVALID, bed.ops.vmcb = NULL);
    REFUSED(VLAPIC_INVALID, bed.ops.guest = NULL);
    REFUSED(VLAPIC_INVALID, bed.ops.guest = &no_read);
    REFUSED(VLAPIC_INVALID, bed.ops.guest = &no_write);
    REFUSED(VLAPIC_MISALIGNED, bed.svm.physical_table.pa++);
    REFUSED(VLAPIC_MISALIGNED, bed.svm.logical_table.pa += 2048);
    REFUSED(VLAPIC_MISALIGNED, bed.svm.discard_page.pa += 8);
    /* Each of these is optional. */
    REFUSED(VLAPIC_OK, bed.ops.msr_map = NULL);
    REFUSED(VLAPIC_OK, bed.ops.acknowledge_extint = NULL);
    REFUSED(VLAPIC_OK, bed.ops.running = NULL);
    REFUSED(VLAPIC_OK, bed.ops.fetch = NULL);
    REFUSED(VLAPIC_OK, bed.ops.doorbell = NULL);
}

/* MAX_INDEX of 0F8h: the largest ID of the VM, or what mode and table can hold. */
static uint32_t max_index(uint32_t features, uint32_t pages, uint32_t max_apic_id, bool x2apic)
{
    uint64_t table;

    bed_prepare(features);
    bed.svm.physical_table_pages = pages;
    bed.config.max_apic_id = max_apic_id;
    bed_start(1);
    if (x2apic) {
        bed_x2apic(0);
    }
    bed_enter(0);
    assert_true(bed_uses_avic(0));
    table = bed_get(0, SVMHW_PHYSICAL_TABLE, 8);
    assert_int_equal(table & ~0xFFFull, bed.svm.physical_table.pa);
    bed_end();
    return table & 0xFFF;
}

static void the_largest_index_fits_mode_table_and_vm(void **state)
{
    (void)state;
    assert_int_equal(max_index(BED_AVIC, 1, 3, false), 3);
    assert_int_equal(max_index(BED_AVIC, 1, 254, false), 254);
    assert_int_equal(max_index(BED_AVIC, 8, 5000, false), 254);
    assert_int_equal(max_index(BED_ALL, 8, 5000, false), 254);
    assert_int_equal(max_index(BED_X2AVIC, 1, 300, true), 300);
    assert_int_equal(max_index(BED_X2AVIC, 8, 5000, true), 511);
    assert_int_equal(max_index(BED_ALL, 1, 5000, true), 511);
    assert_int_equal(max_index(BED_ALL, 2, 5000, true), 1023);
    assert_int_equal(max_index(BED_ALL, 8, 2000, true), 2000);
    assert_int_equal(max_index(BED_ALL, 8, 5000, true), 4095);
}

/* The backend's own functions on a VM of another backend. */
static void another_backend_is_left_alone(void **state)
{
    struct vlapic_svm_guest guest = { .rflags = 0x202 };
    struct vlapic_svm_entry entry = { .vector = 1 };
    uint64_t page;
    uint32_t length = 9;

    (void)state;
    bed_prepare(BED_ALL);
    bed_start(1);
    bed_end();
    /* The same callbacks, but soft. */
    bed_prepare(BED_ALL);
    bed.config.backend = &vlapic_backend_soft;
    bed.config.backend_config = NULL;
    bed_make_vm();
    {
        static _Alignas(64) uint8_t memory[65536];
        struct vlapic_cpu_config config = { .size = sizeof config, .bsp = true, .cookie = &bed.cpu[0] };
        struct vlapic_cpu *cpu;

        assert_int_equal(vlapic_cpu_create(memory, sizeof memory, bed.vm, &config, &cpu), VLAPIC_OK);
        vlapic_svm_inhibit(bed.vm, VLAPIC_SVM_INHIBIT_REQUEST, true);
        vlapic_svm_vmcb_replaced(cpu);
        assert_false(vlapic_svm_enter(cpu, &guest, &entry));
        assert_int_equal(entry.vector, 0);
        vlapic_svm_cancel(cpu);
        assert_int_equal(vlapic_svm_exit(cpu, &length), VLAPIC_SVM_NOT_MINE);
        assert_int_equal(length, 0);
        assert_int_equal(vlapic_svm_access(cpu, 0xFEE00020, false, &length), VLAPIC_SVM_NOT_MINE);
        assert_false(vlapic_svm_apic_page(cpu, &page));
        assert_int_equal(vlapic_svm_get_in_flight(cpu), 0);
        vlapic_svm_set_in_flight(cpu, 0x80000030);
        vlapic_cpu_destroy(cpu);
    }
}

/* ---- an IOMMU's entry: AMD I/O Virtualization Technology Specification, "Interrupt Remapping Table Entry" ---- */

static void an_irte_in_guest_mode_names_page_vector_and_tag(void **state)
{
    const struct vlapic_amd_irte remapped = { .low = 0x00000000FFFFFF7F, .high = 0xFF000000000000AB };
    struct vlapic_amd_irte posted = { 1, 2 };

    (void)state;
    assert_int_equal(vlapic_amd_irte_post(&remapped, 0x000FEDCBA9876000, 0x61, 0xDEADBEEF, &posted), VLAPIC_OK);
    assert_int_equal(posted.low, 0xDEADBEEF00000083); /* valid, suppress, guest mode; does not run, no log */
    assert_int_equal(posted.high, 0x000FEDCBA9876061);
    assert_int_equal(vlapic_amd_irte_post(&(struct vlapic_amd_irte){ 0, 0 }, 0x1000, 0x10, 0, &posted), VLAPIC_OK);
    assert_int_equal(posted.low, 0x80);
    assert_int_equal(posted.high, 0x1010);
}

static void what_cannot_be_posted_is_refused(void **state)
{
    const struct vlapic_amd_irte remapped = { 1, 0 };
    struct vlapic_amd_irte posted = { 5, 6 };

    (void)state;
    assert_int_equal(vlapic_amd_irte_post(NULL, 0x1000, 0x61, 0, &posted), VLAPIC_INVALID);
    assert_int_equal(vlapic_amd_irte_post(&remapped, 0x1000, 0x61, 0, NULL), VLAPIC_INVALID);
    assert_int_equal(vlapic_amd_irte_post(&remapped, 0x1000, 15, 0, &posted), VLAPIC_INVALID);
    assert_int_equal(vlapic_amd_irte_post(&remapped, 0x1800, 0x61, 0, &posted), VLAPIC_MISALIGNED);
    assert_int_equal(vlapic_amd_irte_post(&remapped, 1ull << 52, 0x61, 0, &posted), VLAPIC_MISALIGNED);
    assert_int_equal(posted.low, 5);
    assert_int_equal(posted.high, 6);
}

static void an_irte_follows_the_vcpu(void **state)
{
    struct vlapic_amd_irte entry = { 0xDEADBEEF00000083, 0x000FEDCBA9876061 };

    (void)state;
    entry = vlapic_amd_irte_set_running(entry, true, 0x12345678, false);
    assert_int_equal(entry.low, 0xDEADBEEF345678C3);
    assert_int_equal(entry.high, 0x120FEDCBA9876061);
    entry = vlapic_amd_irte_set_running(entry, false, 0x00000003, true);
    assert_int_equal(entry.low, 0xDEADBEEF00000387);
    assert_int_equal(entry.high, 0x000FEDCBA9876061);
    entry = vlapic_amd_irte_set_running(entry, false, 0x00000003, false);
    assert_int_equal(entry.low, 0xDEADBEEF00000383);
    /* One that is not in guest mode stays as it is. */
    entry = (struct vlapic_amd_irte){ 0xFFFFFF7F, UINT64_MAX };
    entry = vlapic_amd_irte_set_running(entry, true, 1, true);
    assert_int_equal(entry.low, 0xFFFFFF7F);
    assert_true(entry.high == UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_filled_in),
        cmocka_unit_test(features_come_from_cpuid_bits),
        cmocka_unit_test(features_can_be_forbidden),
        cmocka_unit_test_teardown(without_what_avic_needs_there_is_none, bed_teardown),
        cmocka_unit_test(bad_settings_are_refused),
        cmocka_unit_test_teardown(the_largest_index_fits_mode_table_and_vm, bed_teardown),
        cmocka_unit_test_teardown(another_backend_is_left_alone, bed_teardown),
        cmocka_unit_test(an_irte_in_guest_mode_names_page_vector_and_tag),
        cmocka_unit_test(what_cannot_be_posted_is_refused),
        cmocka_unit_test(an_irte_follows_the_vcpu),
    };
    return cmocka_run_group_tests_name("svm: settings", tests, NULL, NULL);
}
