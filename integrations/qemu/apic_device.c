/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The device "apic": the library's host callbacks, RESET and INIT, creation. What QEMU's CPU calls is in apic.c.
 */
#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qemu/memalign.h"
#include "qemu/module.h"
#include "qapi/error.h"
#include "hw/intc/ioapic.h"
#include "hw/pci/msi.h"
#include "hw/resettable.h"
#include "apic_vlapic.h"

/* APIC IDs of a machine that names no limit. */
#define DEFAULT_ID_LIMIT 255u

struct vlapic_vm *apic_vm;
static uint32_t id_limit;
static ResettablePhases device_reset;

static CPUState *cpu_of(ApicVlapic *s)
{
    return CPU(s->common.cpu);
}

/* --- what the library asks of its host ------------------------------------------------------------------------------- */
static void host_kick(void *cookie)
{
    cpu_interrupt(cpu_of(cookie), CPU_INTERRUPT_POLL);
}

static void host_eoi_broadcast(void *cookie, uint8_t vector)
{
    ioapic_eoi_broadcast(vector);
}

static void host_base_changed(void *cookie, uint64_t old_value, uint64_t new_value)
{
    ApicVlapic *s = cookie;

    s->common.apicbase = new_value;
    if (new_value & VLAPIC_BASE_EN) {
        cpu_set_apic_feature(&s->common.cpu->env);
    } else {
        cpu_clear_apic_feature(&s->common.cpu->env);
    }
}

static bool host_on_cpu_thread(void *cookie)
{
    return bql_locked();
}

static const struct vlapic_host_ops host_ops = {
    .size = sizeof(host_ops),
    .abi = VLAPIC_HOST_ABI,
    .now_ns = apic_now_ns,
    .timer_arm_ns = apic_timer_arm_ns,
    .timer_cancel = apic_timer_cancel,
    .kick = host_kick,
    .eoi_broadcast = host_eoi_broadcast,
    .base_changed = host_base_changed,
    .now_tsc = apic_now_tsc,
    .timer_arm_tsc = apic_timer_arm_tsc,
    .on_cpu_thread = host_on_cpu_thread,
};

/* --- RESET and INIT -------------------------------------------------------------------------------------------------- */

/* QEMU's common code calls reset() for both; only a RESET comes through the device. */
static void device_reset_hold(Object *obj, ResetType type)
{
    ApicVlapic *s = APIC_VLAPIC(obj);

    s->power_on = true;
    device_reset.hold(obj, type);
    s->power_on = false;
}

static void reset(APICCommonState *common)
{
    ApicVlapic *s = APIC_VLAPIC(common);

    vlapic_cpu_exit(s->lapic);
    if (s->power_on) {
        vlapic_cpu_reset(s->lapic);
        host_base_changed(s, 0, vlapic_cpu_apic_base(s->lapic));
    } else {
        apic_init_taken(s);
        vlapic_cpu_take_init(s->lapic);
    }
    s->init_requested = false;
    s->extint_message = false;
    s->extint_granted = false;
    apic_sync(s);
}

/* The machine stops or goes on. Nothing may stay half-way in the library when it is saved, and after a load the CPU's state
 * is complete only now. */
static void run_state_changed(void *opaque, bool running, RunState state)
{
    ApicVlapic *s = opaque;

    vlapic_cpu_exit(s->lapic);
    if (running && s->loaded) {
        s->loaded = false;
        apic_time_rebase(&s->common.cpu->env);
        apic_adopt_tsc_deadline(s);
    }
    if (!running) {
        apic_mirror_tsc_deadline(s);
    }
    apic_sync(s);
    if (running) {
        apic_init_restore_mark(s);
    } else {
        apic_init_hide_mark(s);
    }
}

/* --- creation -------------------------------------------------------------------------------------------------------- */
void apic_set_max_apic_id(uint32_t max_apic_id)
{
    id_limit = max_apic_id;
}

/* The CPUs of a machine are alike: the first one tells what the VM has. */
static void configure(struct vlapic_vm_config *config, APICCommonState *first)
{
    CPUX86State *env = &first->cpu->env;

    vlapic_vm_config_defaults(config, sizeof(*config), IS_AMD_CPU(env) ? VLAPIC_VENDOR_AMD : VLAPIC_VENDOR_INTEL);
    config->host = &host_ops;
    config->backend = &vlapic_backend_soft;
    config->max_apic_id = (id_limit ? id_limit : DEFAULT_ID_LIMIT) - 1;
    config->phys_bits = MAX(first->cpu->phys_bits, 32);
    config->timer_hz = NANOSECONDS_PER_SECOND;
    config->version = first->version;
    config->x2apic = cpu_has_x2apic_feature(env);
    config->tsc_deadline = env->features[FEAT_1_ECX] & CPUID_EXT_TSC_DEADLINE_TIMER;
    /* Interrupt remapping sends 32-bit destinations in this way. */
    config->msi_dest32 = true;
}

static enum vlapic_status create_vm(APICCommonState *first)
{
    struct vlapic_vm_config config;
    struct vlapic_layout layout;
    enum vlapic_status status;

    configure(&config, first);
    status = vlapic_vm_layout(&config, &layout);
    if (status != VLAPIC_OK) {
        return status;
    }
    status = vlapic_vm_create(qemu_memalign(layout.alignment, layout.bytes), layout.bytes, &config, &apic_vm);
    if (status == VLAPIC_OK) {
        apic_time_rebase(&first->cpu->env);
        info_report("local APIC: libvlapic %d.%d.%d, %s profile", VLAPIC_VERSION_MAJOR, VLAPIC_VERSION_MINOR,
                    VLAPIC_VERSION_PATCH, config.vendor == VLAPIC_VENDOR_AMD ? "AMD" : "Intel");
    }
    return status;
}

static enum vlapic_status create_lapic(ApicVlapic *s)
{
    struct vlapic_cpu_config config = {
        .size = sizeof(config),
        .apic_id = s->common.initial_apic_id,
        .bsp = cpu_of(s)->cpu_index == 0,
        .cookie = s,
    };
    struct vlapic_layout layout;
    enum vlapic_status status = vlapic_cpu_layout(vlapic_vm_get_config(apic_vm), &layout);

    if (status != VLAPIC_OK) {
        return status;
    }
    s->memory = qemu_memalign(layout.alignment, layout.bytes);
    status = vlapic_cpu_create(s->memory, layout.bytes, apic_vm, &config, &s->lapic);
    return status == VLAPIC_OK ? vlapic_cpu_attach(s->lapic) : status;
}

static void realize(DeviceState *dev, Error **errp)
{
    ApicVlapic *s = APIC_VLAPIC(dev);
    enum vlapic_status status = VLAPIC_OK;

    s->common.timer = timer_new_ns(QEMU_CLOCK_VIRTUAL, apic_timer_expired, s);
    if (!apic_vm) {
        status = create_vm(&s->common);
    }
    if (status == VLAPIC_OK) {
        status = create_lapic(s);
    }
    if (status != VLAPIC_OK) {
        error_setg(errp, "libvlapic refuses APIC %u: status %d", s->common.initial_apic_id, status);
        return;
    }
    memory_region_init_io(&s->common.io_memory, OBJECT(s), &apic_window_ops, s, "libvlapic", APIC_SPACE_SIZE);
    /* An EOI may make the IOAPIC write its message into this very region. */
    s->common.io_memory.disable_reentrancy_guard = true;
    s->on_run_state = qemu_add_vm_change_state_handler(run_state_changed, s);
    msi_nonbroken = true;
}

static void unrealize(DeviceState *dev)
{
    ApicVlapic *s = APIC_VLAPIC(dev);

    /* The BQL is the grace period: nobody else is inside the library. */
    qemu_del_vm_change_state_handler(s->on_run_state);
    vlapic_cpu_destroy(s->lapic);
    timer_free(s->common.timer);
    qemu_vfree(s->memory);
}

/* The TPR page that QEMU offers to 32-bit Windows guests is never enabled, since nothing here reports TPR accesses. */
static void vapic_base_update(APICCommonState *common)
{
}

static void class_setup(ObjectClass *klass)
{
    APICCommonClass *k = APIC_COMMON_CLASS(klass);

    resettable_class_set_parent_phases(RESETTABLE_CLASS(klass), NULL, device_reset_hold, NULL, &device_reset);
    DEVICE_CLASS(klass)->desc = "Local APIC (libvlapic)";
    k->realize = realize;
    k->unrealize = unrealize;
    k->set_base = apic_set_base;
    k->set_tpr = apic_set_tpr;
    k->get_tpr = apic_get_tpr;
    k->vapic_base_update = vapic_base_update;
    k->external_nmi = apic_external_nmi;
    k->pre_save = apic_pre_save;
    k->post_load = apic_post_load;
    k->reset = reset;
    k->send_msi = apic_send_msi;
}

#if VLAPIC_QEMU_VERSION >= 1001
static void class_init(ObjectClass *klass, const void *data)
#else
static void class_init(ObjectClass *klass, void *data)
#endif
{
    class_setup(klass);
}

static const TypeInfo apic_vlapic_type = {
    .name = TYPE_APIC,
    .parent = TYPE_APIC_COMMON,
    .instance_size = sizeof(ApicVlapic),
    .class_init = class_init,
};

static void register_types(void)
{
    type_register_static(&apic_vlapic_type);
}

type_init(register_types)
