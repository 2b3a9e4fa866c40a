/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * INIT and SIPI without a model behind them. Intel SDM 3A, "MP Initialization Protocol Algorithm for MP Systems". What an INIT does to a
 * SIPI, and a SIPI to another, is the core's rule: vlapic_latch.h.
 */
#include <vlapic/startup.h>

#include "../core/vlapic_latch.h"

/* The word: the core's two latches, two bits of our own, and the page, for which the core's word has a place above 32 bits. */
#define LATCHES ((uint32_t)(VLAPIC_WORK_INIT | VLAPIC_WORK_SIPI))
#define WAITS (1u << 16)
#define BSP (1u << 17)
#define PAGE_SHIFT 24

void vlapic_startup_reset(struct vlapic_startup *startup, bool bsp, bool waits)
{
    vlapic_store_seq(&startup->word, (bsp ? BSP : 0) | (waits ? WAITS : 0));
}

static uint32_t latch(uint32_t word, enum vlapic_delivery delivery, uint8_t vector)
{
    uint64_t work = (word & LATCHES) | (uint64_t)(word >> PAGE_SHIFT) << VLAPIC_WORK_SIPI_SHIFT;

    work = vlapic_latch(work, (uint8_t)delivery, vector);
    return (word & (WAITS | BSP)) | ((uint32_t)work & LATCHES) |
           (uint32_t)(work >> VLAPIC_WORK_SIPI_SHIFT) << PAGE_SHIFT;
}

/* It waits for one, or will as soon as it has taken its INIT. */
static bool takes_sipi(uint32_t word)
{
    if ((word & (uint32_t)VLAPIC_WORK_INIT) != 0) {
        return (word & BSP) == 0;
    }
    return (word & WAITS) != 0;
}

static uint32_t with_message(uint32_t word, enum vlapic_delivery delivery, uint8_t vector)
{
    bool is_news = delivery == VLAPIC_DELIVERY_INIT || (delivery == VLAPIC_DELIVERY_SIPI && takes_sipi(word));

    return is_news ? latch(word, delivery, vector) : word;
}

bool vlapic_startup_post(struct vlapic_startup *startup, enum vlapic_delivery delivery, uint8_t vector)
{
    uint32_t old = vlapic_load_relaxed(&startup->word);
    uint32_t updated;

    do {
        updated = with_message(old, delivery, vector);
    } while (!vlapic_compare_swap(&startup->word, &old, updated));
    return updated != old;
}

/* What is left when the duty is taken. A SIPI that is latched beside an INIT came after it. */
static enum vlapic_startup_duty next(uint32_t word, uint32_t *left)
{
    *left = word;
    if ((word & (uint32_t)VLAPIC_WORK_INIT) != 0) {
        *left &= ~((uint32_t)VLAPIC_WORK_INIT | WAITS);
        *left |= (word & BSP) == 0 ? WAITS : 0;
        return VLAPIC_STARTUP_INIT;
    }
    if ((word & (uint32_t)VLAPIC_WORK_SIPI) != 0) {
        *left = word & BSP;
        return VLAPIC_STARTUP_SIPI;
    }
    return (word & WAITS) != 0 ? VLAPIC_STARTUP_WAIT : VLAPIC_STARTUP_RUN;
}

enum vlapic_startup_duty vlapic_startup_take(struct vlapic_startup *startup, uint8_t *vector)
{
    uint32_t old = vlapic_load_relaxed(&startup->word);
    enum vlapic_startup_duty duty;
    uint32_t left;

    do {
        duty = next(old, &left);
    } while (!vlapic_compare_swap(&startup->word, &old, left));
    if (duty == VLAPIC_STARTUP_SIPI) {
        *vector = (uint8_t)(old >> PAGE_SHIFT);
    }
    return duty;
}
