/* SPDX-License-Identifier: MIT */
/* gic_guest.c - the GICv3 as a guest sees it: which interrupt comes next, the
 * CPU interface, and registers in memory. All is under the lock. */
#include "gic.h"

/* ---- which comes next ----------------------------------------------------- */

struct candidate {
    uint32_t intid, priority;
    bool group1;
};

static uint32_t lowest_bit(uint32_t bits)
{
    return (uint32_t)__builtin_ctz(bits);
}

uint32_t gic_running_priority(const struct gic_cpu *c)
{
    uint32_t active = c->ap0r0 | c->ap1r0;

    return active != 0 ? lowest_bit(active) * 8 : 0xff;
}

static bool is_routed(struct vcpu *v, uint32_t intid)
{
    const uint64_t any = UINT64_C(1) << 31;
    uint64_t router = fake_vm.gic->router[intid];

    if (router & any)
        return v->index == 0;
    return (uint32_t)((router & 0xffffff) | (router >> 8 & 0xff000000)) ==
           gic_affinity(v);
}

static void consider(struct vcpu *v, const struct bank *b, uint32_t word,
                     struct candidate *best)
{
    const struct gic *g = fake_vm.gic;
    uint32_t ready = (b->latch[word] | (b->line[word] & ~b->edge[word])) &
                     b->enabled[word] & ~b->active[word];

    ready &= (g->ctlr & 2 ? b->group[word] : 0) |
             (g->ctlr & 1 ? ~b->group[word] : 0);
    for (; ready != 0; ready &= ready - 1) {
        uint32_t bit = lowest_bit(ready), intid = word * 32 + bit;

        if (b->priority[intid] >= best->priority ||
            (intid >= FIRST_SPI && !is_routed(v, intid)))
            continue;
        best->intid = intid;
        best->priority = b->priority[intid];
        best->group1 = b->group[word] >> bit & 1;
    }
}

/* The pending interrupt of the highest priority; NO_INTERRUPT: none. */
static struct candidate next(struct vcpu *v)
{
    struct candidate best = {.intid = NO_INTERRUPT, .priority = 0x100};

    consider(v, &v->gic->own, 0, &best);
    for (uint32_t word = 1; word < WORDS; word++)
        consider(v, &fake_vm.gic->spi, word, &best);
    return best;
}

static bool is_signaled(const struct gic_cpu *c, const struct candidate *n)
{
    return n->intid != NO_INTERRUPT && n->priority < c->pmr &&
           n->priority < gic_running_priority(c) &&
           (n->group1 ? c->igrpen1 : c->igrpen0);
}

static void set_line(struct bank *b, uint32_t intid, bool level)
{
    uint32_t bit = UINT32_C(1) << intid % 32;

    b->line[intid / 32] =
        level ? b->line[intid / 32] | bit : b->line[intid / 32] & ~bit;
}

uint64_t gic_guest_lines(struct vcpu *v)
{
    struct candidate n;

    set_line(&v->gic->own, HV_GIC_INT_EL1_VIRTUAL_TIMER,
             fake_timer_virtual_fires(v));
    set_line(&v->gic->own, HV_GIC_INT_EL1_PHYSICAL_TIMER,
             fake_timer_physical_fires(v));
    n = next(v);
    if (!is_signaled(v->gic, &n))
        return 0;
    return n.group1 ? HCR_VI : HCR_VF;
}

/* ---- the CPU interface ---------------------------------------------------- */

static struct bank *bank_of(struct vcpu *v, uint32_t intid)
{
    return intid < FIRST_SPI ? &v->gic->own : &fake_vm.gic->spi;
}

static uint64_t acknowledge(struct vcpu *v, bool group1)
{
    struct candidate n;
    uint32_t bit, *active;

    gic_guest_lines(v);
    n = next(v);
    if (!is_signaled(v->gic, &n) || n.group1 != group1)
        return NO_INTERRUPT;
    bit = UINT32_C(1) << n.intid % 32;
    active = group1 ? &v->gic->ap1r0 : &v->gic->ap0r0;
    *active |= UINT32_C(1) << n.priority / 8;
    bank_of(v, n.intid)->active[n.intid / 32] |= bit;
    bank_of(v, n.intid)->latch[n.intid / 32] &= ~bit;
    return n.intid;
}

static void deactivate(struct vcpu *v, uint64_t intid)
{
    if (intid < PAST_SPI)
        bank_of(v, (uint32_t)intid)->active[intid / 32] &=
            ~(UINT32_C(1) << intid % 32);
}

static void end(struct vcpu *v, bool group1, uint64_t intid)
{
    enum { EOI_MODE = 2 };
    uint32_t *active = group1 ? &v->gic->ap1r0 : &v->gic->ap0r0;

    if (intid >= PAST_SPI)
        return;
    *active &= *active - 1;
    if (!(v->gic->ctlr & EOI_MODE))
        deactivate(v, intid);
}

static uint64_t highest_pending(struct vcpu *v, bool group1)
{
    struct candidate n;

    gic_guest_lines(v);
    n = next(v);
    return n.intid != NO_INTERRUPT && n.group1 == group1 ? n.intid
                                                         : NO_INTERRUPT;
}

/* Software-generated, to those that the value names. */
static void generate(struct vcpu *from, uint64_t value)
{
    uint32_t intid = value >> 24 & 15, targets = value & 0xffff;
    uint32_t affinity =
        (uint32_t)((value >> 16 & 0xff) << 8 | (value >> 32 & 0xff) << 16 |
                   (value >> 48 & 0xff) << 24);
    bool others = value >> 40 & 1;

    for (unsigned i = 0; i < MAX_VCPUS; i++) {
        struct vcpu *v = fake_vm.vcpu[i];
        uint32_t a;

        if (v == NULL || v->gic == NULL)
            continue;
        a = gic_affinity(v);
        if (others ? v != from
                   : (a & ~UINT32_C(0xff)) == affinity && (a & 0xff) < 16 &&
                         (targets >> (a & 15) & 1))
            v->gic->own.latch[0] |= UINT32_C(1) << intid;
    }
}

static bool plain(uint32_t *field, uint32_t mask, bool write, uint64_t *value)
{
    if (write)
        *field = (uint32_t)*value & mask;
    else
        *value = *field;
    return true;
}

/* Those that only hold a value. */
static bool holds(struct gic_cpu *c, uint32_t reg, bool write, uint64_t *value)
{
    enum { CTLR_FIXED = 4 << 8 | 1 << 15, SRE = 7 };

    switch (reg) {
    case HV_GIC_ICC_REG_PMR_EL1:
        return plain(&c->pmr, 0xf8, write, value);
    case HV_GIC_ICC_REG_BPR0_EL1:
        return plain(&c->bpr0, 7, write, value);
    case HV_GIC_ICC_REG_BPR1_EL1:
        return plain(&c->bpr1, 7, write, value);
    case HV_GIC_ICC_REG_AP0R0_EL1:
        return plain(&c->ap0r0, UINT32_MAX, write, value);
    case HV_GIC_ICC_REG_AP1R0_EL1:
        return plain(&c->ap1r0, UINT32_MAX, write, value);
    case HV_GIC_ICC_REG_IGRPEN0_EL1:
        return plain(&c->igrpen0, 1, write, value);
    case HV_GIC_ICC_REG_IGRPEN1_EL1:
        return plain(&c->igrpen1, 1, write, value);
    case HV_GIC_ICC_REG_CTLR_EL1:
        plain(&c->ctlr, 3, write, value);
        if (!write)
            *value |= CTLR_FIXED;
        return true;
    case HV_GIC_ICC_REG_SRE_EL1:
        if (!write)
            *value = SRE;
        return true;
    default:
        return false;
    }
}

enum {
    IAR0 = SYSREG(3, 0, 12, 8, 0),
    EOIR0 = SYSREG(3, 0, 12, 8, 1),
    HPPIR0 = SYSREG(3, 0, 12, 8, 2),
    DIR = SYSREG(3, 0, 12, 11, 1),
    SGI1R = SYSREG(3, 0, 12, 11, 5),
    ASGI1R = SYSREG(3, 0, 12, 11, 6),
    SGI0R = SYSREG(3, 0, 12, 11, 7),
    IAR1 = SYSREG(3, 0, 12, 12, 0),
    EOIR1 = SYSREG(3, 0, 12, 12, 1),
    HPPIR1 = SYSREG(3, 0, 12, 12, 2)
};

static bool reads(struct vcpu *v, uint32_t reg, uint64_t *value)
{
    switch (reg) {
    case IAR0:
    case IAR1:
        *value = acknowledge(v, reg == IAR1);
        return true;
    case HPPIR0:
    case HPPIR1:
        *value = highest_pending(v, reg == HPPIR1);
        return true;
    case HV_GIC_ICC_REG_RPR_EL1:
        *value = gic_running_priority(v->gic);
        return true;
    default:
        return false;
    }
}

static bool writes(struct vcpu *v, uint32_t reg, uint64_t value)
{
    switch (reg) {
    case EOIR0:
    case EOIR1:
        end(v, reg == EOIR1, value & 0xffffff);
        return true;
    case DIR:
        deactivate(v, value & 0xffffff);
        return true;
    case SGI0R:
    case SGI1R:
    case ASGI1R:
        generate(v, value);
        return true;
    default:
        return false;
    }
}

bool gic_guest_sysreg(struct vcpu *v, uint32_t reg, bool write, uint64_t *value)
{
    fake_gic_changed();
    if (holds(v->gic, reg, write, value))
        return true;
    return write ? writes(v, reg, *value) : reads(v, reg, value);
}

/* ---- registers in memory -------------------------------------------------- */

static struct vcpu *vcpu_of_frame(uint64_t n)
{
    for (unsigned i = 0; i < MAX_VCPUS; i++)
        if (fake_vm.vcpu[i] != NULL && fake_vm.vcpu[i]->index == n)
            return fake_vm.vcpu[i];
    return NULL;
}

static bool message(struct gic *g, uint32_t offset, bool write, uint64_t *value)
{
    if (write && offset == HV_GIC_REG_GICM_SET_SPI_NSR &&
        gic_is_msi(g, (uint32_t)*value))
        gic_latch(g, (uint32_t)*value);
    else if (!write && offset == HV_GIC_REG_GICM_TYPER)
        *value = g->msi_intid << 16 | g->msi_count;
    else if (!write)
        *value = 0;
    return true;
}

/* A whole register; what there is none at reads as zero. */
static bool access_register(struct gic *g, uint64_t ipa, bool write,
                            uint64_t *value)
{
    bool known;

    if (ipa - g->distributor < GICD_SIZE) {
        known = gic_distributor_register(g, (uint32_t)(ipa - g->distributor),
                                         write, value);
    } else if (ipa - g->redistributor < GICR_REGION) {
        struct vcpu *owner =
            vcpu_of_frame((ipa - g->redistributor) / GICR_SIZE);

        if (owner != NULL && !owner->mpidr_set)
            return false;
        known = owner != NULL &&
                gic_redistributor_register(
                    owner, (uint32_t)((ipa - g->redistributor) % GICR_SIZE),
                    write, value);
    } else {
        return message(g, (uint32_t)(ipa - g->msi), write, value);
    }
    if (!known && !write)
        *value = 0;
    return true;
}

static bool is_64_bit(const struct gic *g, uint64_t ipa)
{
    if (ipa - g->distributor < GICD_SIZE)
        return ipa - g->distributor >= 0x6000 &&
               ipa - g->distributor < 0x6000 + 8 * PAST_SPI;
    return ipa - g->redistributor < GICR_REGION &&
           (ipa - g->redistributor) % GICR_SIZE / 8 ==
               HV_GIC_REDISTRIBUTOR_REG_GICR_TYPER / 8;
}

/* Any part of a register: by way of the whole. Only priorities may be written
 * by the byte. */
bool gic_guest_access(struct vcpu *v, uint64_t ipa, unsigned size, bool write,
                      uint64_t *value)
{
    struct gic *g = fake_vm.gic;
    uint64_t at = ipa & (is_64_bit(g, ipa) ? ~UINT64_C(7) : ~UINT64_C(3));
    unsigned shift = (unsigned)(ipa - at) * 8;
    uint64_t mask = UINT64_MAX >> (64 - 8 * size), whole = 0;

    (void)v;
    if (ipa % size != 0 || (size == 8 && at != ipa))
        return false;
    if (!write) {
        if (!access_register(g, at, false, &whole))
            return false;
        *value = whole >> shift & mask;
        return true;
    }
    if (size < 4 && !access_register(g, at, false, &whole))
        return false;
    if (size == 4 && is_64_bit(g, ipa) &&
        !access_register(g, at, false, &whole))
        return false;
    whole = (whole & ~(mask << shift)) | (*value & mask) << shift;
    return access_register(g, at, true, &whole);
}
