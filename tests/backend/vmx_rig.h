/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The vmx backend on a bench: vCPUs of the fake host, each with a VMCS on a processor of tests/hw/apicv, whose every write by the backend is
 * recorded. A test may look at what an entry has prepared and play the processor itself, by the register page and by rig_exit(), or
 * let the model of the processor run: rig_run(), then apicv_guest_*(), then rig_take(). What is expected is the reference's.
 */
#ifndef TESTS_BACKEND_VMX_RIG_H
#define TESTS_BACKEND_VMX_RIG_H

#include <string.h>

#include "fake_host.h"

#include <vlapic/vmx_run.h>

#include "apicv.h"

#define RIG_CPUS 3
#define RIG_PAGE 4096u
#define RIG_RECORDS 64
#define RIG_NOTIFICATION 0xF2
#define RIG_WAKEUP 0xF3
#define RIG_EXTINT_VECTOR 0x2A
#define RIG_PID_ENTRIES 512u
#define RIG_APIC 0xFEE00000ull

struct rig;

/* Posted-interrupt descriptor: reference 10. */
struct rig_descriptor {
    uint64_t pir[4];
    uint64_t control;
    uint64_t unused[3];
};

struct rig_write {
    uint32_t field;
    uint64_t value;
};

/* What the backend asked the embedder for. */
struct rig_call {
    enum { RIG_NOTIFY = 1, RIG_BLOCKED, RIG_UNBLOCKED } kind;
    uint32_t apic_id;
    uint8_t vector;
    struct rig_descriptor seen; /* the descriptor at that moment */
};

struct rig_cpu {
    struct rig *rig;
    struct vlapic_cpu *cpu;
    uint32_t *page;
    struct rig_descriptor *descriptor;
    uint8_t *bitmap;

    struct apicv_cpu core;
    struct apicv_vmcs vmcs, other_vmcs;
    uint32_t physical; /* APIC ID of the physical CPU that it is loaded on */
    bool loaded;
    uint64_t mapped; /* where EPT has the APIC-access page; 0: nowhere */

    struct vlapic_poll duty; /* of the last poll */
    struct vlapic_vmx_entry entry;
    uint32_t length; /* of the last exit */
    uint64_t reg[18];
    uint8_t code[16];
    size_t code_bytes;

    unsigned writes, calls;
    struct rig_write write[RIG_RECORDS];
    struct rig_call call[RIG_RECORDS];
    unsigned acknowledged; /* INTA cycles */
};

struct rig {
    struct fake_vm fake; /* settings: fake.config, fake.ops; eoi_notify is NULL unless a test sets it */
    struct apicv_caps caps;
    struct apicv_host host;
    struct vlapic_vmx_config vmx;
    struct vlapic_vmx_ops ops;
    struct vlapic_decode_ops guest;
    struct rig_cpu cpu[RIG_CPUS];
    unsigned count;
    const uint32_t *ids;                  /* APIC IDs; NULL: 0, 1, ...; rig_prepare() clears it */
    void (*on_notify)(struct rig_cpu *c); /* in the place of the interrupt arriving */
    _Alignas(4096) uint8_t bitmaps[RIG_CPUS][RIG_PAGE];
    _Alignas(4096) uint8_t apic_access[RIG_PAGE];
    _Alignas(4096) uint64_t pid_table[RIG_PID_ENTRIES];
};

/* Sapphire Rapids with these features, all of the embedder's part; then the test changes settings. */
void rig_prepare(struct rig *r, uint32_t features);
/* The VM with vCPUs 0, 1, ...: RESET, running, software-enabled, loaded on physical CPUs 16, 17, ...; nothing recorded. */
void rig_start(struct rig *r, unsigned count, bool x2apic);
void rig_stop(struct rig *r);
/* prepare and start with one vCPU. */
struct rig_cpu *rig_one(struct rig *r, uint32_t features, bool x2apic);
/* For teardowns: also after a failed test. */
void rig_clean(struct rig *r);

void rig_forget(struct rig_cpu *c);
void rig_load(struct rig_cpu *c, uint32_t physical);
void rig_put(struct rig_cpu *c);

/* ---- the VMCS ---- */
uint64_t rig_get(struct rig_cpu *c, uint32_t field);
void rig_set(struct rig_cpu *c, uint32_t field, uint64_t value);
unsigned rig_wrote(const struct rig_cpu *c, uint32_t field); /* how often, since rig_forget() */
/* A new VMCS in the place of the old one, with the embedder's own controls; the backend is not told. */
void rig_new_vmcs(struct rig_cpu *c);
bool rig_eoi_exits(struct rig_cpu *c, uint8_t vector);

/* ---- the page ---- */
uint32_t rig_page(const struct rig_cpu *c, uint32_t offset);
void rig_page_put(struct rig_cpu *c, uint32_t offset, uint32_t value);
bool rig_page_has(const struct rig_cpu *c, uint32_t base, uint8_t vector);
void rig_page_flip(struct rig_cpu *c, uint32_t base, uint8_t vector);

/* ---- descriptor ---- */
bool rig_posted(const struct rig_cpu *c, uint8_t vector);
bool rig_on(const struct rig_cpu *c);
bool rig_sn(const struct rig_cpu *c);
uint8_t rig_nv(const struct rig_cpu *c);
uint32_t rig_ndst(const struct rig_cpu *c);
/* As a device posts by VT-d: ON is left alone while SN is set. */
void rig_device_posts(struct rig_cpu *c, uint8_t vector);

/* ---- entry ---- */
struct vlapic_vmx_guest rig_guest(bool interrupts);
/* Polls and prepares an entry; false if vlapic_vmx_enter() says so. */
bool rig_try(struct rig_cpu *c, const struct vlapic_vmx_guest *guest);
/* The same, which has to come to an entry after some polls. */
void rig_enter(struct rig_cpu *c, const struct vlapic_vmx_guest *guest);
void rig_enter_open(struct rig_cpu *c); /* a guest with IF = 1 and nothing else */
/* The processor enters: no check may fail. */
struct apicv_result rig_run(struct rig_cpu *c);
/* rig_enter_open(), then rig_run(), which has to end in the guest. */
void rig_go(struct rig_cpu *c);

/* ---- exit ---- */
enum vlapic_vmx_result rig_exit_full(struct rig_cpu *c, const struct vlapic_vmx_exit *exit);
enum vlapic_vmx_result rig_exit(struct rig_cpu *c, uint32_t reason, uint64_t qualification);
/* One that is nobody's business: an external interrupt. */
void rig_exit_plain(struct rig_cpu *c);
/* What the processor's model came out with. */
enum vlapic_vmx_result rig_take(struct rig_cpu *c, const struct apicv_result *r);
/* The same for an exit that must be this one. */
enum vlapic_vmx_result rig_take_reason(struct rig_cpu *c, struct apicv_result r, uint32_t reason);
/* Out of the guest, by an interrupt of the host's. */
void rig_kick_out(struct rig_cpu *c);

/* ---- the model of the library ---- */
/* Pending, by a post; the vCPU is in the host. */
void rig_pend(struct rig_cpu *c, uint8_t vector, bool level);
/* In service, without the backend. */
void rig_serve(struct rig_cpu *c, uint8_t vector, bool level);

#endif
