/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is posted to one vCPU: by the embedder past all addressing, and, behind vlapic_mailbox.h, what is not a plain vector. Intel SDM
 * 3A, "Interrupt Acceptance for Fixed Interrupts", "Delivery Mode".
 */
#include "vlapic_latch.h"
#include "vlapic_mailbox.h"

void vlapic_core_notify(struct vlapic_cpu *cpu, uint64_t bit)
{
    vlapic_kick(cpu, vlapic_announce(cpu, bit));
}

static enum vlapic_posted post_init_or_sipi(struct vlapic_cpu *cpu, uint8_t delivery, uint8_t vector)
{
    uint64_t old = vlapic_load_relaxed(&cpu->work);
    uint64_t updated;

    do {
        updated = vlapic_latch(old, delivery, vector);
    } while (!vlapic_compare_swap(&cpu->work, &old, updated));
    return updated != old ? vlapic_kick_if_away(cpu) : VLAPIC_POSTED;
}

enum vlapic_posted vlapic_core_post_event(struct vlapic_cpu *cpu, uint32_t route, uint8_t delivery, uint8_t vector)
{
    switch (delivery) {
    case VLAPIC_DELIVERY_SMI:
        return vlapic_announce(cpu, VLAPIC_WORK_SMI);
    case VLAPIC_DELIVERY_NMI:
        return vlapic_announce(cpu, VLAPIC_WORK_NMI);
    case VLAPIC_DELIVERY_INIT:
    case VLAPIC_DELIVERY_SIPI:
        return post_init_or_sipi(cpu, delivery, vector);
    default:
        /* ExtINT: the reserved mode does not get this far. Implementation choice: as a Fixed one, it is not accepted while
         * software-disabled. */
        return (route & VLAPIC_ROUTE_SOFTWARE_ENABLED) != 0 ? vlapic_announce(cpu, VLAPIC_WORK_EXTINT) : VLAPIC_REFUSED;
    }
}

static enum vlapic_posted refuse_vector(struct vlapic_cpu *cpu)
{
    enum vlapic_posted posted = vlapic_announce(cpu, VLAPIC_WORK_BAD_VECTOR);

    return posted == VLAPIC_POSTED_KICK ? VLAPIC_REFUSED_KICK : VLAPIC_REFUSED;
}

/* A vector that the backend has declined waits here: later posts of it queue up behind, so that its last trigger mode counts. */
static bool waits_here(const struct vlapic_cpu *cpu, uint8_t vector)
{
    return (vlapic_load_seq(&cpu->posted[vector / 64u]) >> (vector % 64u) & 1u) != 0;
}

static enum vlapic_posted keep_here(struct vlapic_cpu *cpu, uint32_t route, uint8_t vector, bool level)
{
    return vlapic_post_here(cpu, vector, level, route) == VLAPIC_POST_NONE ? VLAPIC_POSTED
                                                                           : vlapic_announce(cpu, VLAPIC_WORK_POSTED);
}

/* [P4] A vCPU that leaves the guest before the notification arrives finds what was posted by asking the backend [E2]. */
static enum vlapic_posted post_to_backend(struct vlapic_cpu *cpu, uint32_t route, uint8_t vector, bool level)
{
    if (vlapic_unlikely(waits_here(cpu, vector))) {
        return keep_here(cpu, route, vector, level);
    }
    switch (cpu->backend->post(cpu->backend_shared, vector, level)) {
    case VLAPIC_POST_NONE:
        return VLAPIC_POSTED;
    case VLAPIC_POST_NOTIFY:
        if (vlapic_load_seq(&cpu->run_state) == VLAPIC_RUN_GUEST) {
            cpu->backend->notify(cpu->backend_shared);
            return VLAPIC_POSTED;
        }
        break;
    case VLAPIC_POST_DECLINE:
        return keep_here(cpu, route, vector, level);
    default:
        break;
    }
    return vlapic_announce(cpu, VLAPIC_WORK_POSTED);
}

enum vlapic_posted vlapic_core_post_other(struct vlapic_cpu *cpu, uint32_t route, uint8_t vector, bool level)
{
    if ((route & VLAPIC_ROUTE_SOFTWARE_ENABLED) == 0) {
        return VLAPIC_REFUSED;
    }
    if (vector < 16) {
        return refuse_vector(cpu);
    }
    return post_to_backend(cpu, route, vector, level);
}

bool vlapic_cpu_post(struct vlapic_cpu *cpu, uint8_t vector, bool level)
{
    uint32_t route = vlapic_load_acquire(&cpu->route);
    enum vlapic_posted posted;

    if ((route & VLAPIC_ROUTE_EN) == 0) {
        return false;
    }
    posted = vlapic_post_vector(cpu, route, vector, level);
    vlapic_kick(cpu, posted);
    return vlapic_is_accepted(posted);
}

void vlapic_cpu_timer_expired(struct vlapic_cpu *cpu)
{
    vlapic_core_notify(cpu, VLAPIC_WORK_TIMER);
}

void vlapic_backend_wake(struct vlapic_cpu *cpu)
{
    vlapic_core_notify(cpu, VLAPIC_WORK_POSTED);
}
