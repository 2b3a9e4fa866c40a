/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vCPUs on threads of their own, on cores of tests/hw/svm: they send IPIs to each other by AVIC, halt, are put and move; other threads post, and
 * switch AVIC off and on. Nothing is lost, and nobody stays asleep. To be run under ThreadSanitizer as well. docs/CONCURRENCY.md, section 7.
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <vlapic/svm_run.h>
#include <vlapic/vlapic.h>

#include "side_guest.h"
#include "svmhw.h"
#include "svmhw_vmcb.h"

#define VCPUS 3u
#define CORES 5u
#define POSTERS 2u
#define PAGE 4096u
#define POOL 0x01000000ull
#define WINDOW 0xFEE00000ull
#define KICK 0xF0
#define TODO 8
#define ENOUGH 4u
#define RUN_NS 500000000ull
#define PATIENCE_SECONDS 20
#define WATCHDOG_SECONDS 60
#define FIRST_VECTOR 0x40u
#define VECTOR_STEP 7u
/* Each vCPU has a stream for every way to send; then the posters', edge and level. */
enum way { PHYSICAL, LOGICAL, OTHERS, SELF, WAYS };
#define STREAMS (VCPUS * WAYS + POSTERS * 2)

#define CHECK(condition, ...)                                                                                          \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "[  FAILED  ] " __VA_ARGS__);                                                              \
            fputc('\n', stderr);                                                                                       \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

enum { PHYSICAL_TABLE, LOGICAL_TABLE, DISCARD, IOPM, SHARED_PAGES = IOPM + 3 };
enum { REGISTERS, VMCB, MSR_MAP, CPU_PAGES = MSR_MAP + 2 };
#define PAGES (SHARED_PAGES + VCPUS * CPU_PAGES)

struct setting {
    const char *name;
    uint32_t features;
    bool x2apic, switches, erratum;
};

/* One vector. The next is sent when all who were sent the last one have handled it. */
struct stream {
    unsigned sent;              /* the sender's, read by handlers: atomic */
    unsigned handled[VCPUS];    /* the last that each has seen: atomic */
    unsigned deliveries[VCPUS]; /* the vCPU's own */
    unsigned expected[VCPUS];   /* the sender's */
    unsigned targets;           /* the sender's: of the last one */
};

struct op {
    enum { OP_NOP, OP_CLI, OP_STI, OP_HLT, OP_WRITE } kind;
    uint32_t offset;
    uint64_t value;
};

struct vcpu {
    unsigned index;
    struct vlapic_cpu *cpu;
    void *memory;
    uint8_t *vmcb;
    unsigned where; /* atomic: kicks go there */
    bool loaded, halted;
    uint64_t random;
    struct op todo[TODO]; /* the top is next */
    unsigned count;
    struct side_guest guest;
    struct vlapic_svm_entry entry;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool kicked; /* under the lock */
    pthread_t thread;
    unsigned slept, moved, without_avic; /* how often; atomic */
};

static struct svmhw_machine machine;
static struct svmhw_core cores[CORES];
static pthread_mutex_t core_locks[CORES];
static _Alignas(4096) uint8_t pool[PAGES][PAGE];
static struct vlapic_vm *vm;
static void *vm_memory;
static struct vlapic_svm_config svm;
static struct vcpu vcpus[VCPUS];
static struct stream streams[STREAMS];
static const struct setting *the_setting;
static bool stop, power_off; /* atomic: posters are to end; then vCPUs, for whom they wait */

static unsigned page_of(unsigned cpu, unsigned page)
{
    return SHARED_PAGES + cpu * CPU_PAGES + page;
}

static uint64_t pa(unsigned page)
{
    return POOL + (uint64_t)page * PAGE;
}

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static unsigned pick(struct vcpu *v, unsigned count)
{
    v->random = v->random * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(v->random >> 33) % count;
}

static void count(unsigned *counter, bool it_was_so)
{
    __atomic_fetch_add(counter, it_was_so, __ATOMIC_RELAXED);
}

static bool any(const unsigned *counter)
{
    return __atomic_load_n(counter, __ATOMIC_RELAXED) != 0;
}

static uint64_t get(const struct vcpu *v, unsigned offset, unsigned bytes)
{
    uint64_t value = 0;

    memcpy(&value, v->vmcb + offset, bytes);
    return value;
}

static void set(struct vcpu *v, unsigned offset, unsigned bytes, uint64_t value)
{
    memcpy(v->vmcb + offset, &value, bytes);
}

static struct svmhw_core *core_of(const struct vcpu *v)
{
    return &cores[__atomic_load_n(&v->where, __ATOMIC_SEQ_CST)];
}

/* --- streams --------------------------------------------------------------------------------------------------------------- */

static uint8_t vector_of(unsigned stream)
{
    return (uint8_t)(FIRST_VECTOR + stream * VECTOR_STEP);
}

static bool all_have_handled(const struct stream *s)
{
    for (unsigned i = 0; i < VCPUS; i++) {
        if ((s->targets >> i & 1) != 0 && __atomic_load_n(&s->handled[i], __ATOMIC_SEQ_CST) != s->sent) {
            return false;
        }
    }
    return true;
}

static void begin(struct stream *s, unsigned targets)
{
    s->targets = targets;
    for (unsigned i = 0; i < VCPUS; i++) {
        s->expected[i] += targets >> i & 1;
    }
    __atomic_store_n(&s->sent, s->sent + 1, __ATOMIC_RELAXED); /* what the interrupt is to show its handler */
}

static void handle(struct vcpu *v, uint8_t vector)
{
    unsigned number = (vector - FIRST_VECTOR) / VECTOR_STEP;
    struct stream *s = &streams[number];

    CHECK(number < STREAMS && vector_of(number) == vector, "vCPU %u was delivered %x", v->index, vector);
    s->deliveries[v->index]++;
    __atomic_store_n(&s->handled[v->index], __atomic_load_n(&s->sent, __ATOMIC_RELAXED), __ATOMIC_SEQ_CST);
}

/* --- around the cores ------------------------------------------------------------------------------------------------------ */

static uint8_t *memory(void *context, uint64_t address, size_t bytes)
{
    (void)context;
    return address >= POOL && address + bytes <= POOL + sizeof pool ? &pool[0][0] + (address - POOL) : NULL;
}

static void rings(void *context, struct svmhw_core *sender, uint32_t host_apic_id)
{
    (void)context;
    (void)sender;
    CHECK(host_apic_id < CORES, "a doorbell for %x", host_apic_id);
    svmhw_doorbell_arrives(&cores[host_apic_id]);
}

static void trace(void *context, struct svmhw_core *core, enum svmhw_trace what, uint64_t a, uint64_t b)
{
    (void)context;
    (void)core;
    CHECK(what != SVMHW_TRACE_STALE_FIELD, "clean bit %u of field %x", (unsigned)a, (unsigned)b);
    CHECK(what != SVMHW_TRACE_STALE_PAGE, "a stale translation");
    if (what == SVMHW_TRACE_IRR_SET || what == SVMHW_TRACE_RUNNING_READ) {
        sched_yield(); /* others act in between */
    }
}

/* --- the host ------------------------------------------------------------------------------------------------------------------ */

static uint64_t host_now(void *cookie)
{
    (void)cookie;
    return 0;
}

static void host_arm(void *cookie, uint64_t deadline)
{
    (void)cookie;
    (void)deadline;
}

static void host_cancel(void *cookie)
{
    (void)cookie;
}

static void host_kick(void *cookie)
{
    struct vcpu *v = cookie;

    svmhw_physical_raise(core_of(v), SVMHW_PHYSICAL_INTR, KICK);
    pthread_mutex_lock(&v->lock);
    v->kicked = true;
    pthread_cond_signal(&v->wake);
    pthread_mutex_unlock(&v->lock);
}

static const struct vlapic_host_ops host = {
    .size = sizeof host,
    .abi = VLAPIC_HOST_ABI,
    .now_ns = host_now,
    .timer_arm_ns = host_arm,
    .timer_cancel = host_cancel,
    .kick = host_kick,
};

static void *op_vmcb(void *cookie)
{
    CHECK(((struct vcpu *)cookie)->loaded, "the VMCB of a vCPU that is not loaded");
    return ((struct vcpu *)cookie)->vmcb;
}

static uint8_t *op_msr_map(void *cookie)
{
    return pool[page_of(((struct vcpu *)cookie)->index, MSR_MAP)];
}

static uint32_t op_physical_apic_id(void *cookie)
{
    return __atomic_load_n(&((struct vcpu *)cookie)->where, __ATOMIC_SEQ_CST);
}

static void op_doorbell(void *cookie, uint32_t apic_id)
{
    (void)cookie;
    CHECK(svmhw_host_writes_doorbell(&cores[0], apic_id), "doorbell %x", apic_id);
}

static void op_running(void *cookie, bool is_running, uint32_t apic_id, bool blocked)
{
    (void)cookie;
    (void)is_running;
    (void)apic_id;
    (void)blocked;
    sched_yield();
}

static size_t op_fetch(void *cookie, uint8_t *bytes, size_t size, enum vlapic_decode_mode *mode)
{
    const struct vcpu *v = cookie;

    (void)size;
    memcpy(bytes, v->guest.code, v->guest.code_bytes);
    *mode = VLAPIC_DECODE_MODE_64;
    return v->guest.code_bytes;
}

static uint64_t op_read_register(void *cookie, uint32_t reg)
{
    return side_guest_read_register(&((struct vcpu *)cookie)->guest, reg);
}

static void op_write_register(void *cookie, uint32_t reg, uint64_t value)
{
    (void)cookie;
    (void)reg;
    (void)value;
}

static const struct vlapic_decode_ops guest_ops = {
    .size = sizeof guest_ops,
    .abi = VLAPIC_DECODE_ABI,
    .read_register = op_read_register,
    .write_register = op_write_register,
};

static const struct vlapic_svm_ops svm_ops = {
    .size = sizeof svm_ops,
    .abi = VLAPIC_SVM_ABI,
    .vmcb = op_vmcb,
    .msr_map = op_msr_map,
    .physical_apic_id = op_physical_apic_id,
    .doorbell = op_doorbell,
    .running = op_running,
    .fetch = op_fetch,
    .guest = &guest_ops,
};

/* --- the guest: a stack of what it is about to do ------------------------------------------------------------------------------- */

static void push(struct vcpu *v, struct op op)
{
    CHECK(v->count < TODO, "too much to do");
    v->todo[v->count++] = op;
}

static void push_write(struct vcpu *v, uint32_t offset, uint64_t value)
{
    push(v, (struct op){ .kind = OP_WRITE, .offset = offset, .value = value });
}

static uint32_t others(const struct vcpu *v)
{
    return ((1u << VCPUS) - 1) & ~(1u << v->index);
}

static void push_ipi(struct vcpu *v, uint32_t destination, uint32_t low)
{
    if (the_setting->x2apic) {
        push_write(v, VLAPIC_REG_ICR_LOW, (uint64_t)destination << 32 | low);
        return;
    }
    push_write(v, VLAPIC_REG_ICR_LOW, low);
    push_write(v, VLAPIC_REG_ICR_HIGH, destination << 24);
}

static void send(struct vcpu *v)
{
    enum way way = pick(v, WAYS);
    unsigned number = v->index * WAYS + (unsigned)way, target = (v->index + 1 + pick(v, VCPUS - 1)) % VCPUS;
    uint32_t low = 0x4000u | vector_of(number);

    if (!all_have_handled(&streams[number])) {
        return;
    }
    switch (way) {
    case PHYSICAL:
        begin(&streams[number], 1u << target);
        push_ipi(v, target, low);
        break;
    case LOGICAL:
        begin(&streams[number], 1u << target | 1u << v->index);
        push_ipi(v, 1u << target | 1u << v->index, low | 0x800u);
        break;
    case OTHERS:
        begin(&streams[number], others(v));
        push_ipi(v, 0, low | 0xC0000u);
        break;
    default:
        begin(&streams[number], 1u << v->index);
        push_ipi(v, 0, low | 0x40000u);
        break;
    }
}

static void find_something_to_do(struct vcpu *v)
{
    switch (pick(v, 8)) {
    case 0:
        push(v, (struct op){ .kind = OP_HLT });
        break;
    case 1:
        push(v, (struct op){ .kind = OP_STI });
        push(v, (struct op){ .kind = OP_CLI });
        break;
    case 2:
    case 3:
        push(v, (struct op){ .kind = OP_NOP });
        break;
    default:
        send(v);
        break;
    }
}

static struct svmhw_result write_register(struct vcpu *v, const struct op *op)
{
    struct side_access access = { .kind = SIDE_MMIO_WRITE, .where = op->offset, .length = 4, .value = op->value };

    if (the_setting->x2apic) {
        access.kind = SIDE_WRMSR;
        access.where = VLAPIC_MSR_OF(op->offset);
    }
    side_guest_compose(&v->guest, &access, WINDOW);
    if (the_setting->x2apic) {
        return svmhw_wrmsr(core_of(v), access.where, op->value);
    }
    return svmhw_mmio_write(core_of(v), WINDOW + op->offset, 4, op->value);
}

static struct svmhw_result execute(struct vcpu *v, const struct op *op)
{
    core_of(v)->instruction_length = 2;
    switch (op->kind) {
    case OP_CLI:
        return svmhw_cli(core_of(v));
    case OP_STI:
        return svmhw_sti(core_of(v));
    case OP_HLT:
        return svmhw_hlt(core_of(v));
    case OP_WRITE:
        return write_register(v, op);
    default:
        return svmhw_nop(core_of(v));
    }
}

/* Its handler: EOI, then interrupts on again. */
static void take_event(struct vcpu *v, const struct svmhw_result *r)
{
    CHECK(r->type == SVMHW_TYPE_INTR, "vCPU %u was delivered type %u", v->index, r->type);
    handle(v, r->vector);
    push(v, (struct op){ .kind = OP_STI });
    push_write(v, VLAPIC_REG_EOI, 0);
}

static void take_exit(struct vcpu *v)
{
    uint32_t code = (uint32_t)get(v, SVMHW_EXITCODE, 4), length;
    enum vlapic_svm_result result;

    set(v, SVMHW_CLEAN, 4, UINT32_MAX);
    CHECK(code != (uint32_t)SVMHW_EXIT_INVALID, "VMEXIT_INVALID");
    result = vlapic_svm_exit(v->cpu, &length);
    CHECK(result != VLAPIC_SVM_UNSUPPORTED && result != VLAPIC_SVM_BROKEN && result != VLAPIC_SVM_GP, "exit %x: %d",
          code, (int)result);
    if (code == SVMHW_EXIT_INTR || code == SVMHW_EXIT_VINTR) {
        return; /* the instruction is still to come */
    }
    if (code == SVMHW_EXIT_HLT) {
        length = 1;
        v->halted = true;
    }
    set(v, SVMHW_RIP, 8, get(v, SVMHW_RIP, 8) + length);
    v->count--;
}

/* Up to the next exit. */
static void run_guest(struct vcpu *v)
{
    struct svmhw_result r = svmhw_vmrun(core_of(v), pa(page_of(v->index, VMCB)));
    bool executed = false;

    for (;;) {
        switch (r.happened) {
        case SVMHW_EVENT:
            take_event(v, &r);
            break;
        case SVMHW_EXIT:
            take_exit(v);
            return;
        case SVMHW_DONE:
            v->count -= executed;
            break;
        default:
            CHECK(false, "the guest got where it should not: %d", (int)r.happened);
        }
        if (v->count == 0) {
            find_something_to_do(v);
        }
        executed = v->count != 0;
        r = executed ? execute(v, &v->todo[v->count - 1]) : svmhw_nop(core_of(v));
    }
}

/* --- a vCPU's thread --------------------------------------------------------------------------------------------------------------- */

static void load(struct vcpu *v)
{
    for (unsigned i = pick(v, CORES);; i = (i + 1) % CORES) {
        if (pthread_mutex_trylock(&core_locks[i]) == 0) {
            count(&v->moved, v->where != i);
            __atomic_store_n(&v->where, i, __ATOMIC_SEQ_CST);
            break;
        }
    }
    set(v, SVMHW_CLEAN, 4, 0);
    v->loaded = true;
    vlapic_cpu_load(v->cpu);
}

static void put(struct vcpu *v)
{
    vlapic_cpu_put(v->cpu);
    v->loaded = false;
    pthread_mutex_unlock(&core_locks[v->where]);
}

static void sleep_until_kicked(struct vcpu *v)
{
    struct timespec until;
    int timed_out = 0;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_SECONDS;
    pthread_mutex_lock(&v->lock);
    while (!v->kicked && timed_out == 0) {
        timed_out = pthread_cond_timedwait(&v->wake, &v->lock, &until);
    }
    v->kicked = false;
    pthread_mutex_unlock(&v->lock);
    CHECK(timed_out == 0, "%s: vCPU %u was left asleep", the_setting->name, v->index);
    count(&v->slept, true);
}

static void forget_kick(struct vcpu *v)
{
    pthread_mutex_lock(&v->lock);
    v->kicked = false;
    pthread_mutex_unlock(&v->lock);
}

/* A kick that comes from here on ends the sleep, or the guest's run. */
static void poll(struct vcpu *v, struct vlapic_poll *duty)
{
    uint8_t vector;

    forget_kick(v);
    if (v->loaded) {
        while (svmhw_host_takes(core_of(v), SVMHW_PHYSICAL_INTR, &vector)) {
        }
    }
    vlapic_cpu_poll(v->cpu, duty);
}

static bool interrupts(const struct vcpu *v)
{
    return (get(v, SVMHW_RFLAGS, 8) & SIDE_RFLAGS_IF) != 0;
}

static void enter(struct vcpu *v)
{
    const struct vlapic_svm_guest guest = { .rflags = get(v, SVMHW_RFLAGS, 8),
                                            .shadow = (get(v, SVMHW_SHADOW, 8) & 1) != 0 };

    if (!vlapic_svm_enter(v->cpu, &guest, &v->entry)) {
        return;
    }
    count(&v->without_avic, (v->entry.features & (VLAPIC_SVM_AVIC | VLAPIC_SVM_X2AVIC)) == 0);
    if (pick(v, 64) == 0) {
        vlapic_svm_cancel(v->cpu);
        return;
    }
    set(v, SVMHW_TLB_CONTROL, 1, (v->entry.changes & VLAPIC_SVM_FLUSH_TLB) != 0 ? 3 : 0);
    run_guest(v);
}

static void *vcpu_thread(void *argument)
{
    struct vcpu *v = argument;
    struct vlapic_poll duty;

    while (!__atomic_load_n(&power_off, __ATOMIC_SEQ_CST)) {
        if (!v->loaded) {
            load(v);
        }
        poll(v, &duty);
        if (v->halted && !(interrupts(v) && duty.vector >= 0)) {
            if (pick(v, 2) == 0) {
                put(v);
            }
            if (vlapic_cpu_halt(v->cpu)) {
                sleep_until_kicked(v);
                vlapic_cpu_exit(v->cpu);
            }
            continue;
        }
        v->halted = false;
        enter(v);
        if (pick(v, 16) == 0) {
            put(v);
        }
    }
    if (v->loaded) {
        put(v);
    }
    return NULL;
}

/* --- other threads ------------------------------------------------------------------------------------------------------------------- */

static void wait_for(const struct stream *s, const char *what)
{
    time_t start = time(NULL);

    while (!all_have_handled(s)) {
        CHECK(time(NULL) - start < PATIENCE_SECONDS, "%s: %s was posted and never taken", the_setting->name, what);
        sched_yield();
    }
}

static void *poster_thread(void *argument)
{
    unsigned first = VCPUS * WAYS + 2 * (unsigned)(uintptr_t)argument;

    for (unsigned round = 0; !__atomic_load_n(&stop, __ATOMIC_SEQ_CST); round++) {
        unsigned target = round % VCPUS, level = round & 1;
        struct stream *s = &streams[first + level];

        begin(s, 1u << target);
        CHECK(vlapic_cpu_post(vcpus[target].cpu, vector_of(first + level), level), "a post was refused");
        wait_for(s, level ? "a level" : "an edge");
    }
    return NULL;
}

static void *switcher_thread(void *argument)
{
    (void)argument;
    for (unsigned round = 0; !__atomic_load_n(&stop, __ATOMIC_SEQ_CST); round++) {
        vlapic_svm_inhibit(vm, VLAPIC_SVM_INHIBIT_REQUEST, round & 1);
        if (round % 3 == 0) { /* not everybody is told at once */
            host_kick(&vcpus[round % VCPUS]);
        }
        usleep(300);
    }
    return NULL;
}

/* --- life --------------------------------------------------------------------------------------------------------------------------------- */

static void *allocate(const struct vlapic_layout *layout)
{
    void *block = aligned_alloc(layout->alignment,
                                (layout->bytes + layout->alignment - 1) / layout->alignment * layout->alignment);

    assert_non_null(block);
    return block;
}

static struct vlapic_page shared_page(unsigned page)
{
    return (struct vlapic_page){ .va = pool[page], .pa = pa(page) };
}

static void make_machine(void)
{
    memset(pool, 0, sizeof pool);
    memset(streams, 0, sizeof streams);
    machine = (struct svmhw_machine){
        .capabilities = svmhw_all_capabilities,
        .options = { .erratum_1235 = the_setting->erratum, .msrpm_cached = true },
        .callbacks = { .memory = memory, .doorbell = rings, .trace = trace },
    };
    for (unsigned i = 0; i < CORES; i++) {
        svmhw_core_init(&cores[i], &machine, i);
        pthread_mutex_init(&core_locks[i], NULL);
    }
}

static void make_vm(struct vlapic_vm_config *config)
{
    struct vlapic_layout layout;

    assert_int_equal(vlapic_svm_config_defaults(&svm, sizeof svm), VLAPIC_OK);
    svm.cpuid_edx = UINT32_MAX;
    svm.cpuid_ecx = UINT32_MAX;
    svm.features = the_setting->features;
    svm.ops = &svm_ops;
    svm.physical_table = shared_page(PHYSICAL_TABLE);
    svm.logical_table = shared_page(LOGICAL_TABLE);
    svm.discard_page = shared_page(DISCARD);
    svm.erratum_1235 = the_setting->erratum;
    assert_int_equal(vlapic_vm_config_defaults(config, sizeof *config, VLAPIC_VENDOR_INTEL), VLAPIC_OK);
    config->host = &host;
    config->backend = &vlapic_backend_svm;
    config->backend_config = &svm;
    assert_int_equal(vlapic_vm_layout(config, &layout), VLAPIC_OK);
    vm_memory = allocate(&layout);
    assert_int_equal(vlapic_vm_create(vm_memory, layout.bytes, config, &vm), VLAPIC_OK);
}

static void set_up_vmcb(struct vcpu *v)
{
    set(v, SVMHW_INTERCEPT_3, 4, 1u << 0 | 1u << 1 | 1u << 24 | 1u << 28); /* INTR, NMI, HLT, MSRs */
    set(v, SVMHW_INTERCEPT_4, 4, 1);                                       /* VMRUN */
    set(v, SVMHW_IOPM_BASE, 8, pa(IOPM));
    set(v, SVMHW_MSRPM_BASE, 8, pa(page_of(v->index, MSR_MAP)));
    set(v, SVMHW_ASID, 4, 1 + v->index);
    set(v, SVMHW_VINTR_CONTROL, 8, SVMHW_V_INTR_MASKING);
    set(v, SVMHW_NP, 8, 1);
    set(v, SVMHW_N_CR3, 8, POOL);
    set(v, SVMHW_CR0, 8, 0x80000011);
    set(v, SVMHW_RIP, 8, 0x1000);
    set(v, SVMHW_RFLAGS, 8, SIDE_RFLAGS_ALWAYS | SIDE_RFLAGS_IF);
    memset(pool[page_of(v->index, MSR_MAP)], 0xFF, 2 * (size_t)PAGE);
}

static void make_vcpu(unsigned index, const struct vlapic_vm_config *config)
{
    struct vcpu *v = &vcpus[index];
    struct vlapic_page page = shared_page(page_of(index, REGISTERS));
    struct vlapic_cpu_config cpu_config = {
        .size = sizeof cpu_config, .apic_id = index, .bsp = true, .cookie = v, .pages = &page
    };
    struct vlapic_layout layout;

    *v = (struct vcpu){ .index = index, .random = index + 1, .vmcb = pool[page_of(index, VMCB)] };
    pthread_mutex_init(&v->lock, NULL);
    pthread_cond_init(&v->wake, NULL);
    assert_int_equal(vlapic_cpu_layout(config, &layout), VLAPIC_OK);
    v->memory = allocate(&layout);
    assert_int_equal(vlapic_cpu_create(v->memory, layout.bytes, vm, &cpu_config, &v->cpu), VLAPIC_OK);
    assert_int_equal(vlapic_cpu_attach(v->cpu), VLAPIC_OK);
    set_up_vmcb(v);
    if (the_setting->x2apic) {
        assert_int_equal(vlapic_cpu_msr_write(v->cpu, VLAPIC_MSR_APIC_BASE,
                                              WINDOW | VLAPIC_BASE_BSP | VLAPIC_BASE_EN | VLAPIC_BASE_EXTD),
                         VLAPIC_ACCESS_DONE);
        assert_int_equal(vlapic_cpu_msr_write(v->cpu, VLAPIC_MSR_OF(VLAPIC_REG_SVR), 0x1FF), VLAPIC_ACCESS_DONE);
    } else {
        assert_int_equal(vlapic_cpu_mmio_write(v->cpu, VLAPIC_REG_SVR, 4, 0x1FF), VLAPIC_ACCESS_DONE);
        assert_int_equal(vlapic_cpu_mmio_write(v->cpu, VLAPIC_REG_LDR, 4, 0x01000000u << index), VLAPIC_ACCESS_DONE);
    }
}

static void unmake(void)
{
    for (unsigned i = 0; i < VCPUS; i++) {
        vlapic_cpu_destroy(vcpus[i].cpu);
        pthread_cond_destroy(&vcpus[i].wake);
        pthread_mutex_destroy(&vcpus[i].lock);
        free(vcpus[i].memory);
    }
    free(vm_memory);
    for (unsigned i = 0; i < CORES; i++) {
        pthread_mutex_destroy(&core_locks[i]);
    }
}

/* Nothing was delivered that had not been sent. What a switch of AVIC makes a poster do twice may be delivered
 * twice. */
static void check_streams(void)
{
    for (unsigned i = 0; i < STREAMS; i++) {
        for (unsigned k = 0; k < VCPUS; k++) {
            bool last_one_is_under_way = streams[i].handled[k] != streams[i].sent && (streams[i].targets >> k & 1) != 0;

            if (!the_setting->switches) {
                assert_in_range(streams[i].deliveries[k], streams[i].expected[k] - last_one_is_under_way,
                                streams[i].expected[k]);
            }
            assert_true(streams[i].deliveries[k] + last_one_is_under_way >= streams[i].expected[k]);
        }
    }
}

/* On a busy machine some threads come late. */
static bool everybody_has_done_something(void)
{
    for (unsigned i = 0; i < VCPUS; i++) {
        const struct vcpu *v = &vcpus[i];

        if (!any(&v->slept) || !any(&v->moved) || any(&v->without_avic) != the_setting->switches) {
            return false;
        }
    }
    for (unsigned i = 0; i < STREAMS; i++) {
        if (__atomic_load_n(&streams[i].sent, __ATOMIC_RELAXED) < ENOUGH) {
            return false;
        }
    }
    return true;
}

static void run_for_a_while(void)
{
    uint64_t start = now_ns();

    while (now_ns() - start < RUN_NS || !everybody_has_done_something()) {
        CHECK(now_ns() - start < PATIENCE_SECONDS * 1000000000ull, "%s: somebody does nothing", the_setting->name);
        usleep(10000);
    }
}

static void nothing_is_lost(void **state)
{
    struct vlapic_vm_config config;
    pthread_t posters[POSTERS], switcher;

    the_setting = *state;
    stop = false;
    power_off = false;
    alarm(WATCHDOG_SECONDS);
    make_machine();
    make_vm(&config);
    for (unsigned i = 0; i < VCPUS; i++) {
        make_vcpu(i, &config);
    }
    for (unsigned i = 0; i < VCPUS; i++) {
        assert_int_equal(pthread_create(&vcpus[i].thread, NULL, vcpu_thread, &vcpus[i]), 0);
    }
    for (uintptr_t i = 0; i < POSTERS; i++) {
        assert_int_equal(pthread_create(&posters[i], NULL, poster_thread, (void *)i), 0);
    }
    if (the_setting->switches) {
        assert_int_equal(pthread_create(&switcher, NULL, switcher_thread, NULL), 0);
    }
    run_for_a_while();
    __atomic_store_n(&stop, true, __ATOMIC_SEQ_CST);
    for (unsigned i = 0; i < POSTERS; i++) {
        assert_int_equal(pthread_join(posters[i], NULL), 0);
    }
    if (the_setting->switches) {
        assert_int_equal(pthread_join(switcher, NULL), 0);
    }
    __atomic_store_n(&power_off, true, __ATOMIC_SEQ_CST);
    for (unsigned i = 0; i < VCPUS; i++) {
        host_kick(&vcpus[i]);
        assert_int_equal(pthread_join(vcpus[i].thread, NULL), 0);
    }
    check_streams();
    unmake();
    alarm(0);
}

static const struct setting settings[] = {
    { "AVIC", VLAPIC_SVM_AVIC, false, false, false },
    { "x2AVIC", VLAPIC_SVM_AVIC | VLAPIC_SVM_X2AVIC, true, false, false },
    { "AVIC with erratum 1235", VLAPIC_SVM_AVIC, false, false, true },
    { "AVIC switched off and on", VLAPIC_SVM_AVIC, false, true, false },
    { "x2AVIC switched off and on", VLAPIC_SVM_AVIC | VLAPIC_SVM_X2AVIC, true, true, false },
    { "erratum 1235, switched off and on", VLAPIC_SVM_AVIC, false, true, true },
};
#define SETTINGS (sizeof settings / sizeof settings[0])

int main(void)
{
    struct CMUnitTest tests[SETTINGS];

    for (unsigned i = 0; i < SETTINGS; i++) {
        tests[i] = (struct CMUnitTest){ .name = settings[i].name,
                                        .test_func = nothing_is_lost,
                                        .initial_state = (void *)(uintptr_t)&settings[i] };
    }
    return cmocka_run_group_tests_name("svm: threads", tests, NULL, NULL);
}
