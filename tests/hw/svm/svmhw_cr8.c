/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CR8. Reference 3.1, 3.4 and 16.5. That the intercept comes before the #GP of a value above Fh is a choice of the model:
 * SVM checks intercepts before faults that depend on an operand's value.
 */
#include "svmhw_internal.h"

static struct svmhw_result intercepted(struct svmhw_core *core, uint64_t exitcode, unsigned gpr)
{
    bool assists = core->machine->capabilities.decode_assists;

    return svmhw_instruction_exit(core, exitcode, UINT64_C(1) << 63 | gpr, assists ? UINT64_C(1) << 63 | 0xF : 0);
}

static bool is_virtual(const struct svmhw_core *core)
{
    return svmhw_has_avic(core) || svmhw_v_intr(core, SVMHW_V_INTR_MASKING);
}

struct svmhw_result svmhw_cr8_read(struct svmhw_core *core, unsigned gpr)
{
    struct svmhw_result result;

    if (!svmhw_begins(core, &result)) {
        return result;
    }
    if (svmhw_field(core, SVMHW_C_CPL) > 0) {
        return svmhw_gp(core);
    }
    if (svmhw_intercepts(core, SVMHW_EXIT_CR8_READ)) {
        return intercepted(core, SVMHW_EXIT_CR8_READ, gpr);
    }
    return svmhw_done(core, is_virtual(core) ? core->v_tpr : core->physical_tpr >> 4);
}

static void store(struct svmhw_core *core, uint8_t value)
{
    bool masking = svmhw_v_intr(core, SVMHW_V_INTR_MASKING);

    core->v_tpr = value;
    if (svmhw_has_avic(core)) {
        svmhw_tpr_write(core, core->page, (uint32_t)value << 4);
        if (!masking && svmhw_plays(core, 36, SVMHW_A36_PHYSICAL_TOO)) {
            core->physical_tpr = (uint8_t)(value << 4);
        }
    } else if (!masking) {
        core->physical_tpr = (uint8_t)(value << 4);
    }
}

struct svmhw_result svmhw_cr8_write(struct svmhw_core *core, unsigned gpr, uint64_t value)
{
    struct svmhw_result result;

    if (!svmhw_begins(core, &result)) {
        return result;
    }
    if (svmhw_field(core, SVMHW_C_CPL) > 0) {
        return svmhw_gp(core);
    }
    if (svmhw_intercepts(core, SVMHW_EXIT_CR8_WRITE)) {
        return intercepted(core, SVMHW_EXIT_CR8_WRITE, gpr);
    }
    if (value > 0xF) {
        return svmhw_gp(core);
    }
    store(core, (uint8_t)value);
    result = svmhw_done(core, 0);
    if (svmhw_intercepts(core, SVMHW_EXIT_CR8_TRAP)) {
        return svmhw_exits(
            core, &(struct svmhw_exit){ .code = SVMHW_EXIT_CR8_TRAP, .info1 = value, .info1_defined = UINT64_MAX });
    }
    return result;
}
