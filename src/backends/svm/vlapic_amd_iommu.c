/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Interrupt posting by an IOMMU, as functions on values: the table is the embedder's. AMD I/O Virtualization Technology (IOMMU)
 * Specification, "Interrupt Remapping Table Entry", GuestMode = 1.
 */
#include <vlapic/amd_iommu.h>

#define IRTE_VALID (1ull << 0)
#define IRTE_SUPPRESS (1ull << 1)
#define IRTE_GA_LOG (1ull << 2)
#define IRTE_IS_RUN (1ull << 6)
#define IRTE_GUEST_MODE (1ull << 7)
#define IRTE_DESTINATION_LOW (0xFFFFFFull << 8)
#define IRTE_DESTINATION_HIGH (0xFFull << 56)
#define IRTE_TAG_SHIFT 32
#define PAGE_BITS (((1ull << 52) - 1) & ~0xFFFull)

enum vlapic_status vlapic_amd_irte_post(const struct vlapic_amd_irte *remapped, uint64_t backing_page, uint8_t vector,
                                        uint32_t ga_tag, struct vlapic_amd_irte *posted)
{
    if (remapped == NULL || posted == NULL || vector < 16) {
        return VLAPIC_INVALID;
    }
    if ((backing_page & ~PAGE_BITS) != 0) {
        return VLAPIC_MISALIGNED;
    }
    posted->low = (remapped->low & (IRTE_VALID | IRTE_SUPPRESS)) | IRTE_GUEST_MODE | (uint64_t)ga_tag << IRTE_TAG_SHIFT;
    posted->high = backing_page | vector;
    return VLAPIC_OK;
}

struct vlapic_amd_irte vlapic_amd_irte_set_running(struct vlapic_amd_irte entry, bool is_running, uint32_t apic_id,
                                                   bool log)
{
    if ((entry.low & IRTE_GUEST_MODE) == 0) {
        return entry;
    }
    entry.low &= ~(IRTE_IS_RUN | IRTE_GA_LOG | IRTE_DESTINATION_LOW);
    entry.high &= ~IRTE_DESTINATION_HIGH;
    entry.low |= (is_running ? IRTE_IS_RUN : 0) | (log ? IRTE_GA_LOG : 0) | (uint64_t)(apic_id & 0xFFFFFFu) << 8;
    entry.high |= (uint64_t)(apic_id >> 24) << 56;
    return entry;
}
