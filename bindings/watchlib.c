/* SPDX-License-Identifier: MIT */
/* watchlib.c - a program that is started again when files change: what
 * scripts/hv/watch.lua needs of the host.
 *
 * open() --> watch             nothing is watched, nothing runs
 * watch:add(path)              wait() notices when the file is written or replaced;
 *                              that, or what it is a link to
 * watch:remove(path)           and no more
 * watch:start(argv)            run the program argv[1], on this terminal; it may write
 *                              lines to the descriptor that HVLUA_WATCH names
 * watch:wait([seconds]) --> "changed" | "line", text | "ended", status | nil
 * watch:stop(seconds) --> status, { line... }   SIGINT, and after so long SIGKILL; and
 *                              what it told meanwhile; nil: none ran
 * watch:close()
 * end_with_parent()            where it is the program that is watched
 *
 * An editor replaces a file: so it is folders that are watched, for names in them. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "hvlib.h"

#ifdef __linux__
#include <sys/inotify.h>
#else
#include <sys/event.h>
#endif

#ifdef __APPLE__
#include <crt_externs.h>
#define environment() (*_NSGetEnviron())
#else
extern char **environ;
#define environment() environ
#endif

enum { LINE_MAX_BYTES = 4096, MOST_ARGS = 4096 };

struct watch {
    int events; /* inotify's, or kqueue's */
    int report; /* the child's lines; its end is the child's */
    pid_t child;
    bool over;     /* it has ended, and its number may be another's: */
    int status;    /* as core.pipe() tells it */
    bool terminal; /* there is one, as it was before: */
    struct termios before;
    char line[LINE_MAX_BYTES];
    size_t length;
};

static int fail(lua_State *L, const char *what)
{
    return luaL_error(L, "watch: %s: %s", what, strerror(errno));
}

static struct watch *self(lua_State *L)
{
    struct watch *w = obj_self(L, "watch");

    if (w->events < 0)
        luaL_error(L, "watch: it is closed");
    return w;
}

/* ---- files --------------------------------------------------------------- */

/* User values. */
enum {
    WATCHED = 1, /* keys, by which the host tells of a change */
    CHANGED      /* those of which it has: key -> true */
};

#ifdef __linux__
static int events_open(void)
{
    return inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
}

/* A key is "folder's descriptor/name". False: there is nothing to watch. */
static bool set_watched(lua_State *L, struct watch *w, const char *path,
                        bool on)
{
    const char *slash = strrchr(path, '/');
    int folder;

    lua_settop(L, 2);
    if (slash)
        lua_pushlstring(L, path, slash == path ? 1 : (size_t)(slash - path));
    else
        lua_pushliteral(L, ".");
    folder = inotify_add_watch(w->events, lua_tostring(L, 3),
                               IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE);
    if (folder < 0)
        return false;
    lua_pushfstring(L, "%d/%s", folder, slash ? slash + 1 : path);
    /* watched[key] = true; or nil, and changed[key] = nil */
    for (int i = on ? WATCHED : CHANGED; i >= WATCHED; i--) {
        lua_getiuservalue(L, 1, i);
        lua_pushvalue(L, 4);
        if (on)
            lua_pushboolean(L, 1);
        else
            lua_pushnil(L);
        lua_rawset(L, 5);
        lua_settop(L, 4);
    }
    return true;
}

/* The name, which may be a link that is made anew, and what it stands for. */
static int set_both(lua_State *L, bool on)
{
    struct watch *w = self(L);
    const char *path = luaL_checkstring(L, 2);
    char real[PATH_MAX];
    bool is = set_watched(L, w, path, on);

    if (realpath(path, real))
        is = set_watched(L, w, real, on) || is;
    lua_pushboolean(L, is);
    return 1;
}

static int watch_add(lua_State *L)
{
    return set_both(L, true);
}

static int watch_remove(lua_State *L)
{
    return set_both(L, false);
}

/* Take what has come. A file that is created is written yet, unless it is a link. */
static void hear(lua_State *L, struct watch *w)
{
    _Alignas(struct inotify_event) char buffer[4096];
    ssize_t n = read(w->events, buffer, sizeof buffer);

    lua_settop(L, 2);
    lua_getiuservalue(L, 1, WATCHED); /* at 3 */
    lua_getiuservalue(L, 1, CHANGED); /* at 4 */
    for (ssize_t at = 0; at < n; lua_settop(L, 4)) {
        const struct inotify_event *e = (const void *)(buffer + at);

        at += (ssize_t)(sizeof *e + e->len);
        if (e->len == 0)
            continue;
        lua_pushfstring(L, "%d/%s", e->wd, e->name);
        lua_pushvalue(L, 5);
        if (lua_rawget(L, 3) == LUA_TNIL)
            continue;
        lua_rawset(L, 4); /* changed[key] = true */
    }
}
#else
static int events_open(void)
{
    int fd = kqueue();

    if (fd >= 0)
        fcntl(fd, F_SETFD, FD_CLOEXEC);
    return fd;
}

/* A key is a descriptor of the file; watched[path] = key, watched[key] = path. */
static int watch_remove(lua_State *L)
{
    const char *path = luaL_checkstring(L, 2);

    self(L);
    lua_settop(L, 2);
    lua_getiuservalue(L, 1, WATCHED); /* at 3 */
    if (lua_getfield(L, 3, path) != LUA_TNUMBER)
        return 0;
    close((int)lua_tointeger(L, 4)); /* and its events with it */
    for (int i = WATCHED; i <= CHANGED; i++) {
        lua_getiuservalue(L, 1, i);
        lua_pushnil(L);
        lua_rawseti(L, -2, lua_tointeger(L, 4));
    }
    lua_pushnil(L);
    lua_setfield(L, 3, path);
    return 0;
}

/* The file itself, and again when it was replaced. */
static int watch_add(lua_State *L)
{
    struct watch *w = self(L);
    const char *path = luaL_checkstring(L, 2);
    struct kevent e;
    int fd;

    watch_remove(L);
    lua_settop(L, 3);
    fd = open(path, O_EVTONLY | O_CLOEXEC);
    lua_pushboolean(L, fd >= 0);
    if (fd < 0)
        return 1;
    lua_pushinteger(L, fd);
    lua_setfield(L, 3, path);
    lua_pushvalue(L, 2);
    lua_rawseti(L, 3, fd);
    EV_SET(&e, fd, EVFILT_VNODE, EV_ADD | EV_CLEAR,
           NOTE_WRITE | NOTE_EXTEND | NOTE_RENAME | NOTE_DELETE, 0, NULL);
    lua_pushboolean(L, kevent(w->events, &e, 1, NULL, 0, NULL) == 0);
    return 1;
}

static void hear(lua_State *L, struct watch *w)
{
    const struct timespec now = {0, 0};
    struct kevent e;

    lua_settop(L, 2);
    lua_getiuservalue(L, 1, CHANGED);
    while (kevent(w->events, NULL, 0, &e, 1, &now) > 0) {
        lua_pushboolean(L, 1);
        lua_rawseti(L, 3, (lua_Integer)e.ident);
    }
}
#endif

/* Has something that is watched changed since this was asked last? */
static bool changed(lua_State *L)
{
    lua_settop(L, 2);
    lua_getiuservalue(L, 1, CHANGED);
    lua_pushnil(L);
    if (!lua_next(L, 3))
        return false;
    lua_settop(L, 2);
    lua_newtable(L);
    lua_setiuservalue(L, 1, CHANGED);
    return true;
}

/* ---- the program --------------------------------------------------------- */

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static bool ended(struct watch *w)
{
    int raw;
    pid_t pid = w->over ? 0 : waitpid(w->child, &raw, WNOHANG);

    if (pid == 0 || (pid < 0 && errno == EINTR))
        return w->over;
    w->status = pid < 0            ? 0
                : WIFSIGNALED(raw) ? -WTERMSIG(raw)
                                   : WEXITSTATUS(raw);
    w->over = true;
    return true;
}

/* The status of the child, once it has ended. */
static bool reap(struct watch *w, int *status)
{
    if (!ended(w))
        return false;
    *status = w->status;
    w->over = false;
    w->child = 0;
    close_fd(&w->report);
    w->length = 0;
    if (w->terminal) /* a guest's console may have left it raw */
        tcsetattr(STDIN_FILENO, TCSADRAIN, &w->before);
    return true;
}

/* Copies of the strings of the table at 2, and a NULL, in a userdata. */
static char **arguments(lua_State *L)
{
    lua_Integer n = luaL_len(L, 2);
    char **argv;

    if (n < 1 || n > MOST_ARGS)
        luaL_error(L, "watch: start: a list of arguments expected");
    argv = lua_newuserdatauv(L, ((size_t)n + 1) * sizeof *argv, 0);
    for (lua_Integer i = 0; i < n; i++) {
        lua_rawgeti(L, 2, i + 1); /* the table keeps it alive */
        argv[i] = (char *)(uintptr_t)luaL_checkstring(L, -1);
        lua_pop(L, 1);
    }
    argv[n] = NULL;
    return argv;
}

/* It has the signals of a program that is started at a prompt. */
static int start(char **argv, pid_t *pid)
{
    posix_spawnattr_t attr;
    sigset_t none, defaults;
    int err = posix_spawnattr_init(&attr);

    if (err != 0)
        return err;
    sigemptyset(&none);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGINT);
    sigaddset(&defaults, SIGPIPE);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &defaults);
    posix_spawnattr_setflags(&attr,
                             POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    err = posix_spawn(pid, argv[0], NULL, &attr, argv, environment());
    posix_spawnattr_destroy(&attr);
    return err;
}

static int watch_start(lua_State *L)
{
    struct watch *w = self(L);
    char **argv = arguments(L), number[16];
    int ends[2], err;

    if (w->child)
        return luaL_error(L, "watch: start: it runs already");
    if (pipe(ends) < 0)
        return fail(L, "pipe");
    fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    snprintf(number, sizeof number, "%d", ends[1]);
    setenv("HVLUA_WATCH", number, 1);
    err = start(argv, &w->child);
    unsetenv("HVLUA_WATCH");
    close(ends[1]);
    if (err != 0) {
        close(ends[0]);
        w->child = 0;
        errno = err;
        return fail(L, argv[0]);
    }
    w->report = ends[0];
    return 0;
}

/* ---- waiting ------------------------------------------------------------- */

/* Push the next whole line that the child has written. */
static bool push_line(lua_State *L, struct watch *w)
{
    char *end;
    ssize_t n;

    if (!memchr(w->line, '\n', w->length) && w->report >= 0) {
        n = read(w->report, w->line + w->length, sizeof w->line - w->length);
        if (n > 0)
            w->length += (size_t)n;
    }
    end = memchr(w->line, '\n', w->length);
    if (!end) {
        if (w->length == sizeof w->line)
            w->length = 0; /* no path is so long */
        return false;
    }
    lua_pushlstring(L, w->line, (size_t)(end - w->line));
    w->length -= (size_t)(end + 1 - w->line);
    memmove(w->line, end + 1, w->length);
    return true;
}

static int news(lua_State *L, struct watch *w)
{
    bool over = w->child && ended(w); /* then no line comes behind these */
    int status;

    hear(L, w); /* first: a line may say that a change is the child's */
    if (push_line(L, w)) {
        lua_pushliteral(L, "line");
        lua_insert(L, -2);
        return 2;
    }
    if (over && reap(w, &status)) {
        lua_pushliteral(L, "ended");
        lua_pushinteger(L, status);
        return 2;
    }
    if (changed(L)) {
        lua_pushliteral(L, "changed");
        return 1;
    }
    return 0;
}

static int watch_wait(lua_State *L)
{
    struct watch *w = self(L);
    lua_Number seconds = luaL_optnumber(L, 2, -1);
    int ms = seconds < 0     ? -1
             : seconds > 1e6 ? 1000000000
                             : (int)(seconds * 1e3);
    int found = news(L, w);
    struct pollfd fds[2] = {{.fd = w->events, .events = POLLIN},
                            {.fd = w->report, .events = POLLIN}};

    if (found)
        return found;
    /* A child that has closed its end, and lives, is asked after now and then. */
    if (w->child && (ms < 0 || ms > 100))
        ms = 100;
    poll(fds, 2, ms);
    return news(L, w); /* nothing: Ctrl-C, the time, or no name of ours */
}

/* Append what the child has told to the table on top. */
static void take_lines(lua_State *L, struct watch *w)
{
    while (push_line(L, w))
        lua_rawseti(L, -2, luaL_len(L, -2) + 1);
}

static int watch_stop(lua_State *L)
{
    struct watch *w = self(L);
    lua_Number left = luaL_checknumber(L, 2);
    const struct timespec pause = {0, 2000000};
    int status = 0;

    if (!w->child)
        return 0;
    if (!w->over)
        kill(w->child, SIGINT);
    lua_newtable(L);
    for (; !ended(w); left -= 2e-3) {
        if (left <= 0)
            kill(w->child, SIGKILL);
        take_lines(L, w);
        nanosleep(&pause, NULL);
    }
    take_lines(L, w);
    reap(w, &status);
    lua_pushinteger(L, status);
    lua_insert(L, -2);
    return 2;
}

/* Also __gc and __close. */
static int watch_close(lua_State *L)
{
    struct watch *w = obj_self(L, "watch");
    int status;

    if (w->child) {
        if (!w->over)
            kill(w->child, SIGKILL);
        while (!reap(w, &status))
            ;
    }
    close_fd(&w->report);
    close_fd(&w->events); /* kqueue's files go with the process */
    return 0;
}

static int watch_open(lua_State *L)
{
    struct watch *w = lua_newuserdatauv(L, sizeof *w, CHANGED);

    *w = (struct watch){.events = -1, .report = -1};
    luaL_setmetatable(L, "hv.watch");
    for (int i = WATCHED; i <= CHANGED; i++) {
        lua_newtable(L);
        lua_setiuservalue(L, -2, i);
    }
    w->events = events_open();
    if (w->events < 0)
        return fail(L, "open");
    w->terminal = tcgetattr(STDIN_FILENO, &w->before) == 0;
    return 1;
}

/* Whoever watches would have ended it. */
static int end_with_parent(lua_State *L)
{
    (void)L;
    spawn_end_with(getppid());
    return 0;
}

static const luaL_Reg methods[] = {
    {"__gc", watch_close},    {"__close", watch_close}, {"add", watch_add},
    {"start", watch_start},   {"wait", watch_wait},     {"stop", watch_stop},
    {"remove", watch_remove}, {"close", watch_close},   {NULL, NULL}};

void watch_open_library(lua_State *L)
{
    obj_type(L, "hv.watch", methods, 0);
    lua_pop(L, 1);
    lua_pushcfunction(L, watch_open);
    lua_setfield(L, -2, "watch");
    lua_pushcfunction(L, end_with_parent);
    lua_setfield(L, -2, "end_with_parent");
}
