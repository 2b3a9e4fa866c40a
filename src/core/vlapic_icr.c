/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Interrupt command register and SELF IPI. Intel SDM 3A, "Interrupt Command Register (ICR)", "SELF IPI Register"; AMD APM 2,
 * "Interprocessor Interrupts". Which combinations are sent, by vendor and policy, is the table in docs/CAPABILITIES.md.
 */
#include "vlapic_model.h"

struct command {
    uint8_t delivery; /* enum vlapic_delivery */
    uint8_t shorthand;
    uint8_t vector;
    bool level;   /* trigger mode */
    bool assert_; /* level bit */
};

static struct command decode(uint32_t low)
{
    struct command c = {
        .delivery = (uint8_t)((low & VLAPIC_DELIVERY_MASK) >> VLAPIC_DELIVERY_SHIFT),
        .shorthand = (uint8_t)((low & VLAPIC_ICR_SHORTHAND_MASK) >> VLAPIC_ICR_SHORTHAND_SHIFT),
        .vector = (uint8_t)low,
        .level = (low & VLAPIC_ICR_LEVEL) != 0,
        .assert_ = (low & VLAPIC_ICR_ASSERT) != 0,
    };
    return c;
}

static bool carries_vector(const struct command *c)
{
    return c->delivery == VLAPIC_DELIVERY_FIXED || c->delivery == VLAPIC_DELIVERY_LOWEST;
}

/*
 * The combinations that are not sent and record no error. An INIT with trigger level and level 0 is the de-assert of old buses;
 * AMD has no level-triggered message with level 0, where Intel sends an edge.
 */
static bool is_dropped(const struct vlapic_vm_config *config, const struct command *c)
{
    bool withdraws = c->level && !c->assert_;
    bool includes_self = c->shorthand == VLAPIC_SHORTHAND_SELF || c->shorthand == VLAPIC_SHORTHAND_ALL;

    if (c->delivery == VLAPIC_DELIVERY_RESERVED || c->delivery == VLAPIC_DELIVERY_EXTINT) {
        return true;
    }
    if (c->delivery == VLAPIC_DELIVERY_INIT && withdraws) {
        return true;
    }
    if (includes_self && c->delivery != VLAPIC_DELIVERY_FIXED && config->icr_policy == VLAPIC_ICR_STRICT) {
        return true;
    }
    return config->vendor == VLAPIC_VENDOR_AMD && withdraws && c->delivery != VLAPIC_DELIVERY_SIPI;
}

static bool is_unsupported_lowest(const struct vlapic_cpu *cpu, const struct command *c)
{
    const struct vlapic_vm_config *config = &cpu->vm->config;

    return c->delivery == VLAPIC_DELIVERY_LOWEST && vlapic_is_x2apic(cpu) && !config->lowest_in_x2apic &&
           config->vendor == VLAPIC_VENDOR_INTEL;
}

/* The sender notes that it sent, and a self-IPI that it received, an illegal vector. */
static void refuse_vector(struct vlapic_cpu *cpu, bool to_self)
{
    vlapic_core_error(cpu, VLAPIC_ESR_SEND_ILLEGAL_VECTOR);
    if (to_self && vlapic_is_software_enabled(cpu)) {
        vlapic_core_error(cpu, VLAPIC_ESR_RECEIVE_ILLEGAL_VECTOR);
    }
}

/* True if the command goes out; errors are recorded. */
static bool check(struct vlapic_cpu *cpu, const struct command *c)
{
    if (is_dropped(&cpu->vm->config, c)) {
        return false;
    }
    if (is_unsupported_lowest(cpu, c)) {
        vlapic_core_error(cpu, VLAPIC_ESR_REDIRECTABLE_IPI);
        return false;
    }
    if (carries_vector(c) && c->vector < 16) {
        refuse_vector(cpu, c->shorthand == VLAPIC_SHORTHAND_SELF);
        return false;
    }
    return true;
}

static void send_checked(struct vlapic_cpu *cpu, uint32_t low, uint32_t destination)
{
    struct command c = decode(low);
    bool logical = (low & VLAPIC_ICR_LOGICAL) != 0;
    struct vlapic_request request = {
        .sender = cpu,
        .destination = destination,
        .vector = c.vector,
        .delivery = c.delivery,
        .shorthand = c.shorthand,
        .source = vlapic_is_x2apic(cpu) ? VLAPIC_FROM_X2APIC : VLAPIC_FROM_XAPIC,
        .logical = logical,
        /* Intel ignores the trigger mode of an IPI and sends an edge. */
        .level = c.level && cpu->vm->config.vendor == VLAPIC_VENDOR_AMD,
        .arbitrated = c.delivery == VLAPIC_DELIVERY_LOWEST && (logical || c.shorthand != VLAPIC_SHORTHAND_NONE),
    };

    if (!check(cpu, &c)) {
        cpu->stats.dropped_ipis++;
        return;
    }
    cpu->stats.ipis++;
    vlapic_core_send(cpu->vm, &request);
}

/* A Fixed, edge-triggered IPI with a legal vector and one physical destination is sent whatever vendor and policy say. */
static inline void send(struct vlapic_cpu *cpu, uint32_t low, uint32_t destination)
{
    if ((low & ~(VLAPIC_VECTOR_MASK | VLAPIC_ICR_ASSERT)) == 0 && (low & VLAPIC_VECTOR_MASK) >= 16 &&
        vlapic_core_send_plain(cpu->vm, destination, VLAPIC_DELIVERY_FIXED, (uint8_t)low, false) >= 0) {
        cpu->stats.ipis++;
        return;
    }
    send_checked(cpu, low, destination);
}

/* Not a plain read because in x2APIC mode the high half comes along (vlapic_access.c). */
uint32_t vlapic_core_read_icr_low(struct vlapic_cpu *cpu, uint32_t offset)
{
    return vlapic_get(cpu, offset);
}

/* Delivery is complete when the write is: delivery status never shows 1. */
void vlapic_core_write_icr_low(struct vlapic_cpu *cpu, uint32_t offset, uint32_t value)
{
    vlapic_put(cpu, offset, value);
    send(cpu, value, vlapic_get(cpu, VLAPIC_REG_ICR_HIGH) >> 24);
}

void vlapic_core_write_x2apic_icr(struct vlapic_cpu *cpu, uint64_t value)
{
    uint32_t low = (uint32_t)value & ~VLAPIC_ICR_STATUS;
    uint32_t high = (uint32_t)(value >> 32);

    vlapic_put(cpu, VLAPIC_REG_ICR_LOW, low);
    vlapic_put(cpu, VLAPIC_REG_ICR_HIGH, high);
    send(cpu, low, high);
}

/* As an ICR write with shorthand self, which the ICR does not show. */
void vlapic_core_write_self_ipi(struct vlapic_cpu *cpu, uint32_t offset, uint32_t value)
{
    (void)offset;
    if (value < 16) {
        refuse_vector(cpu, true);
        cpu->stats.dropped_ipis++;
        return;
    }
    cpu->stats.ipis++;
    vlapic_core_accept_local(cpu, (uint8_t)value, false);
}
