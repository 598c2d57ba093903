/* SPDX-License-Identifier: MIT */
/* debug_arm64.c - watchpoints in terms of the arm64 debug registers, for the
 * backends that have them. */
#include "backend.h"

/* Enabled, at EL1 and EL0. A watchpoint is on a doubleword, some of whose bytes
 * count. */
uint64_t vmm_arm64_watch_control(const struct vmm_watch *w)
{
    enum { WATCH_ON = 1 | 3 << 1, LOADS = 1 << 3, STORES = 1 << 4 };
    uint64_t bytes = ((UINT64_C(1) << w->size) - 1) << (w->va & 7);

    return WATCH_ON | (w->access & VMM_R ? LOADS : 0) |
           (w->access & VMM_W ? STORES : 0) | bytes << 5;
}

/* The processor tells where the access begins, or where it meets the watch. */
void vmm_arm64_watched(const struct vmm_cpu *cpu, struct vmm_exit *exit)
{
    uint64_t va = exit->va;

    for (unsigned i = 0; i < cpu->debug.watches; i++) {
        const struct vmm_watch *w = &cpu->debug.watch[i];

        if (va - w->va < w->size || w->va - va < 8) {
            exit->addr = w->va > va ? w->va : va;
            exit->size = (uint8_t)w->size;
        }
    }
}
