/* SPDX-License-Identifier: MIT */
/* core.c - the C core without Lua: a guest that adds, and says so by hypercall.
 *
 *     cc core.c -o core $(pkg-config --cflags --libs hvlua)
 *     ./core */
#include <inttypes.h>
#include <stdio.h>
#include <vmm.h>

static const uint32_t code[] = {
    0x8b020020, /* add x0, x1, x2 */
    0xd4000002, /* hvc #0 */
};

static int set(struct vmm_cpu *cpu, uint32_t nr, uint64_t number)
{
    union vmm_value value = {.u64 = number};

    return vmm_set(cpu, VMM_REG(VMM_GENERAL, nr), &value);
}

/* 0, or a negative VMM_E* of the first that failed: vmm_why() has the reason. */
static int add(struct vmm *vm, uint64_t a, uint64_t b, struct vmm_exit *exit)
{
    struct vmm_range memory = {.size = 0x10000, .prot = VMM_R | VMM_X};
    struct vmm_run run = {.timeout = 10000000000}; /* no callback: first exit */
    struct vmm_cpu *cpu;
    int failed = vmm_map(vm, &memory);

    if (!failed)
        failed = vmm_write(vm, 0, code, sizeof code);
    if (!failed)
        failed = vmm_cpu_open(vm, &cpu);
    if (!failed)
        failed = set(cpu, VMM_A64_PC, 0);
    if (!failed)
        failed = set(cpu, 1, a);
    if (!failed)
        failed = set(cpu, 2, b);
    if (!failed)
        failed = vmm_run(vm, cpu, &run, exit, NULL);
    return failed;
}

int main(void)
{
    struct vmm_config config = {.arch = VMM_ARM64};
    struct vmm_exit exit;
    struct vmm *vm = NULL;
    int failed = vmm_open(&config, &vm);

    if (!failed)
        failed = add(vm, 40, 2, &exit);
    if (failed)
        fprintf(stderr, "core: %s\n", vmm_why());
    else
        printf("%s: %s number %" PRIu64 "\n", vmm_backend(vm),
               vmm_kind_name(exit.kind), exit.nr);
    vmm_close(vm);
    return failed != 0;
}
