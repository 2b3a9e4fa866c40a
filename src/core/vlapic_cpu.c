/* SPDX-License-Identifier: BSD-2-Clause */
/* The vCPU object: memory layout, creation, joining and leaving the VM's fabric, its end. */
#include <string.h>

#include "vlapic_model.h"

#define PAGE_BYTES 4096u

_Static_assert(offsetof(struct vlapic_cpu, posted_level) == VLAPIC_CACHE_LINE, "an edge writes one cache line");
_Static_assert(offsetof(struct vlapic_cpu, regs) == (size_t)2 * VLAPIC_CACHE_LINE,
               "the owner has cache lines of its own");

static size_t align_up(size_t value, size_t alignment)
{
    return (value + alignment - 1) & ~(alignment - 1);
}

static size_t backend_state_offset(void)
{
    return align_up(sizeof(struct vlapic_cpu), VLAPIC_CACHE_LINE);
}

static size_t backend_shared_offset(const struct vlapic_backend *backend)
{
    return backend_state_offset() + align_up(backend->cpu_state_bytes, VLAPIC_CACHE_LINE);
}

static size_t regs_offset(const struct vlapic_backend *backend)
{
    return backend_shared_offset(backend) + align_up(backend->cpu_shared_bytes, VLAPIC_CACHE_LINE);
}

/* A backend with pages has the registers in the first of them; else they lie behind its state. */
static size_t cpu_bytes(const struct vlapic_backend *backend)
{
    return regs_offset(backend) + (backend->cpu_pages == 0 ? VLAPIC_REGS_BYTES : 0);
}

enum vlapic_status vlapic_cpu_layout(const struct vlapic_vm_config *config, struct vlapic_layout *layout)
{
    enum vlapic_status status = vlapic_core_config_check(config);

    if (status == VLAPIC_OK && layout == NULL) {
        status = VLAPIC_INVALID;
    }
    if (status != VLAPIC_OK) {
        return status;
    }
    *layout = (struct vlapic_layout){
        .bytes = cpu_bytes(config->backend),
        .alignment = VLAPIC_CACHE_LINE,
        .pages = config->backend->cpu_pages,
    };
    return VLAPIC_OK;
}

static enum vlapic_status check_pages(const struct vlapic_cpu_config *config, uint32_t count)
{
    if (count != 0 && config->pages == NULL) {
        return VLAPIC_INVALID;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (config->pages[i].va == NULL) {
            return VLAPIC_INVALID;
        }
        if (((uintptr_t)config->pages[i].va | config->pages[i].pa) & (PAGE_BYTES - 1)) {
            return VLAPIC_MISALIGNED;
        }
    }
    return VLAPIC_OK;
}

static enum vlapic_status check_arguments(const void *memory, size_t bytes, const struct vlapic_vm *vm,
                                          const struct vlapic_cpu_config *config, struct vlapic_cpu **cpu)
{
    if (memory == NULL || vm == NULL || config == NULL || cpu == NULL) {
        return VLAPIC_INVALID;
    }
    if (config->size != sizeof(*config)) {
        return VLAPIC_BAD_ABI;
    }
    if (config->apic_id > vm->config.max_apic_id) {
        return VLAPIC_INVALID;
    }
    if (((uintptr_t)memory & (VLAPIC_CACHE_LINE - 1)) != 0) {
        return VLAPIC_MISALIGNED;
    }
    if (bytes < cpu_bytes(vm->config.backend)) {
        return VLAPIC_TOO_SMALL;
    }
    return check_pages(config, vm->config.backend->cpu_pages);
}

static void place(struct vlapic_cpu *cpu, struct vlapic_vm *vm, const struct vlapic_cpu_config *config)
{
    const struct vlapic_backend *backend = vm->config.backend;
    uint8_t *memory = (uint8_t *)cpu;

    memset(memory, 0, cpu_bytes(backend));
    cpu->backend = backend;
    cpu->backend_state = memory + backend_state_offset();
    cpu->backend_shared = memory + backend_shared_offset(backend);
    cpu->regs = backend->cpu_pages != 0 ? config->pages[0].va : (void *)(memory + regs_offset(backend));
    cpu->vm = vm;
    cpu->cookie = config->cookie;
    cpu->apic_id = config->apic_id;
    cpu->bsp = config->bsp;
    cpu->backend_watches = backend->changed != NULL;
    cpu->irr_is_shared = (backend->flags & VLAPIC_BACKEND_SHARES_IRR) != 0;
    vlapic_core_set_base(cpu, vlapic_core_reset_base(cpu));
}

enum vlapic_status vlapic_cpu_create(void *memory, size_t bytes, struct vlapic_vm *vm,
                                     const struct vlapic_cpu_config *config, struct vlapic_cpu **cpu)
{
    enum vlapic_status status = check_arguments(memory, bytes, vm, config, cpu);
    struct vlapic_cpu *made = memory;

    if (status != VLAPIC_OK) {
        return status;
    }
    place(made, vm, config);
    if (made->backend->cpu_init != NULL) {
        const struct vlapic_cpu_memory parts = {
            .owned = made->backend_state,
            .shared = made->backend_shared,
            .pages = config->pages,
        };

        status = made->backend->cpu_init(&parts, vm->backend_state, made);
        if (status != VLAPIC_OK) {
            return status;
        }
    }
    vlapic_cpu_reset(made);
    *cpu = made;
    return VLAPIC_OK;
}

enum vlapic_status vlapic_cpu_attach(struct vlapic_cpu *cpu)
{
    VLAPIC_ASSERT_OWNER(cpu);
    if (cpu->attached || !vlapic_core_route_join(cpu)) {
        return VLAPIC_IN_USE;
    }
    cpu->attached = true;
    vlapic_tell_backend(cpu, VLAPIC_CHANGE_IDENTITY);
    return VLAPIC_OK;
}

void vlapic_cpu_detach(struct vlapic_cpu *cpu)
{
    VLAPIC_ASSERT_OWNER(cpu);
    if (cpu->attached) {
        cpu->attached = false;
        vlapic_core_route_leave(cpu);
        vlapic_tell_backend(cpu, VLAPIC_CHANGE_IDENTITY);
    }
}

void vlapic_cpu_destroy(struct vlapic_cpu *cpu)
{
    vlapic_cpu_detach(cpu);
    vlapic_core_timer_reset(cpu);
    if (vlapic_load_relaxed(&cpu->run_state) == VLAPIC_RUN_HALTED) {
        vlapic_cpu_exit(cpu); /* the backend must not leave it in a list of those who sleep */
    }
    /* What is under way may still arrive, but nobody is to be kicked for it. */
    vlapic_store_release(&cpu->run_state, VLAPIC_RUN_HOST);
    if (cpu->backend->cpu_fini != NULL) {
        cpu->backend->cpu_fini(cpu->backend_state);
    }
}

uint32_t vlapic_cpu_apic_id(const struct vlapic_cpu *cpu)
{
    return cpu->apic_id;
}

void *vlapic_cpu_cookie(const struct vlapic_cpu *cpu)
{
    return cpu->cookie;
}

void *vlapic_backend_cpu_state(struct vlapic_cpu *cpu, const struct vlapic_backend *backend)
{
    return cpu->backend == backend ? cpu->backend_state : NULL;
}

struct vlapic_cpu *vlapic_backend_find(const struct vlapic_cpu *cpu, uint32_t apic_id)
{
    return vlapic_vm_find(cpu->vm, apic_id);
}
