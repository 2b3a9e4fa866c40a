/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Plays again, on the processor of tests/hw/apicv, what a processor did with the bare-metal VMM: reads the log of examples/baremetal (option
 * `trace=3`) on stdin. Three things are compared for each entry and its exit:
 *   - the entry: the model has to enter, and to deliver what was deliverable;
 *   - the state at the exit: from the entry, by what a guest can do without an exit, the model must come to the TPR, VISR and VIRR of the log, and then
 *     have its RVI, SVI and VPPR;
 *   - the exit, if a guest's access or an event made it: in the state of that moment, the same access has to exit in the same way.
 * The log does not tell what the guest did, so exits for other reasons (ports) are not comparable.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apicv/apicv.h"

#define PAGE 4096u
#define REGISTERS 0x1000ull /* physical addresses */
#define MSR_BITMAP 0x2000ull
#define DESCRIPTOR 0x3000ull
#define APIC_ACCESS 0xFEE00000ull
#define NOTIFICATION 0xF2u
#define HLT 12u

struct page_state {
    uint32_t tpr, ppr, isr[8], irr[8];
};

struct before {
    uint32_t pin, primary, secondary, status, threshold, inject, rflags, shadow;
    uint64_t eoi_exit[4];
    struct page_state page;
    uint32_t msr[8];
};

struct after {
    uint32_t reason;
    uint64_t qualification;
    uint32_t vector, status, written, rflags, rcx, rax;
    struct page_state page;
};

static struct apicv_cpu cpu;
static struct apicv_vmcs vmcs;
static _Alignas(4096) uint8_t pages[4][PAGE];
static unsigned compared, states, different, skipped, late;
static unsigned long line;

static uint8_t *memory(void *context, uint64_t pa, size_t bytes)
{
    (void)context;
    return pa >= REGISTERS && pa + bytes <= DESCRIPTOR + PAGE ? &pages[pa / PAGE][pa % PAGE] : NULL;
}

static const struct apicv_host host = { .memory = memory };

static void differ(const struct after *a, const char *what, uint64_t real, uint64_t model)
{
    different++;
    printf("line %lu: exit %u, qualification %llx: %s: %llx, and %llx on the model\n", line, a->reason,
           (unsigned long long)a->qualification, what, (unsigned long long)real, (unsigned long long)model);
}

/* ---- reading ---- */

static uint64_t next(char **text)
{
    while (**text == ' ') {
        (*text)++;
    }
    if (strchr("0123456789ABCDEFabcdef", **text) == NULL || **text == 0) {
        fprintf(stderr, "line %lu: no number at: %.30s\n", line, *text);
        exit(2);
    }
    return strtoull(*text, text, 16);
}

static uint64_t named(char **text, const char *name)
{
    char *at = strstr(*text, name);

    if (at == NULL) {
        fprintf(stderr, "line %lu: no %s\n", line, name);
        exit(2);
    }
    *text = at + strlen(name);
    return next(text);
}

static void read_words(char **text, const char *name, uint32_t words[8])
{
    words[0] = (uint32_t)named(text, name);
    for (unsigned w = 1; w < 8; w++) {
        words[w] = (uint32_t)next(text);
    }
}

static void read_page(char **text, struct page_state *page)
{
    page->tpr = (uint32_t)named(text, " tpr ");
    page->ppr = (uint32_t)named(text, " ppr ");
    read_words(text, " isr ", page->isr);
    read_words(text, " irr ", page->irr);
}

static struct before read_before(char *text)
{
    struct before b;

    b.pin = (uint32_t)named(&text, " pin ");
    b.primary = (uint32_t)named(&text, " primary ");
    b.secondary = (uint32_t)named(&text, " secondary ");
    b.status = (uint32_t)named(&text, " status ");
    b.threshold = (uint32_t)named(&text, " threshold ");
    b.inject = (uint32_t)named(&text, " inject ");
    b.rflags = (uint32_t)named(&text, " rflags ");
    b.shadow = (uint32_t)named(&text, " shadow ");
    for (unsigned w = 0; w < 4; w++) {
        b.eoi_exit[w] = next(&text);
    }
    read_page(&text, &b.page);
    read_words(&text, " msr ", b.msr);
    return b;
}

static struct after read_after(char *text)
{
    struct after a;

    a.reason = (uint32_t)named(&text, " reason ");
    a.qualification = named(&text, " qualification ");
    a.vector = (uint32_t)named(&text, " vector ");
    a.status = (uint32_t)named(&text, " status ");
    a.written = (uint32_t)named(&text, " written ");
    a.rflags = (uint32_t)named(&text, " rflags ");
    a.rcx = (uint32_t)named(&text, " rcx ");
    a.rax = (uint32_t)named(&text, " rax ");
    read_page(&text, &a.page);
    return a;
}

/* ---- the model ---- */

static void put(uint32_t offset, uint32_t value)
{
    memcpy(&pages[1][offset], &value, 4);
}

static uint32_t get(uint32_t offset)
{
    uint32_t value;

    memcpy(&value, &pages[1][offset], 4);
    return value;
}

static void put_page(const struct page_state *page)
{
    memset(pages[1], 0, PAGE);
    put(0x80, page->tpr);
    put(0xA0, page->ppr);
    for (uint32_t w = 0; w < 8; w++) {
        put(0x100 + w * 16, page->isr[w]);
        put(0x200 + w * 16, page->irr[w]);
    }
}

static void set(uint32_t field, uint64_t value)
{
    if (apicv_vmwrite(&cpu, field, value) != APICV_VM_OK) {
        fprintf(stderr, "line %lu: VMWRITE of %x\n", line, field);
        exit(2);
    }
}

static uint64_t look(uint32_t field)
{
    uint64_t value = 0;

    (void)apicv_vmread(&cpu, field, &value);
    return value;
}

/* Windows and injection apart, which the caller chooses. */
static struct apicv_result enter(const struct before *b, const struct page_state *page, uint32_t status,
                                 uint32_t inject, uint32_t primary, uint32_t rflags)
{
    struct apicv_caps caps = apicv_caps_sapphire_rapids();

    caps.pin = caps.primary = caps.secondary = caps.exit = caps.entry = UINT32_MAX;
    apicv_cpu_init(&cpu, caps, &host);
    cpu.knobs.read_0b0_300_by_register_virtualization = true; /* Bochs */
    cpu.knobs.self_ipi_msr_stored_on_exit_only = true;
    apicv_vmcs_init(&vmcs);
    (void)apicv_vmptrld(&cpu, &vmcs);
    put_page(page);
    memset(pages[2], 0xFF, PAGE);
    for (unsigned i = 0; i < 8; i++) {
        pages[2][0x100 + i] = (uint8_t)b->msr[i];
        pages[2][0x900 + i] = (uint8_t)(b->msr[i] >> 8);
    }
    set(APICV_PIN_CONTROLS, b->pin);
    set(APICV_PRIMARY_CONTROLS, primary);
    set(APICV_SECONDARY_CONTROLS, b->secondary);
    set(APICV_EXIT_CONTROLS, 0x36DFFu | APICV_EXIT_ACKNOWLEDGE_INTERRUPT);
    set(APICV_ENTRY_CONTROLS, 0x11FF);
    set(APICV_MSR_BITMAP, MSR_BITMAP);
    set(APICV_VIRTUAL_APIC_ADDRESS, REGISTERS);
    set(APICV_APIC_ACCESS_ADDRESS, APIC_ACCESS);
    set(APICV_DESCRIPTOR_ADDRESS, DESCRIPTOR);
    set(APICV_NOTIFICATION_VECTOR, NOTIFICATION);
    set(APICV_GUEST_INTERRUPT_STATUS, status);
    set(APICV_TPR_THRESHOLD, b->threshold);
    for (uint32_t w = 0; w < 4; w++) {
        set(APICV_EOI_EXIT_BITMAP_0 + 2 * w, b->eoi_exit[w]);
    }
    set(APICV_ENTRY_INTERRUPTION, inject);
    set(APICV_GUEST_RFLAGS, rflags | 2);
    set(APICV_GUEST_INTERRUPTIBILITY, inject == 0 ? b->shadow & ~3u : b->shadow);
    set(APICV_GUEST_ACTIVITY, APICV_ACTIVE);
    return apicv_enter(&cpu);
}

static bool same_page(const struct page_state *x, const struct page_state *y)
{
    return x->tpr == y->tpr && memcmp(x->isr, y->isr, sizeof x->isr) == 0 && memcmp(x->irr, y->irr, sizeof x->irr) == 0;
}

static bool in_x2apic(const struct before *b)
{
    return (b->secondary & APICV_SECONDARY_X2APIC_MODE) != 0;
}

/* ---- from the entry to the exit ---- */

/*
 * What the guest did in between is not in the log, but what it can do to this state is little: lower or raise TPR, send itself an interrupt, take one, end
 * one. The model does as much of that as leads from the state at the entry to the registers at the exit; RVI, SVI and VPPR then have to be the processor's.
 */
#define MOST_ACTS 200u

static bool has(const uint32_t words[8], uint32_t vector)
{
    return (words[vector / 32] >> (vector % 32) & 1) != 0;
}

/* The highest (or lowest) vector that is in `in` and not in `out`; -1: none. */
static int find(const uint32_t in[8], const uint32_t out[8], bool highest)
{
    for (int n = 0; n < 256; n++) {
        int vector = highest ? 255 - n : n;

        if (has(in, (uint32_t)vector) && !has(out, (uint32_t)vector)) {
            return vector;
        }
    }
    return -1;
}

static struct page_state page_now(void)
{
    struct page_state page = { .tpr = get(0x80), .ppr = get(0xA0) };

    for (uint32_t w = 0; w < 8; w++) {
        page.isr[w] = get(0x100 + w * 16);
        page.irr[w] = get(0x200 + w * 16);
    }
    return page;
}

static struct apicv_result write_tpr(const struct before *b, uint32_t tpr)
{
    if (in_x2apic(b)) {
        return apicv_guest_wrmsr(&cpu, 0x808, tpr);
    }
    if ((tpr & 0xF) == 0 && (b->primary & APICV_PRIMARY_CR8_LOAD_EXITING) == 0) {
        return apicv_guest_write_cr8(&cpu, 0, tpr >> 4);
    }
    return apicv_guest_write(&cpu, APIC_ACCESS | 0x80, 4, tpr);
}

static struct apicv_result end_of_interrupt(const struct before *b)
{
    return in_x2apic(b) ? apicv_guest_wrmsr(&cpu, 0x80B, 0) : apicv_guest_write(&cpu, APIC_ACCESS | 0xB0, 4, 0);
}

static struct apicv_result send_to_itself(const struct before *b, uint32_t vector)
{
    return in_x2apic(b) ? apicv_guest_wrmsr(&cpu, 0x83F, vector)
                        : apicv_guest_write(&cpu, APIC_ACCESS | 0x300, 4, 0x44000u | vector);
}

static void set_interrupts(bool on)
{
    cpu.guest.rflags = on ? cpu.guest.rflags | APICV_RFLAGS_IF : cpu.guest.rflags & ~APICV_RFLAGS_IF;
    cpu.guest.interruptibility = 0;
}

/* Takes what is pending, having made room for it. */
static bool take(const struct before *b, struct apicv_result *r)
{
    if (!cpu.recognised && get(0x80) != 0) {
        *r = write_tpr(b, 0);
    } else if (!cpu.recognised && cpu.svi != 0) {
        *r = end_of_interrupt(b);
    } else {
        set_interrupts(true);
        *r = apicv_boundary(&cpu);
        return r->delivered;
    }
    return r->outcome == APICV_DONE;
}

/* One act towards the goal. False: it cannot be done, or leads out of the guest. */
static bool act(const struct before *b, const struct page_state *now, const struct page_state *goal)
{
    struct apicv_result r = { .outcome = APICV_DONE };
    int wanted = find(goal->isr, now->isr, false);

    set_interrupts(false);
    if (cpu.svi != 0 && !has(goal->isr, cpu.svi)) {
        r = end_of_interrupt(b);
    } else if (find(now->irr, goal->irr, true) >= 0) {
        return take(b, &r);
    } else if (wanted >= 0 && !has(now->irr, (uint32_t)wanted)) {
        r = send_to_itself(b, (uint32_t)wanted);
    } else if (wanted >= 0) {
        return take(b, &r);
    } else if (find(now->isr, goal->isr, true) >= 0) {
        r = end_of_interrupt(b);
    } else if (find(goal->irr, now->irr, true) >= 0) { /* the highest first: RVI is to stay */
        r = send_to_itself(b, (uint32_t)find(goal->irr, now->irr, true));
    } else {
        r = write_tpr(b, goal->tpr);
    }
    return r.outcome == APICV_DONE;
}

/* From where the model is in the guest. */
static bool lead_to(const struct before *b, const struct page_state *goal)
{
    for (unsigned acts = 0; acts < MOST_ACTS; acts++) {
        struct page_state now = page_now();

        if (same_page(&now, goal)) {
            return true;
        }
        if (!act(b, &now, goal)) {
            return false;
        }
    }
    return false;
}

/* In the registers as they were before the instruction that exited, when that wrote them itself. */
static struct page_state goal_of(const struct before *b, const struct after *a)
{
    struct page_state goal = a->page;

    if (a->reason == APICV_EXIT_VIRTUALIZED_EOI) {
        goal.isr[a->qualification >> 5 & 7] |= 1u << (a->qualification & 31);
    } else if (a->reason == APICV_EXIT_TPR_BELOW_THRESHOLD) {
        goal.tpr = b->page.tpr;
    }
    return goal;
}

static void compare_state(const struct before *b, const struct after *a)
{
    struct page_state goal = goal_of(b, a), now;
    uint32_t status;

    states++;
    if (!lead_to(b, &goal)) {
        differ(a, "no way there from the entry; RVI and SVI", a->status, (uint32_t)cpu.svi << 8 | cpu.rvi);
        return;
    }
    if (a->reason == APICV_EXIT_VIRTUALIZED_EOI) {
        (void)end_of_interrupt(b);
    } else if (a->reason == APICV_EXIT_TPR_BELOW_THRESHOLD) {
        (void)write_tpr(b, a->page.tpr);
    }
    now = page_now();
    status = (uint32_t)cpu.svi << 8 | cpu.rvi;
    if (!same_page(&now, &a->page)) {
        differ(a, "registers after the exit; TPR", a->page.tpr, now.tpr);
    } else if (status != a->status) {
        differ(a, "RVI and SVI", a->status, status);
    } else if (now.ppr != a->page.ppr) {
        differ(a, "VPPR", a->page.ppr, now.ppr);
    }
}

/* ---- entries ---- */

/* What is deliverable at the entry is delivered before the guest's first instruction, unless a window or a higher event exits first. */
static void compare_entry(const struct before *b, const struct after *a)
{
    struct apicv_result r = enter(b, &b->page, b->status, b->inject, b->primary, b->rflags);

    compared++;
    if (r.outcome == APICV_VMFAIL) {
        differ(a, "VM entry fails by check", 0, (uint64_t)r.check);
        return;
    }
    if (r.outcome == APICV_EXIT) { /* TPR below threshold, right away */
        if (r.exit.reason != a->reason) {
            differ(a, "exit right after the entry", a->reason, r.exit.reason);
        }
        return;
    }
    r = apicv_boundary(&cpu);
    if (r.outcome == APICV_EXIT) {
        if (r.exit.reason != a->reason) {
            differ(a, "exit before the first instruction", a->reason, r.exit.reason);
        }
        return;
    }
    if (r.delivered && b->inject == 0 && same_page(&b->page, &a->page) && a->reason == HLT) {
        late++; /* Bochs: an entry at the HLT behind an STI may execute the HLT first; see examples/baremetal/README.md */
        return;
    }
    if (r.delivered && b->inject == 0 && same_page(&b->page, &a->page)) {
        differ(a, "delivered", 0, r.vector);
        return;
    }
    compare_state(b, a);
}

/* ---- exits ---- */

static uint32_t quiet(const struct before *b)
{
    return b->primary & ~(APICV_PRIMARY_INTERRUPT_WINDOW_EXITING | APICV_PRIMARY_NMI_WINDOW_EXITING);
}

/* In the guest, interrupts off, as it was when the instruction came. */
static bool stage(const struct before *b, const struct page_state *page, uint32_t status)
{
    struct before calm = *b;

    calm.threshold = 0;
    return enter(&calm, page, status, 0, quiet(b), 0).outcome == APICV_DONE;
}

static void compare_exit(const struct after *a, struct apicv_result r)
{
    compared++;
    if (r.outcome != APICV_EXIT || r.exit.reason != a->reason) {
        differ(a, "exit", a->reason, r.outcome == APICV_EXIT ? r.exit.reason : 0xE0 + (uint64_t)r.outcome);
    } else if (a->reason != 28 && a->reason != 31 && a->reason != 32 && r.exit.qualification != a->qualification) {
        differ(a, "qualification", a->qualification, r.exit.qualification);
    }
}

static void compare_access(const struct before *b, const struct after *a)
{
    uint64_t address = APIC_ACCESS | (a->qualification & 0xFFF);
    uint64_t value = 0;
    struct apicv_result r = { .outcome = APICV_DONE };
    bool write = (a->qualification >> 12 & 0xF) == 1;

    /* The log does not have the width. */
    for (uint32_t size = 4; size != 0 && r.outcome != APICV_EXIT; size /= 2) {
        if (!stage(b, &a->page, a->status)) {
            return;
        }
        r = write ? apicv_guest_write(&cpu, address, size, 0) : apicv_guest_read(&cpu, address, size, &value);
    }
    compare_exit(a, r);
}

static void compare_write(const struct before *b, const struct after *a)
{
    if (!stage(b, &a->page, a->status)) {
        return;
    }
    if (in_x2apic(b)) {
        compare_exit(a, apicv_guest_wrmsr(&cpu, 0x800u + (uint32_t)(a->qualification >> 4), a->written));
    } else {
        compare_exit(a, apicv_guest_write(&cpu, APIC_ACCESS | a->qualification, 4, a->written));
    }
}

/* The vector was in service; afterwards it is not, and the rest is as the processor left it. */
static void compare_eoi(const struct before *b, const struct after *a)
{
    uint32_t vector = a->qualification & 0xFF;
    struct page_state page = a->page;

    page.isr[vector / 32] |= 1u << (vector % 32);
    if (!stage(b, &page, (a->status & 0xFF) | vector << 8)) {
        return;
    }
    compare_exit(a, end_of_interrupt(b));
    if (cpu.in_guest) {
        return; /* a difference already */
    }
    if (look(APICV_GUEST_INTERRUPT_STATUS) != a->status) {
        differ(a, "interrupt status", a->status, look(APICV_GUEST_INTERRUPT_STATUS));
    }
    if (get(0xA0) != a->page.ppr) {
        differ(a, "VPPR", a->page.ppr, get(0xA0));
    }
    if (get(0x100 + vector / 32 * 16) != a->page.isr[vector / 32]) {
        differ(a, "VISR", a->page.isr[vector / 32], get(0x100 + vector / 32 * 16));
    }
}

/* TPR went below the threshold by CR8: MOV to CR8 clears the low bits. */
static void compare_threshold(const struct before *b, const struct after *a)
{
    struct page_state page = a->page;

    page.tpr = 0xF0;
    if (enter(b, &page, a->status, 0, quiet(b), 0).outcome != APICV_DONE) {
        return;
    }
    compare_exit(a, apicv_guest_write_cr8(&cpu, 0, a->page.tpr >> 4));
}

static void compare_msr(const struct before *b, const struct after *a)
{
    uint64_t value;

    if (!stage(b, &a->page, a->status)) {
        return;
    }
    compare_exit(a,
                 a->reason == 31 ? apicv_guest_rdmsr(&cpu, a->rcx, &value) : apicv_guest_wrmsr(&cpu, a->rcx, a->rax));
}

static void compare_cr8(const struct before *b, const struct after *a)
{
    uint64_t value;
    bool write = (a->qualification >> 4 & 3) == 0;

    if (!stage(b, &a->page, a->status)) {
        return;
    }
    compare_exit(a, write ? apicv_guest_write_cr8(&cpu, 0, 0) : apicv_guest_read_cr8(&cpu, 0, &value));
}

/* With interrupts on, a window exits at once; without the window asked for there is none. */
static void compare_window(const struct before *b, const struct after *a)
{
    struct before open = *b;

    open.threshold = 0;
    open.shadow = 0;
    if (enter(&open, &a->page, a->status, 0, b->primary, 0x200).outcome == APICV_DONE) {
        compare_exit(a, apicv_boundary(&cpu));
    }
}

static void compare_interrupt(const struct before *b, const struct after *a)
{
    struct before open = *b;

    open.threshold = 0;
    if (enter(&open, &a->page, a->status & 0xFF00, 0, quiet(b), 0).outcome == APICV_DONE) {
        compare_exit(a, apicv_external_interrupt(&cpu, (uint8_t)a->vector));
    }
}

static void compare_hlt(const struct before *b, const struct after *a)
{
    if (stage(b, &a->page, a->status)) {
        compare_exit(a, apicv_guest_hlt(&cpu));
    }
}

static void compare_pair(const struct before *b, const struct after *a)
{
    compare_entry(b, a);
    switch (a->reason) {
    case 1:
        compare_interrupt(b, a);
        break;
    case 7:
        compare_window(b, a);
        break;
    case 12:
        compare_hlt(b, a);
        break;
    case 28:
        compare_cr8(b, a);
        break;
    case 31:
    case 32:
        compare_msr(b, a);
        break;
    case 43:
        compare_threshold(b, a);
        break;
    case 44:
        compare_access(b, a);
        break;
    case 45:
        compare_eoi(b, a);
        break;
    case 56:
        compare_write(b, a);
        break;
    default:
        skipped++;
    }
}

int main(void)
{
    static char text[4096];
    struct before before;
    bool has_before = false;

    while (fgets(text, sizeof text, stdin) != NULL) {
        line++;
        if (strncmp(text, "L+ ", 3) == 0) {
            before = read_before(text);
            has_before = true;
        } else if (strncmp(text, "L- ", 3) == 0 && has_before) {
            struct after after = read_after(text);

            compare_pair(&before, &after);
            has_before = false;
        }
    }
    printf("%u compared (%u of them states), %u differ, %u exits not comparable, %u delivered late at a HLT\n",
           compared + states, states, different, skipped, late);
    return compared == 0 || states == 0 || different != 0;
}
