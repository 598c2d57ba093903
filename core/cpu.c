/* SPDX-License-Identifier: MIT */
/* cpu.c - vCPUs: making them, their registers, interrupts and breakpoints. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "backend.h"

int vmm_cpu_open(struct vmm *vm, struct vmm_cpu **result)
{
    struct vmm_cpu *cpu;
    int rc;

    *result = NULL;
    if (vm->loop)
        return vmm_fail(VMM_ESTATE, "vcpu: the machine is running: add vcpus "
                                    "before it runs");
    if (vm->gic.ranges && vm->ran) /* whose guests know how many there are */
        return vmm_fail(VMM_ESTATE, "vcpu: the machine has a gic, and has run: "
                                    "make its vcpus before that");
    if (vm->cpus == VMM_MAX_CPUS)
        return vmm_fail(VMM_EINVAL, "vcpu: a machine has at most %d",
                        VMM_MAX_CPUS);
    cpu = calloc(1, sizeof *cpu);
    if (!cpu)
        return vmm_fail(VMM_ENOMEM, "vcpu: out of memory");
    cpu->vm = vm;
    cpu->index = vm->cpus;
    rc = vm->ops->cpu_open(cpu);
    if (rc < 0) {
        free(cpu);
        return rc;
    }
    vm->cpu[vm->cpus++] = cpu;
    *result = cpu;
    return 0;
}

void vmm_cpu_close(struct vmm_cpu *cpu)
{
    struct vmm *vm = cpu->vm;

    vm->cpu[--vm->cpus] = NULL;
    vm->ops->cpu_close(cpu);
    free(cpu);
}

unsigned vmm_cpu_index(const struct vmm_cpu *cpu)
{
    return cpu->index;
}

struct vmm *vmm_cpu_vm(const struct vmm_cpu *cpu)
{
    return cpu->vm;
}

/* A vCPU in the guest can be neither looked at nor changed; while the machine
 * runs only the one whose callback this is stands still for certain. */
int vmm_still(const struct vmm_cpu *cpu)
{
    if (!cpu->running || cpu->vm->current == cpu)
        return 0;
    return vmm_fail(VMM_ESTATE,
                    "vcpu %u: it is running: only its own handlers can use it "
                    "until the run has ended",
                    cpu->index);
}

static int cannot(const struct vmm_cpu *cpu, const char *what)
{
    return vmm_cannot(cpu->vm, what, NULL);
}

static int set_trap(struct vmm_cpu *cpu, const union vmm_value *value)
{
    bool old = cpu->debug.trap;
    int rc;

    if (!cpu->vm->ops->debug)
        return cannot(cpu, "trap_debug");
    cpu->debug.trap = value->u64 != 0;
    rc = cpu->vm->ops->debug(cpu);
    if (rc < 0)
        cpu->debug.trap = old;
    return rc;
}

/* A class of registers that only some backends have: is it there? */
static int check_class(const struct vmm_cpu *cpu, vmm_reg reg)
{
    unsigned class = VMM_REG_CLASS(reg);
    const struct vmm *vm = cpu->vm;

    if (class < VMM_VCPU || (class < 32 && vm->ops->classes >> class & 1))
        return 0;
    return vmm_cannot(vm, vmm_reg_called(vm->arch, reg),
                      class == VMM_GICR ? VMM_GIC_BACKENDS : "hvf");
}

int vmm_get(struct vmm_cpu *cpu, vmm_reg reg, union vmm_value *value)
{
    int rc = vmm_still(cpu);

    if (rc == 0 && reg == VMM_REG(VMM_VCPU, VMM_TRAP_DEBUG) &&
        !(cpu->vm->ops->classes >> VMM_VCPU & 1)) {
        value->u64 = cpu->debug.trap;
        return 0;
    }
    if (rc == 0)
        rc = check_class(cpu, reg);
    return rc < 0 ? rc : cpu->vm->ops->get(cpu, reg, value);
}

int vmm_set(struct vmm_cpu *cpu, vmm_reg reg, const union vmm_value *value)
{
    int rc = vmm_still(cpu);

    if (rc < 0)
        return rc;
    if (reg == VMM_REG(VMM_VCPU, VMM_TRAP_DEBUG))
        return set_trap(cpu, value);
    rc = check_class(cpu, reg);
    return rc < 0 ? rc : cpu->vm->ops->set(cpu, reg, value);
}

int vmm_get_bytes(struct vmm_cpu *cpu, vmm_reg reg, void *to, size_t *size)
{
    size_t room = to ? *size : 0;
    int rc = vmm_still(cpu);

    if (rc == 0)
        rc = check_class(cpu, reg);
    if (rc == 0)
        rc = cpu->vm->ops->get_bytes(cpu, reg, NULL, size);
    if (rc < 0 || !to)
        return rc;
    if (room < *size)
        return vmm_fail(VMM_EINVAL, "%s: has %zu bytes, there is room for %zu",
                        vmm_reg_called(cpu->vm->arch, reg), *size, room);
    return cpu->vm->ops->get_bytes(cpu, reg, to, size);
}

int vmm_set_bytes(struct vmm_cpu *cpu, vmm_reg reg, const void *from,
                  size_t size)
{
    size_t has = 0;
    int rc = vmm_get_bytes(cpu, reg, NULL, &has);

    if (rc < 0)
        return rc;
    if (size != has)
        return vmm_fail(VMM_EINVAL, "%s: has %zu bytes, got %zu",
                        vmm_reg_called(cpu->vm->arch, reg), has, size);
    return cpu->vm->ops->set_bytes(cpu, reg, from, size);
}

static int check_line(const struct vmm_cpu *cpu, enum vmm_line line)
{
    const struct vmm *vm = cpu->vm;
    const char *name = line == VMM_IRQ ? "irq" : "fiq";
    int rc = vmm_still(cpu);

    if (rc < 0)
        return rc;
    if (!vm->ops->line)
        return vmm_fail(VMM_ENOTSUP,
                        "%s: %s: not on this backend with %s guests: use "
                        "inject",
                        vm->ops->name, name, vmm_arch_name(vm->arch));
    if (vm->gic.ranges)
        return vmm_fail(VMM_ESTATE,
                        "%s: this machine has a gic, which drives the line: "
                        "use gic:spi()",
                        name);
    return 0;
}

int vmm_line(struct vmm_cpu *cpu, enum vmm_line line, bool level)
{
    int rc = check_line(cpu, line);

    return rc < 0 ? rc : cpu->vm->ops->line(cpu, line, level);
}

int vmm_line_at(struct vmm_cpu *cpu, enum vmm_line line, bool *level)
{
    int rc = check_line(cpu, line);

    return rc < 0 ? rc : cpu->vm->ops->line_at(cpu, line, level);
}

int vmm_inject(struct vmm_cpu *cpu, const struct vmm_event *event)
{
    int rc = vmm_still(cpu);

    if (rc < 0)
        return rc;
    return cpu->vm->ops->inject ? cpu->vm->ops->inject(cpu, event)
                                : cannot(cpu, "inject");
}

int vmm_translate(struct vmm_cpu *cpu, uint64_t va, uint64_t *pa)
{
    int rc = vmm_still(cpu);

    if (rc < 0)
        return rc;
    if (cpu->vm->ops->unmapped && cpu->vm->ops->unmapped(cpu)) {
        *pa = va;
        return 1;
    }
    return cpu->vm->arch == VMM_ARM64 ? vmm_arm64_translate(cpu, va, pa)
                                      : vmm_x86_translate(cpu, va, pa);
}

/* ---- breakpoints and watchpoints ----------------------------------------- */

/* Tell the backend what cpu->debug has become; on failure it is as it was. */
static int apply(struct vmm_cpu *cpu, const struct vmm_debug *old)
{
    int rc = cpu->vm->ops->debug(cpu);

    if (rc < 0)
        cpu->debug = *old;
    return rc;
}

int vmm_breakpoint(struct vmm_cpu *cpu, uint64_t va, bool on)
{
    struct vmm_debug old = cpu->debug, *d = &cpu->debug;
    unsigned i = 0;
    int rc = vmm_still(cpu);

    if (rc < 0)
        return rc;
    if (!cpu->vm->ops->debug)
        return cannot(cpu, "breakpoint");
    while (i < d->breaks && d->brk[i] != va)
        i++;
    if (on == (i < d->breaks))
        return 0;
    if (on && d->breaks == VMM_MAX_BREAK)
        return vmm_fail(VMM_EINVAL, "breakpoint: all %d are in use",
                        VMM_MAX_BREAK);
    if (on)
        d->brk[d->breaks++] = va;
    else
        d->brk[i] = d->brk[--d->breaks];
    return apply(cpu, &old);
}

int vmm_watchpoint(struct vmm_cpu *cpu, uint64_t va, unsigned size,
                   unsigned access, bool on)
{
    struct vmm_debug old = cpu->debug, *d = &cpu->debug;
    struct vmm_watch watch = {va, size, access};
    unsigned i = 0;
    int rc = vmm_still(cpu);

    if (rc < 0)
        return rc;
    if ((size != 1 && size != 2 && size != 4 && size != 8) || va % size)
        return vmm_fail(VMM_EINVAL,
                        "watchpoint: %u bytes at 0x%" PRIx64 ": watch 1, 2, 4 "
                        "or 8 bytes at a multiple of that",
                        size, va);
    if (!cpu->vm->ops->debug)
        return cannot(cpu, "watchpoint");
    if (access == 0 || access & ~(unsigned)(VMM_R | VMM_W))
        return vmm_fail(VMM_EINVAL, "watchpoint: access: needs r or w");
    while (i < d->watches && (d->watch[i].va != va || d->watch[i].size != size))
        i++;
    if (!on && i == d->watches)
        return 0;
    if (on && i == VMM_MAX_WATCH)
        return vmm_fail(VMM_EINVAL, "watchpoint: all %d are in use",
                        VMM_MAX_WATCH);
    if (!on)
        d->watch[i] = d->watch[--d->watches];
    else
        d->watch[i] = watch;
    if (on && i == d->watches)
        d->watches++;
    return apply(cpu, &old);
}
