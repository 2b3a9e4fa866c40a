/* SPDX-License-Identifier: BSD-2-Clause */
/* The VM object: configuration, memory layout, creation. Routing is in vlapic_route.c. */
#include <string.h>

#include "vlapic_model.h"

_Static_assert(sizeof(struct vlapic_cpu *) == sizeof(uint64_t), "the library is for 64-bit hosts");

static uint64_t align_up(uint64_t value, uint64_t alignment)
{
    return (value + alignment - 1) & ~(alignment - 1);
}

/* Offsets of the parts of a VM's memory block. */
struct vm_parts {
    size_t backend_state, by_id, present, summary, end;
    uint32_t summary_words;
};

static struct vm_parts vm_parts(const struct vlapic_vm_config *config)
{
    size_t ids = (size_t)config->max_apic_id + 1;
    size_t words = (ids + 63) / 64;
    struct vm_parts p;

    p.summary_words = (uint32_t)((words + 63) / 64);
    p.backend_state = align_up(sizeof(struct vlapic_vm), VLAPIC_CACHE_LINE);
    p.by_id = p.backend_state + align_up(config->backend->vm_state_bytes, VLAPIC_CACHE_LINE);
    p.present = p.by_id + ids * sizeof(struct vlapic_cpu *);
    p.summary = p.present + words * sizeof(uint64_t);
    p.end = p.summary + p.summary_words * sizeof(uint64_t);
    return p;
}

/* --- configuration --------------------------------------------------------------------------------------------------- */

enum vlapic_status vlapic_vm_config_defaults(struct vlapic_vm_config *config, size_t size, enum vlapic_vendor vendor)
{
    if (config == NULL || (vendor != VLAPIC_VENDOR_INTEL && vendor != VLAPIC_VENDOR_AMD)) {
        return VLAPIC_INVALID;
    }
    if (size != sizeof(*config)) {
        return VLAPIC_BAD_ABI;
    }
    *config = (struct vlapic_vm_config){
        .size = (uint32_t)size,
        .abi = VLAPIC_CONFIG_ABI,
        .max_apic_id = 254,
        .phys_bits = 52,
        .timer_hz = VLAPIC_NS_PER_S,
        .vendor = vendor,
        .version = 0x14,
        .max_lvt = 5,
        .ext_lvt_count = 4,
        .ext_features = VLAPIC_EXT_IER | VLAPIC_EXT_SEOI | VLAPIC_EXT_8BIT_ID,
        .x2apic = true,
    };
    return VLAPIC_OK;
}

static enum vlapic_status check_host(const struct vlapic_host_ops *host, bool tsc_deadline)
{
    const size_t mandatory = offsetof(struct vlapic_host_ops, eoi_broadcast);
    struct vlapic_host_ops ops = { 0 };

    if (host == NULL) {
        return VLAPIC_INVALID;
    }
    if (host->abi != VLAPIC_HOST_ABI || host->size < mandatory) {
        return VLAPIC_BAD_ABI;
    }
    memcpy(&ops, host, host->size < sizeof(ops) ? host->size : sizeof(ops));
    if (ops.now_ns == NULL || ops.timer_arm_ns == NULL || ops.timer_cancel == NULL || ops.kick == NULL) {
        return VLAPIC_INVALID;
    }
    if ((ops.now_tsc == NULL) != (ops.timer_arm_tsc == NULL) || (tsc_deadline && ops.now_tsc == NULL)) {
        return VLAPIC_INVALID;
    }
    return VLAPIC_OK;
}

static enum vlapic_status check_backend(const struct vlapic_backend *backend)
{
    if (backend == NULL) {
        return VLAPIC_INVALID;
    }
    if (backend->abi != VLAPIC_BACKEND_ABI || backend->size < sizeof(*backend)) {
        return VLAPIC_BAD_ABI;
    }
    if (backend->name == NULL || (backend->post == NULL) != (backend->collect == NULL) ||
        (backend->block == NULL) != (backend->unblock == NULL)) {
        return VLAPIC_INVALID;
    }
    return VLAPIC_OK;
}

static bool numbers_are_valid(const struct vlapic_vm_config *c)
{
    return c->max_apic_id <= VLAPIC_APIC_ID_LIMIT && c->phys_bits >= 32 && c->phys_bits <= 52 && c->timer_hz >= 1 &&
           c->timer_hz <= VLAPIC_TIMER_HZ_MAX && (uint32_t)c->vendor <= VLAPIC_VENDOR_AMD &&
           (uint32_t)c->icr_policy <= VLAPIC_ICR_STRICT && (uint32_t)c->catch_up <= VLAPIC_CATCH_UP_REBASE &&
           (c->max_lvt == 5 || c->max_lvt == 6) && c->ext_lvt_count <= VLAPIC_LVT_EXT_MAX &&
           (c->ext_features & ~(VLAPIC_EXT_IER | VLAPIC_EXT_SEOI | VLAPIC_EXT_8BIT_ID)) == 0;
}

enum vlapic_status vlapic_core_config_check(const struct vlapic_vm_config *config)
{
    enum vlapic_status status;

    if (config == NULL) {
        return VLAPIC_INVALID;
    }
    if (config->abi != VLAPIC_CONFIG_ABI || config->size != sizeof(*config)) {
        return VLAPIC_BAD_ABI;
    }
    status = check_host(config->host, config->tsc_deadline);
    if (status == VLAPIC_OK) {
        status = check_backend(config->backend);
    }
    if (status == VLAPIC_OK && !numbers_are_valid(config)) {
        status = VLAPIC_INVALID;
    }
    return status;
}

/* --- creation ----------------------------------------------------------------------------------------------------------- */

enum vlapic_status vlapic_vm_layout(const struct vlapic_vm_config *config, struct vlapic_layout *layout)
{
    enum vlapic_status status = vlapic_core_config_check(config);

    if (status == VLAPIC_OK && layout == NULL) {
        status = VLAPIC_INVALID;
    }
    if (status != VLAPIC_OK) {
        return status;
    }
    *layout = (struct vlapic_layout){ .bytes = vm_parts(config).end, .alignment = VLAPIC_CACHE_LINE, .pages = 0 };
    return VLAPIC_OK;
}

static void place(struct vlapic_vm *vm, const struct vlapic_vm_config *config, const struct vm_parts *parts)
{
    uint8_t *memory = (uint8_t *)vm;

    memset(memory, 0, parts->end);
    vm->config = *config;
    memcpy(&vm->host, config->host, config->host->size < sizeof(vm->host) ? config->host->size : sizeof(vm->host));
    vm->config.host = &vm->host;
    vm->backend_state = memory + parts->backend_state;
    vm->by_id = (struct vlapic_cpu **)(void *)(memory + parts->by_id);
    vm->present = (uint64_t *)(void *)(memory + parts->present);
    vm->summary = (uint64_t *)(void *)(memory + parts->summary);
    vm->summary_words = parts->summary_words;
    vm->plain_limit = config->dest_alias && config->max_apic_id > 0xFF ? 0xFF : config->max_apic_id;
    vlapic_core_reg_resolve(vm);
}

enum vlapic_status vlapic_vm_create(void *memory, size_t bytes, const struct vlapic_vm_config *config,
                                    struct vlapic_vm **vm)
{
    enum vlapic_status status = vlapic_core_config_check(config);
    struct vm_parts parts;
    struct vlapic_vm *made;

    if (status == VLAPIC_OK && (memory == NULL || vm == NULL)) {
        status = VLAPIC_INVALID;
    }
    if (status != VLAPIC_OK) {
        return status;
    }
    if (((uintptr_t)memory & (VLAPIC_CACHE_LINE - 1)) != 0) {
        return VLAPIC_MISALIGNED;
    }
    parts = vm_parts(config);
    if (bytes < parts.end) {
        return VLAPIC_TOO_SMALL;
    }
    place(memory, config, &parts);
    made = memory;
    if (config->backend->vm_init != NULL) {
        status = config->backend->vm_init(made->backend_state, &made->config);
    }
    made->config.backend_config = NULL; /* the embedder's again */
    if (status == VLAPIC_OK) {
        *vm = made;
    }
    return status;
}

const struct vlapic_vm_config *vlapic_vm_get_config(const struct vlapic_vm *vm)
{
    return &vm->config;
}

void *vlapic_backend_vm_state(struct vlapic_vm *vm, const struct vlapic_backend *backend)
{
    return vm->config.backend == backend ? vm->backend_state : NULL;
}

struct vlapic_cpu *vlapic_vm_find(const struct vlapic_vm *vm, uint32_t apic_id)
{
    return apic_id <= vm->config.max_apic_id ? vlapic_load_acquire(&vm->by_id[apic_id]) : NULL;
}
