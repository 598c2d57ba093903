/* SPDX-License-Identifier: MIT */
/* copy.c - memcpy of so many bytes, n times:
 *
 *   copy bytes n
 *
 * from two buffers in turn, so that the last byte tells who was last. */
#include <string.h>
#include <sys/mman.h>

#include "bench.h"

static uint8_t *buffer(size_t size, int byte)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    need(p != MAP_FAILED, "mmap");
    return memset(p, byte, size);
}

int main(int argc, char **argv)
{
    /* Through a pointer that may change: so that no copy is optimised away. */
    void *(*volatile copy)(void *, const void *, size_t) = memcpy;
    uint8_t *from[2], *to;
    uint64_t start;
    size_t size, n;

    need(argc == 3, "usage: copy bytes n");
    size = strtoull(argv[1], NULL, 0);
    n = strtoull(argv[2], NULL, 0);
    from[0] = buffer(size, 'a');
    from[1] = buffer(size, 'b');
    to = buffer(size, 0);
    start = now();
    for (size_t i = 0; i < n; i++)
        copy(to, from[i % 2], size);
    result(now() - start, to[size - 1]);
    return 0;
}
