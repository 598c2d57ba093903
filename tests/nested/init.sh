#!/bin/sh
# SPDX-License-Identifier: MIT
# init.sh - the only process of the machine in QEMU (run.sh): runs what /run.sh says
# on the KVM of this kernel, tells how it ended, and turns the machine off.
/bin/busybox --install -s /bin
mv /bin/yes.sh /bin/yes
export PATH=/bin HOME=/tmp HVLUA_BUILD=build/nested HVLUA_NESTED=1 TERM=dumb
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs tmp /tmp
mkdir -p /dev/pts /dev/shm
mount -t devpts pts /dev/pts
mount -t tmpfs shm /dev/shm
ln -s /proc/self/fd /dev/fd
ln -s /proc/self/fd/0 /dev/stdin
ln -s /proc/self/fd/1 /dev/stdout
ln -s /proc/self/fd/2 /dev/stderr
exec </dev/null >/dev/console 2>&1
stty -F /dev/console raw -echo
for module in irqbypass ccp kvm kvm-amd; do
    [ ! -e /modules/$module.ko ] || insmod /modules/$module.ko
done
cd /hvlua || poweroff -f
uname -srvm
sh /run.sh
echo "nested: status $?"
poweroff -f
