/* SPDX-License-Identifier: BSD-2-Clause */
/* From the destination of an IPI to entries of the physical table. Reference 4.3, 4.4 and 16.6, steps 4 and 5. */
#include "svmhw_internal.h"

#define ENTRY_RESERVED UINT64_C(0x3FF0000000000000)
#define LOGICAL_RESERVED UINT32_C(0x7FFFFF00)

static uint64_t table(const struct svmhw_core *core, enum svmhw_cached_field field)
{
    return svmhw_field(core, field) & SVMHW_ENTRY_PAGE;
}

/* One aligned 64-bit read. */
uint64_t svmhw_entry(const struct svmhw_core *core, uint32_t id)
{
    uint8_t *at = svmhw_memory(core->machine, table(core, SVMHW_C_PHYSICAL_TABLE) + UINT64_C(8) * id, 8);

    return at ? __atomic_load_n((uint64_t *)(uintptr_t)at, __ATOMIC_SEQ_CST) : 0;
}

static uint32_t logical_entry(const struct svmhw_core *core, uint32_t index)
{
    uint8_t *at = svmhw_memory(core->machine, table(core, SVMHW_C_LOGICAL_TABLE) + UINT64_C(4) * index, 4);

    return at ? __atomic_load_n((uint32_t *)(uintptr_t)at, __ATOMIC_SEQ_CST) : 0;
}

/* A9. */
static bool ff_is_special(const struct svmhw_core *core)
{
    return !svmhw_has_x2avic(core) || svmhw_plays(core, 9, SVMHW_A9_BROADCAST);
}

static bool is_out_of_reach(const struct svmhw_core *core, uint32_t id)
{
    return id > svmhw_max_index(core) || (id == 255 && ff_is_special(core));
}

static uint8_t fault_of_entry(const struct svmhw_core *core, uint64_t entry)
{
    if (svmhw_plays(core, 34, SVMHW_A34_CHECKED) && (entry & ENTRY_RESERVED)) {
        return 3;
    }
    return svmhw_memory(core->machine, entry & SVMHW_ENTRY_PAGE, SVMHW_PAGE_BYTES) ? 0 : 3;
}

static void add_failure(struct svmhw_targets *targets, uint32_t report, uint8_t id_of_exit)
{
    targets->target[targets->count++] = (struct svmhw_target){ .report = report, .fails = id_of_exit };
}

static void add(struct svmhw_core *core, struct svmhw_targets *targets, uint32_t id, uint32_t report)
{
    struct svmhw_target *target = &targets->target[targets->count++];

    *target = (struct svmhw_target){ .id = id, .report = report, .fails = 2 };
    if (is_out_of_reach(core, id)) {
        return;
    }
    target->entry = svmhw_entry(core, id);
    if (target->entry & SVMHW_ENTRY_VALID) {
        target->fails = fault_of_entry(core, target->entry);
        svmhw_tell(core, SVMHW_TRACE_TARGET, id, target->entry);
    }
}

/* A29. */
bool svmhw_is_own(const struct svmhw_core *core, const struct svmhw_target *target)
{
    uint32_t own = svmhw_page_read(core->page, SVMHW_REG_ID);

    if (svmhw_plays(core, 29, SVMHW_A29_BACKING_PAGE)) {
        return (target->entry & SVMHW_ENTRY_PAGE) == table(core, SVMHW_C_BACKING_PAGE);
    }
    return target->id == (svmhw_has_x2avic(core) ? own : own >> 24);
}

/* Entries that are not valid are skipped. */
static void broadcast(struct svmhw_core *core, bool skips_own, struct svmhw_targets *targets)
{
    for (uint32_t id = 0; id <= svmhw_max_index(core); id++) {
        const struct svmhw_target *target = &targets->target[targets->count];

        add(core, targets, id, id);
        if (target->fails == 2 || (skips_own && svmhw_is_own(core, target))) {
            targets->count--;
        }
    }
}

static void logical_x2apic(struct svmhw_core *core, uint32_t destination, struct svmhw_targets *targets)
{
    uint32_t cluster = destination >> 16 << 4;
    bool reports_bit = svmhw_plays(core, 24, SVMHW_A24_BIT);

    for (uint32_t bit = 0; bit < 16; bit++) {
        if (destination >> bit & 1) {
            add(core, targets, cluster | bit, reports_bit ? bit : cluster | bit);
        }
    }
    if ((destination & 0xFFFF) == 0 && svmhw_plays(core, 31, SVMHW_A31_ID_2)) {
        add_failure(targets, cluster, 2);
    }
}

static void add_logical(struct svmhw_core *core, struct svmhw_targets *targets, uint32_t index)
{
    uint32_t entry = logical_entry(core, index);
    bool refused = svmhw_plays(core, 34, SVMHW_A34_CHECKED) && (entry & LOGICAL_RESERVED);

    if (!(entry & SVMHW_LOGICAL_VALID) || refused) {
        add_failure(targets, index, 2);
    } else {
        add(core, targets, entry & 0xFF, index);
    }
}

static void logical_members(struct svmhw_core *core, uint32_t first_index, uint32_t members,
                            struct svmhw_targets *targets)
{
    for (uint32_t bit = 0; members >> bit != 0; bit++) {
        if (!(members >> bit & 1)) {
            continue;
        }
        if (first_index + bit >= 60) {
            add_failure(targets, first_index + bit, 2); /* cluster 15: A30 */
        } else {
            add_logical(core, targets, first_index + bit);
        }
    }
    if (members == 0 && svmhw_plays(core, 31, SVMHW_A31_ID_2)) {
        add_failure(targets, first_index, 2);
    }
}

static void logical_xapic(struct svmhw_core *core, uint32_t destination, struct svmhw_targets *targets)
{
    uint32_t model = svmhw_page_read(core->page, SVMHW_REG_DFR) >> 28;

    if (model == 0xF) {
        logical_members(core, 0, destination, targets);
    } else if (model != 0 && svmhw_plays(core, 30, SVMHW_A30_ID_2)) {
        add_failure(targets, 0, 2);
    } else {
        logical_members(core, (destination >> 4) * 4, destination & 0xF, targets);
    }
}

/* A28 and A9. */
static bool is_broadcast(const struct svmhw_core *core, uint32_t destination)
{
    if (!svmhw_has_x2avic(core)) {
        return destination == 0xFF;
    }
    if (destination == 0xFF && ff_is_special(core)) {
        return true;
    }
    return destination == UINT32_C(0xFFFFFFFF) && svmhw_plays(core, 28, SVMHW_A28_BROADCAST);
}

void svmhw_find_targets(struct svmhw_core *core, uint64_t icr, struct svmhw_targets *targets)
{
    bool x2avic = svmhw_has_x2avic(core), logical = icr >> 11 & 1;
    uint32_t destination = (uint32_t)(icr >> (x2avic ? 32 : 56));
    unsigned shorthand = icr >> 18 & 3;

    targets->count = 0;
    if (shorthand >= 2 || is_broadcast(core, destination)) {
        broadcast(core, shorthand == 3, targets);
    } else if (!logical) {
        add(core, targets, destination, destination);
    } else if (x2avic) {
        logical_x2apic(core, destination, targets);
    } else {
        logical_xapic(core, destination, targets);
    }
}
