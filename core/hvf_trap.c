/* SPDX-License-Identifier: MIT */
/* hvf_trap.c - system registers that every guest counts on, and that trap on a
 * Mac all the same: what the framework leaves to its user, no script has to know. */
#include "backend.h"

#ifdef VMM_HVF
#include "hvf.h"

enum {
    OSLAR_EL1 = VMM_A64_SYSREG(2, 0, 1, 0, 4),
    OSLSR_EL1 = VMM_A64_SYSREG(2, 0, 1, 1, 4),
    OSDLR_EL1 = VMM_A64_SYSREG(2, 0, 1, 3, 4),
    CNTPCT_EL0 = VMM_A64_SYSREG(3, 3, 14, 0, 1),
    OSLM = 8 /* there is a lock; locked, 2 */
};

/* What no feature has claimed yet, and what AArch32 would be described by. */
static bool is_identification(uint32_t reg)
{
    return reg >> 7 == VMM_A64_SYSREG(3, 0, 0, 0, 0) >> 7 && reg & 0x78;
}

static bool read_own(const struct hvf_cpu *h, uint32_t reg, uint64_t *value)
{
    switch (reg) {
    case CNTPCT_EL0:
        *value = h->call->absolute_time();
        return true;
    case OSLSR_EL1:
        *value = OSLM | (h->locked ? 2 : 0);
        return true;
    case OSDLR_EL1:
        *value = 0;
        return true;
    default:
        *value = 0;
        return is_identification(reg);
    }
}

static bool write_own(struct hvf_cpu *h, uint32_t reg, uint64_t value)
{
    if (reg == OSLAR_EL1)
        h->locked = value & 1;
    return reg == OSLAR_EL1 || reg == OSDLR_EL1;
}

bool hvf_trap(struct hvf_cpu *h, const struct vmm_exit *exit, unsigned rt)
{
    uint64_t value;

    if (hvf_debug_access(h, exit, rt))
        return true;
    if (exit->write)
        return write_own(h, exit->reg, vmm_arm64_x(h->cpu, rt));
    if (!read_own(h, exit->reg, &value))
        return false;
    vmm_arm64_set_x(h->cpu, rt, value);
    return true;
}
#endif
