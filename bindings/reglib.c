/* SPDX-License-Identifier: MIT */
/* reglib.c - registers as Lua values: integers, strings of bytes, tables for
 * segments, booleans for flags. */
#include <stddef.h>
#include <string.h>

#include "hvlib.h"

/* Struct registers are tables with these fields, of so many bits. */
static const struct {
    const char *name;
    size_t offset, size;
    unsigned bits;
} segment_fields[] = {
#define F(member, bits)                                                        \
    {                                                                          \
#member, offsetof(struct vmm_segment, member),                         \
            sizeof(((struct vmm_segment *)0)->member), bits                    \
    }
    F(base, 64), F(limit, 32), F(selector, 16), F(type, 4),
    F(s, 1),     F(dpl, 2),    F(present, 1),   F(avl, 1),
    F(l, 1),     F(db, 1),     F(g, 1),
#undef F
};

enum { FIELDS = sizeof segment_fields / sizeof segment_fields[0] };

static uint64_t field_get(const struct vmm_segment *s, int i)
{
    const uint8_t *at = (const uint8_t *)s + segment_fields[i].offset;
    uint64_t value = 0;

    switch (segment_fields[i].size) {
    case 1:
        return *at;
    case 2:
        return *(const uint16_t *)(const void *)at;
    case 4:
        return *(const uint32_t *)(const void *)at;
    default:
        memcpy(&value, at, sizeof value);
        return value;
    }
}

static void field_set(struct vmm_segment *s, int i, uint64_t value)
{
    uint8_t *at = (uint8_t *)s + segment_fields[i].offset;

    switch (segment_fields[i].size) {
    case 1:
        *at = (uint8_t)value;
        break;
    case 2:
        *(uint16_t *)(void *)at = (uint16_t)value;
        break;
    case 4:
        *(uint32_t *)(void *)at = (uint32_t)value;
        break;
    default:
        memcpy(at, &value, sizeof value);
        break;
    }
}

static void push_struct(lua_State *L, const struct vmm_reg_name *r,
                        const union vmm_value *value)
{
    if (VMM_REG_CLASS(r->reg) == VMM_TABLE) {
        lua_createtable(L, 0, 2);
        lua_pushinteger(L, (lua_Integer)value->table.base);
        lua_setfield(L, -2, "base");
        lua_pushinteger(L, value->table.limit);
        lua_setfield(L, -2, "limit");
        return;
    }
    lua_createtable(L, 0, FIELDS);
    for (int i = 0; i < FIELDS; i++) {
        lua_pushinteger(L, (lua_Integer)field_get(&value->segment, i));
        lua_setfield(L, -2, segment_fields[i].name);
    }
}

static uint64_t cut(uint64_t value, const struct vmm_reg_name *r)
{
    if (r->bits == 64)
        return value;
    return value >> r->shift & ((UINT64_C(1) << r->bits) - 1);
}

/* A register of as many bytes as this machine has. */
static void push_bytes(lua_State *L, const struct vcpu *v, vmm_reg reg)
{
    luaL_Buffer b;
    size_t size;

    if (vmm_get_bytes(v->cpu, reg, NULL, &size) < 0)
        obj_fail(L);
    luaL_buffinitsize(L, &b, size);
    vm_usable(L, v->machine); /* still: a finalizer may have run */
    if (vmm_get_bytes(v->cpu, reg, luaL_buffaddr(&b), &size) < 0)
        obj_fail(L);
    luaL_pushresultsize(&b, size);
}

void reg_push(lua_State *L, const struct vcpu *v, const struct vmm_reg_name *r)
{
    union vmm_value value;

    vm_usable(L, v->machine); /* still: a finalizer may have run */
    if (r->bits == VMM_BYTES) {
        push_bytes(L, v, r->reg);
        return;
    }
    if (vmm_get(v->cpu, r->reg, &value) < 0)
        obj_fail(L);
    if (r->bits == 1)
        lua_pushboolean(L, value.u64 != 0);
    else if (r->bits == 128)
        lua_pushlstring(L, (const char *)value.bytes, sizeof value.bytes);
    else if (r->bits == 0)
        push_struct(L, r, &value);
    else
        lua_pushinteger(L, (lua_Integer)cut(value.u64, r));
}

/* Fields that the table at idx does not have stay as they are. */
static void read_struct(lua_State *L, int idx, const struct vmm_reg_name *r,
                        union vmm_value *value)
{
    bool table = VMM_REG_CLASS(r->reg) == VMM_TABLE;
    const char *names[FIELDS + 1] = {NULL};
    int n = table ? 2 : FIELDS; /* a table has base and limit only */

    for (int i = 0; i < n; i++)
        names[i] = segment_fields[i].name;
    obj_fields(L, idx, r->name, names);
    for (int i = 0; i < n; i++) {
        unsigned bits = table && i == 1 ? 16 : segment_fields[i].bits;
        uint64_t field;

        if (obj_field(L, idx, names[i]) != LUA_TNIL) {
            if (lua_type(L, -1) != LUA_TNUMBER)
                luaL_error(L, "%s: %s: an integer expected, got %s", r->name,
                           names[i], luaL_typename(L, -1));
            field = obj_integer(L, -1, r->name);
            if (bits < 64 && field >> bits)
                luaL_error(L, "%s: %s: %I does not fit %d bit%s", r->name,
                           names[i], (LUAI_UACINT)field, (int)bits,
                           bits == 1 ? "" : "s");
            if (!table)
                field_set(&value->segment, i, field);
            else if (i == 0)
                value->table.base = field;
            else
                value->table.limit = (uint16_t)field;
        }
        lua_pop(L, 1);
    }
}

/* What the Lua value at idx means for register `r`; `value` has what it is now,
 * where only part of it changes. */
void reg_read(lua_State *L, int idx, const struct vmm_reg_name *r,
              union vmm_value *value)
{
    uint64_t given, mask;

    if (r->bits == 1) {
        if (!lua_isboolean(L, idx))
            luaL_error(L, "%s: a boolean expected, got %s", r->name,
                       luaL_typename(L, idx));
        value->u64 = (uint64_t)lua_toboolean(L, idx);
        return;
    }
    if (r->bits == 0) {
        read_struct(L, idx, r, value);
        return;
    }
    if (r->bits == VMM_BYTES) {
        if (lua_type(L, idx) != LUA_TSTRING)
            luaL_error(L, "%s: a string of bytes expected, got %s", r->name,
                       luaL_typename(L, idx));
        return; /* how many is up to the machine: reg_set() */
    }
    if (r->bits == 128) {
        if (lua_type(L, idx) != LUA_TSTRING)
            luaL_error(L, "%s: a string of 16 bytes expected, got %s", r->name,
                       luaL_typename(L, idx));
        if (lua_rawlen(L, idx) != 16)
            luaL_error(L, "%s: a string of 16 bytes expected, got %I", r->name,
                       (LUAI_UACINT)lua_rawlen(L, idx));
        memcpy(value->bytes, lua_tostring(L, idx), sizeof value->bytes);
        return;
    }
    given = obj_integer(L, idx, r->name);
    if (r->bits == 64) {
        value->u64 = given;
        return;
    }
    mask = (UINT64_C(1) << r->bits) - 1;
    if (given > mask && -given > (mask >> 1) + 1)
        luaL_error(L, "%s: %I does not fit %d bits", r->name,
                   (LUAI_UACINT)given, (int)r->bits);
    given &= mask;
    value->u64 = r->bits == 32
                     ? given
                     : (value->u64 & ~(mask << r->shift)) | given << r->shift;
}

void reg_set(lua_State *L, const struct vcpu *v, const struct vmm_reg_name *r,
             int idx)
{
    union vmm_value value = {0};
    bool part = r->bits == 0 || r->bits == 8 || r->bits == 16;

    vm_usable(L, v->machine); /* still: a finalizer may have run */
    if (part && vmm_get(v->cpu, r->reg, &value) < 0)
        obj_fail(L);
    reg_read(L, idx, r, &value);
    vm_usable(L, v->machine);
    if (r->bits == VMM_BYTES) {
        size_t size;
        const char *bytes = lua_tolstring(L, idx, &size);

        if (vmm_set_bytes(v->cpu, r->reg, bytes, size) < 0)
            obj_fail(L);
        return;
    }
    if (vmm_set(v->cpu, r->reg, &value) < 0)
        obj_fail(L);
}
