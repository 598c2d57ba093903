/* SPDX-License-Identifier: MIT */
/* unicorn_x86_layout.c - where the engine keeps the x86 registers.
 *
 * Unicorn's own register calls change with the mode an engine was opened in,
 * and none sets the hidden parts of segments, CR0 or EFER as hardware has them.
 * A saved context, though, is the engine's whole CPU state, in the layout of
 * its structure. The order of the fields is that of the instruction set or of the
 * engine's source; where they are is measured, by writing what can be written
 * and looking where it went. */
#include <string.h>

#include "unicorn_x86.h"

const int x86_general[16] = {
    UC_X86_REG_RAX, UC_X86_REG_RCX, UC_X86_REG_RDX, UC_X86_REG_RBX,
    UC_X86_REG_RSP, UC_X86_REG_RBP, UC_X86_REG_RSI, UC_X86_REG_RDI,
    UC_X86_REG_R8,  UC_X86_REG_R9,  UC_X86_REG_R10, UC_X86_REG_R11,
    UC_X86_REG_R12, UC_X86_REG_R13, UC_X86_REG_R14, UC_X86_REG_R15,
};

static uc_context *look(struct x86_cpu *x)
{
    x->u->context_save(x->uc, x->now);
    return x->now;
}

/* Where 8 bytes are in the context; 0: nowhere. */
static size_t find(const struct x86_cpu *x, uint64_t value)
{
    for (size_t at = 4; at + 8 <= x->context_size; at += 4)
        if (x86_u64(x->now, at) == value)
            return at;
    return 0;
}

static bool measure_general(struct x86_cpu *x)
{
    const uint64_t mark = UINT64_C(0x5a17c0de00000100);
    struct x86_layout *at = &x->at;

    for (unsigned i = 0; i < 16; i++)
        x86_put(x, x86_general[i], mark + i);
    x86_put(x, UC_X86_REG_RIP, mark + 16);
    x86_put(x, UC_X86_REG_RFLAGS, X86_CC | X86_FLAG_DF);
    look(x);
    at->regs = find(x, mark);
    if (at->regs == 0 || at->regs + 184 > x->context_size)
        return false;
    for (unsigned i = 0; i <= 16; i++)
        if (x86_u64(x->now, at->regs + 8 * i) != mark + i)
            return false;
    at->eip = at->regs + 128;
    at->flags = at->eip + 8;
    at->cc_src = at->flags + 16;
    at->cc_op = at->cc_src + 16;
    at->df = at->cc_op + 4;
    at->hflags = at->df + 4;
    return x86_u64(x->now, at->cc_src) == X86_CC &&
           x86_u32(x->now, at->cc_op) == X86_CC_FLAGS &&
           x86_u32(x->now, at->df) == UINT32_MAX;
}

/* CR0.TS is bit 3 there and bit 11 of hflags. */
static bool measure_hflags(struct x86_cpu *x)
{
    enum { TS = 8, HF_TS = 1 << 11 };
    uint32_t before = x86_u32(look(x), x->at.hflags), after;

    x86_put(x, UC_X86_REG_CR0, X86_CR0_PE | TS);
    after = x86_u32(look(x), x->at.hflags);
    x86_put(x, UC_X86_REG_CR0, X86_CR0_PE);
    return (before ^ after) == HF_TS;
}

static bool measure_table(struct x86_cpu *x, int reg, uint32_t mark, size_t at)
{
    uc_x86_mmr table = {0, UINT64_C(0x7ab1e00000000) + mark, mark, 0};

    x->u->reg_write(x->uc, reg, &table);
    look(x);
    return find(x, table.base) == at + 8 && x86_u32(x->now, at + 16) == mark;
}

static bool measure_segments(struct x86_cpu *x)
{
    const uint64_t mark = UINT64_C(0x5e600000f5000);
    struct x86_layout *at = &x->at;
    size_t fs;

    x86_put(x, UC_X86_REG_FS_BASE, mark);
    x86_put(x, UC_X86_REG_GS_BASE, mark + 1);
    look(x);
    fs = find(x, mark);
    if (fs < at->hflags || find(x, mark + 1) != fs + X86_SEGMENT)
        return false;
    at->segs = fs - 8 - VMM_FS * X86_SEGMENT;
    at->ldt = at->segs + 6 * X86_SEGMENT;
    at->tr = at->ldt + X86_SEGMENT;
    at->gdt = at->tr + X86_SEGMENT;
    at->idt = at->gdt + X86_SEGMENT;
    return measure_table(x, UC_X86_REG_LDTR, 0x11, at->ldt) &&
           measure_table(x, UC_X86_REG_TR, 0x22, at->tr) &&
           measure_table(x, UC_X86_REG_GDTR, 0x33, at->gdt) &&
           measure_table(x, UC_X86_REG_IDTR, 0x44, at->idt);
}

static bool measure_control(struct x86_cpu *x)
{
    const uint64_t mark = UINT64_C(0xc0a7601000);
    struct x86_layout *at = &x->at;

    x86_put(x, UC_X86_REG_CR2, mark);
    x86_put(x, UC_X86_REG_CR3, mark + 0x1000);
    for (int i = 0; i < 4; i++)
        x86_put(x, UC_X86_REG_DR0 + i, mark + 0x10 + (unsigned)i);
    look(x);
    at->cr = find(x, mark) - 16;
    at->dr = find(x, mark + 0x10);
    return at->cr > at->idt && at->dr > at->cr &&
           x86_u64(x->now, at->cr + 24) == mark + 0x1000 &&
           x86_u64(x->now, at->dr + 24) == mark + 0x13;
}

/* EFER is the word in which only SCE changes when SCE does. */
static bool measure_efer(struct x86_cpu *x)
{
    uc_x86_msr efer = {0xc0000080, X86_EFER_LME | X86_EFER_NXE};

    x->u->reg_write(x->uc, UC_X86_REG_MSR, &efer);
    x->u->context_save(x->uc, x->before);
    efer.value |= X86_EFER_SCE;
    x->u->reg_write(x->uc, UC_X86_REG_MSR, &efer);
    look(x);
    x->at.efer = 0;
    for (size_t at = x->at.cr; at + 8 <= x->context_size; at += 8) {
        uint64_t old = x86_u64(x->before, at), new = x86_u64(x->now, at);

        if (old == new)
            continue;
        if (x->at.efer != 0 || new != (old | X86_EFER_SCE))
            return false;
        x->at.efer = at;
    }
    return x->at.efer != 0;
}

/* Run one instruction in the scratch page and look at what it raised. */
static bool raises(struct x86_cpu *x, uint64_t at, uint32_t vector)
{
    uint64_t ax = 0x1230;

    x86_put(x, UC_X86_REG_RAX, ax);
    x->stop = X86_NOTHING;
    x->u->emu_start(x->uc, at, 0, 0, 0);
    look(x);
    return x->stop == X86_INTR && x->vector == vector;
}

/* The words around the debug registers: error code, whether it was INT n, the
 * debug registers and their breakpoints, and the exception not yet delivered,
 * which the engine never clears. */
static bool measure_exceptions(struct x86_cpu *x)
{
    static const uint8_t mov_ds_ax[2] = {0x8e, 0xd8}, int_42[2] = {0xcd, 0x42};
    struct x86_layout *at = &x->at;

    at->error = at->dr - 16;
    at->is_int = at->dr - 12;
    at->old_exception = at->dr + 8 * 8 + 4 * sizeof(void *);
    if (at->old_exception + 4 > x->context_size ||
        x86_u32(x->now, at->old_exception) != UINT32_MAX)
        return false;
    memcpy(x->scratch, mov_ds_ax, 2);
    memcpy(x->scratch + 16, int_42, 2);
    return raises(x, 0, 13) && x86_u32(x->now, at->error) == 0x1230 &&
           x86_u32(x->now, at->is_int) == 0 &&
           x86_u32(x->now, at->old_exception) == 13 && raises(x, 16, 0x42) &&
           x86_u32(x->now, at->is_int) == 1;
}

int x86_calibrate(struct x86_cpu *x)
{
    const char *what = NULL;

    x->u->context_save(x->uc, x->after);
    x->lookup = true;
    if (!measure_general(x))
        what = "registers";
    else if (!measure_hflags(x))
        what = "flags";
    else if (!measure_segments(x))
        what = "segments";
    else if (!measure_control(x))
        what = "control registers";
    else if (!measure_efer(x))
        what = "EFER";
    x->u->context_restore(x->uc, x->after);
    if (!what && !measure_exceptions(x))
        what = "exceptions";
    x->u->context_restore(x->uc, x->after);
    x->lookup = false;
    x86_flush_tlb(x);
    if (!what)
        return 0;
    return vmm_fail(VMM_EHOST,
                    "unicorn: libunicorn %u.%u.%u: keeps its x86 %s in an "
                    "unknown way: use 2.1.1",
                    x->u->version >> 16, x->u->version >> 8 & 0xff,
                    x->u->version & 0xff, what);
}
