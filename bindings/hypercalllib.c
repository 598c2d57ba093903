/* SPDX-License-Identifier: MIT */
/* hypercalllib.c - hypercalls: from the guest's registers to a script's function, and
 * back. */
#include <string.h>

#include "stats.h"

static const vmm_reg arm64_in[] = {
    VMM_REG(VMM_GENERAL, 1), VMM_REG(VMM_GENERAL, 2), VMM_REG(VMM_GENERAL, 3),
    VMM_REG(VMM_GENERAL, 4), VMM_REG(VMM_GENERAL, 5), VMM_REG(VMM_GENERAL, 6),
    VMM_REG(VMM_GENERAL, 7)};
static const vmm_reg arm64_out[] = {
    VMM_REG(VMM_GENERAL, 0), VMM_REG(VMM_GENERAL, 1), VMM_REG(VMM_GENERAL, 2),
    VMM_REG(VMM_GENERAL, 3)};
static const vmm_reg x86_in[] = {
    VMM_REG(VMM_GENERAL, VMM_RDI), VMM_REG(VMM_GENERAL, VMM_RSI),
    VMM_REG(VMM_GENERAL, VMM_RDX), VMM_REG(VMM_GENERAL, VMM_RCX),
    VMM_REG(VMM_GENERAL, VMM_R8),  VMM_REG(VMM_GENERAL, VMM_R9)};
static const vmm_reg x86_out[] = {VMM_REG(VMM_GENERAL, VMM_RAX),
                                  VMM_REG(VMM_GENERAL, VMM_RDX)};

/* The hypercall ABI of an architecture. */
static const struct abi {
    const vmm_reg *in, *out;
    int ins, outs;
} abis[VMM_ARCHES] = {
    [VMM_ARM64] = {arm64_in, arm64_out, 7, 4},
    [VMM_X86_64] = {x86_in, x86_out, 6, 2},
};

/* Protected: why result number `i` is none, and of which of the handlers. */
static int bad_result(lua_State *co)
{
    struct vcpu *v = lua_touserdata(co, 1);
    int i = (int)lua_tointeger(co, 2);
    int outs = abis[vmm_arch(v->machine->vm)].outs;
    const char *where;

    lua_rawgeti(co, 4, (lua_Integer)v->exit->nr);
    obj_where(co, -1);
    where = lua_tostring(co, -1);
    if (i > outs)
        return luaL_error(co, "%shypercall %I: result %d: at most %d go back",
                          where, (LUAI_UACINT)v->exit->nr, i, outs);
    return luaL_error(co,
                      "%shypercall %I: result %d: an integer expected, got "
                      "%s",
                      where, (LUAI_UACINT)v->exit->nr, i, obj_name(co, 3));
}

/* There may be thousands of results before it and behind it. */
static int raise_bad_result(struct run *run, struct vcpu *v, int i)
{
    lua_copy(v->co, CO_BASE + 1 + i, CO_BASE + 1);
    lua_settop(v->co, CO_BASE + 1);
    lua_pushcfunction(v->co, bad_result);
    lua_pushlightuserdata(v->co, v);
    lua_pushinteger(v->co, i + 1);
    lua_pushvalue(v->co, CO_BASE + 1);
    lua_pushvalue(v->co, CO_HYPERCALLS);
    return run_call(run, v, 4);
}

/* Results go to the result registers, all or none of them; nil leaves its register
 * alone. */
static int store_results(struct run *run, struct vcpu *v, const struct abi *abi)
{
    int n = lua_gettop(v->co) - CO_BASE;
    union vmm_value value[4];
    bool given[4] = {false};

    for (int i = 0; i < n; i++) {
        uint64_t result = 0;
        bool is = run_integer(v->co, CO_BASE + 1 + i, &result);

        if (!is && lua_isnil(v->co, CO_BASE + 1 + i))
            ; /* also past the last register */
        else if (!is || i >= abi->outs)
            return raise_bad_result(run, v, i);
        if (i < abi->outs) {
            value[i].u64 = result;
            given[i] = is;
        }
    }
    for (int i = 0; i < n && i < abi->outs; i++)
        if (given[i] && vmm_set(v->cpu, abi->out[i], &value[i]) < 0)
            return VMM_EHOST;
    lua_settop(v->co, CO_BASE);
    return VMM_RESUME;
}

/* handler(cpu, a1, a2, ...): only as many registers are read as it declares. */
static int plain(struct run *run, struct vcpu *v, int nargs)
{
    const struct abi *abi = &abis[vmm_arch(run->m->vm)];
    int rc;

    if (nargs < 0 || nargs > abi->ins)
        nargs = abi->ins;
    lua_pushvalue(v->co, CO_CPU);
    for (int i = 0; i < nargs; i++) {
        union vmm_value value;

        if (vmm_get(v->cpu, abi->in[i], &value) < 0) {
            lua_settop(v->co, CO_BASE);
            return VMM_EHOST;
        }
        lua_pushinteger(v->co, (lua_Integer)value.u64);
    }
    rc = run_call(run, v, nargs + 1);
    return rc == VMM_RESUME ? store_results(run, v, abi) : rc;
}

/* How many hypercall arguments the function on top declares; -1: all. */
static int declared(lua_State *L)
{
    lua_Debug ar;

    lua_pushvalue(L, -1);
    lua_getinfo(L, ">u", &ar);
    if (ar.isvararg)
        return -1;
    return ar.nparams > 0 ? ar.nparams - 1 : 0; /* less the cpu */
}

/* ---- typed ones ---------------------------------------------------------- */

/* What hv.abi makes of a call whose parameters are integers and strings: their types,
 * so that no Lua code of ours is between the guest and the script's function. What
 * is out of the ordinary is left to that code. */
enum { TYPED_MOST = 6 };

struct type {
    bool text, flag, sign; /* a pointer to a string; a bool; else an integer */
    uint8_t size;          /* bytes */
};

struct typed {
    int params;
    struct type param[TYPED_MOST], result; /* size 0: returns nothing */
    size_t longest;                        /* of a string */
    uint64_t calls;
};

#define HV_TYPED "hv.typed"
#define ON_HYPERCALL "hv.on_hypercall"                   /* in the registry */
enum { TYPED_HANDLER = 1, TYPED_GENERAL, TYPED_FINISH }; /* user values */

static struct typed *typed_at(lua_State *L, int idx)
{
    return luaL_testudata(L, idx, HV_TYPED);
}

static uint64_t extend(const struct type *type, uint64_t word)
{
    unsigned unused = 64 - 8u * type->size;

    if (type->sign)
        return (uint64_t)((int64_t)(word << unused) >> unused);
    return word << unused >> unused;
}

static void push_argument(lua_State *co, const struct type *type, uint64_t word)
{
    if (type->flag)
        lua_pushboolean(co, (word & 0xff) != 0);
    else
        lua_pushinteger(co, (lua_Integer)extend(type, word));
}

static bool in_range(const struct type *type, lua_Integer value)
{
    return (uint64_t)value == extend(type, (uint64_t)value);
}

/* finish(cpu, results...) has the typed handler's place. A result, an error's name: a
 * third is one too many, and stands for all that are. */
static int finish(struct run *run, struct vcpu *v, const struct abi *abi)
{
    int n = lua_gettop(v->co) - (CO_BASE + 1), rc;

    if (n > 3)
        n = 3;
    lua_settop(v->co, CO_BASE + 1 + n);
    lua_getiuservalue(v->co, CO_BASE + 1, TYPED_FINISH);
    lua_replace(v->co, CO_BASE + 1);
    lua_pushvalue(v->co, CO_CPU);
    lua_insert(v->co, CO_BASE + 2);
    rc = run_call(run, v, n + 1);
    return rc == VMM_RESUME ? store_results(run, v, abi) : rc;
}

static int typed_results(struct run *run, struct vcpu *v, const struct abi *abi,
                         const struct type *type)
{
    union vmm_value value = {0}, none = {0};
    int at = CO_BASE + 2;

    if (type->size && lua_gettop(v->co) == at && lua_isinteger(v->co, at) &&
        in_range(type, lua_tointeger(v->co, at)))
        value.u64 = (uint64_t)lua_tointeger(v->co, at);
    else if (type->size || lua_gettop(v->co) >= at)
        return finish(run, v, abi);
    if (vmm_set(v->cpu, abi->out[0], &value) < 0 ||
        vmm_set(v->cpu, abi->out[1], &none) < 0)
        return VMM_EHOST;
    lua_settop(v->co, CO_BASE);
    return VMM_RESUME;
}

/* One call, on the C stack: its words, and whether they are what they should be. */
struct typed_call {
    struct vcpu *v;
    const struct abi *abi;
    struct typed type;
    uint64_t word[TYPED_MOST];
    bool odd; /* it was the general function's */
};

/* Protected, as strings take memory: (call, typed handler, cpu). */
static int with_text(lua_State *co)
{
    struct typed_call *c = lua_touserdata(co, 1);

    lua_getiuservalue(co, 2, TYPED_HANDLER);
    for (int i = 0; i < c->type.params; i++) {
        const struct type *type = &c->type.param[i];

        if (!type->text)
            push_argument(co, type, c->word[i]);
        else if (!guest_push_string(co, c->v, c->word[i], c->type.longest))
            c->odd = true; /* who tells the guest is the general function */
    }
    if (!c->v->cpu)
        return 0; /* a finalizer has closed the machine */
    if (c->odd) {
        lua_settop(co, 3);
        lua_getiuservalue(co, 2, TYPED_GENERAL);
        lua_pushvalue(co, 3);
        for (int i = 0; i < c->type.params; i++)
            lua_pushinteger(co, (lua_Integer)c->word[i]);
    } else {
        lua_pushvalue(co, 3);
    }
    lua_call(co, lua_gettop(co) - 4, LUA_MULTRET);
    return lua_gettop(co) - 3;
}

static int call_with_text(struct run *run, struct typed_call *c)
{
    lua_State *co = c->v->co;
    int rc;

    lua_pushcfunction(co, with_text);
    lua_pushlightuserdata(co, c);
    lua_pushvalue(co, CO_BASE + 1);
    lua_pushvalue(co, CO_CPU);
    rc = run_call(run, c->v, 3);
    if (rc != VMM_RESUME || run->cut || !c->odd)
        return rc;
    lua_remove(co, CO_BASE + 1);
    return rc;
}

/* The typed handler is on top. A script's function may make the call another's: what
 * is needed of it stays on the stack. */
static int typed(struct run *run, struct vcpu *v, struct typed *t)
{
    struct typed_call c = {
        .v = v, .abi = &abis[vmm_arch(run->m->vm)], .type = *t};
    bool text = false;
    int rc;

    for (int i = 0; i < t->params; i++) {
        union vmm_value word;

        if (vmm_get(v->cpu, c.abi->in[i], &word) < 0)
            return VMM_EHOST;
        c.word[i] = word.u64;
        text = text || t->param[i].text;
    }
    t->calls++;
    if (text) {
        rc = call_with_text(run, &c);
    } else {
        lua_getiuservalue(v->co, -1, TYPED_HANDLER);
        for (int i = 0; i < c.type.params; i++)
            push_argument(v->co, &c.type.param[i], c.word[i]);
        lua_pushvalue(v->co, CO_CPU);
        rc = run_call(run, v, c.type.params + 1);
    }
    if (rc != VMM_RESUME || run->cut)
        return rc;
    return c.odd ? store_results(run, v, c.abi)
                 : typed_results(run, v, c.abi, &c.type.result);
}

/* "u4", "i8", "b1", "s8"; "-": nothing */
static void read_type(lua_State *L, const char *name, struct type *type)
{
    *type =
        (struct type){.text = name[0] == 's',
                      .flag = name[0] == 'b',
                      .sign = name[0] == 'i',
                      .size = name[0] == '-' ? 0 : (uint8_t)(name[1] - '0')};
    if (type->size > 8 || (type->size & (type->size - 1)))
        luaL_error(L, "typed: %s", name);
}

/* core.typed(handler, general, finish, longest, result, param...) --> userdata, for
 * vm:hypercall() */
int hv_typed(lua_State *L)
{
    int params = lua_gettop(L) - 5;
    struct typed *t;

    luaL_argcheck(L, params <= TYPED_MOST, 6, "too many parameters");
    t = lua_newuserdatauv(L, sizeof *t, 3);
    *t = (struct typed){.params = params,
                        .longest = (size_t)luaL_checkinteger(L, 4)};
    read_type(L, luaL_checkstring(L, 5), &t->result);
    for (int i = 0; i < params; i++)
        read_type(L, luaL_checkstring(L, 6 + i), &t->param[i]);
    for (int i = TYPED_HANDLER; i <= TYPED_FINISH; i++) {
        lua_pushvalue(L, i);
        lua_setiuservalue(L, -2, i);
    }
    luaL_newmetatable(L, HV_TYPED);
    lua_setmetatable(L, -2);
    return 1;
}

/* core.typed_calls(userdata) --> how often its handler was called */
int hv_typed_calls(lua_State *L)
{
    struct typed *t = luaL_checkudata(L, 1, HV_TYPED);

    lua_pushinteger(L, (lua_Integer)t->calls);
    return 1;
}

/* ---- all ----------------------------------------------------------------- */

int hypercall_run(struct run *run, struct vcpu *v, int type)
{
    uint64_t nr = v->exit->nr;

    if (type == LUA_TUSERDATA)
        return typed(run, v, lua_touserdata(v->co, -1));
    return plain(run, v, nr < HV_QUICK ? run->m->args[nr] : declared(v->co));
}

/* vm:hypercall { via = "mmio", at = } */
static int hypercall_via(lua_State *L, struct machine *m)
{
    static const char *const names[] = {"via", "at", NULL};
    const char *via;

    obj_method(L, 1, "hypercall");
    obj_fields(L, 2, "hypercall", names);
    obj_field(L, 2, "via");
    via = obj_string(L, -1, "hypercall: via", "\"mmio\"");
    if (strcmp(via, "mmio") != 0)
        return luaL_error(L, "hypercall: via: \"%s\": use \"mmio\"", via);
    obj_field(L, 2, "at");
    if (vmm_doorbell(m->vm, obj_address(L, -1, "hypercall: at")) < 0)
        return obj_fail(L);
    return 0;
}

/* vm:hypercall(nr, fn | nil) */
int vm_hypercall(lua_State *L)
{
    struct machine *m = vm_self(L);
    uint64_t nr;
    int args;

    if (lua_istable(L, 2))
        return hypercall_via(L, m);
    nr = obj_integer(L, 2, "hypercall: number");
    if (!typed_at(L, 3))
        run_check_handler(L, "hypercall");
    if (!lua_isnil(L, 3) && vmm_hypercalls(m->vm) < 0)
        return obj_fail(L);
    args = lua_isfunction(L, 3) ? declared(L) : -1;
    lua_getiuservalue(L, 1, UV_HYPERCALLS);
    lua_pushvalue(L, 3);
    lua_rawseti(L, -2, (lua_Integer)nr); /* hypercalls[nr] = fn */
    if (nr < HV_QUICK)
        m->args[nr] = (int8_t)args;
    stats_forget(m);
    if (lua_getfield(L, LUA_REGISTRYINDEX, ON_HYPERCALL) == LUA_TFUNCTION) {
        lua_insert(L, 1);
        lua_settop(L, 4);
        lua_call(L, 3, 0); /* fn(vm, nr, handler) */
    }
    return 0;
}

/* core.on_hypercall(fn): called behind each vm:hypercall(nr, handler). */
int hv_on_hypercall(lua_State *L)
{
    lua_settop(L, 1);
    lua_setfield(L, LUA_REGISTRYINDEX, ON_HYPERCALL);
    return 0;
}

/* core.hypercalls(vm) --> a copy of number -> function */
int hv_hypercalls(lua_State *L)
{
    lua_settop(L, 1);
    lua_getfield(L, LUA_REGISTRYINDEX, HV_MACHINE);
    if (!lua_getmetatable(L, 1) || !lua_rawequal(L, 2, 3))
        return luaL_error(L, "hypercalls: a machine expected");
    lua_newtable(L);
    lua_getiuservalue(L, 1, UV_HYPERCALLS);
    lua_pushnil(L); /* for nr, fn in pairs(hypercalls) */
    while (lua_next(L, 5)) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, 4);
    }
    lua_settop(L, 4);
    return 1;
}
