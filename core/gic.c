/* SPDX-License-Identifier: MIT */
/* gic.c - the interrupt controller that a host has for its guests, a GICv3: what
 * can be wrong about its use, and its registers by name. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend.h"

enum { FIRST_SPI = 32, PAST_SPI = 1020 };

/* ---- registers ------------------------------------------------------------ */

/* Single registers, and families: NAME0 is at `at`, the next `stride` further. */
static const struct family {
    const char *name;
    uint32_t at;
    uint16_t stride, first, last; /* stride 0: no family */
} distributor[] =
    {
        {"ctlr", 0, 0, 0, 0},
        {"typer", 4, 0, 0, 0},
        {"pidr2", 0xffe8, 0, 0, 0},
        {"igroupr", 0x80, 4, 0, 31},
        {"isenabler", 0x100, 4, 0, 31},
        {"icenabler", 0x180, 4, 0, 31},
        {"ispendr", 0x200, 4, 0, 31},
        {"icpendr", 0x280, 4, 0, 31},
        {"isactiver", 0x300, 4, 0, 31},
        {"icactiver", 0x380, 4, 0, 31},
        {"ipriorityr", 0x400, 4, 0, 254},
        {"icfgr", 0xc00, 4, 0, 63},
        {"irouter", 0x6000, 8, FIRST_SPI, PAST_SPI - 1},
},
  frame[] = {
      {"typer", 8, 0, 0, 0},
      {"set_spi_nsr", 0x40, 0, 0, 0},
};

static const struct part {
    const char *prefix;
    unsigned class;
    const struct family *family;
    size_t families;
} parts[] = {
    {"gicd_", VMM_GICD, distributor, sizeof distributor / sizeof *distributor},
    {"gicm_", VMM_GICM, frame, sizeof frame / sizeof *frame},
};

enum { PREFIX = 5, PARTS = sizeof parts / sizeof *parts };

/* The number that `s` is, in the one way to write it; -1: none. */
static int index_of(const char *s)
{
    char *end;
    unsigned long n = strtoul(s, &end, 10);

    if (*s < '0' || *s > '9' || *end || n >= PAST_SPI || (*s == '0' && s[1]))
        return -1;
    return (int)n;
}

static bool is(const struct family *f, const char *name, uint32_t *at)
{
    size_t length = strlen(f->name);
    int i;

    if (f->stride == 0) {
        *at = f->at;
        return strcmp(name, f->name) == 0;
    }
    if (strncmp(name, f->name, length) != 0)
        return false;
    i = index_of(name + length);
    *at = f->at + f->stride * (uint32_t)i;
    return i >= f->first && i <= f->last;
}

/* The letters of a name, and not its number. */
static int no_register(const char *name)
{
    char letters[32], best[48] = "";
    unsigned least = 3;
    int length = (int)strcspn(name, "0123456789");

    snprintf(letters, sizeof letters, "%.*s", length, name);
    for (size_t p = 0; p < PARTS; p++)
        for (size_t i = 0; i < parts[p].families; i++) {
            const struct family *f = &parts[p].family[i];
            char full[24];
            unsigned d;

            snprintf(full, sizeof full, "%s%s", parts[p].prefix, f->name);
            d = vmm_distance(letters, full);
            /* Names of one register may end in a digit, of no family. */
            if (f->stride == 0 && vmm_distance(name, full) < d)
                d = vmm_distance(name, full);
            if (d >= least)
                continue;
            least = d;
            if (f->stride)
                snprintf(best, sizeof best, "%s%u", full, f->first);
            else
                snprintf(best, sizeof best, "%s", full);
        }
    if (*best)
        return vmm_fail(VMM_EINVAL,
                        "gic: no register \"%.40s\": did you mean \"%s\"?",
                        name, best);
    return vmm_fail(VMM_EINVAL,
                    "gic: no register \"%.40s\": they are called gicd_ctlr, "
                    "gicd_isenabler1, gicm_typer; those of vcpus, gicr_* and "
                    "icc_*, are theirs",
                    name);
}

int vmm_gic_reg_find(const char *name, vmm_reg *reg)
{
    for (size_t p = 0; p < PARTS; p++) {
        const struct part *part = &parts[p];
        uint32_t at;

        if (strncmp(name, part->prefix, PREFIX) != 0)
            continue;
        for (size_t i = 0; i < part->families; i++)
            if (is(&part->family[i], name + PREFIX, &at)) {
                *reg = VMM_REG(part->class, at);
                return 0;
            }
    }
    return no_register(name);
}

/* ---- where it goes -------------------------------------------------------- */

/* Are they apart? */
static bool apart(const struct vmm_gic_range *a, uint64_t at, uint64_t size)
{
    return a->at + (a->size - 1) < at || at + (size - 1) < a->at;
}

static int check_place(const struct vmm *vm, const struct vmm_gic_range *r,
                       uint64_t alignment, unsigned bits)
{
    const char *name = vm->ops->name;
    uint64_t past = UINT64_C(1) << bits;
    struct vmm_range memory;

    if (r->at % alignment)
        return vmm_fail(
            VMM_EINVAL,
            "%s: gic: %s: 0x%" PRIx64 " is no multiple of 0x%" PRIx64
            ": 0x%" PRIx64 " and 0x%" PRIx64 " are",
            name, r->name, r->at, alignment, r->at / alignment * alignment,
            (r->at / alignment + 1) * alignment);
    if (r->at > past - r->size)
        return vmm_fail(VMM_EINVAL,
                        "%s: gic: %s: 0x%" PRIx64 " bytes at 0x%" PRIx64
                        ": guest physical addresses end at 0x%" PRIx64
                        ": 0x%" PRIx64 " is the last place",
                        name, r->name, r->size, r->at, past - 1,
                        (past - r->size) / alignment * alignment);
    for (size_t i = 0; vmm_range_at(vm, i, &memory); i++)
        if (!apart(r, memory.at, memory.size))
            return vmm_fail(VMM_EINVAL,
                            "%s: gic: %s: 0x%" PRIx64 "-0x%" PRIx64
                            " overlaps the memory at 0x%" PRIx64,
                            name, r->name, r->at, r->at + (r->size - 1),
                            memory.at);
    return 0;
}

int vmm_gic_places(const struct vmm *vm, const struct vmm_gic_range *range,
                   const uint64_t *alignment, unsigned ranges, unsigned bits)
{
    for (unsigned i = 0; i < ranges; i++) {
        int rc = check_place(vm, &range[i], alignment[i], bits);

        if (rc < 0)
            return rc;
        for (unsigned j = 0; j < i; j++)
            if (!apart(&range[i], range[j].at, range[j].size))
                return vmm_fail(VMM_EINVAL,
                                "%s: gic: %s at 0x%" PRIx64
                                " overlaps the %s, 0x%" PRIx64 "-0x%" PRIx64,
                                vm->ops->name, range[i].name, range[i].at,
                                range[j].name, range[j].at,
                                range[j].at + (range[j].size - 1));
    }
    return 0;
}

/* ---- a GIC ---------------------------------------------------------------- */

int vmm_gic_open(struct vmm *vm, const struct vmm_gic_config *config)
{
    int rc;

    if (!vm->ops->gic)
        return vmm_cannot(vm, "gic", VMM_GIC_BACKENDS);
    if (vm->gic.ranges)
        return vmm_fail(VMM_ESTATE, "gic: the machine has one");
    if (vm->cpus)
        return vmm_fail(VMM_ESTATE,
                        "gic: the machine has vcpus: make the gic first");
    if (config->msi_count &&
        (config->msi_first < FIRST_SPI || config->msi_first >= PAST_SPI ||
         config->msi_count > PAST_SPI - config->msi_first))
        return vmm_fail(VMM_EINVAL,
                        "gic: msi: %" PRIu32 " interrupts from %" PRIu32
                        " on: SPIs are %d to %d",
                        config->msi_count, config->msi_first, FIRST_SPI,
                        PAST_SPI - 1);
    rc = vm->ops->gic->open(vm, config);
    if (rc == 0) {
        vm->gic.msi_first = config->msi_first;
        vm->gic.msi_count = config->msi_count;
    }
    return rc;
}

bool vmm_gic_range_at(const struct vmm *vm, size_t i,
                      struct vmm_gic_range *range)
{
    if (i >= vm->gic.ranges)
        return false;
    *range = vm->gic.range[i];
    return true;
}

static int check(const struct vmm *vm)
{
    if (vm->gic.ranges)
        return 0;
    return vmm_fail(VMM_ESTATE, "gic: the machine has none");
}

/* What concerns all of it: vCPUs that run change it meanwhile. */
static int check_still(const struct vmm *vm, const char *what)
{
    int rc = check(vm);

    if (rc == 0 && vm->loop)
        return vmm_fail(VMM_ESTATE, "gic: %s: the machine is running", what);
    return rc;
}

static bool is_msi(const struct vmm *vm, uint32_t intid)
{
    return intid - vm->gic.msi_first < vm->gic.msi_count;
}

int vmm_gic_spi(struct vmm *vm, uint32_t intid, bool level)
{
    int rc = check(vm);

    if (rc < 0)
        return rc;
    if (intid < FIRST_SPI || intid >= PAST_SPI)
        return vmm_fail(VMM_EINVAL, "gic: spi: %" PRIu32 " is not %d to %d",
                        intid, FIRST_SPI, PAST_SPI - 1);
    if (is_msi(vm, intid))
        return vmm_fail(VMM_EINVAL,
                        "gic: spi: %" PRIu32 " is for messages: use gic:msi()",
                        intid);
    return vm->ops->gic->spi(vm, intid, level);
}

int vmm_gic_msi(struct vmm *vm, uint64_t at, uint32_t intid)
{
    int rc = check(vm);

    if (rc < 0)
        return rc;
    if (vm->gic.msi_count == 0)
        return vmm_fail(VMM_ESTATE,
                        "gic: msi: it was made without an msi frame");
    if (!is_msi(vm, intid))
        return vmm_fail(VMM_EINVAL,
                        "gic: msi: %" PRIu32 " is not %" PRIu32 " to %" PRIu32,
                        intid, vm->gic.msi_first,
                        vm->gic.msi_first + vm->gic.msi_count - 1);
    return vm->ops->gic->msi(vm, at, intid);
}

int vmm_gic_reset(struct vmm *vm)
{
    int rc = check_still(vm, "reset");

    return rc < 0 ? rc : vm->ops->gic->reset(vm);
}

int vmm_gic_get(struct vmm *vm, vmm_reg reg, uint64_t *value)
{
    int rc = check(vm);

    return rc < 0 ? rc : vm->ops->gic->get(vm, reg, value);
}

int vmm_gic_set(struct vmm *vm, vmm_reg reg, uint64_t value)
{
    int rc = check(vm);

    return rc < 0 ? rc : vm->ops->gic->set(vm, reg, value);
}

int vmm_gic_save(struct vmm *vm, void *to, size_t *size)
{
    size_t room = *size;
    int rc = check_still(vm, "save");

    if (rc == 0)
        rc = vm->ops->gic->save(vm, NULL, size);
    if (rc < 0 || !to)
        return rc;
    if (room < *size)
        return vmm_fail(VMM_EINVAL,
                        "gic: save: %zu bytes, there is room for %zu", *size,
                        room);
    return vm->ops->gic->save(vm, to, size);
}

/* A host takes it for what vCPUs begin with, so it wants all of them there, and
 * none of them on its way. */
int vmm_gic_restore(struct vmm *vm, const void *from, size_t size)
{
    int rc = check_still(vm, "restore");

    if (rc < 0)
        return rc;
    if (vm->cpus == 0)
        return vmm_fail(VMM_ESTATE, "gic: restore: make the vcpus first");
    if (vm->ran)
        return vmm_fail(VMM_ESTATE,
                        "gic: restore: a vcpu of this machine has run: do it "
                        "before, or in another machine");
    return vm->ops->gic->restore(vm, from, size);
}
