/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The processor as the judge: random 64-bit instructions are run natively on two pages of memory, and by vlapic_decode_execute() on
 * copies of them; registers, memory and flags must come out the same. usage: decode_native [SEED]. Status 77: cannot run here.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vlapic/decode.h>

#if defined(__x86_64__) && defined(__linux__)

#include <asm/prctl.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE 4096u
#define ROUNDS 300000u
#define OPERATIONS 26u
#define LEAST 1000u /* comparisons of each operation */
#define GS_BASE 0x01234560u

#define STATUS_FLAGS 0x8D5u /* OF SF ZF AF PF CF */
#define DIRECTION_FLAG 0x400u
#define FIXED_FLAGS 0x202u

/* Everything that an instruction may change. */
struct machine {
    uint64_t gpr[16];
    uint64_t rflags;
    uint8_t pages[2][PAGE]; /* the one that plays the APIC's, and plain memory */
};

/* In the low 2 GiB, so that one absolute address form reaches all of it. */
struct arena {
    uint8_t code[PAGE];
    uint64_t gpr_in[16], gpr_out[16];
    uint64_t rflags_in, rflags_out, host_rsp;
    uint8_t filler[PAGE - 35 * 8];
    uint8_t pages[2][PAGE];
};

static struct arena *arena;
static uint64_t rip;       /* of the instruction in arena->code */
static sigjmp_buf crashed; /* out of the instruction */
static volatile sig_atomic_t is_running;
static unsigned compared[OPERATIONS];
static uint64_t random_state;

static uint64_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state * 0x2545F4914F6CDD1Dull;
}

static unsigned below(unsigned count)
{
    return (unsigned)(next_random() >> 40) % count;
}

/* The instruction and how to run it. */

struct code {
    uint8_t bytes[32];
    unsigned length;
    unsigned displacement_at; /* if there is one */
    bool has_modrm;
};

static void put(struct code *code, uint8_t byte)
{
    code->bytes[code->length++] = byte;
}

static void put_random(struct code *code, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        put(code, (uint8_t)(next_random() >> 56));
    }
}

static const uint8_t one_byte[] = { 0x00, 0x01, 0x02, 0x03, 0x08, 0x09, 0x0A, 0x0B, 0x10, 0x11, 0x12, 0x13, 0x18, 0x19,
                                    0x1A, 0x1B, 0x20, 0x21, 0x22, 0x23, 0x28, 0x29, 0x2A, 0x2B, 0x30, 0x31, 0x32, 0x33,
                                    0x38, 0x39, 0x3A, 0x3B, 0x63, 0x80, 0x81, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89,
                                    0x8A, 0x8B, 0xA0, 0xA1, 0xA2, 0xA3, 0xA4, 0xA5, 0xAA, 0xAB, 0xAC, 0xAD, 0xAE, 0xAF,
                                    0xC6, 0xC7, 0xF6, 0xF7, 0xF6, 0xF7, 0xFE, 0xFF, 0xFE, 0xFF };
static const uint8_t two_byte[] = { 0xA3, 0xAB, 0xB3, 0xB6, 0xB7, 0xBA, 0xBB, 0xBE, 0xBF };

static void make_prefixes(struct code *code)
{
    static const uint8_t prefixes[] = { 0x66, 0x66, 0x67, 0x67, 0xF0, 0xF2, 0xF3, 0x65, 0x65, 0x26, 0x2E, 0x36, 0x3E };

    for (unsigned i = below(4); i > 0; i--) {
        put(code, prefixes[below(sizeof(prefixes))]);
    }
    if (below(2) == 0) {
        put(code, (uint8_t)(0x40 + below(16)));
    }
}

/* True if a ModR/M byte follows: only A0..A3 have their address directly behind. */
static bool make_opcode(struct code *code)
{
    uint8_t opcode;

    if (below(4) == 0) {
        put(code, 0x0F);
        put(code, two_byte[below(sizeof(two_byte))]);
        return true;
    }
    opcode = one_byte[below(sizeof(one_byte))];
    put(code, opcode);
    return (opcode & 0xFC) != 0xA0;
}

static void make_modrm(struct code *code)
{
    uint8_t modrm = (uint8_t)(below(3) << 6 | below(64));

    put(code, modrm);
    if ((modrm & 7) == 4) {
        put_random(code, 1);
    }
}

static void make(struct code *code)
{
    code->length = 0;
    make_prefixes(code);
    code->has_modrm = make_opcode(code);
    if (code->has_modrm) {
        make_modrm(code);
    }
    code->displacement_at = code->length;
    put_random(code, 12);
}

static void emit_absolute(struct code *out, const char *opcode, unsigned reg, const void *where)
{
    uint32_t address = (uint32_t)(uintptr_t)where;

    while (*opcode != '\0') {
        put(out, (uint8_t)*opcode++);
    }
    put(out, (uint8_t)((reg & 7) << 3 | 4));
    put(out, 0x25);
    for (unsigned i = 0; i < 4; i++) {
        put(out, (uint8_t)(address >> (8 * i)));
    }
}

static uint8_t *append(uint8_t *at, const struct code *code)
{
    memcpy(at, code->bytes, code->length);
    return at + code->length;
}

static uint8_t *append_bytes(uint8_t *at, const char *bytes)
{
    memcpy(at, bytes, strlen(bytes));
    return at + strlen(bytes);
}

static uint8_t *append_absolute(uint8_t *at, const char *opcode, unsigned reg, const void *where)
{
    struct code code = { .length = 0 };

    emit_absolute(&code, opcode, reg, where);
    return append(at, &code);
}

/* Save the host's registers, load the guest's, leave room for the instruction. Returns where that goes. */
static uint8_t *emit_entry(uint8_t *at)
{
    at = append_bytes(at, "\x53\x55\x41\x54\x41\x55\x41\x56\x41\x57"); /* push rbx rbp r12..r15 */
    at = append_absolute(at, "\x48\x89", 4, &arena->host_rsp);
    at = append_absolute(at, "\xFF", 6, &arena->rflags_in);
    at = append_bytes(at, "\x9D"); /* popf */
    for (unsigned i = 0; i < 16; i++) {
        at = append_absolute(at, i < 8 ? "\x48\x8B" : "\x4C\x8B", i, &arena->gpr_in[i]);
    }
    return at;
}

static void emit_exit(uint8_t *at)
{
    for (unsigned i = 0; i < 16; i++) {
        at = append_absolute(at, i < 8 ? "\x48\x89" : "\x4C\x89", i, &arena->gpr_out[i]);
    }
    at = append_absolute(at, "\x48\x8B", 4, &arena->host_rsp);
    at = append_bytes(at, "\x9C"); /* pushf */
    at = append_absolute(at, "\x8F", 0, &arena->rflags_out);
    append_bytes(at, "\xFC\x41\x5F\x41\x5E\x41\x5D\x41\x5C\x5D\x5B\xC3"); /* cld; pop r15..r12 rbp rbx; ret */
}

static void on_crash(int number)
{
    if (!is_running) {
        signal(number, SIG_DFL);
        return;
    }
    siglongjmp(crashed, number);
}

static bool run_natively(const struct code *code, struct machine *machine)
{
    void (*entry)(void);
    uint8_t *at = (uint8_t *)(uintptr_t)rip;
    void *start = arena->code;

    memcpy(&entry, &start, sizeof(entry));
    emit_exit(append(at, code));
    memcpy(arena->gpr_in, machine->gpr, sizeof(arena->gpr_in));
    arena->rflags_in = machine->rflags;
    memcpy(arena->pages, machine->pages, sizeof(arena->pages));
    if (sigsetjmp(crashed, 1) != 0) {
        is_running = 0;
        return false;
    }
    is_running = 1;
    entry();
    is_running = 0;
    memcpy(machine->gpr, arena->gpr_out, sizeof(machine->gpr));
    machine->rflags = arena->rflags_out;
    memcpy(machine->pages, arena->pages, sizeof(machine->pages));
    return true;
}

/* The same by the library: a struct machine is the guest. */

static uint64_t read_register(void *cookie, uint32_t reg)
{
    const struct machine *machine = cookie;

    if (reg == VLAPIC_DECODE_RIP) {
        return rip;
    }
    return reg == VLAPIC_DECODE_RFLAGS ? machine->rflags : machine->gpr[reg];
}

static void write_register(void *cookie, uint32_t reg, uint64_t value)
{
    struct machine *machine = cookie;

    *(reg == VLAPIC_DECODE_RFLAGS ? &machine->rflags : &machine->gpr[reg]) = value;
}

static uint64_t segment_base(void *cookie, enum vlapic_decode_segment segment)
{
    (void)cookie;
    return segment == VLAPIC_DECODE_GS ? GS_BASE : 0;
}

static bool read_bytes(const uint8_t *from, uint32_t width, uint64_t *value)
{
    *value = next_random();
    memcpy(value, from, width);
    return true;
}

static bool apic_read(void *cookie, uint32_t offset, uint32_t width, uint64_t *value)
{
    return read_bytes(&((struct machine *)cookie)->pages[0][offset], width, value);
}

static bool apic_write(void *cookie, uint32_t offset, uint32_t width, uint64_t value)
{
    memcpy(&((struct machine *)cookie)->pages[0][offset], &value, width);
    return true;
}

static uint8_t *translate(void *cookie, const struct vlapic_decode_address *address)
{
    uint64_t offset = address->linear - (uintptr_t)arena->pages;

    return offset < 2 * PAGE - 8 ? &((struct machine *)cookie)->pages[0][0] + offset : NULL;
}

static bool memory_read(void *cookie, const struct vlapic_decode_address *address, uint32_t width, uint64_t *value)
{
    uint8_t *at = translate(cookie, address);

    return at != NULL && read_bytes(at, width, value);
}

static bool memory_write(void *cookie, const struct vlapic_decode_address *address, uint32_t width, uint64_t value)
{
    uint8_t *at = translate(cookie, address);

    if (at != NULL) {
        memcpy(at, &value, width);
    }
    return at != NULL;
}

static const struct vlapic_decode_ops ops = {
    .size = sizeof(ops),
    .abi = VLAPIC_DECODE_ABI,
    .read_register = read_register,
    .write_register = write_register,
    .apic_read = apic_read,
    .apic_write = apic_write,
    .segment_base = segment_base,
    .memory_read = memory_read,
    .memory_write = memory_write,
};

/* Each exit of a REP comes at the next element. */
static enum vlapic_decode_status run_by_library(const struct vlapic_decode_insn *insn, struct machine *machine,
                                                uint64_t where, bool write)
{
    uint64_t delta = (machine->rflags & DIRECTION_FLAG) != 0 ? 0 - (uint64_t)insn->width : insn->width;
    enum vlapic_decode_status status;

    do {
        status = vlapic_decode_execute(insn, &ops, machine, where, write);
        where += delta;
    } while (status == VLAPIC_DECODE_AGAIN);
    return status;
}

/* Choosing registers so that the operand lies where it may. */

static uint64_t linear_of(const struct vlapic_decode_insn *insn, struct machine *machine, bool write)
{
    struct vlapic_decode_address address = { 0 };

    vlapic_decode_address(insn, &ops, machine, write, &address);
    return address.linear;
}

static uint64_t mask_of(unsigned width)
{
    return width < 8 ? (1ull << (8 * width)) - 1 : UINT64_MAX;
}

/* The bits that do not count get noise. */
static void set_partly(uint64_t *reg, unsigned width, uint64_t value)
{
    *reg = (value & mask_of(width)) | (next_random() & ~mask_of(width));
}

static uint64_t inverse_of_odd(uint64_t value)
{
    uint64_t inverse = value;

    for (int i = 0; i < 6; i++) {
        inverse *= 2 - value * inverse;
    }
    return inverse;
}

/* value * factor == product, modulo 2^64, where there is such a value. */
static uint64_t divide(uint64_t product, unsigned factor)
{
    while (factor % 2 == 0) {
        factor /= 2;
        product >>= 1;
    }
    return product * inverse_of_odd(factor);
}

static void place_by_displacement(struct code *code, struct vlapic_decode_insn *insn, struct machine *machine,
                                  uint64_t where)
{
    uint64_t value = insn->displacement + where - linear_of(insn, machine, false);
    bool is_wide = insn->address_width == 8 && !code->has_modrm;
    unsigned count = is_wide ? 8 : 4;

    memcpy(&code->bytes[code->displacement_at], &value, count);
    insn->displacement = is_wide ? value : (uint64_t)(int64_t)(int32_t)value;
}

static void place(struct code *code, struct vlapic_decode_insn *insn, struct machine *machine, uint64_t where)
{
    bool has_base = insn->base < 16, has_index = insn->index < 16;
    unsigned factor = (has_base && (!has_index || insn->base != insn->index) ? 1u : 0) |
                      (has_index && !has_base ? 1u << insn->scale : 0) |
                      (has_base && insn->base == insn->index ? 1 + (1u << insn->scale) : 0);
    uint64_t *reg = &machine->gpr[has_base ? insn->base : insn->index & 15];

    if (factor == 0) {
        place_by_displacement(code, insn, machine, where);
        return;
    }
    *reg = 0;
    set_partly(reg, insn->address_width, divide(where - linear_of(insn, machine, false), factor));
}

static bool is_string(const struct vlapic_decode_insn *insn)
{
    return insn->operation >= VLAPIC_DECODE_OP_MOVS;
}

/* Somewhere in the page, with room for a few elements in either direction; within a cache line if it may lock the bus. */
static uint64_t pick_place(unsigned page, unsigned width)
{
    uint64_t offset = 64 + below(PAGE - 128);

    if (offset % 64 + width > 64) {
        offset &= ~7ull;
    }
    return (uintptr_t)arena->pages[page] + offset;
}

static uint64_t prepare_string(struct vlapic_decode_insn *insn, struct machine *machine, bool write)
{
    uint64_t base = insn->segment == VLAPIC_DECODE_GS ? GS_BASE : 0;
    uint64_t source = pick_place(write && below(4) != 0, insn->width);
    uint64_t target = pick_place(!write && insn->operation == VLAPIC_DECODE_OP_MOVS && below(4) != 0, insn->width);
    bool to_target = insn->operation == VLAPIC_DECODE_OP_MOVS ? write : insn->base == 7;

    set_partly(&machine->gpr[6], insn->address_width, source - base);
    set_partly(&machine->gpr[7], insn->address_width, target);
    /* With an ECX of zero, processors differ in whether RCX, RSI and RDI are zero-extended. No access, no exit: not ours. */
    set_partly(&machine->gpr[1], insn->address_width, below(5) + (insn->address_width == 4));
    if (below(2) == 0) {
        memcpy((uint8_t *)machine->pages + (target - (uintptr_t)arena->pages), &machine->gpr[0], insn->width);
    }
    return to_target ? target : source;
}

/* A bit offset that stays in the page. */
static void prepare_bits(struct vlapic_decode_insn *insn, struct machine *machine)
{
    set_partly(&machine->gpr[insn->reg], insn->width, (uint64_t)below(0x4000) - 0x2000);
}

static bool is_bit_string(const struct vlapic_decode_insn *insn)
{
    return insn->operation >= VLAPIC_DECODE_OP_BT && insn->operation <= VLAPIC_DECODE_OP_BTC &&
           insn->other == VLAPIC_DECODE_OTHER_REGISTER;
}

/* False if this instruction cannot be brought to an allowed place. */
static bool prepare(struct code *code, struct vlapic_decode_insn *insn, struct machine *machine, bool write,
                    uint64_t *where)
{
    if (is_string(insn)) {
        *where = prepare_string(insn, machine, write);
    } else {
        if (is_bit_string(insn)) {
            prepare_bits(insn, machine);
        }
        *where = pick_place(0, insn->width);
        place(code, insn, machine, *where);
    }
    code->length = insn->length;
    return linear_of(insn, machine, write) == *where;
}

static void fill(struct machine *machine)
{
    for (size_t i = 0; i < sizeof(*machine); i += 8) {
        uint64_t value = below(4) == 0 ? (next_random() & 1) - below(2) : next_random();

        memcpy((uint8_t *)machine + i, &value, 8);
    }
    machine->rflags = (next_random() & (STATUS_FLAGS | DIRECTION_FLAG)) | FIXED_FLAGS;
}

static uint64_t defined_flags(const struct vlapic_decode_insn *insn)
{
    switch (insn->operation) {
    case VLAPIC_DECODE_OP_AND:
    case VLAPIC_DECODE_OP_OR:
    case VLAPIC_DECODE_OP_XOR:
    case VLAPIC_DECODE_OP_TEST:
        return STATUS_FLAGS & ~0x10u;
    case VLAPIC_DECODE_OP_BT:
    case VLAPIC_DECODE_OP_BTS:
    case VLAPIC_DECODE_OP_BTR:
    case VLAPIC_DECODE_OP_BTC:
        return 0x41; /* ZF, CF */
    default:
        return STATUS_FLAGS;
    }
}

static void show(const struct code *code, const struct machine *native, const struct machine *ours)
{
    for (unsigned i = 0; i < code->length; i++) {
        printf("%02x ", code->bytes[i]);
    }
    printf("\n");
    for (unsigned i = 0; i < 16; i++) {
        if (native->gpr[i] != ours->gpr[i]) {
            printf("  register %u: processor %016llx, library %016llx\n", i, (unsigned long long)native->gpr[i],
                   (unsigned long long)ours->gpr[i]);
        }
    }
    printf("  rflags: processor %llx, library %llx; memory %s\n", (unsigned long long)native->rflags,
           (unsigned long long)ours->rflags,
           memcmp(native->pages, ours->pages, sizeof(native->pages)) == 0 ? "equal" : "differs");
}

static bool same(const struct vlapic_decode_insn *insn, const struct machine *native, const struct machine *ours)
{
    return memcmp(native->gpr, ours->gpr, sizeof(native->gpr)) == 0 &&
           ((native->rflags ^ ours->rflags) & (defined_flags(insn) | DIRECTION_FLAG)) == 0 &&
           memcmp(native->pages, ours->pages, sizeof(native->pages)) == 0;
}

/* One instruction; false if it came out otherwise. */
static bool compare_one(void)
{
    static struct machine native, ours;
    struct vlapic_decode_insn insn;
    struct code code;
    uint64_t where;
    bool write;

    make(&code);
    if (vlapic_decode_parse(VLAPIC_DECODE_MODE_64, code.bytes, code.length, &insn) != VLAPIC_DECODE_DONE) {
        return true;
    }
    write = insn.access == VLAPIC_DECODE_WRITE || (insn.access != VLAPIC_DECODE_READ && below(2) == 0);
    fill(&native);
    if (!prepare(&code, &insn, &native, write, &where)) {
        return true;
    }
    ours = native;
    compared[insn.operation]++;
    if (!run_natively(&code, &native)) {
        printf("crashed: ");
        show(&code, &native, &ours);
        return false;
    }
    if (run_by_library(&insn, &ours, where, write) != VLAPIC_DECODE_DONE || !same(&insn, &native, &ours)) {
        show(&code, &native, &ours);
        return false;
    }
    return true;
}

static bool set_up(void)
{
    static uint8_t signal_stack[64 * 1024];
    stack_t stack = { .ss_sp = signal_stack, .ss_size = sizeof(signal_stack) };
    struct sigaction action = { .sa_handler = on_crash, .sa_flags = SA_ONSTACK };
    void *memory = mmap(NULL, sizeof(*arena), PROT_READ | PROT_WRITE | PROT_EXEC,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);

    if (memory == MAP_FAILED || syscall(SYS_arch_prctl, ARCH_SET_GS, (unsigned long)GS_BASE) != 0) {
        return false;
    }
    arena = memory;
    rip = (uintptr_t)emit_entry(arena->code);
    sigaltstack(&stack, NULL);
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    sigaction(SIGILL, &action, NULL);
    return true;
}

int main(int argc, char **argv)
{
    unsigned total = 0, faults = 0, rare = 0;

    random_state = argc > 1 ? strtoull(argv[1], NULL, 0) | 1 : 0x9E3779B97F4A7C15ull;
    if (!set_up()) {
        printf("skipped: no executable memory below 2 GiB, or GS cannot be set\n");
        return 77;
    }
    for (unsigned i = 0; i < ROUNDS && faults < 10; i++) {
        faults += !compare_one();
    }
    for (unsigned i = 1; i < OPERATIONS; i++) {
        total += compared[i];
        if (compared[i] < LEAST) {
            printf("operation %u was compared %u times only\n", i, compared[i]);
            rare++;
        }
    }
    printf("%u instructions compared with the processor, %u differ\n", total, faults);
    return faults + rare == 0 ? 0 : 1;
}

#else

int main(void)
{
    printf("skipped: needs an x86-64 processor\n");
    return 77;
}

#endif
