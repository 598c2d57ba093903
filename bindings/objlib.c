/* SPDX-License-Identifier: MIT */
/* objlib.c - userdata, arguments, options, sizes: the idioms of all bindings. */
#include <inttypes.h>
#include <string.h>

#include "hvlib.h"

void obj_hide(lua_State *L, const char *name)
{
    lua_pushstring(L, name);
    lua_setfield(L, -2, "__name");
    lua_pushliteral(L, "protected");
    lua_setfield(L, -2, "__metatable"); /* nobody calls __gc by hand */
}

void obj_type(lua_State *L, const char *name, const luaL_Reg *methods, int nup)
{
    int up = lua_gettop(L) - nup + 1;

    luaL_newmetatable(L, name); /* local mt = {} */
    for (const luaL_Reg *m = methods; m->name; m++) {
        lua_pushvalue(L, -1);
        for (int i = 0; i < nup; i++)
            lua_pushvalue(L, up + i);
        lua_pushcclosure(L, m->func, 1 + nup);
        lua_setfield(L, -2, m->name); /* mt[m.name] = m.func */
    }
    if (lua_getfield(L, -1, "__index") == LUA_TNIL) {
        lua_pushvalue(L, -2);
        lua_setfield(L, -3, "__index"); /* mt.__index = mt */
    }
    lua_pop(L, 1);
    obj_hide(L, name);
    lua_insert(L, up); /* only mt stays */
    lua_settop(L, up);
}

void obj_not(lua_State *L, const char *name)
{
    luaL_error(L,
               "%s expected as the first argument, got %s: write a:b(), "
               "not a.b()",
               name, luaL_typename(L, 1));
}

/* luaL_checkudata() looks its name up in the registry; comparing metatables is
 * twice as fast, and every register access pays for it. */
void *obj_self(lua_State *L, const char *name)
{
    void *self = lua_touserdata(L, 1);

    if (self && lua_getmetatable(L, 1)) {
        int same = lua_rawequal(L, -1, lua_upvalueindex(1));

        lua_pop(L, 1);
        if (same)
            return self;
    }
    obj_not(L, name);
    return NULL;
}

int obj_fail(lua_State *L)
{
    return luaL_error(L, "%s", vmm_why());
}

/* ---- numbers ------------------------------------------------------------- */

/* Digits of `base` up to another character. False: more than 2^63-1. */
static bool digits(const char **s, unsigned base, uint64_t *value)
{
    for (*value = 0;; (*s)++) {
        unsigned d = (unsigned char)**s;

        if (d >= '0' && d <= '9')
            d -= '0';
        else if (base == 16 && ((d | 32) >= 'a' && (d | 32) <= 'f'))
            d = (d | 32) - 'a' + 10;
        else
            return true;
        if (*value > ((uint64_t)INT64_MAX - d) / base)
            return false;
        *value = *value * base + d;
    }
}

static const char too_large[] = "does not fit in 63 bits";

/* "64K" in bytes. NULL, or why it is none. */
static const char *parse(const char *s, size_t len, uint64_t *value)
{
    static const char units[] = "KMGT";
    const char *end = s + len, *start;
    bool hex = s[0] == '0' && (s[1] | 32) == 'x';
    const char *unit;
    unsigned shift;

    s += hex ? 2 : 0;
    start = s;
    if (*s == '-')
        return "must not be negative";
    if (!digits(&s, hex ? 16 : 10, value))
        return too_large;
    if (s == start)
        return "not a size: write 4096, 0x1000, \"64K\" or \"1M\"";
    if (s == end)
        return NULL;
    if (*s == '.')
        return "must be a whole number: use a smaller unit";
    unit = *s & ~32 ? strchr(units, *s & ~32) : NULL;
    if (!unit || s + 1 != end)
        return "unknown unit: use K, M, G or T";
    shift = 10 * (unsigned)(unit - units + 1);
    if (*value > (uint64_t)INT64_MAX >> shift)
        return too_large;
    *value <<= shift;
    return NULL;
}

uint64_t obj_integer_of(lua_State *L, int idx, const char *what)
{
    int exact;
    lua_Integer value = lua_tointegerx(L, idx, &exact);

    if (lua_type(L, idx) != LUA_TNUMBER)
        luaL_error(L, "%s: an integer expected, got %s", what,
                   lua_isnoneornil(L, idx) ? "nothing" : luaL_typename(L, idx));
    if (!exact)
        luaL_error(L, "%s: %f is not a 64-bit integer", what,
                   lua_tonumber(L, idx));
    return (uint64_t)value;
}

uint64_t obj_address_of(lua_State *L, int idx, const char *what)
{
    uint64_t value = 0;
    const char *why;

    if (lua_type(L, idx) != LUA_TSTRING)
        return obj_integer(L, idx, what);
    why = parse(lua_tostring(L, idx), lua_rawlen(L, idx), &value);
    if (why)
        luaL_error(L, "%s: \"%s\": %s", what, lua_tostring(L, idx), why);
    return value;
}

uint64_t obj_size(lua_State *L, int idx, const char *what)
{
    uint64_t value = obj_address(L, idx, what);

    if (value > INT64_MAX)
        luaL_error(L, "%s: %I: must not be negative", what, (LUAI_UACINT)value);
    return value;
}

const char *obj_name(lua_State *L, int idx)
{
    if (lua_isnil(L, idx))
        return "nothing";
    if (lua_type(L, idx) == LUA_TNUMBER)
        return luaL_tolstring(L, idx, NULL);
    return luaL_typename(L, idx);
}

void obj_where(lua_State *L, int idx)
{
    lua_Debug ar;

    lua_pushvalue(L, idx);
    if (lua_type(L, -1) != LUA_TFUNCTION) {
        lua_pop(L, 1);
        lua_pushliteral(L, "");
        return;
    }
    lua_getinfo(L, ">S", &ar);
    if (ar.linedefined > 0)
        lua_pushfstring(L, "%s:%d: ", ar.short_src, ar.linedefined);
    else
        lua_pushliteral(L, "");
}

/* ---- strings, booleans --------------------------------------------------- */

const char *obj_string(lua_State *L, int idx, const char *what,
                       const char *expected)
{
    const char *s;

    if (lua_type(L, idx) != LUA_TSTRING)
        luaL_error(L, "%s: %s expected, got %s", what, expected,
                   lua_isnoneornil(L, idx) ? "nothing" : luaL_typename(L, idx));
    s = lua_tostring(L, idx);
    if (strlen(s) != lua_rawlen(L, idx))
        luaL_error(L, "%s: \"%s\": has a zero byte behind it", what, s);
    return s;
}

bool obj_boolean(lua_State *L, int idx, const char *what, bool otherwise)
{
    if (lua_isnoneornil(L, idx))
        return otherwise;
    if (!lua_isboolean(L, idx))
        luaL_error(L, "%s: a boolean expected, got %s", what,
                   luaL_typename(L, idx));
    return lua_toboolean(L, idx);
}

/* size(value [, what]) --> bytes */
int hv_size(lua_State *L)
{
    const char *what = luaL_optstring(L, 2, "size");

    lua_pushinteger(L, (lua_Integer)obj_size(L, 1, what));
    return 1;
}

/* ---- protection ---------------------------------------------------------- */

static const char prot_letters[] = "rwx"; /* VMM_R, VMM_W, VMM_X */

unsigned obj_prot(lua_State *L, int idx, const char *what, const char *letters,
                  unsigned otherwise)
{
    unsigned prot = 0;
    const char *s;

    if (lua_isnoneornil(L, idx))
        return otherwise;
    if (lua_type(L, idx) != LUA_TSTRING)
        luaL_error(L, "%s: a string of %s expected, got %s", what, letters,
                   luaL_typename(L, idx));
    s = obj_string(L, idx, what, letters);
    for (const char *c = s; *c; c++) {
        const char *hit = strchr(letters, *c);

        if (*c != '-' && !hit)
            luaL_error(L, "%s: \"%s\": only the letters %s and - are allowed",
                       what, s, letters);
        if (hit)
            prot |= 1u << (strchr(prot_letters, *c) - prot_letters);
    }
    if (!prot)
        luaL_error(L, "%s: \"%s\": needs at least one of %s", what, s, letters);
    return prot;
}

void obj_push_prot(lua_State *L, unsigned prot)
{
    char text[4] = "---";

    for (int i = 0; i < 3; i++)
        if (prot >> i & 1)
            text[i] = prot_letters[i];
    lua_pushstring(L, text);
}

/* ---- options ------------------------------------------------------------- */

int obj_field(lua_State *L, int idx, const char *name)
{
    idx = lua_absindex(L, idx);
    lua_pushstring(L, name);
    return lua_rawget(L, idx);
}

const char *obj_nearest(const char *name, const char *const *names)
{
    const char *nearest = NULL;
    unsigned least = 3; /* further away is another word */

    for (; *names; names++) {
        unsigned d = vmm_distance(name, *names);

        if (d < least) {
            least = d;
            nearest = *names;
        }
    }
    return nearest;
}

static int unknown_field(lua_State *L, const char *what, const char *name,
                         const char *const *names)
{
    const char *nearest = obj_nearest(name, names);
    luaL_Buffer b;

    if (nearest)
        return luaL_error(L, "%s: unknown field \"%s\": did you mean \"%s\"?",
                          what, name, nearest);
    luaL_buffinit(L, &b);
    for (int i = 0; names[i]; i++) {
        luaL_addstring(&b, i ? ", " : "");
        luaL_addstring(&b, names[i]);
    }
    luaL_pushresult(&b);
    return luaL_error(L, "%s: unknown field \"%s\": the fields are %s", what,
                      name, lua_tostring(L, -1));
}

void obj_fields(lua_State *L, int idx, const char *what,
                const char *const *names)
{
    if (!lua_istable(L, idx))
        luaL_error(L, "%s: a table expected, got %s", what,
                   lua_isnoneornil(L, idx) ? "nothing" : luaL_typename(L, idx));
    lua_pushnil(L); /* for key in pairs(t) */
    while (lua_next(L, idx)) {
        int i = 0;

        lua_pop(L, 1);
        if (lua_type(L, -1) != LUA_TSTRING)
            luaL_error(L, "%s: field names expected as keys, got a %s", what,
                       luaL_typename(L, -1));
        while (names[i] && strcmp(names[i], lua_tostring(L, -1)) != 0)
            i++;
        if (!names[i] || strlen(names[i]) != lua_rawlen(L, -1))
            unknown_field(L, what, lua_tostring(L, -1), names);
    }
}

static void arguments(lua_State *L, int given, int most, const char *what)
{
    if (given > most && most == 0)
        luaL_error(L, "%s: takes no arguments, got %d", what, given);
    if (given > most)
        luaL_error(L, "%s: takes at most %d argument%s, got %d", what, most,
                   most == 1 ? "" : "s", given);
}

void obj_method(lua_State *L, int most, const char *what)
{
    arguments(L, lua_gettop(L) - 1, most, what);
}

void obj_function(lua_State *L, int most, const char *what)
{
    arguments(L, lua_gettop(L), most, what);
}
