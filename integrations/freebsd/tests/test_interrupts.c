/* SPDX-License-Identifier: BSD-2-Clause */
/* Interrupts, accesses, the timer and life of the glue for bhyve's vmm. */
#include "vmm.h"

#include <pthread.h>
#include <string.h>

static struct vmm vmm;
static struct vcpu *const bsp = &vmm.vcpu[0];

static int start(void **state)
{
    (void)state;
    vmm_prepare(&vmm);
    vmm_start(&vmm, 2);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    vmm_stop(&vmm);
    return 0;
}

/* ---- interrupts ---- */

static void an_msi_notifies_and_is_injected_once(void **state)
{
    (void)state;
    kernel_critical_enter();
    assert_int_equal(vlapic_bhyve_msi(vmm.vm, 0xFEE00000, 0x41), 0);
    assert_int_equal(vlapic_bhyve_msi(vmm.vm, 0xFEE00000, 0x41), 0); /* merges: no second notification */
    assert_int_not_equal(vlapic_bhyve_msi(vmm.vm, 0xFED00000, 0x42), 0);
    kernel_critical_exit();
    assert_int_equal(notified(bsp), 1);
    assert_int_equal(pending(bsp), 0x41);
    assert_int_equal(pending(bsp), 0x41); /* asking changes nothing */
    assert_int_equal(take(bsp), 0x41);
    assert_int_equal(pending(bsp), -1);
    guest_write(bsp, VLAPIC_REG_EOI, 0);
    assert_int_equal(vmm.eois, 0);
}

static void an_eoi_of_a_level_reaches_the_io_apic(void **state)
{
    (void)state;
    kernel_critical_enter();
    vlapic_bhyve_deliver(vmm.vm, true, 0, true, 0, 0x51);
    kernel_critical_exit();
    assert_int_equal(take(bsp), 0x51);
    guest_write(bsp, VLAPIC_REG_EOI, 0);
    assert_int_equal(vmm.eois, 1);
    assert_int_equal(vmm.last_eoi, 0x51);
}

static void an_eoi_without_an_io_apic_goes_nowhere(void **state)
{
    (void)state;
    vmm.host.ioapic_eoi = NULL;
    assert_true(post(bsp, 0x51, true));
    assert_int_equal(take(bsp), 0x51);
    guest_write(bsp, VLAPIC_REG_EOI, 0);
    assert_int_equal(pending(bsp), -1);
}

static void a_logical_message_of_the_io_apic_finds_its_vcpu(void **state)
{
    (void)state;
    vmm_start_aps(&vmm, 2);
    guest_write(bsp, VLAPIC_REG_LDR, 0x01000000);
    guest_write(&vmm.vcpu[1], VLAPIC_REG_LDR, 0x02000000);
    kernel_critical_enter();
    vlapic_bhyve_deliver(vmm.vm, false, 0x02, false, 0, 0x61);
    vlapic_bhyve_deliver(vmm.vm, false, 0x01, false, 4 | 8, 0); /* NMI; what is above three bits is not the mode's */
    kernel_critical_exit();
    assert_int_equal(pending(bsp), -1);
    assert_int_equal(pending(&vmm.vcpu[1]), 0x61);
    assert_true(events(bsp));
    assert_int_equal(bsp->nmis, 1);
}

static void a_post_tells_whether_it_was_accepted(void **state)
{
    (void)state;
    assert_true(post(bsp, 0x31, false));
    assert_false(post(bsp, 0x0F, false)); /* illegal */
    assert_false(post(bsp, -1, false));
    assert_false(post(bsp, 256, false));
    assert_false(post(&vmm.vcpu[1], 0x31, false)); /* software-disabled */
    assert_int_equal(take(bsp), 0x31);
    assert_int_equal(pending(bsp), -1);
}

static void cr8_holds_interrupts_back(void **state)
{
    (void)state;
    kernel_critical_enter();
    assert_int_equal(vlapic_bhyve_set_cr8(bsp->apic, 5), 0);
    assert_int_equal(vlapic_bhyve_get_cr8(bsp->apic), 5);
    assert_int_not_equal(vlapic_bhyve_set_cr8(bsp->apic, 16), 0);
    kernel_critical_exit();
    assert_true(post(bsp, 0x5F, false));
    assert_int_equal(pending(bsp), -1);
    assert_true(post(bsp, 0x60, false));
    assert_int_equal(pending(bsp), 0x60);
    assert_int_equal(guest_read(bsp, VLAPIC_REG_TPR), 0x50);
}

static void lvt_entries_are_pulsed_on_one_vcpu_and_on_all(void **state)
{
    (void)state;
    vmm_start_aps(&vmm, 2);
    for (unsigned i = 0; i < 2; i++) {
        guest_write(&vmm.vcpu[i], VLAPIC_REG_LVT_CMCI, 0x70 + i);
        guest_write(&vmm.vcpu[i], VLAPIC_REG_LVT_PERF, 0x400); /* NMI */
        guest_write(&vmm.vcpu[i], VLAPIC_REG_LVT_LINT1, 0x80);
    }
    kernel_critical_enter();
    assert_int_equal(vlapic_bhyve_trigger_lvt(vmm.vm, NULL, VLAPIC_LVT_CMCI), 0);
    assert_int_equal(vlapic_bhyve_trigger_lvt(vmm.vm, bsp->apic, VLAPIC_LVT_PERF), 0);
    assert_int_equal(vlapic_bhyve_trigger_lvt(vmm.vm, vmm.vcpu[1].apic, VLAPIC_LVT_LINT1), 0);
    assert_int_not_equal(vlapic_bhyve_trigger_lvt(vmm.vm, NULL, VLAPIC_LVT_TIMER), 0);
    assert_int_not_equal(vlapic_bhyve_trigger_lvt(vmm.vm, NULL, VLAPIC_LVT_ERROR), 0);
    kernel_critical_exit();
    assert_int_equal(take(bsp), 0x70);
    assert_int_equal(take(&vmm.vcpu[1]), 0x80);
    guest_write(&vmm.vcpu[1], VLAPIC_REG_EOI, 0);
    assert_int_equal(take(&vmm.vcpu[1]), 0x71);
    events(bsp);
    assert_int_equal(bsp->nmis, 1);
    kernel_critical_enter();
    assert_int_equal(vlapic_bhyve_trigger_lvt(vmm.vm, NULL, VLAPIC_LVT_LINT1), 0); /* a second pulse, on both */
    kernel_critical_exit();
    guest_write(&vmm.vcpu[1], VLAPIC_REG_EOI, 0);
    assert_int_equal(take(&vmm.vcpu[1]), 0x80);
    assert_int_equal(take(bsp), 0x80);
}

/* ---- accesses ---- */

static void memory_that_is_no_register_reads_ones_and_never_fails(void **state)
{
    static const struct {
        uint64_t offset;
        int size;
        uint64_t value;
    } rows[] = {
        { 0x1000, 4, 0xFFFFFFFF },
        { 0x100000020, 4, 0xFFFFFFFF },
        { 0x20, 0, 0 },
        { 0x20, -1, 0 },
        { 0x1000, 8, UINT64_MAX },
        { 0x30, 1, 0x14 },
        { 0x31, 1, 0 },
        { 0x20, 9, UINT64_MAX },
        { 0x20, 4, 0 },
        { 0x24, 4, 0 },
        { 0xFFFFFFFFFFFFFFFF, 2, 0xFFFF },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t value = 0x5A5A;
        bool exit = true;

        assert_int_equal(vlapic_bhyve_read(bsp->apic, true, rows[i].offset, rows[i].size, &value), 0);
        if (value != rows[i].value)
            fail_msg("row %zu: %lx", i, value);
        assert_int_equal(vlapic_bhyve_write(bsp->apic, true, rows[i].offset, rows[i].size, 0x12345678, &exit), 0);
        assert_false(exit);
    }
    guest_wrmsr(bsp, 0x1B, 0xFEE00900 & ~0x800u); /* disabled */
    assert_int_equal(guest_read(bsp, VLAPIC_REG_VERSION), 0xFFFFFFFF);
}

static void msrs_work_in_x2apic_mode_and_fault_without_it(void **state)
{
    uint64_t value;
    bool exit;

    (void)state;
    assert_true(vlapic_bhyve_handles_msr(0x1B) && vlapic_bhyve_handles_msr(0x800) && vlapic_bhyve_handles_msr(0x8FF));
    assert_false(vlapic_bhyve_handles_msr(0x7FF) || vlapic_bhyve_handles_msr(0x900) || vlapic_bhyve_handles_msr(0x6E0));
    guest_rdmsr_faults(bsp, 0x802);
    guest_rdmsr_faults(bsp, 0x6E0);
    guest_wrmsr_faults(bsp, 0x6E0, 0);
    guest_wrmsr(bsp, 0x1B, 0xFEE00D00);
    assert_int_equal(guest_rdmsr(bsp, 0x80D), 1);
    guest_wrmsr_faults(bsp, 0x80B, 1);
    /* The same by offset. */
    assert_int_equal(vlapic_bhyve_write(bsp->apic, false, VLAPIC_REG_TPR, 0, 0x20, &exit), 0);
    assert_false(exit);
    assert_int_equal(vlapic_bhyve_read(bsp->apic, false, VLAPIC_REG_TPR, 0, &value), 0);
    assert_int_equal(value, 0x20);
    assert_int_not_equal(vlapic_bhyve_read(bsp->apic, false, VLAPIC_REG_DFR, 0, &value), 0);
    assert_int_not_equal(vlapic_bhyve_read(bsp->apic, false, 0x1000, 0, &value), 0);
    /* Memory is not the APIC's now. */
    assert_int_equal(guest_read(bsp, VLAPIC_REG_TPR), 0xFFFFFFFF);
}

static void the_version_is_what_bhyve_shows(void **state)
{
    (void)state;
    assert_int_equal(guest_read(bsp, VLAPIC_REG_VERSION), 0x60014);
}

/* ---- the timer ---- */

static void start_timer(struct vcpu *vcpu, uint32_t mode, uint32_t count)
{
    guest_write(vcpu, VLAPIC_REG_LVT_TIMER, 0xEC | mode);
    guest_write(vcpu, VLAPIC_REG_DIVIDE_CONFIG, 0xB); /* by 1 */
    guest_write(vcpu, VLAPIC_REG_INITIAL_COUNT, count);
}

static void a_periodic_timer_runs_at_128_mib_hertz(void **state)
{
    (void)state;
    start_timer(bsp, VLAPIC_LVT_TIMER_PERIODIC, 134217728 / 1000); /* a ms */
    for (unsigned n = 0; n < 1000; n++) {
        assert_int_equal(kernel_armed(), 1);
        assert_int_equal(pending(bsp), -1);
        assert_true(kernel_run_next());
        assert_int_equal(notified(bsp), 1);
        assert_int_equal(take(bsp), 0xEC); /* at that very moment: it did not go off too early */
        guest_write(bsp, VLAPIC_REG_EOI, 0);
    }
    assert_int_equal(kernel_resets(), 1001);
    /* 134,217,000 clocks of 2^-27 s. */
    assert_in_range(kernel_now_ns() - 1000000000, 999994575, 999994578);
}

static void a_one_shot_timer_goes_off_at_its_time_and_not_before(void **state)
{
    (void)state;
    start_timer(bsp, VLAPIC_LVT_TIMER_ONE_SHOT, 134217728);
    kernel_advance_ns(999999000);
    assert_int_equal(notified(bsp), 0);
    assert_int_equal(pending(bsp), -1);
    kernel_advance_ns(2000);
    assert_int_equal(notified(bsp), 1);
    assert_int_equal(take(bsp), 0xEC);
    assert_int_equal(kernel_armed(), 0);
}

static void an_expiry_under_way_when_the_timer_stops_does_nothing(void **state)
{
    (void)state;
    start_timer(bsp, VLAPIC_LVT_TIMER_ONE_SHOT, 1000000);
    guest_write(bsp, VLAPIC_REG_INITIAL_COUNT, 0);
    assert_int_equal(kernel_armed(), 0);
    assert_true(kernel_run_stopped());
    assert_int_equal(pending(bsp), -1);
}

static void a_vcpu_is_destroyed_with_its_timer_armed_or_going_off(void **state)
{
    (void)state;
    vmm_start_aps(&vmm, 2);
    start_timer(&vmm.vcpu[1], VLAPIC_LVT_TIMER_PERIODIC, 1000000);
    vlapic_bhyve_destroy(
        vmm.vcpu[1].apic); /* the stub's drain lets the expiry run that destroying has stopped too late */
    vmm.vcpu[1].apic = NULL;
    assert_int_equal(kernel_armed(), 0);
    vmm_add(&vmm, 1); /* the place is free again */
}

/* ---- life ---- */

static void what_is_not_valid_is_refused_and_gives_everything_back(void **state)
{
    struct vlapic_bhyve_options options;

    (void)state;
    vmm_prepare(&vmm);
    options = vmm.options;
    options.max_cpus = 0;
    assert_null(vlapic_bhyve_vm_create(&vmm, &options));
    options.max_cpus = VLAPIC_APIC_ID_LIMIT + 2;
    assert_null(vlapic_bhyve_vm_create(&vmm, &options));
    options = vmm.options;
    options.vendor = (enum vlapic_vendor)7;
    assert_null(vlapic_bhyve_vm_create(&vmm, &options));
    options = vmm.options;
    options.host = NULL;
    assert_null(vlapic_bhyve_vm_create(&vmm, &options));
    for (unsigned n = 0; n < 4; n++) {
        struct vlapic_bhyve_host host = vmm.host;

        host.notify = n == 0 ? NULL : host.notify;
        host.inject_nmi = n == 1 ? NULL : host.inject_nmi;
        host.init = n == 2 ? NULL : host.init;
        host.sipi = n == 3 ? NULL : host.sipi;
        options.host = &host;
        assert_null(vlapic_bhyve_vm_create(&vmm, &options));
    }
    assert_int_equal(kernel_allocations(), 0);
    vmm_start(&vmm, 1);
    assert_null(vlapic_bhyve_create(vmm.vm, 0, NULL));
    assert_null(vlapic_bhyve_create(vmm.vm, 4, NULL));
    vlapic_bhyve_destroy(NULL);
    vlapic_bhyve_vm_destroy(NULL);
    vmm_stop(&vmm);
}

static void reset_comes_back_to_the_mode_that_the_host_chose(void **state)
{
    (void)state;
    assert_int_equal(vlapic_bhyve_set_x2apic_state(bsp->apic, true), 0);
    assert_int_equal(guest_rdmsr(bsp, 0x1B), 0xFEE00D00);
    guest_wrmsr(bsp, 0x1B, 0xFEE00100); /* the guest disables it */
    vlapic_bhyve_reset(bsp->apic);
    assert_int_equal(guest_rdmsr(bsp, 0x1B), 0xFEE00D00);
    assert_int_equal(vlapic_bhyve_set_x2apic_state(bsp->apic, false), 0);
    assert_int_equal(guest_rdmsr(bsp, 0x1B), 0xFEE00900);
    vlapic_bhyve_reset(bsp->apic);
    assert_int_equal(guest_rdmsr(bsp, 0x1B), 0xFEE00900);
    assert_int_equal(vlapic_bhyve_set_x2apic_state(bsp->apic, false), 0); /* nothing to do */
    assert_int_equal(guest_read(bsp, VLAPIC_REG_SVR), 0xFF);
    guest_wrmsr(bsp, 0x1B, 0xFEE00100);
    assert_int_equal(vlapic_bhyve_set_x2apic_state(bsp->apic, true), 0); /* from the disabled state */
    assert_int_equal(guest_rdmsr(bsp, 0x1B), 0xFEE00D00);
    guest_wrmsr(bsp, 0x808, 0x40);
    assert_int_equal(vlapic_bhyve_set_x2apic_state(bsp->apic, true), 0); /* nothing to do */
    assert_int_equal(guest_rdmsr(bsp, 0x808), 0x40);
}

static void without_x2apic_nobody_enters_it(void **state)
{
    (void)state;
    vmm_prepare(&vmm);
    vmm.options.x2apic = false;
    vmm_start(&vmm, 1);
    assert_int_not_equal(vlapic_bhyve_set_x2apic_state(bsp->apic, true), 0);
    guest_wrmsr_faults(bsp, 0x1B, 0xFEE00D00);
    vlapic_bhyve_reset(bsp->apic);
    assert_int_equal(guest_rdmsr(bsp, 0x1B), 0xFEE00900);
    vmm_stop(&vmm);
}

static void a_vcpu_notifies_after_a_reset_as_before(void **state)
{
    (void)state;
    assert_true(post(bsp, 0x41, false));
    assert_int_equal(notified(bsp), 1);
    assert_int_equal(vlapic_bhyve_msi(vmm.vm, 0xFEE00000, 0x400), 0); /* NMI */
    assert_int_equal(pending(bsp), 0x41);
    notified(bsp);
    vlapic_bhyve_reset(bsp->apic);
    assert_int_equal(pending(bsp), -1);
    assert_false(events_pending(bsp));
    guest_write(bsp, VLAPIC_REG_SVR, 0x1FF);
    assert_true(post(bsp, 0x42, false));
    assert_int_equal(notified(bsp), 1);
    assert_int_equal(take(bsp), 0x42);
}

static void a_snapshot_carries_the_state_and_what_is_pending(void **state)
{
    uint8_t bytes[VLAPIC_SNAPSHOT_MAX];
    size_t length = sizeof bytes, little = 16;

    (void)state;
    guest_write(bsp, VLAPIC_REG_TPR, 0x33);
    assert_true(post(bsp, 0x71, false));
    kernel_critical_enter();
    assert_int_equal(vlapic_bhyve_msi(vmm.vm, 0xFEE00000, 0x400), 0); /* NMI */
    kernel_critical_exit();
    assert_int_equal(pending(bsp), 0x71); /* which takes the NMI out of the library */
    assert_int_equal(vlapic_bhyve_snapshot(bsp->apic, bytes, &length, true), 0);
    assert_in_range(length, 100, sizeof bytes);
    assert_int_equal(bsp->nmis, 1); /* the vmm saves it */
    assert_int_not_equal(vlapic_bhyve_snapshot(bsp->apic, bytes, &little, true), 0);
    vlapic_bhyve_reset(bsp->apic);
    assert_int_equal(vlapic_bhyve_snapshot(bsp->apic, bytes, &length, false), 0);
    assert_int_equal(guest_read(bsp, VLAPIC_REG_TPR), 0x33);
    assert_int_equal(take(bsp), 0x71);
    bytes[0] ^= 1;
    assert_int_not_equal(vlapic_bhyve_snapshot(bsp->apic, bytes, &length, false), 0);
    assert_int_equal(guest_read(bsp, VLAPIC_REG_TPR), 0x33);
    assert_non_null(vlapic_bhyve_library_cpu(bsp->apic));
}

/* ---- sleeping: the rule of vlapic_bhyve_events_pending() ---- */

#define ROUNDS 20000u

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;
static unsigned taken; /* atomic */

/* As vcpu_notify_event(): under the vCPU's lock; nothing is remembered. */
static void wake_up(void *cookie)
{
    (void)cookie;
    pthread_mutex_lock(&lock);
    pthread_cond_signal(&wake);
    pthread_mutex_unlock(&lock);
}

static void sleep_unless_there_is_something(struct vcpu *vcpu)
{
    pthread_mutex_lock(&lock);
    if (!vlapic_bhyve_events_pending(vcpu->apic) && !vlapic_bhyve_pending_intr(vcpu->apic, NULL))
        pthread_cond_wait(&wake, &lock);
    pthread_mutex_unlock(&lock);
}

static void *vcpu_thread(void *argument)
{
    struct vcpu *vcpu = argument;

    while (__atomic_load_n(&taken, __ATOMIC_SEQ_CST) < ROUNDS) {
        unsigned nmis = vcpu->nmis;
        bool exit;
        int vector;

        vlapic_bhyve_events(vcpu->apic);
        if (vcpu->nmis != nmis) {
            __atomic_fetch_add(&taken, 1, __ATOMIC_SEQ_CST);
        } else if (vlapic_bhyve_pending_intr(vcpu->apic, &vector)) {
            vlapic_bhyve_intr_accepted(vcpu->apic, vector);
            vlapic_bhyve_write(vcpu->apic, true, VLAPIC_REG_EOI, 4, 0, &exit);
            __atomic_fetch_add(&taken, 1, __ATOMIC_SEQ_CST);
        } else {
            sleep_unless_there_is_something(vcpu);
        }
    }
    return NULL;
}

static void no_wake_up_is_lost(void **state)
{
    pthread_t thread;

    (void)state;
    vmm_prepare(&vmm);
    vmm.host.notify = wake_up;
    vmm_start(&vmm, 1);
    taken = 0;
    assert_int_equal(pthread_create(&thread, NULL, vcpu_thread, bsp), 0);
    for (unsigned n = 0; n < ROUNDS; n++) {
        /* One at a time, vectors and NMIs in turn: each has to be taken, or the test hangs. */
        assert_int_equal(vlapic_bhyve_msi(vmm.vm, 0xFEE00000, n & 1 ? 0x400 : 0x41), 0);
        while (__atomic_load_n(&taken, __ATOMIC_SEQ_CST) == n)
            sched_yield();
    }
    pthread_join(thread, NULL);
    vmm_stop(&vmm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_msi_notifies_and_is_injected_once, start, stop),
        cmocka_unit_test_setup_teardown(an_eoi_of_a_level_reaches_the_io_apic, start, stop),
        cmocka_unit_test_setup_teardown(an_eoi_without_an_io_apic_goes_nowhere, start, stop),
        cmocka_unit_test_setup_teardown(a_logical_message_of_the_io_apic_finds_its_vcpu, start, stop),
        cmocka_unit_test_setup_teardown(a_post_tells_whether_it_was_accepted, start, stop),
        cmocka_unit_test_setup_teardown(cr8_holds_interrupts_back, start, stop),
        cmocka_unit_test_setup_teardown(lvt_entries_are_pulsed_on_one_vcpu_and_on_all, start, stop),
        cmocka_unit_test_setup_teardown(memory_that_is_no_register_reads_ones_and_never_fails, start, stop),
        cmocka_unit_test_setup_teardown(msrs_work_in_x2apic_mode_and_fault_without_it, start, stop),
        cmocka_unit_test_setup_teardown(the_version_is_what_bhyve_shows, start, stop),
        cmocka_unit_test_setup_teardown(a_periodic_timer_runs_at_128_mib_hertz, start, stop),
        cmocka_unit_test_setup_teardown(a_one_shot_timer_goes_off_at_its_time_and_not_before, start, stop),
        cmocka_unit_test_setup_teardown(an_expiry_under_way_when_the_timer_stops_does_nothing, start, stop),
        cmocka_unit_test_setup_teardown(a_vcpu_is_destroyed_with_its_timer_armed_or_going_off, start, stop),
        cmocka_unit_test(what_is_not_valid_is_refused_and_gives_everything_back),
        cmocka_unit_test_setup_teardown(reset_comes_back_to_the_mode_that_the_host_chose, start, stop),
        cmocka_unit_test(without_x2apic_nobody_enters_it),
        cmocka_unit_test_setup_teardown(a_vcpu_notifies_after_a_reset_as_before, start, stop),
        cmocka_unit_test_setup_teardown(a_snapshot_carries_the_state_and_what_is_pending, start, stop),
        cmocka_unit_test(no_wake_up_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
