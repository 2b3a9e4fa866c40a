/* SPDX-License-Identifier: BSD-2-Clause */
/* The museum's entries on AMD's virtual interrupts and AVIC, on the svm backend. The test plays hardware. */
#include "svm_bed.h"

#include "museum.h"

#define MAP_X2APIC 0x200u /* byte of the MSR permission map for 800h */
#define MAP_BYTES 0x40u
#define PAGE_BITS (((1ull << 52) - 1) & ~0xFFFull)

static void start(uint32_t features, unsigned count)
{
    bed_prepare(features);
    bed_start(count);
}

/* ---- ICR ---- */

static void museum_038_the_busy_bit_is_cleared_after_an_incomplete_ipi(void **state)
{
    /* KVM, an erratum of AVIC: the exit leaves delivery status set in ICR, and the guest polled it for ever. */
    (void)state;
    bed_prepare(BED_AVIC);
    bed_make_vm();
    bed_make_cpu(0);
    bed_write(0, VLAPIC_REG_SVR, 0x1FF);
    bed_enter(0);
    assert_int_equal(bed_physical(1), 0);
    bed_make_cpu(1); /* it joins while the IPI is under way */
    bed_write(1, VLAPIC_REG_SVR, 0x1FF);
    bed.cpu[0].page[VLAPIC_REG_ICR_HIGH / 4] = 0x01000000;
    bed.cpu[0].page[VLAPIC_REG_ICR_LOW / 4] = 0x000050F1;
    assert_int_equal(bed_exit(0, SVMHW_EXIT_INCOMPLETE_IPI, 0x01000000000050F1, 0x0000000200000001), VLAPIC_SVM_RESUME);
    assert_int_equal(bed.cpu[0].page[VLAPIC_REG_ICR_LOW / 4], 0x000040F1);
    assert_int_equal(bed.cpu[0].page[VLAPIC_REG_ICR_HIGH / 4], 0x01000000);
    assert_int_equal(bed_pending(1), 0xF1);
    assert_true(vlapic_cpu_accept(bed.cpu[1].cpu, 0xF1));
    bed_write(1, VLAPIC_REG_EOI, 0);
    assert_int_equal(bed_pending(1), -1);
}

/* ---- intercepts ---- */

static bool all_x2apic_msrs_are_intercepted(unsigned cpu)
{
    for (unsigned i = 0; i < MAP_BYTES; i++) {
        if (bed.cpu[cpu].msr_map[MAP_X2APIC + i] != 0xFF) {
            return false;
        }
    }
    return true;
}

static void museum_057_x2avic_intercepts_follow_the_control_block(void **state)
{
    /* KVM, CVE-2023-5090: a guest whose AVIC was inhibited went on accessing the host's x2APIC MSRs. */
    (void)state;
    start(BED_ALL, 1);
    bed_x2apic(0);
    bed_round(0);
    assert_true(bed_control(0) & SVMHW_X2AVIC_ENABLE);
    assert_false(all_x2apic_msrs_are_intercepted(0));
    vlapic_svm_inhibit(bed.vm, VLAPIC_SVM_INHIBIT_REQUEST, true);
    bed_enter(0);
    assert_false(bed_uses_avic(0));
    assert_true(all_x2apic_msrs_are_intercepted(0));
    bed_leave(0);

    /* The same if the mode changes twice between two entries. */
    vlapic_svm_inhibit(bed.vm, VLAPIC_SVM_INHIBIT_REQUEST, false);
    bed_round(0);
    assert_false(all_x2apic_msrs_are_intercepted(0));
    vlapic_svm_inhibit(bed.vm, VLAPIC_SVM_INHIBIT_REQUEST, true);
    bed_set_base(0, 0);
    bed_set_base(0, VLAPIC_BASE_EN);
    bed_write(0, VLAPIC_REG_SVR, 0x1FF);
    bed_enter(0);
    assert_true(all_x2apic_msrs_are_intercepted(0));
    bed_leave(0);
    vlapic_svm_inhibit(bed.vm, VLAPIC_SVM_INHIBIT_REQUEST, false);
    bed_enter(0); /* AVIC, not x2AVIC */
    assert_true(bed_uses_avic(0));
    assert_true(all_x2apic_msrs_are_intercepted(0));
    bed_leave(0);
}

static void museum_059_a_nested_control_block_cannot_enable_avic(void **state)
{
    /* KVM, CVE-2021-3653: the nested guest ran with AVIC on, and a backing page that nobody had set up. */
    (void)state;
    MUSEUM_SKIP("not applicable because the library never merges a nested guest's control block: the embedder builds "
                "that VMCB alone, and VLAPIC_SVM_INHIBIT_NESTED keeps AVIC off");
}

/* ---- TPR ---- */

static void museum_077_v_tpr_keeps_the_sub_class(void **state)
{
    /* Xen: the four bits of V_TPR were copied back as the whole TPR. */
    (void)state;
    start(0, 1);
    bed_write(0, VLAPIC_REG_TPR, 0x4B);
    bed_enter(0);
    assert_int_equal(bed_control(0) & SVMHW_V_TPR, 4);
    bed_leave(0);
    assert_int_equal(bed_read(0, VLAPIC_REG_TPR), 0x4B);
    bed_enter(0);
    bed_set(0, SVMHW_VINTR_CONTROL, 1, 5);
    bed_leave(0);
    assert_int_equal(bed_read(0, VLAPIC_REG_TPR), 0x50);

    /* A write of 4 by hardware would be lost, so with a sub-class there writes to CR8 exit. */
    bed_write(0, VLAPIC_REG_TPR, 0x4B);
    bed_code(0, "\x44\x0F\x22\xC0", 4);
    bed.cpu[0].reg[0] = 4;
    bed_enter(0);
    assert_true(bed_get(0, SVMHW_INTERCEPT_CR, 4) >> 24 & 1);
    assert_int_equal(bed_exit(0, SVMHW_EXIT_CR8_WRITE, 0, 0), VLAPIC_SVM_ADVANCE);
    assert_int_equal(bed_read(0, VLAPIC_REG_TPR), 0x40);
}

static bool cr8_writes_exit(uint8_t irr, uint8_t isr, uint32_t tpr, uint32_t features)
{
    bool exits;

    start(features, 1);
    if (isr != 0) {
        museum_in_service(bed.cpu[0].cpu, isr, false);
    }
    if (irr != 0) {
        assert_true(vlapic_cpu_post(bed.cpu[0].cpu, irr, false));
    }
    bed_write(0, VLAPIC_REG_TPR, tpr);
    bed_enter(0);
    exits = (bed_get(0, SVMHW_INTERCEPT_CR, 4) >> 24 & 1) != 0;
    bed_leave(0);
    bed_end();
    return exits;
}

static void museum_079_cr8_writes_are_intercepted_when_tpr_holds_a_vector_back(void **state)
{
    /* Xen: always on meant millions of exits, never on meant interrupts that did not come. */
    (void)state;
    assert_false(cr8_writes_exit(0, 0, 0x60, 0));
    assert_true(cr8_writes_exit(0x51, 0, 0x60, 0));
    assert_true(cr8_writes_exit(0x51, 0, 0x50, 0));
    assert_false(cr8_writes_exit(0x51, 0, 0x40, 0));
    assert_false(cr8_writes_exit(0x51, 0, 0, 0));
    assert_false(cr8_writes_exit(0x51, 0x91, 0, 0));
    assert_false(cr8_writes_exit(0x51, 0, 0x60, BED_AVIC));
}

/* ---- inhibits ---- */

static uint64_t inhibits(unsigned cpu)
{
    return vlapic_backend_svm.inhibits(vlapic_backend_cpu_state(bed.cpu[cpu].cpu, &vlapic_backend_svm));
}

static void museum_105_svm_id_inhibits_are_recomputed(void **state)
{
    /* KVM: acceleration stayed off after a reboot, and was lost to wide IDs and to disabled APICs. */
    (void)state;
    bed_prepare(BED_ALL);
    bed.config.id_writable = true;
    bed.config.max_apic_id = 0x101;
    bed.id[1] = 0x101;
    bed_make_vm();
    bed_make_cpu(0);
    bed_make_cpu(1);
    bed_write(0, VLAPIC_REG_SVR, 0x1FF);
    /* vCPU 1 shows ID 1, and is disabled as yet. */
    assert_int_equal(bed_read(1, VLAPIC_REG_ID), 0x01000000);
    assert_int_equal(inhibits(0), 0);
    bed_write(0, VLAPIC_REG_ID, 0x07000000);
    assert_int_equal(inhibits(0), VLAPIC_SVM_INHIBIT_PHYSICAL_ID);
    vlapic_cpu_reset(bed.cpu[0].cpu);
    bed_write(0, VLAPIC_REG_SVR, 0x1FF);
    assert_int_equal(inhibits(0), 0);
    /* Globally disabled with an odd ID field. */
    bed_write(1, VLAPIC_REG_ID, 0x09000000);
    bed_set_base(1, 0);
    assert_int_equal(inhibits(0), 0);
    /* In x2APIC mode the wide ID fits. */
    bed_set_base(1, VLAPIC_BASE_EN);
    bed_x2apic(1);
    bed_x2apic(0);
    bed_write(1, VLAPIC_REG_SVR, 0x1FF);
    assert_int_equal(inhibits(0), 0);
    assert_int_equal(inhibits(1), 0);
}

/* ---- AVIC ---- */

static void museum_114_an_incomplete_ipi_is_finished_by_its_cause(void **state)
{
    /* KVM: an IPI that hardware had put into IRR already was sent again by software. */
    struct vlapic_poll duty;

    (void)state;
    start(BED_AVIC, 2);
    bed_write(1, VLAPIC_REG_LDR, 0x02000000);
    bed_enter(0);
    assert_int_equal(bed_pending(1), -1);
    assert_true(vlapic_cpu_halt(bed.cpu[1].cpu));
    /* 1: IRR is set, the target is to be woken. That it is sent twice would show if the target has taken it already. */
    bed_forget();
    assert_int_equal(bed_incomplete(0, 1, 0x01000000, 0x4051), VLAPIC_SVM_RESUME);
    assert_int_equal(bed_count(BED_KICK, 1), 1);
    assert_false(bed_bit(1, VLAPIC_REG_IRR, 0x51));
    vlapic_cpu_exit(bed.cpu[1].cpu);
    assert_int_equal(bed_pending(1), -1);
    /* 2: by software, to the target that there is. */
    bed_enter(0);
    assert_int_equal(bed_incomplete(0, 2, 0x82000000, 0x4851), VLAPIC_SVM_RESUME);
    assert_int_equal(bed_pending(1), 0x51);
    /* 0: an NMI. */
    bed_enter(0);
    assert_int_equal(bed_incomplete(0, 0, 0x01000000, 0x4400), VLAPIC_SVM_RESUME);
    vlapic_cpu_poll(bed.cpu[1].cpu, &duty);
    assert_true(duty.nmi);
    /* 4: an illegal vector goes nowhere and is recorded. */
    bed_enter(0);
    assert_int_equal(bed_incomplete(0, 4, 0x01000000, 0x4005), VLAPIC_SVM_RESUME);
    assert_false(bed_bit(1, VLAPIC_REG_IRR, 5));
    bed_write(0, VLAPIC_REG_ESR, 0);
    assert_int_equal(bed_read(0, VLAPIC_REG_ESR), VLAPIC_ESR_SEND_ILLEGAL_VECTOR);
    /* 3: the table is broken. */
    bed_enter(0);
    assert_int_equal(bed_incomplete(0, 3, 0x01000000, 0x4051), VLAPIC_SVM_BROKEN);
}

static void ipi_while_it_blocks(struct bed_cpu *cpu, enum bed_kind kind)
{
    if (kind == BED_BLOCKED) {
        assert_true(bed_physical(0) & BED_RUNNING);
        bed_set_bit(cpu->index, VLAPIC_REG_IRR, 0x51); /* the doorbell goes to a core in the host */
    }
}

static void museum_115_erratum_1235_keeps_is_running_clear(void **state)
{
    /* KVM: on affected parts a sender did not see IsRunning cleared, and the IPI waited in IRR. */
    (void)state;
    bed_prepare(BED_AVIC);
    bed.svm.erratum_1235 = true;
    bed_start(2);
    bed_enter(0);
    bed_enter(1);
    assert_true(bed_uses_avic(1));
    assert_true(bed_physical(1) & BED_VALID);
    assert_false(bed_physical(1) & BED_RUNNING);
    /* The IPI exits, and software sees to it that the vCPU looks. */
    bed_set_bit(1, VLAPIC_REG_IRR, 0x51);
    bed_forget();
    assert_int_equal(bed_incomplete(0, 1, 0x01000000, 0x4051), VLAPIC_SVM_RESUME);
    assert_int_equal(bed_count(BED_KICK, 1) + bed_count(BED_DOORBELL, 1), 1);
    bed_end();

    /* Other parts: it is set, and cleared before the last look. */
    start(BED_AVIC, 1);
    bed_enter(0);
    assert_true(bed_physical(0) & BED_RUNNING);
    bed_leave(0);
    bed.on_running = ipi_while_it_blocks;
    assert_false(vlapic_cpu_halt(bed.cpu[0].cpu));
    assert_false(bed_physical(0) & BED_RUNNING);
    assert_int_equal(bed_pending(0), 0x51);
}

/* One vCPU with this ID, in x2APIC mode or not. */
static bool has_avic(uint32_t features, uint32_t id, bool x2apic)
{
    bool has;

    bed_prepare(features);
    bed.config.max_apic_id = id;
    bed.id[0] = id;
    bed_make_vm();
    bed_make_cpu(0);
    if (x2apic) {
        bed_x2apic(0);
    }
    bed_write(0, VLAPIC_REG_SVR, 0x1FF);
    bed_enter(0);
    has = bed_uses_avic(0);
    if (has) {
        assert_true(bed_physical(id) & BED_VALID);
        assert_true((bed_get(0, SVMHW_PHYSICAL_TABLE, 8) & 0xFFF) >= id);
    } else if (id < BED_TABLE_PAGES * 512 && x2apic) {
        assert_int_equal(bed_physical(id), 0);
    }
    bed_leave(0);
    bed_end();
    return has;
}

static void museum_117_ids_beyond_the_table_turn_avic_off(void **state)
{
    /* KVM: vCPU IDs too big for the table, and an off-by-one in the exit's index. */
    (void)state;
    assert_true(has_avic(BED_AVIC, 254, false));
    assert_false(has_avic(BED_AVIC, 255, false));
    assert_false(has_avic(BED_AVIC, 511, false));
    assert_true(has_avic(BED_X2AVIC, 254, true));
    assert_true(has_avic(BED_X2AVIC, 255, true));
    assert_true(has_avic(BED_X2AVIC, 511, true));
    assert_false(has_avic(BED_X2AVIC, 512, true));
    assert_true(has_avic(BED_ALL, 512, true));
    assert_true(has_avic(BED_ALL, 4095, true));
    assert_false(has_avic(BED_ALL, 4096, true));

    /* An index beyond the table is not followed: the ICR tells the targets. */
    start(BED_AVIC, 2);
    bed_enter(0);
    assert_int_equal(bed_pending(1), -1);
    assert_true(vlapic_cpu_halt(bed.cpu[1].cpu));
    bed_forget();
    assert_int_equal(bed_exit(0, SVMHW_EXIT_INCOMPLETE_IPI, 0x0100000000004051, 0x0000000100000FFF), VLAPIC_SVM_RESUME);
    assert_int_equal(bed.events, 1);
    assert_int_equal(bed_event_at(0, BED_KICK)->cpu, 1);
}

static unsigned sets_irr; /* at this vector, when AVIC is about to be withdrawn */

static void send_at_withdrawal(struct bed_cpu *cpu, enum bed_kind kind)
{
    if (kind != BED_RUNS && sets_irr != 0) {
        assert_true(bed_physical(cpu->index) & BED_RUNNING);
        bed_set_bit(cpu->index, VLAPIC_REG_IRR, (uint8_t)sets_irr);
        sets_irr = 0;
    }
}

static void post_at_withdrawal(struct bed_cpu *cpu, enum bed_kind kind)
{
    if (kind != BED_RUNS && sets_irr != 0) {
        assert_true(vlapic_cpu_post(cpu->cpu, (uint8_t)sets_irr, false));
        sets_irr = 0;
    }
}

static void museum_118_svm_a_post_races_with_withdrawal(void **state)
{
    /* KVM: AVIC went off at the target after the sender had set IRR, and nobody injected the vector. */
    static void (*const senders[])(struct bed_cpu *, enum bed_kind) = { send_at_withdrawal, post_at_withdrawal };

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        start(BED_AVIC, 1);
        bed_round(0);
        vlapic_svm_inhibit(bed.vm, VLAPIC_SVM_INHIBIT_REQUEST, true);
        sets_irr = 0x61;
        bed.on_running = senders[i];
        bed_enter(0);
        assert_int_equal(sets_irr, 0);
        assert_false(bed_uses_avic(0));
        assert_int_equal(bed.cpu[0].entry.injected, VLAPIC_SVM_INJECTED_VECTOR);
        assert_int_equal(bed_injected(0), SVMHW_EVENT_VALID | 0x61);
        bed_leave(0);
        assert_int_equal(bed_pending(0), -1);
        bed_end();
    }
    /* With AVIC: in the guest by the doorbell, in the host and asleep by waking alone. */
    start(BED_AVIC, 1);
    bed_enter(0);
    bed_forget();
    assert_true(vlapic_cpu_post(bed.cpu[0].cpu, 0x61, false));
    assert_int_equal(bed.events, 1);
    assert_int_equal(bed_event_at(0, BED_DOORBELL)->value, bed.cpu[0].core);
    bed_leave(0);
    assert_true(vlapic_cpu_post(bed.cpu[0].cpu, 0x62, false));
    assert_int_equal(bed.events, 1);
    bed_round(0);
    assert_true(vlapic_cpu_halt(bed.cpu[0].cpu));
    bed_forget();
    assert_true(vlapic_cpu_post(bed.cpu[0].cpu, 0x63, false));
    assert_int_equal(bed.events, 1);
    (void)bed_event_at(0, BED_KICK);
}

static void museum_119_avic_traps_and_faults_are_told_apart(void **state)
{
    /* KVM: a register write that took place already was carried out again, or one that had not was lost. */
    (void)state;
    start(BED_AVIC, 1);
    /* A trap: the value is in the page, RIP is past it. */
    bed_enter(0);
    assert_int_equal(bed_trap(0, VLAPIC_REG_LDR, 0x02000000), VLAPIC_SVM_RESUME);
    assert_int_equal(bed.cpu[0].length, 0);
    assert_int_equal(bed_read(0, VLAPIC_REG_LDR), 0x02000000);
    assert_int_equal(bed.logical[1], 0x80000000);
    bed_enter(0);
    assert_int_equal(bed_trap(0, VLAPIC_REG_RRD, 0x12345678), VLAPIC_SVM_RESUME);
    assert_int_equal(bed_read(0, VLAPIC_REG_RRD), 0);
    /* A fault: the instruction is carried out, RIP goes on. MOV EAX, [RDI]. */
    bed_write(0, VLAPIC_REG_INITIAL_COUNT, 1000000);
    bed_code(0, "\x8B\x07", 2);
    bed.cpu[0].reg[7] = 0xFEE00390;
    bed_enter(0);
    assert_int_equal(bed_fault(0, VLAPIC_REG_CURRENT_COUNT, false), VLAPIC_SVM_ADVANCE);
    assert_int_equal(bed.cpu[0].length, 2);
    assert_int_equal(bed.cpu[0].reg[0], 1000000);
    /* Level EOI: RIP is past it. */
    museum_in_service(bed.cpu[0].cpu, 0x61, true);
    bed_forget();
    bed_enter(0);
    assert_int_equal(bed_exit(0, SVMHW_EXIT_NOACCEL, 0x1000000B0, 0x61), VLAPIC_SVM_RESUME);
    assert_int_equal(bed_count(BED_BROADCAST, BED_CPUS), 1);
    assert_false(bed_bit(0, VLAPIC_REG_ISR, 0x61));
    assert_int_equal(bed.cpu[0].length, 0);
}

static void hears_of_it(void *cookie, uint8_t vector, bool level)
{
    (void)cookie;
    (void)vector;
    (void)level;
}

static void museum_121_svm_edge_eoi_inhibits_avic(void **state)
{
    /* KVM: AVIC completes the EOI of an edge vector without an exit. */
    (void)state;
    bed_prepare(BED_ALL);
    bed.host.eoi_notify = hears_of_it;
    bed_start(1);
    bed_enter(0);
    assert_int_equal(inhibits(0), VLAPIC_SVM_INHIBIT_EDGE_EOI);
    assert_false(bed_uses_avic(0));
    bed_end();
    /* Unless the host says that it does not need those. */
    bed_prepare(BED_ALL);
    bed.host.eoi_notify = hears_of_it;
    bed.svm.edge_eoi_not_needed = true;
    bed_start(1);
    bed_enter(0);
    assert_int_equal(inhibits(0), 0);
    assert_true(bed_uses_avic(0));
}

/* ---- NMIs ---- */

/* Gives `count` NMIs while one is in progress; returns how many are taken after it. */
static unsigned taken_after(uint32_t features, unsigned count)
{
    unsigned taken = 0;

    start(features, 1);
    bed.cpu[0].guest.nmi = true;
    bed_enter(0);
    bed.cpu[0].guest.nmi = false;
    if ((features & VLAPIC_SVM_VNMI) != 0) { /* hardware takes it */
        bed_set(0, SVMHW_VINTR_CONTROL, 8, (bed_control(0) & ~SVMHW_V_NMI) | SVMHW_V_NMI_MASK);
    }
    bed_leave(0);
    for (unsigned i = 0; i < count; i++) {
        bed.cpu[0].guest.nmi = true;
        bed_enter(0);
        bed.cpu[0].guest.nmi = bed.cpu[0].entry.injected != VLAPIC_SVM_INJECTED_NMI;
        bed_leave(0);
    }
    /* The IRET, again and again. */
    for (unsigned i = 0; i < count + 2; i++) {
        bed_enter(0);
        if ((features & VLAPIC_SVM_VNMI) != 0) {
            taken += (bed_control(0) & SVMHW_V_NMI) != 0;
            bed_set(0, SVMHW_VINTR_CONTROL, 8, bed_control(0) & ~(SVMHW_V_NMI | SVMHW_V_NMI_MASK));
        } else if (bed.cpu[0].entry.injected == VLAPIC_SVM_INJECTED_NMI) {
            taken++;
        }
        bed.cpu[0].guest.nmi = bed.cpu[0].guest.nmi && bed.cpu[0].entry.injected != VLAPIC_SVM_INJECTED_NMI;
        if ((bed_get(0, SVMHW_INTERCEPT_3, 4) >> 20 & 1) != 0) {
            assert_int_equal(bed_exit(0, SVMHW_EXIT_IRET, 0, 0), VLAPIC_SVM_RESUME);
            bed_enter(0);
            bed_set(0, SVMHW_RIP, 8, bed_get(0, SVMHW_RIP, 8) + 2);
        }
        bed_leave(0);
    }
    bed_end();
    return taken;
}

static void museum_178_vnmi_merges_in_the_same_way(void **state)
{
    /* KVM: the number of NMIs kept differed between the software and the hardware path. */
    (void)state;
    for (unsigned count = 0; count < 4; count++) {
        assert_int_equal(taken_after(0, count), count != 0);
        assert_int_equal(taken_after(VLAPIC_SVM_VNMI, count), count != 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(museum_038_the_busy_bit_is_cleared_after_an_incomplete_ipi, bed_teardown),
        cmocka_unit_test_teardown(museum_057_x2avic_intercepts_follow_the_control_block, bed_teardown),
        cmocka_unit_test(museum_059_a_nested_control_block_cannot_enable_avic),
        cmocka_unit_test_teardown(museum_077_v_tpr_keeps_the_sub_class, bed_teardown),
        cmocka_unit_test_teardown(museum_079_cr8_writes_are_intercepted_when_tpr_holds_a_vector_back, bed_teardown),
        cmocka_unit_test_teardown(museum_105_svm_id_inhibits_are_recomputed, bed_teardown),
        cmocka_unit_test_teardown(museum_114_an_incomplete_ipi_is_finished_by_its_cause, bed_teardown),
        cmocka_unit_test_teardown(museum_115_erratum_1235_keeps_is_running_clear, bed_teardown),
        cmocka_unit_test_teardown(museum_117_ids_beyond_the_table_turn_avic_off, bed_teardown),
        cmocka_unit_test_teardown(museum_118_svm_a_post_races_with_withdrawal, bed_teardown),
        cmocka_unit_test_teardown(museum_119_avic_traps_and_faults_are_told_apart, bed_teardown),
        cmocka_unit_test_teardown(museum_121_svm_edge_eoi_inhibits_avic, bed_teardown),
        cmocka_unit_test_teardown(museum_178_vnmi_merges_in_the_same_way, bed_teardown),
    };
    return cmocka_run_group_tests_name("museum: svm", tests, NULL, NULL);
}
