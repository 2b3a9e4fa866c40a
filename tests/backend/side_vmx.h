/* SPDX-License-Identifier: BSD-2-Clause */
/* The vmx side's processors, for tests that look behind them. */
#ifndef TESTS_BACKEND_SIDE_VMX_H
#define TESTS_BACKEND_SIDE_VMX_H

#include <vlapic/vmx.h>

#include "apicv.h"

/* Settings for a processor with these capabilities: everything that it has. */
struct vlapic_vmx_config side_vmx_config(const struct apicv_caps *caps);

#endif
