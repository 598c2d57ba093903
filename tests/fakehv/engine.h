/* SPDX-License-Identifier: MIT */
/* engine.h - what executes a vCPU's instructions: libunicorn, driven as hardware
 * is. The guest runs at EL1 and EL0, the host plays EL2: traps and aborts arrive
 * with a syndrome, and PC where hardware leaves it.
 *
 *   engine.c   opening one; its registers; memory and code it has seen
 *   hooks.c    what it calls: blocks, exceptions, timer registers
 *   trap.c     exceptions for the host: the framework's own, or exits
 *   el1.c      exceptions for the guest
 *   debug.c    breakpoints, watchpoints
 *   el2.c      guests that have EL2
 *   walk.c     the guest's stage 1 */
#ifndef ENGINE_H
#define ENGINE_H

#include <signal.h>

#include "unicorn.h"

#include "fake.h"

#define SYSREG(op0, op1, crn, crm, op2)                                        \
    ((op0) << 14 | (op1) << 11 | (crn) << 7 | (crm) << 3 | (op2))

enum {
    SYS_MDSCR_EL1 = SYSREG(2, 0, 0, 2, 2),
    SYS_VPIDR_EL2 = SYSREG(3, 4, 0, 0, 0),
    SYS_VMPIDR_EL2 = SYSREG(3, 4, 0, 0, 5),
    SYS_HCR_EL2 = SYSREG(3, 4, 1, 1, 0),
    SYS_MDCR_EL2 = SYSREG(3, 4, 1, 1, 1),
    SYS_CPTR_EL2 = SYSREG(3, 4, 1, 1, 2),
    SYS_VTTBR_EL2 = SYSREG(3, 4, 2, 1, 0),
    SYS_VTCR_EL2 = SYSREG(3, 4, 2, 1, 2),
    SYS_HPFAR_EL2 = SYSREG(3, 4, 6, 0, 4),
    SYS_TPIDR_EL2 = SYSREG(3, 4, 13, 0, 2),
    SYS_CNTHCTL_EL2 = SYSREG(3, 4, 14, 1, 0),
    SYS_CNTFRQ_EL0 = SYSREG(3, 3, 14, 0, 0),
    SYS_CNTPCT_EL0 = SYSREG(3, 3, 14, 0, 1),
    SYS_CNTVCT_EL0 = SYSREG(3, 3, 14, 0, 2),
    SYS_SCR_EL3 = SYSREG(3, 6, 1, 1, 0),
    SYS_MDCR_EL3 = SYSREG(3, 6, 1, 3, 1)
};

enum {
    MODE_EL0T = 0,
    MODE_EL1T = 4,
    MODE_EL1H = 5,
    MODE_EL2T = 8,
    MODE_EL2H = 9,
    MODE_EL3H = 13,
    MODE_MASK = 0x1f,
    PSTATE_DAIF = 0x3c0,
    PSTATE_D = 1 << 9,
    PSTATE_SS = 1 << 21,
    MDSCR_SS = 1,
    MDSCR_KDE = 1 << 13,
    MDSCR_MDE = 1 << 15
};

enum {
    EC_UNKNOWN = 0x00,
    EC_WFX = 0x01,
    EC_FP = 0x07,
    EC_SVC = 0x15,
    EC_HVC = 0x16,
    EC_SMC = 0x17,
    EC_SYSREG = 0x18,
    EC_SVE = 0x19,
    EC_FETCH_LOWER = 0x20,
    EC_FETCH,
    EC_DATA_LOWER = 0x24,
    EC_DATA,
    EC_BREAK_LOWER = 0x30,
    EC_STEP_LOWER = 0x32,
    EC_WATCH_LOWER = 0x34,
    EC_BRK = 0x3c
};
#define PSTATE_NZCV UINT32_C(0xf0000000)
#define SYNDROME(ec, iss) ((uint32_t)(ec) << 26 | 1u << 25 | (uint32_t)(iss))
#define SYNDROME_WFI SYNDROME(EC_WFX, 0x1e00000)
#define SYNDROME_STEP SYNDROME(EC_STEP_LOWER, 1 << 24 | 0x22)

/* HCR_EL2: stage 2; interrupts are the host's; WFI, ID registers, caches, SMC,
 * implementation-defined registers, ACTLR and LOR* trap; the guest is AArch64 and
 * may use pointer authentication. */
#define HCR_VF (UINT64_C(1) << 6)
#define HCR_VI (UINT64_C(1) << 7)
#define HCR_GUEST                                                              \
    (UINT64_C(1) | 7 << 3 | 1 << 13 | 1 << 17 | 1 << 18 | 1 << 19 | 1 << 20 |  \
     1 << 21 | UINT64_C(1) << 31 | UINT64_C(1) << 35 | UINT64_C(3) << 40)

/* Why a hook stopped the engine. */
enum leave {
    LEAVE_NOT,
    LEAVE_BLOCK, /* between blocks, to look around */
    LEAVE_EXIT,  /* syndrome, far and ipa describe an exit */
    LEAVE_TAKE,  /* they describe an exception for EL1 */
    LEAVE_IDLE   /* WFI, where the GIC is the framework's */
};

enum wait { WAIT_NOT, WAIT_WFE, WAIT_WFI };

/* A step that el2.c makes: to be made, under way, made and not yet told. */
enum step { STEP_NOT, STEP_READY, STEP_BEGUN, STEP_OVER };

enum { STALE = 64, BLOCKS = 1024 };

struct engine {
    struct unicorn u;
    uc_engine *uc;
    uc_context *context;
    size_t exception; /* where a context has the last exception */
    struct vcpu *v;
    bool el2;

    struct piece *attached; /* memory that it knows */
    size_t count, room;
    uint64_t seen; /* of fake_vm.changes */
    uint64_t hcr;

    enum leave leave;
    uint32_t syndrome;
    uint64_t far, ipa;

    uint64_t blocks, turn; /* executed; when its turn began */
    bool look;             /* leave at the next block */
    unsigned gic_seen;
    bool gic;   /* there is one: WFE is no exit */
    int timers; /* that fire, as the GIC knows it: bit 0 virtual, 1 physical */
    uint64_t emitted, budget; /* bytes of translated code, at most */
    bool first;               /* the next block begins a run */
    enum wait wait;           /* what the last block ends with, at wait_at */
    uint64_t wait_at;
    bool waited; /* it was executed, and is an exit */
    struct {
        uint64_t begin, end;
        unsigned age;
        enum wait wait; /* how it ends */
        bool fp;        /* there is such an instruction in it */
    } known[BLOCKS];
    unsigned age;    /* of what is known of that */
    sigset_t before; /* what was blocked when the run began */

    pthread_mutex_t mutex; /* of the next: any thread may write code */
    struct {
        uint64_t at, size;
    } stale[STALE];
    unsigned stales; /* STALE + 1: too many to tell */

    bool hooked;   /* on_code() is there */
    bool watching; /* there are breakpoints or watchpoints for it */
    bool trap_fp;  /* or FP instructions, which CPACR_EL1 may not allow */
    uint64_t code_at;
    bool missed, missed_fetch, missed_write; /* el2.c: no memory at ipa */
    enum step step;
};

/* ---- engine.c ------------------------------------------------------------- */

/* NULL: there is no libunicorn, or no memory. */
struct engine *engine_open(struct vcpu *v);
void engine_close(struct engine *e);
uint64_t engine_reg(const struct engine *e, int id);
void engine_set_reg(const struct engine *e, int id, uint64_t value);
uint64_t engine_x(const struct engine *e, unsigned n); /* 31: XZR */
void engine_set_x(const struct engine *e, unsigned n, uint64_t value);
bool engine_sys(const struct engine *e, uint32_t reg, uint64_t *value);
bool engine_set_sys(const struct engine *e, uint32_t reg, uint64_t value);
uint32_t engine_pstate(const struct engine *e);
/* With it goes the stack pointer. */
void engine_set_pstate(const struct engine *e, uint32_t pstate);
void engine_flush_tlb(const struct engine *e);
/* The vCPU's state into the engine, and back. */
void engine_load(struct engine *e);
void engine_store(struct engine *e);
/* Before it runs: the memory there is now, and no code that is out of date. */
void engine_catch_up(struct engine *e);
/* Code at a physical address is new; any thread. */
void engine_stale(struct engine *e, uint64_t at, uint64_t size);
/* The engine's last exception, into syndrome and far; gives its target. */
unsigned engine_exception(struct engine *e);

/* ---- walk.c --------------------------------------------------------------- */

bool walk(const struct engine *e, uint64_t va, uint64_t *ipa);
bool walk_instruction(const struct engine *e, uint64_t va, uint32_t *opcode);

/* ---- hooks.c -------------------------------------------------------------- */

bool hooks_add(struct engine *e);
/* Stop at the next opportunity, for `why`. */
void hooks_leave(struct engine *e, enum leave why);
bool hooks_signal_waits(const struct engine *e);
/* All code is translated anew, so that on_code() is called for it. */
void hooks_every_instruction(struct engine *e);

/* ---- trap.c, el1.c, debug.c, el2.c ---------------------------------------- */

/* The instruction at PC is done. */
void trap_advance(struct engine *e);
/* The syndrome of a load or store as hardware has it: nothing of the register
 * where it writes back. */
uint32_t trap_data_syndrome(const struct engine *e, uint32_t syndrome);
/* An exception for EL2 or above. */
void trap_taken(struct engine *e);
/* Is it a register that the engine does not know? Then it trapped. */
bool trap_unknown_sysreg(struct engine *e);
void el1_take(struct engine *e, uint32_t syndrome, uint64_t far);
/* Are there breakpoints and watchpoints? Outside a run also what makes them
 * work is done. */
void debug_arm(struct engine *e);
/* The address of a load or store, and what it does there. */
struct access {
    uint64_t at;
    unsigned size;
    bool load, store;
};
bool debug_decode(const struct engine *e, uint32_t opcode, struct access *a);
/* Before the instruction at `pc`: is it to be stopped at? */
void debug_before(struct engine *e, uint64_t pc);
void el2_taken(struct engine *e, unsigned target);
bool el2_hooks(struct engine *e);
/* Is a step over, before the instruction that is next? Then that is the exit. */
bool el2_stepped(struct engine *e);
/* The engine gave up, as there is no memory: describe that. */
void el2_missed(struct engine *e);

/* ---- gic_guest.c ---------------------------------------------------------- */

/* All under the lock. */
bool gic_guest_sysreg(struct vcpu *v, uint32_t reg, bool write,
                      uint64_t *value);
bool gic_guest_access(struct vcpu *v, uint64_t ipa, unsigned size, bool write,
                      uint64_t *value);
/* HCR_VI, HCR_VF: what there is to interrupt the guest with. */
uint64_t gic_guest_lines(struct vcpu *v);

#endif
