/* SPDX-License-Identifier: BSD-2-Clause */
/* The logical processor, and what is around it. */
#include "apicv_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Noreturn void apicv_die(const char *what)
{
    (void)fprintf(stderr, "apicv: %s\n", what);
    abort();
}

void apicv_cpu_init(struct apicv_cpu *cpu, struct apicv_caps caps, const struct apicv_host *host)
{
    memset(cpu, 0, sizeof *cpu);
    cpu->caps = caps;
    cpu->host = host;
    cpu->host_x2apic = true;
    cpu->knobs.poison = 0x5AA5C33C;
    cpu->guest.instruction_length = 3;
    cpu->guest.rflags = APICV_RFLAGS_FIXED;
}

void apicv_emit(struct apicv_cpu *cpu, enum apicv_trace_kind kind, uint64_t a, uint64_t b)
{
    struct apicv_trace trace = { kind, a, b };

    if (cpu->host->trace) {
        cpu->host->trace(cpu->host->context, &trace);
    }
}

uint8_t *apicv_memory(struct apicv_cpu *cpu, uint64_t physical_address, size_t bytes)
{
    uint8_t *memory = cpu->host->memory(cpu->host->context, physical_address, bytes);

    if (!memory) {
        apicv_die("the processor was given an address without memory");
    }
    return memory;
}

bool apicv_within_width(const struct apicv_cpu *cpu, uint64_t physical_address)
{
    return physical_address >> cpu->caps.physical_bits == 0;
}

struct apicv_result apicv_result(enum apicv_outcome outcome)
{
    struct apicv_result result = { .outcome = outcome };

    return result;
}
