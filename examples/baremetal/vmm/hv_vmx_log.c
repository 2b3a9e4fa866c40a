/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The log of entries and exits (option `trace=3`) that examples/baremetal/replay plays again on the processor of tests/hw/apicv: what the processor
 * had before the guest ran, and what it left. One CPU.
 */
#include "hv_vmx.h"

#define PAIRS 150u /* a vCPU and payload */
#define VIRTUAL_APIC 0x2012u
#define INTERRUPT_STATUS 0x0810u
#define TPR_THRESHOLD 0x401Cu
#define EOI_EXIT 0x201Cu
#define PRIMARY_TPR (1u << 21)
#define SECONDARY_DELIVERY (1u << 9)

static uint64_t read_if(bool exists, uint32_t field)
{
    return exists ? vmread(field) : 0;
}

static void log_page(const char *name, const uint32_t *page, uint32_t base)
{
    host_print(" %s", name);
    for (uint32_t w = 0; w < 8; w++) {
        host_print(" %x", page[base / 4 + w * 4]);
    }
}

static void log_state(const uint32_t *page)
{
    host_print(" tpr %x ppr %x", page[0x80 / 4], page[0xA0 / 4]);
    log_page("isr", page, 0x100);
    log_page("irr", page, 0x200);
}

static const uint32_t *page_now(void)
{
    bool has_page = (vmread(VMCS_PRIMARY) & PRIMARY_TPR) != 0;

    return has_page ? (const uint32_t *)(uintptr_t)vmread(VIRTUAL_APIC) : NULL;
}

bool hv_vmx_log_before(struct vcpu *cpu)
{
    const uint32_t *page = options.trace == 3 && cpu->log_count < PAIRS ? page_now() : NULL;
    const uint8_t *bitmap = hv_vmx_of(cpu)->msr_bitmap;
    bool delivers;

    if (page == NULL) {
        return false;
    }
    cpu->log_count++;
    delivers = (vmread(VMCS_SECONDARY) & SECONDARY_DELIVERY) != 0;
    host_print("L+ pin %x primary %x secondary %x status %x threshold %x", (uint32_t)vmread(VMCS_PIN),
               (uint32_t)vmread(VMCS_PRIMARY), (uint32_t)vmread(VMCS_SECONDARY),
               (uint32_t)read_if(delivers, INTERRUPT_STATUS), (uint32_t)vmread(TPR_THRESHOLD));
    host_print(" inject %x rflags %x shadow %x", (uint32_t)vmread(VMCS_ENTRY_INFORMATION), (uint32_t)cpu->regs.rflags,
               cpu->shadow);
    for (uint32_t w = 0; w < 4; w++) {
        host_print(" %llx", (unsigned long long)read_if(delivers, EOI_EXIT + 2 * w));
    }
    log_state(page);
    host_print(" msr");
    for (uint32_t i = 0; i < 8; i++) {
        host_print(" %x", bitmap[0x100 + i] | (uint32_t)bitmap[0x900 + i] << 8);
    }
    host_print("\n");
    return true;
}

void hv_vmx_log_after(struct vcpu *cpu)
{
    const uint32_t *page = page_now();
    bool delivers = (vmread(VMCS_SECONDARY) & SECONDARY_DELIVERY) != 0;
    uint32_t reason = (uint32_t)vmread(VMCS_EXIT_REASON);
    uint64_t qualification = vmread(VMCS_QUALIFICATION);
    uint32_t offset = reason == REASON_APIC_WRITE ? (uint32_t)qualification & 0xFF0u : 0x300;

    host_print("L- reason %x qualification %llx vector %x status %x written %x rflags %x rcx %x rax %x", reason,
               (unsigned long long)qualification, (uint32_t)vmread(VMCS_EXIT_INFORMATION),
               (uint32_t)read_if(delivers, INTERRUPT_STATUS), page[offset / 4], (uint32_t)vmread(VMCS_GUEST_RFLAGS),
               (uint32_t)cpu->regs.general[1], (uint32_t)cpu->regs.general[0]);
    log_state(page);
    host_print("\n");
}
