/* SPDX-License-Identifier: MIT */
/* fakehv_memory.c - tests of the double: what may be mapped, and what a guest
 * may do with it. */
#include <fcntl.h>

#include "test.h"

static void alignment(void)
{
    uint8_t *p = host_memory(4 * GRANULE);

    OK(hv_vm_create(NULL));
    GIVES(hv_vm_map(p, 0, 0, 7), HV_BAD_ARGUMENT);
    GIVES(hv_vm_map(p, 0, 0x1000, 7), HV_BAD_ARGUMENT);
    GIVES(hv_vm_map(p, 0x1000, GRANULE, 7), HV_BAD_ARGUMENT);
    GIVES(hv_vm_map(p + 0x1000, 0, GRANULE, 7), HV_BAD_ARGUMENT);
    GIVES(hv_vm_map(NULL, 0, GRANULE, 7), HV_BAD_ARGUMENT);
    GIVES(hv_vm_map(p, 0, GRANULE, 8), HV_BAD_ARGUMENT);
    OK(hv_vm_map(p, 0, GRANULE, 7));
    GIVES(hv_vm_unmap(0, 0x1000), HV_BAD_ARGUMENT);
    GIVES(hv_vm_protect(0, 0x1000, 1), HV_BAD_ARGUMENT);
    GIVES(hv_vm_protect(0, GRANULE, 9), HV_BAD_ARGUMENT);
    OK(hv_vm_protect(0, GRANULE, 0));
    OK(hv_vm_destroy());
}

static void granule(void)
{
    hv_vm_config_t config = hv_vm_config_create();
    hv_ipa_granule_t g = 9;
    uint8_t *p = host_memory(GRANULE);

    OK(hv_vm_config_get_default_ipa_granule(&g));
    CHECK(g == HV_IPA_GRANULE_16KB);
    OK(hv_vm_config_get_ipa_granule(config, &g));
    CHECK(g == HV_IPA_GRANULE_16KB);
    GIVES(hv_vm_config_set_ipa_granule(config, 2), HV_BAD_ARGUMENT);
    OK(hv_vm_config_set_ipa_granule(config, HV_IPA_GRANULE_4KB));
    OK(hv_vm_create(config));
    OK(hv_vm_map(p + 0x1000, 0x3000, 0x1000, 7));
    OK(hv_vm_protect(0x3000, 0x1000, 1));
    GIVES(hv_vm_map(p, 0x800, 0x1000, 7), HV_BAD_ARGUMENT);
    OK(hv_vm_destroy());
    os_release(config);
}

static void limits(void)
{
    const uint64_t limit = UINT64_C(1) << 36;
    uint8_t *p = host_memory(2 * GRANULE);

    OK(hv_vm_create(NULL));
    OK(hv_vm_map(p, limit - GRANULE, GRANULE, 7));
    GIVES(hv_vm_map(p, limit, GRANULE, 7), HV_BAD_ARGUMENT);
    OK(hv_vm_unmap(limit - GRANULE, GRANULE));
    GIVES(hv_vm_map(p, limit - GRANULE, 2 * GRANULE, 7), HV_BAD_ARGUMENT);
    GIVES(hv_vm_map(p, UINT64_MAX - GRANULE + 1, 2 * GRANULE, 7),
          HV_BAD_ARGUMENT);
    GIVES(hv_vm_map(p, GRANULE, UINT64_MAX - GRANULE + 1, 7), HV_BAD_ARGUMENT);
    OK(hv_vm_destroy());
}

static void overlap(void)
{
    uint8_t *p = host_memory(8 * GRANULE);

    OK(hv_vm_create(NULL));
    OK(hv_vm_map(p, 2 * GRANULE, 2 * GRANULE, 7));
    GIVES(hv_vm_map(p, 2 * GRANULE, 2 * GRANULE, 7), HV_ERROR);
    GIVES(hv_vm_map(p, GRANULE, 2 * GRANULE, 7), HV_ERROR);
    GIVES(hv_vm_map(p, 3 * GRANULE, 2 * GRANULE, 7), HV_ERROR);
    GIVES(hv_vm_map(p, GRANULE, 4 * GRANULE, 7), HV_ERROR);
    OK(hv_vm_map(p + 4 * GRANULE, GRANULE, GRANULE, 7));
    OK(hv_vm_map(p + 4 * GRANULE, 4 * GRANULE, GRANULE, 7));
    OK(hv_vm_destroy());
}

static void parts(void)
{
    uint8_t *p = host_memory(8 * GRANULE);

    OK(hv_vm_create(NULL));
    GIVES(hv_vm_unmap(0, GRANULE), HV_BAD_ARGUMENT);
    GIVES(hv_vm_protect(0, GRANULE, 1), HV_BAD_ARGUMENT);
    OK(hv_vm_map(p, 0, 8 * GRANULE, 7));
    OK(hv_vm_unmap(2 * GRANULE, GRANULE));
    GIVES(hv_vm_unmap(2 * GRANULE, GRANULE), HV_BAD_ARGUMENT);
    GIVES(hv_vm_unmap(GRANULE, 2 * GRANULE), HV_BAD_ARGUMENT);
    GIVES(hv_vm_protect(0, 8 * GRANULE, 1), HV_BAD_ARGUMENT);
    OK(hv_vm_protect(4 * GRANULE, GRANULE, 1));
    OK(hv_vm_map(p, 2 * GRANULE, GRANULE, 7));
    OK(hv_vm_unmap(3 * GRANULE, 5 * GRANULE));
    OK(hv_vm_unmap(0, 2 * GRANULE));
    OK(hv_vm_unmap(2 * GRANULE, GRANULE));
    GIVES(hv_vm_unmap(0, GRANULE), HV_BAD_ARGUMENT);
    OK(hv_vm_destroy());
}

/* The most that the host's memory could ever be used for has to be writing. */
static void host_rights(void)
{
    char path[] = "/tmp/fakehv-XXXXXX";
    int file = mkstemp(path), readable = open(path, O_RDONLY | O_CLOEXEC);
    uint8_t *shared, *copy, *written, *gone = host_memory(GRANULE);

    CHECK(ftruncate(file, 2 * GRANULE) == 0);
    shared = mmap(host_memory(GRANULE), GRANULE, PROT_READ,
                  MAP_SHARED | MAP_FIXED, readable, 0);
    copy = mmap(host_memory(GRANULE), GRANULE, PROT_READ,
                MAP_PRIVATE | MAP_FIXED, readable, 0);
    written = mmap(host_memory(GRANULE), GRANULE, PROT_READ,
                   MAP_SHARED | MAP_FIXED, file, 0);
    CHECK(munmap(gone, GRANULE) == 0);
    OK(hv_vm_create(NULL));
    for (unsigned flags = 0; flags < 8; flags++)
        GIVES(hv_vm_map(shared, 0, GRANULE, flags), HV_ERROR);
    OK(hv_vm_map(copy, 0, GRANULE, HV_MEMORY_READ));
    OK(hv_vm_map(written, GRANULE, GRANULE, HV_MEMORY_READ));
    GIVES(hv_vm_map(gone, 2 * GRANULE, GRANULE, HV_MEMORY_READ), HV_ERROR);
    OK(hv_vm_destroy());
    close(file);
    close(readable);
    unlink(path);
}

static void allocate(void)
{
    void *p = NULL;

    GIVES(hv_vm_allocate(&p, 0x1000, HV_ALLOCATE_DEFAULT), HV_BAD_ARGUMENT);
    GIVES(hv_vm_allocate(&p, 0, HV_ALLOCATE_DEFAULT), HV_BAD_ARGUMENT);
    GIVES(hv_vm_allocate(NULL, GRANULE, HV_ALLOCATE_DEFAULT), HV_BAD_ARGUMENT);
    GIVES(hv_vm_allocate(&p, GRANULE, 1), HV_BAD_ARGUMENT);
    OK(hv_vm_allocate(&p, 3 * GRANULE, HV_ALLOCATE_DEFAULT));
    CHECK((uintptr_t)p % GRANULE == 0);
    memset(p, 1, 3 * GRANULE);
    GIVES(hv_vm_deallocate(p, GRANULE), HV_BAD_ARGUMENT);
    OK(hv_vm_deallocate(p, 3 * GRANULE));
    GIVES(hv_vm_deallocate(p, 3 * GRANULE), HV_BAD_ARGUMENT);
}

/* ---- what the guest may --------------------------------------------------- */

/* x0: where. The exits tell level 2 or 3, by how the range is mapped. */
static void access_is(uint64_t at, uint32_t opcode, uint64_t ec, uint64_t fault)
{
    PUT(CODE, opcode, 0xd4000002 /* hvc #0 */);
    set(HV_REG_PC, CODE);
    set(HV_REG_X0, at);
    RUN_TO(HV_EXIT_REASON_EXCEPTION);
    CHECK(left->exception.syndrome >> 26 == ec);
    if (ec == 0x16)
        return;
    CHECK((left->exception.syndrome & 0x3c) == fault);
    CHECK(left->exception.physical_address == at);
    CHECK(left->exception.virtual_address == at);
}

enum { TRANSLATION = 4, PERMISSION = 12 };

static void rights(void)
{
    const uint32_t read = 0xb9400001 /* ldr w1, [x0] */;
    const uint32_t write = 0xb9000001 /* str w1, [x0] */;
    const uint32_t jump = 0xd61f0000 /* br x0 */;
    const uint64_t other = 0x200000;
    uint8_t *p;

    boot();
    p = host_memory(2 * GRANULE);
    memcpy(p + 8, &(uint32_t){0xd40000e2 /* hvc #7 */}, 4);
    OK(hv_vm_map(p, other, 2 * GRANULE, HV_MEMORY_READ));
    access_is(other + 0x3ff8, read, 0x16, 0);
    access_is(other + 0x3ff8, write, 0x24, PERMISSION);
    access_is(other + 8, jump, 0x20, PERMISSION);
    OK(hv_vm_protect(other, GRANULE, HV_MEMORY_READ | HV_MEMORY_WRITE));
    access_is(other + 0x3ff8, write, 0x16, 0);
    access_is(other + 0x4000, write, 0x24, PERMISSION);
    OK(hv_vm_protect(other, GRANULE, HV_MEMORY_READ | HV_MEMORY_EXEC));
    access_is(other + 8, jump, 0x16, 0);
    OK(hv_vm_protect(other, GRANULE, 0));
    access_is(other + 8, read, 0x24, PERMISSION);
    OK(hv_vm_unmap(other, GRANULE));
    access_is(other + 8, read, 0x24, TRANSLATION);
    access_is(other + 8, jump, 0x20, TRANSLATION);
    access_is(other + 0x4000, read, 0x16, 0);
    access_is(0xffffff000, read, 0x24, TRANSLATION);
    shut_down();
}

/* Write-protect, take the fault, give the right back, go on. */
static void retried(void)
{
    BOOT(0xb9000001, /* str w1, [x0] */
         0xd4000062 /* hvc #3 */);
    set(HV_REG_X0, 0x8000);
    set(HV_REG_X1, 0x1234);
    OK(hv_vm_protect(0x8000, GRANULE, HV_MEMORY_READ));
    RUN_TO(HV_EXIT_REASON_EXCEPTION);
    CHECK(left->exception.syndrome >> 26 == 0x24 && get(HV_REG_PC) == CODE);
    OK(hv_vm_protect(0x8000, GRANULE, HV_MEMORY_READ | HV_MEMORY_WRITE));
    RUN_UNTIL(0x5a000003, CODE + 8);
    CHECK(ram[0x8000] == 0x34 && ram[0x8001] == 0x12);
    shut_down();
}

/* Other memory at the same place is there at once, code too. */
static void replaced(void)
{
    uint8_t *p;

    boot();
    p = host_memory(2 * GRANULE);
    PUT(CODE, 0xd2a00401, /* movz x1, #0x20, lsl #16 */
        0xd61f0020 /* br x1 */);
    memcpy(p, &(uint32_t){0xd4000022 /* hvc #1 */}, 4);
    memcpy(p + GRANULE, &(uint32_t){0xd4000042 /* hvc #2 */}, 4);
    OK(hv_vm_map(p, 0x200000, GRANULE, 7));
    RUN_UNTIL(0x5a000001, 0x200004);
    OK(hv_vm_unmap(0x200000, GRANULE));
    OK(hv_vm_map(p + GRANULE, 0x200000, GRANULE, 7));
    set(HV_REG_PC, CODE);
    RUN_UNTIL(0x5a000002, 0x200004);
    shut_down();
}

/* What was executed stays what it is until the host says it has changed. */
static void instruction_cache(void)
{
    BOOT(0xd4000022 /* hvc #1 */);
    RUN_UNTIL(0x5a000001, CODE + 4);
    memcpy(ram + CODE, &(uint32_t){0xd4000042 /* hvc #2 */}, 4);
    set(HV_REG_PC, CODE);
    RUN_UNTIL(0x5a000001, CODE + 4);
    sys_icache_invalidate(ram + CODE, 4);
    set(HV_REG_PC, CODE);
    RUN_UNTIL(0x5a000002, CODE + 4);
    shut_down();
}

/* Memory is the host's own: each sees what the other writes. */
static void shared(void)
{
    BOOT(0xf9400001, /* ldr x1, [x0] */
         0x91000421, /* add x1, x1, #1 */
         0xf9000401, /* str x1, [x0, #8] */
         0xd4000002 /* hvc #0 */);
    set(HV_REG_X0, 0x8000);
    memcpy(ram + 0x8000, &(uint64_t){41}, 8);
    RUN_UNTIL(0x5a000000, CODE + 16);
    CHECK(ram[0x8008] == 42);
    shut_down();
}

int main(void)
{
    SKIP_ALL();
    test("addresses and sizes are multiples of 16 KiB", alignment, RETURNS);
    test("or of 4 KiB, with that granule", granule, RETURNS);
    test("nothing is mapped beyond the address width", limits, RETURNS);
    test("an overlap is HV_ERROR", overlap, RETURNS);
    test("parts are unmapped and protected, holes are not", parts, RETURNS);
    test("host memory must be there, and writable at most", host_rights,
         RETURNS);
    test("hv_vm_allocate: by the page, 16 KiB", allocate, RETURNS);
    test("rights are enforced: translation and permission faults", rights,
         RETURNS);
    test("a fault that was seen to is retried", retried, RETURNS);
    test("memory that takes the place of other is there at once", replaced,
         RETURNS);
    test("new code is seen after sys_icache_invalidate, and not before",
         instruction_cache, RETURNS);
    test("host and guest share memory", shared, RETURNS);
    return plan();
}
