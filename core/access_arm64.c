/* SPDX-License-Identifier: MIT */
/* access_arm64.c - loads and stores that left an arm64 guest, completed for it:
 * which registers, which addresses, in pieces of at most 8 bytes. Pieces that do
 * lie in memory (a pair at its edge) are done here; each of the others is an
 * exit. Shared by the backends whose host reports a syndrome. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "backend.h"

enum { PAGE = 4096, XZR = 31 };
#define ADDRESS_BITS ((UINT64_C(1) << 56) - 1) /* less a tag */

/* ---- registers ----------------------------------------------------------- */

static uint64_t mask(unsigned size)
{
    return size == 8 ? UINT64_MAX : (UINT64_C(1) << 8 * size) - 1;
}

static uint64_t general(struct vmm_cpu *cpu, unsigned n)
{
    union vmm_value v = {.u64 = 0};

    cpu->vm->ops->get(cpu, VMM_REG(VMM_GENERAL, n), &v);
    return v.u64;
}

static void set_general(struct vmm_cpu *cpu, unsigned n, uint64_t value)
{
    const union vmm_value v = {.u64 = value};

    cpu->vm->ops->set(cpu, VMM_REG(VMM_GENERAL, n), &v);
}

uint64_t vmm_arm64_x(struct vmm_cpu *cpu, unsigned n)
{
    return n == XZR ? 0 : general(cpu, n);
}

void vmm_arm64_set_x(struct vmm_cpu *cpu, unsigned n, uint64_t value)
{
    if (n != XZR)
        set_general(cpu, n, value);
}

static void set_vector(struct vmm_cpu *cpu, const struct vmm_a64_piece *piece,
                       uint64_t value)
{
    const vmm_reg reg = VMM_REG(VMM_VECTOR, piece->rt);
    union vmm_value v = {.u64 = 0};

    memset(v.bytes, 0, sizeof v.bytes);
    if (!piece->sole)
        cpu->vm->ops->get(cpu, reg, &v);
    memcpy(&v.bytes[8 * piece->half], &value, sizeof value);
    cpu->vm->ops->set(cpu, reg, &v);
}

static uint64_t source(struct vmm_cpu *cpu, const struct vmm_a64_piece *piece)
{
    union vmm_value v;
    uint64_t value;

    if (piece->vector) {
        cpu->vm->ops->get(cpu, VMM_REG(VMM_VECTOR, piece->rt), &v);
        memcpy(&value, &v.bytes[8 * piece->half], sizeof value);
    } else {
        value = vmm_arm64_x(cpu, piece->rt);
    }
    return value & mask(piece->size);
}

static void load(struct vmm_cpu *cpu, const struct vmm_a64_piece *piece,
                 uint64_t value)
{
    value &= mask(piece->size);
    if (piece->vector) {
        set_vector(cpu, piece, value);
        return;
    }
    if (piece->sign) {
        uint64_t sign = UINT64_C(1) << (8 * piece->size - 1);

        value = (value ^ sign) - sign;
        if (!piece->wide)
            value &= UINT32_MAX;
    }
    vmm_arm64_set_x(cpu, piece->rt, value);
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

/* Here 31 is SP. */
static unsigned base(const struct vmm_a64_access *a)
{
    return a->rn == 31 ? VMM_A64_SP : a->rn;
}

uint64_t vmm_arm64_address(struct vmm_cpu *cpu, const struct vmm_a64_access *a)
{
    uint64_t offset = extended(vmm_arm64_x(cpu, a->rm), a->option) << a->shift;

    return general(cpu, base(a)) + (uint64_t)a->at + offset;
}

static void write_back(struct vmm_cpu *cpu, const struct vmm_a64_access *a)
{
    if (a->writeback)
        set_general(cpu, base(a), general(cpu, base(a)) + (uint64_t)a->offset);
}

/* ---- pieces -------------------------------------------------------------- */

static void take_apart(struct vmm_cpu *cpu, struct vmm_a64_pieces *p,
                       const struct vmm_a64_access *a, uint64_t va)
{
    unsigned halves = a->size == 16 ? 2 : 1;

    p->pieces = a->regs * halves;
    for (unsigned i = 0; i < p->pieces; i++) {
        struct vmm_a64_piece *piece = &p->piece[i];

        *piece = (struct vmm_a64_piece){
            .size = a->size / (uint8_t)halves,
            .rt = a->rt[i / halves],
            .half = (uint8_t)(i % halves),
            .write = a->write,
            .sign = a->sign,
            .wide = a->wide,
            .vector = a->vector,
            .sole = a->size < 16,
        };
        piece->addr = va + i * piece->size;
        if (piece->write)
            piece->value = source(cpu, piece);
    }
}

/* Virtual to physical, by the page that the fault names and the guest's tables
 * for the other. False: there is no other. */
static bool locate(struct vmm_cpu *cpu, struct vmm_a64_pieces *p,
                   const struct vmm_exit *exit)
{
    for (unsigned i = 0; i < p->pieces; i++) {
        struct vmm_a64_piece *piece = &p->piece[i];
        uint64_t va = piece->addr;

        if (((va ^ exit->va) & ADDRESS_BITS) < PAGE)
            piece->addr =
                (exit->pa & ~(uint64_t)(PAGE - 1)) | (va & (PAGE - 1));
        else if (vmm_arm64_translate(cpu, va, &piece->addr) <= 0)
            return false;
    }
    return true;
}

/* The memory that a piece lies in, if the guest has the right to it. */
static struct vmm_mem *memory(const struct vmm *vm,
                              const struct vmm_a64_piece *piece)
{
    struct vmm_mem *mem = vmm_mem_at(vm, piece->addr);

    return mem && mem->range.prot & (piece->write ? VMM_W : VMM_R) ? mem : NULL;
}

/* Does a piece start in memory and end outside it, or the other way round? */
static bool torn(const struct vmm *vm, const struct vmm_a64_piece *piece)
{
    struct vmm_a64_piece end = *piece;

    end.addr += piece->size - 1u;
    return memory(vm, piece) != memory(vm, &end);
}

static void do_in_memory(struct vmm_cpu *cpu, const struct vmm_a64_piece *piece)
{
    struct vmm *vm = cpu->vm;
    uint64_t value = piece->value;

    if (piece->write) {
        vmm_store(vm, piece->addr, piece->size, value);
    } else {
        vmm_load(vm, piece->addr, piece->size, &value);
        load(cpu, piece, value);
    }
}

/* What memory does not answer stays, in its order, for the exits. */
static void do_those_in_memory(struct vmm_cpu *cpu, struct vmm_a64_pieces *p)
{
    unsigned left = 0;

    for (unsigned i = 0; i < p->pieces; i++) {
        if (memory(cpu->vm, &p->piece[i]) != NULL)
            do_in_memory(cpu, &p->piece[i]);
        else
            p->piece[left++] = p->piece[i];
    }
    p->pieces = left;
}

static void fault(struct vmm_a64_pieces *p, struct vmm_exit *exit,
                  const char *what)
{
    p->pieces = 0;
    exit->kind = VMM_FAULT;
    snprintf(exit->why, sizeof exit->why,
             "%s of 0x%" PRIx64 ", where the guest has no memory: %s",
             exit->write ? "write" : "read", exit->addr, what);
}

/* The access as the instruction tells it; else as the syndrome does. */
static bool describe(struct vmm_cpu *cpu, const struct vmm_exit *exit,
                     const uint32_t *instruction,
                     const struct vmm_esr_access *esr, struct vmm_a64_access *a,
                     uint64_t *va)
{
    if (instruction && vmm_a64_decode(*instruction, a)) {
        *va = vmm_arm64_address(cpu, a);
        return true;
    }
    if (!esr)
        return false;
    *va = exit->va;
    *a = (struct vmm_a64_access){
        .size = exit->size,
        .regs = 1,
        .rt = {esr->rt},
        .write = exit->write,
        .sign = esr->sign,
        .wide = esr->wide,
    };
    return true;
}

static bool covers(const struct vmm_a64_access *a, uint64_t va,
                   uint64_t fault_va)
{
    return ((fault_va - va) & ADDRESS_BITS) < (uint64_t)a->size * a->regs;
}

void vmm_arm64_access(struct vmm_cpu *cpu, struct vmm_a64_pieces *p,
                      struct vmm_exit *exit, const uint32_t *instruction,
                      const struct vmm_esr_access *esr)
{
    struct vmm_a64_access a;
    uint64_t va;

    if (!describe(cpu, exit, instruction, esr, &a, &va)) {
        fault(p, exit, "an exclusive, atomic or structure access needs memory");
        return;
    }
    if (!covers(&a, va, exit->va)) {
        fault(p, exit, "the instruction has changed meanwhile");
        return;
    }
    take_apart(cpu, p, &a, va);
    if (!locate(cpu, p, exit)) {
        fault(p, exit, "it goes on into an unmapped page");
        return;
    }
    for (unsigned i = 0; i < p->pieces; i++)
        if (torn(cpu->vm, &p->piece[i])) {
            fault(p, exit, "it is not aligned and crosses the edge of memory");
            return;
        }
    write_back(cpu, &a);
    set_general(cpu, VMM_A64_PC, general(cpu, VMM_A64_PC) + 4);
    do_those_in_memory(cpu, p);
    p->next = 0;
    exit->kind = VMM_NONE;
    vmm_arm64_next_access(p, exit);
}

bool vmm_arm64_next_access(struct vmm_a64_pieces *p, struct vmm_exit *exit)
{
    const struct vmm_a64_piece *piece = &p->piece[p->next];

    if (p->next >= p->pieces)
        return false;
    p->next++;
    exit->kind = VMM_MMIO;
    exit->addr = exit->pa = piece->addr;
    exit->size = piece->size;
    exit->write = piece->write;
    exit->value = piece->value;
    return true;
}

void vmm_arm64_answer(struct vmm_cpu *cpu, const struct vmm_a64_pieces *p,
                      uint64_t value)
{
    if (p->next > 0)
        load(cpu, &p->piece[p->next - 1], value);
}
