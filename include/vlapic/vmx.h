/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * \file
 * The vmx backend: the model as Intel's APIC virtualization. Of what the processor offers it uses what the embedder allows and the APIC's
 * mode permits, and looks the same to the guest with all of it and with none. docs/PORTING.md walks through an embedder;
 * the loop of a vCPU thread is that of run.h with these in the place of enter and exit:
 *
 *     vlapic_cpu_poll(cpu, &duty);                      // duty.init, .sipi, .nmi, .smi, .extint are the embedder's; .vector is not
 *     ...
 *     disable_host_interrupts();
 *     if (!vlapic_vmx_enter(cpu, &guest, &entry)) { enable_host_interrupts(); continue; }
 *     ... entry.injected, entry.changes
 *     vmresume();                                       // or vlapic_vmx_cancel(), if it has to be put off
 *     result = vlapic_vmx_exit(cpu, &exit, &length);    // before anything else is done to this APIC
 *
 * The embedder owns the VMCS; the backend writes, through `vmwrite`, the fields and control bits that are named here, and no others:
 * bits 7 (process posted interrupts) of the pin-based controls; 2, 19, 20, 21, 22 of the primary ones (it sets 17 and 31 where it needs them);
 * 0, 4, 8, 9 of the secondary ones; 4 of the tertiary ones; virtual-APIC, APIC-access, descriptor and PID-pointer table addresses with last index and
 * notification vector; TPR threshold, guest interrupt status, EOI-exit bitmaps; VM-entry interruption information when it injects.
 */
#ifndef VLAPIC_VMX_H
#define VLAPIC_VMX_H

#include "backend.h"
#include "decode.h"
#include "platform.h"
#include "status.h"
#include "vm.h"

VLAPIC_BEGIN_DECLS

/** Version of the structures of this header. */
#define VLAPIC_VMX_ABI 1u

/** The backend, for vlapic_vm_config.backend; its backend_config is a struct vlapic_vmx_config. Two pages a vCPU. */
extern const struct vlapic_backend vlapic_backend_vmx;

/** What the processor does instead of the software; bits of a set. */
enum vlapic_vmx_feature {
    VLAPIC_VMX_TPR_SHADOW = 1 << 0,  /**< CR8 and TPR without exits */
    VLAPIC_VMX_APIC_ACCESS = 1 << 1, /**< virtualize APIC accesses: xAPIC mode */
    VLAPIC_VMX_REGISTERS = 1 << 2,   /**< APIC-register virtualization */
    VLAPIC_VMX_DELIVERY = 1 << 3,    /**< virtual-interrupt delivery */
    VLAPIC_VMX_POSTED = 1 << 4,      /**< process posted interrupts */
    VLAPIC_VMX_X2APIC = 1 << 5,      /**< virtualize x2APIC mode */
    VLAPIC_VMX_IPI = 1 << 6,         /**< IPI virtualization */
    VLAPIC_VMX_ALL_FEATURES = (1 << 7) - 1
};

/** Reasons to do without virtual-interrupt delivery, and what needs it; bits of a set. */
enum vlapic_vmx_inhibit {
    VLAPIC_VMX_INHIBIT_REQUEST = 1 << 0,    /**< the embedder's wish: debugging, a setting */
    VLAPIC_VMX_INHIBIT_NESTED = 1 << 1,     /**< the embedder's: a nested guest */
    VLAPIC_VMX_INHIBIT_EXTERNAL = 1 << 2,   /**< the embedder's: interrupts that must be seen when they are delivered */
    VLAPIC_VMX_INHIBIT_EMBEDDER = (1 << 16) - 1, /**< what an embedder may use, these three included */
    VLAPIC_VMX_INHIBIT_MODE = 1 << 16,      /**< the backend's: the APIC is disabled by IA32_APIC_BASE */
    VLAPIC_VMX_INHIBIT_SOFTWARE_DISABLED = 1 << 17, /**< the backend's: SVR bit 8 is clear, where hardware would still take self-IPIs */
    VLAPIC_VMX_INHIBIT_IER = 1 << 18        /**< the backend's: the VM has interrupt-enable registers, of which hardware knows nothing */
};

/** The capability MSRs as RDMSR gives them; 0 for one that does not exist. */
struct vlapic_vmx_capabilities {
    uint64_t pin;       /**< IA32_VMX_TRUE_PINBASED_CTLS (48Dh), or 481h without the TRUE ones (IA32_VMX_BASIC bit 55) */
    uint64_t primary;   /**< IA32_VMX_TRUE_PROCBASED_CTLS (48Eh), or 482h */
    uint64_t secondary; /**< IA32_VMX_PROCBASED_CTLS2 (48Bh) */
    uint64_t tertiary;  /**< IA32_VMX_PROCBASED_CTLS3 (492h) */
    uint64_t exit;      /**< IA32_VMX_TRUE_EXIT_CTLS (48Fh), or 483h */
};

/**
 * What the embedder supplies. The cookie is that of the vCPU (vlapic_cpu_config.cookie). Those for the owner are called with the vCPU
 * loaded but where said; none may sleep.
 */
struct vlapic_vmx_ops {
    uint32_t size; /**< sizeof(struct vlapic_vmx_ops) as the embedder compiled it */
    uint32_t abi;  /**< VLAPIC_VMX_ABI */

    /** VMWRITE to the vCPU's VMCS, which is current on this physical CPU; \p field is the encoding. Owner. Mandatory. */
    void (*vmwrite)(void *cpu_cookie, uint32_t field, uint64_t value);
    /** VMREAD, likewise. Owner. Mandatory. */
    uint64_t (*vmread)(void *cpu_cookie, uint32_t field);
    /** The 4-KiB MSR bitmap that is in use for this vCPU. NULL, or what returns NULL: every RDMSR and WRMSR exits. Owner. */
    uint8_t *(*msr_bitmap)(void *cpu_cookie);
    /** The INTA cycle with the external interrupt controller: its vector. Called when an ExtINT is injected. Owner.
     *  NULL: guest.extint never is set. */
    uint8_t (*acknowledge_extint)(void *cpu_cookie);

    /** Physical APIC ID of the calling physical CPU. Owner. Mandatory with VLAPIC_VMX_POSTED. */
    uint32_t (*physical_apic_id)(void *cpu_cookie);
    /** Send the fixed interrupt \p vector to physical CPU \p apic_id; nothing if that is the calling one. Any thread: not for the
     *  VMCS. Mandatory with VLAPIC_VMX_POSTED. */
    void (*notify)(void *cpu_cookie, uint32_t apic_id, uint8_t vector);
    /** The vCPU is about to sleep (true), or no longer (false): while it is, the wake-up vector on physical CPU \p apic_id means that
     *  vlapic_vmx_is_outstanding() is to be asked, and the vCPU kicked if so. Owner, loaded or not. NULL: nothing but the library posts. */
    void (*blocked)(void *cpu_cookie, uint32_t apic_id, bool blocked);

    /** Bytes of the instruction at the guest's CS:RIP, as many as can be had, up to \p size; \p mode receives the size of the code segment. Owner. NULL: instructions are not decoded. */
    size_t (*fetch)(void *cpu_cookie, uint8_t *bytes, size_t size, enum vlapic_decode_mode *mode);
    /** The guest's registers and memory, cookie as here; its apic_read and apic_write are not used. read_register and write_register serve
     *  MSR and CR8 exits, too. Mandatory. */
    const struct vlapic_decode_ops *guest;
};

/** Settings of a VM: vlapic_vm_config.backend_config. Fill with vlapic_vmx_config_defaults(), then change. */
struct vlapic_vmx_config {
    uint32_t size; /**< sizeof(struct vlapic_vmx_config) */
    uint32_t abi;  /**< VLAPIC_VMX_ABI */

    struct vlapic_vmx_capabilities capabilities; /**< of every physical CPU that will run the VM */
    uint32_t features;                           /**< enum vlapic_vmx_feature bits that may be used; default all */
    const struct vlapic_vmx_ops *ops;            /**< copied; what it points to must outlive the VM */

    uint64_t apic_access_page;     /**< physical address of a page that nothing else uses, for VLAPIC_VMX_APIC_ACCESS; 0: not used */
    uint8_t notification_vector;   /**< of the host, 16..255, on every physical CPU: its handler does an EOI. For VLAPIC_VMX_POSTED; 0: not used */
    uint8_t wakeup_vector;         /**< of the host, another one; 0: as notification_vector */
    bool host_x2apic;              /**< physical APICs are in x2APIC mode: format of NDST */
    bool length_is_valid;          /**< the exit instruction length of APIC-access exits can be relied on, though undefined by the manual */
    struct vlapic_page pid_table;  /**< PID-pointer table for VLAPIC_VMX_IPI: 8 bytes an APIC ID, zeroed, physically contiguous; NULL: not used */
    uint32_t pid_table_entries;    /**< its size, up to 65536; IDs beyond it exit */
    bool watch_given;              /**< `watch` is what eoi_notify of the host is called for, instead of every vector */
    struct vlapic_vectors watch;   /**< vectors whose EOI has to reach eoi_notify: they exit */
};

/** The core of the vCPU at an entry. */
struct vlapic_vmx_guest {
    uint64_t rflags;          /**< guest RFLAGS */
    uint32_t interruptibility; /**< guest interruptibility state, as field 4824h */
    bool busy;                /**< the embedder injects an event of its own at this entry */
    bool nmi;                 /**< an NMI is pending in the core */
    bool extint;              /**< an 8259-style interrupt is pending: duty.extint, or an unserved duty.extint_message */
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
    VLAPIC_VMX_NOT_MINE = 0,   /**< nothing to do with the APIC */
    VLAPIC_VMX_RESUME = 1,     /**< finished; RIP stays */
    VLAPIC_VMX_ADVANCE = 2,    /**< finished; add the length to RIP, end the interrupt shadow, do what a finished instruction does */
    VLAPIC_VMX_GP = 3,         /**< inject \#GP(0); RIP stays */
    VLAPIC_VMX_UNSUPPORTED = 4 /**< an access to the APIC page that the library cannot finish: emulate it, or end the guest */
};

/**
 * Fills the settings with their defaults: every feature, nothing else.
 * \param config  receives them
 * \param size    sizeof(struct vlapic_vmx_config)
 * \return VLAPIC_OK, VLAPIC_INVALID for NULL, VLAPIC_BAD_ABI
 * \ctx_any
 * \manual{Library}
 */
enum vlapic_status vlapic_vmx_config_defaults(struct vlapic_vmx_config *config, size_t size);

/**
 * The features that a VM with these settings can use, whatever its mode: capabilities, `features`, and what each of them needs of the
 * others and of the embedder.
 * \param config  the settings
 * \return enum vlapic_vmx_feature bits
 * \ctx_any
 * \manual{Intel SDM 3C, "VM-Execution Control Fields" and "Checks on VMX Controls"}
 */
uint32_t vlapic_vmx_features(const struct vlapic_vmx_config *config);

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
 * The entry that vlapic_vmx_enter() prepared does not take place, or failed: what it was to inject is pending as before. An ExtINT, whose
 * controller has forgotten it, is injected at the next entry.
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
 * \param cpu  the vCPU
 * \ctx_owner
 * \manual{Library}
 */
void vlapic_vmx_vmcs_replaced(struct vlapic_cpu *cpu);

/**
 * Gives or takes back a reason to do without virtual-interrupt delivery. A vCPU obeys at its next entry: kick those that must obey now.
 * \param vm      the VM
 * \param reason  bits of VLAPIC_VMX_INHIBIT_EMBEDDER; others are ignored
 * \param on      true: inhibit
 * \ctx_any
 * \manual{Library}
 */
void vlapic_vmx_inhibit(struct vlapic_vm *vm, uint32_t reason, bool on);

/**
 * The event that an exit interrupted on its way to the guest, and that the next entry injects again: for saving it with the state of the core. A
 * vector of this APIC is given back to IRR instead, so that the APIC's state has it.
 * \param cpu  the vCPU
 * \return interruption information, format of VMCS field 4016h; 0 for none
 * \ctx_owner
 * \manual{Intel SDM 3C, "Information for VM Exits That Occur During Event Delivery"}
 */
uint32_t vlapic_vmx_get_in_flight(struct vlapic_cpu *cpu);

/**
 * Restores what vlapic_vmx_get_in_flight() gave.
 * \param cpu          the vCPU
 * \param information  0, or an NMI or external interrupt in the format of field 4016h; others are ignored
 * \ctx_owner
 * \manual{Intel SDM 3C, "VM-Entry Controls for Event Injection"}
 */
void vlapic_vmx_set_in_flight(struct vlapic_cpu *cpu, uint32_t information);

/**
 * True if something was posted to the vCPU that nobody has looked at: the question of the wake-up vector's handler.
 * \param cpu  the vCPU
 * \return the ON bit of its posted-interrupt descriptor
 * \ctx_any
 * \manual{Intel SDM 3C, "Posted-Interrupt Processing"}
 */
bool vlapic_vmx_is_outstanding(struct vlapic_cpu *cpu);

/**
 * Physical address of the vCPU's posted-interrupt descriptor, for an IOMMU that posts into it.
 * \param cpu  the vCPU
 * \return the address, 64-byte aligned
 * \ctx_any
 * \manual{Intel SDM 3C, "Posted-Interrupt Processing"; VT-d specification, "Interrupt Posting"}
 */
uint64_t vlapic_vmx_descriptor(struct vlapic_cpu *cpu);

/** An interrupt-remapping table entry of VT-d. */
struct vlapic_vmx_irte {
    uint64_t low;
    uint64_t high;
};

/**
 * Makes a remapped entry a posted one: the device's interrupts then go to a vCPU by its descriptor. Present, fault-processing disable, source-ID fields and
 * the bits that software may use stay. Only a Fixed, edge-triggered interrupt with one destination may be posted.
 * \param remapped    the entry as it is
 * \param descriptor  vlapic_vmx_descriptor()
 * \param vector      the guest's vector, 16..255
 * \param urgent      notify even where SN is set
 * \param posted      receives the entry; may be \p remapped
 * \return VLAPIC_OK; VLAPIC_INVALID for a vector below 16 or NULL; VLAPIC_MISALIGNED for a descriptor that is not 64-byte aligned
 * \ctx_any
 * \manual{VT-d specification, "Interrupt Remapping Table Entry (IRTE) for Posted Interrupts"}
 */
enum vlapic_status vlapic_vmx_irte_post(const struct vlapic_vmx_irte *remapped, uint64_t descriptor, uint8_t vector,
                                        bool urgent, struct vlapic_vmx_irte *posted);

/**
 * Reads a posted entry.
 * \param entry       the entry
 * \param descriptor  receives the address of the descriptor
 * \param vector      receives the guest's vector
 * \return true if the entry is present and posted; else nothing is received
 * \ctx_any
 * \manual{VT-d specification, "Interrupt Remapping Table Entry (IRTE) for Posted Interrupts"}
 */
bool vlapic_vmx_irte_is_posted(const struct vlapic_vmx_irte *entry, uint64_t *descriptor, uint8_t *vector);

VLAPIC_END_DECLS

#endif
