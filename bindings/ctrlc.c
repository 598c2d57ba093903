/* SPDX-License-Identifier: MIT */
/* ctrlc.c - Ctrl-C: from the signal to what it stops.
 *
 * Stopping a guest takes locks, which a signal's handler could not: it writes to
 * a pipe, and a thread at the other end does it. (Waiting for the signal with
 * sigwait() would do without the pipe, but then it is blocked in every program
 * that the script starts.) */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "program.h"

enum {
    STUBBORN = 3, /* this many for the same command: tell another way out */
    NO_MORE = 2   /* in the thread's pipe, beside what interrupt() writes */
};

/* A handler gets no argument of ours. */
static _Atomic int mode;
static _Atomic unsigned sent, taken; /* to the thread, by it */
static _Atomic unsigned before;      /* sent, when the mode was set */
static int to_thread[2] = {-1, -1}, to_prompt[2] = {-1, -1};
static pid_t owner; /* of the thread: its forks have none */
static _Atomic bool ended;

/* What the thread gets is whether the main thread's Lua code is seen to: here
 * that is certain to happen before the read or sleep that it is in returns. */
static void interrupt(void)
{
    char here = (char)interrupt_here();

    if (mode == CTRLC_ONCE)
        signal(SIGINT, SIG_DFL);
    if (write(to_thread[1], &here, 1) == 1)
        sent++;
}

static void on_signal(int number)
{
    char byte = (char)number;
    int saved = errno;
    ssize_t done = 0;

    if (mode == CTRLC_TOLD)
        done = write(to_prompt[1], &byte, 1);
    else if (number == SIGINT)
        interrupt();
    (void)done; /* full: there are enough in it */
    errno = saved;
}

static void *listen(void *arg)
{
    static const char advice[] =
        "\nhvlua: this does not listen to Ctrl-C; Ctrl-\\ ends the program\n";
    char here;

    while (read(to_thread[0], &here, 1) == 1 && here != NO_MORE) {
        runs_interrupt(arg, here != 0);
        if (++taken - before == STUBBORN && mode == CTRLC_STOPS)
            fputs(advice, stderr);
    }
    ended = true;
    return NULL;
}

static int make_pipe(int ends[2])
{
    if (pipe(ends) < 0)
        return -1;
    for (int i = 0; i < 2; i++) {
        fcntl(ends[i], F_SETFD, FD_CLOEXEC);
        if (i == 1 || ends == to_prompt)
            fcntl(ends[i], F_SETFL, O_NONBLOCK);
    }
    return 0;
}

static int start(struct runs *runs)
{
    pthread_t thread;

    if (thread_start(&thread, listen, runs) != 0)
        return -1;
    pthread_detach(thread);
    owner = getpid();
    return 0;
}

/* A read that waits must end at Ctrl-C. It would go on with SA_RESTART even if
 * the thread's own signal (interruptlib.c) came before this one's handler is
 * done. */
static void take(int number)
{
    struct sigaction action = {
        .sa_handler = on_signal,
        .sa_flags = number == SIGINT ? 0 : SA_RESTART,
    };

    sigemptyset(&action.sa_mask);
    sigaction(number, &action, NULL);
}

/* The thread is gone before the runs are that it would stop. */
static int finish(lua_State *L)
{
    const struct timespec moment = {.tv_nsec = 100000};
    char end = NO_MORE;

    (void)L;
    if (owner != getpid())
        return 0;
    signal(SIGINT, SIG_DFL);
    while (write(to_thread[1], &end, 1) < 0 && errno == EAGAIN)
        nanosleep(&moment, NULL); /* it is full: the thread empties it */
    while (!ended)
        nanosleep(&moment, NULL);
    return 0;
}

/* registry[new userdata] = true, with a finalizer: those that were made later, as
 * this one was later than the runs, come first. */
static void finish_at_end(lua_State *L)
{
    lua_newuserdatauv(L, 0, 0);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, finish);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    lua_pushboolean(L, 1);
    lua_rawset(L, LUA_REGISTRYINDEX);
}

void ctrlc_open(lua_State *L, struct runs *runs)
{
    struct sigaction now;

    if (sigaction(SIGINT, NULL, &now) < 0 || now.sa_handler == SIG_IGN)
        return; /* started with nohup or in the background */
    finish_at_end(L);
    if (make_pipe(to_thread) == 0 && start(runs) == 0)
        take(SIGINT);
}

int ctrlc_fd(void)
{
    if (to_prompt[0] < 0 && make_pipe(to_prompt) == 0) {
        take(SIGCONT);
        take(SIGWINCH);
    }
    return to_prompt[0];
}

/* Before the mode changes, what was sent in the old one has had its effect: none
 * comes late and interrupts what comes next. */
void ctrlc_set(enum ctrlc what)
{
    const struct timespec moment = {.tv_nsec = 100000};

    mode = (int)what;
    while (taken != sent)
        nanosleep(&moment, NULL);
    before = sent;
    if (what != CTRLC_ONCE && to_thread[0] >= 0)
        take(SIGINT); /* a script before the prompt may have had its one */
}
