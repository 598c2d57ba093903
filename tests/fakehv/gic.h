/* SPDX-License-Identifier: MIT */
/* gic.h - the state of the GICv3, for gic.c, gic_host.c and gic_guest.c. */
#ifndef FAKE_GIC_H
#define FAKE_GIC_H

#include "engine.h"

enum {
    GICD_SIZE = 0x10000,
    GICR_SIZE = 0x20000,
    GICR_REGION = 0x2000000,
    GICM_SIZE = 0x10000,
    GIC_ALIGNMENT = 0x10000,
    FIRST_SPI = 32,
    PAST_SPI = 1020,
    WORDS = 32,
    NO_INTERRUPT = 1023
};

/* Interrupts by the number: 32 of a vCPU's own, or the SPIs. */
struct bank {
    uint32_t first, past; /* numbers */
    uint32_t group[WORDS], enabled[WORDS], latch[WORDS], line[WORDS],
        active[WORDS], edge[WORDS];
    uint8_t priority[WORDS * 32];
};

struct gic {
    hv_ipa_t distributor, redistributor, msi;
    bool has_msi;
    uint32_t msi_intid, msi_count;
    uint32_t ctlr;
    struct bank spi;
    uint64_t router[PAST_SPI];
};

enum { LIST_REGISTERS = 8, ICH_OTHERS = 3, ICV_REGS = 10 };

struct gic_cpu {
    struct bank own;
    uint32_t pmr, bpr0, bpr1, ctlr, igrpen0, igrpen1, ap0r0, ap1r0;
    uint32_t sre_el2, waker;
    uint64_t ap0r0_el2, ap1r0_el2, hcr, vmcr, lr[LIST_REGISTERS];
    uint64_t status; /* what LRs say, where that was asked for last */
    uint64_t icv[ICV_REGS];
};

/* ---- gic.c ---------------------------------------------------------------- */

/* The state after a reset. */
void gic_reset_bank(struct bank *b);
void gic_reset_cpu(struct gic_cpu *c);
/* One 32-bit register of a distributor, or of a redistributor's second page,
 * which are laid out alike. False: not one of these. */
bool gic_bank_register(struct bank *b, uint32_t offset, bool write,
                       uint32_t *value);
bool gic_distributor_register(struct gic *g, uint32_t offset, bool write,
                              uint64_t *value);
bool gic_redistributor_register(struct vcpu *v, uint32_t offset, bool write,
                                uint64_t *value);
uint32_t gic_affinity(struct vcpu *v);
/* An edge, or a message. */
void gic_latch(struct gic *g, uint32_t intid);
bool gic_is_msi(const struct gic *g, uint32_t intid);

/* ---- gic_guest.c ---------------------------------------------------------- */

uint32_t gic_running_priority(const struct gic_cpu *c);

#endif
