/* SPDX-License-Identifier: MIT */
/* stage2.c - the tables by which engines translate guest physical addresses: to
 * themselves, where there is memory, with what rights there are. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "fake.h"

enum { PAGE = 4096, ENTRIES = 512, LAST_LEVEL = 3, FIRST_BLOCK_LEVEL = 1 };

struct stage2 {
    uint8_t *pages; /* the first is the root */
    uint32_t used, spare;
};

static uint64_t *table_at(const struct stage2 *s, uint32_t page)
{
    return (uint64_t *)(void *)(s->pages + (size_t)page * PAGE);
}

static bool is_table(uint64_t entry)
{
    return (entry & 3) == 3;
}

static uint64_t *table_of(const struct stage2 *s, uint64_t entry)
{
    return table_at(
        s,
        (uint32_t)(((entry & UINT64_C(0xfffffffff000)) - STAGE2_BASE) / PAGE));
}

/* A spare table links to the next by its first entry; the rest is zero. */
static uint32_t new_table(struct stage2 *s)
{
    uint32_t page = s->spare;

    if (page != 0) {
        s->spare = (uint32_t)*table_at(s, page);
        *table_at(s, page) = 0;
        return page;
    }
    return s->used < STAGE2_SIZE / PAGE ? s->used++ : 0;
}

static void prune(struct stage2 *s, uint64_t *entry)
{
    uint64_t *table = table_of(s, *entry);
    uint32_t page = (uint32_t)(((uint8_t *)table - s->pages) / PAGE);

    for (unsigned i = 0; i < ENTRIES; i++)
        if (table[i] != 0)
            return;
    *table = s->spare;
    s->spare = page;
    *entry = 0;
}

/* Valid, accessed, inner shareable, normal memory; and the rights. An entry with
 * no rights is valid too: its faults are of permission. */
static uint64_t attributes(hv_memory_flags_t flags)
{
    uint64_t a = 1 << 10 | 3 << 8 | 0xf << 2 | 1;

    a |= flags & HV_MEMORY_READ ? 1 << 6 : 0;
    a |= flags & HV_MEMORY_WRITE ? 1 << 7 : 0;
    a |= flags & HV_MEMORY_EXEC ? 0 : UINT64_C(1) << 54;
    return a;
}

/* Make a table of what is nothing, or a block. */
static bool open_entry(struct stage2 *s, uint64_t *entry, int level)
{
    uint32_t page;
    uint64_t *table, step;

    if (is_table(*entry))
        return true;
    page = new_table(s);
    if (page == 0)
        return false;
    table = table_at(s, page);
    step = UINT64_C(1) << (12 + 9 * (LAST_LEVEL - (level + 1)));
    for (unsigned i = 0; *entry != 0 && i < ENTRIES; i++)
        table[i] = (*entry | (level + 1 == LAST_LEVEL ? 2 : 0)) + i * step;
    *entry = (STAGE2_BASE + (uint64_t)page * PAGE) | 3;
    return true;
}

static void close_entry(struct stage2 *s, uint64_t *entry, int level)
{
    uint64_t *table;

    if (level == LAST_LEVEL || !is_table(*entry)) {
        *entry = 0;
        return;
    }
    table = table_of(s, *entry);
    for (unsigned i = 0; i < ENTRIES; i++)
        close_entry(s, &table[i], level + 1);
    prune(s, entry);
}

/* Set [at, end) to `attr`, or clear it with 0. */
static bool fill(struct stage2 *s, uint64_t *table, int level, uint64_t at,
                 uint64_t end, uint64_t attr)
{
    unsigned shift = 12 + 9 * (unsigned)(LAST_LEVEL - level);
    uint64_t step = UINT64_C(1) << shift;

    while (at < end) {
        uint64_t *entry = &table[at >> shift & (ENTRIES - 1)];
        uint64_t past = (at | (step - 1)) + 1, next = past < end ? past : end;

        if (next - at == step && level >= FIRST_BLOCK_LEVEL) {
            close_entry(s, entry, level);
            if (attr != 0)
                *entry = at | attr | (level == LAST_LEVEL ? 2 : 0);
        } else if (attr != 0 || *entry != 0) {
            if (!open_entry(s, entry, level) ||
                !fill(s, table_of(s, *entry), level + 1, at, next, attr))
                return false;
            if (attr == 0)
                prune(s, entry);
        }
        at = next;
    }
    return true;
}

void *fake_stage2_open(void)
{
    struct stage2 *s = calloc(1, sizeof *s);
    void *pages;

    if (s == NULL)
        return NULL;
    pages = mmap(NULL, STAGE2_SIZE, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (pages == MAP_FAILED) {
        free(s);
        return NULL;
    }
    s->pages = pages;
    s->used = 2; /* the second page is for engine.c */
    return s;
}

void fake_stage2_close(void *tables)
{
    struct stage2 *s = tables;

    if (s != NULL)
        munmap(s->pages, STAGE2_SIZE);
    free(s);
}

bool fake_stage2_map(void *tables, hv_ipa_t ipa, uint64_t size,
                     hv_memory_flags_t flags)
{
    struct stage2 *s = tables;

    if (fill(s, table_at(s, 0), 0, ipa, ipa + size, attributes(flags)))
        return true;
    fill(s, table_at(s, 0), 0, ipa, ipa + size, 0);
    return false;
}

void fake_stage2_unmap(void *tables, hv_ipa_t ipa, uint64_t size)
{
    struct stage2 *s = tables;

    fill(s, table_at(s, 0), 0, ipa, ipa + size, 0);
}

bool fake_stage2_protect(void *tables, hv_ipa_t ipa, uint64_t size,
                         hv_memory_flags_t flags)
{
    struct stage2 *s = tables;

    return fill(s, table_at(s, 0), 0, ipa, ipa + size, attributes(flags));
}

void *fake_stage2_pages(void *tables)
{
    return ((struct stage2 *)tables)->pages;
}
