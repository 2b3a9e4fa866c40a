/* SPDX-License-Identifier: BSD-2-Clause */
/* The sequence that both sides are put through, and the comparison. */
#include "compare.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vlapic/vmx.h>

#include "pick.h"
#include "side_svm.h"

#define MIN_STEPS 16
#define MAX_STEPS 160

struct run {
    struct fuzz_input in;
    struct side soft, hard;
    uint32_t differences;
    unsigned step;
    bool tracing;
    bool inhibited;
};

static const uint8_t *the_bytes;
static size_t the_size;
static const struct side_kind *the_kind;
static uint32_t the_features;

static void run_bytes(struct run *r, bool tracing);

#define SAY(r, ...)                                                                                                    \
    do {                                                                                                               \
        if ((r)->tracing) {                                                                                            \
            fprintf(stderr, __VA_ARGS__);                                                                              \
        }                                                                                                              \
    } while (0)

/* The first time, the sequence is run again aloud. */
static _Noreturn void differ(const struct run *r, unsigned cpu, const char *what, uint64_t soft, uint64_t hard)
{
    static struct run again;

    if (!r->tracing) {
        run_bytes(&again, true);
    }
    side_fail("step %u, vCPU %u: %s: %llx with soft, %llx with %s (features %02x)", r->step, cpu, what,
              (unsigned long long)soft, (unsigned long long)hard, the_kind->name, the_features);
}

static void same(const struct run *r, unsigned cpu, const char *what, uint64_t soft, uint64_t hard)
{
    if (soft != hard) {
        differ(r, cpu, what, soft, hard);
    }
}

uint32_t compare_differences(const struct side_kind *kind, uint32_t features)
{
    uint32_t differences = 0;

    if (kind == &side_vmx && (features & VLAPIC_VMX_APIC_ACCESS) != 0) {
        differences |= COMPARE_NARROW_WRITES;
    }
    if (kind == &side_vmx && (features & VLAPIC_VMX_DELIVERY) != 0) {
        differences |= COMPARE_EDGE_AFTER_LEVEL;
    }
    if (kind == &side_svm && (features & (VLAPIC_SVM_AVIC | VLAPIC_SVM_X2AVIC)) != 0) {
        differences |= COMPARE_EDGE_AFTER_LEVEL | COMPARE_WHOLE_REGISTERS | COMPARE_RESERVED_BITS;
    }
    return differences;
}

/* ---- comparing ------------------------------------------------------------------------------------------------------------ */

static void compare_logs(struct run *r, unsigned cpu, struct side_log *soft, struct side_log *hard)
{
    unsigned count = soft->count < hard->count ? soft->count : hard->count;

    for (unsigned i = 0; i < count && i < SIDE_LOG; i++) {
        same(r, cpu, "kind of event", soft->event[i].kind, hard->event[i].kind);
        same(r, cpu, "event", soft->event[i].value, hard->event[i].value);
    }
    if (r->tracing) {
        for (unsigned i = 0; i < soft->count && i < SIDE_LOG; i++) {
            SAY(r, "    event %d: %llx\n", (int)soft->event[i].kind, (unsigned long long)soft->event[i].value);
        }
    }
    same(r, cpu, "number of events", soft->count, hard->count);
    soft->count = 0;
    hard->count = 0;
}

static void compare_what_is_seen(struct run *r)
{
    compare_logs(r, SIDE_CPUS, &r->soft.log, &r->hard.log);
    for (unsigned i = 0; i < r->soft.count; i++) {
        const struct side_cpu *x = &r->soft.cpu[i], *y = &r->hard.cpu[i];

        compare_logs(r, i, &r->soft.cpu[i].log, &r->hard.cpu[i].log);
        same(r, i, "IF", x->interrupts, y->interrupts);
        same(r, i, "halted", x->halted, y->halted);
        same(r, i, "waits for SIPI", x->waits_for_sipi, y->waits_for_sipi);
        same(r, i, "pending NMI", x->nmi, y->nmi);
        same(r, i, "pending ExtINT message", x->extint_message, y->extint_message);
        same(r, i, "host timer", x->armed_ns * 2u + x->armed_tsc, y->armed_ns * 2u + y->armed_tsc);
    }
}

static void get_state(struct run *r, struct side *side, unsigned cpu, struct vlapic_cpu_state *state)
{
    memset(state, 0, sizeof *state);
    side->kind->leave(&side->cpu[cpu]);
    same(r, cpu, "get_state", VLAPIC_OK, (uint64_t)vlapic_cpu_get_state(side->cpu[cpu].cpu, state, sizeof *state));
}

static void compare_vectors(struct run *r, unsigned cpu, const char *what, const uint32_t x[8], const uint32_t y[8])
{
    for (unsigned w = 0; w < 8; w++) {
        same(r, cpu, what, x[w], y[w]);
    }
}

static void compare_state(struct run *r, unsigned cpu)
{
    struct vlapic_cpu_state x, y;

    get_state(r, &r->soft, cpu, &x);
    get_state(r, &r->hard, cpu, &y);
    same(r, cpu, "apic_base", x.apic_base, y.apic_base);
    same(r, cpu, "xapic_id", x.xapic_id, y.xapic_id);
    same(r, cpu, "tpr", x.tpr, y.tpr);
    same(r, cpu, "ldr", x.ldr, y.ldr);
    same(r, cpu, "dfr", x.dfr, y.dfr);
    same(r, cpu, "svr", x.svr, y.svr);
    same(r, cpu, "esr", x.esr, y.esr);
    same(r, cpu, "esr_pending", x.esr_pending, y.esr_pending);
    same(r, cpu, "icr", x.icr, y.icr);
    for (unsigned i = 0; i < VLAPIC_LVT_COUNT; i++) {
        same(r, cpu, "lvt", x.lvt[i], y.lvt[i]);
    }
    compare_vectors(r, cpu, "isr", x.isr, y.isr);
    compare_vectors(r, cpu, "tmr", x.tmr, y.tmr);
    compare_vectors(r, cpu, "irr", x.irr, y.irr);
    /* All the rest: what is named above tells more. */
    same(r, cpu, "state", 0, (uint64_t)(memcmp(&x, &y, sizeof x) != 0));
}

/* ---- what is done --------------------------------------------------------------------------------------------------------- */

static void do_both(struct run *r, unsigned cpu, struct side_access access)
{
    struct side_access other = access;
    enum vlapic_access x, y;

    SAY(r, "  access %d of %x, %u bytes, %llx\n", (int)access.kind, access.where, access.length,
        (unsigned long long)access.value);
    x = side_do(&r->soft, cpu, &access);
    y = side_do(&r->hard, cpu, &other);
    same(r, cpu, "result of an access", (uint64_t)x, (uint64_t)y);
    if (x == VLAPIC_ACCESS_DONE) {
        same(r, cpu, "value of an access", access.value, other.value);
    }
}

static bool in_x2apic(const struct run *r, unsigned cpu)
{
    return (vlapic_cpu_apic_base(r->soft.cpu[cpu].cpu) & VLAPIC_BASE_EXTD) != 0;
}

/* Of those that every VM has. */
static bool is_register(uint32_t offset)
{
    switch (offset) {
    case VLAPIC_REG_ID:
    case VLAPIC_REG_VERSION:
    case VLAPIC_REG_TPR:
    case VLAPIC_REG_APR:
    case VLAPIC_REG_PPR:
    case VLAPIC_REG_EOI:
    case VLAPIC_REG_RRD:
    case VLAPIC_REG_LDR:
    case VLAPIC_REG_DFR:
    case VLAPIC_REG_SVR:
    case VLAPIC_REG_DIVIDE_CONFIG:
        return true;
    default:
        return (offset >= VLAPIC_REG_ISR && offset <= VLAPIC_REG_ESR) ||
               (offset >= VLAPIC_REG_ICR_LOW && offset <= VLAPIC_REG_CURRENT_COUNT);
    }
}

static uint32_t known_bits(uint32_t offset)
{
    switch (offset) {
    case VLAPIC_REG_TPR:
        return 0xFF;
    case VLAPIC_REG_EOI:
        return 0;
    case VLAPIC_REG_ICR_HIGH:
        return 0xFF000000u;
    case VLAPIC_REG_ICR_LOW:
        return 0x000CCFFFu;
    default:
        return UINT32_MAX;
    }
}

static void mmio(struct run *r, unsigned cpu, bool write, uint32_t offset, uint32_t length, uint64_t value)
{
    struct side_access a = {
        .kind = write ? SIDE_MMIO_WRITE : SIDE_MMIO_READ, .where = offset, .length = length, .value = write ? value : 0
    };

    if (write && length < 4 && (r->differences & COMPARE_NARROW_WRITES) != 0 && !r->soft.config.narrow_write_merge) {
        return;
    }
    if ((r->differences & COMPARE_WHOLE_REGISTERS) != 0 &&
        (length != 4 || (offset & 15) != 0 || !is_register(offset) || (!write && offset == VLAPIC_REG_EOI))) {
        return;
    }
    if ((r->differences & COMPARE_RESERVED_BITS) != 0) {
        a.value &= known_bits(offset);
    }
    do_both(r, cpu, a);
}

static void msr(struct run *r, unsigned cpu, bool write, uint32_t number, uint64_t value)
{
    if ((r->differences & COMPARE_RESERVED_BITS) != 0 && in_x2apic(r, cpu)) {
        value &= number == 0x830                      ? 0xFFFFFFFF000CCFFFull
                 : number == 0x808 || number == 0x80B ? known_bits((number & 0xFF) << 4)
                                                      : UINT64_MAX;
    }
    do_both(
        r, cpu,
        (struct side_access){ .kind = write ? SIDE_WRMSR : SIDE_RDMSR, .where = number, .value = write ? value : 0 });
}

static void door_write(struct run *r, unsigned cpu, uint32_t offset, uint32_t value)
{
    if (in_x2apic(r, cpu)) {
        msr(r, cpu, true, VLAPIC_MSR_OF(offset), value);
    } else {
        mmio(r, cpu, true, offset, 4, value);
    }
}

/* Where hardware leaves TMR alone, an IPI has an even vector, and what is level triggered an odd one. */
static uint8_t ipi_vector(struct run *r)
{
    uint8_t vector = pick_vector(&r->in);

    return (r->differences & COMPARE_EDGE_AFTER_LEVEL) != 0 ? vector & 0xFE : vector;
}

/* Edges of devices come with every vector, also with those that were level triggered before. */
static uint8_t vector_of(struct run *r, bool level)
{
    uint8_t vector = pick_vector(&r->in);

    return level && (r->differences & COMPARE_EDGE_AFTER_LEVEL) != 0 ? vector | 1 : vector;
}

typedef void (*operation)(struct run *r, unsigned cpu);

static void op_write(struct run *r, unsigned cpu)
{
    uint32_t offset = (uint32_t)(fuzz_u8(&r->in) % 0x40) << 4;
    uint32_t value = pick_word(&r->in);

    if (offset == VLAPIC_REG_ICR_LOW || offset == VLAPIC_REG_SELF_IPI || (offset >= 0x320 && offset <= 0x370)) {
        value = (value & ~0xFFu) | ipi_vector(r);
    }
    if (offset == VLAPIC_REG_LVT_LINT0 || offset == VLAPIC_REG_ICR_LOW) {
        value &= ~VLAPIC_LVT_LEVEL; /* elsewhere */
    }
    door_write(r, cpu, offset, value);
}

static void op_read(struct run *r, unsigned cpu)
{
    uint32_t offset = (uint32_t)(fuzz_u8(&r->in) % 0x40) << 4;

    if (in_x2apic(r, cpu)) {
        msr(r, cpu, false, VLAPIC_MSR_OF(offset), 0);
    } else {
        mmio(r, cpu, false, offset, 4, 0);
    }
}

static void op_odd_mmio(struct run *r, unsigned cpu)
{
    static const uint8_t lengths[] = { 1, 2, 4, 8 };
    uint8_t byte = fuzz_u8(&r->in);
    uint32_t length = lengths[byte & 3];
    uint32_t offset = (uint32_t)(fuzz_u8(&r->in) % 0x40) << 4 | (byte >> 4);

    /* The vector of a merged write is nobody's choice. */
    if ((byte & 4) != 0 && ((offset & 0xFF0u) == VLAPIC_REG_ICR_LOW || (offset & 0xFF0u) == VLAPIC_REG_LVT_LINT0)) {
        return;
    }
    mmio(r, cpu, (byte & 4) != 0, offset, length, pick_word(&r->in));
}

static void op_msr(struct run *r, unsigned cpu)
{
    uint8_t byte = fuzz_u8(&r->in);
    uint32_t number = 0x800u + (fuzz_u8(&r->in) & 0x3F);
    uint64_t value = pick_word(&r->in);

    if ((byte & 6) == 6) {
        value |= (uint64_t)pick_word(&r->in) << 32;
    }
    if ((byte & 1) != 0 && (r->differences & COMPARE_EDGE_AFTER_LEVEL) != 0) {
        value &= ~1ull; /* of a vector */
        value &= ~(uint64_t)VLAPIC_ICR_LEVEL;
    }
    msr(r, cpu, (byte & 1) != 0, number, value);
}

static void op_cr8(struct run *r, unsigned cpu)
{
    uint8_t byte = fuzz_u8(&r->in);
    uint64_t value = byte < 0xF0 ? byte & 15u : 1ull << (fuzz_u8(&r->in) & 63);

    do_both(r, cpu, (struct side_access){ .kind = SIDE_WRITE_CR8, .value = value });
    do_both(r, cpu, (struct side_access){ .kind = SIDE_READ_CR8 });
}

static void op_tpr(struct run *r, unsigned cpu)
{
    uint8_t byte = fuzz_u8(&r->in);

    door_write(r, cpu, VLAPIC_REG_TPR, byte < 0x80 ? (byte & 3u) << 4 : byte);
}

static void op_eoi(struct run *r, unsigned cpu)
{
    door_write(r, cpu, VLAPIC_REG_EOI, 0);
}

static uint32_t destination(struct run *r)
{
    uint8_t byte = fuzz_u8(&r->in);
    uint32_t id = r->soft.id[(byte >> 2) % r->soft.count];

    switch (byte & 3) {
    case 0:
        return (byte & 0x80) != 0 ? 0xFFFFFFFF : 0xFF;
    case 1:
        return (id >> 4) << 16 | 1u << (id & 15);
    default:
        return id;
    }
}

/* Fixed most of the time, with every shorthand; now and then the rest. */
static void op_icr(struct run *r, unsigned cpu)
{
    uint16_t bits = fuzz_u16(&r->in);
    bool level = (bits & 0x70) == 0x70;
    uint32_t low = (level ? vector_of(r, true) : ipi_vector(r)) | (level ? VLAPIC_ICR_LEVEL | VLAPIC_ICR_ASSERT : 0);
    uint32_t to = destination(r);

    low |= (bits & 3u) << 18 | ((bits & 0xC) == 0xC ? VLAPIC_ICR_LOGICAL : 0) | (bits & 0x100 ? VLAPIC_ICR_ASSERT : 0);
    if (bits >> 12 == 0xF) {
        low |= (bits >> 9 & 7u) << 8;
    }
    if (in_x2apic(r, cpu)) {
        msr(r, cpu, true, VLAPIC_MSR_OF(VLAPIC_REG_ICR_LOW), (uint64_t)to << 32 | low);
        return;
    }
    mmio(r, cpu, true, VLAPIC_REG_ICR_HIGH, 4, to << 24);
    mmio(r, cpu, true, VLAPIC_REG_ICR_LOW, 4, low);
}

static void op_self_ipi(struct run *r, unsigned cpu)
{
    uint8_t vector = ipi_vector(r);

    if (in_x2apic(r, cpu)) {
        msr(r, cpu, true, VLAPIC_MSR_OF(VLAPIC_REG_SELF_IPI), vector);
    } else {
        mmio(r, cpu, true, VLAPIC_REG_ICR_LOW, 4, 1u << 18 | vector);
    }
}

static void op_svr(struct run *r, unsigned cpu)
{
    uint8_t how = fuzz_u8(&r->in);

    door_write(r, cpu, VLAPIC_REG_SVR,
               0xF0u | (how & 15) | ((how & 0x30) != 0 ? VLAPIC_SVR_ENABLE : 0) |
                   ((how & 0x40) != 0 && r->soft.config.eoi_suppression ? VLAPIC_SVR_EOI_SUPPRESS : 0));
}

static void op_lint0(struct run *r, unsigned cpu)
{
    uint8_t how = fuzz_u8(&r->in);
    bool level = (how & 1) != 0;

    door_write(r, cpu, VLAPIC_REG_LVT_LINT0,
               vector_of(r, level) | (level ? VLAPIC_LVT_LEVEL : 0) | ((how & 6) == 6 ? 7u << 8 : 0) |
                   ((how & 0x18) == 0x18 ? VLAPIC_LVT_MASKED : 0));
}

static void op_timer(struct run *r, unsigned cpu)
{
    static const uint32_t counts[] = { 1, 7, 100, 1000, 65536, 0 };
    uint8_t how = fuzz_u8(&r->in);

    door_write(r, cpu, VLAPIC_REG_LVT_TIMER, (how & 3u) << 17 | ipi_vector(r));
    if ((how & 3) == 2) {
        msr(r, cpu, true, VLAPIC_MSR_TSC_DEADLINE, 2 * r->soft.now_ns + counts[(how >> 2) % 5]);
        return;
    }
    door_write(r, cpu, VLAPIC_REG_DIVIDE_CONFIG, (how & 4) != 0 ? 0xB : 0);
    door_write(r, cpu, VLAPIC_REG_INITIAL_COUNT, counts[(how >> 3) % 6]);
}

/* Modes, one step at a time or a jump; places of the window. */
static void op_base(struct run *r, unsigned cpu)
{
    uint8_t byte = fuzz_u8(&r->in);
    uint64_t base = vlapic_cpu_apic_base(r->soft.cpu[cpu].cpu) & ~(VLAPIC_BASE_EN | VLAPIC_BASE_EXTD);

    base |= (uint64_t)(byte & 3) << 10;
    if ((byte & 0x3C) == 0x3C) {
        base ^= 0x5000;
    }
    msr(r, cpu, true, VLAPIC_MSR_APIC_BASE, base);
}

static void op_start(struct run *r, unsigned cpu)
{
    door_write(r, cpu, VLAPIC_REG_SVR, 0x1FF);
    door_write(r, cpu, VLAPIC_REG_LVT_ERROR, 0xFE);
    door_write(r, cpu, VLAPIC_REG_TPR, 0);
    if (!in_x2apic(r, cpu)) {
        door_write(r, cpu, VLAPIC_REG_LDR, 1u << (24 + cpu));
    }
}

static void op_interrupts(struct run *r, unsigned cpu)
{
    bool on = (fuzz_u8(&r->in) & 3) != 0;

    SAY(r, "  %s\n", on ? "sti" : "cli");
    side_interrupts(&r->soft, cpu, on);
    side_interrupts(&r->hard, cpu, on);
}

/* What a handler does at its end. */
static void op_return(struct run *r, unsigned cpu)
{
    op_eoi(r, cpu);
    side_interrupts(&r->soft, cpu, true);
    side_interrupts(&r->hard, cpu, true);
}

static void op_halt(struct run *r, unsigned cpu)
{
    SAY(r, "  hlt\n");
    side_interrupts(&r->soft, cpu, true);
    side_interrupts(&r->hard, cpu, true);
    side_halt(&r->soft, cpu);
    side_halt(&r->hard, cpu);
}

/* ---- devices -------------------------------------------------------------------------------------------------------------- */

static void settle(struct run *r)
{
    side_settle(&r->soft);
    side_settle(&r->hard);
}

static void post(struct run *r, unsigned cpu)
{
    bool level = (fuzz_u8(&r->in) & 3) == 3;
    uint8_t vector = vector_of(r, level);

    SAY(r, "  post %02x, %s\n", vector, level ? "level" : "edge");
    same(r, cpu, "post accepted", vlapic_cpu_post(r->soft.cpu[cpu].cpu, vector, level),
         vlapic_cpu_post(r->hard.cpu[cpu].cpu, vector, level));
}

/* One by one: which of two that come together is first is a matter of time, where hardware delivers by itself. */
static void op_post(struct run *r, unsigned cpu)
{
    unsigned times = 1 + (fuzz_u8(&r->in) & 3);

    while (times-- != 0) {
        post(r, cpu);
        settle(r);
    }
}

static void op_message(struct run *r, unsigned cpu)
{
    uint8_t how = fuzz_u8(&r->in);
    struct vlapic_message m = { .destination = destination(r), .level = (how & 3) == 3, .logical = (how & 0xC) == 0xC };

    (void)cpu;
    m.vector = vector_of(r, m.level);
    m.delivery = (how & 0x70) == 0x70 ? (enum vlapic_delivery)(how >> 5) : VLAPIC_DELIVERY_FIXED;
    SAY(r, "  message to %x, mode %d, vector %02x, %s\n", m.destination, (int)m.delivery, m.vector,
        m.level ? "level" : "edge");
    same(r, SIDE_CPUS, "message accepted", vlapic_vm_deliver(r->soft.vm, &m), vlapic_vm_deliver(r->hard.vm, &m));
    if (m.level && m.delivery == VLAPIC_DELIVERY_FIXED) {
        r->soft.level_message = m;
        r->hard.level_message = m;
    }
    settle(r);
}

static void op_pin(struct run *r, unsigned cpu)
{
    uint8_t how = fuzz_u8(&r->in);

    SAY(r, "  LINT%d %s\n", how & 1, (how & 2) != 0 ? "up" : "down");
    vlapic_cpu_lint(r->soft.cpu[cpu].cpu, how & 1, (how & 2) != 0);
    vlapic_cpu_lint(r->hard.cpu[cpu].cpu, how & 1, (how & 2) != 0);
    settle(r);
}

static void op_event(struct run *r, unsigned cpu)
{
    static const enum vlapic_lvt entries[] = { VLAPIC_LVT_THERMAL, VLAPIC_LVT_PERF, VLAPIC_LVT_CMCI };
    enum vlapic_lvt entry = entries[fuzz_u8(&r->in) % 3];

    vlapic_cpu_lvt_event(r->soft.cpu[cpu].cpu, entry);
    vlapic_cpu_lvt_event(r->hard.cpu[cpu].cpu, entry);
    settle(r);
}

static void op_pass(struct run *r, unsigned cpu)
{
    static const uint32_t ns[] = { 1, 10, 50, 100, 1000, 10000, 70000, 1000000 };
    uint32_t time = ns[fuzz_u8(&r->in) & 7];

    (void)cpu;
    SAY(r, "  %u ns pass\n", time);
    side_pass(&r->soft, time);
    side_pass(&r->hard, time);
}

/* ---- the embedder ----------------------------------------------------------------------------------------------------------- */

static void op_inhibit(struct run *r, unsigned cpu)
{
    (void)cpu;
    r->inhibited = !r->inhibited;
    SAY(r, "  acceleration %s\n", r->inhibited ? "withdrawn" : "given back");
    r->hard.kind->inhibit(&r->hard, r->inhibited);
    settle(r);
}

static void op_migrate(struct run *r, unsigned cpu)
{
    SAY(r, "  to the other CPU\n");
    r->hard.kind->migrate(&r->hard.cpu[cpu]);
    settle(r);
}

/* Several come while the vCPU is nowhere. */
static void op_preempt(struct run *r, unsigned cpu)
{
    SAY(r, "  preempted\n");
    r->hard.kind->preempt(&r->hard.cpu[cpu]);
    post(r, cpu);
    post(r, cpu);
    post(r, cpu);
    settle(r);
}

/* A vCPU thread that sleeps looks again after its APIC has been replaced. */
static void wake(struct run *r, unsigned cpu)
{
    r->hard.cpu[cpu].kicked = true;
    settle(r);
}

static void op_snapshot(struct run *r, unsigned cpu)
{
    struct vlapic_cpu_state x, y;
    struct side *sides[] = { &r->soft, &r->hard };

    SAY(r, "  snapshot\n");
    get_state(r, &r->soft, cpu, &x);
    get_state(r, &r->hard, cpu, &y);
    for (unsigned i = 0; i < 2; i++) {
        struct vlapic_cpu *c = sides[i]->cpu[cpu].cpu;

        vlapic_cpu_reset(c);
        same(r, cpu, "set_state", VLAPIC_OK,
             (uint64_t)vlapic_cpu_set_state(c, i == 0 ? &x : &y, VLAPIC_TIME_STOPPED, NULL));
    }
    wake(r, cpu);
}

static void op_reset(struct run *r, unsigned cpu)
{
    SAY(r, "  reset\n");
    r->hard.kind->leave(&r->hard.cpu[cpu]);
    vlapic_cpu_reset(r->soft.cpu[cpu].cpu);
    vlapic_cpu_reset(r->hard.cpu[cpu].cpu);
    wake(r, cpu);
}

/* A vCPU that waits for SIPI does nothing else. */
static void op_sipi(struct run *r, unsigned cpu)
{
    struct vlapic_message m = { .destination = r->soft.id[cpu], .delivery = VLAPIC_DELIVERY_SIPI, .vector = 0x9A };

    vlapic_vm_deliver(r->soft.vm, &m);
    vlapic_vm_deliver(r->hard.vm, &m);
    settle(r);
}

static void op_compare(struct run *r, unsigned cpu)
{
    compare_state(r, cpu);
    settle(r);
}

/* ---- the sequence ------------------------------------------------------------------------------------------------------------- */

static const struct {
    operation run;
    const char *name;
    unsigned weight;
} operations[] = {
    { op_write, "write", 14 },
    { op_read, "read", 10 },
    { op_odd_mmio, "odd access", 5 },
    { op_msr, "MSR", 6 },
    { op_cr8, "CR8", 8 },
    { op_tpr, "TPR", 8 },
    { op_eoi, "EOI", 10 },
    { op_icr, "ICR", 20 },
    { op_self_ipi, "self-IPI", 8 },
    { op_svr, "SVR", 4 },
    { op_lint0, "LVT LINT0", 4 },
    { op_timer, "timer", 6 },
    { op_base, "base", 4 },
    { op_start, "start", 6 },
    { op_interrupts, "IF", 14 },
    { op_return, "return from handler", 20 },
    { op_halt, "HLT", 8 },
    { op_post, "post", 20 },
    { op_message, "message", 10 },
    { op_pin, "pin", 5 },
    { op_event, "event", 3 },
    { op_pass, "time", 8 },
    { op_inhibit, "inhibit", 2 },
    { op_migrate, "migrate", 3 },
    { op_preempt, "preempt", 4 },
    { op_snapshot, "snapshot", 2 },
    { op_reset, "reset", 1 },
    { op_sipi, "SIPI", 4 },
    { op_compare, "compare", 6 },
};
#define OPERATIONS (sizeof operations / sizeof operations[0])

static unsigned pick_operation(struct run *r)
{
    unsigned sum = 0, number, i = 0;

    for (unsigned k = 0; k < OPERATIONS; k++) {
        sum += operations[k].weight;
    }
    number = fuzz_u8(&r->in) % sum;
    while (number >= operations[i].weight) {
        number -= operations[i].weight;
        i++;
    }
    return i;
}

static void configure(struct run *r, struct side *side, uint32_t bits)
{
    struct vlapic_vm_config *c = &side->config;
    static const uint32_t ids[][SIDE_CPUS] = { { 0, 1, 5 }, { 3, 254, 0 }, { 1, 256, 2 }, { 0, 255, 17 } };

    (void)r;
    side->features = the_features;
    side->count = 1 + (bits & 3) % SIDE_CPUS;
    memcpy(side->id, ids[bits >> 2 & 3], sizeof side->id);
    c->eoi_suppression = (bits >> 4 & 1) != 0;
    c->max_lvt = (bits >> 5 & 1) != 0 ? 6 : 5;
    c->narrow_write_merge = (bits >> 6 & 1) != 0;
    c->id_writable = (bits >> 7 & 7) == 7;
    side->resends = (bits >> 10 & 1) != 0;
    side->watch.word[1] = (bits >> 11 & 3) == 3 ? 0x8001000100010001ull : 0;
    side->watch.word[0] = (bits >> 13 & 7) == 7 ? 1 : 0;
    if (the_kind == &side_svm && (the_features & SIDE_SVM_EOI_WATCHED) == 0) {
        side->watch = (struct vlapic_vectors){ { 0 } };
    }
}

static void start_cpus(struct run *r, uint32_t bits)
{
    for (unsigned cpu = 0; cpu < r->soft.count; cpu++, bits >>= 2) {
        if ((bits & 1) == 0) {
            op_sipi(r, cpu);
        }
        if ((bits & 2) != 0) {
            msr(r, cpu, true, VLAPIC_MSR_APIC_BASE, vlapic_cpu_apic_base(r->soft.cpu[cpu].cpu) | VLAPIC_BASE_EXTD);
        }
        op_start(r, cpu);
        side_interrupts(&r->soft, cpu, true);
        side_interrupts(&r->hard, cpu, true);
    }
}

static void run_step(struct run *r)
{
    bool idle = !fuzz_more(&r->in);
    unsigned cpu = idle ? r->step % r->soft.count : fuzz_u8(&r->in) % r->soft.count;
    unsigned number = pick_operation(r);

    SAY(r, "%3u vCPU %u: %s\n", r->step, cpu, idle ? "return from handler" : operations[number].name);
    (idle ? op_return : operations[number].run)(r, cpu);
    compare_what_is_seen(r);
    r->step++;
}

static void run_bytes(struct run *r, bool tracing)
{
    uint32_t bits;

    memset(r, 0, sizeof *r);
    r->tracing = tracing;
    r->in = (struct fuzz_input){ .bytes = the_bytes, .left = the_size };
    r->differences = compare_differences(the_kind, the_features);
    bits = fuzz_u32(&r->in);
    side_prepare(&r->soft, &side_soft);
    side_prepare(&r->hard, the_kind);
    configure(r, &r->soft, bits);
    configure(r, &r->hard, bits);
    SAY(r, "%u vCPUs, bits %x\n", r->soft.count, bits);
    side_start(&r->soft);
    side_start(&r->hard);
    start_cpus(r, bits >> 16);
    while (r->step < MIN_STEPS || (r->step < MAX_STEPS && fuzz_more(&r->in))) {
        run_step(r);
    }
    for (unsigned cpu = 0; cpu < r->soft.count; cpu++) {
        compare_state(r, cpu);
    }
    side_end(&r->soft);
    side_end(&r->hard);
}

void compare_run(const struct side_kind *kind, uint32_t features, const uint8_t *bytes, size_t size)
{
    static struct run r;

    the_bytes = bytes;
    the_size = size;
    the_kind = kind;
    the_features = features;
    run_bytes(&r, false);
}
