/* SPDX-License-Identifier: MIT */
/* unicorn_x86.h - what the files of the unicorn backend for x86_64 share.
 *
 * How it works. The engine runs in its virtual-TLB mode: it asks us for every
 * translation (unicorn_x86_mmu.c walks the guest's page tables), and what we
 * refuse leaves the engine with the state exactly at the instruction. Such an
 * instruction is then run alone, its memory accesses passing through our hands
 * (unicorn_x86_trial.c): that gives MMIO, string port I/O and watchpoints. The
 * engine knows no IDT: unicorn_x86_idt.c delivers exceptions and interrupts.
 * The register file (unicorn_x86_regs.c) is the engine's saved context, whose
 * layout is measured when a vCPU opens (unicorn_x86_layout.c). */
#ifndef VMM_UNICORN_X86_H
#define VMM_UNICORN_X86_H

#include "unicorn.h"

/* Missing from the headers of 2.0. */
enum {
    X86_CTL_TLB_FLUSH = UC_CTL_TB_FLUSH + 1,
    X86_CTL_TLB_TYPE = UC_CTL_TB_FLUSH + 2,
    X86_CTL_TCG_BUFFER_SIZE = UC_CTL_TB_FLUSH + 3,
    X86_TLB_VIRTUAL = 1,
    X86_HOOK_TLB_FILL = 1 << 17
};
struct x86_tlb_entry {
    uint64_t paddr;
    int perms;
};

/* Guest physical addresses end here; what follows is ours. */
#define X86_PHYSICAL_END (UINT64_C(1) << 52)
#define X86_PAGE UINT64_C(0xfff)

/* ---- registers (unicorn_x86_layout.c, unicorn_x86_regs.c) ---------------- */

/* Offsets in a saved context. */
struct x86_layout {
    size_t regs, eip, flags, cc_src, cc_op, df, hflags;
    size_t segs, ldt, tr, gdt, idt, cr, efer, dr;
    size_t error, is_int, old_exception;
};

extern const int x86_general[16]; /* Unicorn's numbers */

enum {
    X86_CC = 0x8d5,   /* the arithmetic flags */
    X86_CC_FLAGS = 1, /* cc_op: they are in cc_src, as they are in RFLAGS */
    X86_SEGMENT = 24  /* bytes of a segment in a context */
};

enum { /* bits of hflags: what the engine translates code by */
       X86_HF_CPL = 3,
       X86_HF_CS64 = 1 << 15,
       X86_HF_INHIBIT = 1 << 3, /* the next instruction is a block by itself */
       X86_HF_SMAP = 1 << 23
};

enum {
    X86_CR0_PE = 1,
    X86_CR0_WP = 1 << 16,
    X86_CR4_PSE = 1 << 4,
    X86_CR4_PAE = 1 << 5,
    X86_CR4_OSFXSR = 1 << 9,
    X86_CR4_LA57 = 1 << 12,
    X86_CR4_SMEP = 1 << 20,
    X86_CR4_SMAP = 1 << 21,
    X86_EFER_SCE = 1,
    X86_EFER_LME = 1 << 8,
    X86_EFER_LMA = 1 << 10,
    X86_EFER_NXE = 1 << 11,
    X86_FLAG_TF = 1 << 8,
    X86_FLAG_IF = 1 << 9,
    X86_FLAG_DF = 1 << 10,
    X86_FLAG_IOPL = 3 << 12,
    X86_FLAG_NT = 1 << 14,
    X86_FLAG_RF = 1 << 16,
    X86_FLAG_VM = 1 << 17,
    X86_FLAG_AC = 1 << 18
};
#define X86_CR0_PG (UINT64_C(1) << 31)

/* ---- one instruction by itself (unicorn_x86_trial.c) --------------------- */

enum {
    X86_WINDOWS = 32,  /* pages that one instruction may touch */
    X86_ACCESSES = 256 /* and how many accesses it may make */
};
#define X86_WINDOW X86_PHYSICAL_END /* where the windows are */
#define X86_SCRATCH (X86_WINDOW + (uint64_t)X86_WINDOWS * (X86_PAGE + 1))

struct x86_fault { /* an exception, or an interrupt to deliver */
    uint64_t va;   /* #PF: CR2 */
    uint32_t code;
    uint8_t vector;
    bool has_code, soft, external;
};

/* A page as an instruction on trial sees it. */
struct x86_window {
    uint64_t va, pa; /* page addresses */
    uint8_t *host;   /* its memory, or NULL */
    bool readable, writable;
    bool faults; /* any access raises `fault`, with .va filled in */
    struct x86_fault fault;
};

struct x86_access { /* what the outside sees of an instruction */
    enum vmm_kind kind;
    bool write;
    uint8_t size;
    uint64_t addr; /* or port */
    uint64_t value;
};

struct x86_undo {
    uint8_t *host;
    uint64_t pa;
    unsigned size;
    uint8_t old[8];
};

struct x86_trial {
    struct x86_window window[X86_WINDOWS];
    struct x86_access access[X86_ACCESSES];
    struct x86_undo undo[X86_ACCESSES];
    uint64_t answer[X86_ACCESSES]; /* to the reads, in their order */
    unsigned windows, accesses, undos;
    unsigned answers;  /* reads that have been answered */
    unsigned reads;    /* reads seen by the pass under way */
    unsigned reported; /* accesses that have been exits */
    bool waiting;      /* an access reported is a read without an answer */
    bool unanswered;   /* the pass met a read without an answer */
    bool tripped;      /* the pass met a window that faults */
    bool overflow;
    struct x86_fault fault; /* why it tripped */
    bool watched;           /* the pass met a watchpoint */
    struct vmm_exit watch;
    /* The access under way: the engine repeats unaligned ones in parts. */
    unsigned parts, part; /* repetitions expected, and seen */
    bool part_write;      /* of a write, else of a read */
    unsigned first, size; /* bytes in the first page, and in all */
    uint64_t value;       /* of a write */
    uint64_t at[2];       /* where in the windows the bytes are */
    unsigned count[2];    /* how many */
    uint8_t bytes[2][8];
};

/* ---- a vCPU -------------------------------------------------------------- */

enum x86_stop { /* why the engine came back */
                X86_NOTHING,
                X86_BLOCK,      /* at the start of a block: somebody wants us */
                X86_DONE,       /* the one instruction is behind us */
                X86_PORT,       /* port I/O, `access` */
                X86_SERVED,     /* behind an OUT that is in cpu->exit */
                X86_TRIAL,      /* the instruction needs unicorn_x86_trial.c */
                X86_MOVE_TO_DR, /* the instruction needs unicorn_x86_dr.c */
                X86_FAULT,      /* `fault` is to be delivered */
                X86_FETCH,      /* no memory to execute at fault.va */
                X86_INTR,       /* an exception or INT n, `vector` */
                X86_SYSCALL,
                X86_SYSENTER,
                X86_BREAK, /* breakpoint */
                X86_HALT,
                X86_NESTED, /* the guest tried to be a hypervisor */
                X86_SITES, /* new code wants hooks, or the code cache is full */
                X86_LOST   /* it left in a way that it should not have */
};

struct x86_site { /* linear addresses whose instructions are hooked */
    uint64_t first, last;
    bool ours; /* there may be one that the engine does not execute */
};

enum {
    X86_SITES_MAX = 128,
    X86_TABLES_MAX = 64, /* page-table pages that are remembered */
    /* The code cache: 2.1.1 crashes when it is full. */
    X86_CACHE_BYTES = 32 << 20,
    X86_CACHE_INSTRUCTIONS = 24000, /* of up to 800 bytes */
    X86_BLOCK_BYTES = 4096 + 64     /* of guest code in a block */
};

struct x86_code { /* where in a range of memory the engine has seen code */
    uint64_t at, size;
    uint64_t *lines; /* one bit for each 64 bytes */
    bool any;
};

struct x86_cpu {
    struct vmm_cpu *cpu;
    const struct unicorn *u;
    uc_engine *uc;

    /* The register file. `now` is a copy of the engine's state when `loaded`;
     * changed, and not yet in the engine, when `dirty`. */
    uc_context *now, *before, *after, *kept, *peek;
    size_t context_size;
    struct x86_layout at;
    bool loaded, dirty;
    bool flush;   /* translations are stale */
    bool changed; /* the engine has been, in ways that its code depends on */
    bool stale;   /* all that it has translated is */

    /* An exit is being delivered in place: the engine is in the midst of an OUT
     * and its RIP `behind` bytes short of what the exit's handler is to see. */
    bool inside;
    uint32_t behind;

    /* The run under way. */
    enum x86_stop stop;
    uint64_t block; /* linear address of the block we stopped in front of */
    bool one;       /* one instruction only */
    bool trying;    /* under trial */
    bool started;   /* `one`: its block has been entered, */
    bool round;     /* and is about to be, again */
    uint64_t rcx;
    struct x86_fault fault;
    uint32_t vector;
    struct x86_access port;
    bool hooked;        /* the instruction under way is, at `site` */
    uint32_t site_size; /* its bytes */
    uint64_t site_rip;  /* and its RIP */
    bool rewind;        /* the state to go on from is in `before` */
    bool turn_over;     /* the slice is used up */
    bool careful;       /* only one instruction, this time */
    uint64_t new_code, new_size;
    bool unsearched; /* they are of a block still to be searched */

    struct x86_trial trial;
    bool asked;  /* `port` is a read without an answer */
    bool faulty; /* `fault` is to be delivered first in the next run */
    bool single; /* then a #DB: the guest single-steps itself */
    bool skip;   /* do not stop at the breakpoint at `skip_at` */
    uint64_t skip_at;
    bool skipped; /* the instruction there is under way */
    bool irq;     /* an external interrupt is pending */
    uint8_t irq_vector;

    struct x86_site sites[X86_SITES_MAX];
    unsigned nsites;
    bool all;        /* every instruction is hooked */
    bool ours;       /* some may be that the engine does not execute */
    bool guarded;    /* some port I/O may be forbidden */
    unsigned cached; /* how full the code cache is, in instructions */
    struct x86_code *code;
    size_t codes;
    bool lookup; /* translations are for lookup_pa, not for the guest */
    uint64_t lookup_pa;
    uint8_t *scratch;               /* a page of our own */
    uint64_t table[X86_TABLES_MAX]; /* page-table pages since the last flush */
    unsigned tables;                /* more than fit: any page may be one */
};

static inline uint64_t x86_u64(const uc_context *c, size_t at)
{
    uint64_t v;

    __builtin_memcpy(&v, (const uint8_t *)c + at, sizeof v);
    return v;
}

static inline uint32_t x86_u32(const uc_context *c, size_t at)
{
    uint32_t v;

    __builtin_memcpy(&v, (const uint8_t *)c + at, sizeof v);
    return v;
}

static inline void x86_put64(uc_context *c, size_t at, uint64_t v)
{
    __builtin_memcpy((uint8_t *)c + at, &v, sizeof v);
}

static inline void x86_put32(uc_context *c, size_t at, uint32_t v)
{
    __builtin_memcpy((uint8_t *)c + at, &v, sizeof v);
}

/* One of the engine's registers of 64 bits, by Unicorn's number. */
static inline void x86_put(struct x86_cpu *x, int reg, uint64_t value)
{
    x->u->reg_write(x->uc, reg, &value);
}

/* Find the layout of this libunicorn's contexts by experiment. */
int x86_calibrate(struct x86_cpu *x);
void x86_reset(struct x86_cpu *x);
/* Bring the engine's state into x->now; changed state into the engine. */
void x86_load(struct x86_cpu *x);
void x86_sync(struct x86_cpu *x);
/* x->now has changed: what the engine derives from the registers, too. */
void x86_derive(struct x86_cpu *x);
/* These are of x->now, loaded. */
uint64_t x86_flags(struct x86_cpu *x);
void x86_set_flags(struct x86_cpu *x, uint64_t flags);
void x86_segment(struct x86_cpu *x, unsigned nr, struct vmm_segment *s);
void x86_set_segment(struct x86_cpu *x, unsigned nr,
                     const struct vmm_segment *s);
uint64_t x86_rip(struct x86_cpu *x); /* also while not loaded */
void x86_set_rip(struct x86_cpu *x, uint64_t rip);
int x86_get(struct vmm_cpu *cpu, vmm_reg reg, union vmm_value *value);
int x86_set(struct vmm_cpu *cpu, vmm_reg reg, const union vmm_value *value);
/* Why the engine cannot be entered like this; NULL: it can. */
const char *x86_nonsense(struct x86_cpu *x);

/* ---- memory (unicorn_x86_mmu.c) ------------------------------------------ */

struct x86_page {  /* a translation */
    uint64_t pa;   /* of the page */
    unsigned prot; /* what the guest's tables allow */
    struct x86_fault fault;
};

/* Translate for `access` (one of VMM_R, W, X) by the state in `c`. False: the
 * fault is in page->fault. */
bool x86_walk(struct x86_cpu *x, const uc_context *c, uint64_t va,
              unsigned access, bool user, struct x86_page *page);
bool x86_fill(uc_engine *uc, uint64_t va, uc_mem_type type,
              struct x86_tlb_entry *entry, void *ctx);
/* The guest's linear memory as its privileged machinery sees it, by the state
 * in `c`. 0; 1 with the fault in *fault; negative: no memory there. */
int x86_read(struct x86_cpu *x, const uc_context *c, uint64_t va, void *to,
             unsigned n, struct x86_fault *fault);
int x86_write(struct x86_cpu *x, const uc_context *c, uint64_t va,
              const void *from, unsigned n, struct x86_fault *fault);
/* The instruction bytes at a linear address, as many as can be had. */
unsigned x86_fetch(struct x86_cpu *x, uint64_t va, uint8_t *to, unsigned n);
void x86_flush_tlb(struct x86_cpu *x);

/* Which memory holds translated code. */
int x86_code_add(struct x86_cpu *x, const struct vmm_mem *mem);
void x86_code_remove(struct x86_cpu *x, const struct vmm_mem *mem);
void x86_code_seen(struct x86_cpu *x, uint64_t va, uint64_t n);
/* [pa, pa+n) has other bytes now: code, and page tables, are stale. */
void x86_changed(struct x86_cpu *x, uint64_t pa, uint64_t n);
void x86_code_changed(struct x86_cpu *x, uint64_t pa, uint64_t n);
/* Translate the code at these linear addresses anew. */
void x86_forget(struct x86_cpu *x, uint64_t va, uint64_t n);
void x86_code_flush(struct x86_cpu *x);

/* ---- events (unicorn_x86_idt.c) ------------------------------------------ */

/* Deliver an exception or interrupt through the guest's IDT. 0: done; 1: it
 * ended in *exit. */
int x86_deliver(struct x86_cpu *x, const struct x86_fault *event,
                struct vmm_exit *exit);
/* Back from behind an INT n, INT3 or INTO to the instruction. */
void x86_before_int(struct x86_cpu *x, unsigned vector);
/* The SYSCALL and SYSENTER that the engine has stepped over. */
int x86_syscall(struct x86_cpu *x, struct vmm_exit *exit);
int x86_sysenter(struct x86_cpu *x, struct vmm_exit *exit);
/* Are all ports the guest's, by the state in `c`? */
bool x86_all_ports(const struct x86_cpu *x, const uc_context *c);
/* May the guest use these ports? By its state in mid-instruction. */
bool x86_port_allowed(struct x86_cpu *x, uint16_t port, unsigned size);

/* ---- one instruction ----------------------------------------------------- */

/* Run the instruction at RIP by itself. 0: done, x86_next_access() has what is
 * to be reported; 1: nothing happened, x->fault is to be delivered; negative:
 * it cannot be done, vmm_why() says why. */
int x86_try(struct x86_cpu *x);
/* The read that was reported last gets this value. */
int x86_try_answer(struct x86_cpu *x, uint64_t value);
bool x86_next_access(struct x86_cpu *x, struct vmm_exit *exit);
bool x86_window_fill(struct x86_cpu *x, uint64_t va, unsigned access,
                     struct x86_tlb_entry *entry);
uint32_t x86_try_in(struct x86_cpu *x, uint32_t port, int size);
void x86_try_out(struct x86_cpu *x, uint32_t port, int size, uint32_t value);
bool x86_on_window(uc_engine *uc, uc_mem_type type, uint64_t pa, int size,
                   int64_t value, void *ctx);
uint64_t x86_on_window_read(uc_engine *uc, uint64_t offset, unsigned size,
                            void *ctx);
void x86_on_window_write(uc_engine *uc, uint64_t offset, unsigned size,
                         uint64_t value, void *ctx);

/* ---- MOV to a debug register (unicorn_x86_dr.c) -------------------------- */

/* Is the instruction at this linear address one? By the engine's state. */
bool x86_is_move_to_dr(struct x86_cpu *x, uint64_t at);
/* Execute it: 0 done; 1: x->fault is to be delivered. */
int x86_move_to_dr(struct x86_cpu *x);

/* ---- the engine (unicorn_x86_hooks.c) ------------------------------------ */

int x86_hook_all(struct x86_cpu *x);
/* Make the engine tell of the instruction at a linear address. */
int x86_hook_address(struct x86_cpu *x, uint64_t at);
/* Hook the port I/O in the new code that it stopped in front of. */
int x86_search(struct x86_cpu *x);
/* Run the engine until it stops: why is in x->stop. */
int x86_enter(struct x86_cpu *x);
/* One of the bytes that may stand before an opcode. */
bool x86_is_prefix(uint8_t b);
/* These look at the engine's own state. */
bool x86_is_string_io(struct x86_cpu *x, uint64_t at);
bool x86_can_interrupt(struct x86_cpu *x);
uint64_t x86_linear_rip(struct x86_cpu *x);

#endif
