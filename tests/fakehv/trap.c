/* SPDX-License-Identifier: MIT */
/* trap.c - exceptions for EL2: what the framework answers by itself, and what
 * becomes an exit. */
#include "engine.h"

/* ---- the instruction is done ---------------------------------------------- */

/* A step then ends here: with PSTATE.SS clear the library raises it next. */
void trap_advance(struct engine *e)
{
    uint64_t mdscr = 0;
    uint32_t pstate = engine_pstate(e);

    engine_sys(e, SYS_MDSCR_EL1, &mdscr);
    if ((mdscr & MDSCR_SS) && (pstate & PSTATE_SS))
        engine_set_pstate(e, pstate & ~(uint32_t)PSTATE_SS);
    engine_set_reg(e, UC_ARM64_REG_PC, engine_reg(e, UC_ARM64_REG_PC) + 4);
}

static void leave(struct engine *e)
{
    hooks_leave(e, LEAVE_EXIT);
}

static bool has_gic(void)
{
    bool has;

    fake_lock();
    has = fake_vm.gic != NULL;
    fake_unlock();
    return has;
}

/* ---- system registers ----------------------------------------------------- */

static uint64_t ccsidr(const struct vcpu *v)
{
    uint64_t selected = v->sys[fake_sysreg_row(HV_SYS_REG_CSSELR_EL1)];

    switch (selected & 15) {
    case 0:
        return 0x700fe03a;
    case 1:
        return 0x203fe01a;
    case 2:
        return 0x70ffe07b;
    default:
        return 0;
    }
}

/* The chip has fewer breakpoints than there are names for. */
static bool is_missing_break(uint32_t reg)
{
    unsigned n = reg >> 3 & 15;

    return reg >= HV_SYS_REG_DBGBVR0_EL1 && reg <= HV_SYS_REG_DBGWCR15_EL1 &&
           (reg & 4) && n >= (reg & 2 ? 4u : 6u);
}

static bool debug_register(struct engine *e, int row, bool write,
                           uint64_t *value)
{
    struct vcpu *v = e->v;

    if (v->trap_registers)
        return false;
    if (!write) {
        *value = v->sys[row];
        return true;
    }
    v->sys[row] = *value;
    if (row == fake_sysreg_row(SYS_MDSCR_EL1))
        engine_set_sys(e, SYS_MDSCR_EL1, *value & (MDSCR_SS | MDSCR_KDE));
    e->look = true; /* there may be more to look at */
    return true;
}

static bool known_register(struct engine *e, int row, bool write,
                           uint64_t *value)
{
    switch (fake_sysreg(row)->home) {
    case HOME_DEBUG:
        return debug_register(e, row, write, value);
    case HOME_ID:
    case HOME_STORE:
    case HOME_SPECIAL:
        if (fake_sysreg(row)->needs == NEEDS_GIC && !has_gic())
            return false;
        if (write)
            fake_sysreg_set(e->v, row, *value);
        else
            *value = fake_sysreg_get(e->v, row);
        e->look |= write; /* a timer may fire now */
        return true;
    default:
        return false;
    }
}

/* Does the framework answer by itself? */
static bool answers(struct engine *e, uint32_t reg, bool write, uint64_t *value)
{
    int row = fake_sysreg_row(reg);
    bool done = false;

    if (row >= 0)
        return known_register(e, row, write, value);
    fake_lock();
    if (fake_vm.gic != NULL)
        done = gic_guest_sysreg(e->v, reg, write, value);
    fake_unlock();
    if (done || write)
        return done;
    switch (reg) {
    case SYSREG(3, 1, 0, 0, 0):
        *value = ccsidr(e->v);
        return true;
    case SYSREG(3, 1, 0, 0, 1):
        *value = fake_feature(HV_FEATURE_REG_CLIDR_EL1);
        return true;
    case SYSREG(3, 3, 0, 0, 1):
        *value = fake_feature(HV_FEATURE_REG_CTR_EL0);
        return true;
    case SYS_CNTPCT_EL0:
        *value = fake_timer_virtual_count(e->v) + e->v->offset;
        return has_gic();
    default:
        return false;
    }
}

static void sysreg(struct engine *e, uint32_t reg, bool write, unsigned rt)
{
    uint64_t value = engine_x(e, rt);

    if (!answers(e, reg, write, &value)) {
        leave(e);
        return;
    }
    if (!write)
        engine_set_x(e, rt, value);
    trap_advance(e);
}

static void trapped_sysreg(struct engine *e)
{
    uint32_t s = e->syndrome;
    uint32_t reg = (uint32_t)SYSREG(s >> 20 & 3, s >> 14 & 7, s >> 10 & 15,
                                    s >> 1 & 15, s >> 17 & 7);

    sysreg(e, reg, !(s & 1), s >> 5 & 31);
}

/* Identification, the caches', the clock's: their writes are undefined, and no
 * hypervisor's business. */
static bool is_read_only(uint32_t reg)
{
    const uint32_t csselr = HV_SYS_REG_CSSELR_EL1;

    return reg == SYS_CNTVCT_EL0 || reg == SYS_CNTFRQ_EL0 ||
           (reg >> 14 == 3 && (reg >> 7 & 15) == 0 && reg != csselr);
}

/* The library takes an MRS or MSR that it has no register for as undefined. On a
 * Mac those of EL1 and EL0 trap. */
bool trap_unknown_sysreg(struct engine *e)
{
    uint32_t opcode, reg;

    if (e->syndrome >> 26 != EC_UNKNOWN ||
        !walk_instruction(e, engine_reg(e, UC_ARM64_REG_PC), &opcode) ||
        (opcode & 0xffd00000) != 0xd5100000)
        return false;
    reg = opcode >> 5 & 0xffff;
    if (!(opcode >> 21 & 1) && is_read_only(reg))
        return false;
    if ((reg >> 11 & 7) >= 4 || is_missing_break(reg))
        return false;
    if (!(engine_pstate(e) & 4) && reg != HV_SYS_REG_TPIDR2_EL0)
        return false;
    e->syndrome = SYNDROME(
        EC_SYSREG, (reg >> 14) << 20 | (reg & 7) << 17 | (reg >> 11 & 7) << 14 |
                       (reg >> 7 & 15) << 10 | (opcode & 31) << 5 |
                       (reg >> 3 & 15) << 1 | (opcode >> 21 & 1));
    sysreg(e, reg, !(opcode >> 21 & 1), opcode & 31);
    return true;
}

/* ---- loads, stores, fetches ----------------------------------------------- */

enum { ISV = 1 << 24, WRITE = 1 << 6, WRITEBACK_MASK = 0x3b200400 };

/* The library describes accesses that write back, hardware does not. */
uint32_t trap_data_syndrome(const struct engine *e, uint32_t syndrome)
{
    uint32_t opcode;

    if ((syndrome & ISV) &&
        walk_instruction(e, engine_reg(e, UC_ARM64_REG_PC), &opcode) &&
        (opcode & WRITEBACK_MASK) == 0x38000400)
        syndrome &= ~(uint32_t)0x01ffc000;
    return syndrome;
}

static uint64_t loaded(uint32_t syndrome, uint64_t value)
{
    unsigned bits = 8u << (syndrome >> 22 & 3);

    value &= UINT64_MAX >> (64 - bits);
    if ((syndrome >> 21 & 1) && (value >> (bits - 1) & 1))
        value |= ~(UINT64_MAX >> (64 - bits));
    return syndrome >> 15 & 1 ? value : (uint32_t)value;
}

/* The GIC's registers are the framework's. */
static bool is_gic_access(struct engine *e)
{
    uint32_t s = e->syndrome;
    bool write = s & WRITE, covers, done = false;
    uint64_t value = engine_x(e, s >> 16 & 31);

    fake_lock();
    covers = fake_gic_covers(e->ipa, 1);
    if (covers && (s & ISV))
        done =
            gic_guest_access(e->v, e->ipa, 1u << (s >> 22 & 3), write, &value);
    fake_unlock();
    if (!covers)
        return false;
    if (!done) {
        uint32_t ec = engine_pstate(e) & 4 ? EC_DATA : EC_DATA_LOWER;

        el1_take(e, SYNDROME(ec, 0x10 | (s & WRITE)), e->far);
        return true;
    }
    if (!write)
        engine_set_x(e, s >> 16 & 31, loaded(s, value));
    trap_advance(e);
    return true;
}

static void aborted(struct engine *e, bool data)
{
    uint64_t page = 0;

    engine_sys(e, SYS_HPFAR_EL2, &page);
    e->ipa = page >> 4 << 12 | (e->far & 0xfff);
    if (data)
        e->syndrome = trap_data_syndrome(e, e->syndrome);
    if (!data || !is_gic_access(e))
        leave(e);
}

/* ---- all of them ---------------------------------------------------------- */

void trap_taken(struct engine *e)
{
    switch (e->syndrome >> 26) {
    case EC_WFX:
        if (has_gic())
            hooks_leave(e, LEAVE_IDLE);
        else
            leave(e);
        break;
    case EC_SYSREG:
        trapped_sysreg(e);
        break;
    case EC_SVE:
        el1_take(e, e->syndrome, 0);
        break;
    case EC_FETCH_LOWER:
    case EC_DATA_LOWER:
        aborted(e, e->syndrome >> 26 == EC_DATA_LOWER);
        break;
    default:
        leave(e);
        break;
    }
}
