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
