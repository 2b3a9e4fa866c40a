/* SPDX-License-Identifier: BSD-2-Clause */
/* The museum, section C: acceptance, error status, disabled and absent APICs. See museum.h. */
#include "museum_smp.h"

static struct fake_vm fake;

static int stop(void **state)
{
    (void)state;
    museum_stop(&fake);
    return 0;
}

static struct vlapic_cpu *start(unsigned count, bool x2apic)
{
    museum_on(&fake, VLAPIC_VENDOR_INTEL, count, x2apic);
    return fake_cpu_at(&fake, 0);
}

static uint32_t msi(uint64_t address, uint32_t data)
{
    uint32_t accepted = 0xA5A5A5A5;

    assert_int_equal(vlapic_vm_msi(fake.vm, address, data, &accepted), VLAPIC_ACCESS_DONE);
    return accepted;
}

/* ---- trigger mode ---- */

static void museum_068_tmr_is_written_at_acceptance(void **state)
{
    /* Xen, ACRN, KVM: TMR was cleared by the EOI, or a stale bit let an edge interrupt be broadcast to the I/O
     * APICs. */
    struct vlapic_cpu *cpu = start(1, false);

    (void)state;
    museum_in_service(cpu, 0x61, true);
    guest_eoi(cpu);
    assert_int_equal(guest_read(cpu, 0x1B0), 0x00000002);
    assert_int_equal(fake_count(&fake, FAKE_EOI_BROADCAST), 1);
    assert_int_equal(fake_last(&fake, FAKE_EOI_BROADCAST)->a, 0x61);
    fake_forget(&fake);
    assert_true(vlapic_cpu_post(cpu, 0x61, false));
    assert_int_equal(guest_read(cpu, 0x1B0), 0);
    assert_int_equal(take_vector(cpu), 0x61);
    guest_eoi(cpu);
    assert_int_equal(fake_count(&fake, FAKE_EOI_BROADCAST), 0);
}

static void museum_068_an_event_of_its_own_writes_tmr_too(void **state)
{
    /* Xen, ACRN, KVM: the same where the edge comes from an LVT entry or a self-IPI of the APIC that had the level. */
    struct vlapic_cpu *cpu = start(1, false);

    (void)state;
    guest_write(cpu, VLAPIC_REG_LVT_THERMAL, 0x61);
    for (int ipi = 0; ipi < 2; ipi++) {
        museum_in_service(cpu, 0x61, true);
        guest_eoi(cpu);
        assert_int_equal(guest_read(cpu, 0x1B0), 0x00000002);
        fake_forget(&fake);
        if (ipi)
            guest_icr(cpu, 0, 0x40000 | FIXED | 0x61);
        else
            vlapic_cpu_lvt_event(cpu, VLAPIC_LVT_THERMAL);
        assert_int_equal(take_vector(cpu), 0x61);
        assert_int_equal(guest_read(cpu, 0x1B0), 0);
        guest_eoi(cpu);
        assert_int_equal(fake_count(&fake, FAKE_EOI_BROADCAST), 0);
    }
}

/* ---- CR8 ---- */

static void museum_080_cr8_bits_63_to_4_are_reserved(void **state)
{
    /* bhyve, Xen: an emulated MOV to CR8 took values that the processor faults. */
    struct vlapic_cpu *cpu = start(1, false);

    (void)state;
    guest_write(cpu, VLAPIC_REG_TPR, 0x4B);
    assert_int_equal(vlapic_cpu_cr8_read(cpu), 4);
    assert_int_equal(vlapic_cpu_cr8_write(cpu, 0x10), VLAPIC_ACCESS_GP);
    assert_int_equal(vlapic_cpu_cr8_write(cpu, 1ull << 63), VLAPIC_ACCESS_GP);
    assert_int_equal(guest_read(cpu, VLAPIC_REG_TPR), 0x4B);
    assert_int_equal(vlapic_cpu_cr8_write(cpu, 0xF), VLAPIC_ACCESS_DONE);
    assert_int_equal(guest_read(cpu, VLAPIC_REG_TPR), 0xF0);
    for (unsigned bit = 4; bit < 64; bit++)
        assert_int_equal(vlapic_cpu_cr8_write(cpu, 1ull << bit), VLAPIC_ACCESS_GP);
    assert_int_equal(guest_read(cpu, VLAPIC_REG_TPR), 0xF0);
}

/* ---- no APIC, and one that is switched off ---- */

/* Everything that an owner and other threads may do to a vCPU whose APIC can take no vector. */
static void use_in_vain(struct vlapic_cpu *cpu)
{
    struct vlapic_cpu_state before, after;
    struct museum_blob blob;
    uint8_t vector = 0;

    museum_save(cpu, &blob);
    state_read(cpu, &before);
    museum_idle(cpu);
    assert_false(vlapic_cpu_accept(cpu, 0x61));
    assert_false(vlapic_cpu_unaccept(cpu, 0x61));
    assert_false(vlapic_cpu_acknowledge(cpu, &vector));
    vlapic_cpu_lvt_event(cpu, VLAPIC_LVT_THERMAL);
    vlapic_cpu_timer_expired(cpu);
    vlapic_cpu_tsc_changed(cpu);
    museum_idle(cpu);
    vlapic_cpu_load(cpu);
    assert_true(vlapic_cpu_enter(cpu));
    vlapic_cpu_exit(cpu);
    assert_true(vlapic_cpu_halt(cpu));
    vlapic_cpu_exit(cpu);
    vlapic_cpu_put(cpu);
    museum_restore(cpu, &blob, VLAPIC_TIME_STOPPED);
    state_read(cpu, &after);
    assert_same_state(&before, &after);
}

static void museum_081_a_vcpu_off_the_bus_is_not_there(void **state)
{
    /* Xen, KVM: event and IPI paths took it for granted that each vCPU has an APIC, and followed a NULL pointer. */
    struct vlapic_cpu *cpu = start(3, false), *absent = fake_cpu_at(&fake, 2);
    struct vlapic_message message = { .destination = 2, .vector = 0x61 };

    (void)state;
    vlapic_cpu_detach(absent);
    assert_null(vlapic_vm_find(fake.vm, 2));
    assert_null(vlapic_vm_find(fake.vm, fake.config.max_apic_id + 1));
    assert_null(vlapic_vm_find(fake.vm, UINT32_MAX));
    assert_int_equal(vlapic_vm_deliver(fake.vm, &message), 0);
    message.destination = 0x80; /* never made */
    assert_int_equal(vlapic_vm_deliver(fake.vm, &message), 0);
    assert_int_equal(msi(0xFEEFF000, 0x61), 2);
    assert_int_equal(museum_takers(&fake, 0x61), 3);
    guest_icr(cpu, TO(2), FIXED | 0x61);
    guest_icr(cpu, 0, 0xC0000 | INIT);
    assert_int_equal(museum_inits(&fake), 2);
    use_in_vain(absent);

    /* It comes back with what its registers say by then. */
    guest_write(absent, VLAPIC_REG_LDR, 0x04000000);
    assert_int_equal(vlapic_cpu_attach(absent), VLAPIC_OK);
    assert_ptr_equal(vlapic_vm_find(fake.vm, 2), absent);
    assert_int_equal(msi(0xFEE04004, 0x61), 1);
    assert_int_equal(museum_takers(&fake, 0x61), 4);
    vlapic_cpu_detach(absent);
    vlapic_cpu_reset(absent);
    assert_true(museum_poll(absent).wait_for_sipi);
}

static void museum_081_a_disabled_apic_takes_no_vector(void **state)
{
    /* Xen, KVM: the same paths, where the guest has switched its APIC off. */
    struct vlapic_cpu *cpu = start(3, false), *disabled = fake_cpu_at(&fake, 1);

    (void)state;
    guest_disable_apic(disabled);
    assert_ptr_equal(vlapic_vm_find(fake.vm, 1), disabled);
    assert_false(vlapic_cpu_post(disabled, 0x61, false));
    assert_int_equal(msi(0xFEE01000, 0x61), 0);
    assert_int_equal(msi(0xFEEFF000, 0x61), 2);
    assert_int_equal(museum_takers(&fake, 0x61), 5);
    guest_icr(cpu, 0, 0x80000 | FIXED | 0x62);
    assert_int_equal(museum_takers(&fake, 0x62), 5);
    use_in_vain(disabled);
    assert_int_equal(vlapic_cpu_cr8_write(disabled, 7), VLAPIC_ACCESS_DONE);
    assert_int_equal(vlapic_cpu_cr8_read(disabled), 7);
    vlapic_cpu_reset(disabled);
    assert_true((vlapic_cpu_apic_base(disabled) & VLAPIC_BASE_EN) != 0);
    assert_true(museum_poll(disabled).wait_for_sipi);
}

static void assert_nothing_accepted(struct vlapic_cpu *cpu)
{
    assert_int_equal(guest_get(cpu, 0x270), 0);
    museum_only(cpu, VLAPIC_REG_IRR, -1, -1);
    museum_idle(cpu);
}

/* SET, MSI, IPIs, a decoded message, the timer and a pin, all with vector 0xF3. */
static void send_f3_by_every_path(struct vlapic_cpu *cpu, bool x2apic)
{
    struct vlapic_message message = { .destination = 0, .vector = 0xF3 };

    assert_false(vlapic_cpu_post(cpu, 0xF3, false));
    assert_false(vlapic_cpu_post(cpu, 0xF3, true));
    assert_int_equal(msi(0xFEE00000, 0xF3), 0);
    assert_int_equal(msi(0xFEEFF000, 0x1F3), 0);
    assert_int_equal(vlapic_vm_deliver(fake.vm, &message), 0);
    museum_ipi(cpu, 0, FIXED | 0xF3);
    museum_ipi(cpu, 0, 0x40000 | FIXED | 0xF3);
    museum_ipi(cpu, 0, 0x80000 | FIXED | 0xF3);
    if (x2apic)
        guest_set(cpu, VLAPIC_REG_SELF_IPI, 0xF3);
    guest_set(cpu, VLAPIC_REG_LVT_TIMER, 0x000F3);
    assert_int_equal(guest_get(cpu, VLAPIC_REG_LVT_TIMER), 0x100F3);
    guest_set(cpu, VLAPIC_REG_DIVIDE_CONFIG, 0xB);
    guest_set(cpu, VLAPIC_REG_INITIAL_COUNT, 100);
    fake_advance_ns(&fake, 1000);
    guest_set(cpu, VLAPIC_REG_LVT_LINT0, 0x080F3);
    vlapic_cpu_lint(cpu, 0, true);
    vlapic_cpu_lint(cpu, 0, false);
}

static void museum_082_a_software_disabled_apic_accepts_no_vector(void **state)
{
    /* Xen: I/O APIC, MSI and paravirtual paths set IRR bits past the enable bit; Linux found stale bits when an AP came
     * up. */
    (void)state;
    for (int x2apic = 0; x2apic < 2; x2apic++) {
        struct vlapic_cpu *cpu = start(1, x2apic);

        guest_set(cpu, VLAPIC_REG_SVR, 0x0FF);
        send_f3_by_every_path(cpu, x2apic);
        assert_nothing_accepted(cpu);
        assert_int_equal(guest_esr(cpu), 0);
        guest_set(cpu, VLAPIC_REG_SVR, 0x1FF);
        assert_nothing_accepted(cpu);
        fake_vm_stop(&fake);
    }
}

static void museum_085_a_software_disabled_apic_takes_init_nmi_smi_sipi(void **state)
{
    /* KVM, Bochs: an enable check before the look at the delivery mode lost an SMI, or an AP that could not be
     * restarted. */
    struct vlapic_cpu *cpu = start(2, false), *ap = fake_cpu_at(&fake, 1);
    struct vlapic_poll duty;

    (void)state;
    guest_write(ap, VLAPIC_REG_SVR, 0x0FF);
    guest_icr(cpu, TO(1), NMI);
    guest_icr(cpu, TO(1), SMI);
    guest_icr(cpu, TO(1), INIT);
    guest_icr(cpu, TO(1), SIPI(0x10));
    duty = museum_poll(ap);
    assert_true(duty.nmi && duty.smi && duty.init && !duty.sipi);
    vlapic_cpu_take_init(ap);
    duty = museum_poll(ap);
    assert_true(duty.sipi && !duty.nmi && !duty.smi && !duty.init);
    assert_int_equal(duty.sipi_vector, 0x10);
    museum_idle(ap);
}

static void museum_085_a_globally_disabled_apic_takes_no_message(void **state)
{
    /* KVM, Bochs: with IA32_APIC_BASE.EN clear there is nobody on the bus, INIT and NMI included
     * (include/vlapic/vm.h). */
    struct vlapic_cpu *cpu = start(2, false), *ap = fake_cpu_at(&fake, 1);

    (void)state;
    guest_disable_apic(ap);
    for (uint32_t mode = 0; mode < 8; mode++) {
        assert_int_equal(msi(0xFEE01000, mode << 8 | 0x61), 0);
        guest_icr(cpu, TO(1), FIXED | mode << 8 | 0x61);
        guest_icr(cpu, 0, 0xC0000 | FIXED | mode << 8 | 0x61);
    }
    museum_idle(ap);
    guest_enable_xapic(ap);
    museum_idle(ap);
    museum_only(ap, VLAPIC_REG_IRR, -1, -1);
    assert_int_equal(guest_esr(ap), 0);
}

/* ---- illegal vectors and the error interrupt ---- */

static void museum_086_an_illegal_error_vector_does_not_recurse(void **state)
{
    /* Xen (XSA-462), bhyve: an illegal vector in the error LVT raised an error while one was being raised; the host
     * hung. */
    (void)state;
    for (int x2apic = 0; x2apic < 2; x2apic++) {
        struct vlapic_cpu *cpu = start(1, x2apic);

        guest_set(cpu, VLAPIC_REG_LVT_ERROR, 0x00000005);
        if (x2apic)
            guest_wrmsr(cpu, 0x83F, 0x03);
        else
            guest_icr(cpu, 0, 0x00044003);
        assert_int_equal(guest_esr(cpu), 0x60);
        museum_only(cpu, VLAPIC_REG_IRR, -1, -1);
        assert_int_equal(guest_esr(cpu), 0);
        assert_false(vlapic_cpu_post(cpu, 5, false));
        assert_int_equal(guest_esr(cpu), 0x40);
        museum_idle(cpu);
        fake_vm_stop(&fake);
    }
}

static void museum_087_the_error_interrupt_has_a_legal_vector_or_none(void **state)
{
    /* ACRN: the common path of all LVT entries put a reserved vector into IRR. */
    struct vlapic_cpu *cpu = start(1, false);

    (void)state;
    guest_write(cpu, VLAPIC_REG_LVT_ERROR, 0x0000000F);
    assert_false(vlapic_cpu_post(cpu, 2, false));
    assert_int_equal(guest_read(cpu, 0x200), 0);
    assert_int_equal(poll_vector(cpu), -1);

    guest_write(cpu, VLAPIC_REG_ESR, 0);
    guest_write(cpu, VLAPIC_REG_LVT_ERROR, 0x000000FE);
    assert_false(vlapic_cpu_post(cpu, 2, false));
    assert_int_equal(take_vector(cpu), 0xFE);
    guest_eoi(cpu);

    guest_write(cpu, VLAPIC_REG_ESR, 0);
    guest_write(cpu, VLAPIC_REG_LVT_ERROR, 0x000100FE);
    assert_false(vlapic_cpu_post(cpu, 2, false));
    assert_int_equal(poll_vector(cpu), -1);
    guest_write(cpu, VLAPIC_REG_ESR, 0);
    assert_int_equal(guest_read(cpu, VLAPIC_REG_ESR), 0x40);
}

static void raise_lvt(struct vlapic_cpu *cpu, uint32_t offset)
{
    switch (offset) {
    case VLAPIC_REG_LVT_TIMER:
        guest_write(cpu, VLAPIC_REG_INITIAL_COUNT, 1);
        fake_advance_ns(&fake, 10);
        break;
    case VLAPIC_REG_LVT_THERMAL:
        vlapic_cpu_lvt_event(cpu, VLAPIC_LVT_THERMAL);
        break;
    case VLAPIC_REG_LVT_PERF:
        vlapic_cpu_lvt_event(cpu, VLAPIC_LVT_PERF);
        break;
    default:
        vlapic_cpu_lint(cpu, offset == VLAPIC_REG_LVT_LINT1, true);
        vlapic_cpu_lint(cpu, offset == VLAPIC_REG_LVT_LINT1, false);
        break;
    }
}

static void museum_087_no_lvt_entry_puts_a_reserved_vector_into_irr(void **state)
{
    /* ACRN: the same path, from the entries that share it. */
    static const uint32_t entries[] = { VLAPIC_REG_LVT_TIMER, VLAPIC_REG_LVT_THERMAL, VLAPIC_REG_LVT_PERF,
                                        VLAPIC_REG_LVT_LINT0, VLAPIC_REG_LVT_LINT1 };
    struct vlapic_cpu *cpu = start(1, false);

    (void)state;
    for (unsigned i = 0; i < sizeof entries / sizeof entries[0]; i++) {
        for (uint32_t vector = 0; vector <= 16; vector++) {
            guest_write(cpu, entries[i], vector);
            raise_lvt(cpu, entries[i]);
            assert_int_equal(take_vector(cpu), vector == 16 ? 16 : -1);
            assert_int_equal(guest_read(cpu, 0x200), 0);
            guest_eoi(cpu);
            assert_int_equal(guest_esr(cpu), vector == 16 ? 0 : 0x40);
        }
        guest_write(cpu, entries[i], 0x10000);
    }
}

static void museum_088_fixed_vectors_below_16_are_errors(void **state)
{
    /* Xen: bad vectors were accepted in silence. */
    struct vlapic_cpu *cpu = start(2, false), *other = fake_cpu_at(&fake, 1);

    (void)state;
    guest_icr(cpu, TO(1), FIXED | 0x0F);
    assert_int_equal(guest_esr(cpu), 0x20);
    assert_received_nothing(other, "illegal vector");
    guest_icr(cpu, 0, 0x40000 | FIXED | 0x0F);
    assert_int_equal(guest_esr(cpu), 0x60);
    assert_received_nothing(cpu, "illegal self-IPI");
    assert_false(vlapic_cpu_post(cpu, 0x0F, false));
    assert_int_equal(guest_esr(cpu), 0x40);
    assert_received_nothing(cpu, "illegal post");
}

static void museum_088_other_delivery_modes_ignore_the_vector(void **state)
{
    /* Xen: the first mend refused INIT and SIPI as well, and Windows 7 rebooted. */
    struct vlapic_cpu *cpu = start(2, false), *ap = fake_cpu_at(&fake, 1);

    (void)state;
    for (uint32_t vector = 0; vector < 16; vector++) {
        museum_fresh(ap, false);
        guest_icr(cpu, TO(1), NMI | vector);
        guest_icr(cpu, TO(1), SMI | vector);
        guest_icr(cpu, TO(1), INIT | vector);
        assert_int_equal(guest_esr(cpu), 0);
        assert_received(ap, (struct reception){ .nmi = true, .smi = true, .init = true }, "low vector");
    }
    vlapic_cpu_reset(ap);
    guest_icr(cpu, TO(1), 0x00004608);
    assert_int_equal(guest_esr(cpu), 0);
    assert_received(ap, (struct reception){ .sipi = true, .page = 0x08 }, "low page");
}

static void museum_089_esr_shows_what_a_write_latched(void **state)
{
    /* Xen: ESR was a plain register, so a guest that wrote it first, as the manual says, wiped the error that it
     * wanted. */
    struct vlapic_cpu *cpu = start(2, false);

    (void)state;
    assert_false(vlapic_cpu_post(cpu, 3, false));
    assert_int_equal(guest_read(cpu, VLAPIC_REG_ESR), 0);
    guest_write(cpu, VLAPIC_REG_ESR, 0xFFFFFFFF);
    assert_int_equal(guest_read(cpu, VLAPIC_REG_ESR), 0x40);
    assert_int_equal(guest_read(cpu, VLAPIC_REG_ESR), 0x40);
    guest_write(cpu, VLAPIC_REG_ESR, 0);
    assert_int_equal(guest_read(cpu, VLAPIC_REG_ESR), 0);
    assert_false(vlapic_cpu_post(cpu, 3, false));
    guest_write(cpu, VLAPIC_REG_ICR_HIGH, 0x01000000);
    guest_write(cpu, VLAPIC_REG_ICR_LOW, 0x00004003);
    guest_write(cpu, VLAPIC_REG_ESR, 0);
    assert_int_equal(guest_read(cpu, VLAPIC_REG_ESR), 0x60);
}

static void museum_089_a_faulting_esr_write_latches_nothing(void **state)
{
    /* Xen: the same in x2APIC mode, where the value has to be zero. */
    struct vlapic_cpu *cpu = start(1, true);

    (void)state;
    assert_false(vlapic_cpu_post(cpu, 3, false));
    guest_wrmsr_faults(cpu, 0x828, 1);
    assert_int_equal(guest_rdmsr(cpu, 0x828), 0);
    guest_wrmsr(cpu, 0x828, 0);
    assert_int_equal(guest_rdmsr(cpu, 0x828), 0x40);
}

/* ---- what the sender learns ---- */

static void museum_091_a_delivery_counts_who_accepted(void **state)
{
    /* KVM (CVE-2014-0155): "nobody" was -1 and was added to counts of interrupts that wait for an EOI. */
    struct vlapic_cpu *cpu = start(4, false);

    (void)state;
    assert_int_equal(msi(0xFEE20000, 0x61), 0);
    guest_write(fake_cpu_at(&fake, 2), VLAPIC_REG_SVR, 0x0FF);
    assert_int_equal(msi(0xFEE02000, 0x61), 0);
    assert_int_equal(msi(0xFEEFF000, 0x61), 3);
    assert_int_equal(museum_takers(&fake, 0x61), 0xB);

    /* A request that merges counts as accepted, by vm.h: an I/O APIC waits for an EOI either way. */
    assert_int_equal(msi(0xFEE00000, 0x61), 1);
    assert_int_equal(msi(0xFEE00000, 0x61), 1);
    assert_int_equal(take_vector(cpu), 0x61);
    guest_eoi(cpu);
    museum_idle(cpu);
    assert_int_equal(msi(0xFEE00000, 0x05), 0);
    assert_int_equal(guest_esr(cpu), 0x40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(museum_068_tmr_is_written_at_acceptance, stop),
        cmocka_unit_test_teardown(museum_068_an_event_of_its_own_writes_tmr_too, stop),
        cmocka_unit_test_teardown(museum_080_cr8_bits_63_to_4_are_reserved, stop),
        cmocka_unit_test_teardown(museum_081_a_vcpu_off_the_bus_is_not_there, stop),
        cmocka_unit_test_teardown(museum_081_a_disabled_apic_takes_no_vector, stop),
        cmocka_unit_test_teardown(museum_082_a_software_disabled_apic_accepts_no_vector, stop),
        cmocka_unit_test_teardown(museum_085_a_software_disabled_apic_takes_init_nmi_smi_sipi, stop),
        cmocka_unit_test_teardown(museum_085_a_globally_disabled_apic_takes_no_message, stop),
        cmocka_unit_test_teardown(museum_086_an_illegal_error_vector_does_not_recurse, stop),
        cmocka_unit_test_teardown(museum_087_the_error_interrupt_has_a_legal_vector_or_none, stop),
        cmocka_unit_test_teardown(museum_087_no_lvt_entry_puts_a_reserved_vector_into_irr, stop),
        cmocka_unit_test_teardown(museum_088_fixed_vectors_below_16_are_errors, stop),
        cmocka_unit_test_teardown(museum_088_other_delivery_modes_ignore_the_vector, stop),
        cmocka_unit_test_teardown(museum_089_esr_shows_what_a_write_latched, stop),
        cmocka_unit_test_teardown(museum_089_a_faulting_esr_write_latches_nothing, stop),
        cmocka_unit_test_teardown(museum_091_a_delivery_counts_who_accepted, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
