/* SPDX-License-Identifier: MIT */
/* run.c - hv_vcpu_run(). */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine.h"

/* ---- what the guest may be entered with ----------------------------------- */

/* The fifth bit of the mode would be AArch32. */
static bool is_enterable(const struct vcpu *v)
{
    switch (v->cpsr & MODE_MASK) {
    case MODE_EL0T:
    case MODE_EL1T:
    case MODE_EL1H:
        return true;
    case MODE_EL2T:
    case MODE_EL2H:
        return v->engine->el2;
    default:
        return false;
    }
}

/* ---- exits ---------------------------------------------------------------- */

/* What nobody is to look at is not left to look as if it meant something. */
static void set_exit(struct vcpu *v, hv_exit_reason_t reason)
{
    v->exit->reason = reason;
    if (reason == HV_EXIT_REASON_EXCEPTION || fake.strict == 0)
        return;
    v->exit->exception.syndrome = POISON;
    v->exit->exception.virtual_address = POISON;
    v->exit->exception.physical_address = POISON;
}

static void set_exception(struct vcpu *v)
{
    const struct engine *e = v->engine;
    unsigned ec = e->syndrome >> 26;
    bool abort = ec == EC_FETCH_LOWER || ec == EC_DATA_LOWER;
    bool address = abort || ec == EC_WATCH_LOWER;

    set_exit(v, HV_EXIT_REASON_EXCEPTION);
    v->exit->exception.syndrome = e->syndrome;
    if (address || fake.strict > 0)
        v->exit->exception.virtual_address = address ? e->far : POISON;
    if (abort || fake.strict > 0)
        v->exit->exception.physical_address = abort ? e->ipa : POISON;
}

/* ---- before each entry ---------------------------------------------------- */

/* Is there a reason not to enter the guest (again)? */
static bool is_over(struct vcpu *v)
{
    struct engine *e = v->engine;
    bool gic;

    if (atomic_exchange(&v->cancel, false)) {
        set_exit(v, HV_EXIT_REASON_CANCELED);
        return true;
    }
    if (hooks_signal_waits(e)) {
        set_exit(v, HV_EXIT_REASON_UNKNOWN);
        return true;
    }
    fake_lock();
    gic = fake_vm.gic != NULL;
    fake_unlock();
    if (!gic && !v->masked && fake_timer_virtual_fires(v)) {
        v->masked = true;
        set_exit(v, HV_EXIT_REASON_VTIMER_ACTIVATED);
        return true;
    }
    return false;
}

static void set_lines(struct vcpu *v)
{
    struct engine *e = v->engine;
    uint64_t lines = (v->pending[HV_INTERRUPT_TYPE_IRQ] ? HCR_VI : 0) |
                     (v->pending[HV_INTERRUPT_TYPE_FIQ] ? HCR_VF : 0);

    e->gic_seen = fake_gic_changes();
    if (e->el2)
        return;
    e->timers = fake_timer_virtual_fires(v) | fake_timer_physical_fires(v) << 1;
    fake_lock();
    e->gic = fake_vm.gic != NULL;
    if (e->gic)
        lines = gic_guest_lines(v);
    fake_unlock();
    engine_set_sys(e, SYS_HCR_EL2, e->hcr | lines);
}

/* ---- one entry ------------------------------------------------------------ */

static void enter(struct vcpu *v)
{
    struct engine *e = v->engine;
    uint64_t start = fake_ticks_real();
    uc_err err;

    engine_catch_up(e);
    debug_arm(e);
    if (e->trap_fp)
        hooks_every_instruction(e);
    set_lines(v);
    e->leave = LEAVE_NOT;
    e->look = e->waited = e->missed = false;
    e->wait = WAIT_NOT;
    e->first = true;
    e->age++;
    e->turn = e->blocks;
    err = e->u.emu_start(e->uc, engine_reg(e, UC_ARM64_REG_PC), 0, 0, 0);
    v->exec_time += fake_ticks_real() - start;
    if (e->waited)
        engine_set_reg(e, UC_ARM64_REG_PC, e->wait_at);
    if (e->missed) {
        el2_missed(e);
        e->leave = LEAVE_EXIT;
    } else if (err != UC_ERR_OK && e->leave == LEAVE_NOT) {
        fake_die("libunicorn: %s", e->u.strerror(err));
    } else if (e->leave == LEAVE_NOT) {
        e->leave = LEAVE_BLOCK; /* a WFI that did not have to wait */
    }
}

/* WFI, where the GIC is the framework's: wait for what ends that. A clock that a
 * test turns makes no noise, so it is looked at now and then. */
static void idle(struct vcpu *v)
{
    struct engine *e = v->engine;
    bool awake = false;

    fake_turn_give();
    while (!awake) {
        struct timespec moment = {.tv_nsec = 200000};

        fake_lock();
        awake = gic_guest_lines(v) != 0;
        fake_unlock();
        awake |= atomic_load(&v->cancel) || hooks_signal_waits(e);
        if (!awake)
            nanosleep(&moment, NULL);
    }
    fake_turn_take(false);
}

/* False: go on. */
static bool left(struct vcpu *v)
{
    struct engine *e = v->engine;

    switch (e->leave) {
    case LEAVE_EXIT:
        set_exception(v);
        return true;
    case LEAVE_TAKE:
        el1_take(e, e->syndrome, e->far);
        return false;
    case LEAVE_IDLE:
        trap_advance(e);
        idle(v);
        return false;
    default:
        if (e->step == STEP_BEGUN)
            e->step = STEP_OVER;
        if (fake_turn_wanted() > 0) {
            fake_turn_give();
            fake_turn_take(false);
        }
        return false;
    }
}

/* ---- the call ------------------------------------------------------------- */

static bool is_spurious(void)
{
    static atomic_uint seed = 1;

    if (fake.spurious == 0)
        return false;
    return (atomic_fetch_add(&seed, 1) * 2654435761u >> 8) % fake.spurious == 0;
}

/* Signals wait while the guest runs, but for those that tell of a mistake. */
static void hold_signals(struct engine *e)
{
    static const int own[] = {SIGSEGV, SIGBUS,  SIGFPE, SIGILL,
                              SIGTRAP, SIGABRT, SIGSYS};
    sigset_t all;

    sigfillset(&all);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        sigdelset(&all, own[i]);
    pthread_sigmask(SIG_BLOCK, &all, &e->before);
}

static void set_running(struct vcpu *v, bool running)
{
    fake_lock();
    v->running = running;
    if (running)
        fake_vm.inside++;
    else
        fake_vm.inside--;
    fake_unlock();
}

static void run(struct vcpu *v)
{
    struct engine *e = v->engine;

    if (fake.signals)
        hold_signals(e);
    set_running(v, true);
    fake_turn_take(false);
    engine_load(e);
    do {
        if (is_over(v))
            break;
        enter(v);
    } while (!left(v));
    engine_store(e);
    fake_turn_give();
    set_running(v, false);
    if (fake.signals)
        pthread_sigmask(SIG_SETMASK, &e->before, NULL);
}

hv_return_t fake_vcpu_run(hv_vcpu_t vcpu)
{
    hv_return_t result;
    struct vcpu *v = fake_vcpu(vcpu, &result);

    if (v == NULL)
        return result;
    if (!is_enterable(v)) {
        result = HV_ILLEGAL_GUEST_STATE;
    } else if (is_spurious()) {
        set_exit(v, HV_EXIT_REASON_CANCELED);
    } else {
        if (!v->pc_set)
            fake_report("vCPU %u runs and nobody has set its PC",
                        (unsigned)vcpu);
        v->pc_set = true;
        fake_lock();
        v->ran = true;
        fake_unlock();
        run(v);
    }
    v->pending[HV_INTERRUPT_TYPE_IRQ] = v->pending[HV_INTERRUPT_TYPE_FIQ] =
        false;
    return result;
}
