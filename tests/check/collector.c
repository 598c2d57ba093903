/* SPDX-License-Identifier: MIT */
/* collector.c - a hostile collector, preloaded: LD_PRELOAD=collector.so with
 * HVLUA_TEST_GC=incremental or generational.
 *
 * Every Lua state of every process collects at every call, of Lua functions and
 * of C's, on the main thread, in coroutines and in handlers, before the called
 * function looks at its arguments; and after every few bytes that are allocated
 * in between. What hvlua does not hold fast is soon gone. */
#include <dlfcn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>
#include <lua.h>

/* Coroutines inherit the hook. The mode is set again each time, for the program
 * sets its own. An incremental step does PACE percent of its normal work for each
 * byte allocated, and the next cycle starts when one ends. */
enum { NO_PAUSE = 1, PACE = 100, STEP = 6 };

static void incremental(lua_State *L, lua_Debug *ar)
{
    (void)ar;
    lua_gc(L, LUA_GCINC, NO_PAUSE, PACE, STEP);
    lua_gc(L, LUA_GCSTEP, 0);
}

static void generational(lua_State *L, lua_Debug *ar)
{
    (void)ar;
    lua_gc(L, LUA_GCGEN, 1, 1);
    lua_gc(L, LUA_GCSTEP, 0); /* all that is young */
}

lua_State *(luaL_newstate)(void)
{
    lua_State *(*next)(void);
    lua_State *L;
    const char *mode = getenv("HVLUA_TEST_GC");
    bool young = mode && strcmp(mode, "generational") == 0;

    *(void **)&next = dlsym(RTLD_NEXT, "luaL_newstate");
    L = next();
    if (L)
        lua_sethook(L, young ? generational : incremental, LUA_MASKCALL, 0);
    return L;
}
