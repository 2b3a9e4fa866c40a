/* SPDX-License-Identifier: BSD-2-Clause */
/* Trap-like exits: the value is in the page already. APIC-write exits at each offset, EOI-induced exits, ICR in x2APIC mode. */
#include "vmx_rig.h"

#include "levels.h"

static struct rig rig;
static struct rig_cpu *c;

static int clean(void **state)
{
    (void)state;
    rig_clean(&rig);
    return 0;
}

static void start(uint32_t features, bool x2apic)
{
    rig_clean(&rig);
    rig_prepare(&rig, features);
    rig_start(&rig, 2, x2apic);
    c = &rig.cpu[0];
}

/* The guest's store has come to the page, and the processor exits: reference 8.2. */
static void written(uint32_t offset, uint32_t value)
{
    rig_enter_open(c);
    rig_page_put(c, offset & 0xFF0u, value);
    assert_int_equal(rig_exit(c, APICV_EXIT_APIC_WRITE, offset), VLAPIC_VMX_RESUME);
}

static void assert_written(uint32_t offset, uint32_t value, uint32_t kept)
{
    written(offset, value);
    if (rig_page(c, offset & 0xFF0u) != kept)
        fail_msg("%x: %x became %x, not %x", offset, value, rig_page(c, offset & 0xFF0u), kept);
    assert_int_equal(guest_read(c->cpu, offset & 0xFF0u), kept);
}

/* ---- registers ---- */

static void the_sanitised_value_is_stored_back(void **state)
{
    /* Reference 12, "Per APIC-write offset"; the writable bits are lapic.md's */
    static const struct {
        uint32_t offset, value, kept;
    } rows[] = {
        { 0x020, 0x55000000, 0x00000000 }, /* read-only ID */
        { 0x0D0, 0x5AFFFFFF, 0x5A000000 }, { 0x0E0, 0x00000000, 0x0FFFFFFF }, { 0x0E0, 0xF1234567, 0xFFFFFFFF },
        { 0x0F0, 0xFFFFFFFF, 0x000003FF }, { 0x280, 0xFFFFFFFF, 0x00000000 }, { 0x320, 0xFFFBFFFF, 0x000300FF },
        { 0x330, 0xFFFFFFFF, 0x000107FF }, { 0x340, 0xFFFFFFFF, 0x000107FF }, { 0x350, 0xFFFFFFFF, 0x0001A7FF },
        { 0x360, 0xFFFFFFFF, 0x0001A7FF }, { 0x370, 0xFFFFFFFF, 0x000100FF }, { 0x380, 0x12345678, 0x12345678 },
        { 0x3E0, 0xFFFFFFFF, 0x0000000B },
    };

    (void)state;
    start(LEVEL_REGISTERS, false);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_written(rows[i].offset, rows[i].value, rows[i].kept);
    start(LEVEL_IPI, false);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_written(rows[i].offset, rows[i].value, rows[i].kept);
}

static void an_unaligned_offset_means_the_register(void **state)
{
    /* Reference 8.6 and 19.5: a byte write exits with its own offset; the bytes are in the page */
    (void)state;
    start(LEVEL_REGISTERS, false);
    for (uint32_t byte = 0; byte < 4; byte++) {
        written(0x0D0 + byte, 0x01000000u + (byte << 24) + byte);
        assert_int_equal(rig_page(c, 0x0D0), 0x01000000u + (byte << 24));
    }
    assert_written(0x321, 0x00010030, 0x00010030);
    written(0x301, 0x0004C041); /* an ICR is sent by any byte of it: reference 8.2, "any other" */
    assert_int_equal(take_vector(c->cpu), 0x41);
}

static void side_effects_are_those_of_a_write(void **state)
{
    /* Reference 12 */
    struct vlapic_cpu_stats stats;

    (void)state;
    start(LEVEL_REGISTERS, false);
    written(0x3E0, 0xB);
    written(0x320, 0x000000EC);
    written(0x380, 1000);
    assert_int_equal(fake_count(&rig.fake, FAKE_ARM_NS), 1);
    fake_advance_ns(&rig.fake, 1000);
    assert_int_equal(take_vector(c->cpu), 0xEC);
    written(0x0B0, 0xDEAD); /* an EOI, whatever the value */
    assert_false(rig_page_has(c, APICV_VISR, 0xEC));
    assert_int_equal(rig_page(c, 0x0B0), 0);
    written(0x0F0, 0xFF); /* software disable masks the LVT */
    assert_int_equal(rig_page(c, 0x320), 0x000100EC);
    assert_int_equal(rig_page(c, 0x330) & 0x10000, 0x10000);
    written(0x0F0, 0x1FF);
    written(0x280, 0);
    (void)guest_read(c->cpu, 0x3F0); /* an error to be seen */
    written(0x280, 0x1234);
    assert_int_equal(rig_page(c, 0x280), 0x80);
    written(0x280, 0x1234);
    assert_int_equal(rig_page(c, 0x280), 0);
    assert_int_equal(vlapic_cpu_get_stats(c->cpu, &stats, sizeof stats), VLAPIC_OK);
    assert_int_equal(stats.eois, 1);
}

static void what_a_write_does_depends_on_the_old_value_not_on_the_page(void **state)
{
    /* Reference 19.5; the timer goes on if the mode does not change, and remote IRR is no bit of the guest's */
    (void)state;
    start(LEVEL_REGISTERS, false);
    written(0x3E0, 0xB);
    written(0x320, 0x000200EC);
    written(0x380, 1000);
    fake_advance_ns(&rig.fake, 400);
    written(0x320, 0x000200ED);
    assert_int_equal(guest_read(c->cpu, 0x390), 600);
    written(0x350, 0x00008061);
    vlapic_cpu_lint(c->cpu, 0, true);
    vlapic_cpu_poll(c->cpu, &c->duty);
    assert_int_equal(rig_page(c, 0x350), 0x0000C061);
    written(0x350, 0x00008062); /* bit 14 was read as 1, and written as 0 */
    assert_int_equal(rig_page(c, 0x350), 0x0000C062);
}

static void an_id_that_may_be_written_changes_the_identity(void **state)
{
    /* Reference 12: "accept ID ... and update ID maps" */
    (void)state;
    rig_clean(&rig);
    rig_prepare(&rig, LEVEL_REGISTERS);
    rig.fake.config.id_writable = true;
    rig_start(&rig, 2, false);
    c = &rig.cpu[0];
    assert_written(0x020, 0x77FFFFFF, 0x77000000);
    guest_icr(rig.cpu[1].cpu, 0x77000000, 0x4041);
    assert_int_equal(take_vector(c->cpu), 0x41);
}

/* ---- ICR ---- */

static void an_icr_write_sends_and_is_idle(void **state)
{
    /* Reference 12: "300 clear bit 12, send IPI" */
    (void)state;
    start(LEVEL_REGISTERS, false);
    rig_enter_open(c);
    rig_page_put(c, 0x310, 0x01000000);
    rig_exit_plain(c);
    assert_written(0x300, 0xFFF070F1, 0x000040F1); /* reserved bits, and bit 12 */
    assert_int_equal(take_vector(rig.cpu[1].cpu), 0xF1);
    written(0x300, 0x4400);
    vlapic_cpu_poll(rig.cpu[1].cpu, &rig.cpu[1].duty);
    assert_true(rig.cpu[1].duty.nmi);
}

static void in_x2apic_mode_the_icr_is_a_quadword(void **state)
{
    /* Reference 8.6 and 9.2: EDX:EAX at 300h..307h; IPI virtualization alone exits there */
    uint64_t value = 0;

    (void)state;
    start(LEVEL_IPI | VLAPIC_VMX_X2APIC, true);
    rig_enter_open(c);
    rig_page_put(c, 0x300, 0x4441); /* an NMI */
    rig_page_put(c, 0x304, 1);
    assert_int_equal(rig_exit(c, APICV_EXIT_APIC_WRITE, 0x300), VLAPIC_VMX_RESUME);
    vlapic_cpu_poll(rig.cpu[1].cpu, &rig.cpu[1].duty);
    assert_true(rig.cpu[1].duty.nmi);
    assert_true(guest_rdmsr(c->cpu, 0x830) == 0x0000000100004441ull);
    rig_enter_open(c);
    assert_int_equal(rig_page(c, 0x300), 0x4441);
    assert_int_equal(rig_page(c, 0x304), 1);
    assert_int_equal(rig_run(c).outcome, APICV_DONE);
    assert_int_equal(apicv_guest_rdmsr(&c->core, 0x830, &value).outcome, APICV_DONE);
    assert_true(value == 0x0000000100004441ull);
}

static void an_ipi_that_the_processor_sent_is_in_the_icr(void **state)
{
    /* Reference 11: "VICR keeps the written value", and nobody exits */
    struct rig_cpu *to = &rig.cpu[1];

    (void)state;
    start(LEVEL_IPI | VLAPIC_VMX_X2APIC, true);
    rig_go(to);
    rig_go(c);
    assert_int_equal(apicv_guest_wrmsr(&c->core, 0x830, 0x0000000100004061ull).outcome, APICV_DONE);
    assert_int_equal(apicv_boundary(&to->core).vector, 0x61);
    rig_kick_out(c);
    assert_true(guest_rdmsr(c->cpu, 0x830) == 0x0000000100004061ull);
    assert_int_equal(fake_count(&rig.fake, FAKE_KICK), 0);

    start(LEVEL_IPI, false);
    rig_go(to);
    rig_go(c);
    assert_int_equal(apicv_guest_write(&c->core, RIG_APIC + 0x310, 4, 0x01000000).outcome, APICV_DONE);
    assert_int_equal(apicv_guest_write(&c->core, RIG_APIC + 0x300, 4, 0x4061).outcome, APICV_DONE);
    assert_int_equal(apicv_boundary(&to->core).vector, 0x61);
    rig_kick_out(c);
    assert_int_equal(guest_read(c->cpu, 0x300), 0x4061);
    assert_int_equal(guest_read(c->cpu, 0x310), 0x01000000);
}

static void ipis_that_the_processor_does_not_send_are_sent_by_the_library(void **state)
{
    /* Reference 8.3 and 9.2: each reason not to virtualize one, and who gets it */
    static const struct {
        uint32_t to, low;
        bool self, other;
    } rows[] = {
        { 2, 0x04861, false, true },         /* logical: the APIC with ID 1 */
        { 1, 0x0C061, false, true },         /* level */
        { 1, 0x05061, false, true },         /* delivery status */
        { 0, 0x44061, true, false },         /* self */
        { 0, 0x84061, true, true },          /* all */
        { 0, 0xC4061, false, true },         /* all but self */
        { 0xFFFFFFFF, 0x04061, true, true }, /* broadcast */
        { 400, 0x04061, false, false },      /* beyond the table */
        { 7, 0x04061, false, false },        /* nobody */
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct apicv_result r;

        start(LEVEL_IPI | VLAPIC_VMX_X2APIC, true);
        rig_go(c);
        r = apicv_guest_wrmsr(&c->core, 0x830, (uint64_t)rows[i].to << 32 | rows[i].low);
        assert_int_equal(rig_take_reason(c, r, APICV_EXIT_APIC_WRITE), VLAPIC_VMX_RESUME);
        assert_int_equal(take_vector(c->cpu), rows[i].self ? 0x61 : -1);
        assert_int_equal(take_vector(rig.cpu[1].cpu), rows[i].other ? 0x61 : -1);
        assert_true(guest_rdmsr(c->cpu, 0x830) == ((uint64_t)rows[i].to << 32 | (rows[i].low & ~0x1000u)));
    }
}

static void a_self_ipi_of_an_illegal_vector_is_an_error(void **state)
{
    /* Reference 9.2: WRMSR 83Fh with a vector below 16 exits with offset 3F0h */
    (void)state;
    start(LEVEL_DELIVERY | VLAPIC_VMX_X2APIC, true);
    for (uint64_t vector = 0; vector < 17; vector++) {
        struct apicv_result r;

        rig_go(c);
        r = apicv_guest_wrmsr(&c->core, 0x83F, vector);
        if (vector == 16) {
            assert_int_equal(r.outcome, APICV_DONE);
            continue;
        }
        assert_int_equal(r.exit.qualification, 0x3F0);
        assert_int_equal(rig_take_reason(c, r, APICV_EXIT_APIC_WRITE), VLAPIC_VMX_RESUME);
        assert_int_equal(guest_esr(c->cpu), 0x60); /* sent, and received: it is its own target */
        assert_int_equal(take_vector(c->cpu), -1);
        assert_int_equal(rig_page(c, 0x3F0), 0);
    }
}

/* ---- EOI-induced ---- */

static void an_eoi_exit_tells_whoever_waits(void **state)
{
    /* Reference 12: "forward EOI to I/O APIC / notifiers; do not clear ISR again" */
    (void)state;
    start(LEVEL_DELIVERY, false);
    rig_serve(c, 0x41, true);
    rig_serve(c, 0x61, true);
    rig_enter_open(c);
    rig_page_flip(c, APICV_VISR, 0x61);
    assert_int_equal(rig_exit(c, APICV_EXIT_VIRTUALIZED_EOI, 0x61), VLAPIC_VMX_RESUME);
    assert_int_equal(fake_count(&rig.fake, FAKE_EOI_BROADCAST), 1);
    assert_int_equal(fake_last(&rig.fake, FAKE_EOI_BROADCAST)->a, 0x61);
    assert_true(rig_page_has(c, APICV_VISR, 0x41));
    rig_enter_open(c);
    assert_int_equal(rig_exit(c, APICV_EXIT_VIRTUALIZED_EOI, 0), VLAPIC_VMX_RESUME); /* nothing was in service */
    assert_int_equal(fake_count(&rig.fake, FAKE_EOI_BROADCAST), 1);
}

static void suppressed_broadcasts_are_suppressed(void **state)
{
    /* Reference 18.4: "SVR[12] = 1 does not matter for the exit (VMM decides to broadcast)" */
    (void)state;
    rig_clean(&rig);
    rig_prepare(&rig, LEVEL_DELIVERY);
    rig.fake.config.eoi_suppression = true;
    rig_start(&rig, 1, false);
    c = &rig.cpu[0];
    guest_write(c->cpu, VLAPIC_REG_SVR, 0x11FF);
    rig_serve(c, 0x61, true);
    rig_go(c);
    assert_int_equal(rig_take_reason(c, apicv_guest_write(&c->core, RIG_APIC + 0xB0, 4, 0), APICV_EXIT_VIRTUALIZED_EOI),
                     VLAPIC_VMX_RESUME);
    assert_int_equal(fake_count(&rig.fake, FAKE_EOI_BROADCAST), 0);
}

static void lint0_asks_again_at_its_eoi(void **state)
{
    /* lapic.md, LINT0 level triggered: a line that stays high makes a new request at the EOI */
    (void)state;
    start(LEVEL_DELIVERY, false);
    guest_write(c->cpu, VLAPIC_REG_LVT_LINT0, 0x8061);
    vlapic_cpu_lint(c->cpu, 0, true);
    rig_go(c);
    assert_int_equal(apicv_boundary(&c->core).vector, 0x61);
    assert_int_equal(rig_take_reason(c, apicv_guest_write(&c->core, RIG_APIC + 0xB0, 4, 0), APICV_EXIT_VIRTUALIZED_EOI),
                     VLAPIC_VMX_RESUME);
    assert_true(rig_page_has(c, APICV_VIRR, 0x61));
    rig_enter_open(c);
    assert_int_equal(rig_get(c, APICV_GUEST_INTERRUPT_STATUS), 0x61);
}

#define TEST(name) cmocka_unit_test_teardown(name, clean)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_sanitised_value_is_stored_back),
        TEST(an_unaligned_offset_means_the_register),
        TEST(side_effects_are_those_of_a_write),
        TEST(what_a_write_does_depends_on_the_old_value_not_on_the_page),
        TEST(an_id_that_may_be_written_changes_the_identity),
        TEST(an_icr_write_sends_and_is_idle),
        TEST(in_x2apic_mode_the_icr_is_a_quadword),
        TEST(an_ipi_that_the_processor_sent_is_in_the_icr),
        TEST(ipis_that_the_processor_does_not_send_are_sent_by_the_library),
        TEST(a_self_ipi_of_an_illegal_vector_is_an_error),
        TEST(an_eoi_exit_tells_whoever_waits),
        TEST(suppressed_broadcasts_are_suppressed),
        TEST(lint0_asks_again_at_its_eoi),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
