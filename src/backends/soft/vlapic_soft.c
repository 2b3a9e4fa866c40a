/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The software backend: a posted vector waits in a 256-bit set until its vCPU polls. It is also the shortest complete
 * example of the backend ABI.
 */
#include <vlapic/backend.h>

/* Written by any thread. One cache line, as the posted-interrupt descriptor of the hardware that it stands for. */
struct soft_cpu {
    uint64_t posted[4];
    /* Trigger mode of each vector's last post: what TMR becomes when the vector is collected. */
    uint64_t level[4];
};

/*
 * The trigger mode comes before the vector, so that whoever collects the vector sees it. The vector's bit is set by a locked
 * operation even if it is set already: that orders the caller's earlier stores before the collection that takes the bit.
 */
static enum vlapic_post post(void *cpu_state, uint8_t vector, bool level)
{
    struct soft_cpu *cpu = cpu_state;
    uint32_t word = vector / 64u;
    uint64_t bit = 1ull << (vector % 64u);
    bool was_level = (__atomic_load_n(&cpu->level[word], __ATOMIC_RELAXED) & bit) != 0;
    uint64_t old;

    if (level && !was_level) {
        __atomic_fetch_or(&cpu->level[word], bit, __ATOMIC_SEQ_CST);
    } else if (!level && was_level) {
        __atomic_fetch_and(&cpu->level[word], ~bit, __ATOMIC_SEQ_CST);
    }
    old = __atomic_fetch_or(&cpu->posted[word], bit, __ATOMIC_SEQ_CST);
    /* Already set: whoever set it makes the core look. */
    return (old & bit) != 0 ? VLAPIC_POST_NONE : VLAPIC_POST_KICK;
}

static bool collect(void *cpu_state, struct vlapic_vectors *posted, struct vlapic_vectors *level)
{
    struct soft_cpu *cpu = cpu_state;
    struct vlapic_vectors found, modes;
    uint64_t any = 0;

    for (uint32_t word = 0; word < 4; word++) {
        found.word[word] = 0;
        if (__atomic_load_n(&cpu->posted[word], __ATOMIC_RELAXED) != 0) {
            found.word[word] = __atomic_exchange_n(&cpu->posted[word], 0, __ATOMIC_SEQ_CST);
        }
        modes.word[word] = __atomic_load_n(&cpu->level[word], __ATOMIC_SEQ_CST);
        any |= found.word[word];
    }
    if (any == 0) {
        return false;
    }
    *posted = found;
    *level = modes;
    return true;
}

const struct vlapic_backend vlapic_backend_soft = {
    .abi = VLAPIC_BACKEND_ABI,
    .size = sizeof(struct vlapic_backend),
    .name = "soft",
    .cpu_state_bytes = sizeof(struct soft_cpu),
    .post = post,
    .collect = collect,
};
