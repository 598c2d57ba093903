/* SPDX-License-Identifier: MIT */
/* vmm.h - machines, memory, vCPUs, registers, exits: hvlua's core in C.
 *
 * Conventions of every function here:
 *   - int results are 0 or a negative VMM_E* code; vmm_why() then has the reason
 *     in words, for this thread, until the next failing call on it;
 *   - addresses are guest physical, sizes are bytes, times are nanoseconds;
 *   - nothing prints, exits the process, or keeps state outside the objects;
 *   - a guest that faults, halts or spins is no error: it is an exit.
 *
 * A machine and its parts are used by one thread at a time, except vmm_kick(),
 * which any thread and any signal handler may call. */
#ifndef VMM_H
#define VMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

struct vmm;     /* a machine: guest memory and vCPUs on one backend */
struct vmm_cpu; /* a vCPU of a machine */
struct vmm_meter;

/* ---- errors -------------------------------------------------------------- */

enum vmm_error {
    VMM_EINVAL = -1, /* an argument is wrong: the caller's mistake */
    VMM_ERANGE = -2, /* guest addresses outside mapped memory */
    VMM_ENOMEM = -3, /* the host is out of memory */
    VMM_ESTATE = -4, /* not now: closed, running, or not running */
    VMM_ENOTSUP =
        -5,        /* this backend cannot; the message names those that can */
    VMM_EHOST = -6 /* the host refused: the message says what to do about it */
};

/* The reason of this thread's last failure: "backend: what: why". */
const char *vmm_why(void);

/* ---- architectures and backends ------------------------------------------ */

enum vmm_arch { VMM_ARM64, VMM_X86_64, VMM_ARCHES };

const char *vmm_arch_name(enum vmm_arch arch); /* "arm64", "x86_64" */
int vmm_arch_find(const char *name); /* enum vmm_arch, or VMM_EINVAL */

/* The name of backend number `i` in order of preference; NULL past the last. */
const char *vmm_backend_name(int i);

/* Why `backend` cannot run `arch` guests on this host, in one sentence that
 * says what to do about it; NULL: it can. Valid until the thread's next call. */
const char *vmm_probe(const char *backend, enum vmm_arch arch);

/* What a backend that can run `arch` guests stands on here, such as "libunicorn
 * 2.1.1 (path)"; NULL: nothing that has a version. Valid until the thread's next
 * call. */
const char *vmm_about(const char *backend, enum vmm_arch arch);

/* One thing that a backend has, or how much of it. Dots in its name make groups:
 * "gic.spi.first". */
struct vmm_cap {
    char name[48];
    enum { VMM_CAP_NUMBER, VMM_CAP_FLAG, VMM_CAP_TEXT } type;
    uint64_t number; /* flag: 0 or 1 */
    char text[80];
};

enum { VMM_MAX_CAPS = 192 };

struct vmm_caps {
    unsigned count;
    struct vmm_cap cap[VMM_MAX_CAPS];
};

/* What `backend` (NULL: the first that can) offers to `arch` guests on this host;
 * *name gets its name. Each has vcpus, page_size, threads, el2, gic, sme; hvf has
 * more. Fails where vmm_probe() has a reason. */
int vmm_caps(const char *backend, enum vmm_arch arch, const char **name,
             struct vmm_caps *caps);

/* ---- machines ------------------------------------------------------------ */

struct vmm_config {
    enum vmm_arch arch;
    const char *backend;     /* NULL: the first that can run arch here */
    uint16_t hypercall_port; /* x86_64; 0: VMM_HYPERCALL_PORT */
    /* hvf's alone; see vmm_caps() */
    uint32_t ipa_size; /* bits of guest physical addresses; 0: the most */
    uint32_t
        ipa_granule; /* page size, 0x1000 or 0x4000; 0: the host's choice */
    bool el2;        /* give the guest EL2 */
};

/* The x86_64 hypercall conduit: `out %al, $0xe8`, number in rax. VMCALL never
 * reaches user space on KVM, and this port belongs to no PC device. */
#define VMM_HYPERCALL_PORT 0xe8

int vmm_open(const struct vmm_config *config, struct vmm **vm);

/* Close the machine, its vCPUs and its memory. NULL is fine. While the machine
 * runs (from an exit callback) it only ends the run and closes after it:
 * vmm_run() then returns with a stop exit, and `vm` is gone. */
void vmm_close(struct vmm *vm);

enum vmm_arch vmm_arch(const struct vmm *vm);
const char *vmm_backend(const struct vmm *vm);
uint16_t vmm_hypercall_port(const struct vmm *vm);

/* Do hypercalls by the guest's own instruction, or by its port, arrive? 0, or
 * VMM_ENOTSUP with what to do instead: such as a doorbell. */
int vmm_hypercalls(struct vmm *vm);
/* From now on a store to this guest physical address, at which there is no memory,
 * is a hypercall too, whatever is stored: on any host, for any guest. */
int vmm_doorbell(struct vmm *vm, uint64_t at);
bool vmm_running(const struct vmm *vm);
/* What became of ipa_size and el2; VMM_ENOTSUP where there is no such choice. */
int vmm_ipa_size(const struct vmm *vm, uint32_t *bits);
int vmm_el2(const struct vmm *vm, bool *on);

/* ---- memory -------------------------------------------------------------- */

enum { VMM_R = 1, VMM_W = 2, VMM_X = 4 };

/* A range of guest physical memory. Ranges are page-aligned, never overlap and
 * are kept sorted. A write to memory without VMM_W arrives as an mmio exit, as
 * an access to no memory at all does. kvm cannot withhold R or X. */
struct vmm_range {
    uint64_t at, size; /* multiples of vmm_page_size() */
    unsigned prot;     /* VMM_R | VMM_W | VMM_X */
    const char *file;  /* back it by this file, or NULL */
    uint64_t offset;   /* where in the file; page-aligned if shared */
    bool shared;       /* guest writes reach the file */
    void *host; /* caller's own page-aligned memory, or NULL: zeroed memory of
                   the machine's own; it must outlive the machine */
};

uint64_t vmm_page_size(const struct vmm *vm);
int vmm_map(struct vmm *vm, const struct vmm_range *range);
int vmm_unmap(struct vmm *vm,
              uint64_t at); /* the whole range that starts there */
int vmm_protect(struct vmm *vm, uint64_t at, unsigned prot); /* likewise */

/* Range number `i` by rising address; false past the last. `host` stays NULL
 * unless the caller supplied it: host pointers do not leave core. */
bool vmm_range_at(const struct vmm *vm, size_t i, struct vmm_range *range);

/* Is all of [at, at+n) mapped? 0, or VMM_ERANGE naming the first hole, in words
 * that begin with `what`. */
int vmm_mapped(const struct vmm *vm, uint64_t at, uint64_t n, const char *what);

/* How many of the `most` bytes from `at` on are mapped, without a hole. */
size_t vmm_within(struct vmm *vm, uint64_t at, size_t most);

/* Copies between host and guest memory; whole or not at all. They may cross
 * from one range into the next, and ignore prot: the host is not the guest. */
int vmm_read(struct vmm *vm, uint64_t at, void *to, size_t n);
int vmm_write(struct vmm *vm, uint64_t at, const void *from, size_t n);
/* Those n bytes where they are, to be read at once: the pointer is good until
 * memory is unmapped or the guest runs. NULL: not all in one range; then there
 * is vmm_read(). */
const void *vmm_bytes(struct vmm *vm, uint64_t at, size_t n);
int vmm_fill(struct vmm *vm, uint64_t at, uint64_t n, uint8_t byte);
/* The first place of `what` in [at, at+n): 1 found, 0 not. */
int vmm_find(struct vmm *vm, uint64_t at, uint64_t n, const void *what,
             size_t len, uint64_t *found);
/* The length of the string at `at` before its NUL, looking at `max` bytes. */
int vmm_strlen(struct vmm *vm, uint64_t at, size_t max, size_t *len);
/* One little-endian integer of 1, 2, 4 or 8 bytes. */
int vmm_load(struct vmm *vm, uint64_t at, unsigned size, uint64_t *value);
int vmm_store(struct vmm *vm, uint64_t at, unsigned size, uint64_t value);

/* ---- registers ----------------------------------------------------------- */

/* A register is its class and its number in it. */
typedef uint64_t vmm_reg;
#define VMM_REG(class, nr) ((vmm_reg)(class) << 32 | (uint32_t)(nr))
#define VMM_REG_CLASS(reg) ((unsigned)((reg) >> 32))
#define VMM_REG_NR(reg) ((uint32_t)(reg))

enum vmm_reg_class {              /* member of union vmm_value */
                     VMM_GENERAL, /* u64: enum vmm_a64_reg, enum vmm_x86_reg */
                     VMM_VECTOR,  /* bytes: V0-V31, XMM0-XMM15 */
                     VMM_SYSTEM, /* u64: arm64, op0<<14|op1<<11|CRn<<7|CRm<<3|op2 */
                     VMM_CONTROL, /* u64: x86, enum vmm_x86_control */
                     VMM_SEGMENT, /* segment: x86, enum vmm_x86_segment */
                     VMM_TABLE,   /* table: x86, 0 GDTR, 1 IDTR */
                     VMM_MSR,     /* u64: x86, the MSR's number */
                     VMM_VCPU,    /* u64: enum vmm_vcpu_reg */
                     VMM_GICR,    /* u64: arm64, offset in its redistributor */
                     VMM_ICV,     /* u64: arm64, ICV_*, encoded as VMM_SYSTEM */
                     VMM_SCALABLE, /* arm64, enum vmm_scalable: vmm_get_bytes() */
                     VMM_GICD,     /* the GIC's: vmm_gic_get() */
                     VMM_GICM      /* likewise, its MSI frame's */
};

enum vmm_a64_reg { /* X0-X30 are 0-30 */
                   VMM_A64_SP =
                       31, /* the stack pointer that CPSR selects now */
                   VMM_A64_PC,
                   VMM_A64_CPSR,
                   VMM_A64_FPCR,
                   VMM_A64_FPSR
};

#define VMM_A64_SYSREG(op0, op1, crn, crm, op2)                                \
    ((op0) << 14 | (op1) << 11 | (crn) << 7 | (crm) << 3 | (op2))

enum vmm_x86_reg { /* the order of the instruction set's register numbers */
                   VMM_RAX,
                   VMM_RCX,
                   VMM_RDX,
                   VMM_RBX,
                   VMM_RSP,
                   VMM_RBP,
                   VMM_RSI,
                   VMM_RDI,
                   VMM_R8,
                   VMM_R9,
                   VMM_R10,
                   VMM_R11,
                   VMM_R12,
                   VMM_R13,
                   VMM_R14,
                   VMM_R15,
                   VMM_RIP,
                   VMM_RFLAGS
};

enum vmm_x86_control { /* CRn is n */
                       VMM_CR0 = 0,
                       VMM_CR2 = 2,
                       VMM_CR3 = 3,
                       VMM_CR4 = 4,
                       VMM_CR8 = 8,
                       VMM_EFER = 16,
                       VMM_APIC_BASE,
                       VMM_FS_BASE,
                       VMM_GS_BASE,
                       VMM_DR0 = 32,
                       VMM_DR1,
                       VMM_DR2,
                       VMM_DR3,
                       VMM_DR6 = 38,
                       VMM_DR7
};

enum vmm_x86_segment { /* the order of the instruction set */
                       VMM_ES,
                       VMM_CS,
                       VMM_SS,
                       VMM_DS,
                       VMM_FS,
                       VMM_GS,
                       VMM_LDTR,
                       VMM_TR
};

/* Not the guest's, but about its vCPU. */
enum vmm_vcpu_reg {
    /* 0 or 1: who gets the guest's own debug exceptions (BRK, int3), and, as
     * sysreg exits, its accesses to debug registers; 1: the host. */
    VMM_TRAP_DEBUG,
    VMM_TRAP_DEBUG_REGISTERS,
    VMM_VTIMER_MASK,   /* 0 or 1: 1: the virtual timer does not fire */
    VMM_VTIMER_OFFSET, /* the host's counter less the guest's CNTVCT_EL0 */
    VMM_EXEC_TIME,     /* nanoseconds in the guest so far; read only */
    VMM_GICR_BASE      /* where its redistributor is; read only */
};

enum vmm_scalable { /* SME: Z0-Z31, P0-P15, ZA, ZT0 */
                    VMM_Z0 = 0,
                    VMM_P0 = 32,
                    VMM_ZA = 48,
                    VMM_ZT0 = 49
};

struct vmm_segment { /* as in a descriptor, limit in bytes */
    uint64_t base;
    uint32_t limit;
    uint16_t selector;
    uint8_t type, s, dpl, present, avl, l, db, g;
};

struct vmm_table {
    uint64_t base;
    uint16_t limit;
};

union vmm_value {
    uint64_t u64;
    uint8_t bytes[16];
    struct vmm_segment segment;
    struct vmm_table table;
};

/* A name that scripts use: a register, or `bits` of it from bit `shift`.
 * Writing 32 bits clears the upper half, as the hardware does; 8 and 16 bits
 * leave the rest alone. */
struct vmm_reg_name {
    const char *name;
    vmm_reg reg;
    uint8_t shift, bits; /* bits: 64 whole, 32, 16, 8; 1 flag; 128 vector;
                            0 struct; VMM_BYTES: as many as there are */
};

enum { VMM_BYTES = 255 };

/* The register called `name` on `arch`; NULL: none. Pointers are to constants:
 * the same name gives the same pointer for the life of the process. */
const struct vmm_reg_name *vmm_reg_find(enum vmm_arch arch, const char *name);
/* The one most like `name`, for "did you mean"; NULL: nothing is like it. */
const char *vmm_reg_nearest(enum vmm_arch arch, const char *name);
/* How many letters are added, dropped, changed or swapped from `a` to `b`,
 * letter case aside. */
unsigned vmm_distance(const char *a, const char *b);
/* Name number `i`, in the order to show them; NULL past the last. */
const struct vmm_reg_name *vmm_reg_name(enum vmm_arch arch, size_t i);

/* Read and write a whole register of a vCPU that is not in the guest. */
int vmm_get(struct vmm_cpu *cpu, vmm_reg reg, union vmm_value *value);
int vmm_set(struct vmm_cpu *cpu, vmm_reg reg, const union vmm_value *value);
/* The same for class VMM_SCALABLE. *size is the room at `to`, and becomes the
 * register's size; `to` NULL: only that. `size` has to be just that. */
int vmm_get_bytes(struct vmm_cpu *cpu, vmm_reg reg, void *to, size_t *size);
int vmm_set_bytes(struct vmm_cpu *cpu, vmm_reg reg, const void *from,
                  size_t size);

/* ---- exits --------------------------------------------------------------- */

/* PC when a handler runs: past the instruction, unless noted. */
enum vmm_kind {
    VMM_NONE,
    VMM_HVC, /* hypercall: HVC, or `out` to the hypercall port */
    VMM_SMC,
    VMM_MMIO,   /* access to guest physical addresses without memory */
    VMM_IO,     /* x86 port access */
    VMM_SYSREG, /* MRS/MSR nobody handles; rdmsr/wrmsr */
    VMM_BRK,    /* BRK, int3, with VMM_TRAP_DEBUG; PC at the instruction */
    VMM_STEP,   /* one instruction was executed; PC at the next */
    VMM_BREAK,  /* breakpoint; PC at the instruction, not yet executed */
    VMM_WATCH,  /* watchpoint; addr, size, write */
    VMM_HALT,   /* HLT */
    VMM_WFI,
    VMM_TIMER,    /* the virtual timer fired; PC at the next instruction */
    VMM_FAULT,    /* an exception nobody handles; PC at the instruction */
    VMM_SHUTDOWN, /* triple fault, or the guest's own power-off */
    VMM_STOP,     /* vmm_stop() */
    VMM_TIMEOUT,  /* the run's time is up */
    VMM_BUDGET,   /* the run's exits are used up */
    VMM_KICK,     /* vmm_kick() */
    VMM_ERROR,    /* the host cannot go on with this guest; `why` says why */
    VMM_KINDS
};

const char *vmm_kind_name(enum vmm_kind kind); /* "hvc", "mmio", ... */
int vmm_kind_find(const char *name); /* enum vmm_kind, or VMM_EINVAL */

/* One exit. Field names are the Lua field names; which of them mean anything
 * depends on the kind. */
struct vmm_exit {
    enum vmm_kind kind;
    /* raw, as the hardware or host says it */
    uint32_t
        reason; /* arm64: 0 cancelled, 1 exception, 2 timer; x86: KVM_EXIT_* */
    uint8_t ec; /* arm64: syndrome's exception class */
    uint64_t syndrome; /* arm64: ESR_EL2 */
    uint64_t va; /* arm64: FAR_EL2; faults: the faulting virtual address */
    uint64_t pa; /* arm64: the faulting guest physical address */
    /* hvc, smc, brk */
    uint16_t imm;
    uint64_t nr; /* hvc, smc: the number in x0 or rax */
    /* mmio, io, sysreg, watch */
    uint64_t
        addr; /* mmio: physical, watch: virtual; fault: physical, where known */
    uint16_t port; /* io */
    uint8_t size;  /* bytes of the access: 1, 2, 4, 8; pairs and
                     vectors come as one exit for each 8 bytes */
    bool write;
    uint64_t value; /* written; for a read the callback stores the answer here,
                       and finds all ones, what an undriven bus reads as */
    uint32_t reg;   /* sysreg: arm64 encoding as VMM_SYSTEM, x86 MSR number */
    /* fault */
    uint32_t
        vector; /* x86: exception vector; arm64: offset in the vector table */
    uint32_t code; /* x86: error code */
    /* why, in words, for fault, shutdown, error */
    char why[120];
};

/* Does this exit ask for a value? (mmio, io, sysreg that read) */
bool vmm_exit_reads(const struct vmm_exit *exit);

/* The exit in one line of words: "hvc #0", "mmio read of 4 bytes at 0x9000018".
 * Returns `to`. */
char *vmm_exit_words(const struct vmm_exit *exit, char *to, size_t size);

/* ---- vCPUs --------------------------------------------------------------- */

/* Add a vCPU; the machine owns it until vmm_close(). It starts as the
 * architecture resets: arm64 EL1h, interrupts masked, MMU off; x86_64 real mode
 * with cs.base 0, at rip 0. */
int vmm_cpu_open(struct vmm *vm, struct vmm_cpu **cpu);
/* Undo the opening of the vCPU that was opened last and has not run: for who
 * finds that it cannot be set up. */
void vmm_cpu_close(struct vmm_cpu *cpu);
unsigned vmm_cpu_index(const struct vmm_cpu *cpu); /* 0, 1, ... as opened */
struct vmm *vmm_cpu_vm(const struct vmm_cpu *cpu);

/* ---- running ------------------------------------------------------------- */

/* What an exit callback answers: go on, or end the run with this exit. A
 * negative VMM_E* ends it as that failure (vmm_why() is the callback's). */
enum vmm_verdict { VMM_RESUME, VMM_RETURN };

/* Called for each exit of kinds VMM_HVC ... VMM_SHUTDOWN and VMM_ERROR. Never
 * called at the same time for two vCPUs of a machine. It may do to the machine
 * anything but run it; for a read it leaves its answer in exit->value. */
typedef int vmm_on_exit(struct vmm_cpu *cpu, struct vmm_exit *exit, void *ctx);

struct vmm_run {
    uint64_t timeout;     /* nanoseconds; 0: no limit */
    uint64_t exits;       /* how many exits may be delivered; 0: no limit */
    vmm_on_exit *on_exit; /* NULL: every exit ends the run */
    void *ctx;
    /* Called on another thread when the time is up, then every 20 ms until the
     * run has ended, so that the caller can interrupt a callback too; or NULL. */
    void (*on_timeout)(void *ctx);
    struct vmm_meter *meters; /* of each vCPU by its index: meter.h; or NULL */
};

/* Run `cpu`, or every vCPU of the machine where `cpu` is NULL, until an exit
 * ends the run. 0: `*exit` is that exit and `*who` (where not NULL) its vCPU. */
int vmm_run(struct vmm *vm, struct vmm_cpu *cpu, const struct vmm_run *run,
            struct vmm_exit *exit, struct vmm_cpu **who);

/* One raw entry, one exit, nothing delivered. A read waits for vmm_answer();
 * the next entry answers all ones for those who do not. */
int vmm_enter(struct vmm_cpu *cpu, struct vmm_exit *exit);
int vmm_answer(struct vmm_cpu *cpu, uint64_t value);

/* Run one instruction: a step exit, or whatever else it caused. A timeout exit: it
 * led the guest to where the host makes no steps, and has not come back soon. */
int vmm_step(struct vmm_cpu *cpu, struct vmm_exit *exit);

/* From a callback: end the run with a stop exit. VMM_ESTATE when not running. */
int vmm_stop(struct vmm *vm);
/* Was it called, in the run that is under way? */
bool vmm_stopping(const struct vmm *vm);

/* Get the vCPU out of the guest: its run ends with a kick exit. Latched: when
 * it is not running, its next run ends at once. Async-signal-safe. */
void vmm_kick(struct vmm_cpu *cpu);

/* The same, for who can tell which run it is meant for: `on` false takes it back,
 * when that run has ended and may have done so before. */
void vmm_interrupt(struct vmm_cpu *cpu, bool on);

/* ---- interrupts, debugging, translation ---------------------------------- */

/* Drive an interrupt line of the vCPU, arm64 only, and ask what it is at. */
enum vmm_line { VMM_IRQ, VMM_FIQ };
int vmm_line(struct vmm_cpu *cpu, enum vmm_line line, bool level);
int vmm_line_at(struct vmm_cpu *cpu, enum vmm_line line, bool *level);

/* Make an exception pending. arm64: a synchronous exception into EL1 with this
 * syndrome and FAR. x86_64: an external interrupt with this vector, delivered
 * once the guest accepts interrupts. */
struct vmm_event {
    uint64_t syndrome, far;
    uint8_t vector;
};
int vmm_inject(struct vmm_cpu *cpu, const struct vmm_event *event);

/* Breakpoints on virtual addresses, watchpoints on `size` bytes (1, 2, 4, 8,
 * aligned). Up to 16 and 4; VMM_ENOTSUP where the backend has fewer. */
int vmm_breakpoint(struct vmm_cpu *cpu, uint64_t va, bool on);
int vmm_watchpoint(struct vmm_cpu *cpu, uint64_t va, unsigned size,
                   unsigned access, bool on); /* access: VMM_R | VMM_W */

/* The guest physical address behind a virtual one, by the guest's tables as
 * they are now. 1 mapped, 0 not mapped. */
int vmm_translate(struct vmm_cpu *cpu, uint64_t va, uint64_t *pa);

/* ---- the interrupt controller -------------------------------------------- */

/* A GICv3 of the host's, at these guest physical addresses (vmm_caps() has their
 * alignment and size): the guest's accesses to it are no exits, its timers and
 * WFI neither, and vCPUs have no lines. */
struct vmm_gic_config {
    uint64_t distributor, redistributor;
    /* A frame for messages that become SPIs, and which; msi_count 0: none. */
    uint64_t msi;
    uint32_t msi_first, msi_count;
};

/* Once, before there are vCPUs. It goes with the machine. On kvm nothing is done with
 * it before there are, and none comes after that, or after the first run. */
int vmm_gic_open(struct vmm *vm, const struct vmm_gic_config *config);

struct vmm_gic_range {
    const char *name; /* "distributor", "redistributors", "msi" */
    uint64_t at, size;
};
/* Number `i` of the addresses it takes up; false past the last. */
bool vmm_gic_range_at(const struct vmm *vm, size_t i,
                      struct vmm_gic_range *range);

/* SPI `intid`, which counts from 32: drive its line, or for an edge, raise it. */
int vmm_gic_spi(struct vmm *vm, uint32_t intid, bool level);
/* A message: SPI `intid`, written to `at`; 0: where SET_SPI_NSR is. */
int vmm_gic_msi(struct vmm *vm, uint64_t at, uint32_t intid);
/* Back to how it began; vCPUs' interfaces (ICC_*) apart. */
int vmm_gic_reset(struct vmm *vm);

/* The register of the GIC itself that is called `name` ("gicd_ctlr",
 * "gicd_irouter32", "gicm_typer"). VMM_EINVAL: none, did you mean ... */
int vmm_gic_reg_find(const char *name, vmm_reg *reg);
int vmm_gic_get(struct vmm *vm, vmm_reg reg, uint64_t *value);
int vmm_gic_set(struct vmm *vm, vmm_reg reg, uint64_t value);

/* Its state but for vCPUs' interfaces, in the host's own format, while the machine
 * does not run. Sizes as with vmm_get_bytes(). Restored when all vCPUs are there and
 * before any has run, else VMM_ESTATE; a reset does not change that. */
int vmm_gic_save(struct vmm *vm, void *to, size_t *size);
int vmm_gic_restore(struct vmm *vm, const void *from, size_t size);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
