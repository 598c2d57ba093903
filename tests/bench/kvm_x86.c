/* SPDX-License-Identifier: MIT */
/* kvm_x86.c - x86_64 guests on /dev/kvm, by hand:
 *
 *   kvm_x86 pio n code     what the guest writes to port 0x10 is added up; it
 *                          ends with HLT
 *   kvm_x86 start n code   up to the first hypercall, out %al, $0xe8
 *
 * The guest's code is at 0x1000, in real mode, its count n in eax. */
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "bench.h"

#if defined(__linux__) && defined(__x86_64__)
#include <linux/kvm.h>

enum { RAM = 16 << 20, CODE = 0x1000, PORT = 0x10, HYPERCALL = 0xe8 };

struct machine {
    int vcpu;
    struct kvm_run *run;
};

static uint8_t *open_vm(int *dev, int *vm)
{
    uint8_t *ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    struct kvm_userspace_memory_region region = {
        .memory_size = RAM, .userspace_addr = (uintptr_t)ram};

    need(ram != MAP_FAILED, "mmap");
    *dev = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    need(*dev >= 0, "/dev/kvm");
    *vm = ioctl(*dev, KVM_CREATE_VM, 0);
    need(*vm >= 0, "KVM_CREATE_VM");
    need(ioctl(*vm, KVM_SET_USER_MEMORY_REGION, &region) == 0, "map");
    return ram;
}

static void open_machine(struct machine *m, const char *hex, uint64_t n)
{
    struct kvm_regs regs = {.rip = CODE, .rflags = 2, .rax = n};
    struct kvm_sregs sregs;
    int dev, vm;

    code(hex, open_vm(&dev, &vm) + CODE, 4096);
    m->vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
    need(m->vcpu >= 0, "KVM_CREATE_VCPU");
    m->run = mmap(NULL, (size_t)ioctl(dev, KVM_GET_VCPU_MMAP_SIZE, 0),
                  PROT_READ | PROT_WRITE, MAP_SHARED, m->vcpu, 0);
    need(m->run != MAP_FAILED, "mmap");
    need(ioctl(m->vcpu, KVM_GET_SREGS, &sregs) == 0, "KVM_GET_SREGS");
    sregs.cs.base = sregs.cs.selector = 0;
    need(ioctl(m->vcpu, KVM_SET_SREGS, &sregs) == 0, "KVM_SET_SREGS");
    need(ioctl(m->vcpu, KVM_SET_REGS, &regs) == 0, "KVM_SET_REGS");
}

static uint64_t run(struct machine *m)
{
    uint64_t sum = 0;

    for (;;) {
        uint32_t value;

        need(ioctl(m->vcpu, KVM_RUN, 0) == 0, "KVM_RUN");
        if (m->run->exit_reason == KVM_EXIT_HLT)
            return sum;
        need(m->run->exit_reason == KVM_EXIT_IO && m->run->io.port == PORT &&
                 m->run->io.direction == KVM_EXIT_IO_OUT &&
                 m->run->io.size == 4,
             "not the port");
        memcpy(&value, (uint8_t *)m->run + m->run->io.data_offset, 4);
        sum += value;
    }
}

static void first(struct machine *m)
{
    struct kvm_regs regs;

    need(ioctl(m->vcpu, KVM_RUN, 0) == 0, "KVM_RUN");
    need(m->run->exit_reason == KVM_EXIT_IO && m->run->io.port == HYPERCALL,
         "not a hypercall");
    need(ioctl(m->vcpu, KVM_GET_REGS, &regs) == 0, "KVM_GET_REGS");
    arrived((char)regs.rdi);
}

int main(int argc, char **argv)
{
    struct machine m;
    uint64_t start, sum;

    need(argc == 4, "usage: kvm_x86 pio|start n code");
    open_machine(&m, argv[3], strtoull(argv[2], NULL, 0));
    if (strcmp(argv[1], "start") == 0) {
        first(&m);
        return 0;
    }
    start = now();
    sum = run(&m);
    result(now() - start, sum);
    return 0;
}
#else
int main(void)
{
    need(0, "there is no KVM for x86_64 guests here");
}
#endif
