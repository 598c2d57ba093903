#!/bin/sh
# SPDX-License-Identifier: MIT
# deps.sh - what hvlua needs of the machine that it is built on.
#
#   deps.sh               install what is missing (`make deps`); WITH=check:
#                         the tools of `make check` too
#   deps.sh lua FLAG      what pkg-config answers to FLAG for Lua 5.4, in
#   deps.sh unicorn FLAG  words where it cannot; the same for Unicorn
#
# Reads CC, CLANG, LLD and PKG_CONFIG as the Makefile does. DEPS=no: nothing is
# installed. Writes to build/deps only.

set -u
cd "$(dirname "$0")/.." || exit

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
    [ "$(uname -s)" = Darwin ] || echo valgrind # which knows no macOS on arm64
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

# The name of this Debian's release; empty on anything else.
debian_release() {
    # shellcheck source=/dev/null
    . /etc/os-release && [ "${ID:-}" = debian ] && echo "${VERSION_CODENAME:-}"
}

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

# Write the machine's own apt sources of Debian main for release $1 to files
# $3/1.sources, $3/2.sources, ... with release $2 in its place. Each has its own
# file, for some may be a third party's that uses Debian's names. Of their
# options only the address and the key go along: none that relaxes a check.
next_sources() {
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list \
        /etc/apt/sources.list.d/*.sources; do
        [ ! -f "$file" ] || printf '%s\n' "$file"
    done >"$3/files"
    awk -v old="$1" -v new="$2" -v arch="$(dpkg --print-architecture)" \
        -v dir="$3" '
    function has(list, word) {
        gsub(/[ \t\n]+/, " ", list)
        return index(" " list " ", " " word " ") > 0
    }
    function source(uris, suites, components, key) {
        if (!has(components, "main") || uris ~ /cdrom:/ ||
            !(has(suites, old) || has(suites, "stable") ||
              has(suites, "oldstable")))
            return
        file = dir "/" ++count ".sources"
        print "Types: deb\nURIs:" uris "\nSuites: " new > file
        print "Components: main\nArchitectures: " arch > file
        if (key != "")
            print "Signed-By:" key > file
        close(file)
    }
    function one_line(line,    options, key, n, word, i, components) {
        sub(/#.*/, "", line)
        if (match(line, /^[ \t]*deb[ \t]*\[[^]]*\]/)) {
            options = substr(line, 1, RLENGTH - 1)
            line = "deb" substr(line, RLENGTH + 1)
            sub(/^[^[]*\[/, "", options)
            n = split(options, word)
            for (i = 1; i <= n; i++)
                if (word[i] ~ /^signed-by=/)
                    key = " " substr(word[i], 11)
            gsub(/,/, " ", key)
        }
        n = split(line, word)
        if (n < 4 || word[1] != "deb")
            return
        for (i = 4; i <= n; i++)
            components = components " " word[i]
        source(" " word[2], word[3], components, key)
    }
    function stanza() {
        if (has(field["types"], "deb") &&
            tolower(field["enabled"]) !~ /^ *(no|false|off|0)/)
            source(field["uris"], field["suites"], field["components"],
                   field["signed-by"])
        split("", field)
    }
    function deb822(line,    colon) {
        if (line ~ /^#/)
            return
        if (line ~ /^[ \t]*$/) {
            stanza()
        } else if (line ~ /^[ \t]/) {
            field[name] = field[name] "\n" line
        } else if (colon = index(line, ":")) {
            name = tolower(substr(line, 1, colon - 1))
            field[name] = substr(line, colon + 1)
        }
    }
    {
        list = $0
        while ((getline line < list) > 0)
            if (list ~ /\.sources$/)
                deb822(line)
            else
                one_line(line)
        close(list)
        stanza()
    }' "$3/files"
}

# An apt configuration that keeps all of apt within directory $1. The machine's
# own (proxies, passwords of mirrors) is read before it and goes on to hold,
# except where it could touch the system, choose releases or relax checks.
private_apt() {
    mkdir -p "$1/lists/partial" "$1/cache/archives/partial" || return
    : >"$1/status" || return
    cat >"$1/apt.conf" <<END
#clear APT::Update;
#clear APT::Default-Release;
APT::Sandbox::User "root"; // its own user may not get into this directory
APT::Get::AllowUnauthenticated "false";
Acquire::AllowInsecureRepositories "false";
Acquire::AllowWeakRepositories "false";
Acquire::Languages "none";
Acquire::http::Timeout "20";
Acquire::https::Timeout "20";
Dir::State "$1";
Dir::State::lists "$1/lists";
Dir::State::status "$1/status";
Dir::Cache "$1/cache";
Dir::Cache::archives "$1/cache/archives";
Dir::Cache::pkgcache "$1/cache/pkgcache.bin";
Dir::Cache::srcpkgcache "$1/cache/srcpkgcache.bin";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
END
}

# Fetch the next release's libunicorn into $work/lib. It is verified by that
# release's signature, which the keys of this machine's sources have to know.
# Says what it is, or why not.
fetch_library() {
    next_sources "$release" "$next" "$work"
    reason="the apt sources of this machine name no Debian main for $release"
    for source in "$work"/*.sources; do
        [ -f "$source" ] || break
        rm -rf "$work/apt" "$work/download"
        if private_apt "$work/apt" && mkdir "$work/download" &&
            fetch_package "$source" && take_library; then
            return
        fi
    done
    return 1
}

private() {
    command=$1
    shift
    "$command" -c "$work/apt/apt.conf" -o Dir::Etc::sourcelist="$source" \
        "$@" 2>>"$work/log"
}

# The first that apt had to say against it.
complaint() {
    sed -n 's/^[EW]: //p' "$work/log" | head -n 1
}

# One package file, of one source's release, into $work/download.
fetch_package() {
    from=$(sed -n 's/^URIs: *//p' "$source")
    : >"$work/log"
    if ! private apt-get -q update --error-on=any >>"$work/log"; then
        reason="no $next from $from: $(complaint)"
        return 1
    fi
    if ! grep -qx 'Origin: Debian' "$work"/apt/lists/*Release; then
        reason="$from is not Debian's"
        return 1
    fi
    package=$(private apt-cache pkgnames libunicorn2 | head -n 1)
    version=$(private apt-cache show --no-all-versions "$package" |
        sed -n 's/^Version: //p')
    if ! dpkg --compare-versions "${version:-0}" ge 2.1; then
        reason="$next has libunicorn ${version:-not at all}"
        return 1
    fi
    if ! (cd "$work/download" && private apt-get -q download "$package") \
        >>"$work/log"; then
        reason="no $package from $from: $(complaint)"
        return 1
    fi
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

case ${1:-} in
lua) module=$(lua_module) && "$PKG_CONFIG" "$2" "$module" ;;
unicorn) module=$(unicorn_module) && "$PKG_CONFIG" "$2" "$module" ;;
'')
    [ "${DEPS:-}" != no ] || exit 0
    case ${WITH:-check} in
    check) ;;
    *) die "WITH=$WITH: only WITH=check is known" ;;
    esac
    install_missing
    newer_unicorn
    ;;
*) die "usage: deps.sh [lua FLAG | unicorn FLAG]" ;;
esac
