/* SPDX-License-Identifier: MIT */
/* kvm_x86_regs.c - the registers of an x86 vCPU. General registers, and the
 * system's (control registers, segments, tables), are kept in run->s.regs: they
 * are fetched when somebody asks, and go back when the guest is entered, which
 * KVM_CAP_SYNC_REGS does without a system call of its own. All else is rare and
 * goes through its ioctl each time. */
#include "backend.h"

#if defined(__linux__) && defined(__x86_64__)
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "kvm_x86.h"

enum { EFER_LME = 1 << 8, EFER_LMA = 1 << 10 };
#define CR0_PG (UINT64_C(1) << 31)

static const struct {
    unsigned class;
    unsigned long get, set;
    size_t at; /* in run->s.regs */
} classes[KVM_X86_CLASSES] = {
    {KVM_SYNC_X86_REGS, KVM_GET_REGS, KVM_SET_REGS,
     offsetof(struct kvm_sync_regs, regs)},
    {KVM_SYNC_X86_SREGS, KVM_GET_SREGS, KVM_SET_SREGS,
     offsetof(struct kvm_sync_regs, sregs)},
    {KVM_SYNC_X86_EVENTS, KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS,
     offsetof(struct kvm_sync_regs, events)},
};

static void *class_at(struct kvm_x86 *x, unsigned i)
{
    return (char *)&x->vcpu.run->s.regs + classes[i].at;
}

static int fail(const struct kvm_x86 *x, const char *what)
{
    return kvm_fail(x->vcpu.machine, what, errno);
}

/* ---- between the kernel and run->s.regs ---------------------------------- */

int kvm_x86_fetch(struct kvm_x86 *x, unsigned class)
{
    for (unsigned i = 0; i < KVM_X86_CLASSES; i++) {
        if (classes[i].class != class)
            continue;
        x->wanted[i] = KVM_X86_WANTED;
        if (x->have & class)
            return 0;
        if (ioctl(x->vcpu.fd, classes[i].get, class_at(x, i)) < 0)
            return fail(x, "read registers");
        x->have |= class;
    }
    return 0;
}

/* That the kernel stores registers at each exit is cheaper than to ask once,
 * but not free: it shall do so while exits are handled by those who look at
 * them. It must not store over what `stay` holds: what waits for a later
 * entry, and system registers, which it may reject. */
static unsigned bring_along(struct kvm_x86 *x, unsigned stay)
{
    unsigned bring = 0;

    for (unsigned i = 0; i < KVM_X86_CLASSES; i++)
        if (x->wanted[i] && x->wanted[i]--)
            bring |= classes[i].class;
    return bring & ~stay;
}

static int put(struct kvm_x86 *x, unsigned which)
{
    for (unsigned i = 0; i < KVM_X86_CLASSES; i++) {
        if (!(which & classes[i].class))
            continue;
        if (ioctl(x->vcpu.fd, classes[i].set, class_at(x, i)) < 0)
            return -errno;
        x->dirty &= ~classes[i].class;
    }
    return 0;
}

int kvm_x86_before_entry(struct kvm_x86 *x, unsigned which)
{
    struct kvm_run *run = x->vcpu.run;

    which &= x->dirty;
    if (which & KVM_SYNC_X86_SREGS) /* never to inject one a second time */
        memset(run->s.regs.sregs.interrupt_bitmap, 0,
               sizeof run->s.regs.sregs.interrupt_bitmap);
    if (x->machine->sync) {
        run->kvm_valid_regs =
            bring_along(x, x->dirty & ~(which & KVM_SYNC_X86_REGS));
        run->kvm_dirty_regs = which;
        return 0;
    }
    return put(x, which);
}

int kvm_x86_flush(struct kvm_x86 *x)
{
    int rc = put(x, x->dirty);

    if (rc == 0)
        x->written = 0;
    return rc;
}

void kvm_x86_after_entry(struct kvm_x86 *x, unsigned which)
{
    const struct kvm_run *run = x->vcpu.run;

    x->have = 0;
    if (x->machine->sync) {
        x->dirty = (x->dirty & ~which) | (unsigned)run->kvm_dirty_regs;
        x->have = (unsigned)run->kvm_valid_regs;
    }
    x->have |= x->dirty;
    if (which & ~x->dirty & KVM_SYNC_X86_REGS)
        x->written = 0;
}

/* ---- general registers --------------------------------------------------- */

__u64 *kvm_x86_general(struct kvm_regs *r, unsigned nr)
{
    static const uint16_t at[] = {
        [VMM_RAX] = offsetof(struct kvm_regs, rax),
        [VMM_RCX] = offsetof(struct kvm_regs, rcx),
        [VMM_RDX] = offsetof(struct kvm_regs, rdx),
        [VMM_RBX] = offsetof(struct kvm_regs, rbx),
        [VMM_RSP] = offsetof(struct kvm_regs, rsp),
        [VMM_RBP] = offsetof(struct kvm_regs, rbp),
        [VMM_RSI] = offsetof(struct kvm_regs, rsi),
        [VMM_RDI] = offsetof(struct kvm_regs, rdi),
        [VMM_R8] = offsetof(struct kvm_regs, r8),
        [VMM_R9] = offsetof(struct kvm_regs, r9),
        [VMM_R10] = offsetof(struct kvm_regs, r10),
        [VMM_R11] = offsetof(struct kvm_regs, r11),
        [VMM_R12] = offsetof(struct kvm_regs, r12),
        [VMM_R13] = offsetof(struct kvm_regs, r13),
        [VMM_R14] = offsetof(struct kvm_regs, r14),
        [VMM_R15] = offsetof(struct kvm_regs, r15),
        [VMM_RIP] = offsetof(struct kvm_regs, rip),
        [VMM_RFLAGS] = offsetof(struct kvm_regs, rflags),
    };

    return nr < sizeof at / sizeof at[0] ? (__u64 *)((char *)r + at[nr]) : NULL;
}

/* KVM_SET_REGS drops an exception that an access has left pending when it was
 * completed (INS to a page that is not there): put that back after it, unless
 * the vCPU is sent elsewhere. */
void kvm_x86_changed(struct kvm_x86 *x, unsigned nr)
{
    x->written |= 1u << nr;
    x->dirty |= KVM_SYNC_X86_REGS;
    if (nr == VMM_RIP)
        x->accessed = false;
    if (!(x->have & KVM_SYNC_X86_EVENTS))
        return;
    if (nr == VMM_RIP) {
        x->have &= ~KVM_SYNC_X86_EVENTS;
        x->dirty &= ~KVM_SYNC_X86_EVENTS;
    } else if (x->vcpu.run->s.regs.events.exception.injected)
        x->dirty |= KVM_SYNC_X86_EVENTS;
}

/* A write that is pending has left every register as it will be, but for RIP:
 * for port and MSR accesses hardware KVM moves that when it completes them. */
static bool completes(const struct kvm_x86 *x, unsigned nr, bool write)
{
    if (x->pending != KVM_X86_WRITE)
        return x->pending == KVM_X86_ANSWERED;
    if (write)
        return nr == VMM_RIP || nr == VMM_RFLAGS;
    return nr == VMM_RIP && x->vcpu.run->exit_reason != KVM_EXIT_MMIO;
}

/* KVM moves RIP past a REP instruction only when that finds RCX at 0. */
static void pass_string(struct kvm_x86 *x)
{
    struct kvm_regs *regs = &x->vcpu.run->s.regs.regs;
    unsigned length = x->accessed ? kvm_x86_string_done(x, regs) : 0;

    x->accessed = false;
    if (length) {
        regs->rip += length;
        kvm_x86_changed(x, VMM_RIP);
    }
}

static int get_general(struct kvm_x86 *x, unsigned nr, uint64_t *value)
{
    int rc = completes(x, nr, false) ? kvm_x86_complete(x) : 0;

    if (rc == 0 && x->pending == KVM_X86_READ && !(x->written & 1u << nr))
        rc = kvm_x86_look_ahead(x);
    if (rc == 0 && x->pending == KVM_X86_READ) {
        *value = kvm_x86_ahead(x, nr);
        return 0;
    }
    if (rc == 0)
        rc = kvm_x86_fetch(x, KVM_SYNC_X86_REGS);
    if (rc < 0)
        return rc;
    if (nr == VMM_RIP)
        pass_string(x);
    *value = *kvm_x86_general(&x->vcpu.run->s.regs.regs, nr);
    return 0;
}

static int set_general(struct kvm_x86 *x, unsigned nr, uint64_t value)
{
    int rc = completes(x, nr, true) ? kvm_x86_complete(x) : 0;

    if (rc == 0 && x->pending == KVM_X86_READ) {
        *kvm_x86_general(&x->ahead, nr) = value;
        x->written |= 1u << nr;
        return 0;
    }
    if (rc == 0)
        rc = kvm_x86_fetch(x, KVM_SYNC_X86_REGS);
    if (rc < 0)
        return rc;
    *kvm_x86_general(&x->vcpu.run->s.regs.regs, nr) = value;
    kvm_x86_changed(x, nr);
    return 0;
}

/* ---- control registers, segments, tables --------------------------------- */

static __u64 *control(struct kvm_sregs *s, unsigned nr)
{
    switch (nr) {
    case VMM_CR0:
        return &s->cr0;
    case VMM_CR2:
        return &s->cr2;
    case VMM_CR3:
        return &s->cr3;
    case VMM_CR4:
        return &s->cr4;
    case VMM_EFER:
        return &s->efer;
    case VMM_APIC_BASE:
        return &s->apic_base;
    case VMM_FS_BASE:
        return &s->fs.base;
    case VMM_GS_BASE:
        return &s->gs.base;
    default:
        return NULL;
    }
}

/* As the processor does it: LMA follows from LME and paging. */
static void follow(struct kvm_sregs *s)
{
    if (s->efer & EFER_LME && s->cr0 & CR0_PG)
        s->efer |= EFER_LMA;
    else
        s->efer &= ~(__u64)EFER_LMA;
}

static struct kvm_segment *segment(struct kvm_sregs *s, unsigned nr)
{
    struct kvm_segment *const all[] = {
        [VMM_ES] = &s->es,    [VMM_CS] = &s->cs, [VMM_SS] = &s->ss,
        [VMM_DS] = &s->ds,    [VMM_FS] = &s->fs, [VMM_GS] = &s->gs,
        [VMM_LDTR] = &s->ldt, [VMM_TR] = &s->tr,
    };

    return nr < sizeof all / sizeof all[0] ? all[nr] : NULL;
}

static void get_segment(const struct kvm_segment *s, struct vmm_segment *to)
{
    *to = (struct vmm_segment){
        .base = s->base,
        .limit = s->limit,
        .selector = s->selector,
        .type = s->type,
        .s = s->s,
        .dpl = s->dpl,
        .present = s->present && !s->unusable,
        .avl = s->avl,
        .l = s->l,
        .db = s->db,
        .g = s->g,
    };
}

static void set_segment(struct kvm_segment *s, const struct vmm_segment *from)
{
    *s = (struct kvm_segment){
        .base = from->base,
        .limit = from->limit,
        .selector = from->selector,
        .type = from->type & 15,
        .s = from->s != 0,
        .dpl = from->dpl & 3,
        .present = from->present != 0,
        .unusable = !from->present,
        .avl = from->avl != 0,
        .l = from->l != 0,
        .db = from->db != 0,
        .g = from->g != 0,
    };
}

static struct kvm_dtable *table(struct kvm_sregs *s, unsigned nr)
{
    return nr == 0 ? &s->gdt : nr == 1 ? &s->idt : NULL;
}

static int no_register(vmm_reg reg)
{
    return vmm_fail(VMM_ENOTSUP,
                    "kvm: register %u of class %u: not on this backend with "
                    "x86_64 guests",
                    VMM_REG_NR(reg), VMM_REG_CLASS(reg));
}

static int get_system(struct kvm_x86 *x, vmm_reg reg, union vmm_value *value)
{
    struct kvm_sregs *s = &x->vcpu.run->s.regs.sregs;
    unsigned nr = VMM_REG_NR(reg);
    int rc = kvm_x86_fetch(x, KVM_SYNC_X86_SREGS);

    if (rc < 0)
        return rc;
    if (VMM_REG_CLASS(reg) == VMM_CONTROL && control(s, nr))
        value->u64 = *control(s, nr);
    else if (VMM_REG_CLASS(reg) == VMM_SEGMENT && segment(s, nr))
        get_segment(segment(s, nr), &value->segment);
    else if (VMM_REG_CLASS(reg) == VMM_TABLE && table(s, nr))
        value->table = (struct vmm_table){.base = table(s, nr)->base,
                                          .limit = table(s, nr)->limit};
    else
        return no_register(reg);
    return 0;
}

static int set_system(struct kvm_x86 *x, vmm_reg reg,
                      const union vmm_value *value)
{
    struct kvm_sregs *s = &x->vcpu.run->s.regs.sregs;
    unsigned nr = VMM_REG_NR(reg);
    int rc = kvm_x86_fetch(x, KVM_SYNC_X86_SREGS);

    if (rc < 0)
        return rc;
    if (x->pending == KVM_X86_READ && !(x->dirty & KVM_SYNC_X86_SREGS)) {
        x->clean = *s;
        x->held = true;
    }
    if (VMM_REG_CLASS(reg) == VMM_CONTROL && control(s, nr)) {
        *control(s, nr) = value->u64;
        follow(s);
    } else if (VMM_REG_CLASS(reg) == VMM_SEGMENT && segment(s, nr))
        set_segment(segment(s, nr), &value->segment);
    else if (VMM_REG_CLASS(reg) == VMM_TABLE && table(s, nr))
        *table(s, nr) = (struct kvm_dtable){.base = value->table.base,
                                            .limit = value->table.limit};
    else
        return no_register(reg);
    x->dirty |= KVM_SYNC_X86_SREGS;
    return 0;
}

/* ---- CR8: the kernel takes it from run at each entry --------------------- */

static int get_cr8(struct kvm_x86 *x, union vmm_value *value)
{
    value->u64 = x->vcpu.run->cr8;
    return 0;
}

static int set_cr8(struct kvm_x86 *x, const union vmm_value *value)
{
    if (value->u64 > 15)
        return vmm_fail(VMM_EINVAL, "kvm: cr8: it has 4 bits");
    x->vcpu.run->cr8 = value->u64;
    return 0;
}

/* ---- debug registers ----------------------------------------------------- */

static __u64 *debug_register(struct kvm_debugregs *d, unsigned nr)
{
    if (nr <= VMM_DR3)
        return &d->db[nr - VMM_DR0];
    return nr == VMM_DR6 ? &d->dr6 : nr == VMM_DR7 ? &d->dr7 : NULL;
}

static int get_debug(struct kvm_x86 *x, vmm_reg reg, union vmm_value *value)
{
    struct kvm_debugregs d;
    __u64 *from = debug_register(&d, VMM_REG_NR(reg));

    if (!from)
        return no_register(reg);
    if (ioctl(x->vcpu.fd, KVM_GET_DEBUGREGS, &d) < 0)
        return fail(x, "read debug registers");
    value->u64 = *from;
    return 0;
}

static int set_debug(struct kvm_x86 *x, vmm_reg reg,
                     const union vmm_value *value)
{
    struct kvm_debugregs d;
    __u64 *to = debug_register(&d, VMM_REG_NR(reg));

    if (!to)
        return no_register(reg);
    if (ioctl(x->vcpu.fd, KVM_GET_DEBUGREGS, &d) < 0)
        return fail(x, "read debug registers");
    *to = value->u64;
    if (ioctl(x->vcpu.fd, KVM_SET_DEBUGREGS, &d) < 0)
        return fail(x, "write debug registers");
    return 0;
}

/* ---- XMM registers ------------------------------------------------------- */

/* KVM_GET_FPU would not do: what it shows of a component that the processor
 * has left in its initial state is old, and what KVM_SET_FPU writes there is
 * lost. */
enum { XMM_AT = 160, COMPONENTS_AT = 512, COMPONENT_SSE = 2 };

static int with_xsave(struct kvm_x86 *x, unsigned nr, const uint8_t *from,
                      uint8_t *to)
{
    size_t size = x->machine->xsave;
    uint8_t *area = calloc(1, size ? size : sizeof(struct kvm_xsave));
    uint8_t *xmm;
    int rc = 0;

    if (!area)
        return vmm_fail(VMM_ENOMEM, "kvm: vector registers: out of memory");
    xmm = area + XMM_AT + 16 * nr;
    if (ioctl(x->vcpu.fd, size ? KVM_GET_XSAVE2 : KVM_GET_XSAVE, area) < 0)
        rc = fail(x, "read vector registers");
    else if (to)
        memcpy(to, xmm, 16);
    else if (from) {
        memcpy(xmm, from, 16);
        area[COMPONENTS_AT] |= COMPONENT_SSE;
        if (ioctl(x->vcpu.fd, KVM_SET_XSAVE, area) < 0)
            rc = fail(x, "write vector registers");
    }
    free(area);
    return rc;
}

/* ---- model-specific registers -------------------------------------------- */

/* Those that are system registers as well: there must be one way to them. */
static vmm_reg as_system(vmm_reg reg)
{
    if (VMM_REG_CLASS(reg) != VMM_MSR)
        return reg;
    switch (VMM_REG_NR(reg)) {
    case 0x1b:
        return VMM_REG(VMM_CONTROL, VMM_APIC_BASE);
    case 0xc0000080:
        return VMM_REG(VMM_CONTROL, VMM_EFER);
    case 0xc0000100:
        return VMM_REG(VMM_CONTROL, VMM_FS_BASE);
    case 0xc0000101:
        return VMM_REG(VMM_CONTROL, VMM_GS_BASE);
    default:
        return reg;
    }
}

/* struct kvm_msrs ends in an array, of which we need one element. */
union one_msr {
    struct kvm_msrs head;
    char room[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)];
};

static int with_msr(struct kvm_x86 *x, unsigned long request, uint32_t nr,
                    uint64_t *value)
{
    union one_msr one = {{.nmsrs = 1}};
    struct kvm_msr_entry *msr = one.head.entries;
    int done;

    *msr = (struct kvm_msr_entry){.index = nr, .data = *value};
    done = ioctl(x->vcpu.fd, request, &one);
    if (done < 0)
        return fail(x, "msr");
    if (done == 0)
        return vmm_fail(
            VMM_ENOTSUP, "kvm: msr 0x%x: this host's KVM does not have it%s",
            nr, request == KVM_SET_MSRS ? ", or not with this value" : "");
    *value = msr->data;
    return 0;
}

/* ---- all of them --------------------------------------------------------- */

/* An access that was answered is completed first; of the general registers each
 * knows by itself whether that is so (completes()). */
static int ready(struct kvm_x86 *x, unsigned class, const char *what)
{
    int rc = kvm_owned(x->vcpu.machine, what);

    if (rc == 0 && class != VMM_GENERAL && x->pending == KVM_X86_ANSWERED)
        rc = kvm_x86_complete(x);
    return rc;
}

int kvm_x86_get(struct vmm_cpu *cpu, vmm_reg reg, union vmm_value *value)
{
    struct kvm_x86 *x = cpu->host;
    unsigned class, nr;
    int rc;

    reg = as_system(reg);
    class = VMM_REG_CLASS(reg);
    nr = VMM_REG_NR(reg);
    rc = ready(x, class, "read a register");
    if (rc < 0)
        return rc;
    if (class == VMM_GENERAL && nr <= VMM_RFLAGS)
        return get_general(x, nr, &value->u64);
    if (class == VMM_VECTOR && nr < 16)
        return with_xsave(x, nr, NULL, value->bytes);
    if (class == VMM_MSR) {
        value->u64 = 0;
        return with_msr(x, KVM_GET_MSRS, nr, &value->u64);
    }
    if (class == VMM_CONTROL && nr == VMM_CR8)
        return get_cr8(x, value);
    if (class == VMM_CONTROL && nr >= VMM_DR0)
        return get_debug(x, reg, value);
    return get_system(x, reg, value);
}

int kvm_x86_set(struct vmm_cpu *cpu, vmm_reg reg, const union vmm_value *value)
{
    struct kvm_x86 *x = cpu->host;
    unsigned class, nr;
    int rc;

    reg = as_system(reg);
    class = VMM_REG_CLASS(reg);
    nr = VMM_REG_NR(reg);
    rc = ready(x, class, "write a register");
    if (rc < 0)
        return rc;
    if (class == VMM_GENERAL && nr <= VMM_RFLAGS)
        return set_general(x, nr, value->u64);
    if (class == VMM_VECTOR && nr < 16)
        return with_xsave(x, nr, value->bytes, NULL);
    if (class == VMM_MSR) {
        uint64_t data = value->u64;

        return with_msr(x, KVM_SET_MSRS, nr, &data);
    }
    if (class == VMM_CONTROL && nr == VMM_CR8)
        return set_cr8(x, value);
    if (class == VMM_CONTROL && nr >= VMM_DR0)
        return set_debug(x, reg, value);
    return set_system(x, reg, value);
}

/* KVM's own reset is the PC's, in the firmware at the top of 4 GiB. */
int kvm_x86_reset(struct kvm_x86 *x)
{
    struct kvm_sync_regs *all = &x->vcpu.run->s.regs;
    int rc = kvm_x86_fetch(x, KVM_SYNC_X86_SREGS);

    if (rc < 0)
        return rc;
    all->sregs.cs.base = 0;
    all->sregs.cs.selector = 0;
    all->regs = (struct kvm_regs){.rflags = 2};
    x->have = x->dirty = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS;
    return 0;
}
#endif
