/* SPDX-License-Identifier: MIT */
/* unicorn.h - what unicorn_arm64.c and unicorn_x86.c share: the library, opened
 * at run time. Only unicorn*.c include this, or the vendor's header. */
#ifndef VMM_UNICORN_H
#define VMM_UNICORN_H

#include <unicorn/unicorn.h>

#include "backend.h"

#define UNICORN_VERSION(major, minor, patch)                                   \
    ((major) << 16 | (minor) << 8 | (patch))

/* The library's functions, under their names less the uc_. One for each machine,
 * so that no state outlives it (and HVLUA_LIBUNICORN may change in between). */
struct unicorn {
    void *library;
    unsigned version; /* UNICORN_VERSION */
    unsigned int (*version_fn)(unsigned int *major, unsigned int *minor);
    uc_err (*open)(uc_arch arch, uc_mode mode, uc_engine **uc);
    uc_err (*close)(uc_engine *uc);
    const char *(*strerror)(uc_err code);
    uc_err (*ctl)(uc_engine *uc, uc_control_type control, ...);
    uc_err (*emu_start)(uc_engine *uc, uint64_t begin, uint64_t until,
                        uint64_t timeout, size_t count);
    uc_err (*emu_stop)(uc_engine *uc);
    uc_err (*reg_read)(uc_engine *uc, int reg, void *value);
    uc_err (*reg_write)(uc_engine *uc, int reg, const void *value);
    uc_err (*mem_map_ptr)(uc_engine *uc, uint64_t at, size_t size,
                          uint32_t prot, void *host);
    uc_err (*mem_unmap)(uc_engine *uc, uint64_t at, size_t size);
    uc_err (*mem_protect)(uc_engine *uc, uint64_t at, size_t size,
                          uint32_t prot);
    uc_err (*mmio_map)(uc_engine *uc, uint64_t at, size_t size,
                       uc_cb_mmio_read_t read, void *read_ctx,
                       uc_cb_mmio_write_t write, void *write_ctx);
    uc_err (*hook_add)(uc_engine *uc, uc_hook *hook, int type, void *callback,
                       void *ctx, uint64_t begin, uint64_t end, ...);
    uc_err (*context_alloc)(uc_engine *uc, uc_context **context);
    uc_err (*context_save)(uc_engine *uc, uc_context *context);
    uc_err (*context_restore)(uc_engine *uc, uc_context *context);
    size_t (*context_size)(uc_engine *uc);
    uc_err (*context_free)(uc_context *context);
};

/* Find and open libunicorn: $HVLUA_LIBUNICORN if set (and then only that), else
 * the library search path, which for hvlua begins with what `make deps` put
 * beside it. 0, or vmm_fail(VMM_EHOST) with the command that installs it. */
int unicorn_load(struct unicorn *u);
void unicorn_unload(struct unicorn *u); /* copes with never loaded */

/* struct vmm_ops's probe, for both architectures. */
const char *unicorn_probe(char *buffer, size_t size);

/* struct vmm_ops's about: "libunicorn 2.1.1 (path)". */
const char *unicorn_about(char *buffer, size_t size);

/* The syndrome of the one exception of AArch64 that the library loses it of: EL0
 * may not write DAIF by this instruction. 0: it is another. */
uint32_t unicorn_daif_syndrome(uint32_t instruction);

/* vmm_fail(VMM_EHOST) with "unicorn: what: <the library's words>". */
int unicorn_fail(const struct unicorn *u, const char *what, uc_err code);

#endif
