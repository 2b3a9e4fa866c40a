/* SPDX-License-Identifier: BSD-2-Clause */
/* The museum, section B: IA32_APIC_BASE, modes, RESET and INIT. See museum.h. */
#include "museum.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define EN 0x800u
#define EXTD 0x400u

static struct fake_vm host, twin;

static int stop(void **unused)
{
    (void)unused;
    museum_stop(&host);
    museum_stop(&twin);
    return 0;
}

/* Prepared with the defaults of Intel, and room for IDs above 255. */
static void prepare(void)
{
    fake_vm_prepare(&host, VLAPIC_VENDOR_INTEL);
    host.config.max_apic_id = 0x200;
}

/* One vCPU with this ID, in xAPIC mode. */
static struct vlapic_cpu *start_id(uint32_t apic_id)
{
    prepare();
    museum_start(&host, 1, &apic_id, false);
    return fake_cpu_at(&host, 0);
}

/* From RESET to disabled (0), xAPIC (EN) or x2APIC (EN | EXTD). */
static void enter_mode(struct vlapic_cpu *cpu, uint32_t mode)
{
    museum_fresh(cpu, mode == (EN | EXTD));
    if (mode == 0)
        guest_disable_apic(cpu);
    fake_forget(&host);
}

static bool may_go(uint32_t from, uint32_t to)
{
    if (to == EXTD)
        return false;
    if (from == to)
        return true;
    switch (from) {
    case 0:
        return to == EN;
    case EN:
        return true;
    default:
        return to == 0;
    }
}

/* ---- IA32_APIC_BASE ---- */

static void museum_042_the_mode_machine_has_four_legal_steps(void **unused)
{
    /* Xen: single bits of APIC_BASE were checked, so x2APIC to disabled was refused and x2APIC to xAPIC let through. */
    static const uint32_t modes[] = { 0, EN, EN | EXTD }, targets[] = { 0, EN, EXTD, EN | EXTD };
    struct vlapic_cpu *cpu = start_id(0);

    (void)unused;
    for (size_t f = 0; f < COUNT(modes); f++)
        for (size_t t = 0; t < COUNT(targets); t++) {
            uint64_t old = 0xFEE00100 | modes[f], new = 0xFEE00100 | targets[t];

            enter_mode(cpu, modes[f]);
            if (may_go(modes[f], targets[t])) {
                guest_wrmsr(cpu, 0x1B, new);
                assert_true(guest_rdmsr(cpu, 0x1B) == new);
                assert_int_equal(fake_count(&host, FAKE_BASE_CHANGED), old != new);
            } else {
                struct vlapic_cpu_state before, after;

                state_read(cpu, &before);
                guest_wrmsr_faults(cpu, 0x1B, new);
                state_read(cpu, &after);
                assert_same_state(&before, &after);
                assert_true(guest_rdmsr(cpu, 0x1B) == old);
                assert_int_equal(fake_count(&host, FAKE_BASE_CHANGED), 0);
            }
        }
}

static void museum_043_reserved_bits_of_apic_base_fault(void **unused)
{
    /* OpenVMM, Xen: the MSR was stored as written, with address bits that the guest's CPU does not have. */
    struct vlapic_cpu *cpu;

    (void)unused;
    prepare();
    host.config.phys_bits = 36;
    museum_start(&host, 1, NULL, false);
    cpu = fake_cpu_at(&host, 0);
    for (unsigned bit = 0; bit < 64; bit++) {
        if (!(bit < 8 || bit == 9 || bit >= 36))
            continue;
        guest_wrmsr_faults(cpu, 0x1B, 0xFEE00900 | 1ull << bit);
        assert_true(guest_rdmsr(cpu, 0x1B) == 0xFEE00900);
    }
    guest_wrmsr(cpu, 0x1B, 0xFEE00900 | 1ull << 35);
    guest_wrmsr(cpu, 0x1B, 0xFEE00D00);
    assert_true(guest_rdmsr(cpu, 0x1B) == 0xFEE00D00);
}

static void museum_043_extd_is_reserved_without_x2apic(void **unused)
{
    /* OpenVMM, Xen: as above; x2APIC mode could be entered though it was not offered. */
    struct vlapic_cpu *cpu;

    (void)unused;
    prepare();
    host.config.x2apic = false;
    museum_start(&host, 1, NULL, false);
    cpu = fake_cpu_at(&host, 0);
    guest_wrmsr_faults(cpu, 0x1B, 0xFEE00D00);
    assert_true(guest_rdmsr(cpu, 0x1B) == 0xFEE00900);
    guest_rdmsr_faults(cpu, 0x802);
}

static void museum_044_the_bsp_flag_is_set_by_reset_alone(void **unused)
{
    /* HAXM, KVM: every vCPU had the BSP's value of the MSR, or INIT changed the flag. */
    static const uint64_t at_reset[] = { 0xFEE00900, 0xFEE00800, 0xFEE00800 };
    struct vlapic_cpu *cpu;

    (void)unused;
    museum_on(&host, VLAPIC_VENDOR_INTEL, 3, false);
    for (unsigned i = 0; i < 3; i++)
        assert_true(guest_rdmsr(fake_cpu_at(&host, i), 0x1B) == at_reset[i]);
    cpu = fake_cpu_at(&host, 1);
    guest_wrmsr(cpu, 0x1B, 0xFEE00900);
    assert_true(guest_rdmsr(cpu, 0x1B) == 0xFEE00900);
    museum_ipi(fake_cpu_at(&host, 0), 1, 0x4500);
    museum_take_init(cpu);
    assert_true(guest_rdmsr(cpu, 0x1B) == 0xFEE00900);
    vlapic_cpu_reset(cpu);
    assert_true(guest_rdmsr(cpu, 0x1B) == 0xFEE00800);
}

/* What an embedder does with a guest-physical address: the window is where vlapic_cpu_apic_base() says. */
static bool hit(struct vlapic_cpu *cpu, uint64_t gpa, uint64_t *value)
{
    uint64_t offset = gpa - (vlapic_cpu_apic_base(cpu) & 0x000FFFFFFFFFF000ull);

    return offset <= 0xFFFFFFFF && vlapic_cpu_mmio_read(cpu, (uint32_t)offset, 4, value) == VLAPIC_ACCESS_DONE;
}

static void assert_window(struct vlapic_cpu *cpu, uint64_t at, uint64_t not_at)
{
    uint64_t value = ~0ull;

    assert_true(hit(cpu, at + 0x80, &value));
    assert_true(value == 0x20);
    value = 7;
    assert_false(hit(cpu, not_at + 0x80, &value));
    assert_true(value == 7);
}

static void museum_045_the_window_follows_apic_base(void **unused)
{
    /* Xen, KVM, Bochs: the guest moved the window and the accesses went nowhere, or the MSR read 0. The backends' part of the entry is to
     * withdraw acceleration that counts on the default page. */
    struct vlapic_cpu *cpu, *other;

    (void)unused;
    museum_on(&host, VLAPIC_VENDOR_INTEL, 2, false);
    cpu = fake_cpu_at(&host, 0);
    other = fake_cpu_at(&host, 1);
    guest_write(cpu, 0x080, 0x20);
    guest_write(other, 0x080, 0x20);
    assert_window(cpu, 0xFEE00000, 0xFEE10000);
    guest_wrmsr(cpu, 0x1B, 0xFEE10900);
    assert_true(guest_rdmsr(cpu, 0x1B) == 0xFEE10900);
    assert_int_equal(fake_count(&host, FAKE_BASE_CHANGED), 1);
    assert_true(fake_last(&host, FAKE_BASE_CHANGED)->a == 0xFEE00900);
    assert_true(fake_last(&host, FAKE_BASE_CHANGED)->b == 0xFEE10900);
    assert_int_equal(fake_last(&host, FAKE_BASE_CHANGED)->cpu, 0);
    assert_window(cpu, 0xFEE10000, 0xFEE00000);
    assert_window(other, 0xFEE00000, 0xFEE10000);
    guest_wrmsr(cpu, 0x1B, 0xFEE00900);
    assert_int_equal(fake_count(&host, FAKE_BASE_CHANGED), 2);
    assert_window(cpu, 0xFEE00000, 0xFEE10000);
}

static void museum_045_a_fixed_window_refuses_to_move(void **unused)
{
    /* Xen, KVM, Bochs: as above. Setting base_fixed (vlapic/vm.h): #GP, the policy of hosts that cannot move the page. */
    struct vlapic_cpu *cpu;

    (void)unused;
    prepare();
    host.config.base_fixed = true;
    museum_start(&host, 1, NULL, false);
    cpu = fake_cpu_at(&host, 0);
    guest_wrmsr_faults(cpu, 0x1B, 0xFEE10900);
    assert_true(guest_rdmsr(cpu, 0x1B) == 0xFEE00900);
    assert_int_equal(fake_count(&host, FAKE_BASE_CHANGED), 0);
    guest_wrmsr(cpu, 0x1B, 0xFEE00D00);
}

/* ---- RESET and INIT ---- */

static void program_everything(struct vlapic_cpu *cpu)
{
    guest_wrmsr(cpu, 0x808, 0x50);
    guest_wrmsr(cpu, 0x83E, 0xB);
    guest_wrmsr(cpu, 0x832, 0x200EC);
    guest_wrmsr(cpu, 0x833, 0xD1);
    guest_wrmsr(cpu, 0x834, 0xD2);
    guest_wrmsr(cpu, 0x835, 0x700);
    guest_wrmsr(cpu, 0x836, 0x400);
    guest_wrmsr(cpu, 0x837, 0xFE);
    guest_wrmsr(cpu, 0x838, 1000);
    museum_in_service(cpu, 0x71, true);
    assert_true(vlapic_cpu_post(cpu, 0x61, false));
}

static void museum_047_init_is_not_reset(void **unused)
{
    /* Xen, ACRN: one routine served both events, and INIT threw a vCPU out of x2APIC mode or took its ID. */
    struct vlapic_cpu *cpu;

    (void)unused;
    museum_on(&host, VLAPIC_VENDOR_INTEL, 2, true);
    cpu = fake_cpu_at(&host, 1);
    program_everything(cpu);
    museum_ipi(fake_cpu_at(&host, 0), 1, 0x4500);
    museum_take_init(cpu);
    assert_true(guest_rdmsr(cpu, 0x1B) == 0xFEE00C00);
    assert_true(guest_rdmsr(cpu, 0x802) == 1);
    assert_true(guest_rdmsr(cpu, 0x80D) == 2);
    assert_true(guest_rdmsr(cpu, 0x808) == 0);
    assert_true(guest_rdmsr(cpu, 0x80F) == 0xFF);
    for (uint32_t msr = 0x810; msr <= 0x827; msr++)
        assert_true(guest_rdmsr(cpu, msr) == 0);
    for (uint32_t msr = 0x832; msr <= 0x837; msr++)
        assert_true(guest_rdmsr(cpu, msr) == 0x10000);
    assert_true(guest_rdmsr(cpu, 0x838) == 0);
    assert_true(guest_rdmsr(cpu, 0x839) == 0);
    assert_false(host.cpus[1].armed_ns);

    vlapic_cpu_reset(cpu);
    assert_true(guest_rdmsr(cpu, 0x1B) == 0xFEE00800);
    assert_int_equal(guest_read(cpu, 0x020), 0x01000000);
    assert_int_equal(guest_read(cpu, 0x0D0), 0);
}

/* ---- LDR and ID ---- */

static void museum_048_ldr_is_derived_when_x2apic_mode_is_entered(void **unused)
{
    /* Bochs: LDR was derived before the mode was switched, and right only after the second change. Policy of a disable: the
     * registers are reset (docs/ARCHITECTURE.md). */
    struct vlapic_cpu *cpu = start_id(0x25);

    (void)unused;
    guest_write(cpu, 0x0D0, 0x55000000);
    guest_enable_x2apic(cpu);
    assert_true(guest_rdmsr(cpu, 0x80D) == 0x00020020);
    guest_disable_apic(cpu);
    guest_enable_xapic(cpu);
    assert_int_equal(guest_read(cpu, 0x0D0), 0);
    guest_enable_x2apic(cpu);
    assert_true(guest_rdmsr(cpu, 0x80D) == 0x00020020);
}

static void museum_049_ldr_is_derived_from_the_apic_id(void **unused)
{
    /* Xen: the vCPU's number took the place of the APIC ID, and logical IPIs went to the wrong vCPU. */
    static const uint32_t ids[] = { 0, 1, 2, 6, 0x13 };
    static const struct {
        uint32_t destination;
        int target;
    } rows[] = { { 0x00000040, 3 }, { 0x00010008, 4 }, { 0x00000008, -1 } };

    (void)unused;
    prepare();
    museum_start(&host, COUNT(ids), ids, true);
    assert_true(guest_rdmsr(fake_cpu_at(&host, 3), 0x80D) == 0x00000040);
    assert_true(guest_rdmsr(fake_cpu_at(&host, 4), 0x80D) == 0x00010008);
    for (size_t row = 0; row < COUNT(rows); row++) {
        guest_icr(fake_cpu_at(&host, 0), rows[row].destination, 0x48F1);
        for (unsigned i = 0; i < COUNT(ids); i++) {
            struct vlapic_cpu *cpu = fake_cpu_at(&host, i);

            if ((int)i == rows[row].target) {
                assert_int_equal(take_vector(cpu), 0xF1);
                guest_eoi(cpu);
            }
            assert_int_equal(poll_vector(cpu), -1);
        }
    }
}

static void museum_051_the_id_has_a_format_of_its_own_in_each_mode(void **unused)
{
    /* Xen, KVM: one stored format served both modes, so an x2APIC ID read shifted, and an old ID came back after a disable. */
    static const struct {
        uint32_t apic_id, xapic;
    } rows[] = { { 3, 0x03000000 }, { 0x123, 0x23000000 } };

    (void)unused;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct vlapic_cpu *cpu = start_id(rows[i].apic_id);

        assert_int_equal(guest_read(cpu, 0x020), rows[i].xapic);
        guest_enable_x2apic(cpu);
        assert_true(guest_rdmsr(cpu, 0x802) == rows[i].apic_id);
        guest_disable_apic(cpu);
        guest_enable_xapic(cpu);
        assert_int_equal(guest_read(cpu, 0x020), rows[i].xapic);
        fake_vm_stop(&host);
    }
}

static void museum_051_enabling_brings_the_initial_id_back(void **unused)
{
    /* Xen, KVM: as above, with an ID that the guest wrote. */
    const uint32_t apic_id = 3;
    struct vlapic_cpu *cpu;

    (void)unused;
    prepare();
    host.config.id_writable = true;
    museum_start(&host, 1, &apic_id, false);
    cpu = fake_cpu_at(&host, 0);
    guest_write(cpu, 0x020, 0x09000000);
    assert_int_equal(guest_read(cpu, 0x020), 0x09000000);
    guest_disable_apic(cpu);
    guest_enable_xapic(cpu);
    assert_int_equal(guest_read(cpu, 0x020), 0x03000000);
}

/* ---- the doors of each mode ---- */

/* FFh over the whole window, by every width: nothing answers and nothing changes. */
static void assert_window_is_closed(struct vlapic_cpu *cpu)
{
    struct vlapic_cpu_state before, after;

    state_read(cpu, &before);
    for (uint32_t offset = 0; offset < 0x1000; offset++)
        for (uint32_t length = 1; length <= 8; length *= 2) {
            uint64_t value = 0x1234;

            assert_int_equal(vlapic_cpu_mmio_write(cpu, offset, length, ~0ull), VLAPIC_ACCESS_NOT_MINE);
            assert_int_equal(vlapic_cpu_mmio_read(cpu, offset, length, &value), VLAPIC_ACCESS_NOT_MINE);
            assert_true(value == 0x1234);
        }
    state_read(cpu, &after);
    assert_same_state(&before, &after);
}

static void museum_052_the_window_is_closed_in_x2apic_mode(void **unused)
{
    /* KVM, Jailhouse: only the address was looked at, and the guest reached the registers through the door of the other mode. */
    struct vlapic_cpu *cpu, *other;

    (void)unused;
    museum_on(&host, VLAPIC_VENDOR_INTEL, 2, true);
    cpu = fake_cpu_at(&host, 0);
    other = fake_cpu_at(&host, 1);
    guest_wrmsr(cpu, 0x808, 0x30);
    fake_forget(&host);
    assert_window_is_closed(cpu);
    assert_true(guest_rdmsr(cpu, 0x808) == 0x30);
    assert_int_equal(poll_vector(other), -1);
    assert_false(host.cpus[0].armed_ns);
    assert_int_equal(host.call_count, 0);
}

static void museum_052_every_door_is_closed_when_disabled(void **unused)
{
    /* KVM, Jailhouse: as above, with the APIC disabled by IA32_APIC_BASE. */
    struct vlapic_cpu *cpu = start_id(0);

    (void)unused;
    guest_disable_apic(cpu);
    fake_forget(&host);
    assert_window_is_closed(cpu);
    for (uint32_t msr = 0x800; msr <= 0x8FF; msr++) {
        guest_rdmsr_faults(cpu, msr);
        guest_wrmsr_faults(cpu, msr, 0);
    }
    assert_int_equal(host.call_count, 0);
}

static void museum_053_x2apic_msrs_fault_in_xapic_mode(void **unused)
{
    /* ACRN, bhyve: nobody asked for the mode, and the MSRs answered beside the window. */
    static const uint32_t msrs[] = { 0x802, 0x808, 0x80B, 0x830, 0x83F };
    static const uint64_t values[] = { 0, 0x20, 0x55, 0x000440F1 };
    struct vlapic_cpu *cpu = start_id(0);
    struct vlapic_cpu_state before, after;

    (void)unused;
    museum_in_service(cpu, 0x61, true);
    fake_forget(&host);
    state_read(cpu, &before);
    for (size_t i = 0; i < COUNT(msrs); i++) {
        guest_rdmsr_faults(cpu, msrs[i]);
        for (size_t v = 0; v < COUNT(values); v++)
            guest_wrmsr_faults(cpu, msrs[i], values[v]);
    }
    state_read(cpu, &after);
    assert_same_state(&before, &after);
    assert_int_equal(host.call_count, 0);
    assert_int_equal(poll_vector(cpu), -1);
}

static void museum_054_the_host_hears_of_a_closed_window_before_the_next_entry(void **unused)
{
    /* Xen XSA-412: one APIC-access page was shared by all guests and stayed mapped as plain memory outside xAPIC mode. Core's part: the
     * host is told of each vCPU's mode at once, so that it unmaps; mixed modes show as different values of different vCPUs. */
    struct vlapic_cpu *cpu;

    (void)unused;
    museum_on(&host, VLAPIC_VENDOR_INTEL, 2, false);
    cpu = fake_cpu_at(&host, 1);
    guest_wrmsr(cpu, 0x1B, 0xFEE00C00);
    assert_int_equal(fake_count(&host, FAKE_BASE_CHANGED), 1);
    assert_int_equal(fake_last(&host, FAKE_BASE_CHANGED)->cpu, 1);
    assert_true(fake_last(&host, FAKE_BASE_CHANGED)->b == 0xFEE00C00);
    assert_true(vlapic_cpu_apic_base(fake_cpu_at(&host, 0)) == 0xFEE00900);
    guest_wrmsr(cpu, 0x1B, 0xFEE00000);
    assert_int_equal(fake_count(&host, FAKE_BASE_CHANGED), 2);
    assert_true(fake_last(&host, FAKE_BASE_CHANGED)->a == 0xFEE00C00);
    assert_true(fake_last(&host, FAKE_BASE_CHANGED)->b == 0xFEE00000);
    vlapic_cpu_reset(cpu);
    assert_int_equal(fake_count(&host, FAKE_BASE_CHANGED), 3);
    assert_true(fake_last(&host, FAKE_BASE_CHANGED)->b == 0xFEE00800);
}

static void museum_054_vms_share_no_memory(void **unused)
{
    /* Xen XSA-412: as above. The library has no page of its own: what one VM's guest writes, another's cannot see. */
    struct vlapic_layout layout;
    struct vlapic_cpu_state before, after;

    (void)unused;
    museum_on(&host, VLAPIC_VENDOR_INTEL, 1, false);
    museum_on(&twin, VLAPIC_VENDOR_INTEL, 1, false);
    assert_int_equal(vlapic_cpu_layout(&host.config, &layout), VLAPIC_OK);
    assert_int_equal(layout.pages, 0);
    state_read(fake_cpu_at(&twin, 0), &before);
    for (uint32_t offset = 0; offset < 0x1000; offset += 0x10)
        guest_write(fake_cpu_at(&host, 0), offset, 0x5A5A5A5A);
    state_read(fake_cpu_at(&twin, 0), &after);
    assert_same_state(&before, &after);
}

/* ---- what CPUID has to say ---- */

/* How a host fills ECX of leaf 1 from bits that are all ones: what the library says is configured, no more. */
static uint32_t leaf1_ecx(const struct vlapic_vm *vm)
{
    const struct vlapic_vm_config *config = vlapic_vm_get_config(vm);

    return ~((1u << 21) | (1u << 24)) | (uint32_t)config->x2apic << 21 | (uint32_t)config->tsc_deadline << 24;
}

static void museum_063_cpuid_bits_can_be_taken_from_the_configuration(void **unused)
{
    /* bhyve, OpenVMM, Xen, ACRN: the host's CPUID was passed on, and the guest enabled what its APIC had not. There is no CPUID helper: the
     * configuration in force is what a host masks with, and what the APIC does must agree. */
    (void)unused;
    for (unsigned setting = 0; setting < 4; setting++) {
        bool x2apic = setting & 1, deadline = setting & 2;
        struct vlapic_cpu *cpu;

        prepare();
        host.config.x2apic = x2apic;
        host.config.tsc_deadline = deadline;
        museum_start(&host, 1, NULL, false);
        cpu = fake_cpu_at(&host, 0);
        assert_int_equal((leaf1_ecx(host.vm) >> 21) & 1, x2apic);
        assert_int_equal((leaf1_ecx(host.vm) >> 24) & 1, deadline);
        guest_write(cpu, 0x320, 0x400EC);
        assert_int_equal(guest_read(cpu, 0x320), deadline ? 0x400EC : 0x000EC);
        if (deadline)
            assert_true(guest_rdmsr(cpu, 0x6E0) == 0);
        else
            guest_rdmsr_faults(cpu, 0x6E0);
        if (x2apic)
            guest_wrmsr(cpu, 0x1B, 0xFEE00D00);
        else
            guest_wrmsr_faults(cpu, 0x1B, 0xFEE00D00);
        fake_vm_stop(&host);
    }
}

static void museum_063_the_host_hears_when_the_apic_bit_changes(void **unused)
{
    /* kvm-unit-tests for KVM: leaf 1 EDX[9] has to follow EN. The host learns of every change, with the value to take it from. */
    struct vlapic_cpu *cpu = start_id(0);

    (void)unused;
    guest_disable_apic(cpu);
    assert_int_equal(fake_count(&host, FAKE_BASE_CHANGED), 1);
    assert_false(fake_last(&host, FAKE_BASE_CHANGED)->b & EN);
    guest_enable_xapic(cpu);
    assert_int_equal(fake_count(&host, FAKE_BASE_CHANGED), 2);
    assert_true(fake_last(&host, FAKE_BASE_CHANGED)->b & EN);
    guest_disable_apic(cpu);
    vlapic_cpu_reset(cpu);
    assert_int_equal(fake_count(&host, FAKE_BASE_CHANGED), 4);
    assert_true(fake_last(&host, FAKE_BASE_CHANGED)->b & EN);
}

static void museum_063_leaf_b_is_the_x2apic_id_in_every_mode(void **unused)
{
    /* OpenVMM: leaf Bh had another ID than the APIC. vlapic_cpu_apic_id() is what a host puts there. */
    static const uint32_t ids[] = { 0, 5, 0x123 };

    (void)unused;
    for (size_t i = 0; i < COUNT(ids); i++) {
        struct vlapic_cpu *cpu = start_id(ids[i]);

        assert_int_equal(vlapic_cpu_apic_id(cpu), ids[i]);
        guest_enable_x2apic(cpu);
        assert_true(guest_rdmsr(cpu, 0x802) == ids[i]);
        assert_int_equal(vlapic_cpu_apic_id(cpu), ids[i]);
        guest_disable_apic(cpu);
        assert_int_equal(vlapic_cpu_apic_id(cpu), ids[i]);
        fake_vm_stop(&host);
    }
}

static void sweep_registers(struct vlapic_cpu *cpu)
{
    static const struct {
        uint32_t offset, value, expected;
    } rows[] = {
        { 0x080, 0xFFFFFFFF, 0x000000FF },
        { 0x080, 0, 0 },
        { 0x0D0, 0xFFFFFFFF, 0xFF000000 },
        { 0x0D0, 0x01000000, 0x01000000 },
        { 0x0E0, 0, 0x0FFFFFFF },
        { 0x0E0, 0xFFFFFFFF, 0xFFFFFFFF },
        { 0x0F0, 0x000003EF, 0x000003EF },
        { 0x0F0, 0x000001FF, 0x000001FF },
        { 0x310, 0xFFFFFFFF, 0xFF000000 },
        { 0x310, 0, 0 },
        { 0x320, 0xFFFFFFFF, 0x000300FF },
        { 0x330, 0xFFFFFFFF, 0x000107FF },
        { 0x340, 0xFFFFFFFF, 0x000107FF },
        { 0x350, 0xFFFFFFFF, 0x0001A7FF },
        { 0x360, 0xFFFFFFFF, 0x0001A7FF },
        { 0x370, 0xFFFFFFFF, 0x000100FF },
        { 0x3E0, 0xFFFFFFFF, 0x0000000B },
        { 0x380, 0xFFFFFFFF, 0xFFFFFFFF },
        { 0x380, 0, 0 },
    };

    assert_int_equal(guest_read(cpu, 0x020), 0);
    assert_int_equal(guest_read(cpu, 0x030), 0x00050014);
    for (size_t i = 0; i < COUNT(rows); i++) {
        guest_write(cpu, rows[i].offset, rows[i].value);
        assert_int_equal(guest_read(cpu, rows[i].offset), rows[i].expected);
    }
    assert_int_equal(guest_esr(cpu), 0);
}

static void museum_065_without_x2apic_the_xapic_is_whole(void **unused)
{
    /* VirtualBox: switching off x2APIC alone took the whole local APIC away. */
    struct vlapic_cpu *cpu;

    (void)unused;
    prepare();
    host.config.x2apic = false;
    museum_start(&host, 2, NULL, false);
    cpu = fake_cpu_at(&host, 0);
    sweep_registers(cpu);
    museum_ipi(fake_cpu_at(&host, 1), 0, 0x40F1);
    assert_int_equal(take_vector(cpu), 0xF1);
    guest_eoi(cpu);
    guest_write(cpu, 0x320, 0x000000EC);
    guest_write(cpu, 0x380, 1000);
    fake_advance_ns(&host, 1000);
    assert_int_equal(take_vector(cpu), 0xEC);
    guest_eoi(cpu);
    assert_int_equal(poll_vector(cpu), -1);
    guest_wrmsr_faults(cpu, 0x1B, 0xFEE00D00);
    guest_wrmsr_faults(cpu, 0x1B, 0xFEE00500);
    assert_true(guest_rdmsr(cpu, 0x1B) == 0xFEE00900);
}

static void museum_066_no_x2apic_msr_is_in_a_vmx_msr_list(void **unused)
{
    /* Firecracker, KVM: x2APIC MSRs stood in an area that VM entry or exit loads, and the transition failed. */
    (void)unused;
    MUSEUM_SKIP(
        "not applicable because the MSR-load and MSR-store areas are the embedder's alone: the library has none and checks none");
}

#define TEST(name) cmocka_unit_test_teardown(name, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(museum_042_the_mode_machine_has_four_legal_steps),
        TEST(museum_043_reserved_bits_of_apic_base_fault),
        TEST(museum_043_extd_is_reserved_without_x2apic),
        TEST(museum_044_the_bsp_flag_is_set_by_reset_alone),
        TEST(museum_045_the_window_follows_apic_base),
        TEST(museum_045_a_fixed_window_refuses_to_move),
        TEST(museum_047_init_is_not_reset),
        TEST(museum_048_ldr_is_derived_when_x2apic_mode_is_entered),
        TEST(museum_049_ldr_is_derived_from_the_apic_id),
        TEST(museum_051_the_id_has_a_format_of_its_own_in_each_mode),
        TEST(museum_051_enabling_brings_the_initial_id_back),
        TEST(museum_052_the_window_is_closed_in_x2apic_mode),
        TEST(museum_052_every_door_is_closed_when_disabled),
        TEST(museum_053_x2apic_msrs_fault_in_xapic_mode),
        TEST(museum_054_the_host_hears_of_a_closed_window_before_the_next_entry),
        TEST(museum_054_vms_share_no_memory),
        TEST(museum_063_cpuid_bits_can_be_taken_from_the_configuration),
        TEST(museum_063_the_host_hears_when_the_apic_bit_changes),
        TEST(museum_063_leaf_b_is_the_x2apic_id_in_every_mode),
        TEST(museum_065_without_x2apic_the_xapic_is_whole),
        TEST(museum_066_no_x2apic_msr_is_in_a_vmx_msr_list),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
