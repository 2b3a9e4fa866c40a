/* SPDX-License-Identifier: BSD-2-Clause */
/* The trace (option `trace=1`): what happened to each vCPU, printed when the payload has ended. README.md explains the letters. */
#include "vm.h"

#define TRACE_RECORDS 8192u

struct trace_record {
    uint64_t time, a, b;
    char what;
};

void trace_create(struct vcpu *cpu)
{
    if (options.trace == 1 || options.trace == 2) {
        cpu->trace = host_alloc(TRACE_RECORDS * sizeof(*cpu->trace), 64);
    }
}

/* Its owner's thread alone writes here; what other threads do to a vCPU is in their own vCPU's trace, or not there. */
void trace(struct vcpu *cpu, char what, uint64_t a, uint64_t b)
{
    if (cpu->trace == NULL || this_cpu()->vcpu != cpu) {
        return;
    }
    if (cpu->trace_count < TRACE_RECORDS) {
        cpu->trace[cpu->trace_count] = (struct trace_record){ rdtsc(), a, b, what };
    }
    cpu->trace_count++;
}

void trace_print(void)
{
    for (uint32_t i = 0; (options.trace == 1 || options.trace == 2) && i < vm.cpu_count; i++) {
        const struct vcpu *cpu = vm.cpus[i];
        uint32_t count = cpu->trace_count < TRACE_RECORDS ? cpu->trace_count : TRACE_RECORDS;

        host_print("TRACE %s %u %u of %u\n", vm.payload->name, i, count, cpu->trace_count);
        for (uint32_t n = 0; n < count; n++) {
            const struct trace_record *record = &cpu->trace[n];

            host_print("T %llx %c %llx %llx\n", (unsigned long long)(record->time - cpu->trace[0].time), record->what,
                       (unsigned long long)record->a, (unsigned long long)record->b);
        }
    }
}
