/* SPDX-License-Identifier: BSD-2-Clause */
/* IPIs: to oneself, and between two vCPUs by every kind of destination. */
#include "guest.h"
#include "payloads.h"

static uint32_t here(uint8_t vector)
{
    return guest_cpus[0].count[vector];
}

static uint32_t there(uint8_t vector)
{
    return guest_cpus[1].count[vector];
}

void payload_self_ipi(void)
{
    for (uint32_t i = 1; i <= 20; i++) {
        apic_send_self(0x45);
        SPIN(here(0x45) == i);
        CHECK_IS(apic_read(VLAPIC_REG_ICR_LOW), ICR_SELF | VLAPIC_ICR_ASSERT | 0x45);
        apic_send(0, VLAPIC_ICR_ASSERT | 0x46); /* by its own ID */
        SPIN(here(0x46) == i);
        apic_send(0, ICR_ALL | VLAPIC_ICR_ASSERT | 0x47);
        SPIN(here(0x47) == i);
        apic_send(0, ICR_OTHERS | VLAPIC_ICR_ASSERT | 0x48); /* nobody else is awake */
        if (me()->x2apic) {
            wrmsr(VLAPIC_MSR_OF(VLAPIC_REG_SELF_IPI), 0x49);
            SPIN(here(0x49) == i);
            /* which leaves ICR alone */
            CHECK_IS(apic_read(VLAPIC_REG_ICR_LOW), ICR_OTHERS | VLAPIC_ICR_ASSERT | 0x48);
        }
    }
    CHECK_IS(here(0x48), 0);
    CHECK_IS(apic_read(VLAPIC_REG_ESR), 0);
}

static void answer(uint8_t vector)
{
    (void)vector;
    apic_send(0, VLAPIC_ICR_ASSERT | 0x52);
}

/* Both ways, and by the hand of the other's handler. */
void payload_ipi_fixed(void)
{
    ap_start();
    guest_cpus[1].handler[0x51] = answer;
    for (uint32_t i = 1; i <= 100; i++) {
        apic_send(1, VLAPIC_ICR_ASSERT | 0x51);
        SPIN(there(0x51) == i && here(0x52) == i);
    }
    CHECK_IS(here(0x51), 0);
    CHECK_IS(there(0x52), 0);
    apic_send(7, VLAPIC_ICR_ASSERT | 0x53); /* nobody */
    apic_send(1, VLAPIC_ICR_ASSERT | 0x54);
    SPIN(there(0x54) == 1);
    CHECK_IS(here(0x53) + there(0x53), 0);
}

void payload_ipi_shorthands(void)
{
    uint32_t broadcast = me()->x2apic ? 0xFFFFFFFF : 0xFF;

    ap_start();
    for (uint32_t i = 1; i <= 20; i++) {
        apic_send(0, ICR_OTHERS | VLAPIC_ICR_ASSERT | 0x61);
        SPIN(there(0x61) == i);
        apic_send(1, ICR_ALL | VLAPIC_ICR_ASSERT | 0x62); /* the destination does not count */
        SPIN(here(0x62) == i && there(0x62) == i);
        apic_send(1, ICR_SELF | VLAPIC_ICR_ASSERT | 0x63);
        SPIN(here(0x63) == i);
        apic_send(broadcast, VLAPIC_ICR_ASSERT | 0x64);
        SPIN(here(0x64) == i && there(0x64) == i);
        apic_send(broadcast, VLAPIC_ICR_LOGICAL | VLAPIC_ICR_ASSERT | 0x65);
        SPIN(here(0x65) == i && there(0x65) == i);
    }
    CHECK_IS(here(0x61), 0);
    CHECK_IS(there(0x63), 0);
}

static volatile uint32_t wanted_ldr, wanted_dfr;

static void set_logical(void)
{
    apic_write(VLAPIC_REG_DFR, wanted_dfr);
    apic_write(VLAPIC_REG_LDR, wanted_ldr);
}

static void set_both(uint32_t dfr, uint32_t ldr0, uint32_t ldr1)
{
    wanted_dfr = dfr;
    wanted_ldr = ldr0;
    set_logical();
    wanted_ldr = ldr1;
    ap_do(set_logical);
    CHECK_IS(apic_read(VLAPIC_REG_LDR), ldr0);
}

/* Sends to a logical destination and says who got it: bit 0 this vCPU, bit 1 the other. A lower vector that comes behind has been taken when all
 * above it have. */
static uint32_t who(uint32_t destination)
{
    uint32_t mine = here(0x71), theirs = there(0x71), my_mark = here(0x60), their_mark = there(0x60);

    apic_send(destination, VLAPIC_ICR_LOGICAL | VLAPIC_ICR_ASSERT | 0x71);
    apic_send(1, VLAPIC_ICR_ASSERT | 0x60);
    apic_send_self(0x60);
    SPIN(there(0x60) == their_mark + 1 && here(0x60) == my_mark + 1);
    return (here(0x71) - mine) | (there(0x71) - theirs) << 1;
}

void payload_ipi_logical(void)
{
    ap_start();
    if (me()->x2apic) { /* cluster 0, members 0 and 1, derived from the IDs */
        CHECK_IS(apic_read(VLAPIC_REG_LDR), 1);
        CHECK_IS(who(1), 1);
        CHECK_IS(who(2), 2);
        CHECK_IS(who(3), 3);
        CHECK_IS(who(0x10003), 0);
        CHECK_IS(who(4), 0);
        return;
    }
    set_both(0xFFFFFFFF, 0x01000000, 0x42000000); /* flat */
    CHECK_IS(who(0x01), 1);
    CHECK_IS(who(0x02), 2);
    CHECK_IS(who(0x40), 2);
    CHECK_IS(who(0x41), 3);
    CHECK_IS(who(0x80), 0);
    CHECK_IS(who(0xFF), 3);
    set_both(0x0FFFFFFF, 0x21000000, 0x22000000); /* one cluster */
    CHECK_IS(who(0x21), 1);
    CHECK_IS(who(0x22), 2);
    CHECK_IS(who(0x2F), 3);
    CHECK_IS(who(0x3F), 0);
    set_both(0x0FFFFFFF, 0x21000000, 0x41000000); /* two */
    CHECK_IS(who(0x21), 1);
    CHECK_IS(who(0x41), 2);
    CHECK_IS(who(0xFF), 3);
}

/* One of the two takes it, and neither gets what the other has. */
void payload_ipi_lowest(void)
{
    ap_start();
    set_both(0xFFFFFFFF, 0x01000000, 0x02000000);
    for (uint32_t vector = 0x80; vector < 0xA0; vector++) {
        uint32_t sum = here((uint8_t)vector) + there((uint8_t)vector);

        apic_send(0x03, VLAPIC_ICR_LOGICAL | ICR(LOWEST) | VLAPIC_ICR_ASSERT | vector);
        SPIN(here((uint8_t)vector) + there((uint8_t)vector) == sum + 1);
        apic_send(0x02, VLAPIC_ICR_LOGICAL | ICR(LOWEST) | VLAPIC_ICR_ASSERT | 0xB0);
        SPIN(there(0xB0) == vector - 0x7F);
    }
    CHECK_IS(here(0xB0), 0);
    CHECK_IS(apic_read(VLAPIC_REG_ESR), 0);
}

/* In x2APIC mode there is no lowest priority: it is an error, and nothing is sent. */
void payload_lowest_x2apic(void)
{
    apic_send(1, VLAPIC_ICR_LOGICAL | ICR(LOWEST) | VLAPIC_ICR_ASSERT | 0x90);
    apic_write(VLAPIC_REG_ESR, 0);
    CHECK_IS(apic_read(VLAPIC_REG_ESR), VLAPIC_ESR_REDIRECTABLE_IPI);
    CHECK_IS(here(0x90), 0);
}
