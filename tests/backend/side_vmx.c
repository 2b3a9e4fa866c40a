/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The vmx backend, on processors of tests/hw/apicv: each vCPU has two of them to move between. The embedder below is a short one of those
 * that docs/PORTING.md describes.
 */
#include <string.h>

#include <vlapic/vmx_run.h>

#include "apicv.h"
#include "side.h"
#include "side_vmx.h"

#define PCPUS (2 * SIDE_CPUS)
#define PAGES 3 /* a vCPU: register page, descriptor, MSR bitmap */
#define PAGE 4096u
#define POOL 0x01000000ull
#define APIC_ACCESS 0x02000000ull
#define KICK 0xF0
#define NOTIFICATION 0xF2
#define WAKEUP 0xF3
#define RFLAGS_ALWAYS 2u
#define RFLAGS_IF 0x200u
#define SHADOW (APICV_BLOCKING_STI | APICV_BLOCKING_MOV_SS)
#define TOO_MANY 1000
#define NOT_THERE 0x1000u /* in guest-physical memory */
#define RAX 0
#define RCX 1
#define RDX 2
#define RDI 7

struct vcpu;

struct pcpu {
    struct apicv_cpu core;
    struct apicv_host host;
    struct vcpu *running;
};

struct vcpu {
    struct side_cpu *cpu;
    struct apicv_vmcs vmcs;
    unsigned where;
    bool loaded, in_guest, asleep, blocked;
    uint32_t blocked_at;
    bool is_mapped;
    uint64_t mapped;
    uint64_t reg[16];
    uint8_t code[8];
    unsigned code_bytes;
    bool extint_injected;
    uint32_t interruptibility; /* at the last exit */
    unsigned shadows, stuck;
};

static struct pcpu pcpus[PCPUS];
static struct vcpu vcpus[SIDE_CPUS];
static _Alignas(4096) uint8_t pool[SIDE_CPUS * PAGES + 1][PAGE];

static struct vcpu *vcpu_of(struct side_cpu *cpu)
{
    return cpu->hardware;
}

static struct apicv_cpu *core_of(struct vcpu *v)
{
    return &pcpus[v->where].core;
}

static uint64_t page_pa(unsigned number)
{
    return POOL + (uint64_t)number * PAGE;
}

/* ---- what is around the processors ---- */

static uint8_t *memory(void *context, uint64_t pa, size_t bytes)
{
    (void)context;
    return pa >= POOL && pa + bytes <= POOL + sizeof pool ? &pool[0][0] + (pa - POOL) : NULL;
}

/* The guest has no memory but its APIC's window. */
static bool translate(void *context, uint64_t guest_physical, uint64_t *physical, bool *large)
{
    const struct vcpu *v = ((struct pcpu *)context)->running;

    if (!v->is_mapped || (guest_physical & ~0xFFFull) != v->mapped) {
        return false;
    }
    *physical = APIC_ACCESS | (guest_physical & 0xFFF);
    *large = false;
    return true;
}

static void send_ipi(void *context, uint32_t destination, uint8_t vector)
{
    (void)context;
    if (destination >= PCPUS) {
        side_fail("an IPI to physical APIC ID %u", destination);
    }
    apicv_interrupt_arrives(&pcpus[destination].core, vector);
}

/* ---- the backend's host ---- */

static void vmwrite(void *cookie, uint32_t field, uint64_t value)
{
    struct vcpu *v = vcpu_of(cookie);

    if (!v->loaded || v->in_guest || apicv_vmwrite(core_of(v), field, value) != APICV_VM_OK) {
        side_fail("VMWRITE of %04Xh", field);
    }
}

static uint64_t vmread(void *cookie, uint32_t field)
{
    struct vcpu *v = vcpu_of(cookie);
    uint64_t value = 0;

    if (!v->loaded || v->in_guest || apicv_vmread(core_of(v), field, &value) != APICV_VM_OK) {
        side_fail("VMREAD of %04Xh", field);
    }
    return value;
}

static uint8_t *msr_bitmap(void *cookie)
{
    return pool[((struct side_cpu *)cookie)->index * PAGES + 2];
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

static void notify(void *cookie, uint32_t apic_id, uint8_t vector)
{
    (void)cookie;
    send_ipi(NULL, apic_id, vector);
}

static void blocked(void *cookie, uint32_t apic_id, bool is_blocked)
{
    struct vcpu *v = vcpu_of(cookie);

    v->blocked = is_blocked;
    v->blocked_at = apic_id;
}

static size_t fetch(void *cookie, uint8_t *bytes, size_t size, enum vlapic_decode_mode *mode)
{
    const struct vcpu *v = vcpu_of(cookie);

    (void)size;
    memcpy(bytes, v->code, v->code_bytes);
    *mode = VLAPIC_DECODE_MODE_64;
    return v->code_bytes;
}

static uint64_t read_register(void *cookie, uint32_t reg)
{
    const struct vcpu *v = vcpu_of(cookie);

    return reg < 16 ? v->reg[reg] : reg == VLAPIC_DECODE_RFLAGS ? RFLAGS_ALWAYS : 0x1000;
}

static void write_register(void *cookie, uint32_t reg, uint64_t value)
{
    if (reg < 16) {
        vcpu_of(cookie)->reg[reg] = value;
    }
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
    .acknowledge_extint = acknowledge_extint,
    .physical_apic_id = physical_apic_id,
    .notify = notify,
    .blocked = blocked,
    .fetch = fetch,
    .guest = &guest_ops,
};

/* ---- life ---- */

static uint64_t capability(const struct apicv_caps *caps, uint32_t msr)
{
    uint64_t value = 0;

    return apicv_capability_msr(caps, msr, &value) ? value : 0;
}

struct vlapic_vmx_config side_vmx_config(const struct apicv_caps *caps)
{
    struct vlapic_vmx_config config;

    if (vlapic_vmx_config_defaults(&config, sizeof config) != VLAPIC_OK) {
        side_fail("vmx defaults");
    }
    config.capabilities = (struct vlapic_vmx_capabilities){
        .pin = capability(caps, APICV_MSR_TRUE_PINBASED),
        .primary = capability(caps, APICV_MSR_TRUE_PROCBASED),
        .secondary = capability(caps, APICV_MSR_PROCBASED2),
        .tertiary = capability(caps, APICV_MSR_PROCBASED3),
        .exit = capability(caps, APICV_MSR_TRUE_EXIT),
    };
    config.ops = &ops;
    config.apic_access_page = APIC_ACCESS;
    config.notification_vector = NOTIFICATION;
    config.wakeup_vector = WAKEUP;
    config.pid_table = (struct vlapic_page){ .va = pool[SIDE_CPUS * PAGES], .pa = page_pa(SIDE_CPUS * PAGES) };
    config.pid_table_entries = PAGE / 8;
    return config;
}

static struct vlapic_vmx_config vmx;

static void prepare(struct side *side)
{
    struct apicv_caps caps = apicv_caps_sapphire_rapids();

    memset(pool, 0, sizeof pool);
    vmx = side_vmx_config(&caps);
    vmx.features = side->features;
    vmx.watch = side->watch;
    vmx.watch_given = (side->watch.word[0] & 1) == 0; /* with vector 0 in the set, that of the backend's own making */
    vmx.host_x2apic = side->config.max_lvt == 6;
    for (unsigned i = 0; i < PCPUS; i++) {
        struct pcpu *p = &pcpus[i];

        p->running = NULL;
        p->host = (struct apicv_host){ .context = p, .memory = memory, .translate = translate, .send_ipi = send_ipi };
        apicv_cpu_init(&p->core, caps, &p->host);
        p->core.host_x2apic = vmx.host_x2apic;
    }
    side->config.backend = &vlapic_backend_vmx;
    side->config.backend_config = &vmx;
}

static void give_pages(struct side_cpu *cpu, struct vlapic_page *pages, uint32_t count)
{
    cpu->hardware = &vcpus[cpu->index];
    for (uint32_t i = 0; i < count; i++) {
        unsigned number = cpu->index * PAGES + i;

        memset(pool[number], 0, PAGE);
        pages[i] = (struct vlapic_page){ .va = pool[number], .pa = page_pa(number) };
    }
}

static void set_field(struct vcpu *v, uint32_t field, uint64_t value)
{
    vmwrite(v->cpu, field, value);
}

/* What the embedder itself wants of the processor. */
static void set_up_vmcs(struct vcpu *v)
{
    const struct apicv_caps *caps = &core_of(v)->caps;

    set_field(v, APICV_PIN_CONTROLS,
              (uint32_t)capability(caps, APICV_MSR_TRUE_PINBASED) | APICV_PIN_EXTERNAL_INTERRUPT_EXITING |
                  APICV_PIN_NMI_EXITING | APICV_PIN_VIRTUAL_NMIS);
    set_field(v, APICV_PRIMARY_CONTROLS,
              (uint32_t)capability(caps, APICV_MSR_TRUE_PROCBASED) | APICV_PRIMARY_HLT_EXITING |
                  APICV_PRIMARY_MSR_BITMAPS | APICV_PRIMARY_SECONDARY);
    set_field(v, APICV_SECONDARY_CONTROLS, APICV_SECONDARY_EPT);
    set_field(v, APICV_EXIT_CONTROLS,
              (uint32_t)capability(caps, APICV_MSR_TRUE_EXIT) | APICV_EXIT_ACKNOWLEDGE_INTERRUPT);
    set_field(v, APICV_ENTRY_CONTROLS, (uint32_t)capability(caps, APICV_MSR_TRUE_ENTRY));
    set_field(v, APICV_MSR_BITMAP, page_pa(v->cpu->index * PAGES + 2));
}

static void load(struct vcpu *v)
{
    if (!apicv_vmptrld(core_of(v), &v->vmcs)) {
        side_fail("VMPTRLD");
    }
    pcpus[v->where].running = v;
    v->loaded = true;
    vlapic_cpu_load(v->cpu->cpu);
}

static void put(struct vcpu *v)
{
    vlapic_cpu_put(v->cpu->cpu);
    if (!apicv_vmclear(core_of(v), &v->vmcs)) {
        side_fail("VMCLEAR");
    }
    pcpus[v->where].running = NULL;
    v->loaded = false;
}

static void start(struct side_cpu *cpu)
{
    struct vcpu *v = vcpu_of(cpu);

    *v = (struct vcpu){ .cpu = cpu, .where = 2 * cpu->index };
    apicv_vmcs_init(&v->vmcs);
    load(v);
    set_up_vmcs(v);
}

/* ---- exits and deliveries ---- */

/* The host's handlers. */
static void host_vector(unsigned pcpu, unsigned vector)
{
    if (vector != WAKEUP) {
        return;
    }
    for (unsigned i = 0; i < SIDE_CPUS; i++) {
        struct vcpu *v = &vcpus[i];

        if (v->cpu != NULL && v->blocked && v->blocked_at == pcpu && vlapic_vmx_is_outstanding(v->cpu->cpu)) {
            v->cpu->kicked = true;
        }
    }
}

static void host_interrupts(void)
{
    for (unsigned i = 0; i < PCPUS; i++) {
        while (!pcpus[i].core.in_guest) {
            int vector = apicv_host_takes_interrupt(&pcpus[i].core);

            if (vector < 0) {
                break;
            }
            host_vector(i, (unsigned)vector);
        }
    }
}

static void log_delivery(struct vcpu *v, const struct apicv_result *r)
{
    enum side_event_kind kind = r->type == APICV_EVENT_NMI ? SIDE_NMI : SIDE_VECTOR;

    side_log(&v->cpu->log, v->extint_injected ? SIDE_EXTINT : kind, r->vector);
    v->cpu->halted = false;
}

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

    if ((r->exit.reason >> 31) != 0) {
        side_fail("VM entry failed, reason %u", exit.reason);
    }
    v->in_guest = false;
    v->cpu->interrupts = (core_of(v)->guest.rflags & RFLAGS_IF) != 0;
    (void)apicv_vmread(core_of(v), APICV_GUEST_PHYSICAL_ADDRESS, &exit.guest_physical);
    v->interruptibility = (uint32_t)vmread(v->cpu, APICV_GUEST_INTERRUPTIBILITY);
    result = vlapic_vmx_exit(v->cpu->cpu, &exit, &length);
    if (result == VLAPIC_VMX_UNSUPPORTED) {
        side_fail("exit %u, qualification %llx was not finished", exit.reason, (unsigned long long)exit.qualification);
    }
    if (result == VLAPIC_VMX_ADVANCE && (v->code_bytes != 0 && length != v->code_bytes)) {
        side_fail("exit %u: length %u, not %u", exit.reason, length, v->code_bytes);
    }
    if (exit.reason == 1) {
        host_vector(v->where, r->exit.interruption & 0xFF);
    }
    if (exit.reason == 12) {
        v->cpu->halted = true;
    }
    if (result == VLAPIC_VMX_ADVANCE || exit.reason == 12) {
        v->interruptibility &= ~SHADOW; /* the instruction is finished */
    }
    return result;
}

/* True if something came of it: a delivery, an exit. */
static bool take_result(struct vcpu *v, struct apicv_result r)
{
    bool was_on = v->cpu->interrupts;
    bool news = r.delivered || r.outcome == APICV_EXIT;

    if (r.delivered) {
        log_delivery(v, &r);
    }
    v->extint_injected = false;
    if (r.outcome == APICV_EXIT) {
        (void)take_exit(v, &r);
    } else if (r.delivered && r.type == APICV_EVENT_NMI) {
        (void)take_result(v, apicv_guest_iret(core_of(v), was_on)); /* a short handler */
    }
    if (v->in_guest) {
        v->cpu->interrupts = (core_of(v)->guest.rflags & RFLAGS_IF) != 0;
    }
    return news;
}

/* ---- the run loop ---- */

static bool wakes(const struct side_cpu *cpu, const struct vlapic_poll *duty)
{
    return cpu->nmi || (cpu->interrupts && (cpu->extint || cpu->extint_message || duty->vector >= 0));
}

/* The instruction in the shadow of an STI, in which an exit came. A window that opens before it would be there for ever. */
static void finish_shadow(struct vcpu *v)
{
    while (v->in_guest && take_result(v, apicv_boundary(core_of(v)))) {
    }
    if (v->in_guest) {
        (void)take_result(v, apicv_guest_nop(core_of(v)));
        v->stuck = 0;
    } else if (++v->stuck > TOO_MANY) {
        side_fail("vCPU %u exits for ever", v->cpu->index);
    }
}

static void enter(struct vcpu *v)
{
    struct side_cpu *cpu = v->cpu;
    struct vlapic_vmx_guest guest = { .rflags = RFLAGS_ALWAYS | (cpu->interrupts ? RFLAGS_IF : 0),
                                      .interruptibility = v->interruptibility,
                                      .nmi = cpu->nmi,
                                      .extint = cpu->extint || cpu->extint_message };
    struct vlapic_vmx_entry entry;
    struct apicv_result r;

    set_field(v, APICV_GUEST_RFLAGS, guest.rflags);
    set_field(v, APICV_GUEST_INTERRUPTIBILITY, guest.interruptibility);
    set_field(v, APICV_GUEST_ACTIVITY, APICV_ACTIVE);
    if (!vlapic_vmx_enter(cpu->cpu, &guest, &entry)) {
        return;
    }
    if ((entry.changes & VLAPIC_VMX_CHANGED_MAPPING) != 0) {
        v->is_mapped = vlapic_vmx_apic_page(cpu->cpu, &v->mapped);
    }
    if (entry.injected == VLAPIC_VMX_INJECTED_NMI) {
        cpu->nmi = false;
    }
    if (entry.injected == VLAPIC_VMX_INJECTED_EXTINT) {
        cpu->extint_message = false;
        v->extint_injected = true;
    }
    r = apicv_enter(core_of(v));
    if (r.outcome == APICV_VMFAIL) {
        side_fail("VM entry: check %d failed", (int)r.check);
    }
    v->in_guest = true;
    (void)take_result(v, r);
    if ((guest.interruptibility & SHADOW) != 0) {
        finish_shadow(v);
    }
}

static void settle(struct side_cpu *cpu)
{
    struct vcpu *v = vcpu_of(cpu);
    struct vlapic_poll duty;

    for (;;) {
        host_interrupts();
        if (v->in_guest) {
            if (!take_result(v, apicv_boundary(core_of(v)))) {
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
        apicv_interrupt_arrives(core_of(v), KICK);
        (void)take_result(v, apicv_boundary(core_of(v)));
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
    v->cpu = NULL;
}

static void kick(struct side_cpu *cpu)
{
    struct vcpu *v = vcpu_of(cpu);

    if (v != NULL && v->in_guest) {
        apicv_interrupt_arrives(core_of(v), KICK);
    }
}

/* ---- the guest ---- */

static void set_code(struct vcpu *v, bool write, uint32_t length)
{
    uint8_t *code = v->code;

    if (length == 2) {
        *code++ = 0x66;
    }
    if (length == 8) {
        *code++ = 0x48;
    }
    *code++ = (uint8_t)((write ? 0x88 : 0x8A) | (length != 1)); /* MOV [RDI], RAX or MOV RAX, [RDI] */
    *code++ = 0x07;
    v->code_bytes = (unsigned)(code - v->code);
}

static uint64_t low_bytes(uint64_t value, uint32_t length)
{
    return length == 8 ? value : value & ((1ull << (8 * length)) - 1);
}

static struct apicv_result execute(struct vcpu *v, struct side_access *a)
{
    struct apicv_cpu *core = core_of(v);
    uint64_t window = vlapic_cpu_apic_base(v->cpu->cpu) & ~0xFFFull;

    v->reg[RAX] = a->value;
    v->reg[RDX] = a->value >> 32;
    v->reg[RCX] = a->where;
    v->reg[RDI] = window + a->where;
    v->code_bytes = 0;
    core->guest.instruction_length = 2;
    switch (a->kind) {
    case SIDE_MMIO_READ:
        set_code(v, false, a->length);
        core->guest.instruction_length = v->code_bytes;
        return apicv_guest_read(core, v->reg[RDI], a->length, &a->value);
    case SIDE_MMIO_WRITE:
        set_code(v, true, a->length);
        core->guest.instruction_length = v->code_bytes;
        return apicv_guest_write(core, v->reg[RDI], a->length, a->value);
    case SIDE_RDMSR:
        return apicv_guest_rdmsr(core, a->where, &a->value);
    case SIDE_WRMSR:
        v->reg[RAX] = (uint32_t)a->value;
        return apicv_guest_wrmsr(core, a->where, a->value);
    case SIDE_READ_CR8:
        return apicv_guest_read_cr8(core, RAX, &a->value);
    default:
        return apicv_guest_write_cr8(core, RAX, a->value);
    }
}

/* The value of a read that exited is in the registers. */
static void fetch_value(const struct vcpu *v, struct side_access *a)
{
    switch (a->kind) {
    case SIDE_MMIO_READ:
        a->value = low_bytes(v->reg[RAX], a->length);
        break;
    case SIDE_RDMSR:
        a->value = v->reg[RDX] << 32 | (uint32_t)v->reg[RAX];
        break;
    case SIDE_READ_CR8:
        a->value = v->reg[RAX];
        break;
    default:
        break;
    }
}

static enum vlapic_access access(struct side_cpu *cpu, struct side_access *a)
{
    struct vcpu *v = vcpu_of(cpu);
    struct apicv_result r;

    if (!v->in_guest) {
        settle(cpu);
    }
    if (!v->in_guest) {
        side_fail("vCPU %u does not run", cpu->index);
    }
    r = execute(v, a);
    if (r.outcome == APICV_HOST_ACCESS) {
        side_fail("the guest reached the host's register %x", a->where);
    }
    if (r.outcome == APICV_GP) {
        return VLAPIC_ACCESS_GP;
    }
    if (r.outcome != APICV_EXIT) {
        return VLAPIC_ACCESS_DONE;
    }
    switch (take_exit(v, &r)) {
    case VLAPIC_VMX_GP:
        return VLAPIC_ACCESS_GP;
    case VLAPIC_VMX_NOT_MINE:
        return VLAPIC_ACCESS_NOT_MINE;
    case VLAPIC_VMX_ADVANCE:
        fetch_value(v, a);
        return VLAPIC_ACCESS_DONE;
    default:
        return VLAPIC_ACCESS_DONE;
    }
}

static void set_interrupts(struct side_cpu *cpu, bool on)
{
    struct vcpu *v = vcpu_of(cpu);
    uint64_t value = 0;

    if (!v->in_guest) {
        cpu->interrupts = on;
        return;
    }
    if (on) {
        (void)take_result(v, apicv_guest_sti(core_of(v)));
        if (v->in_guest && v->shadows++ % 2 == 1) {
            (void)take_result(v, apicv_guest_read(core_of(v), NOT_THERE, 4, &value)); /* say, the host swapped it out */
        }
    } else {
        (void)take_result(v, apicv_guest_cli(core_of(v)));
    }
    if (v->in_guest) {
        (void)take_result(v, apicv_guest_nop(core_of(v))); /* the shadow of STI ends */
    }
}

static void halt(struct side_cpu *cpu)
{
    struct vcpu *v = vcpu_of(cpu);

    if (!v->in_guest) {
        settle(cpu);
    }
    if (v->in_guest) {
        (void)take_result(v, apicv_guest_hlt(core_of(v)));
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
    preempt(cpu);
    vcpu_of(cpu)->where ^= 1;
}

static void inhibit(struct side *side, bool on)
{
    vlapic_vmx_inhibit(side->vm, VLAPIC_VMX_INHIBIT_REQUEST, on);
    for (unsigned i = 0; i < side->count; i++) {
        kick(&side->cpu[i]);
    }
}

const struct side_kind side_vmx = {
    .name = "vmx",
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
