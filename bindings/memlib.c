/* SPDX-License-Identifier: MIT */
/* memlib.c - guest memory as Lua objects: map, typed access, views. Addresses
 * are guest physical everywhere, also in a memory object's methods. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <lualib.h>

#include "hvlib.h"

/* ---- mapping ------------------------------------------------------------- */

/* Push a memory object for a range of the machine (argument 1). */
static struct memory *push_object(lua_State *L, struct machine *m,
                                  const struct vmm_range *range)
{
    struct memory *mem = lua_newuserdatauv(L, sizeof *mem, 1);

    *mem = (struct memory){.machine = m, .at = range->at, .size = range->size};
    luaL_setmetatable(L, HV_MEMORY);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1);
    return mem;
}

static void optional(lua_State *L, const char *name, const char *what,
                     uint64_t *value)
{
    if (obj_field(L, 2, name) != LUA_TNIL)
        *value = obj_address(L, -1, what);
    lua_pop(L, 1);
}

static void read_range(lua_State *L, struct vmm_range *r)
{
    static const char *const names[] = {"at",     "size",   "prot", "file",
                                        "offset", "shared", "host", NULL};

    obj_fields(L, 2, "map", names);
    obj_field(L, 2, "at");
    r->at = obj_address(L, -1, "map: at");
    obj_field(L, 2, "size");
    r->size = obj_size(L, -1, "map: size");
    obj_field(L, 2, "prot");
    r->prot = obj_prot(L, -1, "map: prot", "rwx", VMM_R | VMM_W | VMM_X);
    if (obj_field(L, 2, "file") != LUA_TNIL)
        r->file = obj_string(L, -1, "map: file", "a path");
    if (obj_field(L, 2, "host") != LUA_TNIL) {
        if (!lua_islightuserdata(L, -1))
            luaL_error(L,
                       "map: host: a light userdata expected, got %s: only a "
                       "C host has memory to share",
                       luaL_typename(L, -1));
        r->host = lua_touserdata(L, -1);
    }
    optional(L, "offset", "map: offset", &r->offset);
    obj_field(L, 2, "shared");
    r->shared = obj_boolean(L, -1, "map: shared", false);
    if (r->offset && !r->file)
        luaL_error(L, "map: offset: only with file");
}

/* vm:map { at=, size=, prot=, file=, offset=, shared=, host= } --> memory. The machine
 * gets to know the object, so that unmapping finds it, before memory is mapped:
 * after that nothing can fail any more. */
static int mem_map(lua_State *L)
{
    struct machine *m = vm_self(L);
    struct vmm_range range = {0};
    struct memory *mem;

    obj_method(L, 1, "map");
    read_range(L, &range);
    lua_getiuservalue(L, 1, UV_MEMORY);
    lua_rawgeti(L, -1, (lua_Integer)range.at); /* old = memory[at] */
    mem = push_object(L, m, &range);
    lua_pushvalue(L, -1);
    lua_rawseti(L, -4, (lua_Integer)range.at); /* memory[at] = object */
    vm_usable(L, m); /* still: a finalizer may have run */
    if (vmm_map(m->vm, &range) < 0) {
        lua_pushvalue(L, -2);
        lua_rawseti(L, -4, (lua_Integer)range.at); /* memory[at] = old */
        return obj_fail(L);
    }
    mem->mapped = true;
    return 1;
}

static struct memory *mem_self(lua_State *L)
{
    struct memory *mem = obj_self(L, "memory");

    vm_usable(L, mem->machine);
    if (!mem->mapped)
        luaL_error(L, "the memory is unmapped");
    return mem;
}

static void unmap(lua_State *L, struct machine *m, int machine, uint64_t at)
{
    if (vmm_unmap(m->vm, at) < 0)
        obj_fail(L);
    lua_getiuservalue(L, machine, UV_MEMORY);
    if (lua_rawgeti(L, -1, (lua_Integer)at) == LUA_TUSERDATA)
        ((struct memory *)lua_touserdata(L, -1))->mapped = false;
    lua_pushnil(L);
    lua_rawseti(L, -3, (lua_Integer)at); /* memory[at] = nil */
    lua_pop(L, 2);
}

/* vm:unmap(at | memory) */
static int mem_unmap(lua_State *L)
{
    struct machine *m = vm_self(L);
    struct memory *mem = luaL_testudata(L, 2, HV_MEMORY);

    obj_method(L, 1, "unmap");
    if (mem && mem->machine != m)
        return luaL_error(L, "unmap: that memory is another machine's");
    if (mem && !mem->mapped)
        return luaL_error(L, "unmap: the memory is unmapped already");
    unmap(L, m, 1, mem ? mem->at : obj_address(L, 2, "unmap: at"));
    return 0;
}

static int object_unmap(lua_State *L)
{
    struct memory *mem = mem_self(L);

    obj_method(L, 0, "unmap");
    lua_getiuservalue(L, 1, 1);
    unmap(L, mem->machine, lua_gettop(L), mem->at);
    return 0;
}

static int object_protect(lua_State *L)
{
    struct memory *mem = mem_self(L);
    unsigned prot = obj_prot(L, 2, "protect: prot", "rwx", 0);

    obj_method(L, 1, "protect");
    if (vmm_protect(mem->machine->vm, mem->at, prot) < 0)
        return obj_fail(L);
    return 0;
}

/* vm:protect(at, "r-x") */
static int mem_protect(lua_State *L)
{
    struct machine *m = vm_self(L);
    uint64_t at = obj_address(L, 2, "protect: at");
    unsigned prot = obj_prot(L, 3, "protect: prot", "rwx", 0);

    obj_method(L, 2, "protect");
    if (vmm_protect(m->vm, at, prot) < 0)
        return obj_fail(L);
    return 0;
}

/* ---- bytes --------------------------------------------------------------- */

enum { MOST = 1 << 30 }; /* a string of more is a mistake, not a wish */

static size_t count(lua_State *L, int idx, const char *what)
{
    uint64_t n = obj_size(L, idx, what);

    if (n > MOST)
        luaL_error(L, "%s: %I bytes: at most 1 GiB at a time", what,
                   (LUAI_UACINT)n);
    return n;
}

/* A string is made of the bytes where they are; where they are in several
 * ranges, of a copy. That they are there is known before room for them is made: a
 * guest's length must not allocate. */
static void push_bytes(lua_State *L, struct machine *m, uint64_t at, size_t n,
                       const char *what)
{
    const char *bytes;
    luaL_Buffer b;
    char *to;

    vm_usable(L, m); /* still: code of the script's may have run */
    bytes = vmm_bytes(m->vm, at, n);
    if (bytes) {
        lua_pushlstring(L, bytes, n);
        return;
    }
    if (vmm_mapped(m->vm, at, n, what) < 0)
        obj_fail(L);
    to = luaL_buffinitsize(L, &b, n);
    vm_usable(L, m); /* still: a finalizer may have run */
    if (vmm_read(m->vm, at, to, n) < 0)
        obj_fail(L);
    luaL_pushresultsize(&b, n);
}

/* vm:read(at, n) --> string */
static int mem_read(lua_State *L)
{
    struct machine *m = vm_self(L);
    uint64_t at = obj_address(L, 2, "read: at");
    size_t n = count(L, 3, "read: size");

    obj_method(L, 2, "read");
    push_bytes(L, m, at, n, "read");
    return 1;
}

/* vm:write(at, string) */
static int mem_write(lua_State *L)
{
    struct machine *m = vm_self(L);
    uint64_t at = obj_address(L, 2, "write: at");
    const char *bytes;
    size_t n;

    obj_method(L, 2, "write");
    if (lua_type(L, 3) != LUA_TSTRING)
        return luaL_error(L, "write: a string of bytes expected, got %s",
                          luaL_typename(L, 3));
    bytes = lua_tolstring(L, 3, &n);
    if (vmm_write(m->vm, at, bytes, n) < 0)
        return obj_fail(L);
    return 0;
}

/* room(vm, at, n) --> at as an integer: what vm:load(), which is written in Lua,
 * asks before it writes anything. */
int hv_room(lua_State *L)
{
    struct machine *m = luaL_testudata(L, 1, HV_MACHINE);
    uint64_t at, n;

    if (!m)
        return luaL_error(L,
                          "machine expected as the first argument, got %s: "
                          "write a:b(), not a.b()",
                          luaL_typename(L, 1));
    vm_usable(L, m);
    at = obj_address(L, 2, "load: at");
    n = obj_size(L, 3, "load: size");
    if (vmm_mapped(m->vm, at, n, "load") < 0)
        return obj_fail(L);
    lua_pushinteger(L, (lua_Integer)at);
    return 1;
}

/* vm:fill(at, n [, byte]) */
static int mem_fill(lua_State *L)
{
    struct machine *m = vm_self(L);
    uint64_t at = obj_address(L, 2, "fill: at");
    uint64_t n = obj_size(L, 3, "fill: size");
    uint64_t byte = lua_isnoneornil(L, 4) ? 0 : obj_integer(L, 4, "fill: byte");

    obj_method(L, 3, "fill");
    if (byte > 0xff)
        return luaL_error(L, "fill: byte: %I is not 0 to 255",
                          (LUAI_UACINT)byte);
    if (vmm_fill(m->vm, at, n, (uint8_t)byte) < 0)
        return obj_fail(L);
    return 0;
}

/* vm:find(bytes, at, n) --> address or nil */
static int mem_find(lua_State *L)
{
    struct machine *m = vm_self(L);
    uint64_t at = obj_address(L, 3, "find: at"), found;
    uint64_t n = obj_size(L, 4, "find: size");
    int rc;

    obj_method(L, 3, "find");
    if (lua_type(L, 2) != LUA_TSTRING)
        return luaL_error(L, "find: a string of bytes expected, got %s",
                          luaL_typename(L, 2));
    rc = vmm_find(m->vm, at, n, lua_tostring(L, 2), lua_rawlen(L, 2), &found);
    if (rc < 0)
        return obj_fail(L);
    if (rc)
        lua_pushinteger(L, (lua_Integer)found);
    else
        lua_pushnil(L);
    return 1;
}

/* vm:cstring(at [, max]) --> the bytes before the first NUL */
static int mem_cstring(lua_State *L)
{
    struct machine *m = vm_self(L);
    uint64_t at = obj_address(L, 2, "cstring: at");
    size_t max = lua_isnoneornil(L, 3) ? 65536 : count(L, 3, "cstring: max");
    size_t len;

    obj_method(L, 2, "cstring");
    if (vmm_strlen(m->vm, at, max, &len) < 0)
        return obj_fail(L);
    push_bytes(L, m, at, len, "cstring");
    return 1;
}

/* ---- pack ---------------------------------------------------------------- */

/* string[name], whatever the script has done to its globals. */
static void push_string_function(lua_State *L, const char *name)
{
    lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_getfield(L, -1, LUA_STRLIBNAME);
    lua_getfield(L, -1, name);
    lua_replace(L, -3);
    lua_pop(L, 1);
}

/* Call it with the `nargs` arguments above it. What it raises, "bad argument #2
 * to '?' (number expected, got nil)", speaks of arguments that the script has not
 * given and of no line: only the reason in it counts. */
static void call_string_function(lua_State *L, int nargs, int nresults,
                                 const char *what)
{
    const char *why, *reason;
    int argument = 1;

    if (lua_pcall(L, nargs, nresults, 0) == LUA_OK)
        return;
    why = lua_tostring(L, -1);
    reason = strchr(why, '(');
    if (reason && sscanf(why, "bad argument #%d", &argument) == 1)
        why = lua_pushlstring(L, reason + 1, strlen(reason + 1) - 1);
    if (argument == 1 || strcmp(what, "unpack") == 0)
        luaL_error(L, "%s: format \"%s\": %s", what, lua_tostring(L, 2), why);
    luaL_error(L, "%s: value %d: %s", what, argument - 1, why);
}

static void check_format(lua_State *L, const char *what)
{
    if (lua_type(L, 2) != LUA_TSTRING)
        luaL_error(L, "%s: a format for string.%s expected, got %s", what, what,
                   luaL_typename(L, 2));
}

/* vm:pack(format, at, ...) --> the address behind */
static int mem_pack(lua_State *L)
{
    struct machine *m = vm_self(L);
    uint64_t at = obj_address(L, 3, "pack: at");

    check_format(L, "pack");
    push_string_function(L, "pack");
    lua_replace(L, 3);
    lua_pushvalue(L, 2);
    lua_insert(L, 4); /* vm, format, pack, format, ... */
    call_string_function(L, lua_gettop(L) - 3, 1, "pack");
    if (vmm_write(m->vm, at, lua_tostring(L, -1), lua_rawlen(L, -1)) < 0)
        return obj_fail(L);
    lua_pushinteger(L, (lua_Integer)(at + lua_rawlen(L, -1)));
    return 1;
}

/* How many bytes a format reads: packsize where that is fixed, else (strings)
 * what is there, up to 64 KiB. */
static size_t packed_size(lua_State *L, struct machine *m, uint64_t at)
{
    size_t n = 65536;

    push_string_function(L, "packsize");
    lua_pushvalue(L, 2);
    if (lua_pcall(L, 1, 1, 0) == LUA_OK)
        n = (size_t)lua_tointeger(L, -1);
    else if (m->vm)
        n = vmm_within(m->vm, at, n);
    n = n ? n : 1; /* none is there: reading it says so */
    lua_pop(L, 1);
    return n;
}

/* vm:unpack(format, at) --> values..., the address behind */
static int mem_unpack(lua_State *L)
{
    struct machine *m = vm_self(L);
    uint64_t at = obj_address(L, 3, "unpack: at");
    size_t n;

    check_format(L, "unpack");
    obj_method(L, 2, "unpack");
    n = packed_size(L, m, at);
    push_string_function(L, "unpack");
    lua_pushvalue(L, 2);
    push_bytes(L, m, at, n, "unpack");
    call_string_function(L, 2, LUA_MULTRET, "unpack"); /* (format, bytes) */
    lua_pushinteger(L, (lua_Integer)at + lua_tointeger(L, -1) - 1);
    lua_replace(L, -2);
    return lua_gettop(L) - 3;
}

/* ---- objects ------------------------------------------------------------- */

static int object_tostring(lua_State *L)
{
    struct memory *mem = obj_self(L, "memory");
    char text[64];

    if (!mem->mapped || !mem->machine->vm) {
        lua_pushliteral(L, "memory (unmapped)");
        return 1;
    }
    snprintf(text, sizeof text, "memory (0x%" PRIx64 " bytes at 0x%" PRIx64 ")",
             mem->size, mem->at);
    lua_pushstring(L, text);
    return 1;
}

static int object_index(lua_State *L)
{
    struct memory *mem = obj_self(L, "memory");
    const char *name =
        lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : NULL;

    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL)
        return 1; /* a method */
    if (name && strcmp(name, "at") == 0)
        lua_pushinteger(L, (lua_Integer)mem->at);
    else if (name && strcmp(name, "size") == 0)
        lua_pushinteger(L, (lua_Integer)mem->size);
    else if (name && strcmp(name, "prot") == 0) {
        struct vmm_range range;
        size_t i = 0;

        mem = mem_self(L);
        while (vmm_range_at(mem->machine->vm, i, &range) && range.at != mem->at)
            i++;
        obj_push_prot(L, range.prot);
    } else
        return luaL_error(L,
                          "memory has no \"%s\": it has at, size, prot, "
                          "protect, unmap",
                          luaL_tolstring(L, 2, NULL));
    return 1;
}

static int object_newindex(lua_State *L)
{
    return luaL_error(L, "memory: cannot set \"%s\": protect() changes prot",
                      luaL_tolstring(L, 2, NULL));
}

static const luaL_Reg objects[] = {
    {"__tostring", object_tostring}, {"__index", object_index},
    {"__newindex", object_newindex}, {"protect", object_protect},
    {"unmap", object_unmap},         {NULL, NULL}};

const luaL_Reg mem_methods[] = {
    {"map", mem_map},         {"unmap", mem_unmap},
    {"protect", mem_protect}, {"read", mem_read},
    {"write", mem_write},     {"fill", mem_fill},
    {"find", mem_find},       {"cstring", mem_cstring},
    {"pack", mem_pack},       {"unpack", mem_unpack},
    {"u8", mem_u8},           {"u16", mem_u16},
    {"u32", mem_u32},         {"u64", mem_u64},
    {"view", mem_view},       {NULL, NULL}};

void mem_open(lua_State *L)
{
    obj_type(L, HV_MEMORY, objects, 0);
    lua_pop(L, 1);
}
