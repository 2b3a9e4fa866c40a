/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What no processor could be asked for ends the test that asks: a mistake there must not look like a result.
 */
#include "apicv_machine.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static struct machine m;

static const struct controls controls = { .pin = 1, .primary = APICV_PRIMARY_TPR_SHADOW, .secondary = 0x301 };

/* ---- mistakes; each starts in the guest ---- */

static void vmread_in_the_guest(struct apicv_cpu *cpu)
{
    uint64_t value;

    (void)apicv_vmread(cpu, APICV_PIN_CONTROLS, &value);
}

static void vmwrite_in_the_guest(struct apicv_cpu *cpu)
{
    (void)apicv_vmwrite(cpu, APICV_EOI_EXIT_BITMAP_0, 1);
}

static void vmptrld_in_the_guest(struct apicv_cpu *cpu)
{
    (void)apicv_vmptrld(cpu, &m.vmcs[1]);
}

static void vmclear_in_the_guest(struct apicv_cpu *cpu)
{
    (void)apicv_vmclear(cpu, &m.vmcs[0]);
}

static void entry_in_the_guest(struct apicv_cpu *cpu)
{
    (void)apicv_enter(cpu);
}

static void instruction_in_root_operation(struct apicv_cpu *cpu)
{
    (void)apicv_guest_exit(cpu, 10, 0);
    (void)apicv_guest_nop(cpu);
}

static void boundary_in_root_operation(struct apicv_cpu *cpu)
{
    (void)apicv_guest_exit(cpu, 10, 0);
    (void)apicv_boundary(cpu);
}

static void instruction_while_halted(struct apicv_cpu *cpu)
{
    (void)apicv_guest_hlt(cpu);
    (void)apicv_guest_nop(cpu);
}

static void instruction_in_an_operation(struct apicv_cpu *cpu)
{
    apicv_operation_begin(cpu);
    (void)apicv_guest_nop(cpu);
}

static void boundary_in_an_operation(struct apicv_cpu *cpu)
{
    apicv_operation_begin(cpu);
    (void)apicv_boundary(cpu);
}

static void access_without_an_operation(struct apicv_cpu *cpu)
{
    struct apicv_access access = { .type = APICV_ACCESS_READ, .address = RAM_PA, .size = 4 };
    uint64_t value;

    (void)apicv_operation_access(cpu, &access, &value);
}

static void end_without_an_operation(struct apicv_cpu *cpu)
{
    (void)apicv_operation_end(cpu);
}

static void access_of_3_bytes(struct apicv_cpu *cpu)
{
    uint64_t value;

    (void)apicv_guest_read(cpu, RAM_PA, 3, &value);
}

static void host_takes_an_interrupt_in_the_guest(struct apicv_cpu *cpu)
{
    (void)apicv_host_takes_interrupt(cpu);
}

static void host_takes_an_nmi_in_the_guest(struct apicv_cpu *cpu)
{
    (void)apicv_host_takes_nmi(cpu);
}

static void virtual_apic_page_without_memory(struct apicv_cpu *cpu)
{
    (void)apicv_guest_exit(cpu, 10, 0);
    vmcs_put(cpu, APICV_VIRTUAL_APIC_ADDRESS, 0x40000000);
    (void)apicv_enter(cpu);
}

/* ---- seen from outside ---- */

static int signal_of(void (*mistake)(struct apicv_cpu *cpu))
{
    pid_t child = fork();
    int status = 0;

    assert_true(child >= 0);
    if (child == 0) {
        if (!freopen("/dev/null", "w", stderr))
            _exit(2);
        (void)signal(SIGABRT, SIG_DFL);
        mistake(&m.cpu[0]);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void nothing(struct apicv_cpu *cpu)
{
    (void)apicv_guest_nop(cpu);
}

static void mistakes_abort(void **unused)
{
    static void (*const mistakes[])(struct apicv_cpu * cpu) = {
        vmread_in_the_guest,
        vmwrite_in_the_guest,
        vmptrld_in_the_guest,
        vmclear_in_the_guest,
        entry_in_the_guest,
        instruction_in_root_operation,
        boundary_in_root_operation,
        instruction_while_halted,
        instruction_in_an_operation,
        boundary_in_an_operation,
        access_without_an_operation,
        end_without_an_operation,
        access_of_3_bytes,
        host_takes_an_interrupt_in_the_guest,
        host_takes_an_nmi_in_the_guest,
        virtual_apic_page_without_memory,
    };

    (void)unused;
    (void)machine_enter(&m, apicv_caps_skylake(), controls);
    assert_int_equal(signal_of(nothing), 0);
    for (size_t i = 0; i < sizeof mistakes / sizeof mistakes[0]; i++)
        assert_int_equal(signal_of(mistakes[i]), SIGABRT);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(mistakes_abort) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
