/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * \file
 * Snapshot format 1: the state of a vCPU, or the configuration of a VM, as bytes that travel between versions and hosts.
 *
 * Layout: a 16-byte header (8 bytes magic, 16-bit version, 16-bit kind, 32-bit total length), then items: 16-bit tag, 16-bit flags, 32-bit
 * length, the value, no padding. All numbers are little-endian. Rule for tags that a reader does not know: flag bit 0 set, the
 * snapshot is refused (VLAPIC_BAD_VERSION); clear, the item is skipped. A tag that occurs twice, and a tag of version 1 that is
 * missing, are refused (VLAPIC_BAD_FORMAT). docs/SNAPSHOT.md lists the tags, and tells how to migrate.
 *
 * Snapshots are treated as hostile input: everything is checked before anything is changed.
 */
#ifndef VLAPIC_SNAPSHOT_H
#define VLAPIC_SNAPSHOT_H

#include "platform.h"
#include "state.h"
#include "status.h"

VLAPIC_BEGIN_DECLS

/** Version of the format. */
#define VLAPIC_SNAPSHOT_VERSION 1u
/** No snapshot of this version is larger, in bytes. */
#define VLAPIC_SNAPSHOT_MAX 1024u

/** Where an import stopped. */
struct vlapic_snapshot_error {
    const char *field; /**< name of the item or member at fault, a constant string; NULL if none */
    uint32_t tag;      /**< the item's tag, 0 if none */
    size_t offset;     /**< of the item, or of the format error, in the bytes */
};

/**
 * Writes a vCPU's state.
 * \param cpu     the vCPU
 * \param bytes   receives the snapshot
 * \param size    room; VLAPIC_SNAPSHOT_MAX is always enough
 * \param length  receives the length used, or needed
 * \return VLAPIC_OK, VLAPIC_INVALID, or VLAPIC_TOO_SMALL (\p bytes untouched)
 * \ctx_owner
 * \manual{Library}
 */
enum vlapic_status vlapic_snapshot_export_cpu(struct vlapic_cpu *cpu, uint8_t *bytes, size_t size, size_t *length);

/**
 * Replaces a vCPU's state by a snapshot's.
 * \param cpu    the vCPU
 * \param bytes  the snapshot, which nobody may write to meanwhile: what was checked is read again
 * \param size   its length
 * \param time   what became of the clock meanwhile
 * \param error  NULL, or receives what was wrong
 * \return VLAPIC_OK, VLAPIC_INVALID, VLAPIC_BAD_FORMAT, VLAPIC_BAD_VERSION, VLAPIC_BAD_VALUE or VLAPIC_MISMATCH. Unless OK nothing has changed
 * \ctx_owner
 * \manual{Library}
 */
enum vlapic_status vlapic_snapshot_import_cpu(struct vlapic_cpu *cpu, const uint8_t *bytes, size_t size,
                                              enum vlapic_time time, struct vlapic_snapshot_error *error);

/**
 * Writes what a guest can tell of its VM's configuration.
 * \param vm      the VM
 * \param bytes   receives the snapshot
 * \param size    room; VLAPIC_SNAPSHOT_MAX is always enough
 * \param length  receives the length used, or needed
 * \return VLAPIC_OK, VLAPIC_INVALID, or VLAPIC_TOO_SMALL (\p bytes untouched)
 * \ctx_any
 * \manual{Library}
 */
enum vlapic_status vlapic_snapshot_export_vm(const struct vlapic_vm *vm, uint8_t *bytes, size_t size, size_t *length);

/**
 * Checks that a VM is configured as the one that was saved. A VM has no other state: nothing is changed.
 * \param vm     the VM
 * \param bytes  the snapshot
 * \param size   its length
 * \param error  NULL, or receives what was wrong
 * \return VLAPIC_OK, VLAPIC_INVALID, VLAPIC_BAD_FORMAT, VLAPIC_BAD_VERSION, or VLAPIC_MISMATCH with the setting's name
 * \ctx_any
 * \manual{Library}
 */
enum vlapic_status vlapic_snapshot_import_vm(const struct vlapic_vm *vm, const uint8_t *bytes, size_t size,
                                             struct vlapic_snapshot_error *error);

VLAPIC_END_DECLS

#endif
