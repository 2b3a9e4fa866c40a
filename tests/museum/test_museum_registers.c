/* SPDX-License-Identifier: BSD-2-Clause */
/* The museum, section A: what the registers hold. How they are reached is in test_museum_access.c. See museum.h. */
#include "museum.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct fake_vm host, twin;

static int stop(void **unused)
{
    (void)unused;
    museum_stop(&host);
    museum_stop(&twin);
    return 0;
}

/* One vCPU, default settings. */
static struct vlapic_cpu *start_one(enum vlapic_vendor vendor, bool x2apic)
{
    museum_on(&host, vendor, 1, x2apic);
    return fake_cpu_at(&host, 0);
}

/* ---- 256-bit registers ---- */

static void assert_one_word(struct vlapic_cpu *cpu, uint32_t base, uint32_t offset, uint32_t value)
{
    for (uint32_t slot = base; slot < base + 0x80; slot += 0x10)
        assert_int_equal(guest_read(cpu, slot), slot == offset ? value : 0);
}

static void museum_001_vectors_are_bits_of_words_in_16_byte_slots(void **unused)
{
    /* Xen, Bochs: IRR, ISR and TMR were packed bytes, read as if they were not, so that a guest saw the wrong words. */
    static const struct {
        uint8_t vector;
        uint32_t offset, value;
    } rows[] = {
        { 0x10, 0x200, 0x00010000 },
        { 0x1F, 0x200, 0x80000000 },
        { 0x20, 0x210, 0x00000001 },
        { 0xFF, 0x270, 0x80000000 },
    };
    struct vlapic_cpu *cpu = start_one(VLAPIC_VENDOR_INTEL, false);

    (void)unused;
    assert_true(vlapic_cpu_post(cpu, 0x31, false));
    assert_one_word(cpu, 0x200, 0x210, 0x00020000);
    assert_int_equal(take_vector(cpu), 0x31);
    assert_one_word(cpu, 0x100, 0x110, 0x00020000);
    assert_int_equal(guest_read(cpu, 0x210), 0);
    for (unsigned level = 0; level < 2; level++)
        for (size_t i = 0; i < COUNT(rows); i++) {
            museum_fresh(cpu, false);
            assert_true(vlapic_cpu_post(cpu, rows[i].vector, level));
            assert_one_word(cpu, 0x200, rows[i].offset, rows[i].value);
            assert_one_word(cpu, 0x180, rows[i].offset - 0x80, level ? rows[i].value : 0);
        }
}

static void museum_003_vector_255_is_legal(void **unused)
{
    /* Bochs: the highest legal vector was taken to be FEh, and an IPI with FFh was an error. */
    struct vlapic_cpu *sender, *target;

    (void)unused;
    museum_on(&host, VLAPIC_VENDOR_INTEL, 2, false);
    sender = fake_cpu_at(&host, 0);
    target = fake_cpu_at(&host, 1);
    guest_write(sender, 0x310, 0x01000000);
    guest_write(sender, 0x300, 0x000040FF);
    assert_int_equal(guest_read(target, 0x270), 0x80000000);
    assert_int_equal(poll_vector(target), 0xFF);
    assert_int_equal(guest_esr(sender), 0);
    assert_true(vlapic_cpu_post(target, 0x10, false));
    assert_int_equal(guest_read(target, 0x200), 0x00010000);
    assert_int_equal(guest_esr(target), 0);
}

static void museum_004_a_pending_class_must_be_above_the_one_in_service(void **unused)
{
    /* Bochs: the comparison of pending and in-service vector was the wrong way round, so low ones preempted high ones. */
    struct vlapic_cpu *cpu = start_one(VLAPIC_VENDOR_INTEL, false);

    (void)unused;
    museum_in_service(cpu, 0x55, false);
    assert_true(vlapic_cpu_post(cpu, 0x4F, false));
    assert_int_equal(poll_vector(cpu), -1);
    assert_true(vlapic_cpu_post(cpu, 0x5F, false));
    assert_int_equal(poll_vector(cpu), -1);
    assert_true(vlapic_cpu_post(cpu, 0x60, false));
    assert_int_equal(poll_vector(cpu), 0x60);
}

/* ---- ICR ---- */

static void museum_020_a_self_ipi_leaves_icr_alone(void **unused)
{
    /* KVM: SELF IPI was carried out by a write of ICR, which then read back as that. */
    struct vlapic_cpu *cpu = start_one(VLAPIC_VENDOR_INTEL, true);

    (void)unused;
    guest_wrmsr(cpu, 0x830, 0x0000007E00004400ull);
    guest_wrmsr(cpu, 0x83F, 0x55);
    assert_int_equal(poll_vector(cpu), 0x55);
    assert_true(guest_rdmsr(cpu, 0x830) == 0x0000007E00004400ull);
}

/* Reserved in ICR low: 31:20, 17:16 and 13. */
static bool icr_bit_is_reserved(unsigned bit)
{
    return bit == 13 || bit == 16 || bit == 17 || (bit >= 20 && bit < 32);
}

static void assert_one_interrupt(struct vlapic_cpu *cpu, int vector)
{
    assert_int_equal(take_vector(cpu), vector);
    guest_eoi(cpu);
    assert_int_equal(poll_vector(cpu), -1);
}

static void museum_021_reserved_bits_of_the_x2apic_icr_fault(void **unused)
{
    /* KVM, coconut-svsm: reserved fields of ICR were not checked, and the vendors' bit 12 rules were mixed up. */
    const uint64_t kept = 0x0000007E00004400ull;

    (void)unused;
    for (unsigned amd = 0; amd < 2; amd++) {
        struct vlapic_cpu *cpu = start_one(amd ? VLAPIC_VENDOR_AMD : VLAPIC_VENDOR_INTEL, true);

        guest_wrmsr(cpu, 0x830, kept);
        for (unsigned bit = 0; bit < 32; bit++) {
            if (!icr_bit_is_reserved(bit) && !(bit == 12 && amd))
                continue;
            guest_wrmsr_faults(cpu, 0x830, 0x40F1 | 1ull << bit);
            assert_int_equal(poll_vector(cpu), -1);
            assert_true(guest_rdmsr(cpu, 0x830) == kept);
        }
        if (!amd) {
            guest_wrmsr(cpu, 0x830, 0x40F1 | 1u << 12);
            assert_one_interrupt(cpu, 0xF1);
            assert_true(guest_rdmsr(cpu, 0x830) == 0x40F1);
        }
        fake_vm_stop(&host);
    }
}

static void museum_021_reserved_bits_of_the_xapic_icr_read_zero(void **unused)
{
    /* KVM, coconut-svsm: as above. In xAPIC mode there is no fault; our policy for the read-back: reserved bits are 0. */
    (void)unused;
    for (unsigned amd = 0; amd < 2; amd++) {
        struct vlapic_cpu *cpu = start_one(amd ? VLAPIC_VENDOR_AMD : VLAPIC_VENDOR_INTEL, false);

        for (unsigned bit = 0; bit < 32; bit++) {
            if (!icr_bit_is_reserved(bit) && bit != 12)
                continue;
            guest_write(cpu, 0x310, 0);
            guest_write(cpu, 0x300, 0x40F1 | 1u << bit);
            assert_int_equal(guest_read(cpu, 0x300), 0x40F1);
            assert_one_interrupt(cpu, 0xF1);
        }
        assert_int_equal(guest_esr(cpu), 0);
        fake_vm_stop(&host);
    }
}

static void museum_022_icr_reads_back_idle(void **unused)
{
    /* Bochs, coconut-svsm: an ICR write sent the IPI and kept nothing, or the read was not handled and the guest stopped. */
    struct vlapic_cpu *cpu = start_one(VLAPIC_VENDOR_INTEL, true);

    (void)unused;
    guest_wrmsr(cpu, 0x830, 0x0000000300004033ull);
    assert_true(guest_rdmsr(cpu, 0x830) == 0x0000000300004033ull);
    museum_fresh(cpu, false);
    guest_write(cpu, 0x310, 0x03FFFFFF);
    guest_write(cpu, 0x300, 0x00005033);
    assert_int_equal(guest_read(cpu, 0x300), 0x00004033);
    assert_int_equal(guest_read(cpu, 0x310), 0x03000000);
}

/* ---- SVR and EOI broadcast ---- */

static void museum_023_focus_checking_can_be_disabled_in_x2apic_mode(void **unused)
{
    /* Xen's shim, Jailhouse: SVR bit 9 was refused as reserved, and Linux could not enable its APIC. Settings: svr_bit9_faults. */
    (void)unused;
    for (unsigned amd = 0; amd < 2; amd++)
        for (unsigned faults = 0; faults < 2; faults++) {
            struct vlapic_cpu *cpu;

            fake_vm_prepare(&host, amd ? VLAPIC_VENDOR_AMD : VLAPIC_VENDOR_INTEL);
            host.config.svr_bit9_faults = faults;
            museum_start(&host, 1, NULL, true);
            cpu = fake_cpu_at(&host, 0);
            if (faults) {
                guest_wrmsr_faults(cpu, 0x80F, 0x3FF);
                assert_true(guest_rdmsr(cpu, 0x80F) == 0x1FF);
            } else {
                guest_wrmsr(cpu, 0x80F, 0x3FF);
                assert_true(guest_rdmsr(cpu, 0x80F) == 0x3FF);
            }
            guest_wrmsr_faults(cpu, 0x80F, 0x5FF);
            fake_vm_stop(&host);
        }
}

static void museum_023_reserved_bits_of_svr_read_zero_in_xapic_mode(void **unused)
{
    /* Xen's shim, Jailhouse: as above. In xAPIC mode bit 9 is stored whatever svr_bit9_faults says. */
    (void)unused;
    for (unsigned setting = 0; setting < 4; setting++) {
        struct vlapic_cpu *cpu;

        fake_vm_prepare(&host, VLAPIC_VENDOR_INTEL);
        host.config.eoi_suppression = setting & 1;
        host.config.svr_bit9_faults = setting & 2;
        museum_start(&host, 1, NULL, false);
        cpu = fake_cpu_at(&host, 0);
        guest_write(cpu, 0x0F0, 0xFFFFFFFF);
        assert_int_equal(guest_read(cpu, 0x0F0), setting & 1 ? 0x13FF : 0x3FF);
        fake_vm_stop(&host);
    }
}

static void end_a_level_interrupt(struct vlapic_cpu *cpu)
{
    fake_forget(&host);
    museum_in_service(cpu, 0x61, true);
    guest_eoi(cpu);
}

static void museum_024_eoi_suppression_is_a_promise(void **unused)
{
    /* KVM with Hyper-V as a guest: version bit 24 was offered and the EOI sent nevertheless, or kept with nobody to send it. */
    (void)unused;
    for (unsigned suppression = 0; suppression < 2; suppression++) {
        struct vlapic_cpu *cpu;

        fake_vm_prepare(&host, VLAPIC_VENDOR_INTEL);
        host.config.eoi_suppression = suppression;
        museum_start(&host, 1, NULL, false);
        cpu = fake_cpu_at(&host, 0);
        assert_int_equal((guest_read(cpu, 0x030) >> 24) & 1, suppression);
        guest_write(cpu, 0x0F0, 0x11FF);
        assert_int_equal(guest_read(cpu, 0x0F0), suppression ? 0x11FF : 0x1FF);
        end_a_level_interrupt(cpu);
        assert_int_equal(fake_count(&host, FAKE_EOI_BROADCAST), suppression ? 0 : 1);
        museum_only(cpu, VLAPIC_REG_ISR, -1, -1);
        guest_write(cpu, 0x0F0, 0x1FF);
        end_a_level_interrupt(cpu);
        assert_int_equal(fake_count(&host, FAKE_EOI_BROADCAST), 1);
        assert_int_equal(fake_last(&host, FAKE_EOI_BROADCAST)->a, 0x61);
        fake_vm_stop(&host);
    }
}

/* ---- ID, upper halves ---- */

static void museum_025_an_id_write_is_whole_or_nothing(void **unused)
{
    /* Jailhouse, v86: a write of the xAPIC ID ended the guest, or showed one ID and routed by another. Setting: id_writable. */
    (void)unused;
    for (unsigned writable = 0; writable < 2; writable++) {
        struct vlapic_cpu *sender, *cpu;

        fake_vm_prepare(&host, VLAPIC_VENDOR_INTEL);
        host.config.id_writable = writable;
        museum_start(&host, 2, NULL, false);
        sender = fake_cpu_at(&host, 0);
        cpu = fake_cpu_at(&host, 1);
        guest_write(cpu, 0x020, 0x07FFFFFF);
        assert_int_equal(guest_read(cpu, 0x020), writable ? 0x07000000 : 0x01000000);
        museum_ipi(sender, writable ? 1 : 7, 0x40F1);
        assert_int_equal(poll_vector(cpu), -1);
        museum_ipi(sender, writable ? 7 : 1, 0x40F2);
        assert_one_interrupt(cpu, 0xF2);
        assert_int_equal(guest_esr(cpu), 0);
        guest_enable_x2apic(cpu);
        guest_wrmsr_faults(cpu, 0x802, 7);
        guest_wrmsr_faults(cpu, 0x802, 1);
        assert_true(guest_rdmsr(cpu, 0x802) == 1);
        fake_vm_stop(&host);
    }
}

static void museum_027_rdmsr_gives_64_bits(void **unused)
{
    /* Jailhouse: only the low half of the result was written; RAX and RDX kept what the guest had in them. */
    struct vlapic_cpu *cpu = start_one(VLAPIC_VENDOR_INTEL, true);
    uint64_t out = ~0ull;
    unsigned readable = 0;

    (void)unused;
    guest_wrmsr(cpu, 0x808, 0x20);
    assert_int_equal(vlapic_cpu_msr_read(cpu, 0x808, &out), VLAPIC_ACCESS_DONE);
    assert_true(out == 0x20);
    museum_stop(&host);
    cpu = museum_busy(&host, VLAPIC_VENDOR_INTEL, true);
    for (uint32_t msr = 0x800; msr <= 0x8FF; msr++) {
        out = ~0ull;
        if (vlapic_cpu_msr_read(cpu, msr, &out) != VLAPIC_ACCESS_DONE)
            continue;
        readable++;
        if (msr != 0x830 && out >> 32)
            fail_msg("RDMSR %03x gives %#llx", msr, (unsigned long long)out);
    }
    assert_int_equal(readable, 42);
}

/* ---- LVT ---- */

static void museum_028_read_only_lvt_bits_are_ignored(void **unused)
{
    /* Jailhouse: a guest that wrote back an LVT as it had read it, delivery status included, was killed. */
    struct vlapic_cpu *cpu = start_one(VLAPIC_VENDOR_INTEL, false);

    (void)unused;
    guest_write(cpu, 0x350, 0x00015700);
    assert_int_equal(guest_read(cpu, 0x350), 0x00010700);
    guest_write(cpu, 0x320, 0x000310EC);
    assert_int_equal(guest_read(cpu, 0x320), 0x000300EC);
    guest_enable_x2apic(cpu);
    guest_wrmsr(cpu, 0x835, 0x00011700);
    assert_true(guest_rdmsr(cpu, 0x835) == 0x00010700);
    guest_wrmsr(cpu, 0x835, 0x00015700);
    assert_true(guest_rdmsr(cpu, 0x835) == 0x00010700);
}

/* Both pins go up and down: nothing may come of it. */
static void assert_pins_are_silent(struct vlapic_cpu *cpu)
{
    struct vlapic_poll duty;

    vlapic_cpu_lint(cpu, 0, true);
    vlapic_cpu_lint(cpu, 1, true);
    vlapic_cpu_poll(cpu, &duty);
    assert_false(duty.extint || duty.nmi);
    assert_int_equal(duty.vector, -1);
    vlapic_cpu_lint(cpu, 0, false);
    vlapic_cpu_lint(cpu, 1, false);
}

static void museum_029_software_disable_masks_every_lvt(void **unused)
{
    /* bhyve: clearing SVR bit 8 left the LVT entries unmasked, and local interrupts came from a disabled APIC. */
    struct vlapic_cpu *cpu;

    (void)unused;
    fake_vm_prepare(&host, VLAPIC_VENDOR_INTEL);
    host.config.max_lvt = 6;
    museum_start(&host, 1, NULL, false);
    cpu = fake_cpu_at(&host, 0);
    guest_write(cpu, 0x2F0, 0xF3);
    guest_write(cpu, 0x330, 0xD1);
    guest_write(cpu, 0x340, 0xD2);
    guest_write(cpu, 0x370, 0xFE);
    guest_write(cpu, 0x320, 0x000200EC);
    guest_write(cpu, 0x380, 1000);
    guest_write(cpu, 0x350, 0x700);
    guest_write(cpu, 0x360, 0x400);
    guest_write(cpu, 0x0F0, 0x0FF);
    assert_int_equal(guest_read(cpu, 0x320), 0x000300EC);
    assert_int_equal(guest_read(cpu, 0x350), 0x10700);
    assert_int_equal(guest_read(cpu, 0x360), 0x10400);
    assert_int_equal(guest_read(cpu, 0x2F0), 0x100F3);
    assert_int_equal(guest_read(cpu, 0x330), 0x100D1);
    assert_int_equal(guest_read(cpu, 0x340), 0x100D2);
    assert_int_equal(guest_read(cpu, 0x370), 0x100FE);
    guest_write(cpu, 0x350, 0x700);
    assert_int_equal(guest_read(cpu, 0x350), 0x10700);
    assert_pins_are_silent(cpu);
    fake_advance_ns(&host, 10000);
    assert_int_equal(guest_read(cpu, 0x270), 0);
    guest_write(cpu, 0x0F0, 0x1FF);
    assert_int_equal(guest_read(cpu, 0x320), 0x000300EC);
    assert_int_equal(guest_read(cpu, 0x350), 0x10700);
    assert_pins_are_silent(cpu);
    fake_advance_ns(&host, 10000);
    assert_int_equal(poll_vector(cpu), -1);
    museum_only(cpu, VLAPIC_REG_IRR, -1, -1);
}

static void museum_032_version_and_lvt_entries_agree(void **unused)
{
    /* OpenVMM, v86, bhyve: LVT entries that the version register announced were missing, and x2APIC guests took a #GP for it. */
    (void)unused;
    for (uint8_t max_lvt = 5; max_lvt <= 6; max_lvt++) {
        struct vlapic_cpu *cpu;

        fake_vm_prepare(&host, VLAPIC_VENDOR_INTEL);
        host.config.max_lvt = max_lvt;
        museum_start(&host, 1, NULL, false);
        cpu = fake_cpu_at(&host, 0);
        assert_int_equal((guest_read(cpu, 0x030) >> 16) & 0xFF, max_lvt);
        guest_write(cpu, 0x330, 0x000100F4);
        assert_int_equal(guest_read(cpu, 0x330), 0x000100F4);
        guest_write(cpu, 0x2F0, 0x000100F3);
        assert_int_equal(guest_read(cpu, 0x2F0), max_lvt == 6 ? 0x000100F3 : 0);
        assert_int_equal(guest_esr(cpu), max_lvt == 6 ? 0 : 0x80);
        guest_enable_x2apic(cpu);
        guest_wrmsr(cpu, 0x833, 0x000100F5);
        assert_true(guest_rdmsr(cpu, 0x833) == 0x000100F5);
        if (max_lvt == 6) {
            guest_wrmsr(cpu, 0x82F, 0x000100F3);
            assert_true(guest_rdmsr(cpu, 0x82F) == 0x000100F3);
        } else {
            guest_wrmsr_faults(cpu, 0x82F, 0x000100F3);
            guest_rdmsr_faults(cpu, 0x82F);
        }
        fake_vm_stop(&host);
    }
}

/* ---- version ---- */

static void museum_033_the_version_register_has_its_fields_in_place(void **unused)
{
    /* bhyve: "<" was typed for "<<"; later macOS refused the old version number. */
    (void)unused;
    for (unsigned setting = 0; setting < 4; setting++) {
        struct vlapic_cpu *cpu;
        uint32_t version, cmci = setting & 1, suppression = setting >> 1;

        fake_vm_prepare(&host, VLAPIC_VENDOR_INTEL);
        host.config.max_lvt = (uint8_t)(5 + cmci);
        host.config.eoi_suppression = suppression;
        museum_start(&host, 1, NULL, false);
        cpu = fake_cpu_at(&host, 0);
        version = guest_read(cpu, 0x030);
        assert_in_range(version & 0xFF, 0x14, 0x15);
        assert_int_equal(version & ~0xFFu, suppression << 24 | (5 + cmci) << 16);
        guest_enable_x2apic(cpu);
        assert_true(guest_rdmsr(cpu, 0x803) == version);
        fake_vm_stop(&host);
    }
}

static void museum_033_the_version_number_is_the_hosts_choice(void **unused)
{
    /* bhyve: as above. AMD parts say 10h, and bit 31 for the extended space; macOS wants 14h or more there too. */
    static const uint8_t numbers[] = { 0x10, 0x14, 0x15 };

    (void)unused;
    for (size_t i = 0; i < COUNT(numbers); i++)
        for (unsigned ext = 0; ext < 2; ext++) {
            struct vlapic_cpu *cpu;
            uint32_t expected = (uint32_t)ext << 31 | 0x00050000 | numbers[i];

            fake_vm_prepare(&host, VLAPIC_VENDOR_AMD);
            host.config.version = numbers[i];
            host.config.ext_space = ext;
            museum_start(&host, 1, NULL, false);
            cpu = fake_cpu_at(&host, 0);
            assert_int_equal(guest_read(cpu, 0x030), expected);
            guest_enable_x2apic(cpu);
            assert_true(guest_rdmsr(cpu, 0x803) == expected);
            fake_vm_stop(&host);
        }
}

static void museum_034_read_only_registers_ignore_writes(void **unused)
{
    /* v86 with an old Linux, which writes the inverted version back to see whether it stays: the emulator ended. */
    struct vlapic_cpu_state before;
    struct vlapic_cpu *cpu = museum_busy(&host, VLAPIC_VENDOR_INTEL, false);

    (void)unused;
    state_read(cpu, &before);
    for (uint32_t offset = 0x030; offset <= 0x390; offset += 0x10) {
        uint32_t value;

        if (!(offset == 0x030 || offset == 0x090 || offset == 0x0A0 || offset == 0x0C0 || offset == 0x390 ||
              (offset >= 0x100 && offset < 0x280)))
            continue;
        value = guest_read(cpu, offset);
        guest_write(cpu, offset, ~value);
        assert_int_equal(guest_read(cpu, offset), value);
    }
    museum_state_is(cpu, &before);
    assert_int_equal(host.call_count, 0);
}

static void museum_039_a_snapshot_has_one_icr_layout(void **unused)
{
    /* KVM: Intel keeps one 64-bit ICR, AMD two halves apart; a migration between them lost the destination. Core's part: the snapshot
     * holds one 64-bit number, whatever the vendor setting. The pages are the backends' part. */
    const uint64_t icr = 0x0000000500000811ull;

    (void)unused;
    for (unsigned amd = 0; amd < 2; amd++) {
        struct museum_blob blob;

        museum_on(&host, amd ? VLAPIC_VENDOR_AMD : VLAPIC_VENDOR_INTEL, 1, true);
        museum_on(&twin, amd ? VLAPIC_VENDOR_INTEL : VLAPIC_VENDOR_AMD, 1, false);
        guest_wrmsr(fake_cpu_at(&host, 0), 0x830, icr);
        museum_save(fake_cpu_at(&host, 0), &blob);
        for (unsigned b = 0; b < 8; b++)
            assert_int_equal(museum_item(&blob, 10)[b], (icr >> (8 * b)) & 0xFF);
        museum_restore(fake_cpu_at(&twin, 0), &blob, VLAPIC_TIME_STOPPED);
        assert_true(guest_rdmsr(fake_cpu_at(&twin, 0), 0x830) == icr);
        museum_save(fake_cpu_at(&twin, 0), &blob);
        vlapic_cpu_reset(fake_cpu_at(&host, 0));
        museum_restore(fake_cpu_at(&host, 0), &blob, VLAPIC_TIME_STOPPED);
        assert_true(guest_rdmsr(fake_cpu_at(&host, 0), 0x830) == icr);
        fake_vm_stop(&host);
        fake_vm_stop(&twin);
    }
}

static void museum_041_a_read_before_a_write_does_nothing(void **unused)
{
    /* Xen, Bochs with an old Linux, which used XCHG on APIC registers: one instruction sent two IPIs, or lost the write. */
    struct vlapic_cpu *cpu = start_one(VLAPIC_VENDOR_INTEL, false);

    (void)unused;
    museum_in_service(cpu, 0x41, false);
    museum_in_service(cpu, 0x61, false);
    assert_int_equal(guest_read(cpu, 0x0B0), 0);
    museum_only(cpu, VLAPIC_REG_ISR, 0x41, 0x61);
    assert_int_equal(guest_read(cpu, 0x0B0), 0);
    guest_write(cpu, 0x0B0, 0);
    museum_only(cpu, VLAPIC_REG_ISR, 0x41, -1);
    assert_int_equal(museum_stats(cpu).eois, 1);
    assert_int_equal(guest_read(cpu, 0x300), 0);
    assert_int_equal(museum_stats(cpu).ipis, 0);
    guest_write(cpu, 0x300, 0x000440F1);
    assert_int_equal(guest_read(cpu, 0x300), 0x000440F1);
    assert_int_equal(museum_stats(cpu).ipis, 1);
    assert_one_interrupt(cpu, 0xF1);
}

#define TEST(name) cmocka_unit_test_teardown(name, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(museum_001_vectors_are_bits_of_words_in_16_byte_slots),
        TEST(museum_003_vector_255_is_legal),
        TEST(museum_004_a_pending_class_must_be_above_the_one_in_service),
        TEST(museum_020_a_self_ipi_leaves_icr_alone),
        TEST(museum_021_reserved_bits_of_the_x2apic_icr_fault),
        TEST(museum_021_reserved_bits_of_the_xapic_icr_read_zero),
        TEST(museum_022_icr_reads_back_idle),
        TEST(museum_023_focus_checking_can_be_disabled_in_x2apic_mode),
        TEST(museum_023_reserved_bits_of_svr_read_zero_in_xapic_mode),
        TEST(museum_024_eoi_suppression_is_a_promise),
        TEST(museum_025_an_id_write_is_whole_or_nothing),
        TEST(museum_027_rdmsr_gives_64_bits),
        TEST(museum_028_read_only_lvt_bits_are_ignored),
        TEST(museum_029_software_disable_masks_every_lvt),
        TEST(museum_032_version_and_lvt_entries_agree),
        TEST(museum_033_the_version_register_has_its_fields_in_place),
        TEST(museum_033_the_version_number_is_the_hosts_choice),
        TEST(museum_034_read_only_registers_ignore_writes),
        TEST(museum_039_a_snapshot_has_one_icr_layout),
        TEST(museum_041_a_read_before_a_write_does_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
