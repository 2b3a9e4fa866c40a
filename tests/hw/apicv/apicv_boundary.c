/* SPDX-License-Identifier: BSD-2-Clause */
/* What arrives at the processor, and what of it comes in at an instruction boundary. Reference 6, 10, 12. */
#include "apicv_internal.h"

/* ---- arrival: any thread ---- */

#define OTHER_NMI 0x1u
#define OTHER_INIT 0x2u
#define OTHER_SIPI 0x4u
#define OTHER_SIPI_VECTOR 0xFF00u

void apicv_interrupt_arrives(struct apicv_cpu *cpu, uint8_t vector)
{
    (void)__atomic_fetch_or(&cpu->arrived[vector >> 6], 1ull << (vector & 63), __ATOMIC_SEQ_CST);
}

void apicv_nmi_arrives(struct apicv_cpu *cpu)
{
    (void)__atomic_fetch_or(&cpu->arrived_other, OTHER_NMI, __ATOMIC_SEQ_CST);
}

void apicv_init_arrives(struct apicv_cpu *cpu)
{
    (void)__atomic_fetch_or(&cpu->arrived_other, OTHER_INIT, __ATOMIC_SEQ_CST);
}

/* The last vector counts. */
void apicv_sipi_arrives(struct apicv_cpu *cpu, uint8_t vector)
{
    uint32_t other = __atomic_load_n(&cpu->arrived_other, __ATOMIC_SEQ_CST);
    uint32_t wanted;

    do {
        wanted = (other & ~OTHER_SIPI_VECTOR) | (uint32_t)vector << 8 | OTHER_SIPI;
    } while (
        !__atomic_compare_exchange_n(&cpu->arrived_other, &other, wanted, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
}

static bool has_arrived(const struct apicv_cpu *cpu, uint32_t other)
{
    return (__atomic_load_n(&cpu->arrived_other, __ATOMIC_SEQ_CST) & other) != 0;
}

/* Returns what was there. */
static uint32_t take_other(struct apicv_cpu *cpu, uint32_t other)
{
    return __atomic_fetch_and(&cpu->arrived_other, ~other, __ATOMIC_SEQ_CST);
}

/* The highest external interrupt, or -1. */
static int highest_arrived(const struct apicv_cpu *cpu)
{
    for (int v = 255; v >= 0; v--) {
        if (__atomic_load_n(&cpu->arrived[v >> 6], __ATOMIC_SEQ_CST) >> (v & 63) & 1) {
            return v;
        }
    }
    return -1;
}

static void acknowledge(struct apicv_cpu *cpu, int vector)
{
    (void)__atomic_fetch_and(&cpu->arrived[vector >> 6], ~(1ull << (vector & 63)), __ATOMIC_SEQ_CST);
}

/* ---- blocking ---- */

static bool blocked(const struct apicv_cpu *cpu, uint32_t blocking)
{
    return (cpu->guest.interruptibility & blocking) != 0;
}

static bool window_is_open(const struct apicv_cpu *cpu)
{
    return (cpu->guest.rflags & APICV_RFLAGS_IF) != 0 && !blocked(cpu, APICV_BLOCKING_STI | APICV_BLOCKING_MOV_SS);
}

static bool takes_interrupts(const struct apicv_cpu *cpu)
{
    return cpu->guest.activity == APICV_ACTIVE || cpu->guest.activity == APICV_HALTED;
}

/* ---- one event after the other; each returns whether it took place ---- */

static bool init_or_sipi(struct apicv_cpu *cpu, struct apicv_result *result)
{
    if (cpu->guest.activity == APICV_WAIT_FOR_SIPI) { /* where INIT is blocked */
        uint32_t was = take_other(cpu, OTHER_SIPI);

        if (was & OTHER_SIPI) {
            *result = apicv_event_exit(cpu, APICV_EXIT_SIPI, (was & OTHER_SIPI_VECTOR) >> 8, 0);
            return true;
        }
        return false;
    }
    (void)take_other(cpu, OTHER_SIPI); /* lost */
    if (take_other(cpu, OTHER_INIT) & OTHER_INIT) {
        *result = apicv_event_exit(cpu, APICV_EXIT_INIT, 0, 0);
        return true;
    }
    return false;
}

static bool nmi_window(struct apicv_cpu *cpu, struct apicv_result *result)
{
    if (!apicv_primary(cpu, APICV_PRIMARY_NMI_WINDOW_EXITING) ||
        blocked(cpu, APICV_BLOCKING_NMI | APICV_BLOCKING_MOV_SS)) {
        return false;
    }
    *result = apicv_event_exit(cpu, APICV_EXIT_NMI_WINDOW, 0, 0);
    return true;
}

/* With virtual NMIs, blocking by NMI is no affair of physical NMIs. */
static bool nmi(struct apicv_cpu *cpu, struct apicv_result *result)
{
    bool exiting = apicv_pin(cpu, APICV_PIN_NMI_EXITING);

    if (!has_arrived(cpu, OTHER_NMI) || blocked(cpu, APICV_BLOCKING_MOV_SS)) {
        return false;
    }
    if (blocked(cpu, APICV_BLOCKING_NMI) && !apicv_pin(cpu, APICV_PIN_VIRTUAL_NMIS)) {
        return false;
    }
    (void)take_other(cpu, OTHER_NMI);
    if (exiting) {
        *result = apicv_event_exit(cpu, APICV_EXIT_EXCEPTION_OR_NMI, 0, apicv_event(APICV_EVENT_NMI, 2));
    } else {
        apicv_emit(cpu, APICV_TRACE_PHYSICAL, 2, APICV_EVENT_NMI);
        *result = apicv_deliver(cpu, apicv_event(APICV_EVENT_NMI, 2), 0);
    }
    return true;
}

/* 6: the two have the same priority and exclude each other, since interrupt-window exiting suppresses recognition. */
static bool window_or_virtual_interrupt(struct apicv_cpu *cpu, struct apicv_result *result)
{
    uint8_t vector;

    if (!window_is_open(cpu)) {
        return false;
    }
    if (apicv_primary(cpu, APICV_PRIMARY_INTERRUPT_WINDOW_EXITING)) {
        *result = apicv_event_exit(cpu, APICV_EXIT_INTERRUPT_WINDOW, 0, 0);
        return true;
    }
    if (!cpu->recognised) {
        return false;
    }
    vector = apicv_take_virtual_interrupt(cpu);
    apicv_emit(cpu, APICV_TRACE_VIRTUAL, vector, 0);
    *result = apicv_deliver(cpu, apicv_event(APICV_EVENT_EXTERNAL, vector), 0);
    return true;
}

static bool is_notification(const struct apicv_cpu *cpu, int vector)
{
    return apicv_pin(cpu, APICV_PIN_POSTED_INTERRUPTS) && (uint64_t)vector == apicv_get(cpu, APICV_NOTIFICATION_VECTOR);
}

/* With external-interrupt exiting, IF masks nothing; blocking by STI and MOV SS holds for one instruction all the same. */
static bool external_interrupt(struct apicv_cpu *cpu, struct apicv_result *result)
{
    int vector = highest_arrived(cpu);

    if (vector < 0 || blocked(cpu, APICV_BLOCKING_STI | APICV_BLOCKING_MOV_SS)) {
        return false;
    }
    if (!apicv_pin(cpu, APICV_PIN_EXTERNAL_INTERRUPT_EXITING)) {
        if (!window_is_open(cpu)) {
            return false;
        }
        acknowledge(cpu, vector);
        apicv_emit(cpu, APICV_TRACE_PHYSICAL, (uint64_t)vector, APICV_EVENT_EXTERNAL);
        *result = apicv_deliver(cpu, apicv_event(APICV_EVENT_EXTERNAL, (uint8_t)vector), 0);
        return true;
    }
    if (!(apicv_get(cpu, APICV_EXIT_CONTROLS) & APICV_EXIT_ACKNOWLEDGE_INTERRUPT)) {
        *result = apicv_event_exit(cpu, APICV_EXIT_EXTERNAL_INTERRUPT, 0, 0); /* it stays with the APIC */
        return true;
    }
    acknowledge(cpu, vector);
    if (is_notification(cpu, vector)) {
        apicv_posted_interrupt_processing(cpu);
        result->posted++;
        return false;
    }
    *result = apicv_event_exit(cpu, APICV_EXIT_EXTERNAL_INTERRUPT, 0,
                               apicv_event(APICV_EVENT_EXTERNAL, (uint8_t)vector));
    return true;
}

/* ---- the boundary ---- */

static bool one_event(struct apicv_cpu *cpu, struct apicv_result *result)
{
    if (init_or_sipi(cpu, result)) {
        return true;
    }
    if (cpu->guest.activity == APICV_WAIT_FOR_SIPI) {
        return false;
    }
    if (nmi_window(cpu, result) || nmi(cpu, result)) {
        return true;
    }
    return takes_interrupts(cpu) && (window_or_virtual_interrupt(cpu, result) || external_interrupt(cpu, result));
}

struct apicv_result apicv_boundary(struct apicv_cpu *cpu)
{
    struct apicv_result result = apicv_result(APICV_DONE);
    unsigned posted = 0;
    unsigned before;

    if (!cpu->in_guest || cpu->operation.open) {
        apicv_die("a boundary that is not between two instructions of the guest");
    }
    /* Posted-interrupt processing is followed by a look at what it led to. */
    do {
        before = posted;
        if (one_event(cpu, &result)) {
            break;
        }
        posted = result.posted;
    } while (posted != before);
    result.posted = posted;
    return result;
}

struct apicv_result apicv_external_interrupt(struct apicv_cpu *cpu, uint8_t vector)
{
    apicv_interrupt_arrives(cpu, vector);
    return apicv_boundary(cpu);
}

struct apicv_result apicv_nmi(struct apicv_cpu *cpu)
{
    apicv_nmi_arrives(cpu);
    return apicv_boundary(cpu);
}

/* ---- root operation ---- */

int apicv_host_takes_interrupt(struct apicv_cpu *cpu)
{
    int vector = highest_arrived(cpu);

    if (cpu->in_guest) {
        apicv_die("the host takes an interrupt while the guest runs");
    }
    if (vector >= 0) {
        acknowledge(cpu, vector);
    }
    return vector;
}

bool apicv_host_takes_nmi(struct apicv_cpu *cpu)
{
    if (cpu->in_guest) {
        apicv_die("the host takes an NMI while the guest runs");
    }
    return take_other(cpu, OTHER_NMI) & OTHER_NMI;
}
