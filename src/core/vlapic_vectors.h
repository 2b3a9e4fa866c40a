/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Single vectors in IRR and ISR, and what is derived from them. Inline, because the hot paths (accept, EOI, self-IPI) consist of
 * little else. Whoever changes a bit calls the update of what follows from it, and tells the backend when all is in place.
 */
#ifndef VLAPIC_VECTORS_H
#define VLAPIC_VECTORS_H

#include "vlapic_model.h"

/* IRR, where hardware sets bits of it at any time. Other registers are the owner's. */
static inline bool vlapic_is_shared(const struct vlapic_cpu *cpu, uint32_t base)
{
    return base == VLAPIC_REG_IRR && vlapic_unlikely(cpu->irr_is_shared);
}

static inline void vlapic_set_bit(struct vlapic_cpu *cpu, uint32_t base, uint32_t *words, uint32_t vector)
{
    uint32_t *word = vlapic_word_at(cpu, base, vector);
    uint32_t bit = 1u << (vector & 31);

    if (vlapic_is_shared(cpu, base)) {
        vlapic_fetch_or(word, bit);
    } else {
        *word |= bit;
    }
    *words |= 1u << (vector >> 5);
}

static inline void vlapic_clear_bit(struct vlapic_cpu *cpu, uint32_t base, uint32_t *words, uint32_t vector)
{
    uint32_t *word = vlapic_word_at(cpu, base, vector);
    uint32_t bit = 1u << (vector & 31);
    bool is_empty;

    if (vlapic_is_shared(cpu, base)) {
        is_empty = (vlapic_fetch_and(word, ~bit) & ~bit) == 0;
    } else {
        *word &= ~bit;
        is_empty = *word == 0;
    }
    if (is_empty) {
        *words &= ~(1u << (vector >> 5));
    }
}

/* Highest vector that counts for the priority, 0 for none: vectors below 16 are never stored. */
static inline uint32_t vlapic_highest(const struct vlapic_cpu *cpu, uint32_t base, uint32_t words)
{
    uint32_t w;

    if (words == 0) {
        return 0;
    }
    if (vlapic_unlikely(cpu->ier_masks)) {
        return vlapic_core_highest_unmasked(cpu, base);
    }
    w = vlapic_top_bit(words);
    return w * 32 + vlapic_top_bit(vlapic_get_word(cpu, base, w));
}

static inline void vlapic_update_pending(struct vlapic_cpu *cpu)
{
    cpu->pending = vlapic_highest(cpu, VLAPIC_REG_IRR, cpu->irr_words);
}

/* The greater of TPR and the class in service. So the low nibble of a tie is TPR's, as the VMX PPR virtualization has it. */
static inline uint32_t vlapic_ppr(const struct vlapic_cpu *cpu, uint32_t tpr)
{
    uint32_t class_in_service = cpu->in_service & 0xF0u;

    return tpr > class_in_service ? tpr : class_in_service;
}

static inline void vlapic_update_ppr(struct vlapic_cpu *cpu, uint32_t tpr)
{
    vlapic_put(cpu, VLAPIC_REG_PPR, vlapic_ppr(cpu, tpr));
}

static inline void vlapic_update_in_service(struct vlapic_cpu *cpu)
{
    cpu->in_service = vlapic_highest(cpu, VLAPIC_REG_ISR, cpu->isr_words);
    vlapic_update_ppr(cpu, vlapic_get(cpu, VLAPIC_REG_TPR));
}

#endif
