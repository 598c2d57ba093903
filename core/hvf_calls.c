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
#define X(since, type, name, parameters)                                       \
    {"hv_" #name, offsetof(struct hvf_calls, name), since},
    HVF_CALLS(X)
#undef X
};

enum { FUNCTIONS = sizeof functions / sizeof functions[0], MACOS_11 = 1100 };

static bool has(const struct hvf_calls *c, size_t i)
{
    static void *const none;

    return memcmp((const char *)c + functions[i].at, &none, sizeof none) != 0;
}

/* ---- what the machine says of itself, before the framework is asked ------- */

static bool says(const struct hvf_calls *c, const char *name)
{
    int value = 0;
    size_t size = sizeof value;

    return c->sysctl(name, &value, &size, NULL, 0) == 0 && value == 1;
}

static const char *unable(const struct hvf_calls *c)
{
    if (says(c, "sysctl.proc_translated"))
        return "hvf: this program runs under Rosetta: build it for arm64";
    if (says(c, "kern.hv_support"))
        return NULL;
    if (says(c, "kern.hv_vmm_present"))
        return "hvf: this macOS runs inside a virtual machine that does not "
               "offer virtualization: use backend \"unicorn\"";
    return "hvf: this machine offers no virtualization: use backend "
           "\"unicorn\"";
}

const char *hvf_macos(const struct hvf_calls *c, char *buffer, size_t size)
{
    return c->sysctl("kern.osproductversion", buffer, &size, NULL, 0) == 0
               ? buffer
               : NULL;
}

/* ---- looking up ----------------------------------------------------------- */

static void find_companions(struct hvf_calls *c)
{
#ifdef __APPLE__
    c->icache_invalidate = sys_icache_invalidate;
    c->os_release = os_release;
    c->timebase = mach_timebase_info;
    c->absolute_time = mach_absolute_time;
    c->sysctl = sysctlbyname;
#else
    *(void **)&c->icache_invalidate =
        dlsym(c->library, "sys_icache_invalidate");
    *(void **)&c->os_release = dlsym(c->library, "os_release");
    *(void **)&c->timebase = dlsym(c->library, "mach_timebase_info");
    *(void **)&c->absolute_time = dlsym(c->library, "mach_absolute_time");
    *(void **)&c->sysctl = dlsym(c->library, "sysctlbyname");
#endif
}

const char *hvf_load(struct hvf_calls *c, char *buffer, size_t size)
{
    const char *path = getenv("HVLUA_HYPERVISOR"), *why;

    if (!path || !*path)
        path = FRAMEWORK;
    /* Never unloaded: other machines may come. */
    c->library = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!c->library) {
        snprintf(buffer, size, "hvf: no Hypervisor.framework: %s", dlerror());
        return buffer;
    }
    find_companions(c);
    why = unable(c);
    if (why)
        return why;
    for (size_t i = 0; i < FUNCTIONS; i++) {
        void *function = dlsym(c->library, functions[i].name);

        memcpy((char *)c + functions[i].at, &function, sizeof function);
        if (function || functions[i].since > MACOS_11)
            continue;
        snprintf(buffer, size, "hvf: %s has no %s: macOS 11 or newer is needed",
                 path, functions[i].name);
        return buffer;
    }
    return NULL;
}

/* 1502 is "15.2". */
static const char *version(int since, char text[16])
{
    snprintf(text, 16, "%d.%d", since / 100, since % 100);
    return text;
}

void hvf_missing(const struct hvf_calls *c,
                 void (*look)(const char *name, const char *since, void *ctx),
                 void *ctx)
{
    char text[16];

    for (size_t i = 0; i < FUNCTIONS; i++)
        if (!has(c, i))
            look(functions[i].name, version(functions[i].since, text), ctx);
}

/* ---- errors in words ------------------------------------------------------ */

int hvf_lacks(const char *what, const char *function)
{
    char text[16];

    for (size_t i = 0; i < FUNCTIONS; i++)
        if (strcmp(functions[i].name, function) == 0)
            return vmm_fail(VMM_ENOTSUP,
                            "hvf: %s: this macOS is too old: %s came with %s",
                            what, function, version(functions[i].since, text));
    return vmm_fail(VMM_ENOTSUP, "hvf: %s: no %s", what, function);
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
    {(hv_return_t)0xfae94008, "HV_EXISTS", "there is one already"}, /* later */
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
