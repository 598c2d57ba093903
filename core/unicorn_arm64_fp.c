/* SPDX-License-Identifier: MIT */
/* unicorn_arm64_fp.c - floating point that a guest has not allowed itself. To the
 * library CPACR_EL1 is a register without effect. So the blocks that it translates
 * are looked through, and where one with such an instruction comes, and may not,
 * the guest is left: up to the instruction it then goes step by step. */
#include "unicorn_arm64.h"

enum { FPCR = 0xd51b4400, FPEN = 20 };

static const uint32_t SYNDROME_FP = 0x1fe00000;

/* Data processing; loads and stores; FPCR and FPSR. */
bool a64_is_fp(uint32_t instruction)
{
    return (instruction & 0x0e000000) == 0x0e000000 ||
           (instruction & 0x0e000000) == 0x0c000000 ||
           (instruction & 0xffdfffc0) == FPCR;
}

static bool contains_fp(struct a64_engine *e, uint64_t va, unsigned size)
{
    uint32_t instruction;

    for (; size >= 4; size -= 4, va += 4)
        if (a64_instruction(e, va, &instruction) && a64_is_fp(instruction))
            return true;
    return false;
}

/* Blocks share places: what is found there is looked through again. */
static uint64_t *place(struct a64_engine *e, uint64_t va, uint64_t *bit)
{
    uint64_t n = (va >> 2 ^ va >> 13) % A64_FP_PLACES;

    *bit = UINT64_C(1) << n % 64;
    return &e->fp.seen[n / 64];
}

static void heed(struct a64_engine *e)
{
    if (e->fp.any && e->fp.allowed != A64_FP_ALL)
        e->heed |= A64_HEED_FP;
    else
        e->heed &= (uint8_t)~A64_HEED_FP;
}

void a64_fp_translated(struct a64_engine *e, uint64_t va)
{
    uint64_t bit, *seen = place(e, va, &bit);

    *seen |= bit;
    e->fp.any = true;
    heed(e);
}

void a64_fp_control(struct a64_engine *e, uint64_t cpacr)
{
    e->fp.allowed = cpacr >> FPEN & 3;
    heed(e);
}

bool a64_fp_traps(struct a64_engine *e, uint64_t va, unsigned size)
{
    uint64_t bit, *seen = place(e, va, &bit);

    if (!(*seen & bit))
        return false;
    if (e->fp.allowed == A64_FP_NOT_EL0 && (a64_pstate(e) & A64_MODE))
        return false;
    return contains_fp(e, va, size);
}

bool a64_fp_next(struct a64_engine *e)
{
    uint32_t instruction;

    if (!a64_instruction(e, a64_reg(e, UC_ARM64_REG_PC), &instruction) ||
        !a64_is_fp(instruction))
        return false;
    e->syndrome = SYNDROME_FP;
    return true;
}
