/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Interrupt command register and SELF IPI. Intel SDM 3A, "Interrupt Command Register (ICR)", "SELF IPI Register"; AMD APM 2,
 * "Interprocessor Interrupts". What is sent: vlapic_icr_rules.h.
 */
#include "vlapic_icr_rules.h"
#include "vlapic_model.h"

/* The sender notes that it sent, and a self-IPI that it received, an illegal vector. */
static void refuse_vector(struct vlapic_cpu *cpu, bool to_self)
{
    vlapic_core_error(cpu, VLAPIC_ESR_SEND_ILLEGAL_VECTOR);
    if (to_self && vlapic_is_software_enabled(cpu)) {
        vlapic_core_error(cpu, VLAPIC_ESR_RECEIVE_ILLEGAL_VECTOR);
    }
}

/* True if the command goes out; errors are recorded. */
static bool check(struct vlapic_cpu *cpu, const struct vlapic_icr *icr)
{
    switch (vlapic_icr_judge(icr, &cpu->vm->config)) {
    case VLAPIC_ICR_SENT:
        return true;
    case VLAPIC_ICR_REDIRECTABLE:
        vlapic_core_error(cpu, VLAPIC_ESR_REDIRECTABLE_IPI);
        return false;
    case VLAPIC_ICR_ILLEGAL_VECTOR:
        refuse_vector(cpu, icr->shorthand == VLAPIC_SHORTHAND_SELF);
        return false;
    default:
        return false;
    }
}

static void send_checked(struct vlapic_cpu *cpu, uint32_t low, uint32_t destination)
{
    bool x2apic = vlapic_is_x2apic(cpu);
    struct vlapic_icr icr = vlapic_icr_from(x2apic ? VLAPIC_ICR_FORMAT_X2APIC : VLAPIC_ICR_FORMAT_XAPIC, low,
                                            destination);
    struct vlapic_request request = {
        .sender = cpu,
        .destination = destination,
        .vector = icr.vector,
        .delivery = (uint8_t)icr.delivery,
        .shorthand = (uint8_t)icr.shorthand,
        .source = x2apic ? VLAPIC_FROM_X2APIC : VLAPIC_FROM_XAPIC,
        .logical = icr.logical,
        /* Intel ignores the trigger mode of an IPI and sends an edge. */
        .level = icr.level && cpu->vm->config.vendor == VLAPIC_VENDOR_AMD,
        .arbitrated = icr.delivery == VLAPIC_DELIVERY_LOWEST && (icr.logical || icr.shorthand != VLAPIC_SHORTHAND_NONE),
    };

    if (!check(cpu, &icr)) {
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
