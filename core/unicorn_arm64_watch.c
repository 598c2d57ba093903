/* SPDX-License-Identifier: MIT */
/* unicorn_arm64_watch.c - watchpoints, by stage 2: while a vCPU that has some
 * runs, their pages lack the right that is watched. The instruction that faults
 * there is stepped over with the right given back, and was an exit if what it
 * accessed is watched. Only what touches these pages is slow. */
#include "unicorn_arm64.h"

enum { EC_DATA = 0x24, PAGE = 4096 };
#define ADDRESS_BITS ((UINT64_C(1) << 56) - 1) /* less a tag */

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

/* The bytes that the instruction accesses: as it says itself, else from where
 * the fault was on, as wide as its size field (exclusives, atomics). */
static void accessed(struct a64_engine *e, const struct vmm_exit *exit,
                     uint64_t *va, unsigned *size)
{
    struct vmm_a64_access a;
    uint32_t instruction = 0;

    if (a64_instruction(e, a64_reg(e, UC_ARM64_REG_PC), &instruction) &&
        vmm_a64_decode(instruction, &a)) {
        *va = vmm_arm64_address(e->cpu, &a);
        *size = (unsigned)a.size * a.regs;
    } else {
        *va = exit->va;
        *size = 1u << (instruction >> 30);
    }
}

static bool overlap(uint64_t a, unsigned a_size, uint64_t b, unsigned b_size)
{
    uint64_t up = (b - a) & ADDRESS_BITS, down = (a - b) & ADDRESS_BITS;

    return up < a_size || down < b_size;
}

/* Called with the exception still to be decoded; a walk of page tables that lie
 * in a watched page is no access of the guest's. */
bool a64_watch_fault(struct a64_engine *e, const struct vmm_exit *exit)
{
    const struct vmm_debug *d = &e->cpu->debug;
    bool walk = exit->syndrome >> 7 & 1, write = exit->syndrome >> 6 & 1;
    unsigned right = write ? VMM_W : VMM_R, size;
    const struct vmm_mem *mem = vmm_mem_at(e->cpu->vm, exit->pa);
    uint64_t va;

    if (!is_shaded(e, exit->pa) || !(mem->range.prot & right))
        return false;
    e->over = true;
    e->hit = (struct vmm_exit){0};
    if (walk || exit->syndrome >> 26 != EC_DATA)
        return true;
    accessed(e, exit, &va, &size);
    for (unsigned i = 0; i < d->watches; i++) {
        const struct vmm_watch *w = &d->watch[i];

        if (!(w->access & right) || !overlap(va, size, w->va, w->size))
            continue;
        e->hit = *exit;
        e->hit.kind = VMM_WATCH;
        e->hit.addr = ((w->va - va) & ADDRESS_BITS) < size ? w->va : va;
        e->hit.size = (uint8_t)(size > 8 ? 8 : size);
        e->hit.write = write;
        break;
    }
    return true;
}
