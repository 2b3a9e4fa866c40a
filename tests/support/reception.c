/* SPDX-License-Identifier: BSD-2-Clause */
#include "reception.h"

#include <string.h>

struct reception receive(struct vlapic_cpu *cpu)
{
    struct reception got;
    struct vlapic_poll duty;

    memset(&got, 0, sizeof got);
    for (;;) {
        vlapic_cpu_poll(cpu, &duty);
        got.init |= duty.init;
        got.nmi |= duty.nmi;
        got.smi |= duty.smi;
        got.extint |= duty.extint_message;
        if (duty.sipi) {
            got.sipi = true;
            got.page = duty.sipi_vector;
        }
        if (duty.vector < 0)
            break;
        assert_true(vlapic_cpu_accept(cpu, (uint8_t)duty.vector));
        if (!got.vectors) {
            got.vector = (uint8_t)duty.vector;
            got.level = guest_bit(cpu, VLAPIC_REG_TMR, got.vector);
        }
        got.vectors++;
        guest_eoi(cpu);
    }
    if (vlapic_cpu_apic_base(cpu) & VLAPIC_BASE_EN)
        got.errors = (uint8_t)guest_esr(cpu);
    return got;
}

#define SAME(member)                                                                                                   \
    do {                                                                                                               \
        if (expected->member != actual->member)                                                                        \
            fail_msg("%s: vCPU %u: %s is %#x, expected %#x", what, cpu, #member, actual->member, expected->member);    \
    } while (0)

void assert_reception(const struct reception *expected, const struct reception *actual, const char *what, unsigned cpu)
{
    SAME(vectors);
    SAME(vector);
    SAME(level);
    SAME(init);
    SAME(nmi);
    SAME(smi);
    SAME(extint);
    SAME(sipi);
    SAME(page);
    SAME(errors);
}

void assert_received(struct vlapic_cpu *cpu, struct reception expected, const char *what)
{
    struct reception got = receive(cpu);

    assert_reception(&expected, &got, what, vlapic_cpu_apic_id(cpu));
}

void assert_received_nothing(struct vlapic_cpu *cpu, const char *what)
{
    assert_received(cpu, (struct reception){ .vectors = 0 }, what);
}

struct receiver receiver_of(struct vlapic_cpu *cpu)
{
    struct vlapic_cpu_state state;

    memset(&state, 0, sizeof state);
    assert_int_equal(vlapic_cpu_get_state(cpu, &state, sizeof state), VLAPIC_OK);
    return (struct receiver){
        .enabled = (state.apic_base & VLAPIC_BASE_EN) != 0,
        .x2apic = (state.apic_base & VLAPIC_BASE_EXTD) != 0,
        .software_enabled = (state.svr & VLAPIC_SVR_ENABLE) != 0,
        .id = state.apic_id,
        .xapic_id = state.xapic_id,
        .ldr = state.ldr >> 24,
        .dfr = state.dfr >> 28,
    };
}

static bool is_broadcast(const struct vlapic_vm_config *config, enum sender sender, uint32_t destination,
                         const struct receiver *r)
{
    switch (sender) {
    case SENDER_XAPIC_ICR:
        return destination == 0xFF;
    case SENDER_X2APIC_ICR:
        return destination == 0xFFFFFFFF;
    default:
        return destination == 0xFFFFFFFF || (destination == 0xFF && (!r->x2apic || !config->msi_ff_not_broadcast));
    }
}

bool destination_names(const struct vlapic_vm_config *config, enum sender sender, uint32_t destination, bool logical,
                       const struct receiver *r)
{
    if (!r->enabled)
        return false;
    if (is_broadcast(config, sender, destination, r))
        return true;
    if (!logical) {
        if (r->x2apic)
            return destination == r->id;
        if (destination <= 0xFF)
            return destination == r->xapic_id;
        return config->dest_alias ? (destination & 0xFF) == r->xapic_id : destination == r->id;
    }
    if (r->x2apic) {
        uint32_t ldr = ((r->id & 0x000FFFF0) << 12) | (1u << (r->id & 0xF));

        return destination >> 16 == ldr >> 16 && (destination & ldr & 0xFFFF) != 0;
    }
    if (destination > 0xFF)
        return false;
    if (r->dfr == 0xF)
        return (destination & r->ldr) != 0;
    if (r->dfr == 0)
        return destination >> 4 == r->ldr >> 4 && (destination & r->ldr & 0xF) != 0;
    return false;
}

uint32_t next_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return (uint32_t)((*state * 0x2545F4914F6CDD1Dull) >> 32);
}
