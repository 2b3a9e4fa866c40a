/* SPDX-License-Identifier: BSD-2-Clause */
/* A vCPU: KVM's, its local APIC, and the state in which contract.h starts it. */
#include "vmm.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define CR0_PE (1ull << 0)
#define CR0_ET (1ull << 4)
#define CR0_NE (1ull << 5)
#define CR0_PG (1ull << 31)
#define CR4_PAE (1ull << 5)
#define EFER_LME (1ull << 8)
#define EFER_LMA (1ull << 10)

static size_t run_bytes(void)
{
    int bytes = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);

    MUST(bytes > 0);
    return (size_t)bytes;
}

/* The kick's signal is blocked in the thread, and let in by KVM_RUN alone, which then ends at once also if it came before. */
static void let_kicks_in(const struct vcpu *cpu)
{
    struct {
        struct kvm_signal_mask mask;
        uint64_t blocked;
    } __attribute__((packed)) kernel = { .mask.len = sizeof(kernel.blocked) };

    MUST(ioctl(cpu->fd, KVM_SET_SIGNAL_MASK, &kernel) == 0);
}

static void create_apic(struct vcpu *cpu)
{
    struct vlapic_cpu_config config = {
        .size = sizeof(config), .apic_id = cpu->index, .bsp = cpu->index == 0, .cookie = cpu
    };
    struct vlapic_layout layout;

    MUST(vlapic_cpu_layout(vlapic_vm_get_config(vm.apics), &layout) == VLAPIC_OK && layout.pages == 0);
    MUST(posix_memalign(&cpu->apic_memory, layout.alignment, layout.bytes) == 0);
    MUST(vlapic_cpu_create(cpu->apic_memory, layout.bytes, vm.apics, &config, &cpu->apic) == VLAPIC_OK);
    MUST(vlapic_cpu_attach(cpu->apic) == VLAPIC_OK);
}

void vcpu_create(uint32_t index)
{
    struct vcpu *cpu = &vm.cpus[index];

    cpu->index = index;
    cpu->fd = ioctl(vm.fd, KVM_CREATE_VCPU, index);
    MUST(cpu->fd >= 0);
    cpu->run = mmap(NULL, run_bytes(), PROT_READ | PROT_WRITE, MAP_SHARED, cpu->fd, 0);
    MUST(cpu->run != MAP_FAILED);
    cpu->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    MUST(cpu->timer >= 0);
    cpuid_set(cpu);
    let_kicks_in(cpu);
    create_apic(cpu);
}

void vcpu_destroy(struct vcpu *cpu)
{
    vlapic_cpu_destroy(cpu->apic);
    free(cpu->apic_memory);
    munmap(cpu->run, run_bytes());
    close(cpu->timer);
    close(cpu->fd);
}

static void set_segments(struct kvm_sregs *sregs)
{
    struct kvm_segment data = { .limit = UINT32_MAX, .selector = 16, .type = 3, .present = 1, .s = 1, .g = 1, .db = 1 };
    struct kvm_segment code = { .limit = UINT32_MAX, .selector = 8, .type = 11, .present = 1, .s = 1, .g = 1, .l = 1 };

    sregs->cs = code;
    sregs->ds = sregs->es = sregs->fs = sregs->gs = sregs->ss = data;
    sregs->tr = (struct kvm_segment){ .limit = 0x67, .type = 11, .present = 1 };
    sregs->ldt = (struct kvm_segment){ .unusable = 1 };
    memset(&sregs->gdt, 0, sizeof(sregs->gdt));
    memset(&sregs->idt, 0, sizeof(sregs->idt));
}

/* What KVM may hold of events is gone with an INIT. Reading first moves NMIs that other calls have queued to where they are seen. */
static void forget_events(const struct vcpu *cpu)
{
    struct kvm_vcpu_events events;

    MUST(ioctl(cpu->fd, KVM_GET_VCPU_EVENTS, &events) == 0);
    memset(&events, 0, sizeof(events));
    events.flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW;
    MUST(ioctl(cpu->fd, KVM_SET_VCPU_EVENTS, &events) == 0);
}

void vcpu_start(struct vcpu *cpu, uint64_t entry, uint8_t sipi_vector)
{
    struct kvm_regs regs = { .rip = entry,
                             .rflags = 2,
                             .rdi = cpu->index,
                             .rsi = vm.payload_index,
                             .rdx = vm.features,
                             .rcx = vm.cpu_count,
                             .r8 = sipi_vector };
    struct kvm_sregs sregs;

    MUST(ioctl(cpu->fd, KVM_GET_SREGS, &sregs) == 0);
    set_segments(&sregs);
    sregs.cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_PG;
    sregs.cr3 = memory_page_tables();
    sregs.cr4 = CR4_PAE;
    sregs.cr8 = vlapic_cpu_cr8_read(cpu->apic);
    sregs.efer = EFER_LME | EFER_LMA;
    sregs.apic_base = vlapic_cpu_apic_base(cpu->apic);
    memset(sregs.interrupt_bitmap, 0, sizeof(sregs.interrupt_bitmap));
    MUST(ioctl(cpu->fd, KVM_SET_SREGS, &sregs) == 0);
    MUST(ioctl(cpu->fd, KVM_SET_REGS, &regs) == 0);
    forget_events(cpu);
    /* KVM's view of the last exit, which was another life's. */
    cpu->run->ready_for_interrupt_injection = 0;
    cpu->run->if_flag = 0;
    cpu->base_changed = false;
    cpu->started = true;
}

bool vcpu_can_take_nmi(const struct vcpu *cpu)
{
    struct kvm_vcpu_events events;

    MUST(ioctl(cpu->fd, KVM_GET_VCPU_EVENTS, &events) == 0);
    return (cpu->nmi_pending || events.nmi.pending != 0) && events.nmi.masked == 0;
}
