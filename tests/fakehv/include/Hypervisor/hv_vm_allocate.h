/* SPDX-License-Identifier: MIT */
/* hv_vm_allocate.h - memory that suits hv_vm_map(); macOS 12.1. */
#ifndef HYPERVISOR_HV_VM_ALLOCATE_H
#define HYPERVISOR_HV_VM_ALLOCATE_H

#include <Hypervisor/hv_vm_types.h>

HV_EXTERN hv_return_t hv_vm_allocate(void **uvap, size_t size,
                                     hv_allocate_flags_t flags);
HV_EXTERN hv_return_t hv_vm_deallocate(void *uva, size_t size);

#endif
