#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Writes the seeds of fuzz_decode.c to fuzz/corpus/decode/: one instruction each. Files named found-* stay.
usage: make_seeds.py [--check]     --check: fails if one is missing or not what would be written"""
import pathlib
import sys

CORPUS = pathlib.Path(__file__).resolve().parents[2] / "fuzz" / "corpus" / "decode"
MODES = {16: 0, 32: 1, 64: 2}
WRONG_DIRECTION, NO_SEGMENT_BASE, NO_MEMORY, ANY_ADDRESS, MOVS_WRITES = 4, 8, 16, 32, 64
REGISTERS = [(i * 0x0101010101010101) & (1 << 64) - 1 for i in range(16)] + [0xFFFFFFFF80001000, 0x246]

# Name, code size, bytes, settings, failing callbacks.
SEEDS = [
    ("mov-store", 64, "89 07", 0, 0), ("mov-load-disp32", 32, "8b 05 b0 00 e0 fe", 0, 0), ("mov-byte-high", 32, "88 23", 0, 0),
    ("mov-byte-rex", 64, "40 88 23", 0, 0), ("mov-immediate-64", 64, "48 c7 40 10 ff ff ff ff", 0, 0),
    ("mov-offset-64", 64, "a1 00 03 e0 fe 00 00 00 00", 0, 0), ("mov-offset-16", 16, "a3 00 f0", 0, 0),
    ("mov-sib", 64, "43 8b 44 d5 7f", 0, 0), ("mov-rip", 64, "8b 05 00 20 00 00", 0, 0), ("mov-bp-si", 16, "8b 42 10", 0, 0),
    ("mov-gs", 64, "65 8b 04 25 10 00 00 00", 0, 0), ("mov-gs-flat", 64, "65 8b 00", NO_SEGMENT_BASE, 0),
    ("mov-wrong-direction", 64, "89 07", WRONG_DIRECTION, 0), ("mov-any-address", 64, "89 07", ANY_ADDRESS, 0),
    ("mov-read-fails", 64, "8b 07", 0, 1), ("mov-write-fails", 64, "89 07", 0, 2),
    ("movzx", 64, "48 0f b6 07", 0, 0), ("movsx", 64, "66 0f be 07", 0, 0), ("movsxd", 64, "48 63 07", 0, 0),
    ("add-locked", 64, "f0 01 1f", 0, 0), ("adc-immediate", 32, "83 57 04 ff", 0, 0), ("sbb-load", 32, "1b 07", 0, 0),
    ("cmp-immediate", 32, "66 81 3f 34 12", 0, 0), ("test-immediate", 32, "f7 07 00 10 00 00", 0, 0), ("not", 32, "f6 17", 0, 0),
    ("neg", 64, "48 f7 1f", 0, 0), ("inc", 16, "67 fe 07", 0, 0), ("xchg", 32, "87 07", 0, 0),
    ("xchg-write-fails", 32, "87 07", 0, 2), ("bt-register", 64, "48 0f a3 1f", 0, 0), ("bts-locked", 32, "f0 0f ab 1f", 0, 0),
    ("btc-immediate", 64, "0f ba 7f 08 25", 0, 0), ("rep-movs-from", 64, "f3 a5", 0, 0), ("rep-movs-to", 64, "f3 a5", MOVS_WRITES, 0),
    ("movs-no-memory", 32, "a4", NO_MEMORY, 0), ("movs-memory-fails", 32, "64 a4", 0, 8), ("rep-stos", 16, "f3 67 ab", 0, 0),
    ("lods", 64, "48 ad", 0, 0), ("repne-scas", 64, "f2 ae", 0, 0), ("repe-scas", 64, "f3 67 af", 0, 0),
    ("fifteen-bytes", 32, "66 66 66 66 66 66 66 66 66 66 81 49 10 34 12", 0, 0),
    ("sixteen-bytes", 32, "66 66 66 66 66 66 66 66 66 66 66 81 49 10 34 12", 0, 0), ("truncated", 64, "48 c7 40 10 ff", 0, 0),
    ("lock-mov", 64, "f0 89 07", 0, 0), ("sse", 64, "0f 10 07", 0, 0), ("vex", 64, "c5 f8 10 00", 0, 0),
]


def content(mode, text, settings, failing):
    octets = bytes.fromhex(text)
    registers = b"".join(r.to_bytes(8, "little") for r in REGISTERS)
    return bytes([MODES[mode] | settings, failing, len(octets)]) + octets + registers + bytes(range(0x71, 0x79))


def main():
    wanted = {name: content(*rest) for name, *rest in SEEDS}
    if "--check" in sys.argv[1:]:
        wrong = [n for n, octets in wanted.items() if not (CORPUS / n).exists() or (CORPUS / n).read_bytes() != octets]
        wrong += [p.name for p in CORPUS.iterdir() if p.name not in wanted and not p.name.startswith("found-")]
        print(f"{len(wanted)} seeds, not as written: {wrong}")
        return 1 if wrong else 0
    CORPUS.mkdir(parents=True, exist_ok=True)
    for name, octets in wanted.items():
        (CORPUS / name).write_bytes(octets)
    print(f"{len(wanted)} seeds")
    return 0


sys.exit(main())
