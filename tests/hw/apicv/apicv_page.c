/* SPDX-License-Identifier: BSD-2-Clause */
/* The virtual-APIC page and the operations that everything else is made of. Reference 4, 5 and 6. */
#include "apicv_internal.h"

uint8_t *apicv_page(struct apicv_cpu *cpu)
{
    return apicv_memory(cpu, apicv_get(cpu, APICV_VIRTUAL_APIC_ADDRESS), 4096);
}

/* Others may read the page meanwhile, as a hint: each dword is accessed at once. */
static uint32_t *dword(struct apicv_cpu *cpu, uint32_t offset)
{
    return (uint32_t *)(void *)(apicv_page(cpu) + offset);
}

uint32_t apicv_page_read(struct apicv_cpu *cpu, uint32_t offset)
{
    return __atomic_load_n(dword(cpu, offset), __ATOMIC_RELAXED);
}

void apicv_page_write(struct apicv_cpu *cpu, uint32_t offset, uint32_t value)
{
    __atomic_store_n(dword(cpu, offset), value, __ATOMIC_RELAXED);
}

/* Bit x of VIRR or VISR: only the low dword of each 16-byte slot is used. */
static uint32_t dword_of_vector(uint32_t base, uint8_t vector)
{
    return base | (vector & 0xE0u) >> 1;
}

static bool page_has_vector(struct apicv_cpu *cpu, uint32_t base, uint8_t vector)
{
    return apicv_page_read(cpu, dword_of_vector(base, vector)) >> (vector & 0x1F) & 1;
}

void apicv_page_set_vector(struct apicv_cpu *cpu, uint32_t base, uint8_t vector)
{
    uint32_t offset = dword_of_vector(base, vector);

    apicv_page_write(cpu, offset, apicv_page_read(cpu, offset) | 1u << (vector & 0x1F));
}

static void page_clear_vector(struct apicv_cpu *cpu, uint32_t base, uint8_t vector)
{
    uint32_t offset = dword_of_vector(base, vector);

    apicv_page_write(cpu, offset, apicv_page_read(cpu, offset) & ~(1u << (vector & 0x1F)));
}

/* The highest vector, or 0 if there is none. */
static uint8_t page_highest(struct apicv_cpu *cpu, uint32_t base)
{
    for (unsigned v = 255; v > 0; v--) {
        if (page_has_vector(cpu, base, (uint8_t)v)) {
            return (uint8_t)v;
        }
    }
    return 0;
}

struct apicv_trap apicv_no_trap(void)
{
    struct apicv_trap trap = { false, 0, 0 };

    return trap;
}

struct apicv_trap apicv_write_trap(uint32_t offset)
{
    struct apicv_trap trap = { true, APICV_EXIT_APIC_WRITE, offset };

    return trap;
}

/* ---- 5: primitive operations ---- */

struct apicv_trap apicv_tpr_virtualization(struct apicv_cpu *cpu)
{
    if (!apicv_virtual_interrupt_delivery(cpu)) {
        uint32_t tpr_class = apicv_page_read(cpu, APICV_VTPR) >> 4 & 0xF;
        uint32_t threshold = apicv_get32(cpu, APICV_TPR_THRESHOLD) & 0xF;
        struct apicv_trap below = { tpr_class < threshold, APICV_EXIT_TPR_BELOW_THRESHOLD, 0 };

        return below;
    }
    apicv_ppr_virtualization(cpu);
    apicv_evaluate(cpu);
    return apicv_no_trap();
}

void apicv_ppr_virtualization(struct apicv_cpu *cpu)
{
    uint32_t tpr = apicv_page_read(cpu, APICV_VTPR) & 0xFF;

    if (tpr >> 4 >= cpu->svi >> 4) {
        apicv_page_write(cpu, APICV_VPPR, tpr);
    } else {
        apicv_page_write(cpu, APICV_VPPR, cpu->svi & 0xF0u);
    }
}

static bool eoi_exits(const struct apicv_cpu *cpu, uint8_t vector)
{
    static const enum apicv_field bitmaps[] = { APICV_EOI_EXIT_BITMAP_0, APICV_EOI_EXIT_BITMAP_1,
                                                APICV_EOI_EXIT_BITMAP_2, APICV_EOI_EXIT_BITMAP_3 };

    return apicv_get(cpu, bitmaps[vector >> 6]) >> (vector & 63) & 1;
}

/* The vector is SVI, not a fresh search of VISR. */
struct apicv_trap apicv_eoi_virtualization(struct apicv_cpu *cpu)
{
    uint8_t vector = cpu->svi;

    apicv_emit(cpu, APICV_TRACE_EOI, vector, 0);
    page_clear_vector(cpu, APICV_VISR, vector);
    cpu->svi = page_highest(cpu, APICV_VISR);
    apicv_ppr_virtualization(cpu);
    if (eoi_exits(cpu, vector)) {
        struct apicv_trap trap = { true, APICV_EXIT_VIRTUALIZED_EOI, vector };

        return trap; /* without evaluation, which the next VM entry makes up for */
    }
    apicv_evaluate(cpu);
    return apicv_no_trap();
}

void apicv_self_ipi_virtualization(struct apicv_cpu *cpu, uint8_t vector)
{
    apicv_emit(cpu, APICV_TRACE_SELF_IPI, vector, 0);
    apicv_page_set_vector(cpu, APICV_VIRR, vector);
    if (vector > cpu->rvi) {
        cpu->rvi = vector;
    }
    apicv_evaluate(cpu);
}

/* ---- 6: evaluation and delivery ---- */

void apicv_evaluate(struct apicv_cpu *cpu)
{
    uint32_t ppr_class = apicv_page_read(cpu, APICV_VPPR) >> 4 & 0xF;

    cpu->recognised = !apicv_primary(cpu, APICV_PRIMARY_INTERRUPT_WINDOW_EXITING) &&
                      (uint32_t)cpu->rvi >> 4 > ppr_class;
}

/* VIRR[RVI] is not looked at: a stale RVI delivers. */
uint8_t apicv_take_virtual_interrupt(struct apicv_cpu *cpu)
{
    uint8_t vector = cpu->rvi;
    uint32_t kept = cpu->knobs.delivery_stores_vppr_byte ? apicv_page_read(cpu, APICV_VPPR) & 0xFFFFFF00u : 0;

    apicv_page_set_vector(cpu, APICV_VISR, vector);
    cpu->svi = vector;
    apicv_page_write(cpu, APICV_VPPR, kept | (vector & 0xF0u));
    page_clear_vector(cpu, APICV_VIRR, vector);
    cpu->rvi = page_highest(cpu, APICV_VIRR);
    cpu->recognised = false;
    return vector;
}
