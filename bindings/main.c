/* SPDX-License-Identifier: MIT */
/* main.c - the program hvlua: what the command line asks for, in the order in
 * which lua does it. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <lualib.h>

#ifdef __GLIBC__
#include <malloc.h>
#endif

#ifdef __APPLE__
#include <mach-o/dyld.h>
#endif

#include "program.h"

/* ---- where the Lua library is -------------------------------------------- */

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

/* ---- calling ------------------------------------------------------------- */

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

/* Whoever watches has interrupted it, for there is a newer one. */
static bool is_outdated(const char *why, bool watched)
{
    return watched && why && strstr(why, "interrupted!");
}

static int report(lua_State *L, int status)
{
    if (status != LUA_OK) {
        const char *why = lua_tostring(L, -1);

        fflush(stdout);
        lua_getfield(L, LUA_REGISTRYINDEX, "HVLUA_WATCH");
        if (!is_outdated(why, lua_toboolean(L, -1)))
            fprintf(stderr, "hvlua: %s\n", why);
        lua_pop(L, 2);
    }
    return status;
}

/* The function is below its `nargs` arguments. */
static int call(lua_State *L, int nargs, int results)
{
    int base = lua_gettop(L) - nargs, status;

    lua_pushcfunction(L, message);
    lua_insert(L, base);
    status = lua_pcall(L, nargs, results, base);
    lua_remove(L, base);
    return report(L, status);
}

/* What was loaded is on top, or why it was not. */
static int run(lua_State *L, int status)
{
    return status == LUA_OK ? call(L, 0, 0) : report(L, status);
}

static int run_code(lua_State *L, const char *code, const char *name)
{
    return run(L, luaL_loadbuffer(L, code, strlen(code), name));
}

/* ---- -l, LUA_INIT, the script -------------------------------------------- */

/* -l mod: mod = require "mod"; a version after "-" is not part of the global's
 * name. -l g=mod: g = require "mod". */
static int run_library(lua_State *L, const char *word)
{
    const char *equals = strchr(word, '=');
    const char *module = equals ? equals + 1 : word;
    size_t length = equals ? (size_t)(equals - word) : strcspn(word, "-");
    int status;

    lua_getglobal(L, "require");
    lua_pushstring(L, module);
    status = call(L, 1, 1);
    if (status == LUA_OK) {
        lua_pushlstring(L, word, length);
        lua_insert(L, -2);
        lua_pushglobaltable(L);
        lua_insert(L, -3);
        lua_settable(L, -3); /* _G[name] = require(module) */
        lua_pop(L, 1);
    }
    return status;
}

/* LUA_INIT_5_4, else LUA_INIT: code, or "@" and a file's name. */
static int run_init(lua_State *L)
{
    const char *name = "=LUA_INIT_" LUA_VERSION_MAJOR "_" LUA_VERSION_MINOR;
    const char *init = getenv(name + 1);

    if (!init) {
        name = "=LUA_INIT";
        init = getenv(name + 1);
    }
    if (!init)
        return LUA_OK;
    if (init[0] == '@')
        return run(L, luaL_loadfile(L, init + 1));
    return run_code(L, init, name);
}

/* The options that run something, in their order. options_read() has seen to
 * it that -e and -l have what they need. */
static int run_options(lua_State *L, char **argv, int script)
{
    int status = LUA_OK;

    for (int i = 1; i < script && status == LUA_OK; i++) {
        char letter = argv[i][1];

        if (letter == 'e' || letter == 'l') {
            const char *value = argv[i][2] ? argv[i] + 2 : argv[++i];

            status = letter == 'e' ? run_code(L, value, "=(command line)")
                                   : run_library(L, value);
        } else if (letter == 'W')
            lua_warning(L, "@on", 0);
    }
    return status;
}

/* The script's arguments are what `arg` has by now. */
static int push_arguments(lua_State *L)
{
    int n;

    if (lua_getglobal(L, "arg") != LUA_TTABLE)
        luaL_error(L, "'arg' is not a table");
    n = (int)luaL_len(L, -1);
    luaL_checkstack(L, n + 3, "too many arguments to script");
    for (int i = 1; i <= n; i++)
        lua_rawgeti(L, -i, i);
    lua_remove(L, -n - 1);
    return n;
}

/* "cannot open demo.lau", and what there is instead. */
static int no_script(lua_State *L, const char *name)
{
    char buffer[4096];
    const char *nearest = options_nearest_file(name, buffer, sizeof buffer);

    if (nearest && access(name, F_OK) != 0) {
        lua_pushfstring(L, ": did you mean '%s'?", nearest);
        lua_concat(L, 2);
    }
    return report(L, LUA_ERRFILE);
}

static int run_script(lua_State *L, char **argv, int script)
{
    const char *name = argv[script];
    bool input = strcmp(name, "-") == 0 && strcmp(argv[script - 1], "--") != 0;
    int status = luaL_loadfile(L, input ? NULL : name);

    if (status == LUA_ERRFILE && !input)
        return no_script(L, name);
    if (status != LUA_OK)
        return report(L, status);
    return call(L, push_arguments(L), 0);
}

/* arg[0] is the script, arg[1...] its arguments, negative ones the rest. */
static void set_arg(lua_State *L, char **argv, int script, int argc)
{
    if (script == argc)
        script = 0;
    lua_createtable(L, argc - script, script + 1);
    for (int i = 0; i < argc; i++) {
        lua_pushstring(L, argv[i]);
        lua_rawseti(L, -2, i - script);
    }
    lua_setglobal(L, "arg");
}

/* ---- hvlua's own --------------------------------------------------------- */

static void show_version(void)
{
    printf("hvlua %s (%s)\n", HV_VERSION, LUA_RELEASE);
    fflush(stdout);
}

/* core.defaults.arch, .backend: of machines that name none; .hypercalls: tell them. */
static void set_defaults(lua_State *L, const struct options *o)
{
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_getfield(L, -1, "hv.core");
    lua_getfield(L, -1, "defaults");
    lua_pushstring(L, o->arch);
    lua_setfield(L, -2, "arch");
    lua_pushstring(L, o->backend);
    lua_setfield(L, -2, "backend");
    if (o->hypercalls) {
        lua_pushboolean(L, 1);
        lua_setfield(L, -2, "hypercalls");
    }
    lua_pop(L, 3);
}

/* require(module)[name](arguments...), or require(module)(arguments...). */
static int run_module(lua_State *L, const char *module, const char *name,
                      char **argv, int argc)
{
    int status;

    lua_getglobal(L, "require");
    lua_pushstring(L, module);
    status = call(L, 1, 1);
    if (status != LUA_OK)
        return status;
    if (name)
        lua_getfield(L, -1, name);
    luaL_checkstack(L, argc, "too many arguments");
    for (int i = 0; i < argc; i++)
        lua_pushstring(L, argv[i]);
    return call(L, argc, 1);
}

/* Words that stand where a script may: hvlua doctor, hvlua abi. A script of that
 * name is ./doctor. They need nothing of the environment: to doctor, it may be what
 * is wrong. */
static const char *command_module(const char *word)
{
    if (strcmp(word, "doctor") == 0)
        return "hv.doctor";
    if (strcmp(word, "abi") == 0)
        return "hv.abi.command";
    return NULL;
}

/* hvlua --watch: this program with all arguments but that one, again and again. */
static bool watch(lua_State *L, const struct options *o, int argc, char **argv)
{
    char path[4096];
    char **all;
    int n = 0;

    if (o->script >= argc || strcmp(argv[o->script], "-") == 0) {
        fputs("hvlua: --watch needs a script's file\n", stderr);
        return false;
    }
    if (program_path(path, sizeof path) < 0) {
        perror("hvlua: where it is");
        return false;
    }
    all = lua_newuserdatauv(L, ((size_t)argc + 2) * sizeof *all, 0);
    all[n++] = path;
    all[n++] = argv[o->script];
    for (int i = 1; i < argc; i++)
        if (i >= o->script || strcmp(argv[i], "--watch") != 0)
            all[n++] = argv[i];
    return run_module(L, "hv.watch", "run", all, n) == LUA_OK &&
           lua_tointeger(L, -1) == 0;
}

/* ---- running ------------------------------------------------------------- */

static int run_prompt(lua_State *L, const struct options *o)
{
    if (!o->version)
        show_version();
    return report(L, prompt_run(L));
}

static int run_line(lua_State *L, const struct options *o, int argc,
                    char **argv)
{
    int status = o->noenv ? LUA_OK : run_init(L);

    if (status == LUA_OK && o->stats)
        status = run_module(L, "hv.stats", "start", NULL, 0);
    if (status == LUA_OK)
        status = run_options(L, argv, o->script);
    if (status == LUA_OK && o->script < argc)
        status = run_script(L, argv, o->script);
    if (status != LUA_OK)
        return status;
    if (o->interactive)
        return run_prompt(L, o);
    if (o->script < argc || o->code || o->version)
        return LUA_OK;
    if (isatty(STDIN_FILENO))
        return run_prompt(L, o);
    return run(L, luaL_loadfile(L, NULL));
}

static void open_libraries(lua_State *L, const struct options *o)
{
    struct runs *runs;

    if (o->noenv) {
        lua_pushboolean(L, 1);
        lua_setfield(L, LUA_REGISTRYINDEX, "LUA_NOENV");
    }
    luaL_openlibs(L);
    luaL_requiref(L, "hv.core", luaopen_hv_core, 0);
    if (!use_source_tree(L))
        open_preload(L);
    lua_settop(L, 0);
    set_defaults(L, o);
    runs = runs_open(L);
    runs_main(runs, L);
    ctrlc_open(L, runs);
    lua_gc(L, LUA_GCGEN, 0, 0);
}

/* The first option that is no choice of a machine; NULL: all are. */
static const char *not_for_commands(char **argv, int options)
{
    for (int i = 1; i < options; i++)
        if (strncmp(argv[i], "--backend", 9) != 0 &&
            strncmp(argv[i], "--arch", 6) != 0)
            return argv[i];
    return NULL;
}

/* Whether it went well. */
static bool run_command(lua_State *L, const struct options *o, int argc,
                        char **argv)
{
    const char *name = argv[o->script];
    const char *other = not_for_commands(argv, o->script);

    if (other && !o->version) {
        fprintf(stderr,
                "hvlua: %s takes only --backend=NAME and --arch=NAME before "
                "it: %s\n",
                name, other);
        return false;
    }
    return run_module(L, command_module(name), NULL, argv + o->script + 1,
                      argc - o->script - 1) == LUA_OK &&
           lua_toboolean(L, -1);
}

static int pmain(lua_State *L)
{
    int argc = (int)lua_tointeger(L, 1);
    char **argv = lua_touserdata(L, 2);
    struct options o;
    bool ok;

    if (options_read(&o, argc, argv) < 0)
        return 0;
    if (o.help) {
        options_help();
        lua_pushboolean(L, 1);
        return 1;
    }
    if (o.version)
        show_version();
    open_libraries(L, &o);
    set_arg(L, argv, o.script, argc);
    if (o.script < argc && command_module(argv[o.script])) {
        lua_pushboolean(L, run_command(L, &o, argc, argv));
        return 1;
    }
    if (o.watch) {
        lua_pushboolean(L, watch(L, &o, argc, argv));
        return 1;
    }
    if (getenv("HVLUA_WATCH")) {
        run_module(L, "hv.watch", "report", NULL, 0);
        unsetenv("HVLUA_WATCH"); /* that was for this process */
        lua_pushboolean(L, 1);
        lua_setfield(L, LUA_REGISTRYINDEX, "HVLUA_WATCH");
    }
    ok = run_line(L, &o, argc, argv) == LUA_OK;
    if (o.hypercalls)
        run_module(L, "hv.abi.trace", "finish", NULL, 0);
    if (o.stats)
        run_module(L, "hv.stats", "finish", NULL, 0);
    lua_pushboolean(L, ok);
    return 1;
}

/* Strings of guest memory come and go by the megabyte. To give each back to the
 * system, and to get it again page by page, takes eight times as long as the copy
 * that it is for. Who has set these otherwise for the process knows better. */
static void keep_memory(void)
{
#ifdef __GLIBC__
    if (!getenv("MALLOC_MMAP_THRESHOLD_"))
        mallopt(M_MMAP_THRESHOLD, 2 << 20);
    if (!getenv("MALLOC_TRIM_THRESHOLD_"))
        mallopt(M_TRIM_THRESHOLD, 8 << 20);
#endif
}

/* Where standard input, output or error is closed, the next file to be opened would
 * be taken for it. */
static void hold_standard_files(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

int main(int argc, char **argv)
{
    lua_State *L;
    int ok;

    hold_standard_files();
    keep_memory();
    L = luaL_newstate();
    if (!L) {
        fputs("hvlua: not enough memory\n", stderr);
        return EXIT_FAILURE;
    }
    lua_pushcfunction(L, pmain);
    lua_pushinteger(L, argc);
    lua_pushlightuserdata(L, argv);
    ok = report(L, lua_pcall(L, 2, 1, 0)) == LUA_OK && lua_toboolean(L, -1);
    signal(SIGINT, SIG_DFL); /* what it would interrupt is being closed */
    lua_close(L);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
