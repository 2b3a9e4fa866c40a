/* SPDX-License-Identifier: BSD-2-Clause */
#include "svm_bed.h"

#include <stdlib.h>

#define POOL 0x01000000ull
#define CPU_PAGES 4
#define FIRST_CORE 2u

/* Of the pool: shared pages, then a register page, a VMCB and an MSR map for each vCPU. */
enum {
    TABLE = 0,
    LOGICAL = TABLE + BED_TABLE_PAGES,
    DISCARD,
    IOPM,
    SHARED = IOPM + 3,
    PAGES = SHARED + BED_CPUS * CPU_PAGES
};
enum { REGISTERS = 0, VMCB, MSR_MAP };

struct bed bed;
static _Alignas(4096) uint8_t pool[PAGES][BED_PAGE];

static void *va(unsigned page)
{
    return pool[page];
}

static uint64_t pa(unsigned page)
{
    return POOL + (uint64_t)page * BED_PAGE;
}

static unsigned page_of(unsigned cpu, unsigned page)
{
    return SHARED + cpu * CPU_PAGES + page;
}

static void record(enum bed_kind kind, const struct bed_cpu *cpu, uint64_t value)
{
    struct bed_event event = { .kind = kind, .cpu = cpu != NULL ? cpu->index : BED_CPUS, .value = value };

    if (cpu != NULL && bed.id[cpu->index] < BED_TABLE_PAGES * BED_PAGE / 8) {
        event.entry = bed.physical[bed.id[cpu->index]];
    }
    assert_true(bed.events < BED_EVENTS);
    bed.event[bed.events++] = event;
}

/* ---- the host ---- */

static uint64_t now(void *cookie)
{
    (void)cookie;
    return bed.now_ns;
}

static void arm(void *cookie, uint64_t deadline)
{
    (void)cookie;
    (void)deadline;
}

static void cancel(void *cookie)
{
    (void)cookie;
}

static void kick(void *cookie)
{
    record(BED_KICK, cookie, 0);
}

static void eoi_broadcast(void *cookie, uint8_t vector)
{
    (void)cookie;
    record(BED_BROADCAST, NULL, vector);
}

static const struct vlapic_host_ops host_ops = {
    .size = sizeof host_ops,
    .abi = VLAPIC_HOST_ABI,
    .now_ns = now,
    .timer_arm_ns = arm,
    .timer_cancel = cancel,
    .kick = kick,
    .eoi_broadcast = eoi_broadcast,
    .now_tsc = now,
    .timer_arm_tsc = arm,
};

/* ---- the backend's ---- */

static void *vmcb(void *cookie)
{
    return ((struct bed_cpu *)cookie)->vmcb;
}

static uint8_t *msr_map(void *cookie)
{
    return ((struct bed_cpu *)cookie)->msr_map;
}

static uint8_t acknowledge_extint(void *cookie)
{
    record(BED_ACKNOWLEDGE, cookie, BED_EXTINT);
    return BED_EXTINT;
}

static uint32_t physical_apic_id(void *cookie)
{
    return ((struct bed_cpu *)cookie)->core;
}

static void doorbell(void *cookie, uint32_t apic_id)
{
    record(BED_DOORBELL, cookie, apic_id);
    if (bed.has_hardware) {
        assert_true(svmhw_host_writes_doorbell(&bed.cores[0], apic_id));
    }
}

static void running(void *cookie, bool is_running, uint32_t apic_id, bool blocked)
{
    enum bed_kind kind = is_running ? BED_RUNS : blocked ? BED_BLOCKED : BED_PUT;

    assert_false(is_running && blocked);
    record(kind, cookie, apic_id);
    if (bed.on_running != NULL) {
        bed.on_running(cookie, kind);
    }
}

static size_t fetch(void *cookie, uint8_t *bytes, size_t size, enum vlapic_decode_mode *mode)
{
    const struct bed_cpu *cpu = cookie;
    size_t count = cpu->code_bytes < size ? cpu->code_bytes : size;

    memcpy(bytes, cpu->code, count);
    *mode = cpu->mode;
    return count;
}

static uint64_t read_register(void *cookie, uint32_t reg)
{
    return reg < 16 ? ((struct bed_cpu *)cookie)->reg[reg] : reg == VLAPIC_DECODE_RFLAGS ? 2 : BED_RIP;
}

static void write_register(void *cookie, uint32_t reg, uint64_t value)
{
    if (reg < 16) {
        ((struct bed_cpu *)cookie)->reg[reg] = value;
    }
}

static const struct vlapic_decode_ops guest_ops = {
    .size = sizeof guest_ops,
    .abi = VLAPIC_DECODE_ABI,
    .read_register = read_register,
    .write_register = write_register,
};

static const struct vlapic_svm_ops svm_ops = {
    .size = sizeof svm_ops,
    .abi = VLAPIC_SVM_ABI,
    .vmcb = vmcb,
    .msr_map = msr_map,
    .acknowledge_extint = acknowledge_extint,
    .physical_apic_id = physical_apic_id,
    .doorbell = doorbell,
    .running = running,
    .fetch = fetch,
    .guest = &guest_ops,
};

/* ---- life ---- */

static struct vlapic_page shared_page(unsigned page)
{
    return (struct vlapic_page){ .va = va(page), .pa = pa(page) };
}

void bed_prepare(uint32_t features)
{
    memset(&bed, 0, sizeof bed);
    memset(pool, 0, sizeof pool);
    for (unsigned i = 0; i < BED_CPUS; i++) {
        bed.id[i] = i;
    }
    bed.physical = va(TABLE);
    bed.logical = va(LOGICAL);
    bed.host = host_ops;
    bed.ops = svm_ops;
    assert_int_equal(vlapic_vm_config_defaults(&bed.config, sizeof bed.config, VLAPIC_VENDOR_INTEL), VLAPIC_OK);
    bed.config.host = &bed.host;
    bed.config.backend = &vlapic_backend_svm;
    bed.config.backend_config = &bed.svm;
    assert_int_equal(vlapic_svm_config_defaults(&bed.svm, sizeof bed.svm), VLAPIC_OK);
    bed.svm.cpuid_edx = UINT32_MAX;
    bed.svm.cpuid_ecx = UINT32_MAX;
    bed.svm.features = features;
    bed.svm.ops = &bed.ops;
    bed.svm.physical_table = shared_page(TABLE);
    bed.svm.physical_table_pages = BED_TABLE_PAGES;
    bed.svm.logical_table = shared_page(LOGICAL);
    bed.svm.discard_page = shared_page(DISCARD);
}

static void *block(const struct vlapic_layout *layout)
{
    size_t bytes = (layout->bytes + layout->alignment - 1) / layout->alignment * layout->alignment;
    void *memory = aligned_alloc(layout->alignment, bytes);

    assert_non_null(memory);
    return memory;
}

void bed_make_vm(void)
{
    struct vlapic_layout layout;

    assert_int_equal(vlapic_vm_layout(&bed.config, &layout), VLAPIC_OK);
    bed.memory = block(&layout);
    assert_int_equal(vlapic_vm_create(bed.memory, layout.bytes, &bed.config, &bed.vm), VLAPIC_OK);
}

static void set_up_vmcb(unsigned index)
{
    bed_set(index, SVMHW_INTERCEPT_3, 4, 1u << 0 | 1u << 1 | 1u << 24 | 1u << 28); /* INTR, NMI, HLT, MSRs */
    bed_set(index, SVMHW_INTERCEPT_4, 4, 1);                                       /* VMRUN */
    bed_set(index, SVMHW_IOPM_BASE, 8, pa(IOPM));
    bed_set(index, SVMHW_MSRPM_BASE, 8, pa(page_of(index, MSR_MAP)));
    bed_set(index, SVMHW_ASID, 4, 1 + index);
    bed_set(index, SVMHW_VINTR_CONTROL, 8, SVMHW_V_INTR_MASKING);
    bed_set(index, SVMHW_NP, 8, 1);
    bed_set(index, SVMHW_CR0, 8, 0x80000011);
    bed_set(index, SVMHW_RIP, 8, BED_RIP);
}

void bed_make_cpu(unsigned index)
{
    struct bed_cpu *cpu = &bed.cpu[index];
    struct vlapic_page page = shared_page(page_of(index, REGISTERS));
    struct vlapic_cpu_config config = {
        .size = sizeof config, .apic_id = bed.id[index], .bsp = true, .cookie = cpu, .pages = &page
    };
    struct vlapic_layout layout;

    *cpu = (struct bed_cpu){ .index = index, .core = FIRST_CORE + index, .guest = { .rflags = 0x202 } };
    cpu->page = page.va;
    cpu->page_pa = page.pa;
    cpu->vmcb = va(page_of(index, VMCB));
    cpu->vmcb_pa = pa(page_of(index, VMCB));
    cpu->msr_map = va(page_of(index, MSR_MAP));
    cpu->mode = VLAPIC_DECODE_MODE_64;
    assert_int_equal(vlapic_cpu_layout(&bed.config, &layout), VLAPIC_OK);
    assert_int_equal(layout.pages, 1);
    cpu->memory = block(&layout);
    assert_int_equal(vlapic_cpu_create(cpu->memory, layout.bytes, bed.vm, &config, &cpu->cpu), VLAPIC_OK);
    assert_int_equal(vlapic_cpu_attach(cpu->cpu), VLAPIC_OK);
    set_up_vmcb(index);
    memset(cpu->msr_map, 0xFF, 2 * BED_PAGE);
    bed.count = bed.count > index + 1 ? bed.count : index + 1;
}

void bed_start(unsigned count)
{
    bed_make_vm();
    for (unsigned i = 0; i < count; i++) {
        bed_make_cpu(i);
        bed_write(i, VLAPIC_REG_SVR, 0x1FF);
        vlapic_cpu_load(bed.cpu[i].cpu);
    }
    bed_forget();
}

void bed_end(void)
{
    bed.on_running = NULL;
    for (unsigned i = 0; i < bed.count; i++) {
        if (bed.cpu[i].cpu != NULL) {
            vlapic_cpu_destroy(bed.cpu[i].cpu);
        }
        free(bed.cpu[i].memory);
    }
    free(bed.memory);
    bed.memory = NULL;
    bed.vm = NULL;
    bed.count = 0;
}

int bed_teardown(void **state)
{
    (void)state;
    bed_end();
    return 0;
}

/* ---- the model's doors ---- */

static bool in_x2apic(unsigned cpu)
{
    return (vlapic_cpu_apic_base(bed.cpu[cpu].cpu) & VLAPIC_BASE_EXTD) != 0;
}

void bed_write(unsigned cpu, uint32_t offset, uint32_t value)
{
    if (in_x2apic(cpu)) {
        assert_int_equal(vlapic_cpu_msr_write(bed.cpu[cpu].cpu, VLAPIC_MSR_OF(offset), value), VLAPIC_ACCESS_DONE);
    } else {
        assert_int_equal(vlapic_cpu_mmio_write(bed.cpu[cpu].cpu, offset, 4, value), VLAPIC_ACCESS_DONE);
    }
}

uint32_t bed_read(unsigned cpu, uint32_t offset)
{
    uint64_t value = 0;

    if (in_x2apic(cpu)) {
        assert_int_equal(vlapic_cpu_msr_read(bed.cpu[cpu].cpu, VLAPIC_MSR_OF(offset), &value), VLAPIC_ACCESS_DONE);
    } else {
        assert_int_equal(vlapic_cpu_mmio_read(bed.cpu[cpu].cpu, offset, 4, &value), VLAPIC_ACCESS_DONE);
    }
    return (uint32_t)value;
}

void bed_set_base(unsigned cpu, uint64_t mode)
{
    uint64_t base = vlapic_cpu_apic_base(bed.cpu[cpu].cpu) & ~(VLAPIC_BASE_EN | VLAPIC_BASE_EXTD);

    assert_int_equal(vlapic_cpu_msr_write(bed.cpu[cpu].cpu, VLAPIC_MSR_APIC_BASE, base | mode), VLAPIC_ACCESS_DONE);
}

void bed_x2apic(unsigned cpu)
{
    bed_set_base(cpu, VLAPIC_BASE_EN | VLAPIC_BASE_EXTD);
}

/* ---- the run loop ---- */

void bed_enter(unsigned index)
{
    struct bed_cpu *cpu = &bed.cpu[index];

    for (unsigned tries = 0; tries < 8; tries++) {
        bed.events_at_poll = bed.events;
        vlapic_cpu_poll(cpu->cpu, &cpu->duty);
        if (vlapic_svm_enter(cpu->cpu, &cpu->guest, &cpu->entry)) {
            return;
        }
    }
    fail_msg("vCPU %u does not enter", index);
}

enum vlapic_svm_result bed_exit(unsigned index, uint32_t code, uint64_t info1, uint64_t info2)
{
    bed_set(index, SVMHW_EXITCODE, 8, code);
    bed_set(index, SVMHW_EXITINFO1, 8, info1);
    bed_set(index, SVMHW_EXITINFO2, 8, info2);
    return vlapic_svm_exit(bed.cpu[index].cpu, &bed.cpu[index].length);
}

void bed_leave(unsigned cpu)
{
    assert_int_equal(bed_exit(cpu, SVMHW_EXIT_INTR, 0, 0), VLAPIC_SVM_NOT_MINE);
    assert_int_equal(bed.cpu[cpu].length, 0);
}

void bed_round(unsigned cpu)
{
    bed_enter(cpu);
    bed_leave(cpu);
}

int bed_pending(unsigned cpu)
{
    vlapic_cpu_poll(bed.cpu[cpu].cpu, &bed.cpu[cpu].duty);
    return bed.cpu[cpu].duty.vector;
}

/* ---- what hardware does ---- */

uint64_t bed_get(unsigned cpu, uint32_t offset, unsigned bytes)
{
    uint64_t value = 0;

    memcpy(&value, bed.cpu[cpu].vmcb + offset, bytes);
    return value;
}

void bed_set(unsigned cpu, uint32_t offset, unsigned bytes, uint64_t value)
{
    memcpy(bed.cpu[cpu].vmcb + offset, &value, bytes);
}

static uint32_t *word(unsigned cpu, uint32_t base, uint8_t vector)
{
    return &bed.cpu[cpu].page[base / 4 + vector / 32 * 4];
}

void bed_set_bit(unsigned cpu, uint32_t base, uint8_t vector)
{
    __atomic_fetch_or(word(cpu, base, vector), 1u << vector % 32, __ATOMIC_SEQ_CST);
}

bool bed_bit(unsigned cpu, uint32_t base, uint8_t vector)
{
    return (*word(cpu, base, vector) >> vector % 32 & 1) != 0;
}

enum vlapic_svm_result bed_trap(unsigned cpu, uint32_t offset, uint32_t value)
{
    bed.cpu[cpu].page[offset / 4] = value;
    return bed_exit(cpu, SVMHW_EXIT_NOACCEL, 1ull << 32 | offset, 0);
}

enum vlapic_svm_result bed_fault(unsigned cpu, uint32_t offset, bool write)
{
    return bed_exit(cpu, SVMHW_EXIT_NOACCEL, (uint64_t)write << 32 | offset, 0);
}

enum vlapic_svm_result bed_incomplete(unsigned cpu, uint32_t id, uint32_t high, uint32_t low)
{
    bed.cpu[cpu].page[VLAPIC_REG_ICR_HIGH / 4] = high;
    bed.cpu[cpu].page[VLAPIC_REG_ICR_LOW / 4] = low;
    return bed_exit(cpu, SVMHW_EXIT_INCOMPLETE_IPI, (uint64_t)high << 32 | low, (uint64_t)id << 32);
}

void bed_code(unsigned cpu, const void *bytes, size_t count)
{
    memcpy(bed.cpu[cpu].code, bytes, count);
    bed.cpu[cpu].code_bytes = count;
}

/* ---- looking ---- */

bool bed_uses_avic(unsigned cpu)
{
    return (bed_control(cpu) & SVMHW_AVIC_ENABLE) != 0;
}

uint64_t bed_physical(uint32_t id)
{
    return __atomic_load_n(&bed.physical[id], __ATOMIC_SEQ_CST);
}

void bed_forget(void)
{
    bed.events = 0;
}

unsigned bed_count(enum bed_kind kind, unsigned cpu)
{
    unsigned count = 0;

    for (unsigned i = 0; i < bed.events; i++) {
        count += bed.event[i].kind == kind && bed.event[i].cpu == cpu;
    }
    return count;
}

const struct bed_event *bed_event_at(unsigned n, enum bed_kind kind)
{
    if (n >= bed.events || bed.event[n].kind != kind) {
        fail_msg("event %u of %u is of kind %d, not %d", n, bed.events, n < bed.events ? (int)bed.event[n].kind : 0,
                 (int)kind);
    }
    return &bed.event[n];
}

/* ---- on hardware ---- */

static uint8_t *memory(void *context, uint64_t address, size_t bytes)
{
    (void)context;
    return address >= POOL && address + bytes <= POOL + sizeof pool ? &pool[0][0] + (address - POOL) : NULL;
}

static void rings(void *context, struct svmhw_core *sender, uint32_t host_apic_id)
{
    (void)context;
    (void)sender;
    if (host_apic_id < BED_CORES) {
        svmhw_doorbell_arrives(&bed.cores[host_apic_id]);
    }
}

void bed_hardware(void)
{
    bed.has_hardware = true;
    bed.machine = (struct svmhw_machine){
        .capabilities = svmhw_all_capabilities,
        .callbacks = { .memory = memory, .doorbell = rings },
    };
    for (unsigned i = 0; i < BED_CORES; i++) {
        svmhw_core_init(&bed.cores[i], &bed.machine, i);
    }
}

struct svmhw_core *bed_core(unsigned cpu)
{
    return &bed.cores[bed.cpu[cpu].core];
}

struct svmhw_result bed_vmrun(unsigned cpu)
{
    bed_set(cpu, SVMHW_RFLAGS, 8, bed.cpu[cpu].guest.rflags);
    bed_set(cpu, SVMHW_TLB_CONTROL, 1, (bed.cpu[cpu].entry.changes & VLAPIC_SVM_FLUSH_TLB) != 0 ? 3 : 0);
    return svmhw_vmrun(bed_core(cpu), bed.cpu[cpu].vmcb_pa);
}

void bed_migrate(unsigned cpu, uint32_t core)
{
    vlapic_cpu_put(bed.cpu[cpu].cpu);
    bed.cpu[cpu].core = core;
    bed_set(cpu, SVMHW_CLEAN, 4, 0);
    vlapic_cpu_load(bed.cpu[cpu].cpu);
}
