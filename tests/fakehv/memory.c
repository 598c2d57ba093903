/* SPDX-License-Identifier: MIT */
/* memory.c - guest memory: what may be mapped, and what is. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "fake.h"

/* ---- the host's side ------------------------------------------------------ */

/* What /proc/self/smaps says of the mapping that starts at `start`: may it ever
 * be written to? That is what a Mac calls the maximum protection. */
static bool may_write(uint64_t start)
{
    FILE *smaps = fopen("/proc/self/smaps", "re");
    char line[512];
    bool found = false, may = false;

    while (smaps != NULL && fgets(line, sizeof line, smaps) != NULL) {
        uint64_t from, to;

        if (sscanf(line, "%" SCNx64 "-%" SCNx64 " ", &from, &to) == 2)
            found = from == start;
        else if (found && strncmp(line, "VmFlags:", 8) == 0) {
            may = strstr(line, " mw") != NULL;
            break;
        }
    }
    if (smaps != NULL)
        fclose(smaps);
    return may;
}

/* One line of /proc/self/maps: how far from *at on does it cover what is asked
 * for? False: it must not be mapped. */
static bool check_line(const char *line, uint64_t *at, uint64_t end)
{
    uint64_t from, to;
    char rights[5] = "";

    if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s", &from, &to, rights) != 3 ||
        from > *at || to <= *at)
        return true;
    if (rights[3] == 's' && rights[1] != 'w' && !may_write(from))
        return false;
    if (strstr(line, "[heap]") != NULL)
        fake_note("hv_vm_map() of memory from malloc()");
    *at = to < end ? to : end;
    return true;
}

/* All of it has to be there, and such that it can be made writable. */
static bool host_memory_suits(const void *addr, size_t size)
{
    uint64_t at = (uintptr_t)addr, end = at + size;
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[512];
    bool suits = maps != NULL;

    while (suits && at < end && fgets(line, sizeof line, maps) != NULL)
        suits = check_line(line, &at, end);
    if (maps != NULL)
        fclose(maps);
    return suits && at == end;
}

/* ---- pieces --------------------------------------------------------------- */

static struct piece *piece_at(hv_ipa_t ipa)
{
    for (size_t i = 0; i < fake_vm.count; i++) {
        struct piece *p = &fake_vm.pieces[i];

        if (ipa >= p->ipa && ipa - p->ipa < p->size)
            return p;
    }
    return NULL;
}

uint8_t *fake_memory_at(hv_ipa_t ipa, size_t *left)
{
    struct piece *p = piece_at(ipa);

    if (p == NULL)
        return NULL;
    *left = p->size - (size_t)(ipa - p->ipa);
    return p->host + (ipa - p->ipa);
}

bool fake_memory_overlaps(hv_ipa_t ipa, uint64_t size)
{
    for (size_t i = 0; i < fake_vm.count; i++) {
        const struct piece *p = &fake_vm.pieces[i];

        if (p->ipa < ipa + size && ipa < p->ipa + p->size)
            return true;
    }
    return false;
}

static bool add(const struct piece *piece)
{
    if (fake_vm.count == fake_vm.room) {
        size_t room = fake_vm.room * 2 + 16;
        struct piece *grown =
            realloc(fake_vm.pieces, room * sizeof *fake_vm.pieces);

        if (grown == NULL)
            return false;
        fake_vm.pieces = grown;
        fake_vm.room = room;
    }
    fake_vm.pieces[fake_vm.count++] = *piece;
    fake_vm.changes++;
    return true;
}

void fake_memory_clear(void)
{
    free(fake_vm.pieces);
    fake_vm.pieces = NULL;
    fake_vm.count = fake_vm.room = 0;
    fake_vm.changes++;
}

/* ---- the calls ------------------------------------------------------------ */

static bool multiple(uint64_t value)
{
    return value % fake_vm.granule == 0;
}

/* Is it a range that there can be at all? */
static hv_return_t check_range(hv_ipa_t ipa, size_t size)
{
    uint64_t limit;

    if (!fake_vm.exists)
        return HV_NO_DEVICE;
    limit = UINT64_C(1) << fake_vm.ipa_bits;
    if (size == 0 || !multiple(ipa) || !multiple(size) || ipa >= limit ||
        size > limit - ipa)
        return HV_BAD_ARGUMENT;
    return HV_SUCCESS;
}

static hv_return_t map(const struct piece *piece, hv_memory_flags_t flags)
{
    hv_return_t result = check_range(piece->ipa, piece->size);

    if (result != HV_SUCCESS)
        return result;
    if (piece->host == NULL || !multiple((uintptr_t)piece->host) ||
        (uintptr_t)piece->host > UINTPTR_MAX - piece->size || flags > 7)
        return HV_BAD_ARGUMENT;
    if (fake_memory_overlaps(piece->ipa, piece->size) ||
        fake_gic_covers(piece->ipa, piece->size) ||
        !host_memory_suits(piece->host, piece->size))
        return HV_ERROR;
    if (!fake_stage2_map(fake_vm.tables, piece->ipa, piece->size, flags))
        return HV_NO_RESOURCES;
    if (!add(piece)) {
        fake_stage2_unmap(fake_vm.tables, piece->ipa, piece->size);
        return HV_NO_RESOURCES;
    }
    return HV_SUCCESS;
}

hv_return_t fake_vm_map(void *addr, hv_ipa_t ipa, size_t size,
                        hv_memory_flags_t flags)
{
    struct piece piece = {.ipa = ipa, .size = size, .host = addr};
    hv_return_t result;

    fake_turn_take(true);
    fake_lock();
    result = map(&piece, flags);
    fake_unlock();
    fake_turn_give();
    return result;
}

/* What a call is about has to lie in one piece: what happens over holes and
 * edges nobody has told. */
static struct piece *piece_of(hv_ipa_t ipa, size_t size, hv_return_t *result)
{
    struct piece *p;

    *result = check_range(ipa, size);
    if (*result != HV_SUCCESS)
        return NULL;
    p = piece_at(ipa);
    if (p == NULL || size > p->size - (size_t)(ipa - p->ipa)) {
        *result = HV_BAD_ARGUMENT;
        return NULL;
    }
    return p;
}

static hv_return_t unmap(hv_ipa_t ipa, size_t size)
{
    hv_return_t result;
    struct piece *p = piece_of(ipa, size, &result), after;

    if (p == NULL)
        return result;
    after = (struct piece){.ipa = ipa + size,
                           .size = (size_t)(p->ipa + p->size - (ipa + size)),
                           .host = p->host + (ipa + size - p->ipa)};
    p->size = (size_t)(ipa - p->ipa);
    if (p->size == 0)
        *p = fake_vm.pieces[--fake_vm.count];
    fake_vm.changes++;
    fake_stage2_unmap(fake_vm.tables, ipa, size);
    if (after.size > 0 && !add(&after)) {
        fake_stage2_unmap(fake_vm.tables, after.ipa, after.size);
        return HV_NO_RESOURCES;
    }
    return HV_SUCCESS;
}

hv_return_t fake_vm_unmap(hv_ipa_t ipa, size_t size)
{
    hv_return_t result;

    fake_turn_take(true);
    fake_lock();
    result = unmap(ipa, size);
    fake_unlock();
    fake_turn_give();
    return result;
}

hv_return_t fake_vm_protect(hv_ipa_t ipa, size_t size, hv_memory_flags_t flags)
{
    hv_return_t result;

    fake_turn_take(true);
    fake_lock();
    if (piece_of(ipa, size, &result) != NULL) {
        fake_vm.changes++;
        if (flags > 7)
            result = HV_BAD_ARGUMENT;
        else if (!fake_stage2_protect(fake_vm.tables, ipa, size, flags))
            result = HV_NO_RESOURCES;
    }
    fake_unlock();
    fake_turn_give();
    return result;
}

/* ---- hv_vm_allocate ------------------------------------------------------- */

enum { ALLOCATIONS = 1024 };

static struct {
    pthread_mutex_t mutex;
    struct {
        void *at;
        size_t size;
    } of[ALLOCATIONS];
} allocated = {.mutex = PTHREAD_MUTEX_INITIALIZER};

/* A Mac's pages are larger than Linux's: what is too much goes back. */
static void *allocate(size_t size)
{
    uint8_t *p = mmap(NULL, size + GRANULE_16K, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    size_t before;

    if (p == MAP_FAILED)
        return NULL;
    before = (GRANULE_16K - (uintptr_t)p % GRANULE_16K) % GRANULE_16K;
    if (before > 0)
        munmap(p, before);
    munmap(p + before + size, GRANULE_16K - before);
    return p + before;
}

static hv_return_t remember(void *at, size_t size)
{
    hv_return_t result = HV_NO_RESOURCES;

    pthread_mutex_lock(&allocated.mutex);
    for (size_t i = 0; i < ALLOCATIONS && result != HV_SUCCESS; i++) {
        if (allocated.of[i].at == NULL) {
            allocated.of[i].at = at;
            allocated.of[i].size = size;
            result = HV_SUCCESS;
        }
    }
    pthread_mutex_unlock(&allocated.mutex);
    return result;
}

hv_return_t fake_vm_allocate(void **uvap, size_t size,
                             hv_allocate_flags_t flags)
{
    void *p;

    if (uvap == NULL || size == 0 || size % GRANULE_16K != 0 ||
        size > SIZE_MAX - GRANULE_16K || flags != HV_ALLOCATE_DEFAULT)
        return HV_BAD_ARGUMENT;
    p = allocate(size);
    if (p == NULL)
        return HV_NO_RESOURCES;
    if (remember(p, size) != HV_SUCCESS) {
        munmap(p, size);
        return HV_NO_RESOURCES;
    }
    *uvap = p;
    return HV_SUCCESS;
}

hv_return_t fake_vm_deallocate(void *uva, size_t size)
{
    hv_return_t result = HV_BAD_ARGUMENT;

    pthread_mutex_lock(&allocated.mutex);
    for (size_t i = 0; i < ALLOCATIONS && uva != NULL; i++) {
        if (allocated.of[i].at == uva && allocated.of[i].size == size) {
            allocated.of[i].at = NULL;
            result = HV_SUCCESS;
            break;
        }
    }
    pthread_mutex_unlock(&allocated.mutex);
    if (result == HV_SUCCESS)
        munmap(uva, size);
    return result;
}
