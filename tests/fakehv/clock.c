/* SPDX-License-Identifier: MIT */
/* clock.c - mach_absolute_time(), which a test may stop and turn. */
#include <time.h>
#include <mach/mach_time.h>

#include "fake.h"

static struct {
    pthread_mutex_t mutex;
    bool stopped;
    uint64_t shows; /* stopped; else what is added to the real one */
} c = {.mutex = PTHREAD_MUTEX_INITIALIZER};

/* A tick is 125/3 ns. */
uint64_t fake_ticks_real(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * TICKS_PER_SECOND +
           (uint64_t)now.tv_nsec * 3 / 125;
}

static uint64_t shown(void)
{
    return c.stopped ? c.shows : fake_ticks_real() + c.shows;
}

uint64_t mach_absolute_time(void)
{
    uint64_t now;

    pthread_mutex_lock(&c.mutex);
    now = shown();
    pthread_mutex_unlock(&c.mutex);
    return now;
}

kern_return_t mach_timebase_info(mach_timebase_info_t info)
{
    info->numer = 125;
    info->denom = 3;
    return KERN_SUCCESS;
}

/* Looks again now and then: the clock may be turned. */
kern_return_t mach_wait_until(uint64_t deadline)
{
    while (mach_absolute_time() < deadline) {
        struct timespec moment = {.tv_nsec = 200000};

        nanosleep(&moment, NULL);
    }
    return KERN_SUCCESS;
}

void fake_hv_clock_stop(uint64_t ticks)
{
    pthread_mutex_lock(&c.mutex);
    c.stopped = true;
    c.shows = ticks;
    pthread_mutex_unlock(&c.mutex);
}

void fake_hv_clock_advance(uint64_t ticks)
{
    pthread_mutex_lock(&c.mutex);
    c.shows += ticks;
    pthread_mutex_unlock(&c.mutex);
}

void fake_hv_clock_go(void)
{
    pthread_mutex_lock(&c.mutex);
    if (c.stopped) {
        c.shows -= fake_ticks_real();
        c.stopped = false;
    }
    pthread_mutex_unlock(&c.mutex);
}
