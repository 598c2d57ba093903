/* SPDX-License-Identifier: MIT */
/* fakehv_el2.c - tests of the double: guests with EL2, and SME. */
#include "test.h"

enum { EL2H = 0x3c9 };

static void el2_vm(void)
{
    hv_vm_config_t config = hv_vm_config_create();

    OK(hv_vm_config_set_el2_enabled(config, true));
    OK(hv_vm_create(config));
    os_release(config);
    add_ram();
}

static void el2_boot(void)
{
    el2_vm();
    add_cpu();
    set_sys(HV_SYS_REG_VBAR_EL2, 0x8000);
}

/* A hypercall is for the guest's own hypervisor; that of the host is SMC. */
static void hypercall(void)
{
    bool flag;

    el2_boot();
    PUT(CODE, 0xd40000a2 /* hvc #5 */);
    PUT(0x8400, 0xd53c5201, /* mrs x1, esr_el2 */
        0xd53c4022,         /* mrs x2, elr_el2 */
        0xd5384243,         /* mrs x3, currentel */
        0xd40000e3,         /* smc #7 */
        0xd4000103 /* smc #8 */);
    RUN_UNTIL(0x5e000007, 0x840c);
    CHECK(get(HV_REG_X1) == 0x5a000005 && get(HV_REG_X2) == CODE + 4);
    CHECK(get(HV_REG_X3) == 8 && (get(HV_REG_CPSR) & 0x3df) == EL2H);
    set(HV_REG_PC, 0x8410);
    RUN_UNTIL(0x5e000008, 0x8410);
    GIVES(hv_vcpu_set_pending_interrupt(cpu, HV_INTERRUPT_TYPE_IRQ, true),
          HV_UNSUPPORTED);
    GIVES(hv_vcpu_get_pending_interrupt(cpu, HV_INTERRUPT_TYPE_IRQ, &flag),
          HV_UNSUPPORTED);
    shut_down();
}

static void at_el2(void)
{
    el2_boot();
    PUT(CODE, 0xd53cc001, /* mrs x1, vbar_el2 */
        0xd2800020,       /* mov x0, #1 */
        0xd51cd040,       /* msr tpidr_el2, x0 */
        0x910003e2,       /* mov x2, sp */
        0xd2a12000,       /* movz x0, #0x900, lsl #16 */
        0xb9400803,       /* ldr w3, [x0, #8] */
        0xd4000023 /* smc #1 */);
    set(HV_REG_CPSR, EL2H);
    set_sys(HV_SYS_REG_SP_EL2, 0x7000);
    set_sys(HV_SYS_REG_HCR_EL2, UINT64_C(0x480000000)); /* E2H gets lost */
    CHECK(get_sys(HV_SYS_REG_HCR_EL2) == UINT64_C(1) << 31);
    RUN_UNTIL(0x93830007, CODE + 20);
    CHECK(left->exception.physical_address == 0x9000008);
    CHECK(left->exception.virtual_address == 0x9000008);
    CHECK(get(HV_REG_X1) == 0x8000 && get(HV_REG_X2) == 0x7000);
    CHECK(get_sys(HV_SYS_REG_TPIDR_EL2) == 1);
    set(HV_REG_PC, CODE + 24);
    RUN_UNTIL(0x5e000001, CODE + 24);
    shut_down();
}

static void *cancel_later(void *ctx)
{
    (void)ctx;
    usleep(3000);
    OK(hv_vcpus_exit(&cpu, 1));
    return NULL;
}

static void waiting_and_canceled(void)
{
    pthread_t thread;

    el2_boot();
    PUT(CODE, 0xd503207f, /* wfi */
        0x14000000 /* b . */);
    set(HV_REG_CPSR, EL2H);
    RUN_UNTIL(0x07e00000, CODE);
    set(HV_REG_PC, CODE + 4);
    pthread_create(&thread, NULL, cancel_later, NULL);
    RUN_TO(HV_EXIT_REASON_CANCELED);
    pthread_join(thread, NULL);
    CHECK(get(HV_REG_PC) == CODE + 4);
    shut_down();
}

/* Is it over, with PC there? */
static void step_to(uint64_t pc, int line)
{
    set(HV_REG_CPSR, get(HV_REG_CPSR) | 1 << 21);
    run_until(0xcb000022, pc, line);
    check(!(get(HV_REG_CPSR) >> 21 & 1), "PSTATE.SS", line);
}

#define STEP_TO(pc) step_to((pc), __LINE__)

/* Steps, BRK and breakpoints are the host's at every level, whatever the guest has
 * masked; also where what is stepped over ends in an exception of the guest's, or
 * where there is no memory. */
static void debugged(void)
{
    el2_boot();
    PUT(CODE, 0xd2800020, /* mov x0, #1 */
        0xd40000a2,       /* hvc #5 */
        0xd42000e0,       /* brk #7 */
        0xd61f0000,       /* br x0 */
        0x14000000 /* b . */);
    PUT(0x8400, 0xd69f03e0 /* eret */);
    OK(hv_vcpu_set_trap_debug_exceptions(cpu, true));
    set_sys(HV_SYS_REG_MDSCR_EL1, 1);
    set_sys(HV_SYS_REG_HCR_EL2, UINT64_C(1) << 31);
    STEP_TO(CODE + 4);
    STEP_TO(0x8400);
    CHECK((get(HV_REG_CPSR) & 0x3df) == EL2H);
    STEP_TO(CODE + 8);
    CHECK((get(HV_REG_CPSR) & 0x3df) == EL1H);
    RUN_UNTIL(0xcb000022, CODE + 8); /* without PSTATE.SS: it was made */
    set(HV_REG_CPSR, EL1H | 1 << 21);
    RUN_UNTIL(0xf2000007, CODE + 8);
    set(HV_REG_PC, CODE + 12);
    set(HV_REG_X0, 0x40000000);
    STEP_TO(0x40000000);
    set(HV_REG_PC, CODE + 12);
    set(HV_REG_CPSR, EL2H);
    STEP_TO(0x40000000);
    set(HV_REG_PC, CODE + 16);
    STEP_TO(CODE + 16);
    OK(hv_vcpus_exit(&cpu, 1)); /* is told, and the step is still to be made */
    set(HV_REG_CPSR, EL2H | 1 << 21);
    set(HV_REG_PC, CODE);
    RUN_TO(HV_EXIT_REASON_CANCELED);
    CHECK(get(HV_REG_CPSR) >> 21 & 1 && get(HV_REG_PC) == CODE);
    RUN_UNTIL(0xcb000022, CODE + 4);
    set_sys(HV_SYS_REG_MDSCR_EL1, 1 << 15);
    set_sys(HV_SYS_REG_DBGBVR0_EL1, CODE + 16);
    set_sys(HV_SYS_REG_DBGBCR0_EL1, 0x1e7);
    set(HV_REG_PC, CODE + 16);
    RUN_UNTIL(0xc2000022, CODE + 16);
    OK(hv_vcpu_set_trap_debug_exceptions(cpu, false));
    set(HV_REG_CPSR, EL1H);
    set(HV_REG_PC, CODE + 8);
    set_sys(HV_SYS_REG_VBAR_EL1, 0x9000);
    set_sys(HV_SYS_REG_DBGBCR0_EL1, 0);
    PUT(0x9200, 0xd4000123 /* smc #9 */);
    RUN_UNTIL(0x5e000009, 0x9200); /* BRK is the guest's */
    shut_down();
}

static void list_registers(void)
{
    hv_gic_config_t config;
    uint64_t value = 0;

    el2_vm();
    config = hv_gic_config_create();
    OK(hv_gic_config_set_distributor_base(config, 0x8000000));
    OK(hv_gic_config_set_redistributor_base(config, 0x10000000));
    OK(hv_gic_create(config));
    os_release(config);
    add_cpu();
    for (hv_gic_ich_reg_t n = 0; n < 16; n++)
        GIVES(hv_gic_set_ich_reg(cpu, HV_GIC_ICH_REG_LR0_EL2 + n, n + 1),
              n < 8 ? HV_SUCCESS : HV_BAD_ARGUMENT);
    OK(hv_gic_get_ich_reg(cpu, HV_GIC_ICH_REG_LR7_EL2, &value));
    CHECK(value == 8);
    OK(hv_gic_get_ich_reg(cpu, HV_GIC_ICH_REG_VTR_EL2, &value));
    CHECK((value & 31) == 7);
    GIVES(hv_gic_set_ich_reg(cpu, HV_GIC_ICH_REG_VTR_EL2, 0), HV_BAD_ARGUMENT);
    OK(hv_gic_set_icv_reg(cpu, HV_GIC_ICV_REG_PMR_EL1, 0x50));
    OK(hv_gic_get_icv_reg(cpu, HV_GIC_ICV_REG_PMR_EL1, &value));
    CHECK(value == 0x50);
    GIVES(hv_gic_get_icv_reg(cpu, 0xc660, &value), HV_BAD_ARGUMENT);
    OK(hv_gic_get_icc_reg(cpu, HV_GIC_ICC_REG_SRE_EL2, &value));
    shut_down();
}

/* ---- SME ------------------------------------------------------------------ */

static void sme_state(bool sm, bool za)
{
    hv_vcpu_sme_state_t state = {sm, za}, now = {false, false};

    OK(hv_vcpu_set_sme_state(cpu, &state));
    OK(hv_vcpu_get_sme_state(cpu, &now));
    CHECK(now.streaming_sve_mode_enabled == sm && now.za_storage_enabled == za);
}

static void sme(void)
{
    static uint8_t z[64], p[8], za[4096];
    hv_sme_zt0_uchar64_t zt0 = {0};
    hv_simd_fp_uchar16_t q = {0};

    boot();
    GIVES(hv_vcpu_get_sme_z_reg(cpu, 0, z, 64), HV_ERROR);
    GIVES(hv_vcpu_get_sme_za_reg(cpu, za, 4096), HV_ERROR);
    GIVES(hv_vcpu_get_sme_zt0_reg(cpu, &zt0), HV_ERROR);
    sme_state(true, false);
    CHECK(get(HV_REG_FPSR) == 0x0800009f);
    memset(z, 7, sizeof z);
    OK(hv_vcpu_set_sme_z_reg(cpu, HV_SME_Z_REG_3, z, 64));
    GIVES(hv_vcpu_set_sme_z_reg(cpu, HV_SME_Z_REG_3, z, 32), HV_BAD_ARGUMENT);
    GIVES(hv_vcpu_set_sme_z_reg(cpu, 32, z, 64), HV_BAD_ARGUMENT);
    OK(hv_vcpu_get_simd_fp_reg(cpu, HV_SIMD_FP_REG_Q3, &q));
    CHECK(q[0] == 7 && q[15] == 7); /* they are the same */
    OK(hv_vcpu_set_sme_p_reg(cpu, HV_SME_P_REG_15, p, 8));
    GIVES(hv_vcpu_get_sme_p_reg(cpu, HV_SME_P_REG_0, p, 64), HV_BAD_ARGUMENT);
    GIVES(hv_vcpu_get_sme_p_reg(cpu, 16, p, 8), HV_BAD_ARGUMENT);
    GIVES(hv_vcpu_get_sme_za_reg(cpu, za, 4096), HV_ERROR);
    sme_state(false, true);
    OK(hv_vcpu_set_sme_za_reg(cpu, za, 4096));
    GIVES(hv_vcpu_set_sme_za_reg(cpu, za, 64), HV_BAD_ARGUMENT);
    zt0[63] = 9;
    OK(hv_vcpu_set_sme_zt0_reg(cpu, &zt0));
    OK(hv_vcpu_get_sme_zt0_reg(cpu, &zt0));
    CHECK(zt0[63] == 9);
    sme_state(true, true);
    OK(hv_vcpu_get_sme_z_reg(cpu, HV_SME_Z_REG_3, z, 64));
    CHECK(z[0] == 0 && z[63] == 0); /* gone on the way */
    GIVES(hv_vcpu_set_sme_state(cpu, NULL), HV_BAD_ARGUMENT);
    shut_down();
}

static void no_sme(void)
{
    hv_vcpu_sme_state_t state;
    uint8_t z[64];

    fake_hv_set("FAKE_HV_CHIP", "m3");
    boot();
    GIVES(hv_vcpu_get_sme_state(cpu, &state), HV_UNSUPPORTED);
    GIVES(hv_vcpu_get_sme_z_reg(cpu, 0, z, 64), HV_UNSUPPORTED);
    shut_down();
    fake_hv_set("FAKE_HV_CHIP", "m4");
    el2_boot();
    GIVES(hv_vcpu_get_sme_state(cpu, &state), HV_UNSUPPORTED);
    shut_down();
}

int main(void)
{
    SKIP_ALL();
    test("a guest with EL2 keeps its hypercalls, SMC exits", hypercall,
         RETURNS);
    test("EL2: its registers, and where there is no memory", at_el2, RETURNS);
    test("EL2: WFI, and a cancel", waiting_and_canceled, RETURNS);
    test("EL2: steps, BRK and breakpoints are the host's at each level",
         debugged, RETURNS);
    test("ICH and ICV registers; eight list registers", list_registers,
         RETURNS);
    test("SME: lengths, states, what a change of mode clears", sme, RETURNS);
    test("no SME on other chips, or with EL2", no_sme, RETURNS);
    return plan();
}
