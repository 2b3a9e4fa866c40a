/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The svm backend, on cores of tests/hw/svm. vCPUs move between cores, of which there are more than vCPUs. The embedder below is a short one of
 * those that docs/PORTING.md describes; it has nested page tables for each vCPU.
 */
#include "side_svm.h"

#include <string.h>

#include <vlapic/svm_run.h>

#include "side.h"
#include "side_guest.h"
#include "svmhw.h"
#include "svmhw_vmcb.h"

#define CORES (SIDE_CPUS + 2)
#define PAGE 4096u
#define POOL 0x01000000ull
#define KICK 0xF0

/* Pages of the pool: shared ones, then those of each vCPU. */
enum { PHYSICAL_TABLE = 0, LOGICAL_TABLE, DISCARD, DUMMY, IOPM, SHARED_PAGES = IOPM + 3 };
enum { REGISTERS = 0, VMCB, MSR_MAP, CPU_PAGES = MSR_MAP + 2 };
#define PAGES (SHARED_PAGES + SIDE_CPUS * CPU_PAGES)

struct vcpu {
    struct side_cpu *cpu;
    unsigned where;
    bool loaded, in_guest, asleep;
    bool is_mapped;
    uint64_t mapped;
    struct side_guest guest;
    bool extint_injected;
    bool in_nmi; /* an IRET ends the handler */
    bool interrupts_before_nmi;
    bool single_step;
};

static struct svmhw_machine machine;
static struct svmhw_core cores[CORES];
static struct vcpu *running[CORES];
static struct vcpu vcpus[SIDE_CPUS];
static _Alignas(4096) uint8_t pool[PAGES][PAGE];
static struct vlapic_svm_config svm;

static struct vcpu *vcpu_of(struct side_cpu *cpu)
{
    return cpu->hardware;
}

static struct svmhw_core *core_of(struct vcpu *v)
{
    return &cores[v->where];
}

static unsigned page_of(const struct vcpu *v, unsigned page)
{
    return SHARED_PAGES + v->cpu->index * CPU_PAGES + page;
}

static uint64_t pa(unsigned page)
{
    return POOL + (uint64_t)page * PAGE;
}

/* ---- VMCBs ---- */

static uint64_t get(struct vcpu *v, unsigned offset, unsigned bytes)
{
    uint64_t value = 0;

    memcpy(&value, &pool[page_of(v, VMCB)][offset], bytes);
    return value;
}

static void set(struct vcpu *v, unsigned offset, unsigned bytes, uint64_t value)
{
    memcpy(&pool[page_of(v, VMCB)][offset], &value, bytes);
}

/* ---- what is around the cores ---- */

static uint8_t *memory(void *context, uint64_t address, size_t bytes)
{
    (void)context;
    return address >= POOL && address + bytes <= POOL + sizeof pool ? &pool[0][0] + (address - POOL) : NULL;
}

/* The guest has no memory but its APIC's window. N_CR3 names the vCPU. */
static struct svmhw_nested_page nested_page(void *context, uint64_t n_cr3, uint64_t gpa)
{
    const struct vcpu *v = &vcpus[(n_cr3 - POOL) / PAGE];

    (void)context;
    if (!v->is_mapped || (gpa & ~0xFFFull) != v->mapped) {
        return (struct svmhw_nested_page){ 0 };
    }
    return (struct svmhw_nested_page){ .present = true, .writable = true, .frame = pa(DUMMY) };
}

static void hardware_doorbell(void *context, struct svmhw_core *sender, uint32_t host_apic_id)
{
    (void)context;
    (void)sender;
    if (host_apic_id < CORES) {
        svmhw_doorbell_arrives(&cores[host_apic_id]);
    }
}

static void trace(void *context, struct svmhw_core *core, enum svmhw_trace what, uint64_t a, uint64_t b)
{
    (void)context;
    (void)core;
    if (what == SVMHW_TRACE_STALE_FIELD) {
        side_fail("VMCB field %llx is stale: clean bit %llu was not cleared", (unsigned long long)b,
                  (unsigned long long)a);
    }
    if (what == SVMHW_TRACE_STALE_PAGE) {
        side_fail("a stale translation of the APIC page is used");
    }
}

/* ---- the backend's host ---- */

static void *vmcb(void *cookie)
{
    struct vcpu *v = vcpu_of(cookie);

    if (!v->loaded || v->in_guest) {
        side_fail("the VMCB is not the backend's now");
    }
    return pool[page_of(v, VMCB)];
}

static uint8_t *msr_map(void *cookie)
{
    return pool[page_of(vcpu_of(cookie), MSR_MAP)];
}

static uint8_t acknowledge_extint(void *cookie)
{
    (void)cookie;
    return SIDE_EXTINT_VECTOR;
}

static uint32_t physical_apic_id(void *cookie)
{
    return vcpu_of(cookie)->where;
}

static void doorbell(void *cookie, uint32_t apic_id)
{
    (void)cookie;
    if (!svmhw_host_writes_doorbell(&cores[0], apic_id)) {
        side_fail("a doorbell for %x", apic_id);
    }
}

static size_t fetch(void *cookie, uint8_t *bytes, size_t size, enum vlapic_decode_mode *mode)
{
    const struct vcpu *v = vcpu_of(cookie);

    (void)size;
    memcpy(bytes, v->guest.code, v->guest.code_bytes);
    *mode = VLAPIC_DECODE_MODE_64;
    return v->guest.code_bytes;
}

static uint64_t read_register(void *cookie, uint32_t reg)
{
    return side_guest_read_register(&vcpu_of(cookie)->guest, reg);
}

static void write_register(void *cookie, uint32_t reg, uint64_t value)
{
    if (reg < 16) {
        vcpu_of(cookie)->guest.reg[reg] = value;
    }
}

static const struct vlapic_decode_ops guest_ops = {
    .size = sizeof guest_ops,
    .abi = VLAPIC_DECODE_ABI,
    .read_register = read_register,
    .write_register = write_register,
};

static const struct vlapic_svm_ops ops = {
    .size = sizeof ops,
    .abi = VLAPIC_SVM_ABI,
    .vmcb = vmcb,
    .msr_map = msr_map,
    .acknowledge_extint = acknowledge_extint,
    .physical_apic_id = physical_apic_id,
    .doorbell = doorbell,
    .fetch = fetch,
    .guest = &guest_ops,
};

/* ---- life ---- */

static struct vlapic_page shared_page(unsigned page)
{
    return (struct vlapic_page){ .va = pool[page], .pa = pa(page) };
}

static void set_up_machine(uint32_t features)
{
    struct svmhw_variant variant;

    if (!svmhw_variant(SIDE_SVM_VARIANT(features), &variant)) {
        side_fail("no variant %u", SIDE_SVM_VARIANT(features));
    }
    machine = (struct svmhw_machine){
        .capabilities = svmhw_all_capabilities,
        .readings = variant.readings,
        .options = { .poison = (features & SIDE_SVM_POISON) != 0,
                     .erratum_1235 = (features & SIDE_SVM_ERRATUM_1235) != 0,
                     .msrpm_cached = true },
        .callbacks = { .memory = memory, .nested_page = nested_page, .doorbell = hardware_doorbell, .trace = trace },
    };
    if ((features & SIDE_SVM_NO_ASSISTS) != 0) {
        machine.capabilities.nrip_save = false;
        machine.capabilities.decode_assists = false;
    }
    for (unsigned i = 0; i < CORES; i++) {
        svmhw_core_init(&cores[i], &machine, i);
        cores[i].host_if = true;
        running[i] = NULL;
    }
}

static void prepare(struct side *side)
{
    memset(pool, 0, sizeof pool);
    set_up_machine(side->features);
    if (vlapic_svm_config_defaults(&svm, sizeof svm) != VLAPIC_OK) {
        side_fail("svm defaults");
    }
    svm.cpuid_edx = UINT32_MAX;
    svm.cpuid_ecx = UINT32_MAX;
    svm.features = side->features & SIDE_SVM_FEATURES;
    svm.ops = &ops;
    svm.physical_table = shared_page(PHYSICAL_TABLE);
    svm.logical_table = shared_page(LOGICAL_TABLE);
    svm.discard_page = shared_page(DISCARD);
    svm.erratum_1235 = (side->features & SIDE_SVM_ERRATUM_1235) != 0;
    svm.edge_eoi_not_needed = (side->features & SIDE_SVM_EOI_WATCHED) == 0;
    side->config.backend = &vlapic_backend_svm;
    side->config.backend_config = &svm;
}

static void give_pages(struct side_cpu *cpu, struct vlapic_page *pages, uint32_t count)
{
    struct vcpu *v = &vcpus[cpu->index];

    *v = (struct vcpu){ .cpu = cpu, .where = cpu->index };
    cpu->hardware = v;
    if (count != 1) {
        side_fail("%u pages", count);
    }
    memset(pool[page_of(v, REGISTERS)], 0, PAGE);
    pages[0] = shared_page(page_of(v, REGISTERS));
}

/* What the embedder itself wants of the processor. */
static void set_up_vmcb(struct vcpu *v)
{
    set(v, SVMHW_INTERCEPT_3, 4, 1u << 0 | 1u << 1 | 1u << 24 | 1u << 28); /* INTR, NMI, HLT, MSRs */
    set(v, SVMHW_INTERCEPT_4, 4, 1u << 0);                                 /* VMRUN */
    set(v, SVMHW_IOPM_BASE, 8, pa(IOPM));
    set(v, SVMHW_MSRPM_BASE, 8, pa(page_of(v, MSR_MAP)));
    set(v, SVMHW_ASID, 4, 1 + v->cpu->index);
    set(v, SVMHW_VINTR_CONTROL, 8, SVMHW_V_INTR_MASKING);
    set(v, SVMHW_NP, 8, 1);
    set(v, SVMHW_N_CR3, 8, POOL + v->cpu->index * PAGE);
    set(v, SVMHW_CR0, 8, 0x80000011);
    set(v, SVMHW_RIP, 8, 0x1000);
    memset(pool[page_of(v, MSR_MAP)], 0xFF, 2 * (size_t)PAGE);
}

static void load(struct vcpu *v)
{
    while (running[v->where] != NULL) {
        v->where = (v->where + 1) % CORES;
    }
    running[v->where] = v;
    v->loaded = true;
    set(v, SVMHW_CLEAN, 4, 0); /* it may be another core */
    vlapic_cpu_load(v->cpu->cpu);
}

static void put(struct vcpu *v)
{
    vlapic_cpu_put(v->cpu->cpu);
    running[v->where] = NULL;
    v->loaded = false;
}

static void start(struct side_cpu *cpu)
{
    struct vcpu *v = vcpu_of(cpu);

    set_up_vmcb(v);
    load(v);
}

/* ---- exits and deliveries ---- */

static void host_interrupts(void)
{
    for (unsigned i = 0; i < CORES; i++) {
        uint8_t vector;

        while (!cores[i].in_guest && svmhw_host_takes(&cores[i], SVMHW_PHYSICAL_INTR, &vector)) {
        }
    }
}

static void log_delivery(struct vcpu *v, const struct svmhw_result *r)
{
    if (r->type == SVMHW_TYPE_NMI) {
        side_log(&v->cpu->log, SIDE_NMI, 2);
        v->in_nmi = true;
        v->interrupts_before_nmi = v->cpu->interrupts;
    } else {
        side_log(&v->cpu->log, v->extint_injected ? SIDE_EXTINT : SIDE_VECTOR, r->vector);
    }
    v->extint_injected = false;
    v->cpu->halted = false;
}

static void advance(struct vcpu *v, uint32_t length)
{
    uint64_t rip = get(v, SVMHW_RIP, 8);

    if (length == 0) {
        set(v, SVMHW_RIP, 8, get(v, SVMHW_NRIP, 8));
        return;
    }
    if (v->guest.code_bytes != 0 && length != v->guest.code_bytes) {
        side_fail("length %u, not %u", length, v->guest.code_bytes);
    }
    set(v, SVMHW_RIP, 8, rip + length);
}

static enum vlapic_svm_result take_exit(struct vcpu *v)
{
    uint32_t code = (uint32_t)get(v, SVMHW_EXITCODE, 4);
    enum vlapic_svm_result result;
    uint32_t length;

    v->in_guest = false;
    v->cpu->interrupts = (get(v, SVMHW_RFLAGS, 8) & SIDE_RFLAGS_IF) != 0;
    set(v, SVMHW_CLEAN, 4, UINT32_MAX & ~0u);
    if (code == (uint32_t)SVMHW_EXIT_INVALID) {
        side_fail("VMRUN: VMEXIT_INVALID");
    }
    result = vlapic_svm_exit(v->cpu->cpu, &length);
    if (result == VLAPIC_SVM_UNSUPPORTED || result == VLAPIC_SVM_BROKEN) {
        side_fail("exit %x was not finished: %llx %llx", code, (unsigned long long)get(v, SVMHW_EXITINFO1, 8),
                  (unsigned long long)get(v, SVMHW_EXITINFO2, 8));
    }
    if (result == VLAPIC_SVM_ADVANCE) {
        advance(v, length);
    }
    if (code == SVMHW_EXIT_HLT) {
        set(v, SVMHW_RIP, 8, get(v, SVMHW_RIP, 8) + 1);
        v->cpu->halted = true;
    }
    return result;
}

/* True if something came of it: a delivery, an exit. */
static bool take_result(struct vcpu *v, struct svmhw_result r)
{
    switch (r.happened) {
    case SVMHW_EVENT:
        log_delivery(v, &r);
        break;
    case SVMHW_EXIT:
        (void)take_exit(v);
        return true;
    case SVMHW_DONE:
    case SVMHW_HALTED:
        break;
    default:
        side_fail("the guest got where it should not: %d", (int)r.happened);
    }
    v->cpu->interrupts = core_of(v)->interrupts_enabled;
    return r.happened == SVMHW_EVENT;
}

/* ---- the run loop ---- */

static bool wakes(const struct side_cpu *cpu, const struct vlapic_poll *duty)
{
    return cpu->nmi || (cpu->interrupts && (cpu->extint || cpu->extint_message || duty->vector >= 0));
}

static void enter(struct vcpu *v)
{
    struct side_cpu *cpu = v->cpu;
    struct vlapic_svm_guest guest = { .rflags = SIDE_RFLAGS_ALWAYS | (cpu->interrupts ? SIDE_RFLAGS_IF : 0),
                                      .nmi = cpu->nmi,
                                      .extint = cpu->extint || cpu->extint_message };
    struct vlapic_svm_entry entry;

    set(v, SVMHW_RFLAGS, 8, guest.rflags);
    set(v, SVMHW_SHADOW, 8, 0);
    if (!vlapic_svm_enter(cpu->cpu, &guest, &entry)) {
        return;
    }
    if ((entry.changes & VLAPIC_SVM_CHANGED_MAPPING) != 0) {
        v->is_mapped = vlapic_svm_apic_page(cpu->cpu, &v->mapped);
    }
    set(v, SVMHW_TLB_CONTROL, 1, (entry.changes & VLAPIC_SVM_FLUSH_TLB) != 0 ? 3 : 0);
    if (entry.injected == VLAPIC_SVM_INJECTED_NMI) {
        cpu->nmi = false;
    }
    if (entry.injected == VLAPIC_SVM_INJECTED_EXTINT) {
        cpu->extint_message = false;
        v->extint_injected = true;
    }
    v->single_step = (entry.changes & VLAPIC_SVM_SINGLE_STEP) != 0;
    v->in_guest = true;
    (void)take_result(v, svmhw_vmrun(core_of(v), pa(page_of(v, VMCB))));
}

/* The guest goes on: an NMI handler to its IRET; nothing else does anything by itself. */
static bool run(struct vcpu *v)
{
    struct svmhw_core *core = core_of(v);
    struct svmhw_result r;

    core->instruction_length = 2;
    r = v->in_nmi ? svmhw_iret(core, v->interrupts_before_nmi) : svmhw_boundary(core);
    if (v->in_nmi && r.happened == SVMHW_DONE) {
        v->in_nmi = false;
        v->cpu->interrupts = core->interrupts_enabled;
        if (v->single_step) {
            svmhw_physical_raise(core, SVMHW_PHYSICAL_INTR, KICK); /* in the place of a #DB */
        }
        return true;
    }
    return take_result(v, r);
}

static void settle(struct side_cpu *cpu)
{
    struct vcpu *v = vcpu_of(cpu);
    struct vlapic_poll duty;

    for (;;) {
        host_interrupts();
        if (v->in_guest) {
            if (!run(v)) {
                return;
            }
            continue;
        }
        if (v->asleep) {
            if (!cpu->kicked) {
                return;
            }
            v->asleep = false;
            vlapic_cpu_exit(cpu->cpu);
        }
        if (!v->loaded) {
            load(v);
        }
        side_poll(cpu, &duty);
        if (cpu->waits_for_sipi || (cpu->halted && !wakes(cpu, &duty))) {
            v->asleep = vlapic_cpu_halt(cpu->cpu);
            if (v->asleep) {
                return;
            }
            continue;
        }
        cpu->halted = false;
        enter(v);
    }
}

static void leave(struct side_cpu *cpu)
{
    struct vcpu *v = vcpu_of(cpu);

    while (v->in_guest) {
        svmhw_physical_raise(core_of(v), SVMHW_PHYSICAL_INTR, KICK);
        (void)run(v);
    }
}

static void end(struct side_cpu *cpu)
{
    struct vcpu *v = vcpu_of(cpu);

    if (v->asleep) {
        vlapic_cpu_exit(cpu->cpu);
    }
    if (v->loaded) {
        put(v);
    }
}

static void kick(struct side_cpu *cpu)
{
    struct vcpu *v = vcpu_of(cpu);

    if (v != NULL && v->in_guest) {
        svmhw_physical_raise(core_of(v), SVMHW_PHYSICAL_INTR, KICK);
    }
}

/* ---- the guest ---- */

static struct svmhw_result execute(struct vcpu *v, struct side_access *a)
{
    struct svmhw_core *core = core_of(v);
    uint64_t window = vlapic_cpu_apic_base(v->cpu->cpu) & ~0xFFFull;

    side_guest_compose(&v->guest, a, window);
    core->instruction_length = (uint8_t)v->guest.code_bytes;
    memcpy(core->instruction_bytes, v->guest.code, v->guest.code_bytes);
    switch (a->kind) {
    case SIDE_MMIO_READ:
        return svmhw_mmio_read(core, window + a->where, a->length);
    case SIDE_MMIO_WRITE:
        return svmhw_mmio_write(core, window + a->where, a->length, a->value);
    case SIDE_RDMSR:
        return svmhw_rdmsr(core, a->where);
    case SIDE_WRMSR:
        return svmhw_wrmsr(core, a->where, a->value);
    case SIDE_READ_CR8:
        return svmhw_cr8_read(core, 0);
    default:
        return svmhw_cr8_write(core, 0, a->value);
    }
}

static enum vlapic_access access(struct side_cpu *cpu, struct side_access *a)
{
    struct vcpu *v = vcpu_of(cpu);
    bool is_read = a->kind == SIDE_MMIO_READ || a->kind == SIDE_RDMSR || a->kind == SIDE_READ_CR8;
    enum vlapic_access result = VLAPIC_ACCESS_DONE;
    struct svmhw_result r;

    settle(cpu);
    if (!v->in_guest) {
        side_fail("vCPU %u does not run", cpu->index);
    }
    r = execute(v, a);
    if (r.happened == SVMHW_GP) {
        return VLAPIC_ACCESS_GP;
    }
    if (r.happened == SVMHW_DONE) {
        a->value = is_read ? r.value : a->value;
        return VLAPIC_ACCESS_DONE;
    }
    if (r.happened != SVMHW_EXIT) {
        side_fail("access %d of %x: %d", (int)a->kind, a->where, (int)r.happened);
    }
    switch (take_exit(v)) {
    case VLAPIC_SVM_GP:
        result = VLAPIC_ACCESS_GP;
        break;
    case VLAPIC_SVM_NOT_MINE:
        result = VLAPIC_ACCESS_NOT_MINE;
        break;
    case VLAPIC_SVM_ADVANCE:
        side_guest_fetch_value(&v->guest, a);
        break;
    default:
        break;
    }
    v->guest.code_bytes = 0;
    return result;
}

static void set_interrupts(struct side_cpu *cpu, bool on)
{
    struct vcpu *v = vcpu_of(cpu);

    if (!v->in_guest) {
        cpu->interrupts = on;
        return;
    }
    (void)take_result(v, on ? svmhw_sti(core_of(v)) : svmhw_cli(core_of(v)));
    if (v->in_guest) {
        (void)take_result(v, svmhw_nop(core_of(v))); /* the shadow of STI ends */
    }
}

static void halt(struct side_cpu *cpu)
{
    struct vcpu *v = vcpu_of(cpu);

    settle(cpu);
    if (v->in_guest) {
        (void)take_result(v, svmhw_hlt(core_of(v)));
    }
}

/* ---- the embedder's liberties ---- */

static void preempt(struct side_cpu *cpu)
{
    struct vcpu *v = vcpu_of(cpu);

    leave(cpu);
    if (v->loaded) {
        put(v);
    }
}

static void migrate(struct side_cpu *cpu)
{
    struct vcpu *v = vcpu_of(cpu);

    preempt(cpu);
    v->where = (v->where + 1) % CORES;
}

static void inhibit(struct side *side, bool on)
{
    vlapic_svm_inhibit(side->vm, VLAPIC_SVM_INHIBIT_REQUEST, on);
    for (unsigned i = 0; i < side->count; i++) {
        kick(&side->cpu[i]);
    }
}

const struct side_kind side_svm = {
    .name = "svm",
    .prepare = prepare,
    .pages = give_pages,
    .start = start,
    .end = end,
    .access = access,
    .set_interrupts = set_interrupts,
    .halt = halt,
    .settle = settle,
    .leave = leave,
    .kick = kick,
    .migrate = migrate,
    .preempt = preempt,
    .inhibit = inhibit,
};
