/* SPDX-License-Identifier: MIT */
/* loop.c - the exit loop: enter the guest, deliver its exit, until one of them
 * ends the run.
 *
 * vCPUs of a backend with ops->threads run on a thread each, the first on the
 * caller's; the others' take turns on the caller's. One lock makes sure that
 * exits are delivered one at a time. A run ends once: the first to end it leaves
 * its exit in struct loop and pokes the rest; an exit that another vCPU had in
 * its hands by then is held and delivered first in the next run. */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "backend.h"
#include "meter.h"
#include "thread.h"

/* A turn in basic blocks: some 20 us of emulated code, so that a lock holder is
 * not kept waiting and switching costs little. */
enum { SLICE = 20000 };

/* What has to end the next entry if it came before that. */
enum { KICKED = VMM_POKE_KICK | VMM_POKE_INTERRUPT };

enum { AGAIN = 20000000 }; /* nanoseconds from a missed time-out to the next */

struct loop {
    struct vmm *vm;
    const struct vmm_run *run;
    struct vmm_cpu *cpu[VMM_MAX_CPUS]; /* who takes part */
    unsigned cpus;
    bool locking; /* more than one thread */
    pthread_mutex_t lock;
    uint64_t left; /* exits that may still be delivered */
    bool stop;     /* vmm_stop() was called */
    _Atomic bool ended;
    struct vmm_exit exit; /* what ended it, whose, or the failure */
    struct vmm_cpu *who;
    int result;
    char why[512];
    struct vmm_watchdog dog; /* of a run with a timeout */
};

/* ---- one entry ----------------------------------------------------------- */

static uint64_t mask(unsigned size)
{
    return size >= 8 ? UINT64_MAX : (UINT64_C(1) << 8 * size) - 1;
}

static int answer(struct vmm_cpu *cpu, uint64_t value)
{
    cpu->asked = false;
    cpu->exit.value = value & mask(cpu->exit.size);
    return cpu->vm->ops->answer(cpu, &cpu->exit);
}

int vmm_answer(struct vmm_cpu *cpu, uint64_t value)
{
    int rc = vmm_still(cpu);

    if (rc < 0)
        return rc;
    if (!cpu->asked)
        return vmm_fail(VMM_ESTATE,
                        "vcpu %u: answer: it has read nothing that waits for "
                        "an answer",
                        cpu->index);
    return answer(cpu, value);
}

/* x86's own conduit is a port, and each architecture's may be a doorbell. */
static bool is_hypercall(const struct vmm *vm, const struct vmm_exit *exit)
{
    if (exit->kind == VMM_IO)
        return exit->write && exit->port == vm->hypercall_port;
    return exit->kind == VMM_MMIO && vm->has_doorbell && exit->write &&
           exit->addr == vm->doorbell;
}

/* x0 and rax hold the number. */
static int as_hypercall(struct vmm_cpu *cpu, struct vmm_exit *exit)
{
    bool arm = cpu->vm->arch == VMM_ARM64;
    union vmm_value nr;
    int rc;

    if (is_hypercall(cpu->vm, exit))
        exit->kind = VMM_HVC;
    if (exit->kind != VMM_HVC && exit->kind != VMM_SMC)
        return 0;
    rc = cpu->vm->ops->get(cpu, VMM_REG(VMM_GENERAL, arm ? 0 : VMM_RAX), &nr);
    exit->nr = nr.u64;
    return rc;
}

/* The exit has been described by the backend: what core adds to it. */
static int complete(struct vmm_cpu *cpu)
{
    struct vmm_exit *exit = &cpu->exit;
    int rc = as_hypercall(cpu, exit);

    if (rc == 0 && !exit->write && vmm_exit_reads(exit)) {
        exit->value = mask(exit->size);
        cpu->asked = true;
    }
    return rc;
}

/* In two steps of a size for which compilers write the stores out: they are many
 * times faster than the string instruction that some make of one. */
static void clear(struct vmm_exit *exit)
{
    enum { HALF = 56, ALL = offsetof(struct vmm_exit, why) + 1 };

    memset(exit, 0, HALF);
    memset((char *)exit + HALF, 0, ALL - HALF);
}

static uint64_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Into the guest, and out of it: what a meter wants to know. Mostly there is none,
 * or none with times, and each exit passes here: the rest stays out of its way.
 * One that is set to untimed in between leaves what it misses to somebody else. */
static __attribute__((noinline)) void timed_out(struct vmm_meter *meter)
{
    if (meter->entered) {
        meter->left = now();
        meter->guest += meter->left - meter->entered;
    }
    meter->entered = 0;
}

static __attribute__((noinline)) void timed_in(struct vmm_meter *meter)
{
    meter->entered = now();
}

static inline void go_in(struct vmm_meter *meter)
{
    if (!meter)
        return;
    if (atomic_load_explicit(&meter->timed, memory_order_relaxed))
        timed_in(meter);
    atomic_store_explicit(&meter->inside, true, memory_order_relaxed);
}

static inline void come_out(struct vmm_meter *meter)
{
    if (!meter)
        return;
    atomic_store_explicit(&meter->inside, false, memory_order_relaxed);
    if (atomic_load_explicit(&meter->timed, memory_order_relaxed))
        timed_out(meter);
}

/* One entry, one exit, in cpu->exit. */
static int enter(struct vmm_cpu *cpu)
{
    int rc = cpu->asked ? answer(cpu, UINT64_MAX) : 0;

    if (rc < 0)
        return rc;
    if (cpu->held) {
        cpu->held = false;
        return 0;
    }
    clear(&cpu->exit);
    cpu->delivered = false;
    go_in(cpu->meter);
    rc = cpu->vm->ops->run(cpu, &cpu->exit);
    come_out(cpu->meter);
    return rc < 0 || cpu->delivered ? rc : complete(cpu);
}

/* ---- ending a run -------------------------------------------------------- */

static void poke(struct vmm_cpu *cpu, enum vmm_poke why)
{
    atomic_fetch_or(&cpu->poke, why);
    if (cpu->vm->ops->kick)
        cpu->vm->ops->kick(cpu);
}

/* Under the lock: this ends the run, unless something did already. */
static void end(struct loop *l, struct vmm_cpu *cpu, enum vmm_kind kind)
{
    if (atomic_exchange(&l->ended, true))
        return;
    l->who = cpu;
    if (kind == cpu->exit.kind)
        l->exit = cpu->exit;
    else
        l->exit.kind = kind;
    for (unsigned i = 0; i < l->cpus; i++)
        if (l->cpu[i] != cpu)
            poke(l->cpu[i], VMM_POKE_STOP);
}

static void fail(struct loop *l, struct vmm_cpu *cpu, int code)
{
    if (l->ended)
        return;
    l->result = code;
    memcpy(l->why, vmm_why(), sizeof l->why);
    end(l, cpu, VMM_ERROR);
}

/* Somebody asked the vCPU to leave the guest: the strongest reason counts. */
static void poked(struct loop *l, struct vmm_cpu *cpu)
{
    unsigned why = atomic_load(&cpu->poke);

    if (why & VMM_POKE_STOP)
        end(l, cpu, VMM_STOP);
    else if (why & VMM_POKE_TIMEOUT)
        end(l, cpu, VMM_TIMEOUT);
    else if (why & KICKED) {
        atomic_fetch_and(&cpu->poke, ~(unsigned)KICKED);
        end(l, cpu, VMM_KICK);
    }
}

/* ---- delivering ---------------------------------------------------------- */

static void callback(struct loop *l, struct vmm_cpu *cpu)
{
    int verdict = VMM_RETURN;

    if (l->run->on_exit) {
        l->vm->current = cpu;
        verdict = l->run->on_exit(cpu, &cpu->exit, l->run->ctx);
        l->vm->current = NULL;
        if (cpu->asked && verdict != VMM_RETURN) {
            int rc = answer(cpu, cpu->exit.value);

            if (verdict >= 0 && rc < 0)
                verdict = rc;
        }
    }
    if (verdict < 0)
        fail(l, cpu, verdict);
    else if (l->stop)
        end(l, cpu, VMM_STOP);
    else if (verdict == VMM_RETURN)
        end(l, cpu, cpu->exit.kind);
    else if (l->left && --l->left == 0)
        end(l, cpu, VMM_BUDGET);
}

/* Under the lock: the vCPU has left the guest with cpu->exit. */
static void deliver(struct loop *l, struct vmm_cpu *cpu)
{
    enum vmm_kind kind = cpu->exit.kind;

    if (cpu->delivered)
        return;
    if (l->ended)
        cpu->held = kind != VMM_NONE && kind != VMM_KICK;
    else if (kind == VMM_KICK)
        poked(l, cpu);
    else if (kind != VMM_NONE)
        callback(l, cpu);
}

/* Where a failure has to end the run, enter() meets with it again. */
bool vmm_deliver(struct vmm_cpu *cpu)
{
    struct loop *l = cpu->vm->loop;

    if (!l || l->locking || l->ended)
        return false;
    come_out(cpu->meter);
    if (complete(cpu) < 0)
        return false;
    callback(l, cpu);
    cpu->delivered = l->ended;
    if (l->ended)
        return false;
    clear(&cpu->exit);
    go_in(cpu->meter);
    return true;
}

/* Handlers have the same lock. */
void vmm_hold(struct vmm_cpu *cpu)
{
    struct loop *l = cpu->vm->loop;

    if (l && l->locking)
        pthread_mutex_lock(&l->lock);
}

void vmm_let_go(struct vmm_cpu *cpu)
{
    struct loop *l = cpu->vm->loop;

    if (l && l->locking)
        pthread_mutex_unlock(&l->lock);
}

static void turn(struct loop *l, struct vmm_cpu *cpu)
{
    int rc = enter(cpu);

    if (l->locking)
        pthread_mutex_lock(&l->lock);
    if (rc < 0)
        fail(l, cpu, rc);
    else
        deliver(l, cpu);
    if (l->locking)
        pthread_mutex_unlock(&l->lock);
}

/* ---- one thread, or one for each vCPU ------------------------------------ */

static void take_turns(struct loop *l)
{
    for (unsigned i = 0; !l->ended; i = i + 1 < l->cpus ? i + 1 : 0) {
        struct vmm_cpu *cpu = l->cpu[i];

        cpu->slice = l->cpus > 1 ? SLICE : 0;
        do
            turn(l, cpu);
        while (!l->ended && (l->cpus == 1 || cpu->slice));
    }
}

struct seat { /* what a vCPU's thread gets */
    struct loop *loop;
    struct vmm_cpu *cpu;
    pthread_t thread;
};

static int alone(void *arg)
{
    struct seat *seat = arg;

    while (!seat->loop->ended)
        turn(seat->loop, seat->cpu);
    return 0;
}

static void *take_seat(void *arg)
{
    struct seat *seat = arg;
    struct vmm_cpu *cpu = seat->cpu;

    if (cpu->vm->ops->on_thread)
        cpu->vm->ops->on_thread(cpu, alone, seat);
    else
        alone(seat);
    return NULL;
}

static void side_by_side(struct loop *l)
{
    struct seat seat[VMM_MAX_CPUS];
    unsigned n = 0;

    seat[0] = (struct seat){.loop = l, .cpu = l->cpu[0]};
    while (++n < l->cpus) {
        int rc;

        seat[n] = (struct seat){.loop = l, .cpu = l->cpu[n]};
        rc = vmm_thread_start(&seat[n].thread, take_seat, &seat[n]);
        if (rc < 0) {
            pthread_mutex_lock(&l->lock);
            fail(l, l->cpu[0], rc);
            pthread_mutex_unlock(&l->lock);
            break;
        }
    }
    take_seat(&seat[0]);
    while (--n > 0)
        pthread_join(seat[n].thread, NULL);
}

/* ---- time limits --------------------------------------------------------- */

static void time_is_up(void *arg)
{
    struct loop *l = arg;

    for (unsigned i = 0; i < l->cpus; i++)
        poke(l->cpu[i], VMM_POKE_TIMEOUT);
    if (l->run->on_timeout)
        l->run->on_timeout(l->run->ctx);
}

/* ---- runs ---------------------------------------------------------------- */

static int begin(struct vmm *vm, struct vmm_cpu *cpu, struct loop *l)
{
    if (vm->loop)
        return vmm_fail(VMM_ESTATE, "machine: it is running already: a handler "
                                    "cannot run its own machine");
    if (vm->cpus == 0)
        return vmm_fail(VMM_ESTATE, "machine: it has no vcpu: make one first");
    for (unsigned i = 0; i < vm->cpus; i++)
        if (!cpu || vm->cpu[i] == cpu)
            l->cpu[l->cpus++] = vm->cpu[i];
    if (l->cpus == 0)
        return vmm_fail(VMM_EINVAL, "machine: the vcpu is another machine's");
    l->vm = vm;
    l->left = l->run->exits;
    for (unsigned i = 0; i < l->cpus; i++) {
        atomic_fetch_and(&l->cpu[i]->poke, KICKED);
        l->cpu[i]->running = true;
        if (l->run->meters)
            l->cpu[i]->meter = &l->run->meters[l->cpu[i]->index];
    }
    vm->ran = true;
    l->locking = vm->ops->threads && l->cpus > 1;
    pthread_mutex_init(&l->lock, NULL);
    return 0;
}

/* Bring every vCPU to rest behind its last instruction. */
static void finish(struct loop *l)
{
    for (unsigned i = 0; i < l->cpus; i++) {
        struct vmm_cpu *cpu = l->cpu[i];

        if (l->vm->ops->settle && !l->vm->closing && !cpu->asked &&
            !cpu->held && l->vm->ops->settle(cpu) < 0 && l->result == 0) {
            l->result = VMM_EHOST;
            memcpy(l->why, vmm_why(), sizeof l->why);
        }
        if (l->result < 0) /* who kicked it wanted it out, and out it is */
            atomic_fetch_and(&cpu->poke, ~(unsigned)VMM_POKE_KICK);
        cpu->running = false;
        cpu->meter = NULL;
    }
    pthread_mutex_destroy(&l->lock);
}

int vmm_run(struct vmm *vm, struct vmm_cpu *cpu, const struct vmm_run *run,
            struct vmm_exit *exit, struct vmm_cpu **who)
{
    struct loop l = {.run = run};
    int rc = begin(vm, cpu, &l);

    if (rc < 0)
        return rc;
    vm->loop = &l;
    l.dog = (struct vmm_watchdog){
        .ns = run->timeout, .again = AGAIN, .bark = time_is_up, .ctx = &l};
    l.result = vmm_watchdog_start(&l.dog);
    if (l.result < 0)
        memcpy(l.why, vmm_why(), sizeof l.why);
    else if (l.locking)
        side_by_side(&l);
    else if (vm->ops->threads)
        take_seat(&(struct seat){.loop = &l, .cpu = l.cpu[0]});
    else
        take_turns(&l);
    vmm_watchdog_stop(&l.dog);
    finish(&l);
    vm->loop = NULL;
    *exit = l.exit;
    if (who)
        *who = vm->closing ? NULL : l.who;
    if (vm->closing)
        vmm_close(vm);
    return l.result < 0 ? vmm_fail(l.result, "%s", l.why) : 0;
}

int vmm_stop(struct vmm *vm)
{
    if (!vm->loop)
        return vmm_fail(VMM_ESTATE, "stop: the machine is not running");
    vm->loop->stop = true;
    for (unsigned i = 0; i < vm->loop->cpus; i++)
        poke(vm->loop->cpu[i], VMM_POKE_STOP);
    return 0;
}

bool vmm_stopping(const struct vmm *vm)
{
    return vm->loop && vm->loop->stop;
}

void vmm_kick(struct vmm_cpu *cpu)
{
    poke(cpu, VMM_POKE_KICK);
}

void vmm_interrupt(struct vmm_cpu *cpu, bool on)
{
    if (on)
        poke(cpu, VMM_POKE_INTERRUPT);
    else
        atomic_fetch_and(&cpu->poke, ~(unsigned)VMM_POKE_INTERRUPT);
}

/* ---- runs of one exit ---------------------------------------------------- */

static int idle(const struct vmm_cpu *cpu, const char *what)
{
    if (!cpu->vm->loop)
        return 0;
    return vmm_fail(VMM_ESTATE,
                    "vcpu %u: %s: the machine is running already: do it when "
                    "the run has ended",
                    cpu->index, what);
}

int vmm_enter(struct vmm_cpu *cpu, struct vmm_exit *exit)
{
    int rc = idle(cpu, "enter");

    if (rc < 0)
        return rc;
    atomic_fetch_and(&cpu->poke, KICKED);
    cpu->slice = 0;
    cpu->vm->ran = true;
    rc = enter(cpu);
    if (rc == 0 && cpu->exit.kind == VMM_KICK)
        atomic_fetch_and(&cpu->poke, ~(unsigned)KICKED);
    *exit = cpu->exit;
    return rc;
}

int vmm_step(struct vmm_cpu *cpu, struct vmm_exit *exit)
{
    const struct vmm_ops *ops = cpu->vm->ops;
    int rc = idle(cpu, "step"), after;

    if (rc < 0)
        return rc;
    if (!ops->debug)
        return vmm_fail(VMM_ENOTSUP, "%s: step: not on this backend",
                        ops->name);
    cpu->debug.step = true;
    rc = ops->debug(cpu);
    if (rc == 0)
        rc = vmm_enter(cpu, exit);
    cpu->debug.step = false;
    after = ops->debug(cpu);
    return rc < 0 ? rc : after;
}
