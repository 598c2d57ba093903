/* SPDX-License-Identifier: MIT */
/* exception_arm64.c - an exception into EL1, done to a guest by its host: by the
 * backend's get() and set(). */
#include "backend.h"

enum {
    SPSR_EL1 = VMM_A64_SYSREG(3, 0, 4, 0, 0),
    ELR_EL1 = VMM_A64_SYSREG(3, 0, 4, 0, 1),
    ESR_EL1 = VMM_A64_SYSREG(3, 0, 5, 2, 0),
    FAR_EL1 = VMM_A64_SYSREG(3, 0, 6, 0, 0),
    VBAR_EL1 = VMM_A64_SYSREG(3, 0, 12, 0, 0),
    MODE = 0x1f,
    EL1T = 4,
    EL1H = 5,
    DAIF = 0x3c0,
    SS = 1 << 21
};

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

/* PSTATE.SS is the host's debugger's: the guest does not find it in SPSR. */
int vmm_arm64_take(struct vmm_cpu *cpu, uint64_t syndrome, uint64_t far)
{
    const vmm_reg pc = VMM_REG(VMM_GENERAL, VMM_A64_PC);
    const vmm_reg cpsr = VMM_REG(VMM_GENERAL, VMM_A64_CPSR);
    uint64_t from, pstate, vbar;
    int rc = get(cpu, pc, &from);

    rc = rc < 0 ? rc : get(cpu, cpsr, &pstate);
    rc = rc < 0 ? rc : get(cpu, VMM_REG(VMM_SYSTEM, VBAR_EL1), &vbar);
    rc = rc < 0 ? rc : set(cpu, VMM_REG(VMM_SYSTEM, ELR_EL1), from);
    rc = rc < 0
             ? rc
             : set(cpu, VMM_REG(VMM_SYSTEM, SPSR_EL1), pstate & ~(uint64_t)SS);
    rc = rc < 0 ? rc : set(cpu, VMM_REG(VMM_SYSTEM, ESR_EL1), syndrome);
    rc = rc < 0 ? rc : set(cpu, VMM_REG(VMM_SYSTEM, FAR_EL1), far);
    rc = rc < 0 ? rc : set(cpu, cpsr, DAIF | EL1H);
    return rc < 0 ? rc : set(cpu, pc, vbar + vmm_arm64_vector(pstate));
}

int vmm_arm64_inject(struct vmm_cpu *cpu, const struct vmm_event *event)
{
    return vmm_arm64_take(cpu, event->syndrome, event->far);
}
