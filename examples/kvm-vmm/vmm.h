/* SPDX-License-Identifier: BSD-2-Clause */
/* A VMM on /dev/kvm whose local APICs are libvlapic's: KVM is asked for no interrupt controller at all. One VM at a time, made for one payload. */
#ifndef EXAMPLES_KVM_VMM_H
#define EXAMPLES_KVM_VMM_H

#include "../baremetal/contract.h"
#include <linux/kvm.h>
#include <pthread.h>
#include <stddef.h>
#include <vlapic/vlapic.h>

#define VM_CPUS 2u
#define VM_LINE_BYTES 200u
/* A payload's timer of 20,000 clocks has to be longer than its handler, and a host under an emulator is slow. */
#define TIMER_HZ 10000000u
#define TIMER_CLOCK_NS (1000000000u / TIMER_HZ)

struct vcpu {
    uint32_t index; /* and APIC ID */
    int fd;
    struct kvm_run *run; /* shared with KVM */
    struct vlapic_cpu *apic;
    void *apic_memory;
    pthread_t thread;
    bool has_thread;
    int timer; /* timerfd on the clock of now_ns() */

    bool started;      /* by entry or SIPI */
    bool halted;       /* in HLT */
    bool nmi_pending;  /* not handed to KVM yet */
    bool base_changed; /* KVM's copy of IA32_APIC_BASE, from which it makes CPUID.01h:EDX[9], is old */
    bool nmi_asked;    /* by GUEST_PORT_NMI; atomic */
    uint32_t moves;    /* how many of vm.moves it has followed */

    uint32_t exits[GUEST_EXIT_KINDS];
    uint32_t exits_asked;
    uint64_t clock_latch;
    uint32_t msi_address, msi_accepted;
    uint8_t line_asked;
    char line[VM_LINE_BYTES];
    uint32_t line_length;
};

enum vm_verdict { VERDICT_NONE = 0, VERDICT_PASS = 1, VERDICT_FAIL = 2 };

/* A level-triggered line: an I/O APIC reduced to its duty. */
struct vm_line {
    uint32_t apic_id;
    bool asserted; /* atomic */
    uint32_t eois; /* atomic */
};

struct vm {
    const struct guest_payload *payload;
    uint32_t payload_index, features; /* GUEST_FEATURE_* */
    uint32_t cpu_count;
    int fd;
    uint8_t *memory; /* GUEST_BYTES at guest-physical GUEST_BASE */
    struct vlapic_vm *apics;
    void *apics_memory;
    struct vcpu cpus[VM_CPUS];
    struct vm_line lines[256];
    uint32_t moves;          /* how often the vCPUs were told to change places; atomic */
    enum vm_verdict verdict; /* atomic; not NONE: everybody stops */
    uint32_t fail_line;
    int ended; /* eventfd: wakes the thread that waits for timers */
};
extern struct vm vm;
extern int kvm; /* /dev/kvm */

/* vmm_machine.c: a VM is made anew for each payload. */
void kvm_open(void);
uint32_t host_features(void); /* what this machine can do for payloads: GUEST_FEATURE_* */
void vm_create(const struct guest_payload *payload, uint32_t index, uint32_t cpu_count);
void vm_run(void);
void vm_destroy(void);
void vm_end(enum vm_verdict verdict, uint32_t line);
static inline bool vm_has_ended(void)
{
    return __atomic_load_n(&vm.verdict, __ATOMIC_ACQUIRE) != VERDICT_NONE;
}

/* vmm_memory.c: the guest's memory, with the image and page tables in it. */
void image_read(const char *path);
const struct guest_header *image_header(void);
const struct guest_payload *image_payloads(void);
void memory_create(void);
void memory_destroy(void);
uint64_t memory_page_tables(void); /* value for CR3 */

/* vmm_cpuid.c */
bool cpuid_is_intel(void); /* this machine */
uint32_t cpuid_phys_bits(void);
void cpuid_set(const struct vcpu *cpu);

/* vmm_vcpu.c: a vCPU, from KVM_CREATE_VCPU to its end. */
void vcpu_create(uint32_t index);
void vcpu_destroy(struct vcpu *cpu);
void vcpu_start(struct vcpu *cpu, uint64_t entry, uint8_t sipi_vector);
/* One is pending, here or in KVM, and not blocked. KVM may keep one that it was handed over a HLT: if the exit came in the shadow of an STI, it waits for the
 * end of the next instruction, and a HLT exits first. */
bool vcpu_can_take_nmi(const struct vcpu *cpu);

/* vmm_run.c: the loop of a vCPU's thread. */
void *vcpu_thread(void *cookie);
void vcpu_kick(struct vcpu *cpu);
#define KICK_SIGNAL SIGUSR1

/* vmm_exit.c, vmm_ports.c */
void vcpu_exit(struct vcpu *cpu);
void vcpu_port(struct vcpu *cpu);

/* vmm_host.c: libvlapic's callbacks. */
extern const struct vlapic_host_ops host_ops;
uint64_t host_now_ns(void);
void host_wait(uint64_t give_up_ns); /* serves the timers until the VM has ended */

/* Setting up can only fail for want of something that the user has to see. */
#define MUST(condition) ((condition) ? (void)0 : die(__FILE__, __LINE__, #condition))
_Noreturn void die(const char *file, int line, const char *what);

#endif
