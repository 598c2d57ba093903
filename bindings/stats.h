/* SPDX-License-Identifier: MIT */
/* stats.h - counting exits, and where a run's time goes (hvlua --stats).
 *
 * Nothing of it happens to machines that were made while nobody counts: their
 * `stats` is NULL. Else each exit is counted where its handler is found. Times
 * are exact at first: five looks at the clock for each exit, which is more than
 * some exits take. Once that has cost too much a thread looks instead, every few
 * milliseconds, at what is being done. */
#ifndef STATS_H
#define STATS_H

#include "../core/meter.h"
#include "hvlib.h"

enum stats_place { STATS_GUEST, STATS_HVLUA, STATS_LUA, STATS_PLACES };

struct stats_row { /* one handler of one kind of exit */
    uint64_t count;
    _Atomic uint64_t ns[STATS_PLACES];
};

/* Who handles an exit: a hypercall by number, a device by its place in memory,
 * a kind's handler, or nobody. */
enum stats_sort { STATS_HYPERCALL, STATS_DEVICE, STATS_ON, STATS_NOBODY };

enum { STATS_SEEN = 128 };

struct machine_stats {
    struct stats *stats;
    struct vmm_meter meters[64];       /* by index of the vCPU */
    struct stats_row *quick[HV_QUICK]; /* rows of small hypercall numbers */
    struct stats_seen {                /* other rows that were found before */
        struct stats_row *row;
        uint64_t id;
        enum vmm_kind kind;
        enum stats_sort sort;
    } seen[STATS_SEEN];
};

int hv_stats(lua_State *L); /* core.stats() */

/* Count the new machine on top, if anybody counts. */
void stats_machine(lua_State *L, struct machine *m);
/* Handlers have changed: what was seen is not what is there. */
void stats_forget(struct machine *m);

/* The run's exits go to `timed` while times are exact. */
void stats_run_begin(struct run *run, struct vmm_run *config,
                     vmm_on_exit *timed);
/* Before run_leave(), and behind it. */
void stats_run_over(struct run *run);
void stats_run_end(lua_State *L, struct run *run, enum vmm_kind kind);

/* Find, or make, the row of an exit whose handler (nil: nobody) is on v->co. */
struct stats_row *stats_find(struct run *run, struct vcpu *v,
                             enum stats_sort sort, uint64_t id);

/* While times are exact: the exit is handled. It may be the last such one. */
void stats_exact(struct run *run, unsigned cpu);
/* Somebody has looked in on the handler that ends now. */
void stats_handled(struct run *run);
/* lua_pcall(co, nargs, LUA_MULTRET, CO_MESSAGE) then. */
int stats_call(struct run *run, lua_State *co, int nargs);

/* `cpu` is v's index. */
static inline void stats_count(struct run *run, struct vcpu *v, unsigned cpu,
                               enum stats_sort sort, uint64_t id)
{
    struct machine_stats *m = run->m->stats;
    struct stats_row *row = NULL;
    struct vmm_meter *meter;

    if (__builtin_expect(m == NULL, 1))
        return;
    if (sort == STATS_HYPERCALL && id < HV_QUICK)
        row = m->quick[id];
    if (!row)
        row = stats_find(run, v, sort, id);
    row->count++;
    atomic_store_explicit(&run->row, row, memory_order_relaxed);
    /* What was seen of the guest belongs to the exit it led to. */
    meter = &m->meters[cpu];
    if (atomic_load_explicit(&meter->guest, memory_order_relaxed))
        row->ns[STATS_GUEST] += atomic_exchange(&meter->guest, 0);
}

#endif
