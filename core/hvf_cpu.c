/* SPDX-License-Identifier: MIT */
/* hvf_cpu.c - a vCPU of Hypervisor.framework and its registers, all on its own
 * thread. */
#include "backend.h"

#ifdef VMM_HVF
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "hvf.h"

/* ---- known registers ----------------------------------------------------- */

uint64_t hvf_reg(const struct hvf_cpu *h, hv_reg_t reg)
{
    uint64_t value = 0;

    h->call->vcpu_get_reg(h->id, reg, &value);
    return value;
}

void hvf_set_reg(const struct hvf_cpu *h, hv_reg_t reg, uint64_t value)
{
    h->call->vcpu_set_reg(h->id, reg, value);
}

uint64_t hvf_sys(const struct hvf_cpu *h, uint16_t reg)
{
    uint64_t value = 0;

    h->call->vcpu_get_sys_reg(h->id, (hv_sys_reg_t)reg, &value);
    return value;
}

void hvf_set_sys(const struct hvf_cpu *h, uint16_t reg, uint64_t value)
{
    h->call->vcpu_set_sys_reg(h->id, (hv_sys_reg_t)reg, value);
}

/* ---- a vCPU -------------------------------------------------------------- */

/* What the framework leaves undefined, and what differs from the reset of other
 * backends. SCTLR_EL1: the bits that are always one, and no more. */
static void reset(const struct hvf_cpu *h)
{
    enum {
        SCTLR_EL1 = VMM_A64_SYSREG(3, 0, 1, 0, 0),
        MPIDR_EL1 = VMM_A64_SYSREG(3, 0, 0, 0, 5),
        SCTLR_ONES = 0x30d00980,
        EL1H_MASKED = 0x3c5
    };

    for (uint32_t i = HV_REG_X0; i <= HV_REG_FPSR; i++)
        hvf_set_reg(h, (hv_reg_t)i, 0);
    hvf_set_reg(h, HV_REG_CPSR, EL1H_MASKED);
    hvf_set_sys(h, SCTLR_EL1, SCTLR_ONES);
    hvf_set_sys(h, MPIDR_EL1, h->cpu->index | UINT64_C(1) << 31);
}

static int make(void *arg)
{
    struct hvf_cpu *h = arg;
    hv_return_t rc = h->call->vcpu_create(&h->id, &h->exit, NULL);

    if (rc == HV_NO_RESOURCES)
        return vmm_fail(VMM_EHOST,
                        "hvf: vcpu %u: this machine has as many as "
                        "it can have",
                        h->cpu->index);
    if (rc != HV_SUCCESS)
        return hvf_fail("vcpu", rc);
    h->made = true;
    reset(h);
    return 0;
}

static int destroy(void *arg)
{
    struct hvf_cpu *h = arg;

    if (h->made)
        h->call->vcpu_destroy(h->id);
    return 0;
}

int hvf_cpu_open(struct vmm_cpu *cpu)
{
    struct hvf_machine *m = cpu->vm->host;
    struct hvf_cpu *h;
    int rc = hvf_owned(m, "vcpu");

    if (rc < 0)
        return rc;
    h = calloc(1, sizeof *h);
    if (!h)
        return vmm_fail(VMM_ENOMEM, "hvf: vcpu: out of memory");
    h->cpu = cpu;
    h->m = m;
    h->call = &m->call;
    rc = hvf_thread_open(&h->thread);
    if (rc < 0) {
        free(h);
        return rc;
    }
    rc = hvf_do(&h->thread, make, h);
    if (rc < 0) {
        hvf_thread_close(&h->thread);
        free(h);
        return rc;
    }
    cpu->host = h;
    return 0;
}

/* A fork has no thread to end. */
void hvf_cpu_close(struct vmm_cpu *cpu)
{
    struct hvf_cpu *h = cpu->host;

    if (hvf_do(&h->thread, destroy, h) == 0)
        hvf_thread_close(&h->thread);
    free(h);
    cpu->host = NULL;
}

/* ---- registers, for core ------------------------------------------------- */

static int unknown(const char *class, uint32_t nr)
{
    return vmm_fail(VMM_ENOTSUP,
                    "hvf: %s 0x%" PRIx32 ": the framework does not have it",
                    class, nr);
}

/* There is no SP in the framework, but those of two levels. */
static uint16_t stack_pointer(const struct hvf_cpu *h)
{
    enum { SPSEL = 1 };

    return hvf_reg(h, HV_REG_CPSR) & SPSEL ? VMM_A64_SYSREG(3, 4, 4, 1, 0)
                                           : VMM_A64_SYSREG(3, 0, 4, 1, 0);
}

/* Of the framework's numbering; -1: none. */
static int general(uint32_t nr)
{
    if (nr <= 30)
        return (int)(HV_REG_X0 + nr);
    switch (nr) {
    case VMM_A64_PC:
        return HV_REG_PC;
    case VMM_A64_CPSR:
        return HV_REG_CPSR;
    case VMM_A64_FPCR:
        return HV_REG_FPCR;
    case VMM_A64_FPSR:
        return HV_REG_FPSR;
    default:
        return -1;
    }
}

/* Registers of the machine that the framework has elsewhere. */
static bool feature(const struct hvf_cpu *h, uint32_t nr, uint64_t *value)
{
    static const struct {
        uint32_t nr;
        hv_feature_reg_t reg;
    } features[] = {
        {VMM_A64_SYSREG(3, 3, 0, 0, 1), HV_FEATURE_REG_CTR_EL0},
        {VMM_A64_SYSREG(3, 1, 0, 0, 1), HV_FEATURE_REG_CLIDR_EL1},
        {VMM_A64_SYSREG(3, 3, 0, 0, 7), HV_FEATURE_REG_DCZID_EL0},
    };

    for (size_t i = 0; i < sizeof features / sizeof features[0]; i++) {
        hv_vcpu_config_t config;
        hv_return_t rc;

        if (features[i].nr != nr)
            continue;
        config = h->call->vcpu_config_create();
        rc = h->call->vcpu_config_get_feature_reg(config, features[i].reg,
                                                  value);
        h->call->os_release((void *)config);
        return rc == HV_SUCCESS;
    }
    return false;
}

/* The timers' frequency: that of the host's own counter. */
static bool frequency(const struct hvf_cpu *h, uint32_t nr, uint64_t *value)
{
    struct mach_timebase_info info;

    if (nr != VMM_A64_SYSREG(3, 3, 14, 0, 0) || h->call->timebase(&info) != 0)
        return false;
    *value = UINT64_C(1000000000) * info.denom / info.numer;
    return true;
}

static int get_system(const struct hvf_cpu *h, uint32_t nr, uint64_t *value)
{
    if (nr == HVF_MDSCR_EL1 && h->tracing) {
        *value = h->mdscr;
        return 0;
    }
    if (feature(h, nr, value) || frequency(h, nr, value))
        return 0;
    return h->call->vcpu_get_sys_reg(h->id, (hv_sys_reg_t)nr, value)
               ? unknown("system register", nr)
               : 0;
}

static int set_system(struct hvf_cpu *h, uint32_t nr, uint64_t value)
{
    if (nr == HVF_MDSCR_EL1 && h->tracing) {
        h->mdscr = value;
        return 0;
    }
    return h->call->vcpu_set_sys_reg(h->id, (hv_sys_reg_t)nr, value)
               ? unknown("system register", nr)
               : 0;
}

struct transfer { /* what get and set do on the vCPU's thread */
    struct hvf_cpu *h;
    vmm_reg reg;
    union vmm_value *value;
};

static int get(void *arg)
{
    const struct transfer *t = arg;
    uint32_t nr = VMM_REG_NR(t->reg);
    hv_simd_fp_uchar16_t v;

    switch (VMM_REG_CLASS(t->reg)) {
    case VMM_GENERAL:
        if (nr == VMM_A64_SP)
            t->value->u64 = hvf_sys(t->h, stack_pointer(t->h));
        else if (general(nr) >= 0)
            t->value->u64 = hvf_reg(t->h, (hv_reg_t)general(nr));
        else
            return unknown("register", nr);
        return 0;
    case VMM_VECTOR:
        if (t->h->call->vcpu_get_simd_fp_reg(t->h->id, (hv_simd_fp_reg_t)nr,
                                             &v))
            return unknown("vector", nr);
        memcpy(t->value->bytes, &v, sizeof v);
        return 0;
    case VMM_SYSTEM:
        return get_system(t->h, nr, &t->value->u64);
    default:
        return unknown("register class", VMM_REG_CLASS(t->reg));
    }
}

static int set(void *arg)
{
    const struct transfer *t = arg;
    uint32_t nr = VMM_REG_NR(t->reg);
    hv_simd_fp_uchar16_t v;

    switch (VMM_REG_CLASS(t->reg)) {
    case VMM_GENERAL:
        if (nr == VMM_A64_SP)
            hvf_set_sys(t->h, stack_pointer(t->h), t->value->u64);
        else if (general(nr) >= 0)
            hvf_set_reg(t->h, (hv_reg_t)general(nr), t->value->u64);
        else
            return unknown("register", nr);
        return 0;
    case VMM_VECTOR:
        memcpy(&v, t->value->bytes, sizeof v);
        return t->h->call->vcpu_set_simd_fp_reg(t->h->id, (hv_simd_fp_reg_t)nr,
                                                v)
                   ? unknown("vector", nr)
                   : 0;
    case VMM_SYSTEM:
        return set_system(t->h, nr, t->value->u64);
    default:
        return unknown("register class", VMM_REG_CLASS(t->reg));
    }
}

int hvf_get(struct vmm_cpu *cpu, vmm_reg reg, union vmm_value *value)
{
    struct hvf_cpu *h = cpu->host;
    struct transfer t = {h, reg, value};

    return hvf_do(&h->thread, get, &t);
}

int hvf_set(struct vmm_cpu *cpu, vmm_reg reg, const union vmm_value *value)
{
    struct hvf_cpu *h = cpu->host;
    union vmm_value copy = *value;
    struct transfer t = {h, reg, &copy};

    return hvf_do(&h->thread, set, &t);
}
#endif
