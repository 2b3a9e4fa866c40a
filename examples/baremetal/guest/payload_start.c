/* SPDX-License-Identifier: BSD-2-Clause */
/* INIT and SIPI, HLT and waking, NMIs. */
#include "guest.h"
#include "payloads.h"

static volatile uint32_t ap_svr, ap_id, ap_tpr, ap_timer;

static void look(void)
{
    ap_id = apic_read(VLAPIC_REG_ID);
    ap_tpr = apic_read(VLAPIC_REG_TPR);
    ap_timer = apic_read(VLAPIC_REG_LVT_TIMER);
    ap_svr = apic_read(VLAPIC_REG_SVR);
}

static void spoil(void)
{
    apic_write(VLAPIC_REG_LVT_TIMER, 0x77);
    apic_write(VLAPIC_REG_TPR, 0x40);
    apic_send_self(0x3A); /* stays pending, and goes with the INIT */
}

/* The second vCPU starts with the vector of its SIPI; a second SIPI does nothing; an INIT resets its APIC and a SIPI starts it again. */
void payload_init_sipi(void)
{
    apic_send(1, VLAPIC_ICR_ASSERT | 0x41); /* it waits, and its APIC is software-disabled: lost */
    ap_start();
    CHECK_IS(guest_sipi_vector, 0x9A);
    ap_do(look);
    CHECK_IS(ap_id, me()->x2apic ? 1 : 1 << 24);
    CHECK_IS(ap_tpr, 0);
    CHECK_IS(ap_timer, VLAPIC_LVT_MASKED);
    apic_send(1, ICR(SIPI) | VLAPIC_ICR_ASSERT | 0x11);
    ap_do(spoil);
    CHECK_IS(guest_sipi_vector, 0x9A);
    CHECK_IS(guest_cpus[1].count[0x41], 0);

    for (uint32_t vector = 0x10; vector < 0x18; vector++) {
        guest_sipi_vector = 0;
        if (me()->x2apic) {
            guest_cpus[1].x2apic = true; /* INIT keeps the mode */
        }
        apic_send(1, ICR(INIT) | VLAPIC_ICR_ASSERT);
        apic_send(1, ICR(SIPI) | VLAPIC_ICR_ASSERT | vector);
        WAIT(guest_sipi_vector == vector);
        ap_do(look);
        CHECK_IS(ap_id, me()->x2apic ? 1 : 1 << 24);
        CHECK_IS(ap_tpr, 0);
        CHECK_IS(ap_timer, VLAPIC_LVT_MASKED);
        ap_do(spoil);
    }
    CHECK_IS(guest_cpus[1].count[0x3A], 0);
}

static volatile uint32_t reads;

static void read_for_ever(void)
{
    for (;;) {
        apic_read(VLAPIC_REG_TPR);
        reads++;
    }
}

/* INIT comes while the second vCPU uses its APIC without a pause: what it was about to finish is of the old life. */
void payload_init_busy(void)
{
    ap_start();
    for (uint32_t vector = 0x10; vector < 0x20; vector++) {
        reads = 0;
        guest_sipi_vector = 0;
        ap_run(read_for_ever);
        SPIN(reads >= 3);
        ap_forget();
        apic_send(1, ICR(INIT) | VLAPIC_ICR_ASSERT);
        apic_send(1, ICR(SIPI) | VLAPIC_ICR_ASSERT | vector);
        WAIT(guest_sipi_vector == vector);
        ap_do(look);
        CHECK_IS(ap_id, me()->x2apic ? 1 : 1 << 24);
    }
}

static volatile uint32_t slept;
static volatile bool ap_stop;

static void sleep(void)
{
    while (!ap_stop) {
        cli();
        slept++;
        sti_hlt();
    }
}

/* No wake-up is lost, whatever moment of the other's falling asleep it meets. */
void payload_halt_ipi(void)
{
    ap_start();
    ap_run(sleep);
    for (uint32_t i = 1; i <= 300; i++) {
        SPIN(slept == i); /* it has, or is about to */
        for (volatile uint32_t delay = i % 37; delay > 0; delay--) {
        }
        apic_send(1, VLAPIC_ICR_ASSERT | 0x51);
        SPIN(guest_cpus[1].count[0x51] == i);
    }
    SPIN(slept == 301);
    ap_stop = true;
    apic_send(1, VLAPIC_ICR_ASSERT | 0x51);
    ap_join();
}

static void sleep_masked(void)
{
    while (!ap_stop) {
        cli();
        __asm__ volatile("hlt"); /* an NMI wakes it, and nothing else */
        slept++;
    }
    sti();
}

/* NMIs by IPI, to a vCPU that sleeps with interrupts off and TPR at its highest. */
static void raise_tpr(void)
{
    write_cr8(15);
}

void payload_nmi_ipi(void)
{
    ap_start();
    ap_do(raise_tpr);
    ap_run(sleep_masked);
    for (uint32_t i = 1; i <= 50; i++) {
        apic_send(1, VLAPIC_ICR_ASSERT | 0x51);
        apic_send(1, ICR(NMI) | VLAPIC_ICR_ASSERT | 0x07);
        SPIN(guest_cpus[1].count[2] == i);
    }
    ap_stop = true;
    apic_send(0, ICR_OTHERS | ICR(NMI) | VLAPIC_ICR_ASSERT);
    SPIN(guest_cpus[1].count[2] == 51);
    ap_join();
    CHECK_IS(guest_cpus[1].count[0x51], 0);
    CHECK_IS(me()->count[2], 0);
}

static volatile uint64_t sending; /* TSC ticks that it takes, at best */
static volatile bool woke;

/* With something long before the STI that has no branch: an emulator of translated code looks for NMIs in front of that and behind the STI. */
static void divide_and_sleep(void)
{
    uint32_t low = UINT32_MAX, high = 0;

    __asm__ volatile(".rept 250; divl %2; .endr; sti; hlt" : "+a"(low), "+d"(high) : "r"(UINT32_MAX) : "memory", "cc");
}

/* Falls asleep at about the time at which the next one comes. */
static void sleep_until_stopped(void)
{
    for (uint32_t i = 0; !ap_stop; i++) {
        uint64_t start = rdtsc(), rest = sending * (i % 32) / 16;

        while (rdtsc() - start < rest) {
        }
        cli();
        divide_and_sleep();
    }
    woke = true;
}

static void send_nmi(uint32_t i)
{
    uint64_t start = rdtsc(), ticks;

    apic_send(1, ICR(NMI) | VLAPIC_ICR_ASSERT);
    ticks = rdtsc() - start;
    sending = ticks < sending || i == 1 ? ticks : sending;
    SPIN(guest_cpus[1].count[2] == i);
}

/* NMIs alone wake a vCPU that falls asleep with interrupts on, and each is taken whatever moment it meets: at the HLT in the shadow of its STI, too. One
 * that comes before that wakes nobody, so the count is what is waited for. */
void payload_nmi_halt(void)
{
    uint32_t i = 0;

    ap_start();
    ap_run(sleep_until_stopped);
    while (i < 300) {
        send_nmi(++i);
    }
    ap_stop = true;
    while (!woke) {
        send_nmi(++i);
    }
    ap_join();
    CHECK_IS(me()->count[2], 0);
}

static volatile uint32_t nmi_depth, nmi_deepest;
static void nmi_handler(uint8_t vector)
{
    (void)vector;
    nmi_depth++;
    nmi_deepest = nmi_depth > nmi_deepest ? nmi_depth : nmi_deepest;
    if (me()->count[2] == 1) { /* a second one waits for our IRET, a third merges with it */
        out32(GUEST_PORT_NMI, 0);
        in32(GUEST_PORT_PATIENCE);
        out32(GUEST_PORT_NMI, 0);
        in32(GUEST_PORT_PATIENCE);
        CHECK_IS(me()->count[2], 1);
    }
    nmi_depth--;
}

/* NMIs by LVT entries and pins, with interrupts off; none inside another. */
void payload_nmi_lvt(void)
{
    cli();
    write_cr8(15);
    apic_write(VLAPIC_REG_LVT_LINT1, ICR(NMI));
    apic_write(VLAPIC_REG_LVT_PERF, ICR(NMI) | 0xFF);
    out32(GUEST_PORT_LINT, 0 | 1 << 8 | 1u << 16);
    WAIT(me()->count[2] == 1);
    out32(GUEST_PORT_LINT, 0 | 1 << 8);
    out32(GUEST_PORT_LVT_EVENT, 0 | VLAPIC_LVT_PERF << 8);
    WAIT(me()->count[2] == 2);
    CHECK_IS(apic_read(VLAPIC_REG_LVT_PERF), VLAPIC_LVT_MASKED | ICR(NMI) | 0xFF); /* it masks itself */
    out32(GUEST_PORT_LVT_EVENT, 0 | VLAPIC_LVT_PERF << 8);
    CHECK_IS(me()->count[2], 2);
    apic_write(VLAPIC_REG_LVT_THERMAL, 0x63);
    out32(GUEST_PORT_LVT_EVENT, 0 | VLAPIC_LVT_THERMAL << 8);
    CHECK(apic_bit(VLAPIC_REG_IRR, 0x63));

    me()->count[2] = 0;
    me()->handler[2] = nmi_handler;
    out32(GUEST_PORT_NMI, 0);
    WAIT(me()->count[2] == 2);
    CHECK_IS(nmi_deepest, 1);
    write_cr8(0);
    sti();
    SPIN(me()->count[0x63] == 1);
    CHECK_IS(me()->count[2], 2);
}
