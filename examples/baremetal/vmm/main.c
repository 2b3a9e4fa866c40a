/* SPDX-License-Identifier: BSD-2-Clause */
/* Starts the machine, runs the payloads one after the other, says RESULT PASS or FAIL. */
#include "hv.h"
#include "vm.h"

#define MULTIBOOT_LOADED 0x2BADB002u

struct multiboot_information {
    uint32_t flags, memory_lower, memory_upper, boot_device, command_line;
};

struct vm_options options = { .backend = "", .only = "", .level = UINT32_MAX, .cpus = 1 };
const struct hv *hv;
const struct vm_mode *vm_mode = &vm_model;

static const struct hv *const hypervisors[] = { &hv_vmx, &hv_svm };

static bool starts_with(const char *text, const char *start, const char **rest)
{
    while (*start != 0) {
        if (*text++ != *start++) {
            return false;
        }
    }
    *rest = text;
    return true;
}

static uint32_t number(const char *text)
{
    uint32_t value = 0;

    for (; *text >= '0' && *text <= '9'; text++) {
        value = value * 10 + (uint32_t)(*text - '0');
    }
    return value;
}

/* `word` is one option; the command line also has the image's path, which is none. */
static void option(const char *word)
{
    const char *value;

    if (starts_with(word, "backend=", &value)) {
        options.backend = value;
    } else if (starts_with(word, "only=", &value)) {
        options.only = value;
    } else if (starts_with(word, "level=", &value)) {
        options.level = number(value);
    } else if (starts_with(word, "cpus=", &value)) {
        options.cpus = number(value);
    } else if (starts_with(word, "trace=", &value)) {
        options.trace = number(value);
    }
}

static void read_options(const struct multiboot_information *information)
{
    static char words[256];
    const char *line = (const char *)(uintptr_t)information->command_line;
    size_t length = 0;

    if ((information->flags & 4) == 0) {
        return;
    }
    for (; line[length] != 0 && length < sizeof(words) - 1; length++) {
        words[length] = line[length] == ' ' ? 0 : line[length];
    }
    for (size_t start = 0; start < length; start++) {
        if (start == 0 || words[start - 1] == 0) {
            option(&words[start]);
        }
    }
}

static void turn_on(struct host_cpu *cpu)
{
    hv->cpu_on(cpu);
}

static void start_hypervisor(void)
{
    for (size_t i = 0; i < sizeof(hypervisors) / sizeof(hypervisors[0]) && hv == NULL; i++) {
        if (hypervisors[i]->supported()) {
            hv = hypervisors[i];
        }
    }
    HOST_MUST(hv != NULL);
    if (*options.backend == 0) {
        options.backend = hv->default_backend;
    }
    turn_on(&host_cpus[0]);
    for (uint32_t i = 1; i < host_cpu_count; i++) {
        host_run_on(&host_cpus[i], turn_on);
        while (!host_is_idle(&host_cpus[i])) {
            relax();
        }
    }
}

static bool is_wanted(const struct guest_payload *payload)
{
    return payload->cpus <= host_cpu_count && (payload->needs & ~VM_FEATURES) == 0 &&
           (*options.only == 0 || strings_are_equal(payload->name, options.only));
}

/* Returns false if the payload failed. What it says itself is on the console by then. */
static bool run(const struct guest_payload *payload, uint32_t index)
{
    vm_create(payload, index);
    vm_run();
    if (options.trace != 2 || vm.verdict != VERDICT_PASS) {
        trace_print();
    }
    if (vm.verdict != VERDICT_PASS && vm.fail_line != 0) {
        host_print("# verdict of %s: line %u\n", payload->name, vm.fail_line);
    }
    return vm.verdict == VERDICT_PASS;
}

void vmm_main(uint32_t magic, const struct multiboot_information *information)
{
    const struct guest_header *header = vm_image();
    const struct guest_payload *payloads = (const struct guest_payload *)((const uint8_t *)header +
                                                                          (header->payloads - GUEST_BASE));
    uint32_t passed = 0, run_count = 0;

    host_console_start();
    HOST_MUST(magic == MULTIBOOT_LOADED);
    read_options(information);
    host_timer_hook = vm_timer_interrupt;
    host_cpu_start(options.cpus);
    start_hypervisor();
    host_print("# hypervisor %s, backend %s, CPUs %u\n", hv->name, options.backend, host_cpu_count);
    for (uint32_t i = 0; i < header->payload_count; i++) {
        if (is_wanted(&payloads[i])) {
            run_count++;
            passed += run(&payloads[i], i);
        }
    }
    host_print("# %u of %u passed\n", passed, run_count);
    host_end(passed == run_count && run_count > 0);
}
