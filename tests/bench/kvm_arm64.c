/* SPDX-License-Identifier: MIT */
/* kvm_arm64.c - an arm64 guest on /dev/kvm, by hand:
 *
 *   kvm_arm64 mmio n code   what the guest stores to DEVICE is added up; it ends
 *                           with a store to END
 *
 * The guest's code is at 0x1000, its count n in x19. */
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "bench.h"

#if defined(__linux__) && defined(__aarch64__)
#include <linux/kvm.h>

enum { RAM = 16 << 20, CODE = 0x1000, DEVICE = 0x9000000, END = 0x9100000 };
enum {
    PTRAUTH =
        1 << KVM_ARM_VCPU_PTRAUTH_ADDRESS | 1 << KVM_ARM_VCPU_PTRAUTH_GENERIC
};

struct machine {
    int vcpu;
    struct kvm_run *run;
};

static void set_core(int vcpu, uint64_t offset, uint64_t value)
{
    struct kvm_one_reg reg = {
        .id = KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE |
              offset / sizeof(uint32_t),
        .addr = (uintptr_t)&value,
    };

    need(ioctl(vcpu, KVM_SET_ONE_REG, &reg) == 0, "KVM_SET_ONE_REG");
}

static void open_machine(struct machine *m, const char *hex, uint64_t n)
{
    uint8_t *ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    struct kvm_userspace_memory_region region = {
        .memory_size = RAM, .userspace_addr = (uintptr_t)ram};
    struct kvm_vcpu_init init;
    int dev = open("/dev/kvm", O_RDWR | O_CLOEXEC), vm;

    need(ram != MAP_FAILED, "mmap");
    need(dev >= 0, "/dev/kvm");
    vm = ioctl(dev, KVM_CREATE_VM, 0);
    need(vm >= 0, "KVM_CREATE_VM");
    need(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) == 0, "map");
    code(hex, ram + CODE, 4096);
    m->vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
    need(m->vcpu >= 0, "KVM_CREATE_VCPU");
    need(ioctl(vm, KVM_ARM_PREFERRED_TARGET, &init) == 0, "target");
    if (ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_ARM_PTRAUTH_ADDRESS) > 0)
        init.features[0] |= PTRAUTH; /* the processor that hvlua's guest has */
    need(ioctl(m->vcpu, KVM_ARM_VCPU_INIT, &init) == 0, "KVM_ARM_VCPU_INIT");
    m->run = mmap(NULL, (size_t)ioctl(dev, KVM_GET_VCPU_MMAP_SIZE, 0),
                  PROT_READ | PROT_WRITE, MAP_SHARED, m->vcpu, 0);
    need(m->run != MAP_FAILED, "mmap");
    set_core(m->vcpu, offsetof(struct kvm_regs, regs.pc), CODE);
    set_core(m->vcpu, offsetof(struct kvm_regs, regs.regs[19]), n);
}

static uint64_t run(struct machine *m)
{
    uint64_t sum = 0;

    for (;;) {
        uint32_t value;

        need(ioctl(m->vcpu, KVM_RUN, 0) == 0, "KVM_RUN");
        need(m->run->exit_reason == KVM_EXIT_MMIO && m->run->mmio.is_write,
             "not a store");
        if (m->run->mmio.phys_addr == END)
            return sum;
        need(m->run->mmio.phys_addr == DEVICE && m->run->mmio.len == 4,
             "not the device");
        memcpy(&value, m->run->mmio.data, sizeof value);
        sum += value;
    }
}

int main(int argc, char **argv)
{
    struct machine m;
    uint64_t start, sum;

    need(argc == 4 && strcmp(argv[1], "mmio") == 0,
         "usage: kvm_arm64 mmio n code");
    open_machine(&m, argv[3], strtoull(argv[2], NULL, 0));
    start = now();
    sum = run(&m);
    result(now() - start, sum);
    return 0;
}
#else
int main(void)
{
    need(0, "there is no KVM for arm64 guests here");
}
#endif
