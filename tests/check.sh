#!/bin/sh
# SPDX-License-Identifier: MIT
# check.sh [step...] - what can be said of hvlua beyond that its tests pass:
# `make check`, or `make check STEP="tsan lint"`.
#
# Every step runs, also after one has failed. All that a step prints goes to
# build/check/<step>.log; what tells of a failure is shown. A step whose tool is
# missing is skipped, saying so; where CI is set, that is a failure. Last line:
#   N passed, N failed, N skipped
# MAKE, CC, CLANG and PKG_CONFIG are the Makefile's.

set -u
cd "$(dirname "$0")/.." || exit

all="layers format lua gcc clang ndebug macos lint valgrind fuzz
    asan tsan hvf_asan hvf_tsan incremental generational"
: "${MAKE:=make}" "${CC:=cc}" "${CLANG:=clang}"
here=$PWD/tests/check
out=$PWD/build/check
cores=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
why= # this step is skipped

title() {
    case $1 in
    layers) echo "who includes what; names, lengths; no mutable globals" ;;
    format) echo "clang-format would change nothing" ;;
    lua) echo "luacheck has nothing to say" ;;
    gcc) echo "gcc has nothing to warn of" ;;
    clang) echo "clang has nothing to warn of" ;;
    ndebug) echo "nor with -DNDEBUG" ;;
    macos) echo "it compiles and links for macOS, as far as that can be said here" ;;
    lint) echo "clang-tidy has nothing to say" ;;
    valgrind) echo "core's own tests under valgrind" ;;
    fuzz) echo "the fuzz targets, $fuzz_seconds s each" ;;
    asan) echo "the tests under AddressSanitizer and UBSan" ;;
    tsan) echo "the tests under ThreadSanitizer" ;;
    hvf_asan) echo "backend hvf on its double under AddressSanitizer and UBSan" ;;
    hvf_tsan) echo "backend hvf on its double under ThreadSanitizer" ;;
    incremental) echo "the tests under AddressSanitizer, collecting garbage" \
        "in every call" ;;
    generational) echo "the same with the generational collector" ;;
    *) return 1 ;;
    esac
}

# ---- tools -------------------------------------------------------------

# Are these programs here?
need() {
    for tool; do
        command -v "$tool" >/dev/null 2>&1 || {
            why="no $tool: make deps WITH=check"
            return 1
        }
    done
}

# Does $1 link programs with option $2?
need_option() {
    echo 'int main(void) { return 0; }' |
        $1 "$2" -x c -o "$out/probe" - 2>/dev/null || {
        why="$1 has no $2 here: make deps WITH=check"
        return 1
    }
}

# make, with a set of objects (build/$1) and a program (hvlua-$1) of its own.
# The jobs of a make -j above are its own business.
build() {
    variant=$1
    shift
    case ${MAKEFLAGS:-} in
    *-j*) $MAKE VARIANT="$variant" "$@" ;;
    *) $MAKE -j"$cores" VARIANT="$variant" "$@" ;;
    esac
}

c_files() {
    find core bindings tests scripts -name "$1" | sort
}

# ---- sanitizers --------------------------------------------------------

# Hostile guests and fuzzing find more the longer they run; here every tenth of
# what the plain tests run has to do.
HVLUA_STREAMS=${HVLUA_STREAMS:-200}
export HVLUA_STREAMS

# $1 stands for the files $1.<process>, into which every process that a test runs
# writes its reports: also those that the test expects to fail. No failures are
# what libunicorn loses, 32 bytes for each engine (the sanitizer may count several
# as one), and that the search for leaks in a fork cannot stop the threads of its
# parent. The head of a report says what happened, so that is what is shown.
no_reports() {
    set -- "$1".[0-9]*
    [ -e "$1" ] || return 0
    awk '
    /^-+$|^Suppressions used:$|^ *count +bytes template$|^$/ { next }
    $3 == "libunicorn" && $2 % 32 == 0 && $2 <= 64 * $1 { next }
    /^==[0-9]+==Running thread [0-9]+ was not suspended/ { next }
    bad++ < 40 { print FILENAME ": " $0 }
    END {
        if (bad > 40)
            print bad - 40 " lines more in such files"
        exit bad > 0
    }' "$@"
}

asan=address,undefined

# make test, with the sanitizer's reports of all processes in files. $1: options of
# the sanitizer; what follows is make's.
asan_test() {
    options="log_path=$out/$step${1:+:$1}"
    [ $# = 0 ] || shift
    rm -f "$out/$step".[0-9]*
    UBSAN_OPTIONS=print_stacktrace=1 \
    LSAN_OPTIONS="suppressions=$PWD/tests/hostile/lsan.supp" \
    ASAN_OPTIONS=$options \
        "$MAKE" SANITIZE=$asan CFLAGS='-O1 -g' "$@" test
    status=$?
    no_reports "$out/$step" && [ $status = 0 ]
}

asan_build() {
    need_option "$CC" -fsanitize=$asan || return 77
    build address-undefined SANITIZE=$asan CFLAGS='-O1 -g' "$@" all ctests
}

# What concerns backend hvf; the double's own tests run without HVF=fake too.
hvf_tests='ARGS=%[hvf ^hvf ^gic ^caps ^conformance'

# The collector is preloaded: that takes a Lua that is a shared library.
collector_test() {
    asan_build || return
    # shellcheck disable=SC2046
    $CC -std=c11 -D_GNU_SOURCE -Wall -Wextra -O1 -fPIC -shared \
        $(sh scripts/deps.sh lua --cflags) -o "$out/collector.so" \
        "$here/collector.c" -ldl || return
    HVLUA_TEST_GC=$step LD_PRELOAD=$out/collector.so
    export HVLUA_TEST_GC LD_PRELOAD
    asan=$asan ASAN_OPTIONS=verify_asan_link_order=0 \
        ./hvlua-address-undefined -e 'assert(debug.gethook())' || {
        why="Lua is no shared library here"
        return 77
    }
    asan_test verify_asan_link_order=0
}

# ---- steps: 0 passed, 77 skipped, all else failed ----------------------

step_layers() {
    need objdump || return 77
    build obj all && ./hvlua-obj tests/check/layers.lua
}

step_format() {
    need clang-format || return 77
    c_files '*.[ch]' | xargs clang-format --dry-run -Werror
}

step_lua() {
    need luacheck || return 77
    luacheck --no-color -q scripts tests
}

step_gcc() {
    need gcc || return 77
    build gcc CC=gcc WERROR=1 all ctests
}

step_clang() {
    need "$CLANG" || return 77
    build clang CC="$CLANG" WERROR=1 all ctests
}

step_ndebug() {
    build ndebug WERROR=1 CPPFLAGS=-DNDEBUG all ctests
}

# Without Apple's SDK, on a stand-in that says what of C, POSIX and the framework is
# there. That hvlua runs there it does not prove: tests/check/macos/sdk.sh.
step_macos() {
    need "$CLANG" || return 77
    [ "$(uname -s)" = Darwin ] ||
        command -v "$($CLANG -print-prog-name=ld64.lld)" >/dev/null || {
        why="no ld64.lld: make deps WITH=check"
        return 77
    }
    build obj all && sh "$here/macos/sdk.sh" make "$out/sdk" &&
        $MAKE check-macos SDK="$out/sdk" &&
        ./hvlua-obj "$here/macos/macho.lua" build/macos
}

# What for is in .clang-tidy. One file at a time: clang-tidy 14 confuses the
# va_lists of several.
step_lint() {
    need clang-tidy || return 77
    build obj all || return
    flags="-std=c11 -D_GNU_SOURCE -Icore -Ibindings -Ibuild/obj
        -Itests/fakehv -Itests/fakehv/include -DHVF_LIBRARY=__FILE__
        -include $here/raises.h $(sh scripts/deps.sh lua --cflags)
        $(sh scripts/deps.sh unicorn --cflags)"
    export flags
    # shellcheck disable=SC2016
    c_files '*.c' | xargs -n 1 -P "$cores" sh -c \
        'clang-tidy --quiet --warnings-as-errors="*" "$@" -- $flags' tidy
}

# The C tests that do without Lua.
step_valgrind() {
    need valgrind || return 77
    build valgrind CFLAGS='-O1 -g' ctests || return
    failed_here=
    for test in tests/*.c; do
        ! grep -q '<lua.h>' "$test" || continue
        test=${test%.c}
        valgrind --quiet --error-exitcode=9 --leak-check=full \
            --suppressions="$here/valgrind.supp" "build/valgrind/$test" ||
            failed_here=1
    done
    [ -z "$failed_here" ]
}

fuzz_seconds=${FUZZ_SECONDS:-60}

step_fuzz() {
    need "$CLANG" && need_option "$CLANG" -fsanitize=address,undefined ||
        return 77
    sh tests/fuzz/run.sh "$fuzz_seconds"
}

step_asan() {
    asan_build && asan_test
}

step_hvf_asan() {
    asan_build HVF=fake && asan_test '' HVF=fake "$hvf_tests"
}

# Workers are forked while other threads run, which ThreadSanitizer wants to be
# asked for; signals.c says what else it needs.
tsan_test() {
    need_option "$CC" -fsanitize=thread || return 77
    $CC -std=c11 -D_GNU_SOURCE -Wall -Wextra -O1 -g -fPIC -fsanitize=thread \
        -c -o "$out/signals.o" "$here/signals.c" || return
    rm -f hvlua-thread # make does not see what LDLIBS names
    set -- SANITIZE=thread CFLAGS='-O1 -g' LDLIBS="$out/signals.o" "$@"
    build thread "$@" all ctests || return
    rm -f "$out/$step".[0-9]*
    TSAN_OPTIONS="log_path=$out/$step die_after_fork=0 atexit_sleep_ms=0 memory_limit_mb=2000" \
        "$MAKE" "$@" test
    status=$?
    no_reports "$out/$step" && [ $status = 0 ]
}

step_tsan() {
    tsan_test
}

step_hvf_tsan() {
    tsan_test HVF=fake "$hvf_tests"
}

step_incremental() {
    collector_test
}

step_generational() {
    collector_test
}

# ---- running them ------------------------------------------------------

# What of a log tells of a failure: tests that passed do not, nor what is noted
# between them.
show() {
    awk '
    /^  (CC|LINK|AS|GEN) / { next }
    /^ok / { noted = 1; next }
    /^# / && noted { next }
    { noted = 0; print "    " $0 }' "$1" | tail -n 60
}

passed=0 failed=0 skipped=0

run() {
    step=$1
    why=
    printf '%-13s %s' "$step" "$(title "$step")"
    start=$(date +%s)
    (
        "step_$step"
        status=$?
        echo "$why" >"$out/why"
        exit $status
    ) >"$out/$step.log" 2>&1 </dev/null
    status=$?
    why=$(cat "$out/why")
    [ $status != 77 ] || [ -z "${CI:-}" ] || status=78
    printf ': '
    case $status in
    0)
        passed=$((passed + 1))
        echo "ok ($(($(date +%s) - start)) s)"
        ;;
    77)
        skipped=$((skipped + 1))
        echo "skipped: $why"
        ;;
    *)
        failed=$((failed + 1))
        echo "FAILED ($(($(date +%s) - start)) s)${why:+: $why}"
        show "$out/$step.log"
        echo "    all of it: build/check/$step.log"
        ;;
    esac
}

mkdir -p "$out" || exit
# shellcheck disable=SC2086
[ $# != 0 ] || set -- $all
for step; do
    title "$step" >/dev/null || {
        echo "check.sh: no step \"$step\": there are $all" >&2
        exit 2
    }
done
for step; do
    run "$step"
done
echo
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ]
