/* SPDX-License-Identifier: MIT */
/* unicorn_arm64_state.c - the state of an engine: opening it with the host as
 * EL2, registers, and changes of PSTATE.
 *
 * Two things the library does not offer are read from, or patched into, a saved
 * context: the syndrome of an exception, and (before 2.1) the flags by which
 * translated code is chosen. Where they are is found out with each engine. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "unicorn_arm64.h"

/* The private page's code. */
enum { SVC_ONE, SVC_TWO, ERET, BRANCH };
static const uint32_t stub[] = {
    [SVC_ONE] = 0xd40b4b41, /* svc #0x5a5a */
    [SVC_TWO] = 0xd414b4a1, /* svc #0xa5a5 */
    [ERET] = 0xd69f03e0,
    [BRANCH] = 0x17fffffd, /* to SVC_ONE */
};
enum { SYNDROME_ONE = 0x56005a5a, SYNDROME_TWO = 0x5600a5a5 };

/* HVC: the instruction less its number, what it raises, and Unicorn's name for
 * that. */
static const uint32_t HVC = 0xd4000002, SYNDROME_HVC = 0x5a000000;
enum { EXCEPTION_HVC = 11 };

/* The old library's flags at EL3: AArch64, the MMU index of EL3. */
#define FLAGS_AARCH64 (UINT32_C(1) << 31)
#define FLAGS_EL3 (FLAGS_AARCH64 | UINT32_C(10) << 24)

/* ---- one register -------------------------------------------------------- */

uint64_t a64_reg(const struct a64_engine *e, int id)
{
    uint64_t value = 0;

    e->m->u.reg_read(e->uc, id, &value);
    return value;
}

void a64_set_reg(const struct a64_engine *e, int id, uint64_t value)
{
    e->m->u.reg_write(e->uc, id, &value);
}

static int x_id(unsigned n)
{
    return n < 29    ? UC_ARM64_REG_X0 + (int)n
           : n == 29 ? UC_ARM64_REG_X29
                     : UC_ARM64_REG_X30;
}

uint64_t a64_x(const struct a64_engine *e, unsigned n)
{
    return n < 31 ? a64_reg(e, x_id(n)) : 0;
}

void a64_set_x(const struct a64_engine *e, unsigned n, uint64_t value)
{
    if (n < 31)
        a64_set_reg(e, x_id(n), value);
}

uint32_t a64_pstate(const struct a64_engine *e)
{
    return (uint32_t)a64_reg(e, UC_ARM64_REG_PSTATE);
}

static uc_arm64_cp_reg cp_reg(uint32_t reg, uint64_t value)
{
    return (uc_arm64_cp_reg){
        .op0 = reg >> 14 & 3,
        .op1 = reg >> 11 & 7,
        .crn = reg >> 7 & 15,
        .crm = reg >> 3 & 15,
        .op2 = reg & 7,
        .val = value,
    };
}

bool a64_cp_read(const struct a64_engine *e, uint32_t reg, uint64_t *value)
{
    uc_arm64_cp_reg cp = cp_reg(reg, 0);
    uc_err err = e->m->u.reg_read(e->uc, UC_ARM64_REG_CP_REG, &cp);

    *value = cp.val;
    return err == UC_ERR_OK;
}

bool a64_cp_write(const struct a64_engine *e, uint32_t reg, uint64_t value)
{
    uc_arm64_cp_reg cp = cp_reg(reg, value);

    return e->m->u.reg_write(e->uc, UC_ARM64_REG_CP_REG, &cp) == UC_ERR_OK;
}

/* ---- where code is ------------------------------------------------------- */

/* Until the guest turns its MMU on, which the hook on MSR sees, and a64_set(),
 * an address is physical, and nothing has to be asked for. */
void a64_sctlr_written(struct a64_engine *e, uint64_t value)
{
    if (value & 1)
        e->mapped = true;
}

bool a64_physical(struct a64_engine *e, uint64_t va, uint64_t *pa)
{
    *pa = va;
    return !e->mapped || vmm_arm64_translate(e->cpu, va, pa) > 0;
}

bool a64_instruction(struct a64_engine *e, uint64_t pc, uint32_t *instruction)
{
    uint64_t pa, value;

    if (!a64_physical(e, pc, &pa) || vmm_load(e->cpu->vm, pa, 4, &value) < 0)
        return false;
    *instruction = (uint32_t)value;
    return true;
}

/* ---- PSTATE -------------------------------------------------------------- */

static uint32_t *flags_in_context(const struct a64_engine *e)
{
    return (uint32_t *)(void *)((uint8_t *)e->context + e->flags);
}

static void patch_flags(struct a64_engine *e, uint32_t flags)
{
    *flags_in_context(e) = flags;
    e->m->u.context_restore(e->uc, e->context);
}

/* From 2.1 on, writing any system register brings the flags up to date. */
void a64_state_changed(struct a64_engine *e)
{
    if (e->old)
        e->rebuild = true;
    else
        a64_cp_write(e, A64_TPIDR_EL2, 0);
}

/* The level in the flags is all that address translation looks at. */
void a64_at_el3(struct a64_engine *e, bool on)
{
    if (!e->old) {
        if (on)
            e->before_el3 = a64_pstate(e);
        a64_set_reg(e, UC_ARM64_REG_PSTATE,
                    on ? A64_DAIF_ALL | A64_EL3H : e->before_el3);
        a64_state_changed(e);
    } else if (on) {
        e->m->u.context_save(e->uc, e->context);
        e->before_el3 = *flags_in_context(e);
        patch_flags(e, FLAGS_EL3);
    } else {
        patch_flags(e, e->before_el3);
    }
}

/* SP is a copy of the banked register that PSTATE selects. */
int a64_sp_bank(uint32_t pstate)
{
    return (pstate & A64_MODE) == A64_EL1H ? UC_ARM64_REG_SP_EL1
                                           : UC_ARM64_REG_SP_EL0;
}

void a64_set_pstate(struct a64_engine *e, uint32_t pstate)
{
    int from = a64_sp_bank(a64_pstate(e)), to = a64_sp_bank(pstate);

    a64_set_reg(e, UC_ARM64_REG_PSTATE, pstate);
    if (from != to) {
        a64_set_reg(e, from, a64_reg(e, UC_ARM64_REG_SP));
        a64_set_reg(e, UC_ARM64_REG_SP, a64_reg(e, to));
    }
    a64_state_changed(e);
}

/* The old library rebuilds its flags only when the guest itself changes its
 * level. So it does: it is put at EL3, by the one patch of the flags whose
 * value is known, to return to where it should be. */
uint64_t a64_launch(struct a64_engine *e)
{
    uint64_t pc = a64_reg(e, UC_ARM64_REG_PC);
    uint32_t pstate;

    if (!e->rebuild)
        return pc;
    e->rebuild = false;
    pstate = a64_pstate(e);
    a64_set_reg(e, a64_sp_bank(pstate), a64_reg(e, UC_ARM64_REG_SP));
    a64_set_reg(e, UC_ARM64_REG_ELR_EL3, pc);
    a64_cp_write(e, A64_SPSR_EL3, pstate);
    a64_set_reg(e, UC_ARM64_REG_PSTATE, A64_DAIF_ALL | A64_EL3H);
    e->m->u.context_save(e->uc, e->context);
    patch_flags(e, FLAGS_EL3);
    return A64_STUB_ERET;
}

/* ---- exceptions ---------------------------------------------------------- */

/* What the library keeps of an exception, in its own order. */
struct exception {
    uint32_t syndrome, fsr;
    uint64_t va;
    uint32_t target;
};

static uint32_t u32_at(const uint8_t *p, size_t at)
{
    uint32_t value;

    memcpy(&value, p + at, sizeof value);
    return value;
}

/* The syndrome of an HVC, which is the last instruction of its block, without the
 * context's help: to copy one is a third of what a hypercall costs. */
static bool is_plain_hvc(struct a64_engine *e)
{
    uint32_t instruction;

    if (e->mapped || !a64_instruction(e, e->end - 4, &instruction) ||
        (instruction & 0xffe0001f) != HVC)
        return false;
    e->syndrome = SYNDROME_HVC | (instruction >> 5 & 0xffff);
    e->far = 0;
    return true;
}

/* What lies in 32 bits is read by 32 bits: what has just been written in larger
 * pieces is then at hand. */
unsigned a64_exception(struct a64_engine *e, uint32_t nr)
{
    const uint8_t *x = (const uint8_t *)e->context + e->exception;
    uint32_t instruction;

    if (nr == EXCEPTION_HVC && is_plain_hvc(e))
        return 2;
    e->m->u.context_save(e->uc, e->context);
    e->syndrome = u32_at(x, offsetof(struct exception, syndrome));
    e->far = u32_at(x, offsetof(struct exception, va)) |
             (uint64_t)u32_at(x, offsetof(struct exception, va) + 4) << 32;
    if (e->syndrome == 0 &&
        a64_instruction(e, a64_reg(e, UC_ARM64_REG_PC), &instruction))
        e->syndrome = unicorn_daif_syndrome(instruction);
    return u32_at(x, offsetof(struct exception, target));
}

/* ---- finding things in a context ----------------------------------------- */

struct samples { /* contexts after the one SVC and after the other */
    size_t size;
    const uint8_t *one, *two;
};

static bool exception_at(const struct samples *s, size_t at)
{
    size_t target = at + offsetof(struct exception, target);

    return u32_at(s->one, at) == SYNDROME_ONE &&
           u32_at(s->two, at) == SYNDROME_TWO && u32_at(s->one, target) == 1 &&
           u32_at(s->two, target) == 1;
}

/* PC, PSTATE (of which DAIF and NZCV are elsewhere), 1 for AArch64, and then
 * the flags, which say that too. */
static bool flags_at(const struct samples *s, size_t at)
{
    static const uint64_t pc_one = A64_PRIVATE + 4 * (SVC_ONE + 1),
                          pc_two = A64_PRIVATE + 4 * (SVC_TWO + 1);
    static const uint32_t after[2] = {A64_EL1H, 1};

    return at >= 16 && memcmp(s->one + at - 16, &pc_one, 8) == 0 &&
           memcmp(s->two + at - 16, &pc_two, 8) == 0 &&
           memcmp(s->one + at - 8, after, 8) == 0 &&
           u32_at(s->one, at) & FLAGS_AARCH64;
}

/* The one place that looks like it; 0: there is none, or there are several. */
static size_t find(const struct samples *s,
                   bool (*like)(const struct samples *, size_t))
{
    size_t found = 0;

    for (size_t at = 0; at + sizeof(struct exception) <= s->size; at += 4) {
        if (!like(s, at))
            continue;
        if (found != 0)
            return 0;
        found = at;
    }
    return found;
}

static void start(struct a64_engine *e, unsigned at)
{
    a64_set_reg(e, UC_ARM64_REG_PSTATE, A64_DAIF_ALL | A64_EL1H);
    e->m->u.emu_start(e->uc, A64_PRIVATE + 4 * at, 0, 0, 0);
}

static void sample(struct a64_engine *e, unsigned svc, uint8_t *copy,
                   size_t size)
{
    const struct unicorn *u = &e->m->u;

    start(e, svc);
    u->context_save(e->uc, e->context);
    memcpy(copy, e->context, size);
}

/* A context begins with how many bytes it holds. As each exception copies one,
 * and of its 12 KiB the first three are enough, it is made to hold no more:
 * that is a quarter of what a hypercall costs. Where the size is not found to
 * be kept like that, all is copied. */
static void shorten(struct a64_engine *e, size_t size)
{
    size_t held, header;
    size_t need = e->exception + sizeof(struct exception);

    memcpy(&held, e->context, sizeof held);
    header = size - held;
    if (held < size && header <= 64 && need < size) {
        held = need - header;
        memcpy(e->context, &held, sizeof held);
    }
}

static int find_offsets(struct a64_engine *e)
{
    size_t size = e->m->u.context_size(e->uc);
    uint8_t *copies = calloc(2, size);
    struct samples s;
    unsigned v = e->m->u.version;
    size_t exception;

    if (copies == NULL)
        return vmm_fail(VMM_ENOMEM, "unicorn: vcpu: out of memory");
    s = (struct samples){size, copies, copies + size};
    sample(e, SVC_ONE, copies, size);
    sample(e, SVC_TWO, copies + size, size);
    exception = find(&s, exception_at);
    if (e->old)
        e->flags = find(&s, flags_at);
    free(copies);
    e->exception = exception;
    if (exception == 0 || (e->old && e->flags == 0))
        return vmm_fail(VMM_EHOST,
                        "unicorn: libunicorn %u.%u.%u keeps its state in no "
                        "way known here: use 2.0.1 to 2.1.4",
                        v >> 16, v >> 8 & 0xff, v & 0xff);
    shorten(e, size);
    return 0;
}

/* ---- opening ------------------------------------------------------------- */

/* Affinity as KVM numbers its vCPUs: 16 to a cluster. */
static uint64_t mpidr(unsigned index)
{
    return UINT64_C(1) << 31 | (index & 15) | (index >> 4) << 8;
}

/* EL3 exists to say that EL2 and EL1 are AArch64, not secure, and have HVC. */
static void become_el2(struct a64_engine *e)
{
    uint64_t midr = 0;

    a64_cp_read(e, A64_MIDR_EL1, &midr);
    a64_cp_write(e, A64_VPIDR_EL2, midr);
    a64_cp_write(e, A64_VMPIDR_EL2, mpidr(e->cpu->index));
    a64_cp_write(e, A64_CNTHCTL_EL2, 1);       /* CNTPCT is open, CNTP_* trap */
    a64_cp_write(e, A64_CNTFRQ_EL0, 62500000); /* as CNTVCT counts */
    a64_cp_write(e, A64_VTCR_EL2,
                 (64 - A64_IPA_BITS) | 2 << 6 | 1 << 8 | 1 << 10 | 3 << 12 |
                     4 << 16 | UINT64_C(1) << 31);
    a64_cp_write(e, A64_VTTBR_EL2, A64_PRIVATE + 4096);
    e->hcr = A64_HCR;
    a64_cp_write(e, A64_HCR_EL2, e->hcr);
    a64_route_debug(e);
}

static void reset(struct a64_engine *e)
{
    for (unsigned n = 0; n < 31; n++)
        a64_set_x(e, n, 0);
    a64_set_reg(e, UC_ARM64_REG_SP, 0);
    a64_set_reg(e, UC_ARM64_REG_PC, 0);
    a64_cp_write(e, A64_CPACR_EL1, 0); /* the library opens it to FP */
    a64_set_pstate(e, A64_DAIF_ALL | A64_EL1H);
}

int a64_state_open(struct a64_engine *e)
{
    uc_err err = e->m->u.context_alloc(e->uc, &e->context);
    int code;

    if (err != UC_ERR_OK)
        return unicorn_fail(&e->m->u, "vcpu", err);
    memcpy(e->m->private, stub, sizeof stub);
    a64_cp_write(e, A64_SCR_EL3, 0x501); /* NS, HCE, RW */
    start(e, BRANCH); /* from here on the library tells what it translates */
    code = find_offsets(e);
    if (code == 0) {
        become_el2(e);
        reset(e);
    }
    return code;
}

/* ---- get and set --------------------------------------------------------- */

static int general_id(uint32_t nr)
{
    if (nr < 31)
        return x_id(nr);
    switch (nr) {
    case VMM_A64_SP:
        return UC_ARM64_REG_SP;
    case VMM_A64_PC:
        return UC_ARM64_REG_PC;
    case VMM_A64_CPSR:
        return UC_ARM64_REG_PSTATE;
    case VMM_A64_FPCR:
        return UC_ARM64_REG_FPCR;
    case VMM_A64_FPSR:
        return UC_ARM64_REG_FPSR;
    default:
        return UC_ARM64_REG_INVALID;
    }
}

static int unknown(const char *what, uint32_t nr)
{
    return vmm_fail(VMM_ENOTSUP, "unicorn: %s %" PRIu32 ": does not exist",
                    what, nr);
}

static int set_cpsr(struct a64_engine *e, uint64_t value)
{
    int rc = vmm_arm64_mode(e->cpu, value);

    if (rc < 0)
        return rc;
    a64_set_pstate(e, (uint32_t)value & ~(uint32_t)A64_SS);
    return 0;
}

static int set_general(struct a64_engine *e, uint32_t nr, uint64_t value)
{
    int id = general_id(nr);

    if (id == UC_ARM64_REG_INVALID)
        return unknown("register", nr);
    if (nr == VMM_A64_CPSR)
        return set_cpsr(e, value);
    a64_set_reg(e, id, value);
    return 0;
}

int a64_get(struct vmm_cpu *cpu, vmm_reg reg, union vmm_value *value)
{
    struct a64_engine *e = cpu->host;
    uint32_t nr = VMM_REG_NR(reg);
    int id;

    switch (VMM_REG_CLASS(reg)) {
    case VMM_GENERAL:
        id = general_id(nr);
        if (id == UC_ARM64_REG_INVALID)
            return unknown("register", nr);
        value->u64 = a64_reg(e, id);
        return 0;
    case VMM_VECTOR:
        if (nr > 31)
            return unknown("vector register", nr);
        e->m->u.reg_read(e->uc, UC_ARM64_REG_V0 + (int)nr, value->bytes);
        return 0;
    case VMM_SYSTEM:
        return a64_get_system(e, nr, &value->u64);
    case VMM_VCPU:
        return a64_get_own(e, reg, &value->u64);
    default:
        return unknown("register class", VMM_REG_CLASS(reg));
    }
}

int a64_set(struct vmm_cpu *cpu, vmm_reg reg, const union vmm_value *value)
{
    struct a64_engine *e = cpu->host;
    uint32_t nr = VMM_REG_NR(reg);

    switch (VMM_REG_CLASS(reg)) {
    case VMM_GENERAL:
        return set_general(e, nr, value->u64);
    case VMM_VECTOR:
        if (nr > 31)
            return unknown("vector register", nr);
        e->m->u.reg_write(e->uc, UC_ARM64_REG_V0 + (int)nr, value->bytes);
        return 0;
    case VMM_SYSTEM:
        return a64_set_system(e, nr, value->u64);
    case VMM_VCPU:
        return a64_set_own(e, reg, value->u64);
    default:
        return unknown("register class", VMM_REG_CLASS(reg));
    }
}
