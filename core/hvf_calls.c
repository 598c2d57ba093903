/* SPDX-License-Identifier: MIT */
/* hvf_calls.c - the framework's functions, looked up, and its errors in words. */
#include "backend.h"

#ifdef VMM_HVF
#include <dlfcn.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hvf.h"

#ifdef __APPLE__
#include <libkern/OSCacheControl.h>
#include <os/object.h>
#include <sys/sysctl.h>
#define FRAMEWORK                                                              \
    "/System/Library/Frameworks/Hypervisor.framework/Versions/A/Hypervisor"
#else
#define FRAMEWORK HVF_LIBRARY /* what stands in for it: see the Makefile */
#endif

static const struct {
    const char *name;
    size_t at; /* of the pointer in struct hvf_calls */
    int since;
} functions[] = {
#define X(name, since) {"hv_" #name, offsetof(struct hvf_calls, name), since},
    HVF_CALLS(X)
#undef X
};

/* What the machine says of itself, before the framework is asked. */
#ifdef __APPLE__
static int number(const char *name)
{
    int value = 0;
    size_t size = sizeof value;

    return sysctlbyname(name, &value, &size, NULL, 0) == 0 ? value : 0;
}

static const char *unable(void)
{
    if (number("sysctl.proc_translated") == 1)
        return "hvf: this program runs under Rosetta: build it for arm64";
    if (number("kern.hv_vmm_present") == 1 && number("kern.hv_support") != 1)
        return "hvf: this macOS runs in a virtual machine that does not "
               "offer virtualization: use backend \"unicorn\"";
    if (number("kern.hv_support") != 1)
        return "hvf: this machine offers no virtualization: use backend "
               "\"unicorn\"";
    return NULL;
}
#else
static const char *unable(void)
{
    return NULL;
}
#endif

static void find_companions(struct hvf_calls *c)
{
#ifdef __APPLE__
    c->icache_invalidate = sys_icache_invalidate;
    c->os_release = os_release;
    c->timebase = mach_timebase_info;
#else
    *(void **)&c->icache_invalidate =
        dlsym(c->library, "sys_icache_invalidate");
    *(void **)&c->os_release = dlsym(c->library, "os_release");
    *(void **)&c->timebase = dlsym(c->library, "mach_timebase_info");
#endif
}

const char *hvf_load(struct hvf_calls *c, char *buffer, size_t size)
{
    const char *path = getenv("HVLUA_HYPERVISOR"), *why = unable();

    if (why)
        return why;
    if (!path || !*path)
        path = FRAMEWORK;
    /* Never unloaded: other machines may come. */
    c->library = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!c->library) {
        snprintf(buffer, size, "hvf: no Hypervisor.framework: %s", dlerror());
        return buffer;
    }
    find_companions(c);
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        void *function = dlsym(c->library, functions[i].name);

        memcpy((char *)c + functions[i].at, &function, sizeof function);
        if (function || functions[i].since > 1100)
            continue;
        snprintf(buffer, size, "hvf: %s has no %s: macOS 11 or newer is needed",
                 path, functions[i].name);
        return buffer;
    }
    return NULL;
}

static const struct {
    hv_return_t code;
    const char *name, *words;
} errors[] = {
    {HV_ERROR, "HV_ERROR", "the framework does not say why"},
    {HV_BUSY, "HV_BUSY", "it exists already, or is in use"},
    {HV_BAD_ARGUMENT, "HV_BAD_ARGUMENT", "the framework refuses the argument"},
    {HV_ILLEGAL_GUEST_STATE, "HV_ILLEGAL_GUEST_STATE",
     "the guest cannot be entered with these registers: is cpsr one of EL1 or "
     "EL0 (0x3c5: EL1, interrupts masked)?"},
    {HV_NO_RESOURCES, "HV_NO_RESOURCES",
     "the system has none left: close other machines"},
    {HV_NO_DEVICE, "HV_NO_DEVICE", "this process has no machine"},
    {HV_DENIED, "HV_DENIED",
     "this program may not use virtualization: sign it with `codesign --sign - "
     "--force --entitlements entitlements.plist ./hvlua`"},
    {HV_UNSUPPORTED, "HV_UNSUPPORTED",
     "this machine or macOS cannot; inside a virtual machine none can"},
};

int hvf_fail(const char *what, hv_return_t error)
{
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
        if (errors[i].code == error)
            return vmm_fail(VMM_EHOST, "hvf: %s: %s: %s", what, errors[i].name,
                            errors[i].words);
    return vmm_fail(VMM_EHOST, "hvf: %s: error 0x%" PRIx32, what,
                    (uint32_t)error);
}
#endif
