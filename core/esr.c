/* SPDX-License-Identifier: MIT */
/* esr.c - what an arm64 syndrome (ESR_EL2) says, as an exit. Pure: the same for
 * every backend whose host sees the guest's exceptions at EL2. */
#include <inttypes.h>
#include <stdio.h>

#include "backend.h"

enum exception_class {
    EC_WFX = 0x01,
    EC_HVC = 0x16,
    EC_SMC = 0x17,
    EC_SYSREG = 0x18,
    EC_FETCH = 0x20,
    EC_DATA = 0x24,
    EC_BREAKPOINT = 0x30,
    EC_BREAKPOINT_SAME,
    EC_STEP,
    EC_STEP_SAME,
    EC_WATCHPOINT,
    EC_WATCHPOINT_SAME,
    EC_BRK = 0x3c
};

/* Fault status without its level, bits 5:2 of DFSC and IFSC. */
enum fault { SIZE, TRANSLATION, ACCESS_FLAG, PERMISSION };

static uint32_t field(uint64_t syndrome, unsigned low, unsigned bits)
{
    return (uint32_t)(syndrome >> low) & ((1u << bits) - 1);
}

/* The syndrome's order of the fields is not that of the encoding. */
static void decode_sysreg(struct vmm_exit *exit, struct vmm_esr_access *access)
{
    uint64_t s = exit->syndrome;

    exit->kind = VMM_SYSREG;
    exit->size = 8;
    exit->write = !field(s, 0, 1);
    exit->reg =
        VMM_A64_SYSREG(field(s, 20, 2), field(s, 14, 3), field(s, 10, 4),
                       field(s, 1, 4), field(s, 17, 3));
    access->rt = (uint8_t)field(s, 5, 5);
    access->wide = true;
}

static void fault(struct vmm_exit *exit)
{
    exit->kind = VMM_FAULT;
    exit->addr = exit->pa;
}

/* Both kinds of abort, when the tables themselves are not in memory. The hardware
 * tells their page; the offset in it is that of the access. */
static bool walk_fault(struct vmm_exit *exit)
{
    enum { PAGE = 4096 };

    if (!field(exit->syndrome, 7, 1))
        return false;
    exit->pa &= ~(uint64_t)(PAGE - 1);
    fault(exit);
    snprintf(exit->why, sizeof exit->why,
             "the page table at 0x%" PRIx64
             " is not in memory (walk for virtual address 0x%" PRIx64 ")",
             exit->pa, exit->va);
    return true;
}

static void decode_fetch(struct vmm_exit *exit)
{
    const char *why = field(exit->syndrome, 2, 4) == PERMISSION
                          ? "the memory is not executable"
                          : "no memory is mapped there";

    if (walk_fault(exit))
        return;
    fault(exit);
    snprintf(exit->why, sizeof exit->why,
             "instruction fetch from 0x%" PRIx64 ": %s", exit->pa, why);
}

/* Cache maintenance of an address without memory has nothing to do. */
static bool decode_data(struct vmm_exit *exit, struct vmm_esr_access *access)
{
    uint64_t s = exit->syndrome;

    if (walk_fault(exit))
        return true;
    if (field(s, 2, 4) > PERMISSION) {
        fault(exit);
        snprintf(exit->why, sizeof exit->why,
                 "data abort at 0x%" PRIx64 ", fault status 0x%" PRIx32,
                 exit->pa, field(s, 0, 6));
        return true;
    }
    exit->addr = exit->pa;
    exit->write = field(s, 6, 1);
    if (field(s, 8, 1))
        return true;
    exit->kind = VMM_MMIO;
    if (!field(s, 24, 1))
        return false;
    exit->size = (uint8_t)(1u << field(s, 22, 2));
    access->sign = field(s, 21, 1);
    access->rt = (uint8_t)field(s, 16, 5);
    access->wide = field(s, 15, 1);
    return true;
}

static void decode_watch(struct vmm_exit *exit)
{
    exit->kind = VMM_WATCH;
    exit->addr = exit->va;
    exit->write = field(exit->syndrome, 6, 1);
}

static void decode_imm(struct vmm_exit *exit, enum vmm_kind kind)
{
    exit->kind = kind;
    exit->imm = (uint16_t)field(exit->syndrome, 0, 16);
}

/* WFE waits for no interrupt: going on is all there is to do, hence no kind. */
bool vmm_esr_decode(struct vmm_exit *exit, struct vmm_esr_access *access)
{
    *access = (struct vmm_esr_access){0};
    exit->kind = VMM_NONE;
    exit->ec = (uint8_t)field(exit->syndrome, 26, 6);
    switch (exit->ec) {
    case EC_WFX:
        if (!field(exit->syndrome, 0, 1))
            exit->kind = VMM_WFI;
        return true;
    case EC_HVC:
        decode_imm(exit, VMM_HVC);
        return true;
    case EC_SMC:
        decode_imm(exit, VMM_SMC);
        return true;
    case EC_BRK:
        decode_imm(exit, VMM_BRK);
        return true;
    case EC_SYSREG:
        decode_sysreg(exit, access);
        return true;
    case EC_FETCH:
        decode_fetch(exit);
        return true;
    case EC_DATA:
        return decode_data(exit, access);
    case EC_BREAKPOINT:
    case EC_BREAKPOINT_SAME:
        exit->kind = VMM_BREAK;
        return true;
    case EC_STEP:
    case EC_STEP_SAME:
        exit->kind = VMM_STEP;
        return true;
    case EC_WATCHPOINT:
    case EC_WATCHPOINT_SAME:
        decode_watch(exit);
        return true;
    default:
        fault(exit);
        snprintf(exit->why, sizeof exit->why,
                 "exception class 0x%02x, which nothing here handles",
                 exit->ec);
        return true;
    }
}

bool vmm_esr_pc_is_at(enum vmm_kind kind)
{
    static const bool at[VMM_KINDS] = {
        [VMM_NONE] = true, /* WFE, cache maintenance */
        [VMM_SMC] = true,
        [VMM_WFI] = true,
        [VMM_SYSREG] = true,
    };

    return at[kind];
}
