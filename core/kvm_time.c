/* SPDX-License-Identifier: MIT */
/* kvm_time.c - entries that have to come back soon, whatever the guest does: for one
 * instruction only. KVM may miss its end: where it steps by a flag that is off in an
 * exception's handler, where the code is another by now, or where it never gets on
 * with the instruction. A timer of the vCPU's signals whoever is inside.
 *
 * The calls are the kernel's own, for those of older C libraries are in a library
 * apart. */
#include "backend.h"

#ifdef __linux__
#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "kvm.h"

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

enum {
    SECOND = 1000000000,
    AGAIN = SECOND / 50 /* as the first may come just before the entry */
};

static uint64_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

static int set(const struct kvm_vcpu *v, uint64_t ns, uint64_t again)
{
    struct itimerspec t = {
        .it_value = {(time_t)(ns / SECOND), (long)(ns % SECOND)},
        .it_interval = {(time_t)(again / SECOND), (long)(again % SECOND)},
    };

    return syscall(SYS_timer_settime, v->timer, 0, &t, NULL) < 0 ? -errno : 0;
}

/* A timer signals one thread, the one that made it. */
static int make(struct kvm_vcpu *v)
{
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID,
                             .sigev_signo = v->machine->signal};

    event.sigev_notify_thread_id = (int)syscall(SYS_gettid);
    kvm_time_close(v);
    if (syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &v->timer) < 0)
        return -errno;
    v->timed = true;
    v->timed_thread = pthread_self();
    return 0;
}

int kvm_time_start(struct kvm_vcpu *v, uint64_t ns)
{
    int rc = 0;

    if (!v->timed || !pthread_equal(v->timed_thread, pthread_self()))
        rc = make(v);
    if (rc < 0)
        return rc;
    v->until = now() + ns;
    return set(v, ns, AGAIN);
}

bool kvm_time_is_up(const struct kvm_vcpu *v)
{
    return now() >= v->until;
}

void kvm_time_stop(struct kvm_vcpu *v)
{
    set(v, 0, 0);
}

/* A fork has no timers of its parent's: the number may be another one's there. */
void kvm_time_close(struct kvm_vcpu *v)
{
    if (v->timed && *v->machine->mine)
        syscall(SYS_timer_delete, v->timer);
    v->timed = false;
}
#endif
