/* SPDX-License-Identifier: MIT */
/* raises.h - for clang-tidy: these of Lua's functions do not return, though
 * their declarations say int, so that `return luaL_error(...)` can be written. */
#ifndef RAISES_H
#define RAISES_H

#include <lauxlib.h>
#include <lua.h>

__attribute__((noreturn)) int lua_error(lua_State *L);
__attribute__((noreturn)) int luaL_error(lua_State *L, const char *format, ...);
__attribute__((noreturn)) int luaL_argerror(lua_State *L, int arg,
                                            const char *extra);
__attribute__((noreturn)) int luaL_typeerror(lua_State *L, int arg,
                                             const char *name);

#endif
