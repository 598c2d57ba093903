/* SPDX-License-Identifier: MIT */
/* start.c - how long programs take from exec to their first hypercall:
 *
 *   start rounds -- program arguments... -- program arguments...
 *
 * runs them in turn, so many times each. A program writes one byte when it is
 * there, and stays until it reads one. For each: the median of the microseconds,
 * the most memory that it had by then in KiB, and the byte. */
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

enum { PROGRAMS = 2, ROUNDS = 1000 };

extern char **environ;

struct program {
    char **argv;
    double us[ROUNDS];
    long kib;
    char byte;
};

static double wall(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* VmHWM, the high-water mark: ours does not count, unlike in getrusage(). */
static long most_memory(pid_t pid)
{
    char name[40], line[200];
    long kib = 0;
    FILE *f;

    snprintf(name, sizeof name, "/proc/%d/status", (int)pid);
    f = fopen(name, "r");
    need(f != NULL, "/proc/.../status");
    while (fgets(line, sizeof line, f))
        if (sscanf(line, "VmHWM: %ld", &kib) == 1)
            break;
    fclose(f);
    return kib;
}

static double run(struct program *p)
{
    posix_spawn_file_actions_t actions;
    int in[2], out[2], status;
    double start, took;
    pid_t pid;

    need(p->argv[0] != NULL, "no program after --");
    need(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0, "pipe");
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in[0], 0);
    posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    start = wall();
    need(posix_spawn(&pid, p->argv[0], &actions, NULL, p->argv, environ) == 0,
         "cannot run the program");
    close(out[1]);
    need(read(out[0], &p->byte, 1) == 1, "it ended before its hypercall");
    took = wall() - start;
    p->kib = most_memory(pid);
    need(write(in[1], "\n", 1) == 1, "write");
    waitpid(pid, &status, 0);
    need(status == 0, "it failed");
    posix_spawn_file_actions_destroy(&actions);
    close(in[0]);
    close(in[1]);
    close(out[0]);
    return took;
}

static int rising(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    static struct program program[PROGRAMS];
    int n = 0, rounds = argc > 1 ? atoi(argv[1]) : 0;

    need(rounds > 0 && rounds <= ROUNDS, "usage: start rounds -- program ...");
    for (int i = 2; i < argc && n < PROGRAMS; i++)
        if (strcmp(argv[i], "--") == 0) {
            argv[i] = NULL;
            program[n++].argv = &argv[i + 1];
        }
    for (int round = 0; round < rounds; round++)
        for (int i = 0; i < n; i++)
            program[i].us[round] = run(&program[i]);
    for (int i = 0; i < n; i++) {
        struct program *p = &program[i];

        qsort(p->us, (size_t)rounds, sizeof p->us[0], rising);
        printf("%.1f\t%ld\t%d\n", p->us[rounds / 2], p->kib, p->byte);
    }
    return 0;
}
