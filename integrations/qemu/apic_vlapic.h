/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * QEMU's local APIC device, made of libvlapic. apic_device.c is the device, apic.c what QEMU's CPU calls, apic_time.c the
 * clocks and the TSC deadline, apic_migration.c the way to and from QEMU's own fields.
 *
 * Threads: QEMU's big lock (BQL) is held in every call into the library. It stands in for the library's "owner" of a vCPU, so any
 * thread that has it may poll; only what QEMU's CPU loop must do itself is left to that loop.
 */
#ifndef INTEGRATIONS_QEMU_APIC_VLAPIC_H
#define INTEGRATIONS_QEMU_APIC_VLAPIC_H

#include "hw/i386/apic_internal.h"
#include "hw/i386/apic.h"
#include "qemu/main-loop.h"
#include "system/runstate.h"

#include <vlapic/vlapic.h>

#define VLAPIC_QEMU_VERSION (QEMU_VERSION_MAJOR * 100 + QEMU_VERSION_MINOR)

/* What QEMU's prototypes call a local APIC. */
#if VLAPIC_QEMU_VERSION >= 1002
typedef APICCommonState ApicHandle;
#else
typedef DeviceState ApicHandle;
#endif

#define TYPE_APIC "apic"

typedef struct ApicVlapic {
    APICCommonState common; /* first: QEMU casts. Its registers are current only after apic_fill_fields() */
    struct vlapic_cpu *lapic;
    void *memory; /* of lapic */
    VMChangeStateEntry *on_run_state;
    bool power_on;            /* the reset under way is the device's, not an INIT */
    bool pic_level;           /* of LINT0, as the library knows it */
    bool init_requested;      /* of the CPU, and not taken yet */
    bool extint_message;      /* an ExtINT message waits for its acknowledge */
    bool extint_granted;      /* the next acknowledge goes to the 8259, whatever LINT0 says */
    bool loaded;              /* a saved state came in and the machine has not run since */
    uint32_t snapshot_length; /* 0: QEMU's fields say it all */
    uint8_t snapshot[VLAPIC_SNAPSHOT_MAX];
} ApicVlapic;

DECLARE_INSTANCE_CHECKER(ApicVlapic, APIC_VLAPIC, TYPE_APIC)

extern struct vlapic_vm *apic_vm;

/* apic.c */
extern const MemoryRegionOps apic_window_ops;
/* Brings QEMU's CPU up to date with what the library wants of it. */
void apic_sync(ApicVlapic *s);
void apic_init_taken(ApicVlapic *s);
void apic_init_hide_mark(ApicVlapic *s);
void apic_init_restore_mark(ApicVlapic *s);
int apic_set_base(APICCommonState *common, uint64_t value);
void apic_set_tpr(APICCommonState *common, uint8_t value);
uint8_t apic_get_tpr(APICCommonState *common);
void apic_external_nmi(APICCommonState *common);
void apic_send_msi(MSIMessage *message);

/* apic_time.c */
void apic_time_rebase(CPUX86State *env);
uint64_t apic_now_ns(void *cookie);
uint64_t apic_now_tsc(void *cookie);
void apic_timer_arm_ns(void *cookie, uint64_t deadline_ns);
void apic_timer_arm_tsc(void *cookie, uint64_t deadline_tsc);
void apic_timer_cancel(void *cookie);
void apic_timer_expired(void *opaque);
void apic_mirror_tsc_deadline(ApicVlapic *s);
void apic_adopt_tsc_deadline(ApicVlapic *s);
/* Called by the lines that patch.py puts into QEMU: RDMSR and WRMSR of IA32_TSC_DEADLINE. False: #GP. */
bool apic_vlapic_rdmsr_tsc_deadline(CPUX86State *env, uint64_t *value);
bool apic_vlapic_wrmsr_tsc_deadline(CPUX86State *env, uint64_t value);

/* apic_migration.c */
void apic_fill_fields(ApicVlapic *s);
void apic_pre_save(APICCommonState *common);
void apic_post_load(APICCommonState *common);
/* Called by a line that patch.py puts into `info lapic`: names the library and brings the fields up to date. */
void apic_vlapic_describe(APICCommonState *common);

#endif
