/* SPDX-License-Identifier: MIT */
/* gic_state.c - a GIC's state saved, restored and reset; its geometry; and the
 * registers of a guest that is a hypervisor itself, which only hold values. */
#include <stdlib.h>
#include <string.h>

#include "gic.h"

/* ---- state ---------------------------------------------------------------- */

enum { STATE_SIZE = 126976, STATE_VERSION = 1 };
#define STATE_MAGIC UINT64_C(0x31544154534b4746)

struct saved {
    uint64_t magic, version;
    uint32_t ctlr;
    struct bank spi;
    uint64_t router[PAST_SPI];
    struct {
        uint32_t group, enabled, latch, active, edge;
        uint8_t priority[FIRST_SPI];
    } own[MAX_VCPUS]; /* by index */
};
_Static_assert(sizeof(struct saved) <= STATE_SIZE, "STATE_SIZE");

static void save(struct saved *s)
{
    const struct gic *g = fake_vm.gic;

    s->magic = STATE_MAGIC;
    s->version = STATE_VERSION;
    s->ctlr = g->ctlr;
    s->spi = g->spi;
    memcpy(s->router, g->router, sizeof s->router);
    for (unsigned i = 0; i < MAX_VCPUS; i++) {
        const struct vcpu *v = fake_vm.vcpu[i];

        if (v == NULL || v->index >= MAX_VCPUS)
            continue;
        s->own[v->index].group = v->gic->own.group[0];
        s->own[v->index].enabled = v->gic->own.enabled[0];
        s->own[v->index].latch = v->gic->own.latch[0];
        s->own[v->index].active = v->gic->own.active[0];
        s->own[v->index].edge = v->gic->own.edge[0];
        memcpy(s->own[v->index].priority, v->gic->own.priority, FIRST_SPI);
    }
}

static void restore(const struct saved *s)
{
    struct gic *g = fake_vm.gic;

    g->ctlr = s->ctlr & 3;
    g->spi = s->spi;
    g->spi.first = FIRST_SPI;
    g->spi.past = PAST_SPI;
    memcpy(g->router, s->router, sizeof s->router);
    for (unsigned i = 0; i < MAX_VCPUS; i++) {
        struct vcpu *v = fake_vm.vcpu[i];

        if (v == NULL || v->index >= MAX_VCPUS)
            continue;
        v->gic->own.group[0] = s->own[v->index].group;
        v->gic->own.enabled[0] = s->own[v->index].enabled;
        v->gic->own.latch[0] = s->own[v->index].latch;
        v->gic->own.active[0] = s->own[v->index].active;
        v->gic->own.edge[0] = s->own[v->index].edge;
        memcpy(v->gic->own.priority, s->own[v->index].priority, FIRST_SPI);
    }
}

hv_gic_state_t fake_gic_state_create(void)
{
    hv_gic_state_t state = NULL;
    bool possible;

    fake_lock();
    possible = fake_vm.exists && fake_vm.gic != NULL && fake_vm.inside == 0;
    if (possible)
        state = fake_object_new(GIC_STATE, sizeof *state);
    if (state != NULL) {
        state->data = calloc(1, STATE_SIZE);
        if (state->data != NULL)
            save((struct saved *)(void *)state->data);
    }
    fake_unlock();
    if (state != NULL && state->data == NULL) {
        os_release(state);
        state = NULL;
    }
    return state;
}

hv_return_t fake_gic_state_get_size(hv_gic_state_t state,
                                    size_t *gic_state_size)
{
    if (state == NULL || gic_state_size == NULL)
        return HV_BAD_ARGUMENT;
    fake_object_check(state, GIC_STATE);
    *gic_state_size = STATE_SIZE;
    return HV_SUCCESS;
}

hv_return_t fake_gic_state_get_data(hv_gic_state_t state, void *gic_state_data)
{
    if (state == NULL || gic_state_data == NULL)
        return HV_BAD_ARGUMENT;
    fake_object_check(state, GIC_STATE);
    memcpy(gic_state_data, state->data, STATE_SIZE);
    return HV_SUCCESS;
}

static bool has_run(void)
{
    for (unsigned i = 0; i < MAX_VCPUS; i++)
        if (fake_vm.vcpu[i] != NULL && fake_vm.vcpu[i]->ran)
            return true;
    return false;
}

static hv_return_t set_state(const void *data, size_t size, bool *late)
{
    struct saved *copy;

    if (!fake_vm.exists || fake_vm.gic == NULL)
        return HV_NO_DEVICE;
    if (data == NULL || size != STATE_SIZE)
        return HV_BAD_ARGUMENT;
    if (fake_vm.inside > 0)
        return HV_BUSY;
    copy = malloc(sizeof *copy);
    if (copy == NULL)
        return HV_NO_RESOURCES;
    memcpy(copy, data, sizeof *copy);
    if (copy->magic != STATE_MAGIC || copy->version != STATE_VERSION) {
        free(copy);
        return HV_BAD_ARGUMENT;
    }
    *late = has_run();
    restore(copy);
    free(copy);
    fake_gic_changed();
    return HV_SUCCESS;
}

hv_return_t fake_gic_set_state(const void *gic_state_data,
                               size_t gic_state_size)
{
    hv_return_t result;
    bool late = false;

    fake_lock();
    result = set_state(gic_state_data, gic_state_size, &late);
    fake_unlock();
    if (late)
        fake_report("hv_gic_set_state() after a vCPU has run");
    return result;
}

/* The CPU interfaces are the caller's to reset. */
hv_return_t fake_gic_reset(void)
{
    hv_return_t result = HV_SUCCESS;

    fake_lock();
    if (!fake_vm.exists || fake_vm.gic == NULL) {
        result = HV_NO_DEVICE;
    } else {
        fake_vm.gic->ctlr = 0;
        gic_reset_bank(&fake_vm.gic->spi);
        memset(fake_vm.gic->router, 0, sizeof fake_vm.gic->router);
        for (unsigned i = 0; i < MAX_VCPUS; i++)
            if (fake_vm.vcpu[i] != NULL)
                gic_reset_bank(&fake_vm.vcpu[i]->gic->own);
        fake_gic_changed();
    }
    fake_unlock();
    return result;
}

/* ---- geometry ------------------------------------------------------------- */

static hv_return_t geometry(size_t *to, size_t value)
{
    bool exists;

    fake_lock();
    exists = fake_vm.exists;
    fake_unlock();
    if (!exists)
        return HV_NO_DEVICE;
    if (to == NULL)
        return HV_BAD_ARGUMENT;
    *to = value;
    return HV_SUCCESS;
}

hv_return_t fake_gic_get_distributor_size(size_t *distributor_size)
{
    return geometry(distributor_size, GICD_SIZE);
}

hv_return_t
fake_gic_get_distributor_base_alignment(size_t *distributor_base_alignment)
{
    return geometry(distributor_base_alignment, GIC_ALIGNMENT);
}

hv_return_t
fake_gic_get_redistributor_region_size(size_t *redistributor_region_size)
{
    return geometry(redistributor_region_size, GICR_REGION);
}

hv_return_t fake_gic_get_redistributor_size(size_t *redistributor_size)
{
    return geometry(redistributor_size, GICR_SIZE);
}

hv_return_t
fake_gic_get_redistributor_base_alignment(size_t *redistributor_base_alignment)
{
    return geometry(redistributor_base_alignment, GIC_ALIGNMENT);
}

hv_return_t fake_gic_get_msi_region_size(size_t *msi_region_size)
{
    return geometry(msi_region_size, GICM_SIZE);
}

hv_return_t
fake_gic_get_msi_region_base_alignment(size_t *msi_region_base_alignment)
{
    return geometry(msi_region_base_alignment, GIC_ALIGNMENT);
}

hv_return_t fake_gic_get_spi_interrupt_range(uint32_t *spi_intid_base,
                                             uint32_t *spi_intid_count)
{
    size_t base;
    hv_return_t result = geometry(&base, FIRST_SPI);

    if (result != HV_SUCCESS)
        return result;
    if (spi_intid_base == NULL || spi_intid_count == NULL)
        return HV_BAD_ARGUMENT;
    *spi_intid_base = FIRST_SPI;
    *spi_intid_count = PAST_SPI - FIRST_SPI;
    return HV_SUCCESS;
}

hv_return_t fake_gic_get_intid(hv_gic_intid_t interrupt, uint32_t *intid)
{
    size_t number;
    hv_return_t result = geometry(&number, interrupt);

    if (result != HV_SUCCESS)
        return result;
    switch (interrupt) {
    case HV_GIC_INT_PERFORMANCE_MONITOR:
    case HV_GIC_INT_MAINTENANCE:
    case HV_GIC_INT_EL2_PHYSICAL_TIMER:
    case HV_GIC_INT_EL1_VIRTUAL_TIMER:
    case HV_GIC_INT_EL1_PHYSICAL_TIMER:
        break;
    default:
        return HV_BAD_ARGUMENT;
    }
    if (intid == NULL)
        return HV_BAD_ARGUMENT;
    *intid = (uint32_t)number;
    return HV_SUCCESS;
}

/* ---- EL2 ------------------------------------------------------------------ */

/* Derived from the list registers, and not to be written. */
static bool ich_status(const struct gic_cpu *c, hv_gic_ich_reg_t reg,
                       uint64_t *value)
{
    uint64_t empty = 0;

    for (unsigned i = 0; i < LIST_REGISTERS; i++)
        if (c->lr[i] >> 62 == 0)
            empty |= UINT64_C(1) << i;
    switch (reg) {
    case HV_GIC_ICH_REG_VTR_EL2:
        *value = UINT64_C(4) << 29 | UINT64_C(4) << 26 | (LIST_REGISTERS - 1);
        return true;
    case HV_GIC_ICH_REG_ELRSR_EL2:
        *value = empty;
        return true;
    case HV_GIC_ICH_REG_MISR_EL2:
    case HV_GIC_ICH_REG_EISR_EL2:
        *value = 0;
        return true;
    default:
        return false;
    }
}

static uint64_t *ich_field(struct gic_cpu *c, uint16_t reg, bool write)
{
    if (!write && ich_status(c, reg, &c->status))
        return &c->status;
    if (reg >= HV_GIC_ICH_REG_LR0_EL2 &&
        reg < HV_GIC_ICH_REG_LR0_EL2 + LIST_REGISTERS)
        return &c->lr[reg - HV_GIC_ICH_REG_LR0_EL2];
    switch (reg) {
    case HV_GIC_ICH_REG_AP0R0_EL2:
        return &c->ap0r0_el2;
    case HV_GIC_ICH_REG_AP1R0_EL2:
        return &c->ap1r0_el2;
    case HV_GIC_ICH_REG_HCR_EL2:
        return &c->hcr;
    case HV_GIC_ICH_REG_VMCR_EL2:
        return &c->vmcr;
    default:
        return NULL;
    }
}

static uint64_t *icv_field(struct gic_cpu *c, uint16_t reg, bool write)
{
    static const uint16_t regs[ICV_REGS] = {
        HV_GIC_ICV_REG_PMR_EL1,     HV_GIC_ICV_REG_BPR0_EL1,
        HV_GIC_ICV_REG_AP0R0_EL1,   HV_GIC_ICV_REG_AP1R0_EL1,
        HV_GIC_ICV_REG_RPR_EL1,     HV_GIC_ICV_REG_BPR1_EL1,
        HV_GIC_ICV_REG_CTLR_EL1,    HV_GIC_ICV_REG_SRE_EL1,
        HV_GIC_ICV_REG_IGRPEN0_EL1, HV_GIC_ICV_REG_IGRPEN1_EL1};

    if (write && reg == HV_GIC_ICV_REG_RPR_EL1)
        return NULL;
    for (unsigned i = 0; i < ICV_REGS; i++)
        if (regs[i] == reg)
            return &c->icv[i];
    return NULL;
}

/* The vCPU, if its VM has a GIC and EL2. */
static struct vcpu *nested(hv_vcpu_t vcpu, hv_return_t *result)
{
    struct vcpu *v = fake_vcpu(vcpu, result);

    if (v == NULL)
        return NULL;
    fake_lock();
    if (v->gic == NULL)
        *result = HV_NO_DEVICE;
    else if (!fake_vm.el2)
        *result = HV_UNSUPPORTED;
    fake_unlock();
    return *result == HV_SUCCESS ? v : NULL;
}

/* field() finds what holds a register; NULL: there is none, or not to write. */
static hv_return_t held(hv_vcpu_t vcpu,
                        uint64_t *field(struct gic_cpu *, uint16_t, bool),
                        uint16_t reg, bool write, uint64_t *value)
{
    hv_return_t result;
    struct vcpu *v = nested(vcpu, &result);
    uint64_t *at;

    if (v == NULL)
        return result;
    at = field(v->gic, reg, write);
    if (value == NULL || at == NULL)
        return HV_BAD_ARGUMENT;
    *(write ? at : value) = *(write ? value : at);
    return HV_SUCCESS;
}

hv_return_t fake_gic_get_ich_reg(hv_vcpu_t vcpu, hv_gic_ich_reg_t reg,
                                 uint64_t *value)
{
    return held(vcpu, ich_field, reg, false, value);
}

hv_return_t fake_gic_set_ich_reg(hv_vcpu_t vcpu, hv_gic_ich_reg_t reg,
                                 uint64_t value)
{
    return held(vcpu, ich_field, reg, true, &value);
}

hv_return_t fake_gic_get_icv_reg(hv_vcpu_t vcpu, hv_gic_icv_reg_t reg,
                                 uint64_t *value)
{
    return held(vcpu, icv_field, reg, false, value);
}

hv_return_t fake_gic_set_icv_reg(hv_vcpu_t vcpu, hv_gic_icv_reg_t reg,
                                 uint64_t value)
{
    return held(vcpu, icv_field, reg, true, &value);
}
