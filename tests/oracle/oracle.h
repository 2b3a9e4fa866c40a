/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The oracle: a second model of the local APIC and its bus, slow and obvious, for comparison with the library. It shares
 * nothing with it, not even a header. Written from the project's register reference; the numbers behind "reference" in the
 * sources are its sections. Nothing that follows from other state is stored; everything that counts receivers walks them.
 *
 * Two things are the library's to define, and taken from its headers (run.h, vlapic_cpu_poll()):
 *   - What others send waits until the owner looks, and is then taken in a fixed order (oracle_arrival.c).
 *   - An expiry takes place when the owner looks at the clock: after oracle_rang(), and when the guest reads a running count, writes the
 *     initial count, another divisor or LVT timer, touches IA32_TSC_DEADLINE in its mode, or disables the APIC by SVR. The clocks are the
 *     driver's to move: oracle.now_ns and oracle_apic.tsc.
 */
#ifndef TESTS_ORACLE_H
#define TESTS_ORACLE_H

#include <stdbool.h>
#include <stdint.h>

#define ORACLE_APICS 4

enum oracle_result { ORACLE_DONE, ORACLE_GP, ORACLE_NOT_MINE };

/* Reference 9: delivery modes. */
enum oracle_mode {
    ORACLE_FIXED,
    ORACLE_LOWEST,
    ORACLE_SMI,
    ORACLE_REMOTE_READ,
    ORACLE_NMI,
    ORACLE_INIT,
    ORACLE_SIPI,
    ORACLE_EXTINT
};

/* Reference 6.2 and 13: LVT entries, extended ones behind them. */
enum oracle_entry {
    ORACLE_TIMER,
    ORACLE_THERMAL,
    ORACLE_PERF,
    ORACLE_LINT0,
    ORACLE_LINT1,
    ORACLE_ERROR,
    ORACLE_CMCI,
    ORACLE_EXT0 = 8,
    ORACLE_ENTRIES = 16
};

/* Reference 14.2: LVT timer bits 18:17. */
enum oracle_timer_mode { ORACLE_ONE_SHOT, ORACLE_PERIODIC, ORACLE_DEADLINE, ORACLE_TIMER_RESERVED };

/* The options that the reference names; all false is its defaults, but for what has no such default. */
struct oracle_options {
    bool amd;                            /* vendor */
    bool strict;                         /* icr_policy */
    bool svr_bit9_faults;                /* svr_bit9_x2apic = fault */
    bool lowprio_x2apic;                 /* on */
    bool msi_ff_not_broadcast;           /* msi_ff_broadcast = off */
    bool dest_alias;                     /* on */
    bool id_writable;                    /* on */
    bool narrow_write_merge;             /* narrow_write = merge */
    bool deadline;                       /* CPUID.01h:ECX[24] */
    bool x2apic;                         /* CPUID.01h:ECX[21] */
    bool eoi_suppression;                /* version[24] */
    bool ext_space;                      /* version[31] */
    bool ext_ier, ext_seoi, ext_8bit_id; /* 400h bits 0, 1, 2 */
    unsigned ext_lvts;                   /* 400h bits 23:16 */
    unsigned version;                    /* 030h bits 7:0 */
    unsigned max_lvt;                    /* 030h bits 23:16: 5 or 6 */
    unsigned phys_bits;                  /* physical-address width */
    uint64_t timer_hz;                   /* input clock of the timer */
    bool rebase;                         /* missed periods start a new grid */
    bool msi_ext_dest;                   /* 17: address bits 11:5 are destination bits 14:8 */
    bool msi_dest32;                     /* 17: upper address bits 31:8 are destination bits 31:8 */
    bool base_fixed;                     /* the window cannot be moved */
    bool x2apic_locked;                  /* 2.1: leaving x2APIC mode is #GP */
};

struct oracle_lvt {
    uint8_t vector;
    enum oracle_mode mode;
    bool polarity, remote_irr, level, masked;
    enum oracle_timer_mode timer_mode; /* of the timer entry */
};

/* What has come and was not looked at yet. */
struct oracle_arrived {
    unsigned vectors; /* different ones, with the trigger mode of the last message */
    uint8_t vector[256];
    bool level[256];
    bool bad_vector;
    bool init, sipi, nmi, smi, extint;
    uint8_t sipi_vector;
    bool rise[2];
    bool event[ORACLE_ENTRIES];
    bool rang;
};

struct oracle;

struct oracle_apic {
    struct oracle *bus;
    bool attached;
    uint32_t id32;
    bool made_bsp;

    /* 2: IA32_APIC_BASE */
    bool bsp, extd, en;
    uint64_t base;

    /* 6, 7, 8 */
    uint8_t xapic_id;
    uint8_t tpr;
    uint8_t ldr; /* bits 31:24 of the xAPIC register */
    uint8_t dfr; /* bits 31:28 */
    uint8_t spurious;
    bool software_enabled, focus_disable, suppress_eoi;

    /* 10 */
    bool irr[256], isr[256], tmr[256];

    /* 15 */
    bool esr_visible[8], esr_pending[8];

    /* 11 */
    uint32_t icr_low, icr_high;

    /* 13 */
    struct oracle_lvt lvt[ORACLE_ENTRIES];
    bool line[2];

    /* 14. One unit of `due` is a billionth of an input clock: nanoseconds times hertz. */
    uint32_t initial_count;
    bool dcr[4];
    bool counting;
    unsigned __int128 due;
    uint64_t deadline;
    uint64_t tsc;

    /* 19.4 */
    bool ier[256];
    bool ext_control[3];

    /* 18: latched for the core */
    bool init, sipi, nmi, smi, extint;
    uint8_t sipi_vector;
    bool waits_for_sipi;
    bool init_reported; /* collected by the core, not yet taken */

    struct oracle_arrived arrived;
};

/* What the bus tells the machine around it. A member may be NULL. */
struct oracle_hooks {
    void (*eoi_notify)(struct oracle_apic *apic, uint8_t vector, bool level);
    void (*eoi_broadcast)(struct oracle *bus, uint8_t vector);
    void (*base_changed)(struct oracle_apic *apic, uint64_t from, uint64_t to);
    uint32_t (*choose_lowest)(struct oracle *bus, uint8_t vector, uint32_t count);
};

struct oracle {
    struct oracle_options options;
    struct oracle_hooks hooks;
    uint64_t now_ns;
    unsigned count;
    struct oracle_apic apic[ORACLE_APICS];
};

struct oracle_duty {
    bool init, sipi, nmi, smi, extint_message, extint, wait_for_sipi;
    uint8_t sipi_vector;
    int vector;
};

/* A message from outside (17), already decoded. */
struct oracle_message {
    uint32_t destination;
    enum oracle_mode mode;
    uint8_t vector;
    bool logical, level, deassert, redirection_hint;
};

/* ---- set-up: an APIC in the RESET state, not attached ---- */
void oracle_make(struct oracle *bus, unsigned index, uint32_t id32, bool bsp);

/* ---- the guest (owner) ---- */
enum oracle_result oracle_mmio_read(struct oracle_apic *a, uint32_t offset, uint32_t length, uint64_t *value);
enum oracle_result oracle_mmio_write(struct oracle_apic *a, uint32_t offset, uint32_t length, uint64_t value);
enum oracle_result oracle_msr_read(struct oracle_apic *a, uint32_t msr, uint64_t *value);
enum oracle_result oracle_msr_write(struct oracle_apic *a, uint32_t msr, uint64_t value);
uint64_t oracle_cr8_read(struct oracle_apic *a);
enum oracle_result oracle_cr8_write(struct oracle_apic *a, uint64_t value);

/* ---- the core (owner) ---- */
void oracle_look(struct oracle_apic *a);
void oracle_look_at_clock(struct oracle_apic *a);
void oracle_poll(struct oracle_apic *a, struct oracle_duty *duty);
bool oracle_take(struct oracle_apic *a, uint8_t vector);
bool oracle_give_back(struct oracle_apic *a, uint8_t vector);
bool oracle_acknowledge(struct oracle_apic *a, uint8_t *vector);
void oracle_reset(struct oracle_apic *a);
void oracle_take_init(struct oracle_apic *a);
void oracle_drop_init(struct oracle_apic *a);

/* ---- the bus, pins and local events (anyone) ---- */
enum oracle_result oracle_msi(struct oracle *bus, uint64_t address, uint32_t data, uint32_t *accepted);
uint32_t oracle_deliver(struct oracle *bus, const struct oracle_message *message);
bool oracle_post(struct oracle_apic *a, uint8_t vector, bool level);
void oracle_pin(struct oracle_apic *a, unsigned pin, bool asserted);
void oracle_lvt_event(struct oracle_apic *a, enum oracle_entry entry);
void oracle_lvt_event_all(struct oracle *bus, enum oracle_entry entry);
void oracle_rang(struct oracle_apic *a);

/* ---- pieces, which the tests of the oracle look at ---- */

/* 2: IA32_APIC_BASE (oracle_base.c) */
uint64_t oracle_base_read(const struct oracle_apic *a);
enum oracle_result oracle_base_write(struct oracle_apic *a, uint64_t value);
bool oracle_in_xapic(const struct oracle_apic *a);
bool oracle_in_x2apic(const struct oracle_apic *a);

/* 3: reset values (oracle_reset.c) */
void oracle_reset_registers(struct oracle_apic *a);

/* 1, 4, 5: one register (oracle_registers.c) */
bool oracle_register_exists(const struct oracle_apic *a, uint32_t offset);
uint32_t oracle_register_read(struct oracle_apic *a, uint32_t offset);
void oracle_register_write(struct oracle_apic *a, uint32_t offset, uint32_t value);

/* 6, 7 (oracle_identity.c) */
uint32_t oracle_id(const struct oracle_apic *a);
uint32_t oracle_version(const struct oracle_apic *a);
uint32_t oracle_ldr(const struct oracle_apic *a);
uint32_t oracle_svr_read(const struct oracle_apic *a);
void oracle_svr_write(struct oracle_apic *a, uint32_t value);

/* 8, 10 (oracle_priority.c) */
int oracle_highest(const struct oracle_apic *a, const bool vectors[256]);
uint8_t oracle_ppr(const struct oracle_apic *a);
int oracle_dispatchable(const struct oracle_apic *a);
void oracle_eoi(struct oracle_apic *a);
void oracle_seoi(struct oracle_apic *a, uint8_t vector);

/* 9, 12 (oracle_message.c, oracle_match.c) */
enum oracle_source { ORACLE_FROM_XAPIC, ORACLE_FROM_X2APIC, ORACLE_FROM_OUTSIDE };
bool oracle_accept(struct oracle_apic *a, uint8_t vector, bool level);
void oracle_latch(struct oracle_apic *a, enum oracle_mode mode, uint8_t vector);
bool oracle_receive(struct oracle_apic *a, enum oracle_mode mode, uint8_t vector, bool level);
uint32_t oracle_receive_all(struct oracle *bus, const bool targets[ORACLE_APICS], enum oracle_mode mode, uint8_t vector,
                            bool level);
void oracle_arbitrate(struct oracle *bus, bool targets[ORACLE_APICS], uint8_t vector);
bool oracle_match(const struct oracle_apic *r, enum oracle_source source, uint32_t dest, bool logical);

/* 11 (oracle_icr.c) */
void oracle_icr_send(struct oracle_apic *a);
void oracle_self_ipi(struct oracle_apic *a, uint8_t vector);

/* 13 (oracle_lvt.c) */
bool oracle_lvt_exists(const struct oracle_apic *a, enum oracle_entry entry);
uint32_t oracle_lvt_read(const struct oracle_apic *a, enum oracle_entry entry);
void oracle_lvt_write(struct oracle_apic *a, enum oracle_entry entry, uint32_t value);
void oracle_lint0_sample(struct oracle_apic *a);
void oracle_lint_rise(struct oracle_apic *a, unsigned pin);
void oracle_lvt_signal(struct oracle_apic *a, enum oracle_entry entry);

/* 14 (oracle_timer.c) */
unsigned oracle_divisor(const struct oracle_apic *a);
uint64_t oracle_clocks_left(const struct oracle_apic *a);
uint64_t oracle_clock_phase(const struct oracle_apic *a);
uint32_t oracle_current_count(struct oracle_apic *a);
uint32_t oracle_initial_count_read(const struct oracle_apic *a);
void oracle_initial_count_write(struct oracle_apic *a, uint32_t value);
uint32_t oracle_dcr_read(const struct oracle_apic *a);
void oracle_dcr_write(struct oracle_apic *a, uint32_t value);
uint64_t oracle_deadline_read(struct oracle_apic *a);
void oracle_deadline_write(struct oracle_apic *a, uint64_t value);
void oracle_timer_mode_change(struct oracle_apic *a, enum oracle_timer_mode from, enum oracle_timer_mode to);

/* 15 (oracle_esr.c) */
void oracle_error(struct oracle_apic *a, unsigned bit);
uint32_t oracle_esr_read(const struct oracle_apic *a);
void oracle_esr_write(struct oracle_apic *a);

#endif
