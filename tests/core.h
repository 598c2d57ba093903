/* SPDX-License-Identifier: MIT */
/* core.h - what the tests of core's C API share: checks, TAP, and a small guest
 * for each backend. */
#ifndef TESTS_CORE_H
#define TESTS_CORE_H

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm.h"

enum { PAGE = 0x1000, CODE = 0x1000, SIZE = 0x10000 };

static unsigned done, failed;
static _Atomic bool bad; /* a check of this test went wrong */

/* Also on threads of the test's own. */
static inline void check(bool good, const char *what, int line)
{
    if (good)
        return;
    printf("# line %d: %s; the last reason is: %s\n", line, what, vmm_why());
    bad = true;
}

#define CHECK(what) check((what), #what, __LINE__)

/* `code`, and a reason that names the culprit. */
#define FAILS(call, code, word)                                                \
    check((call) == (code) && strstr(vmm_why(), (word)), #call, __LINE__)

static inline void result(const char *what, const char *where)
{
    failed += bad;
    printf("%s %u - %s%s\n", bad ? "not ok" : "ok", ++done, what, where);
    bad = false;
}

/* ---- guests -------------------------------------------------------------- */

/* What each test is run on. Code goes to CODE. */
static const struct guest {
    const char *backend;
    enum vmm_arch arch;
    vmm_reg pc, count; /* what `counter` adds to */
    struct code {
        uint8_t bytes[16];
        size_t size;
    } endless, counter, reader;
} guests[] = {
#define ARM64                                                                  \
    .arch = VMM_ARM64, .pc = VMM_REG(VMM_GENERAL, VMM_A64_PC),                 \
    .count = VMM_REG(VMM_GENERAL, 1),                                          \
    .endless = {{0x00, 0x00, 0x00, 0x14}, 4}, /* b . */                        \
        .counter = {{0x21, 0x04, 0x00, 0x91,  /* add x1, x1, #1 */             \
                     0x02, 0x00, 0x00, 0xd4,  /* hvc #0 */                     \
                     0xfe, 0xff, 0xff, 0x17}, /* b .-8 */                      \
                    12},                                                       \
    .reader = {{0x01, 0x00, 0xa8, 0xd2,  /* mov x1, #0x40000000 */             \
                0x21, 0x00, 0x40, 0xb9}, /* ldr w1, [x1] */                    \
               8}
#define X86_64                                                                 \
    .arch = VMM_X86_64, .pc = VMM_REG(VMM_GENERAL, VMM_RIP),                   \
    .count = VMM_REG(VMM_GENERAL, VMM_RCX),                                    \
    .endless = {{0xeb, 0xfe}, 2}, /* jmp . */                                  \
        .counter = {{0x41,        /* inc %cx */                                \
                     0xe6, 0xe8,  /* out %al, $0xe8 */                         \
                     0xeb, 0xfb}, /* jmp .-3 */                                \
                    5},                                                        \
    .reader = {{0x66, 0xe5, 0x10,  /* in $0x10, %eax */                        \
                0x66, 0x89, 0xc1}, /* mov %eax, %ecx */                        \
               6}
    {.backend = "kvm", X86_64},
    {.backend = "unicorn", ARM64},
    {.backend = "unicorn", X86_64},
};

enum { GUESTS = sizeof guests / sizeof guests[0] };

/* Without a machine there is nothing to test. */
static inline void must(int rc)
{
    if (rc == 0)
        return;
    printf("Bail out! %s\n", vmm_why());
    exit(1);
}

static inline struct vmm *empty(const struct guest *g)
{
    struct vmm_config config = {.backend = g->backend, .arch = g->arch};
    struct vmm *vm = NULL;

    must(vmm_open(&config, &vm));
    return vm;
}

/* A machine of SIZE bytes at 0, and a vCPU that is about to run `code`. */
static inline struct vmm *boot(const struct guest *g, const struct code *code,
                               struct vmm_cpu **cpu)
{
    struct vmm_range ram = {.size = SIZE, .prot = VMM_R | VMM_W | VMM_X};
    union vmm_value pc = {.u64 = CODE};
    struct vmm *vm = empty(g);

    *cpu = NULL;
    must(vmm_map(vm, &ram));
    must(vmm_write(vm, CODE, code->bytes, code->size));
    must(vmm_cpu_open(vm, cpu));
    must(vmm_set(*cpu, g->pc, &pc));
    return vm;
}

static inline uint64_t counted(const struct guest *g, struct vmm_cpu *cpu)
{
    union vmm_value value = {0};

    CHECK(vmm_get(cpu, g->count, &value) == 0);
    return value.u64;
}

/* Why these guests cannot run here, in words; or NULL. */
static inline const char *unusable(const struct guest *g)
{
    const char *why = vmm_probe(g->backend, g->arch);
    struct vmm_config config = {.backend = g->backend, .arch = g->arch};
    struct vmm *vm;

    if (why)
        return why;
    if (vmm_open(&config, &vm) == 0)
        vmm_close(vm);
    else if (strstr(vmm_why(), "needs 2.1")) /* an old libunicorn */
        return vmm_why();
    return NULL;
}

struct test {
    const char *what;
    void (*test)(const struct guest *g);
};

/* Run the tests, up to a NULL, on all guests there are. */
static inline void run_tests(const struct test *tests)
{
    for (int i = 0; i < GUESTS; i++) {
        const struct guest *g = &guests[i];
        const char *why = unusable(g), *arch = vmm_arch_name(g->arch);
        char where[40];

        snprintf(where, sizeof where, " [%s %s]", g->backend, arch);
        for (const struct test *t = tests; t->test; t++) {
            if (!why)
                t->test(g);
            if (!why)
                result(t->what, where);
            else
                printf("ok %u - %s%s # SKIP %s\n", ++done, t->what, where, why);
        }
    }
}

static inline int plan(void)
{
    printf("1..%u\n", done);
    return failed != 0;
}

#endif
