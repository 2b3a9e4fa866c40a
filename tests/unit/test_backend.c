/* SPDX-License-Identifier: BSD-2-Clause */
/* What the core asks of a backend, and tells it of changes that hardware may mirror: include/vlapic/backend.h. */
#include "fake_host.h"
#include "posting_backend.h"
#include "state_helpers.h"

#include "vlapic_model.h"

static struct fake_vm fake;
static struct vlapic_backend backend;
static struct vlapic_cpu *cpu;
static uint32_t told;       /* since the last look */
static int offered_at_tmr;  /* the vector deliverable when VLAPIC_CHANGE_TMR was told last */
static uint32_t tpr_at_all; /* TPR when VLAPIC_CHANGE_ALL was told last: the state in place by then */

static void on_change(void *cpu_state, uint32_t what)
{
    (void)cpu_state;
    told |= what;
    if (what == VLAPIC_CHANGE_ALL && cpu != NULL) {
        tpr_at_all = vlapic_get(cpu, VLAPIC_REG_TPR);
    }
    if (what == VLAPIC_CHANGE_TMR) {
        offered_at_tmr = vlapic_deliverable(cpu);
    }
}

static unsigned collects;

static bool on_collect(void *cpu_state, struct vlapic_vectors *posted, struct vlapic_vectors *level)
{
    collects++;
    return posting_backend.collect(cpu_state, posted, level);
}

static int start(void **state)
{
    (void)state;
    backend = posting_backend;
    backend.changed = on_change;
    backend.collect = on_collect;
    cpu = NULL;
    fake_vm_prepare(&fake, VLAPIC_VENDOR_AMD);
    fake.config.backend = &backend;
    fake.config.ext_space = true;
    fake.config.id_writable = true;
    fake_vm_start(&fake, 1, NULL);
    cpu = fake_cpu_at(&fake, 0);
    guest_software_enable(cpu);
    guest_write(cpu, VLAPIC_REG_EXT_CONTROL, VLAPIC_EXT_SEOI | VLAPIC_EXT_IER);
    told = 0;
    return 0;
}

static int stop(void **state)
{
    (void)state;
    fake_vm_stop(&fake);
    return 0;
}

/* At least these; being told of more is harmless. */
static void assert_told(uint32_t expected, const char *after)
{
    if ((told & expected) != expected) {
        fail_msg("after %s: told %02x, not %02x", after, told, expected);
    }
    told = 0;
}

static void assert_told_nothing(const char *after)
{
    if (told != 0) {
        fail_msg("after %s: told %02x for nothing", after, told);
    }
}

static void registers_of_the_identity_are_told(void **state)
{
    (void)state;
    guest_write(cpu, VLAPIC_REG_ID, 5u << 24);
    assert_told(VLAPIC_CHANGE_IDENTITY, "ID");
    guest_write(cpu, VLAPIC_REG_LDR, 2u << 24);
    assert_told(VLAPIC_CHANGE_IDENTITY, "LDR");
    guest_write(cpu, VLAPIC_REG_DFR, 0);
    assert_told(VLAPIC_CHANGE_IDENTITY, "DFR");
}

static void each_way_to_change_tpr_is_told(void **state)
{
    (void)state;
    guest_write(cpu, VLAPIC_REG_TPR, 0x20);
    assert_told(VLAPIC_CHANGE_TPR, "TPR");
    assert_int_equal(vlapic_cpu_cr8_write(cpu, 3), VLAPIC_ACCESS_DONE);
    assert_told(VLAPIC_CHANGE_TPR, "CR8");
}

static void each_change_of_isr_is_told(void **state)
{
    (void)state;
    vlapic_cpu_post(cpu, 0x41, false);
    assert_int_equal(poll_vector(cpu), 0x41);
    told = 0;
    assert_true(vlapic_cpu_accept(cpu, 0x41));
    assert_told(VLAPIC_CHANGE_ISR, "accept");
    assert_true(vlapic_cpu_unaccept(cpu, 0x41));
    assert_told(VLAPIC_CHANGE_ISR, "unaccept");
    assert_int_equal(take_vector(cpu), 0x41);
    told = 0;
    guest_write(cpu, VLAPIC_REG_IER + 0x20, ~2u);
    assert_told(VLAPIC_CHANGE_ISR, "IER");
    guest_write(cpu, VLAPIC_REG_SEOI, 0x41);
    assert_told(VLAPIC_CHANGE_ISR, "SEOI");
    vlapic_cpu_post(cpu, 0x51, false);
    assert_int_equal(take_vector(cpu), 0x51);
    told = 0;
    guest_eoi(cpu);
    assert_told(VLAPIC_CHANGE_ISR, "EOI");
}

/* TMR decides which EOIs hardware has to trap: told whenever a bit of it changes, by whichever way a vector comes in. */
static void each_change_of_tmr_is_told(void **state)
{
    (void)state;
    for (unsigned vector = 16; vector < 256; vector++) {
        vlapic_cpu_post(cpu, (uint8_t)vector, true);
        (void)poll_vector(cpu);
        assert_told(VLAPIC_CHANGE_TMR, "a level post");
        vlapic_cpu_post(cpu, (uint8_t)vector, false);
        (void)poll_vector(cpu);
        assert_told(VLAPIC_CHANGE_TMR, "an edge post");
    }
    guest_write(cpu, VLAPIC_REG_LVT_LINT0, VLAPIC_LVT_LEVEL | 0x61);
    vlapic_cpu_lint(cpu, 0, true);
    (void)poll_vector(cpu);
    assert_told(VLAPIC_CHANGE_TMR, "a level of LINT0");
    guest_write(cpu, VLAPIC_REG_LVT_THERMAL, 0x61);
    vlapic_cpu_lvt_event(cpu, VLAPIC_LVT_THERMAL);
    (void)poll_vector(cpu);
    assert_told(VLAPIC_CHANGE_TMR, "an edge of the same vector");
}

static void what_leaves_tmr_as_it_is_tells_nothing(void **state)
{
    (void)state;
    for (int level = 0; level < 2; level++) {
        vlapic_cpu_post(cpu, 0x41, level);
        (void)poll_vector(cpu);
        told = 0;
        vlapic_cpu_post(cpu, 0x41, level);
        (void)poll_vector(cpu);
        assert_told_nothing("the same again");
    }
}

static void modes_are_told(void **state)
{
    uint64_t base = vlapic_cpu_apic_base(cpu);

    (void)state;
    guest_wrmsr(cpu, VLAPIC_MSR_APIC_BASE, base + 0x1000);
    assert_told(VLAPIC_CHANGE_MODE, "the window moved");
    guest_wrmsr(cpu, VLAPIC_MSR_APIC_BASE, base);
    told = 0;
    guest_enable_x2apic(cpu);
    assert_told(VLAPIC_CHANGE_MODE | VLAPIC_CHANGE_IDENTITY, "x2APIC mode");
    guest_disable_apic(cpu);
    assert_told(VLAPIC_CHANGE_ALL & ~VLAPIC_CHANGE_VOID, "disabled mode"); /* an NMI on its way is none of the APIC's */
    guest_enable_xapic(cpu);
    assert_told(VLAPIC_CHANGE_MODE | VLAPIC_CHANGE_IDENTITY, "xAPIC mode");
}

static void everything_is_told_once_a_reset_is_done(void **state)
{
    (void)state;
    guest_write(cpu, VLAPIC_REG_TPR, 0x55);
    told = 0;
    vlapic_cpu_reset(cpu);
    assert_told(VLAPIC_CHANGE_ALL, "RESET");
    assert_int_equal(tpr_at_all, 0);
    guest_write(cpu, VLAPIC_REG_TPR, 0x55);
    told = 0;
    vlapic_cpu_take_init(cpu);
    assert_told(VLAPIC_CHANGE_ALL, "INIT");
    assert_int_equal(tpr_at_all, 0);
}

static void everything_is_told_once_a_load_is_done(void **state)
{
    struct vlapic_cpu_state saved;

    (void)state;
    guest_write(cpu, VLAPIC_REG_TPR, 0x55);
    state_read(cpu, &saved);
    vlapic_cpu_reset(cpu);
    told = 0;
    assert_int_equal(vlapic_cpu_set_state(cpu, &saved, VLAPIC_TIME_STOPPED, NULL), VLAPIC_OK);
    assert_told(VLAPIC_CHANGE_ALL, "a load");
    assert_int_equal(tpr_at_all, 0x55);
}

/* Collecting costs locked operations: it is asked for after a verdict, and by nothing else that comes in. */
static void vectors_are_collected_when_there_are_some(void **state)
{
    (void)state;
    collects = 0;
    vlapic_vm_msi(fake.vm, 0xFEE00000, 0x400, NULL);
    vlapic_cpu_lint(cpu, 1, true);
    vlapic_cpu_lvt_event(cpu, VLAPIC_LVT_THERMAL);
    vlapic_cpu_timer_expired(cpu);
    (void)poll_vector(cpu);
    assert_int_equal(collects, 0);
    vlapic_cpu_post(cpu, 0x41, false);
    vlapic_cpu_post(cpu, 0x51, false);
    assert_int_equal(poll_vector(cpu), 0x51);
    (void)poll_vector(cpu);
    assert_int_equal(collects, 1);
}

static void looking_tells_nothing(void **state)
{
    struct vlapic_cpu_state saved;

    (void)state;
    for (uint32_t offset = VLAPIC_REG_ID; offset <= VLAPIC_REG_DIVIDE_CONFIG; offset += 16) {
        (void)guest_read(cpu, offset);
    }
    (void)vlapic_cpu_cr8_read(cpu);
    (void)poll_vector(cpu);
    guest_eoi(cpu); /* nothing in service */
    state_read(cpu, &saved);
    assert_told_nothing("looking around");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

/* By posting, and by an interrupt of its own. */
static void a_trigger_mode_is_told_when_the_vector_is_in_place(void **state)
{
    (void)state;
    assert_true(vlapic_cpu_post(cpu, 0x61, true));
    assert_int_equal(poll_vector(cpu), 0x61);
    assert_int_equal(offered_at_tmr, 0x61);
    assert_true(vlapic_cpu_post(cpu, 0x92, true));
    assert_int_equal(take_vector(cpu), 0x92);
    guest_eoi(cpu);
    assert_told(VLAPIC_CHANGE_TMR, "posts");
    guest_write(cpu, VLAPIC_REG_ICR_LOW, 0x40092);
    assert_int_equal(poll_vector(cpu), 0x92);
    assert_int_equal(offered_at_tmr, 0x92);
    guest_write(cpu, VLAPIC_REG_LVT_LINT0, 0x80A3);
    vlapic_cpu_lint(cpu, 0, true);
    assert_int_equal(poll_vector(cpu), 0xA3);
    assert_int_equal(offered_at_tmr, 0xA3);
}

static enum vlapic_post deliver_by_hardware(void *cpu_state, uint8_t vector, bool level)
{
    (void)posting_backend.post(cpu_state, vector, level);
    return VLAPIC_POST_NONE;
}

/* A vector of which the core was told nothing travels with the state. */
static void reading_the_state_collects_what_the_backend_holds(void **state)
{
    struct vlapic_backend silent = backend;
    struct vlapic_cpu_state s;

    (void)state;
    fake_vm_stop(&fake);
    silent.post = deliver_by_hardware;
    fake_vm_prepare(&fake, VLAPIC_VENDOR_INTEL);
    fake.config.backend = &silent;
    cpu = NULL;
    fake_vm_start(&fake, 1, NULL);
    cpu = fake_cpu_at(&fake, 0);
    guest_software_enable(cpu);
    assert_int_equal(poll_vector(cpu), -1);
    assert_true(vlapic_cpu_post(cpu, 0x61, false));
    assert_int_equal(vlapic_cpu_get_state(cpu, &s, sizeof(s)), VLAPIC_OK);
    assert_int_equal(s.irr[3], 2);
    assert_false(vlapic_cpu_enter(cpu));
    assert_int_equal(poll_vector(cpu), 0x61);
    fake_vm_stop(&fake);
    start(NULL);
}

/* --- a backend whose hardware may deliver to a vCPU in the guest ------------------------------------------------------------ */

static enum vlapic_post verdict;
static unsigned notifications, blocks, unblocks;
static bool outstanding;

static enum vlapic_post post_with_verdict(void *shared, uint8_t vector, bool level)
{
    if (verdict != VLAPIC_POST_DECLINE) {
        (void)posting_backend.post(shared, vector, level);
        outstanding = true;
    }
    return verdict;
}

static void on_notify(void *shared)
{
    (void)shared;
    notifications++;
}

static bool on_pending(const void *shared)
{
    (void)shared;
    return outstanding;
}

static bool collect_outstanding(void *cpu_state, struct vlapic_vectors *posted, struct vlapic_vectors *level)
{
    outstanding = false;
    return posting_backend.collect(cpu_state, posted, level);
}

static void on_block(void *cpu_state)
{
    (void)cpu_state;
    blocks++;
}

static void on_unblock(void *cpu_state)
{
    (void)cpu_state;
    unblocks++;
}

/* The guest lowers TPR and completes 61h; hardware has put 71h into IRR. */
static uint32_t guest_ran(void *cpu_state)
{
    (void)cpu_state;
    vlapic_put(cpu, VLAPIC_REG_ISR + 0x30, 0);
    vlapic_put(cpu, VLAPIC_REG_IRR + 0x30, 1u << 0x11);
    vlapic_put(cpu, VLAPIC_REG_TPR, 0x20);
    return VLAPIC_CHANGE_ISR | VLAPIC_CHANGE_TPR;
}

static struct vlapic_entry entered;

static void on_enter(void *cpu_state, const struct vlapic_entry *entry)
{
    (void)cpu_state;
    entered = *entry;
}

static int start_hardware(void **state)
{
    start(state);
    fake_vm_stop(&fake);
    backend.post = post_with_verdict;
    backend.notify = on_notify;
    backend.pending = on_pending;
    backend.collect = collect_outstanding;
    backend.block = on_block;
    backend.unblock = on_unblock;
    backend.enter = on_enter;
    backend.exit = guest_ran;
    backend.cpu_pages = 1;
    outstanding = false;
    verdict = VLAPIC_POST_NOTIFY;
    notifications = blocks = unblocks = 0;
    cpu = NULL;
    fake_vm_prepare(&fake, VLAPIC_VENDOR_INTEL);
    fake.config.backend = &backend;
    fake_vm_start(&fake, 1, NULL);
    cpu = fake_cpu_at(&fake, 0);
    guest_software_enable(cpu);
    (void)poll_vector(cpu);
    return 0;
}

/* backend.h, VLAPIC_POST_NOTIFY: in the guest the backend tells hardware; in the host nobody is told; asleep the host is kicked. */
static void a_notification_goes_where_the_run_state_says(void **state)
{
    (void)state;
    assert_true(vlapic_cpu_enter(cpu));
    fake_forget(&fake);
    assert_true(vlapic_cpu_post(cpu, 0x61, false));
    assert_int_equal(notifications, 1);
    assert_int_equal(fake_count(&fake, FAKE_KICK), 0);
    outstanding = false; /* hardware took it */
    vlapic_cpu_exit(cpu);
    assert_true(vlapic_cpu_post(cpu, 0x62, false));
    assert_int_equal(notifications, 1);
    assert_int_equal(fake_count(&fake, FAKE_KICK), 0);
    (void)poll_vector(cpu);
    assert_true(vlapic_cpu_halt(cpu));
    assert_true(vlapic_cpu_post(cpu, 0x63, false));
    assert_int_equal(notifications, 1);
    assert_int_equal(fake_count(&fake, FAKE_KICK), 1);
}

/* A vCPU that left the guest before the notification came: enter and halt ask the backend, and the poll after them collects. */
static void what_only_the_backend_knows_of_keeps_the_vcpu_from_entering_and_sleeping(void **state)
{
    (void)state;
    assert_true(vlapic_cpu_enter(cpu));
    assert_true(vlapic_cpu_post(cpu, 0x81, false));
    vlapic_cpu_exit(cpu);
    assert_false(vlapic_cpu_enter(cpu));
    assert_int_equal(poll_vector(cpu), 0x81);
    assert_true(vlapic_cpu_enter(cpu));
    assert_true(vlapic_cpu_post(cpu, 0x91, false));
    vlapic_cpu_exit(cpu);
    assert_false(vlapic_cpu_halt(cpu));
    assert_int_equal(blocks, 1);
    assert_int_equal(unblocks, 1);
    assert_int_equal(poll_vector(cpu), 0x91);
    assert_true(vlapic_cpu_halt(cpu));
    vlapic_cpu_exit(cpu);
    assert_int_equal(blocks, 2);
    assert_int_equal(unblocks, 2);
}

/* run.h, vlapic_cpu_enter(): the last call of enter and halt counts. */
static void a_vcpu_that_enters_instead_of_sleeping_is_blocked_no_more(void **state)
{
    (void)state;
    assert_true(vlapic_cpu_halt(cpu));
    assert_true(vlapic_cpu_enter(cpu));
    assert_int_equal(unblocks, 1);
    vlapic_cpu_exit(cpu);
    assert_int_equal(unblocks, 1);
    assert_true(vlapic_cpu_halt(cpu));
    outstanding = true;
    assert_false(vlapic_cpu_enter(cpu));
    assert_int_equal(unblocks, 2);
}

static void what_the_backend_declines_waits_in_the_mailbox(void **state)
{
    (void)state;
    verdict = VLAPIC_POST_DECLINE;
    assert_true(vlapic_cpu_enter(cpu));
    fake_forget(&fake);
    assert_true(vlapic_cpu_post(cpu, 0x81, true));
    assert_int_equal(fake_count(&fake, FAKE_KICK), 1);
    assert_true(vlapic_cpu_post(cpu, 0x81, true));
    assert_int_equal(fake_count(&fake, FAKE_KICK), 1);
    vlapic_cpu_exit(cpu);
    assert_int_equal(poll_vector(cpu), 0x81);
    assert_true(vlapic_test_vector(cpu, VLAPIC_REG_TMR, 0x81));
}

/* What hardware did to the page is what the model goes on with. */
static void the_model_goes_on_with_the_page_as_hardware_left_it(void **state)
{
    (void)state;
    verdict = VLAPIC_POST_KICK;
    guest_write(cpu, VLAPIC_REG_TPR, 0x50);
    assert_true(vlapic_cpu_post(cpu, 0x61, false));
    assert_int_equal(take_vector(cpu), 0x61);
    assert_true(vlapic_cpu_enter(cpu));
    assert_int_equal(entered.pending, 0);
    assert_int_equal(entered.in_service, 0x61);
    assert_int_equal(entered.ppr, 0x60);
    assert_int_equal(entered.deliverable, -1);
    vlapic_cpu_exit(cpu);
    assert_int_equal(guest_read(cpu, VLAPIC_REG_PPR), 0x20);
    assert_int_equal(poll_vector(cpu), 0x71);
    assert_true(vlapic_cpu_enter(cpu));
    assert_int_equal(entered.pending, 0x71);
    assert_int_equal(entered.in_service, 0);
    assert_int_equal(entered.deliverable, 0x71);
    vlapic_cpu_exit(cpu);
}

static void software_enable_is_told(void **state)
{
    (void)state;
    guest_write(cpu, VLAPIC_REG_SVR, 0xFF);
    assert_told(VLAPIC_CHANGE_ENABLE, "software disable");
    guest_write(cpu, VLAPIC_REG_SVR, 0xFF);
    assert_told_nothing("the same again");
    guest_write(cpu, VLAPIC_REG_SVR, 0x1FF);
    assert_told(VLAPIC_CHANGE_ENABLE, "software enable");
}

/* The EOI that hardware has done reaches the I/O APICs by the TMR bit. */
static void an_eoi_of_hardware_is_broadcast(void **state)
{
    (void)state;
    vlapic_cpu_post(cpu, 0x61, true);
    vlapic_cpu_post(cpu, 0x71, false);
    (void)poll_vector(cpu);
    fake_forget(&fake);
    vlapic_backend_eoi(cpu, 0x71);
    assert_int_equal(fake_count(&fake, FAKE_EOI_BROADCAST), 0);
    vlapic_backend_eoi(cpu, 0x61);
    assert_int_equal(fake_count(&fake, FAKE_EOI_BROADCAST), 1);
    vlapic_backend_eoi(cpu, 0);
    assert_int_equal(fake_count(&fake, FAKE_EOI_BROADCAST), 1);
}

static void only_the_backend_itself_finds_its_memory(void **state)
{
    (void)state;
    assert_non_null(vlapic_backend_cpu_state(cpu, &backend));
    assert_null(vlapic_backend_cpu_state(cpu, &posting_backend));
    assert_non_null(vlapic_backend_vm_state(fake.vm, &backend));
    assert_null(vlapic_backend_vm_state(fake.vm, &posting_backend));
}

#define HARDWARE(name) cmocka_unit_test_setup_teardown(name, start_hardware, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reading_the_state_collects_what_the_backend_holds),
        TEST(a_trigger_mode_is_told_when_the_vector_is_in_place),
        TEST(registers_of_the_identity_are_told),
        TEST(each_way_to_change_tpr_is_told),
        TEST(each_change_of_isr_is_told),
        TEST(each_change_of_tmr_is_told),
        TEST(what_leaves_tmr_as_it_is_tells_nothing),
        TEST(modes_are_told),
        TEST(everything_is_told_once_a_reset_is_done),
        TEST(everything_is_told_once_a_load_is_done),
        TEST(vectors_are_collected_when_there_are_some),
        TEST(looking_tells_nothing),
        HARDWARE(a_notification_goes_where_the_run_state_says),
        HARDWARE(what_only_the_backend_knows_of_keeps_the_vcpu_from_entering_and_sleeping),
        HARDWARE(a_vcpu_that_enters_instead_of_sleeping_is_blocked_no_more),
        HARDWARE(what_the_backend_declines_waits_in_the_mailbox),
        HARDWARE(the_model_goes_on_with_the_page_as_hardware_left_it),
        TEST(software_enable_is_told),
        HARDWARE(an_eoi_of_hardware_is_broadcast),
        HARDWARE(only_the_backend_itself_finds_its_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
