/* SPDX-License-Identifier: BSD-2-Clause */
/* The VM, its clocks, and the embedder's part that all backends share. */
#include "side.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE 4096u
#define MAX_PAGES 4

void side_fail(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\n");
    abort();
}

void side_log(struct side_log *log, enum side_event_kind kind, uint64_t value)
{
    if (log->count < SIDE_LOG) {
        log->event[log->count] = (struct side_event){ .kind = kind, .value = value };
    }
    log->count++;
}

/* ---- the host ---- */

static uint64_t now_ns(void *cookie)
{
    return ((struct side_cpu *)cookie)->side->now_ns;
}

static uint64_t now_tsc(void *cookie)
{
    return 2 * ((struct side_cpu *)cookie)->side->now_ns;
}

static void arm(struct side_cpu *cpu, bool ns, uint64_t deadline)
{
    cpu->armed_ns = ns;
    cpu->armed_tsc = !ns;
    cpu->deadline = deadline;
}

static void arm_ns(void *cookie, uint64_t deadline)
{
    arm(cookie, true, deadline);
}

static void arm_tsc(void *cookie, uint64_t deadline)
{
    arm(cookie, false, deadline);
}

static void cancel(void *cookie)
{
    struct side_cpu *cpu = cookie;

    cpu->armed_ns = false;
    cpu->armed_tsc = false;
}

static void kick(void *cookie)
{
    struct side_cpu *cpu = cookie;

    cpu->kicked = true;
    cpu->side->kind->kick(cpu);
}

static void eoi_broadcast(void *cookie, uint8_t vector)
{
    struct side *side = cookie;

    side_log(&side->log, SIDE_BROADCAST, vector);
    if (side->resends && vector == side->level_message.vector) {
        vlapic_vm_deliver(side->vm, &side->level_message);
    }
}

static void eoi_notify(void *cookie, uint8_t vector, bool level)
{
    struct side_cpu *cpu = cookie;

    if ((cpu->side->watch.word[vector / 64] >> (vector % 64) & 1) != 0) {
        side_log(&cpu->log, SIDE_NOTIFY, (uint64_t)level << 8 | vector);
    }
}

static void base_changed(void *cookie, uint64_t from, uint64_t to)
{
    (void)from;
    side_log(&((struct side_cpu *)cookie)->log, SIDE_BASE, to);
}

/* ---- life ---- */

void side_prepare(struct side *side, const struct side_kind *kind)
{
    *side = (struct side){ .kind = kind, .count = 2, .id = { 0, 1, 5 } };
    side->host = (struct vlapic_host_ops){
        .size = sizeof side->host,
        .abi = VLAPIC_HOST_ABI,
        .now_ns = now_ns,
        .timer_arm_ns = arm_ns,
        .timer_cancel = cancel,
        .kick = kick,
        .eoi_broadcast = eoi_broadcast,
        .base_changed = base_changed,
        .now_tsc = now_tsc,
        .timer_arm_tsc = arm_tsc,
    };
    if (vlapic_vm_config_defaults(&side->config, sizeof side->config, VLAPIC_VENDOR_INTEL) != VLAPIC_OK) {
        side_fail("defaults");
    }
    side->config.cookie = side;
    side->config.host = &side->host;
    side->config.max_apic_id = SIDE_MAX_ID;
    side->config.tsc_deadline = true;
}

static void *block(struct side *side, unsigned number, size_t bytes)
{
    free(side->memory[number]);
    side->memory[number] = aligned_alloc(PAGE, (bytes + PAGE - 1) / PAGE * PAGE);
    if (side->memory[number] == NULL) {
        side_fail("no memory");
    }
    memset(side->memory[number], 0xA5, bytes);
    return side->memory[number];
}

static void make_cpu(struct side *side, unsigned index)
{
    struct side_cpu *cpu = &side->cpu[index];
    struct vlapic_page pages[MAX_PAGES];
    struct vlapic_layout layout;
    struct vlapic_cpu_config config = {
        .size = sizeof config, .apic_id = side->id[index], .bsp = index == 0, .cookie = cpu, .pages = pages
    };

    *cpu = (struct side_cpu){ .side = side, .index = index };
    if (vlapic_cpu_layout(&side->config, &layout) != VLAPIC_OK || layout.pages > MAX_PAGES) {
        side_fail("layout");
    }
    if (layout.pages != 0) {
        side->kind->pages(cpu, pages, layout.pages);
    }
    if (vlapic_cpu_create(block(side, 1 + index, layout.bytes), layout.bytes, side->vm, &config, &cpu->cpu) !=
            VLAPIC_OK ||
        vlapic_cpu_attach(cpu->cpu) != VLAPIC_OK) {
        side_fail("vCPU %u", index);
    }
    side->kind->start(cpu);
}

void side_start(struct side *side)
{
    struct vlapic_layout layout;
    bool watches = (side->watch.word[0] | side->watch.word[1] | side->watch.word[2] | side->watch.word[3]) != 0;

    side->host.eoi_notify = watches ? eoi_notify : NULL;
    side->kind->prepare(side);
    if (vlapic_vm_layout(&side->config, &layout) != VLAPIC_OK ||
        vlapic_vm_create(block(side, 0, layout.bytes), layout.bytes, &side->config, &side->vm) != VLAPIC_OK) {
        side_fail("VM of %s", side->kind->name);
    }
    for (unsigned i = 0; i < side->count; i++) {
        make_cpu(side, i);
    }
    side_settle(side);
}

void side_end(struct side *side)
{
    for (unsigned i = 0; i < side->count; i++) {
        side->kind->leave(&side->cpu[i]);
        side->kind->end(&side->cpu[i]);
        vlapic_cpu_destroy(side->cpu[i].cpu);
    }
    for (unsigned i = 0; i < 1 + SIDE_CPUS; i++) {
        free(side->memory[i]);
        side->memory[i] = NULL;
    }
}

/* ---- the embedder's run loop, as far as it is the same for all ---- */

static void take_init(struct side_cpu *cpu)
{
    side_log(&cpu->log, SIDE_INIT, 0);
    cpu->interrupts = false;
    cpu->halted = false;
    cpu->nmi = false;
    cpu->extint_message = false;
    vlapic_cpu_take_init(cpu->cpu);
}

void side_poll(struct side_cpu *cpu, struct vlapic_poll *duty)
{
    cpu->kicked = false;
    vlapic_cpu_poll(cpu->cpu, duty);
    while (duty->init) {
        take_init(cpu);
        vlapic_cpu_poll(cpu->cpu, duty);
    }
    if (duty->sipi) {
        side_log(&cpu->log, SIDE_SIPI, duty->sipi_vector);
    }
    if (duty->smi) {
        side_log(&cpu->log, SIDE_SMI, 0);
    }
    cpu->nmi = cpu->nmi || duty->nmi;
    cpu->extint_message = cpu->extint_message || duty->extint_message;
    cpu->extint = duty->extint;
    cpu->waits_for_sipi = duty->wait_for_sipi;
}

static unsigned news(const struct side *side)
{
    unsigned count = side->log.count;

    for (unsigned i = 0; i < side->count; i++) {
        count += side->cpu[i].log.count;
    }
    return count;
}

/* What one vCPU takes may concern another: an EOI that an I/O APIC answers. */
void side_settle(struct side *side)
{
    unsigned before;

    do {
        before = news(side);
        for (unsigned i = 0; i < side->count; i++) {
            side->kind->settle(&side->cpu[i]);
        }
    } while (news(side) != before);
}

bool side_can_execute(const struct side *side, unsigned cpu)
{
    return !side->cpu[cpu].halted && !side->cpu[cpu].waits_for_sipi;
}

/* ---- the guest ---- */

enum vlapic_access side_do(struct side *side, unsigned cpu, struct side_access *access)
{
    enum vlapic_access result = VLAPIC_ACCESS_DONE;

    if (side_can_execute(side, cpu)) {
        result = side->kind->access(&side->cpu[cpu], access);
        side_settle(side);
    }
    return result;
}

static bool in_x2apic(const struct side *side, unsigned cpu)
{
    return (vlapic_cpu_apic_base(side->cpu[cpu].cpu) & VLAPIC_BASE_EXTD) != 0;
}

uint32_t side_read(struct side *side, unsigned cpu, uint32_t offset)
{
    struct side_access access = { .kind = SIDE_MMIO_READ, .where = offset, .length = 4 };

    if (in_x2apic(side, cpu)) {
        access.kind = SIDE_RDMSR;
        access.where = VLAPIC_MSR_OF(offset);
    }
    (void)side_do(side, cpu, &access);
    return (uint32_t)access.value;
}

enum vlapic_access side_write(struct side *side, unsigned cpu, uint32_t offset, uint64_t value)
{
    struct side_access access = { .kind = SIDE_MMIO_WRITE, .where = offset, .length = 4, .value = value };

    if (in_x2apic(side, cpu)) {
        access.kind = SIDE_WRMSR;
        access.where = VLAPIC_MSR_OF(offset);
    }
    return side_do(side, cpu, &access);
}

enum vlapic_access side_wrmsr(struct side *side, unsigned cpu, uint32_t msr, uint64_t value)
{
    struct side_access access = { .kind = SIDE_WRMSR, .where = msr, .value = value };

    return side_do(side, cpu, &access);
}

void side_interrupts(struct side *side, unsigned cpu, bool on)
{
    if (side_can_execute(side, cpu)) {
        side->kind->set_interrupts(&side->cpu[cpu], on);
        side_settle(side);
    }
}

void side_halt(struct side *side, unsigned cpu)
{
    if (side_can_execute(side, cpu)) {
        side->kind->halt(&side->cpu[cpu]);
        side_settle(side);
    }
}

static void ring(struct side_cpu *cpu)
{
    uint64_t now = cpu->armed_ns ? cpu->side->now_ns : 2 * cpu->side->now_ns;

    if ((cpu->armed_ns || cpu->armed_tsc) && now >= cpu->deadline) {
        cancel(cpu);
        vlapic_cpu_timer_expired(cpu->cpu);
    }
}

void side_pass(struct side *side, uint64_t ns)
{
    side->now_ns += ns;
    for (unsigned i = 0; i < side->count; i++) {
        ring(&side->cpu[i]);
    }
    side_settle(side);
}
