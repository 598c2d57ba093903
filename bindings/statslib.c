/* SPDX-License-Identifier: MIT */
/* statslib.c - counting exits, and where a run's time goes; see stats.h. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "stats.h"

enum {
    READS = 5,        /* of the clock for an exact exit */
    CHECKED = 256,    /* every so many exits: was it too much? */
    ALLOWED = 300000, /* nanoseconds of it are fine, */
    SHARE = 200,      /* and one part in so many of the time */
    LEAST = 2000000,  /* between the looks of the sampling thread; */
    MOST = 20000000   /* and later on, when one more tells less */
};

struct stats {
    struct runs *runs;
    uint64_t begun, total, nested; /* runs, their time, that inside handlers */
    uint64_t timed;                /* exits with exact times */
    uint64_t cost;                 /* of 1000 reads of the clock */
    _Atomic bool exact;
    struct stats_row lost; /* for what there is no memory to count */
    /* the sampling thread */
    pthread_t thread;
    bool sampling;
    _Atomic bool done;
    uint64_t started;
    _Atomic uint64_t looked;  /* when; read without the lock too */
    const struct run *seen;   /* at the last look, */
    enum stats_place seen_in; /* and what it was doing */
    uint32_t random;
};

static const char key[] = "hv.stats";       /* struct stats, in the registry */
static const char row_key[] = "hv.statrow"; /* "kind\nhandler\nsource" -> row */

static uint64_t clock_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* ---- the sampling thread ------------------------------------------------- */

/* The time since the last look, in this run; from now on there is a new one. */
static uint64_t since_look(struct stats *s, const struct run *run)
{
    uint64_t now = clock_now();
    uint64_t from = run && run->began > s->looked ? run->began : s->looked;

    s->looked = now;
    return now > from ? now - from : 0;
}

/* Under the lock of the runs: what is the innermost one doing? Its outer ones
 * wait for it. The time since the last look goes there: to Lua, to the guest (the
 * exit that comes next gets that), or to hvlua, which has the last exit in hand.
 * Not that of a run in whose handler times ceased to be exact: it still counts. */
static void look(struct run *run, void *ctx)
{
    struct stats *s = ctx;
    uint64_t passed = since_look(s, run);
    struct stats_row *row;
    bool inside = false;

    s->seen = NULL;
    if (!run || !run->m->stats || run->exact)
        return;
    s->seen = run;
    for (int i = 0; i < 64; i++)
        if (run->m->stats->meters[i].inside) {
            run->m->stats->meters[i].guest += passed;
            inside = true;
        }
    s->seen_in = run->handling ? STATS_LUA : inside ? STATS_GUEST : STATS_HVLUA;
    row = run->row;
    if (row && s->seen_in != STATS_GUEST)
        row->ns[s->seen_in] += passed;
}

/* The thread's own look. How long a handler that it saw has taken, and where the
 * next one begins, is known exactly if there is another look as it ends. */
static void look_in(struct run *run, void *ctx)
{
    struct stats *s = ctx;

    look(run, ctx);
    if (s->seen && s->seen_in == STATS_LUA)
        run->looked_in = true;
}

static void look_after(struct run *run, void *ctx)
{
    struct stats *s = ctx;

    look(run, ctx);
    s->seen_in = STATS_GUEST; /* is next */
}

void stats_handled(struct run *run)
{
    struct stats *s = run->m->stats->stats;

    run->looked_in = false;
    runs_look(s->runs, look_after, s);
}

/* The end of a run is no time like others to look at what it does: what is left
 * goes to what the last look saw. */
static void look_last(struct run *run, void *ctx)
{
    struct stats *s = ctx;
    uint64_t passed = since_look(s, run);
    struct stats_row *row = run->row;

    if (row && s->seen == run)
        row->ns[s->seen_in] += passed;
    s->seen = NULL; /* another run may have its place */
}

/* Not in step with anything that the guest does once a millisecond. */
static long pause_before(struct stats *s)
{
    uint64_t period = (s->looked - s->started) / 50;

    period = period < LEAST ? LEAST : period > MOST ? MOST : period;
    s->random = s->random * 1664525 + 1013904223;
    return (long)(period / 2 + (s->random >> 8) % period);
}

static void *sample(void *arg)
{
    struct stats *s = arg;

    while (!s->done) {
        struct timespec t = {.tv_nsec = pause_before(s)};

        nanosleep(&t, NULL);
        runs_look(s->runs, look_in, s);
    }
    return NULL;
}

/* Where no thread can be had, times stay exact, at their cost. */
static void start_sampling(struct stats *s)
{
    s->started = clock_now(); /* the thread may take its time */
    s->looked = s->started;
    s->sampling = thread_start(&s->thread, sample, s) == 0;
    s->exact = !s->sampling;
}

static int stats_close(lua_State *L)
{
    struct stats *s = lua_touserdata(L, 1);

    s->done = true;
    if (s->sampling)
        pthread_join(s->thread, NULL);
    s->sampling = false;
    return 0;
}

/* ---- rows ---------------------------------------------------------------- */

/* The row of that key on top, made if it is new. Leaves nothing. */
static struct stats_row *row_of(lua_State *L)
{
    struct stats_row *row;

    lua_getfield(L, LUA_REGISTRYINDEX, row_key);
    lua_pushvalue(L, -2);
    if (lua_rawget(L, -2) == LUA_TNIL) {
        lua_pushvalue(L, -3);
        row = lua_newuserdatauv(L, sizeof *row, 0);
        memset(row, 0, sizeof *row);
        lua_rawset(L, -4); /* rows[key] = row */
    } else
        row = lua_touserdata(L, -1);
    lua_pop(L, 3);
    return row;
}

/* "demo.lua:12", or nothing where that is no Lua function, also none of a typed
 * hypercall's. */
static void push_source(lua_State *L, int idx)
{
    lua_Debug ar;

    lua_pushvalue(L, idx);
    if (lua_type(L, -1) == LUA_TUSERDATA) {
        lua_getiuservalue(L, -1, 1);
        lua_replace(L, -2);
    }
    if (!lua_isfunction(L, -1) || lua_iscfunction(L, -1)) {
        lua_pop(L, 1);
        lua_pushliteral(L, "");
        return;
    }
    lua_getinfo(L, ">S", &ar);
    lua_pushfstring(L, "%s:%d", ar.short_src, ar.linedefined);
}

static void push_number(lua_State *L, const char *before, uint64_t n)
{
    char text[40];

    snprintf(text, sizeof text, n < 4096 ? "%s%llu" : "%s0x%llx", before,
             (unsigned long long)n);
    lua_pushstring(L, text);
}

/* The arguments of make_row(). */
enum { ROW_VCPU = 1, ROW_SEEN, ROW_DEVICES, ROW_HANDLER };

/* The device's name, else where it is. */
static void push_device(lua_State *L, const struct device *d)
{
    if (d->name != LUA_NOREF &&
        lua_rawgeti(L, ROW_DEVICES, d->name) == LUA_TSTRING)
        return;
    push_number(L, d->port ? "port " : "", d->at);
}

/* Protected: make_row(vcpu, seen, devices, handler) */
static int make_row(lua_State *L)
{
    struct vcpu *v = lua_touserdata(L, ROW_VCPU);
    struct stats_seen *seen = lua_touserdata(L, ROW_SEEN);
    const struct device *d = (const struct device *)(uintptr_t)seen->id;

    lua_settop(L, ROW_HANDLER);
    lua_pushfstring(L, "%s\n", vmm_kind_name(v->exit->kind));
    if (seen->sort == STATS_DEVICE) {
        int function = d->read == LUA_NOREF ? d->write : d->read;

        lua_rawgeti(L, ROW_DEVICES, function);
        lua_replace(L, ROW_HANDLER);
        push_device(L, d);
    } else if (seen->sort == STATS_HYPERCALL)
        push_number(L, "", seen->id);
    else
        lua_pushstring(L, seen->sort == STATS_ON ? "on" : "");
    lua_pushliteral(L, "\n");
    push_source(L, ROW_HANDLER);
    lua_concat(L, 4);
    seen->row = row_of(L);
    return 0;
}

struct stats_row *stats_find(struct run *run, struct vcpu *v,
                             enum stats_sort sort, uint64_t id)
{
    struct machine_stats *m = run->m->stats;
    struct stats_seen *seen =
        &m->seen[(id ^ id >> 7 ^ (uint64_t)sort << 5) % STATS_SEEN];
    bool made = true;

    if (seen->row && seen->id == id && seen->kind == v->exit->kind &&
        seen->sort == sort)
        return seen->row;
    *seen = (struct stats_seen){&m->stats->lost, id, v->exit->kind, sort};
    lua_pushcfunction(v->co, make_row);
    lua_pushlightuserdata(v->co, v);
    lua_pushlightuserdata(v->co, seen);
    lua_pushvalue(v->co, CO_DEVICES);
    lua_pushvalue(v->co, -5);
    if (lua_pcall(v->co, 4, 0, 0) != LUA_OK) { /* no memory */
        lua_pop(v->co, 1);
        seen->row = NULL; /* the next one tries again */
        made = false;
    }
    if (made && sort == STATS_HYPERCALL && id < HV_QUICK)
        m->quick[id] = seen->row;
    return made ? seen->row : &m->stats->lost;
}

void stats_forget(struct machine *m)
{
    if (!m->stats)
        return;
    memset(m->stats->seen, 0, sizeof m->stats->seen);
    memset(m->stats->quick, 0, sizeof m->stats->quick);
}

/* ---- exact times --------------------------------------------------------- */

/* A machine that runs inside the handler has its time itself. */
int stats_call(struct run *run, lua_State *co, int nargs)
{
    struct stats *s = run->m->stats->stats;
    uint64_t began = clock_now(), nested = s->nested, passed;
    int status = lua_pcall(co, nargs, LUA_MULTRET, CO_MESSAGE);

    passed = clock_now() - began;
    run->away += passed;
    run->lua += passed - (s->nested - nested);
    return status;
}

static void stop_timing(struct run *run)
{
    run->exact = false;
    for (int i = 0; i < 64; i++)
        run->m->stats->meters[i].timed = false;
}

void stats_exact(struct run *run, unsigned cpu)
{
    struct stats *s = run->m->stats->stats;
    struct vmm_meter *meter = &run->m->stats->meters[cpu];
    struct stats_row *row = run->row;
    uint64_t now = clock_now(), spent;

    row->ns[STATS_LUA] += run->lua;
    row->ns[STATS_HVLUA] += now - meter->left - run->away;
    run->lua = run->away = 0;
    if (++s->timed % CHECKED == 0 && s->exact) {
        spent = s->timed * READS * s->cost / 1000;
        if (spent > ALLOWED + (s->total + now - run->began) / SHARE)
            start_sampling(s);
    }
    if (!s->exact)
        stop_timing(run);
}

/* ---- runs ---------------------------------------------------------------- */

void stats_run_begin(struct run *run, struct vmm_run *config,
                     vmm_on_exit *timed)
{
    struct machine_stats *m = run->m->stats;

    run->exact = m->stats->exact;
    for (int i = 0; i < 64; i++) {
        m->meters[i].timed = run->exact;
        m->meters[i].guest = m->meters[i].entered = 0;
    }
    config->meters = m->meters;
    run->config = config;
    if (run->exact)
        config->on_exit = timed;
    run->nested = m->stats->nested;
    run->began = clock_now();
}

void stats_run_over(struct run *run)
{
    struct stats *s = run->m->stats->stats;

    if (s->sampling)
        runs_look(s->runs, look_last, s);
}

/* What the guest did after its last exit belongs to what ended the run. */
static void count_end(lua_State *L, struct run *run, enum vmm_kind kind)
{
    struct machine_stats *m = run->m->stats;
    uint64_t rest = 0;
    struct stats_row *row;

    for (int i = 0; i < 64; i++)
        rest += m->meters[i].guest;
    if (!rest && kind != VMM_TIMEOUT && kind != VMM_KICK)
        return;
    lua_pushfstring(L, "%s\n\n", vmm_kind_name(kind));
    row = row_of(L);
    row->count++;
    row->ns[STATS_GUEST] += rest;
}

void stats_run_end(lua_State *L, struct run *run, enum vmm_kind kind)
{
    struct stats *s = run->m->stats->stats;
    uint64_t passed = clock_now() - run->began;

    s->begun++;
    if (run->outer)
        s->nested += passed - (s->nested - run->nested);
    else
        s->total += passed;
    count_end(L, run, kind);
}

/* ---- the whole ----------------------------------------------------------- */

static struct stats *find_stats(lua_State *L)
{
    struct stats *s;

    lua_getfield(L, LUA_REGISTRYINDEX, key);
    s = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return s;
}

void stats_machine(lua_State *L, struct machine *m)
{
    struct stats *s = find_stats(L);

    if (!s)
        return;
    m->stats = lua_newuserdatauv(L, sizeof *m->stats, 0);
    memset(m->stats, 0, sizeof *m->stats);
    m->stats->stats = s;
    lua_setiuservalue(L, -2, UV_STATS);
}

static void begin(lua_State *L)
{
    struct stats *s = lua_newuserdatauv(L, sizeof *s, 0);
    uint64_t began;

    memset(s, 0, sizeof *s);
    s->runs = runs_open(L);
    s->exact = true;
    began = clock_now();
    for (int i = 0; i < 1000; i++)
        clock_now();
    s->cost = clock_now() - began;
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, stats_close);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    lua_setfield(L, LUA_REGISTRYINDEX, key);
    lua_newtable(L);
    lua_setfield(L, LUA_REGISTRYINDEX, row_key);
}

static void set_integer(lua_State *L, const char *name, uint64_t value)
{
    lua_pushinteger(L, (lua_Integer)value);
    lua_setfield(L, -2, name);
}

/* The row's userdata is on top. */
static void push_row(lua_State *L)
{
    struct stats_row *row = lua_touserdata(L, -1);

    lua_createtable(L, 0, 4);
    set_integer(L, "count", row->count);
    set_integer(L, "guest", row->ns[STATS_GUEST]);
    set_integer(L, "hvlua", row->ns[STATS_HVLUA]);
    set_integer(L, "lua", row->ns[STATS_LUA]);
}

struct under_way {
    uint64_t runs, began; /* how many there are, and when the outermost began */
};

static void count_under_way(struct run *run, void *ctx)
{
    struct under_way *u = ctx;

    for (; run; run = run->outer) {
        u->runs++;
        u->began = run->began;
    }
}

/* stats() --> what was counted since it was first called: { runs=, total=,
 * exact= (how many exits, where not all were), rows = { ["kind\nhandler\nsource"]
 * = { count=, guest=, hvlua=, lua= } } }, times in nanoseconds */
int hv_stats(lua_State *L)
{
    struct stats *s = find_stats(L);
    struct under_way u = {0};

    if (!s) {
        begin(L);
        s = find_stats(L);
    }
    runs_look(s->runs, count_under_way, &u); /* a handler may end the program */
    lua_createtable(L, 0, 4);
    set_integer(L, "runs", s->begun + u.runs);
    set_integer(L, "total", s->total + (u.began ? clock_now() - u.began : 0));
    if (!s->exact)
        set_integer(L, "exact", s->timed);
    lua_newtable(L);
    lua_getfield(L, LUA_REGISTRYINDEX, row_key);
    lua_pushnil(L); /* for key, row in pairs(rows) */
    while (lua_next(L, -2)) {
        push_row(L);
        lua_replace(L, -2);
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, -5); /* result[key] = { ... } */
    }
    lua_pop(L, 1);
    lua_setfield(L, -2, "rows");
    return 1;
}
