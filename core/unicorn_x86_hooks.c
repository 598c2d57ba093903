/* SPDX-License-Identifier: MIT */
/* unicorn_x86_hooks.c - what the engine calls while it runs a guest of the
 * unicorn backend for x86_64, and how it is entered and left.
 *
 * The engine executes blocks of instructions and may be stopped exactly only at
 * the start of one, at a hooked instruction, or where it raises something
 * itself. IN and OUT are none of these, nor is MOV to a debug register: so new
 * blocks are searched for bytes that may be such an instruction, and those
 * addresses are hooked. */
#include "unicorn_x86.h"

/* ---- hooked addresses ---------------------------------------------------- */

static void stop(struct x86_cpu *x, enum x86_stop why)
{
    x->stop = why;
    x->u->emu_stop(x->uc);
}

bool x86_is_prefix(uint8_t b)
{
    return (b & 0xf0) == 0x40 || (b & 0xe7) == 0x26 ||
           (b >= 0x64 && b <= 0x67) || b == 0xf0 || b == 0xf2 || b == 0xf3;
}

enum special { ORDINARY, STRING, FIXED, BY_DX, MOVE_TO_DR };

/* By the opcode at `bytes`, of which `n` are left. */
static enum special special(const uint8_t *bytes, unsigned n)
{
    uint8_t b = bytes[0];

    if (b >= 0x6c && b <= 0x6f)
        return STRING;
    if (b >= 0xe4 && b <= 0xe7)
        return FIXED;
    if (b == 0x0f && n > 1 && bytes[1] == 0x23)
        return MOVE_TO_DR;
    return b >= 0xec && b <= 0xef ? BY_DX : ORDINARY;
}

/* Is it not the engine that executes it? */
static bool is_ours(enum special kind)
{
    return kind == STRING || kind == MOVE_TO_DR;
}

/* Is all of it hooked, by one that is marked `ours` where that is asked for? Sites
 * overlap: an OUT's ends with the instruction behind it. */
static bool is_site(const struct x86_cpu *x, uint64_t first, uint64_t last,
                    bool ours)
{
    for (unsigned i = 0; i < x->nsites; i++)
        if (x->sites[i].first <= first && last <= x->sites[i].last &&
            (x->sites[i].ours || !ours))
            return true;
    return false;
}

static void on_code(uc_engine *uc, uint64_t at, uint32_t size, void *ctx);

/* Hooks slow down what they cover, and each other: past some number, one for
 * everything costs less. */
static int hook_site(struct x86_cpu *x, uint64_t first, uint64_t last,
                     bool ours)
{
    uc_hook hook;
    uc_err err;

    if (x->all)
        return 0;
    x->ours = x->ours || ours;
    if (x->nsites == X86_SITES_MAX) {
        x->all = x->ours = true;
        first = 1;
        last = 0;
        x86_code_flush(x);
    } else {
        x->sites[x->nsites++] = (struct x86_site){first, last, ours};
    }
    err = x->u->hook_add(x->uc, &hook, UC_HOOK_CODE, (void *)on_code, x, first,
                         last);
    return err ? unicorn_fail(x->u, "hook", err) : 0;
}

int x86_hook_address(struct x86_cpu *x, uint64_t at)
{
    int rc;

    if (x->all || is_site(x, at, at, false))
        return 0;
    rc = hook_site(x, at, at, false);
    x86_code_flush(x);
    return rc;
}

/* Look through a block's bytes for such instructions, with the prefixes before
 * them and, of port I/O, the instruction after them: there the engine is to
 * stop. What is found and not hooked yet is hooked, if `hook`, else only told. */
static int search(struct x86_cpu *x, uint64_t pc, const uint8_t *bytes,
                  unsigned n, bool hook)
{
    int found = 0;

    for (unsigned i = 0; i < n; i++) {
        enum special kind = special(&bytes[i], n - i);
        unsigned first = i;
        uint64_t last = pc + i + (kind == FIXED ? 2 : 1);
        int rc;

        if (kind == ORDINARY)
            continue;
        while (first > 0 && x86_is_prefix(bytes[first - 1]))
            first--;
        if (x->all || is_site(x, pc + first, last, is_ours(kind)))
            continue;
        found++;
        rc = hook ? hook_site(x, pc + first, last, is_ours(kind)) : 0;
        if (rc < 0)
            return rc;
    }
    return found;
}

/* The bytes of a block: by its size, they are at most a page's and a bit. */
static unsigned block_bytes(struct x86_cpu *x, uint64_t pc, uint64_t size,
                            uint8_t bytes[X86_BLOCK_BYTES])
{
    return x86_fetch(
        x, pc, bytes,
        (unsigned)(size < X86_BLOCK_BYTES ? size : X86_BLOCK_BYTES));
}

/* How much of the code cache it takes, in instructions: ENTER, which may go
 * through 31 stack frames, counts for many. */
static unsigned cost(const uint8_t *bytes, unsigned n, unsigned instructions)
{
    enum { BLOCK = 2, ENTER = 0xc8, MANY = 16 };

    instructions += BLOCK;
    for (unsigned i = 0; i < n; i++)
        if (bytes[i] == ENTER)
            instructions += MANY;
    return instructions;
}

/* The engine stopped in front of a new block: hook what is in it, and have it
 * translated again, with the hooks. */
int x86_search(struct x86_cpu *x)
{
    uint8_t bytes[X86_BLOCK_BYTES];
    unsigned n;
    int rc;

    if (x->cached >= X86_CACHE_INSTRUCTIONS) {
        x86_code_flush(x);
        return 0;
    }
    n = block_bytes(x, x->new_code, x->new_size, bytes);
    rc = search(x, x->new_code, bytes, n, true);
    x86_forget(x, x->new_code, x->new_size);
    return rc < 0 ? rc : 0;
}

/* Is the instruction at this linear address an INS or OUTS? */
bool x86_is_string_io(struct x86_cpu *x, uint64_t at)
{
    uint8_t bytes[15];
    unsigned n = x86_fetch(x, at, bytes, sizeof bytes), i = 0;

    while (i < n && x86_is_prefix(bytes[i]))
        i++;
    return i < n && special(&bytes[i], n - i) == STRING;
}

/* ---- what the engine calls ----------------------------------------------- */

bool x86_can_interrupt(struct x86_cpu *x)
{
    x->u->context_save(x->uc, x->peek);
    return x86_u64(x->peek, x->at.flags) & X86_FLAG_IF &&
           !(x86_u32(x->peek, x->at.hflags) & X86_HF_INHIBIT);
}

/* A block with `inhibit` is our one instruction; it loses that at its end,
 * except where a REP goes round, which shows in RCX. With neither, the
 * instruction has changed its own code and begins again. */
static void on_one_block(struct x86_cpu *x, uint64_t at)
{
    uint64_t rcx;

    x->u->context_save(x->uc, x->peek);
    rcx = x86_u64(x->peek, x->at.regs + 8 * VMM_RCX);
    x->round = x86_u32(x->peek, x->at.hflags) & X86_HF_INHIBIT;
    if (!x->round || (x->started && rcx != x->rcx)) {
        x->block = at;
        stop(x, X86_DONE);
    }
    x->started = true;
    x->rcx = rcx;
}

/* Most blocks and hooked instructions are passed by the thousand, and with nothing
 * to be done. What there may be to do stays out of the way of that. */
#define APART __attribute__((noinline))

static APART void before_block(struct x86_cpu *x, uint64_t at)
{
    struct vmm_cpu *cpu = x->cpu;

    x->skipped = false;
    if (x->one) {
        on_one_block(x, at);
        return;
    }
    if (cpu->slice != 0 && --cpu->slice == 0)
        x->turn_over = true;
    if (x->turn_over || vmm_poked(cpu) || (x->irq && x86_can_interrupt(x))) {
        x->block = at;
        stop(x, X86_BLOCK);
    }
}

static void on_block(uc_engine *uc, uint64_t at, uint32_t size, void *ctx)
{
    struct x86_cpu *x = ctx;

    (void)uc;
    (void)size;
    if (x->stop == X86_NOTHING &&
        (x->one || x->turn_over || x->irq || x->skipped || x->cpu->slice != 0 ||
         vmm_poked(x->cpu)))
        before_block(x, at);
}

/* Hooks overlap: an instruction that is not to stop at its breakpoint may come here
 * more than once, before the next block begins. */
static bool is_breakpoint(struct x86_cpu *x, uint64_t at)
{
    const struct vmm_debug *d = &x->cpu->debug;
    bool skip = (x->skip || x->skipped) && x->skip_at == at;
    unsigned i = 0;

    x->skip = false;
    x->skipped = skip;
    while (i < d->breaks && d->brk[i] != at)
        i++;
    return i < d->breaks && !skip;
}

static APART void before_instruction(struct x86_cpu *x, uint64_t at)
{
    if (is_breakpoint(x, at)) {
        stop(x, X86_BREAK);
        return;
    }
    if (!x->all && !is_site(x, at, at, true))
        return;
    if (x86_is_string_io(x, at))
        stop(x, X86_TRIAL);
    else if (x86_is_move_to_dr(x, at))
        stop(x, X86_MOVE_TO_DR);
}

static void on_code(uc_engine *uc, uint64_t at, uint32_t size, void *ctx)
{
    struct x86_cpu *x = ctx;

    (void)uc;
    if (x->stop != X86_NOTHING || x->one)
        return;
    x->hooked = true;
    x->site_size = size;
    if (x->skip || x->ours || x->cpu->debug.breaks != 0)
        before_instruction(x, at);
}

/* Code is translated for one privilege level. By the state last looked at: may this
 * block do port I/O that is forbidden? */
static bool is_guarded(const struct x86_cpu *x, const uint8_t *bytes,
                       unsigned n)
{
    if (x86_all_ports(x, x->peek))
        return false;
    for (unsigned i = 0; i < n; i++)
        if (special(&bytes[i], n - i) != ORDINARY)
            return true;
    return false;
}

/* A new block. Stopping here is exact: it has not been entered. */
static void on_edge(uc_engine *uc, uc_tb *block, uc_tb *from, void *ctx)
{
    struct x86_cpu *x = ctx;
    uint8_t bytes[X86_BLOCK_BYTES];
    unsigned n;

    (void)uc;
    (void)from;
    if (x->lookup)
        return;
    n = block_bytes(x, block->pc, block->size, bytes);
    x->cached += cost(bytes, n, block->icount);
    x->guarded = x->guarded || is_guarded(x, bytes, n);
    x86_code_seen(x, block->pc, block->size);
    if (x->one && !x->started)
        return;
    x->new_code = block->pc;
    x->new_size = block->size;
    if (x->one)
        x->unsearched = true; /* the one after it, which stays */
    else if (x->cached >= X86_CACHE_INSTRUCTIONS ||
             search(x, block->pc, bytes, n, false) > 0)
        stop(x, X86_SITES);
}

/* A guest that single-steps itself does so behind port I/O that is an exit, and not
 * at all behind what is forbidden. */
static void on_intr(uc_engine *uc, uint32_t vector, void *ctx)
{
    struct x86_cpu *x = ctx;

    (void)uc;
    if (x->stop == X86_PORT || x->stop == X86_SERVED || x->rewind) {
        x->single = !x->rewind;
        return;
    }
    x->vector = vector;
    stop(x, X86_INTR);
}

/* Most guests do port I/O in ring 0: that is seen at a glance. */
static APART bool allowed(struct x86_cpu *x, uint32_t port, int size)
{
    uint64_t flags = 0;
    uint16_t cs = 0;

    x->u->reg_read(x->uc, UC_X86_REG_CS, &cs);
    x->u->reg_read(x->uc, UC_X86_REG_RFLAGS, &flags);
    return ((cs & 3) == 0 && !(flags & X86_FLAG_VM)) ||
           x86_port_allowed(x, (uint16_t)port, (unsigned)size);
}

static void port(struct x86_cpu *x, uint32_t nr, int size, bool write,
                 uint32_t value)
{
    x->site_rip = 0;
    x->u->reg_read(x->uc, UC_X86_REG_RIP, &x->site_rip);
    x->port = (struct x86_access){.kind = VMM_IO,
                                  .write = write,
                                  .size = (uint8_t)size,
                                  .addr = nr & 0xffff,
                                  .value = value};
    if (!x->one && !x->hooked) {
        stop(x, X86_LOST);
    } else if (!x->guarded || allowed(x, nr, size)) {
        stop(x, X86_PORT);
    } else {
        x->u->context_save(x->uc, x->before);
        x->rewind = true;
        x->fault = (struct x86_fault){.vector = 13, .has_code = true};
        stop(x, X86_FAULT);
    }
}

/* Is there anything that the rest of the block does not know? */
static bool is_overtaken(struct x86_cpu *x)
{
    return x->dirty || x->changed || x->flush || x->irq || vmm_poked(x->cpu);
}

/* Most exits are OUTs: their handlers are called right here, and mostly the block
 * can go on. Else its next instruction, being hooked, leaves; until then the
 * engine keeps RIP in its own way, so it is put right afterwards. */
static void serve(struct x86_cpu *x, uint32_t nr, int size, uint32_t value)
{
    struct vmm_exit *exit = &x->cpu->exit;
    bool on;

    exit->kind = VMM_IO;
    exit->port = (uint16_t)nr;
    exit->size = (uint8_t)size;
    exit->write = true;
    exit->value = value;
    x->hooked = x->changed = false;
    x->behind = x->site_size;
    x->inside = true;
    on = vmm_deliver(x->cpu);
    x->inside = false;
    if (on && !is_overtaken(x)) {
        x->loaded = false;
        x->behind = 0;
        return;
    }
    if (x->loaded || x->changed) {
        x86_load(x);
        x->dirty = true;
    } else {
        x->site_rip = x86_rip(x);
    }
    x->behind = 0;
    stop(x, X86_SERVED);
}

static uint32_t on_in(uc_engine *uc, uint32_t nr, int size, void *ctx)
{
    struct x86_cpu *x = ctx;

    (void)uc;
    if (x->trying)
        return x86_try_in(x, nr, size);
    port(x, nr, size, false, 0);
    return UINT32_MAX;
}

static void on_out(uc_engine *uc, uint32_t nr, int size, uint32_t value,
                   void *ctx)
{
    struct x86_cpu *x = ctx;

    (void)uc;
    if (x->trying)
        x86_try_out(x, nr, size, value);
    else if (x->one || !x->hooked || (x->guarded && !allowed(x, nr, size)))
        port(x, nr, size, true, value);
    else
        serve(x, nr, size, value);
}

static void on_syscall(uc_engine *uc, void *ctx)
{
    (void)uc;
    stop(ctx, X86_SYSCALL);
}

static void on_sysenter(uc_engine *uc, void *ctx)
{
    (void)uc;
    stop(ctx, X86_SYSENTER);
}

/* ---- entering the engine ------------------------------------------------- */

/* What the engine raised. It takes every exception after the first for a double
 * fault until it is told that the first has been delivered. */
static void raised(struct x86_cpu *x)
{
    enum { WITH_CODE = 1 << 8 | 0x1f << 10 | 1 << 17 };
    bool soft;

    x86_load(x);
    x86_put32(x->now, x->at.old_exception, UINT32_MAX);
    x->dirty = true;
    soft = x86_u32(x->now, x->at.is_int);
    if (x->vector > 31 && !soft) {
        x->stop = X86_NESTED;
        return;
    }
    x->fault = (struct x86_fault){
        .vector = (uint8_t)x->vector,
        .soft = soft,
        .has_code = !soft && WITH_CODE >> x->vector & 1,
    };
    if (x->fault.has_code)
        x->fault.code = x86_u32(x->now, x->at.error);
}

uint64_t x86_linear_rip(struct x86_cpu *x)
{
    struct vmm_segment cs;

    x86_load(x);
    x86_segment(x, VMM_CS, &cs);
    x86_sync(x);
    return cs.base + x86_rip(x);
}

/* The refused fetch: where exactly? */
static void refused_fetch(struct x86_cpu *x)
{
    uint64_t linear = x86_linear_rip(x);

    if ((linear & ~X86_PAGE) == x->fault.va)
        x->fault.va = linear;
    else if (!x->one)
        x->careful = true; /* maybe not this instruction's, but its block's */
}

static int came_back(struct x86_cpu *x, uc_err err)
{
    if (x->rewind)
        x->u->context_restore(x->uc, x->before);
    if (err == UC_ERR_INSN_INVALID) {
        x->stop = X86_FAULT;
        x->fault = (struct x86_fault){.vector = 6};
    } else if (err == UC_ERR_EXCEPTION) {
        if (x->stop == X86_FAULT || x->stop == X86_FETCH)
            refused_fetch(x);
    } else if (err != UC_ERR_OK) {
        return unicorn_fail(x->u, "run", err);
    } else if (x->stop == X86_NOTHING) {
        x->stop = X86_HALT;
    }
    if (x->stop == X86_INTR)
        raised(x);
    if (x->stop == X86_DONE && x->round) {
        x86_load(x);
        x86_put32(x->now, x->at.hflags,
                  x86_u32(x->now, x->at.hflags) & ~(uint32_t)X86_HF_INHIBIT);
        x->dirty = true;
    }
    return 0;
}

int x86_enter(struct x86_cpu *x)
{
    uint64_t rip;

    if (x->one) {
        x86_load(x);
        x86_put32(x->now, x->at.hflags,
                  x86_u32(x->now, x->at.hflags) | X86_HF_INHIBIT);
        x->dirty = true;
    }
    x86_sync(x);
    if (x->stale)
        x86_code_flush(x);
    if (x->flush)
        x86_flush_tlb(x);
    rip = x86_rip(x);
    x->loaded = false;
    x->stop = X86_NOTHING;
    x->started = x->hooked = x->rewind = x->careful = false;
    return came_back(x, x->u->emu_start(x->uc, rip, 0, 0, 0));
}

/* ---- all of them --------------------------------------------------------- */

static int hook(struct x86_cpu *x, int type, void *callback, uint64_t begin,
                uint64_t end, int instruction)
{
    uc_hook handle;
    uc_err err = x->u->hook_add(x->uc, &handle, type, callback, x, begin, end,
                                instruction);

    return err ? unicorn_fail(x->u, "hook", err) : 0;
}

int x86_hook_all(struct x86_cpu *x)
{
    const struct {
        int type;
        void *callback;
        uint64_t begin, end;
        int instruction;
    } hooks[] = {
        {X86_HOOK_TLB_FILL, (void *)x86_fill, 1, 0, 0},
        {UC_HOOK_BLOCK, (void *)on_block, 1, 0, 0},
        {UC_HOOK_EDGE_GENERATED, (void *)on_edge, 1, 0, 0},
        {UC_HOOK_INTR, (void *)on_intr, 1, 0, 0},
        {UC_HOOK_INSN, (void *)on_in, 1, 0, UC_X86_INS_IN},
        {UC_HOOK_INSN, (void *)on_out, 1, 0, UC_X86_INS_OUT},
        {UC_HOOK_INSN, (void *)on_syscall, 1, 0, UC_X86_INS_SYSCALL},
        {UC_HOOK_INSN, (void *)on_sysenter, 1, 0, UC_X86_INS_SYSENTER},
        {UC_HOOK_MEM_READ_PROT | UC_HOOK_MEM_WRITE_PROT, (void *)x86_on_window,
         X86_WINDOW, X86_SCRATCH - 1, 0},
    };
    int rc = 0;

    for (size_t i = 0; i < sizeof hooks / sizeof hooks[0] && rc == 0; i++)
        rc = hook(x, hooks[i].type, hooks[i].callback, hooks[i].begin,
                  hooks[i].end, hooks[i].instruction);
    return rc;
}
