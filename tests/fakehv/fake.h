/* SPDX-License-Identifier: MIT */
/* fake.h - what the files of the double share.
 *
 *   symbols.c    the exported functions: log, version, and on to fake_*()
 *   log.c        calls, reports, failures on demand
 *   chip.c       switches: which macOS, which Mac
 *   clock.c      mach_absolute_time()
 *   object.c     os_release(), configs
 *   vm.c         the one VM, locks, fork
 *   memory.c     what is mapped where; host memory
 *   vcpu.c       vCPUs, threads, cancel
 *   registers.c  get and set
 *   run.c        hv_vcpu_run()
 *   gic*.c sme.c (gic.h)
 * and engine.h has what executes guests. */
#ifndef FAKE_H
#define FAKE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include <Hypervisor/Hypervisor.h>

#include "fakehv.h"

/* The implementations: fake_vm_create() is hv_vm_create() and so on. */
#define FN(since, type, name, params, args, log) type fake_##name params;
#include "functions.h"

enum { GRANULE_16K = 0x4000, GRANULE_4K = 0x1000, MAX_VCPUS = 64 };
#define POISON UINT64_C(0xdeaddeaddeaddead)

/* ---- log.c ---------------------------------------------------------------- */

struct log_args {
    unsigned count;
    uint64_t arg[5]; /* and room for what ends a list of four */
};

/* Is this call to fail? Aborts if `since` is newer than this macOS. */
bool fake_call_fails(const char *function, unsigned since, int *result);
void fake_call_done(const char *function, const struct log_args *args,
                    int result);
void fake_log_open(const char *path);
bool fake_log_fail_list(const char *list);
/* What this is used for is not what it is for, or not by whom. */
void fake_report(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Worth saying, but no mistake. */
void fake_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void fake_die(const char *format, ...)
    __attribute__((format(printf, 1, 2)));

/* ---- chip.c --------------------------------------------------------------- */

struct fake_switches {
    unsigned macos; /* 1502 is 15.2 */
    unsigned max_ipa, max_vcpus, strict, spurious;
    bool el2, sme; /* the chip has it */
    bool entitled, inside_vm, translated, signals;
};

extern struct fake_switches fake;

void fake_switches_read(void);

/* ---- clock.c -------------------------------------------------------------- */

enum { TICKS_PER_SECOND = 24000000 };
uint64_t fake_ticks_real(void); /* of a clock that nobody stops */

/* ---- object.c ------------------------------------------------------------- */

enum object_kind { VM_CONFIG = 1, VCPU_CONFIG, GIC_CONFIG, GIC_STATE };

struct object {
    uint64_t magic;
    enum object_kind kind;
    atomic_uint count;
    struct object *next, *before;
};

struct hv_vm_config_s {
    struct object object;
    uint32_t ipa_size; /* 0: default */
    bool el2;
    hv_ipa_granule_t granule;
};

struct hv_vcpu_config_s {
    struct object object;
};

enum gic_region { DISTRIBUTOR, REDISTRIBUTORS, MSI_FRAME, GIC_REGIONS };

struct hv_gic_config_s {
    struct object object;
    struct {
        bool given;
        hv_ipa_t at;
    } region[GIC_REGIONS];
    bool has_range;
    uint32_t msi_intid, msi_count;
};

struct hv_gic_state_s {
    struct object object;
    uint8_t *data;
};

void *fake_object_new(enum object_kind kind, size_t size);
/* Dies if it is not an object of that kind, or was released. */
void fake_object_check(const void *object, enum object_kind kind);
void fake_objects_at_exit(void);

/* ---- vm.c ----------------------------------------------------------------- */

struct piece { /* guest memory, as it was mapped */
    hv_ipa_t ipa;
    size_t size;
    uint8_t *host;
};

struct vcpu;
struct gic;

struct vm {
    bool exists;
    unsigned ipa_bits;
    uint64_t granule;
    bool el2;
    struct piece *pieces;
    size_t count, room;
    uint64_t changes; /* of pieces */
    void *tables;     /* stage 2: see stage2.c */
    struct gic *gic;
    struct vcpu *vcpu[MAX_VCPUS];
    uint64_t sequence[MAX_VCPUS]; /* of creations and destructions */
    unsigned vcpus, created;
    unsigned inside; /* vCPUs in hv_vcpu_run() */
};

/* Held for a moment only, and never while a guest runs. */
void fake_lock(void);
void fake_unlock(void);

extern struct vm fake_vm; /* under the lock */

/* Guests run one at a time: what their engines do is atomic only then. One that
 * runs leaves between blocks when somebody waits. */
void fake_turn_take(bool urgent);
void fake_turn_give(void);
/* Somebody waits: 2 who should not have to wait for long. Any thread. */
unsigned fake_turn_wanted(void);
void fake_turn_reset(void); /* in the child of a fork */

/* ---- memory.c, stage2.c --------------------------------------------------- */

void fake_memory_clear(void); /* under the lock */
/* The host's address of guest memory, of which *left bytes follow; or NULL.
 * Under the lock, or in one's turn. */
uint8_t *fake_memory_at(hv_ipa_t ipa, size_t *left);
bool fake_memory_overlaps(hv_ipa_t ipa, uint64_t size);

/* Stage 2 of all engines: 4 KiB tables in a region of their own. */
#define STAGE2_BITS 44
#define STAGE2_SIZE (UINT64_C(64) << 20)
#define STAGE2_BASE ((UINT64_C(1) << STAGE2_BITS) - STAGE2_SIZE)
void *fake_stage2_open(void); /* NULL: no memory */
void fake_stage2_close(void *tables);
/* False: no room for tables. */
bool fake_stage2_map(void *tables, hv_ipa_t ipa, uint64_t size,
                     hv_memory_flags_t flags);
void fake_stage2_unmap(void *tables, hv_ipa_t ipa, uint64_t size);
bool fake_stage2_protect(void *tables, hv_ipa_t ipa, uint64_t size,
                         hv_memory_flags_t flags);
void *fake_stage2_pages(void *tables); /* what is at STAGE2_BASE */

/* ---- vcpu.c --------------------------------------------------------------- */

enum { SYSREGS = 160, ZREGS = 32, PREGS = 16, SVL = 64 };

struct sme {
    hv_vcpu_sme_state_t state;
    uint8_t z[ZREGS][SVL], p[PREGS][SVL / 8], za[SVL * SVL];
    hv_sme_zt0_uchar64_t zt0;
};

struct timer {
    uint64_t cval;
    uint32_t ctl;
};

struct engine;
struct gic_cpu;

struct vcpu {
    hv_vcpu_t id;
    pthread_t owner;
    unsigned index; /* in order of creation */
    hv_vcpu_exit_t *exit;
    struct engine *engine;

    uint64_t pc, sp_el0, sp_el1, sp_el2;
    uint32_t cpsr;
    bool pc_set, cpsr_set, mpidr_set;
    bool ran, running;
    unsigned fpen;         /* of CPACR_EL1 */
    uint64_t sys[SYSREGS]; /* by the rows of registers.c */

    atomic_bool cancel;
    bool pending[2];
    bool trap_exceptions, trap_registers;

    struct timer virtual, physical;
    bool masked;
    uint64_t offset;
    uint64_t exec_time;

    struct gic_cpu *gic;
    struct sme *sme;
};

/* The vCPU, if the calling thread owns it; otherwise *result says why not. */
struct vcpu *fake_vcpu(hv_vcpu_t id, hv_return_t *result);
/* The same for those who may be any thread. Under the lock. */
struct vcpu *fake_vcpu_any(hv_vcpu_t id);

/* ---- registers.c ---------------------------------------------------------- */

/* What a register takes. */
enum sysreg_needs { NEEDS_NOTHING, NEEDS_GIC, NEEDS_EL2 };
/* Who keeps it. */
enum sysreg_home {
    HOME_ENGINE,
    HOME_STORE, /* nobody else has to know */
    HOME_ID,    /* the guest's read of it is answered from here */
    HOME_DEBUG,
    HOME_SPECIAL
};

struct sysreg {
    uint16_t reg;
    uint16_t since;
    uint8_t needs, home;
    uint64_t reset;
};

/* The row of a register, or -1. */
int fake_sysreg_row(uint32_t reg);
const struct sysreg *fake_sysreg(int row);
/* By row, what the guest or the host reads and writes. */
uint64_t fake_sysreg_get(struct vcpu *v, int row);
void fake_sysreg_set(struct vcpu *v, int row, uint64_t value);
void fake_registers_reset(struct vcpu *v);
uint64_t fake_feature(hv_feature_reg_t reg); /* the chip's default */

/* ---- timer.c -------------------------------------------------------------- */

uint64_t fake_timer_virtual_count(const struct vcpu *v);
/* CNTV_* and CNTP_*: false if it is none of these. */
bool fake_timer_get(struct vcpu *v, uint32_t reg, uint64_t *value);
bool fake_timer_set(struct vcpu *v, uint32_t reg, uint64_t value);
bool fake_timer_virtual_fires(const struct vcpu *v);
bool fake_timer_physical_fires(const struct vcpu *v);

/* ---- gic.c, gic_guest.c --------------------------------------------------- */

void fake_gic_close(struct gic *gic);
bool fake_gic_covers(hv_ipa_t ipa, uint64_t size); /* under the lock */
bool fake_gic_open_cpu(struct vcpu *v);
void fake_gic_close_cpu(struct vcpu *v);
/* Something changed that may interest a guest. */
void fake_gic_changed(void);
unsigned fake_gic_changes(void);

#endif
