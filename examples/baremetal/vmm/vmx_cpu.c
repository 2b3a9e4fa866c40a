/* SPDX-License-Identifier: BSD-2-Clause */
/* VMX on a physical CPU; and the hypervisor's table. */
#include "vmx_hv.h"

#define MSR_FEATURE_CONTROL 0x3Au
#define FEATURE_CONTROL_LOCKED_ON 5u
#define MSR_VMX_BASIC 0x480u
#define MSR_VMX_MISC 0x485u
#define MSR_VMX_CR0_FIXED0 0x486u
#define MSR_VMX_CR4_FIXED0 0x488u
#define MSR_VMX_SECONDARY 0x48Bu
#define MSR_VMX_EPT_VPID 0x48Cu
#define EPT_WALK_4 (1u << 6)
#define EPT_WRITE_BACK (1u << 14)
#define BASIC_TRUE_CONTROLS (1ull << 55)

struct vmx_capabilities vmx;
const struct vmx_driver *vmx_driver;

static const struct vmx_driver *const drivers[] = { &vmx_soft_driver };

static bool supported(void)
{
    uint32_t leaf[4];

    cpuid(1, leaf);
    return (leaf[2] & 1u << 5) != 0;
}

static bool may(uint64_t capability, uint32_t control)
{
    return (capability >> 32 & control) == control;
}

static void read_capabilities(void)
{
    uint64_t basic = rdmsr(MSR_VMX_BASIC), ept;
    uint32_t offset = (basic & BASIC_TRUE_CONTROLS) != 0 ? 12 : 0; /* 48Dh.. instead of 481h.. */

    vmx.revision = (uint32_t)basic & 0x7FFFFFFF;
    vmx.pin = rdmsr(0x481u + offset);
    vmx.primary = rdmsr(0x482u + offset);
    vmx.exit = rdmsr(0x483u + offset);
    vmx.entry = rdmsr(0x484u + offset);
    vmx.secondary = may(vmx.primary, PRIMARY_SECONDARY) ? rdmsr(MSR_VMX_SECONDARY) : 0;
    vmx.virtual_nmis = may(vmx.pin, PIN_VIRTUAL_NMIS);
    vmx.preemption_timer = may(vmx.pin, PIN_PREEMPTION_TIMER);
    vmx.preemption_shift = rdmsr(MSR_VMX_MISC) & 31;
    if (may(vmx.secondary, SECONDARY_EPT)) {
        ept = rdmsr(MSR_VMX_EPT_VPID);
        vmx.ept = (ept & EPT_WALK_4) != 0 && (ept & EPT_WRITE_BACK) != 0;
    }
}

static void cpu_on(struct host_cpu *host)
{
    uint64_t region = (uint64_t)(uintptr_t)host->hv_page, cr0, cr4;
    uint8_t failed;

    if (host->index == 0) {
        read_capabilities();
    }
    if ((rdmsr(MSR_FEATURE_CONTROL) & 1) == 0) {
        wrmsr(MSR_FEATURE_CONTROL, FEATURE_CONTROL_LOCKED_ON);
    }
    __asm__ volatile("mov %%cr0, %0; mov %%cr4, %1" : "=r"(cr0), "=r"(cr4));
    cr0 |= rdmsr(MSR_VMX_CR0_FIXED0);
    cr4 |= rdmsr(MSR_VMX_CR4_FIXED0) | CR4_VMXE;
    __asm__ volatile("mov %0, %%cr0; mov %1, %%cr4" : : "r"(cr0), "r"(cr4));
    *(uint32_t *)host->hv_page = vmx.revision;
    __asm__ volatile("vmxon %1; setna %0" : "=qm"(failed) : "m"(region) : "cc", "memory");
    HOST_MUST(!failed);
}

static const struct vlapic_backend *backend(const char *name, const void **config)
{
    for (size_t i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++) {
        if (strings_are_equal(name, drivers[i]->name)) {
            vmx_driver = drivers[i];
            *config = vmx_driver->config != NULL ? vmx_driver->config() : NULL;
            return vmx_driver->backend;
        }
    }
    return NULL;
}

static uint32_t free_of_exits(struct vcpu *cpu)
{
    return vmx_driver->free != NULL ? vmx_driver->free(cpu) : 0;
}

static void inhibit(bool on)
{
    if (vmx_driver->inhibit != NULL) {
        vmx_driver->inhibit(on);
    }
}

static void before_snapshot(struct vcpu *cpu)
{
    if (vmx_driver->before_snapshot != NULL) {
        vmx_driver->before_snapshot(cpu);
    }
}

static void after_snapshot(struct vcpu *cpu)
{
    if (vmx_driver->after_snapshot != NULL) {
        vmx_driver->after_snapshot(cpu);
    }
}

const struct hv vmx_hv = {
    .name = "vmx",
    .supported = supported,
    .backend = backend,
    .cpu_on = cpu_on,
    .create = vmx_create,
    .reset = vmx_reset,
    .load = vmx_load,
    .put = vmx_put,
    .run = vmx_run,
    .free = free_of_exits,
    .inhibit = inhibit,
    .before_snapshot = before_snapshot,
    .after_snapshot = after_snapshot,
};
