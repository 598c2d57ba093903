/* SPDX-License-Identifier: MIT */
/* sme.c - SME's registers, as the host sees them. Guests cannot use them here:
 * the library has no SME. */
#include <string.h>

#include "engine.h"

enum { FPSR_ALL = 0x0800009f };

hv_return_t fake_sme_config_get_max_svl_bytes(size_t *value)
{
    if (value == NULL)
        return HV_BAD_ARGUMENT;
    if (!fake.sme)
        return HV_UNSUPPORTED;
    *value = SVL;
    return HV_SUCCESS;
}

/* The vCPU, if its guest could have SME. */
static struct vcpu *with_sme(hv_vcpu_t vcpu, hv_return_t *result)
{
    struct vcpu *v = fake_vcpu(vcpu, result);

    if (v != NULL && (!fake.sme || v->engine->el2)) {
        *result = HV_UNSUPPORTED;
        return NULL;
    }
    return v;
}

hv_return_t fake_vcpu_get_sme_state(hv_vcpu_t vcpu,
                                    hv_vcpu_sme_state_t *sme_state)
{
    hv_return_t result;
    const struct vcpu *v = with_sme(vcpu, &result);

    if (v == NULL)
        return result;
    if (sme_state == NULL)
        return HV_BAD_ARGUMENT;
    *sme_state = v->sme->state;
    return HV_SUCCESS;
}

/* Whoever enters or leaves streaming mode finds nothing there. */
static void switch_mode(struct vcpu *v)
{
    static const uint8_t zero[16];

    memset(v->sme->z, 0, sizeof v->sme->z);
    memset(v->sme->p, 0, sizeof v->sme->p);
    for (int n = 0; n < 32; n++)
        v->engine->u.reg_write(v->engine->uc, UC_ARM64_REG_V0 + n, zero);
    engine_set_reg(v->engine, UC_ARM64_REG_FPSR, FPSR_ALL);
}

hv_return_t fake_vcpu_set_sme_state(hv_vcpu_t vcpu,
                                    const hv_vcpu_sme_state_t *sme_state)
{
    hv_return_t result;
    struct vcpu *v = with_sme(vcpu, &result);

    if (v == NULL)
        return result;
    if (sme_state == NULL)
        return HV_BAD_ARGUMENT;
    if (v->sme->state.streaming_sve_mode_enabled !=
        sme_state->streaming_sve_mode_enabled)
        switch_mode(v);
    if (!v->sme->state.za_storage_enabled && sme_state->za_storage_enabled) {
        memset(v->sme->za, 0, sizeof v->sme->za);
        memset(&v->sme->zt0, 0, sizeof v->sme->zt0);
    }
    v->sme->state = *sme_state;
    return HV_SUCCESS;
}

/* ---- registers: to `to`, or from `from` ------------------------------------ */

static hv_return_t copy(void *reg, size_t size, bool there, void *to,
                        const void *from, size_t length)
{
    if ((to == NULL && from == NULL) || length != size)
        return HV_BAD_ARGUMENT;
    if (!there)
        return HV_ERROR;
    if (to != NULL)
        memcpy(to, reg, size);
    if (from != NULL)
        memcpy(reg, from, size);
    return HV_SUCCESS;
}

/* The lower bytes of Z are V. */
static hv_return_t copy_z(hv_vcpu_t vcpu, hv_sme_z_reg_t reg, void *to,
                          const void *from, size_t length)
{
    hv_return_t result;
    struct vcpu *v = with_sme(vcpu, &result);

    if (v == NULL)
        return result;
    if (reg >= ZREGS)
        return HV_BAD_ARGUMENT;
    result = copy(v->sme->z[reg], SVL, v->sme->state.streaming_sve_mode_enabled,
                  to, from, length);
    if (result == HV_SUCCESS && from != NULL)
        v->engine->u.reg_write(v->engine->uc, UC_ARM64_REG_V0 + (int)reg, from);
    return result;
}

static hv_return_t copy_p(hv_vcpu_t vcpu, hv_sme_p_reg_t reg, void *to,
                          const void *from, size_t length)
{
    hv_return_t result;
    struct vcpu *v = with_sme(vcpu, &result);

    if (v == NULL)
        return result;
    if (reg >= PREGS)
        return HV_BAD_ARGUMENT;
    return copy(v->sme->p[reg], SVL / 8,
                v->sme->state.streaming_sve_mode_enabled, to, from, length);
}

/* ZA, or ZT0. */
static hv_return_t copy_za(hv_vcpu_t vcpu, bool zt0, void *to, const void *from,
                           size_t length)
{
    hv_return_t result;
    struct vcpu *v = with_sme(vcpu, &result);

    if (v == NULL)
        return result;
    return copy(zt0 ? (void *)&v->sme->zt0 : v->sme->za,
                zt0 ? sizeof v->sme->zt0 : sizeof v->sme->za,
                v->sme->state.za_storage_enabled, to, from, length);
}

hv_return_t fake_vcpu_get_sme_z_reg(hv_vcpu_t vcpu, hv_sme_z_reg_t reg,
                                    uint8_t *value, size_t length)
{
    return copy_z(vcpu, reg, value, NULL, length);
}

hv_return_t fake_vcpu_set_sme_z_reg(hv_vcpu_t vcpu, hv_sme_z_reg_t reg,
                                    const uint8_t *value, size_t length)
{
    return copy_z(vcpu, reg, NULL, value, length);
}

hv_return_t fake_vcpu_get_sme_p_reg(hv_vcpu_t vcpu, hv_sme_p_reg_t reg,
                                    uint8_t *value, size_t length)
{
    return copy_p(vcpu, reg, value, NULL, length);
}

hv_return_t fake_vcpu_set_sme_p_reg(hv_vcpu_t vcpu, hv_sme_p_reg_t reg,
                                    const uint8_t *value, size_t length)
{
    return copy_p(vcpu, reg, NULL, value, length);
}

hv_return_t fake_vcpu_get_sme_za_reg(hv_vcpu_t vcpu, uint8_t *value,
                                     size_t length)
{
    return copy_za(vcpu, false, value, NULL, length);
}

hv_return_t fake_vcpu_set_sme_za_reg(hv_vcpu_t vcpu, const uint8_t *value,
                                     size_t length)
{
    return copy_za(vcpu, false, NULL, value, length);
}

hv_return_t fake_vcpu_get_sme_zt0_reg(hv_vcpu_t vcpu,
                                      hv_sme_zt0_uchar64_t *value)
{
    return copy_za(vcpu, true, value, NULL, sizeof *value);
}

hv_return_t fake_vcpu_set_sme_zt0_reg(hv_vcpu_t vcpu,
                                      const hv_sme_zt0_uchar64_t *value)
{
    return copy_za(vcpu, true, NULL, value, sizeof *value);
}
