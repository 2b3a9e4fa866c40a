/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Posting threads against a running, halting, mode-switching vCPU: no vector is lost, no halted vCPU stays asleep. To be
 * run under ThreadSanitizer as well. docs/CONCURRENCY.md.
 */
#include "fake_host.h"
#include "posting_backend.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define POSTERS 3
#define ROUNDS 20000u
/* Nothing takes this long unless it hangs. */
#define WATCHDOG_SECONDS 120

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;
static bool kicked;

static void host_kick(void *cookie)
{
    (void)cookie;
    pthread_mutex_lock(&lock);
    kicked = true;
    pthread_cond_signal(&wake);
    pthread_mutex_unlock(&lock);
}

static void sleep_until_kicked(void)
{
    pthread_mutex_lock(&lock);
    while (!kicked) {
        pthread_cond_wait(&wake, &lock);
    }
    kicked = false;
    pthread_mutex_unlock(&lock);
}

static uint64_t host_now(void *cookie)
{
    (void)cookie;
    return 0;
}

static void host_arm(void *cookie, uint64_t deadline)
{
    (void)cookie;
    (void)deadline;
}

static void host_cancel(void *cookie)
{
    (void)cookie;
}

static const struct vlapic_host_ops ops = {
    .size = sizeof(ops),
    .abi = VLAPIC_HOST_ABI,
    .now_ns = host_now,
    .timer_arm_ns = host_arm,
    .timer_cancel = host_cancel,
    .kick = host_kick,
};

struct machine {
    struct vlapic_vm *vm;
    struct vlapic_cpu *cpu;
    void *vm_memory, *cpu_memory;
};

static void *allocate(const struct vlapic_layout *layout)
{
    return aligned_alloc(layout->alignment,
                         (layout->bytes + layout->alignment - 1) / layout->alignment * layout->alignment);
}

static void make(struct machine *m)
{
    struct vlapic_cpu_config cpu_config = { .size = sizeof(cpu_config), .bsp = true };
    struct vlapic_vm_config config;
    struct vlapic_layout layout;

    vlapic_vm_config_defaults(&config, sizeof(config), VLAPIC_VENDOR_INTEL);
    config.id_writable = true;
    config.host = &ops;
    config.backend = fake_backend;
    assert_int_equal(vlapic_vm_layout(&config, &layout), VLAPIC_OK);
    m->vm_memory = allocate(&layout);
    assert_int_equal(vlapic_vm_create(m->vm_memory, layout.bytes, &config, &m->vm), VLAPIC_OK);
    assert_int_equal(vlapic_cpu_layout(&config, &layout), VLAPIC_OK);
    m->cpu_memory = allocate(&layout);
    assert_int_equal(vlapic_cpu_create(m->cpu_memory, layout.bytes, m->vm, &cpu_config, &m->cpu), VLAPIC_OK);
    assert_int_equal(vlapic_cpu_attach(m->cpu), VLAPIC_OK);
    guest_software_enable(m->cpu);
    kicked = false;
}

static void unmake(struct machine *m)
{
    vlapic_cpu_destroy(m->cpu);
    free(m->cpu_memory);
    free(m->vm_memory);
}

/* --- nothing is lost: each poster waits until its vector was handled before it posts it again ---------------------------- */

struct poster {
    struct machine *machine;
    unsigned vector;
    unsigned handled; /* by the owner; atomic */
};

static void *post_and_wait(void *argument)
{
    struct poster *p = argument;

    for (unsigned round = 0; round < ROUNDS; round++) {
        bool level = round % 3 == 0;
        uint32_t data = p->vector | (level ? 0xC000u : 0);

        assert_int_equal(vlapic_vm_msi(p->machine->vm, 0xFEE00000, data, NULL), VLAPIC_ACCESS_DONE);
        while (__atomic_load_n(&p->handled, __ATOMIC_ACQUIRE) <= round) {
            sched_yield();
        }
    }
    return NULL;
}

static void take_one(struct vlapic_cpu *cpu, int vector, struct poster *posters, unsigned *total)
{
    for (unsigned i = 0; i < POSTERS; i++) {
        if (posters[i].vector == (unsigned)vector) {
            unsigned round = __atomic_load_n(&posters[i].handled, __ATOMIC_RELAXED);

            assert_true(vlapic_cpu_accept(cpu, (uint8_t)vector));
            /* The trigger mode is that of this very post. */
            assert_int_equal(guest_bit(cpu, VLAPIC_REG_TMR, (uint8_t)vector), round % 3 == 0);
            guest_eoi(cpu);
            (*total)++;
            __atomic_store_n(&posters[i].handled, round + 1, __ATOMIC_RELEASE);
        }
    }
}

/* Sleeps whenever nothing is pending: a lost wake-up hangs here until the watchdog. */
static void no_vector_and_no_wake_up_is_lost(void **state)
{
    struct poster posters[POSTERS];
    pthread_t threads[POSTERS];
    struct machine machine;
    unsigned total = 0;

    (void)state;
    alarm(WATCHDOG_SECONDS);
    make(&machine);
    for (unsigned i = 0; i < POSTERS; i++) {
        posters[i] = (struct poster){ .machine = &machine, .vector = 0x40 + 0x31 * i };
        assert_int_equal(pthread_create(&threads[i], NULL, post_and_wait, &posters[i]), 0);
    }
    while (total < POSTERS * ROUNDS) {
        struct vlapic_poll duty;

        vlapic_cpu_poll(machine.cpu, &duty);
        if (duty.vector >= 0) {
            take_one(machine.cpu, duty.vector, posters, &total);
        } else if (vlapic_cpu_halt(machine.cpu)) {
            sleep_until_kicked();
            vlapic_cpu_exit(machine.cpu);
        }
    }
    for (unsigned i = 0; i < POSTERS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(posters[i].handled, ROUNDS);
    }
    assert_int_equal(total, POSTERS * ROUNDS);
    unmake(&machine);
    alarm(0);
}

/* --- everything at once against every owner operation: nothing to check but that it stays sane --------------------------- */

static void *throw_everything(void *argument)
{
    struct machine *m = argument;

    for (unsigned i = 0; i < ROUNDS; i++) {
        vlapic_vm_msi(m->vm, 0xFEE00000 | (i % 2 ? 0xFF000 : 0) | (i % 3 ? 0 : 4), i & 0xC7FF, NULL);
        vlapic_cpu_lint(m->cpu, i & 1, i & 2);
        vlapic_cpu_lvt_event(m->cpu, VLAPIC_LVT_THERMAL);
        vlapic_cpu_timer_expired(m->cpu);
        vlapic_vm_find(m->vm, i % 8);
    }
    return NULL;
}

/* What changes the most at once. */
static void rare_step(struct vlapic_cpu *cpu, unsigned step)
{
    static uint8_t snapshot[VLAPIC_SNAPSHOT_MAX];
    size_t length;

    switch (step % 50) {
    case 1:
        vlapic_cpu_reset(cpu);
        break;
    case 2:
        vlapic_cpu_take_init(cpu);
        break;
    case 3:
        vlapic_cpu_detach(cpu);
        assert_int_equal(vlapic_cpu_attach(cpu), VLAPIC_OK);
        break;
    case 4:
        assert_int_equal(vlapic_snapshot_export_cpu(cpu, snapshot, sizeof(snapshot), &length), VLAPIC_OK);
        assert_int_equal(vlapic_snapshot_import_cpu(cpu, snapshot, length, VLAPIC_TIME_STOPPED, NULL), VLAPIC_OK);
        break;
    case 5:
        vlapic_cpu_mmio_write(cpu, VLAPIC_REG_ID, 4, step << 24);
        break;
    default:
        break;
    }
}

static void guest_step(struct vlapic_cpu *cpu, unsigned step)
{
    struct vlapic_poll duty;
    uint64_t base = vlapic_cpu_apic_base(cpu);

    vlapic_cpu_poll(cpu, &duty);
    if (duty.init) {
        vlapic_cpu_take_init(cpu); /* wipes the vector that was offered */
    } else if (duty.vector >= 0) {
        assert_true(vlapic_cpu_accept(cpu, (uint8_t)duty.vector));
    }
    if (step % 3 == 0 ? vlapic_cpu_halt(cpu) : vlapic_cpu_enter(cpu)) {
        vlapic_cpu_exit(cpu);
    }
    switch (step % 8) {
    case 0:
        vlapic_cpu_mmio_write(cpu, VLAPIC_REG_SVR, 4, step & 64 ? 0xFF : 0x1FF);
        break;
    case 1:
        vlapic_cpu_mmio_write(cpu, VLAPIC_REG_LDR, 4, step << 20);
        break;
    case 2:
        vlapic_cpu_mmio_write(cpu, VLAPIC_REG_EOI, 4, 0);
        break;
    case 3:
        vlapic_cpu_msr_write(cpu, VLAPIC_MSR_APIC_BASE, step & 128 ? base | VLAPIC_BASE_EXTD | VLAPIC_BASE_EN : base);
        break;
    case 4:
        vlapic_cpu_msr_write(cpu, VLAPIC_MSR_APIC_BASE,
                             step & 256 ? base & ~(VLAPIC_BASE_EXTD | VLAPIC_BASE_EN) : base | VLAPIC_BASE_EN);
        break;
    case 5:
        vlapic_cpu_msr_write(cpu, VLAPIC_MSR_APIC_BASE, vlapic_cpu_apic_base(cpu) | VLAPIC_BASE_EN);
        break;
    case 6:
        vlapic_cpu_mmio_write(cpu, VLAPIC_REG_DFR, 4, step & 16 ? 0 : 0xFFFFFFFF);
        break;
    default:
        rare_step(cpu, step / 8);
        break;
    }
}

static void a_storm_against_a_changing_vcpu_leaves_it_sane(void **state)
{
    pthread_t threads[POSTERS];
    struct vlapic_cpu_state saved;
    struct machine machine;
    const char *field = NULL;

    (void)state;
    alarm(WATCHDOG_SECONDS);
    make(&machine);
    for (unsigned i = 0; i < POSTERS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, throw_everything, &machine), 0);
    }
    for (unsigned step = 0; step < 2 * ROUNDS; step++) {
        guest_step(machine.cpu, step);
    }
    for (unsigned i = 0; i < POSTERS; i++) {
        pthread_join(threads[i], NULL);
    }
    /* Whatever came of it is a state that an APIC can have. */
    assert_int_equal(vlapic_cpu_get_state(machine.cpu, &saved, sizeof(saved)), VLAPIC_OK);
    if (vlapic_cpu_set_state(machine.cpu, &saved, VLAPIC_TIME_STOPPED, &field) != VLAPIC_OK) {
        fail_msg("impossible state: %s", field);
    }
    unmake(&machine);
    alarm(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_vector_and_no_wake_up_is_lost),
        cmocka_unit_test(a_storm_against_a_changing_vcpu_leaves_it_sane),
    };
    int failed = cmocka_run_group_tests_name("soft", tests, NULL, NULL);

    fake_backend = &posting_backend;
    return failed + cmocka_run_group_tests_name("posting backend", tests, NULL, NULL);
}
