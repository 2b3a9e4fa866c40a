/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Data accesses of the guest: nested translation, the APIC page, nested page faults. Reference 3.7, 4.5, 16.4, 2.6.
 *
 * A core remembers one translation, that of the page at APIC_BAR, and keeps it until TLB_CONTROL flushes it: so a VMM shows that
 * forgets to flush when another vCPU of the VM comes to the core, or when it switches AVIC on or off. With a stale translation data goes
 * to the wrong page; what the core does besides (V_TPR, ISR, evaluation, IPIs) is with the right one.
 */
#include "svmhw_internal.h"

#define PAGE_OF(address) ((address) & ~(uint64_t)(SVMHW_PAGE_BYTES - 1))

struct access {
    uint64_t gpa, value;
    unsigned bytes;
    bool write;
};

static uint64_t apic_bar(const struct svmhw_core *core)
{
    return svmhw_field(core, SVMHW_C_APIC_BAR) & SVMHW_ENTRY_PAGE;
}

static bool is_xavic_page(const struct svmhw_core *core, uint64_t gpa)
{
    return svmhw_has_avic(core) && !svmhw_has_x2avic(core) && PAGE_OF(gpa) == apic_bar(core);
}

static struct svmhw_nested_page nested(const struct svmhw_core *core, uint64_t gpa)
{
    const struct svmhw_callbacks *callbacks = &core->machine->callbacks;

    if (!svmhw_nested_paging(core)) {
        return (struct svmhw_nested_page){ .present = true, .writable = true, .frame = PAGE_OF(gpa) };
    }
    if (!callbacks->nested_page) {
        bool mapped = is_xavic_page(core, gpa);

        return (struct svmhw_nested_page){ .present = mapped, .writable = mapped };
    }
    return callbacks->nested_page(core->machine->context, svmhw_field(core, SVMHW_C_N_CR3), PAGE_OF(gpa));
}

/* What a walk without any memory of earlier ones gives. */
static struct svmhw_translation walk(const struct svmhw_core *core, uint64_t gpa)
{
    struct svmhw_nested_page page = nested(core, gpa);
    bool avic = is_xavic_page(core, gpa);

    return (struct svmhw_translation){ .valid = page.present,
                                       .avic = avic,
                                       .writable = page.writable,
                                       .n_cr3 = svmhw_field(core, SVMHW_C_N_CR3),
                                       .gpa = PAGE_OF(gpa),
                                       .page = avic ? svmhw_field(core, SVMHW_C_BACKING_PAGE) & SVMHW_ENTRY_PAGE
                                                    : PAGE_OF(page.frame) };
}

static bool remembered(const struct svmhw_core *core, const struct access *access)
{
    const struct svmhw_translation *t = &core->translation;

    return t->valid && t->n_cr3 == svmhw_field(core, SVMHW_C_N_CR3) && t->gpa == PAGE_OF(access->gpa) &&
           (t->writable || !access->write);
}

static struct svmhw_translation translate(struct svmhw_core *core, const struct access *access)
{
    struct svmhw_translation now = walk(core, access->gpa);

    if (remembered(core, access)) {
        struct svmhw_translation *kept = &core->translation;

        if (!now.valid || now.page != kept->page || now.avic != kept->avic) {
            svmhw_tell(core, SVMHW_TRACE_STALE_PAGE, access->gpa, kept->page);
        }
        return *kept;
    }
    if (now.valid && now.gpa == apic_bar(core) && (now.writable || !access->write)) {
        core->translation = now;
    }
    return now;
}

static struct svmhw_result nested_page_fault(struct svmhw_core *core, const struct access *access, bool present)
{
    uint64_t info1 = UINT64_C(1) << 32 | 4 | (access->write ? 2 : 0) | (present ? 1 : 0);

    return svmhw_exits(core, &(struct svmhw_exit){ .code = SVMHW_EXIT_NPF,
                                                   .info1 = info1,
                                                   .info1_defined = UINT64_MAX,
                                                   .info2 = access->gpa,
                                                   .info2_defined = UINT64_MAX,
                                                   .shows_instruction = true });
}

/* A26: the page as plain memory. Bytes of IRR are not spared. */
static struct svmhw_result odd_access(struct svmhw_core *core, uint8_t *page, const struct access *access)
{
    uint8_t *at = page + access->gpa % SVMHW_PAGE_BYTES;
    bool plain = svmhw_plays(core, 26, SVMHW_A26_PLAIN);
    uint64_t value = plain && !access->write ? svmhw_get(at, access->bytes) : 0;

    if (svmhw_plays(core, 26, SVMHW_A26_FAULT)) {
        return svmhw_noaccel_fault(core, access->gpa & 0xFF0, access->write);
    }
    if (plain && access->write) {
        svmhw_put(at, access->bytes, access->value);
    }
    return svmhw_done(core, value);
}

static struct svmhw_result memory_access(struct svmhw_core *core, uint64_t page_pa, const struct access *access)
{
    struct svmhw_result result = svmhw_done(core, 0);

    result.happened = SVMHW_MEMORY;
    result.address = page_pa | access->gpa % SVMHW_PAGE_BYTES;
    return result;
}

static struct svmhw_result apic_access(struct svmhw_core *core, uint64_t page_pa, const struct access *access)
{
    uint8_t *page = svmhw_memory(core->machine, page_pa, SVMHW_PAGE_BYTES);
    uint32_t offset = access->gpa % SVMHW_PAGE_BYTES;

    if (!page) {
        return memory_access(core, page_pa, access); /* stale, and the page is gone */
    }
    if (access->bytes != 4 || offset % 0x10 != 0) {
        return odd_access(core, page, access);
    }
    return access->write ? svmhw_register_write(core, page, offset, access->value)
                         : svmhw_register_read(core, page, offset);
}

static struct svmhw_result mmio(struct svmhw_core *core, const struct access *access)
{
    struct svmhw_result result;
    struct svmhw_translation t;

    if (!svmhw_begins(core, &result)) {
        return result;
    }
    t = translate(core, access);
    if (!t.valid || (access->write && !t.writable)) {
        return nested_page_fault(core, access, t.valid);
    }
    if (t.avic && svmhw_has_avic(core) && !svmhw_has_x2avic(core)) {
        return apic_access(core, t.page, access);
    }
    return memory_access(core, t.page, access);
}

struct svmhw_result svmhw_mmio_read(struct svmhw_core *core, uint64_t gpa, unsigned bytes)
{
    return mmio(core, &(struct access){ .gpa = gpa, .bytes = bytes });
}

struct svmhw_result svmhw_mmio_write(struct svmhw_core *core, uint64_t gpa, unsigned bytes, uint64_t value)
{
    return mmio(core, &(struct access){ .gpa = gpa, .bytes = bytes, .value = value, .write = true });
}
