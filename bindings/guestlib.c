/* SPDX-License-Identifier: MIT */
/* guestlib.c - guest memory by the pointers that a guest gives its host: virtual
 * addresses, translated by its tables, and never trusted. What is not there is no
 * error but an answer: the guest gets to hear of it. */
#include <string.h>

#include "hvlib.h"

enum { PAGE = 4096 }; /* the smallest that a guest's tables have */

/* One call's buffer, page by page. */
struct span {
    struct vcpu *v;
    uint64_t va, left;
    uint64_t pa, size; /* of what next() has found */
};

/* The host's access ignores prot, the guest's own would not. */
static bool writable(const struct vmm *vm, uint64_t pa, uint64_t size)
{
    struct vmm_range range;

    for (size_t i = 0; vmm_range_at(vm, i, &range); i++)
        if (range.at <= pa + (size - 1) && pa <= range.at + (range.size - 1) &&
            !(range.prot & VMM_W))
            return false;
    return true;
}

/* What the page has of it, into pa and size; whether there is memory is not asked. A
 * handler may have closed the machine, or a finalizer, even between two pages. */
static bool look(struct span *s)
{
    s->size = PAGE - s->va % PAGE;
    if (s->size > s->left)
        s->size = s->left;
    return s->left > 0 && s->v->machine->vm &&
           vmm_translate(s->v->cpu, s->va, &s->pa) > 0;
}

static void pass(struct span *s)
{
    s->va += s->size;
    s->left -= s->size;
}

/* False: nothing is left, or, with something left, there is no memory. */
static bool next(struct span *s, bool write)
{
    if (!look(s) ||
        vmm_mapped(s->v->machine->vm, s->pa, s->size, "guest") < 0 ||
        (write && !writable(s->v->machine->vm, s->pa, s->size)))
        return false;
    pass(s);
    return true;
}

/* Arguments (cpu, va). */
static struct span span_of(lua_State *L, uint64_t n)
{
    return (struct span){
        .v = vcpu_any(L), .va = (uint64_t)luaL_checkinteger(L, 2), .left = n};
}

static bool room(struct span s, bool write)
{
    if (s.left && s.va + (s.left - 1) < s.va)
        return false;
    while (next(&s, write))
        ;
    return s.left == 0;
}

/* room(cpu, va, n, write) --> boolean */
static int guest_room(lua_State *L)
{
    struct span s = span_of(L, (uint64_t)luaL_checkinteger(L, 3));

    lua_pushboolean(L, room(s, lua_toboolean(L, 4)));
    return 1;
}

/* read(cpu, va, n) --> bytes, or nil */
static int guest_read(lua_State *L)
{
    struct span s = span_of(L, (uint64_t)luaL_checkinteger(L, 3));
    size_t n = (size_t)s.left, done = 0;
    luaL_Buffer b;
    char *to;

    if (!room(s, false))
        return 0;
    to = luaL_buffinitsize(L, &b, n);
    s = span_of(L, n);
    while (next(&s, false)) {
        if (vmm_read(s.v->machine->vm, s.pa, to + done, (size_t)s.size) < 0)
            return obj_fail(L);
        done += (size_t)s.size;
    }
    luaL_pushresultsize(&b, done);
    return s.left == 0; /* what was there may be gone by now */
}

struct piece { /* of what is to be written, where it is known to fit */
    uint64_t pa;
    const char *from;
    size_t size;
};

/* Which of the buffers from argument 2 on has no room, from 1; 0: all have, and these
 * are their pieces. */
static int take_apart(lua_State *L, struct vcpu *v, struct piece *pieces,
                      size_t *count)
{
    int top = lua_gettop(L) - 1; /* the pieces are on top */

    *count = 0;
    for (int i = 2; i < top; i += 2) {
        size_t n;
        const char *from = lua_tolstring(L, i + 1, &n);
        struct span s = {
            .v = v, .va = (uint64_t)lua_tointeger(L, i), .left = n};

        if (n && s.va + (n - 1) < s.va)
            return i / 2;
        while (next(&s, true)) {
            pieces[*count] = (struct piece){s.pa, from, (size_t)s.size};
            from += s.size;
            ++*count;
        }
        if (s.left)
            return i / 2;
    }
    return 0;
}

/* write(cpu, va, bytes, va, bytes, ...) --> nil; or the number of the first for which
 * there is no room: then nothing is written. The guest's tables are looked at once,
 * as another vCPU may change them. */
static int guest_write(lua_State *L)
{
    struct vcpu *v = vcpu_any(L);
    size_t most = 0, count;
    struct piece *pieces;
    int bad;

    for (int i = 2; i <= lua_gettop(L); i += 2) {
        size_t n;

        luaL_checkinteger(L, i);
        luaL_checklstring(L, i + 1, &n);
        most += n / PAGE + 2;
    }
    pieces = lua_newuserdatauv(L, most * sizeof *pieces, 0);
    bad = take_apart(L, v, pieces, &count);
    if (bad) {
        lua_pushinteger(L, bad);
        return 1;
    }
    for (size_t i = 0; i < count; i++)
        if (vmm_write(v->machine->vm, pieces[i].pa, pieces[i].from,
                      pieces[i].size) < 0)
            return obj_fail(L);
    return 0;
}

/* As guest_push_string(); s->left tells how it ended. */
static bool push_string(lua_State *L, struct span *s)
{
    int pages = 0;

    for (; look(s); pass(s)) {
        struct vmm *vm = s->v->machine->vm;
        const char *page = vmm_bytes(vm, s->pa, (size_t)s->size), *end;
        char copy[PAGE];

        if (!page && vmm_read(vm, s->pa, copy, (size_t)s->size) < 0)
            break;
        page = page ? page : copy;
        end = memchr(page, 0, (size_t)s->size);
        luaL_checkstack(L, 2, "the string is too long");
        lua_pushlstring(L, page, end ? (size_t)(end - page) : (size_t)s->size);
        pages++;
        if (end) {
            lua_concat(L, pages);
            return true;
        }
    }
    lua_pop(L, pages);
    return false;
}

/* cstring(cpu, va, most) --> string; or nil, and whether it goes on beyond most */
static int guest_cstring(lua_State *L)
{
    struct span s = span_of(L, (uint64_t)luaL_checkinteger(L, 3) + 1);

    if (push_string(L, &s))
        return 1;
    lua_pushnil(L);
    lua_pushboolean(L, s.left == 0);
    return 2;
}

bool guest_push_string(lua_State *L, struct vcpu *v, uint64_t va, size_t most)
{
    struct span s = {.v = v, .va = va, .left = most + 1};

    return push_string(L, &s);
}

/* core.stopping(cpu) --> has a handler stopped the run, or closed the machine? and
 * what was given to stop */
static int stopping(lua_State *L)
{
    const struct vmm *vm = vcpu_any(L)->machine->vm;

    lua_pushboolean(L, !vm || vmm_stopping(vm));
    lua_getiuservalue(L, 1, 1); /* the machine */
    lua_getiuservalue(L, -1, UV_STOP);
    lua_remove(L, -2);
    return 2;
}

/* core.distance(a, b): single-letter changes from one word to the other */
static int distance(lua_State *L)
{
    lua_pushinteger(
        L, vmm_distance(luaL_checkstring(L, 1), luaL_checkstring(L, 2)));
    return 1;
}

static const luaL_Reg functions[] = {{"room", guest_room},
                                     {"read", guest_read},
                                     {"write", guest_write},
                                     {"cstring", guest_cstring},
                                     {NULL, NULL}};

void guest_open(lua_State *L)
{
    luaL_newlib(L, functions);
    lua_setfield(L, -2, "guest"); /* core.guest = {...} */
    lua_pushcfunction(L, stopping);
    lua_setfield(L, -2, "stopping");
    lua_pushcfunction(L, distance);
    lua_setfield(L, -2, "distance");
}
