/* SPDX-License-Identifier: BSD-2-Clause */
/* SVM: what its files share. svm_cpu.c turns it on, svm_vcpu.c fills a VMCB and sets up the backend, svm_run.c enters and decodes exits. */
#ifndef VMM_SVM_H
#define VMM_SVM_H

#include <asm/svm.h>

#include <vlapic/svm_run.h>
#include "hv.h"

/* One physical CPU. Its pages are there while SVM is on. */
struct vmm_svm_cpu {
    void *save_area; /* VM_HSAVE_PA: the processor's */
    void *host_vmcb; /* what VMSAVE and VMLOAD move of the host */
};
DECLARE_PER_CPU(struct vmm_svm_cpu, vmm_svm_cpus);

/* Permission maps that let nothing through, shared by all VMs. */
extern void *vmm_io_map, *vmm_msr_map;

bool vmm_svm_is_there(void);
int vmm_svm_start(void);
void vmm_svm_stop(void);
int vmm_svm_cpu_on(unsigned int cpu);
void vmm_svm_cpu_off(void);

int vmm_svm_run(struct vmm_vcpu *vcpu, struct vmm_cpu *host, struct vmm_exit *exit);

/* svm_enter.S: into the guest and back. Interrupts are off, and what ended the guest is pending when it returns. */
void vmm_svm_enter(u64 vmcb_pa, u64 *general, u64 host_vmcb_pa);

#endif
