/* SPDX-License-Identifier: BSD-2-Clause */
/* The access decoder. Intel SDM 2A, "Instruction Format", and the pages of the instructions; SDM 1, "Status Flags". */
#include "fake_host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MODE_16 VLAPIC_DECODE_MODE_16
#define MODE_32 VLAPIC_DECODE_MODE_32
#define MODE_64 VLAPIC_DECODE_MODE_64
#define NONE VLAPIC_DECODE_NO_REGISTER
#define READ VLAPIC_DECODE_READ
#define WRITE VLAPIC_DECODE_WRITE
#define OP(name) VLAPIC_DECODE_OP_##name
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R12 = 12, R13 = 13, R15 = 15 };
enum { CF = 1, PF = 4, AF = 0x10, ZF = 0x40, SF = 0x80, DF = 0x400, OF = 0x800 };
#define STATUS (OF | SF | ZF | AF | PF | CF)

/* Bytes as text: "8b 00". They lie in a block of exactly their size, so that a sanitizer sees any read beyond. */
static size_t bytes_of(const char *text, uint8_t *bytes)
{
    size_t count = 0;

    for (char *end; *text != '\0'; text = end) {
        bytes[count++] = (uint8_t)strtoul(text, &end, 16);
    }
    return count;
}

static enum vlapic_decode_status parse_bytes(enum vlapic_decode_mode mode, const uint8_t *bytes, size_t count,
                                             struct vlapic_decode_insn *insn)
{
    uint8_t *exact = malloc(count + (count == 0));
    enum vlapic_decode_status status;

    memcpy(exact, bytes, count);
    status = vlapic_decode_parse(mode, exact, count, insn);
    free(exact);
    return status;
}

static enum vlapic_decode_status parse_text(enum vlapic_decode_mode mode, const char *text,
                                            struct vlapic_decode_insn *insn)
{
    uint8_t bytes[32];

    return parse_bytes(mode, bytes, bytes_of(text, bytes), insn);
}

static struct vlapic_decode_insn decoded(enum vlapic_decode_mode mode, const char *text)
{
    struct vlapic_decode_insn insn;

    if (parse_text(mode, text, &insn) != VLAPIC_DECODE_DONE) {
        fail_msg("%s is not decoded", text);
    }
    return insn;
}

static void assert_unsupported(enum vlapic_decode_mode mode, const char *text)
{
    static const struct vlapic_decode_insn nothing;
    struct vlapic_decode_insn insn;

    memset(&insn, 0xA5, sizeof(insn));
    if (parse_text(mode, text, &insn) != VLAPIC_DECODE_UNSUPPORTED) {
        fail_msg("%s is not refused", text);
    }
    assert_memory_equal(&insn, &nothing, sizeof(insn));
}

/* Decoding. */

struct form {
    const char *text;
    enum vlapic_decode_operation operation;
    uint8_t access, width, other_width, reg;
    bool memory_first;
};

/* In 32-bit code; each opcode of the header's list once. */
static const struct form forms[] = {
    { "00 08", OP(ADD), READ | WRITE, 1, 1, RCX, true },
    { "01 08", OP(ADD), READ | WRITE, 4, 4, RCX, true },
    { "02 08", OP(ADD), READ, 1, 1, RCX, false },
    { "03 08", OP(ADD), READ, 4, 4, RCX, false },
    { "09 10", OP(OR), READ | WRITE, 4, 4, RDX, true },
    { "13 10", OP(ADC), READ, 4, 4, RDX, false },
    { "18 10", OP(SBB), READ | WRITE, 1, 1, RDX, true },
    { "21 18", OP(AND), READ | WRITE, 4, 4, RBX, true },
    { "2b 18", OP(SUB), READ, 4, 4, RBX, false },
    { "31 18", OP(XOR), READ | WRITE, 4, 4, RBX, true },
    { "39 30", OP(CMP), READ, 4, 4, RSI, true },
    { "3b 30", OP(CMP), READ, 4, 4, RSI, false },
    { "80 00 01", OP(ADD), READ | WRITE, 1, 1, NONE, true },
    { "81 08 01 00 00 00", OP(OR), READ | WRITE, 4, 4, NONE, true },
    { "82 20 01", OP(AND), READ | WRITE, 1, 1, NONE, true },
    { "83 38 01", OP(CMP), READ, 4, 4, NONE, true },
    { "84 00", OP(TEST), READ, 1, 1, RAX, true },
    { "85 38", OP(TEST), READ, 4, 4, RDI, true },
    { "86 00", OP(XCHG), READ | WRITE, 1, 1, RAX, true },
    { "87 38", OP(XCHG), READ | WRITE, 4, 4, RDI, true },
    { "88 00", OP(MOV), WRITE, 1, 1, RAX, true },
    { "89 38", OP(MOV), WRITE, 4, 4, RDI, true },
    { "8a 00", OP(MOV), READ, 1, 1, RAX, false },
    { "8b 38", OP(MOV), READ, 4, 4, RDI, false },
    { "a0 b0 00 e0 fe", OP(MOV), READ, 1, 1, RAX, false },
    { "a1 b0 00 e0 fe", OP(MOV), READ, 4, 4, RAX, false },
    { "a2 b0 00 e0 fe", OP(MOV), WRITE, 1, 1, RAX, true },
    { "a3 b0 00 e0 fe", OP(MOV), WRITE, 4, 4, RAX, true },
    { "a4", OP(MOVS), READ | WRITE, 1, 1, NONE, true },
    { "a5", OP(MOVS), READ | WRITE, 4, 4, NONE, true },
    { "aa", OP(STOS), WRITE, 1, 1, RAX, true },
    { "ab", OP(STOS), WRITE, 4, 4, RAX, true },
    { "ac", OP(LODS), READ, 1, 1, RAX, false },
    { "ad", OP(LODS), READ, 4, 4, RAX, false },
    { "ae", OP(SCAS), READ, 1, 1, RAX, false },
    { "af", OP(SCAS), READ, 4, 4, RAX, false },
    { "c6 00 7f", OP(MOV), WRITE, 1, 1, NONE, true },
    { "c7 00 00 00 00 00", OP(MOV), WRITE, 4, 4, NONE, true },
    { "f6 00 01", OP(TEST), READ, 1, 1, NONE, true },
    { "f7 08 01 00 00 00", OP(TEST), READ, 4, 4, NONE, true },
    { "f7 10", OP(NOT), READ | WRITE, 4, 4, NONE, true },
    { "f6 18", OP(NEG), READ | WRITE, 1, 1, NONE, true },
    { "fe 00", OP(INC), READ | WRITE, 1, 1, NONE, true },
    { "ff 08", OP(DEC), READ | WRITE, 4, 4, NONE, true },
    { "0f a3 08", OP(BT), READ, 4, 4, RCX, true },
    { "0f ab 08", OP(BTS), READ | WRITE, 4, 4, RCX, true },
    { "0f b3 08", OP(BTR), READ | WRITE, 4, 4, RCX, true },
    { "0f bb 08", OP(BTC), READ | WRITE, 4, 4, RCX, true },
    { "0f ba 20 07", OP(BT), READ, 4, 4, NONE, true },
    { "0f ba 28 07", OP(BTS), READ | WRITE, 4, 4, NONE, true },
    { "0f ba 30 07", OP(BTR), READ | WRITE, 4, 4, NONE, true },
    { "0f ba 38 07", OP(BTC), READ | WRITE, 4, 4, NONE, true },
    { "0f b6 38", OP(MOVZX), READ, 1, 4, RDI, false },
    { "0f b7 38", OP(MOVZX), READ, 2, 4, RDI, false },
    { "0f be 38", OP(MOVSX), READ, 1, 4, RDI, false },
    { "0f bf 38", OP(MOVSX), READ, 2, 4, RDI, false },
};

static void assert_form(const struct form *form)
{
    struct vlapic_decode_insn insn = decoded(MODE_32, form->text);
    uint8_t bytes[16];

    assert_int_equal(insn.length, bytes_of(form->text, bytes));
    assert_int_equal(insn.operation, form->operation);
    assert_int_equal(insn.access, form->access);
    assert_int_equal(insn.width, form->width);
    assert_int_equal(insn.other_width, form->other_width);
    assert_int_equal(insn.reg, form->reg);
    assert_int_equal(insn.memory_first, form->memory_first);
    assert_false(insn.lock || insn.high_byte);
    assert_int_equal(insn.repeat, VLAPIC_DECODE_ONCE);
}

static void every_form_is_decoded(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(forms); i++) {
        assert_form(&forms[i]);
    }
    assert_int_equal(decoded(MODE_64, "63 38").operation, OP(MOVSX)); /* MOVSXD */
}

static void nothing_else_is_decoded(void **state)
{
    static const char *const texts[] = {
        "8b c0",          /* a register: no memory operand */
        "ff d0",          /* CALL */
        "04 01",          /* ADD AL, imm8 */
        "8f 00",          /* POP */
        "ff 30",          /* PUSH */
        "ff 10",          /* CALL through memory */
        "fe 10",          /* no such row */
        "c6 08 01",       /* no such row */
        "c7 38 00",       /* no such row; XBEGIN with a register */
        "f6 20",          /* MUL */
        "f7 38",          /* IDIV */
        "d1 20",          /* SHL */
        "c1 28 04",       /* SHR */
        "69 00 00",       /* IMUL */
        "8c 00",          /* MOV from a segment register */
        "8d 00",          /* LEA */
        "a6",             /* CMPS: two reads, and the exit does not say which */
        "6c",             /* INS */
        "0f b0 08",       /* CMPXCHG */
        "0f c1 08",       /* XADD */
        "0f c3 08",       /* MOVNTI */
        "0f c7 08",       /* CMPXCHG8B */
        "0f ba 00 07",    /* no such row */
        "0f ba 18 07",    /* no such row */
        "0f 44 08",       /* CMOVcc */
        "0f 94 00",       /* SETcc */
        "0f 6f 00",       /* MMX */
        "0f 10 00",       /* SSE */
        "0f 38 f0 00",    /* MOVBE */
        "c4 e2 79 18 00", /* VEX */
        "c5 f8 10 00",    /* VEX */
        "62 f1 7c 48 10", /* EVEX */
        "0f 0f 00",       /* 3DNow! */
        "f4",             /* HLT */
    };

    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        assert_unsupported(MODE_16, texts[i]);
        assert_unsupported(MODE_32, texts[i]);
        assert_unsupported(MODE_64, texts[i]);
    }
}

static void some_opcodes_depend_on_the_mode(void **state)
{
    (void)state;
    assert_unsupported(MODE_64, "82 00 01");
    assert_unsupported(MODE_32, "63 00"); /* ARPL */
    assert_unsupported(MODE_16, "63 00");
    assert_unsupported(MODE_32, "40"); /* INC EAX, not REX */
    assert_unsupported(MODE_32, "48 89 00");
}

/* SDM 1, "Operand Size and Address Size in 64-Bit Mode" and the table before it. */
static void operand_size_comes_from_mode_and_prefixes(void **state)
{
    (void)state;
    assert_int_equal(decoded(MODE_16, "89 07").width, 2);
    assert_int_equal(decoded(MODE_16, "66 89 07").width, 4);
    assert_int_equal(decoded(MODE_32, "89 00").width, 4);
    assert_int_equal(decoded(MODE_32, "66 89 00").width, 2);
    assert_int_equal(decoded(MODE_64, "89 00").width, 4);
    assert_int_equal(decoded(MODE_64, "66 89 00").width, 2);
    assert_int_equal(decoded(MODE_64, "48 89 00").width, 8);
    assert_int_equal(decoded(MODE_64, "66 48 89 00").width, 8);
    assert_int_equal(decoded(MODE_64, "48 88 00").width, 1);
    assert_int_equal(decoded(MODE_64, "66 ab").width, 2);
    assert_int_equal(decoded(MODE_64, "f3 48 ab").width, 8);
}

static void the_register_of_an_extension_has_the_operand_size(void **state)
{
    (void)state;
    assert_int_equal(decoded(MODE_64, "66 0f b6 00").other_width, 2);
    assert_int_equal(decoded(MODE_64, "48 0f b7 00").other_width, 8);
    assert_int_equal(decoded(MODE_64, "48 63 00").other_width, 8);
    assert_int_equal(decoded(MODE_64, "48 63 00").width, 4);
    assert_int_equal(decoded(MODE_64, "63 00").other_width, 4);
    assert_int_equal(decoded(MODE_64, "66 48 63 00").other_width, 8);
    assert_unsupported(MODE_64, "66 63 00");
}

static void assert_place(const struct vlapic_decode_insn *insn, uint8_t address_width, uint8_t base, uint8_t index,
                         uint8_t scale, uint64_t displacement)
{
    assert_int_equal(insn->address_width, address_width);
    assert_int_equal(insn->base, base);
    assert_int_equal(insn->index, index);
    assert_int_equal(insn->scale, scale);
    assert_int_equal(insn->displacement, displacement);
}

struct address_form {
    enum vlapic_decode_mode mode;
    const char *text;
    uint8_t length, address_width, base, index, scale;
    uint64_t displacement;
    enum vlapic_decode_segment segment;
};

static const struct address_form addresses[] = {
    /* Table "16-Bit Addressing Forms with the ModR/M Byte". */
    { MODE_16, "8b 00", 2, 2, RBX, RSI, 0, 0, VLAPIC_DECODE_DS },
    { MODE_16, "8b 41 80", 3, 2, RBX, RDI, 0, (uint64_t)-128, VLAPIC_DECODE_DS },
    { MODE_16, "8b 82 34 12", 4, 2, RBP, RSI, 0, 0x1234, VLAPIC_DECODE_SS },
    { MODE_16, "8b 03", 2, 2, RBP, RDI, 0, 0, VLAPIC_DECODE_SS },
    { MODE_16, "8b 04", 2, 2, RSI, NONE, 0, 0, VLAPIC_DECODE_DS },
    { MODE_16, "8b 05", 2, 2, RDI, NONE, 0, 0, VLAPIC_DECODE_DS },
    { MODE_16, "8b 06 00 f0", 4, 2, NONE, NONE, 0, (uint64_t)-0x1000, VLAPIC_DECODE_DS },
    { MODE_16, "8b 46 00", 3, 2, RBP, NONE, 0, 0, VLAPIC_DECODE_SS },
    { MODE_16, "8b 87 ff 7f", 4, 2, RBX, NONE, 0, 0x7FFF, VLAPIC_DECODE_DS },
    { MODE_32, "67 8b 07", 3, 2, RBX, NONE, 0, 0, VLAPIC_DECODE_DS },
    { MODE_16, "67 8b 07", 3, 4, RDI, NONE, 0, 0, VLAPIC_DECODE_DS },
    /* Table "32-Bit Addressing Forms with the ModR/M Byte". */
    { MODE_32, "8b 00", 2, 4, RAX, NONE, 0, 0, VLAPIC_DECODE_DS },
    { MODE_32, "8b 05 b0 00 e0 fe", 6, 4, NONE, NONE, 0, 0xFFFFFFFFFEE000B0ull, VLAPIC_DECODE_DS },
    { MODE_32, "8b 45 f8", 3, 4, RBP, NONE, 0, (uint64_t)-8, VLAPIC_DECODE_SS },
    { MODE_32, "8b 87 00 01 00 00", 6, 4, RDI, NONE, 0, 0x100, VLAPIC_DECODE_DS },
    /* Table "32-Bit Addressing Forms with the SIB Byte". */
    { MODE_32, "8b 04 24", 3, 4, RSP, NONE, 0, 0, VLAPIC_DECODE_SS },
    { MODE_32, "8b 04 c8", 3, 4, RAX, RCX, 3, 0, VLAPIC_DECODE_DS },
    { MODE_32, "8b 44 75 01", 4, 4, RBP, RSI, 1, 1, VLAPIC_DECODE_SS },
    { MODE_32, "8b 04 8d 00 00 e0 fe", 7, 4, NONE, RCX, 2, 0xFFFFFFFFFEE00000ull, VLAPIC_DECODE_DS },
    { MODE_32, "8b 84 e0 10 00 00 00", 7, 4, RAX, NONE, 0, 0x10, VLAPIC_DECODE_DS },
    /* "RIP-Relative Addressing", "Special Cases of REX Encodings". */
    { MODE_64, "8b 05 10 00 00 00", 6, 8, VLAPIC_DECODE_RIP, NONE, 0, 0x10, VLAPIC_DECODE_DS },
    { MODE_64, "41 8b 05 f0 ff ff ff", 7, 8, VLAPIC_DECODE_RIP, NONE, 0, (uint64_t)-0x10, VLAPIC_DECODE_DS },
    { MODE_64, "67 8b 05 10 00 00 00", 7, 4, VLAPIC_DECODE_RIP, NONE, 0, 0x10, VLAPIC_DECODE_DS },
    { MODE_64, "8b 04 25 00 00 00 70", 7, 8, NONE, NONE, 0, 0x70000000, VLAPIC_DECODE_DS },
    { MODE_64, "41 8b 04 25 00 00 00 70", 8, 8, NONE, NONE, 0, 0x70000000, VLAPIC_DECODE_DS },
    { MODE_64, "41 8b 04 24", 4, 8, R12, NONE, 0, 0, VLAPIC_DECODE_DS },
    { MODE_64, "41 8b 45 00", 4, 8, R13, NONE, 0, 0, VLAPIC_DECODE_DS },
    { MODE_64, "42 8b 04 20", 4, 8, RAX, R12, 0, 0, VLAPIC_DECODE_DS },
    { MODE_64, "43 8b 04 ff", 4, 8, R15, R15, 3, 0, VLAPIC_DECODE_DS },
    { MODE_64, "67 8b 00", 3, 4, RAX, NONE, 0, 0, VLAPIC_DECODE_DS },
    /* MOV's page: moffs. */
    { MODE_16, "a1 00 f0", 3, 2, NONE, NONE, 0, (uint64_t)-0x1000, VLAPIC_DECODE_DS },
    { MODE_32, "a3 00 03 e0 7e", 5, 4, NONE, NONE, 0, 0x7EE00300, VLAPIC_DECODE_DS },
    { MODE_32, "67 a3 00 03", 4, 2, NONE, NONE, 0, 0x0300, VLAPIC_DECODE_DS },
    { MODE_64, "a1 88 77 66 55 44 33 22 11", 9, 8, NONE, NONE, 0, 0x1122334455667788ull, VLAPIC_DECODE_DS },
    { MODE_64, "67 a1 00 00 e0 7e", 6, 4, NONE, NONE, 0, 0x7EE00000, VLAPIC_DECODE_DS },
    /* Strings: DS:rSI, or another segment, and ES:rDI always. */
    { MODE_16, "a4", 1, 2, RSI, NONE, 0, 0, VLAPIC_DECODE_DS },
    { MODE_32, "2e a5", 2, 4, RSI, NONE, 0, 0, VLAPIC_DECODE_CS },
    { MODE_32, "67 aa", 2, 2, RDI, NONE, 0, 0, VLAPIC_DECODE_ES },
    { MODE_32, "64 ab", 2, 4, RDI, NONE, 0, 0, VLAPIC_DECODE_ES },
    { MODE_64, "65 ad", 2, 8, RSI, NONE, 0, 0, VLAPIC_DECODE_GS },
    { MODE_64, "67 af", 2, 4, RDI, NONE, 0, 0, VLAPIC_DECODE_ES },
};

static void every_address_form_is_decoded(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(addresses); i++) {
        struct vlapic_decode_insn insn = decoded(addresses[i].mode, addresses[i].text);

        assert_int_equal(insn.length, addresses[i].length);
        assert_place(&insn, addresses[i].address_width, addresses[i].base, addresses[i].index, addresses[i].scale,
                     addresses[i].displacement);
        assert_int_equal(insn.segment, addresses[i].segment);
    }
}

static void segments_are_overridden_by_the_last_prefix(void **state)
{
    static const char *const texts[] = { "26 8b 00", "2e 8b 00", "36 8b 00", "3e 8b 00", "64 8b 00", "65 8b 00" };

    (void)state;
    for (unsigned i = 0; i < COUNT(texts); i++) {
        bool counts_in_64 = i >= VLAPIC_DECODE_FS;

        assert_int_equal(decoded(MODE_32, texts[i]).segment, i);
        assert_int_equal(decoded(MODE_64, texts[i]).segment, counts_in_64 ? i : VLAPIC_DECODE_DS);
    }
    assert_int_equal(decoded(MODE_32, "64 26 8b 45 00").segment, VLAPIC_DECODE_ES);
    assert_int_equal(decoded(MODE_64, "65 64 8b 45 00").segment, VLAPIC_DECODE_FS);
    assert_int_equal(decoded(MODE_64, "65 3e 8b 45 00").segment, VLAPIC_DECODE_GS);
    assert_int_equal(decoded(MODE_64, "3e 8b 45 00").segment, VLAPIC_DECODE_SS);
}

/* "REX Prefixes": with one, encodings 4..7 of a byte register are SPL, BPL, SIL, DIL. */
static void high_bytes_exist_without_rex_only(void **state)
{
    struct vlapic_decode_insn insn = decoded(MODE_64, "88 20");

    (void)state;
    assert_true(insn.high_byte);
    assert_int_equal(insn.reg, RAX);
    insn = decoded(MODE_32, "8a 38");
    assert_true(insn.high_byte);
    assert_int_equal(insn.reg, RBX);
    insn = decoded(MODE_64, "40 88 20");
    assert_false(insn.high_byte);
    assert_int_equal(insn.reg, RSP);
    insn = decoded(MODE_64, "44 88 20");
    assert_false(insn.high_byte);
    assert_int_equal(insn.reg, R12);
    insn = decoded(MODE_64, "0f b6 20"); /* the register has four bytes */
    assert_false(insn.high_byte);
    assert_int_equal(insn.reg, RSP);
}

static void rex_counts_directly_before_the_opcode(void **state)
{
    (void)state;
    assert_int_equal(decoded(MODE_64, "48 66 89 00").width, 2);
    assert_int_equal(decoded(MODE_64, "48 40 89 00").width, 4);
    assert_int_equal(decoded(MODE_64, "44 65 88 20").reg, RAX);
    assert_true(decoded(MODE_64, "44 65 88 20").high_byte);
}

static void immediates_are_sign_extended(void **state)
{
    (void)state;
    assert_int_equal(decoded(MODE_32, "80 00 80").immediate, (uint64_t)-128);
    assert_int_equal(decoded(MODE_32, "66 81 00 00 80").immediate, (uint64_t)-0x8000);
    assert_int_equal(decoded(MODE_32, "66 81 00 00 80").length, 5);
    assert_int_equal(decoded(MODE_32, "83 00 ff").immediate, UINT64_MAX);
    assert_int_equal(decoded(MODE_32, "c7 00 f1 40 0c 00").immediate, 0xC40F1);
    assert_int_equal(decoded(MODE_64, "48 c7 00 00 00 00 80").immediate, 0xFFFFFFFF80000000ull);
    assert_int_equal(decoded(MODE_64, "48 c7 00 00 00 00 80").length, 7);
    assert_int_equal(decoded(MODE_32, "c7 00 f1 40 0c 00").other, VLAPIC_DECODE_OTHER_IMMEDIATE);
    assert_int_equal(decoded(MODE_32, "89 00").other, VLAPIC_DECODE_OTHER_REGISTER);
    assert_int_equal(decoded(MODE_32, "f7 10").other, VLAPIC_DECODE_OTHER_NONE);
    assert_int_equal(decoded(MODE_32, "a5").other, VLAPIC_DECODE_OTHER_NONE);
}

/* "LOCK-Assert LOCK# Signal Prefix": #UD but for read-modify-write of memory. */
static void lock_is_for_read_modify_write(void **state)
{
    char text[40];

    (void)state;
    for (size_t i = 0; i < COUNT(forms); i++) {
        snprintf(text, sizeof(text), "f0 %s", forms[i].text);
        if (forms[i].access == (READ | WRITE) && forms[i].operation != OP(MOVS)) {
            assert_true(decoded(MODE_32, text).lock);
        } else {
            assert_unsupported(MODE_32, text);
        }
    }
}

static void repeat_prefixes_count_for_strings(void **state)
{
    (void)state;
    assert_int_equal(decoded(MODE_32, "f3 a4").repeat, VLAPIC_DECODE_REPE);
    assert_int_equal(decoded(MODE_32, "f2 ae").repeat, VLAPIC_DECODE_REPNE);
    assert_int_equal(decoded(MODE_32, "f2 f3 ae").repeat, VLAPIC_DECODE_REPE);
    assert_int_equal(decoded(MODE_32, "f3 f2 ae").repeat, VLAPIC_DECODE_REPNE);
    assert_int_equal(decoded(MODE_32, "f3 89 00").repeat, VLAPIC_DECODE_ONCE); /* XRELEASE */
    assert_int_equal(decoded(MODE_32, "f2 f0 87 00").length, 4);               /* XACQUIRE */
}

static void fewer_bytes_are_truncated_and_more_do_not_matter(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(addresses); i++) {
        struct vlapic_decode_insn insn, longer;
        uint8_t bytes[20];
        size_t length = bytes_of(addresses[i].text, bytes);

        assert_int_equal(parse_bytes(addresses[i].mode, bytes, length, &insn), VLAPIC_DECODE_DONE);
        for (size_t count = 0; count < length; count++) {
            assert_int_equal(parse_bytes(addresses[i].mode, bytes, count, &longer), VLAPIC_DECODE_TRUNCATED);
            assert_int_equal(longer.length, 0);
        }
        memset(bytes + length, 0xF0, sizeof(bytes) - length);
        assert_int_equal(parse_bytes(addresses[i].mode, bytes, sizeof(bytes), &longer), VLAPIC_DECODE_DONE);
        assert_memory_equal(&longer, &insn, sizeof(insn));
    }
}

static void every_part_can_be_missing(void **state)
{
    static const char *const texts[] = { "66",       "0f",          "8b",       "8b 04", "8b 40",
                                         "8b 05 00", "81 00 01 02", "0f ba 20", "a1 00", "c6 00" };
    struct vlapic_decode_insn insn;

    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        assert_int_equal(parse_text(MODE_32, texts[i], &insn), VLAPIC_DECODE_TRUNCATED);
    }
}

/* "Instruction Format": at most 15 bytes, else #GP. */
static void no_instruction_has_sixteen_bytes(void **state)
{
    uint8_t bytes[24];
    struct vlapic_decode_insn insn;

    (void)state;
    memset(bytes, 0x66, sizeof(bytes));
    memcpy(bytes + 10, "\x81\x49\x10\x34\x12", 5); /* OR word [ecx+10h], 1234h behind ten prefixes */
    assert_int_equal(parse_bytes(MODE_32, bytes, sizeof(bytes), &insn), VLAPIC_DECODE_DONE);
    assert_int_equal(insn.length, 15);
    memmove(bytes + 1, bytes, 20);
    assert_int_equal(parse_bytes(MODE_32, bytes, 14, &insn), VLAPIC_DECODE_TRUNCATED);
    assert_int_equal(parse_bytes(MODE_32, bytes, 15, &insn), VLAPIC_DECODE_UNSUPPORTED);
    assert_int_equal(parse_bytes(MODE_32, bytes, sizeof(bytes), &insn), VLAPIC_DECODE_UNSUPPORTED);
    memset(bytes, 0x66, sizeof(bytes));
    assert_int_equal(parse_bytes(MODE_32, bytes, 14, &insn), VLAPIC_DECODE_TRUNCATED);
    assert_int_equal(parse_bytes(MODE_32, bytes, sizeof(bytes), &insn), VLAPIC_DECODE_UNSUPPORTED);
}

static void there_are_three_modes(void **state)
{
    struct vlapic_decode_insn insn;

    (void)state;
    assert_int_equal(vlapic_decode_parse((enum vlapic_decode_mode)3, (const uint8_t *)"\x89", 2, &insn),
                     VLAPIC_DECODE_INVALID);
    assert_int_equal(insn.length, 0);
}

/* Executing: a guest whose APIC page is plain bytes. Callbacks are recorded; any may be told to fail. */

#define APIC_PAGE 0xFEE00000ull
#define MEMORY 0x7000ull

struct guest {
    uint64_t reg[18];
    uint8_t apic[4096];
    uint8_t memory[256];
    uint64_t bases[6];
    char log[64]; /* r w: APIC; R W: memory */
    char failing;
    struct vlapic_decode_address other; /* where memory was asked for */
    struct vlapic_decode_ops ops;
};

static struct guest guest;

static bool called(struct guest *g, char what)
{
    size_t used = strlen(g->log);

    assert_true(used + 1 < sizeof(g->log));
    g->log[used] = what;
    return what != g->failing;
}

static uint64_t get_bytes(const uint8_t *from, uint32_t width)
{
    uint64_t value = 0;

    for (uint32_t i = 0; i < width; i++) {
        value |= (uint64_t)from[i] << (8 * i);
    }
    return value;
}

static void put_bytes(uint8_t *to, uint32_t width, uint64_t value)
{
    if (width < 8) {
        assert_int_equal(value >> (8 * width), 0);
    }
    for (uint32_t i = 0; i < width; i++) {
        to[i] = (uint8_t)(value >> (8 * i));
    }
}

static uint64_t noise_above(uint32_t width)
{
    return width < 8 ? 0xA5A5A5A5A5A5A5A5ull << (8 * width) : 0;
}

static uint64_t guest_register(void *cookie, uint32_t reg)
{
    assert_in_range(reg, 0, 17);
    return ((struct guest *)cookie)->reg[reg];
}

static void guest_set_register(void *cookie, uint32_t reg, uint64_t value)
{
    assert_true(reg <= 15 || reg == VLAPIC_DECODE_RFLAGS);
    ((struct guest *)cookie)->reg[reg] = value;
}

static bool guest_apic_read(void *cookie, uint32_t offset, uint32_t width, uint64_t *value)
{
    struct guest *g = cookie;

    assert_in_range(offset + width, 1, sizeof(g->apic));
    *value = get_bytes(&g->apic[offset], width) | noise_above(width); /* upper bits do not count */
    return called(g, 'r');
}

static bool guest_apic_write(void *cookie, uint32_t offset, uint32_t width, uint64_t value)
{
    struct guest *g = cookie;

    assert_in_range(offset + width, 1, sizeof(g->apic));
    if (!called(g, 'w')) {
        return false;
    }
    put_bytes(&g->apic[offset], width, value);
    return true;
}

static uint64_t guest_base(void *cookie, enum vlapic_decode_segment segment)
{
    assert_in_range(segment, VLAPIC_DECODE_ES, VLAPIC_DECODE_GS);
    return ((struct guest *)cookie)->bases[segment];
}

static uint8_t *guest_memory(struct guest *g, const struct vlapic_decode_address *address, uint32_t width)
{
    g->other = *address;
    assert_in_range(address->linear, MEMORY, MEMORY + sizeof(g->memory) - width);
    return &g->memory[address->linear - MEMORY];
}

static bool guest_memory_read(void *cookie, const struct vlapic_decode_address *address, uint32_t width,
                              uint64_t *value)
{
    struct guest *g = cookie;

    *value = get_bytes(guest_memory(g, address, width), width) | noise_above(width);
    return called(g, 'R');
}

static bool guest_memory_write(void *cookie, const struct vlapic_decode_address *address, uint32_t width,
                               uint64_t value)
{
    struct guest *g = cookie;
    uint8_t *at = guest_memory(g, address, width);

    if (!called(g, 'W')) {
        return false;
    }
    put_bytes(at, width, value);
    return true;
}

static void new_guest(void)
{
    memset(&guest, 0, sizeof(guest));
    for (unsigned i = 0; i < 16; i++) {
        guest.reg[i] = 0x1111111111111111ull * i;
    }
    guest.reg[VLAPIC_DECODE_RFLAGS] = 2;
    guest.ops = (struct vlapic_decode_ops){ .size = sizeof(guest.ops),
                                            .abi = VLAPIC_DECODE_ABI,
                                            .read_register = guest_register,
                                            .write_register = guest_set_register,
                                            .apic_read = guest_apic_read,
                                            .apic_write = guest_apic_write,
                                            .segment_base = guest_base,
                                            .memory_read = guest_memory_read,
                                            .memory_write = guest_memory_write };
}

static enum vlapic_decode_status run(enum vlapic_decode_mode mode, const char *text, uint64_t guest_phys, bool write)
{
    struct vlapic_decode_insn insn = decoded(mode, text);

    guest.log[0] = '\0';
    memset(guest.log, 0, sizeof(guest.log));
    return vlapic_decode_execute(&insn, &guest.ops, &guest, guest_phys, write);
}

static void assert_unchanged(const struct guest *before)
{
    assert_memory_equal(guest.reg, before->reg, sizeof(guest.reg));
    assert_memory_equal(guest.apic, before->apic, sizeof(guest.apic));
    assert_memory_equal(guest.memory, before->memory, sizeof(guest.memory));
}

/* With RDI at offset 20h of the page and RBX as the other operand. */
static void prepare_operands(uint64_t memory, uint32_t width, uint64_t other, uint64_t rflags)
{
    new_guest();
    guest.reg[RDI] = APIC_PAGE + 0x20;
    guest.reg[RBX] = other;
    guest.reg[VLAPIC_DECODE_RFLAGS] = rflags | 2;
    put_bytes(&guest.apic[0x20], width, memory);
}

static void assert_run(const char *text, bool write, const char *log)
{
    if (run(MODE_64, text, APIC_PAGE + 0x20, write) != VLAPIC_DECODE_DONE || strcmp(guest.log, log) != 0) {
        fail_msg("%s: log %s instead of %s", text, guest.log, log);
    }
}

static void stores_write_once(void **state)
{
    (void)state;
    prepare_operands(0, 8, 0x1122334455667788ull, 0);
    assert_run("88 1f", true, "w");
    assert_int_equal(get_bytes(&guest.apic[0x20], 8), 0x88);
    assert_run("88 3f", true, "w"); /* BH */
    assert_int_equal(get_bytes(&guest.apic[0x20], 8), 0x77);
    assert_run("66 89 1f", true, "w");
    assert_int_equal(get_bytes(&guest.apic[0x20], 8), 0x7788);
    assert_run("89 1f", true, "w");
    assert_int_equal(get_bytes(&guest.apic[0x20], 8), 0x55667788);
    assert_run("48 89 1f", true, "w");
    assert_int_equal(get_bytes(&guest.apic[0x20], 8), 0x1122334455667788ull);
    assert_run("c6 07 80", true, "w");
    assert_int_equal(get_bytes(&guest.apic[0x20], 8), 0x1122334455667780ull);
    assert_run("48 c7 07 fe ff ff ff", true, "w");
    assert_int_equal(get_bytes(&guest.apic[0x20], 8), (uint64_t)-2);
    assert_int_equal(guest.reg[VLAPIC_DECODE_RFLAGS], 2);
}

static void assert_load(const char *text, uint64_t expected)
{
    prepare_operands(0xFFEEDDCC87838281ull, 8, 0x1122334455667788ull, STATUS);
    assert_run(text, false, "r");
    assert_int_equal(guest.reg[RBX], expected);
    assert_int_equal(guest.reg[VLAPIC_DECODE_RFLAGS], STATUS | 2);
    assert_int_equal(get_bytes(&guest.apic[0x20], 8), 0xFFEEDDCC87838281ull);
}

/* SDM 1, "General-Purpose Registers in 64-Bit Mode": 32-bit results are zero-extended, narrower ones merged. */
static void loads_merge_or_extend(void **state)
{
    (void)state;
    assert_load("8a 1f", 0x1122334455667781ull);
    assert_load("8a 3f", 0x1122334455668188ull);
    assert_load("66 8b 1f", 0x1122334455668281ull);
    assert_load("8b 1f", 0x87838281);
    assert_load("48 8b 1f", 0xFFEEDDCC87838281ull);
    assert_load("0f b6 1f", 0x81);
    assert_load("66 0f b6 1f", 0x1122334455660081ull);
    assert_load("48 0f b7 1f", 0x8281);
    assert_load("0f be 1f", 0xFFFFFF81);
    assert_load("66 0f be 1f", 0x112233445566FF81ull);
    assert_load("48 0f bf 1f", 0xFFFFFFFFFFFF8281ull);
    assert_load("48 63 1f", 0xFFFFFFFF87838281ull);
    assert_load("63 1f", 0x87838281);
}

static void the_accumulator_has_its_own_forms(void **state)
{
    (void)state;
    new_guest();
    guest.reg[RAX] = 0xAABBCCDD11223344ull;
    assert_int_equal(run(MODE_32, "a3 80 00 e0 fe", APIC_PAGE + 0x80, true), VLAPIC_DECODE_DONE);
    assert_int_equal(get_bytes(&guest.apic[0x80], 8), 0x11223344);
    assert_int_equal(run(MODE_32, "66 a1 81 00 e0 fe", APIC_PAGE + 0x81, false), VLAPIC_DECODE_DONE);
    assert_int_equal(guest.reg[RAX], 0xAABBCCDD11222233ull);
    assert_int_equal(run(MODE_64, "a0 83 00 e0 fe 00 00 00 00", APIC_PAGE + 0x83, false), VLAPIC_DECODE_DONE);
    assert_int_equal(guest.reg[RAX], 0xAABBCCDD11222211ull);
}

/* MUSEUM-041: old Linux writes APIC registers by XCHG; one read and one write, in that order. */
static void exchange_reads_once_then_writes_once(void **state)
{
    (void)state;
    prepare_operands(0x12345678, 4, 0xAAAAAAAABBBBBBBBull, STATUS);
    assert_run("87 1f", true, "rw");
    assert_int_equal(get_bytes(&guest.apic[0x20], 8), 0xBBBBBBBB);
    assert_int_equal(guest.reg[RBX], 0x12345678);
    assert_int_equal(guest.reg[VLAPIC_DECODE_RFLAGS], STATUS | 2);
    assert_run("f0 86 3f", false, "rw"); /* BH; the exit may tell the read */
    assert_int_equal(get_bytes(&guest.apic[0x20], 8), 0xBBBBBB56);
    assert_int_equal(guest.reg[RBX], 0x1234BB78);
}

struct arithmetic {
    const char *text; /* RDI is the address, RBX the register */
    uint32_t width;
    uint64_t memory, other, rflags;
    uint64_t memory_after, other_after, flags_after;
};

/* Worked out by hand from SDM 1, "Status Flags", and the instructions' pages. */
static const struct arithmetic sums[] = {
    { "00 1f", 1, 0x7F, 0x01, 0, 0x80, 0x01, OF | SF | AF },
    { "00 1f", 1, 0xFF, 0x01, 0, 0x00, 0x01, ZF | AF | PF | CF },
    { "01 1f", 4, 0x80000000, 0x80000000, 0, 0, 0x80000000, OF | ZF | PF | CF },
    { "03 1f", 4, 1, 0xFFFFFFFF00000002ull, STATUS, 1, 3, PF },
    { "48 01 1f", 8, UINT64_MAX, 2, 0, 1, 2, CF | AF },
    { "66 81 07 00 80", 2, 0x8000, 9, 0, 0, 9, OF | ZF | PF | CF },
    { "10 1f", 1, 0xFF, 0x00, CF, 0x00, 0x00, ZF | AF | PF | CF },
    { "10 1f", 1, 0xFF, 0xFF, CF, 0xFF, 0xFF, SF | AF | PF | CF },
    { "10 1f", 1, 0x01, 0x01, 0, 0x02, 0x01, 0 },
    { "10 1f", 1, 0x01, 0x01, CF, 0x03, 0x01, PF },
    { "48 11 1f", 8, UINT64_MAX, UINT64_MAX, CF, UINT64_MAX, UINT64_MAX, SF | AF | PF | CF },
    { "28 1f", 1, 0x80, 0x01, 0, 0x7F, 0x01, OF | AF },
    { "28 1f", 1, 0x00, 0x01, STATUS, 0xFF, 0x01, SF | AF | PF | CF },
    { "2b 1f", 4, 5, 0xFFFFFFFF00000007ull, 0, 5, 2, 0 },
    { "18 1f", 1, 0x10, 0x0F, CF, 0x00, 0x0F, ZF | AF | PF },
    { "18 1f", 1, 0x10, 0x10, CF, 0xFF, 0x10, SF | AF | PF | CF },
    { "48 19 1f", 8, 0, UINT64_MAX, CF, 0, UINT64_MAX, ZF | AF | PF | CF },
    { "20 1f", 1, 0xF0, 0x8F, STATUS, 0x80, 0x8F, SF },
    { "08 1f", 1, 0x00, 0x00, STATUS, 0x00, 0x00, ZF | PF },
    { "30 1f", 1, 0xFF, 0x0F, STATUS, 0xF0, 0x0F, SF | PF },
    { "33 1f", 4, 0x00000003, 0xFFFFFFFF00000001ull, CF, 0x00000003, 2, 0 },
    { "38 1f", 1, 0x01, 0x02, 0, 0x01, 0x02, SF | AF | PF | CF },
    { "3a 1f", 1, 0x01, 0x02, STATUS, 0x01, 0x02, 0 },
    { "83 3f ff", 4, 0xFFFFFFFF, 9, 0, 0xFFFFFFFF, 9, ZF | PF },
    { "48 83 3f 80", 8, (uint64_t)-128, 9, 0, (uint64_t)-128, 9, ZF | PF },
    { "84 1f", 1, 0x81, 0x80, STATUS, 0x81, 0x80, SF },
    { "f7 07 00 10 00 00", 4, 0x000C10F1, 9, CF, 0x000C10F1, 9, PF },
    { "f6 17", 1, 0x0F, 9, STATUS, 0xF0, 9, STATUS },
    { "48 f7 17", 8, 0, 9, 0, UINT64_MAX, 9, 0 },
    { "f6 1f", 1, 0x00, 9, STATUS, 0x00, 9, ZF | PF },
    { "f6 1f", 1, 0x80, 9, 0, 0x80, 9, OF | SF | CF },
    { "f7 1f", 4, 0x00000001, 9, 0, 0xFFFFFFFF, 9, SF | AF | PF | CF },
    { "fe 07", 1, 0x7F, 9, CF, 0x80, 9, OF | SF | AF | CF },
    { "fe 07", 1, 0xFF, 9, 0, 0x00, 9, ZF | AF | PF },
    { "ff 0f", 4, 0x00000000, 9, 0, 0xFFFFFFFF, 9, SF | AF | PF },
    { "fe 0f", 1, 0x80, 9, CF, 0x7F, 9, OF | AF | CF },
};

static void assert_arithmetic(const struct arithmetic *row)
{
    struct vlapic_decode_insn insn = decoded(MODE_64, row->text);
    uint64_t others = ~(uint64_t)STATUS & 0x3202; /* IF, IOPL and the fixed bit stay */

    prepare_operands(row->memory, row->width, row->other, row->rflags | others);
    assert_run(row->text, (insn.access & WRITE) != 0, (insn.access & WRITE) != 0 ? "rw" : "r");
    assert_int_equal(get_bytes(&guest.apic[0x20], 8), row->memory_after);
    assert_int_equal(guest.reg[RBX], row->other_after);
    assert_int_equal(guest.reg[VLAPIC_DECODE_RFLAGS], row->flags_after | others);
}

static void arithmetic_sets_results_and_flags(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(sums); i++) {
        assert_arithmetic(&sums[i]);
    }
}

/* An immediate bit offset is taken modulo the operand's size; of the flags, CF alone changes. */
static void bit_instructions_use_the_bit(void **state)
{
    static const struct arithmetic rows[] = {
        { "0f ba 27 04", 4, 0x10, 9, 0, 0x10, 9, CF },
        { "0f ba 27 25", 4, 0x10, 9, STATUS, 0x10, 9, STATUS & ~CF },
        { "0f ba 2f 3f", 4, 0, 9, STATUS, 0x80000000, 9, STATUS & ~CF },
        { "48 0f ba 2f 3f", 8, 0, 9, 0, 1ull << 63, 9, 0 },
        { "66 0f ba 37 10", 2, 0xFFFF, 9, 0, 0xFFFE, 9, CF },
        { "0f ba 3f 00", 4, 1, 9, 0, 0, 9, CF },
        { "0f ba 3f 20", 4, 0, 9, CF, 1, 9, 0 },
        { "0f a3 1f", 4, 0x80, 7, 0, 0x80, 7, CF },
        { "0f ab 1f", 4, 0, 31, CF, 0x80000000, 31, 0 },
        { "0f b3 1f", 4, 3, 0xFFFFFFFF00000001ull, 0, 1, 0xFFFFFFFF00000001ull, CF },
        { "f0 0f bb 1f", 4, 3, 2, 0, 7, 2, 0 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_arithmetic(&rows[i]);
    }
}

/* "BT-Bit Test": the offset in a register is signed and selects the operand, too. */
static void a_bit_offset_in_a_register_moves_the_operand(void **state)
{
    (void)state;
    prepare_operands(0, 4, 8 * 16 + 5, 0); /* 128 = four operands of 32 bits on */
    assert_int_equal(run(MODE_64, "0f ab 1f", APIC_PAGE + 0x30, true), VLAPIC_DECODE_DONE);
    assert_int_equal(get_bytes(&guest.apic[0x30], 4), 1u << 5);
    prepare_operands(0, 4, (uint32_t)-1, 0);
    assert_int_equal(run(MODE_64, "0f ab 1f", APIC_PAGE + 0x1C, true), VLAPIC_DECODE_DONE);
    assert_int_equal(get_bytes(&guest.apic[0x1C], 4), 1u << 31);
    prepare_operands(0, 4, 0xABCDFFFF, 0); /* 16 bits count: -1 */
    assert_int_equal(run(MODE_64, "66 0f ab 1f", APIC_PAGE + 0x1E, true), VLAPIC_DECODE_DONE);
    assert_int_equal(get_bytes(&guest.apic[0x1E], 2), 1u << 15);
    prepare_operands(0, 4, (uint64_t)-65, 0);
    assert_int_equal(run(MODE_64, "48 0f ab 1f", APIC_PAGE + 0x10, true), VLAPIC_DECODE_DONE);
    assert_int_equal(get_bytes(&guest.apic[0x10], 8), 1ull << 63);
}

static void a_failed_callback_changes_nothing(void **state)
{
    static const struct {
        const char *text;
        bool write;
        char failing;
    } rows[] = {
        { "8b 1f", false, 'r' },      { "89 1f", true, 'w' }, { "87 1f", true, 'r' },  { "87 1f", true, 'w' },
        { "01 1f", true, 'r' },       { "01 1f", true, 'w' }, { "03 1f", false, 'r' }, { "0f ab 1f", true, 'r' },
        { "0f ba 2f 00", true, 'w' }, { "f3 ab", true, 'w' }, { "ae", false, 'r' },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct guest before;

        prepare_operands(0x55, 4, 1, 0);
        guest.failing = rows[i].failing;
        before = guest;
        assert_int_equal(run(MODE_64, rows[i].text, APIC_PAGE + 0x20, rows[i].write), VLAPIC_DECODE_FAULT);
        assert_unchanged(&before);
    }
}

/* RSI at offset 20h of the page, RDI in memory. */
static void prepare_copy_from_apic(void)
{
    new_guest();
    guest.reg[RSI] = APIC_PAGE + 0x20;
    guest.reg[RDI] = MEMORY + 0x10;
    put_bytes(&guest.apic[0x20], 8, 0x8877665544332211ull);
}

static void prepare_copy_to_apic(void)
{
    new_guest();
    guest.reg[RSI] = MEMORY + 0x10;
    guest.reg[RDI] = APIC_PAGE + 0x20;
    put_bytes(&guest.memory[0x10], 8, 0x8877665544332211ull);
}

static void movs_copies_from_the_page_or_to_it(void **state)
{
    (void)state;
    prepare_copy_from_apic();
    assert_int_equal(run(MODE_64, "a5", APIC_PAGE + 0x20, false), VLAPIC_DECODE_DONE);
    assert_string_equal(guest.log, "rW");
    assert_int_equal(get_bytes(&guest.memory[0x10], 8), 0x44332211);
    assert_int_equal(guest.reg[RSI], APIC_PAGE + 0x24);
    assert_int_equal(guest.reg[RDI], MEMORY + 0x14);
    assert_int_equal(guest.other.segment, VLAPIC_DECODE_ES);
    assert_int_equal(guest.other.effective, MEMORY + 0x10);

    prepare_copy_to_apic();
    guest.reg[VLAPIC_DECODE_RFLAGS] = DF | 2;
    assert_int_equal(run(MODE_64, "66 a5", APIC_PAGE + 0x20, true), VLAPIC_DECODE_DONE);
    assert_string_equal(guest.log, "Rw");
    assert_int_equal(get_bytes(&guest.apic[0x20], 8), 0x2211);
    assert_int_equal(guest.reg[RSI], MEMORY + 0x0E);
    assert_int_equal(guest.reg[RDI], APIC_PAGE + 0x1E);
    assert_int_equal(guest.other.segment, VLAPIC_DECODE_DS);
    assert_int_equal(guest.reg[RCX], 0x1111111111111111ull);
}

static void movs_whose_memory_faults_changes_nothing(void **state)
{
    struct guest before;

    (void)state;
    prepare_copy_from_apic();
    guest.failing = 'W';
    before = guest;
    assert_int_equal(run(MODE_64, "f3 a5", APIC_PAGE + 0x20, false), VLAPIC_DECODE_FAULT);
    assert_unchanged(&before);
    prepare_copy_to_apic();
    guest.failing = 'R';
    before = guest;
    assert_int_equal(run(MODE_64, "f3 a5", APIC_PAGE + 0x20, true), VLAPIC_DECODE_FAULT);
    assert_string_equal(guest.log, "R");
    assert_unchanged(&before);
}

static void movs_needs_the_callback_of_its_other_operand(void **state)
{
    (void)state;
    prepare_copy_from_apic();
    guest.ops.memory_read = NULL;
    assert_int_equal(run(MODE_64, "a4", APIC_PAGE + 0x20, false), VLAPIC_DECODE_DONE);
    guest.ops.memory_write = NULL;
    assert_int_equal(run(MODE_64, "a4", APIC_PAGE + 0x21, false), VLAPIC_DECODE_UNSUPPORTED);
    prepare_copy_to_apic();
    guest.ops.memory_read = NULL;
    assert_int_equal(run(MODE_64, "a4", APIC_PAGE + 0x20, true), VLAPIC_DECODE_UNSUPPORTED);
}

static void source_and_destination_of_movs_have_their_segments(void **state)
{
    (void)state;
    new_guest();
    guest.bases[VLAPIC_DECODE_FS] = APIC_PAGE;
    guest.bases[VLAPIC_DECODE_ES] = MEMORY;
    guest.reg[RSI] = 0x12340020; /* SI and DI count */
    guest.reg[RDI] = 0x12340080;
    guest.apic[0x20] = 0x99;
    assert_int_equal(run(MODE_16, "64 a4", APIC_PAGE + 0x20, false), VLAPIC_DECODE_DONE);
    assert_int_equal(guest.memory[0x80], 0x99);
    assert_int_equal(guest.reg[RSI], 0x12340021);
    assert_int_equal(guest.reg[RDI], 0x12340081);
}

static void stos_and_lods_use_the_accumulator(void **state)
{
    (void)state;
    prepare_operands(0, 8, 0, 0);
    guest.reg[RAX] = 0xAABBCCDD11223344ull;
    guest.reg[RSI] = APIC_PAGE + 0x20;
    assert_run("aa", true, "w");
    assert_int_equal(get_bytes(&guest.apic[0x20], 8), 0x44);
    assert_int_equal(guest.reg[RDI], APIC_PAGE + 0x21);
    put_bytes(&guest.apic[0x20], 4, 0x01020304);
    assert_run("66 ad", false, "r");
    assert_int_equal(guest.reg[RAX], 0xAABBCCDD11220304ull);
    assert_int_equal(guest.reg[RSI], APIC_PAGE + 0x22);
    assert_int_equal(guest.reg[RDI], APIC_PAGE + 0x21);
}

/* "REP/REPE/REPZ/REPNE/REPNZ-Repeat String Operation Prefix": the counter is CX, ECX or RCX by the address size. */
static void rep_does_one_iteration_a_call(void **state)
{
    (void)state;
    prepare_operands(0, 8, 0, 0);
    guest.reg[RCX] = 3;
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(run(MODE_64, "f3 ab", APIC_PAGE + 0x20 + 4 * i, true),
                         i < 2 ? VLAPIC_DECODE_AGAIN : VLAPIC_DECODE_DONE);
        assert_string_equal(guest.log, "w");
        assert_int_equal(guest.reg[RCX], 2 - i);
        assert_int_equal(guest.reg[RDI], APIC_PAGE + 0x24 + 4 * i);
    }
    assert_int_equal(run(MODE_64, "f3 ab", APIC_PAGE, true), VLAPIC_DECODE_DONE); /* nothing is left */
    assert_string_equal(guest.log, "");
    assert_int_equal(guest.reg[RDI], APIC_PAGE + 0x2C);
}

static void rep_counts_in_the_address_size(void **state)
{
    (void)state;
    prepare_operands(0, 8, 0, 0);
    guest.reg[RCX] = 0xFFFFFFFF00000002ull;
    guest.reg[RDI] |= 0xABCDull << 32;
    assert_int_equal(run(MODE_64, "f2 67 aa", APIC_PAGE + 0x20, true), VLAPIC_DECODE_AGAIN);
    assert_int_equal(guest.reg[RCX], 1);
    assert_int_equal(guest.reg[RDI], APIC_PAGE + 0x21);
    new_guest();
    guest.bases[VLAPIC_DECODE_ES] = APIC_PAGE;
    guest.reg[RCX] = 0xABCD0001;
    guest.reg[RDI] = 0xABCD0020;
    assert_int_equal(run(MODE_16, "f3 aa", APIC_PAGE + 0x20, true), VLAPIC_DECODE_DONE);
    assert_int_equal(guest.reg[RCX], 0xABCD0000);
    assert_int_equal(guest.reg[RDI], 0xABCD0021);
    assert_int_equal(run(MODE_16, "f3 aa", APIC_PAGE + 0x21, true), VLAPIC_DECODE_DONE);
    assert_string_equal(guest.log, "");
}

static enum vlapic_decode_status scan(const char *text, uint8_t accumulator)
{
    prepare_operands(0x77, 1, 0, 0);
    guest.reg[RAX] = accumulator;
    guest.reg[RCX] = 9;
    return run(MODE_64, text, APIC_PAGE + 0x20, false);
}

static void scas_ends_by_the_zero_flag(void **state)
{
    (void)state;
    assert_int_equal(scan("f3 ae", 0x77), VLAPIC_DECODE_AGAIN);
    assert_int_equal(scan("f3 ae", 0x76), VLAPIC_DECODE_DONE);
    assert_int_equal(scan("f2 ae", 0x77), VLAPIC_DECODE_DONE);
    assert_int_equal(scan("f2 ae", 0x78), VLAPIC_DECODE_AGAIN);
    assert_int_equal(guest.reg[RCX], 8);
    assert_int_equal(scan("ae", 0x76), VLAPIC_DECODE_DONE); /* 76h - 77h */
    assert_int_equal(guest.reg[RCX], 9);
    assert_int_equal(guest.reg[VLAPIC_DECODE_RFLAGS], 2 | SF | AF | PF | CF);
    assert_int_equal(guest.reg[RAX], 0x76);
    assert_int_equal(guest.reg[RDI], APIC_PAGE + 0x21);
}

static void an_exit_that_does_not_fit_changes_nothing(void **state)
{
    struct guest before;

    (void)state;
    prepare_operands(0x55, 4, 1, 0);
    before = guest;
    assert_int_equal(run(MODE_64, "89 1f", APIC_PAGE + 0x20, false), VLAPIC_DECODE_MISMATCH);
    assert_int_equal(run(MODE_64, "8b 1f", APIC_PAGE + 0x20, true), VLAPIC_DECODE_MISMATCH);
    assert_int_equal(run(MODE_64, "39 1f", APIC_PAGE + 0x20, true), VLAPIC_DECODE_MISMATCH);
    assert_int_equal(run(MODE_64, "89 1f", APIC_PAGE + 0x24, true), VLAPIC_DECODE_MISMATCH);
    assert_int_equal(run(MODE_64, "a5", APIC_PAGE + 0x24, true), VLAPIC_DECODE_MISMATCH);
    assert_string_equal(guest.log, "");
    assert_unchanged(&before);
    assert_int_equal(run(MODE_64, "89 1f", 0x123456020ull, true),
                     VLAPIC_DECODE_DONE); /* the page's address does not matter */
}

static void an_access_that_leaves_the_page_is_unsupported(void **state)
{
    (void)state;
    prepare_operands(0, 4, 0, 0);
    guest.reg[RDI] = APIC_PAGE + 0xFFD;
    assert_int_equal(run(MODE_64, "89 1f", APIC_PAGE + 0xFFD, true), VLAPIC_DECODE_UNSUPPORTED);
    assert_int_equal(run(MODE_64, "89 1f", APIC_PAGE + 0x1000, true), VLAPIC_DECODE_UNSUPPORTED);
    guest.reg[RDI] = APIC_PAGE + 0xFFC;
    assert_int_equal(run(MODE_64, "89 1f", APIC_PAGE + 0xFFC, true), VLAPIC_DECODE_DONE);
}

static struct vlapic_decode_address address_of(enum vlapic_decode_mode mode, const char *text)
{
    struct vlapic_decode_insn insn = decoded(mode, text);
    struct vlapic_decode_address address;

    assert_int_equal(vlapic_decode_address(&insn, &guest.ops, &guest, false, &address), VLAPIC_DECODE_DONE);
    return address;
}

/* SDM 1, "Specifying an Offset": base + index * scale + displacement, cut to the address size. */
static void addresses_are_computed_in_the_address_size(void **state)
{
    (void)state;
    new_guest();
    guest.reg[RAX] = 0xFFFFFFFF00000010ull;
    guest.reg[RCX] = 0x1000000000000001ull;
    guest.reg[VLAPIC_DECODE_RIP] = 0xFFFFFFFFFFFFF000ull;
    assert_int_equal(address_of(MODE_64, "8b 44 c8 f0").effective, 0x7FFFFFFF00000008ull);
    assert_int_equal(address_of(MODE_64, "67 8b 44 c8 f0").effective, 0x8);
    assert_int_equal(address_of(MODE_64, "8b 05 00 20 00 00").effective, 0x1006);
    assert_int_equal(address_of(MODE_64, "81 05 00 00 00 00 01 02 03 04").effective, 0xFFFFFFFFFFFFF00Aull);
    assert_int_equal(address_of(MODE_64, "67 8b 05 00 00 00 00").effective, 0xFFFFF007);
    assert_int_equal(address_of(MODE_32, "8b 80 00 00 e0 fe").effective, 0xFEE00010);
    guest.reg[RBX] = 0xFFFF;
    guest.reg[RSI] = 2;
    assert_int_equal(address_of(MODE_16, "8b 00").effective, 1);
}

static void segment_bases_are_added(void **state)
{
    struct vlapic_decode_address address;

    (void)state;
    new_guest();
    for (unsigned i = 0; i < 6; i++) {
        guest.bases[i] = 0xF00000000ull + 0x1000000 * i;
    }
    guest.reg[RAX] = 0xFFFFFFF0;
    address = address_of(MODE_32, "8b 00");
    assert_int_equal(address.segment, VLAPIC_DECODE_DS);
    assert_int_equal(address.linear, 0x02FFFFF0); /* 32 bits */
    assert_int_equal(address_of(MODE_32, "26 8b 00").linear, 0xFFFFFFF0);
    assert_int_equal(address_of(MODE_64, "8b 00").linear, 0xFFFFFFF0); /* base 0, not asked for */
    assert_int_equal(address_of(MODE_64, "65 8b 00").linear, 0xFFFFFFF0 + 0xF05000000ull);
    guest.ops.segment_base = NULL;
    assert_int_equal(address_of(MODE_64, "65 8b 00").linear, 0xFFFFFFF0);
    assert_int_equal(address_of(MODE_32, "8b 00").linear, 0xFFFFFFF0);
}

static void movs_has_two_addresses(void **state)
{
    struct vlapic_decode_insn movs = decoded(MODE_64, "65 a4"), lods = decoded(MODE_64, "65 ac");
    struct vlapic_decode_address source, target;

    (void)state;
    new_guest();
    guest.bases[VLAPIC_DECODE_GS] = 0x100;
    vlapic_decode_address(&movs, &guest.ops, &guest, false, &source);
    vlapic_decode_address(&movs, &guest.ops, &guest, true, &target);
    assert_int_equal(source.linear, 0x6666666666666766ull);
    assert_int_equal(target.linear, 0x7777777777777777ull);
    vlapic_decode_address(&lods, &guest.ops, &guest, true, &target);
    assert_int_equal(target.linear, source.linear);
}

static enum vlapic_decode_status run_store(const struct vlapic_decode_ops *ops)
{
    struct vlapic_decode_insn insn = decoded(MODE_64, "89 1f");
    struct vlapic_decode_address address;
    enum vlapic_decode_status status = vlapic_decode_execute(&insn, ops, &guest, APIC_PAGE + 0x20, true);

    assert_int_equal(vlapic_decode_address(&insn, ops, &guest, true, &address), status);
    return status;
}

static void a_bad_table_is_refused(void **state)
{
    struct vlapic_decode_ops ops;
    struct vlapic_decode_insn nothing = { .length = 0 };

    (void)state;
    prepare_operands(0, 4, 0, 0);
    assert_int_equal(run_store(&guest.ops), VLAPIC_DECODE_DONE);
    ops = guest.ops, ops.abi = 2;
    assert_int_equal(run_store(&ops), VLAPIC_DECODE_INVALID);
    ops = guest.ops, ops.size = offsetof(struct vlapic_decode_ops, apic_write);
    assert_int_equal(run_store(&ops), VLAPIC_DECODE_INVALID);
    ops = guest.ops, ops.read_register = NULL;
    assert_int_equal(run_store(&ops), VLAPIC_DECODE_INVALID);
    ops = guest.ops, ops.write_register = NULL;
    assert_int_equal(run_store(&ops), VLAPIC_DECODE_INVALID);
    ops = guest.ops, ops.apic_read = NULL;
    assert_int_equal(run_store(&ops), VLAPIC_DECODE_INVALID);
    ops = guest.ops, ops.apic_write = NULL;
    assert_int_equal(run_store(&ops), VLAPIC_DECODE_INVALID);
    assert_int_equal(vlapic_decode_execute(&nothing, &guest.ops, &guest, APIC_PAGE, true), VLAPIC_DECODE_INVALID);
}

static void members_beyond_the_tables_size_are_null(void **state)
{
    (void)state;
    prepare_operands(0, 4, 0, 0);
    guest.bases[VLAPIC_DECODE_DS] = 0x1000;
    assert_int_equal(address_of(MODE_32, "8b 07").linear, APIC_PAGE + 0x1020);
    guest.ops.size = offsetof(struct vlapic_decode_ops, segment_base);
    assert_int_equal(address_of(MODE_32, "8b 07").linear, APIC_PAGE + 0x20);
    assert_int_equal(run_store(&guest.ops), VLAPIC_DECODE_DONE);
    assert_int_equal(run(MODE_64, "a4", APIC_PAGE + 0x20, true), VLAPIC_DECODE_UNSUPPORTED);
    guest.ops.size = sizeof(guest.ops) + 8; /* a newer embedder */
    assert_int_equal(run_store(&guest.ops), VLAPIC_DECODE_DONE);
}

/* The handler of the header's example, on a real APIC. */

static struct fake_vm fake;
static uint64_t fake_registers[18];

static uint64_t vcpu_register(void *cookie, uint32_t reg)
{
    (void)cookie;
    return fake_registers[reg];
}

static void vcpu_set_register(void *cookie, uint32_t reg, uint64_t value)
{
    (void)cookie;
    fake_registers[reg] = value;
}

static bool vcpu_apic_read(void *cookie, uint32_t offset, uint32_t width, uint64_t *value)
{
    return vlapic_cpu_mmio_read(cookie, offset, width, value) == VLAPIC_ACCESS_DONE;
}

static bool vcpu_apic_write(void *cookie, uint32_t offset, uint32_t width, uint64_t value)
{
    return vlapic_cpu_mmio_write(cookie, offset, width, value) == VLAPIC_ACCESS_DONE;
}

static const struct vlapic_decode_ops vcpu_ops = { .size = sizeof(vcpu_ops),
                                                   .abi = VLAPIC_DECODE_ABI,
                                                   .read_register = vcpu_register,
                                                   .write_register = vcpu_set_register,
                                                   .apic_read = vcpu_apic_read,
                                                   .apic_write = vcpu_apic_write };

static bool handle_exit(struct vlapic_cpu *cpu, const char *text, uint64_t gpa, bool is_write)
{
    uint8_t bytes[VLAPIC_DECODE_MAX_LENGTH];
    size_t count = bytes_of(text, bytes);
    struct vlapic_decode_insn insn;
    enum vlapic_decode_status status = vlapic_decode_parse(MODE_32, bytes, count, &insn);

    if (status == VLAPIC_DECODE_DONE) {
        status = vlapic_decode_execute(&insn, &vcpu_ops, cpu, gpa, is_write);
    }
    switch (status) {
    case VLAPIC_DECODE_DONE:
        fake_registers[VLAPIC_DECODE_RIP] += insn.length;
        return true;
    case VLAPIC_DECODE_AGAIN:
    case VLAPIC_DECODE_FAULT:
    case VLAPIC_DECODE_MISMATCH:
        return true;
    default:
        return false;
    }
}

static void an_exit_handler_is_short(void **state)
{
    struct vlapic_cpu *cpu;
    uint64_t value = 0;

    (void)state;
    fake_vm_prepare(&fake, VLAPIC_VENDOR_INTEL);
    fake_vm_start(&fake, 1, NULL);
    cpu = fake_cpu_at(&fake, 0);
    memset(fake_registers, 0, sizeof(fake_registers));
    assert_true(handle_exit(cpu, "c7 05 80 00 e0 fe 40 00 00 00", APIC_PAGE + 0x80, true)); /* TPR := 40h */
    assert_int_equal(fake_registers[VLAPIC_DECODE_RIP], 10);
    assert_int_equal(vlapic_cpu_cr8_read(cpu), 4);
    assert_true(handle_exit(cpu, "a1 80 00 e0 fe", APIC_PAGE + 0x80, false));
    assert_int_equal(fake_registers[RAX], 0x40);
    assert_true(handle_exit(cpu, "81 0d f0 00 e0 fe 00 01 00 00", APIC_PAGE + 0xF0, true)); /* OR SVR, 100h */
    assert_int_equal(vlapic_cpu_mmio_read(cpu, 0xF0, 4, &value), VLAPIC_ACCESS_DONE);
    assert_int_equal(value, 0x1FF);
    fake_registers[RAX] = 0x10;
    assert_true(handle_exit(cpu, "87 05 80 00 e0 fe", APIC_PAGE + 0x80, true)); /* XCHG [TPR], EAX */
    assert_int_equal(fake_registers[RAX], 0x40);
    assert_int_equal(vlapic_cpu_cr8_read(cpu), 1);
    assert_false(handle_exit(cpu, "0f 10 05 80 00 e0 fe", APIC_PAGE + 0x80, false)); /* MOVUPS */
    assert_true(handle_exit(cpu, "a1 80 00 e0 fe", APIC_PAGE + 0x84, false));
    assert_int_equal(fake_registers[VLAPIC_DECODE_RIP], 31);
    fake_vm_stop(&fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_is_decoded),
        cmocka_unit_test(nothing_else_is_decoded),
        cmocka_unit_test(some_opcodes_depend_on_the_mode),
        cmocka_unit_test(operand_size_comes_from_mode_and_prefixes),
        cmocka_unit_test(the_register_of_an_extension_has_the_operand_size),
        cmocka_unit_test(every_address_form_is_decoded),
        cmocka_unit_test(segments_are_overridden_by_the_last_prefix),
        cmocka_unit_test(high_bytes_exist_without_rex_only),
        cmocka_unit_test(rex_counts_directly_before_the_opcode),
        cmocka_unit_test(immediates_are_sign_extended),
        cmocka_unit_test(lock_is_for_read_modify_write),
        cmocka_unit_test(repeat_prefixes_count_for_strings),
        cmocka_unit_test(fewer_bytes_are_truncated_and_more_do_not_matter),
        cmocka_unit_test(every_part_can_be_missing),
        cmocka_unit_test(no_instruction_has_sixteen_bytes),
        cmocka_unit_test(there_are_three_modes),
        cmocka_unit_test(stores_write_once),
        cmocka_unit_test(loads_merge_or_extend),
        cmocka_unit_test(the_accumulator_has_its_own_forms),
        cmocka_unit_test(exchange_reads_once_then_writes_once),
        cmocka_unit_test(arithmetic_sets_results_and_flags),
        cmocka_unit_test(bit_instructions_use_the_bit),
        cmocka_unit_test(a_bit_offset_in_a_register_moves_the_operand),
        cmocka_unit_test(a_failed_callback_changes_nothing),
        cmocka_unit_test(movs_copies_from_the_page_or_to_it),
        cmocka_unit_test(movs_whose_memory_faults_changes_nothing),
        cmocka_unit_test(movs_needs_the_callback_of_its_other_operand),
        cmocka_unit_test(source_and_destination_of_movs_have_their_segments),
        cmocka_unit_test(stos_and_lods_use_the_accumulator),
        cmocka_unit_test(rep_does_one_iteration_a_call),
        cmocka_unit_test(rep_counts_in_the_address_size),
        cmocka_unit_test(scas_ends_by_the_zero_flag),
        cmocka_unit_test(an_exit_that_does_not_fit_changes_nothing),
        cmocka_unit_test(an_access_that_leaves_the_page_is_unsupported),
        cmocka_unit_test(addresses_are_computed_in_the_address_size),
        cmocka_unit_test(segment_bases_are_added),
        cmocka_unit_test(movs_has_two_addresses),
        cmocka_unit_test(a_bad_table_is_refused),
        cmocka_unit_test(members_beyond_the_tables_size_are_null),
        cmocka_unit_test(an_exit_handler_is_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
