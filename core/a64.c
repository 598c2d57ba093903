/* SPDX-License-Identifier: MIT */
/* a64.c - A64 loads and stores by their encoding: pairs, pre- and post-indexed,
 * SIMD&FP, and the plain ones. Not here, because the guest cannot tell whether
 * somebody else completed them for it: exclusives, atomics, DC ZVA, structures
 * (LD1 ... ST4); nor literals, which are code and not a device. */
#include "backend.h"

static uint32_t field(uint32_t instruction, unsigned low, unsigned bits)
{
    return instruction >> low & ((1u << bits) - 1);
}

static int64_t signed_field(uint32_t instruction, unsigned low, unsigned bits)
{
    int64_t sign = INT64_C(1) << (bits - 1);

    return ((int64_t)field(instruction, low, bits) ^ sign) - sign;
}

/* How the address is written back: the two low bits that the unscaled forms
 * have at 11:10 and the pairs at 24:23. */
enum index { NO_INDEX, POST, OFFSET, PRE };

static void set_index(struct vmm_a64_access *a, enum index index, int64_t imm)
{
    a->writeback = index == POST || index == PRE;
    a->offset = a->writeback ? imm : 0;
    a->at = index == POST ? 0 : imm;
}

static bool decode_pair(uint32_t i, struct vmm_a64_access *a)
{
    uint32_t opc = field(i, 30, 2);
    enum index index = field(i, 23, 2);

    if (opc == 3)
        return false;
    a->regs = 2;
    a->write = !field(i, 22, 1);
    a->rt[0] = (uint8_t)field(i, 0, 5);
    a->rt[1] = (uint8_t)field(i, 10, 5);
    if (a->vector) {
        a->size = (uint8_t)(4u << opc);
    } else if (opc ==
               1) { /* LDPSW; its store would be STGP, and LDNPSW is not */
        if (a->write || index == NO_INDEX)
            return false;
        a->size = 4;
        a->sign = a->wide = true;
    } else {
        a->size = opc == 2 ? 8 : 4;
        a->wide = opc == 2;
    }
    set_index(a, index, signed_field(i, 15, 7) * a->size);
    return true;
}

/* size and opc together name the width, the direction and the extension. */
static bool decode_width(uint32_t i, struct vmm_a64_access *a)
{
    uint32_t size = field(i, 30, 2), opc = field(i, 22, 2);

    a->regs = 1;
    a->rt[0] = (uint8_t)field(i, 0, 5);
    a->size = (uint8_t)(1u << size);
    if (a->vector) {
        a->write = !(opc & 1);
        if (opc & 2)
            a->size = 16;
        return !(opc & 2) || size == 0;
    }
    a->write = opc == 0;
    a->sign = opc & 2;
    a->wide = a->sign ? opc == 2 : size == 3;
    return !a->sign || size < 2 || (size == 2 && opc == 2); /* not PRFM */
}

static bool decode_register_offset(uint32_t i, struct vmm_a64_access *a)
{
    a->rm = (uint8_t)field(i, 16, 5);
    a->option = (uint8_t)field(i, 13, 3);
    if (field(i, 12, 1))
        while (1u << a->shift < a->size)
            a->shift++;
    return a->option & 2;
}

static bool decode_one(uint32_t i, struct vmm_a64_access *a)
{
    uint32_t mode = field(i, 10, 2);

    if (!decode_width(i, a))
        return false;
    if (field(i, 24, 1)) {
        a->at = (int64_t)field(i, 10, 12) * a->size;
        return true;
    }
    if (field(i, 21, 1)) /* else an atomic, or LDRAA */
        return mode == OFFSET && decode_register_offset(i, a);
    if (mode == OFFSET && a->vector)
        return false;
    set_index(a, mode, signed_field(i, 12, 9)); /* OFFSET is LDTR and STTR */
    return true;
}

bool vmm_a64_decode(uint32_t instruction, struct vmm_a64_access *access)
{
    uint32_t family = instruction & 0x3a000000;

    *access = (struct vmm_a64_access){
        .rn = (uint8_t)field(instruction, 5, 5),
        .rm = 31,
        .vector = field(instruction, 26, 1),
    };
    if (family == 0x28000000)
        return decode_pair(instruction, access);
    if (family == 0x38000000)
        return decode_one(instruction, access);
    return false;
}
