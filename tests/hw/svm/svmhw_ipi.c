/* SPDX-License-Identifier: BSD-2-Clause */
/* The IPI engine. Reference 6.4, 7.1 and 16.6. */
#include "svmhw_internal.h"

#define ICR_DELIVERY_STATUS (UINT32_C(1) << 12)

/* Some of the targets have something in common; which of them is reported, A24. */
struct choice {
    unsigned count, first, last;
};

static void consider(struct choice *choice, unsigned n)
{
    if (choice->count++ == 0) {
        choice->first = n;
    }
    choice->last = n;
}

static bool incomplete(const struct svmhw_core *core, uint8_t *page, uint64_t icr, unsigned id, uint32_t index,
                       struct svmhw_exit *exit)
{
    if ((id == 0 || id == 2) && svmhw_plays(core, 37, SVMHW_A37_SET)) {
        svmhw_page_write(page, SVMHW_REG_ICR, svmhw_page_read(page, SVMHW_REG_ICR) | ICR_DELIVERY_STATUS);
    }
    *exit = svmhw_incomplete_ipi(core, icr, id, index);
    return true;
}

/* A22. */
static bool bad_type(const struct svmhw_core *core, uint8_t *page, uint64_t icr, struct svmhw_exit *exit)
{
    switch (core->machine->readings.play[22]) {
    case SVMHW_A22_NOACCEL:
        *exit = svmhw_noaccel_trap(core, SVMHW_REG_ICR);
        return true;
    case SVMHW_A22_ID_2:
        return incomplete(core, page, icr, 2, 0, exit);
    case SVMHW_A22_ID_4:
        return incomplete(core, page, icr, 4, 0, exit);
    default:
        return incomplete(core, page, icr, 0, 0, exit);
    }
}

static bool has_bad_type(uint64_t icr)
{
    return (icr >> 15 & 1) || (icr >> 8 & 7) != 0;
}

/* Steps 1 and 2; A27. */
static bool refused(const struct svmhw_core *core, uint8_t *page, uint64_t icr, struct svmhw_exit *exit)
{
    bool type = has_bad_type(icr), vector = (icr & 0xFF) < 16;

    if (type && (!vector || svmhw_plays(core, 27, SVMHW_A27_TYPE_FIRST))) {
        return bad_type(core, page, icr, exit);
    }
    return vector && incomplete(core, page, icr, 4, 0, exit);
}

static void set_irr(const struct svmhw_core *core, uint8_t *page, unsigned vector)
{
    if (svmhw_plays(core, 18, SVMHW_A18_CLEARED)) {
        (void)svmhw_vector_clear(page, SVMHW_REG_TMR, vector);
    }
    svmhw_vector_set(page, SVMHW_REG_IRR, vector);
}

/* Erratum 1235: a core that saw IR set believes it once more. */
static bool believes_running(struct svmhw_core *core, uint32_t id, uint64_t entry)
{
    uint8_t *seen = &core->saw_running[id / 8];
    uint8_t bit = (uint8_t)(1u << id % 8);
    bool running = entry & SVMHW_ENTRY_RUNNING;
    bool believes = running || (core->machine->options.erratum_1235 && (*seen & bit));

    *seen = (uint8_t)(running ? *seen | bit : *seen & ~bit);
    return believes;
}

/* IRR first, then the entry again, then the doorbell. True: the target runs. */
static bool send_to(struct svmhw_core *core, const struct svmhw_target *target, unsigned vector)
{
    uint8_t *page = svmhw_memory(core->machine, target->entry & SVMHW_ENTRY_PAGE, SVMHW_PAGE_BYTES);
    uint32_t host_mask = core->machine->capabilities.narrow_host_id ? 0xFF : 0xFFF;
    uint64_t entry;
    bool running;

    set_irr(core, page, vector);
    svmhw_tell(core, SVMHW_TRACE_IRR_SET, target->id, vector);
    entry = svmhw_entry(core, target->id);
    running = believes_running(core, target->id, entry);
    svmhw_tell(core, SVMHW_TRACE_RUNNING_READ, target->id, running);
    if (running) {
        svmhw_doorbell_send(core->machine, core, (uint32_t)entry & host_mask);
    }
    return running;
}

/* Which of the targets that `bad` has. A24. */
static unsigned chosen(struct svmhw_core *core, const struct choice *choice, const struct svmhw_targets *targets,
                       const bool *bad)
{
    unsigned skip;

    if (svmhw_plays(core, 24, SVMHW_A24_LAST)) {
        return choice->last;
    }
    if (!svmhw_plays(core, 24, SVMHW_A24_ANY)) {
        return choice->first;
    }
    skip = core->any_index++ % choice->count;
    for (unsigned n = choice->first; n < targets->count; n++) {
        if (bad[n] && skip-- == 0) {
            return n;
        }
    }
    return choice->first;
}

/* Step 6 for the targets below `end`. True: one of them does not run. */
static bool send_to_all(struct svmhw_core *core, const struct svmhw_targets *targets, unsigned end, unsigned vector,
                        uint32_t *report)
{
    static _Thread_local bool sleeps[SVMHW_GUEST_IDS];
    struct choice choice = { 0 };

    for (unsigned n = 0; n < end; n++) {
        sleeps[n] = !send_to(core, &targets->target[n], vector);
        if (sleeps[n]) {
            consider(&choice, n);
        } else if (svmhw_is_own(core, &targets->target[n])) {
            core->evaluate = true;
        }
    }
    if (choice.count == 0) {
        return false;
    }
    *report = targets->target[chosen(core, &choice, targets, sleeps)].report;
    return true;
}

static bool find_failures(const struct svmhw_targets *targets, bool *fails, struct choice *choice)
{
    for (unsigned n = 0; n < targets->count; n++) {
        fails[n] = targets->target[n].fails != 0;
        if (fails[n]) {
            consider(choice, n);
        }
    }
    return choice->count != 0;
}

static bool send(struct svmhw_core *core, uint8_t *page, uint64_t icr, struct svmhw_exit *exit)
{
    static _Thread_local struct svmhw_targets targets;
    static _Thread_local bool fails[SVMHW_GUEST_IDS];
    struct choice choice = { 0 };
    uint32_t report = 0;

    svmhw_find_targets(core, icr, &targets);
    if (find_failures(&targets, fails, &choice)) {
        const struct svmhw_target *failing = &targets.target[chosen(core, &choice, &targets, fails)];

        if (svmhw_plays(core, 23, SVMHW_A23_EARLIER)) {
            (void)send_to_all(core, &targets, choice.first, icr & 0xFF, &report);
        }
        return incomplete(core, page, icr, failing->fails, failing->report, exit);
    }
    return send_to_all(core, &targets, targets.count, icr & 0xFF, &report) &&
           incomplete(core, page, icr, 1, report, exit);
}

bool svmhw_ipi(struct svmhw_core *core, uint8_t *page, uint64_t icr, struct svmhw_exit *exit)
{
    if (refused(core, page, icr, exit)) {
        return true;
    }
    if ((icr >> 18 & 3) == 1) {
        return svmhw_self_ipi(core, icr, icr, exit);
    }
    return send(core, page, icr, exit);
}

bool svmhw_self_ipi(struct svmhw_core *core, uint64_t icr, uint64_t reported, struct svmhw_exit *exit)
{
    unsigned vector = icr & 0xFF;

    if (vector < 16) {
        *exit = svmhw_incomplete_ipi(core, reported, 4, 0);
        return true;
    }
    set_irr(core, core->page, vector);
    core->evaluate = true;
    return false;
}
