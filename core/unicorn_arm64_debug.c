/* SPDX-License-Identifier: MIT */
/* unicorn_arm64_debug.c - what a debugger wants of a vCPU. Breakpoints are code
 * hooks, which cost nothing elsewhere; a step is the architecture's own, armed
 * as a run begins and taken back as it ends, so that neither the guest nor the
 * script finds it in the registers. */
#include <inttypes.h>

#include "unicorn_arm64.h"

enum { MDCR_TDE = 1 << 8, MDCR_TDA = 1 << 9, MDSCR_SS = 1 };

static bool armed(const struct a64_engine *e, uint64_t va)
{
    const struct vmm_debug *d = &e->cpu->debug;

    for (unsigned i = 0; i < d->breaks; i++)
        if (d->brk[i] == va)
            return true;
    return false;
}

/* A run that starts where the last one broke executes the instruction. */
bool a64_breaks(struct a64_engine *e, uint64_t va)
{
    bool pass = e->pass && va == e->broke_at;

    e->pass = false;
    if (pass || !armed(e, va))
        return false;
    e->broke = true;
    e->broke_at = va;
    return true;
}

static void on_code(uc_engine *uc, uint64_t va, uint32_t size, void *ctx)
{
    struct a64_engine *e = ctx;

    (void)size;
    if (e->leave != A64_LEAVE_NOT || !a64_breaks(e, va))
        return;
    e->leave = A64_LEAVE_BREAK;
    e->m->u.emu_stop(uc);
}

static bool hooked(const struct a64_engine *e, uint64_t va)
{
    for (unsigned i = 0; i < e->breaks; i++)
        if (e->brk[i] == va)
            return true;
    return false;
}

static int hook(struct a64_engine *e, uint64_t va)
{
    uc_hook handle;
    uc_err err;

    if (hooked(e, va))
        return 0;
    if (e->breaks == A64_BREAKS)
        return vmm_fail(VMM_ENOTSUP,
                        "unicorn: breakpoint: a vcpu has at most %d different "
                        "ones in its life",
                        A64_BREAKS);
    err = e->m->u.hook_add(e->uc, &handle, UC_HOOK_CODE, (void *)on_code, e, va,
                           va);
    if (err != UC_ERR_OK)
        return unicorn_fail(&e->m->u, "breakpoint", err);
    e->brk[e->breaks++] = va;
    a64_forget_code(e); /* what is translated already lacks the hook */
    return 0;
}

/* BRK goes to the host with MDCR_EL2.TDE. The debug registers always do, and
 * unicorn_arm64.c reads and writes them for the guest: up to 2.1.1 the engine
 * throws all its code away, also that which it is executing, when a guest sets a
 * breakpoint. So breakpoints of the guest's own are registers without effect. */
void a64_route_debug(struct a64_engine *e)
{
    bool host = e->cpu->debug.trap || e->stepping;

    a64_cp_write(e, A64_MDCR_EL2, host ? MDCR_TDE : MDCR_TDA);
    a64_state_changed(e);
}

int a64_debug(struct vmm_cpu *cpu)
{
    struct a64_engine *e = cpu->host;

    for (unsigned i = 0; i < cpu->debug.breaks; i++) {
        int code = hook(e, cpu->debug.brk[i]);

        if (code < 0)
            return code;
    }
    a64_route_debug(e);
    e->changed = true;
    return 0;
}

void a64_step_begin(struct a64_engine *e)
{
    uint32_t pstate = a64_pstate(e);

    a64_cp_read(e, A64_MDSCR_EL1, &e->mdscr);
    a64_cp_write(e, A64_MDSCR_EL1, e->mdscr | MDSCR_SS);
    e->stepping = true;
    a64_set_reg(e, UC_ARM64_REG_PSTATE, pstate | A64_SS);
    a64_route_debug(e);
}

void a64_step_end(struct a64_engine *e)
{
    a64_cp_write(e, A64_MDSCR_EL1, e->mdscr);
    e->stepping = false;
    a64_set_reg(e, UC_ARM64_REG_PSTATE, a64_pstate(e) & ~(uint32_t)A64_SS);
    a64_route_debug(e);
}
