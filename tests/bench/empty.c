/* SPDX-License-Identifier: MIT */
/* empty.c - a Lua module that is a function which does nothing: what any call
 * of C from Lua costs. */
#include <lua.h>

int luaopen_empty(lua_State *L);

static int empty(lua_State *L)
{
    (void)L;
    return 0;
}

int luaopen_empty(lua_State *L)
{
    lua_pushcfunction(L, empty);
    return 1;
}
