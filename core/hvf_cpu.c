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
static hv_return_t reset(const struct hvf_cpu *h)
{
    const struct hvf_calls *c = h->call;
    hv_return_t rc = HV_SUCCESS;
    enum {
        SCTLR_EL1 = VMM_A64_SYSREG(3, 0, 1, 0, 0),
        MPIDR_EL1 = VMM_A64_SYSREG(3, 0, 0, 0, 5),
        SCTLR_ONES = 0x30d00980,
        EL1H_MASKED = 0x3c5,
        EL2H_MASKED = 0x3c9
    };

    for (uint32_t i = HV_REG_X0; i <= HV_REG_FPSR && rc == HV_SUCCESS; i++)
        rc = c->vcpu_set_reg(h->id, i, 0);
    if (rc == HV_SUCCESS)
        rc = c->vcpu_set_reg(h->id, HV_REG_CPSR,
                             h->cpu->vm->el2 ? EL2H_MASKED : EL1H_MASKED);
    if (rc == HV_SUCCESS)
        rc = c->vcpu_set_sys_reg(h->id, SCTLR_EL1, SCTLR_ONES);
    if (rc == HV_SUCCESS)
        rc = c->vcpu_set_sys_reg(h->id, MPIDR_EL1,
                                 h->cpu->index | UINT64_C(1) << 31);
    return rc;
}

static int destroy(void *arg)
{
    struct hvf_cpu *h = arg;

    hvf_timer_close(h);
    if (h->made)
        h->call->vcpu_destroy(h->id);
    return 0;
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
    rc = reset(h);
    if (rc == HV_SUCCESS)
        return 0;
    destroy(h);
    return hvf_fail("vcpu: registers", rc);
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

static int unknown(vmm_reg reg)
{
    return vmm_fail(VMM_ENOTSUP,
                    "hvf: register %" PRIu32 " of class %u: there is none",
                    VMM_REG_NR(reg), VMM_REG_CLASS(reg));
}

/* Of a call's result, vmm's. */
static int result(vmm_reg reg, hv_return_t rc)
{
    return rc == HV_SUCCESS ? 0 : hvf_fail(vmm_reg_called(VMM_ARM64, reg), rc);
}

/* There is no SP in the framework, but those of three levels. */
static uint16_t stack_pointer(const struct hvf_cpu *h)
{
    enum { SPSEL = 1, EL2 = 8 };
    uint64_t cpsr = hvf_reg(h, HV_REG_CPSR);

    if (!(cpsr & SPSEL))
        return VMM_A64_SYSREG(3, 0, 4, 1, 0);
    return cpsr & EL2 ? VMM_A64_SYSREG(3, 6, 4, 1, 0)
                      : VMM_A64_SYSREG(3, 4, 4, 1, 0);
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

struct transfer { /* what get and set do on the vCPU's thread */
    struct hvf_cpu *h;
    vmm_reg reg;
    union vmm_value *value;
};

static int get_general(const struct hvf_cpu *h, vmm_reg reg, uint64_t *value)
{
    uint32_t nr = VMM_REG_NR(reg);

    if (nr == VMM_A64_SP)
        return result(
            reg, h->call->vcpu_get_sys_reg(h->id, stack_pointer(h), value));
    if (general(nr) < 0)
        return unknown(reg);
    return result(reg,
                  h->call->vcpu_get_reg(h->id, (uint32_t)general(nr), value));
}

static int set_general(const struct hvf_cpu *h, vmm_reg reg, uint64_t value)
{
    uint32_t nr = VMM_REG_NR(reg);

    if (nr == VMM_A64_SP)
        return result(
            reg, h->call->vcpu_set_sys_reg(h->id, stack_pointer(h), value));
    if (general(nr) < 0)
        return unknown(reg);
    return result(reg,
                  h->call->vcpu_set_reg(h->id, (uint32_t)general(nr), value));
}

/* What the guest has used, in nanoseconds: the framework counts in the host's
 * ticks. */
static int get_exec_time(const struct hvf_cpu *h, vmm_reg reg, uint64_t *value)
{
    struct mach_timebase_info info;
    hv_return_t rc = h->call->vcpu_get_exec_time(h->id, value);

    if (rc == HV_SUCCESS && h->call->timebase(&info) == 0)
        *value = *value * info.numer / info.denom;
    return result(reg, rc);
}

static int get_own(const struct hvf_cpu *h, vmm_reg reg, uint64_t *value)
{
    const struct hvf_calls *c = h->call;
    bool flag = false;
    hv_return_t rc;

    switch (VMM_REG_NR(reg)) {
    case VMM_TRAP_DEBUG:
        rc = c->vcpu_get_trap_debug_exceptions(h->id, &flag);
        break;
    case VMM_TRAP_DEBUG_REGISTERS:
        rc = c->vcpu_get_trap_debug_reg_accesses(h->id, &flag);
        break;
    case VMM_VTIMER_MASK:
        rc = c->vcpu_get_vtimer_mask(h->id, &flag);
        break;
    case VMM_VTIMER_OFFSET:
        return result(reg, c->vcpu_get_vtimer_offset(h->id, value));
    case VMM_EXEC_TIME:
        return get_exec_time(h, reg, value);
    case VMM_GICR_BASE:
        return hvf_get_gic(h, reg, value);
    default:
        return unknown(reg);
    }
    *value = flag;
    return result(reg, rc);
}

/* What the script does to the mask is not undone when the timer's line drops. */
static int set_own(struct hvf_cpu *h, vmm_reg reg, uint64_t value)
{
    const struct hvf_calls *c = h->call;
    bool flag = value != 0;

    switch (VMM_REG_NR(reg)) {
    case VMM_TRAP_DEBUG_REGISTERS:
        return result(reg, c->vcpu_set_trap_debug_reg_accesses(h->id, flag));
    case VMM_VTIMER_MASK:
        h->fired = false;
        return result(reg, c->vcpu_set_vtimer_mask(h->id, flag));
    case VMM_VTIMER_OFFSET:
        return result(reg, c->vcpu_set_vtimer_offset(h->id, value));
    case VMM_EXEC_TIME:
    case VMM_GICR_BASE:
        return vmm_fail(VMM_EINVAL, "hvf: %s: it can only be read",
                        vmm_reg_called(VMM_ARM64, reg));
    default:
        return unknown(reg);
    }
}

static int get(void *arg)
{
    const struct transfer *t = arg;
    uint64_t *value = &t->value->u64;
    hv_simd_fp_uchar16_t v;
    int rc;

    switch (VMM_REG_CLASS(t->reg)) {
    case VMM_GENERAL:
        return get_general(t->h, t->reg, value);
    case VMM_VECTOR:
        rc = result(t->reg, t->h->call->vcpu_get_simd_fp_reg(
                                t->h->id, VMM_REG_NR(t->reg), &v));
        memcpy(t->value->bytes, &v, sizeof v);
        return rc;
    case VMM_SYSTEM:
        return hvf_get_sysreg(t->h, t->reg, value);
    case VMM_VCPU:
        return get_own(t->h, t->reg, value);
    case VMM_GICR:
    case VMM_ICV:
        return hvf_get_gic(t->h, t->reg, value);
    default:
        return unknown(t->reg);
    }
}

static int set(void *arg)
{
    const struct transfer *t = arg;
    uint64_t value = t->value->u64;
    hv_simd_fp_uchar16_t v;

    switch (VMM_REG_CLASS(t->reg)) {
    case VMM_GENERAL:
        return set_general(t->h, t->reg, value);
    case VMM_VECTOR:
        memcpy(&v, t->value->bytes, sizeof v);
        return result(t->reg, t->h->call->vcpu_set_simd_fp_reg(
                                  t->h->id, VMM_REG_NR(t->reg), v));
    case VMM_SYSTEM:
        return hvf_set_sysreg(t->h, t->reg, value);
    case VMM_VCPU:
        return set_own(t->h, t->reg, value);
    case VMM_GICR:
    case VMM_ICV:
        return hvf_set_gic(t->h, t->reg, value);
    default:
        return unknown(t->reg);
    }
}

int hvf_get(struct vmm_cpu *cpu, vmm_reg reg, union vmm_value *value)
{
    struct hvf_cpu *h = cpu->host;
    struct transfer t = {h, reg, value};

    return hvf_do(&h->thread, get, &t);
}

/* The framework would take any CPSR, and then not enter the guest. */
int hvf_set(struct vmm_cpu *cpu, vmm_reg reg, const union vmm_value *value)
{
    struct hvf_cpu *h = cpu->host;
    union vmm_value copy = *value;
    struct transfer t = {h, reg, &copy};

    if (reg == VMM_REG(VMM_GENERAL, VMM_A64_CPSR) &&
        vmm_arm64_mode(cpu, value->u64) < 0)
        return VMM_EINVAL;
    return hvf_do(&h->thread, set, &t);
}
#endif
