/* SPDX-License-Identifier: BSD-2-Clause */
/* IA32_APIC_BASE: modes and base. */
#include "guest.h"
#include "payloads.h"

#define BASE VLAPIC_MSR_APIC_BASE
#define NOTHING 0xFFFFFFFFu

static uint64_t base_of(uint64_t mode)
{
    return VLAPIC_BASE_DEFAULT | VLAPIC_BASE_BSP | mode;
}

static void enable(void)
{
    apic_write(VLAPIC_REG_SVR, VLAPIC_SVR_ENABLE | SPURIOUS);
}

/* Delivers something in the mode that is on. */
static void check_alive(void)
{
    uint32_t before = me()->count[0x77];

    apic_send_self(0x77);
    SPIN(me()->count[0x77] == before + 1);
}

/* All the ways between the modes, three times round. */
void payload_modes(void)
{
    for (uint32_t round = 0; round < 3; round++) {
        check_alive();
        mmio_write(VLAPIC_REG_TPR, 0x20);
        mmio_write(VLAPIC_REG_LVT_THERMAL, VLAPIC_LVT_MASKED | 0x67);
        cli();
        apic_send_self(0x99);
        wrmsr(BASE, base_of(VLAPIC_BASE_EN | VLAPIC_BASE_EXTD)); /* keeps registers and what is pending */
        me()->x2apic = true;
        CHECK_IS(rdmsr(BASE), base_of(VLAPIC_BASE_EN | VLAPIC_BASE_EXTD));
        CHECK_IS(apic_read(VLAPIC_REG_TPR), 0x20);
        CHECK_IS(apic_read(VLAPIC_REG_LVT_THERMAL), VLAPIC_LVT_MASKED | 0x67);
        CHECK_IS(apic_read(VLAPIC_REG_LDR), 1);
        CHECK(apic_bit(VLAPIC_REG_IRR, 0x99));
        CHECK_IS(mmio_read(VLAPIC_REG_TPR), NOTHING);
        sti();
        SPIN(me()->count[0x99] == round + 1);
        check_alive();
        CHECK(wrmsr_faults(BASE, base_of(VLAPIC_BASE_EN)));
        CHECK(wrmsr_faults(BASE, base_of(VLAPIC_BASE_EXTD)));
        CHECK_IS(rdmsr(BASE), base_of(VLAPIC_BASE_EN | VLAPIC_BASE_EXTD));

        cli();
        apic_send_self(0x98);
        wrmsr(BASE, base_of(0));
        CHECK(rdmsr_faults(VLAPIC_MSR_OF(VLAPIC_REG_TPR)));
        CHECK_IS(mmio_read(VLAPIC_REG_VERSION), NOTHING);
        mmio_write(VLAPIC_REG_TPR, 0x50);
        CHECK_IS(read_cr8(), 0);
        write_cr8(4); /* CR8 is there all the same */
        CHECK_IS(read_cr8(), 4);
        guest_msi(0, 0x97);
        CHECK_IS(in32(GUEST_PORT_MSI_DATA), 0);
        CHECK(wrmsr_faults(BASE, base_of(VLAPIC_BASE_EN | VLAPIC_BASE_EXTD)));

        wrmsr(BASE, base_of(VLAPIC_BASE_EN));
        me()->x2apic = false;
        CHECK_IS(mmio_read(VLAPIC_REG_SVR), 0xFF);
        CHECK_IS(mmio_read(VLAPIC_REG_TPR), 0x40);
        CHECK_IS(mmio_read(VLAPIC_REG_LVT_THERMAL), VLAPIC_LVT_MASKED);
        CHECK(apic_is_empty(VLAPIC_REG_IRR));
        mmio_write(VLAPIC_REG_TPR, 0);
        enable();
        sti();
        CHECK_IS(me()->count[0x98] + me()->count[0x97], 0);
    }
    check_alive();
}

/* The window moves, and the old place is empty. */
void payload_relocation(void)
{
    for (uint32_t round = 0; round < 2; round++) {
        mmio_write(VLAPIC_REG_TPR, 0x30);
        wrmsr(BASE, GUEST_WINDOW_MOVED | VLAPIC_BASE_EN | VLAPIC_BASE_BSP);
        CHECK_IS(mmio_read(VLAPIC_REG_TPR), NOTHING);
        mmio_write(VLAPIC_REG_TPR, 0x70);
        me()->window = GUEST_WINDOW_MOVED;
        CHECK_IS(mmio_read(VLAPIC_REG_TPR), 0x30);
        mmio_write(VLAPIC_REG_TPR, 0x10);
        CHECK_IS(read_cr8(), 1);
        check_alive();
        guest_msi(0, 0x78); /* messages do not follow */
        SPIN(me()->count[0x78] == round + 1);

        wrmsr(BASE, base_of(VLAPIC_BASE_EN));
        CHECK_IS(mmio_read(VLAPIC_REG_TPR), NOTHING);
        me()->window = GUEST_WINDOW;
        CHECK_IS(mmio_read(VLAPIC_REG_TPR), 0x10);
        check_alive();
    }
}

/* Two vCPUs in different modes find each other. */
void payload_mixed_modes(void)
{
    ap_start();
    apic_enable_x2apic();
    for (uint32_t i = 1; i <= 20; i++) {
        apic_send(1, VLAPIC_ICR_ASSERT | 0x61);
        SPIN(guest_cpus[1].count[0x61] == i);
        apic_send(0, ICR_ALL | VLAPIC_ICR_ASSERT | 0x62);
        SPIN(guest_cpus[1].count[0x62] == i && me()->count[0x62] == i);
    }
    ap_do(apic_enable_x2apic);
    apic_send(1, VLAPIC_ICR_ASSERT | 0x63);
    SPIN(guest_cpus[1].count[0x63] == 1);
}
