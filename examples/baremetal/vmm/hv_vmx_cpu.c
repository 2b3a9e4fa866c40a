/* SPDX-License-Identifier: BSD-2-Clause */
/* VMX on a physical CPU; and the hypervisor's table. */
#include "hv_vmx.h"

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

struct hv_vmx_capabilities hv_vmx_can;
const struct hv_vmx_driver *hv_vmx_driver;

static const struct hv_vmx_driver *const drivers[] = { &hv_vmx_soft_driver, &hv_vmx_apicv_driver, &hv_vmx_thin_driver };

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

    hv_vmx_can.revision = (uint32_t)basic & 0x7FFFFFFF;
    hv_vmx_can.pin = rdmsr(0x481u + offset);
    hv_vmx_can.primary = rdmsr(0x482u + offset);
    hv_vmx_can.exit = rdmsr(0x483u + offset);
    hv_vmx_can.entry = rdmsr(0x484u + offset);
    hv_vmx_can.secondary = may(hv_vmx_can.primary, PRIMARY_SECONDARY) ? rdmsr(MSR_VMX_SECONDARY) : 0;
    hv_vmx_can.virtual_nmis = may(hv_vmx_can.pin, PIN_VIRTUAL_NMIS);
    hv_vmx_can.preemption_timer = may(hv_vmx_can.pin, PIN_PREEMPTION_TIMER);
    hv_vmx_can.preemption_shift = rdmsr(MSR_VMX_MISC) & 31;
    if (may(hv_vmx_can.secondary, SECONDARY_EPT)) {
        ept = rdmsr(MSR_VMX_EPT_VPID);
        hv_vmx_can.ept = (ept & EPT_WALK_4) != 0 && (ept & EPT_WRITE_BACK) != 0;
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
    *(uint32_t *)host->hv_page = hv_vmx_can.revision;
    __asm__ volatile("vmxon %1; setna %0" : "=qm"(failed) : "m"(region) : "cc", "memory");
    HOST_MUST(!failed);
}

static const struct vlapic_backend *backend(const char *name, const void **config)
{
    for (size_t i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++) {
        if (strings_are_equal(name, drivers[i]->name)) {
            hv_vmx_driver = drivers[i];
            *config = hv_vmx_driver->config != NULL ? hv_vmx_driver->config() : NULL;
            return hv_vmx_driver->backend;
        }
    }
    return NULL;
}

static uint32_t free_of_exits(struct vcpu *cpu)
{
    return hv_vmx_driver->free != NULL ? hv_vmx_driver->free(cpu) : 0;
}

static void inhibit(bool on)
{
    if (hv_vmx_driver->inhibit != NULL) {
        hv_vmx_driver->inhibit(on);
    }
}

static void before_snapshot(struct vcpu *cpu)
{
    if (hv_vmx_driver->before_snapshot != NULL) {
        hv_vmx_driver->before_snapshot(cpu);
    }
}

static void after_snapshot(struct vcpu *cpu)
{
    if (hv_vmx_driver->after_snapshot != NULL) {
        hv_vmx_driver->after_snapshot(cpu);
    }
}

const struct hv hv_vmx = {
    .name = "vmx",
    .default_backend = "soft",
    .vendor = VLAPIC_VENDOR_INTEL,
    .patience = 30000000, /* instructions, in Bochs */
    .supported = supported,
    .backend = backend,
    .cpu_on = cpu_on,
    .create = hv_vmx_create,
    .reset = hv_vmx_reset,
    .load = hv_vmx_load,
    .put = hv_vmx_put,
    .run = hv_vmx_run,
    .free = free_of_exits,
    .show_window = hv_vmx_show_window,
    .init_exits = true,
    .inhibit = inhibit,
    .before_snapshot = before_snapshot,
    .after_snapshot = after_snapshot,
};
