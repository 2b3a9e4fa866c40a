/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The descriptor of the vmx backend where posters and owner meet half-way: docs/CONCURRENCY.md, section 6. The test plays the processor, the
 * IOMMU and the embedder, one step at a time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <vlapic/vlapic.h>
#include <vlapic/vmx.h>

#include "apicv.h"

#define NOTIFICATION 0xF2u
#define WAKEUP 0xF3u
#define NOWHERE UINT32_MAX
#define VECTOR 0x61u

struct descriptor {
    uint64_t pir[4];
    uint64_t control;
    uint64_t unused[3];
};

static struct vlapic_vm *vm;
static struct vlapic_cpu *cpu;
static _Alignas(4096) uint8_t pages[2][4096];
static _Alignas(4096) uint64_t pid_table[512];
static uint64_t fields[0x7000]; /* the VMCS, by encoding */
static void *memory[2];
static uint32_t here;      /* the physical CPU that calls */
static uint32_t listed_at; /* whose list of blocked vCPUs has it */
static unsigned notified, kicked;

static struct descriptor *descriptor(void)
{
    return (struct descriptor *)(void *)pages[1];
}

static bool is_on(void)
{
    return (descriptor()->control & 1) != 0;
}

static bool is_suppressed(void)
{
    return (descriptor()->control & 2) != 0;
}

static uint32_t nv(void)
{
    return descriptor()->control >> 16 & 0xFF;
}

static uint32_t ndst(void)
{
    return (uint32_t)(descriptor()->control >> 32);
}

/* ---- the embedder ---- */

static void vmwrite(void *cookie, uint32_t field, uint64_t value)
{
    (void)cookie;
    fields[field] = value;
}

static uint64_t vmread(void *cookie, uint32_t field)
{
    (void)cookie;
    return fields[field];
}

static uint32_t physical_apic_id(void *cookie)
{
    (void)cookie;
    return here;
}

static void notify(void *cookie, uint32_t apic_id, uint8_t vector)
{
    (void)cookie;
    assert_int_equal(apic_id, here);
    assert_int_equal(vector, NOTIFICATION);
    notified++;
}

static void blocked(void *cookie, uint32_t apic_id, bool is_blocked)
{
    (void)cookie;
    assert_int_equal(listed_at, is_blocked ? NOWHERE : apic_id);
    listed_at = is_blocked ? apic_id : NOWHERE;
}

static uint64_t read_register(void *cookie, uint32_t reg)
{
    (void)cookie;
    return reg;
}

static void write_register(void *cookie, uint32_t reg, uint64_t value)
{
    (void)cookie;
    (void)reg;
    (void)value;
}

static void kick(void *cookie)
{
    (void)cookie;
    kicked++;
}

static uint64_t now_ns(void *cookie)
{
    (void)cookie;
    return 0;
}

static void arm(void *cookie, uint64_t deadline)
{
    (void)cookie;
    (void)deadline;
}

static void cancel(void *cookie)
{
    (void)cookie;
}

static const struct vlapic_host_ops host = {
    .size = sizeof host,
    .abi = VLAPIC_HOST_ABI,
    .now_ns = now_ns,
    .timer_arm_ns = arm,
    .timer_cancel = cancel,
    .kick = kick,
};

static const struct vlapic_decode_ops guest = {
    .size = sizeof guest,
    .abi = VLAPIC_DECODE_ABI,
    .read_register = read_register,
    .write_register = write_register,
};

static const struct vlapic_vmx_ops ops = {
    .size = sizeof ops,
    .abi = VLAPIC_VMX_ABI,
    .vmwrite = vmwrite,
    .vmread = vmread,
    .physical_apic_id = physical_apic_id,
    .notify = notify,
    .blocked = blocked,
    .guest = &guest,
};

static uint64_t capability(uint32_t msr)
{
    struct apicv_caps caps = apicv_caps_sapphire_rapids();
    uint64_t value = 0;

    return apicv_capability_msr(&caps, msr, &value) ? value : 0;
}

static struct vlapic_vmx_config settings(void)
{
    struct vlapic_vmx_config config;

    assert_int_equal(vlapic_vmx_config_defaults(&config, sizeof config), VLAPIC_OK);
    config.capabilities = (struct vlapic_vmx_capabilities){
        .pin = capability(APICV_MSR_TRUE_PINBASED),
        .primary = capability(APICV_MSR_TRUE_PROCBASED),
        .secondary = capability(APICV_MSR_PROCBASED2),
        .tertiary = capability(APICV_MSR_PROCBASED3),
        .exit = capability(APICV_MSR_TRUE_EXIT),
    };
    config.ops = &ops;
    config.apic_access_page = 0x2000000;
    config.notification_vector = NOTIFICATION;
    config.wakeup_vector = WAKEUP;
    config.host_x2apic = true;
    config.pid_table = (struct vlapic_page){ .va = pid_table, .pa = 0x3000000 };
    config.pid_table_entries = 512;
    return config;
}

static void *allocate(unsigned number, const struct vlapic_layout *layout)
{
    memory[number] = aligned_alloc(4096, (layout->bytes + 4095) / 4096 * 4096);
    assert_non_null(memory[number]);
    return memory[number];
}

/* A vCPU in xAPIC mode, software-enabled, loaded on physical CPU 3. */
static int start(void **state)
{
    static const struct vlapic_page two[2] = { { .va = pages[0], .pa = 0x1000000 },
                                               { .va = pages[1], .pa = 0x1001000 } };
    struct vlapic_cpu_config cpu_config = { .size = sizeof cpu_config, .bsp = true, .pages = two };
    struct vlapic_vmx_config vmx = settings();
    struct vlapic_vm_config config;
    struct vlapic_layout layout;

    (void)state;
    assert_int_equal(vlapic_vm_config_defaults(&config, sizeof config, VLAPIC_VENDOR_INTEL), VLAPIC_OK);
    config.host = &host;
    config.backend = &vlapic_backend_vmx;
    config.backend_config = &vmx;
    assert_int_equal(vlapic_vm_layout(&config, &layout), VLAPIC_OK);
    assert_int_equal(vlapic_vm_create(allocate(0, &layout), layout.bytes, &config, &vm), VLAPIC_OK);
    assert_int_equal(vlapic_cpu_layout(&config, &layout), VLAPIC_OK);
    assert_int_equal(vlapic_cpu_create(allocate(1, &layout), layout.bytes, vm, &cpu_config, &cpu), VLAPIC_OK);
    assert_int_equal(vlapic_cpu_attach(cpu), VLAPIC_OK);
    assert_int_equal(vlapic_cpu_mmio_write(cpu, VLAPIC_REG_SVR, 4, 0x1FF), VLAPIC_ACCESS_DONE);
    here = 3;
    listed_at = NOWHERE;
    notified = kicked = 0;
    vlapic_cpu_load(cpu);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    vlapic_cpu_destroy(cpu);
    free(memory[1]);
    free(memory[0]);
    return 0;
}

/* ---- helpers ---- */

static int16_t poll_vector(void)
{
    struct vlapic_poll duty;

    vlapic_cpu_poll(cpu, &duty);
    return duty.vector;
}

static void go_to_sleep(void)
{
    (void)poll_vector();
    assert_true(vlapic_cpu_halt(cpu));
}

static void move_to(uint32_t apic_id)
{
    vlapic_cpu_put(cpu);
    here = apic_id;
    vlapic_cpu_load(cpu);
}

/* The two steps of whoever posts, those of hardware: reference 11. Returns whether it sends a notification. */
static void poster_sets_pir(void)
{
    descriptor()->pir[VECTOR / 64] |= 1ull << VECTOR % 64;
}

static bool hardware_claims_on(void)
{
    bool sends = (descriptor()->control & 3) == 0;

    descriptor()->control |= sends;
    return sends;
}

static bool is_level(void)
{
    uint64_t value = 0;

    (void)vlapic_cpu_mmio_read(cpu, VLAPIC_REG_TMR + (VECTOR / 32) * 16, 4, &value);
    return (value >> VECTOR % 32 & 1) != 0;
}

/* ---- sleeping ---- */

/* The wake-up vector goes to the physical CPU whose list has the vCPU. */
static void a_sleeping_vcpu_is_woken_where_it_went_to_sleep(void **state)
{
    (void)state;
    go_to_sleep();
    assert_int_equal(listed_at, 3);
    move_to(5);
    assert_int_equal(ndst(), listed_at);
    assert_int_equal(nv(), WAKEUP);
    assert_false(is_suppressed());
    vlapic_cpu_exit(cpu);
    assert_int_equal(listed_at, NOWHERE);
    assert_int_equal(ndst(), 5);
    assert_int_equal(nv(), NOTIFICATION);
}

/* If the owner set ON for it, nobody would send the wake-up vector, nor look. */
static void loading_a_sleeping_vcpu_takes_no_wake_up_from_hardware(void **state)
{
    (void)state;
    go_to_sleep();
    poster_sets_pir();
    move_to(5);
    assert_true(hardware_claims_on());
    assert_true(vlapic_vmx_is_outstanding(cpu));
}

/* Nor would software kick. */
static void loading_a_sleeping_vcpu_takes_no_kick_from_software(void **state)
{
    (void)state;
    go_to_sleep();
    poster_sets_pir();
    move_to(5);
    assert_true(vlapic_cpu_post(cpu, VECTOR + 1, false));
    assert_int_equal(kicked, 1);
}

static void a_vcpu_that_wakes_without_being_loaded_is_not_notified(void **state)
{
    (void)state;
    go_to_sleep();
    vlapic_cpu_put(cpu);
    assert_false(is_suppressed());
    vlapic_cpu_exit(cpu);
    assert_true(is_suppressed());
    poster_sets_pir();
    assert_false(hardware_claims_on());
    vlapic_cpu_load(cpu);
    assert_false(is_suppressed());
    assert_true(is_on());
}

static void what_came_while_nobody_was_to_be_notified_ends_the_sleep_at_once(void **state)
{
    (void)state;
    vlapic_cpu_put(cpu);
    poster_sets_pir();
    assert_false(hardware_claims_on());
    (void)poll_vector();
    assert_false(vlapic_cpu_halt(cpu));
    assert_int_equal(poll_vector(), VECTOR);
}

/* run.h: of several calls of enter and halt the last one counts. */
static void a_vcpu_that_sleeps_again_is_listed_once(void **state)
{
    (void)state;
    go_to_sleep();
    assert_true(vlapic_cpu_halt(cpu));
    vlapic_cpu_exit(cpu);
    assert_int_equal(listed_at, NOWHERE);
}

static void a_vcpu_that_enters_instead_of_sleeping_is_notified_again(void **state)
{
    (void)state;
    go_to_sleep();
    move_to(5);
    assert_true(vlapic_cpu_enter(cpu));
    assert_int_equal(listed_at, NOWHERE);
    assert_int_equal(ndst(), 5);
    assert_int_equal(nv(), NOTIFICATION);
    assert_true(vlapic_cpu_post(cpu, VECTOR, false));
    assert_int_equal(notified, 1);
}

/* Processors that post by themselves have nothing but the wake-up vector to wake with, and a guest that runs there must not swallow it. */
static void ipi_virtualization_needs_a_wake_up_vector_of_its_own(void **state)
{
    struct vlapic_vmx_config config = settings();
    struct vlapic_vmx_ops deaf = ops;

    (void)state;
    assert_true((vlapic_vmx_features(&config) & VLAPIC_VMX_IPI) != 0);
    config.wakeup_vector = 0;
    assert_int_equal(vlapic_vmx_features(&config) & (VLAPIC_VMX_IPI | VLAPIC_VMX_POSTED), VLAPIC_VMX_POSTED);
    config.wakeup_vector = NOTIFICATION;
    assert_int_equal(vlapic_vmx_features(&config) & (VLAPIC_VMX_IPI | VLAPIC_VMX_POSTED), VLAPIC_VMX_POSTED);
    config.wakeup_vector = WAKEUP;
    deaf.blocked = NULL;
    config.ops = &deaf;
    assert_int_equal(vlapic_vmx_features(&config) & (VLAPIC_VMX_IPI | VLAPIC_VMX_POSTED), VLAPIC_VMX_POSTED);
}

/* ---- trigger modes ---- */

/* An edge of this vector that does not come by a post. */
static void local_edge(void)
{
    assert_int_equal(vlapic_cpu_mmio_write(cpu, VLAPIC_REG_LVT_THERMAL, 4, VECTOR), VLAPIC_ACCESS_DONE);
    vlapic_cpu_lvt_event(cpu, VLAPIC_LVT_THERMAL);
    assert_int_equal(poll_vector(), VECTOR);
    assert_false(is_level());
}

/* A level waits in PIR when an edge of the same vector changes the mode: it must not become an edge, whose EOI nobody would hear of. */
static void a_level_stays_one_though_tmr_changes_under_it(void **state)
{
    (void)state;
    assert_true(vlapic_cpu_post(cpu, VECTOR, true));
    assert_int_equal(poll_vector(), VECTOR);
    assert_true(is_level());
    assert_true(vlapic_cpu_enter(cpu));
    assert_true(vlapic_cpu_post(cpu, VECTOR, true));
    assert_int_equal(notified, 1); /* too late: the guest exits */
    vlapic_cpu_exit(cpu);
    local_edge();
    assert_false(vlapic_cpu_enter(cpu));
    assert_int_equal(poll_vector(), VECTOR);
    assert_true(is_level());
    assert_true(vlapic_cpu_enter(cpu));
}

/* As everything that was posted before it. */
static void a_reset_forgets_what_tmr_changed_under(void **state)
{
    (void)state;
    assert_true(vlapic_cpu_post(cpu, VECTOR, true));
    (void)poll_vector();
    assert_true(vlapic_cpu_enter(cpu));
    assert_true(vlapic_cpu_post(cpu, VECTOR, true));
    vlapic_cpu_exit(cpu);
    local_edge();
    vlapic_cpu_reset(cpu);
    assert_int_equal(vlapic_cpu_mmio_write(cpu, VLAPIC_REG_SVR, 4, 0x1FF), VLAPIC_ACCESS_DONE);
    assert_true(vlapic_cpu_post(cpu, VECTOR - 1, false));
    assert_int_equal(poll_vector(), VECTOR - 1);
}

/* The look that precedes an entry asks ON alone. */
static void what_tmr_changed_under_is_announced(void **state)
{
    (void)state;
    assert_true(vlapic_cpu_post(cpu, VECTOR, true));
    (void)poll_vector();
    poster_sets_pir();
    local_edge();
    assert_false(vlapic_cpu_enter(cpu));
    (void)poll_vector();
    assert_true(is_level());
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_sleeping_vcpu_is_woken_where_it_went_to_sleep),
        TEST(loading_a_sleeping_vcpu_takes_no_wake_up_from_hardware),
        TEST(loading_a_sleeping_vcpu_takes_no_kick_from_software),
        TEST(a_vcpu_that_wakes_without_being_loaded_is_not_notified),
        TEST(what_came_while_nobody_was_to_be_notified_ends_the_sleep_at_once),
        TEST(a_vcpu_that_sleeps_again_is_listed_once),
        TEST(a_vcpu_that_enters_instead_of_sleeping_is_notified_again),
        TEST(ipi_virtualization_needs_a_wake_up_vector_of_its_own),
        TEST(a_level_stays_one_though_tmr_changes_under_it),
        TEST(what_tmr_changed_under_is_announced),
        TEST(a_reset_forgets_what_tmr_changed_under),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
