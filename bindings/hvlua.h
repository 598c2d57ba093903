/* SPDX-License-Identifier: MIT */
/* hvlua.h - hvlua in a program of your own: `require "hv"` for its Lua 5.4.
 * (Machines without Lua: vmm.h.)
 *
 *     luaL_openlibs(L);
 *     luaL_requiref(L, "hv", luaopen_hv, 1);
 */
#ifndef HVLUA_H
#define HVLUA_H

#include <lua.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* The module "hv", Lua files and all: they are part of the library and looked
 * for nowhere. Raises unless the state has its standard libraries. */
int luaopen_hv(lua_State *L);

/* The module "hv.core", on which the Lua files build: for who has them in
 * package.path. */
int luaopen_hv_core(lua_State *L);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
