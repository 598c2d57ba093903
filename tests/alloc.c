/* SPDX-License-Identifier: MIT */
/* alloc.c - every allocation fails once: those of Lua, through its allocator, and
 * our own, through the linker's --wrap, which sees the calls of our objects only.
 * (What libunicorn does when it gets no memory is not our business.)
 *
 * alloc/scenario.lua is run with the first allocation failing, then with the
 * second, and so on until one turn asks for fewer. Each turn has to end well or
 * with an error that speaks of memory; its machines then have to run, and once
 * they are closed nothing may be left of them. Prints TAP. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "../bindings/hvlua.h"

#ifdef __SANITIZE_THREAD__
static const char *const skipped =
    "sweeps # SKIP ThreadSanitizer never gives back "
    "what these thousands of machines take: gigabytes";
#else
static const char *const skipped = NULL;
#endif

/* ---- which allocation fails ---------------------------------------------- */

struct faults {
    _Atomic long count; /* allocations since it was armed */
    long first, last;   /* of these, the ones that fail */
    _Atomic bool armed, fired;
};

static struct faults of_lua, of_ours;

static bool fails(struct faults *f)
{
    long n;

    if (!f->armed)
        return false;
    n = ++f->count;
    if (n < f->first || n > f->last)
        return false;
    f->fired = true;
    return true;
}

/* Lua collects garbage and tries again when it gets no memory, and so do hv.vm and
 * vm:vcpu: only a second failure becomes an error. */
enum width { ONCE, TWICE, FROM_THERE_ON };

static void arm(struct faults *f, long first, enum width width)
{
    f->count = 0;
    f->first = first;
    f->last = width == FROM_THERE_ON ? LONG_MAX : first + (width == TWICE);
    f->fired = false;
    f->armed = true;
}

/* ---- our memory ---------------------------------------------------------- */

static int lives;    /* what we have and have not given back */
static bool wrapped; /* the linker sent our calls here */

#ifdef __APPLE__ /* whose linker has no --wrap */
#define REAL(name) name
#else
/* The names are the linker's. NOLINTBEGIN(bugprone-reserved-identifier) */
#define REAL(name) __real_##name
void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
char *__real_strdup(const char *s);
void __real_free(void *p);
void *__real_mmap(void *at, size_t n, int prot, int flags, int fd,
                  off_t offset);
int __real_munmap(void *at, size_t n);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
                          void *(*body)(void *), void *arg);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
char *__wrap_strdup(const char *s);
void __wrap_free(void *p);
void *__wrap_mmap(void *at, size_t n, int prot, int flags, int fd,
                  off_t offset);
int __wrap_munmap(void *at, size_t n);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
                          void *(*body)(void *), void *arg);
/* NOLINTEND(bugprone-reserved-identifier) */

enum { MOST = 4096 };
static const void *live[MOST];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void *gained(void *p)
{
    pthread_mutex_lock(&lock);
    if (lives == MOST)
        abort(); /* the scenario has outgrown this test */
    if (p)
        live[lives++] = p;
    wrapped = true;
    pthread_mutex_unlock(&lock);
    return p;
}

/* Pointers that are not in the list are somebody else's allocations. */
static void gone(const void *p)
{
    pthread_mutex_lock(&lock);
    for (int i = lives - 1; p && i >= 0; i--)
        if (live[i] == p) {
            live[i] = live[--lives];
            break;
        }
    pthread_mutex_unlock(&lock);
}

static bool refused(void)
{
    if (!fails(&of_ours))
        return false;
    errno = ENOMEM;
    return true;
}

void *__wrap_malloc(size_t size)
{
    return refused() ? NULL : gained(__real_malloc(size));
}

void *__wrap_calloc(size_t n, size_t size)
{
    return refused() ? NULL : gained(__real_calloc(n, size));
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return refused() ? NULL : gained(__real_aligned_alloc(alignment, size));
}

char *__wrap_strdup(const char *s)
{
    return refused() ? NULL : gained(__real_strdup(s));
}

void *__wrap_realloc(void *p, size_t size)
{
    if (refused())
        return NULL;
    gone(p);
    return gained(__real_realloc(p, size));
}

void __wrap_free(void *p)
{
    gone(p);
    __real_free(p);
}

void *__wrap_mmap(void *at, size_t n, int prot, int flags, int fd, off_t offset)
{
    void *p = MAP_FAILED;

    if (!refused())
        p = __real_mmap(at, n, prot, flags, fd, offset);
    if (p == MAP_FAILED)
        return p;
    if (flags & MAP_FIXED) /* in place of what may have been counted */
        gone(p);
    return gained(p);
}

int __wrap_munmap(void *at, size_t n)
{
    gone(at);
    return __real_munmap(at, n);
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
                          void *(*body)(void *), void *arg)
{
    return refused() ? EAGAIN : __real_pthread_create(thread, attr, body, arg);
}
#endif

/* ---- Lua's memory -------------------------------------------------------- */

static long lua_bytes;

static void *lua_memory(void *ud, void *block, size_t before, size_t size)
{
    void *p = NULL;

    (void)ud;
    if (!block)
        before = 0; /* Lua says what it is for */
    if (size > before && fails(&of_lua))
        return NULL;
    lua_bytes += (long)size - (long)before;
    if (size == 0)
        REAL(free)(block);
    else if (!(p = REAL(realloc)(block, size)))
        abort(); /* it is this machine that has none left */
    return p;
}

/* ---- the scenario -------------------------------------------------------- */

static char scenario[4096 + 32];
static char mapped[] = P_tmpdir "/hvlua-alloc-XXXXXX"; /* a file of one page */

/* This program is <folder>/build/<variant>/tests/alloc. */
static void find_scenario(const char *program)
{
    char folder[4096];

    snprintf(folder, sizeof folder, "%s%s", *program == '/' ? "" : "./",
             program);
    for (int i = 0; i < 4; i++) {
        char *slash = strrchr(folder, '/');

        if (slash)
            *slash = '\0';
    }
    snprintf(scenario, sizeof scenario, "%s/tests/alloc/scenario.lua", folder);
}

static bool make_file(void)
{
    static const char page[0x4000]; /* the largest of any backend */
    int fd = mkstemp(mapped);
    bool good = fd >= 0 && write(fd, page, sizeof page) == sizeof page;

    if (fd >= 0)
        close(fd);
    return good;
}

/* Protected: (the failure to arm once Lua is there, or nil) --> what the scenario
 * returns. */
static int load(lua_State *L)
{
    long first = (long)lua_tointeger(L, 1);

    luaL_openlibs(L);
    if (first)
        arm(&of_lua, first, TWICE);
    luaL_requiref(L, "hv", luaopen_hv, 0);
    if (luaL_loadfile(L, scenario) != LUA_OK)
        return lua_error(L);
    lua_insert(L, -2);
    lua_pushstring(L, mapped);
    lua_call(L, 2, 1);
    of_lua.armed = false;
    return 1;
}

/* A state with the scenario's table on top, or with why not. */
static lua_State *open_state(long first, int *status)
{
    lua_State *L = lua_newstate(lua_memory, NULL);

    if (!L)
        abort();
    lua_pushcfunction(L, load);
    lua_pushinteger(L, first);
    *status = lua_pcall(L, 1, 1, 0);
    of_lua.armed = false;
    return L;
}

/* ---- TAP ----------------------------------------------------------------- */

static unsigned done, failed;

static void result(const char *title, const char *why)
{
    failed += why != NULL;
    printf("%s %u - %s\n", why ? "not ok" : "ok", ++done, title);
    for (; why && *why; why += strcspn(why, "\n"), why += *why == '\n')
        printf("# %.*s\n", (int)strcspn(why, "\n"), why);
    fflush(stdout);
}

static int open_files(void)
{
    DIR *dir = opendir("/dev/fd");
    int n = 0;

    while (dir && readdir(dir))
        n++;
    if (dir)
        closedir(dir);
    return n;
}

/* ---- turns --------------------------------------------------------------- */

/* What the stack of the scenario's state holds: its table, what there is to run on,
 * and of that the one whose turn it is (or nil). */
enum { SCENARIO = 1, BACKENDS, BACKEND };

/* An allocation was refused: is that what the script got to hear? */
static bool about_memory(const char *why)
{
    return why && (strstr(why, "memory") || /* ENOMEM in words, too */
                   strstr(why, "Resource temporarily unavailable"));
}

/* One turn with the `first` allocation failing; NULL, or what is wrong with how it
 * ended (on the stack). */
static const char *take_turn(lua_State *L, const char *what, struct faults *f,
                             long first, enum width width)
{
    const char *why;
    int status;

    lua_settop(L, BACKEND);
    lua_getfield(L, SCENARIO, "run");
    lua_pushstring(L, what);
    lua_pushvalue(L, BACKEND);
    arm(f, first, width);
    status = lua_pcall(L, 2, 0, 0);
    f->armed = false;
    if (status == LUA_OK)
        return NULL;
    why = lua_tostring(L, -1);
    if (f->fired && about_memory(why))
        return NULL;
    return lua_pushfstring(L, "allocation %d: raised %s", (int)first,
                           why ? why : luaL_typename(L, -1));
}

struct left { /* what there is between turns */
    int lives, files;
};

/* Are the machines of the last turn well, and gone when they are closed? NULL, or
 * why not. */
static const char *look(lua_State *L, long first, const struct left *before)
{
    struct left now;

    lua_settop(L, BACKEND);
    lua_getfield(L, SCENARIO, "look");
    if (lua_pcall(L, 0, 0, 0) != LUA_OK)
        return lua_pushfstring(L, "after allocation %d: %s", (int)first,
                               lua_tostring(L, -1));
    now = (struct left){lives, open_files()};
    if (now.lives == before->lives && now.files == before->files)
        return NULL;
    return lua_pushfstring(L,
                           "allocation %d: %d of our allocations and %d open "
                           "files are left behind",
                           (int)first, now.lives - before->lives,
                           now.files - before->files);
}

/* ---- sweeps -------------------------------------------------------------- */

/* How much more Lua may have at the end: its stacks and tables grow in steps. */
enum { GROWTH = 1 << 16 };

static void sweep(lua_State *L, const char *what, struct faults *f,
                  enum width width, const char *words)
{
    struct left before = {lives, open_files()};
    const char *why, *name = "", *arch = "";
    char title[200];
    long n = 0, bytes;

    if (lua_istable(L, BACKEND)) {
        lua_getfield(L, BACKEND, "name");
        lua_getfield(L, BACKEND, "arch");
        name = lua_tostring(L, -2); /* both stay in the table */
        arch = lua_tostring(L, -1);
    }
    why = take_turn(L, what, f, LONG_MAX, ONCE); /* warm */
    if (!why)
        why = look(L, 0, &before);
    bytes = lua_bytes;
    for (f->fired = true; !why && f->fired;) {
        why = take_turn(L, what, f, ++n, width);
        if (!why)
            why = look(L, n, &before);
    }
    if (!why && lua_bytes > bytes + GROWTH)
        why = lua_pushfstring(L, "Lua has %d bytes more than at first",
                              (int)(lua_bytes - bytes));
    snprintf(title, sizeof title, "%s: %ld %s [%s %s]", what, why ? n : n - 1,
             words, name, arch);
    result(title, why);
}

static void sweep_all(lua_State *L, const char *what)
{
    sweep(L, what, &of_lua, ONCE, "allocations of Lua fail once");
    sweep(L, what, &of_lua, TWICE, "allocations of Lua fail");
    sweep(L, what, &of_lua, FROM_THERE_ON,
          "points without any for Lua from then on");
    if (wrapped) {
        sweep(L, what, &of_ours, ONCE, "allocations of ours fail once");
        sweep(L, what, &of_ours, FROM_THERE_ON,
              "points without any for us from then on");
    } else
        result("allocations of ours fail # SKIP this linker has no --wrap",
               NULL);
}

/* luaopen_hv(), each time in a state of its own. */
static void sweep_opening(void)
{
    const char *why = NULL;
    char title[100], text[400];
    long n = 0;
    int status;

    for (of_lua.fired = true; !why && of_lua.fired;) {
        lua_State *L = open_state(++n, &status);

        if (status != LUA_OK &&
            !(of_lua.fired && about_memory(lua_tostring(L, -1)))) {
            snprintf(text, sizeof text, "%s", lua_tostring(L, -1));
            why = text;
        }
        lua_close(L);
        if (lua_bytes || lives)
            why = "closing the state leaves something behind";
    }
    snprintf(title, sizeof title, "opening: %ld allocations of Lua fail",
             n - 1);
    result(title, why);
}

/* What is open when the state is closed goes with it. */
static void close_state(lua_State *L, int files)
{
    const char *why = NULL;

    for (lua_Integer i = 1; lua_rawgeti(L, BACKENDS, i) == LUA_TTABLE; i++) {
        lua_replace(L, BACKEND);
        if (lua_getfield(L, BACKEND, "ok") && lua_toboolean(L, -1) && !why)
            why = take_turn(L, "open", &of_lua, LONG_MAX, ONCE);
        lua_settop(L, BACKEND);
    }
    if (why) {
        result("machines that are left open", why);
        lua_close(L);
        return;
    }
    lua_close(L);
    if (lua_bytes || lives || open_files() != files)
        why = "closing the state leaves something behind";
    result("machines that are left open", why);
}

static void sweep_backends(lua_State *L)
{
    for (lua_Integer i = 1;; i++) {
        bool usable;

        lua_settop(L, BACKENDS);
        if (lua_rawgeti(L, BACKENDS, i) != LUA_TTABLE)
            break;
        lua_getfield(L, BACKEND, "ok");
        usable = lua_toboolean(L, -1);
        lua_pop(L, 1);
        if (usable) {
            sweep_all(L, "machine");
            sweep_all(L, "two");
        }
    }
    lua_settop(L, BACKEND); /* nil */
    sweep_all(L, "processes");
}

int main(int argc, char **argv)
{
    int status, files = open_files();
    lua_State *L;

    (void)argc;
    find_scenario(argv[0]);
    if (skipped) {
        result(skipped, NULL);
        puts("1..1");
        return EXIT_SUCCESS;
    }
    if (!make_file()) {
        perror(mapped);
        return EXIT_FAILURE;
    }
    sweep_opening();
    L = open_state(0, &status);
    if (status != LUA_OK) {
        result("the scenario loads", lua_tostring(L, -1));
        lua_close(L);
    } else {
        lua_getfield(L, SCENARIO, "backends");
        lua_call(L, 0, 1);
        sweep_backends(L);
        close_state(L, files);
    }
    unlink(mapped);
    printf("1..%u\n", done);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
