/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * IA32_APIC_BASE: which writes fault, what each change of mode does to the other registers, and what a disabled APIC still
 * does.
 */
#include "fake_host.h"
#include "state_helpers.h"

#include <string.h>

#define BASE VLAPIC_BASE_DEFAULT
#define BSP VLAPIC_BASE_BSP
#define EXTD VLAPIC_BASE_EXTD
#define EN VLAPIC_BASE_EN
#define MSR VLAPIC_MSR_APIC_BASE

enum mode { DISABLED, XAPIC, X2APIC, INVALID };

static const uint64_t mode_bits[] = { 0, EN, EN | EXTD, EXTD };

static struct fake_vm host;

static struct vlapic_cpu *start(void)
{
    fake_vm_start(&host, 1, NULL);
    return fake_cpu_at(&host, 0);
}

static struct vlapic_cpu *start_default(void)
{
    fake_vm_prepare(&host, VLAPIC_VENDOR_INTEL);
    return start();
}

/* From wherever the APIC is, by way of RESET. */
static void go(struct vlapic_cpu *cpu, enum mode mode)
{
    vlapic_cpu_reset(cpu);
    if (mode == DISABLED)
        guest_disable_apic(cpu);
    if (mode == X2APIC)
        guest_enable_x2apic(cpu);
    assert_true((vlapic_cpu_apic_base(cpu) & (EN | EXTD)) == mode_bits[mode]);
    fake_forget(&host);
}

/* A write that must fault, change nothing and call nobody. */
static void refused(struct vlapic_cpu *cpu, uint64_t value)
{
    struct vlapic_cpu_state before, after;

    state_read(cpu, &before);
    guest_wrmsr_faults(cpu, MSR, value);
    state_read(cpu, &after);
    assert_same_state(&before, &after);
    assert_int_equal(host.call_count, 0);
}

/* A write that must be carried out and, if it changes anything, reported. */
static void accepted(struct vlapic_cpu *cpu, uint64_t value)
{
    uint64_t old = vlapic_cpu_apic_base(cpu);

    fake_forget(&host);
    guest_wrmsr(cpu, MSR, value);
    assert_true(vlapic_cpu_apic_base(cpu) == value);
    assert_true(guest_rdmsr(cpu, MSR) == value);
    assert_int_equal(fake_count(&host, FAKE_BASE_CHANGED), value != old);
    if (value != old) {
        assert_true(fake_last(&host, FAKE_BASE_CHANGED)->a == old);
        assert_true(fake_last(&host, FAKE_BASE_CHANGED)->b == value);
        assert_int_equal(fake_last(&host, FAKE_BASE_CHANGED)->cpu, 0);
    }
    fake_forget(&host);
}

/* ---- which writes fault ---- */

static const struct {
    enum mode from;
    bool ok[4];
} transitions[] = {
    /*            disabled xAPIC  x2APIC invalid */
    { DISABLED, { true, true, false, false } },
    { XAPIC, { true, true, true, false } },
    { X2APIC, { true, false, true, false } },
};

static void every_transition_is_allowed_or_fault(void **unused)
{
    /* Intel SDM 3A, "x2APIC State Transitions" */
    struct vlapic_cpu *cpu = start_default();

    (void)unused;
    for (size_t i = 0; i < 3; i++)
        for (enum mode to = DISABLED; to <= INVALID; to++)
            for (unsigned variant = 0; variant < 4; variant++) {
                uint64_t value = (variant & 1 ? BASE : 0x12345000) | mode_bits[to] | (variant & 2 ? BSP : 0);

                go(cpu, transitions[i].from);
                if (transitions[i].ok[to])
                    accepted(cpu, value);
                else
                    refused(cpu, value);
            }
    fake_vm_stop(&host);
}

static void reserved_bits_fault_in_every_transition(void **unused)
{
    /* Intel SDM 3A, "Local APIC Status and Location", figure "IA32_APIC_BASE MSR" */
    (void)unused;
    for (uint32_t phys_bits = 32; phys_bits <= 52; phys_bits++) {
        struct vlapic_cpu *cpu;

        fake_vm_prepare(&host, VLAPIC_VENDOR_INTEL);
        host.config.phys_bits = phys_bits;
        cpu = start();
        for (size_t i = 0; i < 3; i++) {
            go(cpu, transitions[i].from);
            for (enum mode to = DISABLED; to <= INVALID; to++)
                for (unsigned bit = 0; bit < 64; bit++) {
                    uint64_t value = BASE | BSP | mode_bits[to];
                    bool reserved = bit < 8 || bit == 9 || bit >= phys_bits;

                    if (reserved)
                        refused(cpu, value | 1ull << bit);
                    else if (bit >= 12 && transitions[i].ok[to]) {
                        accepted(cpu, (value & ~BASE) | 1ull << bit);
                        go(cpu, transitions[i].from);
                    }
                }
        }
        fake_vm_stop(&host);
    }
}

static void extd_is_reserved_without_x2apic(void **unused)
{
    /* Intel SDM 3A, "Detecting and Enabling x2APIC Mode" */
    struct vlapic_cpu *cpu;

    (void)unused;
    fake_vm_prepare(&host, VLAPIC_VENDOR_INTEL);
    host.config.x2apic = false;
    cpu = start();
    for (enum mode from = DISABLED; from <= XAPIC; from++) {
        go(cpu, from);
        refused(cpu, BASE | BSP | EN | EXTD);
        refused(cpu, BASE | BSP | EXTD);
        accepted(cpu, BASE | BSP | EN);
        accepted(cpu, BASE | BSP);
    }
    fake_vm_stop(&host);
}

static void writing_the_same_value_does_nothing(void **unused)
{
    /* Intel SDM 3A, "x2APIC State Transitions" */
    struct vlapic_cpu *cpu = start_default();

    (void)unused;
    for (enum mode mode = DISABLED; mode <= X2APIC; mode++) {
        struct vlapic_cpu_state before, after;

        go(cpu, mode);
        if (mode != DISABLED)
            busy_state(&host);
        state_read(cpu, &before);
        fake_forget(&host);
        guest_wrmsr(cpu, MSR, vlapic_cpu_apic_base(cpu));
        state_read(cpu, &after);
        assert_same_state(&before, &after);
        assert_int_equal(host.call_count, 0);
    }
    fake_vm_stop(&host);
}

static void moving_the_base_keeps_every_register(void **unused)
{
    /* Intel SDM 3A, "Relocating the Local APIC Registers" */
    struct vlapic_cpu *cpu = start_default();

    (void)unused;
    for (enum mode mode = XAPIC; mode <= X2APIC; mode++) {
        struct vlapic_cpu_state before, after;
        uint64_t value = 0x000FEDCBA9876000ull | BSP | mode_bits[mode];

        go(cpu, mode);
        busy_state(&host);
        state_read(cpu, &before);
        accepted(cpu, value);
        state_read(cpu, &after);
        before.apic_base = value;
        assert_same_state(&before, &after);
    }
    fake_vm_stop(&host);
}

static void bsp_bit_is_storage(void **unused)
{
    /* Intel SDM 3A, "Local APIC Status and Location" */
    struct vlapic_cpu *cpu = start_default();

    (void)unused;
    for (enum mode mode = DISABLED; mode <= X2APIC; mode++) {
        go(cpu, mode);
        assert_true(vlapic_cpu_apic_base(cpu) == (BASE | BSP | mode_bits[mode]));
        accepted(cpu, BASE | mode_bits[mode]);
        accepted(cpu, BASE | BSP | mode_bits[mode]);
    }
    fake_vm_stop(&host);
}

static void fixed_base_cannot_be_moved(void **unused)
{
    /* Intel SDM 3A, "Relocating the Local APIC Registers"; setting base_fixed */
    struct vlapic_cpu *cpu;

    (void)unused;
    fake_vm_prepare(&host, VLAPIC_VENDOR_INTEL);
    host.config.base_fixed = true;
    cpu = start();
    go(cpu, XAPIC);
    refused(cpu, 0xFED00000 | BSP | EN);
    refused(cpu, (BASE + 0x1000) | EN);
    accepted(cpu, BASE | EN);
    accepted(cpu, BASE | BSP | EN | EXTD);
    accepted(cpu, BASE | BSP);
    refused(cpu, 0xFED00000 | BSP | EN);
    accepted(cpu, BASE | BSP | EN);
    fake_vm_stop(&host);
}

static void locked_x2apic_cannot_be_left(void **unused)
{
    /* Intel SDM 3A, "x2APIC State Transitions" (IA32_XAPIC_DISABLE_STATUS); setting x2apic_locked */
    struct vlapic_cpu *cpu;

    (void)unused;
    fake_vm_prepare(&host, VLAPIC_VENDOR_INTEL);
    host.config.x2apic_locked = true;
    cpu = start();
    go(cpu, X2APIC);
    refused(cpu, BASE | BSP);
    refused(cpu, BASE);
    refused(cpu, BASE | BSP | EN);
    accepted(cpu, BASE | EN | EXTD);
    accepted(cpu, 0x12345000 | EN | EXTD);
    /* xAPIC mode may be left. */
    vlapic_cpu_reset(cpu);
    accepted(cpu, BASE | BSP);
    accepted(cpu, BASE | BSP | EN);
    fake_vm_stop(&host);
}

static void base_changed_may_be_missing(void **unused)
{
    /* Library: NULL means that nothing of the host depends on it */
    struct vlapic_cpu *cpu;

    (void)unused;
    fake_vm_prepare(&host, VLAPIC_VENDOR_INTEL);
    host.ops.base_changed = NULL;
    cpu = start();
    guest_enable_x2apic(cpu);
    guest_disable_apic(cpu);
    guest_enable_xapic(cpu);
    fake_vm_stop(&host);
}

/* ---- what a change of mode does ---- */

static void enabling_x2apic_keeps_all_but_id_ldr_and_icr_high(void **unused)
{
    /* Intel SDM 3A, "x2APIC State Transitions": xAPIC to x2APIC */
    const uint32_t id = 0x1B;
    struct vlapic_cpu_state before, after;
    struct vlapic_cpu *cpu;

    (void)unused;
    fake_vm_prepare(&host, VLAPIC_VENDOR_AMD);
    host.config.ext_space = true;
    host.config.id_writable = true;
    host.config.eoi_suppression = true;
    host.config.max_lvt = 6;
    fake_vm_start(&host, 1, &id);
    cpu = fake_cpu_at(&host, 0);
    busy_state(&host);
    assert_int_equal(guest_read(cpu, VLAPIC_REG_ID), 0x77000000);
    state_read(cpu, &before);
    guest_enable_x2apic(cpu);
    state_read(cpu, &after);

    assert_true(guest_rdmsr(cpu, 0x802) == 0x1B);
    assert_true(guest_rdmsr(cpu, 0x80D) == (1u << 16 | 1u << 0xB));
    assert_true(before.icr == 0xEE000000000000B7ull);
    assert_true(guest_rdmsr(cpu, 0x830) == 0xB7);
    before.icr = 0xB7;
    before.apic_base |= EXTD;
    before.xapic_id = after.xapic_id; /* seen again only after a reset, which derives it anew */
    before.ldr = after.ldr;
    assert_same_state(&before, &after);
    fake_vm_stop(&host);
}

static void a_running_timer_goes_on_through_the_x2apic_switch(void **unused)
{
    /* Intel SDM 3A, "x2APIC State Transitions": xAPIC to x2APIC */
    struct vlapic_cpu *cpu;

    (void)unused;
    fake_one_cpu(&host, VLAPIC_VENDOR_INTEL);
    cpu = fake_cpu_at(&host, 0);
    guest_write(cpu, VLAPIC_REG_DIVIDE_CONFIG, 0xB);
    guest_write(cpu, VLAPIC_REG_LVT_TIMER, 0x51);
    guest_write(cpu, VLAPIC_REG_INITIAL_COUNT, 1000);
    fake_advance_ns(&host, 400);
    guest_enable_x2apic(cpu);
    assert_true(guest_rdmsr(cpu, 0x839) == 600);
    fake_advance_ns(&host, 599);
    assert_int_equal(poll_vector(cpu), -1);
    fake_advance_ns(&host, 1);
    assert_int_equal(poll_vector(cpu), 0x51);
    fake_vm_stop(&host);
}

static void a_tsc_deadline_stays_armed_through_the_x2apic_switch(void **unused)
{
    /* Intel SDM 3A, "x2APIC State Transitions": xAPIC to x2APIC */
    struct vlapic_cpu *cpu;

    (void)unused;
    fake_vm_prepare(&host, VLAPIC_VENDOR_INTEL);
    host.config.tsc_deadline = true;
    cpu = start();
    guest_software_enable(cpu);
    guest_write(cpu, VLAPIC_REG_LVT_TIMER, 0x40051);
    guest_wrmsr(cpu, VLAPIC_MSR_TSC_DEADLINE, 5000);
    guest_enable_x2apic(cpu);
    assert_true(guest_rdmsr(cpu, VLAPIC_MSR_TSC_DEADLINE) == 5000);
    fake_advance_tsc(&host, 5000);
    assert_int_equal(poll_vector(cpu), 0x51);
    assert_true(guest_rdmsr(cpu, VLAPIC_MSR_TSC_DEADLINE) == 0);
    fake_vm_stop(&host);
}

static void disabling_resets_everything_but_the_id(void **unused)
{
    /* Intel SDM 3A, "x2APIC State Transitions": to disabled; the manual leaves the registers open, we reset them here */
    (void)unused;
    for (unsigned variant = 0; variant < 8; variant++) {
        bool x2apic = variant & 1, amd = variant & 2, deadline = variant & 4;
        const uint32_t id = 0x1B;
        struct vlapic_cpu_state expected, actual;
        struct vlapic_cpu *cpu;

        fake_vm_prepare(&host, amd ? VLAPIC_VENDOR_AMD : VLAPIC_VENDOR_INTEL);
        host.config.ext_space = amd;
        host.config.eoi_suppression = true;
        host.config.max_lvt = 6;
        host.config.tsc_deadline = true;
        fake_vm_start(&host, 1, &id);
        cpu = fake_cpu_at(&host, 0);
        if (x2apic)
            guest_enable_x2apic(cpu);
        busy_state(&host);
        if (deadline) {
            guest_set(cpu, VLAPIC_REG_LVT_TIMER, 0x400D7);
            guest_wrmsr(cpu, VLAPIC_MSR_TSC_DEADLINE, 1u << 30);
        }
        guest_disable_apic(cpu);

        state_after_reset(&host, id, true, &expected);
        expected.apic_base = BASE | BSP;
        expected.events = VLAPIC_EVENT_LINE0;
        state_read(cpu, &actual);
        assert_same_state(&expected, &actual);
        assert_false(host.cpus[0].armed_ns);
        assert_false(host.cpus[0].armed_tsc);
        assert_true(vlapic_cpu_cr8_read(cpu) == 0);

        /* Enabling does not reset a second time, and finds the reset values. */
        guest_enable_xapic(cpu);
        expected.apic_base |= EN;
        state_read(cpu, &actual);
        assert_same_state(&expected, &actual);
        assert_int_equal(guest_read(cpu, VLAPIC_REG_ID), 0x1B000000);
        assert_int_equal(guest_read(cpu, VLAPIC_REG_SVR), 0xFF);
        assert_int_equal(guest_read(cpu, VLAPIC_REG_DFR), 0xFFFFFFFF);
        assert_int_equal(guest_read(cpu, VLAPIC_REG_CURRENT_COUNT), 0);
        fake_advance_ns(&host, 1ull << 33);
        fake_advance_tsc(&host, 1ull << 33);
        assert_int_equal(poll_vector(cpu), -1);
        fake_vm_stop(&host);
    }
}

static void disabling_wipes_vectors_that_nobody_has_looked_at(void **unused)
{
    /* Intel SDM 3A, "x2APIC State Transitions": to disabled; requests not yet merged go as well */
    struct vlapic_cpu *cpu;

    (void)unused;
    for (unsigned x2apic = 0; x2apic < 2; x2apic++) {
        fake_one_cpu(&host, VLAPIC_VENDOR_INTEL);
        cpu = fake_cpu_at(&host, 0);
        if (x2apic)
            guest_enable_x2apic(cpu);
        assert_true(vlapic_cpu_post(cpu, 0x70, false));
        assert_true(vlapic_cpu_post(cpu, 0x71, true));
        guest_disable_apic(cpu);
        guest_enable_xapic(cpu);
        guest_software_enable(cpu);
        assert_int_equal(poll_vector(cpu), -1);
        for (uint32_t i = 0; i < 8; i++) {
            assert_int_equal(guest_read(cpu, VLAPIC_REG_IRR + 16 * i), 0);
            assert_int_equal(guest_read(cpu, VLAPIC_REG_TMR + 16 * i), 0);
        }
        fake_vm_stop(&host);
    }
}

static void a_written_id_survives_disabling_and_is_lost_on_enabling(void **unused)
{
    /* Intel SDM 3A, "x2APIC State Transitions": disabled to xAPIC */
    const uint32_t id = 0x1B;
    struct vlapic_cpu_state state;
    struct vlapic_cpu *cpu;

    (void)unused;
    fake_vm_prepare(&host, VLAPIC_VENDOR_INTEL);
    host.config.id_writable = true;
    fake_vm_start(&host, 1, &id);
    cpu = fake_cpu_at(&host, 0);
    guest_write(cpu, VLAPIC_REG_ID, 0x77000000);
    guest_disable_apic(cpu);
    state_read(cpu, &state);
    assert_int_equal(state.xapic_id, 0x77);
    guest_enable_xapic(cpu);
    assert_int_equal(guest_read(cpu, VLAPIC_REG_ID), 0x1B000000);
    fake_vm_stop(&host);
}

static void a_written_id_is_lost_in_x2apic_mode(void **unused)
{
    /* Intel SDM 3A, "x2APIC State Transitions": xAPIC to x2APIC */
    const uint32_t id = 0x1B;
    struct vlapic_cpu *cpu;

    (void)unused;
    fake_vm_prepare(&host, VLAPIC_VENDOR_INTEL);
    host.config.id_writable = true;
    fake_vm_start(&host, 1, &id);
    cpu = fake_cpu_at(&host, 0);
    guest_write(cpu, VLAPIC_REG_ID, 0x77000000);
    guest_enable_x2apic(cpu);
    assert_true(guest_rdmsr(cpu, 0x802) == 0x1B);
    guest_disable_apic(cpu);
    guest_enable_xapic(cpu);
    assert_int_equal(guest_read(cpu, VLAPIC_REG_ID), 0x1B000000);
    fake_vm_stop(&host);
}

static void id_after_enabling_is_the_low_byte_of_the_x2apic_id(void **unused)
{
    /* Intel SDM 3A, "x2APIC State Transitions": disabled to xAPIC */
    static const uint32_t ids[] = { 0, 1, 0xFE, 0xFF, 0x100, 0x1234, 0xFFFFF };

    (void)unused;
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        struct vlapic_cpu *cpu;

        fake_vm_prepare(&host, VLAPIC_VENDOR_INTEL);
        host.config.max_apic_id = VLAPIC_APIC_ID_LIMIT;
        fake_vm_start(&host, 1, &ids[i]);
        cpu = fake_cpu_at(&host, 0);
        guest_disable_apic(cpu);
        guest_enable_xapic(cpu);
        assert_int_equal(guest_read(cpu, VLAPIC_REG_ID), (ids[i] & 0xFF) << 24);
        fake_vm_stop(&host);
    }
}

static void cr8_written_while_disabled_is_the_tpr_afterwards(void **unused)
{
    /* Intel SDM 3A, "Interaction of Task Priorities between CR8 and APIC" */
    struct vlapic_cpu *cpu = start_default();

    (void)unused;
    for (unsigned x2apic = 0; x2apic < 2; x2apic++) {
        vlapic_cpu_reset(cpu);
        if (x2apic)
            guest_enable_x2apic(cpu);
        guest_set(cpu, VLAPIC_REG_TPR, 0x5A);
        guest_disable_apic(cpu);
        assert_true(vlapic_cpu_cr8_read(cpu) == 0);
        assert_int_equal(vlapic_cpu_cr8_write(cpu, 0xB), VLAPIC_ACCESS_DONE);
        assert_true(vlapic_cpu_cr8_read(cpu) == 0xB);
        guest_enable_xapic(cpu);
        assert_int_equal(guest_read(cpu, VLAPIC_REG_TPR), 0xB0);
        assert_true(vlapic_cpu_cr8_read(cpu) == 0xB);
    }
    fake_vm_stop(&host);
}

static void cr8_mirrors_the_upper_half_of_tpr_in_every_mode(void **unused)
{
    /* Intel SDM 3A, "Interaction of Task Priorities between CR8 and APIC" */
    struct vlapic_cpu *cpu = start_default();

    (void)unused;
    for (enum mode mode = DISABLED; mode <= X2APIC; mode++) {
        go(cpu, mode);
        for (uint32_t cr8 = 0; cr8 < 16; cr8++) {
            if (mode != DISABLED) {
                guest_set(cpu, VLAPIC_REG_TPR, cr8 << 4 | 0x9);
                assert_true(vlapic_cpu_cr8_read(cpu) == cr8);
                assert_int_equal(guest_get(cpu, VLAPIC_REG_TPR), cr8 << 4 | 0x9);
            }
            assert_int_equal(vlapic_cpu_cr8_write(cpu, cr8), VLAPIC_ACCESS_DONE);
            assert_true(vlapic_cpu_cr8_read(cpu) == cr8);
            if (mode != DISABLED)
                assert_int_equal(guest_get(cpu, VLAPIC_REG_TPR), cr8 << 4);
        }
        for (unsigned bit = 4; bit < 64; bit++) {
            assert_int_equal(vlapic_cpu_cr8_write(cpu, 1ull << bit | 3), VLAPIC_ACCESS_GP);
            assert_true(vlapic_cpu_cr8_read(cpu) == 15);
        }
    }
    fake_vm_stop(&host);
}

/* ---- what "disabled" means ---- */

static void mmio_is_ours_in_xapic_mode_only(void **unused)
{
    /* Intel SDM 3A, "Enabling or Disabling the Local APIC"; "x2APIC Register Availability" */
    struct vlapic_cpu *cpu = start_default();

    (void)unused;
    for (enum mode mode = DISABLED; mode <= X2APIC; mode++) {
        enum vlapic_access expected = mode == XAPIC ? VLAPIC_ACCESS_DONE : VLAPIC_ACCESS_NOT_MINE;
        struct vlapic_cpu_state before, after;

        go(cpu, mode);
        state_read(cpu, &before);
        for (uint32_t offset = 0; offset < 0x1000; offset++)
            for (uint32_t length = 1; length <= 8; length++) {
                uint64_t value = 0x0123456789ABCDEFull;

                assert_int_equal(vlapic_cpu_mmio_read(cpu, offset, length, &value), expected);
                if (mode == XAPIC)
                    continue;
                assert_true(value == 0x0123456789ABCDEFull);
                assert_int_equal(vlapic_cpu_mmio_write(cpu, offset, length, ~0ull), expected);
            }
        state_read(cpu, &after);
        if (mode != XAPIC)
            assert_same_state(&before, &after);
    }
    fake_vm_stop(&host);
}

static void a_disabled_apic_takes_no_message(void **unused)
{
    /* Intel SDM 3A, "Enabling or Disabling the Local APIC": hardware-disabled */
    struct vlapic_cpu *sender, *receiver;
    struct vlapic_poll duty;

    (void)unused;
    for (unsigned wait_for_sipi = 0; wait_for_sipi < 2; wait_for_sipi++) {
        fake_vm_prepare(&host, VLAPIC_VENDOR_INTEL);
        fake_vm_start(&host, 2, NULL);
        sender = fake_cpu_at(&host, 0);
        receiver = fake_cpu_at(&host, 1);
        if (!wait_for_sipi) {
            guest_icr(sender, 1u << 24, 0x608);
            vlapic_cpu_poll(receiver, &duty);
            assert_true(duty.sipi);
        }
        guest_software_enable(sender);
        guest_software_enable(receiver);
        guest_disable_apic(receiver);
        fake_forget(&host);

        for (uint32_t delivery = 0; delivery < 8; delivery++)
            for (uint32_t destination = 1; destination < 0x100; destination += 0xFE) {
                struct vlapic_message message = { .destination = destination,
                                                  .delivery = (enum vlapic_delivery)delivery,
                                                  .vector = 0x44 };

                if (destination == 1)
                    assert_int_equal(vlapic_vm_deliver(host.vm, &message), 0);
                guest_icr(sender, destination << 24, delivery << 8 | 0x44);
            }
        guest_icr(sender, 0, 0xC0044); /* all but self */
        guest_icr(sender, 0, 0xC0644);
        assert_false(vlapic_cpu_post(receiver, 0x44, false));
        assert_false(vlapic_cpu_post(receiver, 0x44, true));
        assert_false(vlapic_cpu_post(receiver, 0x04, false));
        vlapic_cpu_lvt_event(receiver, VLAPIC_LVT_THERMAL);

        /* Neither now nor once it is enabled again. */
        for (unsigned enabled = 0; enabled < 2; enabled++) {
            if (enabled) {
                guest_enable_xapic(receiver);
                guest_software_enable(receiver);
            }
            vlapic_cpu_poll(receiver, &duty);
            assert_false(duty.init);
            assert_false(duty.sipi);
            assert_false(duty.nmi);
            assert_false(duty.smi);
            assert_false(duty.extint_message);
            assert_false(duty.extint);
            assert_int_equal(duty.vector, -1);
            assert_int_equal(duty.wait_for_sipi, wait_for_sipi);
        }
        assert_int_equal(guest_esr(receiver), 0);
        fake_vm_stop(&host);
    }
}

static void lint0_is_intr_while_disabled(void **unused)
{
    /* Intel SDM 3A, "Enabling or Disabling the Local APIC": LINT0 and LINT1 become INTR and NMI */
    struct vlapic_cpu *cpu = start_default();
    struct vlapic_poll duty;

    (void)unused;
    vlapic_cpu_lint(cpu, 0, true);
    vlapic_cpu_poll(cpu, &duty);
    assert_false(duty.extint); /* masked */
    guest_disable_apic(cpu);
    vlapic_cpu_poll(cpu, &duty);
    assert_true(duty.extint);
    vlapic_cpu_poll(cpu, &duty);
    assert_true(duty.extint); /* a level */
    vlapic_cpu_lint(cpu, 0, false);
    vlapic_cpu_poll(cpu, &duty);
    assert_false(duty.extint);
    vlapic_cpu_lint(cpu, 0, true);
    vlapic_cpu_poll(cpu, &duty);
    assert_true(duty.extint);
    guest_enable_xapic(cpu);
    vlapic_cpu_poll(cpu, &duty);
    assert_false(duty.extint);
    assert_false(duty.extint_message);
    assert_int_equal(duty.vector, -1);
    fake_vm_stop(&host);
}

static void lint1_is_nmi_while_disabled(void **unused)
{
    /* Intel SDM 3A, "Enabling or Disabling the Local APIC": LINT0 and LINT1 become INTR and NMI */
    struct vlapic_cpu *cpu = start_default();
    struct vlapic_poll duty;

    (void)unused;
    vlapic_cpu_lint(cpu, 1, true);
    vlapic_cpu_poll(cpu, &duty);
    assert_false(duty.nmi); /* masked */
    guest_disable_apic(cpu);
    vlapic_cpu_poll(cpu, &duty);
    assert_false(duty.nmi); /* high already: no edge */
    vlapic_cpu_lint(cpu, 1, false);
    vlapic_cpu_poll(cpu, &duty);
    assert_false(duty.nmi);
    vlapic_cpu_lint(cpu, 1, true);
    vlapic_cpu_poll(cpu, &duty);
    assert_true(duty.nmi);
    vlapic_cpu_poll(cpu, &duty);
    assert_false(duty.nmi); /* one edge, one NMI */
    assert_false(duty.extint);
    fake_vm_stop(&host);
}

static void disabled_lint_pins_cause_no_apic_interrupt(void **unused)
{
    /* Intel SDM 3A, "Enabling or Disabling the Local APIC" */
    struct vlapic_cpu_state before, after;
    struct vlapic_cpu *cpu = start_default();

    (void)unused;
    guest_disable_apic(cpu);
    state_read(cpu, &before);
    vlapic_cpu_lint(cpu, 0, true);
    vlapic_cpu_lint(cpu, 1, true);
    poll_vector(cpu);
    vlapic_cpu_lint(cpu, 0, false);
    vlapic_cpu_lint(cpu, 1, false);
    poll_vector(cpu);
    state_read(cpu, &after);
    assert_same_state(&before, &after);
    fake_vm_stop(&host);
}

static void nothing_is_dispatched_while_disabled(void **unused)
{
    /* Intel SDM 3A, "Enabling or Disabling the Local APIC" */
    struct vlapic_cpu *cpu;
    uint8_t vector = 0;

    (void)unused;
    fake_one_cpu(&host, VLAPIC_VENDOR_INTEL);
    cpu = fake_cpu_at(&host, 0);
    vlapic_cpu_post(cpu, 0x80, false);
    assert_int_equal(poll_vector(cpu), 0x80);
    guest_disable_apic(cpu);
    assert_int_equal(poll_vector(cpu), -1);
    assert_false(vlapic_cpu_accept(cpu, 0x80));
    assert_false(vlapic_cpu_acknowledge(cpu, &vector));
    assert_int_equal(vector, 0xFF);
    fake_vm_stop(&host);
}

static void the_timer_stands_still_while_disabled(void **unused)
{
    /* Intel SDM 3A, "x2APIC State Transitions": to disabled */
    struct vlapic_cpu *cpu;
    uint64_t deadline;

    (void)unused;
    fake_vm_prepare(&host, VLAPIC_VENDOR_INTEL);
    host.config.tsc_deadline = true;
    cpu = start();
    guest_software_enable(cpu);
    guest_write(cpu, VLAPIC_REG_LVT_TIMER, 0x51);
    guest_write(cpu, VLAPIC_REG_INITIAL_COUNT, 1000);
    guest_disable_apic(cpu);
    assert_false(vlapic_cpu_next_expiry(cpu, &deadline));
    assert_false(host.cpus[0].armed_ns);
    guest_wrmsr(cpu, VLAPIC_MSR_TSC_DEADLINE, 4000);
    assert_true(guest_rdmsr(cpu, VLAPIC_MSR_TSC_DEADLINE) == 0);
    assert_false(host.cpus[0].armed_tsc);
    /* An expiry that was under way. */
    fake_set_ns(&host, 1u << 20);
    vlapic_cpu_timer_expired(cpu);
    assert_int_equal(poll_vector(cpu), -1);
    guest_enable_xapic(cpu);
    guest_software_enable(cpu);
    assert_int_equal(poll_vector(cpu), -1);
    fake_vm_stop(&host);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_transition_is_allowed_or_fault),
        cmocka_unit_test(reserved_bits_fault_in_every_transition),
        cmocka_unit_test(extd_is_reserved_without_x2apic),
        cmocka_unit_test(writing_the_same_value_does_nothing),
        cmocka_unit_test(moving_the_base_keeps_every_register),
        cmocka_unit_test(bsp_bit_is_storage),
        cmocka_unit_test(fixed_base_cannot_be_moved),
        cmocka_unit_test(locked_x2apic_cannot_be_left),
        cmocka_unit_test(base_changed_may_be_missing),
        cmocka_unit_test(enabling_x2apic_keeps_all_but_id_ldr_and_icr_high),
        cmocka_unit_test(a_running_timer_goes_on_through_the_x2apic_switch),
        cmocka_unit_test(a_tsc_deadline_stays_armed_through_the_x2apic_switch),
        cmocka_unit_test(disabling_resets_everything_but_the_id),
        cmocka_unit_test(disabling_wipes_vectors_that_nobody_has_looked_at),
        cmocka_unit_test(a_written_id_survives_disabling_and_is_lost_on_enabling),
        cmocka_unit_test(a_written_id_is_lost_in_x2apic_mode),
        cmocka_unit_test(id_after_enabling_is_the_low_byte_of_the_x2apic_id),
        cmocka_unit_test(cr8_written_while_disabled_is_the_tpr_afterwards),
        cmocka_unit_test(cr8_mirrors_the_upper_half_of_tpr_in_every_mode),
        cmocka_unit_test(mmio_is_ours_in_xapic_mode_only),
        cmocka_unit_test(a_disabled_apic_takes_no_message),
        cmocka_unit_test(lint0_is_intr_while_disabled),
        cmocka_unit_test(lint1_is_nmi_while_disabled),
        cmocka_unit_test(disabled_lint_pins_cause_no_apic_interrupt),
        cmocka_unit_test(nothing_is_dispatched_while_disabled),
        cmocka_unit_test(the_timer_stands_still_while_disabled),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
