/* SPDX-License-Identifier: MIT */
/* unicorn_x86_trial.c - one instruction by itself, as a transaction.
 *
 * All its data pages lead to windows: device memory of the engine's, so that
 * each access comes to us, with its size. Accesses to RAM are done in RAM, and
 * undone if need be; the others are what the outside gets to see, in order. A
 * read from outside without an answer yet reads all ones, and what the
 * instruction made of that is undone but for its registers. With the answer it
 * is run again from the same state. So every instruction works, whatever it
 * does with memory, and none has to be decoded. */
#include <string.h>

#include "unicorn_x86.h"

/* ---- what the outside sees ----------------------------------------------- */

static struct x86_access *next(struct x86_trial *t)
{
    static struct x86_access *const none = NULL;

    if (t->accesses == X86_ACCESSES) {
        t->overflow = true;
        return none;
    }
    return &t->access[t->accesses++];
}

static uint64_t outside_read(struct x86_trial *t, enum vmm_kind kind,
                             uint64_t addr, unsigned size)
{
    struct x86_access *a;

    if (t->unanswered || t->tripped)
        return UINT64_MAX;
    a = next(t);
    if (!a)
        return UINT64_MAX;
    *a = (struct x86_access){.kind = kind, .size = (uint8_t)size, .addr = addr};
    if (t->reads < t->answers)
        return t->answer[t->reads++];
    t->unanswered = true;
    return UINT64_MAX;
}

static void outside_write(struct x86_trial *t, enum vmm_kind kind,
                          uint64_t addr, unsigned size, uint64_t value)
{
    struct x86_access *a;

    if (t->unanswered || t->tripped)
        return;
    a = next(t);
    if (a)
        *a = (struct x86_access){.kind = kind,
                                 .write = true,
                                 .size = (uint8_t)size,
                                 .addr = addr,
                                 .value = value};
}

/* Exits have 1, 2, 4 or 8 bytes: the largest of them in `n`. */
static unsigned piece(unsigned n)
{
    return n >= 8 ? 8 : n >= 4 ? 4 : n >= 2 ? 2 : 1;
}

static void device(struct x86_trial *t, uint64_t pa, uint8_t *bytes, unsigned n,
                   bool write)
{
    while (n > 0) {
        unsigned size = piece(n);
        uint64_t value = 0;

        memcpy(&value, bytes, size);
        if (write) {
            outside_write(t, VMM_MMIO, pa, size, value);
        } else {
            value = outside_read(t, VMM_MMIO, pa, size);
            memcpy(bytes, &value, size);
        }
        bytes += size;
        pa += size;
        n -= size;
    }
}

uint32_t x86_try_in(struct x86_cpu *x, uint32_t port, int size)
{
    struct x86_trial *t = &x->trial;

    if (!x86_port_allowed(x, (uint16_t)port, (unsigned)size) && !t->tripped) {
        t->tripped = true;
        t->fault = (struct x86_fault){.vector = 13, .has_code = true};
    }
    t->accesses = 0; /* INS tries to write before it reads the port */
    return (uint32_t)outside_read(t, VMM_IO, (uint16_t)port, (unsigned)size);
}

void x86_try_out(struct x86_cpu *x, uint32_t port, int size, uint32_t value)
{
    struct x86_trial *t = &x->trial;

    if (!x86_port_allowed(x, (uint16_t)port, (unsigned)size) && !t->tripped) {
        t->tripped = true;
        t->fault = (struct x86_fault){.vector = 13, .has_code = true};
    }
    outside_write(t, VMM_IO, (uint16_t)port, (unsigned)size, value);
}

/* ---- RAM ----------------------------------------------------------------- */

static void remember(struct x86_trial *t, const struct x86_window *w,
                     uint64_t offset, unsigned n)
{
    struct x86_undo *u = &t->undo[t->undos];

    u->host = w->host + offset;
    u->pa = w->pa + offset;
    u->size = n;
    memcpy(u->old, u->host, n);
    t->undos++;
}

static void undo(struct x86_trial *t)
{
    while (t->undos > 0) {
        struct x86_undo *u = &t->undo[--t->undos];

        memcpy(u->host, u->old, u->size);
    }
}

static void ram(struct x86_trial *t, const struct x86_window *w,
                uint64_t offset, uint8_t *bytes, unsigned n, bool write)
{
    if (!write) {
        memcpy(bytes, w->host + offset, n);
    } else if (t->undos == X86_ACCESSES) {
        t->overflow = true;
    } else {
        remember(t, w, offset, n);
        memcpy(w->host + offset, bytes, n);
    }
}

/* ---- accesses to windows ------------------------------------------------- */

static void watch(struct x86_cpu *x, uint64_t va, unsigned n, bool write,
                  uint64_t value)
{
    const struct vmm_debug *d = &x->cpu->debug;
    struct x86_trial *t = &x->trial;

    for (unsigned i = 0; i < d->watches && !t->watched; i++) {
        const struct vmm_watch *w = &d->watch[i];

        if (!(w->access & (write ? VMM_W : VMM_R)) || va + n <= w->va ||
            va >= w->va + w->size)
            continue;
        t->watched = true;
        t->watch.kind = VMM_WATCH;
        t->watch.addr = va;
        t->watch.size = (uint8_t)n;
        t->watch.write = write;
        t->watch.value = value;
    }
}

/* What reads a page and writes it back faults as a write. */
static void written_too(struct x86_trial *t, uint64_t va)
{
    enum { PF = 14, PF_W = 2 };

    if (t->fault.vector == PF && t->fault.va == va)
        t->fault.code |= PF_W;
}

/* `n` bytes, at most 8, inside one window; those of a read go to `bytes`. */
static void touch(struct x86_cpu *x, uint64_t at, uint8_t *bytes, unsigned n,
                  bool write)
{
    struct x86_trial *t = &x->trial;
    struct x86_window *w = &t->window[at / (X86_PAGE + 1)];
    uint64_t offset = at & X86_PAGE, value = 0;

    if (w->faults && !t->tripped) {
        t->tripped = true;
        t->fault = w->fault;
        t->fault.va = w->va + offset;
    }
    if (t->tripped && write)
        written_too(t, w->va + offset);
    if (t->tripped) {
        if (!write)
            memset(bytes, 0xff, n);
        return;
    }
    if (write ? w->writable : w->readable)
        ram(t, w, offset, bytes, n, write);
    else
        device(t, w->pa + offset, bytes, n, write);
    memcpy(&value, bytes, n);
    watch(x, w->va + offset, n, write, value);
}

/* The first sight of an access. The engine does an unaligned one again in
 * parts, which come here one after the other: a read as the two aligned words
 * around it, a write as its bytes. */
static void begin(struct x86_cpu *x, uint64_t at, unsigned size, bool write,
                  uint64_t value)
{
    struct x86_trial *t = &x->trial;
    unsigned room = (unsigned)(X86_PAGE + 1 - (at & X86_PAGE));

    t->part = 0;
    t->parts = at % size == 0 ? 0 : write ? size : 2;
    t->part_write = write;
    t->size = size;
    t->first = size < room ? size : room;
    t->value = value;
    t->at[0] = at;
    t->count[0] = t->first;
    t->count[1] = 0;
    memcpy(t->bytes[0], &value, sizeof value);
    touch(x, at, t->bytes[0], t->first, write);
}

/* The part that begins the second page, counted from the access's first. */
static unsigned second_part(const struct x86_trial *t)
{
    return t->part_write ? t->first : 1;
}

/* An access that the engine makes no part of comes instead of it: then the
 * second page would not begin here. */
static bool is_part(const struct x86_trial *t, uint64_t at)
{
    bool second = t->part == second_part(t) && t->first < t->size;

    return t->part < t->parts && (!second || (at & X86_PAGE) == 0);
}

/* A part: the one that begins the second page is the access's second half. */
static void part(struct x86_cpu *x, uint64_t at)
{
    struct x86_trial *t = &x->trial;
    uint64_t value;

    if (t->part++ != second_part(t) || t->first == t->size)
        return;
    value = t->value >> 8 * t->first;
    memcpy(t->bytes[1], &value, sizeof value);
    t->at[1] = at;
    t->count[1] = t->size - t->first;
    touch(x, at, t->bytes[1], t->count[1], t->part_write);
}

bool x86_on_window(uc_engine *uc, uc_mem_type type, uint64_t pa, int size,
                   int64_t value, void *ctx)
{
    struct x86_cpu *x = ctx;
    struct x86_trial *t = &x->trial;
    uint64_t at = pa - X86_WINDOW;

    (void)uc;
    if (is_part(t, at))
        part(x, at);
    else
        begin(x, at, (unsigned)size, type == UC_MEM_WRITE_PROT,
              (uint64_t)value);
    return true;
}

uint64_t x86_on_window_read(uc_engine *uc, uint64_t offset, unsigned size,
                            void *ctx)
{
    const struct x86_trial *t = &((struct x86_cpu *)ctx)->trial;
    uint64_t value = 0;

    (void)uc;
    for (unsigned i = 0; i < size && i < 8; i++)
        for (unsigned j = 0; j < 2; j++)
            if (offset + i - t->at[j] < t->count[j])
                value |= (uint64_t)t->bytes[j][offset + i - t->at[j]] << 8 * i;
    return value;
}

/* The write has been done when it was announced. */
void x86_on_window_write(uc_engine *uc, uint64_t offset, unsigned size,
                         uint64_t value, void *ctx)
{
    (void)uc;
    (void)offset;
    (void)size;
    (void)value;
    (void)ctx;
}

/* ---- the instruction ----------------------------------------------------- */

/* As if it had not been tried. */
static void back(struct x86_cpu *x)
{
    undo(&x->trial);
    x->trial.accesses = x->trial.reported = 0;
    x->trial.watched = false;
    memcpy(x->now, x->before, x->context_size);
    x->loaded = x->dirty = true;
}

/* A guest that single-steps itself does so behind all that the instruction
 * does, not at its end in the engine. */
static void single_step(struct x86_cpu *x, uint64_t flags)
{
    if (!(flags & X86_FLAG_TF))
        return;
    x86_load(x);
    x86_set_flags(x, x86_flags(x) | X86_FLAG_TF);
    x->single = !x->trial.unanswered;
}

/* Run it once with the answers there are. Results as of x86_try(). */
static int pass(struct x86_cpu *x)
{
    struct x86_trial *t = &x->trial;
    uint64_t flags;
    int rc;

    t->windows = t->accesses = t->undos = t->reads = t->parts = t->part = 0;
    t->unanswered = t->tripped = t->overflow = t->watched = false;
    memset(&t->watch, 0, sizeof t->watch);
    memcpy(x->now, x->before, x->context_size);
    x->loaded = x->dirty = true;
    flags = x86_flags(x);
    if (flags & X86_FLAG_TF)
        x86_set_flags(x, flags & ~(uint64_t)X86_FLAG_TF);
    x86_flush_tlb(x);
    x->one = x->trying = true;
    rc = x86_enter(x);
    x->one = x->trying = false;
    x86_flush_tlb(x);
    if (t->overflow)
        rc = vmm_fail(VMM_EHOST,
                      "unicorn: an instruction makes more than %d accesses to "
                      "memory or touches more than %d pages",
                      X86_ACCESSES, X86_WINDOWS);
    if (rc < 0) {
        back(x);
        return rc;
    }
    if (t->tripped || x->stop != X86_DONE) {
        back(x);
        if (t->tripped)
            x->fault = t->fault;
        return 1;
    }
    if (t->unanswered)
        undo(t);
    for (unsigned i = 0; i < t->undos; i++)
        x86_code_changed(x, t->undo[i].pa, t->undo[i].size);
    single_step(x, flags);
    return 0;
}

int x86_try(struct x86_cpu *x)
{
    struct x86_trial *t = &x->trial;
    int rc;

    x86_load(x);
    memcpy(x->before, x->now, x->context_size);
    t->answers = t->reported = 0;
    t->waiting = false;
    rc = pass(x);
    if (rc == 0 && t->unanswered) {
        x86_load(x);
        memcpy(x->after, x->now, x->context_size);
    }
    return rc;
}

/* Registers that the answer makes no difference to keep what the host has put
 * into them since; the others are its destination. */
static void merge(struct x86_cpu *x)
{
    for (size_t at = x->at.regs; at + 8 <= x->context_size; at += 8) {
        uint64_t now = x86_u64(x->now, at);

        if (now == x86_u64(x->after, at))
            x86_put64(x->now, at, x86_u64(x->kept, at));
        x86_put64(x->after, at, now);
    }
    x->dirty = true;
}

/* Who answers may have changed memory as well, so that the instruction makes
 * fewer accesses now than have been reported. */
static void recount(struct x86_trial *t)
{
    unsigned known = t->accesses - (t->unanswered ? 1 : 0);

    if (t->reported > known)
        t->reported = known;
}

int x86_try_answer(struct x86_cpu *x, uint64_t value)
{
    struct x86_trial *t = &x->trial;
    bool changed = x->dirty || !x->loaded;
    int rc;

    t->waiting = false;
    t->answer[t->answers++] = value;
    x86_load(x);
    memcpy(x->kept, x->now, x->context_size);
    rc = pass(x);
    if (rc != 0) {
        x->faulty = rc > 0;
        return rc < 0 ? rc : 0;
    }
    recount(t);
    if (!changed && !t->unanswered)
        return 0;
    x86_load(x);
    if (changed)
        merge(x);
    else
        memcpy(x->after, x->now, x->context_size);
    return 0;
}

bool x86_next_access(struct x86_cpu *x, struct vmm_exit *exit)
{
    struct x86_trial *t = &x->trial;
    const struct x86_access *a;

    if (t->reported >= t->accesses) {
        if (t->watched) {
            *exit = t->watch;
            t->watched = false;
            return true;
        }
        return false;
    }
    a = &t->access[t->reported++];
    exit->kind = a->kind;
    exit->write = a->write;
    exit->size = a->size;
    if (a->kind == VMM_IO)
        exit->port = (uint16_t)a->addr;
    else
        exit->addr = a->addr;
    if (a->write)
        exit->value = a->size == 8
                          ? a->value
                          : a->value & ((UINT64_C(1) << 8 * a->size) - 1);
    t->waiting = !a->write;
    return true;
}
