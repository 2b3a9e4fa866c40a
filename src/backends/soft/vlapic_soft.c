/* SPDX-License-Identifier: BSD-2-Clause */
/* The software backend: no hardware carries a vector, mirrors a register or runs the guest, so the core does all of it. */
#include <vlapic/backend.h>

const struct vlapic_backend vlapic_backend_soft = {
    .abi = VLAPIC_BACKEND_ABI,
    .size = sizeof(struct vlapic_backend),
    .name = "soft",
};
