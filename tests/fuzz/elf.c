/* SPDX-License-Identifier: MIT */
/* elf.c - fuzz target: the readers of ELF files, which are Lua: executables
 * (scripts/hv/image.lua) and the assembler's objects (object.lua), with elf.lua
 * and relocate.lua below them. A file may be refused, in words; it must not
 * raise what nobody meant to raise, take much memory, or give what makes no sense:
 * elf.lua beside this file checks that.
 *
 * libFuzzer is led by the lines that run: a hook counts each pair of a line and
 * the one before it in counters of libFuzzer's own kind. */
#include <lualib.h>
#include <stdbool.h>
#include <string.h>

#include "fuzz.h"
#include "hvlib.h"

enum { COUNTERS = 1 << 15, MEMORY = 256 << 20 };

__attribute__((
    section("__libfuzzer_extra_counters"))) static uint8_t counters[COUNTERS];

static lua_State *L;
static size_t used; /* bytes of Lua's memory */
static const char *source;
static bool merging;          /* then a line counts once, by itself */
static unsigned before, base; /* of the source: where its lines begin */

/* Lua's memory has a limit, so that what takes more shows as an error. */
static void *allocate(void *ctx, void *old, size_t from, size_t to)
{
    void *made;

    (void)ctx;
    if (old == NULL)
        from = 0;
    if (to > from && to - from > MEMORY - used)
        return NULL;
    if (to == 0) {
        free(old);
        used -= from;
        return NULL;
    }
    made = realloc(old, to);
    if (made)
        used += to - from;
    return made;
}

/* The same name is the same pointer within a chunk, where it seldom changes. */
static void on_line(lua_State *co, lua_Debug *ar)
{
    unsigned here;

    lua_getinfo(co, "S", ar);
    if (ar->source != source) {
        source = ar->source;
        base = 0;
        for (const char *c = source; *c; c++)
            base = base * 31 + (uint8_t)*c;
    }
    here = base + (unsigned)ar->currentline * 2654435761u;
    here ^= here >> 15;
    if (merging)
        counters[here % COUNTERS] = 1;
    else
        counters[(here ^ before) % COUNTERS]++;
    before = here >> 1;
}

static void run(const char *what, int status)
{
    if (status == LUA_OK)
        return;
    fprintf(stderr, "%s: %s\n", what, lua_tostring(L, -1));
    abort();
}

static char root[4096];

/* HVLUA_ROOT, else the folder it runs in, is where the sources are. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const char *from = getenv("HVLUA_ROOT");

    for (int i = 1; i < *argc; i++)
        merging |= strncmp((*argv)[i], "-merge", 6) == 0;
    snprintf(root, sizeof root, "%s", from ? from : ".");
    L = lua_newstate(allocate, NULL);
    fuzz_check(L != NULL);
    luaL_openlibs(L);
    luaL_requiref(L, "hv.core", luaopen_hv_core, 0);
    lua_getglobal(L, "package");
    lua_pushfstring(L, "%s/scripts/?.lua", root);
    lua_setfield(L, -2, "path");
    lua_settop(L, 0);
    lua_pushfstring(L, "%s/tests/fuzz/elf.lua", root);
    run("elf.lua",
        luaL_loadfile(L, lua_tostring(L, 1)) || lua_pcall(L, 0, 1, 0));
    lua_remove(L, 1); /* the function that it returns stays at 1 */
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    before = 0;
    source = NULL;
    lua_sethook(L, on_line, LUA_MASKLINE, 0);
    lua_pushvalue(L, 1);
    lua_pushlstring(L, (const char *)data, size);
    run("elf", lua_pcall(L, 1, 0, 0));
    lua_sethook(L, NULL, 0, 0);
    lua_settop(L, 1);
    return 0;
}
