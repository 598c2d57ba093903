/* SPDX-License-Identifier: MIT */
/* hv_kern_types.h - results and memory permissions; on macOS this is
 * <arm64/hv/hv_kern_types.h>. */
#ifndef HYPERVISOR_HV_KERN_TYPES_H
#define HYPERVISOR_HV_KERN_TYPES_H

#include <Hypervisor/hv_base.h>
#include <mach/error.h>

/* A signed 32-bit number: 0xfae94003 is -85377021. */
typedef mach_error_t hv_return_t;

#define HV_RETURN(n) ((hv_return_t)0xfae94000 + (n))

enum {
    HV_SUCCESS = 0,
    HV_ERROR = HV_RETURN(1),
    HV_BUSY = HV_RETURN(2),
    HV_BAD_ARGUMENT = HV_RETURN(3),
    HV_ILLEGAL_GUEST_STATE = HV_RETURN(4),
    HV_NO_RESOURCES = HV_RETURN(5),
    HV_NO_DEVICE = HV_RETURN(6),
    HV_DENIED = HV_RETURN(7),
    HV_EXISTS = HV_RETURN(8),
    HV_UNSUPPORTED = HV_RETURN(0xf)
};

typedef uint64_t hv_memory_flags_t;

enum {
    HV_MEMORY_READ = 1u << 0,
    HV_MEMORY_WRITE = 1u << 1,
    HV_MEMORY_EXEC = 1u << 2
};

typedef uint64_t hv_ipa_t; /* a guest physical address */

#endif
