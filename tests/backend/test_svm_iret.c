/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Without vNMI, NMIs are blocked from an injection to the end of the next IRET, which is intercepted and then executed by one entry. AMD APM 2,
 * "NMI Virtualization", "Event Injection". The VMCB is plain memory, and the test plays the processor.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <vlapic/svm_run.h>
#include <vlapic/vlapic.h>

#include "svmhw_vmcb.h"

#define IRET_INTERCEPT (1u << 20)
#define VECTOR 0x61
#define NMI_HANDLER 0x2000u
#define IRET_OF_NMI 0x2010u
#define OTHER_HANDLER 0x3000u
#define IRET_OF_OTHER 0x3010u
#define DEBUG_EXCEPTION 0x41u
#define FLAGS_CLOSED 0x002u
#define FLAGS_OPEN 0x202u

static _Alignas(4096) uint8_t vmcb_page[4096], register_page[4096];
static struct vlapic_vm *vm;
static struct vlapic_cpu *cpu;
static void *vm_memory, *cpu_memory;
static struct vlapic_svm_entry entry;

static void *vmcb(void *cookie)
{
    (void)cookie;
    return vmcb_page;
}

static uint64_t read_register(void *cookie, uint32_t reg)
{
    (void)cookie;
    (void)reg;
    return 0;
}

static void write_register(void *cookie, uint32_t reg, uint64_t value)
{
    (void)cookie;
    (void)reg;
    (void)value;
}

static uint64_t now_ns(void *cookie)
{
    (void)cookie;
    return 0;
}

static void timer_arm_ns(void *cookie, uint64_t deadline)
{
    (void)cookie;
    (void)deadline;
}

static void ignore(void *cookie)
{
    (void)cookie;
}

static void eoi_broadcast(void *cookie, uint8_t vector)
{
    (void)cookie;
    (void)vector;
}

static const struct vlapic_decode_ops guest_ops = {
    .size = sizeof guest_ops,
    .abi = VLAPIC_DECODE_ABI,
    .read_register = read_register,
    .write_register = write_register,
};

static const struct vlapic_svm_ops svm_ops = {
    .size = sizeof svm_ops,
    .abi = VLAPIC_SVM_ABI,
    .vmcb = vmcb,
    .guest = &guest_ops,
};

static const struct vlapic_host_ops host = {
    .size = sizeof host,
    .abi = VLAPIC_HOST_ABI,
    .now_ns = now_ns,
    .timer_arm_ns = timer_arm_ns,
    .timer_cancel = ignore,
    .kick = ignore,
    .eoi_broadcast = eoi_broadcast,
};

static void *memory_of(const struct vlapic_layout *layout)
{
    void *memory = aligned_alloc(layout->alignment,
                                 (layout->bytes + layout->alignment - 1) / layout->alignment * layout->alignment);

    assert_non_null(memory);
    return memset(memory, 0, layout->bytes);
}

static int start(void **state)
{
    struct vlapic_page page = { .va = register_page, .pa = 0x1000 };
    struct vlapic_cpu_config cpu_config = { .size = sizeof cpu_config, .bsp = true, .pages = &page };
    struct vlapic_svm_config svm;
    struct vlapic_vm_config config;
    struct vlapic_layout layout;

    (void)state;
    memset(vmcb_page, 0, sizeof vmcb_page);
    memset(register_page, 0, sizeof register_page);
    assert_int_equal(vlapic_svm_config_defaults(&svm, sizeof svm), VLAPIC_OK);
    svm.ops = &svm_ops;
    assert_int_equal(vlapic_vm_config_defaults(&config, sizeof config, VLAPIC_VENDOR_AMD), VLAPIC_OK);
    config.host = &host;
    config.backend = &vlapic_backend_svm;
    config.backend_config = &svm;
    assert_int_equal(vlapic_vm_layout(&config, &layout), VLAPIC_OK);
    vm_memory = memory_of(&layout);
    assert_int_equal(vlapic_vm_create(vm_memory, layout.bytes, &config, &vm), VLAPIC_OK);
    assert_int_equal(vlapic_cpu_layout(vlapic_vm_get_config(vm), &layout), VLAPIC_OK);
    assert_int_equal(layout.pages, 1);
    cpu_memory = memory_of(&layout);
    assert_int_equal(vlapic_cpu_create(cpu_memory, layout.bytes, vm, &cpu_config, &cpu), VLAPIC_OK);
    assert_int_equal(vlapic_cpu_attach(cpu), VLAPIC_OK);
    vlapic_cpu_load(cpu);
    assert_int_equal(vlapic_cpu_mmio_write(cpu, VLAPIC_REG_SVR, 4, VLAPIC_SVR_ENABLE | 0xFF), VLAPIC_ACCESS_DONE);
    return 0;
}

static int end(void **state)
{
    (void)state;
    vlapic_cpu_put(cpu);
    vlapic_cpu_destroy(cpu);
    free(cpu_memory);
    free(vm_memory);
    return 0;
}

/* An NMI is pending in the core at each of them. */
static void enter(uint64_t rflags, bool busy)
{
    struct vlapic_svm_guest guest = { .rflags = rflags, .busy = busy, .nmi = true };
    struct vlapic_poll duty;

    vlapic_cpu_poll(cpu, &duty);
    assert_true(vlapic_svm_enter(cpu, &guest, &entry));
}

static enum vlapic_svm_result leave(uint64_t code, uint64_t rip)
{
    uint32_t length;

    memcpy(&vmcb_page[SVMHW_EXITCODE], &code, sizeof code);
    memcpy(&vmcb_page[SVMHW_RIP], &rip, sizeof rip);
    return vlapic_svm_exit(cpu, &length);
}

static bool iret_is_intercepted(void)
{
    uint32_t intercepts;

    memcpy(&intercepts, &vmcb_page[SVMHW_INTERCEPT_3], sizeof intercepts);
    return (intercepts & IRET_INTERCEPT) != 0;
}

static bool is_stepped(void)
{
    return (entry.changes & VLAPIC_SVM_SINGLE_STEP) != 0;
}

/* An NMI is in service, and its handler, with interrupts on, has come to the IRET; a second NMI waits. */
static void come_to_the_iret(void)
{
    enter(FLAGS_CLOSED, false);
    assert_int_equal(entry.injected, VLAPIC_SVM_INJECTED_NMI);
    assert_int_equal(leave(SVMHW_EXIT_INTR, NMI_HANDLER), VLAPIC_SVM_NOT_MINE);
    enter(FLAGS_OPEN, false);
    assert_int_equal(entry.injected, VLAPIC_SVM_INJECTED_NONE);
    assert_true(iret_is_intercepted());
    assert_int_equal(leave(SVMHW_EXIT_IRET, IRET_OF_NMI), VLAPIC_SVM_RESUME);
}

/* The guest is in the handler of what came before the IRET. NMIs are blocked until that one's own IRET. */
static void expect_blocked_up_to_the_other_iret(void)
{
    assert_false(is_stepped());
    assert_true(iret_is_intercepted());
    assert_int_equal(leave(SVMHW_EXIT_INTR, OTHER_HANDLER), VLAPIC_SVM_NOT_MINE);

    enter(FLAGS_CLOSED, false);
    assert_int_equal(entry.injected, VLAPIC_SVM_INJECTED_NONE);
    assert_true(iret_is_intercepted());
    assert_int_equal(leave(SVMHW_EXIT_IRET, IRET_OF_OTHER), VLAPIC_SVM_RESUME);

    enter(FLAGS_CLOSED, false);
    assert_int_equal(entry.injected, VLAPIC_SVM_INJECTED_NONE);
    assert_true(is_stepped());
    assert_false(iret_is_intercepted());
    assert_int_equal(leave(DEBUG_EXCEPTION, IRET_OF_NMI), VLAPIC_SVM_NOT_MINE);

    enter(FLAGS_OPEN, false);
    assert_int_equal(entry.injected, VLAPIC_SVM_INJECTED_NMI);
    assert_int_equal(leave(SVMHW_EXIT_INTR, NMI_HANDLER), VLAPIC_SVM_NOT_MINE);
}

static void an_iret_that_is_executed_ends_blocking(void **state)
{
    (void)state;
    come_to_the_iret();
    enter(FLAGS_OPEN, false);
    assert_int_equal(entry.injected, VLAPIC_SVM_INJECTED_NONE);
    assert_true(is_stepped());
    assert_int_equal(leave(DEBUG_EXCEPTION, 0x1000), VLAPIC_SVM_NOT_MINE);
    enter(FLAGS_OPEN, false);
    assert_int_equal(entry.injected, VLAPIC_SVM_INJECTED_NMI);
    assert_int_equal(leave(SVMHW_EXIT_INTR, NMI_HANDLER), VLAPIC_SVM_NOT_MINE);
}

static void a_vector_that_comes_before_the_iret_leaves_nmis_blocked(void **state)
{
    (void)state;
    come_to_the_iret();
    assert_true(vlapic_cpu_post(cpu, VECTOR, false));
    enter(FLAGS_OPEN, false);
    assert_int_equal(entry.injected, VLAPIC_SVM_INJECTED_VECTOR);
    expect_blocked_up_to_the_other_iret();
}

static void an_event_of_the_embedder_before_the_iret_leaves_nmis_blocked(void **state)
{
    (void)state;
    come_to_the_iret();
    enter(FLAGS_OPEN, true);
    assert_int_equal(entry.injected, VLAPIC_SVM_INJECTED_NONE);
    expect_blocked_up_to_the_other_iret();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_iret_that_is_executed_ends_blocking, start, end),
        cmocka_unit_test_setup_teardown(a_vector_that_comes_before_the_iret_leaves_nmis_blocked, start, end),
        cmocka_unit_test_setup_teardown(an_event_of_the_embedder_before_the_iret_leaves_nmis_blocked, start, end),
    };

    return cmocka_run_group_tests_name("the IRET that ends NMI blocking, svm backend", tests, NULL, NULL);
}
