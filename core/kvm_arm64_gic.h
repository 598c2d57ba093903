/* SPDX-License-Identifier: MIT */
/* kvm_arm64_gic.h - the kernel's GICv3.
 *   kvm_arm64_gic.c        making it, its lines, its registers
 *   kvm_arm64_gic_state.c  all of its state: saved, restored, as it began */
#ifndef VMM_KVM_ARM64_GIC_H
#define VMM_KVM_ARM64_GIC_H

#include "kvm_arm64.h"

/* The most that the kernel lets one have: of the SPIs' last 32, none. */
enum { KVM_ARM64_FIRST_SPI = 32, KVM_ARM64_INTERRUPTS = 992 };

enum { KVM_ARM64_GICD_ICFGR = 0xc00 };

/* ---- kvm_arm64_gic.c ----------------------------------------------------- */

extern const struct vmm_gic_ops kvm_arm64_gic_ops;

/* Add its measures, where this host has one for guests. */
int kvm_arm64_gic_caps(const struct kvm_machine *m, struct vmm_caps *caps);
/* 0: no vCPU can be made any more, and what there is of them can be used. VMM_ESTATE:
 * there are none yet. Without a GIC it does nothing. */
int kvm_arm64_gic_ready(struct vmm *vm);

/* Is this system register the GIC's, one of ICC_*? */
bool kvm_arm64_gic_has(uint32_t nr);
/* What a vCPU has of it; VMM_ENOTSUP in a machine without. */
int kvm_arm64_gic_get(struct kvm_arm64 *a, vmm_reg reg, uint64_t *value);
int kvm_arm64_gic_set(struct kvm_arm64 *a, vmm_reg reg, uint64_t value);

/* Which vCPU is meant, as attributes have it. */
int kvm_arm64_gic_affinity(struct vmm_cpu *cpu, uint64_t *attr);
/* The 32 bits that an attribute stands for; no vCPU may be in the guest. 0, or the
 * errno. */
int kvm_arm64_gic_read(const struct kvm_arm64_machine *m, uint32_t group,
                       uint64_t attr, uint32_t *word);
int kvm_arm64_gic_write(const struct kvm_arm64_machine *m, uint32_t group,
                        uint64_t attr, uint32_t word);

/* ---- kvm_arm64_gic_state.c ----------------------------------------------- */

/* struct vmm_gic_ops's members. */
int kvm_arm64_gic_reset(struct vmm *vm);
int kvm_arm64_gic_save(struct vmm *vm, void *to, size_t *size);
int kvm_arm64_gic_restore(struct vmm *vm, const void *from, size_t size);

#endif
