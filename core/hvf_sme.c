/* SPDX-License-Identifier: MIT */
/* hvf_sme.c - a vCPU's SME: Z, P, ZA and ZT0, and SVCR, which the framework has
 * as two switches. macOS 15.2 and later, on processors that have it. */
#include "backend.h"

#ifdef VMM_HVF
#include <string.h>

#include "hvf.h"

enum { SVCR_SM = 1, SVCR_ZA = 2, ZT0_SIZE = 64 };

static int failed(vmm_reg reg, hv_return_t rc)
{
    const char *name = vmm_reg_called(VMM_ARM64, reg);

    if (rc == HV_SUCCESS)
        return 0;
    if (rc == HV_UNSUPPORTED)
        return vmm_fail(VMM_ENOTSUP,
                        "hvf: %s: needs SME, which this machine's processor "
                        "lacks, or the guest has EL2 instead",
                        name);
    return hvf_fail(name, rc);
}

static bool exists(const struct hvf_cpu *h)
{
    return h->call->vcpu_get_sme_state != NULL;
}

static int lacks(vmm_reg reg)
{
    return hvf_lacks(vmm_reg_called(VMM_ARM64, reg), "hv_vcpu_get_sme_state");
}

/* ---- SVCR ----------------------------------------------------------------- */

static const vmm_reg svcr = VMM_REG(VMM_SYSTEM, HVF_SVCR);

int hvf_get_svcr(const struct hvf_cpu *h, uint64_t *value)
{
    struct hvf_sme_state state = {false, false};
    hv_return_t rc;

    if (!exists(h))
        return lacks(svcr);
    rc = h->call->vcpu_get_sme_state(h->id, &state);
    *value = (state.streaming ? SVCR_SM : 0u) | (state.za ? SVCR_ZA : 0u);
    return failed(svcr, rc);
}

int hvf_set_svcr(const struct hvf_cpu *h, uint64_t value)
{
    struct hvf_sme_state state = {value & SVCR_SM, value & SVCR_ZA};

    if (!exists(h))
        return lacks(svcr);
    if (value & ~(uint64_t)(SVCR_SM | SVCR_ZA))
        return vmm_fail(VMM_EINVAL, "hvf: svcr: it has bits 0 (streaming mode) "
                                    "and 1 (ZA)");
    return failed(svcr, h->call->vcpu_set_sme_state(h->id, &state));
}

/* ---- registers of bytes --------------------------------------------------- */

struct bytes { /* what is done on the vCPU's thread */
    struct hvf_cpu *h;
    vmm_reg reg;
    void *to;
    const void *from;
    size_t *size;
};

static int size_of(const struct hvf_calls *c, vmm_reg reg, size_t *size)
{
    uint32_t nr = VMM_REG_NR(reg);
    size_t svl = 0;
    hv_return_t rc = c->sme_config_get_max_svl_bytes(&svl);

    *size = nr < VMM_P0    ? svl
            : nr < VMM_ZA  ? svl / 8
            : nr == VMM_ZA ? svl * svl
                           : ZT0_SIZE;
    return failed(reg, rc);
}

static int check_on(const struct bytes *b)
{
    bool za = VMM_REG_NR(b->reg) >= VMM_ZA;
    uint64_t value = 0;
    int rc = hvf_get_svcr(b->h, &value);

    if (rc < 0 || value & (za ? SVCR_ZA : SVCR_SM))
        return rc;
    return vmm_fail(VMM_ESTATE, "hvf: %s: %s is off: it is bit %d of svcr",
                    vmm_reg_called(VMM_ARM64, b->reg),
                    za ? "ZA" : "streaming mode", za);
}

static int get(void *arg)
{
    const struct bytes *b = arg;
    const struct hvf_calls *c = b->h->call;
    hv_vcpu_t id = b->h->id;
    uint32_t nr = VMM_REG_NR(b->reg);
    hv_simd_fp_uchar16_t zt0[ZT0_SIZE / 16]; /* as aligned as a vector */
    hv_return_t rc;
    int off = check_on(b);

    if (off < 0)
        return off;
    if (nr < VMM_P0)
        rc = c->vcpu_get_sme_z_reg(id, nr, b->to, *b->size);
    else if (nr < VMM_ZA)
        rc = c->vcpu_get_sme_p_reg(id, nr - VMM_P0, b->to, *b->size);
    else if (nr == VMM_ZA)
        rc = c->vcpu_get_sme_za_reg(id, b->to, *b->size);
    else {
        rc = c->vcpu_get_sme_zt0_reg(id, zt0);
        if (rc == HV_SUCCESS)
            memcpy(b->to, zt0, sizeof zt0);
    }
    return failed(b->reg, rc);
}

static int set(void *arg)
{
    const struct bytes *b = arg;
    const struct hvf_calls *c = b->h->call;
    hv_vcpu_t id = b->h->id;
    uint32_t nr = VMM_REG_NR(b->reg);
    hv_simd_fp_uchar16_t zt0[ZT0_SIZE / 16];
    hv_return_t rc;
    int off = check_on(b);

    if (off < 0)
        return off;
    if (nr < VMM_P0)
        rc = c->vcpu_set_sme_z_reg(id, nr, b->from, *b->size);
    else if (nr < VMM_ZA)
        rc = c->vcpu_set_sme_p_reg(id, nr - VMM_P0, b->from, *b->size);
    else if (nr == VMM_ZA)
        rc = c->vcpu_set_sme_za_reg(id, b->from, *b->size);
    else {
        memcpy(zt0, b->from, sizeof zt0);
        rc = c->vcpu_set_sme_zt0_reg(id, zt0);
    }
    return failed(b->reg, rc);
}

int hvf_get_bytes(struct vmm_cpu *cpu, vmm_reg reg, void *to, size_t *size)
{
    struct hvf_cpu *h = cpu->host;

    if (!exists(h))
        return lacks(reg);
    if (!to)
        return size_of(h->call, reg, size);
    return hvf_do(&h->thread, get, &(struct bytes){h, reg, to, NULL, size});
}

int hvf_set_bytes(struct vmm_cpu *cpu, vmm_reg reg, const void *from,
                  size_t size)
{
    struct hvf_cpu *h = cpu->host;

    return hvf_do(&h->thread, set, &(struct bytes){h, reg, NULL, from, &size});
}
#endif
