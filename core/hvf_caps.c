/* SPDX-License-Identifier: MIT */
/* hvf_caps.c - what this Mac and its macOS have for guests. */
#include "backend.h"

#ifdef VMM_HVF
#include <inttypes.h>
#include <stdio.h>

#include "hvf.h"

/* Values that a vCPU starts with, by the framework's numbers. */
static const char *const features[] = {
    "id_aa64dfr0_el1",  "id_aa64dfr1_el1",  "id_aa64isar0_el1",
    "id_aa64isar1_el1", "id_aa64mmfr0_el1", "id_aa64mmfr1_el1",
    "id_aa64mmfr2_el1", "id_aa64pfr0_el1",  "id_aa64pfr1_el1",
    "ctr_el0",          "clidr_el1",        "dczid_el0",
    "id_aa64smfr0_el1", "id_aa64zfr0_el1", /* macOS 15.2 */
};

enum { FEATURES = sizeof features / sizeof *features, BEFORE_SME = 12 };

static int machine(const struct hvf_calls *c, struct vmm_caps *caps)
{
    uint32_t vcpus, least = 36, most = 36, granule = HVF_GRANULE_16K;
    bool el2 = false;
    hv_return_t rc = c->vm_get_max_vcpu_count(&vcpus);

    if (rc == HV_SUCCESS && c->vm_config_get_max_ipa_size) {
        rc = c->vm_config_get_max_ipa_size(&most);
        if (rc == HV_SUCCESS)
            rc = c->vm_config_get_default_ipa_size(&least);
    }
    if (rc == HV_SUCCESS && c->vm_config_get_default_ipa_granule)
        rc = c->vm_config_get_default_ipa_granule(&granule);
    if (rc == HV_SUCCESS && c->vm_config_get_el2_supported)
        rc = c->vm_config_get_el2_supported(&el2);
    if (rc != HV_SUCCESS)
        return hvf_fail("caps", rc);
    vmm_cap_number(caps, "vcpus", vcpus);
    vmm_cap_number(caps, "ipa_size.default", least);
    vmm_cap_number(caps, "ipa_size.max", most);
    vmm_cap_number(caps, "page_size",
                   granule == HVF_GRANULE_4K ? 0x1000 : 0x4000);
    vmm_cap_flag(caps, "ipa_granule", c->vm_config_set_ipa_granule != NULL);
    vmm_cap_flag(caps, "el2", el2);
    return 0;
}

static hv_return_t processor_of(const struct hvf_calls *c, hvf_object config,
                                struct vmm_caps *caps)
{
    static const char *const types[] = {"data", "instruction"};
    unsigned n = c->sme_config_get_max_svl_bytes ? FEATURES : BEFORE_SME;
    hv_return_t rc = HV_SUCCESS;
    char name[48];

    for (uint32_t i = 0; i < n && rc == HV_SUCCESS; i++) {
        uint64_t value = 0;

        rc = c->vcpu_config_get_feature_reg(config, i, &value);
        snprintf(name, sizeof name, "features.%s", features[i]);
        vmm_cap_number(caps, name, value);
    }
    for (uint32_t type = 0; type < 2 && rc == HV_SUCCESS; type++) {
        uint64_t values[8] = {0};

        rc = c->vcpu_config_get_ccsidr_el1_sys_reg_values(config, type, values);
        for (unsigned i = 0; i < 8; i++) {
            snprintf(name, sizeof name, "ccsidr.%s.%u", types[type], i + 1);
            vmm_cap_number(caps, name, values[i]);
        }
    }
    return rc;
}

static int processor(const struct hvf_calls *c, struct vmm_caps *caps)
{
    hvf_object config = c->vcpu_config_create();
    hv_return_t rc;

    if (!config)
        return vmm_fail(VMM_EHOST, "hvf: caps: hv_vcpu_config_create() gave "
                                   "nothing: the system is out of memory");
    rc = processor_of(c, config, caps);
    c->os_release(config);
    return rc == HV_SUCCESS ? 0 : hvf_fail("caps", rc);
}

static int sme(const struct hvf_calls *c, struct vmm_caps *caps)
{
    size_t svl = 0;
    hv_return_t rc;

    if (!c->sme_config_get_max_svl_bytes)
        return 0;
    rc = c->sme_config_get_max_svl_bytes(&svl);
    if (rc == HV_UNSUPPORTED)
        return 0;
    if (rc != HV_SUCCESS)
        return hvf_fail("caps: sme", rc);
    vmm_cap_number(caps, "sme.svl", svl);
    return 0;
}

static int interrupts(const struct hvf_calls *c, struct vmm_caps *caps)
{
    /* hv_gic_intid_t */
    static const struct {
        uint16_t nr;
        const char *name;
    } own[] = {
        {23, "gic.intid.performance_monitor"},
        {25, "gic.intid.maintenance"},
        {26, "gic.intid.el2_physical_timer"},
        {27, "gic.intid.el1_virtual_timer"},
        {30, "gic.intid.el1_physical_timer"},
    };
    uint32_t first, count;
    hv_return_t rc = c->gic_get_spi_interrupt_range(&first, &count);

    if (rc != HV_SUCCESS)
        return hvf_fail("caps: gic", rc);
    vmm_cap_number(caps, "gic.spi.first", first);
    vmm_cap_number(caps, "gic.spi.count", count);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        rc = c->gic_get_intid(own[i].nr, &first);
        if (rc != HV_SUCCESS)
            return hvf_fail("caps: gic", rc);
        vmm_cap_number(caps, own[i].name, first);
    }
    return 0;
}

static int gic_of_machine(const struct hvf_calls *c, struct vmm_caps *caps)
{
    struct hvf_gic_sizes sizes;
    int rc = hvf_gic_sizes(c, &sizes);

    if (rc < 0)
        return rc;
    vmm_cap_number(caps, "gic.distributor.size", sizes.distributor);
    vmm_cap_number(caps, "gic.distributor.alignment",
                   sizes.distributor_alignment);
    vmm_cap_number(caps, "gic.redistributor.size", sizes.redistributor);
    vmm_cap_number(caps, "gic.redistributor.region_size", sizes.redistributors);
    vmm_cap_number(caps, "gic.redistributor.alignment",
                   sizes.redistributor_alignment);
    vmm_cap_number(caps, "gic.msi.size", sizes.msi);
    vmm_cap_number(caps, "gic.msi.alignment", sizes.msi_alignment);
    return interrupts(c, caps);
}

/* These questions may need a machine: if the process has none, it has one for so
 * long as they take. Where none may be made there is no more to say. */
static int gic(const struct hvf_calls *c, struct vmm_caps *caps)
{
    size_t size;
    int rc;

    if (!c->gic_create)
        return 0;
    if (c->gic_get_distributor_size(&size) != HV_NO_DEVICE)
        return gic_of_machine(c, caps);
    vmm_cap_flag(caps, "gic", true);
    if (c->vm_create(NULL) != HV_SUCCESS)
        return 0;
    rc = gic_of_machine(c, caps);
    c->vm_destroy();
    return rc;
}

static void lacks(const char *name, const char *since, void *ctx)
{
    char full[48];

    snprintf(full, sizeof full, "missing.%s", name);
    vmm_cap_text(ctx, full, since);
}

int hvf_caps(struct vmm_caps *caps)
{
    struct hvf_calls call, *c = &call;
    char buffer[256];
    const char *text = hvf_load(c, buffer, sizeof buffer);
    int rc;

    if (text)
        return vmm_fail(VMM_EHOST, "%s", text);
    text = hvf_macos(c, buffer, sizeof buffer);
    if (text)
        vmm_cap_text(caps, "macos", text);
    hvf_missing(c, lacks, caps);
    rc = machine(c, caps);
    if (rc == 0)
        rc = processor(c, caps);
    if (rc == 0)
        rc = sme(c, caps);
    return rc < 0 ? rc : gic(c, caps);
}
#endif
