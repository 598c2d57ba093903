/* SPDX-License-Identifier: MIT */
/* mmu_arm64.c - vmm_translate() for arm64: the walk of the stage-1 tables that
 * TTBR0_EL1, TTBR1_EL1 and TCR_EL1 describe, for granules of 4, 16 and 64 KiB
 * and addresses of up to 48 bits. */
#include "backend.h"

static int sysreg(struct vmm_cpu *cpu, uint32_t encoding, uint64_t *value)
{
    union vmm_value v;
    int rc = cpu->vm->ops->get(cpu, VMM_REG(VMM_SYSTEM, encoding), &v);

    *value = rc < 0 ? 0 : v.u64;
    return rc;
}

struct walk {
    uint64_t table; /* physical address of the first table */
    unsigned page;  /* log2 of the granule */
    unsigned bits;  /* of virtual address that the tables translate */
};

/* TG0 and TG1 name the granules in different orders. */
static unsigned granule(unsigned tg, bool upper)
{
    static const uint8_t tg0[4] = {12, 16, 14, 0}, tg1[4] = {0, 14, 12, 16};

    return upper ? tg1[tg] : tg0[tg];
}

/* Which half `va` is in, and where its tables start. False: in neither. */
static bool choose(uint64_t va, uint64_t tcr, uint64_t ttbr0, uint64_t ttbr1,
                   struct walk *walk)
{
    bool upper = va >> 55 & 1;
    unsigned half = (unsigned)(tcr >> (upper ? 16 : 0)) & 0xffff;
    unsigned size = half & 0x3f;
    bool top_ignored = tcr >> (upper ? 38 : 37) & 1;
    uint64_t high = top_ignored ? va << 8 >> 8 : va;
    unsigned top = top_ignored ? 56 : 64;

    if (half >> 7 & 1 || size < 16 || size > 48) /* EPD: no walks here */
        return false;
    walk->bits = 64 - size;
    walk->page = granule((unsigned)(tcr >> (upper ? 30 : 14)) & 3, upper);
    walk->table = (upper ? ttbr1 : ttbr0) & UINT64_C(0xfffffffffffe);
    high >>= walk->bits; /* all zeros below, all ones above */
    return walk->page &&
           high == (upper ? (UINT64_C(1) << (top - walk->bits)) - 1 : 0);
}

/* May an entry of `level` be a block? */
static bool block(const struct walk *walk, int level)
{
    return level == 2 || (level == 1 && walk->page == 12);
}

/* How many address bits the tables of `level` and below resolve. */
static unsigned resolved(const struct walk *walk, int level)
{
    return walk->page + (unsigned)(3 - level) * (walk->page - 3);
}

static int follow(struct vmm_cpu *cpu, const struct walk *walk, uint64_t va,
                  uint64_t *pa)
{
    uint64_t table = walk->table, entry;
    int level = 3;

    while (level > 0 && resolved(walk, level) + walk->page - 3 < walk->bits)
        level--;
    va &= (UINT64_C(1) << walk->bits) - 1;
    for (;; level++) {
        unsigned low = resolved(walk, level);
        uint64_t index = va >> low;

        if (low + walk->page - 3 < walk->bits)
            index &= (UINT64_C(1) << (walk->page - 3)) - 1;
        if (vmm_load(cpu->vm, table + 8 * index, 8, &entry) < 0 || !(entry & 1))
            return 0;
        if (level == 3 || !(entry & 2)) {
            uint64_t offset = (UINT64_C(1) << low) - 1;

            if (level == 3 ? !(entry & 2) : !block(walk, level))
                return 0;
            *pa = (entry & UINT64_C(0xfffffffff000) & ~offset) | (va & offset);
            return 1;
        }
        table = entry & UINT64_C(0xfffffffff000) &
                ~((UINT64_C(1) << walk->page) - 1);
    }
}

int vmm_arm64_translate(struct vmm_cpu *cpu, uint64_t va, uint64_t *pa)
{
    uint64_t sctlr, tcr, ttbr0, ttbr1;
    struct walk walk;
    int rc;

    if ((rc = sysreg(cpu, VMM_A64_SYSREG(3, 0, 1, 0, 0), &sctlr)) < 0)
        return rc;
    if (!(sctlr & 1)) {
        *pa = va;
        return 1;
    }
    if ((rc = sysreg(cpu, VMM_A64_SYSREG(3, 0, 2, 0, 2), &tcr)) < 0 ||
        (rc = sysreg(cpu, VMM_A64_SYSREG(3, 0, 2, 0, 0), &ttbr0)) < 0 ||
        (rc = sysreg(cpu, VMM_A64_SYSREG(3, 0, 2, 0, 1), &ttbr1)) < 0)
        return rc;
    return choose(va, tcr, ttbr0, ttbr1, &walk) ? follow(cpu, &walk, va, pa)
                                                : 0;
}
