/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A small machine around the SVM model: memory, four cores, VMCBs and tables as a VMM would fill them in. Offsets and bits are written
 * out again here, from the reference, so that a slip in the model's own is noticed.
 */
#ifndef TESTS_SVM_RIG_H
#define TESTS_SVM_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka.h wants the headers above first. */
#include <cmocka.h>

#include "svmhw.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define BIT(n) (UINT64_C(1) << (n))

#define RIG_CORES 4
#define RIG_VCPUS 6
#define RIG_EVENTS 4096
#define RIG_NONE 0x100

/* VMCB, by the reference's table 2.1. */
enum {
    CR_INTERCEPTS = 0x000,
    EXCEPTION_INTERCEPTS = 0x008,
    WORD3 = 0x00C,
    WORD4 = 0x010,
    WORD5 = 0x014,
    IOPM = 0x040,
    MSRPM = 0x048,
    ASID = 0x058,
    TLB_CONTROL = 0x05C,
    VINTR = 0x060,
    SHADOW = 0x068,
    EXITCODE = 0x070,
    INFO1 = 0x078,
    INFO2 = 0x080,
    INTINFO = 0x088,
    NP = 0x090,
    BAR = 0x098,
    EVENTINJ = 0x0A8,
    N_CR3 = 0x0B0,
    CLEAN = 0x0C0,
    NRIP = 0x0C8,
    FETCHED = 0x0D0,
    BACKING = 0x0E0,
    LOGICAL = 0x0F0,
    PHYSICAL = 0x0F8,
    SEV_FEATURES = 0x140,
    CPL = 0x4CB,
    CR0 = 0x558,
    RFLAGS = 0x570,
    RIP = 0x578
};

/* 060h, by table 2.2. */
#define V_IRQ BIT(8)
#define V_GIF BIT(9)
#define V_NMI BIT(11)
#define V_NMI_MASK BIT(12)
#define V_PRIO(n) ((uint64_t)(n) << 16)
#define V_IGN_TPR BIT(20)
#define V_MASKING BIT(24)
#define V_GIF_ENABLE BIT(25)
#define V_NMI_ENABLE BIT(26)
#define X2AVIC_ON BIT(30)
#define AVIC_ON BIT(31)
#define V_VECTOR(n) ((uint64_t)(n) << 32)

#define ENTRY_V BIT(63)
#define ENTRY_IR BIT(62)

#define RIP_AT UINT64_C(0xFFFFFFFF81234560)
#define APIC_GPA UINT64_C(0xFEE00000)
#define INVALID UINT64_MAX

/* Physical memory: pages by what they are for. */
enum {
    PAGE_VMCB = 0,
    PAGE_BACKING = PAGE_VMCB + RIG_VCPUS,
    PAGE_LOGICAL = PAGE_BACKING + RIG_VCPUS,
    PAGE_PHYSICAL,
    PAGE_MSRPM = PAGE_PHYSICAL + 8,
    PAGE_IOPM = PAGE_MSRPM + 2,
    PAGE_FRAME = PAGE_IOPM + 3, /* what the nested tables have at the APIC page */
    PAGE_EXTRA,
    RIG_PAGES = PAGE_EXTRA + 1
};
#define PA(page) (UINT64_C(0x100000) + UINT64_C(0x1000) * (page))

enum rig_mode { PLAIN, XAVIC, X2AVIC };

struct rig_event {
    enum svmhw_trace what;
    uint64_t a, b;
};

struct rig {
    struct svmhw_machine machine;
    struct svmhw_core core[RIG_CORES];
    _Alignas(4096) uint8_t memory[RIG_PAGES][4096];
    enum rig_mode mode;
    unsigned doorbells;     /* sent */
    uint32_t last_doorbell; /* to this host APIC ID */
    bool doorbells_arrive;  /* at the core that has the ID */
    unsigned host_interrupts, ga_logs;
    uint32_t last_tag;
    bool not_owned; /* answer of hypervisor_owned() */
    bool apic_unmapped, apic_read_only;
    unsigned events; /* recorded */
    struct rig_event event[RIG_EVENTS];
    void (*hook)(enum svmhw_trace what, uint64_t a, uint64_t b);
};

extern struct rig rig;

/* All of memory zero, every capability, every default; nothing runs. No vCPU is made. */
void rig_reset(enum rig_mode mode);
/* vCPU n has VMCB n, backing page n, this guest APIC ID, host core n % RIG_CORES; its entry is valid and running. */
void rig_vcpu(unsigned n, uint32_t guest_id);
/* rig_reset() and vCPUs with IDs 0, 1, ... */
void rig_start(enum rig_mode mode, unsigned vcpus);
/* An entry of the physical table. */
void rig_entry(uint32_t guest_id, uint64_t entry);
uint64_t rig_entry_of(unsigned vcpu, bool running);
void rig_logical(unsigned index, uint32_t entry);
/* Host APIC ID of core n: 0x20 + n. */
uint32_t rig_host_id(unsigned core);

uint64_t rig_get(unsigned vcpu, unsigned offset, unsigned bytes);
void rig_put(unsigned vcpu, unsigned offset, unsigned bytes, uint64_t value);
void rig_set_bits(unsigned vcpu, unsigned offset, uint64_t bits);
void rig_clear_bits(unsigned vcpu, unsigned offset, uint64_t bits);
void rig_intercept(unsigned vcpu, unsigned exitcode);
void rig_no_intercept(unsigned vcpu, unsigned exitcode);
void rig_msr_intercept(unsigned byte, unsigned bit);

uint32_t rig_reg(unsigned vcpu, unsigned offset);
void rig_set_reg(unsigned vcpu, unsigned offset, uint32_t value);
bool rig_vector(unsigned vcpu, unsigned base, unsigned vector);
void rig_set_vector(unsigned vcpu, unsigned base, unsigned vector);
/* Of IRR of this vCPU: the only vector set, RIG_NONE if none is, RIG_NONE + 1 if several. */
unsigned rig_only_irr(unsigned vcpu);

/* vCPU n on core n % RIG_CORES, IF as said. The VMCB's RIP is put back to RIP_AT. */
struct svmhw_result rig_run(unsigned vcpu, bool interrupts_enabled);
/* The same, and nothing is in the way of the first instruction. */
void rig_enter(unsigned vcpu, bool interrupts_enabled);
/* Forces the core of this vCPU out of the guest. */
void rig_leave(unsigned vcpu);
struct svmhw_core *rig_core(unsigned vcpu);

/* The result is an exit with this code and information; RIP in the VMCB moved by this many instructions. */
void rig_expect_exit(unsigned vcpu, struct svmhw_result result, uint64_t code, uint64_t info1, uint64_t info2,
                     unsigned instructions);
void rig_expect_event(struct svmhw_result result, unsigned type, unsigned vector);
void rig_expect_done(struct svmhw_result result);
/* How many of these were recorded. */
unsigned rig_count(enum svmhw_trace what);

/* ICR values as the guest writes them: by two MMIO writes, or by one WRMSR. */
struct svmhw_result rig_send(unsigned vcpu, uint32_t high, uint32_t low);

#endif
