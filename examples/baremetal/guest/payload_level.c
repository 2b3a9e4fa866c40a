/* SPDX-License-Identifier: BSD-2-Clause */
/* Level-triggered interrupts, whose EOI has to reach the device, next to edge-triggered ones, whose EOI has not to. */
#include "guest.h"
#include "payloads.h"

#define LEVEL 0x81
#define EDGE 0x91
#define ROUNDS 5u

static volatile bool tmr_was_set;

/* The device lets go at the last round; the EOI comes after the handler. */
static void device(uint8_t vector)
{
    tmr_was_set = apic_bit(VLAPIC_REG_TMR, vector);
    if (me()->count[vector] % ROUNDS == 0) {
        out32(GUEST_PORT_LINE, vector);
    }
}

static uint32_t eois(uint8_t vector)
{
    out32(GUEST_PORT_LINE, vector); /* names it; it is de-asserted by then */
    return in32(GUEST_PORT_LINE);
}

void payload_level(void)
{
    me()->handler[LEVEL] = device;
    out32(GUEST_PORT_LINE, GUEST_LINE_ASSERT | LEVEL);
    SPIN(me()->count[LEVEL] == ROUNDS);
    CHECK(tmr_was_set);
    WAIT(eois(LEVEL) == ROUNDS);
    CHECK(!apic_bit(VLAPIC_REG_IRR, LEVEL));
    CHECK(apic_bit(VLAPIC_REG_TMR, LEVEL)); /* until the vector is accepted as an edge */

    for (uint32_t i = 0; i < ROUNDS; i++) {
        apic_send_self(EDGE);
        SPIN(me()->count[EDGE] == i + 1);
    }
    CHECK(!apic_bit(VLAPIC_REG_TMR, EDGE));
    CHECK_IS(eois(EDGE), 0);

    /* The same vector as an edge: no EOI reaches the device; then as a level again. By a message, for hardware that carries out self-IPIs leaves
     * TMR as it is. */
    guest_msi(0, LEVEL);
    SPIN(me()->count[LEVEL] == ROUNDS + 1);
    CHECK(!apic_bit(VLAPIC_REG_TMR, LEVEL));
    CHECK_IS(eois(LEVEL), ROUNDS);
    out32(GUEST_PORT_LINE, GUEST_LINE_ASSERT | LEVEL);
    SPIN(me()->count[LEVEL] == 2 * ROUNDS);
    CHECK_IS(eois(LEVEL), 2 * ROUNDS - 1);
}

/* An edge nested in a level interrupt: each EOI is that of the vector in service that is highest. */
static void nest(uint8_t vector)
{
    (void)vector;
    apic_send_self(EDGE);
    sti();
    SPIN(me()->count[EDGE] == me()->count[LEVEL]);
    cli();
    out32(GUEST_PORT_LINE, LEVEL);
    CHECK_IS(in32(GUEST_PORT_LINE), me()->count[LEVEL] - 1);
}

void payload_level_nested(void)
{
    me()->handler[LEVEL] = nest;
    for (uint32_t i = 1; i <= ROUNDS; i++) {
        out32(GUEST_PORT_LINE, GUEST_LINE_ASSERT | LEVEL);
        SPIN(me()->count[LEVEL] == i && me()->count[EDGE] == i);
        WAIT(eois(LEVEL) == i);
    }
    CHECK(apic_is_empty(VLAPIC_REG_ISR));
}

/* The line of a device goes up while the vCPU masks it by TPR, and down again before it is taken: it is taken all the same. */
void payload_level_masked(void)
{
    write_cr8(15);
    out32(GUEST_PORT_LINE, GUEST_LINE_ASSERT | LEVEL);
    CHECK(apic_bit(VLAPIC_REG_IRR, LEVEL));
    CHECK(apic_bit(VLAPIC_REG_TMR, LEVEL));
    out32(GUEST_PORT_LINE, LEVEL);
    CHECK(apic_bit(VLAPIC_REG_IRR, LEVEL));
    write_cr8(0);
    SPIN(me()->count[LEVEL] == 1);
    WAIT(eois(LEVEL) == 1);
    CHECK(!apic_bit(VLAPIC_REG_IRR, LEVEL));
}

static volatile uint32_t line_count;
static void lint_handler(uint8_t vector)
{
    (void)vector;
    CHECK((apic_read(VLAPIC_REG_LVT_LINT0) & VLAPIC_LVT_REMOTE_IRR) != 0);
    if (++line_count == ROUNDS) {
        out32(GUEST_PORT_LINT, 0 | 0 << 8 | 0u << 16);
    }
}

/* LINT0 as a Fixed, level-triggered pin: remote IRR until the EOI, and once more while the pin is high. */
void payload_lint(void)
{
    apic_write(VLAPIC_REG_LVT_LINT0, VLAPIC_LVT_LEVEL | LEVEL);
    me()->handler[LEVEL] = lint_handler;
    out32(GUEST_PORT_LINT, 0 | 0 << 8 | 1u << 16);
    SPIN(line_count == ROUNDS);
    WAIT((apic_read(VLAPIC_REG_LVT_LINT0) & VLAPIC_LVT_REMOTE_IRR) == 0);
    CHECK_IS(me()->count[LEVEL], ROUNDS);

    /* As an edge: once. */
    apic_write(VLAPIC_REG_LVT_LINT0, EDGE);
    out32(GUEST_PORT_LINT, 0 | 0 << 8 | 1u << 16);
    SPIN(me()->count[EDGE] == 1);
    out32(GUEST_PORT_LINT, 0);
    CHECK_IS(me()->count[EDGE], 1);
}
