/* SPDX-License-Identifier: MIT */
#ifndef HYPERVISOR_HV_SME_CONFIG_H
#define HYPERVISOR_HV_SME_CONFIG_H

#include <Hypervisor/hv_kern_types.h>

/* macOS 15.2: the streaming vector length; HV_UNSUPPORTED without SME. */
HV_EXTERN hv_return_t hv_sme_config_get_max_svl_bytes(size_t *value);

#endif
