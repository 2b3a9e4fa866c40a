/* SPDX-License-Identifier: BSD-2-Clause */
/* SVM on the physical CPUs: whether it is there, on and off. AMD APM 2, "Enabling SVM". */
#include <linux/percpu.h>
#include <linux/slab.h>
#include <asm/cpufeature.h>
#include <asm/msr.h>

#include "svm.h"

#define IO_MAP_BYTES (3 * PAGE_SIZE)
#define MSR_MAP_BYTES (2 * PAGE_SIZE)

DEFINE_PER_CPU(struct vmm_svm_cpu, vmm_svm_cpus);
void *vmm_io_map, *vmm_msr_map;

int vmm_svm_cpu_on(unsigned int cpu)
{
    struct vmm_svm_cpu *host = this_cpu_ptr(&vmm_svm_cpus);
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
    return 0;
}

void vmm_svm_cpu_off(void)
{
    struct vmm_svm_cpu *host = this_cpu_ptr(&vmm_svm_cpus);
    u64 efer;

    wrmsrl(MSR_VM_HSAVE_PA, 0);
    rdmsrl(MSR_EFER, efer);
    wrmsrl(MSR_EFER, efer & ~EFER_SVME);
    kfree(host->save_area);
    kfree(host->host_vmcb);
}

bool vmm_svm_is_there(void)
{
    return boot_cpu_has(X86_FEATURE_SVM);
}

static int check_processor(void)
{
    u64 control;

    if (!vmm_svm_is_there() || !boot_cpu_has(X86_FEATURE_NPT)) {
        pr_err("vlapic_vmm: the processor has neither SVM with nested paging nor VMX\n");
        return -ENODEV;
    }
    rdmsrl(MSR_VM_CR, control);
    if (control & SVM_VM_CR_SVM_DIS_MASK) {
        pr_err("vlapic_vmm: SVM is disabled by the firmware\n");
        return -ENODEV;
    }
    return 0;
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
        vmm_svm_stop();
        return -ENOMEM;
    }
    memset(vmm_io_map, 0xFF, IO_MAP_BYTES);
    memset(vmm_msr_map, 0xFF, MSR_MAP_BYTES);
    return 0;
}

void vmm_svm_stop(void)
{
    kfree(vmm_io_map);
    kfree(vmm_msr_map);
}
