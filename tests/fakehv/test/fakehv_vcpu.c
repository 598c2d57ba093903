/* SPDX-License-Identifier: MIT */
/* fakehv_vcpu.c - tests of the double: threads, registers, what a vCPU is at
 * first. */
#include "test.h"

/* ---- threads -------------------------------------------------------------- */

static void *in_thread(void *(*run)(void *), void *ctx)
{
    pthread_t thread;
    void *result = NULL;

    CHECK(pthread_create(&thread, NULL, run, ctx) == 0);
    pthread_join(thread, &result);
    return result;
}

static void *wrong_thread(void *ctx)
{
    hv_simd_fp_uchar16_t q = {0};
    uint64_t value;
    bool flag;

    (void)ctx;
    GIVES(hv_vcpu_get_reg(cpu, HV_REG_X0, &value), HV_BAD_ARGUMENT);
    GIVES(hv_vcpu_set_reg(cpu, HV_REG_X0, 1), HV_BAD_ARGUMENT);
    GIVES(hv_vcpu_get_sys_reg(cpu, HV_SYS_REG_ESR_EL1, &value),
          HV_BAD_ARGUMENT);
    GIVES(hv_vcpu_set_sys_reg(cpu, HV_SYS_REG_ESR_EL1, 1), HV_BAD_ARGUMENT);
    GIVES(hv_vcpu_get_simd_fp_reg(cpu, HV_SIMD_FP_REG_Q0, &q), HV_BAD_ARGUMENT);
    GIVES(hv_vcpu_set_simd_fp_reg(cpu, HV_SIMD_FP_REG_Q0, q), HV_BAD_ARGUMENT);
    GIVES(hv_vcpu_set_pending_interrupt(cpu, HV_INTERRUPT_TYPE_IRQ, true),
          HV_BAD_ARGUMENT);
    GIVES(hv_vcpu_get_pending_interrupt(cpu, HV_INTERRUPT_TYPE_IRQ, &flag),
          HV_BAD_ARGUMENT);
    GIVES(hv_vcpu_set_trap_debug_exceptions(cpu, true), HV_BAD_ARGUMENT);
    GIVES(hv_vcpu_set_vtimer_mask(cpu, true), HV_BAD_ARGUMENT);
    GIVES(hv_vcpu_get_exec_time(cpu, &value), HV_BAD_ARGUMENT);
    GIVES(hv_vcpu_run(cpu), HV_BAD_ARGUMENT);
    return NULL;
}

static void owner_only(void)
{
    uint64_t before;

    boot();
    before = get(HV_REG_X0);
    in_thread(wrong_thread, NULL);
    CHECK(fake_hv_reports() == 12);
    CHECK(strstr(fake_hv_report(0), "does not own") != NULL);
    CHECK(fake_hv_report(12) == NULL);
    CHECK(get(HV_REG_X0) == before);
    shut_down();
}

static void *destroy_other(void *ctx)
{
    (void)ctx;
    hv_vcpu_destroy(cpu);
    return NULL;
}

static void destroyed_elsewhere(void)
{
    boot();
    in_thread(destroy_other, NULL);
}

static void *leave_vcpu(void *ctx)
{
    hv_vcpu_exit_t *exit;
    hv_vcpu_t id;

    (void)ctx;
    OK(hv_vcpu_create(&id, &exit, NULL));
    return NULL;
}

static void left_behind(void)
{
    OK(hv_vm_create(NULL));
    in_thread(leave_vcpu, NULL);
    CHECK(fake_hv_reports() == 1 && fake_hv_vcpus() == 1);
    CHECK(strstr(fake_hv_report(0), "leaves vCPU 0 behind") != NULL);
    GIVES(hv_vm_destroy(), HV_BUSY);
}

static void one_a_thread(void)
{
    hv_vcpu_exit_t *exit;
    hv_vcpu_t id;

    boot();
    GIVES(hv_vcpu_create(&id, &exit, NULL), HV_BUSY);
    OK(hv_vcpu_destroy(cpu));
    GIVES(hv_vcpu_destroy(cpu), HV_BAD_ARGUMENT);
    OK(hv_vcpu_create(&cpu, &exit, NULL));
    GIVES(hv_vcpu_create(NULL, &exit, NULL), HV_BAD_ARGUMENT);
    shut_down();
}

static pthread_barrier_t created, checked;

static void *create_vcpu(void *ctx)
{
    hv_vcpu_exit_t *exit;
    hv_vcpu_t id = 99;

    (void)ctx;
    OK(hv_vcpu_create(&id, &exit, NULL));
    pthread_barrier_wait(&created);
    pthread_barrier_wait(&checked);
    if (id != 1)
        OK(hv_vcpu_destroy(id));
    pthread_barrier_wait(&created);
    pthread_barrier_wait(&checked);
    if (id == 1)
        OK(hv_vcpu_destroy(id));
    return (void *)(uintptr_t)id;
}

/* Numbers: the lowest that is free. */
static void numbers(void)
{
    enum { COUNT = 4 };
    pthread_t threads[COUNT];
    hv_vcpu_exit_t *exit;
    uint64_t seen = 0;
    hv_vcpu_t id = 0;

    fake_hv_set("FAKE_HV_MAX_VCPUS", "4");
    pthread_barrier_init(&created, NULL, COUNT + 1);
    pthread_barrier_init(&checked, NULL, COUNT + 1);
    OK(hv_vm_create(NULL));
    for (int i = 0; i < COUNT; i++)
        pthread_create(&threads[i], NULL, create_vcpu, NULL);
    pthread_barrier_wait(&created);
    CHECK(fake_hv_vcpus() == COUNT);
    GIVES(hv_vcpu_create(&id, &exit, NULL), HV_NO_RESOURCES);
    pthread_barrier_wait(&checked);
    pthread_barrier_wait(&created);
    OK(hv_vcpu_create(&id, &exit, NULL));
    CHECK(id == 0);
    OK(hv_vcpu_destroy(id));
    pthread_barrier_wait(&checked);
    for (int i = 0; i < COUNT; i++) {
        void *number;

        pthread_join(threads[i], &number);
        seen |= UINT64_C(1) << (uintptr_t)number;
    }
    CHECK(seen == 15);
    OK(hv_vm_destroy());
}

static void sixty_four(void)
{
    pthread_t threads[64];
    hv_vcpu_exit_t *exit;
    hv_vcpu_t id;

    pthread_barrier_init(&created, NULL, 65);
    pthread_barrier_init(&checked, NULL, 65);
    OK(hv_vm_create(NULL));
    for (int i = 0; i < 64; i++)
        CHECK(pthread_create(&threads[i], NULL, create_vcpu, NULL) == 0);
    pthread_barrier_wait(&created);
    GIVES(hv_vcpu_create(&id, &exit, NULL), HV_NO_RESOURCES);
    for (int i = 0; i < 2; i++) {
        pthread_barrier_wait(&checked);
        if (i == 0)
            pthread_barrier_wait(&created);
    }
    for (int i = 0; i < 64; i++)
        pthread_join(threads[i], NULL);
    OK(hv_vm_destroy());
}

/* ---- registers ------------------------------------------------------------ */

static void what_there_is(void)
{
    static const hv_sys_reg_t none[] = {0xc10c, 0xc10f, 0xdf00, 0xdf02, 0xdf18,
                                        0xc012, 0x8080, 0x8008, 0};
    hv_simd_fp_uchar16_t q;
    uint64_t value;
    bool flag;

    boot();
    GIVES(hv_vcpu_get_reg(cpu, 35, &value), HV_BAD_ARGUMENT);
    GIVES(hv_vcpu_set_reg(cpu, 35, 0), HV_BAD_ARGUMENT);
    GIVES(hv_vcpu_get_reg(cpu, HV_REG_X0, NULL), HV_BAD_ARGUMENT);
    GIVES(hv_vcpu_get_simd_fp_reg(cpu, 32, &q), HV_BAD_ARGUMENT);
    GIVES(hv_vcpu_get_pending_interrupt(cpu, 2, &flag), HV_BAD_ARGUMENT);
    GIVES(hv_vcpu_set_pending_interrupt(cpu, 2, true), HV_BAD_ARGUMENT);
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        GIVES(hv_vcpu_get_sys_reg(cpu, none[i], &value), HV_BAD_ARGUMENT);
        GIVES(hv_vcpu_set_sys_reg(cpu, none[i], 0), HV_BAD_ARGUMENT);
    }
    GIVES(hv_vcpu_get_sys_reg(cpu, HV_SYS_REG_CNTP_CTL_EL0, &value),
          HV_UNSUPPORTED);
    GIVES(hv_vcpu_set_sys_reg(cpu, HV_SYS_REG_HCR_EL2, 0), HV_UNSUPPORTED);
    GIVES(hv_vcpu_get_reg(cpu + 1, HV_REG_X0, &value), HV_BAD_ARGUMENT);
    GIVES(hv_vcpu_get_reg(64, HV_REG_X0, &value), HV_BAD_ARGUMENT);
    GIVES(hv_vcpu_get_reg(UINT64_MAX, HV_REG_X0, &value), HV_BAD_ARGUMENT);
    shut_down();
}

static void by_version(void)
{
    uint64_t value;

    boot();
    fake_hv_set("FAKE_HV_MACOS", "13.0");
    GIVES(hv_vcpu_get_sys_reg(cpu, HV_SYS_REG_ACTLR_EL1, &value),
          HV_BAD_ARGUMENT);
    GIVES(hv_vcpu_get_sys_reg(cpu, HV_SYS_REG_HCR_EL2, &value),
          HV_BAD_ARGUMENT);
    fake_hv_set("FAKE_HV_MACOS", "15.0");
    OK(hv_vcpu_get_sys_reg(cpu, HV_SYS_REG_ACTLR_EL1, &value));
    GIVES(hv_vcpu_get_sys_reg(cpu, HV_SYS_REG_SMCR_EL1, &value),
          HV_BAD_ARGUMENT);
    fake_hv_set("FAKE_HV_MACOS", "15.2");
    OK(hv_vcpu_get_sys_reg(cpu, HV_SYS_REG_SMCR_EL1, &value));
    shut_down();
}

static void at_first(void)
{
    static const struct {
        hv_sys_reg_t reg;
        uint64_t value;
    } resets[] = {
        {HV_SYS_REG_MIDR_EL1, 0x610f0000},
        {HV_SYS_REG_MPIDR_EL1, 0},
        {HV_SYS_REG_ID_AA64PFR0_EL1, 0x1101000010110011},
        {HV_SYS_REG_ID_AA64PFR1_EL1, 0x0000000202000000},
        {HV_SYS_REG_ID_AA64DFR0_EL1, 0x0000000010305006},
        {HV_SYS_REG_ID_AA64ISAR0_EL1, 0x0221100110212120},
        {HV_SYS_REG_ID_AA64ISAR1_EL1, 0x0000111110211502},
        {HV_SYS_REG_ID_AA64MMFR0_EL1, 0x000010000f100022},
        {HV_SYS_REG_ID_AA64MMFR1_EL1, 0x0000100011312000},
        {HV_SYS_REG_ID_AA64MMFR2_EL1, 0x1001001102001011},
        {HV_SYS_REG_ID_AA64SMFR0_EL1, 0x01f150ff00000000},
        {HV_SYS_REG_ID_AA64ZFR0_EL1, 0x0000100000100001},
    };
    static const hv_sys_reg_t zero[] = {
        HV_SYS_REG_SCTLR_EL1,      HV_SYS_REG_CPACR_EL1,
        HV_SYS_REG_TCR_EL1,        HV_SYS_REG_TTBR0_EL1,
        HV_SYS_REG_MAIR_EL1,       HV_SYS_REG_VBAR_EL1,
        HV_SYS_REG_SPSR_EL1,       HV_SYS_REG_SP_EL0,
        HV_SYS_REG_SP_EL1,         HV_SYS_REG_APGAKEYHI_EL1,
        HV_SYS_REG_DBGBCR0_EL1,    HV_SYS_REG_DBGWCR15_EL1,
        HV_SYS_REG_MDSCR_EL1,      HV_SYS_REG_CNTV_CTL_EL0,
        HV_SYS_REG_CNTV_CVAL_EL0,  HV_SYS_REG_CNTKCTL_EL1,
        HV_SYS_REG_ACTLR_EL1,      HV_SYS_REG_SMCR_EL1,
        HV_SYS_REG_CONTEXTIDR_EL1, HV_SYS_REG_AMAIR_EL1};
    bool flag = true;

    OK(hv_vm_create(NULL));
    OK(hv_vcpu_create(&cpu, &left, NULL));
    for (size_t i = 0; i < sizeof resets / sizeof *resets; i++)
        CHECK(get_sys(resets[i].reg) == resets[i].value);
    for (size_t i = 0; i < sizeof zero / sizeof *zero; i++)
        CHECK(get_sys(zero[i]) == 0);
    OK(hv_vcpu_get_vtimer_mask(cpu, &flag));
    CHECK(!flag);
    CHECK(get(HV_REG_FPCR) == 0 && get(HV_REG_FPSR) == 0);
    shut_down();
}

/* Whoever does not set them is not to find out on a Mac. */
static void poisoned(void)
{
    hv_simd_fp_uchar16_t q = {0};

    OK(hv_vm_create(NULL));
    add_ram();
    OK(hv_vcpu_create(&cpu, &left, NULL));
    for (hv_reg_t n = HV_REG_X0; n <= HV_REG_PC; n++)
        CHECK(get(n) != 0);
    OK(hv_vcpu_get_simd_fp_reg(cpu, HV_SIMD_FP_REG_Q31, &q));
    CHECK(q[0] != 0 && q[15] != 0);
    GIVES(hv_vcpu_run(cpu), HV_ILLEGAL_GUEST_STATE);
    set(HV_REG_CPSR, EL1H);
    set_sys(HV_SYS_REG_VBAR_EL1, 0x4000000);
    RUN_TO(HV_EXIT_REASON_EXCEPTION);
    CHECK(left->exception.syndrome >> 26 == 0x20);
    CHECK(fake_hv_reports() == 1);
    shut_down();
}

static void illegal_modes(void)
{
    static const uint32_t modes[] = {0x3c9, 0x3c8, 0x3cd, 0x3cc, 0x10,
                                     0x1d3, 0x3d5, 0x3c1, 0x3c6, 0x3cf};
    hv_vcpu_exit_t before;

    BOOT(0xd4000002 /* hvc #0 */);
    before = *left;
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        set(HV_REG_CPSR, modes[i]);
        GIVES(hv_vcpu_run(cpu), HV_ILLEGAL_GUEST_STATE);
        CHECK(before.reason == left->reason &&
              before.exception.syndrome == left->exception.syndrome);
        CHECK(get(HV_REG_PC) == CODE);
    }
    set(HV_REG_CPSR, 0x3c4);
    RUN_UNTIL(0x5a000000, CODE + 4);
    shut_down();
}

static void round_trips(void)
{
    static const hv_sys_reg_t regs[] = {
        HV_SYS_REG_TTBR0_EL1,     HV_SYS_REG_VBAR_EL1,
        HV_SYS_REG_SP_EL0,        HV_SYS_REG_SP_EL1,
        HV_SYS_REG_TPIDR_EL0,     HV_SYS_REG_APIAKEYLO_EL1,
        HV_SYS_REG_AFSR0_EL1,     HV_SYS_REG_AMAIR_EL1,
        HV_SYS_REG_DBGBVR5_EL1,   HV_SYS_REG_DBGWVR15_EL1,
        HV_SYS_REG_CNTV_CVAL_EL0, HV_SYS_REG_ID_AA64PFR0_EL1,
        HV_SYS_REG_CPACR_EL1,     HV_SYS_REG_TPIDR2_EL0,
        HV_SYS_REG_ACTLR_EL1,     HV_SYS_REG_MPIDR_EL1};
    hv_simd_fp_uchar16_t in = {1, 2,  3,  4,  5,  6,  7,  8,
                               9, 10, 11, 12, 13, 14, 15, 16},
                         out = {0};

    boot();
    for (hv_reg_t n = HV_REG_X0; n <= HV_REG_X30; n++)
        set(n, UINT64_C(0x1111111111111111) * (n + 1));
    for (hv_reg_t n = HV_REG_X0; n <= HV_REG_X30; n++)
        CHECK(get(n) == UINT64_C(0x1111111111111111) * (n + 1));
    for (hv_simd_fp_reg_t n = 0; n < 32; n++) {
        in[7] = (uint8_t)n;
        OK(hv_vcpu_set_simd_fp_reg(cpu, n, in));
        OK(hv_vcpu_get_simd_fp_reg(cpu, n, &out));
        CHECK(same(in, out));
    }
    for (size_t i = 0; i < sizeof regs / sizeof *regs; i++) {
        set_sys(regs[i], (0x12340000000000 | i << 20));
        CHECK(get_sys(regs[i]) == (0x12340000000000 | i << 20));
    }
    set(HV_REG_CPSR, UINT64_C(0xffffffff000003c5));
    CHECK(get(HV_REG_CPSR) == 0x3c5);
    set(HV_REG_FPCR, UINT64_C(0xffffffff03000000));
    CHECK(get(HV_REG_FPCR) == 0x03000000);
    set(HV_REG_FPSR, UINT64_C(0xf0000001f));
    CHECK(get(HV_REG_FPSR) == 0x1f);
    shut_down();
}

/* The guest sees what the host has set, and the other way round. */
static void both_sides(void)
{
    hv_simd_fp_uchar16_t q = {0};

    BOOT(0xd538d081, /* mrs x1, tpidr_el1 */
         0x910003e2, /* mov x2, sp */
         0xd518c000, /* msr vbar_el1, x0 */
         0x9100001f, /* mov sp, x0 */
         0x9e670000, /* fmov d0, x0 */
         0xd5384103, /* mrs x3, sp_el0 */
         0xd4000002 /* hvc #0 */);
    set(HV_REG_X0, 0x123800);
    set_sys(HV_SYS_REG_TPIDR_EL1, 77);
    set_sys(HV_SYS_REG_SP_EL1, 0x8000);
    set_sys(HV_SYS_REG_SP_EL0, 0x9000);
    set_sys(HV_SYS_REG_CPACR_EL1, 0x300000);
    RUN_UNTIL(0x5a000000, CODE + 28);
    CHECK(get(HV_REG_X1) == 77 && get(HV_REG_X2) == 0x8000);
    CHECK(get(HV_REG_X3) == 0x9000);
    CHECK(get_sys(HV_SYS_REG_VBAR_EL1) == 0x123800);
    CHECK(get_sys(HV_SYS_REG_SP_EL1) == 0x123800);
    CHECK(get_sys(HV_SYS_REG_SP_EL0) == 0x9000);
    OK(hv_vcpu_get_simd_fp_reg(cpu, HV_SIMD_FP_REG_Q0, &q));
    CHECK(same(q, (hv_simd_fp_uchar16_t){0, 0x38, 0x12}));
    shut_down();
}

static void identity(void)
{
    BOOT(0xd53800a0, /* mrs x0, mpidr_el1 */
         0xd5380001, /* mrs x1, midr_el1 */
         0xd5380402, /* mrs x2, id_aa64pfr0_el1 */
         0xd5380603, /* mrs x3, id_aa64isar0_el1 */
         0xd53b0024, /* mrs x4, ctr_el0 */
         0xd53be005, /* mrs x5, cntfrq_el0 */
         0xd5381026, /* mrs x6, actlr_el1 */
         0xd5390027, /* mrs x7, clidr_el1 */
         0xd538071f, /* mrs xzr, id_aa64mmfr0_el1 */
         0xd4000002 /* hvc #0 */);
    set_sys(HV_SYS_REG_MPIDR_EL1, 3);
    set_sys(HV_SYS_REG_ID_AA64PFR0_EL1, 0x11);
    RUN_UNTIL(0x5a000000, CODE + 40);
    CHECK(get(HV_REG_X0) == 0x80000003);
    CHECK(get_sys(HV_SYS_REG_MPIDR_EL1) == 3);
    CHECK(get(HV_REG_X1) == 0x610f0000 && get(HV_REG_X2) == 0x11);
    CHECK(get(HV_REG_X3) == 0x0221100110212120);
    CHECK(get(HV_REG_X4) == 0x99444c004 && get(HV_REG_X5) == 24000000);
    CHECK(get(HV_REG_X6) == 0 && get(HV_REG_X7) != 0);
    CHECK(fake_hv_reports() == 0);
    set_sys(HV_SYS_REG_ID_AA64PFR0_EL1, 0x12);
    CHECK(fake_hv_reports() == 1);
    shut_down();
}

static void features(void)
{
    hv_vcpu_config_t config = hv_vcpu_config_create();
    uint64_t value = 0, levels[9];

    OK(hv_vcpu_config_get_feature_reg(config, HV_FEATURE_REG_ID_AA64PFR0_EL1,
                                      &value));
    CHECK(value == 0x1101000010110011);
    OK(hv_vcpu_config_get_feature_reg(config, HV_FEATURE_REG_CTR_EL0, &value));
    CHECK(value == 0x99444c004);
    OK(hv_vcpu_config_get_feature_reg(config, 13, &value));
    GIVES(hv_vcpu_config_get_feature_reg(config, 14, &value), HV_BAD_ARGUMENT);
    fake_hv_set("FAKE_HV_MACOS", "15.0");
    OK(hv_vcpu_config_get_feature_reg(config, 11, &value));
    GIVES(hv_vcpu_config_get_feature_reg(config, 12, &value), HV_BAD_ARGUMENT);
    GIVES(hv_vcpu_config_get_feature_reg(NULL, 0, &value), HV_BAD_ARGUMENT);
    memset(levels, 0xff, sizeof levels);
    OK(hv_vcpu_config_get_ccsidr_el1_sys_reg_values(config, HV_CACHE_TYPE_DATA,
                                                    levels));
    CHECK(levels[0] != 0 && levels[7] == 0 && levels[8] == UINT64_MAX);
    GIVES(hv_vcpu_config_get_ccsidr_el1_sys_reg_values(config, 2, levels),
          HV_BAD_ARGUMENT);
    os_release(config);
}

static void chip_without_sme(void)
{
    fake_hv_set("FAKE_HV_CHIP", "m1");
    boot();
    CHECK(get_sys(HV_SYS_REG_ID_AA64PFR1_EL1) == 0x200000000);
    CHECK(get_sys(HV_SYS_REG_ID_AA64SMFR0_EL1) == 0);
    shut_down();
}

int main(void)
{
    SKIP_ALL();
    test("a vCPU is its owner's: others get BAD_ARGUMENT and a report",
         owner_only, RETURNS);
    test("a vCPU destroyed on another thread aborts", destroyed_elsewhere,
         ABORTS);
    test("a thread that ends with a vCPU is reported", left_behind, RETURNS);
    test("one vCPU a thread", one_a_thread, RETURNS);
    test("vCPUs have the lowest number that is free", numbers, RETURNS);
    test("64 vCPUs and no more", sixty_four, RETURNS);
    test("registers that there are not", what_there_is, RETURNS);
    test("registers that came with a later macOS", by_version, RETURNS);
    test("system registers are as a new vCPU has them", at_first, RETURNS);
    test("X, Q, PC and CPSR are poisoned", poisoned, RETURNS);
    test("modes that cannot be entered: ILLEGAL_GUEST_STATE", illegal_modes,
         RETURNS);
    test("registers keep what is written, CPSR, FPCR, FPSR 32 bits of it",
         round_trips, RETURNS);
    test("guest and host see the same registers", both_sides, RETURNS);
    test("ID registers are the framework's to answer", identity, RETURNS);
    test("feature registers and caches of a config", features, RETURNS);
    test("a chip without SME does not claim it", chip_without_sme, RETURNS);
    return plan();
}
