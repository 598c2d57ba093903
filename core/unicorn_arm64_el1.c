/* SPDX-License-Identifier: MIT */
/* unicorn_arm64_el1.c - exceptions that concern the guest alone. The library
 * reports them and expects its caller to do what the CPU would: save PC and
 * PSTATE, and go on at the guest's vector. */
#include "unicorn_arm64.h"

enum { EC_SVC = 0x15 };

static unsigned class_of(uint32_t syndrome)
{
    return syndrome >> 26;
}

/* PSTATE.SS is the host's debugger's: the guest does not find it in SPSR. An
 * exception leaves the flags as they are. */
static void enter(struct a64_engine *e, uint64_t syndrome, uint64_t pc,
                  uint32_t pstate)
{
    a64_set_reg(e, UC_ARM64_REG_ELR_EL1, pc);
    a64_cp_write(e, A64_SPSR_EL1, pstate & ~(uint32_t)A64_SS);
    a64_set_reg(e, UC_ARM64_REG_ESR_EL1, syndrome);
    a64_set_pstate(e, (pstate & A64_NZCV_ALL) | A64_DAIF_ALL | A64_EL1H);
}

static void remember(struct a64_engine *e, uint64_t pc, uint32_t pstate)
{
    struct a64_entry *was = &e->entry;

    was->valid = true;
    was->syndrome = e->syndrome;
    was->va = e->far;
    was->pstate = pstate;
    was->pc = pc;
    was->sp = a64_reg(e, UC_ARM64_REG_SP);
    was->sp_el0 = a64_reg(e, UC_ARM64_REG_SP_EL0);
    was->sp_el1 = a64_reg(e, UC_ARM64_REG_SP_EL1);
    was->elr = a64_reg(e, UC_ARM64_REG_ELR_EL1);
    was->esr = a64_reg(e, UC_ARM64_REG_ESR_EL1);
    was->far = a64_reg(e, UC_ARM64_REG_FAR_EL1);
    a64_cp_read(e, A64_SPSR_EL1, &was->spsr);
}

/* Has the guest done nothing since its last exception but reach the vector, and
 * is the vector's first instruction what fails? */
static bool at_vector(const struct a64_engine *e, uint64_t pc)
{
    const struct a64_entry *was = &e->entry;
    bool first = pc == was->vector ||
                 (class_of(e->syndrome) == EC_SVC && pc == was->vector + 4);

    return was->valid && first && e->blocks - was->blocks <= 1;
}

/* An exception at the first instruction of the vector that it leads to again
 * would go on for ever, and unseen. Where it leads to another vector (a stack
 * that overflows at EL0, say) the guest may know what to do; what is remembered
 * stays the exception that began it. */
bool a64_take(struct a64_engine *e)
{
    uint64_t pc = a64_reg(e, UC_ARM64_REG_PC);
    uint32_t pstate = a64_pstate(e);
    uint64_t offset = vmm_arm64_vector(pstate);
    uint64_t vector = a64_reg(e, UC_ARM64_REG_VBAR_EL1) + offset;

    if (!at_vector(e, pc))
        remember(e, pc, pstate);
    else if (vector == e->entry.vector)
        return false;
    e->entry.vector = vector;
    e->entry.offset = offset;
    e->entry.blocks = e->blocks;
    enter(e, e->syndrome, pc, pstate);
    if (vmm_arm64_has_address(e->syndrome))
        a64_set_reg(e, UC_ARM64_REG_FAR_EL1, e->far);
    a64_set_reg(e, UC_ARM64_REG_PC, vector);
    return true;
}

bool a64_vector_missing(const struct a64_engine *e)
{
    return e->entry.valid && e->blocks == e->entry.blocks &&
           a64_reg(e, UC_ARM64_REG_PC) == e->entry.vector;
}

static void undo(struct a64_engine *e)
{
    const struct a64_entry *was = &e->entry;

    a64_set_reg(e, UC_ARM64_REG_PSTATE, was->pstate);
    a64_set_reg(e, UC_ARM64_REG_SP, was->sp);
    a64_set_reg(e, UC_ARM64_REG_SP_EL0, was->sp_el0);
    a64_set_reg(e, UC_ARM64_REG_SP_EL1, was->sp_el1);
    a64_set_reg(e, UC_ARM64_REG_ELR_EL1, was->elr);
    a64_set_reg(e, UC_ARM64_REG_ESR_EL1, was->esr);
    a64_set_reg(e, UC_ARM64_REG_FAR_EL1, was->far);
    a64_cp_write(e, A64_SPSR_EL1, was->spsr);
    a64_set_reg(e, UC_ARM64_REG_PC,
                class_of(was->syndrome) == EC_SVC ? was->pc - 4 : was->pc);
    a64_state_changed(e);
}

void a64_stuck(struct a64_engine *e, struct vmm_exit *exit)
{
    const struct a64_entry *was = &e->entry;

    vmm_arm64_no_handler(exit, was->syndrome, was->va, was->vector, was->offset,
                         a64_vector_missing(e));
    undo(e);
    e->entry.valid = false;
}
