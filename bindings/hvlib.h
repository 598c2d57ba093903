/* SPDX-License-Identifier: MIT */
/* hvlib.h - what the files of the Lua bindings share: objects, options, runs.
 *
 * Every userdata follows one idiom (objlib.c): created closed, given its
 * metatable, then filled; methods are closures whose first upvalue is their
 * metatable; a part keeps its machine alive and is dead once that is closed. */
#ifndef HVLIB_H
#define HVLIB_H

#include <lauxlib.h>
#include <lua.h>
#include <pthread.h>
#include <stdatomic.h>

#include "../core/vmm.h"
#include "hvlua.h"

#define HV_VERSION "0.1.0"

#define HV_MACHINE "hv.machine"
#define HV_VCPU "hv.vcpu"
#define HV_MEMORY "hv.memory"
#define HV_VIEW "hv.view"
#define HV_GIC "hv.gic"

struct vcpu;

/* How many hypercall numbers have their argument count at hand. */
enum { HV_QUICK = 64 };

/* How many names a vCPU remembers. */
enum { HV_RECENT = 16 };

struct device {
    uint64_t at, size;
    bool port;
    int read, write, name; /* references in the devices table, or LUA_NOREF */
};

/* User values of a machine. */
enum {
    UV_HYPERCALLS = 1, /* number -> function */
    UV_ON,             /* enum vmm_kind -> function */
    UV_DEVICES,        /* references -> functions and names */
    UV_CPUS,           /* index + 1 -> vCPU */
    UV_MEMORY,         /* address -> memory object */
    UV_STOP,           /* what cpu:stop() was given */
    UV_STATS,          /* struct machine_stats */
    UV_GIC,            /* its object */
    UV_MACHINE = UV_GIC
};

struct machine {
    struct vmm *vm; /* NULL: closed */
    struct runs *runs;
    struct run *run;             /* the one under way */
    struct machine_stats *stats; /* NULL: nobody counts (stats.h) */
    unsigned generation;   /* of the process that made it, and of this one: */
    const unsigned *now;   /* see runs_generation() */
    struct vcpu *cpu[64];  /* by index */
    struct device *device; /* MMIO by address, then ports by number */
    size_t devices;
    int8_t args[HV_QUICK]; /* how many arguments a handler declares; -1: all */
};

struct vcpu {
    struct vmm_cpu *cpu; /* NULL: its machine is closed */
    struct machine *machine;
    enum vmm_arch arch;
    lua_State *co;         /* where its handlers run */
    struct vmm_exit *exit; /* what they handle */
    struct {               /* names of registers used lately: see vcpulib.c */
        const void *name;
        const struct vmm_reg_name *reg;
    } recent[HV_RECENT];
};

/* The stack that vcpu.co keeps at its bottom. */
enum { CO_CPU = 1, CO_HYPERCALLS, CO_ON, CO_DEVICES, CO_MESSAGE, CO_BASE = 5 };

/* The arguments of a function that is called protected on vcpu.co: the vCPU as
 * light userdata, what to call, the vCPU as an object, the devices. */
enum { ARG_VCPU = 1, ARG_WHAT, ARG_CPU, ARG_DEVICES, ARG_ANSWER };

struct memory {
    struct machine *machine;
    uint64_t at, size;
    bool mapped;
};

/* ---- objlib.c ------------------------------------------------------------ */

/* Make metatable `name` from `methods` (a closure of each with the metatable as
 * first upvalue and `nup` more, popped from the stack), methods in __index unless
 * that is one of them. */
void obj_type(lua_State *L, const char *name, const luaL_Reg *methods, int nup);

/* Name the metatable on top, and hide it from scripts. */
void obj_hide(lua_State *L, const char *name);

/* Argument 1 by the calling closure's first upvalue; raises naming `name`. */
void *obj_self(lua_State *L, const char *name);
/* Raise that argument 1 is no `name`. */
void obj_not(lua_State *L, const char *name);

/* Raise vmm_why() at the caller's line. */
int obj_fail(lua_State *L);

/* A count of bytes or an address at `idx`: an integer, or a string such as
 * "64K", "1M", "0x1000". `what` is the culprit's name in messages. */
uint64_t obj_size(lua_State *L, int idx, const char *what);
uint64_t obj_address_of(lua_State *L, int idx, const char *what);
uint64_t obj_integer_of(lua_State *L, int idx, const char *what);

/* Nearly always it is an integer: those come in their thousands. */
static inline uint64_t obj_address(lua_State *L, int idx, const char *what)
{
    return lua_isinteger(L, idx) ? (uint64_t)lua_tointeger(L, idx)
                                 : obj_address_of(L, idx, what);
}

static inline uint64_t obj_integer(lua_State *L, int idx, const char *what)
{
    return lua_isinteger(L, idx) ? (uint64_t)lua_tointeger(L, idx)
                                 : obj_integer_of(L, idx, what);
}

/* The string at `idx`; raises "what: expected expected, got ..." for all else, and
 * for a string with a zero byte, which C would take for its end. */
const char *obj_string(lua_State *L, int idx, const char *what,
                       const char *expected);

/* true or false at `idx`; nil: `otherwise`. */
bool obj_boolean(lua_State *L, int idx, const char *what, bool otherwise);

/* "rwx" at idx (nil: `otherwise`) as VMM_R | VMM_W | VMM_X; only letters of
 * `letters`. */
unsigned obj_prot(lua_State *L, int idx, const char *what, const char *letters,
                  unsigned otherwise);
void obj_push_prot(lua_State *L, unsigned prot);

/* Raise unless every key of the table at `idx` is one of `names` (NULL-ended). */
void obj_fields(lua_State *L, int idx, const char *what,
                const char *const *names);

/* What to call the value at `idx` where an integer was expected: its type, or the
 * number where it is one. It may be left on the stack. */
const char *obj_name(lua_State *L, int idx);

/* Push "file:line: " of where the function at `idx` is written, or "": the place
 * of a mistake that it has returned. */
void obj_where(lua_State *L, int idx);

/* Push t[name] of the options at `idx`, raw: no code of the script's may run, and
 * close the machine, while its options are read. Returns the type. */
int obj_field(lua_State *L, int idx, const char *name);

/* The name nearest to `name`, or NULL. */
const char *obj_nearest(const char *name, const char *const *names);

/* Raise where a method (the object is argument 1) or a function was given more
 * than `most` arguments. */
void obj_method(lua_State *L, int most, const char *what);
void obj_function(lua_State *L, int most, const char *what);

int hv_size(lua_State *L); /* core.size(value [, what]) --> bytes */

/* ---- vmlib.c, memlib.c, vcpulib.c, devlib.c ------------------------------ */

struct machine *vm_self(lua_State *L); /* argument 1, open */
/* Raise unless the machine is open, and this process's. */
void vm_unusable(lua_State *L, const struct machine *m);
static inline void vm_usable(lua_State *L, const struct machine *m)
{
    if (!m->vm || m->generation != *m->now)
        vm_unusable(L, m);
}
int hv_vm(lua_State *L); /* upvalue 1: the program's defaults */
int hv_backends(lua_State *L);
int hv_caps(lua_State *L);  /* likewise */
void vm_open(lua_State *L); /* leaves the table of methods */

void mem_open(lua_State *L);
extern const luaL_Reg mem_methods[]; /* of the machine */
int mem_u8(lua_State *L);            /* intlib.c's part of them */
int mem_u16(lua_State *L);
int mem_u32(lua_State *L);
int mem_u64(lua_State *L);
int mem_view(lua_State *L);
int hv_room(lua_State *L); /* core.room(vm, at, n) --> at */

int vm_vcpu(lua_State *L);
struct vcpu *vcpu_self(lua_State *L); /* argument 1, its machine open */
struct vcpu *vcpu_any(lua_State *L);  /* the same, open or closed */

/* debuglib.c's part of its methods. */
int vcpu_breakpoint(lua_State *L);
int vcpu_watchpoint(lua_State *L);
int vcpu_translate(lua_State *L);
int vcpu_irq(lua_State *L);
int vcpu_fiq(lua_State *L);
int vcpu_inject(lua_State *L);

int vm_attach(lua_State *L);
/* The device behind an mmio or io exit, or NULL. */
const struct device *dev_find(const struct machine *m,
                              const struct vmm_exit *exit);
/* Push on a vCPU's coroutine the device's function for the exit, and arguments:
 * how many these are, or -1 with nothing where it has none. */
int dev_push(lua_State *co, const struct device *dev,
             const struct vmm_exit *exit);
/* Called protected, with what it has answered to a read: raise why not. */
int dev_refuse(lua_State *co);

/* ---- giclib.c ------------------------------------------------------------ */

int vm_gic(lua_State *L);
void gic_open(lua_State *L);

/* ---- hypercalllib.c ------------------------------------------------------ */

int vm_hypercall(lua_State *L);
int hv_hypercalls(lua_State *L);
int hv_on_hypercall(lua_State *L);
int hv_typed(lua_State *L);
int hv_typed_calls(lua_State *L);
/* For core: what the guest's number stands for is on top of the vCPU's coroutine, and
 * of this type. */
int hypercall_run(struct run *run, struct vcpu *v, int type);

/* ---- guestlib.c ---------------------------------------------------------- */

/* Push the guest's string at `va`, of at most `most` bytes. False: there is none, and
 * nothing was pushed. */
bool guest_push_string(lua_State *L, struct vcpu *v, uint64_t va, size_t most);
void guest_open(lua_State *L); /* adds a table of functions to the one on top */

/* ---- watchlib.c ---------------------------------------------------------- */

void watch_open_library(lua_State *L); /* likewise */

/* ---- reglib.c ------------------------------------------------------------ */

/* Push the value of a register; set it from the value at `idx`. */
void reg_push(lua_State *L, const struct vcpu *v, const struct vmm_reg_name *r);
void reg_set(lua_State *L, const struct vcpu *v, const struct vmm_reg_name *r,
             int idx);
/* Raise unless the value at `idx` could be set; it is set into *value, which has
 * what the register holds now where only part of it changes. */
void reg_read(lua_State *L, int idx, const struct vmm_reg_name *r,
              union vmm_value *value);

/* ---- exitlib.c ----------------------------------------------------------- */

/* Push the exit as a plain table; the object of its vCPU is at `cpu`, or 0. */
void exit_push(lua_State *L, const struct vmm_exit *exit, int cpu);

/* ---- interruptlib.c ------------------------------------------------------ */

/* One run of one machine, on the C stack of run(). */
struct run {
    struct run *outer; /* a handler may run another machine */
    struct machine *m;
    _Atomic bool timed_out;
    _Atomic bool handling; /* a handler is running, on this thread: */
    pthread_t thread;
    _Atomic bool signalled; /* that thread was, maybe */
    struct vcpu *failed;    /* its coroutine holds an error; or NULL */
    bool cut; /* the last handler's time was up: it has no results */
    /* where somebody counts: */
    struct stats_row *_Atomic row; /* of the exit in hand */
    _Atomic bool exact;            /* times are */
    _Atomic bool looked_in;        /* on the handler that runs, from outside */
    uint64_t began, nested, lua, away;
    struct vmm_run *config; /* core's of this run */
};

/* The runs under way in this Lua universe, and its main thread. */
struct runs *runs_open(lua_State *L);

/* Interrupt from any thread (not from a signal handler): kick every running vCPU
 * and raise "interrupted!" in the Lua code that runs. `here`: for the main thread
 * interrupt_here() has done it. */
void runs_interrupt(struct runs *runs, bool here);
/* From a signal's handler: raise "interrupted!" in the Lua code that its thread
 * runs. False: that runs none. */
bool interrupt_here(void);
/* Call look(the innermost run, or NULL; ctx) while no run begins or ends. */
void runs_look(struct runs *runs, void (*look)(struct run *run, void *ctx),
               void *ctx);
/* The calling thread runs `L`: interrupt that where no handler runs. */
void runs_main(struct runs *runs, lua_State *L);
/* Nothing runs on the calling thread but `L`, and that is not interrupted: what
 * is left of an interruption goes. */
void runs_clear(lua_State *L);
/* This process is a copy by fork(), running `L`: the parent's runs and machines
 * are not its own. */
void runs_forked(struct runs *runs, lua_State *L);
/* The machine closes: its vCPUs are gone for Lua, and for who interrupts. */
void runs_forget(struct runs *runs, struct machine *m);
/* Which copy this process is, as long as the Lua universe lives: machines know
 * in which they were made. */
const unsigned *runs_generation(const struct runs *runs);

/* The run begins (raises when runs are nested too deep) and has ended. */
void run_enter(lua_State *L, struct run *run);
void run_leave(struct run *run);

/* Around a call of Lua code on `co`: begin gives what end wants back, end tells
 * whether the code was interrupted. */
lua_State *interrupt_begin(struct run *run, lua_State *co);
bool interrupt_end(struct run *run, lua_State *co, lua_State *before);

/* Install the signal; core's callback when a run's time is up. */
void interrupt_catch(void);
void interrupt_timeout(void *run);

/* ---- runlib.c ------------------------------------------------------------ */

/* Give a new vCPU, on top of L's stack, its coroutine, with the handlers' tables
 * of its machine (at index `machine`) at the bottom. */
void run_prepare(lua_State *L, struct vcpu *cpu, int machine);

/* Call what was pushed on the vCPU's coroutine, with `nargs` arguments. Its results
 * are above CO_BASE. A verdict for core: VMM_RESUME to look at them. */
int run_call(struct run *run, struct vcpu *v, int nargs);
/* The integer at `at`, which may be a float without fraction, but no string. */
bool run_integer(lua_State *co, int at, uint64_t *value);
/* Raise unless argument 3 is a function or nil. */
void run_check_handler(lua_State *L, const char *what);

int vm_run(lua_State *L);
int vm_stop(lua_State *L);
int vm_on(lua_State *L);
int vcpu_run(lua_State *L);
int vcpu_stop(lua_State *L);

/* ---- thread.c ------------------------------------------------------------ */

/* Run body(arg) on a thread that takes no signal: all are for the others. It has
 * begun when this returns, for what a copy by fork() finds locked by a thread that
 * begins stays locked there: the sanitizers' allocator, which other than the C
 * library's is not made ready for a fork. 0, or an error number. */
int thread_start(pthread_t *thread, void *(*body)(void *), void *arg);

/* ---- openlib.c ----------------------------------------------------------- */

/* Put the Lua library, as it is compiled in, into package.preload. */
void open_preload(lua_State *L);

/* ---- proclib.c, hostlib.c, spawnlib.c ------------------------------------ */

int hvproc_pipe(lua_State *L);
/* write(), but a reader that has gone is EPIPE and never SIGPIPE. */
ssize_t proc_write(int fd, const char *from, size_t n);
int hv_host(lua_State *L);
void spawn_open(lua_State *L);     /* adds its functions to the table on top */
void spawn_end_with(pid_t parent); /* this process does not outlive that one */

#endif
