/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The register table. Intel SDM 3A, "Local APIC Register Address Map" and "x2APIC Register Address Space"; AMD APM 2,
 * "Extended APIC space". What a register does when written is in the file of its topic.
 */
#include <string.h>

#include "vlapic_model.h"

struct vlapic_reg {
    const char *name;
    /* Of the manual, by title: for readers of the table alone. */
    const char *section; /* cppcheck-suppress unusedStructMember */
    uint8_t xapic;       /* enum vlapic_reg_access */
    uint8_t x2apic;
    uint8_t option;    /* enum vlapic_reg_option */
    uint32_t reset;    /* RESET and INIT value */
    uint32_t writable; /* bits that a write changes */
    uint32_t valid;    /* bits that may be 1 in a WRMSR: `writable` and the ignored read-only status bits */
    uint32_t (*read)(struct vlapic_cpu *cpu, uint32_t offset);              /* NULL: what the block holds */
    void (*write)(struct vlapic_cpu *cpu, uint32_t offset, uint32_t value); /* NULL: store */
};

/* Which setting of the VM decides that a register, or some of its bits, exist. */
enum vlapic_reg_option {
    ALWAYS = 0,
    OPTION_ID,       /* writable with id_writable */
    OPTION_SVR,      /* bit 12 with eoi_suppression; bit 9 may fault */
    OPTION_DEADLINE, /* bit 18 with tsc_deadline */
    OPTION_CMCI,     /* exists if max_lvt counts it */
    OPTION_EXT,      /* exists with ext_space */
    OPTION_CONTROL,  /* the same, bits by capability */
    OPTION_SEOI,
    OPTION_IER,
    OPTION_EXT_LVT
};

#define LVT_RESET VLAPIC_LVT_MASKED
#define LVT_BITS 0x000107FFu
#define LVT_VALID 0x000117FFu
#define EIGHT(base, ...)                                                                                               \
    [((base) >> 4)] = __VA_ARGS__, [((base) >> 4) + 1] = __VA_ARGS__, [((base) >> 4) + 2] = __VA_ARGS__,               \
                [((base) >> 4) + 3] = __VA_ARGS__, [((base) >> 4) + 4] = __VA_ARGS__,                                  \
                [((base) >> 4) + 5] = __VA_ARGS__, [((base) >> 4) + 6] = __VA_ARGS__,                                  \
                [((base) >> 4) + 7] = __VA_ARGS__

static void write_id(struct vlapic_cpu *cpu, uint32_t offset, uint32_t value)
{
    (void)offset;
    if (cpu->vm->config.id_writable) {
        vlapic_core_identity_changed(cpu, value >> 24);
    }
}

/* LDR and DFR: each receiver uses what it holds when the message comes. */
static void write_logical(struct vlapic_cpu *cpu, uint32_t offset, uint32_t value)
{
    vlapic_put(cpu, offset, offset == VLAPIC_REG_DFR ? value | 0x0FFFFFFFu : value);
    vlapic_core_route_update(cpu);
    vlapic_tell_backend(cpu, VLAPIC_CHANGE_IDENTITY);
}

/* clang-format off */
static const struct vlapic_reg registers[VLAPIC_SLOTS] = {
    [VLAPIC_REG_ID >> 4] = { "ID", "Local xAPIC ID", VLAPIC_REG_RW, VLAPIC_REG_RO, OPTION_ID,
        0, 0xFF000000u, 0, NULL, write_id },
    [VLAPIC_REG_VERSION >> 4] = { "Version", "Local APIC Version Register", VLAPIC_REG_RO, VLAPIC_REG_RO, ALWAYS,
        0, 0, 0, NULL, NULL },
    [VLAPIC_REG_TPR >> 4] = { "TPR", "Task Priority", VLAPIC_REG_RW, VLAPIC_REG_RW, ALWAYS,
        0, 0xFF, 0xFF, NULL, vlapic_core_write_tpr },
    [VLAPIC_REG_APR >> 4] = { "APR", "Arbitration Priority", VLAPIC_REG_RO, VLAPIC_REG_NONE, ALWAYS,
        0, 0, 0, NULL, NULL },
    [VLAPIC_REG_PPR >> 4] = { "PPR", "Task and Processor Priorities", VLAPIC_REG_RO, VLAPIC_REG_RO, ALWAYS,
        0, 0, 0, NULL, NULL },
    [VLAPIC_REG_EOI >> 4] = { "EOI", "Signaling Interrupt Servicing Completion", VLAPIC_REG_WO, VLAPIC_REG_WO, ALWAYS,
        0, 0xFFFFFFFFu, 0, NULL, vlapic_core_write_eoi },
    [VLAPIC_REG_RRD >> 4] = { "RRD", "Local APIC Register Address Map", VLAPIC_REG_RO, VLAPIC_REG_NONE, ALWAYS,
        0, 0, 0, NULL, NULL },
    [VLAPIC_REG_LDR >> 4] = { "LDR", "Logical Destination Mode", VLAPIC_REG_RW, VLAPIC_REG_RO, ALWAYS,
        0, 0xFF000000u, 0, NULL, write_logical },
    [VLAPIC_REG_DFR >> 4] = { "DFR", "Logical Destination Mode", VLAPIC_REG_RW, VLAPIC_REG_NONE, ALWAYS,
        0xFFFFFFFFu, 0xF0000000u, 0, NULL, write_logical },
    [VLAPIC_REG_SVR >> 4] = { "SVR", "Spurious Interrupt", VLAPIC_REG_RW, VLAPIC_REG_RW, OPTION_SVR,
        0xFF, 0x13FFu, 0x13FFu, NULL, vlapic_core_write_svr },
    EIGHT(VLAPIC_REG_ISR, { "ISR", "Interrupt Acceptance for Fixed Interrupts", VLAPIC_REG_RO, VLAPIC_REG_RO, ALWAYS,
        0, 0, 0, NULL, NULL }),
    EIGHT(VLAPIC_REG_TMR, { "TMR", "Interrupt Acceptance for Fixed Interrupts", VLAPIC_REG_RO, VLAPIC_REG_RO, ALWAYS,
        0, 0, 0, NULL, NULL }),
    EIGHT(VLAPIC_REG_IRR, { "IRR", "Interrupt Acceptance for Fixed Interrupts", VLAPIC_REG_RO, VLAPIC_REG_RO, ALWAYS,
        0, 0, 0, NULL, NULL }),
    [VLAPIC_REG_ESR >> 4] = { "ESR", "Error Handling", VLAPIC_REG_RW, VLAPIC_REG_RW, ALWAYS,
        0, 0xFFFFFFFFu, 0, NULL, vlapic_core_write_esr },
    [VLAPIC_REG_LVT_CMCI >> 4] = { "LVT CMCI", "Local Vector Table", VLAPIC_REG_RW, VLAPIC_REG_RW, OPTION_CMCI,
        LVT_RESET, LVT_BITS, LVT_VALID, NULL, vlapic_core_write_lvt },
    [VLAPIC_REG_ICR_LOW >> 4] = { "ICR", "Interrupt Command Register (ICR)", VLAPIC_REG_RW, VLAPIC_REG_RW, ALWAYS,
        0, VLAPIC_ICR_BITS, VLAPIC_ICR_BITS, vlapic_core_read_icr_low, vlapic_core_write_icr_low },
    [VLAPIC_REG_ICR_HIGH >> 4] = { "ICR high", "Interrupt Command Register (ICR)", VLAPIC_REG_RW, VLAPIC_REG_NONE, ALWAYS,
        0, 0xFF000000u, 0, NULL, NULL },
    [VLAPIC_REG_LVT_TIMER >> 4] = { "LVT timer", "APIC Timer", VLAPIC_REG_RW, VLAPIC_REG_RW, OPTION_DEADLINE,
        LVT_RESET, 0x000700FFu, 0x000710FFu, NULL, vlapic_core_write_lvt_timer },
    [VLAPIC_REG_LVT_THERMAL >> 4] = { "LVT thermal", "Local Vector Table", VLAPIC_REG_RW, VLAPIC_REG_RW, ALWAYS,
        LVT_RESET, LVT_BITS, LVT_VALID, NULL, vlapic_core_write_lvt },
    [VLAPIC_REG_LVT_PERF >> 4] = { "LVT perf", "Local Vector Table", VLAPIC_REG_RW, VLAPIC_REG_RW, ALWAYS,
        LVT_RESET, LVT_BITS, LVT_VALID, NULL, vlapic_core_write_lvt },
    [VLAPIC_REG_LVT_LINT0 >> 4] = { "LVT LINT0", "Local Vector Table", VLAPIC_REG_RW, VLAPIC_REG_RW, ALWAYS,
        LVT_RESET, 0x0001A7FFu, 0x0001F7FFu, NULL, vlapic_core_write_lint0 },
    [VLAPIC_REG_LVT_LINT1 >> 4] = { "LVT LINT1", "Local Vector Table", VLAPIC_REG_RW, VLAPIC_REG_RW, ALWAYS,
        LVT_RESET, 0x0001A7FFu, 0x0001F7FFu, NULL, vlapic_core_write_lvt },
    [VLAPIC_REG_LVT_ERROR >> 4] = { "LVT error", "Local Vector Table", VLAPIC_REG_RW, VLAPIC_REG_RW, ALWAYS,
        LVT_RESET, 0x000100FFu, 0x000110FFu, NULL, vlapic_core_write_lvt },
    [VLAPIC_REG_INITIAL_COUNT >> 4] = { "Initial count", "APIC Timer", VLAPIC_REG_RW, VLAPIC_REG_RW, ALWAYS,
        0, 0xFFFFFFFFu, 0xFFFFFFFFu, NULL, vlapic_core_write_initial_count },
    [VLAPIC_REG_CURRENT_COUNT >> 4] = { "Current count", "APIC Timer", VLAPIC_REG_RO, VLAPIC_REG_RO, ALWAYS,
        0, 0, 0, vlapic_core_read_current_count, NULL },
    [VLAPIC_REG_DIVIDE_CONFIG >> 4] = { "Divide configuration", "APIC Timer", VLAPIC_REG_RW, VLAPIC_REG_RW, ALWAYS,
        0, 0xB, 0xB, NULL, vlapic_core_write_divide_config },
    [VLAPIC_REG_SELF_IPI >> 4] = { "SELF IPI", "SELF IPI Register", VLAPIC_REG_NONE, VLAPIC_REG_WO, ALWAYS,
        0, 0xFF, 0xFF, NULL, vlapic_core_write_self_ipi },
    [VLAPIC_REG_EXT_FEATURE >> 4] = { "Extended feature", "Extended APIC Feature Register", VLAPIC_REG_RO, VLAPIC_REG_RO,
        OPTION_EXT, 0, 0, 0, vlapic_core_read_ext_feature, NULL },
    [VLAPIC_REG_EXT_CONTROL >> 4] = { "Extended control", "Extended APIC Control Register", VLAPIC_REG_RW, VLAPIC_REG_RW,
        OPTION_CONTROL, 0, 0x7, 0x7, NULL, NULL },
    [VLAPIC_REG_SEOI >> 4] = { "SEOI", "Specific End of Interrupt Register", VLAPIC_REG_WO, VLAPIC_REG_RW, OPTION_SEOI,
        0, 0xFF, 0xFF, vlapic_core_read_seoi, vlapic_core_write_seoi },
    EIGHT(VLAPIC_REG_IER, { "IER", "Interrupt Enable Registers", VLAPIC_REG_RW, VLAPIC_REG_RW, OPTION_IER,
        0xFFFFFFFFu, 0xFFFFFFFFu, 0xFFFFFFFFu, NULL, vlapic_core_write_ier }),
    EIGHT(VLAPIC_REG_EXT_LVT, { "Extended LVT", "Extended Local Vector Table", VLAPIC_REG_RW, VLAPIC_REG_RW, OPTION_EXT_LVT,
        LVT_RESET, LVT_BITS, LVT_VALID, NULL, vlapic_core_write_lvt }),
};
/* clang-format on */

static bool exists(const struct vlapic_vm_config *config, const struct vlapic_reg *reg, uint32_t offset)
{
    switch (reg->option) {
    case OPTION_CMCI:
        return config->max_lvt >= 6;
    case OPTION_EXT:
    case OPTION_CONTROL:
        return config->ext_space;
    case OPTION_SEOI:
        return config->ext_space && (config->ext_features & VLAPIC_EXT_SEOI) != 0;
    case OPTION_IER:
        return config->ext_space && (config->ext_features & VLAPIC_EXT_IER) != 0;
    case OPTION_EXT_LVT:
        return config->ext_space && ((offset - VLAPIC_REG_EXT_LVT) >> 4) < config->ext_lvt_count;
    default:
        return true;
    }
}

/* Bits of `mask` that this VM implements in the register. */
static uint32_t implemented(const struct vlapic_vm_config *config, const struct vlapic_reg *reg, uint32_t mask)
{
    switch (reg->option) {
    case OPTION_SVR:
        return config->eoi_suppression ? mask : mask & ~VLAPIC_SVR_EOI_SUPPRESS;
    case OPTION_DEADLINE:
        return config->tsc_deadline ? mask : mask & ~VLAPIC_LVT_TIMER_DEADLINE;
    case OPTION_CONTROL:
        return mask & config->ext_features;
    default:
        return mask;
    }
}

/* Bits of a WRMSR that do not fault, where a setting or the vendor decides besides. */
static uint32_t accepted(const struct vlapic_vm_config *config, uint32_t offset, uint32_t valid)
{
    if (offset == VLAPIC_REG_SVR && config->svr_bit9_faults) {
        valid &= ~VLAPIC_SVR_FOCUS_DISABLE;
    }
    if (offset == VLAPIC_REG_ICR_LOW && config->vendor == VLAPIC_VENDOR_INTEL) {
        valid |= VLAPIC_ICR_STATUS;
    }
    return valid;
}

static void resolve_resets(struct vlapic_vm *vm)
{
    vm->reset_count = 0;
    for (uint32_t i = 0; i < VLAPIC_SLOTS; i++) {
        if (registers[i].reset != 0) {
            vm->resets[vm->reset_count++] = (struct vlapic_reset){ .offset = i << 4, .value = registers[i].reset };
        }
    }
}

void vlapic_core_reg_resolve(struct vlapic_vm *vm)
{
    const struct vlapic_vm_config *config = &vm->config;

    memset(vm->slots, 0, sizeof(vm->slots));
    for (uint32_t i = 0; i < VLAPIC_SLOTS; i++) {
        const struct vlapic_reg *reg = &registers[i];
        uint32_t offset = i << 4;

        if (reg->name == NULL || !exists(config, reg, offset)) {
            continue;
        }
        vm->slots[i] = (struct vlapic_slot){
            .read = reg->read,
            .write = reg->write,
            .writable = implemented(config, reg, reg->writable),
            .valid = accepted(config, offset, implemented(config, reg, reg->valid)),
            .xapic = reg->xapic,
            .x2apic = reg->x2apic,
        };
    }
    resolve_resets(vm);
}

/* Most registers are reset to zero. */
void vlapic_core_reg_reset(struct vlapic_cpu *cpu)
{
    const struct vlapic_vm *vm = cpu->vm;
    uint32_t id = vlapic_get(cpu, VLAPIC_REG_ID);
    uint32_t version = vlapic_get(cpu, VLAPIC_REG_VERSION);

    memset(cpu->regs, 0, VLAPIC_REGS_BYTES);
    for (uint32_t i = 0; i < vm->reset_count; i++) {
        vlapic_put(cpu, vm->resets[i].offset, vm->resets[i].value);
    }
    vlapic_put(cpu, VLAPIC_REG_ID, id);
    vlapic_put(cpu, VLAPIC_REG_VERSION, version);
}
