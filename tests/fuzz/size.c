/* SPDX-License-Identifier: MIT */
/* size.c - fuzz target: size strings, hv.size() in bindings/objlib.c, against the
 * grammar written down once more:
 *
 *   [0-9]+ or 0[xX][0-9a-fA-F]+, then at most one of K M G T in either case; less
 *   than 2^63 in all */
#include <string.h>

#include "fuzz.h"
#include "hvlib.h"

static lua_State *L;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    L = luaL_newstate();
    return 0;
}

static int digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : 16;
}

/* -1: it is no size. */
static __int128 meaning(const uint8_t *s, size_t n)
{
    const __int128 end = (__int128)1 << 63;
    __int128 value = 0;
    int base = n > 1 && s[0] == '0' && (s[1] | 32) == 'x' ? 16 : 10;
    size_t i = base == 16 ? 2 : 0, first = i;

    for (; i < n && digit(s[i]) < base; i++)
        if (value < end)
            value = value * base + digit(s[i]);
    if (i == first)
        return -1;
    if (i + 1 == n) {
        static const char units[] = {'k', 'm', 'g', 't'};
        const char *unit = memchr(units, s[i] | 32, sizeof units);

        if (!unit || s[i] < 'A')
            return -1;
        value <<= 10 * (unit - units + 1);
        i++;
    }
    return i == n && value < end ? value : -1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    __int128 want = meaning(data, size);
    int status;

    lua_pushcfunction(L, hv_size);
    lua_pushlstring(L, (const char *)data, size);
    lua_pushliteral(L, "the size");
    status = lua_pcall(L, 2, 1, 0);
    if (want < 0) {
        fuzz_check(status == LUA_ERRRUN);
        fuzz_check(strstr(lua_tostring(L, -1), "the size: \"") != NULL);
    } else {
        fuzz_check(status == LUA_OK);
        fuzz_check(lua_isinteger(L, -1) && lua_tointeger(L, -1) == want);
    }
    lua_settop(L, 0);
    return 0;
}
