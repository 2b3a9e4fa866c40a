/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * \file
 * Interrupt posting by an AMD IOMMU in guest virtual APIC mode, as functions on values: reading and writing its tables is the embedder's.
 */
#ifndef VLAPIC_AMD_IOMMU_H
#define VLAPIC_AMD_IOMMU_H

#include "platform.h"
#include "status.h"

VLAPIC_BEGIN_DECLS

/** A 128-bit entry of an interrupt remapping table. */
struct vlapic_amd_irte {
    uint64_t low;
    uint64_t high;
};

/**
 * Makes an entry one in guest mode: the device's interrupts set IRR bits of a vCPU. Valid and fault-suppress bits stay. The vCPU does not
 * run as yet. Only a Fixed, edge-triggered interrupt with one destination may be posted.
 * \param remapped      the entry as it is
 * \param backing_page  host physical address of the vCPU's register page, its first page
 * \param vector        the guest's vector, 16..255
 * \param ga_tag        what the GA log tells when the interrupt comes for a vCPU that does not run
 * \param posted        receives the entry; may be \p remapped
 * \return VLAPIC_OK; VLAPIC_INVALID for a vector below 16 or NULL; VLAPIC_MISALIGNED for a page that is none
 * \ctx_any
 * \manual{AMD I/O Virtualization Technology (IOMMU) Specification, "Guest Virtual APIC Table"}
 */
enum vlapic_status vlapic_amd_irte_post(const struct vlapic_amd_irte *remapped, uint64_t backing_page, uint8_t vector,
                                        uint32_t ga_tag, struct vlapic_amd_irte *posted);

/**
 * What vlapic_svm_ops.running asks for: where the vCPU of an entry in guest mode runs, or that an interrupt for it goes to the GA log.
 * \param entry       the entry
 * \param is_running  IsRun
 * \param apic_id     physical APIC ID of the CPU that it runs on
 * \param log         GALogIntr: tell by the GA log when it does not run
 * \return the entry to be written; \p entry itself if it is not in guest mode
 * \ctx_any
 * \manual{AMD I/O Virtualization Technology (IOMMU) Specification, "Guest Virtual APIC Table"}
 */
struct vlapic_amd_irte vlapic_amd_irte_set_running(struct vlapic_amd_irte entry, bool is_running, uint32_t apic_id,
                                                   bool log);

VLAPIC_END_DECLS

#endif
