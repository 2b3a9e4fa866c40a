/* SPDX-License-Identifier: BSD-2-Clause */
/* kvm-vmm IMAGE [PAYLOAD]: runs each payload of the image, or the one named (also one that is skipped otherwise), in VMs with as many vCPUs as it wants up to VM_CPUS, and prints a table. */
#include "vmm.h"

#include <stdio.h>
#include <string.h>

enum result { RESULT_NONE = 0, RESULT_PASS = 1, RESULT_FAIL = 2, RESULT_SKIP = 3 };
static const char *const result_names[] = { "-", "pass", "fail", "skip" };

/* Payloads that KVM stands in the way of: README.md. */
struct obstacle {
    const char *name; /* with and without _x2 behind it */
    bool on_intel;    /* there alone */
    const char *reason;
};
static const struct obstacle obstacles[] = {
    { "exits", false,
      "KVM carries out MOV CR8 itself and tells of it only when it lowers CR8: its exits cannot be counted" },
    { "cr8", true, "of what MOV CR8 writes, KVM looks at bits 7:0 on Intel's processors: no #GP for those above" },
};

static bool is_about(const struct obstacle *obstacle, const char *name)
{
    size_t length = strlen(obstacle->name);

    return strncmp(obstacle->name, name, length) == 0 && (name[length] == 0 || strcmp(&name[length], "_x2") == 0);
}

static const char *obstacle_of(const struct guest_payload *payload)
{
    for (size_t i = 0; i < sizeof(obstacles) / sizeof(obstacles[0]); i++) {
        if (is_about(&obstacles[i], payload->name) && (!obstacles[i].on_intel || cpuid_is_intel())) {
            return obstacles[i].reason;
        }
    }
    return (payload->needs & ~host_features()) != 0 ? "it needs two physical CPUs" : NULL;
}

static enum result run(const struct guest_payload *payload, uint32_t index, uint32_t cpus)
{
    enum result result;

    vm_create(payload, index, cpus);
    vm_run();
    result = vm.verdict == VERDICT_PASS ? RESULT_PASS : RESULT_FAIL;
    if (vm.fail_line != 0) {
        printf("# verdict of %s with %u vCPUs: line %u\n", payload->name, cpus, vm.fail_line);
    }
    vm_destroy();
    return result;
}

static void print_row(const struct guest_payload *payload, const enum result *results)
{
    printf("%-24s", payload->name);
    for (uint32_t cpus = 1; cpus <= VM_CPUS; cpus++) {
        printf("%10s", result_names[results[cpus - 1]]);
    }
    printf("\n");
}

int main(int argc, char **argv)
{
    uint32_t counts[4] = { 0 };

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc < 2) {
        printf("usage: kvm-vmm IMAGE [PAYLOAD]\n");
        return 2;
    }
    kvm_open();
    image_read(argv[1]);
    printf("%-24s%10s%10s\n", "payload", "1 vCPU", "2 vCPUs");
    for (uint32_t i = 0; i < image_header()->payload_count; i++) {
        const struct guest_payload *payload = &image_payloads()[i];
        const char *obstacle = argc > 2 ? NULL : obstacle_of(payload);
        enum result results[VM_CPUS] = { 0 };

        if ((argc > 2 && strcmp(argv[2], payload->name) != 0) || (payload->needs & GUEST_NEEDS_PHYSICAL) != 0) {
            continue; /* not named; or about the machine's own APICs */
        }
        for (uint32_t cpus = payload->cpus; cpus <= VM_CPUS; cpus++) {
            results[cpus - 1] = obstacle != NULL ? RESULT_SKIP : run(payload, i, cpus);
            counts[results[cpus - 1]]++;
        }
        print_row(payload, results);
        if (obstacle != NULL) {
            printf("# %s skipped: %s\n", payload->name, obstacle);
        }
    }
    printf("%u passed, %u failed, %u skipped\n", counts[RESULT_PASS], counts[RESULT_FAIL], counts[RESULT_SKIP]);
    return counts[RESULT_FAIL] == 0 && counts[RESULT_PASS] > 0 ? 0 : 1;
}
