/* SPDX-License-Identifier: MIT */
/* ioctls.c - to be preloaded: counts a program's KVM_RUNs, and what it asks KVM
 * for by registers, and tells when it exits. */
#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>

#include <linux/kvm.h>

int ioctl(int fd, unsigned long request, ...);

static unsigned long runs, registers;

static int is_register(unsigned long request)
{
    switch (request) {
    case KVM_GET_REGS:
    case KVM_SET_REGS:
    case KVM_GET_SREGS:
    case KVM_SET_SREGS:
    case KVM_GET_ONE_REG:
    case KVM_SET_ONE_REG:
    case KVM_GET_MSRS:
    case KVM_SET_MSRS:
    case KVM_GET_FPU:
    case KVM_SET_FPU:
    case KVM_GET_DEBUGREGS:
    case KVM_SET_DEBUGREGS:
    case KVM_GET_VCPU_EVENTS:
    case KVM_SET_VCPU_EVENTS:
    case KVM_GET_MP_STATE:
    case KVM_SET_MP_STATE:
        return 1;
    default:
        return 0;
    }
}

int ioctl(int fd, unsigned long request, ...)
{
    static int (*next)(int, unsigned long, void *);
    va_list args;
    void *argument;

    va_start(args, request);
    argument = va_arg(args, void *);
    va_end(args);
    if (!next)
        *(void **)&next = dlsym(RTLD_NEXT, "ioctl");
    runs += request == KVM_RUN;
    registers += (unsigned long)is_register(request);
    return next(fd, request, argument);
}

__attribute__((destructor)) static void tell(void)
{
    if (runs > 0)
        fprintf(stderr, "%lu\t%lu\n", runs, registers);
}
