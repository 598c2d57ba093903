/* SPDX-License-Identifier: MIT */
/* vcpulib.c - vCPUs as Lua objects: registers as properties (reglib.c has their
 * values), and the methods that are not about running (runlib.c has those). */
#include <string.h>

#include "hvlib.h"

/* Register accesses come in their thousands, so each vCPU has a metatable of its
 * own, whose functions need not find out what their argument is. Their upvalues
 * are the vCPU, and a table from a name to what it means: a light userdata
 * (struct vmm_reg_name) or a method. */
enum { UP_VCPU = 1, UP_NAMES };

/* In such a metatable, the key of the vCPU's address: methods, which all vCPUs
 * share, tell by it that their argument is one. */
static const char marker;

struct vcpu *vcpu_any(lua_State *L)
{
    struct vcpu *v = lua_touserdata(L, 1);

    if (v && lua_getmetatable(L, 1)) {
        bool same = lua_rawgetp(L, -1, &marker) == LUA_TLIGHTUSERDATA &&
                    lua_touserdata(L, -1) == v;

        lua_pop(L, 2);
        if (same)
            return v;
    }
    obj_not(L, "vcpu");
    return NULL;
}

struct vcpu *vcpu_self(lua_State *L)
{
    struct vcpu *v = vcpu_any(L);

    vm_usable(L, v->machine);
    return v;
}

/* ---- properties ---------------------------------------------------------- */

static const luaL_Reg methods[];

/* The method or register most like `name`, or NULL. */
static const char *nearest_member(enum vmm_arch arch, const char *name)
{
    const char *nearest = vmm_reg_nearest(arch, name);
    unsigned least = nearest ? vmm_distance(name, nearest) : 3;

    for (const luaL_Reg *m = methods; m->name; m++)
        if (vmm_distance(name, m->name) < least) {
            nearest = m->name;
            least = vmm_distance(name, nearest);
        }
    return nearest;
}

static int unknown(lua_State *L, const char *what, enum vmm_arch arch, int idx)
{
    const char *name = luaL_tolstring(L, idx, NULL);
    const char *nearest = nearest_member(arch, name);

    if (nearest)
        return luaL_error(L,
                          "%s: %s has no register \"%s\": did you mean "
                          "\"%s\"?",
                          what, vmm_arch_name(arch), name, nearest);
    return luaL_error(L, "%s: %s has no register \"%s\"", what,
                      vmm_arch_name(arch), name);
}

/* The vCPU whose metatable's function is running. */
static struct vcpu *own(lua_State *L)
{
    struct vcpu *v = lua_touserdata(L, lua_upvalueindex(UP_VCPU));

    vm_usable(L, v->machine);
    return v;
}

/* The register that argument 2 names, or NULL with what it names instead on top.
 * A name is one string for as long as the table of names has it: so a vCPU knows
 * it by its address the next time. */
static const struct vmm_reg_name *named(lua_State *L, struct vcpu *v)
{
    const void *name = lua_topointer(L, 2);
    unsigned slot = ((uintptr_t)name >> 4 ^ (uintptr_t)name >> 8) % HV_RECENT;

    if (name && v->recent[slot].name == name)
        return v->recent[slot].reg;
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(UP_NAMES)) != LUA_TLIGHTUSERDATA)
        return NULL;
    v->recent[slot].name = name;
    v->recent[slot].reg = lua_touserdata(L, -1);
    return v->recent[slot].reg;
}

static int vcpu_index(lua_State *L)
{
    struct vcpu *v = own(L);
    const struct vmm_reg_name *reg = named(L, v);
    const char *name;

    if (reg) {
        reg_push(L, v, reg);
        return 1;
    }
    if (!lua_isnil(L, -1))
        return 1; /* a method */
    name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : NULL;
    if (name && strcmp(name, "index") == 0)
        lua_pushinteger(L, vmm_cpu_index(v->cpu));
    else if (name && strcmp(name, "vm") == 0)
        lua_getiuservalue(L, lua_upvalueindex(UP_VCPU), 1);
    else
        return unknown(L, "vcpu", v->arch, 2);
    return 1;
}

static int vcpu_newindex(lua_State *L)
{
    struct vcpu *v = own(L);
    const struct vmm_reg_name *reg = named(L, v);

    if (!reg && !lua_isnil(L, -1))
        return luaL_error(L, "vcpu: cannot set \"%s\": it is a method",
                          lua_tostring(L, 2));
    if (!reg && lua_type(L, 2) == LUA_TSTRING &&
        (strcmp(lua_tostring(L, 2), "index") == 0 ||
         strcmp(lua_tostring(L, 2), "vm") == 0))
        return luaL_error(L, "vcpu: cannot set \"%s\"", lua_tostring(L, 2));
    if (!reg)
        return unknown(L, "vcpu", v->arch, 2);
    reg_set(L, v, reg, 3);
    return 0;
}

static int vcpu_tostring(lua_State *L)
{
    struct vcpu *v = lua_touserdata(L, lua_upvalueindex(UP_VCPU));

    if (!v->cpu)
        lua_pushliteral(L, "vcpu (closed)");
    else
        lua_pushfstring(L, "vcpu %d (%s)", (int)vmm_cpu_index(v->cpu),
                        vmm_arch_name(vmm_arch(v->machine->vm)));
    return 1;
}

/* Registers in the order of the manual; those this backend lacks are passed
 * over, and so are second names (w0 after x0). */
static int vcpu_next(lua_State *L)
{
    struct vcpu *v = vcpu_self(L);
    enum vmm_arch arch = vmm_arch(v->machine->vm);
    const struct vmm_reg_name *r;
    union vmm_value value;
    size_t i = 0;

    if (!lua_isnoneornil(L, 2)) {
        const char *name = obj_string(L, 2, "next", "a register's name");

        while ((r = vmm_reg_name(arch, i)) && strcmp(r->name, name) != 0)
            i++;
        if (!r)
            return unknown(L, "next", arch, 2);
        i++;
    }
    for (; (r = vmm_reg_name(arch, i)); i++) {
        if (r->bits == 32 || r->bits == 16 || r->bits == 8)
            continue;
        if (vmm_get(v->cpu, r->reg, &value) < 0)
            continue;
        lua_pushstring(L, r->name);
        reg_push(L, v, r);
        return 2;
    }
    lua_pushnil(L);
    return 1;
}

static int vcpu_pairs(lua_State *L)
{
    own(L);
    lua_pushcfunction(L, vcpu_next);
    lua_pushvalue(L, lua_upvalueindex(UP_VCPU));
    return 2; /* next, vcpu */
}

/* ---- registers by number ------------------------------------------------- */

static uint32_t field(lua_State *L, int idx, const char *what, uint32_t most)
{
    uint64_t value = obj_integer(L, idx, what);

    if (value > most)
        luaL_error(L, "%s: %I is not 0 to %d", what, (LUAI_UACINT)value,
                   (int)most);
    return (uint32_t)value;
}

static int numbered(lua_State *L, struct vcpu *v, vmm_reg reg, int idx)
{
    struct vmm_reg_name r = {"value", reg, 0, 64};

    if (lua_isnoneornil(L, idx)) {
        reg_push(L, v, &r);
        return 1;
    }
    reg_set(L, v, &r, idx);
    return 0;
}

/* cpu:sysreg(op0, op1, crn, crm, op2 [, value]) */
static int vcpu_sysreg(lua_State *L)
{
    struct vcpu *v = vcpu_self(L);
    uint32_t op0, op1, crn, crm, op2;

    if (vmm_arch(v->machine->vm) != VMM_ARM64)
        return luaL_error(L, "sysreg: only arm64 has them: use cpu:msr()");
    op0 = field(L, 2, "sysreg: op0", 3);
    op1 = field(L, 3, "sysreg: op1", 7);
    crn = field(L, 4, "sysreg: crn", 15);
    crm = field(L, 5, "sysreg: crm", 15);
    op2 = field(L, 6, "sysreg: op2", 7);
    obj_method(L, 6, "sysreg");
    return numbered(
        L, v, VMM_REG(VMM_SYSTEM, VMM_A64_SYSREG(op0, op1, crn, crm, op2)), 7);
}

/* cpu:msr(number [, value]) */
static int vcpu_msr(lua_State *L)
{
    struct vcpu *v = vcpu_self(L);
    uint64_t nr;

    if (vmm_arch(v->machine->vm) != VMM_X86_64)
        return luaL_error(L, "msr: only x86_64 has them: use cpu:sysreg()");
    nr = obj_integer(L, 2, "msr");
    obj_method(L, 2, "msr");
    if (nr > UINT32_MAX)
        return luaL_error(L, "msr: %I: numbers have 32 bits", (LUAI_UACINT)nr);
    return numbered(L, v, VMM_REG(VMM_MSR, nr), 3);
}

/* ---- one entry ----------------------------------------------------------- */

static int vcpu_kick(lua_State *L)
{
    struct vcpu *v = vcpu_self(L);

    obj_method(L, 0, "kick");
    vmm_kick(v->cpu);
    return 0;
}

/* cpu:answer(value): for the read that the last exit was. */
static int vcpu_answer(lua_State *L)
{
    struct vcpu *v = vcpu_self(L);
    uint64_t value = obj_integer(L, 2, "answer");

    obj_method(L, 1, "answer");
    if (vmm_answer(v->cpu, value) < 0)
        return obj_fail(L);
    return 0;
}

/* cpu:enter([answer]) --> exit */
static int vcpu_enter(lua_State *L)
{
    struct vcpu *v = vcpu_self(L);
    struct machine *m = v->machine;
    struct run run = {.m = m}; /* for Ctrl-C: it ends here too */
    bool inner = m->run != NULL;
    struct vmm_exit exit;
    int rc;

    obj_method(L, 1, "enter");
    if (!lua_isnoneornil(L, 2))
        vcpu_answer(L);
    if (!inner)
        run_enter(L, &run);
    rc = vmm_enter(v->cpu, &exit);
    if (!inner)
        run_leave(&run);
    if (rc < 0)
        return obj_fail(L);
    exit_push(L, &exit, 1);
    return 1;
}

/* cpu:step() --> exit */
static int vcpu_step(lua_State *L)
{
    struct vcpu *v = vcpu_self(L);
    struct vmm_exit exit;

    obj_method(L, 0, "step");
    if (vmm_step(v->cpu, &exit) < 0)
        return obj_fail(L);
    exit_push(L, &exit, 1);
    return 1;
}

/* ---- vm:vcpu ------------------------------------------------------------- */

/* Do two names stand for the same bits? Writing 32 of them writes all. */
static bool overlap(const struct vmm_reg_name *a, const struct vmm_reg_name *b)
{
    bool parts = (a->bits == 8 || a->bits == 16) && //
                 (b->bits == 8 || b->bits == 16);

    if (a->reg != b->reg)
        return false;
    return !parts ||
           (a->shift < b->shift + b->bits && b->shift < a->shift + a->bits);
}

/* Which of the two would win is up to the table's order, that is, to nobody. */
static void check_once(lua_State *L, int idx, const struct vmm_reg_name *r,
                       enum vmm_arch arch)
{
    const struct vmm_reg_name *other;

    for (size_t i = 0; (other = vmm_reg_name(arch, i)) != r; i++) {
        if (!overlap(r, other))
            continue;
        if (obj_field(L, idx, other->name) != LUA_TNIL)
            luaL_error(L,
                       "vcpu: \"%s\" and \"%s\" are the same register: give "
                       "one of them",
                       other->name, r->name);
        lua_pop(L, 1);
    }
}

/* Look at every field before anything is made. */
static void check_registers(lua_State *L, int idx, enum vmm_arch arch)
{
    lua_pushnil(L); /* for name, value in pairs(t) */
    while (lua_next(L, idx)) {
        const struct vmm_reg_name *r = NULL;
        union vmm_value scratch = {0};

        if (lua_type(L, -2) == LUA_TSTRING)
            r = vmm_reg_find(arch, lua_tostring(L, -2));
        if (!r || strlen(r->name) != lua_rawlen(L, -2))
            unknown(L, "vcpu", arch, lua_absindex(L, -2));
        reg_read(L, lua_gettop(L), r, &scratch);
        check_once(L, idx, r, arch);
        lua_pop(L, 1);
    }
}

/* Protected: (vCPU as light userdata, registers). CPSR first, because it chooses
 * which stack pointer `sp` is; then the rest, in the order of the manual and not in
 * that of a Lua table. */
static int set_registers(lua_State *L)
{
    struct vcpu *v = lua_touserdata(L, 1);
    enum vmm_arch arch = vmm_arch(v->machine->vm);
    const struct vmm_reg_name *r;

    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; (r = vmm_reg_name(arch, i)); i++) {
            bool first = arch == VMM_ARM64 &&
                         r->reg == VMM_REG(VMM_GENERAL, VMM_A64_CPSR);

            if (first == (pass == 1))
                continue;
            if (obj_field(L, 2, r->name) != LUA_TNIL)
                reg_set(L, v, r, 3);
            lua_pop(L, 1);
        }
    return 0;
}

/* What set_registers raised, at the line of the script. A vCPU that is not as it
 * was asked for must not stay behind. */
static int undo(lua_State *L, struct vcpu *v)
{
    if (v->machine->vm)
        vmm_cpu_close(v->cpu);
    v->cpu = NULL;
    lua_pushnil(L);
    lua_rawseti(L, 3, luaL_len(L, 3));
    if (lua_type(L, -1) == LUA_TSTRING) {
        luaL_where(L, 1);
        lua_insert(L, -2);
        lua_concat(L, 2);
    }
    return lua_error(L);
}

static const luaL_Reg meta[] = {{"__index", vcpu_index},
                                {"__newindex", vcpu_newindex},
                                {"__tostring", vcpu_tostring},
                                {"__pairs", vcpu_pairs},
                                {NULL, NULL}};

static const luaL_Reg methods[] = {{"sysreg", vcpu_sysreg},
                                   {"msr", vcpu_msr},
                                   {"breakpoint", vcpu_breakpoint},
                                   {"watchpoint", vcpu_watchpoint},
                                   {"translate", vcpu_translate},
                                   {"irq", vcpu_irq},
                                   {"fiq", vcpu_fiq},
                                   {"inject", vcpu_inject},
                                   {"kick", vcpu_kick},
                                   {"answer", vcpu_answer},
                                   {"enter", vcpu_enter},
                                   {"step", vcpu_step},
                                   {"run", vcpu_run},
                                   {"stop", vcpu_stop},
                                   {NULL, NULL}};

/* Push the table of names of an architecture, made when it is first asked for: its
 * key in the registry is an address here. */
static void push_names(lua_State *L, enum vmm_arch arch)
{
    static const char keys[VMM_ARCHES];
    const struct vmm_reg_name *r;

    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &keys[arch]) == LUA_TTABLE)
        return;
    lua_pop(L, 1);
    lua_newtable(L);
    for (size_t i = 0; (r = vmm_reg_name(arch, i)); i++) {
        lua_pushlightuserdata(L, (void *)(uintptr_t)r);
        lua_setfield(L, -2, r->name); /* names["x0"] = r */
    }
    luaL_setfuncs(L, methods, 0); /* names["run"] = run */
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &keys[arch]);
}

/* Push a new vCPU of the machine at index 1, still without a vCPU of core's. */
static struct vcpu *push_vcpu(lua_State *L, struct machine *m)
{
    struct vcpu *v =
        lua_newuserdatauv(L, sizeof *v, 2); /* machine, coroutine */

    *v = (struct vcpu){.machine = m, .arch = vmm_arch(m->vm)};
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1);
    luaL_newlibtable(L, meta);
    lua_pushvalue(L, -2);
    push_names(L, v->arch);
    luaL_setfuncs(L, meta, 2); /* upvalues: the vCPU, its names */
    obj_hide(L, HV_VCPU);
    lua_pushlightuserdata(L, v);
    lua_rawsetp(L, -2, &marker);
    lua_setmetatable(L, -2);
    return v;
}

/* See open_machine() in vmlib.c. */
static int open_vcpu(lua_State *L, struct machine *m, struct vmm_cpu **cpu)
{
    int rc = vmm_cpu_open(m->vm, cpu);

    if (rc != VMM_EHOST && rc != VMM_ENOMEM)
        return rc;
    lua_gc(L, LUA_GCCOLLECT);
    return vmm_cpu_open(m->vm, cpu);
}

int vm_vcpu(lua_State *L)
{
    struct machine *m = vm_self(L);
    enum vmm_arch arch = vmm_arch(m->vm);
    struct vcpu *v;

    obj_method(L, 1, "vcpu");
    lua_settop(L, 2);
    if (lua_istable(L, 2))
        check_registers(L, 2, arch);
    else if (!lua_isnil(L, 2))
        return luaL_error(L, "vcpu: a table expected, got %s",
                          luaL_typename(L, 2));
    lua_getiuservalue(L, 1, UV_CPUS);
    v = push_vcpu(L, m);
    run_prepare(L, v, 1);
    lua_pushvalue(L, -1);
    lua_rawseti(L, 3, luaL_len(L, 3) + 1); /* cpus[#cpus + 1] = v */
    vm_usable(L, m);                       /* still: a finalizer may have run */
    if (open_vcpu(L, m, &v->cpu) < 0) {
        lua_pushnil(L);
        lua_rawseti(L, 3, luaL_len(L, 3));
        return obj_fail(L);
    }
    if (lua_istable(L, 2)) {
        lua_pushcfunction(L, set_registers);
        lua_pushlightuserdata(L, v);
        lua_pushvalue(L, 2);
        if (lua_pcall(L, 2, 0, 0) != LUA_OK)
            return undo(L, v);
    }
    vm_usable(L, m);
    m->cpu[vmm_cpu_index(v->cpu)] = v;
    return 1;
}
