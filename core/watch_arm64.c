/* SPDX-License-Identifier: MIT */
/* watch_arm64.c - watchpoints of the arm64 debug registers; which bytes a guest's
 * instruction accesses, and what a watchpoint's exit says of that. Shared by the
 * backends whose host reports where the access was, but not how wide it is. */
#include "backend.h"

#define ADDRESS_BITS ((UINT64_C(1) << 56) - 1) /* less a tag */

/* As the instruction says itself, else from where the exit was on, as wide as its
 * size field (exclusives, atomics). */
static void accessed(struct vmm_cpu *cpu, const uint32_t *instruction,
                     uint64_t *va, unsigned *size)
{
    struct vmm_a64_access a;

    *size = 8;
    if (instruction == NULL)
        return;
    if (vmm_a64_decode(*instruction, &a)) {
        *va = vmm_arm64_address(cpu, &a);
        *size = (unsigned)a.size * a.regs;
    } else {
        *size = 1u << (*instruction >> 30);
    }
}

static bool overlap(uint64_t a, unsigned a_size, uint64_t b, unsigned b_size)
{
    uint64_t up = (b - a) & ADDRESS_BITS, down = (a - b) & ADDRESS_BITS;

    return up < a_size || down < b_size;
}

bool vmm_arm64_watched(struct vmm_cpu *cpu, const uint32_t *instruction,
                       struct vmm_exit *exit)
{
    const struct vmm_debug *d = &cpu->debug;
    unsigned right = exit->write ? VMM_W : VMM_R, size;
    uint64_t va = exit->va;

    accessed(cpu, instruction, &va, &size);
    for (unsigned i = 0; i < d->watches; i++) {
        const struct vmm_watch *w = &d->watch[i];

        if (!(w->access & right) || !overlap(va, size, w->va, w->size))
            continue;
        exit->kind = VMM_WATCH;
        exit->addr = ((w->va - va) & ADDRESS_BITS) < size ? w->va : va;
        exit->size = (uint8_t)(size > 8 ? 8 : size);
        return true;
    }
    return false;
}

/* Enabled, at EL1 and EL0. A watchpoint is on a doubleword, some of whose bytes
 * count. */
uint64_t vmm_arm64_watch_control(const struct vmm_watch *w)
{
    enum { WATCH_ON = 1 | 3 << 1, LOADS = 1 << 3, STORES = 1 << 4 };
    uint64_t bytes = ((UINT64_C(1) << w->size) - 1) << (w->va & 7);

    return WATCH_ON | (w->access & VMM_R ? LOADS : 0) |
           (w->access & VMM_W ? STORES : 0) | bytes << 5;
}
