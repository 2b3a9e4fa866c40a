/* SPDX-License-Identifier: BSD-2-Clause */
/* Delivery, priorities, masking by TPR and CR8, nesting, spurious interrupts, software disable. */
#include "guest.h"
#include "payloads.h"

/* Everything that is pending is delivered at one go, the highest vector first, and each needs its EOI. */
void payload_delivery(void)
{
    static const uint8_t sent[] = { 0x31, 0xE7, 0x50, 0x9F, 0xFF, 0x34, 0x20 };
    static const uint8_t order[] = { 0xFF, 0xE7, 0x9F, 0x50, 0x34, 0x31, 0x20 };

    cli();
    for (size_t i = 0; i < sizeof(sent); i++) {
        apic_send_self(sent[i]);
    }
    CHECK_IS(me()->logged, 0);
    for (size_t i = 0; i < sizeof(sent); i++) {
        CHECK(apic_bit(VLAPIC_REG_IRR, sent[i]));
        CHECK(!apic_bit(VLAPIC_REG_ISR, sent[i]));
    }
    sti();
    SPIN(me()->logged == sizeof(sent));
    for (size_t i = 0; i < sizeof(sent); i++) {
        CHECK_IS(me()->log[i], order[i]);
    }
    CHECK(apic_is_empty(VLAPIC_REG_IRR));
    CHECK(apic_is_empty(VLAPIC_REG_ISR));
    CHECK_IS(apic_read(VLAPIC_REG_PPR), 0);
    CHECK_IS(me()->spurious, 0);
}

/* A vector is let in only if its class is above TPR's; lowering TPR lets in what waits, at once. */
void payload_tpr(void)
{
    for (uint32_t tpr = 0; tpr <= 0xFF; tpr += 0x0F) {
        for (uint32_t vector = 0x2F; vector <= 0xFF; vector += 0x34) {
            bool higher = vector >> 4 > tpr >> 4;
            uint32_t before = me()->count[vector];

            apic_write(VLAPIC_REG_TPR, tpr);
            CHECK_IS(apic_read(VLAPIC_REG_TPR), tpr);
            CHECK_IS(apic_read(VLAPIC_REG_PPR), tpr);
            CHECK_IS(read_cr8(), tpr >> 4);
            apic_send_self((uint8_t)vector);
            if (higher) {
                SPIN(me()->count[vector] == before + 1);
            } else {
                CHECK(apic_bit(VLAPIC_REG_IRR, (uint8_t)vector));
                CHECK_IS(me()->count[vector], before);
                apic_write(VLAPIC_REG_TPR, (vector & 0xF0) - 1);
                SPIN(me()->count[vector] == before + 1);
            }
            CHECK(!apic_bit(VLAPIC_REG_IRR, (uint8_t)vector));
        }
    }
    apic_write(VLAPIC_REG_TPR, 0);
}

/* CR8 is TPR bits 7:4; a write clears bits 3:0. Bits 63:4 of what is written must be clear. */
void payload_cr8(void)
{
    for (uint32_t class = 0; class <= 15; class ++) {
        write_cr8(class);
        CHECK_IS(read_cr8(), class);
        CHECK_IS(apic_read(VLAPIC_REG_TPR), class << 4);
        apic_write(VLAPIC_REG_TPR, class << 4 | 9);
        CHECK_IS(read_cr8(), class);
    }
    write_cr8(3);
    CHECK(write_cr8_faults(16));
    CHECK(write_cr8_faults(1ull << 63));
    CHECK_IS(apic_read(VLAPIC_REG_TPR), 0x30);

    write_cr8(15);
    apic_send_self(0x62);
    apic_send_self(0xA2);
    apic_send_self(0xF2);
    for (int class = 15; class >= 0; class --) {
        uint32_t expected = (class < 15) + (class < 10) + (class < 6);

        write_cr8((uint64_t) class);
        SPIN(me()->logged == expected);
        CHECK_IS(apic_bit(VLAPIC_REG_IRR, 0x62), class >= 6);
    }
    CHECK_IS(me()->log[0], 0xF2);
    CHECK_IS(me()->log[1], 0xA2);
    CHECK_IS(me()->log[2], 0x62);
}

static volatile uint32_t nested[8], depth, deepest;

/* The handler of a level lets others in while it is in service, sends one of its own class and a higher one. */
static void nest(uint8_t vector)
{
    uint32_t class = vector >> 4;

    depth++;
    deepest = depth > deepest ? depth : deepest;
    nested[class]++;
    CHECK(apic_bit(VLAPIC_REG_ISR, vector));
    CHECK_IS(apic_read(VLAPIC_REG_PPR), class << 4);
    if (vector == (class << 4 | 1) && class < 7) {
        apic_send_self((uint8_t)(vector | 8));    /* of this class, higher: has to wait for the EOI */
        apic_send_self((uint8_t)(vector + 0x10)); /* comes at once */
        sti();
        SPIN(nested[class + 1] == (class == 6 ? 1 : 2));
        cli();
        CHECK_IS(nested[class], 1);
        CHECK(apic_bit(VLAPIC_REG_IRR, (uint8_t)(vector | 8)));
        CHECK(apic_is_empty(VLAPIC_REG_TMR));
    }
    depth--;
}

void payload_nesting(void)
{
    for (uint32_t class = 3; class < 8; class ++) {
        me()->handler[class << 4 | 1] = nest;
        me()->handler[class << 4 | 9] = nest;
    }
    apic_send_self(0x31);
    SPIN(me()->logged == 9);
    CHECK_IS(deepest, 5);
    CHECK_IS(depth, 0);
    CHECK(apic_is_empty(VLAPIC_REG_ISR));
    CHECK_IS(apic_read(VLAPIC_REG_PPR), 0);
}

static void own_eoi(uint8_t vector)
{
    uint32_t isr = apic_read(VLAPIC_REG_ISR + vector / 32 * 16);

    CHECK_IS(isr, 1u << vector % 32);
    apic_eoi();
    CHECK(apic_is_empty(VLAPIC_REG_ISR));
    apic_eoi(); /* of nothing: changes nothing */
    CHECK(apic_is_empty(VLAPIC_REG_ISR));
}

/* EOI takes the highest bit of ISR; a vector that comes again while in service is delivered once more. */
void payload_eoi(void)
{
    cli();
    me()->handler[0x53] = own_eoi;
    me()->no_eoi[0x53] = true;
    apic_send_self(0x53);
    apic_send_self(0x53); /* merges */
    let_in();
    CHECK_IS(me()->count[0x53], 1);

    me()->no_eoi[0x44] = true;
    apic_send_self(0x44);
    let_in();
    apic_send_self(0x44); /* in service: waits in IRR */
    let_in();
    CHECK_IS(me()->count[0x44], 1);
    CHECK(apic_bit(VLAPIC_REG_ISR, 0x44));
    CHECK(apic_bit(VLAPIC_REG_IRR, 0x44));
    apic_eoi();
    let_in();
    CHECK_IS(me()->count[0x44], 2);
    apic_eoi();
    CHECK(apic_is_empty(VLAPIC_REG_ISR));
    CHECK(apic_is_empty(VLAPIC_REG_IRR));
    sti();
}

/* A vector that TPR masks just before it could be taken comes later, or as the spurious interrupt now and later as itself; and an
 * ordinary interrupt with the spurious vector is in service like any other. */
static volatile bool was_in_service;
static void look_at_service(uint8_t vector)
{
    was_in_service = apic_bit(VLAPIC_REG_ISR, vector);
}

void payload_spurious(void)
{
    for (uint32_t i = 0; i < 50; i++) {
        uint32_t spurious = me()->spurious;

        cli();
        apic_send_self(0x73);
        write_cr8(7);
        let_in();
        CHECK_IS(me()->count[0x73], i);
        CHECK(me()->spurious <= spurious + 1);
        CHECK(apic_is_empty(VLAPIC_REG_ISR));
        CHECK(apic_bit(VLAPIC_REG_IRR, 0x73));
        write_cr8(0);
        let_in();
        CHECK_IS(me()->count[0x73], i + 1);
        sti();
    }
    me()->handler[SPURIOUS] = look_at_service;
    apic_send_self(SPURIOUS);
    SPIN(me()->count[SPURIOUS] == 1);
    CHECK(was_in_service);
    CHECK(apic_is_empty(VLAPIC_REG_ISR));
    apic_write(VLAPIC_REG_SVR, VLAPIC_SVR_ENABLE | 0x1F);
    CHECK_IS(apic_read(VLAPIC_REG_SVR), VLAPIC_SVR_ENABLE | 0x1F);
}

/* SVR bit 8 clear: LVTs are masked and stay so, what is pending stays pending and can be delivered, Fixed interrupts are not accepted, NMIs are. */
void payload_software_disable(void)
{
    cli();
    apic_write(VLAPIC_REG_LVT_TIMER, 0x61);
    apic_write(VLAPIC_REG_LVT_THERMAL, 0x62);
    apic_send_self(0x55);
    apic_write(VLAPIC_REG_SVR, SPURIOUS);
    CHECK_IS(apic_read(VLAPIC_REG_LVT_TIMER), VLAPIC_LVT_MASKED | 0x61);
    CHECK_IS(apic_read(VLAPIC_REG_LVT_THERMAL), VLAPIC_LVT_MASKED | 0x62);
    apic_write(VLAPIC_REG_LVT_TIMER, 0x63);
    CHECK_IS(apic_read(VLAPIC_REG_LVT_TIMER), VLAPIC_LVT_MASKED | 0x63);
    CHECK(apic_bit(VLAPIC_REG_IRR, 0x55));
    apic_send_self(0x56);
    guest_msi(0, 0x57);
    CHECK_IS(in32(GUEST_PORT_MSI_DATA), 0);
    CHECK(!apic_bit(VLAPIC_REG_IRR, 0x56));
    CHECK(!apic_bit(VLAPIC_REG_IRR, 0x57));
    guest_msi(0, ICR(NMI));
    CHECK_IS(in32(GUEST_PORT_MSI_DATA), 1);
    WAIT(me()->count[2] == 1);
    apic_write(VLAPIC_REG_SVR, VLAPIC_SVR_ENABLE | SPURIOUS);
    CHECK_IS(apic_read(VLAPIC_REG_LVT_TIMER), VLAPIC_LVT_MASKED | 0x63);
    sti();
    SPIN(me()->count[0x55] == 1);
    apic_send_self(0x56);
    SPIN(me()->count[0x56] == 1);
    CHECK_IS(me()->count[0x57], 0);
    CHECK(apic_is_empty(VLAPIC_REG_IRR));
}
