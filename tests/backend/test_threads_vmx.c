/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Posters on threads of their own against vCPUs of the vmx backend that run, exit, halt, sleep and move: devices of the embedder, an IOMMU, and other
 * vCPUs by IPIs. Nobody sends a vector again before its handler has run, so that nobody makes up for what is lost. To be run under
 * ThreadSanitizer as well. docs/CONCURRENCY.md, section 6.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <sched.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "levels.h"
#include "threaded.h"

#define POSTERS 3u
#define ROUNDS 2000u
#define LEVELS 5
#define WATCHDOG_SECONDS 120
#define HARDWARE_POSTS(features) (((features)&VLAPIC_VMX_POSTED) != 0)

/* How a poster's vectors come: each way has a vector a target. */
enum way { DIRECT, MSI, DEVICE, IPI, WAYS };
#define VECTOR(poster, way, target) (0x31u + ((poster)*WAYS + (way)) * VCPUS + (target))
/* At this one the guest sends the IPI of its poster to the other vCPU. */
#define REQUEST(poster, target) (0xD1u + (poster)*VCPUS + (target))
#define IS_REQUEST(vector) ((vector) >= REQUEST(0, 0) && (vector) <= REQUEST(POSTERS - 1, VCPUS - 1))
/* Two posters post this one in either mode, as they like. */
#define SHARED 0xC5u

struct channel {
    unsigned payload; /* written before the post, read by the handler: the post orders the two */
    bool level;       /* likewise */
    unsigned sent;    /* the poster's */
    unsigned handled; /* atomic, after the EOI */
    unsigned begun;   /* atomic, before it */
    unsigned levels;  /* the handler's */
    unsigned heard;   /* EOIs of a level that came to the I/O APIC; atomic */
};

static struct machine machine;
static struct channel channels[256];
static unsigned nmis_handled; /* atomic */
static uint32_t features;

struct poster {
    unsigned index;
    unsigned nmis;
    pthread_t thread;
};

static unsigned get(const unsigned *counter)
{
    return __atomic_load_n(counter, __ATOMIC_SEQ_CST);
}

static void count(unsigned *counter) /* NOLINT(readability-non-const-parameter): atomically */
{
    __atomic_fetch_add(counter, 1u, __ATOMIC_SEQ_CST);
}

static void wait_for(const unsigned *counter, unsigned value, unsigned vector)
{
    time_t start = time(NULL);

    while (get(counter) < value) {
        CHECK(time(NULL) - start < PATIENCE_SECONDS, "vector %02x was accepted and never taken", vector);
        sched_yield();
    }
}

/* ---- the guest ---- */

static void send_requested_ipi(struct vcpu *v, uint8_t vector)
{
    unsigned poster = (vector - REQUEST(0, 0)) / VCPUS;
    unsigned target = 1 - v->index;

    guest_wrmsr(v, VLAPIC_MSR_OF(VLAPIC_REG_ICR_LOW), (uint64_t)target << 32 | VECTOR(poster, IPI, target));
}

static void check_mode(struct vcpu *v, struct channel *c, uint8_t vector)
{
    uint64_t tmr = guest_rdmsr(v, VLAPIC_MSR_OF(VLAPIC_REG_TMR) + vector / 32u);

    CHECK((tmr >> vector % 32u & 1) == c->level, "vector %02x with the trigger mode of another post", vector);
    CHECK(c->payload == c->sent, "vector %02x without what was stored before its post", vector);
}

static void handle(struct vcpu *v, uint8_t vector)
{
    struct channel *c = &channels[vector];

    count(&c->begun);
    if (vector != SHARED) {
        check_mode(v, c, vector);
        c->levels += c->level;
    }
    if (IS_REQUEST(vector)) {
        send_requested_ipi(v, vector);
    }
    guest_wrmsr(v, VLAPIC_MSR_OF(VLAPIC_REG_EOI), 0);
    CHECK(vector == SHARED || get(&c->heard) == c->levels, "vector %02x: %u EOIs of %u levels", vector, get(&c->heard),
          c->levels);
    count(&c->handled);
}

static void handle_nmi(struct vcpu *v)
{
    (void)v;
    count(&nmis_handled);
}

static void hear(struct machine *m, uint8_t vector)
{
    (void)m;
    count(&channels[vector].heard);
}

static const struct guest guest = { .vector = handle, .nmi = handle_nmi, .broadcast = hear };

/* ---- posters ---- */

static void prepare(struct channel *c, bool level)
{
    c->sent++;
    c->payload = c->sent;
    c->level = level;
}

static void post(enum way way, unsigned target, unsigned vector, bool level)
{
    uint32_t accepted = 1;

    if (way == DEVICE) {
        device_posts(&machine, target, (uint8_t)vector);
    } else if (way == MSI) {
        (void)vlapic_vm_msi(machine.vm, 0xFEE00000u | target << 12, vector | (level ? 0xC000u : 0), &accepted);
    } else {
        accepted = vlapic_cpu_post(machine.vcpu[target].cpu, (uint8_t)vector, level);
    }
    CHECK(accepted == 1, "vector %02x: %u accepted", vector, accepted);
}

/* The vector that comes of it in the end. */
static unsigned send(const struct poster *p, enum way way, unsigned target, bool level)
{
    unsigned vector = VECTOR(p->index, way, target);
    unsigned posted = way == IPI ? REQUEST(p->index, 1 - target) : vector;

    level = level && way != DEVICE;
    prepare(&channels[posted], level);
    if (way == IPI) {
        prepare(&channels[vector], false);
    }
    post(way, way == IPI ? 1 - target : target, posted, level);
    return vector;
}

static void send_nmi(struct poster *p)
{
    uint32_t accepted = 0;

    if (get(&nmis_handled) == p->nmis) { /* it would merge with one that was not handled yet */
        (void)vlapic_vm_msi(machine.vm, 0xFEE00000u, 0x400, &accepted);
        p->nmis += accepted;
    }
}

/* Some handler has begun since. */
static void post_the_shared_one(unsigned round)
{
    struct channel *c = &channels[SHARED];
    unsigned begun = get(&c->begun);

    post(DIRECT, 0, SHARED, round % 2);
    wait_for(&c->begun, begun + 1, SHARED);
}

static void *post_and_wait(void *argument)
{
    struct poster *p = argument;

    for (unsigned round = 0; round < ROUNDS * (p->index + 1) / 2; round++) {
        enum way way = (enum way)(round % WAYS);
        unsigned target = round / WAYS % VCPUS;
        unsigned vector;

        if (way == DEVICE && !HARDWARE_POSTS(features)) {
            way = DIRECT;
        }
        vector = send(p, way, target, round % 3 == 0);
        wait_for(&channels[vector].handled, channels[vector].sent, vector);
        if (p->index == 0) {
            send_nmi(p);
            vlapic_vmx_inhibit(machine.vm, VLAPIC_VMX_INHIBIT_REQUEST, round % 32 == 31);
        } else {
            post_the_shared_one(round / p->index);
        }
    }
    wait_for(&nmis_handled, p->nmis, 2);
    return NULL;
}

/* ---- */

static void nothing_is_lost(void **state)
{
    const struct vmx_level *level = *state;
    struct poster posters[POSTERS];

    features = level->features;
    memset(channels, 0, sizeof channels);
    nmis_handled = 0;
    alarm(WATCHDOG_SECONDS);
    machine_make(&machine, features, &guest);
    machine_start(&machine);
    for (unsigned i = 0; i < POSTERS; i++) {
        posters[i] = (struct poster){ .index = i };
        assert_int_equal(pthread_create(&posters[i].thread, NULL, post_and_wait, &posters[i]), 0);
    }
    for (unsigned i = 0; i < POSTERS; i++) {
        assert_int_equal(pthread_join(posters[i].thread, NULL), 0);
    }
    machine_stop(&machine);
    for (unsigned vector = 0; vector < 256; vector++) {
        assert_int_equal(channels[vector].handled, vector == SHARED ? channels[vector].begun : channels[vector].sent);
    }
    assert_int_equal(nmis_handled, posters[0].nmis);
    machine_unmake(&machine);
    alarm(0);
}

int main(void)
{
    static const struct vmx_level levels[LEVELS] = {
        { "none", 0 },
        { "TPR shadow", LEVEL_SHADOW | VLAPIC_VMX_X2APIC },
        { "delivery", LEVEL_DELIVERY | VLAPIC_VMX_X2APIC },
        { "posted", LEVEL_POSTED | VLAPIC_VMX_X2APIC },
        { "IPI", LEVEL_IPI | VLAPIC_VMX_X2APIC },
    };
    struct CMUnitTest tests[LEVELS];

    for (unsigned i = 0; i < LEVELS; i++) {
        tests[i] = (struct CMUnitTest){ .name = levels[i].name,
                                        .test_func = nothing_is_lost,
                                        .initial_state = (void *)(uintptr_t)&levels[i] };
    }
    return cmocka_run_group_tests_name("vmx threads", tests, NULL, NULL);
}
