/* SPDX-License-Identifier: MIT */
/* mach/mach_time.h - the clock that the guest's counter counts with: 24 MHz, so
 * that a tick is 125/3 ns. A test may stop it: fakehv.h. */
#ifndef MACH_MACH_TIME_H
#define MACH_MACH_TIME_H

#include <stdint.h>

#include <mach/kern_return.h>

struct mach_timebase_info {
    uint32_t numer;
    uint32_t denom;
};
typedef struct mach_timebase_info *mach_timebase_info_t;
typedef struct mach_timebase_info mach_timebase_info_data_t;

__attribute__((visibility("default"))) uint64_t mach_absolute_time(void);
__attribute__((visibility("default"))) kern_return_t
mach_timebase_info(mach_timebase_info_t info);
__attribute__((visibility("default"))) kern_return_t
mach_wait_until(uint64_t deadline);

#endif
