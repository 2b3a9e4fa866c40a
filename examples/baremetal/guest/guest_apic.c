/* SPDX-License-Identifier: BSD-2-Clause */
/* Access to the APIC in either mode, and the guest's ports. */
#include "guest.h"

uint64_t rdmsr(uint32_t msr)
{
    uint32_t low, high;

    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr) : "memory");
    return (uint64_t)high << 32 | low;
}

void wrmsr(uint32_t msr, uint64_t value)
{
    __asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)) : "memory");
}

/* The label behind the instruction is where the #GP's handler goes on. */
#define FAULTS(instruction, ...)                                                                                       \
    volatile struct guest_cpu *cpu = me();                                                                             \
    cpu->faulted = false;                                                                                              \
    __asm__ volatile("lea 1f(%%rip), %%r11; mov %%r11, %0; " instruction "; 1: movq $0, %0"                            \
                     : "+m"(cpu->resume), "=a"(ignored_low), "=d"(ignored_high)                                        \
                     : __VA_ARGS__                                                                                     \
                     : "r11", "memory", "cc");                                                                         \
    return cpu->faulted

bool rdmsr_faults(uint32_t msr)
{
    uint32_t ignored_low, ignored_high;

    FAULTS("rdmsr", "c"(msr));
}

bool wrmsr_faults(uint32_t msr, uint64_t value)
{
    uint32_t ignored_low, ignored_high;

    FAULTS("wrmsr", "c"(msr), "1"((uint32_t)value), "2"((uint32_t)(value >> 32)));
}

bool write_cr8_faults(uint64_t value)
{
    uint32_t ignored_low, ignored_high;

    FAULTS("mov %3, %%cr8", "r"(value));
}

uint32_t mmio_read(uint32_t offset)
{
    uint32_t value;

    __asm__ volatile("movl (%1), %0" : "=r"(value) : "r"(me()->window + offset) : "memory");
    return value;
}

void mmio_write(uint32_t offset, uint32_t value)
{
    __asm__ volatile("movl %0, (%1)" : : "r"(value), "r"(me()->window + offset) : "memory");
}

uint32_t apic_read(uint32_t offset)
{
    return me()->x2apic ? (uint32_t)rdmsr(VLAPIC_MSR_OF(offset)) : mmio_read(offset);
}

void apic_write(uint32_t offset, uint32_t value)
{
    if (me()->x2apic) {
        wrmsr(VLAPIC_MSR_OF(offset), value);
    } else {
        mmio_write(offset, value);
    }
}

void apic_eoi(void)
{
    apic_write(VLAPIC_REG_EOI, 0);
}

void apic_send(uint32_t destination, uint32_t low)
{
    if (me()->x2apic) {
        wrmsr(VLAPIC_MSR_OF(VLAPIC_REG_ICR_LOW), (uint64_t)destination << 32 | low);
    } else {
        mmio_write(VLAPIC_REG_ICR_HIGH, destination << 24);
        mmio_write(VLAPIC_REG_ICR_LOW, low);
    }
}

void apic_send_self(uint8_t vector)
{
    apic_send(0, ICR_SELF | VLAPIC_ICR_ASSERT | vector);
}

bool apic_bit(uint32_t first, uint8_t vector)
{
    return (apic_read(first + vector / 32 * 16) >> vector % 32 & 1) != 0;
}

bool apic_is_empty(uint32_t first)
{
    for (uint32_t i = 0; i < 8; i++) {
        if (apic_read(first + 16 * i) != 0) {
            return false;
        }
    }
    return true;
}

void apic_enable_x2apic(void)
{
    wrmsr(VLAPIC_MSR_APIC_BASE, rdmsr(VLAPIC_MSR_APIC_BASE) | VLAPIC_BASE_EN | VLAPIC_BASE_EXTD);
    me()->x2apic = true;
}

uint64_t guest_clock(void)
{
    uint32_t low = in32(GUEST_PORT_CLOCK);

    return (uint64_t)in32(GUEST_PORT_CLOCK_HIGH) << 32 | low;
}

uint32_t guest_exits(uint32_t kind)
{
    out32(GUEST_PORT_EXITS, kind);
    return in32(GUEST_PORT_EXITS);
}

uint32_t guest_free(void)
{
    return in32(GUEST_PORT_FREE);
}

void guest_msi(uint32_t apic_id, uint32_t data)
{
    out32(GUEST_PORT_MSI_ADDRESS, 0xFEE00000u | apic_id << 12);
    out32(GUEST_PORT_MSI_DATA, data);
}
