/* SPDX-License-Identifier: MIT */
/* unicorn_arm64_access.c - loads and stores that left the guest, completed for
 * it: which registers, which addresses, in pieces of at most 8 bytes. Pieces
 * that do lie in memory (a pair at its edge) are done here; each of the others
 * is an exit. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "unicorn_arm64.h"

enum { PAGE = 4096 };
#define ADDRESS_BITS ((UINT64_C(1) << 56) - 1) /* less a tag */

bool a64_instruction(struct a64_engine *e, uint64_t pc, uint32_t *instruction)
{
    uint64_t pa, value;

    if (!a64_physical(e, pc, &pa) || vmm_load(e->cpu->vm, pa, 4, &value) < 0)
        return false;
    *instruction = (uint32_t)value;
    return true;
}

/* ---- registers ----------------------------------------------------------- */

static uint64_t mask(unsigned size)
{
    return size == 8 ? UINT64_MAX : (UINT64_C(1) << 8 * size) - 1;
}

static uint64_t half_of_vector(const struct a64_engine *e, unsigned n,
                               unsigned half)
{
    uint64_t v[2];

    e->m->u.reg_read(e->uc, UC_ARM64_REG_V0 + (int)n, v);
    return v[half];
}

static void set_vector(const struct a64_engine *e, const struct a64_element *el,
                       uint64_t value)
{
    uint64_t v[2] = {0, 0};
    int id = UC_ARM64_REG_V0 + el->rt;

    if (!el->sole)
        e->m->u.reg_read(e->uc, id, v);
    v[el->half] = value;
    e->m->u.reg_write(e->uc, id, v);
}

static uint64_t source(const struct a64_engine *e, const struct a64_element *el)
{
    uint64_t value =
        el->vector ? half_of_vector(e, el->rt, el->half) : a64_x(e, el->rt);

    return value & mask(el->size);
}

static void load(const struct a64_engine *e, const struct a64_element *el,
                 uint64_t value)
{
    value &= mask(el->size);
    if (el->vector) {
        set_vector(e, el, value);
        return;
    }
    if (el->sign) {
        uint64_t sign = UINT64_C(1) << (8 * el->size - 1);

        value = (value ^ sign) - sign;
        if (!el->wide)
            value &= UINT32_MAX;
    }
    a64_set_x(e, el->rt, value);
}

/* ---- addresses ----------------------------------------------------------- */

static uint64_t extended(uint64_t value, unsigned option)
{
    switch (option) {
    case 2: /* UXTW */
        return (uint32_t)value;
    case 6: /* SXTW */
        return (uint64_t)(int64_t)(int32_t)value;
    default:
        return value;
    }
}

static uint64_t base(const struct a64_engine *e, const struct vmm_a64_access *a)
{
    return a->rn == 31 ? a64_reg(e, UC_ARM64_REG_SP) : a64_x(e, a->rn);
}

uint64_t a64_address(const struct a64_engine *e, const struct vmm_a64_access *a)
{
    uint64_t offset = extended(a64_x(e, a->rm), a->option) << a->shift;

    return base(e, a) + (uint64_t)a->at + offset;
}

static void write_back(const struct a64_engine *e,
                       const struct vmm_a64_access *a)
{
    uint64_t value = base(e, a) + (uint64_t)a->offset;

    if (!a->writeback)
        return;
    if (a->rn == 31)
        a64_set_reg(e, UC_ARM64_REG_SP, value);
    else
        a64_set_x(e, a->rn, value);
}

/* ---- pieces -------------------------------------------------------------- */

static void take_apart(struct a64_engine *e, const struct vmm_a64_access *a,
                       uint64_t va)
{
    unsigned halves = a->size == 16 ? 2 : 1;

    e->elements = a->regs * halves;
    for (unsigned i = 0; i < e->elements; i++) {
        struct a64_element *el = &e->element[i];

        *el = (struct a64_element){
            .size = a->size / (uint8_t)halves,
            .rt = a->rt[i / halves],
            .half = (uint8_t)(i % halves),
            .write = a->write,
            .sign = a->sign,
            .wide = a->wide,
            .vector = a->vector,
            .sole = a->size < 16,
        };
        el->addr = va + i * el->size;
        if (el->write)
            el->value = source(e, el);
    }
}

/* Virtual to physical, by the page that the fault names and the guest's tables
 * for the other. False: there is no other. */
static bool locate(struct a64_engine *e, const struct vmm_exit *exit)
{
    for (unsigned i = 0; i < e->elements; i++) {
        struct a64_element *el = &e->element[i];
        uint64_t va = el->addr;

        if (((va ^ exit->va) & ADDRESS_BITS) < PAGE)
            el->addr = (exit->pa & ~(uint64_t)(PAGE - 1)) | (va & (PAGE - 1));
        else if (vmm_arm64_translate(e->cpu, va, &el->addr) <= 0)
            return false;
    }
    return true;
}

/* The memory that a piece lies in, if the guest has the right to it. */
static struct vmm_mem *memory(const struct a64_engine *e,
                              const struct a64_element *el)
{
    struct vmm_mem *mem = vmm_mem_at(e->cpu->vm, el->addr);

    return mem && mem->range.prot & (el->write ? VMM_W : VMM_R) ? mem : NULL;
}

/* Does a piece start in memory and end outside it, or the other way round? */
static bool torn(const struct a64_engine *e, const struct a64_element *el)
{
    struct a64_element end = *el;

    end.addr += el->size - 1u;
    return memory(e, el) != memory(e, &end);
}

static void do_in_memory(struct a64_engine *e, const struct a64_element *el)
{
    struct vmm *vm = e->cpu->vm;
    uint64_t value = el->value;

    if (el->write) {
        vmm_store(vm, el->addr, el->size, value);
    } else {
        vmm_load(vm, el->addr, el->size, &value);
        load(e, el, value);
    }
}

/* What memory does not answer stays, in its order, for the exits. */
static void do_those_in_memory(struct a64_engine *e)
{
    unsigned left = 0;

    for (unsigned i = 0; i < e->elements; i++) {
        if (memory(e, &e->element[i]) != NULL)
            do_in_memory(e, &e->element[i]);
        else
            e->element[left++] = e->element[i];
    }
    e->elements = left;
}

static void fault(struct a64_engine *e, struct vmm_exit *exit, const char *what)
{
    e->elements = 0;
    exit->kind = VMM_FAULT;
    snprintf(exit->why, sizeof exit->why,
             "%s of 0x%" PRIx64 ", where the guest has no memory: %s",
             exit->write ? "write" : "read", exit->addr, what);
}

/* The access as the instruction tells it; else as the syndrome does. */
static bool describe(struct a64_engine *e, const struct vmm_exit *exit,
                     bool described, const struct vmm_esr_access *esr,
                     struct vmm_a64_access *a, uint64_t *va)
{
    uint32_t instruction;

    if (a64_instruction(e, a64_reg(e, UC_ARM64_REG_PC), &instruction) &&
        vmm_a64_decode(instruction, a)) {
        *va = a64_address(e, a);
        return true;
    }
    *va = exit->va;
    *a = (struct vmm_a64_access){
        .size = exit->size,
        .regs = 1,
        .rt = {esr->rt},
        .write = exit->write,
        .sign = esr->sign,
        .wide = esr->wide,
    };
    return described;
}

static bool covers(const struct vmm_a64_access *a, uint64_t va,
                   uint64_t fault_va)
{
    return ((fault_va - va) & ADDRESS_BITS) < (uint64_t)a->size * a->regs;
}

/* The instruction is looked at even where the syndrome describes it: the
 * library's syndrome leaves the write-back out. */
void a64_access(struct a64_engine *e, struct vmm_exit *exit, bool described,
                const struct vmm_esr_access *esr)
{
    struct vmm_a64_access a;
    uint64_t va;

    if (!describe(e, exit, described, esr, &a, &va)) {
        fault(e, exit, "an exclusive, atomic or structure access needs memory");
        return;
    }
    if (!covers(&a, va, exit->va)) {
        fault(e, exit, "the instruction has changed meanwhile");
        return;
    }
    take_apart(e, &a, va);
    if (!locate(e, exit)) {
        fault(e, exit, "it goes on into an unmapped page");
        return;
    }
    for (unsigned i = 0; i < e->elements; i++)
        if (torn(e, &e->element[i])) {
            fault(e, exit, "it is not aligned and crosses the edge of memory");
            return;
        }
    write_back(e, &a);
    a64_set_reg(e, UC_ARM64_REG_PC, a64_reg(e, UC_ARM64_REG_PC) + 4);
    do_those_in_memory(e);
    e->next = 0;
    exit->kind = VMM_NONE;
    a64_next_access(e, exit);
}

bool a64_next_access(struct a64_engine *e, struct vmm_exit *exit)
{
    const struct a64_element *el = &e->element[e->next];

    if (e->next >= e->elements)
        return false;
    e->next++;
    exit->kind = VMM_MMIO;
    exit->addr = exit->pa = el->addr;
    exit->size = el->size;
    exit->write = el->write;
    exit->value = el->value;
    return true;
}

int a64_answer(struct vmm_cpu *cpu, const struct vmm_exit *exit)
{
    struct a64_engine *e = cpu->host;

    if (exit->kind == VMM_SYSREG)
        a64_set_x(e, e->sysreg_rt, exit->value);
    else if (e->next > 0)
        load(e, &e->element[e->next - 1], exit->value);
    return 0;
}
