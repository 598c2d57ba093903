/* SPDX-License-Identifier: MIT */
/* spawnlib.c - worker processes: fork, a channel each way, output collected.
 * scripts/hv/spawn.lua makes hv.spawn of it.
 *
 * A worker is a copy of the whole process by fork(), as TinyVMM does it: a Lua
 * function with its upvalues runs there as it stands. The parent's machines are
 * the parent's: their kernel objects cannot be used by the copy, which is told
 * so (vm_self). */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "hvlib.h"

#define HV_PROCESS "hv.process"
#define HV_CHANNEL "hv.channel"

enum { OUTPUT, FROM, TO, ENDS, CHUNK = 65536 };

struct process { /* a worker, as its parent holds it */
    pid_t pid;   /* 0: none, or reaped */
    int status;
    int fd[ENDS]; /* what it prints, its messages, messages to it */
};

struct channel { /* the worker's own ends */
    int from, to;
};

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static pid_t reap(struct process *p, int flags)
{
    pid_t pid;

    do
        pid = waitpid(p->pid, &p->status, flags);
    while (pid < 0 && errno == EINTR);
    if (pid != 0)
        p->pid = 0;
    return pid;
}

static int process_close(lua_State *L)
{
    struct process *p = obj_self(L, "process");

    for (int i = 0; i < ENDS; i++)
        close_fd(&p->fd[i]);
    if (p->pid) {
        kill(p->pid, SIGKILL);
        reap(p, 0);
    }
    return 0;
}

/* ---- fork ---------------------------------------------------------------- */

/* Pipes that neither a worker's own children nor other workers inherit. */
static int pipes(int fd[ENDS][2])
{
    for (int i = 0; i < ENDS; i++)
        fd[i][0] = fd[i][1] = -1;
    for (int i = 0; i < ENDS; i++) {
        if (pipe(fd[i]) < 0)
            return -1;
        fcntl(fd[i][0], F_SETFD, FD_CLOEXEC);
        fcntl(fd[i][1], F_SETFD, FD_CLOEXEC);
    }
    return 0;
}

static void close_all(int fd[ENDS][2])
{
    for (int i = 0; i < ENDS; i++) {
        close_fd(&fd[i][0]);
        close_fd(&fd[i][1]);
    }
}

/* A process whose parent is killed would go on for ever, and nobody could see it. */
static void *outlive_nobody(void *arg)
{
    const struct timespec half = {.tv_nsec = 500000000};
    pid_t parent = (pid_t)(intptr_t)arg;

    while (getppid() == parent)
        nanosleep(&half, NULL);
    _exit(EXIT_FAILURE);
}

void spawn_end_with(pid_t parent)
{
    pthread_t thread;

    if (thread_start(&thread, outlive_nobody, (void *)(intptr_t)parent) == 0)
        pthread_detach(thread);
}

/* In the worker: its output goes to the parent, Ctrl-C ends it, a parent that
 * has gone gives an error and no signal. */
static void become_worker(struct channel *c, int fd[ENDS][2])
{
    sigset_t open;

    dup2(fd[OUTPUT][1], STDOUT_FILENO);
    dup2(fd[OUTPUT][1], STDERR_FILENO);
    c->from = fd[TO][0];
    c->to = fd[FROM][1];
    fd[TO][0] = fd[FROM][1] = -1;
    close_all(fd);
    signal(SIGINT, SIG_DFL);
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&open);
    sigaddset(&open, SIGINT);
    sigprocmask(SIG_UNBLOCK, &open, NULL);
}

static void become_parent(struct process *p, int fd[ENDS][2])
{
    static const int ours[ENDS] = {[OUTPUT] = 0, [FROM] = 0, [TO] = 1};

    for (int i = 0; i < ENDS; i++) {
        p->fd[i] = fd[i][ours[i]];
        fd[i][ours[i]] = -1;
        fcntl(p->fd[i], F_SETFL, O_NONBLOCK);
    }
    close_all(fd);
}

/* registry[key] = { [process] = true, ... }, with weak keys: a new worker must not
 * hold the ends of its siblings' pipes open, nor kill them with its collector. */
static const char key[] = "hv.processes";

static void push_all(lua_State *L)
{
    if (lua_getfield(L, LUA_REGISTRYINDEX, key) == LUA_TTABLE)
        return;
    lua_pop(L, 1);
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "k");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    lua_pushvalue(L, -1);
    lua_setfield(L, LUA_REGISTRYINDEX, key);
}

static void forget_siblings(lua_State *L, int all)
{
    lua_pushnil(L); /* for process in pairs(all) */
    while (lua_next(L, all)) {
        struct process *p = lua_touserdata(L, -2);

        for (int i = 0; i < ENDS; i++)
            close_fd(&p->fd[i]);
        p->pid = 0;
        lua_pop(L, 1);
    }
}

/* The worker's life. Whatever happens in it, memory that runs out included, it
 * never comes back to the script above, of which there would be two then. */
static _Noreturn void live(lua_State *L, int body, int channel)
{
    const char *why;

    lua_pushvalue(L, body);
    lua_pushvalue(L, channel);
    lua_pcall(L, 1, 0, 0); /* body(channel) ends with exit() */
    why = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "no reason";
    fprintf(stderr, "worker: %s\n", why);
    fflush(NULL);
    _exit(EXIT_FAILURE);
}

/* fork(body) --> process: the worker calls body(channel). Everything that may fail
 * or allocate comes before the fork. */
static int spawn_fork(lua_State *L)
{
    enum { BODY = 1, PROCESS, ALL, CHANNEL };
    struct runs *runs = runs_open(L);
    struct process *p;
    struct channel *c;
    int fd[ENDS][2];
    pid_t pid, parent = getpid();

    luaL_checktype(L, BODY, LUA_TFUNCTION);
    lua_settop(L, BODY);
    p = lua_newuserdatauv(L, sizeof *p, 0);
    *p = (struct process){.fd = {-1, -1, -1}};
    luaL_setmetatable(L, HV_PROCESS);
    push_all(L);
    lua_pushvalue(L, PROCESS);
    lua_pushboolean(L, 1);
    lua_rawset(L, ALL); /* all[process] = true */
    c = lua_newuserdatauv(L, sizeof *c, 0);
    *c = (struct channel){-1, -1};
    luaL_setmetatable(L, HV_CHANNEL);
    fflush(NULL); /* or the worker prints it once more */
    if (pipes(fd) < 0 || (pid = fork()) < 0) {
        int error = errno;

        close_all(fd);
        return luaL_error(L, "spawn: no worker: %s", strerror(error));
    }
    if (pid == 0) {
        become_worker(c, fd);
        spawn_end_with(parent);
        runs_forked(runs, L);
        forget_siblings(L, ALL);
        live(L, BODY, CHANNEL);
    }
    p->pid = pid;
    become_parent(p, fd);
    lua_pushvalue(L, PROCESS);
    return 1;
}

/* exit(code): end the worker without closing what is the parent's. */
static int spawn_exit(lua_State *L)
{
    fflush(NULL);
    _exit((int)luaL_checkinteger(L, 1));
}

/* ---- the parent's side --------------------------------------------------- */

/* Read what is there: a string ("" for nothing yet), or nil at the end. */
static void push_available(lua_State *L, int *fd)
{
    char chunk[CHUNK];
    ssize_t n;

    if (*fd < 0) {
        lua_pushnil(L);
        return;
    }
    n = read(*fd, chunk, sizeof chunk);
    if (n > 0)
        lua_pushlstring(L, chunk, (size_t)n);
    else if (n < 0 && (errno == EAGAIN || errno == EINTR))
        lua_pushliteral(L, "");
    else {
        close_fd(fd);
        lua_pushnil(L);
    }
}

/* process:pump([data]) --> output, messages, sent: move what can be moved without
 * waiting. */
static int process_pump(lua_State *L)
{
    struct process *p = obj_self(L, "process");
    size_t len = 0;
    const char *data = luaL_optlstring(L, 2, NULL, &len);
    ssize_t sent = 0;

    if (len && p->fd[TO] >= 0) {
        sent = proc_write(p->fd[TO], data, len);
        if (sent < 0 && errno != EAGAIN && errno != EINTR)
            close_fd(&p->fd[TO]);
    }
    push_available(L, &p->fd[OUTPUT]);
    push_available(L, &p->fd[FROM]);
    if (len && p->fd[TO] < 0)
        lua_pushnil(L); /* nobody reads any more */
    else
        lua_pushinteger(L, sent < 0 ? 0 : sent);
    return 3;
}

/* process:close_input(): the worker's receive() sees the end. */
static int process_close_input(lua_State *L)
{
    struct process *p = obj_self(L, "process");

    close_fd(&p->fd[TO]);
    return 0;
}

/* process:wait([nohang]) --> "exit", code | "signal", number | nil: it runs */
static int process_wait(lua_State *L)
{
    struct process *p = obj_self(L, "process");

    if (p->pid && reap(p, lua_toboolean(L, 2) ? WNOHANG : 0) == 0)
        return 0;
    if (WIFSIGNALED(p->status)) {
        lua_pushliteral(L, "signal");
        lua_pushinteger(L, WTERMSIG(p->status));
    } else {
        lua_pushliteral(L, "exit");
        lua_pushinteger(L, WEXITSTATUS(p->status));
    }
    return 2;
}

static int process_kill(lua_State *L)
{
    struct process *p = obj_self(L, "process");

    if (p->pid)
        kill(p->pid, SIGKILL);
    return 0;
}

static int process_pid(lua_State *L)
{
    struct process *p = obj_self(L, "process");

    lua_pushinteger(L, p->pid);
    return 1;
}

static int milliseconds(lua_State *L, int idx)
{
    lua_Number seconds;

    if (lua_isnoneornil(L, idx))
        return -1;
    seconds = luaL_checknumber(L, idx);
    return seconds > 0 ? (int)fmin(ceil(seconds * 1000), 1e9) : 0;
}

/* poll({process...}, [timeout [, sending]]): wait until one of them has something
 * to say, or, where `sending`, can take more; or for `timeout` seconds. */
static int spawn_poll(lua_State *L)
{
    int n, timeout = milliseconds(L, 2), used = 0;
    bool sending = lua_toboolean(L, 3);
    struct pollfd *list;

    luaL_checktype(L, 1, LUA_TTABLE);
    n = (int)luaL_len(L, 1);
    list = lua_newuserdatauv(L, sizeof *list * (size_t)(ENDS * n + 1), 0);
    for (int i = 1; i <= n; i++) {
        struct process *p;

        lua_rawgeti(L, 1, i);
        p = luaL_checkudata(L, -1, HV_PROCESS);
        for (int end = 0; end < ENDS; end++)
            if (p->fd[end] >= 0 && (end != TO || sending))
                list[used++] = (struct pollfd){
                    .fd = p->fd[end],
                    .events = end == TO ? POLLOUT : POLLIN,
                };
        lua_pop(L, 1);
    }
    if (used || timeout >= 0)
        poll(list, (nfds_t)used, timeout); /* EINTR: the caller looks again */
    return 0;
}

/* clock() --> seconds of a clock that nobody sets */
static int spawn_clock(lua_State *L)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    lua_pushnumber(L, (lua_Number)t.tv_sec + (lua_Number)t.tv_nsec * 1e-9);
    return 1;
}

/* ---- the worker's side --------------------------------------------------- */

/* channel:read(n) --> n bytes, or nil at the end */
static int channel_read(lua_State *L)
{
    struct channel *c = obj_self(L, "channel");
    lua_Integer n = luaL_checkinteger(L, 2);
    luaL_Buffer b;
    char *to;
    size_t done = 0;

    luaL_argcheck(L, n >= 0 && n <= 1 << 30, 2, "at most 1 GiB");
    to = luaL_buffinitsize(L, &b, (size_t)n);
    while (done < (size_t)n) {
        ssize_t got = read(c->from, to + done, (size_t)n - done);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return 0;
        done += (size_t)got;
    }
    luaL_pushresultsize(&b, done);
    return 1;
}

/* channel:write(bytes) --> true, or nil when the parent has gone */
static int channel_write(lua_State *L)
{
    struct channel *c = obj_self(L, "channel");
    size_t len;
    const char *data = luaL_checklstring(L, 2, &len);

    while (len) {
        ssize_t n = write(c->to, data, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return 0;
        data += n;
        len -= (size_t)n;
    }
    lua_pushboolean(L, 1);
    return 1;
}

static int channel_close(lua_State *L)
{
    struct channel *c = obj_self(L, "channel");

    close_fd(&c->from);
    close_fd(&c->to);
    return 0;
}

/* ---- opening ------------------------------------------------------------- */

static const luaL_Reg process[] = {{"__gc", process_close},
                                   {"__close", process_close},
                                   {"close", process_close},
                                   {"pump", process_pump},
                                   {"close_input", process_close_input},
                                   {"wait", process_wait},
                                   {"kill", process_kill},
                                   {"pid", process_pid},
                                   {NULL, NULL}};

static const luaL_Reg channel[] = {{"__gc", channel_close},
                                   {"read", channel_read},
                                   {"write", channel_write},
                                   {NULL, NULL}};

static const luaL_Reg functions[] = {{"fork", spawn_fork},
                                     {"exit", spawn_exit},
                                     {"poll", spawn_poll},
                                     {"clock", spawn_clock},
                                     {NULL, NULL}};

void spawn_open(lua_State *L)
{
    luaL_setfuncs(L, functions, 0);
    obj_type(L, HV_PROCESS, process, 0);
    obj_type(L, HV_CHANNEL, channel, 0);
    lua_pop(L, 2);
}
