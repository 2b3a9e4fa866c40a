/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory-mapped accesses but for the matrix: what the ICR means, operations of several accesses, access types, EPT, the exit's fields.
 */
#include "apicv_machine.h"

static struct machine m;

static const struct controls everything = { .pin = 1, .primary = APICV_PRIMARY_TPR_SHADOW, .secondary = 0x301 };

static struct apicv_cpu *start(void)
{
    return machine_enter(&m, apicv_caps_sapphire_rapids(), everything);
}

static void enter_again(struct apicv_cpu *cpu)
{
    if (!cpu->in_guest)
        is_nothing(apicv_enter(cpu));
}

/* ---- ICR (8.3) ---- */

/* The reference's mask forms. */
static bool self_by_mask(uint32_t icr)
{
    return (icr & 0xFFF3B700) == 0 && (icr & 0x000C0000) == 0x00040000 && (icr & 0xF0) != 0;
}

static bool unicast_by_mask(uint32_t icr)
{
    return (icr & 0xFFFFBF00) == 0;
}

/* Destination 1 is behind the last index: a unicast ends in an exit, too, but one that set nothing. So the target is 0, which is there. */
static void icr_write_means(struct apicv_cpu *cpu, bool vid, bool ipiv, uint32_t icr)
{
    uint8_t vector = (uint8_t)icr;
    struct apicv_result result;

    page_put(&m, 0, 0x310, 0);
    result = apicv_guest_write(cpu, FRAME_PA + 0x300, 4, icr);
    assert_int_equal(page_get(&m, 0, 0x300), icr);
    if (vid && self_by_mask(icr)) {
        is_nothing(result);
        assert_true(page_has(&m, 0, 0x200, vector));
        assert_int_equal(cpu->rvi, vector);
        page_put(&m, 0, 0x200 + 0x10u * (vector / 32u), 0);
        cpu->rvi = 0;
        cpu->recognised = false;
    } else if (ipiv && unicast_by_mask(icr) && vector >= 16) {
        is_nothing(result);
        assert_true(descriptor_has(&m, 0, vector));
        machine_at(&m, DESCRIPTOR_PA(0))[vector / 8] = 0;
    } else {
        is_exit(cpu, result, 56, 0x300);
        enter_again(cpu);
    }
    for (uint32_t offset = 0; offset < 0x80; offset += 0x10)
        assert_int_equal(page_get(&m, 0, 0x200 + offset), 0);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(((uint64_t *)(void *)machine_at(&m, DESCRIPTOR_PA(0)))[i], 0);
}

static void every_form_of_the_icr(void **unused)
{
    /* Reference 8.3: all of bits 19:8, each of bits 31:20, legal and illegal vectors */
    static const uint8_t vectors[] = { 0x00, 0x0F, 0x10, 0x31, 0xFF };

    (void)unused;
    for (unsigned set = 0; set < 4; set++) {
        bool vid = set & 1;
        bool ipiv = set >> 1;
        struct controls controls = { .pin = 1, .primary = APICV_PRIMARY_TPR_SHADOW, .secondary = 0x101 };
        struct apicv_cpu *cpu;
        uint64_t entry = DESCRIPTOR_PA(0) | 1;

        if (vid)
            controls.secondary |= 0x200;
        if (ipiv)
            controls.tertiary |= 0x10;
        cpu = machine_enter(&m, apicv_caps_sapphire_rapids(), controls);
        *(uint64_t *)(void *)machine_at(&m, TABLE_PA) = entry;
        for (size_t v = 0; v < sizeof vectors; v++) {
            for (uint32_t bits = 0; bits < 0x1000; bits++)
                icr_write_means(cpu, vid, ipiv, bits << 8 | vectors[v]);
            for (uint32_t bit = 20; bit < 32; bit++) {
                icr_write_means(cpu, vid, ipiv, 1u << bit | 0x40000u | vectors[v]);
                icr_write_means(cpu, vid, ipiv, 1u << bit | vectors[v]);
            }
        }
    }
}

static void a_byte_write_at_300h_acts_on_the_dword_on_the_page(void **unused)
{
    /* Reference 8.2: a byte or word write at exactly 080h, 0B0h or 300h is the full action */
    struct apicv_cpu *cpu = start();

    (void)unused;
    page_put(&m, 0, 0x300, 0x00040000); /* shorthand self */
    is_nothing(apicv_guest_write(cpu, FRAME_PA + 0x300, 1, 0x41));
    assert_true(page_has(&m, 0, 0x200, 0x41));
    is_delivered(apicv_boundary(cpu), 0x41);
    page_put(&m, 0, 0x300, 0x00040000);
    is_nothing(apicv_guest_write(cpu, FRAME_PA + 0x300, 2, 0x51));
    is_nothing(apicv_guest_iret(cpu, true));
    is_delivered(apicv_boundary(cpu), 0x51);
}

static void a_write_next_to_a_register_is_none_of_the_register(void **unused)
{
    /* Reference 8.2: offsets compare exactly */
    static const uint32_t offsets[] = { 0x081, 0x082, 0x083, 0x0B1, 0x0B3, 0x301, 0x302, 0x303, 0x383 };

    (void)unused;
    for (size_t i = 0; i < sizeof offsets / sizeof offsets[0]; i++) {
        struct apicv_cpu *cpu = start();

        page_put(&m, 0, 0x300, 0x00040031);
        is_exit(cpu, apicv_guest_write(cpu, FRAME_PA + offsets[i], 1, 0), 56, offsets[i]);
        assert_false(page_has(&m, 0, 0x200, 0x31));
    }
}

static void a_tpr_write_clears_the_bytes_above(void **unused)
{
    /* Reference 8.2 */
    struct apicv_cpu *cpu = start();

    (void)unused;
    is_nothing(apicv_guest_write(cpu, FRAME_PA + 0x080, 4, 0xFFFFFF53));
    assert_int_equal(page_get(&m, 0, 0x080), 0x53);
    assert_int_equal(page_get(&m, 0, 0x0A0), 0x53);
}

/* ---- operations ---- */

static struct apicv_result access_in_operation(struct apicv_cpu *cpu, enum apicv_access_type type, uint32_t offset,
                                               uint32_t size)
{
    struct apicv_access access = { .type = type, .address = FRAME_PA + offset, .size = size };
    uint64_t value = 0x10;

    return apicv_operation_access(cpu, &access, &value);
}

static void after_a_virtualized_write_only_the_same_write_is_virtualized(void **unused)
{
    /* Reference 8.1 and 8.2: the rest of the operation */
    static const struct {
        enum apicv_access_type type;
        uint32_t offset, size;
        bool done;
    } second[] = {
        { APICV_ACCESS_WRITE, 0x0D0, 4, true },  { APICV_ACCESS_WRITE, 0x0D0, 2, false },
        { APICV_ACCESS_WRITE, 0x0D1, 1, false }, { APICV_ACCESS_WRITE, 0x0E0, 4, false },
        { APICV_ACCESS_READ, 0x0D0, 4, false },  { APICV_ACCESS_READ, 0x020, 4, false },
    };

    (void)unused;
    for (size_t i = 0; i < sizeof second / sizeof second[0]; i++) {
        struct apicv_cpu *cpu = start();
        struct apicv_result result;
        uint64_t rip = cpu->guest.rip;

        apicv_operation_begin(cpu);
        is_done(access_in_operation(cpu, APICV_ACCESS_READ, 0x020, 4));
        is_done(access_in_operation(cpu, APICV_ACCESS_WRITE, 0x0D0, 4));
        result = access_in_operation(cpu, second[i].type, second[i].offset, second[i].size);
        if (second[i].done) {
            is_done(result);
            is_exit(cpu, apicv_operation_end(cpu), 56, 0x0D0);
        } else {
            is_exit(cpu, result, 44, (uint32_t)second[i].type << 12 | second[i].offset);
            assert_int_equal(vmcs_get(cpu, APICV_GUEST_RIP), rip);
        }
        assert_int_equal(page_get(&m, 0, 0x0D0), 0x10); /* written already in either case */
    }
}

static void an_operation_that_exits_is_not_emulated(void **unused)
{
    /* Reference 8.2: the page is written, the EOI has not taken place */
    struct apicv_cpu *cpu = start();
    struct apicv_access elsewhere = { .type = APICV_ACCESS_READ, .address = FRAME_PA + 0x390, .size = 4 };
    uint64_t value = 0;

    (void)unused;
    is_nothing(apicv_guest_write(cpu, FRAME_PA + 0x300, 4, 0x40031));
    is_delivered(apicv_boundary(cpu), 0x31);
    apicv_operation_begin(cpu);
    is_done(access_in_operation(cpu, APICV_ACCESS_WRITE, 0x0B0, 4));
    is_exit(cpu, apicv_operation_access(cpu, &elsewhere, &value), 44, 0x0390);
    assert_true(page_has(&m, 0, 0x100, 0x31));
    assert_int_equal(vmcs_get(cpu, APICV_GUEST_INTERRUPT_STATUS), 0x3100);
    assert_int_equal(page_get(&m, 0, 0x0B0), 0x10);
}

static void a_fault_in_the_operation_is_delivered_before_the_emulation(void **unused)
{
    /* Reference 8.2 */
    struct apicv_cpu *cpu = start();
    struct apicv_result result;

    (void)unused;
    apicv_operation_begin(cpu);
    is_done(access_in_operation(cpu, APICV_ACCESS_WRITE, 0x0D0, 4));
    result = apicv_operation_fault(cpu, 14);
    is_exit(cpu, result, 56, 0x0D0);
    assert_true(result.delivered);
    assert_int_equal(result.vector, 14);
    assert_int_equal(result.type, APICV_EVENT_HARDWARE_EXCEPTION);
    assert_int_equal(vmcs_get(cpu, APICV_IDT_VECTORING) >> 31, 0);
}

static void a_fault_whose_delivery_exits_drops_the_emulation(void **unused)
{
    /* Reference 8.2 */
    struct apicv_cpu *cpu = start();

    (void)unused;
    cpu->guest.delivery_accesses = true;
    cpu->guest.delivery_access = (struct apicv_access){
        .type = APICV_ACCESS_DELIVERY, .address = FRAME_PA + 0xFF8, .size = 8, .write = true
    };
    apicv_operation_begin(cpu);
    is_done(access_in_operation(cpu, APICV_ACCESS_WRITE, 0x0D0, 4));
    is_exit(cpu, apicv_operation_fault(cpu, 14), 44, 0x3FF8);
    assert_int_equal(vmcs_get(cpu, APICV_IDT_VECTORING), 0x80000B0E);
    assert_int_equal(vmcs_get(cpu, APICV_IDT_VECTORING_ERROR_CODE), 0);
    assert_int_equal(page_get(&m, 0, 0x0D0), 0x10);
}

static void read_modify_write_is_emulated_once(void **unused)
{
    /* Reference 8.4 */
    struct apicv_cpu *cpu = start();
    uint64_t rip = cpu->guest.rip;

    (void)unused;
    page_put(&m, 0, 0x0F0, 0x0FF);
    is_exit(cpu, apicv_guest_or(cpu, FRAME_PA + 0x0F0, 4, 0x100), 56, 0x0F0);
    assert_int_equal(page_get(&m, 0, 0x0F0), 0x1FF);
    assert_int_equal(vmcs_get(cpu, APICV_GUEST_RIP), rip + 3);
    enter_again(cpu);
    is_nothing(apicv_guest_or(cpu, FRAME_PA + 0x080, 4, 0x40));
    assert_int_equal(page_get(&m, 0, 0x080), 0x40);
}

static void read_modify_write_exits_at_the_first_part_that_is_not_virtualized(void **unused)
{
    /* Reference 8.4; what such an exit is called is open */
    struct apicv_cpu *cpu = start();

    (void)unused;
    is_exit(cpu, apicv_guest_or(cpu, FRAME_PA + 0x030, 4, 1), 44, 0x1030); /* the read is virtualized */
    enter_again(cpu);
    is_exit(cpu, apicv_guest_or(cpu, FRAME_PA + 0x0A0, 4, 1), 44, 0x00A0);
    enter_again(cpu);
    cpu->knobs.rmw_exits_as_write = true;
    is_exit(cpu, apicv_guest_or(cpu, FRAME_PA + 0x0A0, 4, 1), 44, 0x10A0);
}

/* ---- types of access ---- */

static struct apicv_result access_of(struct apicv_cpu *cpu, struct apicv_access access)
{
    uint64_t value = 0;

    access.address = FRAME_PA + 0x020;
    access.size = 4;
    return apicv_guest_access(cpu, &access, &value);
}

static void types_of_access(void **unused)
{
    /* Reference 8.1, 8.4, 8.5 */
    struct apicv_cpu *cpu = start();
    struct apicv_result result;

    (void)unused;
    is_exit(cpu, access_of(cpu, (struct apicv_access){ .type = APICV_ACCESS_FETCH }), 44, 0x2020);
    enter_again(cpu);
    is_nothing(access_of(cpu, (struct apicv_access){ .type = APICV_ACCESS_MONITOR }));
    is_nothing(access_of(cpu, (struct apicv_access){ .type = APICV_ACCESS_READ, .simd = true }));

    /* Guest-physical accesses always exit, with an offset that is not defined, but of no other type. */
    result = access_of(cpu, (struct apicv_access){ .type = APICV_ACCESS_GUEST_PHYSICAL });
    assert_int_equal(result.outcome, APICV_EXIT);
    assert_int_equal(result.exit.reason, 44);
    assert_int_equal(result.exit.qualification >> 12, 15);
    enter_again(cpu);

    cpu->knobs.simd_always_exits = true;
    is_exit(cpu, access_of(cpu, (struct apicv_access){ .type = APICV_ACCESS_READ, .simd = true }), 44, 0x0020);
}

static void monitor_and_asynchronous_accesses_show_in_the_qualification(void **unused)
{
    /* Reference 8.5: types 0 and 4, bit 16 */
    struct apicv_access access = { .type = APICV_ACCESS_MONITOR, .address = FRAME_PA + 0x390, .size = 4 };
    struct apicv_cpu *cpu = start();
    uint64_t value = 0;

    (void)unused;
    is_exit(cpu, apicv_guest_access(cpu, &access, &value), 44, 0x0390);
    enter_again(cpu);
    cpu->knobs.monitor_exits_as_monitor = true;
    is_exit(cpu, apicv_guest_access(cpu, &access, &value), 44, 0x4390);
    enter_again(cpu);
    access.type = APICV_ACCESS_WRITE;
    access.asynchronous = true;
    is_exit(cpu, apicv_guest_access(cpu, &access, &value), 44, 0x11390);
}

static void the_instruction_length_of_an_access_exit_may_be_undefined(void **unused)
{
    /* Reference 8.5 */
    struct apicv_cpu *cpu = start();
    uint64_t value = 0;

    (void)unused;
    cpu->guest.instruction_length = 7;
    (void)apicv_guest_read(cpu, FRAME_PA + 0x390, 4, &value);
    assert_int_equal(vmcs_get(cpu, APICV_EXIT_INSTRUCTION_LENGTH), 7);
    enter_again(cpu);
    cpu->knobs.apic_access_length_undefined = true;
    (void)apicv_guest_read(cpu, FRAME_PA + 0x390, 4, &value);
    assert_int_equal(vmcs_get(cpu, APICV_EXIT_INSTRUCTION_LENGTH), cpu->knobs.poison);
    enter_again(cpu);
    (void)apicv_guest_write(cpu, FRAME_PA + 0x0D0, 4, 0); /* trap-like: never defined */
    assert_int_equal(vmcs_get(cpu, APICV_EXIT_INSTRUCTION_LENGTH), cpu->knobs.poison);
}

/* ---- EPT ---- */

static void the_page_is_found_by_its_physical_address(void **unused)
{
    /* Reference 8: after EPT; a missing mapping has priority */
    struct controls controls = everything;
    struct apicv_cpu *cpu;
    uint64_t value = 0;

    (void)unused;
    controls.secondary |= APICV_SECONDARY_EPT;
    cpu = machine_enter(&m, apicv_caps_skylake(), controls);
    page_put(&m, 0, 0x030, 0x50014);
    is_nothing(apicv_guest_read(cpu, APIC_GPA + 0x030, 4, &value));
    assert_int_equal(value, 0x50014);
    is_exit(cpu, apicv_guest_read(cpu, APIC_GPA + 0x390, 4, &value), 44, 0x0390);
    enter_again(cpu);
    m.unmapped = true;
    is_exit(cpu, apicv_guest_write(cpu, APIC_GPA + 0x390, 4, 0), 48, 0x182);
    assert_int_equal(vmcs_get(cpu, APICV_GUEST_PHYSICAL_ADDRESS), APIC_GPA + 0x390);
    enter_again(cpu);
    is_exit(cpu, apicv_guest_read(cpu, APIC_GPA + 0x030, 4, &value), 48, 0x181);
    enter_again(cpu);
    is_exit(cpu, apicv_guest_or(cpu, APIC_GPA + 0x080, 4, 1), 48, 0x183);
}

static void a_large_page_may_go_by_the_treatment(void **unused)
{
    /* Reference 8: only 4-KiB translations are guaranteed to be recognised */
    struct controls controls = everything;
    struct apicv_cpu *cpu;
    uint64_t value = 0;

    (void)unused;
    controls.secondary |= APICV_SECONDARY_EPT;
    cpu = machine_enter(&m, apicv_caps_skylake(), controls);
    m.large = true;
    is_exit(cpu, apicv_guest_read(cpu, APIC_GPA + 0x390, 4, &value), 44, 0x0390);
    enter_again(cpu);
    cpu->knobs.large_page_bypasses = true;
    machine_at(&m, FRAME_PA)[0x390] = 0x77;
    is_nothing(apicv_guest_read(cpu, APIC_GPA + 0x390, 4, &value));
    assert_int_equal(value, 0x77);
}

static void an_address_without_memory_is_the_hosts_device(void **unused)
{
    struct apicv_cpu *cpu = start();
    uint64_t value = 0;

    (void)unused;
    assert_int_equal(apicv_guest_read(cpu, APIC_GPA + 0x030, 4, &value).outcome, APICV_HOST_ACCESS);
    assert_int_equal(value, 0xFFFFFFFF);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_of_the_icr),
        cmocka_unit_test(a_byte_write_at_300h_acts_on_the_dword_on_the_page),
        cmocka_unit_test(a_write_next_to_a_register_is_none_of_the_register),
        cmocka_unit_test(a_tpr_write_clears_the_bytes_above),
        cmocka_unit_test(after_a_virtualized_write_only_the_same_write_is_virtualized),
        cmocka_unit_test(an_operation_that_exits_is_not_emulated),
        cmocka_unit_test(a_fault_in_the_operation_is_delivered_before_the_emulation),
        cmocka_unit_test(a_fault_whose_delivery_exits_drops_the_emulation),
        cmocka_unit_test(read_modify_write_is_emulated_once),
        cmocka_unit_test(read_modify_write_exits_at_the_first_part_that_is_not_virtualized),
        cmocka_unit_test(types_of_access),
        cmocka_unit_test(monitor_and_asynchronous_accesses_show_in_the_qualification),
        cmocka_unit_test(the_instruction_length_of_an_access_exit_may_be_undefined),
        cmocka_unit_test(the_page_is_found_by_its_physical_address),
        cmocka_unit_test(a_large_page_may_go_by_the_treatment),
        cmocka_unit_test(an_address_without_memory_is_the_hosts_device),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
