/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What bhyve's vmm asks of its local APIC, on top of libvlapic with the backend soft. No name of it is one of bhyve's own, so that both can be
 * in one kernel. README.md has the table of which entry point stands for which.
 *
 * Contexts, one for each function:
 *   "sleeps"  set-up and tear-down: allocates or drains; not in a critical section, no spin lock held;
 *   "owner"   the thread that runs the vCPU, or anyone while it is frozen; also in a critical section, with interrupts disabled, under
 *             spin locks: nothing sleeps, allocates or takes a lock but callout(9)'s;
 *   "any"     any thread, callout or interrupt filter, at any time; the same holds.
 *
 * A vCPU's APIC counts as always in the guest: whatever comes in calls notify(), unless it has called it already and the owner has not
 * looked since. notify() is to do what vcpu_notify_event() does: interrupt the vCPU if it is in the guest, wake it if it sleeps, and
 * nothing else.
 */
#ifndef VLAPIC_BHYVE_H
#define VLAPIC_BHYVE_H

#include <vlapic/vlapic.h>

struct vlapic_bhyve_vm;
struct vlapic_bhyve_cpu;

/* What the vmm supplies. `vm` and `vcpu` are the pointers given to vlapic_bhyve_vm_create() and vlapic_bhyve_create(). */
struct vlapic_bhyve_host {
    /* "any"; may be called with locks of the caller held. Mandatory. */
    void (*notify)(void *vcpu);
    /* "owner": an EOI of a level-triggered vector. May send the vector again from within. NULL: there is no I/O APIC. */
    void (*ioapic_eoi)(void *vm, int vector);

    /* The rest is called by vlapic_bhyve_events() alone, "owner". */

    /* Pend an NMI. Mandatory. */
    void (*inject_nmi)(void *vcpu);
    /* Pend an interrupt of the 8259, whose vector it tells when it is injected. NULL: there is none. */
    void (*inject_extint)(void *vcpu);
    /* Bring the vCPU's registers to their INIT state. Its APIC follows on return. Mandatory. */
    void (*init)(void *vcpu);
    /* Start the vCPU in real mode at vector << 12. Mandatory. */
    void (*sipi)(void *vcpu, uint8_t vector);

    /*
     * "owner" of the sender: an INIT or SIPI that this vCPU sent names the vCPUs of `set`, by their vcpuids: bit n % 64 of set[n / 64], `words`
     * of these, and it is news to them: a SIPI names only who waits for one. They have been told, and will see it when they call
     * vlapic_bhyve_events(). Returns true if user space is to hear of it: the write then tells to exit. NULL: user space never is.
     */
    bool (*ipi_exit)(void *vcpu, enum vlapic_delivery mode, uint8_t vector, const uint64_t *set, size_t words);
};

struct vlapic_bhyve_options {
    const struct vlapic_bhyve_host *host; /* must outlive the VM */
    enum vlapic_vendor vendor;
    bool x2apic;           /* guests may enter x2APIC mode; CPUID.01h:ECX[21] has to say the same */
    unsigned int max_cpus; /* vcpuids are below that, and are the APIC IDs */
};

/* ---- vlapic_bhyve.c: life ---- */

/* Sleeps. NULL if the options are not valid. */
struct vlapic_bhyve_vm *vlapic_bhyve_vm_create(void *vm, const struct vlapic_bhyve_options *options);
/* Sleeps. All its vCPUs are destroyed. NULL is ignored. */
void vlapic_bhyve_vm_destroy(struct vlapic_bhyve_vm *vm);
/* Sleeps. Other vCPUs may be running. vCPU 0 is the BSP. NULL if the vcpuid is in use or too large. */
struct vlapic_bhyve_cpu *vlapic_bhyve_create(struct vlapic_bhyve_vm *vm, unsigned int vcpuid, void *vcpu);
/* Sleeps. Nobody else calls anything of this VM meanwhile; the timer may go off. NULL is ignored. */
void vlapic_bhyve_destroy(struct vlapic_bhyve_cpu *cpu);

/* Owner. RESET; the mode that the host chose is entered anew. */
void vlapic_bhyve_reset(struct vlapic_bhyve_cpu *cpu);
/* Owner. The mode at RESET: x2APIC or xAPIC, entered at once. EINVAL if the VM has no x2APIC mode. */
int vlapic_bhyve_set_x2apic_state(struct vlapic_bhyve_cpu *cpu, bool enabled);
/* Owner. The APIC's state to or from bytes; VLAPIC_SNAPSHOT_MAX is enough. *length: in: room, or what there is; out: what was saved.
 * EINVAL for bytes that are no snapshot of such an APIC, which then is unchanged; ENOSPC. */
int vlapic_bhyve_snapshot(struct vlapic_bhyve_cpu *cpu, uint8_t *bytes, size_t *length, bool save);
/* Any. For what the library offers besides: state, counters. */
struct vlapic_cpu *vlapic_bhyve_library_cpu(struct vlapic_bhyve_cpu *cpu);

/* ---- vlapic_bhyve_access.c: what the guest does; owner ---- */

/*
 * A register by its offset in the window, by memory (mmio) or by MSR (then `size` does not count). EINVAL: inject #GP. Memory
 * accesses never fail: where there is no APIC, reads give all ones and writes are dropped. *exit: user space is to hear of an INIT
 * or SIPI (ipi_exit).
 */
int vlapic_bhyve_read(struct vlapic_bhyve_cpu *cpu, bool mmio, uint64_t offset, int size, uint64_t *data);
int vlapic_bhyve_write(struct vlapic_bhyve_cpu *cpu, bool mmio, uint64_t offset, int size, uint64_t data, bool *exit);
/* True for the MSRs that the next two answer: IA32_APIC_BASE and 800h..8FFh. */
bool vlapic_bhyve_handles_msr(uint32_t msr);
/* EINVAL: inject #GP. */
int vlapic_bhyve_rdmsr(struct vlapic_bhyve_cpu *cpu, uint32_t msr, uint64_t *data);
int vlapic_bhyve_wrmsr(struct vlapic_bhyve_cpu *cpu, uint32_t msr, uint64_t data, bool *exit);
uint64_t vlapic_bhyve_get_cr8(struct vlapic_bhyve_cpu *cpu);
/* EINVAL: inject #GP. */
int vlapic_bhyve_set_cr8(struct vlapic_bhyve_cpu *cpu, uint64_t value);

/* ---- vlapic_bhyve_events.c: what is sent to it; any ---- */

/* The vector is made pending. True if the APIC accepted it. Who has to be notified was. */
bool vlapic_bhyve_set_intr_ready(struct vlapic_bhyve_cpu *cpu, int vector, bool level);
/* A message of the I/O APIC; delivery modes as in its redirection entries. */
void vlapic_bhyve_deliver(struct vlapic_bhyve_vm *vm, bool level, uint32_t destination, bool physical, int delivery,
                          int vector);
/* EINVAL if the address is not one of an MSI. */
int vlapic_bhyve_msi(struct vlapic_bhyve_vm *vm, uint64_t address, uint64_t data);
/* Pulses an LVT entry of one vCPU, or of all if it is NULL: LINT0, LINT1, thermal, performance, CMCI. EINVAL for the others. */
int vlapic_bhyve_trigger_lvt(struct vlapic_bhyve_vm *vm, struct vlapic_bhyve_cpu *cpu, enum vlapic_lvt entry);
/* The level of pin 0 or 1, LINT0 or LINT1, of one vCPU, or of all if it is NULL. For the 8259's output: ExtINT is a level. */
void vlapic_bhyve_set_lint(struct vlapic_bhyve_vm *vm, struct vlapic_bhyve_cpu *cpu, int pin, bool asserted);

/* ---- vlapic_bhyve_events.c: what the vmm does about it; owner ---- */

/*
 * Hands NMI, ExtINT, INIT and SIPI to the host. To be called with interrupts disabled before each entry, ahead of the vmm's own look at what
 * is pending. False: the vCPU must not run: it waits for SIPI, or another INIT came meanwhile.
 */
bool vlapic_bhyve_events(struct vlapic_bhyve_cpu *cpu);
/* True if the next vlapic_bhyve_events() will hand something over. A vCPU sleeps only if this is false, under the lock that notify() takes. */
bool vlapic_bhyve_events_pending(struct vlapic_bhyve_cpu *cpu);
/* The vector to be injected, if one can be; *vector (not with NULL) receives it. Nothing is changed. */
bool vlapic_bhyve_pending_intr(struct vlapic_bhyve_cpu *cpu, int *vector);
/* The vector has been injected. */
void vlapic_bhyve_intr_accepted(struct vlapic_bhyve_cpu *cpu, int vector);
/* An ExtINT has been injected: if the 8259 has another one, it is handed over by the next vlapic_bhyve_events(). */
void vlapic_bhyve_extint_accepted(struct vlapic_bhyve_cpu *cpu);

#endif
