/* SPDX-License-Identifier: MIT */
/* hvf.c - arm64 guests on Apple Silicon by Hypervisor.framework: the machine
 * and its memory. */
#include "backend.h"

#ifdef VMM_HVF
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hvf.h"

static const char *probe(char *buffer, size_t size)
{
    struct hvf_calls call;

    return hvf_load(&call, buffer, size);
}

static const char *about(char *buffer, size_t size)
{
    static const char text[] = "Hypervisor.framework of macOS ";
    struct hvf_calls call;

    if (size < sizeof text || hvf_load(&call, buffer, size))
        return NULL;
    memcpy(buffer, text, sizeof text);
    return hvf_macos(&call, buffer + sizeof text - 1, size - sizeof text + 1)
               ? buffer
               : NULL;
}

int hvf_owned(const struct hvf_machine *m, const char *what)
{
    if (m->owner == getpid())
        return 0;
    return vmm_fail(VMM_ESTATE,
                    "hvf: %s: the machine belongs to the process that made it, "
                    "not to its forks",
                    what);
}

/* ---- machines ------------------------------------------------------------ */

static int vm_open(struct vmm *vm)
{
    struct hvf_machine *m = calloc(1, sizeof *m);
    char buffer[256];
    const char *why;
    int rc;

    if (!m)
        return vmm_fail(VMM_ENOMEM, "hvf: out of memory");
    why = hvf_load(&m->call, buffer, sizeof buffer);
    if (why) {
        free(m);
        return vmm_fail(VMM_EHOST, "%s", why);
    }
    rc = hvf_create(&m->call, vm);
    if (rc < 0) {
        free(m);
        return rc;
    }
    m->owner = getpid();
    vm->host = m;
    return 0;
}

static void vm_close(struct vmm *vm)
{
    struct hvf_machine *m = vm->host;

    if (!m)
        return;
    if (m->owner == getpid())
        m->call.vm_destroy();
    free(m);
    vm->host = NULL;
}

static uint64_t page_size(const struct vmm *vm)
{
    return vm->ipa_granule;
}

enum { HOST_PAGE = 0x4000 };

/* ---- memory -------------------------------------------------------------- */

static hv_memory_flags_t flags(unsigned prot)
{
    return (prot & VMM_R ? HV_MEMORY_READ : 0) |
           (prot & VMM_W ? HV_MEMORY_WRITE : 0) |
           (prot & VMM_X ? HV_MEMORY_EXEC : 0);
}

/* Memory that suits the framework, where it has such to give: in the host's own
 * pages. */
static int allocate(struct vmm *vm, size_t size, void **host,
                    int (**release)(void *host, size_t size))
{
    const struct hvf_machine *m = vm->host;
    int rc = hvf_owned(m, "map");
    hv_return_t err;

    if (rc < 0)
        return rc;
    if (!m->call.vm_allocate || size % HOST_PAGE)
        return vmm_allocate(vm, size, host, release);
    err = m->call.vm_allocate(host, size, 0);
    *release = m->call.vm_deallocate;
    if (err == HV_NO_RESOURCES)
        return vmm_fail(VMM_ENOMEM,
                        "map: 0x%zx bytes: hvf: HV_NO_RESOURCES: the "
                        "host has not so much memory",
                        size);
    return err == HV_SUCCESS ? 0 : hvf_fail("map: memory", err);
}

static int map(struct vmm *vm, struct vmm_mem *mem)
{
    const struct hvf_machine *m = vm->host;
    const struct vmm_range *r = &mem->range;
    uint64_t last = r->at + (r->size - 1);
    int rc = hvf_owned(m, "map");
    hv_return_t err;

    if (rc < 0)
        return rc;
    if (last >> vm->ipa_size)
        return vmm_fail(VMM_EINVAL,
                        "hvf: map: 0x%" PRIx64 "-0x%" PRIx64
                        ": guest physical addresses have %" PRIu32 " bits in "
                        "this machine: they end at 0x%" PRIx64,
                        r->at, last, vm->ipa_size,
                        (UINT64_C(1) << vm->ipa_size) - 1);
    err = m->call.vm_map(mem->host, r->at, r->size, flags(r->prot));
    if (err != HV_SUCCESS)
        return hvf_fail("map", err);
    m->call.icache_invalidate(mem->host, r->size); /* it may come with code */
    return 0;
}

static int unmap(struct vmm *vm, struct vmm_mem *mem)
{
    const struct hvf_machine *m = vm->host;
    int rc = hvf_owned(m, "unmap");
    hv_return_t err;

    if (rc < 0)
        return rc;
    err = m->call.vm_unmap(mem->range.at, mem->range.size);
    return err == HV_SUCCESS ? 0 : hvf_fail("unmap", err);
}

static int protect(struct vmm *vm, struct vmm_mem *mem, unsigned prot)
{
    const struct hvf_machine *m = vm->host;
    int rc = hvf_owned(m, "protect");
    hv_return_t err;

    if (rc < 0)
        return rc;
    err = m->call.vm_protect(mem->range.at, mem->range.size, flags(prot));
    if (err != HV_SUCCESS)
        return hvf_fail("protect", err);
    if (prot & VMM_X & ~mem->range.prot) /* for what wrote() has let pass */
        m->call.icache_invalidate(mem->host, mem->range.size);
    return 0;
}

/* The data caches see to themselves; what instructions are fetched from does
 * not. */
static void wrote(struct vmm *vm, const struct vmm_mem *mem, uint64_t at,
                  uint64_t n)
{
    const struct hvf_machine *m = vm->host;

    if (mem->range.prot & VMM_X)
        m->call.icache_invalidate(mem->host + (at - mem->range.at), n);
}

/* ---- vCPUs --------------------------------------------------------------- */

static void on_thread(struct vmm_cpu *cpu, int (*body)(void *arg), void *arg)
{
    struct hvf_cpu *h = cpu->host;

    hvf_do(&h->thread, body, arg);
}

const struct vmm_ops vmm_hvf_ops = {
    .name = "hvf",
    .arch = VMM_ARM64,
    .threads = true,
    .choices = true,
    .classes = 1 << VMM_VCPU | 1 << VMM_GICR | 1 << VMM_ICV | 1 << VMM_SCALABLE,
    .probe = probe,
    .about = about,
    .caps = hvf_caps,
    .open = vm_open,
    .close = vm_close,
    .page_size = page_size,
    .allocate = allocate,
    .map = map,
    .unmap = unmap,
    .protect = protect,
    .wrote = wrote,
    .cpu_open = hvf_cpu_open,
    .cpu_close = hvf_cpu_close,
    .on_thread = on_thread,
    .run = hvf_run,
    .answer = hvf_answer,
    .kick = hvf_kick,
    .get = hvf_get,
    .set = hvf_set,
    .get_bytes = hvf_get_bytes,
    .set_bytes = hvf_set_bytes,
    .line = hvf_line,
    .line_at = hvf_line_at,
    .inject = vmm_arm64_inject,
    .debug = hvf_debug,
    .gic = &hvf_gic_ops,
};
#endif
