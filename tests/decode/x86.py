# SPDX-License-Identifier: BSD-2-Clause
"""What the decoder's tests say about an instruction, and how it is written for and read from binutils."""
import re
import typing

MODES = (16, 32, 64)
ADDRESS_WIDTHS = {16: (2, 4), 32: (4, 2), 64: (8, 4)}  # without and with prefix 67
OPERATIONS = ("", "add", "or", "adc", "sbb", "and", "sub", "xor", "cmp", "test", "not", "neg", "inc", "dec", "bt", "bts", "btr",
              "btc", "xchg", "mov", "movzx", "movsx", "movs", "stos", "lods", "scas")
STRINGS = ("movs", "stos", "lods", "scas")
READ_ONLY = ("cmp", "test", "bt")
SEGMENTS = ("es", "cs", "ss", "ds", "fs", "gs")
WIDTH_NAMES = {"BYTE": 1, "WORD": 2, "DWORD": 4, "QWORD": 8}
SUFFIX = {1: "b", 2: "w", 4: "l", 8: "q"}

REGISTERS = {
    8: "rax rcx rdx rbx rsp rbp rsi rdi".split() + [f"r{i}" for i in range(8, 16)],
    4: "eax ecx edx ebx esp ebp esi edi".split() + [f"r{i}d" for i in range(8, 16)],
    2: "ax cx dx bx sp bp si di".split() + [f"r{i}w" for i in range(8, 16)],
    1: "al cl dl bl spl bpl sil dil".split() + [f"r{i}b" for i in range(8, 16)],
}
HIGH = ["ah", "ch", "dh", "bh"]
WIDTH_OF = {name: width for width, names in REGISTERS.items() for name in names} | {name: 1 for name in HIGH}
POINTERS = {8: "rip", 4: "eip"}


class Memory(typing.NamedTuple):
    segment: str
    base: str  # "" for none
    index: str
    scale: int  # 1, 2, 4, 8; 1 without index
    displacement: int  # modulo the address size
    address_width: int


class Instruction(typing.NamedTuple):
    length: int
    operation: str
    width: int
    memory: Memory
    other: object  # a register's name, an immediate modulo the operand's width, or None
    memory_first: bool
    lock: bool
    repeat: str  # "", "rep", "repne"


def default_segment(base):
    return "ss" if base in ("rsp", "esp", "sp", "rbp", "ebp", "bp") else "ds"


def memory(segment, base, index, scale, displacement, address_width):
    """Normal form: every operand has one."""
    return Memory(segment or default_segment(base), base, index, scale if index else 1,
                  displacement % (1 << 8 * address_width), address_width)


def immediate_width(operation, width):
    return 1 if operation.startswith("bt") else width


def of_dump(line):
    """What decode_dump printed; None unless decoded. Also checks what can be derived from the rest."""
    fields = [int(f) for f in line.split()]
    if fields[0] != 0:
        return None
    (length, operation, access, width, kind, other_width, reg, high, first, lock, repeat, segment, address_width, base, index,
     scale, displacement, immediate) = fields[1:]
    name = OPERATIONS[operation]
    wide = name in ("movzx", "movsx")
    assert access == access_of(name, first), line
    assert other_width >= width if wide else other_width == width, line
    other = None
    if kind == 1:
        other = HIGH[reg] if high else REGISTERS[other_width][reg]
    elif kind == 2:
        other = immediate % (1 << 8 * immediate_width(name, width))
    place = memory(SEGMENTS[segment], address_register(base, address_width), address_register(index, address_width), 1 << scale,
                   displacement, address_width)
    return Instruction(length, name, width, place, other, bool(first), bool(lock), ("", "rep", "repne")[repeat])


def address_register(number, width):
    if number == 255:
        return ""
    return POINTERS[width] if number == 16 else REGISTERS[width][number]


def access_of(name, memory_first):
    if not memory_first or name in READ_ONLY:
        return 1
    return 2 if name in ("mov", "stos") else 3


def may_lock(name, memory_first):
    return access_of(name, memory_first) == 3 and name != "movs"


# What objdump prints, in Intel's syntax.
PREFIX = re.compile(r"(lock|repn?[ze]|rep|xacquire|xrelease|bnd|notrack|data16|data32|addr16|addr32|[c-gs]s|rex(?:\.\w+)?)\s+")
OPERAND = re.compile(r"(?:(?P<width>\w+) PTR )?(?:(?P<segment>[c-gs]s):)?(?:\[(?P<inside>[^\]]+)\]|(?P<absolute>0x[0-9a-f]+))$")
TERM = re.compile(r"([+-]?)(?:([a-z]\w*)(?:\*(\d))?|0x([0-9a-f]+))")


def split_prefixes(text):
    prefixes = []
    while match := PREFIX.match(text):
        prefixes.append(match[1])
        text = text[match.end():]
    return prefixes, text


def read_memory(match, address_width):
    base, index, scale, displacement = "", "", 1, 0
    if match["absolute"]:
        displacement = int(match["absolute"], 16)
    for sign, register, factor, number in TERM.findall(match["inside"] or ""):
        if number:
            displacement += int(sign + number, 16)
            continue
        address_width = 8 if register in ("rip", "riz") else 4 if register in ("eip", "eiz") else WIDTH_OF[register]
        if register in ("riz", "eiz"):
            continue
        if factor or base:
            index, scale = register, int(factor or 1)
        else:
            base = register
    return memory(match["segment"], base, index, scale, displacement, address_width)


def of_objdump(length, text, address_width):
    """What objdump's text means; None if it is not one of the instructions that the decoder promises to know. Of an operand without
    registers, the text does not show the address size."""
    prefixes, text = split_prefixes(text)
    name, _, rest = text.split("#")[0].strip().partition(" ")
    name = {"movabs": "mov", "movsxd": "movsx"}.get(name, name)
    operands = [o.strip() for o in rest.split(",")]
    places = [OPERAND.match(o) for o in operands]
    if name not in OPERATIONS or not any(p and (p["inside"] or p["segment"]) for p in places):
        return None
    return build(length, name, operands, places, address_width, prefixes)


def build(length, name, operands, places, address_width, prefixes):
    first = bool(places[0] and (places[0]["inside"] or places[0]["segment"]))
    place = places[1] if name == "movs" or not first else places[0]
    other = operands[1 if first else 0] if len(operands) == 2 and name != "movs" else None
    if other in SEGMENTS + ("?",):
        return None
    width = WIDTH_NAMES[place["width"]] if place["width"] else WIDTH_OF[other]
    if name == "movsx" and WIDTH_OF[other] < width or "lock" in prefixes and not may_lock(name, first):
        return None
    if other is not None and other not in WIDTH_OF:
        other = int(other, 16) % (1 << 8 * immediate_width(name, width))
    repeats = [p for p in prefixes if p.startswith("rep")] if name in STRINGS else []
    repeat = "" if not repeats else "repne" if repeats[-1].startswith("repn") else "rep"
    return Instruction(length, name, width, read_memory(place, address_width), other, first, "lock" in prefixes, repeat)
