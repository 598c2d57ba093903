/* SPDX-License-Identifier: MIT */
/* el1.c - exceptions that concern the guest alone. The library reports them and
 * leaves it to its caller to do what the CPU would. */
#include "engine.h"

/* Where in the vector table, by the level and stack it comes from. */
static uint64_t vector_offset(uint32_t pstate)
{
    switch (pstate & MODE_MASK) {
    case MODE_EL1H:
        return 0x200;
    case MODE_EL1T:
        return 0;
    default:
        return 0x400;
    }
}

static bool has_address(uint32_t syndrome)
{
    unsigned ec = syndrome >> 26;

    return (ec >= EC_FETCH_LOWER && ec <= EC_DATA) ||
           (ec & ~1u) == EC_WATCH_LOWER;
}

/* There is no SVE here, and so none to trap. */
static uint32_t as_guest_sees(uint32_t syndrome)
{
    return syndrome >> 26 == EC_SVE ? SYNDROME(EC_UNKNOWN, 0) : syndrome;
}

void el1_take(struct engine *e, uint32_t syndrome, uint64_t far)
{
    enum { PAN = 1 << 22, SPAN = 1 << 23 };
    uint32_t pstate = engine_pstate(e);
    uint32_t entry = (pstate & PSTATE_NZCV) | PSTATE_DAIF | MODE_EL1H;
    uint64_t vbar = 0, sctlr = 0;

    engine_sys(e, HV_SYS_REG_VBAR_EL1, &vbar);
    engine_sys(e, HV_SYS_REG_SCTLR_EL1, &sctlr);
    if (!e->el2)
        entry |= sctlr & SPAN ? pstate & PAN : PAN;
    engine_set_sys(e, HV_SYS_REG_ELR_EL1, engine_reg(e, UC_ARM64_REG_PC));
    engine_set_sys(e, HV_SYS_REG_SPSR_EL1, pstate & ~(uint32_t)PSTATE_SS);
    engine_set_sys(e, HV_SYS_REG_ESR_EL1, as_guest_sees(syndrome));
    if (has_address(syndrome))
        engine_set_sys(e, HV_SYS_REG_FAR_EL1, far);
    engine_set_pstate(e, entry);
    engine_set_reg(e, UC_ARM64_REG_PC, vbar + vector_offset(pstate));
}
