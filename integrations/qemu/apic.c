/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Takes the place of QEMU's hw/intc/apic.c: the functions that QEMU's CPU and board call, made of libvlapic's public
 * API. The device itself is in apic_device.c.
 *
 * How an interrupt gets to the CPU: a post kicks the vCPU, which here means CPU_INTERRUPT_POLL; QEMU's CPU loop then calls
 * apic_poll_irq() in the vCPU's thread, and apic_sync() turns what the library's poll says into QEMU's interrupt requests. While a
 * vCPU accesses its own APIC it counts as "not in the guest" (vlapic_cpu_exit), so that it is not kicked for what apic_sync()
 * sees anyway.
 */
#include "qemu/osdep.h"
#include "hw/i386/apic-msidef.h"
#include "hw/intc/i8259.h"
#include "hw/intc/kvm_irqcount.h"
#include "hw/pci/msi.h"
#include "apic_vlapic.h"

#define WINDOW_BYTES 0x1000u
/* The slots below hold no register: QEMU's IOAPIC and devices without an IOMMU send their messages by writing there. */
#define FIRST_REGISTER 0x10u
#define ALL_ONES UINT64_MAX

static CPUState *cpu_of(ApicVlapic *s)
{
    return CPU(s->common.cpu);
}

/* The APIC of the vCPU that runs in this thread, NULL if none does. */
static ApicVlapic *current_apic(void)
{
    ApicHandle *dev = cpu_get_current_apic();

    return dev ? APIC_VLAPIC(dev) : NULL;
}

/* --- from the library to QEMU's CPU ---------------------------------------------------------------------------------- */

/* QEMU tells of changes of the 8259's output only CPUs that listen at that moment: look at it when it matters. */
static void refresh_pic_line(ApicVlapic *s)
{
    bool level = isa_pic && pic_get_output(isa_pic);

    if (level != s->pic_level) {
        s->pic_level = level;
        vlapic_cpu_lint(s->lapic, 0, level);
    }
}

/* QEMU does not wake a halted CPU for an INIT alone, since its own APIC always has the SIPI at hand as well. Ours keeps that until the
 * INIT is taken: so wake the CPU by the mark of a SIPI, which apic_init_taken() removes. */
static void request_init(ApicVlapic *s)
{
    s->init_requested = true;
    cpu_interrupt(cpu_of(s), CPU_INTERRUPT_INIT | CPU_INTERRUPT_SIPI);
}

void apic_init_taken(ApicVlapic *s)
{
    if (s->init_requested) {
        s->init_requested = false;
        cpu_reset_interrupt(cpu_of(s), CPU_INTERRUPT_SIPI);
    }
}

/* A saved machine must not hold the mark: who loads it takes it for a SIPI. */
void apic_init_hide_mark(ApicVlapic *s)
{
    if (s->init_requested) {
        cpu_reset_interrupt(cpu_of(s), CPU_INTERRUPT_SIPI);
    }
}

void apic_init_restore_mark(ApicVlapic *s)
{
    uint32_t requests = cpu_of(s)->interrupt_request;

    if ((requests & CPU_INTERRUPT_INIT) && !(requests & CPU_INTERRUPT_SIPI)) {
        request_init(s);
    }
}

static void hand_over_events(ApicVlapic *s, const struct vlapic_poll *duty)
{
    if (duty->init) {
        request_init(s);
    }
    if (duty->sipi) {
        s->common.sipi_vector = duty->sipi_vector;
        cpu_interrupt(cpu_of(s), CPU_INTERRUPT_SIPI);
    }
    if (duty->nmi) {
        cpu_interrupt(cpu_of(s), CPU_INTERRUPT_NMI);
    }
    if (duty->smi) {
        cpu_interrupt(cpu_of(s), CPU_INTERRUPT_SMI);
    }
    s->extint_message |= duty->extint_message && isa_pic;
}

static void poll(ApicVlapic *s, struct vlapic_poll *duty)
{
    refresh_pic_line(s);
    vlapic_cpu_poll(s->lapic, duty);
    hand_over_events(s, duty);
}

static void set_intr(ApicVlapic *s, bool asserted)
{
    if (asserted) {
        cpu_interrupt(cpu_of(s), CPU_INTERRUPT_HARD);
    } else {
        cpu_reset_interrupt(cpu_of(s), CPU_INTERRUPT_HARD);
    }
}

void apic_sync(ApicVlapic *s)
{
    struct vlapic_poll duty;

    do {
        poll(s, &duty);
        set_intr(s, duty.vector >= 0 || duty.extint || s->extint_message);
    } while (!vlapic_cpu_enter(s->lapic));
}

/* --- what the guest does --------------------------------------------------------------------------------------------- */
void apic_send_msi(MSIMessage *message)
{
    uint32_t accepted = 0;

    vlapic_vm_msi(apic_vm, message->address, message->data, &accepted);
    kvm_report_irq_delivered(accepted != 0);
}

static uint64_t window_read(void *opaque, hwaddr offset, unsigned size)
{
    ApicVlapic *s = current_apic();
    uint64_t value = ALL_ONES;

    if (s && offset < WINDOW_BYTES) {
        vlapic_cpu_exit(s->lapic);
        if (vlapic_cpu_mmio_read(s->lapic, offset, size, &value) != VLAPIC_ACCESS_DONE) {
            value = ALL_ONES;
        }
        apic_sync(s);
    }
    return value;
}

static void window_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    ApicVlapic *s = current_apic();

    if (offset < FIRST_REGISTER || offset >= WINDOW_BYTES) {
        MSIMessage message = { .address = APIC_DEFAULT_ADDRESS | offset, .data = value };

        apic_send_msi(&message);
    } else if (s) {
        vlapic_cpu_exit(s->lapic);
        vlapic_cpu_mmio_write(s->lapic, offset, size, value);
        apic_sync(s);
    }
}

const MemoryRegionOps apic_window_ops = {
    .read = window_read,
    .write = window_write,
    .impl.min_access_size = 1,
    .impl.max_access_size = 8,
    .impl.unaligned = true,
    .valid.min_access_size = 1,
    .valid.max_access_size = 8,
    .valid.unaligned = true,
    .endianness = DEVICE_LITTLE_ENDIAN,
};

static int msr_read(ApicVlapic *s, uint32_t msr, uint64_t *value)
{
    if (!s) {
        return -1;
    }
    vlapic_cpu_exit(s->lapic);
    enum vlapic_access access = vlapic_cpu_msr_read(s->lapic, msr, value);
    apic_sync(s);
    return access == VLAPIC_ACCESS_DONE ? 0 : -1;
}

static int msr_write(ApicVlapic *s, uint32_t msr, uint64_t value)
{
    if (!s) {
        return -1;
    }
    vlapic_cpu_exit(s->lapic);
    enum vlapic_access access = vlapic_cpu_msr_write(s->lapic, msr, value);
    apic_sync(s);
    return access == VLAPIC_ACCESS_DONE ? 0 : -1;
}

#if VLAPIC_QEMU_VERSION >= 1002
int apic_msr_read(APICCommonState *common, int index, uint64_t *value)
{
    return msr_read(common ? APIC_VLAPIC(common) : NULL, VLAPIC_MSR_X2APIC_FIRST + index, value);
}

int apic_msr_write(APICCommonState *common, int index, uint64_t value)
{
    return msr_write(common ? APIC_VLAPIC(common) : NULL, VLAPIC_MSR_X2APIC_FIRST + index, value);
}
#else
int apic_msr_read(int index, uint64_t *value)
{
    return msr_read(current_apic(), VLAPIC_MSR_X2APIC_FIRST + index, value);
}

int apic_msr_write(int index, uint64_t value)
{
    return msr_write(current_apic(), VLAPIC_MSR_X2APIC_FIRST + index, value);
}
#endif

/* WRMSR of IA32_APIC_BASE comes without the BQL. */
int apic_set_base(APICCommonState *common, uint64_t value)
{
    BQL_LOCK_GUARD();

    return msr_write(APIC_VLAPIC(common), VLAPIC_MSR_APIC_BASE, value);
}

/* MOV to CR8. QEMU has cut the value to 8 bits and does not fault on reserved ones. */
void apic_set_tpr(APICCommonState *common, uint8_t value)
{
    ApicVlapic *s = APIC_VLAPIC(common);

    vlapic_cpu_exit(s->lapic);
    vlapic_cpu_cr8_write(s->lapic, value & 0xf);
    apic_sync(s);
}

/* MOV from CR8, without the BQL. */
uint8_t apic_get_tpr(APICCommonState *common)
{
    BQL_LOCK_GUARD();

    return vlapic_cpu_cr8_read(APIC_VLAPIC(common)->lapic);
}

/* --- what QEMU's CPU loop asks --------------------------------------------------------------------------------------- */

/* A register in whichever mode the APIC is in; 0 if it is disabled. */
static uint32_t read_register(ApicVlapic *s, uint32_t offset)
{
    uint64_t value = 0;

    if (vlapic_cpu_mmio_read(s->lapic, offset, 4, &value) != VLAPIC_ACCESS_DONE) {
        vlapic_cpu_msr_read(s->lapic, VLAPIC_MSR_OF(offset), &value);
    }
    return value;
}

bool is_x2apic_mode(ApicHandle *dev)
{
    return vlapic_cpu_apic_base(APIC_VLAPIC(dev)->lapic) & VLAPIC_BASE_EXTD;
}

void apic_poll_irq(ApicHandle *dev)
{
    apic_sync(APIC_VLAPIC(dev));
}

int apic_accept_pic_intr(ApicHandle *dev)
{
    if (!dev) {
        return -1;
    }
    ApicVlapic *s = APIC_VLAPIC(dev);

    if (s->extint_granted) {
        s->extint_granted = false;
        return 1;
    }
    bool enabled = vlapic_cpu_apic_base(s->lapic) & VLAPIC_BASE_EN;

    return isa_pic && (!enabled || !(read_register(s, VLAPIC_REG_LVT_LINT0) & VLAPIC_LVT_MASKED));
}

void apic_deliver_pic_intr(ApicHandle *dev, int level)
{
    ApicVlapic *s = APIC_VLAPIC(dev);

    s->pic_level = level;
    vlapic_cpu_lint(s->lapic, 0, level);
}

/* The CPU acknowledges INTR: a vector, or -1 for "ask the 8259". QEMU injects whatever comes back, so if neither has anything
 * left it must be the spurious vector. */
int apic_get_interrupt(ApicHandle *dev)
{
    struct vlapic_poll duty;
    uint8_t vector;

    if (!dev) {
        return -1;
    }
    ApicVlapic *s = APIC_VLAPIC(dev);

    poll(s, &duty);
    if (s->extint_message) {
        s->extint_message = false;
        s->extint_granted = true;
        return -1;
    }
    /* The 8259's priority is not compared with the APIC's: it goes first. */
    if (duty.extint || (duty.vector < 0 && apic_accept_pic_intr(dev))) {
        return -1;
    }
    vlapic_cpu_exit(s->lapic);
    vlapic_cpu_acknowledge(s->lapic, &vector);
    apic_sync(s);
    return vector;
}

/* A SIPI that came with a migration is not one that the library has handed over: it still waits for it. */
static void stop_waiting(ApicVlapic *s)
{
    struct vlapic_cpu_state state;

    vlapic_cpu_get_state(s->lapic, &state, sizeof(state));
    if (state.events & VLAPIC_EVENT_WAIT_FOR_SIPI) {
        state.events &= ~VLAPIC_EVENT_WAIT_FOR_SIPI;
        vlapic_cpu_set_state(s->lapic, &state, VLAPIC_TIME_STOPPED, NULL);
    }
}

void apic_sipi(ApicHandle *dev)
{
    ApicVlapic *s = APIC_VLAPIC(dev);

    if (!s->common.wait_for_sipi) {
        return;
    }
    cpu_x86_load_seg_cache_sipi(s->common.cpu, s->common.sipi_vector);
    s->common.wait_for_sipi = 0;
    stop_waiting(s);
    apic_sync(s);
}

int apic_get_highest_priority_irr(ApicHandle *dev)
{
    for (int word = 7; dev && word >= 0; word--) {
        uint32_t bits = read_register(APIC_VLAPIC(dev), VLAPIC_REG_IRR + word * 0x10);

        if (bits) {
            return word * 32 + 31 - clz32(bits);
        }
    }
    return -1;
}

int apic_get_ppr(APICCommonState *common)
{
    return read_register(APIC_VLAPIC(common), VLAPIC_REG_PPR);
}

/* The NMI button, watchdogs. */
void apic_external_nmi(APICCommonState *common)
{
    ApicVlapic *s = APIC_VLAPIC(common);

    vlapic_cpu_lint(s->lapic, 1, true);
    vlapic_cpu_lint(s->lapic, 1, false);
}
