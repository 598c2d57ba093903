/* SPDX-License-Identifier: MIT */
/* hvlib.c - the module hv.core, on which scripts/hv builds `require "hv"`. */
#include "stats.h"

static const luaL_Reg functions[] = {{"backends", hv_backends},
                                     {"size", hv_size},
                                     {"room", hv_room},
                                     {"pipe", hvproc_pipe},
                                     {"host", hv_host},
                                     {"hypercalls", hv_hypercalls},
                                     {"typed", hv_typed},
                                     {"on_hypercall", hv_on_hypercall},
                                     {"typed_calls", hv_typed_calls},
                                     {"stats", hv_stats},
                                     {NULL, NULL}};

int luaopen_hv_core(lua_State *L)
{
    luaL_checkversion(L);
    luaL_newlib(L, functions);
    lua_pushliteral(L, HV_VERSION);
    lua_setfield(L, -2, "version");
    vm_open(L);
    lua_setfield(L, -2, "machine"); /* methods: the Lua library adds its own */
    mem_open(L);
    gic_open(L);
    guest_open(L);
    watch_open_library(L);
    spawn_open(L);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "defaults"); /* arch and backend of hv.vm */
    lua_pushvalue(L, -1);
    lua_pushcclosure(L, hv_caps, 1);
    lua_setfield(L, -3, "caps");
    lua_pushcclosure(L, hv_vm, 1);
    lua_setfield(L, -2, "vm");
    return 1;
}
