/* SPDX-License-Identifier: BSD-2-Clause */
/* Register accesses under AVIC, whichever door they came through. Reference 16.4, 16.5, 6.1 and 6.3. */
#include "svmhw_internal.h"

struct svmhw_result svmhw_register_read(struct svmhw_core *core, const uint8_t *page, uint32_t offset)
{
    uint64_t value;

    if (svmhw_access_class(core, offset, false) == SVMHW_CLASS_FAULT) {
        return svmhw_noaccel_fault(core, offset, false);
    }
    value = svmhw_page_read(page, offset);
    if (offset == SVMHW_REG_ICR && svmhw_has_x2avic(core)) {
        value |= (uint64_t)svmhw_page_read(page, SVMHW_REG_ICR_HIGH) << 32;
    }
    return svmhw_done(core, value);
}

static struct svmhw_result trap(struct svmhw_core *core, const struct svmhw_exit *exit)
{
    svmhw_retires(core);
    return svmhw_exits(core, exit);
}

static struct svmhw_result plain_trap(struct svmhw_core *core, uint8_t *page, uint32_t offset, uint32_t value)
{
    struct svmhw_exit exit = svmhw_noaccel_trap(core, offset);

    svmhw_page_write(page, offset, value);
    svmhw_tell(core, SVMHW_TRACE_TRAP_STORE, offset, value);
    return trap(core, &exit);
}

void svmhw_tpr_write(struct svmhw_core *core, uint8_t *page, uint32_t value)
{
    svmhw_page_write(page, SVMHW_REG_TPR, value);
    core->v_tpr = value >> 4 & 0xF;
    svmhw_ppr_update(core);
    core->evaluate = true;
}

/* What an EOI write leaves at 0B0h is undefined. */
static void leave_something_at_eoi(const struct svmhw_core *core, uint8_t *page)
{
    svmhw_page_write(page, SVMHW_REG_EOI, core->machine->options.poison ? UINT32_C(0x5AA55AA5) : 0);
}

static struct svmhw_result level_eoi(struct svmhw_core *core, uint8_t *page, uint8_t vector)
{
    struct svmhw_exit exit = svmhw_noaccel_eoi(core, vector);

    if (svmhw_plays(core, 16, SVMHW_A16_FAULT)) {
        return svmhw_exits(core, &exit);
    }
    leave_something_at_eoi(core, page);
    if (svmhw_plays(core, 16, SVMHW_A16_TRAP_CLEARED)) {
        (void)svmhw_vector_clear(core->page, SVMHW_REG_ISR, vector);
        svmhw_ppr_update(core);
    }
    svmhw_tell(core, SVMHW_TRACE_TRAP_STORE, SVMHW_REG_EOI, 0);
    return trap(core, &exit);
}

static struct svmhw_result eoi(struct svmhw_core *core, uint8_t *page)
{
    unsigned vector = svmhw_vector_top(core->page, SVMHW_REG_ISR);

    if (vector != SVMHW_NO_VECTOR && svmhw_vector_test(core->page, SVMHW_REG_TMR, vector)) {
        return level_eoi(core, page, (uint8_t)vector);
    }
    leave_something_at_eoi(core, page);
    if (vector != SVMHW_NO_VECTOR) {
        (void)svmhw_vector_clear(core->page, SVMHW_REG_ISR, vector);
        svmhw_ppr_update(core);
        core->evaluate = true;
    }
    return svmhw_done(core, 0);
}

static struct svmhw_result icr(struct svmhw_core *core, uint8_t *page, uint64_t value)
{
    struct svmhw_exit exit;

    if (svmhw_has_x2avic(core)) {
        svmhw_page_write(page, SVMHW_REG_ICR_HIGH, (uint32_t)(value >> 32));
    } else {
        value = (uint64_t)svmhw_page_read(page, SVMHW_REG_ICR_HIGH) << 32 | (uint32_t)value;
    }
    svmhw_page_write(page, SVMHW_REG_ICR, (uint32_t)value);
    return svmhw_ipi(core, page, value, &exit) ? trap(core, &exit) : svmhw_done(core, 0);
}

/* A12. */
static struct svmhw_result self_ipi(struct svmhw_core *core, uint8_t *page, uint32_t value)
{
    struct svmhw_exit exit;
    uint64_t equivalent = UINT64_C(0x00040000) | (value & 0xFF);
    uint64_t reported = svmhw_plays(core, 12, SVMHW_A12_REPORTS_VECTOR) ? value & 0xFF : equivalent;

    if (svmhw_plays(core, 12, SVMHW_A12_STORES_3F0)) {
        svmhw_page_write(page, SVMHW_REG_SELF_IPI, value);
    }
    if (svmhw_plays(core, 12, SVMHW_A12_STORES_ICR)) {
        svmhw_page_write(page, SVMHW_REG_ICR, (uint32_t)equivalent);
        svmhw_page_write(page, SVMHW_REG_ICR_HIGH, 0);
    }
    return svmhw_self_ipi(core, equivalent, reported, &exit) ? trap(core, &exit) : svmhw_done(core, 0);
}

struct svmhw_result svmhw_register_write(struct svmhw_core *core, uint8_t *page, uint32_t offset, uint64_t value)
{
    switch (svmhw_access_class(core, offset, true)) {
    case SVMHW_CLASS_FAULT:
        return svmhw_noaccel_fault(core, offset, true);
    case SVMHW_CLASS_TRAP:
        return plain_trap(core, page, offset, (uint32_t)value);
    case SVMHW_CLASS_TPR:
        svmhw_tpr_write(core, page, (uint32_t)value);
        return svmhw_done(core, 0);
    case SVMHW_CLASS_EOI:
        return eoi(core, page);
    case SVMHW_CLASS_ICR:
        return icr(core, page, value);
    case SVMHW_CLASS_SELF_IPI:
        return self_ipi(core, page, (uint32_t)value);
    case SVMHW_CLASS_UNLISTED:
    case SVMHW_CLASS_ALLOWED:
        break;
    }
    svmhw_page_write(page, offset, (uint32_t)value);
    return svmhw_done(core, 0);
}
