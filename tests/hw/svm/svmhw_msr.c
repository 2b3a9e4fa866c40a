/* SPDX-License-Identifier: BSD-2-Clause */
/* RDMSR and WRMSR of the guest: permission map, x2AVIC. Reference 3.8, 5.3, 16.4 and 16.5. */
#include "svmhw_internal.h"

/* Where the two bits of an MSR are in the map; false: outside of it. */
static bool find_in_map(uint32_t msr, uint32_t *byte, unsigned *read_bit)
{
    static const struct {
        uint32_t first, base;
    } ranges[] = { { 0x00000000, 0x0000 }, { 0xC0000000, 0x0800 }, { 0xC0010000, 0x1000 } };

    for (unsigned i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        if ((msr & ~UINT32_C(0x1FFF)) == ranges[i].first) {
            *byte = ranges[i].base + (msr & 0x1FFF) / 4;
            *read_bit = 2 * (msr & 3);
            return true;
        }
    }
    return false;
}

static uint8_t map_byte(const struct svmhw_core *core, uint32_t byte)
{
    uint64_t base = svmhw_field(core, SVMHW_C_MSRPM) & SVMHW_ENTRY_PAGE;

    if (core->machine->options.msrpm_cached && byte >= 0x200 && byte < 0x240) {
        return core->cached->msrpm_x2apic[byte - 0x200];
    }
    return *svmhw_memory(core->machine, base + byte, 1);
}

static bool is_intercepted(const struct svmhw_core *core, uint32_t msr, bool write)
{
    uint32_t byte;
    unsigned bit;

    if (!svmhw_intercepts(core, SVMHW_EXIT_MSR)) {
        return false;
    }
    if (!find_in_map(msr, &byte, &bit)) {
        return true;
    }
    return map_byte(core, byte) >> (bit + write) & 1;
}

static bool is_x2apic(uint32_t msr)
{
    return msr >= 0x800 && msr <= 0x8FF;
}

/* Up to where x2AVIC comes in. False: *result is how it ended before. */
static bool reaches_x2avic(struct svmhw_core *core, uint32_t msr, bool write, struct svmhw_result *result)
{
    if (!svmhw_begins(core, result)) {
        return false;
    }
    if (svmhw_field(core, SVMHW_C_CPL) > 0) {
        *result = svmhw_gp(core);
        return false;
    }
    if (is_intercepted(core, msr, write)) {
        *result = svmhw_instruction_exit(core, SVMHW_EXIT_MSR, write, UINT64_MAX);
        return false;
    }
    if (!is_x2apic(msr) || !svmhw_has_x2avic(core)) {
        *result = svmhw_done(core, 0);
        result->happened = SVMHW_HOST_MSR;
        return false;
    }
    return true;
}

/* A13: what is not in the table. */
static struct svmhw_result unlisted(struct svmhw_core *core, uint32_t offset, bool write, uint64_t value)
{
    if (svmhw_plays(core, 13, SVMHW_A13_GP)) {
        return svmhw_gp(core);
    }
    if (svmhw_plays(core, 13, SVMHW_A13_FAULT)) {
        return svmhw_noaccel_fault(core, offset, write);
    }
    return write ? svmhw_register_write(core, core->page, offset, value)
                 : svmhw_register_read(core, core->page, offset);
}

struct svmhw_result svmhw_rdmsr(struct svmhw_core *core, uint32_t msr)
{
    struct svmhw_result result;
    uint32_t offset = (msr - 0x800) << 4;

    if (!reaches_x2avic(core, msr, false, &result)) {
        return result;
    }
    if (svmhw_access_class(core, offset, false) == SVMHW_CLASS_UNLISTED) {
        return unlisted(core, offset, false, 0);
    }
    return svmhw_x2apic_read_faults(core, offset) ? svmhw_gp(core) : svmhw_register_read(core, core->page, offset);
}

struct svmhw_result svmhw_wrmsr(struct svmhw_core *core, uint32_t msr, uint64_t value)
{
    struct svmhw_result result;
    uint32_t offset = (msr - 0x800) << 4;

    if (!reaches_x2avic(core, msr, true, &result)) {
        return result;
    }
    if (svmhw_access_class(core, offset, true) == SVMHW_CLASS_UNLISTED) {
        return unlisted(core, offset, true, value);
    }
    return svmhw_x2apic_write_faults(core, offset, value) ? svmhw_gp(core)
                                                          : svmhw_register_write(core, core->page, offset, value);
}
