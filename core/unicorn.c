/* SPDX-License-Identifier: MIT */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unicorn.h"

#ifdef __APPLE__
#define INSTALL "brew install unicorn"
static const char *const libraries[] = {
    "libunicorn.2.dylib",
    "/opt/homebrew/lib/libunicorn.2.dylib",
    "/usr/local/lib/libunicorn.2.dylib",
};
#else
#define INSTALL "install libunicorn2 (Debian), unicorn (Fedora, Arch)"
static const char *const libraries[] = {"libunicorn.so.2", "libunicorn.so"};
#endif

static const struct {
    const char *name;
    size_t at; /* of the pointer in struct unicorn */
} functions[] = {
    {"uc_version", offsetof(struct unicorn, version_fn)},
    {"uc_open", offsetof(struct unicorn, open)},
    {"uc_close", offsetof(struct unicorn, close)},
    {"uc_strerror", offsetof(struct unicorn, strerror)},
    {"uc_ctl", offsetof(struct unicorn, ctl)},
    {"uc_emu_start", offsetof(struct unicorn, emu_start)},
    {"uc_emu_stop", offsetof(struct unicorn, emu_stop)},
    {"uc_reg_read", offsetof(struct unicorn, reg_read)},
    {"uc_reg_write", offsetof(struct unicorn, reg_write)},
    {"uc_mem_map_ptr", offsetof(struct unicorn, mem_map_ptr)},
    {"uc_mem_unmap", offsetof(struct unicorn, mem_unmap)},
    {"uc_mem_protect", offsetof(struct unicorn, mem_protect)},
    {"uc_mmio_map", offsetof(struct unicorn, mmio_map)},
    {"uc_hook_add", offsetof(struct unicorn, hook_add)},
    {"uc_context_alloc", offsetof(struct unicorn, context_alloc)},
    {"uc_context_save", offsetof(struct unicorn, context_save)},
    {"uc_context_restore", offsetof(struct unicorn, context_restore)},
    {"uc_context_size", offsetof(struct unicorn, context_size)},
    {"uc_context_free", offsetof(struct unicorn, context_free)},
};

/* NODELETE: Unicorn leaves thread-local and atexit state behind, so its code
 * has to stay where it is even when the last machine has gone. */
static void *open_library(const char *name)
{
    return dlopen(name, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
}

static int find_library(struct unicorn *u, const char **name)
{
    *name = getenv("HVLUA_LIBUNICORN");
    if (*name != NULL && **name != '\0') {
        const char *reason;

        u->library = open_library(*name);
        if (u->library != NULL)
            return 0;
        reason = dlerror();
        return vmm_fail(VMM_EHOST,
                        "unicorn: HVLUA_LIBUNICORN: cannot open it: %s",
                        reason != NULL ? reason : *name);
    }
    for (size_t i = 0; i < sizeof libraries / sizeof *libraries; i++) {
        *name = libraries[i];
        u->library = open_library(*name);
        if (u->library != NULL)
            return 0;
    }
    return vmm_fail(VMM_EHOST, "unicorn: libunicorn not found: run `make "
                               "deps`, or " INSTALL);
}

/* The pointers are copied as bytes: C has no conversion from an object's
 * pointer, which is what dlsym gives, to a function's. */
static int find_function(struct unicorn *u, const char *library, size_t i)
{
    void *function = dlsym(u->library, functions[i].name);

    if (function == NULL)
        return vmm_fail(VMM_EHOST,
                        "unicorn: %s: has no %s: hvlua needs libunicorn 2.0.1 "
                        "or newer: run `make deps`",
                        library, functions[i].name);
    memcpy((char *)u + functions[i].at, &function, sizeof function);
    return 0;
}

/* The version comes before the rest: another major version lacks functions too,
 * and its number says more than the first that is missing. */
static int find_functions(struct unicorn *u, const char *library)
{
    unsigned version;
    int code = find_function(u, library, 0);

    if (code < 0)
        return code;
    version = u->version_fn(NULL, NULL);
    u->version = version >> 8;
    if (version >> 24 != 2)
        return vmm_fail(VMM_EHOST,
                        "unicorn: %s: is version %u.%u: hvlua needs version 2: "
                        "run `make deps`",
                        library, version >> 24, version >> 16 & 0xff);
    for (size_t i = 1; i < sizeof functions / sizeof *functions; i++) {
        code = find_function(u, library, i);
        if (code < 0)
            return code;
    }
    return 0;
}

int unicorn_load(struct unicorn *u)
{
    const char *name;
    int code;

    memset(u, 0, sizeof *u);
    code = find_library(u, &name);
    if (code == 0)
        code = find_functions(u, name);
    if (code < 0)
        unicorn_unload(u);
    return code;
}

void unicorn_unload(struct unicorn *u)
{
    if (u->library != NULL)
        dlclose(u->library);
    u->library = NULL;
}

const char *unicorn_probe(char *buffer, size_t size)
{
    struct unicorn u;

    if (unicorn_load(&u) == 0) {
        unicorn_unload(&u);
        return NULL;
    }
    snprintf(buffer, size, "%s", vmm_why());
    return buffer;
}

const char *unicorn_about(char *buffer, size_t size)
{
    struct unicorn u;
    Dl_info info;
    void *inside;

    if (unicorn_load(&u) < 0)
        return NULL;
    memcpy(&inside, &u.version_fn, sizeof inside);
    if (dladdr(inside, &info) == 0 || info.dli_fname == NULL)
        info.dli_fname = "?";
    snprintf(buffer, size, "libunicorn %u.%u.%u (%s)", u.version >> 16,
             u.version >> 8 & 0xff, u.version & 0xff, info.dli_fname);
    unicorn_unload(&u);
    return buffer;
}

int unicorn_fail(const struct unicorn *u, const char *what, uc_err code)
{
    return vmm_fail(VMM_EHOST, "unicorn: %s: %s", what, u->strerror(code));
}

uint32_t unicorn_daif_syndrome(uint32_t instruction)
{
    enum { DAIFSET = 0xd50340df, EC_SYSREG = 0x18, XZR = 31 };
    uint32_t op2 = instruction >> 5 & 7, value = instruction >> 8 & 15;

    if ((instruction & 0xfffff0df) != DAIFSET)
        return 0;
    return (uint32_t)EC_SYSREG << 26 | 1u << 25 | op2 << 17 | 3u << 14 |
           4u << 10 | XZR << 5 | value << 1;
}
