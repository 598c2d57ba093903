/* SPDX-License-Identifier: MIT */
/* prompt.c - the prompt's loop. What it reads, completes and shows is decided by
 * scripts/hv/prompt.lua; here are the things that Lua cannot do. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "program.h"

/* evaluate(handler, fn, ...) --> true, results... | false, what handler made of
 * the error. Ctrl-C ends it. */
static int evaluate(lua_State *L)
{
    int nargs = lua_gettop(L) - 2, status;

    luaL_checkany(L, 2);
    ctrlc_set(CTRLC_STOPS);
    status = lua_pcall(L, nargs, LUA_MULTRET, 1);
    ctrlc_set(CTRLC_TOLD);
    runs_clear(L);
    lua_pushboolean(L, status == LUA_OK);
    lua_replace(L, 1);
    return lua_gettop(L);
}

/* append(path, text) --> true, or nil and why: a file that only its owner may
 * read, as what people type can be a secret. */
static int append(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    size_t len;
    const char *text = luaL_checklstring(L, 2, &len);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    bool ok = fd >= 0 && write(fd, text, len) == (ssize_t)len;
    int error = errno;

    if (fd >= 0)
        close(fd);
    errno = error;
    return luaL_fileresult(L, ok, path);
}

/* Set list[name] = "is it a method?" for the names in the table on top, and pop
 * that. */
static void add_names(lua_State *L, int list)
{
    lua_pushnil(L); /* for name, value in pairs(t) */
    while (lua_istable(L, -2) && lua_next(L, -2)) {
        if (lua_type(L, -2) == LUA_TSTRING) {
            lua_pushvalue(L, -2);
            lua_pushboolean(L, lua_isfunction(L, -2));
            lua_rawset(L, list);
        }
        lua_pop(L, 1);
    }
}

/* names(object) --> type, { [name] = is it a method? }: what __index of one of
 * our objects looks names up in, a table among its upvalues. Other objects: nil. */
static int names(lua_State *L)
{
    static const char *const types[] = {HV_MACHINE, HV_VCPU, HV_MEMORY, NULL};
    const char *type;
    int i = 0;

    if (lua_type(L, 1) != LUA_TUSERDATA ||
        luaL_getmetafield(L, 1, "__name") != LUA_TSTRING)
        return 0;
    type = lua_tostring(L, -1);
    while (types[i] && strcmp(types[i], type) != 0)
        i++;
    if (!types[i])
        return 0;
    lua_settop(L, 1);
    lua_pushstring(L, types[i]);
    lua_newtable(L);
    luaL_getmetafield(L, 1, "__index");
    if (lua_getupvalue(L, 4, i == 2 ? 1 : 2))
        add_names(L, 3);
    lua_settop(L, 3);
    return 2;
}

/* registers(arch) --> { name, ... } */
static int registers(lua_State *L)
{
    int arch = vmm_arch_find(luaL_checkstring(L, 1));
    const struct vmm_reg_name *r;

    lua_newtable(L);
    for (size_t i = 0; arch >= 0; i++) {
        r = vmm_reg_name((enum vmm_arch)arch, i);
        if (!r)
            break;
        lua_pushstring(L, r->name);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

static const luaL_Reg functions[] = {{"evaluate", evaluate},
                                     {"append", append},
                                     {"names", names},
                                     {"registers", registers},
                                     {NULL, NULL}};

/* Each step is protected by itself: an error in one (out of memory, a Ctrl-C
 * that came late) leaves a prompt for the next. */
int prompt_run(lua_State *L)
{
    int top = lua_gettop(L), status;

    ctrlc_set(CTRLC_TOLD);
    lua_getglobal(L, "require");
    lua_pushliteral(L, "hv.prompt");
    status = lua_pcall(L, 1, 1, 0); /* local open = require "hv.prompt" */
    if (status != LUA_OK)
        return status;
    luaL_newlib(L, functions);
    editor_open(L);
    status = lua_pcall(L, 1, 2, 0); /* step, complete = open(functions) */
    if (status != LUA_OK)
        return status;
    editor_complete(L);
    do {
        lua_settop(L, top + 1);
        lua_pushvalue(L, -1);
        status = lua_pcall(L, 0, 1, 0); /* go on = step() */
        if (status != LUA_OK)
            lua_writestringerror("hvlua: %s\n", luaL_tolstring(L, -1, NULL));
    } while (status != LUA_OK || lua_toboolean(L, -1));
    lua_settop(L, top);
    ctrlc_set(CTRLC_ONCE);
    return LUA_OK;
}
