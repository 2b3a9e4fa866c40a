/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * \file
 * `struct vlapic_vm`: the interrupt fabric of one virtual machine. It knows the vCPUs by their APIC IDs and carries
 * messages to them. Any thread may use it at any time.
 */
#ifndef VLAPIC_VM_H
#define VLAPIC_VM_H

#include "backend.h"
#include "host.h"
#include "platform.h"
#include "registers.h"
#include "status.h"

VLAPIC_BEGIN_DECLS

struct vlapic_vm;
struct vlapic_cpu;

/** Version of struct vlapic_vm_config. */
#define VLAPIC_CONFIG_ABI 1u
/** Largest `max_apic_id` that can be configured. */
#define VLAPIC_APIC_ID_LIMIT 0xFFFFFu

/** Whose behaviour is shown where the manuals differ. Everything that it changes is listed in docs/CAPABILITIES.md. */
enum vlapic_vendor { VLAPIC_VENDOR_INTEL = 0, VLAPIC_VENDOR_AMD = 1 };

/** What to do with ICR combinations that the manuals call invalid but some hypervisors deliver (NMI, SMI, INIT, SIPI and
 *  lowest priority with the shorthands self and all-including-self). */
enum vlapic_icr_policy { VLAPIC_ICR_PERMISSIVE = 0, VLAPIC_ICR_STRICT = 1 };

/** What to do about periods of a periodic timer that passed while nobody looked. At most one interrupt is pending in any case,
 *  since IRR has one bit for it. */
enum vlapic_catch_up {
    VLAPIC_CATCH_UP_COALESCE = 0, /**< one interrupt now, then on along the original grid */
    VLAPIC_CATCH_UP_REBASE = 1    /**< one interrupt now, the next one a full period from now */
};

/** Settings of a VM: all vCPUs share them. Fill with vlapic_vm_config_defaults(), then change. */
struct vlapic_vm_config {
    uint32_t size; /**< sizeof(struct vlapic_vm_config) */
    uint32_t abi;  /**< VLAPIC_CONFIG_ABI */

    const struct vlapic_host_ops *host;   /**< copied; no default */
    const struct vlapic_backend *backend; /**< must outlive the VM; no default: the library does not pull one in */
    const void
        *backend_config; /**< the backend's own settings, see its header; used during creation only; NULL for soft */
    void *cookie;        /**< first argument of the callbacks that take a VM cookie */

    uint32_t max_apic_id; /**< largest x2APIC ID that will ever exist, up to VLAPIC_APIC_ID_LIMIT; default 254 */
    uint32_t phys_bits;   /**< guest physical-address width, 32..52; default 52 */
    uint64_t timer_hz;    /**< input clock of the timer before division, 1 Hz to 4 GHz; default 1 GHz */
    uint64_t
        timer_floor_ns; /**< the host timer is not armed for earlier than this from now; 0 for no floor; what the guest sees
                                  in CCR is not affected; default 0 */

    enum vlapic_vendor vendor;         /**< default as asked of vlapic_vm_config_defaults() */
    enum vlapic_icr_policy icr_policy; /**< default VLAPIC_ICR_PERMISSIVE */
    enum vlapic_catch_up catch_up;     /**< default VLAPIC_CATCH_UP_COALESCE */

    uint8_t version;       /**< version register bits 7:0; default 14h */
    uint8_t max_lvt;       /**< version register bits 23:16: 5, or 6 with LVT CMCI; default 5 */
    uint8_t ext_lvt_count; /**< AMD extended LVT entries, 0..8; used only with ext_space; default 4 */
    uint8_t ext_features;  /**< VLAPIC_EXT_* capability bits of 400h; used only with ext_space; default all three */
    bool ext_space;        /**< AMD extended APIC space and version bit 31; default false */
    bool
        eoi_suppression; /**< version bit 24: SVR bit 12 works. Set it only if every I/O APIC has an EOI register; default false */
    /* The host's CPUID must show the same as the next two: mask it with vlapic_vm_get_config(). */
    bool x2apic;       /**< CPUID.01h:ECX[21]; default true */
    bool tsc_deadline; /**< CPUID.01h:ECX[24]; show the hypervisor bit (ECX[31]) with it, or guests distrust it on some
                                models; default false */
    bool svr_bit9_faults;  /**< x2APIC: SVR bit 9 is reserved (#GP) instead of storage; default false */
    bool lowest_in_x2apic; /**< Intel, x2APIC: lowest-priority IPIs are delivered instead of ESR bit 4; default false */
    bool
        msi_ff_not_broadcast; /**< an external 8-bit destination FFh does not reach x2APIC-mode CPUs as a broadcast; default false */
    bool dest_alias; /**< destinations above FFh are compared by their low 8 bits with xAPIC-mode CPUs; default false */
    bool id_writable; /**< the xAPIC ID register can be written; default false */
    bool
        narrow_write_merge; /**< MMIO writes of 1 and 2 bytes are merged into the register instead of dropped; default false */
    bool msi_ext_dest;  /**< MSI address bits 11:5 are destination bits 14:8; default false */
    bool msi_dest32;    /**< MSI address bits 63:40 are destination bits 31:8; default false */
    bool base_fixed;    /**< WRMSR that moves the xAPIC window is #GP; default false */
    bool x2apic_locked; /**< leaving x2APIC mode is #GP (IA32_XAPIC_DISABLE_STATUS[0]); default false */
    /** A promise of the embedder, for every call by which an interrupt may be posted: what its handler shall find was visible to all
     *  processors before the call began, and was not merely on its way (a locked operation or a full fence came after the last such
     *  store; or another agent stored it, as a device by DMA, and let it be seen before it asked for the interrupt). Guests' IPIs are
     *  such calls too. Then a post of a vector that is pending already is a plain load, without the fence that the library
     *  otherwise makes; if the promise is broken, handlers miss data. docs/CONCURRENCY.md, section 1; default false */
    bool posts_ordered;
};

/** Memory that an object wants. */
struct vlapic_layout {
    size_t bytes;     /**< size of the block */
    size_t alignment; /**< of the block's address, a power of two */
    uint32_t pages;   /**< 4-KiB pages besides, zeroed and pinned; 0 with the soft backend */
};

/** A message as the interrupt bus carries it, from an I/O APIC, an MSI that is already decoded, or an interrupt-remapping unit. */
struct vlapic_message {
    uint32_t destination;          /**< APIC ID or logical destination */
    enum vlapic_delivery delivery; /**< SIPI and RESERVED are dropped */
    uint8_t vector;
    bool logical;          /**< destination mode: logical instead of physical */
    bool level;            /**< trigger mode: level instead of edge */
    bool deassert;         /**< a level message that withdraws: dropped */
    bool redirection_hint; /**< deliver to one of the addressed CPUs, whatever the delivery mode */
};

/**
 * Fills a configuration with the defaults.
 * \param config  the structure to fill
 * \param size    sizeof(struct vlapic_vm_config) as the caller compiled it
 * \param vendor  whose behaviour
 * \return VLAPIC_OK; VLAPIC_INVALID for NULL or an unknown vendor; VLAPIC_BAD_ABI for an unknown size
 * \ctx_setup
 * \manual{Library}
 */
enum vlapic_status vlapic_vm_config_defaults(struct vlapic_vm_config *config, size_t size, enum vlapic_vendor vendor);

/**
 * Tells the memory that a VM with this configuration needs. It grows with max_apic_id (about 8.2 bytes an ID).
 * \param config  a complete configuration
 * \param layout  receives the sizes
 * \return VLAPIC_OK, or what is wrong with the configuration (VLAPIC_INVALID, VLAPIC_BAD_ABI)
 * \ctx_setup
 * \manual{Library}
 */
enum vlapic_status vlapic_vm_layout(const struct vlapic_vm_config *config, struct vlapic_layout *layout);

/**
 * Makes a VM in memory of the caller's. The configuration is copied.
 * \param memory  block of at least layout.bytes, aligned; need not be zeroed; freed by the caller when the VM is no longer used
 * \param bytes   its size
 * \param config  a complete configuration
 * \param vm      receives the object, which lies in \p memory
 * \return VLAPIC_OK, VLAPIC_INVALID, VLAPIC_BAD_ABI, VLAPIC_TOO_SMALL, VLAPIC_MISALIGNED, or what the backend's vm_init says
 * \ctx_setup
 * \manual{Library}
 */
enum vlapic_status vlapic_vm_create(void *memory, size_t bytes, const struct vlapic_vm_config *config,
                                    struct vlapic_vm **vm);

/**
 * The configuration in force.
 * \param vm  the VM
 * \return the library's copy; valid as long as the VM
 * \ctx_any
 * \manual{Library}
 */
const struct vlapic_vm_config *vlapic_vm_get_config(const struct vlapic_vm *vm);

/**
 * Finds a vCPU.
 * \param vm       the VM
 * \param apic_id  32-bit hardware (x2APIC) ID, any value
 * \return the attached vCPU with that ID, or NULL
 * \ctx_any
 * \manual{Intel SDM 3A, "Local xAPIC ID" and "x2APIC State Transitions"}
 */
struct vlapic_cpu *vlapic_vm_find(const struct vlapic_vm *vm, uint32_t apic_id);

/**
 * A memory write that may be a message-signalled interrupt. Address bit 2 selects physical or logical destinations whether or not the
 * redirection hint (bit 3) is set. Data bits 13:11 and 31:16 and address bits 1:0 and 4 are ignored; the vector is data bits 7:0.
 * \param vm        the VM
 * \param address   64-bit bus address
 * \param data      the 32 bits written
 * \param accepted  NULL, or receives the number of APICs that accepted (merging into a pending vector counts);
 *                  untouched if not ours
 * \return VLAPIC_ACCESS_NOT_MINE if address bits 31:20 are not FEEh, else VLAPIC_ACCESS_DONE
 * \ctx_any
 * \manual{Intel SDM 3A, "Message Address Register Format" and "Message Data Register Format"}
 */
enum vlapic_access vlapic_vm_msi(struct vlapic_vm *vm, uint64_t address, uint32_t data, uint32_t *accepted);

/**
 * Delivers a message that is already decoded. Calls kick for the targets that need it. A vCPU whose APIC is disabled
 * (IA32_APIC_BASE.EN = 0) accepts nothing: INIT, SIPI, NMI and SMI to it are dropped as well.
 * \param vm       the VM
 * \param message  the message
 * \return the number of APICs that accepted it
 * \ctx_any
 * \manual{Intel SDM 3A, "Interrupt Destination" and "Interrupt Acceptance for Fixed Interrupts"}
 */
uint32_t vlapic_vm_deliver(struct vlapic_vm *vm, const struct vlapic_message *message);

/**
 * An event on the same LVT entry of all vCPUs, such as a machine check's CMCI. See vlapic_cpu_lvt_event().
 * \param vm     the VM
 * \param entry  thermal, performance counter, CMCI or an extended entry; others are ignored
 * \ctx_any
 * \manual{Intel SDM 3A, "Local Vector Table"}
 */
void vlapic_vm_lvt_event(struct vlapic_vm *vm, enum vlapic_lvt entry);

VLAPIC_END_DECLS

#endif
