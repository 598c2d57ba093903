/* SPDX-License-Identifier: MIT */
/* el2.c - guests that have EL2. That level is then theirs, and the host can only
 * be EL3: of stage 2 of its own there is none, so every instruction is looked at,
 * to know where the guest was when it went where there is no memory. Rights of
 * guest memory are not enforced here, and interrupts are not delivered. On a Mac
 * the host is above the guest's EL2, and debug exceptions of all its levels are
 * the host's if it wants them; here EL2 would have to ask for its own. So steps
 * are counted, and not the library's. */
#include "engine.h"

static uint64_t vector_offset(uint32_t pstate)
{
    switch (pstate & MODE_MASK) {
    case MODE_EL2H:
        return 0x200;
    case MODE_EL2T:
        return 0;
    default:
        return 0x400;
    }
}

static void take(struct engine *e)
{
    uint32_t pstate = engine_pstate(e);
    uint64_t vbar = 0;

    engine_sys(e, HV_SYS_REG_VBAR_EL2, &vbar);
    engine_set_sys(e, HV_SYS_REG_ELR_EL2, engine_reg(e, UC_ARM64_REG_PC));
    engine_set_sys(e, HV_SYS_REG_SPSR_EL2, pstate & ~(uint32_t)PSTATE_SS);
    engine_set_sys(e, HV_SYS_REG_ESR_EL2, e->syndrome);
    if (e->syndrome >> 26 >= EC_FETCH_LOWER && e->syndrome >> 26 <= EC_DATA)
        engine_set_sys(e, HV_SYS_REG_FAR_EL2, e->far);
    engine_set_pstate(e, PSTATE_DAIF | MODE_EL2H);
    engine_set_reg(e, UC_ARM64_REG_PC, vbar + vector_offset(pstate));
}

/* The guest's own; a step over what was to be executed ends with that. */
static void taken_by_guest(struct engine *e, unsigned target)
{
    if (target == 2)
        take(e);
    else
        el1_take(e, e->syndrome, e->far);
    if (e->step != STEP_NOT)
        e->step = STEP_OVER;
}

/* SMC leaves PC behind it where it goes to EL3. */
void el2_taken(struct engine *e, unsigned target)
{
    unsigned ec = e->syndrome >> 26;

    if (target >= 3 || (ec == EC_BRK && e->v->trap_exceptions)) {
        if (ec == EC_SMC)
            engine_set_reg(e, UC_ARM64_REG_PC,
                           engine_reg(e, UC_ARM64_REG_PC) - 4);
        hooks_leave(e, LEAVE_EXIT);
    } else if (e->look ||
               atomic_load_explicit(&e->v->cancel, memory_order_relaxed)) {
        if (ec == EC_SVC || ec == EC_HVC)
            taken_by_guest(e, target);
        else if (e->step == STEP_BEGUN)
            e->step = STEP_READY; /* it comes again */
        hooks_leave(e, LEAVE_BLOCK);
    } else {
        taken_by_guest(e, target);
    }
}

bool el2_stepped(struct engine *e)
{
    if (e->step != STEP_BEGUN && e->step != STEP_OVER)
        return false;
    e->step = STEP_OVER;
    e->syndrome = SYNDROME_STEP;
    hooks_leave(e, LEAVE_EXIT);
    return true;
}

/* ---- where there is no memory --------------------------------------------- */

static bool on_unmapped(uc_engine *uc, uc_mem_type type, uint64_t at, int size,
                        int64_t value, void *ctx)
{
    struct engine *e = ctx;

    (void)uc, (void)size, (void)value;
    e->missed = true;
    e->missed_fetch = type == UC_MEM_FETCH_UNMAPPED;
    e->missed_write = type == UC_MEM_WRITE_UNMAPPED;
    e->ipa = at;
    return false;
}

bool el2_hooks(struct engine *e)
{
    uc_hook handle;

    if (e->u.hook_add(e->uc, &handle,
                      UC_HOOK_MEM_READ_UNMAPPED | UC_HOOK_MEM_WRITE_UNMAPPED |
                          UC_HOOK_MEM_FETCH_UNMAPPED,
                      (void *)on_unmapped, e, 1, 0) != UC_ERR_OK)
        return false;
    hooks_every_instruction(e);
    return e->hooked;
}

/* What a plain load or store says of itself: size, sign, register. */
static uint32_t description(uint32_t opcode)
{
    unsigned size = opcode >> 30, opc = opcode >> 22 & 3;
    bool sign = opc >= 2, wide = sign ? opc == 2 : size == 3;
    bool offset = (opcode & 0x3b000000) == 0x39000000 ||
                  (opcode & 0x3b200c00) == 0x38000000 ||
                  (opcode & 0x3b200c00) == 0x38200800;

    if (!offset)
        return 0;
    return 1u << 24 | size << 22 | (sign ? 1u << 21 : 0) | (opcode & 31) << 16 |
           (wide ? 1u << 15 : 0);
}

void el2_missed(struct engine *e)
{
    struct access a = {.at = e->ipa};
    uint32_t opcode = 0, iss = 7 | (e->missed_write ? 1 << 6 : 0);

    if (e->missed_fetch) {
        if (el2_stepped(e))
            return;
        e->far = engine_reg(e, UC_ARM64_REG_PC);
        e->syndrome = SYNDROME(EC_FETCH_LOWER, 7);
        return;
    }
    engine_set_reg(e, UC_ARM64_REG_PC, e->code_at);
    if (walk_instruction(e, e->code_at, &opcode)) {
        debug_decode(e, opcode, &a);
        iss |= description(opcode);
    }
    e->far = a.at;
    e->syndrome = SYNDROME(EC_DATA_LOWER, iss);
}
