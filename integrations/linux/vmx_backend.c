/* SPDX-License-Identifier: BSD-2-Clause */
/* The vmx backend: its settings, and the page that it wants mapped; the vendor's table. */
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <asm/io.h>
#include <asm/msr.h>

#include "vmx.h"

#define EPT_LEVELS 4
#define EPT_ADDRESS_BITS 48

void *vmm_vmx_apic_access_page;

static uint features = VLAPIC_VMX_ALL_FEATURES;
module_param(features, uint, 0444);
MODULE_PARM_DESC(features, "VMX: what the APIC may use of the processor, and then does, enum vlapic_vmx_feature");

static void write_field(void *cookie, u32 field, u64 value)
{
    vmm_vmwrite(field, value);
}

static u64 read_field(void *cookie, u32 field)
{
    return vmm_vmread(field);
}

static u8 *msr_bitmap(void *cookie)
{
    return vmm_vmx_of(cookie)->msr_bitmap;
}

static const struct vlapic_vmx_ops ops = {
    .size = sizeof(ops),
    .abi = VLAPIC_VMX_ABI,
    .vmwrite = write_field,
    .vmread = read_field,
    .msr_bitmap = msr_bitmap,
    .fetch = vmm_fetch,
    .guest = &vmm_guest_ops,
};

/* No posted interrupts and no IPI virtualization: they want vectors of the host's, and the kernel gives a module none. Level-triggered EOIs exit by
 * themselves, and nobody here waits for others. */
static int configure(struct vlapic_vmx_config *config)
{
    if (vlapic_vmx_config_defaults(config, sizeof(*config)) != VLAPIC_OK) {
        return -EINVAL;
    }
    config->capabilities = (struct vlapic_vmx_capabilities){
        .pin = vmm_vmx_can.pin,
        .primary = vmm_vmx_can.primary,
        .secondary = vmm_vmx_can.secondary,
        .exit = vmm_vmx_can.exit,
    };
    config->features = features & ~(u32)(VLAPIC_VMX_POSTED | VLAPIC_VMX_IPI);
    config->ops = &ops;
    config->apic_access_page = __pa(vmm_vmx_apic_access_page);
    config->watch_given = true;
    return 0;
}

static int create_apics(struct vmm_vm *vm, struct vlapic_vm_config *config)
{
    struct vlapic_vmx_config vmx;
    int error = configure(&vmx);

    if (error) {
        return error;
    }
    config->backend = &vlapic_backend_vmx;
    config->backend_config = &vmx;
    return vmm_vm_create_apics(vm, config);
}

/* From now on the parameter tells what is used. */
static int start(void)
{
    struct vlapic_vmx_config vmx;
    int error = vmm_vmx_start();

    if (error) {
        return error;
    }
    error = configure(&vmx);
    if (error) {
        vmm_vmx_stop();
        return error;
    }
    features = vlapic_vmx_features(&vmx);
    return 0;
}

static void inhibit(struct vmm_vm *vm, bool on)
{
    vlapic_vmx_inhibit(vm->apics, VLAPIC_VMX_INHIBIT_REQUEST, on);
}

static bool is_memory(const struct vmm_vm *vm, u64 address)
{
    return address - vm->guest_physical < vm->page_count * PAGE_SIZE;
}

/* Memory covers the window, as where there is no APIC virtualization. */
int vmm_vmx_map_window(struct vmm_vcpu *vcpu)
{
    struct vmm_vmx_vcpu *v = vmm_vmx_of(vcpu);
    u64 window;

    if (v->window != 0) {
        vmm_npt_unmap(vcpu->nested_root, v->window);
        v->window = 0;
    }
    if (!vlapic_vmx_apic_page(vcpu->apic, &window) || window >> EPT_ADDRESS_BITS || is_memory(vcpu->vm, window)) {
        return 0;
    }
    v->window = window;
    return vmm_npt_map(vcpu->nested_root, window, __pa(vmm_vmx_apic_access_page));
}

static bool nmi_is_blocked(const struct vmm_vcpu *vcpu)
{
    return vcpu->shadow & GUEST_INTR_STATE_NMI;
}

static int npt_levels(void)
{
    return EPT_LEVELS;
}

const struct vmm_hv vmm_vmx = {
    .name = "vmx",
    .is_there = vmm_vmx_is_there,
    .start = start,
    .stop = vmm_vmx_stop,
    .cpu_on = vmm_vmx_cpu_on,
    .cpu_off = vmm_vmx_cpu_off,
    .npt_table = VMX_EPT_RWX_MASK,
    .npt_leaf = VMX_EPT_RWX_MASK | VMX_EPTP_MT_WB << VMX_EPT_MT_EPTE_SHIFT,
    .npt_levels = npt_levels,
    .create_apics = create_apics,
    .inhibit = inhibit,
    .create = vmm_vmx_create,
    .free = vmm_vmx_free,
    .reset = vmm_vmx_reset,
    .nmi_is_blocked = nmi_is_blocked,
    .get_in_flight = vlapic_vmx_get_in_flight,
    .set_in_flight = vlapic_vmx_set_in_flight,
    .run = vmm_vmx_run,
};
