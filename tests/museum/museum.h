/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The museum: published bugs of other local APICs, each a test of ours. A test is named museum_<number>_<rule>; its first comment
 * says whose bug it was. An entry that cannot be tested is a skip that prints why, never a pass. entries.txt has the numbers,
 * tools/check-museum holds the tests against it.
 */
#ifndef TESTS_MUSEUM_MUSEUM_H
#define TESTS_MUSEUM_MUSEUM_H

#include "fake_host.h"
#include "state_helpers.h"

#include <string.h>

/* The body of a test that cannot run. `why` begins with "vmx: ", "svm: " or "not applicable because ". */
#define MUSEUM_SKIP(why)                                                                                               \
    do {                                                                                                               \
        print_message("museum skip: %s: %s\n", __func__, (why));                                                       \
        skip();                                                                                                        \
    } while (0)

/* ---- starting states ---- */

/* RESET, running, software-enabled; in x2APIC mode if asked for. An AP is made to run without the SIPI that it waits for. */
static inline void museum_fresh(struct vlapic_cpu *cpu, bool x2apic)
{
    struct vlapic_poll duty;

    vlapic_cpu_reset(cpu);
    vlapic_cpu_poll(cpu, &duty);
    if (duty.wait_for_sipi) {
        struct vlapic_cpu_state state;

        state_read(cpu, &state);
        state.events &= ~VLAPIC_EVENT_WAIT_FOR_SIPI;
        assert_int_equal(vlapic_cpu_set_state(cpu, &state, VLAPIC_TIME_STOPPED, NULL), VLAPIC_OK);
    }
    guest_software_enable(cpu);
    if (x2apic)
        guest_enable_x2apic(cpu);
    assert_int_equal(poll_vector(cpu), -1);
}

/*
 * Makes the VM of a prepared host, all `count` vCPUs running and software-enabled: xAPIC-on or x2APIC-on in the words of the
 * reference. The IDs are 0, 1, 2, ... for NULL; vCPU 0 is the BSP.
 */
static inline void museum_start(struct fake_vm *f, unsigned count, const uint32_t *apic_ids, bool x2apic)
{
    fake_vm_start(f, count, apic_ids);
    for (unsigned i = 0; i < count; i++)
        museum_fresh(fake_cpu_at(f, i), x2apic);
    fake_forget(f);
}

/* The same with default settings. */
static inline void museum_on(struct fake_vm *f, enum vlapic_vendor vendor, unsigned count, bool x2apic)
{
    fake_vm_prepare(f, vendor);
    museum_start(f, count, NULL, x2apic);
}

/* One vCPU with everything that can be configured, every register with a value of its own; the error LVT is masked, so that
 * accesses to reserved addresses leave IRR alone. */
static inline struct vlapic_cpu *museum_busy(struct fake_vm *f, enum vlapic_vendor vendor, bool x2apic)
{
    struct vlapic_cpu *cpu;

    fake_vm_prepare(f, vendor);
    f->config.max_lvt = 6;
    museum_start(f, 1, NULL, x2apic);
    cpu = fake_cpu_at(f, 0);
    busy_state(f);
    guest_set(cpu, VLAPIC_REG_LVT_ERROR, 0x100D4);
    fake_forget(f);
    return cpu;
}

/* For teardowns, so that a failed test leaves nothing behind. */
static inline void museum_stop(struct fake_vm *f)
{
    if (f->vm)
        fake_vm_stop(f);
}

/* ---- doing ---- */

/* Makes a vector in service: SET and ACK. */
static inline void museum_in_service(struct vlapic_cpu *cpu, uint8_t vector, bool level)
{
    assert_true(vlapic_cpu_post(cpu, vector, level));
    assert_int_equal(take_vector(cpu), vector);
}

/* An IPI to one APIC ID without shorthand, in either mode; in xAPIC mode the ID has 8 bits. */
static inline void museum_ipi(struct vlapic_cpu *from, uint32_t apic_id, uint32_t low)
{
    bool x2apic = (vlapic_cpu_apic_base(from) & VLAPIC_BASE_EXTD) != 0;

    guest_icr(from, x2apic ? apic_id : apic_id << 24, low);
}

/* The core takes an INIT that was sent to it, as INIT(n) of the reference. */
static inline void museum_take_init(struct vlapic_cpu *cpu)
{
    struct vlapic_poll duty;

    vlapic_cpu_poll(cpu, &duty);
    assert_true(duty.init);
    vlapic_cpu_take_init(cpu);
}

/* ---- looking ---- */

/* Fails unless exactly these vectors are set in ISR, TMR or IRR as the guest reads it; -1 stands for no vector. */
static inline void museum_only(struct vlapic_cpu *cpu, uint32_t base, int first, int second)
{
    for (int v = 0; v < 256; v++) {
        bool expected = v == first || v == second;

        if (guest_bit(cpu, base, (uint8_t)v) != expected)
            fail_msg("vector %#x in %#x is %s", (unsigned)v, base, expected ? "clear" : "set");
    }
}

/* Fails unless the whole state is this one. */
static inline void museum_state_is(struct vlapic_cpu *cpu, const struct vlapic_cpu_state *expected)
{
    struct vlapic_cpu_state actual;

    state_read(cpu, &actual);
    assert_same_state(expected, &actual);
}

static inline struct vlapic_cpu_stats museum_stats(struct vlapic_cpu *cpu)
{
    struct vlapic_cpu_stats stats;

    assert_int_equal(vlapic_cpu_get_stats(cpu, &stats, sizeof stats), VLAPIC_OK);
    return stats;
}

/* ---- save and restore ---- */

struct museum_blob {
    uint8_t bytes[VLAPIC_SNAPSHOT_MAX];
    size_t length;
};

static inline void museum_save(struct vlapic_cpu *cpu, struct museum_blob *blob)
{
    memset(blob, 0, sizeof *blob);
    assert_int_equal(vlapic_snapshot_export_cpu(cpu, blob->bytes, sizeof blob->bytes, &blob->length), VLAPIC_OK);
}

/* The value of the item with this tag: docs/SNAPSHOT.md. */
static inline uint8_t *museum_item(struct museum_blob *blob, unsigned tag)
{
    for (size_t at = 16; at + 8 <= blob->length;) {
        uint8_t *item = blob->bytes + at;

        if ((item[0] | (unsigned)item[1] << 8) == tag)
            return item + 8;
        at += 8 + (item[4] | (size_t)item[5] << 8);
    }
    fail_msg("no item %u", tag);
    return NULL;
}

static inline void museum_restore(struct vlapic_cpu *cpu, const struct museum_blob *blob, enum vlapic_time time)
{
    struct vlapic_snapshot_error error = { 0 };

    if (vlapic_snapshot_import_cpu(cpu, blob->bytes, blob->length, time, &error) != VLAPIC_OK)
        fail_msg("restore refused: %s", error.field ? error.field : "format");
}

#endif
