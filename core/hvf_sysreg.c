/* SPDX-License-Identifier: MIT */
/* hvf_sysreg.c - a vCPU's system registers, all on its own thread. The framework
 * has most by their encoding, and some elsewhere: the GIC's CPU interface, SVCR,
 * what describes the machine. */
#include "backend.h"

#ifdef VMM_HVF
#include <inttypes.h>

#include "hvf.h"

/* ---- what the framework says no to ---------------------------------------- */

static int failed(const struct hvf_cpu *h, vmm_reg reg, hv_return_t rc)
{
    const char *name = vmm_reg_called(VMM_ARM64, reg);
    uint32_t nr = VMM_REG_NR(reg);

    if (rc == HV_SUCCESS)
        return 0;
    if (rc == HV_UNSUPPORTED && (nr >> 11 & 7) >= 4 && !h->cpu->vm->el2)
        return vmm_fail(VMM_ENOTSUP,
                        "hvf: %s: needs EL2: hv.vm { el2 = true } gives it to "
                        "the guest",
                        name);
    if (rc == HV_UNSUPPORTED && !h->cpu->vm->gic.ranges)
        return vmm_fail(VMM_ENOTSUP, "hvf: %s: needs a gic: vm:gic{} makes one",
                        name);
    if (rc == HV_BAD_ARGUMENT)
        return vmm_fail(
            VMM_ENOTSUP,
            "hvf: %s S%u_%u_C%u_C%u_%u: the framework does not have "
            "it",
            name, nr >> 14 & 3, nr >> 11 & 7, nr >> 7 & 15, nr >> 3 & 15,
            nr & 7);
    return hvf_fail(name, rc);
}

/* ---- elsewhere ------------------------------------------------------------ */

/* Registers of the machine, which are the same for all its vCPUs. */
static int feature(uint32_t nr)
{
    static const struct {
        uint32_t nr;
        hv_feature_reg_t reg;
    } features[] = {
        {VMM_A64_SYSREG(3, 3, 0, 0, 1), HV_FEATURE_REG_CTR_EL0},
        {VMM_A64_SYSREG(3, 1, 0, 0, 1), HV_FEATURE_REG_CLIDR_EL1},
        {VMM_A64_SYSREG(3, 3, 0, 0, 7), HV_FEATURE_REG_DCZID_EL0},
    };

    for (size_t i = 0; i < sizeof features / sizeof features[0]; i++)
        if (features[i].nr == nr)
            return (int)features[i].reg;
    return -1;
}

static int get_feature(const struct hvf_cpu *h, uint32_t reg, uint64_t *value)
{
    hvf_object config = h->call->vcpu_config_create();
    hv_return_t rc;

    if (!config)
        return vmm_fail(VMM_EHOST, "hvf: hv_vcpu_config_create() gave nothing");
    rc = h->call->vcpu_config_get_feature_reg(config, reg, value);
    h->call->os_release(config);
    return rc == HV_SUCCESS ? 0 : hvf_fail("feature register", rc);
}

/* The timers' frequency: that of the host's own counter. */
static int get_frequency(const struct hvf_cpu *h, uint64_t *value)
{
    struct mach_timebase_info info;

    if (h->call->timebase(&info) != 0)
        return vmm_fail(VMM_EHOST, "hvf: cntfrq_el0: mach_timebase_info() "
                                   "fails");
    *value = UINT64_C(1000000000) * info.denom / info.numer;
    return 0;
}

enum place { SYSTEM, ICC, ICH };

/* Which part of the framework has this encoding. */
static enum place place(uint32_t nr)
{
    uint32_t op1 = nr >> 11 & 7, crn = nr >> 7 & 15, crm = nr >> 3 & 15;

    if (nr == VMM_A64_SYSREG(3, 0, 4, 6, 0) ||
        nr == VMM_A64_SYSREG(3, 4, 12, 9, 5) || /* ICC_SRE_EL2 */
        (nr >> 14 == 3 && op1 == 0 && crn == 12 && crm >= 8))
        return ICC;
    return nr >> 14 == 3 && op1 == 4 && crn == 12 && crm >= 8 ? ICH : SYSTEM;
}

/* The interface is there with the GIC only. */
static int check_gic(const struct hvf_cpu *h, vmm_reg reg)
{
    if (h->cpu->vm->gic.ranges)
        return 0;
    return vmm_fail(VMM_ENOTSUP, "hvf: %s: needs a gic: vm:gic{} makes one",
                    vmm_reg_called(VMM_ARM64, reg));
}

/* ---- for hvf_cpu.c -------------------------------------------------------- */

int hvf_get_sysreg(const struct hvf_cpu *h, vmm_reg reg, uint64_t *value)
{
    const struct hvf_calls *c = h->call;
    uint32_t nr = VMM_REG_NR(reg);
    enum place where = place(nr);
    int rc = where == SYSTEM ? 0 : check_gic(h, reg);

    if (rc < 0)
        return rc;
    if (nr == HVF_SVCR)
        return hvf_get_svcr(h, value);
    if (nr == VMM_A64_SYSREG(3, 3, 14, 0, 0))
        return get_frequency(h, value);
    if (feature(nr) >= 0)
        return get_feature(h, (uint32_t)feature(nr), value);
    return failed(h, reg,
                  where == ICC ? c->gic_get_icc_reg(h->id, (uint16_t)nr, value)
                  : where == ICH
                      ? c->gic_get_ich_reg(h->id, (uint16_t)nr, value)
                      : c->vcpu_get_sys_reg(h->id, (uint16_t)nr, value));
}

int hvf_set_sysreg(struct hvf_cpu *h, vmm_reg reg, uint64_t value)
{
    const struct hvf_calls *c = h->call;
    uint32_t nr = VMM_REG_NR(reg);
    enum place where = place(nr);
    int rc = where == SYSTEM ? 0 : check_gic(h, reg);

    if (rc < 0)
        return rc;
    if (nr == HVF_SVCR)
        return hvf_set_svcr(h, value);
    return failed(h, reg,
                  where == ICC ? c->gic_set_icc_reg(h->id, (uint16_t)nr, value)
                  : where == ICH
                      ? c->gic_set_ich_reg(h->id, (uint16_t)nr, value)
                      : c->vcpu_set_sys_reg(h->id, (uint16_t)nr, value));
}

int hvf_get_gic(const struct hvf_cpu *h, vmm_reg reg, uint64_t *value)
{
    const struct hvf_calls *c = h->call;
    uint32_t nr = VMM_REG_NR(reg);
    int rc = check_gic(h, reg);

    if (rc < 0)
        return rc;
    if (VMM_REG_CLASS(reg) == VMM_VCPU)
        return failed(h, reg, c->gic_get_redistributor_base(h->id, value));
    return failed(h, reg,
                  VMM_REG_CLASS(reg) == VMM_GICR
                      ? c->gic_get_redistributor_reg(h->id, nr, value)
                      : c->gic_get_icv_reg(h->id, (uint16_t)nr, value));
}

int hvf_set_gic(const struct hvf_cpu *h, vmm_reg reg, uint64_t value)
{
    const struct hvf_calls *c = h->call;
    uint32_t nr = VMM_REG_NR(reg);
    int rc = check_gic(h, reg);

    if (rc < 0)
        return rc;
    return failed(h, reg,
                  VMM_REG_CLASS(reg) == VMM_GICR
                      ? c->gic_set_redistributor_reg(h->id, nr, value)
                      : c->gic_set_icv_reg(h->id, (uint16_t)nr, value));
}
#endif
