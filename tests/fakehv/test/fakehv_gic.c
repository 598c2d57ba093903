/* SPDX-License-Identifier: MIT */
/* fakehv_gic.c - tests of the double: the GIC in the framework. */
#include <stdatomic.h>

#include "test.h"

enum {
    GICD = 0x8000000,
    GICR = 0x10000000,
    GICM = 0x8100000,
    ICFGR2 = HV_GIC_DISTRIBUTOR_REG_GICD_ICFGR2
};

static hv_gic_config_t config_with(hv_ipa_t distributor, hv_ipa_t redistributor)
{
    hv_gic_config_t config = hv_gic_config_create();

    OK(hv_gic_config_set_distributor_base(config, distributor));
    OK(hv_gic_config_set_redistributor_base(config, redistributor));
    return config;
}

/* A VM with a GIC, and messages by the interrupts 64 to 95; no vCPU yet. */
static void gic_vm(void)
{
    hv_gic_config_t config;

    OK(hv_vm_create(NULL));
    add_ram();
    config = config_with(GICD, GICR);
    OK(hv_gic_config_set_msi_region_base(config, GICM));
    OK(hv_gic_config_set_msi_interrupt_range(config, 64, 32));
    OK(hv_gic_create(config));
    os_release(config);
}

static void gic_boot(void)
{
    gic_vm();
    add_cpu();
    set_sys(HV_SYS_REG_MPIDR_EL1, 0);
}

static uint64_t get_gicd(hv_gic_distributor_reg_t reg)
{
    uint64_t value = 0;

    OK(hv_gic_get_distributor_reg(reg, &value));
    return value;
}

static uint64_t get_gicr(hv_gic_redistributor_reg_t reg)
{
    uint64_t value = 0;

    OK(hv_gic_get_redistributor_reg(cpu, reg, &value));
    return value;
}

static uint64_t get_icc(hv_gic_icc_reg_t reg)
{
    uint64_t value = 0;

    OK(hv_gic_get_icc_reg(cpu, reg, &value));
    return value;
}

/* ---- order, places -------------------------------------------------------- */

static void order(void)
{
    hv_gic_config_t config;

    OK(hv_vm_create(NULL));
    GIVES(hv_gic_create(NULL), HV_BAD_ARGUMENT);
    config = hv_gic_config_create();
    GIVES(hv_gic_create(config), HV_BAD_ARGUMENT); /* no bases */
    os_release(config);
    config = config_with(GICD, GICR);
    add_ram();
    add_cpu();
    CHECK(hv_gic_create(config) != HV_SUCCESS); /* there is a vCPU */
    OK(hv_vcpu_destroy(cpu));
    GIVES(hv_gic_reset(), HV_NO_DEVICE);
    OK(hv_gic_create(config));
    CHECK(hv_gic_create(config) != HV_SUCCESS); /* there is one */
    OK(hv_vm_destroy());
    GIVES(hv_gic_create(config), HV_NO_DEVICE);
    GIVES(hv_gic_config_set_distributor_base(config, GICD), HV_NO_DEVICE);
    os_release(config);
}

static void places(void)
{
    const hv_ipa_t limit = UINT64_C(1) << 36;
    hv_gic_config_t config;
    void *p;

    OK(hv_vm_create(NULL));
    config = config_with(GICD, GICR);
    GIVES(hv_gic_config_set_distributor_base(config, GICD + 0x1000),
          HV_BAD_ARGUMENT);
    GIVES(hv_gic_config_set_distributor_base(config, limit), HV_BAD_ARGUMENT);
    GIVES(hv_gic_config_set_redistributor_base(config, limit - 0x1000000),
          HV_BAD_ARGUMENT);
    GIVES(hv_gic_config_set_msi_region_base(config, GICM + 8), HV_BAD_ARGUMENT);
    GIVES(hv_gic_config_set_msi_interrupt_range(config, 31, 4),
          HV_BAD_ARGUMENT);
    GIVES(hv_gic_config_set_msi_interrupt_range(config, 1000, 21),
          HV_BAD_ARGUMENT);
    OK(hv_gic_config_set_distributor_base(config, GICR + 0x10000));
    GIVES(hv_gic_create(config), HV_BAD_ARGUMENT); /* one in the other */
    OK(hv_gic_config_set_distributor_base(config, GICD));
    OK(hv_gic_config_set_msi_region_base(config, GICM));
    GIVES(hv_gic_create(config), HV_BAD_ARGUMENT); /* without a range */
    OK(hv_gic_config_set_msi_interrupt_range(config, 64, 32));
    OK(hv_gic_create(config));
    os_release(config);
    p = host_memory(GRANULE);
    GIVES(hv_vm_map(p, GICD, GRANULE, 7), HV_ERROR);
    GIVES(hv_vm_map(p, GICR + 0x1ffc000, GRANULE, 7), HV_ERROR);
    GIVES(hv_vm_map(p, GICM, GRANULE, 7), HV_ERROR);
    OK(hv_vm_map(p, GICR + 0x2000000, GRANULE, 7));
    OK(hv_vm_destroy());
}

static void geometry(void)
{
    size_t size = 0;
    uint32_t base = 0, count = 0;

    OK(hv_vm_create(NULL));
    OK(hv_gic_get_distributor_size(&size));
    CHECK(size == 0x10000);
    OK(hv_gic_get_distributor_base_alignment(&size));
    CHECK(size == 0x10000);
    OK(hv_gic_get_redistributor_region_size(&size));
    CHECK(size == 0x2000000);
    OK(hv_gic_get_redistributor_size(&size));
    CHECK(size == 0x20000);
    OK(hv_gic_get_redistributor_base_alignment(&size));
    CHECK(size == 0x10000);
    OK(hv_gic_get_msi_region_size(&size));
    CHECK(size == 0x10000);
    OK(hv_gic_get_msi_region_base_alignment(&size));
    CHECK(size == 0x10000);
    OK(hv_gic_get_spi_interrupt_range(&base, &count));
    CHECK(base == 32 && count == 988);
    OK(hv_gic_get_intid(HV_GIC_INT_EL1_VIRTUAL_TIMER, &base));
    CHECK(base == 27);
    GIVES(hv_gic_get_intid(28, &base), HV_BAD_ARGUMENT);
    GIVES(hv_gic_get_distributor_size(NULL), HV_BAD_ARGUMENT);
    OK(hv_vm_destroy());
}

static pthread_barrier_t step;

static void *second_cpu(void *ctx)
{
    hv_vcpu_exit_t *exit;
    hv_ipa_t base = 0;
    uint64_t typer = 0;
    hv_vcpu_t id;

    (void)ctx;
    OK(hv_vcpu_create(&id, &exit, NULL));
    GIVES(hv_gic_get_redistributor_base(id, &base), HV_BAD_ARGUMENT);
    OK(hv_vcpu_set_sys_reg(id, HV_SYS_REG_MPIDR_EL1, 0x10203));
    OK(hv_gic_get_redistributor_base(id, &base));
    CHECK(base == GICR + 0x20000);
    OK(hv_gic_get_redistributor_reg(id, HV_GIC_REDISTRIBUTOR_REG_GICR_TYPER,
                                    &typer));
    CHECK(typer == (UINT64_C(0x10203) << 32 | 1 << 8 | 1 << 4));
    pthread_barrier_wait(&step);
    pthread_barrier_wait(&step);
    OK(hv_vcpu_destroy(id));
    return NULL;
}

static void redistributors(void)
{
    pthread_t thread;
    hv_ipa_t base = 0;

    gic_vm();
    add_cpu();
    GIVES(hv_gic_get_redistributor_base(cpu, &base), HV_BAD_ARGUMENT);
    set_sys(HV_SYS_REG_MPIDR_EL1, 0);
    OK(hv_gic_get_redistributor_base(cpu, &base));
    CHECK(base == GICR);
    CHECK(get_gicr(HV_GIC_REDISTRIBUTOR_REG_GICR_TYPER) == 1 << 4);
    GIVES(hv_gic_get_redistributor_base(5, &base), HV_BAD_ARGUMENT);
    pthread_barrier_init(&step, NULL, 2);
    pthread_create(&thread, NULL, second_cpu, NULL);
    pthread_barrier_wait(&step);
    CHECK(get_gicr(HV_GIC_REDISTRIBUTOR_REG_GICR_TYPER) == 0);
    pthread_barrier_wait(&step);
    pthread_join(thread, NULL);
    CHECK(get_sys(HV_SYS_REG_ID_AA64PFR0_EL1) == 0x1101000011110011);
    shut_down();
}

/* ---- registers ------------------------------------------------------------ */

static void registers(void)
{
    uint64_t value = 0;

    gic_boot();
    OK(hv_gic_set_distributor_reg(HV_GIC_DISTRIBUTOR_REG_GICD_ISENABLER1, 5));
    OK(hv_gic_set_distributor_reg(HV_GIC_DISTRIBUTOR_REG_GICD_ISENABLER1, 8));
    CHECK(get_gicd(HV_GIC_DISTRIBUTOR_REG_GICD_ISENABLER1) == 13);
    OK(hv_gic_set_distributor_reg(HV_GIC_DISTRIBUTOR_REG_GICD_ICENABLER1, 4));
    CHECK(get_gicd(HV_GIC_DISTRIBUTOR_REG_GICD_ICENABLER1) == 9);
    OK(hv_gic_set_distributor_reg(HV_GIC_DISTRIBUTOR_REG_GICD_ISENABLER0, 1));
    CHECK(get_gicd(HV_GIC_DISTRIBUTOR_REG_GICD_ISENABLER0) == 0);
    OK(hv_gic_set_distributor_reg(HV_GIC_DISTRIBUTOR_REG_GICD_IPRIORITYR9,
                                  0xa0b0c0d0));
    CHECK(get_gicd(HV_GIC_DISTRIBUTOR_REG_GICD_IPRIORITYR9) == 0xa0b0c0d0);
    OK(hv_gic_set_distributor_reg(HV_GIC_DISTRIBUTOR_REG_GICD_IROUTER1019,
                                  0x102));
    CHECK(get_gicd(HV_GIC_DISTRIBUTOR_REG_GICD_IROUTER1019) == 0x102);
    OK(hv_gic_set_distributor_reg(HV_GIC_DISTRIBUTOR_REG_GICD_CTLR, 2));
    CHECK((get_gicd(HV_GIC_DISTRIBUTOR_REG_GICD_CTLR) & 0x53) == 0x52);
    CHECK((get_gicd(HV_GIC_DISTRIBUTOR_REG_GICD_PIDR2) & 0xf0) == 0x30);
    CHECK((get_gicd(HV_GIC_DISTRIBUTOR_REG_GICD_TYPER) & 31) == 31);
    GIVES(hv_gic_get_distributor_reg(8, &value), HV_BAD_ARGUMENT);
    GIVES(hv_gic_get_distributor_reg(0x6000, &value), HV_BAD_ARGUMENT);
    OK(hv_gic_set_redistributor_reg(
        cpu, HV_GIC_REDISTRIBUTOR_REG_GICR_ISENABLER0, 0x8000001));
    CHECK(get_gicr(HV_GIC_REDISTRIBUTOR_REG_GICR_ICENABLER0) == 0x8000001);
    GIVES(hv_gic_set_redistributor_reg(cpu, 0x14, 0), HV_BAD_ARGUMENT);
    OK(hv_gic_set_icc_reg(cpu, HV_GIC_ICC_REG_PMR_EL1, 0xf0));
    CHECK(get_icc(HV_GIC_ICC_REG_PMR_EL1) == 0xf0);
    CHECK(get_icc(HV_GIC_ICC_REG_SRE_EL1) == 7);
    CHECK(get_icc(HV_GIC_ICC_REG_RPR_EL1) == 0xff);
    GIVES(hv_gic_set_icc_reg(cpu, HV_GIC_ICC_REG_RPR_EL1, 0), HV_BAD_ARGUMENT);
    GIVES(hv_gic_get_icc_reg(cpu, 0xc660, &value), HV_BAD_ARGUMENT);
    GIVES(hv_gic_get_icc_reg(cpu, HV_GIC_ICC_REG_SRE_EL2, &value),
          HV_UNSUPPORTED);
    GIVES(hv_gic_get_ich_reg(cpu, HV_GIC_ICH_REG_LR0_EL2, &value),
          HV_UNSUPPORTED);
    OK(hv_gic_get_msi_reg(HV_GIC_REG_GICM_TYPER, &value));
    CHECK(value == (64 << 16 | 32));
    OK(hv_vcpu_get_sys_reg(cpu, HV_SYS_REG_CNTP_CTL_EL0, &value));
    shut_down();
}

static bool is_pending(uint32_t intid)
{
    return get_gicd(
               (hv_gic_distributor_reg_t)(HV_GIC_DISTRIBUTOR_REG_GICD_ISPENDR0 +
                                          intid / 32 * 4)) >>
               intid % 32 &
           1;
}

static void lines(void)
{
    bool flag;

    gic_boot();
    OK(hv_gic_set_spi(40, true));
    CHECK(is_pending(40)); /* level: for as long as it is so */
    OK(hv_gic_set_spi(40, false));
    CHECK(!is_pending(40));
    OK(hv_gic_set_distributor_reg(ICFGR2, 2 << 16));
    OK(hv_gic_set_spi(40, false));
    CHECK(!is_pending(40));
    OK(hv_gic_set_spi(40, true)); /* edge: from now on */
    OK(hv_gic_set_spi(40, false));
    CHECK(is_pending(40));
    GIVES(hv_gic_set_spi(31, true), HV_BAD_ARGUMENT);
    GIVES(hv_gic_set_spi(1020, true), HV_BAD_ARGUMENT);
    GIVES(hv_gic_set_spi(64, true), HV_BAD_ARGUMENT); /* a message's */
    OK(hv_gic_send_msi(GICM + 0x40, 64));
    CHECK(is_pending(64));
    GIVES(hv_gic_send_msi(GICM + 0x44, 64), HV_BAD_ARGUMENT);
    GIVES(hv_gic_send_msi(GICM + 0x40, 96), HV_BAD_ARGUMENT);
    GIVES(hv_gic_send_msi(GICM + 0x40, 40), HV_BAD_ARGUMENT);
    GIVES(hv_vcpu_set_pending_interrupt(cpu, HV_INTERRUPT_TYPE_IRQ, true),
          HV_UNSUPPORTED);
    GIVES(hv_vcpu_get_pending_interrupt(cpu, HV_INTERRUPT_TYPE_IRQ, &flag),
          HV_UNSUPPORTED);
    shut_down();
}

static void state(void)
{
    static uint8_t blob[200000];
    hv_gic_state_t saved;
    size_t size = 0;

    gic_boot();
    OK(hv_gic_set_distributor_reg(HV_GIC_DISTRIBUTOR_REG_GICD_ISENABLER3, 6));
    OK(hv_gic_set_redistributor_reg(cpu, HV_GIC_REDISTRIBUTOR_REG_GICR_IGROUPR0,
                                    3));
    OK(hv_gic_set_icc_reg(cpu, HV_GIC_ICC_REG_PMR_EL1, 0x80));
    saved = hv_gic_state_create();
    CHECK(saved != NULL);
    OK(hv_gic_state_get_size(saved, &size));
    CHECK(size > 1000 && size <= sizeof blob);
    OK(hv_gic_state_get_data(saved, blob));
    os_release(saved);
    OK(hv_gic_reset());
    CHECK(get_gicd(HV_GIC_DISTRIBUTOR_REG_GICD_ISENABLER3) == 0);
    CHECK(get_gicr(HV_GIC_REDISTRIBUTOR_REG_GICR_IGROUPR0) == 0);
    CHECK(get_icc(HV_GIC_ICC_REG_PMR_EL1) == 0x80); /* not its own to reset */
    OK(hv_gic_set_icc_reg(cpu, HV_GIC_ICC_REG_PMR_EL1, 0x10));
    GIVES(hv_gic_set_state(blob, size - 1), HV_BAD_ARGUMENT);
    GIVES(hv_gic_set_state(NULL, size), HV_BAD_ARGUMENT);
    blob[0] ^= 1;
    GIVES(hv_gic_set_state(blob, size), HV_BAD_ARGUMENT);
    blob[0] ^= 1;
    OK(hv_gic_set_state(blob, size));
    CHECK(get_gicd(HV_GIC_DISTRIBUTOR_REG_GICD_ISENABLER3) == 6);
    CHECK(get_gicr(HV_GIC_REDISTRIBUTOR_REG_GICR_IGROUPR0) == 3);
    CHECK(get_icc(HV_GIC_ICC_REG_PMR_EL1) == 0x10); /* nor to keep */
    CHECK(fake_hv_reports() == 0);
    PUT(CODE, 0xd4000002 /* hvc #0 */);
    RUN_UNTIL(0x5a000000, CODE + 4);
    OK(hv_gic_set_state(blob, size));
    CHECK(fake_hv_reports() == 1); /* too late for that */
    shut_down();
}

static void *run_loop(void *ctx)
{
    (void)ctx;
    add_cpu();
    set_sys(HV_SYS_REG_MPIDR_EL1, 0);
    pthread_barrier_wait(&step);
    RUN_TO(HV_EXIT_REASON_CANCELED);
    pthread_barrier_wait(&step);
    OK(hv_vcpu_destroy(cpu));
    return NULL;
}

static void state_while_running(void)
{
    pthread_t thread;
    hv_gic_state_t saved;

    CHECK(hv_gic_state_create() == NULL);
    pthread_barrier_init(&step, NULL, 2);
    gic_vm();
    PUT(CODE, 0x14000000 /* b . */);
    pthread_create(&thread, NULL, run_loop, NULL);
    pthread_barrier_wait(&step);
    usleep(20000);
    CHECK(hv_gic_state_create() == NULL);
    OK(hv_vcpus_exit(&cpu, 1));
    pthread_barrier_wait(&step);
    pthread_join(thread, NULL);
    saved = hv_gic_state_create();
    CHECK(saved != NULL);
    os_release(saved);
    OK(hv_vm_destroy());
}

/* ---- the guest's side ----------------------------------------------------- */

/* Interrupts of group 1 from 32 on, of one priority, to vCPU 0. */
static void enable(void)
{
    OK(hv_gic_set_distributor_reg(HV_GIC_DISTRIBUTOR_REG_GICD_CTLR, 2));
    OK(hv_gic_set_distributor_reg(HV_GIC_DISTRIBUTOR_REG_GICD_IGROUPR1, ~0u));
    OK(hv_gic_set_distributor_reg(HV_GIC_DISTRIBUTOR_REG_GICD_ISENABLER1, ~0u));
    OK(hv_gic_set_redistributor_reg(cpu, HV_GIC_REDISTRIBUTOR_REG_GICR_IGROUPR0,
                                    ~0u));
    OK(hv_gic_set_redistributor_reg(
        cpu, HV_GIC_REDISTRIBUTOR_REG_GICR_ISENABLER0, ~0u));
    OK(hv_gic_set_icc_reg(cpu, HV_GIC_ICC_REG_PMR_EL1, 0xf0));
    OK(hv_gic_set_icc_reg(cpu, HV_GIC_ICC_REG_IGRPEN1_EL1, 1));
    set_sys(HV_SYS_REG_VBAR_EL1, 0x8000);
}

/* The CPU interface, all of it: taken, acknowledged, ended. */
static void interrupt(void)
{
    gic_boot();
    PUT(CODE, 0xd50342ff, /* msr daifclr, #2 */
        0xd503201f,       /* nop */
        0xd4000022 /* hvc #1 */);
    PUT(0x8280, 0xd538cc01, /* mrs x1, icc_iar1_el1 */
        0xd538cb62,         /* mrs x2, icc_rpr_el1 */
        0xd538cc43,         /* mrs x3, icc_hppir1_el1 */
        0xd518cc21,         /* msr icc_eoir1_el1, x1 */
        0xd538cb64,         /* mrs x4, icc_rpr_el1 */
        0xd538cc05,         /* mrs x5, icc_iar1_el1 */
        0xd4000042 /* hvc #2 */);
    enable();
    RUN_UNTIL(0x5a000001, CODE + 12);
    OK(hv_gic_set_spi(50, true));
    OK(hv_gic_set_distributor_reg(HV_GIC_DISTRIBUTOR_REG_GICD_IPRIORITYR12,
                                  0x40 << 16));
    set(HV_REG_PC, CODE);
    RUN_UNTIL(0x5a000002, 0x829c);
    CHECK(get(HV_REG_X1) == 50 && get(HV_REG_X2) == 0x40);
    CHECK(get(HV_REG_X3) == 1023 && get(HV_REG_X4) == 0xff);
    CHECK(get(HV_REG_X5) == 50); /* the line is still high */
    OK(hv_gic_set_spi(50, false));
    OK(hv_gic_set_icc_reg(cpu, HV_GIC_ICC_REG_AP1R0_EL1, 0));
    set(HV_REG_PC, CODE);
    set(HV_REG_CPSR, EL1H);
    RUN_UNTIL(0x5a000001, CODE + 12);
    shut_down();
}

/* Registers in memory never reach the host; SGIs to oneself do not either. */
static void in_memory(void)
{
    gic_boot();
    PUT(CODE, 0xd2a10000, /* movz x0, #0x800, lsl #16 */
        0xb9400401,       /* ldr w1, [x0, #4] */
        0x52800202,       /* mov w2, #0x10 */
        0xb9010402,       /* str w2, [x0, #0x104] */
        0xb9410403,       /* ldr w3, [x0, #0x104] */
        0x39441004,       /* ldrb w4, [x0, #0x104] */
        0xd2a20000,       /* movz x0, #0x1000, lsl #16 */
        0xf9400405,       /* ldr x5, [x0, #8] */
        0xb900141f,       /* str wzr, [x0, #0x14] */
        0xb9401406,       /* ldr w6, [x0, #0x14] */
        0xd2a10200,       /* movz x0, #0x810, lsl #16 */
        0x528008c7,       /* mov w7, #70 */
        0xb9004007,       /* str w7, [x0, #0x40] */
        0xb9400807,       /* ldr w7, [x0, #8] */
        0xd2800028,       /* mov x8, #1 */
        0xd518cba8,       /* msr icc_sgi1r_el1, x8 */
        0xd503205f,       /* wfe */
        0xd4000022 /* hvc #1 */);
    RUN_UNTIL(0x5a000001, CODE + 72);
    CHECK((get(HV_REG_X1) & 31) == 31 && get(HV_REG_X3) == 0x10);
    CHECK(get(HV_REG_X4) == 0x10 && get(HV_REG_X5) == 0x10);
    CHECK(get(HV_REG_X6) == 0 && get(HV_REG_X7) == (64 << 16 | 32));
    CHECK(is_pending(70));
    CHECK(get_gicr(HV_GIC_REDISTRIBUTOR_REG_GICR_ISPENDR0) == 1);
    shut_down();
}

/* Without an MPIDR written there is nobody at home. */
static void no_mpidr(void)
{
    gic_vm();
    add_cpu();
    PUT(CODE, 0xd2a20000, /* movz x0, #0x1000, lsl #16 */
        0xb9400801 /* ldr w1, [x0, #8] */);
    PUT(0x8200, 0xd5385201, /* mrs x1, esr_el1 */
        0xd4000022 /* hvc #1 */);
    set_sys(HV_SYS_REG_VBAR_EL1, 0x8000);
    RUN_UNTIL(0x5a000001, 0x8208);
    CHECK(get(HV_REG_X1) == 0x96000010);
    shut_down();
}

static void *raise_later(void *ctx)
{
    (void)ctx;
    usleep(5000);
    OK(hv_gic_set_spi(50, true));
    return NULL;
}

static void waits(void)
{
    pthread_t thread;

    gic_boot();
    enable();
    PUT(CODE, 0xd503207f, /* wfi */
        0xd4000022 /* hvc #1 */);
    pthread_create(&thread, NULL, raise_later, NULL);
    RUN_UNTIL(0x5a000001, CODE + 8); /* woken, and masked */
    pthread_join(thread, NULL);
    OK(hv_gic_set_spi(50, false));
    set(HV_REG_PC, CODE);
    OK(hv_vcpus_exit(&cpu, 1));
    RUN_TO(HV_EXIT_REASON_CANCELED);
    CHECK(get(HV_REG_PC) == CODE);
    shut_down();
}

static void *cancel_later(void *ctx)
{
    (void)ctx;
    usleep(5000);
    OK(hv_vcpus_exit(&cpu, 1));
    return NULL;
}

static void wait_is_canceled(void)
{
    pthread_t thread;

    gic_boot();
    enable();
    PUT(CODE, 0xd503207f, /* wfi */
        0xd4000022 /* hvc #1 */);
    pthread_create(&thread, NULL, cancel_later, NULL);
    RUN_TO(HV_EXIT_REASON_CANCELED);
    pthread_join(thread, NULL);
    shut_down();
}

/* Both timers are interrupts, and never exits. */
static void timers(void)
{
    fake_hv_clock_stop(1000);
    gic_boot();
    enable();
    PUT(CODE, 0xd2800020, /* mov x0, #1 */
        0xd51be35f,       /* msr cntv_cval_el0, xzr */
        0xd51be320,       /* msr cntv_ctl_el0, x0 */
        0xd50342ff,       /* msr daifclr, #2 */
        0xd503201f,       /* nop */
        0xd4000022 /* hvc #1 */);
    PUT(0x8280, 0xd538cc01, /* mrs x1, icc_iar1_el1 */
        0xd51be33f,         /* msr cntv_ctl_el0, xzr */
        0xd51be23f,         /* msr cntp_ctl_el0, xzr */
        0xd53be023,         /* mrs x3, cntpct_el0 */
        0xd518cc21,         /* msr icc_eoir1_el1, x1 */
        0xd4000042 /* hvc #2 */);
    RUN_UNTIL(0x5a000002, 0x8298);
    CHECK(get(HV_REG_X1) == 27 && get(HV_REG_X3) == 1000);
    PUT(CODE, 0xd2800020, /* mov x0, #1 */
        0xd51be25f,       /* msr cntp_cval_el0, xzr */
        0xd51be220,       /* msr cntp_ctl_el0, x0 */
        0xd50342ff,       /* msr daifclr, #2 */
        0xd503201f,       /* nop */
        0xd4000022 /* hvc #1 */);
    set(HV_REG_PC, CODE);
    set(HV_REG_CPSR, EL1H);
    RUN_UNTIL(0x5a000002, 0x8298);
    CHECK(get(HV_REG_X1) == 30);
    shut_down();
}

int main(void)
{
    SKIP_ALL();
    test("a GIC: after the VM, before vCPUs, once", order, RETURNS);
    test("where it may be; its places are not for memory", places, RETURNS);
    test("geometry", geometry, RETURNS);
    test("redistributors: in order of creation, once MPIDR is written",
         redistributors, RETURNS);
    test("registers of the distributor, redistributor, CPU interface",
         registers, RETURNS);
    test("lines, edges, messages; no pending interrupts", lines, RETURNS);
    test("state: saved, restored, reset, without the CPU interface", state,
         RETURNS);
    test("no state while a vCPU runs", state_while_running, RETURNS);
    test("the guest takes, acknowledges, ends an interrupt", interrupt,
         RETURNS);
    test("GICD, GICR, MSI frame, ICC and WFE never exit", in_memory, RETURNS);
    test("the redistributor of a vCPU without MPIDR aborts in the guest",
         no_mpidr, RETURNS);
    test("WFI waits inside, for an interrupt", waits, RETURNS);
    test("or for a cancel", wait_is_canceled, RETURNS);
    test("both timers are interrupts and no exits", timers, RETURNS);
    return plan();
}
