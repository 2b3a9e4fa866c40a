/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * AMD's extended APIC space: specific EOI, interrupt enable registers, extended LVT entries. Every test runs in xAPIC and in
 * x2APIC mode.
 */
#include "fake_host.h"
#include "state_helpers.h"

static struct fake_vm host;

/* One software-enabled vCPU with `lvts` extended entries and the given capabilities, all of them switched on. */
static struct vlapic_cpu *start_with(bool x2apic, uint8_t features, uint8_t lvts)
{
    struct vlapic_cpu *cpu;

    fake_vm_prepare(&host, VLAPIC_VENDOR_AMD);
    host.config.ext_space = true;
    host.config.ext_features = features;
    host.config.ext_lvt_count = lvts;
    host.config.eoi_suppression = true;
    fake_vm_start(&host, 1, NULL);
    cpu = fake_cpu_at(&host, 0);
    guest_software_enable(cpu);
    if (x2apic)
        guest_enable_x2apic(cpu);
    guest_set(cpu, VLAPIC_REG_EXT_CONTROL, features);
    fake_forget(&host);
    return cpu;
}

static struct vlapic_cpu *start(bool x2apic)
{
    return start_with(x2apic, 7, 4);
}

static void seoi(struct vlapic_cpu *cpu, uint8_t vector)
{
    guest_set(cpu, VLAPIC_REG_SEOI, vector);
}

static void set_ier(struct vlapic_cpu *cpu, uint8_t vector, bool enabled)
{
    uint32_t offset = VLAPIC_REG_IER + (uint32_t)(vector / 32) * 16;
    uint32_t bit = 1u << vector % 32;
    uint32_t old = guest_get(cpu, offset);

    guest_set(cpu, offset, enabled ? old | bit : old & ~bit);
}

static void take(struct vlapic_cpu *cpu, uint8_t vector, bool level)
{
    assert_true(vlapic_cpu_post(cpu, vector, level));
    assert_int_equal(take_vector(cpu), vector);
}

static bool in_service(struct vlapic_cpu *cpu, uint8_t vector)
{
    return guest_bit(cpu, VLAPIC_REG_ISR, vector);
}

#define IN_BOTH_MODES for (unsigned x2apic = 0; x2apic < 2; x2apic++)

/* ---- feature and control ---- */

static void feature_register_shows_the_capabilities(void **unused)
{
    /* AMD APM 2, "Extended APIC Feature Register" */
    (void)unused;
    for (uint8_t features = 0; features < 8; features++)
        for (uint8_t lvts = 0; lvts <= 8; lvts++)
            IN_BOTH_MODES
            {
                struct vlapic_cpu *cpu = start_with(x2apic, features, lvts);

                assert_int_equal(guest_get(cpu, VLAPIC_REG_EXT_FEATURE), (uint32_t)lvts << 16 | features);
                fake_vm_stop(&host);
            }
}

static void control_register_keeps_capable_bits_only(void **unused)
{
    /* AMD APM 2, "Extended APIC Control Register" */
    (void)unused;
    for (uint8_t features = 0; features < 8; features++)
        IN_BOTH_MODES
        {
            struct vlapic_cpu *cpu = start_with(x2apic, features, 4);

            for (uint32_t value = 0; value < 8; value++) {
                guest_set(cpu, VLAPIC_REG_EXT_CONTROL, features);
                if (!x2apic) {
                    guest_write(cpu, VLAPIC_REG_EXT_CONTROL, value | 0xFFFFFFF8);
                    assert_int_equal(guest_read(cpu, VLAPIC_REG_EXT_CONTROL), value & features);
                } else if (value & ~(uint32_t)features) {
                    guest_wrmsr_faults(cpu, 0x841, value);
                    assert_true(guest_rdmsr(cpu, 0x841) == features);
                } else {
                    guest_wrmsr(cpu, 0x841, value);
                    assert_true(guest_rdmsr(cpu, 0x841) == value);
                }
            }
            fake_vm_stop(&host);
        }
}

static void registers_without_capability_are_reserved(void **unused)
{
    /* AMD APM 2, "Extended APIC Feature Register": what is not enumerated is not there */
    static const struct {
        uint32_t offset;
        uint8_t feature, lvt; /* needs this feature bit; or, if lvt is not 0, at least so many entries */
    } registers[] = {
        { 0x420, 2, 0 }, { 0x430, 8, 0 }, { 0x440, 8, 0 },  { 0x470, 8, 0 }, { 0x480, 1, 0 },
        { 0x4F0, 1, 0 }, { 0x500, 0, 1 }, { 0x510, 0, 2 },  { 0x530, 0, 4 }, { 0x540, 0, 5 },
        { 0x570, 0, 8 }, { 0x580, 0, 9 }, { 0xFF0, 0, 99 },
    };

    (void)unused;
    for (uint8_t features = 0; features < 8; features++)
        for (uint8_t lvts = 0; lvts <= 8; lvts++)
            for (size_t i = 0; i < sizeof registers / sizeof registers[0]; i++) {
                uint32_t offset = registers[i].offset;
                bool there = registers[i].lvt ? lvts >= registers[i].lvt : (features & registers[i].feature) != 0;
                struct vlapic_cpu *cpu = start_with(false, features, lvts);

                guest_read(cpu, offset);
                assert_int_equal(guest_esr(cpu), there ? 0 : VLAPIC_ESR_ILLEGAL_REGISTER);
                guest_write(cpu, offset, 0x00010000);
                assert_int_equal(guest_esr(cpu), there ? 0 : VLAPIC_ESR_ILLEGAL_REGISTER);
                if (offset < 0x900 && !there) {
                    guest_enable_x2apic(cpu);
                    guest_rdmsr_faults(cpu, VLAPIC_MSR_OF(offset));
                    guest_wrmsr_faults(cpu, VLAPIC_MSR_OF(offset), 0);
                    assert_int_equal(guest_esr(cpu), 0);
                }
                fake_vm_stop(&host);
            }
}

static void eight_bit_id_switch_has_no_effect(void **unused)
{
    /* AMD APM 2, "Extended APIC Control Register" */
    IN_BOTH_MODES
    {
        struct vlapic_cpu *cpu = start(x2apic);
        uint32_t id = guest_get(cpu, VLAPIC_REG_ID);

        (void)unused;
        guest_set(cpu, VLAPIC_REG_EXT_CONTROL, 3);
        assert_int_equal(guest_get(cpu, VLAPIC_REG_ID), id);
        fake_vm_stop(&host);
    }
}

/* ---- SEOI ---- */

static void seoi_in_order_is_an_eoi(void **unused)
{
    /* AMD APM 2, "Specific End of Interrupt Register" */
    (void)unused;
    IN_BOTH_MODES
    {
        struct vlapic_cpu *cpu = start(x2apic);

        take(cpu, 0x50, false);
        take(cpu, 0x90, true);
        fake_forget(&host);
        seoi(cpu, 0x90);
        assert_false(in_service(cpu, 0x90));
        assert_true(in_service(cpu, 0x50));
        assert_int_equal(guest_get(cpu, VLAPIC_REG_PPR), 0x50);
        assert_int_equal(host.call_count, 2);
        assert_int_equal(host.calls[0].kind, FAKE_EOI_NOTIFY);
        assert_int_equal(host.calls[0].a, 0x90);
        assert_int_equal(host.calls[0].b, true);
        assert_int_equal(host.calls[1].kind, FAKE_EOI_BROADCAST);
        assert_int_equal(host.calls[1].a, 0x90);
        fake_forget(&host);
        seoi(cpu, 0x50);
        assert_false(in_service(cpu, 0x50));
        assert_int_equal(guest_get(cpu, VLAPIC_REG_PPR), 0);
        assert_int_equal(fake_count(&host, FAKE_EOI_BROADCAST), 0);
        assert_int_equal(fake_last(&host, FAKE_EOI_NOTIFY)->a, 0x50);
        assert_int_equal(fake_last(&host, FAKE_EOI_NOTIFY)->b, false);
        fake_vm_stop(&host);
    }
}

static void seoi_out_of_order_ends_the_named_vector_only(void **unused)
{
    /* AMD APM 2, "Specific End of Interrupt Register" */
    (void)unused;
    IN_BOTH_MODES
    {
        struct vlapic_cpu *cpu = start(x2apic);

        take(cpu, 0x30, true);
        take(cpu, 0x50, true);
        take(cpu, 0x90, true);
        fake_forget(&host);
        seoi(cpu, 0x30);
        assert_false(in_service(cpu, 0x30));
        assert_true(in_service(cpu, 0x50));
        assert_true(in_service(cpu, 0x90));
        assert_int_equal(guest_get(cpu, VLAPIC_REG_PPR), 0x90);
        assert_int_equal(fake_last(&host, FAKE_EOI_BROADCAST)->a, 0x30);
        guest_eoi(cpu);
        assert_false(in_service(cpu, 0x90));
        assert_true(in_service(cpu, 0x50));
        seoi(cpu, 0x50);
        assert_int_equal(fake_count(&host, FAKE_EOI_BROADCAST), 3);
        guest_eoi(cpu); /* nothing left */
        assert_int_equal(fake_count(&host, FAKE_EOI_NOTIFY), 3);
        fake_vm_stop(&host);
    }
}

static void seoi_of_a_vector_not_in_service_does_nothing(void **unused)
{
    /* AMD APM 2, "Specific End of Interrupt Register" */
    (void)unused;
    IN_BOTH_MODES
    {
        struct vlapic_cpu *cpu = start(x2apic);
        struct vlapic_cpu_state before, after;
        struct vlapic_cpu_stats stats;

        take(cpu, 0x90, true);
        assert_true(vlapic_cpu_post(cpu, 0x91, true)); /* pending is not in service */
        fake_forget(&host);
        state_read(cpu, &before);
        for (unsigned vector = 0; vector < 256; vector++)
            if (vector != 0x90)
                seoi(cpu, (uint8_t)vector);
        state_read(cpu, &after);
        assert_same_state(&before, &after);
        assert_int_equal(host.call_count, 0);
        assert_int_equal(vlapic_cpu_get_stats(cpu, &stats, sizeof stats), VLAPIC_OK);
        assert_int_equal(stats.empty_eois, 255);
        fake_vm_stop(&host);
    }
}

static void seoi_is_ignored_unless_switched_on(void **unused)
{
    /* AMD APM 2, "Extended APIC Control Register": SEOI enable */
    (void)unused;
    IN_BOTH_MODES
    {
        struct vlapic_cpu *cpu = start(x2apic);

        guest_set(cpu, VLAPIC_REG_EXT_CONTROL, 5);
        take(cpu, 0x90, true);
        fake_forget(&host);
        seoi(cpu, 0x90);
        assert_true(in_service(cpu, 0x90));
        assert_int_equal(host.call_count, 0);
        assert_int_equal(guest_esr(cpu), 0);
        guest_set(cpu, VLAPIC_REG_EXT_CONTROL, 2);
        seoi(cpu, 0x90);
        assert_false(in_service(cpu, 0x90));
        fake_vm_stop(&host);
    }
}

static void seoi_uses_the_low_byte_and_reads_zero(void **unused)
{
    /* AMD APM 2, "Specific End of Interrupt Register" */
    (void)unused;
    IN_BOTH_MODES
    {
        struct vlapic_cpu *cpu = start(x2apic);

        take(cpu, 0x90, false);
        assert_int_equal(guest_get(cpu, VLAPIC_REG_SEOI), 0);
        if (x2apic) {
            guest_wrmsr_faults(cpu, 0x842, 0x190);
            assert_true(in_service(cpu, 0x90));
            seoi(cpu, 0x90);
        } else {
            guest_write(cpu, VLAPIC_REG_SEOI, 0xABCDEF90);
        }
        assert_false(in_service(cpu, 0x90));
        assert_int_equal(guest_get(cpu, VLAPIC_REG_SEOI), 0);
        fake_vm_stop(&host);
    }
}

static void seoi_obeys_broadcast_suppression(void **unused)
{
    /* AMD APM 2, "Specific End of Interrupt Register"; Intel SDM 3A, "Spurious Interrupt" bit 12 */
    (void)unused;
    IN_BOTH_MODES
    {
        struct vlapic_cpu *cpu = start(x2apic);

        guest_set(cpu, VLAPIC_REG_SVR, 0x11FF);
        take(cpu, 0x90, true);
        fake_forget(&host);
        seoi(cpu, 0x90);
        assert_false(in_service(cpu, 0x90));
        assert_int_equal(fake_count(&host, FAKE_EOI_BROADCAST), 0);
        assert_int_equal(fake_count(&host, FAKE_EOI_NOTIFY), 1);
        fake_vm_stop(&host);
    }
}

static void seoi_clears_remote_irr_and_samples_lint0_again(void **unused)
{
    /* Intel SDM 3A, "Local Vector Table": remote IRR; AMD APM 2, "Specific End of Interrupt Register" */
    (void)unused;
    IN_BOTH_MODES
    {
        struct vlapic_cpu *cpu = start(x2apic);

        guest_set(cpu, VLAPIC_REG_LVT_LINT0, 0x8055);
        vlapic_cpu_lint(cpu, 0, true);
        assert_int_equal(take_vector(cpu), 0x55);
        take(cpu, 0x90, false);
        seoi(cpu, 0x55);
        assert_int_equal(guest_get(cpu, VLAPIC_REG_LVT_LINT0), 0xC055);
        assert_true(guest_bit(cpu, VLAPIC_REG_IRR, 0x55)); /* the line is still high */
        vlapic_cpu_lint(cpu, 0, false);
        guest_eoi(cpu);
        assert_int_equal(take_vector(cpu), 0x55);
        seoi(cpu, 0x55);
        assert_int_equal(guest_get(cpu, VLAPIC_REG_LVT_LINT0), 0x8055);
        assert_int_equal(poll_vector(cpu), -1);
        fake_vm_stop(&host);
    }
}

/* ---- IER ---- */

static void ier_is_stored_only_while_switched_on(void **unused)
{
    /* AMD APM 2, "Interrupt Enable Registers" */
    (void)unused;
    IN_BOTH_MODES
    {
        struct vlapic_cpu *cpu = start(x2apic);

        guest_set(cpu, VLAPIC_REG_EXT_CONTROL, 0);
        for (uint32_t i = 0; i < 8; i++) {
            guest_set(cpu, VLAPIC_REG_IER + 16 * i, 0x12345678 + i);
            assert_int_equal(guest_get(cpu, VLAPIC_REG_IER + 16 * i), 0xFFFFFFFF);
        }
        guest_set(cpu, VLAPIC_REG_EXT_CONTROL, 1);
        for (uint32_t i = 0; i < 8; i++)
            guest_set(cpu, VLAPIC_REG_IER + 16 * i, 0x12345678 + i);
        for (uint32_t i = 0; i < 8; i++)
            assert_int_equal(guest_get(cpu, VLAPIC_REG_IER + 16 * i), 0x12345678 + i);
        fake_vm_stop(&host);
    }
}

static void ier_hides_pending_vectors(void **unused)
{
    /* AMD APM 2, "Interrupt Enable Registers" */
    (void)unused;
    IN_BOTH_MODES
    {
        struct vlapic_cpu *cpu = start(x2apic);
        uint8_t vector = 0;

        set_ier(cpu, 0x92, false);
        assert_true(vlapic_cpu_post(cpu, 0x92, true)); /* accepted as ever */
        assert_true(guest_bit(cpu, VLAPIC_REG_IRR, 0x92));
        assert_true(guest_bit(cpu, VLAPIC_REG_TMR, 0x92));
        assert_int_equal(poll_vector(cpu), -1);
        assert_false(vlapic_cpu_accept(cpu, 0x92));
        assert_false(vlapic_cpu_acknowledge(cpu, &vector));
        assert_int_equal(vector, 0xFF);
        assert_true(vlapic_cpu_post(cpu, 0x41, false));
        assert_int_equal(take_vector(cpu), 0x41);
        set_ier(cpu, 0x92, true);
        assert_int_equal(take_vector(cpu), 0x92);
        fake_vm_stop(&host);
    }
}

static void ier_of_every_vector_hides_that_vector_only(void **unused)
{
    /* AMD APM 2, "Interrupt Enable Registers": a bit per vector, laid out as IRR */
    (void)unused;
    IN_BOTH_MODES
    {
        struct vlapic_cpu *cpu = start(x2apic);

        for (unsigned v = 17; v < 256; v++) {
            uint8_t vector = (uint8_t)v;

            assert_true(vlapic_cpu_post(cpu, vector, false));
            assert_true(vlapic_cpu_post(cpu, 16, false));
            assert_int_equal(poll_vector(cpu), vector);
            set_ier(cpu, vector, false);
            assert_int_equal(poll_vector(cpu), 16);
            set_ier(cpu, vector, true);
            assert_int_equal(take_vector(cpu), vector);
            guest_eoi(cpu);
        }
        fake_vm_stop(&host);
    }
}

static void registers_beside_irr_and_isr_are_no_vectors(void **unused)
{
    /* ESR follows IRR, TMR follows ISR, and the extended LVT follows IER in the register block. */
    (void)unused;
    IN_BOTH_MODES
    {
        struct vlapic_cpu *cpu = start(x2apic);

        guest_set(cpu, VLAPIC_REG_EXT_LVT, VLAPIC_LVT_MASKED | 0x7FF);
        if (!x2apic)
            (void)guest_read(cpu, VLAPIC_REG_SELF_IPI); /* ESR bit 7 */
        guest_icr(cpu, 0, 0x00040005);                  /* ESR bits 5 and 6 */
        assert_true((guest_esr(cpu) & 0x60) == 0x60);
        take(cpu, 0x10, true); /* TMR bit 16 */
        guest_eoi(cpu);
        set_ier(cpu, 0x99, false);
        assert_true(vlapic_cpu_post(cpu, 0x99, false));
        assert_int_equal(poll_vector(cpu), -1);
        assert_int_equal(guest_get(cpu, VLAPIC_REG_PPR), 0);
        fake_vm_stop(&host);
    }
}

static void ier_hides_vectors_in_service(void **unused)
{
    /* AMD APM 2, "Interrupt Enable Registers": the purpose is to serve a lower vector meanwhile, then SEOI the higher one */
    (void)unused;
    IN_BOTH_MODES
    {
        struct vlapic_cpu *cpu = start(x2apic);

        take(cpu, 0x92, true);
        assert_true(vlapic_cpu_post(cpu, 0x41, false));
        assert_int_equal(guest_get(cpu, VLAPIC_REG_PPR), 0x90);
        assert_int_equal(poll_vector(cpu), -1);
        set_ier(cpu, 0x92, false);
        assert_true(in_service(cpu, 0x92));
        assert_int_equal(guest_get(cpu, VLAPIC_REG_PPR), 0);
        assert_int_equal(take_vector(cpu), 0x41);
        assert_int_equal(guest_get(cpu, VLAPIC_REG_PPR), 0x40);
        fake_forget(&host);

        /* EOI ends the highest that is not hidden. */
        guest_eoi(cpu);
        assert_false(in_service(cpu, 0x41));
        assert_true(in_service(cpu, 0x92));
        guest_eoi(cpu);
        assert_true(in_service(cpu, 0x92));
        assert_int_equal(fake_count(&host, FAKE_EOI_NOTIFY), 1);
        assert_int_equal(fake_count(&host, FAKE_EOI_BROADCAST), 0);

        /* SEOI does not look at IER. */
        seoi(cpu, 0x92);
        assert_false(in_service(cpu, 0x92));
        assert_int_equal(fake_last(&host, FAKE_EOI_BROADCAST)->a, 0x92);
        set_ier(cpu, 0x92, true);
        assert_int_equal(guest_get(cpu, VLAPIC_REG_PPR), 0);
        fake_vm_stop(&host);
    }
}

static void unhiding_a_vector_in_service_raises_ppr_again(void **unused)
{
    /* AMD APM 2, "Interrupt Enable Registers" */
    (void)unused;
    IN_BOTH_MODES
    {
        struct vlapic_cpu *cpu = start(x2apic);

        take(cpu, 0x92, false);
        set_ier(cpu, 0x92, false);
        assert_true(vlapic_cpu_post(cpu, 0x41, false));
        assert_int_equal(poll_vector(cpu), 0x41);
        set_ier(cpu, 0x92, true);
        assert_int_equal(guest_get(cpu, VLAPIC_REG_PPR), 0x90);
        assert_int_equal(poll_vector(cpu), -1);
        assert_false(vlapic_cpu_accept(cpu, 0x41));
        guest_eoi(cpu);
        assert_false(in_service(cpu, 0x92));
        assert_int_equal(poll_vector(cpu), 0x41);
        fake_vm_stop(&host);
    }
}

static void two_vectors_of_a_class_can_be_in_service_with_ier(void **unused)
{
    /* AMD APM 2, "Interrupt Enable Registers" */
    (void)unused;
    IN_BOTH_MODES
    {
        struct vlapic_cpu *cpu = start(x2apic);

        take(cpu, 0x92, false);
        set_ier(cpu, 0x92, false);
        take(cpu, 0x91, false);
        set_ier(cpu, 0x92, true);
        guest_eoi(cpu);
        assert_false(in_service(cpu, 0x92));
        assert_true(in_service(cpu, 0x91));
        guest_eoi(cpu);
        assert_false(in_service(cpu, 0x91));
        fake_vm_stop(&host);
    }
}

static void ier_stays_in_force_when_its_switch_is_cleared(void **unused)
{
    /* AMD APM 2, "Extended APIC Control Register": the switch enables writes */
    (void)unused;
    IN_BOTH_MODES
    {
        struct vlapic_cpu *cpu = start(x2apic);

        set_ier(cpu, 0x92, false);
        guest_set(cpu, VLAPIC_REG_EXT_CONTROL, 0);
        assert_true(vlapic_cpu_post(cpu, 0x92, false));
        assert_int_equal(poll_vector(cpu), -1);
        set_ier(cpu, 0x92, true); /* ignored */
        assert_int_equal(poll_vector(cpu), -1);
        guest_set(cpu, VLAPIC_REG_EXT_CONTROL, 1);
        set_ier(cpu, 0x92, true);
        assert_int_equal(poll_vector(cpu), 0x92);
        fake_vm_stop(&host);
    }
}

/* ---- extended LVT ---- */

static const struct {
    uint32_t lvt;
    int vector; /* offered afterwards, or -1 */
    bool smi, nmi, extint;
    uint32_t esr;
} events[] = {
    { 0x00000051, 0x51, false, false, false, 0 },
    { 0x00010051, -1, false, false, false, 0 },
    { 0x0000000F, -1, false, false, false, VLAPIC_ESR_RECEIVE_ILLEGAL_VECTOR },
    { 0x0001000F, -1, false, false, false, 0 },
    { 0x00000151, -1, false, false, false, 0 }, /* reserved mode */
    { 0x00000251, -1, true, false, false, 0 },
    { 0x00000200, -1, true, false, false, 0 },
    { 0x00010200, -1, false, false, false, 0 },
    { 0x00000351, -1, false, false, false, 0 }, /* reserved mode */
    { 0x00000451, -1, false, true, false, 0 },
    { 0x00000400, -1, false, true, false, 0 },
    { 0x00000551, -1, false, false, false, 0 }, /* INIT: not allowed here */
    { 0x00000651, -1, false, false, false, 0 }, /* reserved mode */
    { 0x00000700, -1, false, false, true, 0 },
    { 0x00010700, -1, false, false, false, 0 },
};

static void extended_lvt_events_follow_their_entry(void **unused)
{
    /* AMD APM 2, "Extended Local Vector Table" */
    (void)unused;
    for (unsigned entry = 0; entry < 4; entry++)
        for (unsigned whole_vm = 0; whole_vm < 2; whole_vm++)
            IN_BOTH_MODES
            {
                for (size_t i = 0; i < sizeof events / sizeof events[0]; i++) {
                    struct vlapic_cpu *cpu = start(x2apic);
                    struct vlapic_poll duty;

                    guest_set(cpu, VLAPIC_REG_EXT_LVT + 16 * entry, events[i].lvt);
                    if (whole_vm)
                        vlapic_vm_lvt_event(host.vm, (enum vlapic_lvt)(VLAPIC_LVT_EXT0 + entry));
                    else
                        vlapic_cpu_lvt_event(cpu, (enum vlapic_lvt)(VLAPIC_LVT_EXT0 + entry));
                    vlapic_cpu_poll(cpu, &duty);
                    assert_int_equal(duty.vector, events[i].vector);
                    assert_int_equal(duty.smi, events[i].smi);
                    assert_int_equal(duty.nmi, events[i].nmi);
                    assert_int_equal(duty.extint_message, events[i].extint);
                    assert_false(duty.extint);
                    assert_false(duty.init);
                    assert_int_equal(guest_esr(cpu), events[i].esr);
                    assert_int_equal(guest_get(cpu, VLAPIC_REG_EXT_LVT + 16 * entry), events[i].lvt);
                    vlapic_cpu_poll(cpu, &duty);
                    assert_false(duty.smi || duty.nmi || duty.extint_message); /* a pulse */
                    fake_vm_stop(&host);
                }
            }
}

static void extended_lvt_interrupts_are_edge(void **unused)
{
    /* AMD APM 2, "Extended Local Vector Table" */
    (void)unused;
    IN_BOTH_MODES
    {
        struct vlapic_cpu *cpu = start(x2apic);

        assert_true(vlapic_cpu_post(cpu, 0x51, true));
        assert_int_equal(take_vector(cpu), 0x51);
        guest_eoi(cpu);
        guest_set(cpu, VLAPIC_REG_EXT_LVT, 0x51);
        vlapic_cpu_lvt_event(cpu, VLAPIC_LVT_EXT0);
        assert_int_equal(take_vector(cpu), 0x51);
        assert_false(guest_bit(cpu, VLAPIC_REG_TMR, 0x51));
        fake_vm_stop(&host);
    }
}

static void events_of_missing_entries_are_ignored(void **unused)
{
    /* AMD APM 2, "Extended APIC Feature Register": number of extended LVT entries */
    (void)unused;
    for (unsigned count = 0; count < 8; count++)
        IN_BOTH_MODES
        {
            struct vlapic_cpu *cpu = start_with(x2apic, 7, (uint8_t)count);
            struct vlapic_cpu_state before, after;

            state_read(cpu, &before);
            for (unsigned entry = count; entry < 24; entry++) {
                vlapic_cpu_lvt_event(cpu, (enum vlapic_lvt)(VLAPIC_LVT_EXT0 + entry));
                vlapic_vm_lvt_event(host.vm, (enum vlapic_lvt)(VLAPIC_LVT_EXT0 + entry));
            }
            vlapic_cpu_lvt_event(cpu, VLAPIC_LVT_COUNT);
            assert_int_equal(poll_vector(cpu), -1);
            state_read(cpu, &after);
            assert_same_state(&before, &after);
            fake_vm_stop(&host);
        }
}

static void events_without_extended_space_are_ignored(void **unused)
{
    /* AMD APM 2, "Extended APIC Register Space": version register bit 31 */
    struct vlapic_cpu_state before, after;
    struct vlapic_cpu *cpu;

    (void)unused;
    fake_one_cpu(&host, VLAPIC_VENDOR_AMD);
    cpu = fake_cpu_at(&host, 0);
    state_read(cpu, &before);
    for (unsigned entry = 0; entry < 8; entry++)
        vlapic_cpu_lvt_event(cpu, (enum vlapic_lvt)(VLAPIC_LVT_EXT0 + entry));
    assert_int_equal(poll_vector(cpu), -1);
    state_read(cpu, &after);
    assert_same_state(&before, &after);
    fake_vm_stop(&host);
}

static void a_masked_extended_event_is_lost(void **unused)
{
    /* AMD APM 2, "Extended Local Vector Table"; Intel SDM 3A, "Local Vector Table": mask */
    (void)unused;
    IN_BOTH_MODES
    {
        struct vlapic_cpu *cpu = start(x2apic);

        guest_set(cpu, VLAPIC_REG_EXT_LVT, 0x10051);
        vlapic_cpu_lvt_event(cpu, VLAPIC_LVT_EXT0);
        assert_int_equal(poll_vector(cpu), -1);
        guest_set(cpu, VLAPIC_REG_EXT_LVT, 0x51);
        assert_int_equal(poll_vector(cpu), -1);
        vlapic_cpu_lvt_event(cpu, VLAPIC_LVT_EXT0);
        assert_int_equal(poll_vector(cpu), 0x51);
        fake_vm_stop(&host);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(feature_register_shows_the_capabilities),
        cmocka_unit_test(control_register_keeps_capable_bits_only),
        cmocka_unit_test(registers_without_capability_are_reserved),
        cmocka_unit_test(eight_bit_id_switch_has_no_effect),
        cmocka_unit_test(seoi_in_order_is_an_eoi),
        cmocka_unit_test(seoi_out_of_order_ends_the_named_vector_only),
        cmocka_unit_test(seoi_of_a_vector_not_in_service_does_nothing),
        cmocka_unit_test(seoi_is_ignored_unless_switched_on),
        cmocka_unit_test(seoi_uses_the_low_byte_and_reads_zero),
        cmocka_unit_test(seoi_obeys_broadcast_suppression),
        cmocka_unit_test(seoi_clears_remote_irr_and_samples_lint0_again),
        cmocka_unit_test(ier_is_stored_only_while_switched_on),
        cmocka_unit_test(ier_hides_pending_vectors),
        cmocka_unit_test(ier_of_every_vector_hides_that_vector_only),
        cmocka_unit_test(registers_beside_irr_and_isr_are_no_vectors),
        cmocka_unit_test(ier_hides_vectors_in_service),
        cmocka_unit_test(unhiding_a_vector_in_service_raises_ppr_again),
        cmocka_unit_test(two_vectors_of_a_class_can_be_in_service_with_ier),
        cmocka_unit_test(ier_stays_in_force_when_its_switch_is_cleared),
        cmocka_unit_test(extended_lvt_events_follow_their_entry),
        cmocka_unit_test(extended_lvt_interrupts_are_edge),
        cmocka_unit_test(events_of_missing_entries_are_ignored),
        cmocka_unit_test(events_without_extended_space_are_ignored),
        cmocka_unit_test(a_masked_extended_event_is_lost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
