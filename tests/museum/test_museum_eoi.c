/* SPDX-License-Identifier: BSD-2-Clause */
/* The museum, section E: EOI, ExtINT, NMI, paravirtual EOI. See museum.h. */
#include "museum.h"
#include "reception.h"

#include <pthread.h>
#include <sched.h>

#define LINT0_EXTINT 0x00700u
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct fake_vm fake, other;

static int stop(void **state)
{
    (void)state;
    museum_stop(&fake);
    museum_stop(&other);
    return 0;
}

/* vCPU 0 xAPIC-on. */
static struct vlapic_cpu *start(enum vlapic_vendor vendor)
{
    museum_on(&fake, vendor, 1, false);
    return fake_cpu_at(&fake, 0);
}

static struct vlapic_poll poll(struct vlapic_cpu *cpu)
{
    struct vlapic_poll duty;

    memset(&duty, 0x5A, sizeof duty);
    vlapic_cpu_poll(cpu, &duty);
    return duty;
}

/* ---- EOI ---- */

static void museum_157_an_eoi_with_nothing_in_service_is_a_no_op(void **state)
{
    /* KVM, Bochs: an EOI was taken to belong to some ISR bit, so a superfluous one went below zero or was broadcast. */
    struct vlapic_cpu *cpu = start(VLAPIC_VENDOR_INTEL);

    (void)state;
    assert_true(vlapic_cpu_post(cpu, 0x31, true));
    assert_int_equal(poll_vector(cpu), 0x31);
    fake_forget(&fake);
    for (int i = 0; i < 3; i++)
        guest_write(cpu, VLAPIC_REG_EOI, 0);
    assert_int_equal(fake.call_count, 0);
    museum_only(cpu, VLAPIC_REG_IRR, 0x31, -1);
    museum_only(cpu, VLAPIC_REG_TMR, 0x31, -1);
    assert_int_equal(museum_stats(cpu).empty_eois, 3);
    museum_in_service(cpu, 0x61, true);
    guest_eoi(cpu);
    museum_only(cpu, VLAPIC_REG_ISR, -1, -1);
    assert_int_equal(fake_count(&fake, FAKE_EOI_BROADCAST), 1);
    assert_int_equal(fake_last(&fake, FAKE_EOI_BROADCAST)->a, 0x61);
    assert_int_equal(museum_stats(cpu).eois, 1);
}

static void museum_158_restored_isr_bits_end_by_priority(void **state)
{
    /* illumos, ACRN, bhyve: a private stack of vectors in service was believed more than the ISR. */
    struct vlapic_cpu *cpu = start(VLAPIC_VENDOR_INTEL);
    struct vlapic_cpu_state restored;

    (void)state;
    state_read(cpu, &restored);
    restored.isr[0] = 1u << 0x1F;
    restored.isr[2] = 1u << 1; /* 41h */
    restored.isr[3] = 1u << 1; /* 61h */
    assert_int_equal(vlapic_cpu_set_state(cpu, &restored, VLAPIC_TIME_STOPPED, NULL), VLAPIC_OK);
    assert_true(guest_bit(cpu, VLAPIC_REG_ISR, 0x61));
    fake_forget(&fake);
    guest_eoi(cpu);
    museum_only(cpu, VLAPIC_REG_ISR, 0x1F, 0x41);
    guest_eoi(cpu);
    museum_only(cpu, VLAPIC_REG_ISR, 0x1F, -1);
    guest_eoi(cpu);
    museum_only(cpu, VLAPIC_REG_ISR, -1, -1);
    assert_int_equal(fake_count(&fake, FAKE_EOI_NOTIFY), 3);
    guest_eoi(cpu);
    assert_int_equal(fake_count(&fake, FAKE_EOI_NOTIFY), 3);
}

static void museum_158_fifteen_classes_nest(void **state)
{
    /* illumos, ACRN, bhyve: deep nesting, and vectors 16 to 31, tripped an assertion. */
    struct vlapic_cpu *cpu = start(VLAPIC_VENDOR_INTEL);

    (void)state;
    for (unsigned v = 0x1F; v <= 0xFF; v += 0x10)
        museum_in_service(cpu, (uint8_t)v, false);
    for (unsigned v = 0xFF; v >= 0x1F; v -= 0x10) {
        assert_int_equal(guest_read(cpu, VLAPIC_REG_PPR), v & 0xF0);
        guest_eoi(cpu);
        assert_int_equal(fake_last(&fake, FAKE_EOI_NOTIFY)->a, v);
    }
    museum_only(cpu, VLAPIC_REG_ISR, -1, -1);
    assert_int_equal(guest_read(cpu, VLAPIC_REG_PPR), 0);
}

static void museum_161_an_x2apic_eoi_takes_zero_only(void **state)
{
    /* coconut-svsm, Xen: the value was ignored in x2APIC mode as well. */
    struct vlapic_cpu *cpu;

    (void)state;
    museum_on(&fake, VLAPIC_VENDOR_INTEL, 1, true);
    cpu = fake_cpu_at(&fake, 0);
    museum_in_service(cpu, 0x61, false);
    guest_wrmsr_faults(cpu, 0x80B, 1);
    museum_only(cpu, VLAPIC_REG_ISR, 0x61, -1);
    guest_wrmsr(cpu, 0x80B, 0);
    museum_only(cpu, VLAPIC_REG_ISR, -1, -1);
}

static void museum_161_an_xapic_eoi_takes_any_value(void **state)
{
    /* coconut-svsm, Xen: the other half of the rule, the memory window has no reserved bits here. */
    struct vlapic_cpu *cpu = start(VLAPIC_VENDOR_INTEL);

    (void)state;
    museum_in_service(cpu, 0x61, false);
    guest_write(cpu, VLAPIC_REG_EOI, 0xFFFFFFFF);
    museum_only(cpu, VLAPIC_REG_ISR, -1, -1);
}

static unsigned depth, deepest, reraised;
static bool reraise_as_level;

static void reraise(struct fake_vm *f, uint8_t vector)
{
    depth++;
    deepest = depth > deepest ? depth : deepest;
    reraised++;
    assert_true(vlapic_cpu_post(fake_cpu_at(f, 0), vector, reraise_as_level));
    depth--;
}

static struct vlapic_cpu *start_reraising(bool as_level)
{
    struct vlapic_cpu *cpu = start(VLAPIC_VENDOR_INTEL);

    depth = deepest = reraised = 0;
    reraise_as_level = as_level;
    fake.on_eoi_broadcast = reraise;
    museum_in_service(cpu, 0x61, true);
    return cpu;
}

static void museum_162_an_eoi_callback_may_send_the_vector_again(void **state)
{
    /* KVM: the I/O APIC's synchronous re-raise of a line that was still high recursed until the stack was gone. */
    struct vlapic_cpu *cpu = start_reraising(true);

    (void)state;
    for (unsigned round = 1; round <= 100; round++) {
        guest_eoi(cpu);
        assert_int_equal(reraised, round);
        assert_int_equal(deepest, 1);
        museum_only(cpu, VLAPIC_REG_IRR, 0x61, -1);
        museum_only(cpu, VLAPIC_REG_ISR, -1, -1);
        assert_int_equal(take_vector(cpu), 0x61);
    }
}

static void museum_162_an_eoi_callback_may_make_the_route_edge(void **state)
{
    /* KVM: the same with a guest that reprograms the route from level to edge meanwhile. */
    struct vlapic_cpu *cpu = start_reraising(false);

    (void)state;
    guest_eoi(cpu);
    museum_only(cpu, VLAPIC_REG_IRR, 0x61, -1);
    museum_only(cpu, VLAPIC_REG_TMR, -1, -1);
    assert_int_equal(take_vector(cpu), 0x61);
    guest_eoi(cpu);
    assert_int_equal(reraised, 1);
    assert_int_equal(deepest, 1);
    assert_int_equal(poll_vector(cpu), -1);
}

#define THROTTLE 10000u

static void reraise_until_throttled(struct fake_vm *f, uint8_t vector)
{
    if (++reraised < THROTTLE)
        assert_true(vlapic_cpu_post(fake_cpu_at(f, 0), vector, true));
}

static void museum_163_a_late_reraise_is_an_ordinary_interrupt(void **state)
{
    /* KVM, QEMU: a line raised again at each EOI kept the guest in one handler; a host may throttle that. */
    struct vlapic_cpu *cpu = start(VLAPIC_VENDOR_INTEL);

    (void)state;
    reraised = 0;
    fake.on_eoi_broadcast = reraise_until_throttled;
    assert_true(vlapic_cpu_post(cpu, 0x61, true));
    for (unsigned i = 0; i < THROTTLE; i++) {
        assert_int_equal(take_vector(cpu), 0x61);
        guest_eoi(cpu);
        fake_forget(&fake);
    }
    /* What a host counts by: its own callback, and the library's counter. */
    assert_int_equal(reraised, THROTTLE);
    assert_int_equal(museum_stats(cpu).eois, THROTTLE);
    assert_int_equal(poll_vector(cpu), -1);
    assert_true(vlapic_cpu_enter(cpu));
    vlapic_cpu_exit(cpu);
    museum_in_service(cpu, 0x51, false); /* the guest gets on */
    guest_eoi(cpu);
    assert_int_equal(poll_vector(cpu), -1);
    fake_advance_ns(&fake, 1000000);
    assert_int_equal(poll_vector(cpu), -1);
    assert_true(vlapic_cpu_post(cpu, 0x61, true));
    assert_int_equal(take_vector(cpu), 0x61);
    assert_true(guest_bit(cpu, VLAPIC_REG_TMR, 0x61));
}

/* Our callback returns nothing: a host whose forwarding fails can but do nothing, or not have the callback at all. */
static void eoi_goes_nowhere(bool has_callback)
{
    struct vlapic_cpu *cpu;

    fake_vm_prepare(&fake, VLAPIC_VENDOR_INTEL);
    if (!has_callback)
        fake.ops.eoi_broadcast = NULL;
    fake_vm_start(&fake, 1, NULL);
    cpu = fake_cpu_at(&fake, 0);
    guest_software_enable(cpu);
    museum_in_service(cpu, 0x61, true);
    assert_true(vlapic_cpu_post(cpu, 0x51, true));
    assert_int_equal(poll_vector(cpu), -1);
    fake_forget(&fake);
    guest_eoi(cpu);
    assert_int_equal(fake_count(&fake, FAKE_EOI_BROADCAST), has_callback);
    assert_int_equal(fake_count(&fake, FAKE_EOI_NOTIFY), 1);
    museum_only(cpu, VLAPIC_REG_ISR, -1, -1);
    assert_int_equal(guest_read(cpu, VLAPIC_REG_PPR), 0);
    assert_int_equal(take_vector(cpu), 0x51);
    fake_vm_stop(&fake);
}

static void museum_165_an_eoi_that_the_host_cannot_forward_ends_all_the_same(void **state)
{
    /* coconut-svsm: a status of the host's EOI service was unwrapped, and the monitor panicked. */
    (void)state;
    eoi_goes_nowhere(true);
    eoi_goes_nowhere(false);
}

/* ---- paravirtual doors ---- */

static void museum_166_paravirtual_eoi_is_offered_when_it_is_safe(void **state)
{
    /* KVM: the hint is safe for one edge vector in service with nothing behind it, and was offered in other cases. */
    (void)state;
    MUSEUM_SKIP("not applicable because paravirtual EOI is not modelled (docs/CAPABILITIES.md)");
}

static void museum_167_a_guest_may_ignore_the_eoi_hint(void **state)
{
    /* Xen: a guest that did an ordinary EOI in spite of the hint was killed. */
    (void)state;
    MUSEUM_SKIP("not applicable because paravirtual EOI is not modelled (docs/CAPABILITIES.md)");
}

static void museum_169_a_snapshot_has_the_eoi_hint(void **state)
{
    /* Xen: the hint was not saved, and the vector stayed in service for ever. */
    (void)state;
    MUSEUM_SKIP("not applicable because paravirtual EOI is not modelled (docs/CAPABILITIES.md)");
}

/*
 * The library has no auto-EOI attribute. Its attribute of a request is the trigger mode, which travels beside the
 * vector in the same way and would show the same race: a batch posts each vector once, with a trigger mode of its own,
 * while the owner collects.
 */
#define FIRST 0x20u
#define BATCH (256u - FIRST)
#define BATCHES (1000000u / BATCH + 1)

static struct {
    struct vlapic_cpu *cpu;
    bool level[256]; /* of the present batch; written before `begun` says so */
    uint32_t begun;  /* batches that the poster has begun, finished; that the owner has taken */
    uint32_t posted;
    uint32_t served;
    uint32_t refused;
} race;

static void *post_batches(void *unused)
{
    uint64_t random = 0x9E3779B97F4A7C15;

    (void)unused;
    for (uint32_t batch = 1; batch <= BATCHES; batch++) {
        for (uint32_t v = FIRST; v < 256; v++)
            race.level[v] = (next_random(&random) & 1) != 0;
        __atomic_store_n(&race.begun, batch, __ATOMIC_RELEASE);
        for (uint32_t v = FIRST; v < 256; v++)
            race.refused += !vlapic_cpu_post(race.cpu, (uint8_t)v, race.level[v]);
        __atomic_store_n(&race.posted, batch, __ATOMIC_RELEASE);
        while (__atomic_load_n(&race.served, __ATOMIC_ACQUIRE) != batch)
            sched_yield();
    }
    return NULL;
}

/* Takes what the batch brings, beside the poster; returns how many came with the trigger mode that they had. */
static unsigned serve_batch(uint32_t batch)
{
    unsigned good = 0;

    for (;;) {
        bool all_posted = __atomic_load_n(&race.posted, __ATOMIC_ACQUIRE) == batch;
        int vector = take_vector(race.cpu);

        if (vector >= 0) {
            guest_eoi(race.cpu);
            good += (fake_last(&fake, FAKE_EOI_NOTIFY)->b != 0) == race.level[vector];
        } else if (all_posted) {
            return good;
        } else {
            sched_yield();
        }
    }
}

static void museum_170_a_vector_and_its_attribute_arrive_together(void **state)
{
    /* VirtualBox: the request and its auto-EOI attribute were in two bitmaps, and one was seen without the other. */
    pthread_t poster;
    unsigned good = 0;

    (void)state;
    memset(&race, 0, sizeof race);
    race.cpu = start(VLAPIC_VENDOR_INTEL);
    assert_int_equal(pthread_create(&poster, NULL, post_batches, NULL), 0);
    for (uint32_t batch = 1; batch <= BATCHES; batch++) {
        while (__atomic_load_n(&race.begun, __ATOMIC_ACQUIRE) != batch)
            sched_yield();
        good += serve_batch(batch);
        fake_forget(&fake);
        __atomic_store_n(&race.served, batch, __ATOMIC_RELEASE);
    }
    assert_int_equal(pthread_join(poster, NULL), 0);
    assert_int_equal(race.refused, 0);
    assert_int_equal(good, BATCHES * BATCH);
    assert_int_equal(museum_stats(race.cpu).eois, BATCHES * BATCH);
}

static enum vlapic_status create_with_page(const struct vlapic_page *page)
{
    static uint8_t memory[8192] __attribute__((aligned(4096)));
    struct vlapic_cpu_config config = { .size = sizeof config, .apic_id = 1, .pages = page };
    struct vlapic_layout layout;
    struct vlapic_cpu *cpu;
    enum vlapic_status status;

    assert_int_equal(vlapic_cpu_layout(&fake.config, &layout), VLAPIC_OK);
    assert_int_equal(layout.pages, 1);
    assert_true(layout.bytes <= sizeof memory);
    status = vlapic_cpu_create(memory, sizeof memory, fake.vm, &config, &cpu);
    if (status == VLAPIC_OK)
        vlapic_cpu_destroy(cpu);
    return status;
}

static void museum_171_a_shared_page_is_aligned_or_refused(void **state)
{
    /* KVM: a misaligned word shared with the guest crossed a page. Ours to check are the backend's 4-KiB pages. */
    static uint8_t page[4096] __attribute__((aligned(4096)));
    static const uint64_t misaligned[] = { 0x1FFD, 0x1FFE, 0x1FFF, 0x1002, 0x1FFC };
    static struct vlapic_backend backend;

    (void)state;
    backend = vlapic_backend_soft;
    backend.cpu_pages = 1;
    fake_vm_prepare(&fake, VLAPIC_VENDOR_INTEL);
    fake.config.backend = &backend;
    fake_vm_start(&fake, 1, NULL);
    for (size_t i = 0; i < COUNT(misaligned); i++) {
        assert_int_equal(create_with_page(&(struct vlapic_page){ page, misaligned[i] }), VLAPIC_MISALIGNED);
        assert_int_equal(create_with_page(&(struct vlapic_page){ page + (misaligned[i] & 0xFFF), 0x2000 }),
                         VLAPIC_MISALIGNED);
    }
    assert_int_equal(create_with_page(&(struct vlapic_page){ NULL, 0x2000 }), VLAPIC_INVALID);
    assert_int_equal(create_with_page(NULL), VLAPIC_INVALID);
    assert_int_equal(create_with_page(&(struct vlapic_page){ page, 0x2000 }), VLAPIC_OK);
}

/* One scenario through either door: TPR, IPI to vCPU 1, interrupt, EOI. */
static void play(struct fake_vm *f, bool x2apic)
{
    struct vlapic_cpu *cpu;

    museum_on(f, VLAPIC_VENDOR_INTEL, 2, x2apic);
    cpu = fake_cpu_at(f, 0);
    guest_set(cpu, VLAPIC_REG_TPR, 0x55);
    assert_true(vlapic_cpu_enter(fake_cpu_at(f, 1)));
    museum_ipi(cpu, 1, 0x000050F1); /* with the delivery status bit, which is read-only */
    museum_in_service(cpu, 0x61, true);
    guest_eoi(cpu);
    vlapic_cpu_exit(fake_cpu_at(f, 1));
}

static void museum_172_every_door_has_the_semantics_of_the_register(void **state)
{
    /* Xen: the paravirtual registers had a deviating copy of the register code. Our doors: window, MSRs, CR8. */
    struct vlapic_cpu_state xapic, x2apic;

    (void)state;
    play(&fake, false);
    play(&other, true);
    state_read(fake_cpu_at(&fake, 0), &xapic);
    state_read(fake_cpu_at(&other, 0), &x2apic);
    assert_int_equal(xapic.icr, 0x01000000000040F1);
    assert_int_equal(x2apic.icr, 0x00000001000040F1);
    assert_int_equal(guest_rdmsr(fake_cpu_at(&other, 0), 0x830), 0x00000001000040F1);
    x2apic.icr = xapic.icr;
    x2apic.apic_base = xapic.apic_base;
    assert_same_state(&xapic, &x2apic);
    assert_int_equal(xapic.tpr, 0x55);
    assert_int_equal(fake.call_count, 3); /* kick, EOI told, EOI broadcast */
    assert_int_equal(other.call_count, fake.call_count);
    for (unsigned i = 0; i < fake.call_count; i++)
        assert_memory_equal(&fake.calls[i], &other.calls[i], sizeof fake.calls[i]);
    assert_int_equal(poll_vector(fake_cpu_at(&fake, 1)), 0xF1);
    assert_int_equal(poll_vector(fake_cpu_at(&other, 1)), 0xF1);

    assert_int_equal(vlapic_cpu_cr8_write(fake_cpu_at(&fake, 0), 5), VLAPIC_ACCESS_DONE);
    guest_set(fake_cpu_at(&other, 0), VLAPIC_REG_TPR, 0x50);
    assert_int_equal(guest_get(fake_cpu_at(&fake, 0), VLAPIC_REG_TPR), 0x50);
    assert_int_equal(guest_get(fake_cpu_at(&fake, 0), VLAPIC_REG_PPR), 0x50);
    assert_int_equal(guest_get(fake_cpu_at(&other, 0), VLAPIC_REG_PPR), 0x50);
    assert_int_equal(vlapic_cpu_cr8_read(fake_cpu_at(&other, 0)), 5);
}

static void museum_173_reset_drops_the_reporting_of_tpr(void **state)
{
    /* QEMU: TPR patching of the former guest lived on over a reset. */
    (void)state;
    MUSEUM_SKIP("not applicable because no TPR access is ever reported and no TPR page is registered");
}

static void museum_173_what_is_read_out_is_all_defined(void **state)
{
    /* QEMU: the buffer of a state that was read out carried bytes of the stack. */
    struct vlapic_cpu_state a5, other_fill;
    struct vlapic_cpu_stats stats_a5, stats_other;
    uint8_t bytes[VLAPIC_SNAPSHOT_MAX];
    struct vlapic_cpu *cpu;
    size_t length, i;

    (void)state;
    fake_vm_prepare(&fake, VLAPIC_VENDOR_INTEL);
    fake_vm_start(&fake, 1, NULL);
    busy_state(&fake);
    cpu = fake_cpu_at(&fake, 0);
    memset(&a5, 0xA5, sizeof a5);
    memset(&other_fill, 0x5A, sizeof other_fill);
    assert_int_equal(vlapic_cpu_get_state(cpu, &a5, sizeof a5), VLAPIC_OK);
    assert_int_equal(vlapic_cpu_get_state(cpu, &other_fill, sizeof other_fill), VLAPIC_OK);
    assert_memory_equal(&a5, &other_fill, sizeof a5);
    memset(&stats_a5, 0xA5, sizeof stats_a5);
    memset(&stats_other, 0x5A, sizeof stats_other);
    assert_int_equal(vlapic_cpu_get_stats(cpu, &stats_a5, sizeof stats_a5), VLAPIC_OK);
    assert_int_equal(vlapic_cpu_get_stats(cpu, &stats_other, sizeof stats_other), VLAPIC_OK);
    assert_memory_equal(&stats_a5, &stats_other, sizeof stats_a5);
    memset(bytes, 0xA5, sizeof bytes);
    assert_int_equal(vlapic_snapshot_export_cpu(cpu, bytes, sizeof bytes, &length), VLAPIC_OK);
    for (i = 0; i < length; i++)
        assert_int_not_equal(bytes[i], 0xA5); /* no value of busy_state() has this byte */
    for (; i < sizeof bytes; i++)
        assert_int_equal(bytes[i], 0xA5);
}

/* ---- ExtINT ---- */

static void museum_174_asking_has_no_side_effects_on_either_source(void **state)
{
    /* bhyve: the query consumed the PIC's request, and the vector was put down to the wrong controller. */
    struct vlapic_cpu *cpu = start(VLAPIC_VENDOR_INTEL);
    struct vlapic_cpu_state before, after;

    (void)state;
    guest_write(cpu, VLAPIC_REG_LVT_LINT0, LINT0_EXTINT);
    vlapic_cpu_lint(cpu, 0, true); /* the PIC has 08h pending */
    assert_true(vlapic_cpu_post(cpu, 0x61, false));
    state_read(cpu, &before);
    for (int i = 0; i < 5; i++) {
        struct vlapic_poll duty = poll(cpu);

        assert_true(duty.extint);
        assert_int_equal(duty.vector, 0x61);
    }
    state_read(cpu, &after);
    assert_same_state(&before, &after);
}

static void museum_174_exactly_the_chosen_source_is_acknowledged(void **state)
{
    /* bhyve: with both sources pending, one was injected and the other acknowledged. */
    struct vlapic_cpu *cpu = start(VLAPIC_VENDOR_INTEL);
    struct vlapic_poll duty;

    (void)state;
    guest_write(cpu, VLAPIC_REG_LVT_LINT0, LINT0_EXTINT);
    vlapic_cpu_lint(cpu, 0, true);
    assert_true(vlapic_cpu_post(cpu, 0x61, false));
    /* The PIC is chosen: its INTA is the host's doing and lowers INTR; the APIC's request stays. */
    assert_true(poll(cpu).extint);
    vlapic_cpu_lint(cpu, 0, false);
    duty = poll(cpu);
    assert_false(duty.extint);
    assert_int_equal(duty.vector, 0x61);
    museum_only(cpu, VLAPIC_REG_IRR, 0x61, -1);
    museum_only(cpu, VLAPIC_REG_ISR, -1, -1);
    /* The APIC is chosen: INTR stays as it is. */
    vlapic_cpu_lint(cpu, 0, true);
    assert_int_equal(take_vector(cpu), 0x61);
    duty = poll(cpu);
    assert_true(duty.extint);
    assert_int_equal(duty.vector, -1);
}

static bool extint_with_lint0(struct vlapic_cpu *cpu, uint32_t lvt)
{
    guest_write(cpu, VLAPIC_REG_LVT_LINT0, lvt);
    return poll(cpu).extint;
}

static void museum_175_a_pic_interrupt_is_accepted_by_lint0(void **state)
{
    /* KVM, Xen: the state of LINT0 was not looked at, so PIC interrupts vanished or leaked in. */
    struct vlapic_cpu *cpu = start(VLAPIC_VENDOR_INTEL);

    (void)state;
    vlapic_cpu_lint(cpu, 0, true);
    assert_true(extint_with_lint0(cpu, 0x00700));
    assert_false(extint_with_lint0(cpu, 0x10700));
    assert_false(extint_with_lint0(cpu, 0x00031));
    assert_int_equal(poll_vector(cpu), -1); /* no edge since the entry was written */
    vlapic_cpu_lint(cpu, 0, false);
    vlapic_cpu_lint(cpu, 0, true);
    assert_false(poll(cpu).extint);
    assert_int_equal(take_vector(cpu), 0x31);
    guest_eoi(cpu);

    assert_true(extint_with_lint0(cpu, 0x00700));
    guest_write(cpu, VLAPIC_REG_SVR, 0xFF); /* masks it */
    assert_false(poll(cpu).extint);
    assert_int_equal(guest_read(cpu, VLAPIC_REG_LVT_LINT0), 0x10700);
    guest_disable_apic(cpu);
    assert_true(poll(cpu).extint);
    vlapic_cpu_lint(cpu, 0, false);
    assert_false(poll(cpu).extint);
}

static void museum_175_any_vcpu_may_take_the_pic(void **state)
{
    /* KVM, Xen: only the vCPU that the host wires the PIC to, and whichever that is. */
    struct vlapic_cpu *ap;

    (void)state;
    museum_on(&fake, VLAPIC_VENDOR_INTEL, 2, false);
    ap = fake_cpu_at(&fake, 1);
    vlapic_cpu_lint(ap, 0, true);
    assert_true(extint_with_lint0(ap, 0x00700));
    assert_false(extint_with_lint0(fake_cpu_at(&fake, 0), 0x00700)); /* not wired to this one */
}

/* ---- NMI ---- */

static bool pmi(struct vlapic_cpu *cpu)
{
    vlapic_cpu_lvt_event(cpu, VLAPIC_LVT_PERF);
    return poll(cpu).nmi;
}

static void museum_177_intel_masks_lvtpc_with_the_pmi(void **state)
{
    /* KVM: without the mask that hardware sets, a counter that keeps overflowing floods the guest with NMIs. */
    struct vlapic_cpu *cpu = start(VLAPIC_VENDOR_INTEL);

    (void)state;
    guest_write(cpu, 0x340, 0x400);
    assert_true(pmi(cpu));
    assert_int_equal(guest_read(cpu, 0x340), 0x10400);
    assert_false(pmi(cpu));
    assert_int_equal(guest_read(cpu, 0x340), 0x10400);
    guest_write(cpu, 0x340, 0x400);
    assert_true(pmi(cpu));
}

static void museum_177_amd_does_not_mask_lvtpc(void **state)
{
    /* KVM: with the mask set on AMD too, all PMIs after the first are lost. */
    struct vlapic_cpu *cpu = start(VLAPIC_VENDOR_AMD);

    (void)state;
    guest_write(cpu, 0x340, 0x400);
    assert_true(pmi(cpu));
    assert_int_equal(guest_read(cpu, 0x340), 0x400);
    assert_true(pmi(cpu));
    guest_write(cpu, 0x340, 0x10400);
    assert_false(pmi(cpu));
    assert_int_equal(guest_read(cpu, 0x340), 0x10400);
}

/* The part of a core that NMIs reach: one in progress, one latched. */
struct nmi_core {
    bool in_handler, latched;
    unsigned taken;
};

static void core_polls(struct nmi_core *core, struct vlapic_cpu *cpu)
{
    if (!poll(cpu).nmi)
        return;
    if (core->in_handler) {
        core->latched = true;
    } else {
        core->in_handler = true;
        core->taken++;
    }
}

static void core_irets(struct nmi_core *core)
{
    core->in_handler = core->latched;
    core->taken += core->latched;
    core->latched = false;
}

static void museum_178_three_nmis_in_a_handler_are_one_more(void **state)
{
    /* KVM: NMIs were collapsed into the one in progress, or counted without bound. */
    struct nmi_core core = { 0 };
    struct vlapic_cpu *sender, *target;

    (void)state;
    museum_on(&fake, VLAPIC_VENDOR_INTEL, 2, false);
    sender = fake_cpu_at(&fake, 0);
    target = fake_cpu_at(&fake, 1);
    for (int polls_between = 0; polls_between < 2; polls_between++) {
        core = (struct nmi_core){ .in_handler = true };
        for (int i = 0; i < 3; i++) {
            museum_ipi(sender, 1, 0x4400);
            if (polls_between)
                core_polls(&core, target);
        }
        core_polls(&core, target);
        core_irets(&core);
        assert_int_equal(core.taken, 1);
        assert_true(core.in_handler);
        core_irets(&core);
        core_polls(&core, target);
        assert_int_equal(core.taken, 1);
        assert_false(core.in_handler);
    }
}

static void museum_178_nmis_merge_until_the_host_collects_them(void **state)
{
    /* KVM: the number kept while none is in progress is a choice; ours is one event a poll. */
    struct nmi_core core = { 0 };
    struct vlapic_cpu *sender, *target;

    (void)state;
    museum_on(&fake, VLAPIC_VENDOR_INTEL, 2, false);
    sender = fake_cpu_at(&fake, 0);
    target = fake_cpu_at(&fake, 1);
    museum_ipi(sender, 1, 0x4400);
    museum_ipi(sender, 1, 0x4400);
    core_polls(&core, target);
    core_irets(&core);
    core_polls(&core, target);
    assert_int_equal(core.taken, 1);
    museum_ipi(sender, 1, 0x4400);
    core_polls(&core, target);
    museum_ipi(sender, 1, 0x4400);
    core_polls(&core, target);
    core_irets(&core);
    assert_int_equal(core.taken, 3);
}

static void museum_179_an_interrupt_is_told_of_beside_an_nmi(void **state)
{
    /* KVM: the branch for the NMI returned early, and the interrupt behind it waited as long as NMIs came. */
    struct vlapic_cpu *cpu = start(VLAPIC_VENDOR_INTEL);
    struct vlapic_poll duty;

    (void)state;
    assert_int_equal(vlapic_vm_msi(fake.vm, 0xFEE00000, 0x400, NULL), VLAPIC_ACCESS_DONE);
    assert_true(vlapic_cpu_post(cpu, 0x61, false));
    duty = poll(cpu);
    assert_true(duty.nmi);
    assert_int_equal(duty.vector, 0x61); /* so the host knows that it needs an interrupt window */
    duty = poll(cpu);
    assert_false(duty.nmi);
    assert_int_equal(duty.vector, 0x61);
    assert_true(vlapic_cpu_accept(cpu, 0x61));
    assert_int_equal(poll_vector(cpu), -1);
}

/* ---- spurious ---- */

static void museum_180_an_acknowledge_that_finds_nothing_is_spurious(void **state)
{
    /* Bochs, QEMU: what may be delivered was decided by an old TPR, and a vector got in that TPR had shut out. */
    struct vlapic_cpu *cpu = start(VLAPIC_VENDOR_INTEL);
    uint8_t vector = 0;

    (void)state;
    assert_true(vlapic_cpu_post(cpu, 0x61, false));
    assert_int_equal(poll_vector(cpu), 0x61); /* INTR is raised */
    guest_write(cpu, VLAPIC_REG_TPR, 0x70);
    assert_false(vlapic_cpu_accept(cpu, 0x61));
    assert_false(vlapic_cpu_acknowledge(cpu, &vector));
    assert_int_equal(vector, 0xFF);
    assert_int_equal(museum_stats(cpu).spurious, 1);
    museum_only(cpu, VLAPIC_REG_ISR, -1, -1);
    museum_only(cpu, VLAPIC_REG_IRR, 0x61, -1);
    assert_int_equal(poll_vector(cpu), -1);
    guest_write(cpu, VLAPIC_REG_TPR, 0);
    assert_true(vlapic_cpu_acknowledge(cpu, &vector));
    assert_int_equal(vector, 0x61);
    museum_only(cpu, VLAPIC_REG_ISR, 0x61, -1);
}

static void museum_180_a_post_never_acknowledges(void **state)
{
    /* QEMU: the decision was made by the thread that posted; ours is the owner's, with the TPR of that moment. */
    struct vlapic_cpu *cpu = start(VLAPIC_VENDOR_INTEL);

    (void)state;
    assert_true(vlapic_cpu_enter(cpu)); /* the guest raises TPR while another thread posts */
    assert_true(vlapic_cpu_post(cpu, 0x61, false));
    assert_int_equal(museum_stats(cpu).accepts, 0);
    vlapic_cpu_exit(cpu);
    assert_int_equal(vlapic_cpu_cr8_write(cpu, 7), VLAPIC_ACCESS_DONE);
    assert_int_equal(poll_vector(cpu), -1);
    museum_only(cpu, VLAPIC_REG_ISR, -1, -1);
    museum_only(cpu, VLAPIC_REG_IRR, 0x61, -1);
}

#define TEST(name) cmocka_unit_test_teardown(name, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(museum_157_an_eoi_with_nothing_in_service_is_a_no_op),
        TEST(museum_158_restored_isr_bits_end_by_priority),
        TEST(museum_158_fifteen_classes_nest),
        TEST(museum_161_an_x2apic_eoi_takes_zero_only),
        TEST(museum_161_an_xapic_eoi_takes_any_value),
        TEST(museum_162_an_eoi_callback_may_send_the_vector_again),
        TEST(museum_162_an_eoi_callback_may_make_the_route_edge),
        TEST(museum_163_a_late_reraise_is_an_ordinary_interrupt),
        TEST(museum_165_an_eoi_that_the_host_cannot_forward_ends_all_the_same),
        TEST(museum_166_paravirtual_eoi_is_offered_when_it_is_safe),
        TEST(museum_167_a_guest_may_ignore_the_eoi_hint),
        TEST(museum_169_a_snapshot_has_the_eoi_hint),
        TEST(museum_170_a_vector_and_its_attribute_arrive_together),
        TEST(museum_171_a_shared_page_is_aligned_or_refused),
        TEST(museum_172_every_door_has_the_semantics_of_the_register),
        TEST(museum_173_reset_drops_the_reporting_of_tpr),
        TEST(museum_173_what_is_read_out_is_all_defined),
        TEST(museum_174_asking_has_no_side_effects_on_either_source),
        TEST(museum_174_exactly_the_chosen_source_is_acknowledged),
        TEST(museum_175_a_pic_interrupt_is_accepted_by_lint0),
        TEST(museum_175_any_vcpu_may_take_the_pic),
        TEST(museum_177_intel_masks_lvtpc_with_the_pmi),
        TEST(museum_177_amd_does_not_mask_lvtpc),
        TEST(museum_178_three_nmis_in_a_handler_are_one_more),
        TEST(museum_178_nmis_merge_until_the_host_collects_them),
        TEST(museum_179_an_interrupt_is_told_of_beside_an_nmi),
        TEST(museum_180_an_acknowledge_that_finds_nothing_is_spurious),
        TEST(museum_180_a_post_never_acknowledges),
    };
    return cmocka_run_group_tests_name("museum, section E", tests, NULL, NULL);
}
