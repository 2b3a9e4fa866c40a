/* SPDX-License-Identifier: BSD-2-Clause */
/* What exits of the guest's accesses to its APIC: writes to the page, since ICR is on it; in x2APIC mode ICR alone; IA32_APIC_BASE. */
#include "hv.h"
#include "thin.h"

#define BASE_ADDRESS (~0xFFFull)
#define MSR_X2APIC_ICR VLAPIC_MSR_OF(VLAPIC_REG_ICR_LOW)

void thin_trap_msrs(uint8_t *map, bool (*set)(uint8_t *map, uint32_t msr, uint32_t access, bool trap))
{
    for (uint32_t msr = VLAPIC_MSR_X2APIC_FIRST; msr <= VLAPIC_MSR_X2APIC_LAST; msr++) {
        set(map, msr, VLAPIC_TRAP_READ, false);
        set(map, msr, VLAPIC_TRAP_WRITE, vlapic_trap_msr(msr, true) != VLAPIC_TRAP_NONE);
    }
    set(map, VLAPIC_MSR_APIC_BASE, VLAPIC_TRAP_READ, false);
    set(map, VLAPIC_MSR_TSC_DEADLINE, VLAPIC_TRAP_READ | VLAPIC_TRAP_WRITE, false);
}

uint32_t thin_free(struct vcpu *cpu)
{
    bool x2apic = (cpu->thin->target.apic_base & VLAPIC_BASE_EXTD) != 0;

    return GUEST_FREE_CR8 | GUEST_FREE_READS | GUEST_FREE_DELIVERY |
           (x2apic || cpu->thin->writes ? GUEST_FREE_TPR | GUEST_FREE_EOI | GUEST_FREE_SELF_IPI : 0);
}

void thin_place_window(struct vcpu *cpu)
{
    uint64_t base = cpu->thin->target.apic_base, window = 0;
    bool writes = thin_is_released();

    if ((base & (VLAPIC_BASE_EN | VLAPIC_BASE_EXTD)) == VLAPIC_BASE_EN) {
        window = base & BASE_ADDRESS;
    }
    if (cpu->thin->window != 0) {
        hv->show_window(cpu, cpu->thin->window, HV_WINDOW_NONE);
    }
    if (window != 0) {
        hv->show_window(cpu, window, writes ? HV_WINDOW_ALL : HV_WINDOW_READS);
    }
    cpu->thin->window = window;
    cpu->thin->writes = writes;
}

static bool is_window(const struct vcpu *cpu)
{
    return cpu->thin->window != 0 && cpu->mmio_page == cpu->thin->window;
}

/* Of a read-modify-write; or where no window is. */
static bool page_read(void *cookie, uint32_t offset, uint32_t width, uint64_t *value)
{
    const struct vcpu *cpu = cookie;
    uint32_t shift = 8 * (offset & 3);

    *value = UINT64_MAX >> (64 - 8 * width);
    if (is_window(cpu) && shift + 8 * width <= 32) {
        *value &= (uint64_t)host_lapic_read(offset & ~3u) >> shift;
    }
    return true;
}

static void count_write(bool window, uint32_t offset)
{
    thin_count(!window
                   ? THIN_XAPIC_OTHER
                   : (offset == VLAPIC_REG_ICR_LOW ? THIN_XAPIC_ICR
                                                   : (offset == VLAPIC_REG_EOI ? THIN_XAPIC_EOI : THIN_XAPIC_OTHER)));
}

/*
 * The manuals define writes of 32 bits at multiples of 16 bytes. What is not is dropped, for there are APICs that take what lies behind ICR for ICR. So is
 * one of the ID, as current processors do: with another ID the CPU would not get its kicks.
 */
static bool is_for_apic(uint32_t offset, uint32_t width)
{
    return width == 4 && offset % 16 == 0 && offset != VLAPIC_REG_ID;
}

static bool page_write(void *cookie, uint32_t offset, uint32_t width, uint64_t value)
{
    struct vcpu *cpu = cookie;
    bool window = is_window(cpu);

    trace(cpu, 'w', offset, value);
    count_write(window, offset);
    if (!window || !is_for_apic(offset, width)) {
        return true;
    }
    if (vlapic_trap_mmio(offset, width, true) == VLAPIC_TRAP_ICR) {
        uint64_t high = (uint64_t)host_lapic_read(VLAPIC_REG_ICR_HIGH) << 32;

        if (thin_icr_write(cpu, VLAPIC_ICR_FORMAT_XAPIC, high | value) != THIN_PASS) {
            return true;
        }
    }
    host_lapic_write(offset, (uint32_t)value);
    if (offset == VLAPIC_REG_LDR || offset == VLAPIC_REG_DFR) {
        thin_apic_note(cpu);
    }
    return true;
}

void thin_mmio(struct vcpu *cpu)
{
    struct vlapic_decode_ops ops = vm_guest_ops;

    ops.apic_read = page_read;
    ops.apic_write = page_write;
    vm_carry_out(cpu, &ops);
}

/* The guest may place its window where the contract has one, and nowhere else: elsewhere is memory of the VMM's, or nothing. Nor may it turn the APIC
 * off: a CPU without one takes no NMI, so nothing could make it look. As there is no way out of x2APIC mode but that, none is left. */
static bool is_base_allowed(uint64_t old, uint64_t base)
{
    bool x2apic = (base & VLAPIC_BASE_EXTD) != 0;
    uint64_t address = base & BASE_ADDRESS;

    if (((base ^ old) & ~(BASE_ADDRESS | VLAPIC_BASE_EXTD)) != 0 ||
        (address != GUEST_WINDOW && address != GUEST_WINDOW_MOVED)) {
        return false;
    }
    return x2apic ? (vm.features & GUEST_FEATURE_X2APIC) != 0 : (old & VLAPIC_BASE_EXTD) == 0;
}

static bool write_base(struct vcpu *cpu, uint64_t base)
{
    thin_count(THIN_BASE);
    if (!is_base_allowed(rdmsr(VLAPIC_MSR_APIC_BASE), base)) {
        return false;
    }
    wrmsr(VLAPIC_MSR_APIC_BASE, base);
    thin_apic_note(cpu);
    thin_place_window(cpu);
    return true;
}

static bool write_icr(struct vcpu *cpu, uint64_t value)
{
    enum thin_verdict verdict;

    thin_count(THIN_X2APIC_ICR);
    if (!host_lapic_is_x2apic()) {
        return false;
    }
    verdict = thin_icr_write(cpu, VLAPIC_ICR_FORMAT_X2APIC, value);
    if (verdict == THIN_PASS) {
        wrmsr(MSR_X2APIC_ICR, value & (UINT64_MAX << 32 | VLAPIC_ICR_BITS)); /* where others are reserved, they fault */
    }
    return verdict != THIN_GP;
}

static bool is_apic_msr(uint32_t msr)
{
    return (msr >= VLAPIC_MSR_X2APIC_FIRST && msr <= VLAPIC_MSR_X2APIC_LAST) || msr == VLAPIC_MSR_APIC_BASE ||
           msr == VLAPIC_MSR_TSC_DEADLINE;
}

void thin_msr(struct vcpu *cpu)
{
    uint64_t *regs = cpu->regs.general, value = (uint32_t)regs[REG_RAX] | regs[REG_RDX] << 32;
    uint32_t msr = (uint32_t)regs[REG_RCX];
    bool done = false;

    trace(cpu, cpu->exit.write ? 'W' : 'R', msr, value);
    switch (vlapic_trap_msr(msr, cpu->exit.write)) {
    case VLAPIC_TRAP_ICR:
        done = write_icr(cpu, value);
        break;
    case VLAPIC_TRAP_BASE:
        done = write_base(cpu, value);
        break;
    default:
        if (is_apic_msr(msr)) {
            thin_count(msr == VLAPIC_MSR_OF(VLAPIC_REG_EOI) ? THIN_X2APIC_EOI : THIN_X2APIC_OTHER);
            vm_give_up(cpu); /* nobody asked for it */
        }
    }
    if (done) {
        vcpu_advance(cpu, cpu->exit.length);
    } else {
        cpu->gp_pending = true;
    }
}
