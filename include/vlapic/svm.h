/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * \file
 * The svm backend: the model as AMD's interrupt virtualization. Plain SVM (V_TPR, event injection, interrupt windows), AVIC and x2AVIC, by what
 * the processor offers, the embedder allows and the guest's APIC permits. This header has its settings; svm_run.h what the owner of a vCPU does
 * around each entry; amd_iommu.h an IOMMU's part. docs/PORTING.md walks through an embedder.
 *
 * The embedder owns the VMCB; the backend writes these fields, and no others: CR8 intercepts (000h bits 8 and 24), the VINTR and, without vNMI, the
 * IRET intercept (00Ch bits 4 and 20), 060h but for V_INTR_MASKING and VGIF, the AVIC pointers (098h, 0E0h, 0F0h, 0F8h), and EVENTINJ: when it
 * injects, when that is cancelled, and at every exit, where it becomes 0 whosever event was there. It clears the clean bits of what it has changed.
 * V_INTR_MASKING is on, HLT, MSR and (for NMIs) the NMI intercept are on: those are the embedder's.
 */
#ifndef VLAPIC_SVM_H
#define VLAPIC_SVM_H

#include "backend.h"
#include "cpu.h"
#include "decode.h"
#include "platform.h"
#include "status.h"
#include "vm.h"

VLAPIC_BEGIN_DECLS

/** Version of the structures of this header. */
#define VLAPIC_SVM_ABI 1u

/** The backend, for vlapic_vm_config.backend; its backend_config is a struct vlapic_svm_config. One page a vCPU: the backing page. */
extern const struct vlapic_backend vlapic_backend_svm;

/** What the processor does instead of the software; bits of a set. */
enum vlapic_svm_feature {
    VLAPIC_SVM_AVIC = 1 << 0,       /**< AVIC in xAPIC mode */
    VLAPIC_SVM_X2AVIC = 1 << 1,     /**< x2AVIC in x2APIC mode */
    VLAPIC_SVM_X2AVIC_EXT = 1 << 2, /**< IDs up to 4095 in x2AVIC, instead of 511 */
    VLAPIC_SVM_VNMI = 1 << 3,       /**< NMI virtualization */
    VLAPIC_SVM_SELF_IPI =
        1
        << 4, /**< WRMSR 83Fh without an exit: only for processors known to leave ICR and 3F0h alone; not in the default */
    VLAPIC_SVM_DEFAULT_FEATURES = (1 << 4) - 1
};

/** Reasons to do without AVIC; bits of a set. */
enum vlapic_svm_inhibit {
    VLAPIC_SVM_INHIBIT_REQUEST = 1 << 0, /**< the embedder's wish */
    VLAPIC_SVM_INHIBIT_NESTED = 1 << 1,  /**< the embedder's: a nested guest */
    VLAPIC_SVM_INHIBIT_EXTERNAL =
        1 << 2, /**< the embedder's: interrupts that must be seen when they are delivered; an encrypted guest */
    VLAPIC_SVM_INHIBIT_EMBEDDER = (1 << 16) - 1, /**< what an embedder may use, these three included */
    VLAPIC_SVM_INHIBIT_MODE = 1 << 16, /**< the APIC is disabled, or in a mode that the processor does not virtualize */
    VLAPIC_SVM_INHIBIT_SOFTWARE_DISABLED = 1 << 17, /**< SVR bit 8 is clear */
    /** An ExtINT, or what an exit interrupted, waits for an interrupt window; or an IRET that ends NMI blocking comes next. */
    VLAPIC_SVM_INHIBIT_WINDOW = 1 << 18,
    VLAPIC_SVM_INHIBIT_LINT0 =
        1 << 19, /**< a level of LINT0 waits for the EOI of a vector that is edge triggered by now */
    VLAPIC_SVM_INHIBIT_PHYSICAL_ID =
        1 << 20, /**< an APIC ID that the tables cannot hold, or that the guest has changed */
    VLAPIC_SVM_INHIBIT_LOGICAL_ID =
        1 << 21, /**< logical IDs that are not one bit each, or not unique, or in two formats */
    VLAPIC_SVM_INHIBIT_MIXED_MODES = 1 << 22, /**< some vCPUs are in xAPIC, others in x2APIC mode */
    VLAPIC_SVM_INHIBIT_EDGE_EOI = 1 << 23,    /**< the host wants to hear of EOIs that AVIC does not report */
    VLAPIC_SVM_INHIBIT_REGISTERS =
        1 << 24 /**< the VM has registers that AVIC would treat as memory: CMCI, extended space */
};

/** What the embedder supplies. The cookie is that of the vCPU (vlapic_cpu_config.cookie). None may sleep. */
struct vlapic_svm_ops {
    uint32_t size; /**< sizeof(struct vlapic_svm_ops) as the embedder compiled it */
    uint32_t abi;  /**< VLAPIC_SVM_ABI */

    /** The vCPU's VMCB, 4096 bytes. Owner, loaded. Mandatory. */
    void *(*vmcb)(void *cpu_cookie);
    /** The MSR permission map in use for this vCPU, 8 KiB. NULL, or what returns NULL: every RDMSR and WRMSR exits. Owner. */
    uint8_t *(*msr_map)(void *cpu_cookie);
    /** The INTA cycle with the external interrupt controller: its vector. Owner. NULL: guest.extint never is set. */
    uint8_t (*acknowledge_extint)(void *cpu_cookie);

    /** Physical APIC ID of the calling physical CPU. Owner. Mandatory with AVIC. */
    uint32_t (*physical_apic_id)(void *cpu_cookie);
    /** Ring the doorbell of physical CPU \p apic_id (WRMSR C001_011Bh); nothing if that is the calling one. Everything written before is visible
     *  by then. Any thread: not for the VMCB. Mandatory with AVIC. */
    void (*doorbell)(void *cpu_cookie, uint32_t apic_id);
    /** The vCPU is now ready to take doorbells on physical CPU \p apic_id, or no longer: for the IRTEs of an IOMMU that posts to it. Before the
     *  vCPU sleeps, or runs without AVIC, \p blocked is true: of what is posted then it has to hear (GALogIntr, then vlapic_backend_wake()).
     *  Owner. NULL: nothing but the library and the guest's IPIs posts. */
    void (*running)(void *cpu_cookie, bool is_running, uint32_t apic_id, bool blocked);

    /** Bytes of the instruction at the guest's CS:RIP, as many as can be had, up to \p size; \p mode receives the size of the code segment. Owner.
     *  NULL: instructions are not decoded. */
    size_t (*fetch)(void *cpu_cookie, uint8_t *bytes, size_t size, enum vlapic_decode_mode *mode);
    /** The guest's registers and memory, cookie as here; its apic_read and apic_write are not used. Mandatory. */
    const struct vlapic_decode_ops *guest;
};

/** Settings of a VM: vlapic_vm_config.backend_config. Fill with vlapic_svm_config_defaults(), then change. */
struct vlapic_svm_config {
    uint32_t size; /**< sizeof(struct vlapic_svm_config) */
    uint32_t abi;  /**< VLAPIC_SVM_ABI */

    uint32_t cpuid_edx;               /**< CPUID Fn8000_000A EDX, common to every physical CPU that will run the VM */
    uint32_t cpuid_ecx;               /**< CPUID Fn8000_000A ECX */
    uint32_t features;                /**< enum vlapic_svm_feature bits that may be used */
    const struct vlapic_svm_ops *ops; /**< copied; what it points to must outlive the VM */

    struct vlapic_page physical_table; /**< physical APIC ID table: zeroed, contiguous; NULL: no AVIC */
    uint32_t physical_table_pages;     /**< 1, or up to 8 with X2AVIC_EXT */
    struct vlapic_page logical_table;  /**< logical APIC ID table: zeroed; NULL: no AVIC in xAPIC mode */
    struct vlapic_page discard_page;   /**< takes the interrupts for vCPUs that accept none; NULL: no AVIC */
    bool
        erratum_1235; /**< Family 17h and 18h: processors may miss that a vCPU does not run, so they are never told that one does */
    bool edge_eoi_not_needed; /**< eoi_notify of the host need not hear of the EOIs of edge-triggered vectors */
};

/**
 * Fills the settings with their defaults.
 * \param config  receives them
 * \param size    sizeof(struct vlapic_svm_config)
 * \return VLAPIC_OK, VLAPIC_INVALID for NULL, VLAPIC_BAD_ABI
 * \ctx_any
 * \manual{Library}
 */
enum vlapic_status vlapic_svm_config_defaults(struct vlapic_svm_config *config, size_t size);

/**
 * The features that a VM with these settings can use, whatever its mode.
 * \param config  the settings
 * \return enum vlapic_svm_feature bits
 * \ctx_any
 * \manual{AMD APM 3, "Function 8000_000Ah"; APM 2, "AVIC Enumeration"}
 */
uint32_t vlapic_svm_features(const struct vlapic_svm_config *config);

/**
 * Gives or takes back a reason to do without AVIC. A vCPU obeys at its next entry: kick those that must obey now.
 * \param vm      the VM
 * \param reason  bits of VLAPIC_SVM_INHIBIT_EMBEDDER; others are ignored
 * \param on      true: inhibit
 * \ctx_any
 * \manual{Library}
 */
void vlapic_svm_inhibit(struct vlapic_vm *vm, uint32_t reason, bool on);

VLAPIC_END_DECLS

#endif
