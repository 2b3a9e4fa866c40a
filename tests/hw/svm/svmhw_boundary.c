/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Instruction boundaries: what is taken there, in which order. Reference 3.1, 3.2, 3.5, 3.6 and 16.3. A function that looks for one kind of
 * event returns false if that kind has nothing to take now.
 */
#include "svmhw_internal.h"

#define VECTOR_SX 30

bool svmhw_v_gif_allows(const struct svmhw_core *core)
{
    return !svmhw_v_intr(core, SVMHW_V_GIF_ENABLE) || core->v_gif;
}

void svmhw_gate_opened(struct svmhw_core *core)
{
    if (svmhw_plays(core, 21, SVMHW_A21_LOOKS_AGAIN)) {
        core->evaluate = true;
    }
}

struct svmhw_result svmhw_delivers(struct svmhw_core *core, uint64_t event)
{
    uint8_t type = event >> 8 & 7, vector = type == SVMHW_TYPE_NMI ? 2 : event & 0xFF;

    svmhw_tell(core, SVMHW_TRACE_DELIVER, vector, type);
    if (core->delivery_exit.armed) {
        core->delivery_exit.armed = false;
        return svmhw_exits(core, &(struct svmhw_exit){ .code = core->delivery_exit.code,
                                                       .info1 = core->delivery_exit.info1,
                                                       .info1_defined = UINT64_MAX,
                                                       .info2 = core->delivery_exit.info2,
                                                       .info2_defined = UINT64_MAX,
                                                       .exitintinfo = event });
    }
    core->interrupts_enabled = false; /* every gate is an interrupt gate */
    core->shadow = false;
    core->halted = false;
    return (struct svmhw_result){ .happened = SVMHW_EVENT, .type = type, .vector = vector };
}

void svmhw_interrupt_next_delivery(struct svmhw_core *core, uint64_t code, uint64_t info1, uint64_t info2)
{
    core->delivery_exit.armed = true;
    core->delivery_exit.code = code;
    core->delivery_exit.info1 = info1;
    core->delivery_exit.info2 = info2;
}

/* ---- physical events ---- */

static bool intr_is_masked(const struct svmhw_core *core)
{
    uint32_t vector = __atomic_load_n(&core->intr_vector, __ATOMIC_SEQ_CST);

    if (vector >> 4 <= (unsigned)core->physical_tpr >> 4) {
        return true;
    }
    if (!svmhw_v_intr(core, SVMHW_V_INTR_MASKING)) {
        return !core->interrupts_enabled;
    }
    if (core->host_if_at_vmrun) {
        return false;
    }
    return !(svmhw_intercepts(core, SVMHW_EXIT_INTR) && svmhw_plays(core, 35, SVMHW_A35_FIRES));
}

/* The shadow holds the INTR that the guest would take itself. That it does not hold one that exits is a choice of the model. */
static bool is_held(const struct svmhw_core *core, enum svmhw_physical event, unsigned exitcode)
{
    if (!core->gif) {
        return true;
    }
    if (event != SVMHW_PHYSICAL_INTR) {
        return false;
    }
    return intr_is_masked(core) || (core->shadow && !svmhw_intercepts(core, exitcode));
}

static struct svmhw_result takes_physical(struct svmhw_core *core, enum svmhw_physical event)
{
    uint8_t vector = 0;

    (void)svmhw_host_takes(core, event, &vector);
    core->halted = false;
    if (event == SVMHW_PHYSICAL_INIT && core->r_init) {
        if (svmhw_intercepts(core, 0x40 + VECTOR_SX)) {
            return svmhw_plain_exit(core, 0x40 + VECTOR_SX);
        }
        return svmhw_delivers(core, SVMHW_EVENT_VALID | SVMHW_TYPE_EXCEPTION << 8 | VECTOR_SX);
    }
    core->shadow = false;
    if (event == SVMHW_PHYSICAL_INTR) {
        core->interrupts_enabled = false;
    }
    return (struct svmhw_result){ .happened = SVMHW_PHYSICAL, .physical = event, .vector = vector };
}

static bool physical(struct svmhw_core *core, struct svmhw_result *result)
{
    static const unsigned exitcodes[] = { [SVMHW_PHYSICAL_INIT] = SVMHW_EXIT_INIT,
                                          [SVMHW_PHYSICAL_SMI] = SVMHW_EXIT_SMI,
                                          [SVMHW_PHYSICAL_NMI] = SVMHW_EXIT_NMI,
                                          [SVMHW_PHYSICAL_INTR] = SVMHW_EXIT_INTR };
    uint32_t pending = __atomic_load_n(&core->physical_pending, __ATOMIC_SEQ_CST);

    for (enum svmhw_physical event = SVMHW_PHYSICAL_INIT; event <= SVMHW_PHYSICAL_INTR; event++) {
        if (!(pending >> event & 1) || is_held(core, event, exitcodes[event])) {
            continue;
        }
        /* Intercepted, it stays pending. */
        *result = svmhw_intercepts(core, exitcodes[event]) ? svmhw_plain_exit(core, exitcodes[event])
                                                           : takes_physical(core, event);
        return true;
    }
    return false;
}

/* ---- virtual events ---- */

static bool v_nmi(struct svmhw_core *core, struct svmhw_result *result)
{
    if (!svmhw_v_intr(core, SVMHW_V_NMI_ENABLE) || !core->v_nmi || core->v_nmi_mask) {
        return false;
    }
    if (!core->gif || !svmhw_v_gif_allows(core) || core->shadow) {
        return false;
    }
    core->v_nmi = false;
    core->v_nmi_mask = !core->delivery_exit.armed; /* interrupted, it is saved as 0 */
    *result = svmhw_delivers(core, SVMHW_EVENT_VALID | SVMHW_TYPE_NMI << 8 | 2);
    return true;
}

/* IF, the shadow, both GIFs. */
static bool gates_are_open(const struct svmhw_core *core)
{
    return core->interrupts_enabled && !core->shadow && core->gif && svmhw_v_gif_allows(core);
}

static bool v_irq(struct svmhw_core *core, struct svmhw_result *result)
{
    uint64_t control = svmhw_field(core, SVMHW_C_VINTR);
    unsigned priority = control >> SVMHW_V_INTR_PRIO_SHIFT & 0xF;
    unsigned vector = control >> SVMHW_V_INTR_VECTOR_SHIFT & 0xFF;
    bool passes = (control & SVMHW_V_IGN_TPR) || priority > core->v_tpr;

    if (!core->v_irq || !passes || !gates_are_open(core)) {
        return false;
    }
    if (svmhw_intercepts(core, SVMHW_EXIT_VINTR)) {
        *result = svmhw_plain_exit(core, SVMHW_EXIT_VINTR);
        return true;
    }
    core->v_irq = false;
    *result = svmhw_delivers(core, SVMHW_EVENT_VALID | vector);
    return true;
}

static bool accepts(struct svmhw_core *core, unsigned vector, struct svmhw_result *result)
{
    if (core->delivery_exit.armed && svmhw_plays(core, 3, SVMHW_A3_RETRIED)) {
        core->delivery_exit.armed = false;
        *result = svmhw_exits(core, &(struct svmhw_exit){ .code = core->delivery_exit.code,
                                                          .info1 = core->delivery_exit.info1,
                                                          .info1_defined = UINT64_MAX,
                                                          .info2 = core->delivery_exit.info2,
                                                          .info2_defined = UINT64_MAX });
        return true;
    }
    if (!svmhw_vector_clear(core->page, SVMHW_REG_IRR, vector)) {
        return false; /* somebody took it back */
    }
    svmhw_vector_set(core->page, SVMHW_REG_ISR, vector);
    svmhw_ppr_update(core);
    *result = svmhw_delivers(core, SVMHW_EVENT_VALID | vector);
    return true;
}

static bool avic(struct svmhw_core *core, struct svmhw_result *result)
{
    unsigned vector;

    if (core->halted && svmhw_plays(core, 2, SVMHW_A2_IGNORED)) {
        return false;
    }
    if (core->evaluate) {
        core->evaluate = false;
        core->recognised = svmhw_deliverable(core);
        svmhw_tell(core, SVMHW_TRACE_EVALUATE, core->recognised, 0);
    }
    vector = core->recognised;
    if (vector == SVMHW_NO_VECTOR || !gates_are_open(core)) {
        return false;
    }
    if (svmhw_plays(core, 25, SVMHW_A25_EXIT) && svmhw_intercepts(core, SVMHW_EXIT_VINTR)) {
        *result = svmhw_plain_exit(core, SVMHW_EXIT_VINTR);
        return true;
    }
    core->recognised = SVMHW_NO_VECTOR;
    return accepts(core, vector, result);
}

static bool virtual_interrupt(struct svmhw_core *core, struct svmhw_result *result)
{
    return svmhw_has_avic(core) ? avic(core, result) : v_irq(core, result);
}

/* ---- the boundary ---- */

static void look_at_the_bell(struct svmhw_core *core)
{
    if (__atomic_exchange_n(&core->bell, 0, __ATOMIC_SEQ_CST)) {
        core->evaluate = true;
        svmhw_tell(core, SVMHW_TRACE_DOORBELL_TAKEN, 0, 0);
    }
}

struct svmhw_result svmhw_boundary(struct svmhw_core *core)
{
    struct svmhw_result result = { .happened = SVMHW_NOT_IN_GUEST };

    if (!core->in_guest) {
        return result;
    }
    look_at_the_bell(core);
    if (physical(core, &result) || v_nmi(core, &result) || virtual_interrupt(core, &result)) {
        return result;
    }
    return (struct svmhw_result){ .happened = core->halted ? SVMHW_HALTED : SVMHW_DONE };
}

bool svmhw_begins(struct svmhw_core *core, struct svmhw_result *result)
{
    *result = svmhw_boundary(core);
    return result->happened == SVMHW_DONE;
}

void svmhw_retires(struct svmhw_core *core)
{
    core->rip += core->instruction_length;
    if (core->shadow) {
        core->shadow = false;
        svmhw_gate_opened(core);
    }
}

struct svmhw_result svmhw_done(struct svmhw_core *core, uint64_t value)
{
    svmhw_retires(core);
    return (struct svmhw_result){ .happened = SVMHW_DONE, .value = value };
}
