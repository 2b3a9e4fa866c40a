/* SPDX-License-Identifier: BSD-2-Clause */
/* The VMCB: what is intercepted, the guest's state at its start; nested page tables, in which guest-physical = physical but for the windows. */
#include "hv_svm.h"

#define IO_MAP_BYTES (3 * PAGE_BYTES)
#define MSR_MAP_BYTES (2 * PAGE_BYTES)
#define CR0_GUEST 0x80010031ull /* PG, WP, NE, ET, PE */
#define CR4_PAE (1ull << 5)
#define EFER_LONG_SVM 0x1500ull /* LME, LMA, and SVME, without which VMRUN refuses */
#define PAT_RESET 0x0007040600070406ull
#define SEGMENTS 10u

/* Present, writable, user: the processor walks these tables as a user would. */
static const struct page_format nested_pages = { 7, 7 };

/* Perhaps writable; uncached. By enum hv_window. */
static const struct page_format nested_device_pages[] = { { 0, 0 }, { 7, 5 | 1 << 4 }, { 7, 7 | 1 << 4 } };

static uint8_t io_map[IO_MAP_BYTES] __attribute__((aligned(4096)));

static uint64_t physical(const void *pointer)
{
    return (uint64_t)(uintptr_t)pointer;
}

static uint64_t *new_table(struct vcpu *cpu)
{
    (void)cpu;
    return host_alloc_page();
}

static void write_controls(struct vcpu *cpu)
{
    const struct hv_svm_vcpu *v = hv_svm_of(cpu);

    vmcb_set32(cpu, VMCB_CR_INTERCEPTS, hv_svm_driver->cr_intercepts, 0);
    vmcb_set32(cpu, VMCB_INTERCEPTS3,
               INTERCEPT_INTR | INTERCEPT_NMI | INTERCEPT_HLT | INTERCEPT_IO | INTERCEPT_MSR | INTERCEPT_SHUTDOWN, 0);
    vmcb_set32(cpu, VMCB_INTERCEPTS4, INTERCEPT_SVM, 0);
    vmcb_set(cpu, VMCB_IO_MAP, physical(memset(io_map, 0xFF, sizeof(io_map))), 0);
    vmcb_set(cpu, VMCB_MSR_MAP, physical(v->msr_map), 0);
    vmcb_set32(cpu, VMCB_ASID, 1 + cpu->index, 0);
    vmcb_set(cpu, VMCB_INTERRUPT_CONTROL, CONTROL_V_INTR_MASKING, 0);
    vmcb_set(cpu, VMCB_NESTED_PAGING, 1, 0);
    vmcb_set(cpu, VMCB_NESTED_CR3, physical(v->nested), 0);
}

void hv_svm_create(struct vcpu *cpu)
{
    struct hv_svm_vcpu *v = host_alloc(sizeof(*v), 16);

    cpu->hv = v;
    v->vmcb = host_alloc_page();
    v->msr_map = memset(host_alloc(MSR_MAP_BYTES, PAGE_BYTES), 0xFF, MSR_MAP_BYTES);
    v->nested = host_alloc_page();
    for (uint64_t address = GUEST_BASE; address < GUEST_BASE + GUEST_BYTES; address += PAGE_BYTES) {
        pages_map(v->nested, &nested_pages, new_table, cpu, address, address);
    }
    write_controls(cpu);
    if (hv_svm_driver->filled != NULL) {
        hv_svm_driver->filled(cpu);
    }
}

void hv_svm_show_window(struct vcpu *cpu, uint64_t window, enum hv_window what)
{
    struct hv_svm_vcpu *v = hv_svm_of(cpu);

    if (what == HV_WINDOW_NONE) {
        pages_unmap(v->nested, window);
    } else {
        pages_map(v->nested, &nested_device_pages[what], new_table, cpu, window, window);
    }
    v->flush = true;
}

/* It may be another CPU than the last time, which may remember what its ASID meant then; the VMCB's copies are the other CPU's. */
void hv_svm_load(struct vcpu *cpu)
{
    hv_svm_of(cpu)->flush = true;
    vmcb_set32(cpu, VMCB_CLEAN, 0, 0);
}

void hv_svm_put(struct vcpu *cpu)
{
    (void)cpu; /* a VMCB is memory, and no CPU keeps it */
}

static void write_segments(struct vcpu *cpu)
{
    static const uint16_t selectors[SEGMENTS] = { 16, 8, 16, 16, 16, 16, 0, 0, 0, 24 };
    static const uint16_t attributes[SEGMENTS] = { 0xC93, 0xA9B, 0xC93, 0xC93, 0xC93, 0xC93, 0, 0, 0, 0x8B };
    static const uint32_t limits[SEGMENTS] = { UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX,
                                               UINT32_MAX, 0,          0,          0,          0x67 };

    for (uint32_t i = 0; i < SEGMENTS; i++) {
        vmcb_set(cpu, VMCB_SEGMENTS + 16 * i, selectors[i] | (uint32_t)attributes[i] << 16 | (uint64_t)limits[i] << 32,
                 0);
        vmcb_set(cpu, VMCB_SEGMENTS + 16 * i + 8, 0, 0);
    }
}

void hv_svm_reset(struct vcpu *cpu)
{
    struct hv_svm_vcpu *v = hv_svm_of(cpu);

    write_segments(cpu);
    vmcb_set(cpu, VMCB_CR0, CR0_GUEST, 0);
    vmcb_set(cpu, VMCB_CR3, physical(cpu->tables), 0);
    vmcb_set(cpu, VMCB_CR4, CR4_PAE, 0);
    vmcb_set(cpu, VMCB_EFER, EFER_LONG_SVM, 0);
    vmcb_set(cpu, VMCB_PAT, PAT_RESET, 0);
    vmcb_set(cpu, VMCB_DR6, 0xFFFF0FF0, 0);
    vmcb_set(cpu, VMCB_DR7, 0x400, 0);
    vmcb_set32(cpu, VMCB_CLEAN, 0, 0);
    v->step = v->iret_is_next = false;
    cpu->shadow = 0;
}
