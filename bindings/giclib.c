/* SPDX-License-Identifier: MIT */
/* giclib.c - the interrupt controller of a machine as a Lua object: its
 * registers as properties, and what is done with it. */
#include <string.h>

#include "hvlib.h"

struct gic {
    struct machine *machine;
};

static struct gic *gic_self(lua_State *L)
{
    struct gic *g = obj_self(L, "gic");

    vm_usable(L, g->machine);
    return g;
}

static uint32_t interrupt(lua_State *L, int idx, const char *what)
{
    uint64_t intid = obj_integer(L, idx, what);

    if (intid > 1019)
        luaL_error(L, "%s: %I: interrupts are numbered up to 1019", what,
                   (LUAI_UACINT)intid);
    return (uint32_t)intid;
}

/* gic:spi(intid, level) */
static int gic_spi(lua_State *L)
{
    struct gic *g = gic_self(L);
    uint32_t intid = interrupt(L, 2, "spi: intid");

    obj_method(L, 2, "spi");
    if (lua_isnoneornil(L, 3))
        return luaL_error(L, "spi: level: a boolean expected, got nothing");
    return vmm_gic_spi(g->machine->vm, intid,
                       obj_boolean(L, 3, "spi: level", false)) < 0
               ? obj_fail(L)
               : 0;
}

/* gic:msi(intid [, at]) */
static int gic_msi(lua_State *L)
{
    struct gic *g = gic_self(L);
    uint32_t intid = interrupt(L, 2, "msi: intid");
    uint64_t at = 0;

    obj_method(L, 2, "msi");
    if (!lua_isnoneornil(L, 3))
        at = obj_address(L, 3, "msi: at");
    return vmm_gic_msi(g->machine->vm, at, intid) < 0 ? obj_fail(L) : 0;
}

static int gic_reset(lua_State *L)
{
    struct gic *g = gic_self(L);

    obj_method(L, 0, "reset");
    return vmm_gic_reset(g->machine->vm) < 0 ? obj_fail(L) : 0;
}

/* gic:save() --> a string */
static int gic_save(lua_State *L)
{
    struct gic *g = gic_self(L);
    luaL_Buffer b;
    size_t size;

    obj_method(L, 0, "save");
    if (vmm_gic_save(g->machine->vm, NULL, &size) < 0)
        return obj_fail(L);
    luaL_buffinitsize(L, &b, size);
    vm_usable(L, g->machine); /* still: a finalizer may have run */
    if (vmm_gic_save(g->machine->vm, luaL_buffaddr(&b), &size) < 0)
        return obj_fail(L);
    luaL_pushresultsize(&b, size);
    return 1;
}

/* gic:restore(state) */
static int gic_restore(lua_State *L)
{
    struct gic *g = gic_self(L);

    obj_method(L, 1, "restore");
    if (lua_type(L, 2) != LUA_TSTRING)
        return luaL_error(L, "restore: what gic:save() gave expected, got %s",
                          luaL_typename(L, 2));
    return vmm_gic_restore(g->machine->vm, lua_tostring(L, 2),
                           lua_rawlen(L, 2)) < 0
               ? obj_fail(L)
               : 0;
}

/* ---- registers ----------------------------------------------------------- */

/* Its places: { distributor = { at=, size= }, ... } */
static void push_ranges(lua_State *L, const struct machine *m)
{
    struct vmm_gic_range range;

    lua_newtable(L);
    for (size_t i = 0; vmm_gic_range_at(m->vm, i, &range); i++) {
        lua_createtable(L, 0, 2);
        lua_pushinteger(L, (lua_Integer)range.at);
        lua_setfield(L, -2, "at");
        lua_pushinteger(L, (lua_Integer)range.size);
        lua_setfield(L, -2, "size");
        lua_setfield(L, -2, range.name);
    }
}

static vmm_reg named(lua_State *L)
{
    vmm_reg reg;

    if (vmm_gic_reg_find(obj_string(L, 2, "gic", "a register's name"), &reg) <
        0)
        obj_fail(L);
    return reg;
}

/* Upvalue 1, the metatable, has the methods. */
static int gic_index(lua_State *L)
{
    struct gic *g = gic_self(L);
    uint64_t value;

    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL)
        return 1;
    if (lua_type(L, 2) == LUA_TSTRING &&
        strcmp(lua_tostring(L, 2), "ranges") == 0) {
        push_ranges(L, g->machine);
        return 1;
    }
    if (vmm_gic_get(g->machine->vm, named(L), &value) < 0)
        return obj_fail(L);
    lua_pushinteger(L, (lua_Integer)value);
    return 1;
}

static int gic_newindex(lua_State *L)
{
    struct gic *g = gic_self(L);
    vmm_reg reg = named(L);
    uint64_t value = obj_integer(L, 3, lua_tostring(L, 2));

    vm_usable(L, g->machine); /* still: a finalizer may have run */
    return vmm_gic_set(g->machine->vm, reg, value) < 0 ? obj_fail(L) : 0;
}

static int gic_tostring(lua_State *L)
{
    struct gic *g = obj_self(L, "gic");

    lua_pushstring(L, g->machine->vm ? "gic" : "gic (closed)");
    return 1;
}

static const luaL_Reg methods[] = {{"__index", gic_index},
                                   {"__newindex", gic_newindex},
                                   {"__tostring", gic_tostring},
                                   {"spi", gic_spi},
                                   {"msi", gic_msi},
                                   {"reset", gic_reset},
                                   {"save", gic_save},
                                   {"restore", gic_restore},
                                   {NULL, NULL}};

void gic_open(lua_State *L)
{
    obj_type(L, HV_GIC, methods, 0);
    lua_pop(L, 1);
}

/* ---- vm:gic -------------------------------------------------------------- */

/* msi = { at=, first=, count= }, on top of the stack. */
static void read_msi(lua_State *L, struct vmm_gic_config *config)
{
    static const char *const names[] = {"at", "first", "count", NULL};
    int msi = lua_gettop(L);
    uint64_t count;

    obj_fields(L, msi, "gic: msi", names);
    obj_field(L, msi, "at");
    config->msi = obj_address(L, -1, "gic: msi: at");
    obj_field(L, msi, "first");
    config->msi_first = interrupt(L, -1, "gic: msi: first");
    obj_field(L, msi, "count");
    count = obj_integer(L, -1, "gic: msi: count");
    if (count == 0 || count > 1019)
        luaL_error(L, "gic: msi: count: %I: 1 to 988 of the SPIs",
                   (LUAI_UACINT)count);
    config->msi_count = (uint32_t)count;
    lua_settop(L, msi);
}

static void read_config(lua_State *L, struct vmm_gic_config *config)
{
    static const char *const names[] = {"distributor", "redistributor", "msi",
                                        NULL};

    obj_fields(L, 2, "gic", names);
    obj_field(L, 2, "distributor");
    config->distributor = obj_address(L, -1, "gic: distributor");
    obj_field(L, 2, "redistributor");
    config->redistributor = obj_address(L, -1, "gic: redistributor");
    if (obj_field(L, 2, "msi") != LUA_TNIL)
        read_msi(L, config);
    lua_settop(L, 2);
}

/* vm:gic { distributor=, redistributor=, msi= } --> gic; vm:gic() --> gic or nil */
int vm_gic(lua_State *L)
{
    struct machine *m = vm_self(L);
    struct vmm_gic_config config = {0};
    struct gic *g;

    obj_method(L, 1, "gic");
    if (lua_isnoneornil(L, 2)) {
        lua_getiuservalue(L, 1, UV_GIC);
        return 1;
    }
    read_config(L, &config);
    g = lua_newuserdatauv(L, sizeof *g, 1);
    g->machine = m;
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1);
    luaL_setmetatable(L, HV_GIC);
    vm_usable(L, m); /* still: a finalizer may have run */
    if (vmm_gic_open(m->vm, &config) < 0)
        return obj_fail(L);
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, 1, UV_GIC);
    return 1;
}
