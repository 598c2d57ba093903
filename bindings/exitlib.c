/* SPDX-License-Identifier: MIT */
/* exitlib.c - an exit as a plain Lua table: its kind, the fields that kind has,
 * what the hardware said, and the vCPU. */
#include "hvlib.h"

static void set_integer(lua_State *L, const char *name, uint64_t value)
{
    lua_pushinteger(L, (lua_Integer)value);
    lua_setfield(L, -2, name);
}

/* addr or port, size, write, and the value that was written. */
static void push_access(lua_State *L, const struct vmm_exit *exit)
{
    if (exit->kind == VMM_IO)
        set_integer(L, "port", exit->port);
    else if (exit->kind == VMM_SYSREG)
        set_integer(L, "reg", exit->reg);
    else
        set_integer(L, "addr", exit->addr);
    if (exit->kind != VMM_SYSREG)
        set_integer(L, "size", exit->size);
    lua_pushboolean(L, exit->write);
    lua_setfield(L, -2, "write");
    if (exit->write && exit->kind != VMM_WATCH)
        set_integer(L, "value", exit->value);
}

static void push_fields(lua_State *L, const struct vmm_exit *exit)
{
    switch (exit->kind) {
    case VMM_HVC:
    case VMM_SMC:
        set_integer(L, "imm", exit->imm);
        set_integer(L, "nr", exit->nr);
        break;
    case VMM_BRK:
        set_integer(L, "imm", exit->imm);
        break;
    case VMM_MMIO:
    case VMM_IO:
    case VMM_SYSREG:
    case VMM_WATCH:
        push_access(L, exit);
        break;
    case VMM_FAULT:
        set_integer(L, "vector", exit->vector);
        set_integer(L, "code", exit->code);
        set_integer(L, "addr", exit->addr);
        break;
    default:
        break;
    }
    if (exit->why[0]) {
        lua_pushstring(L, exit->why);
        lua_setfield(L, -2, "why");
    }
}

/* The raw fields belong to exits that came out of the guest; the host's own
 * (stop, timeout, budget, kick) have none. */
static void push_raw(lua_State *L, const struct vmm_exit *exit, bool arm)
{
    set_integer(L, "reason", exit->reason);
    if (!arm)
        return;
    set_integer(L, "syndrome", exit->syndrome);
    set_integer(L, "ec", exit->ec);
    set_integer(L, "va", exit->va);
    set_integer(L, "pa", exit->pa);
}

void exit_push(lua_State *L, const struct vmm_exit *exit, int cpu)
{
    const struct vcpu *v = cpu ? lua_touserdata(L, cpu) : NULL;

    cpu = cpu ? lua_absindex(L, cpu) : 0;
    lua_createtable(L, 0, 12);
    lua_pushstring(L, vmm_kind_name(exit->kind));
    lua_setfield(L, -2, "kind");
    push_fields(L, exit);
    if (!v || !v->cpu)
        return;
    if (exit->kind < VMM_STOP || exit->kind == VMM_ERROR)
        push_raw(L, exit, vmm_arch(v->machine->vm) == VMM_ARM64);
    lua_pushvalue(L, cpu);
    lua_setfield(L, -2, "cpu");
}
