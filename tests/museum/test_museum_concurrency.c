/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The museum, section H: concurrency and host services. See museum.h. Schedules are forced through the callbacks, and then left to
 * two threads. The reference asks for 10^7 rounds: MUSEUM_ROUNDS=10000000 in the environment. docs/CONCURRENCY.md.
 */
#define _GNU_SOURCE /* CPU affinity */
#include "museum.h"
#include "posting_backend.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#define VECTOR 0x61
#define WATCHDOG_SECONDS 240

static struct fake_vm host;

static unsigned rounds(void)
{
    const char *asked = getenv("MUSEUM_ROUNDS");

    return asked ? (unsigned)strtoul(asked, NULL, 0) : 20000;
}

static unsigned load(unsigned *word)
{
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static void store(unsigned *word, unsigned value)
{
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
}

/* Looks hard for a while, since a thread that comes out of a yield is too late for any race; then lets the other one run. */
static void wait_for(unsigned *word, unsigned value)
{
    for (unsigned looks = 0; load(word) != value; looks++)
        if (looks > 2000)
            sched_yield();
}

/* Shifts the two threads against each other: up to the microseconds that the other one needs to see that it may begin. */
static void dawdle(unsigned round)
{
    unsigned steps = round * 7 % 1021;

    for (volatile unsigned i = 0; i < steps; i++)
        continue;
}

/* Two threads that share a CPU never race. Gives the caller and the thread a CPU each, if there are two. */
static cpu_set_t all_cpus;

static void keep_apart(pthread_t thread)
{
    pthread_t threads[] = { pthread_self(), thread };
    size_t cpu = 0;

    CPU_ZERO(&all_cpus);
    pthread_getaffinity_np(threads[0], sizeof all_cpus, &all_cpus);
    for (unsigned i = 0; i < 2 && CPU_COUNT(&all_cpus) >= 2; i++) {
        cpu_set_t one;

        while (!CPU_ISSET(cpu, &all_cpus))
            cpu++;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        pthread_setaffinity_np(threads[i], sizeof one, &one);
        cpu++;
    }
}

static void join(pthread_t thread)
{
    pthread_join(thread, NULL);
    pthread_setaffinity_np(pthread_self(), sizeof all_cpus, &all_cpus);
}

static pthread_t begin(void *(*function)(void *), void *argument)
{
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, function, argument), 0);
    keep_apart(thread);
    return thread;
}

/* ---- a host that two threads may call, and that can be stopped inside a callback ---- */

static unsigned kicks;

/* What another thread would do meanwhile; NULL for nothing. Each is run once. */
static void (*before_post)(void), (*after_post)(void), (*in_kick)(void);

static void interlude(void (**hook)(void))
{
    void (*run)(void) = *hook;

    *hook = NULL;
    if (run)
        run();
}

static void counting_kick(void *cookie)
{
    (void)cookie;
    __atomic_fetch_add(&kicks, 1, __ATOMIC_RELAXED);
    interlude(&in_kick);
}

static enum vlapic_post interrupted_post(void *cpu_state, uint8_t vector, bool level)
{
    enum vlapic_post verdict;

    interlude(&before_post);
    verdict = posting_backend.post(cpu_state, vector, level);
    interlude(&after_post);
    return verdict;
}

static struct vlapic_backend interrupted;

/* What a sender writes before it sends: a word in each of many pages, so that its stores are still under way when it sends. */
#define PAGES 40
static struct {
    _Alignas(4096) unsigned word;
} data[PAGES];
static unsigned seen; /* what the owner could read of the last page when it had collected */

static void write_data(unsigned value)
{
    for (unsigned i = 0; i < PAGES; i++)
        __atomic_store_n(&data[i].word, value, __ATOMIC_RELAXED);
}

static unsigned read_data(void)
{
    return __atomic_load_n(&data[PAGES - 1].word, __ATOMIC_RELAXED);
}

static bool reading_collect(void *cpu_state, struct vlapic_vectors *posted, struct vlapic_vectors *level)
{
    bool news = posting_backend.collect(cpu_state, posted, level);

    if (news)
        seen = read_data();
    return news;
}

/* Callbacks that record nothing; the backend is `soft`, with a place to stop before and behind its post. */
static void start(unsigned count)
{
    interrupted = posting_backend;
    interrupted.post = interrupted_post;
    interrupted.collect = reading_collect;
    seen = 0;
    before_post = after_post = in_kick = NULL;
    fake_vm_prepare(&host, VLAPIC_VENDOR_INTEL);
    host.config.backend = &interrupted;
    host.ops.kick = counting_kick;
    host.ops.eoi_notify = NULL;
    museum_start(&host, count, NULL, true);
    store(&kicks, 0);
    alarm(WATCHDOG_SECONDS);
}

static int stop(void **unused)
{
    (void)unused;
    alarm(0);
    museum_stop(&host);
    return 0;
}

/* ---- wake against halt ---- */

static bool asleep;

/* The owner finds nothing to do and goes to sleep. */
static void owner_halts(void)
{
    struct vlapic_cpu *cpu = fake_cpu_at(&host, 0);

    if (poll_vector(cpu) < 0 && vlapic_cpu_halt(cpu))
        asleep = true;
}

static void owner_takes(void)
{
    struct vlapic_cpu *cpu = fake_cpu_at(&host, 0);

    vlapic_cpu_exit(cpu);
    asleep = false;
    while (take_vector(cpu) >= 0)
        guest_eoi(cpu);
}

static void somebody_posts(void)
{
    assert_true(vlapic_cpu_post(fake_cpu_at(&host, 0), VECTOR, false));
}

/* Asleep with a deliverable vector is what must not be, unless the wake-up is there. */
static void assert_not_forgotten(unsigned woken_before)
{
    if (asleep && load(&kicks) == woken_before)
        assert_int_equal(poll_vector(fake_cpu_at(&host, 0)), -1);
}

static void museum_218_a_halt_at_any_step_of_a_post_is_woken(void **unused)
{
    /* VirtualBox, KVM: "is anything pending?" and "sleep" were two steps without order, and a CPU slept over a pending IPI. */
    void (**const places[])(void) = { NULL, &before_post, &after_post };
    unsigned halted = 0;

    (void)unused;
    start(1);
    for (size_t i = 0; i <= sizeof places / sizeof places[0]; i++) {
        unsigned before = load(&kicks);

        asleep = false;
        if (i == 0)
            owner_halts();
        else if (i < sizeof places / sizeof places[0])
            *places[i] = owner_halts;
        somebody_posts();
        if (i == sizeof places / sizeof places[0])
            assert_false(vlapic_cpu_halt(fake_cpu_at(&host, 0)));
        assert_not_forgotten(before);
        halted += asleep;
        assert_int_equal(load(&kicks) - before, asleep);
        vlapic_cpu_exit(fake_cpu_at(&host, 0));
        assert_int_equal(take_vector(fake_cpu_at(&host, 0)), VECTOR);
        guest_eoi(fake_cpu_at(&host, 0));
    }
    assert_int_equal(halted, 3); /* all but the last: once the post is over the owner sees it */
}

static void second_post_and_halt(void)
{
    struct vlapic_cpu *cpu = fake_cpu_at(&host, 0);

    somebody_posts(); /* merges: the first poster has not told anyone yet */
    if (vlapic_cpu_halt(cpu))
        asleep = true;
}

static void museum_218_a_merged_post_counts_on_the_first_ones_wake_up(void **unused)
{
    /* VirtualBox, KVM: as above, with a second sender that finds the vector pending and leaves the wake-up to the first. */
    unsigned before;

    (void)unused;
    start(1);
    asleep = false;
    before = load(&kicks);
    after_post = second_post_and_halt;
    somebody_posts();
    assert_true(asleep);
    assert_int_equal(load(&kicks) - before, 1);
    owner_takes();
    assert_int_equal(poll_vector(fake_cpu_at(&host, 0)), -1);
}

static void event(struct vlapic_cpu *cpu, unsigned which)
{
    switch (which) {
    case 0:
        vlapic_cpu_lint(cpu, 0, true);
        break;
    case 1:
        vlapic_cpu_lint(cpu, 1, true);
        break;
    case 2:
        vlapic_cpu_lvt_event(cpu, VLAPIC_LVT_THERMAL);
        break;
    case 3:
        vlapic_cpu_timer_expired(cpu);
        break;
    default:
        /* SMI, NMI, INIT by message. */
        vlapic_vm_deliver(host.vm, &(struct vlapic_message){
                                       .delivery = which == 4   ? VLAPIC_DELIVERY_SMI
                                                   : which == 5 ? VLAPIC_DELIVERY_NMI
                                                                : VLAPIC_DELIVERY_INIT,
                                   });
        break;
    }
}

static void museum_218_every_kind_of_event_wakes_and_keeps_awake(void **unused)
{
    /* VirtualBox, KVM: as above, for what is no vector. */
    struct vlapic_cpu *cpu;
    struct vlapic_poll duty;

    (void)unused;
    start(1);
    cpu = fake_cpu_at(&host, 0);
    guest_set(cpu, VLAPIC_REG_LVT_LINT0, 0xD5);
    guest_set(cpu, VLAPIC_REG_LVT_LINT1, 0x400);
    guest_set(cpu, VLAPIC_REG_LVT_THERMAL, 0xD1);
    for (unsigned which = 0; which < 7; which++) {
        unsigned before;

        vlapic_cpu_poll(cpu, &duty);
        event(cpu, which);
        assert_false(vlapic_cpu_halt(cpu));
        vlapic_cpu_poll(cpu, &duty);
        vlapic_cpu_lint(cpu, 0, false);
        vlapic_cpu_lint(cpu, 1, false);
        vlapic_cpu_poll(cpu, &duty);
        before = load(&kicks);
        assert_true(vlapic_cpu_halt(cpu));
        event(cpu, which);
        assert_int_equal(load(&kicks) - before, 1);
        vlapic_cpu_exit(cpu);
    }
}

/* Two threads that meet at each round's beginning and end. */
struct litmus {
    struct vlapic_cpu *cpu;
    unsigned rounds;
    unsigned go, done; /* the round that may begin, that has ended */
};

static void *post_in_every_round(void *argument)
{
    struct litmus *l = argument;

    for (unsigned round = 1; round <= l->rounds; round++) {
        wait_for(&l->go, round);
        vlapic_cpu_post(l->cpu, VECTOR, false);
        store(&l->done, round);
    }
    return NULL;
}

/* One round; both sides have done their steps, in whatever order, when it ends. */
static bool sleeps_over_a_vector(struct litmus *l, unsigned round)
{
    bool away;

    store(&kicks, 0);
    store(&l->go, round);
    dawdle(round);
    away = round % 2 ? vlapic_cpu_halt(l->cpu) : vlapic_cpu_enter(l->cpu);
    wait_for(&l->done, round);
    vlapic_cpu_exit(l->cpu);
    return away && load(&kicks) == 0;
}

static bool take(struct vlapic_cpu *cpu)
{
    struct vlapic_poll duty;

    vlapic_cpu_poll(cpu, &duty);
    if (duty.vector != VECTOR || !vlapic_cpu_accept(cpu, VECTOR))
        return false;
    guest_eoi(cpu);
    return true;
}

static void museum_218_two_threads_never_leave_a_vcpu_asleep(void **unused)
{
    /* VirtualBox, KVM: as above, left to chance: the owner halts or enters while another thread posts. */
    struct litmus l = { .rounds = rounds() };
    unsigned forgotten = 0, lost = 0;
    pthread_t thread;

    (void)unused;
    start(1);
    l.cpu = fake_cpu_at(&host, 0);
    thread = begin(post_in_every_round, &l);
    for (unsigned round = 1; round <= l.rounds; round++) {
        forgotten += sleeps_over_a_vector(&l, round);
        lost += !take(l.cpu);
    }
    join(thread);
    assert_int_equal(forgotten, 0);
    assert_int_equal(lost, 0);
}

/* ---- data against interrupt ---- */

static int seen_vector;

static void look_from_the_kick(void)
{
    seen_vector = poll_vector(fake_cpu_at(&host, 1));
}

static void museum_219_the_notification_comes_after_the_vector(void **unused)
{
    /* Jailhouse: an x2APIC ICR write orders nothing, and the receiver was notified before it could see what the sender had
     * written. When we notify, the vector can be collected already. */
    (void)unused;
    start(2);
    assert_true(vlapic_cpu_halt(fake_cpu_at(&host, 1)));
    seen_vector = -1;
    in_kick = look_from_the_kick;
    guest_wrmsr(fake_cpu_at(&host, 0), 0x830, 1ull << 32 | 0x4000 | VECTOR);
    assert_int_equal(load(&kicks), 1);
    assert_int_equal(seen_vector, VECTOR);
}

static unsigned plain;

struct channel {
    struct vlapic_cpu *sender, *receiver;
    unsigned rounds;
    unsigned sent, taken; /* rounds */
    unsigned failed;      /* ICR writes that did not come to DONE */
};

static void *send_by_icr(void *argument)
{
    struct channel *c = argument;

    for (unsigned round = 1; round <= c->rounds; round++) {
        plain = round; /* not atomic, so that ThreadSanitizer sees whether the library orders it */
        c->failed += vlapic_cpu_msr_write(c->sender, 0x830, 1ull << 32 | 0x4000 | VECTOR) != VLAPIC_ACCESS_DONE;
        store(&c->sent, round);
        wait_for(&c->taken, round);
    }
    return NULL;
}

/* Polls until the round's vector is in service, or must have come and did not. `sent` is looked at last, so that it is not what
 * makes the data visible. */
static bool receive_round(struct channel *c, unsigned round)
{
    for (bool sent = false;; sent = load(&c->sent) == round) {
        struct vlapic_poll duty;

        vlapic_cpu_poll(c->receiver, &duty);
        if (duty.vector == VECTOR)
            return vlapic_cpu_accept(c->receiver, VECTOR);
        if (sent)
            return false;
        sched_yield();
    }
}

static void museum_219_the_handler_sees_what_was_written_before_the_ipi(void **unused)
{
    /* Jailhouse: as above, left to chance: one message at a time. */
    struct channel c = { .rounds = rounds() };
    unsigned lost = 0, stale = 0;
    pthread_t thread;

    (void)unused;
    start(2);
    c.sender = fake_cpu_at(&host, 0);
    c.receiver = fake_cpu_at(&host, 1);
    thread = begin(send_by_icr, &c);
    for (unsigned round = 1; round <= c.rounds; round++) {
        if (receive_round(&c, round)) {
            stale += plain != round;
            guest_eoi(c.receiver);
        } else {
            lost++;
        }
        store(&c.taken, round);
    }
    join(thread);
    assert_int_equal(c.failed, 0);
    assert_int_equal(lost, 0);
    assert_int_equal(stale, 0);
}

static void *write_and_post_in_every_round(void *argument)
{
    struct litmus *l = argument;

    for (unsigned round = 1; round <= l->rounds; round++) {
        wait_for(&l->go, round);
        write_data(round);
        vlapic_cpu_post(l->cpu, VECTOR, false);
        store(&l->done, round);
    }
    return NULL;
}

/* The vector is pending when the round begins, and taken while the sender posts it again. True if it was taken for the last time
 * before the sender's data could be seen. */
static bool ends_stale(struct litmus *l, unsigned round)
{
    write_data(0);
    vlapic_cpu_post(l->cpu, VECTOR, false);
    store(&l->go, round);
    dawdle(round);
    take(l->cpu);
    wait_for(&l->done, round);
    take(l->cpu);
    return seen != round;
}

static void museum_219_a_merged_ipi_orders_data_too(void **unused)
{
    /* Jailhouse: as above. A message that merges into a pending vector: the handler of that vector sees what its sender wrote, or runs
     * once more. */
    struct litmus l = { .rounds = rounds() };
    unsigned stale = 0;
    pthread_t thread;

    (void)unused;
    start(1);
    l.cpu = fake_cpu_at(&host, 0);
    thread = begin(write_and_post_in_every_round, &l);
    for (unsigned round = 1; round <= l.rounds; round++)
        stale += ends_stale(&l, round);
    join(thread);
    assert_int_equal(stale, 0);
}

/* ---- creation that fails half-way ---- */

/* Each step of setting up a VM with two vCPUs is given a number; number `failing` fails. */
static unsigned step, failing, initialised, ended;

static bool fails_now(void)
{
    return ++step == failing;
}

static enum vlapic_status counted_vm_init(void *vm_state, const struct vlapic_vm_config *config)
{
    (void)vm_state;
    (void)config;
    return fails_now() ? VLAPIC_MISMATCH : VLAPIC_OK;
}

static enum vlapic_status counted_cpu_init(const struct vlapic_cpu_memory *memory, void *vm_state,
                                           struct vlapic_cpu *cpu)
{
    (void)memory;
    (void)vm_state;
    (void)cpu;
    if (fails_now())
        return VLAPIC_MISMATCH;
    initialised++;
    return VLAPIC_OK;
}

static void counted_cpu_fini(void *cpu_state)
{
    (void)cpu_state;
    ended++;
}

static struct vlapic_backend failing_backend;
static _Alignas(4096) unsigned char vm_block[1 << 14], cpu_blocks[2][1 << 14], pages[2][4096];

struct creation {
    struct vlapic_vm *vm;
    struct vlapic_cpu *cpus[2];
};

/* Host memory, which may not be there. */
static void *allocate(unsigned char *block, size_t bytes, size_t have)
{
    assert_true(bytes <= have);
    if (fails_now())
        return NULL;
    memset(block, 0xA5, bytes);
    return block;
}

static enum vlapic_status create_cpu(struct creation *c, unsigned index)
{
    struct vlapic_page page = { .va = pages[index], .pa = (uint64_t)(uintptr_t)pages[index] };
    struct vlapic_cpu_config config = { .size = sizeof config, .apic_id = index, .bsp = index == 0 };
    struct vlapic_layout layout;
    enum vlapic_status status;
    void *memory;

    assert_int_equal(vlapic_cpu_layout(&host.config, &layout), VLAPIC_OK);
    assert_int_equal(layout.pages, 1);
    memory = allocate(cpu_blocks[index], layout.bytes, sizeof cpu_blocks[0]);
    memset(pages[index], 0, sizeof pages[0]);
    config.pages = fails_now() ? NULL : &page;
    config.cookie = &host.cpus[index];
    status = vlapic_cpu_create(memory, layout.bytes, c->vm, &config, &c->cpus[index]);
    if (status != VLAPIC_OK) {
        assert_null(c->cpus[index]);
        assert_null(vlapic_vm_find(c->vm, index));
        return status;
    }
    return vlapic_cpu_attach(c->cpus[index]);
}

static enum vlapic_status create_all(struct creation *c)
{
    struct vlapic_layout layout;
    enum vlapic_status status;
    void *memory;

    memset(c, 0, sizeof *c);
    step = 0;
    assert_int_equal(vlapic_vm_layout(&host.config, &layout), VLAPIC_OK);
    memory = allocate(vm_block, layout.bytes, sizeof vm_block);
    status = vlapic_vm_create(memory, layout.bytes, &host.config, &c->vm);
    if (status != VLAPIC_OK)
        assert_null(c->vm);
    for (unsigned i = 0; i < 2 && status == VLAPIC_OK; i++)
        status = create_cpu(c, i);
    return status;
}

static void undo(const struct creation *c)
{
    for (unsigned i = 0; i < 2; i++)
        if (c->cpus[i]) {
            vlapic_cpu_destroy(c->cpus[i]);
            assert_null(vlapic_vm_find(c->vm, i));
        }
    assert_int_equal(initialised, ended);
}

static void assert_it_works(const struct creation *c)
{
    guest_software_enable(c->cpus[1]);
    museum_ipi(c->cpus[0], 1, 0x40F1);
    assert_int_equal(guest_read(c->cpus[1], 0x270), 1u << 17);
}

static void museum_220_creation_is_all_or_nothing(void **unused)
{
    /* Xen: an allocation that failed while an APIC was made left others behind, or the APIC half made. The library allocates nothing: what
     * fails here is the host's memory or pages, or the backend. */
    const unsigned steps = 8; /* VM memory, vm_init; for each vCPU: memory, pages, cpu_init */
    static struct fake_cpu cookies[2];
    struct creation c;

    (void)unused;
    failing_backend = vlapic_backend_soft;
    failing_backend.cpu_pages = 1;
    failing_backend.vm_init = counted_vm_init;
    failing_backend.cpu_init = counted_cpu_init;
    failing_backend.cpu_fini = counted_cpu_fini;
    fake_vm_prepare(&host, VLAPIC_VENDOR_INTEL);
    host.config.backend = &failing_backend;
    host.cpus = cookies;
    cookies[0].owner = cookies[1].owner = &host;
    initialised = ended = 0;
    for (unsigned n = 1; n <= steps; n++) {
        failing = n;
        assert_int_not_equal(create_all(&c), VLAPIC_OK);
        undo(&c);
        failing = 0;
        assert_int_equal(create_all(&c), VLAPIC_OK);
        assert_int_equal(step, steps);
        assert_it_works(&c);
        undo(&c);
    }
}

static void museum_220_a_taken_id_leaves_both_vcpus_whole(void **unused)
{
    /* Xen: as above, at the last step: the second vCPU does not get its ID, the first one keeps it. */
    struct vlapic_cpu_config config = { .size = sizeof config, .apic_id = 0 };
    struct vlapic_cpu *first, *second;
    struct vlapic_layout layout;

    (void)unused;
    museum_on(&host, VLAPIC_VENDOR_INTEL, 1, false);
    first = fake_cpu_at(&host, 0);
    assert_int_equal(vlapic_cpu_layout(&host.config, &layout), VLAPIC_OK);
    assert_int_equal(vlapic_cpu_create(cpu_blocks[0], layout.bytes, host.vm, &config, &second), VLAPIC_OK);
    assert_int_equal(vlapic_cpu_attach(second), VLAPIC_IN_USE);
    assert_ptr_equal(vlapic_vm_find(host.vm, 0), first);
    vlapic_cpu_destroy(second);
    assert_ptr_equal(vlapic_vm_find(host.vm, 0), first);
    museum_ipi(first, 0, 0x40F1);
    assert_int_equal(poll_vector(first), 0xF1);
}

/* ---- targets that have not started ---- */

static void museum_223_a_vcpu_that_never_started_takes_no_msi(void **unused)
{
    /* bhyve: an AP that had been made but not started accepted MSIs, and its state had changed by the time it ran. */
    static const uint32_t data_of[] = { 0x0061, 0xC062, 0x0163 }; /* Fixed, level, lowest priority */
    struct vlapic_cpu *cpu;

    (void)unused;
    fake_vm_prepare(&host, VLAPIC_VENDOR_INTEL);
    fake_vm_start(&host, 2, NULL);
    cpu = fake_cpu_at(&host, 1);
    for (size_t i = 0; i < sizeof data_of / sizeof data_of[0]; i++) {
        uint32_t accepted = 9;

        assert_int_equal(vlapic_vm_msi(host.vm, 0xFEE01000, data_of[i], &accepted), VLAPIC_ACCESS_DONE);
        assert_int_equal(accepted, 0);
        assert_int_equal(vlapic_vm_msi(host.vm, 0xFEEFF000, data_of[i], &accepted), VLAPIC_ACCESS_DONE);
        assert_int_equal(accepted, 0);
        museum_only(cpu, VLAPIC_REG_IRR, -1, -1);
    }
    assert_int_equal(host.call_count, 0);
    start_aps(&host);
    guest_software_enable(cpu);
    museum_only(cpu, VLAPIC_REG_IRR, -1, -1);
    museum_only(cpu, VLAPIC_REG_TMR, -1, -1);
    assert_int_equal(poll_vector(cpu), -1);
}

#define TEST(name) cmocka_unit_test_teardown(name, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(museum_218_a_halt_at_any_step_of_a_post_is_woken),
        TEST(museum_218_a_merged_post_counts_on_the_first_ones_wake_up),
        TEST(museum_218_every_kind_of_event_wakes_and_keeps_awake),
        TEST(museum_218_two_threads_never_leave_a_vcpu_asleep),
        TEST(museum_219_the_notification_comes_after_the_vector),
        TEST(museum_219_the_handler_sees_what_was_written_before_the_ipi),
        TEST(museum_219_a_merged_ipi_orders_data_too),
        TEST(museum_220_creation_is_all_or_nothing),
        TEST(museum_220_a_taken_id_leaves_both_vcpus_whole),
        TEST(museum_223_a_vcpu_that_never_started_takes_no_msi),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
