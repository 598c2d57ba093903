/* SPDX-License-Identifier: MIT */
/* unicorn_arm64_code.c - what the library has translated of the guest's code:
 * keeping it in step with memory, and keeping its buffer from filling up. */
#include <string.h>

#include "unicorn_arm64.h"

enum { PAGE = 4096 };

/* ---- in step with memory ------------------------------------------------- */

/* The library forgets code by virtual address, as the current level sees it. At
 * EL3, whose MMU is off, that is the physical one: so for the moment of the
 * call the engine is there. Nothing outside the range is forgotten. */
static void forget(struct a64_engine *e, const struct vmm_mem *mem, uint64_t at,
                   uint64_t n)
{
    uint64_t slot = e->m->slot[mem->slot] + (at - mem->range.at);

    if (!e->ran)
        return;
    a64_at_el3(e, true);
    e->m->u.ctl(e->uc, UC_CTL_WRITE(UC_CTL_TB_REMOVE_CACHE, 2), slot, slot + n);
    a64_at_el3(e, false);
}

void a64_wrote(struct vmm *vm, const struct vmm_mem *mem, uint64_t at,
               uint64_t n)
{
    for (unsigned i = 0; n > 0 && i < vm->cpus; i++)
        forget(vm->cpu[i]->host, mem, at, n);
}

void a64_forget_code(struct a64_engine *e)
{
    const struct vmm *vm = e->cpu->vm;

    for (size_t i = 0; i < vm->mems; i++)
        forget(e, &vm->mem[i], vm->mem[i].range.at, vm->mem[i].range.size);
}

/* Code comes by the line, but a page is what repeats: only what no engine can
 * have seen yet is left out. */
void a64_publish(struct a64_machine *m, uint64_t at)
{
    uint64_t page = at & ~(uint64_t)(PAGE - 1);

    if (m->published > m->fresh &&
        m->stale[(m->published - 1) % A64_STALE] == page)
        return;
    m->stale[m->published++ % A64_STALE] = page;
}

void a64_publish_all(struct a64_machine *m)
{
    m->published += A64_STALE + 1;
}

void a64_catch_up(struct a64_engine *e)
{
    struct a64_machine *m = e->m;

    if (m->published - e->seen > A64_STALE) {
        a64_forget_code(e);
        e->seen = m->published;
    }
    for (; e->seen != m->published; e->seen++) {
        uint64_t page = m->stale[e->seen % A64_STALE];
        const struct vmm_mem *mem = vmm_mem_at(e->cpu->vm, page);

        if (mem != NULL)
            forget(e, mem, page, PAGE);
    }
    m->fresh = m->published;
}

/* ---- the buffer ---------------------------------------------------------- */

/* What an instruction may come to, from what the library makes of the worst of
 * its kind: LD4 and ST4 access memory 64 times, some SIMD calls out 16 times.
 */
enum {
    COST_BLOCK = 768,
    COST_OTHER = 160,
    COST_MEMORY = 320,
    COST_SIMD_MEMORY = 1024,
    COST_SIMD = 2048,
    COST_STRUCTURE = 12288,
    COST_LIMIT = 73728 /* of a block: the library makes none larger */
};

static unsigned cost(uint32_t instruction)
{
    bool simd = instruction >> 26 & 1;

    if ((instruction & 0x0a000000) == 0x08000000) { /* loads and stores */
        if ((instruction & 0xbe000000) == 0x0c000000)
            return COST_STRUCTURE;
        return simd ? COST_SIMD_MEMORY : COST_MEMORY;
    }
    return (instruction & 0x0e000000) == 0x0e000000 ? COST_SIMD : COST_OTHER;
}

/* Where the host has the code at `va`, and how much of its page follows. */
static const uint8_t *code_at(struct a64_engine *e, uint64_t va, uint64_t *left)
{
    const struct vmm_mem *mem;
    uint64_t pa;

    *left = PAGE - va % PAGE;
    if (vmm_arm64_translate(e->cpu, va, &pa) <= 0)
        return NULL;
    mem = vmm_mem_at(e->cpu->vm, pa);
    return mem ? mem->host + (pa - mem->range.at) : NULL;
}

/* Also looks for floating point, and says yes where it has not seen all. */
static unsigned block_cost(struct a64_engine *e, uint64_t va, uint64_t size,
                           bool *fp)
{
    unsigned sum = COST_BLOCK;
    uint64_t left = 0;
    const uint8_t *code = NULL;

    *fp = false;
    for (; size >= 4 && sum < COST_LIMIT; size -= 4, va += 4) {
        uint32_t instruction;

        if (left < 4) {
            code = code_at(e, va, &left);
            if (code == NULL || left < 4) /* the library aligns no PC */
                break;
        }
        memcpy(&instruction, code, sizeof instruction);
        sum += cost(instruction);
        *fp |= a64_is_fp(instruction);
        code += 4;
        left -= 4;
    }
    if (size < 4)
        return sum < COST_LIMIT ? sum : COST_LIMIT;
    *fp = true;
    return COST_LIMIT;
}

/* Up to 2.1.1 a full buffer is a crash, which a guest can cause. How full it is
 * nobody tells, so that is reckoned, and the buffer emptied in time. */
void a64_translated(struct a64_engine *e, uint64_t va, unsigned size)
{
    bool fp;

    e->emitted += block_cost(e, va, size, &fp);
    if (fp && e->exception != 0 && va != A64_STUB_ERET)
        a64_fp_translated(e, va);
    if (e->emitted > e->budget)
        e->limit = 0;
}

void a64_make_room(struct a64_engine *e)
{
    if (e->emitted <= e->budget)
        return;
    e->m->u.ctl(e->uc, UC_CTL_WRITE(UC_CTL_TB_FLUSH, 0));
    e->emitted = 0;
}
