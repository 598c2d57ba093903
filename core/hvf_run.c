/* SPDX-License-Identifier: MIT */
/* hvf_run.c - into the guest by Hypervisor.framework, and what it is left with. */
#include "backend.h"

#ifdef VMM_HVF
#include <inttypes.h>
#include <stdio.h>

#include "hvf.h"

enum { UNKNOWN_MOST = 1000 }; /* exits of no kind, in a row */

enum { EC_FETCH = 0x20, EC_DATA = 0x24, EC_WATCHPOINT = 0x34 };

enum {
    CNTV_CTL_EL0 = VMM_A64_SYSREG(3, 3, 14, 3, 1),
    CNTV_CVAL_EL0 = VMM_A64_SYSREG(3, 3, 14, 3, 2),
    CNTV_ENABLE = 1,
    CNTV_IMASK = 2,
    CNTV_ISTATUS = 4
};

void hvf_kick(struct vmm_cpu *cpu)
{
    const struct hvf_cpu *h = cpu->host;
    hv_vcpu_t id = h->id;

    h->call->vcpus_exit(&id, 1);
}

/* ---- interrupt lines ------------------------------------------------------ */

/* Its numbers are ours. */
_Static_assert((int)VMM_IRQ == (int)HV_INTERRUPT_TYPE_IRQ &&
                   (int)VMM_FIQ == (int)HV_INTERRUPT_TYPE_FIQ,
               "lines");

struct line {
    struct hvf_cpu *h;
    enum vmm_line line;
    bool *level;
};

static int set_line(void *arg)
{
    const struct line *l = arg;
    hv_return_t rc = l->h->call->vcpu_set_pending_interrupt(
        l->h->id, (uint32_t)l->line, *l->level);

    if (rc != HV_SUCCESS)
        return hvf_fail("line", rc);
    l->h->line[l->line] = *l->level;
    return 0;
}

/* A run has cleared what the framework knows of a line that is still up. */
static int get_line(void *arg)
{
    const struct line *l = arg;
    hv_return_t rc = l->h->call->vcpu_get_pending_interrupt(
        l->h->id, (uint32_t)l->line, l->level);

    if (rc != HV_SUCCESS)
        return hvf_fail("line", rc);
    *l->level = *l->level || l->h->line[l->line];
    return 0;
}

int hvf_line(struct vmm_cpu *cpu, enum vmm_line line, bool level)
{
    struct hvf_cpu *h = cpu->host;

    return hvf_do(&h->thread, set_line, &(struct line){h, line, &level});
}

int hvf_line_at(struct vmm_cpu *cpu, enum vmm_line line, bool *level)
{
    struct hvf_cpu *h = cpu->host;

    return hvf_do(&h->thread, get_line, &(struct line){h, line, level});
}

/* ---- what an exception becomes ------------------------------------------- */

/* Where PC is. EL2 has tables of its own, and so has a guest of the guest's, behind
 * those of EL1: none of them are walked here. */
static bool find_pc(struct vmm_cpu *cpu, uint64_t *pa)
{
    enum {
        SCTLR_EL2 = VMM_A64_SYSREG(3, 4, 1, 0, 0),
        HCR_EL2 = VMM_A64_SYSREG(3, 4, 1, 1, 0),
        ON = 1,      /* SCTLR_EL2.M, HCR_EL2.VM */
        LEVEL_2 = 8, /* of CPSR */
    };
    const struct hvf_cpu *h = cpu->host;
    uint64_t pc = hvf_reg(h, HV_REG_PC);
    bool above = cpu->vm->el2 && hvf_reg(h, HV_REG_CPSR) & LEVEL_2;

    if (cpu->vm->el2 && hvf_sys(h, above ? SCTLR_EL2 : HCR_EL2) & ON)
        return false;
    *pa = pc;
    return above || vmm_arm64_translate(cpu, pc, pa) > 0;
}

bool hvf_instruction(struct vmm_cpu *cpu, uint32_t *word)
{
    uint64_t pa, value;

    if (!find_pc(cpu, &pa) || vmm_load(cpu->vm, pa, 4, &value) < 0)
        return false;
    *word = (uint32_t)value;
    return true;
}

/* Memory that has been mapped since, or whose rights have come back: once more. */
static bool is_past(const struct hvf_cpu *h, const struct vmm_exit *exit)
{
    const struct vmm_mem *mem = vmm_mem_at(h->cpu->vm, exit->pa);

    return mem && mem->range.prot & (exit->write ? VMM_W : VMM_R);
}

static void accessed(struct hvf_cpu *h, struct vmm_exit *exit,
                     const struct vmm_esr_access *access)
{
    uint32_t word;
    bool known;

    vmm_hold(h->cpu);
    known = hvf_instruction(h->cpu, &word);
    if (is_past(h, exit))
        exit->kind = VMM_NONE;
    else
        vmm_arm64_access(h->cpu, &h->access, exit, known ? &word : NULL,
                         access);
    vmm_let_go(h->cpu);
}

/* BRK comes to the host whenever it debugs, but may be the guest's own. */
static void trapped_brk(struct hvf_cpu *h, struct vmm_exit *exit)
{
    if (h->cpu->debug.trap)
        return;
    vmm_arm64_take(h->cpu, exit->syndrome, 0);
    exit->kind = VMM_NONE;
}

static void trapped(struct hvf_cpu *h, struct vmm_exit *exit)
{
    struct vmm_esr_access access;
    bool described = vmm_esr_decode(exit, &access);

    if (vmm_esr_pc_is_at(exit->kind))
        hvf_set_reg(h, HV_REG_PC, hvf_reg(h, HV_REG_PC) + 4);
    switch (exit->kind) {
    case VMM_MMIO:
        accessed(h, exit, described ? &access : NULL);
        break;
    case VMM_SYSREG:
        h->sysreg_rt = access.rt;
        exit->value = exit->write ? vmm_arm64_x(h->cpu, access.rt) : 0;
        if (hvf_trap(h, exit, access.rt))
            exit->kind = VMM_NONE;
        break;
    case VMM_BRK:
        trapped_brk(h, exit);
        break;
    case VMM_FAULT:
        if (exit->ec == EC_FETCH)
            vmm_arm64_untake(h->cpu, exit);
        break;
    default:
        break;
    }
}

/* ---- entering ------------------------------------------------------------ */

/* The framework masks the timer when it fires. It is to fire again once what
 * it fired for is over: its line has dropped, or it is set to another time. The
 * guest does that without an exit, so it is left every now and then to look. */
enum { TICK = 1000000 };

static void tick(void *arg)
{
    struct hvf_cpu *h = arg;
    hv_vcpu_t id = h->id;

    h->call->vcpus_exit(&id, 1);
}

/* Without a thread to tick, the guest's next exit is the time to look. */
static void start_ticking(struct hvf_cpu *h)
{
    if (h->tick.on) {
        vmm_watchdog_sleep(&h->tick, false);
        return;
    }
    h->tick = (struct vmm_watchdog){
        .ns = TICK, .again = TICK, .bark = tick, .ctx = h};
    if (vmm_watchdog_start(&h->tick) < 0)
        vmm_watchdog_stop(&h->tick);
}

static void stop_ticking(struct hvf_cpu *h)
{
    if (h->tick.on && !h->tick.asleep)
        vmm_watchdog_sleep(&h->tick, true);
}

void hvf_timer_close(struct hvf_cpu *h)
{
    if (h->tick.on)
        vmm_watchdog_stop(&h->tick);
}

static hv_return_t unmask_timer(struct hvf_cpu *h)
{
    const uint64_t asserted = CNTV_ENABLE | CNTV_ISTATUS;
    hv_return_t rc;
    uint64_t ctl;

    if (!h->fired)
        return HV_SUCCESS;
    ctl = hvf_sys(h, CNTV_CTL_EL0);
    if ((ctl & (asserted | CNTV_IMASK)) == asserted &&
        hvf_sys(h, CNTV_CVAL_EL0) == h->fired_at) {
        start_ticking(h);
        return HV_SUCCESS;
    }
    rc = h->call->vcpu_set_vtimer_mask(h->id, false);
    h->fired = rc != HV_SUCCESS;
    stop_ticking(h);
    return rc;
}

/* They are up for one entry at a time. One that the guest took on its way past a
 * breakpoint would bring it there again. */
static hv_return_t raise_lines(const struct hvf_cpu *h)
{
    hv_return_t rc = HV_SUCCESS;

    for (uint32_t i = VMM_IRQ; i <= VMM_FIQ && rc == HV_SUCCESS; i++)
        if (h->line[i])
            rc = h->call->vcpu_set_pending_interrupt(h->id, i, !h->passing);
    return rc;
}

/* The addresses mean something for aborts and watchpoints only. */
static bool has_address(uint64_t syndrome)
{
    uint64_t ec = syndrome >> 26 & 63;

    return ec == EC_FETCH || ec == EC_DATA || ec == EC_WATCHPOINT;
}

/* Enter the guest once. 0: *exit says why it was left; VMM_NONE: it goes on. */
static int enter(struct hvf_cpu *h, struct vmm_exit *exit)
{
    hv_return_t rc = raise_lines(h);

    if (rc != HV_SUCCESS)
        return hvf_fail("line", rc);
    rc = unmask_timer(h);
    if (rc != HV_SUCCESS)
        return hvf_fail("vtimer_mask", rc);
    rc = h->call->vcpu_run(h->id);
    if (rc != HV_SUCCESS)
        return hvf_fail("run", rc);
    exit->reason = h->exit->reason;
    if (h->exit->reason == HV_EXIT_REASON_VTIMER_ACTIVATED) {
        h->fired = true;
        h->fired_at = hvf_sys(h, CNTV_CVAL_EL0);
        exit->kind = VMM_TIMER;
    } else if (h->exit->reason == HV_EXIT_REASON_EXCEPTION) {
        exit->syndrome = h->exit->exception.syndrome;
        if (has_address(exit->syndrome)) {
            exit->va = h->exit->exception.virtual_address;
            exit->pa = h->exit->exception.physical_address;
        }
        trapped(h, exit);
    }
    return 0;
}

/* An exit that is no more than a signal, or a kick from before: go on, but not
 * for ever. */
int hvf_go_on(struct hvf_cpu *h, struct vmm_exit *exit)
{
    unsigned unknown = 0;

    for (;;) {
        int rc;

        if (vmm_poked(h->cpu)) {
            exit->kind = VMM_KICK;
            return 0;
        }
        *exit = (struct vmm_exit){0};
        rc = enter(h, exit);
        if (rc < 0 || exit->kind != VMM_NONE)
            return rc;
        if (exit->reason == HV_EXIT_REASON_EXCEPTION && hvf_debug_stepped(h)) {
            exit->kind = VMM_STEP; /* over what concerns nobody else */
            return 0;
        }
        if (exit->reason < HV_EXIT_REASON_UNKNOWN)
            unknown = 0;
        else if (++unknown == UNKNOWN_MOST)
            return vmm_fail(VMM_EHOST,
                            "hvf: run: the framework left the guest %d times "
                            "without a reason: do signals come in on this "
                            "thread?",
                            UNKNOWN_MOST);
    }
}

struct entry {
    struct hvf_cpu *h;
    struct vmm_exit *exit;
};

static int run(void *arg)
{
    const struct entry *entry = arg;
    struct hvf_cpu *h = entry->h;
    struct vmm_exit *exit = entry->exit;
    int rc;

    if (h->held.kind != VMM_NONE) {
        *exit = h->held;
        h->held.kind = VMM_NONE;
        return 0;
    }
    rc = hvf_debug_pass(h, exit);
    if (rc == 0 && exit->kind == VMM_NONE)
        rc = hvf_debug_run(h, exit);
    stop_ticking(h);
    return rc;
}

/* Core's loop is on the vCPU's thread; its single entries are not. */
int hvf_run(struct vmm_cpu *cpu, struct vmm_exit *exit)
{
    struct hvf_cpu *h = cpu->host;

    if (vmm_arm64_next_access(&h->access, exit))
        return 0;
    return hvf_do(&h->thread, run, &(struct entry){h, exit});
}

int hvf_answer(struct vmm_cpu *cpu, const struct vmm_exit *exit)
{
    struct hvf_cpu *h = cpu->host;

    if (exit->kind == VMM_SYSREG)
        vmm_arm64_set_x(cpu, h->sysreg_rt, exit->value);
    else
        vmm_arm64_answer(cpu, &h->access, exit->value);
    return 0;
}
#endif
