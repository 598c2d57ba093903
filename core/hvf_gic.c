/* SPDX-License-Identifier: MIT */
/* hvf_gic.c - the GICv3 of macOS 15 and later. What vCPUs have of it is among
 * their registers (hvf_sysreg.c). */
#include "backend.h"

#ifdef VMM_HVF
#include <string.h>

#include "hvf.h"

enum { SET_SPI_NSR = 0x40 };

/* ---- where it goes -------------------------------------------------------- */

int hvf_gic_sizes(const struct hvf_calls *c, struct hvf_gic_sizes *s)
{
    hv_return_t rc = c->gic_get_distributor_size(&s->distributor);

    if (rc == HV_SUCCESS)
        rc = c->gic_get_distributor_base_alignment(&s->distributor_alignment);
    if (rc == HV_SUCCESS)
        rc = c->gic_get_redistributor_size(&s->redistributor);
    if (rc == HV_SUCCESS)
        rc = c->gic_get_redistributor_region_size(&s->redistributors);
    if (rc == HV_SUCCESS)
        rc = c->gic_get_redistributor_base_alignment(
            &s->redistributor_alignment);
    if (rc == HV_SUCCESS)
        rc = c->gic_get_msi_region_size(&s->msi);
    if (rc == HV_SUCCESS)
        rc = c->gic_get_msi_region_base_alignment(&s->msi_alignment);
    return rc == HV_SUCCESS ? 0 : hvf_fail("gic", rc);
}

static int check_places(const struct vmm *vm, const struct vmm_gic_range *range,
                        unsigned ranges, const struct hvf_gic_sizes *s)
{
    const uint64_t alignment[VMM_GIC_RANGES] = {
        s->distributor_alignment, s->redistributor_alignment, s->msi_alignment};

    return vmm_gic_places(vm, range, alignment, ranges, vm->ipa_size);
}

/* ---- making it ------------------------------------------------------------ */

static hv_return_t configure(const struct hvf_calls *c, hvf_object config,
                             const struct vmm_gic_config *wanted)
{
    hv_return_t rc =
        c->gic_config_set_distributor_base(config, wanted->distributor);

    if (rc == HV_SUCCESS)
        rc =
            c->gic_config_set_redistributor_base(config, wanted->redistributor);
    if (rc == HV_SUCCESS && wanted->msi_count)
        rc = c->gic_config_set_msi_region_base(config, wanted->msi);
    if (rc == HV_SUCCESS && wanted->msi_count)
        rc = c->gic_config_set_msi_interrupt_range(config, wanted->msi_first,
                                                   wanted->msi_count);
    return rc == HV_SUCCESS ? c->gic_create(config) : rc;
}

static void place(struct vmm_gic_range range[VMM_GIC_RANGES],
                  const struct vmm_gic_config *wanted,
                  const struct hvf_gic_sizes *s)
{
    range[0] = (struct vmm_gic_range){"distributor", wanted->distributor,
                                      s->distributor};
    range[1] = (struct vmm_gic_range){"redistributors", wanted->redistributor,
                                      s->redistributors};
    range[2] = (struct vmm_gic_range){"msi", wanted->msi, s->msi};
}

static int gic_open(struct vmm *vm, const struct vmm_gic_config *wanted)
{
    const struct hvf_machine *m = vm->host;
    const struct hvf_calls *c = &m->call;
    struct vmm_gic_range range[VMM_GIC_RANGES];
    unsigned ranges = wanted->msi_count ? VMM_GIC_RANGES : 2;
    struct hvf_gic_sizes s;
    hvf_object config;
    hv_return_t err;
    int rc = hvf_owned(m, "gic");

    if (rc == 0 && !c->gic_create)
        return hvf_lacks("gic", "hv_gic_create");
    if (rc == 0)
        rc = hvf_gic_sizes(c, &s);
    if (rc < 0)
        return rc;
    place(range, wanted, &s);
    rc = check_places(vm, range, ranges, &s);
    if (rc < 0)
        return rc;
    config = c->gic_config_create();
    if (!config)
        return vmm_fail(VMM_EHOST, "hvf: gic: hv_gic_config_create() gave "
                                   "nothing: the system is out of memory");
    err = configure(c, config, wanted);
    c->os_release(config);
    if (err != HV_SUCCESS)
        return hvf_fail("gic", err);
    memcpy(vm->gic.range, range, sizeof range);
    vm->gic.ranges = ranges;
    return 0;
}

/* ---- using it: from any thread -------------------------------------------- */

/* Of a call's result, vmm's. */
static int result(const char *what, hv_return_t rc)
{
    return rc == HV_SUCCESS ? 0 : hvf_fail(what, rc);
}

static int gic_spi(struct vmm *vm, uint32_t intid, bool level)
{
    const struct hvf_machine *m = vm->host;
    int rc = hvf_owned(m, "gic");

    return rc < 0 ? rc : result("gic: spi", m->call.gic_set_spi(intid, level));
}

static int gic_msi(struct vmm *vm, uint64_t at, uint32_t intid)
{
    const struct hvf_machine *m = vm->host;
    int rc = hvf_owned(m, "gic");

    if (rc < 0)
        return rc;
    if (at == 0)
        at = vm->gic.range[VMM_GIC_RANGES - 1].at + SET_SPI_NSR;
    return result("gic: msi", m->call.gic_send_msi(at, intid));
}

static int gic_reset(struct vmm *vm)
{
    const struct hvf_machine *m = vm->host;
    int rc = hvf_owned(m, "gic");

    return rc < 0 ? rc : result("gic: reset", m->call.gic_reset());
}

static int gic_get(struct vmm *vm, vmm_reg reg, uint64_t *value)
{
    const struct hvf_machine *m = vm->host;
    uint16_t at = (uint16_t)VMM_REG_NR(reg);
    int rc = hvf_owned(m, "gic");

    if (rc < 0)
        return rc;
    return result("gic: register",
                  VMM_REG_CLASS(reg) == VMM_GICD
                      ? m->call.gic_get_distributor_reg(at, value)
                      : m->call.gic_get_msi_reg(at, value));
}

static int gic_set(struct vmm *vm, vmm_reg reg, uint64_t value)
{
    const struct hvf_machine *m = vm->host;
    uint16_t at = (uint16_t)VMM_REG_NR(reg);
    int rc = hvf_owned(m, "gic");

    if (rc < 0)
        return rc;
    return result("gic: register",
                  VMM_REG_CLASS(reg) == VMM_GICD
                      ? m->call.gic_set_distributor_reg(at, value)
                      : m->call.gic_set_msi_reg(at, value));
}

static int gic_save(struct vmm *vm, void *to, size_t *size)
{
    const struct hvf_machine *m = vm->host;
    hvf_object state;
    hv_return_t err;
    int rc = hvf_owned(m, "gic");

    if (rc < 0)
        return rc;
    state = m->call.gic_state_create();
    if (!state)
        return vmm_fail(VMM_EHOST, "hvf: gic: save: hv_gic_state_create() gave "
                                   "nothing: is there a vCPU that runs?");
    err = m->call.gic_state_get_size(state, size);
    if (err == HV_SUCCESS && to)
        err = m->call.gic_state_get_data(state, to);
    m->call.os_release(state);
    return result("gic: save", err);
}

static int gic_restore(struct vmm *vm, const void *from, size_t size)
{
    const struct hvf_machine *m = vm->host;
    int rc = hvf_owned(m, "gic");

    return rc < 0 ? rc
                  : result("gic: restore: is it from gic:save() of a machine "
                           "like this?",
                           m->call.gic_set_state(from, size));
}

const struct vmm_gic_ops hvf_gic_ops = {
    .open = gic_open,
    .spi = gic_spi,
    .msi = gic_msi,
    .reset = gic_reset,
    .get = gic_get,
    .set = gic_set,
    .save = gic_save,
    .restore = gic_restore,
};
#endif
