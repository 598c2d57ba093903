/* SPDX-License-Identifier: MIT */
/* kvm_x86.c - the kvm backend for x86_64 guests on x86_64 hosts: machines,
 * vCPUs and their exits. */
#include "backend.h"

#if defined(__linux__) && defined(__x86_64__)
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "kvm_x86.h"

/* ---- machines ------------------------------------------------------------ */

unsigned long kvm_vm_type(int dev)
{
    (void)dev;
    return 0;
}

/* Four pages below 4 GiB that Intel's KVM wants for itself on processors
 * without "unrestricted guest": an identity map and a task state segment. No
 * memory can be mapped there on such a host. QEMU puts them here too: below
 * any firmware of up to 16 MiB, above the APICs. */
enum { IDENTITY_PAGE = 0xfeffc000, TSS_PAGES = 0xfeffd000 };

static int reserve_pages(struct kvm_machine *m)
{
    uint64_t identity = IDENTITY_PAGE;

    if (kvm_cap(m, KVM_CAP_SET_IDENTITY_MAP_ADDR) &&
        ioctl(m->vm, KVM_SET_IDENTITY_MAP_ADDR, &identity) < 0)
        return kvm_fail(m, "place the identity map", errno);
    if (kvm_cap(m, KVM_CAP_SET_TSS_ADDR) &&
        ioctl(m->vm, KVM_SET_TSS_ADDR, (unsigned long)TSS_PAGES) < 0)
        return kvm_fail(m, "place the task state segment", errno);
    return 0;
}

/* Where the kernel can: let us see the MSRs that it does not know, and the
 * instructions that it fails to emulate, instead of a fault in the guest. */
static int want_exits(struct kvm_machine *m)
{
    struct kvm_enable_cap msrs = {.cap = KVM_CAP_X86_USER_SPACE_MSR,
                                  .args = {KVM_MSR_EXIT_REASON_UNKNOWN}};
    struct kvm_enable_cap fails = {.cap = KVM_CAP_EXIT_ON_EMULATION_FAILURE,
                                   .args = {1}};

    if (kvm_cap(m, KVM_CAP_X86_USER_SPACE_MSR) &&
        ioctl(m->vm, KVM_ENABLE_CAP, &msrs) < 0)
        return kvm_fail(m, "exits for msrs", errno);
    if (kvm_cap(m, KVM_CAP_EXIT_ON_EMULATION_FAILURE) &&
        ioctl(m->vm, KVM_ENABLE_CAP, &fails) < 0)
        return kvm_fail(m, "exits for failures", errno);
    return 0;
}

static void x86_close(struct vmm *vm)
{
    struct kvm_x86_machine *m = vm->host;

    kvm_close(&m->kvm);
    free(m->cpuid);
    free(m);
    vm->host = NULL;
}

static int x86_open(struct vmm *vm)
{
    enum { ALL = KVM_SYNC_X86_VALID_FIELDS };
    struct kvm_x86_machine *m = calloc(1, sizeof *m);
    int rc;

    if (!m)
        return vmm_fail(VMM_ENOMEM, "kvm: make a machine: out of memory");
    vm->host = m;
    rc = kvm_open(&m->kvm);
    if (rc == 0)
        rc = reserve_pages(&m->kvm);
    if (rc == 0)
        rc = want_exits(&m->kvm);
    if (rc < 0) {
        x86_close(vm);
        return rc;
    }
    m->sync = (kvm_cap(&m->kvm, KVM_CAP_SYNC_REGS) & ALL) == ALL;
    m->xsave = (size_t)kvm_cap(&m->kvm, KVM_CAP_XSAVE2);
    return 0;
}

/* ---- vCPUs --------------------------------------------------------------- */

/* What guests may know of the processor: all that the host and KVM can do.
 * Where the kernel does not tell, CPUID shows zeros, and the guest runs all
 * the same. */
static int ask_cpuid(struct kvm_x86_machine *m)
{
    enum { ENTRIES = 256 };
    struct kvm_cpuid2 *c =
        calloc(1, sizeof *c + ENTRIES * sizeof(struct kvm_cpuid_entry2));

    if (!c)
        return vmm_fail(VMM_ENOMEM, "kvm: cpuid: out of memory");
    c->nent = ENTRIES;
    if (ioctl(m->kvm.dev, KVM_GET_SUPPORTED_CPUID, c) < 0)
        c->nent = 0;
    m->cpuid = c;
    return 0;
}

/* The numbers that tell a vCPU which one it is are its index here, not those of
 * the host's processor that happened to answer. */
static void number(struct kvm_cpuid2 *c, unsigned index)
{
    for (unsigned i = 0; i < c->nent; i++) {
        struct kvm_cpuid_entry2 *e = &c->entries[i];

        if (e->function == 1)
            e->ebx = (e->ebx & 0xffffff) | index << 24;
        else if (e->function == 0xb || e->function == 0x1f)
            e->edx = index;
        else if (e->function == 0x8000001e)
            e->eax = index;
    }
}

static int set_cpuid(struct kvm_x86 *x)
{
    int rc = x->machine->cpuid ? 0 : ask_cpuid(x->machine);

    if (rc < 0 || x->machine->cpuid->nent == 0)
        return rc;
    number(x->machine->cpuid, x->cpu->index);
    if (ioctl(x->vcpu.fd, KVM_SET_CPUID2, x->machine->cpuid) < 0)
        return kvm_fail(x->vcpu.machine, "set cpuid", errno);
    return 0;
}

static void x86_cpu_close(struct vmm_cpu *cpu)
{
    struct kvm_x86 *x = cpu->host;

    kvm_vcpu_close(&x->vcpu);
    free(x);
    cpu->host = NULL;
}

static int x86_cpu_open(struct vmm_cpu *cpu)
{
    struct kvm_x86_machine *m = cpu->vm->host;
    struct kvm_x86 *x = calloc(1, sizeof *x);
    int rc;

    if (!x)
        return vmm_fail(VMM_ENOMEM, "kvm: make a vcpu: out of memory");
    cpu->host = x;
    x->cpu = cpu;
    x->machine = m;
    rc = kvm_vcpu_open(&m->kvm, &x->vcpu);
    if (rc == 0)
        rc = set_cpuid(x);
    if (rc == 0)
        rc = kvm_x86_reset(x);
    if (rc < 0)
        x86_cpu_close(cpu);
    return rc;
}

/* ---- exits --------------------------------------------------------------- */

#define WHY(exit, ...) snprintf((exit)->why, sizeof(exit)->why, __VA_ARGS__)

/* A read that is new: what was written before it waits for its end. */
static void access_exit(struct kvm_x86 *x, struct vmm_exit *exit,
                        enum vmm_kind kind, unsigned size, bool write)
{
    exit->kind = kind;
    exit->size = (uint8_t)size;
    exit->write = write;
    exit->value = 0;
    if (write)
        memcpy(&exit->value, kvm_x86_data(x), size);
    else if (x->pending == KVM_X86_NONE)
        kvm_x86_hold_back(x);
    x->pending = write ? KVM_X86_WRITE : KVM_X86_READ;
    x->accessed = true;
}

/* Element number x->element of a port access. */
static void io_exit(struct kvm_x86 *x, struct vmm_exit *exit)
{
    const struct kvm_run *run = x->vcpu.run;

    exit->reason = KVM_EXIT_IO;
    exit->port = run->io.port;
    access_exit(x, exit, VMM_IO, run->io.size,
                run->io.direction == KVM_EXIT_IO_OUT);
}

static uint64_t rip(struct kvm_x86 *x)
{
    return kvm_x86_fetch(x, KVM_SYNC_X86_REGS) < 0
               ? 0
               : x->vcpu.run->s.regs.regs.rip;
}

/* The instruction that KVM's emulator gave up on, if it says. */
static void emulation_exit(struct kvm_x86 *x, struct vmm_exit *exit)
{
    const struct kvm_run *run = x->vcpu.run;
    const uint8_t *bytes = run->emulation_failure.insn_bytes;
    unsigned n = run->emulation_failure.insn_size;
    char text[3 * sizeof run->emulation_failure.insn_bytes + 1] = "";

    if (run->emulation_failure.ndata < 3 ||
        !(run->emulation_failure.flags &
          KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES))
        n = 0;
    for (unsigned i = 0; i < n && i < 15; i++)
        snprintf(text + 3 * i, 4, " %02x", bytes[i]);
    WHY(exit, "this host cannot emulate the instruction%s at rip 0x%" PRIx64,
        n ? text : " (unknown, or in no memory)", rip(x));
}

static void internal_exit(struct kvm_x86 *x, struct vmm_exit *exit)
{
    const struct kvm_run *run = x->vcpu.run;

    exit->kind = VMM_ERROR;
    if (run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION)
        emulation_exit(x, exit);
    else
        WHY(exit, "KVM internal error %u (data 0x%llx) at rip 0x%" PRIx64,
            run->internal.suberror,
            run->internal.ndata ? run->internal.data[0] : 0, rip(x));
}

static void refused_exit(const struct kvm_run *run, struct vmm_exit *exit)
{
    exit->kind = VMM_ERROR;
    WHY(exit,
        "the processor refuses to enter the guest (0x%llx): check cr0, cr4, "
        "efer and the segments",
        run->fail_entry.hardware_entry_failure_reason);
}

/* The highest vector first, as a local APIC does it; -1: none. */
static int next_irq(const struct kvm_x86 *x)
{
    for (int word = 3; word >= 0; word--)
        if (x->irq[word])
            return word * 64 + 63 - __builtin_clzll(x->irq[word]);
    return -1;
}

/* What is in run, as an exit; false: nothing for core, go on. */
static bool describe(struct kvm_x86 *x, struct vmm_exit *exit)
{
    const struct kvm_run *run = x->vcpu.run;

    exit->reason = run->exit_reason;
    switch (run->exit_reason) {
    case KVM_EXIT_IO:
        x->element = 0;
        x->count = run->io.count;
        io_exit(x, exit);
        return true;
    case KVM_EXIT_MMIO:
        exit->addr = run->mmio.phys_addr;
        access_exit(x, exit, VMM_MMIO, run->mmio.len, run->mmio.is_write);
        return true;
    case KVM_EXIT_X86_RDMSR:
    case KVM_EXIT_X86_WRMSR:
        x->vcpu.run->msr.error = 0;
        exit->reg = run->msr.index;
        access_exit(x, exit, VMM_SYSREG, 8,
                    run->exit_reason == KVM_EXIT_X86_WRMSR);
        return true;
    case KVM_EXIT_HLT:
        if (run->if_flag && next_irq(x) >= 0)
            return false; /* an interrupt that waits ends the guest's wait */
        exit->kind = VMM_HALT;
        return true;
    case KVM_EXIT_SHUTDOWN:
        exit->kind = VMM_SHUTDOWN;
        WHY(exit, "triple fault: an exception came, and then two more in the "
                  "attempt to deliver it");
        return true;
    case KVM_EXIT_DEBUG:
        return kvm_x86_debug_exit(x, exit);
    case KVM_EXIT_INTERNAL_ERROR:
        internal_exit(x, exit);
        return true;
    case KVM_EXIT_FAIL_ENTRY:
        refused_exit(run, exit);
        return true;
    case KVM_EXIT_SYSTEM_EVENT:
        kvm_system_exit(run, exit);
        return true;
    case KVM_EXIT_IRQ_WINDOW_OPEN: /* inject() goes on before the next entry */
    case KVM_EXIT_SET_TPR: /* CR8 was lowered: nobody here waits for it */
    case KVM_EXIT_INTR:
        return false;
    default:
        kvm_unknown_exit(run, exit);
        return true;
    }
}

/* KVM_RUN itself failed. Where registers or memory are to blame the vCPU is
 * still there to be looked at, and put right. */
static int failed(struct kvm_x86 *x, struct vmm_exit *exit, int error)
{
    const struct kvm_sregs *s = &x->vcpu.run->s.regs.sregs;

    exit->kind = VMM_ERROR;
    if (error == EINVAL && x->dirty & KVM_SYNC_X86_SREGS)
        WHY(exit,
            "KVM rejects these registers: cr0 0x%llx cr4 0x%llx efer 0x%llx "
            "cs.l %u: see paging, pae and long mode",
            s->cr0, s->cr4, s->efer, s->cs.l);
    else if (error == EFAULT)
        WHY(exit, "the host cannot reach memory of the guest: is a mapped file "
                  "shorter than its range?");
    else
        return kvm_fail(x->vcpu.machine, "run", error);
    return 0;
}

/* ---- interrupts ---------------------------------------------------------- */

static int x86_inject(struct vmm_cpu *cpu, const struct vmm_event *event)
{
    struct kvm_x86 *x = cpu->host;

    x->irq[event->vector / 64] |= UINT64_C(1) << event->vector % 64;
    return 0;
}

/* What the last exit said of interrupts counts no longer once registers were
 * written: an entry that executes nothing says it anew. If it fails, so does
 * the next, and tells why. */
static void ask_again(struct kvm_x86 *x)
{
    unsigned classes = KVM_SYNC_X86_VALID_FIELDS;

    if (kvm_x86_before_entry(x, classes) < 0)
        return;
    kvm_enter_once(&x->vcpu, true);
    kvm_x86_after_entry(x, classes);
}

/* KVM_INTERRUPT asks nobody whether the guest accepts interrupts. When in doubt,
 * KVM is to leave as soon as it does. An instruction with a breakpoint comes
 * first: its handler would return to it, and stop there a second time. */
static int deliver_irq(struct kvm_x86 *x)
{
    struct kvm_run *run = x->vcpu.run;
    int vector = x->at_break ? -1 : next_irq(x);

    if (vector >= 0 && x->dirty && x->pending == KVM_X86_NONE)
        ask_again(x);
    if (vector >= 0 && run->ready_for_interrupt_injection && !x->dirty) {
        struct kvm_interrupt irq = {.irq = (uint32_t)vector};

        if (ioctl(x->vcpu.fd, KVM_INTERRUPT, &irq) < 0)
            return kvm_fail(x->vcpu.machine, "inject", errno);
        run->ready_for_interrupt_injection = 0;
        x->irq[vector / 64] &= ~(UINT64_C(1) << vector % 64);
        vector = next_irq(x);
    }
    run->request_interrupt_window = vector >= 0;
    return 0;
}

/* ---- running ------------------------------------------------------------- */

/* Some things cannot be done in the middle of an instruction, nor does a kick
 * leave a guest there. What completing it leads to, in x->ready, has to be
 * delivered first. */
static int prepare(struct kvm_x86 *x)
{
    bool debugging = kvm_x86_debugging(x);
    bool irqs = (x->irq[0] | x->irq[1] | x->irq[2] | x->irq[3]) != 0;
    bool first = debugging || irqs || vmm_poked(x->cpu) ||
                 x->dirty & KVM_SYNC_X86_SREGS ||
                 (x->pending == KVM_X86_ANSWERED && x->written);
    int rc = first ? kvm_x86_complete(x) : 0;

    if (rc == 0 && !x->ready && debugging)
        rc = kvm_x86_arm(x);
    if (rc == 0 && !x->ready && irqs)
        rc = deliver_irq(x);
    else
        x->vcpu.run->request_interrupt_window = 0;
    return rc;
}

/* An enum kvm_entered, or a negative errno. KVM steps by the trap flag, which is off
 * in an exception's handler: there a step would last as long as the guest likes. */
static int enter(struct kvm_x86 *x)
{
    enum { STEP = 200000000 }; /* nanoseconds */
    unsigned classes = KVM_SYNC_X86_VALID_FIELDS;
    int rc = kvm_x86_before_entry(x, classes);

    if (rc == 0)
        rc = x->cpu->debug.step ? kvm_enter_for(x->cpu, STEP)
                                : kvm_enter(x->cpu);
    if (rc == KVM_OUTSIDE)
        return rc;
    kvm_x86_after_entry(x, classes);
    x->accessed = false;
    if (rc >= 0) {
        x->pending = KVM_X86_NONE;
        x->count = 0;
    }
    if (rc == KVM_LEFT)
        x->at_break = false;
    return rc;
}

static int x86_run(struct vmm_cpu *cpu, struct vmm_exit *exit)
{
    struct kvm_x86 *x = cpu->host;
    int rc = kvm_owned(x->vcpu.machine, "run");

    if (rc == 0 && x->pending != KVM_X86_NONE && kvm_x86_more(x)) {
        x->element++;
        io_exit(x, exit);
        return 0;
    }
    while (rc == 0) {
        if (!x->ready)
            rc = prepare(x);
        if (rc < 0)
            return rc;
        if (!x->ready)
            rc = enter(x);
        if (rc < 0)
            return failed(x, exit, -rc);
        if (rc != KVM_LEFT)
            break;
        x->ready = false;
        if (describe(x, exit))
            return 0;
    }
    if (rc < 0)
        return rc;
    exit->kind = VMM_KICK;
    exit->reason = KVM_EXIT_INTR;
    if (rc == KVM_LATE) {
        exit->kind = VMM_TIMEOUT;
        WHY(exit, "the step has not ended: KVM makes none in the handler of an "
                  "exception");
    }
    return 0;
}

static int x86_settle(struct vmm_cpu *cpu)
{
    struct kvm_x86 *x = cpu->host;
    int rc = kvm_owned(x->vcpu.machine, "settle");

    if (rc == 0)
        rc = kvm_x86_complete(x);
    kvm_settled();
    return rc;
}

const struct vmm_ops vmm_kvm_x86_ops = {
    .name = "kvm",
    .arch = VMM_X86_64,
    .threads = true,
    .probe = kvm_probe,
    .open = x86_open,
    .close = x86_close,
    .map = kvm_map,
    .unmap = kvm_unmap,
    .protect = kvm_protect,
    .cpu_open = x86_cpu_open,
    .cpu_close = x86_cpu_close,
    .run = x86_run,
    .answer = kvm_x86_answer,
    .settle = x86_settle,
    .kick = kvm_kick,
    .get = kvm_x86_get,
    .set = kvm_x86_set,
    .inject = x86_inject,
    .debug = kvm_x86_debug,
};
#endif
