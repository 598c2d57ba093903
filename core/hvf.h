/* SPDX-License-Identifier: MIT */
/* hvf.h - what the files of the Hypervisor.framework backend share: arm64 guests
 * on Apple Silicon, macOS 11 and later.
 *   hvf.c         the ops: the machine and its memory
 *   hvf_calls.h   the framework's functions
 *   hvf_calls.c   finding them, and its errors in words
 *   hvf_config.c  what a machine is made with
 *   hvf_caps.c    what there is to make one with
 *   hvf_gic.c     the interrupt controller
 *   hvf_thread.c  the thread that a vCPU lives on
 *   hvf_cpu.c     a vCPU and its registers
 *   hvf_sysreg.c  its system registers
 *   hvf_sme.c     its matrices and scalable vectors
 *   hvf_trap.c    those that trap, and are no script's business
 *   hvf_run.c     entering the guest, and what it is left with
 *   hvf_debug.c   single step, breakpoints, watchpoints
 * Only these include this, or the framework's header. */
#ifndef VMM_HVF_H
#define VMM_HVF_H

#include <pthread.h>

#include "backend.h"
#include "hvf_calls.h"
#include "thread.h"

/* ---- hvf_thread.c -------------------------------------------------------- */

/* The framework binds a vCPU to the thread that has made it, and from any other
 * one a call does nothing, or brings the Mac down. So each has its own, with all
 * signals blocked but those that are sent to it: one that arrives inside the
 * guest is an exit of no kind. */
struct hvf_thread {
    pthread_t id;
    pthread_mutex_t lock;
    pthread_cond_t news;
    int (*body)(void *arg); /* what there is to do, or NULL */
    void *arg;
    int rc;        /* how it went, */
    char why[512]; /* and why */
    bool end;
    pid_t owner; /* the process; a fork of it has no such thread */
};

int hvf_thread_open(struct hvf_thread *t);
void hvf_thread_close(struct hvf_thread *t);
/* body(arg) on that thread, while the caller waits: what it returns, with
 * vmm_why(). VMM_ESTATE in a forked child. */
int hvf_do(struct hvf_thread *t, int (*body)(void *arg), void *arg);

/* ---- machines and vCPUs -------------------------------------------------- */

struct hvf_machine { /* vmm.host */
    struct hvf_calls call;
    pid_t owner; /* the process; a fork of it has no machine */
};

struct hvf_cpu { /* vmm_cpu.host */
    struct vmm_cpu *cpu;
    struct hvf_machine *m;
    const struct hvf_calls *call;
    struct hvf_thread thread;
    hv_vcpu_t id;
    hv_vcpu_exit_t *exit; /* the framework's, rewritten by each run */
    bool made;

    struct vmm_a64_pieces access; /* under way */
    uint8_t sysreg_rt;            /* where the answer to a VMM_SYSREG goes */
    bool locked;                  /* hvf_trap.c: the OS lock */
    bool line[2]; /* enum vmm_line; asserted for one run at a time */

    /* The timer has fired, for this time, and is masked until that is over; as
     * the guest goes on, `tick` looks whether it is. */
    bool fired;
    uint64_t fired_at;
    struct vmm_watchdog tick;
    struct vmm_exit held; /* to be given before the guest is entered again */

    /* hvf_debug.c */
    bool
        tracing; /* MDSCR_EL1 is ours, with these bits more than the guest's: */
    uint64_t added, mdscr;
    bool armed; /* the debug registers are ours; what was in them: */
    struct {
        uint64_t value, control;
    } own_break[VMM_MAX_BREAK], own_watch[VMM_MAX_WATCH];
    bool shadow; /* the guest's accesses to all of these come to us */
    bool broke;  /* what is at broke_at was told, and is still to be executed */
    uint64_t broke_at;
    bool passing;     /* that is being done */
    uint64_t step_at; /* where a step began */
};

enum { /* system registers that several places name */
       HVF_MDSCR_EL1 = VMM_A64_SYSREG(2, 0, 0, 2, 2),
       HVF_SVCR = VMM_A64_SYSREG(3, 3, 4, 2, 2)
};

/* VMM_ESTATE in a forked child, which has no machine; else 0. */
int hvf_owned(const struct hvf_machine *m, const char *what);

/* ---- hvf_config.c -------------------------------------------------------- */

/* Make the process's machine, as vm->ipa_size, ipa_granule and el2 ask, and put
 * there what it has become. */
int hvf_create(const struct hvf_calls *c, struct vmm *vm);

/* ---- hvf_caps.c ---------------------------------------------------------- */

int hvf_caps(struct vmm_caps *caps);

/* ---- hvf_gic.c ----------------------------------------------------------- */

struct hvf_gic_sizes { /* bytes */
    size_t distributor, distributor_alignment;
    size_t redistributor, redistributors, redistributor_alignment;
    size_t msi, msi_alignment;
};

int hvf_gic_sizes(const struct hvf_calls *c, struct hvf_gic_sizes *sizes);
extern const struct vmm_gic_ops hvf_gic_ops;

/* ---- hvf_sysreg.c: on the vCPU's thread ---------------------------------- */

int hvf_get_sysreg(const struct hvf_cpu *h, vmm_reg reg, uint64_t *value);
int hvf_set_sysreg(struct hvf_cpu *h, vmm_reg reg, uint64_t value);
/* VMM_GICR, VMM_ICV and VMM_GICR_BASE */
int hvf_get_gic(const struct hvf_cpu *h, vmm_reg reg, uint64_t *value);
int hvf_set_gic(const struct hvf_cpu *h, vmm_reg reg, uint64_t value);

/* ---- hvf_sme.c ----------------------------------------------------------- */

int hvf_get_svcr(const struct hvf_cpu *h, uint64_t *value);
int hvf_set_svcr(const struct hvf_cpu *h, uint64_t value);
int hvf_get_bytes(struct vmm_cpu *cpu, vmm_reg reg, void *to, size_t *size);
int hvf_set_bytes(struct vmm_cpu *cpu, vmm_reg reg, const void *from,
                  size_t size);

/* ---- hvf_cpu.c ----------------------------------------------------------- */

int hvf_cpu_open(struct vmm_cpu *cpu);
void hvf_cpu_close(struct vmm_cpu *cpu);
int hvf_get(struct vmm_cpu *cpu, vmm_reg reg, union vmm_value *value);
int hvf_set(struct vmm_cpu *cpu, vmm_reg reg, const union vmm_value *value);
/* On the vCPU's thread: a register that there certainly is. */
uint64_t hvf_reg(const struct hvf_cpu *h, hv_reg_t reg);
void hvf_set_reg(const struct hvf_cpu *h, hv_reg_t reg, uint64_t value);
uint64_t hvf_sys(const struct hvf_cpu *h, uint16_t reg);
void hvf_set_sys(const struct hvf_cpu *h, uint16_t reg, uint64_t value);

/* ---- hvf_run.c ----------------------------------------------------------- */

/* The instruction at PC, between vmm_hold() and vmm_let_go(). False: its address
 * is not mapped to memory. */
bool hvf_instruction(struct vmm_cpu *cpu, uint32_t *word);

int hvf_run(struct vmm_cpu *cpu, struct vmm_exit *exit);
int hvf_line(struct vmm_cpu *cpu, enum vmm_line line, bool level);
int hvf_line_at(struct vmm_cpu *cpu, enum vmm_line line, bool *level);
int hvf_answer(struct vmm_cpu *cpu, const struct vmm_exit *exit);
void hvf_kick(struct vmm_cpu *cpu);
void hvf_timer_close(struct hvf_cpu *h); /* before the vCPU goes */
/* Be in the guest until there is an exit to tell. */
int hvf_go_on(struct hvf_cpu *h, struct vmm_exit *exit);

/* ---- hvf_trap.c ---------------------------------------------------------- */

/* Is the access in *exit none for a script? Then it is done, with Xt. */
bool hvf_trap(struct hvf_cpu *h, const struct vmm_exit *exit, unsigned rt);

/* ---- hvf_debug.c --------------------------------------------------------- */

int hvf_debug(struct vmm_cpu *cpu);
/* In the guest: is there to be a step, and is it made? */
bool hvf_debug_stepped(const struct hvf_cpu *h);
/* Is the access in *exit to a debug register that is lent out? Then it is done to
 * what the guest believes to be there, with Xt. */
bool hvf_debug_access(struct hvf_cpu *h, const struct vmm_exit *exit,
                      unsigned rt);
/* As a run begins: past the breakpoint that ended the last. Then, if that is no
 * exit: hvf_go_on() with what the debugger wants armed. */
int hvf_debug_pass(struct hvf_cpu *h, struct vmm_exit *exit);
int hvf_debug_run(struct hvf_cpu *h, struct vmm_exit *exit);

#endif
