/* SPDX-License-Identifier: MIT */
/* kvm_arm64.c - arm64 guests on arm64 Linux by KVM: the machine, its vCPUs, their
 * interrupt lines. */
#include "backend.h"

#if defined(__linux__) && defined(__aarch64__)
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "kvm_arm64_gic.h"

/* ---- machines ------------------------------------------------------------ */

/* What there is on every processor that a kernel knows which cannot tell. */
enum { OLD_BITS = 40 };

/* The widest addresses that there are, but for those that take tables of their
 * own kind: what is not used costs nothing. */
unsigned kvm_arm64_ipa_bits(int dev)
{
    int bits = ioctl(dev, KVM_CHECK_EXTENSION, KVM_CAP_ARM_VM_IPA_SIZE);

    return bits <= 0 ? OLD_BITS : bits < 48 ? (unsigned)bits : 48;
}

unsigned long kvm_vm_type(int dev)
{
    unsigned bits = kvm_arm64_ipa_bits(dev);

    return bits == OLD_BITS ? 0 : KVM_VM_TYPE_ARM_IPA_SIZE((unsigned long)bits);
}

/* Linux 6.4's; headers may be older. */
#ifndef KVM_ARM_VM_SMCCC_CTRL
enum {
    KVM_ARM_VM_SMCCC_CTRL = 0,
    KVM_ARM_VM_SMCCC_FILTER = 0,
    KVM_SMCCC_FILTER_FWD_TO_USER = 2
};

struct kvm_smccc_filter {
    __u32 base, nr_functions;
    __u8 action, pad[15];
};
#endif

/* All hypercalls come to us, but for the two ranges that the kernel keeps: those
 * of the architecture itself, which tell what the processor suffers from. */
static bool filter(const struct kvm_machine *m)
{
    static const struct kvm_smccc_filter ranges[] = {
        {0x00000000, 0x80000000, KVM_SMCCC_FILTER_FWD_TO_USER, {0}},
        {0x80010000, 0x3fff0000, KVM_SMCCC_FILTER_FWD_TO_USER, {0}},
        {0xc0010000, 0x3fff0000, KVM_SMCCC_FILTER_FWD_TO_USER, {0}},
    };

    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        struct kvm_device_attr attr = {
            .group = KVM_ARM_VM_SMCCC_CTRL,
            .attr = KVM_ARM_VM_SMCCC_FILTER,
            .addr = (uintptr_t)&ranges[i],
        };

        if (ioctl(m->vm, KVM_SET_DEVICE_ATTR, &attr) < 0)
            return false;
    }
    return true;
}

/* Where the kernel can: let us see the accesses that the syndrome does not
 * describe, instead of a failure. */
static int want_exits(const struct kvm_machine *m)
{
    struct kvm_enable_cap undescribed = {.cap = KVM_CAP_ARM_NISV_TO_USER};

    if (kvm_cap(m, KVM_CAP_ARM_NISV_TO_USER) &&
        ioctl(m->vm, KVM_ENABLE_CAP, &undescribed) < 0)
        return kvm_fail(m, "exits for mmio", errno);
    return 0;
}

static void arm64_close(struct vmm *vm)
{
    struct kvm_arm64_machine *m = vm->host;

    kvm_arm64_idler_close(m);
    if (m->gic >= 0)
        close(m->gic);
    kvm_close(&m->kvm);
    free(m);
    vm->host = NULL;
}

static int arm64_open(struct vmm *vm)
{
    struct kvm_arm64_machine *m = calloc(1, sizeof *m);
    int rc;

    if (!m)
        return vmm_fail(VMM_ENOMEM, "kvm: make a machine: out of memory");
    vm->host = m;
    m->gic = -1;
    kvm_arm64_idler_open(m);
    rc = kvm_open(&m->kvm);
    if (rc == 0)
        rc = want_exits(&m->kvm);
    if (rc < 0) {
        arm64_close(vm);
        return rc;
    }
    m->filter = filter(&m->kvm);
    return 0;
}

/* Also where the host's pages are larger, which is what it maps by. */
static uint64_t page_size(const struct vmm *vm)
{
    (void)vm;
    return (uint64_t)sysconf(_SC_PAGESIZE);
}

static void wrote(struct vmm *vm, const struct vmm_mem *mem, uint64_t at,
                  uint64_t n)
{
    char *start = (char *)mem->host + (at - mem->range.at);

    (void)vm;
    __builtin___clear_cache(start, start + n);
}

static int caps(struct vmm_caps *caps)
{
    struct kvm_machine m = {0};
    int rc = kvm_open(&m);

    if (rc == 0) {
        vmm_cap_number(caps, "page_size", page_size(NULL));
        rc = kvm_arm64_gic_caps(&m, caps);
    }
    kvm_close(&m);
    return rc;
}

static int hypercalls(struct vmm *vm)
{
    const struct kvm_arm64_machine *m = vm->host;
    struct utsname name;

    if (m->filter)
        return 0;
    uname(&name);
    return vmm_fail(VMM_ENOTSUP,
                    "kvm: hypercall: Linux %s keeps hvc to itself: boot 6.4 or "
                    "newer, or have the guest store to a doorbell: "
                    "vm:hypercall { via = \"mmio\", at = ... }",
                    name.release);
}

/* ---- vCPUs --------------------------------------------------------------- */

/* The host's processor, with what guests may have of it. PSCI is the kernel's
 * where no filter brings it to us. */
static int init(struct kvm_arm64 *a)
{
    const struct kvm_machine *m = a->vcpu.machine;
    struct kvm_vcpu_init init;

    if (ioctl(m->vm, KVM_ARM_PREFERRED_TARGET, &init) < 0)
        return kvm_fail(m, "preferred target", errno);
    init.features[0] |= 1u << KVM_ARM_VCPU_PSCI_0_2;
    if (kvm_cap(m, KVM_CAP_ARM_PTRAUTH_ADDRESS) &&
        kvm_cap(m, KVM_CAP_ARM_PTRAUTH_GENERIC))
        init.features[0] |= 1u << KVM_ARM_VCPU_PTRAUTH_ADDRESS |
                            1u << KVM_ARM_VCPU_PTRAUTH_GENERIC;
    if (ioctl(a->vcpu.fd, KVM_ARM_VCPU_INIT, &init) < 0)
        return kvm_fail(m, "initialize a vcpu", errno);
    return 0;
}

static void arm64_cpu_close(struct vmm_cpu *cpu)
{
    struct kvm_arm64 *a = cpu->host;

    kvm_arm64_idler_remove(a);
    kvm_vcpu_close(&a->vcpu);
    free(a);
    cpu->host = NULL;
}

static int arm64_cpu_open(struct vmm_cpu *cpu)
{
    struct kvm_arm64_machine *m = cpu->vm->host;
    struct kvm_arm64 *a;
    int rc;

    if (atomic_load(&m->gic_ready))
        return vmm_fail(VMM_ESTATE, "kvm: make a vcpu: the gic is in use: make "
                                    "them all before they run and before its "
                                    "registers and lines are used");
    a = calloc(1, sizeof *a);
    if (!a)
        return vmm_fail(VMM_ENOMEM, "kvm: make a vcpu: out of memory");
    cpu->host = a;
    a->cpu = cpu;
    a->machine = m;
    a->number = m->kvm.made;
    rc = kvm_vcpu_open(&m->kvm, &a->vcpu);
    if (rc == 0)
        rc = init(a);
    if (rc == 0)
        rc = kvm_arm64_reset(a);
    if (rc < 0)
        arm64_cpu_close(cpu);
    else
        kvm_arm64_idler_add(a);
    return rc;
}

static int arm64_line(struct vmm_cpu *cpu, enum vmm_line line, bool level)
{
    struct kvm_arm64 *a = cpu->host;
    const struct kvm_machine *m = a->vcpu.machine;
    struct kvm_irq_level irq = {
        .irq = KVM_ARM_IRQ_TYPE_CPU << KVM_ARM_IRQ_TYPE_SHIFT |
               (a->number & KVM_ARM_IRQ_VCPU_MASK) << KVM_ARM_IRQ_VCPU_SHIFT |
               (a->number >> 8 & KVM_ARM_IRQ_VCPU2_MASK)
                   << KVM_ARM_IRQ_VCPU2_SHIFT |
               (line == VMM_IRQ ? KVM_ARM_IRQ_CPU_IRQ : KVM_ARM_IRQ_CPU_FIQ),
        .level = level,
    };

    if (ioctl(m->vm, KVM_IRQ_LINE, &irq) < 0)
        return kvm_fail(m, "interrupt line", errno);
    a->line[line] = level;
    return 0;
}

static int arm64_line_at(struct vmm_cpu *cpu, enum vmm_line line, bool *level)
{
    const struct kvm_arm64 *a = cpu->host;

    *level = a->line[line];
    return 0;
}

const struct vmm_ops vmm_kvm_arm64_ops = {
    .name = "kvm",
    .arch = VMM_ARM64,
    .threads = true,
    .classes = 1 << VMM_VCPU | 1 << VMM_GICR,
    .probe = kvm_probe,
    .caps = caps,
    .open = arm64_open,
    .close = arm64_close,
    .page_size = page_size,
    .hypercalls = hypercalls,
    .map = kvm_map,
    .unmap = kvm_unmap,
    .protect = kvm_protect,
    .wrote = wrote,
    .cpu_open = arm64_cpu_open,
    .cpu_close = arm64_cpu_close,
    .run = kvm_arm64_run,
    .answer = kvm_arm64_answer,
    .settle = kvm_arm64_settle,
    .kick = kvm_kick,
    .get = kvm_arm64_get,
    .set = kvm_arm64_set,
    .line = arm64_line,
    .line_at = arm64_line_at,
    .inject = vmm_arm64_inject,
    .debug = kvm_arm64_debug,
    .gic = &kvm_arm64_gic_ops,
};
#endif
