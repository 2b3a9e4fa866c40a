/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * RDMSR and WRMSR: the bitmap, the x2APIC matrix, #GP, what must never get through.
 */
#include "apicv_machine.h"

static struct machine m;

#define TPR_SHADOW_AND_BITMAPS (APICV_PRIMARY_TPR_SHADOW | APICV_PRIMARY_MSR_BITMAPS)

/* The columns of the reference's tables. */
enum feature { REGISTERS = 1, VID = 2, IPIV = 4 };

static struct controls controls_of(unsigned features)
{
    struct controls controls = { .pin = 1, .primary = TPR_SHADOW_AND_BITMAPS, .secondary = 0x010 };

    if (features & REGISTERS)
        controls.secondary |= 0x100;
    if (features & VID)
        controls.secondary |= 0x200;
    if (features & IPIV)
        controls.tertiary |= 0x10;
    return controls;
}

static void pass_all(void)
{
    for (uint32_t msr = 0x800; msr < 0x900; msr++)
        pass_msr(&m, msr, true, true);
}

static struct apicv_cpu *start(unsigned features)
{
    struct apicv_cpu *cpu = machine_enter(&m, apicv_caps_sapphire_rapids(), controls_of(features));

    pass_all();
    return cpu;
}

static uint64_t page_get8(uint32_t offset)
{
    return (uint64_t)page_get(&m, 0, offset + 4) << 32 | page_get(&m, 0, offset);
}

static void enter_again(struct apicv_cpu *cpu)
{
    if (!cpu->in_guest)
        is_nothing(apicv_enter(cpu));
}

/* ---- the bitmap (2) ---- */

static void each_bit_of_the_bitmap_is_one_msr_and_direction(void **unused)
{
    /* Reference 2: read-low, read-high, write-low, write-high */
    static const struct {
        uint32_t msr, byte;
        uint8_t bit;
        bool write;
    } places[] = {
        { 0x800, 0x100, 0, false },      { 0x8FF, 0x11F, 7, false },     { 0x808, 0x901, 0, true },
        { 0x83F, 0x907, 7, true },       { 0x01B, 0x003, 3, false },     { 0x01B, 0x803, 3, true },
        { 0x1FFF, 0x3FF, 7, false },     { 0x1FFF, 0xBFF, 7, true },     { 0xC0000080, 0x410, 0, false },
        { 0xC0001FFF, 0x7FF, 7, false }, { 0xC0000080, 0xC10, 0, true }, { 0xC0001FFF, 0xFFF, 7, true },
    };

    (void)unused;
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        struct apicv_cpu *cpu = machine_enter(&m, apicv_caps_skylake(),
                                              (struct controls){ .primary = TPR_SHADOW_AND_BITMAPS });
        struct apicv_result result;
        uint64_t value = 0;

        for (unsigned passes = 0; passes < 2; passes++) {
            if (passes)
                machine_at(&m, BITMAP_PA)[places[i].byte] = (uint8_t) ~(1u << places[i].bit);
            result = places[i].write ? apicv_guest_wrmsr(cpu, places[i].msr, 0)
                                     : apicv_guest_rdmsr(cpu, places[i].msr, &value);
            if (passes) {
                assert_int_equal(result.outcome, APICV_HOST_ACCESS);
            } else {
                is_exit(cpu, result, places[i].write ? 32 : 31, 0);
                assert_int_equal(vmcs_get(cpu, APICV_EXIT_INSTRUCTION_LENGTH), 3);
                assert_int_equal(vmcs_get(cpu, APICV_GUEST_RIP), 0);
                enter_again(cpu);
            }
        }
    }
}

static void msrs_outside_of_the_bitmap_exit(void **unused)
{
    /* Reference 2; and without "use MSR bitmaps" all do */
    static const uint32_t outside[] = { 0x2000, 0x3FFFFFFF, 0xBFFFFFFF, 0xC0002000, 0xFFFFFFFF };
    struct apicv_cpu *cpu = start(REGISTERS | VID);
    uint64_t value = 0;

    (void)unused;
    for (uint32_t i = 0; i < 4096; i++)
        machine_at(&m, BITMAP_PA)[i] = 0;
    for (size_t i = 0; i < sizeof outside / sizeof outside[0]; i++) {
        is_exit(cpu, apicv_guest_rdmsr(cpu, outside[i], &value), 31, 0);
        enter_again(cpu);
        is_exit(cpu, apicv_guest_wrmsr(cpu, outside[i], 0), 32, 0);
        enter_again(cpu);
    }
    cpu = machine_enter(&m, apicv_caps_skylake(),
                        (struct controls){ .primary = APICV_PRIMARY_TPR_SHADOW, .secondary = 0x110 });
    pass_all();
    is_exit(cpu, apicv_guest_rdmsr(cpu, 0x808, &value), 31, 0);
    enter_again(cpu);
    is_exit(cpu, apicv_guest_wrmsr(cpu, 0x808, 0), 32, 0);
}

static void privilege_comes_before_the_bitmap(void **unused)
{
    /* Reference 9.2 */
    struct apicv_cpu *cpu = machine_enter(&m, apicv_caps_skylake(), controls_of(0));
    uint64_t value = 0;

    (void)unused;
    cpu->guest.cpl = 3;
    is_gp(apicv_guest_rdmsr(cpu, 0x808, &value));
    is_gp(apicv_guest_wrmsr(cpu, 0x808, 0));
    assert_int_equal(cpu->guest.rip, 0);
}

/* ---- RDMSR (9.1) ---- */

static void reads_of_every_x2apic_msr(void **unused)
{
    /* Reference 9.1 */
    (void)unused;
    for (unsigned features = 0; features < 8; features++) {
        struct apicv_cpu *cpu = start(features);

        for (uint32_t i = 0; i < 1024; i++)
            page_put(&m, 0, 4 * i, 0x10000001 * i + 5);
        for (uint32_t msr = 0x800; msr < 0x900; msr++) {
            bool virtualized = msr == 0x808 || (features & REGISTERS);
            uint64_t value = 1;
            struct apicv_result result = apicv_guest_rdmsr(cpu, msr, &value);

            if (virtualized) {
                is_nothing(result);
                assert_true(value == page_get8((msr - 0x800) * 16));
            } else {
                assert_int_equal(result.outcome, APICV_HOST_ACCESS);
            }
        }
    }
}

static void without_x2apic_virtualization_msrs_are_the_hosts(void **unused)
{
    /* Reference 9: #GP if the processor's own APIC is in another mode */
    (void)unused;
    for (unsigned host_x2apic = 0; host_x2apic < 2; host_x2apic++) {
        struct apicv_cpu *cpu = machine_enter(
            &m, apicv_caps_skylake(),
            (struct controls){ .pin = 1, .primary = TPR_SHADOW_AND_BITMAPS, .secondary = 0x301 });
        enum apicv_outcome expected = host_x2apic ? APICV_HOST_ACCESS : APICV_GP;
        uint64_t value = 0;

        pass_all();
        pass_msr(&m, 0x1B, true, true);
        cpu->host_x2apic = host_x2apic;
        assert_int_equal(apicv_guest_rdmsr(cpu, 0x808, &value).outcome, expected);
        assert_int_equal(apicv_guest_wrmsr(cpu, 0x808, 0).outcome, expected);
        assert_int_equal(apicv_guest_wrmsr(cpu, 0x80B, 0).outcome, expected);
        assert_int_equal(apicv_guest_wrmsr(cpu, 0x83F, 0x31).outcome, expected);
        assert_int_equal(apicv_guest_rdmsr(cpu, 0x1B, &value).outcome, APICV_HOST_ACCESS);
    }
}

/* ---- WRMSR (9.2) ---- */

static void writes_of_every_x2apic_msr(void **unused)
{
    /* Reference 9.2: which ones are virtualized at all; 0 is legal for all of those but leads to an exit for 83Fh and 830h */
    static const struct {
        uint32_t msr;
        unsigned needs;
        uint32_t exit_at; /* 0: none */
    } virtualized[] = { { 0x808, 0, 0 }, { 0x80B, VID, 0 }, { 0x83F, VID, 0x3F0 }, { 0x830, IPIV, 0x300 } };

    (void)unused;
    for (unsigned features = 0; features < 8; features++) {
        struct apicv_cpu *cpu = start(features);

        for (uint32_t msr = 0x800; msr < 0x900; msr++) {
            struct apicv_result result = apicv_guest_wrmsr(cpu, msr, 0);
            bool found = false;

            for (size_t i = 0; i < 4; i++) {
                if (virtualized[i].msr != msr || (virtualized[i].needs & ~features) != 0)
                    continue;
                found = true;
                if (virtualized[i].exit_at)
                    is_exit(cpu, result, 56, virtualized[i].exit_at);
                else
                    is_nothing(result);
            }
            if (!found)
                assert_int_equal(result.outcome, APICV_HOST_ACCESS);
            enter_again(cpu);
        }
    }
}

static void reserved_bits_fault_and_change_nothing(void **unused)
{
    /* Reference 9.2: 808h and 83Fh [63:8], all of 80Bh, 830h 31:20, 17:16, 13; one by one */
    static const struct {
        uint32_t msr, offset;
        uint64_t reserved;
    } rows[] = {
        { 0x808, 0x080, ~0xFFull }, { 0x80B, 0x0B0, ~0ull }, { 0x83F, 0x3F0, ~0xFFull }, { 0x830, 0x300, 0xFFF32000 }
    };

    (void)unused;
    for (size_t i = 0; i < 4; i++) {
        for (unsigned bit = 0; bit < 64; bit++) {
            struct apicv_cpu *cpu = start(VID | IPIV);
            struct apicv_result result;

            page_put(&m, 0, rows[i].offset, 0x13579BDF);
            page_put(&m, 0, rows[i].offset + 4, 0x2468ACE0);
            result = apicv_guest_wrmsr(cpu, rows[i].msr, 1ull << bit);
            if (rows[i].reserved >> bit & 1) {
                is_gp(result);
                assert_int_equal(cpu->guest.rip, 0);
                assert_true(page_get8(rows[i].offset) == 0x2468ACE013579BDF);
            } else {
                assert_int_not_equal(result.outcome, APICV_GP);
                assert_true(page_get8(rows[i].offset) == 1ull << bit);
            }
        }
    }
}

static void tpr_by_msr(void **unused)
{
    /* Reference 9.2: 8 bytes; then TPR virtualization */
    struct apicv_cpu *cpu = start(VID);

    (void)unused;
    page_put(&m, 0, 0x084, 0xFFFFFFFF);
    is_nothing(apicv_guest_wrmsr(cpu, 0x808, 0x47));
    assert_true(page_get8(0x080) == 0x47);
    assert_int_equal(page_get(&m, 0, 0x0A0), 0x47);
    assert_int_equal(cpu->guest.rip, 3);
}

static void eoi_by_msr(void **unused)
{
    /* Reference 9.2 */
    struct apicv_cpu *cpu = start(VID);

    (void)unused;
    page_put(&m, 0, 0x0B0, 1);
    page_put(&m, 0, 0x0B4, 1);
    is_nothing(apicv_guest_wrmsr(cpu, 0x83F, 0x61));
    is_delivered(apicv_boundary(cpu), 0x61);
    assert_int_equal(cpu->svi, 0x61);
    is_nothing(apicv_guest_wrmsr(cpu, 0x80B, 0));
    assert_true(page_get8(0x0B0) == 0);
    assert_false(page_has(&m, 0, 0x100, 0x61));
    assert_int_equal(cpu->svi, 0);
}

static void self_ipi_by_msr(void **unused)
{
    /* Reference 9.2: every vector */
    (void)unused;
    for (unsigned bochs = 0; bochs < 2; bochs++) {
        for (uint32_t vector = 0; vector < 256; vector++) {
            struct apicv_cpu *cpu = start(VID);
            struct apicv_result result;

            cpu->knobs.self_ipi_msr_stored_on_exit_only = bochs;
            page_put(&m, 0, 0x3F0, 0xAAAA);
            result = apicv_guest_wrmsr(cpu, 0x83F, vector);
            if (vector < 16) {
                is_exit(cpu, result, 56, 0x3F0);
                assert_true(page_get8(0x3F0) == vector);
                assert_int_equal(vmcs_get(cpu, APICV_GUEST_RIP), 3);
                assert_int_equal(vmcs_get(cpu, APICV_GUEST_INTERRUPT_STATUS), 0);
            } else {
                is_nothing(result);
                assert_true(page_get8(0x3F0) == (bochs ? 0xAAAA : vector));
                assert_true(page_has(&m, 0, 0x200, (uint8_t)vector));
                is_delivered(apicv_boundary(cpu), (uint8_t)vector);
            }
        }
    }
}

static void icr_by_msr_in_every_form(void **unused)
{
    /* Reference 9.2: all of bits 19:8 that do not fault; the self shorthand is an exit, whether VID is on or not */
    static const uint8_t vectors[] = { 0x00, 0x0F, 0x10, 0x31, 0xFF };

    (void)unused;
    for (unsigned features = IPIV; features <= (IPIV | VID); features += VID) {
        struct apicv_cpu *cpu = start(features);

        *(uint64_t *)(void *)machine_at(&m, TABLE_PA) = DESCRIPTOR_PA(1) | 1;
        for (uint32_t bits = 0; bits < 0x1000; bits++) {
            for (size_t v = 0; v < sizeof vectors; v++) {
                uint32_t icr = bits << 8 | vectors[v];
                struct apicv_result result;

                if (icr & 0xFFF32000)
                    continue;
                result = apicv_guest_wrmsr(cpu, 0x830, icr);
                assert_true(page_get8(0x300) == icr);
                if ((icr & 0xC9F00) == 0 && vectors[v] >= 16) {
                    is_nothing(result);
                    assert_true(descriptor_has(&m, 1, vectors[v]));
                    machine_at(&m, DESCRIPTOR_PA(1))[vectors[v] / 8] = 0;
                } else {
                    is_exit(cpu, result, 56, 0x300);
                    assert_true(result.exit.trap_like);
                }
                for (uint32_t offset = 0x200; offset < 0x280; offset += 0x10)
                    assert_int_equal(page_get(&m, 0, offset), 0);
                for (unsigned i = 0; i < 4; i++)
                    assert_int_equal(((uint64_t *)(void *)machine_at(&m, DESCRIPTOR_PA(1)))[i], 0);
                enter_again(cpu);
            }
        }
    }
}

static void bit_12_of_the_icr_stays_on_the_page(void **unused)
{
    /* Reference 9.2 and 20, item 3 */
    struct apicv_cpu *cpu = start(VID | IPIV);

    (void)unused;
    is_exit(cpu, apicv_guest_wrmsr(cpu, 0x830, 0x0000000500001031), 56, 0x300);
    assert_true(page_get8(0x300) == 0x0000000500001031);
    enter_again(cpu);
    is_exit(cpu, apicv_guest_wrmsr(cpu, 0x830, 0x40031), 56, 0x300); /* self shorthand */
    assert_int_equal(vmcs_get(cpu, APICV_GUEST_INTERRUPT_STATUS), 0);
}

static void the_destination_by_msr_is_32_bits(void **unused)
{
    /* Reference 9.2, 11: T = EDX */
    struct apicv_cpu *cpu = start(IPIV);

    (void)unused;
    *(uint64_t *)(void *)machine_at(&m, TABLE_PA) = DESCRIPTOR_PA(1) | 1;
    is_nothing(apicv_guest_wrmsr(cpu, 0x830, 0x31));
    assert_true(descriptor_has(&m, 1, 0x31));
    is_exit(cpu, apicv_guest_wrmsr(cpu, 0x830, 0x0100000000000041), 56, 0x300);
    assert_false(descriptor_has(&m, 1, 0x41));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_bit_of_the_bitmap_is_one_msr_and_direction),
        cmocka_unit_test(msrs_outside_of_the_bitmap_exit),
        cmocka_unit_test(privilege_comes_before_the_bitmap),
        cmocka_unit_test(reads_of_every_x2apic_msr),
        cmocka_unit_test(without_x2apic_virtualization_msrs_are_the_hosts),
        cmocka_unit_test(writes_of_every_x2apic_msr),
        cmocka_unit_test(reserved_bits_fault_and_change_nothing),
        cmocka_unit_test(tpr_by_msr),
        cmocka_unit_test(eoi_by_msr),
        cmocka_unit_test(self_ipi_by_msr),
        cmocka_unit_test(icr_by_msr_in_every_form),
        cmocka_unit_test(bit_12_of_the_icr_stays_on_the_page),
        cmocka_unit_test(the_destination_by_msr_is_32_bits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
