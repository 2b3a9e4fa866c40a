/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VMRUN and #VMEXIT of the SVM model: consistency checks, injection, write-back, clean bits, the flush. Reference 2, 4.5, 4.6, 16.2.
 */
#include "svm_rig.h"

#define CORE rig_core(0)

/* ---- consistency checks: reference 4.6, 2.4 ---- */

struct check {
    const char *what;
    enum rig_mode mode;
    unsigned offset, bytes;
    uint64_t value;
    bool legal;
};

/* The VMCB of the rig with one field changed. */
static const struct check checks[] = {
    { "x2AVIC without AVIC", PLAIN, VINTR, 8, X2AVIC_ON, false },
    { "xAVIC", PLAIN, VINTR, 8, AVIC_ON, true },
    { "MAX_INDEX 255 in xAVIC", XAVIC, PHYSICAL, 8, PA(PAGE_PHYSICAL) | 255, true },
    { "MAX_INDEX 256 in xAVIC", XAVIC, PHYSICAL, 8, PA(PAGE_PHYSICAL) | 256, false },
    { "MAX_INDEX 511 in x2AVIC", X2AVIC, PHYSICAL, 8, PA(PAGE_PHYSICAL) | 511, true },
    { "MAX_INDEX 512 in x2AVIC with the extension", X2AVIC, PHYSICAL, 8, PA(PAGE_PHYSICAL) | 512, true },
    { "MAX_INDEX 4095 in x2AVIC with the extension", X2AVIC, PHYSICAL, 8, PA(PAGE_PHYSICAL) | 4095, true },
    { "no physical table", XAVIC, PHYSICAL, 8, 254, false },
    { "physical table beyond the range", XAVIC, PHYSICAL, 8, UINT64_C(0x000FFFFFFF000000) | 254, false },
    { "a physical table of eight pages, seven of which are there", X2AVIC, PHYSICAL, 8, PA(RIG_PAGES - 7) | 4095,
      false },
    { "a physical table of eight pages, all there", X2AVIC, PHYSICAL, 8, PA(RIG_PAGES - 8) | 4095, true },
    { "a physical table of seven pages, all there", X2AVIC, PHYSICAL, 8, PA(RIG_PAGES - 7) | 0xDFF, true },
    { "a physical table of one page, at the end", XAVIC, PHYSICAL, 8, PA(RIG_PAGES - 1) | 254, true },
    { "the second page of MSRPM is not there", PLAIN, MSRPM, 8, PA(RIG_PAGES - 1), false },
    { "no backing page", XAVIC, BACKING, 8, 0, false },
    { "no backing page in x2AVIC", X2AVIC, BACKING, 8, 0, false },
    { "no logical table", XAVIC, LOGICAL, 8, 0, false },
    { "no logical table in x2AVIC", X2AVIC, LOGICAL, 8, 0, true },
    { "no APIC_BAR in x2AVIC", X2AVIC, BAR, 8, 0, true },
    { "AVIC without nested paging", XAVIC, NP, 8, 0, false },
    { "no nested paging", PLAIN, NP, 8, 0, true },
    { "Restricted Injection", XAVIC, SEV_FEATURES, 8, BIT(3),
      true }, /* not an SEV-ES guest: the field is not looked at */
    { "ASID 0", PLAIN, ASID, 4, 0, false },
    { "no VMRUN intercept", PLAIN, WORD4, 4, 0, false },
    { "MSRPM beyond the range", PLAIN, MSRPM, 8, UINT64_C(0x000FFFFFFFFFF000), false },
    { "MSRPM that ends at the range", PLAIN, MSRPM, 8, UINT64_C(0x000FFFFFFFFFE000), false }, /* no memory there */
    { "IOPM that ends at the range", PLAIN, IOPM, 8, UINT64_C(0x000FFFFFFFFFD000), true },
    { "IOPM whose third page is beyond the range", PLAIN, IOPM, 8, UINT64_C(0x000FFFFFFFFFE000), false },
    { "IOPM beyond the range", PLAIN, IOPM, 8, UINT64_C(0x000FFFFFFFFFF000), false },
    { "IOPM whose low bits are ignored", PLAIN, IOPM, 8, PA(PAGE_IOPM) | 0xFFF, true },
    { "N_CR3 beyond the range", PLAIN, N_CR3, 8, BIT(52), false },
    { "CR0 with a bit above 31", PLAIN, CR0, 8, BIT(32) | 1, false },
    { "CR0.NW without CD", PLAIN, CR0, 8, BIT(29) | 1, false },
    { "CR0.NW with CD", PLAIN, CR0, 8, BIT(30) | BIT(29) | 1, true },
    { "TLB_CONTROL 2", PLAIN, TLB_CONTROL, 1, 2, false },
    { "TLB_CONTROL 7", PLAIN, TLB_CONTROL, 1, 7, true },
    { "EVENTINJ type 1", PLAIN, EVENTINJ, 8, BIT(31) | 1 << 8 | 0x40, false },
    { "EVENTINJ type 5", PLAIN, EVENTINJ, 8, BIT(31) | 5 << 8 | 0x40, false },
    { "EVENTINJ type 6", PLAIN, EVENTINJ, 8, BIT(31) | 6 << 8 | 0x40, false },
    { "EVENTINJ type 7", PLAIN, EVENTINJ, 8, BIT(31) | 7 << 8 | 0x40, false },
    { "EVENTINJ type 7 without V", PLAIN, EVENTINJ, 8, 7 << 8 | 0x40, true },
    { "EVENTINJ exception 2", PLAIN, EVENTINJ, 8, BIT(31) | 3 << 8 | 2, false },
    { "EVENTINJ exception 31", PLAIN, EVENTINJ, 8, BIT(31) | 3 << 8 | 31, true },
    { "EVENTINJ exception 32", PLAIN, EVENTINJ, 8, BIT(31) | 3 << 8 | 32, false },
    { "reserved bits of 060h", PLAIN, VINTR, 8, UINT64_C(0xFFFFFF0038E0E4F0), true },
    { "reserved bits of 098h", XAVIC, BAR, 8, UINT64_C(0xFFF0000000000FFF) | APIC_GPA, true },
};

static void vmrun_refuses_what_the_checks_name(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < COUNT(checks); i++) {
        const struct check *c = &checks[i];
        struct svmhw_result result;

        rig_start(c->mode, 1);
        rig_put(0, c->offset, c->bytes, c->value);
        result = rig_run(0, false);
        if ((result.happened == SVMHW_EXIT) == c->legal) {
            print_error("%s\n", c->what);
        }
        assert_int_equal(result.happened != SVMHW_EXIT, c->legal);
        if (!c->legal) {
            assert_int_equal(rig_get(0, EXITCODE, 8), INVALID);
            assert_int_equal(svmhw_boundary(CORE).happened, SVMHW_NOT_IN_GUEST);
        }
    }
}

static void expect_invalid(void)
{
    struct svmhw_result result = rig_run(0, false);

    assert_int_equal(result.happened, SVMHW_EXIT);
    assert_int_equal(result.code, INVALID);
}

static void vmrun_refuses_combinations(void **unused)
{
    /* Reference 4.6 */
    (void)unused;
    rig_start(PLAIN, 1);
    rig_set_bits(0, VINTR, V_NMI_ENABLE);
    rig_no_intercept(0, 0x61);
    expect_invalid();

    static const unsigned features[] = { 3, 4, 16 };
    for (unsigned i = 0; i < COUNT(features); i++) {
        rig_start(X2AVIC, 1);
        rig_put(0, NP, 8, 1 | 4);
        rig_put(0, SEV_FEATURES, 8, BIT(features[i]));
        expect_invalid();
    }

    rig_start(XAVIC, 1);
    rig.machine.capabilities.snp_host = true;
    rig.not_owned = true;
    expect_invalid();
    rig.not_owned = false;
    rig_expect_done(rig_run(0, false));
    rig_leave(0);
    rig.not_owned = true;
    rig.machine.callbacks.hypervisor_owned = NULL;
    rig_expect_done(rig_run(0, false));

    rig_start(PLAIN, 1);
    CORE->host_paging = false;
    expect_invalid();

    rig_start(X2AVIC, 1);
    rig.machine.capabilities.x2avic_4096 = false;
    rig_put(0, PHYSICAL, 8, PA(PAGE_PHYSICAL) | 512);
    expect_invalid();
    rig_put(0, PHYSICAL, 8, PA(PAGE_PHYSICAL) | 511);
    rig_expect_done(rig_run(0, false));
}

static void a_capability_that_is_missing_cannot_be_enabled(void **unused)
{
    static const struct {
        uint64_t enable;
        size_t capability;
    } rows[] = {
        { AVIC_ON, offsetof(struct svmhw_capabilities, avic) },
        { AVIC_ON | X2AVIC_ON, offsetof(struct svmhw_capabilities, x2avic) },
        { V_NMI_ENABLE, offsetof(struct svmhw_capabilities, vnmi) },
        { V_GIF_ENABLE, offsetof(struct svmhw_capabilities, vgif) },
    };

    (void)unused;
    for (unsigned i = 0; i < COUNT(rows); i++) {
        rig_start(PLAIN, 1);
        rig_set_bits(0, VINTR, rows[i].enable);
        rig_expect_done(rig_run(0, false));
        rig_leave(0);
        *((bool *)&rig.machine.capabilities + rows[i].capability) = false;
        expect_invalid();
    }
    rig_start(PLAIN, 1);
    rig.machine.capabilities.flush_by_asid = false;
    rig_put(0, TLB_CONTROL, 1, 3);
    expect_invalid();
    rig_put(0, TLB_CONTROL, 1, 1);
    rig_expect_done(rig_run(0, false));
}

static void an_invalid_vmcb_leaves_the_guest_as_it_was(void **unused)
{
    (void)unused;
    rig_start(PLAIN, 1);
    rig_put(0, ASID, 4, 0);
    rig_put(0, VINTR, 8, 0x5 | V_IRQ);
    rig_put(0, EVENTINJ, 8, BIT(31) | 0x40);
    rig_put(0, SHADOW, 8, 1);
    expect_invalid();
    assert_int_equal(rig_get(0, VINTR, 8), 0x5 | V_IRQ);
    assert_int_equal(rig_get(0, EVENTINJ, 8), BIT(31) | 0x40);
    assert_int_equal(rig_get(0, SHADOW, 8), 1);
    assert_int_equal(rig_get(0, RIP, 8), RIP_AT);
}

/* ---- EVENTINJ: reference 2.4 ---- */

static void injection_ignores_if_tpr_and_shadow(void **unused)
{
    static const struct {
        uint64_t event;
        unsigned type, vector;
    } rows[] = {
        { BIT(31) | 0x41, 0, 0x41 },
        { BIT(31) | 2 << 8 | 0x99, 2, 2 }, /* the vector is ignored */
        { BIT(31) | BIT(11) | 3 << 8 | 14 | BIT(33), 3, 14 },
        { BIT(31) | 4 << 8 | 0x80, 4, 0x80 },
    };

    (void)unused;
    for (unsigned i = 0; i < COUNT(rows); i++) {
        rig_start(PLAIN, 1);
        rig_put(0, EVENTINJ, 8, rows[i].event);
        rig_put(0, VINTR, 8, V_MASKING | 0xF);
        rig_put(0, SHADOW, 8, 1);
        rig_expect_event(rig_run(0, false), rows[i].type, rows[i].vector);
        assert_int_equal(svmhw_boundary(CORE).happened, SVMHW_DONE);
        rig_leave(0);
        assert_int_equal(rig_get(0, EVENTINJ, 8) & BIT(31), 0);
        assert_int_equal(rig_get(0, INTINFO, 8), 0);
        assert_int_equal(rig_get(0, SHADOW, 8), 0);
    }
}

static void an_injection_that_an_exit_interrupts_is_reported(void **unused)
{
    static const uint64_t events[] = { BIT(31) | 0x41, BIT(31) | 2 << 8, BIT(31) | BIT(11) | 3 << 8 | 13 | BIT(35),
                                       BIT(31) | 4 << 8 | 0x80 };

    (void)unused;
    for (unsigned i = 0; i < COUNT(events); i++) {
        struct svmhw_result result;

        rig_start(XAVIC, 1);
        rig_put(0, EVENTINJ, 8, events[i]);
        svmhw_interrupt_next_delivery(CORE, 0x400, 0x100000004, 0x5000);
        result = rig_run(0, true);
        rig_expect_exit(0, result, 0x400, 0x100000004, 0x5000, 0);
        assert_int_equal(rig_get(0, INTINFO, 8), events[i]);
        assert_int_equal(rig_get(0, EVENTINJ, 8) & BIT(31), 0);
        /* the next run is none of its business any more */
        rig_expect_done(rig_run(0, true));
        rig_leave(0);
        assert_int_equal(rig_get(0, INTINFO, 8), 0);
    }
}

static void an_interruption_is_over_after_one_delivery(void **unused)
{
    (void)unused;
    for (unsigned a3 = 0; a3 < 2; a3++) {
        rig_start(XAVIC, 1);
        rig.machine.readings.play[3] = (uint8_t)a3;
        rig_set_vector(0, 0x200, 0x90);
        rig_expect_done(rig_run(0, true));
        svmhw_interrupt_next_delivery(CORE, 0x400, 0, 0);
        assert_int_equal(svmhw_boundary(CORE).code, 0x400);
        rig_set_vector(0, 0x200, 0xA0);
        rig_expect_done(rig_run(0, true));
        rig_expect_event(svmhw_boundary(CORE), 0, 0xA0);
    }
}

static void deliveries_and_exits_are_traced(void **unused)
{
    (void)unused;
    rig_start(XAVIC, 1);
    rig_set_vector(0, 0x200, 0x90);
    rig_expect_done(rig_run(0, true));
    rig_expect_event(svmhw_boundary(CORE), 0, 0x90);
    rig_leave(0);
    static const struct rig_event expected[] = { { SVMHW_TRACE_VMRUN, PA(PAGE_VMCB), 0 },
                                                 { SVMHW_TRACE_EVALUATE, 0x90, 0 },
                                                 { SVMHW_TRACE_DELIVER, 0x90, 0 },
                                                 { SVMHW_TRACE_EXIT, 0x61, 0 } };
    assert_int_equal(rig.events, COUNT(expected));
    for (unsigned i = 0; i < COUNT(expected); i++) {
        assert_int_equal(rig.event[i].what, expected[i].what);
        assert_int_equal(rig.event[i].a, expected[i].a);
        assert_int_equal(rig.event[i].b, expected[i].b);
    }
}

static void injection_comes_before_what_is_pending(void **unused)
{
    /* Reference 3.2, 8: EVENTINJ does not touch IRR, ISR, PPR */
    (void)unused;
    rig_start(XAVIC, 1);
    rig_set_vector(0, 0x200, 0x90);
    rig_put(0, EVENTINJ, 8, BIT(31) | 0x41);
    rig_expect_event(rig_run(0, true), 0, 0x41);
    assert_true(rig_vector(0, 0x200, 0x90));
    assert_false(rig_vector(0, 0x100, 0x41));
    assert_int_equal(rig_reg(0, 0x0A0), 0);
    rig_expect_done(svmhw_nop(CORE)); /* the gate cleared IF */
    rig_expect_done(svmhw_iret(CORE, true));
    rig_expect_event(svmhw_boundary(CORE), 0, 0x90);
}

/* ---- write-back: reference 2.2, 2.5, 16.2 ---- */

static void an_exit_writes_back_what_the_table_names(void **unused)
{
    /* Everything that must not change is set; V_TPR and V_IRQ change by the guest's doing */
    uint64_t fixed = V_MASKING | V_PRIO(9) | V_IGN_TPR | V_VECTOR(0x61);

    (void)unused;
    rig_start(PLAIN, 1);
    rig_put(0, VINTR, 8, fixed | V_IRQ | 3);
    rig_put(0, SHADOW, 8, UINT64_C(0xFF00) | 2);
    rig_enter(0, false);
    rig_expect_done(svmhw_cr8_write(CORE, 0, 7));
    rig_expect_done(svmhw_sti(CORE));
    rig_leave(0);
    assert_int_equal(rig_get(0, VINTR, 8), fixed | V_IRQ | 7);
    assert_int_equal(rig_get(0, SHADOW, 8), 0xFF01);
    assert_int_equal(rig_get(0, RFLAGS, 8), 0x202);
    assert_int_equal(rig_get(0, RIP, 8), RIP_AT + 6);

    rig_put(0, SHADOW, 8, 0);
    rig_expect_done(rig_run(0, true));
    rig_expect_event(svmhw_boundary(CORE), 0, 0x61);
    rig_leave(0);
    assert_int_equal(rig_get(0, VINTR, 8), fixed | 7);
    assert_int_equal(rig_get(0, RFLAGS, 8), 0x2);
}

static void disabled_features_are_not_written_back(void **unused)
{
    (void)unused;
    rig_start(PLAIN, 1);
    rig_set_bits(0, VINTR, V_NMI | V_NMI_MASK | V_GIF);
    rig_enter(0, false);
    rig_expect_done(svmhw_iret(CORE, false));
    rig_expect_done(svmhw_clgi(CORE));
    rig_expect_done(svmhw_stgi(CORE));
    rig_leave(0);
    assert_int_equal(rig_get(0, VINTR, 8), V_MASKING | V_NMI | V_NMI_MASK | V_GIF);
}

static void guest_interrupt_mask_is_for_encrypted_guests(void **unused)
{
    /* Reference 2.1: 068h bit 1 mirrors RFLAGS.IF for SEV-ES guests */
    (void)unused;
    for (unsigned sev_es = 0; sev_es < 2; sev_es++) {
        rig_start(PLAIN, 1);
        rig_put(0, NP, 8, 1 | (sev_es ? 4 : 0));
        rig_enter(0, true);
        rig_leave(0);
        assert_int_equal(rig_get(0, SHADOW, 8), sev_es ? 2 : 0);
    }
}

static void undefined_exit_information_can_be_noise(void **unused)
{
    (void)unused;
    rig_start(PLAIN, 1);
    rig.machine.options.poison = true;
    rig_enter(0, false);
    rig_leave(0);
    assert_int_not_equal(rig_get(0, INFO1, 8), 0);
    assert_int_not_equal(rig_get(0, INFO2, 8), 0);
}

/* ---- nRIP: reference 2.5 ---- */

static void nrip_is_written_on_instruction_intercepts_alone(void **unused)
{
    (void)unused;
    rig_start(PLAIN, 1);
    rig_intercept(0, 0x78);
    rig_put(0, NRIP, 8, 0x1234);
    rig_enter(0, false);
    CORE->instruction_length = 1;
    rig_expect_exit(0, svmhw_hlt(CORE), 0x78, 0, 0, 0);
    assert_int_equal(rig_get(0, NRIP, 8), RIP_AT + 1);
    rig_expect_done(rig_run(0, false));
    rig_leave(0);
    assert_int_equal(rig_get(0, NRIP, 8), 0);

    rig.machine.capabilities.nrip_save = false;
    rig_put(0, NRIP, 8, 0x1234);
    rig_expect_done(rig_run(0, false));
    rig_expect_exit(0, svmhw_hlt(CORE), 0x78, 0, 0, 0);
    assert_int_equal(rig_get(0, NRIP, 8), 0x1234);
}

/* ---- clean bits: reference 2.5 ---- */

struct field {
    unsigned clean_bit, offset, bytes;
    uint64_t before, after;
};

/* A legal change of each covered field. */
static const struct field fields[] = {
    { 0, CR_INTERCEPTS, 4, 0, BIT(8) },
    { 0, EXCEPTION_INTERCEPTS, 4, 0, BIT(13) },
    { 0, WORD3, 4, BIT(0) | BIT(1) | BIT(28), BIT(0) | BIT(1) | BIT(28) | BIT(24) },
    { 0, WORD4, 4, 1, 1 | BIT(4) },
    { 0, WORD5, 4, 0, BIT(6) },
    { 1, IOPM, 8, PA(PAGE_IOPM), PA(PAGE_MSRPM) },
    { 1, MSRPM, 8, PA(PAGE_MSRPM), PA(PAGE_IOPM) },
    { 2, ASID, 4, 1, 9 },
    { 3, VINTR, 8, V_MASKING, V_MASKING | V_PRIO(4) },
    { 4, N_CR3, 8, 0x7000, 0x8000 },
    { 4, NP, 8, 1, 0 },
    { 5, CR0, 8, 0x80000011, 0x80000031 },
    { 8, CPL, 1, 0, 3 },
    { 11, BAR, 8, APIC_GPA, 0x10000000 },
    { 11, BACKING, 8, PA(PAGE_BACKING), PA(PAGE_BACKING + 1) },
    { 11, LOGICAL, 8, PA(PAGE_LOGICAL), PA(PAGE_EXTRA) },
    { 11, PHYSICAL, 8, PA(PAGE_PHYSICAL) | 254, PA(PAGE_PHYSICAL) | 3 },
};

static void a_forgotten_clean_bit_is_told(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < COUNT(fields); i++) {
        const struct field *f = &fields[i];

        for (unsigned bit = 0; bit < 13; bit++) {
            rig_start(PLAIN, 1);
            assert_int_equal(rig_get(0, f->offset, f->bytes), f->before);
            rig_enter(0, false);
            rig_leave(0);
            rig_put(0, CLEAN, 4, 0x1FFF & ~BIT(bit));
            rig_put(0, f->offset, f->bytes, f->after);
            rig_expect_done(rig_run(0, false));
            assert_int_equal(rig_count(SVMHW_TRACE_STALE_FIELD), bit == f->clean_bit ? 0 : 1);
            if (bit != f->clean_bit) {
                const struct rig_event *last = &rig.event[rig.events - 2]; /* VMRUN is told after it */

                assert_int_equal(last->what, SVMHW_TRACE_STALE_FIELD);
                assert_int_equal(last->a, f->clean_bit);
                assert_int_equal(last->b, f->offset);
            }
        }
    }
}

static void without_the_capability_nothing_is_kept(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < COUNT(fields); i++) {
        rig_start(PLAIN, 1);
        rig.machine.capabilities.vmcb_clean = false;
        rig_enter(0, false);
        rig_leave(0);
        rig_put(0, CLEAN, 4, UINT32_C(0xFFFFFFFF));
        rig_put(0, fields[i].offset, fields[i].bytes, fields[i].after);
        rig_expect_done(rig_run(0, false));
        assert_int_equal(rig_count(SVMHW_TRACE_STALE_FIELD), 0);
    }
}

static void fields_that_are_never_cached_need_no_clean_bit(void **unused)
{
    /* TLB_CONTROL, shadow, EVENTINJ, RFLAGS, RIP */
    (void)unused;
    rig_start(PLAIN, 1);
    rig_enter(0, false);
    rig_leave(0);
    rig_put(0, CLEAN, 4, UINT32_C(0xFFFFFFFF));
    rig_put(0, EVENTINJ, 8, BIT(31) | 0x41);
    rig_expect_event(rig_run(0, true), 0, 0x41);
    rig_leave(0);
    rig_put(0, SHADOW, 8, 1);
    rig_put(0, TLB_CONTROL, 1, 3);
    rig_expect_done(rig_run(0, false));
    rig_leave(0);
    assert_int_equal(rig_get(0, SHADOW, 8), 1);
    assert_int_equal(rig_count(SVMHW_TRACE_STALE_FIELD), 0);
}

static void what_hardware_wrote_back_is_not_stale(void **unused)
{
    (void)unused;
    rig_start(PLAIN, 1);
    rig_put(0, VINTR, 8, V_MASKING | V_IRQ | V_PRIO(8) | V_VECTOR(0x80) | 2);
    rig_expect_done(rig_run(0, true));
    rig_expect_event(svmhw_boundary(CORE), 0, 0x80);
    rig_expect_done(svmhw_cr8_write(CORE, 0, 9));
    rig_leave(0);
    rig_put(0, CLEAN, 4, UINT32_C(0xFFFFFFFF));
    rig_enter(0, true);
    rig_leave(0);
    assert_int_equal(rig_get(0, VINTR, 8) & 0xF, 9);
    assert_int_equal(rig_count(SVMHW_TRACE_STALE_FIELD), 0);
}

static void a_v_irq_set_with_bit_3_clean_is_not_seen(void **unused)
{
    (void)unused;
    for (unsigned clean = 0; clean < 2; clean++) {
        rig_start(PLAIN, 1);
        rig_enter(0, true);
        rig_leave(0);
        rig_set_bits(0, VINTR, V_IRQ | V_PRIO(8) | V_VECTOR(0x80));
        rig_put(0, CLEAN, 4, clean ? BIT(3) : 0);
        rig_expect_done(rig_run(0, true));
        assert_int_equal(svmhw_boundary(CORE).happened, clean ? SVMHW_DONE : SVMHW_EVENT);
    }
}

static void a_vmcb_that_moves_between_cores_needs_all_clear(void **unused)
{
    /* Core 0, core 1, and back to core 0, whose copies are of the first run */
    (void)unused;
    for (unsigned clean = 0; clean < 2; clean++) {
        rig_start(PLAIN, 1);
        rig_enter(0, false);
        rig_leave(0);
        rig_put(0, CLEAN, 4, 0);
        rig_put(0, N_CR3, 8, 0x9000);
        assert_int_equal(svmhw_vmrun(&rig.core[1], PA(PAGE_VMCB)).happened, SVMHW_DONE);
        svmhw_physical_raise(&rig.core[1], SVMHW_PHYSICAL_NMI, 0);
        assert_int_equal(svmhw_boundary(&rig.core[1]).code, 0x61);
        rig_put(0, CLEAN, 4, clean ? 0x1FFF : 0);
        rig_expect_done(rig_run(0, false));
        assert_int_equal(rig_count(SVMHW_TRACE_STALE_FIELD), clean);
    }
}

static void a_new_vmcb_that_claims_to_be_clean_is_refused(void **unused)
{
    (void)unused;
    rig_start(PLAIN, 1);
    rig_put(0, CLEAN, 4, 0x1FFF);
    expect_invalid();
}

static void several_vmcbs_of_a_core_keep_their_copies_apart(void **unused)
{
    (void)unused;
    rig_start(PLAIN, 5);
    rig_enter(0, false);
    rig_leave(0);
    rig_enter(4, false); /* on core 0 as well */
    rig_leave(4);
    rig_put(0, CLEAN, 4, 0x1FFF);
    rig_put(4, CLEAN, 4, 0x1FFF);
    rig_enter(0, false);
    rig_leave(0);
    rig_enter(4, false);
    assert_int_equal(rig_count(SVMHW_TRACE_STALE_FIELD), 0);
}

static void msrpm_contents_are_cached_if_that_is_played(void **unused)
{
    /* Reference 2.5, clean bit 1: 808h, read */
    (void)unused;
    for (unsigned cached = 0; cached < 2; cached++) {
        for (unsigned clean = 0; clean < 2; clean++) {
            bool stale = cached && clean;
            struct svmhw_result result;

            rig_start(X2AVIC, 1);
            rig.machine.options.msrpm_cached = cached;
            rig_enter(0, false);
            rig_leave(0);
            rig_msr_intercept(0x202, 0);
            rig_put(0, CLEAN, 4, clean ? 0x1FFF : 0);
            rig_enter(0, false);
            result = svmhw_rdmsr(CORE, 0x808);
            assert_int_equal(result.happened, stale ? SVMHW_DONE : SVMHW_EXIT);
            assert_int_equal(rig_count(SVMHW_TRACE_STALE_FIELD), stale);
        }
    }
}

/* ---- the flush: reference 4.5 ---- */

static void a_vcpu_that_follows_another_of_its_vm_has_to_flush(void **unused)
{
    static const struct {
        uint8_t tlb_control;
        bool flushed;
    } rows[] = { { 0, false }, { 1, true }, { 3, true }, { 7, false } };

    (void)unused;
    for (unsigned i = 0; i < COUNT(rows); i++) {
        unsigned hit = rows[i].flushed ? 4 : 0;

        rig_start(XAVIC, 5);
        rig_enter(0, false);
        rig_expect_done(svmhw_mmio_write(CORE, APIC_GPA + 0x80, 4, 0x20));
        rig_leave(0);
        rig_put(4, TLB_CONTROL, 1, rows[i].tlb_control);
        rig_enter(4, false); /* on core 0 as well */
        rig_expect_done(svmhw_mmio_write(rig_core(4), APIC_GPA + 0x80, 4, 0x30));
        assert_int_equal(rig_reg(hit, 0x80), 0x30);
        assert_int_equal(rig_reg(4 - hit, 0x80), rows[i].flushed ? 0x20 : 0);
        assert_int_equal(rig_count(SVMHW_TRACE_STALE_PAGE), rows[i].flushed ? 0 : 1);
    }
}

static void turning_avic_off_or_on_has_to_flush(void **unused)
{
    (void)unused;
    for (unsigned flush = 0; flush < 2; flush++) {
        struct svmhw_result result;

        rig_start(XAVIC, 1);
        rig_enter(0, false);
        rig_expect_done(svmhw_mmio_read(CORE, APIC_GPA + 0x20, 4));
        rig_leave(0);
        rig_clear_bits(0, VINTR, AVIC_ON);
        rig_put(0, TLB_CONTROL, 1, flush ? 3 : 0);
        rig.apic_unmapped = true;
        rig_enter(0, false);
        result = svmhw_mmio_read(CORE, APIC_GPA + 0x20, 4);
        if (flush) {
            rig_expect_exit(0, result, 0x400, BIT(32) | 4, APIC_GPA + 0x20, 0);
        } else {
            assert_int_equal(result.happened, SVMHW_MEMORY);
            assert_int_equal(result.address, PA(PAGE_BACKING) + 0x20);
            rig_leave(0);
        }
        assert_int_equal(rig_count(SVMHW_TRACE_STALE_PAGE), !flush);

        rig.apic_unmapped = false;
        rig_put(0, TLB_CONTROL, 1, 3);
        rig_enter(0, false);
        assert_int_equal(svmhw_mmio_read(CORE, APIC_GPA + 0x20, 4).address, PA(PAGE_FRAME) + 0x20);
        rig_leave(0);
        rig_set_bits(0, VINTR, AVIC_ON);
        rig_put(0, TLB_CONTROL, 1, flush ? 3 : 0);
        rig_enter(0, false);
        assert_int_equal(svmhw_mmio_read(CORE, APIC_GPA + 0x20, 4).happened, flush ? SVMHW_DONE : SVMHW_MEMORY);
    }
}

static void calls_in_host_mode_do_nothing(void **unused)
{
    (void)unused;
    rig_start(XAVIC, 1);
    assert_int_equal(svmhw_nop(CORE).happened, SVMHW_NOT_IN_GUEST);
    assert_int_equal(svmhw_stgi(CORE).happened, SVMHW_NOT_IN_GUEST);
    assert_int_equal(svmhw_rdmsr(CORE, 0x802).happened, SVMHW_NOT_IN_GUEST);
    assert_int_equal(svmhw_mmio_read(CORE, APIC_GPA, 4).happened, SVMHW_NOT_IN_GUEST);
    assert_int_equal(svmhw_cr8_write(CORE, 0, 1).happened, SVMHW_NOT_IN_GUEST);
    assert_int_equal(rig.events, 0);
}

static void a_core_starts_with_nothing_pending(void **unused)
{
    uint8_t vector;

    (void)unused;
    rig_start(XAVIC, 1);
    memset(CORE, 0xFF, sizeof *CORE);
    svmhw_core_init(CORE, &rig.machine, rig_host_id(0));
    for (unsigned i = 0; i < 4; i++) {
        assert_false(svmhw_host_takes(CORE, (enum svmhw_physical)i, &vector));
    }
    rig_enter(0, true);
    rig_leave(0);
    assert_int_equal(rig_count(SVMHW_TRACE_STALE_FIELD), 0);
}

static void all_capabilities_are_there(void **unused)
{
    const struct svmhw_capabilities *c = &svmhw_all_capabilities;

    (void)unused;
    assert_true(c->avic && c->x2avic && c->x2avic_4096 && c->vnmi && c->vgif && c->nrip_save && c->decode_assists);
    assert_true(c->vmcb_clean && c->flush_by_asid && c->extended_lvt_access && c->idle_hlt);
    assert_false(c->snp_host || c->narrow_host_id);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vmrun_refuses_what_the_checks_name),
        cmocka_unit_test(vmrun_refuses_combinations),
        cmocka_unit_test(a_capability_that_is_missing_cannot_be_enabled),
        cmocka_unit_test(an_invalid_vmcb_leaves_the_guest_as_it_was),
        cmocka_unit_test(injection_ignores_if_tpr_and_shadow),
        cmocka_unit_test(an_injection_that_an_exit_interrupts_is_reported),
        cmocka_unit_test(an_interruption_is_over_after_one_delivery),
        cmocka_unit_test(deliveries_and_exits_are_traced),
        cmocka_unit_test(injection_comes_before_what_is_pending),
        cmocka_unit_test(an_exit_writes_back_what_the_table_names),
        cmocka_unit_test(disabled_features_are_not_written_back),
        cmocka_unit_test(guest_interrupt_mask_is_for_encrypted_guests),
        cmocka_unit_test(undefined_exit_information_can_be_noise),
        cmocka_unit_test(nrip_is_written_on_instruction_intercepts_alone),
        cmocka_unit_test(a_forgotten_clean_bit_is_told),
        cmocka_unit_test(without_the_capability_nothing_is_kept),
        cmocka_unit_test(fields_that_are_never_cached_need_no_clean_bit),
        cmocka_unit_test(what_hardware_wrote_back_is_not_stale),
        cmocka_unit_test(a_v_irq_set_with_bit_3_clean_is_not_seen),
        cmocka_unit_test(a_vmcb_that_moves_between_cores_needs_all_clear),
        cmocka_unit_test(a_new_vmcb_that_claims_to_be_clean_is_refused),
        cmocka_unit_test(several_vmcbs_of_a_core_keep_their_copies_apart),
        cmocka_unit_test(msrpm_contents_are_cached_if_that_is_played),
        cmocka_unit_test(a_vcpu_that_follows_another_of_its_vm_has_to_flush),
        cmocka_unit_test(turning_avic_off_or_on_has_to_flush),
        cmocka_unit_test(a_core_starts_with_nothing_pending),
        cmocka_unit_test(all_capabilities_are_there),
        cmocka_unit_test(calls_in_host_mode_do_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
