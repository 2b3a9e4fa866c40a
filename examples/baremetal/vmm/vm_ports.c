/* SPDX-License-Identifier: BSD-2-Clause */
/* The guest's I/O ports: contract.h says what they do. Those of devices are in vm_devices.c. */
#include "hv.h"
#include "vm.h"

static void console(struct vcpu *cpu, char character)
{
    if (character != '\n' && cpu->line_length < VM_LINE_BYTES - 1) {
        cpu->line[cpu->line_length++] = character;
        return;
    }
    cpu->line[cpu->line_length] = 0;
    host_print("%s\n", cpu->line);
    cpu->line_length = 0;
}

static void out(struct vcpu *cpu, uint32_t value)
{
    switch (cpu->exit.port) {
    case GUEST_PORT_CONSOLE:
        console(cpu, (char)value);
        break;
    case GUEST_PORT_VERDICT:
        vm_end(value == 0 ? VERDICT_PASS : VERDICT_FAIL, value);
        break;
    case GUEST_PORT_EXITS:
        cpu->exits_asked = value;
        break;
    default:
        vm_mode->out(cpu, value);
    }
}

static uint32_t exits(const struct vcpu *cpu)
{
    uint32_t sum = 0;

    if (cpu->exits_asked < GUEST_EXIT_KINDS) {
        return cpu->exits[cpu->exits_asked];
    }
    for (uint32_t kind = GUEST_EXIT_MMIO; kind <= GUEST_EXIT_TPR; kind++) {
        sum += cpu->exits[kind];
    }
    return sum;
}

static uint32_t in(struct vcpu *cpu)
{
    switch (cpu->exit.port) {
    case GUEST_PORT_CLOCK:
        cpu->clock_latch = vm_mode->clock();
        return (uint32_t)cpu->clock_latch;
    case GUEST_PORT_CLOCK_HIGH:
        return (uint32_t)(cpu->clock_latch >> 32);
    case GUEST_PORT_PATIENCE:
        return (uint32_t)(vm.patience < UINT32_MAX ? vm.patience : UINT32_MAX - 1);
    case GUEST_PORT_EXITS:
        return exits(cpu);
    case GUEST_PORT_FREE:
        return hv->free(cpu);
    default:
        return vm_mode->in(cpu);
    }
}

void vm_port(struct vcpu *cpu)
{
    uint64_t *rax = &cpu->regs.general[REG_RAX];
    uint64_t mask = UINT64_MAX >> (64 - 8 * cpu->exit.width);

    if (cpu->exit.write) {
        trace(cpu, 'o', cpu->exit.port, *rax & mask);
        out(cpu, (uint32_t)(*rax & mask));
    } else {
        *rax = cpu->exit.width == 4 ? in(cpu) : (*rax & ~mask) | (in(cpu)&mask);
    }
}
