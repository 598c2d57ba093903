#!/bin/sh
# SPDX-License-Identifier: MIT
# getconf PAGESIZE, which the shell in QEMU does not have.
[ "$1" = PAGESIZE ] && awk '/^KernelPageSize/ { print $2 * 1024; exit }' /proc/self/smaps
