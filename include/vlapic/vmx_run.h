/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * \file
 * What the owner of a vCPU does around each entry with the vmx backend. The loop of run.h, with these in the place of enter and exit:
 *
 *     vlapic_cpu_poll(cpu, &duty);                      // duty.init, .sipi, .nmi, .smi, .extint are the embedder's; .vector is not
 *     ...
 *     disable_host_interrupts();
 *     if (!vlapic_vmx_enter(cpu, &guest, &entry)) { enable_host_interrupts(); continue; }
 *     ... entry.injected, entry.changes
 *     vmresume();                                       // or vlapic_vmx_cancel(), if it has to be put off
 *     result = vlapic_vmx_exit(cpu, &exit, &length);    // before anything else is done to this APIC
 */
#ifndef VLAPIC_VMX_RUN_H
#define VLAPIC_VMX_RUN_H

#include "vmx.h"

VLAPIC_BEGIN_DECLS

/** The core of the vCPU at an entry. */
struct vlapic_vmx_guest {
    uint64_t rflags;           /**< guest RFLAGS */
    uint32_t interruptibility; /**< guest interruptibility state, as field 4824h */
    bool busy;                 /**< the embedder injects an event of its own at this entry */
    bool nmi;                  /**< an NMI is pending in the core */
    bool extint; /**< an 8259-style interrupt is pending: duty.extint, or an unserved duty.extint_message */
};

/** What an entry injects. */
enum vlapic_vmx_injected {
    VLAPIC_VMX_INJECTED_NONE = 0,
    VLAPIC_VMX_INJECTED_VECTOR = 1, /**< a vector of this APIC */
    VLAPIC_VMX_INJECTED_EXTINT = 2, /**< forget an extint_message that was served */
    VLAPIC_VMX_INJECTED_NMI = 3,    /**< the pending NMI is pending no more */
    VLAPIC_VMX_INJECTED_AGAIN = 4   /**< what the last exit interrupted on its way */
};

/** What has to be done before the guest runs; bits of a set. */
enum vlapic_vmx_change {
    /** vlapic_vmx_apic_page() gives something else: map or unmap the page, and flush what was cached (INVEPT, INVVPID). */
    VLAPIC_VMX_CHANGED_MAPPING = 1 << 0,
    /** The APIC-access controls changed: flush cached translations of guest-physical and linear addresses (INVEPT, INVVPID). */
    VLAPIC_VMX_CHANGED_CONTROLS = 1 << 1
};

/** The outcome of an entry. */
struct vlapic_vmx_entry {
    enum vlapic_vmx_injected injected; /**< not NONE: the activity state has to be active */
    uint8_t vector;
    uint32_t changes;  /**< enum vlapic_vmx_change */
    uint32_t features; /**< enum vlapic_vmx_feature that are in use for this entry */
};

/** Fields of the VMCS after an exit. */
struct vlapic_vmx_exit {
    uint32_t reason;             /**< basic exit reason: bits 15:0 of field 4402h */
    uint32_t instruction_length; /**< field 440Ch */
    uint64_t qualification;      /**< field 6400h */
    uint64_t guest_physical;     /**< field 2400h, for reasons 48 and 49 */
    uint32_t vectoring;          /**< IDT-vectoring information, field 4408h */
};

/** What the embedder does about an exit. */
enum vlapic_vmx_result {
    VLAPIC_VMX_NOT_MINE = 0, /**< nothing to do with the APIC */
    VLAPIC_VMX_RESUME = 1,   /**< finished; RIP stays */
    VLAPIC_VMX_ADVANCE =
        2, /**< finished; add the length to RIP, end the interrupt shadow, do what a finished instruction does */
    VLAPIC_VMX_GP = 3, /**< inject \#GP(0); RIP stays */
    VLAPIC_VMX_UNSUPPORTED =
        4 /**< an access to the APIC page that the library cannot finish: emulate it, or end the guest */
};

/**
 * Prepares the entry into the guest and announces it, like vlapic_cpu_enter(): controls, addresses, threshold or interrupt
 * status, EOI-exit bitmap; injects what can be injected, or asks for a window.
 * \param cpu    the vCPU, loaded; kicks are held off
 * \param guest  its core
 * \param entry  receives what was decided; all zeros unless true
 * \return true: enter, or vlapic_vmx_cancel(). False: poll again
 * \ctx_owner
 * \manual{Intel SDM 3C, "Virtual-Interrupt Delivery", "TPR Virtualization", "Event Injection"}
 */
bool vlapic_vmx_enter(struct vlapic_cpu *cpu, const struct vlapic_vmx_guest *guest, struct vlapic_vmx_entry *entry);

/**
 * The entry that vlapic_vmx_enter() prepared does not take place, or failed. A vector that it was to inject is in IRR again; an NMI and
 * an ExtINT, which their sources count as served, are injected at the next entry.
 * \param cpu  the vCPU, loaded
 * \ctx_owner
 * \manual{Library}
 */
void vlapic_vmx_cancel(struct vlapic_cpu *cpu);

/**
 * The guest has exited: vlapic_cpu_exit(), and the exit's part that is the APIC's.
 * \param cpu     the vCPU, loaded
 * \param exit    what the VMCS tells
 * \param length  receives the length of the instruction with VLAPIC_VMX_ADVANCE, else 0
 * \return what the embedder is to do
 * \ctx_owner
 * \manual{Intel SDM 3C, "VM Exits", "APIC-Write VM Exits", "APIC-Access VM Exits"}
 */
enum vlapic_vmx_result vlapic_vmx_exit(struct vlapic_cpu *cpu, const struct vlapic_vmx_exit *exit, uint32_t *length);

/**
 * An access to the APIC's window that came by another way, a page fault of a host without EPT, say: decodes the instruction and carries it out.
 * \param cpu             the vCPU
 * \param guest_physical  the address
 * \param write           the access was a write
 * \param length          receives the length of the instruction with VLAPIC_VMX_ADVANCE, else 0
 * \return NOT_MINE outside of the window, else what is to be done
 * \ctx_owner
 * \manual{Intel SDM 3A, "The Local APIC Block Diagram"}
 */
enum vlapic_vmx_result vlapic_vmx_access(struct vlapic_cpu *cpu, uint64_t guest_physical, bool write, uint32_t *length);

/**
 * Where the APIC-access page has to be mapped, for reading and writing, in a 4-KiB page of its own.
 * \param cpu             the vCPU
 * \param guest_physical  receives the address in guest-physical memory
 * \return false: nowhere; the window is unmapped, so that accesses exit
 * \ctx_owner
 * \manual{Intel SDM 3C, "Virtualizing Memory-Mapped APIC Accesses"}
 */
bool vlapic_vmx_apic_page(struct vlapic_cpu *cpu, uint64_t *guest_physical);

/**
 * Everything that the backend has written into the VMCS is gone: the VMCS is new, or another one. The next entry writes it all.
 * Call it, too, when you change your own virtual-NMIs control, which tells what to wait for while NMIs are blocked.
 * \param cpu  the vCPU
 * \ctx_owner
 * \manual{Library}
 */
void vlapic_vmx_vmcs_replaced(struct vlapic_cpu *cpu);

/**
 * The event that an exit interrupted on its way to the guest, and that the next entry injects again: for saving it with the state of the core. A
 * vector of this APIC is given back to IRR instead, so that the APIC's state has it.
 * \param cpu  the vCPU
 * \return interruption information, format of VMCS field 4016h, with bit 30 set if there is an NMI besides an external interrupt; 0 for none
 * \ctx_owner
 * \manual{Intel SDM 3C, "Information for VM Exits That Occur During Event Delivery"}
 */
uint32_t vlapic_vmx_get_in_flight(struct vlapic_cpu *cpu);

/**
 * Restores what vlapic_vmx_get_in_flight() gave: after the state of the APIC, whose loading voids what is in flight.
 * \param cpu          the vCPU
 * \param information  0, or an NMI or external interrupt as vlapic_vmx_get_in_flight() gives them; others are ignored
 * \ctx_owner
 * \manual{Intel SDM 3C, "VM-Entry Controls for Event Injection"}
 */
void vlapic_vmx_set_in_flight(struct vlapic_cpu *cpu, uint32_t information);

VLAPIC_END_DECLS

#endif
