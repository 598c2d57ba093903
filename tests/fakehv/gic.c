/* SPDX-License-Identifier: MIT */
/* gic.c - the GICv3's distributor and redistributors. All is under the lock. */
#include <stdlib.h>
#include <string.h>

#include "gic.h"

static atomic_uint changes;

/* Whoever runs looks at this between blocks. */
void fake_gic_changed(void)
{
    atomic_fetch_add(&changes, 1);
}

unsigned fake_gic_changes(void)
{
    return atomic_load_explicit(&changes, memory_order_relaxed);
}

void gic_reset_bank(struct bank *b)
{
    uint32_t first = b->first, past = b->past;

    memset(b, 0, sizeof *b);
    b->first = first;
    b->past = past;
    if (first == 0)
        b->edge[0] = 0xffff; /* SGIs */
}

void gic_reset_cpu(struct gic_cpu *c)
{
    memset(c, 0, sizeof *c);
    c->own.past = FIRST_SPI;
    c->waker = 6;
    gic_reset_bank(&c->own);
}

/* ---- vCPUs ---------------------------------------------------------------- */

bool fake_gic_open_cpu(struct vcpu *v)
{
    if (fake_vm.gic == NULL)
        return true;
    v->gic = calloc(1, sizeof *v->gic);
    if (v->gic != NULL)
        gic_reset_cpu(v->gic);
    return v->gic != NULL;
}

void fake_gic_close_cpu(struct vcpu *v)
{
    free(v->gic);
    v->gic = NULL;
}

void fake_gic_close(struct gic *gic)
{
    free(gic);
}

static bool overlap(hv_ipa_t a, uint64_t a_size, hv_ipa_t b, uint64_t b_size)
{
    return a < b + b_size && b < a + a_size;
}

bool fake_gic_covers(hv_ipa_t ipa, uint64_t size)
{
    const struct gic *g = fake_vm.gic;

    return g != NULL && (overlap(ipa, size, g->distributor, GICD_SIZE) ||
                         overlap(ipa, size, g->redistributor, GICR_REGION) ||
                         (g->has_msi && overlap(ipa, size, g->msi, GICM_SIZE)));
}

/* ---- registers of 32 interrupts ------------------------------------------- */

static bool exists(const struct bank *b, uint32_t intid)
{
    return intid >= b->first && intid < b->past;
}

static uint32_t mask_of(const struct bank *b, uint32_t word)
{
    uint32_t mask = 0;

    for (uint32_t i = 0; i < 32; i++)
        if (exists(b, word * 32 + i))
            mask |= UINT32_C(1) << i;
    return mask;
}

enum how { PLAIN, SET, CLEAR };

static void access_word(uint32_t *word, uint32_t mask, bool write, enum how how,
                        uint32_t *value)
{
    if (!write)
        *value = *word & mask;
    else if (how == SET)
        *word |= *value & mask;
    else if (how == CLEAR)
        *word &= ~(*value & mask);
    else
        *word = *value & mask;
}

static void access_priority(struct bank *b, uint32_t intid, bool write,
                            uint32_t *value)
{
    uint32_t result = 0;

    for (uint32_t i = 0; i < 4; i++) {
        if (!exists(b, intid + i))
            continue;
        if (write)
            b->priority[intid + i] = *value >> (8 * i) & 0xf8;
        result |= (uint32_t)b->priority[intid + i] << (8 * i);
    }
    if (!write)
        *value = result;
}

/* Two bits each, of which the upper says edge; SGIs are always. */
static void access_config(struct bank *b, uint32_t intid, bool write,
                          uint32_t *value)
{
    uint32_t result = 0;

    for (uint32_t i = intid; i < intid + 16; i++) {
        uint32_t bit = UINT32_C(1) << i % 32, *edge = &b->edge[i / 32];

        if (!exists(b, i))
            continue;
        if (write && i >= 16)
            *edge = *value >> (2 * (i - intid) + 1) & 1 ? *edge | bit
                                                        : *edge & ~bit;
        result |= *edge & bit ? UINT32_C(2) << (2 * (i - intid)) : 0;
    }
    if (!write)
        *value = result;
}

/* What is pending is latched, or a line that is not an edge. */
static void access_pending(struct bank *b, uint32_t word, bool write,
                           enum how how, uint32_t *value)
{
    access_word(&b->latch[word], mask_of(b, word), write, how, value);
    if (!write)
        *value |= b->line[word] & ~b->edge[word] & mask_of(b, word);
}

bool gic_bank_register(struct bank *b, uint32_t offset, bool write,
                       uint32_t *value)
{
    uint32_t word = offset % 0x80 / 4, mask = mask_of(b, word);

    if (offset >= 0x400 && offset < 0x800) {
        access_priority(b, offset - 0x400, write, value);
        return true;
    }
    if (offset >= 0xc00 && offset < 0xd00) {
        access_config(b, (offset - 0xc00) * 4, write, value);
        return true;
    }
    switch (offset & ~UINT32_C(0x7f)) {
    case 0x080:
        access_word(&b->group[word], mask, write, PLAIN, value);
        return true;
    case 0x100:
    case 0x180:
        access_word(&b->enabled[word], mask, write,
                    offset < 0x180 ? SET : CLEAR, value);
        return true;
    case 0x200:
    case 0x280:
        access_pending(b, word, write, offset < 0x280 ? SET : CLEAR, value);
        return true;
    case 0x300:
    case 0x380:
        access_word(&b->active[word], mask, write, offset < 0x380 ? SET : CLEAR,
                    value);
        return true;
    default:
        return false;
    }
}

/* ---- the distributor ------------------------------------------------------ */

enum { PIDR2 = 0x30, ARE_DS = 0x50, TYPER = 9 << 19 | 31 };

bool gic_is_msi(const struct gic *g, uint32_t intid)
{
    return g->has_msi && intid >= g->msi_intid &&
           intid - g->msi_intid < g->msi_count;
}

void gic_latch(struct gic *g, uint32_t intid)
{
    g->spi.latch[intid / 32] |= UINT32_C(1) << intid % 32;
    fake_gic_changed();
}

bool gic_distributor_register(struct gic *g, uint32_t offset, bool write,
                              uint64_t *value)
{
    uint32_t word = (uint32_t)*value;

    fake_gic_changed();
    if (offset >= 0x6000 && offset < 0x6000 + 8 * PAST_SPI) {
        uint64_t *router = &g->router[(offset - 0x6000) / 8];

        if (write && offset >= 0x6000 + 8 * FIRST_SPI)
            *router = *value & UINT64_C(0xff80ffffff);
        if (!write)
            *value = *router;
        return true;
    }
    switch (offset) {
    case HV_GIC_DISTRIBUTOR_REG_GICD_CTLR:
        if (write)
            g->ctlr = word & 3;
        *value = g->ctlr | ARE_DS;
        return true;
    case HV_GIC_DISTRIBUTOR_REG_GICD_TYPER:
        *value = TYPER;
        return true;
    case HV_GIC_DISTRIBUTOR_REG_GICD_PIDR2:
        *value = PIDR2;
        return true;
    default:
        if (!gic_bank_register(&g->spi, offset, write, &word))
            return false;
        *value = word;
        return true;
    }
}

/* ---- redistributors ------------------------------------------------------- */

uint32_t gic_affinity(struct vcpu *v)
{
    uint64_t mpidr = v->sys[fake_sysreg_row(HV_SYS_REG_MPIDR_EL1)];

    return (uint32_t)((mpidr & 0xffffff) | (mpidr >> 8 & 0xff000000));
}

static uint64_t redistributor_typer(struct vcpu *v)
{
    bool last = v->index + 1 == fake_vm.created;

    return (uint64_t)gic_affinity(v) << 32 | v->index << 8 |
           (uint64_t)last << 4;
}

bool gic_redistributor_register(struct vcpu *v, uint32_t offset, bool write,
                                uint64_t *value)
{
    enum { SECOND_PAGE = 0x10000, WAKER = 0x14, SLEEP = 2, ASLEEP = 4 };
    uint32_t word = (uint32_t)*value;

    fake_gic_changed();
    if (offset >= SECOND_PAGE) {
        if (!gic_bank_register(&v->gic->own, offset - SECOND_PAGE, write,
                               &word))
            return false;
        *value = word;
        return true;
    }
    switch (offset) {
    case HV_GIC_REDISTRIBUTOR_REG_GICR_TYPER:
        *value = redistributor_typer(v);
        return true;
    case HV_GIC_REDISTRIBUTOR_REG_GICR_PIDR2:
        *value = PIDR2;
        return true;
    case WAKER:
        if (write)
            v->gic->waker = word & SLEEP ? SLEEP | ASLEEP : 0;
        *value = v->gic->waker;
        return true;
    default:
        return false;
    }
}
