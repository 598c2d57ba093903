/* SPDX-License-Identifier: MIT */
/* thread.h - threads of core's own. */
#ifndef VMM_THREAD_H
#define VMM_THREAD_H

#include <pthread.h>

#include "backend.h"

/* A thread on which callbacks may run. It takes none of the program's signals:
 * SIGINT interrupts what the main thread does. Those that are sent to a thread
 * stay open: real-time ones, for ops->kick, and SIGURG, for who wants to
 * interrupt a callback. 0, or vmm_fail(). */
int vmm_thread_start(pthread_t *thread, void *(*body)(void *), void *arg);

/* Calls back after a time, and then again and again, for it may have been missed,
 * until it is stopped: see struct vmm_run, on_timeout. */
struct vmm_watchdog {
    uint64_t ns; /* 0: never */
    uint64_t again;
    void (*bark)(void *ctx);
    void *ctx;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool on, done, asleep;
};

int vmm_watchdog_start(struct vmm_watchdog *dog); /* 0, or vmm_fail() */
/* While it is asleep it does not call; awake, its time begins anew. */
void vmm_watchdog_sleep(struct vmm_watchdog *dog, bool asleep);
void vmm_watchdog_stop(struct vmm_watchdog *dog);

#endif
