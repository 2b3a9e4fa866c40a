/* SPDX-License-Identifier: BSD-2-Clause */
/* A device's interrupt, posted by the IOMMU. Reference 9 and 16.8. */
#include "svmhw_internal.h"

#define IRTE_VALID (UINT64_C(1) << 0)
#define IRTE_GA_LOG (UINT64_C(1) << 2)
#define IRTE_RUNNING (UINT64_C(1) << 6)
#define IRTE_GUEST_MODE (UINT64_C(1) << 7)

enum svmhw_posted svmhw_iommu_post(const struct svmhw_machine *machine, uint64_t irte_low, uint64_t irte_high)
{
    uint32_t destination = (uint32_t)(irte_low >> 8 & 0xFFFFFF) | (uint32_t)(irte_high >> 56) << 24;
    unsigned vector = irte_high & 0xFF;
    uint8_t *page;

    if (!(irte_low & IRTE_VALID) || !(irte_low & IRTE_GUEST_MODE)) {
        return SVMHW_NOT_POSTED;
    }
    page = svmhw_memory(machine, irte_high & SVMHW_ENTRY_PAGE, SVMHW_PAGE_BYTES);
    if (!page) {
        return SVMHW_NOT_POSTED;
    }
    svmhw_vector_set(page, SVMHW_REG_IRR, vector);
    if (irte_low & IRTE_RUNNING) {
        svmhw_doorbell_send(machine, NULL, destination);
    } else if ((irte_low & IRTE_GA_LOG) && machine->callbacks.ga_log) {
        machine->callbacks.ga_log(machine->context, (uint32_t)(irte_low >> 32));
    }
    return SVMHW_POSTED;
}
