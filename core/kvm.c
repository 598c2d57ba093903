/* SPDX-License-Identifier: MIT */
/* kvm.c - the KVM of every architecture: /dev/kvm, the VM, memory slots, and
 * getting a vCPU into the guest and out of it. */
#include "backend.h"

#ifdef __linux__
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kvm.h"

enum { API_VERSION = 12 }; /* has been since Linux 2.6.22, and stays */

/* ---- errors -------------------------------------------------------------- */

int kvm_disowned(const char *what)
{
    return vmm_fail(VMM_ESTATE,
                    "kvm: %s: this machine belongs to the process that opened "
                    "it: open another one after the fork",
                    what);
}

int kvm_fail(const struct kvm_machine *m, const char *what, int error)
{
    if (kvm_owned(m, what) < 0)
        return VMM_ESTATE;
    errno = error;
    return vmm_fail(error == ENOMEM ? VMM_ENOMEM : VMM_EHOST, "kvm: %s: %m",
                    what);
}

/* ---- /dev/kvm ------------------------------------------------------------ */

#ifdef __aarch64__
#define NO_DEVICE                                                              \
    "kvm: there is no /dev/kvm: the firmware has to start Linux at EL2, and "  \
    "a "                                                                       \
    "hypervisor that Linux runs in has to offer it nested virtualization"
#else
#define NO_DEVICE                                                              \
    "kvm: there is no /dev/kvm: enable virtualization in the firmware, then "  \
    "`sudo modprobe kvm_amd` (or kvm_intel)"
#endif

static const char *no_device(int error, char *buffer, size_t size)
{
    switch (error) {
    case ENOENT:
    case ENODEV:
    case ENXIO:
        return NO_DEVICE;
    case EACCES:
    case EPERM:
        return "kvm: no permission for /dev/kvm: `sudo usermod -aG kvm $USER`, "
               "then log in again";
    default:
        errno = error;
        snprintf(buffer, size, "kvm: /dev/kvm: %m");
        return buffer;
    }
}

/* immediate_exit is what makes kicks reliable and completes accesses; no kernel
 * that lacks it is still maintained. */
static const char *too_old(int dev, char *buffer, size_t size)
{
    int version = ioctl(dev, KVM_GET_API_VERSION, 0);

    if (version != API_VERSION) {
        snprintf(
            buffer, size,
            "kvm: /dev/kvm speaks version %d of its interface, not %d: use "
            "another kernel",
            version, API_VERSION);
        return buffer;
    }
    if (ioctl(dev, KVM_CHECK_EXTENSION, KVM_CAP_USER_MEMORY) <= 0 ||
        ioctl(dev, KVM_CHECK_EXTENSION, KVM_CAP_IMMEDIATE_EXIT) <= 0)
        return "kvm: this kernel lacks KVM_CAP_IMMEDIATE_EXIT: use Linux 4.13 "
               "or newer";
    return NULL;
}

/* Open /dev/kvm if it is usable: *why is NULL then. */
static int open_device(const char **why, char *buffer, size_t size)
{
    int dev = open("/dev/kvm", O_RDWR | O_CLOEXEC);

    *why =
        dev < 0 ? no_device(errno, buffer, size) : too_old(dev, buffer, size);
    if (dev >= 0 && *why) {
        close(dev);
        dev = -1;
    }
    return dev;
}

const char *kvm_probe(char *buffer, size_t size)
{
    const char *why;
    int dev = open_device(&why, buffer, size);

    if (dev >= 0)
        close(dev);
    return why;
}

int kvm_cap(const struct kvm_machine *m, long cap)
{
    int value = ioctl(m->vm, KVM_CHECK_EXTENSION, cap);

    return value < 0 ? 0 : value;
}

/* ---- the signal ---------------------------------------------------------- */

/* Only its arrival counts: it makes KVM_RUN return. */
static void arrived(int signal)
{
    (void)signal;
}

static bool is_ours(const struct sigaction *action)
{
    return !(action->sa_flags & SA_SIGINFO) && action->sa_handler == arrived;
}

static bool is_free(const struct sigaction *action)
{
    return !(action->sa_flags & SA_SIGINFO) && action->sa_handler == SIG_DFL;
}

/* KVM_RUN is never restarted, whatever SA_RESTART says; a handler's own system
 * calls, should one be hit by a late signal, had better be. Somebody may take
 * the signal between our look and our grab: then it is theirs. */
static bool take(int signal)
{
    struct sigaction new = {.sa_handler = arrived, .sa_flags = SA_RESTART}, old;

    if (sigaction(signal, NULL, &old) < 0)
        return false;
    if (is_ours(&old))
        return true;
    if (!is_free(&old))
        return false;
    sigemptyset(&new.sa_mask);
    sigaction(signal, &new, &old);
    if (is_free(&old) || is_ours(&old))
        return true;
    sigaction(signal, &old, NULL);
    return false;
}

/* All machines share the first real-time signal that nobody handles. One that
 * is blocked may have somebody waiting for it, in sigwait: those come last. */
static int choose_signal(void)
{
    sigset_t blocked;

    sigemptyset(&blocked);
    pthread_sigmask(SIG_BLOCK, NULL, &blocked);
    for (int pass = 0; pass < 2; pass++)
        for (int signal = SIGRTMIN; signal <= SIGRTMAX; signal++)
            if (sigismember(&blocked, signal) == pass && take(signal))
                return signal;
    return 0;
}

/* The signal this thread lets in. What a thread blocks is the thread's, so this
 * is too: asking the kernel at each entry would cost a system call. */
static _Thread_local int let_in;

void kvm_settled(void)
{
    let_in = 0;
}

static RARE void let_signal_in(int signal)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, signal);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    let_in = signal;
}

/* ---- the VM -------------------------------------------------------------- */

static int make_vm(struct kvm_machine *m)
{
    int slots, size = ioctl(m->dev, KVM_GET_VCPU_MMAP_SIZE, 0);

    if (size < (int)sizeof(struct kvm_run))
        return kvm_fail(m, "size of a vcpu", size < 0 ? errno : EPROTO);
    m->run_size = (size_t)size;
    do
        m->vm = ioctl(m->dev, KVM_CREATE_VM, kvm_vm_type(m->dev));
    while (m->vm < 0 && errno == EINTR);
    if (m->vm < 0)
        return kvm_fail(m, "make a machine", errno);
    slots = kvm_cap(m, KVM_CAP_NR_MEMSLOTS);
    if (slots == 0)
        slots = 32; /* what there were before one could ask */
    m->slots = slots < KVM_MAX_SLOTS ? (uint32_t)slots : KVM_MAX_SLOTS;
    m->readonly = kvm_cap(m, KVM_CAP_READONLY_MEM) > 0;
    return 0;
}

/* A byte that reads 1 here and 0 in a child. */
static int mark_mine(struct kvm_machine *m)
{
    char *page = mmap(NULL, 1, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (page == MAP_FAILED)
        return vmm_fail(VMM_ENOMEM, "kvm: make a machine: %m");
    *page = 1;
    madvise(page, 1, MADV_WIPEONFORK);
    m->mine = page;
    return 0;
}

int kvm_open(struct kvm_machine *m)
{
    char buffer[160];
    const char *why;
    int rc;

    m->vm = -1;
    m->dev = open_device(&why, buffer, sizeof buffer);
    pthread_mutex_init(&m->gate, NULL);
    if (why)
        return vmm_fail(VMM_EHOST, "%s", why);
    rc = mark_mine(m);
    if (rc < 0)
        return rc;
    m->signal = choose_signal();
    if (m->signal == 0)
        return vmm_fail(VMM_EHOST, "kvm: kick: every real-time signal of this "
                                   "process has a handler: leave one free");
    return make_vm(m);
}

void kvm_close(struct kvm_machine *m)
{
    if (m->vm >= 0)
        close(m->vm);
    if (m->dev >= 0)
        close(m->dev);
    if (m->mine)
        munmap((void *)m->mine, 1);
    pthread_mutex_destroy(&m->gate);
}

/* ---- memory slots -------------------------------------------------------- */

static int set_slot(struct kvm_machine *m, const struct vmm_mem *mem,
                    uint64_t size, unsigned prot)
{
    struct kvm_userspace_memory_region region = {
        .slot = mem->slot,
        .flags = prot & VMM_W ? 0 : KVM_MEM_READONLY,
        .guest_phys_addr = mem->range.at,
        .memory_size = size,
        .userspace_addr = (uintptr_t)mem->host,
    };

    return ioctl(m->vm, KVM_SET_USER_MEMORY_REGION, &region) < 0 ? errno : 0;
}

static int map_fail(const struct kvm_machine *m, const struct vmm_mem *mem,
                    int error)
{
    char what[64];

    snprintf(what, sizeof what, "memory 0x%" PRIx64 "-0x%" PRIx64,
             mem->range.at, mem->range.at + mem->range.size - 1);
    if (error == EEXIST)
        return vmm_fail(VMM_EHOST,
                        "kvm: %s: this host's KVM uses a part of "
                        "it itself: map around that",
                        what);
    if (error == EINVAL || error == EFAULT)
        return vmm_fail(VMM_EHOST,
                        "kvm: %s: beyond what this host's KVM can "
                        "map: use lower addresses, or less",
                        what);
    return kvm_fail(m, what, error);
}

static int check_prot(const struct kvm_machine *m, unsigned prot)
{
    if (prot & VMM_W || m->readonly)
        return 0;
    return vmm_fail(VMM_ENOTSUP, "kvm: memory without w: this kernel has no "
                                 "KVM_CAP_READONLY_MEM: use unicorn");
}

int kvm_map(struct vmm *vm, struct vmm_mem *mem)
{
    struct kvm_machine *m = vm->host;
    uint32_t word = 0;
    int rc = check_prot(m, mem->range.prot);

    if (rc < 0)
        return rc;
    while (word < m->slots / 64 && m->used[word] == UINT64_MAX)
        word++;
    if (word < KVM_MAX_SLOTS / 64 && m->used[word] != UINT64_MAX)
        mem->slot = word * 64 + (uint32_t)__builtin_ctzll(~m->used[word]);
    else
        mem->slot = m->slots;
    if (mem->slot >= m->slots)
        return vmm_fail(VMM_EHOST, "kvm: this kernel maps at most %u ranges",
                        m->slots);
    rc = set_slot(m, mem, mem->range.size, mem->range.prot);
    if (rc)
        return map_fail(m, mem, rc);
    m->used[word] |= UINT64_C(1) << mem->slot % 64;
    return 0;
}

int kvm_unmap(struct vmm *vm, struct vmm_mem *mem)
{
    struct kvm_machine *m = vm->host;
    int error = set_slot(m, mem, 0, mem->range.prot);

    if (error)
        return map_fail(m, mem, error);
    m->used[mem->slot / 64] &= ~(UINT64_C(1) << mem->slot % 64);
    return 0;
}

/* KVM changes no slot between read-only and not: it has to be deleted and made
 * anew. In between the guest would see a hole, so all vCPUs wait outside. */
void kvm_shut(struct vmm *vm)
{
    struct kvm_machine *m = vm->host;

    pthread_mutex_lock(&m->gate);
    atomic_store(&m->shut, true);
    for (unsigned i = 0; i < vm->cpus; i++) {
        struct kvm_vcpu *v = vm->cpu[i]->host;

        while (atomic_load(&v->inside)) {
            kvm_kick(vm->cpu[i]);
            sched_yield();
        }
    }
}

void kvm_unshut(struct vmm *vm)
{
    struct kvm_machine *m = vm->host;

    atomic_store(&m->shut, false);
    pthread_mutex_unlock(&m->gate);
}

int kvm_protect(struct vmm *vm, struct vmm_mem *mem, unsigned prot)
{
    struct kvm_machine *m = vm->host;
    int error, rc = check_prot(m, prot);

    if (rc < 0 || (prot & VMM_W) == (mem->range.prot & VMM_W))
        return rc;
    kvm_shut(vm);
    error = set_slot(m, mem, 0, mem->range.prot);
    if (error == 0) {
        error = set_slot(m, mem, mem->range.size, prot);
        if (error)
            set_slot(m, mem, mem->range.size, mem->range.prot);
    }
    kvm_unshut(vm);
    return error ? map_fail(m, mem, error) : 0;
}

/* ---- vCPUs --------------------------------------------------------------- */

/* KVM keeps a vCPU, and its number, for as long as the machine: one that was
 * closed again leaves its number unused, so it is not core's index. */
int kvm_vcpu_open(struct kvm_machine *m, struct kvm_vcpu *v)
{
    void *run;

    v->machine = m;
    v->fd = ioctl(m->vm, KVM_CREATE_VCPU, (unsigned long)m->made);
    if (v->fd < 0)
        return kvm_fail(m, "make a vcpu", errno);
    m->made++;
    run = mmap(NULL, m->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
    if (run == MAP_FAILED)
        return kvm_fail(m, "map a vcpu", errno);
    v->run = run;
    return 0;
}

void kvm_vcpu_close(struct kvm_vcpu *v)
{
    kvm_time_close(v);
    if (v->run)
        munmap(v->run, v->machine->run_size);
    if (v->fd >= 0)
        close(v->fd);
}

/* ---- in and out ---------------------------------------------------------- */

/* Written by kickers, read by the kernel: not the compiler's to move. */
static void set_immediate_exit(struct kvm_vcpu *v, uint8_t value)
{
    __atomic_store_n(&v->run->immediate_exit, value, __ATOMIC_SEQ_CST);
}

/* Both orders are safe. Whoever is about to enter clears immediate_exit, says
 * so (inside), and then looks at poke; we come after poke was set, and set
 * immediate_exit before we look at inside. So either it sees poke, or KVM_RUN
 * sees immediate_exit, or it is in the guest and the signal gets it out. While
 * `kicks` is not zero the thread stays in step_out(): it cannot be gone, or be
 * elsewhere, when the signal is sent. One signal is enough for one entry, and
 * more would pile up: the real-time ones queue. */
void kvm_kick(struct vmm_cpu *cpu)
{
    struct kvm_vcpu *v = cpu->host;

    atomic_thread_fence(memory_order_seq_cst);
    set_immediate_exit(v, 1);
    atomic_fetch_add(&v->kicks, 1);
    if (atomic_load(&v->inside) && !atomic_exchange(&v->signalled, true))
        pthread_kill(v->thread, v->machine->signal);
    atomic_fetch_sub(&v->kicks, 1);
}

static RARE void let_kickers_end(struct kvm_vcpu *v)
{
    while (atomic_load(&v->kicks))
        sched_yield();
}

static inline void step_out(struct kvm_vcpu *v)
{
    atomic_store(&v->inside, false);
    if (atomic_load(&v->kicks))
        let_kickers_end(v);
}

/* Somebody has shut the gate: wait outside until it is open. */
static RARE void stand_back(struct kvm_vcpu *v)
{
    step_out(v);
    pthread_mutex_lock(&v->machine->gate);
    pthread_mutex_unlock(&v->machine->gate);
}

static inline void step_in(struct kvm_vcpu *v, bool immediate)
{
    struct kvm_machine *m = v->machine;

    if (let_in != m->signal)
        let_signal_in(m->signal);
    for (;;) {
        v->thread = pthread_self();
        set_immediate_exit(v, immediate);
        atomic_store(&v->signalled, false);
        atomic_store(&v->inside, true);
        if (!atomic_load(&m->shut))
            return;
        stand_back(v);
    }
}

static int run(struct kvm_vcpu *v)
{
    int rc = ioctl(v->fd, KVM_RUN, 0) < 0 ? -errno : KVM_LEFT;

    return rc == -EINTR ? KVM_INTERRUPTED : rc;
}

int kvm_enter_till_signal(struct vmm_cpu *cpu)
{
    struct kvm_vcpu *v = cpu->host;
    int rc = KVM_OUTSIDE;

    step_in(v, false);
    atomic_thread_fence(memory_order_seq_cst);
    if (!vmm_poked(cpu))
        rc = run(v);
    step_out(v);
    return rc;
}

int kvm_enter(struct vmm_cpu *cpu)
{
    int rc;

    do
        rc = kvm_enter_till_signal(cpu);
    while (rc == KVM_INTERRUPTED && !vmm_poked(cpu));
    return rc;
}

int kvm_enter_for(struct vmm_cpu *cpu, uint64_t ns)
{
    struct kvm_vcpu *v = cpu->host;
    bool late = false;
    int rc = kvm_time_start(v, ns);

    if (rc < 0)
        return rc;
    do {
        rc = kvm_enter_till_signal(cpu);
        late = rc == KVM_INTERRUPTED && kvm_time_is_up(v);
    } while (rc == KVM_INTERRUPTED && !late && !vmm_poked(cpu));
    kvm_time_stop(v);
    return late && !vmm_poked(cpu) ? KVM_LATE : rc;
}

int kvm_enter_once(struct kvm_vcpu *v, bool complete)
{
    int rc;

    step_in(v, complete);
    rc = run(v);
    step_out(v);
    return rc;
}

/* ---- exits that every architecture has ----------------------------------- */

void kvm_system_exit(const struct kvm_run *run, struct vmm_exit *exit)
{
    static const char *const events[] = {
        [KVM_SYSTEM_EVENT_SHUTDOWN] = "the guest powered itself off",
        [KVM_SYSTEM_EVENT_RESET] = "the guest reset itself",
        [KVM_SYSTEM_EVENT_CRASH] = "the guest reported a crash",
    };
    uint32_t type = run->system_event.type;

    if (type < sizeof events / sizeof events[0] && events[type]) {
        exit->kind = VMM_SHUTDOWN;
        snprintf(exit->why, sizeof exit->why, "%s", events[type]);
    } else {
        exit->kind = VMM_ERROR;
        snprintf(exit->why, sizeof exit->why,
                 "KVM system event %u, which hvlua does not know", type);
    }
}

void kvm_unknown_exit(const struct kvm_run *run, struct vmm_exit *exit)
{
    exit->kind = VMM_ERROR;
    snprintf(exit->why, sizeof exit->why,
             "KVM exit %u, which hvlua does not know", run->exit_reason);
}
#endif
