/* SPDX-License-Identifier: BSD-2-Clause */
/* The embedder of threaded.h. */
#include "threaded.h"

#include <sched.h>
#include <string.h>
#include <time.h>

#define POOL 0x01000000ull
#define APIC_ACCESS 0x02000000ull
#define KICK 0xF0
#define NOTIFICATION 0xF2
#define WAKEUP 0xF3
#define NOWHERE UINT32_MAX
#define RFLAGS_ALWAYS 2u
#define RFLAGS_IF 0x200u
#define RAX 0
#define RCX 1
#define RDX 2
#define REASON_EXTERNAL_INTERRUPT 1
#define REASON_CPUID 10
#define REASON_HLT 12
#define MOST_STEPS 4u

static unsigned chance(struct vcpu *v, unsigned of)
{
    v->random = v->random * 6364136223846793005ull + 1442695040888963407ull;
    return (unsigned)(v->random >> 33) % of;
}

static struct apicv_cpu *core_of(struct vcpu *v)
{
    return &v->machine->physical[__atomic_load_n(&v->where, __ATOMIC_SEQ_CST)].core;
}

/* ---- telling the thread ---- */

static void poke(struct vcpu *v)
{
    pthread_mutex_lock(&v->lock);
    v->poked = true;
    pthread_cond_signal(&v->wake);
    pthread_mutex_unlock(&v->lock);
}

static void wait_until_poked(struct vcpu *v)
{
    struct timespec until;
    int timed_out = 0;

    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_SECONDS;
    pthread_mutex_lock(&v->lock);
    while (!v->poked && timed_out == 0) {
        timed_out = pthread_cond_timedwait(&v->wake, &v->lock, &until);
    }
    v->poked = false;
    pthread_mutex_unlock(&v->lock);
    CHECK(timed_out == 0, "vCPU %u was left %s", v->index, v->in_guest ? "in the guest" : "asleep");
}

/* Some interrupts are long on their way: the vCPU may have left meanwhile. */
static void send(struct machine *m, uint32_t destination, uint8_t vector)
{
    CHECK(destination < PHYSICAL_CPUS, "an IPI to physical APIC ID %u", destination);
    if (__atomic_fetch_add(&m->sent, 1u, __ATOMIC_RELAXED) % 4 == 0) {
        sched_yield();
    }
    apicv_interrupt_arrives(&m->physical[destination].core, vector);
    poke(&m->vcpu[destination / 2]);
}

static void send_ipi(void *context, uint32_t destination, uint8_t vector)
{
    send(((struct physical_cpu *)context)->machine, destination, vector);
}

void device_posts(struct machine *m, unsigned target, uint8_t vector)
{
    uint64_t offset = vlapic_vmx_descriptor(m->vcpu[target].cpu) - POOL;
    uint64_t *descriptor = (uint64_t *)(void *)((uint8_t *)m->pages + offset);
    uint64_t control;

    __atomic_fetch_or(&descriptor[vector / 64], 1ull << vector % 64, __ATOMIC_SEQ_CST);
    control = __atomic_load_n(&descriptor[4], __ATOMIC_SEQ_CST);
    do {
        if ((control & (APICV_DESCRIPTOR_ON | APICV_DESCRIPTOR_SN)) != 0) {
            return;
        }
    } while (!__atomic_compare_exchange_n(&descriptor[4], &control, control | APICV_DESCRIPTOR_ON, false,
                                          __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
    send(m, (uint32_t)(control >> 32), (uint8_t)(control >> 16));
}

/* ---- the host's callbacks ---- */

static uint64_t now_ns(void *cookie)
{
    (void)cookie;
    return 0;
}

static void arm(void *cookie, uint64_t deadline)
{
    (void)cookie;
    (void)deadline;
}

static void cancel(void *cookie)
{
    (void)cookie;
}

static void kick(void *cookie)
{
    struct vcpu *v = cookie;

    __atomic_store_n(&v->kicked, true, __ATOMIC_SEQ_CST);
    send(v->machine, __atomic_load_n(&v->where, __ATOMIC_SEQ_CST), KICK);
}

static void eoi_broadcast(void *cookie, uint8_t vector)
{
    struct machine *m = cookie;

    m->guest->broadcast(m, vector);
}

static const struct vlapic_host_ops host = {
    .size = sizeof host,
    .abi = VLAPIC_HOST_ABI,
    .now_ns = now_ns,
    .timer_arm_ns = arm,
    .timer_cancel = cancel,
    .kick = kick,
    .eoi_broadcast = eoi_broadcast,
};

/* ---- the backend's ---- */

static void vmwrite(void *cookie, uint32_t field, uint64_t value)
{
    struct vcpu *v = cookie;

    CHECK(v->loaded && !v->in_guest && apicv_vmwrite(core_of(v), field, value) == APICV_VM_OK, "VMWRITE of %04Xh",
          field);
}

static uint64_t vmread(void *cookie, uint32_t field)
{
    struct vcpu *v = cookie;
    uint64_t value = 0;

    CHECK(v->loaded && !v->in_guest && apicv_vmread(core_of(v), field, &value) == APICV_VM_OK, "VMREAD of %04Xh",
          field);
    return value;
}

static uint8_t *page_of(const struct vcpu *v, unsigned number)
{
    return v->machine->pages[(size_t)v->index * PAGES_OF_A_VCPU + number];
}

static uint64_t page_pa(unsigned number)
{
    return POOL + (uint64_t)number * PAGE_BYTES;
}

static uint8_t *msr_bitmap(void *cookie)
{
    return page_of(cookie, 2);
}

static uint32_t physical_apic_id(void *cookie)
{
    return __atomic_load_n(&((struct vcpu *)cookie)->where, __ATOMIC_SEQ_CST);
}

static void notify(void *cookie, uint32_t apic_id, uint8_t vector)
{
    send(((struct vcpu *)cookie)->machine, apic_id, vector);
}

static void blocked(void *cookie, uint32_t apic_id, bool is_blocked)
{
    struct vcpu *v = cookie;

    CHECK(v->listed_at == (is_blocked ? NOWHERE : apic_id), "vCPU %u is in the list of %u", v->index, v->listed_at);
    v->listed_at = is_blocked ? apic_id : NOWHERE;
}

static uint64_t read_register(void *cookie, uint32_t reg)
{
    return ((const struct vcpu *)cookie)->reg[reg % 16];
}

static void write_register(void *cookie, uint32_t reg, uint64_t value)
{
    ((struct vcpu *)cookie)->reg[reg % 16] = value;
}

static const struct vlapic_decode_ops guest_ops = {
    .size = sizeof guest_ops,
    .abi = VLAPIC_DECODE_ABI,
    .read_register = read_register,
    .write_register = write_register,
};

static const struct vlapic_vmx_ops ops = {
    .size = sizeof ops,
    .abi = VLAPIC_VMX_ABI,
    .vmwrite = vmwrite,
    .vmread = vmread,
    .msr_bitmap = msr_bitmap,
    .physical_apic_id = physical_apic_id,
    .notify = notify,
    .blocked = blocked,
    .guest = &guest_ops,
};

/* ---- loading ---- */

static void load(struct vcpu *v)
{
    CHECK(apicv_vmptrld(core_of(v), &v->vmcs), "VMPTRLD");
    v->loaded = true;
    vlapic_cpu_load(v->cpu);
}

static void put(struct vcpu *v)
{
    vlapic_cpu_put(v->cpu);
    CHECK(apicv_vmclear(core_of(v), &v->vmcs), "VMCLEAR");
    v->loaded = false;
    sched_yield();
}

/* The host's scheduler takes the thread away, and brings it back on either physical CPU. */
static void reschedule(struct vcpu *v)
{
    if (v->loaded) {
        put(v);
    }
    if (chance(v, 4) == 0) {
        return; /* on it, for something else */
    }
    __atomic_store_n(&v->where, 2 * v->index + chance(v, 2), __ATOMIC_SEQ_CST);
    load(v);
}

/* ---- the host's interrupt handlers ---- */

static void host_vector(struct vcpu *v, unsigned physical, int vector)
{
    if (vector == WAKEUP && v->listed_at == physical && vlapic_vmx_is_outstanding(v->cpu)) {
        __atomic_store_n(&v->kicked, true, __ATOMIC_SEQ_CST);
    }
}

static void host_interrupts(struct vcpu *v)
{
    for (unsigned i = 2 * v->index; i < 2 * v->index + 2; i++) {
        struct apicv_cpu *core = &v->machine->physical[i].core;

        for (int vector = 0; !core->in_guest && vector >= 0;) {
            vector = apicv_host_takes_interrupt(core);
            host_vector(v, i, vector);
        }
    }
}

/* ---- exits and deliveries ---- */

static enum vlapic_vmx_result take_exit(struct vcpu *v, const struct apicv_result *r)
{
    struct vlapic_vmx_exit exit = {
        .reason = r->exit.reason & 0xFFFF,
        .instruction_length = r->exit.instruction_length,
        .qualification = r->exit.qualification,
        .vectoring = r->exit.idt_vectoring,
    };
    enum vlapic_vmx_result result;
    uint32_t length;

    CHECK(r->exit.reason >> 31 == 0, "VM entry failed, reason %u", exit.reason);
    v->in_guest = false;
    v->interrupts = (core_of(v)->guest.rflags & RFLAGS_IF) != 0;
    if (exit.reason == REASON_EXTERNAL_INTERRUPT) {
        host_vector(v, physical_apic_id(v), (int)(r->exit.interruption & 0xFF));
    }
    result = vlapic_vmx_exit(v->cpu, &exit, &length);
    CHECK(result != VLAPIC_VMX_UNSUPPORTED && result != VLAPIC_VMX_GP, "exit %u, result %d", exit.reason, (int)result);
    v->halted = exit.reason == REASON_HLT;
    return result;
}

static void take(struct vcpu *v, struct apicv_result r)
{
    bool was_on = v->interrupts;

    if (r.delivered && r.type == APICV_EVENT_EXTERNAL) {
        CHECK(v->vector < 0, "vector %02x is delivered before the handler of %02x ran", r.vector, (unsigned)v->vector);
        v->vector = r.vector;
    }
    if (r.outcome == APICV_EXIT) {
        (void)take_exit(v, &r);
        return;
    }
    if (r.delivered && r.type == APICV_EVENT_NMI) {
        v->machine->guest->nmi(v);
        r = apicv_guest_iret(core_of(v), was_on);
        CHECK(r.outcome == APICV_DONE, "IRET");
    }
    v->interrupts = (core_of(v)->guest.rflags & RFLAGS_IF) != 0;
}

/* ---- the run loop ---- */

static bool is_over(const struct vcpu *v)
{
    return __atomic_load_n(&v->machine->stop, __ATOMIC_SEQ_CST);
}

static void sleep_until_kicked(struct vcpu *v)
{
    if (chance(v, 4) == 0 && v->loaded) {
        put(v);
    }
    if (!vlapic_cpu_halt(v->cpu)) {
        return;
    }
    for (;;) {
        host_interrupts(v);
        if (__atomic_load_n(&v->kicked, __ATOMIC_SEQ_CST) || is_over(v)) {
            break;
        }
        if (chance(v, 2)) {
            reschedule(v);
        }
        wait_until_poked(v);
    }
    vlapic_cpu_exit(v->cpu);
}

static void enter(struct vcpu *v)
{
    struct vlapic_vmx_guest guest = { .rflags = RFLAGS_ALWAYS | (v->interrupts ? RFLAGS_IF : 0), .nmi = v->nmi };
    struct vlapic_vmx_entry entry;
    struct apicv_result r;

    vmwrite(v, APICV_GUEST_RFLAGS, guest.rflags);
    vmwrite(v, APICV_GUEST_INTERRUPTIBILITY, 0);
    vmwrite(v, APICV_GUEST_ACTIVITY, APICV_ACTIVE);
    if (!vlapic_vmx_enter(v->cpu, &guest, &entry)) {
        return;
    }
    if (entry.injected == VLAPIC_VMX_INJECTED_NMI) {
        v->nmi = false;
    }
    if (chance(v, 16) == 0) {
        vlapic_vmx_cancel(v->cpu);
        return;
    }
    r = apicv_enter(core_of(v));
    CHECK(r.outcome != APICV_VMFAIL, "VM entry: check %d failed", (int)r.check);
    v->in_guest = true;
    take(v, r);
}

static void look_at_state(struct vcpu *v)
{
    uint8_t bytes[VLAPIC_SNAPSHOT_MAX];
    size_t length;

    CHECK(vlapic_snapshot_export_cpu(v->cpu, bytes, sizeof bytes, &length) == VLAPIC_OK, "no snapshot");
}

/* In the host: towards the guest by one attempt, or to sleep. */
static void go(struct vcpu *v)
{
    struct vlapic_poll duty;

    __atomic_store_n(&v->kicked, false, __ATOMIC_SEQ_CST); /* what a kick wants is what follows */
    vlapic_cpu_poll(v->cpu, &duty);
    v->nmi = v->nmi || duty.nmi;
    if (chance(v, 16) == 0) {
        look_at_state(v);
    }
    if (v->halted && !v->nmi && duty.vector < 0) {
        sleep_until_kicked(v);
        return;
    }
    v->halted = false;
    if (chance(v, 8) == 0) {
        reschedule(v);
    }
    if (!v->loaded) {
        load(v);
    }
    enter(v);
}

/* ---- the guest ---- */

static void into_guest(struct vcpu *v)
{
    while (!v->in_guest) {
        host_interrupts(v);
        go(v);
    }
}

static void finish(struct vcpu *v, const struct apicv_result *r, uint32_t msr)
{
    CHECK(r->outcome == APICV_DONE || r->outcome == APICV_EXIT, "MSR %x: outcome %d", msr, (int)r->outcome);
    if (r->outcome == APICV_EXIT) {
        CHECK(take_exit(v, r) != VLAPIC_VMX_NOT_MINE, "MSR %x: exit %u", msr, r->exit.reason);
    }
}

uint64_t guest_rdmsr(struct vcpu *v, uint32_t msr)
{
    struct apicv_result r;
    uint64_t value = 0;

    into_guest(v);
    v->reg[RCX] = msr;
    r = apicv_guest_rdmsr(core_of(v), msr, &value);
    finish(v, &r, msr);
    return r.outcome == APICV_EXIT ? v->reg[RDX] << 32 | (uint32_t)v->reg[RAX] : value;
}

void guest_wrmsr(struct vcpu *v, uint32_t msr, uint64_t value)
{
    struct apicv_result r;

    into_guest(v);
    v->reg[RCX] = msr;
    v->reg[RAX] = (uint32_t)value;
    v->reg[RDX] = value >> 32;
    r = apicv_guest_wrmsr(core_of(v), msr, value);
    finish(v, &r, msr);
}

static void handle(struct vcpu *v)
{
    uint8_t vector = (uint8_t)v->vector;

    v->machine->guest->vector(v, vector);
    into_guest(v);
    v->vector = -1;
    take(v, apicv_guest_iret(core_of(v), true));
}

/* With interrupts off, or everything blocked by TPR, nothing is delivered. */
static void hold_off_a_while(struct vcpu *v)
{
    bool by_tpr = chance(v, 2) != 0;

    if (by_tpr) {
        guest_wrmsr(v, VLAPIC_MSR_OF(VLAPIC_REG_TPR), 0xF0);
    } else {
        take(v, apicv_guest_cli(core_of(v)));
    }
    into_guest(v);
    take(v, apicv_boundary(core_of(v)));
    CHECK(v->vector < 0, "vector %02x is delivered to a guest that takes none", (unsigned)v->vector);
    into_guest(v);
    if (by_tpr) {
        guest_wrmsr(v, VLAPIC_MSR_OF(VLAPIC_REG_TPR), 0);
    } else {
        take(v, apicv_guest_sti(core_of(v)));
        take(v, apicv_guest_nop(core_of(v))); /* the shadow of STI ends */
    }
}

static void step(struct vcpu *v)
{
    switch (chance(v, 4)) {
    case 0:
        take(v, apicv_guest_exit(core_of(v), REASON_CPUID, 0));
        break;
    case 1:
        take(v, apicv_guest_hlt(core_of(v)));
        break;
    case 2:
        hold_off_a_while(v);
        break;
    default:
        take(v, apicv_guest_nop(core_of(v)));
        break;
    }
}

/* ---- a vCPU's thread ---- */

static uint64_t capability(const struct apicv_caps *caps, uint32_t msr)
{
    uint64_t value = 0;

    return apicv_capability_msr(caps, msr, &value) ? value : 0;
}

static void set_up_vmcs(struct vcpu *v)
{
    const struct apicv_caps *caps = &core_of(v)->caps;

    vmwrite(v, APICV_PIN_CONTROLS,
            (uint32_t)capability(caps, APICV_MSR_TRUE_PINBASED) | APICV_PIN_EXTERNAL_INTERRUPT_EXITING |
                APICV_PIN_NMI_EXITING | APICV_PIN_VIRTUAL_NMIS);
    vmwrite(v, APICV_PRIMARY_CONTROLS,
            (uint32_t)capability(caps, APICV_MSR_TRUE_PROCBASED) | APICV_PRIMARY_HLT_EXITING |
                APICV_PRIMARY_MSR_BITMAPS);
    vmwrite(v, APICV_EXIT_CONTROLS, (uint32_t)capability(caps, APICV_MSR_TRUE_EXIT) | APICV_EXIT_ACKNOWLEDGE_INTERRUPT);
    vmwrite(v, APICV_ENTRY_CONTROLS, (uint32_t)capability(caps, APICV_MSR_TRUE_ENTRY));
    vmwrite(v, APICV_MSR_BITMAP, page_pa(v->index * PAGES_OF_A_VCPU + 2));
}

static void power_on(struct vcpu *v)
{
    uint64_t base = vlapic_cpu_apic_base(v->cpu) | VLAPIC_BASE_EXTD;

    apicv_vmcs_init(&v->vmcs);
    load(v);
    set_up_vmcs(v);
    CHECK(vlapic_cpu_msr_write(v->cpu, VLAPIC_MSR_APIC_BASE, base) == VLAPIC_ACCESS_DONE, "no x2APIC mode");
    CHECK(vlapic_cpu_msr_write(v->cpu, VLAPIC_MSR_OF(VLAPIC_REG_SVR), 0x1FF) == VLAPIC_ACCESS_DONE, "no SVR");
    v->interrupts = true;
    __atomic_fetch_add(&v->machine->ready, 1u, __ATOMIC_SEQ_CST);
}

static void run_once(struct vcpu *v)
{
    struct apicv_result r;

    host_interrupts(v);
    if (v->vector >= 0) {
        handle(v);
        return;
    }
    if (!v->in_guest) {
        go(v);
        return;
    }
    r = apicv_boundary(core_of(v));
    take(v, r);
    if (r.delivered || r.outcome == APICV_EXIT) {
        return;
    }
    if (v->steps > 0) {
        v->steps--;
        step(v);
    } else {
        wait_until_poked(v);
        v->steps = chance(v, MOST_STEPS);
    }
}

static void *live(void *argument)
{
    struct vcpu *v = argument;

    power_on(v);
    while (!is_over(v)) {
        run_once(v);
    }
    while (v->in_guest) {
        take(v, apicv_external_interrupt(core_of(v), KICK));
    }
    if (v->loaded) {
        put(v);
    }
    return NULL;
}

/* ---- life ---- */

static uint8_t *memory_at(void *context, uint64_t pa, size_t bytes)
{
    struct machine *m = ((struct physical_cpu *)context)->machine;

    return pa >= POOL && pa + bytes <= POOL + sizeof m->pages ? (uint8_t *)m->pages + (pa - POOL) : NULL;
}

static struct vlapic_vmx_config settings(struct machine *m, const struct apicv_caps *caps, uint32_t features)
{
    struct vlapic_vmx_config config;

    CHECK(vlapic_vmx_config_defaults(&config, sizeof config) == VLAPIC_OK, "no defaults");
    config.capabilities = (struct vlapic_vmx_capabilities){
        .pin = capability(caps, APICV_MSR_TRUE_PINBASED),
        .primary = capability(caps, APICV_MSR_TRUE_PROCBASED),
        .secondary = capability(caps, APICV_MSR_PROCBASED2),
        .tertiary = capability(caps, APICV_MSR_PROCBASED3),
        .exit = capability(caps, APICV_MSR_TRUE_EXIT),
    };
    config.features = features;
    config.ops = &ops;
    config.apic_access_page = APIC_ACCESS;
    config.notification_vector = NOTIFICATION;
    config.wakeup_vector = WAKEUP;
    config.host_x2apic = true;
    config.pid_table = (struct vlapic_page){ .va = m->pages[(size_t)VCPUS * PAGES_OF_A_VCPU],
                                             .pa = page_pa(VCPUS * PAGES_OF_A_VCPU) };
    config.pid_table_entries = PAGE_BYTES / 8;
    CHECK(vlapic_vmx_features(&config) == features, "features %x, not %x", vlapic_vmx_features(&config), features);
    return config;
}

static void *allocate(const struct vlapic_layout *layout)
{
    void *memory = aligned_alloc(PAGE_BYTES, (layout->bytes + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES);

    CHECK(memory != NULL, "no memory");
    return memory;
}

static void make_vcpu(struct machine *m, unsigned index, const struct vlapic_vm_config *config)
{
    struct vcpu *v = &m->vcpu[index];
    struct vlapic_page pages[2];
    struct vlapic_cpu_config cpu = { .size = sizeof cpu, .apic_id = index, .bsp = true, .cookie = v, .pages = pages };
    struct vlapic_layout layout;

    v->machine = m;
    v->index = index;
    v->where = 2 * index;
    v->listed_at = NOWHERE;
    v->vector = -1;
    v->random = index + 1;
    pthread_mutex_init(&v->lock, NULL);
    pthread_cond_init(&v->wake, NULL);
    for (unsigned i = 0; i < 2; i++) {
        pages[i] = (struct vlapic_page){ .va = page_of(v, i), .pa = page_pa(index * PAGES_OF_A_VCPU + i) };
    }
    CHECK(vlapic_cpu_layout(config, &layout) == VLAPIC_OK && layout.pages == 2, "no layout");
    v->memory = allocate(&layout);
    CHECK(vlapic_cpu_create(v->memory, layout.bytes, m->vm, &cpu, &v->cpu) == VLAPIC_OK, "no vCPU %u", index);
    CHECK(vlapic_cpu_attach(v->cpu) == VLAPIC_OK, "APIC ID %u in use", index);
}

void machine_make(struct machine *m, uint32_t features, const struct guest *guest)
{
    struct apicv_caps caps = apicv_caps_sapphire_rapids();
    struct vlapic_vmx_config vmx;
    struct vlapic_vm_config config;
    struct vlapic_layout layout;

    memset(m, 0, sizeof *m);
    m->guest = guest;
    vmx = settings(m, &caps, features);
    CHECK(vlapic_vm_config_defaults(&config, sizeof config, VLAPIC_VENDOR_INTEL) == VLAPIC_OK, "no defaults");
    config.cookie = m;
    config.host = &host;
    config.backend = &vlapic_backend_vmx;
    config.backend_config = &vmx;
    for (unsigned i = 0; i < PHYSICAL_CPUS; i++) {
        struct physical_cpu *p = &m->physical[i];

        p->machine = m;
        p->host = (struct apicv_host){ .context = p, .memory = memory_at, .send_ipi = send_ipi };
        apicv_cpu_init(&p->core, caps, &p->host);
    }
    CHECK(vlapic_vm_layout(&config, &layout) == VLAPIC_OK, "no layout");
    m->memory = allocate(&layout);
    CHECK(vlapic_vm_create(m->memory, layout.bytes, &config, &m->vm) == VLAPIC_OK, "no VM");
    for (unsigned i = 0; i < VCPUS; i++) {
        make_vcpu(m, i, &config);
    }
}

void machine_start(struct machine *m)
{
    for (unsigned i = 0; i < VCPUS; i++) {
        CHECK(pthread_create(&m->vcpu[i].thread, NULL, live, &m->vcpu[i]) == 0, "no thread");
    }
    while (__atomic_load_n(&m->ready, __ATOMIC_SEQ_CST) < VCPUS) {
        sched_yield();
    }
}

void machine_stop(struct machine *m)
{
    __atomic_store_n(&m->stop, true, __ATOMIC_SEQ_CST);
    for (unsigned i = 0; i < VCPUS; i++) {
        kick(&m->vcpu[i]);
        CHECK(pthread_join(m->vcpu[i].thread, NULL) == 0, "no end");
    }
}

void machine_unmake(struct machine *m)
{
    for (unsigned i = 0; i < VCPUS; i++) {
        vlapic_cpu_destroy(m->vcpu[i].cpu);
        pthread_cond_destroy(&m->vcpu[i].wake);
        pthread_mutex_destroy(&m->vcpu[i].lock);
        free(m->vcpu[i].memory);
    }
    free(m->memory);
}
