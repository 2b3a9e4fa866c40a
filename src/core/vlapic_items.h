/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a vCPU's state, or a VM's settings, are made of: numbered items, whose values are in a struct of the embedder's, in a
 * snapshot's bytes, or in the vCPU itself. Whoever reads them asks a source and need not know which, so nothing is ever copied as a
 * whole and no function has a frame for all of it.
 */
#ifndef VLAPIC_ITEMS_H
#define VLAPIC_ITEMS_H

#include "vlapic_model.h"

struct vlapic_item {
    uint16_t tag;    /* in a snapshot */
    uint16_t offset; /* of the member, in the struct */
    uint8_t width;   /* of one element: 1, 4 or 8 bytes, in memory as in a snapshot */
    uint8_t count;   /* of elements */
    const char *name;
};

/* One line of a table: the member's name is the item's. */
#define VLAPIC_ITEM(tag_, type, member, elements)                                                                      \
    {                                                                                                                  \
        .tag = (tag_), .offset = (uint16_t)offsetof(type, member),                                                     \
        .width = (uint8_t)(sizeof(((type *)0)->member) / (elements)), .count = (elements), .name = #member             \
    }

#define VLAPIC_ITEMS_MAX 26u

enum vlapic_item_kind { VLAPIC_ITEMS_OF_CPU = 1, VLAPIC_ITEMS_OF_VM = 2 }; /* as in a snapshot */

struct vlapic_item_table {
    enum vlapic_item_kind kind;
    uint32_t count; /* at most VLAPIC_ITEMS_MAX */
    const struct vlapic_item *items;
};

/* Where values are. `value` tells one element of an item, which is given by its place in the table. */
struct vlapic_values {
    uint64_t (*value)(const struct vlapic_values *values, uint32_t item, uint32_t index);
    const struct vlapic_item_table *table;
    union {
        const void *object;
        struct vlapic_cpu *cpu;
        const struct vlapic_snapshot_view *view;
    };
};

/* --- vlapic_items.c: members of a struct ------------------------------------------------------------------------------------ */
struct vlapic_values vlapic_core_values_of_struct(const struct vlapic_item_table *table, const void *object);
void vlapic_core_item_store(const struct vlapic_item *item, void *object, uint32_t index, uint64_t value);

/* --- vlapic_state.c: struct vlapic_cpu_state -------------------------------------------------------------------------------- */
/* The places of its members in vlapic_core_state_items. */
enum vlapic_state_item {
    VLAPIC_STATE_APIC_ID,
    VLAPIC_STATE_APIC_BASE,
    VLAPIC_STATE_XAPIC_ID,
    VLAPIC_STATE_TPR,
    VLAPIC_STATE_LDR,
    VLAPIC_STATE_DFR,
    VLAPIC_STATE_SVR,
    VLAPIC_STATE_ESR,
    VLAPIC_STATE_ESR_PENDING,
    VLAPIC_STATE_ICR,
    VLAPIC_STATE_LVT,
    VLAPIC_STATE_LVT_EXT,
    VLAPIC_STATE_ISR,
    VLAPIC_STATE_TMR,
    VLAPIC_STATE_IRR,
    VLAPIC_STATE_IER,
    VLAPIC_STATE_EXT_CONTROL,
    VLAPIC_STATE_INITIAL_COUNT,
    VLAPIC_STATE_DIVIDE_CONFIG,
    VLAPIC_STATE_TIMER_RUNNING,
    VLAPIC_STATE_TIMER_REMAINING,
    VLAPIC_STATE_TIMER_PHASE,
    VLAPIC_STATE_TSC_DEADLINE,
    VLAPIC_STATE_TIME_NS,
    VLAPIC_STATE_EVENTS,
    VLAPIC_STATE_SIPI_VECTOR,
    VLAPIC_STATE_ITEMS
};

extern const struct vlapic_item_table vlapic_core_state_items;
/* The register that an item is, if it is one and nothing else; otherwise 0. */
extern const uint16_t vlapic_core_state_registers[VLAPIC_STATE_ITEMS];
/* Settles the vCPU, whose values then stand still for the owner. */
struct vlapic_values vlapic_core_state_read(struct vlapic_cpu *cpu);
/* vlapic_state_set.c: vlapic_cpu_set_state() from anywhere; `fault` receives the place of the first item found wrong, VLAPIC_STATE_ITEMS if it is none. */
enum vlapic_status vlapic_core_state_replace(struct vlapic_cpu *cpu, const struct vlapic_values *values,
                                             enum vlapic_time time, uint32_t *fault);

/* --- vlapic_snapshot.c: the codec, which knows no APIC ----------------------------------------------------------------------- */
/* A snapshot whose form has been found good. */
struct vlapic_snapshot_view {
    const struct vlapic_item_table *table;
    const uint8_t *bytes;
    uint32_t places[VLAPIC_ITEMS_MAX]; /* where each item's value begins; 0: not met */
};

enum vlapic_status vlapic_core_snapshot_encode(const struct vlapic_values *values, uint8_t *bytes, size_t size,
                                               size_t *length);
/* Fills `view`, which the bytes must outlive; on failure `error`, if not NULL. */
enum vlapic_status vlapic_core_snapshot_view(struct vlapic_snapshot_view *view, const struct vlapic_item_table *table,
                                             const uint8_t *bytes, size_t size, struct vlapic_snapshot_error *error);
struct vlapic_values vlapic_core_values_of_snapshot(const struct vlapic_snapshot_view *view);
/* Fills `error`, if not NULL, for an item whose form is good but not its value. */
void vlapic_core_snapshot_blame(const struct vlapic_snapshot_view *view, uint32_t item,
                                struct vlapic_snapshot_error *error);

#endif
