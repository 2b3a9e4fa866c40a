/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * \file
 * The vmx backend: the model as Intel's APIC virtualization. Of what the processor offers it uses what the embedder allows and the APIC's
 * mode permits, and looks the same to the guest with all of it and with none. This header has its settings; vmx_run.h what the owner of a vCPU does
 * around each entry; vtd.h an IOMMU's part. docs/PORTING.md walks through an embedder.
 *
 * The embedder owns the VMCS; the backend writes, through `vmwrite`, the fields and control bits that are named here, and no others:
 * bits 7 (process posted interrupts) of the pin-based controls; 2, 19, 20, 21, 22 of the primary ones (it sets 17 and 31 where it needs them);
 * 0, 4, 8, 9 of the secondary ones; 4 of the tertiary ones; virtual-APIC, APIC-access, descriptor and PID-pointer table addresses with last index and
 * notification vector; TPR threshold, guest interrupt status, EOI-exit bitmaps; VM-entry interruption information when it injects, and blocking by NMI in
 * the interruptibility state when an NMI is injected again. External-interrupt exiting is on with VLAPIC_VMX_DELIVERY, and acknowledge interrupt on exit with
 * VLAPIC_VMX_POSTED: those are the embedder's bits.
 */
#ifndef VLAPIC_VMX_H
#define VLAPIC_VMX_H

#include "backend.h"
#include "cpu.h"
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
    VLAPIC_VMX_INHIBIT_REQUEST = 1 << 0,  /**< the embedder's wish: debugging, a setting */
    VLAPIC_VMX_INHIBIT_NESTED = 1 << 1,   /**< the embedder's: a nested guest */
    VLAPIC_VMX_INHIBIT_EXTERNAL = 1 << 2, /**< the embedder's: interrupts that must be seen when they are delivered */
    VLAPIC_VMX_INHIBIT_EMBEDDER = (1 << 16) - 1, /**< what an embedder may use, these three included */
    VLAPIC_VMX_INHIBIT_MODE = 1 << 16,           /**< the backend's: the APIC is disabled by IA32_APIC_BASE */
    VLAPIC_VMX_INHIBIT_SOFTWARE_DISABLED =
        1 << 17, /**< the backend's: SVR bit 8 is clear, where hardware would still take self-IPIs */
    VLAPIC_VMX_INHIBIT_IER =
        1 << 18 /**< the backend's: the VM has interrupt-enable registers, of which hardware knows nothing */
};

/** The capability MSRs as RDMSR gives them; 0 for one that does not exist. */
struct vlapic_vmx_capabilities {
    uint64_t pin;     /**< IA32_VMX_TRUE_PINBASED_CTLS (48Dh), or 481h without the TRUE ones (IA32_VMX_BASIC bit 55) */
    uint64_t primary; /**< IA32_VMX_TRUE_PROCBASED_CTLS (48Eh), or 482h */
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
    /** Send the fixed interrupt \p vector to physical CPU \p apic_id, also if that is the calling one: the vCPU may be about to enter there. Any
     *  thread: not for the VMCS. Mandatory with VLAPIC_VMX_POSTED. */
    void (*notify)(void *cpu_cookie, uint32_t apic_id, uint8_t vector);
    /** The vCPU is about to sleep (true), or no longer (false): while it is, the wake-up vector on physical CPU \p apic_id means that
     *  vlapic_vmx_is_outstanding() is to be asked, and the vCPU kicked if so. It ends with the \p apic_id that it began with, wherever the vCPU
     *  is loaded meanwhile. Owner, loaded or not. NULL: nothing but the library posts; no VLAPIC_VMX_IPI then, and no IOMMU. */
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

    uint64_t
        apic_access_page; /**< physical address of a page that nothing else uses, for VLAPIC_VMX_APIC_ACCESS; 0: not used */
    uint8_t
        notification_vector; /**< of the host, 16..255, on every physical CPU: its handler does an EOI. For VLAPIC_VMX_POSTED; 0: not used */
    uint8_t
        wakeup_vector; /**< of the host, 16..255, another one: for VLAPIC_VMX_IPI, and where an IOMMU posts. 0: nothing but the library posts */
    bool host_x2apic;  /**< physical APICs are in x2APIC mode: format of NDST */
    bool
        length_is_valid; /**< the exit instruction length of APIC-access exits can be relied on, though undefined by the manual */
    struct vlapic_page
        pid_table; /**< PID-pointer table for VLAPIC_VMX_IPI: 8 bytes an APIC ID, zeroed (for another VM again), physically contiguous; NULL: not used */
    uint32_t pid_table_entries;  /**< its size, up to 65536; IDs beyond it exit */
    bool watch_given;            /**< `watch` is what eoi_notify of the host is called for, instead of every vector */
    struct vlapic_vectors watch; /**< vectors whose EOI has to reach eoi_notify: they exit */
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
 * Gives or takes back a reason to do without virtual-interrupt delivery. A vCPU obeys at its next entry: kick those that must obey now.
 * \param vm      the VM
 * \param reason  bits of VLAPIC_VMX_INHIBIT_EMBEDDER; others are ignored
 * \param on      true: inhibit
 * \ctx_any
 * \manual{Library}
 */
void vlapic_vmx_inhibit(struct vlapic_vm *vm, uint32_t reason, bool on);

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
 * \return the address, 64-byte aligned; 0 if posted interrupts are not among the VM's features, for nobody would look there
 * \ctx_any
 * \manual{Intel SDM 3C, "Posted-Interrupt Processing"; VT-d specification, "Interrupt Posting"}
 */
uint64_t vlapic_vmx_descriptor(struct vlapic_cpu *cpu);

VLAPIC_END_DECLS

#endif
