/* SPDX-License-Identifier: BSD-2-Clause */
/* Every reason to do without AVIC: it is named, it is obeyed, and the guest sees no difference. AMD APM 2, "Advanced Virtual Interrupt Controller". */
#include "svm_bed.h"

#include "side.h"
#include "side_svm.h"

static uint64_t inhibits(unsigned cpu)
{
    return vlapic_backend_svm.inhibits(vlapic_backend_cpu_state(bed.cpu[cpu].cpu, &vlapic_backend_svm));
}

/* The vCPU enters without AVIC for this reason and no other. */
static void expect_only(unsigned cpu, uint64_t reason)
{
    bed_enter(cpu);
    assert_int_equal(inhibits(cpu), reason);
    assert_int_equal(bed_uses_avic(cpu), reason == 0);
    assert_int_equal((bed.cpu[cpu].entry.features & BED_X2AVIC) != 0, reason == 0);
    bed_leave(cpu);
}

static void the_embedders_reasons(void **state)
{
    (void)state;
    bed_prepare(BED_ALL);
    bed_start(2);
    expect_only(0, 0);
    for (unsigned bit = 0; bit < 32; bit++) {
        vlapic_svm_inhibit(bed.vm, 1u << bit, true);
        expect_only(0, bit < 16 ? 1u << bit : 0);
        expect_only(1, bit < 16 ? 1u << bit : 0);
        vlapic_svm_inhibit(bed.vm, 1u << bit, false);
        expect_only(0, 0);
    }
    /* Each is taken back by itself. */
    vlapic_svm_inhibit(bed.vm, VLAPIC_SVM_INHIBIT_REQUEST | VLAPIC_SVM_INHIBIT_NESTED, true);
    vlapic_svm_inhibit(bed.vm, VLAPIC_SVM_INHIBIT_NESTED, false);
    expect_only(0, VLAPIC_SVM_INHIBIT_REQUEST);
    vlapic_svm_inhibit(bed.vm, UINT32_MAX, false);
    expect_only(0, 0);
}

static void modes_that_the_processor_has_not(void **state)
{
    (void)state;
    bed_prepare(BED_AVIC);
    bed_start(1);
    bed_x2apic(0);
    expect_only(0, VLAPIC_SVM_INHIBIT_MODE);
    bed_set_base(0, 0);
    bed_enter(0);
    assert_true(inhibits(0) & VLAPIC_SVM_INHIBIT_MODE);
    bed_leave(0);
    bed_end();
    bed_prepare(VLAPIC_SVM_X2AVIC);
    bed_start(1);
    expect_only(0, VLAPIC_SVM_INHIBIT_MODE);
    bed_x2apic(0);
    expect_only(0, 0);
}

static void software_disable(void **state)
{
    (void)state;
    bed_prepare(BED_AVIC);
    bed_start(1);
    bed_write(0, VLAPIC_REG_SVR, 0x0FF);
    expect_only(0, VLAPIC_SVM_INHIBIT_SOFTWARE_DISABLED);
    bed_write(0, VLAPIC_REG_SVR, 0x1FF);
    expect_only(0, 0);
}

/* Pin level, remote IRR set; then the vector is made edge by an IPI: its EOI would pass unseen. */
static void a_level_of_lint0_whose_vector_became_edge(void **state)
{
    (void)state;
    bed_prepare(BED_AVIC);
    bed_start(1);
    bed_write(0, VLAPIC_REG_LVT_LINT0, 0x8061);
    vlapic_cpu_lint(bed.cpu[0].cpu, 0, true);
    expect_only(0, 0);
    assert_true(bed_bit(0, VLAPIC_REG_TMR, 0x61));
    assert_true(bed_read(0, VLAPIC_REG_LVT_LINT0) & VLAPIC_LVT_REMOTE_IRR);
    assert_true(vlapic_cpu_post(bed.cpu[0].cpu, 0x61, false));
    bed.cpu[0].guest.rflags = 2;
    expect_only(0, VLAPIC_SVM_INHIBIT_LINT0);
    /* The EOI ends it. */
    vlapic_cpu_lint(bed.cpu[0].cpu, 0, false);
    bed.cpu[0].guest.rflags = 0x202;
    bed_enter(0);
    assert_int_equal(bed_injected(0), SVMHW_EVENT_VALID | 0x61);
    bed_leave(0);
    bed_write(0, VLAPIC_REG_EOI, 0);
    expect_only(0, 0);
}

static void reasons_that_last(void **state)
{
    (void)state;
    bed_prepare(BED_ALL);
    bed.config.max_lvt = 6;
    bed_start(1);
    expect_only(0, VLAPIC_SVM_INHIBIT_REGISTERS);
    bed_end();
    bed_prepare(BED_ALL);
    bed.config.vendor = VLAPIC_VENDOR_AMD;
    bed.config.ext_space = true;
    bed_start(1);
    expect_only(0, VLAPIC_SVM_INHIBIT_REGISTERS);
    bed_x2apic(0);
    expect_only(0, VLAPIC_SVM_INHIBIT_REGISTERS);
}

/* ---- what the guest sees, on hardware, with each reason given and taken in the middle ---- */

struct witness {
    struct side side;
    uint32_t reads[32];
    unsigned count;
};

static void note(struct witness *w, unsigned cpu, uint32_t offset)
{
    assert_true(w->count < 32);
    w->reads[w->count++] = side_read(&w->side, cpu, offset);
}

static void ipi(struct witness *w, unsigned from, uint32_t to, uint32_t low)
{
    (void)side_write(&w->side, from, VLAPIC_REG_ICR_HIGH, to << 24);
    (void)side_write(&w->side, from, VLAPIC_REG_ICR_LOW, low);
}

static void reason_request(struct witness *w, bool on)
{
    w->side.kind->inhibit(&w->side, on);
}

static void reason_logical_id(struct witness *w, bool on)
{
    (void)side_write(&w->side, 1, VLAPIC_REG_LDR, on ? 0x06000000 : 0x02000000);
}

static void reason_twice(struct witness *w, bool on)
{
    (void)side_write(&w->side, 1, VLAPIC_REG_LDR, on ? 0x01000000 : 0x02000000);
}

static void reason_physical_id(struct witness *w, bool on)
{
    (void)side_write(&w->side, 1, VLAPIC_REG_ID, on ? 0x03000000 : 0x01000000);
}

static void reason_mixed_modes(struct witness *w, bool on)
{
    uint64_t base = vlapic_cpu_apic_base(w->side.cpu[1].cpu);

    (void)side_wrmsr(&w->side, 1, VLAPIC_MSR_APIC_BASE,
                     on ? base | VLAPIC_BASE_EXTD : base & ~(VLAPIC_BASE_EXTD | VLAPIC_BASE_EN));
    if (!on) {
        (void)side_wrmsr(&w->side, 1, VLAPIC_MSR_APIC_BASE, base & ~VLAPIC_BASE_EXTD);
        (void)side_write(&w->side, 1, VLAPIC_REG_SVR, 0x1FF);
        (void)side_write(&w->side, 1, VLAPIC_REG_LDR, 0x02000000);
    }
}

static void reason_disabled(struct witness *w, bool on)
{
    (void)side_write(&w->side, 1, VLAPIC_REG_SVR, on ? 0x0FF : 0x1FF);
}

static void reason_extint(struct witness *w, bool on)
{
    (void)side_write(&w->side, 0, VLAPIC_REG_LVT_LINT0, 0x00000700);
    vlapic_cpu_lint(w->side.cpu[0].cpu, 0, on);
    side_settle(&w->side);
}

static void reason_lint0(struct witness *w, bool on)
{
    (void)side_write(&w->side, 0, VLAPIC_REG_LVT_LINT0, 0x00008061);
    vlapic_cpu_lint(w->side.cpu[0].cpu, 0, on);
    side_settle(&w->side);
    if (on) {
        (void)vlapic_cpu_post(w->side.cpu[0].cpu, 0x61, false);
    } else {
        (void)side_write(&w->side, 0, VLAPIC_REG_EOI, 0);
    }
    side_settle(&w->side);
}

static void traffic(struct witness *w)
{
    ipi(w, 0, 1, 0x4051);
    ipi(w, 1, 0, 0x4062);
    ipi(w, 0, 3, 0x4872); /* flat, to both */
    ipi(w, 1, 0xFF, 0x4083);
    side_interrupts(&w->side, 0, true);
    side_interrupts(&w->side, 1, true);
    for (unsigned cpu = 0; cpu < 2; cpu++) {
        note(w, cpu, VLAPIC_REG_PPR);
        note(w, cpu, VLAPIC_REG_ISR + 0x20);
        for (unsigned i = 0; i < 6; i++) {
            (void)side_write(&w->side, cpu, VLAPIC_REG_EOI, 0);
            side_interrupts(&w->side, cpu, true);
        }
        note(w, cpu, VLAPIC_REG_IRR + 0x40);
        side_interrupts(&w->side, cpu, false);
    }
}

static void play(struct witness *w, const struct side_kind *kind, uint32_t features,
                 void (*reason)(struct witness *, bool))
{
    *w = (struct witness){ .count = 0 };
    side_prepare(&w->side, kind);
    w->side.features = features;
    w->side.config.id_writable = true;
    w->side.count = 2;
    side_start(&w->side);
    (void)side_write(&w->side, 0, VLAPIC_REG_SVR, 0x1FF);
    (void)side_write(&w->side, 0, VLAPIC_REG_LDR, 0x01000000);
    ipi(w, 0, 1, 0x4500); /* INIT, SIPI */
    ipi(w, 0, 1, 0x4610);
    (void)side_write(&w->side, 1, VLAPIC_REG_SVR, 0x1FF);
    (void)side_write(&w->side, 1, VLAPIC_REG_LDR, 0x02000000);
    traffic(w);
    reason(w, true);
    traffic(w);
    reason(w, false);
    traffic(w);
}

static void the_guest_sees_no_difference(void **state)
{
    static void (*const reasons[])(struct witness *, bool) = {
        reason_request,     reason_logical_id, reason_twice,  reason_physical_id,
        reason_mixed_modes, reason_disabled,   reason_extint, reason_lint0,
    };
    static const uint32_t levels[] = { BED_AVIC, BED_ALL, BED_ALL | SIDE_SVM_POISON, BED_ALL | SIDE_SVM_ERRATUM_1235 };
    static struct witness soft, hard;

    (void)state;
    for (unsigned i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
        for (unsigned k = 0; k < sizeof levels / sizeof levels[0]; k++) {
            play(&soft, &side_soft, 0, reasons[i]);
            play(&hard, &side_svm, levels[k], reasons[i]);
            assert_true(soft.side.cpu[0].log.count >= 9);
            assert_int_equal(soft.count, hard.count);
            for (unsigned n = 0; n < soft.count; n++) {
                assert_int_equal(soft.reads[n], hard.reads[n]);
            }
            for (unsigned cpu = 0; cpu < 2; cpu++) {
                assert_memory_equal(&soft.side.cpu[cpu].log, &hard.side.cpu[cpu].log, sizeof soft.side.cpu[cpu].log);
            }
            side_end(&soft.side);
            side_end(&hard.side);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(the_embedders_reasons, bed_teardown),
        cmocka_unit_test_teardown(modes_that_the_processor_has_not, bed_teardown),
        cmocka_unit_test_teardown(software_disable, bed_teardown),
        cmocka_unit_test_teardown(a_level_of_lint0_whose_vector_became_edge, bed_teardown),
        cmocka_unit_test_teardown(reasons_that_last, bed_teardown),
        cmocka_unit_test(the_guest_sees_no_difference),
    };
    return cmocka_run_group_tests_name("svm: inhibits", tests, NULL, NULL);
}
