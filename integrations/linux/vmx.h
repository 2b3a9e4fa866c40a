/* SPDX-License-Identifier: BSD-2-Clause */
/* VMX: what its files share. vmx_cpu.c turns it on, vmx_vcpu.c fills a VMCS, vmx_backend.c sets up the backend, vmx_host.c keeps what an exit does not
 * bring back of the host, vmx_run.c enters and decodes exits. */
#ifndef VMM_VMX_H
#define VMM_VMX_H

#include <asm/desc_defs.h>
#include <asm/vmx.h>

#include <vlapic/vmx_run.h>
#include "hv.h"

/* What the processor can do; asked once. Controls: low half must be 1, high half may be 1. And what a VMCS begins with. */
struct vmm_vmx_capabilities {
    u32 revision;
    u64 pin, primary, secondary, exit, entry;
    u32 preemption_shift;
};
struct vmm_vmx_controls {
    u32 pin, primary, secondary, exit, entry;
};
extern struct vmm_vmx_capabilities vmm_vmx_can;
extern struct vmm_vmx_controls vmm_vmx_controls;

/* vmm_vcpu.hv. Its VMCS is current from just before an entry to just after the exit, and launched anew by each: a CPU that goes away leaves none behind. */
struct vmm_vmx_vcpu {
    void *vmcs;
    u8 *msr_bitmap; /* everything exits; the backend lets MSRs through */
    bool is_new;    /* the VMCS is to be filled */
    u64 cr3;        /* to start with */
    u64 cr2, kernel_gs_base;
    u32 features;       /* in use at the last entry */
    bool window_is_due; /* the mapping of the APIC-access page */
    u64 window;         /* where it is mapped; 0: nowhere */
};

static inline struct vmm_vmx_vcpu *vmm_vmx_of(const struct vmm_vcpu *vcpu)
{
    return vcpu->hv;
}

/* To and from the current VMCS. */
static inline void vmm_vmwrite(u32 field, u64 value)
{
    bool failed;

    asm volatile("vmwrite %2, %1; setna %0" : "=qm"(failed) : "r"((u64)field), "r"(value) : "cc");
    WARN_ONCE(failed, "VMWRITE %x", field);
}

static inline u64 vmm_vmread(u32 field)
{
    u64 value;
    bool failed;

    asm volatile("vmread %2, %1; setna %0" : "=qm"(failed), "=r"(value) : "r"((u64)field) : "cc");
    WARN_ONCE(failed, "VMREAD %x", field);
    return value;
}

/* vmx_cpu.c */
extern uint vmm_vmx_bound_us; /* of a stay in the guest, by the preemption timer; 0: none */
bool vmm_vmx_is_there(void);
int vmm_vmx_start(void);
void vmm_vmx_stop(void);
int vmm_vmx_cpu_on(unsigned int cpu);
void vmm_vmx_cpu_off(void);

/* vmx_vcpu.c */
int vmm_vmx_create(struct vmm_vcpu *vcpu);
void vmm_vmx_free(struct vmm_vcpu *vcpu);
void vmm_vmx_reset(struct vmm_vcpu *vcpu, u64 cr3);
/* Makes the vCPU's VMCS the current one, filled in if it is new; and ends that. */
void vmm_vmx_load(struct vmm_vcpu *vcpu);
void vmm_vmx_put(struct vmm_vcpu *vcpu);
u64 vmm_vmx_ept_pointer(const struct vmm_vcpu *vcpu);

/* vmx_backend.c */
extern void *vmm_vmx_apic_access_page; /* shared by all VMs */
/* Maps the APIC-access page where the backend wants it now. */
int vmm_vmx_map_window(struct vmm_vcpu *vcpu);

/* vmx_host.c: what an exit leaves otherwise than it was. Interrupts are off from save() to restore(). */
struct vmm_vmx_host {
    struct desc_ptr gdt, idt;
    u16 ds, es, fs, gs, ldt;
    u64 fs_base, kernel_gs_base, debugctl;
};
void vmm_vmx_host_save(struct vmm_vmx_host *host);
void vmm_vmx_host_restore(const struct vmm_vmx_host *host);

/* vmx_run.c */
int vmm_vmx_run(struct vmm_vcpu *vcpu, struct vmm_cpu *host, struct vmm_exit *exit);

/* vmx_enter.S: into the guest and back. Interrupts are off; an interrupt that ended the guest is pending when it returns. 1: the instruction failed. */
u32 vmm_vmx_enter(u64 *general);

#endif
