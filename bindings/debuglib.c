/* SPDX-License-Identifier: MIT */
/* debuglib.c - the methods of vCPUs that look into a guest and break into it:
 * breakpoints, translation, interrupts. */
#include "hvlib.h"

/* cpu:breakpoint(at [, on]) */
int vcpu_breakpoint(lua_State *L)
{
    struct vcpu *v = vcpu_self(L);
    uint64_t at = obj_address(L, 2, "breakpoint: at");
    bool on = obj_boolean(L, 3, "breakpoint: on", true);

    obj_method(L, 2, "breakpoint");
    return vmm_breakpoint(v->cpu, at, on) < 0 ? obj_fail(L) : 0;
}

/* cpu:watchpoint(at, size, "rw" [, on]) */
int vcpu_watchpoint(lua_State *L)
{
    struct vcpu *v = vcpu_self(L);
    uint64_t at = obj_address(L, 2, "watchpoint: at");
    uint64_t size = obj_size(L, 3, "watchpoint: size");
    unsigned access = obj_prot(L, 4, "watchpoint: access", "rw", VMM_R | VMM_W);
    bool on = obj_boolean(L, 5, "watchpoint: on", true);

    obj_method(L, 4, "watchpoint");
    if (size > 8)
        return luaL_error(L, "watchpoint: size: %I: watch 1, 2, 4 or 8 bytes",
                          (LUAI_UACINT)size);
    return vmm_watchpoint(v->cpu, at, (unsigned)size, access, on) < 0
               ? obj_fail(L)
               : 0;
}

/* cpu:translate(va) --> guest physical address, or nil */
int vcpu_translate(lua_State *L)
{
    struct vcpu *v = vcpu_self(L);
    uint64_t pa, va = obj_address(L, 2, "translate: va");
    int rc;

    obj_method(L, 1, "translate");
    rc = vmm_translate(v->cpu, va, &pa);
    if (rc < 0)
        return obj_fail(L);
    if (rc)
        lua_pushinteger(L, (lua_Integer)pa);
    else
        lua_pushnil(L);
    return 1;
}

static int drive(lua_State *L, enum vmm_line line, const char *name)
{
    struct vcpu *v = vcpu_self(L);
    bool level;

    obj_method(L, 1, name);
    if (!lua_isnoneornil(L, 2))
        return vmm_line(v->cpu, line, obj_boolean(L, 2, name, false)) < 0
                   ? obj_fail(L)
                   : 0;
    if (vmm_line_at(v->cpu, line, &level) < 0)
        return obj_fail(L);
    lua_pushboolean(L, level);
    return 1;
}

/* cpu:irq(level), cpu:irq() --> level */
int vcpu_irq(lua_State *L)
{
    return drive(L, VMM_IRQ, "irq");
}

int vcpu_fiq(lua_State *L)
{
    return drive(L, VMM_FIQ, "fiq");
}

/* cpu:inject { vector= } or { syndrome=, far= } */
int vcpu_inject(lua_State *L)
{
    static const char *const arm64[] = {"syndrome", "far", NULL};
    static const char *const x86_64[] = {"vector", NULL};
    struct vcpu *v = vcpu_self(L);
    bool arm = vmm_arch(v->machine->vm) == VMM_ARM64;
    struct vmm_event event = {0};

    obj_method(L, 1, "inject");
    obj_fields(L, 2, "inject", arm ? arm64 : x86_64);
    if (arm) {
        obj_field(L, 2, "syndrome");
        event.syndrome = obj_integer(L, -1, "inject: syndrome");
        if (obj_field(L, 2, "far") != LUA_TNIL)
            event.far = obj_integer(L, -1, "inject: far");
    } else {
        uint64_t vector;

        obj_field(L, 2, "vector");
        vector = obj_integer(L, -1, "inject: vector");
        if (vector > 255)
            return luaL_error(L, "inject: vector: %I is not 0 to 255",
                              (LUAI_UACINT)vector);
        event.vector = (uint8_t)vector;
    }
    vm_usable(L, v->machine); /* still: a finalizer may have run */
    return vmm_inject(v->cpu, &event) < 0 ? obj_fail(L) : 0;
}
