/* SPDX-License-Identifier: BSD-2-Clause */
/* SVM on the physical CPUs: on while the module is loaded, also on those that come later. AMD APM 2, "Enabling SVM". */
#include <linux/cpuhotplug.h>
#include <linux/percpu.h>
#include <linux/slab.h>
#include <asm/cpufeature.h>
#include <asm/msr.h>

#include "vmm.h"

#define IO_MAP_BYTES (3 * PAGE_SIZE)
#define MSR_MAP_BYTES (2 * PAGE_SIZE)

DEFINE_PER_CPU(struct vmm_cpu, vmm_cpus);
void *vmm_io_map, *vmm_msr_map;
static int hotplug_state;

/* In the thread of a CPU that comes or goes, on that CPU. */
static int turn_on(unsigned int cpu)
{
    struct vmm_cpu *host = this_cpu_ptr(&vmm_cpus);
    u64 efer;

    rdmsrl(MSR_EFER, efer);
    if (efer & EFER_SVME) {
        pr_err("vlapic_vmm: CPU %u: SVM is used by somebody else\n", cpu);
        return -EBUSY;
    }
    host->save_area = kzalloc(PAGE_SIZE, GFP_KERNEL);
    host->host_vmcb = kzalloc(PAGE_SIZE, GFP_KERNEL);
    if (!host->save_area || !host->host_vmcb) {
        kfree(host->save_area);
        kfree(host->host_vmcb);
        return -ENOMEM;
    }
    wrmsrl(MSR_EFER, efer | EFER_SVME);
    wrmsrl(MSR_VM_HSAVE_PA, __pa(host->save_area));
    host->last_vcpu = 0;
    WRITE_ONCE(host->on, true);
    return 0;
}

/* Its vCPUs, if any, see `on` when they next want to enter: an entry and this thread cannot run here at the same time. */
static int turn_off(unsigned int cpu)
{
    struct vmm_cpu *host = this_cpu_ptr(&vmm_cpus);
    u64 efer;

    WRITE_ONCE(host->on, false);
    wrmsrl(MSR_VM_HSAVE_PA, 0);
    rdmsrl(MSR_EFER, efer);
    wrmsrl(MSR_EFER, efer & ~EFER_SVME);
    kfree(host->save_area);
    kfree(host->host_vmcb);
    return 0;
}

static int check_processor(void)
{
    u64 control;

    if (!boot_cpu_has(X86_FEATURE_SVM) || !boot_cpu_has(X86_FEATURE_NPT)) {
        pr_err("vlapic_vmm: the processor has no SVM with nested paging\n");
        return -ENODEV;
    }
    rdmsrl(MSR_VM_CR, control);
    if (control & SVM_VM_CR_SVM_DIS_MASK) {
        pr_err("vlapic_vmm: SVM is disabled by the firmware\n");
        return -ENODEV;
    }
    return 0;
}

static void free_maps(void)
{
    kfree(vmm_io_map);
    kfree(vmm_msr_map);
}

int vmm_svm_start(void)
{
    int error = check_processor();

    if (error) {
        return error;
    }
    vmm_io_map = vmm_alloc(IO_MAP_BYTES, PAGE_SIZE);
    vmm_msr_map = vmm_alloc(MSR_MAP_BYTES, PAGE_SIZE);
    if (!vmm_io_map || !vmm_msr_map) {
        free_maps();
        return -ENOMEM;
    }
    memset(vmm_io_map, 0xFF, IO_MAP_BYTES);
    memset(vmm_msr_map, 0xFF, MSR_MAP_BYTES);
    hotplug_state = cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, "vlapic_vmm:online", turn_on, turn_off);
    if (hotplug_state < 0) {
        free_maps();
        return hotplug_state;
    }
    return 0;
}

void vmm_svm_stop(void)
{
    cpuhp_remove_state(hotplug_state);
    free_maps();
}
