/* SPDX-License-Identifier: BSD-2-Clause */
/* From the entry to a payload and to its verdict; interrupts and faults; the second vCPU. */
#include "guest.h"
#include "payloads.h"

#define CS 8
#define GP 13
#define AP_SIPI_VECTOR 0x9A

struct idt_gate {
    uint64_t low, high;
};

extern uint8_t guest_vectors[];

volatile struct guest_cpu guest_cpus[GUEST_CPUS];
uint32_t guest_features, guest_cpu_count;
volatile uint8_t guest_sipi_vector;
uint64_t guest_patience;
void (*volatile guest_ap_main)(uint8_t sipi_vector);

static const struct guest_payload *payload;
static struct idt_gate idt[256];
static void (*volatile ap_task)(void);
static volatile bool ap_is_ready;

static void print(const char *text)
{
    for (; *text != 0; text++) {
        __asm__ volatile("outb %b0, %w1" : : "a"(*text), "d"(GUEST_PORT_CONSOLE));
    }
}

static void print_number(uint64_t value, unsigned base)
{
    char digits[24] = { 0 };
    int first = sizeof(digits) - 1;

    do {
        digits[--first] = "0123456789ABCDEF"[value % base];
        value /= base;
    } while (value != 0);
    print(&digits[first]);
}

_Noreturn void guest_fail(const char *file, int line, const char *what, uint64_t value)
{
    cli();
    print("FAIL ");
    print(payload->name);
    print(": ");
    print(file);
    print(":");
    print_number((uint64_t)line, 10);
    print(": ");
    print(what);
    print(" (");
    print_number(value, 16);
    print("h, vCPU ");
    print_number(guest_index(), 10);
    print(")\n");
    out32(GUEST_PORT_VERDICT, (uint32_t)line);
    for (;;) {
        __asm__ volatile("cli; hlt");
    }
}

static void log_vector(volatile struct guest_cpu *cpu, uint8_t vector)
{
    cpu->count[vector]++;
    cpu->log[cpu->logged % LOG_ENTRIES] = vector;
    cpu->logged++;
}

void guest_interrupt(struct guest_frame *frame);
void guest_interrupt(struct guest_frame *frame)
{
    volatile struct guest_cpu *cpu = me();
    uint8_t vector = (uint8_t)frame->vector;
    bool handled;

    if (vector == GP && cpu->resume != 0) {
        frame->rip = cpu->resume;
        cpu->resume = 0;
        cpu->faulted = true;
        return;
    }
    if (vector < 32 && vector != 2 && cpu->handler[vector] == NULL) {
        guest_fail("exception", vector, "RIP", frame->rip);
    }
    if (vector == SPURIOUS && cpu->handler[vector] == NULL) {
        cpu->spurious++;
        return;
    }
    log_vector(cpu, vector);
    handled = cpu->no_eoi[vector];
    if (cpu->handler[vector] != NULL) {
        cpu->handler[vector](vector);
    }
    if (vector != 2 && !handled) {
        apic_eoi();
    }
}

void let_in(void)
{
    sti();
    __asm__ volatile("nop; nop");
    cli();
}

static void load_idt(void)
{
    struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) idtr = { sizeof(idt) - 1, (uint64_t)(uintptr_t)idt };

    for (uint32_t vector = 0; vector < 256; vector++) {
        uint64_t entry = (uint64_t)(uintptr_t)guest_vectors + 16 * vector;

        idt[vector].low = (entry & 0xFFFF) | CS << 16 | 0x8Eull << 40 | (entry >> 16 & 0xFFFF) << 48;
        idt[vector].high = entry >> 32;
    }
    __asm__ volatile("lidt %0" : : "m"(idtr) : "memory");
}

void guest_prepare(bool x2apic)
{
    me()->window = GUEST_WINDOW;
    load_idt();
    if (x2apic) {
        apic_enable_x2apic();
    }
    apic_write(VLAPIC_REG_SVR, VLAPIC_SVR_ENABLE | SPURIOUS);
}

static void ap_loop(uint8_t sipi_vector)
{
    if (guest_ap_main != NULL) {
        guest_ap_main(sipi_vector);
    }
    guest_prepare(guest_cpus[0].x2apic);
    guest_sipi_vector = sipi_vector;
    sti();
    ap_is_ready = true;
    for (;;) {
        if (ap_task != NULL) {
            ap_task();
            ap_task = NULL;
        }
        __asm__ volatile("pause" : : : "memory");
    }
}

void ap_start(void)
{
    ap_is_ready = false;
    apic_send(1, ICR(INIT) | VLAPIC_ICR_ASSERT);
    apic_send(1, ICR(SIPI) | VLAPIC_ICR_ASSERT | AP_SIPI_VECTOR);
    WAIT(ap_is_ready);
    CHECK_IS(guest_sipi_vector, AP_SIPI_VECTOR);
}

void ap_run(void (*task)(void))
{
    ap_task = task;
}

void ap_forget(void)
{
    ap_task = NULL;
}

void ap_join(void)
{
    WAIT(ap_task == NULL);
}

void ap_do(void (*task)(void))
{
    ap_run(task);
    ap_join();
}

void guest_main(uint64_t index, uint64_t number, uint64_t features, uint64_t cpus, uint64_t sipi_vector);
void guest_main(uint64_t index, uint64_t number, uint64_t features, uint64_t cpus, uint64_t sipi_vector)
{
    if (index != 0) {
        ap_loop((uint8_t)sipi_vector);
    }
    guest_features = (uint32_t)features;
    guest_cpu_count = (uint32_t)cpus;
    guest_patience = in32(GUEST_PORT_PATIENCE);
    if (guest_patience == UINT32_MAX) {
        guest_patience = UINT64_MAX;
    }
    payload = &guest_payloads[number];
    guest_prepare(guest_functions[number].x2apic);
    sti();
    guest_functions[number].run();
    cli();
    print("PASS ");
    print(payload->name);
    print("\n");
    out32(GUEST_PORT_VERDICT, 0);
}
