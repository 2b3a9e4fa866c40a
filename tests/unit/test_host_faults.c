/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hosts that do it wrong: a timer that goes off early, late, twice, never or after its cancellation; kicks for nothing;
 * clocks that jump back; calls in the wrong order. Each has a defined result, and none of them costs the guest an
 * interrupt or gives it one too many.
 */
#include "fake_host.h"
#include "reception.h"
#include "state_helpers.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define VECTOR 0x51
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define INIT 0x4500u
#define SIPI 0x4600u

static struct fake_vm fake;
static struct vlapic_cpu *cpu;

static void prepare(void)
{
    fake_vm_prepare(&fake, VLAPIC_VENDOR_INTEL);
    fake.config.tsc_deadline = true;
}

static void start_prepared(unsigned count)
{
    fake_vm_start(&fake, count, NULL);
    start_aps(&fake);
    for (unsigned i = 0; i < count; i++) {
        guest_software_enable(fake_cpu_at(&fake, i));
        guest_write(fake_cpu_at(&fake, i), VLAPIC_REG_DIVIDE_CONFIG, 0xB);
        assert_int_equal(poll_vector(fake_cpu_at(&fake, i)), -1);
    }
    cpu = fake_cpu_at(&fake, 0);
    fake_forget(&fake);
}

/* Two vCPUs that run, software-enabled, with a timer that counts nanoseconds. */
static int start(void **state)
{
    (void)state;
    prepare();
    start_prepared(2);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    if (fake.vm)
        fake_vm_stop(&fake);
    return 0;
}

/* From here on any callback fails the test; or all are allowed again. */
static void host_is_left_alone(bool alone)
{
    for (unsigned kind = 0; kind < FAKE_CHOOSE_LOWEST; kind++)
        fake.expect[kind] = !alone;
}

static struct vlapic_poll poll(struct vlapic_cpu *of)
{
    struct vlapic_poll duty;

    memset(&duty, 0x5A, sizeof duty);
    vlapic_cpu_poll(of, &duty);
    return duty;
}

static void post(struct vlapic_cpu *to, uint8_t vector)
{
    assert_true(vlapic_cpu_post(to, vector, false));
}

static uint32_t send_to(uint32_t destination, enum vlapic_delivery delivery, bool logical)
{
    return vlapic_vm_deliver(
        fake.vm, &(struct vlapic_message){
                     .destination = destination, .delivery = delivery, .vector = VECTOR, .logical = logical });
}

static bool is_armed(void)
{
    return fake.cpus[0].armed_ns || fake.cpus[0].armed_tsc;
}

static unsigned arms(void)
{
    return fake_count(&fake, FAKE_ARM_NS) + fake_count(&fake, FAKE_ARM_TSC);
}

/* ---- the host's timer ---- */

/* The three ways to have a timer, due 1000 after the start. */
static const struct timer_mode {
    const char *name;
    uint32_t lvt;
    bool periodic;
} modes[] = {
    { "one-shot", VLAPIC_LVT_TIMER_ONE_SHOT | VECTOR, false },
    { "periodic", VLAPIC_LVT_TIMER_PERIODIC | VECTOR, true },
    { "deadline", VLAPIC_LVT_TIMER_DEADLINE | VECTOR, false },
};
#define DUE 1000u
#define BEGIN 1000000u

static void clocks_are(uint64_t since_begin)
{
    fake_set_ns(&fake, BEGIN + since_begin);
    fake_set_tsc(&fake, BEGIN + since_begin);
}

static void start_timer(const struct timer_mode *mode)
{
    prepare();
    start_prepared(1);
    clocks_are(0);
    guest_write(cpu, VLAPIC_REG_LVT_TIMER, mode->lvt);
    if (mode->lvt & VLAPIC_LVT_TIMER_DEADLINE)
        guest_wrmsr(cpu, VLAPIC_MSR_TSC_DEADLINE, BEGIN + DUE);
    else
        guest_write(cpu, VLAPIC_REG_INITIAL_COUNT, DUE);
    assert_true(is_armed());
    fake_forget(&fake);
}

/* The guest stops the timer. */
static void stop_timer(const struct timer_mode *mode)
{
    if (mode->lvt & VLAPIC_LVT_TIMER_DEADLINE)
        guest_wrmsr(cpu, VLAPIC_MSR_TSC_DEADLINE, 0);
    else
        guest_write(cpu, VLAPIC_REG_INITIAL_COUNT, 0);
}

static void assert_pending(unsigned count, const char *mode)
{
    unsigned got = 0;

    while (take_vector(cpu) == VECTOR) {
        guest_eoi(cpu);
        got++;
    }
    if (got != count)
        fail_msg("%s: %u interrupts, expected %u", mode, got, count);
}

static void assert_armed_for(uint64_t since_begin)
{
    assert_true(is_armed());
    assert_int_equal(fake.cpus[0].deadline, BEGIN + since_begin);
}

static void an_early_expiry_is_no_expiry_and_arms_again(void **state)
{
    static const uint64_t early[] = { 0, 1, 500, 999 };

    (void)state;
    for (size_t m = 0; m < COUNT(modes); m++) {
        start_timer(&modes[m]);
        for (size_t i = 0; i < COUNT(early); i++) {
            clocks_are(early[i]);
            fake_forget(&fake);
            vlapic_cpu_timer_expired(cpu);
            vlapic_cpu_timer_expired(cpu);
            assert_pending(0, modes[m].name);
            assert_int_equal(arms(), 1);
            assert_armed_for(DUE);
        }
        clocks_are(DUE);
        vlapic_cpu_timer_expired(cpu);
        assert_pending(1, modes[m].name);
        fake_vm_stop(&fake);
    }
}

static void an_expiry_that_comes_twice_is_one(void **state)
{
    (void)state;
    for (size_t m = 0; m < COUNT(modes); m++) {
        start_timer(&modes[m]);
        (void)poll(cpu);
        assert_true(vlapic_cpu_halt(cpu));
        clocks_are(DUE);
        fake_forget(&fake);
        vlapic_cpu_timer_expired(cpu);
        vlapic_cpu_timer_expired(cpu);
        assert_int_equal(fake_count(&fake, FAKE_KICK), 1);
        vlapic_cpu_exit(cpu);
        assert_pending(1, modes[m].name);
        vlapic_cpu_timer_expired(cpu); /* and once more after the owner has looked */
        assert_pending(0, modes[m].name);
        assert_int_equal(is_armed(), modes[m].periodic);
        fake_vm_stop(&fake);
    }
}

static void a_late_expiry_is_one_interrupt_and_keeps_the_grid(void **state)
{
    static const uint64_t late[] = { 1, 999, 1000, 123456 };

    (void)state;
    for (size_t m = 0; m < COUNT(modes); m++) {
        for (size_t i = 0; i < COUNT(late); i++) {
            start_timer(&modes[m]);
            clocks_are(DUE + late[i]);
            vlapic_cpu_timer_expired(cpu);
            assert_pending(1, modes[m].name);
            if (modes[m].periodic)
                assert_armed_for((DUE + late[i]) / DUE * DUE + DUE);
            else
                assert_false(is_armed());
            fake_vm_stop(&fake);
        }
    }
}

/* Without the host's call the owner does not look at the clock; the guest's own look does, without contradiction. */
static void a_host_timer_that_never_goes_off_is_found_by_the_guest(void **state)
{
    (void)state;
    for (size_t m = 0; m < COUNT(modes); m++) {
        start_timer(&modes[m]);
        clocks_are(DUE);
        assert_pending(0, modes[m].name);
        if (modes[m].lvt & VLAPIC_LVT_TIMER_DEADLINE)
            assert_int_equal(guest_rdmsr(cpu, VLAPIC_MSR_TSC_DEADLINE), 0);
        else
            assert_int_equal(guest_read(cpu, VLAPIC_REG_CURRENT_COUNT), modes[m].periodic ? DUE : 0);
        assert_pending(1, modes[m].name);
        if (modes[m].periodic)
            assert_armed_for(2 * DUE);
        fake_vm_stop(&fake);
    }
}

static void an_expiry_after_its_cancellation_is_nothing(void **state)
{
    (void)state;
    for (size_t m = 0; m < COUNT(modes); m++) {
        start_timer(&modes[m]);
        stop_timer(&modes[m]);
        assert_int_equal(fake_count(&fake, FAKE_CANCEL), 1);
        clocks_are(5 * DUE);
        host_is_left_alone(true);
        vlapic_cpu_timer_expired(cpu);
        assert_pending(0, modes[m].name);
        host_is_left_alone(false);
        fake_vm_stop(&fake);
    }
}

static void an_expiry_with_nothing_armed_is_nothing(void **state)
{
    (void)state;
    for (uint32_t mode = 0; mode < 4; mode++) {
        guest_write(cpu, VLAPIC_REG_LVT_TIMER, mode << VLAPIC_LVT_TIMER_MODE_SHIFT | VECTOR);
        clocks_are(mode);
        host_is_left_alone(true);
        vlapic_cpu_timer_expired(cpu);
        assert_int_equal(poll_vector(cpu), -1);
        guest_write(cpu, VLAPIC_REG_SVR, 0xFF);
        vlapic_cpu_timer_expired(cpu);
        assert_int_equal(poll_vector(cpu), -1);
        guest_software_enable(cpu);
        host_is_left_alone(false);
    }
    guest_disable_apic(cpu);
    host_is_left_alone(true);
    vlapic_cpu_timer_expired(cpu);
    assert_int_equal(poll_vector(cpu), -1);
    host_is_left_alone(false);
}

static void an_expiry_before_a_reset_does_not_outlive_it(void **state)
{
    void (*const resets[])(struct vlapic_cpu *) = { vlapic_cpu_reset, vlapic_cpu_take_init, guest_disable_apic };

    (void)state;
    for (size_t m = 0; m < COUNT(modes); m++) {
        for (size_t i = 0; i < COUNT(resets); i++) {
            start_timer(&modes[m]);
            clocks_are(DUE);
            vlapic_cpu_timer_expired(cpu); /* not looked at */
            resets[i](cpu);
            vlapic_cpu_timer_expired(cpu);
            assert_pending(0, modes[m].name);
            assert_false(is_armed());
            fake_vm_stop(&fake);
        }
    }
}

static void a_reset_cancels_the_armed_timer_once(void **state)
{
    (void)state;
    for (size_t m = 0; m < COUNT(modes); m++) {
        start_timer(&modes[m]);
        vlapic_cpu_reset(cpu);
        vlapic_cpu_reset(cpu);
        vlapic_cpu_take_init(cpu);
        assert_int_equal(fake_count(&fake, FAKE_CANCEL), 1);
        assert_int_equal(arms(), 0);
        assert_false(is_armed());
        fake_vm_stop(&fake);
    }
}

/* A host whose timer is so short that it goes off inside of timer_arm_ns(), which host.h allows. */
static void arm_and_expire(void *cpu_cookie, uint64_t deadline_ns)
{
    struct fake_cpu *c = cpu_cookie;

    c->armed_ns = true;
    c->deadline = deadline_ns;
    c->owner->calls[c->owner->call_count++] = (struct fake_call){ .kind = FAKE_ARM_NS, .a = deadline_ns };
    vlapic_cpu_timer_expired(c->cpu);
}

static void an_expiry_inside_of_arming_does_not_recurse(void **state)
{
    (void)state;
    prepare();
    fake.ops.timer_arm_ns = arm_and_expire;
    start_prepared(1);
    guest_write(cpu, VLAPIC_REG_LVT_TIMER, VECTOR);
    guest_write(cpu, VLAPIC_REG_INITIAL_COUNT, DUE);
    assert_int_equal(arms(), 1);
    for (unsigned look = 2; look < 10; look++) {
        assert_int_equal(poll_vector(cpu), -1);
        assert_int_equal(arms(), look); /* one more each time: the host's timer went off, so it has to be armed */
    }
    fake_set_ns(&fake, DUE);
    assert_pending(1, "one-shot");
}

/* ---- clocks ---- */

static void a_clock_that_goes_back_stands_still_for_the_timer(void **state)
{
    (void)state;
    for (size_t m = 0; m < 2; m++) {
        struct vlapic_cpu_state read;
        uint64_t due = 0;

        start_timer(&modes[m]);
        clocks_are(400);
        assert_int_equal(guest_read(cpu, VLAPIC_REG_CURRENT_COUNT), 600);
        fake_set_ns(&fake, 3);
        assert_int_equal(guest_read(cpu, VLAPIC_REG_CURRENT_COUNT), 600);
        vlapic_cpu_timer_expired(cpu);
        assert_pending(0, modes[m].name);
        assert_armed_for(DUE);
        assert_true(vlapic_cpu_next_expiry(cpu, &due));
        assert_int_equal(due, BEGIN + DUE);
        state_read(cpu, &read);
        assert_int_equal(read.timer_remaining, 600);
        clocks_are(DUE);
        vlapic_cpu_timer_expired(cpu);
        assert_pending(1, modes[m].name);
        fake_vm_stop(&fake);
    }
}

static void a_timer_started_on_a_clock_that_went_back_counts_from_there(void **state)
{
    (void)state;
    start_timer(&modes[0]);
    clocks_are(400);
    fake_set_ns(&fake, 3);
    guest_write(cpu, VLAPIC_REG_INITIAL_COUNT, DUE);
    assert_int_equal(fake.cpus[0].deadline, 3 + DUE);
    fake_advance_ns(&fake, DUE);
    assert_pending(1, modes[0].name);
}

static void a_tsc_that_goes_back_unannounced_fires_when_it_is_there_again(void **state)
{
    (void)state;
    start_timer(&modes[2]);
    fake_set_tsc(&fake, 3);
    vlapic_cpu_timer_expired(cpu);
    assert_pending(0, modes[2].name);
    assert_armed_for(DUE);
    assert_int_equal(guest_rdmsr(cpu, VLAPIC_MSR_TSC_DEADLINE), BEGIN + DUE);
    clocks_are(DUE);
    vlapic_cpu_timer_expired(cpu);
    assert_pending(1, modes[2].name);
}

static void a_tsc_change_without_a_deadline_is_nothing(void **state)
{
    (void)state;
    host_is_left_alone(true);
    vlapic_cpu_tsc_changed(cpu);
    guest_write(cpu, VLAPIC_REG_LVT_TIMER, VLAPIC_LVT_TIMER_DEADLINE | VECTOR);
    vlapic_cpu_tsc_changed(cpu);
    assert_int_equal(poll_vector(cpu), -1);
    host_is_left_alone(false);
    fake_vm_stop(&fake);

    fake_vm_prepare(&fake, VLAPIC_VENDOR_INTEL); /* a host without a TSC */
    fake.ops.now_tsc = NULL;
    fake.ops.timer_arm_tsc = NULL;
    start_prepared(1);
    vlapic_cpu_tsc_changed(cpu);
    vlapic_cpu_timer_expired(cpu);
    assert_int_equal(poll_vector(cpu), -1);
}

static void a_deadline_beyond_the_clock_is_never(void **state)
{
    (void)state;
    fake_set_ns(&fake, UINT64_MAX - 10);
    guest_write(cpu, VLAPIC_REG_LVT_TIMER, VECTOR);
    guest_write(cpu, VLAPIC_REG_INITIAL_COUNT, DUE);
    assert_int_equal(fake.cpus[0].deadline, UINT64_MAX);
    fake_set_ns(&fake, UINT64_MAX);
    vlapic_cpu_timer_expired(cpu);
    assert_int_equal(poll_vector(cpu), -1);
    assert_int_equal(guest_read(cpu, VLAPIC_REG_CURRENT_COUNT), DUE - 10);
}

/* ---- kicks, enter, exit, halt ---- */

static void a_spurious_kick_changes_nothing(void **state)
{
    struct vlapic_cpu_state before, after;

    (void)state;
    busy_state(&fake);
    assert_int_equal(poll_vector(cpu), BUSY_LINT0);
    state_read(cpu, &before);
    for (int i = 0; i < 100; i++) {
        assert_true(i % 2 ? vlapic_cpu_halt(cpu) : vlapic_cpu_enter(cpu));
        vlapic_cpu_exit(cpu); /* woken or thrown out for nothing */
        assert_int_equal(poll_vector(cpu), BUSY_LINT0);
    }
    assert_int_equal(fake_count(&fake, FAKE_KICK), 0);
    state_read(cpu, &after);
    assert_same_state(&before, &after);
}

static unsigned kicks_for_a_post(uint8_t vector)
{
    fake_forget(&fake);
    post(cpu, vector);
    return fake_count(&fake, FAKE_KICK);
}

static unsigned kicks_for_an_nmi(void)
{
    fake_forget(&fake);
    assert_int_equal(send_to(0, VLAPIC_DELIVERY_NMI, false), 1);
    return fake_count(&fake, FAKE_KICK);
}

static void an_exit_without_an_enter_leaves_it_in_the_host(void **state)
{
    (void)state;
    vlapic_cpu_exit(cpu);
    vlapic_cpu_exit(cpu);
    assert_int_equal(kicks_for_a_post(0x41), 0);
    assert_int_equal(poll_vector(cpu), 0x41);
    assert_true(vlapic_cpu_enter(cpu));
    vlapic_cpu_exit(cpu);
    vlapic_cpu_exit(cpu);
    assert_int_equal(kicks_for_a_post(0x42), 0);
}

/* The last one counts, in any order: posts kick until an exit. */
static void enter_and_halt_may_follow_each_other(void **state)
{
    bool (*const ways[])(struct vlapic_cpu *) = { vlapic_cpu_enter, vlapic_cpu_halt };

    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        assert_true(ways[i & 1](cpu));
        assert_true(ways[i >> 1](cpu));
        assert_int_equal(kicks_for_a_post((uint8_t)(0x41 + i)), 1);
        assert_false(ways[i & 1](cpu)); /* there is news: it is back in the host */
        assert_int_equal(kicks_for_an_nmi(), 0);
        assert_int_equal(poll_vector(cpu), 0x41 + (int)i);
    }
}

/* A host that enters once and never exits (run.h): each poll drains the mailbox, and the next post kicks again. */
static void a_poll_in_the_guest_does_its_work_and_the_kicks_go_on(void **state)
{
    (void)state;
    assert_true(vlapic_cpu_enter(cpu));
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(kicks_for_a_post((uint8_t)(0x41 + 16 * i)), 1);
        assert_int_equal(kicks_for_a_post((uint8_t)(0x42 + 16 * i)), 0);
        assert_int_equal(take_vector(cpu), 0x42 + 16 * (int)i);
    }
}

static void a_reset_in_the_guest_leaves_it_there(void **state)
{
    (void)state;
    assert_true(vlapic_cpu_enter(cpu));
    post(cpu, 0x41);
    vlapic_cpu_reset(cpu);
    guest_software_enable(cpu);
    assert_int_equal(kicks_for_a_post(0x42), 1); /* the reset took the first post with it: this one is news */
    assert_int_equal(take_vector(cpu), 0x42);
    assert_int_equal(poll_vector(cpu), -1);
}

static void putting_without_loading_is_nothing(void **state)
{
    (void)state;
    host_is_left_alone(true);
    vlapic_cpu_put(cpu);
    vlapic_cpu_load(cpu);
    vlapic_cpu_load(cpu);
    vlapic_cpu_put(cpu);
    vlapic_cpu_put(cpu);
    assert_int_equal(poll_vector(cpu), -1);
    host_is_left_alone(false);
}

/* ---- accept, unaccept, acknowledge ---- */

static void only_a_deliverable_vector_can_be_accepted(void **state)
{
    struct vlapic_cpu_state before, after;

    (void)state;
    post(cpu, 0x41);
    post(cpu, 0x62);
    assert_int_equal(take_vector(cpu), 0x62);
    state_read(cpu, &before);
    for (unsigned v = 0; v < 256; v++)
        assert_false(vlapic_cpu_accept(cpu, (uint8_t)v)); /* 41h is pending, but below 62h; 62h is taken already */
    for (unsigned v = 0; v < 256; v++)
        if (v != 0x62)
            assert_false(vlapic_cpu_unaccept(cpu, (uint8_t)v));
    state_read(cpu, &after);
    assert_same_state(&before, &after);
}

/* The offer may be out of date by the time of the accept. */
static void an_offer_that_is_gone_is_refused(void **state)
{
    (void)state;
    for (int how = 0; how < 6; how++) {
        post(cpu, 0x41);
        assert_int_equal(poll_vector(cpu), 0x41);
        if (how == 0)
            guest_write(cpu, VLAPIC_REG_TPR, 0x40);
        else if (how == 1)
            assert_int_equal(vlapic_cpu_cr8_write(cpu, 4), VLAPIC_ACCESS_DONE);
        else if (how == 2)
            guest_disable_apic(cpu);
        else if (how == 3)
            vlapic_cpu_reset(cpu);
        else if (how == 4)
            vlapic_cpu_take_init(cpu);
        else
            assert_int_equal(take_vector(cpu), 0x41);
        assert_false(vlapic_cpu_accept(cpu, 0x41));
        vlapic_cpu_reset(cpu);
        guest_software_enable(cpu);
    }
}

static void what_has_ended_cannot_be_taken_back(void **state)
{
    (void)state;
    for (int how = 0; how < 4; how++) {
        post(cpu, 0x41);
        assert_int_equal(take_vector(cpu), 0x41);
        if (how == 0)
            guest_eoi(cpu);
        else if (how == 1)
            vlapic_cpu_reset(cpu);
        else if (how == 2)
            vlapic_cpu_take_init(cpu);
        else
            assert_true(vlapic_cpu_unaccept(cpu, 0x41));
        assert_false(vlapic_cpu_unaccept(cpu, 0x41));
        assert_int_equal(poll_vector(cpu), how == 3 ? 0x41 : -1);
        guest_software_enable(cpu);
    }
}

static void an_acknowledge_without_an_offer_is_spurious(void **state)
{
    uint8_t vector = 0;

    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_false(vlapic_cpu_acknowledge(cpu, &vector));
        assert_int_equal(vector, 0xFF);
    }
    post(cpu, 0x41); /* not polled: acknowledge looks by itself */
    assert_true(vlapic_cpu_acknowledge(cpu, &vector));
    assert_int_equal(vector, 0x41);
}

/* ---- INIT, SIPI, reset ---- */

static void init_state(bool with_init, unsigned mode, struct vlapic_cpu_state *read)
{
    struct vlapic_cpu *ap;

    prepare();
    start_prepared(2);
    ap = fake_cpu_at(&fake, 1);
    post(ap, 0x41);
    if (mode == 1)
        guest_enable_x2apic(ap);
    if (mode == 2)
        guest_disable_apic(ap);
    if (with_init && mode != 2) {
        assert_int_equal(send_to(1, VLAPIC_DELIVERY_INIT, false), 1);
        assert_true(poll(ap).init);
    }
    vlapic_cpu_take_init(ap);
    state_read(ap, read);
    assert_true(poll(ap).wait_for_sipi);
    fake_vm_stop(&fake);
}

/* Which it may be: an INIT pin is the host's. */
static void taking_an_init_that_nobody_sent_is_an_init(void **state)
{
    (void)state;
    for (unsigned mode = 0; mode < 3; mode++) {
        struct vlapic_cpu_state sent, unsent;

        init_state(true, mode, &sent);
        init_state(false, mode, &unsent);
        assert_same_state(&sent, &unsent);
    }
}

static void an_init_taken_too_early_comes_again(void **state)
{
    struct vlapic_cpu *ap = fake_cpu_at(&fake, 1);

    (void)state;
    assert_int_equal(send_to(1, VLAPIC_DELIVERY_INIT, false), 1);
    vlapic_cpu_take_init(ap); /* without the poll that reports it */
    assert_true(poll(ap).init);
    vlapic_cpu_take_init(ap);
    assert_false(poll(ap).init);
}

static void an_init_that_is_never_taken_holds_back_the_sipi_alone(void **state)
{
    struct vlapic_cpu *ap = fake_cpu_at(&fake, 1);
    struct vlapic_poll duty;

    (void)state;
    assert_int_equal(send_to(1, VLAPIC_DELIVERY_INIT, false), 1);
    assert_true(poll(ap).init);
    guest_icr(cpu, 1u << 24, SIPI | 0x9A);
    assert_int_equal(send_to(1, VLAPIC_DELIVERY_NMI, false), 1);
    post(ap, 0x41);
    duty = poll(ap);
    assert_false(duty.init || duty.sipi || duty.wait_for_sipi);
    assert_true(duty.nmi);
    assert_int_equal(duty.vector, 0x41);
    /* The next INIT is reported as any other. */
    assert_int_equal(send_to(1, VLAPIC_DELIVERY_INIT, false), 1);
    assert_true(poll(ap).init);
    vlapic_cpu_take_init(ap);
    assert_false(poll(ap).sipi); /* it was older than that INIT */
}

static void a_reset_voids_an_init_that_was_reported(void **state)
{
    struct vlapic_cpu *ap = fake_cpu_at(&fake, 1);
    struct vlapic_poll duty;

    (void)state;
    assert_int_equal(send_to(1, VLAPIC_DELIVERY_INIT, false), 1);
    assert_true(poll(ap).init);
    vlapic_cpu_reset(ap);
    guest_icr(cpu, 1u << 24, SIPI | 0x9A);
    duty = poll(ap);
    assert_true(duty.sipi); /* it waits for no take_init any more */
    assert_int_equal(duty.sipi_vector, 0x9A);
}

/* What the last poll told is out of date after either: who goes on in the loop of run.h must be sent back to poll. */
static void after_a_reset_or_an_init_the_owner_must_poll_before_it_goes(void **state)
{
    bool (*const ways[])(struct vlapic_cpu *) = { vlapic_cpu_enter, vlapic_cpu_halt };
    struct vlapic_cpu *ap = fake_cpu_at(&fake, 1);

    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        (void)poll(ap);
        if (i & 1)
            vlapic_cpu_reset(ap);
        else
            vlapic_cpu_take_init(ap);
        assert_false(ways[i >> 1](ap));
        assert_true(poll(ap).wait_for_sipi);
        assert_true(vlapic_cpu_halt(ap));
        vlapic_cpu_exit(ap);
    }
}

/* INIT and SIPI came before the same poll. A vCPU that goes to sleep after the INIT is not woken for the SIPI. */
static void a_sipi_that_came_with_the_init_is_not_slept_through(void **state)
{
    struct vlapic_cpu *ap = fake_cpu_at(&fake, 1);
    struct vlapic_poll duty;

    (void)state;
    guest_icr(cpu, 1u << 24, INIT);
    guest_icr(cpu, 1u << 24, SIPI | 0x9A);
    duty = poll(ap);
    assert_true(duty.init);
    assert_false(duty.sipi);
    vlapic_cpu_take_init(ap);
    assert_false(vlapic_cpu_halt(ap));
    duty = poll(ap);
    assert_true(duty.sipi);
    assert_int_equal(duty.sipi_vector, 0x9A);
}

/* ---- attach, detach, destroy ---- */

static void attaching_twice_is_refused_and_delivers_once(void **state)
{
    (void)state;
    guest_write(cpu, VLAPIC_REG_LDR, 0x01000000);
    for (int i = 0; i < 3; i++)
        assert_int_equal(vlapic_cpu_attach(cpu), VLAPIC_IN_USE);
    assert_int_equal(send_to(0, VLAPIC_DELIVERY_FIXED, false), 1);
    assert_int_equal(send_to(1, VLAPIC_DELIVERY_FIXED, true), 1);
    assert_int_equal(send_to(0xFF, VLAPIC_DELIVERY_FIXED, false), 2);
    vlapic_cpu_detach(cpu); /* one is enough, and it is gone from wherever the attempts may have entered it */
    assert_int_equal(send_to(0, VLAPIC_DELIVERY_FIXED, false), 0);
    assert_int_equal(send_to(1, VLAPIC_DELIVERY_FIXED, true), 0);
    guest_write(fake_cpu_at(&fake, 1), VLAPIC_REG_LDR, 0x06000000);
    assert_int_equal(send_to(1, VLAPIC_DELIVERY_FIXED, true), 0);
    assert_int_equal(send_to(2, VLAPIC_DELIVERY_FIXED, true), 1);
}

static void detaching_twice_is_nothing(void **state)
{
    (void)state;
    vlapic_cpu_detach(cpu);
    host_is_left_alone(true);
    vlapic_cpu_detach(cpu);
    vlapic_cpu_detach(cpu);
    host_is_left_alone(false);
    assert_null(vlapic_vm_find(fake.vm, 0));
    assert_ptr_equal(vlapic_vm_find(fake.vm, 1), fake_cpu_at(&fake, 1));
    assert_int_equal(send_to(1, VLAPIC_DELIVERY_FIXED, false), 1);
}

static void messages_to_a_detached_cpu_find_nobody(void **state)
{
    static const enum vlapic_delivery kinds[] = {
        VLAPIC_DELIVERY_FIXED, VLAPIC_DELIVERY_LOWEST, VLAPIC_DELIVERY_SMI,
        VLAPIC_DELIVERY_NMI,   VLAPIC_DELIVERY_INIT,   VLAPIC_DELIVERY_EXTINT
    };
    struct vlapic_cpu *other = fake_cpu_at(&fake, 1);
    uint32_t accepted = 9;

    (void)state;
    guest_write(cpu, VLAPIC_REG_LDR, 0x01000000);
    vlapic_cpu_detach(cpu);
    host_is_left_alone(true);
    for (size_t i = 0; i < COUNT(kinds); i++) {
        assert_int_equal(send_to(0, kinds[i], false), 0);
        assert_int_equal(send_to(1, kinds[i], true), 0);
    }
    assert_int_equal(vlapic_vm_msi(fake.vm, 0xFEE00000, VECTOR, &accepted), VLAPIC_ACCESS_DONE);
    assert_int_equal(accepted, 0);
    guest_icr(other, 0, 0x4000 | VECTOR);
    guest_icr(other, 0, 0xC4000 | VECTOR); /* all but self */
    guest_icr(other, 0, 0xC4400);
    vlapic_vm_lvt_event(fake.vm, VLAPIC_LVT_THERMAL);
    host_is_left_alone(false);
    assert_received_nothing(cpu, "detached");
}

/* Off the bus is not off: what needs no bus goes on, and it may send. */
static void a_detached_cpu_lives_on_by_itself(void **state)
{
    struct vlapic_poll duty;

    (void)state;
    guest_write(cpu, VLAPIC_REG_LVT_LINT1, 0x400);
    guest_write(cpu, VLAPIC_REG_LVT_TIMER, 0x61);
    guest_write(cpu, VLAPIC_REG_INITIAL_COUNT, DUE);
    vlapic_cpu_detach(cpu);
    post(cpu, 0x41);
    vlapic_cpu_lint(cpu, 1, true);
    guest_icr(cpu, 0, 0x44051); /* to itself */
    guest_icr(cpu, 1u << 24, 0x4071);
    duty = poll(cpu);
    assert_true(duty.nmi);
    assert_int_equal(duty.vector, 0x51);
    assert_int_equal(poll_vector(fake_cpu_at(&fake, 1)), 0x71);
    fake_advance_ns(&fake, DUE);
    assert_int_equal(take_vector(cpu), 0x61);
    assert_int_equal(vlapic_cpu_attach(cpu), VLAPIC_OK);
    assert_true(guest_bit(cpu, VLAPIC_REG_IRR, 0x41));
    assert_int_equal(send_to(0, VLAPIC_DELIVERY_FIXED, false), 1);
}

static void what_changed_while_detached_is_addressable_after_attach(void **state)
{
    (void)state;
    guest_write(cpu, VLAPIC_REG_LDR, 0x01000000);
    vlapic_cpu_detach(cpu);
    guest_write(cpu, VLAPIC_REG_LDR, 0x80000000);
    assert_int_equal(vlapic_cpu_attach(cpu), VLAPIC_OK);
    assert_int_equal(send_to(0x01, VLAPIC_DELIVERY_FIXED, true), 0);
    assert_int_equal(send_to(0x80, VLAPIC_DELIVERY_FIXED, true), 1);
    vlapic_cpu_detach(cpu);
    guest_enable_x2apic(cpu);
    assert_int_equal(vlapic_cpu_attach(cpu), VLAPIC_OK);
    assert_int_equal(send_to(0x80, VLAPIC_DELIVERY_FIXED, true), 0);
    assert_int_equal(send_to(0x01, VLAPIC_DELIVERY_FIXED, true), 1);
}

/* Destroys vCPU 0 without freeing it: what is under way may still arrive. fake_vm_stop() is not to do it again. */
static void destroy_first(void)
{
    vlapic_cpu_destroy(cpu);
    assert_null(vlapic_vm_find(fake.vm, 0));
    assert_int_equal(send_to(0, VLAPIC_DELIVERY_FIXED, false), 0);
}

/* Makes vCPU 0 again in the same memory. */
static void create_first_again(void)
{
    struct vlapic_cpu_config config = { .size = sizeof config, .bsp = true, .cookie = &fake.cpus[0] };
    struct vlapic_layout layout;

    assert_int_equal(vlapic_cpu_layout(&fake.config, &layout), VLAPIC_OK);
    assert_int_equal(vlapic_cpu_create(fake.cpus[0].memory, layout.bytes, fake.vm, &config, &fake.cpus[0].cpu),
                     VLAPIC_OK);
    cpu = fake.cpus[0].cpu;
}

static void destroying_an_attached_cpu_takes_it_off_the_bus(void **state)
{
    (void)state;
    guest_write(cpu, VLAPIC_REG_LDR, 0x01000000);
    assert_true(vlapic_cpu_enter(cpu));
    destroy_first();
    assert_int_equal(send_to(1, VLAPIC_DELIVERY_FIXED, true), 0);
    assert_int_equal(send_to(0xFF, VLAPIC_DELIVERY_NMI, false), 1);
    create_first_again();
    assert_int_equal(vlapic_cpu_attach(cpu), VLAPIC_OK);
    assert_ptr_equal(vlapic_vm_find(fake.vm, 0), cpu);
    assert_false(poll(cpu).nmi);
}

/* host.h, timer_cancel: an expiry that is under way may still arrive. The host's cookie may be gone by then. */
static void what_arrives_after_destroy_does_not_reach_the_host(void **state)
{
    bool (*const ways[])(struct vlapic_cpu *) = { NULL, vlapic_cpu_enter, vlapic_cpu_halt };

    (void)state;
    for (size_t m = 0; m < COUNT(modes); m++) {
        for (size_t way = 0; way < COUNT(ways); way++) {
            start_timer(&modes[m]);
            if (ways[way])
                assert_true(ways[way](cpu));
            destroy_first();
            assert_int_equal(fake_count(&fake, FAKE_CANCEL), 1);
            clocks_are(5 * DUE);
            fake_forget(&fake);
            vlapic_cpu_timer_expired(cpu);
            vlapic_cpu_timer_expired(cpu);
            (void)vlapic_cpu_post(cpu, 0x41, false);
            vlapic_cpu_lint(cpu, 1, true);
            vlapic_cpu_lvt_event(cpu, VLAPIC_LVT_THERMAL);
            assert_int_equal(fake.call_count, 0);
            create_first_again();
            assert_int_equal(poll_vector(cpu), -1);
            fake_vm_stop(&fake);
        }
    }
}

/* ---- pins, events, messages that do not exist ---- */

static void pins_and_events_that_do_not_exist_are_ignored(void **state)
{
    static const uint32_t pins[] = { 2, 3, 54, 62, 63, 64, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF };
    static const uint32_t entries[] = { VLAPIC_LVT_TIMER,
                                        VLAPIC_LVT_LINT0,
                                        VLAPIC_LVT_LINT1,
                                        VLAPIC_LVT_ERROR,
                                        VLAPIC_LVT_CMCI,
                                        7,
                                        VLAPIC_LVT_EXT0,
                                        VLAPIC_LVT_EXT0 + 7,
                                        16,
                                        31,
                                        47,
                                        48,
                                        64,
                                        255,
                                        0x7FFFFFFF,
                                        0xFFFFFFFF };

    (void)state;
    for (uint32_t offset = VLAPIC_REG_LVT_TIMER; offset <= VLAPIC_REG_LVT_ERROR; offset += 16)
        guest_write(cpu, offset, VECTOR);
    assert_int_equal(poll_vector(cpu), -1);
    assert_true(vlapic_cpu_enter(cpu));
    host_is_left_alone(true);
    for (size_t i = 0; i < COUNT(pins); i++) {
        vlapic_cpu_lint(cpu, pins[i], true);
        vlapic_cpu_lint(cpu, pins[i], false);
    }
    for (size_t i = 0; i < COUNT(entries); i++) {
        vlapic_cpu_lvt_event(cpu, (enum vlapic_lvt)entries[i]);
        vlapic_vm_lvt_event(fake.vm, (enum vlapic_lvt)entries[i]);
    }
    host_is_left_alone(false);
    assert_received_nothing(cpu, "no such pin or entry");
}

static void a_pin_that_does_not_move_is_no_news(void **state)
{
    (void)state;
    guest_write(cpu, VLAPIC_REG_LVT_LINT0, VECTOR);
    assert_int_equal(poll_vector(cpu), -1);
    assert_true(vlapic_cpu_enter(cpu));
    vlapic_cpu_lint(cpu, 0, false); /* it was low */
    vlapic_cpu_lint(cpu, 0, true);
    vlapic_cpu_lint(cpu, 0, true);
    assert_int_equal(fake_count(&fake, FAKE_KICK), 1);
    assert_int_equal(take_vector(cpu), VECTOR);
    guest_eoi(cpu);
    vlapic_cpu_lint(cpu, 0, true);
    assert_int_equal(poll_vector(cpu), -1);
}

static void messages_that_do_not_exist_are_dropped(void **state)
{
    static const uint32_t deliveries[] = {
        VLAPIC_DELIVERY_RESERVED, VLAPIC_DELIVERY_SIPI, 8, 0x100, 0x104, 0xFFFFFFFF
    };
    uint32_t accepted = 77;

    (void)state;
    assert_true(vlapic_cpu_enter(cpu));
    host_is_left_alone(true);
    for (size_t i = 0; i < COUNT(deliveries); i++)
        assert_int_equal(send_to(0, (enum vlapic_delivery)deliveries[i], false), 0);
    assert_int_equal(send_to(254, VLAPIC_DELIVERY_FIXED, false), 0);
    assert_int_equal(send_to(0xFFFFFFFE, VLAPIC_DELIVERY_FIXED, false), 0);
    assert_int_equal(vlapic_vm_msi(fake.vm, 0xFED00000, VECTOR, &accepted), VLAPIC_ACCESS_NOT_MINE);
    assert_int_equal(accepted, 77);
    assert_int_equal(vlapic_vm_msi(fake.vm, 0xFED00000, VECTOR, NULL), VLAPIC_ACCESS_NOT_MINE);
    assert_int_equal(vlapic_vm_msi(fake.vm, 0xFEE00000, 0x300 | VECTOR, NULL), VLAPIC_ACCESS_DONE);
    host_is_left_alone(false);
    assert_received_nothing(cpu, "no such message");
}

/* ---- state of a vCPU that runs ---- */

static void a_load_into_a_running_cpu_needs_a_poll(void **state)
{
    bool (*const ways[])(struct vlapic_cpu *) = { vlapic_cpu_enter, vlapic_cpu_halt };
    struct vlapic_cpu_state saved, loaded;

    (void)state;
    busy_state(&fake);
    state_read(cpu, &saved);
    for (unsigned i = 0; i < 2; i++) {
        vlapic_cpu_reset(cpu);
        (void)poll(cpu);
        assert_true(ways[i](cpu));
        assert_int_equal(vlapic_cpu_set_state(cpu, &saved, VLAPIC_TIME_STOPPED, NULL), VLAPIC_OK);
        assert_int_equal(kicks_for_a_post(0xE1), 1); /* its run state is not part of the state */
        state_read(cpu, &loaded);
        assert_false(ways[i](cpu)); /* what an earlier poll told was of another state */
        assert_int_equal(poll_vector(cpu), 0xE1);
        saved.time_ns = loaded.time_ns;
        loaded.irr[7] &= ~(1u << 1); /* E1h */
        assert_same_state(&saved, &loaded);
        assert_true(ways[i](cpu));
        vlapic_cpu_exit(cpu);
    }
}

static void a_load_replaces_the_armed_timer_and_the_reported_init(void **state)
{
    struct vlapic_cpu *ap = fake_cpu_at(&fake, 1);
    struct vlapic_cpu_state saved;
    struct vlapic_poll duty;

    (void)state;
    state_read(ap, &saved);
    guest_write(ap, VLAPIC_REG_LVT_TIMER, VECTOR);
    guest_write(ap, VLAPIC_REG_INITIAL_COUNT, DUE);
    assert_int_equal(send_to(1, VLAPIC_DELIVERY_INIT, false), 1);
    assert_true(poll(ap).init);
    fake_forget(&fake);
    assert_int_equal(vlapic_cpu_set_state(ap, &saved, VLAPIC_TIME_STOPPED, NULL), VLAPIC_OK);
    assert_int_equal(fake_count(&fake, FAKE_CANCEL), 1);
    fake_advance_ns(&fake, 10 * DUE);
    vlapic_cpu_timer_expired(ap);
    duty = poll(ap);
    assert_false(duty.init);
    assert_int_equal(duty.vector, -1);
}

static void a_look_at_the_state_is_no_poll(void **state)
{
    struct vlapic_cpu_state read;

    (void)state;
    post(cpu, 0x41);
    assert_int_equal(send_to(0, VLAPIC_DELIVERY_NMI, false), 1);
    state_read(cpu, &read);
    state_read(cpu, &read);
    assert_int_equal(read.events, VLAPIC_EVENT_NMI);
    assert_false(vlapic_cpu_enter(cpu));
    assert_true(poll(cpu).nmi);
    assert_int_equal(poll_vector(cpu), 0x41);
}

/* ---- the wrong thread ---- */

static bool owned;
static unsigned asked;

static bool on_cpu_thread(void *cpu_cookie)
{
    (void)cpu_cookie;
    asked++;
    return owned;
}

#ifdef VLAPIC_DEBUG
/* How a child ends that polls on a thread that is not the owner. */
static bool poll_of_a_stranger_ends_the_program(void)
{
    int status = 0;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        owned = false;
        (void)close(STDERR_FILENO); /* what a sanitizer says of it is not of interest */
        (void)poll(cpu);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}
#endif

static void a_stranger_is_found_out_in_debug_builds_alone(void **state)
{
    (void)state;
    prepare();
    fake.ops.on_cpu_thread = on_cpu_thread;
    owned = true;
    start_prepared(1);
    asked = 0;
    (void)poll(cpu);
    vlapic_cpu_timer_expired(cpu); /* any thread may */
#ifdef VLAPIC_DEBUG
    assert_int_equal(asked, 1);
    assert_true(poll_of_a_stranger_ends_the_program());
#else
    assert_int_equal(asked, 0);
#endif
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
#define OWN_TEST(name) cmocka_unit_test_teardown(name, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        OWN_TEST(an_early_expiry_is_no_expiry_and_arms_again),
        OWN_TEST(an_expiry_that_comes_twice_is_one),
        OWN_TEST(a_late_expiry_is_one_interrupt_and_keeps_the_grid),
        OWN_TEST(a_host_timer_that_never_goes_off_is_found_by_the_guest),
        OWN_TEST(an_expiry_after_its_cancellation_is_nothing),
        TEST(an_expiry_with_nothing_armed_is_nothing),
        OWN_TEST(an_expiry_before_a_reset_does_not_outlive_it),
        OWN_TEST(a_reset_cancels_the_armed_timer_once),
        OWN_TEST(an_expiry_inside_of_arming_does_not_recurse),
        OWN_TEST(a_clock_that_goes_back_stands_still_for_the_timer),
        OWN_TEST(a_timer_started_on_a_clock_that_went_back_counts_from_there),
        OWN_TEST(a_tsc_that_goes_back_unannounced_fires_when_it_is_there_again),
        TEST(a_tsc_change_without_a_deadline_is_nothing),
        TEST(a_deadline_beyond_the_clock_is_never),
        TEST(a_spurious_kick_changes_nothing),
        TEST(an_exit_without_an_enter_leaves_it_in_the_host),
        TEST(enter_and_halt_may_follow_each_other),
        TEST(a_poll_in_the_guest_does_its_work_and_the_kicks_go_on),
        TEST(a_reset_in_the_guest_leaves_it_there),
        TEST(putting_without_loading_is_nothing),
        TEST(only_a_deliverable_vector_can_be_accepted),
        TEST(an_offer_that_is_gone_is_refused),
        TEST(what_has_ended_cannot_be_taken_back),
        TEST(an_acknowledge_without_an_offer_is_spurious),
        OWN_TEST(taking_an_init_that_nobody_sent_is_an_init),
        TEST(an_init_taken_too_early_comes_again),
        TEST(an_init_that_is_never_taken_holds_back_the_sipi_alone),
        TEST(a_reset_voids_an_init_that_was_reported),
        TEST(after_a_reset_or_an_init_the_owner_must_poll_before_it_goes),
        TEST(a_sipi_that_came_with_the_init_is_not_slept_through),
        TEST(attaching_twice_is_refused_and_delivers_once),
        TEST(detaching_twice_is_nothing),
        TEST(messages_to_a_detached_cpu_find_nobody),
        TEST(a_detached_cpu_lives_on_by_itself),
        TEST(what_changed_while_detached_is_addressable_after_attach),
        TEST(destroying_an_attached_cpu_takes_it_off_the_bus),
        OWN_TEST(what_arrives_after_destroy_does_not_reach_the_host),
        TEST(pins_and_events_that_do_not_exist_are_ignored),
        TEST(a_pin_that_does_not_move_is_no_news),
        TEST(messages_that_do_not_exist_are_dropped),
        TEST(a_load_into_a_running_cpu_needs_a_poll),
        TEST(a_load_replaces_the_armed_timer_and_the_reported_init),
        TEST(a_look_at_the_state_is_no_poll),
        OWN_TEST(a_stranger_is_found_out_in_debug_builds_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
