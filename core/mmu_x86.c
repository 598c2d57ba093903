/* SPDX-License-Identifier: MIT */
/* mmu_x86.c - vmm_translate() for x86_64: the walk from CR3 in the paging mode
 * that CR0, CR4 and EFER select (none, 32-bit, PAE, 4 and 5 levels). Addresses
 * are linear: segment bases are the caller's. */
#include "backend.h"

static int control(struct vmm_cpu *cpu, enum vmm_x86_control nr,
                   uint64_t *value)
{
    union vmm_value v;
    int rc = vmm_get(cpu, VMM_REG(VMM_CONTROL, nr), &v);

    *value = rc < 0 ? 0 : v.u64;
    return rc;
}

#define ADDRESS UINT64_C(0xffffffffff000) /* bits 51-12 of an entry */

enum { PRESENT = 1, LARGE = 1 << 7 };

/* 32-bit paging: two levels of 4-byte entries, 4 MiB pages with CR4.PSE. */
static int walk_32(struct vmm_cpu *cpu, uint64_t cr3, bool pse, uint64_t va,
                   uint64_t *pa)
{
    uint64_t entry;

    va &= UINT32_MAX;
    if (vmm_load(cpu->vm, (cr3 & 0xfffff000) + 4 * (va >> 22), 4, &entry) < 0 ||
        !(entry & PRESENT))
        return 0;
    if (pse && entry & LARGE) {
        *pa =
            (entry >> 13 & 0xff) << 32 | (entry & 0xffc00000) | (va & 0x3fffff);
        return 1;
    }
    if (vmm_load(cpu->vm, (entry & 0xfffff000) + 4 * (va >> 12 & 0x3ff), 4,
                 &entry) < 0 ||
        !(entry & PRESENT))
        return 0;
    *pa = (entry & 0xfffff000) | (va & 0xfff);
    return 1;
}

/* Tables of 512 8-byte entries; `low` is the first address bit that the top one
 * does not resolve. */
static int walk_64(struct vmm_cpu *cpu, uint64_t table, unsigned low,
                   uint64_t va, uint64_t *pa)
{
    for (;; low -= 9) {
        uint64_t entry, page = (UINT64_C(1) << low) - 1;
        uint64_t index = va >> low & 0x1ff;

        if (vmm_load(cpu->vm, table + 8 * index, 8, &entry) < 0 ||
            !(entry & PRESENT))
            return 0;
        if (low == 12 || (low <= 30 && entry & LARGE)) {
            *pa = (entry & ADDRESS & ~page) | (va & page);
            return 1;
        }
        table = entry & ADDRESS;
    }
}

int vmm_x86_translate(struct vmm_cpu *cpu, uint64_t va, uint64_t *pa)
{
    enum { PG = 1u << 31, PSE = 1 << 4, PAE = 1 << 5, LA57 = 1 << 12 };
    uint64_t cr0, cr3, cr4, efer;
    unsigned bits;
    int rc;

    if ((rc = control(cpu, VMM_CR0, &cr0)) < 0 ||
        (rc = control(cpu, VMM_CR3, &cr3)) < 0 ||
        (rc = control(cpu, VMM_CR4, &cr4)) < 0 ||
        (rc = control(cpu, VMM_EFER, &efer)) < 0)
        return rc;
    if (!(cr0 & PG)) {
        *pa = va;
        return 1;
    }
    if (!(cr4 & PAE))
        return walk_32(cpu, cr3, cr4 & PSE, va, pa);
    if (!(efer >> 10 & 1)) /* PAE: CR3 points at four entries */
        return walk_64(cpu, cr3 & 0xffffffe0, 30, va & UINT32_MAX, pa);
    bits = cr4 & LA57 ? 57 : 48;
    if ((int64_t)(va << (64 - bits)) >> (64 - bits) != (int64_t)va)
        return 0; /* not canonical */
    return walk_64(cpu, cr3 & ADDRESS, bits - 9, va, pa);
}
