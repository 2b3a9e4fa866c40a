/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * /dev/vlapic-vmm, for programs. A file descriptor of the device makes VMs; one of a VM has its memory, its vCPUs and what devices do to
 * their APICs; one of a vCPU runs it, in the calling thread. All calls are ioctls: -1 and errno if they fail.
 *
 * A vCPU is in long mode, CPL 0, with flat segments, the page tables of its CR3, which must map linear = physical, and without an FPU (using
 * it is #NM). It may not change CR0, CR3 or CR4. It has no devices: its port accesses come back from RUN.
 */
#ifndef VLAPIC_VMM_H
#define VLAPIC_VMM_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define VLAPIC_VMM_MAX_VCPUS 8
#define VLAPIC_VMM_MAX_BYTES (64u << 20)
/* Guest-physical memory ends below this: above are windows. */
#define VLAPIC_VMM_MAX_ADDRESS 0xF0000000u

/* Memory of the caller's, page-aligned, that becomes the guest's; it is pinned. Once a VM, before its vCPUs. */
struct vlapic_vmm_memory {
    __u64 guest_physical;
    __u64 bytes;
    __u64 user_address;
};

/* What devices do to APICs, and what else comes from outside. Any time, from any thread. */
enum vlapic_vmm_what {
    VLAPIC_VMM_MSI = 0,       /* address, value = data; accepted */
    VLAPIC_VMM_POST = 1,      /* vcpu, value = vector, level = trigger mode */
    VLAPIC_VMM_LINT = 2,      /* vcpu, value = pin, level */
    VLAPIC_VMM_LVT_EVENT = 3, /* vcpu, value = enum vlapic_lvt */
    VLAPIC_VMM_NMI = 4,       /* vcpu: an NMI for the core, past the APIC */
    VLAPIC_VMM_KICK = 5       /* vcpu: out of the guest, or out of sleep, once; it goes on by itself */
};

struct vlapic_vmm_inject {
    __u32 what; /* enum vlapic_vmm_what */
    __u32 vcpu; /* its index */
    __u64 address;
    __u32 value;
    __u32 level;
    __u32 accepted; /* out: how many APICs took the message */
    __u32 reserved;
};

/* Registers of a vCPU that starts: general ones in the order of their numbers. */
struct vlapic_vmm_regs {
    __u64 general[16];
    __u64 rip, rflags, cr3;
};

/* Why RUN came back. */
enum vlapic_vmm_reason {
    VLAPIC_VMM_IO = 0,    /* port, width, write, value; an IN takes `value` as the answer at the next RUN */
    VLAPIC_VMM_EOI = 1,   /* vector: EOI of a level-triggered interrupt */
    VLAPIC_VMM_SIPI = 2,  /* vector: start it, by SET_REGS */
    VLAPIC_VMM_FAILED = 3 /* exit_code, exit_info, rip: the guest did what this VMM does not know */
};

/* Kinds of exits that are counted. */
enum vlapic_vmm_kind {
    VLAPIC_VMM_KIND_OTHER = 0,
    VLAPIC_VMM_KIND_IO = 1,
    VLAPIC_VMM_KIND_HLT = 2,
    VLAPIC_VMM_KIND_INTERRUPT = 3,
    VLAPIC_VMM_KIND_WINDOW = 4,
    VLAPIC_VMM_KIND_MMIO = 5,
    VLAPIC_VMM_KIND_MSR = 6,
    VLAPIC_VMM_KIND_CR8 = 7,
    VLAPIC_VMM_KIND_WRITE = 8, /* an APIC write that hardware carried out in part */
    VLAPIC_VMM_KIND_EOI = 9,   /* an EOI that hardware carried out */
    VLAPIC_VMM_KIND_TPR = 10,  /* TPR below threshold */
    VLAPIC_VMM_KINDS = 11
};

/* What needs no exit, as the APIC stood at the last entry; bits of a set. */
enum vlapic_vmm_free {
    VLAPIC_VMM_FREE_CR8 = 1 << 0,
    VLAPIC_VMM_FREE_TPR = 1 << 1,
    VLAPIC_VMM_FREE_EOI = 1 << 2, /* of edge-triggered vectors */
    VLAPIC_VMM_FREE_SELF_IPI = 1 << 3,
    VLAPIC_VMM_FREE_READS = 1 << 4,
    VLAPIC_VMM_FREE_DELIVERY = 1 << 5 /* no exit for an interrupt window */
};

struct vlapic_vmm_run {
    __u32 reason; /* enum vlapic_vmm_reason */
    __u32 vector;
    __u32 port;
    __u32 width; /* bytes */
    __u32 write;
    __u32 value;
    __u32 free; /* enum vlapic_vmm_free */
    __u32 reserved;
    __u64 exit_code, exit_info[2], rip;
    __u32 exits[VLAPIC_VMM_KINDS]; /* so far */
};

/* State of a vCPU's APIC: a snapshot of libvlapic, and what is on its way into the core. */
struct vlapic_vmm_snapshot {
    __u32 length;
    __u32 in_flight;
    __u8 bytes[1024];
};

#define VLAPIC_VMM_IOCTL 0xB7
/* Device: a VM; returns its descriptor. */
#define VLAPIC_VMM_CREATE_VM _IO(VLAPIC_VMM_IOCTL, 0)
/* VM. CREATE_VCPU: the argument is the index, which is the APIC ID; returns a descriptor. INHIBIT: acceleration is withdrawn (1) or given back. */
#define VLAPIC_VMM_SET_MEMORY _IOW(VLAPIC_VMM_IOCTL, 1, struct vlapic_vmm_memory)
#define VLAPIC_VMM_CREATE_VCPU _IO(VLAPIC_VMM_IOCTL, 2)
#define VLAPIC_VMM_INJECT _IOWR(VLAPIC_VMM_IOCTL, 3, struct vlapic_vmm_inject)
#define VLAPIC_VMM_INHIBIT _IO(VLAPIC_VMM_IOCTL, 4)
/* vCPU: one call at a time, the others wait. RUN fails with EINTR when a signal comes. RESET: of the APIC alone. */
#define VLAPIC_VMM_SET_REGS _IOW(VLAPIC_VMM_IOCTL, 5, struct vlapic_vmm_regs)
#define VLAPIC_VMM_RUN _IOWR(VLAPIC_VMM_IOCTL, 6, struct vlapic_vmm_run)
#define VLAPIC_VMM_GET_SNAPSHOT _IOR(VLAPIC_VMM_IOCTL, 7, struct vlapic_vmm_snapshot)
#define VLAPIC_VMM_SET_SNAPSHOT _IOW(VLAPIC_VMM_IOCTL, 8, struct vlapic_vmm_snapshot)
#define VLAPIC_VMM_RESET _IO(VLAPIC_VMM_IOCTL, 9)

#endif
