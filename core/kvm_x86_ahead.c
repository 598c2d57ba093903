/* SPDX-License-Identifier: MIT */
/* kvm_x86_ahead.c - what registers will be behind a read that has no answer
 * yet.
 *
 * KVM can only tell by doing it: all ones are answered, so that the
 * instruction runs to its end; then the vCPU is put back before it and brought
 * to the same exit a second time, which now can have its true answer. With the
 * registers in struct kvm_run this takes two entries and no other system call.
 * */
#include "backend.h"

#if defined(__linux__) && defined(__x86_64__)
#include <errno.h>
#include <string.h>

#include "kvm_x86.h"

enum {
    ALL = KVM_SYNC_X86_VALID_FIELDS,
    PIECES = 8,    /* of one access, that KVM asks for one by one */
    REMAINS = 160, /* of an instruction: it stores 1 KiB of a REP INS at once */
    TRIES = 16,    /* entries until the same exit is there again, and */
    TIME = 1000000000 /* nanoseconds */
};

struct scene { /* all that a load can change, and the exit it made */
    struct kvm_sync_regs regs;
    struct kvm_run exit; /* as far as padding */
    size_t size;         /* of the port's data, for all elements */
    uint8_t data[4096];
};

static struct kvm_sync_regs *now(const struct kvm_x86 *x)
{
    return &x->vcpu.run->s.regs;
}

static int fetch_all(struct kvm_x86 *x)
{
    int rc = kvm_x86_fetch(x, KVM_SYNC_X86_REGS);

    if (rc == 0)
        rc = kvm_x86_fetch(x, KVM_SYNC_X86_SREGS);
    return rc < 0 ? rc : kvm_x86_fetch(x, KVM_SYNC_X86_EVENTS);
}

static int fail(const struct kvm_x86 *x, int error)
{
    return kvm_fail(x->vcpu.machine, "look behind a read", error);
}

/* Enter once, with the registers of class `dirty` that now() holds, and bring
 * all of them back. An enum kvm_entered, or vmm_fail(). */
static int go(struct kvm_x86 *x, unsigned dirty, bool complete)
{
    int rc;

    x->dirty = dirty;
    rc = kvm_x86_before_entry(x, ALL);
    if (x->machine->sync)
        x->vcpu.run->kvm_valid_regs = ALL;
    if (rc == 0)
        rc = kvm_enter_once(&x->vcpu, complete);
    if (rc < 0)
        return fail(x, -rc);
    kvm_x86_after_entry(x, ALL);
    return fetch_all(x) < 0 ? VMM_EHOST : rc;
}

static void *port_data(const struct kvm_run *run)
{
    return (char *)run + run->io.data_offset;
}

static int remember(struct kvm_x86 *x, struct scene *s)
{
    const struct kvm_run *run = x->vcpu.run;

    s->regs = *now(x);
    s->exit.exit_reason = run->exit_reason;
    memcpy(s->exit.padding, run->padding, sizeof run->padding);
    s->size = 0;
    if (run->exit_reason == KVM_EXIT_IO) {
        s->size = (size_t)run->io.size * run->io.count;
        if (s->size > sizeof s->data)
            return fail(x, EPROTO);
        memcpy(s->data, port_data(run), s->size);
    }
    return 0;
}

static void all_ones(struct kvm_x86 *x)
{
    struct kvm_run *run = x->vcpu.run;

    if (run->exit_reason == KVM_EXIT_IO)
        memset(port_data(run), 0xff, (size_t)run->io.size * run->io.count);
    else if (run->exit_reason == KVM_EXIT_MMIO)
        memset(run->mmio.data, 0xff, sizeof run->mmio.data);
    else
        run->msr.data = UINT64_MAX;
}

/* While no register moves and more is read, that is another piece of the same
 * access. A REP MOVS would not end with its element, but with RCX at 1 it does:
 * its next read must not come, as KVM keeps the answer to a read that was begun
 * and takes it for the next one, wherever that is. */
static int go_ahead(struct kvm_x86 *x, const struct scene *s,
                    struct kvm_regs *after)
{
    const struct kvm_run *run = x->vcpu.run;
    bool mmio = run->exit_reason == KVM_EXIT_MMIO;
    unsigned dirty = mmio ? KVM_SYNC_X86_REGS : 0;
    struct kvm_regs from = s->regs.regs;
    int rc, left = PIECES;

    if (mmio)
        now(x)->regs.rcx = from.rcx = 1;
    do {
        all_ones(x);
        rc = go(x, dirty, true);
        dirty = 0;
    } while (rc == KVM_LEFT && --left && run->exit_reason == KVM_EXIT_MMIO &&
             !run->mmio.is_write &&
             memcmp(&now(x)->regs, &from, sizeof from) == 0);
    *after = now(x)->regs;
    if (mmio && after->rcx <= 1)
        after->rcx = s->regs.regs.rcx - !after->rcx;
    return rc;
}

/* Drop what else the instruction does: the store of a read-modify-write, those of
 * what a REP INS has read. With RCX at 1 that goes round only once more. */
static int drop_remains(struct kvm_x86 *x, int rc)
{
    for (int i = 0; rc == KVM_LEFT && i < REMAINS; i++) {
        now(x)->regs.rcx = 1;
        rc = go(x, KVM_SYNC_X86_REGS, true);
    }
    return rc == KVM_LEFT ? fail(x, ELOOP) : rc;
}

static bool same_exit(const struct kvm_run *run, const struct kvm_run *old)
{
    if (run->exit_reason != old->exit_reason)
        return false;
    switch (run->exit_reason) {
    case KVM_EXIT_IO:
        return memcmp(&run->io, &old->io, sizeof run->io) == 0;
    case KVM_EXIT_MMIO:
        return run->mmio.phys_addr == old->mmio.phys_addr &&
               run->mmio.len == old->mmio.len && !run->mmio.is_write;
    default:
        return run->msr.index == old->msr.index;
    }
}

/* An earlier piece of the same access, which has been answered already. */
static bool answer_again(struct kvm_x86 *x)
{
    struct kvm_run *run = x->vcpu.run;

    if (run->exit_reason != KVM_EXIT_MMIO || run->mmio.is_write)
        return false;
    for (unsigned i = 1; i <= KVM_X86_TRAIL && i <= x->answers; i++) {
        const struct kvm_x86_answer *a =
            &x->trail[(x->answers - i) % KVM_X86_TRAIL];

        if (a->addr == run->mmio.phys_addr && a->len == run->mmio.len) {
            memcpy(run->mmio.data, &a->value, sizeof a->value);
            return true;
        }
    }
    return false;
}

static int reach(struct kvm_x86 *x, const struct scene *s)
{
    unsigned dirty = KVM_SYNC_X86_REGS | KVM_SYNC_X86_EVENTS;
    int rc = KVM_INTERRUPTED;

    if (memcmp(&now(x)->sregs, &s->regs.sregs, sizeof s->regs.sregs) != 0)
        dirty |= KVM_SYNC_X86_SREGS;
    *now(x) = s->regs;
    for (int i = 0; i < TRIES; i++, dirty = 0) {
        rc = go(x, dirty, false);
        if (rc < 0)
            return rc;
        if (rc == KVM_INTERRUPTED && !kvm_time_is_up(&x->vcpu))
            continue;
        if (rc == KVM_INTERRUPTED)
            break;
        if (same_exit(x->vcpu.run, &s->exit)) {
            if (s->size)
                memcpy(port_data(x->vcpu.run), s->data, s->size);
            return 1;
        }
        if (!answer_again(x))
            break;
    }
    x->ready = rc == KVM_LEFT;
    return 0;
}

/* Execute the instruction once more. 1: its exit is there again. 0: it is not,
 * for the handler or another vCPU has changed the code or the tables: then the
 * guest asks for what it wants by itself, and the answer to the first read is
 * nobody's. What stands there now need not end. */
static int again(struct kvm_x86 *x, const struct scene *s)
{
    int rc = kvm_time_start(&x->vcpu, TIME);

    if (rc < 0)
        return fail(x, -rc);
    rc = reach(x, s);
    kvm_time_stop(&x->vcpu);
    return rc;
}

static int look(struct kvm_x86 *x, struct scene *s, struct kvm_regs *after)
{
    int rc = fetch_all(x);

    if (rc >= 0)
        rc = remember(x, s);
    if (rc >= 0)
        rc = go_ahead(x, s, after);
    if (rc >= 0)
        rc = drop_remains(x, rc);
    return rc < 0 ? rc : again(x, s);
}

static void found(struct kvm_x86 *x, const struct kvm_regs *before,
                  struct kvm_regs *after)
{
    if (after->rip == before->rip)
        after->rip += kvm_x86_string_done(x, after);
    kvm_x86_string_between(x, before, after);
    for (unsigned nr = 0; nr <= VMM_RFLAGS; nr++)
        if (!(x->written & 1u << nr))
            *kvm_x86_general(&x->ahead, nr) = *kvm_x86_general(after, nr);
    x->looked = true;
}

/* This is done when a register is asked for, not when the answer has come: what
 * a handler does to memory cannot get between the two executions then. What it
 * has written to system registers stays out of both. */
int kvm_x86_look_ahead(struct kvm_x86 *x)
{
    unsigned system = x->dirty & KVM_SYNC_X86_SREGS;
    struct kvm_sregs held;
    uint32_t written = x->written;
    struct kvm_regs after;
    struct scene s;
    int rc;

    if (x->looked)
        return 0;
    held = now(x)->sregs;
    x->have &= ~system;
    x->vcpu.run->request_interrupt_window = 0;
    rc = look(x, &s, &after);
    x->written = written;
    if (system)
        now(x)->sregs = held;
    x->dirty = system;
    x->have |= system;
    if (rc > 0) {
        found(x, &s.regs.regs, &after);
        return 0;
    }
    x->pending = KVM_X86_NONE;
    x->count = 0;
    return rc < 0 ? rc : kvm_x86_let_go(x);
}
#endif
