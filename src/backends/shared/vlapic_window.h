/* SPDX-License-Identifier: BSD-2-Clause */
/* An exit tells that the guest touched its APIC's window, and nothing more: decode the instruction and carry it out on the model. */
#ifndef VLAPIC_BACKEND_WINDOW_H
#define VLAPIC_BACKEND_WINDOW_H

#include <vlapic/decode.h>
#include <vlapic/vlapic.h>

enum vlapic_window_result {
    VLAPIC_WINDOW_DONE,       /* RIP goes on by the length */
    VLAPIC_WINDOW_RESUME,     /* a REP goes on, a fault was injected, or the code has changed: let the guest run */
    VLAPIC_WINDOW_UNSUPPORTED /* not an instruction that the decoder knows */
};

/* What an exit tells of the access. */
enum vlapic_window_direction { VLAPIC_WINDOW_READ, VLAPIC_WINDOW_WRITE, VLAPIC_WINDOW_EITHER };

/* What the embedder supplies for it: see vlapic/vmx.h, vlapic/svm.h. */
struct vlapic_window_host {
    size_t (*fetch)(void *cpu_cookie, uint8_t *bytes, size_t size, enum vlapic_decode_mode *mode);
    const struct vlapic_decode_ops *guest;
    uint32_t untold; /* bits of the address that the exit does not tell: the instruction does */
};

/* True if the address is in the window of an APIC in xAPIC mode. */
bool vlapic_window_has(struct vlapic_cpu *cpu, uint64_t guest_physical);

enum vlapic_window_result vlapic_window_access(struct vlapic_cpu *cpu, const struct vlapic_window_host *host,
                                               uint64_t guest_physical, enum vlapic_window_direction direction,
                                               uint32_t *length);

#endif
