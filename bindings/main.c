/* SPDX-License-Identifier: MIT */
/* main.c - the program hvlua: a script, its arguments, Ctrl-C. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <lualib.h>

#ifdef __APPLE__
#include <mach-o/dyld.h>
#endif

#include "hvlib.h"

static const char usage[] =
    "usage: hvlua [options] [script [arguments]]\n"
    "  -e code            run code; may be repeated, and precede a script\n"
    "  -l name            require name into a global of that name\n"
    "  -v, --version      show versions\n"
    "  --backend=NAME     the backend where a script names none: kvm, unicorn\n"
    "  --arch=NAME        the guests' architecture where a script names none:\n"
    "                     arm64, x86_64\n"
    "  --help             show this\n"
    "  --                 end of options\n"
    "  -                  the script is standard input\n";

/* ---- Ctrl-C --------------------------------------------------------------- */

/* SIGINT is blocked everywhere and waited for here: stopping a guest takes locks,
 * which a signal handler could not. A second one that finds the first not yet
 * obeyed ends the program. */
static void *wait_for_interrupts(void *arg)
{
    struct runs *runs = arg;
    sigset_t set;
    int signal_number;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    if (sigwait(&set, &signal_number) == 0)
        runs_interrupt(runs);
    signal(SIGINT, SIG_DFL);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    while (pause() < 0) /* always: it is here to take the second one */
        ;
    return NULL;
}

static void catch_interrupts(lua_State *L)
{
    struct runs *runs = runs_open(L);
    struct sigaction now;
    pthread_t thread;
    sigset_t set;

    runs_main(runs, L);
    if (sigaction(SIGINT, NULL, &now) < 0 || now.sa_handler == SIG_IGN)
        return; /* started with nohup or in the background */
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (pthread_create(&thread, NULL, wait_for_interrupts, runs) == 0)
        pthread_detach(thread);
    else
        pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

/* ---- where the Lua library is ------------------------------------------------- */

static int program_path(char *path, size_t size)
{
#ifdef __APPLE__
    uint32_t room = (uint32_t)size;
    char raw[4096];

    if (size < 4096 || _NSGetExecutablePath(raw, &room) != 0)
        return -1;
    return realpath(raw, path) ? 0 : -1;
#else
    ssize_t n = readlink("/proc/self/exe", path, size - 1);

    if (n < 0)
        return -1;
    path[n] = '\0';
    return 0;
#endif
}

/* package.path = "<folder>/scripts/?.lua;<folder>/scripts/?/init.lua;" .. it,
 * where <folder> is the program's and has the Lua library: the source tree, where
 * that is being worked on. False: it is not there. Then the one inside the program
 * serves, wherever that was installed or moved to. */
static bool use_source_tree(lua_State *L)
{
    char path[4096], *slash;
    const char *init;

    if (program_path(path, sizeof path) < 0 || !(slash = strrchr(path, '/')))
        return false;
    *slash = '\0';
    init = lua_pushfstring(L, "%s/scripts/hv/init.lua", path);
    if (access(init, R_OK) < 0)
        return false;
    lua_getglobal(L, "package");
    lua_pushfstring(L, "%s/scripts/?.lua;%s/scripts/?/init.lua;", path, path);
    lua_getfield(L, -2, "path");
    lua_concat(L, 2);
    lua_setfield(L, -2, "path");
    return true;
}

/* ---- running ---------------------------------------------------------------------- */

static int message(lua_State *L)
{
    const char *text = lua_tostring(L, 1);

    if (!text) {
        if (luaL_callmeta(L, 1, "__tostring") && lua_type(L, -1) == LUA_TSTRING)
            return 1;
        text = lua_pushfstring(L, "(error object is a %s value)",
                               luaL_typename(L, 1));
    }
    luaL_traceback(L, L, text, 1);
    return 1;
}

static int report(lua_State *L, int status)
{
    if (status != LUA_OK) {
        fflush(stdout);
        fprintf(stderr, "hvlua: %s\n", lua_tostring(L, -1));
        lua_pop(L, 1);
    }
    return status;
}

/* The chunk is below its `nargs` arguments. */
static int call(lua_State *L, int nargs)
{
    int base = lua_gettop(L) - nargs;

    lua_pushcfunction(L, message);
    lua_insert(L, base);
    return report(L, lua_pcall(L, nargs, 0, base));
}

static int run_code(lua_State *L, const char *code)
{
    int status = luaL_loadbuffer(L, code, strlen(code), "=(command line)");

    return status == LUA_OK ? call(L, 0) : report(L, status);
}

/* _G[name] = require(name) */
static int run_library(lua_State *L, const char *name)
{
    int status;

    lua_getglobal(L, "require");
    lua_pushstring(L, name);
    status = report(L, lua_pcall(L, 1, 1, 0));
    if (status == LUA_OK)
        lua_setglobal(L, name);
    return status;
}

static int run_script(lua_State *L, char **argv, int script, int argc)
{
    const char *name = strcmp(argv[script], "-") ? argv[script] : NULL;
    int status = luaL_loadfile(L, name);

    if (status != LUA_OK)
        return report(L, status);
    for (int i = script + 1; i < argc; i++) {
        luaL_checkstack(L, 1, "too many arguments");
        lua_pushstring(L, argv[i]);
    }
    return call(L, argc - script - 1);
}

/* arg[0] is the script, arg[1...] its arguments, negative ones the rest. */
static void set_arg(lua_State *L, char **argv, int script, int argc)
{
    lua_createtable(L, argc - script, script + 1);
    for (int i = 0; i < argc; i++) {
        lua_pushstring(L, argv[i]);
        lua_rawseti(L, -2, i - script);
    }
    lua_setglobal(L, "arg");
}

/* ---- options ----------------------------------------------------------------------- */

/* core.defaults[name] = value, once it is known to mean something. */
static int set_default(lua_State *L, const char *name, const char *value)
{
    int known = 0;

    if (strcmp(name, "arch") == 0)
        known = vmm_arch_find(value) >= 0;
    for (int i = 0; strcmp(name, "backend") == 0 && vmm_backend_name(i); i++)
        known |= strcmp(vmm_backend_name(i), value) == 0;
    if (!known) {
        fprintf(stderr,
                "hvlua: --%s=%s: there is no such %s: see hvlua "
                "--help\n",
                name, value, name);
        return LUA_ERRRUN;
    }
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_getfield(L, -1, "hv.core");
    lua_getfield(L, -1, "defaults");
    lua_pushstring(L, value);
    lua_setfield(L, -2, name);
    lua_pop(L, 3);
    return LUA_OK;
}

static void show_version(void)
{
    printf("hvlua %s (%s)\n", HV_VERSION, LUA_RELEASE);
}

static const char *after(const char *option, const char *prefix)
{
    size_t n = strlen(prefix);

    return strncmp(option, prefix, n) == 0 ? option + n : NULL;
}

struct line {   /* what the command line asks for */
    int script; /* its index; 0: none */
    bool done;  /* something was run or shown: no script is needed */
};

/* -e and -l take the rest of the word or the next one. */
static int with_value(lua_State *L, char **argv, int *i, struct line *line)
{
    char letter = argv[*i][1];
    const char *value = argv[*i][2] ? argv[*i] + 2 : argv[++*i];

    if (!value) {
        fprintf(stderr, "hvlua: -%c needs %s after it\n", letter,
                letter == 'e' ? "code" : "a name");
        return LUA_ERRRUN;
    }
    if (letter == 'l')
        return run_library(L, value);
    line->done = true;
    return run_code(L, value);
}

static int option(lua_State *L, char **argv, int *i, struct line *line)
{
    const char *word = argv[*i], *value;

    if (word[1] == 'e' || word[1] == 'l')
        return with_value(L, argv, i, line);
    if ((value = after(word, "--backend=")))
        return set_default(L, "backend", value);
    if ((value = after(word, "--arch=")))
        return set_default(L, "arch", value);
    line->done = true;
    if (strcmp(word, "-v") == 0 || strcmp(word, "--version") == 0)
        show_version();
    else if (strcmp(word, "--help") == 0)
        fputs(usage, stdout);
    else {
        fprintf(stderr, "hvlua: unrecognized option '%s'\n%s", word, usage);
        return LUA_ERRRUN;
    }
    return LUA_OK;
}

/* Where the script's name is, so that `arg` is there before anything runs. */
static int find_script(char **argv, int argc)
{
    int i = 1;

    for (; i < argc && argv[i][0] == '-' && argv[i][1]; i++) {
        if (strcmp(argv[i], "--") == 0)
            return i + 1;
        if ((argv[i][1] == 'e' || argv[i][1] == 'l') && !argv[i][2])
            i++;
    }
    return i;
}

static int run_line(lua_State *L, char **argv, int argc)
{
    struct line line = {.script = find_script(argv, argc)};
    int status = LUA_OK;

    set_arg(L, argv, line.script < argc ? line.script : 0, argc);
    for (int i = 1; i < argc && i < line.script && status == LUA_OK; i++)
        if (strcmp(argv[i], "--") != 0)
            status = option(L, argv, &i, &line);
    if (status != LUA_OK)
        return status;
    if (line.script < argc)
        return run_script(L, argv, line.script, argc);
    if (line.done)
        return LUA_OK;
    if (!isatty(STDIN_FILENO))
        return run_script(L, (char *[]){"-"}, 0, 1);
    fputs(usage, stderr);
    return LUA_ERRRUN;
}

static int pmain(lua_State *L)
{
    int argc = (int)lua_tointeger(L, 1);
    char **argv = lua_touserdata(L, 2);

    luaL_openlibs(L);
    luaL_requiref(L, "hv.core", luaopen_hv_core, 0);
    if (!use_source_tree(L))
        open_preload(L);
    lua_settop(L, 0);
    catch_interrupts(L);
    lua_gc(L, LUA_GCGEN, 0, 0);
    lua_pushboolean(L, run_line(L, argv, argc) == LUA_OK);
    return 1;
}

int main(int argc, char **argv)
{
    lua_State *L = luaL_newstate();
    int ok;

    if (!L) {
        fputs("hvlua: not enough memory\n", stderr);
        return EXIT_FAILURE;
    }
    lua_pushcfunction(L, pmain);
    lua_pushinteger(L, argc);
    lua_pushlightuserdata(L, argv);
    ok = report(L, lua_pcall(L, 2, 1, 0)) == LUA_OK && lua_toboolean(L, -1);
    lua_close(L);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
