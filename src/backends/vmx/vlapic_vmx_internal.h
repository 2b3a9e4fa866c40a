/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The vmx backend's objects. Posting knows struct vmx_shared alone: nothing in it leads to a VMCS. Intel SDM 3C, "APIC Virtualization and
 * Virtual Interrupts"; the field encodings are in appendix B.
 */
#ifndef VLAPIC_VMX_INTERNAL_H
#define VLAPIC_VMX_INTERNAL_H

#include <vlapic/vmx_run.h>
#include <vlapic/vlapic.h>

#include "../shared/vlapic_events.h"
#include "../shared/vlapic_shadow.h"
#include "../shared/vlapic_window.h"

/* --- VMCS fields and bits ------------------------------------------------------------------------------------------------- */
#define VMCS_NOTIFICATION_VECTOR 0x0002u
#define VMCS_LAST_PID_INDEX 0x0008u
#define VMCS_INTERRUPT_STATUS 0x0810u
#define VMCS_VIRTUAL_APIC 0x2012u
#define VMCS_APIC_ACCESS 0x2014u
#define VMCS_DESCRIPTOR 0x2016u
#define VMCS_EOI_EXIT(word) (0x201Cu + 2u * (word))
#define VMCS_TERTIARY 0x2034u
#define VMCS_PID_TABLE 0x2042u
#define VMCS_PIN 0x4000u
#define VMCS_PRIMARY 0x4002u
#define VMCS_ENTRY_INFORMATION 0x4016u
#define VMCS_TPR_THRESHOLD 0x401Cu
#define VMCS_SECONDARY 0x401Eu
#define VMCS_INTERRUPTIBILITY 0x4824u

#define PIN_VIRTUAL_NMIS (1u << 5)
#define PIN_POSTED (1u << 7)
#define PRIMARY_INTERRUPT_WINDOW (1u << 2)
#define PRIMARY_TERTIARY (1u << 17)
#define PRIMARY_CR8_LOAD (1u << 19)
#define PRIMARY_CR8_STORE (1u << 20)
#define PRIMARY_TPR_SHADOW (1u << 21)
#define PRIMARY_NMI_WINDOW (1u << 22)
#define PRIMARY_SECONDARY (1u << 31)
#define SECONDARY_APIC_ACCESS (1u << 0)
#define SECONDARY_X2APIC (1u << 4)
#define SECONDARY_REGISTERS (1u << 8)
#define SECONDARY_DELIVERY (1u << 9)
#define TERTIARY_IPI (1ull << 4)
#define EXIT_ACKNOWLEDGE (1u << 15)

#define BLOCKED_BY_STI (1u << 0)
#define BLOCKED_BY_MOV_SS (1u << 1)
#define BLOCKED_BY_NMI (1u << 3)
#define RFLAGS_IF (1u << 9)

/* Posted-interrupt descriptor, control quadword. */
#define DESCRIPTOR_ON (1ull << 0)
#define DESCRIPTOR_SN (1ull << 1)
#define DESCRIPTOR_NV_SHIFT 16
#define DESCRIPTOR_NV (0xFFull << DESCRIPTOR_NV_SHIFT)
#define DESCRIPTOR_NDST_SHIFT 32
#define DESCRIPTOR_NDST (0xFFFFFFFFull << DESCRIPTOR_NDST_SHIFT)

/* ICR bits 63:32 in x2APIC mode: hardware keeps them here, the model at 310h. */
#define PAGE_ICR_HIGH_X2APIC 0x304u

/* --- objects -------------------------------------------------------------------------------------------------------------- */

/* 64 bytes, shared with hardware. Everything in it is atomic. */
struct vmx_descriptor {
    uint64_t pir[4];
    uint64_t control;
    uint64_t unused[3];
};

/* What posters know of a vCPU. */
struct vmx_shared {
    uint64_t level
        [4]; /* TMR, as of the EOI-exit bitmap of the next entry: a vector that is posted in the other mode goes round by the owner */
    struct vmx_descriptor *descriptor;
    void (*notify)(void *cpu_cookie, uint32_t apic_id, uint8_t vector);
    void *cookie;
    bool notifies; /* the guest runs with posted interrupts */
    bool host_x2apic;
};

struct vmx_vm {
    struct vlapic_vmx_ops ops;
    uint64_t apic_access_page;
    uint64_t *pid_table;
    uint64_t pid_table_pa;
    struct vlapic_vectors watch; /* vectors whose EOI has to exit, whatever their trigger mode */
    uint32_t pid_last;
    uint32_t features;
    uint32_t inhibits; /* atomic */
    uint8_t notification_vector;
    uint8_t wakeup_vector;
    bool host_x2apic;
    bool length_is_valid;
    bool has_secondary;
    bool has_tertiary;
    bool has_cmci;
};

struct vmx_cpu {
    struct vmx_shared *shared;
    struct vmx_vm *vm;
    struct vlapic_cpu *cpu;
    void *cookie;
    uint32_t *page;
    uint64_t page_pa;
    uint64_t descriptor_pa;

    uint32_t features; /* in use, and written to the VMCS */
    bool is_stale;     /* `features` have to be found anew */
    bool is_written;   /* the VMCS holds what the members below say */
    bool is_loaded;
    bool is_blocked;
    uint64_t here;              /* NDST of the physical CPU where it is loaded */
    struct vlapic_vectors late; /* taken out of PIR when TMR changed: to be collected as level triggered */
    bool has_virtual_nmis;      /* the embedder's bit of the VMCS */
    uint32_t windows;
    uint32_t threshold;
    uint64_t eoi_exit[4];
    bool eoi_exit_is_known; /* the VMCS has what eoi_exit says */
    bool eoi_exit_is_stale; /* TMR has changed */
    uint32_t lint0_wait;    /* the vector of LINT0 that eoi_exit counts in, 0 for none */
    uint32_t inhibited;     /* the VM's inhibits of which `features` know */
    struct vlapic_events events;
    struct vlapic_shadow shadow;
    struct vlapic_vmx_guest guest;
    struct vlapic_vmx_entry entry;
    uint64_t mapped;    /* where the embedder has been told to map the APIC-access page, with VMX_MAPPED; 0: nowhere */
    uint32_t pid_index; /* of this vCPU's entry in the PID-pointer table, or VMX_NO_INDEX */
};
#define VMX_NO_INDEX UINT32_MAX
#define VMX_MAPPED 1u

static inline struct vmx_cpu *vmx_of(struct vlapic_cpu *cpu)
{
    return vlapic_backend_cpu_state(cpu, &vlapic_backend_vmx);
}

static inline void vmx_write(const struct vmx_cpu *state, uint32_t field, uint64_t value)
{
    state->vm->ops.vmwrite(state->cookie, field, value);
}

static inline uint64_t vmx_read(const struct vmx_cpu *state, uint32_t field)
{
    return state->vm->ops.vmread(state->cookie, field);
}

static inline uint32_t vmx_page(const struct vmx_cpu *state, uint32_t offset)
{
    return state->page[offset / 4];
}

static inline bool vmx_uses(const struct vmx_cpu *state, uint32_t feature)
{
    return (state->features & feature) != 0;
}

/* --- vlapic_vmx_controls.c ------------------------------------------------------------------------------------------------ */
/* Reasons why this vCPU does without virtual-interrupt delivery. */
uint32_t vlapic_vmx_core_inhibits(const struct vmx_cpu *state);
/* Finds the features for the APIC as it stands, and writes controls, addresses and MSR bitmap if they have changed. */
void vlapic_vmx_core_update_controls(struct vmx_cpu *state);
/* Asks for PRIMARY_INTERRUPT_WINDOW and PRIMARY_NMI_WINDOW exits, or for none. */
void vlapic_vmx_core_set_windows(struct vmx_cpu *state, uint32_t windows);

/* --- vlapic_vmx_entry.c --------------------------------------------------------------------------------------------------- */
void vlapic_vmx_core_enter(void *cpu_state, const struct vlapic_entry *entry);
uint32_t vlapic_vmx_core_exit(void *cpu_state);

/* --- vlapic_vmx_post.c ---------------------------------------------------------------------------------------------------- */
enum vlapic_post vlapic_vmx_core_post(void *memory, uint8_t vector, bool level);
void vlapic_vmx_core_notify(void *memory);
bool vlapic_vmx_core_pending(const void *memory);
bool vlapic_vmx_core_collect(void *cpu_state, struct vlapic_vectors *posted, struct vlapic_vectors *level);
void vlapic_vmx_core_load(void *cpu_state);
void vlapic_vmx_core_put(void *cpu_state);
void vlapic_vmx_core_block(void *cpu_state);
void vlapic_vmx_core_unblock(void *cpu_state);
/* TMR has changed: posters follow. */
void vlapic_vmx_core_publish_levels(struct vmx_cpu *state);

/* --- vlapic_vmx_ipi.c ----------------------------------------------------------------------------------------------------- */
/* The entry of the PID-pointer table follows ID, mode and enable bits. */
void vlapic_vmx_core_update_pid_table(struct vmx_cpu *state);

#endif
