/* SPDX-License-Identifier: MIT */
/* fakehv_time.c - tests of the double: interrupts, the timer, cancel, signals,
 * and vCPUs that run at the same time. */
#include <stdatomic.h>

#include "test.h"

/* ---- interrupts ----------------------------------------------------------- */

static void pending(void)
{
    bool flag = false;

    BOOT(0xd4000022, /* hvc #1 */
         0xd50342ff, /* msr daifclr, #2 */
         0xd503201f, /* nop */
         0xd4000042 /* hvc #2 */);
    PUT(0x8280, 0xd5384021, /* mrs x1, elr_el1 */
        0xd4000062 /* hvc #3 */);
    set_sys(HV_SYS_REG_VBAR_EL1, 0x8000);
    OK(hv_vcpu_set_pending_interrupt(cpu, HV_INTERRUPT_TYPE_IRQ, true));
    OK(hv_vcpu_get_pending_interrupt(cpu, HV_INTERRUPT_TYPE_IRQ, &flag));
    CHECK(flag);
    OK(hv_vcpu_get_pending_interrupt(cpu, HV_INTERRUPT_TYPE_FIQ, &flag));
    CHECK(!flag);
    RUN_UNTIL(0x5a000001, CODE + 4); /* it was masked, and is gone */
    OK(hv_vcpu_get_pending_interrupt(cpu, HV_INTERRUPT_TYPE_IRQ, &flag));
    CHECK(!flag);
    RUN_UNTIL(0x5a000002, CODE + 16);
    set(HV_REG_PC, CODE + 4);
    set(HV_REG_CPSR, EL1H);
    OK(hv_vcpu_set_pending_interrupt(cpu, HV_INTERRUPT_TYPE_IRQ, true));
    RUN_UNTIL(0x5a000003, 0x8288);
    CHECK(get(HV_REG_X1) == CODE + 8);
    shut_down();
}

static void pending_fiq(void)
{
    BOOT(0xd50341ff, /* msr daifclr, #1 */
         0xd503201f, /* nop */
         0xd4000042 /* hvc #2 */);
    PUT(0x8300, 0xd4000062 /* hvc #3 */);
    set_sys(HV_SYS_REG_VBAR_EL1, 0x8000);
    OK(hv_vcpu_set_pending_interrupt(cpu, HV_INTERRUPT_TYPE_FIQ, true));
    RUN_UNTIL(0x5a000003, 0x8304);
    shut_down();
}

/* Every return clears it, also one that did not enter the guest. */
static void pending_and_canceled(void)
{
    bool flag = true;

    BOOT(0xd50342ff, /* msr daifclr, #2 */
         0xd503201f, /* nop */
         0xd4000042 /* hvc #2 */);
    OK(hv_vcpu_set_pending_interrupt(cpu, HV_INTERRUPT_TYPE_IRQ, true));
    OK(hv_vcpus_exit(&cpu, 1));
    RUN_TO(HV_EXIT_REASON_CANCELED);
    OK(hv_vcpu_get_pending_interrupt(cpu, HV_INTERRUPT_TYPE_IRQ, &flag));
    CHECK(!flag);
    RUN_UNTIL(0x5a000002, CODE + 12);
    shut_down();
}

/* ---- the timer ------------------------------------------------------------ */

static void timer(void)
{
    bool masked = true;

    fake_hv_clock_stop(1000);
    BOOT(0xd2800020, /* mov x0, #1 */
         0xd51be320, /* msr cntv_ctl_el0, x0 */
         0xd4000022, /* hvc #1 */
         0xd4000042, /* hvc #2 */
         0xd4000062 /* hvc #3 */);
    set_sys(HV_SYS_REG_CNTV_CVAL_EL0, 2000);
    RUN_UNTIL(0x5a000001, CODE + 12);
    CHECK(get_sys(HV_SYS_REG_CNTV_CTL_EL0) == 1);
    fake_hv_clock_advance(999);
    RUN_UNTIL(0x5a000002, CODE + 16);
    fake_hv_clock_advance(1);
    CHECK(get_sys(HV_SYS_REG_CNTV_CTL_EL0) == 5);
    OK(hv_vcpu_get_vtimer_mask(cpu, &masked));
    CHECK(!masked);
    RUN_TO(HV_EXIT_REASON_VTIMER_ACTIVATED);
    CHECK(get(HV_REG_PC) == CODE + 16);
    OK(hv_vcpu_get_vtimer_mask(cpu, &masked));
    CHECK(masked);
    RUN_UNTIL(0x5a000003, CODE + 20); /* no second one while masked */
    OK(hv_vcpu_set_vtimer_mask(cpu, false));
    RUN_TO(HV_EXIT_REASON_VTIMER_ACTIVATED); /* it is still asserted */
    OK(hv_vcpu_set_vtimer_mask(cpu, false));
    set_sys(HV_SYS_REG_CNTV_CTL_EL0, 3);
    set(HV_REG_PC, CODE + 8);
    RUN_UNTIL(0x5a000001, CODE + 12);
    shut_down();
}

/* While the guest goes round in circles, too. */
static void timer_in_loop(void)
{
    BOOT(0xd53be040, /* mrs x0, cntvct_el0 */
         0x91200000, /* add x0, x0, #2048 */
         0xd51be340, /* msr cntv_cval_el0, x0 */
         0xd2800020, /* mov x0, #1 */
         0xd51be320, /* msr cntv_ctl_el0, x0 */
         0x14000000 /* b . */);
    RUN_TO(HV_EXIT_REASON_VTIMER_ACTIVATED);
    CHECK(get(HV_REG_PC) == CODE + 20);
    shut_down();
}

static void offset(void)
{
    uint64_t value = 1;

    fake_hv_clock_stop(5000);
    BOOT(0xd53be040, /* mrs x0, cntvct_el0 */
         0xd53be301, /* mrs x1, cntv_tval_el0 */
         0xd53be342, /* mrs x2, cntv_cval_el0 */
         0xd4000002 /* hvc #0 */);
    OK(hv_vcpu_get_vtimer_offset(cpu, &value));
    CHECK(value == 0);
    OK(hv_vcpu_set_vtimer_offset(cpu, 4000));
    OK(hv_vcpu_get_vtimer_offset(cpu, &value));
    CHECK(value == 4000);
    set_sys(HV_SYS_REG_CNTV_CVAL_EL0, 1500);
    RUN_UNTIL(0x5a000000, CODE + 16);
    CHECK(get(HV_REG_X0) == 1000 && get(HV_REG_X1) == 500);
    CHECK(get(HV_REG_X2) == 1500);
    set_sys(HV_SYS_REG_CNTV_CTL_EL0, 1);
    fake_hv_clock_advance(500);
    RUN_TO(HV_EXIT_REASON_VTIMER_ACTIVATED);
    shut_down();
}

static void exec_time(void)
{
    uint64_t before = 0, between = 0, after = 0;

    BOOT(0xf1000400, /* subs x0, x0, #1 */
         0x54ffffe1, /* b.ne .-4 */
         0xd4000002 /* hvc #0 */);
    set(HV_REG_X0, 20000000);
    OK(hv_vcpu_get_exec_time(cpu, &before));
    CHECK(before == 0);
    RUN_UNTIL(0x5a000000, CODE + 12);
    OK(hv_vcpu_get_exec_time(cpu, &between));
    CHECK(between > 24000 && between < 24000000u * 30);
    usleep(5000);
    OK(hv_vcpu_get_exec_time(cpu, &after));
    CHECK(after == between);
    shut_down();
}

/* ---- cancel --------------------------------------------------------------- */

static void latched(void)
{
    BOOT(0xd2800020, /* mov x0, #1 */
         0xd4000022, /* hvc #1 */
         0xd4000042 /* hvc #2 */);
    set(HV_REG_X0, 0);
    OK(hv_vcpus_exit(&cpu, 1));
    OK(hv_vcpus_exit(&cpu, 1));
    RUN_TO(HV_EXIT_REASON_CANCELED);
    CHECK(get(HV_REG_PC) == CODE && get(HV_REG_X0) == 0);
    RUN_UNTIL(0x5a000001, CODE + 8); /* two of them were one */
    shut_down();
}

static atomic_bool returned;

static void *cancel_soon(void *ctx)
{
    (void)ctx;
    usleep(3000);
    OK(hv_vcpus_exit(&cpu, 1));
    return NULL;
}

static void while_running(void)
{
    pthread_t thread;

    BOOT(0x91000400, /* add x0, x0, #1 */
         0x17ffffff /* b .-4 */);
    set(HV_REG_X0, 0);
    pthread_create(&thread, NULL, cancel_soon, NULL);
    RUN_TO(HV_EXIT_REASON_CANCELED);
    CHECK(get(HV_REG_X0) > 0);
    CHECK(get(HV_REG_PC) == CODE || get(HV_REG_PC) == CODE + 4);
    pthread_join(thread, NULL);
    shut_down();
}

/* Nothing that has happened is lost: the exit first, then the cancel. Counted
 * are hypercalls, which a guest numbers. */
static void *cancel_often(void *ctx)
{
    (void)ctx;
    while (!returned)
        hv_vcpus_exit(&cpu, 1);
    return NULL;
}

static void races(void)
{
    pthread_t thread;
    uint64_t calls = 0, cancels = 0;

    BOOT(0x91000400, /* add x0, x0, #1 */
         0xd4000002, /* hvc #0 */
         0x17fffffe /* b .-8 */);
    set(HV_REG_X0, 0);
    pthread_create(&thread, NULL, cancel_often, NULL);
    while (calls < 2000 || cancels == 0) {
        OK(hv_vcpu_run(cpu));
        if (left->reason == HV_EXIT_REASON_CANCELED)
            cancels++;
        else
            calls++;
    }
    returned = true;
    pthread_join(thread, NULL);
    CHECK(get(HV_REG_X0) == calls);
    shut_down();
}

static void bad_ids(void)
{
    hv_vcpu_t ids[2];

    BOOT(0xd4000002 /* hvc #0 */);
    ids[0] = cpu;
    ids[1] = 64;
    GIVES(hv_vcpus_exit(ids, 2), HV_BAD_ARGUMENT);
    ids[1] = cpu + 1;
    GIVES(hv_vcpus_exit(ids, 2), HV_BAD_ARGUMENT);
    GIVES(hv_vcpus_exit(NULL, 1), HV_BAD_ARGUMENT);
    OK(hv_vcpus_exit(ids, 0));
    RUN_UNTIL(0x5a000000, CODE + 4); /* none of them was the first one's */
    CHECK(fake_hv_reports() == 0);
    OK(hv_vcpu_destroy(cpu));
    GIVES(hv_vcpus_exit(&cpu, 1), HV_BAD_ARGUMENT);
    CHECK(fake_hv_reports() == 1);
    OK(hv_vm_destroy());
}

static bool is_race_reported(void)
{
    const char *report;

    for (unsigned i = 0; (report = fake_hv_report(i)) != NULL; i++)
        if (strstr(report, "in a race") != NULL)
            return true;
    return false;
}

/* Who cancels while the vCPU comes and goes is told. */
static void race_with_destroy(void)
{
    bool reported = false;
    pthread_t thread;
    hv_vcpu_t id;

    boot();
    pthread_create(&thread, NULL, cancel_often, NULL);
    CHECK(freopen("/dev/null", "w", stderr) != NULL); /* there are many */
    for (int i = 0; i < 5000 && !reported; i++) {
        fake_hv_forget();
        OK(hv_vcpu_destroy(cpu));
        OK(hv_vcpu_create(&id, &left, NULL));
        CHECK(id == cpu);
        reported = is_race_reported();
    }
    returned = true;
    pthread_join(thread, NULL);
    CHECK(reported);
    shut_down();
}

static void spurious(void)
{
    unsigned canceled = 0;

    BOOT(0xd4000002, /* hvc #0 */
         0x17ffffff /* b .-4 */);
    CHECK(fake_hv_set("FAKE_HV_SPURIOUS", "4"));
    for (int i = 0; i < 400; i++) {
        OK(hv_vcpu_run(cpu));
        canceled += left->reason == HV_EXIT_REASON_CANCELED;
    }
    CHECK(canceled > 30 && canceled < 250);
    shut_down();
}

/* ---- signals -------------------------------------------------------------- */

static atomic_uint handled;

static void handle(int signal)
{
    (void)signal;
    atomic_fetch_add(&handled, 1);
}

static pthread_t owner;

static void *signal_soon(void *ctx)
{
    (void)ctx;
    usleep(3000);
    pthread_kill(owner, SIGUSR1);
    return NULL;
}

/* The first may come before the run does. */
static void *signal_until(void *ctx)
{
    const atomic_bool *left_run = ctx;

    while (!atomic_load(left_run))
        signal_soon(NULL);
    return NULL;
}

static void signals(void)
{
    struct sigaction action = {.sa_handler = handle};
    atomic_bool left_run = false;
    pthread_t thread;

    BOOT(0x14000000 /* b . */);
    owner = pthread_self();
    sigaction(SIGUSR1, &action, NULL);
    pthread_create(&thread, NULL, signal_until, &left_run);
    RUN_TO(HV_EXIT_REASON_UNKNOWN);
    CHECK(handled >= 1 && get(HV_REG_PC) == CODE);
    atomic_store(&left_run, true);
    pthread_join(thread, NULL);
    shut_down();
}

/* One that the thread does not take does not end its run. */
static void blocked_signals(void)
{
    struct sigaction action = {.sa_handler = handle};
    sigset_t set_of;

    BOOT(0xd4000002 /* hvc #0 */);
    sigaction(SIGUSR1, &action, NULL);
    sigemptyset(&set_of);
    sigaddset(&set_of, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &set_of, NULL);
    pthread_kill(pthread_self(), SIGUSR1);
    RUN_UNTIL(0x5a000000, CODE + 4);
    CHECK(handled == 0);
    pthread_sigmask(SIG_UNBLOCK, &set_of, NULL);
    CHECK(handled == 1);
    shut_down();
}

static void signals_off(void)
{
    struct sigaction action = {.sa_handler = handle};
    pthread_t thread;

    fake_hv_set("FAKE_HV_SIGNALS", "0");
    BOOT(0xf1000400, /* subs x0, x0, #1 */
         0x54ffffe1, /* b.ne .-4 */
         0xd4000002 /* hvc #0 */);
    set(HV_REG_X0, 30000000);
    owner = pthread_self();
    sigaction(SIGUSR1, &action, NULL);
    pthread_create(&thread, NULL, signal_soon, NULL);
    RUN_UNTIL(0x5a000000, CODE + 12);
    pthread_join(thread, NULL);
    CHECK(handled == 1);
    shut_down();
}

/* ---- several vCPUs -------------------------------------------------------- */

enum { ROUNDS = 20000, CPUS = 3 };

static void *count(void *ctx)
{
    hv_vcpu_exit_t *exit;
    hv_vcpu_t id;
    uint64_t pc = 0;

    OK(hv_vcpu_create(&id, &exit, NULL));
    OK(hv_vcpu_set_reg(id, HV_REG_PC, CODE));
    OK(hv_vcpu_set_reg(id, HV_REG_CPSR, EL1H));
    OK(hv_vcpu_set_reg(id, HV_REG_X0, 0x8000));
    OK(hv_vcpu_set_reg(id, HV_REG_X1, ROUNDS));
    OK(hv_vcpu_run(id));
    OK(hv_vcpu_get_reg(id, HV_REG_PC, &pc));
    CHECK(exit->exception.syndrome == 0x5a000000 && pc == (uintptr_t)ctx);
    OK(hv_vcpu_destroy(id));
    return NULL;
}

static uint64_t count_with_all(uint64_t end)
{
    pthread_t threads[CPUS];
    uint64_t sum;

    for (int i = 0; i < CPUS; i++)
        pthread_create(&threads[i], NULL, count, (void *)(uintptr_t)end);
    for (int i = 0; i < CPUS; i++)
        pthread_join(threads[i], NULL);
    memcpy(&sum, ram + 0x8000, sizeof sum);
    memset(ram + 0x8000, 0, 8);
    return sum;
}

static void several(void)
{
    OK(hv_vm_create(NULL));
    add_ram();
    PUT(CODE, 0xc85f7c02, /* ldxr x2, [x0] */
        0x91000442,       /* add x2, x2, #1 */
        0xc8037c02,       /* stxr w3, x2, [x0] */
        0x35ffffa3,       /* cbnz w3, .-12 */
        0xf1000421,       /* subs x1, x1, #1 */
        0x54ffff61,       /* b.ne .-20 */
        0xd4000002 /* hvc #0 */);
    CHECK(count_with_all(CODE + 28) == CPUS * ROUNDS);
    PUT(CODE, 0xd2800022, /* mov x2, #1 */
        0xf8e20003,       /* ldaddal x2, x3, [x0] */
        0xf1000421,       /* subs x1, x1, #1 */
        0x54ffffc1,       /* b.ne .-8 */
        0xd4000002 /* hvc #0 */);
    CHECK(count_with_all(CODE + 20) == CPUS * ROUNDS);
    OK(hv_vm_destroy());
}

/* One waits for what another writes; the host maps memory meanwhile. */
static void *spin(void *ctx)
{
    hv_vcpu_exit_t *exit;
    hv_vcpu_t id;

    (void)ctx;
    OK(hv_vcpu_create(&id, &exit, NULL));
    OK(hv_vcpu_set_reg(id, HV_REG_PC, CODE));
    OK(hv_vcpu_set_reg(id, HV_REG_CPSR, EL1H));
    OK(hv_vcpu_set_reg(id, HV_REG_X0, 0x8000));
    OK(hv_vcpu_run(id));
    CHECK(exit->exception.syndrome == 0x5a000000);
    OK(hv_vcpu_destroy(id));
    return NULL;
}

static void changes_meanwhile(void)
{
    uint8_t *p = host_memory(GRANULE);
    pthread_t thread;

    OK(hv_vm_create(NULL));
    add_ram();
    PUT(CODE, 0xf9400001, /* ldr x1, [x0] */
        0xb4ffffe1,       /* cbz x1, .-4 */
        0xd4000002 /* hvc #0 */);
    pthread_create(&thread, NULL, spin, NULL);
    usleep(2000);
    for (uint64_t i = 0; i < 50; i++) {
        OK(hv_vm_map(p, 0x200000 + i * GRANULE, GRANULE, 7));
        OK(hv_vm_protect(0x200000 + i * GRANULE, GRANULE, 1));
    }
    OK(hv_vm_unmap(0x8000, GRANULE));
    p[0] = 1;
    OK(hv_vm_map(p, 0x8000, GRANULE, 7));
    pthread_join(thread, NULL);
    OK(hv_vm_destroy());
}

int main(void)
{
    SKIP_ALL();
    test("a pending IRQ is for one run, and only if it is not masked", pending,
         RETURNS);
    test("a pending FIQ too", pending_fiq, RETURNS);
    test("a pending IRQ is gone after CANCELED", pending_and_canceled, RETURNS);
    test("the virtual timer: one exit, masked, asserted again", timer, RETURNS);
    test("the virtual timer ends a loop", timer_in_loop, RETURNS);
    test("the virtual counter has an offset", offset, RETURNS);
    test("execution time is the guest's, in ticks", exec_time, RETURNS);
    test("a cancel is kept for the next run, once", latched, RETURNS);
    test("a cancel ends a run", while_running, RETURNS);
    test("an exit that has happened comes before a cancel", races, RETURNS);
    test("a cancel of what is no vCPU fails as a whole", bad_ids, RETURNS);
    test("a cancel in a race with destruction is reported", race_with_destroy,
         RETURNS);
    test("FAKE_HV_SPURIOUS: cancels for no reason", spurious, RETURNS);
    test("a signal ends a run: UNKNOWN", signals, RETURNS);
    test("but not one that is blocked", blocked_signals, RETURNS);
    test("FAKE_HV_SIGNALS=0: signals do not end runs", signals_off, RETURNS);
    test("locks and atomics of several vCPUs", several, RETURNS);
    test("memory changes while a vCPU runs", changes_meanwhile, RETURNS);
    return plan();
}
