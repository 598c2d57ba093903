/* SPDX-License-Identifier: MIT */
/* unicorn_x86_dr.c - MOV to a debug register, done here. Up to 2.1.1 the engine
 * throws all its code away when a guest switches a breakpoint on, also the code
 * that it is executing at the moment, and goes on in what is no code any more.
 * So breakpoints of the guest's own are registers without effect. */
#include "unicorn_x86.h"

enum {
    LONGEST = 15, /* bytes of an instruction */
    DR6_ONES = 0xffff0ff0,
    DR7_ONES = 0x400,
    CR4_DE = 1 << 3
};

struct move {
    unsigned size;    /* bytes of the instruction */
    unsigned dr, reg; /* from general register to debug register */
    bool lock;
};

/* The prefixes before an opcode: a REX counts only as the last of them. */
static unsigned prefixes(const uint8_t *bytes, unsigned n, bool wide,
                         struct move *m, uint8_t *rex)
{
    unsigned i = 0;

    for (*rex = 0; i < n && x86_is_prefix(bytes[i]); i++) {
        if ((bytes[i] & 0xf0) == 0x40 && !wide)
            break;
        *rex = (bytes[i] & 0xf0) == 0x40 ? bytes[i] : 0;
        m->lock |= bytes[i] == 0xf0;
    }
    return i;
}

/* Both kinds of operand are registers, whatever ModRM's mode says. */
static bool decode(struct x86_cpu *x, uint64_t at, struct move *m)
{
    uint8_t bytes[LONGEST], rex;
    unsigned n = x86_fetch(x, at, bytes, sizeof bytes), i;

    *m = (struct move){0};
    x->u->context_save(x->uc, x->peek);
    i = prefixes(bytes, n, x86_u32(x->peek, x->at.hflags) & X86_HF_CS64, m,
                 &rex);
    if (i + 2 >= n || bytes[i] != 0x0f || bytes[i + 1] != 0x23)
        return false;
    m->size = i + 3;
    m->dr = (bytes[i + 2] >> 3 & 7) | (rex & 4) << 1;
    m->reg = (bytes[i + 2] & 7) | (rex & 1u) << 3;
    return true;
}

bool x86_is_move_to_dr(struct x86_cpu *x, uint64_t at)
{
    struct move m;

    return decode(x, at, &m);
}

static int refuse(struct x86_cpu *x, uint8_t vector)
{
    x->fault = (struct x86_fault){.vector = vector, .has_code = vector == 13};
    return 1;
}

int x86_move_to_dr(struct x86_cpu *x)
{
    struct move m;
    union vmm_value value;
    bool wide;

    if (!decode(x, x86_linear_rip(x), &m))
        return 0; /* changed meanwhile: it is looked at again */
    x86_load(x);
    wide = x86_u32(x->now, x->at.hflags) & X86_HF_CS64;
    if (m.lock || m.dr > 7)
        return refuse(x, 6);
    if (m.dr == 4 || m.dr == 5) {
        if (x86_u64(x->now, x->at.cr + 4 * sizeof(uint64_t)) & CR4_DE)
            return refuse(x, 6);
        m.dr += 2;
    }
    if (x86_u32(x->now, x->at.hflags) & X86_HF_CPL)
        return refuse(x, 13);
    x86_get(x->cpu, VMM_REG(VMM_GENERAL, m.reg), &value);
    if (!wide)
        value.u64 = (uint32_t)value.u64;
    if (m.dr >= 6 && value.u64 >> 32)
        return refuse(x, 13);
    if (m.dr >= 6)
        value.u64 |= m.dr == 6 ? DR6_ONES : DR7_ONES;
    x86_set(x->cpu, VMM_REG(VMM_CONTROL, VMM_DR0 + m.dr), &value);
    x86_set_rip(x, x86_rip(x) + m.size);
    return 0;
}
