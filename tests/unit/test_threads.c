/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Posting threads against vCPUs that run, halt, switch modes, reset and restore themselves, each on a thread of its own. To be run
 * under ThreadSanitizer as well; debug builds also check what is derived at every poll. docs/CONCURRENCY.md.
 */
#include "fake_host.h"
#include "posting_backend.h"
#include "reception.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "vlapic_model.h"

#define VCPUS 2
#define POSTERS 3
/* Each poster has one of these for every way to send. */
enum way { PHYSICAL, LOGICAL, BROADCAST, LOWEST, DIRECT, WAYS };
#define FIRST_VECTOR 0x31u
#define VECTOR_STEP 11u
#define ROUNDS 1500u
#define THROWS 200000u
/* Nothing takes this long unless it hangs. */
#define PATIENCE_SECONDS 20
#define WATCHDOG_SECONDS 120

/* cmocka fails a test by a long jump, which only the main thread may do. */
#define CHECK(condition, ...)                                                                                          \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "[  FAILED  ] " __VA_ARGS__);                                                              \
            fputc('\n', stderr);                                                                                       \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

/* One stream of vectors: the next one is sent when the last one has been handled by everyone who accepted it. */
struct channel {
    unsigned payload;  /* written before the post, read by the handler: the post orders the two */
    unsigned expected; /* how often it was accepted; the poster's */
    unsigned handled;  /* atomic */
};

struct machine;

struct vcpu {
    struct machine *machine;
    struct vlapic_cpu *cpu;
    void *memory;
    unsigned index;
    uint64_t now; /* every look at the clock takes a microsecond; the owner's */
    uint64_t random;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool kicked; /* under the lock */
    pthread_t thread;
};

struct machine {
    struct vlapic_vm *vm;
    void *memory;
    struct vcpu vcpus[VCPUS];
    struct channel channels[256]; /* by vector */
    unsigned nmis_sent;           /* the posters', atomic, as all that follows */
    unsigned nmis_handled;
    unsigned epoch; /* changes before and after a vCPU throws its state away */
    bool stop;
    bool wipes; /* vCPUs may do so */
};

struct poster {
    struct machine *machine;
    unsigned index;
    pthread_t thread;
};

/* --- the host --------------------------------------------------------------------------------------------------------- */

static void host_kick(void *cookie)
{
    struct vcpu *v = cookie;

    pthread_mutex_lock(&v->lock);
    v->kicked = true;
    pthread_cond_signal(&v->wake);
    pthread_mutex_unlock(&v->lock);
}

static uint64_t host_now(void *cookie)
{
    struct vcpu *v = cookie;

    v->now += 1000;
    return v->now;
}

/* Callbacks take their time: others act in between. */
static void host_arm(void *cookie, uint64_t deadline)
{
    (void)cookie;
    (void)deadline;
    sched_yield();
}

static void host_cancel(void *cookie)
{
    (void)cookie;
    sched_yield();
}

static const struct vlapic_host_ops ops = {
    .size = sizeof(ops),
    .abi = VLAPIC_HOST_ABI,
    .now_ns = host_now,
    .timer_arm_ns = host_arm,
    .timer_cancel = host_cancel,
    .kick = host_kick,
    .now_tsc = host_now,
    .timer_arm_tsc = host_arm,
};

/* A kick that came before ends the sleep at once. The posters see to it that everyone is kicked all the time. */
static void sleep_until_kicked(struct vcpu *v)
{
    struct timespec until;
    int timed_out = 0;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_SECONDS;
    pthread_mutex_lock(&v->lock);
    while (!v->kicked && timed_out == 0) {
        timed_out = pthread_cond_timedwait(&v->wake, &v->lock, &until);
    }
    v->kicked = false;
    pthread_mutex_unlock(&v->lock);
    CHECK(timed_out == 0, "vCPU %u was left asleep", v->index);
}

/* --- life of a machine -------------------------------------------------------------------------------------------------- */

static void *allocate(const struct vlapic_layout *layout)
{
    return aligned_alloc(layout->alignment,
                         (layout->bytes + layout->alignment - 1) / layout->alignment * layout->alignment);
}

static void make_vcpu(struct machine *m, unsigned index, const struct vlapic_vm_config *config)
{
    struct vcpu *v = &m->vcpus[index];
    struct vlapic_cpu_config cpu_config = { .size = sizeof(cpu_config), .apic_id = index, .bsp = true, .cookie = v };
    struct vlapic_layout layout;

    v->machine = m;
    v->index = index;
    v->random = index + 1;
    pthread_mutex_init(&v->lock, NULL);
    pthread_cond_init(&v->wake, NULL);
    assert_int_equal(vlapic_cpu_layout(config, &layout), VLAPIC_OK);
    v->memory = allocate(&layout);
    assert_int_equal(vlapic_cpu_create(v->memory, layout.bytes, m->vm, &cpu_config, &v->cpu), VLAPIC_OK);
    assert_int_equal(vlapic_cpu_attach(v->cpu), VLAPIC_OK);
}

static void make(struct machine *m, enum vlapic_vendor vendor)
{
    struct vlapic_vm_config config;
    struct vlapic_layout layout;

    memset(m, 0, sizeof(*m));
    assert_int_equal(vlapic_vm_config_defaults(&config, sizeof(config), vendor), VLAPIC_OK);
    config.host = &ops;
    config.backend = fake_backend;
    config.id_writable = true;
    config.tsc_deadline = true;
    config.ext_space = vendor == VLAPIC_VENDOR_AMD;
    assert_int_equal(vlapic_vm_layout(&config, &layout), VLAPIC_OK);
    m->memory = allocate(&layout);
    assert_int_equal(vlapic_vm_create(m->memory, layout.bytes, &config, &m->vm), VLAPIC_OK);
    for (unsigned i = 0; i < VCPUS; i++) {
        make_vcpu(m, i, &config);
    }
    alarm(WATCHDOG_SECONDS);
}

/* Once everyone has left, nothing of anyone is left in the tables that find vCPUs. */
static void assert_routing_is_empty(const struct vlapic_vm *vm)
{
    static const struct vlapic_cpu *nobody[64];

    assert_int_equal(vm->irregular_ids, 0);
    assert_int_equal(vm->odd_ids, 0);
    assert_int_equal(vm->wide_ids, 0);
    assert_int_equal(vm->odd_logical, 0);
    assert_int_equal(vm->x2apic_cpus, 0);
    assert_int_equal(vm->flat_used, 0);
    assert_int_equal(vm->cluster_used, 0);
    assert_memory_equal(vm->flat, nobody, sizeof(vm->flat));
    assert_memory_equal(vm->cluster, nobody, sizeof(vm->cluster));
    assert_int_equal(vm->present[0], 0);
}

static void unmake(struct machine *m)
{
    for (unsigned i = 0; i < VCPUS; i++) {
        vlapic_cpu_destroy(m->vcpus[i].cpu);
        pthread_cond_destroy(&m->vcpus[i].wake);
        pthread_mutex_destroy(&m->vcpus[i].lock);
    }
    assert_routing_is_empty(m->vm);
    for (unsigned i = 0; i < VCPUS; i++) {
        free(m->vcpus[i].memory);
    }
    free(m->memory);
    alarm(0);
}

/* Runs everything until the posters are through; then the vCPUs are nobody's, and stopped. */
static void run(struct machine *m, void *(*vcpu)(void *), void *(*poster)(void *))
{
    struct poster posters[POSTERS];

    for (unsigned i = 0; i < VCPUS; i++) {
        assert_int_equal(pthread_create(&m->vcpus[i].thread, NULL, vcpu, &m->vcpus[i]), 0);
    }
    for (unsigned i = 0; i < POSTERS; i++) {
        posters[i] = (struct poster){ .machine = m, .index = i };
        assert_int_equal(pthread_create(&posters[i].thread, NULL, poster, &posters[i]), 0);
    }
    for (unsigned i = 0; i < POSTERS; i++) {
        assert_int_equal(pthread_join(posters[i].thread, NULL), 0);
    }
    __atomic_store_n(&m->stop, true, __ATOMIC_SEQ_CST);
    for (unsigned i = 0; i < VCPUS; i++) {
        host_kick(&m->vcpus[i]);
        assert_int_equal(pthread_join(m->vcpus[i].thread, NULL), 0);
    }
}

/* --- the guest's registers, in whichever mode ----------------------------------------------------------------------------- */

/* False if the APIC does not answer now. */
static bool set(struct vlapic_cpu *cpu, uint32_t offset, uint32_t value)
{
    return vlapic_cpu_mmio_write(cpu, offset, 4, value) == VLAPIC_ACCESS_DONE ||
           vlapic_cpu_msr_write(cpu, VLAPIC_MSR_OF(offset), value) == VLAPIC_ACCESS_DONE;
}

static uint32_t get(struct vlapic_cpu *cpu, uint32_t offset)
{
    uint64_t value = 0;

    if (vlapic_cpu_mmio_read(cpu, offset, 4, &value) != VLAPIC_ACCESS_DONE) {
        (void)vlapic_cpu_msr_read(cpu, VLAPIC_MSR_OF(offset), &value);
    }
    return (uint32_t)value;
}

/* Modes by legal steps; the window stays where it is. */
static void set_mode(struct vlapic_cpu *cpu, uint64_t mode)
{
    (void)vlapic_cpu_msr_write(cpu, VLAPIC_MSR_APIC_BASE,
                               (vlapic_cpu_apic_base(cpu) & ~(uint64_t)(VLAPIC_BASE_EN | VLAPIC_BASE_EXTD)) | mode);
}

/* What every message of the posters finds its way by: both models of the logical ID agree on it. The timer runs, masked, so
 * that there is something to cancel. */
static void set_up(struct vcpu *v)
{
    set(v->cpu, VLAPIC_REG_LDR, 0x01000000u << v->index);
    set(v->cpu, VLAPIC_REG_SVR, 0x1FF);
    set(v->cpu, VLAPIC_REG_INITIAL_COUNT, UINT32_MAX);
}

/* --- nothing is lost --------------------------------------------------------------------------------------------------- */

static bool is_level(unsigned round)
{
    return round % 3 == 0;
}

static uint32_t send(struct machine *m, enum way way, unsigned vector, unsigned round)
{
    uint32_t data = vector | (is_level(round) ? 0xC000u : 0) | (way == LOWEST ? 0x100u : 0);
    uint32_t target = round % VCPUS, accepted = 0;
    uint64_t address = 0xFEE00000u;

    switch (way) {
    case DIRECT:
        return vlapic_cpu_post(m->vcpus[target].cpu, (uint8_t)vector, is_level(round));
    case PHYSICAL:
        address |= target << 12;
        break;
    case LOGICAL:
        address |= 4u | 0x1000u << target;
        break;
    case LOWEST:
        address |= 4u | 0x3000u;
        break;
    default:
        address |= 0xFF000u;
        break;
    }
    (void)vlapic_vm_msi(m->vm, address, data, &accepted);
    return accepted;
}

/* False if a vCPU threw its state away meanwhile. */
static bool wait_until_handled(struct machine *m, struct channel *c, unsigned vector, unsigned epoch)
{
    time_t start = time(NULL);

    while (__atomic_load_n(&c->handled, __ATOMIC_ACQUIRE) < c->expected) {
        if (__atomic_load_n(&m->epoch, __ATOMIC_SEQ_CST) != epoch) {
            return false;
        }
        CHECK(time(NULL) - start < PATIENCE_SECONDS, "vector %02x was accepted and never taken", vector);
        sched_yield();
    }
    return true;
}

/* True if somebody accepted it and it was handled. A vCPU that is off the bus or disabled at the moment accepts nothing. */
static bool send_and_wait(struct machine *m, unsigned vector, unsigned round)
{
    struct channel *c = &m->channels[vector];
    unsigned epoch = __atomic_load_n(&m->epoch, __ATOMIC_SEQ_CST);
    uint32_t accepted;

    if (m->wipes) {
        /* An earlier one may have been wiped, or may still be on its way. */
        c->expected = __atomic_load_n(&c->handled, __ATOMIC_ACQUIRE);
    } else {
        c->payload = round;
    }
    accepted = send(m, (enum way)(round % WAYS), vector, round);
    CHECK(accepted <= VCPUS, "%u of %u accepted", accepted, VCPUS);
    c->expected += accepted;
    return wait_until_handled(m, c, vector, epoch) && accepted != 0;
}

/* One after the other they come to their end: with few of them, nobody makes up for a kick that is missing. */
static void *post_and_wait(void *argument)
{
    struct poster *p = argument;
    struct machine *m = p->machine;

    for (unsigned round = 0; round < ROUNDS * (p->index + 1) / (m->wipes ? 2 : 1);) {
        round += send_and_wait(m, FIRST_VECTOR + (p->index * WAYS + round % WAYS) * VECTOR_STEP, round);
        /* An NMI merges with one that was not collected yet. */
        if (p->index == 0 && __atomic_load_n(&m->nmis_handled, __ATOMIC_ACQUIRE) == m->nmis_sent) {
            uint32_t accepted;

            (void)vlapic_vm_msi(m->vm, 0xFEE00000u, 0x400, &accepted);
            m->nmis_sent += accepted;
        }
    }
    return NULL;
}

static void take_nmi(struct vcpu *v, const struct vlapic_poll *duty)
{
    if (duty->nmi) {
        __atomic_fetch_add(&v->machine->nmis_handled, 1u, __ATOMIC_RELEASE);
    }
}

static void handle(struct vcpu *v, uint8_t vector)
{
    struct channel *c = &v->machine->channels[vector];

    CHECK(vlapic_cpu_accept(v->cpu, vector), "vector %02x offered and refused", vector);
    if (next_random(&v->random) % 4 == 0) { /* a cancelled entry */
        CHECK(vlapic_cpu_unaccept(v->cpu, vector), "vector %02x not in service", vector);
        CHECK(vlapic_cpu_accept(v->cpu, vector), "vector %02x not given back", vector);
    }
    if (!v->machine->wipes) {
        uint32_t tmr = get(v->cpu, VLAPIC_REG_TMR + (uint32_t)(vector >> 5) * 16) >> (vector & 31) & 1;

        CHECK(tmr == is_level(c->payload), "vector %02x with the trigger mode of another post", vector);
    }
    set(v->cpu, VLAPIC_REG_EOI, 0);
    __atomic_fetch_add(&c->handled, 1u, __ATOMIC_RELEASE);
}

/* With everything blocked, nothing is offered. */
static void raise_and_lower_tpr(struct vcpu *v)
{
    struct vlapic_poll duty;

    set(v->cpu, VLAPIC_REG_TPR, 0xF0);
    vlapic_cpu_poll(v->cpu, &duty);
    CHECK(duty.vector < 0, "vector %d offered against a TPR of F0h", duty.vector);
    take_nmi(v, &duty);
    set(v->cpu, VLAPIC_REG_TPR, 0);
}

static void restore_itself(struct vlapic_cpu *cpu)
{
    uint8_t bytes[VLAPIC_SNAPSHOT_MAX];
    struct vlapic_snapshot_error error;
    size_t length;

    CHECK(vlapic_snapshot_export_cpu(cpu, bytes, sizeof(bytes), &length) == VLAPIC_OK, "no snapshot");
    CHECK(vlapic_snapshot_import_cpu(cpu, bytes, length, VLAPIC_TIME_STOPPED, &error) == VLAPIC_OK,
          "snapshot refused: %s", error.field);
}

/* Changes that lose nothing that was accepted. Those that make the vCPU hard to reach do not last. */
static void disturb(struct vcpu *v)
{
    struct vlapic_cpu *cpu = v->cpu;

    switch (next_random(&v->random) % 16) {
    case 0:
        set(cpu, VLAPIC_REG_SVR, 0xFF);
        break;
    case 1:
        raise_and_lower_tpr(v);
        return;
    case 2:
        set(cpu, VLAPIC_REG_LDR, next_random(&v->random));
        break;
    case 3:
        set(cpu, VLAPIC_REG_DFR, next_random(&v->random) % 2 ? 0 : UINT32_MAX);
        return;
    case 4:
        set(cpu, VLAPIC_REG_ID, next_random(&v->random));
        sched_yield();
        set(cpu, VLAPIC_REG_ID, v->index << 24);
        return;
    case 5:
        vlapic_cpu_detach(cpu);
        sched_yield();
        CHECK(vlapic_cpu_attach(cpu) == VLAPIC_OK, "APIC ID %u in use", v->index);
        return;
    case 6:
        set_mode(cpu, VLAPIC_BASE_EN | VLAPIC_BASE_EXTD);
        return;
    default:
        return;
    }
    sched_yield();
    set_up(v);
}

/* Changes by which what was accepted is lost, and nothing else may be. */
static void wipe(struct vcpu *v)
{
    __atomic_fetch_add(&v->machine->epoch, 1u, __ATOMIC_SEQ_CST);
    switch (next_random(&v->random) % 4) {
    case 0:
        vlapic_cpu_reset(v->cpu);
        break;
    case 1:
        vlapic_cpu_take_init(v->cpu);
        break;
    case 2:
        set_mode(v->cpu, 0);
        sched_yield();
        set_mode(v->cpu, VLAPIC_BASE_EN);
        break;
    default:
        restore_itself(v->cpu);
        break;
    }
    __atomic_fetch_add(&v->machine->epoch, 1u, __ATOMIC_SEQ_CST);
    set_up(v);
}

/* Goes away, to the guest or to sleep, whenever nothing is pending; only a kick brings it back. */
static void go_away(struct vcpu *v)
{
    struct vlapic_cpu_state state;

    if (next_random(&v->random) % 4 == 0) {
        sched_yield();
        /* Looking takes what has come since the poll out of the mailbox, and is no reason to sleep on it. */
        CHECK(vlapic_cpu_get_state(v->cpu, &state, sizeof(state)) == VLAPIC_OK, "no state");
    }
    if (next_random(&v->random) % 2 ? vlapic_cpu_halt(v->cpu) : vlapic_cpu_enter(v->cpu)) {
        sleep_until_kicked(v);
        vlapic_cpu_exit(v->cpu);
    }
}

static void *serve(void *argument)
{
    struct vcpu *v = argument;
    struct vlapic_poll duty;
    bool stop;

    set_up(v);
    do {
        stop = __atomic_load_n(&v->machine->stop, __ATOMIC_SEQ_CST);
        if (v->machine->wipes && next_random(&v->random) % 16 == 0) {
            wipe(v);
        }
        disturb(v);
        vlapic_cpu_poll(v->cpu, &duty);
        take_nmi(v, &duty);
        if (duty.vector >= 0) {
            handle(v, (uint8_t)duty.vector);
        } else if (!stop) {
            go_away(v);
        }
    } while (!stop || duty.vector >= 0);
    return NULL;
}

static void no_accepted_vector_and_no_wake_up_is_lost(void **state)
{
    struct machine m;

    (void)state;
    make(&m, VLAPIC_VENDOR_INTEL);
    run(&m, serve, post_and_wait);
    for (unsigned vector = 0; vector < 256; vector++) {
        assert_int_equal(m.channels[vector].handled, m.channels[vector].expected);
    }
    assert_int_equal(m.nmis_handled, m.nmis_sent);
    unmake(&m);
}

static void what_is_accepted_after_a_reset_or_restore_is_not_lost(void **state)
{
    struct machine m;

    (void)state;
    make(&m, VLAPIC_VENDOR_INTEL);
    m.wipes = true;
    run(&m, serve, post_and_wait);
    unmake(&m);
}

/* --- everything at once ------------------------------------------------------------------------------------------------ */

static void throw_one(struct machine *m, uint64_t *random)
{
    static const uint8_t destinations[] = { 0, 1, 2, 3, 0x10, 0x11, 0x55, 0xFF };
    struct vlapic_cpu *cpu = m->vcpus[next_random(random) % VCPUS].cpu;
    uint32_t r = next_random(random);
    uint32_t destination = destinations[r >> 8 & 7];

    switch (r % 8) {
    case 0:
        vlapic_cpu_lint(cpu, r >> 8 & 1, r >> 9 & 1);
        break;
    case 1:
        vlapic_cpu_lvt_event(cpu, (r & 256) != 0 ? VLAPIC_LVT_THERMAL : VLAPIC_LVT_PERF);
        vlapic_vm_lvt_event(m->vm, VLAPIC_LVT_EXT0);
        break;
    case 2:
        vlapic_cpu_timer_expired(cpu);
        break;
    case 3:
        (void)vlapic_cpu_post(cpu, (uint8_t)(r >> 8), r >> 16 & 1);
        break;
    default: /* address bits 3 and 2, and all of the data but trigger and level, by chance */
        (void)vlapic_vm_msi(m->vm, 0xFEE00000u | destination << 12 | (r >> 16 & 0xC), next_random(random), NULL);
        break;
    }
}

static void *throw_everything(void *argument)
{
    struct poster *p = argument;
    uint64_t random = p->index + 100;

    for (unsigned i = 0; i < THROWS; i++) {
        throw_one(p->machine, &random);
    }
    return NULL;
}

/* Any value for any register that is there; the ICR among them sends IPIs of all kinds. */
static void write_something(struct vcpu *v)
{
    static const uint16_t offsets[] = {
        VLAPIC_REG_ID,         VLAPIC_REG_TPR,           VLAPIC_REG_EOI,           VLAPIC_REG_LDR,
        VLAPIC_REG_DFR,        VLAPIC_REG_SVR,           VLAPIC_REG_ESR,           VLAPIC_REG_ICR_LOW,
        VLAPIC_REG_ICR_LOW,    VLAPIC_REG_ICR_HIGH,      VLAPIC_REG_LVT_TIMER,     VLAPIC_REG_LVT_THERMAL,
        VLAPIC_REG_LVT_PERF,   VLAPIC_REG_LVT_LINT0,     VLAPIC_REG_LVT_LINT1,     VLAPIC_REG_LVT_ERROR,
        VLAPIC_REG_SELF_IPI,   VLAPIC_REG_DIVIDE_CONFIG, VLAPIC_REG_INITIAL_COUNT, VLAPIC_REG_EXT_CONTROL,
        VLAPIC_REG_IER + 0x20, VLAPIC_REG_SEOI,          VLAPIC_REG_EXT_LVT,
    };
    uint32_t offset = offsets[next_random(&v->random) % (sizeof(offsets) / sizeof(offsets[0]))];

    (void)set(v->cpu, offset, next_random(&v->random) & get(v->cpu, VLAPIC_REG_DFR));
    (void)vlapic_cpu_msr_write(v->cpu, VLAPIC_MSR_TSC_DEADLINE, v->now + 5000);
}

static void change_something(struct vcpu *v)
{
    switch (next_random(&v->random) % 32) {
    case 0:
        vlapic_cpu_reset(v->cpu);
        break;
    case 1:
        restore_itself(v->cpu);
        break;
    case 2:
        vlapic_cpu_detach(v->cpu);
        break;
    case 3:
        set_mode(v->cpu, 0);
        break;
    case 4:
        set_mode(v->cpu, VLAPIC_BASE_EN);
        break;
    case 5:
        set_mode(v->cpu, VLAPIC_BASE_EN | VLAPIC_BASE_EXTD);
        break;
    case 6:
        set(v->cpu, VLAPIC_REG_SVR, 0x1FF);
        break;
    case 7:
        vlapic_cpu_tsc_changed(v->cpu);
        break;
    case 8:
        vlapic_cpu_take_init(v->cpu);
        break;
    case 9:
        /* Not the BSP for a while: an INIT then waits for a SIPI. */
        (void)vlapic_cpu_msr_write(v->cpu, VLAPIC_MSR_APIC_BASE, vlapic_cpu_apic_base(v->cpu) ^ VLAPIC_BASE_BSP);
        break;
    case 10:
        (void)vlapic_cpu_attach(v->cpu);
        break;
    default:
        write_something(v);
        break;
    }
}

static void carry_out(struct vcpu *v, const struct vlapic_poll *duty)
{
    CHECK(duty->vector == -1 || (duty->vector >= 16 && duty->vector <= 255), "vector %d", duty->vector);
    CHECK(!duty->wait_for_sipi ||
              (duty->vector == -1 && !duty->nmi && !duty->smi && !duty->extint_message && !duty->extint),
          "an event for a vCPU that waits for SIPI");
    if (duty->init) {
        vlapic_cpu_take_init(v->cpu); /* wipes the vector that was offered */
    } else if (duty->vector >= 0) {
        CHECK(vlapic_cpu_accept(v->cpu, (uint8_t)duty->vector), "vector %02x refused", (unsigned)duty->vector);
    }
}

static void *live(void *argument)
{
    struct vcpu *v = argument;
    struct vlapic_poll duty;

    while (!__atomic_load_n(&v->machine->stop, __ATOMIC_SEQ_CST)) {
        vlapic_cpu_poll(v->cpu, &duty);
        carry_out(v, &duty);
        change_something(v);
        if (next_random(&v->random) % 2 ? vlapic_cpu_halt(v->cpu) : vlapic_cpu_enter(v->cpu)) {
            vlapic_cpu_exit(v->cpu);
        }
    }
    return NULL;
}

/* Every destination names whom the registers, as they were left, say. */
static void assert_routing_is_exact(struct machine *m)
{
    for (uint32_t d = 0; d < 512; d++) {
        uint32_t accepted, named = 0;

        for (unsigned i = 0; i < VCPUS; i++) {
            struct receiver r = receiver_of(m->vcpus[i].cpu);

            named += destination_names(vlapic_vm_get_config(m->vm), SENDER_OUTSIDE, d & 0xFF, d >> 8, &r);
        }
        (void)vlapic_vm_msi(m->vm, 0xFEE00000u | (d & 0xFF) << 12 | d >> 8 << 2, 0x400, &accepted);
        assert_int_equal(accepted, named);
    }
}

static void storm(enum vlapic_vendor vendor)
{
    struct machine m;

    make(&m, vendor);
    run(&m, live, throw_everything);
    for (unsigned i = 0; i < VCPUS; i++) {
        (void)vlapic_cpu_attach(m.vcpus[i].cpu);
        restore_itself(m.vcpus[i].cpu); /* what came of it is a state that an APIC can have */
    }
    assert_routing_is_exact(&m);
    unmake(&m);
}

static void a_storm_against_changing_vcpus_leaves_them_sane(void **state)
{
    (void)state;
    storm(VLAPIC_VENDOR_INTEL);
    storm(VLAPIC_VENDOR_AMD);
}

/* --- a logical ID that stays the same while the word that a sender asks does not --------------------------------------------- */

struct toggler {
    struct vlapic_cpu *cpu;
    bool over; /* atomic */
};

static void *toggle_the_id(void *argument)
{
    struct toggler *t = argument;

    for (unsigned i = 0; !__atomic_load_n(&t->over, __ATOMIC_ACQUIRE); i++) {
        vlapic_cpu_mmio_write(t->cpu, VLAPIC_REG_ID, 4, (5 + (i & 1)) << 24);
    }
    return NULL;
}

static void a_stable_logical_id_is_found_at_any_time(void **state)
{
    struct toggler toggler = { 0 };
    uint32_t accepted, all = 0;
    struct machine m;
    pthread_t thread;

    (void)state;
    make(&m, VLAPIC_VENDOR_INTEL);
    toggler.cpu = m.vcpus[0].cpu;
    guest_software_enable(toggler.cpu);
    vlapic_cpu_mmio_write(toggler.cpu, VLAPIC_REG_LDR, 4, 0x01000000);
    assert_int_equal(pthread_create(&thread, NULL, toggle_the_id, &toggler), 0);
    for (unsigned i = 0; i < 20000; i++) {
        vlapic_vm_msi(m.vm, 0xFEE01004, 0x41, &accepted);
        all += accepted;
    }
    __atomic_store_n(&toggler.over, true, __ATOMIC_RELEASE);
    pthread_join(thread, NULL);
    assert_int_equal(all, 20000);
    unmake(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stable_logical_id_is_found_at_any_time),
        cmocka_unit_test(no_accepted_vector_and_no_wake_up_is_lost),
        cmocka_unit_test(what_is_accepted_after_a_reset_or_restore_is_not_lost),
        cmocka_unit_test(a_storm_against_changing_vcpus_leaves_them_sane),
    };
    int failed = cmocka_run_group_tests_name("soft", tests, NULL, NULL);

    fake_backend = &posting_backend;
    return failed + cmocka_run_group_tests_name("posting backend", tests, NULL, NULL);
}
