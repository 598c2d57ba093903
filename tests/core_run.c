/* SPDX-License-Identifier: MIT */
/* core_run.c - core's C API as a C program meets it, without Lua: runs and their
 * callbacks, threads, time. (core.c has the rest.) Prints TAP. */
#include <pthread.h>
#include <time.h>

#include "core.h"

enum { MS = 1000000 }; /* nanoseconds */

/* ---- runs ---------------------------------------------------------------- */

/* What a callback sees, and what it is to do at exit number `at`. */
struct script {
    unsigned exits, at;
    int verdict;
    int (*act)(struct vmm_cpu *cpu);
};

static int follow(struct vmm_cpu *cpu, struct vmm_exit *exit, void *ctx)
{
    struct script *s = ctx;

    (void)exit;
    if (++s->exits != s->at)
        return VMM_RESUME;
    return s->act ? s->act(cpu) : s->verdict;
}

static int run(struct vmm *vm, struct script *s, struct vmm_exit *exit)
{
    struct vmm_run config = {.on_exit = follow, .ctx = s};

    return vmm_run(vm, NULL, &config, exit, NULL);
}

static void test_exits(const struct guest *g)
{
    struct vmm_cpu *cpu, *foreign, *who = NULL;
    struct vmm *vm = boot(g, &g->counter, &cpu);
    struct vmm *other = boot(g, &g->counter, &foreign);
    struct script s = {.at = 5, .verdict = VMM_RETURN};
    struct vmm_run plain = {0}, budget = {.exits = 3, .on_exit = follow};
    struct vmm_exit exit;

    CHECK(run(vm, &s, &exit) == 0 && exit.kind == VMM_HVC);
    CHECK(s.exits == 5 && counted(g, cpu) == 5 && !vmm_running(vm));
    CHECK(vmm_run(vm, cpu, &plain, &exit, &who) == 0 && who == cpu);
    CHECK(exit.kind == VMM_HVC && counted(g, cpu) == 6);
    s = (struct script){0};
    budget.ctx = &s;
    CHECK(vmm_run(vm, NULL, &budget, &exit, NULL) == 0);
    CHECK(exit.kind == VMM_BUDGET && s.exits == 3 && counted(g, cpu) == 9);
    CHECK(vmm_enter(cpu, &exit) == 0 && exit.kind == VMM_HVC);
    CHECK(counted(g, cpu) == 10);
    FAILS(vmm_run(vm, foreign, &plain, &exit, NULL), VMM_EINVAL, "another");
    vmm_close(other);
    vmm_close(vm);
}

static int refuse(struct vmm_cpu *cpu)
{
    char text[400];

    /* The next failure must not overwrite what becomes part of it. */
    FAILS(vmm_unmap(vmm_cpu_vm(cpu), 1), VMM_EINVAL, "unmap");
    snprintf(text, sizeof text, "%s", vmm_why());
    CHECK(strstr(text, "unmap"));
    return VMM_EINVAL;
}

static int run_again(struct vmm_cpu *cpu)
{
    struct vmm_run config = {0};
    struct vmm_exit exit;
    struct vmm_cpu *other;

    FAILS(vmm_run(vmm_cpu_vm(cpu), NULL, &config, &exit, NULL), VMM_ESTATE,
          "running already");
    FAILS(vmm_enter(cpu, &exit), VMM_ESTATE, "running already");
    FAILS(vmm_cpu_open(vmm_cpu_vm(cpu), &other), VMM_ESTATE, "running");
    return VMM_RETURN;
}

static int stop(struct vmm_cpu *cpu)
{
    CHECK(vmm_stop(vmm_cpu_vm(cpu)) == 0);
    return VMM_RESUME;
}

static int close_it(struct vmm_cpu *cpu)
{
    vmm_close(vmm_cpu_vm(cpu));
    return VMM_RESUME;
}

/* Take the guest's memory away, the code that runs included. */
static int unmap_all(struct vmm_cpu *cpu)
{
    CHECK(vmm_unmap(vmm_cpu_vm(cpu), 0) == 0);
    return VMM_RETURN;
}

static void test_callbacks(const struct guest *g)
{
    struct vmm_cpu *cpu;
    struct vmm *vm = boot(g, &g->counter, &cpu);
    struct script s = {.at = 3, .act = refuse};
    struct vmm_exit exit;

    FAILS(run(vm, &s, &exit), VMM_EINVAL, "unmap");
    CHECK(s.exits == 3 && counted(g, cpu) == 3);
    s = (struct script){.at = 2, .act = run_again};
    CHECK(run(vm, &s, &exit) == 0 && exit.kind == VMM_HVC);
    FAILS(vmm_stop(vm), VMM_ESTATE, "not running");
    s = (struct script){.at = 2, .act = stop};
    CHECK(run(vm, &s, &exit) == 0 && exit.kind == VMM_STOP);
    CHECK(s.exits == 2 && counted(g, cpu) == 7);
    s = (struct script){.at = 1, .act = unmap_all};
    CHECK(run(vm, &s, &exit) == 0 && counted(g, cpu) == 8);
    s = (struct script){0};
    vmm_close(vm);
    vm = boot(g, &g->counter, &cpu);
    s = (struct script){.at = 4, .act = close_it};
    CHECK(run(vm, &s, &exit) == 0 && exit.kind == VMM_STOP && s.exits == 4);
}

static int answer(struct vmm_cpu *cpu, struct vmm_exit *exit, void *ctx)
{
    (void)cpu;
    if (!vmm_exit_reads(exit))
        return VMM_RETURN;
    *(uint64_t *)ctx = exit->value; /* what it finds there */
    exit->value = UINT64_C(0x1122334455667788);
    return VMM_RESUME;
}

static void test_reads(const struct guest *g)
{
    uint64_t before = 0;
    struct vmm_run config = {.on_exit = answer, .ctx = &before, .exits = 1};
    struct vmm_cpu *cpu;
    struct vmm *vm = boot(g, &g->reader, &cpu);
    struct vmm_exit exit;
    union vmm_value pc = {.u64 = CODE};

    FAILS(vmm_answer(cpu, 1), VMM_ESTATE, "read nothing");
    CHECK(vmm_enter(cpu, &exit) == 0 && vmm_exit_reads(&exit));
    CHECK(exit.size == 4 && exit.value == UINT32_MAX);
    CHECK(vmm_answer(cpu, 0x99) == 0);
    FAILS(vmm_answer(cpu, 0x98), VMM_ESTATE, "read nothing");
    CHECK(vmm_set(cpu, g->pc, &pc) == 0);
    CHECK(vmm_run(vm, NULL, &config, &exit, NULL) == 0);
    CHECK(exit.kind == VMM_BUDGET && before == UINT32_MAX);
    if (g->arch == VMM_X86_64) /* `mov` comes after the read */
        CHECK(vmm_step(cpu, &exit) == 0 && exit.kind == VMM_STEP);
    CHECK(counted(g, cpu) == 0x55667788);
    vmm_close(vm);
}

/* ---- threads ------------------------------------------------------------- */

static void sleep_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_nsec = ms * MS}, NULL);
}

static void *kick(void *arg)
{
    sleep_ms(10);
    vmm_kick(arg);
    return NULL;
}

static void test_kicks(const struct guest *g)
{
    struct vmm_run config = {0};
    struct vmm_cpu *cpu;
    struct vmm *vm = boot(g, &g->endless, &cpu);
    struct vmm_exit exit;
    pthread_t thread;

    for (int i = 0; i < 3; i++) {
        CHECK(pthread_create(&thread, NULL, kick, cpu) == 0);
        CHECK(vmm_run(vm, NULL, &config, &exit, NULL) == 0);
        CHECK(exit.kind == VMM_KICK);
        pthread_join(thread, NULL);
    }
    vmm_kick(cpu); /* latched, and only once */
    vmm_kick(cpu);
    CHECK(vmm_run(vm, NULL, &config, &exit, NULL) == 0);
    CHECK(exit.kind == VMM_KICK);
    config.timeout = 10 * MS;
    CHECK(vmm_run(vm, NULL, &config, &exit, NULL) == 0);
    CHECK(exit.kind == VMM_TIMEOUT);
    vmm_close(vm);
}

static void count_call(void *ctx)
{
    atomic_fetch_add((_Atomic unsigned *)ctx, 1);
}

static int sleep_long(struct vmm_cpu *cpu)
{
    (void)cpu;
    sleep_ms(80);
    return VMM_RESUME;
}

static void test_timeouts(const struct guest *g)
{
    _Atomic unsigned calls = 0;
    struct script s = {.at = 1, .act = sleep_long};
    struct vmm_run config = {
        .timeout = 10 * MS, .on_timeout = count_call, .ctx = &calls};
    struct vmm_cpu *cpu;
    struct vmm *vm = boot(g, &g->endless, &cpu);
    struct vmm_exit exit;

    CHECK(vmm_run(vm, NULL, &config, &exit, NULL) == 0);
    CHECK(exit.kind == VMM_TIMEOUT && calls >= 1);
    vmm_close(vm);
    vm = boot(g, &g->counter, &cpu); /* the time is up in the callback */
    config = (struct vmm_run){.timeout = 10 * MS, .on_exit = follow, .ctx = &s};
    CHECK(vmm_run(vm, NULL, &config, &exit, NULL) == 0);
    CHECK(exit.kind == VMM_TIMEOUT && s.exits == 1 && counted(g, cpu) == 1);
    vmm_close(vm);
}

/* A machine of its own on each of several threads, all of them at work. */
static void *work(void *arg)
{
    const struct guest *g = arg;
    struct vmm_cpu *cpu;
    struct vmm *vm = boot(g, &g->counter, &cpu);
    struct script s = {.at = 300, .verdict = VMM_RETURN};
    struct vmm_exit exit;

    for (int i = 1; i <= 3; i++, s.exits = 0) {
        CHECK(run(vm, &s, &exit) == 0 && exit.kind == VMM_HVC);
        CHECK(counted(g, cpu) == 300U * (unsigned)i);
        FAILS(vmm_unmap(vm, (uint64_t)i), VMM_EINVAL, "inside"); /* its own */
    }
    vmm_close(vm);
    return NULL;
}

static void test_threads(void)
{
    pthread_t thread[2 * GUESTS];
    int n = 0;

    for (int i = 0; i < 2 * GUESTS; i++)
        if (!unusable(&guests[i % GUESTS]) &&
            pthread_create(&thread[n], NULL, work,
                           (void *)(uintptr_t)&guests[i % GUESTS]) == 0)
            n++;
    while (n)
        pthread_join(thread[--n], NULL);
    result("machines of all kinds at once, each on a thread of its own", "");
}

/* ---- all of it ----------------------------------------------------------- */

static const struct test tests[] = {
    {"callbacks, budgets, single entries", test_exits},
    {"callbacks that fail, stop, close, run again", test_callbacks},
    {"reads and their answers", test_reads},
    {"kicks from another thread, and before the run", test_kicks},
    {"time limits", test_timeouts},
    {NULL, NULL},
};

int main(void)
{
    run_tests(tests);
    test_threads();
    return plan();
}
