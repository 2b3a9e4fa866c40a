/* SPDX-License-Identifier: BSD-2-Clause */
/* Starts the machine, runs the payloads one after the other, says RESULT PASS or FAIL. */
#include "hv.h"
#include "thin.h"

#define MULTIBOOT_LOADED 0x2BADB002u

struct multiboot_information {
    uint32_t flags, memory_lower, memory_upper, boot_device, command_line;
};

struct vm_options options = { .backend = "", .only = "", .skip = "", .level = UINT32_MAX, .cpus = 1 };
const struct hv *hv;
const struct vm_mode *vm_mode = &vm_model;

static const struct hv *const hypervisors[] = { &hv_vmx, &hv_svm };
static const struct vm_mode *const modes[] = { &vm_model, &vm_thin };

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

static const struct vm_mode *mode_of(const char *name)
{
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        if (strings_are_equal(name, modes[i]->name)) {
            return modes[i];
        }
    }
    host_panic(__FILE__, __LINE__, "mode=?");
}

/* `word` is one option; the command line also has the image's path, which is none. */
static void option(const char *word)
{
    const char *value;

    if (starts_with(word, "backend=", &value)) {
        options.backend = value;
    } else if (starts_with(word, "only=", &value)) {
        options.only = value;
    } else if (starts_with(word, "mode=", &value)) {
        vm_mode = mode_of(value);
    } else if (starts_with(word, "skip=", &value)) {
        options.skip = value;
    } else if (starts_with(word, "release=", &value)) {
        options.release = number(value) != 0;
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
    static char words[1024];
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

static bool is_named(const char *list, const char *name)
{
    const char *rest;

    for (; *list != 0; list++) {
        if (*list == ',' && starts_with(list + 1, name, &rest) && *rest == ',') {
            return true;
        }
    }
    return false;
}

/* Why it cannot run here; NULL: it can. */
static const char *reason_against(const struct guest_payload *payload)
{
    uint32_t missing = payload->needs & ~vm_mode->features();

    if ((missing & GUEST_NEEDS_PHYSICAL) != 0) {
        return "it is about the machine's own APICs";
    }
    if ((missing & (GUEST_NEEDS_DEVICES | GUEST_NEEDS_SNAPSHOT | GUEST_NEEDS_MOVE)) != 0) {
        return "it wants devices, or a model of the APIC to act on";
    }
    if ((missing & GUEST_NEEDS_ICR_TRAP) != 0) {
        return "it starts CPUs once more, or writes ICR in ways that the VMM would have to look at";
    }
    if ((missing & GUEST_NEEDS_INIT) != 0) {
        return "a physical INIT would take the CPU out of the VMM's hands";
    }
    if (missing != 0) {
        return (missing & GUEST_NEEDS_X2APIC) != 0 ? "the machine's APICs have no x2APIC mode"
                                                   : "the machine's APICs have no TSC-deadline timer";
    }
    if (payload->cpus > host_cpu_count) {
        return "it wants more CPUs";
    }
    return is_named(options.skip, payload->name) ? "option skip=" : NULL;
}

static bool is_wanted(const struct guest_payload *payload)
{
    const char *reason = reason_against(payload);

    if (*options.only != 0 && !strings_are_equal(payload->name, options.only)) {
        return false;
    }
    if (reason != NULL && vm_mode == &vm_thin) {
        host_print("SKIP %s: %s\n", payload->name, reason);
    }
    return reason == NULL;
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

static const struct guest_payload *payload_at(uint32_t index)
{
    const struct guest_header *header = vm_image();

    return (const struct guest_payload *)((const uint8_t *)header + (header->payloads - GUEST_BASE)) + index;
}

/*
 * A physical APIC in x2APIC mode goes back by being disabled first, which not all emulators can: what begins there comes last. Before it, what goes
 * there. 0, 1, 2.
 */
static uint32_t pass_of(const struct guest_payload *payload)
{
    size_t length = 0;

    if (vm_mode != &vm_thin || (payload->needs & GUEST_NEEDS_X2APIC) == 0) {
        return 0;
    }
    while (payload->name[length] != 0) {
        length++;
    }
    return length > 3 && memcmp(payload->name + length - 3, "_x2", 3) == 0 ? 2 : 1;
}

static bool run_all(void)
{
    uint32_t passed = 0, run_count = 0;

    for (uint32_t pass = 0; pass < 3; pass++) {
        for (uint32_t i = 0; i < vm_image()->payload_count; i++) {
            if (pass_of(payload_at(i)) == pass && is_wanted(payload_at(i))) {
                run_count++;
                passed += run(payload_at(i), i);
            }
        }
    }
    host_print("# %u of %u passed\n", passed, run_count);
    return passed == run_count && run_count > 0;
}

void vmm_main(uint32_t magic, const struct multiboot_information *information)
{
    bool passed;

    host_console_start();
    HOST_MUST(magic == MULTIBOOT_LOADED);
    read_options(information);
    host_timer_hook = vm_mode == &vm_model ? vm_timer_interrupt : NULL;
    host_cpu_start(options.cpus);
    start_hypervisor();
    host_print("# hypervisor %s, mode %s, backend %s, CPUs %u\n", hv->name, vm_mode->name,
               vm_mode == &vm_thin ? "none" : options.backend, host_cpu_count);
    passed = run_all();
    if (vm_mode == &vm_thin) {
        thin_print_counts();
    }
    host_end(passed);
}
