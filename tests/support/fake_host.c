/* SPDX-License-Identifier: BSD-2-Clause */
#include "fake_host.h"

#include <stdlib.h>
#include <string.h>

#if defined(__has_feature)
#if __has_feature(memory_sanitizer)
#include <sanitizer/msan_interface.h>
#define POISON(memory, bytes) __msan_poison((memory), (bytes))
#endif
#endif
#ifndef POISON
#define POISON(memory, bytes) ((void)0)
#endif

/* Fixed, so that the vCPU cookies stay valid while vCPUs are added. Untouched entries cost nothing. */
#define FAKE_MAX_CPUS 4096u
#define FAKE_PAGE 4096u

static const char *const kind_names[FAKE_KIND_COUNT] = {
    "timer_arm_ns",  "timer_arm_tsc", "timer_cancel", "kick",
    "eoi_broadcast", "eoi_notify",    "base_changed", "choose_lowest",
};

static void record(struct fake_vm *f, int cpu, enum fake_call_kind kind, uint64_t a, uint64_t b)
{
    if (!f->expect[kind])
        fail_msg("unexpected %s(cpu %d, %#llx, %#llx)", kind_names[kind], cpu, (unsigned long long)a,
                 (unsigned long long)b);
    if (f->call_count == FAKE_MAX_CALLS)
        fail_msg("more than %d callbacks: the test has to call fake_forget()", FAKE_MAX_CALLS);
    f->calls[f->call_count++] = (struct fake_call){ .kind = kind, .cpu = cpu, .a = a, .b = b };
}

static int index_of(const struct fake_cpu *c)
{
    return (int)(c - c->owner->cpus);
}

static uint64_t fake_now_ns(void *cpu_cookie)
{
    return ((struct fake_cpu *)cpu_cookie)->owner->now_ns;
}

static uint64_t fake_now_tsc(void *cpu_cookie)
{
    return ((struct fake_cpu *)cpu_cookie)->owner->now_tsc;
}

static void fake_arm_ns(void *cpu_cookie, uint64_t deadline_ns)
{
    struct fake_cpu *c = cpu_cookie;

    record(c->owner, index_of(c), FAKE_ARM_NS, deadline_ns, 0);
    c->armed_ns = true;
    c->armed_tsc = false;
    c->deadline = deadline_ns;
}

static void fake_arm_tsc(void *cpu_cookie, uint64_t deadline_tsc)
{
    struct fake_cpu *c = cpu_cookie;

    record(c->owner, index_of(c), FAKE_ARM_TSC, deadline_tsc, 0);
    c->armed_ns = false;
    c->armed_tsc = true;
    c->deadline = deadline_tsc;
}

static void fake_cancel(void *cpu_cookie)
{
    struct fake_cpu *c = cpu_cookie;

    record(c->owner, index_of(c), FAKE_CANCEL, 0, 0);
    c->armed_ns = false;
    c->armed_tsc = false;
}

static void fake_kick(void *cpu_cookie)
{
    struct fake_cpu *c = cpu_cookie;

    record(c->owner, index_of(c), FAKE_KICK, 0, 0);
}

static void fake_eoi_broadcast(void *vm_cookie, uint8_t vector)
{
    struct fake_vm *f = vm_cookie;

    record(f, -1, FAKE_EOI_BROADCAST, vector, 0);
    if (f->on_eoi_broadcast)
        f->on_eoi_broadcast(f, vector);
}

static void fake_eoi_notify(void *cpu_cookie, uint8_t vector, bool level)
{
    struct fake_cpu *c = cpu_cookie;

    record(c->owner, index_of(c), FAKE_EOI_NOTIFY, vector, level);
}

static void fake_base_changed(void *cpu_cookie, uint64_t old_value, uint64_t new_value)
{
    struct fake_cpu *c = cpu_cookie;

    record(c->owner, index_of(c), FAKE_BASE_CHANGED, old_value, new_value);
}

uint32_t fake_choose_lowest(void *vm_cookie, uint8_t vector, uint32_t count)
{
    struct fake_vm *f = vm_cookie;

    record(f, -1, FAKE_CHOOSE_LOWEST, count, vector);
    return f->choose_result;
}

/* ---- life of a VM ---- */

const struct vlapic_backend *fake_backend = &vlapic_backend_soft;

void fake_vm_prepare(struct fake_vm *f, enum vlapic_vendor vendor)
{
    memset(f, 0, sizeof *f);
    assert_int_equal(vlapic_vm_config_defaults(&f->config, sizeof f->config, vendor), VLAPIC_OK);
    f->ops = (struct vlapic_host_ops){
        .size = sizeof f->ops,
        .abi = VLAPIC_HOST_ABI,
        .now_ns = fake_now_ns,
        .timer_arm_ns = fake_arm_ns,
        .timer_cancel = fake_cancel,
        .kick = fake_kick,
        .eoi_broadcast = fake_eoi_broadcast,
        .eoi_notify = fake_eoi_notify,
        .base_changed = fake_base_changed,
        .now_tsc = fake_now_tsc,
        .timer_arm_tsc = fake_arm_tsc,
    };
    f->config.host = &f->ops;
    f->config.backend = fake_backend;
    f->config.cookie = f;
    for (unsigned i = 0; i < FAKE_KIND_COUNT; i++)
        f->expect[i] = i != FAKE_CHOOSE_LOWEST;
}

static size_t round_up(size_t bytes, size_t to)
{
    return (bytes + to - 1) / to * to;
}

/* Filled with rubbish: the library must not count on zeroes. */
static void *rubbish(size_t alignment, size_t bytes)
{
    size_t rounded = round_up(bytes ? bytes : 1, alignment);
    void *memory = aligned_alloc(alignment, rounded);

    assert_non_null(memory);
    memset(memory, 0xA5, rounded);
    POISON(memory, rounded);
    return memory;
}

static unsigned add_cpu(struct fake_vm *f, uint32_t apic_id, bool bsp)
{
    unsigned index = f->cpu_count;
    struct fake_cpu *c = &f->cpus[index];
    struct vlapic_layout layout;
    struct vlapic_page pages[64];
    size_t object;

    assert_true(index < FAKE_MAX_CPUS);
    assert_int_equal(vlapic_cpu_layout(&f->config, &layout), VLAPIC_OK);
    assert_true(layout.alignment <= FAKE_PAGE && layout.pages <= 64);
    object = round_up(layout.bytes, FAKE_PAGE);
    c->memory = rubbish(FAKE_PAGE, layout.pages ? object + (size_t)layout.pages * FAKE_PAGE : layout.bytes);
    for (uint32_t i = 0; i < layout.pages; i++) {
        pages[i].va = (char *)c->memory + object + (size_t)i * FAKE_PAGE;
        pages[i].pa = (uint64_t)(uintptr_t)pages[i].va;
        memset(pages[i].va, 0, FAKE_PAGE);
    }
    c->owner = f;
    c->armed_ns = false;
    c->armed_tsc = false;
    f->cpu_count++;

    struct vlapic_cpu_config config = {
        .size = sizeof config,
        .apic_id = apic_id,
        .bsp = bsp,
        .cookie = c,
        .pages = layout.pages ? pages : NULL,
    };
    assert_int_equal(vlapic_cpu_create(c->memory, layout.bytes, f->vm, &config, &c->cpu), VLAPIC_OK);
    assert_int_equal(vlapic_cpu_attach(c->cpu), VLAPIC_OK);
    return index;
}

void fake_vm_start(struct fake_vm *f, unsigned count, const uint32_t *apic_ids)
{
    struct vlapic_layout layout;

    f->cpus = calloc(FAKE_MAX_CPUS, sizeof *f->cpus);
    assert_non_null(f->cpus);
    assert_int_equal(vlapic_vm_layout(&f->config, &layout), VLAPIC_OK);
    f->memory = rubbish(layout.alignment < FAKE_PAGE ? FAKE_PAGE : layout.alignment, layout.bytes);
    assert_int_equal(vlapic_vm_create(f->memory, layout.bytes, &f->config, &f->vm), VLAPIC_OK);
    for (unsigned i = 0; i < count; i++)
        add_cpu(f, apic_ids ? apic_ids[i] : i, i == 0);
    fake_forget(f);
}

unsigned fake_vm_add_cpu(struct fake_vm *f, uint32_t apic_id)
{
    return add_cpu(f, apic_id, f->cpu_count == 0);
}

void fake_vm_stop(struct fake_vm *f)
{
    f->call_count = 0;
    f->expect[FAKE_CANCEL] = true;
    for (unsigned i = 0; i < f->cpu_count; i++) {
        struct fake_cpu *c = &f->cpus[i];

        vlapic_cpu_destroy(c->cpu);
        assert_false(c->armed_ns);
        assert_false(c->armed_tsc);
        f->call_count = 0;
    }
    for (unsigned i = 0; i < f->cpu_count; i++)
        free(f->cpus[i].memory);
    free(f->cpus);
    free(f->memory);
    f->cpus = NULL;
    f->memory = NULL;
    f->vm = NULL;
    f->cpu_count = 0;
}

void fake_one_cpu(struct fake_vm *f, enum vlapic_vendor vendor)
{
    fake_vm_prepare(f, vendor);
    fake_vm_start(f, 1, NULL);
    guest_software_enable(fake_cpu_at(f, 0));
    fake_forget(f);
}

void fake_one_x2apic_cpu(struct fake_vm *f, enum vlapic_vendor vendor)
{
    fake_one_cpu(f, vendor);
    guest_enable_x2apic(fake_cpu_at(f, 0));
    fake_forget(f);
}

struct vlapic_cpu *fake_cpu_at(struct fake_vm *f, unsigned index)
{
    assert_true(index < f->cpu_count);
    return f->cpus[index].cpu;
}

/* ---- clocks ---- */

/* The vCPU whose timer on this clock falls due first and not after `until`, or NULL. */
static struct fake_cpu *next_due(struct fake_vm *f, bool tsc, uint64_t until)
{
    struct fake_cpu *first = NULL;

    for (unsigned i = 0; i < f->cpu_count; i++) {
        struct fake_cpu *c = &f->cpus[i];

        if (!(tsc ? c->armed_tsc : c->armed_ns) || c->deadline > until)
            continue;
        if (!first || c->deadline < first->deadline)
            first = c;
    }
    return first;
}

static void advance(struct fake_vm *f, bool tsc, uint64_t by)
{
    uint64_t *now = tsc ? &f->now_tsc : &f->now_ns;
    uint64_t until = *now + by;
    struct fake_cpu *c;

    assert_true(until >= *now);
    while ((c = next_due(f, tsc, until)) != NULL) {
        if (c->deadline > *now)
            *now = c->deadline;
        c->armed_ns = false;
        c->armed_tsc = false;
        vlapic_cpu_timer_expired(c->cpu);
    }
    *now = until;
}

void fake_advance_ns(struct fake_vm *f, uint64_t ns)
{
    advance(f, false, ns);
}

void fake_advance_tsc(struct fake_vm *f, uint64_t ticks)
{
    advance(f, true, ticks);
}

void fake_set_ns(struct fake_vm *f, uint64_t ns)
{
    f->now_ns = ns;
}

void fake_set_tsc(struct fake_vm *f, uint64_t ticks)
{
    f->now_tsc = ticks;
}

/* ---- the record ---- */

unsigned fake_count(const struct fake_vm *f, enum fake_call_kind kind)
{
    unsigned count = 0;

    for (unsigned i = 0; i < f->call_count; i++)
        count += f->calls[i].kind == kind;
    return count;
}

const struct fake_call *fake_last(const struct fake_vm *f, enum fake_call_kind kind)
{
    for (unsigned i = f->call_count; i-- > 0;)
        if (f->calls[i].kind == kind)
            return &f->calls[i];
    fail_msg("no %s was recorded", kind_names[kind]);
    return NULL;
}

void fake_forget(struct fake_vm *f)
{
    f->call_count = 0;
}

/* ---- what the guest does ---- */

static bool in_x2apic(const struct vlapic_cpu *cpu)
{
    return (vlapic_cpu_apic_base(cpu) & (VLAPIC_BASE_EN | VLAPIC_BASE_EXTD)) == (VLAPIC_BASE_EN | VLAPIC_BASE_EXTD);
}

uint32_t guest_read(struct vlapic_cpu *cpu, uint32_t offset)
{
    uint64_t value = 0;

    if (vlapic_cpu_mmio_read(cpu, offset, 4, &value) != VLAPIC_ACCESS_DONE)
        fail_msg("MMIO read of %03x: not done", offset);
    assert_int_equal(value >> 32, 0);
    return (uint32_t)value;
}

void guest_write(struct vlapic_cpu *cpu, uint32_t offset, uint32_t value)
{
    if (vlapic_cpu_mmio_write(cpu, offset, 4, value) != VLAPIC_ACCESS_DONE)
        fail_msg("MMIO write of %08x to %03x: not done", value, offset);
}

uint64_t guest_rdmsr(struct vlapic_cpu *cpu, uint32_t msr)
{
    uint64_t value = 0;
    enum vlapic_access access = vlapic_cpu_msr_read(cpu, msr, &value);

    if (access != VLAPIC_ACCESS_DONE)
        fail_msg("RDMSR %03x: %s", msr, access == VLAPIC_ACCESS_GP ? "#GP" : "not ours");
    return value;
}

void guest_wrmsr(struct vlapic_cpu *cpu, uint32_t msr, uint64_t value)
{
    enum vlapic_access access = vlapic_cpu_msr_write(cpu, msr, value);

    if (access != VLAPIC_ACCESS_DONE)
        fail_msg("WRMSR %03x := %llx: %s", msr, (unsigned long long)value,
                 access == VLAPIC_ACCESS_GP ? "#GP" : "not ours");
}

uint32_t guest_get(struct vlapic_cpu *cpu, uint32_t offset)
{
    if (in_x2apic(cpu))
        return (uint32_t)guest_rdmsr(cpu, VLAPIC_MSR_OF(offset));
    return guest_read(cpu, offset);
}

void guest_set(struct vlapic_cpu *cpu, uint32_t offset, uint32_t value)
{
    if (in_x2apic(cpu))
        guest_wrmsr(cpu, VLAPIC_MSR_OF(offset), value);
    else
        guest_write(cpu, offset, value);
}

void guest_rdmsr_faults(struct vlapic_cpu *cpu, uint32_t msr)
{
    const uint64_t untouched = 0x5AA55AA55AA55AA5ull;
    uint64_t value = untouched;
    enum vlapic_access access = vlapic_cpu_msr_read(cpu, msr, &value);

    if (access != VLAPIC_ACCESS_GP)
        fail_msg("RDMSR %03x: %s instead of #GP", msr, access == VLAPIC_ACCESS_DONE ? "done" : "not ours");
    assert_true(value == untouched);
}

void guest_wrmsr_faults(struct vlapic_cpu *cpu, uint32_t msr, uint64_t value)
{
    enum vlapic_access access = vlapic_cpu_msr_write(cpu, msr, value);

    if (access != VLAPIC_ACCESS_GP)
        fail_msg("WRMSR %03x := %llx: %s instead of #GP", msr, (unsigned long long)value,
                 access == VLAPIC_ACCESS_DONE ? "done" : "not ours");
}

void guest_enable_x2apic(struct vlapic_cpu *cpu)
{
    uint64_t base = vlapic_cpu_apic_base(cpu);

    if (!(base & VLAPIC_BASE_EN))
        guest_enable_xapic(cpu);
    guest_wrmsr(cpu, VLAPIC_MSR_APIC_BASE, base | VLAPIC_BASE_EN | VLAPIC_BASE_EXTD);
    assert_true(in_x2apic(cpu));
}

void guest_disable_apic(struct vlapic_cpu *cpu)
{
    guest_wrmsr(cpu, VLAPIC_MSR_APIC_BASE, vlapic_cpu_apic_base(cpu) & ~(VLAPIC_BASE_EN | VLAPIC_BASE_EXTD));
    assert_false(vlapic_cpu_apic_base(cpu) & (VLAPIC_BASE_EN | VLAPIC_BASE_EXTD));
}

void guest_enable_xapic(struct vlapic_cpu *cpu)
{
    guest_wrmsr(cpu, VLAPIC_MSR_APIC_BASE, vlapic_cpu_apic_base(cpu) | VLAPIC_BASE_EN);
    assert_true((vlapic_cpu_apic_base(cpu) & (VLAPIC_BASE_EN | VLAPIC_BASE_EXTD)) == VLAPIC_BASE_EN);
}

void guest_software_enable(struct vlapic_cpu *cpu)
{
    guest_set(cpu, VLAPIC_REG_SVR, 0x1FF);
}

bool guest_bit(struct vlapic_cpu *cpu, uint32_t base, uint8_t vector)
{
    return (guest_get(cpu, base + (uint32_t)(vector / 32) * 16) >> (vector % 32)) & 1;
}

int poll_vector(struct vlapic_cpu *cpu)
{
    struct vlapic_poll duty;

    memset(&duty, 0x5A, sizeof duty);
    vlapic_cpu_poll(cpu, &duty);
    assert_true(duty.vector == -1 || (duty.vector >= 16 && duty.vector <= 255));
    return duty.vector;
}

int take_vector(struct vlapic_cpu *cpu)
{
    int vector = poll_vector(cpu);

    if (vector >= 0)
        assert_true(vlapic_cpu_accept(cpu, (uint8_t)vector));
    return vector;
}

void guest_eoi(struct vlapic_cpu *cpu)
{
    guest_set(cpu, VLAPIC_REG_EOI, 0);
}

uint32_t guest_esr(struct vlapic_cpu *cpu)
{
    guest_set(cpu, VLAPIC_REG_ESR, 0);
    return guest_get(cpu, VLAPIC_REG_ESR);
}

void guest_icr(struct vlapic_cpu *cpu, uint32_t high, uint32_t low)
{
    if (in_x2apic(cpu)) {
        guest_wrmsr(cpu, VLAPIC_MSR_OF(VLAPIC_REG_ICR_LOW), (uint64_t)high << 32 | low);
    } else {
        guest_write(cpu, VLAPIC_REG_ICR_HIGH, high);
        guest_write(cpu, VLAPIC_REG_ICR_LOW, low);
    }
}
