/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Posted interrupts under senders, posters and changes of SN and NV on other threads.
 */
#include "apicv_machine.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>

static struct machine m;

static const struct controls posted = {
    .pin = 0x81,
    .primary = APICV_PRIMARY_TPR_SHADOW | APICV_PRIMARY_MSR_BITMAPS,
    .secondary = 0x301,
    .exit = APICV_EXIT_ACKNOWLEDGE_INTERRUPT,
};

#define DESTINATION 7u
#define WAKE_UP 0xF3
#define ROUNDS 40

/* How often each vector was posted and delivered; a poster does not post a vector again before it was delivered. */
static unsigned sent[256], delivered[256];
static bool finished;

static void notify(void *context, uint32_t destination, uint8_t vector)
{
    struct machine *machine = context;

    if (destination == DESTINATION)
        apicv_interrupt_arrives(&machine->cpu[0], vector);
}

static bool may_post(unsigned vector)
{
    return __atomic_load_n(&delivered[vector], __ATOMIC_ACQUIRE) == __atomic_load_n(&sent[vector], __ATOMIC_RELAXED);
}

static void wait_for(unsigned vector)
{
    while (!may_post(vector))
        (void)sched_yield();
    (void)__atomic_fetch_add(&sent[vector], 1, __ATOMIC_RELAXED);
}

/* Sends as NV says, but with the software's right to ignore SN. */
static void set_on_and_notify(void)
{
    uint64_t was = __atomic_fetch_or(descriptor_control(&m, 0), APICV_DESCRIPTOR_ON, __ATOMIC_SEQ_CST);

    if (!(was & APICV_DESCRIPTOR_ON))
        apicv_interrupt_arrives(&m.cpu[0], (uint8_t)(was >> 16));
}

/* Vectors 20h..7Fh by IPI virtualization of the other processor. */
static void *sender(void *unused)
{
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned vector = 0x20; vector < 0x80; vector++) {
            wait_for(vector);
            if (apicv_guest_wrmsr(&m.cpu[1], 0x830, vector).outcome != APICV_DONE)
                return unused;
        }
    }
    return NULL;
}

/* Vectors 80h..FFh by software. */
static void *poster(void *unused)
{
    uint64_t *pir = (uint64_t *)(void *)machine_at(&m, DESCRIPTOR_PA(0));

    (void)unused;
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned vector = 0x80; vector < 0x100; vector++) {
            wait_for(vector);
            (void)__atomic_fetch_or(&pir[vector / 64], 1ull << vector % 64, __ATOMIC_SEQ_CST);
            set_on_and_notify();
        }
    }
    return NULL;
}

/* A VMM that suppresses notifications and permits them again (16), and changes NV meanwhile. */
static void *toggler(void *unused)
{
    uint64_t *control = descriptor_control(&m, 0);
    const uint64_t *pir = (const uint64_t *)(const void *)machine_at(&m, DESCRIPTOR_PA(0));
    uint64_t nv_change = (uint64_t)(NOTIFICATION ^ WAKE_UP) << 16;

    (void)unused;
    while (!__atomic_load_n(&finished, __ATOMIC_ACQUIRE)) {
        bool any = false;

        (void)__atomic_fetch_or(control, APICV_DESCRIPTOR_SN, __ATOMIC_SEQ_CST);
        (void)sched_yield();
        (void)__atomic_fetch_xor(control, nv_change, __ATOMIC_SEQ_CST);
        (void)__atomic_fetch_and(control, ~APICV_DESCRIPTOR_SN, __ATOMIC_SEQ_CST);
        for (unsigned i = 0; i < 4; i++)
            any |= __atomic_load_n(&pir[i], __ATOMIC_SEQ_CST) != 0;
        if (any)
            set_on_and_notify();
        (void)sched_yield();
    }
    return NULL;
}

/* Reference 15, the entry side, after the wake-up vector brought the guest out. */
static void synchronise(struct apicv_cpu *cpu)
{
    uint64_t *words = (uint64_t *)(void *)machine_at(&m, DESCRIPTOR_PA(0));
    unsigned highest = 0;

    (void)__atomic_fetch_and(&words[4], ~APICV_DESCRIPTOR_ON, __ATOMIC_SEQ_CST);
    for (unsigned i = 0; i < 4; i++) {
        uint64_t taken = __atomic_exchange_n(&words[i], 0, __ATOMIC_SEQ_CST);

        for (unsigned bit = 0; bit < 64; bit++)
            if (taken >> bit & 1)
                page_add(&m, 0, 0x200, (uint8_t)(64 * i + bit));
    }
    for (unsigned vector = 0; vector < 256; vector++)
        if (page_has(&m, 0, 0x200, (uint8_t)vector))
            highest = vector;
    vmcs_put(cpu, APICV_GUEST_INTERRUPT_STATUS, (vmcs_get(cpu, APICV_GUEST_INTERRUPT_STATUS) & 0xFF00) | highest);
    is_nothing(apicv_enter(cpu));
}

static void one_step_of_the_receiver(struct apicv_cpu *cpu, unsigned *total)
{
    struct apicv_result result = apicv_boundary(cpu);

    if (result.outcome == APICV_EXIT) {
        is_exit(cpu, result, 1, 0);
        assert_int_equal(result.exit.interruption, 0x80000000u | WAKE_UP);
        synchronise(cpu);
    } else if (result.delivered) {
        assert_false(may_post(result.vector)); /* nothing comes that was not sent */
        is_nothing(apicv_guest_write(cpu, FRAME_PA + 0x0B0, 4, 0));
        is_nothing(apicv_guest_iret(cpu, true));
        (void)__atomic_fetch_add(&delivered[result.vector], 1, __ATOMIC_RELEASE);
        ++*total;
    } else {
        (void)sched_yield();
    }
}

static void start_sender(void)
{
    struct apicv_cpu *cpu = &m.cpu[1];

    machine_controls(&m, 1,
                     (struct controls){ .primary = APICV_PRIMARY_TPR_SHADOW | APICV_PRIMARY_MSR_BITMAPS,
                                        .secondary = 0x010,
                                        .tertiary = APICV_TERTIARY_IPI_VIRTUALIZATION });
    pass_msr(&m, 0x830, false, true);
    *(uint64_t *)(void *)machine_at(&m, TABLE_PA) = DESCRIPTOR_PA(0) | 1;
    is_nothing(apicv_enter(cpu));
}

static void no_vector_is_lost_under_senders_posters_and_changes_of_sn_and_nv(void **unused)
{
    /* Reference 10, 11, 15, 16. The test ends by itself or by the time limit of its runner: a lost vector is waited for. */
    void *(*const bodies[])(void *) = { sender, poster, toggler };
    struct apicv_cpu *cpu = machine_enter(&m, apicv_caps_sapphire_rapids(), posted);
    uint8_t *descriptor = machine_at(&m, DESCRIPTOR_PA(0));
    pthread_t threads[3];
    unsigned total = 0;
    void *trouble = NULL;

    (void)unused;
    m.host.trace = NULL; /* which is for one thread */
    m.host.send_ipi = notify;
    start_sender();
    memset(descriptor + 40, 0x77, 24);
    *descriptor_control(&m, 0) = (uint64_t)DESTINATION << 32 | NOTIFICATION << 16;
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, bodies[i], &m), 0);

    while (total < ROUNDS * (0x100 - 0x20))
        one_step_of_the_receiver(cpu, &total);
    __atomic_store_n(&finished, true, __ATOMIC_RELEASE);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(pthread_join(threads[i], &trouble), 0);
        assert_null(trouble);
    }

    for (unsigned vector = 0x20; vector < 0x100; vector++)
        assert_int_equal(delivered[vector], ROUNDS);
    assert_int_equal(*descriptor_control(&m, 0) & ~(0xFFull << 16 | 1), (uint64_t)DESTINATION << 32);
    for (unsigned i = 40; i < 64; i++)
        assert_int_equal(descriptor[i], 0x77);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_vector_is_lost_under_senders_posters_and_changes_of_sn_and_nv),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
