/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The spurious-interrupt vector register and the software-disabled state: what is dropped, what is kept, what still works.
 */
#include "fake_host.h"
#include "state_helpers.h"

static struct fake_vm host;

static struct vlapic_cpu *start(bool x2apic)
{
    if (x2apic)
        fake_one_x2apic_cpu(&host, VLAPIC_VENDOR_INTEL);
    else
        fake_one_cpu(&host, VLAPIC_VENDOR_INTEL);
    return fake_cpu_at(&host, 0);
}

static void software_disable(struct vlapic_cpu *cpu)
{
    guest_set(cpu, VLAPIC_REG_SVR, 0xFF);
}

static uint32_t deliver(enum vlapic_delivery delivery, uint8_t vector)
{
    return vlapic_vm_deliver(host.vm, &(struct vlapic_message){ .delivery = delivery, .vector = vector });
}

/* ---- the register ---- */

static void spurious_vector_is_stored_in_full(void **unused)
{
    /* Intel SDM 3A, "Spurious Interrupt": all eight bits can be written */
    (void)unused;
    for (unsigned x2apic = 0; x2apic < 2; x2apic++) {
        struct vlapic_cpu *cpu = start(x2apic);

        for (uint32_t vector = 0; vector < 256; vector++)
            for (uint32_t bits = 0; bits < 0x400; bits += 0x100) {
                guest_set(cpu, VLAPIC_REG_SVR, bits | vector);
                assert_int_equal(guest_get(cpu, VLAPIC_REG_SVR), bits | vector);
            }
        fake_vm_stop(&host);
    }
}

static void suppress_bit_exists_only_with_the_version_bit(void **unused)
{
    /* Intel SDM 3A, "Local APIC Version Register" bit 24 and "Spurious Interrupt" bit 12 */
    (void)unused;
    for (unsigned supported = 0; supported < 2; supported++) {
        struct vlapic_cpu *cpu;

        fake_vm_prepare(&host, VLAPIC_VENDOR_INTEL);
        host.config.eoi_suppression = supported;
        fake_vm_start(&host, 1, NULL);
        cpu = fake_cpu_at(&host, 0);
        guest_write(cpu, VLAPIC_REG_SVR, 0xFFFFF1FF);
        assert_int_equal(guest_read(cpu, VLAPIC_REG_SVR), supported ? 0x11FF : 0x1FF);
        guest_enable_x2apic(cpu);
        if (supported) {
            guest_wrmsr(cpu, 0x80F, 0x11FF);
            assert_true(guest_rdmsr(cpu, 0x80F) == 0x11FF);
        } else {
            guest_wrmsr_faults(cpu, 0x80F, 0x11FF);
        }
        fake_vm_stop(&host);
    }
}

static void bit_9_has_no_effect(void **unused)
{
    /* Intel SDM 3A, "Spurious Interrupt": focus processor checking */
    (void)unused;
    for (unsigned x2apic = 0; x2apic < 2; x2apic++) {
        struct vlapic_cpu *cpu = start(x2apic);

        guest_set(cpu, VLAPIC_REG_SVR, 0x3FF);
        assert_int_equal(deliver(VLAPIC_DELIVERY_LOWEST, 0x61), 1);
        assert_int_equal(take_vector(cpu), 0x61);
        guest_eoi(cpu);
        assert_int_equal(poll_vector(cpu), -1);
        fake_vm_stop(&host);
    }
}

static void bit_9_faults_if_configured_and_only_in_x2apic_mode(void **unused)
{
    /* Intel SDM 3A, "x2APIC Register Address Space", "Reserved Bit Checking"; setting svr_bit9_faults */
    struct vlapic_cpu *cpu;

    (void)unused;
    fake_vm_prepare(&host, VLAPIC_VENDOR_AMD);
    host.config.svr_bit9_faults = true;
    fake_vm_start(&host, 1, NULL);
    cpu = fake_cpu_at(&host, 0);
    guest_write(cpu, VLAPIC_REG_SVR, 0x3FF);
    assert_int_equal(guest_read(cpu, VLAPIC_REG_SVR), 0x3FF);
    guest_enable_x2apic(cpu);
    assert_true(guest_rdmsr(cpu, 0x80F) == 0x3FF);
    guest_wrmsr_faults(cpu, 0x80F, 0x3FF);
    guest_wrmsr(cpu, 0x80F, 0x1FF);
    fake_vm_stop(&host);
}

/* ---- LVT masks ---- */

static const struct {
    uint32_t offset;
    uint32_t value;
} lvts[] = {
    { VLAPIC_REG_LVT_CMCI, 0x241 }, { VLAPIC_REG_LVT_TIMER, 0x20042 }, { VLAPIC_REG_LVT_THERMAL, 0x443 },
    { VLAPIC_REG_LVT_PERF, 0x444 }, { VLAPIC_REG_LVT_LINT0, 0xA045 },  { VLAPIC_REG_LVT_LINT1, 0x2446 },
    { VLAPIC_REG_LVT_ERROR, 0x47 }, { VLAPIC_REG_EXT_LVT, 0x48 },      { VLAPIC_REG_EXT_LVT + 0x30, 0x449 },
};

#define LVTS (sizeof lvts / sizeof lvts[0])

static struct vlapic_cpu *start_with_all_lvts(bool x2apic)
{
    struct vlapic_cpu *cpu;

    fake_vm_prepare(&host, VLAPIC_VENDOR_AMD);
    host.config.max_lvt = 6;
    host.config.ext_space = true;
    fake_vm_start(&host, 1, NULL);
    cpu = fake_cpu_at(&host, 0);
    if (x2apic)
        guest_enable_x2apic(cpu);
    return cpu;
}

static void disabling_masks_every_lvt_and_enabling_unmasks_none(void **unused)
{
    /* Intel SDM 3A, "Local APIC State After It Has Been Software Disabled" */
    (void)unused;
    for (unsigned x2apic = 0; x2apic < 2; x2apic++) {
        struct vlapic_cpu *cpu = start_with_all_lvts(x2apic);

        guest_software_enable(cpu);
        for (size_t i = 0; i < LVTS; i++) {
            guest_set(cpu, lvts[i].offset, lvts[i].value);
            assert_int_equal(guest_get(cpu, lvts[i].offset), lvts[i].value);
        }
        software_disable(cpu);
        for (size_t i = 0; i < LVTS; i++)
            assert_int_equal(guest_get(cpu, lvts[i].offset), lvts[i].value | 0x10000);
        guest_software_enable(cpu);
        for (size_t i = 0; i < LVTS; i++)
            assert_int_equal(guest_get(cpu, lvts[i].offset), lvts[i].value | 0x10000);
        fake_vm_stop(&host);
    }
}

static void lvt_writes_while_disabled_take_effect_but_for_the_mask(void **unused)
{
    /* Intel SDM 3A, "Local APIC State After It Has Been Software Disabled": attempts to clear the mask are ignored */
    (void)unused;
    for (unsigned x2apic = 0; x2apic < 2; x2apic++) {
        struct vlapic_cpu *cpu = start_with_all_lvts(x2apic);

        for (size_t i = 0; i < LVTS; i++) {
            guest_set(cpu, lvts[i].offset, lvts[i].value);
            assert_int_equal(guest_get(cpu, lvts[i].offset), lvts[i].value | 0x10000);
        }
        /* An SVR write that leaves the bit clear changes nothing. */
        guest_set(cpu, VLAPIC_REG_SVR, 0x20);
        guest_software_enable(cpu);
        for (size_t i = 0; i < LVTS; i++) {
            assert_int_equal(guest_get(cpu, lvts[i].offset), lvts[i].value | 0x10000);
            guest_set(cpu, lvts[i].offset, lvts[i].value);
            assert_int_equal(guest_get(cpu, lvts[i].offset), lvts[i].value);
        }
        fake_vm_stop(&host);
    }
}

static void masked_pins_and_events_are_silent_while_disabled(void **unused)
{
    /* Intel SDM 3A, "Local APIC State After It Has Been Software Disabled" */
    struct vlapic_cpu *cpu = start_with_all_lvts(false);
    struct vlapic_poll duty;

    (void)unused;
    guest_software_enable(cpu);
    for (size_t i = 0; i < LVTS; i++)
        guest_write(cpu, lvts[i].offset, lvts[i].value);
    guest_write(cpu, VLAPIC_REG_LVT_LINT0, 0x700);
    software_disable(cpu);
    vlapic_cpu_lint(cpu, 0, true);
    vlapic_cpu_lint(cpu, 1, true);
    vlapic_cpu_lvt_event(cpu, VLAPIC_LVT_THERMAL);
    vlapic_cpu_lvt_event(cpu, VLAPIC_LVT_PERF);
    vlapic_cpu_lvt_event(cpu, VLAPIC_LVT_CMCI);
    vlapic_cpu_lvt_event(cpu, VLAPIC_LVT_EXT0);
    vlapic_cpu_poll(cpu, &duty);
    assert_false(duty.extint);
    assert_false(duty.nmi);
    assert_false(duty.smi);
    assert_int_equal(duty.vector, -1);
    fake_vm_stop(&host);
}

/* ---- messages ---- */

static void fixed_is_dropped_without_an_error_while_disabled(void **unused)
{
    /* Intel SDM 3A, "Local APIC State After It Has Been Software Disabled" */
    (void)unused;
    for (unsigned x2apic = 0; x2apic < 2; x2apic++) {
        struct vlapic_cpu *cpu = start(x2apic);

        software_disable(cpu);
        for (unsigned vector = 0; vector < 256; vector += 15) {
            assert_int_equal(deliver(VLAPIC_DELIVERY_FIXED, (uint8_t)vector), 0);
            assert_int_equal(deliver(VLAPIC_DELIVERY_LOWEST, (uint8_t)vector), 0);
            assert_false(vlapic_cpu_post(cpu, (uint8_t)vector, vector & 1));
        }
        guest_software_enable(cpu);
        assert_int_equal(poll_vector(cpu), -1);
        assert_int_equal(guest_esr(cpu), 0);
        for (uint32_t i = 0; i < 8; i++) {
            assert_int_equal(guest_get(cpu, VLAPIC_REG_IRR + 16 * i), 0);
            assert_int_equal(guest_get(cpu, VLAPIC_REG_TMR + 16 * i), 0);
        }
        fake_vm_stop(&host);
    }
}

static void init_nmi_smi_and_sipi_are_accepted_while_disabled(void **unused)
{
    /* Intel SDM 3A, "Local APIC State After It Has Been Software Disabled" */
    struct vlapic_poll duty;
    struct vlapic_cpu *ap;

    (void)unused;
    fake_vm_prepare(&host, VLAPIC_VENDOR_INTEL);
    fake_vm_start(&host, 2, NULL);
    start_aps(&host);
    ap = fake_cpu_at(&host, 1);
    for (unsigned i = 0; i < 3; i++) {
        static const enum vlapic_delivery modes[] = { VLAPIC_DELIVERY_SMI, VLAPIC_DELIVERY_NMI, VLAPIC_DELIVERY_INIT };

        assert_int_equal(vlapic_vm_deliver(host.vm, &(struct vlapic_message){ .destination = 1, .delivery = modes[i] }),
                         1);
        vlapic_cpu_poll(ap, &duty);
        assert_int_equal(duty.smi, i == 0);
        assert_int_equal(duty.nmi, i == 1);
        assert_int_equal(duty.init, i == 2);
    }
    vlapic_cpu_take_init(ap);
    guest_icr(fake_cpu_at(&host, 0), 1u << 24, 0x612); /* from a software-disabled sender, too */
    vlapic_cpu_poll(ap, &duty);
    assert_true(duty.sipi);
    assert_int_equal(duty.sipi_vector, 0x12);
    fake_vm_stop(&host);
}

static void extint_message_is_dropped_while_disabled(void **unused)
{
    /* Intel SDM 3A, "Local APIC State After It Has Been Software Disabled": ExtINT is not in the list of what is accepted */
    struct vlapic_cpu *cpu = start(false);
    struct vlapic_poll duty;

    (void)unused;
    software_disable(cpu);
    assert_int_equal(deliver(VLAPIC_DELIVERY_EXTINT, 0), 0);
    vlapic_cpu_poll(cpu, &duty);
    assert_false(duty.extint_message);
    guest_software_enable(cpu);
    vlapic_cpu_poll(cpu, &duty);
    assert_false(duty.extint_message);
    assert_int_equal(deliver(VLAPIC_DELIVERY_EXTINT, 0), 1);
    vlapic_cpu_poll(cpu, &duty);
    assert_true(duty.extint_message);
    assert_int_equal(duty.vector, -1);
    vlapic_cpu_poll(cpu, &duty);
    assert_false(duty.extint_message);
    fake_vm_stop(&host);
}

static void a_disabled_apic_is_no_candidate_for_lowest_priority(void **unused)
{
    /* Intel SDM 3A, "Lowest Priority Delivery Mode" */
    (void)unused;
    fake_vm_prepare(&host, VLAPIC_VENDOR_INTEL);
    fake_vm_start(&host, 3, NULL);
    start_aps(&host);
    for (unsigned i = 0; i < 3; i++) {
        guest_write(fake_cpu_at(&host, i), VLAPIC_REG_LDR, 1u << (24 + i));
        if (i != 1)
            guest_software_enable(fake_cpu_at(&host, i));
    }
    for (unsigned vector = 0x30; vector < 0x50; vector++) {
        unsigned chosen = vector % 2 ? 2 : 0;

        assert_int_equal(vlapic_vm_deliver(host.vm, &(struct vlapic_message){ .destination = 7,
                                                                              .logical = true,
                                                                              .delivery = VLAPIC_DELIVERY_LOWEST,
                                                                              .vector = (uint8_t)vector }),
                         1);
        assert_int_equal(take_vector(fake_cpu_at(&host, chosen)), (int)vector);
        guest_eoi(fake_cpu_at(&host, chosen));
        assert_int_equal(poll_vector(fake_cpu_at(&host, 2 - chosen)), -1);
    }
    fake_vm_stop(&host);
}

/* ---- what is pending ---- */

static void irr_survives_software_disable_and_is_still_dispatched(void **unused)
{
    /* Intel SDM 3A, "Local APIC State After It Has Been Software Disabled": IRR and ISR are held */
    (void)unused;
    for (unsigned looked = 0; looked < 2; looked++) {
        struct vlapic_cpu *cpu = start(looked);

        assert_true(vlapic_cpu_post(cpu, 0x61, false));
        assert_true(vlapic_cpu_post(cpu, 0x82, true));
        if (looked)
            assert_int_equal(poll_vector(cpu), 0x82);
        software_disable(cpu);
        assert_true(guest_bit(cpu, VLAPIC_REG_IRR, 0x61));
        assert_true(guest_bit(cpu, VLAPIC_REG_IRR, 0x82));
        assert_true(guest_bit(cpu, VLAPIC_REG_TMR, 0x82));
        assert_int_equal(take_vector(cpu), 0x82);
        assert_true(guest_bit(cpu, VLAPIC_REG_ISR, 0x82));
        assert_int_equal(guest_get(cpu, VLAPIC_REG_PPR), 0x80);
        assert_int_equal(poll_vector(cpu), -1);
        fake_forget(&host);
        guest_eoi(cpu);
        assert_int_equal(fake_last(&host, FAKE_EOI_BROADCAST)->a, 0x82);
        assert_int_equal(take_vector(cpu), 0x61);
        guest_eoi(cpu);
        guest_software_enable(cpu);
        assert_int_equal(poll_vector(cpu), -1);
        fake_vm_stop(&host);
    }
}

static void acknowledge_works_while_disabled(void **unused)
{
    /* Intel SDM 3A, "Spurious Interrupt": the vector is delivered verbatim, nothing is put in service */
    struct vlapic_cpu *cpu = start(false);
    struct vlapic_cpu_state before, after;
    uint8_t vector = 0;

    (void)unused;
    vlapic_cpu_post(cpu, 0x61, false);
    guest_write(cpu, VLAPIC_REG_SVR, 0x0C);
    assert_true(vlapic_cpu_acknowledge(cpu, &vector));
    assert_int_equal(vector, 0x61);
    state_read(cpu, &before);
    assert_false(vlapic_cpu_acknowledge(cpu, &vector));
    assert_int_equal(vector, 0x0C); /* no range check */
    state_read(cpu, &after);
    assert_same_state(&before, &after);
    fake_vm_stop(&host);
}

static void registers_work_while_disabled(void **unused)
{
    /* Intel SDM 3A, "Local APIC State After It Has Been Software Disabled" */
    (void)unused;
    for (unsigned x2apic = 0; x2apic < 2; x2apic++) {
        struct vlapic_cpu *cpu = start(x2apic);

        software_disable(cpu);
        guest_set(cpu, VLAPIC_REG_TPR, 0x47);
        assert_int_equal(guest_get(cpu, VLAPIC_REG_PPR), 0x47);
        assert_true(vlapic_cpu_cr8_read(cpu) == 4);
        assert_int_equal(vlapic_cpu_cr8_write(cpu, 6), VLAPIC_ACCESS_DONE);
        assert_int_equal(guest_get(cpu, VLAPIC_REG_TPR), 0x60);
        guest_eoi(cpu);
        fake_vm_stop(&host);
    }
}

/* ---- sending ---- */

static void a_disabled_apic_still_sends(void **unused)
{
    /* Intel SDM 3A, "Local APIC State After It Has Been Software Disabled" */
    struct vlapic_cpu *sender, *receiver;
    struct vlapic_poll duty;

    (void)unused;
    fake_vm_prepare(&host, VLAPIC_VENDOR_INTEL);
    fake_vm_start(&host, 2, NULL);
    start_aps(&host);
    sender = fake_cpu_at(&host, 0);
    receiver = fake_cpu_at(&host, 1);
    guest_software_enable(receiver);
    guest_icr(sender, 1u << 24, 0x61);
    assert_int_equal(poll_vector(receiver), 0x61);

    /* To itself: Fixed is not accepted, NMI is. */
    guest_icr(sender, 0, 0x40062);
    guest_icr(sender, 0, 0x00063);
    assert_int_equal(poll_vector(sender), -1);
    guest_icr(sender, 0, 0x00400);
    vlapic_cpu_poll(sender, &duty);
    assert_true(duty.nmi);
    guest_enable_x2apic(sender);
    guest_wrmsr(sender, 0x83F, 0x64);
    assert_int_equal(poll_vector(sender), -1);
    fake_vm_stop(&host);
}

static void illegal_vectors_sent_while_disabled_set_bit_5_only(void **unused)
{
    /* Intel SDM 3A, "Error Handling": errors are recorded in the software-disabled state */
    struct vlapic_cpu *cpu = start(false);

    (void)unused;
    software_disable(cpu);
    guest_icr(cpu, 0, 0x4000F); /* self: nothing is received */
    assert_int_equal(guest_esr(cpu), VLAPIC_ESR_SEND_ILLEGAL_VECTOR);
    guest_icr(cpu, 0, 0x00003);
    assert_int_equal(guest_esr(cpu), VLAPIC_ESR_SEND_ILLEGAL_VECTOR);
    guest_enable_x2apic(cpu);
    guest_wrmsr(cpu, 0x83F, 0x0F);
    assert_int_equal(guest_esr(cpu), VLAPIC_ESR_SEND_ILLEGAL_VECTOR);
    guest_icr(cpu, 0, 0x00140); /* lowest priority is not supported in x2APIC mode */
    assert_int_equal(guest_esr(cpu), VLAPIC_ESR_REDIRECTABLE_IPI);
    fake_vm_stop(&host);
}

static void errors_while_disabled_are_not_signalled_later(void **unused)
{
    /* Intel SDM 3A, "Error Handling": recorded, not signalled */
    struct vlapic_cpu *cpu = start(false);

    (void)unused;
    guest_write(cpu, VLAPIC_REG_LVT_ERROR, 0xE3);
    software_disable(cpu);
    guest_read(cpu, 0x000);
    guest_software_enable(cpu);
    guest_write(cpu, VLAPIC_REG_LVT_ERROR, 0xE3);
    assert_int_equal(poll_vector(cpu), -1);
    assert_int_equal(guest_esr(cpu), VLAPIC_ESR_ILLEGAL_REGISTER);
    fake_vm_stop(&host);
}

/* ---- timer ---- */

static void the_counter_runs_on_and_its_interrupt_is_masked(void **unused)
{
    /* Intel SDM 3A, "APIC Timer"; the manual leaves open what software disable does to the count */
    (void)unused;
    for (unsigned x2apic = 0; x2apic < 2; x2apic++) {
        struct vlapic_cpu *cpu = start(x2apic);

        guest_set(cpu, VLAPIC_REG_DIVIDE_CONFIG, 0xB);
        guest_set(cpu, VLAPIC_REG_LVT_TIMER, 0x20051);
        guest_set(cpu, VLAPIC_REG_INITIAL_COUNT, 1000);
        fake_advance_ns(&host, 300);
        software_disable(cpu);
        assert_int_equal(guest_get(cpu, VLAPIC_REG_CURRENT_COUNT), 700);
        fake_advance_ns(&host, 300);
        assert_int_equal(guest_get(cpu, VLAPIC_REG_CURRENT_COUNT), 400);
        fake_advance_ns(&host, 500);
        assert_int_equal(poll_vector(cpu), -1);
        assert_int_equal(guest_get(cpu, VLAPIC_REG_CURRENT_COUNT), 900);
        assert_false(guest_bit(cpu, VLAPIC_REG_IRR, 0x51));

        /* It can be started while disabled, and goes on along the same grid after enabling and unmasking. */
        guest_software_enable(cpu);
        assert_int_equal(poll_vector(cpu), -1);
        guest_set(cpu, VLAPIC_REG_LVT_TIMER, 0x20051);
        assert_int_equal(poll_vector(cpu), -1);
        fake_advance_ns(&host, 899);
        assert_int_equal(poll_vector(cpu), -1);
        fake_advance_ns(&host, 1);
        assert_int_equal(poll_vector(cpu), 0x51);
        fake_vm_stop(&host);
    }
}

static void the_timer_can_be_started_while_disabled(void **unused)
{
    /* Intel SDM 3A, "APIC Timer": counting does not depend on the mask */
    struct vlapic_cpu *cpu = start(false);

    (void)unused;
    software_disable(cpu);
    guest_write(cpu, VLAPIC_REG_DIVIDE_CONFIG, 0xB);
    guest_write(cpu, VLAPIC_REG_INITIAL_COUNT, 100);
    fake_advance_ns(&host, 30);
    assert_int_equal(guest_read(cpu, VLAPIC_REG_CURRENT_COUNT), 70);
    guest_software_enable(cpu);
    guest_write(cpu, VLAPIC_REG_LVT_TIMER, 0x51);
    fake_advance_ns(&host, 70);
    assert_int_equal(poll_vector(cpu), 0x51);
    fake_vm_stop(&host);
}

static void an_expiry_before_the_disable_is_kept(void **unused)
{
    /* Intel SDM 3A, "Local APIC State After It Has Been Software Disabled": IRR is held */
    (void)unused;
    for (unsigned polled = 0; polled < 2; polled++) {
        struct vlapic_cpu *cpu = start(false);

        guest_write(cpu, VLAPIC_REG_DIVIDE_CONFIG, 0xB);
        guest_write(cpu, VLAPIC_REG_LVT_TIMER, 0x51);
        guest_write(cpu, VLAPIC_REG_INITIAL_COUNT, 100);
        fake_advance_ns(&host, 100);
        if (polled)
            assert_int_equal(poll_vector(cpu), 0x51);
        software_disable(cpu);
        assert_true(guest_bit(cpu, VLAPIC_REG_IRR, 0x51));
        assert_int_equal(poll_vector(cpu), 0x51);
        fake_vm_stop(&host);
    }
}

static void a_deadline_is_consumed_without_an_interrupt_while_disabled(void **unused)
{
    /* Intel SDM 3A, "TSC-Deadline Mode" */
    struct vlapic_cpu *cpu;

    (void)unused;
    fake_vm_prepare(&host, VLAPIC_VENDOR_INTEL);
    host.config.tsc_deadline = true;
    fake_vm_start(&host, 1, NULL);
    cpu = fake_cpu_at(&host, 0);
    guest_software_enable(cpu);
    guest_write(cpu, VLAPIC_REG_LVT_TIMER, 0x40051);
    guest_wrmsr(cpu, VLAPIC_MSR_TSC_DEADLINE, 1000);
    software_disable(cpu);
    assert_true(guest_rdmsr(cpu, VLAPIC_MSR_TSC_DEADLINE) == 1000);
    fake_advance_tsc(&host, 1000);
    assert_int_equal(poll_vector(cpu), -1);
    assert_true(guest_rdmsr(cpu, VLAPIC_MSR_TSC_DEADLINE) == 0);
    assert_false(guest_bit(cpu, VLAPIC_REG_IRR, 0x51));

    /* One in the past, armed while disabled. */
    guest_wrmsr(cpu, VLAPIC_MSR_TSC_DEADLINE, 500);
    assert_int_equal(poll_vector(cpu), -1);
    assert_true(guest_rdmsr(cpu, VLAPIC_MSR_TSC_DEADLINE) == 0);
    guest_software_enable(cpu);
    assert_int_equal(poll_vector(cpu), -1);
    fake_vm_stop(&host);
}

/* ---- LINT0 ---- */

static void lint0_remote_irr_survives_software_disable(void **unused)
{
    /* Intel SDM 3A, "Local Vector Table": masking keeps remote IRR and the request */
    struct vlapic_cpu *cpu = start(false);

    (void)unused;
    guest_write(cpu, VLAPIC_REG_LVT_LINT0, 0x8055);
    vlapic_cpu_lint(cpu, 0, true);
    assert_int_equal(poll_vector(cpu), 0x55);
    software_disable(cpu);
    assert_int_equal(guest_read(cpu, VLAPIC_REG_LVT_LINT0), 0x1C055);
    assert_int_equal(take_vector(cpu), 0x55);
    guest_eoi(cpu);
    assert_int_equal(guest_read(cpu, VLAPIC_REG_LVT_LINT0), 0x18055);
    assert_int_equal(poll_vector(cpu), -1); /* high still, but masked */
    fake_vm_stop(&host);
}

static void an_expiry_that_the_host_was_late_with_is_kept(void **unused)
{
    /* Intel SDM 3A, "APIC Timer": the due time has passed before the SVR write, though the host timer has not fired */
    (void)unused;
    for (unsigned deadline_mode = 0; deadline_mode < 2; deadline_mode++) {
        struct vlapic_cpu *cpu;

        fake_vm_prepare(&host, VLAPIC_VENDOR_INTEL);
        host.config.tsc_deadline = true;
        fake_vm_start(&host, 1, NULL);
        cpu = fake_cpu_at(&host, 0);
        guest_software_enable(cpu);
        guest_write(cpu, VLAPIC_REG_DIVIDE_CONFIG, 0xB);
        if (deadline_mode) {
            guest_write(cpu, VLAPIC_REG_LVT_TIMER, 0x40051);
            guest_wrmsr(cpu, VLAPIC_MSR_TSC_DEADLINE, 100);
        } else {
            guest_write(cpu, VLAPIC_REG_LVT_TIMER, 0x51);
            guest_write(cpu, VLAPIC_REG_INITIAL_COUNT, 100);
        }
        fake_set_ns(&host, 100);
        fake_set_tsc(&host, 100);
        software_disable(cpu);
        assert_int_equal(poll_vector(cpu), 0x51);
        fake_vm_stop(&host);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spurious_vector_is_stored_in_full),
        cmocka_unit_test(suppress_bit_exists_only_with_the_version_bit),
        cmocka_unit_test(bit_9_has_no_effect),
        cmocka_unit_test(bit_9_faults_if_configured_and_only_in_x2apic_mode),
        cmocka_unit_test(disabling_masks_every_lvt_and_enabling_unmasks_none),
        cmocka_unit_test(lvt_writes_while_disabled_take_effect_but_for_the_mask),
        cmocka_unit_test(masked_pins_and_events_are_silent_while_disabled),
        cmocka_unit_test(fixed_is_dropped_without_an_error_while_disabled),
        cmocka_unit_test(init_nmi_smi_and_sipi_are_accepted_while_disabled),
        cmocka_unit_test(extint_message_is_dropped_while_disabled),
        cmocka_unit_test(a_disabled_apic_is_no_candidate_for_lowest_priority),
        cmocka_unit_test(irr_survives_software_disable_and_is_still_dispatched),
        cmocka_unit_test(acknowledge_works_while_disabled),
        cmocka_unit_test(registers_work_while_disabled),
        cmocka_unit_test(a_disabled_apic_still_sends),
        cmocka_unit_test(illegal_vectors_sent_while_disabled_set_bit_5_only),
        cmocka_unit_test(errors_while_disabled_are_not_signalled_later),
        cmocka_unit_test(the_counter_runs_on_and_its_interrupt_is_masked),
        cmocka_unit_test(the_timer_can_be_started_while_disabled),
        cmocka_unit_test(an_expiry_before_the_disable_is_kept),
        cmocka_unit_test(a_deadline_is_consumed_without_an_interrupt_while_disabled),
        cmocka_unit_test(lint0_remote_irr_survives_software_disable),
        cmocka_unit_test(an_expiry_that_the_host_was_late_with_is_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
