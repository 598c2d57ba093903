/* SPDX-License-Identifier: MIT */
/* intlib.c - integers in guest memory: one by one, and as views. */
#include <string.h>

#include "hvlib.h"

/* Integers by the logarithm of their size; in messages also their address and
 * their value. */
static const struct {
    const char *name, *at, *value;
} integers[] = {
    {"u8", "u8: at", "u8: value"},
    {"u16", "u16: at", "u16: value"},
    {"u32", "u32: at", "u32: value"},
    {"u64", "u64: at", "u64: value"},
};

static int load(lua_State *L, struct machine *m, int i)
{
    uint64_t at = obj_address(L, 2, integers[i].at), value;

    if (vmm_load(m->vm, at, 1u << i, &value) < 0)
        return obj_fail(L);
    lua_pushinteger(L, (lua_Integer)value);
    return 1;
}

static int store(lua_State *L, struct machine *m, int i)
{
    uint64_t at = obj_address(L, 2, integers[i].at);
    uint64_t value = obj_integer(L, 3, integers[i].value);
    unsigned size = 1u << i;

    if (size < 8) { /* signed or unsigned: both are in range */
        int64_t high = (int64_t)value >> (8 * size - 1);

        if (high != 0 && high != 1 && high != -1)
            return luaL_error(L, "%s: %I does not fit %d byte%s",
                              integers[i].name, (LUAI_UACINT)value, (int)size,
                              size == 1 ? "" : "s");
    }
    if (vmm_store(m->vm, at, size, value) < 0)
        return obj_fail(L);
    return 0;
}

static int load_store(lua_State *L, struct machine *m, int i)
{
    obj_method(L, 2, integers[i].name);
    return lua_isnoneornil(L, 3) ? load(L, m, i) : store(L, m, i);
}

/* vm:u8(at [, value]) ... vm:u64(at [, value]) */
int mem_u8(lua_State *L)
{
    return load_store(L, vm_self(L), 0);
}

int mem_u16(lua_State *L)
{
    return load_store(L, vm_self(L), 1);
}

int mem_u32(lua_State *L)
{
    return load_store(L, vm_self(L), 2);
}

int mem_u64(lua_State *L)
{
    return load_store(L, vm_self(L), 3);
}

/* ---- views --------------------------------------------------------------- */

/* view[at] reads, view[at] = value writes one integer: the fastest way from Lua
 * to guest memory. Each view has a metatable of its own, whose functions have it
 * as their upvalue: so they need not find out what their argument is. */
struct view {
    struct machine *machine;
    int integer; /* index in integers */
};

static struct view *view_self(lua_State *L)
{
    struct view *v = lua_touserdata(L, lua_upvalueindex(1));

    vm_usable(L, v->machine);
    return v;
}

static int view_index(lua_State *L)
{
    struct view *v = view_self(L);

    return load(L, v->machine, v->integer);
}

/* view[at] = nil must not read. */
static int view_newindex(lua_State *L)
{
    struct view *v = view_self(L);

    if (lua_isnil(L, 3))
        return luaL_error(L, "%s: a number expected, got nil",
                          integers[v->integer].value);
    return store(L, v->machine, v->integer);
}

static int view_tostring(lua_State *L)
{
    struct view *v = lua_touserdata(L, lua_upvalueindex(1));

    lua_pushfstring(L, "view (%s)", integers[v->integer].name);
    return 1;
}

static const luaL_Reg views[] = {{"__index", view_index},
                                 {"__newindex", view_newindex},
                                 {"__tostring", view_tostring},
                                 {NULL, NULL}};

/* vm:view("u8" | "u16" | "u32" | "u64") --> view */
int mem_view(lua_State *L)
{
    enum { INTEGERS = sizeof integers / sizeof integers[0] };
    struct machine *m = vm_self(L);
    const char *name = obj_string(L, 2, "view",
                                  "\"u8\", \"u16\", \"u32\" or "
                                  "\"u64\"");
    struct view *v;
    int i = 0;

    obj_method(L, 1, "view");
    while (i < INTEGERS && strcmp(integers[i].name, name) != 0)
        i++;
    if (i == INTEGERS)
        return luaL_error(L,
                          "view: \"%s\": use \"u8\", \"u16\", \"u32\" or "
                          "\"u64\"",
                          name);
    v = lua_newuserdatauv(L, sizeof *v, 1);
    *v = (struct view){m, i};
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1);
    luaL_newlibtable(L, views);
    lua_pushvalue(L, -2);
    luaL_setfuncs(L, views, 1);
    obj_hide(L, HV_VIEW);
    lua_setmetatable(L, -2);
    return 1;
}
