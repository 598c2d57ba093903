/* SPDX-License-Identifier: MIT */
/* hvf.c - arm64 guests on Apple Silicon by Hypervisor.framework: the machine
 * and its memory. */
#include "backend.h"

#ifdef VMM_HVF
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "hvf.h"

enum { GRANULE = 0x4000, DEFAULT_IPA_BITS = 36 };

static const char *probe(char *buffer, size_t size)
{
    struct hvf_calls call;

    return hvf_load(&call, buffer, size);
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

/* The widest addresses that there are: what is not used costs nothing. */
static hv_return_t create(struct hvf_machine *m)
{
    const struct hvf_calls *c = &m->call;
    hv_vm_config_t config = NULL;
    hv_return_t rc;
    uint32_t bits;

    m->ipa_bits = DEFAULT_IPA_BITS;
    if (c->vm_config_create && c->vm_config_get_max_ipa_size &&
        c->vm_config_set_ipa_size &&
        c->vm_config_get_max_ipa_size(&bits) == HV_SUCCESS) {
        config = c->vm_config_create();
        if (c->vm_config_set_ipa_size(config, bits) == HV_SUCCESS)
            m->ipa_bits = bits;
    }
    rc = c->vm_create(config);
    if (config)
        c->os_release((void *)config);
    return rc;
}

static int vm_open(struct vmm *vm)
{
    struct hvf_machine *m = calloc(1, sizeof *m);
    char buffer[256];
    const char *why;
    hv_return_t rc;

    if (!m)
        return vmm_fail(VMM_ENOMEM, "hvf: out of memory");
    why = hvf_load(&m->call, buffer, sizeof buffer);
    if (why) {
        free(m);
        return vmm_fail(VMM_EHOST, "%s", why);
    }
    rc = create(m);
    if (rc != HV_SUCCESS) {
        free(m);
        return rc == HV_BUSY
                   ? vmm_fail(VMM_EHOST,
                              "hvf: a process has one machine at a time: close "
                              "the other one, or make this one with hv.spawn")
                   : hvf_fail("machine", rc);
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
    (void)vm;
    return GRANULE;
}

/* ---- memory -------------------------------------------------------------- */

static hv_memory_flags_t flags(unsigned prot)
{
    return (prot & VMM_R ? HV_MEMORY_READ : 0) |
           (prot & VMM_W ? HV_MEMORY_WRITE : 0) |
           (prot & VMM_X ? HV_MEMORY_EXEC : 0);
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
    if (last >> m->ipa_bits)
        return vmm_fail(VMM_EINVAL,
                        "hvf: map: 0x%" PRIx64 "-0x%" PRIx64
                        ": guest physical addresses have %u bits here: they "
                        "end at 0x%" PRIx64,
                        r->at, last, m->ipa_bits,
                        (UINT64_C(1) << m->ipa_bits) - 1);
    if ((uintptr_t)mem->host % GRANULE)
        return vmm_fail(VMM_EINVAL,
                        "hvf: map: host memory has to begin at a multiple of "
                        "0x%x",
                        GRANULE);
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
    return err == HV_SUCCESS ? 0 : hvf_fail("protect", err);
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

/* Asserted by hvf_run() before each entry. */
static int irq(struct vmm_cpu *cpu, bool level)
{
    struct hvf_cpu *h = cpu->host;

    h->irq = level;
    return 0;
}

const struct vmm_ops vmm_hvf_ops = {
    .name = "hvf",
    .arch = VMM_ARM64,
    .threads = true,
    .probe = probe,
    .open = vm_open,
    .close = vm_close,
    .page_size = page_size,
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
    .irq = irq,
    .inject = vmm_arm64_inject,
    .debug = hvf_debug,
};
#endif
