/* SPDX-License-Identifier: MIT */
/* hvf_thread.c - the thread that a vCPU is made on, runs on and ends on. */
#include "backend.h"

#ifdef VMM_HVF
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "hvf.h"

/* Scripts run on it: as much stack as the main thread has. */
enum { STACK = 8 << 20 };

static void *live(void *arg)
{
    struct hvf_thread *t = arg;

    pthread_mutex_lock(&t->lock);
    while (!t->end) {
        if (!t->body) {
            pthread_cond_wait(&t->news, &t->lock);
            continue;
        }
        pthread_mutex_unlock(&t->lock);
        t->rc = t->body(t->arg);
        if (t->rc < 0)
            snprintf(t->why, sizeof t->why, "%s", vmm_why());
        pthread_mutex_lock(&t->lock);
        t->body = NULL;
        pthread_cond_broadcast(&t->news);
    }
    pthread_mutex_unlock(&t->lock);
    return NULL;
}

/* SIGURG stays open: it interrupts handlers, which run here too. */
static void block_signals(sigset_t *old)
{
    sigset_t most;

    sigfillset(&most);
    sigdelset(&most, SIGURG);
    sigdelset(&most, SIGSEGV);
    sigdelset(&most, SIGBUS);
    sigdelset(&most, SIGILL);
    sigdelset(&most, SIGFPE);
    sigdelset(&most, SIGTRAP);
    pthread_sigmask(SIG_BLOCK, &most, old);
}

int hvf_thread_open(struct hvf_thread *t)
{
    pthread_attr_t attr;
    sigset_t old;
    int rc;

    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->news, NULL);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK);
    block_signals(&old);
    rc = pthread_create(&t->id, &attr, live, t);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
    t->owner = getpid();
    if (rc == 0)
        return 0;
    pthread_cond_destroy(&t->news);
    pthread_mutex_destroy(&t->lock);
    return vmm_fail(VMM_EHOST, "hvf: vcpu: no thread: %s", strerror(rc));
}

void hvf_thread_close(struct hvf_thread *t)
{
    pthread_mutex_lock(&t->lock);
    t->end = true;
    pthread_cond_broadcast(&t->news);
    pthread_mutex_unlock(&t->lock);
    pthread_join(t->id, NULL);
    pthread_cond_destroy(&t->news);
    pthread_mutex_destroy(&t->lock);
}

int hvf_do(struct hvf_thread *t, int (*body)(void *arg), void *arg)
{
    char why[sizeof t->why];
    int rc;

    if (pthread_equal(pthread_self(), t->id))
        return body(arg);
    if (t->owner != getpid())
        return vmm_fail(VMM_ESTATE,
                        "hvf: the vcpu belongs to the process that made it, "
                        "not to its forks");
    pthread_mutex_lock(&t->lock);
    t->body = body;
    t->arg = arg;
    pthread_cond_broadcast(&t->news);
    while (t->body)
        pthread_cond_wait(&t->news, &t->lock);
    rc = t->rc;
    memcpy(why, t->why, sizeof why);
    pthread_mutex_unlock(&t->lock);
    return rc < 0 ? vmm_fail(rc, "%s", why) : rc;
}
#endif
