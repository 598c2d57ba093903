/* SPDX-License-Identifier: MIT */
/* debug.c - breakpoints and watchpoints, as the debug registers describe them.
 * The library has none that work, so while one is armed each instruction is
 * looked at before it is executed. */
#include "engine.h"

enum { BREAKPOINTS = 6, WATCHPOINTS = 4, ENABLE = 1 };

static uint64_t debug_reg(const struct vcpu *v, uint32_t first, unsigned n)
{
    return v->sys[fake_sysreg_row(first + 8 * n)];
}

static uint64_t mdscr_of(const struct vcpu *v)
{
    return v->sys[fake_sysreg_row(SYS_MDSCR_EL1)];
}

void debug_arm(struct engine *e)
{
    const struct vcpu *v = e->v;
    bool armed = false;

    for (unsigned n = 0; n < BREAKPOINTS; n++)
        armed |= debug_reg(v, HV_SYS_REG_DBGBCR0_EL1, n) & ENABLE;
    for (unsigned n = 0; n < WATCHPOINTS; n++)
        armed |= debug_reg(v, HV_SYS_REG_DBGWCR0_EL1, n) & ENABLE;
    e->watching = armed && (mdscr_of(v) & MDSCR_MDE);
    if (e->watching)
        hooks_every_instruction(e);
}

/* ---- what an instruction accesses ----------------------------------------- */

static uint64_t base(const struct engine *e, unsigned rn)
{
    return rn == 31 ? engine_reg(e, UC_ARM64_REG_SP) : engine_x(e, rn);
}

static uint64_t extended(const struct engine *e,
                         const struct vmm_a64_access *access)
{
    uint64_t m = engine_x(e, access->rm);

    if (access->option == 2)
        m = (uint32_t)m;
    else if (access->option == 6)
        m = (uint64_t)(int64_t)(int32_t)m;
    return m << access->shift;
}

/* Exclusives and ordered ones; atomics; structures of vectors. */
static bool decode_plain_base(const struct engine *e, uint32_t opcode,
                              struct access *a)
{
    unsigned size = 1u << (opcode >> 30);

    a->at = base(e, opcode >> 5 & 31);
    if ((opcode & 0x3f000000) == 0x08000000) {
        bool pair = opcode >> 21 & 1, ordered = opcode >> 23 & 1;

        a->size = pair ? 2 * size : size;
        a->load = (opcode >> 22 & 1) || (pair && ordered);
        a->store = !(opcode >> 22 & 1) || (pair && ordered);
    } else if ((opcode & 0x3b200c00) == 0x38200000) {
        a->size = size;
        a->load = a->store = true;
    } else if ((opcode & 0xbe000000) == 0x0c000000) {
        a->size = opcode >> 24 & 1 ? 32 : 64;
        a->load = opcode >> 22 & 1;
        a->store = !a->load;
    } else {
        return false;
    }
    return true;
}

bool debug_decode(const struct engine *e, uint32_t opcode, struct access *a)
{
    struct vmm_a64_access access;

    if (!vmm_a64_decode(opcode, &access))
        return decode_plain_base(e, opcode, a);
    a->at = base(e, access.rn) + (uint64_t)access.at;
    if (access.rm != 31)
        a->at += extended(e, &access);
    a->size = (unsigned)access.size * access.regs;
    a->load = !access.write;
    a->store = access.write;
    return true;
}

/* ---- do they match? ------------------------------------------------------- */

/* PMC or PAC: EL1, EL0, or both. */
static bool level_matches(const struct engine *e, uint64_t control)
{
    return control & (engine_pstate(e) & 0xc ? 2 : 4);
}

static bool break_matches(const struct engine *e, uint64_t pc)
{
    for (unsigned n = 0; n < BREAKPOINTS; n++) {
        uint64_t control = debug_reg(e->v, HV_SYS_REG_DBGBCR0_EL1, n);

        if ((control & ENABLE) && (control >> 20 & 15) <= 1 &&
            (control >> 5 & 15) != 0 && level_matches(e, control) &&
            (debug_reg(e->v, HV_SYS_REG_DBGBVR0_EL1, n) & ~UINT64_C(3)) == pc)
            return true;
    }
    return false;
}

/* The first byte of [at, at+size) that watchpoint n has its eye on. */
static bool watched(const struct vcpu *v, unsigned n, const struct access *a,
                    uint64_t *found)
{
    uint64_t control = debug_reg(v, HV_SYS_REG_DBGWCR0_EL1, n);
    uint64_t at = debug_reg(v, HV_SYS_REG_DBGWVR0_EL1, n);
    unsigned mask = control >> 24 & 31;

    for (uint64_t byte = a->at; byte != a->at + a->size; byte++) {
        if (mask >= 3 ? byte >> mask == at >> mask
                      : byte - (at & ~UINT64_C(7)) < 8 &&
                            (control >> (5 + (byte & 7)) & 1)) {
            *found = byte;
            return true;
        }
    }
    return false;
}

static bool watch_matches(const struct engine *e, uint64_t pc, uint64_t *at,
                          bool *write)
{
    struct access a;
    uint32_t opcode;

    if (!walk_instruction(e, pc, &opcode) || !debug_decode(e, opcode, &a))
        return false;
    for (unsigned n = 0; n < WATCHPOINTS; n++) {
        uint64_t control = debug_reg(e->v, HV_SYS_REG_DBGWCR0_EL1, n);
        bool kind =
            (a.load && (control >> 3 & 1)) || (a.store && (control >> 4 & 1));

        if ((control & ENABLE) && kind && level_matches(e, control) &&
            watched(e->v, n, &a, at)) {
            *write = a.store && (control >> 4 & 1);
            return true;
        }
    }
    return false;
}

/* The guest's own are for EL1 only where it has allowed that. */
static bool is_enabled(const struct engine *e)
{
    uint32_t pstate = engine_pstate(e);

    if (e->v->trap_exceptions || !(pstate & 0xc))
        return true;
    return (mdscr_of(e->v) & MDSCR_KDE) && !(pstate & PSTATE_D);
}

void debug_before(struct engine *e, uint64_t pc)
{
    bool write = false;
    uint32_t ec;

    if (!is_enabled(e))
        return;
    if (break_matches(e, pc))
        ec = EC_BREAK_LOWER;
    else if (watch_matches(e, pc, &e->far, &write))
        ec = EC_WATCH_LOWER;
    else
        return;
    if (!e->v->trap_exceptions && (engine_pstate(e) & 0xc))
        ec |= 1;
    e->syndrome = SYNDROME(ec, 0x22 | (write ? 1 << 6 : 0));
    hooks_leave(e, e->v->trap_exceptions ? LEAVE_EXIT : LEAVE_TAKE);
}
