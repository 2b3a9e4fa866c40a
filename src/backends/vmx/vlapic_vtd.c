/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Interrupt posting by an IOMMU, as functions on values: the table is the embedder's. VT-d specification, "Interrupt Remapping Table Entry
 * (IRTE) for Posted Interrupts".
 */
#include <vlapic/vtd.h>

#define IRTE_PRESENT (1ull << 0)
#define IRTE_FAULT_DISABLE (1ull << 1)
#define IRTE_AVAILABLE (0xFull << 8)
#define IRTE_URGENT (1ull << 14)
#define IRTE_POSTED (1ull << 15)
#define IRTE_VECTOR_SHIFT 16
#define IRTE_ADDRESS_LOW_SHIFT 38 /* bits 31:6 of the descriptor's address */
#define IRTE_ADDRESS_HIGH_SHIFT 32
#define IRTE_SOURCE 0xFFFFFull /* SID, SQ and SVT, bits 83:64 of the entry */

enum vlapic_status vlapic_vtd_irte_post(const struct vlapic_vtd_irte *remapped, uint64_t descriptor, uint8_t vector,
                                        bool urgent, struct vlapic_vtd_irte *posted)
{
    uint64_t kept, source;

    if (remapped == NULL || posted == NULL || vector < 16) {
        return VLAPIC_INVALID;
    }
    if ((descriptor & 63) != 0) {
        return VLAPIC_MISALIGNED;
    }
    kept = remapped->low & (IRTE_PRESENT | IRTE_FAULT_DISABLE | IRTE_AVAILABLE);
    source = remapped->high & IRTE_SOURCE;
    posted->low = kept | IRTE_POSTED | (urgent ? IRTE_URGENT : 0) | (uint64_t)vector << IRTE_VECTOR_SHIFT |
                  ((descriptor & 0xFFFFFFFFull) >> 6) << IRTE_ADDRESS_LOW_SHIFT;
    posted->high = source | descriptor >> 32 << IRTE_ADDRESS_HIGH_SHIFT;
    return VLAPIC_OK;
}

bool vlapic_vtd_irte_is_posted(const struct vlapic_vtd_irte *entry, uint64_t *descriptor, uint8_t *vector)
{
    if ((entry->low & (IRTE_PRESENT | IRTE_POSTED)) != (IRTE_PRESENT | IRTE_POSTED)) {
        return false;
    }
    *descriptor = entry->high >> IRTE_ADDRESS_HIGH_SHIFT << 32 | entry->low >> IRTE_ADDRESS_LOW_SHIFT << 6;
    *vector = (uint8_t)(entry->low >> IRTE_VECTOR_SHIFT);
    return true;
}
