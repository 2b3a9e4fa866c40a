/* SPDX-License-Identifier: BSD-2-Clause */
/* Posted-interrupt processing. Reference 10; step 1 and 2 are the boundary's. */
#include "apicv_internal.h"

/* VIRR |= PIR, PIR := 0, 64 vectors at a time and nobody in between. Returns the highest vector that was posted, or -1. */
static int take_posted(struct apicv_cpu *cpu, uint64_t *pir)
{
    int highest = -1;

    for (int group = 0; group < 4; group++) {
        uint64_t posted = __atomic_exchange_n(&pir[group], 0, __ATOMIC_SEQ_CST);

        for (int bit = 0; bit < 64; bit++) {
            if (posted >> bit & 1) {
                highest = 64 * group + bit;
                apicv_page_set_vector(cpu, APICV_VIRR, (uint8_t)highest);
            }
        }
    }
    return highest;
}

void apicv_posted_interrupt_processing(struct apicv_cpu *cpu)
{
    uint8_t *descriptor = apicv_memory(cpu, apicv_get(cpu, APICV_DESCRIPTOR_ADDRESS), APICV_DESCRIPTOR_BYTES);
    uint64_t *control = (uint64_t *)(void *)(descriptor + APICV_DESCRIPTOR_CONTROL);
    int highest;

    (void)__atomic_fetch_and(control, ~APICV_DESCRIPTOR_ON, __ATOMIC_SEQ_CST); /* 3 */
    cpu->physical_eois++;                                                      /* 4 */
    highest = take_posted(cpu, (uint64_t *)(void *)descriptor);                /* 5 */
    if (highest > cpu->rvi) {                                                  /* 6 */
        cpu->rvi = (uint8_t)highest;
    }
    apicv_emit(cpu, APICV_TRACE_POSTED, cpu->rvi, 0);
    apicv_evaluate(cpu); /* 7 */
}
