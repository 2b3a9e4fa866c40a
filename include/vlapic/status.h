/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * \file
 * The two kinds of result. A mistake of the embedder is an enum vlapic_status; what a guest gets for an access, however odd, is
 * an enum vlapic_access and never an error of ours.
 */
#ifndef VLAPIC_STATUS_H
#define VLAPIC_STATUS_H

#include "platform.h"

VLAPIC_BEGIN_DECLS

/** Result of a call by which the embedder sets something up. Every value but OK leaves all objects as they were. */
enum vlapic_status {
    VLAPIC_OK = 0,
    /** A pointer is NULL, a number out of its documented range, or a mandatory callback missing. */
    VLAPIC_INVALID = 1,
    /** The object's `size` or `abi` member names a version that this library does not know. */
    VLAPIC_BAD_ABI = 2,
    /** A buffer or memory block is smaller than asked for. */
    VLAPIC_TOO_SMALL = 3,
    /** A memory block or page is not aligned as asked for. */
    VLAPIC_MISALIGNED = 4,
    /** The APIC ID is in use by another vCPU of this VM. */
    VLAPIC_IN_USE = 5,
    /** Snapshot: not one of ours, cut short, or of the other kind (vCPU against VM). */
    VLAPIC_BAD_FORMAT = 6,
    /** Snapshot: a version, or a mandatory item, that this library does not know. */
    VLAPIC_BAD_VERSION = 7,
    /** Snapshot or state: a value that the architecture does not allow. */
    VLAPIC_BAD_VALUE = 8,
    /** Snapshot or state: legal, but not for the VM or vCPU that it is loaded into. */
    VLAPIC_MISMATCH = 9
};

/** What a guest's access comes to. */
enum vlapic_access {
    /** Carried out (which includes "ignored, as the architecture says"). */
    VLAPIC_ACCESS_DONE = 0,
    /** Inject #GP(0). Nothing was changed. */
    VLAPIC_ACCESS_GP = 1,
    /** The local APIC does not decode this address or MSR now: whatever else lives there answers. With nothing there,
     *  memory reads give all ones and writes are dropped. */
    VLAPIC_ACCESS_NOT_MINE = 2
};

VLAPIC_END_DECLS

#endif
