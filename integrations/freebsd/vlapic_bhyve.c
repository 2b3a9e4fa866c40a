/* SPDX-License-Identifier: BSD-2-Clause */
/* Making, unmaking, RESET, mode and snapshot of a VM's fabric and a vCPU's APIC. */
#include "vlapic_bhyve_internal.h"

#include <sys/malloc.h>

static MALLOC_DEFINE(M_VLAPIC_BHYVE, "vlapic_bhyve", "libvlapic under bhyve");

/* The clock of bhyve's APIC timer, which guests have measured: 128 MiHz. */
#define TIMER_HZ (128u * 1024u * 1024u)

/* Returns the aligned block; *memory is what is freed. */
static void *allocate(const struct vlapic_layout *layout, void **memory)
{
    *memory = malloc(layout->bytes + layout->alignment - 1, M_VLAPIC_BHYVE, M_WAITOK | M_ZERO);
    return (void *)(((uintptr_t)*memory + layout->alignment - 1) & ~(uintptr_t)(layout->alignment - 1));
}

static bool host_is_complete(const struct vlapic_bhyve_host *host)
{
    return host != NULL && host->notify != NULL && host->inject_nmi != NULL && host->init != NULL && host->sipi != NULL;
}

/* ---- a VM ---- */

/* Invalid combinations of the ICR are dropped, as in bhyve; LVT CMCI is there. */
static void configure(struct vlapic_vm_config *config, const struct vlapic_bhyve_options *options, void *cookie)
{
    config->host = &vlapic_bhyve_host_ops;
    config->backend = &vlapic_backend_soft;
    config->cookie = cookie;
    config->max_apic_id = options->max_cpus - 1;
    config->timer_hz = TIMER_HZ;
    config->icr_policy = VLAPIC_ICR_STRICT;
    config->max_lvt = 6;
    config->x2apic = options->x2apic;
}

static bool make_fabric(struct vlapic_bhyve_vm *vm, const struct vlapic_vm_config *config)
{
    struct vlapic_layout layout;

    if (vlapic_vm_layout(config, &layout) != VLAPIC_OK) {
        return false;
    }
    return vlapic_vm_create(allocate(&layout, &vm->memory), layout.bytes, config, &vm->fabric) == VLAPIC_OK;
}

struct vlapic_bhyve_vm *vlapic_bhyve_vm_create(void *vm_cookie, const struct vlapic_bhyve_options *options)
{
    struct vlapic_vm_config config;
    struct vlapic_bhyve_vm *vm;

    if (!host_is_complete(options->host) || options->max_cpus - 1 > VLAPIC_APIC_ID_LIMIT ||
        vlapic_vm_config_defaults(&config, sizeof(config), options->vendor) != VLAPIC_OK) {
        return NULL;
    }
    vm = malloc(sizeof(*vm) + options->max_cpus * sizeof(vm->cpus[0]), M_VLAPIC_BHYVE, M_WAITOK | M_ZERO);
    vm->host = options->host;
    vm->vm = vm_cookie;
    vm->max_cpus = options->max_cpus;
    configure(&config, options, vm);
    if (!make_fabric(vm, &config)) {
        vlapic_bhyve_vm_destroy(vm);
        return NULL;
    }
    return vm;
}

void vlapic_bhyve_vm_destroy(struct vlapic_bhyve_vm *vm)
{
    if (vm != NULL) {
        free(vm->memory, M_VLAPIC_BHYVE);
        free(vm, M_VLAPIC_BHYVE);
    }
}

/* ---- a vCPU ---- */

/* Nobody can address it yet, so that nothing can come in between poll and enter. From now on whatever does calls notify(). */
static bool count_as_in_guest(struct vlapic_bhyve_cpu *cpu)
{
    struct vlapic_poll duty;

    vlapic_cpu_poll(cpu->apic, &duty);
    return vlapic_cpu_enter(cpu->apic);
}

static bool make_apic(struct vlapic_bhyve_cpu *cpu)
{
    struct vlapic_cpu_config config = {
        .size = sizeof(config), .apic_id = cpu->vcpuid, .bsp = cpu->vcpuid == 0, .cookie = cpu
    };
    struct vlapic_layout layout;

    if (vlapic_cpu_layout(vlapic_vm_get_config(cpu->vm->fabric), &layout) != VLAPIC_OK) {
        return false;
    }
    return vlapic_cpu_create(allocate(&layout, &cpu->memory), layout.bytes, cpu->vm->fabric, &config, &cpu->apic) ==
           VLAPIC_OK;
}

static void forget_events(struct vlapic_bhyve_cpu *cpu)
{
    memset(&cpu->held, 0, sizeof(cpu->held));
    cpu->extint_told = false;
}

static void release(struct vlapic_bhyve_cpu *cpu)
{
    free(cpu->set, M_VLAPIC_BHYVE);
    free(cpu->memory, M_VLAPIC_BHYVE);
    free(cpu, M_VLAPIC_BHYVE);
}

struct vlapic_bhyve_cpu *vlapic_bhyve_create(struct vlapic_bhyve_vm *vm, unsigned int vcpuid, void *vcpu)
{
    struct vlapic_bhyve_cpu *cpu;

    if (vcpuid >= vm->max_cpus || vlapic_bhyve_cpu_at(vm, vcpuid) != NULL) {
        return NULL;
    }
    cpu = malloc(sizeof(*cpu), M_VLAPIC_BHYVE, M_WAITOK | M_ZERO);
    cpu->set = malloc(vlapic_bhyve_set_words(vm) * sizeof(cpu->set[0]), M_VLAPIC_BHYVE, M_WAITOK | M_ZERO);
    cpu->vm = vm;
    cpu->vcpu = vcpu;
    cpu->vcpuid = vcpuid;
    vlapic_bhyve_timer_init(cpu);
    if (!make_apic(cpu)) {
        release(cpu);
        return NULL;
    }
    vlapic_startup_reset(&cpu->startup, vcpuid == 0, vcpuid != 0);
    vlapic_bhyve_identity_changed(cpu);
    if (!count_as_in_guest(cpu) || vlapic_cpu_attach(cpu->apic) != VLAPIC_OK) {
        vlapic_bhyve_destroy(cpu);
        return NULL;
    }
    __atomic_store_n(&vm->cpus[vcpuid], cpu, __ATOMIC_RELEASE);
    return cpu;
}

/* A destroyed APIC ignores the expiry of a timer that was under way, as long as its memory is there. */
void vlapic_bhyve_destroy(struct vlapic_bhyve_cpu *cpu)
{
    if (cpu != NULL) {
        if (vlapic_bhyve_cpu_at(cpu->vm, cpu->vcpuid) == cpu) {
            __atomic_store_n(&cpu->vm->cpus[cpu->vcpuid], NULL, __ATOMIC_RELEASE);
        }
        vlapic_cpu_destroy(cpu->apic);
        vlapic_bhyve_timer_drain(cpu);
        release(cpu);
    }
}

/* ---- RESET and mode ---- */

static void write_base(struct vlapic_bhyve_cpu *cpu, uint64_t mode)
{
    uint64_t base = vlapic_cpu_apic_base(cpu->apic) & ~(VLAPIC_BASE_EN | VLAPIC_BASE_EXTD);

    (void)vlapic_cpu_msr_write(cpu->apic, VLAPIC_MSR_APIC_BASE, base | mode);
}

/* By legal steps: to x2APIC mode from xAPIC mode, and back through the disabled state. */
static void enter_mode(struct vlapic_bhyve_cpu *cpu)
{
    bool is_x2apic = (vlapic_cpu_apic_base(cpu->apic) & VLAPIC_BASE_EXTD) != 0;

    if (is_x2apic && !cpu->starts_in_x2apic) {
        write_base(cpu, 0);
        write_base(cpu, VLAPIC_BASE_EN);
    } else if (!is_x2apic && cpu->starts_in_x2apic) {
        write_base(cpu, VLAPIC_BASE_EN);
        write_base(cpu, VLAPIC_BASE_EN | VLAPIC_BASE_EXTD);
    }
    vlapic_bhyve_identity_changed(cpu);
}

void vlapic_bhyve_reset(struct vlapic_bhyve_cpu *cpu)
{
    vlapic_cpu_reset(cpu->apic);
    vlapic_startup_reset(&cpu->startup, cpu->vcpuid == 0, cpu->vcpuid != 0);
    forget_events(cpu);
    enter_mode(cpu);
}

int vlapic_bhyve_set_x2apic_state(struct vlapic_bhyve_cpu *cpu, bool enabled)
{
    if (enabled && !vlapic_vm_get_config(cpu->vm->fabric)->x2apic) {
        return EINVAL;
    }
    cpu->starts_in_x2apic = enabled;
    enter_mode(cpu);
    return 0;
}

/* ---- snapshot ---- */

/* What a poll has taken out of the APIC would be in nobody's snapshot: the vmm gets it first. */
static int save(struct vlapic_bhyve_cpu *cpu, uint8_t *bytes, size_t *length)
{
    (void)vlapic_bhyve_events(cpu);
    return vlapic_snapshot_export_cpu(cpu->apic, bytes, *length, length) == VLAPIC_OK ? 0 : ENOSPC;
}

static int restore(struct vlapic_bhyve_cpu *cpu, const uint8_t *bytes, size_t length)
{
    struct vlapic_poll duty;

    if (vlapic_snapshot_import_cpu(cpu->apic, bytes, length, VLAPIC_TIME_STOPPED, NULL) != VLAPIC_OK) {
        return EINVAL;
    }
    vlapic_cpu_poll(cpu->apic, &duty);
    forget_events(cpu);
    cpu->held = duty;
    vlapic_startup_reset(&cpu->startup, cpu->vcpuid == 0, duty.wait_for_sipi);
    vlapic_bhyve_identity_changed(cpu);
    return 0;
}

int vlapic_bhyve_snapshot(struct vlapic_bhyve_cpu *cpu, uint8_t *bytes, size_t *length, bool is_save)
{
    return is_save ? save(cpu, bytes, length) : restore(cpu, bytes, *length);
}

struct vlapic_cpu *vlapic_bhyve_library_cpu(struct vlapic_bhyve_cpu *cpu)
{
    return cpu->apic;
}
