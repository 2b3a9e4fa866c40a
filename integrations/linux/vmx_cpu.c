/* SPDX-License-Identifier: BSD-2-Clause */
/* VMX on the physical CPUs: whether it is there, on and off. Intel SDM 3C, "Discovering Support for VMX", "Enabling and Entering VMX Operation". */
#include <linux/moduleparam.h>
#include <linux/percpu.h>
#include <linux/slab.h>
#include <linux/perf_event.h>
#include <asm/cpufeature.h>
#include <asm/io.h>
#include <asm/msr.h>
#include <asm/tlbflush.h>

#include "vmx.h"

/* What this VMM asks of the processor, beside what the backend finds. */
#define PIN (PIN_BASED_EXT_INTR_MASK | PIN_BASED_NMI_EXITING | PIN_BASED_VIRTUAL_NMIS)
#define PRIMARY                                                                                                        \
    (CPU_BASED_HLT_EXITING | CPU_BASED_MWAIT_EXITING | CPU_BASED_RDPMC_EXITING | CPU_BASED_CR3_LOAD_EXITING |          \
     CPU_BASED_CR8_LOAD_EXITING | CPU_BASED_CR8_STORE_EXITING | CPU_BASED_MOV_DR_EXITING |                             \
     CPU_BASED_UNCOND_IO_EXITING | CPU_BASED_USE_MSR_BITMAPS | CPU_BASED_MONITOR_EXITING |                             \
     CPU_BASED_ACTIVATE_SECONDARY_CONTROLS)
#define EXIT (VM_EXIT_HOST_ADDR_SPACE_SIZE | VM_EXIT_LOAD_IA32_EFER)
#define ENTRY (VM_ENTRY_IA32E_MODE | VM_ENTRY_LOAD_DEBUG_CONTROLS | VM_ENTRY_LOAD_IA32_EFER)
#define EPT (VMX_EPT_PAGE_WALK_4_BIT | VMX_EPTP_WB_BIT | VMX_EPT_INVEPT_BIT | VMX_EPT_EXTENT_CONTEXT_BIT)
#define FEAT_CTL_ON (FEAT_CTL_LOCKED | FEAT_CTL_VMX_ENABLED_OUTSIDE_SMX)

struct vmm_vmx_capabilities vmm_vmx_can;
struct vmm_vmx_controls vmm_vmx_controls;
static DEFINE_PER_CPU(u32 *, vmxon_regions);

/* Bochs lets no interrupt end a guest that was entered with interrupts off. */
uint vmm_vmx_bound_us;
module_param_named(bound_us, vmm_vmx_bound_us, uint, 0444);
MODULE_PARM_DESC(bound_us, "VMX: let the guest exit after so many microseconds at most; 0: do not");

static u64 read_msr(u32 msr)
{
    u64 value;

    rdmsrl(msr, value);
    return value;
}

static void read_capabilities(void)
{
    u64 basic = read_msr(MSR_IA32_VMX_BASIC);
    u32 offset = basic & VMX_BASIC_TRUE_CTLS ? MSR_IA32_VMX_TRUE_PINBASED_CTLS - MSR_IA32_VMX_PINBASED_CTLS : 0;

    vmm_vmx_can = (struct vmm_vmx_capabilities){
        .revision = basic & 0x7FFFFFFF,
        .pin = read_msr(MSR_IA32_VMX_PINBASED_CTLS + offset),
        .primary = read_msr(MSR_IA32_VMX_PROCBASED_CTLS + offset),
        .exit = read_msr(MSR_IA32_VMX_EXIT_CTLS + offset),
        .entry = read_msr(MSR_IA32_VMX_ENTRY_CTLS + offset),
        .preemption_shift = read_msr(MSR_IA32_VMX_MISC) & VMX_MISC_PREEMPTION_TIMER_RATE_MASK,
    };
    if (vmm_vmx_can.primary >> 32 & CPU_BASED_ACTIVATE_SECONDARY_CONTROLS) {
        vmm_vmx_can.secondary = read_msr(MSR_IA32_VMX_PROCBASED_CTLS2);
    }
}

/* What must be 1, and what this VMM asks for. */
static void choose_controls(void)
{
    u32 bounds = vmm_vmx_bound_us ? PIN_BASED_VMX_PREEMPTION_TIMER : 0;

    vmm_vmx_controls = (struct vmm_vmx_controls){
        .pin = (u32)vmm_vmx_can.pin | PIN | bounds,
        .primary = (u32)vmm_vmx_can.primary | PRIMARY,
        .secondary = (u32)vmm_vmx_can.secondary | SECONDARY_EXEC_ENABLE_EPT |
                     (vmm_vmx_can.secondary >> 32 & SECONDARY_EXEC_WBINVD_EXITING),
        .exit = (u32)vmm_vmx_can.exit | EXIT,
        .entry = (u32)vmm_vmx_can.entry | ENTRY,
    };
}

static bool may_be(u64 capability, u32 controls)
{
    return (capability >> 32 & controls) == controls;
}

static bool has_controls(void)
{
    return may_be(vmm_vmx_can.pin, vmm_vmx_controls.pin) && may_be(vmm_vmx_can.primary, vmm_vmx_controls.primary) &&
           may_be(vmm_vmx_can.secondary, vmm_vmx_controls.secondary) &&
           may_be(vmm_vmx_can.exit, vmm_vmx_controls.exit) && may_be(vmm_vmx_can.entry, vmm_vmx_controls.entry) &&
           (read_msr(MSR_IA32_VMX_EPT_VPID_CAP) & EPT) == EPT;
}

/* The kernel says so only where the firmware, or itself, has VMX enabled. */
bool vmm_vmx_is_there(void)
{
    return boot_cpu_has(X86_FEATURE_VMX);
}

int vmm_vmx_start(void)
{
    read_capabilities();
    choose_controls();
    if (!has_controls()) {
        pr_err("vlapic_vmm: the processor's VMX lacks something, EPT, virtual NMIs or loading EFER\n");
        return -ENODEV;
    }
    vmm_vmx_apic_access_page = vmm_alloc(PAGE_SIZE, PAGE_SIZE);
    return vmm_vmx_apic_access_page ? 0 : -ENOMEM;
}

void vmm_vmx_stop(void)
{
    kfree(vmm_vmx_apic_access_page);
}

static bool vmxon(u32 *region)
{
    u64 pa = __pa(region);
    bool failed;

    asm volatile("vmxon %1; setna %0" : "=qm"(failed) : "m"(pa) : "cc", "memory");
    return !failed;
}

int vmm_vmx_cpu_on(unsigned int cpu)
{
    u32 *region;

    if (__read_cr4() & X86_CR4_VMXE) {
        pr_err("vlapic_vmm: CPU %u: VMX is used by somebody else\n", cpu);
        return -EBUSY;
    }
    if ((read_msr(MSR_IA32_FEAT_CTL) & FEAT_CTL_ON) != FEAT_CTL_ON) {
        pr_err("vlapic_vmm: CPU %u: VMX is disabled by the firmware\n", cpu);
        return -ENODEV;
    }
    region = kzalloc(PAGE_SIZE, GFP_KERNEL);
    if (!region) {
        return -ENOMEM;
    }
    *region = vmm_vmx_can.revision;
    intel_pt_handle_vmx(1);
    cr4_set_bits(X86_CR4_VMXE);
    if (!vmxon(region)) {
        cr4_clear_bits(X86_CR4_VMXE);
        intel_pt_handle_vmx(0);
        kfree(region);
        return -EIO;
    }
    this_cpu_write(vmxon_regions, region);
    return 0;
}

void vmm_vmx_cpu_off(void)
{
    asm volatile("vmxoff" : : : "cc", "memory");
    cr4_clear_bits(X86_CR4_VMXE);
    intel_pt_handle_vmx(0);
    kfree(this_cpu_read(vmxon_regions));
}
