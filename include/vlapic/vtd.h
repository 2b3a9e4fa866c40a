/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * \file
 * Interrupt posting by a VT-d IOMMU, as functions on values: reading and writing its tables is the embedder's.
 */
#ifndef VLAPIC_VTD_H
#define VLAPIC_VTD_H

#include "platform.h"
#include "status.h"

VLAPIC_BEGIN_DECLS

/** An interrupt-remapping table entry of VT-d. */
struct vlapic_vtd_irte {
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
enum vlapic_status vlapic_vtd_irte_post(const struct vlapic_vtd_irte *remapped, uint64_t descriptor, uint8_t vector,
                                        bool urgent, struct vlapic_vtd_irte *posted);

/**
 * Reads a posted entry.
 * \param entry       the entry
 * \param descriptor  receives the address of the descriptor
 * \param vector      receives the guest's vector
 * \return true if the entry is present and posted; else nothing is received
 * \ctx_any
 * \manual{VT-d specification, "Interrupt Remapping Table Entry (IRTE) for Posted Interrupts"}
 */
bool vlapic_vtd_irte_is_posted(const struct vlapic_vtd_irte *entry, uint64_t *descriptor, uint8_t *vector);

VLAPIC_END_DECLS

#endif
