/* SPDX-License-Identifier: MIT */
/* kvm_arm64_idle.c - two things that KVM leaves no arm64 guest for, and other
 * backends do: a WFI, in which the kernel waits for an interrupt, and code that
 * can only fault for ever, because nothing is at its vector.
 *
 * A thread of the machine's looks every millisecond or few who is still in the same
 * visit to the guest. Whoever sleeps there is in a WFI; who has been there for long is
 * asked to show where it is. Exits pay next to nothing for that. With the kernel's
 * GIC whoever is in a WFI waits for that, and is left alone. */
#include "backend.h"

#if defined(__linux__) && defined(__aarch64__)
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "kvm_arm64.h"
#include "thread.h"

enum {
    LOOK = 1000000,        /* nanoseconds between two looks, */
    LONG_LOOK = 16 * LOOK, /* at those who come and go */
    PATIENCE = 50,         /* looks at one visit, until it has to show itself */
    DOZE = 100,            /* looks without a visit, until the thread waits */
    EC_WFX = 0x01
};

/* ---- the thread ---------------------------------------------------------- */

/* KVM_RUN is all that this thread does: if it sleeps, the guest waits. */
static bool sleeps(const struct kvm_arm64 *a)
{
    char path[64], line[128], state = 0;
    const char *after;
    FILE *file;

    snprintf(path, sizeof path, "/proc/self/task/%d/stat",
             atomic_load(&a->tid));
    file = fopen(path, "re");
    if (!file)
        return false;
    if (fgets(line, sizeof line, file) && (after = strrchr(line, ')')))
        state = after[2];
    fclose(file);
    return state == 'S';
}

/* What there was to see, the most of all vCPUs. */
enum { NOBODY, COMES_AND_GOES, STAYS };

static int look_at(struct kvm_arm64 *a)
{
    unsigned visits = atomic_load(&a->visits);
    bool slept;

    if (visits % 2 == 0 || visits != a->seen) {
        bool there = visits % 2 || visits != a->seen;

        a->seen = visits;
        a->looks = 0;
        return there ? COMES_AND_GOES : NOBODY;
    }
    slept = sleeps(a);
    if (slept && a->cpu->vm->gic.ranges)
        return COMES_AND_GOES;
    if (slept || ++a->looks % PATIENCE == 0) {
        atomic_store(&a->slept, slept);
        atomic_store(&a->looked, true);
        kvm_kick(a->cpu);
    }
    return STAYS;
}

static int look(struct kvm_arm64_machine *m)
{
    int most = NOBODY;

    for (unsigned i = 0; i < VMM_MAX_CPUS; i++)
        if (m->cpu[i]) {
            int is = look_at(m->cpu[i]);

            most = is > most ? is : most;
        }
    return most;
}

static void wait_a_little(struct kvm_arm64_idler *idler, long ns)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_nsec += ns;
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    pthread_cond_timedwait(&idler->wake, &idler->lock, &t);
}

/* While two threads have one table of open files, the kernel takes a reference to
 * the file, and gives it back, in each ioctl() that enters a guest. This thread has
 * no use for the others' files: it gets an empty table of its own, from Linux 5.9
 * on, and without it all goes on as it did. */
static void share_no_files(void)
{
#ifdef SYS_close_range
    enum { UNSHARE = 2 }; /* CLOSE_RANGE_UNSHARE */

    syscall(SYS_close_range, 0u, ~0u, UNSHARE);
#endif
}

/* Whoever comes in says so first and then looks whether this dozes; it says that
 * it dozes first and then looks whether somebody has come in. */
static void *idle(void *arg)
{
    struct kvm_arm64_machine *m = arg;
    struct kvm_arm64_idler *idler = &m->idler;
    unsigned quiet = 0;
    long pause = LOOK;

    share_no_files();
    pthread_mutex_lock(&idler->lock);
    while (!idler->end) {
        int is = look(m);

        pause = is != COMES_AND_GOES ? LOOK
                : pause < LONG_LOOK  ? 2 * pause
                                     : pause;
        quiet = is == NOBODY ? quiet + 1 : 0;
        if (quiet < DOZE) {
            wait_a_little(idler, pause);
            continue;
        }
        atomic_store(&idler->dozing, true);
        while (look(m) == NOBODY && !idler->end)
            pthread_cond_wait(&idler->wake, &idler->lock);
        atomic_store(&idler->dozing, false);
        quiet = 0;
    }
    pthread_mutex_unlock(&idler->lock);
    return NULL;
}

void kvm_arm64_idler_open(struct kvm_arm64_machine *m)
{
    pthread_condattr_t clock;

    pthread_mutex_init(&m->idler.lock, NULL);
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&m->idler.wake, &clock);
    pthread_condattr_destroy(&clock);
}

/* A fork has no such thread to end. */
void kvm_arm64_idler_close(struct kvm_arm64_machine *m)
{
    struct kvm_arm64_idler *idler = &m->idler;

    if (m->kvm.mine && !*m->kvm.mine)
        return;
    if (idler->started) {
        pthread_mutex_lock(&idler->lock);
        idler->end = true;
        pthread_cond_signal(&idler->wake);
        pthread_mutex_unlock(&idler->lock);
        pthread_join(idler->thread, NULL);
    }
    pthread_cond_destroy(&idler->wake);
    pthread_mutex_destroy(&idler->lock);
}

void kvm_arm64_idler_add(struct kvm_arm64 *a)
{
    struct kvm_arm64_machine *m = a->machine;

    pthread_mutex_lock(&m->idler.lock);
    m->cpu[a->cpu->index] = a;
    pthread_mutex_unlock(&m->idler.lock);
}

void kvm_arm64_idler_remove(struct kvm_arm64 *a)
{
    struct kvm_arm64_machine *m = a->machine;

    if (!*m->kvm.mine)
        return;
    pthread_mutex_lock(&m->idler.lock);
    m->cpu[a->cpu->index] = NULL;
    pthread_mutex_unlock(&m->idler.lock);
}

/* ---- those who are looked after ------------------------------------------ */

/* The first to run a machine starts its thread; several may be the first. */
static int start(struct kvm_arm64_machine *m)
{
    struct kvm_arm64_idler *idler = &m->idler;
    int rc = 0;

    pthread_mutex_lock(&idler->lock);
    if (!idler->started)
        rc = vmm_thread_start(&idler->thread, idle, m);
    idler->started = idler->started || rc == 0;
    pthread_cond_signal(&idler->wake);
    pthread_mutex_unlock(&idler->lock);
    return rc;
}

static _Thread_local int my_tid;

static RARE void ask_tid(void)
{
    my_tid = (int)syscall(SYS_gettid);
}

static RARE int wake(struct kvm_arm64 *a)
{
    int rc = start(a->machine);

    a->started = rc == 0;
    if (rc < 0)
        kvm_arm64_come_out(a);
    return rc;
}

int kvm_arm64_go_in(struct kvm_arm64 *a)
{
    if (my_tid == 0)
        ask_tid();
    atomic_store_explicit(&a->tid, my_tid, memory_order_relaxed);
    atomic_store(&a->visits, /* which nobody else writes */
                 atomic_load_explicit(&a->visits, memory_order_relaxed) + 1);
    if (a->started && !atomic_load(&a->machine->idler.dozing))
        return 0;
    return wake(a);
}

static bool is_wfi(struct kvm_arm64 *a, uint64_t pc)
{
    enum { WFI = 0xd503207f, WFIT = 0xd5031020, RT = 0x1f };
    uint32_t word;

    return kvm_arm64_instruction(a, pc, &word) &&
           (word == WFI || (word & ~(uint32_t)RT) == WFIT);
}

static uint64_t sysreg(struct kvm_arm64 *a, uint32_t nr)
{
    union vmm_value v = {.u64 = 0};

    kvm_arm64_get(a->cpu, VMM_REG(VMM_SYSTEM, nr), &v);
    return v.u64;
}

/* Where an exception is taken to, the next one is taken before a single
 * instruction is done: only the host could end that. */
static void tell_if_hopeless(struct kvm_arm64 *a, uint64_t pc,
                             struct vmm_exit *exit)
{
    enum {
        SPSR_EL1 = VMM_A64_SYSREG(3, 0, 4, 0, 0),
        ELR_EL1 = VMM_A64_SYSREG(3, 0, 4, 0, 1),
        ESR_EL1 = VMM_A64_SYSREG(3, 0, 5, 2, 0),
        FAR_EL1 = VMM_A64_SYSREG(3, 0, 6, 0, 0),
        VBAR_EL1 = VMM_A64_SYSREG(3, 0, 12, 0, 0)
    };
    uint64_t offset = pc - sysreg(a, VBAR_EL1);
    uint32_t word;

    if (sysreg(a, ELR_EL1) != pc ||
        offset != vmm_arm64_vector(sysreg(a, SPSR_EL1)))
        return;
    vmm_arm64_no_handler(exit, sysreg(a, ESR_EL1), sysreg(a, FAR_EL1), pc,
                         offset, !kvm_arm64_instruction(a, pc, &word));
}

void kvm_arm64_idle_exit(struct kvm_arm64 *a, struct vmm_exit *exit)
{
    uint64_t pc;

    if (!atomic_exchange(&a->looked, false))
        return;
    pc = kvm_arm64_pc(a);
    if (atomic_load(&a->slept) && is_wfi(a, pc - 4)) {
        exit->kind = VMM_WFI;
        exit->ec = EC_WFX;
        exit->syndrome = (uint64_t)EC_WFX << 26 | UINT64_C(1) << 25;
    } else {
        tell_if_hopeless(a, pc, exit);
    }
}
#endif
