/* SPDX-License-Identifier: MIT */
/* unicorn_arm64.c - arm64 guests on libunicorn, by hand:
 *
 *   unicorn_arm64 hypercall n code   hvc leaves the engine, the loop goes on
 *   unicorn_arm64 hook n code        hvc is served in the hook, as an undefined
 *                                    instruction whose PC is moved on
 *   unicorn_arm64 mmio n code        stage-2 faults leave the engine, are
 *                                    decoded, completed, and it goes on
 *   unicorn_arm64 start n code       up to the first hypercall
 *
 * The guest's code is at 0x10000, its count n in x19. Hypercall 0 ends it, with
 * the checksum in x1. */
#include <string.h>
#include <sys/mman.h>

#include "../../core/unicorn.h"
#include "bench.h"

enum { RAM = 16 << 20, CODE = 0x10000, DEVICE = 0x9000000 };
enum { HVC = 11, UNDEFINED = 1, DATA_ABORT = 4 }; /* Unicorn's numbers */

struct machine {
    struct unicorn u;
    uc_engine *uc;
    uint8_t *ram;
    uint32_t exception; /* that came last */
    uint64_t sum;
    uc_context *context;
    size_t syndrome; /* where it is in a context */
    uint32_t device; /* what was written last */
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

static void set_system(struct machine *m, uint32_t op1, uint32_t crn,
                       uint32_t crm, uint32_t op2, uint64_t value)
{
    uc_arm64_cp_reg cp = {crn, crm, 3, op1, op2, value};

    need(m->u.reg_write(m->uc, UC_ARM64_REG_CP_REG, &cp) == UC_ERR_OK,
         "cannot set a system register");
}

static void open_machine(struct machine *m, const char *hex, uint64_t n)
{
    need(unicorn_load(&m->u) == 0, vmm_why());
    need(m->u.open(UC_ARCH_ARM64, UC_MODE_ARM, &m->uc) == UC_ERR_OK, "open");
    m->u.ctl(m->uc, UC_CTL_WRITE(UC_CTL_CPU_MODEL, 1), UC_CPU_ARM64_A72);
    m->u.ctl(m->uc, UC_CTL_WRITE(UC_CTL_UC_USE_EXITS, 1), 1);
    m->ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    need(m->ram != MAP_FAILED, "mmap");
    code(hex, m->ram + CODE, 4096);
    need(m->u.mem_map_ptr(m->uc, 0, RAM, UC_PROT_ALL, m->ram) == UC_ERR_OK,
         "map");
    set(m, UC_ARM64_REG_PC, CODE);
    set(m, UC_ARM64_REG_X19, n);
}

static void hook(struct machine *m,
                 void (*on_exception)(uc_engine *, uint32_t, void *))
{
    uc_hook handle;

    need(m->u.hook_add(m->uc, &handle, UC_HOOK_INTR, (void *)on_exception, m, 1,
                       0) == UC_ERR_OK,
         "hook");
}

/* SCR_EL3: EL2 and EL1 are AArch64 and not secure, and there is HVC. */
static void enable_hvc(struct machine *m)
{
    set_system(m, 6, 1, 1, 0, 0x501);
}

static void leave(uc_engine *uc, uint32_t nr, void *ctx)
{
    struct machine *m = ctx;

    m->exception = nr;
    m->u.emu_stop(uc);
}

/* Run until the next exception. */
static void enter(struct machine *m)
{
    m->exception = 0;
    need(m->u.emu_start(m->uc, get(m, UC_ARM64_REG_PC), 0, 0, 0) == UC_ERR_OK,
         "run");
}

/* False: the guest is done. */
static bool hypercall(struct machine *m)
{
    uint64_t nr = get(m, UC_ARM64_REG_X0), a = get(m, UC_ARM64_REG_X1), b;

    if (nr == 0) {
        m->sum = a;
        return false;
    }
    b = get(m, UC_ARM64_REG_X2);
    set(m, UC_ARM64_REG_X0, a + b);
    return true;
}

/* ---- the loops ----------------------------------------------------------- */

static void run_hypercalls(struct machine *m)
{
    do {
        enter(m);
        need(m->exception == HVC, "not a hypercall");
    } while (hypercall(m));
}

static void serve(uc_engine *uc, uint32_t nr, void *ctx)
{
    struct machine *m = ctx;

    need(nr == UNDEFINED, "not a hypercall");
    if (hypercall(m))
        set(m, UC_ARM64_REG_PC, get(m, UC_ARM64_REG_PC) + 4);
    else
        m->u.emu_stop(uc);
}

/* ---- MMIO by stage 2 ----------------------------------------------------- */

/* The syndrome, which no register shows, is found by raising one that is known:
 * svc #0x5a5a, at the end of the memory. */
static void find_syndrome(struct machine *m)
{
    static const uint32_t svc = 0xd40b4b41, known = 0x56005a5a;
    size_t size = m->u.context_size(m->uc), at = 0;
    const uint8_t *bytes;

    memcpy(m->ram + RAM - 4, &svc, 4);
    m->u.context_alloc(m->uc, &m->context);
    m->u.emu_start(m->uc, RAM - 4, 0, 0, 0);
    m->u.context_save(m->uc, m->context);
    bytes = (const uint8_t *)m->context;
    while (at + 4 < size && memcmp(bytes + at, &known, 4) != 0)
        at += 4;
    m->syndrome = at;
    set(m, UC_ARM64_REG_PC, CODE);
}

/* Guest memory at its own addresses, in blocks of 2 MiB, by tables behind it. */
static void open_stage2(struct machine *m)
{
    enum { TABLES = 1 << 30, BLOCK = 2 << 20 };
    uint64_t *table = mmap(NULL, 8192, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    need(m->u.version >= UNICORN_VERSION(2, 1, 0),
         "stage 2 needs libunicorn 2.1 here");
    need(table != MAP_FAILED, "mmap");
    table[0] = (TABLES + 4096) | 3;
    for (uint64_t i = 0; i < RAM / BLOCK; i++)
        table[512 + i] = i * BLOCK | 0x7fd;
    m->u.mem_map_ptr(m->uc, TABLES, 8192, UC_PROT_ALL, table);
    set_system(m, 4, 2, 1, 2,
               25 | 1 << 6 | 1 << 8 | 1 << 10 | 3 << 12 | 1u << 31);
    set_system(m, 4, 2, 1, 0, TABLES);
    set_system(m, 4, 1, 1, 0, UINT64_C(1) << 31 | 1); /* HCR_EL2: RW, VM */
}

static void access_device(struct machine *m)
{
    uc_arm64_cp_reg hpfar = {.op0 = 3, .op1 = 4, .crn = 6, .op2 = 4};
    uint32_t syndrome;
    uint64_t far, at;
    int reg;

    m->u.context_save(m->uc, m->context);
    memcpy(&syndrome, (uint8_t *)m->context + m->syndrome, 4);
    memcpy(&far, (uint8_t *)m->context + m->syndrome + 8, 8);
    m->u.reg_read(m->uc, UC_ARM64_REG_CP_REG, &hpfar);
    at = hpfar.val >> 4 << 12 | (far & 0xfff);
    need(syndrome >> 24 == 0x93 && at - DEVICE < 4096, "not the device");
    need((syndrome >> 22 & 3) == 2, "not a word");
    reg = UC_ARM64_REG_X0 + (int)(syndrome >> 16 & 31);
    if (syndrome & 1 << 6)
        m->device = (uint32_t)get(m, reg);
    else
        set(m, reg, m->device + 1);
    set(m, UC_ARM64_REG_PC, get(m, UC_ARM64_REG_PC) + 4);
}

static void run_mmio(struct machine *m)
{
    for (;;) {
        enter(m);
        if (m->exception == HVC) {
            m->sum = get(m, UC_ARM64_REG_X1);
            return;
        }
        need(m->exception == DATA_ABORT, "not an access");
        access_device(m);
    }
}

int main(int argc, char **argv)
{
    struct machine m = {0};
    uint64_t start, n;

    need(argc == 4, "usage: unicorn_arm64 hypercall|hook|mmio|start n code");
    n = strtoull(argv[2], NULL, 0);
    open_machine(&m, argv[3], n);
    hook(&m, strcmp(argv[1], "hook") == 0 ? serve : leave);
    if (strcmp(argv[1], "hook") != 0)
        enable_hvc(&m);
    if (strcmp(argv[1], "mmio") == 0) {
        find_syndrome(&m);
        open_stage2(&m);
    }
    start = now();
    if (strcmp(argv[1], "start") == 0) {
        enter(&m);
        arrived((char)get(&m, UC_ARM64_REG_X1));
    } else if (strcmp(argv[1], "hook") == 0) {
        enter(&m);
    } else if (strcmp(argv[1], "mmio") == 0) {
        run_mmio(&m);
    } else {
        run_hypercalls(&m);
    }
    if (strcmp(argv[1], "start") != 0)
        result(now() - start, m.sum);
    return 0;
}
