/* SPDX-License-Identifier: MIT */
/* hv_gic_state.h - a GIC's state but for the CPU interfaces; macOS 15.0. */
#ifndef HYPERVISOR_HV_GIC_STATE_H
#define HYPERVISOR_HV_GIC_STATE_H

#include <Hypervisor/hv_gic_types.h>

HV_EXTERN hv_gic_state_t hv_gic_state_create(void);
HV_EXTERN hv_return_t hv_gic_state_get_size(hv_gic_state_t state,
                                            size_t *gic_state_size);
HV_EXTERN hv_return_t hv_gic_state_get_data(hv_gic_state_t state,
                                            void *gic_state_data);

#endif
