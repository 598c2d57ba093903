/* SPDX-License-Identifier: MIT */
/* timer.c - the guest's two timers. They compare with a clock that a test may
 * stop; when they fire, run.c and gic.c ask. */
#include <mach/mach_time.h>

#include "fake.h"

enum { ENABLE = 1, IMASK = 2, ISTATUS = 4, CNTV_TVAL_EL0 = 0xdf18 };
enum { TVAL, CTL, CVAL }; /* of each, in the order of their encodings */

uint64_t fake_timer_virtual_count(const struct vcpu *v)
{
    return mach_absolute_time() - v->offset;
}

static bool past(const struct timer *t, uint64_t now)
{
    return t->ctl & ENABLE && now >= t->cval;
}

static uint64_t control(const struct timer *t, uint64_t now)
{
    return t->ctl | (past(t, now) ? ISTATUS : 0u);
}

static uint64_t left(const struct timer *t, uint64_t now)
{
    return (uint32_t)(t->cval - now);
}

static void set_left(struct timer *t, uint64_t now, uint64_t value)
{
    t->cval = now + (uint64_t)(int64_t)(int32_t)value;
}

/* Which of the two a register is of, and what the time is there; NULL: none. */
static struct timer *timer_of(struct vcpu *v, uint32_t reg, uint64_t *now)
{
    switch (reg - reg % 4) {
    case CNTV_TVAL_EL0:
        *now = fake_timer_virtual_count(v);
        return &v->virtual;
    case HV_SYS_REG_CNTP_TVAL_EL0:
        *now = mach_absolute_time();
        return &v->physical;
    default:
        return NULL;
    }
}

bool fake_timer_get(struct vcpu *v, uint32_t reg, uint64_t *value)
{
    uint64_t now;
    const struct timer *t = timer_of(v, reg, &now);

    if (t == NULL || reg % 4 > CVAL)
        return false;
    *value = reg % 4 == TVAL  ? left(t, now)
             : reg % 4 == CTL ? control(t, now)
                              : t->cval;
    return true;
}

bool fake_timer_set(struct vcpu *v, uint32_t reg, uint64_t value)
{
    uint64_t now;
    struct timer *t = timer_of(v, reg, &now);

    if (t == NULL || reg % 4 > CVAL)
        return false;
    if (reg % 4 == TVAL)
        set_left(t, now, value);
    else if (reg % 4 == CTL)
        t->ctl = value & (ENABLE | IMASK);
    else
        t->cval = value;
    return true;
}

static bool fires(const struct timer *t, uint64_t now)
{
    return past(t, now) && !(t->ctl & IMASK);
}

bool fake_timer_virtual_fires(const struct vcpu *v)
{
    return (v->virtual.ctl & (ENABLE | IMASK)) == ENABLE &&
           fires(&v->virtual, fake_timer_virtual_count(v));
}

bool fake_timer_physical_fires(const struct vcpu *v)
{
    return (v->physical.ctl & (ENABLE | IMASK)) == ENABLE &&
           fires(&v->physical, mach_absolute_time());
}

/* ---- the calls ------------------------------------------------------------ */

hv_return_t fake_vcpu_get_vtimer_mask(hv_vcpu_t vcpu, bool *vtimer_is_masked)
{
    hv_return_t result;
    struct vcpu *v = fake_vcpu(vcpu, &result);

    if (v == NULL)
        return result;
    if (vtimer_is_masked == NULL)
        return HV_BAD_ARGUMENT;
    *vtimer_is_masked = v->masked;
    return HV_SUCCESS;
}

hv_return_t fake_vcpu_set_vtimer_mask(hv_vcpu_t vcpu, bool vtimer_is_masked)
{
    hv_return_t result;
    struct vcpu *v = fake_vcpu(vcpu, &result);

    if (v != NULL)
        v->masked = vtimer_is_masked;
    return result;
}

hv_return_t fake_vcpu_get_vtimer_offset(hv_vcpu_t vcpu, uint64_t *vtimer_offset)
{
    hv_return_t result;
    struct vcpu *v = fake_vcpu(vcpu, &result);

    if (v == NULL)
        return result;
    if (vtimer_offset == NULL)
        return HV_BAD_ARGUMENT;
    *vtimer_offset = v->offset;
    return HV_SUCCESS;
}

hv_return_t fake_vcpu_set_vtimer_offset(hv_vcpu_t vcpu, uint64_t vtimer_offset)
{
    hv_return_t result;
    struct vcpu *v = fake_vcpu(vcpu, &result);

    if (v != NULL)
        v->offset = vtimer_offset;
    return result;
}
