/* SPDX-License-Identifier: BSD-2-Clause */
/* The module's objects, and what its files offer each other. */
#ifndef VMM_H
#define VMM_H

#include <linux/fs.h>
#include <linux/hrtimer.h>
#include <linux/kref.h>
#include <linux/mutex.h>
#include <linux/rcuwait.h>
#include <asm/trapnr.h>

#include <vlapic/vlapic.h>
#include "vlapic_vmm.h"

/* Of general-purpose registers; and of the interrupt shadow, as VMX's interruptibility has it. */
#define VMM_RAX 0
#define VMM_RSP 4
#define VMM_SHADOW 3u

/* An event that the VMM injects: VMCB EVENTINJ and the VM-entry interruption information are of one format; the error code is in bits 63:32. */
#define VMM_EVENT_VALID (1u << 31)
#define VMM_EVENT_HAS_ERROR_CODE (1u << 11)
#define VMM_EVENT_TYPE (7u << 8)
#define VMM_EVENT_EXCEPTION (3u << 8)
#define VMM_EVENT_VECTOR 0xFFu
#define VMM_EVENT_BITS (VMM_EVENT_VALID | VMM_EVENT_HAS_ERROR_CODE | VMM_EVENT_TYPE | VMM_EVENT_VECTOR)

/* --- cpu.c: the physical CPUs -------------------------------------------------------------------------------------------- */

/* One physical CPU. */
struct vmm_cpu {
    u64 last_vcpu; /* whose translations its TLB may hold, by vmm_vcpu.serial */
    bool on;       /* written by this CPU alone */
};
DECLARE_PER_CPU(struct vmm_cpu, vmm_cpus);

int vmm_cpus_start(void);
void vmm_cpus_stop(void);

/* --- vm.c, npt.c ----------------------------------------------------------------------------------------------------------- */

struct vmm_vcpu;

/* It lives until the last descriptor of it and of its vCPUs is closed, and its vCPUs live as long as it does: nobody who sends an interrupt
 * can meet one that is gone, and the library's grace period is over when they are freed. */
struct vmm_vm {
    struct kref refs;
    struct mutex lock; /* for what follows, while it is made */
    struct vlapic_vm *apics;
    void *apics_memory;
    u64 guest_physical; /* memory: never changes once there are vCPUs */
    u64 page_count;
    struct page **pages;
    struct vmm_vcpu *vcpus[VLAPIC_VMM_MAX_VCPUS]; /* each is written once, by a store with release */
};

int vmm_vm_create(void);
void vmm_vm_put(struct vmm_vm *vm);
int vmm_vm_create_apics(struct vmm_vm *vm, const struct vlapic_vm_config *config);
/* Copies from (write: to) guest memory; false, and nothing is copied, if a byte of it is no memory. */
bool vmm_vm_copy(struct vmm_vm *vm, u64 address, void *bytes, size_t count, bool write);
/* Zeroed memory, aligned to a power of two that is not below its size. Everything that the module allocates for VMs comes from the slab
 * allocator, pages too, so that its debugging options see all of it. */
void *vmm_alloc(size_t bytes, size_t alignment);

/* Nested page tables. One set a vCPU: APICs of different modes want different things mapped. map() does not sleep. */
u64 *vmm_npt_create(const struct vmm_vm *vm);
int vmm_npt_map(u64 *root, u64 guest_physical, u64 pa);
void vmm_npt_unmap(u64 *root, u64 guest_physical);
void vmm_npt_free(u64 *root);

/* --- vCPUs ------------------------------------------------------------------------------------------------------------------ */

struct vmm_vcpu {
    struct vmm_vm *vm;
    u32 index;
    u64 serial; /* of all vCPUs that ever were */

    struct mutex lock; /* whoever has it owns the vCPU, in the library's words */
    struct vlapic_cpu *apic;
    void *apic_memory, *apic_pages[2];
    u64 *nested_root; /* nested page tables; allocated */
    void *hv;         /* of the vendor's half */
    u64 general[16];
    u64 rip, rflags;
    u32 shadow;   /* VMM_SHADOW and what else vmm_hv keeps there */
    bool started; /* by SET_REGS */
    bool halted;
    bool nmi_pending; /* in the core */
    u64 exception;    /* to be injected, VMM_EVENT_*; 0: none */
    bool eoi_came;    /* eoi_vector is to be told */
    u8 eoi_vector;
    int last_cpu;    /* where it ran last */
    u32 io_in_width; /* of an IN whose answer RUN brings; 0: none */
    struct vlapic_vmm_run run;

    struct hrtimer timer;

    /* Everybody's. */
    struct rcuwait wait;
    bool woken;        /* a kick came since the turn began */
    int cpu;           /* where it is in the guest or about to be; -1: nowhere */
    bool nmi_injected; /* by VLAPIC_VMM_NMI */
    bool exit_wanted;  /* by VLAPIC_VMM_KICK */
};

/* vcpu.c */
int vmm_vcpu_create(struct vmm_vm *vm, u32 index);
void vmm_vcpu_free(struct vmm_vcpu *vcpu);

/* vcpu_glue.c: what the library asks of its host. */
extern const struct vlapic_host_ops vmm_host_ops;
extern const struct vlapic_decode_ops vmm_guest_ops;
size_t vmm_fetch(void *cookie, u8 *bytes, size_t size, enum vlapic_decode_mode *mode);
void vmm_kick(struct vmm_vcpu *vcpu);
enum hrtimer_restart vmm_timer_expired(struct hrtimer *timer);

/* vcpu_run.c: the loop. Returns 0 when userspace is to look at vcpu->run, or an error. */
int vmm_vcpu_run(struct vmm_vcpu *vcpu);
/* Just before the guest, with interrupts off: something that came since the turn began, for which the entry has to be given up. */
bool vmm_must_not_enter(struct vmm_vcpu *vcpu);

/* vcpu_exit.c: 1 to go on, 0 for userspace. */
struct vmm_exit;
int vmm_exit(struct vmm_vcpu *vcpu, const struct vmm_exit *exit);
/* Exceptions that the exit found on their way to the guest are injected again. */
void vmm_keep_exception(struct vmm_vcpu *vcpu, u32 information, u32 error_code);

/* --- selftest.c -------------------------------------------------------------------------------------------------------------- */
int vmm_selftest(void);

#endif
