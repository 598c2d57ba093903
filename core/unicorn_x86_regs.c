/* SPDX-License-Identifier: MIT */
/* unicorn_x86_regs.c - the register file of the unicorn backend for x86_64.
 * It is the engine's saved context; the parts that hold lazily computed values
 * are only looked at after the engine has computed them. */
#include <inttypes.h>
#include <string.h>

#include "unicorn_x86.h"

/* ---- the engine's state and ours ----------------------------------------- */

/* Writing the flags makes the engine compute what it keeps of the last
 * arithmetic instruction in other forms. In the midst of a block it must keep
 * them as they are, which is how the rest of the block looks for them: then it
 * is the copy that gets what RFLAGS says, and where RIP is about to be. */
void x86_load(struct x86_cpu *x)
{
    uint64_t flags = 0;

    if (x->loaded)
        return;
    x->u->reg_read(x->uc, UC_X86_REG_RFLAGS, &flags);
    if (x->behind == 0)
        x->u->reg_write(x->uc, UC_X86_REG_RFLAGS, &flags);
    x->u->context_save(x->uc, x->now);
    x->loaded = true;
    if (x->behind == 0)
        return;
    x86_put64(x->now, x->at.flags, flags);
    x86_put64(x->now, x->at.cc_src, flags & X86_CC);
    x86_put32(x->now, x->at.cc_op, X86_CC_FLAGS);
    x86_put64(x->now, x->at.eip, x86_u64(x->now, x->at.eip) + x->behind);
}

void x86_sync(struct x86_cpu *x)
{
    if (!x->dirty)
        return;
    x->u->context_restore(x->uc, x->now);
    x->dirty = false;
    x->behind = 0;
    x->changed = true;
}

/* What only the engine knows to write. */
static void write_engine(struct x86_cpu *x, int reg, const void *value)
{
    x86_sync(x);
    x->u->reg_write(x->uc, reg, value);
    x->loaded = false;
    x->changed = true;
}

static uint64_t part(const struct x86_cpu *x, size_t at)
{
    return x86_u64(x->now, at);
}

uint64_t x86_flags(struct x86_cpu *x)
{
    return (part(x, x->at.flags) & ~(uint64_t)(X86_CC | X86_FLAG_DF)) |
           (part(x, x->at.cc_src) & X86_CC) |
           (x86_u32(x->now, x->at.df) & X86_FLAG_DF) | 2;
}

void x86_set_flags(struct x86_cpu *x, uint64_t flags)
{
    x86_put64(x->now, x->at.flags, (flags & 0x3f7fd5) | 2);
    x86_put64(x->now, x->at.cc_src, flags & X86_CC);
    x86_put32(x->now, x->at.df, flags & X86_FLAG_DF ? UINT32_MAX : 1);
    x->dirty = true;
}

uint64_t x86_rip(struct x86_cpu *x)
{
    uint64_t rip = 0;

    if (x->loaded)
        return part(x, x->at.eip);
    x->u->reg_read(x->uc, UC_X86_REG_RIP, &rip);
    return rip + x->behind;
}

void x86_set_rip(struct x86_cpu *x, uint64_t rip)
{
    if (x->inside)
        x86_load(x);
    if (x->loaded) {
        x86_put64(x->now, x->at.eip, rip);
        x->dirty = true;
    } else {
        x86_put(x, UC_X86_REG_RIP, rip);
    }
}

static size_t segment_at(const struct x86_cpu *x, unsigned nr)
{
    if (nr == VMM_LDTR)
        return x->at.ldt;
    return nr == VMM_TR ? x->at.tr : x->at.segs + X86_SEGMENT * nr;
}

void x86_segment(struct x86_cpu *x, unsigned nr, struct vmm_segment *s)
{
    size_t at = segment_at(x, nr);
    uint32_t flags = x86_u32(x->now, at + 20);

    *s = (struct vmm_segment){
        .base = part(x, at + 8),
        .limit = x86_u32(x->now, at + 16),
        .selector = (uint16_t)x86_u32(x->now, at),
        .type = flags >> 8 & 15,
        .s = flags >> 12 & 1,
        .dpl = flags >> 13 & 3,
        .present = flags >> 15 & 1,
        .avl = flags >> 20 & 1,
        .l = flags >> 21 & 1,
        .db = flags >> 22 & 1,
        .g = flags >> 23 & 1,
    };
    if (nr == VMM_TR)
        s->type |= 2; /* busy, as a task register's always is */
}

void x86_set_segment(struct x86_cpu *x, unsigned nr,
                     const struct vmm_segment *s)
{
    size_t at = segment_at(x, nr);

    x86_put32(x->now, at, s->selector);
    x86_put64(x->now, at + 8, s->base);
    x86_put32(x->now, at + 16, s->limit);
    x86_put32(x->now, at + 20,
              (s->type & 15u) << 8 | (s->s & 1u) << 12 | (s->dpl & 3u) << 13 |
                  (s->present & 1u) << 15 | (s->avl & 1u) << 20 |
                  (s->l & 1u) << 21 | (s->db & 1u) << 22 | (s->g & 1u) << 23);
    x->dirty = true;
}

/* What code means depends on these registers, and the engine keeps that in one
 * word, kept up by its instructions but not by us. The privilege level is the
 * stack segment's, as in hardware. */
void x86_derive(struct x86_cpu *x)
{
    enum {
        CS32 = 1 << 4,
        SS32 = 1 << 5,
        ADDSEG = 1 << 6,
        PE = 1 << 7,
        FPU = 7 << 9,
        LMA = 1 << 14,
        CS64 = 1 << 15,
        SVME = 1 << 20,
        OSFXSR = 1 << 22,
        ALL = X86_HF_CPL | CS32 | SS32 | ADDSEG | PE | FPU | LMA | CS64 | SVME |
              OSFXSR | X86_HF_SMAP
    };
    uint64_t cr0 = part(x, x->at.cr), cr4 = part(x, x->at.cr + 32);
    uint64_t efer = part(x, x->at.efer);
    uint32_t h = 0;
    struct vmm_segment cs, ss;

    x86_segment(x, VMM_CS, &cs);
    x86_segment(x, VMM_SS, &ss);
    if (cr0 & X86_CR0_PG && efer & X86_EFER_LME)
        efer |= X86_EFER_LMA; /* as the instruction that sets PG does */
    x86_put64(x->now, x->at.efer, efer);
    if (x86_flags(x) & X86_FLAG_VM)
        h |= 3;
    else if (cr0 & X86_CR0_PE)
        h |= PE | ss.dpl;
    if (cr0 & X86_CR0_PE)
        h |= PE;
    h |= (uint32_t)cr0 << 8 & FPU;
    if (efer & X86_EFER_LMA)
        h |= LMA;
    if (efer & X86_EFER_LMA && cs.l)
        h |= CS32 | SS32 | CS64;
    else
        h |= (cs.db ? CS32 : 0) | (ss.db ? SS32 : 0) | ADDSEG;
    h |= (uint32_t)(efer << 8) & SVME;
    h |= (uint32_t)(cr4 << 13) & OSFXSR;
    h |= (uint32_t)(cr4 << 2) & X86_HF_SMAP;
    h |= x86_u32(x->now, x->at.hflags) & ~(uint32_t)ALL;
    x86_put32(x->now, x->at.hflags, h);
    x->dirty = true;
    x->flush = true;
}

const char *x86_nonsense(struct x86_cpu *x)
{
    uint64_t cr0 = part(x, x->at.cr), cr4 = part(x, x->at.cr + 32);
    uint64_t efer = part(x, x->at.efer);
    bool paging = cr0 & X86_CR0_PG;
    struct vmm_segment cs;

    x86_segment(x, VMM_CS, &cs);
    if (paging && !(cr0 & X86_CR0_PE))
        return "cr0 has PG without PE";
    if (efer & X86_EFER_LMA && !(paging && efer & X86_EFER_LME))
        return "efer has LMA without LME and cr0's PG";
    if (efer & X86_EFER_LMA && !(cr4 & X86_CR4_PAE))
        return "long mode without cr4's PAE";
    if (efer & X86_EFER_LMA && cs.l && cs.db)
        return "cs has both l and db";
    if (x86_flags(x) & X86_FLAG_VM && !(cr0 & X86_CR0_PE))
        return "rflags has VM without cr0's PE";
    return NULL;
}

/* ---- reset --------------------------------------------------------------- */

/* As KVM resets, but for CS, whose base and selector are 0. */
void x86_reset(struct x86_cpu *x)
{
    static const struct vmm_segment data = {
        .limit = 0xffff, .type = 3, .s = 1, .present = 1};
    static const uc_x86_msr pat = {0x277, UINT64_C(0x0007040600070406)};
    struct vmm_segment s = data;

    x86_load(x);
    for (unsigned i = 0; i <= 16; i++)
        x86_put64(x->now, x->at.regs + 8 * i, 0);
    for (unsigned i = 0; i < 6; i++)
        x86_set_segment(x, i, &data);
    s.type = 11;
    x86_set_segment(x, VMM_CS, &s);
    s.s = 0;
    x86_set_segment(x, VMM_TR, &s);
    s.type = 2;
    x86_set_segment(x, VMM_LDTR, &s);
    for (unsigned i = 0; i < 5; i++)
        x86_put64(x->now, x->at.cr + 8 * i, 0);
    x86_put64(x->now, x->at.cr, 0x60000010);
    x86_put64(x->now, x->at.efer, 0);
    for (size_t at = x->at.gdt; at <= x->at.idt; at += X86_SEGMENT) {
        x86_put64(x->now, at + 8, 0);
        x86_put32(x->now, at + 16, 0xffff);
    }
    x86_set_flags(x, 2);
    x86_derive(x);
    x86_sync(x);
    x->loaded = false;
    x86_put(x, UC_X86_REG_FPCW, 0x37f);
    x86_put(x, UC_X86_REG_FPTAG, 0xffff);
    x86_put(x, UC_X86_REG_MXCSR, 0x1f80);
    x86_put(x, UC_X86_REG_DR6, 0xffff0ff0);
    x86_put(x, UC_X86_REG_DR7, 0x400);
    x->u->reg_write(x->uc, UC_X86_REG_MSR, &pat);
}

/* ---- one register -------------------------------------------------------- */

/* A hypercall is mostly about general registers while nothing is loaded. x86_get()
 * and x86_set() have that at once; the rest stays out of its way. */
#define APART __attribute__((noinline))

static int unknown(const char *class, uint32_t nr)
{
    return vmm_fail(VMM_ENOTSUP,
                    "unicorn: %s 0x%" PRIx32 ": the emulated CPU does not have "
                    "it",
                    class, nr);
}

/* The MSRs that the engine has and that are plain values. */
static bool known_msr(uint32_t nr)
{
    static const uint32_t known[] = {
        0x10,       0x174,      0x175,      0x176,      0x1a0,      0x277,
        0x2ff,      0xc0000080, 0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084,
        0xc0000100, 0xc0000101, 0xc0000102, 0xc0000103,
    };

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (known[i] == nr)
            return true;
    return nr >= 0x200 && nr < 0x210; /* MTRRs */
}

/* Where a control register is in the context; 0: not there. */
static size_t control_at(const struct x86_cpu *x, uint32_t nr)
{
    switch (nr) {
    case VMM_CR0:
    case VMM_CR2:
    case VMM_CR3:
    case VMM_CR4:
        return x->at.cr + 8 * nr;
    case VMM_EFER:
        return x->at.efer;
    case VMM_FS_BASE:
        return x->at.segs + VMM_FS * X86_SEGMENT + 8;
    case VMM_GS_BASE:
        return x->at.segs + VMM_GS * X86_SEGMENT + 8;
    default:
        return 0;
    }
}

static bool debug_register(uint32_t nr)
{
    return (nr >= VMM_DR0 && nr <= VMM_DR3) || nr == VMM_DR6 || nr == VMM_DR7;
}

/* There is no local APIC: its base says where it would be, its TPR is 0. */
static bool constant(uint32_t nr, uint64_t *value)
{
    *value = nr == VMM_APIC_BASE ? 0xfee00900 : 0;
    return nr == VMM_APIC_BASE || nr == VMM_CR8;
}

static int get_control(struct x86_cpu *x, uint32_t nr, uint64_t *value)
{
    size_t at = control_at(x, nr);

    if (constant(nr, value))
        return 0;
    if (at != 0) {
        x86_load(x);
        *value = part(x, at);
        return 0;
    }
    if (!debug_register(nr))
        return unknown("control register", nr);
    x86_sync(x);
    x->u->reg_read(x->uc, UC_X86_REG_DR0 + (int)(nr - VMM_DR0), value);
    return 0;
}

static int set_control(struct x86_cpu *x, uint32_t nr, uint64_t value)
{
    size_t at = control_at(x, nr);
    uint64_t old;

    if (constant(nr, &old))
        return value == old
                   ? 0
                   : vmm_fail(VMM_ENOTSUP,
                              "unicorn: %s: there is no local APIC: "
                              "it stays 0x%" PRIx64,
                              nr == VMM_CR8 ? "cr8" : "apic_base", old);
    if (at != 0) {
        x86_load(x);
        x86_put64(x->now, at, nr == VMM_CR0 ? value | 0x10 : value);
        x86_derive(x);
        return 0;
    }
    if (!debug_register(nr))
        return unknown("control register", nr);
    write_engine(x, UC_X86_REG_DR0 + (int)(nr - VMM_DR0), &value);
    return 0;
}

static int get_msr(struct x86_cpu *x, uint32_t nr, uint64_t *value)
{
    uc_x86_msr msr = {nr, 0};

    if (nr == 0xc0000080)
        return get_control(x, VMM_EFER, value);
    if (!known_msr(nr))
        return unknown("msr", nr);
    x86_sync(x);
    x->u->reg_read(x->uc, UC_X86_REG_MSR, &msr);
    *value = msr.value;
    return 0;
}

static int set_msr(struct x86_cpu *x, uint32_t nr, uint64_t value)
{
    uc_x86_msr msr = {nr, value};

    if (nr == 0xc0000080)
        return set_control(x, VMM_EFER, value);
    if (!known_msr(nr))
        return unknown("msr", nr);
    write_engine(x, UC_X86_REG_MSR, &msr);
    return 0;
}

static APART int get_general(struct x86_cpu *x, uint32_t nr, uint64_t *value)
{
    if (nr > VMM_RFLAGS)
        return unknown("register", nr);
    if (nr == VMM_RIP)
        *value = x86_rip(x);
    else if (!x->loaded)
        x->u->reg_read(x->uc, UC_X86_REG_RFLAGS, value);
    else
        *value = nr == VMM_RFLAGS ? x86_flags(x) : part(x, x->at.regs + 8 * nr);
    return 0;
}

static APART int set_general(struct x86_cpu *x, uint32_t nr, uint64_t value)
{
    if (nr > VMM_RFLAGS)
        return unknown("register", nr);
    if (nr == VMM_RFLAGS) {
        x86_load(x);
        x86_set_flags(x, value);
        x86_derive(x);
    } else if (nr == VMM_RIP) {
        x86_set_rip(x, value);
    } else {
        x86_put64(x->now, x->at.regs + 8 * nr, value);
        if (x->behind != 0) /* the block under way can go on with these */
            x86_put(x, x86_general[nr], value);
        else
            x->dirty = true;
    }
    return 0;
}

static APART int get_other(struct x86_cpu *x, vmm_reg reg,
                           union vmm_value *value)
{
    uint32_t nr = VMM_REG_NR(reg);
    size_t at;

    switch (VMM_REG_CLASS(reg)) {
    case VMM_CONTROL:
        return get_control(x, nr, &value->u64);
    case VMM_MSR:
        return get_msr(x, nr, &value->u64);
    case VMM_SEGMENT:
        if (nr > VMM_TR)
            return unknown("segment", nr);
        x86_load(x);
        x86_segment(x, nr, &value->segment);
        return 0;
    case VMM_TABLE:
        if (nr > 1)
            return unknown("table", nr);
        x86_load(x);
        at = nr == 0 ? x->at.gdt : x->at.idt;
        value->table.base = part(x, at + 8);
        value->table.limit = (uint16_t)x86_u32(x->now, at + 16);
        return 0;
    case VMM_VECTOR:
        if (nr > 15)
            return unknown("vector", nr);
        x86_sync(x);
        x->u->reg_read(x->uc, UC_X86_REG_XMM0 + (int)nr, value->bytes);
        return 0;
    default:
        return unknown("register class", VMM_REG_CLASS(reg));
    }
}

int x86_get(struct vmm_cpu *cpu, vmm_reg reg, union vmm_value *value)
{
    struct x86_cpu *x = cpu->host;
    uint32_t nr = VMM_REG_NR(reg);

    if (VMM_REG_CLASS(reg) != VMM_GENERAL)
        return get_other(x, reg, value);
    if (nr > 15 || x->loaded)
        return get_general(x, nr, &value->u64);
    x->u->reg_read(x->uc, x86_general[nr], &value->u64);
    return 0;
}

static APART int set_other(struct x86_cpu *x, vmm_reg reg,
                           const union vmm_value *value)
{
    uint32_t nr = VMM_REG_NR(reg);
    size_t at;

    switch (VMM_REG_CLASS(reg)) {
    case VMM_CONTROL:
        return set_control(x, nr, value->u64);
    case VMM_MSR:
        return set_msr(x, nr, value->u64);
    case VMM_SEGMENT:
        if (nr > VMM_TR)
            return unknown("segment", nr);
        x86_load(x);
        x86_set_segment(x, nr, &value->segment);
        x86_derive(x);
        return 0;
    case VMM_TABLE:
        if (nr > 1)
            return unknown("table", nr);
        x86_load(x);
        at = nr == 0 ? x->at.gdt : x->at.idt;
        x86_put64(x->now, at + 8, value->table.base);
        x86_put32(x->now, at + 16, value->table.limit);
        x->dirty = true;
        return 0;
    case VMM_VECTOR:
        if (nr > 15)
            return unknown("vector", nr);
        write_engine(x, UC_X86_REG_XMM0 + (int)nr, value->bytes);
        return 0;
    default:
        return unknown("register class", VMM_REG_CLASS(reg));
    }
}

int x86_set(struct vmm_cpu *cpu, vmm_reg reg, const union vmm_value *value)
{
    struct x86_cpu *x = cpu->host;
    uint32_t nr = VMM_REG_NR(reg);

    if (VMM_REG_CLASS(reg) != VMM_GENERAL)
        return set_other(x, reg, value);
    if (nr > 15 || x->loaded)
        return set_general(x, nr, value->u64);
    x->u->reg_write(x->uc, x86_general[nr], &value->u64);
    return 0;
}
