/* SPDX-License-Identifier: MIT */
/* kvm_x86_string.c - string instructions, element by element: what registers
 * are where KVM shows them only before or after several elements. */
#include "backend.h"

#if defined(__linux__) && defined(__x86_64__)
#include "kvm_x86.h"

/* ---- the end ------------------------------------------------------------- */

struct rep { /* a string instruction */
    unsigned length;
    bool rep, other_size; /* prefixes: REP, address size */
    uint8_t opcode;
};

static bool is_prefix(uint8_t byte, bool wide)
{
    switch (byte) {
    case 0x26: /* segments */
    case 0x2e:
    case 0x36:
    case 0x3e:
    case 0x64:
    case 0x65:
    case 0x66: /* operand size, address size */
    case 0x67:
    case 0xf2: /* REPNE, REP */
    case 0xf3:
        return true;
    default:
        return wide && (byte & 0xf0) == 0x40; /* REX */
    }
}

/* INS, OUTS; MOVS, CMPS; STOS, LODS, SCAS */
static bool is_string(uint8_t opcode)
{
    return (opcode >= 0x6c && opcode <= 0x6f) ||
           (opcode >= 0xa4 && opcode <= 0xa7) ||
           (opcode >= 0xaa && opcode <= 0xaf);
}

static bool decode(struct vmm_cpu *cpu, uint64_t at, bool wide, struct rep *rep)
{
    enum { LONGEST = 15 };

    *rep = (struct rep){0};
    while (rep->length < LONGEST) {
        uint64_t pa, byte;

        if (vmm_x86_translate(cpu, at + rep->length, &pa) != 1 ||
            vmm_load(cpu->vm, pa, 1, &byte) < 0)
            return false;
        rep->length++;
        rep->opcode = (uint8_t)byte;
        if (!is_prefix(rep->opcode, wide))
            return rep->rep && is_string(rep->opcode);
        rep->rep |= byte == 0xf2 || byte == 0xf3;
        rep->other_size |= byte == 0x67;
    }
    return false;
}

/* Nearly always RCX or DX answers this, and the instruction need not be read.
 * With RCX at 0 it would do nothing, so that to pass it is safe even if it is
 * the next one. */
unsigned kvm_x86_string_done(struct kvm_x86 *x, const struct kvm_regs *regs)
{
    const struct kvm_run *run = x->vcpu.run;
    const struct kvm_segment *cs = &run->s.regs.sregs.cs;
    unsigned bits;
    struct rep rep;

    if ((uint16_t)regs->rcx != 0 ||
        (run->exit_reason == KVM_EXIT_IO &&
         run->io.port != (uint16_t)regs->rdx) ||
        kvm_x86_fetch(x, KVM_SYNC_X86_SREGS) < 0 ||
        !decode(x->cpu, regs->rip + (cs->l ? 0 : cs->base), cs->l, &rep))
        return 0;
    if (cs->l)
        bits = rep.other_size ? 32 : 64;
    else
        bits = (cs->db != 0) != rep.other_size ? 32 : 16;
    return regs->rcx << (64 - bits) == 0 ? rep.length : 0;
}

/* ---- between elements ---------------------------------------------------- */

/* What adding `by` makes of a register of which the address size is `bits`. */
static uint64_t advance(uint64_t value, uint64_t by, unsigned bits)
{
    uint64_t sum = value + by;

    if (bits == 16)
        return (value & ~UINT64_C(0xffff)) | (sum & 0xffff);
    return bits == 32 ? (uint32_t)sum : sum;
}

/* KVM asks for several elements of a REP INS at once, and stores them at once.
 * The address size shows in what that did to RCX and RDI. */
void kvm_x86_string_between(struct kvm_x86 *x, const struct kvm_regs *before,
                            const struct kvm_regs *after)
{
    uint64_t n = x->count, bytes = n * x->vcpu.run->io.size;

    x->before = *before;
    x->bits = 64;
    while (x->bits > 16 && (advance(before->rcx, -n, x->bits) != after->rcx ||
                            advance(before->rdi, bytes, x->bits) != after->rdi))
        x->bits /= 2;
}

uint64_t kvm_x86_ahead(const struct kvm_x86 *x, unsigned nr)
{
    struct kvm_regs regs = x->before;
    uint64_t done = x->element + 1;

    if (!kvm_x86_more(x) || x->written & 1u << nr)
        regs = x->ahead;
    else if (nr == VMM_RCX)
        regs.rcx = advance(regs.rcx, -done, x->bits);
    else if (nr == VMM_RDI)
        regs.rdi = advance(regs.rdi, done * x->vcpu.run->io.size, x->bits);
    return *kvm_x86_general(&regs, nr);
}
#endif
