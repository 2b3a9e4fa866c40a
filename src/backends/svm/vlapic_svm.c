/* SPDX-License-Identifier: BSD-2-Clause */
/* The svm backend's descriptor, settings and life. AMD APM 2, "Advanced Virtual Interrupt Controller". */
#include "vlapic_svm_internal.h"

#define PAGE_BYTES 4096u
#define ENTRIES_A_PAGE (PAGE_BYTES / 8u)
#define EDX_AVIC (1u << 13)
#define EDX_X2AVIC (1u << 18)
#define EDX_VNMI (1u << 25)
#define EDX_EXT_LVT_TRAPS (1u << 27)
#define ECX_X2AVIC_EXT (1u << 6)
#define MAX_ID_AVIC 254u
#define MAX_ID_X2AVIC 511u
#define MAX_ID_X2AVIC_EXT 4095u

enum vlapic_status vlapic_svm_config_defaults(struct vlapic_svm_config *config, size_t size)
{
    if (config == NULL) {
        return VLAPIC_INVALID;
    }
    if (size != sizeof(*config)) {
        return VLAPIC_BAD_ABI;
    }
    *config = (struct vlapic_svm_config){
        .size = (uint32_t)size,
        .abi = VLAPIC_SVM_ABI,
        .features = VLAPIC_SVM_DEFAULT_FEATURES,
        .physical_table_pages = 1,
    };
    return VLAPIC_OK;
}

static enum vlapic_status check_config(const struct vlapic_svm_config *config)
{
    const struct vlapic_svm_ops *ops;

    if (config == NULL || config->ops == NULL) {
        return VLAPIC_INVALID;
    }
    ops = config->ops;
    if (config->size != sizeof(*config) || config->abi != VLAPIC_SVM_ABI || ops->size != sizeof(*ops) ||
        ops->abi != VLAPIC_SVM_ABI) {
        return VLAPIC_BAD_ABI;
    }
    if (ops->vmcb == NULL || ops->guest == NULL || ops->guest->read_register == NULL ||
        ops->guest->write_register == NULL) {
        return VLAPIC_INVALID;
    }
    if (((config->physical_table.pa | config->logical_table.pa | config->discard_page.pa) & (PAGE_BYTES - 1)) != 0) {
        return VLAPIC_MISALIGNED;
    }
    return VLAPIC_OK;
}

static bool has_what_avic_needs(const struct vlapic_svm_config *config)
{
    return config->physical_table.va != NULL && config->physical_table_pages != 0 && config->discard_page.va != NULL &&
           config->ops != NULL && config->ops->doorbell != NULL && config->ops->physical_apic_id != NULL;
}

static uint32_t offered(const struct vlapic_svm_config *config)
{
    uint32_t features = (config->cpuid_edx & EDX_VNMI) != 0 ? VLAPIC_SVM_VNMI : 0;

    if ((config->cpuid_edx & EDX_AVIC) == 0 || !has_what_avic_needs(config)) {
        return features;
    }
    if (config->logical_table.va != NULL) {
        features |= VLAPIC_SVM_AVIC;
    }
    if ((config->cpuid_edx & EDX_X2AVIC) != 0) {
        features |= VLAPIC_SVM_X2AVIC | VLAPIC_SVM_SELF_IPI;
        features |= (config->cpuid_ecx & ECX_X2AVIC_EXT) != 0 ? VLAPIC_SVM_X2AVIC_EXT : 0;
    }
    return features;
}

uint32_t vlapic_svm_features(const struct vlapic_svm_config *config)
{
    uint32_t features;

    if (config == NULL) {
        return 0;
    }
    features = offered(config) & config->features;
    if ((features & VLAPIC_SVM_X2AVIC) == 0) {
        features &= ~(uint32_t)(VLAPIC_SVM_X2AVIC_EXT | VLAPIC_SVM_SELF_IPI);
    }
    return features;
}

/* EOIs of edge-triggered vectors are not reported, and offsets of the window without an AVIC register are plain memory. */
static uint32_t lasting_inhibits(const struct vlapic_vm_config *config, const struct vlapic_svm_config *svm)
{
    uint32_t reasons = 0;

    if (config->host->eoi_notify != NULL && !svm->edge_eoi_not_needed) {
        reasons |= VLAPIC_SVM_INHIBIT_EDGE_EOI;
    }
    if (config->max_lvt >= 6 || config->ext_space) {
        reasons |= VLAPIC_SVM_INHIBIT_REGISTERS;
    }
    return reasons;
}

/* The largest ID that each mode can have. */
static uint32_t table_limit(uint32_t features, uint32_t pages)
{
    uint32_t limit = MAX_ID_AVIC;

    if ((features & VLAPIC_SVM_X2AVIC) != 0) {
        limit = (features & VLAPIC_SVM_X2AVIC_EXT) != 0 ? MAX_ID_X2AVIC_EXT : MAX_ID_X2AVIC;
    }
    return limit < pages * ENTRIES_A_PAGE ? limit : pages * ENTRIES_A_PAGE - 1;
}

static enum vlapic_status vm_init(void *vm_state, const struct vlapic_vm_config *config)
{
    struct svm_vm *vm = vm_state;
    const struct vlapic_svm_config *svm = config->backend_config;
    enum vlapic_status status = check_config(svm);

    if (status != VLAPIC_OK) {
        return status;
    }
    vm->ops = *svm->ops;
    vm->features = vlapic_svm_features(svm);
    vm->physical = svm->physical_table.va;
    vm->physical_pa = svm->physical_table.pa;
    vm->logical = svm->logical_table.va;
    vm->logical_pa = svm->logical_table.pa;
    vm->discard_pa = svm->discard_page.pa;
    vm->table_limit = table_limit(vm->features, svm->physical_table_pages);
    vm->max_apic_id = config->max_apic_id;
    vm->erratum_1235 = svm->erratum_1235;
    vm->ext_lvt_traps = (svm->cpuid_edx & EDX_EXT_LVT_TRAPS) != 0;
    vm->lasting_inhibits = lasting_inhibits(config, svm);
    return VLAPIC_OK;
}

static enum vlapic_status cpu_init(const struct vlapic_cpu_memory *memory, void *vm_state, struct vlapic_cpu *cpu)
{
    struct svm_cpu *state = memory->owned;
    struct svm_vm *vm = vm_state;

    state->shared = memory->shared;
    state->vm = vm;
    state->cpu = cpu;
    state->cookie = vlapic_cpu_cookie(cpu);
    state->page = memory->pages[0].va;
    state->page_pa = memory->pages[0].pa;
    state->is_stale = true;
    state->shared->page = state->page;
    state->shared->doorbell = vm->ops.doorbell;
    state->shared->cookie = state->cookie;
    return VLAPIC_OK;
}

static void cpu_fini(void *cpu_state)
{
    vlapic_svm_core_leave_tables(cpu_state);
}

static void changed(void *cpu_state, uint32_t what)
{
    struct svm_cpu *state = cpu_state;

    if ((what & VLAPIC_CHANGE_TMR) != 0) {
        vlapic_svm_core_publish_levels(state);
    }
    if ((what & (VLAPIC_CHANGE_MODE | VLAPIC_CHANGE_ENABLE | VLAPIC_CHANGE_IDENTITY)) != 0) {
        state->is_stale = true;
        vlapic_svm_core_update_accepts(state, (what & VLAPIC_CHANGE_VOID) != 0);
        vlapic_svm_core_update_tables(state);
    }
    if ((what & VLAPIC_CHANGE_VOID) != 0) {
        state->events = (struct vlapic_events){ 0 };
        state->v_nmi = false;
        state->unblocks_nmi = true;
        state->blocks_nmi = false;
        state->nmi_waits = false;
        state->nmi_blocked = false;
        state->iret_is_next = false;
        state->by_hand = false;
    }
}

static uint64_t inhibits(const void *cpu_state)
{
    return vlapic_svm_core_inhibits(cpu_state);
}

void vlapic_svm_inhibit(struct vlapic_vm *vm, uint32_t reason, bool on)
{
    struct svm_vm *state = vlapic_backend_vm_state(vm, &vlapic_backend_svm);

    if (state == NULL) {
        return;
    }
    if (on) {
        __atomic_fetch_or(&state->inhibits, reason & VLAPIC_SVM_INHIBIT_EMBEDDER, __ATOMIC_SEQ_CST);
    } else {
        __atomic_fetch_and(&state->inhibits, ~(reason & VLAPIC_SVM_INHIBIT_EMBEDDER), __ATOMIC_SEQ_CST);
    }
}

void vlapic_svm_vmcb_replaced(struct vlapic_cpu *cpu)
{
    struct svm_cpu *state = svm_of(cpu);

    if (state != NULL) {
        state->is_stale = true;
        state->is_written = false;
        state->unblocks_nmi = false; /* whether they are blocked is as the new VMCB says */
    }
}

const struct vlapic_backend vlapic_backend_svm = {
    .abi = VLAPIC_BACKEND_ABI,
    .size = sizeof(struct vlapic_backend),
    .name = "svm",
    .flags = VLAPIC_BACKEND_SHARES_IRR,
    .vm_state_bytes = sizeof(struct svm_vm),
    .cpu_state_bytes = sizeof(struct svm_cpu),
    .cpu_shared_bytes = sizeof(struct svm_shared),
    .cpu_pages = 1,
    .vm_init = vm_init,
    .cpu_init = cpu_init,
    .cpu_fini = cpu_fini,
    .post = vlapic_svm_core_post,
    .notify = vlapic_svm_core_notify,
    .pending = vlapic_svm_core_pending,
    .collect = vlapic_svm_core_collect,
    .load = vlapic_svm_core_load,
    .put = vlapic_svm_core_put,
    .enter = vlapic_svm_core_enter,
    .exit = vlapic_svm_core_exit,
    .block = vlapic_svm_core_block,
    .unblock = vlapic_svm_core_unblock,
    .changed = changed,
    .inhibits = inhibits,
};
