/* SPDX-License-Identifier: MIT */
/* unicorn_arm64_watch.c - watchpoints, by stage 2: while a vCPU that has some
 * runs, their pages lack the right that is watched. The instruction that faults
 * there is stepped over with the right given back, and was an exit if what it
 * accessed is watched. Only what touches these pages is slow. */
#include "unicorn_arm64.h"

enum { EC_DATA = 0x24, PAGE = 4096 };

static uint64_t page_of(uint64_t at)
{
    return at & ~(uint64_t)(PAGE - 1);
}

/* What is watched of a page, by any of the watchpoints. */
static unsigned rights(struct a64_engine *e, uint64_t page)
{
    const struct vmm_debug *d = &e->cpu->debug;
    unsigned all = 0;
    uint64_t pa;

    for (unsigned i = 0; i < d->watches; i++)
        if (vmm_arm64_translate(e->cpu, d->watch[i].va, &pa) > 0 &&
            page_of(pa) == page)
            all |= d->watch[i].access;
    return all;
}

/* Where the watched addresses are may change with the guest's tables: so they
 * are looked up whenever the vCPU is entered. */
void a64_watch_begin(struct a64_engine *e)
{
    const struct vmm_debug *d = &e->cpu->debug;
    uint64_t pa;

    e->shaded = 0;
    for (unsigned i = 0; i < d->watches; i++)
        if (vmm_arm64_translate(e->cpu, d->watch[i].va, &pa) > 0 &&
            a64_shade(e->cpu->vm, page_of(pa), rights(e, page_of(pa))))
            e->shade[e->shaded++] = page_of(pa);
    if (e->shaded > 0)
        a64_flush_tlb(e);
}

void a64_watch_end(struct a64_engine *e)
{
    for (unsigned i = 0; i < e->shaded; i++)
        a64_shade(e->cpu->vm, e->shade[i], 0);
    if (e->shaded > 0)
        a64_flush_tlb(e);
    e->shaded = 0;
}

static bool is_shaded(const struct a64_engine *e, uint64_t pa)
{
    for (unsigned i = 0; i < e->shaded; i++)
        if (e->shade[i] == page_of(pa))
            return true;
    return false;
}

/* Called with the exception still to be decoded; a walk of page tables that lie
 * in a watched page is no access of the guest's. */
bool a64_watch_fault(struct a64_engine *e, const struct vmm_exit *exit)
{
    bool walk = exit->syndrome >> 7 & 1, write = exit->syndrome >> 6 & 1;
    const struct vmm_mem *mem = vmm_mem_at(e->cpu->vm, exit->pa);
    uint32_t instruction;
    bool known;

    if (!is_shaded(e, exit->pa) || !(mem->range.prot & (write ? VMM_W : VMM_R)))
        return false;
    e->over = true;
    e->hit = (struct vmm_exit){0};
    if (walk || exit->syndrome >> 26 != EC_DATA)
        return true;
    known = a64_instruction(e, a64_reg(e, UC_ARM64_REG_PC), &instruction);
    e->hit = *exit;
    e->hit.write = write;
    vmm_arm64_watched(e->cpu, known ? &instruction : NULL, &e->hit);
    return true;
}
