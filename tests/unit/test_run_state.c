/* SPDX-License-Identifier: BSD-2-Clause */
/* Who is kicked when: include/vlapic/run.h, docs/CONCURRENCY.md. The threads are real in test_threads.c. */
#include "fake_host.h"
#include "posting_backend.h"

static struct fake_vm fake;
static struct vlapic_cpu *cpu;

static int start(void **state)
{
    (void)state;
    fake_one_cpu(&fake, VLAPIC_VENDOR_INTEL);
    cpu = fake_cpu_at(&fake, 0);
    fake_forget(&fake);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    fake_vm_stop(&fake);
    return 0;
}

static unsigned kicks(void)
{
    unsigned count = fake_count(&fake, FAKE_KICK);

    fake_forget(&fake);
    return count;
}

static void post(unsigned vector)
{
    assert_true(vlapic_cpu_post(cpu, (uint8_t)vector, false));
}

static void everything_at_once(void)
{
    vlapic_vm_msi(fake.vm, 0xFEE00000, 0x41, NULL);
    vlapic_vm_msi(fake.vm, 0xFEE00000, 0x400, NULL);
    vlapic_vm_msi(fake.vm, 0xFEE00000, 0x500, NULL);
    vlapic_cpu_lint(cpu, 0, true);
    vlapic_cpu_lvt_event(cpu, VLAPIC_LVT_THERMAL);
    vlapic_cpu_timer_expired(cpu);
}

static void in_the_host_nobody_is_kicked(void **state)
{
    (void)state;
    everything_at_once();
    assert_int_equal(kicks(), 0);
}

static void in_the_guest_each_kind_of_news_kicks_once(void **state)
{
    (void)state;
    (void)poll_vector(cpu);
    assert_true(vlapic_cpu_enter(cpu));
    everything_at_once();
    assert_int_equal(kicks(), 6);
    everything_at_once();
    vlapic_cpu_lint(cpu, 0, false);
    assert_int_equal(kicks(), 0);
}

static void many_vectors_kick_once_until_they_are_collected(void **state)
{
    (void)state;
    for (int round = 0; round < 3; round++) {
        (void)poll_vector(cpu);
        assert_true(vlapic_cpu_enter(cpu));
        for (unsigned v = 16; v < 256; v++) {
            post(v);
        }
        assert_int_equal(kicks(), 1);
        vlapic_cpu_exit(cpu);
        assert_int_equal(take_vector(cpu), 255);
        guest_eoi(cpu);
    }
}

static void a_halted_cpu_is_woken(void **state)
{
    (void)state;
    assert_int_equal(poll_vector(cpu), -1);
    assert_true(vlapic_cpu_halt(cpu));
    post(0x41);
    assert_int_equal(kicks(), 1);
    vlapic_cpu_exit(cpu);
    assert_int_equal(poll_vector(cpu), 0x41);
}

/* News between poll and enter or halt: the owner must look again instead. */
static void news_after_the_poll_stops_enter_and_halt(void **state)
{
    (void)state;
    for (int halt = 0; halt < 2; halt++) {
        (void)poll_vector(cpu);
        post(0x41 + (unsigned)halt);
        assert_false(halt ? vlapic_cpu_halt(cpu) : vlapic_cpu_enter(cpu));
        post(0x81);
        assert_int_equal(kicks(), 0); /* it has not gone away */
        (void)poll_vector(cpu);
        assert_true(halt ? vlapic_cpu_halt(cpu) : vlapic_cpu_enter(cpu));
        vlapic_cpu_exit(cpu);
    }
}

/* An access takes the news out of the mailbox: the poll is due all the same. */
static void news_seen_by_a_guest_access_still_needs_a_poll(void **state)
{
    (void)state;
    (void)poll_vector(cpu);
    post(0x41);
    assert_true(guest_bit(cpu, VLAPIC_REG_IRR, 0x41));
    assert_false(vlapic_cpu_enter(cpu));
    assert_int_equal(poll_vector(cpu), 0x41);
    assert_true(vlapic_cpu_enter(cpu));
}

/* A high line is a state, not news: it must not keep the vCPU from the guest for ever. */
static void a_high_line_does_not_keep_the_cpu_awake(void **state)
{
    (void)state;
    vlapic_cpu_lint(cpu, 0, true);
    (void)poll_vector(cpu);
    assert_true(vlapic_cpu_halt(cpu));
    vlapic_cpu_exit(cpu);
    assert_true(vlapic_cpu_enter(cpu));
}

/* A second SIPI behind the first changes nothing, so it kicks nobody. */
static void init_and_sipi_kick_when_they_are_news(void **state)
{
    struct vlapic_cpu *sender = fake_cpu_at(&fake, fake_vm_add_cpu(&fake, 1));

    (void)state;
    (void)poll_vector(cpu);
    assert_true(vlapic_cpu_enter(cpu));
    fake_forget(&fake);
    guest_icr(sender, 0, 0x600 | 0x12);
    assert_int_equal(kicks(), 1);
    guest_icr(sender, 0, 0x600 | 0x13);
    assert_int_equal(kicks(), 0);
    guest_icr(sender, 0, 0x500);
    assert_int_equal(kicks(), 1);
}

static void loading_and_putting_need_no_backend_op(void **state)
{
    (void)state;
    vlapic_cpu_load(cpu);
    vlapic_cpu_put(cpu);
    assert_int_equal(poll_vector(cpu), -1);
}

/* --- a backend that counts its ops -------------------------------------------------------------------------------------- */

static unsigned loads, puts_, enters, exits;

static void on_load(void *s)
{
    (void)s;
    loads++;
}

static void on_put(void *s)
{
    (void)s;
    puts_++;
}

static void on_enter(void *s, const struct vlapic_entry *entry)
{
    (void)s;
    (void)entry;
    enters++;
}

static uint32_t on_exit_(void *s)
{
    (void)s;
    exits++;
    return 0;
}

static void the_backend_hears_of_load_put_enter_and_exit(void **state)
{
    struct vlapic_backend backend = vlapic_backend_soft;

    (void)state;
    backend.load = on_load;
    backend.put = on_put;
    backend.enter = on_enter;
    backend.exit = on_exit_;
    loads = puts_ = enters = exits = 0;
    fake_vm_prepare(&fake, VLAPIC_VENDOR_INTEL);
    fake.config.backend = &backend;
    fake_vm_start(&fake, 1, NULL);
    cpu = fake_cpu_at(&fake, 0);
    guest_software_enable(cpu);
    vlapic_cpu_load(cpu);
    (void)poll_vector(cpu);
    assert_true(vlapic_cpu_enter(cpu));
    vlapic_cpu_exit(cpu);
    assert_int_equal(exits, 1);
    vlapic_cpu_exit(cpu); /* not in the guest: nothing to leave */
    assert_true(vlapic_cpu_halt(cpu));
    vlapic_cpu_exit(cpu);
    post(0x41);
    assert_false(vlapic_cpu_enter(cpu)); /* refused: the backend does not hear of it */
    vlapic_cpu_put(cpu);
    assert_int_equal(loads, 1);
    assert_int_equal(puts_, 1);
    assert_int_equal(enters, 1);
    assert_int_equal(exits, 1);
    fake_vm_stop(&fake);
}

/* An expiry that a look at the state lets take place has used up the host timer: nobody else would wake the vCPU. */
static void an_expiry_found_by_reading_the_state_needs_a_poll(void **state)
{
    struct vlapic_cpu_state s;

    (void)state;
    guest_write(cpu, VLAPIC_REG_LVT_TIMER, 0x40);
    guest_write(cpu, VLAPIC_REG_DIVIDE_CONFIG, 0xB);
    for (int i = 0; i < 2; i++) {
        guest_write(cpu, VLAPIC_REG_INITIAL_COUNT, 1000);
        assert_int_equal(poll_vector(cpu), -1);
        fake_set_ns(&fake, fake.now_ns + 2000); /* the host's timer is late */
        assert_int_equal(vlapic_cpu_get_state(cpu, &s, sizeof(s)), VLAPIC_OK);
        assert_false(i == 0 ? vlapic_cpu_halt(cpu) : vlapic_cpu_enter(cpu));
        assert_int_equal(take_vector(cpu), 0x40);
        guest_eoi(cpu);
    }
}

/* ---- kick_many ---- */

static struct fake_vm crowd;
static unsigned batches, batched;

static void kick_many(void *vm_cookie, void *const *cpu_cookies, uint32_t count)
{
    assert_ptr_equal(vm_cookie, &crowd);
    assert_true(count >= 1 && count <= 16);
    for (uint32_t i = 0; i < count; i++) {
        /* by ascending ID; number 5 is in the host */
        unsigned expected = 1 + batched + (batched >= 4);

        assert_ptr_equal(((struct fake_cpu *)cpu_cookies[i])->cpu, fake_cpu_at(&crowd, expected));
        batched++;
    }
    batches++;
}

static void start_crowd(bool with_kick_many)
{
    fake_vm_prepare(&crowd, VLAPIC_VENDOR_INTEL);
    crowd.ops.kick_many = with_kick_many ? kick_many : NULL;
    fake_vm_start(&crowd, 40, NULL);
    for (unsigned i = 1; i < 40; i++) {
        struct vlapic_poll duty;

        guest_software_enable(fake_cpu_at(&crowd, i));
        vlapic_cpu_poll(fake_cpu_at(&crowd, i), &duty);
        if (i != 5) {
            assert_true(vlapic_cpu_enter(fake_cpu_at(&crowd, i)));
        }
    }
    batches = batched = 0;
    fake_forget(&crowd);
}

/* One call for several vCPUs, and the single kick not used: for who is away, once. */
static void a_message_to_many_kicks_in_batches(void **state)
{
    (void)state;
    start_crowd(true);
    guest_icr(fake_cpu_at(&crowd, 0), 0, 0xC0041);
    assert_int_equal(batched, 38);
    assert_int_equal(batches, 3);
    assert_int_equal(fake_count(&crowd, FAKE_KICK), 0);
    guest_icr(fake_cpu_at(&crowd, 0), 0, 0xC0042); /* the notifications are outstanding */
    assert_int_equal(batched, 38);
    guest_icr(fake_cpu_at(&crowd, 0), 5u << 24, 0x41); /* one target: the single kick, if any */
    assert_int_equal(batches, 3);
    fake_vm_stop(&crowd);
}

static void without_kick_many_each_is_kicked(void **state)
{
    (void)state;
    start_crowd(false);
    guest_icr(fake_cpu_at(&crowd, 0), 0, 0xC0041);
    assert_int_equal(fake_count(&crowd, FAKE_KICK), 38);
    fake_vm_stop(&crowd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(in_the_host_nobody_is_kicked),
        TEST(in_the_guest_each_kind_of_news_kicks_once),
        TEST(many_vectors_kick_once_until_they_are_collected),
        TEST(a_halted_cpu_is_woken),
        TEST(news_after_the_poll_stops_enter_and_halt),
        TEST(news_seen_by_a_guest_access_still_needs_a_poll),
        TEST(a_high_line_does_not_keep_the_cpu_awake),
        TEST(init_and_sipi_kick_when_they_are_news),
        TEST(an_expiry_found_by_reading_the_state_needs_a_poll),
        TEST(loading_and_putting_need_no_backend_op),
        cmocka_unit_test(the_backend_hears_of_load_put_enter_and_exit),
        cmocka_unit_test(a_message_to_many_kicks_in_batches),
        cmocka_unit_test(without_kick_many_each_is_kicked),
    };
    int failed = cmocka_run_group_tests_name("soft", tests, NULL, NULL);

    fake_backend = &posting_backend;
    return failed + cmocka_run_group_tests_name("posting backend", tests, NULL, NULL);
}
