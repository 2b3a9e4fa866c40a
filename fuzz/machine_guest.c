/* SPDX-License-Identifier: BSD-2-Clause */
/* The guest's view: registers in either mode, and what the priority rules make of them. */
#include "machine_internal.h"

bool machine_is_enabled(const struct machine_cpu *c)
{
    return (vlapic_cpu_apic_base(c->cpu) & VLAPIC_BASE_EN) != 0;
}

bool machine_is_x2apic(const struct machine_cpu *c)
{
    return (vlapic_cpu_apic_base(c->cpu) & VLAPIC_BASE_EXTD) != 0;
}

/* The clock stands still, or the look could take in an expiry that was not there yet. */
uint32_t machine_read(struct machine_cpu *c, uint32_t offset)
{
    uint64_t drift_ns = c->machine->drift_ns, value = 0;

    c->machine->drift_ns = 0;
    if (machine_is_x2apic(c)) {
        (void)vlapic_cpu_msr_read(c->cpu, VLAPIC_MSR_OF(offset), &value);
    } else {
        (void)vlapic_cpu_mmio_read(c->cpu, offset, 4, &value);
        MUST(value <= UINT32_MAX);
    }
    c->machine->drift_ns = drift_ns;
    return (uint32_t)value;
}

void machine_forget_eoi(struct machine_cpu *c)
{
    c->notified_vector = -1;
    c->machine->broadcast = -1;
}

void machine_write(struct machine_cpu *c, uint32_t offset, uint32_t value)
{
    machine_forget_eoi(c);
    if (machine_is_x2apic(c)) {
        (void)vlapic_cpu_msr_write(c->cpu, VLAPIC_MSR_OF(offset), value);
    } else {
        (void)vlapic_cpu_mmio_write(c->cpu, offset, 4, value);
    }
}

bool machine_test_vector(const uint32_t words[8], uint8_t vector)
{
    return (words[vector >> 5] >> (vector & 31) & 1u) != 0;
}

bool machine_has_ier(const struct vlapic_vm_config *config)
{
    return config->ext_space && (config->ext_features & VLAPIC_EXT_IER) != 0;
}

static void read_vectors(struct machine_cpu *c, uint32_t base, uint32_t words[8])
{
    for (uint32_t w = 0; w < 8; w++) {
        words[w] = machine_read(c, base + (w << 4));
    }
}

/* Vectors that IER hides stay in the registers and count for nothing. */
static void hide(struct machine_cpu *c, uint32_t words[8])
{
    uint32_t ier[8];

    if (machine_has_ier(&c->machine->config)) {
        read_vectors(c, VLAPIC_REG_IER, ier);
        for (uint32_t w = 0; w < 8; w++) {
            words[w] &= ier[w];
        }
    }
}

int machine_highest(const uint32_t words[8])
{
    for (int v = 255; v >= 0; v--) {
        if (words[v >> 5] == 0) {
            v &= ~31; /* on to the next word */
        } else if (machine_test_vector(words, (uint8_t)v)) {
            return v;
        }
    }
    return -1;
}

uint32_t machine_ppr_of(uint32_t tpr, int in_service)
{
    uint32_t isrv = in_service < 0 ? 0 : (uint32_t)in_service;

    return (tpr >> 4) >= (isrv >> 4) ? tpr : isrv & 0xF0u;
}

int machine_in_service(struct machine_cpu *c)
{
    uint32_t isr[8];

    read_vectors(c, VLAPIC_REG_ISR, isr);
    hide(c, isr);
    return machine_highest(isr);
}

static int class_now(struct machine_cpu *c)
{
    return (int)(machine_ppr_of(machine_read(c, VLAPIC_REG_TPR), machine_in_service(c)) >> 4);
}

int machine_deliverable(struct machine_cpu *c)
{
    uint32_t irr[8];
    int vector;

    read_vectors(c, VLAPIC_REG_IRR, irr);
    hide(c, irr);
    vector = machine_highest(irr);
    return vector >= 0 && vector >> 4 > class_now(c) ? vector : -1;
}

bool machine_may_accept(struct machine_cpu *c, uint8_t vector)
{
    uint32_t irr[8];

    read_vectors(c, VLAPIC_REG_IRR, irr);
    hide(c, irr);
    return machine_test_vector(irr, vector) && vector >> 4 > class_now(c);
}

bool machine_has(struct machine_cpu *c, uint32_t base, uint8_t vector)
{
    return (machine_read(c, base + ((uint32_t)(vector >> 5) << 4)) >> (vector & 31) & 1u) != 0;
}
