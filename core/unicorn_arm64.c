/* SPDX-License-Identifier: MIT */
/* unicorn_arm64.c - arm64 guests on Unicorn: machines, vCPUs, and running them
 * until an exit. See unicorn_arm64.h for the plan. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "unicorn_arm64.h"

/* Controls that the headers of 2.0.1 do not name. */
enum { CTL_TCG_BUFFER_SIZE = UC_CTL_TB_FLUSH + 3 };

/* How many blocks an armed timer may be late. */
enum { TIMER_BLOCKS = 4096 };

enum { EC_SVC = 0x15, EC_HVC = 0x16, EC_DATA = 0x24 };

/* ---- hooks --------------------------------------------------------------- */

/* A block or an exception comes next. Is it time to leave the guest instead? */
static bool is_time(struct a64_engine *e)
{
    if (++e->blocks <= e->limit && !vmm_poked(e->cpu))
        return false;
    e->blocks--;
    return true;
}

static void leave(struct a64_engine *e, enum a64_leave why)
{
    e->leave = why;
    e->m->u.emu_stop(e->uc);
}

/* Not in the way of the blocks that pass: it takes what on_block() has. */
static __attribute__((noinline)) void stop_at(uc_engine *uc, uint64_t va,
                                              uint32_t size,
                                              struct a64_engine *e, bool now)
{
    bool fp = !now && a64_fp_traps(e, va, size);

    if (!now && !fp)
        return;
    if (e->leave == A64_LEAVE_NOT)
        e->leave = fp ? A64_LEAVE_FP : A64_LEAVE_BLOCK;
    e->m->u.emu_stop(uc);
}

/* Between blocks the engine can be stopped without the guest noticing. The stub
 * that leads into the guest is no place to be found at. */
static void on_block(uc_engine *uc, uint64_t va, uint32_t size, void *ctx)
{
    struct a64_engine *e = ctx;
    bool now;

    if (va == A64_STUB_ERET)
        return;
    e->end = va + size;
    now = is_time(e);
    if (__builtin_expect(now || e->heed, 0))
        stop_at(uc, va, size, e, now || e->heed & A64_HEED_TOLD);
}

static void on_translated(uc_engine *uc, uc_tb *now, uc_tb *before, void *ctx)
{
    (void)uc, (void)before;
    a64_translated(ctx, now->pc, now->size);
}

/* IC: what other engines have written is code now. This one forgets too, as it
 * may have translated what another one wrote. */
static uint32_t on_sys(uc_engine *uc, uc_arm64_reg rt,
                       const uc_arm64_cp_reg *cp, void *ctx)
{
    struct a64_engine *e = ctx;
    uint64_t pa;

    (void)uc, (void)rt;
    if (e->cpu->vm->cpus < 2 || cp->crn != 7 || (cp->crm != 5 && cp->crm != 1))
        return 0;
    if (cp->op1 == 3 && cp->crm == 5 &&
        vmm_arm64_translate(e->cpu, cp->val, &pa) > 0)
        a64_publish(e->m, pa);
    else
        a64_publish_all(e->m);
    e->heed |= A64_HEED_TOLD;
    return 0;
}

/* What fills the gaps (unicorn_arm64_memory.c) is not executable as such. */
static bool on_fetch(uc_engine *uc, uc_mem_type type, uint64_t va, int size,
                     int64_t value, void *ctx)
{
    (void)uc, (void)type, (void)va, (void)size, (void)value, (void)ctx;
    return true;
}

/* ---- exceptions, as they come -------------------------------------------- */

/* Most exits are hypercalls and device accesses: their handlers are called right
 * here, where the state is as precise as after leaving. Otherwise on_block(),
 * too, is to leave: 2.0.1 forgets that a hook has stopped it where PC was set. */
static bool in_place(struct a64_engine *e)
{
    struct vmm_exit *exit = &e->cpu->exit;

    exit->reason = 1;
    a64_trapped(e, exit);
    while (exit->kind == VMM_HVC || exit->kind == VMM_MMIO) {
        if (!vmm_deliver(e->cpu) || e->changed)
            break;
        if (!vmm_arm64_next_access(&e->access, exit))
            return true;
    }
    e->limit = 0;
    return false;
}

static bool is_common(const struct a64_engine *e)
{
    unsigned ec = e->syndrome >> 26;

    return (ec == EC_HVC || ec == EC_DATA) && !e->stepping && e->shaded == 0;
}

/* What changed under the engine takes effect. */
static void go_on(struct a64_engine *e)
{
    if (e->rebuild)
        a64_set_reg(e, UC_ARM64_REG_PC, a64_launch(e));
}

/* Does the exception come again when the guest goes on? PC is at the instruction,
 * but behind an SVC. */
static bool is_repeated(const struct a64_engine *e)
{
    return e->syndrome >> 26 != EC_SVC;
}

/* A guest may go from exception to exception without a block between them. Each
 * exception comes here with PC precise. What is the guest's own goes on
 * inside; on 2.0.1 a hook must not both set PC and stop, and none does. */
static void on_exception(uc_engine *uc, uint32_t nr, void *ctx)
{
    struct a64_engine *e = ctx;

    if (e->exception == 0) { /* still finding out where exceptions are kept */
        e->m->u.emu_stop(uc);
        return;
    }
    if (a64_exception(e, nr) < 2 && !a64_unknown_sysreg(e)) {
        if (is_repeated(e) && is_time(e))
            leave(e, A64_LEAVE_BLOCK);
        else if (a64_take(e))
            go_on(e);
        else
            leave(e, A64_LEAVE_STUCK);
    } else if (!is_common(e)) {
        leave(e, A64_LEAVE_TRAP);
    } else if (in_place(e)) {
        go_on(e);
    } else {
        leave(e, A64_LEAVE_EXIT);
    }
}

static int add_hooks(struct a64_engine *e)
{
    const struct unicorn *u = &e->m->u;
    uc_hook handle;
    uc_err err;

    err = u->hook_add(e->uc, &handle, UC_HOOK_INTR, (void *)on_exception, e, 1,
                      0);
    if (err == UC_ERR_OK)
        err = u->hook_add(e->uc, &handle, UC_HOOK_BLOCK, (void *)on_block, e, 1,
                          0);
    if (err == UC_ERR_OK)
        err = u->hook_add(e->uc, &handle, UC_HOOK_EDGE_GENERATED,
                          (void *)on_translated, e, 1, 0);
    if (err == UC_ERR_OK)
        err = u->hook_add(e->uc, &handle, UC_HOOK_INSN, (void *)on_sys, e, 1, 0,
                          UC_ARM64_INS_SYS);
    if (err == UC_ERR_OK)
        err = a64_timer_hooks(e);
    if (err == UC_ERR_OK && e->old)
        err = u->hook_add(e->uc, &handle, UC_HOOK_MEM_FETCH_PROT,
                          (void *)on_fetch, e, 1, 0);
    return err == UC_ERR_OK ? 0 : unicorn_fail(u, "hook", err);
}

/* ---- running ------------------------------------------------------------- */

/* The old library's lookup by virtual address has one hole, the slots. */
static void failed(struct a64_engine *e, uc_err err, struct vmm_exit *exit)
{
    const char *why = err == UC_ERR_OK
                          ? "libunicorn stopped and does not say why"
                          : e->m->u.strerror(err);

    if (e->old &&
        (err == UC_ERR_READ_UNMAPPED || err == UC_ERR_WRITE_UNMAPPED ||
         err == UC_ERR_FETCH_UNMAPPED))
        why = "virtual addresses from 0xc0000000000 to 0xfffffffffff need "
              "libunicorn 2.1";
    exit->kind = VMM_ERROR;
    snprintf(exit->why, sizeof exit->why, "unicorn: pc 0x%" PRIx64 ": %s",
             a64_reg(e, UC_ARM64_REG_PC), why);
}

/* Catch up with what other engines did to page tables and code. */
static void prepare(struct a64_engine *e)
{
    struct a64_machine *m = e->m;

    if (e->cpu->vm->cpus > 1) {
        if (m->last != e)
            a64_flush_tlb(e);
        m->last = e;
        a64_catch_up(e);
    }
    a64_make_room(e);
    e->ran = true;
}

/* Enter the guest once. VMM_NONE: it came back for reasons of the host's. */
static void enter(struct a64_engine *e, struct vmm_exit *exit)
{
    struct vmm_cpu *cpu = e->cpu;
    uint64_t start = e->blocks, done;
    uc_err err;

    prepare(e);
    e->leave = A64_LEAVE_NOT;
    e->heed &= (uint8_t)~A64_HEED_TOLD;
    e->limit = cpu->slice ? start + cpu->slice : UINT64_MAX;
    if (a64_timer_armed(e) && e->limit - start > TIMER_BLOCKS)
        e->limit = start + TIMER_BLOCKS;
    err = e->m->u.emu_start(e->uc, a64_launch(e), 0, 0, 0);
    done = e->blocks - start;
    cpu->slice -= done < cpu->slice ? done : cpu->slice;
    exit->reason = 1;
    switch (err == UC_ERR_OK ? e->leave : A64_LEAVE_NOT) {
    case A64_LEAVE_BLOCK:
        exit->reason = 0;
        break;
    case A64_LEAVE_TRAP:
        a64_trapped(e, exit);
        break;
    case A64_LEAVE_EXIT:
        break;
    case A64_LEAVE_STUCK:
        a64_stuck(e, exit);
        break;
    case A64_LEAVE_BREAK:
        exit->kind = VMM_BREAK;
        break;
    case A64_LEAVE_FP:
        break;
    case A64_LEAVE_NOT:
        failed(e, err, exit);
        break;
    }
}

/* One instruction, without an interrupt in its place. */
static void enter_once(struct a64_engine *e, struct vmm_exit *exit)
{
    bool stepping = e->stepping;

    if (stepping)
        a64_step_end(e);
    a64_step_begin(e);
    a64_cp_write(e, A64_HCR_EL2, e->hcr & ~(A64_HCR_VI | A64_HCR_VF));
    enter(e, exit);
    a64_cp_write(e, A64_HCR_EL2, e->hcr);
    if (!stepping)
        a64_step_end(e);
}

/* An access to a watched page: once more, with the page as it was. */
static void step_over(struct a64_engine *e, struct vmm_exit *exit)
{
    bool stepping = e->stepping;

    a64_watch_end(e);
    *exit = (struct vmm_exit){.value = exit->value};
    enter_once(e, exit);
    e->over = false;
    a64_watch_begin(e);
    if (exit->kind != VMM_STEP)
        return;
    if (e->hit.kind != VMM_NONE)
        *exit = e->hit;
    else if (!stepping)
        exit->kind = VMM_NONE;
}

/* A block with floating point that is not allowed: if that comes next, it is an
 * exception, else it is an instruction nearer after this. */
static void approach_fp(struct a64_engine *e, struct vmm_exit *exit)
{
    if (!a64_fp_next(e)) {
        bool stepping = e->stepping;

        enter_once(e, exit);
        if (exit->kind == VMM_STEP && !stepping)
            exit->kind = VMM_NONE;
    } else if (a64_breaks(e, a64_reg(e, UC_ARM64_REG_PC))) {
        exit->kind = VMM_BREAK;
    } else if (!a64_take(e)) {
        a64_stuck(e, exit);
    } else if (e->stepping) {
        exit->kind = VMM_STEP;
    }
}

static int answer(struct vmm_cpu *cpu, const struct vmm_exit *exit)
{
    struct a64_engine *e = cpu->host;

    if (exit->kind == VMM_SYSREG)
        a64_set_x(e, e->sysreg_rt, exit->value);
    else
        vmm_arm64_answer(cpu, &e->access, exit->value);
    return 0;
}

static int run(struct vmm_cpu *cpu, struct vmm_exit *exit)
{
    struct a64_engine *e = cpu->host;
    bool turns = cpu->slice != 0;

    if (vmm_arm64_next_access(&e->access, exit))
        return 0;
    e->pass = e->broke && a64_reg(e, UC_ARM64_REG_PC) == e->broke_at;
    e->broke = e->changed = false;
    a64_watch_begin(e);
    if (cpu->debug.step)
        a64_step_begin(e);
    do {
        if (vmm_poked(cpu))
            exit->kind = VMM_KICK;
        else if (!cpu->debug.step && a64_timer_fires(e))
            *exit = (struct vmm_exit){.kind = VMM_TIMER, .reason = 2};
        else
            enter(e, exit);
        if (e->leave == A64_LEAVE_FP)
            approach_fp(e, exit);
        if (e->over)
            step_over(e, exit);
    } while (exit->kind == VMM_NONE && !e->changed &&
             !(turns && cpu->slice == 0));
    if (e->stepping)
        a64_step_end(e);
    a64_watch_end(e);
    e->broke |= e->pass; /* it has not got so far */
    return 0;
}

static bool unmapped(const struct vmm_cpu *cpu)
{
    const struct a64_engine *e = cpu->host;

    return !e->mapped;
}

static int line(struct vmm_cpu *cpu, enum vmm_line line, bool level)
{
    struct a64_engine *e = cpu->host;
    uint64_t bit = line == VMM_IRQ ? A64_HCR_VI : A64_HCR_VF;

    e->hcr = level ? e->hcr | bit : e->hcr & ~bit;
    a64_cp_write(e, A64_HCR_EL2, e->hcr);
    return 0;
}

static int line_at(struct vmm_cpu *cpu, enum vmm_line line, bool *level)
{
    const struct a64_engine *e = cpu->host;

    *level = e->hcr & (line == VMM_IRQ ? A64_HCR_VI : A64_HCR_VF);
    return 0;
}

/* ---- machines and vCPUs -------------------------------------------------- */

static void close_machine(struct vmm *vm)
{
    struct a64_machine *m = vm->host;

    if (m == NULL)
        return;
    a64_memory_close(m);
    unicorn_unload(&m->u);
    free(m);
    vm->host = NULL;
}

static int open_machine(struct vmm *vm)
{
    struct a64_machine *m = calloc(1, sizeof *m);
    int code;

    if (m == NULL)
        return vmm_fail(VMM_ENOMEM, "unicorn: open: out of memory");
    vm->host = m;
    code = unicorn_load(&m->u);
    if (code == 0)
        code = a64_memory_open(m);
    if (code < 0)
        close_machine(vm);
    return code;
}

static void close_cpu(struct vmm_cpu *cpu)
{
    struct a64_engine *e = cpu->host;

    if (e == NULL)
        return;
    if (e->m->last == e)
        e->m->last = NULL;
    if (e->context != NULL)
        e->m->u.context_free(e->context);
    if (e->uc != NULL)
        e->m->u.close(e->uc);
    free(e);
    cpu->host = NULL;
}

/* The old library's buffer is 1 GiB of address space, and a flush touches all
 * of it; the newer ones let us choose what is reasonable. */
static uc_err configure(struct a64_engine *e)
{
    const struct unicorn *u = &e->m->u;
    uint32_t buffer = e->old ? UINT32_C(1) << 30 : UINT32_C(64) << 20;
    uc_err err =
        u->ctl(e->uc, UC_CTL_WRITE(UC_CTL_CPU_MODEL, 1), UC_CPU_ARM64_A72);

    if (err == UC_ERR_OK && !e->old)
        err = u->ctl(e->uc, UC_CTL_WRITE(CTL_TCG_BUFFER_SIZE, 1), buffer);
    e->budget = buffer - buffer / 8;
    if (err == UC_ERR_OK)
        err = u->ctl(e->uc, UC_CTL_WRITE(UC_CTL_UC_USE_EXITS, 1), 1);
    return err;
}

static int open_engine(struct a64_engine *e)
{
    const struct unicorn *u = &e->m->u;
    uc_err err = u->open(UC_ARCH_ARM64, UC_MODE_ARM, &e->uc);
    int code;

    if (err == UC_ERR_OK)
        err = configure(e);
    if (err != UC_ERR_OK)
        return unicorn_fail(u, "vcpu", err);
    code = a64_memory_attach(e, e->cpu->vm);
    if (code == 0)
        code = add_hooks(e);
    if (code == 0)
        code = a64_state_open(e);
    return code;
}

static int open_cpu(struct vmm_cpu *cpu)
{
    struct a64_machine *m = cpu->vm->host;
    struct a64_engine *e = calloc(1, sizeof *e);
    int code;

    if (e == NULL)
        return vmm_fail(VMM_ENOMEM, "unicorn: vcpu: out of memory");
    cpu->host = e;
    e->cpu = cpu;
    e->m = m;
    e->old = m->u.version < UNICORN_VERSION(2, 1, 0);
    e->limit = UINT64_MAX;
    e->seen = m->published;
    code = open_engine(e);
    if (code < 0)
        close_cpu(cpu);
    return code;
}

const struct vmm_ops vmm_unicorn_arm64_ops = {
    .name = "unicorn",
    .arch = VMM_ARM64,
    .classes = 1 << VMM_VCPU,
    .threads = false,
    .probe = unicorn_probe,
    .about = unicorn_about,
    .open = open_machine,
    .close = close_machine,
    .map = a64_map,
    .unmap = a64_unmap,
    .protect = a64_protect,
    .wrote = a64_wrote,
    .cpu_open = open_cpu,
    .cpu_close = close_cpu,
    .run = run,
    .answer = answer,
    .get = a64_get,
    .set = a64_set,
    .unmapped = unmapped,
    .line = line,
    .line_at = line_at,
    .inject = vmm_arm64_inject,
    .debug = a64_debug,
};
