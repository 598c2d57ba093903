/* SPDX-License-Identifier: MIT */
/* hvf_thread.c - the thread that a vCPU is made on, runs on and ends on. */
#include "backend.h"

#ifdef VMM_HVF
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "hvf.h"
#include "thread.h"

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

int hvf_thread_open(struct hvf_thread *t)
{
    int rc;

    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->news, NULL);
    t->owner = getpid();
    rc = vmm_thread_start(&t->id, live, t);
    if (rc == 0)
        return 0;
    pthread_cond_destroy(&t->news);
    pthread_mutex_destroy(&t->lock);
    return rc;
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
