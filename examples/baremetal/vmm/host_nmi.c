/* SPDX-License-Identifier: BSD-2-Clause */
/* NMIs as kicks, and interrupts that are to be forgotten: what a VMM needs whose guest has the physical APIC. */
#include "host.h"
#include <vlapic/registers.h>

#define NMI 2u
#define NMI_GATE_BYTES 16u
#define DRAIN_LIMIT 10000u /* each takes one at least, but somebody may go on sending */

/* See host.h; made by RANGE. */
struct range {
    uint64_t begin, end, way_out;
};
extern const struct range host_ranges[], host_ranges_end[];
extern uint8_t host_vectors[], host_drain_vector[];

struct gate {
    uint64_t low, high;
};

struct table_register {
    uint16_t limit;
    uint64_t base;
} __attribute__((packed));

_Static_assert(offsetof(struct host_cpu, nmi) == HOST_NMI, "assembly reads it there");

void (*host_nmi_hook)(struct host_cpu *cpu);

void host_take_nmi(struct host_cpu *cpu, uint64_t *rip)
{
    if (host_nmi_hook == NULL) {
        host_panic(__FILE__, __LINE__, "NMI that nobody has asked for");
    }
    __atomic_store_n(&cpu->nmi, 1, __ATOMIC_SEQ_CST);
    for (const struct range *range = host_ranges; rip != NULL && range < host_ranges_end; range++) {
        if (*rip >= range->begin && *rip < range->end) {
            *rip = range->way_out;
        }
    }
    host_nmi_hook(cpu);
}

static struct gate gate_to(const uint8_t *code)
{
    uint64_t entry = (uint64_t)(uintptr_t)code;

    return (struct gate){ (entry & 0xFFFF) | HOST_CS << 16 | 0x8Eull << 40 | (entry >> 16 & 0xFFFF) << 48,
                          entry >> 32 };
}

static bool is_empty(void)
{
    for (uint32_t i = 0; i < 8; i++) {
        if (host_lapic_read(VLAPIC_REG_IRR + 16 * i) != 0) {
            return false;
        }
    }
    return true;
}

/* By an IDT of its own, for the vectors may be those of exceptions, some of which push an error code. None of those can come here. */
void host_drain(void)
{
    static struct gate idt[256];
    struct table_register before, drain = { sizeof(idt) - 1, (uint64_t)(uintptr_t)idt };

    for (uint32_t vector = 0; vector < 256; vector++) {
        idt[vector] = gate_to(vector == NMI ? host_vectors + NMI * NMI_GATE_BYTES : host_drain_vector);
    }
    __asm__ volatile("sidt %0; lidt %1" : "=m"(before) : "m"(drain));
    for (uint32_t i = 0; i < DRAIN_LIMIT && !is_empty(); i++) {
        __asm__ volatile("sti; nop; nop; cli" : : : "memory");
    }
    __asm__ volatile("lidt %0" : : "m"(before));
}
