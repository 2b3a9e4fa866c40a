/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The embedder's side of the contract: what is wrong with a configuration or an argument, and the lives of a VM and its
 * vCPUs.
 */
#include "fake_host.h"
#include "posting_backend.h"
#include "state_helpers.h"

#include <stdlib.h>
#include <string.h>

static struct fake_vm host;
static _Alignas(4096) unsigned char block[1 << 16];

/* Asks the layouts and both ways of creating a VM; they must agree. */
static enum vlapic_status verdict(void)
{
    struct vlapic_layout layout = { .bytes = 12345, .alignment = 7, .pages = 99 };
    enum vlapic_status status = vlapic_vm_layout(&host.config, &layout);
    struct vlapic_vm *vm = (struct vlapic_vm *)(void *)block;

    if (status != VLAPIC_OK) {
        assert_int_equal(layout.bytes, 12345);
        assert_int_equal(layout.alignment, 7);
        assert_int_equal(layout.pages, 99);
        assert_int_equal(vlapic_cpu_layout(&host.config, &layout), status);
        assert_int_equal(layout.bytes, 12345);
        assert_int_equal(vlapic_vm_create(block, sizeof block, &host.config, &vm), status);
        assert_ptr_equal(vm, block);
        return status;
    }
    assert_int_equal(vlapic_cpu_layout(&host.config, &layout), VLAPIC_OK);
    return VLAPIC_OK;
}

/* ---- defaults ---- */

static void defaults_are_as_documented(void **unused)
{
    /* Library: struct vlapic_vm_config */
    (void)unused;
    for (unsigned i = 0; i < 2; i++) {
        enum vlapic_vendor vendor = i ? VLAPIC_VENDOR_AMD : VLAPIC_VENDOR_INTEL;
        struct vlapic_vm_config c;

        memset(&c, 0xA5, sizeof c);
        assert_int_equal(vlapic_vm_config_defaults(&c, sizeof c, vendor), VLAPIC_OK);
        assert_int_equal(c.size, sizeof c);
        assert_int_equal(c.abi, VLAPIC_CONFIG_ABI);
        assert_null(c.host);
        assert_null(c.backend);
        assert_null(c.cookie);
        assert_int_equal(c.max_apic_id, 254);
        assert_int_equal(c.phys_bits, 52);
        assert_int_equal(c.timer_hz, 1000000000);
        assert_int_equal(c.timer_floor_ns, 0);
        assert_int_equal(c.vendor, vendor);
        assert_int_equal(c.icr_policy, VLAPIC_ICR_PERMISSIVE);
        assert_int_equal(c.catch_up, VLAPIC_CATCH_UP_COALESCE);
        assert_int_equal(c.version, 0x14);
        assert_int_equal(c.max_lvt, 5);
        assert_int_equal(c.ext_lvt_count, 4);
        assert_int_equal(c.ext_features, 7);
        assert_true(c.x2apic);
        assert_false(c.ext_space || c.eoi_suppression || c.tsc_deadline || c.svr_bit9_faults || c.lowest_in_x2apic);
        assert_false(c.msi_ff_not_broadcast || c.dest_alias || c.id_writable || c.narrow_write_merge);
        assert_false(c.msi_ext_dest || c.msi_dest32 || c.base_fixed || c.x2apic_locked || c.posts_ordered);
    }
}

static void defaults_refuse_bad_arguments(void **unused)
{
    /* Library: vlapic_vm_config_defaults() */
    struct vlapic_vm_config c, untouched;

    (void)unused;
    memset(&c, 0xA5, sizeof c);
    untouched = c;
    assert_int_equal(vlapic_vm_config_defaults(NULL, sizeof c, VLAPIC_VENDOR_INTEL), VLAPIC_INVALID);
    assert_int_equal(vlapic_vm_config_defaults(&c, sizeof c, (enum vlapic_vendor)2), VLAPIC_INVALID);
    assert_int_equal(vlapic_vm_config_defaults(&c, sizeof c - 8, VLAPIC_VENDOR_INTEL), VLAPIC_BAD_ABI);
    assert_int_equal(vlapic_vm_config_defaults(&c, sizeof c + 8, VLAPIC_VENDOR_INTEL), VLAPIC_BAD_ABI);
    assert_int_equal(vlapic_vm_config_defaults(&c, 0, VLAPIC_VENDOR_INTEL), VLAPIC_BAD_ABI);
    assert_memory_equal(&c, &untouched, sizeof c);
}

/* ---- what is wrong with a configuration ---- */

#define EDIT(name, statement)                                                                                          \
    static void name(struct vlapic_vm_config *c)                                                                       \
    {                                                                                                                  \
        statement;                                                                                                     \
    }

EDIT(nothing, (void)c)
EDIT(size_0, c->size = 0)
EDIT(size_smaller, c->size -= 8)
EDIT(size_larger, c->size += 8)
EDIT(abi_0, c->abi = 0)
EDIT(abi_2, c->abi = 2)
EDIT(no_host, c->host = NULL)
EDIT(no_backend, c->backend = NULL)
EDIT(id_0, c->max_apic_id = 0)
EDIT(id_limit, c->max_apic_id = 0xFFFFF)
EDIT(id_beyond, c->max_apic_id = 0x100000)
EDIT(id_all_ones, c->max_apic_id = 0xFFFFFFFF)
EDIT(phys_31, c->phys_bits = 31)
EDIT(phys_32, c->phys_bits = 32)
EDIT(phys_52, c->phys_bits = 52)
EDIT(phys_53, c->phys_bits = 53)
EDIT(hz_0, c->timer_hz = 0)
EDIT(hz_1, c->timer_hz = 1)
EDIT(hz_4g, c->timer_hz = 4000000000)
EDIT(hz_beyond, c->timer_hz = 4000000001)
EDIT(hz_all_ones, c->timer_hz = ~0ull)
EDIT(floor_1ms, c->timer_floor_ns = 1000000)
EDIT(vendor_2, c->vendor = (enum vlapic_vendor)2)
EDIT(policy_strict, c->icr_policy = VLAPIC_ICR_STRICT)
EDIT(policy_2, c->icr_policy = (enum vlapic_icr_policy)2)
EDIT(catch_up_rebase, c->catch_up = VLAPIC_CATCH_UP_REBASE)
EDIT(catch_up_2, c->catch_up = (enum vlapic_catch_up)2)
EDIT(lvt_4, c->max_lvt = 4)
EDIT(lvt_6, c->max_lvt = 6)
EDIT(lvt_7, c->max_lvt = 7)
EDIT(ext_8, (c->ext_space = true, c->ext_lvt_count = 8))
EDIT(ext_0, (c->ext_space = true, c->ext_lvt_count = 0, c->ext_features = 0))
EDIT(ext_9, (c->ext_space = true, c->ext_lvt_count = 9))
EDIT(ext_features_8, (c->ext_space = true, c->ext_features = 8))
EDIT(deadline, c->tsc_deadline = true)

static const struct {
    const char *name;
    void (*edit)(struct vlapic_vm_config *c);
    enum vlapic_status status;
} configurations[] = {
    { "as it is", nothing, VLAPIC_OK },
    { "size 0", size_0, VLAPIC_BAD_ABI },
    { "size smaller", size_smaller, VLAPIC_BAD_ABI },
    { "size larger", size_larger, VLAPIC_BAD_ABI },
    { "abi 0", abi_0, VLAPIC_BAD_ABI },
    { "abi 2", abi_2, VLAPIC_BAD_ABI },
    { "no host", no_host, VLAPIC_INVALID },
    { "no backend", no_backend, VLAPIC_INVALID },
    { "max_apic_id 0", id_0, VLAPIC_OK },
    { "max_apic_id at the limit", id_limit, VLAPIC_OK },
    { "max_apic_id beyond the limit", id_beyond, VLAPIC_INVALID },
    { "max_apic_id all ones", id_all_ones, VLAPIC_INVALID },
    { "phys_bits 31", phys_31, VLAPIC_INVALID },
    { "phys_bits 32", phys_32, VLAPIC_OK },
    { "phys_bits 52", phys_52, VLAPIC_OK },
    { "phys_bits 53", phys_53, VLAPIC_INVALID },
    { "timer_hz 0", hz_0, VLAPIC_INVALID },
    { "timer_hz 1", hz_1, VLAPIC_OK },
    { "timer_hz 4 GHz", hz_4g, VLAPIC_OK },
    { "timer_hz beyond 4 GHz", hz_beyond, VLAPIC_INVALID },
    { "timer_hz all ones", hz_all_ones, VLAPIC_INVALID },
    { "timer_floor_ns", floor_1ms, VLAPIC_OK },
    { "vendor 2", vendor_2, VLAPIC_INVALID },
    { "icr_policy strict", policy_strict, VLAPIC_OK },
    { "icr_policy 2", policy_2, VLAPIC_INVALID },
    { "catch_up rebase", catch_up_rebase, VLAPIC_OK },
    { "catch_up 2", catch_up_2, VLAPIC_INVALID },
    { "max_lvt 4", lvt_4, VLAPIC_INVALID },
    { "max_lvt 6", lvt_6, VLAPIC_OK },
    { "max_lvt 7", lvt_7, VLAPIC_INVALID },
    { "ext_lvt_count 8", ext_8, VLAPIC_OK },
    { "ext_lvt_count 0, no features", ext_0, VLAPIC_OK },
    { "ext_lvt_count 9", ext_9, VLAPIC_INVALID },
    { "ext_features 8", ext_features_8, VLAPIC_INVALID },
    { "tsc_deadline", deadline, VLAPIC_OK },
};

static void every_setting_is_checked(void **unused)
{
    /* Library: struct vlapic_vm_config */
    (void)unused;
    for (size_t i = 0; i < sizeof configurations / sizeof configurations[0]; i++) {
        enum vlapic_status status;

        fake_vm_prepare(&host, VLAPIC_VENDOR_INTEL);
        configurations[i].edit(&host.config);
        status = verdict();
        if (status != configurations[i].status)
            fail_msg("%s: status %d, expected %d", configurations[i].name, status, configurations[i].status);
    }
}

/* ---- the host's table ---- */

static void mandatory_callbacks_must_be_there(void **unused)
{
    /* Library: struct vlapic_host_ops */
    (void)unused;
    for (unsigned missing = 0; missing < 12; missing++)
        for (unsigned with_deadline = 0; with_deadline < 2; with_deadline++) {
            enum vlapic_status expected = VLAPIC_OK;

            fake_vm_prepare(&host, VLAPIC_VENDOR_INTEL);
            host.config.tsc_deadline = with_deadline;
            switch (missing) {
            case 0:
                host.ops.now_ns = NULL;
                expected = VLAPIC_INVALID;
                break;
            case 1:
                host.ops.timer_arm_ns = NULL;
                expected = VLAPIC_INVALID;
                break;
            case 2:
                host.ops.timer_cancel = NULL;
                expected = VLAPIC_INVALID;
                break;
            case 3:
                host.ops.kick = NULL;
                expected = VLAPIC_INVALID;
                break;
            case 4:
                host.ops.eoi_broadcast = NULL;
                break;
            case 5:
                host.ops.eoi_notify = NULL;
                break;
            case 6:
                host.ops.base_changed = NULL;
                break;
            case 7: /* timer_arm_tsc may be missing only if now_tsc is */
                host.ops.timer_arm_tsc = NULL;
                expected = VLAPIC_INVALID;
                break;
            case 8:
                host.ops.timer_arm_tsc = NULL;
                host.ops.now_tsc = NULL;
                expected = with_deadline ? VLAPIC_INVALID : VLAPIC_OK;
                break;
            case 9:
                host.ops.choose_lowest = NULL;
                break;
            case 10:
                host.ops.on_cpu_thread = NULL;
                break;
            default:
                break;
            }
            assert_int_equal(verdict(), expected);
        }
}

static void the_table_names_its_version_and_size(void **unused)
{
    /* Library: struct vlapic_host_ops: members beyond `size` count as NULL */
    const uint32_t optional = (uint32_t)offsetof(struct vlapic_host_ops, eoi_broadcast);

    (void)unused;
    fake_vm_prepare(&host, VLAPIC_VENDOR_INTEL);
    host.ops.abi = 0;
    assert_int_equal(verdict(), VLAPIC_BAD_ABI);
    host.ops.abi = VLAPIC_HOST_ABI + 1;
    assert_int_equal(verdict(), VLAPIC_BAD_ABI);
    host.ops.abi = VLAPIC_HOST_ABI;

    /* A larger table is a newer embedder's. */
    host.ops.size = sizeof host.ops + 16;
    assert_int_equal(verdict(), VLAPIC_OK);
    /* A shorter one lacks its last members. */
    host.ops.size = optional;
    assert_int_equal(verdict(), VLAPIC_OK);
    host.config.tsc_deadline = true;
    assert_int_equal(verdict(), VLAPIC_INVALID);
    host.config.tsc_deadline = false;
    /* Without the mandatory ones it is refused; as which kind of mistake is left open. */
    for (uint32_t size = 0; size < optional; size += 8) {
        host.ops.size = size;
        assert_int_not_equal(verdict(), VLAPIC_OK);
    }
}

static void members_beyond_the_size_are_not_called(void **unused)
{
    /* Library: struct vlapic_host_ops: members beyond `size` count as NULL */
    struct vlapic_cpu *cpu;

    (void)unused;
    fake_vm_prepare(&host, VLAPIC_VENDOR_INTEL);
    host.ops.size = (uint32_t)offsetof(struct vlapic_host_ops, eoi_broadcast);
    host.ops.choose_lowest = fake_choose_lowest;
    fake_vm_start(&host, 1, NULL);
    cpu = fake_cpu_at(&host, 0);
    guest_software_enable(cpu);
    guest_write(cpu, VLAPIC_REG_LDR, 0x01000000);
    guest_icr(cpu, 0x01000000, 0x960); /* lowest priority, logical */
    assert_int_equal(take_vector(cpu), 0x60);
    guest_eoi(cpu);
    vlapic_cpu_post(cpu, 0x61, true);
    assert_int_equal(take_vector(cpu), 0x61);
    guest_eoi(cpu);
    guest_disable_apic(cpu);
    assert_int_equal(host.call_count, 0);
    fake_vm_stop(&host);
}

static void the_table_and_the_configuration_are_copied(void **unused)
{
    /* Library: vlapic_vm_create() */
    const struct vlapic_vm_config *in_force;
    struct vlapic_vm_config config;
    struct vlapic_cpu *cpu;

    (void)unused;
    fake_vm_prepare(&host, VLAPIC_VENDOR_AMD);
    host.config.max_apic_id = 77;
    host.config.timer_hz = 123456789;
    fake_vm_start(&host, 1, NULL);
    config = host.config;
    memset(&host.ops, 0, sizeof host.ops);
    memset(&host.config, 0, sizeof host.config);
    cpu = fake_cpu_at(&host, 0);
    guest_software_enable(cpu);
    vlapic_cpu_post(cpu, 0x61, true);
    assert_int_equal(take_vector(cpu), 0x61);
    guest_eoi(cpu);
    assert_int_equal(fake_last(&host, FAKE_EOI_BROADCAST)->a, 0x61);

    in_force = vlapic_vm_get_config(host.vm);
    assert_ptr_not_equal(in_force->host, &host.ops);
    assert_non_null(in_force->host->now_ns);
    assert_int_equal(in_force->size, config.size);
    assert_int_equal(in_force->abi, config.abi);
    assert_int_equal(in_force->max_apic_id, 77);
    assert_int_equal(in_force->timer_hz, 123456789);
    assert_int_equal(in_force->vendor, VLAPIC_VENDOR_AMD);
    assert_ptr_equal(in_force->backend, config.backend);
    assert_ptr_equal(in_force->cookie, &host);
    fake_vm_stop(&host);
}

/* ---- the backend's descriptor ---- */

static unsigned vm_inits, cpu_inits, cpu_finis;
static unsigned char *last_vm_state, *last_cpu_state, *last_shared;
static enum vlapic_status vm_init_status, cpu_init_status;

static enum vlapic_status test_vm_init(void *vm_state, const struct vlapic_vm_config *config)
{
    assert_ptr_equal(config->backend_config, &last_vm_state);
    assert_true(((uintptr_t)vm_state & 63) == 0);
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(((unsigned char *)vm_state)[i], 0);
    last_vm_state = vm_state;
    vm_inits++;
    return vm_init_status;
}

static enum vlapic_status test_cpu_init(const struct vlapic_cpu_memory *memory, void *vm_state, struct vlapic_cpu *cpu)
{
    assert_non_null(memory->owned);
    assert_non_null(vm_state);
    assert_non_null(cpu);
    last_cpu_state = memory->owned;
    last_shared = memory->shared;
    cpu_inits++;
    return cpu_init_status;
}

static void test_cpu_fini(void *cpu_state)
{
    assert_non_null(cpu_state);
    cpu_finis++;
}

static struct vlapic_backend test_backend(void)
{
    struct vlapic_backend backend = vlapic_backend_soft;

    vm_inits = cpu_inits = cpu_finis = 0;
    vm_init_status = cpu_init_status = VLAPIC_OK;
    backend.name = "test";
    if (backend.vm_state_bytes < 100)
        backend.vm_state_bytes = 100;
    backend.vm_init = test_vm_init;
    return backend;
}

static void a_bad_backend_is_refused(void **unused)
{
    /* Library: struct vlapic_backend */
    struct vlapic_backend backend = test_backend();

    (void)unused;
    fake_vm_prepare(&host, VLAPIC_VENDOR_INTEL);
    host.config.backend = &backend;
    assert_int_equal(verdict(), VLAPIC_OK);
    backend.abi = 0;
    assert_int_equal(verdict(), VLAPIC_BAD_ABI);
    backend.abi = VLAPIC_BACKEND_ABI + 1;
    assert_int_equal(verdict(), VLAPIC_BAD_ABI);
    backend = test_backend();
    backend.size = 0;
    assert_int_equal(verdict(), VLAPIC_BAD_ABI);
    backend.size = sizeof backend - 8; /* ABI 1 never was shorter */
    assert_int_equal(verdict(), VLAPIC_BAD_ABI);
    backend.size = sizeof backend + 8;
    assert_int_equal(verdict(), VLAPIC_OK);
    backend = posting_backend;
    assert_int_equal(verdict(), VLAPIC_OK);
    backend.post = NULL;
    assert_int_equal(verdict(), VLAPIC_INVALID);
    backend = posting_backend;
    backend.collect = NULL;
    assert_int_equal(verdict(), VLAPIC_INVALID);
    backend = test_backend();
    backend.block = test_cpu_fini; /* without unblock */
    assert_int_equal(verdict(), VLAPIC_INVALID);
    backend = test_backend();
    backend.name = NULL;
    assert_int_equal(verdict(), VLAPIC_INVALID);
}

static void a_backend_with_mandatory_ops_only_works(void **unused)
{
    /* Library: struct vlapic_backend: an op that is NULL is not called */
    struct vlapic_backend backend = vlapic_backend_soft;
    struct vlapic_cpu *cpu;

    (void)unused;
    if (backend.vm_init || backend.cpu_init) {
        skip(); /* the soft backend wants its memory prepared */
    }
    backend.cpu_fini = NULL;
    backend.load = backend.put = NULL;
    backend.enter = NULL;
    backend.exit = NULL;
    backend.changed = NULL;
    backend.inhibits = NULL;
    fake_vm_prepare(&host, VLAPIC_VENDOR_INTEL);
    host.config.backend = &backend;
    fake_vm_start(&host, 1, NULL);
    cpu = fake_cpu_at(&host, 0);
    guest_software_enable(cpu);
    vlapic_cpu_load(cpu);
    assert_true(vlapic_cpu_post(cpu, 0x61, false));
    assert_int_equal(take_vector(cpu), 0x61);
    assert_true(vlapic_cpu_enter(cpu));
    vlapic_cpu_exit(cpu);
    vlapic_cpu_put(cpu);
    guest_eoi(cpu);
    fake_vm_stop(&host);
}

static void a_failing_backend_fails_the_creation(void **unused)
{
    /* Library: vlapic_vm_create(), vlapic_cpu_create(): what vm_init and cpu_init say */
    struct vlapic_backend backend = test_backend();
    struct vlapic_layout layout;
    struct vlapic_vm *vm = NULL;
    struct vlapic_cpu *cpu = NULL;
    void *memory;

    (void)unused;
    backend.cpu_init = test_cpu_init;
    backend.cpu_fini = test_cpu_fini;
    backend.cpu_state_bytes = backend.cpu_shared_bytes = 100;
    fake_vm_prepare(&host, VLAPIC_VENDOR_INTEL);
    host.config.backend = &backend;
    host.config.backend_config = &last_vm_state;
    vm_init_status = VLAPIC_MISMATCH;
    assert_int_equal(vlapic_vm_create(block, sizeof block, &host.config, &vm), VLAPIC_MISMATCH);
    assert_null(vm);
    assert_int_equal(vm_inits, 1);

    vm_init_status = VLAPIC_OK;
    assert_int_equal(vlapic_vm_create(block, sizeof block, &host.config, &vm), VLAPIC_OK);
    assert_int_equal(vlapic_cpu_layout(&host.config, &layout), VLAPIC_OK);
    memory = aligned_alloc(layout.alignment,
                           (layout.bytes + layout.alignment - 1) / layout.alignment * layout.alignment);
    assert_non_null(memory);
    cpu_init_status = VLAPIC_TOO_SMALL;
    assert_int_equal(vlapic_cpu_create(memory, layout.bytes, vm,
                                       &(struct vlapic_cpu_config){ .size = sizeof(struct vlapic_cpu_config) }, &cpu),
                     VLAPIC_TOO_SMALL);
    assert_null(cpu);
    assert_int_equal(cpu_inits, 1);
    assert_int_equal(cpu_finis, 0);
    assert_null(vlapic_vm_find(vm, 0));

    /* The states lie in the blocks. */
    assert_true(last_vm_state > block && last_vm_state + backend.vm_state_bytes <= block + sizeof block);
    assert_true(last_cpu_state > (unsigned char *)memory);
    assert_true(((uintptr_t)last_shared & 63) == 0);
    assert_true(last_cpu_state + backend.cpu_state_bytes <= last_shared);
    assert_true(last_shared + backend.cpu_shared_bytes <= (unsigned char *)memory + layout.bytes);
    free(memory);
}

/* ---- layouts and memory ---- */

static void layouts_are_usable(void **unused)
{
    /* Library: vlapic_vm_layout(), vlapic_cpu_layout() */
    static const uint32_t limits[] = { 0, 1, 63, 64, 254, 255, 4095, 4096, 0xFFFFF };
    size_t previous = 0;

    (void)unused;
    fake_vm_prepare(&host, VLAPIC_VENDOR_INTEL);
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        struct vlapic_layout vm, cpu;

        host.config.max_apic_id = limits[i];
        assert_int_equal(vlapic_vm_layout(&host.config, &vm), VLAPIC_OK);
        assert_int_equal(vlapic_cpu_layout(&host.config, &cpu), VLAPIC_OK);
        assert_true(vm.alignment != 0 && (vm.alignment & (vm.alignment - 1)) == 0);
        assert_true(cpu.alignment != 0 && (cpu.alignment & (cpu.alignment - 1)) == 0);
        assert_int_equal(cpu.pages, 0);
        assert_int_equal(vm.pages, 0);
        assert_true(vm.bytes >= previous);
        assert_true(vm.bytes <= 12288 + (size_t)limits[i] * 83 / 10 + 64);
        previous = vm.bytes;
    }
    assert_int_equal(vlapic_vm_layout(&host.config, NULL), VLAPIC_INVALID);
    assert_int_equal(vlapic_cpu_layout(&host.config, NULL), VLAPIC_INVALID);
    assert_int_equal(vlapic_vm_layout(NULL, &(struct vlapic_layout){ 0 }), VLAPIC_INVALID);
    assert_int_equal(vlapic_cpu_layout(NULL, &(struct vlapic_layout){ 0 }), VLAPIC_INVALID);
}

static void the_backends_states_are_rounded_up_to_cache_lines(void **unused)
{
    /* Library: struct vlapic_backend: vm_state_bytes, cpu_state_bytes */
    static const struct {
        uint32_t state, bytes;
    } rows[] = { { 0, 0 }, { 1, 64 }, { 63, 64 }, { 64, 64 }, { 65, 128 }, { 4096, 4096 } };
    struct vlapic_backend backend = vlapic_backend_soft;
    struct vlapic_layout vm, cpu, none_vm, none_cpu;

    (void)unused;
    fake_vm_prepare(&host, VLAPIC_VENDOR_INTEL);
    host.config.backend = &backend;
    backend.vm_state_bytes = backend.cpu_state_bytes = 0;
    assert_int_equal(vlapic_vm_layout(&host.config, &none_vm), VLAPIC_OK);
    assert_int_equal(vlapic_cpu_layout(&host.config, &none_cpu), VLAPIC_OK);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        backend.vm_state_bytes = backend.cpu_state_bytes = rows[i].state;
        assert_int_equal(vlapic_vm_layout(&host.config, &vm), VLAPIC_OK);
        assert_int_equal(vlapic_cpu_layout(&host.config, &cpu), VLAPIC_OK);
        assert_int_equal(vm.bytes - none_vm.bytes, rows[i].bytes);
        assert_int_equal(cpu.bytes - none_cpu.bytes, rows[i].bytes);
    }
}

static void vm_memory_must_be_large_enough_and_aligned(void **unused)
{
    /* Library: vlapic_vm_create() */
    struct vlapic_layout layout;
    struct vlapic_vm *vm = NULL;

    (void)unused;
    fake_vm_prepare(&host, VLAPIC_VENDOR_INTEL);
    assert_int_equal(vlapic_vm_layout(&host.config, &layout), VLAPIC_OK);
    assert_true(layout.bytes < sizeof block / 2);
    memset(block, 0x5A, sizeof block);
    assert_int_equal(vlapic_vm_create(NULL, layout.bytes, &host.config, &vm), VLAPIC_INVALID);
    assert_int_equal(vlapic_vm_create(block, layout.bytes, NULL, &vm), VLAPIC_INVALID);
    assert_int_equal(vlapic_vm_create(block, layout.bytes, &host.config, NULL), VLAPIC_INVALID);
    assert_int_equal(vlapic_vm_create(block, layout.bytes - 1, &host.config, &vm), VLAPIC_TOO_SMALL);
    assert_int_equal(vlapic_vm_create(block, 0, &host.config, &vm), VLAPIC_TOO_SMALL);
    for (size_t off = 1; off < layout.alignment; off <<= 1)
        assert_int_equal(vlapic_vm_create(block + off, layout.bytes, &host.config, &vm), VLAPIC_MISALIGNED);
    assert_null(vm);
    for (size_t i = 0; i < sizeof block; i++)
        assert_int_equal(block[i], 0x5A); /* nothing was written */
    assert_int_equal(vlapic_vm_create(block, layout.bytes, &host.config, &vm), VLAPIC_OK);
    assert_true((unsigned char *)vm >= block && (unsigned char *)vm < block + layout.bytes);
    for (size_t i = layout.bytes; i < sizeof block; i++)
        assert_int_equal(block[i], 0x5A); /* and nothing beyond */
}

static void cpu_memory_must_be_large_enough_and_aligned(void **unused)
{
    /* Library: vlapic_cpu_create() */
    struct vlapic_cpu_config config = { .size = sizeof config, .apic_id = 3 };
    struct vlapic_cpu_config bad;
    struct vlapic_layout layout;
    struct vlapic_cpu *cpu = NULL;

    (void)unused;
    fake_vm_prepare(&host, VLAPIC_VENDOR_INTEL);
    fake_vm_start(&host, 0, NULL);
    assert_int_equal(vlapic_cpu_layout(&host.config, &layout), VLAPIC_OK);
    assert_true(layout.bytes < sizeof block / 2);
    memset(block, 0x5A, sizeof block);
    assert_int_equal(vlapic_cpu_create(NULL, layout.bytes, host.vm, &config, &cpu), VLAPIC_INVALID);
    assert_int_equal(vlapic_cpu_create(block, layout.bytes, NULL, &config, &cpu), VLAPIC_INVALID);
    assert_int_equal(vlapic_cpu_create(block, layout.bytes, host.vm, NULL, &cpu), VLAPIC_INVALID);
    assert_int_equal(vlapic_cpu_create(block, layout.bytes, host.vm, &config, NULL), VLAPIC_INVALID);
    assert_int_equal(vlapic_cpu_create(block, layout.bytes - 1, host.vm, &config, &cpu), VLAPIC_TOO_SMALL);
    for (size_t off = 1; off < layout.alignment; off <<= 1)
        assert_int_equal(vlapic_cpu_create(block + off, layout.bytes, host.vm, &config, &cpu), VLAPIC_MISALIGNED);
    bad = config;
    bad.size -= 8;
    assert_int_equal(vlapic_cpu_create(block, layout.bytes, host.vm, &bad, &cpu), VLAPIC_BAD_ABI);
    bad.size += 16;
    assert_int_equal(vlapic_cpu_create(block, layout.bytes, host.vm, &bad, &cpu), VLAPIC_BAD_ABI);
    bad.size = 0;
    assert_int_equal(vlapic_cpu_create(block, layout.bytes, host.vm, &bad, &cpu), VLAPIC_BAD_ABI);
    bad = config;
    bad.apic_id = 255; /* max_apic_id is 254 */
    assert_int_equal(vlapic_cpu_create(block, layout.bytes, host.vm, &bad, &cpu), VLAPIC_INVALID);
    bad.apic_id = 0xFFFFFFFF;
    assert_int_equal(vlapic_cpu_create(block, layout.bytes, host.vm, &bad, &cpu), VLAPIC_INVALID);
    assert_null(cpu);
    for (size_t i = 0; i < sizeof block; i++)
        assert_int_equal(block[i], 0x5A);
    config.apic_id = 254;
    config.cookie = &host;
    assert_int_equal(vlapic_cpu_create(block, layout.bytes, host.vm, &config, &cpu), VLAPIC_OK);
    assert_int_equal(vlapic_cpu_apic_id(cpu), 254);
    assert_ptr_equal(vlapic_cpu_cookie(cpu), &host);
    assert_null(vlapic_vm_find(host.vm, 254)); /* not attached */
    for (size_t i = layout.bytes; i < sizeof block; i++)
        assert_int_equal(block[i], 0x5A);
    fake_vm_stop(&host);
}

static void a_backend_with_pages_gets_them(void **unused)
{
    /* Library: struct vlapic_cpu_config.pages */
    struct vlapic_backend backend = vlapic_backend_soft;
    static _Alignas(4096) unsigned char page[2][4096];
    struct vlapic_page pages[2] = { { page[0], 0x1000 }, { page[1], 0x2000 } };
    struct vlapic_cpu_config config = { .size = sizeof config, .apic_id = 3, .bsp = true };
    struct vlapic_layout without, layout;
    struct vlapic_cpu *cpu = NULL;
    uint32_t tpr;

    (void)unused;
    backend.cpu_pages = 2;
    fake_vm_prepare(&host, VLAPIC_VENDOR_INTEL);
    assert_int_equal(vlapic_cpu_layout(&host.config, &without), VLAPIC_OK);
    host.config.backend = &backend;
    fake_vm_start(&host, 0, NULL);
    assert_int_equal(vlapic_cpu_layout(&host.config, &layout), VLAPIC_OK);
    assert_int_equal(layout.pages, 2);
    assert_int_equal(layout.bytes + VLAPIC_REG_EXT_LVT + 8 * 16, without.bytes); /* no registers in the block */
    assert_int_equal(vlapic_cpu_create(block, layout.bytes, host.vm, &config, &cpu), VLAPIC_INVALID); /* no pages */
    config.pages = pages;
    pages[1].va = NULL;
    assert_int_equal(vlapic_cpu_create(block, layout.bytes, host.vm, &config, &cpu), VLAPIC_INVALID);
    pages[1].va = page[1] + 8;
    assert_int_equal(vlapic_cpu_create(block, layout.bytes, host.vm, &config, &cpu), VLAPIC_MISALIGNED);
    pages[1].va = page[1];
    for (uint64_t low = 1; low < 4096; low <<= 1) {
        pages[0].pa = 0x1000 | low;
        assert_int_equal(vlapic_cpu_create(block, layout.bytes, host.vm, &config, &cpu), VLAPIC_MISALIGNED);
    }
    assert_int_equal(vlapic_cpu_create(block, layout.bytes, host.vm, &config, &cpu), VLAPIC_MISALIGNED);
    pages[0].pa = 0x1000;
    assert_null(cpu);
    /* vlapic_cpu_config.cookie is NULL here: nothing may need a callback with it but now_ns, which the timer does not. */
    config.cookie = &host.cpus[0];
    host.cpus[0].owner = &host;
    assert_int_equal(vlapic_cpu_create(block, layout.bytes, host.vm, &config, &cpu), VLAPIC_OK);
    memset(pages, 0, sizeof pages); /* copied */
    guest_software_enable(cpu);
    guest_write(cpu, VLAPIC_REG_TPR, 0x33);
    assert_int_equal(guest_read(cpu, VLAPIC_REG_TPR), 0x33);
    memcpy(&tpr, page[0] + VLAPIC_REG_TPR, sizeof tpr);
    assert_int_equal(tpr, 0x33); /* the first page is the register page; its words are in the host's order */
    vlapic_cpu_destroy(cpu);
    fake_vm_stop(&host);
}

/* ---- attach, detach, find, destroy ---- */

static uint32_t send_to(uint32_t destination)
{
    return vlapic_vm_deliver(host.vm, &(struct vlapic_message){ .destination = destination, .vector = 0x55 });
}

static void only_attached_cpus_are_found_and_addressed(void **unused)
{
    /* Library: vlapic_cpu_attach(), vlapic_cpu_detach(), vlapic_vm_find() */
    struct vlapic_cpu *cpu;

    (void)unused;
    fake_vm_prepare(&host, VLAPIC_VENDOR_INTEL);
    fake_vm_start(&host, 2, (const uint32_t[]){ 5, 9 });
    cpu = fake_cpu_at(&host, 1);
    guest_software_enable(cpu);
    assert_ptr_equal(vlapic_vm_find(host.vm, 5), fake_cpu_at(&host, 0));
    assert_ptr_equal(vlapic_vm_find(host.vm, 9), cpu);
    for (uint32_t id = 0; id < 300; id++)
        if (id != 5 && id != 9)
            assert_null(vlapic_vm_find(host.vm, id));
    assert_null(vlapic_vm_find(host.vm, 0x80000009));
    assert_null(vlapic_vm_find(host.vm, 0xFFFFFFFF));
    assert_int_equal(send_to(9), 1);
    vlapic_cpu_detach(cpu);
    assert_null(vlapic_vm_find(host.vm, 9));
    assert_int_equal(send_to(9), 0);
    assert_int_equal(send_to(0xFF), 0); /* the other one is software-disabled */
    vlapic_cpu_detach(cpu);             /* no effect */
    assert_int_equal(vlapic_cpu_attach(cpu), VLAPIC_OK);
    assert_ptr_equal(vlapic_vm_find(host.vm, 9), cpu);
    assert_int_equal(send_to(9), 1);
    fake_vm_stop(&host);
}

static void a_detached_cpu_keeps_its_state_and_takes_direct_posts(void **unused)
{
    /* Library: vlapic_cpu_detach() takes it off the bus; vlapic_cpu_post() is past all address decoding */
    struct vlapic_cpu_state before, after;
    struct vlapic_cpu *cpu;

    (void)unused;
    fake_vm_prepare(&host, VLAPIC_VENDOR_INTEL);
    fake_vm_start(&host, 1, NULL);
    cpu = fake_cpu_at(&host, 0);
    busy_state(&host);
    state_read(cpu, &before);
    vlapic_cpu_detach(cpu);
    state_read(cpu, &after);
    assert_same_state(&before, &after);
    assert_true(vlapic_cpu_post(cpu, 0xEE, false));
    assert_int_equal(poll_vector(cpu), 0xEE);
    fake_vm_stop(&host);
}

static void an_apic_id_can_be_used_once(void **unused)
{
    /* Library: vlapic_cpu_attach() */
    struct vlapic_cpu_config config = { .size = sizeof config, .apic_id = 5 };
    struct vlapic_layout layout;
    struct vlapic_cpu *cpu, *first;

    (void)unused;
    fake_vm_prepare(&host, VLAPIC_VENDOR_INTEL);
    fake_vm_start(&host, 1, (const uint32_t[]){ 5 });
    first = fake_cpu_at(&host, 0);
    assert_int_equal(vlapic_cpu_layout(&host.config, &layout), VLAPIC_OK);
    assert_int_equal(vlapic_cpu_create(block, layout.bytes, host.vm, &config, &cpu), VLAPIC_OK);
    assert_int_equal(vlapic_cpu_attach(cpu), VLAPIC_IN_USE);
    assert_ptr_equal(vlapic_vm_find(host.vm, 5), first);
    assert_int_equal(vlapic_cpu_attach(first), VLAPIC_IN_USE); /* its own ID is taken by itself */
    assert_ptr_equal(vlapic_vm_find(host.vm, 5), first);

    /* Neither detaching nor destroying the second takes the first off the bus. */
    vlapic_cpu_detach(cpu);
    assert_ptr_equal(vlapic_vm_find(host.vm, 5), first);
    vlapic_cpu_detach(first);
    assert_int_equal(vlapic_cpu_attach(cpu), VLAPIC_OK);
    assert_ptr_equal(vlapic_vm_find(host.vm, 5), cpu);
    assert_int_equal(vlapic_cpu_attach(first), VLAPIC_IN_USE);
    vlapic_cpu_destroy(first);
    assert_ptr_equal(vlapic_vm_find(host.vm, 5), cpu);
    vlapic_cpu_destroy(cpu);
    assert_null(vlapic_vm_find(host.vm, 5));
    free(host.cpus[0].memory);
    host.cpu_count = 0;
    fake_vm_stop(&host);
}

static void a_cpu_can_be_plugged_in_later(void **unused)
{
    /* Library: vlapic_cpu_attach(): other vCPUs may be running */
    struct vlapic_poll duty;
    struct vlapic_cpu *late;

    (void)unused;
    fake_one_cpu(&host, VLAPIC_VENDOR_INTEL);
    guest_icr(fake_cpu_at(&host, 0), 0, 0xC0040);
    late = fake_cpu_at(&host, fake_vm_add_cpu(&host, 200));
    vlapic_cpu_poll(late, &duty);
    assert_true(duty.wait_for_sipi);
    assert_int_equal(duty.vector, -1);
    guest_icr(fake_cpu_at(&host, 0), 200u << 24, 0x6C8);
    vlapic_cpu_poll(late, &duty);
    assert_true(duty.sipi);
    assert_int_equal(duty.sipi_vector, 0xC8);
    guest_software_enable(late);
    assert_int_equal(send_to(200), 1);
    assert_int_equal(poll_vector(late), 0x55);
    fake_vm_stop(&host);
}

static void destroying_cancels_an_armed_timer(void **unused)
{
    /* Library: vlapic_cpu_destroy() */
    (void)unused;
    for (unsigned tsc = 0; tsc < 2; tsc++) {
        struct fake_cpu *c;

        fake_vm_prepare(&host, VLAPIC_VENDOR_INTEL);
        host.config.tsc_deadline = true;
        fake_vm_start(&host, 1, NULL);
        c = &host.cpus[0];
        guest_software_enable(c->cpu);
        if (tsc) {
            guest_write(c->cpu, VLAPIC_REG_LVT_TIMER, 0x40051);
            guest_wrmsr(c->cpu, VLAPIC_MSR_TSC_DEADLINE, 1000);
        } else {
            guest_write(c->cpu, VLAPIC_REG_LVT_TIMER, 0x20051);
            guest_write(c->cpu, VLAPIC_REG_INITIAL_COUNT, 1000);
        }
        assert_true(tsc ? c->armed_tsc : c->armed_ns);
        fake_forget(&host);
        vlapic_cpu_destroy(c->cpu);
        assert_int_equal(fake_count(&host, FAKE_CANCEL), 1);
        assert_false(c->armed_ns || c->armed_tsc);
        assert_null(vlapic_vm_find(host.vm, 0));
        free(c->memory);
        host.cpu_count = 0;
        fake_vm_stop(&host);
    }
}

static void destroying_tells_the_backend_once(void **unused)
{
    /* Library: struct vlapic_backend.cpu_fini */
    struct vlapic_backend backend = test_backend();

    (void)unused;
    backend.cpu_init = test_cpu_init;
    backend.cpu_fini = test_cpu_fini;
    backend.cpu_state_bytes = backend.cpu_shared_bytes = 100;
    fake_vm_prepare(&host, VLAPIC_VENDOR_INTEL);
    host.config.backend = &backend;
    host.config.backend_config = &last_vm_state;
    fake_vm_start(&host, 3, NULL);
    assert_int_equal(vm_inits, 1);
    assert_int_equal(cpu_inits, 3);
    vlapic_cpu_detach(fake_cpu_at(&host, 1));
    fake_vm_stop(&host);
    assert_int_equal(cpu_finis, 3);
}

static void ids_up_to_the_maximum_can_be_used(void **unused)
{
    /* Library: struct vlapic_vm_config.max_apic_id */
    static const uint32_t limits[] = { 0, 1, 63, 64, 65, 254, 255, 256, 4095, 4096, 0xFFFFF };

    (void)unused;
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        fake_vm_prepare(&host, VLAPIC_VENDOR_INTEL);
        host.config.max_apic_id = limits[i];
        fake_vm_start(&host, 1, &limits[i]);
        assert_ptr_equal(vlapic_vm_find(host.vm, limits[i]), fake_cpu_at(&host, 0));
        assert_null(vlapic_vm_find(host.vm, limits[i] + 1));
        guest_software_enable(fake_cpu_at(&host, 0));
        guest_enable_x2apic(fake_cpu_at(&host, 0));
        assert_int_equal(send_to(limits[i]), 1);
        fake_vm_stop(&host);
    }
}

/* ---- state and statistics ---- */

static void state_and_stats_refuse_bad_arguments(void **unused)
{
    /* Library: vlapic_cpu_get_state(), vlapic_cpu_get_stats() */
    struct vlapic_cpu_state state, untouched_state;
    struct vlapic_cpu_stats stats, untouched_stats;
    struct vlapic_cpu *cpu;

    (void)unused;
    fake_one_cpu(&host, VLAPIC_VENDOR_INTEL);
    cpu = fake_cpu_at(&host, 0);
    memset(&state, 0xA5, sizeof state);
    memset(&stats, 0xA5, sizeof stats);
    untouched_state = state;
    untouched_stats = stats;
    assert_int_equal(vlapic_cpu_get_state(cpu, NULL, sizeof state), VLAPIC_INVALID);
    assert_int_equal(vlapic_cpu_get_state(cpu, &state, sizeof state - 8), VLAPIC_BAD_ABI);
    assert_int_equal(vlapic_cpu_get_state(cpu, &state, sizeof state + 8), VLAPIC_BAD_ABI);
    assert_int_equal(vlapic_cpu_get_stats(cpu, NULL, sizeof stats), VLAPIC_INVALID);
    assert_int_equal(vlapic_cpu_get_stats(cpu, &stats, sizeof stats - 8), VLAPIC_BAD_ABI);
    assert_int_equal(vlapic_cpu_get_stats(cpu, &stats, sizeof stats + 8), VLAPIC_BAD_ABI);
    assert_memory_equal(&state, &untouched_state, sizeof state);
    assert_memory_equal(&stats, &untouched_stats, sizeof stats);
    assert_int_equal(vlapic_cpu_get_state(cpu, &state, sizeof state), VLAPIC_OK);
    assert_int_equal(state.size, sizeof state);
    assert_int_equal(vlapic_cpu_get_stats(cpu, &stats, sizeof stats), VLAPIC_OK);
    assert_true(stats.bad_reads == 0 && stats.accepts == 0 && stats.eois == 0 && stats.timer_expiries == 0);
    fake_vm_stop(&host);
}

static void a_vm_stays_in_its_block(void **unused)
{
    /* Library: vlapic_vm_layout(): with the largest ID attached, nothing beyond the block is written */
    static const uint32_t limits[] = { 0, 62, 63, 64, 127, 128, 4094, 4095, 4096 };

    (void)unused;
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        struct vlapic_layout vm_layout, cpu_layout;
        struct vlapic_cpu_config config = { .size = sizeof config, .apic_id = limits[i], .bsp = true };
        static _Alignas(4096) unsigned char cpu_block[1 << 16];
        struct vlapic_vm *vm;
        struct vlapic_cpu *cpu;

        fake_vm_prepare(&host, VLAPIC_VENDOR_INTEL);
        host.config.max_apic_id = limits[i];
        assert_int_equal(vlapic_vm_layout(&host.config, &vm_layout), VLAPIC_OK);
        assert_int_equal(vlapic_cpu_layout(&host.config, &cpu_layout), VLAPIC_OK);
        memset(block, 0x5A, sizeof block);
        memset(cpu_block, 0x5A, sizeof cpu_block);
        host.cpus = &(struct fake_cpu){ .owner = &host };
        config.cookie = &host.cpus[0];
        assert_int_equal(vlapic_vm_create(block, vm_layout.bytes, &host.config, &vm), VLAPIC_OK);
        assert_int_equal(vlapic_cpu_create(cpu_block, cpu_layout.bytes, vm, &config, &cpu), VLAPIC_OK);
        assert_int_equal(vlapic_cpu_attach(cpu), VLAPIC_OK);
        assert_ptr_equal(vlapic_vm_find(vm, limits[i]), cpu);
        for (uint32_t id = 0; id < limits[i]; id++)
            assert_null(vlapic_vm_find(vm, id));
        guest_write(cpu, VLAPIC_REG_LDR, 0xFF000000);
        guest_software_enable(cpu);
        guest_icr(cpu, 0xFF000000, 0x40);
        guest_icr(cpu, 0xFF000000, 0x841);
        guest_icr(cpu, 0, 0x80042);
        assert_int_equal(take_vector(cpu), 0x42);
        vlapic_cpu_destroy(cpu);
        for (size_t at = vm_layout.bytes; at < sizeof block; at++)
            assert_int_equal(block[at], 0x5A);
        for (size_t at = cpu_layout.bytes; at < sizeof cpu_block; at++)
            assert_int_equal(cpu_block[at], 0x5A);
    }
}

/* ---- what the backend is told ---- */

static uint32_t told;

static void test_changed(void *cpu_state, uint32_t what)
{
    (void)cpu_state;
    assert_true(what != 0 && (what & ~(uint32_t)VLAPIC_CHANGE_ALL) == 0);
    told |= what;
}

static void assert_told(uint32_t what)
{
    if ((told & what) != what)
        fail_msg("the backend was told %#x, expected at least %#x", told, what);
    told = 0;
}

static void the_backend_is_told_what_changed(void **unused)
{
    /* Library: struct vlapic_backend.changed: at least what changed; more is allowed */
    struct vlapic_backend backend = vlapic_backend_soft;
    struct vlapic_cpu *cpu;

    (void)unused;
    backend.changed = test_changed;
    fake_vm_prepare(&host, VLAPIC_VENDOR_AMD);
    host.config.backend = &backend;
    host.config.id_writable = true;
    host.config.ext_space = true;
    told = 0;
    fake_vm_start(&host, 1, NULL);
    assert_told(VLAPIC_CHANGE_ALL);
    cpu = fake_cpu_at(&host, 0);
    guest_software_enable(cpu);
    told = 0;

    guest_write(cpu, VLAPIC_REG_ID, 0x44000000);
    assert_told(VLAPIC_CHANGE_IDENTITY);
    guest_write(cpu, VLAPIC_REG_LDR, 0x01000000);
    assert_told(VLAPIC_CHANGE_IDENTITY);
    guest_write(cpu, VLAPIC_REG_DFR, 0x00000000);
    assert_told(VLAPIC_CHANGE_IDENTITY);
    guest_write(cpu, VLAPIC_REG_TPR, 0x10);
    assert_told(VLAPIC_CHANGE_TPR);
    vlapic_cpu_cr8_write(cpu, 2);
    assert_told(VLAPIC_CHANGE_TPR);
    vlapic_cpu_post(cpu, 0x60, true);
    assert_int_equal(poll_vector(cpu), 0x60);
    assert_told(VLAPIC_CHANGE_TMR);
    assert_true(vlapic_cpu_accept(cpu, 0x60));
    assert_told(VLAPIC_CHANGE_ISR);
    assert_true(vlapic_cpu_unaccept(cpu, 0x60));
    assert_told(VLAPIC_CHANGE_ISR);
    assert_int_equal(take_vector(cpu), 0x60);
    told = 0;
    guest_eoi(cpu);
    assert_told(VLAPIC_CHANGE_ISR);
    vlapic_cpu_post(cpu, 0x60, false);
    assert_int_equal(take_vector(cpu), 0x60);
    assert_told(VLAPIC_CHANGE_TMR | VLAPIC_CHANGE_ISR);
    guest_write(cpu, VLAPIC_REG_EXT_CONTROL, 7);
    told = 0;
    guest_write(cpu, VLAPIC_REG_SEOI, 0x60);
    assert_told(VLAPIC_CHANGE_ISR);
    guest_enable_x2apic(cpu);
    assert_told(VLAPIC_CHANGE_MODE | VLAPIC_CHANGE_IDENTITY);
    guest_wrmsr(cpu, VLAPIC_MSR_APIC_BASE, 0xABC00D00);
    assert_told(VLAPIC_CHANGE_MODE);
    vlapic_cpu_take_init(cpu);
    assert_told(VLAPIC_CHANGE_ALL);
    guest_disable_apic(cpu);
    assert_told(VLAPIC_CHANGE_MODE);
    vlapic_cpu_reset(cpu);
    assert_told(VLAPIC_CHANGE_ALL);
    fake_vm_stop(&host);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_as_documented),
        cmocka_unit_test(defaults_refuse_bad_arguments),
        cmocka_unit_test(every_setting_is_checked),
        cmocka_unit_test(mandatory_callbacks_must_be_there),
        cmocka_unit_test(the_table_names_its_version_and_size),
        cmocka_unit_test(members_beyond_the_size_are_not_called),
        cmocka_unit_test(the_table_and_the_configuration_are_copied),
        cmocka_unit_test(a_bad_backend_is_refused),
        cmocka_unit_test(a_backend_with_mandatory_ops_only_works),
        cmocka_unit_test(a_failing_backend_fails_the_creation),
        cmocka_unit_test(layouts_are_usable),
        cmocka_unit_test(the_backends_states_are_rounded_up_to_cache_lines),
        cmocka_unit_test(vm_memory_must_be_large_enough_and_aligned),
        cmocka_unit_test(cpu_memory_must_be_large_enough_and_aligned),
        cmocka_unit_test(a_backend_with_pages_gets_them),
        cmocka_unit_test(only_attached_cpus_are_found_and_addressed),
        cmocka_unit_test(a_detached_cpu_keeps_its_state_and_takes_direct_posts),
        cmocka_unit_test(an_apic_id_can_be_used_once),
        cmocka_unit_test(a_cpu_can_be_plugged_in_later),
        cmocka_unit_test(destroying_cancels_an_armed_timer),
        cmocka_unit_test(destroying_tells_the_backend_once),
        cmocka_unit_test(ids_up_to_the_maximum_can_be_used),
        cmocka_unit_test(state_and_stats_refuse_bad_arguments),
        cmocka_unit_test(a_vm_stays_in_its_block),
        cmocka_unit_test(the_backend_is_told_what_changed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
