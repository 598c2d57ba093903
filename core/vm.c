/* SPDX-License-Identifier: MIT */
/* vm.c - machines: which backend, open, close. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend.h"

/* In order of preference: real virtualization before emulation. */
static const struct vmm_ops *const backends[] = {
#ifdef VMM_HVF
    &vmm_hvf_ops,
#endif
#if defined(__linux__) && defined(__x86_64__)
    &vmm_kvm_x86_ops,
#endif
#if defined(__linux__) && defined(__aarch64__)
    &vmm_kvm_arm64_ops,
#endif
    &vmm_unicorn_arm64_ops, &vmm_unicorn_x86_ops,
};

/* Every name a script may give, also where it is not built in: probing it then
 * says which host it needs. */
static const struct {
    const char *name, *host;
} known[] = {
    {"hvf", "hvf runs arm64 guests on macOS on Apple Silicon"},
    {"kvm", "kvm runs guests of the host's own architecture on Linux"},
    {"unicorn", "unicorn runs arm64 and x86_64 guests"},
};

enum {
    BACKENDS = sizeof backends / sizeof backends[0],
    KNOWN = sizeof known / sizeof known[0]
};

static const char *const arches[VMM_ARCHES] = {
    [VMM_ARM64] = "arm64",
    [VMM_X86_64] = "x86_64",
};

const char *vmm_arch_name(enum vmm_arch arch)
{
    return arches[arch];
}

int vmm_arch_find(const char *name)
{
    for (int i = 0; i < VMM_ARCHES; i++)
        if (strcmp(arches[i], name) == 0)
            return i;
    return vmm_fail(VMM_EINVAL, "arch: \"%s\": use \"arm64\" or \"x86_64\"",
                    name);
}

const char *vmm_backend_name(int i)
{
    return i >= 0 && i < KNOWN ? known[i].name : NULL;
}

static const struct vmm_ops *ops_find(const char *name, enum vmm_arch arch)
{
    for (int i = 0; i < BACKENDS; i++)
        if (backends[i]->arch == arch && strcmp(backends[i]->name, name) == 0)
            return backends[i];
    return NULL;
}

/* Why there is no such pair here, in words; NULL: there is, see *ops. */
static const char *missing(const char *name, enum vmm_arch arch,
                           const struct vmm_ops **ops)
{
    *ops = ops_find(name, arch);
    if (*ops)
        return NULL;
    for (int i = 0; i < KNOWN; i++)
        if (strcmp(known[i].name, name) == 0)
            return known[i].host;
    return "no such backend: use \"hvf\", \"kvm\" or \"unicorn\"";
}

const char *vmm_probe(const char *name, enum vmm_arch arch)
{
    static _Thread_local char buffer[512]; /* valid until the next call */
    const struct vmm_ops *ops;
    const char *why = missing(name, arch, &ops);

    return why ? why : ops->probe(buffer, sizeof buffer);
}

const char *vmm_about(const char *name, enum vmm_arch arch)
{
    static _Thread_local char buffer[512]; /* valid until the next call */
    const struct vmm_ops *ops;

    if (missing(name, arch, &ops) || !ops->about)
        return NULL;
    return ops->about(buffer, sizeof buffer);
}

int vmm_cannot(const struct vmm *vm, const char *what, const char *those)
{
    return vmm_fail(VMM_ENOTSUP,
                    "%s: %s: not on this backend with %s guests%s%s",
                    vm->ops->name, what, vmm_arch_name(vm->arch),
                    those ? ": it is on " : "", those ? those : "");
}

/* The first backend that can; or fail with the reasons of all of them. */
static int pick(enum vmm_arch arch, const struct vmm_ops **ops)
{
    char reasons[400] = "";

    for (int i = 0; i < KNOWN; i++) {
        const char *why = vmm_probe(known[i].name, arch);
        size_t used = strlen(reasons);

        if (!why) {
            *ops = ops_find(known[i].name, arch);
            return 0;
        }
        snprintf(reasons + used, sizeof reasons - used, "%s%s",
                 used ? "; " : "", why);
    }
    return vmm_fail(VMM_EHOST, "machine: no backend runs %s guests here: %s",
                    vmm_arch_name(arch), reasons);
}

static int choose(const char *backend, enum vmm_arch arch,
                  const struct vmm_ops **ops)
{
    const char *why;

    if ((unsigned)arch >= VMM_ARCHES)
        return vmm_fail(VMM_EINVAL, "machine: architecture %d does not exist",
                        arch);
    if (!backend)
        return pick(arch, ops);
    why = missing(backend, arch, ops);
    if (why)
        return vmm_fail(VMM_ENOTSUP, "backend \"%s\": %s guests: %s", backend,
                        vmm_arch_name(arch), why);
    why = vmm_probe(backend, arch);
    return why ? vmm_fail(VMM_EHOST, "%s", why) : 0;
}

/* ---- what they offer ------------------------------------------------------ */

/* Of one name, the last counts. */
static struct vmm_cap *cap(struct vmm_caps *caps, const char *name)
{
    unsigned i = 0;

    while (i < caps->count && strcmp(caps->cap[i].name, name) != 0)
        i++;
    if (i == VMM_MAX_CAPS)
        i--; /* more than anybody has */
    else if (i == caps->count)
        caps->count++;
    memset(&caps->cap[i], 0, sizeof caps->cap[i]);
    snprintf(caps->cap[i].name, sizeof caps->cap[i].name, "%s", name);
    return &caps->cap[i];
}

void vmm_cap_number(struct vmm_caps *caps, const char *name, uint64_t number)
{
    struct vmm_cap *c = cap(caps, name);

    c->type = VMM_CAP_NUMBER;
    c->number = number;
}

void vmm_cap_flag(struct vmm_caps *caps, const char *name, bool flag)
{
    struct vmm_cap *c = cap(caps, name);

    c->type = VMM_CAP_FLAG;
    c->number = flag;
}

void vmm_cap_text(struct vmm_caps *caps, const char *name, const char *text)
{
    struct vmm_cap *c = cap(caps, name);

    c->type = VMM_CAP_TEXT;
    snprintf(c->text, sizeof c->text, "%s", text);
}

int vmm_caps(const char *backend, enum vmm_arch arch, const char **name,
             struct vmm_caps *caps)
{
    const struct vmm_ops *ops;
    int rc = choose(backend, arch, &ops);

    if (rc < 0)
        return rc;
    *name = ops->name;
    caps->count = 0;
    vmm_cap_number(caps, "vcpus", VMM_MAX_CPUS);
    vmm_cap_number(caps, "page_size", 4096);
    vmm_cap_flag(caps, "threads", ops->threads);
    vmm_cap_flag(caps, "el2", false);
    vmm_cap_flag(caps, "gic", false);
    vmm_cap_flag(caps, "sme", false);
    return ops->caps ? ops->caps(caps) : 0;
}

/* ---- machines ------------------------------------------------------------ */

static int check_choices(const struct vmm_config *config,
                         const struct vmm_ops *ops)
{
    const char *what = config->ipa_size      ? "ipa_size"
                       : config->ipa_granule ? "ipa_granule"
                       : config->el2         ? "el2"
                                             : NULL;

    if (!what || ops->choices)
        return 0;
    return vmm_cannot(&(struct vmm){.ops = ops, .arch = config->arch}, what,
                      "hvf");
}

int vmm_open(const struct vmm_config *config, struct vmm **result)
{
    const struct vmm_ops *ops;
    struct vmm *vm;
    int rc = choose(config->backend, config->arch, &ops);

    *result = NULL;
    if (rc < 0)
        return rc;
    rc = check_choices(config, ops);
    if (rc < 0)
        return rc;
    vm = calloc(1, sizeof *vm);
    if (!vm)
        return vmm_fail(VMM_ENOMEM, "machine: out of memory");
    vm->ops = ops;
    vm->arch = config->arch;
    vm->hypercall_port =
        config->hypercall_port ? config->hypercall_port : VMM_HYPERCALL_PORT;
    vm->ipa_size = config->ipa_size;
    vm->ipa_granule = config->ipa_granule;
    vm->el2 = config->el2;
    rc = ops->open(vm);
    if (rc < 0) {
        free(vm);
        return rc;
    }
    *result = vm;
    return 0;
}

void vmm_close(struct vmm *vm)
{
    if (!vm)
        return;
    if (vm->loop) { /* loop.c calls again when the run has ended */
        vm->closing = true;
        vmm_stop(vm);
        return;
    }
    while (vm->cpus)
        vmm_cpu_close(vm->cpu[vm->cpus - 1]);
    vm->ops->close(vm); /* lets go of the memory before it goes */
    vmm_mem_close(vm);
    free(vm);
}

enum vmm_arch vmm_arch(const struct vmm *vm)
{
    return vm->arch;
}

const char *vmm_backend(const struct vmm *vm)
{
    return vm->ops->name;
}

uint16_t vmm_hypercall_port(const struct vmm *vm)
{
    return vm->hypercall_port;
}

int vmm_hypercalls(struct vmm *vm)
{
    if (vm->has_doorbell || !vm->ops->hypercalls)
        return 0;
    return vm->ops->hypercalls(vm);
}

int vmm_doorbell(struct vmm *vm, uint64_t at)
{
    if (vmm_mem_at(vm, at))
        return vmm_fail(VMM_EINVAL,
                        "doorbell: there is memory at 0x%" PRIx64
                        ": it takes an address without any",
                        at);
    vm->has_doorbell = true;
    vm->doorbell = at;
    return 0;
}

bool vmm_running(const struct vmm *vm)
{
    return vm->loop != NULL;
}

int vmm_ipa_size(const struct vmm *vm, uint32_t *bits)
{
    *bits = vm->ipa_size;
    return vm->ops->choices ? 0 : vmm_cannot(vm, "ipa_size", "hvf");
}

int vmm_el2(const struct vmm *vm, bool *on)
{
    *on = vm->el2;
    return vm->ops->choices ? 0 : vmm_cannot(vm, "el2", "hvf");
}
