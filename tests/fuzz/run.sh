#!/bin/sh
# SPDX-License-Identifier: MIT
# run.sh - the fuzz targets: libFuzzer on each for a while.
#
#   run.sh SECONDS [target...]   build them, run each; fails if one finds something
#   run.sh merge [target...]     put into corpus/ what earlier runs found and covers
#                                more, as few files as will do
#
# Runs begin with the inputs in corpus/<target> and leave new ones in
# build/fuzz/<target>, a crashing one in build/fuzz/crash-*: to be kept, once the
# bug is mended, in corpus/<target>. Takes clang and its runtime for fuzzing.

set -u
cd "$(dirname "$0")/../.." || exit

: "${CLANG:=clang}" "${MAKE:=make}"
programs=build/fuzzer-no-link-address-undefined/tests/fuzz
usage='run.sh: SECONDS or merge expected, then targets'

die() {
    printf '%s\n' "$*" >&2
    exit 1
}

max_len() {
    case $1 in
    decoders) echo 28 ;;
    size) echo 64 ;;
    *) echo 8192 ;;
    esac
}

can_fuzz() {
    echo 'int LLVMFuzzerTestOneInput(void) { return 0; }' |
        "$CLANG" -fsanitize=fuzzer -x c -o /dev/null - 2>/dev/null
}

fuzz() {
    mkdir -p "build/fuzz/$1"
    echo "== $1: $seconds s"
    "$programs/$1" -max_total_time="$seconds" -max_len="$(max_len "$1")" \
        -timeout=20 -rss_limit_mb=2048 -detect_leaks=0 -print_final_stats=1 -verbosity=0 \
        -artifact_prefix=build/fuzz/ "build/fuzz/$1" "tests/fuzz/corpus/$1" \
        2>"build/fuzz/$1.log"
    status=$?
    if test $status -ne 0; then
        tail -40 "build/fuzz/$1.log" >&2
    else
        grep -E 'number_of_executed_units|average_exec' "build/fuzz/$1.log"
    fi
    return $status
}

merge() {
    mkdir -p "build/fuzz/$1" "build/fuzz/$1.merged"
    "$programs/$1" -merge=1 -max_len="$(max_len "$1")" -verbosity=0 \
        "build/fuzz/$1.merged" "tests/fuzz/corpus/$1" "build/fuzz/$1" || exit
    rm -rf "tests/fuzz/corpus/$1"
    mv "build/fuzz/$1.merged" "tests/fuzz/corpus/$1"
    ls "tests/fuzz/corpus/$1" | wc -l
}

test $# -ge 1 || die "$usage"
seconds=$1
shift
case $seconds in
merge) action=merge ;;
'' | *[!0-9]*) die "$usage" ;;
*) action=fuzz ;;
esac
can_fuzz || die "run.sh: $CLANG cannot build fuzz targets: install clang and its" \
    'runtime (Debian: clang libclang-rt-14-dev)'
"$MAKE" fuzz-targets || exit
test $# -ge 1 || set -- decoders size elf
failed=
for target; do
    "$action" "$target" || failed="$failed $target"
done
test -z "$failed" || die "run.sh: failed:$failed"
