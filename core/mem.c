/* SPDX-License-Identifier: MIT */
/* mem.c - guest physical memory: a sorted table of ranges, and copies between
 * it and the host that never leave it. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "backend.h"

static uint64_t last(const struct vmm_range *r)
{
    return r->at + r->size - 1;
}

/* How many ranges start at or below `at`. */
static inline size_t below(const struct vmm *vm, uint64_t at)
{
    size_t low = 0, high = vm->mems;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (vm->mem[middle].range.at <= at)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Inline, for what comes in its thousands. */
static inline struct vmm_mem *mem_at(const struct vmm *vm, uint64_t at)
{
    size_t i = below(vm, at);

    if (i == 0 || last(&vm->mem[i - 1].range) < at)
        return NULL;
    return &vm->mem[i - 1];
}

struct vmm_mem *vmm_mem_at(const struct vmm *vm, uint64_t at)
{
    return mem_at(vm, at);
}

uint64_t vmm_page_size(const struct vmm *vm)
{
    return vm->ops->page_size ? vm->ops->page_size(vm) : 4096;
}

bool vmm_range_at(const struct vmm *vm, size_t i, struct vmm_range *range)
{
    if (i >= vm->mems)
        return false;
    *range = vm->mem[i].range;
    return true;
}

/* ---- mapping ------------------------------------------------------------- */

static int check_gic(const struct vmm *vm, const struct vmm_range *r)
{
    struct vmm_gic_range gic;

    for (size_t i = 0; vmm_gic_range_at(vm, i, &gic); i++)
        if (r->at <= gic.at + (gic.size - 1) && gic.at <= last(r))
            return vmm_fail(
                VMM_EINVAL,
                "map: 0x%" PRIx64 "-0x%" PRIx64
                " overlaps the gic's %s at 0x%" PRIx64 "-0x%" PRIx64,
                r->at, last(r), gic.name, gic.at, gic.at + (gic.size - 1));
    return 0;
}

static int check_range(const struct vmm *vm, const struct vmm_range *r)
{
    uint64_t page = vmm_page_size(vm);
    struct vmm_mem *other;
    size_t i;

    if (r->size == 0)
        return vmm_fail(VMM_EINVAL, "map: size is 0");
    if (r->at % page || r->size % page)
        return vmm_fail(VMM_EINVAL,
                        "map: at 0x%" PRIx64 ", size 0x%" PRIx64
                        ": both must be multiples of the page size, 0x%" PRIx64
                        ": the pages around are at 0x%" PRIx64
                        ", size 0x%" PRIx64,
                        r->at, r->size, page, r->at / page * page,
                        (r->at % page + r->size + page - 1) / page * page);
    if (last(r) < r->at || r->size > SIZE_MAX / 2)
        return vmm_fail(VMM_EINVAL,
                        "map: at 0x%" PRIx64 ", size 0x%" PRIx64
                        ": ends beyond the address space",
                        r->at, r->size);
    if (r->prot == 0 || r->prot & ~(unsigned)(VMM_R | VMM_W | VMM_X))
        return vmm_fail(VMM_EINVAL, "map: prot: needs r, w or x");
    i = below(vm, last(r));
    other = i ? &vm->mem[i - 1] : NULL;
    if (other && last(&other->range) >= r->at)
        return vmm_fail(VMM_EINVAL,
                        "map: 0x%" PRIx64 "-0x%" PRIx64
                        " overlaps the memory at 0x%" PRIx64 "-0x%" PRIx64
                        ": unmap that first",
                        r->at, last(r), other->range.at, last(&other->range));
    if (r->host && (uintptr_t)r->host % page)
        return vmm_fail(VMM_EINVAL,
                        "map: host memory %p is not aligned to 0x%" PRIx64,
                        r->host, page);
    return check_gic(vm, r);
}

static int grow(struct vmm *vm)
{
    size_t room = vm->mem_room ? 2 * vm->mem_room : 8;
    struct vmm_mem *mem;

    if (vm->mems < vm->mem_room)
        return 0;
    mem = realloc(vm->mem, room * sizeof *mem);
    if (!mem)
        return vmm_fail(VMM_ENOMEM, "map: out of memory");
    vm->mem = mem;
    vm->mem_room = room;
    return 0;
}

static int take_out(struct vmm *vm, size_t i)
{
    struct vmm_mem gone = vm->mem[i];

    vm->mems--;
    memmove(&vm->mem[i], &vm->mem[i + 1], (vm->mems - i) * sizeof *vm->mem);
    if (!gone.release || gone.release(gone.host, gone.range.size) == 0)
        return 0;
    return vmm_fail(VMM_EHOST,
                    "unmap: 0x%" PRIx64 " bytes at 0x%" PRIx64
                    " are the guest's no more, but the host does not take "
                    "its memory back",
                    gone.range.size, gone.range.at);
}

int vmm_map(struct vmm *vm, const struct vmm_range *range)
{
    struct vmm_mem mem = {.range = *range};
    size_t i;
    int rc = check_range(vm, range);

    if (rc == 0)
        rc = grow(vm);
    if (rc == 0)
        rc = vmm_back(vm, &mem);
    if (rc < 0)
        return rc;
    mem.range.file = NULL; /* the caller's string */
    i = below(vm, range->at);
    memmove(&vm->mem[i + 1], &vm->mem[i], (vm->mems - i) * sizeof *vm->mem);
    vm->mem[i] = mem;
    vm->mems++;
    rc = vm->ops->map(vm, &vm->mem[i]);
    if (rc < 0)
        take_out(vm, i);
    return rc;
}

/* The range that starts at `at`, or NULL and a reason. */
static struct vmm_mem *starting(const struct vmm *vm, uint64_t at,
                                const char *what)
{
    struct vmm_mem *mem = vmm_mem_at(vm, at);

    if (mem && mem->range.at == at)
        return mem;
    if (mem)
        vmm_reason("%s: 0x%" PRIx64
                   " is inside the memory that starts at 0x%" PRIx64
                   ": name its start",
                   what, at, mem->range.at);
    else
        vmm_reason("%s: no memory is mapped at 0x%" PRIx64, what, at);
    return NULL;
}

int vmm_unmap(struct vmm *vm, uint64_t at)
{
    struct vmm_mem *mem = starting(vm, at, "unmap");
    int rc;

    if (!mem)
        return VMM_EINVAL;
    rc = vm->ops->unmap(vm, mem);
    return rc < 0 ? rc : take_out(vm, (size_t)(mem - vm->mem));
}

int vmm_protect(struct vmm *vm, uint64_t at, unsigned prot)
{
    struct vmm_mem *mem = starting(vm, at, "protect");
    int rc;

    if (!mem)
        return VMM_EINVAL;
    if (prot == 0 || prot & ~(unsigned)(VMM_R | VMM_W | VMM_X))
        return vmm_fail(VMM_EINVAL, "protect: prot: needs r, w or x");
    rc = vm->ops->protect(vm, mem, prot);
    if (rc == 0)
        mem->range.prot = prot;
    return rc;
}

void vmm_mem_close(struct vmm *vm)
{
    while (vm->mems)
        take_out(vm, vm->mems - 1);
    free(vm->mem);
    vm->mem = NULL;
}

/* ---- access -------------------------------------------------------------- */

/* The host memory at `at`; *n shrinks to what lies in the same range. The caller
 * has checked that `at` is mapped. */
static uint8_t *span(const struct vmm *vm, uint64_t at, uint64_t *n)
{
    struct vmm_mem *mem = vmm_mem_at(vm, at);
    uint64_t rest = last(&mem->range) - at;

    if (*n - 1 > rest)
        *n = rest + 1;
    return mem->host + (at - mem->range.at);
}

int vmm_mapped(const struct vmm *vm, uint64_t at, uint64_t n, const char *what)
{
    uint64_t end = at + n - 1, here = at;
    struct vmm_mem *mem;

    if (n == 0)
        return 0;
    while ((mem = vmm_mem_at(vm, here))) {
        if (end >= at && last(&mem->range) >= end)
            return 0;
        if (last(&mem->range) == UINT64_MAX)
            return vmm_fail(VMM_ERANGE,
                            "%s: 0x%" PRIx64 " bytes at 0x%" PRIx64 ": no "
                            "memory is mapped beyond 0x%" PRIx64,
                            what, n, at, UINT64_MAX);
        here = last(&mem->range) + 1;
    }
    return vmm_fail(VMM_ERANGE,
                    "%s: 0x%" PRIx64 " bytes at 0x%" PRIx64 ": no memory is "
                    "mapped at 0x%" PRIx64,
                    what, n, at, here);
}

size_t vmm_within(struct vmm *vm, uint64_t at, size_t most)
{
    size_t n = 0;

    while (n < most) {
        struct vmm_mem *mem = at + n < at ? NULL : vmm_mem_at(vm, at + n);
        uint64_t rest = mem ? last(&mem->range) - (at + n) : 0;

        if (!mem)
            break;
        n = rest < most - n - 1 ? n + (size_t)rest + 1 : most;
    }
    return n;
}

static void wrote(struct vmm *vm, uint64_t at, uint64_t n)
{
    if (vm->ops->wrote)
        vm->ops->wrote(vm, vmm_mem_at(vm, at), at, n);
}

/* Accesses come in their thousands: no loop where one range holds all of it. */
static inline struct vmm_mem *one(struct vmm *vm, uint64_t at, uint64_t n)
{
    struct vmm_mem *mem = mem_at(vm, at);

    return mem && last(&mem->range) - at >= n - 1 ? mem : NULL;
}

static inline uint8_t *host(const struct vmm_mem *mem, uint64_t at)
{
    return mem->host + (at - mem->range.at);
}

int vmm_read(struct vmm *vm, uint64_t at, void *to, size_t n)
{
    uint8_t *out = to;
    int rc = vmm_mapped(vm, at, n, "read");

    while (rc == 0 && n) {
        uint64_t chunk = n;
        const uint8_t *from = span(vm, at, &chunk);

        memcpy(out, from, chunk);
        out += chunk;
        at += chunk;
        n -= chunk;
    }
    return rc;
}

const void *vmm_bytes(struct vmm *vm, uint64_t at, size_t n)
{
    const struct vmm_mem *mem = n ? one(vm, at, n) : NULL;

    return mem ? host(mem, at) : NULL;
}

int vmm_write(struct vmm *vm, uint64_t at, const void *from, size_t n)
{
    struct vmm_mem *mem = one(vm, at, n);
    const uint8_t *in = from;
    int rc;

    if (mem && n) {
        memcpy(host(mem, at), from, n);
        if (vm->ops->wrote)
            vm->ops->wrote(vm, mem, at, n);
        return 0;
    }
    rc = vmm_mapped(vm, at, n, "write");
    while (rc == 0 && n) {
        uint64_t chunk = n;
        uint8_t *to = span(vm, at, &chunk);

        memcpy(to, in, chunk);
        wrote(vm, at, chunk);
        in += chunk;
        at += chunk;
        n -= chunk;
    }
    return rc;
}

int vmm_fill(struct vmm *vm, uint64_t at, uint64_t n, uint8_t byte)
{
    int rc = vmm_mapped(vm, at, n, "fill");

    while (rc == 0 && n) {
        uint64_t chunk = n;
        uint8_t *to = span(vm, at, &chunk);

        memset(to, byte, chunk);
        wrote(vm, at, chunk);
        at += chunk;
        n -= chunk;
    }
    return rc;
}

/* Does `what` stand at `at`? All of it is known to be mapped. */
static bool matches(const struct vmm *vm, uint64_t at, const uint8_t *what,
                    size_t len)
{
    while (len) {
        uint64_t chunk = len;
        const uint8_t *here = span(vm, at, &chunk);

        if (memcmp(here, what, chunk) != 0)
            return false;
        at += chunk;
        what += chunk;
        len -= chunk;
    }
    return true;
}

int vmm_find(struct vmm *vm, uint64_t at, uint64_t n, const void *what,
             size_t len, uint64_t *found)
{
    const uint8_t *bytes = what;
    int rc = vmm_mapped(vm, at, n, "find");

    if (rc < 0)
        return rc;
    if (len == 0)
        return vmm_fail(VMM_EINVAL, "find: nothing to find");
    while (n >= len) {
        uint64_t chunk = n - len + 1; /* places where it may start */
        const uint8_t *here = span(vm, at, &chunk);
        const uint8_t *hit = memchr(here, bytes[0], chunk);
        uint64_t skip = hit ? (uint64_t)(hit - here) : chunk;

        at += skip;
        n -= skip;
        if (!hit)
            continue;
        if (matches(vm, at, bytes, len)) {
            *found = at;
            return 1;
        }
        at++;
        n--;
    }
    return 0;
}

int vmm_strlen(struct vmm *vm, uint64_t at, size_t max, size_t *len)
{
    size_t done = 0;

    while (done < max) {
        uint64_t chunk = max - done;
        const uint8_t *here, *nul;
        int rc = vmm_mapped(vm, at, done + 1, "cstring");

        if (rc < 0)
            return rc;
        here = span(vm, at + done, &chunk);
        nul = memchr(here, 0, chunk);
        if (nul) {
            *len = done + (size_t)(nul - here);
            return 0;
        }
        done += chunk;
    }
    return vmm_fail(VMM_ERANGE,
                    "cstring: no NUL in the %zu bytes from 0x%" PRIx64, max,
                    at);
}

static uint32_t u16(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8;
}

static uint32_t u32(const uint8_t *p)
{
    return u16(p) | u16(p + 2) << 16;
}

/* In words of which a compiler makes one load. */
static uint64_t little(const uint8_t *p, unsigned size)
{
    switch (size) {
    case 1:
        return p[0];
    case 2:
        return u16(p);
    case 4:
        return u32(p);
    default:
        return u32(p) | (uint64_t)u32(p + 4) << 32;
    }
}

int vmm_load(struct vmm *vm, uint64_t at, unsigned size, uint64_t *value)
{
    const struct vmm_mem *mem = one(vm, at, size);
    uint8_t copy[8] = {0};
    int rc;

    if (mem) {
        *value = little(host(mem, at), size);
        return 0;
    }
    rc = vmm_read(vm, at, copy, size);
    if (rc == 0)
        *value = little(copy, size);
    return rc;
}

int vmm_store(struct vmm *vm, uint64_t at, unsigned size, uint64_t value)
{
    uint8_t bytes[8];

    for (unsigned i = 0; i < size; i++)
        bytes[i] = (uint8_t)(value >> 8 * i);
    return vmm_write(vm, at, bytes, size);
}
