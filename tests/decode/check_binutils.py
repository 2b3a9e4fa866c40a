#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Compares the access decoder with GNU binutils over some hundred thousand instructions, and counts them.

The assembler: instructions written from known operations and operands must come back as the same ones.
The disassembler: of enumerated and random bytes, the decoder must know exactly those instructions that it promises, and say the
same of them. usage: check_binutils.py DECODE_DUMP [SEED]     status 77: there are no binutils for x86"""
import itertools
import pathlib
import random
import re
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True

from x86 import (ADDRESS_WIDTHS, HIGH, MODES, POINTERS, REGISTERS, SEGMENTS, STRINGS, SUFFIX, Instruction, immediate_width,
                 may_lock, memory, of_dump, of_objdump)

ARITHMETIC = ("add", "or", "adc", "sbb", "and", "sub", "xor", "cmp")
UNARY = ("not", "neg", "inc", "dec")
BITS = ("bt", "bts", "btr", "btc")
ASSEMBLED = 20000  # a mode
RANDOM = 20000
SHOWN = 20

ONE_BYTE = ([o + i for o in range(0, 0x40, 8) for i in range(4)] + [0x63] + list(range(0x80, 0x8C)) + list(range(0xA0, 0xA6)) +
            list(range(0xAA, 0xB0)) + [0xC6, 0xC7, 0xF6, 0xF7, 0xFE, 0xFF])
TWO_BYTE = [0xA3, 0xAB, 0xB3, 0xB6, 0xB7, 0xBA, 0xBB, 0xBE, 0xBF]
LEGACY = [0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x66, 0x67, 0xF0, 0xF2, 0xF3]


def run(*command, **options):
    result = subprocess.run([str(c) for c in command], text=True, capture_output=True, **options)
    if result.returncode != 0:
        sys.exit(f"{command[0]}: {result.stderr[:2000]}")
    return result.stdout


def dump(driver, mode, rows):
    lines = "".join(f"{mode} {row.hex()}\n" for row in rows)
    return [of_dump(line) for line in run(driver, input=lines).splitlines()]


class Report:
    def __init__(self):
        self.compared, self.known, self.faults = 0, 0, 0
        self.distinct = set()

    def compare(self, mode, row, expected, actual, text):
        self.compared += 1
        if actual is not None:
            self.known += 1
            self.distinct.add((mode, row[:actual.length]))
        if expected != actual:
            self.faults += 1
            if self.faults <= SHOWN:
                print(f"{mode}-bit {row.hex(' ')}  {text}\n  expected {expected}\n  decoded  {actual}")


# Known instructions, for the assembler, in AT&T's syntax since that says everything aloud.

def operand_widths(mode):
    return (1, 2, 4, 8) if mode == 64 else (1, 2, 4)


def pick_register(rng, mode, width):
    names = REGISTERS[width][:16 if mode == 64 else 8]
    if width == 1:
        names = names if mode == 64 else names[:4]
        names = names + HIGH
    return rng.choice(names)


def pick_displacement(rng, bits):
    limit = 1 << rng.choice([b for b in (7, 15, 31) if b < bits])
    return rng.choice([0, 1, -1, limit - 1, -limit, rng.randrange(-limit, limit), rng.randrange(-limit, limit)])


def pick_memory(rng, mode, plain=False):
    """plain: no register that needs a REX."""
    width = ADDRESS_WIDTHS[mode][rng.random() < 0.25]
    segment = rng.choice(SEGMENTS if mode != 64 else ("fs", "gs")) if rng.random() < 0.2 else ""
    if width == 2:
        base, index = rng.choice([("bx", "si"), ("bx", "di"), ("bp", "si"), ("bp", "di"), ("si", ""), ("di", ""), ("bp", ""),
                                  ("bx", ""), ("", "")])
        width = 2 if base else ADDRESS_WIDTHS[mode][0]
        return memory(segment, base, index, 1, pick_displacement(rng, 8 * width), width)
    names = REGISTERS[width][:16 if mode == 64 and not plain else 8]
    if mode == 64 and rng.random() < 0.1:
        return memory(segment, POINTERS[width], "", 1, pick_displacement(rng, 32), width)
    base = rng.choice(names) if rng.random() < 0.85 else ""
    index = rng.choice([n for n in names if n not in ("rsp", "esp")]) if rng.random() < 0.6 else ""
    if not base and not index:  # the address size shows in the registers alone
        width = ADDRESS_WIDTHS[mode][0]
    return memory(segment, base, index, rng.choice((1, 2, 4, 8)), pick_displacement(rng, min(8 * width, 32)), width)


def write_memory(place):
    """Segment prefixes that are the default anyway are left out."""
    bits = 8 * place.address_width
    displacement = place.displacement - (1 << bits if place.displacement >> (bits - 1) else 0)
    prefix = f"%{place.segment}:" if place != memory("", *place[1:]) else ""
    inside = f"%{place.base}" if place.base else ""
    if place.index:
        inside += f",%{place.index}" + ("" if place.address_width == 2 else f",{place.scale}")
    number = "" if displacement == 0 and inside else hex(displacement)
    return f"{prefix}{number}" + (f"({inside})" if inside else "")


def with_immediate(rng, name, width):
    bits = min(8 * immediate_width(name, width), 32)
    value = rng.choice([0, 1, -1, 127, 128, -128, (1 << (bits - 1)) - 1, -(1 << (bits - 1)), rng.getrandbits(bits - 1)])
    if name in BITS:
        value %= 64
    elif not -(1 << (bits - 1)) <= value < 1 << (bits - 1):
        value = 1
    return value % (1 << 8 * immediate_width(name, width)), f"${value}"


def pick_two_operands(rng, mode):
    """Operation, width, the other operand, its text, whether memory comes first (in Intel's order)."""
    kind = rng.choice(("arithmetic", "arithmetic", "mov", "mov", "test", "xchg", "bits"))
    name = {"arithmetic": rng.choice(ARITHMETIC), "bits": rng.choice(BITS)}.get(kind, kind)
    width = rng.choice(operand_widths(mode)[kind == "bits":])
    first = kind in ("test", "xchg", "bits") or rng.random() < 0.6
    if first and kind != "xchg" and rng.random() < 0.4:
        return (name, width, *with_immediate(rng, name, width), True)
    register = pick_register(rng, mode, width)
    return name, width, register, f"%{register}", first


def two_operands(rng, mode):
    name, width, other, text, first = pick_two_operands(rng, mode)
    place = pick_memory(rng, mode, plain=other in HIGH)
    lock = may_lock(name, first) and rng.random() < 0.3
    where = write_memory(place)
    operands = f"{text}, {where}" if first else f"{where}, {text}"
    return (f"{'lock ' if lock else ''}{name}{SUFFIX[width]} {operands}",
            Instruction(0, name, width, place, other, first, lock, ""))


def one_operand(rng, mode):
    name, width = rng.choice(UNARY), rng.choice(operand_widths(mode))
    place = pick_memory(rng, mode)
    lock = rng.random() < 0.3
    return (f"{'lock ' if lock else ''}{name}{SUFFIX[width]} {write_memory(place)}",
            Instruction(0, name, width, place, None, True, lock, ""))


def extension(rng, mode):
    wide = rng.choice(operand_widths(mode)[1:])
    narrow = rng.choice([w for w in (1, 2, 4) if w < wide])
    name = "movsx" if narrow == 4 else rng.choice(("movsx", "movzx"))
    place, register = pick_memory(rng, mode), pick_register(rng, mode, wide)
    return (f"{name[:-1]}{SUFFIX[narrow]}{SUFFIX[wide]} {write_memory(place)}, %{register}",
            Instruction(0, name, narrow, place, register, False, False, ""))


def string(rng, mode):
    name, width = rng.choice(STRINGS), rng.choice(operand_widths(mode))
    address_width = ADDRESS_WIDTHS[mode][rng.random() < 0.3]
    si, di = REGISTERS[address_width][6:8]
    source = memory(rng.choice(SEGMENTS if mode != 64 else ("fs", "gs")) if rng.random() < 0.3 else "", si, "", 1, 0, address_width)
    target = memory("es", di, "", 1, 0, address_width)
    register = REGISTERS[width][0]
    repeat = rng.choice(("", "", "rep", "repne" if name == "scas" else "rep"))
    where = {"movs": f"{write_memory(source)}, %es:(%{di})", "stos": f"%{register}, %es:(%{di})",
             "lods": f"{write_memory(source)}, %{register}", "scas": f"%es:(%{di}), %{register}"}[name]
    return (f"{repeat} {name}{SUFFIX[width]} {where}",
            Instruction(0, name, width, source if name in ("movs", "lods") else target, None if name == "movs" else register,
                        name in ("movs", "stos"), False, repeat))


def absolute_offset(rng, mode):
    """A0..A3 with an address of full size."""
    width, first = rng.choice(operand_widths(mode)), rng.random() < 0.5
    register = REGISTERS[width][0]
    place = memory(rng.choice(("fs", "gs", "")), "", "", 1, rng.getrandbits(8 * ADDRESS_WIDTHS[mode][0]), ADDRESS_WIDTHS[mode][0])
    segment = "" if place.segment == "ds" else f"%{place.segment}:"
    where = f"{segment}{hex(place.displacement)}"
    operands = f"%{register}, {where}" if first else f"{where}, %{register}"
    return (f"{'movabs' if mode == 64 else 'mov'}{SUFFIX[width]} {operands}",
            Instruction(0, "mov", width, place, register, first, False, ""))


def longer(rng, text, place):
    """The same, sometimes in an encoding that is not the shortest."""
    displacement = "{disp16} " if place.address_width == 2 else "{disp32} "
    return rng.choice((displacement, "{load} ", "{store} ", "", "", "", "", "")) + text


def known_instructions(rng, mode, count):
    makers = [two_operands] * 8 + [one_operand, extension, string, absolute_offset]
    for _ in range(count):
        text, expected = rng.choice(makers)(rng, mode)
        yield (text if expected.operation in STRINGS else longer(rng, text, expected.memory)), expected


def assemble(folder, mode, texts):
    """The bytes of each."""
    source = [f".code{mode}"] + [f"x{i}: {text}" for i, text in enumerate(texts)] + [f"x{len(texts)}:", ".section .lengths"]
    source += [f".byte x{i + 1} - x{i}" for i in range(len(texts))]
    (folder / "known.s").write_text("\n".join(source) + "\n")
    run("as", "--64" if mode == 64 else "--32", folder / "known.s", "-o", folder / "known.o")
    for section in (".text", ".lengths"):
        run("objcopy", "-O", "binary", "-j", section, "--set-section-flags", ".lengths=alloc", folder / "known.o",
            folder / f"known{section}")
    text, lengths = (folder / "known.text").read_bytes(), (folder / "known.lengths").read_bytes()
    at = 0
    for length in lengths:
        yield text[at:at + length]
        at += length


def check_assembler(driver, folder, rng, report):
    for mode in MODES:
        known = list(known_instructions(rng, mode, ASSEMBLED))
        rows = list(assemble(folder, mode, [text for text, _ in known]))
        for (text, expected), row, actual in zip(known, rows, dump(driver, mode, rows), strict=True):
            report.compare(mode, row, expected._replace(length=len(row)), actual, text)


# Bytes, for the disassembler.

def random_bytes(rng, count):
    return rng.getrandbits(8 * count).to_bytes(count, "little") if count > 0 else b""


def filled(rng, *parts):
    row = b"".join(parts)
    return row + random_bytes(rng, 15 - len(row))


def opcodes():
    yield from (bytes([o]) for o in range(256) if o != 0x0F)
    yield from (bytes([0x0F, o]) for o in range(256))


def in_scope():
    return [bytes([o]) for o in ONE_BYTE] + [bytes([0x0F, o]) for o in TWO_BYTE]


def enumerated(rng):
    """Every opcode of both maps; those of the decoder's with every ModR/M byte, some of them with every SIB byte."""
    known = set(in_scope())
    for opcode in opcodes():
        step = 1 if opcode in known else 11
        yield from (filled(rng, opcode, bytes([modrm])) for modrm in range(rng.randrange(step), 256, step))
    for opcode in (b"\x8b", b"\x81", b"\x0f\xb6"):
        yield from (filled(rng, opcode, bytes([modrm & 0xC7 | 4, sib])) for modrm in (0x00, 0x40, 0x80) for sib in range(256))


def with_prefixes(rng, mode, count):
    known = in_scope()
    for _ in range(count):
        prefixes = bytes(rng.choice(LEGACY) for _ in range(rng.choice((0, 1, 1, 2, 3, 4))))
        rex = bytes([rng.randrange(0x40, 0x50)]) if mode == 64 and rng.random() < 0.6 else b""
        if mode == 64 and rng.random() < 0.05:
            prefixes += bytes([rng.randrange(0x40, 0x50)]) + bytes(rng.choices(LEGACY, k=rng.randrange(2)))
        yield filled(rng, prefixes, rex, rng.choice(known))


def without_dead_rex(row):
    """A REX that is not directly before the opcode has no effect; objdump shows it as an instruction of its own."""
    at = 0
    while at < len(row) and (row[at] in LEGACY or row[at] & 0xF0 == 0x40):
        at += 1
    return bytes(b for i, b in enumerate(row[:at]) if b in LEGACY or i == at - 1) + row[at:]


def legacy_prefixes(row):
    return itertools.takewhile(lambda byte: byte in LEGACY, row)


def disassemble(folder, mode, rows):
    """Length and text of the first instruction of each row. A label makes objdump start anew."""
    lines = [f"x{i}: .byte " + ",".join(map(str, row.ljust(16, b"\x90"))) for i, row in enumerate(rows)]
    (folder / "rows.s").write_text("\n".join(lines) + "\n")
    run("as", "--64" if mode == 64 else "--32", folder / "rows.s", "-o", folder / "rows.o")
    machine = {16: "i8086", 32: "i386", 64: "i386:x86-64"}[mode]
    listing = run("objdump", "-d", "-M", "intel", "-m", machine, "--insn-width=16", folder / "rows.o")
    found = re.findall(r"<x\d+>:\n +[0-9a-f]+:\t((?:[0-9a-f]{2} )+) *\t?(.*)", listing)
    return [(octets.count(" "), text.strip()) for octets, text in found]


def rows_of(rng, mode):
    yield from enumerated(rng)
    yield from with_prefixes(rng, mode, RANDOM)
    yield from (random_bytes(rng, 15) for _ in range(RANDOM // 8))


def check_disassembler(driver, folder, rng, report):
    for mode in MODES:
        rows = list(dict.fromkeys(rows_of(rng, mode)))
        plain = [without_dead_rex(row) if mode == 64 else row for row in rows]
        shown = disassemble(folder, mode, plain)
        for row, live, (length, text), actual in zip(rows, plain, shown, dump(driver, mode, rows), strict=True):
            length += len(row) - len(live)
            expected = of_objdump(length, text, ADDRESS_WIDTHS[mode][0x67 in legacy_prefixes(live)]) if length <= 15 else None
            report.compare(mode, row, expected, actual, text)


def has_x86_binutils():
    try:
        return subprocess.run(["as", "--64", "/dev/null", "-o", "/dev/null"], capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


def main():
    if not has_x86_binutils():
        print("skipped: no binutils for x86")
        return 77
    driver, rng, report = sys.argv[1], random.Random(sys.argv[2] if len(sys.argv) > 2 else "binutils"), Report()
    with tempfile.TemporaryDirectory() as folder:
        check_assembler(driver, pathlib.Path(folder), rng, report)
        check_disassembler(driver, pathlib.Path(folder), rng, report)
    print(f"{report.compared} compared, {report.known} decoded, {len(report.distinct)} of them distinct, {report.faults} differ")
    return 0 if report.faults == 0 and len(report.distinct) >= 50000 else 1


sys.exit(main())
