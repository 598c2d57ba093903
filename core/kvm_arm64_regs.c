/* SPDX-License-Identifier: MIT */
/* kvm_arm64_regs.c - registers of an arm64 vCPU of KVM. Each costs a system call:
 * the general ones are fetched when they are asked for, kept until the guest is
 * entered, and written back only if they were changed. */
#include "backend.h"

#if defined(__linux__) && defined(__aarch64__)
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/ioctl.h>

#include "kvm_arm64_gic.h"

enum {
    SP_EL0 = VMM_A64_SYSREG(3, 0, 4, 1, 0),
    SP_EL1 = VMM_A64_SYSREG(3, 4, 4, 1, 0),
    ELR_EL1 = VMM_A64_SYSREG(3, 0, 4, 0, 1),
    SPSR_EL1 = VMM_A64_SYSREG(3, 0, 4, 0, 0),
    CNTFRQ_EL0 = VMM_A64_SYSREG(3, 3, 14, 0, 0),
    CNTVCT_EL0 = VMM_A64_SYSREG(3, 3, 14, 0, 2),
    CNTV_CVAL_EL0 = VMM_A64_SYSREG(3, 3, 14, 3, 2),
    DCZID_EL0 = VMM_A64_SYSREG(3, 3, 0, 0, 7),
};

#define BIT(n) (UINT64_C(1) << (n))
#define CORE_ID(field, size)                                                   \
    (KVM_REG_ARM64 | (size) | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(field))

/* ---- one register -------------------------------------------------------- */

/* 0, or the errno. */
static int read_reg(const struct kvm_arm64 *a, uint64_t id, void *value)
{
    struct kvm_one_reg one = {.id = id, .addr = (uintptr_t)value};

    return ioctl(a->vcpu.fd, KVM_GET_ONE_REG, &one) < 0 ? errno : 0;
}

static int write_reg(const struct kvm_arm64 *a, uint64_t id, const void *value)
{
    struct kvm_one_reg one = {.id = id, .addr = (uintptr_t)value};

    return ioctl(a->vcpu.fd, KVM_SET_ONE_REG, &one) < 0 ? errno : 0;
}

/* `error` kept a register from being had, or from having that value. */
static int fail(const struct kvm_arm64 *a, const char *what, int error)
{
    if (error == ENOENT)
        return vmm_fail(VMM_ENOTSUP,
                        "kvm: %s: this kernel does not have it for guests",
                        what);
    if (error == EINVAL)
        return vmm_fail(VMM_ENOTSUP,
                        "kvm: %s: this kernel does not let it be that", what);
    return kvm_fail(a->vcpu.machine, what, error);
}

static int fail_nr(const struct kvm_arm64 *a, const char *class, uint32_t nr,
                   int error)
{
    char what[40];

    snprintf(what, sizeof what, "%s %" PRIu32, class, nr);
    return fail(a, what, error);
}

static int fail_system(const struct kvm_arm64 *a, uint32_t nr, int error)
{
    char what[40];

    snprintf(what, sizeof what, "system register S%u_%u_C%u_C%u_%u",
             nr >> 14 & 3, nr >> 11 & 7, nr >> 7 & 15, nr >> 3 & 15, nr & 7);
    return fail(a, what, error);
}

/* ---- the general ones ---------------------------------------------------- */

static uint64_t core_id(unsigned place)
{
    return CORE_ID(regs, KVM_REG_SIZE_U64) +
           place * (sizeof(uint64_t) / sizeof(uint32_t));
}

static int fetch(struct kvm_arm64 *a, unsigned place)
{
    int error;

    if (a->have & BIT(place))
        return 0;
    error = read_reg(a, core_id(place), &a->core[place]);
    if (error)
        return fail_nr(a, "register", place, error);
    a->have |= BIT(place);
    return 0;
}

static int get_core(struct kvm_arm64 *a, unsigned place, uint64_t *value)
{
    int rc = fetch(a, place);

    *value = a->core[place];
    if (place == KVM_ARM64_PC && a->pending != KVM_ARM64_NONE &&
        !(a->dirty & BIT(KVM_ARM64_PC)))
        *value += 4;
    return rc;
}

/* Of PSTATE not every value can be had: that is told at once. */
static int write_pstate(const struct kvm_arm64 *a, uint64_t value)
{
    enum { MODE = 0x1f, EL0T = 0, EL1T = 4, EL1H = 5 };
    uint32_t mode = value & MODE;
    int error;

    if (mode != EL0T && mode != EL1T && mode != EL1H)
        return vmm_fail(VMM_EINVAL,
                        "kvm: cpsr: mode 0x%" PRIx32
                        ": use 0 (EL0t), 4 (EL1t) or 5 (EL1h)",
                        mode);
    error = write_reg(a, core_id(KVM_ARM64_PSTATE), &value);
    return error ? fail(a, "cpsr", error) : 0;
}

static int set_core(struct kvm_arm64 *a, unsigned place, uint64_t value)
{
    int rc = 0;

    if (place == KVM_ARM64_PSTATE)
        rc = write_pstate(a, value);
    else
        a->dirty |= BIT(place);
    if (rc < 0)
        return rc;
    a->core[place] = value;
    a->have |= BIT(place);
    return 0;
}

int kvm_arm64_flush(struct kvm_arm64 *a)
{
    uint64_t left = a->dirty;

    if (a->pending != KVM_ARM64_NONE)
        left &= ~BIT(KVM_ARM64_PC);
    for (; left; left &= left - 1) {
        unsigned place = (unsigned)__builtin_ctzll(left);
        int error = write_reg(a, core_id(place), &a->core[place]);

        if (error)
            return fail_nr(a, "register", place, error);
        a->dirty &= ~BIT(place);
    }
    return 0;
}

uint64_t kvm_arm64_pc(struct kvm_arm64 *a)
{
    uint64_t pc = 0;

    get_core(a, KVM_ARM64_PC, &pc);
    return pc;
}

void kvm_arm64_set_pc(struct kvm_arm64 *a, uint64_t pc)
{
    set_core(a, KVM_ARM64_PC, pc);
}

void kvm_arm64_hide_step(struct kvm_arm64 *a)
{
    const uint64_t ss = UINT64_C(1) << 21;

    if (fetch(a, KVM_ARM64_SPSR_EL1) == 0 && a->core[KVM_ARM64_SPSR_EL1] & ss)
        set_core(a, KVM_ARM64_SPSR_EL1, a->core[KVM_ARM64_SPSR_EL1] & ~ss);
}

/* The place of a general register; -1: it has none. */
static int place_of(struct kvm_arm64 *a, uint32_t nr)
{
    enum { SPSEL = 1 };
    uint64_t pstate;

    if (nr <= 30)
        return (int)nr;
    switch (nr) {
    case VMM_A64_PC:
        return KVM_ARM64_PC;
    case VMM_A64_CPSR:
        return KVM_ARM64_PSTATE;
    case VMM_A64_SP:
        return get_core(a, KVM_ARM64_PSTATE, &pstate) < 0 || pstate & SPSEL
                   ? KVM_ARM64_SP_EL1
                   : KVM_ARM64_SP_EL0;
    default:
        return -1;
    }
}

/* ---- system registers ---------------------------------------------------- */

/* Those that have a place in struct kvm_regs, and no other; -1: none. */
static int place_of_system(uint32_t nr)
{
    switch (nr) {
    case SP_EL0:
        return KVM_ARM64_SP_EL0;
    case SP_EL1:
        return KVM_ARM64_SP_EL1;
    case ELR_EL1:
        return KVM_ARM64_ELR_EL1;
    case SPSR_EL1:
        return KVM_ARM64_SPSR_EL1;
    default:
        return -1;
    }
}

/* The kernel has two of the timer's the wrong way round, and keeps it so. */
static uint64_t system_id(uint32_t nr)
{
    if (nr == CNTV_CVAL_EL0)
        return KVM_REG_ARM_TIMER_CVAL;
    if (nr == CNTVCT_EL0)
        return KVM_REG_ARM_TIMER_CNT;
    return KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM64_SYSREG | nr;
}

/* Those that guests have as the host does, and that KVM keeps no copy of. */
static bool host_has(uint32_t nr, uint64_t *value)
{
    switch (nr) {
    case CNTFRQ_EL0:
        __asm__ volatile("mrs %0, cntfrq_el0" : "=r"(*value));
        return true;
    case DCZID_EL0:
        __asm__ volatile("mrs %0, dczid_el0" : "=r"(*value));
        return true;
    default:
        return false;
    }
}

static int get_system(struct kvm_arm64 *a, uint32_t nr, uint64_t *value)
{
    int place = place_of_system(nr), error;

    if (place >= 0)
        return get_core(a, (unsigned)place, value);
    if (host_has(nr, value))
        return 0;
    error = read_reg(a, system_id(nr), value);
    return error ? fail_system(a, nr, error) : 0;
}

static int set_system(struct kvm_arm64 *a, uint32_t nr, uint64_t value)
{
    int place = place_of_system(nr), error;

    if (place >= 0)
        return set_core(a, (unsigned)place, value);
    error = write_reg(a, system_id(nr), &value);
    return error ? fail_system(a, nr, error) : 0;
}

/* ---- registers, for core ------------------------------------------------- */

static uint64_t float_id(uint32_t nr)
{
    return nr == VMM_A64_FPCR ? CORE_ID(fp_regs.fpcr, KVM_REG_SIZE_U32)
                              : CORE_ID(fp_regs.fpsr, KVM_REG_SIZE_U32);
}

static uint64_t vector_id(uint32_t nr)
{
    return CORE_ID(fp_regs.vregs[0], KVM_REG_SIZE_U128) +
           nr * (16 / sizeof(uint32_t));
}

/* An answer that the kernel still has to put into its register comes first. */
static int get_answer(struct kvm_arm64 *a)
{
    return a->pending == KVM_ARM64_ANSWERED ? kvm_arm64_complete(a) : 0;
}

static int get_general(struct kvm_arm64 *a, uint32_t nr, uint64_t *value)
{
    uint32_t word;
    int rc = get_answer(a), place, error;

    if (rc < 0)
        return rc;
    place = place_of(a, nr);
    if (place >= 0)
        return get_core(a, (unsigned)place, value);
    error = read_reg(a, float_id(nr), &word);
    if (error)
        return fail_nr(a, "register", nr, error);
    *value = word;
    return 0;
}

static int set_general(struct kvm_arm64 *a, uint32_t nr, uint64_t value)
{
    uint32_t word = (uint32_t)value;
    int rc = get_answer(a), place, error;

    if (rc < 0)
        return rc;
    place = place_of(a, nr);
    if (place >= 0)
        return set_core(a, (unsigned)place, value);
    error = write_reg(a, float_id(nr), &word);
    return error ? fail_nr(a, "register", nr, error) : 0;
}

/* What is about the vCPU, and not the guest's; core sets trap_debug. */
static int get_own(struct kvm_arm64 *a, vmm_reg reg, uint64_t *value)
{
    switch (VMM_REG_NR(reg)) {
    case VMM_TRAP_DEBUG:
        *value = a->cpu->debug.trap;
        return 0;
    case VMM_GICR_BASE:
        return kvm_arm64_gic_get(a, reg, value);
    default:
        return vmm_cannot(a->cpu->vm, vmm_reg_called(VMM_ARM64, reg), "hvf");
    }
}

static int set_own(struct kvm_arm64 *a, vmm_reg reg, uint64_t value)
{
    return VMM_REG_NR(reg) == VMM_GICR_BASE
               ? kvm_arm64_gic_set(a, reg, value)
               : vmm_cannot(a->cpu->vm, vmm_reg_called(VMM_ARM64, reg), "hvf");
}

int kvm_arm64_get(struct vmm_cpu *cpu, vmm_reg reg, union vmm_value *value)
{
    struct kvm_arm64 *a = cpu->host;
    uint32_t nr = VMM_REG_NR(reg);
    int error;

    switch (VMM_REG_CLASS(reg)) {
    case VMM_GENERAL:
        return get_general(a, nr, &value->u64);
    case VMM_SYSTEM:
        return kvm_arm64_gic_has(nr) ? kvm_arm64_gic_get(a, reg, &value->u64)
                                     : get_system(a, nr, &value->u64);
    case VMM_GICR:
        return kvm_arm64_gic_get(a, reg, &value->u64);
    case VMM_VECTOR:
        error = read_reg(a, vector_id(nr), value->bytes);
        return error ? fail_nr(a, "vector", nr, error) : 0;
    case VMM_VCPU:
        return get_own(a, reg, &value->u64);
    default:
        return fail_nr(a, "register class", VMM_REG_CLASS(reg), ENOENT);
    }
}

int kvm_arm64_set(struct vmm_cpu *cpu, vmm_reg reg,
                  const union vmm_value *value)
{
    struct kvm_arm64 *a = cpu->host;
    uint32_t nr = VMM_REG_NR(reg);
    int error;

    switch (VMM_REG_CLASS(reg)) {
    case VMM_GENERAL:
        return set_general(a, nr, value->u64);
    case VMM_SYSTEM:
        return kvm_arm64_gic_has(nr) ? kvm_arm64_gic_set(a, reg, value->u64)
                                     : set_system(a, nr, value->u64);
    case VMM_GICR:
        return kvm_arm64_gic_set(a, reg, value->u64);
    case VMM_VECTOR:
        error = write_reg(a, vector_id(nr), value->bytes);
        return error ? fail_nr(a, "vector", nr, error) : 0;
    case VMM_VCPU:
        return set_own(a, reg, value->u64);
    default:
        return fail_nr(a, "register class", VMM_REG_CLASS(reg), ENOENT);
    }
}

bool kvm_arm64_instruction(struct kvm_arm64 *a, uint64_t va, uint32_t *word)
{
    uint64_t pa, value = 0;
    bool found;

    vmm_hold(a->cpu);
    found = (va & 3) == 0 && vmm_arm64_translate(a->cpu, va, &pa) > 0 &&
            vmm_load(a->cpu->vm, pa, 4, &value) == 0;
    vmm_let_go(a->cpu);
    *word = (uint32_t)value;
    return found;
}

/* ---- reset --------------------------------------------------------------- */

/* What the architecture leaves open KVM fills with a number that is easy to
 * recognize; other backends have zeros. SCTLR_EL1: the bits that are always one,
 * and no more. */
int kvm_arm64_reset(struct kvm_arm64 *a)
{
    enum {
        SCTLR_EL1 = VMM_A64_SYSREG(3, 0, 1, 0, 0),
        MPIDR_EL1 = VMM_A64_SYSREG(3, 0, 0, 0, 5),
        SCTLR_ONES = 0x30d00980,
    };
    static const uint16_t zero[] = {
        VMM_A64_SYSREG(3, 0, 2, 0, 0),  /* TTBR0_EL1 */
        VMM_A64_SYSREG(3, 0, 2, 0, 1),  /* TTBR1_EL1 */
        VMM_A64_SYSREG(3, 0, 5, 1, 0),  /* AFSR0_EL1 */
        VMM_A64_SYSREG(3, 0, 5, 1, 1),  /* AFSR1_EL1 */
        VMM_A64_SYSREG(3, 0, 5, 2, 0),  /* ESR_EL1 */
        VMM_A64_SYSREG(3, 0, 6, 0, 0),  /* FAR_EL1 */
        VMM_A64_SYSREG(3, 0, 7, 4, 0),  /* PAR_EL1 */
        VMM_A64_SYSREG(3, 0, 10, 2, 0), /* MAIR_EL1 */
        VMM_A64_SYSREG(3, 0, 13, 0, 1), /* CONTEXTIDR_EL1 */
        VMM_A64_SYSREG(3, 0, 13, 0, 4), /* TPIDR_EL1 */
        VMM_A64_SYSREG(3, 3, 13, 0, 2), /* TPIDR_EL0 */
        VMM_A64_SYSREG(3, 3, 13, 0, 3), /* TPIDRRO_EL0 */
        VMM_A64_SYSREG(3, 2, 0, 0, 0),  /* CSSELR_EL1 */
    };
    int rc = set_system(a, SCTLR_EL1, SCTLR_ONES);

    for (size_t i = 0; rc == 0 && i < sizeof zero / sizeof zero[0]; i++)
        rc = set_system(a, zero[i], 0);
    return rc < 0 ? rc
                  : set_system(a, MPIDR_EL1, a->cpu->index | UINT64_C(1) << 31);
}
#endif
