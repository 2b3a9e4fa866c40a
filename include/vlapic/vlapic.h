/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * \file
 * Everything, for embedders who do not want to choose.
 */
#ifndef VLAPIC_VLAPIC_H
#define VLAPIC_VLAPIC_H

#include "access.h"
#include "backend.h"
#include "cpu.h"
#include "decode.h"
#include "event.h"
#include "host.h"
#include "icr.h"
#include "platform.h"
#include "registers.h"
#include "run.h"
#include "snapshot.h"
#include "startup.h"
#include "state.h"
#include "status.h"
#include "trap.h"
#include "vm.h"

/** Version of the library. */
#define VLAPIC_VERSION_MAJOR 0
#define VLAPIC_VERSION_MINOR 1
#define VLAPIC_VERSION_PATCH 0

#endif
