/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * IRR, ISR, TMR and the priorities. Intel SDM 3A, "Interrupt, Task, and Processor Priority" and "Interrupt Acceptance for
 * Fixed Interrupts". What is derived (summaries, highest vectors, PPR) is computed in this file alone.
 */
#include "vlapic_model.h"

#define FIRST_LEGAL_VECTOR 16

/* Highest vector of IRR or ISR whose IER bit is one, -1 for none. */
static int16_t highest_unmasked(const struct vlapic_cpu *cpu, uint32_t base)
{
    for (uint32_t w = 8; w-- > 0;) {
        uint32_t word = vlapic_get(cpu, base + (w << 4)) & vlapic_get(cpu, VLAPIC_REG_IER + (w << 4));

        if (word != 0) {
            return (int16_t)(w * 32 + vlapic_top_bit(word));
        }
    }
    return -1;
}

static int16_t highest(const struct vlapic_cpu *cpu, uint32_t base, uint8_t words)
{
    uint32_t w;

    if (words == 0) {
        return -1;
    }
    if (vlapic_unlikely(cpu->ier_masks)) {
        return highest_unmasked(cpu, base);
    }
    w = vlapic_top_bit(words);
    return (int16_t)(w * 32 + vlapic_top_bit(vlapic_get(cpu, base + (w << 4))));
}

/* The low nibble of a tie between TPR and ISR is TPR's, as the VMX PPR virtualization has it. */
static void update_ppr(struct vlapic_cpu *cpu)
{
    uint32_t tpr = vlapic_get(cpu, VLAPIC_REG_TPR);
    uint32_t in_service = cpu->in_service;

    vlapic_put(cpu, VLAPIC_REG_PPR, (tpr >> 4) >= (in_service >> 4) ? tpr : in_service & 0xF0u);
}

static void update_in_service(struct vlapic_cpu *cpu)
{
    int16_t top = highest(cpu, VLAPIC_REG_ISR, cpu->isr_words);

    cpu->in_service = top < 0 ? 0 : (uint8_t)top;
    update_ppr(cpu);
    vlapic_tell_backend(cpu, VLAPIC_CHANGE_ISR);
}

static void set_bit(struct vlapic_cpu *cpu, uint32_t base, uint8_t *words, uint8_t vector)
{
    uint32_t offset = vlapic_word_of(base, vector);

    vlapic_put(cpu, offset, vlapic_get(cpu, offset) | 1u << (vector & 31));
    *words = (uint8_t)(*words | 1u << (vector >> 5));
}

static void clear_bit(struct vlapic_cpu *cpu, uint32_t base, uint8_t *words, uint8_t vector)
{
    uint32_t offset = vlapic_word_of(base, vector);
    uint32_t word = vlapic_get(cpu, offset) & ~(1u << (vector & 31));

    vlapic_put(cpu, offset, word);
    if (word == 0) {
        *words = (uint8_t)(*words & ~(1u << (vector >> 5)));
    }
}

/* Bit w: word w of a 256-bit register is not `empty`. */
static uint8_t words_other_than(const struct vlapic_cpu *cpu, uint32_t base, uint32_t empty)
{
    uint32_t words = 0;

    for (uint32_t w = 0; w < 8; w++) {
        words |= (uint32_t)(vlapic_get(cpu, base + (w << 4)) != empty) << w;
    }
    return (uint8_t)words;
}

void vlapic_core_derive(struct vlapic_cpu *cpu)
{
    cpu->irr_words = words_other_than(cpu, VLAPIC_REG_IRR, 0);
    cpu->isr_words = words_other_than(cpu, VLAPIC_REG_ISR, 0);
    cpu->ier_masks = words_other_than(cpu, VLAPIC_REG_IER, UINT32_MAX) != 0;
    update_in_service(cpu);
}

#ifdef VLAPIC_DEBUG
void vlapic_core_check_derived(const struct vlapic_cpu *cpu)
{
    int16_t top = highest(cpu, VLAPIC_REG_ISR, cpu->isr_words);

    VLAPIC_CHECK(cpu->irr_words == words_other_than(cpu, VLAPIC_REG_IRR, 0));
    VLAPIC_CHECK(cpu->isr_words == words_other_than(cpu, VLAPIC_REG_ISR, 0));
    VLAPIC_CHECK(cpu->ier_masks == (words_other_than(cpu, VLAPIC_REG_IER, UINT32_MAX) != 0));
    VLAPIC_CHECK(cpu->in_service == (top < 0 ? 0 : top));
}
#endif

void vlapic_core_set_tpr(struct vlapic_cpu *cpu, uint32_t tpr)
{
    vlapic_put(cpu, VLAPIC_REG_TPR, tpr);
    update_ppr(cpu);
    vlapic_tell_backend(cpu, VLAPIC_CHANGE_TPR);
}

/* TMR is rewritten at each acceptance, also when the request merges with a pending one. */
static void request(struct vlapic_cpu *cpu, uint8_t vector, bool level)
{
    uint32_t offset = vlapic_word_of(VLAPIC_REG_TMR, vector);
    uint32_t old = vlapic_get(cpu, offset);
    uint32_t bit = 1u << (vector & 31);
    uint32_t tmr = level ? old | bit : old & ~bit;

    if (tmr != old) {
        vlapic_put(cpu, offset, tmr);
        vlapic_tell_backend(cpu, VLAPIC_CHANGE_TMR);
    }
    set_bit(cpu, VLAPIC_REG_IRR, &cpu->irr_words, vector);
}

void vlapic_core_accept_local(struct vlapic_cpu *cpu, uint8_t vector, bool level)
{
    if (!vlapic_is_enabled(cpu) || !vlapic_is_software_enabled(cpu)) {
        return;
    }
    if (vector < FIRST_LEGAL_VECTOR) {
        vlapic_core_error(cpu, VLAPIC_ESR_RECEIVE_ILLEGAL_VECTOR);
        return;
    }
    request(cpu, vector, level);
}

static void merge_word(struct vlapic_cpu *cpu, uint32_t w, uint32_t posted, uint32_t level)
{
    uint32_t tmr_offset = VLAPIC_REG_TMR + (w << 4);
    uint32_t irr_offset = VLAPIC_REG_IRR + (w << 4);
    uint32_t tmr = vlapic_get(cpu, tmr_offset);
    uint32_t updated = (tmr & ~posted) | (level & posted);

    if (posted == 0) {
        return;
    }
    if (updated != tmr) {
        vlapic_put(cpu, tmr_offset, updated);
        vlapic_tell_backend(cpu, VLAPIC_CHANGE_TMR);
    }
    vlapic_put(cpu, irr_offset, vlapic_get(cpu, irr_offset) | posted);
    cpu->irr_words = (uint8_t)(cpu->irr_words | 1u << w);
}

void vlapic_core_merge(struct vlapic_cpu *cpu, const struct vlapic_vectors *posted, const struct vlapic_vectors *level)
{
    for (uint32_t w = 0; w < 4; w++) {
        merge_word(cpu, 2 * w, (uint32_t)posted->word[w], (uint32_t)level->word[w]);
        merge_word(cpu, 2 * w + 1, (uint32_t)(posted->word[w] >> 32), (uint32_t)(level->word[w] >> 32));
    }
}

void vlapic_core_clear_in_service(struct vlapic_cpu *cpu, uint8_t vector)
{
    clear_bit(cpu, VLAPIC_REG_ISR, &cpu->isr_words, vector);
    update_in_service(cpu);
}

int16_t vlapic_core_deliverable(const struct vlapic_cpu *cpu)
{
    int16_t vector = highest(cpu, VLAPIC_REG_IRR, cpu->irr_words);

    /* Equal class is blocked; -1 >> 4 is -1. */
    return (vector >> 4) > (int32_t)(vlapic_get(cpu, VLAPIC_REG_PPR) >> 4) ? vector : (int16_t)-1;
}

bool vlapic_cpu_accept(struct vlapic_cpu *cpu, uint8_t vector)
{
    VLAPIC_ASSERT_OWNER(cpu);
    if (!vlapic_test_vector(cpu, VLAPIC_REG_IRR, vector) || (vector >> 4) <= (vlapic_get(cpu, VLAPIC_REG_PPR) >> 4) ||
        (cpu->ier_masks && !vlapic_test_vector(cpu, VLAPIC_REG_IER, vector))) {
        return false;
    }
    clear_bit(cpu, VLAPIC_REG_IRR, &cpu->irr_words, vector);
    set_bit(cpu, VLAPIC_REG_ISR, &cpu->isr_words, vector);
    update_in_service(cpu);
    cpu->stats.accepts++;
    return true;
}

bool vlapic_cpu_unaccept(struct vlapic_cpu *cpu, uint8_t vector)
{
    VLAPIC_ASSERT_OWNER(cpu);
    if (!vlapic_test_vector(cpu, VLAPIC_REG_ISR, vector)) {
        return false;
    }
    set_bit(cpu, VLAPIC_REG_IRR, &cpu->irr_words, vector);
    vlapic_core_clear_in_service(cpu, vector);
    cpu->stats.accepts--;
    return true;
}

bool vlapic_cpu_acknowledge(struct vlapic_cpu *cpu, uint8_t *vector)
{
    int16_t top;

    VLAPIC_ASSERT_OWNER(cpu);
    vlapic_settle(cpu);
    top = vlapic_core_deliverable(cpu);
    if (top < 0) {
        *vector = (uint8_t)vlapic_get(cpu, VLAPIC_REG_SVR);
        cpu->stats.spurious++;
        return false;
    }
    *vector = (uint8_t)top;
    return vlapic_cpu_accept(cpu, *vector);
}
