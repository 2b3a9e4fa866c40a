/* SPDX-License-Identifier: BSD-2-Clause */
#include "apicv_machine.h"

#include <string.h>

/* ---- what the model asks for ---- */

static uint8_t *memory(void *context, uint64_t physical_address, size_t bytes)
{
    struct machine *m = context;
    uint64_t end = MEMORY_BASE + sizeof m->memory;

    if (physical_address < MEMORY_BASE || physical_address >= end || bytes > end - physical_address)
        return NULL;
    return m->memory + (physical_address - MEMORY_BASE);
}

static bool translate(void *context, uint64_t guest_physical, uint64_t *physical, bool *large)
{
    const struct machine *m = context;

    if (guest_physical >> 12 != APIC_GPA >> 12) {
        *physical = guest_physical;
        return true;
    }
    *physical = FRAME_PA | (guest_physical & 0xFFF);
    *large = m->large;
    return !m->unmapped;
}

static void send_ipi(void *context, uint32_t destination, uint8_t vector)
{
    struct machine *m = context;

    m->ipis++;
    m->ipi_destination = destination;
    m->ipi_vector = vector;
}

static void trace(void *context, const struct apicv_trace *event)
{
    struct machine *m = context;

    m->trace[m->traced++ % 16] = *event;
}

/* ---- setting up ---- */

static void put_where_it_exists(struct apicv_cpu *cpu, uint32_t encoding, uint64_t value)
{
    enum apicv_vm_status status = apicv_vmwrite(cpu, encoding, value);

    assert_true(status == APICV_VM_OK || status == APICV_VM_UNSUPPORTED);
}

void machine_start(struct machine *m, struct apicv_caps caps)
{
    memset(m, 0, sizeof *m);
    m->host.context = m;
    m->host.memory = memory;
    m->host.translate = translate;
    m->host.send_ipi = send_ipi;
    m->host.trace = trace;
    memset(machine_at(m, BITMAP_PA), 0xFF, 4096);
    for (unsigned i = 0; i < CPUS; i++) {
        apicv_cpu_init(&m->cpu[i], caps, &m->host);
        apicv_vmcs_init(&m->vmcs[i]);
        assert_true(apicv_vmptrld(&m->cpu[i], &m->vmcs[i]));
        put_where_it_exists(&m->cpu[i], APICV_VIRTUAL_APIC_ADDRESS, PAGE_PA(i));
        put_where_it_exists(&m->cpu[i], APICV_APIC_ACCESS_ADDRESS, FRAME_PA);
        put_where_it_exists(&m->cpu[i], APICV_MSR_BITMAP, BITMAP_PA);
        put_where_it_exists(&m->cpu[i], APICV_DESCRIPTOR_ADDRESS, DESCRIPTOR_PA(i));
        put_where_it_exists(&m->cpu[i], APICV_NOTIFICATION_VECTOR, NOTIFICATION);
        put_where_it_exists(&m->cpu[i], APICV_PID_TABLE_ADDRESS, TABLE_PA);
        machine_controls(m, i, (struct controls){ 0 });
    }
}

static uint32_t must_be_1(const struct apicv_caps *caps, uint32_t true_msr, uint32_t msr)
{
    uint64_t value = 0;

    if (!apicv_capability_msr(caps, true_msr, &value))
        assert_true(apicv_capability_msr(caps, msr, &value));
    return (uint32_t)value;
}

void machine_controls(struct machine *m, unsigned cpu, struct controls controls)
{
    struct apicv_cpu *c = &m->cpu[cpu];

    controls.pin |= must_be_1(&c->caps, APICV_MSR_TRUE_PINBASED, APICV_MSR_PINBASED);
    controls.primary |= must_be_1(&c->caps, APICV_MSR_TRUE_PROCBASED, APICV_MSR_PROCBASED);
    controls.exit |= must_be_1(&c->caps, APICV_MSR_TRUE_EXIT, APICV_MSR_EXIT);
    if (controls.secondary)
        controls.primary |= APICV_PRIMARY_SECONDARY;
    if (controls.tertiary)
        controls.primary |= APICV_PRIMARY_TERTIARY;
    vmcs_put(c, APICV_PIN_CONTROLS, controls.pin);
    vmcs_put(c, APICV_PRIMARY_CONTROLS, controls.primary);
    vmcs_put(c, APICV_EXIT_CONTROLS, controls.exit);
    vmcs_put(c, APICV_ENTRY_CONTROLS, must_be_1(&c->caps, APICV_MSR_TRUE_ENTRY, APICV_MSR_ENTRY));
    put_where_it_exists(c, APICV_SECONDARY_CONTROLS, controls.secondary);
    put_where_it_exists(c, APICV_TERTIARY_CONTROLS, controls.tertiary);
}

struct apicv_cpu *machine_enter(struct machine *m, struct apicv_caps caps, struct controls controls)
{
    machine_start(m, caps);
    machine_controls(m, 0, controls);
    vmcs_put(&m->cpu[0], APICV_GUEST_RFLAGS, APICV_RFLAGS_FIXED | APICV_RFLAGS_IF);
    is_nothing(apicv_enter(&m->cpu[0]));
    return &m->cpu[0];
}

/* ---- memory and fields ---- */

uint8_t *machine_at(struct machine *m, uint64_t physical_address)
{
    return m->memory + (physical_address - MEMORY_BASE);
}

uint32_t page_get(struct machine *m, unsigned cpu, uint32_t offset)
{
    uint32_t value;

    memcpy(&value, machine_at(m, PAGE_PA(cpu) + offset), 4);
    return value;
}

void page_put(struct machine *m, unsigned cpu, uint32_t offset, uint32_t value)
{
    memcpy(machine_at(m, PAGE_PA(cpu) + offset), &value, 4);
}

bool page_has(struct machine *m, unsigned cpu, uint32_t base, uint8_t vector)
{
    return page_get(m, cpu, base + 0x10u * (vector / 32u)) >> vector % 32 & 1;
}

void page_add(struct machine *m, unsigned cpu, uint32_t base, uint8_t vector)
{
    uint32_t offset = base + 0x10u * (vector / 32u);

    page_put(m, cpu, offset, page_get(m, cpu, offset) | 1u << vector % 32);
}

uint64_t vmcs_get(struct apicv_cpu *cpu, uint32_t encoding)
{
    uint64_t value = 0;

    assert_int_equal(apicv_vmread(cpu, encoding, &value), APICV_VM_OK);
    return value;
}

void vmcs_put(struct apicv_cpu *cpu, uint32_t encoding, uint64_t value)
{
    assert_int_equal(apicv_vmwrite(cpu, encoding, value), APICV_VM_OK);
}

void descriptor_post(struct machine *m, unsigned cpu, uint8_t vector)
{
    uint64_t *words = (uint64_t *)(void *)machine_at(m, DESCRIPTOR_PA(cpu));

    (void)__atomic_fetch_or(&words[vector / 64], 1ull << vector % 64, __ATOMIC_SEQ_CST);
    (void)__atomic_fetch_or(&words[4], 1, __ATOMIC_SEQ_CST);
}

bool descriptor_has(struct machine *m, unsigned cpu, uint8_t vector)
{
    return machine_at(m, DESCRIPTOR_PA(cpu))[vector / 8] >> vector % 8 & 1;
}

uint64_t *descriptor_control(struct machine *m, unsigned cpu)
{
    return (uint64_t *)(void *)machine_at(m, DESCRIPTOR_PA(cpu) + 32);
}

/* The bitmap's four parts: reads of low and high MSRs, writes of low and high ones. */
void pass_msr(struct machine *m, uint32_t msr, bool read, bool write)
{
    uint8_t *part = machine_at(m, BITMAP_PA + (msr >= 0xC0000000 ? 0x400 : 0)) + (msr & 0x1FFF) / 8;
    uint8_t bit = (uint8_t)(1u << msr % 8);

    if (read)
        part[0] &= (uint8_t)~bit;
    if (write)
        part[0x800] &= (uint8_t)~bit;
}

/* ---- claims ---- */

void is_done(struct apicv_result result)
{
    assert_int_equal(result.outcome, APICV_DONE);
}

void is_gp(struct apicv_result result)
{
    assert_int_equal(result.outcome, APICV_GP);
}

void is_exit(struct apicv_cpu *cpu, struct apicv_result result, uint32_t reason, uint64_t qualification)
{
    assert_int_equal(result.outcome, APICV_EXIT);
    assert_int_equal(result.exit.reason, reason);
    assert_int_equal(result.exit.qualification, qualification);
    assert_false(cpu->in_guest);
    assert_int_equal(vmcs_get(cpu, APICV_EXIT_REASON), reason);
    assert_int_equal(vmcs_get(cpu, APICV_EXIT_QUALIFICATION), qualification);
}

void is_delivered(struct apicv_result result, uint8_t vector)
{
    is_done(result);
    assert_true(result.delivered);
    assert_int_equal(result.vector, vector);
    assert_int_equal(result.type, APICV_EVENT_EXTERNAL);
}

void is_nothing(struct apicv_result result)
{
    is_done(result);
    assert_false(result.delivered);
}
