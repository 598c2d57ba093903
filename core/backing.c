/* SPDX-License-Identifier: MIT */
/* backing.c - the host memory behind a range of guest memory: zeroes, a file, or
 * the caller's own. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend.h"

#ifndef MAP_NORESERVE
#define MAP_NORESERVE 0
#endif

/* Fill private memory from the file: a copy, so that nobody who truncates the
 * file later can fault the host. What the file lacks stays zero. */
static int read_file(int file, const struct vmm_range *r, uint8_t *to)
{
    uint64_t done = 0;

    while (done < r->size) {
        ssize_t n =
            pread(file, to + done, r->size - done, (off_t)(r->offset + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return vmm_fail(VMM_EHOST, "map: %s: %s", r->file, strerror(errno));
        if (n == 0)
            break;
        done += (uint64_t)n;
    }
    return 0;
}

static int check_file(int file, const struct vmm_range *r, uint64_t page)
{
    struct stat st;

    if (fstat(file, &st) < 0)
        return vmm_fail(VMM_EHOST, "map: %s: %s", r->file, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return vmm_fail(VMM_EINVAL, "map: %s: not a regular file", r->file);
    if (r->shared && r->offset % page)
        return vmm_fail(VMM_EINVAL,
                        "map: offset 0x%" PRIx64 ": shared memory needs a "
                        "multiple of the page size, 0x%" PRIx64,
                        r->offset, page);
    if (r->offset > INT64_MAX || (uint64_t)st.st_size < r->offset ||
        (r->shared && (uint64_t)st.st_size - r->offset < r->size))
        return vmm_fail(
            VMM_EINVAL,
            "map: %s: has %jd bytes: too short for offset 0x%" PRIx64
            ", size 0x%" PRIx64,
            r->file, (intmax_t)st.st_size, r->offset, r->size);
    return 0;
}

/* An address that is a multiple of `page`, which may be more than the host's own
 * pages, with `size` bytes of nothing; NULL: errno says why not. */
static void *reserve(size_t size, size_t page)
{
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    uint8_t *p = mmap(NULL, size + page, PROT_NONE, flags, -1, 0);
    size_t before;

    if (p == MAP_FAILED)
        return NULL;
    before = -(uintptr_t)p & (page - 1);
    if (before)
        munmap(p, before);
    munmap(p + before + size, page - before);
    return p + before;
}

static void *map_host(const struct vmm_range *r, int file, uint64_t page)
{
    int flags =
        r->shared ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    void *at = NULL, *p;

    if (page > (uint64_t)sysconf(_SC_PAGESIZE)) {
        at = r->size <= SIZE_MAX - page ? reserve(r->size, page) : NULL;
        if (!at)
            return MAP_FAILED;
        flags |= MAP_FIXED;
    }
    p = mmap(at, r->size, PROT_READ | PROT_WRITE, flags, r->shared ? file : -1,
             r->shared ? (off_t)r->offset : 0);
    if (p == MAP_FAILED && at)
        munmap(at, r->size); /* which leaves errno alone when it succeeds */
    return p;
}

static int allocated(const struct vmm_range *r, void *p, void **host,
                     int (**release)(void *host, size_t size))
{
    if (p == MAP_FAILED)
        return vmm_fail(VMM_ENOMEM, "map: 0x%" PRIx64 " bytes: %s", r->size,
                        strerror(errno));
    *host = p;
    *release = munmap;
    return 0;
}

int vmm_allocate(struct vmm *vm, size_t size, void **host,
                 int (**release)(void *host, size_t size))
{
    const struct vmm_range r = {.size = size};

    return allocated(&r, map_host(&r, -1, vmm_page_size(vm)), host, release);
}

/* Memory of the machine's own: zeroes, in which the backend may have a say, or
 * the file itself. */
static int allocate(struct vmm *vm, struct vmm_mem *mem, int file)
{
    const struct vmm_range *r = &mem->range;
    void *host = NULL;
    int rc;

    if (r->shared)
        rc = allocated(r, map_host(r, file, vmm_page_size(vm)), &host,
                       &mem->release);
    else
        rc = (vm->ops->allocate ? vm->ops->allocate : vmm_allocate)(
            vm, r->size, &host, &mem->release);
    mem->host = host;
    return rc;
}

static int back(struct vmm *vm, struct vmm_mem *mem, int file)
{
    int rc;

    if (mem->range.host) {
        mem->host = mem->range.host;
        return 0;
    }
    rc = allocate(vm, mem, file);
    if (rc == 0 && file >= 0 && !mem->range.shared) {
        rc = read_file(file, &mem->range, mem->host);
        if (rc < 0)
            mem->release(mem->host, mem->range.size);
    }
    return rc;
}

int vmm_back(struct vmm *vm, struct vmm_mem *mem)
{
    const struct vmm_range *r = &mem->range;
    int rc, file;

    if (!r->file)
        return r->shared
                   ? vmm_fail(VMM_EINVAL, "map: shared needs a file to share")
                   : back(vm, mem, -1);
    if (r->host)
        return vmm_fail(VMM_EINVAL,
                        "map: %s: a file and host memory exclude "
                        "each other",
                        r->file);
    file =
        open(r->file, (r->shared ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK);
    if (file < 0)
        return vmm_fail(VMM_EHOST, "map: %s: %s", r->file, strerror(errno));
    rc = check_file(file, r, vmm_page_size(vm));
    if (rc == 0)
        rc = back(vm, mem, file);
    close(file);
    return rc;
}
