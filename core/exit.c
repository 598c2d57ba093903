/* SPDX-License-Identifier: MIT */
/* exit.c - the names of exits, and an exit in words. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "vmm.h"

static const char *const names[VMM_KINDS] = {
    [VMM_NONE] = "none",
    [VMM_HVC] = "hvc",
    [VMM_SMC] = "smc",
    [VMM_MMIO] = "mmio",
    [VMM_IO] = "io",
    [VMM_SYSREG] = "sysreg",
    [VMM_BRK] = "brk",
    [VMM_STEP] = "step",
    [VMM_BREAK] = "break",
    [VMM_WATCH] = "watch",
    [VMM_HALT] = "halt",
    [VMM_WFI] = "wfi",
    [VMM_TIMER] = "timer",
    [VMM_FAULT] = "fault",
    [VMM_SHUTDOWN] = "shutdown",
    [VMM_STOP] = "stop",
    [VMM_TIMEOUT] = "timeout",
    [VMM_BUDGET] = "budget",
    [VMM_KICK] = "kick",
    [VMM_ERROR] = "error",
};

const char *vmm_kind_name(enum vmm_kind kind)
{
    return (unsigned)kind < VMM_KINDS ? names[kind] : "unknown";
}

int vmm_kind_find(const char *name)
{
    for (int i = VMM_HVC; i < VMM_KINDS; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return VMM_EINVAL;
}

bool vmm_exit_reads(const struct vmm_exit *exit)
{
    switch (exit->kind) {
    case VMM_MMIO:
    case VMM_IO:
    case VMM_SYSREG:
        return !exit->write;
    default:
        return false;
    }
}

static const char *direction(const struct vmm_exit *exit)
{
    return exit->write ? "write" : "read";
}

char *vmm_exit_words(const struct vmm_exit *exit, char *to, size_t size)
{
    const char *name = vmm_kind_name(exit->kind);

    switch (exit->kind) {
    case VMM_HVC:
        snprintf(to, size, "hypercall %" PRIu64 " (hvc #%u)", exit->nr,
                 exit->imm);
        break;
    case VMM_SMC:
        snprintf(to, size, "smc #%u, x0 = 0x%" PRIx64, exit->imm, exit->nr);
        break;
    case VMM_MMIO:
        snprintf(to, size, "mmio %s of %u bytes at 0x%" PRIx64, direction(exit),
                 exit->size, exit->addr);
        break;
    case VMM_IO:
        snprintf(to, size, "io %s of %u bytes at port 0x%x", direction(exit),
                 exit->size, exit->port);
        break;
    case VMM_SYSREG:
        snprintf(to, size, "%s of system register 0x%x", direction(exit),
                 exit->reg);
        break;
    case VMM_WATCH:
        snprintf(to, size, "watch: %s of %u bytes at 0x%" PRIx64,
                 direction(exit), exit->size, exit->addr);
        break;
    case VMM_BRK:
        snprintf(to, size, "brk #%u", exit->imm);
        break;
    case VMM_FAULT:
    case VMM_SHUTDOWN:
    case VMM_ERROR:
        snprintf(to, size, "%s: %s", name, exit->why);
        break;
    default:
        snprintf(to, size, "%s", name);
        break;
    }
    return to;
}
