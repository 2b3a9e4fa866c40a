/* SPDX-License-Identifier: BSD-2-Clause */
/* The VM: its vCPUs, devices and how libvlapic is bound to them. Nothing here knows VMX or SVM: those are behind hv.h. */
#ifndef EXAMPLES_BAREMETAL_VM_H
#define EXAMPLES_BAREMETAL_VM_H

#include "../contract.h"
#include "host.h"
#include <vlapic/vlapic.h>

#define VM_CPUS HOST_CPUS
#define VM_LINE_BYTES 160u
/* The APIC offers all of it by itself: no processor's feature is asked for. */
#define VM_FEATURES                                                                                                    \
    (GUEST_FEATURE_X2APIC | GUEST_FEATURE_DEADLINE | GUEST_FEATURE_SNAPSHOT | GUEST_FEATURE_MOVE |                     \
     GUEST_FEATURE_DEVICES)

/* Interruptibility: the bits of the VMCS field, which SVM can express as well. */
#define SHADOW_STI (1u << 0)
#define SHADOW_MOV_SS (1u << 1)
#define SHADOW_NMI (1u << 3)

/* General registers, in the order of their numbers; hv_*.S knows the offsets. */
struct vcpu_regs {
    uint64_t general[16];
    uint64_t rip, rflags;
};
#define REG_RAX 0
#define REG_RCX 1
#define REG_RDX 2
#define REG_RSP 4
#define REG_RSI 6
#define REG_RDI 7
#define REG_R8 8

/* What is on its way into the guest: type and vector as in VMX (interruption information) and in SVM (EVENTINJ), where they agree. */
enum event_type { EVENT_NONE = -1, EVENT_INTERRUPT = 0, EVENT_NMI = 2, EVENT_EXCEPTION = 3 };
struct vcpu_event {
    enum event_type type;
    uint8_t vector;
};

/* An exit, in the words of no vendor. */
struct vcpu_exit {
    enum guest_exit kind;
    bool finished;    /* the hypervisor's part, or the backend, has done everything */
    bool nmi;         /* an NMI has ended the guest, and is gone from the processor */
    bool write;       /* to the port, page, MSR or CR8 */
    uint8_t reg;      /* CR8: the general register */
    uint8_t width;    /* I/O: bytes */
    uint16_t port;    /* I/O */
    uint64_t address; /* MMIO: guest-physical */
    uint32_t length;  /* of the instruction, for I/O, HLT, MSR, CR8 */
    uint32_t reason;  /* hardware's, for messages and the trace */
    uint64_t qualification;
};

struct vcpu {
    struct vcpu_regs regs; /* first: hv_*.S */
    uint32_t index;
    struct vlapic_cpu *apic; /* NULL in thin mode */
    struct thin_cpu *thin;   /* in thin mode alone */
    struct host_cpu *host;   /* where it is bound; atomic */

    bool started;                /* by entry or SIPI */
    bool halted;                 /* in HLT */
    bool nmi_pending;            /* in the core */
    bool gp_pending;             /* #GP(0) to be injected */
    uint32_t shadow;             /* SHADOW_* */
    struct vcpu_event in_flight; /* an exit interrupted its delivery */
    struct vcpu_exit exit;

    uint64_t timer_deadline; /* TSC; UINT64_MAX: not armed */
    bool kicked_nmi;         /* an NMI from GUEST_PORT_NMI; atomic */

    uint64_t *tables;   /* page tables of the guest */
    void *hv;           /* the hypervisor's part */
    uint64_t mmio_page; /* page of the MMIO access that is being carried out */

    uint32_t exits[GUEST_EXIT_KINDS];
    uint32_t exits_asked;
    uint64_t clock_latch;
    uint32_t msi_address, msi_accepted;
    uint8_t line_asked;
    char line[VM_LINE_BYTES];
    uint32_t line_length;

    struct trace_record *trace;
    uint32_t trace_count;
    uint32_t log_count; /* entries logged for this payload, hv_vmx_log.c */
};

enum vm_verdict { VERDICT_NONE = 0, VERDICT_PASS = 1, VERDICT_FAIL = 2 };

struct vm_line {
    uint32_t apic_id;
    bool asserted;
    uint32_t eois;
};

struct vm {
    const struct guest_payload *payload;
    uint32_t payload_index;
    uint32_t cpu_count;
    uint32_t features; /* GUEST_FEATURE_* */
    struct vlapic_vm *apics;
    struct vcpu *cpus[VM_CPUS];
    enum vm_verdict verdict; /* atomic; not NONE: everybody stops */
    uint32_t fail_line;
    uint64_t patience; /* TSC ticks */
    uint64_t give_up;  /* TSC: the payload has taken too long */
    struct vm_line lines[256];
    uint32_t move_wanted; /* the vCPUs have to come to a meeting; atomic */
    uint32_t arrived;     /* at meetings; atomic */
};

extern struct vm vm;

/* What the guest's local APICs are: the library's model, or the machine's own. NULL: nothing to do, or no such thing. */
struct vm_mode {
    const char *name; /* of the option `mode=` */
    uint32_t (*features)(void);
    /* How many vCPUs the VM has. */
    uint32_t (*cpus)(const struct guest_payload *payload);
    void (*create)(void);                  /* of the VM, before its vCPUs */
    void (*create_cpu)(struct vcpu *cpu);  /* its APIC; the hypervisor's part is there */
    void (*thread)(struct host_cpu *host); /* the loop of the vCPU that is bound to this CPU, until the VM has ended */
    void (*kick)(struct vcpu *cpu);        /* ends its guest, or its sleep */
    void (*ended)(void);                   /* all threads have */
    void (*destroy_cpu)(struct vcpu *cpu);
    uint64_t (*clock)(void);        /* input clocks of the guest's timer */
    void (*mmio)(struct vcpu *cpu); /* exits */
    void (*msr)(struct vcpu *cpu);
    void (*cr8)(struct vcpu *cpu);
    void (*init)(struct vcpu *cpu);
    /* The ports of devices. */
    void (*out)(struct vcpu *cpu, uint32_t value);
    uint32_t (*in)(struct vcpu *cpu);
};
extern const struct vm_mode vm_model, vm_thin;
extern const struct vm_mode *vm_mode;

struct vm_options {
    const char *backend; /* empty: the hypervisor's default */
    const char *only;    /* the one payload to run, or empty */
    const char *skip;    /* payloads not to run, each with a comma before and behind; or empty */
    uint32_t level;      /* how much of a hardware backend's features may be used: see README.md */
    uint32_t cpus;
    bool release;   /* thin mode: the window is the guest's when all CPUs have been started once */
    uint32_t trace; /* 1: print it, 2: print that of payloads that fail, 3: log entries and exits */
};
extern struct vm_options options;

/* vm.c: a VM is made anew for each payload. */
void vm_create(const struct guest_payload *payload, uint32_t index);
void vm_run(void);
void vm_end(enum vm_verdict verdict, uint32_t line);
static inline bool vm_has_ended(void)
{
    return __atomic_load_n(&vm.verdict, __ATOMIC_ACQUIRE) != VERDICT_NONE;
}
static inline void vm_kick(struct vcpu *cpu)
{
    vm_mode->kick(cpu);
}
/* Nobody stays in the guest or asleep for longer, in TSC ticks; a guest calls lost before that what needed a kick and had none. */
static inline uint64_t vm_watchdog(void)
{
    return 8 * vm.patience;
}
const struct guest_header *vm_image(void);

/* vm_glue.c: the callbacks of libvlapic; timers of the vCPUs. */
extern const struct vlapic_host_ops vm_host_ops;
void vm_timer_bind(struct vcpu *cpu);
uint64_t vm_clock(void); /* of the guest's timer */
void vm_timer_interrupt(struct host_cpu *host);

/* vcpu.c: the loop of a vCPU with a model of the APIC. */
void vcpu_thread(struct host_cpu *host);

/* vcpu_start.c: what all modes have in common. */
void vcpu_create(uint32_t index);
/* The start that contract.h describes. Loaded. */
void vcpu_start(struct vcpu *cpu, uint64_t entry, uint8_t sipi_vector);
/* The core's part of an INIT. */
void vcpu_stop(struct vcpu *cpu);
/* Waits until all vCPUs' threads have come. */
void vcpu_meet(void);
/* True, and the payload has failed, if it has taken too long. */
bool vcpu_is_overdue(const struct vcpu *cpu);

/* vcpu_event.c: what the soft backend injects at an entry; for the hypervisors. */
struct vcpu_entry {
    struct vcpu_event event;
    bool window;     /* an exit is wanted as soon as an interrupt can be taken */
    bool nmi_window; /* likewise an NMI */
};
bool vcpu_prepare_soft(struct vcpu *cpu, const struct vlapic_poll *duty, struct vcpu_entry *entry);
/* All but interrupts, which hardware delivers by itself. */
void vcpu_prepare_core(struct vcpu *cpu, struct vcpu_entry *entry);
bool vcpu_can_take_interrupt(const struct vcpu *cpu);

/* vm_exit.c, vm_ports.c, vm_devices.c */
void vm_exit(struct vcpu *cpu);
void vm_give_up(struct vcpu *cpu);
void vm_port(struct vcpu *cpu);
void vm_device_out(struct vcpu *cpu, uint32_t value);
uint32_t vm_device_in(struct vcpu *cpu);

/* vm_access.c: the guest's accesses to its APIC, and the guest as the access decoder sees it. */
void vm_mmio(struct vcpu *cpu);
void vm_msr(struct vcpu *cpu);
void vm_cr8(struct vcpu *cpu);
extern const struct vlapic_decode_ops vm_guest_ops; /* cookie: struct vcpu */
/* Carries out the access to a window that exited. */
void vm_carry_out(struct vcpu *cpu, const struct vlapic_decode_ops *ops);
size_t vm_fetch(void *cookie, uint8_t *bytes, size_t size, enum vlapic_decode_mode *mode);
void vcpu_advance(struct vcpu *cpu, uint32_t length);

/* vm_pages.c: page tables of four levels, in the guest's format or EPT's. */
struct page_format {
    uint64_t table, leaf; /* bits of an entry that points to a table, and to a page */
};
extern const struct page_format vm_guest_pages;
void pages_map(uint64_t *root, const struct page_format *format, uint64_t *(*new_table)(struct vcpu *cpu),
               struct vcpu *cpu, uint64_t address, uint64_t to);
void pages_unmap(uint64_t *root, uint64_t address);
void vcpu_make_tables(struct vcpu *cpu);
uint64_t *vcpu_new_table(struct vcpu *cpu);

/* vm_trace.c */
void trace_create(struct vcpu *cpu);
void trace(struct vcpu *cpu, char what, uint64_t a, uint64_t b);
void trace_print(void);

#endif
