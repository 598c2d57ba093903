/* SPDX-License-Identifier: MIT */
/* fakehv.h - the double of Hypervisor.framework as its tests see it: switches,
 * a clock to turn, failures on demand, and what happened.
 *
 * Each switch is an environment variable, read when the library is loaded, and
 * can be changed later with fake_hv_set():
 *   FAKE_HV_MACOS=26.0     11.0 or newer; 12.1, 13.0, 15.0, 15.2 and 26.0
 *                          brought something
 *   FAKE_HV_CHIP=m4        m1 m2: 36 bits of address, m3 m4 m5: 40, and EL2;
 *                          m4 m5: SME
 *   FAKE_HV_ENTITLED=1     0: hv_vm_create() is HV_DENIED
 *   FAKE_HV_INSIDE_VM=0    1: hv_vm_create() is HV_UNSUPPORTED
 *   FAKE_HV_TRANSLATED=0   1: sysctl says that the process runs under Rosetta
 *   FAKE_HV_STRICT=1       0: what a Mac leaves stale is not poisoned;
 *                          2: every report aborts
 *   FAKE_HV_SIGNALS=1      0: signals do not end a run (with reason 3)
 *   FAKE_HV_SPURIOUS=0     n: of n runs one is CANCELED for no reason
 *   FAKE_HV_MAX_VCPUS=64
 *   FAKE_HV_FAIL=          hv_gic_create=0xfae94005,...: these fail, always
 *   FAKE_HV_LOG=           a file that gets a line for each call
 *
 * Wrong use that macOS leaves undefined is reported: on stderr, and to
 * fake_hv_report(). hv_vcpu_destroy() on another thread than the owner's, which
 * has brought Macs down, and use of what was released, abort. */
#ifndef FAKEHV_H
#define FAKEHV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#pragma GCC visibility push(default)

/* Why guests cannot run here (no libunicorn 2.1), in words; NULL: they can. */
const char *fake_hv_unusable(void);

/* Change a switch; NULL sets it back to what it is without the variable. False:
 * there is no such switch, or no such value. */
bool fake_hv_set(const char *name, const char *value);

/* The next `times` calls of `function` do nothing but return `result`, or NULL
 * where they would give an object. 0 times: no more of that. */
void fake_hv_fail(const char *function, int result, unsigned times);

/* ---- the clock: 24 MHz, mach_absolute_time() and the guest's counter ------ */

void fake_hv_clock_stop(uint64_t ticks); /* it shows this, and stays */
void fake_hv_clock_advance(uint64_t ticks);
void fake_hv_clock_go(void); /* from what it shows, as time does */

/* ---- what happened -------------------------------------------------------- */

struct fake_hv_call {
    uint64_t number;      /* from 0 */
    const char *function; /* "hv_vcpu_run" */
    int thread;           /* gettid() */
    unsigned args;
    uint64_t arg[4]; /* all but the vector of hv_vcpu_set_simd_fp_reg() */
    int result;      /* of a function that gives an object: is it NULL? */
};

uint64_t fake_hv_calls(void); /* that have returned */
/* False: there was no such call, or it was too long ago (65536 are kept). */
bool fake_hv_call(uint64_t number, struct fake_hv_call *call);

unsigned fake_hv_reports(void);
const char *fake_hv_report(unsigned i); /* NULL: not so many */
void fake_hv_forget(void);              /* calls and reports */

/* Objects that are still to be released; vCPUs there are. */
unsigned fake_hv_objects(void);
unsigned fake_hv_vcpus(void);

#pragma GCC visibility pop

#endif
