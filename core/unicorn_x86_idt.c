/* SPDX-License-Identifier: MIT */
/* unicorn_x86_idt.c - events of the unicorn backend for x86_64: exceptions and
 * interrupts go through the guest's own IDT (in real mode, its vector table) as
 * in hardware, with stack switch, error code, double and triple fault. Also the
 * two system call instructions, which the engine steps over. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "unicorn_x86.h"

enum { DF = 8, TS = 10, NP = 11, SS = 12, GP = 13, PF = 14 };

static const char *name_of(unsigned vector, char *buffer, size_t size)
{
    static const char *const names[] = {
        "#DE", "#DB", "nmi", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", NULL,
        "#TS", "#NP", "#SS", "#GP", "#PF", NULL,  "#MF", "#AC", "#MC", "#XM",
    };

    if (vector < sizeof names / sizeof names[0] && names[vector])
        return names[vector];
    snprintf(buffer, size, "interrupt 0x%x", vector);
    return buffer;
}

/* ---- one delivery -------------------------------------------------------- */

struct delivery {
    struct x86_cpu *x;
    const struct x86_fault *event;
    struct x86_fault *fault; /* what went wrong */
    struct vmm_segment cs, ss, old_cs, old_ss;
    uint64_t rip, rsp, flags;
    unsigned cpl;  /* the handler's */
    unsigned word; /* bytes of a stack slot */
    bool trap, inner, long_mode;
    uint64_t slot[11]; /* the frame, in the order of pushing */
    unsigned slots;
};

static int wrong(struct delivery *d, unsigned vector, uint32_t code)
{
    *d->fault = (struct x86_fault){
        .vector = (uint8_t)vector,
        .has_code = true,
        .code = code | (d->event->soft && vector != DF ? 0 : 1)};
    return 1;
}

static int peek_at(struct delivery *d, uint64_t va, void *to, unsigned n)
{
    return x86_read(d->x, d->x->now, va, to, n, d->fault);
}

static uint64_t base(const struct delivery *d, size_t table)
{
    return x86_u64(d->x->now, table + 8);
}

static uint32_t limit(const struct delivery *d, size_t table)
{
    return x86_u32(d->x->now, table + 16);
}

static void push(struct delivery *d, uint64_t value)
{
    d->slot[d->slots++] = value;
}

/* The frame, written at once below the stack pointer. */
static int write_frame(struct delivery *d)
{
    uint8_t bytes[sizeof d->slot];
    unsigned size = d->slots * d->word;
    uint64_t mask = d->long_mode ? UINT64_MAX
                    : d->ss.db   ? UINT32_MAX
                                 : UINT16_MAX;
    uint64_t rsp = (d->rsp - size) & mask;
    uint64_t va = d->long_mode ? rsp : (d->ss.base + rsp) & UINT32_MAX;
    int rc;

    for (unsigned i = 0; i < d->slots; i++)
        memcpy(bytes + size - (i + 1) * d->word, &d->slot[i], d->word);
    if (!d->long_mode && !(d->ss.s && d->ss.type & 4) &&
        (rsp + size - 1 > d->ss.limit || rsp + size - 1 < rsp))
        return wrong(d, SS, d->inner ? d->ss.selector & 0xfffcu : 0);
    rc = x86_write(d->x, d->x->now, va, bytes, size, d->fault);
    if (rc == 0)
        d->rsp = (d->rsp & ~mask) | rsp;
    return rc;
}

static uint64_t old_flags(const struct delivery *d)
{
    const struct x86_fault *e = d->event;
    bool resumes = !e->soft && !e->external && e->vector != 1 &&
                   e->vector != 3 && e->vector != 4 && e->vector != DF;

    return resumes ? d->flags | X86_FLAG_RF : d->flags;
}

static int real_mode(struct delivery *d)
{
    uint16_t entry[2];
    uint64_t at = 4u * d->event->vector;
    int rc;

    if (at + 3 > limit(d, d->x->at.idt))
        return wrong(d, GP, 8u * d->event->vector + 2);
    rc = peek_at(d, base(d, d->x->at.idt) + at, entry, 4);
    if (rc != 0)
        return rc;
    d->word = 2;
    push(d, d->flags);
    push(d, d->old_cs.selector);
    push(d, d->rip);
    rc = write_frame(d);
    if (rc != 0)
        return rc;
    d->cs.selector = entry[1];
    d->cs.base = (uint64_t)entry[1] << 4;
    d->rip = entry[0];
    d->flags &=
        ~(uint64_t)(X86_FLAG_IF | X86_FLAG_TF | X86_FLAG_AC | X86_FLAG_RF);
    return 0;
}

/* A descriptor of the GDT or LDT; marked as accessed where it is one of code or
 * data. `vector` is for a selector beyond the table, or null. */
static int descriptor(struct delivery *d, uint16_t selector, unsigned vector,
                      struct vmm_segment *s)
{
    size_t table = selector & 4 ? d->x->at.ldt : d->x->at.gdt;
    uint64_t at = base(d, table) + (selector & 0xfff8u), e;
    uint32_t size;
    int rc;

    if (selector < 4)
        return wrong(d, vector, 0);
    if ((selector & 0xfff8u) + 7u > limit(d, table))
        return wrong(d, vector, selector & 0xfffcu);
    rc = peek_at(d, at, &e, 8);
    if (rc != 0)
        return rc;
    size = (uint32_t)((e & 0xffff) | (e >> 32 & 0xf0000));
    *s = (struct vmm_segment){
        .base = (e >> 16 & 0xffffff) | (e >> 32 & 0xff000000),
        .limit = e >> 55 & 1 ? size << 12 | 0xfff : size,
        .selector = selector,
        .type = e >> 40 & 15,
        .s = e >> 44 & 1,
        .dpl = e >> 45 & 3,
        .present = e >> 47 & 1,
        .avl = e >> 52 & 1,
        .l = e >> 53 & 1,
        .db = e >> 54 & 1,
        .g = e >> 55 & 1,
    };
    if (s->s && s->present && !(s->type & 1)) {
        uint8_t accessed = (uint8_t)(e >> 40) | 1;

        s->type |= 1;
        return x86_write(d->x, d->x->now, at + 5, &accessed, 1, d->fault);
    }
    return 0;
}

static int task_state(struct delivery *d, unsigned at, void *to, unsigned n)
{
    struct vmm_segment tr;

    x86_segment(d->x, VMM_TR, &tr);
    if (at + n - 1 > tr.limit)
        return wrong(d, TS, tr.selector & 0xfffcu);
    return peek_at(d, tr.base + at, to, n);
}

/* The stack of an inner ring, which the task state names. */
static int inner_stack(struct delivery *d)
{
    struct vmm_segment tr;
    uint32_t esp = 0;
    uint16_t selector;
    int rc;

    x86_segment(d->x, VMM_TR, &tr);
    if (tr.type & 8) { /* 32 bits */
        rc = task_state(d, 4 + 8 * d->cpl, &esp, 4);
        if (rc == 0)
            rc = task_state(d, 8 + 8 * d->cpl, &selector, 2);
    } else {
        rc = task_state(d, 2 + 4 * d->cpl, &esp, 2);
        if (rc == 0)
            rc = task_state(d, 4 + 4 * d->cpl, &selector, 2);
    }
    if (rc == 0)
        rc = descriptor(d, selector, TS, &d->ss);
    if (rc != 0)
        return rc;
    if ((selector & 3) != d->cpl || d->ss.dpl != d->cpl || !d->ss.s ||
        (d->ss.type & 10) != 2)
        return wrong(d, TS, selector & 0xfffcu);
    if (!d->ss.present)
        return wrong(d, SS, selector & 0xfffcu);
    d->rsp = esp;
    return 0;
}

static int long_stack(struct delivery *d, unsigned ist)
{
    int rc = 0;

    if (ist != 0)
        rc = task_state(d, 36 + 8 * (ist - 1), &d->rsp, 8);
    else if (d->inner)
        rc = task_state(d, 4 + 8 * d->cpl, &d->rsp, 8);
    if (rc != 0)
        return rc;
    if (d->inner)
        d->ss = (struct vmm_segment){.selector = (uint16_t)d->cpl,
                                     .dpl = (uint8_t)d->cpl};
    d->rsp &= ~UINT64_C(15);
    return 0;
}

/* What the handler finds on its stack, but for the error code. */
static int switch_stack(struct delivery *d, unsigned ist)
{
    static const unsigned char data[4] = {VMM_GS, VMM_FS, VMM_DS, VMM_ES};
    uint64_t old_rsp = d->rsp;
    int rc = d->long_mode ? long_stack(d, ist) : d->inner ? inner_stack(d) : 0;

    if (rc != 0)
        return rc;
    for (unsigned i = 0; i < 4 && d->flags & X86_FLAG_VM; i++) {
        struct vmm_segment s;

        x86_segment(d->x, data[i], &s);
        push(d, s.selector);
    }
    if (d->long_mode || d->inner) {
        push(d, d->old_ss.selector);
        push(d, old_rsp);
    }
    push(d, old_flags(d));
    push(d, d->old_cs.selector);
    push(d, d->rip);
    return 0;
}

/* The gate's code segment decides the handler's privilege. */
static int handler(struct delivery *d, uint16_t selector, unsigned cpl)
{
    bool vm = d->flags & X86_FLAG_VM;
    int rc = descriptor(d, selector, GP, &d->cs);

    if (rc != 0)
        return rc;
    if (!d->cs.s || !(d->cs.type & 8) || d->cs.dpl > cpl ||
        (d->long_mode && (!d->cs.l || d->cs.db)))
        return wrong(d, GP, selector & 0xfffcu);
    if (!d->cs.present)
        return wrong(d, NP, selector & 0xfffcu);
    d->cpl = d->cs.type & 4 ? cpl : d->cs.dpl;
    d->inner = d->cpl < cpl;
    if (vm && d->cpl != 0)
        return wrong(d, GP, selector & 0xfffcu);
    d->cs.selector = (uint16_t)((selector & 0xfffcu) | d->cpl);
    return 0;
}

/* 0 to 3: by the saved word that the engine goes by. */
static unsigned privilege(const struct delivery *d)
{
    return x86_u32(d->x->now, d->x->at.hflags) & X86_HF_CPL;
}

static int gate(struct delivery *d, uint64_t low, uint64_t high)
{
    const struct x86_fault *e = d->event;
    uint32_t code = 8u * e->vector + 2;
    unsigned type = low >> 40 & 31, cpl = privilege(d);
    uint64_t offset = (low & 0xffff) | (low >> 32 & 0xffff0000) | high << 32;
    int rc;

    if (!(type == 14 || type == 15 ||
          (!d->long_mode && (type == 6 || type == 7 || type == 5))))
        return wrong(d, GP, code);
    if (e->soft && (low >> 45 & 3) < cpl)
        return wrong(d, GP, code);
    if (!(low >> 47 & 1))
        return wrong(d, NP, code);
    if (type == 5)
        return -2;
    d->trap = type & 1;
    d->word = d->long_mode ? 8 : type & 8 ? 4 : 2;
    rc = handler(d, (uint16_t)(low >> 16), cpl);
    if (rc == 0)
        rc = switch_stack(d, d->long_mode ? low >> 32 & 7 : 0);
    if (rc != 0)
        return rc;
    if (e->has_code)
        push(d, e->code);
    rc = write_frame(d);
    d->rip = d->word == 2 ? offset & 0xffff : offset;
    return rc;
}

static int protected_mode(struct delivery *d)
{
    unsigned size = d->long_mode ? 16 : 8;
    uint64_t at = (uint64_t)size * d->event->vector, entry[2] = {0, 0};
    uint64_t clear = X86_FLAG_TF | X86_FLAG_NT | X86_FLAG_RF | X86_FLAG_VM;
    int rc;

    if (at + size - 1 > limit(d, d->x->at.idt))
        return wrong(d, GP, 8u * d->event->vector + 2);
    rc = peek_at(d, base(d, d->x->at.idt) + at, entry, size);
    if (rc == 0)
        rc = gate(d, entry[0], entry[1]);
    if (rc != 0)
        return rc;
    if (d->flags & X86_FLAG_VM) {
        static const struct vmm_segment null = {0};

        for (unsigned i = VMM_DS; i <= VMM_GS; i++)
            x86_set_segment(d->x, i, &null);
        x86_set_segment(d->x, VMM_ES, &null);
    }
    d->flags &= ~(d->trap ? clear : clear | X86_FLAG_IF);
    return 0;
}

/* 0: the guest is at the handler; 1: *fault came up; negative: no memory, or
 * -2, a task gate. */
static int deliver(struct x86_cpu *x, const struct x86_fault *event,
                   struct x86_fault *fault)
{
    struct delivery d = {.x = x, .event = event, .fault = fault};
    uint64_t rsp = x->at.regs + 8 * VMM_RSP;
    int rc;

    x86_load(x);
    x86_segment(x, VMM_CS, &d.old_cs);
    x86_segment(x, VMM_SS, &d.old_ss);
    d.cs = d.old_cs;
    d.ss = d.old_ss;
    d.rip = x86_rip(x);
    d.rsp = x86_u64(x->now, rsp);
    d.flags = x86_flags(x);
    d.long_mode = x86_u64(x->now, x->at.efer) & X86_EFER_LMA;
    if (event->vector == PF && !event->soft && !event->external) {
        x86_put64(x->now, x->at.cr + 16, event->va);
        x->dirty = true;
    }
    rc = x86_u64(x->now, x->at.cr) & X86_CR0_PE ? protected_mode(&d)
                                                : real_mode(&d);
    if (rc != 0)
        return rc;
    x86_set_segment(x, VMM_CS, &d.cs);
    x86_set_segment(x, VMM_SS, &d.ss);
    x86_put64(x->now, rsp, d.rsp);
    x86_set_rip(x, d.rip);
    x86_set_flags(x, d.flags);
    x86_put32(x->now, x->at.hflags,
              x86_u32(x->now, x->at.hflags) & ~(uint32_t)X86_HF_INHIBIT);
    x86_derive(x);
    return 0;
}

/* ---- faults upon faults -------------------------------------------------- */

static bool contributory(const struct x86_fault *f)
{
    return !f->soft && !f->external &&
           (f->vector == 0 || (f->vector >= TS && f->vector <= GP));
}

static bool page_fault(const struct x86_fault *f)
{
    return !f->soft && !f->external && f->vector == PF;
}

static int shutdown(struct x86_cpu *x, const struct x86_fault *first,
                    struct vmm_exit *exit)
{
    bool real = !(x86_u64(x->now, x->at.cr) & X86_CR0_PE);
    char buffer[32];

    exit->kind = VMM_SHUTDOWN;
    exit->vector = first->vector;
    exit->code = first->code;
    exit->va = first->va;
    snprintf(exit->why, sizeof exit->why,
             "triple fault: %s at rip 0x%" PRIx64 " and no usable %s",
             name_of(first->vector, buffer, sizeof buffer), x86_rip(x),
             real ? "interrupt vector" : "IDT entry");
    return 1;
}

static int impossible(struct x86_cpu *x, const struct x86_fault *event, int rc,
                      struct vmm_exit *exit)
{
    char buffer[32];

    exit->kind = VMM_ERROR;
    exit->vector = event->vector;
    snprintf(exit->why, sizeof exit->why,
             "unicorn: %s at rip 0x%" PRIx64 ": %s",
             name_of(event->vector, buffer, sizeof buffer), x86_rip(x),
             rc == -2 ? "task gates are not emulated"
                      : "its tables or its stack are not in memory");
    return 1;
}

/* INT3 and INTO are one byte, but there is CD 03 too. */
void x86_before_int(struct x86_cpu *x, unsigned vector)
{
    uint8_t last = 0;
    bool one;

    x86_fetch(x, x86_linear_rip(x) - 1, &last, 1);
    one = (vector == 3 && last == 0xcc) || (vector == 4 && last == 0xce);
    x86_set_rip(x, x86_rip(x) - (one ? 1 : 2));
}

int x86_deliver(struct x86_cpu *x, const struct x86_fault *event,
                struct vmm_exit *exit)
{
    const struct x86_fault first = *event;
    struct x86_fault now = first, next;

    for (;;) {
        int rc = deliver(x, &now, &next);

        if (rc == 0)
            return 0;
        if (rc < 0)
            return impossible(x, &now, rc, exit);
        if (now.soft)
            x86_before_int(x, now.vector);
        if (now.vector == DF && !now.soft && !now.external)
            return shutdown(x, &first, exit);
        if ((contributory(&now) && contributory(&next)) ||
            (page_fault(&now) && (contributory(&next) || page_fault(&next))))
            next = (struct x86_fault){.vector = DF, .has_code = true};
        now = next;
    }
}

/* ---- ports --------------------------------------------------------------- */

bool x86_all_ports(const struct x86_cpu *x, const uc_context *c)
{
    uint64_t flags = x86_u64(c, x->at.flags);

    return !(x86_u64(c, x->at.cr) & X86_CR0_PE) ||
           (!(flags & X86_FLAG_VM) && (x86_u32(c, x->at.hflags) & X86_HF_CPL) <=
                                          (flags & X86_FLAG_IOPL) >> 12);
}

bool x86_port_allowed(struct x86_cpu *x, uint16_t port, unsigned size)
{
    const uc_context *c = x->peek;
    uint64_t tr;
    uint32_t limit_of_tr;
    uint16_t map, bits;
    struct x86_fault fault;

    x->u->context_save(x->uc, x->peek);
    if (x86_all_ports(x, c))
        return true;
    tr = x86_u64(c, x->at.tr + 8);
    limit_of_tr = x86_u32(c, x->at.tr + 16);
    if (!(x86_u32(c, x->at.tr + 20) & 1 << 11) || limit_of_tr < 0x67 ||
        x86_read(x, c, tr + 0x66, &map, 2, &fault) != 0 ||
        map + port / 8u + 1 > limit_of_tr ||
        x86_read(x, c, tr + map + port / 8u, &bits, 2, &fault) != 0)
        return false;
    return !(bits >> port % 8 & ((1u << size) - 1));
}

/* ---- system calls -------------------------------------------------------- */

static uint64_t msr(struct x86_cpu *x, uint32_t nr)
{
    union vmm_value v = {0};

    x86_get(x->cpu, VMM_REG(VMM_MSR, nr), &v);
    return v.u64;
}

static void flat(struct x86_cpu *x, unsigned nr, uint16_t selector, bool wide)
{
    struct vmm_segment s = {.limit = UINT32_MAX,
                            .selector = selector,
                            .type = nr == VMM_CS ? 11 : 3,
                            .s = 1,
                            .present = 1,
                            .l = nr == VMM_CS && wide,
                            .db = nr != VMM_CS || !wide,
                            .g = 1};

    x86_set_segment(x, nr, &s);
}

/* Back to the instruction, two bytes long, and #UD or #GP. */
static int refuse(struct x86_cpu *x, unsigned vector, struct vmm_exit *exit)
{
    struct x86_fault f = {.vector = (uint8_t)vector, .has_code = vector == GP};

    x86_set_rip(x, x86_rip(x) - 2);
    return x86_deliver(x, &f, exit);
}

int x86_syscall(struct x86_cpu *x, struct vmm_exit *exit)
{
    uint64_t star = msr(x, 0xc0000081), lstar = msr(x, 0xc0000082);
    uint64_t cstar = msr(x, 0xc0000083), mask = msr(x, 0xc0000084), efer;
    uint16_t selector = (uint16_t)(star >> 32 & 0xfffc);
    struct vmm_segment cs;
    bool lma;

    x86_load(x);
    efer = x86_u64(x->now, x->at.efer);
    lma = efer & X86_EFER_LMA;
    if (!(efer & X86_EFER_SCE))
        return refuse(x, 6, exit);
    x86_segment(x, VMM_CS, &cs);
    x86_put64(x->now, x->at.regs + 8 * VMM_RCX, x86_rip(x));
    if (lma) {
        x86_put64(x->now, x->at.regs + 8 * VMM_R11, x86_flags(x));
        x86_set_flags(x, x86_flags(x) & ~(mask | X86_FLAG_RF));
        x86_set_rip(x, cs.l ? lstar : cstar);
    } else {
        x86_set_flags(x, x86_flags(x) & ~(uint64_t)(X86_FLAG_IF | X86_FLAG_RF |
                                                    X86_FLAG_VM));
        x86_set_rip(x, star & UINT32_MAX);
    }
    flat(x, VMM_CS, selector, lma);
    flat(x, VMM_SS, (uint16_t)(selector + 8), false);
    x86_derive(x);
    return 0;
}

int x86_sysenter(struct x86_cpu *x, struct vmm_exit *exit)
{
    uint64_t cs = msr(x, 0x174), rsp = msr(x, 0x175), rip = msr(x, 0x176);
    bool lma;

    x86_load(x);
    lma = x86_u64(x->now, x->at.efer) & X86_EFER_LMA;
    if ((cs & 0xfffc) == 0)
        return refuse(x, GP, exit);
    x86_set_flags(x, x86_flags(x) & ~(uint64_t)(X86_FLAG_IF | X86_FLAG_VM));
    flat(x, VMM_CS, cs & 0xfffc, lma);
    flat(x, VMM_SS, (uint16_t)((cs & 0xfffc) + 8), false);
    x86_put64(x->now, x->at.regs + 8 * VMM_RSP, lma ? rsp : (uint32_t)rsp);
    x86_set_rip(x, lma ? rip : (uint32_t)rip);
    x86_derive(x);
    return 0;
}
