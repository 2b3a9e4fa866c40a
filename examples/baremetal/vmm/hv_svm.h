/* SPDX-License-Identifier: BSD-2-Clause */
/* SVM: what its files share. hv_svm_cpu.c turns it on, hv_svm_vmcb.c fills a VMCB and the nested page tables, hv_svm_run.c enters, hv_svm_exit.c decodes
 * exits, and a driver, one for each backend, does the APIC's part of an entry and an exit: hv_svm_soft.c, hv_svm_backend.c. */
#ifndef EXAMPLES_BAREMETAL_HV_SVM_H
#define EXAMPLES_BAREMETAL_HV_SVM_H

#include "hv.h"

#define VMCB_CR_INTERCEPTS 0x000u
#define VMCB_EXCEPTION_INTERCEPTS 0x008u
#define VMCB_INTERCEPTS3 0x00Cu
#define VMCB_INTERCEPTS4 0x010u
#define VMCB_IO_MAP 0x040u
#define VMCB_MSR_MAP 0x048u
#define VMCB_ASID 0x058u
#define VMCB_TLB_CONTROL 0x05Cu
#define VMCB_INTERRUPT_CONTROL 0x060u
#define VMCB_SHADOW 0x068u
#define VMCB_EXIT_CODE 0x070u
#define VMCB_EXIT_INFO1 0x078u
#define VMCB_EXIT_INFO2 0x080u
#define VMCB_EXIT_EVENT 0x088u
#define VMCB_NESTED_PAGING 0x090u
#define VMCB_EVENT_INJECTION 0x0A8u
#define VMCB_NESTED_CR3 0x0B0u
#define VMCB_CLEAN 0x0C0u
#define VMCB_SEGMENTS 0x400u /* ES CS SS DS FS GS GDTR LDTR IDTR TR, 16 bytes each: selector, attributes, limit, base */
#define VMCB_EFER 0x4D0u
#define VMCB_CR4 0x548u
#define VMCB_CR3 0x550u
#define VMCB_CR0 0x558u
#define VMCB_DR7 0x560u
#define VMCB_DR6 0x568u
#define VMCB_RFLAGS 0x570u
#define VMCB_RIP 0x578u
#define VMCB_RSP 0x5D8u
#define VMCB_RAX 0x5F8u
#define VMCB_PAT 0x668u

#define CR0_READ (1u << 0)
#define CR8_READ (1u << 8)
#define CR8_WRITE (1u << 24)
#define EXCEPTION_DB (1u << 1)
#define INTERCEPT_INTR (1u << 0)
#define INTERCEPT_NMI (1u << 1)
#define INTERCEPT_VINTR (1u << 4)
#define INTERCEPT_IRET (1u << 20)
#define INTERCEPT_HLT (1u << 24)
#define INTERCEPT_IO (1u << 27)
#define INTERCEPT_MSR (1u << 28)
#define INTERCEPT_SHUTDOWN (1u << 31)
#define INTERCEPT_SVM 0x7Fu /* VMRUN, without which there is no entry, and the other instructions of SVM */

#define CONTROL_V_IRQ (1ull << 8)
#define CONTROL_V_PRIORITY (0xFull << 16)
#define CONTROL_V_IGNORE_TPR (1ull << 20)
#define CONTROL_V_INTR_MASKING (1ull << 24)

#define CLEAN_INTERCEPTS (1u << 0)
#define CLEAN_CONTROL (1u << 3)

#define EVENT_VALID (1ull << 31)
#define EVENT_ERROR_CODE (1ull << 11)

#define CODE_READ_CR0 0x00u
#define CODE_READ_CR8 0x08u
#define CODE_WRITE_CR8 0x18u
#define CODE_DB 0x41u
#define CODE_INTR 0x60u
#define CODE_NMI 0x61u
#define CODE_VINTR 0x64u
#define CODE_IRET 0x74u
#define CODE_HLT 0x78u
#define CODE_IO 0x7Bu
#define CODE_MSR 0x7Cu
#define CODE_NESTED_PAGE_FAULT 0x400u

#define RFLAGS_TF (1ull << 8)

/* What the processor can do; asked once. */
struct hv_svm_capabilities {
    uint32_t edx, ecx; /* CPUID Fn8000_000A */
    bool flush_by_asid;
    bool tcg; /* QEMU's emulator: see hv_svm_work_round() */
};
extern struct hv_svm_capabilities hv_svm_can;

struct hv_svm_vcpu {
    uint8_t *vmcb;
    uint8_t *msr_map; /* everything exits; a driver may let MSRs through */
    uint64_t *nested; /* page tables */
    bool flush;       /* the TLB, at the next entry */
    bool step;        /* the next entry executes one instruction */

    /* Of hv_svm_nmi.c: NMIs are blocked from the injection to the end of an IRET. SHADOW_NMI says so. */
    bool iret_is_next; /* it was intercepted, and the next entry executes it */
    uint64_t iret_rip;

    /* Of the driver for `svm`. */
    uint32_t saved; /* in flight, over a snapshot */
};

static inline struct hv_svm_vcpu *hv_svm_of(struct vcpu *cpu)
{
    return cpu->hv;
}

static inline uint64_t vmcb_get(struct vcpu *cpu, uint32_t offset)
{
    return *(const uint64_t *)(const void *)(hv_svm_of(cpu)->vmcb + offset);
}

static inline uint32_t vmcb_get32(struct vcpu *cpu, uint32_t offset)
{
    return *(const uint32_t *)(const void *)(hv_svm_of(cpu)->vmcb + offset);
}

/* `clean`: the CLEAN_* bit of the field; 0 for fields that the processor never keeps a copy of. */
static inline void vmcb_set(struct vcpu *cpu, uint32_t offset, uint64_t value, uint32_t clean)
{
    *(uint64_t *)(void *)(hv_svm_of(cpu)->vmcb + offset) = value;
    *(uint32_t *)(void *)(hv_svm_of(cpu)->vmcb + VMCB_CLEAN) &= ~clean;
}

static inline void vmcb_set32(struct vcpu *cpu, uint32_t offset, uint32_t value, uint32_t clean)
{
    *(uint32_t *)(void *)(hv_svm_of(cpu)->vmcb + offset) = value;
    *(uint32_t *)(void *)(hv_svm_of(cpu)->vmcb + VMCB_CLEAN) &= ~clean;
}

/* The APIC's part, for one backend. */
struct hv_svm_driver {
    const char *name;                     /* of the option `backend=` */
    const struct vlapic_backend *backend; /* NULL: for thin mode */
    /* Settings for vlapic_vm_config.backend_config, made for each VM. NULL: none. */
    const void *(*config)(void);
    /* Bits of VMCB_CR_INTERCEPTS in a new VMCB. */
    uint32_t cr_intercepts;
    /* The VMCB has been filled, and has what the soft driver wants; called once a vCPU. NULL: that will do. */
    void (*filled)(struct vcpu *cpu);
    /*
     * After the poll, before the entry: announces the entry and writes what the APIC's state asks for. GIF is clear. cpu->regs and cpu->shadow
     * are written to the VMCB afterwards. False: nothing was announced, poll again.
     */
    bool (*prepare)(struct vcpu *cpu, const struct vlapic_poll *duty);
    /*
     * After the exit, before anything else: cpu->regs and shadow are the guest's, cpu->exit is decoded, GIF is still clear. Sets cpu->exit.finished,
     * and advances RIP, if the exit was its own; keeps what the exit interrupted, or puts it into cpu->in_flight.
     */
    void (*finish)(struct vcpu *cpu);
    uint32_t (*free)(struct vcpu *cpu); /* NULL: nothing is free */
    void (*inhibit)(bool on);           /* NULL: nothing to withdraw */
    void (*before_snapshot)(struct vcpu *cpu);
    void (*after_snapshot)(struct vcpu *cpu);
};
extern const struct hv_svm_driver hv_svm_soft_driver, hv_svm_backend_driver, hv_svm_thin_driver;
extern const struct hv_svm_driver *hv_svm_driver;

/* hv_svm_cpu.c: where VMSAVE has put this CPU's part of the state that VMRUN leaves alone. */
void *hv_svm_host_state(void);

/* hv_svm_vmcb.c */
void hv_svm_create(struct vcpu *cpu);
void hv_svm_reset(struct vcpu *cpu);
void hv_svm_load(struct vcpu *cpu);
void hv_svm_put(struct vcpu *cpu);
/* What accesses to the page go to the machine's page at the same address. */
void hv_svm_show_window(struct vcpu *cpu, uint64_t window, enum hv_window what);

/* hv_svm_run.c, hv_svm_enter.S */
/* Injects at the next entry, or, with EVENT_NONE, nothing. Exceptions: #GP(0) alone. */
void hv_svm_inject(struct vcpu *cpu, const struct vcpu_event *event);
bool hv_svm_run(struct vcpu *cpu, const struct vlapic_poll *duty);
/* RAX, RSP, RIP and RFLAGS of the guest are in the VMCB. `host` is hv_svm_host_state(). GIF and IF are clear before and after. */
void hv_svm_enter(struct vcpu_regs *regs, void *vmcb, void *host);

/* hv_svm_nmi.c: for drivers that inject by vcpu_event.c; at an entry, and at an exit. */
void hv_svm_set_intercept(struct vcpu *cpu, uint32_t intercept, bool on);
void hv_svm_prepare_nmi(struct vcpu *cpu, const struct vcpu_entry *entry);
void hv_svm_look_for_iret(struct vcpu *cpu);
/* Into cpu->in_flight, what the exit interrupted on its way. */
void hv_svm_keep_interrupted(struct vcpu *cpu);

/* hv_svm_exit.c: cpu->exit. */
void hv_svm_decode(struct vcpu *cpu);

/* hv_svm_quirks.c: after the driver, with all of the VMCB written. */
void hv_svm_work_round(struct vcpu *cpu);
/* After the exit: RIP and the shadow as they were at the entry. */
void hv_svm_keep_shadow(struct vcpu *cpu, uint64_t rip, uint32_t shadow);
/* The code of an exit, from what the VMCB says. */
uint32_t hv_svm_right_code(uint32_t code);

#endif
