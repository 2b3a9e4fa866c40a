/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory-mapped accesses of the guest: the APIC-access page, APIC-write emulation, other memory. Reference 8. */
#include "apicv_internal.h"

#define FRAME 4096ull
#define OFFSET_BITS 0xFFFull

/* ---- which accesses are virtualized (8.1, 8.2) ---- */

/* First offset of each 16-byte slot whose bytes 3:0 register virtualization lets the guest read. */
static const uint16_t readable[] = {
    0x020, 0x030, 0x080, 0x0B0, 0x0D0, 0x0E0, 0x0F0,                      /* ID to SVR */
    0x100, 0x110, 0x120, 0x130, 0x140, 0x150, 0x160, 0x170,               /* ISR */
    0x180, 0x190, 0x1A0, 0x1B0, 0x1C0, 0x1D0, 0x1E0, 0x1F0,               /* TMR */
    0x200, 0x210, 0x220, 0x230, 0x240, 0x250, 0x260, 0x270,               /* IRR */
    0x280, 0x300, 0x310, 0x320, 0x330, 0x340, 0x350, 0x360, 0x370, 0x380, /* ESR, ICR, LVT, initial count */
    0x3E0,                                                                /* DCR */
};

static const uint16_t writable[] = {
    0x020, 0x080, 0x0B0, 0x0D0, 0x0E0, 0x0F0, 0x280, 0x300, 0x310,
    0x320, 0x330, 0x340, 0x350, 0x360, 0x370, 0x380, 0x3E0,
};

static bool listed(const uint16_t *slots, size_t count, uint32_t offset)
{
    for (size_t i = 0; i < count; i++) {
        if (slots[i] == (offset & 0xFF0)) {
            return true;
        }
    }
    return false;
}

static bool in_low_dword_of_slot(uint32_t offset, uint32_t size)
{
    return (offset & 0xF) + size <= 4;
}

static bool register_virtualization(const struct apicv_cpu *cpu)
{
    return apicv_secondary(cpu, APICV_SECONDARY_REGISTER_VIRTUALIZATION);
}

static bool read_is_virtualized(const struct apicv_cpu *cpu, uint32_t offset, uint32_t size)
{
    if (!apicv_primary(cpu, APICV_PRIMARY_TPR_SHADOW) || size > 4 || cpu->operation.wrote ||
        !in_low_dword_of_slot(offset, size)) {
        return false;
    }
    if (register_virtualization(cpu)) {
        return listed(readable, sizeof readable / sizeof readable[0], offset);
    }
    if (offset == 0x0B0 || offset == 0x300) {
        return apicv_virtual_interrupt_delivery(cpu) && !cpu->knobs.read_0b0_300_by_register_virtualization;
    }
    return offset == 0x080;
}

static bool write_is_virtualized(const struct apicv_cpu *cpu, uint32_t offset, uint32_t size)
{
    const struct apicv_operation *operation = &cpu->operation;

    if (!apicv_primary(cpu, APICV_PRIMARY_TPR_SHADOW) || size > 4 || !in_low_dword_of_slot(offset, size)) {
        return false;
    }
    if (operation->wrote && (operation->offset != offset || operation->size != size)) {
        return false;
    }
    if (register_virtualization(cpu)) {
        return listed(writable, sizeof writable / sizeof writable[0], offset);
    }
    if (offset == 0x300) {
        return apicv_virtual_interrupt_delivery(cpu) || apicv_tertiary(cpu, APICV_TERTIARY_IPI_VIRTUALIZATION);
    }
    if (offset == 0x0B0) {
        return apicv_virtual_interrupt_delivery(cpu);
    }
    return offset == 0x080;
}

static bool writes(const struct apicv_access *access)
{
    return access->type == APICV_ACCESS_WRITE || (access->type != APICV_ACCESS_READ && access->write);
}

static bool is_virtualized(const struct apicv_cpu *cpu, const struct apicv_access *access, uint32_t offset)
{
    switch (access->type) {
    case APICV_ACCESS_FETCH:
    case APICV_ACCESS_GUEST_PHYSICAL:
    case APICV_ACCESS_GUEST_PHYSICAL_DELIVERY:
        return false;
    case APICV_ACCESS_READ:
    case APICV_ACCESS_WRITE:
    case APICV_ACCESS_DELIVERY:
    case APICV_ACCESS_MONITOR:
        break;
    }
    if (access->simd && cpu->knobs.simd_always_exits) {
        return false;
    }
    return writes(access) ? write_is_virtualized(cpu, offset, access->size)
                          : read_is_virtualized(cpu, offset, access->size);
}

/* ---- APIC-access exits (8.5) ---- */

static struct apicv_result access_exit(struct apicv_cpu *cpu, const struct apicv_access *access, uint32_t offset)
{
    enum apicv_access_type type = access->type;
    uint64_t asynchronous = access->asynchronous ? 1ull << 16 : 0;

    if (type == APICV_ACCESS_READ && access->rmw && cpu->knobs.rmw_exits_as_write) {
        type = APICV_ACCESS_WRITE;
    }
    if (type == APICV_ACCESS_MONITOR && !cpu->knobs.monitor_exits_as_monitor) {
        type = APICV_ACCESS_READ;
    }
    if (type == APICV_ACCESS_GUEST_PHYSICAL || type == APICV_ACCESS_GUEST_PHYSICAL_DELIVERY) {
        offset = cpu->knobs.poison & OFFSET_BITS; /* undefined */
    }
    return apicv_fault_exit(cpu, APICV_EXIT_APIC_ACCESS, asynchronous | (uint64_t)type << 12 | offset);
}

/* ---- the bytes ---- */

/* Aligned accesses are made at once. */
static uint64_t load(uint8_t *from, uint32_t size)
{
    uint64_t value = 0;

    if ((uintptr_t)from % size == 0 && size == 8) {
        return __atomic_load_n((uint64_t *)(void *)from, __ATOMIC_RELAXED);
    }
    if ((uintptr_t)from % size == 0 && size == 4) {
        return __atomic_load_n((uint32_t *)(void *)from, __ATOMIC_RELAXED);
    }
    for (uint32_t i = 0; i < size && i < 8; i++) {
        value |= (uint64_t)__atomic_load_n(from + i, __ATOMIC_RELAXED) << 8 * i;
    }
    return value;
}

static void store(uint8_t *to, uint32_t size, uint64_t value)
{
    if ((uintptr_t)to % size == 0 && size == 8) {
        __atomic_store_n((uint64_t *)(void *)to, value, __ATOMIC_RELAXED);
    } else if ((uintptr_t)to % size == 0 && size == 4) {
        __atomic_store_n((uint32_t *)(void *)to, (uint32_t)value, __ATOMIC_RELAXED);
    } else {
        for (uint32_t i = 0; i < size; i++) {
            __atomic_store_n(to + i, (uint8_t)(i < 8 ? value >> 8 * i : 0), __ATOMIC_RELAXED);
        }
    }
}

static void virtualized_access(struct apicv_cpu *cpu, const struct apicv_access *access, uint32_t offset,
                               uint64_t *value)
{
    uint8_t *bytes = apicv_page(cpu) + offset;

    if (writes(access)) {
        store(bytes, access->size, *value);
        cpu->operation.wrote = true;
        cpu->operation.offset = offset;
        cpu->operation.size = access->size;
    } else {
        *value = load(bytes, access->size);
    }
}

/* ---- one access ---- */

/* The part of an access that lies in one 4-KiB page. */
struct piece {
    uint64_t guest_physical, physical;
    uint32_t size;
    bool mapped, large;
};

static struct piece translated(struct apicv_cpu *cpu, uint64_t guest_physical, uint32_t size)
{
    struct piece piece = { guest_physical, guest_physical, size, true, false };

    if (apicv_secondary(cpu, APICV_SECONDARY_EPT) && cpu->host->translate) {
        piece.mapped = cpu->host->translate(cpu->host->context, guest_physical, &piece.physical, &piece.large);
    }
    return piece;
}

static unsigned split(struct apicv_cpu *cpu, const struct apicv_access *access, struct piece pieces[2])
{
    uint64_t left = FRAME - (access->address & OFFSET_BITS);

    if (access->size <= left) {
        pieces[0] = translated(cpu, access->address, access->size);
        return 1;
    }
    pieces[0] = translated(cpu, access->address, (uint32_t)left);
    pieces[1] = translated(cpu, access->address + left, access->size - (uint32_t)left);
    return 2;
}

/* Qualification: bits 2:0 read, write, fetch; 7 linear address valid, 8 not of a page walk. */
static struct apicv_result ept_violation(struct apicv_cpu *cpu, const struct apicv_access *access,
                                         uint64_t guest_physical)
{
    bool linear = access->type != APICV_ACCESS_GUEST_PHYSICAL && access->type != APICV_ACCESS_GUEST_PHYSICAL_DELIVERY;
    uint64_t direction = access->type == APICV_ACCESS_FETCH ? 4 : writes(access) ? 2 : 1;

    if (access->rmw) {
        direction |= 2;
    }
    apicv_set(cpu, APICV_GUEST_PHYSICAL_ADDRESS, guest_physical);
    return apicv_fault_exit(cpu, APICV_EXIT_EPT_VIOLATION, direction | (linear ? 0x180 : 0));
}

static bool is_apic_access(const struct apicv_cpu *cpu, const struct piece *piece)
{
    return apicv_secondary(cpu, APICV_SECONDARY_APIC_ACCESSES) &&
           (piece->physical & ~OFFSET_BITS) == apicv_get(cpu, APICV_APIC_ACCESS_ADDRESS) &&
           !(piece->large && cpu->knobs.large_page_bypasses);
}

/* What is no memory is some device of the host: its own APIC, most likely. */
static struct apicv_result memory_access(struct apicv_cpu *cpu, const struct apicv_access *access,
                                         const struct piece *pieces, unsigned count, uint64_t *value)
{
    enum apicv_outcome outcome = APICV_DONE;
    uint64_t read = 0;
    uint32_t done = 0;

    for (unsigned i = 0; i < count; i++) {
        uint8_t *bytes = cpu->host->memory(cpu->host->context, pieces[i].physical, pieces[i].size);
        unsigned shift = 8 * done;

        if (!bytes) {
            apicv_emit(cpu, APICV_TRACE_HOST_ACCESS, pieces[i].physical, writes(access));
            outcome = APICV_HOST_ACCESS;
            read |= shift < 64 ? ~0ull << shift : 0;
        } else if (writes(access)) {
            store(bytes, pieces[i].size, shift < 64 ? *value >> shift : 0);
        } else {
            read |= shift < 64 ? load(bytes, pieces[i].size) << shift : 0;
        }
        done += pieces[i].size;
    }
    if (!writes(access)) {
        *value = access->size < 8 ? read & ((1ull << 8 * access->size) - 1) : read;
    }
    return apicv_result(outcome);
}

struct apicv_result apicv_operation_access(struct apicv_cpu *cpu, const struct apicv_access *access, uint64_t *value)
{
    struct piece pieces[2];
    unsigned count;

    if (!cpu->operation.open) {
        apicv_die("an access outside of an operation");
    }
    if (access->size == 0 || access->size > 64 || (access->size & (access->size - 1)) != 0) {
        apicv_die("an access of no size that there is");
    }
    count = split(cpu, access, pieces);
    for (unsigned i = 0; i < count; i++) {
        if (!pieces[i].mapped) {
            return ept_violation(cpu, access, pieces[i].guest_physical);
        }
    }
    for (unsigned i = 0; i < count; i++) {
        uint32_t offset = (uint32_t)(pieces[i].physical & OFFSET_BITS);

        if (!is_apic_access(cpu, &pieces[i])) {
            continue;
        }
        if (count > 1 || !is_virtualized(cpu, access, offset)) {
            return access_exit(cpu, access, offset);
        }
        virtualized_access(cpu, access, offset, value);
        return apicv_result(APICV_DONE);
    }
    return memory_access(cpu, access, pieces, count, value);
}

/* ---- APIC-write emulation (8.2) ---- */

/* Offsets compare exactly: a write at 081h is none of the TPR. */
struct apicv_trap apicv_write_emulation(struct apicv_cpu *cpu, const struct apicv_operation *operation)
{
    if (!operation->wrote) {
        return apicv_no_trap();
    }
    switch (operation->offset) {
    case 0x080:
        apicv_page_write(cpu, APICV_VTPR, apicv_page_read(cpu, APICV_VTPR) & 0xFF);
        return apicv_tpr_virtualization(cpu);
    case 0x0B0:
        if (!apicv_virtual_interrupt_delivery(cpu)) {
            return apicv_write_trap(0x0B0);
        }
        apicv_page_write(cpu, APICV_VEOI, 0);
        return apicv_eoi_virtualization(cpu);
    case 0x300:
        return apicv_icr_written(cpu);
    case 0x310:
    case 0x311:
    case 0x312:
    case 0x313:
        apicv_page_write(cpu, APICV_VICR_HI, apicv_page_read(cpu, APICV_VICR_HI) & 0xFF000000u);
        return apicv_no_trap();
    default:
        return apicv_write_trap(operation->offset);
    }
}
