/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The contract between the guest image and whoever runs it: a bare-metal VMM, a kernel module, a userspace VMM on /dev/kvm.
 *
 * The image is a flat file for guest-physical GUEST_BASE; struct guest_header is its first bytes. The VMM has GUEST_BYTES of memory there, all of
 * it zero but for the file. It starts a vCPU in long mode, CPL 0, interrupts off, paging on, flat segments, with page tables of
 * its own that map linear = physical: the memory above, and in 4-KiB pages GUEST_WINDOW and GUEST_WINDOW_MOVED. The last
 * GUEST_TABLES bytes of the memory are the VMM's, for these tables. The guest loads a GDT and an IDT, and never touches CR0, CR3 or CR4.
 *
 * The guest starts at `entry` (vCPU 0) or, when it gets a SIPI, at `ap_entry`, with
 *     RDI  index of the vCPU, which is its APIC ID        RCX  number of vCPUs
 *     RSI  number of the payload                          R8   vector of the SIPI, 0 at `entry`
 *     RDX  GUEST_FEATURE_* bits
 * That is no start in real mode, as a SIPI is on hardware: not every processor that can run the payloads can run
 * real mode in a guest (that takes "unrestricted guest", or an emulator), and what a SIPI means for an APIC ends with its vector.
 *
 * Everything else goes through the ports below, 32 bits wide but where said. Who runs payloads on another clock than the APIC timer's
 * answers GUEST_PORT_CLOCK in input clocks of that timer all the same.
 */
#ifndef EXAMPLES_BAREMETAL_CONTRACT_H
#define EXAMPLES_BAREMETAL_CONTRACT_H

#define GUEST_BASE 0x2000000u
#define GUEST_BYTES 0x400000u
#define GUEST_TABLES 0x40000u
#define GUEST_WINDOW 0xFEE00000u
#define GUEST_WINDOW_MOVED 0xF0000000u

#define GUEST_MAGIC 0x31545345u /* "EST1" */
#define GUEST_NAME_BYTES 24

/* Features, in RDX. */
#define GUEST_FEATURE_X2APIC (1u << 0)
#define GUEST_FEATURE_DEADLINE (1u << 1)
#define GUEST_FEATURE_MOVE (1u << 2)     /* GUEST_PORT_MOVE does something */
#define GUEST_FEATURE_SNAPSHOT (1u << 3) /* GUEST_PORT_SNAPSHOT does something */
#define GUEST_FEATURE_DEVICES                                                                                          \
    (1u << 4) /* the ports of devices do something: all from GUEST_PORT_LINE on but EXITS and FREE */
#define GUEST_FEATURE_PHYSICAL (1u << 5) /* the local APICs are the machine's own, and HLT makes no exit */

#define GUEST_FEATURE_INIT (1u << 6) /* GUEST_PORT_INIT does something */
#define GUEST_FEATURE_ICR_TRAP                                                                                         \
    (1u << 7) /* with GUEST_FEATURE_PHYSICAL: whenever ICR is written, the VMM keeps INIT, SIPI and NMI */

/* Needs of a payload: bits of guest_payload.needs. The same positions as the features; the VMM does not start a payload that needs more. */
#define GUEST_NEEDS_X2APIC GUEST_FEATURE_X2APIC
#define GUEST_NEEDS_DEADLINE GUEST_FEATURE_DEADLINE
#define GUEST_NEEDS_MOVE GUEST_FEATURE_MOVE
#define GUEST_NEEDS_SNAPSHOT GUEST_FEATURE_SNAPSHOT
#define GUEST_NEEDS_DEVICES GUEST_FEATURE_DEVICES
#define GUEST_NEEDS_PHYSICAL GUEST_FEATURE_PHYSICAL
#define GUEST_NEEDS_INIT GUEST_FEATURE_INIT
#define GUEST_NEEDS_ICR_TRAP GUEST_FEATURE_ICR_TRAP

/* Out, 8 bits: a character. The payload prints one line, "PASS name" or "FAIL name: why". */
#define GUEST_PORT_CONSOLE 0x600
/* Out: the payload has ended. 0: passed; else the line of the check that failed. Does not return. */
#define GUEST_PORT_VERDICT 0x604
/* In: input clocks of the APIC timer since some moment, bits 31:0; keeps bits 63:32 for the next one. */
#define GUEST_PORT_CLOCK 0x608
#define GUEST_PORT_CLOCK_HIGH 0x60C
/* In: TSC ticks after which whoever waits for something may call it lost; FFFFFFFFh: never, the VMM itself gives the payload up. */
#define GUEST_PORT_PATIENCE 0x610
/* Out: a level-triggered line, sent as a vector: vector | APIC ID << 8 | GUEST_LINE_ASSERT. While asserted it is sent again at
 * each EOI of the vector that reaches it. In: how many EOIs of the vector named last have reached it so far. */
#define GUEST_PORT_LINE 0x614
#define GUEST_LINE_ASSERT 0x80000000u
/* Out: bits 31:0 of a message's address; then its data, which sends it. In, at the data: how many APICs accepted it. */
#define GUEST_PORT_MSI_ADDRESS 0x618
#define GUEST_PORT_MSI_DATA 0x61C
/* Out: an NMI for the core of a vCPU, past its APIC. */
#define GUEST_PORT_NMI 0x620
/* Out: level of a LINT pin: vCPU | pin << 8 | level << 16. */
#define GUEST_PORT_LINT 0x624
/* Out: an event of an LVT entry without a pin: vCPU | enum vlapic_lvt << 8. */
#define GUEST_PORT_LVT_EVENT 0x628
/* Out: enum guest_exit; in: how many exits of that kind this vCPU has had. */
#define GUEST_PORT_EXITS 0x62C
/* Out: kick a vCPU so many times: vCPU | count << 8. */
#define GUEST_PORT_KICK 0x630
/* Out: export the state of this vCPU's APIC as a snapshot, reset it, import the snapshot. */
#define GUEST_PORT_SNAPSHOT 0x634
/* Out: 1 withdraws acceleration from the VM, 0 gives it back. */
#define GUEST_PORT_INHIBIT 0x638
/* Out: the vCPUs change places on the physical CPUs. */
#define GUEST_PORT_MOVE 0x63C
/* Out: post a vector past all destinations: vector | vCPU << 8 | level << 16. */
#define GUEST_PORT_POST 0x640
/* In: GUEST_FREE_* bits: what needs no exit, as the APIC of this vCPU stands now. */
#define GUEST_PORT_FREE 0x644
/* Out: a physical INIT for the CPU that runs a vCPU, as a device can send one past all ICRs. */
#define GUEST_PORT_INIT 0x648

#define GUEST_FREE_CR8 (1u << 0)      /* MOV to and from CR8 */
#define GUEST_FREE_TPR (1u << 1)      /* TPR, in the APIC's mode */
#define GUEST_FREE_EOI (1u << 2)      /* EOI of edge-triggered vectors that nobody watches */
#define GUEST_FREE_SELF_IPI (1u << 3) /* xAPIC: ICR with shorthand self; x2APIC: SELF IPI */
#define GUEST_FREE_READS (1u << 4)    /* reads of ID, version, LDR, SVR, ISR, TMR, IRR, ESR, ICR, LVT */
#define GUEST_FREE_DELIVERY (1u << 5) /* no exit for an interrupt window */
#define GUEST_FREE_POSTED (1u << 6)   /* a post to a running vCPU */
#define GUEST_FREE_IPI (1u << 7)      /* fixed IPIs to one vCPU by its ID */

#ifndef __ASSEMBLER__
/* Kinds of exits. */
enum guest_exit {
    GUEST_EXIT_OTHER = 0,
    GUEST_EXIT_IO = 1,
    GUEST_EXIT_HLT = 2,
    GUEST_EXIT_INTERRUPT = 3, /* of the host: kicks, timer */
    GUEST_EXIT_WINDOW = 4,    /* interrupt and NMI window */
    GUEST_EXIT_MMIO = 5,      /* an access to a window, before it is carried out */
    GUEST_EXIT_MSR = 6,
    GUEST_EXIT_CR8 = 7,
    GUEST_EXIT_WRITE = 8, /* an APIC write that hardware carried out in part */
    GUEST_EXIT_EOI = 9,   /* an EOI that hardware carried out */
    GUEST_EXIT_TPR = 10,  /* TPR below threshold */
    GUEST_EXIT_INIT = 11, /* an INIT that is none of ours */
    GUEST_EXIT_KINDS = 12,
    GUEST_EXIT_APIC = 255 /* all of 5..10 together, for GUEST_PORT_EXITS alone */
};

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include <stdint.h>
#endif

struct guest_payload {
    char name[GUEST_NAME_BYTES];
    uint32_t cpus; /* how many vCPUs it wants, at least: 1 to 4 */
    uint32_t needs;
};

struct guest_header {
    uint32_t magic;
    uint32_t payload_count;
    uint64_t entry;
    uint64_t ap_entry;
    uint64_t file_bytes;
    uint64_t memory_bytes; /* with what has to be zero behind the file */
    uint64_t payloads;     /* guest-physical address of payload_count of struct guest_payload */
};
#endif

#endif
