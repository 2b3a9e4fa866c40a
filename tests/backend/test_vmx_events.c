/* SPDX-License-Identifier: BSD-2-Clause */
/* Event injection: what goes first, what blocks it, windows, what an exit interrupted on its way, entries that are called off. */
#include "vmx_rig.h"

#include "levels.h"

#define IF_ON 0x202u
#define IF_OFF 2u
#define STI APICV_BLOCKING_STI
#define MOV_SS APICV_BLOCKING_MOV_SS
#define NMI_BLOCKED APICV_BLOCKING_NMI
#define WINDOW 4u
#define NMI_WINDOW 0x00400000u
#define NONE VLAPIC_VMX_INJECTED_NONE
#define VECTOR VLAPIC_VMX_INJECTED_VECTOR
#define EXTINT VLAPIC_VMX_INJECTED_EXTINT
#define NMI VLAPIC_VMX_INJECTED_NMI
#define AGAIN VLAPIC_VMX_INJECTED_AGAIN
#define IRR APICV_VIRR
#define ISR APICV_VISR

static struct rig rig;

static int clean(void **state)
{
    (void)state;
    rig_clean(&rig);
    return 0;
}

static struct rig_cpu *start(uint32_t features)
{
    return rig_one(&rig, features, false);
}

static uint32_t windows(struct rig_cpu *c)
{
    return (uint32_t)rig_get(c, APICV_PRIMARY_CONTROLS) & (WINDOW | NMI_WINDOW);
}

static uint32_t injection(struct rig_cpu *c)
{
    uint32_t information = (uint32_t)rig_get(c, APICV_ENTRY_INTERRUPTION);

    return information >> 31 != 0 ? information : 0;
}

/* The entry of such a guest injects this, and asks for these windows; the processor agrees. */
static void assert_entry(struct rig_cpu *c, struct vlapic_vmx_guest guest, enum vlapic_vmx_injected what,
                         uint32_t information, uint32_t windows_asked)
{
    rig_enter(c, &guest);
    assert_int_equal(c->entry.injected, what);
    assert_int_equal(injection(c), information);
    assert_int_equal(windows(c), windows_asked);
    if (what != NONE)
        assert_int_equal(c->entry.vector, information & 0xFF);
}

static void exit_without_event(struct rig_cpu *c)
{
    rig_exit_plain(c);
    assert_int_equal(injection(c), 0);
}

/* The exit interrupted the delivery of this event. */
static void exit_in_delivery(struct rig_cpu *c, uint32_t information)
{
    struct vlapic_vmx_exit exit = { .reason = APICV_EXIT_EPT_VIOLATION,
                                    .guest_physical = 0x1000,
                                    .vectoring = information };

    rig_set(c, APICV_ENTRY_INTERRUPTION, 0);
    assert_int_equal(rig_exit_full(c, &exit), VLAPIC_VMX_NOT_MINE);
}

/* ---- order and blocking, in a table ---- */

struct row {
    uint32_t rflags, interruptibility;
    bool busy, nmi, extint, vector;
    enum vlapic_vmx_injected injected;
    uint32_t windows;
};

static void the_highest_that_can_be_taken_goes_and_the_rest_asks_for_windows(void **state)
{
    /* Reference 13 and 18.8; the order is that of the processor: NMI, INTR (lapic.md: the 8259's line), the APIC's own vector. Blocking by STI holds
     * an NMI back, too, as it does on some processors. An ExtINT line may still be up after it, so a window stays. */
    static const struct row rows[] = {
        { IF_ON, 0, 0, 0, 0, 0, NONE, 0 },
        { IF_ON, 0, 0, 0, 0, 1, VECTOR, 0 },
        { IF_ON, 0, 0, 0, 1, 0, EXTINT, WINDOW },
        { IF_ON, 0, 0, 0, 1, 1, EXTINT, WINDOW },
        { IF_ON, 0, 0, 1, 0, 0, NMI, 0 },
        { IF_ON, 0, 0, 1, 0, 1, NMI, WINDOW },
        { IF_ON, 0, 0, 1, 1, 0, NMI, WINDOW },
        { IF_ON, 0, 0, 1, 1, 1, NMI, WINDOW },
        { IF_OFF, 0, 0, 0, 0, 1, NONE, WINDOW },
        { IF_OFF, 0, 0, 0, 1, 0, NONE, WINDOW },
        { IF_OFF, 0, 0, 1, 0, 0, NMI, 0 },
        { IF_OFF, 0, 0, 1, 1, 1, NMI, WINDOW },
        { IF_ON, STI, 0, 0, 0, 1, NONE, WINDOW },
        { IF_ON, STI, 0, 0, 1, 0, NONE, WINDOW },
        { IF_ON, STI, 0, 1, 0, 0, NONE, WINDOW },
        { IF_ON, MOV_SS, 0, 0, 0, 1, NONE, WINDOW },
        { IF_ON, MOV_SS, 0, 0, 1, 0, NONE, WINDOW },
        { IF_OFF, MOV_SS, 0, 1, 0, 0, NONE, NMI_WINDOW },
        { IF_ON, MOV_SS, 0, 1, 1, 1, NONE, NMI_WINDOW | WINDOW },
        { IF_ON, NMI_BLOCKED, 0, 1, 0, 0, NONE, NMI_WINDOW },
        { IF_ON, NMI_BLOCKED, 0, 1, 0, 1, VECTOR, NMI_WINDOW },
        { IF_ON, NMI_BLOCKED, 0, 1, 1, 1, EXTINT, NMI_WINDOW | WINDOW },
        { IF_ON, NMI_BLOCKED, 0, 0, 0, 1, VECTOR, 0 },
        { IF_ON, 0, 1, 0, 0, 0, NONE, 0 },
        { IF_ON, 0, 1, 0, 0, 1, NONE, WINDOW },
        { IF_ON, 0, 1, 0, 1, 0, NONE, WINDOW },
        { IF_ON, 0, 1, 1, 0, 0, NONE, NMI_WINDOW },
        { IF_ON, 0, 1, 1, 1, 1, NONE, NMI_WINDOW | WINDOW },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct row *row = &rows[i];
        struct vlapic_vmx_guest guest = { row->rflags, row->interruptibility, row->busy, row->nmi, row->extint };
        struct rig_cpu *c = start(LEVEL_ACCESS);
        uint32_t information = row->injected == NMI      ? 0x80000202u
                               : row->injected == EXTINT ? 0x8000002Au
                               : row->injected == VECTOR ? 0x80000061u
                                                         : 0;

        if (row->vector)
            rig_pend(c, 0x61, false);
        assert_entry(c, guest, row->injected, information, row->windows);
        assert_int_equal(rig_page_has(c, ISR, 0x61), row->injected == VECTOR);
        assert_int_equal(rig_page_has(c, IRR, 0x61), row->vector && row->injected != VECTOR);
        assert_int_equal(c->acknowledged, row->injected == EXTINT);
        (void)rig_run(c); /* neither a check nor reason 33: reference 13 */
    }
}

static void with_delivery_the_own_vector_is_left_to_the_processor(void **state)
{
    /* Reference 18.4: "ExtINT/NMI/SMI as before" */
    (void)state;
    for (unsigned kind = 0; kind < 8; kind++) {
        struct vlapic_vmx_guest guest = { kind & 1 ? IF_ON : IF_OFF, 0, false, kind & 2, kind & 4 };
        struct rig_cpu *c = start(LEVEL_POSTED);

        rig_pend(c, 0x61, false);
        if (kind & 2)
            assert_entry(c, guest, NMI, 0x80000202, kind & 4 ? WINDOW : 0);
        else if (kind == 5)
            assert_entry(c, guest, EXTINT, 0x8000002A, WINDOW);
        else
            assert_entry(c, guest, NONE, 0, kind == 4 ? WINDOW : 0);
        assert_int_equal(rig_get(c, APICV_GUEST_INTERRUPT_STATUS), 0x61);
        assert_true(rig_page_has(c, IRR, 0x61));
    }
}

static void without_virtual_nmis_an_nmi_waits_for_the_interrupt_window(void **state)
{
    /* Reference 3, check 11 */
    struct vlapic_vmx_guest guest = { IF_OFF, NMI_BLOCKED, false, true, false };
    struct rig_cpu *c = &rig.cpu[0];

    (void)state;
    rig_clean(&rig);
    rig_prepare(&rig, LEVEL_SHADOW);
    rig.caps.pin &= ~APICV_PIN_VIRTUAL_NMIS;
    rig.vmx.capabilities.pin &= ~((uint64_t)APICV_PIN_VIRTUAL_NMIS << 32);
    rig_start(&rig, 1, false);
    assert_entry(c, guest, NONE, 0, WINDOW);
    assert_int_equal(rig_run(c).outcome, APICV_DONE);
}

static void without_a_controller_no_extint_is_injected(void **state)
{
    /* vmx.h, acknowledge_extint: "NULL: guest.extint never is set"; a mistake must not hurt */
    struct vlapic_vmx_guest guest = { IF_ON, 0, false, false, true };
    struct rig_cpu *c = &rig.cpu[0];

    (void)state;
    rig_clean(&rig);
    rig_prepare(&rig, LEVEL_SHADOW);
    rig.ops.acknowledge_extint = NULL;
    rig_start(&rig, 1, false);
    assert_entry(c, guest, NONE, 0, 0);
    rig_exit_plain(c);
    rig_pend(c, 0x61, false);
    assert_entry(c, guest, VECTOR, 0x80000061, 0);
}

/* ---- windows ---- */

static void windows_are_withdrawn_when_nothing_waits(void **state)
{
    /* Reference 18.8.2 and 19.8 */
    struct vlapic_vmx_guest all = { IF_OFF, NMI_BLOCKED, false, true, true };
    struct vlapic_vmx_guest closed = { IF_OFF, NMI_BLOCKED, false, false, false };
    struct rig_cpu *c = start(LEVEL_POSTED);

    (void)state;
    assert_entry(c, all, NONE, 0, WINDOW | NMI_WINDOW);
    rig_exit_plain(c);
    rig_forget(c);
    assert_entry(c, all, NONE, 0, WINDOW | NMI_WINDOW);
    assert_int_equal(rig_wrote(c, APICV_PRIMARY_CONTROLS), 0);
    rig_exit_plain(c);
    all.nmi = false;
    assert_entry(c, all, NONE, 0, WINDOW);
    rig_exit_plain(c);
    assert_entry(c, closed, NONE, 0, 0);
    rig_exit_plain(c);
}

static void an_extint_gets_its_window_and_the_vectors_go_on_behind_it(void **state)
{
    /* Reference 13: ExtINT by window exiting; "clear it right after"; virtual interrupts are not delivered meanwhile */
    struct vlapic_vmx_guest guest = { IF_OFF, 0, false, false, true };
    struct rig_cpu *c = start(LEVEL_POSTED);

    (void)state;
    rig_pend(c, 0x61, false);
    rig_enter(c, &guest);
    assert_int_equal(rig_run(c).outcome, APICV_DONE);
    (void)apicv_guest_sti(&c->core);
    (void)apicv_guest_nop(&c->core);
    assert_int_equal(rig_take_reason(c, apicv_boundary(&c->core), APICV_EXIT_INTERRUPT_WINDOW), VLAPIC_VMX_RESUME);
    guest.rflags = IF_ON;
    rig_enter(c, &guest);
    assert_int_equal(rig_run(c).vector, RIG_EXTINT_VECTOR);
    assert_int_equal(c->acknowledged, 1);
    (void)apicv_guest_iret(&c->core, true);
    assert_int_equal(rig_take_reason(c, apicv_boundary(&c->core), APICV_EXIT_INTERRUPT_WINDOW), VLAPIC_VMX_RESUME);
    rig_go(c); /* the line is down */
    assert_int_equal(apicv_boundary(&c->core).vector, 0x61);
}

/* ---- what an exit interrupted ---- */

static void an_interrupted_delivery_is_repeated(void **state)
{
    /* Reference 13: "re-inject it with the same type/vector"; a vector stays in ISR, and is not put back into VIRR */
    static const uint32_t levels[] = { 0, LEVEL_SHADOW, LEVEL_REGISTERS, LEVEL_POSTED };

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct rig_cpu *c = start(levels[i]);
        struct vlapic_vmx_guest open = { IF_ON, 0, false, false, false };

        rig_serve(c, 0x61, false);
        rig_enter_open(c);
        exit_in_delivery(c, 0x80000061);
        assert_entry(c, open, AGAIN, 0x80000061, 0);
        assert_true(rig_page_has(c, ISR, 0x61));
        assert_false(rig_page_has(c, IRR, 0x61));
        exit_in_delivery(c, 0x80000061); /* once more */
        assert_entry(c, open, AGAIN, 0x80000061, 0);
        exit_without_event(c);
        assert_entry(c, open, NONE, 0, 0);
        exit_in_delivery(c, 0x80000202);
        assert_entry(c, open, AGAIN, 0x80000202, 0);
        exit_without_event(c);
        assert_entry(c, open, NONE, 0, 0);
    }
}

static void the_processor_takes_the_repetition(void **state)
{
    /* Reference 6 and 13: a delivery by the processor that exits on the guest's stack; VISR, SVI are updated already */
    struct rig_cpu *c = start(LEVEL_POSTED);
    struct apicv_result r;

    (void)state;
    rig_pend(c, 0x61, false);
    rig_go(c);
    c->core.guest.delivery_accesses = true;
    c->core.guest.delivery_access = (struct apicv_access){
        .type = APICV_ACCESS_DELIVERY, .address = 0x1000, .size = 8, .write = true
    };
    r = apicv_boundary(&c->core);
    assert_int_equal(r.exit.idt_vectoring, 0x80000061);
    assert_int_equal(rig_take_reason(c, r, APICV_EXIT_EPT_VIOLATION), VLAPIC_VMX_NOT_MINE);
    c->core.guest.delivery_accesses = false;
    rig_enter_open(c);
    assert_int_equal(rig_get(c, APICV_GUEST_INTERRUPT_STATUS), 0x6100);
    r = rig_run(c);
    assert_true(r.delivered && r.vector == 0x61);
    assert_false(apicv_boundary(&c->core).delivered);
}

static void what_went_by_a_task_gate_is_not_repeated(void **state)
{
    /* Reference 13: the emulated task switch is the delivery */
    const struct vlapic_vmx_guest nmi = { IF_OFF, 0, false, true, false };
    const struct vlapic_vmx_guest after = { IF_OFF, NMI_BLOCKED, false, false, false };
    struct vlapic_vmx_exit exit = { .reason = 9, .qualification = 3ull << 30 | 0x28, .vectoring = 0x80000202 };
    struct rig_cpu *c = start(LEVEL_POSTED);

    (void)state;
    assert_entry(c, nmi, NMI, 0x80000202, 0);
    rig_set(c, APICV_ENTRY_INTERRUPTION, 0);
    assert_int_equal(rig_exit_full(c, &exit), VLAPIC_VMX_NOT_MINE);
    assert_entry(c, after, NONE, 0, 0);
    exit_without_event(c);
    rig_serve(c, 0x61, false);
    rig_enter(c, &after);
    exit.vectoring = 0x80000061;
    assert_int_equal(rig_exit_full(c, &exit), VLAPIC_VMX_NOT_MINE);
    assert_entry(c, after, NONE, 0, 0);
    assert_true(rig_page_has(c, ISR, 0x61));
}

static void an_nmi_in_flight_outlives_the_apic(void **state)
{
    /* lapic.md, IA32_APIC_BASE: to disable the APIC is no reset of the processor; backend.h, VLAPIC_CHANGE_VOID */
    const struct vlapic_vmx_guest busy = { IF_OFF, 0, true, false, false }, open = { IF_OFF, 0, false, false, false };
    struct rig_cpu *c = start(LEVEL_SHADOW);

    (void)state;
    rig_enter(c, &open);
    exit_in_delivery(c, 0x80000202);
    rig_enter(c, &busy); /* say, a page fault, whose handler disables the APIC */
    exit_without_event(c);
    guest_disable_apic(c->cpu);
    assert_entry(c, open, AGAIN, 0x80000202, 0);
    exit_in_delivery(c, 0x80000202);
    vlapic_cpu_take_init(c->cpu);
    assert_entry(c, open, NONE, 0, 0);
}

static void a_vector_that_the_processor_delivered_is_not_taken_for_an_extint(void **state)
{
    /* vmx_run.h: an ExtINT was injected and arrived; the interrupted delivery is that of another vector, which goes back to IRR */
    const struct vlapic_vmx_guest extint = { IF_ON, 0, false, false, true };
    struct rig_cpu *c = start(LEVEL_POSTED);

    (void)state;
    rig_serve(c, 0x61, false);
    assert_entry(c, extint, EXTINT, 0x80000000 | RIG_EXTINT_VECTOR, WINDOW);
    exit_in_delivery(c, 0x80000061);
    assert_int_equal(vlapic_vmx_get_in_flight(c->cpu), 0);
    assert_true(rig_page_has(c, IRR, 0x61));
    assert_false(rig_page_has(c, ISR, 0x61));
}

static void an_nmi_beside_an_extint_is_saved_with_it(void **state)
{
    /* vmx_run.h, vlapic_vmx_get_in_flight(): bit 30 */
    const struct vlapic_vmx_guest extint = { IF_ON, 0, false, false, true }, nmi = { IF_OFF, 0, false, true, false };
    const struct vlapic_vmx_guest closed = { IF_OFF, NMI_BLOCKED, false, false, false };
    const struct vlapic_vmx_guest open = { IF_ON, 0, false, false, false };
    struct rig_cpu *c = start(LEVEL_SHADOW);
    uint32_t saved;

    (void)state;
    rig_enter(c, &extint);
    exit_in_delivery(c, 0x80000000 | RIG_EXTINT_VECTOR);
    assert_entry(c, nmi, NMI, 0x80000202, WINDOW);
    exit_in_delivery(c, 0x80000202);
    saved = vlapic_vmx_get_in_flight(c->cpu);
    assert_int_equal(saved, 0xC0000000 | RIG_EXTINT_VECTOR);
    c = start(LEVEL_SHADOW);
    vlapic_vmx_set_in_flight(c->cpu, saved);
    assert_entry(c, open, AGAIN, 0x80000202, WINDOW);
    exit_without_event(c);
    assert_entry(c, closed, NONE, 0, WINDOW);
    exit_without_event(c);
    assert_entry(c, open, AGAIN, 0x80000000 | RIG_EXTINT_VECTOR, 0);
    exit_without_event(c);
    vlapic_vmx_set_in_flight(c->cpu, saved & ~0x80000000u); /* without bit 31 the rest means nothing */
    assert_entry(c, open, NONE, 0, 0);
}

static void other_types_are_the_embedders(void **state)
{
    /* vmx_run.h: NMI and external interrupt alone; reference 2 for the types. Without bit 31 the rest means nothing */
    static const uint32_t others[] = { 0x80000B0E, 0x80000430, 0x80000503, 0x80000604,
                                       0x80000700, 0x00000061, 0x00000202 };
    struct vlapic_vmx_guest open = { IF_ON, 0, false, false, false };

    (void)state;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        struct rig_cpu *c = start(LEVEL_POSTED);

        rig_enter_open(c);
        exit_in_delivery(c, others[i]);
        assert_entry(c, open, NONE, 0, 0);
        assert_int_equal(vlapic_vmx_get_in_flight(c->cpu), 0);
    }
}

static void the_bits_that_are_not_for_entry_are_not_injected(void **state)
{
    /* Reference 2: bit 12 of IDT-vectoring information is reserved in the entry field, which fails the entry if set */
    struct vlapic_vmx_guest open = { IF_ON, 0, false, false, false };
    struct rig_cpu *c = start(LEVEL_POSTED);

    (void)state;
    rig_enter_open(c);
    exit_in_delivery(c, 0x80001030);
    assert_entry(c, open, AGAIN, 0x80000030, 0);
    exit_in_delivery(c, 0x80001202);
    assert_entry(c, open, AGAIN, 0x80000202, 0);
    assert_int_equal(rig_run(c).outcome, APICV_DONE);
}

static void what_cannot_be_repeated_now_waits_and_nothing_maskable_overtakes_it(void **state)
{
    /* Reference 18.8.1; the guest's IF is 0 when the delivery was cut off behind the gate, or the embedder has an event of its own */
    const struct vlapic_vmx_guest closed = { IF_OFF, 0, false, false, true }, busy = { IF_ON, 0, true, true, true };
    const struct vlapic_vmx_guest shadow = { IF_ON, STI, false, true, true }, open = { IF_ON, 0, false, false, false };
    struct rig_cpu *c = start(LEVEL_SHADOW);

    (void)state;
    rig_pend(c, 0x71, false);
    rig_serve(c, 0x71, false);
    rig_pend(c, 0x91, false);
    rig_enter_open(c); /* takes 91h */
    exit_in_delivery(c, 0x80000091);
    assert_entry(c, closed, NONE, 0, WINDOW);
    exit_without_event(c);
    assert_entry(c, busy, NONE, 0, WINDOW | NMI_WINDOW);
    exit_without_event(c);
    assert_entry(c, shadow, NONE, 0, WINDOW);
    exit_without_event(c);
    assert_entry(c, open, AGAIN, 0x80000091, 0);
}

static void an_nmi_overtakes_an_interrupt_that_waits_for_the_guest(void **state)
{
    /* Reference 13: NMI-window exiting exits at once if NMIs are open, so that waiting for it would be for ever; nothing that came before is lost */
    const struct vlapic_vmx_guest closed = { IF_OFF, 0, false, true, false }, open = { IF_ON, 0, false, false, false };
    struct rig_cpu *c = start(LEVEL_SHADOW);

    (void)state;
    rig_serve(c, 0x91, false);
    rig_enter_open(c);
    exit_in_delivery(c, 0x80000091);
    assert_entry(c, closed, NMI, 0x80000202, WINDOW);
    exit_in_delivery(c, 0x80000202);
    assert_entry(c, open, AGAIN, 0x80000202, WINDOW);
    exit_without_event(c);
    assert_entry(c, open, AGAIN, 0x80000091, 0);
    exit_without_event(c);
    assert_entry(c, open, NONE, 0, 0);
}

static void a_window_never_opens_while_the_nmi_has_to_wait(void **state)
{
    /* Reference 13; a processor may open the NMI window behind an STI: the model does. The entry has to run an instruction of the guest. */
    static const struct {
        uint32_t rflags, interruptibility;
        bool virtual_nmis;
    } rows[] = {
        { IF_ON, STI, true },
        { IF_ON, MOV_SS, true },
        { IF_ON, NMI_BLOCKED, true },
        { IF_OFF, NMI_BLOCKED, true },
        { IF_ON, NMI_BLOCKED | STI, true },
        { IF_ON, STI, false },
        { IF_OFF, MOV_SS, false },
        { IF_ON, NMI_BLOCKED, false },
        { IF_OFF, NMI_BLOCKED, false },
        { IF_ON, NMI_BLOCKED | STI, false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct vlapic_vmx_guest guest = { rows[i].rflags, rows[i].interruptibility, false, true, false };
        struct rig_cpu *c = start(LEVEL_SHADOW);

        if (!rows[i].virtual_nmis) {
            rig_set(c, APICV_PIN_CONTROLS, rig_get(c, APICV_PIN_CONTROLS) & ~(uint64_t)APICV_PIN_VIRTUAL_NMIS);
            vlapic_vmx_vmcs_replaced(c->cpu);
        }
        rig_enter(c, &guest);
        assert_int_equal(injection(c), 0);
        assert_int_equal(rig_run(c).outcome, APICV_DONE);
        assert_int_equal(apicv_boundary(&c->core).outcome, APICV_DONE);
    }
}

static void an_nmi_goes_again_although_it_blocks_itself(void **state)
{
    /* Reference 13: with virtual NMIs bit 3 must be 0 for the injection; IRET, which would clear it, has not run */
    const struct vlapic_vmx_guest blocked = { IF_OFF, NMI_BLOCKED, false, false, false };
    const struct vlapic_vmx_guest shadow = { IF_ON, NMI_BLOCKED | MOV_SS, false, false, false };
    const struct vlapic_vmx_guest busy = { IF_ON, NMI_BLOCKED, true, false, false };
    struct rig_cpu *c = start(LEVEL_POSTED);

    (void)state;
    rig_enter_open(c);
    exit_in_delivery(c, 0x80000202);
    assert_entry(c, busy, NONE, 0, NMI_WINDOW);
    assert_int_equal(rig_get(c, APICV_GUEST_INTERRUPTIBILITY), NMI_BLOCKED); /* not touched: nothing is injected */
    exit_without_event(c);
    assert_entry(c, shadow, NONE, 0, NMI_WINDOW);
    exit_without_event(c);
    assert_entry(c, blocked, AGAIN, 0x80000202, 0);
    assert_int_equal(rig_get(c, APICV_GUEST_INTERRUPTIBILITY) & NMI_BLOCKED, 0);
    assert_int_equal(rig_run(c).type, APICV_EVENT_NMI);
}

static void an_nmi_and_an_interrupt_in_flight_go_one_after_the_other(void **state)
{
    /* vmx_run.h: "what was on its way to the guest is injected again": neither is lost */
    const struct vlapic_vmx_guest open = { IF_ON, 0, false, false, false }, closed = { IF_OFF, 0, false, false, false };
    struct rig_cpu *c = start(LEVEL_SHADOW);

    (void)state;
    rig_serve(c, 0x61, false);
    rig_enter_open(c);
    exit_in_delivery(c, 0x80000061);
    assert_entry(c, closed, NONE, 0, WINDOW);
    exit_in_delivery(c, 0x80000202); /* the processor's own */
    assert_entry(c, open, AGAIN, 0x80000202, WINDOW);
    exit_without_event(c);
    assert_entry(c, open, AGAIN, 0x80000061, 0);
    exit_without_event(c);
    assert_entry(c, open, NONE, 0, 0);
}

/* ---- entries that are called off ---- */

static void a_cancelled_vector_is_pending_again(void **state)
{
    /* vmx_run.h, vlapic_vmx_cancel(); reference 18.8.3 */
    const struct vlapic_vmx_guest open = { IF_ON, 0, false, false, false };
    struct rig_cpu *c = start(LEVEL_SHADOW);

    (void)state;
    rig_pend(c, 0x61, false);
    assert_entry(c, open, VECTOR, 0x80000061, 0);
    vlapic_vmx_cancel(c->cpu);
    assert_int_equal(injection(c), 0);
    assert_true(rig_page_has(c, IRR, 0x61));
    assert_false(rig_page_has(c, ISR, 0x61));
    rig_pend(c, 0x91, false);
    assert_entry(c, open, VECTOR, 0x80000091, 0); /* the higher one now */
    vlapic_vmx_cancel(c->cpu);
    guest_write(c->cpu, VLAPIC_REG_TPR, 0xFF);
    assert_entry(c, open, NONE, 0, 0);
    vlapic_vmx_cancel(c->cpu);
    assert_true(rig_page_has(c, IRR, 0x61) && rig_page_has(c, IRR, 0x91));
}

static void a_cancelled_nmi_and_extint_go_with_the_next_entry(void **state)
{
    /* vmx_run.h: "which their sources count as served" */
    const struct vlapic_vmx_guest nmi = { IF_ON, 0, false, true, false }, extint = { IF_ON, 0, false, false, true };
    const struct vlapic_vmx_guest open = { IF_ON, 0, false, false, false };
    static const uint32_t levels[] = { LEVEL_SHADOW, LEVEL_POSTED };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct rig_cpu *c = start(levels[i]);

        assert_entry(c, nmi, NMI, 0x80000202, 0);
        vlapic_vmx_cancel(c->cpu);
        assert_int_equal(injection(c), 0);
        assert_entry(c, open, AGAIN, 0x80000202, 0);
        vlapic_vmx_cancel(c->cpu);
        assert_entry(c, open, AGAIN, 0x80000202, 0);
        exit_without_event(c);
        assert_entry(c, extint, EXTINT, 0x8000002A, WINDOW);
        vlapic_vmx_cancel(c->cpu);
        assert_int_equal(injection(c), 0);
        assert_entry(c, open, AGAIN, 0x8000002A, 0);
        assert_int_equal(c->acknowledged, 1);
        exit_without_event(c);
        assert_entry(c, open, NONE, 0, 0);
    }
}

static void a_repetition_that_is_cancelled_stays_in_service(void **state)
{
    /* Reference 13: never back into VIRR, since the guest's view of ISR was possible already */
    const struct vlapic_vmx_guest open = { IF_ON, 0, false, false, false };
    struct rig_cpu *c = start(LEVEL_SHADOW);

    (void)state;
    rig_serve(c, 0x61, false);
    rig_enter_open(c);
    exit_in_delivery(c, 0x80000061);
    assert_entry(c, open, AGAIN, 0x80000061, 0);
    vlapic_vmx_cancel(c->cpu);
    assert_true(rig_page_has(c, ISR, 0x61));
    assert_entry(c, open, AGAIN, 0x80000061, 0);
}

static void a_cancel_without_an_injection_writes_nothing(void **state)
{
    /* vmx_run.h */
    struct rig_cpu *c = start(LEVEL_POSTED);

    (void)state;
    rig_enter_open(c);
    rig_forget(c);
    vlapic_vmx_cancel(c->cpu);
    assert_int_equal(c->writes, 0);
    assert_int_equal(vlapic_vmx_get_in_flight(c->cpu), 0);
}

/* ---- saving it ---- */

static void a_vector_in_flight_is_saved_as_pending(void **state)
{
    /* vmx_run.h, vlapic_vmx_get_in_flight() */
    const struct vlapic_vmx_guest open = { IF_ON, 0, false, false, false };
    struct rig_cpu *c = start(LEVEL_POSTED);

    (void)state;
    rig_serve(c, 0x61, true);
    rig_enter_open(c);
    exit_in_delivery(c, 0x80000061);
    assert_int_equal(vlapic_vmx_get_in_flight(c->cpu), 0);
    assert_true(rig_page_has(c, IRR, 0x61) && rig_page_has(c, VLAPIC_REG_TMR, 0x61));
    assert_false(rig_page_has(c, ISR, 0x61));
    rig_enter(c, &open);
    assert_int_equal(injection(c), 0);
    assert_int_equal(rig_get(c, APICV_GUEST_INTERRUPT_STATUS), 0x61);
}

static void nmi_and_extint_in_flight_are_saved_as_they_are(void **state)
{
    /* vmx_run.h, vlapic_vmx_get_in_flight() and _set_in_flight(): format of field 4016h */
    static const uint32_t events[] = { 0x8000002A, 0x80000202 };
    const struct vlapic_vmx_guest open = { IF_ON, 0, false, false, false };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct rig_cpu *c = start(LEVEL_SHADOW);

        rig_enter_open(c);
        exit_in_delivery(c, events[i]);
        assert_int_equal(vlapic_vmx_get_in_flight(c->cpu), events[i]);
        assert_int_equal(vlapic_vmx_get_in_flight(c->cpu), events[i]);
        assert_false(rig_page_has(c, IRR, 0x2A));

        c = start(LEVEL_POSTED);
        vlapic_vmx_set_in_flight(c->cpu, events[i]);
        assert_int_equal(vlapic_vmx_get_in_flight(c->cpu), events[i]);
        assert_entry(c, open, AGAIN, events[i], 0);
        exit_without_event(c);
        vlapic_vmx_set_in_flight(c->cpu, events[i]);
        vlapic_vmx_set_in_flight(c->cpu, 0x80000B0E); /* ignored, but it replaces */
        assert_entry(c, open, NONE, 0, 0);
        exit_without_event(c);
        vlapic_vmx_set_in_flight(c->cpu, events[i]);
        vlapic_vmx_set_in_flight(c->cpu, 0);
        assert_entry(c, open, NONE, 0, 0);
    }
}

static void reset_init_and_another_state_void_what_is_in_flight(void **state)
{
    /* Reference 17: "clear ... 4016h" */
    const struct vlapic_vmx_guest open = { IF_ON, 0, false, false, false };

    (void)state;
    for (unsigned kind = 0; kind < 3; kind++) {
        struct rig_cpu *c = start(LEVEL_SHADOW);
        struct vlapic_cpu_state s = { .size = sizeof s };

        assert_int_equal(vlapic_cpu_get_state(c->cpu, &s, sizeof s), VLAPIC_OK);
        rig_serve(c, 0x61, false);
        rig_enter_open(c);
        exit_in_delivery(c, 0x80000061);
        vlapic_vmx_set_in_flight(c->cpu, kind == 1 ? 0x80000202 : 0x80000061);
        if (kind == 0)
            vlapic_cpu_reset(c->cpu);
        if (kind == 1)
            vlapic_cpu_take_init(c->cpu);
        if (kind == 2)
            assert_int_equal(vlapic_cpu_set_state(c->cpu, &s, VLAPIC_TIME_STOPPED, NULL), VLAPIC_OK);
        assert_int_equal(vlapic_vmx_get_in_flight(c->cpu), 0);
        assert_entry(c, open, NONE, 0, 0);
    }
}

static void an_entry_past_the_backends_own_injects_nothing(void **state)
{
    /* vmx_run.h: vlapic_cpu_enter() knows nothing of the guest's core */
    const struct vlapic_vmx_guest open = { IF_ON, 0, false, false, false };
    struct rig_cpu *c = start(LEVEL_SHADOW);

    (void)state;
    assert_entry(c, open, NONE, 0, 0);
    exit_without_event(c);
    rig_pend(c, 0x61, false);
    assert_true(vlapic_cpu_enter(c->cpu));
    assert_int_equal(injection(c), 0);
    assert_true(rig_page_has(c, IRR, 0x61));
}

#define TEST(name) cmocka_unit_test_teardown(name, clean)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_highest_that_can_be_taken_goes_and_the_rest_asks_for_windows),
        TEST(with_delivery_the_own_vector_is_left_to_the_processor),
        TEST(without_virtual_nmis_an_nmi_waits_for_the_interrupt_window),
        TEST(without_a_controller_no_extint_is_injected),
        TEST(windows_are_withdrawn_when_nothing_waits),
        TEST(an_extint_gets_its_window_and_the_vectors_go_on_behind_it),
        TEST(an_interrupted_delivery_is_repeated),
        TEST(the_processor_takes_the_repetition),
        TEST(what_went_by_a_task_gate_is_not_repeated),
        TEST(an_nmi_in_flight_outlives_the_apic),
        TEST(a_vector_that_the_processor_delivered_is_not_taken_for_an_extint),
        TEST(an_nmi_beside_an_extint_is_saved_with_it),
        TEST(other_types_are_the_embedders),
        TEST(the_bits_that_are_not_for_entry_are_not_injected),
        TEST(what_cannot_be_repeated_now_waits_and_nothing_maskable_overtakes_it),
        TEST(an_nmi_overtakes_an_interrupt_that_waits_for_the_guest),
        TEST(a_window_never_opens_while_the_nmi_has_to_wait),
        TEST(an_nmi_goes_again_although_it_blocks_itself),
        TEST(an_nmi_and_an_interrupt_in_flight_go_one_after_the_other),
        TEST(a_cancelled_vector_is_pending_again),
        TEST(a_cancelled_nmi_and_extint_go_with_the_next_entry),
        TEST(a_repetition_that_is_cancelled_stays_in_service),
        TEST(a_cancel_without_an_injection_writes_nothing),
        TEST(a_vector_in_flight_is_saved_as_pending),
        TEST(nmi_and_extint_in_flight_are_saved_as_they_are),
        TEST(reset_init_and_another_state_void_what_is_in_flight),
        TEST(an_entry_past_the_backends_own_injects_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
