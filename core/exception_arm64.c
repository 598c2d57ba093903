/* SPDX-License-Identifier: MIT */
/* exception_arm64.c - exceptions into EL1: done to a guest by its host, by the
 * backend's get() and set(); and those that find no handler. */
#include <inttypes.h>
#include <stdio.h>

#include "backend.h"

enum {
    EC_UNKNOWN = 0x00,
    EC_SVC = 0x15,
    EC_SYSREG = 0x18,
    EC_FETCH_LOWER = 0x20,
    EC_FETCH,
    EC_PC_ALIGNMENT,
    EC_DATA_LOWER = 0x24,
    EC_DATA,
    EC_SP_ALIGNMENT,
    EC_BRK = 0x3c
};

enum {
    ID_AA64MMFR1_EL1 = VMM_A64_SYSREG(3, 0, 0, 7, 1),
    SCTLR_EL1 = VMM_A64_SYSREG(3, 0, 1, 0, 0),
    SPSR_EL1 = VMM_A64_SYSREG(3, 0, 4, 0, 0),
    ELR_EL1 = VMM_A64_SYSREG(3, 0, 4, 0, 1),
    ESR_EL1 = VMM_A64_SYSREG(3, 0, 5, 2, 0),
    FAR_EL1 = VMM_A64_SYSREG(3, 0, 6, 0, 0),
    VBAR_EL1 = VMM_A64_SYSREG(3, 0, 12, 0, 0),
    MODE = 0x1f,
    EL0T = 0,
    EL1T = 4,
    EL1H = 5,
    EL2T = 8,
    EL2H = 9,
    DAIF = 0x3c0,
    SS = 1 << 21,
    PAN = 1 << 22,
    SPAN = 1 << 23, /* of SCTLR_EL1: leave PAN alone */
};

/* What an exception leaves as it was: the flags, and DIT. */
#define KEPT UINT64_C(0xf1000000)

uint64_t vmm_arm64_vector(uint64_t pstate)
{
    switch (pstate & MODE) {
    case EL1H:
        return 0x200;
    case EL1T:
        return 0;
    default:
        return 0x400;
    }
}

int vmm_arm64_mode(const struct vmm_cpu *cpu, uint64_t cpsr)
{
    uint64_t mode = cpsr & MODE;

    if (mode == EL0T || mode == EL1T || mode == EL1H)
        return 0;
    if (cpu->vm->el2 && (mode == EL2T || mode == EL2H))
        return 0;
    return vmm_fail(
        VMM_EINVAL,
        "%s: cpsr: mode 0x%" PRIx64 ": use 0 (EL0t), 4 (EL1t) or 5 (EL1h)%s",
        cpu->vm->ops->name, mode, cpu->vm->el2 ? ", 8 (EL2t) or 9 (EL2h)" : "");
}

static int get(struct vmm_cpu *cpu, vmm_reg reg, uint64_t *value)
{
    union vmm_value v = {.u64 = 0};
    int rc = cpu->vm->ops->get(cpu, reg, &v);

    *value = v.u64;
    return rc;
}

static int set(struct vmm_cpu *cpu, vmm_reg reg, uint64_t value)
{
    const union vmm_value v = {.u64 = value};

    return cpu->vm->ops->set(cpu, reg, &v);
}

/* PSTATE in the handler. A CPU without PAN has no SPAN either. */
static int entered(struct vmm_cpu *cpu, uint64_t pstate, uint64_t *handler)
{
    uint64_t features, sctlr;
    int rc = get(cpu, VMM_REG(VMM_SYSTEM, ID_AA64MMFR1_EL1), &features);

    rc = rc < 0 ? rc : get(cpu, VMM_REG(VMM_SYSTEM, SCTLR_EL1), &sctlr);
    if (rc < 0)
        return rc;
    *handler = (pstate & KEPT) | DAIF | EL1H;
    if (features >> 20 & 15)
        *handler |= sctlr & SPAN ? pstate & PAN : PAN;
    return 0;
}

/* PSTATE.SS is the host's debugger's: the guest does not find it in SPSR. */
int vmm_arm64_take(struct vmm_cpu *cpu, uint64_t syndrome, uint64_t far)
{
    const vmm_reg pc = VMM_REG(VMM_GENERAL, VMM_A64_PC);
    const vmm_reg cpsr = VMM_REG(VMM_GENERAL, VMM_A64_CPSR);
    uint64_t from, pstate, handler, vbar;
    int rc = get(cpu, pc, &from);

    rc = rc < 0 ? rc : get(cpu, cpsr, &pstate);
    rc = rc < 0 ? rc : entered(cpu, pstate, &handler);
    rc = rc < 0 ? rc : get(cpu, VMM_REG(VMM_SYSTEM, VBAR_EL1), &vbar);
    rc = rc < 0 ? rc : set(cpu, VMM_REG(VMM_SYSTEM, ELR_EL1), from);
    rc = rc < 0
             ? rc
             : set(cpu, VMM_REG(VMM_SYSTEM, SPSR_EL1), pstate & ~(uint64_t)SS);
    rc = rc < 0 ? rc : set(cpu, VMM_REG(VMM_SYSTEM, ESR_EL1), syndrome);
    rc = rc < 0 ? rc : set(cpu, VMM_REG(VMM_SYSTEM, FAR_EL1), far);
    rc = rc < 0 ? rc : set(cpu, cpsr, handler);
    return rc < 0 ? rc : set(cpu, pc, vbar + vmm_arm64_vector(pstate));
}

int vmm_arm64_inject(struct vmm_cpu *cpu, const struct vmm_event *event)
{
    return vmm_arm64_take(cpu, event->syndrome, event->far);
}

/* ---- those that find no handler ------------------------------------------ */

bool vmm_arm64_has_address(uint64_t syndrome)
{
    uint64_t ec = syndrome >> 26 & 63;

    return ec >= EC_FETCH_LOWER && ec <= EC_DATA;
}

static const char *exception_name(uint64_t syndrome)
{
    switch (syndrome >> 26 & 63) {
    case EC_UNKNOWN:
        return "undefined instruction";
    case EC_SVC:
        return "svc";
    case EC_SYSREG:
        return "trapped system register";
    case EC_FETCH_LOWER:
    case EC_FETCH:
        return "instruction abort";
    case EC_PC_ALIGNMENT:
        return "pc not aligned";
    case EC_DATA_LOWER:
    case EC_DATA:
        return "data abort";
    case EC_SP_ALIGNMENT:
        return "sp not aligned";
    case EC_BRK:
        return "brk";
    default:
        return "exception";
    }
}

void vmm_arm64_no_handler(struct vmm_exit *exit, uint64_t syndrome,
                          uint64_t far, uint64_t vector, uint64_t offset,
                          bool missing)
{
    exit->kind = VMM_FAULT;
    exit->syndrome = syndrome;
    exit->ec = (uint8_t)(syndrome >> 26 & 63);
    exit->va = vmm_arm64_has_address(syndrome) ? far : 0;
    exit->vector = (uint32_t)offset;
    snprintf(exit->why, sizeof exit->why,
             missing ? "%s, and no vector table at VBAR_EL1 = 0x%" PRIx64
                     : "%s, and no handler in the vector table at VBAR_EL1 = "
                       "0x%" PRIx64,
             exception_name(syndrome), vector - offset);
}

/* The guest's ELR_EL1, SPSR_EL1 and ESR_EL1 of before are lost. */
bool vmm_arm64_untake(struct vmm_cpu *cpu, struct vmm_exit *exit)
{
    enum { TABLE = 0x800, ENTRY = 0x80 };
    const vmm_reg pc = VMM_REG(VMM_GENERAL, VMM_A64_PC);
    uint64_t at, vbar, from, pstate, syndrome, far;

    if (get(cpu, pc, &at) < 0 ||
        get(cpu, VMM_REG(VMM_SYSTEM, VBAR_EL1), &vbar) < 0 ||
        get(cpu, VMM_REG(VMM_SYSTEM, ELR_EL1), &from) < 0 ||
        get(cpu, VMM_REG(VMM_SYSTEM, SPSR_EL1), &pstate) < 0 ||
        get(cpu, VMM_REG(VMM_SYSTEM, ESR_EL1), &syndrome) < 0 ||
        get(cpu, VMM_REG(VMM_SYSTEM, FAR_EL1), &far) < 0)
        return false;
    if (at - vbar >= TABLE || (at - vbar) % ENTRY ||
        at - vbar != vmm_arm64_vector(pstate))
        return false;
    vmm_arm64_no_handler(exit, syndrome, far, at, at - vbar, true);
    set(cpu, VMM_REG(VMM_GENERAL, VMM_A64_CPSR), pstate);
    set(cpu, pc, exit->ec == EC_SVC ? from - 4 : from);
    return true;
}
