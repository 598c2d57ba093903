/* SPDX-License-Identifier: MIT */
/* backend.h - what a backend implements, and what core offers it.
 *
 * A backend translates between core's terms and one host interface. It owns no
 * table, no loop and no device: core checks arguments first, keeps the memory
 * map, decides what an exit means and calls back. For each architecture it is
 * one const struct vmm_ops at the end of its file (kvm_x86.c), listed in vm.c;
 * what its architectures share is in the file with the plain name (kvm.c). */
#ifndef VMM_BACKEND_H
#define VMM_BACKEND_H

#include <stdatomic.h>

#include "vmm.h"

/* Is backend hvf built in? HVF_LIBRARY: what stands in for the framework. */
#if (defined(__APPLE__) && defined(__aarch64__)) || defined(HVF_LIBRARY)
#define VMM_HVF
#endif

/* A mapped range and its host memory. Backends may keep `slot` for themselves. */
struct vmm_mem {
    struct vmm_range range;
    uint8_t *host;
    int (*release)(void *host, size_t size); /* NULL: the caller's memory */
    uint32_t slot;
};

/* Why a vCPU has to leave the guest: bits of vmm_cpu.poke. */
enum vmm_poke {
    VMM_POKE_KICK = 1, /* vmm_kick() */
    VMM_POKE_STOP =
        2, /* vmm_stop(), vmm_close(), or another vCPU ended the run */
    VMM_POKE_TIMEOUT = 4,
    VMM_POKE_INTERRUPT = 8 /* vmm_interrupt() */
};

enum { VMM_MAX_BREAK = 16, VMM_MAX_WATCH = 4, VMM_MAX_CPUS = 64 };

struct vmm_watch {
    uint64_t va;
    unsigned size, access;
};

/* What the debugger wants of a vCPU. */
struct vmm_debug {
    bool step; /* leave after one instruction with VMM_STEP */
    bool trap; /* VMM_TRAP_DEBUG */
    unsigned breaks, watches;
    uint64_t brk[VMM_MAX_BREAK];
    struct vmm_watch watch[VMM_MAX_WATCH];
};

struct vmm_cpu {
    struct vmm *vm;
    void *host; /* the backend's own */
    unsigned index;
    /* Non-zero: leave the guest, or do not enter it. Set by any thread or
     * signal handler, cleared by core only. */
    _Atomic unsigned poke;
    /* Basic blocks left before a backend that takes turns (!ops->threads) has
     * to leave with VMM_NONE; 0: no limit. Core sets it before each run(). */
    uint64_t slice;
    struct vmm_debug debug;
    struct vmm_exit exit; /* the last one */
    bool asked;           /* exit is a read still without an answer */
    bool delivered;       /* exit was, in place: see vmm_deliver() */
    bool held;    /* exit was not delivered: another vCPU ended the run first */
    bool running; /* in the run loop, between entry and return */
    struct vmm_meter *meter; /* of that run, or NULL */
};

enum { VMM_GIC_RANGES = 3 };

struct vmm {
    const struct vmm_ops *ops;
    void *host; /* the backend's own */
    enum vmm_arch arch;
    uint16_t hypercall_port;
    /* As in struct vmm_config; open() of a backend with .choices puts in what they
     * have become. */
    uint32_t ipa_size, ipa_granule;
    bool el2;
    struct { /* the addresses it takes up; ranges 0: there is none */
        struct vmm_gic_range range[VMM_GIC_RANGES];
        unsigned ranges;
        uint32_t msi_first, msi_count;
    } gic;
    bool has_doorbell; /* a store to doorbell is a hypercall */
    uint64_t doorbell;
    struct vmm_mem *mem; /* sorted by range.at */
    size_t mems, mem_room;
    struct vmm_cpu *cpu[VMM_MAX_CPUS];
    unsigned cpus;
    struct loop *loop;       /* the run under way, or NULL (loop.c) */
    struct vmm_cpu *current; /* whose exit callback is running, or NULL */
    bool closing;            /* vmm_close() came during that run */
    bool ran;                /* there has been a run, of one vCPU at least */
};

/* What is done with a GIC; see vmm.h. open() puts into vm->gic the addresses it
 * takes up. save() with `to` NULL only gives the size. */
struct vmm_gic_ops {
    int (*open)(struct vmm *vm, const struct vmm_gic_config *config);
    int (*spi)(struct vmm *vm, uint32_t intid, bool level);
    int (*msi)(struct vmm *vm, uint64_t at, uint32_t intid);
    int (*reset)(struct vmm *vm);
    int (*get)(struct vmm *vm, vmm_reg reg, uint64_t *value);
    int (*set)(struct vmm *vm, vmm_reg reg, uint64_t value);
    int (*save)(struct vmm *vm, void *to, size_t *size);
    int (*restore)(struct vmm *vm, const void *from, size_t size);
};

/* Unless noted, members are called with arguments already checked, on the
 * thread that uses the machine, with the vCPU out of the guest; they return 0 or
 * vmm_fail(). A NULL member: this backend cannot. */
struct vmm_ops {
    const char *name;
    enum vmm_arch arch; /* of the guests */
    bool threads; /* vCPUs run on a thread each; else they take turns on one */
    bool choices; /* machines have ipa_size, ipa_granule, el2 */
    /* Bit 1 << n: registers of class n that not every backend has: VMM_VCPU (but
     * for VMM_TRAP_DEBUG, which is core's), VMM_GICR and later ones. */
    uint32_t classes;

    /* NULL: runs here; else one sentence saying why not and what to do (in the
     * buffer, or constant). Cheap: no machine is made. */
    const char *(*probe)(char *buffer, size_t size);
    /* The library it stands on and its version, in the buffer; NULL: it cannot
     * be opened. A NULL member: it stands on none. */
    const char *(*about)(char *buffer, size_t size);

    /* Add what there is (vmm_cap_number() and so on); core has added what can be
     * told from here. NULL: that is all. */
    int (*caps)(struct vmm_caps *caps);

    /* vm->arch is set, there is no memory and no vCPU yet. On failure open
     * cleans up after itself. close copes with half-open; vCPUs were closed. */
    int (*open)(struct vmm *vm);
    void (*close)(struct vmm *vm);
    uint64_t (*page_size)(const struct vmm *vm); /* NULL: 4096 */
    /* Does the guest's hypercall instruction arrive? 0, or VMM_ENOTSUP with what
     * to do instead. NULL: it does. */
    int (*hypercalls)(struct vmm *vm);

    /* `size` bytes of zeroes, multiples of the page size, and what gives them
     * back, also after close(). NULL: vmm_allocate() will do. */
    int (*allocate)(struct vmm *vm, size_t size, void **host,
                    int (**release)(void *host, size_t size));
    /* mem is already in, or still in, vm->mem. These may come between any two
     * exits, vCPUs open and not; on a threads backend also while other vCPUs
     * are in the guest. */
    int (*map)(struct vmm *vm, struct vmm_mem *mem);
    int (*unmap)(struct vmm *vm, struct vmm_mem *mem);
    int (*protect)(struct vmm *vm, struct vmm_mem *mem, unsigned prot);
    /* The host has written [at, at+n), inside one range: cached code is stale. */
    void (*wrote)(struct vmm *vm, const struct vmm_mem *mem, uint64_t at,
                  uint64_t n);

    int (*cpu_open)(struct vmm_cpu *cpu); /* sets cpu->host; reset state */
    void (*cpu_close)(struct vmm_cpu *cpu);

    /* Do body(arg) on the thread that the vCPU is bound to, while the caller
     * waits: there core's loop runs, with all of the callbacks. NULL: any
     * thread will do. */
    void (*on_thread)(struct vmm_cpu *cpu, int (*body)(void *arg), void *arg);

    /* Enter the guest until it leaves, and describe that in *exit, which is
     * cpu->exit (all zero when called, but for `value`, which for a read is
     * filled in by core).
     *   - The trapped instruction is complete but for the answer to a read, and
     *     registers say so (PC past it), except where enum vmm_kind notes.
     *   - poke != 0, before or during: VMM_KICK, soon; core looks up why.
     *     Nothing of the guest is lost; an exit that has already happened is
     *     reported first.
     *   - Each element of a string port access is an exit of its own.
     *   - Host failures: VMM_ERROR with `why` where the vCPU is still there to
     *     be looked at, vmm_fail() where it is not. */
    int (*run)(struct vmm_cpu *cpu, struct vmm_exit *exit);
    /* The value for the read that the last run() ended with; exactly one call
     * before the next run(). exit->value is masked to exit->size by core. */
    int (*answer)(struct vmm_cpu *cpu, const struct vmm_exit *exit);
    /* Finish what the host completes only on the next entry (KVM's port and
     * MMIO accesses), without running further. Called as a run ends, never with
     * a read unanswered. */
    int (*settle)(struct vmm_cpu *cpu);
    /* poke was just set, maybe from a signal handler: make run() notice. Any
     * thread. NULL: run() looks at poke by itself. */
    void (*kick)(struct vmm_cpu *cpu);

    /* Whole registers. Also while a read is unanswered: the registers are then
     * as after the instruction, but for the destination of the read. Unknown
     * here: VMM_ENOTSUP. */
    int (*get)(struct vmm_cpu *cpu, vmm_reg reg, union vmm_value *value);
    int (*set)(struct vmm_cpu *cpu, vmm_reg reg, const union vmm_value *value);

    /* VMM_SCALABLE; get_bytes() with `to` NULL only gives the size. */
    int (*get_bytes)(struct vmm_cpu *cpu, vmm_reg reg, void *to, size_t *size);
    int (*set_bytes)(struct vmm_cpu *cpu, vmm_reg reg, const void *from,
                     size_t size);

    /* Is it certain, and cheap to know, that the guest's MMU is off? NULL: no. */
    bool (*unmapped)(const struct vmm_cpu *cpu);

    int (*line)(struct vmm_cpu *cpu, enum vmm_line line, bool level);
    int (*line_at)(struct vmm_cpu *cpu, enum vmm_line line, bool *level);
    int (*inject)(struct vmm_cpu *cpu, const struct vmm_event *event);
    int (*debug)(struct vmm_cpu *cpu); /* cpu->debug has changed */

    const struct vmm_gic_ops *gic;
};

/* ---- what core offers backends ------------------------------------------- */

/* Set the reason of this thread's failure, "backend: what: why". */
void vmm_reason(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same, giving `code` back, so that failing is one line: return
 * vmm_fail(VMM_EHOST, ...). A macro: whoever reads the code, compilers and
 * analyzers too, sees what comes back. */
#define vmm_fail(code, ...) (vmm_reason(__VA_ARGS__), (code))

/* The backends that have a GIC, for vmm_cannot(). */
#define VMM_GIC_BACKENDS "hvf, and on kvm on arm64 hosts with a GICv3"

/* "backend: what: not on this backend with ... guests: it is on <those>". */
int vmm_cannot(const struct vmm *vm, const char *what, const char *those);

/* Add to *caps; of one name the last counts. */
void vmm_cap_number(struct vmm_caps *caps, const char *name, uint64_t number);
void vmm_cap_flag(struct vmm_caps *caps, const char *name, bool flag);
void vmm_cap_text(struct vmm_caps *caps, const char *name, const char *text);

/* 0: the vCPU may be looked at and changed; else it is in the guest, or may be. */
int vmm_still(const struct vmm_cpu *cpu);

/* VMM_EINVAL: parts of a GIC cannot be there: each has its alignment, and guest
 * physical addresses so many bits (gic.c). */
int vmm_gic_places(const struct vmm *vm, const struct vmm_gic_range *range,
                   const uint64_t *alignment, unsigned ranges, unsigned bits);

/* Zeroes of the host's, as struct vmm_ops's allocate. */
int vmm_allocate(struct vmm *vm, size_t size, void **host,
                 int (**release)(void *host, size_t size));
/* Give mem->range, which is checked, its host memory and what releases that
 * (backing.c). */
int vmm_back(struct vmm *vm, struct vmm_mem *mem);

/* Release all memory; only vmm_close() calls it. */
void vmm_mem_close(struct vmm *vm);

/* The range that holds guest physical address `at`, or NULL. */
struct vmm_mem *vmm_mem_at(const struct vmm *vm, uint64_t at);

/* For run(), where the host calls back in the midst of the guest's run: deliver
 * cpu->exit, described and with the registers as run() would leave them, at once,
 * which spares the ways out and in. The callback may do with the machine all that
 * it may do between two entries. True: it is answered, the guest goes on, and
 * cpu->exit is all zero again. False: the guest has to be left, and run() returns
 * 0 with cpu->exit as it is; core knows whether that was delivered. */
bool vmm_deliver(struct vmm_cpu *cpu);

/* For run() of a threads backend, where it looks at the machine's memory: between
 * these no handler of another vCPU changes what is mapped. */
void vmm_hold(struct vmm_cpu *cpu);
void vmm_let_go(struct vmm_cpu *cpu);

/* The register tables (regs_arm64.c, regs_x86.c); a NULL name ends each, after so
 * many others. */
extern const struct vmm_reg_name vmm_arm64_regs[], vmm_x86_regs[];
extern const size_t vmm_arm64_names, vmm_x86_names;

/* What a register that has a name is called first, for messages. */
const char *vmm_reg_called(enum vmm_arch arch, vmm_reg reg);

/* vmm_translate() for one architecture (mmu_arm64.c, mmu_x86.c). */
int vmm_arm64_translate(struct vmm_cpu *cpu, uint64_t va, uint64_t *pa);
int vmm_x86_translate(struct vmm_cpu *cpu, uint64_t va, uint64_t *pa);

/* Has somebody poked the vCPU? For run() and hooks. */
static inline bool vmm_poked(struct vmm_cpu *cpu)
{
    return atomic_load_explicit(&cpu->poke, memory_order_relaxed) != 0;
}

extern const struct vmm_ops vmm_kvm_x86_ops;   /* Linux on x86_64 */
extern const struct vmm_ops vmm_kvm_arm64_ops; /* Linux on arm64 */
extern const struct vmm_ops vmm_hvf_ops;       /* macOS on arm64 */
extern const struct vmm_ops vmm_unicorn_arm64_ops, vmm_unicorn_x86_ops;

/* arm64, shared by the backends that get a syndrome (esr.c). */
struct vmm_esr_access { /* what completes an MMIO or sysreg exit */
    uint8_t rt;         /* Xt; 31: XZR */
    bool sign, wide;    /* sign-extend; the register is 64 bits wide */
};

/* Fill kind, ec, imm, size, write, reg from exit->syndrome (and va, pa, already
 * there); access says where a read's answer goes. False: an MMIO access whose
 * syndrome does not tell: decode the instruction with vmm_a64_decode(). */
bool vmm_esr_decode(struct vmm_exit *exit, struct vmm_esr_access *access);
/* Exits whose instruction PC still points at, though it is done: the host has to
 * go past it. (Past an HVC the processor goes itself; an MMIO access is completed
 * by vmm_arm64_access().) */
bool vmm_esr_pc_is_at(enum vmm_kind kind);

/* An exception into EL1, to the vector that PSTATE chooses (exception_arm64.c).
 * The second is struct vmm_ops's inject. */
int vmm_arm64_take(struct vmm_cpu *cpu, uint64_t syndrome, uint64_t far);
int vmm_arm64_inject(struct vmm_cpu *cpu, const struct vmm_event *event);
/* Where in the vector table, by the level and stack it comes from. */
uint64_t vmm_arm64_vector(uint64_t pstate);
/* VMM_EINVAL: a CPSR of no level that guests have. */
int vmm_arm64_mode(const struct vmm_cpu *cpu, uint64_t cpsr);
/* Does an exception with this syndrome tell an address, in FAR_EL1? */
bool vmm_arm64_has_address(uint64_t syndrome);
/* Make *exit say that this exception of the guest's own found no handler at
 * `vector`, `offset` bytes into its table; `missing`: not even a table. */
void vmm_arm64_no_handler(struct vmm_exit *exit, uint64_t syndrome,
                          uint64_t far, uint64_t vector, uint64_t offset,
                          bool missing);
/* The host could not fetch what PC is at. If that is the guest's vector for the
 * exception in its own registers: go back to before, as far as these tell, and
 * make *exit say so. */
bool vmm_arm64_untake(struct vmm_cpu *cpu, struct vmm_exit *exit);

/* A watchpoint as DBGWCR_EL1 has it (watch_arm64.c). */
uint64_t vmm_arm64_watch_control(const struct vmm_watch *watch);

/* One load or store, decoded from its encoding (a64.c): for the accesses that
 * the syndrome does not describe. */
struct vmm_a64_access {
    uint8_t size;  /* bytes of each register: 1, 2, 4, 8, 16 */
    uint8_t regs;  /* how many registers: 1 or 2 */
    uint8_t rt[2]; /* 31: XZR, unless vector */
    uint8_t rn;    /* base; 31: SP */
    bool write, sign, wide, vector;
    bool writeback;
    int64_t offset; /* writeback adds this to Xn */
    /* The address: Xn + at + (Xm extended as `option` << shift); rm 31: none */
    int64_t at;
    uint8_t rm, option, shift; /* option: 2 UXTW, 3 LSL, 6 SXTW, 7 SXTX */
};
/* False: not a load or store that can be completed for the guest. */
bool vmm_a64_decode(uint32_t instruction, struct vmm_a64_access *access);

/* One access of at most 8 bytes that left the guest: each is one exit
 * (access_arm64.c). */
struct vmm_a64_piece {
    uint64_t addr, value;
    uint8_t size, rt, half;               /* half: which 8 bytes of a vector */
    bool write, sign, wide, vector, sole; /* sole: clears the other half */
};
struct vmm_a64_pieces {
    struct vmm_a64_piece piece[4];
    unsigned pieces, next;
};

/* By the backend's get() and set(); 31 is XZR. */
uint64_t vmm_arm64_x(struct vmm_cpu *cpu, unsigned n);
void vmm_arm64_set_x(struct vmm_cpu *cpu, unsigned n, uint64_t value);
/* The address that an access is to, before it. */
uint64_t vmm_arm64_address(struct vmm_cpu *cpu,
                           const struct vmm_a64_access *access);
/* PC is at a load or store that left the guest, *exit is what vmm_esr_decode()
 * made of it: complete it but for the exits it needs, and make *exit the first.
 * It is described by its instruction (NULL: that cannot be read), else by its
 * syndrome (NULL: that does not tell). */
void vmm_arm64_access(struct vmm_cpu *cpu, struct vmm_a64_pieces *p,
                      struct vmm_exit *exit, const uint32_t *instruction,
                      const struct vmm_esr_access *esr);
/* The next exit of an access that needs several, if there is one. */
bool vmm_arm64_next_access(struct vmm_a64_pieces *p, struct vmm_exit *exit);
/* The last of these exits was a read: its value. */
void vmm_arm64_answer(struct vmm_cpu *cpu, const struct vmm_a64_pieces *p,
                      uint64_t value);

/* PC is at a load or store (NULL: it cannot be read) in which exit->va was met
 * with; exit->write is there too. Make *exit that of the watchpoint it hits:
 * the first watched byte, and the bytes of the access (watch_arm64.c). */
bool vmm_arm64_watched(struct vmm_cpu *cpu, const uint32_t *instruction,
                       struct vmm_exit *exit);

#endif
