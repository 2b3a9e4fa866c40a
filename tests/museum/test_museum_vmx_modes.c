/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The museum on Intel's APIC virtualization: registers in the page, modes, controls. See museum.h and tests/backend/vmx_rig.h.
 */
#include "museum.h"

#include "levels.h"
#include "vmx_rig.h"

#define X2 VLAPIC_VMX_X2APIC
#define ALL VLAPIC_VMX_ALL_FEATURES

static struct rig rig;

static int stop(void **state)
{
    (void)state;
    rig_clean(&rig);
    return 0;
}

static struct rig_cpu *start(uint32_t features, bool x2apic)
{
    return rig_one(&rig, features, x2apic);
}

static struct rig_cpu *start_two(uint32_t features, bool x2apic)
{
    rig_clean(&rig);
    rig_prepare(&rig, features);
    rig_start(&rig, 2, x2apic);
    return &rig.cpu[0];
}

/* The guest has written the page, in hardware's format. */
static enum vlapic_vmx_result apic_write(struct rig_cpu *c, uint32_t offset, uint64_t value)
{
    rig_enter_open(c);
    rig_page_put(c, offset, (uint32_t)value);
    if (value >> 32 != 0 || (offset == 0x300 && (vlapic_cpu_apic_base(c->cpu) & VLAPIC_BASE_EXTD) != 0))
        rig_page_put(c, offset + 4, (uint32_t)(value >> 32));
    return rig_exit(c, APICV_EXIT_APIC_WRITE, offset);
}

/* ---- the page ---- */

static void set_mov_eax_from_rdi(struct rig_cpu *c, uint32_t offset)
{
    c->code[0] = 0x8B;
    c->code[1] = 0x07;
    c->code_bytes = 2;
    c->reg[7] = RIG_APIC + offset;
}

static void museum_030_a_dirty_page_is_sanitised(void **unused)
{
    /* bhyve: with APIC-register virtualization the guest's store lay in the page before anyone had checked it. */
    struct rig_cpu *c = start(LEVEL_REGISTERS, false);

    (void)unused;
    assert_int_equal(apic_write(c, 0x320, 0xFFFBFFFF), VLAPIC_VMX_RESUME);
    assert_int_equal(rig_page(c, 0x320), 0x000300FF);
    assert_int_equal(guest_read(c->cpu, 0x320), 0x000300FF);
    rig_enter_open(c);
    rig_page_put(c, 0x390, 0x1234);
    set_mov_eax_from_rdi(c, 0x390);
    assert_int_equal(rig_exit(c, APICV_EXIT_APIC_ACCESS, 0x390), VLAPIC_VMX_ADVANCE);
    assert_int_equal(c->reg[0], 0);
}

static void museum_036_a_trap_like_exit_cannot_fault(void **unused)
{
    /* Xen, KVM: the handler of MSR writes was used for APIC-write exits, and raised #GP after the instruction. */
    struct rig_cpu *c = start_two(ALL, true);

    (void)unused;
    assert_int_equal(apic_write(c, 0x300, 0x00000001000040F1), VLAPIC_VMX_RESUME);
    assert_int_equal(take_vector(rig.cpu[1].cpu), 0xF1);
    assert_int_equal(take_vector(rig.cpu[1].cpu), -1);
    assert_int_equal(museum_stats(c->cpu).ipis, 1);
    assert_int_equal(apic_write(c, 0x300, 0x00000000000450F1), VLAPIC_VMX_RESUME);
    museum_only(c->cpu, VLAPIC_REG_IRR, 0xF1, -1);
    assert_true(guest_rdmsr(c->cpu, 0x830) == 0x00000000000440F1);
    rig_enter_open(c);
    assert_int_equal(rig_page(c, 0x300), 0x000440F1);
    assert_int_equal(rig_page(c, 0x304), 0);
    rig_exit_plain(c);
    /* Reserved bit 20, which hardware would have refused: nothing is sent, and it does not stay. */
    assert_int_equal(apic_write(c, 0x300, 0x00000000001040F1), VLAPIC_VMX_RESUME);
    assert_int_equal(museum_stats(c->cpu).ipis, 2);
    assert_int_equal((uint32_t)guest_rdmsr(c->cpu, 0x830), 0x000040F1);

    c = start(LEVEL_DELIVERY | X2, true);
    assert_int_equal(apic_write(c, 0x3F0, 0x0F), VLAPIC_VMX_RESUME);
    museum_only(c->cpu, VLAPIC_REG_IRR, -1, -1);
    assert_int_equal(guest_esr(c->cpu), 0x60); /* sent, and received: it is its own target */
}

static void museum_037_delivery_status_is_cleared_in_the_page(void **unused)
{
    /* bhyve, KVM: the guest's own bit 12 stayed in the page, and the guest waited for an idle ICR for ever. */
    struct rig_cpu *c = start_two(LEVEL_REGISTERS, false);

    (void)unused;
    rig_enter_open(c);
    rig_page_put(c, 0x310, 0x01000000);
    rig_exit_plain(c);
    assert_int_equal(apic_write(c, 0x300, 0x000050F1), VLAPIC_VMX_RESUME);
    assert_int_equal(rig_page(c, 0x300), 0x000040F1);
    assert_int_equal(rig_page(c, 0x310), 0x01000000);
    assert_int_equal(take_vector(rig.cpu[1].cpu), 0xF1);
    assert_int_equal(take_vector(rig.cpu[1].cpu), -1);
    assert_int_equal(museum_stats(c->cpu).ipis, 1);
}

static void museum_113_the_current_count_is_never_read_from_the_page(void **unused)
{
    /* bhyve: the register that cannot be kept current in a page, and the place of the 64-bit ICR. */
    struct rig_cpu *c = start(ALL, false);
    uint64_t value = 0;

    (void)unused;
    guest_write(c->cpu, VLAPIC_REG_DIVIDE_CONFIG, 0xB);
    guest_write(c->cpu, VLAPIC_REG_INITIAL_COUNT, 5000);
    fake_advance_ns(&rig.fake, 2000);
    rig_go(c);
    set_mov_eax_from_rdi(c, 0x390);
    assert_int_equal(
        rig_take_reason(c, apicv_guest_read(&c->core, RIG_APIC + 0x390, 4, &value), APICV_EXIT_APIC_ACCESS),
        VLAPIC_VMX_ADVANCE);
    assert_int_equal(c->reg[0], 3000);
    guest_enable_x2apic(c->cpu);
    guest_wrmsr(c->cpu, 0x830, 0x0000007E00004400);
    rig_enter_open(c);
    assert_int_equal(rig_page(c, 0x300), 0x4400);
    assert_int_equal(rig_page(c, 0x304), 0x7E);
    for (uint32_t offset = 0; offset < 0x400; offset += 16) {
        if (offset != 0x300)
            assert_int_equal(rig_page(c, offset + 4), 0);
    }
    assert_int_equal(rig_run(c).outcome, APICV_DONE);
    assert_int_equal(apicv_guest_rdmsr(&c->core, 0x830, &value).outcome, APICV_DONE);
    assert_true(value == 0x0000007E00004400);
    c->reg[1] = 0x839;
    (void)rig_take_reason(c, apicv_guest_rdmsr(&c->core, 0x839, &value), APICV_EXIT_RDMSR);
    assert_int_equal(c->reg[0], 3000);
}

/* ---- modes ---- */

static void museum_054_the_access_page_is_unmapped_outside_xapic_mode(void **unused)
{
    /* Xen XSA-412: one APIC-access page was shared by all guests and stayed mapped as plain memory outside xAPIC mode. */
    struct rig_cpu *c = start_two(ALL, false);
    uint64_t where = 0;

    (void)unused;
    for (unsigned disabled = 0; disabled < 2; disabled++) {
        rig_enter_open(c);
        assert_true(c->mapped == RIG_APIC);
        rig_exit_plain(c);
        guest_enable_x2apic(c->cpu);
        if (disabled)
            guest_disable_apic(c->cpu);
        rig_enter_open(c);
        assert_int_equal(c->entry.changes & VLAPIC_VMX_CHANGED_MAPPING, VLAPIC_VMX_CHANGED_MAPPING);
        assert_false(vlapic_vmx_apic_page(c->cpu, &where));
        assert_int_equal(rig_get(c, APICV_SECONDARY_CONTROLS) & 1, 0);
        rig_exit_plain(c);
        /* Each vCPU answers for itself, so that the host sees a VM of mixed modes. */
        assert_true(vlapic_vmx_apic_page(rig.cpu[1].cpu, &where));
        guest_disable_apic(c->cpu);
        guest_enable_xapic(c->cpu);
    }
}

static bool everything_exits(const uint8_t *bitmap)
{
    for (unsigned i = 0; i < 0x20; i++) {
        if (bitmap[0x100 + i] != 0xFF || bitmap[0x900 + i] != 0xFF)
            return false;
    }
    return true;
}

static void museum_055_msr_intercepts_return_with_the_mode(void **unused)
{
    /* Xen: a guest that left x2APIC mode kept direct access, and read the host's own APIC. */
    struct rig_cpu *c = start(ALL, true);

    (void)unused;
    for (unsigned by_reset = 0; by_reset < 2; by_reset++) {
        rig_enter_open(c);
        assert_int_equal(c->bitmap[0x101] & 1, 0);
        rig_exit_plain(c);
        if (by_reset)
            vlapic_cpu_reset(c->cpu);
        else
            guest_disable_apic(c->cpu);
        rig_enter_open(c);
        assert_true(everything_exits(c->bitmap));
        assert_int_equal(rig_get(c, APICV_SECONDARY_CONTROLS) & 0x10, 0);
        rig_exit_plain(c);
        if (!by_reset)
            guest_enable_xapic(c->cpu);
        rig_enter_open(c);
        assert_true(everything_exits(c->bitmap));
        rig_exit_plain(c);
        guest_enable_x2apic(c->cpu);
        guest_software_enable(c->cpu);
    }
}

static void museum_056_acceleration_is_switched_as_one(void **unused)
{
    /* KVM CVE-2016-4440: APICv was switched off and the MSR bitmap forgotten. Register virtualization stays here, with its reads. */
    struct rig_cpu *c = start(ALL, true);
    uint64_t value = 0;

    (void)unused;
    rig_serve(c, 0x41, false);
    rig_pend(c, 0x71, false);
    guest_set(c->cpu, VLAPIC_REG_TPR, 0x70);
    rig_enter_open(c);
    rig_exit_plain(c);
    vlapic_vmx_inhibit(rig.fake.vm, VLAPIC_VMX_INHIBIT_REQUEST, true);
    rig_enter_open(c);
    assert_int_equal(rig_get(c, APICV_SECONDARY_CONTROLS) & 0x200, 0);
    assert_int_equal(rig_get(c, APICV_PIN_CONTROLS) & 0x80, 0);
    assert_int_equal(rig_get(c, APICV_TERTIARY_CONTROLS) & 0x10, 0);
    for (unsigned i = 0; i < 0x20; i++)
        assert_int_equal(c->bitmap[0x900 + i], i == 1 ? 0xFE : 0xFF); /* writes: TPR alone */
    assert_true(c->bitmap[0x101] & 4);                                /* and PPR is computed */
    assert_int_equal(rig_get(c, APICV_TPR_THRESHOLD), 7);
    assert_int_equal(rig_run(c).outcome, APICV_DONE);
    assert_int_equal(apicv_guest_rdmsr(&c->core, 0x808, &value).outcome, APICV_DONE);
    assert_int_equal(value, 0x70);
    rig_kick_out(c);
    museum_only(c->cpu, VLAPIC_REG_ISR, 0x41, -1);
    museum_only(c->cpu, VLAPIC_REG_IRR, 0x71, -1);
    guest_set(c->cpu, VLAPIC_REG_TPR, 0);
    rig_enter_open(c);
    assert_int_equal(rig_get(c, APICV_ENTRY_INTERRUPTION), 0x80000071);
    rig_exit_plain(c);
    rig_pend(c, 0x52, false);
    vlapic_vmx_inhibit(rig.fake.vm, VLAPIC_VMX_INHIBIT_REQUEST, false);
    rig_enter_open(c);
    assert_int_equal(c->entry.features, ALL & ~VLAPIC_VMX_APIC_ACCESS);
    assert_int_equal(rig_get(c, APICV_SECONDARY_CONTROLS) & 0x311, 0x310);
    assert_int_equal(rig_get(c, APICV_GUEST_INTERRUPT_STATUS), 0x7152);
    assert_int_equal(c->bitmap[0x901], 0xF6); /* EOI, TPR */
}

/* ---- controls ---- */

/* The rules of the entry, once more as the museum has them. */
static void check_rules(struct rig_cpu *c, unsigned mode, bool inhibited)
{
    uint64_t pin = rig_get(c, APICV_PIN_CONTROLS), secondary = rig_get(c, APICV_SECONDARY_CONTROLS);
    bool shadow = (rig_get(c, APICV_PRIMARY_CONTROLS) & APICV_PRIMARY_TPR_SHADOW) != 0;
    bool accesses = secondary & 1, x2apic = secondary & 0x10, registers = secondary & 0x100;
    bool delivery = secondary & 0x200, posted = pin & 0x80;

    assert_false(accesses && x2apic);
    assert_true(shadow || (!x2apic && !registers && !delivery));
    assert_true(!posted || delivery);
    assert_true(!delivery || (pin & APICV_PIN_EXTERNAL_INTERRUPT_EXITING) != 0);
    if (shadow && !delivery)
        assert_int_equal(rig_get(c, APICV_TPR_THRESHOLD) >> 4, 0);
    assert_true(mode == 1 || !accesses);
    assert_true(mode == 2 || !x2apic);
    if (inhibited || mode == 0)
        assert_false(delivery || posted);
}

static void museum_060_no_combination_of_controls_fails_the_entry(void **unused)
{
    /* Xen: combinations of APIC controls were set that VM entry refuses. */
    (void)unused;
    for (unsigned features = 0; features < 0x80; features++) {
        for (unsigned kind = 0; kind < 6; kind++) {
            struct rig_cpu *c = start(features, kind % 3 == 2);

            if (kind % 3 == 0)
                guest_disable_apic(c->cpu);
            vlapic_vmx_inhibit(rig.fake.vm, VLAPIC_VMX_INHIBIT_REQUEST, kind >= 3);
            rig_enter_open(c);
            check_rules(c, kind % 3, kind >= 3);
            assert_int_equal(rig_run(c).outcome, APICV_DONE);
            rig_kick_out(c);
        }
    }
}

static void museum_062_a_toggle_changes_its_own_bits(void **unused)
{
    /* OpenVMM: the control word was cached as a whole and written back over another context's. */
    struct rig_cpu *c = start(LEVEL_POSTED, false);
    struct apicv_vmcs *contexts[2] = { &c->vmcs, &c->other_vmcs };

    (void)unused;
    c->other_vmcs = c->vmcs;
    c->other_vmcs.active_on = NULL;
    for (unsigned i = 0; i < 8; i++) {
        uint64_t unrelated = i % 4 < 2 ? 0x400 : 0; /* MWAIT exiting, a choice of the host's */
        uint64_t primary;

        assert_true(apicv_vmptrld(&c->core, contexts[i % 2]));
        primary = (rig_get(c, APICV_PRIMARY_CONTROLS) & ~0x400ull) | unrelated;
        rig_set(c, APICV_PRIMARY_CONTROLS, primary);
        vlapic_vmx_inhibit(rig.fake.vm, VLAPIC_VMX_INHIBIT_NESTED, i % 2);
        vlapic_vmx_vmcs_replaced(c->cpu);
        rig_enter_open(c);
        assert_int_equal(rig_get(c, APICV_PRIMARY_CONTROLS) & 0x400, unrelated);
        assert_int_equal(rig_get(c, APICV_SECONDARY_CONTROLS) & 0x200, i % 2 ? 0 : 0x200);
        assert_int_equal(rig_get(c, APICV_PIN_CONTROLS) & 0x80, i % 2 ? 0 : 0x80);
        rig_exit_plain(c);
    }
}

/* ---- NMIs ---- */

/* What of NMIs the next poll and the core have; the guest has virtual NMIs. */
static bool enter_with_nmis(struct rig_cpu *c, bool pending, bool blocked)
{
    struct vlapic_vmx_guest guest = rig_guest(true);
    struct vlapic_poll duty;

    vlapic_cpu_poll(c->cpu, &duty);
    guest.nmi = pending || duty.nmi;
    guest.interruptibility = blocked ? APICV_BLOCKING_NMI : 0;
    rig_enter(c, &guest);
    return guest.nmi && c->entry.injected != VLAPIC_VMX_INJECTED_NMI;
}

static void museum_178_virtual_nmis_merge_in_the_same_way(void **unused)
{
    /* KVM: the number of NMIs kept differed between the software and the hardware path. */
    struct rig_cpu *c = start_two(LEVEL_POSTED, false);
    bool pending = false;

    (void)unused;
    for (unsigned i = 0; i < 3; i++) {
        museum_ipi(rig.cpu[1].cpu, 0, 0x4400);
        pending = enter_with_nmis(c, pending, true); /* in the handler */
        assert_true(pending);
        assert_int_equal(rig_get(c, APICV_PRIMARY_CONTROLS) & APICV_PRIMARY_NMI_WINDOW_EXITING, 0x00400000);
        if (i < 2)
            rig_exit_plain(c);
    }
    assert_int_equal(rig_run(c).outcome, APICV_DONE);
    assert_int_equal(apicv_guest_iret(&c->core, true).outcome, APICV_DONE);
    assert_int_equal(rig_take_reason(c, apicv_boundary(&c->core), APICV_EXIT_NMI_WINDOW), VLAPIC_VMX_RESUME);
    pending = enter_with_nmis(c, pending, false);
    assert_false(pending);
    assert_int_equal(rig_get(c, APICV_ENTRY_INTERRUPTION), 0x80000202);
    assert_int_equal(rig_get(c, APICV_PRIMARY_CONTROLS) & APICV_PRIMARY_NMI_WINDOW_EXITING, 0);
    assert_int_equal(rig_run(c).type, APICV_EVENT_NMI);
    rig_kick_out(c);
    assert_false(enter_with_nmis(c, pending, true));
    assert_int_equal(c->entry.injected, VLAPIC_VMX_INJECTED_NONE);
}

#define TEST(name) cmocka_unit_test_teardown(name, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(museum_030_a_dirty_page_is_sanitised),
        TEST(museum_036_a_trap_like_exit_cannot_fault),
        TEST(museum_037_delivery_status_is_cleared_in_the_page),
        TEST(museum_113_the_current_count_is_never_read_from_the_page),
        TEST(museum_054_the_access_page_is_unmapped_outside_xapic_mode),
        TEST(museum_055_msr_intercepts_return_with_the_mode),
        TEST(museum_056_acceleration_is_switched_as_one),
        TEST(museum_060_no_combination_of_controls_fails_the_entry),
        TEST(museum_062_a_toggle_changes_its_own_bits),
        TEST(museum_178_virtual_nmis_merge_in_the_same_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
