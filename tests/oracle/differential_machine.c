/* SPDX-License-Identifier: BSD-2-Clause */
/* The configuration out of the first bytes, the two machines, and the library's host: a clock that stands still unless moved. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "differential_internal.h"

#define MAX_APIC_ID 1023
#define VM_BYTES (64 * 1024)
#define CPU_BYTES (16 * 1024)

static _Alignas(4096) uint8_t vm_memory[VM_BYTES];
/* Two blocks each: a vCPU that is restored into a fresh one moves to the other. */
static _Alignas(4096) uint8_t cpu_memory[ORACLE_APICS][2][CPU_BYTES];

static void must(bool right, const char *what)
{
    if (!right) {
        fprintf(stderr, "differential: cannot set up: %s\n", what);
        abort();
    }
}

static void record(struct calls *calls, enum call_kind kind, unsigned cpu, uint64_t a, uint64_t b)
{
    if (calls->count < CALLS) {
        calls->call[calls->count].kind = kind;
        calls->call[calls->count].cpu = cpu;
        calls->call[calls->count].a = a;
        calls->call[calls->count].b = b;
    }
    calls->count++;
}

/* ---- the library's host ---- */

static uint64_t now_ns(void *cookie)
{
    return ((struct twin *)cookie)->m->oracle.now_ns;
}

static uint64_t now_tsc(void *cookie)
{
    const struct twin *t = (const struct twin *)cookie;

    return t->m->oracle.apic[t->index].tsc;
}

static void timer_arm_ns(void *cookie, uint64_t deadline_ns)
{
    struct twin *t = (struct twin *)cookie;

    t->armed_ns = true;
    t->armed_tsc = false;
    t->deadline = deadline_ns;
}

static void timer_arm_tsc(void *cookie, uint64_t deadline_tsc)
{
    struct twin *t = (struct twin *)cookie;

    t->armed_ns = false;
    t->armed_tsc = true;
    t->deadline = deadline_tsc;
}

static void timer_cancel(void *cookie)
{
    struct twin *t = (struct twin *)cookie;

    t->armed_ns = false;
    t->armed_tsc = false;
}

static void kick(void *cookie)
{
    ((struct twin *)cookie)->kicked = true;
}

/* An I/O APIC whose input is still asserted sends again. */
static void eoi_broadcast(void *cookie, uint8_t vector)
{
    struct machine *m = (struct machine *)cookie;

    record(&m->library, CALL_BROADCAST, 0, vector, 0);
    if (m->resends && vector == m->level_message.vector) {
        vlapic_vm_deliver(m->vm, &m->level_message);
    }
}

static void eoi_notify(void *cookie, uint8_t vector, bool level)
{
    struct twin *t = (struct twin *)cookie;

    record(&t->m->library, CALL_NOTIFY, t->index, vector, level);
}

static void base_changed(void *cookie, uint64_t from, uint64_t to)
{
    struct twin *t = (struct twin *)cookie;

    record(&t->m->library, CALL_BASE, t->index, from, to);
}

static uint32_t odd_choice(uint8_t vector, uint32_t count)
{
    return (vector * 5u) ^ (count << 30) ^ 3u;
}

static uint32_t choose_lowest(void *cookie, uint8_t vector, uint32_t count)
{
    (void)cookie;
    return odd_choice(vector, count);
}

/* ---- the oracle's ---- */

static struct machine *machine_of(struct oracle *bus)
{
    return (struct machine *)(void *)((char *)bus - offsetof(struct machine, oracle));
}

static unsigned index_of(const struct oracle_apic *a)
{
    return (unsigned)(a - a->bus->apic);
}

static void model_broadcast(struct oracle *bus, uint8_t vector)
{
    struct machine *m = machine_of(bus);

    record(&m->model, CALL_BROADCAST, 0, vector, 0);
    if (m->resends && vector == m->level_message.vector) {
        struct oracle_message again = oracle_message_of(&m->level_message);

        oracle_deliver(bus, &again);
    }
}

static void model_notify(struct oracle_apic *a, uint8_t vector, bool level)
{
    record(&machine_of(a->bus)->model, CALL_NOTIFY, index_of(a), vector, level);
}

static void model_base_changed(struct oracle_apic *a, uint64_t from, uint64_t to)
{
    record(&machine_of(a->bus)->model, CALL_BASE, index_of(a), from, to);
}

static uint32_t model_choose(struct oracle *bus, uint8_t vector, uint32_t count)
{
    (void)bus;
    return odd_choice(vector, count);
}

struct oracle_message oracle_message_of(const struct vlapic_message *message)
{
    return (struct oracle_message){
        .destination = message->destination,
        .mode = (enum oracle_mode)message->delivery,
        .vector = message->vector,
        .logical = message->logical,
        .level = message->level,
        .deassert = message->deassert,
        .redirection_hint = message->redirection_hint,
    };
}

/* ---- configuration ---- */

static bool take_flag(uint32_t *flags)
{
    bool flag = (*flags & 1) != 0;

    *flags >>= 1;
    return flag;
}

static void read_switches(struct machine *m)
{
    struct vlapic_vm_config *c = &m->config;
    uint32_t flags = (uint32_t)fuzz_number(&m->in, 3);

    c->vendor = take_flag(&flags) ? VLAPIC_VENDOR_AMD : VLAPIC_VENDOR_INTEL;
    c->icr_policy = take_flag(&flags) ? VLAPIC_ICR_STRICT : VLAPIC_ICR_PERMISSIVE;
    c->catch_up = take_flag(&flags) ? VLAPIC_CATCH_UP_REBASE : VLAPIC_CATCH_UP_COALESCE;
    c->ext_space = take_flag(&flags);
    c->eoi_suppression = take_flag(&flags);
    c->x2apic = !take_flag(&flags);
    c->tsc_deadline = take_flag(&flags);
    c->max_lvt = take_flag(&flags) ? 6 : 5;
    c->svr_bit9_faults = take_flag(&flags);
    c->lowest_in_x2apic = take_flag(&flags);
    c->msi_ff_not_broadcast = take_flag(&flags);
    c->dest_alias = take_flag(&flags);
    c->id_writable = take_flag(&flags);
    c->narrow_write_merge = take_flag(&flags);
    c->msi_ext_dest = take_flag(&flags);
    c->msi_dest32 = take_flag(&flags);
    c->base_fixed = take_flag(&flags);
    c->x2apic_locked = take_flag(&flags);
    m->resends = take_flag(&flags);
    m->host.choose_lowest = take_flag(&flags) ? choose_lowest : NULL;
    m->count = 1 + (flags & 3);
}

static void read_numbers(struct machine *m)
{
    static const uint64_t hertz[] = { 1000000000, 1,        3,         1000,      32768,
                                      19200000,   24000000, 100000000, 333333333, 4000000000 };
    static const uint64_t floors[] = { 0, 1, 1000, 50000 };
    static const uint8_t widths[] = { 52, 32, 36, 46 }, versions[] = { 0x14, 0x10, 0x15, 0x1F };
    static const uint64_t starts[] = { 0, 1, 1000000007, UINT64_MAX - (UINT64_C(1) << 58) };
    struct vlapic_vm_config *c = &m->config;
    unsigned byte = fuzz_u8(&m->in), ext;

    c->timer_hz = hertz[fuzz_below(&m->in, sizeof hertz / sizeof hertz[0])];
    c->timer_floor_ns = floors[byte & 3];
    c->phys_bits = widths[byte >> 2 & 3];
    c->version = versions[byte >> 4 & 3];
    m->oracle.now_ns = starts[byte >> 6];
    ext = fuzz_u8(&m->in);
    c->ext_features = (ext & 7) ^ 7;
    c->ext_lvt_count = (uint8_t)((ext >> 3) % 9);
}

static void tell_oracle(struct machine *m)
{
    const struct vlapic_vm_config *c = &m->config;

    m->oracle.options = (struct oracle_options){
        .amd = c->vendor == VLAPIC_VENDOR_AMD,
        .strict = c->icr_policy == VLAPIC_ICR_STRICT,
        .svr_bit9_faults = c->svr_bit9_faults,
        .lowprio_x2apic = c->lowest_in_x2apic,
        .msi_ff_not_broadcast = c->msi_ff_not_broadcast,
        .dest_alias = c->dest_alias,
        .id_writable = c->id_writable,
        .narrow_write_merge = c->narrow_write_merge,
        .deadline = c->tsc_deadline,
        .x2apic = c->x2apic,
        .eoi_suppression = c->eoi_suppression,
        .ext_space = c->ext_space,
        .ext_ier = (c->ext_features & VLAPIC_EXT_IER) != 0,
        .ext_seoi = (c->ext_features & VLAPIC_EXT_SEOI) != 0,
        .ext_8bit_id = (c->ext_features & VLAPIC_EXT_8BIT_ID) != 0,
        .ext_lvts = c->ext_lvt_count,
        .version = c->version,
        .max_lvt = c->max_lvt,
        .phys_bits = c->phys_bits,
        .timer_hz = c->timer_hz,
        .rebase = c->catch_up == VLAPIC_CATCH_UP_REBASE,
        .msi_ext_dest = c->msi_ext_dest,
        .msi_dest32 = c->msi_dest32,
        .base_fixed = c->base_fixed,
        .x2apic_locked = c->x2apic_locked,
    };
    m->oracle.hooks = (struct oracle_hooks){
        .eoi_notify = model_notify,
        .eoi_broadcast = model_broadcast,
        .base_changed = model_base_changed,
        .choose_lowest = m->host.choose_lowest ? model_choose : NULL,
    };
    m->oracle.count = m->count;
}

/* IDs next to every boundary of the routing: 8 bits, clusters of 16, broadcast values. */
static uint32_t read_apic_id(struct machine *m, unsigned index)
{
    static const uint32_t ids[] = { 0,   1,   2,   3,   4,   5,   7,   8,   12,  15,         16,
                                    17,  18,  31,  32,  63,  64,  127, 128, 239, 240,        254,
                                    255, 256, 257, 258, 271, 272, 511, 512, 767, MAX_APIC_ID };
    unsigned pick = fuzz_u8(&m->in);

    for (;; pick++) {
        uint32_t id = ids[(pick + index) % (sizeof ids / sizeof ids[0])];
        bool used = false;

        for (unsigned i = 0; i < index; i++) {
            used = used || m->oracle.apic[i].id32 == id;
        }
        if (!used) {
            return id;
        }
    }
}

/* Creates the library's vCPU of m->oracle.apic[index] in the RESET state; not attached. */
void twin_make(struct machine *m, unsigned index)
{
    struct twin *t = &m->twin[index];
    const struct oracle_apic *a = &m->oracle.apic[index];
    struct vlapic_cpu_config config = { .size = sizeof config, .apic_id = a->id32, .bsp = a->made_bsp, .cookie = t };
    struct vlapic_layout layout;
    uint8_t *memory = cpu_memory[index][t->memory];

    must(vlapic_cpu_layout(&m->config, &layout) == VLAPIC_OK && layout.bytes <= CPU_BYTES && layout.pages == 0,
         "vCPU layout");
    memset(memory, 0xA5, layout.bytes);
    must(vlapic_cpu_create(memory, layout.bytes, m->vm, &config, &t->cpu) == VLAPIC_OK, "vCPU");
}

static void make_cpus(struct machine *m)
{
    for (unsigned i = 0; i < m->count; i++) {
        struct twin *t = &m->twin[i];

        *t = (struct twin){ .m = m, .index = i, .offered = -1 };
        oracle_make(&m->oracle, i, read_apic_id(m, i), i == 0);
        twin_make(m, i);
        must(vlapic_cpu_attach(t->cpu) == VLAPIC_OK, "attach");
        m->oracle.apic[i].attached = true;
    }
}

void machine_make(struct machine *m)
{
    struct vlapic_layout layout;

    m->host = (struct vlapic_host_ops){
        .size = sizeof m->host,
        .abi = VLAPIC_HOST_ABI,
        .now_ns = now_ns,
        .timer_arm_ns = timer_arm_ns,
        .timer_cancel = timer_cancel,
        .kick = kick,
        .eoi_broadcast = eoi_broadcast,
        .eoi_notify = eoi_notify,
        .base_changed = base_changed,
        .now_tsc = now_tsc,
        .timer_arm_tsc = timer_arm_tsc,
    };
    must(vlapic_vm_config_defaults(&m->config, sizeof m->config, VLAPIC_VENDOR_INTEL) == VLAPIC_OK, "defaults");
    m->config.host = &m->host;
    m->config.backend = &vlapic_backend_soft;
    m->config.cookie = m;
    m->config.max_apic_id = MAX_APIC_ID;
    read_switches(m);
    read_numbers(m);
    tell_oracle(m);
    must(vlapic_vm_layout(&m->config, &layout) == VLAPIC_OK && layout.bytes <= VM_BYTES, "VM layout");
    memset(vm_memory, 0xA5, layout.bytes);
    must(vlapic_vm_create(vm_memory, layout.bytes, &m->config, &m->vm) == VLAPIC_OK, "VM");
    make_cpus(m);
}

void machine_end(struct machine *m)
{
    for (unsigned i = 0; i < m->count; i++) {
        vlapic_cpu_destroy(m->twin[i].cpu);
        same(m, i, "host timer armed after destroy", false, m->twin[i].armed_ns || m->twin[i].armed_tsc);
    }
}
