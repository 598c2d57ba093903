/* SPDX-License-Identifier: MIT */
/* openlib.c - the module hv for programs that embed it.
 *
 * The Lua library is compiled in. So there is no folder to configure, nothing to
 * go missing when a program is moved or linked statically, and never a Lua file
 * of one version on top of the C core of another. */
#include <string.h>

#include "hvlib.h"

/* Module names and their text: scripts/library.sh writes them. */
static const struct source {
    const char *module, *file, *text;
} library[] = {
#include "library.inc"
};

static const struct source *find(const char *module)
{
    for (size_t i = 0; i < sizeof library / sizeof *library; i++)
        if (strcmp(library[i].module, module) == 0)
            return &library[i];
    return NULL;
}

/* package.preload[module]: called as a file found by require would be. */
static int open_source(lua_State *L)
{
    const struct source *s = find(luaL_checkstring(L, 1));

    if (!s)
        return luaL_error(L, "hv: no module \"%s\"", lua_tostring(L, 1));
    if (luaL_loadbuffer(L, s->text, strlen(s->text), s->file) != LUA_OK)
        return lua_error(L);
    lua_pushstring(L, s->module);
    lua_pushstring(L, ":embedded:");
    lua_call(L, 2, 1);
    return 1;
}

/* What every script of hv needs. (Files and processes a host may well withhold:
 * hv.asm and hv.image raise then, the rest works.) */
static void check_libraries(lua_State *L)
{
    static const char *const needed[] = {"setmetatable", "require", "string"};

    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        if (lua_getglobal(L, needed[i]) == LUA_TNIL)
            luaL_error(L,
                       "hv: this Lua state has no \"%s\": call luaL_openlibs() "
                       "before luaopen_hv()",
                       needed[i]);
        lua_pop(L, 1);
    }
}

void open_preload(lua_State *L)
{
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    for (size_t i = 0; i < sizeof library / sizeof *library; i++) {
        /* a host that replaces one of them has said so before */
        if (lua_getfield(L, -1, library[i].module) == LUA_TNIL) {
            lua_pushcfunction(L, open_source);
            lua_setfield(L, -3, library[i].module);
        }
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

int luaopen_hv(lua_State *L)
{
    check_libraries(L);
    luaL_requiref(L, "hv.core", luaopen_hv_core, 0);
    open_preload(L);
    lua_pushcfunction(L, open_source);
    lua_pushliteral(L, "hv");
    lua_call(L, 1, 1);
    return 1;
}
