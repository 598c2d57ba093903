/* SPDX-License-Identifier: MIT */
/* unicorn_arm64_timer.c - the virtual timer, CNTV_*. The library counts
 * (CNTVCT_EL0) but has no timer: its registers take no values. So they are kept
 * here, the guest's MRS and MSR of them come here, and the run loop asks now
 * and then whether the time has come: one VMM_TIMER for each time it is set. */
#include "unicorn_arm64.h"

enum {
    CNTKCTL_EL1 = VMM_A64_SYSREG(3, 0, 14, 1, 0),
    CNTVCT_EL0 = VMM_A64_SYSREG(3, 3, 14, 0, 2),
    CNTV_TVAL_EL0 = VMM_A64_SYSREG(3, 3, 14, 3, 0),
    CNTV_CTL_EL0 = VMM_A64_SYSREG(3, 3, 14, 3, 1),
    CNTV_CVAL_EL0 = VMM_A64_SYSREG(3, 3, 14, 3, 2)
};
enum { ENABLE = 1, IMASK = 2, ISTATUS = 4, EL0VTEN = 1 << 9 };

static uint64_t count(const struct a64_engine *e)
{
    uint64_t now = 0;

    a64_cp_read(e, CNTVCT_EL0, &now);
    return now;
}

static bool past(const struct a64_engine *e)
{
    return e->timer.ctl & ENABLE && count(e) >= e->timer.cval;
}

bool a64_timer_armed(const struct a64_engine *e)
{
    return (e->timer.ctl & (ENABLE | IMASK)) == ENABLE && !e->timer.fired &&
           !e->timer.masked;
}

bool a64_timer_fires(struct a64_engine *e)
{
    if (!a64_timer_armed(e) || !past(e))
        return false;
    e->timer.fired = true;
    return true;
}

bool a64_timer_get(const struct a64_engine *e, uint32_t reg, uint64_t *value)
{
    switch (reg) {
    case CNTV_CTL_EL0:
        *value = e->timer.ctl | (past(e) ? ISTATUS : 0u);
        return true;
    case CNTV_CVAL_EL0:
        *value = e->timer.cval;
        return true;
    case CNTV_TVAL_EL0:
        *value = (uint32_t)(e->timer.cval - count(e));
        return true;
    default:
        return false;
    }
}

/* What it fired for is over once its line drops, or it is set to another time. */
bool a64_timer_set(struct a64_engine *e, uint32_t reg, uint64_t value)
{
    uint64_t before = e->timer.cval;

    switch (reg) {
    case CNTV_CTL_EL0:
        e->timer.ctl = value & (ENABLE | IMASK);
        break;
    case CNTV_CVAL_EL0:
        e->timer.cval = value;
        break;
    case CNTV_TVAL_EL0:
        e->timer.cval = count(e) + (uint64_t)(int64_t)(int32_t)value;
        break;
    default:
        return false;
    }
    if (e->timer.cval != before || !past(e) || e->timer.ctl & IMASK)
        e->timer.fired = false;
    e->limit = 0; /* ask after this block */
    return true;
}

/* EL0 needs EL1's leave; without it the library's own check raises the trap. */
static bool is_timer(const struct a64_engine *e, const uc_arm64_cp_reg *cp)
{
    uint64_t control = 0;

    if (cp->op0 != 3 || cp->op1 != 3 || cp->crn != 14 || cp->crm != 3)
        return false;
    if ((a64_pstate(e) & A64_MODE) != A64_EL0T)
        return true;
    a64_cp_read(e, CNTKCTL_EL1, &control);
    return control & EL0VTEN;
}

static uint32_t encoding(const uc_arm64_cp_reg *cp)
{
    return VMM_A64_SYSREG(cp->op0, cp->op1, cp->crn, cp->crm, cp->op2);
}

/* Both answer 1 for what they have done in place of the library. */
static uint32_t on_mrs(uc_engine *uc, uc_arm64_reg rt,
                       const uc_arm64_cp_reg *cp, void *ctx)
{
    struct a64_engine *e = ctx;
    uint64_t value;

    (void)uc;
    if (!is_timer(e, cp) || !a64_timer_get(e, encoding(cp), &value))
        return 0;
    if (rt != UC_ARM64_REG_XZR)
        a64_set_reg(e, (int)rt, value);
    return 1;
}

static uint32_t on_msr(uc_engine *uc, uc_arm64_reg rt,
                       const uc_arm64_cp_reg *cp, void *ctx)
{
    struct a64_engine *e = ctx;

    (void)uc, (void)rt;
    if (encoding(cp) == A64_SCTLR_EL1)
        a64_sctlr_written(e, cp->val);
    if (encoding(cp) == A64_CPACR_EL1 && (a64_pstate(e) & A64_MODE) != A64_EL0T)
        a64_fp_control(e, cp->val);
    return is_timer(e, cp) && a64_timer_set(e, encoding(cp), cp->val);
}

uc_err a64_timer_hooks(struct a64_engine *e)
{
    const struct unicorn *u = &e->m->u;
    uc_hook handle;
    uc_err err = u->hook_add(e->uc, &handle, UC_HOOK_INSN, (void *)on_mrs, e, 1,
                             0, UC_ARM64_INS_MRS);

    if (err == UC_ERR_OK)
        err = u->hook_add(e->uc, &handle, UC_HOOK_INSN, (void *)on_msr, e, 1, 0,
                          UC_ARM64_INS_MSR);
    return err;
}
