/* SPDX-License-Identifier: MIT */
/* thread.c - threads of core's own: how they start, and the one that keeps the
 * time of a run. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "thread.h"

/* Scripts' code runs on them: as much stack as a main thread has, where other
 * threads get less. */
enum { STACK = 8 << 20 };

static void block_signals(sigset_t *old)
{
    sigset_t most;

    sigemptyset(&most);
    for (int i = 1; i < 32; i++)
        if (i != SIGSEGV && i != SIGBUS && i != SIGILL && i != SIGFPE &&
            i != SIGURG)
            sigaddset(&most, i);
    pthread_sigmask(SIG_BLOCK, &most, old);
}

int vmm_thread_start(pthread_t *thread, void *(*body)(void *), void *arg)
{
    pthread_attr_t attr;
    sigset_t old;
    int rc;

    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK);
    block_signals(&old);
    rc = pthread_create(thread, &attr, body, arg);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
    return rc ? vmm_fail(VMM_EHOST, "machine: no thread: %s", strerror(rc)) : 0;
}

/* ---- the watchdog -------------------------------------------------------- */

#ifdef __APPLE__
static int wait_for(pthread_cond_t *wake, pthread_mutex_t *lock, uint64_t ns)
{
    struct timespec t = {(time_t)(ns / 1000000000), (long)(ns % 1000000000)};

    return pthread_cond_timedwait_relative_np(wake, lock, &t);
}

static void cond_init(pthread_cond_t *wake)
{
    pthread_cond_init(wake, NULL);
}
#else
static int wait_for(pthread_cond_t *wake, pthread_mutex_t *lock, uint64_t ns)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += (time_t)(ns / 1000000000);
    t.tv_nsec += (long)(ns % 1000000000);
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    return pthread_cond_timedwait(wake, lock, &t);
}

static void cond_init(pthread_cond_t *wake)
{
    pthread_condattr_t clock;

    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(wake, &clock);
    pthread_condattr_destroy(&clock);
}
#endif

static void *watch(void *arg)
{
    struct vmm_watchdog *dog = arg;
    uint64_t ns = dog->ns;

    pthread_mutex_lock(&dog->lock);
    while (!dog->done) {
        if (dog->asleep) {
            pthread_cond_wait(&dog->wake, &dog->lock);
            ns = dog->ns;
        } else if (wait_for(&dog->wake, &dog->lock, ns) == ETIMEDOUT) {
            dog->bark(dog->ctx);
            ns = dog->again;
        }
    }
    pthread_mutex_unlock(&dog->lock);
    return NULL;
}

int vmm_watchdog_start(struct vmm_watchdog *dog)
{
    int rc;

    if (dog->ns == 0)
        return 0;
    pthread_mutex_init(&dog->lock, NULL);
    cond_init(&dog->wake);
    rc = vmm_thread_start(&dog->thread, watch, dog);
    dog->on = rc == 0;
    return rc;
}

void vmm_watchdog_sleep(struct vmm_watchdog *dog, bool asleep)
{
    pthread_mutex_lock(&dog->lock);
    dog->asleep = asleep;
    pthread_cond_signal(&dog->wake);
    pthread_mutex_unlock(&dog->lock);
}

void vmm_watchdog_stop(struct vmm_watchdog *dog)
{
    if (dog->ns == 0)
        return;
    if (dog->on) {
        pthread_mutex_lock(&dog->lock);
        dog->done = true;
        pthread_cond_signal(&dog->wake);
        pthread_mutex_unlock(&dog->lock);
        pthread_join(dog->thread, NULL);
    }
    pthread_cond_destroy(&dog->wake);
    pthread_mutex_destroy(&dog->lock);
}
