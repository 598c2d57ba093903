/* SPDX-License-Identifier: MIT */
/* proclib.c - other programs, started without a shell.
 *
 * pipe(argv [, input]) --> status, stdout, stderr
 *
 * Runs the program argv[1], found through PATH, with the strings of `argv` as
 * arguments and `input` as standard input, in the C locale (LC_ALL=C), and
 * waits for it. `status` is its exit code, or the negative number of the signal
 * that killed it. nil and a message: it could not be started, or wrote more
 * than 64 MiB. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hvlib.h"

#if defined(__APPLE__)
#include <crt_externs.h>
#define environment() (*_NSGetEnviron())
#else
extern char **environ;
#define environment() environ
#endif

enum { OUTPUT_MAX = 64 << 20, CHUNK = 1 << 16, ARGS_MAX = 4096 };

struct text {
    char *bytes;
    size_t len, room;
};

/* A child and everything that has to be given back, in a userdata: a Lua error
 * anywhere, out of memory included, ends in job_close(). */
struct job {
    pid_t pid;          /* 0: no child, or reaped */
    int fd[3];          /* our ends of its standard input, output, error */
    struct text out[2]; /* what came from the last two */
    const char **env;
};

#define JOB "hv.core.job"

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* The wait status, or -1 where the host process ignores SIGCHLD. */
static int reap(struct job *job)
{
    int status = -1;
    pid_t pid;

    do
        pid = waitpid(job->pid, &status, 0);
    while (pid < 0 && errno == EINTR);
    job->pid = 0;
    return pid < 0 ? -1 : status;
}

static int job_close(lua_State *L)
{
    struct job *job = luaL_checkudata(L, 1, JOB);

    for (int i = 0; i < 3; i++)
        close_fd(&job->fd[i]);
    if (job->pid > 0) {
        kill(job->pid, SIGKILL);
        reap(job);
    }
    for (int i = 0; i < 2; i++) {
        free(job->out[i].bytes);
        job->out[i] = (struct text){0};
    }
    free(job->env);
    job->env = NULL;
    return 0;
}

static struct job *new_job(lua_State *L)
{
    struct job *job = lua_newuserdatauv(L, sizeof *job, 0);

    *job = (struct job){.fd = {-1, -1, -1}};
    luaL_newmetatable(L, JOB);
    /* each time: making it may once have run out of memory half-way */
    lua_pushcfunction(L, job_close);
    lua_setfield(L, -2, "__gc");
    lua_pushcfunction(L, job_close);
    lua_setfield(L, -2, "__close");
    lua_setmetatable(L, -2);
    lua_toclose(L, -1);
    return job;
}

/* argv for exec: the strings stay in the table at `index`, which keeps them
 * while no Lua code runs. Numbers are not converted, as that makes new strings
 * that nothing keeps. */
static char **check_argv(lua_State *L, int index)
{
    lua_Unsigned n;
    const char **argv;

    luaL_checktype(L, index, LUA_TTABLE);
    n = lua_rawlen(L, index);
    luaL_argcheck(L, n >= 1 && n <= ARGS_MAX, index,
                  "a program and its arguments expected");
    argv = lua_newuserdatauv(L, (n + 1) * sizeof *argv, 0);
    for (lua_Unsigned i = 0; i < n; i++) {
        size_t len;
        if (lua_rawgeti(L, index, (lua_Integer)i + 1) != LUA_TSTRING)
            luaL_argerror(L, index, "arguments must be strings");
        argv[i] = lua_tolstring(L, -1, &len);
        luaL_argcheck(L, strlen(argv[i]) == len, index,
                      "arguments cannot contain zero bytes");
        lua_pop(L, 1);
    }
    argv[n] = NULL;
    return (char **)argv;
}

static bool sets_locale(const char *entry)
{
    return !strncmp(entry, "LC_ALL=", 7) || !strncmp(entry, "LANGUAGE=", 9);
}

/* The environment, but for the locale: callers read what the program says. */
static bool make_env(struct job *job)
{
    char **from = environment();
    size_t n = 0, kept = 0;

    while (from && from[n])
        n++;
    job->env = malloc((n + 2) * sizeof *job->env);
    if (!job->env)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (!sets_locale(from[i]))
            job->env[kept++] = from[i];
    }
    job->env[kept++] = "LC_ALL=C";
    job->env[kept] = NULL;
    return true;
}

/* Out of the way of 0, 1 and 2, which a host may have closed: the child's are
 * made by dup2, and must not be overwritten by it before. */
static int lift(int fd)
{
    int higher;

    if (fd > 2)
        return fd;
    higher = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    close(fd);
    return higher;
}

static bool make_pipe(int ends[2])
{
#if defined(__APPLE__)
    if (pipe(ends) < 0)
        return false;
    fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    fcntl(ends[1], F_SETFD, FD_CLOEXEC);
#else
    if (pipe2(ends, O_CLOEXEC) < 0)
        return false;
#endif
    ends[0] = lift(ends[0]);
    ends[1] = lift(ends[1]);
    if (ends[0] >= 0 && ends[1] >= 0)
        return true;
    close_fd(&ends[0]);
    close_fd(&ends[1]);
    return false;
}

/* Three pipes: ours to job->fd, the child's to `theirs`. 0 or errno. */
static int make_pipes(struct job *job, int theirs[3])
{
    for (int i = 0; i < 3; i++) {
        int ends[2];
        if (!make_pipe(ends))
            return errno;
        theirs[i] = ends[i == 0 ? 0 : 1];
        job->fd[i] = ends[i == 0 ? 1 : 0];
        fcntl(job->fd[i], F_SETFL, O_NONBLOCK);
    }
    return 0;
}

/* What the host did to signals stays with the host. */
static int set_signals(posix_spawnattr_t *attr)
{
    short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
    sigset_t none, defaults;
    int err;

#if defined(POSIX_SPAWN_CLOEXEC_DEFAULT)
    flags |= POSIX_SPAWN_CLOEXEC_DEFAULT;
#endif
    sigemptyset(&none);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    err = posix_spawnattr_setflags(attr, flags);
    if (!err)
        err = posix_spawnattr_setsigmask(attr, &none);
    if (!err)
        err = posix_spawnattr_setsigdefault(attr, &defaults);
    return err;
}

static int spawn_with(struct job *job, char **argv, const int theirs[3])
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    int err = posix_spawn_file_actions_init(&actions);

    if (err)
        return err;
    err = posix_spawnattr_init(&attr);
    if (err)
        goto no_attr;
    err = set_signals(&attr);
    for (int i = 0; i < 3 && !err; i++)
        err = posix_spawn_file_actions_adddup2(&actions, theirs[i], i);
    if (!err) {
        pid_t pid = 0;
        err = posix_spawnp(&pid, argv[0], &actions, &attr, argv,
                           (char **)job->env);
        job->pid = err ? 0 : pid;
    }
    posix_spawnattr_destroy(&attr);
no_attr:
    posix_spawn_file_actions_destroy(&actions);
    return err;
}

static int start(struct job *job, char **argv)
{
    int theirs[3] = {-1, -1, -1};
    int err = make_env(job) ? make_pipes(job, theirs) : ENOMEM;

    if (!err)
        err = spawn_with(job, argv, theirs);
    for (int i = 0; i < 3; i++)
        close_fd(&theirs[i]);
    return err;
}

/* Whatever the host does with the signal: it is blocked, and taken back if it was
 * us. */
ssize_t proc_write(int fd, const char *from, size_t n)
{
    sigset_t sigpipe, pending, old;
    bool was_pending;
    ssize_t done;
    int err, sig;

    sigemptyset(&sigpipe);
    sigaddset(&sigpipe, SIGPIPE);
    sigpending(&pending);
    was_pending = sigismember(&pending, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &sigpipe, &old);
    done = write(fd, from, n);
    err = errno;
    if (done < 0 && err == EPIPE && !was_pending) {
        sigpending(&pending);
        if (sigismember(&pending, SIGPIPE))
            sigwait(&sigpipe, &sig);
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    errno = err;
    return done;
}

static bool would_wait(int err)
{
    return err == EAGAIN || err == EWOULDBLOCK || err == EINTR;
}

/* Some of the input to the child; closed when it has all, or wants no more. */
static void feed(struct job *job, const char **input, size_t *left)
{
    ssize_t n = 0;

    if (*left > 0)
        n = proc_write(job->fd[0], *input, *left < CHUNK ? *left : CHUNK);
    if (n > 0) {
        *input += n;
        *left -= (size_t)n;
    }
    if (*left == 0 || (n < 0 && !would_wait(errno)))
        close_fd(&job->fd[0]);
}

/* What there is of an output, closed at its end. NULL or what went wrong. */
static const char *collect(int *fd, struct text *out)
{
    ssize_t n;

    if (out->room - out->len < CHUNK) {
        size_t room = out->room ? out->room * 2 : 2 * CHUNK;
        char *bytes = realloc(out->bytes, room);
        if (!bytes)
            return "out of memory";
        out->bytes = bytes;
        out->room = room;
    }
    n = read(*fd, out->bytes + out->len, CHUNK);
    if (n > 0)
        out->len += (size_t)n;
    else if (n == 0 || !would_wait(errno))
        close_fd(fd);
    return out->len > OUTPUT_MAX ? "more than 64 MiB of output" : NULL;
}

/* Move bytes until all three pipes are closed, whichever is ready first: a
 * child that waits for us on one of them never stops us on another. */
static const char *pump(struct job *job, const char *input, size_t left)
{
    const char *why = NULL;

    while (!why && (job->fd[0] >= 0 || job->fd[1] >= 0 || job->fd[2] >= 0)) {
        struct pollfd poll_fd[3];
        for (int i = 0; i < 3; i++) {
            poll_fd[i].fd = job->fd[i]; /* -1: poll() skips it */
            poll_fd[i].events = i == 0 ? POLLOUT : POLLIN;
            poll_fd[i].revents = 0;
        }
        if (poll(poll_fd, 3, -1) < 0) {
            if (errno != EINTR && errno != EAGAIN)
                why = strerror(errno);
            continue;
        }
        if (poll_fd[0].revents)
            feed(job, &input, &left);
        for (int i = 1; i < 3 && !why; i++) {
            if (poll_fd[i].revents)
                why = collect(&job->fd[i], &job->out[i - 1]);
        }
    }
    return why;
}

static int refuse(lua_State *L, const char *program, const char *why)
{
    lua_pushnil(L);
    lua_pushfstring(L, "%s: %s", program, why);
    return 2;
}

int hvproc_pipe(lua_State *L)
{
    size_t len;
    const char *input = luaL_optlstring(L, 2, "", &len), *why;
    char **argv = check_argv(L, 1);
    struct job *job = new_job(L);
    int err = start(job, argv), status;

    if (err)
        return refuse(L, argv[0], err == ENOENT ? "not found" : strerror(err));
    why = pump(job, input, len);
    if (why)
        return refuse(L, argv[0], why); /* job_close() ends the child */
    status = reap(job);
    if (status == -1)
        return refuse(L, argv[0], "its status is lost: SIGCHLD is ignored");
    lua_pushinteger(L, WIFEXITED(status) ? WEXITSTATUS(status)
                                         : -WTERMSIG(status));
    for (int i = 0; i < 2; i++)
        lua_pushlstring(L, job->out[i].bytes ? job->out[i].bytes : "",
                        job->out[i].len);
    return 3;
}
