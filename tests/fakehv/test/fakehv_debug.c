/* SPDX-License-Identifier: MIT */
/* fakehv_debug.c - tests of the double: BRK, single step, breakpoints,
 * watchpoints, and the registers for them. */
#include "test.h"

enum { SS = 1, MDE = 1 << 15, KDE = 1 << 13, PSTATE_SS = 1 << 21 };

/* Bits of the syndrome that say nothing but "a step". */
#define STEP_MASK UINT64_C(0xfeffffff)

static void step_to(uint64_t pc, int line)
{
    set(HV_REG_CPSR, get(HV_REG_CPSR) | PSTATE_SS);
    run_to(HV_EXIT_REASON_EXCEPTION, line);
    check((left->exception.syndrome & STEP_MASK) == 0xca000022, "a step", line);
    check(get(HV_REG_PC) == pc, "PC", line);
    check(!(get(HV_REG_CPSR) & PSTATE_SS), "PSTATE.SS", line);
}

#define STEP_TO(pc) step_to((pc), __LINE__)

static void flags(void)
{
    bool flag = true;

    boot();
    OK(hv_vcpu_get_trap_debug_exceptions(cpu, &flag));
    CHECK(!flag);
    OK(hv_vcpu_set_trap_debug_exceptions(cpu, true));
    OK(hv_vcpu_get_trap_debug_exceptions(cpu, &flag));
    CHECK(flag);
    OK(hv_vcpu_get_trap_debug_reg_accesses(cpu, &flag));
    CHECK(!flag);
    OK(hv_vcpu_set_trap_debug_reg_accesses(cpu, true));
    OK(hv_vcpu_get_trap_debug_reg_accesses(cpu, &flag));
    CHECK(flag);
    GIVES(hv_vcpu_get_trap_debug_exceptions(cpu, NULL), HV_BAD_ARGUMENT);
    shut_down();
}

static void software_breakpoint(void)
{
    BOOT(0xd42000e0 /* brk #7 */);
    PUT(0x8200, 0xd5385201, /* mrs x1, esr_el1 */
        0xd5384022,         /* mrs x2, elr_el1 */
        0xd4000022 /* hvc #1 */);
    set_sys(HV_SYS_REG_VBAR_EL1, 0x8000);
    OK(hv_vcpu_set_trap_debug_exceptions(cpu, true));
    RUN_UNTIL(0xf2000007, CODE);
    RUN_UNTIL(0xf2000007, CODE);
    OK(hv_vcpu_set_trap_debug_exceptions(cpu, false));
    RUN_UNTIL(0x5a000001, 0x820c);
    CHECK(get(HV_REG_X1) == 0xf2000007 && get(HV_REG_X2) == CODE);
    shut_down();
}

static void step(void)
{
    BOOT(0xd2800020, /* mov x0, #1 */
         0xd2800041, /* mov x1, #2 */
         0x14000002, /* b .+8 */
         0xd503201f, /* nop */
         0xd4000022 /* hvc #1 */);
    OK(hv_vcpu_set_trap_debug_exceptions(cpu, true));
    set_sys(HV_SYS_REG_MDSCR_EL1, SS);
    STEP_TO(CODE + 4);
    CHECK(get(HV_REG_X0) == 1 && get(HV_REG_X1) != 2);
    STEP_TO(CODE + 8);
    STEP_TO(CODE + 16);
    set_sys(HV_SYS_REG_MDSCR_EL1, 0);
    RUN_UNTIL(0x5a000001, CODE + 20);
    shut_down();
}

/* PSTATE.SS is not enough, nor is MDSCR_EL1.SS without the trap. */
static void no_step(void)
{
    BOOT(0xd2800020, /* mov x0, #1 */
         0xd2800041, /* mov x1, #2 */
         0xd4000022 /* hvc #1 */);
    OK(hv_vcpu_set_trap_debug_exceptions(cpu, true));
    set(HV_REG_CPSR, EL1H | PSTATE_SS);
    RUN_UNTIL(0x5a000001, CODE + 12);
    OK(hv_vcpu_set_trap_debug_exceptions(cpu, false));
    set_sys(HV_SYS_REG_MDSCR_EL1, SS);
    set(HV_REG_CPSR, EL1H | PSTATE_SS);
    set(HV_REG_PC, CODE);
    RUN_UNTIL(0x5a000001, CODE + 12);
    shut_down();
}

/* Into vectors that are not there: by stage 2, then by stage 1 too, which would
 * be an exception after the other. */
static void step_away(void)
{
    BOOT(0xd4000001 /* svc #0 */);
    set_sys(HV_SYS_REG_VBAR_EL1, 0x40000000);
    OK(hv_vcpu_set_trap_debug_exceptions(cpu, true));
    set_sys(HV_SYS_REG_MDSCR_EL1, SS);
    STEP_TO(0x40000200);
    set_sys(HV_SYS_REG_TTBR0_EL1, 0x8000); /* zeros */
    set_sys(HV_SYS_REG_SCTLR_EL1, 0x30d00981);
    STEP_TO(0x40000200);
    CHECK(get_sys(HV_SYS_REG_ELR_EL1) == 0x40000200);
    shut_down();
}

/* What the stepped instruction does comes first, or with it. */
static void step_of(void)
{
    BOOT(0xd4000001, /* svc #0 */
         0xd4000022, /* hvc #1 */
         0xd5380405, /* mrs x5, id_aa64pfr0_el1 */
         0xf9400001, /* ldr x1, [x0] */
         0xd503205f, /* wfe */
         0xd503207f, /* wfi */
         0xd5301183 /* mrs x3, oslsr_el1 */);
    OK(hv_vcpu_set_trap_debug_exceptions(cpu, true));
    set_sys(HV_SYS_REG_MDSCR_EL1, SS);
    set_sys(HV_SYS_REG_VBAR_EL1, 0x8000);
    STEP_TO(0x8200); /* svc: at the vector */
    CHECK(get_sys(HV_SYS_REG_ELR_EL1) == CODE + 4);
    CHECK(get_sys(HV_SYS_REG_ESR_EL1) == 0x56000000);
    set(HV_REG_PC, CODE + 4);
    set(HV_REG_CPSR, EL1H | PSTATE_SS);
    RUN_UNTIL(0x5a000001, CODE + 8);
    STEP_TO(CODE + 12); /* a register that the framework answers */
    CHECK(get(HV_REG_X5) == 0x1101000010110011);
    set(HV_REG_X0, 0x9000000);
    set(HV_REG_CPSR, EL1H | PSTATE_SS);
    RUN_TO(HV_EXIT_REASON_EXCEPTION);
    CHECK(left->exception.syndrome >> 26 == 0x24);
    set(HV_REG_PC, CODE + 16);
    set(HV_REG_CPSR, EL1H | PSTATE_SS);
    RUN_UNTIL(0x07e00001, CODE + 16);
    set(HV_REG_PC, CODE + 20);
    set(HV_REG_CPSR, EL1H | PSTATE_SS);
    RUN_UNTIL(0x07e00000, CODE + 20);
    set(HV_REG_PC, CODE + 24);
    set(HV_REG_CPSR, EL1H | PSTATE_SS);
    RUN_UNTIL(0x62280463, CODE + 24);
    shut_down();
}

static void breakpoint(void)
{
    BOOT(0xd2800020, /* mov x0, #1 */
         0xd2800041, /* mov x1, #2 */
         0xd4000022 /* hvc #1 */);
    OK(hv_vcpu_set_trap_debug_exceptions(cpu, true));
    set(HV_REG_X1, 0);
    set_sys(HV_SYS_REG_DBGBVR5_EL1, CODE + 4);
    set_sys(HV_SYS_REG_DBGBCR5_EL1, 0x1e5 | 2); /* EL1 and EL0 */
    RUN_UNTIL(0x5a000001, CODE + 12);           /* not without MDE */
    set_sys(HV_SYS_REG_MDSCR_EL1, MDE);
    set(HV_REG_PC, CODE);
    set(HV_REG_X1, 0);
    RUN_UNTIL(0xc2000022, CODE + 4);
    CHECK(get(HV_REG_X0) == 1 && get(HV_REG_X1) == 0);
    RUN_UNTIL(0xc2000022, CODE + 4); /* until it is disarmed */
    set_sys(HV_SYS_REG_DBGBCR5_EL1, 0x1e4);
    RUN_UNTIL(0x5a000001, CODE + 12);
    set_sys(HV_SYS_REG_DBGBVR6_EL1, CODE + 4); /* there are six of them */
    set_sys(HV_SYS_REG_DBGBCR6_EL1, 0x1e7);
    set(HV_REG_PC, CODE);
    RUN_UNTIL(0x5a000001, CODE + 12);
    shut_down();
}

static void watch(uint32_t opcode, uint64_t x0, uint64_t syndrome, uint64_t va)
{
    PUT(CODE, opcode, 0xd4000022 /* hvc #1 */);
    set(HV_REG_PC, CODE);
    set(HV_REG_X0, x0);
    memset(ram + 0x8000, 0x5a, 64);
    RUN_TO(HV_EXIT_REASON_EXCEPTION);
    CHECK(left->exception.syndrome == syndrome);
    if (syndrome == 0x5a000001)
        return;
    CHECK(left->exception.virtual_address == va);
    CHECK(get(HV_REG_PC) == CODE && ram[0x8010] == 0x5a);
}

static void watchpoint(void)
{
    const uint64_t none = 0x5a000001, read = 0xd2000022, write = 0xd2000062;

    boot();
    set_sys(HV_SYS_REG_CPACR_EL1, 0x300000);
    OK(hv_vcpu_set_trap_debug_exceptions(cpu, true));
    set_sys(HV_SYS_REG_MDSCR_EL1, MDE);
    set_sys(HV_SYS_REG_DBGWVR3_EL1, 0x8010);
    set_sys(HV_SYS_REG_DBGWCR3_EL1, 0x3c << 5 | 3 << 3 | 7); /* 0x8012..15 */
    watch(0xb9400001 /* ldr w1, [x0] */, 0x8010, read, 0x8012);
    watch(0xb9000001 /* str w1, [x0] */, 0x8010, write, 0x8012);
    watch(0x79400001 /* ldrh w1, [x0] */, 0x8010, none, 0);
    watch(0x39401401 /* ldrb w1, [x0, #5] */, 0x8010, read, 0x8015);
    watch(0x39401801 /* ldrb w1, [x0, #6] */, 0x8010, none, 0);
    watch(0xa93f8801 /* stp x1, x2, [x0, #-8] */, 0x8010, write, 0x8012);
    watch(0x3cc10401 /* ldr q1, [x0], #16 */, 0x8008, read, 0x8012);
    watch(0xb8210002 /* ldadd w1, w2, [x0] */, 0x8014, write, 0x8014);
    watch(0xc85f7c01 /* ldxr x1, [x0] */, 0x8010, read, 0x8012);
    set_sys(HV_SYS_REG_DBGWCR3_EL1, 0xff << 5 | 2 << 3 | 7); /* stores */
    watch(0xb9400001 /* ldr w1, [x0] */, 0x8010, none, 0);
    watch(0xb9000001 /* str w1, [x0] */, 0x8010, write, 0x8010);
    set_sys(HV_SYS_REG_DBGWCR3_EL1, 0);
    set_sys(HV_SYS_REG_DBGWVR4_EL1, 0x8010); /* there are four of them */
    set_sys(HV_SYS_REG_DBGWCR4_EL1, 0xff << 5 | 3 << 3 | 7);
    watch(0xb9400001 /* ldr w1, [x0] */, 0x8010, none, 0);
    shut_down();
}

/* Without the trap they are the guest's own. */
static void of_the_guest(void)
{
    BOOT(0xd2940000, /* mov x0, #0xa000 */
         0xd5100240, /* msr mdscr_el1, x0 */
         0xd50348ff, /* msr daifclr, #8 */
         0xd503201f, /* nop */
         0xd4000022 /* hvc #1 */);
    PUT(0x8200, 0xd5385201, /* mrs x1, esr_el1 */
        0xd5384022,         /* mrs x2, elr_el1 */
        0xd4000042 /* hvc #2 */);
    set_sys(HV_SYS_REG_VBAR_EL1, 0x8000);
    set_sys(HV_SYS_REG_DBGBVR0_EL1, CODE + 12);
    set_sys(HV_SYS_REG_DBGBCR0_EL1, 0x1e7);
    RUN_UNTIL(0x5a000002, 0x820c);
    CHECK(get(HV_REG_X1) == 0xc6000022 && get(HV_REG_X2) == CODE + 12);
    CHECK(get_sys(HV_SYS_REG_MDSCR_EL1) == (MDE | KDE));
    shut_down();
}

static void register_accesses(void)
{
    BOOT(0xd2803c80, /* mov x0, #0x1e4 */
         0xd51002a0, /* msr dbgbcr2_el1, x0 */
         0xd53002a1, /* mrs x1, dbgbcr2_el1 */
         0xd5300242, /* mrs x2, mdscr_el1 */
         0xd4000022 /* hvc #1 */);
    RUN_UNTIL(0x5a000001, CODE + 20);
    CHECK(get(HV_REG_X1) == 0x1e4);
    CHECK(get_sys(HV_SYS_REG_DBGBCR2_EL1) == 0x1e4);
    OK(hv_vcpu_set_trap_debug_reg_accesses(cpu, true));
    set(HV_REG_PC, CODE);
    RUN_UNTIL(0x622a0004, CODE + 4);
    set(HV_REG_PC, CODE + 8);
    RUN_UNTIL(0x622a0025, CODE + 8);
    set(HV_REG_PC, CODE + 12);
    RUN_UNTIL(0x62240045, CODE + 12);
    shut_down();
}

int main(void)
{
    SKIP_ALL();
    test("traps are off at first", flags, RETURNS);
    test("BRK exits only with the trap", software_breakpoint, RETURNS);
    test("a step: one instruction, and PSTATE.SS is gone", step, RETURNS);
    test("a step takes MDSCR_EL1.SS, PSTATE.SS and the trap", no_step, RETURNS);
    test("a step ends before the fetch of what cannot be fetched", step_away,
         RETURNS);
    test("a step of what traps, exits, or is the framework's", step_of,
         RETURNS);
    test("breakpoints: six, with MDE, before the instruction", breakpoint,
         RETURNS);
    test("watchpoints: four, by the byte, before the access", watchpoint,
         RETURNS);
    test("breakpoints without the trap are the guest's", of_the_guest, RETURNS);
    test("debug registers exit only when asked", register_accesses, RETURNS);
    return plan();
}
