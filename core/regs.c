/* SPDX-License-Identifier: MIT */
/* regs.c - register names: exact, nearest, in order. */
#include <string.h>
#include <strings.h>

#include "backend.h"

static const struct vmm_reg_name *table(enum vmm_arch arch)
{
    return arch == VMM_ARM64 ? vmm_arm64_regs : vmm_x86_regs;
}

const struct vmm_reg_name *vmm_reg_find(enum vmm_arch arch, const char *name)
{
    for (const struct vmm_reg_name *r = table(arch); r->name; r++)
        if (strcmp(r->name, name) == 0)
            return r;
    return NULL;
}

const struct vmm_reg_name *vmm_reg_name(enum vmm_arch arch, size_t i)
{
    size_t names = arch == VMM_ARM64 ? vmm_arm64_names : vmm_x86_names;

    return i < names ? &table(arch)[i] : NULL;
}

const char *vmm_reg_called(enum vmm_arch arch, vmm_reg reg)
{
    for (const struct vmm_reg_name *r = table(arch); r->name; r++)
        if (r->reg == reg)
            return r->name;
    return "register";
}

enum { LONGEST = 24 }; /* no name worth suggesting is longer */

static int lower(char c)
{
    return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c;
}

/* Optimal string alignment: row by row, keeping the last two. */
unsigned vmm_distance(const char *a, const char *b)
{
    size_t m = strlen(a), n = strlen(b);
    unsigned row[3][LONGEST + 1];

    if (m > LONGEST || n > LONGEST)
        return strcasecmp(a, b) == 0 ? 0 : LONGEST;
    for (size_t j = 0; j <= n; j++)
        row[0][j] = (unsigned)j;
    for (size_t i = 1; i <= m; i++) {
        unsigned *now = row[i % 3], *up = row[(i - 1) % 3];
        const unsigned *up2 = row[(i + 1) % 3];

        now[0] = (unsigned)i;
        for (size_t j = 1; j <= n; j++) {
            int x = lower(a[i - 1]), y = lower(b[j - 1]);
            unsigned best = up[j - 1] + (x != y);

            if (up[j] + 1 < best)
                best = up[j] + 1;
            if (now[j - 1] + 1 < best)
                best = now[j - 1] + 1;
            if (i > 1 && j > 1 && x == lower(b[j - 2]) &&
                y == lower(a[i - 2]) && up2[j - 2] + 1 < best)
                best = up2[j - 2] + 1;
            now[j] = best;
        }
    }
    return row[m % 3][n];
}

const char *vmm_reg_nearest(enum vmm_arch arch, const char *name)
{
    const char *nearest = NULL;
    unsigned least = 3; /* further away is another word */

    for (const struct vmm_reg_name *r = table(arch); r->name; r++) {
        unsigned d = vmm_distance(name, r->name);

        if (d < least) {
            least = d;
            nearest = r->name;
        }
    }
    return nearest;
}
