/* SPDX-License-Identifier: MIT */
/* test.h - what the tests of the double share: each test is a process of its
 * own, as there is one VM for each, and some are meant to abort. */
#ifndef FAKEHV_TEST_H
#define FAKEHV_TEST_H

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <Hypervisor/Hypervisor.h>
#include <libkern/OSCacheControl.h>
#include <mach/mach_time.h>

#include "fakehv.h"

enum { GRANULE = 0x4000, RAM_SIZE = 0x100000, CODE = 0x4000, EL1H = 0x3c5 };

static unsigned done, failed;
static bool bad;

static inline void check(bool good, const char *what, int line)
{
    if (good)
        return;
    printf("# line %d: %s\n", line, what);
    bad = true;
}

#define CHECK(what) check((what), #what, __LINE__)
#define OK(call) check((call) == HV_SUCCESS, #call, __LINE__)
#define GIVES(call, code)                                                      \
    check((call) == (code), #call " gives " #code, __LINE__)

/* How a test ends. */
enum end { RETURNS, ABORTS };

static inline void result(bool good, const char *what)
{
    failed += !good;
    printf("%s %u - fakehv: %s\n", good ? "ok" : "not ok", ++done, what);
    fflush(stdout);
}

/* An abort is silent: what it would say is said when it does not come. */
static inline void test(const char *what, void (*run)(void), enum end end)
{
    int status = 0;
    pid_t child;

    fflush(stdout);
    child = fork();
    if (child == 0) {
        alarm(240);
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* nobody waits for it any more */
        if (end == ABORTS && freopen("/dev/null", "w", stderr) == NULL)
            _exit(2);
        run();
        fflush(stdout);
        _exit(bad);
    }
    waitpid(child, &status, 0);
    if (end == ABORTS)
        result(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, what);
    else
        result(WIFEXITED(status) && WEXITSTATUS(status) == 0, what);
}

static inline int plan(void)
{
    printf("1..%u\n", done);
    return failed != 0;
}

/* Without libunicorn there are no vCPUs: then nothing of this is tested. */
#define SKIP_ALL()                                                             \
    do {                                                                       \
        const char *why_ = fake_hv_unusable();                                 \
        if (why_ != NULL) {                                                    \
            printf("ok 1 - fakehv: %s # SKIP %s\n1..1\n", __FILE__, why_);     \
            return 0;                                                          \
        }                                                                      \
    } while (0)

/* ---- machines ------------------------------------------------------------- */

static hv_vcpu_t cpu;
static hv_vcpu_exit_t *left;
static uint8_t *ram;

/* Sixteen bytes of a vector register. */
static inline bool same(hv_simd_fp_uchar16_t a, hv_simd_fp_uchar16_t b)
{
    for (int i = 0; i < 16; i++)
        if (a[i] != b[i])
            return false;
    return true;
}

static inline void *host_memory(size_t size)
{
    void *p = NULL;

    OK(hv_vm_allocate(&p, size, HV_ALLOCATE_DEFAULT));
    return p;
}

static inline void set(hv_reg_t reg, uint64_t value)
{
    OK(hv_vcpu_set_reg(cpu, reg, value));
}

static inline uint64_t get(hv_reg_t reg)
{
    uint64_t value = 0;

    OK(hv_vcpu_get_reg(cpu, reg, &value));
    return value;
}

static inline void set_sys(hv_sys_reg_t reg, uint64_t value)
{
    OK(hv_vcpu_set_sys_reg(cpu, reg, value));
}

static inline uint64_t get_sys(hv_sys_reg_t reg)
{
    uint64_t value = 0;

    OK(hv_vcpu_get_sys_reg(cpu, reg, &value));
    return value;
}

/* Put code at an address, and let the guest see it. */
static inline void put(uint64_t at, const void *code, size_t size)
{
    memcpy(ram + at, code, size);
    sys_icache_invalidate(ram + at, size);
}

#define PUT(at, ...)                                                           \
    put((at), (const uint32_t[]){__VA_ARGS__},                                 \
        sizeof((const uint32_t[]){__VA_ARGS__}))

/* RAM at 0, with all rights, in the VM there is. */
static inline void add_ram(void)
{
    ram = host_memory(RAM_SIZE);
    OK(hv_vm_map(ram, 0, RAM_SIZE,
                 HV_MEMORY_READ | HV_MEMORY_WRITE | HV_MEMORY_EXEC));
}

/* A vCPU that is about to execute what is at CODE. */
static inline void add_cpu(void)
{
    OK(hv_vcpu_create(&cpu, &left, NULL));
    set(HV_REG_PC, CODE);
    set(HV_REG_CPSR, EL1H);
}

static inline void boot(void)
{
    OK(hv_vm_create(NULL));
    add_ram();
    add_cpu();
}

#define BOOT(...)                                                              \
    do {                                                                       \
        boot();                                                                \
        PUT(CODE, __VA_ARGS__);                                                \
    } while (0)

/* Run, to an exit of this reason. */
static inline void run_to(hv_exit_reason_t reason, int line)
{
    check(hv_vcpu_run(cpu) == HV_SUCCESS, "hv_vcpu_run", line);
    check(left->reason == reason, "exit reason", line);
    if (left->reason != reason)
        printf("# reason %u, not %u; syndrome 0x%llx, pc 0x%llx\n",
               left->reason, reason,
               (unsigned long long)left->exception.syndrome,
               (unsigned long long)get(HV_REG_PC));
}

/* Run, to an exception with this syndrome, and with PC there. */
static inline void run_until(uint64_t syndrome, uint64_t pc, int line)
{
    run_to(HV_EXIT_REASON_EXCEPTION, line);
    if (left->exception.syndrome == syndrome && get(HV_REG_PC) == pc)
        return;
    check(false, "exception", line);
    printf("# syndrome 0x%llx, not 0x%llx; pc 0x%llx, not 0x%llx\n",
           (unsigned long long)left->exception.syndrome,
           (unsigned long long)syndrome, (unsigned long long)get(HV_REG_PC),
           (unsigned long long)pc);
}

#define RUN_TO(reason) run_to((reason), __LINE__)
#define RUN_UNTIL(syndrome, pc) run_until((syndrome), (pc), __LINE__)

static inline void shut_down(void)
{
    OK(hv_vcpu_destroy(cpu));
    OK(hv_vm_destroy());
}

#endif
