/* SPDX-License-Identifier: MIT */
/* unicorn_x86.c - x86_64 guests on libunicorn, by hand:
 *
 *   unicorn_x86 hypercall n code   out %al, $0xe8 leaves the engine, and the
 *                                  loop goes on
 *
 * Stopped in the midst of a block, the engine would first go on to its end: so
 * the guest has a jump behind each OUT. Its code is at 0x10000, its count n in
 * rbx. Hypercall 0 ends it, with the checksum in rdi. */
#include <string.h>
#include <sys/mman.h>

#include "../../core/unicorn.h"
#include "bench.h"

enum { RAM = 1 << 20, CODE = 0x10000, PORT = 0xe8 };

struct machine {
    struct unicorn u;
    uc_engine *uc;
    uint32_t port; /* of the last access */
};

static uint64_t get(struct machine *m, int reg)
{
    uint64_t value = 0;

    m->u.reg_read(m->uc, reg, &value);
    return value;
}

static void set(struct machine *m, int reg, uint64_t value)
{
    m->u.reg_write(m->uc, reg, &value);
}

static void on_out(uc_engine *uc, uint32_t port, int size, uint32_t value,
                   void *ctx)
{
    struct machine *m = ctx;

    (void)size, (void)value;
    m->port = port;
    m->u.emu_stop(uc);
}

static void open_machine(struct machine *m, const char *hex, uint64_t n)
{
    uc_hook handle;
    uint8_t *ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    need(ram != MAP_FAILED, "mmap");
    code(hex, ram + CODE, 4096);
    need(unicorn_load(&m->u) == 0, vmm_why());
    need(m->u.open(UC_ARCH_X86, UC_MODE_64, &m->uc) == UC_ERR_OK, "open");
    m->u.ctl(m->uc, UC_CTL_WRITE(UC_CTL_UC_USE_EXITS, 1), 1);
    need(m->u.mem_map_ptr(m->uc, 0, RAM, UC_PROT_ALL, ram) == UC_ERR_OK, "map");
    need(m->u.hook_add(m->uc, &handle, UC_HOOK_INSN, (void *)on_out, m, 1, 0,
                       UC_X86_INS_OUT) == UC_ERR_OK,
         "hook");
    set(m, UC_X86_REG_RIP, CODE);
    set(m, UC_X86_REG_RBX, n);
}

/* The checksum, once the guest is done. */
static uint64_t run(struct machine *m)
{
    for (;;) {
        uint64_t nr, a;

        need(m->u.emu_start(m->uc, get(m, UC_X86_REG_RIP), 0, 0, 0) ==
                 UC_ERR_OK,
             "run");
        need(m->port == PORT, "not a hypercall");
        nr = get(m, UC_X86_REG_RAX);
        a = get(m, UC_X86_REG_RDI);
        if (nr == 0)
            return a;
        set(m, UC_X86_REG_RAX, a + get(m, UC_X86_REG_RSI));
    }
}

int main(int argc, char **argv)
{
    struct machine m = {0};
    uint64_t start, sum;

    need(argc == 4 && strcmp(argv[1], "hypercall") == 0,
         "usage: unicorn_x86 hypercall n code");
    open_machine(&m, argv[3], strtoull(argv[2], NULL, 0));
    start = now();
    sum = run(&m);
    result(now() - start, sum);
    return 0;
}
