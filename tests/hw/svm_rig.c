/* SPDX-License-Identifier: BSD-2-Clause */
/* The machine that the tests of the SVM model use. */
#include "svm_rig.h"

struct rig rig;

/* ---- callbacks ---- */

static uint8_t *memory(void *context, uint64_t pa, size_t bytes)
{
    (void)context;
    if (pa < PA(0) || pa + bytes > PA(RIG_PAGES)) {
        return NULL;
    }
    return &rig.memory[0][0] + (pa - PA(0));
}

static struct svmhw_nested_page nested_page(void *context, uint64_t n_cr3, uint64_t gpa)
{
    (void)context;
    (void)n_cr3;
    if (gpa != APIC_GPA || rig.apic_unmapped) {
        return (struct svmhw_nested_page){ .present = false };
    }
    return (struct svmhw_nested_page){ .present = true, .writable = !rig.apic_read_only, .frame = PA(PAGE_FRAME) };
}

static void doorbell(void *context, struct svmhw_core *sender, uint32_t host_apic_id)
{
    (void)context;
    (void)sender;
    __atomic_fetch_add(&rig.doorbells, 1, __ATOMIC_SEQ_CST);
    __atomic_store_n(&rig.last_doorbell, host_apic_id, __ATOMIC_SEQ_CST);
    for (unsigned i = 0; i < RIG_CORES; i++) {
        if (rig.doorbells_arrive && rig.core[i].host_apic_id == host_apic_id) {
            svmhw_doorbell_arrives(&rig.core[i]);
        }
    }
}

static void host_interrupt(void *context, struct svmhw_core *core)
{
    (void)context;
    (void)core;
    rig.host_interrupts++;
}

static void ga_log(void *context, uint32_t tag)
{
    (void)context;
    rig.ga_logs++;
    rig.last_tag = tag;
}

static bool hypervisor_owned(void *context, uint64_t pa)
{
    (void)context;
    (void)pa;
    return !rig.not_owned;
}

static void trace(void *context, struct svmhw_core *core, enum svmhw_trace what, uint64_t a, uint64_t b)
{
    unsigned n = __atomic_fetch_add(&rig.events, 1, __ATOMIC_SEQ_CST);

    (void)context;
    (void)core;
    if (n < RIG_EVENTS) {
        rig.event[n] = (struct rig_event){ what, a, b };
    }
    if (rig.hook) {
        rig.hook(what, a, b);
    }
}

/* ---- set-up ---- */

void rig_reset(enum rig_mode mode)
{
    memset(&rig, 0, sizeof rig);
    rig.mode = mode;
    rig.doorbells_arrive = true;
    rig.machine.capabilities = svmhw_all_capabilities;
    rig.machine.callbacks = (struct svmhw_callbacks){ .memory = memory,
                                                      .nested_page = nested_page,
                                                      .doorbell = doorbell,
                                                      .host_interrupt = host_interrupt,
                                                      .ga_log = ga_log,
                                                      .hypervisor_owned = hypervisor_owned,
                                                      .trace = trace };
    for (unsigned i = 0; i < RIG_CORES; i++) {
        svmhw_core_init(&rig.core[i], &rig.machine, rig_host_id(i));
    }
}

uint32_t rig_host_id(unsigned core)
{
    return 0x20 + core;
}

static uint64_t get(const uint8_t *at, unsigned bytes)
{
    uint64_t value = 0;

    memcpy(&value, at, bytes);
    return value;
}

static void fill_vmcb(unsigned n)
{
    static const uint64_t on[] = { [PLAIN] = 0, [XAVIC] = AVIC_ON, [X2AVIC] = AVIC_ON | X2AVIC_ON };

    rig_put(n, WORD3, 4, BIT(0) | BIT(1) | BIT(28)); /* INTR, NMI, MSR_PROT */
    rig_put(n, WORD4, 4, BIT(0));                    /* VMRUN */
    rig_put(n, IOPM, 8, PA(PAGE_IOPM));
    rig_put(n, MSRPM, 8, PA(PAGE_MSRPM));
    rig_put(n, ASID, 4, n + 1);
    rig_put(n, VINTR, 8, V_MASKING | on[rig.mode]);
    rig_put(n, NP, 8, 1);
    rig_put(n, N_CR3, 8, 0x7000);
    rig_put(n, BAR, 8, APIC_GPA);
    rig_put(n, BACKING, 8, PA(PAGE_BACKING + n));
    rig_put(n, LOGICAL, 8, PA(PAGE_LOGICAL));
    rig_put(n, PHYSICAL, 8, PA(PAGE_PHYSICAL) | (rig.mode == X2AVIC ? 511 : 254));
    rig_put(n, CR0, 8, 0x80000011);
}

uint64_t rig_entry_of(unsigned vcpu, bool running)
{
    return ENTRY_V | (running ? ENTRY_IR : 0) | PA(PAGE_BACKING + vcpu) | rig_host_id(vcpu % RIG_CORES);
}

void rig_entry(uint32_t guest_id, uint64_t entry)
{
    memcpy(&rig.memory[PAGE_PHYSICAL][0] + UINT64_C(8) * guest_id, &entry, sizeof entry);
}

void rig_logical(unsigned index, uint32_t entry)
{
    memcpy(&rig.memory[PAGE_LOGICAL][(size_t)4 * index], &entry, sizeof entry);
}

void rig_vcpu(unsigned n, uint32_t guest_id)
{
    fill_vmcb(n);
    rig_set_reg(n, 0x020, rig.mode == X2AVIC ? guest_id : guest_id << 24);
    rig_set_reg(n, 0x0E0, UINT32_C(0xFFFFFFFF));
    rig_set_reg(n, 0x0F0, 0x1FF);
    rig_entry(guest_id, rig_entry_of(n, true));
}

void rig_start(enum rig_mode mode, unsigned vcpus)
{
    rig_reset(mode);
    for (unsigned n = 0; n < vcpus; n++) {
        rig_vcpu(n, n);
    }
}

/* ---- VMCB ---- */

uint64_t rig_get(unsigned vcpu, unsigned offset, unsigned bytes)
{
    return get(&rig.memory[PAGE_VMCB + vcpu][offset], bytes);
}

void rig_put(unsigned vcpu, unsigned offset, unsigned bytes, uint64_t value)
{
    memcpy(&rig.memory[PAGE_VMCB + vcpu][offset], &value, bytes);
}

void rig_set_bits(unsigned vcpu, unsigned offset, uint64_t bits)
{
    rig_put(vcpu, offset, 8, rig_get(vcpu, offset, 8) | bits);
}

void rig_clear_bits(unsigned vcpu, unsigned offset, uint64_t bits)
{
    rig_put(vcpu, offset, 8, rig_get(vcpu, offset, 8) & ~bits);
}

void rig_intercept(unsigned vcpu, unsigned exitcode)
{
    rig_put(vcpu, exitcode / 32 * 4, 4, rig_get(vcpu, exitcode / 32 * 4, 4) | BIT(exitcode % 32));
}

void rig_no_intercept(unsigned vcpu, unsigned exitcode)
{
    rig_put(vcpu, exitcode / 32 * 4, 4, rig_get(vcpu, exitcode / 32 * 4, 4) & ~BIT(exitcode % 32));
}

void rig_msr_intercept(unsigned byte, unsigned bit)
{
    rig.memory[PAGE_MSRPM + byte / 4096][byte % 4096] |= (uint8_t)(1u << bit);
}

/* ---- backing pages ---- */

static uint32_t *reg(unsigned vcpu, unsigned offset)
{
    return (uint32_t *)(void *)&rig.memory[PAGE_BACKING + vcpu][offset];
}

uint32_t rig_reg(unsigned vcpu, unsigned offset)
{
    return __atomic_load_n(reg(vcpu, offset), __ATOMIC_SEQ_CST);
}

void rig_set_reg(unsigned vcpu, unsigned offset, uint32_t value)
{
    __atomic_store_n(reg(vcpu, offset), value, __ATOMIC_SEQ_CST);
}

bool rig_vector(unsigned vcpu, unsigned base, unsigned vector)
{
    return rig_reg(vcpu, base + vector / 32 * 0x10) >> vector % 32 & 1;
}

void rig_set_vector(unsigned vcpu, unsigned base, unsigned vector)
{
    __atomic_fetch_or(reg(vcpu, base + vector / 32 * 0x10), UINT32_C(1) << vector % 32, __ATOMIC_SEQ_CST);
}

unsigned rig_only_irr(unsigned vcpu)
{
    unsigned found = RIG_NONE;

    for (unsigned v = 0; v < 256; v++) {
        if (rig_vector(vcpu, 0x200, v)) {
            found = found == RIG_NONE ? v : RIG_NONE + 1;
        }
    }
    return found;
}

/* ---- running ---- */

struct svmhw_core *rig_core(unsigned vcpu)
{
    return &rig.core[vcpu % RIG_CORES];
}

struct svmhw_result rig_run(unsigned vcpu, bool interrupts_enabled)
{
    rig_put(vcpu, RIP, 8, RIP_AT);
    rig_put(vcpu, RFLAGS, 8, 2 | (interrupts_enabled ? 0x200 : 0));
    return svmhw_vmrun(rig_core(vcpu), PA(PAGE_VMCB + vcpu));
}

void rig_enter(unsigned vcpu, bool interrupts_enabled)
{
    assert_int_equal(rig_run(vcpu, interrupts_enabled).happened, SVMHW_DONE);
    assert_int_equal(svmhw_boundary(rig_core(vcpu)).happened, SVMHW_DONE);
}

void rig_leave(unsigned vcpu)
{
    uint8_t vector;
    struct svmhw_core *core = rig_core(vcpu);

    svmhw_physical_raise(core, SVMHW_PHYSICAL_NMI, 0);
    assert_int_equal(svmhw_boundary(core).code, 0x61);
    assert_true(svmhw_host_takes(core, SVMHW_PHYSICAL_NMI, &vector));
}

/* ---- expectations ---- */

void rig_expect_exit(unsigned vcpu, struct svmhw_result result, uint64_t code, uint64_t info1, uint64_t info2,
                     unsigned instructions)
{
    assert_int_equal(result.happened, SVMHW_EXIT);
    assert_int_equal(result.code, code);
    assert_int_equal(rig_get(vcpu, EXITCODE, 8), code);
    assert_int_equal(rig_get(vcpu, INFO1, 8), info1);
    assert_int_equal(rig_get(vcpu, INFO2, 8), info2);
    assert_int_equal(rig_get(vcpu, RIP, 8), RIP_AT + UINT64_C(3) * instructions);
}

void rig_expect_event(struct svmhw_result result, unsigned type, unsigned vector)
{
    assert_int_equal(result.happened, SVMHW_EVENT);
    assert_int_equal(result.type, type);
    assert_int_equal(result.vector, vector);
}

void rig_expect_done(struct svmhw_result result)
{
    assert_int_equal(result.happened, SVMHW_DONE);
}

unsigned rig_count(enum svmhw_trace what)
{
    unsigned count = 0;

    for (unsigned i = 0; i < rig.events && i < RIG_EVENTS; i++) {
        count += rig.event[i].what == what;
    }
    return count;
}

struct svmhw_result rig_send(unsigned vcpu, uint32_t high, uint32_t low)
{
    struct svmhw_core *core = rig_core(vcpu);

    if (rig.mode == X2AVIC) {
        return svmhw_wrmsr(core, 0x830, (uint64_t)high << 32 | low);
    }
    rig_expect_done(svmhw_mmio_write(core, APIC_GPA + 0x310, 4, high));
    return svmhw_mmio_write(core, APIC_GPA + 0x300, 4, low);
}
