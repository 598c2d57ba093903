/* SPDX-License-Identifier: MIT */
/* interruptlib.c - ending what does not end by itself: the runs under way, and
 * how time limits and Ctrl-C reach the Lua code in them.
 *
 * Both arrive on other threads. They kick the vCPUs, and send the thread that runs
 * Lua a signal, whose handler arms a debug hook: the one thing that may be done to
 * a Lua state at any moment. */
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "hvlib.h"

struct runs { /* one for each Lua universe, in its registry */
    pthread_mutex_t lock;
    struct run *innermost;
    unsigned generation;
    bool has_main;
    pthread_t main;
};

enum { DEEPEST = 50 }; /* runs inside handlers of runs: a C stack each */

/* ---- interrupting -------------------------------------------------------- */

/* Which Lua thread this thread runs, for the signal's handler; whether that has
 * armed a hook since a handler ended; and how often it was interrupted. */
static _Thread_local lua_State *volatile handled;
static _Thread_local volatile sig_atomic_t armed, interrupted;

enum { STUBBORN = 3 }; /* a handler that catches more of them gets no rest */

static void interrupt_hook(lua_State *L, lua_Debug *ar)
{
    (void)ar;
    if (interrupted++ < STUBBORN)
        lua_sethook(L, NULL, 0, 0);
    luaL_error(L, "interrupted!");
}

bool interrupt_here(void)
{
    if (!handled)
        return false;
    armed = 1;
    lua_sethook(handled, interrupt_hook,
                LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT, 1);
    return true;
}

static void on_signal(int signal)
{
    (void)signal;
    interrupt_here();
}

/* SIGURG: ignored by default, so a stray one is harmless, and hardly ever used.
 * Without SA_RESTART a blocking read in a handler ends as well. */
void interrupt_catch(void)
{
    struct sigaction old, action = {.sa_handler = on_signal};

    if (sigaction(SIGURG, NULL, &old) == 0 && old.sa_handler != on_signal) {
        sigemptyset(&action.sa_mask);
        sigaction(SIGURG, &action, NULL);
    }
}

static void interrupt(const struct machine *m, bool on)
{
    for (size_t i = 0; i < sizeof m->cpu / sizeof m->cpu[0]; i++)
        if (m->cpu[i] && m->cpu[i]->cpu)
            vmm_interrupt(m->cpu[i]->cpu, on);
}

/* `signalled` first: interrupt_end() looks at these two the other way round. */
static void signal_handler_of(struct run *run)
{
    run->signalled = true;
    if (run->handling)
        pthread_kill(run->thread, SIGURG);
}

/* Core's watchdog: the run's time is up, core has seen to its vCPUs; what is
 * left are runs inside its handlers, and the handlers themselves. */
void interrupt_timeout(void *ctx)
{
    struct run *run = ctx;
    struct runs *runs = run->m->runs;

    run->timed_out = true;
    pthread_mutex_lock(&runs->lock);
    for (struct run *r = runs->innermost; r; r = r->outer) {
        signal_handler_of(r);
        if (r == run)
            break;
        interrupt(r->m, true);
    }
    pthread_mutex_unlock(&runs->lock);
}

void runs_interrupt(struct runs *runs, bool here)
{
    pthread_mutex_lock(&runs->lock);
    for (struct run *r = runs->innermost; r; r = r->outer) {
        interrupt(r->m, true);
        if (!(here && r->handling && pthread_equal(r->thread, runs->main)))
            signal_handler_of(r);
    }
    if (runs->has_main && !here)
        pthread_kill(runs->main, SIGURG);
    pthread_mutex_unlock(&runs->lock);
}

void runs_look(struct runs *runs, void (*look)(struct run *run, void *ctx),
               void *ctx)
{
    pthread_mutex_lock(&runs->lock);
    look(runs->innermost, ctx);
    pthread_mutex_unlock(&runs->lock);
}

void runs_main(struct runs *runs, lua_State *L)
{
    interrupt_catch();
    handled = L;
    runs->main = pthread_self();
    runs->has_main = true;
}

void runs_clear(lua_State *L)
{
    interrupted = 0;
    armed = 0;
    if (lua_gethook(L) == interrupt_hook)
        lua_sethook(L, NULL, 0, 0);
}

void runs_forked(struct runs *runs, lua_State *L)
{
    pthread_mutex_init(&runs->lock, NULL); /* a lost thread may have held it */
    runs->innermost = NULL;
    runs->generation++;
    runs_main(runs, L);
}

void runs_forget(struct runs *runs, struct machine *m)
{
    pthread_mutex_lock(&runs->lock);
    for (size_t i = 0; i < sizeof m->cpu / sizeof m->cpu[0]; i++)
        if (m->cpu[i])
            m->cpu[i]->cpu = NULL;
    pthread_mutex_unlock(&runs->lock);
}

const unsigned *runs_generation(const struct runs *runs)
{
    return &runs->generation;
}

static int runs_close(lua_State *L)
{
    struct runs *runs = lua_touserdata(L, 1);

    pthread_mutex_destroy(&runs->lock);
    return 0;
}

struct runs *runs_open(lua_State *L)
{
    static const char key[] = "hv.runs";
    struct runs *runs;

    if (lua_getfield(L, LUA_REGISTRYINDEX, key) == LUA_TNIL) {
        lua_pop(L, 1);
        runs = lua_newuserdatauv(L, sizeof *runs, 0);
        memset(runs, 0, sizeof *runs);
        pthread_mutex_init(&runs->lock, NULL);
        lua_createtable(L, 0, 1);
        lua_pushcfunction(L, runs_close);
        lua_setfield(L, -2, "__gc");
        lua_setmetatable(L, -2);
        lua_pushvalue(L, -1);
        lua_setfield(L, LUA_REGISTRYINDEX, key);
    }
    runs = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return runs;
}

/* ---- runs ---------------------------------------------------------------- */

void run_enter(lua_State *L, struct run *run)
{
    struct runs *runs = run->m->runs;
    int depth = 0;

    for (struct run *r = runs->innermost; r; r = r->outer)
        depth++;
    if (depth >= DEEPEST)
        luaL_error(L,
                   "run: %d machines run in each other's handlers: too "
                   "deep",
                   depth);
    pthread_mutex_lock(&runs->lock);
    interrupt(run->m, false); /* what came as its last run was ending */
    run->outer = runs->innermost;
    runs->innermost = run;
    pthread_mutex_unlock(&runs->lock);
    run->m->run = run;
}

void run_leave(struct run *run)
{
    struct runs *runs = run->m->runs;

    pthread_mutex_lock(&runs->lock);
    runs->innermost = run->outer;
    pthread_mutex_unlock(&runs->lock);
    run->m->run = NULL;
}

/* ---- around a call of Lua ------------------------------------------------ */

lua_State *interrupt_begin(struct run *run, lua_State *co)
{
    lua_State *before = handled;

    interrupted = 0;
    run->thread = pthread_self();
    handled = co;
    /* This is around every handler, and no load of ours has to come after it:
     * so it need not wait for anything. */
    atomic_store_explicit(&run->handling, true, memory_order_release);
    return before;
}

/* A signal that was sent while the handler was running, and has not come yet,
 * would hit the script that called run(). Once the sender has let go of the lock,
 * it is pending, and then is delivered before a call about signals returns. */
static void await_signal(struct runs *runs)
{
    sigset_t none;

    pthread_mutex_lock(&runs->lock);
    pthread_mutex_unlock(&runs->lock);
    sigemptyset(&none);
    pthread_sigmask(SIG_BLOCK, &none, NULL);
}

bool interrupt_end(struct run *run, lua_State *co, lua_State *before)
{
    run->handling = false;
    if (run->signalled)
        await_signal(run->m->runs);
    handled = before;
    if (armed) {
        armed = 0;
        if (lua_gethook(co) == interrupt_hook)
            lua_sethook(co, NULL, 0, 0);
        /* Ctrl-C that the handler was too short to obey is for who called run();
         * a run whose time is up says so by its exit. */
        if (!interrupted && !run->timed_out)
            on_signal(SIGURG);
    }
    return interrupted != 0;
}
