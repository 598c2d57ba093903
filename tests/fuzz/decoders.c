/* SPDX-License-Identifier: MIT */
/* decoders.c - fuzz target: the arm64 decoders, core/a64.c and core/esr.c. The
 * first four bytes are an instruction, the next eight a syndrome, then come a
 * virtual and a physical address. What is decoded has to make sense, and agree
 * with what the architecture's tables of encodings say, written here anew. */
#include <stdlib.h>
#include <string.h>

#include "backend.h"
#include "fuzz.h"

/* ---- instructions -------------------------------------------------------- */

/* Which encodings are loads and stores that can be completed; the rest of a row
 * is what they all have in common. */
static const struct encoding {
    uint32_t mask, value;
    uint8_t size, regs;
    bool write, sign, wide, vector;
} encodings[] = {
    /* B, H, W, X: STR LDR, LDRS to X, LDRS to W; by bits 31:30 and 23:22 */
    {0xc4c00000, 0x00000000, 1, 1, true, false, false, false},
    {0xc4c00000, 0x00400000, 1, 1, false, false, false, false},
    {0xc4c00000, 0x00800000, 1, 1, false, true, true, false},
    {0xc4c00000, 0x00c00000, 1, 1, false, true, false, false},
    {0xc4c00000, 0x40000000, 2, 1, true, false, false, false},
    {0xc4c00000, 0x40400000, 2, 1, false, false, false, false},
    {0xc4c00000, 0x40800000, 2, 1, false, true, true, false},
    {0xc4c00000, 0x40c00000, 2, 1, false, true, false, false},
    {0xc4c00000, 0x80000000, 4, 1, true, false, false, false},
    {0xc4c00000, 0x80400000, 4, 1, false, false, false, false},
    {0xc4c00000, 0x80800000, 4, 1, false, true, true, false},
    {0xc4c00000, 0xc0000000, 8, 1, true, false, true, false},
    {0xc4c00000, 0xc0400000, 8, 1, false, false, true, false},
    /* the same of B, H, S, D, Q */
    {0xc4c00000, 0x04000000, 1, 1, true, false, false, true},
    {0xc4c00000, 0x04400000, 1, 1, false, false, false, true},
    {0xc4c00000, 0x44000000, 2, 1, true, false, false, true},
    {0xc4c00000, 0x44400000, 2, 1, false, false, false, true},
    {0xc4c00000, 0x84000000, 4, 1, true, false, false, true},
    {0xc4c00000, 0x84400000, 4, 1, false, false, false, true},
    {0xc4c00000, 0xc4000000, 8, 1, true, false, false, true},
    {0xc4c00000, 0xc4400000, 8, 1, false, false, false, true},
    {0xc4c00000, 0x04800000, 16, 1, true, false, false, true},
    {0xc4c00000, 0x04c00000, 16, 1, false, false, false, true},
};

static const struct encoding pairs[] = {
    /* STP LDP of W, LDPSW, of X, of S, D, Q; by bits 31:30, 26 and 22 */
    {0xc4400000, 0x00000000, 4, 2, true, false, false, false},
    {0xc4400000, 0x00400000, 4, 2, false, false, false, false},
    {0xc4400000, 0x40400000, 4, 2, false, true, true, false},
    {0xc4400000, 0x80000000, 8, 2, true, false, true, false},
    {0xc4400000, 0x80400000, 8, 2, false, false, true, false},
    {0xc4400000, 0x04000000, 4, 2, true, false, false, true},
    {0xc4400000, 0x04400000, 4, 2, false, false, false, true},
    {0xc4400000, 0x44000000, 8, 2, true, false, false, true},
    {0xc4400000, 0x44400000, 8, 2, false, false, false, true},
    {0xc4400000, 0x84000000, 16, 2, true, false, false, true},
    {0xc4400000, 0x84400000, 16, 2, false, false, false, true},
};

static const struct encoding *find(const struct encoding *list, size_t n,
                                   uint32_t instruction)
{
    for (size_t i = 0; i < n; i++)
        if ((instruction & list[i].mask) == list[i].value)
            return &list[i];
    return NULL;
}

enum form {
    NOT,
    UNSIGNED, /* [Xn, #imm12 * size] */
    UNSCALED, /* LDUR */
    POST,
    UNPRIVILEGED, /* LDTR */
    PRE,
    REGISTER,
    PAIR_NONTEMPORAL,
    PAIR_POST,
    PAIR_OFFSET,
    PAIR_PRE
};

static enum form form_of(uint32_t i)
{
    if ((i & 0x3b000000) == 0x39000000)
        return UNSIGNED;
    if ((i & 0x3b200000) == 0x38000000)
        return UNSCALED + (i >> 10 & 3);
    if ((i & 0x3b200c00) == 0x38200800)
        return REGISTER;
    if ((i & 0x3a000000) == 0x28000000)
        return PAIR_NONTEMPORAL + (i >> 23 & 3);
    return NOT;
}

static int64_t sign_extend(uint32_t value, unsigned bits)
{
    return (int64_t)((uint64_t)value << (64 - bits)) >> (64 - bits);
}

/* What the decoder should find, but for the fields that a row has. */
static bool expect(uint32_t i, enum form form, const struct encoding *row,
                   struct vmm_a64_access *a)
{
    int64_t nine = sign_extend(i >> 12 & 0x1ff, 9);
    int64_t seven = sign_extend(i >> 15 & 0x7f, 7) * row->size;
    bool post = form == POST || form == PAIR_POST;
    bool pre = form == PRE || form == PAIR_PRE;
    int64_t imm = form >= PAIR_NONTEMPORAL ? seven : nine;

    a->rt[0] = i & 31;
    a->rt[1] = form >= PAIR_NONTEMPORAL ? i >> 10 & 31 : 0;
    a->rn = i >> 5 & 31;
    a->rm = 31;
    a->writeback = post || pre;
    a->offset = a->writeback ? imm : 0;
    a->at = form == UNSIGNED   ? (int64_t)(i >> 10 & 0xfff) * row->size
            : form == REGISTER ? 0
            : post             ? 0
                               : imm;
    if (form == REGISTER) {
        a->rm = i >> 16 & 31;
        a->option = i >> 13 & 7;
        for (unsigned n = row->size; i >> 12 & 1 && n > 1; n /= 2)
            a->shift++;
        return a->option & 2;
    }
    if (form == UNPRIVILEGED && row->vector)
        return false;
    /* there is no LDNPSW */
    return !(form == PAIR_NONTEMPORAL && row->sign);
}

static void check_instruction(uint32_t instruction)
{
    struct vmm_a64_access got, want = {0};
    enum form form = form_of(instruction);
    const struct encoding *row =
        form == NOT ? NULL
        : form >= PAIR_NONTEMPORAL
            ? find(pairs, sizeof pairs / sizeof *pairs, instruction)
            : find(encodings, sizeof encodings / sizeof *encodings,
                   instruction);
    bool decodes = vmm_a64_decode(instruction, &got);

    fuzz_check(decodes == (row && expect(instruction, form, row, &want)));
    if (!decodes)
        return;
    fuzz_check(got.size == row->size && got.regs == row->regs);
    fuzz_check(got.write == row->write && got.sign == row->sign);
    fuzz_check(got.wide == row->wide && got.vector == row->vector);
    fuzz_check(got.rt[0] == want.rt[0] && got.rn == want.rn);
    fuzz_check(got.regs == 1 || got.rt[1] == want.rt[1]);
    fuzz_check(got.writeback == want.writeback && got.offset == want.offset);
    fuzz_check(got.at == want.at && got.rm == want.rm);
    fuzz_check(got.option == want.option && got.shift == want.shift);
}

/* ---- syndromes ----------------------------------------------------------- */

static bool is_kind(enum vmm_kind kind)
{
    switch (kind) {
    case VMM_NONE:
    case VMM_HVC:
    case VMM_SMC:
    case VMM_MMIO:
    case VMM_SYSREG:
    case VMM_BRK:
    case VMM_STEP:
    case VMM_BREAK:
    case VMM_WATCH:
    case VMM_WFI:
    case VMM_FAULT:
        return true;
    default:
        return false;
    }
}

static void check_syndrome(uint64_t syndrome, uint64_t va, uint64_t pa)
{
    struct vmm_exit exit;
    struct vmm_esr_access access;
    bool told, data, walk;

    memset(&exit, 0, sizeof exit);
    exit.syndrome = syndrome;
    exit.va = va;
    exit.pa = pa;
    told = vmm_esr_decode(&exit, &access);
    data = (syndrome >> 26 & 0x3f) == 0x24;
    /* Where a table lies is known but for its offset: HPFAR_EL2 has none. */
    walk = (data || (syndrome >> 26 & 0x3f) == 0x20) && syndrome >> 7 & 1;
    fuzz_check(is_kind(exit.kind));
    fuzz_check(exit.ec == (syndrome >> 26 & 0x3f));
    fuzz_check(exit.syndrome == syndrome && exit.va == va);
    fuzz_check(exit.pa == (walk ? pa & ~(uint64_t)4095 : pa));
    fuzz_check(access.rt < 32);
    fuzz_check(memchr(exit.why, 0, sizeof exit.why) != NULL);
    fuzz_check((exit.kind == VMM_FAULT) == (exit.why[0] != 0));
    fuzz_check(told || (exit.kind == VMM_MMIO && !(syndrome >> 24 & 1)));
    if (exit.kind == VMM_MMIO) {
        fuzz_check(data && exit.addr == pa);
        fuzz_check(exit.write == (syndrome >> 6 & 1));
        fuzz_check(!told || exit.size == 1 << (syndrome >> 22 & 3));
    }
    if (exit.kind == VMM_SYSREG)
        fuzz_check(exit.reg <= 0xffff && exit.size == 8 && access.wide &&
                   access.rt == (syndrome >> 5 & 31));
    if (exit.kind == VMM_HVC || exit.kind == VMM_SMC || exit.kind == VMM_BRK)
        fuzz_check(exit.imm == (syndrome & 0xffff));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t bytes[28] = {0};
    uint32_t instruction;
    uint64_t syndrome, va, pa;

    memcpy(bytes, data, size < sizeof bytes ? size : sizeof bytes);
    memcpy(&instruction, bytes, 4);
    memcpy(&syndrome, bytes + 4, 8);
    memcpy(&va, bytes + 12, 8);
    memcpy(&pa, bytes + 20, 8);
    check_instruction(instruction);
    check_syndrome(syndrome, va, pa);
    return 0;
}
