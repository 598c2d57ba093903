/* SPDX-License-Identifier: MIT */
/* hvf_config.c - making the process's machine: how wide guest physical addresses
 * are, the size of a page, whether the guest has EL2. */
#include "backend.h"

#ifdef VMM_HVF
#include <inttypes.h>

#include "hvf.h"

enum { DEFAULT_IPA_SIZE = 36, PAGE_4K = 0x1000, PAGE_16K = 0x4000 };

/* The widest addresses that there are, unless less is asked for: what is not used
 * costs nothing. */
static int set_ipa_size(const struct hvf_calls *c, struct vmm *vm,
                        hvf_object config)
{
    uint32_t most;
    hv_return_t rc = c->vm_config_get_max_ipa_size(&most);

    if (rc != HV_SUCCESS)
        return hvf_fail("ipa_size", rc);
    if (vm->ipa_size > most)
        return vmm_fail(VMM_EINVAL,
                        "hvf: ipa_size: %" PRIu32 ": guest physical addresses "
                        "have at most %" PRIu32 " bits on this machine",
                        vm->ipa_size, most);
    rc = c->vm_config_set_ipa_size(config, vm->ipa_size ? vm->ipa_size : most);
    if (rc == HV_SUCCESS)
        rc = c->vm_config_get_ipa_size(config, &vm->ipa_size);
    return rc == HV_SUCCESS ? 0 : hvf_fail("ipa_size", rc);
}

static int set_ipa_granule(const struct hvf_calls *c, struct vmm *vm,
                           hvf_object config)
{
    uint32_t wanted = vm->ipa_granule, granule;
    hv_return_t rc = HV_SUCCESS;

    vm->ipa_granule = PAGE_16K;
    if (wanted != 0 && wanted != PAGE_4K && wanted != PAGE_16K)
        return vmm_fail(VMM_EINVAL,
                        "hvf: ipa_granule: 0x%" PRIx32 ": pages are of 0x%x or "
                        "0x%x bytes",
                        wanted, PAGE_4K, PAGE_16K);
    if (!c->vm_config_set_ipa_granule)
        return wanted == PAGE_4K ? hvf_lacks("ipa_granule: pages are of 0x4000 "
                                             "bytes here",
                                             "hv_vm_config_set_ipa_granule")
                                 : 0;
    if (wanted)
        rc = c->vm_config_set_ipa_granule(
            config, wanted == PAGE_4K ? HVF_GRANULE_4K : HVF_GRANULE_16K);
    if (rc == HV_SUCCESS)
        rc = c->vm_config_get_ipa_granule(config, &granule);
    if (rc != HV_SUCCESS)
        return hvf_fail("ipa_granule", rc);
    vm->ipa_granule = granule == HVF_GRANULE_4K ? PAGE_4K : PAGE_16K;
    return 0;
}

static int set_el2(const struct hvf_calls *c, struct vmm *vm, hvf_object config)
{
    bool supported = false;
    hv_return_t rc;

    if (!vm->el2)
        return 0;
    if (!c->vm_config_set_el2_enabled)
        return hvf_lacks("el2", "hv_vm_config_set_el2_enabled");
    rc = c->vm_config_get_el2_supported(&supported);
    if (rc == HV_SUCCESS && !supported)
        return vmm_fail(VMM_ENOTSUP,
                        "hvf: el2: this machine's processor has none to give: "
                        "M3 and later have");
    if (rc == HV_SUCCESS)
        rc = c->vm_config_set_el2_enabled(config, true);
    if (rc == HV_SUCCESS)
        rc = c->vm_config_get_el2_enabled(config, &vm->el2);
    return rc == HV_SUCCESS ? 0 : hvf_fail("el2", rc);
}

/* A macOS before 13, which makes machines in one way. */
static int only_way(struct vmm *vm)
{
    if (vm->ipa_size > DEFAULT_IPA_SIZE)
        return hvf_lacks("ipa_size: more than 36", "hv_vm_config_set_ipa_size");
    if (vm->ipa_granule && vm->ipa_granule != PAGE_16K)
        return hvf_lacks("ipa_granule: pages are of 0x4000 bytes here",
                         "hv_vm_config_set_ipa_granule");
    if (vm->el2)
        return hvf_lacks("el2", "hv_vm_config_set_el2_enabled");
    vm->ipa_size = DEFAULT_IPA_SIZE;
    vm->ipa_granule = PAGE_16K;
    return 0;
}

static int make(const struct hvf_calls *c, hvf_object config)
{
    hv_return_t rc = c->vm_create(config);

    if (rc == HV_BUSY)
        return vmm_fail(VMM_EHOST,
                        "hvf: a process has one machine at a time: close the "
                        "other one, or make this one with hv.spawn");
    if (rc == HV_UNSUPPORTED) /* and yet kern.hv_support says 1 */
        return vmm_fail(VMM_EHOST,
                        "hvf: machine: HV_UNSUPPORTED: some macOS say so of a "
                        "program without the entitlement: `codesign --sign - "
                        "--force --entitlements entitlements.plist ./hvlua`; "
                        "inside a virtual machine there can be none: use "
                        "backend \"unicorn\"");
    return rc == HV_SUCCESS ? 0 : hvf_fail("machine", rc);
}

int hvf_create(const struct hvf_calls *c, struct vmm *vm)
{
    hvf_object config;
    int rc;

    if (!c->vm_config_create || !c->vm_config_set_ipa_size) {
        rc = only_way(vm);
        return rc < 0 ? rc : make(c, NULL);
    }
    config = c->vm_config_create();
    if (!config)
        return vmm_fail(VMM_EHOST, "hvf: machine: hv_vm_config_create() gave "
                                   "nothing: the system is out of memory");
    rc = set_ipa_size(c, vm, config);
    if (rc == 0)
        rc = set_ipa_granule(c, vm, config);
    if (rc == 0)
        rc = set_el2(c, vm, config);
    if (rc == 0)
        rc = make(c, config);
    c->os_release(config);
    return rc;
}
#endif
