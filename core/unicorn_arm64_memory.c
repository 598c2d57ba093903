/* SPDX-License-Identifier: MIT */
/* unicorn_arm64_memory.c - guest memory in the engines: slots of the engine's
 * physical addresses, and the stage-2 tables that lead there. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "unicorn_arm64.h"

#ifndef MAP_NORESERVE
#define MAP_NORESERVE 0
#endif

enum {
    PAGE = 4096,
    ROOT = 1, /* page of the private region that holds the first table */
    ENTRIES = 512,
    BLOCK_LEVEL = 2,
    LAST_LEVEL = 3
};
#define BLOCK (UINT64_C(2) << 20)
#define UNMAP_LIMIT (UINT64_C(256) << 20)

/* ---- the stage-2 tables -------------------------------------------------- */

static uint64_t *table_at(const struct a64_machine *m, uint32_t page)
{
    return (uint64_t *)(void *)(m->private + (size_t)page * PAGE);
}

static uint32_t table_of(uint64_t entry)
{
    uint64_t at = entry & UINT64_C(0xfffffffff000);

    return (uint32_t)((at - A64_PRIVATE) / PAGE);
}

static bool is_table(uint64_t entry)
{
    return (entry & 3) == 3;
}

/* A spare table links to the next by its first entry; the rest is zero. */
static uint32_t new_table(struct a64_machine *m)
{
    uint32_t page = m->spare;

    if (page != 0) {
        m->spare = (uint32_t)*table_at(m, page);
        *table_at(m, page) = 0;
        return page;
    }
    if (m->used == A64_PRIVATE_SIZE / PAGE)
        return 0;
    return m->used++;
}

static void prune(struct a64_machine *m, uint64_t *entry)
{
    uint64_t *table = table_at(m, table_of(*entry));

    for (unsigned i = 0; i < ENTRIES; i++)
        if (table[i] != 0)
            return;
    *table = m->spare;
    m->spare = table_of(*entry);
    *entry = 0;
}

/* S2AP and XN from prot; normal memory, inner shareable, accessed. */
static uint64_t attributes(unsigned prot)
{
    uint64_t a = 1 << 10 | 3 << 8 | 0xf << 2 | 1;

    a |= prot & VMM_R ? 1 << 6 : 0;
    a |= prot & VMM_W ? 1 << 7 : 0;
    a |= prot & VMM_X ? 0 : UINT64_C(1) << 54;
    return a;
}

/* Map [at, end) to `to` with `attr`, or clear it with 0. As a range is always
 * set and cleared whole, blocks never have to be broken up. */
static int fill(struct a64_machine *m, uint64_t *table, int level, uint64_t at,
                uint64_t end, uint64_t to, uint64_t attr)
{
    unsigned shift = 12 + 9 * (unsigned)(LAST_LEVEL - level);
    uint64_t step = UINT64_C(1) << shift;

    while (at < end) {
        uint64_t *entry = &table[at >> shift & (ENTRIES - 1)];
        uint64_t past = (at | (step - 1)) + 1, next = past < end ? past : end;
        bool block = level == BLOCK_LEVEL && next - at == step &&
                     to % step == 0 && !is_table(*entry);

        if (level == LAST_LEVEL || block) {
            *entry = attr ? to | attr | (level == LAST_LEVEL ? 2 : 0) : 0;
        } else if (attr || *entry) {
            uint32_t page = *entry ? table_of(*entry) : new_table(m);

            if (page == 0)
                return vmm_fail(VMM_ENOMEM,
                                "unicorn: map: too many scattered ranges: no "
                                "room for the stage-2 tables");
            *entry = (A64_PRIVATE + (uint64_t)page * PAGE) | 3;
            if (fill(m, table_at(m, page), level + 1, at, next, to, attr) < 0)
                return VMM_ENOMEM;
            if (!attr)
                prune(m, entry);
        }
        to += next - at;
        at = next;
    }
    return 0;
}

static int set_stage2(struct a64_machine *m, const struct vmm_range *range,
                      uint64_t to, uint64_t attr)
{
    return fill(m, table_at(m, ROOT), 0, range->at, range->at + range->size, to,
                attr);
}

/* ---- slots --------------------------------------------------------------- */

static int new_slot(struct a64_machine *m, uint32_t *slot)
{
    uint64_t *grown;

    for (*slot = 0; *slot < m->slots; (*slot)++)
        if (m->slot[*slot] == 0)
            return 0;
    grown = realloc(m->slot, (m->slots + 16) * sizeof *grown);
    if (grown == NULL)
        return vmm_fail(VMM_ENOMEM, "unicorn: map: out of memory");
    memset(grown + m->slots, 0, 16 * sizeof *grown);
    m->slot = grown;
    m->slots += 16;
    return 0;
}

/* Which other range has a slot that overlaps [at, at+size)? */
static const struct vmm_mem *in_the_way(const struct vmm *vm,
                                        const struct vmm_mem *mem, uint64_t at)
{
    const struct a64_machine *m = vm->host;

    for (size_t i = 0; i < vm->mems; i++) {
        const struct vmm_mem *other = &vm->mem[i];
        uint64_t start;

        if (other == mem)
            continue;
        start = m->slot[other->slot];
        if (start < at + mem->range.size && at < start + other->range.size)
            return other;
    }
    return NULL;
}

/* The first free place from m->next on, and once more from the start; its
 * offset in a block is that of the guest's address, so that blocks fit. */
static int place(struct vmm *vm, const struct vmm_mem *mem, uint64_t *found)
{
    struct a64_machine *m = vm->host;
    uint64_t offset = mem->range.at % BLOCK, size = mem->range.size;
    uint64_t at = m->next;

    for (int wraps = 0; wraps < 2;) {
        const struct vmm_mem *other;

        at = (at + BLOCK - 1) / BLOCK * BLOCK + offset;
        if (at + size > A64_PRIVATE) {
            at = A64_SLOTS;
            wraps++;
            continue;
        }
        other = in_the_way(vm, mem, at);
        if (other == NULL) {
            *found = at;
            m->next = at + size;
            return 0;
        }
        at = m->slot[other->slot] + other->range.size;
    }
    return vmm_fail(VMM_ENOMEM,
                    "unicorn: map: no room for 0x%" PRIx64 " bytes more", size);
}

/* ---- engines ------------------------------------------------------------- */

static int attach(struct a64_engine *e, uint64_t at, uint64_t size, void *host)
{
    uc_err err = e->m->u.mem_map_ptr(e->uc, at, size, UC_PROT_ALL, host);

    return err == UC_ERR_OK ? 0 : unicorn_fail(&e->m->u, "map", err);
}

static uint64_t nothing_there(uc_engine *uc, uint64_t at, unsigned size,
                              void *ctx)
{
    (void)uc, (void)at, (void)size, (void)ctx;
    return 0;
}

static void nothing_kept(uc_engine *uc, uint64_t at, unsigned size,
                         uint64_t value, void *ctx)
{
    (void)uc, (void)at, (void)size, (void)value, (void)ctx;
}

/* 2.0.1 wants every *virtual* address that is used to be mapped as a physical
 * one, before it translates. So all that is not private or a slot is a device,
 * which translation then never leads to. */
static int fill_gaps(struct a64_engine *e)
{
    static const struct {
        uint64_t at, size;
    } gap[] = {
        {0, A64_SLOTS},
        {A64_PRIVATE + A64_PRIVATE_SIZE,
         UINT64_MAX - (A64_PRIVATE + A64_PRIVATE_SIZE) - PAGE + 1},
        {UINT64_MAX - PAGE + 1, PAGE},
    };

    for (size_t i = 0; i < sizeof gap / sizeof *gap; i++) {
        uc_err err = e->m->u.mmio_map(e->uc, gap[i].at, gap[i].size,
                                      nothing_there, NULL, nothing_kept, NULL);

        if (err != UC_ERR_OK)
            return unicorn_fail(&e->m->u, "map the gaps", err);
    }
    return 0;
}

int a64_memory_attach(struct a64_engine *e, const struct vmm *vm)
{
    struct a64_machine *m = e->m;
    int code = attach(e, A64_PRIVATE, A64_PRIVATE_SIZE, m->private);

    if (code == 0 && e->old)
        code = fill_gaps(e);
    for (size_t i = 0; code == 0 && i < vm->mems; i++) {
        const struct vmm_mem *mem = &vm->mem[i];

        code = attach(e, m->slot[mem->slot], mem->range.size, mem->host);
    }
    return code;
}

/* Before 2.1 no call does it, but a change of HCR_EL2.VM does on the side. */
void a64_flush_tlb(struct a64_engine *e)
{
    if (e->old) {
        a64_cp_write(e, A64_HCR_EL2, e->hcr & ~A64_HCR_VM);
        a64_cp_write(e, A64_HCR_EL2, e->hcr);
    } else {
        e->m->u.ctl(e->uc, UC_CTL_WRITE(UC_CTL_TB_FLUSH + 1, 0));
    }
}

static void flush_tlbs(struct vmm *vm)
{
    for (unsigned i = 0; i < vm->cpus; i++)
        a64_flush_tlb(vm->cpu[i]->host);
}

int a64_memory_open(struct a64_machine *m)
{
    void *p = mmap(NULL, A64_PRIVATE_SIZE, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (p == MAP_FAILED)
        return vmm_fail(VMM_ENOMEM, "unicorn: no memory for stage-2 tables");
    m->private = p;
    m->used = ROOT + 1;
    m->next = A64_SLOTS;
    return 0;
}

void a64_memory_close(struct a64_machine *m)
{
    if (m->private != NULL)
        munmap(m->private, A64_PRIVATE_SIZE);
    free(m->slot);
}

/* ---- mapping ------------------------------------------------------------- */

/* The library takes 110 ns for each page that it unmaps. Where that would be
 * felt, the slot only becomes unreachable, and is not used again. */
static void take_out(struct vmm *vm, struct vmm_mem *mem, unsigned engines)
{
    struct a64_machine *m = vm->host;
    uint64_t at = m->slot[mem->slot];
    bool leave = mem->range.size > UNMAP_LIMIT;

    for (unsigned i = 0; i < engines && !leave; i++) {
        struct a64_engine *e = vm->cpu[i]->host;

        a64_at_el3(e, true); /* it looks for code there, as a64_wrote() does */
        m->u.mem_unmap(e->uc, at, mem->range.size);
        a64_at_el3(e, false);
    }
    set_stage2(m, &mem->range, at, 0);
    m->slot[mem->slot] = 0;
    flush_tlbs(vm);
}

int a64_map(struct vmm *vm, struct vmm_mem *mem)
{
    struct a64_machine *m = vm->host;
    uint64_t at = 0;
    int code;

    if ((mem->range.at + (mem->range.size - 1)) >> A64_IPA_BITS)
        return vmm_fail(VMM_ENOTSUP,
                        "unicorn: map: 0x%" PRIx64 " bytes at 0x%" PRIx64
                        ": physical addresses have %d bits here",
                        mem->range.size, mem->range.at, A64_IPA_BITS);
    code = new_slot(m, &mem->slot);
    if (code == 0)
        code = place(vm, mem, &at);
    if (code < 0)
        return code;
    m->slot[mem->slot] = at;
    code = set_stage2(m, &mem->range, at, attributes(mem->range.prot));
    for (unsigned i = 0; i < vm->cpus; i++) {
        if (code == 0)
            code = attach(vm->cpu[i]->host, at, mem->range.size, mem->host);
        if (code < 0) {
            take_out(vm, mem, i);
            return code;
        }
    }
    if (code < 0)
        take_out(vm, mem, 0);
    else
        flush_tlbs(vm);
    return code;
}

int a64_unmap(struct vmm *vm, struct vmm_mem *mem)
{
    a64_wrote(vm, mem, mem->range.at, mem->range.size);
    take_out(vm, mem, vm->cpus);
    return 0;
}

int a64_protect(struct vmm *vm, struct vmm_mem *mem, unsigned prot)
{
    struct a64_machine *m = vm->host;
    int code = set_stage2(m, &mem->range, m->slot[mem->slot], attributes(prot));

    flush_tlbs(vm);
    return code;
}

/* ---- one page ------------------------------------------------------------ */

/* Break a block up into pages with its attributes. */
static bool split(struct a64_machine *m, uint64_t *entry)
{
    uint32_t page = new_table(m);
    uint64_t *table = table_at(m, page);

    if (page == 0)
        return false;
    for (unsigned i = 0; i < ENTRIES; i++)
        table[i] = (*entry | 2) + (uint64_t)i * PAGE;
    *entry = (A64_PRIVATE + (uint64_t)page * PAGE) | 3;
    return true;
}

bool a64_shade(struct vmm *vm, uint64_t page, unsigned rights)
{
    struct a64_machine *m = vm->host;
    const struct vmm_mem *mem = vmm_mem_at(vm, page);
    uint64_t *table = table_at(m, ROOT), *entry;

    if (mem == NULL)
        return false;
    for (int level = 0;; level++) {
        unsigned shift = 12 + 9 * (unsigned)(LAST_LEVEL - level);

        entry = &table[page >> shift & (ENTRIES - 1)];
        if (level == LAST_LEVEL)
            break;
        if (!is_table(*entry) && !split(m, entry))
            return false;
        table = table_at(m, table_of(*entry));
    }
    *entry = (*entry & UINT64_C(0xfffffffff000)) | 2 |
             attributes(mem->range.prot & ~rights);
    return true;
}
