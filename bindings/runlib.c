/* SPDX-License-Identifier: MIT */
/* runlib.c - the exit loop meets Lua: core hands out exits, the script's
 * functions decide.
 *
 * A handler runs on its vCPU's own coroutine, by lua_pcall: no Lua error, not
 * even "not enough memory", ever unwinds core or a backend. An error waits on the
 * coroutine's stack until vmm_run() has returned, and is raised again then. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "stats.h"

/* ---- calling handlers ---------------------------------------------------- */

/* An error in a handler: message, the exit in words, traceback. Errors that are
 * no strings belong to the script and pass untouched. */
static int message(lua_State *co)
{
    struct vcpu *v = lua_touserdata(co, lua_upvalueindex(1));
    union vmm_value pc = {0};
    char words[200];
    bool arm;

    if (lua_type(co, 1) != LUA_TSTRING || !v->cpu)
        return 1;
    arm = vmm_arch(v->machine->vm) == VMM_ARM64;
    vmm_get(v->cpu, VMM_REG(VMM_GENERAL, arm ? (int)VMM_A64_PC : (int)VMM_RIP),
            &pc);
    lua_pushfstring(co, "%s\nin the handler of: %s, vcpu %d, guest pc 0x",
                    lua_tostring(co, 1),
                    vmm_exit_words(v->exit, words, sizeof words),
                    (int)vmm_cpu_index(v->cpu));
    snprintf(words, sizeof words, "%llx", (unsigned long long)pc.u64);
    lua_pushstring(co, words);
    lua_concat(co, 2);
    luaL_traceback(co, co, lua_tostring(co, -1), 1);
    return 1;
}

void run_prepare(lua_State *L, struct vcpu *v, int machine)
{
    int self = lua_gettop(L);
    static const int tables[] = {UV_HYPERCALLS, UV_ON, UV_DEVICES};

    machine = lua_absindex(L, machine);
    v->co = lua_newthread(L);
    lua_setiuservalue(L, self, 2);
    luaL_checkstack(v->co, LUA_MINSTACK + CO_BASE, NULL);
    lua_pushvalue(L, self);
    for (int i = 0; i < 3; i++)
        lua_getiuservalue(L, machine, tables[i]);
    lua_pushlightuserdata(L, v);
    lua_pushcclosure(L, message, 1);
    lua_xmove(L, v->co, CO_BASE);
}

int run_call(struct run *run, struct vcpu *v, int nargs)
{
    lua_State *co = v->co, *before = interrupt_begin(run, co);
    int status = run->exact ? stats_call(run, co, nargs)
                            : lua_pcall(co, nargs, LUA_MULTRET, CO_MESSAGE);
    bool interrupted;

    if (run->looked_in)
        stats_handled(run);
    interrupted = interrupt_end(run, co, before);
    run->cut = false;
    if (status == LUA_OK && v->cpu)
        return VMM_RESUME;
    if (status == LUA_OK) { /* and it has closed the machine */
        lua_settop(co, CO_BASE);
        return VMM_RETURN;
    }
    if (run->timed_out && interrupted) {
        lua_settop(co, CO_BASE);
        run->cut = true;
        return VMM_RESUME; /* core knows that the time is up */
    }
    run->failed = v;
    return VMM_ESTATE;
}

bool run_integer(lua_State *co, int at, uint64_t *value)
{
    int exact = lua_type(co, at) == LUA_TNUMBER;
    lua_Integer integer = exact ? lua_tointegerx(co, at, &exact) : 0;

    if (exact)
        *value = (uint64_t)integer;
    return exact;
}

/* ---- other exits --------------------------------------------------------- */

/* Only accesses are answered. To have one handler for both directions is common,
 * so a write's answer is dropped; elsewhere it is a misunderstanding. */
static int check_no_answer(lua_State *co, const struct vmm_exit *exit)
{
    const char *got;

    if (lua_isnil(co, -1) || exit->kind == VMM_MMIO || exit->kind == VMM_IO ||
        exit->kind == VMM_SYSREG)
        return 0;
    got = obj_name(co, -1);
    obj_where(co, ARG_WHAT);
    return luaL_error(co,
                      "%s%s handler: returned %s: only reads are answered: set "
                      "registers, or cpu:stop(value)",
                      lua_tostring(co, -1), vmm_kind_name(exit->kind), got);
}

/* Protected: handler(cpu, exit), and its answer where that is a read. */
static int call_on(lua_State *co)
{
    struct vcpu *v = lua_touserdata(co, ARG_VCPU);
    const char *got;

    lua_pushvalue(co, ARG_WHAT);
    lua_pushvalue(co, ARG_CPU);
    exit_push(co, v->exit, ARG_CPU);
    lua_call(co, 2, 1);
    if (!vmm_exit_reads(v->exit))
        return check_no_answer(co, v->exit);
    if (lua_isnil(co, -1))
        return 0;
    if (run_integer(co, -1, &v->exit->value))
        return 0;
    got = obj_name(co, -1);
    obj_where(co, ARG_WHAT);
    return luaL_error(co,
                      "%s%s handler: the answer to a read must be an integer, "
                      "got %s",
                      lua_tostring(co, -1), vmm_kind_name(v->exit->kind), got);
}

/* Call `f` with what is on top as ARG_WHAT. */
static int protected(struct run *run, struct vcpu *v, lua_CFunction f)
{
    int rc;

    lua_pushcfunction(v->co, f);
    lua_insert(v->co, -2);
    lua_pushlightuserdata(v->co, v);
    lua_insert(v->co, -2);
    lua_pushvalue(v->co, CO_CPU);
    lua_pushvalue(v->co, CO_DEVICES);
    rc = run_call(run, v, 4); /* f(v, what, cpu, devices) */
    if (rc == VMM_RESUME)
        lua_settop(v->co, CO_BASE);
    return rc;
}

static int refuse(struct run *run, struct vcpu *v, struct device *dev)
{
    lua_settop(v->co, CO_BASE + 1);
    lua_pushcfunction(v->co, dev_refuse);
    lua_pushlightuserdata(v->co, v);
    lua_pushlightuserdata(v->co, dev);
    lua_pushvalue(v->co, CO_CPU);
    lua_pushvalue(v->co, CO_DEVICES);
    lua_pushvalue(v->co, CO_BASE + 1);
    return run_call(run, v, 5);
}

/* The device's function is called as hypercalls' are, with nothing of ours in
 * between: drivers access their devices all the time. */
static int device(struct run *run, struct vcpu *v, const struct device *dev)
{
    struct device d = *dev; /* a handler may attach more and move the table */
    int rc, nargs = dev_push(v->co, &d, v->exit);

    if (nargs < 0)
        return VMM_RESUME;
    rc = run_call(run, v, nargs);
    if (rc != VMM_RESUME)
        return rc;
    if (!v->exit->write && !run->cut &&
        !run_integer(v->co, CO_BASE + 1, &v->exit->value))
        return refuse(run, v, &d);
    lua_settop(v->co, CO_BASE);
    return VMM_RESUME;
}

/* Core's callback: the handler that is most specific, or nobody: then the exit
 * ends the run. */
static int on_exit_lua(struct vmm_cpu *cpu, struct vmm_exit *exit, void *ctx)
{
    struct run *run = ctx;
    struct machine *m = run->m;
    unsigned index = vmm_cpu_index(cpu);
    struct vcpu *v = m->cpu[index];
    const struct device *dev;

    v->exit = exit;
    if (exit->kind == VMM_HVC) {
        int type = lua_rawgeti(v->co, CO_HYPERCALLS, (lua_Integer)exit->nr);

        if (type != LUA_TNIL) {
            stats_count(run, v, index, STATS_HYPERCALL, exit->nr);
            return hypercall_run(run, v, type);
        }
        lua_pop(v->co, 1);
    }
    if (exit->kind == VMM_MMIO || exit->kind == VMM_IO) {
        dev = dev_find(m, exit);
        if (dev) {
            stats_count(run, v, index, STATS_DEVICE, (uintptr_t)dev);
            return device(run, v, dev);
        }
    }
    if (lua_rawgeti(v->co, CO_ON, exit->kind) == LUA_TFUNCTION) {
        stats_count(run, v, index, STATS_ON, 0);
        return protected(run, v, call_on);
    }
    stats_count(run, v, index, STATS_NOBODY, 0);
    lua_pop(v->co, 1);
    return VMM_RETURN;
}

static int on_exit_timed(struct vmm_cpu *cpu, struct vmm_exit *exit, void *ctx)
{
    struct run *run = ctx;
    unsigned index = vmm_cpu_index(cpu); /* its machine may be closed after */
    int verdict = on_exit_lua(cpu, exit, ctx);

    if (run->exact)
        stats_exact(run, index);
    if (!run->exact)
        run->config->on_exit = on_exit_lua;
    return verdict;
}

/* ---- vm:hypercall, vm:on ------------------------------------------------- */

void run_check_handler(lua_State *L, const char *what)
{
    obj_method(L, 2, what);
    if (!lua_isfunction(L, 3) && !lua_isnil(L, 3))
        luaL_error(L, "%s: a function or nil expected, got %s", what,
                   lua_isnone(L, 3) ? "nothing" : luaL_typename(L, 3));
}

static int deliverable(lua_State *L, int idx)
{
    const char *name = obj_string(L, idx, "on", "a string");
    const char *nearest = NULL;
    const char *names[VMM_KINDS + 1];
    int kind = vmm_kind_find(name), n = 0;

    if (kind >= 0 && (kind < VMM_STOP || kind == VMM_ERROR))
        return kind;
    if (kind >= 0)
        return luaL_error(L,
                          "on: \"%s\" ends the run: look at what run() "
                          "returns",
                          name);
    for (int i = VMM_HVC; i < VMM_STOP; i++)
        names[n++] = vmm_kind_name((enum vmm_kind)i);
    names[n] = NULL;
    nearest = obj_nearest(name, names);
    if (nearest)
        return luaL_error(L,
                          "on: no exit is of kind \"%s\": did you mean "
                          "\"%s\"?",
                          name, nearest);
    return luaL_error(L, "on: no exit is of kind \"%s\"", name);
}

/* vm:on(kind, fn | nil) */
int vm_on(lua_State *L)
{
    struct machine *m = vm_self(L);
    int kind = deliverable(L, 2);

    run_check_handler(L, "on");
    lua_getiuservalue(L, 1, UV_ON);
    lua_insert(L, 3);
    lua_rawseti(L, 3, kind); /* on[kind] = fn */
    stats_forget(m);
    return 0;
}

/* ---- running ------------------------------------------------------------- */

static void read_options(lua_State *L, int idx, struct vmm_run *config)
{
    static const char *const names[] = {"timeout", "exits", NULL};

    if (lua_isnoneornil(L, idx))
        return;
    obj_fields(L, idx, "run", names);
    if (obj_field(L, idx, "timeout") != LUA_TNIL) {
        lua_Number seconds = lua_tonumber(L, -1);

        if (lua_type(L, -1) != LUA_TNUMBER || !(seconds > 0))
            luaL_error(L, "run: timeout: %s: seconds expected, more than 0",
                       luaL_tolstring(L, -1, NULL));
        config->timeout = seconds < 9e9 ? (uint64_t)ceil(seconds * 1e9) : 0;
    }
    if (obj_field(L, idx, "exits") != LUA_TNIL) {
        config->exits = obj_integer(L, -1, "run: exits");
        if (config->exits == 0 || config->exits > INT64_MAX)
            luaL_error(L, "run: exits: %I: how many, at least 1",
                       (LUAI_UACINT)config->exits);
    }
    lua_pop(L, 2);
}

/* Raise what a handler raised, or what core has to say. */
static int failure(lua_State *L, struct run *run)
{
    struct vcpu *v = run->failed;

    if (!v)
        return obj_fail(L);
    lua_xmove(v->co, L, 1);
    lua_settop(v->co, CO_BASE);
    return lua_error(L);
}

/* The machine is at index `machine`, options at 2. */
static int run_machine(lua_State *L, struct machine *m, int machine,
                       struct vmm_cpu *only)
{
    struct run run = {.m = m};
    struct vmm_run config = {.on_exit = on_exit_lua, .ctx = &run};
    struct vmm_exit exit;
    struct vmm_cpu *who = NULL;
    int rc;

    exit.kind = VMM_NONE; /* of a run that cannot begin */
    read_options(L, 2, &config);
    if (m->run)
        return luaL_error(L, "run: the machine is running already: a handler "
                             "cannot run its own machine");
    if (config.timeout) {
        config.on_timeout = interrupt_timeout;
        interrupt_catch();
    }
    luaL_checkstack(L, 8, NULL);
    lua_pushnil(L);
    lua_setiuservalue(L, machine, UV_STOP); /* of a run that failed */
    vm_usable(L, m); /* still: a finalizer may have run */
    run_enter(L, &run);
    if (m->stats)
        stats_run_begin(&run, &config, on_exit_timed);
    rc = vmm_run(m->vm, only, &config, &exit, &who);
    if (m->stats)
        stats_run_over(&run);
    run_leave(&run);
    if (m->stats)
        stats_run_end(L, &run, exit.kind);
    if (rc < 0)
        return failure(L, &run);
    lua_getiuservalue(L, machine, UV_CPUS);
    if (who)
        lua_rawgeti(L, -1, vmm_cpu_index(who) + 1);
    exit_push(L, &exit, who ? lua_gettop(L) : 0);
    lua_getiuservalue(L, machine, UV_STOP);
    if (exit.kind == VMM_STOP)
        lua_setfield(L, -2, "value"); /* exit.value = what stop was given */
    else
        lua_pop(L, 1);
    lua_pushnil(L);
    lua_setiuservalue(L, machine, UV_STOP);
    return 1;
}

/* vm:run { timeout=, exits= } --> exit */
int vm_run(lua_State *L)
{
    struct machine *m = vm_self(L);

    obj_method(L, 1, "run");
    lua_settop(L, 2);
    return run_machine(L, m, 1, NULL);
}

/* cpu:run { timeout=, exits= } --> exit */
int vcpu_run(lua_State *L)
{
    struct vcpu *v = vcpu_self(L);

    obj_method(L, 1, "run");
    lua_settop(L, 2);
    lua_getiuservalue(L, 1, 1);
    return run_machine(L, v->machine, 3, v->cpu);
}

static int stop(lua_State *L, struct machine *m, int machine)
{
    if (vmm_stop(m->vm) < 0)
        return obj_fail(L);
    lua_pushvalue(L, 2);
    lua_setiuservalue(L, machine, UV_STOP);
    return 0;
}

/* vm:stop(value), cpu:stop(value): the run ends with { kind = "stop", value = }
 * once the handler has returned. */
int vm_stop(lua_State *L)
{
    struct machine *m = vm_self(L);

    obj_method(L, 1, "stop");
    lua_settop(L, 2);
    return stop(L, m, 1);
}

int vcpu_stop(lua_State *L)
{
    struct vcpu *v = vcpu_self(L);

    obj_method(L, 1, "stop");
    lua_settop(L, 2);
    lua_getiuservalue(L, 1, 1);
    return stop(L, v->machine, 3);
}
