/* SPDX-License-Identifier: MIT */
/* bench.h - what the C sides of `make bench` share: arguments, time, results.
 *
 * Each is a loop as one would write it for this one purpose, with no regard to
 * anything that hvlua promises beyond it. */
#ifndef BENCH_H
#define BENCH_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* End the program with a message unless `ok`. */
static inline void need(int ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "bench: %s\n", what);
    exit(1);
}

/* Processor time of this process in nanoseconds: other jobs do not count. */
static inline uint64_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* The guest's code, given in hexadecimal; gives its length. */
static inline size_t code(const char *hex, uint8_t *to, size_t room)
{
    size_t n = 0;
    unsigned byte;

    for (; n < room && sscanf(hex + 2 * n, "%2x", &byte) == 1; n++)
        to[n] = (uint8_t)byte;
    return n;
}

/* The line that run.lua reads: nanoseconds for all, and the checksum. */
static inline void result(uint64_t ns, uint64_t sum)
{
    printf("%llu\t%lld\n", (unsigned long long)ns, (long long)sum);
}

/* The first hypercall of a cold start: say so, then stay until told to go. */
static inline void arrived(char letter)
{
    putchar(letter);
    fflush(stdout);
    getchar();
}

#endif
