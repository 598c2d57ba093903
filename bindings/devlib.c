/* SPDX-License-Identifier: MIT */
/* devlib.c - devices: ranges of guest physical addresses or x86 ports whose
 * accesses a script's read and write functions answer. */
#include <stdlib.h>
#include <string.h>

#include "stats.h"

/* ---- finding ------------------------------------------------------------- */

/* Devices are sorted: MMIO by address, then ports. How many start at or below? */
static size_t below(const struct machine *m, bool port, uint64_t at)
{
    size_t low = 0, high = m->devices;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct device *d = &m->device[middle];

        if (d->port < port || (d->port == port && d->at <= at))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The device that holds `at`, or the nearest before it of the same sort. */
static const struct device *before(const struct machine *m, bool port,
                                   uint64_t at)
{
    size_t i = below(m, port, at);

    return i && m->device[i - 1].port == port ? &m->device[i - 1] : NULL;
}

const struct device *dev_find(const struct machine *m,
                              const struct vmm_exit *exit)
{
    bool port = exit->kind == VMM_IO;
    uint64_t at = port ? exit->port : exit->addr;
    const struct device *d = before(m, port, at);

    return d && at - d->at < d->size ? d : NULL;
}

/* ---- calling ------------------------------------------------------------- */

static uint64_t offset_in(const struct device *dev, const struct vmm_exit *exit)
{
    return (dev->port ? exit->port : exit->addr) - dev->at;
}

int dev_push(lua_State *co, const struct device *dev,
             const struct vmm_exit *exit)
{
    int function = exit->write ? dev->write : dev->read;

    if (function == LUA_NOREF)
        return -1; /* writes are dropped, reads stay all ones */
    lua_rawgeti(co, CO_DEVICES, function);
    lua_pushinteger(co, (lua_Integer)offset_in(dev, exit));
    if (exit->write)
        lua_pushinteger(co, (lua_Integer)exit->value);
    lua_pushinteger(co, exit->size);
    lua_pushvalue(co, CO_CPU);
    return exit->write ? 4 : 3;
}

/* Devices are registers and registers hold integers: anything else is the
 * script's mistake and must not become a silent 0. */
int dev_refuse(lua_State *co)
{
    const struct vcpu *v = lua_touserdata(co, ARG_VCPU);
    const struct device *dev = lua_touserdata(co, ARG_WHAT);
    const char *name = "without name", *got = obj_name(co, ARG_ANSWER);

    if (lua_rawgeti(co, ARG_DEVICES, dev->name) == LUA_TSTRING)
        name = lua_tostring(co, -1);
    lua_rawgeti(co, ARG_DEVICES, dev->read);
    obj_where(co, -1);
    return luaL_error(co,
                      "%sdevice \"%s\": read at offset %I: an integer "
                      "expected, got %s",
                      lua_tostring(co, -1), name,
                      (LUAI_UACINT)offset_in(dev, v->exit), got);
}

/* ---- attaching ----------------------------------------------------------- */

/* Push the field `name`: a function or nil. */
static bool function_field(lua_State *L, const char *name)
{
    obj_field(L, 2, name);
    if (!lua_isnil(L, -1) && !lua_isfunction(L, -1))
        luaL_error(L, "attach: %s: a function expected, got %s", name,
                   luaL_typename(L, -1));
    return !lua_isnil(L, -1);
}

/* What is on top as a reference; LUA_NOREF for nil. */
static int reference(lua_State *L, int devices)
{
    if (!lua_isnil(L, -1))
        return luaL_ref(L, devices);
    lua_pop(L, 1);
    return LUA_NOREF;
}

/* A device is either in memory or on ports. */
static void exclude(lua_State *L, const char *name, const char *other)
{
    if (obj_field(L, 2, name) != LUA_TNIL)
        luaL_error(
            L,
            "attach: %s: not with %s: memory has at and size, ports have "
            "port and count",
            name, other);
    lua_pop(L, 1);
}

static void read_place(lua_State *L, const struct machine *m, struct device *d)
{
    d->port = obj_field(L, 2, "port") != LUA_TNIL;
    if (d->port) {
        if (vmm_arch(m->vm) != VMM_X86_64)
            luaL_error(L, "attach: port: only x86_64 has ports: use at");
        exclude(L, "at", "port");
        exclude(L, "size", "port");
        d->at = obj_address(L, -1, "attach: port");
        d->size = 1;
        if (obj_field(L, 2, "count") != LUA_TNIL)
            d->size = obj_size(L, -1, "attach: count");
        if (d->at > 0xffff || d->size == 0 || d->size > 0x10000 - d->at)
            luaL_error(L, "attach: ports are 0 to 0xffff");
        return;
    }
    exclude(L, "count", "at");
    obj_field(L, 2, "at");
    d->at = obj_address(L, -1, "attach: at");
    obj_field(L, 2, "size");
    d->size = obj_size(L, -1, "attach: size");
    if (d->size == 0 || d->at + (d->size - 1) < d->at)
        luaL_error(L, "attach: size: must be positive and end inside the "
                      "address space");
}

/* A device that memory or another device hides would never be called. */
static void check_free(lua_State *L, const struct machine *m,
                       const struct device *d)
{
    uint64_t last = d->at + (d->size - 1);
    const struct device *other = before(m, d->port, last);
    struct vmm_range r;
    uint16_t port = vmm_hypercall_port(m->vm);

    if (other && other->at + (other->size - 1) >= d->at)
        luaL_error(L, "attach: overlaps the device at %I",
                   (LUAI_UACINT)other->at);
    if (d->port && port >= d->at && port <= last)
        luaL_error(L,
                   "attach: port %d is the hypercall port: hv.vm { "
                   "hypercall_port = ... } moves it",
                   (int)port);
    for (size_t i = 0; !d->port && vmm_range_at(m->vm, i, &r); i++)
        if (r.at <= last && r.at + (r.size - 1) >= d->at)
            luaL_error(L, "attach: overlaps the memory at %I: unmap that first",
                       (LUAI_UACINT)r.at);
}

static void make_room(lua_State *L, struct machine *m)
{
    struct device *list =
        realloc(m->device, (m->devices + 1) * sizeof *m->device);

    if (!list)
        luaL_error(L, "attach: out of memory");
    m->device = list;
}

static void insert(struct machine *m, const struct device *d)
{
    size_t i = below(m, d->port, d->at);
    struct device *list = m->device;

    memmove(&list[i + 1], &list[i], (m->devices - i) * sizeof *list);
    list[i] = *d;
    m->devices++;
    stats_forget(m);
}

/* vm:attach { at=, size= | port=, count=, read=, write=, name= } */
int vm_attach(lua_State *L)
{
    static const char *const names[] = {"at",   "size",  "port", "count",
                                        "read", "write", "name", NULL};
    struct machine *m = vm_self(L);
    struct device d;
    bool reads, writes;

    obj_method(L, 1, "attach");
    obj_fields(L, 2, "attach", names);
    read_place(L, m, &d);
    vm_usable(L, m); /* still: code of the script's may have run */
    check_free(L, m, &d);
    lua_settop(L, 2);
    lua_getiuservalue(L, 1, UV_DEVICES);
    if (obj_field(L, 2, "name") != LUA_TNIL)
        obj_string(L, -1, "attach: name", "a string");
    reads = function_field(L, "read");
    writes = function_field(L, "write");
    if (!reads && !writes)
        return luaL_error(L, "attach: needs a read or a write function");
    make_room(L, m);
    d.write = reference(L, 3);
    d.read = reference(L, 3);
    d.name = reference(L, 3);
    insert(m, &d);
    return 0;
}
