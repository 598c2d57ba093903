/* SPDX-License-Identifier: MIT */
/* walk.c - the guest's stage 1, where the double itself has to read what the
 * guest executes. */
#include <string.h>

#include "engine.h"

struct regime {
    unsigned granule, bits; /* log2 of the page; of what is translated */
    uint64_t base;
};

/* TTBR0_EL1 or TTBR1_EL1, by the top of the address. */
static bool regime_of(const struct engine *e, uint64_t va, struct regime *r)
{
    static const uint8_t low[] = {12, 16, 14, 0}, high[] = {0, 14, 12, 16};
    bool upper = va >> 55 & 1;
    uint64_t tcr = 0, top;

    if (!engine_sys(e, HV_SYS_REG_TCR_EL1, &tcr) ||
        !engine_sys(e, upper ? HV_SYS_REG_TTBR1_EL1 : HV_SYS_REG_TTBR0_EL1,
                    &r->base))
        return false;
    r->granule = upper ? high[tcr >> 30 & 3] : low[tcr >> 14 & 3];
    r->bits = 64 - (unsigned)(tcr >> (upper ? 16 : 0) & 63);
    if (r->granule == 0 || r->bits <= r->granule || r->bits > 48)
        return false;
    top = va >> r->bits;
    if (tcr >> (upper ? 38 : 37) & 1) /* TBI */
        top &= (UINT64_C(1) << (56 - r->bits)) - 1;
    if (upper)
        top = ~top & (UINT64_C(~0) >> r->bits) &
              (tcr >> 38 & 1 ? (UINT64_C(1) << (56 - r->bits)) - 1
                             : UINT64_C(~0));
    r->base &= UINT64_C(0xfffffffffffe);
    return top == 0;
}

static bool read_entry(uint64_t ipa, uint64_t *entry)
{
    size_t left;
    const uint8_t *host = fake_memory_at(ipa, &left);

    if (host == NULL || left < sizeof *entry)
        return false;
    memcpy(entry, host, sizeof *entry);
    return true;
}

/* These tables are EL1's. Those of EL2 are taken to leave addresses as they are. */
static bool at_el2(const struct engine *e)
{
    return e->el2 && (engine_pstate(e) & MODE_MASK) >= MODE_EL2T;
}

bool walk(const struct engine *e, uint64_t va, uint64_t *ipa)
{
    uint64_t sctlr = 0, entry, output = UINT64_C(0xfffffffff000);
    struct regime r;
    unsigned stride, shift;

    *ipa = va;
    engine_sys(e, HV_SYS_REG_SCTLR_EL1, &sctlr);
    if (!(sctlr & 1) || at_el2(e))
        return true;
    if (!regime_of(e, va, &r))
        return false;
    stride = r.granule - 3;
    shift = r.granule;
    while (shift + stride < r.bits)
        shift += stride;
    va &= (UINT64_C(1) << r.bits) - 1;
    for (;; shift -= stride) {
        uint64_t index = va >> shift;

        if (shift + stride < r.bits)
            index &= (UINT64_C(1) << stride) - 1;
        if (!read_entry(r.base + index * 8, &entry) || !(entry & 1))
            return false;
        if (shift == r.granule || !(entry & 2))
            break;
        r.base = entry & output & ~((UINT64_C(1) << r.granule) - 1);
    }
    if (shift == r.granule && !(entry & 2))
        return false;
    *ipa = (entry & output & ~((UINT64_C(1) << shift) - 1)) |
           (va & ((UINT64_C(1) << shift) - 1));
    return true;
}

bool walk_instruction(const struct engine *e, uint64_t va, uint32_t *opcode)
{
    const uint8_t *host;
    uint64_t ipa;
    size_t left;

    if (va % 4 != 0 || !walk(e, va, &ipa))
        return false;
    host = fake_memory_at(ipa, &left);
    if (host == NULL || left < 4)
        return false;
    memcpy(opcode, host, sizeof *opcode);
    return true;
}
