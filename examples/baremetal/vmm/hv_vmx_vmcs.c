/* SPDX-License-Identifier: BSD-2-Clause */
/* The VMCS: controls, host state, the guest's state at its start; EPT. */
#include "hv_vmx.h"

#define MSR_VMX_CR0_FIXED0 0x486u
#define MSR_VMX_CR4_FIXED0 0x488u
#define CR0_GUEST 0x80010031ull /* PG, WP, NE, ET, PE */
#define CR4_PAE (1ull << 5)
#define EPT_POINTER_BITS (3u << 3 | 6u) /* four levels, write-back */
#define PAGE_FAULT 14

/* Read, write, execute; the leaf is write-back. */
static const struct page_format ept_pages = { 7, 7 | 6 << 3 };

/* Read, and perhaps write; uncached. By enum hv_window. */
static const struct page_format ept_device_pages[] = { { 0, 0 }, { 7, 1 }, { 7, 3 } };
static const struct page_format guest_device_pages[] = { { 0, 0 }, { 3, 1 | 1 << 4 }, { 3, 3 | 1 << 4 } };

static uint64_t *new_ept_table(struct vcpu *cpu)
{
    (void)cpu;
    return host_alloc_page();
}

static uint64_t physical(const void *pointer)
{
    return (uint64_t)(uintptr_t)pointer;
}

static uint32_t controls(uint64_t capability, uint32_t wanted)
{
    HOST_MUST((wanted & ~(capability >> 32)) == 0);
    return wanted | (uint32_t)capability;
}

static void vmclear(void *vmcs)
{
    uint64_t address = physical(vmcs);
    uint8_t failed;

    __asm__ volatile("vmclear %1; setna %0" : "=qm"(failed) : "m"(address) : "cc", "memory");
    HOST_MUST(!failed);
}

void hv_vmx_create(struct vcpu *cpu)
{
    struct hv_vmx_vcpu *v = host_alloc(sizeof(*v), 16);

    cpu->hv = v;
    v->vmcs = host_alloc_page();
    *(uint32_t *)v->vmcs = hv_vmx_can.revision;
    vmclear(v->vmcs);
    v->msr_bitmap = memset(host_alloc_page(), 0xFF, PAGE_BYTES);
    if (hv_vmx_can.ept) {
        v->ept = host_alloc_page();
        for (uint64_t address = GUEST_BASE; address < GUEST_BASE + GUEST_BYTES; address += PAGE_BYTES) {
            pages_map(v->ept, &ept_pages, new_ept_table, cpu, address, address);
        }
    }
}

static void write_controls(const struct hv_vmx_vcpu *v)
{
    uint32_t pin = PIN_EXTERNAL_INTERRUPT | PIN_NMI | PIN_VIRTUAL_NMIS;

    /* Bochs does not exit for an interrupt if the guest was entered with IF clear and has not changed it: the timer ends that guest. Where
     * there is none (core2_penryn_t9600), a guest that waits with interrupts off has to exit by itself, and the payloads do. */
    if (hv_vmx_can.preemption_timer) {
        pin |= PIN_PREEMPTION_TIMER;
    }
    vmwrite(VMCS_PIN, controls(hv_vmx_can.pin, pin));
    vmwrite(VMCS_PRIMARY,
            controls(hv_vmx_can.primary, PRIMARY_HLT | PRIMARY_CR8_LOAD | PRIMARY_CR8_STORE | PRIMARY_IO |
                                             PRIMARY_MSR_BITMAP | (hv_vmx_can.secondary != 0 ? PRIMARY_SECONDARY : 0)));
    if (hv_vmx_can.secondary != 0) {
        vmwrite(VMCS_SECONDARY, controls(hv_vmx_can.secondary, hv_vmx_can.ept ? SECONDARY_EPT : 0));
    }
    vmwrite(VMCS_EXIT_CONTROLS, controls(hv_vmx_can.exit, EXIT_HOST_64 | EXIT_ACKNOWLEDGE));
    vmwrite(VMCS_ENTRY_CONTROLS, controls(hv_vmx_can.entry, ENTRY_GUEST_64));
    vmwrite(VMCS_EXCEPTION_BITMAP, hv_vmx_can.ept ? 0 : 1u << PAGE_FAULT);
    vmwrite(VMCS_PF_MASK, 0);
    vmwrite(VMCS_PF_MATCH, 0);
    vmwrite(VMCS_CR3_TARGETS, 0);
    vmwrite(VMCS_EXIT_STORES, 0);
    vmwrite(VMCS_EXIT_LOADS, 0);
    vmwrite(VMCS_ENTRY_LOADS, 0);
    vmwrite(VMCS_ENTRY_INFORMATION, 0);
    vmwrite(VMCS_MSR_BITMAP, physical(v->msr_bitmap));
    vmwrite(VMCS_TSC_OFFSET, 0);
    vmwrite(VMCS_LINK_POINTER, UINT64_MAX);
    vmwrite(VMCS_CR0_MASK, 0);
    vmwrite(VMCS_CR4_MASK, 0);
    if (v->ept != NULL) {
        vmwrite(VMCS_EPT_POINTER, physical(v->ept) | EPT_POINTER_BITS);
    }
}

static void write_host(void)
{
    struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) interrupts;
    const struct host_cpu *host = this_cpu();
    uint64_t cr0, cr3, cr4;

    __asm__ volatile("sidt %0" : "=m"(interrupts));
    __asm__ volatile("mov %%cr0, %0; mov %%cr3, %1; mov %%cr4, %2" : "=r"(cr0), "=r"(cr3), "=r"(cr4));
    vmwrite(VMCS_HOST_CR0, cr0);
    vmwrite(VMCS_HOST_CR3, cr3);
    vmwrite(VMCS_HOST_CR4, cr4);
    vmwrite(VMCS_HOST_CS, HOST_CS);
    vmwrite(VMCS_HOST_SS, HOST_DS);
    vmwrite(VMCS_HOST_DS, HOST_DS);
    vmwrite(VMCS_HOST_ES, HOST_DS);
    vmwrite(VMCS_HOST_FS, 0);
    vmwrite(VMCS_HOST_GS, 0);
    vmwrite(VMCS_HOST_TR, HOST_TR);
    vmwrite(VMCS_HOST_FS_BASE, 0);
    vmwrite(VMCS_HOST_GS_BASE, physical(host));
    vmwrite(VMCS_HOST_TR_BASE, physical(host->tss));
    vmwrite(VMCS_HOST_GDTR_BASE, physical(host->gdt));
    vmwrite(VMCS_HOST_IDTR_BASE, interrupts.base);
    vmwrite(VMCS_HOST_SYSENTER_CS, 0);
    vmwrite(VMCS_HOST_SYSENTER_ESP, 0);
    vmwrite(VMCS_HOST_SYSENTER_EIP, 0);
}

void hv_vmx_load(struct vcpu *cpu)
{
    struct hv_vmx_vcpu *v = hv_vmx_of(cpu);
    uint64_t address = physical(v->vmcs);
    uint8_t failed;

    __asm__ volatile("vmptrld %1; setna %0" : "=qm"(failed) : "m"(address) : "cc", "memory");
    HOST_MUST(!failed);
    if (!v->filled) {
        v->filled = true;
        write_controls(v);
        hv_vmx_map_window(cpu, GUEST_WINDOW, 0);
        hv_vmx_map_window(cpu, GUEST_WINDOW_MOVED, 0);
        if (hv_vmx_driver->filled != NULL) {
            hv_vmx_driver->filled(cpu);
        }
    }
    write_host();
}

void hv_vmx_put(struct vcpu *cpu)
{
    vmclear(hv_vmx_of(cpu)->vmcs);
    hv_vmx_of(cpu)->launched = false;
}

/* ES CS SS DS FS GS LDTR TR */
static void write_segments(void)
{
    static const uint16_t selectors[8] = { 16, 8, 16, 16, 16, 16, 0, 24 };
    static const uint32_t rights[8] = { 0xC093, 0xA09B, 0xC093, 0xC093, 0xC093, 0xC093, 0x10000, 0x8B };

    for (uint32_t i = 0; i < 8; i++) {
        vmwrite(VMCS_GUEST_SELECTORS + 2 * i, selectors[i]);
        vmwrite(VMCS_GUEST_LIMITS + 2 * i, i < 6 ? UINT32_MAX : 0x67);
        vmwrite(VMCS_GUEST_RIGHTS + 2 * i, rights[i]);
        vmwrite(VMCS_GUEST_BASES + 2 * i, 0);
    }
    for (uint32_t i = 8; i < 10; i++) { /* GDTR, IDTR */
        vmwrite(VMCS_GUEST_LIMITS + 2 * i, 0);
        vmwrite(VMCS_GUEST_BASES + 2 * i, 0);
    }
}

void hv_vmx_reset(struct vcpu *cpu)
{
    write_segments();
    vmwrite(VMCS_GUEST_CR0, CR0_GUEST | rdmsr(MSR_VMX_CR0_FIXED0));
    vmwrite(VMCS_GUEST_CR3, physical(cpu->tables));
    vmwrite(VMCS_GUEST_CR4, CR4_PAE | rdmsr(MSR_VMX_CR4_FIXED0));
    vmwrite(VMCS_GUEST_DR7, 0x400);
    vmwrite(VMCS_GUEST_DEBUGCTL, 0);
    vmwrite(VMCS_GUEST_PENDING_DEBUG, 0);
    vmwrite(VMCS_GUEST_ACTIVITY, 0);
    vmwrite(VMCS_GUEST_SYSENTER_CS, 0);
    vmwrite(VMCS_GUEST_SYSENTER_ESP, 0);
    vmwrite(VMCS_GUEST_SYSENTER_EIP, 0);
    cpu->shadow = 0;
}

/* Linear translations go at each entry, since there is no VPID. */
void hv_vmx_flush(struct vcpu *cpu)
{
    const struct hv_vmx_vcpu *v = hv_vmx_of(cpu);
    struct {
        uint64_t pointer, reserved;
    } descriptor = { physical(v->ept) | EPT_POINTER_BITS, 0 };

    if (v->ept != NULL) {
        __asm__ volatile("invept %0, %1" : : "m"(descriptor), "r"(1ull) : "cc", "memory");
    }
}

static void map(struct vcpu *cpu, uint64_t guest_physical, uint64_t to, const struct page_format *ept_format,
                const struct page_format *guest_format)
{
    const struct hv_vmx_vcpu *v = hv_vmx_of(cpu);

    if (v->ept != NULL) {
        pages_map(v->ept, ept_format, new_ept_table, cpu, guest_physical, to);
    } else {
        pages_map(cpu->tables, guest_format, vcpu_new_table, cpu, guest_physical, to);
    }
    hv_vmx_flush(cpu);
}

static void unmap(struct vcpu *cpu, uint64_t guest_physical)
{
    pages_unmap(hv_vmx_of(cpu)->ept != NULL ? hv_vmx_of(cpu)->ept : cpu->tables, guest_physical);
    hv_vmx_flush(cpu);
}

void hv_vmx_map_window(struct vcpu *cpu, uint64_t guest_physical, uint64_t to)
{
    if (to == 0) {
        unmap(cpu, guest_physical);
    } else {
        map(cpu, guest_physical, to, &ept_pages, &vm_guest_pages);
    }
}

void hv_vmx_show_window(struct vcpu *cpu, uint64_t window, enum hv_window what)
{
    if (what == HV_WINDOW_NONE) {
        unmap(cpu, window);
    } else {
        map(cpu, window, window, &ept_device_pages[what], &guest_device_pages[what]);
    }
}
