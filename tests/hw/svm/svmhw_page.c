/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Registers of a backing page. Reference 4.2. All accesses are atomic: other cores and the IOMMU write IRR of any page at any time.
 * Pages are little-endian memory of a little-endian machine.
 */
#include "svmhw_internal.h"

static uint32_t *slot(const uint8_t *page, uint32_t offset)
{
    return (uint32_t *)(uintptr_t)(page + offset);
}

static uint32_t *word_of(const uint8_t *page, uint32_t base, unsigned vector)
{
    return slot(page, base + 0x10 * (vector >> 5));
}

uint32_t svmhw_page_read(const uint8_t *page, uint32_t offset)
{
    return __atomic_load_n(slot(page, offset), __ATOMIC_SEQ_CST);
}

void svmhw_page_write(uint8_t *page, uint32_t offset, uint32_t value)
{
    __atomic_store_n(slot(page, offset), value, __ATOMIC_SEQ_CST);
}

bool svmhw_vector_test(const uint8_t *page, uint32_t base, unsigned vector)
{
    return __atomic_load_n(word_of(page, base, vector), __ATOMIC_SEQ_CST) >> (vector & 31) & 1;
}

void svmhw_vector_set(uint8_t *page, uint32_t base, unsigned vector)
{
    __atomic_fetch_or(word_of(page, base, vector), UINT32_C(1) << (vector & 31), __ATOMIC_SEQ_CST);
}

bool svmhw_vector_clear(uint8_t *page, uint32_t base, unsigned vector)
{
    uint32_t bit = UINT32_C(1) << (vector & 31);

    return __atomic_fetch_and(word_of(page, base, vector), ~bit, __ATOMIC_SEQ_CST) & bit;
}

unsigned svmhw_vector_top(const uint8_t *page, uint32_t base)
{
    for (unsigned vector = 256; vector-- > 0;) {
        if (svmhw_vector_test(page, base, vector)) {
            return vector;
        }
    }
    return SVMHW_NO_VECTOR;
}
