/* SPDX-License-Identifier: MIT */
/* hv_gic_parameters.h - a GIC's geometry; macOS 15.0. */
#ifndef HYPERVISOR_HV_GIC_PARAMETERS_H
#define HYPERVISOR_HV_GIC_PARAMETERS_H

#include <Hypervisor/hv_gic_types.h>

HV_EXTERN hv_return_t hv_gic_get_distributor_size(size_t *distributor_size);
HV_EXTERN hv_return_t
hv_gic_get_distributor_base_alignment(size_t *distributor_base_alignment);
/* Of all vCPUs there can be, and of one. */
HV_EXTERN hv_return_t
hv_gic_get_redistributor_region_size(size_t *redistributor_region_size);
HV_EXTERN hv_return_t hv_gic_get_redistributor_size(size_t *redistributor_size);
HV_EXTERN hv_return_t
hv_gic_get_redistributor_base_alignment(size_t *redistributor_base_alignment);
HV_EXTERN hv_return_t hv_gic_get_msi_region_size(size_t *msi_region_size);
HV_EXTERN hv_return_t
hv_gic_get_msi_region_base_alignment(size_t *msi_region_base_alignment);
HV_EXTERN hv_return_t hv_gic_get_spi_interrupt_range(uint32_t *spi_intid_base,
                                                     uint32_t *spi_intid_count);
/* Those that are the framework's own. */
HV_EXTERN hv_return_t hv_gic_get_intid(hv_gic_intid_t interrupt,
                                       uint32_t *intid);

#endif
