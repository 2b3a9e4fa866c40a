/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The posted-interrupt descriptor: posting from any thread, and the owner's side of it. Intel SDM 3C, "Posted-Interrupt
 * Processing". Where hardware does not process it, it is the same descriptor in software. The hand-overs are argued in docs/CONCURRENCY.md, section
 * 6, the numbers in brackets are its steps.
 */
#include "vlapic_vmx_internal.h"

static bool level_of(const struct vmx_shared *shared, uint32_t word, uint64_t bit)
{
    return (__atomic_load_n(&shared->level[word], __ATOMIC_SEQ_CST) & bit) != 0;
}

/* True if nobody had set the bit before. */
static bool set_first(uint64_t *word, uint64_t bit) /* NOLINT(readability-non-const-parameter): atomically */
{
    return (__atomic_fetch_or(word, bit, __ATOMIC_SEQ_CST) & bit) == 0;
}

/* A vector in the trigger mode that TMR and the EOI-exit bitmap have is carried by the descriptor. The mode is looked at again after PIR
 * is set: if it changed meanwhile, by a RESET for instance, the vector goes the other way, too, with its mode. ON is set by then: others
 * who found the vector in PIR rely on it. */
enum vlapic_post vlapic_vmx_core_post(void *memory, uint8_t vector, bool level)
{
    struct vmx_shared *shared = memory;
    struct vmx_descriptor *descriptor = shared->descriptor;
    uint32_t word = vector / 64u;
    uint64_t bit = 1ull << (vector % 64u);
    bool is_news;

    if (level_of(shared, word, bit) != level) {
        return VLAPIC_POST_DECLINE;
    }
    is_news = set_first(&descriptor->pir[word], bit) &&       /* [D1] */
              set_first(&descriptor->control, DESCRIPTOR_ON); /* [D2] */
    if (level_of(shared, word, bit) != level) {               /* [D3] */
        return VLAPIC_POST_DECLINE;
    }
    if (!is_news) {
        return VLAPIC_POST_NONE; /* whoever set the bit, or ON, tells the vCPU */
    }
    return __atomic_load_n(&shared->notifies, __ATOMIC_SEQ_CST) ? VLAPIC_POST_NOTIFY : VLAPIC_POST_KICK; /* [D4] */
}

/* The format of NDST is that of the host's APICs. */
static uint64_t to_ndst(const struct vmx_shared *shared, uint32_t apic_id)
{
    return (uint64_t)(shared->host_x2apic ? apic_id : (apic_id & 0xFFu) << 8) << DESCRIPTOR_NDST_SHIFT;
}

static uint32_t from_ndst(const struct vmx_shared *shared, uint64_t control)
{
    uint32_t ndst = (uint32_t)(control >> DESCRIPTOR_NDST_SHIFT);

    return shared->host_x2apic ? ndst : ndst >> 8 & 0xFFu;
}

void vlapic_vmx_core_notify(void *memory)
{
    struct vmx_shared *shared = memory;
    uint64_t control = __atomic_load_n(&shared->descriptor->control, __ATOMIC_SEQ_CST);

    shared->notify(shared->cookie, from_ndst(shared, control), (uint8_t)(control >> DESCRIPTOR_NV_SHIFT));
}

bool vlapic_vmx_core_pending(const void *memory)
{
    const struct vmx_shared *shared = memory;

    return (__atomic_load_n(&shared->descriptor->control, __ATOMIC_SEQ_CST) & DESCRIPTOR_ON) != 0;
}

/* [D5] ON is cleared before PIR is read: what is posted from now on sets it anew. */
bool vlapic_vmx_core_collect(void *cpu_state, struct vlapic_vectors *posted, struct vlapic_vectors *level)
{
    struct vmx_cpu *state = cpu_state;
    struct vmx_descriptor *descriptor = state->shared->descriptor;
    uint64_t any = 0;

    __atomic_fetch_and(&descriptor->control, ~DESCRIPTOR_ON, __ATOMIC_SEQ_CST);
    for (uint32_t w = 0; w < 4; w++) {
        posted->word[w] = 0;
        if (__atomic_load_n(&descriptor->pir[w], __ATOMIC_SEQ_CST) != 0) {
            posted->word[w] = __atomic_exchange_n(&descriptor->pir[w], 0, __ATOMIC_SEQ_CST);
        }
        posted->word[w] |= state->late.word[w];
        level->word[w] = state->shared->level[w] | state->late.word[w];
        state->late.word[w] = 0;
        any |= posted->word[w];
    }
    return any != 0;
}

/* The owner alone changes NV, NDST and SN, but posters set ON at any time. */
static void set_control(struct vmx_descriptor *descriptor, uint64_t mask, uint64_t value)
{
    uint64_t old = __atomic_load_n(&descriptor->control, __ATOMIC_RELAXED);

    while (!__atomic_compare_exchange_n(&descriptor->control, &old, (old & ~mask) | value, false, __ATOMIC_SEQ_CST,
                                        __ATOMIC_RELAXED)) {
    }
}

/* [D6] While SN was set, hardware that posted left ON alone. */
static void find_unannounced(struct vmx_descriptor *descriptor)
{
    for (uint32_t w = 0; w < 4; w++) {
        if (__atomic_load_n(&descriptor->pir[w], __ATOMIC_SEQ_CST) != 0) {
            __atomic_fetch_or(&descriptor->control, DESCRIPTOR_ON, __ATOMIC_SEQ_CST);
            return;
        }
    }
}

static bool has_posted(const struct vmx_cpu *state)
{
    return (state->vm->features & VLAPIC_VMX_POSTED) != 0;
}

static uint64_t vector_bits(uint8_t vector)
{
    return (uint64_t)vector << DESCRIPTOR_NV_SHIFT;
}

/* Notifications go to the physical CPU where the vCPU is loaded. */
static void notify_here(const struct vmx_cpu *state)
{
    set_control(state->shared->descriptor, DESCRIPTOR_NDST | DESCRIPTOR_NV | DESCRIPTOR_SN,
                state->here | vector_bits(state->vm->notification_vector));
    find_unannounced(state->shared->descriptor);
}

/* A vCPU that sleeps is woken where it went to sleep, wherever its thread is: the list that knows it is there. Nor is ON touched, which nobody
 * would look at. */
void vlapic_vmx_core_load(void *cpu_state)
{
    struct vmx_cpu *state = cpu_state;

    if (!has_posted(state)) {
        return;
    }
    state->is_loaded = true;
    state->here = to_ndst(state->shared, state->vm->ops.physical_apic_id(state->cookie));
    if (!state->is_blocked) {
        notify_here(state);
    }
}

void vlapic_vmx_core_put(void *cpu_state)
{
    struct vmx_cpu *state = cpu_state;

    state->is_loaded = false;
    if (has_posted(state) && !state->is_blocked) {
        set_control(state->shared->descriptor, 0, DESCRIPTOR_SN);
    }
}

static void tell_blocked(const struct vmx_cpu *state, bool blocked)
{
    if (state->vm->ops.blocked != NULL) {
        uint64_t control = __atomic_load_n(&state->shared->descriptor->control, __ATOMIC_SEQ_CST);

        state->vm->ops.blocked(state->cookie, from_ndst(state->shared, control), blocked);
    }
}

/* [D7] The embedder's list knows the vCPU before the vector is the wake-up vector; ON is looked at after it is [H2]. */
void vlapic_vmx_core_block(void *cpu_state)
{
    struct vmx_cpu *state = cpu_state;

    if (!has_posted(state)) {
        return;
    }
    if (!state->is_blocked) { /* who sleeps again without having woken is in the list */
        state->is_blocked = true;
        tell_blocked(state, true);
    }
    set_control(state->shared->descriptor, DESCRIPTOR_NV | DESCRIPTOR_SN, vector_bits(state->vm->wakeup_vector));
    find_unannounced(state->shared->descriptor);
}

/* What comes from now on is found by the look that precedes the next entry or sleep. */
void vlapic_vmx_core_unblock(void *cpu_state)
{
    struct vmx_cpu *state = cpu_state;

    if (!state->is_blocked) {
        return;
    }
    state->is_blocked = false;
    tell_blocked(state, false);
    if (state->is_loaded) {
        notify_here(state);
    } else {
        vlapic_vmx_core_put(state);
    }
}

/* [D8] What is in PIR of vectors that change was, or may have been, posted in the mode before, after what changed it was taken: it is taken
 * out, to be collected as level triggered, since an EOI too many does no harm. */
static void take_late(struct vmx_cpu *state, uint32_t w, uint64_t changed)
{
    struct vmx_descriptor *descriptor = state->shared->descriptor;
    uint64_t late;

    if (changed == 0) {
        return;
    }
    late = __atomic_fetch_and(&descriptor->pir[w], ~changed, __ATOMIC_SEQ_CST) & changed;
    if (late != 0) {
        state->late.word[w] |= late;
        __atomic_fetch_or(&descriptor->control, DESCRIPTOR_ON, __ATOMIC_SEQ_CST);
    }
}

void vlapic_vmx_core_publish_levels(struct vmx_cpu *state)
{
    for (uint32_t w = 0; w < 4; w++) {
        uint64_t low = vmx_page(state, VLAPIC_REG_TMR + 32 * w);
        uint64_t high = vmx_page(state, VLAPIC_REG_TMR + 32 * w + 16);
        uint64_t old = __atomic_exchange_n(&state->shared->level[w], high << 32 | low, __ATOMIC_SEQ_CST);

        take_late(state, w, old ^ (high << 32 | low));
    }
    state->eoi_exit_is_stale = true;
}

bool vlapic_vmx_is_outstanding(struct vlapic_cpu *cpu)
{
    const struct vmx_cpu *state = vmx_of(cpu);

    return state != NULL && vlapic_vmx_core_pending(state->shared);
}

uint64_t vlapic_vmx_descriptor(struct vlapic_cpu *cpu)
{
    const struct vmx_cpu *state = vmx_of(cpu);

    return state != NULL && has_posted(state) ? state->descriptor_pa : 0;
}
