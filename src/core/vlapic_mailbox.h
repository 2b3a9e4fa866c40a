/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The posters' side of the mailbox, for any thread: inline, because messages to many run through it once a target. The
 * hand-overs are argued in docs/CONCURRENCY.md; the numbers in brackets are its steps.
 */
#ifndef VLAPIC_MAILBOX_H
#define VLAPIC_MAILBOX_H

#include "vlapic_model.h"

/* What became of a message at one vCPU. With _KICK the caller has to see to the kick. */
enum vlapic_posted { VLAPIC_REFUSED = 0, VLAPIC_POSTED = 1, VLAPIC_REFUSED_KICK = 2, VLAPIC_POSTED_KICK = 3 };

static inline bool vlapic_is_accepted(enum vlapic_posted posted)
{
    return ((uint32_t)posted & VLAPIC_POSTED) != 0;
}

static inline bool vlapic_is_kick_due(enum vlapic_posted posted)
{
    return ((uint32_t)posted & VLAPIC_REFUSED_KICK) != 0;
}

static inline void vlapic_kick(struct vlapic_cpu *cpu, enum vlapic_posted posted)
{
    if (vlapic_is_kick_due(posted)) {
        cpu->vm->host.kick(cpu->cookie);
    }
}

/* vlapic_post.c: a vector where something is not the rule (software-disabled, an illegal vector, a backend that carries vectors itself). */
enum vlapic_posted vlapic_core_post_other(struct vlapic_cpu *cpu, uint32_t route, uint8_t vector, bool level);
/* vlapic_post.c: SMI, NMI, INIT, SIPI, ExtINT. */
enum vlapic_posted vlapic_core_post_event(struct vlapic_cpu *cpu, uint32_t route, uint8_t delivery, uint8_t vector);

/* A kick is due if the vCPU may be in the guest or asleep. [P3] pairs with [E1] and [H1]: both sides write, then read, in
 * sequentially consistent order, so at least one of them sees the other. */
static inline enum vlapic_posted vlapic_kick_if_away(struct vlapic_cpu *cpu)
{
    return vlapic_load_seq(&cpu->run_state) != VLAPIC_RUN_HOST ? VLAPIC_POSTED_KICK : VLAPIC_POSTED;
}

/* [P2] If the bit was set already, whoever set it has kicked or is about to, and the owner has not looked since. */
static inline enum vlapic_posted vlapic_announce(struct vlapic_cpu *cpu, uint64_t bit)
{
    return (vlapic_fetch_or(&cpu->work, bit) & bit) == 0 ? vlapic_kick_if_away(cpu) : VLAPIC_POSTED;
}

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define NO_FENCES 1
#endif
#endif
#if defined(__SANITIZE_THREAD__) || defined(NO_FENCES)
#define LOOK_FIRST                                                                                                     \
    0 /* the sanitizer does not know fences: it would see no order between the caller's stores and the handler */
#else
#define LOOK_FIRST 1
#endif

/*
 * [P0] True if the vector is posted already, in this trigger mode. The line is only read, so that many who post the same vector do
 * not contend for it. The fence puts the caller's earlier stores before the second look, hence before the exchange that will
 * take the bit [C2]: the handler of the interrupt that is pending sees them. If the embedder promises that order, the first look
 * comes after the stores already.
 */
static inline bool vlapic_is_posted(const struct vlapic_cpu *cpu, uint32_t word, uint64_t bit, bool level,
                                    uint32_t route)
{
    uint64_t posted = vlapic_load_relaxed(&cpu->posted[word]);

    if (!LOOK_FIRST || (posted & bit) == 0) {
        return false;
    }
    if ((route & VLAPIC_ROUTE_POSTS_ORDERED) == 0) {
        vlapic_fence();
        posted = vlapic_load_relaxed(&cpu->posted[word]);
    }
    return (posted & bit) != 0 && ((vlapic_load_relaxed(&cpu->posted_level[word]) & bit) != 0) == level;
}

/* The trigger mode comes before the vector, so that whoever collects the vector sees it. */
static inline void vlapic_set_level(struct vlapic_cpu *cpu, uint32_t word, uint64_t bit, bool level)
{
    if (vlapic_unlikely(((vlapic_load_relaxed(&cpu->posted_level[word]) & bit) != 0) != level)) {
        if (level) {
            vlapic_fetch_or(&cpu->posted_level[word], bit);
        } else {
            vlapic_fetch_and(&cpu->posted_level[word], ~bit);
        }
    }
}

/* [P1] Into the mailbox. If the bit is set already, whoever set it makes the owner look. */
static inline enum vlapic_post vlapic_post_here(struct vlapic_cpu *cpu, uint8_t vector, bool level, uint32_t route)
{
    uint32_t word = vector / 64u;
    uint64_t bit = 1ull << (vector % 64u);

    if (vlapic_is_posted(cpu, word, bit, level, route)) {
        return VLAPIC_POST_NONE;
    }
    vlapic_set_level(cpu, word, bit, level);
    return (vlapic_fetch_or(&cpu->posted[word], bit) & bit) != 0 ? VLAPIC_POST_NONE : VLAPIC_POST_KICK;
}

/* A vector goes into the mailbox if nothing about its receiver is out of the ordinary. */
static inline bool vlapic_is_ordinary(uint32_t route)
{
    const uint32_t rule = VLAPIC_ROUTE_SOFTWARE_ENABLED | VLAPIC_ROUTE_BACKEND_POSTS;

    return (route & rule) == VLAPIC_ROUTE_SOFTWARE_ENABLED;
}

/* [P1] that was news is a locked operation. So a look is enough to see that another has done [P2]. */
static vlapic_always_inline enum vlapic_posted vlapic_post_ordinary(struct vlapic_cpu *cpu, uint32_t route,
                                                                    uint8_t vector, bool level)
{
    if (vlapic_post_here(cpu, vector, level, route) == VLAPIC_POST_NONE ||
        (vlapic_load_seq(&cpu->work) & VLAPIC_WORK_POSTED) != 0) {
        return VLAPIC_POSTED;
    }
    return vlapic_announce(cpu, VLAPIC_WORK_POSTED);
}

/* accept() of the reference for a message from elsewhere. */
static vlapic_always_inline enum vlapic_posted vlapic_post_vector(struct vlapic_cpu *cpu, uint32_t route,
                                                                  uint8_t vector, bool level)
{
    if (vlapic_unlikely(!vlapic_is_ordinary(route) || vector < 16)) {
        return vlapic_core_post_other(cpu, route, vector, level);
    }
    return vlapic_post_ordinary(cpu, route, vector, level);
}

/* A message for this vCPU, whose route word is `route` and has EN set. */
static vlapic_always_inline enum vlapic_posted vlapic_post(struct vlapic_cpu *cpu, uint32_t route, uint8_t delivery,
                                                           uint8_t vector, bool level)
{
    if (vlapic_unlikely(delivery > VLAPIC_DELIVERY_LOWEST)) {
        return vlapic_core_post_event(cpu, route, delivery, vector);
    }
    return vlapic_post_vector(cpu, route, vector, level);
}

#endif
