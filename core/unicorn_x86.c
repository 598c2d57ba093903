/* SPDX-License-Identifier: MIT */
/* unicorn_x86.c - the unicorn backend for x86_64 guests: machines, memory, and
 * the run that turns what stops the engine into exits. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unicorn_x86.h"

/* ---- exits --------------------------------------------------------------- */

static int leave(struct vmm_exit *exit, enum vmm_kind kind)
{
    exit->kind = kind;
    return 1;
}

static int cannot(struct x86_cpu *x, struct vmm_exit *exit, const char *why)
{
    snprintf(exit->why, sizeof exit->why, "unicorn: rip 0x%" PRIx64 ": %s",
             x86_rip(x), why);
    return leave(exit, VMM_ERROR);
}

/* An instruction has been completed, in one way or other. */
static int completed(struct x86_cpu *x, struct vmm_exit *exit)
{
    return x->cpu->debug.step ? leave(exit, VMM_STEP) : 0;
}

static int deliver(struct x86_cpu *x, struct vmm_exit *exit)
{
    const struct x86_fault fault = x->fault;
    int rc = x86_deliver(x, &fault, exit);

    return rc != 0 ? rc : completed(x, exit);
}

static int at_port(struct x86_cpu *x, struct vmm_exit *exit)
{
    if (!x->one)
        x86_set_rip(x, x->site_rip + x->site_size);
    exit->port = (uint16_t)x->port.addr;
    exit->size = x->port.size;
    exit->write = x->port.write;
    if (x->port.write)
        exit->value = x->port.value;
    x->asked = !x->port.write;
    return leave(exit, VMM_IO);
}

/* The exit of an OUT has been delivered, and is gone from *exit; or it ends the
 * run, or has yet to be delivered. */
static int served(struct x86_cpu *x, const struct vmm_exit *exit)
{
    if (!x->loaded)
        x86_set_rip(x, x->site_rip);
    return exit->kind != VMM_NONE;
}

static int on_trial(struct x86_cpu *x, struct vmm_exit *exit)
{
    int rc = x86_try(x);

    if (rc < 0)
        return cannot(x, exit, vmm_why());
    if (rc > 0)
        return deliver(x, exit);
    return x86_next_access(x, exit) ? 1 : completed(x, exit);
}

static int on_move_to_dr(struct x86_cpu *x, struct vmm_exit *exit)
{
    return x86_move_to_dr(x) ? deliver(x, exit) : completed(x, exit);
}

static int at_exception(struct x86_cpu *x, struct vmm_exit *exit)
{
    if (x->vector != 3 || !x->fault.soft || !x->cpu->debug.trap)
        return deliver(x, exit);
    x86_before_int(x, 3);
    return leave(exit, VMM_BRK);
}

static int at_break(struct x86_cpu *x, struct vmm_exit *exit)
{
    x->skip = true;
    x->skip_at = x86_linear_rip(x);
    return leave(exit, VMM_BREAK);
}

/* Blocks may be chained without RIP being kept up: so it is set here. */
static int at_block(struct x86_cpu *x, struct vmm_exit *exit)
{
    struct vmm_segment cs;

    x86_load(x);
    x86_segment(x, VMM_CS, &cs);
    x86_set_rip(x, x->block - cs.base);
    if (!x->turn_over)
        return 0;
    x->turn_over = false;
    return leave(exit, VMM_NONE);
}

static int at_halt(struct x86_cpu *x, struct vmm_exit *exit)
{
    x86_load(x);
    if (x->irq && x86_flags(x) & X86_FLAG_IF)
        return 0;
    return leave(exit, VMM_HALT);
}

/* 1: *exit says why the guest was left; 0: it goes on. */
static int stopped(struct x86_cpu *x, struct vmm_exit *exit)
{
    int rc;

    switch (x->stop) {
    case X86_BLOCK:
        return at_block(x, exit);
    case X86_DONE:
        return completed(x, exit);
    case X86_PORT:
        return at_port(x, exit);
    case X86_SERVED:
        return served(x, exit);
    case X86_TRIAL:
        return on_trial(x, exit);
    case X86_MOVE_TO_DR:
        return on_move_to_dr(x, exit);
    case X86_FAULT:
        return x->careful ? 0 : deliver(x, exit);
    case X86_FETCH:
        return x->careful ? 0 : cannot(x, exit, "there is no code memory");
    case X86_INTR:
        return at_exception(x, exit);
    case X86_SYSCALL:
        rc = x86_syscall(x, exit);
        return rc != 0 ? rc : completed(x, exit);
    case X86_SYSENTER:
        rc = x86_sysenter(x, exit);
        return rc != 0 ? rc : completed(x, exit);
    case X86_BREAK:
        return at_break(x, exit);
    case X86_HALT:
        return at_halt(x, exit);
    case X86_SITES:
        return x86_search(x);
    case X86_NESTED:
        return cannot(x, exit, "a guest inside the guest is not emulated");
    case X86_NOTHING:
    case X86_LOST:
        break;
    }
    return cannot(x, exit, "port I/O in code that changed unseen");
}

static int interrupt(struct x86_cpu *x, struct vmm_exit *exit)
{
    x->irq = false;
    x->fault = (struct x86_fault){.vector = x->irq_vector, .external = true};
    return x86_deliver(x, &x->fault, exit);
}

/* The instruction before left an exception behind. */
static int left_over(struct x86_cpu *x, struct vmm_exit *exit)
{
    union vmm_value dr6;

    if (!x->faulty) {
        enum { SINGLE_STEP = 1 << 14 };
        const vmm_reg reg = VMM_REG(VMM_CONTROL, VMM_DR6);

        x->fault = (struct x86_fault){.vector = 1};
        x86_get(x->cpu, reg, &dr6);
        dr6.u64 |= SINGLE_STEP;
        x86_set(x->cpu, reg, &dr6);
    }
    x->faulty = x->single = false;
    return deliver(x, exit);
}

static int turn(struct x86_cpu *x, struct vmm_exit *exit)
{
    int rc;

    if (x->faulty || x->single)
        return left_over(x, exit);
    if (x->unsearched) {
        x->unsearched = false;
        return x86_search(x);
    }
    if (x->flush) {
        const char *why;

        x86_load(x);
        why = x86_nonsense(x);
        if (why)
            return cannot(x, exit, why);
    }
    if (x->irq) {
        x86_sync(x);
        if (x86_can_interrupt(x))
            return interrupt(x, exit);
    }
    if (x->skip)
        x->skip = x86_linear_rip(x) == x->skip_at;
    x->one = x->cpu->debug.step || x->careful;
    if (x->one && x86_is_string_io(x, x86_linear_rip(x)))
        return on_trial(x, exit);
    if (x->one && x86_is_move_to_dr(x, x86_linear_rip(x)))
        return on_move_to_dr(x, exit);
    rc = x86_enter(x);
    rc = rc < 0 ? rc : stopped(x, exit);
    x->one = false;
    return rc;
}

static int run(struct vmm_cpu *cpu, struct vmm_exit *exit)
{
    struct x86_cpu *x = cpu->host;
    int rc = 0;

    if (x86_next_access(x, exit))
        return 0;
    while (rc == 0) {
        if (vmm_poked(cpu))
            rc = leave(exit, VMM_KICK);
        else
            rc = turn(x, exit);
    }
    return rc < 0 ? rc : 0;
}

static int answer(struct vmm_cpu *cpu, const struct vmm_exit *exit)
{
    struct x86_cpu *x = cpu->host;
    const vmm_reg rax = VMM_REG(VMM_GENERAL, VMM_RAX);
    union vmm_value v;

    if (!x->asked)
        return x86_try_answer(x, exit->value);
    x->asked = false;
    x86_get(cpu, rax, &v);
    if (exit->size == 4)
        v.u64 = (uint32_t)exit->value;
    else if (exit->size == 2)
        v.u64 = (v.u64 & ~UINT64_C(0xffff)) | (exit->value & 0xffff);
    else
        v.u64 = (v.u64 & ~UINT64_C(0xff)) | (exit->value & 0xff);
    return x86_set(cpu, rax, &v);
}

static int inject(struct vmm_cpu *cpu, const struct vmm_event *event)
{
    struct x86_cpu *x = cpu->host;

    if (x->irq)
        return vmm_fail(VMM_ESTATE,
                        "unicorn: inject: vector 0x%x is still pending",
                        x->irq_vector);
    x->irq = true;
    x->irq_vector = event->vector;
    return 0;
}

static int debug(struct vmm_cpu *cpu)
{
    struct x86_cpu *x = cpu->host;

    for (unsigned i = 0; i < cpu->debug.breaks; i++) {
        int rc = x86_hook_address(x, cpu->debug.brk[i]);

        if (rc < 0)
            return rc;
    }
    x->flush = true; /* watchpoints withhold translations */
    return 0;
}

/* ---- machines ------------------------------------------------------------ */

static const char *probe(char *buffer, size_t size)
{
    const char *why = unicorn_probe(buffer, size);
    struct unicorn u;
    unsigned version;

    if (why || unicorn_load(&u) < 0)
        return why;
    version = u.version;
    unicorn_unload(&u);
    if (version >= UNICORN_VERSION(2, 1, 0))
        return NULL;
    snprintf(buffer, size,
             "unicorn: libunicorn %u.%u.%u: cannot be stopped exactly with "
             "x86_64 guests: needs 2.1 or newer: run `make deps`",
             version >> 16, version >> 8 & 0xff, version & 0xff);
    return buffer;
}

static int vm_open(struct vmm *vm)
{
    struct unicorn *u = calloc(1, sizeof *u);
    char why[256];
    int rc;

    if (!u)
        return vmm_fail(VMM_ENOMEM, "unicorn: out of memory");
    if (probe(why, sizeof why)) {
        free(u);
        return vmm_fail(VMM_EHOST, "%s", why);
    }
    rc = unicorn_load(u);
    if (rc < 0) {
        free(u);
        return rc;
    }
    vm->host = u;
    return 0;
}

static void vm_close(struct vmm *vm)
{
    if (!vm->host)
        return;
    unicorn_unload(vm->host);
    free(vm->host);
    vm->host = NULL;
}

/* The engine translates the address, to forget the code there; if that were
 * refused, the next range to be mapped would become a block of memory that it
 * frees and goes on using (up to 2.1.3). */
static void take_out(struct x86_cpu *x, const struct vmm_mem *mem)
{
    x->lookup = true;
    x->lookup_pa = X86_SCRATCH;
    x86_flush_tlb(x);
    x->u->mem_unmap(x->uc, mem->range.at, mem->range.size);
    x86_flush_tlb(x);
    x->lookup = false;
}

static void unmap_one(struct x86_cpu *x, const struct vmm_mem *mem)
{
    x86_code_remove(x, mem);
    take_out(x, mem);
}

/* Protection is not the engine's business but x86_fill()'s. */
static int map_one(struct x86_cpu *x, const struct vmm_mem *mem)
{
    uc_err err;
    int rc;

    err = x->u->mem_map_ptr(x->uc, mem->range.at, mem->range.size, UC_PROT_ALL,
                            mem->host);
    if (err)
        return unicorn_fail(x->u, "map", err);
    rc = x86_code_add(x, mem);
    if (rc < 0)
        take_out(x, mem);
    x->flush = true;
    return rc;
}

/* Also where there is no vCPU yet that it would be mapped for. */
static int map(struct vmm *vm, struct vmm_mem *mem)
{
    uint64_t last = mem->range.at + (mem->range.size - 1);

    if (last >= X86_PHYSICAL_END)
        return vmm_fail(VMM_EINVAL,
                        "unicorn: map: 0x%" PRIx64 "-0x%" PRIx64
                        ": x86_64 has 52 bits of physical address",
                        mem->range.at, last);
    for (unsigned i = 0; i < vm->cpus; i++) {
        int rc = map_one(vm->cpu[i]->host, mem);

        if (rc == 0)
            continue;
        while (i-- > 0)
            unmap_one(vm->cpu[i]->host, mem);
        return rc;
    }
    return 0;
}

static int unmap(struct vmm *vm, struct vmm_mem *mem)
{
    for (unsigned i = 0; i < vm->cpus; i++)
        unmap_one(vm->cpu[i]->host, mem);
    return 0;
}

static int protect(struct vmm *vm, struct vmm_mem *mem, unsigned prot)
{
    (void)mem;
    (void)prot; /* core keeps it */
    for (unsigned i = 0; i < vm->cpus; i++)
        ((struct x86_cpu *)vm->cpu[i]->host)->flush = true;
    return 0;
}

static void wrote(struct vmm *vm, const struct vmm_mem *mem, uint64_t at,
                  uint64_t n)
{
    (void)mem;
    for (unsigned i = 0; i < vm->cpus; i++)
        x86_changed(vm->cpu[i]->host, at, n);
}

/* ---- vCPUs --------------------------------------------------------------- */

static uc_err prepare(struct x86_cpu *x)
{
    const struct unicorn *u = x->u;
    uc_err err;

    /* First of all: the next call makes the engine as it is to be. */
    err = u->ctl(x->uc, UC_CTL_WRITE(X86_CTL_TCG_BUFFER_SIZE, 1),
                 (uint32_t)X86_CACHE_BYTES);
    if (!err)
        err = u->ctl(x->uc, UC_CTL_WRITE(UC_CTL_UC_USE_EXITS, 1), 1);
    if (!err)
        err = u->ctl(x->uc, UC_CTL_WRITE(X86_CTL_TLB_TYPE, 1), X86_TLB_VIRTUAL);
    if (!err)
        err = u->mmio_map(x->uc, X86_WINDOW, X86_SCRATCH - X86_WINDOW,
                          x86_on_window_read, x, x86_on_window_write, x);
    if (!err)
        err = u->mem_protect(x->uc, X86_WINDOW, X86_SCRATCH - X86_WINDOW,
                             UC_PROT_NONE);
    if (!err)
        err = u->mem_map_ptr(x->uc, X86_SCRATCH, X86_PAGE + 1, UC_PROT_ALL,
                             x->scratch);
    if (!err)
        err = u->context_alloc(x->uc, &x->now);
    if (!err)
        err = u->context_alloc(x->uc, &x->before);
    if (!err)
        err = u->context_alloc(x->uc, &x->after);
    if (!err)
        err = u->context_alloc(x->uc, &x->kept);
    if (!err)
        err = u->context_alloc(x->uc, &x->peek);
    return err;
}

static void cpu_close(struct vmm_cpu *cpu)
{
    struct x86_cpu *x = cpu->host;
    uc_context *contexts[] = {x->now, x->before, x->after, x->kept, x->peek};

    for (size_t i = 0; i < sizeof contexts / sizeof contexts[0]; i++)
        if (contexts[i])
            x->u->context_free(contexts[i]);
    if (x->uc)
        x->u->close(x->uc);
    for (size_t i = 0; i < x->codes; i++)
        free(x->code[i].lines);
    free(x->code);
    free(x->scratch);
    free(x);
    cpu->host = NULL;
}

/* The engine tells of new blocks only once a block has come to its end. */
static void prime(struct x86_cpu *x)
{
    x->lookup = x->turn_over = true;
    x->stop = X86_NOTHING;
    x->u->emu_start(x->uc, 0, 0, 0, 0);
    x->lookup = x->turn_over = false;
    x86_flush_tlb(x);
}

static int start(struct x86_cpu *x)
{
    struct vmm *vm = x->cpu->vm;
    uc_err err = x->u->open(UC_ARCH_X86, UC_MODE_64, &x->uc);
    int rc = 0;

    if (err) {
        x->uc = NULL;
        return unicorn_fail(x->u, "open", err);
    }
    err = prepare(x);
    if (err)
        return unicorn_fail(x->u, "open", err);
    x->context_size = x->u->context_size(x->uc);
    x->lookup_pa = X86_SCRATCH;
    rc = x86_hook_all(x);
    for (size_t i = 0; i < vm->mems && rc == 0; i++)
        rc = map_one(x, &vm->mem[i]);
    if (rc == 0)
        rc = x86_calibrate(x);
    if (rc == 0) {
        prime(x);
        x86_reset(x);
    }
    return rc;
}

static int cpu_open(struct vmm_cpu *cpu)
{
    struct x86_cpu *x = calloc(1, sizeof *x);
    int rc;

    if (!x)
        return vmm_fail(VMM_ENOMEM, "unicorn: vcpu: out of memory");
    cpu->host = x;
    x->cpu = cpu;
    x->u = cpu->vm->host;
    x->scratch = aligned_alloc(X86_PAGE + 1, X86_PAGE + 1);
    rc = x->scratch ? start(x)
                    : vmm_fail(VMM_ENOMEM, "unicorn: vcpu: out of memory");
    if (rc < 0)
        cpu_close(cpu);
    return rc;
}

const struct vmm_ops vmm_unicorn_x86_ops = {
    .name = "unicorn",
    .arch = VMM_X86_64,
    .probe = probe,
    .about = unicorn_about,
    .open = vm_open,
    .close = vm_close,
    .map = map,
    .unmap = unmap,
    .protect = protect,
    .wrote = wrote,
    .cpu_open = cpu_open,
    .cpu_close = cpu_close,
    .run = run,
    .answer = answer,
    .get = x86_get,
    .set = x86_set,
    .inject = inject,
    .debug = debug,
};
