/* SPDX-License-Identifier: MIT */
/* loop.c - core's exit loop on KVM with a callback in C, without Lua: what an exit
 * costs before a script sees it.
 *
 *   loop n code    what the guest stores to its device is added up, until it does
 *                  anything else. Its code is at 0x1000, its count in x19 or rax. */
#include <string.h>

#include "../bench/bench.h"
#include "vmm.h"

#ifdef __aarch64__
#define ARCH VMM_ARM64
enum { COUNT = 19, PC = VMM_A64_PC };
#else
#define ARCH VMM_X86_64
enum { COUNT = VMM_RAX, PC = VMM_RIP };
#endif

static int on_exit_c(struct vmm_cpu *cpu, struct vmm_exit *exit, void *ctx)
{
    uint64_t *sum = ctx;

    (void)cpu;
    if (!(exit->kind == VMM_IO && exit->port == 0x10) &&
        !(exit->kind == VMM_MMIO && exit->addr == 0x9000000))
        return VMM_RETURN;
    *sum += exit->value;
    return VMM_RESUME;
}

static void set(struct vmm_cpu *cpu, uint32_t nr, uint64_t value)
{
    const union vmm_value v = {.u64 = value};

    need(vmm_set(cpu, VMM_REG(VMM_GENERAL, nr), &v) == 0, vmm_why());
}

int main(int argc, char **argv)
{
    struct vmm_config config = {.arch = ARCH, .backend = "kvm"};
    struct vmm_range ram = {.size = 16 << 20, .prot = VMM_R | VMM_W | VMM_X};
    uint64_t start, sum = 0;
    struct vmm_run run = {.on_exit = on_exit_c, .ctx = &sum};
    struct vmm_exit exit;
    struct vmm_cpu *cpu;
    struct vmm *vm;
    uint8_t bytes[4096];
    size_t n;

    need(argc == 3, "usage: loop n code");
    n = code(argv[2], bytes, sizeof bytes);
    need(vmm_open(&config, &vm) == 0, vmm_why());
    need(vmm_map(vm, &ram) == 0, vmm_why());
    need(vmm_write(vm, 0x1000, bytes, n) == 0, vmm_why());
    need(vmm_cpu_open(vm, &cpu) == 0, vmm_why());
    set(cpu, PC, 0x1000);
    set(cpu, COUNT, strtoull(argv[1], NULL, 0));
    start = now();
    need(vmm_run(vm, NULL, &run, &exit, NULL) == 0, vmm_why());
    result(now() - start, sum);
    vmm_close(vm);
    return 0;
}
