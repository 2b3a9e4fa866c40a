/* SPDX-License-Identifier: BSD-2-Clause */
/* The museum, section D: IPIs and destinations. INIT and SIPI are in test_museum_init_sipi.c. See museum.h. */
#include "museum_smp.h"

static struct fake_vm fake;

static int stop(void **state)
{
    (void)state;
    museum_stop(&fake);
    return 0;
}

static struct vlapic_cpu *at(unsigned index)
{
    return fake_cpu_at(&fake, index);
}

static void start(unsigned count, bool x2apic)
{
    museum_on(&fake, VLAPIC_VENDOR_INTEL, count, x2apic);
}

static void start_with_ids(const uint32_t *ids, unsigned count, bool x2apic)
{
    fake_vm_prepare(&fake, VLAPIC_VENDOR_INTEL);
    fake.config.max_apic_id = ids[count - 1];
    museum_start(&fake, count, ids, x2apic);
}

/* Bits 31:24 of each LDR, and DFR, of the first vCPUs. */
static void set_logical(const uint8_t *ldr, unsigned count, uint32_t dfr)
{
    for (unsigned i = 0; i < count; i++) {
        guest_write(at(i), VLAPIC_REG_DFR, dfr);
        guest_write(at(i), VLAPIC_REG_LDR, (uint32_t)ldr[i] << 24);
    }
}

/* Who gets an IPI with vector 0xF1 from vCPU `from`; high and the other bits of low as in guest_icr(). */
static uint32_t ipi_from(unsigned from, uint32_t high, uint32_t low)
{
    guest_icr(at(from), high, low | FIXED | 0xF1);
    return museum_takers(&fake, 0xF1);
}

static uint32_t ipi(uint32_t high, uint32_t low)
{
    return ipi_from(0, high, low);
}

/* Who gets an MSI; as many as the call says. */
static uint32_t msi(uint64_t address, uint32_t data)
{
    uint32_t accepted = 0xA5A5A5A5, takers;

    assert_int_equal(vlapic_vm_msi(fake.vm, address, data, &accepted), VLAPIC_ACCESS_DONE);
    takers = museum_takers(&fake, (uint8_t)data);
    assert_int_equal(__builtin_popcount(takers), accepted);
    return takers;
}

/* Who gets a decoded message with a 32-bit physical destination. */
static uint32_t message(uint32_t destination)
{
    struct vlapic_message m = { .destination = destination, .vector = 0x61 };
    uint32_t accepted = vlapic_vm_deliver(fake.vm, &m), takers = museum_takers(&fake, 0x61);

    assert_int_equal(__builtin_popcount(takers), accepted);
    return takers;
}

/* ---- broadcasts ---- */

static void museum_125_ff_is_a_broadcast_in_xapic_mode(void **state)
{
    /* Xen: only exact matches counted, so an IPI to FFh reached nobody. */
    static const uint8_t any_ldr[] = { 0x00, 0x01, 0x80, 0x55 };

    (void)state;
    start(4, false);
    assert_int_equal(ipi(0xFF000000, 0), 0xF);
    set_logical(any_ldr, 4, 0xFFFFFFFF);
    assert_int_equal(ipi(0xFF000000, LOGICAL), 0xF);
    set_logical(any_ldr, 4, 0x0FFFFFFF);
    assert_int_equal(ipi(0xFF000000, LOGICAL), 0xF);
}

static void museum_126_ff_is_an_ordinary_id_in_x2apic_mode(void **state)
{
    /* ACRN: the 8-bit broadcast was applied to 32-bit destinations. */
    static const uint32_t ids[] = { 0, 1, 2, 255 };

    (void)state;
    start(4, true);
    assert_int_equal(ipi(0xFF, 0), 0);
    assert_int_equal(ipi(0xFFFFFFFF, 0), 0xF);
    assert_int_equal(ipi(0xFFFFFFFF, LOGICAL), 0xF);
    fake_vm_stop(&fake);
    start_with_ids(ids, 4, true);
    assert_int_equal(ipi(0xFF, 0), 0x8);
    assert_int_equal(ipi(0xFFFFFFFF, 0), 0xF);
    assert_int_equal(ipi(0xFFFFFFFF, LOGICAL), 0xF);
}

static void museum_126_an_msi_to_ff_is_a_broadcast_by_setting(void **state)
{
    /* ACRN: outside of the ICR, FFh is a broadcast as long as 8 bits are all that a platform has. */
    static const uint32_t ids[] = { 0, 1, 2, 255 };

    (void)state;
    start_with_ids(ids, 4, true);
    assert_int_equal(msi(0xFEEFF000, 0x61), 0xF);
    assert_int_equal(message(0xFF), 0xF);
    fake_vm_stop(&fake);
    fake_vm_prepare(&fake, VLAPIC_VENDOR_INTEL);
    fake.config.max_apic_id = 255;
    fake.config.msi_ff_not_broadcast = true;
    museum_start(&fake, 4, ids, true);
    assert_int_equal(msi(0xFEEFF000, 0x61), 0x8);
    assert_int_equal(message(0xFF), 0x8);
    assert_int_equal(message(0xFFFFFFFF), 0xF);
}

/* ---- logical destinations ---- */

static void museum_128_flat_and_cluster_masks(void **state)
{
    /* Bochs: no cluster model; others took it that an LDR has one bit. */
    static const uint8_t flat[] = { 0x01, 0x03, 0x04 }, cluster[] = { 0x11, 0x12, 0x21 };

    (void)state;
    start(3, false);
    set_logical(flat, 3, 0xFFFFFFFF);
    assert_int_equal(ipi(TO(0x02), LOGICAL), 0x2);
    assert_int_equal(ipi(TO(0x03), LOGICAL), 0x3);
    assert_int_equal(ipi(TO(0x07), LOGICAL), 0x7);
    assert_int_equal(msi(0xFEE07004, 0x61), 0x7); /* each is counted once */
    set_logical(cluster, 3, 0x0FFFFFFF);
    assert_int_equal(ipi(TO(0x13), LOGICAL), 0x3);
    assert_int_equal(ipi(TO(0x2F), LOGICAL), 0x4);
    assert_int_equal(ipi(TO(0x31), LOGICAL), 0x0);
    assert_int_equal(ipi(TO(0xFF), LOGICAL), 0x7);
}

static void museum_128_ldrs_with_several_bits(void **state)
{
    /* Bochs, kvm-unit-tests: the same where one LDR has several bits, or two vCPUs share one: each takes it once. */
    static const uint8_t flat[] = { 0x01, 0x03, 0x04, 0x04 }, cluster[] = { 0x11, 0x13, 0x21, 0x2F };

    (void)state;
    start(4, false);
    set_logical(flat, 4, 0xFFFFFFFF);
    assert_int_equal(msi(0xFEE04004, 0x61), 0xC);
    assert_int_equal(msi(0xFEE03004, 0x61), 0x3);
    assert_int_equal(msi(0xFEE08004, 0x61), 0);
    set_logical(cluster, 4, 0x0FFFFFFF);
    assert_int_equal(ipi(TO(0x13), LOGICAL), 0x3);
    assert_int_equal(ipi(TO(0x12), LOGICAL), 0x2);
    assert_int_equal(ipi(TO(0x2F), LOGICAL), 0xC);
    assert_int_equal(ipi(TO(0x2E), LOGICAL), 0x8);
    assert_int_equal(ipi(TO(0x31), LOGICAL), 0);
    assert_int_equal(ipi(TO(0xFF), LOGICAL), 0xF);
}

static uint32_t expected_takers(uint32_t destination)
{
    uint32_t takers = 0;

    for (unsigned i = 0; i < fake.cpu_count; i++) {
        struct receiver r = receiver_of(at(i));

        if (destination_names(&fake.config, SENDER_X2APIC_ICR, destination, true, &r))
            takers |= 1u << i;
    }
    return takers;
}

static void museum_129_any_32_bit_logical_destination_is_legal(void **state)
{
    /* KVM (CVE-2013-6376): a cluster number indexed a table unchecked, and a guest crashed the host with one IPI. */
    static const uint32_t ids[] = { 0, 1, 16, 17 };
    uint64_t random = 0x129;

    (void)state;
    start(3, true);
    assert_int_equal(ipi(0xFFFF0001, LOGICAL), 0);
    assert_int_equal(ipi(0x00FF8000, LOGICAL), 0);
    assert_int_equal(ipi(0x00010001, LOGICAL), 0);
    for (unsigned i = 0; i < 1u << 16; i++) {
        uint32_t destination = next_random(&random) >> (i % 4 == 0 ? 24 : 0);

        if (ipi(destination, LOGICAL) != expected_takers(destination))
            fail_msg("wrong targets of %#x", destination);
        fake_forget(&fake);
    }
    fake_vm_stop(&fake);
    start_with_ids(ids, 4, true);
    assert_int_equal(ipi(0x0001FFFF, LOGICAL), 0xC);
    assert_int_equal(ipi(0x0002FFFF, LOGICAL), 0);
    assert_int_equal(ipi(0xFFFFFFFE, LOGICAL), 0);
}

static void museum_130_an_ldr_of_zero_matches_the_broadcast_alone(void **state)
{
    /* KVM: vCPUs without a logical ID got a place in the table of logical IDs. */
    static const uint8_t zero[4] = { 0 }, one[] = { 0x00, 0x40, 0x00, 0x00 }, several[] = { 0x00, 0x03, 0x00, 0x00 };

    (void)state;
    start(4, false);
    assert_int_equal(ipi(TO(0x7F), LOGICAL), 0);
    assert_int_equal(ipi(TO(0x00), LOGICAL), 0);
    assert_int_equal(ipi(TO(0xFF), LOGICAL), 0xF);
    set_logical(zero, 4, 0x0FFFFFFF);
    assert_int_equal(ipi(TO(0x0F), LOGICAL), 0);
    set_logical(one, 4, 0xFFFFFFFF);
    assert_int_equal(ipi(TO(0x7F), LOGICAL), 0x2);
    for (int cluster = 0; cluster < 2; cluster++) {
        set_logical(several, 4, cluster ? 0x0FFFFFFF : 0xFFFFFFFF);
        assert_int_equal(ipi(TO(0x0F), LOGICAL), 0x2);
        assert_int_equal(ipi(TO(0x0C), LOGICAL), 0);
    }
}

/* ---- lowest priority ---- */

#define LOWEST_1_AND_2 0xFEE06004u /* logical, flat, LDR of vCPU n is 1 << n */

static void start_lowest(uint32_t (*choose)(void *, uint8_t, uint32_t))
{
    static const uint8_t ldr[] = { 0x01, 0x02, 0x04, 0x08 };

    fake_vm_prepare(&fake, VLAPIC_VENDOR_INTEL);
    fake.ops.choose_lowest = choose;
    fake.expect[FAKE_CHOOSE_LOWEST] = choose != NULL;
    museum_start(&fake, 4, NULL, false);
    set_logical(ldr, 4, 0xFFFFFFFF);
}

static void museum_132_lowest_priority_stays_in_the_addressed_set(void **state)
{
    /* Bochs, Xen: the search for a winner began with CPU 0, whether it was addressed or not. */
    uint32_t both = 0;

    (void)state;
    start_lowest(NULL);
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t vector = 16 + i % 240, winner = msi(LOWEST_1_AND_2, 0x100 | vector);

        /* vm.h, host.h: of the candidates in the order of their IDs, number "vector modulo count". */
        assert_int_equal(winner, vector % 2 == 0 ? 0x2 : 0x4);
        both |= winner;
    }
    assert_int_equal(both, 0x6);
    guest_write(at(1), VLAPIC_REG_SVR, 0xFF);
    for (uint32_t vector = 16; vector < 256; vector++)
        assert_int_equal(msi(LOWEST_1_AND_2, 0x100 | vector), 0x4);
    guest_write(at(2), VLAPIC_REG_SVR, 0xFF);
    assert_int_equal(msi(LOWEST_1_AND_2, 0x161), 0);
}

static void museum_132_a_priority_policy_is_the_hosts(void **state)
{
    /* Bochs, Xen: "&&" for "&" in the priority formula. Ours has no formula: who wants one chooses by choose_lowest. */
    (void)state;
    start_lowest(fake_choose_lowest);
    for (uint32_t i = 0; i < 100; i++) {
        fake.choose_result = i % 2;
        assert_int_equal(msi(LOWEST_1_AND_2, 0x100 | (16 + i)), i % 2 ? 0x4 : 0x2);
        assert_int_equal(fake_last(&fake, FAKE_CHOOSE_LOWEST)->a, 2);
    }
    fake.choose_result = 1;
    assert_int_equal(msi(0xFEE0F004, 0x161), 0x2); /* all four, of which it chooses the second */
}

static void museum_132_a_lowest_priority_icr_write_is_by_setting(void **state)
{
    /* Bochs, Xen: whether a processor sends it at all is model specific. */
    (void)state;
    start_lowest(NULL);
    assert_int_equal(ipi(TO(0x06), LOGICAL | 0x100), 0x4);
    assert_int_equal(guest_esr(at(0)), 0);
    for (int sent = 0; sent < 2; sent++) {
        fake_vm_stop(&fake);
        fake_vm_prepare(&fake, VLAPIC_VENDOR_INTEL);
        fake.config.lowest_in_x2apic = sent;
        museum_start(&fake, 4, NULL, true);
        guest_icr(at(0), 0x6, FIXED | LOGICAL | 0x100 | 0xF1);
        assert_int_equal(guest_esr(at(0)), sent ? 0 : 0x10);
        assert_int_equal(museum_takers(&fake, 0xF1), sent ? 0x4 : 0);
    }
}

/* ---- what a destination is not ---- */

static void museum_133_an_absent_destination_has_no_effect(void **state)
{
    /* libvmm: after the complaint about the destination the code went on and injected. */
    static const uint32_t commands[] = { 0x40F1, 0x4400, 0x4500, 0x4200, 0x4610 };

    (void)state;
    start(4, false);
    museum_enter_all(&fake);
    for (unsigned i = 0; i < sizeof commands / sizeof commands[0]; i++)
        guest_icr(at(0), TO(0x20), commands[i]);
    assert_int_equal(fake.call_count, 0);
    museum_exit_all(&fake);
    for (unsigned i = 0; i < 4; i++)
        assert_received_nothing(at(i), "absent destination");
}

static void museum_133_an_init_never_sets_irr(void **state)
{
    /* libvmm: an INIT was handled as a Fixed interrupt. */
    (void)state;
    start(4, false);
    guest_icr(at(0), TO(1), 0x4561);
    assert_false(guest_bit(at(1), VLAPIC_REG_IRR, 0x61));
    assert_int_equal(museum_inits(&fake), 0x2);
}

static void museum_134_a_shorthand_ignores_the_destination(void **state)
{
    /* libvmm, Jailhouse: the destination field was looked at in spite of a shorthand. */
    (void)state;
    for (int x2apic = 0; x2apic < 2; x2apic++) {
        uint32_t nobody = x2apic ? 0x77 : TO(0x77);

        start(4, x2apic);
        assert_int_equal(ipi_from(1, nobody, 0), 0);
        assert_int_equal(ipi_from(1, nobody, 0x40000), 0x2);
        assert_int_equal(ipi_from(1, nobody, 0x80000), 0xF);
        assert_int_equal(ipi_from(1, nobody, 0xC0000), 0xD);
        fake_vm_stop(&fake);
    }
}

static void museum_136_the_xapic_destination_is_bits_31_to_24(void **state)
{
    /* Jailhouse, Xen: the destination formats of the two modes were mixed up. */
    (void)state;
    start(4, false);
    assert_int_equal(ipi(0x03ABCDEF, 0), 0x8);
    assert_int_equal(guest_read(at(0), VLAPIC_REG_ICR_HIGH), 0x03000000);
}

static void museum_136_the_x2apic_destination_is_32_bits(void **state)
{
    /* Jailhouse, Xen: only 8 bits were compared, so that an IPI for ID 101h interrupted vCPU 1. */
    static const uint32_t absent[] = { 0x03000000, 0x01000000, 0x00000103, 0x00000101, 0x80000001 };

    (void)state;
    fake_vm_prepare(&fake, VLAPIC_VENDOR_INTEL);
    fake.config.msi_dest32 = true;
    museum_start(&fake, 4, NULL, true);
    assert_int_equal(ipi(3, 0), 0x8);
    assert_int_equal(ipi(1, 0), 0x2);
    assert_int_equal(message(3), 0x8);
    assert_int_equal(message(1), 0x2);
    for (unsigned i = 0; i < sizeof absent / sizeof absent[0]; i++) {
        uint64_t address = (uint64_t)(absent[i] & 0xFFFFFF00) << 32 | 0xFEE00000 | (absent[i] & 0xFF) << 12;

        assert_int_equal(ipi(absent[i], 0), 0);
        assert_int_equal(message(absent[i]), 0);
        assert_int_equal(msi(address, 0x61), 0);
    }
}

static void museum_136_odd_ids_elsewhere_change_nothing(void **state)
{
    /* Jailhouse, Xen: the same in a VM in which another vCPU, in xAPIC mode, has written its ID register. */
    static const uint32_t absent[] = { 0x03000000, 0x01000000, 0x00000102, 0x00000101, 0x80000001, 3 };

    (void)state;
    fake_vm_prepare(&fake, VLAPIC_VENDOR_INTEL);
    fake.config.id_writable = true;
    museum_start(&fake, 4, NULL, false);
    for (unsigned i = 0; i < 3; i++)
        guest_enable_x2apic(at(i));
    guest_write(at(3), VLAPIC_REG_ID, 0x77000000);
    assert_int_equal(ipi(1, 0), 0x2);
    assert_int_equal(ipi(0x77, 0), 0x8);
    assert_int_equal(message(1), 0x2);
    for (unsigned i = 0; i < sizeof absent / sizeof absent[0]; i++) {
        assert_int_equal(ipi(absent[i], 0), 0);
        assert_int_equal(message(absent[i]), 0);
    }
}

static void museum_150_the_delivery_mode_decides_not_the_target(void **state)
{
    /* SVSM: an NMI to the sender's own ID took the short cut of a self-IPI and became vector 0. */
    (void)state;
    start(4, false);
    guest_icr(at(2), TO(2), 0x4402);
    assert_received(at(2), (struct reception){ .nmi = true }, "physical NMI to self");
    guest_write(at(2), VLAPIC_REG_LDR, 0x04000000);
    guest_icr(at(2), TO(4), 0x4C02);
    museum_only(at(2), VLAPIC_REG_IRR, -1, -1);
    assert_received(at(2), (struct reception){ .nmi = true }, "logical NMI to self");
    assert_int_equal(museum_takers(&fake, 0xF1), 0);
}

/* ---- MSI ---- */

static void museum_152_an_msi_is_decoded_by_hint_and_mode(void **state)
{
    /* Jailhouse, bhyve, KVM: redirection hint and destination mode were half decoded. */
    static const uint8_t ldr[] = { 0x01, 0x02 };

    (void)state;
    start(2, false);
    set_logical(ldr, 2, 0xFFFFFFFF);
    assert_int_equal(msi(0xFEE01000, 0x0061), 0x2);
    assert_int_equal(msi(0xFEE03004, 0x0061), 0x3);
    assert_int_equal(msi(0xFEE0300C, 0x0061), 0x2); /* one of them: vector modulo 2 */
    assert_int_equal(msi(0xFEE0300C, 0x0062), 0x1);
    assert_int_equal(msi(0xFEE01008, 0x0061), 0x2);
}

static void museum_152_an_msi_sets_the_trigger_mode(void **state)
{
    /* Jailhouse, bhyve, KVM: and the level bit of the data word. */
    uint32_t accepted = 1;

    (void)state;
    start(2, false);
    assert_int_equal(vlapic_vm_msi(fake.vm, 0xFEE01000, 0x8061, &accepted), VLAPIC_ACCESS_DONE);
    assert_int_equal(accepted, 0);
    museum_only(at(1), VLAPIC_REG_IRR, -1, -1);
    assert_int_equal(vlapic_vm_msi(fake.vm, 0xFEE01000, 0xC061, &accepted), VLAPIC_ACCESS_DONE);
    assert_int_equal(accepted, 1);
    museum_only(at(1), VLAPIC_REG_TMR, 0x61, -1);
    assert_received(at(1), (struct reception){ .vectors = 1, .vector = 0x61, .level = true }, "level MSI");
}

/* ---- many ---- */

/* A paravirtual IPI to a set as a hypercall has it, built of what the library offers: it looks each vCPU up by its
 * ID. */
static unsigned send_set(uint64_t first, uint64_t mask)
{
    unsigned recipients = 0;

    for (unsigned bit = 0; bit < 64; bit++) {
        uint64_t id = first + bit;
        struct vlapic_cpu *cpu = id <= UINT32_MAX ? vlapic_vm_find(fake.vm, (uint32_t)id) : NULL;

        if (((mask >> bit) & 1) != 0 && cpu != NULL)
            recipients += vlapic_cpu_post(cpu, 0x61, false);
    }
    return recipients;
}

static void museum_153_a_set_that_names_absent_vcpus(void **state)
{
    /* KVM (CVE-2018-19406), Xen (XSA-475): start plus bit was used as an index without a bound. */
    (void)state;
    fake_vm_prepare(&fake, VLAPIC_VENDOR_INTEL);
    fake_vm_start(&fake, 0, NULL);
    assert_int_equal(send_set(0, UINT64_MAX), 0); /* nobody is there yet */
    for (unsigned i = 0; i < 4; i++)
        museum_fresh(at(fake_vm_add_cpu(&fake, i)), true);
    assert_int_equal(send_set(0xFFFFFFFF, UINT64_MAX), 0);
    assert_int_equal(send_set(0xFFFFFFC0, UINT64_MAX), 0);
    assert_int_equal(museum_takers(&fake, 0x61), 0);
    assert_int_equal(send_set(3, UINT64_MAX), 1);
    assert_int_equal(museum_takers(&fake, 0x61), 0x8);
    assert_int_equal(send_set(63 * 64, UINT64_MAX), 0); /* sparse banks */
    assert_int_equal(send_set(0x7FFFFFFFull * 64, UINT64_MAX), 0);
    assert_int_equal(send_set(0, 0xA), 2);
    assert_int_equal(museum_takers(&fake, 0x61), 0xA);
    for (uint32_t id = 0xFFFFFFFE; id >= 0xFFFFFFC0; id--)
        assert_int_equal(message(id), 0);
}

/* How many of all vCPUs take the vector, and the APIC ID of the last that did. */
static unsigned count_takers(uint8_t vector, uint32_t *apic_id)
{
    unsigned count = 0;

    for (unsigned i = 0; i < fake.cpu_count; i++) {
        int taken = take_vector(at(i));

        if (taken >= 0) {
            assert_int_equal(taken, vector);
            guest_eoi(at(i));
            count++;
            *apic_id = vlapic_cpu_apic_id(at(i));
        }
        assert_int_equal(poll_vector(at(i)), -1);
    }
    fake_forget(&fake);
    return count;
}

static void museum_155_more_than_64_vcpus(void **state)
{
    /* HAXM, ACRN, bhyve: a set of targets was one 64-bit word, and a target above 63 was lost or taken for another. */
    static const uint32_t ids[] = { 63, 64, 65, 127, 128, 299 };
    uint32_t reached = 0;

    (void)state;
    fake_vm_prepare(&fake, VLAPIC_VENDOR_INTEL);
    fake.config.max_apic_id = 299;
    museum_start(&fake, 300, NULL, true);
    guest_icr(at(0), 0xFFFFFFFF, 0x40F1);
    assert_int_equal(count_takers(0xF1, &reached), 300);
    guest_icr(at(299), 0, 0xC40F1);
    assert_int_equal(count_takers(0xF1, &reached), 299);
    assert_int_equal(reached, 298);
    guest_icr(at(0), 0x00100010, 0x48F1);
    assert_int_equal(count_takers(0xF1, &reached), 1);
    assert_int_equal(reached, 0x104);
    for (unsigned i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        guest_icr(at(0), ids[i], 0x40F1);
        assert_int_equal(count_takers(0xF1, &reached), 1);
        assert_int_equal(reached, ids[i]);
    }
    guest_icr(at(0), 300, 0x40F1);
    assert_int_equal(count_takers(0xF1, &reached), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(museum_125_ff_is_a_broadcast_in_xapic_mode, stop),
        cmocka_unit_test_teardown(museum_126_ff_is_an_ordinary_id_in_x2apic_mode, stop),
        cmocka_unit_test_teardown(museum_126_an_msi_to_ff_is_a_broadcast_by_setting, stop),
        cmocka_unit_test_teardown(museum_128_flat_and_cluster_masks, stop),
        cmocka_unit_test_teardown(museum_128_ldrs_with_several_bits, stop),
        cmocka_unit_test_teardown(museum_129_any_32_bit_logical_destination_is_legal, stop),
        cmocka_unit_test_teardown(museum_130_an_ldr_of_zero_matches_the_broadcast_alone, stop),
        cmocka_unit_test_teardown(museum_132_lowest_priority_stays_in_the_addressed_set, stop),
        cmocka_unit_test_teardown(museum_132_a_priority_policy_is_the_hosts, stop),
        cmocka_unit_test_teardown(museum_132_a_lowest_priority_icr_write_is_by_setting, stop),
        cmocka_unit_test_teardown(museum_133_an_absent_destination_has_no_effect, stop),
        cmocka_unit_test_teardown(museum_133_an_init_never_sets_irr, stop),
        cmocka_unit_test_teardown(museum_134_a_shorthand_ignores_the_destination, stop),
        cmocka_unit_test_teardown(museum_136_the_xapic_destination_is_bits_31_to_24, stop),
        cmocka_unit_test_teardown(museum_136_the_x2apic_destination_is_32_bits, stop),
        cmocka_unit_test_teardown(museum_136_odd_ids_elsewhere_change_nothing, stop),
        cmocka_unit_test_teardown(museum_150_the_delivery_mode_decides_not_the_target, stop),
        cmocka_unit_test_teardown(museum_152_an_msi_is_decoded_by_hint_and_mode, stop),
        cmocka_unit_test_teardown(museum_152_an_msi_sets_the_trigger_mode, stop),
        cmocka_unit_test_teardown(museum_153_a_set_that_names_absent_vcpus, stop),
        cmocka_unit_test_teardown(museum_155_more_than_64_vcpus, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
