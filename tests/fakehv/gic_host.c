/* SPDX-License-Identifier: MIT */
/* gic_host.c - the GIC's calls. Where a refusal has no error of its own that is
 * known, HV_ERROR and HV_BUSY are as good as another. */
#include <stdlib.h>
#include <string.h>

#include "gic.h"

/* ---- hv_gic_config -------------------------------------------------------- */

/* A Mac may do it at any time; but it is for a VM that there is. */
hv_gic_config_t fake_gic_config_create(void)
{
    bool exists;

    fake_lock();
    exists = fake_vm.exists;
    fake_unlock();
    if (!exists) {
        fake_report("hv_gic_config_create() without a VM");
        return NULL;
    }
    return fake_object_new(GIC_CONFIG, sizeof(struct hv_gic_config_s));
}

static const uint64_t region_size[GIC_REGIONS] = {GICD_SIZE, GICR_REGION,
                                                  GICM_SIZE};

static hv_return_t set_base(hv_gic_config_t config, enum gic_region region,
                            hv_ipa_t base)
{
    hv_return_t result = HV_SUCCESS;
    uint64_t limit;

    if (config == NULL)
        return HV_BAD_ARGUMENT;
    fake_object_check(config, GIC_CONFIG);
    fake_lock();
    limit = UINT64_C(1) << fake_vm.ipa_bits;
    if (!fake_vm.exists)
        result = HV_NO_DEVICE;
    else if (base % GIC_ALIGNMENT != 0 || base >= limit ||
             region_size[region] > limit - base)
        result = HV_BAD_ARGUMENT;
    fake_unlock();
    if (result == HV_SUCCESS) {
        config->region[region].at = base;
        config->region[region].given = true;
    }
    return result;
}

hv_return_t
fake_gic_config_set_distributor_base(hv_gic_config_t config,
                                     hv_ipa_t distributor_base_address)
{
    return set_base(config, DISTRIBUTOR, distributor_base_address);
}

hv_return_t
fake_gic_config_set_redistributor_base(hv_gic_config_t config,
                                       hv_ipa_t redistributor_base_address)
{
    return set_base(config, REDISTRIBUTORS, redistributor_base_address);
}

hv_return_t
fake_gic_config_set_msi_region_base(hv_gic_config_t config,
                                    hv_ipa_t msi_region_base_address)
{
    return set_base(config, MSI_FRAME, msi_region_base_address);
}

hv_return_t fake_gic_config_set_msi_interrupt_range(hv_gic_config_t config,
                                                    uint32_t msi_intid_base,
                                                    uint32_t msi_intid_count)
{
    if (config == NULL || msi_intid_base < FIRST_SPI ||
        msi_intid_base >= PAST_SPI || msi_intid_count == 0 ||
        msi_intid_count > PAST_SPI - msi_intid_base)
        return HV_BAD_ARGUMENT;
    fake_object_check(config, GIC_CONFIG);
    config->msi_intid = msi_intid_base;
    config->msi_count = msi_intid_count;
    config->has_range = true;
    return HV_SUCCESS;
}

/* ---- hv_gic_create -------------------------------------------------------- */

static bool apart(hv_ipa_t a, uint64_t a_size, hv_ipa_t b, uint64_t b_size)
{
    return a >= b + b_size || b >= a + a_size;
}

/* Not in the way of memory, nor of the regions before it. */
static bool is_free(const struct hv_gic_config_s *c, unsigned region)
{
    hv_ipa_t at = c->region[region].at;

    for (unsigned i = 0; i < region; i++)
        if (!apart(at, region_size[region], c->region[i].at, region_size[i]))
            return false;
    return !fake_memory_overlaps(at, region_size[region]);
}

/* Both bases are asked for, although a Mac was seen to be content with one; an
 * MSI frame takes a base and a range. */
static bool is_complete(const struct hv_gic_config_s *c)
{
    bool has_msi = c->region[MSI_FRAME].given;

    return c->region[DISTRIBUTOR].given && c->region[REDISTRIBUTORS].given &&
           has_msi == c->has_range && is_free(c, DISTRIBUTOR) &&
           is_free(c, REDISTRIBUTORS) && (!has_msi || is_free(c, MSI_FRAME));
}

static hv_return_t create(const struct hv_gic_config_s *c)
{
    struct gic *g;

    if (!fake_vm.exists)
        return HV_NO_DEVICE;
    if (fake_vm.gic != NULL)
        return HV_BUSY;
    if (fake_vm.vcpus > 0)
        return HV_ERROR;
    if (!is_complete(c))
        return HV_BAD_ARGUMENT;
    g = calloc(1, sizeof *g);
    if (g == NULL)
        return HV_NO_RESOURCES;
    g->distributor = c->region[DISTRIBUTOR].at;
    g->redistributor = c->region[REDISTRIBUTORS].at;
    g->msi = c->region[MSI_FRAME].at;
    g->has_msi = c->region[MSI_FRAME].given;
    g->msi_intid = c->msi_intid;
    g->msi_count = c->msi_count;
    g->spi.first = FIRST_SPI;
    g->spi.past = PAST_SPI;
    gic_reset_bank(&g->spi);
    fake_vm.gic = g;
    return HV_SUCCESS;
}

hv_return_t fake_gic_create(hv_gic_config_t gic_config)
{
    hv_return_t result;

    if (gic_config == NULL)
        return HV_BAD_ARGUMENT;
    fake_object_check(gic_config, GIC_CONFIG);
    fake_lock();
    result = create(gic_config);
    fake_unlock();
    return result;
}

/* ---- interrupts and registers --------------------------------------------- */

/* Under the lock, if there is a GIC; else not, and the answer is no device. */
static struct gic *enter(void)
{
    fake_lock();
    if (fake_vm.exists && fake_vm.gic != NULL)
        return fake_vm.gic;
    fake_unlock();
    return NULL;
}

static hv_return_t leave(hv_return_t result)
{
    fake_gic_changed();
    fake_unlock();
    return result;
}

hv_return_t fake_gic_set_spi(uint32_t intid, bool level)
{
    struct gic *g = enter();
    uint32_t bit = UINT32_C(1) << intid % 32, word = intid / 32;

    if (g == NULL)
        return HV_NO_DEVICE;
    if (intid < FIRST_SPI || intid >= PAST_SPI || gic_is_msi(g, intid))
        return leave(HV_BAD_ARGUMENT);
    if (g->spi.edge[word] & bit)
        g->spi.latch[word] |= level ? bit : 0;
    else
        g->spi.line[word] =
            level ? g->spi.line[word] | bit : g->spi.line[word] & ~bit;
    return leave(HV_SUCCESS);
}

hv_return_t fake_gic_send_msi(hv_ipa_t address, uint32_t intid)
{
    struct gic *g = enter();

    if (g == NULL)
        return HV_NO_DEVICE;
    if (!g->has_msi || address != g->msi + HV_GIC_REG_GICM_SET_SPI_NSR ||
        !gic_is_msi(g, intid))
        return leave(HV_BAD_ARGUMENT);
    gic_latch(g, intid);
    return leave(HV_SUCCESS);
}

static bool is_distributor_reg(hv_gic_distributor_reg_t reg)
{
    if (reg >= 0x6000 + 8 * FIRST_SPI && reg < 0x6000 + 8 * PAST_SPI)
        return reg % 8 == 0;
    return reg % 4 == 0 && (reg <= 4 || (reg >= 0x80 && reg <= 0x7f8) ||
                            (reg >= 0xc00 && reg <= 0xcfc) ||
                            reg == HV_GIC_DISTRIBUTOR_REG_GICD_PIDR2);
}

static hv_return_t distributor(hv_gic_distributor_reg_t reg, bool write,
                               uint64_t *value)
{
    struct gic *g = enter();

    if (g == NULL)
        return HV_NO_DEVICE;
    if (value == NULL || !is_distributor_reg(reg) ||
        !gic_distributor_register(g, reg, write, value))
        return leave(HV_BAD_ARGUMENT);
    return leave(HV_SUCCESS);
}

hv_return_t fake_gic_get_distributor_reg(hv_gic_distributor_reg_t reg,
                                         uint64_t *value)
{
    return distributor(reg, false, value);
}

hv_return_t fake_gic_set_distributor_reg(hv_gic_distributor_reg_t reg,
                                         uint64_t value)
{
    return distributor(reg, true, &value);
}

hv_return_t
fake_gic_get_redistributor_base(hv_vcpu_t vcpu,
                                hv_ipa_t *redistributor_base_address)
{
    struct gic *g = enter();
    const struct vcpu *v;

    if (g == NULL)
        return HV_NO_DEVICE;
    v = fake_vcpu_any(vcpu);
    if (v == NULL || redistributor_base_address == NULL || !v->mpidr_set)
        return leave(HV_BAD_ARGUMENT);
    *redistributor_base_address =
        g->redistributor + (uint64_t)v->index * GICR_SIZE;
    return leave(HV_SUCCESS);
}

static bool is_redistributor_reg(hv_gic_redistributor_reg_t reg)
{
    return reg == HV_GIC_REDISTRIBUTOR_REG_GICR_TYPER ||
           reg == HV_GIC_REDISTRIBUTOR_REG_GICR_PIDR2 ||
           (reg >= 0x10080 && reg <= 0x10380 && reg % 0x80 == 0) ||
           (reg >= 0x10400 && reg <= 0x1041c && reg % 4 == 0) ||
           reg == 0x10c00 || reg == 0x10c04;
}

/* The owner's vCPU, in a VM with a GIC; the lock is held then. */
static struct vcpu *owned(hv_vcpu_t vcpu, hv_return_t *result)
{
    struct vcpu *v = fake_vcpu(vcpu, result);

    if (v == NULL)
        return NULL;
    if (enter() == NULL) {
        *result = HV_NO_DEVICE;
        return NULL;
    }
    return v;
}

static hv_return_t redistributor(hv_vcpu_t vcpu, hv_gic_redistributor_reg_t reg,
                                 bool write, uint64_t *value)
{
    hv_return_t result;
    struct vcpu *v = owned(vcpu, &result);

    if (v == NULL)
        return result;
    if (value == NULL || !is_redistributor_reg(reg) ||
        !gic_redistributor_register(v, reg, write, value))
        return leave(HV_BAD_ARGUMENT);
    return leave(HV_SUCCESS);
}

hv_return_t fake_gic_get_redistributor_reg(hv_vcpu_t vcpu,
                                           hv_gic_redistributor_reg_t reg,
                                           uint64_t *value)
{
    return redistributor(vcpu, reg, false, value);
}

hv_return_t fake_gic_set_redistributor_reg(hv_vcpu_t vcpu,
                                           hv_gic_redistributor_reg_t reg,
                                           uint64_t value)
{
    return redistributor(vcpu, reg, true, &value);
}

/* ---- the CPU interface ---------------------------------------------------- */

static bool is_icc_reg(hv_gic_icc_reg_t reg)
{
    switch (reg) {
    case HV_GIC_ICC_REG_PMR_EL1:
    case HV_GIC_ICC_REG_BPR0_EL1:
    case HV_GIC_ICC_REG_AP0R0_EL1:
    case HV_GIC_ICC_REG_AP1R0_EL1:
    case HV_GIC_ICC_REG_RPR_EL1:
    case HV_GIC_ICC_REG_BPR1_EL1:
    case HV_GIC_ICC_REG_CTLR_EL1:
    case HV_GIC_ICC_REG_SRE_EL1:
    case HV_GIC_ICC_REG_IGRPEN0_EL1:
    case HV_GIC_ICC_REG_IGRPEN1_EL1:
        return true;
    default:
        return false;
    }
}

static hv_return_t icc(hv_vcpu_t vcpu, hv_gic_icc_reg_t reg, bool write,
                       uint64_t *value)
{
    hv_return_t result;
    struct vcpu *v = owned(vcpu, &result);

    if (v == NULL)
        return result;
    if (value == NULL)
        return leave(HV_BAD_ARGUMENT);
    if (reg == HV_GIC_ICC_REG_SRE_EL2) {
        if (!fake_vm.el2)
            return leave(HV_UNSUPPORTED);
        if (write)
            v->gic->sre_el2 = (uint32_t)*value & 15;
        *value = v->gic->sre_el2;
        return leave(HV_SUCCESS);
    }
    if (!is_icc_reg(reg) || (write && reg == HV_GIC_ICC_REG_RPR_EL1))
        return leave(HV_BAD_ARGUMENT);
    gic_guest_sysreg(v, reg, write, value);
    return leave(HV_SUCCESS);
}

hv_return_t fake_gic_get_icc_reg(hv_vcpu_t vcpu, hv_gic_icc_reg_t reg,
                                 uint64_t *value)
{
    return icc(vcpu, reg, false, value);
}

hv_return_t fake_gic_set_icc_reg(hv_vcpu_t vcpu, hv_gic_icc_reg_t reg,
                                 uint64_t value)
{
    return icc(vcpu, reg, true, &value);
}

/* ---- messages ------------------------------------------------------------- */

hv_return_t fake_gic_get_msi_reg(hv_gic_msi_reg_t reg, uint64_t *value)
{
    const struct gic *g = enter();

    if (g == NULL)
        return HV_NO_DEVICE;
    if (value == NULL || !g->has_msi || reg != HV_GIC_REG_GICM_TYPER)
        return leave(HV_BAD_ARGUMENT);
    *value = g->msi_intid << 16 | g->msi_count;
    return leave(HV_SUCCESS);
}

hv_return_t fake_gic_set_msi_reg(hv_gic_msi_reg_t reg, uint64_t value)
{
    struct gic *g = enter();

    if (g == NULL)
        return HV_NO_DEVICE;
    if (!g->has_msi || reg != HV_GIC_REG_GICM_SET_SPI_NSR ||
        value >= PAST_SPI || !gic_is_msi(g, (uint32_t)value))
        return leave(HV_BAD_ARGUMENT);
    gic_latch(g, (uint32_t)value);
    return leave(HV_SUCCESS);
}
