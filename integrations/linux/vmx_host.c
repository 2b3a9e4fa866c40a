/* SPDX-License-Identifier: BSD-2-Clause */
/* The host's state over an entry: what an exit loads from the VMCS, and what it leaves otherwise than it was. Intel SDM 3C, "Loading Host State". */
#include <linux/smp.h>
#include <asm/cpu_entry_area.h>
#include <asm/desc.h>
#include <asm/msr.h>
#include <asm/processor.h>
#include <asm/segment.h>
#include <asm/special_insns.h>

#include "vmx.h"

static u64 read_msr(u32 msr)
{
    u64 value;

    rdmsrl(msr, value);
    return value;
}

static void write_selectors(void)
{
    vmm_vmwrite(HOST_CS_SELECTOR, __KERNEL_CS);
    vmm_vmwrite(HOST_SS_SELECTOR, __KERNEL_DS);
    vmm_vmwrite(HOST_DS_SELECTOR, 0);
    vmm_vmwrite(HOST_ES_SELECTOR, 0);
    vmm_vmwrite(HOST_FS_SELECTOR, 0);
    vmm_vmwrite(HOST_GS_SELECTOR, 0);
    vmm_vmwrite(HOST_TR_SELECTOR, GDT_ENTRY_TSS * 8);
}

void vmm_vmx_host_save(struct vmm_vmx_host *host)
{
    native_store_gdt(&host->gdt);
    store_idt(&host->idt);
    store_ldt(host->ldt);
    savesegment(ds, host->ds);
    savesegment(es, host->es);
    savesegment(fs, host->fs);
    savesegment(gs, host->gs);
    host->fs_base = read_msr(MSR_FS_BASE);
    host->kernel_gs_base = read_msr(MSR_KERNEL_GS_BASE);
    host->debugctl = get_debugctlmsr();

    write_selectors();
    vmm_vmwrite(HOST_CR0, read_cr0());
    vmm_vmwrite(HOST_CR3, __read_cr3());
    vmm_vmwrite(HOST_CR4, __read_cr4());
    vmm_vmwrite(HOST_IA32_EFER, read_msr(MSR_EFER));
    vmm_vmwrite(HOST_FS_BASE, host->fs_base);
    vmm_vmwrite(HOST_GS_BASE, read_msr(MSR_GS_BASE));
    vmm_vmwrite(HOST_TR_BASE, (u64)&get_cpu_entry_area(smp_processor_id())->tss.x86_tss);
    vmm_vmwrite(HOST_GDTR_BASE, host->gdt.address);
    vmm_vmwrite(HOST_IDTR_BASE, host->idt.address);
    vmm_vmwrite(HOST_IA32_SYSENTER_CS, read_msr(MSR_IA32_SYSENTER_CS));
    vmm_vmwrite(HOST_IA32_SYSENTER_ESP, read_msr(MSR_IA32_SYSENTER_ESP));
    vmm_vmwrite(HOST_IA32_SYSENTER_EIP, read_msr(MSR_IA32_SYSENTER_EIP));
}

/* The limits of GDT and IDT have become FFFFh, that of the TSS 67h, and LDTR, DS, ES, FS and GS are empty. */
void vmm_vmx_host_restore(const struct vmm_vmx_host *host)
{
    native_load_gdt(&host->gdt);
    native_load_idt(&host->idt);
    invalidate_tss_limit();
    if (host->ldt) {
        asm volatile("lldt %0" : : "m"(host->ldt));
    }
    if (host->ds | host->es) {
        loadsegment(ds, host->ds);
        loadsegment(es, host->es);
    }
    if (host->fs) {
        loadsegment(fs, host->fs);
        wrmsrl(MSR_FS_BASE, host->fs_base);
    }
    if (host->gs) {
        native_load_gs_index(host->gs); /* changes MSR_KERNEL_GS_BASE */
    }
    wrmsrl(MSR_KERNEL_GS_BASE, host->kernel_gs_base);
    if (host->debugctl) {
        update_debugctlmsr(host->debugctl);
    }
}
