/* SPDX-License-Identifier: MIT */
/* kvm_arm64_gic.c - the kernel's GICv3. It is whole only with its vCPUs: what is
 * asked of it first, or their first run, completes it, and no vCPU comes after. */
#include "backend.h"

#if defined(__linux__) && defined(__aarch64__)
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "kvm_arm64_gic.h"

enum {
    PAGE = 0x10000,
    REDISTRIBUTOR = 2 * PAGE, /* of one vCPU */
    VIRTUAL_TIMER = 27,
    PHYSICAL_TIMER = 30
};

/* ---- attributes ----------------------------------------------------------- */

/* 0, or the errno. A vCPU that is in no guest may still be in the kernel, where one
 * of its registers is changed: not for long. */
static int attribute(const struct kvm_arm64_machine *m, unsigned long request,
                     uint32_t group, uint64_t attr, void *value)
{
    enum { PATIENCE = 10000 };
    struct kvm_device_attr a = {
        .group = group, .attr = attr, .addr = (uintptr_t)value};

    for (unsigned i = 0; ioctl(m->gic, request, &a) < 0; i++) {
        if (errno != EBUSY || i == PATIENCE)
            return errno;
        sched_yield();
    }
    return 0;
}

int kvm_arm64_gic_read(const struct kvm_arm64_machine *m, uint32_t group,
                       uint64_t attr, uint32_t *word)
{
    return attribute(m, KVM_GET_DEVICE_ATTR, group, attr, word);
}

int kvm_arm64_gic_write(const struct kvm_arm64_machine *m, uint32_t group,
                        uint64_t attr, uint32_t word)
{
    return attribute(m, KVM_SET_DEVICE_ATTR, group, attr, &word);
}

int kvm_arm64_gic_affinity(struct vmm_cpu *cpu, uint64_t *attr)
{
    const vmm_reg mpidr_el1 =
        VMM_REG(VMM_SYSTEM, VMM_A64_SYSREG(3, 0, 0, 0, 5));
    const uint64_t aff3 = UINT64_C(0xff00000000), others = 0xffffff;
    union vmm_value v = {.u64 = 0};
    int rc = kvm_arm64_get(cpu, mpidr_el1, &v);

    *attr = ((v.u64 & aff3) >> 8 | (v.u64 & others))
            << KVM_DEV_ARM_VGIC_V3_MPIDR_SHIFT;
    return rc;
}

/* ---- making it ------------------------------------------------------------ */

static int create(const struct kvm_machine *m, uint32_t flags, int *fd)
{
    struct kvm_create_device device = {.type = KVM_DEV_TYPE_ARM_VGIC_V3,
                                       .flags = flags};

    if (ioctl(m->vm, KVM_CREATE_DEVICE, &device) < 0)
        return errno;
    *fd = (int)device.fd;
    return 0;
}

int kvm_arm64_gic_caps(const struct kvm_machine *m, struct vmm_caps *caps)
{
    int none;

    if (create(m, KVM_CREATE_DEVICE_TEST, &none))
        return 0;
    vmm_cap_number(caps, "gic.distributor.size", PAGE);
    vmm_cap_number(caps, "gic.distributor.alignment", PAGE);
    vmm_cap_number(caps, "gic.redistributor.size", REDISTRIBUTOR);
    vmm_cap_number(caps, "gic.redistributor.region_size",
                   REDISTRIBUTOR * VMM_MAX_CPUS);
    vmm_cap_number(caps, "gic.redistributor.alignment", PAGE);
    vmm_cap_number(caps, "gic.spi.first", KVM_ARM64_FIRST_SPI);
    vmm_cap_number(caps, "gic.spi.count",
                   KVM_ARM64_INTERRUPTS - KVM_ARM64_FIRST_SPI);
    vmm_cap_number(caps, "gic.intid.el1_virtual_timer", VIRTUAL_TIMER);
    vmm_cap_number(caps, "gic.intid.el1_physical_timer", PHYSICAL_TIMER);
    return 0;
}

static int configure(const struct kvm_arm64_machine *m,
                     const struct vmm_gic_config *wanted)
{
    uint64_t distributor = wanted->distributor;
    uint64_t redistributor = wanted->redistributor;
    int error = kvm_arm64_gic_write(m, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0,
                                    KVM_ARM64_INTERRUPTS);

    if (error == 0)
        error = attribute(m, KVM_SET_DEVICE_ATTR, KVM_DEV_ARM_VGIC_GRP_ADDR,
                          KVM_VGIC_V3_ADDR_TYPE_DIST, &distributor);
    if (error == 0)
        error = attribute(m, KVM_SET_DEVICE_ATTR, KVM_DEV_ARM_VGIC_GRP_ADDR,
                          KVM_VGIC_V3_ADDR_TYPE_REDIST, &redistributor);
    return error;
}

static int gic_open(struct vmm *vm, const struct vmm_gic_config *wanted)
{
    const struct vmm_gic_range range[] = {
        {"distributor", wanted->distributor, PAGE},
        {"redistributors", wanted->redistributor, REDISTRIBUTOR * VMM_MAX_CPUS},
    };
    const uint64_t alignment[] = {PAGE, PAGE};
    struct kvm_arm64_machine *m = vm->host;
    int error, rc = kvm_owned(&m->kvm, "gic");

    if (rc == 0 && wanted->msi_count)
        return vmm_fail(VMM_ENOTSUP,
                        "kvm: gic: msi: not on this backend: the kernel's "
                        "messages need an ITS: leave it out, or use hvf");
    if (rc == 0)
        rc = vmm_gic_places(vm, range, alignment, 2,
                            kvm_arm64_ipa_bits(m->kvm.dev));
    if (rc < 0)
        return rc;
    error = create(&m->kvm, 0, &m->gic);
    if (error == ENODEV)
        return vmm_cannot(vm, "gic", VMM_GIC_BACKENDS);
    if (error == 0)
        error = configure(m, wanted);
    if (error)
        return kvm_fail(&m->kvm, "gic", error);
    memcpy(vm->gic.range, range, sizeof range);
    vm->gic.ranges = 2;
    atomic_fetch_add(&m->events, 1);
    return 0;
}

/* A line is one that has a level until the guest says otherwise, as elsewhere; the
 * kernel begins with edges. */
static int complete(const struct kvm_arm64_machine *m)
{
    int error = attribute(m, KVM_SET_DEVICE_ATTR, KVM_DEV_ARM_VGIC_GRP_CTRL,
                          KVM_DEV_ARM_VGIC_CTRL_INIT, NULL);

    for (uint32_t n = KVM_ARM64_FIRST_SPI; n < KVM_ARM64_INTERRUPTS; n += 16)
        if (error == 0)
            error = kvm_arm64_gic_write(m, KVM_DEV_ARM_VGIC_GRP_DIST_REGS,
                                        KVM_ARM64_GICD_ICFGR + n / 4, 0);
    return error;
}

/* Whoever is the first to run does it for all. */
int kvm_arm64_gic_ready(struct vmm *vm)
{
    struct kvm_arm64_machine *m = vm->host;
    int error = 0;

    if (vm->gic.ranges == 0 || atomic_load(&m->gic_ready))
        return 0;
    if (vm->cpus == 0)
        return vmm_fail(VMM_ESTATE, "kvm: gic: it is the kernel's, which needs "
                                    "to know the vcpus: make them first");
    kvm_shut(vm);
    if (!atomic_load(&m->gic_ready))
        error = complete(m);
    if (error == 0)
        atomic_store(&m->gic_ready, true);
    kvm_unshut(vm);
    return error ? kvm_fail(&m->kvm, "gic", error) : 0;
}

/* Before it is used. */
static int usable(struct vmm *vm)
{
    const struct kvm_arm64_machine *m = vm->host;
    int rc = kvm_owned(&m->kvm, "gic");

    return rc < 0 ? rc : kvm_arm64_gic_ready(vm);
}

/* ---- lines ---------------------------------------------------------------- */

static int gic_spi(struct vmm *vm, uint32_t intid, bool level)
{
    const struct kvm_arm64_machine *m = vm->host;
    struct kvm_irq_level line = {
        .irq = KVM_ARM_IRQ_TYPE_SPI << KVM_ARM_IRQ_TYPE_SHIFT | intid,
        .level = level,
    };
    int rc = usable(vm);

    if (rc < 0)
        return rc;
    if (intid >= KVM_ARM64_INTERRUPTS)
        return vmm_fail(VMM_ENOTSUP,
                        "kvm: gic: spi: %" PRIu32 ": this kernel has %d to %d",
                        intid, KVM_ARM64_FIRST_SPI, KVM_ARM64_INTERRUPTS - 1);
    if (ioctl(m->kvm.vm, KVM_IRQ_LINE, &line) < 0)
        return kvm_fail(&m->kvm, "gic: spi", errno);
    return 0;
}

/* ---- registers ------------------------------------------------------------ */

/* Where one is: of the distributor, or of a vCPU's redistributor. */
struct place {
    uint32_t group, at;
    uint64_t affinity;
};

enum { PENDING = 0x200, CLEARS = 0x80 };

/* GICD_ISPENDR, GICD_ICPENDR, and in the second page of redistributors the same. */
static bool is_pending(const struct place *p)
{
    return (p->at & 0xff00) == PENDING;
}

/* Two registers are 64 bits wide, and had by halves. */
static bool is_wide(const struct place *p)
{
    return p->group == KVM_DEV_ARM_VGIC_GRP_DIST_REGS
               ? p->at >= 0x6000 && p->at < 0x8000 /* GICD_IROUTER */
               : p->at == 8;                       /* GICR_TYPER */
}

/* The kernel has for its host what was made pending, in GICx_ISPENDR only and without
 * what lines are; guests have both in both. */
static int get_pending(const struct kvm_arm64_machine *m, const struct place *p,
                       uint32_t *made, uint32_t *lines)
{
    uint32_t at = p->at & ~(uint32_t)CLEARS;
    uint32_t intid = (at & (CLEARS - 1)) / 4 * 32;
    int error = kvm_arm64_gic_read(m, p->group, p->affinity | at, made);

    return error ? error
                 : kvm_arm64_gic_read(m, KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO,
                                      p->affinity | intid, lines);
}

/* 0, or the errno. */
static int get_at(const struct kvm_arm64_machine *m, const struct place *p,
                  uint64_t *value)
{
    uint32_t low = 0, high = 0;
    int error;

    if (is_pending(p)) {
        error = get_pending(m, p, &low, &high);
        *value = low | high;
        return error;
    }
    error = kvm_arm64_gic_read(m, p->group, p->affinity | p->at, &low);
    if (error == 0 && is_wide(p))
        error =
            kvm_arm64_gic_read(m, p->group, p->affinity | (p->at + 4), &high);
    *value = (uint64_t)high << 32 | low;
    return error;
}

/* A write to GICx_ISPENDR is taken for all that shall be pending. */
static int set_pending(const struct kvm_arm64_machine *m, const struct place *p,
                       uint32_t bits)
{
    uint32_t at = p->at & ~(uint32_t)CLEARS, made, lines;
    int error = get_pending(m, p, &made, &lines);

    return error ? error
                 : kvm_arm64_gic_write(m, p->group, p->affinity | at,
                                       p->at & CLEARS ? made & ~bits
                                                      : made | bits);
}

static int set_at(const struct kvm_arm64_machine *m, const struct place *p,
                  uint64_t value)
{
    int error;

    if (is_pending(p))
        return set_pending(m, p, (uint32_t)value);
    error =
        kvm_arm64_gic_write(m, p->group, p->affinity | p->at, (uint32_t)value);
    if (error == 0 && is_wide(p))
        error = kvm_arm64_gic_write(m, p->group, p->affinity | (p->at + 4),
                                    (uint32_t)(value >> 32));
    return error;
}

/* `error` kept a register from being had, or from having that value. */
static int failed(const struct kvm_arm64_machine *m, const char *name,
                  int error)
{
    if (error == ENXIO || error == ENOENT)
        return vmm_fail(VMM_ENOTSUP,
                        "kvm: %s: this kernel does not have it for guests",
                        name);
    if (error == EINVAL)
        return vmm_fail(VMM_ENOTSUP,
                        "kvm: %s: this kernel does not let it be that", name);
    return error ? kvm_fail(&m->kvm, name, error) : 0;
}

/* Meanwhile all vCPUs wait outside. */
static int transfer(struct vmm *vm, const struct place *p, const char *name,
                    uint64_t *value, bool write)
{
    const struct kvm_arm64_machine *m = vm->host;
    int error;

    kvm_shut(vm);
    if (p->group == KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS)
        error = attribute(m, write ? KVM_SET_DEVICE_ATTR : KVM_GET_DEVICE_ATTR,
                          p->group, p->affinity | p->at, value);
    else
        error = write ? set_at(m, p, *value) : get_at(m, p, value);
    kvm_unshut(vm);
    return failed(m, name, error);
}

/* ---- the distributor's ---------------------------------------------------- */

static int distributor(struct vmm *vm, vmm_reg reg, uint64_t *value, bool write)
{
    struct place p = {.group = KVM_DEV_ARM_VGIC_GRP_DIST_REGS,
                      .at = VMM_REG_NR(reg)};
    char name[32];
    int rc = usable(vm);

    if (rc < 0)
        return rc;
    if (VMM_REG_CLASS(reg) == VMM_GICM)
        return vmm_fail(VMM_ENOTSUP,
                        "kvm: gic: gicm registers: this kernel has "
                        "no frame for messages");
    rc = kvm_arm64_gic_affinity(vm->cpu[0], &p.affinity);
    snprintf(name, sizeof name, "gic: register 0x%" PRIx32, p.at);
    return rc < 0 ? rc : transfer(vm, &p, name, value, write);
}

static int gic_get(struct vmm *vm, vmm_reg reg, uint64_t *value)
{
    return distributor(vm, reg, value, false);
}

static int gic_set(struct vmm *vm, vmm_reg reg, uint64_t value)
{
    return distributor(vm, reg, &value, true);
}

/* ---- a vCPU's ------------------------------------------------------------- */

bool kvm_arm64_gic_has(uint32_t nr)
{
    const uint32_t icc = VMM_A64_SYSREG(3, 0, 12, 8, 0);
    const uint32_t past = VMM_A64_SYSREG(3, 0, 13, 0, 0);

    return nr == VMM_A64_SYSREG(3, 0, 4, 6, 0) || /* ICC_PMR_EL1 */
           (nr >= icc && nr < past);
}

static int of_vcpu(struct kvm_arm64 *a, vmm_reg reg, uint64_t *value,
                   bool write)
{
    struct vmm *vm = a->cpu->vm;
    const char *name = vmm_reg_called(VMM_ARM64, reg);
    struct place p = {.group = VMM_REG_CLASS(reg) == VMM_GICR
                                   ? KVM_DEV_ARM_VGIC_GRP_REDIST_REGS
                                   : KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS,
                      .at = VMM_REG_NR(reg)};
    int rc;

    if (vm->gic.ranges == 0)
        return vmm_fail(VMM_ENOTSUP, "kvm: %s: needs a gic: vm:gic{} makes one",
                        name);
    if (VMM_REG_CLASS(reg) == VMM_VCPU && write)
        return vmm_fail(VMM_EINVAL, "kvm: %s: it can only be read", name);
    if (VMM_REG_CLASS(reg) == VMM_VCPU) {
        *value = vm->gic.range[1].at + (uint64_t)a->number * REDISTRIBUTOR;
        return 0;
    }
    rc = usable(vm);
    if (rc == 0)
        rc = kvm_arm64_gic_affinity(a->cpu, &p.affinity);
    return rc < 0 ? rc : transfer(vm, &p, name, value, write);
}

int kvm_arm64_gic_get(struct kvm_arm64 *a, vmm_reg reg, uint64_t *value)
{
    return of_vcpu(a, reg, value, false);
}

int kvm_arm64_gic_set(struct kvm_arm64 *a, vmm_reg reg, uint64_t value)
{
    return of_vcpu(a, reg, &value, true);
}

const struct vmm_gic_ops kvm_arm64_gic_ops = {
    .open = gic_open,
    .spi = gic_spi,
    .reset = kvm_arm64_gic_reset,
    .get = gic_get,
    .set = gic_set,
    .save = kvm_arm64_gic_save,
    .restore = kvm_arm64_gic_restore,
};
#endif
