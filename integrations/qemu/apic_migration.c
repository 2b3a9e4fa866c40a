/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The library's state in the fields of QEMU's APICCommonState and back: for migration, also to and from QEMU's own APIC, and for
 * `info lapic`. What the fields cannot say travels as a snapshot of the library's in a subsection, sent only when it is needed.
 */
#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qemu/qemu-print.h"
#include "hw/intc/i8259.h"
#include "migration/vmstate.h"
#include "apic_vlapic.h"

/* Bits that the registers have; QEMU's own APIC stores whatever the guest wrote. */
#define LVT_COMMON (VLAPIC_VECTOR_MASK | VLAPIC_LVT_MASKED)
#define LVT_LINT (LVT_COMMON | VLAPIC_DELIVERY_MASK | VLAPIC_LVT_POLARITY | VLAPIC_LVT_REMOTE_IRR | VLAPIC_LVT_LEVEL)
#define SVR_BITS (VLAPIC_VECTOR_MASK | VLAPIC_SVR_ENABLE | VLAPIC_SVR_FOCUS_DISABLE)
#define ICR_LOW_BITS                                                                                                   \
    (VLAPIC_VECTOR_MASK | VLAPIC_DELIVERY_MASK | VLAPIC_ICR_LOGICAL | VLAPIC_ICR_ASSERT | VLAPIC_ICR_LEVEL |           \
     VLAPIC_ICR_SHORTHAND_MASK)
#define ICR_HIGH_BITS 0xFF000000u
#define ESR_BITS 0xFCu
#define DIVIDE_BITS 0xBu
#define DFR_ONES 0x0FFFFFFFu
/* Vectors 0..15 cannot be pending. */
#define FIRST_WORD_BITS 0xFFFF0000u

static const uint32_t lvt_bits[APIC_LVT_NB] = {
    [APIC_LVT_TIMER] = LVT_COMMON | VLAPIC_LVT_TIMER_MODE_MASK,
    [APIC_LVT_THERMAL] = LVT_COMMON | VLAPIC_DELIVERY_MASK,
    [APIC_LVT_PERFORM] = LVT_COMMON | VLAPIC_DELIVERY_MASK,
    [APIC_LVT_LINT0] = LVT_LINT,
    [APIC_LVT_LINT1] = LVT_LINT,
    [APIC_LVT_ERROR] = LVT_COMMON,
};
QEMU_BUILD_BUG_ON((int)APIC_LVT_LINT0 != (int)VLAPIC_LVT_LINT0 || (int)APIC_LVT_ERROR != (int)VLAPIC_LVT_ERROR);

/* --- the timer ------------------------------------------------------------------------------------------------------- */
/* QEMU's clock of the timer runs at 1 GHz, ours is configured so: input clocks are nanoseconds. */

/* Initial count to expiry. QEMU's own APIC counts one clock more in a period. */
static int64_t full_count(const APICCommonState *c, bool periodic)
{
    return ((int64_t)c->initial_count + periodic) << c->count_shift;
}

static bool is_periodic(const APICCommonState *c)
{
    return (c->lvt[APIC_LVT_TIMER] & VLAPIC_LVT_TIMER_MODE_MASK) == VLAPIC_LVT_TIMER_PERIODIC;
}

static void timer_to_fields(const struct vlapic_cpu_state *state, APICCommonState *c)
{
    int64_t now = qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL);
    uint32_t code = (state->divide_config & 3) | ((state->divide_config >> 1) & 4);

    c->divide_conf = state->divide_config;
    c->count_shift = (code + 1) & 7;
    c->initial_count = state->initial_count;
    /* A timer that stands still looks like one that ran down just now. */
    c->next_time = now + (state->timer_running ? (int64_t)state->timer_remaining : 0);
    c->initial_count_load_time = c->next_time - full_count(c, is_periodic(c));
    c->timer_expiry = -1;
    if (state->timer_running && !(c->lvt[APIC_LVT_TIMER] & VLAPIC_LVT_MASKED)) {
        c->timer_expiry = c->next_time;
    }
}

/* Nanoseconds until the timer that the fields describe expires, 0 if it does not run. */
static int64_t remaining_ns(const APICCommonState *c)
{
    int64_t now = qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL);
    int64_t elapsed = now - c->initial_count_load_time;
    int64_t full = full_count(c, is_periodic(c));

    if (c->initial_count == 0) {
        return 0;
    }
    if (c->timer_expiry != -1) {
        return MAX(c->timer_expiry - now, 1);
    }
    if (is_periodic(c)) {
        return elapsed >= 0 ? full - elapsed % full : full;
    }
    return elapsed < full ? full - elapsed : 0;
}

static void timer_from_fields(const APICCommonState *c, struct vlapic_cpu_state *state)
{
    state->initial_count = c->initial_count;
    state->timer_remaining = MIN(remaining_ns(c), full_count(c, false));
    state->timer_running = state->timer_remaining != 0;
}

/* --- everything else ------------------------------------------------------------------------------------------------- */
static void vectors_to_fields(const struct vlapic_cpu_state *state, APICCommonState *c)
{
    memcpy(c->isr, state->isr, sizeof(c->isr));
    memcpy(c->tmr, state->tmr, sizeof(c->tmr));
    memcpy(c->irr, state->irr, sizeof(c->irr));
}

static void to_fields(const struct vlapic_cpu_state *state, APICCommonState *c)
{
    c->apicbase = state->apic_base;
    c->id = state->xapic_id;
    c->arb_id = 0;
    c->tpr = state->tpr;
    c->spurious_vec = state->svr;
    c->log_dest = state->ldr >> 24;
    c->dest_mode = state->dfr >> 28;
    vectors_to_fields(state, c);
    memcpy(c->lvt, state->lvt, sizeof(c->lvt));
    c->esr = state->esr;
    c->icr[0] = state->icr;
    c->icr[1] = state->icr >> 32;
    c->wait_for_sipi = (state->events & VLAPIC_EVENT_WAIT_FOR_SIPI) != 0;
    timer_to_fields(state, c);
}

static void vectors_from_fields(const APICCommonState *c, struct vlapic_cpu_state *state)
{
    memcpy(state->isr, c->isr, sizeof(state->isr));
    memcpy(state->tmr, c->tmr, sizeof(state->tmr));
    memcpy(state->irr, c->irr, sizeof(state->irr));
    state->isr[0] &= FIRST_WORD_BITS;
    state->tmr[0] &= FIRST_WORD_BITS;
    state->irr[0] &= FIRST_WORD_BITS;
}

static uint32_t lvt_from_field(const APICCommonState *c, int entry)
{
    uint32_t value = c->lvt[entry] & lvt_bits[entry];

    if (entry != APIC_LVT_LINT0 || (value & VLAPIC_DELIVERY_MASK) != 0 || !(value & VLAPIC_LVT_LEVEL)) {
        value &= ~VLAPIC_LVT_REMOTE_IRR;
    }
    /* A software-disabled APIC has its entries masked. */
    return c->spurious_vec & VLAPIC_SVR_ENABLE ? value : value | VLAPIC_LVT_MASKED;
}

static void lvts_from_fields(const APICCommonState *c, struct vlapic_cpu_state *state)
{
    for (int i = 0; i < APIC_LVT_NB; i++) {
        state->lvt[i] = lvt_from_field(c, i);
    }
    state->lvt[VLAPIC_LVT_CMCI] = VLAPIC_LVT_MASKED;
    for (unsigned i = 0; i < VLAPIC_LVT_EXT_MAX; i++) {
        state->lvt_ext[i] = VLAPIC_LVT_MASKED;
    }
}

static void icr_from_fields(const APICCommonState *c, struct vlapic_cpu_state *state)
{
    uint32_t high = c->apicbase & VLAPIC_BASE_EXTD ? c->icr[1] : c->icr[1] & ICR_HIGH_BITS;

    state->icr = (uint64_t)high << 32 | (c->icr[0] & ICR_LOW_BITS);
}

/* A disabled APIC holds no interrupts, and its timers do not run. */
static void activity_from_fields(const APICCommonState *c, struct vlapic_cpu_state *state)
{
    if (!(c->apicbase & VLAPIC_BASE_EN)) {
        return;
    }
    vectors_from_fields(c, state);
    if ((state->lvt[VLAPIC_LVT_TIMER] & VLAPIC_LVT_TIMER_MODE_MASK) == VLAPIC_LVT_TIMER_DEADLINE) {
        state->tsc_deadline = c->cpu->env.tsc_deadline;
    } else {
        timer_from_fields(c, state);
    }
}

static void from_fields(const ApicVlapic *s, struct vlapic_cpu_state *state)
{
    const APICCommonState *c = &s->common;

    memset(state, 0, sizeof(*state));
    state->size = sizeof(*state);
    state->apic_id = c->initial_apic_id;
    state->apic_base = c->apicbase;
    /* QEMU's own APIC lets a guest change it, this one does not. */
    state->xapic_id = (uint8_t)c->initial_apic_id;
    state->tpr = c->tpr;
    state->ldr = c->apicbase & VLAPIC_BASE_EXTD ? 0 : (uint32_t)c->log_dest << 24;
    state->dfr = (uint32_t)c->dest_mode << 28 | DFR_ONES;
    state->svr = c->spurious_vec & SVR_BITS;
    state->esr = c->esr & ESR_BITS;
    icr_from_fields(c, state);
    lvts_from_fields(c, state);
    memset(state->ier, 0xff, sizeof(state->ier));
    state->divide_config = c->divide_conf & DIVIDE_BITS;
    activity_from_fields(c, state);
    state->events = (c->wait_for_sipi ? VLAPIC_EVENT_WAIT_FOR_SIPI : 0) | (s->pic_level ? VLAPIC_EVENT_LINE0 : 0);
}

/* --- QEMU's callbacks ------------------------------------------------------------------------------------------------ */
static void read_state(ApicVlapic *s, struct vlapic_cpu_state *state)
{
    memset(state, 0, sizeof(*state));
    vlapic_cpu_get_state(s->lapic, state, sizeof(*state));
}

void apic_fill_fields(ApicVlapic *s)
{
    struct vlapic_cpu_state state;
    /* A SIPI that the library handed over and the CPU has not taken yet is in these two. */
    int waits = s->common.wait_for_sipi;

    read_state(s, &state);
    to_fields(&state, &s->common);
    s->common.wait_for_sipi |= waits;
}

/* True if a load from the fields would not give the state back. */
static bool fields_fall_short(ApicVlapic *s)
{
    struct vlapic_cpu_state state, again;

    read_state(s, &state);
    from_fields(s, &again);
    again.time_ns = state.time_ns;
    /* What was handed over to the CPU is in QEMU's interrupt requests: see apic_fill_fields(). */
    uint32_t handed_over = VLAPIC_EVENT_WAIT_FOR_SIPI | (s->init_requested ? VLAPIC_EVENT_INIT : 0);
    again.events &= ~handed_over;
    state.events &= ~handed_over;
    return memcmp(&state, &again, sizeof(state)) != 0 || s->extint_message;
}

void apic_pre_save(APICCommonState *common)
{
    ApicVlapic *s = APIC_VLAPIC(common);
    size_t length = 0;

    apic_fill_fields(s);
    if (fields_fall_short(s)) {
        vlapic_snapshot_export_cpu(s->lapic, s->snapshot, sizeof(s->snapshot), &length);
    }
    s->snapshot_length = length;
}

static void load_snapshot(ApicVlapic *s)
{
    struct vlapic_snapshot_error error;

    if (s->snapshot_length > sizeof(s->snapshot) ||
        vlapic_snapshot_import_cpu(s->lapic, s->snapshot, s->snapshot_length, VLAPIC_TIME_STOPPED, &error) !=
            VLAPIC_OK) {
        error_report("libvlapic: the saved snapshot of APIC %u is not valid", s->common.initial_apic_id);
    }
}

static void load_fields(ApicVlapic *s)
{
    struct vlapic_cpu_state state;
    const char *field = NULL;

    from_fields(s, &state);
    if (vlapic_cpu_set_state(s->lapic, &state, VLAPIC_TIME_STOPPED, &field) != VLAPIC_OK) {
        error_report("libvlapic: the saved state of APIC %u is not valid: %s", s->common.initial_apic_id,
                     field ? field : "unknown field");
    }
}

void apic_post_load(APICCommonState *common)
{
    ApicVlapic *s = APIC_VLAPIC(common);

    if (s->snapshot_length != 0) {
        load_snapshot(s);
    } else {
        load_fields(s);
    }
    s->snapshot_length = 0;
    s->loaded = true;
}

static bool snapshot_needed(void *opaque)
{
    ApicVlapic *s = opaque;

    return s->snapshot_length != 0;
}

/* A later load, whose stream has no such subsection, must not find the old one. */
static int snapshot_saved(void *opaque)
{
    ApicVlapic *s = opaque;

    s->snapshot_length = 0;
    return 0;
}

/* patch.py enters it in the list of subsections of QEMU's "apic". */
extern const VMStateDescription vmstate_apic_vlapic;
const VMStateDescription vmstate_apic_vlapic = {
    .name = "apic/libvlapic",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = snapshot_needed,
    .post_save = snapshot_saved,
    .fields =
        (const VMStateField[]){
            VMSTATE_UINT32(snapshot_length, ApicVlapic),
            VMSTATE_UINT8_ARRAY(snapshot, ApicVlapic, VLAPIC_SNAPSHOT_MAX),
            VMSTATE_BOOL(extint_message, ApicVlapic),
            VMSTATE_END_OF_LIST(),
        },
};

void apic_vlapic_describe(APICCommonState *common)
{
    if (!object_dynamic_cast(OBJECT(common), TYPE_APIC)) {
        return;
    }
    apic_fill_fields(APIC_VLAPIC(common));
    qemu_printf("APIC model: libvlapic %d.%d.%d\n\n", VLAPIC_VERSION_MAJOR, VLAPIC_VERSION_MINOR, VLAPIC_VERSION_PATCH);
}
