/* SPDX-License-Identifier: MIT */
/* hooks.c - what the library calls while a guest runs. Between blocks it can be
 * stopped without the guest noticing; from anywhere else it cannot. */
#include <string.h>

#include "engine.h"

enum { PAGE = 4096, TURN_BLOCKS = 2000, LOOK_BLOCKS = 256 };

/* ---- is it time to leave? ------------------------------------------------- */

void hooks_leave(struct engine *e, enum leave why)
{
    e->leave = why;
    e->u.emu_stop(e->uc);
}

bool hooks_signal_waits(const struct engine *e)
{
    sigset_t pending;

    if (!fake.signals || sigpending(&pending) != 0)
        return false;
    for (int s = 1; s < NSIG; s++)
        if (sigismember(&pending, s) == 1 && sigismember(&e->before, s) == 0)
            return true;
    return false;
}

/* Without a GIC one of them is an exit, unless it is masked. */
static bool timers_changed(const struct engine *e)
{
    const struct vcpu *v = e->v;

    if (!e->gic)
        return !v->masked && fake_timer_virtual_fires(v);
    return e->timers !=
           (fake_timer_virtual_fires(v) | fake_timer_physical_fires(v) << 1);
}

static bool is_time(struct engine *e)
{
    const struct vcpu *v = e->v;
    unsigned wanted = fake_turn_wanted();

    e->blocks++;
    if (e->look || e->emitted > e->budget || wanted == 2 ||
        atomic_load_explicit(&v->cancel, memory_order_relaxed) ||
        e->gic_seen != fake_gic_changes())
        return true;
    if (wanted == 1 && e->blocks - e->turn > TURN_BLOCKS)
        return true;
    return e->blocks % LOOK_BLOCKS == 0 &&
           (timers_changed(e) || hooks_signal_waits(e));
}

/* ---- blocks --------------------------------------------------------------- */

/* What an instruction may come to at most, from what the library makes of the
 * worst of its kind. */
static unsigned cost(uint32_t opcode)
{
    bool simd = opcode >> 26 & 1;

    if ((opcode & 0x0a000000) == 0x08000000) { /* loads and stores */
        if ((opcode & 0xbe000000) == 0x0c000000)
            return 12288;
        return simd ? 1024 : 320;
    }
    return (opcode & 0x0e000000) == 0x0e000000 ? 2048 : 160;
}

static void translated(struct engine *e, uint64_t va, uint32_t size)
{
    enum { BLOCK = 768, MOST = 73728 };
    unsigned sum = BLOCK;

    for (; size >= 4 && sum < MOST; size -= 4, va += 4) {
        uint32_t opcode;

        sum += walk_instruction(e, va, &opcode) ? cost(opcode) : MOST;
        if (e->hooked)
            sum += 512;
    }
    e->emitted += sum < MOST ? sum : MOST;
}

static void on_edge(uc_engine *uc, uc_tb *now, uc_tb *before, void *ctx)
{
    (void)uc, (void)before;
    translated(ctx, now->pc, now->size);
}

static bool is_fp(uint32_t opcode)
{
    const uint32_t fpcr = 0xd51b4400; /* and FPSR, read or written */

    return (opcode >> 25 & 7) == 7 || (opcode & 0x0e000000) == 0x0c000000 ||
           (opcode & 0xffdfffc0) == fpcr;
}

/* Nor does the library trap FP at all. */
static bool may_fp(const struct engine *e)
{
    return e->el2 || e->v->fpen == 3 ||
           (e->v->fpen == 1 && (engine_pstate(e) & 0xc));
}

/* The library does not trap WFE, but ends a block with it: once that block has
 * been executed, all that is missing is the exit. In a step that is how it does
 * WFI, too. */
static size_t look_at(struct engine *e, uint64_t begin, uint64_t end)
{
    const uint32_t wfe = 0xd503205f, wfi = 0xd503207f;
    size_t i = begin / 4 % BLOCKS;
    uint32_t opcode = 0;

    if (e->known[i].begin == begin && e->known[i].end == end &&
        e->known[i].age == e->age)
        return i;
    e->known[i].begin = begin;
    e->known[i].end = end;
    e->known[i].age = e->age;
    e->known[i].fp = false;
    for (; begin < end && walk_instruction(e, begin, &opcode); begin += 4)
        e->known[i].fp |= is_fp(opcode);
    e->known[i].wait = begin < end     ? WAIT_NOT
                       : opcode == wfe ? WAIT_WFE
                       : opcode == wfi ? WAIT_WFI
                                       : WAIT_NOT;
    return i;
}

static void waited(struct engine *e)
{
    e->waited = true; /* run.c moves PC back to it */
    e->syndrome = SYNDROME_WFI | (e->wait == WAIT_WFE ? 1 : 0);
    e->wait = WAIT_NOT;
    hooks_leave(e, LEAVE_EXIT);
}

static void on_block(uc_engine *uc, uint64_t va, uint32_t size, void *ctx)
{
    struct engine *e = ctx;
    size_t i;

    (void)uc;
    if (e->exception == 0 || e->leave != LEAVE_NOT)
        return;
    if (e->wait == WAIT_WFE && va == e->wait_at + 4) {
        waited(e);
        return;
    }
    e->wait = WAIT_NOT;
    if (is_time(e)) {
        hooks_leave(e, LEAVE_BLOCK);
        return;
    }
    if (e->first)
        translated(e, va, size);
    e->first = false;
    i = look_at(e, va, va + size);
    if (!e->gic) {
        e->wait = e->known[i].wait;
        e->wait_at = va + size - 4;
    }
    if (e->known[i].fp && !e->trap_fp && !may_fp(e)) {
        e->trap_fp = true; /* instruction by instruction, from here on */
        hooks_leave(e, LEAVE_BLOCK);
    }
}

static void on_code(uc_engine *uc, uint64_t va, uint32_t size, void *ctx)
{
    struct engine *e = ctx;
    uint32_t opcode;

    (void)uc, (void)size;
    if (e->exception == 0 || e->leave != LEAVE_NOT)
        return;
    if (el2_stepped(e))
        return;
    e->code_at = va;
    if (e->watching)
        debug_before(e, va);
    if (e->step == STEP_READY && e->leave == LEAVE_NOT)
        e->step = STEP_BEGUN;
    if (e->leave == LEAVE_NOT && e->trap_fp && !may_fp(e) &&
        walk_instruction(e, va, &opcode) && is_fp(opcode)) {
        e->syndrome = SYNDROME(EC_FP, 0x1e00000);
        hooks_leave(e, LEAVE_TAKE);
    }
}

void hooks_every_instruction(struct engine *e)
{
    uc_hook handle;

    if (e->hooked)
        return;
    e->hooked = e->u.hook_add(e->uc, &handle, UC_HOOK_CODE, (void *)on_code, e,
                              1, 0) == UC_ERR_OK;
    e->u.ctl(e->uc, UC_CTL_WRITE(UC_CTL_TB_FLUSH, 0));
    e->emitted = 0;
}

/* ---- exceptions ----------------------------------------------------------- */

/* A step that WFE or WFI was the instruction of. */
static bool waited_in_step(struct engine *e)
{
    enum { NTWI = 1 << 16 }; /* else it is an exception of EL0's */
    uint64_t pc = engine_reg(e, UC_ARM64_REG_PC), sctlr = 0;

    if (e->wait == WAIT_NOT || e->syndrome >> 26 != EC_STEP_LOWER ||
        pc != e->wait_at + 4)
        return false;
    engine_sys(e, HV_SYS_REG_SCTLR_EL1, &sctlr);
    if (e->wait == WAIT_WFI && !(engine_pstate(e) & 0xc) && !(sctlr & NTWI)) {
        engine_set_reg(e, UC_ARM64_REG_PC, e->wait_at);
        el1_take(e, SYNDROME_WFI, 0);
    } else {
        waited(e);
    }
    return true;
}

/* The end of a step comes before the fetch of the next instruction; the library
 * fetches first. */
static bool step_is_over(struct engine *e)
{
    unsigned ec = e->syndrome >> 26;
    uint64_t mdscr = 0;

    if (ec != EC_FETCH_LOWER && ec != EC_FETCH)
        return false;
    if (e->el2)
        return el2_stepped(e);
    if (!e->v->trap_exceptions || (engine_pstate(e) & PSTATE_SS))
        return false;
    engine_sys(e, SYS_MDSCR_EL1, &mdscr);
    if (!(mdscr & MDSCR_SS))
        return false;
    e->syndrome = SYNDROME_STEP;
    hooks_leave(e, LEAVE_EXIT);
    return true;
}

/* A guest may go from exception to exception without a block between them. But
 * for SVC, PC is at the instruction, and the exception comes again. */
static void on_exception(uc_engine *uc, uint32_t nr, void *ctx)
{
    struct engine *e = ctx;
    unsigned target;

    (void)uc, (void)nr;
    if (e->exception == 0) { /* where exceptions are is still to be found */
        e->u.emu_stop(e->uc);
        return;
    }
    target = engine_exception(e);
    if (waited_in_step(e) || step_is_over(e))
        return;
    e->wait = WAIT_NOT;
    if (e->el2) {
        el2_taken(e, target);
    } else if (target >= 2) {
        trap_taken(e);
    } else if (!trap_unknown_sysreg(e)) {
        if (e->syndrome >> 26 != EC_SVC && is_time(e))
            hooks_leave(e, LEAVE_BLOCK);
        else
            el1_take(e, e->syndrome, e->far);
    }
}

/* ---- registers that the library has no use for ---------------------------- */

static uint32_t encoding(const uc_arm64_cp_reg *cp)
{
    return (uint32_t)SYSREG(cp->op0, cp->op1, cp->crn, cp->crm, cp->op2);
}

/* Those that it knows, but that keep no value there. */
static bool is_kept_here(uint32_t reg)
{
    switch (reg) {
    case HV_SYS_REG_AFSR0_EL1:
    case HV_SYS_REG_AFSR1_EL1:
    case HV_SYS_REG_AMAIR_EL1:
        return true;
    default:
        return false;
    }
}

/* May EL0? Otherwise the library's own check raises the trap. */
static bool may_time(const struct engine *e, uint32_t reg)
{
    enum { EL0VCTEN = 1 << 1, EL0VTEN = 1 << 9 };
    uint64_t control = 0;

    if (engine_pstate(e) & 0xc)
        return true;
    engine_sys(e, HV_SYS_REG_CNTKCTL_EL1, &control);
    return control & (reg == SYS_CNTVCT_EL0 ? EL0VCTEN : EL0VTEN);
}

static bool is_timer(uint32_t reg)
{
    return reg >> 3 == HV_SYS_REG_CNTV_CTL_EL0 >> 3;
}

/* Both answer 1 for what they have done in place of the library. */
static uint32_t on_mrs(uc_engine *uc, uc_arm64_reg rt,
                       const uc_arm64_cp_reg *cp, void *ctx)
{
    struct engine *e = ctx;
    uint32_t reg = encoding(cp);
    uint64_t value;

    (void)uc;
    if (is_timer(reg) && may_time(e, reg))
        fake_timer_get(e->v, reg, &value);
    else if (reg == SYS_CNTVCT_EL0 && may_time(e, reg))
        value = fake_timer_virtual_count(e->v);
    else if (is_kept_here(reg) && (engine_pstate(e) & 0xc))
        value = e->v->sys[fake_sysreg_row(reg)];
    else
        return 0;
    if (rt != UC_ARM64_REG_XZR)
        engine_set_reg(e, (int)rt, value);
    return 1;
}

static uint32_t on_msr(uc_engine *uc, uc_arm64_reg rt,
                       const uc_arm64_cp_reg *cp, void *ctx)
{
    struct engine *e = ctx;
    uint32_t reg = encoding(cp);

    (void)uc, (void)rt;
    if (cp->crn == 1 || cp->crn == 2)
        e->age++;
    if (is_timer(reg) && may_time(e, reg)) {
        fake_timer_set(e->v, reg, cp->val);
        e->look = true;
        return 1;
    }
    if (!is_kept_here(reg) || !(engine_pstate(e) & 0xc))
        return 0;
    e->v->sys[fake_sysreg_row(reg)] = cp->val;
    return 1;
}

/* IC: what other engines have written is code now. */
static void publish(const struct engine *e, const uc_arm64_cp_reg *cp)
{
    uint64_t ipa = 0, size = UINT64_C(1) << STAGE2_BITS;

    if (cp->op1 == 3 && walk(e, cp->val, &ipa)) {
        ipa &= ~(uint64_t)(PAGE - 1);
        size = PAGE;
    }
    fake_lock();
    for (unsigned i = 0; i < MAX_VCPUS; i++)
        if (fake_vm.vcpu[i] != NULL && fake_vm.vcpu[i]->engine != e)
            engine_stale(fake_vm.vcpu[i]->engine, ipa, size);
    fake_unlock();
}

static uint32_t on_sys(uc_engine *uc, uc_arm64_reg rt,
                       const uc_arm64_cp_reg *cp, void *ctx)
{
    struct engine *e = ctx;

    (void)uc, (void)rt;
    e->age++;
    if (cp->crn == 7 && (cp->crm == 5 || cp->crm == 1))
        publish(e, cp);
    return 0;
}

/* ---- all of them ---------------------------------------------------------- */

bool hooks_add(struct engine *e)
{
    const struct {
        int type;
        void *callback;
        int instruction;
    } hooks[] = {
        {UC_HOOK_INTR, (void *)on_exception, 0},
        {UC_HOOK_BLOCK, (void *)on_block, 0},
        {UC_HOOK_EDGE_GENERATED, (void *)on_edge, 0},
        {UC_HOOK_INSN, (void *)on_mrs, UC_ARM64_INS_MRS},
        {UC_HOOK_INSN, (void *)on_msr, UC_ARM64_INS_MSR},
        {UC_HOOK_INSN, (void *)on_sys, UC_ARM64_INS_SYS},
    };

    for (size_t i = 0; i < sizeof hooks / sizeof *hooks; i++) {
        uc_hook handle;

        if (e->u.hook_add(e->uc, &handle, hooks[i].type, hooks[i].callback, e,
                          1, 0, hooks[i].instruction) != UC_ERR_OK)
            return false;
    }
    return !e->el2 || el2_hooks(e);
}
