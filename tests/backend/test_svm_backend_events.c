/* SPDX-License-Identifier: BSD-2-Clause */
/* What an entry injects, and what it waits for. AMD APM 2, "Event Injection", "EXITINTINFO", "Virtual Interrupts", "NMI Virtualization". */
#include "svm_bed.h"

#define VECTOR(v) (SVMHW_EVENT_VALID | (v))
#define NMI (SVMHW_EVENT_VALID | SVMHW_TYPE_NMI << 8 | 2)
#define WINDOW (SVMHW_V_IRQ | 0xFull << SVMHW_V_INTR_PRIO_SHIFT | SVMHW_V_IGN_TPR)
#define IF 0x202

static void start(uint32_t features)
{
    bed_prepare(features);
    bed_start(1);
}

/* Neither injected nor waited for, or one of them. */
static void expect(enum vlapic_svm_injected what, uint64_t injected, bool window)
{
    uint64_t intercepts = bed_get(0, SVMHW_INTERCEPT_3, 4);

    assert_int_equal(bed.cpu[0].entry.injected, what);
    assert_int_equal(bed_injected(0), injected);
    assert_int_equal(bed_control(0) & (WINDOW | 0xFFull << SVMHW_V_INTR_VECTOR_SHIFT), window ? WINDOW : 0);
    assert_int_equal(intercepts >> 4 & 1, window);
    if (what != VLAPIC_SVM_INJECTED_NONE && what != VLAPIC_SVM_INJECTED_NMI) {
        assert_int_equal(bed.cpu[0].entry.vector, injected & 0xFF);
    }
}

static bool iret_exits(void)
{
    return (bed_get(0, SVMHW_INTERCEPT_3, 4) >> 20 & 1) != 0;
}

static bool steps(void)
{
    return (bed.cpu[0].entry.changes & VLAPIC_SVM_SINGLE_STEP) != 0;
}

static void post(uint8_t vector)
{
    assert_true(vlapic_cpu_post(bed.cpu[0].cpu, vector, false));
}

/* The exit tells that it interrupted the delivery of this. */
static void leave_interrupting(uint64_t event)
{
    bed_set(0, SVMHW_EXITINTINFO, 8, event);
    bed_leave(0);
    bed_set(0, SVMHW_EXITINTINFO, 8, 0);
}

/* ---- vectors of this APIC ---- */

static void an_open_guest_gets_the_vector_at_once(void **state)
{
    (void)state;
    start(0);
    post(0x61);
    bed_enter(0);
    expect(VLAPIC_SVM_INJECTED_VECTOR, VECTOR(0x61), false);
    assert_true(bed_bit(0, VLAPIC_REG_ISR, 0x61));
    assert_false(bed_bit(0, VLAPIC_REG_IRR, 0x61));
    bed_leave(0);
    assert_int_equal(bed_injected(0), 0);
    bed_enter(0);
    expect(VLAPIC_SVM_INJECTED_NONE, 0, false);
}

static void a_closed_guest_gets_a_window(void **state)
{
    static const struct vlapic_svm_guest closed[] = {
        { .rflags = 2 },
        { .rflags = IF, .shadow = true },
        { .rflags = 2, .shadow = true },
        { .rflags = IF, .busy = true },
    };

    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        start(0);
        bed_set(0, SVMHW_EVENTINJ, 8, i == 3 ? 0x80000B0Eull : 0); /* the embedder's own */
        post(0x61);
        bed.cpu[0].guest = closed[i];
        bed_enter(0);
        expect(VLAPIC_SVM_INJECTED_NONE, i == 3 ? 0x80000B0Eull : 0, true);
        assert_true(bed_bit(0, VLAPIC_REG_IRR, 0x61));
        assert_int_equal(bed_exit(0, SVMHW_EXIT_VINTR, 0, 0), VLAPIC_SVM_RESUME);
        bed.cpu[0].guest = (struct vlapic_svm_guest){ .rflags = IF };
        bed_enter(0);
        expect(VLAPIC_SVM_INJECTED_VECTOR, VECTOR(0x61), false);
        bed_leave(0);
        bed_end();
    }
}

static void what_priority_holds_back_has_no_window(void **state)
{
    (void)state;
    start(0);
    bed.cpu[0].guest.rflags = 2;
    bed_write(0, VLAPIC_REG_TPR, 0x60);
    post(0x61);
    bed_enter(0);
    expect(VLAPIC_SVM_INJECTED_NONE, 0, false);
}

static void with_avic_nothing_is_injected(void **state)
{
    (void)state;
    start(BED_AVIC);
    post(0x61);
    bed_enter(0);
    expect(VLAPIC_SVM_INJECTED_NONE, 0, false);
    assert_true(bed_bit(0, VLAPIC_REG_IRR, 0x61));
    assert_false(bed_bit(0, VLAPIC_REG_ISR, 0x61));
}

static void an_entry_past_the_backend_injects_nothing(void **state)
{
    struct vlapic_poll duty;

    (void)state;
    start(0);
    post(0x61);
    vlapic_cpu_poll(bed.cpu[0].cpu, &duty);
    assert_int_equal(duty.vector, 0x61);
    assert_true(vlapic_cpu_enter(bed.cpu[0].cpu));
    expect(VLAPIC_SVM_INJECTED_NONE, 0, true);
    assert_true(bed_bit(0, VLAPIC_REG_IRR, 0x61));
    vlapic_cpu_exit(bed.cpu[0].cpu);
}

/* ---- entries that do not take place ---- */

static void a_cancelled_vector_is_in_irr_again(void **state)
{
    (void)state;
    start(0);
    post(0x61);
    bed_enter(0);
    vlapic_svm_cancel(bed.cpu[0].cpu);
    assert_int_equal(bed_injected(0), 0);
    assert_true(bed_bit(0, VLAPIC_REG_IRR, 0x61));
    assert_false(bed_bit(0, VLAPIC_REG_ISR, 0x61));
    post(0x71);
    bed_enter(0);
    expect(VLAPIC_SVM_INJECTED_VECTOR, VECTOR(0x71), false);
    bed_leave(0);
    bed_write(0, VLAPIC_REG_EOI, 0);
    bed_enter(0);
    expect(VLAPIC_SVM_INJECTED_VECTOR, VECTOR(0x61), false);
}

static void a_cancelled_nmi_or_extint_is_injected_next(void **state)
{
    (void)state;
    start(0);
    bed.cpu[0].guest.nmi = true;
    bed_enter(0);
    expect(VLAPIC_SVM_INJECTED_NMI, NMI, false);
    bed.cpu[0].guest.nmi = false;
    vlapic_svm_cancel(bed.cpu[0].cpu);
    assert_int_equal(bed_injected(0), 0);
    bed_enter(0);
    expect(VLAPIC_SVM_INJECTED_AGAIN, NMI, false);
    bed_leave(0);
    bed_end();

    start(0);
    bed.cpu[0].guest.extint = true;
    bed_enter(0);
    bed.cpu[0].guest.extint = false;
    vlapic_svm_cancel(bed.cpu[0].cpu);
    bed_enter(0);
    expect(VLAPIC_SVM_INJECTED_AGAIN, VECTOR(BED_EXTINT), false);
    assert_int_equal(bed_count(BED_ACKNOWLEDGE, 0), 1);
}

static void a_cancelled_vnmi_stays_pending(void **state)
{
    (void)state;
    start(VLAPIC_SVM_VNMI);
    bed.cpu[0].guest.nmi = true;
    bed_enter(0);
    bed.cpu[0].guest.nmi = false;
    vlapic_svm_cancel(bed.cpu[0].cpu);
    bed_enter(0);
    assert_true(bed_control(0) & SVMHW_V_NMI);
    expect(VLAPIC_SVM_INJECTED_NONE, 0, false);
}

static void a_cancelled_entry_leaves_the_embedders_event(void **state)
{
    (void)state;
    start(0);
    bed_set(0, SVMHW_EVENTINJ, 8, 0x80000B0E);
    bed.cpu[0].guest.busy = true;
    bed_enter(0);
    vlapic_svm_cancel(bed.cpu[0].cpu);
    assert_int_equal(bed_injected(0), 0x80000B0E);
}

/* ---- interrupted deliveries ---- */

static void an_interrupted_vector_is_injected_again(void **state)
{
    (void)state;
    start(0);
    post(0x61);
    bed_enter(0);
    leave_interrupting(VECTOR(0x61));
    assert_true(bed_bit(0, VLAPIC_REG_ISR, 0x61));
    bed_enter(0);
    expect(VLAPIC_SVM_INJECTED_AGAIN, VECTOR(0x61), false);
    assert_true(bed_bit(0, VLAPIC_REG_ISR, 0x61));
    bed_leave(0);
    bed_enter(0);
    expect(VLAPIC_SVM_INJECTED_NONE, 0, false);
}

static void an_interrupted_vector_waits_for_its_turn(void **state)
{
    static const struct vlapic_svm_guest closed[] = { { .rflags = 2 },
                                                      { .rflags = IF, .shadow = true },
                                                      { .rflags = IF, .busy = true } };

    (void)state;
    for (unsigned features = 0; features < 2; features++) {
        for (unsigned i = 0; i < 3; i++) {
            start(features != 0 ? BED_ALL : 0);
            bed_enter(0);
            bed_set_bit(0, VLAPIC_REG_ISR, 0x61);
            leave_interrupting(VECTOR(0x61));
            bed.cpu[0].guest = closed[i];
            bed_enter(0);
            expect(VLAPIC_SVM_INJECTED_NONE, 0, true);
            assert_false(bed_uses_avic(0)); /* it knows no windows */
            bed_leave(0);
            bed.cpu[0].guest = (struct vlapic_svm_guest){ .rflags = IF };
            bed_enter(0);
            expect(VLAPIC_SVM_INJECTED_AGAIN, VECTOR(0x61), false);
            bed_leave(0);
            bed_enter(0);
            assert_int_equal(bed_uses_avic(0), features != 0);
            bed_end();
        }
    }
}

static void an_interrupted_nmi_is_injected_again(void **state)
{
    (void)state;
    start(0);
    bed.cpu[0].guest.nmi = true;
    bed_enter(0);
    leave_interrupting(NMI);
    bed.cpu[0].guest = (struct vlapic_svm_guest){ .rflags = 2, .shadow = true };
    bed_enter(0);
    expect(VLAPIC_SVM_INJECTED_NONE, 0, false);
    assert_true(iret_exits()); /* NMIs are blocked, by itself */
    assert_true(steps());
    bed_leave(0);
    bed.cpu[0].guest.shadow = false;
    bed_enter(0);
    expect(VLAPIC_SVM_INJECTED_AGAIN, NMI, false);
}

static void an_nmi_comes_before_an_interrupt_that_was_interrupted(void **state)
{
    (void)state;
    start(0);
    bed_enter(0);
    bed_set_bit(0, VLAPIC_REG_ISR, 0x61);
    leave_interrupting(VECTOR(0x61));
    bed.cpu[0].guest = (struct vlapic_svm_guest){ .rflags = 2 };
    bed_round(0);
    bed.cpu[0].guest.rflags = IF;
    bed.cpu[0].guest.busy = true;
    bed_enter(0);
    leave_interrupting(NMI);
    bed.cpu[0].guest.busy = false;
    bed_enter(0);
    expect(VLAPIC_SVM_INJECTED_AGAIN, NMI, true);
    bed_leave(0);
    bed_enter(0);
    expect(VLAPIC_SVM_INJECTED_AGAIN, VECTOR(0x61), false);
}

/* The task switch that the embedder carries out is the delivery. */
static void what_went_by_a_task_gate_is_not_injected_again(void **state)
{
    static const uint64_t events[] = { NMI, VECTOR(0x61) };

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        start(0);
        bed_enter(0);
        bed_set_bit(0, VLAPIC_REG_ISR, 0x61);
        bed_set(0, SVMHW_EXITINTINFO, 8, events[i]);
        assert_int_equal(bed_exit(0, SVMHW_EXIT_TASK_SWITCH, 0x28, 0), VLAPIC_SVM_NOT_MINE);
        bed_set(0, SVMHW_EXITINTINFO, 8, 0);
        bed_enter(0);
        expect(VLAPIC_SVM_INJECTED_NONE, 0, false);
        assert_true(bed_bit(0, VLAPIC_REG_ISR, 0x61));
        bed_end();
    }
}

/* Exceptions and software interrupts. */
static void other_interrupted_events_are_the_embedders(void **state)
{
    static const uint64_t events[] = { 0x80000B0E, 0x80000480, 0x00000061, 0x80000161 };

    (void)state;
    start(0);
    for (unsigned i = 0; i < 4; i++) {
        bed_enter(0);
        leave_interrupting(events[i]);
        bed_enter(0);
        expect(VLAPIC_SVM_INJECTED_NONE, 0, false);
        bed_leave(0);
    }
}

/* It blocks others already, and waits for no IRET: reference 3.5. */
static void an_interrupted_nmi_waits_one_instruction_for_the_embedders_event(void **state)
{
    static const uint32_t kinds[] = { 0, VLAPIC_SVM_VNMI };

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        start(kinds[i]);
        bed.cpu[0].guest.nmi = true;
        bed_enter(0);
        bed.cpu[0].guest.nmi = false;
        bed_set(0, SVMHW_VINTR_CONTROL, 8, (bed_control(0) & ~SVMHW_V_NMI) | (kinds[i] != 0 ? SVMHW_V_NMI_MASK : 0));
        leave_interrupting(NMI);
        bed.cpu[0].guest.busy = true; /* the page fault that it met, say */
        bed_enter(0);
        expect(VLAPIC_SVM_INJECTED_NONE, 0, false);
        assert_true(steps());
        bed_leave(0);
        bed.cpu[0].guest.busy = false;
        bed_enter(0);
        expect(VLAPIC_SVM_INJECTED_AGAIN, NMI, false);
        assert_false(steps());
        bed_end();
    }
}

static void what_is_in_flight_can_be_saved(void **state)
{
    (void)state;
    start(BED_ALL);
    assert_int_equal(vlapic_svm_get_in_flight(bed.cpu[0].cpu), 0);
    /* A vector of this APIC goes back to IRR. */
    bed_enter(0);
    bed_set_bit(0, VLAPIC_REG_ISR, 0x61);
    leave_interrupting(VECTOR(0x61));
    assert_int_equal(vlapic_svm_get_in_flight(bed.cpu[0].cpu), 0);
    assert_true(bed_bit(0, VLAPIC_REG_IRR, 0x61));
    assert_false(bed_bit(0, VLAPIC_REG_ISR, 0x61));
    /* An ExtINT does not. */
    bed_enter(0);
    leave_interrupting(VECTOR(BED_EXTINT));
    assert_int_equal(vlapic_svm_get_in_flight(bed.cpu[0].cpu), 0x80000000u | BED_EXTINT);
    assert_int_equal(vlapic_svm_get_in_flight(bed.cpu[0].cpu), 0x80000000u | BED_EXTINT);
    /* An NMI. */
    vlapic_svm_set_in_flight(bed.cpu[0].cpu, 0);
    assert_int_equal(vlapic_svm_get_in_flight(bed.cpu[0].cpu), 0);
    bed_enter(0);
    leave_interrupting(NMI);
    assert_int_equal(vlapic_svm_get_in_flight(bed.cpu[0].cpu), NMI);
    /* One that vNMI has pending. */
    vlapic_svm_set_in_flight(bed.cpu[0].cpu, 0);
    bed.cpu[0].guest.nmi = true;
    bed_enter(0);
    bed.cpu[0].guest.nmi = false;
    bed_leave(0);
    assert_int_equal(vlapic_svm_get_in_flight(bed.cpu[0].cpu), NMI);
}

static void what_was_in_flight_can_be_restored(void **state)
{
    static const struct {
        uint32_t information;
        uint64_t injected;
    } rows[] = { { 0x8000002A, VECTOR(0x2A) },
                 { 0x80000202, NMI },
                 { 0x80000030 | 0x400, 0 },
                 { 0x80000B0E, 0 },
                 { 0x0000002A, 0 },
                 { 0, 0 } };

    (void)state;
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        start(0);
        vlapic_svm_set_in_flight(bed.cpu[0].cpu, rows[i].information);
        bed_enter(0);
        expect(rows[i].injected != 0 ? VLAPIC_SVM_INJECTED_AGAIN : VLAPIC_SVM_INJECTED_NONE, rows[i].injected, false);
        bed_leave(0);
        bed_end();
    }
    /* It replaces what there was. */
    start(VLAPIC_SVM_VNMI);
    bed.cpu[0].guest.nmi = true;
    bed_enter(0);
    bed.cpu[0].guest.nmi = false;
    leave_interrupting(VECTOR(BED_EXTINT));
    vlapic_svm_set_in_flight(bed.cpu[0].cpu, 0);
    bed_enter(0);
    expect(VLAPIC_SVM_INJECTED_NONE, 0, false);
    assert_false(bed_control(0) & SVMHW_V_NMI);
}

static void a_reset_forgets_what_was_on_its_way(void **state)
{
    (void)state;
    start(0);
    bed.cpu[0].guest.nmi = true;
    bed_enter(0);
    bed.cpu[0].guest.nmi = false;
    leave_interrupting(VECTOR(BED_EXTINT));
    vlapic_cpu_reset(bed.cpu[0].cpu);
    bed_enter(0);
    expect(VLAPIC_SVM_INJECTED_NONE, 0, false);
    assert_false(iret_exits());
}

/* The guest disables its APIC in the handler of an NMI. The core's NMIs go on: lapic.md 2, IA32_APIC_BASE. */
static void a_disable_leaves_nmis_as_they_are(void **state)
{
    const uint64_t both = SVMHW_V_NMI | SVMHW_V_NMI_MASK;

    (void)state;
    start(0);
    bed.cpu[0].guest.nmi = true;
    bed_round(0);
    bed_set_base(0, 0);
    bed_enter(0);
    expect(VLAPIC_SVM_INJECTED_NONE, 0, false);
    assert_true(iret_exits());
    bed_end();
    start(VLAPIC_SVM_VNMI);
    bed_enter(0);
    bed_set(0, SVMHW_VINTR_CONTROL, 8, bed_control(0) | both);
    bed_leave(0);
    bed_set_base(0, 0);
    bed_enter(0);
    assert_int_equal(bed_control(0) & both, both);
}

/* ---- NMIs without vNMI ---- */

static void nmis_are_blocked_up_to_the_iret(void **state)
{
    (void)state;
    start(0);
    bed.cpu[0].guest.nmi = true;
    bed_enter(0);
    expect(VLAPIC_SVM_INJECTED_NMI, NMI, false);
    bed.cpu[0].guest.nmi = false;
    bed_leave(0);
    bed_enter(0);
    assert_true(iret_exits());
    assert_false(steps());
    bed_leave(0);
    /* A second one waits for the IRET. */
    bed.cpu[0].guest.nmi = true;
    bed_enter(0);
    expect(VLAPIC_SVM_INJECTED_NONE, 0, false);
    assert_true(iret_exits());
    assert_false(steps());
    /* The IRET is executed by the next entry, and not a second time intercepted. */
    assert_int_equal(bed_exit(0, SVMHW_EXIT_IRET, 0, 0), VLAPIC_SVM_RESUME);
    bed_enter(0);
    expect(VLAPIC_SVM_INJECTED_NONE, 0, false);
    assert_false(iret_exits());
    assert_true(steps());
    /* It faulted: it is still to come. */
    bed_leave(0);
    bed_enter(0);
    expect(VLAPIC_SVM_INJECTED_NONE, 0, false);
    assert_true(steps());
    bed_set(0, SVMHW_RIP, 8, BED_RIP + 2);
    bed_leave(0);
    bed_enter(0);
    expect(VLAPIC_SVM_INJECTED_NMI, NMI, false);
    assert_false(steps());
}

/* RIP may be changed by the embedder, too. */
static void an_iret_that_the_embedder_emulates_counts(void **state)
{
    (void)state;
    start(0);
    bed.cpu[0].guest.nmi = true;
    bed_round(0);
    bed_enter(0);
    assert_int_equal(bed_exit(0, SVMHW_EXIT_IRET, 0, 0), VLAPIC_SVM_RESUME);
    bed_set(0, SVMHW_RIP, 8, 0x7777);
    bed_enter(0);
    expect(VLAPIC_SVM_INJECTED_NMI, NMI, false);
}

static void an_iret_that_is_not_waited_for_is_the_embedders(void **state)
{
    (void)state;
    start(0);
    bed_enter(0);
    assert_false(iret_exits());
    assert_int_equal(bed_exit(0, SVMHW_EXIT_IRET, 0, 0), VLAPIC_SVM_NOT_MINE);
    /* Nor one that comes again. */
    bed.cpu[0].guest.nmi = true;
    bed_round(0);
    bed_enter(0);
    assert_int_equal(bed_exit(0, SVMHW_EXIT_IRET, 0, 0), VLAPIC_SVM_RESUME);
    bed_enter(0);
    assert_int_equal(bed_exit(0, SVMHW_EXIT_IRET, 0, 0), VLAPIC_SVM_NOT_MINE);
}

static void an_nmi_waits_for_the_shadow_and_for_the_embedders_event(void **state)
{
    (void)state;
    start(0);
    bed.cpu[0].guest = (struct vlapic_svm_guest){ .rflags = IF, .nmi = true, .shadow = true };
    bed_enter(0);
    expect(VLAPIC_SVM_INJECTED_NONE, 0, false);
    assert_true(steps());
    assert_false(iret_exits());
    bed_leave(0);
    bed.cpu[0].guest = (struct vlapic_svm_guest){ .rflags = IF, .nmi = true, .busy = true };
    bed_enter(0);
    expect(VLAPIC_SVM_INJECTED_NONE, 0, false);
    assert_true(steps());
    bed_leave(0);
    bed.cpu[0].guest.busy = false;
    bed_enter(0);
    expect(VLAPIC_SVM_INJECTED_NMI, NMI, false);
}

static void an_nmi_comes_before_a_vector(void **state)
{
    (void)state;
    start(0);
    post(0x61);
    bed.cpu[0].guest.nmi = true;
    bed_enter(0);
    expect(VLAPIC_SVM_INJECTED_NMI, NMI, true);
    assert_true(bed_bit(0, VLAPIC_REG_IRR, 0x61));
    bed.cpu[0].guest.nmi = false;
    bed_leave(0);
    bed_enter(0);
    expect(VLAPIC_SVM_INJECTED_VECTOR, VECTOR(0x61), false);
}

static void with_avic_an_nmi_is_injected_beside_it(void **state)
{
    (void)state;
    start(BED_AVIC);
    bed.cpu[0].guest.nmi = true;
    bed_enter(0);
    assert_true(bed_uses_avic(0));
    expect(VLAPIC_SVM_INJECTED_NMI, NMI, false);
}

/* Reference 3.5, 8: the handler has IF = 1, and AVIC would deliver before the IRET that is waited for. */
static void no_interrupt_takes_the_place_of_the_iret(void **state)
{
    (void)state;
    start(BED_AVIC);
    bed.cpu[0].guest.nmi = true;
    bed_round(0);
    bed.cpu[0].guest.nmi = false;
    bed_enter(0);
    assert_true(bed_uses_avic(0));
    post(0x61);
    assert_int_equal(bed_exit(0, SVMHW_EXIT_IRET, 0, 0), VLAPIC_SVM_RESUME);
    bed_enter(0);
    assert_false(bed_uses_avic(0));
    expect(VLAPIC_SVM_INJECTED_VECTOR, VECTOR(0x61), false);
    assert_true(iret_exits());
    bed_set(0, SVMHW_RIP, 8, 0x9000); /* in its handler */
    bed_leave(0);
    bed.cpu[0].guest.nmi = true;
    bed_enter(0);
    assert_true(bed_uses_avic(0));
    expect(VLAPIC_SVM_INJECTED_NONE, 0, false);
    /* With IF = 0 nothing comes before it. */
    bed.cpu[0].guest.rflags = 2;
    assert_int_equal(bed_exit(0, SVMHW_EXIT_IRET, 0, 0), VLAPIC_SVM_RESUME);
    bed_enter(0);
    assert_true(bed_uses_avic(0));
    bed_set(0, SVMHW_RIP, 8, BED_RIP + 2);
    bed_leave(0);
    bed_enter(0);
    expect(VLAPIC_SVM_INJECTED_NMI, NMI, false);
}

/* ---- vNMI ---- */

static void vnmi_holds_one_and_blocks_by_itself(void **state)
{
    (void)state;
    start(VLAPIC_SVM_VNMI);
    bed_set(0, SVMHW_INTERCEPT_3, 4, 1u << 20); /* the embedder's own IRET intercept */
    bed.cpu[0].guest.nmi = true;
    bed_enter(0);
    assert_true(bed_control(0) & SVMHW_V_NMI);
    expect(VLAPIC_SVM_INJECTED_NMI, 0, false);
    assert_true(iret_exits());
    assert_false(steps());
    /* Not taken yet: another one is the same. */
    bed_leave(0);
    bed_enter(0);
    assert_true(bed_control(0) & SVMHW_V_NMI);
    expect(VLAPIC_SVM_INJECTED_NMI, 0, false);
    /* Taken. */
    bed.cpu[0].guest.nmi = false;
    bed_set(0, SVMHW_VINTR_CONTROL, 8, (bed_control(0) & ~SVMHW_V_NMI) | SVMHW_V_NMI_MASK);
    bed_leave(0);
    bed_enter(0);
    assert_int_equal(bed_control(0) & (SVMHW_V_NMI | SVMHW_V_NMI_MASK), SVMHW_V_NMI_MASK);
    /* One behind the one in service. */
    bed_leave(0);
    bed.cpu[0].guest.nmi = true;
    bed_enter(0);
    assert_int_equal(bed_control(0) & (SVMHW_V_NMI | SVMHW_V_NMI_MASK), SVMHW_V_NMI | SVMHW_V_NMI_MASK);
    /* IRET exits are not the backend's. */
    assert_int_equal(bed_exit(0, SVMHW_EXIT_IRET, 0, 0), VLAPIC_SVM_NOT_MINE);
}

/* ---- ExtINT ---- */

static void an_extint_takes_avic_away_and_gives_it_back(void **state)
{
    (void)state;
    start(BED_AVIC);
    bed_round(0);
    bed.cpu[0].guest = (struct vlapic_svm_guest){ .rflags = 2, .extint = true };
    bed_forget();
    bed_enter(0);
    assert_false(bed_uses_avic(0));
    assert_false(bed_physical(0) & BED_RUNNING);
    expect(VLAPIC_SVM_INJECTED_NONE, 0, true);
    assert_int_equal(bed_count(BED_ACKNOWLEDGE, 0), 0);
    assert_int_equal(vlapic_backend_svm.inhibits(vlapic_backend_cpu_state(bed.cpu[0].cpu, &vlapic_backend_svm)),
                     VLAPIC_SVM_INHIBIT_WINDOW);
    assert_int_equal(bed_exit(0, SVMHW_EXIT_VINTR, 0, 0), VLAPIC_SVM_RESUME);
    bed.cpu[0].guest.rflags = IF;
    bed_enter(0);
    /* The line may still be up: one more window. */
    expect(VLAPIC_SVM_INJECTED_EXTINT, VECTOR(BED_EXTINT), true);
    assert_int_equal(bed_count(BED_ACKNOWLEDGE, 0), 1);
    assert_false(bed_bit(0, VLAPIC_REG_ISR, BED_EXTINT));
    bed_leave(0);
    bed.cpu[0].guest.extint = false;
    bed_enter(0);
    assert_true(bed_uses_avic(0));
    assert_true(bed_physical(0) & BED_RUNNING);
    expect(VLAPIC_SVM_INJECTED_NONE, 0, false);
}

static void an_extint_comes_before_a_vector(void **state)
{
    (void)state;
    start(0);
    post(0xE1);
    bed.cpu[0].guest.extint = true;
    bed_enter(0);
    expect(VLAPIC_SVM_INJECTED_EXTINT, VECTOR(BED_EXTINT), true);
    assert_true(bed_bit(0, VLAPIC_REG_IRR, 0xE1));
    bed.cpu[0].guest.extint = false;
    bed_leave(0);
    bed_enter(0);
    expect(VLAPIC_SVM_INJECTED_VECTOR, VECTOR(0xE1), false);
}

static void without_a_controller_extint_is_nothing(void **state)
{
    (void)state;
    bed_prepare(BED_AVIC);
    bed.ops.acknowledge_extint = NULL;
    bed_start(1);
    bed.cpu[0].guest.extint = true;
    bed_enter(0);
    assert_true(bed_uses_avic(0));
    expect(VLAPIC_SVM_INJECTED_NONE, 0, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(an_open_guest_gets_the_vector_at_once, bed_teardown),
        cmocka_unit_test_teardown(a_closed_guest_gets_a_window, bed_teardown),
        cmocka_unit_test_teardown(what_priority_holds_back_has_no_window, bed_teardown),
        cmocka_unit_test_teardown(with_avic_nothing_is_injected, bed_teardown),
        cmocka_unit_test_teardown(an_entry_past_the_backend_injects_nothing, bed_teardown),
        cmocka_unit_test_teardown(a_cancelled_vector_is_in_irr_again, bed_teardown),
        cmocka_unit_test_teardown(a_cancelled_nmi_or_extint_is_injected_next, bed_teardown),
        cmocka_unit_test_teardown(a_cancelled_vnmi_stays_pending, bed_teardown),
        cmocka_unit_test_teardown(a_cancelled_entry_leaves_the_embedders_event, bed_teardown),
        cmocka_unit_test_teardown(an_interrupted_vector_is_injected_again, bed_teardown),
        cmocka_unit_test_teardown(an_interrupted_vector_waits_for_its_turn, bed_teardown),
        cmocka_unit_test_teardown(an_interrupted_nmi_is_injected_again, bed_teardown),
        cmocka_unit_test_teardown(an_nmi_comes_before_an_interrupt_that_was_interrupted, bed_teardown),
        cmocka_unit_test_teardown(what_went_by_a_task_gate_is_not_injected_again, bed_teardown),
        cmocka_unit_test_teardown(other_interrupted_events_are_the_embedders, bed_teardown),
        cmocka_unit_test_teardown(an_interrupted_nmi_waits_one_instruction_for_the_embedders_event, bed_teardown),
        cmocka_unit_test_teardown(what_is_in_flight_can_be_saved, bed_teardown),
        cmocka_unit_test_teardown(what_was_in_flight_can_be_restored, bed_teardown),
        cmocka_unit_test_teardown(a_reset_forgets_what_was_on_its_way, bed_teardown),
        cmocka_unit_test_teardown(a_disable_leaves_nmis_as_they_are, bed_teardown),
        cmocka_unit_test_teardown(nmis_are_blocked_up_to_the_iret, bed_teardown),
        cmocka_unit_test_teardown(an_iret_that_the_embedder_emulates_counts, bed_teardown),
        cmocka_unit_test_teardown(an_iret_that_is_not_waited_for_is_the_embedders, bed_teardown),
        cmocka_unit_test_teardown(an_nmi_waits_for_the_shadow_and_for_the_embedders_event, bed_teardown),
        cmocka_unit_test_teardown(an_nmi_comes_before_a_vector, bed_teardown),
        cmocka_unit_test_teardown(with_avic_an_nmi_is_injected_beside_it, bed_teardown),
        cmocka_unit_test_teardown(no_interrupt_takes_the_place_of_the_iret, bed_teardown),
        cmocka_unit_test_teardown(vnmi_holds_one_and_blocks_by_itself, bed_teardown),
        cmocka_unit_test_teardown(an_extint_takes_avic_away_and_gives_it_back, bed_teardown),
        cmocka_unit_test_teardown(an_extint_comes_before_a_vector, bed_teardown),
        cmocka_unit_test_teardown(without_a_controller_extint_is_nothing, bed_teardown),
    };
    return cmocka_run_group_tests_name("svm: events", tests, NULL, NULL);
}
