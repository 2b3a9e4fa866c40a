/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmx_rig.h"

#define RFLAGS_ALWAYS 2u
#define KICK 0xF0

static struct rig *bench; /* there is one at a time */

static struct rig_cpu *cpu_of(void *cookie)
{
    const struct fake_cpu *c = cookie;

    return &bench->cpu[c - c->owner->cpus];
}

/* ---- what is around the processor: physical addresses are those of the test's memory ---- */

static uint8_t *memory(void *context, uint64_t pa, size_t bytes)
{
    (void)context;
    (void)bytes;
    return (uint8_t *)(uintptr_t)pa;
}

static bool translate(void *context, uint64_t guest_physical, uint64_t *physical, bool *large)
{
    const struct rig *r = context;

    for (unsigned i = 0; i < r->count; i++) {
        if (r->cpu[i].core.in_guest && r->cpu[i].mapped != 0 && (guest_physical & ~0xFFFull) == r->cpu[i].mapped) {
            *physical = (uint64_t)(uintptr_t)r->apic_access | (guest_physical & 0xFFF);
            *large = false;
            return true;
        }
    }
    return false;
}

static void send_ipi(void *context, uint32_t destination, uint8_t vector)
{
    struct rig *r = context;

    for (unsigned i = 0; i < r->count; i++) {
        if (r->cpu[i].physical == destination)
            apicv_interrupt_arrives(&r->cpu[i].core, vector);
    }
}

/* ---- the backend's host ---- */

static void vmwrite(void *cookie, uint32_t field, uint64_t value)
{
    struct rig_cpu *c = cpu_of(cookie);

    assert_true(c->loaded && !c->core.in_guest);
    if (apicv_vmwrite(&c->core, field, value) != APICV_VM_OK)
        fail_msg("VMWRITE of %04Xh", field);
    if (c->writes < RIG_RECORDS)
        c->write[c->writes] = (struct rig_write){ field, value };
    c->writes++;
}

static uint64_t vmread(void *cookie, uint32_t field)
{
    struct rig_cpu *c = cpu_of(cookie);

    assert_true(c->loaded && !c->core.in_guest);
    return rig_get(c, field);
}

static uint8_t *msr_bitmap(void *cookie)
{
    return cpu_of(cookie)->bitmap;
}

static uint8_t acknowledge_extint(void *cookie)
{
    cpu_of(cookie)->acknowledged++;
    return RIG_EXTINT_VECTOR;
}

static uint32_t physical_apic_id(void *cookie)
{
    struct rig_cpu *c = cpu_of(cookie);

    assert_true(c->loaded);
    return c->physical;
}

static void record(struct rig_cpu *c, struct rig_call call)
{
    assert_true(c->calls < RIG_RECORDS);
    call.seen = *c->descriptor;
    c->call[c->calls++] = call;
}

static void notify(void *cookie, uint32_t apic_id, uint8_t vector)
{
    struct rig_cpu *c = cpu_of(cookie);

    record(c, (struct rig_call){ .kind = RIG_NOTIFY, .apic_id = apic_id, .vector = vector });
    if (c->rig->on_notify != NULL)
        c->rig->on_notify(c);
    else
        send_ipi(c->rig, apic_id, vector);
}

static void blocked(void *cookie, uint32_t apic_id, bool is_blocked)
{
    record(cpu_of(cookie), (struct rig_call){ .kind = is_blocked ? RIG_BLOCKED : RIG_UNBLOCKED, .apic_id = apic_id });
}

static size_t fetch(void *cookie, uint8_t *bytes, size_t size, enum vlapic_decode_mode *mode)
{
    const struct rig_cpu *c = cpu_of(cookie);
    size_t count = c->code_bytes < size ? c->code_bytes : size;

    memcpy(bytes, c->code, count);
    *mode = VLAPIC_DECODE_MODE_64;
    return count;
}

static uint64_t read_register(void *cookie, uint32_t reg)
{
    assert_true(reg < 18);
    return cpu_of(cookie)->reg[reg];
}

static void write_register(void *cookie, uint32_t reg, uint64_t value)
{
    assert_true(reg < 18);
    cpu_of(cookie)->reg[reg] = value;
}

/* ---- life ---- */

static uint64_t capability(const struct apicv_caps *caps, uint32_t msr)
{
    uint64_t value = 0;

    return apicv_capability_msr(caps, msr, &value) ? value : 0;
}

static void set_capabilities(struct rig *r)
{
    r->vmx.capabilities = (struct vlapic_vmx_capabilities){
        .pin = capability(&r->caps, APICV_MSR_TRUE_PINBASED),
        .primary = capability(&r->caps, APICV_MSR_TRUE_PROCBASED),
        .secondary = capability(&r->caps, APICV_MSR_PROCBASED2),
        .tertiary = capability(&r->caps, APICV_MSR_PROCBASED3),
        .exit = capability(&r->caps, APICV_MSR_TRUE_EXIT),
    };
}

void rig_prepare(struct rig *r, uint32_t features)
{
    memset(r, 0, sizeof *r);
    bench = r;
    fake_vm_prepare(&r->fake, VLAPIC_VENDOR_INTEL);
    r->fake.ops.eoi_notify = NULL;
    r->fake.config.max_apic_id = 300;
    r->fake.config.tsc_deadline = true;
    r->caps = apicv_caps_sapphire_rapids();
    r->host = (struct apicv_host){ .context = r, .memory = memory, .translate = translate, .send_ipi = send_ipi };
    r->guest = (struct vlapic_decode_ops){ .size = sizeof r->guest,
                                           .abi = VLAPIC_DECODE_ABI,
                                           .read_register = read_register,
                                           .write_register = write_register };
    r->ops = (struct vlapic_vmx_ops){
        .size = sizeof r->ops,
        .abi = VLAPIC_VMX_ABI,
        .vmwrite = vmwrite,
        .vmread = vmread,
        .msr_bitmap = msr_bitmap,
        .acknowledge_extint = acknowledge_extint,
        .physical_apic_id = physical_apic_id,
        .notify = notify,
        .blocked = blocked,
        .fetch = fetch,
        .guest = &r->guest,
    };
    assert_int_equal(vlapic_vmx_config_defaults(&r->vmx, sizeof r->vmx), VLAPIC_OK);
    set_capabilities(r);
    r->vmx.features = features;
    r->vmx.ops = &r->ops;
    r->vmx.apic_access_page = (uint64_t)(uintptr_t)r->apic_access;
    r->vmx.notification_vector = RIG_NOTIFICATION;
    r->vmx.wakeup_vector = RIG_WAKEUP;
    r->vmx.host_x2apic = true;
    r->vmx.pid_table = (struct vlapic_page){ .va = r->pid_table, .pa = (uint64_t)(uintptr_t)r->pid_table };
    r->vmx.pid_table_entries = RIG_PID_ENTRIES;
    r->fake.config.backend = &vlapic_backend_vmx;
    r->fake.config.backend_config = &r->vmx;
}

static void put_where_it_exists(struct rig_cpu *c, uint32_t field, uint64_t value)
{
    enum apicv_vm_status status = apicv_vmwrite(&c->core, field, value);

    assert_true(status == APICV_VM_OK || status == APICV_VM_UNSUPPORTED);
}

/* What the embedder itself wants. */
static void set_up_vmcs(struct rig_cpu *c)
{
    const struct apicv_caps *caps = &c->core.caps;
    uint32_t secondary = caps->secondary & APICV_SECONDARY_EPT;

    rig_set(c, APICV_PIN_CONTROLS,
            (uint32_t)capability(caps, APICV_MSR_TRUE_PINBASED) | APICV_PIN_EXTERNAL_INTERRUPT_EXITING |
                APICV_PIN_NMI_EXITING | (caps->pin & APICV_PIN_VIRTUAL_NMIS));
    rig_set(c, APICV_PRIMARY_CONTROLS,
            (uint32_t)capability(caps, APICV_MSR_TRUE_PROCBASED) | APICV_PRIMARY_HLT_EXITING |
                APICV_PRIMARY_MSR_BITMAPS | (secondary != 0 ? APICV_PRIMARY_SECONDARY : 0));
    put_where_it_exists(c, APICV_SECONDARY_CONTROLS, secondary);
    rig_set(c, APICV_EXIT_CONTROLS, (uint32_t)capability(caps, APICV_MSR_TRUE_EXIT) | APICV_EXIT_ACKNOWLEDGE_INTERRUPT);
    rig_set(c, APICV_ENTRY_CONTROLS, (uint32_t)capability(caps, APICV_MSR_TRUE_ENTRY));
    rig_set(c, APICV_MSR_BITMAP, (uint64_t)(uintptr_t)c->bitmap);
    rig_set(c, APICV_GUEST_RFLAGS, RFLAGS_ALWAYS);
}

void rig_new_vmcs(struct rig_cpu *c)
{
    assert_true(apicv_vmclear(&c->core, &c->vmcs));
    apicv_vmcs_init(&c->vmcs);
    assert_true(apicv_vmptrld(&c->core, &c->vmcs));
    set_up_vmcs(c);
}

/* RESET, running, software-enabled. */
static void refresh(struct vlapic_cpu *cpu, bool x2apic)
{
    struct vlapic_cpu_state state = { .size = sizeof state };

    vlapic_cpu_reset(cpu);
    assert_int_equal(vlapic_cpu_get_state(cpu, &state, sizeof state), VLAPIC_OK);
    state.events &= ~VLAPIC_EVENT_WAIT_FOR_SIPI;
    assert_int_equal(vlapic_cpu_set_state(cpu, &state, VLAPIC_TIME_STOPPED, NULL), VLAPIC_OK);
    guest_software_enable(cpu);
    if (x2apic)
        guest_enable_x2apic(cpu);
}

static void start_cpu(struct rig *r, unsigned index, bool x2apic)
{
    struct rig_cpu *c = &r->cpu[index];
    struct vlapic_layout layout;
    size_t object;

    assert_int_equal(vlapic_cpu_layout(&r->fake.config, &layout), VLAPIC_OK);
    assert_int_equal(layout.pages, 2);
    object = (layout.bytes + RIG_PAGE - 1) / RIG_PAGE * RIG_PAGE;
    c->rig = r;
    c->cpu = fake_cpu_at(&r->fake, index);
    c->page = (uint32_t *)(void *)((char *)r->fake.cpus[index].memory + object);
    c->descriptor = (struct rig_descriptor *)(void *)((char *)c->page + RIG_PAGE);
    c->bitmap = r->bitmaps[index];
    c->physical = 16 + index;
    c->reg[VLAPIC_DECODE_RFLAGS] = RFLAGS_ALWAYS;
    r->caps.physical_bits = 52; /* addresses are pointers */
    apicv_cpu_init(&c->core, r->caps, &r->host);
    c->core.host_x2apic = r->vmx.host_x2apic;
    apicv_vmcs_init(&c->vmcs);
    assert_true(apicv_vmptrld(&c->core, &c->vmcs));
    set_up_vmcs(c);
    refresh(c->cpu, x2apic);
    rig_load(c, c->physical);
    vlapic_cpu_poll(c->cpu, &c->duty);
    rig_forget(c);
}

void rig_start(struct rig *r, unsigned count, bool x2apic)
{
    fake_vm_start(&r->fake, count, r->ids);
    r->count = count;
    for (unsigned i = 0; i < count; i++)
        start_cpu(r, i, x2apic);
    fake_forget(&r->fake);
}

void rig_stop(struct rig *r)
{
    fake_vm_stop(&r->fake);
    r->count = 0;
}

void rig_clean(struct rig *r)
{
    if (r->fake.vm != NULL)
        rig_stop(r);
}

struct rig_cpu *rig_one(struct rig *r, uint32_t features, bool x2apic)
{
    rig_clean(r);
    rig_prepare(r, features);
    rig_start(r, 1, x2apic);
    return &r->cpu[0];
}

void rig_forget(struct rig_cpu *c)
{
    c->writes = 0;
    c->calls = 0;
    c->acknowledged = 0;
    fake_forget(&c->rig->fake);
}

void rig_load(struct rig_cpu *c, uint32_t physical)
{
    assert_false(c->loaded);
    c->physical = physical;
    c->loaded = true;
    vlapic_cpu_load(c->cpu);
}

void rig_put(struct rig_cpu *c)
{
    assert_true(c->loaded);
    vlapic_cpu_put(c->cpu);
    c->loaded = false;
}

/* ---- the VMCS ---- */

uint64_t rig_get(struct rig_cpu *c, uint32_t field)
{
    uint64_t value = 0;

    if (apicv_vmread(&c->core, field, &value) != APICV_VM_OK)
        fail_msg("VMREAD of %04Xh", field);
    return value;
}

void rig_set(struct rig_cpu *c, uint32_t field, uint64_t value)
{
    if (apicv_vmwrite(&c->core, field, value) != APICV_VM_OK)
        fail_msg("VMWRITE of %04Xh by the test", field);
}

unsigned rig_wrote(const struct rig_cpu *c, uint32_t field)
{
    unsigned count = 0;

    assert_true(c->writes <= RIG_RECORDS);
    for (unsigned i = 0; i < c->writes; i++)
        count += c->write[i].field == field;
    return count;
}

bool rig_eoi_exits(struct rig_cpu *c, uint8_t vector)
{
    return (rig_get(c, APICV_EOI_EXIT_BITMAP_0 + 2u * (vector / 64u)) >> (vector % 64u) & 1) != 0;
}

/* ---- the page ---- */

uint32_t rig_page(const struct rig_cpu *c, uint32_t offset)
{
    return c->page[offset / 4];
}

void rig_page_put(struct rig_cpu *c, uint32_t offset, uint32_t value)
{
    c->page[offset / 4] = value;
}

static uint32_t word_of(uint32_t base, uint8_t vector)
{
    return (base | ((uint32_t)vector & 0xE0u) >> 1) / 4;
}

bool rig_page_has(const struct rig_cpu *c, uint32_t base, uint8_t vector)
{
    return (c->page[word_of(base, vector)] >> (vector & 31u) & 1u) != 0;
}

void rig_page_flip(struct rig_cpu *c, uint32_t base, uint8_t vector)
{
    c->page[word_of(base, vector)] ^= 1u << (vector & 31u);
}

/* ---- descriptor ---- */

bool rig_posted(const struct rig_cpu *c, uint8_t vector)
{
    return (c->descriptor->pir[vector / 64u] >> (vector % 64u) & 1) != 0;
}

bool rig_on(const struct rig_cpu *c)
{
    return (c->descriptor->control & APICV_DESCRIPTOR_ON) != 0;
}

bool rig_sn(const struct rig_cpu *c)
{
    return (c->descriptor->control & APICV_DESCRIPTOR_SN) != 0;
}

uint8_t rig_nv(const struct rig_cpu *c)
{
    return (uint8_t)(c->descriptor->control >> 16);
}

uint32_t rig_ndst(const struct rig_cpu *c)
{
    return (uint32_t)(c->descriptor->control >> 32);
}

void rig_device_posts(struct rig_cpu *c, uint8_t vector)
{
    c->descriptor->pir[vector / 64u] |= 1ull << (vector % 64u);
    if (rig_on(c) || rig_sn(c))
        return;
    c->descriptor->control |= APICV_DESCRIPTOR_ON;
    send_ipi(c->rig, rig_ndst(c), rig_nv(c));
}

/* ---- entry ---- */

struct vlapic_vmx_guest rig_guest(bool interrupts)
{
    return (struct vlapic_vmx_guest){ .rflags = RFLAGS_ALWAYS | (interrupts ? APICV_RFLAGS_IF : 0) };
}

bool rig_try(struct rig_cpu *c, const struct vlapic_vmx_guest *guest)
{
    rig_set(c, APICV_GUEST_RFLAGS, guest->rflags);
    rig_set(c, APICV_GUEST_INTERRUPTIBILITY, guest->interruptibility);
    rig_set(c, APICV_GUEST_ACTIVITY, APICV_ACTIVE);
    vlapic_cpu_poll(c->cpu, &c->duty);
    if (!vlapic_vmx_enter(c->cpu, guest, &c->entry)) {
        assert_int_equal(c->entry.injected, 0);
        assert_int_equal(c->entry.changes, 0);
        return false;
    }
    if ((c->entry.changes & VLAPIC_VMX_CHANGED_MAPPING) != 0 && !vlapic_vmx_apic_page(c->cpu, &c->mapped))
        c->mapped = 0;
    return true;
}

void rig_enter(struct rig_cpu *c, const struct vlapic_vmx_guest *guest)
{
    for (unsigned i = 0; i < 4; i++) {
        if (rig_try(c, guest))
            return;
    }
    fail_msg("no entry");
}

void rig_enter_open(struct rig_cpu *c)
{
    struct vlapic_vmx_guest guest = rig_guest(true);

    rig_enter(c, &guest);
}

struct apicv_result rig_run(struct rig_cpu *c)
{
    struct apicv_result r = apicv_enter(&c->core);

    if (r.outcome == APICV_VMFAIL || (r.outcome == APICV_EXIT && r.exit.reason >> 31 != 0))
        fail_msg("VM entry failed: check %d, reason %x", (int)r.check, r.exit.reason);
    return r;
}

void rig_go(struct rig_cpu *c)
{
    rig_enter_open(c);
    assert_int_equal(rig_run(c).outcome, APICV_DONE);
}

/* ---- exit ---- */

enum vlapic_vmx_result rig_exit_full(struct rig_cpu *c, const struct vlapic_vmx_exit *exit)
{
    enum vlapic_vmx_result result;

    c->length = 0xDEAD;
    result = vlapic_vmx_exit(c->cpu, exit, &c->length);
    if (result != VLAPIC_VMX_ADVANCE)
        assert_int_equal(c->length, 0);
    return result;
}

/* The processor has written the guest's state, and 4016h is not valid any more: reference 2. */
enum vlapic_vmx_result rig_exit(struct rig_cpu *c, uint32_t reason, uint64_t qualification)
{
    struct vlapic_vmx_exit exit = { .reason = reason, .qualification = qualification, .instruction_length = 3 };

    rig_set(c, APICV_ENTRY_INTERRUPTION, rig_get(c, APICV_ENTRY_INTERRUPTION) & ~0x80000000ull);
    return rig_exit_full(c, &exit);
}

void rig_exit_plain(struct rig_cpu *c)
{
    assert_int_equal(rig_exit(c, APICV_EXIT_EXTERNAL_INTERRUPT, 0), VLAPIC_VMX_NOT_MINE);
}

enum vlapic_vmx_result rig_take(struct rig_cpu *c, const struct apicv_result *r)
{
    struct vlapic_vmx_exit exit = {
        .reason = r->exit.reason & 0xFFFF,
        .instruction_length = r->exit.instruction_length,
        .qualification = r->exit.qualification,
        .vectoring = r->exit.idt_vectoring,
    };

    assert_int_equal(r->outcome, APICV_EXIT);
    if (apicv_vmread(&c->core, APICV_GUEST_PHYSICAL_ADDRESS, &exit.guest_physical) != APICV_VM_OK)
        exit.guest_physical = 0;
    return rig_exit_full(c, &exit);
}

enum vlapic_vmx_result rig_take_reason(struct rig_cpu *c, struct apicv_result r, uint32_t reason)
{
    assert_int_equal(r.outcome, APICV_EXIT);
    assert_int_equal(r.exit.reason, reason);
    return rig_take(c, &r);
}

void rig_kick_out(struct rig_cpu *c)
{
    assert_int_equal(rig_take_reason(c, apicv_external_interrupt(&c->core, KICK), APICV_EXIT_EXTERNAL_INTERRUPT),
                     VLAPIC_VMX_NOT_MINE);
}

/* ---- the model of the library ---- */

void rig_pend(struct rig_cpu *c, uint8_t vector, bool level)
{
    assert_true(vlapic_cpu_post(c->cpu, vector, level));
    vlapic_cpu_poll(c->cpu, &c->duty);
    assert_true(rig_page_has(c, APICV_VIRR, vector));
}

void rig_serve(struct rig_cpu *c, uint8_t vector, bool level)
{
    rig_pend(c, vector, level);
    assert_true(vlapic_cpu_accept(c->cpu, vector));
}
