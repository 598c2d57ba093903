#!/bin/bash
# SPDX-License-Identifier: MIT
# run.sh - the tests on real KVM, in machines that QEMU emulates: `make test-nested`,
# or what an exit costs there: `make bench-nested`.
#
#   run.sh test|bench [boot...]     each of arm64-6.12 arm64-6.1 x86_64-6.12
#
# The machines run at the same time: each waits often for the host, which assembles for
# it. Reads ARGS, patterns of titles as for `make test`.
# Their kernels and their shell are Debian's (scripts/apt.sh), kept in the cache.
# Last line: N passed, N failed, N skipped
set -u -o pipefail
cd "$(dirname "$0")/../.." || exit
. scripts/apt.sh

out=build/nested
limit=${NESTED_TIMEOUT:-900} # seconds that a machine may take
locked_up=75                 # host.lua's status

# What each boot is: architecture, release of Debian.
boot_of() {
    case $1 in
    arm64-6.12) arch=arm64 release=trixie ;;
    arm64-6.1) arch=arm64 release=bookworm ;;
    x86_64-6.12) arch=x86_64 release=trixie ;;
    *)
        echo "run.sh: no boot \"$1\": there are arm64-6.12 arm64-6.1 x86_64-6.12" >&2
        return 2
        ;;
    esac
    case $arch in
    arm64) debian=arm64 qemu=qemu-system-aarch64 modules= ;;
    x86_64) debian=amd64 qemu=qemu-system-x86_64 modules='*/irqbypass.ko*
        */ccp.ko* */kvm.ko* */kvm-amd.ko*' ;;
    esac
}

need() {
    for tool; do
        command -v "$tool" >/dev/null || {
            echo "no $tool: make deps WITH=check" >&2
            return 1
        }
    done
}

# Everything of the machine in one folder, then in one archive.
pack() {
    local root=$out/$1.root folder patterns
    rm -rf "$root"
    mkdir -p "$root"/{bin,dev,proc,sys,tmp,modules} "$root/hvlua/build/nested" &&
        cp "$busybox/busybox" "$root/bin" && ln -s busybox "$root/bin/sh" &&
        cp tests/nested/init.sh "$root/init" && chmod +x "$root/init" || return
    for folder in $modules; do
        cp "$kernel"/${folder#*/} "$root/modules" || return
    done
    find "$root/modules" -name '*.xz' -exec xz -d {} +
    git ls-files -z | tar -c --null -T - | tar -x -C "$root/hvlua" &&
        cp -r build/guests "$root/hvlua/build" &&
        cp -r "build/$arch-static/tests" "$root/hvlua/build/nested" &&
        find "$root/hvlua/build/nested" -name '*.[od]' -delete &&
        cp "hvlua-$arch-static" "$root/hvlua/hvlua" &&
        cp "build/$arch-static/ask" "$root/bin/clang" &&
        ln -s clang "$root/bin/ld.lld" &&
        cp tests/nested/getconf.sh "$root/bin/getconf" &&
        cp tests/nested/yes.sh "$root/bin/yes.sh" || return
    cp -r "build/$arch-static/bench" "$root/hvlua/build/nested" || return
    case $what in
    test)
        read -ra patterns <<<"${ARGS:-}"
        echo "exec ./hvlua tests/run.lua ${patterns[*]@Q}"
        ;;
    bench) echo "exec ./hvlua tests/nested/bench.lua" ;;
    esac >"$root/run.sh"
    (cd "$root" && find . | cpio --quiet -o -H newc) >"$out/$1.cpio"
}

# Without SVE, by which memcpy() would write code past QEMU 7.2's notice. The other
# has one processor: QEMU 7.2 loses int3 that one patches into another's code.
machine() {
    local cpus=1
    case $arch in
    arm64)
        [ "$what" = bench ] || cpus=2
        echo -machine virt,virtualization=on,gic-version=3 \
            -cpu max,pauth-impdef=on,sve=off,sme=off
        ;;
    x86_64) echo -machine q35 -cpu max,+svm,+npt ;;
    esac
    echo -smp $cpus -m 1536 -display none -monitor none -serial stdio -no-reboot
    [ "$what" != bench ] || echo -icount shift=0
}

# Run the machine to its end, or until host.lua has seen enough of it.
run() {
    local name=$1 answers=$out/$1.answers serial=$out/$1.console console=$2 status
    rm -f "$answers" "$serial"
    mkfifo "$answers" "$serial" || return
    # shellcheck disable=SC2046
    timeout "$limit" "$qemu" $(machine) -kernel "$kernel"/vmlinuz-* \
        -append "console=$console panic=-1 quiet loglevel=1" \
        -initrd "$out/$name.cpio" >"$serial" <"$answers" &
    ./hvlua tests/nested/host.lua "$name" "$answers" <"$serial" | tee "$out/$name.tap"
    status=$?
    kill $! 2>/dev/null
    wait $!
    return $status
}

boot() {
    local name=$1 kernel busybox console status
    boot_of "$name" && need "$qemu" cpio xz timeout &&
        kernel=$(cached "$release" "$debian" "linux-image-$debian" \
            "boot/vmlinuz-* $modules") &&
        busybox=$(cached "$release" "$debian" busybox-static '*bin/busybox') &&
        pack "$name" || return
    case $arch in
    arm64) console=ttyAMA0 ;;
    x86_64) console=ttyS0 ;;
    esac
    run "$name" $console
    status=$?
    if ((status == locked_up)); then
        echo "$name | its kernel has locked up, which no program may do to it: once more"
        run "$name" $console
        status=$?
    fi
    return $status
}

what=${1:-test}
shift
case $what in
test) [ $# != 0 ] || set -- arm64-6.12 x86_64-6.12 arm64-6.1 ;;
bench) [ $# != 0 ] || set -- arm64-6.12 x86_64-6.12 ;;
*)
    echo "usage: run.sh test|bench [boot...]" >&2
    exit 2
    ;;
esac
for name; do
    boot_of "$name" || exit
done
mkdir -p "$out"
rm -f "$out"/*.tap

broken=0 # boots that failed
for name; do
    boot "$name" &
done
while [ -n "$(jobs -p)" ]; do
    wait -n || broken=$((broken + 1))
done
# One that broke without counting a failure is one.
sed -n 's/^[^|]* | \([0-9]*\) passed, \([0-9]*\) failed, \([0-9]*\) skipped$/\1 \2 \3/p' \
    "$out"/*.tap | awk -v broken="$broken" '
    { passed += $1; failed += $2; skipped += $3; bad += $2 > 0 }
    END {
        failed += broken > bad ? broken - bad : 0
        printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped
        exit failed > 0
    }'
