/* SPDX-License-Identifier: MIT */
/* thread.c - threads of the bindings' own: how they start. */
#include <signal.h>
#include <stdbool.h>

#include "hvlib.h"

struct start {
    void *(*body)(void *);
    void *arg;
    pthread_mutex_t lock;
    pthread_cond_t up;
    bool is_up;
};

static void *begin(void *ctx)
{
    struct start *start = ctx; /* gone once it is told of */
    void *(*body)(void *) = start->body;
    void *arg = start->arg;

    pthread_mutex_lock(&start->lock);
    start->is_up = true;
    pthread_cond_signal(&start->up);
    pthread_mutex_unlock(&start->lock);
    return body(arg);
}

int thread_start(pthread_t *thread, void *(*body)(void *), void *arg)
{
    struct start start = {.body = body, .arg = arg};
    sigset_t all, old;
    int rc;

    pthread_mutex_init(&start.lock, NULL);
    pthread_cond_init(&start.up, NULL);
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &old);
    rc = pthread_create(thread, NULL, begin, &start);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_mutex_lock(&start.lock);
    while (rc == 0 && !start.is_up)
        pthread_cond_wait(&start.up, &start.lock);
    pthread_mutex_unlock(&start.lock);
    pthread_cond_destroy(&start.up);
    pthread_mutex_destroy(&start.lock);
    return rc;
}
