/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * \file
 * The access decoder: which instruction did the guest touch its APIC page with, and how is it finished? For hosts whose exit (APIC
 * access, EPT violation, nested page fault) tells an address and a direction, but not the data. Optional at link time; without
 * state; independent of the rest of the library. An embedder's handler of such an exit:
 *
 *     uint8_t bytes[VLAPIC_DECODE_MAX_LENGTH];
 *     size_t count = fetch(vcpu, bytes, sizeof(bytes));         // from CS:RIP, as many as can be had
 *     struct vlapic_decode_insn insn;
 *     enum vlapic_decode_status status = vlapic_decode_parse(code_size(vcpu), bytes, count, &insn);
 *
 *     if (status == VLAPIC_DECODE_DONE) {
 *         status = vlapic_decode_execute(&insn, &ops, vcpu, gpa, is_write);
 *     }
 *     switch (status) {
 *     case VLAPIC_DECODE_DONE: vcpu->rip += insn.length; return RESUME;
 *     case VLAPIC_DECODE_AGAIN:                                 // a REP goes on: the next iteration exits by itself
 *     case VLAPIC_DECODE_FAULT:                                 // a callback of ours has injected the fault
 *     case VLAPIC_DECODE_MISMATCH: return RESUME;               // the code has changed meanwhile: let it run
 *     default: return give_up(vcpu);                            // or single-step it against a page of plain memory
 *     }
 *
 * where `ops.apic_read` and `ops.apic_write` come down to vlapic_cpu_mmio_read() and vlapic_cpu_mmio_write(). All else that ends an
 * instruction is the embedder's too: interrupt shadow, RF, single-step trap.
 *
 * Decoded are, with a memory operand, in 16-, 32- and 64-bit code: MOV (88..8B, A0..A3, C6, C7), MOVZX, MOVSX, MOVSXD, XCHG, ADD,
 * OR, ADC, SBB, AND, SUB, XOR, CMP, TEST, NOT, NEG, INC, DEC, BT, BTS, BTR, BTC; and MOVS, STOS, LODS, SCAS, with or without REP.
 * Everything else is unsupported, and so is what the processor answers with #UD or #GP (LOCK where it is not allowed, more than
 * 15 bytes) and 66 63 /r, of which Intel and AMD read different widths.
 *
 * Results and status flags are exactly the processor's; other bits of RFLAGS stay. Of the flags that the manuals leave undefined,
 * AF is cleared by AND, OR, XOR and TEST, and the BT family changes nothing but CF.
 */
#ifndef VLAPIC_DECODE_H
#define VLAPIC_DECODE_H

#include "platform.h"

VLAPIC_BEGIN_DECLS

/** No instruction is longer. */
#define VLAPIC_DECODE_MAX_LENGTH 15u
/** Version of struct vlapic_decode_ops. */
#define VLAPIC_DECODE_ABI 1u

/** Numbers of registers beside 0..15, which are RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8..R15. */
#define VLAPIC_DECODE_RIP 16u
#define VLAPIC_DECODE_RFLAGS 17u
#define VLAPIC_DECODE_NO_REGISTER 255u

/** Bits of vlapic_decode_insn.access. */
#define VLAPIC_DECODE_READ (1u << 0)
#define VLAPIC_DECODE_WRITE (1u << 1)

/** What came of decoding or executing. Nothing was changed but with DONE and AGAIN. */
enum vlapic_decode_status {
    /** Decoded; or executed, and RIP is to be advanced by vlapic_decode_insn.length. */
    VLAPIC_DECODE_DONE = 0,
    /** One iteration of a REP was executed and there are more: RIP stays. */
    VLAPIC_DECODE_AGAIN = 1,
    /** The instruction goes on behind the bytes given, which were fewer than 15. */
    VLAPIC_DECODE_TRUNCATED = 2,
    /** Not one of those above; or an access that leaves the page; or MOVS without callbacks for memory. */
    VLAPIC_DECODE_UNSUPPORTED = 3,
    /** A callback returned false. */
    VLAPIC_DECODE_FAULT = 4,
    /** The exit does not fit the instruction: another direction or page offset. */
    VLAPIC_DECODE_MISMATCH = 5,
    /** The embedder's mistake: a callback that must be there is missing, `size`, `abi` or mode wrong, or nothing was decoded. */
    VLAPIC_DECODE_INVALID = 6
};

/** Size of the code segment: CS.L chooses 64, else CS.D chooses 32; real and virtual-8086 mode are 16. */
enum vlapic_decode_mode { VLAPIC_DECODE_MODE_16 = 0, VLAPIC_DECODE_MODE_32 = 1, VLAPIC_DECODE_MODE_64 = 2 };

/** Segment registers, numbered as the processor does. */
enum vlapic_decode_segment {
    VLAPIC_DECODE_ES = 0,
    VLAPIC_DECODE_CS = 1,
    VLAPIC_DECODE_SS = 2,
    VLAPIC_DECODE_DS = 3,
    VLAPIC_DECODE_FS = 4,
    VLAPIC_DECODE_GS = 5
};

/** What is done. MOVSXD is MOVSX. */
enum vlapic_decode_operation {
    VLAPIC_DECODE_OP_NONE = 0,
    VLAPIC_DECODE_OP_ADD = 1,
    VLAPIC_DECODE_OP_OR = 2,
    VLAPIC_DECODE_OP_ADC = 3,
    VLAPIC_DECODE_OP_SBB = 4,
    VLAPIC_DECODE_OP_AND = 5,
    VLAPIC_DECODE_OP_SUB = 6,
    VLAPIC_DECODE_OP_XOR = 7,
    VLAPIC_DECODE_OP_CMP = 8,
    VLAPIC_DECODE_OP_TEST = 9,
    VLAPIC_DECODE_OP_NOT = 10,
    VLAPIC_DECODE_OP_NEG = 11,
    VLAPIC_DECODE_OP_INC = 12,
    VLAPIC_DECODE_OP_DEC = 13,
    VLAPIC_DECODE_OP_BT = 14,
    VLAPIC_DECODE_OP_BTS = 15,
    VLAPIC_DECODE_OP_BTR = 16,
    VLAPIC_DECODE_OP_BTC = 17,
    VLAPIC_DECODE_OP_XCHG = 18,
    VLAPIC_DECODE_OP_MOV = 19,
    VLAPIC_DECODE_OP_MOVZX = 20,
    VLAPIC_DECODE_OP_MOVSX = 21,
    VLAPIC_DECODE_OP_MOVS = 22,
    VLAPIC_DECODE_OP_STOS = 23,
    VLAPIC_DECODE_OP_LODS = 24,
    VLAPIC_DECODE_OP_SCAS = 25
};

/** The operand that is not memory. */
enum vlapic_decode_other {
    VLAPIC_DECODE_OTHER_NONE = 0, /**< NOT, NEG, INC, DEC; MOVS, whose other operand is memory, too */
    VLAPIC_DECODE_OTHER_REGISTER = 1,
    VLAPIC_DECODE_OTHER_IMMEDIATE = 2
};

/** Prefix F3 or F2 of a string instruction. F2 counts as REP for MOVS, STOS and LODS. */
enum vlapic_decode_repeat { VLAPIC_DECODE_ONCE = 0, VLAPIC_DECODE_REPE = 1, VLAPIC_DECODE_REPNE = 2 };

/** A decoded instruction. Only vlapic_decode_parse() makes one. */
struct vlapic_decode_insn {
    enum vlapic_decode_mode mode;
    enum vlapic_decode_operation operation;
    enum vlapic_decode_other other;
    enum vlapic_decode_repeat repeat;
    enum vlapic_decode_segment segment; /**< of the memory operand; of MOVS's source */
    uint8_t length;                     /**< bytes, 1..15; 0: not decoded */
    uint8_t
        access; /**< VLAPIC_DECODE_READ, _WRITE, or both: read-modify-write, or MOVS, which reads here and writes there */
    uint8_t width;         /**< of the memory operand, bytes: 1, 2, 4 or 8 */
    uint8_t other_width;   /**< of the other operand, bytes: more than `width` for MOVZX and MOVSX alone */
    uint8_t reg;           /**< the register operand, 0..15; VLAPIC_DECODE_NO_REGISTER without one */
    uint8_t address_width; /**< bytes: 2, 4 or 8; a REP counts in CX, ECX or RCX by it */
    uint8_t base;          /**< 0..15, VLAPIC_DECODE_RIP or VLAPIC_DECODE_NO_REGISTER */
    uint8_t index;         /**< 0..15 or VLAPIC_DECODE_NO_REGISTER */
    uint8_t scale;         /**< the index is shifted left by this, 0..3 */
    bool high_byte;        /**< AH, CH, DH or BH: bits 15:8 of `reg` */
    bool memory_first;     /**< memory is the first operand in Intel's order, mostly the destination */
    bool lock;             /**< LOCK prefix; XCHG locks without it */
    uint64_t displacement; /**< sign-extended */
    uint64_t immediate;    /**< sign-extended */
};

/** Where an operand lies. */
struct vlapic_decode_address {
    uint64_t effective; /**< offset in the segment, cut to the address size */
    uint64_t
        linear; /**< segment base + effective, 32 bits outside 64-bit code; translating and checking it is the caller's */
    enum vlapic_decode_segment segment;
};

/** The guest's registers and memory. Callbacks run in the calling thread, inside vlapic_decode_execute() or _address(). */
struct vlapic_decode_ops {
    /** sizeof(struct vlapic_decode_ops) as the embedder compiled it: members beyond it count as NULL. */
    uint32_t size;
    /** VLAPIC_DECODE_ABI. */
    uint32_t abi;

    /** All 64 bits of register 0..15, of RIP (of this instruction; asked in 64-bit code only) or of RFLAGS. Mandatory. */
    uint64_t (*read_register)(void *cookie, uint32_t reg);

    /** Replaces all 64 bits of register 0..15 or of RFLAGS; parts are merged already. Mandatory. */
    void (*write_register)(void *cookie, uint32_t reg, uint64_t value);

    /** Reads \p width bytes (1, 2, 4, 8) at \p offset (0..FFFh) of the APIC page; called at most once, and must have no side effect
     *  that repeating would show. False: the instruction cannot go on (VLAPIC_DECODE_FAULT). Mandatory. */
    bool (*apic_read)(void *cookie, uint32_t offset, uint32_t width, uint64_t *value);

    /** Writes \p width bytes; upper bits of \p value are zero. Called at most once. False: as apic_read. Mandatory. */
    bool (*apic_write)(void *cookie, uint32_t offset, uint32_t width, uint64_t value);

    /** Base of a segment; in 64-bit code asked for FS and GS only. NULL: all bases are 0. */
    uint64_t (*segment_base)(void *cookie, enum vlapic_decode_segment segment);

    /** Reads the source of a MOVS whose destination is the APIC page. An address that is on that page too is answered by what
     *  is there. False: the fault, which the callback injects, is the instruction's result. NULL: such a MOVS is unsupported. */
    bool (*memory_read)(void *cookie, const struct vlapic_decode_address *address, uint32_t width, uint64_t *value);

    /** Writes the destination of a MOVS whose source is the APIC page; all or nothing. False, NULL: as memory_read. */
    bool (*memory_write)(void *cookie, const struct vlapic_decode_address *address, uint32_t width, uint64_t value);
};

/**
 * Decodes one instruction. Of the same instruction, more bytes than it has give the same result, and fewer VLAPIC_DECODE_TRUNCATED.
 * \param mode   size of the code segment
 * \param bytes  the instruction from its first prefix on; never read beyond \p count or 15 bytes
 * \param count  how many bytes there are; the first 15 count
 * \param insn   receives the instruction; all zeros unless done
 * \return VLAPIC_DECODE_DONE, _TRUNCATED, _UNSUPPORTED, or _INVALID if there is no such mode
 * \ctx_any
 * \manual{Intel SDM 2A, "Instruction Format"; SDM 2, the instructions' pages}
 */
enum vlapic_decode_status vlapic_decode_parse(enum vlapic_decode_mode mode, const uint8_t *bytes, size_t count,
                                              struct vlapic_decode_insn *insn);

/**
 * Computes where the memory operand lies, from the registers as they are before the instruction. A BT, BTS, BTR or BTC whose bit
 * offset is in a register moves it by whole operands.
 * \param insn     the instruction
 * \param ops      read_register and segment_base are used
 * \param cookie   first argument of the callbacks
 * \param write    for MOVS: the destination instead of the source; does not matter for others
 * \param address  receives the place; untouched unless done
 * \return VLAPIC_DECODE_DONE or VLAPIC_DECODE_INVALID
 * \ctx_any
 * \manual{Intel SDM 1, "Specifying an Offset"; SDM 2A, "Addressing-Mode Encoding of ModR/M and SIB Bytes"}
 */
enum vlapic_decode_status vlapic_decode_address(const struct vlapic_decode_insn *insn,
                                                const struct vlapic_decode_ops *ops, void *cookie, bool write,
                                                struct vlapic_decode_address *address);

/**
 * Carries out the instruction, or one iteration of it under a REP. The exit must be one of the data access itself: not of a fetch,
 * a page walk or an event delivery. Reads come before writes, and registers and flags change last.
 * \param insn        the instruction
 * \param ops         the guest
 * \param cookie      first argument of the callbacks
 * \param guest_phys  the address that the exit tells; bits 11:0 are compared with the operand's, the others ignored
 * \param write       the exit tells a write; of a read-modify-write either is accepted, of MOVS it says which operand is the APIC's
 * \return VLAPIC_DECODE_DONE, _AGAIN, _UNSUPPORTED, _FAULT, _MISMATCH or _INVALID
 * \ctx_any
 * \manual{Intel SDM 2, the instructions' pages; SDM 3C, "Exit Qualification for APIC-Access VM Exits"}
 */
enum vlapic_decode_status vlapic_decode_execute(const struct vlapic_decode_insn *insn,
                                                const struct vlapic_decode_ops *ops, void *cookie, uint64_t guest_phys,
                                                bool write);

VLAPIC_END_DECLS

#endif
