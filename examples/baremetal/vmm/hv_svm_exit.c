/* SPDX-License-Identifier: BSD-2-Clause */
/* What an exit means in the words of no vendor. Neither nRIP nor decode assists are asked for: not every processor has them. */
#include "hv_svm.h"

#define IO_IN (1u << 0)
#define IO_STRING (1u << 2)
#define IO_WIDTH_SHIFT 4
#define IO_PORT_SHIFT 16
#define FAULT_WRITE (1u << 1)

static void decode_io(struct vcpu *cpu)
{
    uint32_t information = (uint32_t)cpu->exit.qualification;

    HOST_MUST((information & IO_STRING) == 0); /* there are none in the contract */
    cpu->exit.kind = GUEST_EXIT_IO;
    cpu->exit.write = (information & IO_IN) == 0;
    cpu->exit.width = information >> IO_WIDTH_SHIFT & 7; /* one bit each for 1, 2 and 4 bytes */
    cpu->exit.port = (uint16_t)(information >> IO_PORT_SHIFT);
    cpu->exit.length = (uint32_t)(vmcb_get(cpu, VMCB_EXIT_INFO2) - cpu->regs.rip);
}

/* MOV to and from CR8 needs a REX prefix, and compilers write no other. */
static void decode_cr8(struct vcpu *cpu)
{
    uint8_t bytes[4];
    enum vlapic_decode_mode mode;

    if (vm_fetch(cpu, bytes, sizeof(bytes), &mode) == sizeof(bytes) && (bytes[0] & 0xF4) == 0x44 && bytes[1] == 0x0F) {
        cpu->exit.kind = GUEST_EXIT_CR8;
        cpu->exit.write = cpu->exit.reason == CODE_WRITE_CR8;
        cpu->exit.reg = (bytes[3] & 7) | (bytes[0] & 1) << 3;
        cpu->exit.length = sizeof(bytes);
    }
}

static void decode_memory(struct vcpu *cpu)
{
    cpu->exit.kind = GUEST_EXIT_MMIO;
    cpu->exit.write = (cpu->exit.qualification & FAULT_WRITE) != 0;
    cpu->exit.address = vmcb_get(cpu, VMCB_EXIT_INFO2);
}

void hv_svm_decode(struct vcpu *cpu)
{
    struct vcpu_exit *exit = &cpu->exit;

    /* The upper half of the code says nothing, and QEMU 7 does not write it. */
    exit->reason = hv_svm_right_code(vmcb_get32(cpu, VMCB_EXIT_CODE));
    exit->qualification = vmcb_get(cpu, VMCB_EXIT_INFO1);
    switch (exit->reason) {
    case CODE_READ_CR8:
    case CODE_WRITE_CR8:
        decode_cr8(cpu);
        break;
    case CODE_INTR:
    case CODE_NMI: /* still pending: the host takes it when GIF is set */
        exit->kind = GUEST_EXIT_INTERRUPT;
        break;
    case CODE_DB: /* these three come if they were asked for: the guest can take more than before */
    case CODE_VINTR:
    case CODE_IRET:
        exit->kind = GUEST_EXIT_WINDOW;
        break;
    case CODE_HLT:
        exit->kind = GUEST_EXIT_HLT;
        exit->length = 1;
        break;
    case CODE_IO:
        decode_io(cpu);
        break;
    case CODE_MSR:
        exit->kind = GUEST_EXIT_MSR;
        exit->write = (exit->qualification & 1) != 0;
        exit->length = 2;
        break;
    case CODE_NESTED_PAGE_FAULT:
        decode_memory(cpu);
        break;
    default:
        break; /* GUEST_EXIT_OTHER ends the payload; a refused VMRUN, whose code is -1, too */
    }
}
