#!/bin/sh
# SPDX-License-Identifier: MIT
# sdk.sh - what hvlua is compiled against for a Mac, where that is not at hand.
#
#   sdk.sh opt SDK FOLDER   what Homebrew would bring: this machine's headers of Lua
#                           and Unicorn, and a library of what Lua's declare
#   sdk.sh make FOLDER      an SDK, where there is none: enough to compile and link
#                           hvlua, not to run it. The C headers are libc.h's and
#                           posix.h's, those of Hypervisor.framework are the test
#                           double's, with the versions that Apple's have; libraries
#                           are lists of what the headers declare
# Reads CLANG and PKG_CONFIG, as the Makefile does.

set -eu
cd "$(dirname "$0")/../../.."

double=tests/fakehv
macos=tests/check/macos
framework=System/Library/Frameworks/Hypervisor.framework
: "${CLANG:=clang}"

# "#include" for each of these.
include() {
    printf '#include <%s>\n' "$@"
}

# The functions and variables that C on stdin declares.
declared() {
    "$CLANG" --target=arm64-apple-macos11 -isysroot "$sdk" -Xclang -ast-dump \
        -fsyntax-only -fno-color-diagnostics -x c "$@" - |
        sed -n "s/^[|\`]-\(Function\|Var\)Decl .* \([A-Za-z_][A-Za-z0-9_]*\) '.*/\2/p" |
        sort -u
}

# library FILE INSTALL_NAME: one that has the C names of stdin.
library() {
    {
        printf '%s\n' '--- !tapi-tbd' 'tbd-version: 4' \
            'targets: [ arm64-macos ]' "install-name: '$2'" 'exports:' \
            '  - targets: [ arm64-macos ]' '    symbols: ['
        sed "/^dyld_/!s/^/_/; s/.*/'&',/"
        printf '%s\n' ']' '...'
    } >"$1"
}

# ---- sdk.sh opt --------------------------------------------------------

# take HEADER MODULE FOLDER: a header of a module of pkg-config's, and what it
# includes of that module's own.
take() {
    mkdir -p "$3"
    # shellcheck disable=SC2046
    include "$1" |
        "$CLANG" $(sh scripts/deps.sh "$2" --cflags) -M -x c - | tr ' ' '\n' |
        grep -e "/$2[^/]*$" -e "/$2/" -e '/lauxlib\.h$' |
        while read -r header; do
            cp "$header" "$3"
        done
}

opt() {
    mkdir -p "$1/lib"
    take lualib.h lua "$1/include"
    take lauxlib.h lua "$1/include"
    take unicorn/unicorn.h unicorn "$1/include/unicorn"
    include lua.h lualib.h lauxlib.h | declared "-I$1/include" | grep '^lua' |
        library "$1/lib/liblua5.4.tbd" \
            /opt/homebrew/opt/lua@5.4/lib/liblua.5.4.dylib
}

# ---- sdk.sh make -------------------------------------------------------

headers() {
    mkdir -p "$sdk/usr/include/mach-o" "$sdk/$framework/Headers"
    for folder in libkern mach os pthread sys; do
        cp -R "$double/include/$folder" "$sdk/usr/include"
    done
    awk -v to="$sdk/usr/include/" '
        /^\/\/\/ / { file = to $2; print "#pragma once" > file; next }
        file { print > file }' "$macos/libc.h" "$macos/posix.h"
    cp "$double"/include/Hypervisor/*.h "$sdk/$framework/Headers"
}

# Of each function of the framework, which macOS has it first.
versions() {
    {
        echo '#define FN(since, type, name, params, args, log) @since name'
        cat "$double/functions.h"
    } | "$CLANG" -E -P - | awk '/^@/ {
        since = substr($1, 2)
        printf "extern __typeof__(hv_%s) hv_%s\n", $2, $2
        printf "__attribute__((availability(macos, introduced = %d.%d)));\n",
            since / 100, since % 100
    }' >"$sdk/$framework/Headers/versions.h"
    sed 's|^#endif$|#include <Hypervisor/versions.h>\n&|' \
        "$double/include/Hypervisor/Hypervisor.h" \
        >"$sdk/$framework/Headers/Hypervisor.h"
}

libraries() {
    mkdir -p "$sdk/usr/lib"
    {
        # shellcheck disable=SC2046
        include $(sed -n 's|^/// \(.*\.h\)$|\1|p' "$macos"/*.h) \
            libkern/OSCacheControl.h mach/mach_time.h os/object.h sys/sysctl.h |
            declared
        # What compilers call by themselves.
        printf '%s\n' dyld_stub_binder __stack_chk_fail __stack_chk_guard bzero \
            __bzero memset_pattern16 _tlv_bootstrap
    } | sort -u | library "$sdk/usr/lib/libSystem.tbd" /usr/lib/libSystem.B.dylib
    include Hypervisor/Hypervisor.h | declared | grep '^hv_' |
        library "$sdk/$framework/Hypervisor.tbd" \
            "/$framework/Versions/A/Hypervisor"
}

case $#:${1:-} in
3:opt)
    sdk=$2
    rm -rf "$3"
    opt "$3"
    ;;
2:make)
    sdk=$2
    rm -rf "$sdk"
    headers
    versions
    libraries
    ;;
*)
    echo "usage: sdk.sh opt SDK FOLDER | sdk.sh make FOLDER" >&2
    exit 2
    ;;
esac
