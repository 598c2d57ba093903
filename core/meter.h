/* SPDX-License-Identifier: MIT */
/* meter.h - a vCPU's time in the guest, for who wants to know: struct vmm_run has
 * a pointer to them. Apart from vmm.h, as C++ has no such atomics. */
#ifndef VMM_METER_H
#define VMM_METER_H

#include <stdbool.h>
#include <stdint.h>

struct vmm_meter {
    _Atomic bool inside;    /* it is there now */
    _Atomic bool timed;     /* set: keep the following */
    _Atomic uint64_t guest; /* nanoseconds in it; the reader sets it to 0 */
    uint64_t entered, left; /* when it went in (0: it is out), and came out */
};

#endif
