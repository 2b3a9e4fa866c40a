/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * IRR, ISR, TMR and the priorities. Intel SDM 3A, "Interrupt, Task, and Processor Priority" and "Interrupt Acceptance for
 * Fixed Interrupts". What is derived (summaries, highest vectors, PPR) is computed here and in vlapic_vectors.h alone.
 */
#include "vlapic_model.h"
#include "vlapic_vectors.h"

#define FIRST_LEGAL_VECTOR 16

/* Highest vector of IRR or ISR whose IER bit is one, 0 for none. */
uint32_t vlapic_core_highest_unmasked(const struct vlapic_cpu *cpu, uint32_t base)
{
    for (uint32_t w = 8; w-- > 0;) {
        uint32_t word = vlapic_get_word(cpu, base, w) & vlapic_get(cpu, VLAPIC_REG_IER + (w << 4));

        if (word != 0) {
            return w * 32 + vlapic_top_bit(word);
        }
    }
    return 0;
}

/* Bit w: word w of a 256-bit register is not `empty`. */
static uint32_t words_other_than(const struct vlapic_cpu *cpu, uint32_t base, uint32_t empty)
{
    uint32_t words = 0;

    for (uint32_t w = 0; w < 8; w++) {
        words |= (uint32_t)(vlapic_get_word(cpu, base, w) != empty) << w;
    }
    return words;
}

void vlapic_core_page_changed(struct vlapic_cpu *cpu)
{
    cpu->irr_words = words_other_than(cpu, VLAPIC_REG_IRR, 0);
    cpu->isr_words = words_other_than(cpu, VLAPIC_REG_ISR, 0);
    cpu->ier_masks = words_other_than(cpu, VLAPIC_REG_IER, UINT32_MAX) != 0;
    vlapic_update_pending(cpu);
    vlapic_update_in_service(cpu);
}

void vlapic_core_derive(struct vlapic_cpu *cpu)
{
    vlapic_core_page_changed(cpu);
    vlapic_tell_backend(cpu, VLAPIC_CHANGE_ISR);
}

#ifdef VLAPIC_DEBUG
void vlapic_core_check_derived(const struct vlapic_cpu *cpu)
{
    if (!cpu->irr_is_shared) {
        VLAPIC_CHECK(cpu->irr_words == words_other_than(cpu, VLAPIC_REG_IRR, 0));
        VLAPIC_CHECK(cpu->pending == vlapic_highest(cpu, VLAPIC_REG_IRR, cpu->irr_words));
    }
    VLAPIC_CHECK(cpu->isr_words == words_other_than(cpu, VLAPIC_REG_ISR, 0));
    VLAPIC_CHECK(cpu->ier_masks == (words_other_than(cpu, VLAPIC_REG_IER, UINT32_MAX) != 0));
    VLAPIC_CHECK(cpu->in_service == vlapic_highest(cpu, VLAPIC_REG_ISR, cpu->isr_words));
    VLAPIC_CHECK(vlapic_get(cpu, VLAPIC_REG_PPR) == vlapic_ppr(cpu, vlapic_get(cpu, VLAPIC_REG_TPR)));
}
#endif

void vlapic_core_write_tpr(struct vlapic_cpu *cpu, uint32_t offset, uint32_t value)
{
    vlapic_put(cpu, offset, value);
    vlapic_update_ppr(cpu, value);
    vlapic_tell_backend(cpu, VLAPIC_CHANGE_TPR);
}

/* TMR is rewritten at each acceptance, also when the request merges with a pending one. */
static inline void request(struct vlapic_cpu *cpu, uint8_t vector, bool level)
{
    bool changed = vlapic_test_vector(cpu, VLAPIC_REG_TMR, vector) != level;

    vlapic_set_bit(cpu, VLAPIC_REG_IRR, &cpu->irr_words, vector);
    vlapic_update_pending(cpu);
    if (vlapic_unlikely(changed)) {
        *vlapic_word_at(cpu, VLAPIC_REG_TMR, vector) ^= 1u << (vector & 31);
        vlapic_tell_backend(cpu, VLAPIC_CHANGE_TMR);
    }
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

/* True if TMR has changed. */
static inline bool merge_word(struct vlapic_cpu *cpu, uint32_t w, uint32_t posted, uint32_t level)
{
    uint32_t *tmr = &cpu->regs[VLAPIC_REG_TMR / 4 + w * 4];
    uint32_t changed = (*tmr ^ level) & posted;

    if (posted == 0) {
        return false;
    }
    if (vlapic_unlikely(cpu->irr_is_shared)) {
        vlapic_fetch_or(&cpu->regs[VLAPIC_REG_IRR / 4 + w * 4], posted);
    } else {
        cpu->regs[VLAPIC_REG_IRR / 4 + w * 4] |= posted;
    }
    cpu->irr_words |= 1u << w;
    *tmr ^= changed;
    return changed != 0;
}

void vlapic_core_merge(struct vlapic_cpu *cpu, uint32_t w, uint64_t posted, uint64_t level)
{
    bool changed = merge_word(cpu, 2 * w, (uint32_t)posted, (uint32_t)level);

    changed |= merge_word(cpu, 2 * w + 1, (uint32_t)(posted >> 32), (uint32_t)(level >> 32));
    vlapic_update_pending(cpu);
    if (vlapic_unlikely(changed)) {
        vlapic_tell_backend(cpu, VLAPIC_CHANGE_TMR);
    }
}

/* What is deliverable is above TPR and everything in service: it alone decides the priority then. */
static inline void accept(struct vlapic_cpu *cpu, uint32_t vector)
{
    vlapic_clear_bit(cpu, VLAPIC_REG_IRR, &cpu->irr_words, vector);
    vlapic_update_pending(cpu);
    vlapic_set_bit(cpu, VLAPIC_REG_ISR, &cpu->isr_words, vector);
    cpu->in_service = vector;
    vlapic_put(cpu, VLAPIC_REG_PPR, vector & 0xF0u);
    cpu->stats.accepts++;
    vlapic_tell_backend(cpu, VLAPIC_CHANGE_ISR);
}

/* Not the highest one: the embedder may know why. */
static vlapic_cold bool accept_lower(struct vlapic_cpu *cpu, uint32_t vector)
{
    bool hidden = cpu->ier_masks && !vlapic_test_vector(cpu, VLAPIC_REG_IER, vector);

    if (!vlapic_test_vector(cpu, VLAPIC_REG_IRR, vector) || hidden ||
        (vector & 0xF0u) <= (vlapic_get(cpu, VLAPIC_REG_PPR) & 0xF0u)) {
        return false;
    }
    accept(cpu, vector);
    return true;
}

bool vlapic_cpu_accept(struct vlapic_cpu *cpu, uint8_t vector)
{
    VLAPIC_ASSERT_OWNER(cpu);
    if (vlapic_unlikely(vector != cpu->pending)) {
        return accept_lower(cpu, vector);
    }
    if ((vector & 0xF0u) <= (vlapic_get(cpu, VLAPIC_REG_PPR) & 0xF0u)) {
        return false;
    }
    accept(cpu, vector);
    return true;
}

bool vlapic_cpu_unaccept(struct vlapic_cpu *cpu, uint8_t vector)
{
    VLAPIC_ASSERT_OWNER(cpu);
    if (!vlapic_test_vector(cpu, VLAPIC_REG_ISR, vector)) {
        return false;
    }
    vlapic_set_bit(cpu, VLAPIC_REG_IRR, &cpu->irr_words, vector);
    vlapic_update_pending(cpu);
    vlapic_clear_bit(cpu, VLAPIC_REG_ISR, &cpu->isr_words, vector);
    vlapic_update_in_service(cpu);
    vlapic_tell_backend(cpu, VLAPIC_CHANGE_ISR);
    cpu->stats.accepts--;
    return true;
}

bool vlapic_cpu_acknowledge(struct vlapic_cpu *cpu, uint8_t *vector)
{
    int16_t top;

    VLAPIC_ASSERT_OWNER(cpu);
    vlapic_settle(cpu);
    top = vlapic_deliverable(cpu);
    if (top < 0) {
        *vector = (uint8_t)vlapic_get(cpu, VLAPIC_REG_SVR);
        cpu->stats.spurious++;
        return false;
    }
    *vector = (uint8_t)top;
    return vlapic_cpu_accept(cpu, *vector);
}
