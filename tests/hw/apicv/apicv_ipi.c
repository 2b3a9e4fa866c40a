/* SPDX-License-Identifier: BSD-2-Clause */
/* What a write of the ICR on the page means, and IPI virtualization. Reference 8.3 and 11. */
#include "apicv_internal.h"

/* ---- 8.3 ---- */

static bool bits_are(uint32_t value, unsigned high, unsigned low, uint32_t wanted)
{
    return (value >> low & ((1u << (high - low + 1)) - 1)) == wanted;
}

static bool common_form(uint32_t icr)
{
    return bits_are(icr, 31, 20, 0) && bits_are(icr, 17, 16, 0) && bits_are(icr, 13, 13, 0) && bits_are(icr, 12, 12, 0);
}

/* Shorthand self, edge, fixed, a legal vector. Destination mode and level do not matter. */
static bool self_form(uint32_t icr)
{
    return common_form(icr) && bits_are(icr, 19, 18, 1) && bits_are(icr, 15, 15, 0) && bits_are(icr, 10, 8, 0) &&
           !bits_are(icr, 7, 4, 0);
}

/* No shorthand, edge, physical, fixed. The vector is looked at later, the level not at all. */
static bool unicast_form(uint32_t icr)
{
    return common_form(icr) && bits_are(icr, 19, 18, 0) && bits_are(icr, 15, 15, 0) && bits_are(icr, 11, 11, 0) &&
           bits_are(icr, 10, 8, 0);
}

struct apicv_trap apicv_icr_written(struct apicv_cpu *cpu)
{
    uint32_t low = apicv_page_read(cpu, APICV_VICR_LO);
    uint32_t high = apicv_page_read(cpu, APICV_VICR_HI);

    if (apicv_virtual_interrupt_delivery(cpu) && self_form(low)) {
        apicv_self_ipi_virtualization(cpu, (uint8_t)low);
        return apicv_no_trap();
    }
    if (apicv_tertiary(cpu, APICV_TERTIARY_IPI_VIRTUALIZATION) && unicast_form(low)) {
        return apicv_ipi_virtualization(cpu, (uint8_t)low, high >> 24);
    }
    return apicv_write_trap(APICV_VICR_LO);
}

/* ---- 11 ---- */

/* NULL: no descriptor that hardware may use. */
static uint8_t *descriptor_of(struct apicv_cpu *cpu, uint32_t target)
{
    uint64_t entry;

    if (target > apicv_get(cpu, APICV_LAST_PID_INDEX)) {
        return NULL;
    }
    entry = __atomic_load_n(
        (uint64_t *)(void *)apicv_memory(cpu, apicv_get(cpu, APICV_PID_TABLE_ADDRESS) + 8ull * target, 8),
        __ATOMIC_SEQ_CST);
    if (!apicv_within_width(cpu, entry) || (entry & 0x3F) != 1) {
        return NULL;
    }
    return apicv_memory(cpu, entry & ~0x3Full, APICV_DESCRIPTOR_BYTES);
}

/* ON := 1 if neither ON nor SN is 1, in one locked operation. Returns whether it was so; *control is what it was. */
static bool claim_notification(uint64_t *where, uint64_t *control)
{
    *control = __atomic_load_n(where, __ATOMIC_SEQ_CST);
    do {
        if (*control & (APICV_DESCRIPTOR_ON | APICV_DESCRIPTOR_SN)) {
            return false;
        }
    } while (!__atomic_compare_exchange_n(where, control, *control | APICV_DESCRIPTOR_ON, false, __ATOMIC_SEQ_CST,
                                          __ATOMIC_SEQ_CST));
    return true;
}

static void send_notification(struct apicv_cpu *cpu, uint64_t control)
{
    uint8_t vector = (uint8_t)(control >> 16);
    uint32_t destination = (uint32_t)(control >> 32);

    if (!cpu->host_x2apic) {
        destination = destination >> 8 & 0xFF;
    }
    if (cpu->host->send_ipi) {
        cpu->host->send_ipi(cpu->host->context, destination, vector);
    }
}

struct apicv_trap apicv_ipi_virtualization(struct apicv_cpu *cpu, uint8_t vector, uint32_t target)
{
    uint8_t *descriptor;
    uint64_t control;

    if (vector < 16) {
        return apicv_write_trap(APICV_VICR_LO);
    }
    descriptor = descriptor_of(cpu, target);
    if (!descriptor) {
        return apicv_write_trap(APICV_VICR_LO);
    }
    (void)__atomic_fetch_or(&((uint64_t *)(void *)descriptor)[vector >> 6], 1ull << (vector & 63), __ATOMIC_SEQ_CST);
    apicv_emit(cpu, APICV_TRACE_IPI, vector, target);
    if (claim_notification((uint64_t *)(void *)(descriptor + APICV_DESCRIPTOR_CONTROL), &control)) {
        send_notification(cpu, control);
    }
    return apicv_no_trap();
}
