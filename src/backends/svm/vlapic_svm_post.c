/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Posting into IRR of the backing page, and the owner's side of it. AMD APM 2, "AVIC Backing Page", "Doorbell Mechanism". The
 * hand-overs are argued in docs/CONCURRENCY.md, section 7; the numbers in brackets are its steps.
 */
#include "vlapic_svm_internal.h"

static bool level_of(const struct svm_shared *shared, uint32_t vector)
{
    return (__atomic_load_n(&shared->level[vector / 64], __ATOMIC_SEQ_CST) >> (vector % 64) & 1) != 0;
}

static bool can_post(const struct svm_shared *shared, uint8_t vector, bool level)
{
    return __atomic_load_n(&shared->delivers, __ATOMIC_SEQ_CST) && level_of(shared, vector) == level;
}

/*
 * While AVIC delivers, a vector in the trigger mode that TMR has goes into IRR, and the doorbell makes hardware look. Whether that holds is looked
 * at again after the bit is set: if it changed meanwhile, the vector goes through the core's mailbox, too. [S3] pairs with [W1]: whoever does not see
 * there that AVIC is withdrawn has set the bit before the owner's last look.
 */
enum vlapic_post vlapic_svm_core_post(void *memory, uint8_t vector, bool level)
{
    struct svm_shared *shared = memory;
    uint32_t bit = 1u << (vector % 32);
    uint32_t old;

    if (!can_post(shared, vector, level)) { /* [S1] */
        return VLAPIC_POST_DECLINE;
    }
    /* [S2] */
    old = __atomic_fetch_or(&shared->page[VLAPIC_REG_IRR / 4 + vector / 32u * 4], bit, __ATOMIC_SEQ_CST);
    if (!can_post(shared, vector, level)) { /* [S3] */
        return VLAPIC_POST_DECLINE;
    }
    return (old & bit) != 0 ? VLAPIC_POST_NONE : VLAPIC_POST_NOTIFY;
}

/* [S4] A doorbell for a vCPU that has left is lost: VMRUN looks at IRR anyway, or the owner does. */
void vlapic_svm_core_notify(void *memory)
{
    struct svm_shared *shared = memory;

    shared->doorbell(shared->cookie, __atomic_load_n(&shared->host_id, __ATOMIC_SEQ_CST));
}

static bool has_unknown(const struct svm_shared *shared)
{
    uint32_t unknown = 0;

    for (uint32_t w = 0; w < 8; w++) {
        unknown |= svm_irr(shared, w) & ~shared->known[w];
    }
    return unknown != 0;
}

/* [E2] after [W1], [H2]: did hardware, or somebody who rang the bell, set a bit that the core has not seen? VMRUN with AVIC looks by itself. */
bool vlapic_svm_core_pending(const void *memory)
{
    const struct svm_shared *shared = memory;

    return shared->asks && has_unknown(shared);
}

static void remove(struct svm_shared *shared, uint32_t word, uint32_t bits)
{
    if (bits != 0) {
        __atomic_fetch_and(&shared->page[VLAPIC_REG_IRR / 4 + word * 4], ~bits, __ATOMIC_SEQ_CST);
    }
}

/*
 * [X1] An IOMMU, and a processor that had read the table before, set IRR also of an APIC that accepts nothing: what was not there when it stopped
 * was not accepted. Vectors below 16 never are.
 */
void vlapic_svm_core_know(struct svm_cpu *state)
{
    struct svm_shared *shared = state->shared;

    for (uint32_t w = 0; w < 8; w++) {
        uint32_t irr = svm_irr(shared, w);
        uint32_t legal = w == 0 ? irr & ~ILLEGAL_VECTORS : irr;
        uint32_t accepted = state->accepts ? legal : legal & shared->known[w];

        remove(shared, w, irr & ~accepted);
        shared->known[w] = accepted;
    }
}

void vlapic_svm_core_know_one(struct svm_cpu *state, uint8_t vector, bool pending)
{
    uint32_t bit = 1u << (vector % 32);
    uint32_t *known = &state->shared->known[vector / 32];

    *known = pending ? *known | bit : *known & ~bit;
}

/* What IRR has when the APIC stops accepting was accepted, and so was what another state brings. The core may not know all of it. */
static void take_as_it_is(struct svm_cpu *state)
{
    if (has_unknown(state->shared)) {
        vlapic_backend_wake(state->cpu);
    }
    state->accepts = true;
    vlapic_svm_core_know(state);
}

void vlapic_svm_core_update_accepts(struct svm_cpu *state, bool replaced)
{
    bool accepts = svm_accepts(state);

    if (!state->accepts && !replaced) {
        vlapic_svm_core_know(state);
    } else if (!accepts) {
        take_as_it_is(state);
    }
    state->accepts = accepts;
}

/* What was posted is in IRR already: the core derives anew what follows from it. */
bool vlapic_svm_core_collect(void *cpu_state, struct vlapic_vectors *posted, struct vlapic_vectors *level)
{
    (void)posted;
    (void)level;
    vlapic_svm_core_know(cpu_state);
    return false;
}

/* Of the vCPUs of a VM that run on one processor, each has its own backing page behind the same guest-physical address; and the processor may
 * remember what was there when this one last ran on it. */
void vlapic_svm_core_load(void *cpu_state)
{
    ((struct svm_cpu *)cpu_state)->needs_flush = true;
}

/* [U1] */
void vlapic_svm_core_put(void *cpu_state)
{
    vlapic_svm_core_set_running(cpu_state, false, false);
}

/* [B1] IsRunning is cleared, by a locked operation, before IRR is looked at for the last time [H2]: who sets a bit after that [A1] finds it clear [A2],
 * and wakes. */
void vlapic_svm_core_block(void *cpu_state)
{
    struct svm_cpu *state = cpu_state;

    vlapic_svm_core_set_running(state, false, true);
    state->shared->asks = (state->vm->features & (VLAPIC_SVM_AVIC | VLAPIC_SVM_X2AVIC)) != 0;
}

/* `asks` stays until an entry: AVIC may be withdrawn by then, and what was set in IRR meanwhile has to be found. */
void vlapic_svm_core_unblock(void *cpu_state)
{
    (void)cpu_state;
}

/* An IPI may have cleared the mode of its vector in TMR: a level that was posted into IRR then had no EOI that exits. */
void vlapic_svm_core_publish_levels(struct svm_cpu *state)
{
    for (uint32_t w = 0; w < 4; w++) {
        uint64_t low = svm_page(state, VLAPIC_REG_TMR + 32 * w);
        uint64_t high = svm_page(state, VLAPIC_REG_TMR + 32 * w + 16);

        if (state->shared->level[w] != (high << 32 | low)) {
            __atomic_store_n(&state->shared->level[w], high << 32 | low, __ATOMIC_SEQ_CST);
        }
    }
}
