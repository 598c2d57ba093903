/* SPDX-License-Identifier: MIT */
/* unicorn_arm64.h - what the files of the arm64 Unicorn backend share.
 *
 * One engine for each vCPU. The engine is driven as hardware is: the guest runs
 * at EL1 and EL0, the host plays EL2 by way of HCR_EL2 and stage-2 tables, so
 * that whatever concerns the host arrives with a syndrome:
 *   unicorn_arm64.c         the ops, the run loop
 *   unicorn_arm64_trap.c    exceptions for the host: exits
 *   unicorn_arm64_state.c   opening an engine, registers, changes of PSTATE
 *   unicorn_arm64_sysreg.c  system registers
 *   unicorn_arm64_el1.c     exceptions of the guest's own: its vectors
 *   unicorn_arm64_memory.c  slots for guest memory, stage 2
 *   unicorn_arm64_code.c    translated code: out of date, or too much of it
 *   unicorn_arm64_timer.c   the guest's virtual timer
 *   unicorn_arm64_fp.c      floating point where it is not allowed
 *   unicorn_arm64_debug.c   breakpoints, single step
 *   unicorn_arm64_watch.c   watchpoints */
#ifndef VMM_UNICORN_ARM64_H
#define VMM_UNICORN_ARM64_H

#include "unicorn.h"

/* The engine's physical address space. Guest memory has slots in it; stage 2
 * maps the guest's physical addresses there and nowhere else, so that the
 * private pages (stub code, stage-2 tables) are out of the guest's reach. All
 * has to lie within the 44 bits that the CPU has.
 * 2.0.1 looks data up by virtual address too: there the gaps are filled. */
#define A64_IPA_BITS 44
#define A64_SLOTS (UINT64_C(3) << 42)
#define A64_PRIVATE_SIZE (UINT64_C(64) << 20)
#define A64_PRIVATE ((UINT64_C(1) << 44) - A64_PRIVATE_SIZE)
#define A64_STUB_ERET (A64_PRIVATE + 8)

/* Host-owned registers, and those of the guest that several places name. */
enum a64_sysreg {
    A64_MDSCR_EL1 = VMM_A64_SYSREG(2, 0, 0, 2, 2),
    A64_MIDR_EL1 = VMM_A64_SYSREG(3, 0, 0, 0, 0),
    A64_MPIDR_EL1 = VMM_A64_SYSREG(3, 0, 0, 0, 5),
    A64_SCTLR_EL1 = VMM_A64_SYSREG(3, 0, 1, 0, 0),
    A64_CPACR_EL1 = VMM_A64_SYSREG(3, 0, 1, 0, 2),
    A64_TTBR0_EL1 = VMM_A64_SYSREG(3, 0, 2, 0, 0),
    A64_TTBR1_EL1 = VMM_A64_SYSREG(3, 0, 2, 0, 1),
    A64_TCR_EL1 = VMM_A64_SYSREG(3, 0, 2, 0, 2),
    A64_SPSR_EL1 = VMM_A64_SYSREG(3, 0, 4, 0, 0),
    A64_SP_EL0 = VMM_A64_SYSREG(3, 0, 4, 1, 0),
    A64_SPSEL = VMM_A64_SYSREG(3, 0, 4, 2, 0),
    A64_CURRENTEL = VMM_A64_SYSREG(3, 0, 4, 2, 2),
    A64_NZCV = VMM_A64_SYSREG(3, 3, 4, 2, 0),
    A64_DAIF = VMM_A64_SYSREG(3, 3, 4, 2, 1),
    A64_PMSWINC_EL0 = VMM_A64_SYSREG(3, 3, 9, 12, 4),
    A64_CNTFRQ_EL0 = VMM_A64_SYSREG(3, 3, 14, 0, 0),
    A64_SP_EL1 = VMM_A64_SYSREG(3, 4, 4, 1, 0),
    A64_VPIDR_EL2 = VMM_A64_SYSREG(3, 4, 0, 0, 0),
    A64_VMPIDR_EL2 = VMM_A64_SYSREG(3, 4, 0, 0, 5),
    A64_HCR_EL2 = VMM_A64_SYSREG(3, 4, 1, 1, 0),
    A64_MDCR_EL2 = VMM_A64_SYSREG(3, 4, 1, 1, 1),
    A64_CNTVOFF_EL2 = VMM_A64_SYSREG(3, 4, 14, 0, 3),
    A64_VTTBR_EL2 = VMM_A64_SYSREG(3, 4, 2, 1, 0),
    A64_VTCR_EL2 = VMM_A64_SYSREG(3, 4, 2, 1, 2),
    A64_HPFAR_EL2 = VMM_A64_SYSREG(3, 4, 6, 0, 4),
    A64_TPIDR_EL2 = VMM_A64_SYSREG(3, 4, 13, 0, 2),
    A64_CNTHCTL_EL2 = VMM_A64_SYSREG(3, 4, 14, 1, 0),
    A64_SCR_EL3 = VMM_A64_SYSREG(3, 6, 1, 1, 0),
    A64_SPSR_EL3 = VMM_A64_SYSREG(3, 6, 4, 0, 0)
};

enum a64_pstate {
    A64_EL0T = 0,
    A64_EL1T = 4,
    A64_EL1H = 5,
    A64_EL3H = 13,
    A64_MODE = 0x1f,
    A64_DAIF_ALL = 0x3c0,
    A64_SS = 1 << 21
};
#define A64_NZCV_ALL UINT32_C(0xf0000000)

/* HCR_EL2 bits: stage 2, interrupts are the host's, WFI and SMC trap, the guest
 * is AArch64; VI is the guest's interrupt line. */
#define A64_HCR_VM UINT64_C(1)
#define A64_HCR_VF (UINT64_C(1) << 6)
#define A64_HCR_VI (UINT64_C(1) << 7)
#define A64_HCR                                                                \
    (A64_HCR_VM | UINT64_C(1) << 3 | UINT64_C(1) << 4 | UINT64_C(1) << 13 |    \
     UINT64_C(1) << 19 | UINT64_C(1) << 31)

enum { A64_STALE = 64, A64_BREAKS = 256, A64_FP_PLACES = 4096 };

struct a64_engine;

struct a64_machine { /* vmm.host */
    struct unicorn u;
    uint8_t *private; /* host address of A64_PRIVATE */
    uint32_t used;    /* pages of it that were ever in use */
    uint32_t spare;   /* the first of those free again, or 0 */
    uint64_t next;    /* where the next slot goes, if that is free */
    uint64_t *slot;   /* vmm_mem.slot -> address of the slot; 0: free */
    uint32_t slots;
    /* Pages with code that some engine may have translated before it was
     * written: a ring of the last `published`, of which nobody has seen those
     * from `fresh` on. */
    uint64_t stale[A64_STALE];
    uint64_t published, fresh;
    struct a64_engine *last; /* to have run */
};

/* Why a hook stopped the engine. */
enum a64_leave {
    A64_LEAVE_NOT,
    A64_LEAVE_BLOCK, /* between blocks: somebody poked, or something to do */
    A64_LEAVE_TRAP,  /* an exception for the host: syndrome, far */
    A64_LEAVE_EXIT,  /* one that the hook has made an exit of */
    A64_LEAVE_STUCK, /* the guest's vector faults: see struct a64_entry */
    A64_LEAVE_BREAK,
    A64_LEAVE_FP /* before a block with what CPACR_EL1 does not allow */
};

/* What makes a block worth a second look. */
enum a64_heed {
    /* Somebody was told of new code: leave before the next block, to learn of it
     * too. Not at once: the instruction may be one that EL0 may not execute. */
    A64_HEED_TOLD = 1,
    A64_HEED_FP = 2 /* floating point may come where it is not allowed */
};

/* CPACR_EL1.FPEN; else nobody may. */
enum a64_fp { A64_FP_NOT_EL0 = 1, A64_FP_ALL = 3 };

/* The guest's last exception into EL1: what was before, for when it turns out
 * that there is no code at its vector. */
struct a64_entry {
    bool valid;
    uint64_t vector, offset; /* of its first instruction; from VBAR_EL1 */
    uint64_t blocks;         /* a64_engine.blocks then */
    uint32_t syndrome;
    uint64_t va;
    uint32_t pstate;
    uint64_t pc, sp, sp_el0, sp_el1, elr, spsr, esr, far;
};

struct a64_engine { /* vmm_cpu.host */
    struct vmm_cpu *cpu;
    struct a64_machine *m;
    uc_engine *uc;
    uc_context *context;
    size_t exception, flags; /* offsets of the engine's own state in context */
    bool old;                /* before 2.1: see a64_launch() */
    bool rebuild;            /* old: PSTATE has changed under the engine */
    bool ran;
    bool mapped;         /* the guest's MMU was ever on: see a64_physical() */
    bool changed;        /* cpu->debug, since the engine was entered */
    bool trap_registers; /* those for debugging are the script's to answer */
    uint64_t hcr;

    uint32_t before_el3; /* a64_at_el3(): PSTATE; old: what stands for it */

    uint64_t blocks, limit; /* executed; leave when there are more */
    uint64_t end;           /* of the block that is being executed */
    uint8_t heed;           /* enum a64_heed */
    enum a64_leave leave;
    uint32_t syndrome;
    uint64_t far;
    struct a64_entry entry;

    uint64_t emitted, budget; /* bytes of translated code, at most */
    uint64_t seen;            /* of a64_machine.published */

    struct vmm_a64_pieces access; /* under way */
    struct {
        uint64_t cval;
        uint8_t ctl;
        bool fired;  /* since it was last set */
        bool masked; /* by the script */
    } timer;

    uint8_t sysreg_rt; /* where the answer to a VMM_SYSREG goes */

    uint64_t brk[A64_BREAKS]; /* hooks are never removed: 2.0.1 crashes */
    unsigned breaks;
    bool broke, pass; /* the last exit was VMM_BREAK at broke_at; pass it */
    uint64_t broke_at;
    bool stepping;
    uint64_t mdscr; /* the guest's, while stepping */

    uint64_t shade[VMM_MAX_WATCH]; /* pages that now lack rights */
    unsigned shaded;
    bool over;           /* step over what accesses one of them */
    struct vmm_exit hit; /* and then give this exit, if it has a kind */

    struct {
        bool any;                          /* was seen */
        uint8_t allowed;                   /* enum a64_fp */
        uint64_t seen[A64_FP_PLACES / 64]; /* of blocks, by their address */
    } fp;
};

/* ---- unicorn_arm64_state.c ----------------------------------------------- */

uint64_t a64_reg(const struct a64_engine *e, int id);
void a64_set_reg(const struct a64_engine *e, int id, uint64_t value);
uint64_t a64_x(const struct a64_engine *e, unsigned n); /* 31: XZR */
void a64_set_x(const struct a64_engine *e, unsigned n, uint64_t value);
uint32_t a64_pstate(const struct a64_engine *e);
/* System registers by encoding, raw: only such as are known to exist. */
bool a64_cp_read(const struct a64_engine *e, uint32_t reg, uint64_t *value);
bool a64_cp_write(const struct a64_engine *e, uint32_t reg, uint64_t value);

/* Which of Unicorn's registers SP is a copy of, with this PSTATE. */
int a64_sp_bank(uint32_t pstate);
/* The guest physical address of the code at `va`. False: it is mapped nowhere. */
bool a64_physical(struct a64_engine *e, uint64_t va, uint64_t *pa);
/* The instruction at `pc`. False: its address is not mapped to memory. */
bool a64_instruction(struct a64_engine *e, uint64_t pc, uint32_t *instruction);
/* The guest, or somebody for it, writes SCTLR_EL1. */
void a64_sctlr_written(struct a64_engine *e, uint64_t value);
/* Change PSTATE, and with it which stack pointer is SP. */
void a64_set_pstate(struct a64_engine *e, uint32_t pstate);
/* PSTATE or a register that decides how code is translated has changed. */
void a64_state_changed(struct a64_engine *e);
/* Before running: where to start, which is PC, or what leads there. */
uint64_t a64_launch(struct a64_engine *e);
/* Put the engine at EL3, where no address is translated, and back. */
void a64_at_el3(struct a64_engine *e, bool on);
/* Fetch the last exception, of Unicorn's number `nr`, from the engine; gives its
 * target level. */
unsigned a64_exception(struct a64_engine *e, uint32_t nr);

int a64_state_open(struct a64_engine *e);
int a64_get(struct vmm_cpu *cpu, vmm_reg reg, union vmm_value *value);
int a64_set(struct vmm_cpu *cpu, vmm_reg reg, const union vmm_value *value);

/* ---- unicorn_arm64_sysreg.c ---------------------------------------------- */

/* Does the CPU have this register of EL1 or EL0? */
bool a64_cp_exists(uint32_t reg);
int a64_get_system(struct a64_engine *e, uint32_t reg, uint64_t *value);
int a64_set_system(struct a64_engine *e, uint32_t reg, uint64_t value);
int a64_get_own(const struct a64_engine *e, vmm_reg reg, uint64_t *value);
int a64_set_own(struct a64_engine *e, vmm_reg reg, uint64_t value);

/* ---- unicorn_arm64_trap.c ------------------------------------------------ */

/* Is it an MRS or MSR of EL1 that no register answers? Then e->syndrome becomes
 * what a hypervisor's trap would report. */
bool a64_unknown_sysreg(struct a64_engine *e);
/* The exception in e->syndrome and e->far is for the host. VMM_NONE: the guest
 * can go on. */
void a64_trapped(struct a64_engine *e, struct vmm_exit *exit);

/* ---- unicorn_arm64_el1.c ------------------------------------------------- */

/* The guest's own exception, e->syndrome: PC is then at its vector. False: that
 * leads nowhere, see a64_stuck(). */
bool a64_take(struct a64_engine *e);
/* The host could not fetch e->far. Was that the guest's vector? */
bool a64_vector_missing(const struct a64_engine *e);
/* Undo the entries that led nowhere and describe what started them. */
void a64_stuck(struct a64_engine *e, struct vmm_exit *exit);

/* ---- unicorn_arm64_memory.c ---------------------------------------------- */

int a64_memory_open(struct a64_machine *m);
void a64_memory_close(struct a64_machine *m);
/* Give a new engine the private pages and the memory mapped so far. */
int a64_memory_attach(struct a64_engine *e, const struct vmm *vm);
int a64_map(struct vmm *vm, struct vmm_mem *mem);
int a64_unmap(struct vmm *vm, struct vmm_mem *mem);
int a64_protect(struct vmm *vm, struct vmm_mem *mem, unsigned prot);
void a64_flush_tlb(struct a64_engine *e);
/* Take `rights` from one page, or give it back what it had, 0. False: there is
 * no memory, or none for the tables. */
bool a64_shade(struct vmm *vm, uint64_t page, unsigned rights);

/* ---- unicorn_arm64_code.c ------------------------------------------------ */

void a64_wrote(struct vmm *vm, const struct vmm_mem *mem, uint64_t at,
               uint64_t n);
/* The guest says (IC) that there is new code in the page of `at`, anywhere. */
void a64_publish(struct a64_machine *m, uint64_t at);
void a64_publish_all(struct a64_machine *m);
/* Forget the translations of what was published since the engine last ran. */
void a64_catch_up(struct a64_engine *e);
/* Forget all translations, one by one: the buffer's room is not regained. */
void a64_forget_code(struct a64_engine *e);
/* In a hook: a block was translated. And between runs: was it one too many? */
void a64_translated(struct a64_engine *e, uint64_t va, unsigned size);
void a64_make_room(struct a64_engine *e);

/* ---- unicorn_arm64_timer.c ----------------------------------------------- */

uc_err a64_timer_hooks(struct a64_engine *e);
/* False: not a register of the timer. */
bool a64_timer_get(const struct a64_engine *e, uint32_t reg, uint64_t *value);
bool a64_timer_set(struct a64_engine *e, uint32_t reg, uint64_t value);
bool a64_timer_armed(const struct a64_engine *e);
/* Has its time come, for the first time since it was set? */
bool a64_timer_fires(struct a64_engine *e);

/* ---- unicorn_arm64_fp.c -------------------------------------------------- */

bool a64_is_fp(uint32_t instruction);
/* A block was translated that has, or may have, such an instruction. */
void a64_fp_translated(struct a64_engine *e, uint64_t va);
/* The guest, or somebody for it, writes CPACR_EL1. */
void a64_fp_control(struct a64_engine *e, uint64_t cpacr);
/* With A64_HEED_FP: is there an instruction in this block that may not be executed? */
bool a64_fp_traps(struct a64_engine *e, uint64_t va, unsigned size);
/* Is it the one at PC? Then e->syndrome is that of its exception. */
bool a64_fp_next(struct a64_engine *e);

/* ---- unicorn_arm64_debug.c ----------------------------------------------- */

int a64_debug(struct vmm_cpu *cpu);
/* Which debug exceptions and registers are the host's: at first, and whenever
 * that changes. */
void a64_route_debug(struct a64_engine *e);
/* Is the run to stop at `va`, rather than execute what is there? */
bool a64_breaks(struct a64_engine *e, uint64_t va);
void a64_step_begin(struct a64_engine *e);
void a64_step_end(struct a64_engine *e);

/* ---- unicorn_arm64_watch.c ----------------------------------------------- */

void a64_watch_begin(struct a64_engine *e);
void a64_watch_end(struct a64_engine *e);
/* Is the abort in *exit, raw as yet, due to a watchpoint? Sets over and hit. */
bool a64_watch_fault(struct a64_engine *e, const struct vmm_exit *exit);

#endif
