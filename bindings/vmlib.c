/* SPDX-License-Identifier: MIT */
/* vmlib.c - machines as Lua objects: hv.vm, hv.backends, close. */
#include <stdlib.h>
#include <string.h>

#include "stats.h"

void vm_unusable(lua_State *L, const struct machine *m)
{
    if (!m->vm)
        luaL_error(L, "the machine is closed");
    luaL_error(L, "the machine is the parent process's: a worker makes its "
                  "own");
}

struct machine *vm_self(lua_State *L)
{
    struct machine *m = obj_self(L, "machine");

    vm_usable(L, m);
    return m;
}

/* ---- backends ------------------------------------------------------------ */

int hv_backends(lua_State *L)
{
    int n = 0;
    const char *name;

    obj_function(L, 0, "hv.backends");
    lua_newtable(L);
    for (int i = 0; (name = vmm_backend_name(i)); i++)
        for (int arch = 0; arch < VMM_ARCHES; arch++) {
            const char *why = vmm_probe(name, (enum vmm_arch)arch);

            lua_createtable(L, 0, 5);
            lua_pushstring(L, name);
            lua_setfield(L, -2, "name");
            lua_pushstring(L, vmm_arch_name((enum vmm_arch)arch));
            lua_setfield(L, -2, "arch");
            lua_pushboolean(L, why == NULL);
            lua_setfield(L, -2, "ok");
            lua_pushstring(L, why); /* nil where it is ok */
            lua_setfield(L, -2, "why");
            if (!why) {
                lua_pushstring(L, vmm_about(name, (enum vmm_arch)arch));
                lua_setfield(L, -2, "about");
            }
            lua_rawseti(L, -2, ++n);
        }
    return 1;
}

static enum vmm_arch read_arch(lua_State *L, const char *name)
{
    int found = name ? vmm_arch_find(name) : VMM_ARM64;

    if (found < 0)
        obj_fail(L);
    return (enum vmm_arch)found;
}

/* Push the table of group name[0..n) in the one on top, instead of a mere true or
 * false. */
static void push_group(lua_State *L, const char *name, size_t n)
{
    lua_pushlstring(L, name, n);
    lua_pushvalue(L, -1);
    if (lua_rawget(L, -3) != LUA_TTABLE) {
        lua_pop(L, 1);
        lua_newtable(L);
        lua_pushvalue(L, -2);
        lua_pushvalue(L, -2);
        lua_rawset(L, -5); /* caps[group] = {} */
    }
    lua_remove(L, -2);
}

static void set_cap(lua_State *L, const struct vmm_cap *cap)
{
    const char *name = cap->name, *dot;
    int top = lua_gettop(L);

    while ((dot = strchr(name, '.'))) {
        push_group(L, name, (size_t)(dot - name));
        name = dot + 1;
    }
    if (!lua_stringtonumber(L, name)) /* "1" is for a list */
        lua_pushstring(L, name);
    if (cap->type == VMM_CAP_TEXT)
        lua_pushstring(L, cap->text);
    else if (cap->type == VMM_CAP_FLAG)
        lua_pushboolean(L, cap->number != 0);
    else
        lua_pushinteger(L, (lua_Integer)cap->number);
    lua_rawset(L, -3);
    lua_settop(L, top);
}

/* hv.caps([backend [, arch]]) --> what there is */
int hv_caps(lua_State *L)
{
    struct vmm_caps *caps;
    const char *backend, *arch, *name;
    enum vmm_arch a;

    obj_function(L, 2, "hv.caps");
    lua_settop(L, 2);
    for (int i = 1; i <= 2; i++)
        if (lua_isnil(L, i)) {
            lua_getfield(L, lua_upvalueindex(1), i == 1 ? "backend" : "arch");
            lua_replace(L, i);
        }
    backend = lua_isnil(L, 1)
                  ? NULL
                  : obj_string(L, 1, "hv.caps: backend", "a string");
    arch =
        lua_isnil(L, 2) ? NULL : obj_string(L, 2, "hv.caps: arch", "a string");
    a = read_arch(L, arch);
    caps = lua_newuserdatauv(L, sizeof *caps, 0);
    if (vmm_caps(backend, a, &name, caps) < 0)
        return obj_fail(L);
    lua_newtable(L);
    lua_pushstring(L, name);
    lua_setfield(L, -2, "backend");
    lua_pushstring(L, vmm_arch_name(a));
    lua_setfield(L, -2, "arch");
    for (unsigned i = 0; i < caps->count; i++)
        set_cap(L, &caps->cap[i]);
    return 1;
}

/* ---- open ---------------------------------------------------------------- */

/* t[name] as a string, or NULL; it stays in the table, so it stays alive. */
static const char *string_field(lua_State *L, int idx, const char *name,
                                const char *what)
{
    const char *s = NULL;

    if (obj_field(L, idx, name) != LUA_TNIL)
        s = obj_string(L, -1, what, "a string");
    lua_pop(L, 1);
    return s;
}

/* What a script leaves out comes from the program (hvlua --arch, --backend). */
static const char *option(lua_State *L, const char *name, const char *what)
{
    const char *s = string_field(L, 1, name, what);

    return s ? s : string_field(L, lua_upvalueindex(1), name, what);
}

/* What only some backends have a choice of: core knows which, and what values. */
static void read_choices(lua_State *L, struct vmm_config *config)
{
    if (obj_field(L, 1, "ipa_size") != LUA_TNIL) {
        uint64_t bits = obj_integer(L, -1, "hv.vm: ipa_size");

        if (bits == 0 || bits > 52)
            luaL_error(L,
                       "hv.vm: ipa_size: %I: it is a number of bits, such "
                       "as 36 or 40",
                       (LUAI_UACINT)bits);
        config->ipa_size = (uint32_t)bits;
    }
    if (obj_field(L, 1, "ipa_granule") != LUA_TNIL) {
        uint64_t size = obj_size(L, -1, "hv.vm: ipa_granule");

        if (size != 0x1000 && size != 0x4000)
            luaL_error(L, "hv.vm: ipa_granule: %I: it is \"4K\" or \"16K\"",
                       (LUAI_UACINT)size);
        config->ipa_granule = (uint32_t)size;
    }
    obj_field(L, 1, "el2");
    config->el2 = obj_boolean(L, -1, "hv.vm: el2", false);
    lua_pop(L, 3);
}

static uint16_t read_port(lua_State *L, enum vmm_arch arch)
{
    uint64_t port = obj_integer(L, -1, "hv.vm: hypercall_port");

    if (port == 0 || port > 0xffff)
        luaL_error(L, "hv.vm: hypercall_port: %I: ports are 1 to 0xffff",
                   (LUAI_UACINT)port);
    if (arch != VMM_X86_64)
        luaL_error(L, "hv.vm: hypercall_port: only x86_64 has ports: arm64 "
                      "guests use hvc");
    return (uint16_t)port;
}

/* Everything is looked at before anything is made. */
static void read_config(lua_State *L, struct vmm_config *config,
                        uint64_t *memory)
{
    static const char *const names[] = {
        "arch",     "backend",     "memory", "hypercall_port",
        "ipa_size", "ipa_granule", "el2",    NULL};

    if (lua_isnoneornil(L, 1)) {
        lua_settop(L, 0);
        lua_newtable(L);
    }
    obj_fields(L, 1, "hv.vm", names);
    config->arch = read_arch(L, option(L, "arch", "hv.vm: arch"));
    config->backend = option(L, "backend", "hv.vm: backend");
    read_choices(L, config);
    if (obj_field(L, 1, "hypercall_port") != LUA_TNIL)
        config->hypercall_port = read_port(L, config->arch);
    if (obj_field(L, 1, "memory") != LUA_TNIL) {
        *memory = obj_size(L, -1, "hv.vm: memory");
        if (*memory == 0)
            luaL_error(L, "hv.vm: memory: size is 0: leave it out, or say "
                          "\"1M\"");
    }
    lua_pop(L, 2);
}

static void close_machine(struct machine *m);

/* memory = "1M" is vm:map { at = 0, size = "1M", prot = "rwx" }. Without it the
 * machine that was asked for does not exist: nobody waits for the collector. */
static void map_memory(lua_State *L, struct machine *m, uint64_t size)
{
    struct vmm_range range = {.size = size, .prot = VMM_R | VMM_W | VMM_X};

    if (size && vmm_map(m->vm, &range) < 0) {
        char why[512];

        memcpy(why, vmm_why(), sizeof why); /* closing may have its own */
        close_machine(m);
        luaL_error(L, "hv.vm: memory: %s", why);
    }
}

/* Machines that nobody has any more still hold files and memory, of which Lua knows
 * nothing: where the host has none left, it is worth a collection. */
static int open_machine(lua_State *L, const struct vmm_config *config,
                        struct vmm **vm)
{
    int rc = vmm_open(config, vm);

    if (rc != VMM_EHOST && rc != VMM_ENOMEM)
        return rc;
    lua_gc(L, LUA_GCCOLLECT);
    return vmm_open(config, vm);
}

int hv_vm(lua_State *L)
{
    struct vmm_config config = {0};
    struct runs *runs = runs_open(L); /* before m: it is finalized after it */
    struct machine *m;
    uint64_t memory = 0;

    obj_function(L, 1, "hv.vm");
    read_config(L, &config, &memory);
    runs_open(L); /* first, so that it outlives the machine in lua_close() */
    m = lua_newuserdatauv(L, sizeof *m, UV_MACHINE);
    memset(m, 0, sizeof *m);
    luaL_setmetatable(L, HV_MACHINE);
    for (int i = UV_HYPERCALLS; i < UV_STOP; i++) {
        lua_newtable(L);
        lua_setiuservalue(L, -2, i);
    }
    m->runs = runs;
    m->now = runs_generation(m->runs);
    m->generation = *m->now;
    if (open_machine(L, &config, &m->vm) < 0)
        return obj_fail(L);
    stats_machine(L, m);
    map_memory(L, m, memory);
    return 1;
}

/* ---- close --------------------------------------------------------------- */

/* From a handler the machine itself goes when its run has ended; for Lua it is
 * closed at once. */
static void close_machine(struct machine *m)
{
    struct vmm *vm = m->vm;

    m->vm = NULL;
    runs_forget(m->runs, m);
    free(m->device);
    m->device = NULL;
    m->devices = 0;
    vmm_close(vm);
}

/* Also __gc, and __close, which is given an error as well. */
static int vm_drop(lua_State *L)
{
    struct machine *m = obj_self(L, "machine");

    if (m->vm)
        close_machine(m);
    return 0;
}

static int vm_close(lua_State *L)
{
    obj_method(L, 0, "close");
    return vm_drop(L);
}

/* ---- properties ---------------------------------------------------------- */

static int vm_tostring(lua_State *L)
{
    struct machine *m = obj_self(L, "machine");

    if (!m->vm)
        lua_pushliteral(L, "machine (closed)");
    else
        lua_pushfstring(L, "machine (%s on %s)", vmm_arch_name(vmm_arch(m->vm)),
                        vmm_backend(m->vm));
    return 1;
}

/* The list of memory ranges, made anew: { {at=, size=, prot=}, ... }. */
static void push_memory(lua_State *L, const struct machine *m)
{
    struct vmm_range range;

    lua_newtable(L);
    for (size_t i = 0; m->vm && vmm_range_at(m->vm, i, &range); i++) {
        lua_createtable(L, 0, 3);
        lua_pushinteger(L, (lua_Integer)range.at);
        lua_setfield(L, -2, "at");
        lua_pushinteger(L, (lua_Integer)range.size);
        lua_setfield(L, -2, "size");
        obj_push_prot(L, range.prot);
        lua_setfield(L, -2, "prot");
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

/* A copy, so that a script cannot take a vCPU away from its machine. */
static void push_cpus(lua_State *L)
{
    lua_getiuservalue(L, 1, UV_CPUS);
    lua_newtable(L);
    for (lua_Integer i = 1; lua_rawgeti(L, -2, i) != LUA_TNIL; i++)
        lua_rawseti(L, -2, i);
    lua_pop(L, 1);
}

static const char *const properties[] = {
    "arch",      "backend", "cpus",     "memory", "closed",
    "page_size", "running", "ipa_size", "el2",    NULL};

static void push_property(lua_State *L, struct machine *m, int i)
{
    uint32_t bits;
    bool on;

    if (i != 4)
        vm_usable(L, m);
    switch (i) {
    case 0:
        lua_pushstring(L, vmm_arch_name(vmm_arch(m->vm)));
        break;
    case 1:
        lua_pushstring(L, vmm_backend(m->vm));
        break;
    case 2:
        push_cpus(L);
        break;
    case 3:
        push_memory(L, m);
        break;
    case 4:
        lua_pushboolean(L, m->vm == NULL);
        break;
    case 5:
        lua_pushinteger(L, (lua_Integer)vmm_page_size(m->vm));
        break;
    case 6:
        lua_pushboolean(L, vmm_running(m->vm));
        break;
    case 7:
        if (vmm_ipa_size(m->vm, &bits) < 0)
            obj_fail(L);
        lua_pushinteger(L, bits);
        break;
    default:
        if (vmm_el2(m->vm, &on) < 0)
            obj_fail(L);
        lua_pushboolean(L, on);
        break;
    }
}

/* The property or method most like `name`, or NULL. */
static const char *nearest_member(lua_State *L, const char *name)
{
    const char *nearest = obj_nearest(name, properties);
    unsigned least = nearest ? vmm_distance(name, nearest) : 3;

    lua_pushnil(L); /* for key in pairs(methods) */
    while (lua_next(L, lua_upvalueindex(2))) {
        lua_pop(L, 1);
        if (lua_type(L, -1) == LUA_TSTRING &&
            vmm_distance(name, lua_tostring(L, -1)) < least) {
            nearest = lua_tostring(L, -1);
            least = vmm_distance(name, nearest);
        }
    }
    return nearest;
}

static int no_member(lua_State *L, const char *name)
{
    const char *nearest = nearest_member(L, name);

    if (nearest)
        return luaL_error(L, "a machine has no \"%s\": did you mean \"%s\"?",
                          name, nearest);
    return luaL_error(L, "a machine has no \"%s\"", name);
}

/* Methods are most of what is asked for: they come first, and look at their
 * first argument themselves. Upvalue 2 is their table, to which the Lua library
 * adds its own. */
static int vm_index(lua_State *L)
{
    struct machine *m;
    int i = 0;
    const char *name;

    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(2)) != LUA_TNIL)
        return 1;
    m = obj_self(L, "machine");
    if (lua_type(L, 2) == LUA_TSTRING) {
        name = lua_tostring(L, 2);
        while (properties[i] && strcmp(properties[i], name) != 0)
            i++;
        if (!properties[i] || strlen(name) != lua_rawlen(L, 2))
            return no_member(L, name);
        push_property(L, m, i);
        return 1;
    }
    return luaL_error(L, "a machine has no fields of type %s",
                      luaL_typename(L, 2));
}

static int vm_newindex(lua_State *L)
{
    return luaL_error(L,
                      "machine: cannot set \"%s\": machines have methods, "
                      "keep your own data in a table of your own",
                      luaL_tolstring(L, 2, NULL));
}

static const luaL_Reg meta[] = {
    {"__gc", vm_drop},           {"__close", vm_drop},
    {"__index", vm_index},       {"__newindex", vm_newindex},
    {"__tostring", vm_tostring}, {NULL, NULL}};

static const luaL_Reg methods[] = {
    {"close", vm_close}, {"vcpu", vm_vcpu},     {"hypercall", vm_hypercall},
    {"on", vm_on},       {"attach", vm_attach}, {"run", vm_run},
    {"stop", vm_stop},   {"gic", vm_gic},       {NULL, NULL}};

/* Leaves the table of methods on the stack. */
void vm_open(lua_State *L)
{
    int table = lua_gettop(L) + 1;

    lua_newtable(L);
    lua_pushvalue(L, table); /* __index has it as second upvalue */
    obj_type(L, HV_MACHINE, meta, 1);
    lua_pushvalue(L, table);
    lua_pushvalue(L, -2);
    luaL_setfuncs(L, methods, 1);
    lua_pushvalue(L, table + 1);
    luaL_setfuncs(L, mem_methods, 1);
    lua_settop(L, table);
}
