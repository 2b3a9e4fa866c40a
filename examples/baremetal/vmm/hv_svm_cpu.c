/* SPDX-License-Identifier: BSD-2-Clause */
/* SVM on a physical CPU; and the hypervisor's table. */
#include "hv_svm.h"

#define MSR_EFER 0xC0000080u
#define MSR_VM_CR 0xC0010114u
#define MSR_VM_HSAVE_PA 0xC0010117u
#define EFER_SVME (1ull << 12)
#define VM_CR_SVMDIS (1ull << 4)
#define ECX_SVM (1u << 2)
#define EDX_NESTED_PAGING (1u << 0)
#define EDX_FLUSH_BY_ASID (1u << 6)
#define LEAF_EXTENDED 0x80000000u
#define LEAF_FEATURES 0x80000001u
#define LEAF_SVM 0x8000000Au
#define LEAF_HYPERVISOR 0x40000000u

struct hv_svm_capabilities hv_svm_can;
const struct hv_svm_driver *hv_svm_driver;

static const struct hv_svm_driver *const drivers[] = { &hv_svm_soft_driver, &hv_svm_backend_driver,
                                                       &hv_svm_thin_driver };
static uint8_t host_states[HOST_CPUS][PAGE_BYTES] __attribute__((aligned(4096)));

void *hv_svm_host_state(void)
{
    return host_states[this_cpu()->index];
}

static bool is_tcg(void)
{
    uint32_t leaf[4];

    cpuid(LEAF_HYPERVISOR, leaf);
    return memcmp(&leaf[1], "TCGTCGTCGTCG", 12) == 0;
}

static bool supported(void)
{
    uint32_t leaf[4];

    cpuid(LEAF_EXTENDED, leaf);
    if (leaf[0] < LEAF_SVM) {
        return false;
    }
    cpuid(LEAF_FEATURES, leaf);
    if ((leaf[2] & ECX_SVM) == 0 || (rdmsr(MSR_VM_CR) & VM_CR_SVMDIS) != 0) {
        return false;
    }
    cpuid(LEAF_SVM, leaf);
    return (leaf[3] & EDX_NESTED_PAGING) != 0;
}

static void cpu_on(struct host_cpu *host)
{
    uint32_t leaf[4];

    if (host->index == 0) {
        cpuid(LEAF_SVM, leaf);
        hv_svm_can.edx = leaf[3];
        hv_svm_can.ecx = leaf[2];
        hv_svm_can.flush_by_asid = (leaf[3] & EDX_FLUSH_BY_ASID) != 0;
        hv_svm_can.tcg = is_tcg();
    }
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME);
    wrmsr(MSR_VM_HSAVE_PA, (uint64_t)(uintptr_t)host->hv_page);
    /* GS base, TR and the like are the same for as long as the VMM runs. */
    __asm__ volatile("vmsave %%rax" : : "a"(host_states[host->index]) : "memory");
}

static const struct vlapic_backend *backend(const char *name, const void **config)
{
    for (size_t i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++) {
        if (strings_are_equal(name, drivers[i]->name)) {
            hv_svm_driver = drivers[i];
            *config = hv_svm_driver->config != NULL ? hv_svm_driver->config() : NULL;
            return hv_svm_driver->backend;
        }
    }
    return NULL;
}

static uint32_t free_of_exits(struct vcpu *cpu)
{
    return hv_svm_driver->free != NULL ? hv_svm_driver->free(cpu) : 0;
}

static void inhibit(bool on)
{
    if (hv_svm_driver->inhibit != NULL) {
        hv_svm_driver->inhibit(on);
    }
}

static void before_snapshot(struct vcpu *cpu)
{
    if (hv_svm_driver->before_snapshot != NULL) {
        hv_svm_driver->before_snapshot(cpu);
    }
}

static void after_snapshot(struct vcpu *cpu)
{
    if (hv_svm_driver->after_snapshot != NULL) {
        hv_svm_driver->after_snapshot(cpu);
    }
}

const struct hv hv_svm = {
    .name = "svm",
    .default_backend = "svm",
    .vendor = VLAPIC_VENDOR_AMD,
    .patience = 4000000000, /* 1 or 2 s, for emulators whose CPUs are threads of a busy machine */
    .clock_shift = 5,       /* a period of 10000 clocks is longer than an emulator takes for an interrupt */
    .supported = supported,
    .backend = backend,
    .cpu_on = cpu_on,
    .create = hv_svm_create,
    .reset = hv_svm_reset,
    .load = hv_svm_load,
    .put = hv_svm_put,
    .run = hv_svm_run,
    .free = free_of_exits,
    .show_window = hv_svm_show_window,
    .inhibit = inhibit,
    .before_snapshot = before_snapshot,
    .after_snapshot = after_snapshot,
};
