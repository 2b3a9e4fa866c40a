/* SPDX-License-Identifier: BSD-2-Clause */
/* Snapshot format 1: docs/SNAPSHOT.md. What a register may hold is in test_state.c. */
#include "fake_host.h"
#include "state_helpers.h"

#include <stdlib.h>
#include <string.h>

#define HEADER 16u
#define ITEM_HEADER 8u

static struct fake_vm fake;
static uint8_t bytes[VLAPIC_SNAPSHOT_MAX];
static size_t length;

static int stop(void **state)
{
    (void)state;
    fake_vm_stop(&fake);
    return 0;
}

static struct vlapic_cpu *start_busy(void)
{
    fake_vm_prepare(&fake, VLAPIC_VENDOR_INTEL);
    fake_vm_start(&fake, 1, NULL);
    busy_state(&fake);
    assert_int_equal(vlapic_snapshot_export_cpu(fake_cpu_at(&fake, 0), bytes, sizeof(bytes), &length), VLAPIC_OK);
    return fake_cpu_at(&fake, 0);
}

static void put16(size_t at, uint32_t value)
{
    bytes[at] = (uint8_t)value;
    bytes[at + 1] = (uint8_t)(value >> 8);
}

static void set_total(size_t total)
{
    put16(12, (uint32_t)total);
    put16(14, (uint32_t)(total >> 16));
}

/* Where the item with this tag stands. */
static size_t find(uint32_t tag)
{
    size_t at = HEADER;

    while (at < length && (bytes[at] | bytes[at + 1] << 8) != (int)tag) {
        at += ITEM_HEADER + (bytes[at + 4] | (size_t)bytes[at + 5] << 8);
    }
    assert_true(at < length);
    return at;
}

static size_t append(uint32_t tag, uint32_t flags, uint32_t size)
{
    size_t at = length;

    memset(bytes + at, 0, ITEM_HEADER + size);
    put16(at, tag);
    put16(at + 2, flags);
    put16(at + 4, size);
    length = at + ITEM_HEADER + size;
    set_total(length);
    return at;
}

static void refused(struct vlapic_cpu *cpu, size_t size, enum vlapic_status status, struct vlapic_snapshot_error *error)
{
    struct vlapic_cpu_state before, after;
    uint8_t *exact = malloc(size + 1); /* so that a sanitizer sees any byte read outside */

    memcpy(exact, bytes, size);
    state_read(cpu, &before);
    assert_int_equal(vlapic_snapshot_import_cpu(cpu, exact, size, VLAPIC_TIME_STOPPED, error), status);
    state_read(cpu, &after);
    assert_same_state(&before, &after);
    free(exact);
}

/* Refused, and told what and where. */
static void refused_at(struct vlapic_cpu *cpu, size_t size, enum vlapic_status status, const char *field, uint32_t tag,
                       size_t offset)
{
    struct vlapic_snapshot_error error = { "nothing", 99, 9999 };

    refused(cpu, size, status, &error);
    assert_string_equal(error.field, field);
    assert_int_equal(error.tag, tag);
    assert_int_equal(error.offset, offset);
}

static void a_snapshot_restores_the_state(void **state)
{
    struct vlapic_cpu *cpu = start_busy();
    struct vlapic_cpu_state before, after;

    (void)state;
    state_read(cpu, &before);
    vlapic_cpu_reset(cpu);
    assert_int_equal(vlapic_snapshot_import_cpu(cpu, bytes, length, VLAPIC_TIME_STOPPED, NULL), VLAPIC_OK);
    state_read(cpu, &after);
    assert_same_state(&before, &after);
}

/* The same bytes on every host, checked by hand against docs/SNAPSHOT.md. */
static void the_bytes_are_as_documented(void **state)
{
    static const uint8_t golden[] = {
        0x76, 0x6C, 0x61, 0x70, 0x69, 0x63, 0x1A, 0x0A, 0x01, 0x00, 0x01, 0x00,
        0x04, 0x02, 0x00, 0x00,                                                 /* header, 516 bytes */
        0x01, 0x00, 0x01, 0x00, 0x04, 0x00, 0x00, 0x00, 0x34, 0x12, 0x00, 0x00, /* apic_id */
        0x02, 0x00, 0x01, 0x00, 0x08, 0x00, 0x00, 0x00, 0x00, 0x09, 0xE0, 0xFE,
        0x00, 0x00, 0x00, 0x00,                                                 /* apic_base */
        0x03, 0x00, 0x01, 0x00, 0x04, 0x00, 0x00, 0x00, 0x34, 0x00, 0x00, 0x00, /* xapic_id */
        0x04, 0x00, 0x01, 0x00, 0x04, 0x00, 0x00, 0x00, 0x5A, 0x00, 0x00, 0x00, /* tpr */
    };
    static const uint32_t id = 0x1234;

    (void)state;
    fake_vm_prepare(&fake, VLAPIC_VENDOR_INTEL);
    fake.config.max_apic_id = 0xFFFF;
    fake_vm_start(&fake, 1, &id);
    guest_write(fake_cpu_at(&fake, 0), VLAPIC_REG_TPR, 0x5A);
    assert_int_equal(vlapic_snapshot_export_cpu(fake_cpu_at(&fake, 0), bytes, sizeof(bytes), &length), VLAPIC_OK);
    assert_int_equal(length, 516);
    assert_memory_equal(bytes, golden, sizeof(golden));
}

/* docs/SNAPSHOT.md, "A vCPU": by tag. */
static const struct {
    const char *name;
    uint32_t width, count;
    size_t offset; /* of the member that holds the value */
} cpu_items[] = {
#define ITEM(member, width, count)                                                                                     \
    {                                                                                                                  \
#member, width, count, offsetof(struct vlapic_cpu_state, member)                                               \
    }
    ITEM(apic_id, 4, 1),       ITEM(apic_base, 8, 1),     ITEM(xapic_id, 4, 1),
    ITEM(tpr, 4, 1),           ITEM(ldr, 4, 1),           ITEM(dfr, 4, 1),
    ITEM(svr, 4, 1),           ITEM(esr, 4, 1),           ITEM(esr_pending, 4, 1),
    ITEM(icr, 8, 1),           ITEM(lvt, 4, 7),           ITEM(lvt_ext, 4, 8),
    ITEM(isr, 4, 8),           ITEM(tmr, 4, 8),           ITEM(irr, 4, 8),
    ITEM(ier, 4, 8),           ITEM(ext_control, 4, 1),   ITEM(initial_count, 4, 1),
    ITEM(divide_config, 4, 1), ITEM(timer_running, 4, 1), ITEM(timer_remaining, 8, 1),
    ITEM(timer_phase, 8, 1),   ITEM(tsc_deadline, 8, 1),  ITEM(time_ns, 8, 1),
    ITEM(events, 4, 1),        ITEM(sipi_vector, 4, 1),
#undef ITEM
};

static uint64_t little_endian(const uint8_t *at, uint32_t width)
{
    uint64_t value = 0;

    while (width-- > 0) {
        value = value << 8 | at[width];
    }
    return value;
}

static uint64_t member(const struct vlapic_cpu_state *s, size_t offset, uint32_t width)
{
    uint32_t narrow;
    uint64_t wide;

    memcpy(&narrow, (const uint8_t *)s + offset, sizeof(narrow));
    if (width == 4) {
        return narrow;
    }
    memcpy(&wide, (const uint8_t *)s + offset, sizeof(wide));
    return wide;
}

static void every_item_has_its_tag_length_flag_and_value(void **state)
{
    struct vlapic_cpu *cpu = start_busy();
    struct vlapic_cpu_state s;
    size_t at = HEADER;

    (void)state;
    state_read(cpu, &s);
    for (uint32_t tag = 1; tag <= sizeof(cpu_items) / sizeof(cpu_items[0]); tag++) {
        uint32_t width = cpu_items[tag - 1].width, count = cpu_items[tag - 1].count;

        assert_int_equal(little_endian(bytes + at, 2), tag);
        assert_int_equal(little_endian(bytes + at + 2, 2), 1);
        assert_int_equal(little_endian(bytes + at + 4, 4), width * count);
        for (uint32_t i = 0; i < count; i++) {
            assert_int_equal(little_endian(bytes + at + ITEM_HEADER + i * width, width),
                             member(&s, cpu_items[tag - 1].offset + i * width, width));
        }
        at += ITEM_HEADER + width * count;
    }
    assert_int_equal(at, length);
}

static void a_snapshot_cut_short_is_refused_at_every_length(void **state)
{
    struct vlapic_cpu *cpu = start_busy();
    size_t full = length;

    (void)state;
    for (size_t size = 0; size < full; size++) {
        refused(cpu, size, VLAPIC_BAD_FORMAT, NULL);
        /* The same with a header that does not lie about the length. */
        if (size >= HEADER) {
            set_total(size);
            refused(cpu, size, VLAPIC_BAD_FORMAT, NULL);
            set_total(full);
        }
    }
}

/* Whatever a spoilt byte gives, it is all or nothing. */
static void a_spoilt_byte_never_gives_half_a_state(void **state)
{
    static const uint8_t changes[] = { 0x01, 0x80, 0xFF, 0x10 };
    struct vlapic_cpu *cpu = start_busy();
    struct vlapic_cpu_state before, after;
    struct vlapic_snapshot_error error;

    (void)state;
    for (size_t at = 0; at < length; at++) {
        for (size_t i = 0; i < sizeof(changes); i++) {
            state_read(cpu, &before);
            bytes[at] ^= changes[i];
            if (vlapic_snapshot_import_cpu(cpu, bytes, length, VLAPIC_TIME_STOPPED, &error) != VLAPIC_OK) {
                assert_non_null(error.field);
                assert_true(error.offset <= length);
                state_read(cpu, &after);
                assert_same_state(&before, &after);
            }
            bytes[at] ^= changes[i];
            assert_int_equal(vlapic_snapshot_import_cpu(cpu, bytes, length, VLAPIC_TIME_STOPPED, NULL), VLAPIC_OK);
            fake_forget(&fake);
        }
    }
}

static void the_header_is_checked(void **state)
{
    struct vlapic_cpu *cpu = start_busy();

    (void)state;
    refused_at(cpu, HEADER - 1, VLAPIC_BAD_FORMAT, "magic", 0, 0);
    bytes[0] ^= 1;
    refused_at(cpu, length, VLAPIC_BAD_FORMAT, "magic", 0, 0);
    bytes[0] ^= 1;
    put16(8, 2);
    refused_at(cpu, length, VLAPIC_BAD_VERSION, "version", 0, 8);
    put16(8, 0x101);
    refused_at(cpu, length, VLAPIC_BAD_VERSION, "version", 0, 8);
    put16(8, 1);
    put16(10, 2);
    refused_at(cpu, length, VLAPIC_BAD_FORMAT, "kind", 0, 10);
    put16(10, 0x101);
    refused_at(cpu, length, VLAPIC_BAD_FORMAT, "kind", 0, 10);
    put16(10, 1);
    set_total(length + 1);
    refused_at(cpu, length, VLAPIC_BAD_FORMAT, "length", 0, 12);
    set_total(length);
    bytes[15] = 1;
    refused_at(cpu, length, VLAPIC_BAD_FORMAT, "length", 0, 12);
}

static void unknown_tags_are_skipped_or_refused_by_their_flag(void **state)
{
    struct vlapic_cpu *cpu = start_busy();
    struct vlapic_snapshot_error error;
    size_t at = append(0x7777, 0, 5);

    (void)state;
    assert_int_equal(vlapic_snapshot_import_cpu(cpu, bytes, length, VLAPIC_TIME_STOPPED, &error), VLAPIC_OK);
    put16(at + 2, 0xFFFE); /* flags that readers ignore */
    assert_int_equal(vlapic_snapshot_import_cpu(cpu, bytes, length, VLAPIC_TIME_STOPPED, &error), VLAPIC_OK);
    put16(at + 2, 1);
    refused_at(cpu, length, VLAPIC_BAD_VERSION, "unknown tag", 0x7777, at);
}

/* The last item first. */
static void turn_items_around(void)
{
    uint8_t turned[VLAPIC_SNAPSHOT_MAX];
    size_t to = length;

    for (size_t at = HEADER; at < length;) {
        size_t size = ITEM_HEADER + (size_t)little_endian(bytes + at + 4, 4);

        to -= size;
        memcpy(turned + to, bytes + at, size);
        at += size;
    }
    assert_int_equal(to, HEADER);
    memcpy(bytes + HEADER, turned + HEADER, length - HEADER);
}

static void items_may_stand_in_any_order(void **state)
{
    struct vlapic_cpu *cpu = start_busy();
    struct vlapic_cpu_state before, after;

    (void)state;
    state_read(cpu, &before);
    turn_items_around();
    vlapic_cpu_reset(cpu);
    assert_int_equal(vlapic_snapshot_import_cpu(cpu, bytes, length, VLAPIC_TIME_STOPPED, NULL), VLAPIC_OK);
    state_read(cpu, &after);
    assert_same_state(&before, &after);
    assert_int_equal(vlapic_snapshot_export_vm(fake.vm, bytes, sizeof(bytes), &length), VLAPIC_OK);
    turn_items_around();
    assert_int_equal(vlapic_snapshot_import_vm(fake.vm, bytes, length, NULL), VLAPIC_OK);
}

static void a_tag_twice_is_refused(void **state)
{
    static const struct {
        const char *field;
        uint32_t tag, size;
    } rows[] = { { "apic_id", 1, 4 }, { "tpr", 4, 4 }, { "ier", 16, 32 }, { "sipi_vector", 26, 4 } };
    struct vlapic_cpu *cpu = start_busy();
    size_t full = length;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t at = append(rows[i].tag, 1, rows[i].size);

        refused_at(cpu, length, VLAPIC_BAD_FORMAT, rows[i].field, rows[i].tag, at);
        length = full;
    }
}

static void each_missing_tag_is_refused_and_named(void **state)
{
    struct vlapic_cpu *cpu = start_busy();

    (void)state;
    for (uint32_t tag = 1; tag <= 26; tag++) {
        size_t at = find(tag);

        put16(at, 0x7777);
        put16(at + 2, 0);
        refused_at(cpu, length, VLAPIC_BAD_FORMAT, cpu_items[tag - 1].name, tag, length);
        put16(at, tag);
    }
}

static void a_wrong_length_is_refused_and_named(void **state)
{
    struct vlapic_cpu *cpu = start_busy();
    size_t at = find(26); /* the last item: a longer one needs more bytes, a shorter one leaves some */

    (void)state;
    assert_int_equal(at + ITEM_HEADER + 4, length);
    put16(at + 4, 8);
    set_total(length + 4);
    memset(bytes + length, 0, 4);
    refused_at(cpu, length + 4, VLAPIC_BAD_FORMAT, "sipi_vector", 26, at);
    put16(at + 4, 9); /* one more than there is */
    refused_at(cpu, length + 4, VLAPIC_BAD_FORMAT, "item", 26, at);
    put16(at + 4, 0xFFFF);
    put16(at + 6, 0xFFFF);
    refused_at(cpu, length + 4, VLAPIC_BAD_FORMAT, "item", 26, at);
    put16(at + 4, 4);
    put16(at + 6, 1);
    refused_at(cpu, length + 4, VLAPIC_BAD_FORMAT, "item", 26, at);
    /* What is left is shorter than an item's header. */
    put16(at + 6, 0);
    refused_at(cpu, length + 4, VLAPIC_BAD_FORMAT, "item", 0, length);
}

static void a_value_out_of_range_names_field_tag_and_place(void **state)
{
    struct vlapic_cpu *cpu = start_busy();

    (void)state;
    bytes[find(13) + ITEM_HEADER] = 1; /* vector 0 in service */
    refused_at(cpu, length, VLAPIC_BAD_VALUE, "isr", 13, find(13));
}

static void a_small_buffer_is_told_what_is_needed(void **state)
{
    struct vlapic_cpu *cpu = start_busy();
    uint8_t little[8] = { 0xAA, 0xAA, 0xAA, 0xAA, 0xAA, 0xAA, 0xAA, 0xAA };
    size_t full = length, needed = 0;

    (void)state;
    assert_int_equal(vlapic_snapshot_export_cpu(cpu, little, sizeof(little), &needed), VLAPIC_TOO_SMALL);
    assert_int_equal(needed, full);
    assert_int_equal(little[0], 0xAA);
    assert_int_equal(vlapic_snapshot_export_cpu(cpu, NULL, 0, &needed), VLAPIC_TOO_SMALL);
    assert_int_equal(needed, full);
    assert_true(full <= VLAPIC_SNAPSHOT_MAX);
}

static void arguments_are_checked(void **state)
{
    struct vlapic_cpu *cpu = start_busy();

    (void)state;
    assert_int_equal(vlapic_snapshot_export_cpu(NULL, bytes, sizeof(bytes), &length), VLAPIC_INVALID);
    assert_int_equal(vlapic_snapshot_export_cpu(cpu, NULL, 1, &length), VLAPIC_INVALID);
    assert_int_equal(vlapic_snapshot_export_cpu(cpu, bytes, sizeof(bytes), NULL), VLAPIC_INVALID);
    assert_int_equal(vlapic_snapshot_import_cpu(NULL, bytes, length, VLAPIC_TIME_STOPPED, NULL), VLAPIC_INVALID);
    assert_int_equal(vlapic_snapshot_import_cpu(cpu, NULL, 0, VLAPIC_TIME_STOPPED, NULL), VLAPIC_INVALID);
    assert_int_equal(vlapic_snapshot_export_vm(NULL, bytes, sizeof(bytes), &length), VLAPIC_INVALID);
    assert_int_equal(vlapic_snapshot_export_vm(fake.vm, NULL, 1, &length), VLAPIC_INVALID);
    assert_int_equal(vlapic_snapshot_export_vm(fake.vm, bytes, sizeof(bytes), NULL), VLAPIC_INVALID);
    assert_int_equal(vlapic_snapshot_import_vm(NULL, bytes, length, NULL), VLAPIC_INVALID);
    assert_int_equal(vlapic_snapshot_import_vm(fake.vm, NULL, 0, NULL), VLAPIC_INVALID);
}

/* Save half-way, load into another vCPU of another VM: the rest goes on the same. */
static void a_scenario_goes_on_in_another_vm(void **state)
{
    struct fake_vm other;
    struct vlapic_cpu *cpu;

    (void)state;
    fake_one_x2apic_cpu(&fake, VLAPIC_VENDOR_INTEL);
    cpu = fake_cpu_at(&fake, 0);
    guest_wrmsr(cpu, VLAPIC_MSR_OF(VLAPIC_REG_SELF_IPI), 0x60);
    assert_int_equal(take_vector(cpu), 0x60);
    guest_wrmsr(cpu, VLAPIC_MSR_OF(VLAPIC_REG_SELF_IPI), 0x61);
    vlapic_cpu_post(cpu, 0x90, true);
    assert_int_equal(vlapic_snapshot_export_cpu(cpu, bytes, sizeof(bytes), &length), VLAPIC_OK);
    fake_one_cpu(&other, VLAPIC_VENDOR_INTEL);
    cpu = fake_cpu_at(&other, 0);
    assert_int_equal(vlapic_snapshot_import_cpu(cpu, bytes, length, VLAPIC_TIME_STOPPED, NULL), VLAPIC_OK);
    assert_int_equal(take_vector(cpu), 0x90);
    guest_eoi(cpu);
    assert_int_equal(fake_last(&other, FAKE_EOI_BROADCAST)->a, 0x90);
    assert_int_equal(take_vector(cpu), -1); /* 60h is in service still, 61h of the same class waits */
    guest_eoi(cpu);
    assert_int_equal(take_vector(cpu), 0x61);
    fake_vm_stop(&other);
}

static void a_vm_like_the_saved_one_is_accepted(void **state)
{
    (void)state;
    fake_one_cpu(&fake, VLAPIC_VENDOR_AMD);
    assert_int_equal(vlapic_snapshot_export_vm(fake.vm, bytes, sizeof(bytes), &length), VLAPIC_OK);
    assert_true(length <= VLAPIC_SNAPSHOT_MAX);
    assert_int_equal(vlapic_snapshot_import_vm(fake.vm, bytes, length, NULL), VLAPIC_OK);
    for (size_t size = 0; size < length; size++) {
        assert_int_equal(vlapic_snapshot_import_vm(fake.vm, bytes, size, NULL), VLAPIC_BAD_FORMAT);
    }
}

static void each_setting_that_differs_is_named(void **state)
{
    static const char *const names[] = {
        "phys_bits",
        "timer_hz",
        "vendor",
        "icr_policy",
        "catch_up",
        "version",
        "max_lvt",
        "ext_lvt_count",
        "ext_features",
        "ext_space",
        "eoi_suppression",
        "x2apic",
        "tsc_deadline",
        "svr_bit9_faults",
        "lowest_in_x2apic",
        "msi_ff_not_broadcast",
        "dest_alias",
        "id_writable",
        "narrow_write_merge",
        "msi_ext_dest",
        "msi_dest32",
        "base_fixed",
        "x2apic_locked",
    };
    struct vlapic_snapshot_error error;

    (void)state;
    fake_one_cpu(&fake, VLAPIC_VENDOR_INTEL);
    assert_int_equal(vlapic_snapshot_export_vm(fake.vm, bytes, sizeof(bytes), &length), VLAPIC_OK);
    for (uint32_t tag = 1; tag <= sizeof(names) / sizeof(names[0]); tag++) {
        size_t at = find(tag);

        assert_int_equal(little_endian(bytes + at + 4, 4), tag == 2 ? 8 : tag >= 6 ? 1 : 4);
        bytes[at + ITEM_HEADER] ^= 2; /* 2 is also no value of a bool */
        assert_int_equal(vlapic_snapshot_import_vm(fake.vm, bytes, length, &error), VLAPIC_MISMATCH);
        assert_string_equal(error.field, names[tag - 1]);
        assert_int_equal(error.tag, tag);
        assert_int_equal(error.offset, at);
        bytes[at + ITEM_HEADER] ^= 2;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_snapshot_restores_the_state, stop),
        cmocka_unit_test_teardown(the_bytes_are_as_documented, stop),
        cmocka_unit_test_teardown(every_item_has_its_tag_length_flag_and_value, stop),
        cmocka_unit_test_teardown(a_snapshot_cut_short_is_refused_at_every_length, stop),
        cmocka_unit_test_teardown(a_spoilt_byte_never_gives_half_a_state, stop),
        cmocka_unit_test_teardown(the_header_is_checked, stop),
        cmocka_unit_test_teardown(unknown_tags_are_skipped_or_refused_by_their_flag, stop),
        cmocka_unit_test_teardown(items_may_stand_in_any_order, stop),
        cmocka_unit_test_teardown(a_tag_twice_is_refused, stop),
        cmocka_unit_test_teardown(each_missing_tag_is_refused_and_named, stop),
        cmocka_unit_test_teardown(a_wrong_length_is_refused_and_named, stop),
        cmocka_unit_test_teardown(a_value_out_of_range_names_field_tag_and_place, stop),
        cmocka_unit_test_teardown(a_small_buffer_is_told_what_is_needed, stop),
        cmocka_unit_test_teardown(arguments_are_checked, stop),
        cmocka_unit_test_teardown(a_scenario_goes_on_in_another_vm, stop),
        cmocka_unit_test_teardown(a_vm_like_the_saved_one_is_accepted, stop),
        cmocka_unit_test_teardown(each_setting_that_differs_is_named, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
