#!/bin/sh
# SPDX-License-Identifier: MIT
# deps.sh - what hvlua needs of the machine that it is built on.
#
#   deps.sh               install what is missing (`make deps`); WITH=check:
#                         the tools of `make check` too
#   deps.sh lua FLAG      what pkg-config answers to FLAG for Lua 5.4, in
#   deps.sh unicorn FLAG  words where it cannot; the same for Unicorn
#   deps.sh fetch         only Lua for another ARCH, into the user's cache
#
# Reads ARCH, CC, CLANG, LLD and PKG_CONFIG as the Makefile does. DEPS=no: nothing
# is installed. Writes to build/deps, and for another ARCH to the user's cache.

set -u
cd "$(dirname "$0")/.." || exit
. scripts/apt.sh

: "${CC:=cc}" "${CLANG:=clang}" "${LLD:=ld.lld}" "${PKG_CONFIG:=pkg-config}"

# Homebrew keeps versioned formulas out of the default search path.
for prefix in "${HOMEBREW_PREFIX:-/opt/homebrew}" /usr/local; do
    PKG_CONFIG_PATH=${PKG_CONFIG_PATH:-}:$prefix/opt/lua@5.4/lib/pkgconfig
done
export PKG_CONFIG_PATH

deps=$PWD/build/deps
library=$deps/lib/libunicorn.so.2

say() {
    printf 'deps: %s\n' "$*" >&2
}

die() {
    say "$@"
    exit 1
}

# Print a command before running it.
run() {
    printf '+ %s\n' "$*"
    "$@"
}

# ---- what is there -----------------------------------------------------

# The name under which pkg-config knows Lua 5.4; else it is told in words.
lua_module() {
    known=
    for module in lua5.4 lua-5.4 lua54 lua; do
        version=$("$PKG_CONFIG" --modversion "$module" 2>/dev/null) || continue
        case $version in
        5.4 | 5.4.*)
            echo "$module"
            return
            ;;
        esac
        known="$known $module $version"
    done
    say "hvlua takes Lua 5.4, but $PKG_CONFIG knows${known:- none}: run" \
        "make deps"
    return 1
}

unicorn_module() {
    if "$PKG_CONFIG" --exists unicorn 2>/dev/null; then
        echo unicorn
    else
        say "hvlua takes Unicorn's headers, but $PKG_CONFIG knows none: run" \
            "make deps"
        return 1
    fi
}

# The library of the prompt is opened by hvlua when it is there: libedit, or GNU
# readline (bindings/editor.c). macOS has the first.
editing_library() {
    [ "$(uname -s)" != Darwin ] || return 0
    PATH=$PATH:/usr/sbin:/sbin ldconfig -p 2>/dev/null |
        grep -q -e 'libedit\.so\.[02] ' -e 'libreadline\.so\.8 '
}

has() {
    case $1 in
    # CC may come with flags; a compiler without the C library's headers does
    # not count.
    cc) echo '#include <stdio.h>' | $CC -E - >/dev/null 2>&1 ;;
    pkg-config) command -v "$PKG_CONFIG" >/dev/null ;;
    lua) lua_module >/dev/null 2>&1 ;;
    unicorn) unicorn_module >/dev/null 2>&1 ;;
    clang) command -v "$CLANG" >/dev/null ;;
    lld) command -v "$LLD" >/dev/null ;;
    libedit) editing_library ;;
    fuzzer) links "$CLANG" -fsanitize=fuzzer,address ;;
    cross) aarch64-linux-gnu-gcc -static -xc -o /dev/null - 2>/dev/null <<END ;;
int main(void) { return 0; }
END
    sanitizers) links "$CC" -fsanitize=address,undefined &&
        links "$CC" -fsanitize=thread ;;
    *) command -v "$1" >/dev/null ;;
    esac
}

# Does compiler $1 take option $2, with the library that goes with it?
links() {
    echo 'int LLVMFuzzerTestOneInput(void);
        int LLVMFuzzerTestOneInput(void) { return 0; }' |
        $1 -shared -fPIC "$2" -x c -o /dev/null - >/dev/null 2>&1
}

needs() {
    echo cc pkg-config lua unicorn clang lld libedit
    [ -n "${WITH:-}" ] || return 0
    echo gcc sanitizers fuzzer objdump clang-format clang-tidy luacheck
    [ "$(uname -s)" != Darwin ] || return 0
    echo valgrind aarch64-linux-gnu-gcc # no macOS on arm64 has the first
    # For `make test-nested`, whose kernels are Debian's.
    [ -z "$(debian_release)" ] || [ "$(uname -m)" != x86_64 ] ||
        echo qemu-system-aarch64 qemu-system-x86_64 cross cpio xz
}

missing() {
    for need in $(needs); do
        has "$need" || echo "$need"
    done
}

describe() {
    case $1 in
    cc) echo "a C compiler with its headers (CC=$CC; on macOS," \
        "xcode-select --install brings one)" ;;
    pkg-config) echo "pkg-config (PKG_CONFIG=$PKG_CONFIG)" ;;
    lua) echo "Lua 5.4 for $PKG_CONFIG" ;;
    unicorn) echo "Unicorn's headers for $PKG_CONFIG" ;;
    clang) echo "clang, which assembles guests (CLANG=$CLANG)" ;;
    lld) echo "ld.lld, which links guests (LLD=$LLD)" ;;
    libedit) echo "libedit, which edits the lines of the prompt" ;;
    sanitizers) echo "the sanitizers of $CC" ;;
    fuzzer) echo "the fuzzer of $CLANG" ;;
    cross) echo "a compiler for arm64, aarch64-linux-gnu-gcc" ;;
    qemu-* | cpio | xz) echo "$1, for make test-nested" ;;
    *) echo "$1, for make check" ;;
    esac
}

# ---- what the system's packages bring ----------------------------------

# The package manager: macOS has one, and elsewhere Homebrew comes last.
manager() {
    [ "$(uname -s)" = Darwin ] || for name in apt-get dnf pacman; do
        if command -v "$name"; then
            return
        fi
    done
    command -v brew
}

# The packages of manager $1 that bring $2. (Compilers on macOS are Apple's.)
packages() {
    case $1:$2 in
    brew:cc | brew:clang) ;;
    *:cc)
        case $CC in
        *clang*) echo clang ;;
        *) echo gcc ;;
        esac
        [ "$1" != apt-get ] || echo libc6-dev
        ;;
    *:clang | *:lld) echo "$2" ;;
    apt-get:libedit) echo libedit2 ;;
    *:libedit) echo libedit ;;
    apt-get:pkg-config) echo pkg-config ;;
    apt-get:lua) echo liblua5.4-dev ;;
    apt-get:unicorn) echo libunicorn-dev ;;
    apt-get:fuzzer) echo libclang-rt-dev ;;
    apt-get:luacheck) echo lua-check ;;
    apt-get:sanitizers) packages apt-get cc ;;
    apt-get:qemu-system-aarch64) echo qemu-system-arm ;;
    apt-get:qemu-system-x86_64) echo qemu-system-x86 ;;
    apt-get:cross) echo gcc-aarch64-linux-gnu libc6-dev-arm64-cross ;;
    apt-get:xz) echo xz-utils ;;
    apt-get:aarch64-* | dnf:aarch64-*) echo gcc-aarch64-linux-gnu ;;
    dnf:pkg-config) echo pkgconf-pkg-config ;;
    dnf:lua) echo lua-devel ;;
    dnf:unicorn) echo unicorn-devel ;;
    dnf:clang-*) echo clang-tools-extra ;;
    dnf:sanitizers) echo libasan libubsan libtsan ;;
    dnf:fuzzer) echo compiler-rt ;;
    pacman:clang-*) echo clang ;;
    pacman:sanitizers) echo gcc ;;
    pacman:fuzzer) echo compiler-rt ;;
    brew:gcc | brew:sanitizers | brew:objdump) ;;
    brew:clang-tidy | brew:fuzzer) echo llvm ;;
    pacman:lua) # where lua is 5.5 by now, 5.4 goes by its number
        if pacman -Si lua54 >/dev/null 2>&1; then echo lua54; else echo lua; fi
        ;;
    brew:lua) echo lua@5.4 ;;
    *:pkg-config) echo pkgconf ;;
    *:unicorn) echo unicorn ;;
    *:objdump) echo binutils ;;
    *) echo "$2" ;;
    esac
}

install_packages() {
    sudo=
    [ "$(id -u)" = 0 ] || sudo=sudo
    if [ -n "$sudo" ] && [ "$1" != brew ] && ! command -v sudo >/dev/null; then
        say "no sudo here, so these have to be installed as root"
        return 1
    fi
    case $1 in
    apt-get)
        # An apt that was never updated knows no package; one that cannot
        # update now may still know them all.
        run $sudo apt-get update ||
            say "apt-get update failed: going on with the lists that are here"
        shift
        run $sudo env DEBIAN_FRONTEND=noninteractive \
            apt-get install -y --no-install-recommends "$@"
        ;;
    dnf)
        shift
        run $sudo dnf install -y "$@"
        ;;
    pacman)
        shift
        run $sudo pacman -S --needed --noconfirm "$@"
        ;;
    brew) # refuses to run as root
        shift
        run brew install "$@"
        ;;
    esac
}

install_missing() {
    needs=$(missing)
    [ -n "$needs" ] || return 0
    if ! manager=$(manager); then
        for need in $needs; do
            say "missing: $(describe "$need")"
        done
        die "no apt-get, dnf, pacman or brew here: install these by hand"
    fi
    manager=${manager##*/}
    set --
    for need in $needs; do
        for package in $(packages "$manager" "$need"); do
            case " $* " in
            *" $package "*) ;;
            *) set -- "$@" "$package" ;;
            esac
        done
    done
    [ $# = 0 ] || install_packages "$manager" "$@" ||
        die "$manager could not install: $*"
    needs=$(missing)
    for need in $needs; do
        say "still missing: $(describe "$need")"
    done
    [ -z "$needs" ] || exit 1
}

# ---- a libunicorn that is new enough -----------------------------------

# The release after it. Debian's in order, from the first with a libunicorn 2.
next_release() {
    set -- bookworm trixie forky duke
    while [ $# -gt 1 ]; do
        if [ "$1" = "$release" ]; then
            echo "$2"
            return
        fi
        shift
    done
    return 1
}

# Fetch the next release's libunicorn into $work/lib. It is verified by that
# release's signature, which the keys of this machine's sources have to know.
# Says what it is, or why not.
fetch_library() {
    arch=$(dpkg --print-architecture)
    next_sources "$release" "$next" "$work" "$arch"
    reason="the apt sources of this machine name no Debian main for $release"
    for source in "$work"/*.sources; do
        [ -f "$source" ] || break
        if open_source "$arch" && fetch_package && take_library; then
            return
        fi
    done
    return 1
}

# One package file, of one source's release, into $work/download.
fetch_package() {
    package=$(private apt-cache pkgnames libunicorn2 | head -n 1)
    version=$(private apt-cache show --no-all-versions "$package" |
        sed -n 's/^Version: //p')
    if ! dpkg --compare-versions "${version:-0}" ge 2.1; then
        reason="$next has libunicorn ${version:-not at all}"
        return 1
    fi
    download "$package"
}

# Unpack the library, and its licence beside it, if it can run on this release.
take_library() {
    mkdir "$work/lib" &&
        dpkg-deb -x "$work"/download/*.deb "$work/tree" 2>>"$work/log" &&
        mv "$work"/tree/usr/lib/*/libunicorn.so.* "$work/lib" &&
        mv "$work/tree/usr/share/doc/$package/copyright" "$work/lib"
    if [ ! -f "$work/lib/libunicorn.so.2" ]; then
        reason="$package $version does not unpack to a libunicorn.so.2"
    elif ldd "$work/lib/libunicorn.so.2" 2>&1 | grep -q 'not found'; then
        reason="$package $version does not run on $release"
    else
        return 0
    fi
    rm -rf "${work:?}/lib" "$work/tree"
    return 1
}

# libunicorn 2.0 works but stores 20 times slower, and a guest can abort it.
# Debian's own is replaced by the next release's, for hvlua alone. All that can
# fail here is a download, and hvlua runs without.
newer_unicorn() {
    [ ! -e "$library" ] || return 0
    "$PKG_CONFIG" --atleast-version=2.1 unicorn && return
    old=$("$PKG_CONFIG" --modversion unicorn)
    release=$(debian_release)
    if ! next=$(next_release); then
        say "libunicorn $old is older than 2.1: it works, but guests store 20" \
            "times slower and can abort it. Install 2.1 or newer, or set" \
            "HVLUA_LIBUNICORN to the path of one"
        return
    fi
    say "libunicorn $old is older than 2.1: fetching Debian $next's into" \
        "build/deps, with a private apt root (the system stays as it is)"
    mkdir -p "$deps" && work=$(mktemp -d "$deps/new.XXXXXX") || exit 1
    trap 'rm -rf "$work"' EXIT
    trap 'exit 1' HUP INT TERM
    if fetch_library && mv -T "$work/lib" "$deps/lib"; then
        say "build/deps/lib/libunicorn.so.2 is $package $version"
    else
        say "warning: $reason: going on with libunicorn $old, on which guests" \
            "store 20 times slower and can abort hvlua"
    fi
    # After `sudo make deps`, the user goes on to build beside it.
    if [ "$(id -u)" = 0 ] && [ -n "${SUDO_UID:-}" ]; then
        chown "$SUDO_UID" build
        chown -R "$SUDO_UID" "$deps"
    fi
}

# ---- for another architecture ------------------------------------------

foreign() {
    case ${ARCH:-}:$(uname -m) in
    :* | arm64:aarch64 | arm64:arm64 | x86_64:x86_64) return 1 ;;
    esac
}

# Debian's Lua for it, of this release, as a static library.
foreign_lua() {
    case $ARCH in
    arm64) arch=arm64 ;;
    x86_64) arch=amd64 ;;
    *) die "ARCH=$ARCH: use arm64 or x86_64" ;;
    esac
    folder=$(cache_folder)/$(debian_release)-$arch/liblua5.4-dev
    case $1 in
    fetch) cached "$(debian_release)" "$arch" liblua5.4-dev \
        'usr/include/*.h usr/lib/*/liblua5.4.a' >/dev/null ;;
    --cflags) echo "-I$folder" ;;
    --libs) echo "$folder/liblua5.4.a" ;;
    esac
    [ -d "$folder" ] || die "no Lua 5.4 for $ARCH: run make deps ARCH=$ARCH"
}

# Unicorn's headers are the same on each, but not those beside them.
foreign_unicorn() {
    module=$(unicorn_module) && "$PKG_CONFIG" "$1" "$module" &&
        echo "-idirafter $("$PKG_CONFIG" --variable=includedir "$module")"
}

case ${1:-} in
lua)
    if foreign; then
        foreign_lua "$2"
    else
        module=$(lua_module) && "$PKG_CONFIG" "$2" "$module"
    fi
    ;;
unicorn)
    if foreign; then
        foreign_unicorn "$2"
    else
        module=$(unicorn_module) && "$PKG_CONFIG" "$2" "$module"
    fi
    ;;
'')
    [ "${DEPS:-}" != no ] || exit 0
    case ${WITH:-check} in
    check) ;;
    *) die "WITH=$WITH: only WITH=check is known" ;;
    esac
    install_missing
    newer_unicorn
    ! foreign || foreign_lua fetch
    ;;
fetch) ! foreign || foreign_lua fetch ;;
*) die "usage: deps.sh [lua FLAG | unicorn FLAG | fetch]" ;;
esac
