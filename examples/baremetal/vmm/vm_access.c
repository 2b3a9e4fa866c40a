/* SPDX-License-Identifier: BSD-2-Clause */
/* The guest's accesses to its APIC, as they arrive with the soft backend: page, MSRs, CR8. Where no APIC answers, reads of memory give ones. */
#include "vm.h"

static bool is_in_memory(uint64_t address, uint64_t bytes)
{
    return address >= GUEST_BASE && address + bytes <= GUEST_BASE + GUEST_BYTES;
}

static uint64_t read_register(void *cookie, uint32_t reg)
{
    struct vcpu *cpu = cookie;

    if (reg == VLAPIC_DECODE_RIP) {
        return cpu->regs.rip;
    }
    return reg == VLAPIC_DECODE_RFLAGS ? cpu->regs.rflags : cpu->regs.general[reg];
}

static void write_register(void *cookie, uint32_t reg, uint64_t value)
{
    struct vcpu *cpu = cookie;

    if (reg == VLAPIC_DECODE_RFLAGS) {
        cpu->regs.rflags = value;
    } else {
        cpu->regs.general[reg] = value;
    }
}

static bool is_window(struct vcpu *cpu)
{
    return (vlapic_cpu_apic_base(cpu->apic) & ~0xFFFull) == cpu->mmio_page;
}

static bool apic_read(void *cookie, uint32_t offset, uint32_t width, uint64_t *value)
{
    struct vcpu *cpu = cookie;

    if (!is_window(cpu) || vlapic_cpu_mmio_read(cpu->apic, offset, width, value) != VLAPIC_ACCESS_DONE) {
        *value = UINT64_MAX >> (64 - 8 * width);
    }
    trace(cpu, 'r', offset, *value);
    return true;
}

static bool apic_write(void *cookie, uint32_t offset, uint32_t width, uint64_t value)
{
    struct vcpu *cpu = cookie;

    trace(cpu, 'w', offset, value);
    if (is_window(cpu)) {
        vlapic_cpu_mmio_write(cpu->apic, offset, width, value);
    }
    return true;
}

static bool memory_read(void *cookie, const struct vlapic_decode_address *address, uint32_t width, uint64_t *value)
{
    (void)cookie;
    *value = 0;
    if (is_in_memory(address->linear, width)) {
        memcpy(value, (const void *)(uintptr_t)address->linear, width);
    }
    return is_in_memory(address->linear, width);
}

static bool memory_write(void *cookie, const struct vlapic_decode_address *address, uint32_t width, uint64_t value)
{
    (void)cookie;
    if (is_in_memory(address->linear, width)) {
        memcpy((void *)(uintptr_t)address->linear, &value, width);
    }
    return is_in_memory(address->linear, width);
}

const struct vlapic_decode_ops vm_guest_ops = {
    .size = sizeof(vm_guest_ops),
    .abi = VLAPIC_DECODE_ABI,
    .read_register = read_register,
    .write_register = write_register,
    .apic_read = apic_read,
    .apic_write = apic_write,
    .memory_read = memory_read,
    .memory_write = memory_write,
};

size_t vm_fetch(void *cookie, uint8_t *bytes, size_t size, enum vlapic_decode_mode *mode)
{
    uint64_t rip = ((struct vcpu *)cookie)->regs.rip;
    uint64_t left = is_in_memory(rip, 1) ? GUEST_BASE + GUEST_BYTES - rip : 0;

    *mode = VLAPIC_DECODE_MODE_64;
    size = size < left ? size : left;
    memcpy(bytes, (const void *)(uintptr_t)rip, size);
    return size;
}

void vm_carry_out(struct vcpu *cpu, const struct vlapic_decode_ops *ops)
{
    uint8_t bytes[VLAPIC_DECODE_MAX_LENGTH];
    enum vlapic_decode_mode mode;
    struct vlapic_decode_insn insn;
    size_t count = vm_fetch(cpu, bytes, sizeof(bytes), &mode);
    enum vlapic_decode_status status = vlapic_decode_parse(mode, bytes, count, &insn);

    cpu->mmio_page = cpu->exit.address & ~0xFFFull;
    if (cpu->mmio_page != GUEST_WINDOW && cpu->mmio_page != GUEST_WINDOW_MOVED) {
        status = VLAPIC_DECODE_UNSUPPORTED;
    } else if (status == VLAPIC_DECODE_DONE) {
        status = vlapic_decode_execute(&insn, ops, cpu, cpu->exit.address, cpu->exit.write);
    }
    switch (status) {
    case VLAPIC_DECODE_DONE:
        vcpu_advance(cpu, insn.length);
        break;
    case VLAPIC_DECODE_AGAIN:
        break;
    default:
        host_print("FAIL %s: vCPU %u at %llx: cannot carry out the access to %llx (%u)\n", vm.payload->name, cpu->index,
                   (unsigned long long)cpu->regs.rip, (unsigned long long)cpu->exit.address, status);
        vm_end(VERDICT_FAIL, 0);
    }
}

void vm_mmio(struct vcpu *cpu)
{
    vm_carry_out(cpu, &vm_guest_ops);
}

void vm_msr(struct vcpu *cpu)
{
    uint64_t *regs = cpu->regs.general, value = (uint32_t)regs[REG_RAX] | regs[REG_RDX] << 32;
    uint32_t msr = (uint32_t)regs[REG_RCX];
    enum vlapic_access access = cpu->exit.write ? vlapic_cpu_msr_write(cpu->apic, msr, value)
                                                : vlapic_cpu_msr_read(cpu->apic, msr, &value);

    trace(cpu, cpu->exit.write ? 'W' : 'R', msr, value);
    if (access != VLAPIC_ACCESS_DONE) { /* not the APIC's: there is no other MSR */
        cpu->gp_pending = true;
        return;
    }
    if (!cpu->exit.write) {
        regs[REG_RAX] = (uint32_t)value;
        regs[REG_RDX] = value >> 32;
    }
    vcpu_advance(cpu, cpu->exit.length);
}

void vm_cr8(struct vcpu *cpu)
{
    uint64_t *reg = &cpu->regs.general[cpu->exit.reg];

    if (!cpu->exit.write) {
        *reg = vlapic_cpu_cr8_read(cpu->apic);
        trace(cpu, 'c', 0, *reg);
    } else {
        trace(cpu, 'C', 0, *reg);
        if (vlapic_cpu_cr8_write(cpu->apic, *reg) == VLAPIC_ACCESS_GP) {
            cpu->gp_pending = true;
            return;
        }
    }
    vcpu_advance(cpu, cpu->exit.length);
}
