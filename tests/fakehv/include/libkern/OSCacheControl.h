/* SPDX-License-Identifier: MIT */
/* libkern/OSCacheControl.h - what the host wrote is code for the guest now. */
#ifndef LIBKERN_OSCACHECONTROL_H
#define LIBKERN_OSCACHECONTROL_H

#include <stddef.h>

__attribute__((visibility("default"))) void sys_icache_invalidate(void *start,
                                                                  size_t len);
__attribute__((visibility("default"))) void sys_dcache_flush(void *start,
                                                             size_t len);

#endif
