/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A backend that carries vectors itself, as hardware's would: they wait in a 256-bit set of its own until the core collects
 * them. The shortest complete example of `post` and `collect`.
 */
#include "posting_backend.h"

struct posting_shared {
    uint64_t posted[4];
    /* Trigger mode of each vector's last post: what TMR becomes when the vector is collected. */
    uint64_t level[4];
};

struct posting_cpu {
    struct posting_shared *shared;
};

static enum vlapic_status cpu_init(const struct vlapic_cpu_memory *memory, void *vm_state, struct vlapic_cpu *cpu)
{
    struct posting_cpu *owned = memory->owned;

    (void)vm_state;
    (void)cpu;
    owned->shared = memory->shared;
    return VLAPIC_OK;
}

/* The trigger mode comes before the vector, so that whoever collects the vector sees it. */
static enum vlapic_post post(void *shared, uint8_t vector, bool level)
{
    struct posting_shared *cpu = shared;
    uint32_t word = vector / 64u;
    uint64_t bit = 1ull << (vector % 64u);

    if (level) {
        __atomic_fetch_or(&cpu->level[word], bit, __ATOMIC_SEQ_CST);
    } else {
        __atomic_fetch_and(&cpu->level[word], ~bit, __ATOMIC_SEQ_CST);
    }
    /* Already set: whoever set it makes the core look. */
    return (__atomic_fetch_or(&cpu->posted[word], bit, __ATOMIC_SEQ_CST) & bit) != 0 ? VLAPIC_POST_NONE
                                                                                     : VLAPIC_POST_KICK;
}

static bool collect(void *cpu_state, struct vlapic_vectors *posted, struct vlapic_vectors *level)
{
    struct posting_shared *cpu = ((struct posting_cpu *)cpu_state)->shared;
    uint64_t any = 0;

    for (uint32_t word = 0; word < 4; word++) {
        posted->word[word] = __atomic_exchange_n(&cpu->posted[word], 0, __ATOMIC_SEQ_CST);
        level->word[word] = __atomic_load_n(&cpu->level[word], __ATOMIC_SEQ_CST);
        any |= posted->word[word];
    }
    return any != 0;
}

const struct vlapic_backend posting_backend = {
    .abi = VLAPIC_BACKEND_ABI,
    .size = sizeof(struct vlapic_backend),
    .name = "posting",
    .cpu_state_bytes = sizeof(struct posting_cpu),
    .cpu_shared_bytes = sizeof(struct posting_shared),
    .cpu_init = cpu_init,
    .post = post,
    .collect = collect,
};
