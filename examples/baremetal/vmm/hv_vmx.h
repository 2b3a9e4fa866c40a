/* SPDX-License-Identifier: BSD-2-Clause */
/* VMX: what its files share. hv_vmx_cpu.c turns it on, hv_vmx_vmcs.c fills a VMCS, hv_vmx_run.c enters and decodes exits, and a driver, one for each
 * backend, does the APIC's part of an entry and an exit: hv_vmx_soft.c, hv_vmx_apicv.c. */
#ifndef EXAMPLES_BAREMETAL_HV_VMX_H
#define EXAMPLES_BAREMETAL_HV_VMX_H

#include "hv.h"

#define PIN_EXTERNAL_INTERRUPT (1u << 0)
#define PIN_NMI (1u << 3)
#define PIN_VIRTUAL_NMIS (1u << 5)
#define PIN_PREEMPTION_TIMER (1u << 6)
#define PRIMARY_INTERRUPT_WINDOW (1u << 2)
#define PRIMARY_HLT (1u << 7)
#define PRIMARY_CR8_LOAD (1u << 19)
#define PRIMARY_CR8_STORE (1u << 20)
#define PRIMARY_NMI_WINDOW (1u << 22)
#define PRIMARY_IO (1u << 24)
#define PRIMARY_MSR_BITMAP (1u << 28)
#define PRIMARY_SECONDARY (1u << 31)
#define SECONDARY_EPT (1u << 1)
#define EXIT_HOST_64 (1u << 9)
#define EXIT_ACKNOWLEDGE (1u << 15)
#define ENTRY_GUEST_64 (1u << 9)

enum vmcs_field {
    VMCS_GUEST_SELECTORS = 0x0800, /* ES CS SS DS FS GS LDTR TR, in steps of 2 in each group */
    VMCS_HOST_ES = 0x0C00,
    VMCS_HOST_CS = 0x0C02,
    VMCS_HOST_SS = 0x0C04,
    VMCS_HOST_DS = 0x0C06,
    VMCS_HOST_FS = 0x0C08,
    VMCS_HOST_GS = 0x0C0A,
    VMCS_HOST_TR = 0x0C0C,
    VMCS_MSR_BITMAP = 0x2004,
    VMCS_TSC_OFFSET = 0x2010,
    VMCS_EPT_POINTER = 0x201A,
    VMCS_GUEST_PHYSICAL = 0x2400,
    VMCS_LINK_POINTER = 0x2800,
    VMCS_GUEST_DEBUGCTL = 0x2802,
    VMCS_PIN = 0x4000,
    VMCS_PRIMARY = 0x4002,
    VMCS_EXCEPTION_BITMAP = 0x4004,
    VMCS_PF_MASK = 0x4006,
    VMCS_PF_MATCH = 0x4008,
    VMCS_CR3_TARGETS = 0x400A,
    VMCS_EXIT_CONTROLS = 0x400C,
    VMCS_EXIT_STORES = 0x400E,
    VMCS_EXIT_LOADS = 0x4010,
    VMCS_ENTRY_CONTROLS = 0x4012,
    VMCS_ENTRY_LOADS = 0x4014,
    VMCS_ENTRY_INFORMATION = 0x4016,
    VMCS_ENTRY_ERROR_CODE = 0x4018,
    VMCS_SECONDARY = 0x401E,
    VMCS_INSTRUCTION_ERROR = 0x4400,
    VMCS_EXIT_REASON = 0x4402,
    VMCS_EXIT_INFORMATION = 0x4404,
    VMCS_EXIT_ERROR_CODE = 0x4406,
    VMCS_VECTORING = 0x4408,
    VMCS_VECTORING_ERROR_CODE = 0x440A,
    VMCS_EXIT_LENGTH = 0x440C,
    VMCS_GUEST_LIMITS = 0x4800, /* the eight above, then GDTR, IDTR */
    VMCS_GUEST_RIGHTS = 0x4814,
    VMCS_GUEST_INTERRUPTIBILITY = 0x4824,
    VMCS_GUEST_ACTIVITY = 0x4826,
    VMCS_GUEST_SYSENTER_CS = 0x482A,
    VMCS_PREEMPTION_TIMER = 0x482E,
    VMCS_HOST_SYSENTER_CS = 0x4C00,
    VMCS_CR0_MASK = 0x6000,
    VMCS_CR4_MASK = 0x6002,
    VMCS_QUALIFICATION = 0x6400,
    VMCS_GUEST_CR0 = 0x6800,
    VMCS_GUEST_CR3 = 0x6802,
    VMCS_GUEST_CR4 = 0x6804,
    VMCS_GUEST_BASES = 0x6806, /* the eight above, then GDTR, IDTR */
    VMCS_GUEST_DR7 = 0x681A,
    VMCS_GUEST_RSP = 0x681C,
    VMCS_GUEST_RIP = 0x681E,
    VMCS_GUEST_RFLAGS = 0x6820,
    VMCS_GUEST_PENDING_DEBUG = 0x6822,
    VMCS_GUEST_SYSENTER_ESP = 0x6824,
    VMCS_GUEST_SYSENTER_EIP = 0x6826,
    VMCS_HOST_CR0 = 0x6C00,
    VMCS_HOST_CR3 = 0x6C02,
    VMCS_HOST_CR4 = 0x6C04,
    VMCS_HOST_FS_BASE = 0x6C06,
    VMCS_HOST_GS_BASE = 0x6C08,
    VMCS_HOST_TR_BASE = 0x6C0A,
    VMCS_HOST_GDTR_BASE = 0x6C0C,
    VMCS_HOST_IDTR_BASE = 0x6C0E,
    VMCS_HOST_SYSENTER_ESP = 0x6C10,
    VMCS_HOST_SYSENTER_EIP = 0x6C12
};

/* Exit reasons. */
#define REASON_EXCEPTION 0u
#define REASON_INTERRUPT 1u
#define REASON_INIT 3u
#define REASON_WINDOW 7u
#define REASON_NMI_WINDOW 8u
#define REASON_HLT 12u
#define REASON_CR 28u
#define REASON_IO 30u
#define REASON_RDMSR 31u
#define REASON_WRMSR 32u
#define REASON_TPR 43u
#define REASON_APIC_ACCESS 44u
#define REASON_EOI 45u
#define REASON_EPT 48u
#define REASON_PREEMPTION 52u
#define REASON_APIC_WRITE 56u

#define INFORMATION_VALID (1u << 31)
#define INFORMATION_ERROR_CODE (1u << 11)
#define INFORMATION_NMI (INFORMATION_VALID | 2u << 8 | 2u)

/* What the processor can do; asked once. */
struct hv_vmx_capabilities {
    uint32_t revision;
    uint64_t pin, primary, secondary, exit, entry; /* the MSRs: low half must be 1, high half may be 1 */
    bool ept, preemption_timer, virtual_nmis;
    uint32_t preemption_shift;
};
extern struct hv_vmx_capabilities hv_vmx_can;

struct hv_vmx_vcpu {
    void *vmcs;
    uint8_t *msr_bitmap; /* everything exits; a driver may let MSRs through */
    uint64_t *ept;       /* NULL: the guest's page tables are all there is */
    bool launched;
    bool filled; /* the VMCS has been written */

    /* Of the driver for `vmx`. */
    uint32_t features; /* in use at the last entry */
    uint64_t window;   /* where the APIC-access page is mapped; 0: nowhere */
    uint32_t saved;    /* in flight, over a snapshot */
};

static inline struct hv_vmx_vcpu *hv_vmx_of(struct vcpu *cpu)
{
    return cpu->hv;
}

/* The APIC's part, for one backend. */
struct hv_vmx_driver {
    const char *name;                     /* of the option `backend=` */
    const struct vlapic_backend *backend; /* NULL: for thin mode */
    /* Settings for vlapic_vm_config.backend_config, made for each VM. NULL: none. */
    const void *(*config)(void);
    /* The VMCS has been filled, is current, and has what the soft driver wants; called once a vCPU, before its first entry. NULL: that will do. */
    void (*filled)(struct vcpu *cpu);
    /*
     * After the poll, before the entry: announces the entry and writes what the APIC's state asks for. The VMCS is current; RIP, RSP, RFLAGS
     * and interruptibility are in cpu->regs and cpu->shadow, and are written from there afterwards. False: nothing was announced, poll again.
     */
    bool (*prepare)(struct vcpu *cpu, const struct vlapic_poll *duty);
    /*
     * After the exit, before anything else: cpu->regs and shadow are the guest's, cpu->exit is decoded, the VMCS can be read; host interrupts
     * are still to be dispatched. Sets cpu->exit.finished, and advances RIP, if the exit was its own; puts into cpu->in_flight or keeps what the exit interrupted.
     */
    void (*finish)(struct vcpu *cpu);
    uint32_t (*free)(struct vcpu *cpu); /* NULL: nothing is free */
    void (*inhibit)(bool on);           /* NULL: nothing to withdraw */
    void (*before_snapshot)(struct vcpu *cpu);
    void (*after_snapshot)(struct vcpu *cpu);
};
extern const struct hv_vmx_driver hv_vmx_soft_driver, hv_vmx_apicv_driver, hv_vmx_thin_driver;
extern const struct hv_vmx_driver *hv_vmx_driver;

/* hv_vmx_vmcs.c */
static inline void vmwrite(uint32_t field, uint64_t value)
{
    uint8_t failed;

    __asm__ volatile("vmwrite %2, %1; setna %0" : "=qm"(failed) : "r"((uint64_t)field), "r"(value) : "cc");
    HOST_MUST(!failed);
}

static inline uint64_t vmread(uint32_t field)
{
    uint64_t value;
    uint8_t failed;

    __asm__ volatile("vmread %2, %1; setna %0" : "=qm"(failed), "=r"(value) : "r"((uint64_t)field) : "cc");
    HOST_MUST(!failed);
    return value;
}

void hv_vmx_create(struct vcpu *cpu);
void hv_vmx_reset(struct vcpu *cpu);
void hv_vmx_load(struct vcpu *cpu);
void hv_vmx_put(struct vcpu *cpu);
/* Where accesses to a page of the windows go: to the page \p to, or, with 0, nowhere: they exit. */
void hv_vmx_map_window(struct vcpu *cpu, uint64_t guest_physical, uint64_t to);

/* What accesses to the page go to the machine's page at the same address. */
void hv_vmx_show_window(struct vcpu *cpu, uint64_t window, enum hv_window what);

/* What was cached of guest-physical translations is void. */
void hv_vmx_flush(struct vcpu *cpu);

/* hv_vmx_run.c, hv_vmx_enter.S */
/* Injects at the next entry, or, with EVENT_NONE, nothing. Exceptions: #GP(0) alone. */
void hv_vmx_inject(const struct vcpu_event *event);
bool hv_vmx_run(struct vcpu *cpu, const struct vlapic_poll *duty);
/* Into cpu->in_flight, what the exit interrupted on its way. */
void hv_vmx_keep_interrupted(struct vcpu *cpu);
/* Returns 0 after an exit, 1 if the instruction failed, 2 if there was an NMI since host_cpu.nmi was cleared: nothing ran. */
uint32_t hv_vmx_enter(struct vcpu_regs *regs, bool launched);

/* hv_vmx_log.c: true if the exit is to be logged, too. */
bool hv_vmx_log_before(struct vcpu *cpu);
void hv_vmx_log_after(struct vcpu *cpu);

#endif
