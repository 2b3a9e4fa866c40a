/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * \file
 * What the owner of a vCPU does around each entry with the svm backend. The loop of run.h, with these in the place of enter and exit:
 *
 *     vlapic_cpu_poll(cpu, &duty);                      // duty.init, .sipi, .nmi, .smi, .extint are the embedder's; .vector is not
 *     ...
 *     clgi();
 *     if (!vlapic_svm_enter(cpu, &guest, &entry)) { stgi(); continue; }
 *     ... entry.injected, entry.changes
 *     vmrun();                                          // or vlapic_svm_cancel(), if it has to be put off
 *     result = vlapic_svm_exit(cpu, &length);           // before anything else is done to this APIC
 */
#ifndef VLAPIC_SVM_RUN_H
#define VLAPIC_SVM_RUN_H

#include "svm.h"

VLAPIC_BEGIN_DECLS

/** The core of the vCPU at an entry. */
struct vlapic_svm_guest {
    uint64_t rflags; /**< guest RFLAGS */
    bool shadow;     /**< interrupt shadow: VMCB 068h bit 0 */
    bool busy;       /**< the embedder injects an event of its own at this entry: EVENTINJ is its */
    bool nmi;        /**< an NMI is pending in the core */
    bool extint;     /**< an 8259-style interrupt is pending: duty.extint, or an unserved duty.extint_message */
};

/** What an entry injects. */
enum vlapic_svm_injected {
    VLAPIC_SVM_INJECTED_NONE = 0,
    VLAPIC_SVM_INJECTED_VECTOR = 1, /**< a vector of this APIC */
    VLAPIC_SVM_INJECTED_EXTINT = 2, /**< forget an extint_message that was served */
    VLAPIC_SVM_INJECTED_NMI = 3,    /**< the pending NMI, if there is one, is pending no more */
    VLAPIC_SVM_INJECTED_AGAIN = 4   /**< what the last exit interrupted on its way */
};

/** What has to be done before the guest runs; bits of a set. */
enum vlapic_svm_change {
    /** vlapic_svm_apic_page() gives something else: map or unmap the page in the nested page tables. */
    VLAPIC_SVM_CHANGED_MAPPING = 1 << 0,
    /** Flush this guest's TLB entries at VMRUN (TLB_CONTROL): AVIC was switched, or another vCPU of the VM may have run here. */
    VLAPIC_SVM_FLUSH_TLB = 1 << 1,
    /** Leave the guest after one instruction (RFLAGS.TF and the \#DB intercept): an NMI waits for the end of an IRET, of the interrupt shadow, or
     *  of an event that this entry injects. */
    VLAPIC_SVM_SINGLE_STEP = 1 << 2
};

/** The outcome of an entry. */
struct vlapic_svm_entry {
    enum vlapic_svm_injected injected;
    uint8_t vector;
    uint32_t changes;  /**< enum vlapic_svm_change */
    uint32_t features; /**< VLAPIC_SVM_AVIC or _X2AVIC if in use for this entry, VLAPIC_SVM_VNMI */
};

/** What the embedder does about an exit. */
enum vlapic_svm_result {
    VLAPIC_SVM_NOT_MINE = 0, /**< nothing to do with the APIC */
    VLAPIC_SVM_RESUME = 1,   /**< finished; RIP stays */
    VLAPIC_SVM_ADVANCE = 2,  /**< finished; add the length to RIP (0: take nRIP), end the interrupt shadow */
    VLAPIC_SVM_GP = 3,       /**< inject \#GP(0); RIP stays */
    VLAPIC_SVM_UNSUPPORTED =
        4, /**< an access to the APIC page that the library cannot finish: emulate it, or end the guest */
    VLAPIC_SVM_BROKEN = 5 /**< hardware reports tables that do not fit what the backend wrote: end the guest */
};

/**
 * Prepares the entry into the guest and announces it, like vlapic_cpu_enter(): intercepts, V_TPR, AVIC; injects what can be injected, or
 * asks for a window.
 * \param cpu    the vCPU, loaded; GIF is clear
 * \param guest  its core
 * \param entry  receives what was decided; all zeros unless true
 * \return true: VMRUN, or vlapic_svm_cancel(). False: poll again
 * \ctx_owner
 * \manual{AMD APM 2, "Interrupt and Local APIC Support", "Advanced Virtual Interrupt Controller"}
 */
bool vlapic_svm_enter(struct vlapic_cpu *cpu, const struct vlapic_svm_guest *guest, struct vlapic_svm_entry *entry);

/**
 * The entry that vlapic_svm_enter() prepared does not take place, or failed. A vector that it was to inject is in IRR again; an NMI and
 * an ExtINT, which their sources count as served, are injected at the next entry. entry.changes are told again by the next one.
 * \param cpu  the vCPU, loaded
 * \ctx_owner
 * \manual{Library}
 */
void vlapic_svm_cancel(struct vlapic_cpu *cpu);

/**
 * The guest has exited: vlapic_cpu_exit(), and the exit's part that is the APIC's, out of the VMCB.
 * \param cpu     the vCPU, loaded
 * \param length  receives the length of the instruction with VLAPIC_SVM_ADVANCE, 0 if the VMCB's nRIP has to be taken
 * \return what the embedder is to do
 * \ctx_owner
 * \manual{AMD APM 2, "SVM Intercept Exit Codes", "AVIC Incomplete IPI", "AVIC Unaccelerated Access"}
 */
enum vlapic_svm_result vlapic_svm_exit(struct vlapic_cpu *cpu, uint32_t *length);

/**
 * An access to the APIC's window that came by another way: decodes the instruction and carries it out.
 * \param cpu             the vCPU
 * \param guest_physical  the address
 * \param write           the access was a write
 * \param length          receives the length of the instruction with VLAPIC_SVM_ADVANCE, else 0
 * \return NOT_MINE outside of the window, else what is to be done
 * \ctx_owner
 * \manual{AMD APM 2, "Local APIC"}
 */
enum vlapic_svm_result vlapic_svm_access(struct vlapic_cpu *cpu, uint64_t guest_physical, bool write, uint32_t *length);

/**
 * Where the nested page tables have to map a page, any one, for reading and writing, for AVIC in xAPIC mode; as the last entry has it.
 * \param cpu             the vCPU
 * \param guest_physical  receives the address in guest-physical memory
 * \return false: nowhere; the window is unmapped, so that accesses exit
 * \ctx_owner
 * \manual{AMD APM 2, "Virtual APIC Register Accesses"}
 */
bool vlapic_svm_apic_page(struct vlapic_cpu *cpu, uint64_t *guest_physical);

/**
 * Everything that the backend has written into the VMCB is gone: it is new, or another one. The next entry writes it all. RESET, INIT and another
 * state of the APIC end the blocking of NMIs; to keep the V_NMI_MASK of a VMCB that is restored, call this after the APIC's state was set.
 * \param cpu  the vCPU
 * \ctx_owner
 * \manual{Library}
 */
void vlapic_svm_vmcb_replaced(struct vlapic_cpu *cpu);

/**
 * What neither the state of the APIC nor that of the core has, for saving it with them: the event that an exit interrupted on its way to the guest,
 * an NMI that the backend holds, and whether NMIs are blocked. A vector of this APIC is given back to IRR instead, so that the APIC's state has it.
 * \param cpu  the vCPU
 * \return the format of EVENTINJ bits 31:0, with two bits that are not hardware's: 30 if there is an NMI besides an external interrupt, 29 if
 *         NMIs are blocked, by one in service (also without bit 31; an NMI that is told as well is pending behind it); 0 for none
 * \ctx_owner
 * \manual{AMD APM 2, "EXITINTINFO"}
 */
uint32_t vlapic_svm_get_in_flight(struct vlapic_cpu *cpu);

/**
 * Restores what vlapic_svm_get_in_flight() gave: after the state of the APIC, whose loading voids what is in flight. The processor may be one with
 * vNMI, or without it, whatever the other one was.
 * \param cpu          the vCPU
 * \param information  0, or what vlapic_svm_get_in_flight() gave; events other than NMIs and external interrupts are ignored
 * \ctx_owner
 * \manual{AMD APM 2, "Event Injection"}
 */
void vlapic_svm_set_in_flight(struct vlapic_cpu *cpu, uint32_t information);

VLAPIC_END_DECLS

#endif
