/* SPDX-License-Identifier: MIT */
/* fakehv_run.c - tests of the double: exits, their syndromes, and where PC is. */
#include <stdatomic.h>

#include "test.h"

enum { DEVICE = 0x9000000 };

/* ---- exits ---------------------------------------------------------------- */

static void hypercalls(void)
{
    BOOT(0xd4000002, /* hvc #0 */
         0xd41fffe2, /* hvc #0xffff */
         0xd40000a3, /* smc #5 */
         0xd4000022 /* hvc #1 */);
    RUN_UNTIL(0x5a000000, CODE + 4);
    RUN_UNTIL(0x5a00ffff, CODE + 8);
    RUN_UNTIL(0x5e000005, CODE + 8);
    RUN_UNTIL(0x5e000005, CODE + 8); /* until somebody moves PC */
    set(HV_REG_PC, CODE + 12);
    RUN_UNTIL(0x5a000001, CODE + 16);
    shut_down();
}

static void waiting(void)
{
    BOOT(0xd503207f, /* wfi */
         0xd503205f, /* wfe */
         0xd2800020, /* mov x0, #1 */
         0xd503205f, /* wfe */
         0xd4000002 /* hvc #0 */);
    RUN_UNTIL(0x07e00000, CODE);
    RUN_UNTIL(0x07e00000, CODE);
    set(HV_REG_PC, CODE + 4);
    RUN_UNTIL(0x07e00001, CODE + 4);
    RUN_UNTIL(0x07e00001, CODE + 4);
    set(HV_REG_PC, CODE + 8);
    RUN_UNTIL(0x07e00001, CODE + 12);
    CHECK(get(HV_REG_X0) == 1);
    set(HV_REG_PC, CODE + 16);
    RUN_UNTIL(0x5a000000, CODE + 20);
    shut_down();
}

/* A wake-up event that is there already: WFI does not wait. */
static void no_need_to_wait(void)
{
    BOOT(0xd503207f, /* wfi */
         0xd4000002 /* hvc #0 */);
    OK(hv_vcpu_set_pending_interrupt(cpu, HV_INTERRUPT_TYPE_IRQ, true));
    RUN_UNTIL(0x5a000000, CODE + 8);
    shut_down();
}

static void trapped_registers(void)
{
    static const uint32_t traps[] = {
        0xd53be023 /* mrs x3, cntpct_el0 */,
        0xd53be223 /* mrs x3, cntp_ctl_el0 */,
        0xd51be243 /* msr cntp_cval_el0, x3 */,
        0xd538cc03 /* mrs x3, icc_iar1_el1 */,
        0xd518cc23 /* msr icc_eoir1_el1, x3 */,
        0xd518461f /* msr icc_pmr_el1, xzr */,
        0xd53b9c03 /* mrs x3, pmcr_el0 */,
        0xd51b9c23 /* msr pmcntenset_el0, x3 */,
        0xd5101083 /* msr oslar_el1, x3 */,
        0xd5301183 /* mrs x3, oslsr_el1 */,
        0xd5101383 /* msr s2_0_c1_c3_4, x3 */,
        0xd538f3e3 /* mrs x3, s3_0_c15_c3_7 */,
        0xd538a463 /* mrs x3, s3_0_c10_c4_3 */,
    };

    boot();
    for (size_t i = 0; i < sizeof traps / sizeof *traps; i++) {
        uint32_t o = traps[i], reg = o >> 5 & 0xffff;
        uint32_t iss = (reg >> 14) << 20 | (reg & 7) << 17 |
                       (reg >> 11 & 7) << 14 | (reg >> 7 & 15) << 10 |
                       (o & 31) << 5 | (reg >> 3 & 15) << 1 | (o >> 21 & 1);

        PUT(CODE, o, 0xd4000122 /* hvc #9 */);
        set(HV_REG_PC, CODE);
        RUN_UNTIL(0x62000000 | iss, CODE);
        set(HV_REG_PC, CODE + 4);
        RUN_UNTIL(0x5a000009, CODE + 8);
    }
    shut_down();
}

/* EL0 gets an exception of its own from what EL1 has not allowed it. */
static void from_el0(void)
{
    BOOT(0xd538c000 /* mrs x0, vbar_el1 */);
    PUT(0x8400, 0xd5385201, /* mrs x1, esr_el1 */
        0xd5384022,         /* mrs x2, elr_el1 */
        0xd5384003,         /* mrs x3, spsr_el1 */
        0xd4000082 /* hvc #4 */);
    set_sys(HV_SYS_REG_VBAR_EL1, 0x8000);
    set(HV_REG_CPSR, 0x3c0);
    RUN_UNTIL(0x5a000004, 0x8410);
    CHECK(get(HV_REG_X1) == 0x02000000 && get(HV_REG_X2) == CODE);
    CHECK(get(HV_REG_X3) == 0x3c0);
    CHECK((get(HV_REG_CPSR) & 0x3df) == 0x3c5);
    shut_down();
}

/* SVC, undefined instructions and stage-1 faults are the guest's. */
static void own_exceptions(void)
{
    static const struct {
        uint32_t opcode, syndrome, behind;
    } own[] = {
        {0xd40000e1 /* svc #7 */, 0x56000007, 4},
        {0x00000000 /* udf #0 */, 0x02000000, 0},
        {0xd4200060 /* brk #3 */, 0xf2000003, 0},
        {0xd53c1105 /* mrs x5, hcr_el2 */, 0x02000000, 0},
        {0x9e670000 /* fmov d0, x0 */, 0x1fe00000, 0},
        {0x3dc00000 /* ldr q0, [x0] */, 0x1fe00000, 0},
        {0x2518e3e0 /* ptrue p0.b */, 0x02000000, 0},
        {0xd5300685 /* mrs x5, dbgbvr6_el1 */, 0x02000000, 0},
    };

    boot();
    PUT(0x8200, 0xd5385201, /* mrs x1, esr_el1 */
        0xd5384022,         /* mrs x2, elr_el1 */
        0xd4000082 /* hvc #4 */);
    set_sys(HV_SYS_REG_VBAR_EL1, 0x8000);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        PUT(CODE, own[i].opcode);
        set(HV_REG_PC, CODE);
        set(HV_REG_CPSR, EL1H);
        RUN_UNTIL(0x5a000004, 0x820c);
        CHECK(get(HV_REG_X1) == own[i].syndrome);
        CHECK(get(HV_REG_X2) == CODE + own[i].behind);
    }
    shut_down();
}

static void fp(void)
{
    BOOT(0xd2900000, /* mov x0, #0x8000 */
         0x9e670000, /* fmov d0, x0 */
         0x3d800000, /* str q0, [x0] */
         0xd4000022 /* hvc #1 */);
    PUT(0x8200, 0xd5385201, /* mrs x1, esr_el1 */
        0xd2a00602,         /* movz x2, #0x30, lsl #16 */
        0xd5181042,         /* msr cpacr_el1, x2 */
        0xd69f03e0 /* eret */);
    set_sys(HV_SYS_REG_VBAR_EL1, 0x8000);
    RUN_UNTIL(0x5a000001, CODE + 16);
    CHECK(get(HV_REG_X1) == 0x1fe00000 && ram[0x8001] == 0x80);
    CHECK(get_sys(HV_SYS_REG_CPACR_EL1) == 0x300000);
    set_sys(HV_SYS_REG_CPACR_EL1, 0x100000); /* EL1 may, EL0 may not */
    set(HV_REG_PC, CODE);
    RUN_UNTIL(0x5a000001, CODE + 16);
    shut_down();
}

/* No memory at the vector: that the host is told. */
static void no_vectors(void)
{
    BOOT(0xd4000001 /* svc #0 */);
    set_sys(HV_SYS_REG_VBAR_EL1, 0x4000000);
    RUN_TO(HV_EXIT_REASON_EXCEPTION);
    CHECK((left->exception.syndrome & ~UINT64_C(0x3f)) == 0x82000000);
    CHECK(left->exception.physical_address == 0x4000200);
    CHECK(get(HV_REG_PC) == 0x4000200);
    shut_down();
}

/* ---- loads and stores ----------------------------------------------------- */

/* Its syndrome, but for the level. */
static uint32_t syndrome_of(uint32_t opcode, uint64_t offset)
{
    PUT(CODE, opcode, 0xd4000002 /* hvc #0 */);
    set(HV_REG_PC, CODE);
    set(HV_REG_CPSR, EL1H);
    set(HV_REG_X0, DEVICE + 0x10);
    set(HV_REG_X2, 8);
    RUN_TO(HV_EXIT_REASON_EXCEPTION);
    CHECK(get(HV_REG_PC) == CODE);
    CHECK(left->exception.physical_address == DEVICE + 0x10 + offset);
    CHECK(left->exception.virtual_address == DEVICE + 0x10 + offset);
    CHECK(get(HV_REG_X0) == DEVICE + 0x10);
    CHECK((left->exception.syndrome & 0x3c) == 4);
    return (uint32_t)left->exception.syndrome & ~3u;
}

#define IS(opcode, offset, syndrome)                                           \
    CHECK(syndrome_of(opcode, offset) == (syndrome))

static void described(void)
{
    boot();
    IS(0x39400001 /* ldrb w1, [x0] */, 0, 0x93010004);
    IS(0x79400401 /* ldrh w1, [x0, #2] */, 2, 0x93410004);
    IS(0xb9400001 /* ldr w1, [x0] */, 0, 0x93810004);
    IS(0xf9400001 /* ldr x1, [x0] */, 0, 0x93c18004);
    IS(0x39c00001 /* ldrsb w1, [x0] */, 0, 0x93210004);
    IS(0x39800001 /* ldrsb x1, [x0] */, 0, 0x93218004);
    IS(0x79800001 /* ldrsh x1, [x0] */, 0, 0x93618004);
    IS(0xb9800001 /* ldrsw x1, [x0] */, 0, 0x93a18004);
    IS(0x39000001 /* strb w1, [x0] */, 0, 0x93010044);
    IS(0x79000001 /* strh w1, [x0] */, 0, 0x93410044);
    IS(0xb9000001 /* str w1, [x0] */, 0, 0x93810044);
    IS(0xf9000001 /* str x1, [x0] */, 0, 0x93c18044);
    IS(0xf940001f /* ldr xzr, [x0] */, 0, 0x93df8004);
    IS(0xb900001f /* str wzr, [x0] */, 0, 0x939f0044);
    IS(0xf8626801 /* ldr x1, [x0, x2] */, 8, 0x93c18004);
    IS(0xf8627801 /* ldr x1, [x0, x2, lsl #3] */, 64, 0x93c18004);
    IS(0xb85fc001 /* ldur w1, [x0, #-4] */, -4, 0x93810004);
    IS(0x88dffc01 /* ldar w1, [x0] */, 0, 0x93814004);
    IS(0xc89ffc01 /* stlr x1, [x0] */, 0, 0x93c1c044);
    shut_down();
}

/* Those whose syndrome tells nothing but what they wanted. */
static void undescribed(void)
{
    boot();
    set_sys(HV_SYS_REG_CPACR_EL1, 0x300000);
    IS(0xf8408401 /* ldr x1, [x0], #8 */, 0, 0x92000004);
    IS(0xf8408c01 /* ldr x1, [x0, #8]! */, 8, 0x92000004);
    IS(0x38001401 /* strb w1, [x0], #1 */, 0, 0x92000044);
    IS(0xa9400c01 /* ldp x1, x3, [x0] */, 0, 0x92000004);
    IS(0x29010c01 /* stp w1, w3, [x0, #8] */, 8, 0x92000044);
    IS(0x3dc00001 /* ldr q1, [x0] */, 0, 0x92000004);
    IS(0xfd000001 /* str d1, [x0] */, 0, 0x92000044);
    IS(0x4c407001 /* ld1 {v1.16b}, [x0] */, 0, 0x92000004);
    IS(0xc85f7c01 /* ldxr x1, [x0] */, 0, 0x92000004);
    IS(0xd50b7420 /* dc zva, x0 */, 0, 0x92000044);
    CHECK((syndrome_of(0xf8210003 /* ldadd x1, x3, [x0] */, 0) & ~0x40u) ==
          0x92000004);
    shut_down();
}

static void physical_address(void)
{
    BOOT(0xb9400001, /* ldr w1, [x0] */
         0xd4000002 /* hvc #0 */);
    set(HV_REG_X0, 0xffffffffc);
    RUN_TO(HV_EXIT_REASON_EXCEPTION);
    CHECK(left->exception.physical_address == 0xffffffffc);
    set(HV_REG_X0, 0x100000 - 2); /* over the edge of memory */
    RUN_TO(HV_EXIT_REASON_EXCEPTION);
    CHECK(left->exception.syndrome >> 26 == 0x24 ||
          left->exception.syndrome >> 26 == 0x20);
    shut_down();
}

/* Stage 1: 0x40000000 is 0, 0x40200000 is DEVICE; then a table in no memory. */
static void stage1(void)
{
    uint64_t table[512] = {0};
    const uint64_t block = 0x701;

    BOOT(0xb9400001, /* ldr w1, [x0] */
         0xd4000002 /* hvc #0 */);
    table[0] = block;
    table[1] = 0xa000 | 3;
    put(0x9000, table, sizeof table);
    memset(table, 0, sizeof table);
    table[0] = block;
    table[1] = DEVICE | block;
    put(0xa000, table, sizeof table);
    set_sys(HV_SYS_REG_TTBR0_EL1, 0x9000);
    set_sys(HV_SYS_REG_TCR_EL1, 25 | 1 << 23 | UINT64_C(2) << 32);
    set_sys(HV_SYS_REG_MAIR_EL1, 0xff);
    set_sys(HV_SYS_REG_SCTLR_EL1, 0x30900181);
    set_sys(HV_SYS_REG_VBAR_EL1, 0x40008000);
    set(HV_REG_PC, 0x40000000 + CODE);
    set(HV_REG_X0, 0x40200008);
    RUN_UNTIL(0x93810006, 0x40000000 + CODE);
    CHECK(left->exception.virtual_address == 0x40200008);
    CHECK(left->exception.physical_address == DEVICE + 8);
    PUT(0x8200, 0xd5385201, /* mrs x1, esr_el1 */
        0xd5386002,         /* mrs x2, far_el1 */
        0xd4000082 /* hvc #4 */);
    set(HV_REG_X0, 0x80000000);
    RUN_UNTIL(0x5a000004, 0x4000820c);
    CHECK(get(HV_REG_X1) == 0x96000005 && get(HV_REG_X2) == 0x80000000);
    memcpy(ram + 0x9010, &(uint64_t){0x5000000 | 3}, 8);
    set(HV_REG_PC, 0x40000000 + CODE);
    RUN_TO(HV_EXIT_REASON_EXCEPTION);
    CHECK((left->exception.syndrome & 0xfc0000bc) == 0x90000084);
    shut_down();
}

/* ---- the exit's memory ---------------------------------------------------- */

static void exit_memory(void)
{
    const hv_vcpu_exit_t *first;

    BOOT(0xb9400001, /* ldr w1, [x0] */
         0xd4000002 /* hvc #0 */);
    first = left;
    set(HV_REG_X0, DEVICE);
    RUN_TO(HV_EXIT_REASON_EXCEPTION);
    CHECK(left == first && left->exception.physical_address == DEVICE);
    OK(hv_vcpus_exit(&cpu, 1));
    RUN_TO(HV_EXIT_REASON_CANCELED);
    CHECK(left->exception.syndrome != 0x93810006 && left->exception.syndrome);
    fake_hv_set("FAKE_HV_STRICT", "0");
    RUN_TO(HV_EXIT_REASON_EXCEPTION);
    OK(hv_vcpus_exit(&cpu, 1));
    RUN_TO(HV_EXIT_REASON_CANCELED);
    CHECK(left->exception.physical_address == DEVICE); /* stale */
    shut_down();
}

static void atomics(void)
{
    BOOT(0xd2900000, /* mov x0, #0x8000 */
         0xd28000a1, /* mov x1, #5 */
         0xf8e10002, /* ldaddal x1, x2, [x0] */
         0xc85f7c03, /* ldxr x3, [x0] */
         0x91000463, /* add x3, x3, #1 */
         0xc8047c03, /* stxr w4, x3, [x0] */
         0xd4000002 /* hvc #0 */);
    ram[0x8000] = 7;
    RUN_UNTIL(0x5a000000, CODE + 28);
    CHECK(ram[0x8000] == 13 && get(HV_REG_X2) == 7 && get(HV_REG_X4) == 0);
    shut_down();
}

/* Anything at all may be in memory. Much of it goes round in circles, so that
 * somebody else has to end it. */
static atomic_bool over;

static void *cancel(void *ctx)
{
    (void)ctx;
    while (!over) {
        usleep(300);
        hv_vcpus_exit(&cpu, 1);
    }
    return NULL;
}

static uint64_t seed = 88172645463325252;

static uint64_t next_random(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    return seed ^= seed << 17;
}

static void fill(uint64_t at, size_t size)
{
    for (size_t i = 0; i < size; i += 4) {
        uint32_t word = (uint32_t)next_random();

        if (seed >> 61 == 0) /* more system instructions than by chance */
            word = 0xd5000000 | (word & 0x3fffff);
        memcpy(ram + at + i, &word, 4);
    }
    sys_icache_invalidate(ram + at, size);
}

static void hostile(void)
{
    pthread_t canceller;

    boot();
    pthread_create(&canceller, NULL, cancel, NULL);
    set_sys(HV_SYS_REG_VBAR_EL1, 0x8000);
    for (int round = 0; round < 200; round++) {
        fill(CODE, 0x400);
        fill(0x8000, 0x800);
        for (hv_reg_t n = 0; n < 31; n++)
            set(n, n % 2 ? next_random() : CODE + n * 64);
        set(HV_REG_PC, CODE);
        set(HV_REG_CPSR, EL1H);
        set_sys(HV_SYS_REG_SCTLR_EL1, 0);
        for (int i = 0; i < 20; i++) {
            OK(hv_vcpu_run(cpu));
            set(HV_REG_PC, get(HV_REG_PC) + 4);
        }
    }
    over = true;
    pthread_join(canceller, NULL);
    shut_down();
}

int main(void)
{
    SKIP_ALL();
    test("HVC: PC is past it; SMC: at it", hypercalls, RETURNS);
    test("WFI and WFE: PC is at them", waiting, RETURNS);
    test("WFI with an interrupt pending does not exit", no_need_to_wait,
         RETURNS);
    test("system registers that trap: PC is at them", trapped_registers,
         RETURNS);
    test("EL0 that reads what is EL1's is the guest's affair", from_el0,
         RETURNS);
    test("SVC, BRK, undefined instructions never exit", own_exceptions,
         RETURNS);
    test("FP traps to EL1 until CPACR_EL1 allows it", fp, RETURNS);
    test("vectors in no memory: an instruction abort", no_vectors, RETURNS);
    test("loads and stores of all sizes, signed, XZR", described, RETURNS);
    test("pairs, write-back, SIMD, atomics, DC ZVA have ISV=0", undescribed,
         RETURNS);
    test("the physical address has the offset in the page", physical_address,
         RETURNS);
    test("with the MMU on: VA and IPA; stage-1 faults are the guest's", stage1,
         RETURNS);
    test("the exit's memory stays, and what is stale is poisoned", exit_memory,
         RETURNS);
    test("exclusives and atomics work", atomics, RETURNS);
    test("random code neither crashes nor hangs", hostile, RETURNS);
    return plan();
}
