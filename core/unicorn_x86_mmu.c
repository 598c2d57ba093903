/* SPDX-License-Identifier: MIT */
/* unicorn_x86_mmu.c - the memory of the unicorn backend for x86_64: the guest's
 * page tables as the MMU walks them, the engine's requests for translations,
 * and the record of which memory holds code that the engine has translated.
 *
 * mmu_x86.c answers what an address means; this walk is the one that the
 * guest's instructions make: with access rights, accessed and dirty bits and
 * page faults. */
#include <stdlib.h>
#include <string.h>

#include "unicorn_x86.h"

/* ---- page tables --------------------------------------------------------- */

enum { /* bits of an entry, and of the error code of #PF */
       PTE_P = 1,
       PTE_W = 2,
       PTE_U = 4,
       PTE_A = 1 << 5,
       PTE_D = 1 << 6,
       PTE_PS = 1 << 7,
       PF_P = 1,
       PF_W = 2,
       PF_U = 4,
       PF_RSVD = 8,
       PF_FETCH = 16
};
#define PTE_NX (UINT64_C(1) << 63)
#define PTE_ADDRESS UINT64_C(0xffffffffff000)

struct walk { /* one walk under way */
    struct x86_cpu *x;
    uint64_t cr0, cr3, cr4, efer;
    unsigned access;
    bool user;
    unsigned prot; /* VMM_R, W, X that all levels so far allow */
    bool for_user; /* and whether they allow it to user code */
    uint8_t *entry[5];
    unsigned levels;
};

static uint8_t *memory(struct x86_cpu *x, uint64_t pa)
{
    struct vmm_mem *mem = vmm_mem_at(x->cpu->vm, pa);

    return mem ? mem->host + (pa - mem->range.at) : NULL;
}

static bool fault(const struct walk *w, struct x86_page *page, uint64_t va,
                  unsigned bits)
{
    uint32_t code =
        bits | (w->access == VMM_W ? PF_W : 0) | (w->user ? PF_U : 0);

    if (w->access == VMM_X &&
        ((w->efer & X86_EFER_NXE && w->cr4 & X86_CR4_PAE) ||
         w->cr4 & X86_CR4_SMEP))
        code |= PF_FETCH;
    page->fault = (struct x86_fault){
        .vector = 14, .has_code = true, .code = code, .va = va};
    return false;
}

/* The host may change tables too, but says no INVLPG: so remember which pages
 * translations came from. */
static void remember_table(struct x86_cpu *x, uint64_t pa)
{
    unsigned i = 0;

    pa &= ~X86_PAGE;
    while (i < x->tables && i < X86_TABLES_MAX && x->table[i] != pa)
        i++;
    if (i < x->tables)
        return;
    if (i < X86_TABLES_MAX)
        x->table[i] = pa;
    x->tables = i + 1;
}

static bool holds_table(const struct x86_cpu *x, uint64_t pa, uint64_t n)
{
    for (unsigned i = 0; i < x->tables && i < X86_TABLES_MAX; i++)
        if (pa <= (x->table[i] | X86_PAGE) && x->table[i] < pa + n)
            return true;
    return x->tables > X86_TABLES_MAX;
}

/* Go through one entry; what is not RAM has no tables in it. */
static bool descend(struct walk *w, uint64_t at, unsigned bytes,
                    uint64_t *entry)
{
    uint8_t *host = memory(w->x, at);

    *entry = 0;
    if (!host)
        return false;
    memcpy(entry, host, bytes);
    remember_table(w->x, at);
    w->entry[w->levels++] = host;
    if (!(*entry & PTE_W))
        w->prot &= ~(unsigned)VMM_W;
    if (!(*entry & PTE_U))
        w->for_user = false;
    if (bytes == 8 && *entry & PTE_NX)
        w->prot &= ~(unsigned)VMM_X;
    return *entry & PTE_P;
}

/* The leaf is found: may this access pass? Then mark what it passed through. */
static bool allow(struct walk *w, uint64_t va, bool smap, struct x86_page *page)
{
    bool dirty;

    if (w->user && !w->for_user)
        return fault(w, page, va, PF_P);
    if (!w->user) {
        if (!(w->cr0 & X86_CR0_WP))
            w->prot |= VMM_W;
        if (w->for_user && w->cr4 & X86_CR4_SMEP)
            w->prot &= ~(unsigned)VMM_X;
        if (w->for_user && smap)
            w->prot &= VMM_X;
    }
    if (!(w->prot & w->access))
        return fault(w, page, va, PF_P);
    for (unsigned i = 0; i < w->levels; i++)
        if (!(*w->entry[i] & PTE_A))
            *w->entry[i] |= PTE_A;
    dirty = *w->entry[w->levels - 1] & PTE_D;
    if (w->access == VMM_W && !dirty)
        *w->entry[w->levels - 1] |= PTE_D;
    else if (!dirty)
        w->prot &= ~(unsigned)VMM_W; /* the first write comes back here */
    page->prot = w->prot;
    return true;
}

static bool walk_32(struct walk *w, uint64_t va, bool smap,
                    struct x86_page *page)
{
    uint64_t entry;

    if (!descend(w, (w->cr3 & 0xfffff000) + 4 * (va >> 22 & 0x3ff), 4, &entry))
        return fault(w, page, va, 0);
    if (w->cr4 & X86_CR4_PSE && entry & PTE_PS) {
        if (entry & 1 << 21)
            return fault(w, page, va, PF_P | PF_RSVD);
        page->pa =
            (entry >> 13 & 0xff) << 32 | (entry & 0xffc00000) | (va & 0x3ff000);
        return allow(w, va, smap, page);
    }
    if (!descend(w, (entry & 0xfffff000) + 4 * (va >> 12 & 0x3ff), 4, &entry))
        return fault(w, page, va, 0);
    page->pa = entry & 0xfffff000;
    return allow(w, va, smap, page);
}

/* `low`: the first address bit that the table at `table` does not resolve. */
static bool walk_64(struct walk *w, uint64_t table, unsigned low, uint64_t va,
                    bool smap, struct x86_page *page)
{
    for (;; low -= 9) {
        uint64_t entry, size = UINT64_C(1) << low;

        if (!descend(w, table + 8 * (va >> low & 0x1ff), 8, &entry))
            return fault(w, page, va, 0);
        if ((entry & PTE_NX && !(w->efer & X86_EFER_NXE)) ||
            (low > 30 && entry & PTE_PS))
            return fault(w, page, va, PF_P | PF_RSVD);
        if (low == 12 || entry & PTE_PS) {
            if (low > 12 &&
                entry & (size - 1) & PTE_ADDRESS & ~X86_PAGE & ~0x1000u)
                return fault(w, page, va, PF_P | PF_RSVD);
            page->pa = (entry & PTE_ADDRESS & ~(size - 1)) |
                       (va & (size - 1) & ~X86_PAGE);
            return allow(w, va, smap, page);
        }
        table = entry & PTE_ADDRESS;
    }
}

/* Without long mode the top level is four entries that only point. */
static bool walk_pae(struct walk *w, uint64_t va, bool smap,
                     struct x86_page *page)
{
    uint64_t entry;

    if (!descend(w, (w->cr3 & 0xffffffe0) + 8 * (va >> 30 & 3), 8, &entry))
        return fault(w, page, va, 0);
    if (entry & (PTE_NX | 0x1e6))
        return fault(w, page, va, PF_P | PF_RSVD);
    w->prot = VMM_R | VMM_W | VMM_X;
    w->for_user = true;
    w->levels = 0;
    return walk_64(w, entry & PTE_ADDRESS, 21, va, smap, page);
}

bool x86_walk(struct x86_cpu *x, const uc_context *c, uint64_t va,
              unsigned access, bool user, struct x86_page *page)
{
    struct walk w = {
        .x = x,
        .cr0 = x86_u64(c, x->at.cr),
        .cr3 = x86_u64(c, x->at.cr + 24),
        .cr4 = x86_u64(c, x->at.cr + 32),
        .efer = x86_u64(c, x->at.efer),
        .access = access,
        .user = user,
        .prot = VMM_R | VMM_W | VMM_X,
        .for_user = true,
    };
    bool smap = x86_u32(c, x->at.hflags) & X86_HF_SMAP &&
                !(x86_u64(c, x->at.flags) & X86_FLAG_AC);
    unsigned bits = w.cr4 & X86_CR4_LA57 ? 57 : 48;

    if (!(w.efer & X86_EFER_LMA))
        va &= UINT32_MAX;
    if (!(w.cr0 & X86_CR0_PG)) {
        *page = (struct x86_page){.pa = va & ~X86_PAGE, .prot = w.prot};
        return true;
    }
    if (!(w.cr4 & X86_CR4_PAE))
        return walk_32(&w, va, smap, page);
    if (!(w.efer & X86_EFER_LMA))
        return walk_pae(&w, va, smap, page);
    if ((int64_t)(va << (64 - bits)) >> (64 - bits) != (int64_t)va) {
        page->fault = (struct x86_fault){.vector = 13, .has_code = true};
        return false;
    }
    return walk_64(&w, w.cr3 & PTE_ADDRESS, bits - 9, va, smap, page);
}

/* ---- the engine asks ----------------------------------------------------- */

static bool in_table(const struct x86_cpu *x, size_t table, uint64_t va)
{
    uint64_t base = x86_u64(x->peek, table + 8);
    uint64_t limit = x86_u32(x->peek, table + 16);

    return (va | X86_PAGE) >= base && va <= base + limit;
}

/* Instructions read descriptors and task states as the kernel, whoever executes
 * them, and the engine does not say on whose behalf it asks. */
static bool kernels_own(const struct x86_cpu *x, uint64_t va)
{
    return in_table(x, x->at.gdt, va) || in_table(x, x->at.ldt, va) ||
           in_table(x, x->at.tr, va) || in_table(x, x->at.idt, va);
}

/* By the state last looked at. */
static bool is_user(const struct x86_cpu *x)
{
    return (x86_u32(x->peek, x->at.hflags) & X86_HF_CPL) == 3;
}

static bool translate(struct x86_cpu *x, uint64_t va, unsigned access,
                      struct x86_page *page)
{
    bool user;

    x->u->context_save(x->uc, x->peek);
    user = is_user(x);
    if (x86_walk(x, x->peek, va, access, user, page))
        return true;
    return user && access != VMM_X && kernels_own(x, va) &&
           x86_walk(x, x->peek, va, access, false, page);
}

static bool is_watched(const struct x86_cpu *x, uint64_t va, unsigned access)
{
    const struct vmm_debug *d = &x->cpu->debug;

    for (unsigned i = 0; i < d->watches; i++)
        if ((d->watch[i].va & ~X86_PAGE) == va && d->watch[i].access & access)
            return true;
    return false;
}

/* Memory's own protection, and watchpoints, come on top of the guest's. */
static unsigned limit(const struct x86_cpu *x, uint64_t va,
                      const struct vmm_mem *mem, unsigned prot)
{
    prot &= mem->range.prot;
    if (prot & VMM_R && is_watched(x, va, VMM_R))
        prot &= ~(unsigned)VMM_R;
    if (prot & VMM_W && is_watched(x, va, VMM_W))
        prot &= ~(unsigned)VMM_W;
    return prot;
}

/* Refusing makes the engine leave, at the instruction. The address it tells is
 * only the page's: for data, a trial finds out the rest. */
static bool refuse(struct x86_cpu *x, uint64_t va, unsigned access,
                   const struct x86_fault *fault)
{
    if (access != VMM_X) {
        x->stop = X86_TRIAL;
        return false;
    }
    if (x->one && x->started) {
        x->stop = X86_DONE; /* the next instruction's trouble */
        return false;
    }
    x->stop = fault ? X86_FAULT : X86_FETCH;
    x->fault = fault ? *fault : (struct x86_fault){0};
    x->fault.va = va;
    return false;
}

bool x86_fill(uc_engine *uc, uint64_t va, uc_mem_type type,
              struct x86_tlb_entry *entry, void *ctx)
{
    struct x86_cpu *x = ctx;
    unsigned access = type == UC_MEM_WRITE  ? VMM_W
                      : type == UC_MEM_READ ? VMM_R
                                            : VMM_X;
    struct x86_page page;
    struct vmm_mem *mem;
    unsigned prot;

    (void)uc;
    *entry = (struct x86_tlb_entry){x->lookup_pa, UC_PROT_ALL};
    if (x->lookup)
        return true;
    if (x->trying && access != VMM_X)
        return x86_window_fill(x, va, access, entry);
    if (!translate(x, va, access, &page))
        return refuse(x, va, access, &page.fault);
    mem = vmm_mem_at(x->cpu->vm, page.pa);
    prot = mem ? limit(x, va, mem, page.prot) : 0;
    if (!(prot & access))
        return refuse(x, va, access, NULL);
    entry->paddr = page.pa;
    if (x->trying) /* its own code: data in that page is to be asked for too */
        prot = VMM_X;
    entry->perms = (prot & VMM_R ? UC_PROT_READ : 0) |
                   (prot & VMM_W ? UC_PROT_WRITE : 0) |
                   (prot & VMM_X ? UC_PROT_EXEC : 0);
    return true;
}

/* On trial every page of data is a window. */
bool x86_window_fill(struct x86_cpu *x, uint64_t va, unsigned access,
                     struct x86_tlb_entry *entry)
{
    struct x86_trial *t = &x->trial;
    struct x86_window *w = NULL;
    struct x86_page page;
    unsigned i = 0;
    bool ok = translate(x, va, access, &page);

    while (i < t->windows && t->window[i].va != va)
        i++;
    if (i == X86_WINDOWS) {
        t->overflow = true;
        i--;
    }
    w = &t->window[i];
    if (i == t->windows) {
        *w = (struct x86_window){.va = va};
        t->windows++;
    }
    if (ok) {
        struct vmm_mem *mem = vmm_mem_at(x->cpu->vm, page.pa);

        w->pa = page.pa;
        w->host = mem ? mem->host + (page.pa - mem->range.at) : NULL;
        w->readable = mem && mem->range.prot & VMM_R;
        w->writable = mem && mem->range.prot & VMM_W;
    } else {
        w->faults = true;
        w->fault = page.fault;
    }
    entry->paddr = X86_WINDOW + i * (X86_PAGE + 1);
    entry->perms =
        access == VMM_W ? UC_PROT_READ | UC_PROT_WRITE : UC_PROT_READ;
    return true;
}

void x86_flush_tlb(struct x86_cpu *x)
{
    x->u->ctl(x->uc, UC_CTL_WRITE(X86_CTL_TLB_FLUSH, 0));
    x->changed = true;
    x->flush = false;
    x->tables = 0;
}

/* ---- the guest's memory for the machinery -------------------------------- */

/* Page by page, for `n` small: descriptors and stack frames. */
static int copy(struct x86_cpu *x, const uc_context *c, uint64_t va,
                uint8_t *to, const uint8_t *from, unsigned n,
                struct x86_fault *fault)
{
    while (n > 0) {
        unsigned part = (unsigned)(X86_PAGE + 1 - (va & X86_PAGE));
        struct x86_page page;
        uint8_t *host;

        if (!x86_walk(x, c, va, from ? VMM_W : VMM_R, false, &page)) {
            *fault = page.fault;
            return 1;
        }
        host = memory(x, page.pa);
        if (!host)
            return -1;
        host += va & X86_PAGE;
        part = part < n ? part : n;
        if (from) {
            memcpy(host, from, part);
            x86_code_changed(x, page.pa + (va & X86_PAGE), part);
            from += part;
        } else if (to) {
            memcpy(to, host, part);
            to += part;
        }
        va += part;
        n -= part;
    }
    return 0;
}

int x86_read(struct x86_cpu *x, const uc_context *c, uint64_t va, void *to,
             unsigned n, struct x86_fault *fault)
{
    return copy(x, c, va, to, NULL, n, fault);
}

int x86_write(struct x86_cpu *x, const uc_context *c, uint64_t va,
              const void *from, unsigned n, struct x86_fault *fault)
{
    return copy(x, c, va, NULL, from, n, fault);
}

unsigned x86_fetch(struct x86_cpu *x, uint64_t va, uint8_t *to, unsigned n)
{
    unsigned done = 0;

    x->u->context_save(x->uc, x->peek);
    while (done < n) {
        unsigned part = (unsigned)(X86_PAGE + 1 - (va & X86_PAGE));
        struct x86_page page;
        uint8_t *host;

        if (!x86_walk(x, x->peek, va, VMM_X, is_user(x), &page))
            break;
        host = memory(x, page.pa);
        if (!host)
            break;
        part = part < n - done ? part : n - done;
        memcpy(to + done, host + (va & X86_PAGE), part);
        done += part;
        va += part;
    }
    return done;
}

/* ---- code ---------------------------------------------------------------- */

enum { LINE = 64 };

static struct x86_code *code_at(struct x86_cpu *x, uint64_t pa)
{
    for (size_t i = 0; i < x->codes; i++)
        if (pa - x->code[i].at < x->code[i].size)
            return &x->code[i];
    return NULL;
}

int x86_code_add(struct x86_cpu *x, const struct vmm_mem *mem)
{
    size_t words = (size_t)(mem->range.size / LINE / 64 + 1);
    struct x86_code *grown = realloc(x->code, (x->codes + 1) * sizeof *x->code);

    if (!grown)
        return vmm_fail(VMM_ENOMEM, "unicorn: map: out of memory");
    x->code = grown;
    grown[x->codes] =
        (struct x86_code){.at = mem->range.at,
                          .size = mem->range.size,
                          .lines = calloc(words, sizeof(uint64_t))};
    if (!grown[x->codes].lines)
        return vmm_fail(VMM_ENOMEM, "unicorn: map: out of memory");
    x->codes++;
    return 0;
}

void x86_code_remove(struct x86_cpu *x, const struct vmm_mem *mem)
{
    struct x86_code *c = code_at(x, mem->range.at);

    if (!c)
        return;
    x86_code_changed(x, c->at, c->size);
    free(c->lines);
    *c = x->code[--x->codes];
}

/* The engine has translated [va, va+n), which is at most two pages. */
void x86_code_seen(struct x86_cpu *x, uint64_t va, uint64_t n)
{
    x->u->context_save(x->uc, x->peek);
    for (uint64_t i = 0; i < n + LINE; i += LINE) {
        uint64_t at = i < n ? va + i : va + n - 1;
        struct x86_page page;
        struct x86_code *c;
        uint64_t line;

        if (!x86_walk(x, x->peek, at, VMM_X, is_user(x), &page))
            continue;
        page.pa |= at & X86_PAGE;
        c = code_at(x, page.pa);
        if (!c)
            continue;
        line = (page.pa - c->at) / LINE;
        c->lines[line / 64] |= UINT64_C(1) << line % 64;
        c->any = true;
    }
}

/* The engine forgets by linear address, of which a page may have many: so it is
 * made to look one up that leads to the page. */
static void forget(struct x86_cpu *x, uint64_t pa, uint64_t n)
{
    uint64_t at = pa & X86_PAGE;

    x->lookup = true;
    x->lookup_pa = pa & ~X86_PAGE;
    x86_flush_tlb(x);
    x->u->ctl(x->uc, UC_CTL_WRITE(UC_CTL_TB_REMOVE_CACHE, 2), at, at + n);
    x86_flush_tlb(x);
    x->lookup = false;
}

void x86_code_changed(struct x86_cpu *x, uint64_t pa, uint64_t n)
{
    struct x86_code *c = code_at(x, pa);
    uint64_t line, last;

    if (!c || !c->any || n == 0)
        return;
    if (n > c->size - (pa - c->at))
        n = c->size - (pa - c->at);
    line = (pa - c->at) / LINE;
    last = (pa - c->at + n - 1) / LINE;
    while (line <= last) {
        uint64_t word = c->lines[line / 64] >> line % 64;

        if (word == 0) {
            line = (line / 64 + 1) * 64;
            continue;
        }
        if (word & 1) {
            c->lines[line / 64] &= ~(UINT64_C(1) << line % 64);
            forget(x, c->at + line * LINE, LINE);
        }
        line++;
    }
}

void x86_changed(struct x86_cpu *x, uint64_t pa, uint64_t n)
{
    if (holds_table(x, pa, n))
        x->flush = true;
    x86_code_changed(x, pa, n);
}

void x86_forget(struct x86_cpu *x, uint64_t va, uint64_t n)
{
    x->u->context_save(x->uc, x->peek);
    while (n > 0) {
        uint64_t part = X86_PAGE + 1 - (va & X86_PAGE);
        struct x86_page page;

        part = part < n ? part : n;
        if (x86_walk(x, x->peek, va, VMM_X, is_user(x), &page))
            x86_code_changed(x, page.pa + (va & X86_PAGE), part);
        va += part;
        n -= part;
    }
}

/* In the midst of a block not yet: that would be gone too. */
void x86_code_flush(struct x86_cpu *x)
{
    x->stale = x->inside;
    x->changed = true;
    if (x->stale)
        return;
    x->u->ctl(x->uc, UC_CTL_WRITE(UC_CTL_TB_FLUSH, 0));
    x->cached = 0;
    x->guarded = false;
}
