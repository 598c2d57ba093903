/* SPDX-License-Identifier: MIT */
#ifndef MACH_ERROR_H
#define MACH_ERROR_H

#include <mach/kern_return.h>

typedef kern_return_t mach_error_t;

#endif
