/* SPDX-License-Identifier: MIT */
/* hostlib.c - host(): what the machine that hvlua runs on is, and allows. */
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "hvlib.h"

#if defined(__clang__)
#define BUILT_WITH "clang " __clang_version__
#else
#define BUILT_WITH "gcc " __VERSION__
#endif

static void set_string(lua_State *L, const char *name, const char *value)
{
    lua_pushstring(L, value);
    lua_setfield(L, -2, name);
}

static void set_integer(lua_State *L, const char *name, long value)
{
    lua_pushinteger(L, value);
    lua_setfield(L, -2, name);
}

/* t[name] = how many, unless there is no limit. */
static void set_limit(lua_State *L, const char *name, int resource)
{
    struct rlimit limit;

    if (getrlimit(resource, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
        limit.rlim_cur <= LUA_MAXINTEGER) {
        lua_pushinteger(L, (lua_Integer)limit.rlim_cur);
        lua_setfield(L, -2, name);
    }
}

/* host() --> { system=, release=, machine=, page_size=, cpus=, lua=, compiler=,
 *              files=, memory=, processes= }, the last three where limited */
int hv_host(lua_State *L)
{
    struct utsname name;

    lua_createtable(L, 0, 10);
    if (uname(&name) >= 0) {
        set_string(L, "system", name.sysname);
        set_string(L, "release", name.release);
        set_string(L, "machine", name.machine);
    }
    set_integer(L, "page_size", sysconf(_SC_PAGESIZE));
    set_integer(L, "cpus", sysconf(_SC_NPROCESSORS_ONLN));
    set_string(L, "lua", LUA_RELEASE);
    set_string(L, "compiler", BUILT_WITH);
    set_limit(L, "files", RLIMIT_NOFILE);
    set_limit(L, "memory", RLIMIT_AS);
    set_limit(L, "processes", RLIMIT_NPROC);
    return 1;
}
