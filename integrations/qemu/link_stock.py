#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Links QEMU with its own local APIC out of a build that has libvlapic.

usage: link_stock.py TREE OUT TARGET BINARY

The files that patch.py changed are compiled once more from their originals (FILE.stock), and take the places of the changed ones in
the link command; all other objects are shared.
"""
import json
import pathlib
import re
import shlex
import subprocess
import sys

APIC = "hw/intc/apic.c"
SIBLING = "hw/intc/apic_common.c"  # compiled as apic.c would be


def is_ours(entry, tree):
    """Sources of the library and of the integration lie outside of QEMU's tree."""
    path = (pathlib.Path(entry["directory"]) / entry["file"]).resolve()
    return tree not in path.parents and entry["directory"] not in map(str, path.parents)


def compile_as(entry, source, target):
    """Compiles `source` with the command of another file's."""
    if target.exists() and target.stat().st_mtime > source.stat().st_mtime:
        return
    command = shlex.split(entry["command"])
    for option in ("-o", "-MF", "-MQ"):
        command[command.index(option) + 1] = str(target) + (".d" if option == "-MF" else "")
    place = command.index("-c") + 1
    # The original has another name, but its includes are relative to the same folder.
    command[place:] = ["-I", str(source.parent), "-x", "c", str(source)]
    subprocess.run(command, cwd=entry["directory"], check=True)


def main():
    tree, out, target, binary = sys.argv[1:]
    tree, out = pathlib.Path(tree).resolve(), pathlib.Path(out).resolve()
    entries = json.loads((out / "compile_commands.json").read_text())
    objects = out / "stock-objects"
    objects.mkdir(exist_ok=True)
    replaced, removed = {}, set()
    for entry in entries:
        source = (out / entry["file"]).resolve()
        original = source.with_name(source.name + ".stock")
        if is_ours(entry, tree):
            removed.add(entry["output"])
        elif original.exists():
            new = objects / (re.sub(r"\W", "_", entry["file"]) + ".o")
            compile_as(entry, original, new)
            replaced[entry["output"]] = [str(new)]
            if source == tree / SIBLING:
                apic = objects / "apic.o"
                compile_as(entry, tree / APIC, apic)
                replaced[entry["output"]].append(str(apic))
    commands = subprocess.run(["ninja", "-t", "commands", target], cwd=out, check=True, capture_output=True, text=True)
    link = shlex.split(commands.stdout.splitlines()[-1])
    link = [new for word in link if word not in removed for new in replaced.get(word, [word])]
    link[link.index("-o") + 1] = binary
    subprocess.run(link, cwd=out, check=True)


main()
