#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Prints a `deb-src` stanza for another release of Debian, made from this machine's own package sources.

usage: apt_source.py RELEASE

Both formats are read: stanzas (*.sources) and one line an entry (*.list). The entry that serves the running release is the
one that is copied, so that its mirror and its options are used.
"""
import glob
import re
import sys


def running_release():
    with open("/etc/os-release") as file:
        found = re.search(r'^VERSION_CODENAME="?(\w+)', file.read(), re.M)
    return found.group(1) if found else ""


def entries_of_stanzas(text):
    for stanza in re.split(r"\n\s*\n", text):
        lines = [line for line in stanza.splitlines() if not line.startswith("#")]
        unfolded = re.sub(r"\n[ \t]+", " ", "\n".join(lines))
        fields = {}
        for line in unfolded.splitlines():
            name, colon, value = line.partition(":")
            if colon:
                fields[name.strip().lower()] = value.strip()
        if fields.get("enabled", "yes") != "no":
            yield fields.get("uris", "").split(), fields.get("suites", "").split(), fields.get("signed-by")


def entries_of_lines(text):
    for line in text.splitlines():
        found = re.match(r"\s*deb(?:-src)?\s+(?:\[([^]]*)\]\s+)?(\S+)\s+(\S+)", line)
        if found:
            options, uri, suite = found.groups()
            signed = re.search(r"signed-by=(\S+)", options or "")
            yield [uri], [suite], signed.group(1) if signed else None


def all_entries():
    for path in sorted(glob.glob("/etc/apt/sources.list.d/*.sources")):
        with open(path) as file:
            yield from entries_of_stanzas(file.read())
    for path in ["/etc/apt/sources.list", *sorted(glob.glob("/etc/apt/sources.list.d/*.list"))]:
        try:
            with open(path) as file:
                yield from entries_of_lines(file.read())
        except FileNotFoundError:
            pass


def main():
    release = running_release()
    for uris, suites, signed in all_entries():
        if uris and {release, "stable", "oldstable"} & set(suites):
            print("Types: deb-src", "URIs: " + uris[0], "Suites: " + sys.argv[1], "Components: main", sep="\n")
            if signed:
                print("Signed-By: " + signed)
            return
    sys.exit(f"apt_source.py: no package source of {release or 'this system'} found")


main()
