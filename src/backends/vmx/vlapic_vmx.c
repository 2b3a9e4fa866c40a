/* SPDX-License-Identifier: BSD-2-Clause */
/* The vmx backend's descriptor, settings and life. Intel SDM 3C, "APIC Virtualization and Virtual Interrupts". */
#include <string.h>

#include "vlapic_vmx_internal.h"

_Static_assert(sizeof(struct vmx_descriptor) == 64, "the posted-interrupt descriptor");

enum vlapic_status vlapic_vmx_config_defaults(struct vlapic_vmx_config *config, size_t size)
{
    if (config == NULL) {
        return VLAPIC_INVALID;
    }
    if (size != sizeof(*config)) {
        return VLAPIC_BAD_ABI;
    }
    *config = (struct vlapic_vmx_config){
        .size = (uint32_t)size,
        .abi = VLAPIC_VMX_ABI,
        .features = VLAPIC_VMX_ALL_FEATURES,
    };
    return VLAPIC_OK;
}

static enum vlapic_status check_config(const struct vlapic_vmx_config *config)
{
    const struct vlapic_vmx_ops *ops;

    if (config == NULL || config->ops == NULL) {
        return VLAPIC_INVALID;
    }
    ops = config->ops;
    if (config->size != sizeof(*config) || config->abi != VLAPIC_VMX_ABI || ops->size != sizeof(*ops) ||
        ops->abi != VLAPIC_VMX_ABI) {
        return VLAPIC_BAD_ABI;
    }
    if (ops->vmwrite == NULL || ops->vmread == NULL || ops->guest == NULL || ops->guest->read_register == NULL ||
        ops->guest->write_register == NULL) {
        return VLAPIC_INVALID;
    }
    if ((config->apic_access_page & 0xFFF) != 0 || (config->pid_table.pa & 7) != 0) {
        return VLAPIC_MISALIGNED;
    }
    return VLAPIC_OK;
}

/* Which EOIs the embedder wants to hear of. */
static void set_watch(struct vmx_vm *vm, const struct vlapic_vm_config *config, const struct vlapic_vmx_config *vmx)
{
    if (config->host->eoi_notify == NULL) {
        return;
    }
    for (uint32_t w = 0; w < 4; w++) {
        vm->watch.word[w] = vmx->watch_given ? vmx->watch.word[w] : UINT64_MAX;
    }
}

static bool may_be_one(uint64_t capability, uint32_t bit)
{
    return ((uint32_t)(capability >> 32) & bit) != 0;
}

/* Hardware takes the destination for the index, and that for the one vCPU that is meant. */
static bool index_is_target(const struct vlapic_vm_config *config)
{
    return !config->id_writable && !(config->dest_alias && config->max_apic_id > 0xFF);
}

/* With IPI virtualization there is a table. */
static uint32_t last_pid_index(const struct vlapic_vm_config *config, const struct vlapic_vmx_config *vmx)
{
    uint32_t last = vmx->pid_table_entries - 1;

    last = last < 65535 ? last : 65535;
    return last < config->max_apic_id ? last : config->max_apic_id;
}

static enum vlapic_status vm_init(void *vm_state, const struct vlapic_vm_config *config)
{
    struct vmx_vm *vm = vm_state;
    const struct vlapic_vmx_config *vmx = config->backend_config;
    enum vlapic_status status = check_config(vmx);

    if (status != VLAPIC_OK) {
        return status;
    }
    vm->ops = *vmx->ops;
    vm->features = vlapic_vmx_features(vmx);
    if (!index_is_target(config)) {
        vm->features &= ~(uint32_t)VLAPIC_VMX_IPI;
    }
    if (config->ext_space && (config->ext_features & VLAPIC_EXT_IER) != 0) {
        vm->inhibits = VLAPIC_VMX_INHIBIT_IER;
    }
    vm->apic_access_page = vmx->apic_access_page;
    vm->notification_vector = vmx->notification_vector;
    vm->wakeup_vector = vmx->wakeup_vector != 0 ? vmx->wakeup_vector : vmx->notification_vector;
    vm->host_x2apic = vmx->host_x2apic;
    vm->length_is_valid = vmx->length_is_valid;
    vm->has_secondary = may_be_one(vmx->capabilities.primary, PRIMARY_SECONDARY);
    vm->has_tertiary = may_be_one(vmx->capabilities.primary, PRIMARY_TERTIARY);
    vm->has_cmci = config->max_lvt >= 6;
    vm->pid_table = vmx->pid_table.va;
    vm->pid_table_pa = vmx->pid_table.pa;
    vm->pid_last = (vm->features & VLAPIC_VMX_IPI) != 0 ? last_pid_index(config, vmx) : 0;
    set_watch(vm, config, vmx);
    return VLAPIC_OK;
}

static enum vlapic_status cpu_init(const struct vlapic_cpu_memory *memory, void *vm_state, struct vlapic_cpu *cpu)
{
    struct vmx_cpu *state = memory->owned;
    struct vmx_vm *vm = vm_state;

    state->shared = memory->shared;
    state->vm = vm;
    state->cpu = cpu;
    state->cookie = vlapic_cpu_cookie(cpu);
    state->page = memory->pages[0].va;
    state->page_pa = memory->pages[0].pa;
    state->descriptor_pa = memory->pages[1].pa;
    state->is_stale = true;
    state->pid_index = VMX_NO_INDEX;
    *state->shared = (struct vmx_shared){
        .descriptor = memory->pages[1].va,
        .notify = vm->ops.notify,
        .cookie = state->cookie,
        .host_x2apic = vm->host_x2apic,
    };
    memset(state->shared->descriptor, 0, sizeof(struct vmx_descriptor));
    state->shared->descriptor->control = DESCRIPTOR_SN; /* until it is loaded */
    return VLAPIC_OK;
}

static void changed(void *cpu_state, uint32_t what)
{
    struct vmx_cpu *state = cpu_state;

    if ((what & VLAPIC_CHANGE_TMR) != 0) {
        vlapic_vmx_core_publish_levels(state);
    }
    if ((what & (VLAPIC_CHANGE_MODE | VLAPIC_CHANGE_ENABLE | VLAPIC_CHANGE_IDENTITY)) != 0) {
        state->is_stale = true;
        vlapic_vmx_core_update_pid_table(state);
    }
    if ((what & VLAPIC_CHANGE_VOID) != 0) {
        state->events = (struct vlapic_events){ 0 };
    }
}

static uint64_t inhibits(const void *cpu_state)
{
    return vlapic_vmx_core_inhibits(cpu_state);
}

void vlapic_vmx_inhibit(struct vlapic_vm *vm, uint32_t reason, bool on)
{
    struct vmx_vm *state = vlapic_backend_vm_state(vm, &vlapic_backend_vmx);

    if (state == NULL) {
        return;
    }
    if (on) {
        __atomic_fetch_or(&state->inhibits, reason & VLAPIC_VMX_INHIBIT_EMBEDDER, __ATOMIC_SEQ_CST);
    } else {
        __atomic_fetch_and(&state->inhibits, ~(reason & VLAPIC_VMX_INHIBIT_EMBEDDER), __ATOMIC_SEQ_CST);
    }
}

void vlapic_vmx_vmcs_replaced(struct vlapic_cpu *cpu)
{
    struct vmx_cpu *state = vmx_of(cpu);

    if (state != NULL) {
        state->is_stale = true;
        state->is_written = false;
    }
}

const struct vlapic_backend vlapic_backend_vmx = {
    .abi = VLAPIC_BACKEND_ABI,
    .size = sizeof(struct vlapic_backend),
    .name = "vmx",
    .vm_state_bytes = sizeof(struct vmx_vm),
    .cpu_state_bytes = sizeof(struct vmx_cpu),
    .cpu_shared_bytes = sizeof(struct vmx_shared),
    .cpu_pages = 2,
    .vm_init = vm_init,
    .cpu_init = cpu_init,
    .post = vlapic_vmx_core_post,
    .notify = vlapic_vmx_core_notify,
    .pending = vlapic_vmx_core_pending,
    .collect = vlapic_vmx_core_collect,
    .load = vlapic_vmx_core_load,
    .put = vlapic_vmx_core_put,
    .enter = vlapic_vmx_core_enter,
    .exit = vlapic_vmx_core_exit,
    .block = vlapic_vmx_core_block,
    .unblock = vlapic_vmx_core_unblock,
    .changed = changed,
    .inhibits = inhibits,
};
