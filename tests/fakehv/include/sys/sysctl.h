/* SPDX-License-Identifier: MIT */
/* sys/sysctl.h - what a Mac tells of itself by name: kern.hv_support,
 * kern.hv_vmm_present, kern.osproductversion, hw.pagesize, hw.optional.arm64 and
 * sysctl.proc_translated are known, all else is ENOENT. */
#ifndef SYS_SYSCTL_H
#define SYS_SYSCTL_H

#include <stddef.h>

__attribute__((visibility("default"))) int
sysctlbyname(const char *name, void *old, size_t *old_size, void *new_value,
             size_t new_size);

#endif
