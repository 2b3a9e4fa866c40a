/* SPDX-License-Identifier: BSD-2-Clause */
/* Instructions that open and close what holds interrupts back: IF, the shadow, GIF, HLT, IRET. Reference 2.3, 3.2, 3.5, 16.9. */
#include "svmhw_internal.h"

static void set_if(struct svmhw_core *core, bool enabled)
{
    if (enabled && !core->interrupts_enabled) {
        svmhw_gate_opened(core);
    }
    core->interrupts_enabled = enabled;
}

struct svmhw_result svmhw_nop(struct svmhw_core *core)
{
    struct svmhw_result result;

    return svmhw_begins(core, &result) ? svmhw_done(core, 0) : result;
}

struct svmhw_result svmhw_cli(struct svmhw_core *core)
{
    struct svmhw_result result;

    if (!svmhw_begins(core, &result)) {
        return result;
    }
    set_if(core, false);
    return svmhw_done(core, 0);
}

struct svmhw_result svmhw_sti(struct svmhw_core *core)
{
    struct svmhw_result result;
    bool casts;

    if (!svmhw_begins(core, &result)) {
        return result;
    }
    casts = !core->interrupts_enabled;
    set_if(core, true);
    result = svmhw_done(core, 0);
    core->shadow = casts;
    return result;
}

struct svmhw_result svmhw_mov_ss(struct svmhw_core *core)
{
    struct svmhw_result result;

    if (!svmhw_begins(core, &result)) {
        return result;
    }
    result = svmhw_done(core, 0);
    core->shadow = true;
    return result;
}

struct svmhw_result svmhw_popf(struct svmhw_core *core, bool interrupts_enabled)
{
    struct svmhw_result result;

    if (!svmhw_begins(core, &result)) {
        return result;
    }
    if (svmhw_intercepts(core, SVMHW_EXIT_POPF)) {
        return svmhw_instruction_exit(core, SVMHW_EXIT_POPF, 0, 0);
    }
    set_if(core, interrupts_enabled);
    return svmhw_done(core, 0);
}

struct svmhw_result svmhw_iret(struct svmhw_core *core, bool interrupts_enabled)
{
    struct svmhw_result result;

    if (!svmhw_begins(core, &result)) {
        return result;
    }
    if (svmhw_intercepts(core, SVMHW_EXIT_IRET)) {
        return svmhw_instruction_exit(core, SVMHW_EXIT_IRET, 0, 0);
    }
    core->v_nmi_mask = false;
    set_if(core, interrupts_enabled);
    return svmhw_done(core, 0);
}

/* What keeps idle HLT from exiting: reference 2.3. */
static bool virtual_event_is_pending(const struct svmhw_core *core)
{
    if (svmhw_v_intr(core, SVMHW_V_NMI_ENABLE) && core->v_nmi) {
        return true;
    }
    if (!svmhw_has_avic(core)) {
        return core->v_irq;
    }
    return svmhw_plays(core, 2, SVMHW_A2_COUNTS) && core->interrupts_enabled &&
           svmhw_deliverable(core) != SVMHW_NO_VECTOR;
}

struct svmhw_result svmhw_hlt(struct svmhw_core *core)
{
    struct svmhw_result result;
    bool idle = core->machine->capabilities.idle_hlt;

    if (!svmhw_begins(core, &result)) {
        return result;
    }
    if (svmhw_intercepts(core, SVMHW_EXIT_HLT)) {
        return svmhw_instruction_exit(core, SVMHW_EXIT_HLT, 0, 0);
    }
    if (idle && svmhw_intercepts(core, SVMHW_EXIT_IDLE_HLT) && !virtual_event_is_pending(core)) {
        return svmhw_instruction_exit(core, SVMHW_EXIT_IDLE_HLT, 0, 0);
    }
    core->halted = true;
    return svmhw_done(core, 0);
}

static struct svmhw_result change_gif(struct svmhw_core *core, bool gif, unsigned exitcode)
{
    struct svmhw_result result;
    bool *flag;

    if (!svmhw_begins(core, &result)) {
        return result;
    }
    if (svmhw_intercepts(core, exitcode)) {
        return svmhw_instruction_exit(core, exitcode, 0, 0);
    }
    flag = svmhw_v_intr(core, SVMHW_V_GIF_ENABLE) ? &core->v_gif : &core->gif;
    if (gif && !*flag) {
        svmhw_gate_opened(core);
    }
    *flag = gif;
    return svmhw_done(core, 0);
}

struct svmhw_result svmhw_stgi(struct svmhw_core *core)
{
    return change_gif(core, true, SVMHW_EXIT_STGI);
}

struct svmhw_result svmhw_clgi(struct svmhw_core *core)
{
    return change_gif(core, false, SVMHW_EXIT_CLGI);
}
