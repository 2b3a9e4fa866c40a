#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Changes an unpacked QEMU source tree so that its local APIC is libvlapic.

usage: patch.py TREE CHECKOUT

Everything is an insertion or a substitution at a symbol's name; no line of QEMU's stands here. Each changed file is
first copied to FILE.stock, and each run starts from that copy, so the script can be run again at will. A file is only written if its
content changes, which keeps the next build short. An anchor that is not found ends the script with its name.
"""
import pathlib
import re
import sys

DEVICES = "I440FX Q35 VTD HPET ISA_DEBUG"
INTEGRATION = ["apic.c", "apic_device.c", "apic_time.c", "apic_migration.c"]


class File:
    """One file of QEMU's: a context that reads the original and writes the result."""

    def __init__(self, tree, name):
        self.path = tree / name
        self.stock = tree / (name + ".stock")
        self.name = name

    def __enter__(self):
        if not self.stock.exists():
            self.stock.write_text(self.path.read_text())
        self.text = self.stock.read_text()
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            write(self.path, self.text)

    def fail(self, anchor):
        sys.exit(f"patch.py: {self.name}: anchor not found: {anchor}")

    def replace(self, pattern, replacement, least=1):
        """Substitutes each match of a pattern; `least` of them must be there."""
        self.text, count = re.subn(pattern, replacement, self.text, flags=re.M)
        if count < least:
            self.fail(pattern)

    def function(self, name):
        """Start and end of the definition of a function."""
        found = re.search(rf"^\w[^\n;]*\b{name}\([^;{{]*\)\n\{{\n.*?^\}}\n", self.text, re.M | re.S)
        if not found:
            self.fail(name + "()")
        return found.span()

    def all(self):
        return 0, len(self.text)

    def insert(self, where, pattern, lines, after):
        """Puts lines before or after the first line in the span `where` that matches."""
        found = re.search(rf"^.*(?:{pattern}).*\n", self.text[slice(*where)], re.M)
        if not found:
            self.fail(pattern)
        at = where[0] + (found.end() if after else found.start())
        self.text = self.text[:at] + lines + self.text[at:]

    def insert_in(self, function, pattern, lines, after=True):
        self.insert(self.function(function), pattern, lines, after)

    def insert_above(self, function, lines):
        at = self.function(function)[0]
        self.text = self.text[:at] + lines + "\n" + self.text[at:]


def write(path, text):
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def accept_older_meson(tree):
    """QEMU asks for a newer meson than Debian 12's, for one keyword that another one can replace here."""
    with File(tree, "pythondeps.toml") as file:
        file.replace(r'(\bmeson\b.*accepted = ")[^"]*(".*installed = ")[^"]*"', r'\1>=1.0.0\g<2>1.0.1"')
        file.replace(r"^pycotap.*\n", "", least=0)
    for name in ["meson.build", "tcg/meson.build", "gdbstub/meson.build", "tests/qtest/libqos/meson.build"]:
        with File(tree, name) as file:
            file.replace(r"(meson_version: *')>=[\d.]+", r"\1>=1.0.0", least=0)
            file.replace(r"objects: (\w+)\.extract_all_objects\(recursive: false\)", r"link_whole: \1", least=0)
    with File(tree, "trace/meson.build") as file:
        file.replace(r"fs\.name\((\w+)\)", r"\1.full_path().split('/')[-1]", least=0)


def choose_devices(tree):
    lines = [f"CONFIG_{device}=y\n" for device in DEVICES.split()]
    write(tree / "configs/devices/x86_64-softmmu/vlapic.mak", "".join(lines))


def library_sources(checkout):
    """Components `core` and `soft` of src/sources.txt: one `component path` a line, paths relative to src/."""
    for line in (checkout / "src/sources.txt").read_text().splitlines():
        words = line.split("#")[0].split()
        if len(words) == 2 and words[0] in ("core", "soft") and words[1].endswith(".c"):
            yield checkout / "src" / words[1]


def build_our_apic(tree, checkout):
    sources = [checkout / "integrations/qemu" / name for name in INTEGRATION] + list(library_sources(checkout))
    listed = ",\n".join(f"    '{path}'" for path in sources)
    with File(tree, "hw/intc/meson.build") as file:
        file.replace(r"'apic\.c', *", "")
        file.text += (
            "\n# libvlapic\n"
            "specific_ss.add(when: 'CONFIG_APIC', if_true: [\n"
            f"  declare_dependency(compile_args: ['-I{checkout}/include']),\n"
            f"  files(\n{listed}),\n])\n"
        )


def save_more_state(tree):
    with File(tree, "hw/intc/apic_common.c") as file:
        file.insert(file.all(), r"\bapic_report_tpr_access;", "extern const VMStateDescription vmstate_apic_vlapic;\n",
                    after=False)
        file.insert(file.all(), r"&vmstate_apic_common_sipi\b", "        &vmstate_apic_vlapic,\n", after=True)


def describe_in_monitor(tree):
    with File(tree, "target/i386/cpu-dump.c") as file:
        file.insert_in("x86_cpu_dump_local_apic_state", r"\bdump_apic_lvt\(", "    apic_vlapic_describe(s);\n", after=False)
        file.insert_above("x86_cpu_dump_local_apic_state", "void apic_vlapic_describe(APICCommonState *s);\n")


def offer_tsc_deadline(tree):
    with File(tree, "target/i386/cpu.c") as file:
        file.replace(r"(#define TCG_EXT_FEATURES +\()", r"\1CPUID_EXT_TSC_DEADLINE_TIMER | ")
    with File(tree, "target/i386/tcg/system/misc_helper.c") as file:
        file.insert_in("helper_wrmsr", r"\bswitch\b.*\bR_ECX\b", deadline_case("wrmsr(env, val)"))
        file.insert_in("helper_rdmsr", r"\bswitch\b.*\bR_ECX\b", deadline_case("rdmsr(env, &val)"))
        file.insert_above("helper_wrmsr", "bool apic_vlapic_rdmsr_tsc_deadline(CPUX86State *env, uint64_t *value);\n"
                                          "bool apic_vlapic_wrmsr_tsc_deadline(CPUX86State *env, uint64_t value);\n")


def deadline_case(call):
    verb, arguments = call.split("(")
    return (
        "    case MSR_IA32_TSCDEADLINE:\n"
        f"        if (!apic_vlapic_{verb}_tsc_deadline({arguments}) {{\n"
        "            raise_exception_err_ra(env, EXCP0D_GPF, 0, GETPC());\n"
        "        }\n"
        "        break;\n"
    )


def main():
    tree, checkout = (pathlib.Path(argument).resolve() for argument in sys.argv[1:3])
    accept_older_meson(tree)
    choose_devices(tree)
    build_our_apic(tree, checkout)
    save_more_state(tree)
    describe_in_monitor(tree)
    offer_tsc_deadline(tree)


main()
