/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The museum, section C: state that hardware accelerates. What the core owes every backend is tested here; vmx has files
 * of its own. See museum.h.
 */
#include "museum_smp.h"

#define PAGE 4096u

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

/* ---- TPR by way of a control block ---- */

/* ---- waking ---- */

static bool every_thread_is_the_owner(void *cpu_cookie)
{
    (void)cpu_cookie;
    return true;
}

static void museum_096_who_posts_does_not_decide_about_the_kick(void **state)
{
    /* KVM: a post from the physical CPU that the vCPU had blocked on did not wake it. */
    struct vlapic_cpu *cpu;

    (void)state;
    fake_vm_prepare(&fake, VLAPIC_VENDOR_INTEL);
    fake.ops.on_cpu_thread = every_thread_is_the_owner;
    museum_start(&fake, 1, NULL, false);
    cpu = fake_cpu_at(&fake, 0);
    assert_true(vlapic_cpu_halt(cpu));
    assert_true(vlapic_cpu_post(cpu, 0x61, false));
    assert_int_equal(fake_count(&fake, FAKE_KICK), 1);
    vlapic_cpu_exit(cpu);
    assert_int_equal(take_vector(cpu), 0x61);
    guest_eoi(cpu);
    assert_true(vlapic_cpu_enter(cpu));
    fake_forget(&fake);
    assert_true(vlapic_cpu_post(cpu, 0x61, false));
    assert_int_equal(fake_count(&fake, FAKE_KICK), 1);
}

/* ---- state in a page ---- */

static void museum_108_taking_a_vector_moves_it_and_the_priorities(void **state)
{
    /* Xen, KVM: software took an interrupt without the state behind it, or one that TPR held back. */
    struct vlapic_cpu *cpu = start(1, false);
    uint8_t vector = 0;

    (void)state;
    assert_true(vlapic_cpu_post(cpu, 0x71, false) && vlapic_cpu_post(cpu, 0x61, false));
    assert_true(vlapic_cpu_acknowledge(cpu, &vector));
    assert_int_equal(vector, 0x71);
    museum_only(cpu, VLAPIC_REG_ISR, 0x71, -1);
    museum_only(cpu, VLAPIC_REG_IRR, 0x61, -1);
    assert_int_equal(guest_read(cpu, VLAPIC_REG_PPR), 0x70);
    assert_int_equal(poll_vector(cpu), -1);

    museum_fresh(cpu, false);
    assert_true(vlapic_cpu_post(cpu, 0x71, false) && vlapic_cpu_post(cpu, 0x61, false));
    guest_write(cpu, VLAPIC_REG_TPR, 0x80);
    assert_false(vlapic_cpu_accept(cpu, 0x71));
    assert_false(vlapic_cpu_acknowledge(cpu, &vector));
    assert_int_equal(vector, 0xFF); /* run.h: the spurious vector, SVR bits 7:0 */
    museum_only(cpu, VLAPIC_REG_ISR, -1, -1);
    museum_only(cpu, VLAPIC_REG_IRR, 0x71, 0x61);
}

/* ---- the register page ---- */

/* The first page of a vCPU, where fake_host.c puts it. */
static const uint32_t *page_of(unsigned index)
{
    struct vlapic_layout layout;

    assert_int_equal(vlapic_cpu_layout(&fake.config, &layout), VLAPIC_OK);
    assert_int_equal(layout.pages, 1);
    return (const uint32_t *)(const void *)((const char *)fake.cpus[index].memory +
                                            (layout.bytes + PAGE - 1) / PAGE * PAGE);
}

static bool is_checked(uint32_t offset, bool x2apic)
{
    if ((offset >= VLAPIC_REG_ISR && offset <= VLAPIC_REG_ESR) ||
        (offset >= VLAPIC_REG_LVT_TIMER && offset <= VLAPIC_REG_INITIAL_COUNT))
        return true;
    switch (offset) {
    case VLAPIC_REG_ID:
    case VLAPIC_REG_VERSION:
    case VLAPIC_REG_TPR:
    case VLAPIC_REG_PPR:
    case VLAPIC_REG_LDR:
    case VLAPIC_REG_SVR:
    case VLAPIC_REG_ICR_LOW:
    case VLAPIC_REG_DIVIDE_CONFIG:
        return true;
    case VLAPIC_REG_DFR:
    case VLAPIC_REG_ICR_HIGH:
        return !x2apic;
    default:
        return false;
    }
}

/* What a guest would read without an exit is what it reads with one, and the rest of each slot is empty. */
static void assert_page_is_the_view(struct vlapic_cpu *cpu, const uint32_t *page)
{
    bool x2apic = (vlapic_cpu_apic_base(cpu) & VLAPIC_BASE_EXTD) != 0;

    (void)poll_vector(cpu);
    for (uint32_t offset = 0; offset < 0x400; offset += 16) {
        if (is_checked(offset, x2apic) && page[offset / 4] != guest_get(cpu, offset))
            fail_msg("page %03x holds %#x", offset, page[offset / 4]);
        for (uint32_t i = 1; i < 4; i++)
            assert_int_equal(page[offset / 4 + i], 0);
    }
}

static void write_and_check(struct vlapic_cpu *cpu, const uint32_t *page, uint32_t offset, uint32_t value,
                            uint32_t kept)
{
    guest_set(cpu, offset, value);
    assert_int_equal(page[offset / 4], kept);
    assert_page_is_the_view(cpu, page);
}

static void write_registers(struct vlapic_cpu *cpu, const uint32_t *page, bool x2apic)
{
    write_and_check(cpu, page, VLAPIC_REG_TPR, x2apic ? 0x4B : 0xFFFFFF4B, 0x4B);
    write_and_check(cpu, page, VLAPIC_REG_LVT_LINT0, 0x0001F741, 0x0001A741);
    write_and_check(cpu, page, VLAPIC_REG_LVT_TIMER, 0x000200EC, 0x000200EC);
    write_and_check(cpu, page, VLAPIC_REG_DIVIDE_CONFIG, 0xB, 0xB);
    write_and_check(cpu, page, VLAPIC_REG_INITIAL_COUNT, 0x12345, 0x12345);
    if (!x2apic) {
        write_and_check(cpu, page, VLAPIC_REG_LDR, 0x5AFFFFFF, 0x5A000000);
        write_and_check(cpu, page, VLAPIC_REG_DFR, 0x00000000, 0x0FFFFFFF);
        write_and_check(cpu, page, VLAPIC_REG_ICR_HIGH, 0xEEFFFFFF, 0xEE000000);
    }
}

static void assert_identity(const uint32_t *page, uint32_t id, uint32_t ldr)
{
    assert_int_equal(page[VLAPIC_REG_ID / 4], id);
    assert_int_equal(page[VLAPIC_REG_VERSION / 4], 0x00050014);
    assert_int_equal(page[VLAPIC_REG_LDR / 4], ldr);
}

static void assert_reset_values(struct vlapic_cpu *cpu, const uint32_t *page)
{
    assert_page_is_the_view(cpu, page);
    assert_int_equal(page[VLAPIC_REG_TPR / 4], 0);
    assert_int_equal(page[VLAPIC_REG_PPR / 4], 0);
    assert_int_equal(page[VLAPIC_REG_SVR / 4], 0xFF);
    assert_int_equal(page[VLAPIC_REG_LVT_LINT0 / 4], 0x10000);
    assert_int_equal(page[VLAPIC_REG_INITIAL_COUNT / 4], 0);
    for (uint32_t offset = VLAPIC_REG_ISR; offset <= VLAPIC_REG_ESR; offset += 16)
        assert_int_equal(page[offset / 4], 0);
}

/* A vector that is pending, one in service, and an error that ESR shows. */
static void receive_and_check(struct vlapic_cpu *cpu, const uint32_t *page)
{
    guest_set(cpu, VLAPIC_REG_TPR, 0);
    museum_in_service(cpu, 0x91, true);
    assert_true(vlapic_cpu_post(cpu, 0x51, false));
    assert_page_is_the_view(cpu, page);
    assert_false(vlapic_cpu_post(cpu, 3, false));
    write_and_check(cpu, page, VLAPIC_REG_ESR, 0, 0x40);
    assert_int_equal(page[VLAPIC_REG_ISR / 4 + 16], 0x00020000);
    assert_int_equal(page[VLAPIC_REG_TMR / 4 + 16], 0x00020000);
    assert_int_equal(page[VLAPIC_REG_IRR / 4 + 8], 0x00020000);
    assert_int_equal(page[VLAPIC_REG_PPR / 4], 0x90);
}

/* Writes, messages, save, INIT, restore, x2APIC mode and RESET of vCPU 0, whose ID is 12h. */
static void live_in_a_page(bool x2apic)
{
    struct vlapic_cpu *cpu = fake_cpu_at(&fake, 0);
    const uint32_t *page = page_of(0);
    struct museum_blob blob;

    assert_page_is_the_view(cpu, page);
    assert_identity(page, x2apic ? 0x12 : 0x12000000, x2apic ? 0x00010004 : 0);
    write_registers(cpu, page, x2apic);
    receive_and_check(cpu, page);
    museum_save(cpu, &blob);
    museum_ipi(fake_cpu_at(&fake, 1), 0x12, INIT);
    museum_take_init(cpu);
    assert_reset_values(cpu, page);
    assert_identity(page, x2apic ? 0x12 : 0x12000000, x2apic ? 0x00010004 : 0);
    museum_restore(cpu, &blob, VLAPIC_TIME_STOPPED);
    assert_page_is_the_view(cpu, page);
    assert_identity(page, x2apic ? 0x12 : 0x12000000, x2apic ? 0x00010004 : 0x5A000000);
    assert_int_equal(page[VLAPIC_REG_ISR / 4 + 16], 0x00020000);
    assert_int_equal(page[VLAPIC_REG_LVT_LINT0 / 4], 0x0001A741);
    if (!x2apic) {
        guest_enable_x2apic(cpu);
        assert_page_is_the_view(cpu, page);
        assert_identity(page, 0x12, 0x00010004);
    }
    vlapic_cpu_reset(cpu);
    assert_reset_values(cpu, page);
    assert_identity(page, 0x12000000, 0);
}

static void museum_113_the_register_page_is_what_the_guest_reads(void **state)
{
    /* bhyve: the page was brought up to date late, and a guest read a wrong ID or LDR from it without an exit. */
    struct vlapic_backend paged = vlapic_backend_soft;
    const uint32_t ids[] = { 0x12, 0x13 };

    (void)state;
    paged.cpu_pages = 1;
    for (int x2apic = 0; x2apic < 2; x2apic++) {
        fake_vm_prepare(&fake, VLAPIC_VENDOR_INTEL);
        fake.config.backend = &paged;
        museum_start(&fake, 2, ids, x2apic);
        live_in_a_page(x2apic);
        fake_vm_stop(&fake);
    }
}

/* ---- AVIC ---- */

/* The host hears of the EOI of an edge vector: once, with its vCPU and vector, and without a broadcast. */
static void eoi_of_an_edge_vector_is_told(uint8_t vector)
{
    struct vlapic_cpu *cpu = start(2, false);

    museum_in_service(cpu, vector, false);
    fake_forget(&fake);
    guest_eoi(cpu);
    assert_int_equal(fake_count(&fake, FAKE_EOI_NOTIFY), 1);
    assert_int_equal(fake_last(&fake, FAKE_EOI_NOTIFY)->cpu, 0);
    assert_int_equal(fake_last(&fake, FAKE_EOI_NOTIFY)->a, vector);
    assert_false(fake_last(&fake, FAKE_EOI_NOTIFY)->b);
    assert_int_equal(fake_count(&fake, FAKE_EOI_BROADCAST), 0);
    museum_only(cpu, VLAPIC_REG_TMR, -1, -1);
}

static void museum_121_a_host_hears_of_an_edge_eoi(void **state)
{
    /* KVM: timers that count the EOIs of an edge interrupt stalled. */
    (void)state;
    eoi_of_an_edge_vector_is_told(0x30);
}

static void museum_122_a_tracked_edge_vector_is_counted_once(void **state)
{
    /* Xen: a periodic tick was counted twice, and the clock ran fast. */
    (void)state;
    eoi_of_an_edge_vector_is_told(0xD1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(museum_096_who_posts_does_not_decide_about_the_kick, stop),
        cmocka_unit_test_teardown(museum_108_taking_a_vector_moves_it_and_the_priorities, stop),
        cmocka_unit_test_teardown(museum_113_the_register_page_is_what_the_guest_reads, stop),
        cmocka_unit_test_teardown(museum_121_a_host_hears_of_an_edge_eoi, stop),
        cmocka_unit_test_teardown(museum_122_a_tracked_edge_vector_is_counted_once, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
