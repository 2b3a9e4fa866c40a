/* SPDX-License-Identifier: BSD-2-Clause */
/* The fuzzers' VM: its memory, its description, its life. */
#include "machine_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define HAS_ASAN 1
#endif
#ifdef HAS_ASAN
#include <sanitizer/asan_interface.h>
#endif

#define PAGE_BYTES 4096u
#define GUARD_BYTES 64u
#define VM_BYTES (64u * 1024u)
#define CPU_BYTES 4096u
#define RUBBISH 0xA5
#define NS_PER_S 1000000000ull

_Noreturn void machine_fail(const char *file, int line, const char *condition)
{
    const char *name = strrchr(file, '/');

    fprintf(stderr, "%s:%d: does not hold: %s\n", name != NULL ? name + 1 : file, line, condition);
    abort();
}

/* --- memory ---------------------------------------------------------------------------------------------------------------- */

/* Static, so that an input costs no allocation. What lies around an object is poisoned or, without an address sanitizer,
 * compared at the end. */
struct vm_block {
    uint8_t before[GUARD_BYTES] __attribute__((aligned(PAGE_BYTES)));
    uint8_t bytes[VM_BYTES + GUARD_BYTES];
};

struct cpu_block {
    uint8_t page[PAGE_BYTES] __attribute__((aligned(PAGE_BYTES)));
    uint8_t before[GUARD_BYTES];
    uint8_t bytes[CPU_BYTES + GUARD_BYTES];
};

static struct vm_block vm_blocks[2];
static struct cpu_block cpu_blocks[MACHINE_CPUS + 1];
static size_t cpu_object_bytes; /* the same for all vCPUs of an input */
static size_t vm_object_bytes;

/* Also takes down the guards of the input before. */
static void fill(uint8_t *before, uint8_t *bytes, size_t capacity, size_t object)
{
    MUST(object <= capacity);
#ifdef HAS_ASAN
    ASAN_UNPOISON_MEMORY_REGION(before, GUARD_BYTES);
    ASAN_UNPOISON_MEMORY_REGION(bytes, capacity + GUARD_BYTES);
    memset(bytes, RUBBISH, object);
    ASAN_POISON_MEMORY_REGION(before, GUARD_BYTES);
    ASAN_POISON_MEMORY_REGION(bytes + object, capacity + GUARD_BYTES - object);
#else
    memset(before, RUBBISH, GUARD_BYTES);
    memset(bytes, RUBBISH, object + GUARD_BYTES);
#endif
}

#ifndef HAS_ASAN
static void check_rubbish(const uint8_t *bytes)
{
    for (unsigned i = 0; i < GUARD_BYTES; i++) {
        MUST(bytes[i] == RUBBISH);
    }
}
#endif

void machine_check_guards(const struct machine *m)
{
#ifdef HAS_ASAN
    (void)m;
#else
    check_rubbish(vm_blocks[0].before);
    check_rubbish(vm_blocks[0].bytes + vm_object_bytes);
    for (unsigned i = 0; i < m->cpu_count; i++) {
        check_rubbish(cpu_blocks[i].before);
        check_rubbish(cpu_blocks[i].bytes + cpu_object_bytes);
    }
#endif
}

/* Hardware owns the bytes between the registers of a page, and all that comes after them: nobody else writes there. */
static void check_page(const uint8_t *page)
{
    uint32_t slot[4], strange = 0;

    for (unsigned at = 0; at < PAGE_BYTES; at += sizeof(slot)) {
        memcpy(slot, page + at, sizeof(slot));
        strange |= slot[1] | slot[2] | slot[3] | (at > VLAPIC_REG_EXT_LVT + 0x70u ? slot[0] : 0);
    }
    MUST(strange == 0);
}

/* --- the description of a VM ----------------------------------------------------------------------------------------------- */

static struct machine machine;

static const uint32_t id_sets[8][MACHINE_CPUS] = {
    { 0, 1, 2, 3 },           { 0, 1, 16, 17 }, /* two clusters */
    { 254, 255, 256, 257 },                     /* around the 8-bit broadcast */
    { 3, 259, 515, 771 },                       /* the same low byte */
    { 0, 271, 256, 511 },     { 5, 5, 261, 1 }, /* an ID twice */
    { 7, 15, 4095, 5130 },                      /* above the limit below which aliases are listed */
    { 0, 2048, 2049, 0x4FF },                   /* clusters apart */
};

static void set_options(struct vlapic_vm_config *c, uint16_t bits)
{
    c->ext_space = (bits & 1u << 0) != 0;
    c->eoi_suppression = (bits & 1u << 1) != 0;
    c->x2apic = (bits & 1u << 2) == 0;
    c->tsc_deadline = (bits & 1u << 3) != 0;
    c->svr_bit9_faults = (bits & 1u << 4) != 0;
    c->lowest_in_x2apic = (bits & 1u << 5) != 0;
    c->msi_ff_not_broadcast = (bits & 1u << 6) != 0;
    c->dest_alias = (bits & 1u << 7) != 0;
    c->id_writable = (bits & 1u << 8) != 0;
    c->narrow_write_merge = (bits & 1u << 9) != 0;
    c->msi_ext_dest = (bits & 1u << 10) != 0;
    c->msi_dest32 = (bits & 1u << 11) != 0;
    c->base_fixed = (bits & 1u << 12) != 0;
    c->x2apic_locked = (bits & 1u << 13) != 0;
    c->icr_policy = (bits & 1u << 14) != 0 ? VLAPIC_ICR_STRICT : VLAPIC_ICR_PERMISSIVE;
    c->catch_up = (bits & 1u << 15) != 0 ? VLAPIC_CATCH_UP_REBASE : VLAPIC_CATCH_UP_COALESCE;
}

static void set_registers(struct vlapic_vm_config *c, uint8_t bits)
{
    c->ext_lvt_count = (uint8_t)((bits & 15u) % (VLAPIC_LVT_EXT_MAX + 1));
    c->ext_features = (bits >> 4) & 7u;
    c->max_lvt = (bits & 0x80u) != 0 ? 6 : 5;
}

static void set_clocks(struct machine *m, uint8_t bits)
{
    static const uint64_t hz[16] = {
        NS_PER_S, 1,         2,         3,         7,          1000,       32768,      14318180,
        25000000, 100000000, 200000000, 999999937, 1193181667, 2400000001, 3999999999, 4000000000,
    };
    static const uint64_t floor_ns[4] = { 0, 1000, 1000000, 1ull << 63 };

    m->config.timer_hz = hz[bits & 15u];
    m->config.timer_floor_ns = floor_ns[(bits >> 4) & 3u];
    m->now_ns = (bits & 0x40u) != 0 ? UINT64_MAX - 1000 * NS_PER_S : NS_PER_S;
    m->now_tsc = (bits & 0x80u) != 0 ? UINT64_MAX - 1000000 : 1000000;
    m->tsc_rate = 1 + (bits & 3u);
}

static void describe(struct machine *m, struct fuzz_input *in, unsigned max_cpus)
{
    static const uint8_t phys_bits[8] = { 52, 32, 36, 39, 46, 48, 51, 33 };
    uint8_t shape = fuzz_u8(in);
    uint16_t options = fuzz_u16(in);
    uint8_t registers = fuzz_u8(in), clocks = fuzz_u8(in), ids = fuzz_u8(in);
    enum vlapic_vendor vendor = (shape & 4u) != 0 ? VLAPIC_VENDOR_AMD : VLAPIC_VENDOR_INTEL;

    MUST(vlapic_vm_config_defaults(&m->config, sizeof(m->config), vendor) == VLAPIC_OK);
    m->cpu_count = 1 + (shape & 3u) % max_cpus;
    m->lazy = (shape & 8u) != 0;
    m->watched = (shape & 0x10u) == 0;
    /* A deadline timer needs the optional callbacks. */
    m->bare = (shape & 0x20u) != 0 && (options & 1u << 3) == 0;
    m->notified = (shape & 0x40u) != 0;
    m->chooser = (shape & 0x80u) != 0 && !m->bare;
    m->resend = m->chooser;
    set_options(&m->config, options);
    set_registers(&m->config, registers);
    set_clocks(m, clocks);
    m->config.phys_bits = phys_bits[(ids >> 3) & 7u];
    m->eager = (ids & 0x40u) != 0;
    m->drift_ns = (ids & 0x80u) != 0 ? 3 : 0;
    m->config.max_apic_id = 254;
    for (unsigned i = 0; i < m->cpu_count; i++) {
        m->cpus[i].apic_id = id_sets[ids & 7u][i];
        if (m->cpus[i].apic_id > m->config.max_apic_id) {
            m->config.max_apic_id = m->cpus[i].apic_id;
        }
    }
    machine_set_host(m);
}

/* --- life ------------------------------------------------------------------------------------------------------------------ */

static struct vlapic_vm *create_vm(struct machine *m, struct vm_block *block)
{
    struct vlapic_layout layout;
    struct vlapic_vm *vm = NULL;

    MUST(vlapic_vm_layout(&m->config, &layout) == VLAPIC_OK);
    vm_object_bytes = layout.bytes;
    fill(block->before, block->bytes, VM_BYTES, layout.bytes);
    MUST(vlapic_vm_create(block->bytes, layout.bytes, &m->config, &vm) == VLAPIC_OK);
    return vm;
}

struct vlapic_vm *machine_twin_vm(struct machine *m)
{
    if (m->twin_vm == NULL) {
        m->twin_vm = create_vm(m, &vm_blocks[1]);
    }
    return m->twin_vm;
}

static struct cpu_block *block_of(const struct machine_cpu *c)
{
    return c == &c->machine->twin ? &cpu_blocks[MACHINE_CPUS] : &cpu_blocks[c - c->machine->cpus];
}

void machine_create_cpu(struct machine_cpu *c, struct vlapic_vm *vm, uint32_t apic_id, bool bsp)
{
    struct machine *m = c->machine;
    struct cpu_block *block = block_of(c);
    struct vlapic_page page = { .va = block->page, .pa = 0x100000 };
    struct vlapic_cpu_config config = { .size = sizeof(config), .apic_id = apic_id, .bsp = bsp, .cookie = c };
    struct vlapic_layout layout;

    *c = (struct machine_cpu){ .machine = m, .apic_id = apic_id, .bsp = bsp, .notified_vector = -1 };
    c->base = VLAPIC_BASE_DEFAULT | VLAPIC_BASE_EN | (bsp ? VLAPIC_BASE_BSP : 0);
    c->duty.vector = -1;
    MUST(vlapic_cpu_layout(&m->config, &layout) == VLAPIC_OK);
    MUST(layout.pages == (m->watched ? 1u : 0u));
    cpu_object_bytes = layout.bytes;
    fill(block->before, block->bytes, CPU_BYTES, layout.bytes);
    memset(block->page, 0, sizeof(block->page));
    config.pages = m->watched ? &page : NULL;
    MUST(vlapic_cpu_create(block->bytes, layout.bytes, vm, &config, &c->cpu) == VLAPIC_OK);
    MUST(vlapic_cpu_apic_id(c->cpu) == apic_id && vlapic_cpu_cookie(c->cpu) == c);
}

/* What comes too late finds an object that calls nobody: a kick in the host does not pass. */
void machine_destroy_cpu(struct machine_cpu *c)
{
    machine_come_home(c);
    if (c->machine->watched) {
        check_page(block_of(c)->page);
    }
    vlapic_cpu_destroy(c->cpu);
    c->attached = false;
    c->run = MACHINE_IN_HOST;
    MUST(!c->armed_ns && !c->armed_tsc);
    vlapic_cpu_timer_expired(c->cpu);
    vlapic_cpu_lint(c->cpu, 0, !c->line[0]);
    (void)vlapic_cpu_post(c->cpu, 0x33, false);
}

void machine_attach_cpu(struct machine_cpu *c)
{
    struct machine *m = c->machine;
    bool taken = c->attached;

    for (unsigned i = 0; i < m->cpu_count; i++) {
        taken = taken || (m->cpus[i].attached && m->cpus[i].apic_id == c->apic_id);
    }
    MUST(vlapic_cpu_attach(c->cpu) == (taken ? VLAPIC_IN_USE : VLAPIC_OK));
    if (!taken) {
        c->attached = true;
        MUST(vlapic_vm_find(m->vm, c->apic_id) == c->cpu);
    }
}

void machine_enter_for_good(struct machine_cpu *c)
{
    if (c->machine->notified) {
        machine_poll(c);
        MUST(vlapic_cpu_enter(c->cpu));
        c->run = MACHINE_IN_GUEST;
    }
}

struct machine *machine_start(struct fuzz_input *in, unsigned max_cpus)
{
    struct machine *m = &machine;

    *m = (struct machine){ .broadcast = -1 };
    describe(m, in, max_cpus);
    m->vm = create_vm(m, &vm_blocks[0]);
    m->twin.machine = m;
    for (unsigned i = 0; i < m->cpu_count; i++) {
        m->cpus[i].machine = m;
        machine_create_cpu(&m->cpus[i], m->vm, m->cpus[i].apic_id, i == 0);
        machine_attach_cpu(&m->cpus[i]);
        machine_enter_for_good(&m->cpus[i]);
    }
    m->current = &m->cpus[0];
    machine_settle(m);
    return m;
}

void machine_stop(struct machine *m)
{
    for (unsigned i = 0; i < m->cpu_count; i++) {
        machine_come_home(&m->cpus[i]);
        machine_observe(&m->cpus[i]);
    }
    if (!machine_clock_is_behind(m)) {
        machine_check_snapshot(m->current);
    }
    for (unsigned i = 0; i < m->cpu_count; i++) {
        machine_destroy_cpu(&m->cpus[i]);
    }
    machine_check_guards(m);
}

bool machine_is_home(const struct machine_cpu *c)
{
    return c->run == MACHINE_IN_HOST || c->machine->notified;
}

struct vlapic_cpu *machine_come_home(struct machine_cpu *c)
{
    if (!machine_is_home(c)) {
        c->run = MACHINE_IN_HOST;
        vlapic_cpu_exit(c->cpu);
        if (!c->machine->lazy) {
            machine_observe(c);
        }
    }
    return c->cpu;
}

void machine_run(struct machine *m, struct fuzz_input *in, machine_op *const *ops, unsigned count, unsigned max_ops)
{
    for (unsigned n = 0; n < max_ops && fuzz_more(in); n++) {
        uint8_t byte = fuzz_u8(in);

        m->current = &m->cpus[(byte >> 6) % m->cpu_count];
        ops[(byte & 63u) % count](m, in);
    }
}
