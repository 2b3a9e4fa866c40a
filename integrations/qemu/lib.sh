# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# What the scripts here share: where things are, how they speak, packages. To be sourced.

checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cache=${VLAPIC_CACHE:-$checkout/build/qemu}
logs=$cache/logs
mkdir -p "$logs"
# Nothing in here is for git.
echo "*" >"$cache/.gitignore"

say() {
    echo "${0##*/}: $*" >&2
}

die() {
    say "$*"
    exit 1
}

# run LOG COMMAND...: a step whose output matters only if it fails.
run() {
    local log=$logs/$1
    shift
    if ! "$@" >"$log" 2>&1 </dev/null; then
        tail -n 30 "$log" >&2
        die "failed: $* (all of it: $log)"
    fi
}

# Package lists, if this machine has none yet: a fresh debootstrap.
package_lists() {
    if [ -z "$(apt-cache policy linux-image-cloud-amd64 2>/dev/null)" ]; then
        say "fetching the package lists"
        run apt-update.log apt-get update
    fi
}

# need PACKAGE...: installs what is not there.
need() {
    local package missing=()
    command -v apt-get >/dev/null || return 0
    for package in "$@"; do
        if [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" != installed ]; then
            missing+=("$package")
        fi
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    [ "$(id -u)" = 0 ] || die "please install, as root: apt-get install ${missing[*]}"
    package_lists
    say "installing ${missing[*]}"
    DEBIAN_FRONTEND=noninteractive run apt-install.log \
        apt-get install -y --no-install-recommends "${missing[@]}"
}
