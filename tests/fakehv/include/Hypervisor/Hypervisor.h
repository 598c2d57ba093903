/* SPDX-License-Identifier: MIT */
/* Hypervisor.h - the interface of Apple's Hypervisor.framework on arm64 Macs,
 * macOS 11.0 to 26, for the test double in tests/fakehv: names, values and
 * types are the framework's, the words are ours. With -Itests/fakehv/include a
 * backend written for macOS compiles on Linux as it is.
 *
 * The double is one library, build/fakehv/libHypervisor.so. Which macOS it is
 * FAKE_HV_MACOS says (11.0 or newer; 12.1, 13.0, 15.0, 15.2 and 26.0 brought
 * functions; unset: 26.0), read when the library is loaded. A function that is
 * newer than that does not exist:
 *
 *     void *h = dlopen(".../libHypervisor.so", RTLD_NOW | RTLD_LOCAL);
 *     dlsym(h, "hv_gic_create")     NULL with FAKE_HV_MACOS=13.0
 *
 * just as on a Mac of that version; its symbol is an indirect function (IFUNC),
 * whose resolver gives NULL. What the comments below call "macOS 15.0" is the
 * first version that has it; "macOS 11.0" is all that has no such comment.
 *
 * What is no part of the framework but comes with macOS (os_release(),
 * mach_absolute_time(), sys_icache_invalidate(), sysctlbyname()) is in the
 * library too, under headers of the same names as there.
 *
 * "Owner": to be called on the thread that created the vCPU, and no other. */
#ifndef HYPERVISOR_HYPERVISOR_H
#define HYPERVISOR_HYPERVISOR_H

#include <Hypervisor/hv_kern_types.h>
#include <Hypervisor/hv_vm_types.h>
#include <Hypervisor/hv_vm_config.h>
#include <Hypervisor/hv_vm.h>
#include <Hypervisor/hv_vm_allocate.h>
#include <Hypervisor/hv_vcpu_types.h>
#include <Hypervisor/hv_vcpu_config.h>
#include <Hypervisor/hv_vcpu.h>
#include <Hypervisor/hv_gic_types.h>
#include <Hypervisor/hv_gic_config.h>
#include <Hypervisor/hv_gic.h>
#include <Hypervisor/hv_gic_parameters.h>
#include <Hypervisor/hv_gic_state.h>
#include <Hypervisor/hv_sme_config.h>

#endif
