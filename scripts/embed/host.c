/* SPDX-License-Identifier: MIT */
/* host.c - a program of your own whose scripts drive virtual machines, and may
 * call a function of its:
 *
 *     cc host.c -o host $(pkg-config --cflags --libs hvlua)
 *     ./host light.lua */
#include <hvlua.h>
#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>

/* light(on): the script, and through it the guest, switches our light. */
static int light(lua_State *L)
{
    printf("the light is %s\n", lua_toboolean(L, 1) ? "on" : "off");
    return 0;
}

int main(int argc, char **argv)
{
    lua_State *L = luaL_newstate();
    int failed;

    if (L == NULL || argc != 2) {
        fprintf(stderr, "usage: host script.lua\n");
        return 2;
    }
    luaL_openlibs(L);
    luaL_requiref(L, "hv", luaopen_hv, 1); /* hv = require "hv" */
    lua_register(L, "light", light);
    failed = luaL_dofile(L, argv[1]);
    if (failed)
        fprintf(stderr, "host: %s\n", lua_tostring(L, -1));
    lua_close(L);
    return failed;
}
