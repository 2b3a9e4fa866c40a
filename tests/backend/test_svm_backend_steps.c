/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Forced schedules: the posting code of the core and of the svm backend is compiled into the test with a stop before each of its atomic
 * operations, where the other thread's turn is played. All interleavings with one change of threads are gone through, of posters and of
 * senders in hardware against an owner that enters, is put, blocks, or has to do without AVIC. docs/CONCURRENCY.md, section 7.
 */
#include "svm_bed.h"

static void step(void);

#include "vlapic_atomic.h"
#define __atomic_load_n(p, order) (step(), __atomic_load_n(p, order))
#define __atomic_store_n(p, v, order) (step(), __atomic_store_n(p, v, order))
#define __atomic_exchange_n(p, v, order) (step(), __atomic_exchange_n(p, v, order))
#define __atomic_fetch_or(p, v, order) (step(), __atomic_fetch_or(p, v, order))
#define __atomic_fetch_and(p, v, order) (step(), __atomic_fetch_and(p, v, order))
#include "vlapic_post.c"
#include "vlapic_work.c"
#define level_of svm_level_of
#include "../../src/backends/svm/vlapic_svm_post.c"
#include "../../src/backends/svm/vlapic_svm_tables.c"
#undef __atomic_load_n
#undef __atomic_store_n
#undef __atomic_exchange_n
#undef __atomic_fetch_or
#undef __atomic_fetch_and

#define V 0x61
#define STEPS 200u

static void (*other)(void);
static unsigned steps_left;

static void step(void)
{
    void (*turn)(void) = other;

    if (turn != NULL && steps_left-- == 0) {
        other = NULL; /* the other's turn is not stopped */
        turn();
    }
}

/* ---- what the owner does; it has polled ---- */

static bool asleep, in_guest;
static unsigned events_at_vmrun;
static bool irr_at_vmrun;

static void owner_enters(void)
{
    bed_enter(0);
    in_guest = true;
    events_at_vmrun = bed.events;
    irr_at_vmrun = bed_bit(0, VLAPIC_REG_IRR, V);
}

static void owner_withdraws(void)
{
    vlapic_svm_inhibit(bed.vm, VLAPIC_SVM_INHIBIT_NESTED, true);
    owner_enters();
}

static void owner_gives_back(void)
{
    vlapic_svm_inhibit(bed.vm, VLAPIC_SVM_INHIBIT_NESTED, false);
    owner_enters();
}

static void owner_blocks(void)
{
    asleep = vlapic_cpu_halt(bed.cpu[0].cpu);
}

/* Asleep since before; something else wakes it, and it enters without vlapic_cpu_exit() between. */
static void owner_wakes_and_withdraws(void)
{
    vlapic_svm_inhibit(bed.vm, VLAPIC_SVM_INHIBIT_NESTED, true);
    asleep = false;
    owner_enters();
}

static void owner_is_put(void)
{
    vlapic_cpu_put(bed.cpu[0].cpu);
    vlapic_cpu_load(bed.cpu[0].cpu);
    owner_enters();
}

static void owner_is_put_and_blocks(void)
{
    vlapic_cpu_put(bed.cpu[0].cpu);
    owner_blocks();
}

/* ---- what others do ---- */

static void poster(void)
{
    assert_true(vlapic_cpu_post(bed.cpu[0].cpu, V, false));
}

static void poster_of_a_level(void)
{
    assert_true(vlapic_cpu_post(bed.cpu[0].cpu, V, true));
}

/* IRR, then the entry; the doorbell, or the exit with ID 1. */
static void hardware(void)
{
    uint64_t entry;

    step();
    bed_set_bit(0, VLAPIC_REG_IRR, V);
    step();
    entry = bed_physical(0);
    step();
    if ((entry & BED_RUNNING) != 0) {
        bed.ops.doorbell(&bed.cpu[0], (uint32_t)entry & 0xFFF);
    } else {
        vlapic_backend_wake(bed.cpu[0].cpu);
    }
}

/* ---- all of it ---- */

static bool sleeps_first;

static void begin(bool without_avic)
{
    bed_prepare(BED_AVIC);
    bed_start(1);
    bed_round(0);
    if (without_avic) {
        vlapic_svm_inhibit(bed.vm, VLAPIC_SVM_INHIBIT_NESTED, true);
        bed_round(0);
    }
    assert_int_equal(bed_pending(0), -1);
    asleep = false;
    in_guest = false;
    if (sleeps_first) {
        assert_true(vlapic_cpu_halt(bed.cpu[0].cpu));
    }
    bed_forget();
}

static bool injected(void)
{
    return bed_injected(0) == (SVMHW_EVENT_VALID | V);
}

/* The doorbell has to come when VMRUN has looked already, and to where the vCPU is; a kick that comes before VMRUN is held until then. */
static bool is_told(void)
{
    for (unsigned i = bed.events_at_poll; i < bed.events; i++) {
        const struct bed_event *event = &bed.event[i];

        if (event->kind == BED_KICK || (event->kind == BED_DOORBELL && i >= events_at_vmrun && bed_uses_avic(0) &&
                                        event->value == bed.cpu[0].core)) {
            return true;
        }
    }
    return false;
}

static void expect_delivery(const char *who, unsigned at)
{
    bool delivered = in_guest && (injected() || (bed_uses_avic(0) && bed_bit(0, VLAPIC_REG_IRR, V)));

    if (asleep && bed_count(BED_KICK, 0) == 0) {
        fail_msg("%s, step %u: left asleep", who, at);
    }
    if (in_guest && !(bed_uses_avic(0) && irr_at_vmrun) && !injected() && !is_told()) {
        fail_msg("%s, step %u: in the guest, %s AVIC, and not told", who, at, bed_uses_avic(0) ? "with" : "without");
    }
    if (!delivered) {
        if (in_guest) {
            bed_leave(0);
        }
        vlapic_cpu_exit(bed.cpu[0].cpu);
        bed_enter(0);
        if (!injected() && !(bed_uses_avic(0) && bed_bit(0, VLAPIC_REG_IRR, V))) {
            fail_msg("%s, step %u: lost", who, at);
        }
    }
    bed_leave(0);
}

/* `first` is stopped before each of its operations in turn. */
static void interleave(const char *who, bool without_avic, void (*first)(void), void (*second)(void))
{
    for (unsigned at = 0;; at++) {
        bool was_stopped;

        assert_true(at < STEPS);
        begin(without_avic);
        steps_left = at;
        other = second;
        first();
        was_stopped = other == NULL;
        other = NULL;
        if (was_stopped) {
            expect_delivery(who, at);
        }
        bed_end();
        if (!was_stopped) {
            assert_true(at > 2);
            return;
        }
    }
}

static const struct {
    const char *name;
    void (*turn)(void);
    bool without_avic;
} owners[] = {
    { "enters", owner_enters, false },
    { "enters without AVIC", owner_enters, true },
    { "withdraws AVIC", owner_withdraws, false },
    { "gives AVIC back", owner_gives_back, true },
    { "blocks", owner_blocks, false },
    { "blocks without AVIC", owner_blocks, true },
    { "is put", owner_is_put, false },
    { "wakes and withdraws AVIC", owner_wakes_and_withdraws, false },
    { "is put and blocks", owner_is_put_and_blocks, false },
};
#define OWNERS (sizeof owners / sizeof owners[0])

static void against_owners(void (*sender)(void))
{
    for (unsigned i = 0; i < OWNERS; i++) {
        sleeps_first = owners[i].turn == owner_wakes_and_withdraws;
        interleave(owners[i].name, owners[i].without_avic, sender, owners[i].turn);
        interleave(owners[i].name, owners[i].without_avic, owners[i].turn, sender);
    }
}

static void a_poster_loses_nothing(void **state)
{
    (void)state;
    against_owners(poster);
}

static void a_poster_in_the_other_trigger_mode_loses_nothing(void **state)
{
    (void)state;
    against_owners(poster_of_a_level);
}

static void a_sender_in_hardware_loses_nothing(void **state)
{
    (void)state;
    against_owners(hardware);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_poster_loses_nothing, bed_teardown),
        cmocka_unit_test_teardown(a_poster_in_the_other_trigger_mode_loses_nothing, bed_teardown),
        cmocka_unit_test_teardown(a_sender_in_hardware_loses_nothing, bed_teardown),
    };
    return cmocka_run_group_tests_name("svm: forced schedules", tests, NULL, NULL);
}
