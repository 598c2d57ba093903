/* SPDX-License-Identifier: MIT */
/* kvm_arm64_gic_state.c - all the state of the kernel's GICv3 but for vCPUs'
 * interfaces: register by register, as the kernel has it in no other way. */
#include "backend.h"

#if defined(__linux__) && defined(__aarch64__)
#include <errno.h>
#include <string.h>

#include "kvm_arm64_gic.h"

/* ---- what there is of it -------------------------------------------------- */

/* Registers in a row, by where they begin; LEVEL_INFO has interrupts instead, 32 to
 * a word. A write of ones to what is at `clear` makes room for new ones. */
struct part {
    uint32_t group, at, words, clear, initial;
};

enum {
    SPIS = KVM_ARM64_INTERRUPTS - KVM_ARM64_FIRST_SPI,
    DIST = KVM_DEV_ARM_VGIC_GRP_DIST_REGS,
    REDIST = KVM_DEV_ARM_VGIC_GRP_REDIST_REGS,
    LINES = KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO
};

/* In the order in which they are restored: what says how an interrupt is taken
 * before that there is one, and above all whether any is: the kernel forgets those
 * that come while they are off. */
static const struct part distributor[] = {
    {DIST, 0, 1, 0, 0},                                /* CTLR */
    {DIST, 0x84, SPIS / 32, 0, UINT32_MAX},            /* IGROUPR */
    {DIST, KVM_ARM64_GICD_ICFGR + 8, SPIS / 16, 0, 0}, /* ICFGR */
    {DIST, 0x420, SPIS / 4, 0, 0},                     /* IPRIORITYR */
    {DIST, 0x6100, SPIS * 2, 0, 0},                    /* IROUTER */
    {DIST, 0x104, SPIS / 32, 0x184, 0},                /* ISENABLER */
    {DIST, 0x304, SPIS / 32, 0x384, 0},                /* ISACTIVER */
    {DIST, 0x204, SPIS / 32, 0, 0},                    /* ISPENDR */
    {LINES, KVM_ARM64_FIRST_SPI, SPIS / 32, 0, 0},
};

static const struct part redistributor[] = {
    {REDIST, 0x10080, 1, 0, UINT32_MAX},   /* IGROUPR0 */
    {REDIST, 0x10c00, 1, 0, 0xaaaaaaaa},   /* ICFGR0 */
    {REDIST, 0x10c04, 1, 0, 0},            /* ICFGR1 */
    {REDIST, 0x10400, 8, 0, 0},            /* IPRIORITYR */
    {REDIST, 0x10100, 1, 0x10180, 0xffff}, /* ISENABLER0 */
    {REDIST, 0x10300, 1, 0x10380, 0},      /* ISACTIVER0 */
    {REDIST, 0x10200, 1, 0, 0},            /* ISPENDR0 */
    {LINES, 0, 1, 0, 0},
};

enum {
    DISTRIBUTOR_PARTS = sizeof distributor / sizeof *distributor,
    REDISTRIBUTOR_PARTS = sizeof redistributor / sizeof *redistributor
};

static size_t words(const struct part *part, size_t parts)
{
    size_t n = 0;

    for (size_t i = 0; i < parts; i++)
        n += part[i].words;
    return n;
}

/* ---- to and fro ----------------------------------------------------------- */

/* Of the saved state, the next word; both NULL: back to how all began. */
struct transfer {
    const struct kvm_arm64_machine *machine;
    uint8_t *to;
    const uint8_t *from;
};

static int put(const struct transfer *t, const struct part *p,
               uint64_t affinity, uint32_t offset, uint32_t word)
{
    int error = 0;

    if (p->clear)
        error = kvm_arm64_gic_write(t->machine, p->group,
                                    affinity | (p->clear + offset), UINT32_MAX);
    return error ? error
                 : kvm_arm64_gic_write(t->machine, p->group,
                                       affinity | (p->at + offset), word);
}

static int one(struct transfer *t, const struct part *p, uint64_t affinity,
               uint32_t offset)
{
    uint32_t word = p->initial;
    int error;

    if (t->to) {
        error = kvm_arm64_gic_read(t->machine, p->group,
                                   affinity | (p->at + offset), &word);
        memcpy(t->to, &word, sizeof word);
        t->to += sizeof word;
        return error;
    }
    if (t->from) {
        memcpy(&word, t->from, sizeof word);
        t->from += sizeof word;
    }
    return put(t, p, affinity, offset, word);
}

static int some(struct transfer *t, struct vmm_cpu *cpu,
                const struct part *part, size_t parts)
{
    uint64_t affinity;
    int rc = kvm_arm64_gic_affinity(cpu, &affinity);

    for (size_t i = 0; i < parts && rc == 0; i++) {
        uint32_t stride = part[i].group == LINES ? 32 : 4;

        for (uint32_t n = 0; n < part[i].words && rc == 0; n++) {
            int error = one(t, &part[i], affinity, n * stride);

            if (error)
                rc = kvm_fail(&t->machine->kvm, "gic: state", error);
        }
    }
    return rc;
}

static int all(struct transfer *t, struct vmm *vm)
{
    int rc = some(t, vm->cpu[0], distributor, DISTRIBUTOR_PARTS);

    for (unsigned i = 0; i < vm->cpus && rc == 0; i++)
        rc = some(t, vm->cpu[i], redistributor, REDISTRIBUTOR_PARTS);
    return rc;
}

/* ---- for core ------------------------------------------------------------- */

/* What saved state begins with. */
struct header {
    char magic[8];
    uint32_t version, interrupts, cpus, words;
};

static struct header header_of(const struct vmm *vm)
{
    return (struct header){
        .magic = "kvm gic",
        .version = 1,
        .interrupts = KVM_ARM64_INTERRUPTS,
        .cpus = vm->cpus,
        .words =
            (uint32_t)(words(distributor, DISTRIBUTOR_PARTS) +
                       vm->cpus * words(redistributor, REDISTRIBUTOR_PARTS)),
    };
}

static int begin(struct vmm *vm, const char *what)
{
    const struct kvm_arm64_machine *m = vm->host;
    int rc = kvm_owned(&m->kvm, what);

    return rc < 0 ? rc : kvm_arm64_gic_ready(vm);
}

int kvm_arm64_gic_reset(struct vmm *vm)
{
    struct transfer t = {.machine = vm->host};
    int rc = begin(vm, "gic: reset");

    return rc < 0 ? rc : all(&t, vm);
}

int kvm_arm64_gic_save(struct vmm *vm, void *to, size_t *size)
{
    const struct header header = header_of(vm);
    struct transfer t = {.machine = vm->host};
    int rc = begin(vm, "gic: save");

    *size = sizeof header + header.words * sizeof(uint32_t);
    if (rc < 0 || !to)
        return rc;
    memcpy(to, &header, sizeof header);
    t.to = (uint8_t *)to + sizeof header;
    return all(&t, vm);
}

int kvm_arm64_gic_restore(struct vmm *vm, const void *from, size_t size)
{
    const struct header header = header_of(vm);
    struct transfer t = {.machine = vm->host};
    int rc = begin(vm, "gic: restore");

    if (rc < 0)
        return rc;
    if (size != sizeof header + header.words * sizeof(uint32_t) ||
        memcmp(from, &header, sizeof header) != 0)
        return vmm_fail(VMM_EINVAL,
                        "kvm: gic: restore: is it from gic:save() of "
                        "a machine like this?");
    t.from = (const uint8_t *)from + sizeof header;
    return all(&t, vm);
}
#endif
