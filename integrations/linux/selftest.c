/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a kernel has to be right about before it runs guests: the library with the soft backend, on the kernel's clock, timers and threads. Runs when
 * the module is loaded, which fails if a check does.
 */
#include <linux/completion.h>
#include <linux/kthread.h>
#include <linux/slab.h>

#include "vmm.h"

#define CPUS 2
#define POSTERS 2
#define POSTS 300
#define FIRST_VECTOR 0x51 /* of the posters; each has a class of its own */
#define TIMER_NS 200000
#define PATIENCE_NS (5ull * NSEC_PER_SEC)
#define MSR(offset) (0x800u + (offset) / 16)

struct test_cpu {
    struct vlapic_cpu *apic;
    void *memory;
    struct hrtimer timer;
    u32 kicks;
};

struct test_poster {
    struct vlapic_cpu *target;
    u8 vector;
    u32 announced; /* the last post's number, written before it */
    struct completion done;
};

struct test {
    struct vlapic_vm *vm;
    void *memory;
    struct test_cpu cpus[CPUS];
    struct test_poster posters[POSTERS];
};

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            pr_err("vlapic_vmm: selftest.c:%d: %s\n", __LINE__, #condition);                                           \
            return false;                                                                                              \
        }                                                                                                              \
    } while (0)

/* --- a host of its own -------------------------------------------------------------------------------------------------------- */

static u64 now_ns(void *cookie)
{
    return ktime_get_ns();
}

static void arm(void *cookie, u64 deadline_ns)
{
    hrtimer_start(&((struct test_cpu *)cookie)->timer, ns_to_ktime(min_t(u64, deadline_ns, KTIME_MAX)),
                  HRTIMER_MODE_ABS);
}

static void cancel(void *cookie)
{
    hrtimer_try_to_cancel(&((struct test_cpu *)cookie)->timer);
}

static void kick(void *cookie)
{
    WRITE_ONCE(((struct test_cpu *)cookie)->kicks, 1);
}

static enum hrtimer_restart expired(struct hrtimer *timer)
{
    vlapic_cpu_timer_expired(container_of(timer, struct test_cpu, timer)->apic);
    return HRTIMER_NORESTART;
}

static const struct vlapic_host_ops host_ops = {
    .size = sizeof(host_ops),
    .abi = VLAPIC_HOST_ABI,
    .now_ns = now_ns,
    .timer_arm_ns = arm,
    .timer_cancel = cancel,
    .kick = kick,
};

static bool make_cpu(struct test *test, u32 index)
{
    struct test_cpu *cpu = &test->cpus[index];
    /* Of two boot processors neither waits for a SIPI. */
    struct vlapic_cpu_config config = { .size = sizeof(config), .apic_id = index, .bsp = true, .cookie = cpu };
    struct vlapic_layout layout;

    hrtimer_init(&cpu->timer, CLOCK_MONOTONIC, HRTIMER_MODE_ABS);
    cpu->timer.function = expired;
    CHECK(vlapic_cpu_layout(vlapic_vm_get_config(test->vm), &layout) == VLAPIC_OK);
    CHECK(layout.pages == 0);
    cpu->memory = vmm_alloc(layout.bytes, layout.alignment);
    CHECK(cpu->memory);
    CHECK(vlapic_cpu_create(cpu->memory, layout.bytes, test->vm, &config, &cpu->apic) == VLAPIC_OK);
    CHECK(vlapic_cpu_attach(cpu->apic) == VLAPIC_OK);
    return true;
}

static bool make(struct test *test)
{
    struct vlapic_vm_config config;
    struct vlapic_layout layout;
    u32 i;

    CHECK(vlapic_vm_config_defaults(&config, sizeof(config), VLAPIC_VENDOR_INTEL) == VLAPIC_OK);
    config.host = &host_ops;
    config.backend = &vlapic_backend_soft;
    config.max_apic_id = CPUS - 1;
    CHECK(vlapic_vm_layout(&config, &layout) == VLAPIC_OK);
    test->memory = vmm_alloc(layout.bytes, layout.alignment);
    CHECK(test->memory);
    CHECK(vlapic_vm_create(test->memory, layout.bytes, &config, &test->vm) == VLAPIC_OK);
    for (i = 0; i < CPUS; i++) {
        CHECK(make_cpu(test, i));
        CHECK(vlapic_cpu_msr_write(test->cpus[i].apic, VLAPIC_MSR_APIC_BASE,
                                   vlapic_cpu_apic_base(test->cpus[i].apic) | VLAPIC_BASE_EXTD) == VLAPIC_ACCESS_DONE);
        CHECK(vlapic_cpu_msr_write(test->cpus[i].apic, MSR(VLAPIC_REG_SVR), VLAPIC_SVR_ENABLE | 0xFF) ==
              VLAPIC_ACCESS_DONE);
    }
    return true;
}

static void end(struct test *test)
{
    u32 i;

    for (i = 0; i < CPUS; i++) {
        if (test->cpus[i].apic) {
            vlapic_cpu_destroy(test->cpus[i].apic);
            hrtimer_cancel(&test->cpus[i].timer);
        }
        kfree(test->cpus[i].memory);
    }
    kfree(test->memory);
    kfree(test);
}

/* --- the tests ----------------------------------------------------------------------------------------------------------------- */

/* Accepts and ends what can be delivered now; its vector, or -1. */
static int take(struct vlapic_cpu *apic)
{
    struct vlapic_poll duty;

    vlapic_cpu_poll(apic, &duty);
    if (duty.vector >= 0 && !vlapic_cpu_accept(apic, (u8)duty.vector)) {
        return -1;
    }
    if (duty.vector >= 0) {
        vlapic_cpu_msr_write(apic, MSR(VLAPIC_REG_EOI), 0);
    }
    return duty.vector;
}

static bool test_delivery(struct test *test)
{
    struct vlapic_cpu *apic = test->cpus[0].apic;
    struct vlapic_poll duty;

    CHECK(take(apic) == -1);
    CHECK(vlapic_cpu_post(apic, 0x41, false));
    CHECK(vlapic_cpu_post(apic, 0x92, false));
    CHECK(vlapic_cpu_cr8_write(apic, 9) == VLAPIC_ACCESS_DONE);
    CHECK(take(apic) == -1);
    CHECK(vlapic_cpu_cr8_write(apic, 8) == VLAPIC_ACCESS_DONE);
    CHECK(take(apic) == 0x92);
    CHECK(take(apic) == -1);
    CHECK(vlapic_cpu_cr8_write(apic, 0) == VLAPIC_ACCESS_DONE);
    vlapic_cpu_poll(apic, &duty);
    CHECK(duty.vector == 0x41 && vlapic_cpu_accept(apic, 0x41) && vlapic_cpu_unaccept(apic, 0x41));
    CHECK(take(apic) == 0x41);
    CHECK(take(apic) == -1);
    return true;
}

/* By ICR; the target is kicked only where its run state asks for that. */
static bool test_ipi(struct test *test)
{
    struct vlapic_cpu *sender = test->cpus[0].apic;
    struct test_cpu *target = &test->cpus[1];

    CHECK(take(target->apic) == -1);
    CHECK(vlapic_cpu_msr_write(sender, MSR(VLAPIC_REG_ICR_LOW), 1ull << 32 | VLAPIC_ICR_ASSERT | 0x61) ==
          VLAPIC_ACCESS_DONE);
    CHECK(target->kicks == 0);
    CHECK(!vlapic_cpu_halt(target->apic));
    CHECK(take(target->apic) == 0x61);
    CHECK(vlapic_cpu_halt(target->apic));
    CHECK(vlapic_cpu_msr_write(sender, MSR(VLAPIC_REG_ICR_LOW), 1ull << 32 | VLAPIC_ICR_ASSERT | 0x62) ==
          VLAPIC_ACCESS_DONE);
    CHECK(target->kicks == 1);
    vlapic_cpu_exit(target->apic);
    CHECK(take(target->apic) == 0x62);
    return true;
}

/* One-shot, by a real hrtimer: not early, and it makes the vCPU look. */
static bool test_timer(struct test *test)
{
    struct test_cpu *cpu = &test->cpus[0];
    u64 start = ktime_get_ns();
    int vector;

    CHECK(vlapic_cpu_msr_write(cpu->apic, MSR(VLAPIC_REG_LVT_TIMER), 0xA1) == VLAPIC_ACCESS_DONE);
    CHECK(vlapic_cpu_msr_write(cpu->apic, MSR(VLAPIC_REG_DIVIDE_CONFIG), 0xB) == VLAPIC_ACCESS_DONE);
    CHECK(vlapic_cpu_msr_write(cpu->apic, MSR(VLAPIC_REG_INITIAL_COUNT), TIMER_NS) == VLAPIC_ACCESS_DONE);
    while ((vector = take(cpu->apic)) == -1 && ktime_get_ns() - start < PATIENCE_NS) {
        WRITE_ONCE(cpu->kicks, 0);
        if (vlapic_cpu_halt(cpu->apic)) {
            while (READ_ONCE(cpu->kicks) == 0 && ktime_get_ns() - start < PATIENCE_NS) {
                schedule_timeout_uninterruptible(1);
            }
            vlapic_cpu_exit(cpu->apic);
        }
    }
    CHECK(vector == 0xA1);
    CHECK(ktime_get_ns() - start >= TIMER_NS);
    return true;
}

static bool test_snapshot(struct test *test)
{
    struct vlapic_cpu *apic = test->cpus[1].apic;
    u8 *bytes = vmm_alloc(VLAPIC_SNAPSHOT_MAX, 1);
    enum vlapic_status exported, imported;
    size_t length;

    CHECK(bytes);
    vlapic_cpu_post(apic, 0x73, false);
    exported = vlapic_snapshot_export_cpu(apic, bytes, VLAPIC_SNAPSHOT_MAX, &length);
    vlapic_cpu_reset(apic);
    imported = vlapic_snapshot_import_cpu(apic, bytes, length, VLAPIC_TIME_RAN, NULL);
    kfree(bytes);
    CHECK(exported == VLAPIC_OK && imported == VLAPIC_OK);
    CHECK(take(apic) == 0x73);
    return true;
}

static int post(void *argument)
{
    struct test_poster *poster = argument;
    u32 i;

    for (i = 1; i <= POSTS; i++) {
        WRITE_ONCE(poster->announced, i);
        vlapic_cpu_post(poster->target, poster->vector, false);
    }
    kthread_complete_and_exit(&poster->done, 0); /* does not return here, where the module may be gone by then */
}

/* Other threads post while the owner takes: however many merge, the last one of each poster comes through. */
static bool test_threads(struct test *test)
{
    struct vlapic_cpu *apic = test->cpus[0].apic;
    u32 seen[POSTERS] = { 0 }, started, i;
    u64 start = ktime_get_ns();
    bool all = false;

    for (started = 0; started < POSTERS; started++) {
        struct test_poster *poster = &test->posters[started];

        *poster = (struct test_poster){ .target = apic, .vector = FIRST_VECTOR + 0x20 * started };
        init_completion(&poster->done);
        if (IS_ERR(kthread_run(post, poster, "vlapic-post/%u", started))) {
            break;
        }
    }
    while (!all && started == POSTERS && ktime_get_ns() - start < PATIENCE_NS) {
        int vector = take(apic);

        for (i = 0, all = true; i < POSTERS; i++) {
            if (vector == test->posters[i].vector) {
                seen[i] = READ_ONCE(test->posters[i].announced);
            }
            all = all && seen[i] == POSTS;
        }
        cond_resched();
    }
    for (i = 0; i < started; i++) {
        wait_for_completion(&test->posters[i].done);
    }
    CHECK(all);
    return true;
}

int vmm_selftest(void)
{
    struct test *test = vmm_alloc(sizeof(*test), 1);
    bool passed;

    if (!test) {
        return -ENOMEM;
    }
    passed = make(test) && test_delivery(test) && test_ipi(test) && test_timer(test) && test_snapshot(test) &&
             test_threads(test);
    end(test);
    return passed ? 0 : -EIO;
}
