/* SPDX-License-Identifier: BSD-2-Clause */
/* The museum, section G: snapshot and migration. See museum.h and docs/SNAPSHOT.md. */
#include "museum.h"
#include "reception.h"

#include <stdlib.h>

#define VECTOR 0xEC
#define PERIODIC 0x200ECu
#define DEADLINE 0x400ECu
#define TSC 1000000000ull
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
/* docs/SNAPSHOT.md: sizes and tags. */
#define HEADER 16u
#define ITEM_HEADER 8u
enum {
    TAG_APIC_ID = 1,
    TAG_APIC_BASE = 2,
    TAG_XAPIC_ID = 3,
    TAG_LVT = 11,
    TAG_ISR = 13,
    TAG_IRR = 15,
    TAG_DIVIDE = 19,
    TAG_DEADLINE = 23
};

static struct fake_vm fake, other;
static struct museum_blob blob;

static int stop(void **state)
{
    (void)state;
    museum_stop(&fake);
    museum_stop(&other);
    return 0;
}

/* xAPIC-on, divide by 1, with a deadline timer. */
static struct vlapic_cpu *start(struct fake_vm *f)
{
    fake_vm_prepare(f, VLAPIC_VENDOR_INTEL);
    f->config.tsc_deadline = true;
    museum_start(f, 1, NULL, false);
    guest_write(fake_cpu_at(f, 0), VLAPIC_REG_DIVIDE_CONFIG, 0xB);
    return fake_cpu_at(f, 0);
}

static void arm(struct vlapic_cpu *cpu, uint32_t lvt, uint32_t count)
{
    guest_set(cpu, VLAPIC_REG_LVT_TIMER, lvt);
    guest_set(cpu, VLAPIC_REG_INITIAL_COUNT, count);
}

static void assert_fires(struct vlapic_cpu *cpu)
{
    assert_int_equal(take_vector(cpu), VECTOR);
    guest_eoi(cpu);
    assert_int_equal(poll_vector(cpu), -1);
}

static void assert_fires_after(struct fake_vm *f, uint64_t ns)
{
    fake_advance_ns(f, ns - 1);
    assert_int_equal(poll_vector(fake_cpu_at(f, 0)), -1);
    fake_advance_ns(f, 1);
    assert_fires(fake_cpu_at(f, 0));
}

static bool is_armed(const struct fake_vm *f)
{
    return f->cpus[0].armed_ns || f->cpus[0].armed_tsc;
}

/* ---- the bytes ---- */

static uint64_t get_number(size_t at, size_t width)
{
    uint64_t value = 0;

    for (size_t i = width; i-- > 0;)
        value = value << 8 | blob.bytes[at + i];
    return value;
}

static void put_number(size_t at, size_t width, uint64_t value)
{
    for (size_t i = 0; i < width; i++)
        blob.bytes[at + i] = (uint8_t)(value >> (8 * i));
}

/* Where the value of the item with this tag stands. */
static size_t value_of(uint32_t tag)
{
    size_t at = HEADER;

    while (at < blob.length && get_number(at, 2) != tag)
        at += ITEM_HEADER + get_number(at + 4, 4);
    assert_true(at < blob.length);
    return at + ITEM_HEADER;
}

/* ---- what is saved ---- */

static void museum_204_a_save_has_what_was_posted_but_not_collected(void **state)
{
    /* crosvm: interrupts on their way to IRR were in no part of the snapshot. */
    struct vlapic_cpu *cpu = start(&fake);

    (void)state;
    assert_true(vlapic_cpu_post(cpu, 0x61, false));
    museum_save(cpu, &blob);
    assert_int_equal(get_number(value_of(TAG_IRR) + 12, 4), 1u << 1); /* word 3, bit 1: 61h */
    museum_restore(start(&other), &blob, VLAPIC_TIME_STOPPED);
    assert_int_equal(poll_vector(fake_cpu_at(&other, 0)), 0x61);
    assert_int_equal(poll_vector(cpu), 0x61); /* saving took nothing away */
}

static void restore_and_count(const struct museum_blob *saved, uint8_t vector)
{
    struct vlapic_cpu *cpu = start(&other);

    museum_restore(cpu, saved, VLAPIC_TIME_STOPPED);
    museum_only(cpu, VLAPIC_REG_ISR, -1, -1);
    assert_int_equal(take_vector(cpu), vector);
    guest_eoi(cpu);
    assert_int_equal(poll_vector(cpu), -1);
    fake_vm_stop(&other);
}

static void museum_205_an_injection_that_did_not_happen_is_undone(void **state)
{
    /* Xen: the vector was in service in the snapshot, and the guest had never seen its handler. */
    struct vlapic_cpu *cpu = start(&fake);

    (void)state;
    assert_true(vlapic_cpu_post(cpu, 0x61, false));
    assert_int_equal(poll_vector(cpu), 0x61);
    museum_save(cpu, &blob); /* prepared, and accept left for after the entry */
    restore_and_count(&blob, 0x61);
    assert_true(vlapic_cpu_accept(cpu, 0x61));
    assert_true(vlapic_cpu_unaccept(cpu, 0x61)); /* prepared and accepted, then taken back */
    museum_save(cpu, &blob);
    restore_and_count(&blob, 0x61);
}

static struct vlapic_cpu *restore_206(void)
{
    struct vlapic_cpu *cpu = start(&fake);

    museum_in_service(cpu, 0x61, true);
    assert_true(vlapic_cpu_post(cpu, 0x71, false));
    assert_true(vlapic_cpu_post(cpu, 0x31, false));
    museum_save(cpu, &blob);
    cpu = start(&other);
    museum_restore(cpu, &blob, VLAPIC_TIME_STOPPED);
    fake_forget(&other);
    return cpu;
}

static void museum_206_priorities_are_derived_after_a_restore(void **state)
{
    /* Xen: what follows from IRR, ISR and TMR was not rebuilt, so an EOI did nothing and a level EOI told nobody. */
    struct vlapic_cpu *cpu = restore_206();

    (void)state;
    assert_int_equal(guest_read(cpu, VLAPIC_REG_PPR), 0x60);
    assert_int_equal(take_vector(cpu), 0x71);
    assert_int_equal(poll_vector(cpu), -1);
    guest_eoi(cpu);
    assert_int_equal(fake_count(&other, FAKE_EOI_BROADCAST), 0);
    assert_int_equal(poll_vector(cpu), -1);
    guest_eoi(cpu);
    assert_int_equal(fake_count(&other, FAKE_EOI_BROADCAST), 1);
    assert_int_equal(fake_last(&other, FAKE_EOI_BROADCAST)->a, 0x61);
    assert_int_equal(take_vector(cpu), 0x31);
}

/* ---- order ---- */

static void museum_208_a_cpu_that_is_not_restored_yet_accepts_nothing(void **state)
{
    /* QEMU: a device restored first sent its interrupt, and the APIC's own restore then wiped it. */
    struct vlapic_cpu *cpu = start(&fake);
    uint32_t accepted = 1;

    (void)state;
    museum_save(cpu, &blob);
    fake_vm_prepare(&other, VLAPIC_VENDOR_INTEL);
    other.config.tsc_deadline = true;
    fake_vm_start(&other, 1, NULL); /* as it is made, in the RESET state */
    cpu = fake_cpu_at(&other, 0);
    assert_false(vlapic_cpu_post(cpu, 0x61, false));
    assert_int_equal(vlapic_vm_msi(other.vm, 0xFEE00000, 0x61, &accepted), VLAPIC_ACCESS_DONE);
    assert_int_equal(accepted, 0); /* the sender is told: nothing is lost in silence */
    museum_restore(cpu, &blob, VLAPIC_TIME_STOPPED);
    assert_int_equal(poll_vector(cpu), -1);
    assert_true(vlapic_cpu_post(cpu, 0x61, false));
    assert_int_equal(vlapic_vm_msi(other.vm, 0xFEE00000, 0x62, &accepted), VLAPIC_ACCESS_DONE);
    assert_int_equal(accepted, 1);
    assert_int_equal(take_vector(cpu), 0x62);
    guest_eoi(cpu);
    assert_int_equal(take_vector(cpu), 0x61);
}

static void museum_208_a_restore_replaces_what_a_running_cpu_had_accepted(void **state)
{
    /* QEMU: restoring over a VM that ran. What it had accepted belongs to the state that goes; nothing is mixed. */
    struct vlapic_cpu *cpu = start(&fake);
    struct vlapic_poll duty;

    (void)state;
    museum_save(cpu, &blob);
    assert_true(vlapic_cpu_post(cpu, 0x61, false));
    assert_int_equal(vlapic_vm_msi(fake.vm, 0xFEE00000, 0x400, NULL), VLAPIC_ACCESS_DONE); /* NMI */
    museum_restore(cpu, &blob, VLAPIC_TIME_STOPPED);
    vlapic_cpu_poll(cpu, &duty);
    assert_int_equal(duty.vector, -1);
    assert_false(duty.nmi);
    museum_only(cpu, VLAPIC_REG_IRR, -1, -1);
    /* The mailbox is not left in a state that hides what comes next. */
    assert_true(vlapic_cpu_enter(cpu));
    fake_forget(&fake);
    assert_true(vlapic_cpu_post(cpu, 0x61, false));
    assert_int_equal(fake_count(&fake, FAKE_KICK), 1);
    vlapic_cpu_exit(cpu);
    assert_int_equal(poll_vector(cpu), 0x61);
}

/* Moves the item with this tag to the end of the snapshot; items may stand in any order. */
static void move_to_end(uint32_t tag)
{
    uint8_t item[256];
    size_t at = value_of(tag) - ITEM_HEADER;
    size_t size = ITEM_HEADER + get_number(at + 4, 4);

    assert_true(size <= sizeof item);
    memcpy(item, blob.bytes + at, size);
    memmove(blob.bytes + at, blob.bytes + at + size, blob.length - at - size);
    memcpy(blob.bytes + blob.length - size, item, size);
}

static void guest_tsc_is(struct vlapic_cpu *cpu, uint64_t tsc)
{
    fake_set_tsc(&other, tsc);
    vlapic_cpu_tsc_changed(cpu);
}

/*
 * One of the orders of APIC_BASE, APIC page, deadline and TSC. The first three are items of one snapshot, in the order
 * given; the TSC is the host's, restored before (as docs/SNAPSHOT.md asks) or after. So 12 of the 24 orders can be told
 * apart.
 */
static void restore_in_order(const uint32_t tags[3], bool tsc_first)
{
    struct vlapic_cpu *cpu = start(&other);

    for (int i = 0; i < 3; i++)
        move_to_end(tags[i]);
    if (tsc_first)
        guest_tsc_is(cpu, TSC);
    museum_restore(cpu, &blob, VLAPIC_TIME_STOPPED);
    if (!tsc_first)
        guest_tsc_is(cpu, TSC);
    assert_int_equal(guest_rdmsr(cpu, VLAPIC_MSR_TSC_DEADLINE), TSC + 5000);
    fake_advance_tsc(&other, 4999);
    assert_int_equal(poll_vector(cpu), -1);
    fake_advance_tsc(&other, 1);
    assert_fires(cpu);
    fake_vm_stop(&other);
}

static void save_deadline(void)
{
    struct vlapic_cpu *cpu = start(&fake);

    fake_set_tsc(&fake, TSC);
    guest_write(cpu, VLAPIC_REG_LVT_TIMER, DEADLINE);
    guest_wrmsr(cpu, VLAPIC_MSR_TSC_DEADLINE, TSC + 5000);
    museum_save(cpu, &blob);
}

static void museum_209_no_order_of_a_restore_loses_the_deadline(void **state)
{
    /* Firecracker, kata, nanvix: the deadline was written before the mode or the TSC was right, and dropped. */
    static const uint32_t orders[][3] = {
        { TAG_APIC_BASE, TAG_LVT, TAG_DEADLINE }, { TAG_APIC_BASE, TAG_DEADLINE, TAG_LVT },
        { TAG_LVT, TAG_APIC_BASE, TAG_DEADLINE }, { TAG_LVT, TAG_DEADLINE, TAG_APIC_BASE },
        { TAG_DEADLINE, TAG_APIC_BASE, TAG_LVT }, { TAG_DEADLINE, TAG_LVT, TAG_APIC_BASE },
    };

    (void)state;
    save_deadline();
    for (size_t i = 0; i < COUNT(orders); i++) {
        restore_in_order(orders[i], true);
        restore_in_order(orders[i], false);
    }
}

static void museum_209_a_tsc_that_is_ahead_does_not_lose_the_deadline(void **state)
{
    /* Firecracker, kata, nanvix: the order that docs/SNAPSHOT.md rules out gives an interrupt too early, not none. */
    struct vlapic_cpu *cpu;

    (void)state;
    save_deadline();
    cpu = start(&other);
    fake_set_tsc(&other, 100 * TSC);
    museum_restore(cpu, &blob, VLAPIC_TIME_STOPPED);
    assert_fires(cpu);
    assert_int_equal(guest_rdmsr(cpu, VLAPIC_MSR_TSC_DEADLINE), 0);
}

/* ---- the timer ---- */

static void museum_212_the_phase_survives(void **state)
{
    /* KVM, Xen: the count began anew from its initial value. */
    struct vlapic_cpu *cpu = start(&fake);

    (void)state;
    arm(cpu, PERIODIC, 1000);
    fake_advance_ns(&fake, 700);
    assert_int_equal(guest_read(cpu, VLAPIC_REG_CURRENT_COUNT), 300);
    museum_save(cpu, &blob);
    cpu = start(&other);
    fake_set_ns(&other, 123456789); /* another clock */
    museum_restore(cpu, &blob, VLAPIC_TIME_STOPPED);
    assert_int_equal(guest_read(cpu, VLAPIC_REG_CURRENT_COUNT), 300);
    assert_fires_after(&other, 300);
    assert_fires_after(&other, 1000);
    assert_fires_after(&other, 1000);
}

static void museum_212_a_count_above_the_initial_one_is_refused(void **state)
{
    /* KVM, Xen: the current count was believed, whatever it was. */
    struct vlapic_cpu_state bad;
    struct vlapic_cpu *cpu = start(&fake);
    const char *field = NULL;

    (void)state;
    arm(cpu, PERIODIC, 1000);
    state_read(cpu, &bad);
    bad.timer_remaining = 1001;
    assert_int_equal(vlapic_cpu_set_state(cpu, &bad, VLAPIC_TIME_STOPPED, &field), VLAPIC_BAD_VALUE);
    assert_string_equal(field, "timer_remaining");
    bad.timer_remaining = 1000;
    assert_int_equal(vlapic_cpu_set_state(cpu, &bad, VLAPIC_TIME_STOPPED, &field), VLAPIC_OK);
}

static void museum_212_a_stopped_timer_is_not_armed(void **state)
{
    /* bhyve: a timer that had not run was started by the restore. */
    struct vlapic_cpu *cpu = start(&fake);

    (void)state;
    arm(cpu, 0x000EC, 1000);
    fake_advance_ns(&fake, 1000);
    assert_fires(cpu);
    museum_save(cpu, &blob);
    cpu = start(&other);
    fake_forget(&other);
    museum_restore(cpu, &blob, VLAPIC_TIME_STOPPED);
    assert_int_equal(fake_count(&other, FAKE_ARM_NS), 0);
    assert_int_equal(guest_read(cpu, VLAPIC_REG_INITIAL_COUNT), 1000);
    assert_int_equal(guest_read(cpu, VLAPIC_REG_CURRENT_COUNT), 0);
}

/* vCPU 0 of `fake` with a one-shot that is due in `ns`, and one of `saved_ns` in the snapshot; 0 for none. */
static struct vlapic_cpu *running_with_another_saved(uint32_t ns, uint32_t saved_ns)
{
    struct vlapic_cpu *cpu = start(&fake);

    arm(cpu, 0x000EC, saved_ns);
    museum_save(cpu, &blob);
    guest_write(cpu, VLAPIC_REG_INITIAL_COUNT, ns);
    return cpu;
}

static void museum_213_a_restored_timer_replaces_the_running_one(void **state)
{
    /* KVM: the old timer was not cancelled and ticked once more. */
    struct vlapic_cpu *cpu = running_with_another_saved(500, 2000);

    (void)state;
    museum_restore(cpu, &blob, VLAPIC_TIME_STOPPED);
    assert_fires_after(&fake, 2000);
    fake_advance_ns(&fake, 10000);
    assert_int_equal(poll_vector(cpu), -1);
}

static void museum_213_a_stopped_timer_replaces_the_running_one(void **state)
{
    /* KVM: the same with nothing to put in its place. */
    struct vlapic_cpu *cpu = running_with_another_saved(500, 0);

    (void)state;
    fake_forget(&fake);
    museum_restore(cpu, &blob, VLAPIC_TIME_STOPPED);
    assert_int_equal(fake_count(&fake, FAKE_CANCEL), 1);
    assert_false(is_armed(&fake));
    fake_advance_ns(&fake, 10000);
    assert_int_equal(poll_vector(cpu), -1);
}

static void museum_213_an_old_expiry_does_not_stand_for_a_new_one(void **state)
{
    /* KVM: the flag that says an expiry is pending was kept, and the next expiry found it set and did nothing. */
    struct vlapic_cpu *cpu = running_with_another_saved(500, 2000);

    (void)state;
    fake_advance_ns(&fake, 500); /* expired, and nobody has looked */
    museum_restore(cpu, &blob, VLAPIC_TIME_STOPPED);
    assert_int_equal(poll_vector(cpu), -1);
    assert_true(vlapic_cpu_halt(cpu));
    fake_forget(&fake);
    fake_advance_ns(&fake, 1999);
    assert_int_equal(fake_count(&fake, FAKE_KICK), 0);
    fake_advance_ns(&fake, 1);
    assert_int_equal(fake_count(&fake, FAKE_KICK), 1);
    vlapic_cpu_exit(cpu);
    assert_fires(cpu);
}

/* ---- hostile bytes ---- */

/* A vCPU in a state in which every register differs from its reset value, and its snapshot. */
static struct vlapic_cpu *start_busy(bool x2apic)
{
    fake_vm_prepare(&fake, VLAPIC_VENDOR_INTEL);
    fake.config.tsc_deadline = true;
    fake_vm_start(&fake, 1, NULL);
    if (x2apic)
        guest_enable_x2apic(fake_cpu_at(&fake, 0));
    busy_state(&fake);
    museum_save(fake_cpu_at(&fake, 0), &blob);
    return fake_cpu_at(&fake, 0);
}

static size_t object_bytes(void)
{
    struct vlapic_layout layout;

    assert_int_equal(vlapic_cpu_layout(&fake.config, &layout), VLAPIC_OK);
    return layout.bytes;
}

static struct vlapic_snapshot_error error;

/* Imports `size` bytes from a block of just that size. A refusal leaves each byte of the object as it was. */
static enum vlapic_status try_import(struct vlapic_cpu *cpu, size_t size)
{
    static uint8_t before[16384];
    size_t bytes = object_bytes();
    uint8_t *exact = malloc(size > 0 ? size : 1); /* a sanitizer sees a read past the end */
    enum vlapic_status status;

    assert_non_null(exact);
    assert_true(bytes <= sizeof before);
    memcpy(exact, blob.bytes, size);
    memcpy(before, fake.cpus[0].memory, bytes);
    status = vlapic_snapshot_import_cpu(cpu, exact, size, VLAPIC_TIME_STOPPED, &error);
    if (status != VLAPIC_OK)
        assert_memory_equal(before, fake.cpus[0].memory, bytes);
    free(exact);
    return status;
}

/* Element `index` of an item changed: refused by name, and accepted again when it is put back. */
static void refuses(struct vlapic_cpu *cpu, uint32_t tag, size_t index, uint64_t value, enum vlapic_status status)
{
    size_t width = tag == TAG_APIC_BASE ? 8 : 4;
    size_t at = value_of(tag) + width * index;
    uint64_t good = get_number(at, width);

    put_number(at, width, value);
    assert_int_equal(try_import(cpu, blob.length), status);
    assert_int_equal(error.tag, tag);
    put_number(at, width, good);
    assert_int_equal(try_import(cpu, blob.length), VLAPIC_OK);
    fake_forget(&fake);
}

static void museum_214_impossible_modes_are_refused(void **state)
{
    /* Xen: the fields of a saved APIC were loaded as they were, and impossible states were run. */
    struct vlapic_cpu *cpu = start_busy(false);

    (void)state;
    refuses(cpu, TAG_APIC_BASE, 0, 0xFEE00500, VLAPIC_BAD_VALUE); /* EXTD without EN */
    for (unsigned bit = 0; bit < 64; bit++)
        if (bit < 8 || bit == 9 || bit >= 52)
            refuses(cpu, TAG_APIC_BASE, 0, 0xFEE00900 | 1ull << bit, VLAPIC_BAD_VALUE);
}

static void museum_214_impossible_register_values_are_refused(void **state)
{
    /* Xen: the same with the registers; vectors below 16 and a reserved divisor indexed past tables. */
    struct vlapic_cpu *cpu = start_busy(false);
    /* Bits that exist nowhere in the entries, in the order of the version register. */
    static const uint32_t reserved[] = { 0xFFF8FF00, 0xFFFEF800, 0xFFFEF800, 0xFFFE1800, 0xFFFE5800, 0xFFFEFF00 };

    (void)state;
    for (unsigned v = 0; v < 16; v++) {
        refuses(cpu, TAG_ISR, 0, 1u << v, VLAPIC_BAD_VALUE);
        refuses(cpu, TAG_IRR, 0, 1u << v, VLAPIC_BAD_VALUE);
    }
    refuses(cpu, TAG_DIVIDE, 0, 4, VLAPIC_BAD_VALUE);
    for (size_t entry = 0; entry < COUNT(reserved); entry++) {
        uint64_t good = get_number(value_of(TAG_LVT) + 4 * entry, 4);

        for (unsigned bit = 0; bit < 32; bit++)
            if (reserved[entry] >> bit & 1)
                refuses(cpu, TAG_LVT, entry, good ^ 1u << bit, VLAPIC_BAD_VALUE);
    }
}

static void museum_214_a_wrong_id_is_refused(void **state)
{
    /* Xen: in x2APIC mode the ID of the snapshot was taken over, and messages went astray. */
    struct vlapic_cpu *cpu = start_busy(true);

    (void)state;
    refuses(cpu, TAG_APIC_ID, 0, 1, VLAPIC_MISMATCH);
    refuses(cpu, TAG_XAPIC_ID, 0, 1, VLAPIC_MISMATCH);
    refuses(cpu, TAG_XAPIC_ID, 0, 0x100, VLAPIC_BAD_VALUE);
    assert_int_equal(guest_rdmsr(cpu, 0x802), 0);
}

static void museum_214_a_wrong_length_is_refused(void **state)
{
    /* Xen: a record shorter or longer than expected was read nevertheless. */
    struct vlapic_cpu *cpu = start_busy(false);

    (void)state;
    for (size_t size = 0; size < blob.length; size++)
        assert_int_equal(try_import(cpu, size), VLAPIC_BAD_FORMAT);
    for (size_t extra = 1; extra <= 64; extra++)
        assert_int_equal(try_import(cpu, blob.length + extra), VLAPIC_BAD_FORMAT);
    put_number(12, 4, blob.length + 1);
    assert_int_equal(try_import(cpu, blob.length + 1), VLAPIC_BAD_FORMAT);
    put_number(12, 4, blob.length);
    assert_int_equal(try_import(cpu, blob.length), VLAPIC_OK);
}

/* A few accesses of the guest, so that a state that should not be has a chance to show. */
static void use(struct vlapic_cpu *cpu)
{
    int vector = take_vector(cpu);
    struct vlapic_poll duty;
    uint64_t value;

    (void)vlapic_cpu_mmio_read(cpu, VLAPIC_REG_CURRENT_COUNT, 4, &value);
    (void)vlapic_cpu_mmio_write(cpu, VLAPIC_REG_EOI, 4, 0);
    (void)vlapic_cpu_msr_write(cpu, VLAPIC_MSR_OF(VLAPIC_REG_EOI), 0);
    vlapic_cpu_poll(cpu, &duty);
    assert_true(vector < 0 || vector >= 16);
}

#define MUTATIONS 1000000u

static void museum_214_a_million_mutations_give_all_or_nothing(void **state)
{
    /* Xen: what was not thought of in particular. Each mutation changes one to four bytes of a good snapshot. */
    struct vlapic_cpu *cpu = start_busy(false);
    struct museum_blob good = blob;
    static uint8_t before[16384];
    size_t bytes = object_bytes();
    uint64_t random = 0x214;
    unsigned accepted = 0;

    (void)state;
    assert_true(bytes <= sizeof before);
    memcpy(before, fake.cpus[0].memory, bytes);
    for (unsigned i = 0; i < MUTATIONS; i++) {
        unsigned changes = 1 + next_random(&random) % 4;

        blob = good;
        for (unsigned c = 0; c < changes; c++)
            blob.bytes[next_random(&random) % blob.length] = (uint8_t)next_random(&random);
        if (vlapic_snapshot_import_cpu(cpu, blob.bytes, blob.length, VLAPIC_TIME_STOPPED, NULL) != VLAPIC_OK) {
            if (memcmp(before, fake.cpus[0].memory, bytes) != 0)
                fail_msg("mutation %u was refused, but something changed", i);
            continue;
        }
        use(cpu);
        fake_forget(&fake);
        accepted++;
        memcpy(before, fake.cpus[0].memory, bytes);
    }
    assert_in_range(accepted, 1000, MUTATIONS / 2); /* both ways were tried */
}

/* ---- the format ---- */

static void museum_215_the_same_state_is_the_same_bytes(void **state)
{
    /* Bochs: handles of the host's timers were saved, so that no two saves were alike. */
    static struct museum_blob second;
    struct vlapic_cpu *cpu;

    (void)state;
    (void)start_busy(false);
    /* Another history that ends in the same state, with other cookies and other vCPUs around. */
    fake_vm_prepare(&other, VLAPIC_VENDOR_INTEL);
    other.config.tsc_deadline = true;
    museum_start(&other, 3, NULL, true);
    cpu = fake_cpu_at(&other, 0);
    museum_in_service(cpu, 0x81, true);
    arm(cpu, PERIODIC, 12345);
    vlapic_cpu_reset(cpu);
    other.now_ns = 0;
    busy_state(&other);
    museum_save(cpu, &second);
    assert_int_equal(second.length, blob.length);
    assert_memory_equal(second.bytes, blob.bytes, blob.length);
}

static void museum_215_a_restore_keeps_the_hosts_handles(void **state)
{
    /* Bochs, v86: after a restore the timer of the saving instance's handle was armed. */
    struct vlapic_cpu *cpu = start(&fake);

    (void)state;
    arm(cpu, PERIODIC, 1000);
    museum_save(cpu, &blob);
    cpu = start(&other);
    fake_forget(&fake);
    museum_restore(cpu, &blob, VLAPIC_TIME_STOPPED);
    assert_ptr_equal(vlapic_cpu_cookie(cpu), &other.cpus[0]);
    assert_true(is_armed(&other));
    assert_int_equal(fake.call_count, 0);
    assert_fires_after(&other, 1000);
}

static void museum_215_an_unknown_version_is_refused(void **state)
{
    /* v86: an image of another version was read as if it were of this one. */
    struct vlapic_cpu *cpu = start_busy(false);

    (void)state;
    for (uint32_t version = 0; version <= 0xFFFF; version++) {
        put_number(8, 2, version);
        assert_int_equal(vlapic_snapshot_import_cpu(cpu, blob.bytes, blob.length, VLAPIC_TIME_STOPPED, NULL),
                         version == 1 ? VLAPIC_OK : VLAPIC_BAD_VERSION);
    }
}

/* A snapshot of format 1, put together by hand from docs/SNAPSHOT.md; one line an item where it fits. */
static const uint8_t format_1[] = {
    /* clang-format off */
    0x76, 0x6C, 0x61, 0x70, 0x69, 0x63, 0x1A, 0x0A, 0x01, 0x00, 0x01, 0x00, 0x04, 0x02, 0x00, 0x00,
    0x01, 0x00, 0x01, 0x00, 0x04, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, /* apic_id */
    0x02, 0x00, 0x01, 0x00, 0x08, 0x00, 0x00, 0x00, 0x00, 0x09, 0xE0, 0xFE, 0x00, 0x00, 0x00, 0x00, /* apic_base */
    0x03, 0x00, 0x01, 0x00, 0x04, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, /* xapic_id */
    0x04, 0x00, 0x01, 0x00, 0x04, 0x00, 0x00, 0x00, 0x15, 0x00, 0x00, 0x00, /* tpr */
    0x05, 0x00, 0x01, 0x00, 0x04, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x5A, /* ldr */
    0x06, 0x00, 0x01, 0x00, 0x04, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xFF, 0x0F, /* dfr */
    0x07, 0x00, 0x01, 0x00, 0x04, 0x00, 0x00, 0x00, 0xE7, 0x03, 0x00, 0x00, /* svr */
    0x08, 0x00, 0x01, 0x00, 0x04, 0x00, 0x00, 0x00, 0x20, 0x00, 0x00, 0x00, /* esr */
    0x09, 0x00, 0x01, 0x00, 0x04, 0x00, 0x00, 0x00, 0xC0, 0x00, 0x00, 0x00, /* esr_pending */
    0x0A, 0x00, 0x01, 0x00, 0x08, 0x00, 0x00, 0x00, 0xB7, 0x08, 0x0C, 0x00, 0x00, 0x00, 0x00, 0xEE, /* icr */
    0x0B, 0x00, 0x01, 0x00, 0x1C, 0x00, 0x00, 0x00, 0xD7, 0x00, 0x02, 0x00, 0xD1, 0x02, 0x00, 0x00, /* lvt */
    0xD2, 0x04, 0x00, 0x00, 0xD5, 0xE0, 0x00, 0x00, 0xD3, 0x24, 0x00, 0x00, 0xD4, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x01, 0x00,
    0x0C, 0x00, 0x01, 0x00, 0x20, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x01, 0x00, /* lvt_ext */
    0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x01, 0x00,
    0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x01, 0x00,
    0x0D, 0x00, 0x01, 0x00, 0x20, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, /* isr */
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x0E, 0x00, 0x01, 0x00, 0x20, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, /* tmr */
    0x00, 0x00, 0x04, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x20, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x0F, 0x00, 0x01, 0x00, 0x20, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, /* irr */
    0x02, 0x00, 0x04, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x20, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x10, 0x00, 0x01, 0x00, 0x20, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, /* ier */
    0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
    0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
    0x11, 0x00, 0x01, 0x00, 0x04, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, /* ext_control */
    0x12, 0x00, 0x01, 0x00, 0x04, 0x00, 0x00, 0x00, 0x67, 0x45, 0x23, 0x01, /* initial_count */
    0x13, 0x00, 0x01, 0x00, 0x04, 0x00, 0x00, 0x00, 0x0B, 0x00, 0x00, 0x00, /* divide_config */
    0x14, 0x00, 0x01, 0x00, 0x04, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, /* timer_running */
    0x15, 0x00, 0x01, 0x00, 0x08, 0x00, 0x00, 0x00, 0x7F, 0x41, 0x23, 0x01, 0x00, 0x00, 0x00, 0x00, /* remaining */
    0x16, 0x00, 0x01, 0x00, 0x08, 0x00, 0x00, 0x00, 0x80, 0xB2, 0xE6, 0x0E, 0x00, 0x00, 0x00, 0x00, /* timer_phase */
    0x17, 0x00, 0x01, 0x00, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, /* tsc_deadline */
    0x18, 0x00, 0x01, 0x00, 0x08, 0x00, 0x00, 0x00, 0x55, 0x44, 0x33, 0x22, 0x11, 0x00, 0x00, 0x00, /* time_ns */
    0x19, 0x00, 0x01, 0x00, 0x04, 0x00, 0x00, 0x00, 0x46, 0x00, 0x00, 0x00, /* events */
    0x1A, 0x00, 0x01, 0x00, 0x04, 0x00, 0x00, 0x00, 0x9A, 0x00, 0x00, 0x00, /* sipi_vector */
    /* clang-format on */
};

static void museum_215_an_old_image_loads(void **state)
{
    /* v86: the order of the fields changed, and old images were misread. Format 1 is the oldest: it has to load. */
    struct vlapic_cpu_state expected = {
        .apic_base = 0xFEE00900,
        .tpr = 0x15,
        .ldr = 0x5A000000,
        .dfr = 0x0FFFFFFF,
        .svr = 0x3E7,
        .esr = 0x20,
        .esr_pending = 0xC0,
        .icr = 0xEE000000000C08B7,
        .lvt = { 0x200D7, 0x2D1, 0x4D2, 0xE0D5, 0x24D3, 0xD4, 0x10000 },
        .lvt_ext = { 0x10000, 0x10000, 0x10000, 0x10000, 0x10000, 0x10000, 0x10000, 0x10000 },
        .isr = { [4] = 1u << 19 },                                 /* 93h */
        .tmr = { [2] = 1u << 18, [4] = 1u << 19, [6] = 1u << 21 }, /* 52h, 93h, D5h */
        .irr = { [2] = 1u << 1 | 1u << 18, [6] = 1u << 21 },       /* 41h, 52h, D5h */
        .ier = { ~0u, ~0u, ~0u, ~0u, ~0u, ~0u, ~0u, ~0u },
        .initial_count = 0x01234567,
        .divide_config = 0xB,
        .timer_running = 1,
        .timer_remaining = 0x0123417F,
        .timer_phase = 250000000,
        .events = VLAPIC_EVENT_SIPI | VLAPIC_EVENT_NMI | VLAPIC_EVENT_LINE0,
        .sipi_vector = 0x9A,
    };
    struct vlapic_cpu_state loaded;
    struct vlapic_cpu *cpu;

    (void)state;
    expected.size = sizeof expected;
    cpu = start(&fake);
    memcpy(blob.bytes, format_1, sizeof format_1);
    blob.length = sizeof format_1;
    museum_restore(cpu, &blob, VLAPIC_TIME_STOPPED);
    state_read(cpu, &loaded); /* time_ns is the time of this reading: zero */
    assert_same_state(&expected, &loaded);
}

/* ---- reset ---- */

static void fill(struct fake_vm *f, bool x2apic)
{
    struct vlapic_cpu *cpu = fake_cpu_at(f, 0);

    if (x2apic)
        guest_enable_x2apic(cpu);
    busy_state(f);
    vlapic_cpu_lint(cpu, 0, false); /* a pin is not part of the APIC and keeps its level */
    for (uint32_t data = 0x200; data <= 0x700; data += 0x100)
        (void)vlapic_vm_msi(f->vm, 0xFEEFF000, data, NULL); /* SMI, NMI, INIT, ExtINT stay latched */
    guest_icr(cpu, 0, 0x40612);                             /* a SIPI to itself too */
    assert_true(vlapic_cpu_post(cpu, 0xE1, true));
    vlapic_cpu_lvt_event(cpu, VLAPIC_LVT_THERMAL);
    vlapic_cpu_timer_expired(cpu);
}

static void reset_equals_new(enum vlapic_vendor vendor, bool x2apic)
{
    static struct museum_blob fresh, busy;

    for (int i = 0; i < 2; i++) {
        struct fake_vm *f = i == 0 ? &fake : &other;

        fake_vm_prepare(f, vendor);
        f->config.max_lvt = 6;
        f->config.ext_space = vendor == VLAPIC_VENDOR_AMD;
        f->config.id_writable = true;
        fake_vm_start(f, 1, NULL);
    }
    museum_save(fake_cpu_at(&other, 0), &fresh);
    fill(&fake, x2apic);
    museum_save(fake_cpu_at(&fake, 0), &busy);
    assert_memory_not_equal(busy.bytes, fresh.bytes, fresh.length);
    vlapic_cpu_reset(fake_cpu_at(&fake, 0));
    fake_set_ns(&fake, 0); /* the time stamp aside */
    museum_save(fake_cpu_at(&fake, 0), &blob);
    assert_int_equal(blob.length, fresh.length);
    assert_memory_equal(blob.bytes, fresh.bytes, fresh.length);
    assert_int_equal(poll_vector(fake_cpu_at(&fake, 0)), -1);
    (void)stop(NULL);
}

static void museum_217_reset_leaves_nothing(void **state)
{
    /* OpenVMM: the list of what a reset clears was not complete, and old interrupts came after the reboot. */
    (void)state;
    for (int x2apic = 0; x2apic < 2; x2apic++) {
        reset_equals_new(VLAPIC_VENDOR_INTEL, x2apic != 0);
        reset_equals_new(VLAPIC_VENDOR_AMD, x2apic != 0);
    }
}

static void museum_217_nothing_but_reset_and_init_resets(void **state)
{
    /* coconut-svsm: setting the registers of a vCPU also reset its APIC. What a host does around that leaves ours. */
    struct vlapic_cpu *cpu = start_busy(false);
    static struct museum_blob after;

    (void)state;
    vlapic_cpu_load(cpu);
    assert_int_equal(poll_vector(cpu), BUSY_LINT0);
    assert_true(vlapic_cpu_enter(cpu));
    vlapic_cpu_exit(cpu);
    assert_true(vlapic_cpu_halt(cpu));
    vlapic_cpu_exit(cpu);
    vlapic_cpu_put(cpu);
    vlapic_cpu_detach(cpu);
    assert_int_equal(vlapic_cpu_attach(cpu), VLAPIC_OK);
    vlapic_cpu_tsc_changed(cpu);
    museum_save(cpu, &after);
    assert_memory_equal(after.bytes, blob.bytes, blob.length);
}

#define TEST(name) cmocka_unit_test_teardown(name, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(museum_204_a_save_has_what_was_posted_but_not_collected),
        TEST(museum_205_an_injection_that_did_not_happen_is_undone),
        TEST(museum_206_priorities_are_derived_after_a_restore),
        TEST(museum_208_a_cpu_that_is_not_restored_yet_accepts_nothing),
        TEST(museum_208_a_restore_replaces_what_a_running_cpu_had_accepted),
        TEST(museum_209_no_order_of_a_restore_loses_the_deadline),
        TEST(museum_209_a_tsc_that_is_ahead_does_not_lose_the_deadline),
        TEST(museum_212_the_phase_survives),
        TEST(museum_212_a_count_above_the_initial_one_is_refused),
        TEST(museum_212_a_stopped_timer_is_not_armed),
        TEST(museum_213_a_restored_timer_replaces_the_running_one),
        TEST(museum_213_a_stopped_timer_replaces_the_running_one),
        TEST(museum_213_an_old_expiry_does_not_stand_for_a_new_one),
        TEST(museum_214_impossible_modes_are_refused),
        TEST(museum_214_impossible_register_values_are_refused),
        TEST(museum_214_a_wrong_id_is_refused),
        TEST(museum_214_a_wrong_length_is_refused),
        TEST(museum_214_a_million_mutations_give_all_or_nothing),
        TEST(museum_215_the_same_state_is_the_same_bytes),
        TEST(museum_215_a_restore_keeps_the_hosts_handles),
        TEST(museum_215_an_unknown_version_is_refused),
        TEST(museum_215_an_old_image_loads),
        TEST(museum_217_reset_leaves_nothing),
        TEST(museum_217_nothing_but_reset_and_init_resets),
    };
    return cmocka_run_group_tests_name("museum, section G", tests, NULL, NULL);
}
