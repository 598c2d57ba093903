/* SPDX-License-Identifier: MIT */
/* kvm_arm64_run.c - into an arm64 guest by KVM, and what it is left with. */
#include "backend.h"

#if defined(__linux__) && defined(__aarch64__)
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "kvm_arm64_gic.h"

enum { EC_HVC = 0x16, EC_SMC = 0x17, EC_DATA = 0x24 };

/* What the exit's reason is to arm64 scripts, also where KVM has other numbers. */
enum { CANCELLED, EXCEPTION, TIMER };

/* ---- accesses ------------------------------------------------------------ */

/* The kernel does this on any entry; with immediate_exit it does no more. */
int kvm_arm64_complete(struct kvm_arm64 *a)
{
    int rc;

    if (a->pending == KVM_ARM64_NONE || a->pending == KVM_ARM64_READ)
        return 0;
    rc = kvm_arm64_flush(a);
    if (rc < 0)
        return rc;
    rc = kvm_enter_once(&a->vcpu, true);
    if (rc < 0)
        return kvm_fail(a->vcpu.machine, "complete an access", -rc);
    a->pending = KVM_ARM64_NONE;
    a->have = a->dirty;
    return 0;
}

static void mmio_exit(struct kvm_arm64 *a, struct vmm_exit *exit)
{
    const struct kvm_run *run = a->vcpu.run;

    exit->kind = VMM_MMIO;
    exit->ec = EC_DATA;
    exit->addr = exit->pa = run->mmio.phys_addr;
    exit->size = (uint8_t)run->mmio.len;
    exit->write = run->mmio.is_write;
    if (exit->write) {
        memcpy(&exit->value, run->mmio.data, sizeof exit->value);
        exit->value &= UINT64_MAX >> (64 - 8 * exit->size);
    }
    a->pending = exit->write ? KVM_ARM64_WRITE : KVM_ARM64_READ;
}

/* The kernel tells the physical address, and of the virtual one the bits that are
 * the same in both: the instruction has the others. */
static OUTLINE void undescribed_exit(struct kvm_arm64 *a, struct vmm_exit *exit)
{
    const struct kvm_run *run = a->vcpu.run;
    struct vmm_esr_access none;
    struct vmm_a64_access access;
    uint32_t word;
    bool known = kvm_arm64_instruction(a, kvm_arm64_pc(a), &word);

    exit->syndrome = (uint64_t)EC_DATA << 26 | UINT64_C(1) << 25 |
                     (run->arm_nisv.esr_iss & 0x1ffffff);
    exit->pa = run->arm_nisv.fault_ipa;
    vmm_esr_decode(exit, &none);
    if (known && vmm_a64_decode(word, &access)) {
        uint64_t va = vmm_arm64_address(a->cpu, &access);

        exit->va = va + ((exit->pa - va) & 0xfff);
    }
    vmm_hold(a->cpu);
    vmm_arm64_access(a->cpu, &a->access, exit, known ? &word : NULL, NULL);
    vmm_let_go(a->cpu);
}

int kvm_arm64_answer(struct vmm_cpu *cpu, const struct vmm_exit *exit)
{
    struct kvm_arm64 *a = cpu->host;

    if (a->pending != KVM_ARM64_READ) {
        vmm_arm64_answer(cpu, &a->access, exit->value);
        return 0;
    }
    memcpy(a->vcpu.run->mmio.data, &exit->value, sizeof exit->value);
    a->pending = KVM_ARM64_ANSWERED;
    return 0;
}

/* ---- other exits --------------------------------------------------------- */

/* The kernel does not tell the immediate: it is in the instruction. */
static OUTLINE void call_exit(struct kvm_arm64 *a, struct vmm_exit *exit)
{
    enum { SMC = 1 }; /* of flags, where longmode was before Linux 6.4 */
    bool smc = a->vcpu.run->hypercall.longmode & SMC;
    uint64_t pc = kvm_arm64_pc(a);
    uint32_t word = 0;

    kvm_arm64_instruction(a, pc - 4, &word);
    exit->kind = smc ? VMM_SMC : VMM_HVC;
    exit->ec = smc ? EC_SMC : EC_HVC;
    exit->imm = (uint16_t)(word >> 5);
    exit->syndrome = (uint64_t)exit->ec << 26 | UINT64_C(1) << 25 | exit->imm;
}

/* BRK comes to the host whenever it debugs, but may be the guest's own. */
static OUTLINE void debug_exit(struct kvm_arm64 *a, struct vmm_exit *exit)
{
    const struct kvm_debug_exit_arch *arch = &a->vcpu.run->debug.arch;
    struct vmm_esr_access none;

    exit->syndrome = arch->hsr;
    exit->va = arch->far;
    vmm_esr_decode(exit, &none);
    if (exit->kind == VMM_STEP)
        kvm_arm64_hide_step(a);
    if (exit->kind != VMM_WATCH)
        exit->va = 0;
    if (exit->kind == VMM_BRK && !a->cpu->debug.trap) {
        vmm_arm64_take(a->cpu, exit->syndrome, 0);
        exit->kind = VMM_NONE;
    }
}

/* The kernel leaves every vCPU stopped. Whoever goes on does so on purpose: start()
 * sees to it. */
static RARE void event_exit(struct kvm_arm64 *a, struct vmm_exit *exit)
{
    kvm_system_exit(a->vcpu.run, exit);
    atomic_fetch_add(&a->machine->events, 1);
}

static RARE int start(struct kvm_arm64 *a, unsigned events)
{
    struct kvm_mp_state state = {.mp_state = KVM_MP_STATE_RUNNABLE};
    int rc = kvm_arm64_gic_ready(a->cpu->vm);

    if (rc < 0)
        return rc;
    if (ioctl(a->vcpu.fd, KVM_SET_MP_STATE, &state) < 0)
        return kvm_fail(a->vcpu.machine, "start a vcpu", errno);
    a->events = events;
    return 0;
}

static void describe(struct kvm_arm64 *a, struct vmm_exit *exit)
{
    const struct kvm_run *run = a->vcpu.run;

    exit->reason = EXCEPTION;
    switch (run->exit_reason) {
    case KVM_EXIT_MMIO:
        mmio_exit(a, exit);
        break;
    case KVM_EXIT_ARM_NISV:
        undescribed_exit(a, exit);
        break;
    case KVM_EXIT_HYPERCALL:
        call_exit(a, exit);
        break;
    case KVM_EXIT_DEBUG:
        debug_exit(a, exit);
        break;
    case KVM_EXIT_SYSTEM_EVENT:
        event_exit(a, exit);
        break;
    case KVM_EXIT_INTR:
        break;
    default:
        kvm_unknown_exit(run, exit);
        break;
    }
}

/* KVM_RUN itself failed. Where memory is to blame the vCPU is still there to be
 * looked at. */
static RARE int failed(struct kvm_arm64 *a, struct vmm_exit *exit, int error)
{
    if (error != EFAULT && error != ENOSYS)
        return kvm_fail(a->vcpu.machine, "run", error);
    exit->kind = VMM_ERROR;
    snprintf(exit->why, sizeof exit->why, "%s, at pc 0x%" PRIx64,
             error == EFAULT
                 ? "the host cannot reach memory of the guest"
                 : "this kernel cannot tell a device access that the "
                   "processor does not describe: use Linux 5.5 or newer",
             kvm_arm64_pc(a));
    return 0;
}

/* ---- running ------------------------------------------------------------- */

/* The timer's line has gone up: told once, until it was down again. */
static bool timer_exit(struct kvm_arm64 *a, struct vmm_exit *exit)
{
    bool up = a->vcpu.run->s.regs.device_irq_level & KVM_ARM_DEV_EL1_VTIMER;
    bool news = up && !a->fired;

    a->fired = up;
    if (!news)
        return false;
    exit->kind = VMM_TIMER;
    exit->reason = TIMER;
    return true;
}

/* A PC that was written waits for the end of the access. */
static int prepare(struct kvm_arm64 *a)
{
    bool first = a->dirty & UINT64_C(1) << KVM_ARM64_PC;
    unsigned events = atomic_load(&a->machine->events);
    int rc = first ? kvm_arm64_complete(a) : 0;

    if (rc == 0 && a->events != events)
        rc = start(a, events);
    return rc < 0 || !a->dirty ? rc : kvm_arm64_flush(a);
}

int kvm_arm64_enter(struct kvm_arm64 *a, struct vmm_exit *exit)
{
    int rc;

    if (timer_exit(a, exit))
        return 0;
    rc = prepare(a);
    if (rc < 0)
        return rc;
    rc = kvm_arm64_go_in(a);
    if (rc < 0)
        return rc;
    rc = kvm_enter_till_signal(a->cpu);
    kvm_arm64_come_out(a);
    if (rc != KVM_OUTSIDE) {
        a->have = 0;
        a->pending = KVM_ARM64_NONE;
    }
    if (rc < 0)
        return failed(a, exit, -rc);
    if (rc == KVM_LEFT)
        describe(a, exit);
    else if (vmm_poked(a->cpu))
        exit->kind = VMM_KICK;
    else if (rc == KVM_INTERRUPTED)
        kvm_arm64_idle_exit(a, exit);
    return 0;
}

static int go_on(struct kvm_arm64 *a, struct vmm_exit *exit)
{
    for (;;) {
        int rc = kvm_arm64_enter(a, exit);

        if (rc < 0 || exit->kind != VMM_NONE)
            return rc;
        if (exit->reason != CANCELLED && a->cpu->debug.step) {
            exit->kind = VMM_STEP; /* over what concerns nobody else */
            return 0;
        }
        memset(exit, 0, offsetof(struct vmm_exit, why) + 1);
    }
}

int kvm_arm64_run(struct vmm_cpu *cpu, struct vmm_exit *exit)
{
    struct kvm_arm64 *a = cpu->host;
    int rc = kvm_owned(a->vcpu.machine, "run");

    if (rc < 0 || vmm_arm64_next_access(&a->access, exit))
        return rc;
    if (a->held.kind != VMM_NONE) {
        *exit = a->held;
        a->held.kind = VMM_NONE;
        return 0;
    }
    if (a->broke)
        rc = kvm_arm64_debug_pass(a, exit);
    if (rc < 0 || exit->kind != VMM_NONE)
        return rc;
    rc = kvm_arm64_arm(a, cpu->debug.step, true);
    if (rc == 0)
        rc = go_on(a, exit);
    if (rc == 0 && (exit->kind == VMM_WATCH || exit->kind == VMM_BREAK))
        rc = kvm_arm64_debug_exit(a, exit);
    return rc;
}

int kvm_arm64_settle(struct vmm_cpu *cpu)
{
    struct kvm_arm64 *a = cpu->host;
    int rc = kvm_owned(a->vcpu.machine, "settle");

    if (rc == 0)
        rc = kvm_arm64_complete(a);
    kvm_settled();
    return rc;
}
#endif
