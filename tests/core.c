/* SPDX-License-Identifier: MIT */
/* core.c - core's C API as a C program meets it, without Lua: names, words,
 * memory. (core_run.c has what runs.) Prints TAP. */
#include <unistd.h>

#include "core.h"

/* ---- names and words ----------------------------------------------------- */

static void test_names(void)
{
    CHECK(vmm_arch_find("arm64") == VMM_ARM64);
    CHECK(strcmp(vmm_arch_name(VMM_X86_64), "x86_64") == 0);
    FAILS(vmm_arch_find("z80"), VMM_EINVAL, "\"z80\"");
    CHECK(strcmp(vmm_backend_name(0), "hvf") == 0);
    CHECK(!vmm_backend_name(-1) && !vmm_backend_name(1000));
    for (int i = VMM_HVC; i < VMM_KINDS; i++)
        CHECK(vmm_kind_find(vmm_kind_name((enum vmm_kind)i)) == i);
    CHECK(vmm_kind_find("hvcc") < 0);
    CHECK(strcmp(vmm_kind_name((enum vmm_kind)VMM_KINDS), "unknown") == 0);
    result("architectures, backends, kinds of exits", "");
}

static void test_registers(void)
{
    const struct vmm_reg_name *w0 = vmm_reg_find(VMM_ARM64, "w0");
    const struct vmm_reg_name *ah = vmm_reg_find(VMM_X86_64, "ah");

    CHECK(w0 && w0->reg == VMM_REG(VMM_GENERAL, 0) && w0->bits == 32);
    CHECK(ah && ah->reg == VMM_REG(VMM_GENERAL, VMM_RAX) && ah->shift == 8);
    CHECK(!vmm_reg_find(VMM_ARM64, "rax") && !vmm_reg_find(VMM_X86_64, "x0"));
    CHECK(!vmm_reg_find(VMM_ARM64, ""));
    CHECK(strcmp(vmm_reg_nearest(VMM_ARM64, "vbar_el"), "vbar_el1") == 0);
    CHECK(strcmp(vmm_reg_nearest(VMM_X86_64, "RAX"), "rax") == 0);
    CHECK(!vmm_reg_nearest(VMM_X86_64, "nothing like any of them"));
    CHECK(vmm_distance("", "abc") == 3 && vmm_distance("ab", "ba") == 1);
    CHECK(vmm_distance("kitten", "sitting") == 3);
    for (int arch = 0; arch < VMM_ARCHES; arch++) {
        const struct vmm_reg_name *r;
        size_t n = 0;

        for (; (r = vmm_reg_name((enum vmm_arch)arch, n)); n++)
            CHECK(vmm_reg_find((enum vmm_arch)arch, r->name) == r);
        CHECK(n > 30 && !vmm_reg_name((enum vmm_arch)arch, n + 1000));
    }
    result("register names", "");
}

static void test_words(void)
{
    static const struct {
        struct vmm_exit exit;
        const char *words;
    } exits[] = {
        {{.kind = VMM_HVC, .nr = 7, .imm = 3}, "hypercall 7 (hvc #3)"},
        {{.kind = VMM_MMIO, .size = 4, .addr = 0x9000018},
         "mmio read of 4 bytes at 0x9000018"},
        {{.kind = VMM_IO, .size = 2, .port = 0x3f8, .write = true},
         "io write of 2 bytes at port 0x3f8"},
        {{.kind = VMM_SHUTDOWN, .why = "triple fault"},
         "shutdown: triple fault"},
        {{.kind = VMM_HALT}, "halt"},
    };
    char text[200], small[5];

    for (size_t i = 0; i < sizeof exits / sizeof exits[0]; i++)
        CHECK(strcmp(vmm_exit_words(&exits[i].exit, text, sizeof text),
                     exits[i].words) == 0);
    CHECK(strcmp(vmm_exit_words(&exits[0].exit, small, sizeof small), "hype") ==
          0);
    result("an exit in words, as many as there is room for", "");
}

static void test_refusals(void)
{
#ifdef __aarch64__
    const enum vmm_arch foreign = VMM_X86_64;
#else
    const enum vmm_arch foreign = VMM_ARM64;
#endif
    struct vmm_config config = {.backend = "kvm", .arch = foreign};
    struct vmm *vm;

    FAILS(vmm_open(&config, &vm), VMM_ENOTSUP, "the host's own architecture");
    CHECK(!vm && strstr(vmm_probe("kvm", foreign), "own architecture"));
    config.backend = "qemu";
    FAILS(vmm_open(&config, &vm), VMM_ENOTSUP, "\"qemu\"");
    CHECK(!vm && vmm_probe("qemu", VMM_ARM64));
    config.arch = (enum vmm_arch)VMM_ARCHES;
    FAILS(vmm_open(&config, &vm), VMM_EINVAL, "does not exist");
    CHECK(!vm);
    vmm_close(NULL);
    result("machines that cannot be", "");
}

/* ---- memory -------------------------------------------------------------- */

static int map(struct vmm *vm, uint64_t at, uint64_t size)
{
    struct vmm_range range = {.at = at, .size = size, .prot = VMM_R | VMM_W};

    return vmm_map(vm, &range);
}

static void test_ranges(const struct guest *g)
{
    struct vmm *vm = empty(g);
    struct vmm_range r = {.at = 0, .size = PAGE};

    CHECK(vmm_page_size(vm) == PAGE);
    FAILS(map(vm, 0, 0), VMM_EINVAL, "size is 0");
    FAILS(map(vm, 1, PAGE), VMM_EINVAL, "page size");
    FAILS(map(vm, 0, PAGE + 1), VMM_EINVAL, "page size");
    FAILS(map(vm, UINT64_MAX - PAGE + 1, 2 * PAGE), VMM_EINVAL, "beyond");
    FAILS(map(vm, 0, UINT64_MAX - PAGE + 1), VMM_EINVAL, "beyond");
    FAILS(vmm_map(vm, &r), VMM_EINVAL, "prot");
    CHECK(map(vm, 4 * PAGE, PAGE) == 0 && map(vm, 0, PAGE) == 0);
    CHECK(map(vm, 2 * PAGE, 2 * PAGE) == 0);
    FAILS(map(vm, 3 * PAGE, PAGE), VMM_EINVAL, "overlaps");
    FAILS(map(vm, PAGE, 8 * PAGE), VMM_EINVAL, "overlaps");
    for (size_t i = 0; i < 3; i++)
        CHECK(vmm_range_at(vm, i, &r) && r.at == 2 * PAGE * i && !r.host);
    CHECK(!vmm_range_at(vm, 3, &r));
    FAILS(vmm_unmap(vm, 3 * PAGE), VMM_EINVAL, "starts at 0x2000");
    FAILS(vmm_unmap(vm, PAGE), VMM_EINVAL, "no memory");
    FAILS(vmm_protect(vm, 0, 8), VMM_EINVAL, "prot");
    CHECK(vmm_protect(vm, 0, VMM_R) == 0 && vmm_range_at(vm, 0, &r));
    CHECK(r.prot == VMM_R && vmm_store(vm, 8, 8, 1) == 0);
    CHECK(vmm_unmap(vm, 2 * PAGE) == 0 && map(vm, 3 * PAGE, PAGE) == 0);
    vmm_close(vm);
}

/* Two ranges that touch, and nothing behind them. */
static void test_access(const struct guest *g)
{
    struct vmm *vm = empty(g);
    uint8_t in[8] = "abcdefg", out[8] = "";
    uint64_t value;

    CHECK(map(vm, 0, PAGE) == 0 && map(vm, PAGE, PAGE) == 0);
    CHECK(vmm_write(vm, PAGE - 4, in, 8) == 0);
    CHECK(vmm_read(vm, PAGE - 4, out, 8) == 0 && memcmp(in, out, 8) == 0);
    FAILS(vmm_write(vm, 2 * PAGE - 4, in, 8), VMM_ERANGE, "0x2000");
    CHECK(vmm_load(vm, 2 * PAGE - 4, 4, &value) == 0 && value == 0);
    FAILS(vmm_read(vm, UINT64_MAX - 3, out, 8), VMM_ERANGE, "read");
    FAILS(vmm_read(vm, 0, out, SIZE_MAX), VMM_ERANGE, "0x2000");
    FAILS(vmm_fill(vm, 0, UINT64_MAX, 1), VMM_ERANGE, "0x2000");
    CHECK(vmm_read(vm, 5 * PAGE, out, 0) == 0);
    CHECK(vmm_fill(vm, PAGE - 8, 16, 0xee) == 0);
    for (unsigned size = 1; size <= 8; size *= 2) {
        uint64_t all = UINT64_MAX >> (64 - 8 * size);

        CHECK(vmm_store(vm, PAGE - 1, size, UINT64_C(0x8877665544332211)) == 0);
        CHECK(vmm_load(vm, PAGE - 1, size, &value) == 0);
        CHECK(value == (UINT64_C(0x8877665544332211) & all));
        FAILS(vmm_load(vm, 2 * PAGE - size + 1, size, &value), VMM_ERANGE, "");
        FAILS(vmm_store(vm, 2 * PAGE - size + 1, size, 0), VMM_ERANGE, "");
    }
    CHECK(vmm_read(vm, PAGE - 1, out, 2) == 0 && out[0] == 0x11);
    vmm_close(vm);
}

static void test_search(const struct guest *g)
{
    struct vmm *vm = empty(g);
    uint64_t at = 0;
    size_t len = 0;

    CHECK(map(vm, 0, PAGE) == 0 && map(vm, PAGE, PAGE) == 0);
    CHECK(vmm_write(vm, PAGE - 3, "aaab", 4) == 0); /* over the edge */
    CHECK(vmm_find(vm, 0, 2 * PAGE, "aab", 3, &at) == 1 && at == PAGE - 2);
    CHECK(vmm_find(vm, 0, PAGE, "aab", 3, &at) == 0);
    CHECK(vmm_find(vm, PAGE - 2, 3, "aab", 3, &at) == 1 && at == PAGE - 2);
    CHECK(vmm_find(vm, PAGE - 2, 2, "aab", 3, &at) == 0);
    FAILS(vmm_find(vm, 0, 2 * PAGE + 1, "aab", 3, &at), VMM_ERANGE, "find");
    FAILS(vmm_find(vm, 0, PAGE, "", 0, &at), VMM_EINVAL, "nothing");
    CHECK(vmm_strlen(vm, PAGE - 3, 100, &len) == 0 && len == 4);
    CHECK(vmm_strlen(vm, PAGE - 3, 5, &len) == 0 && len == 4);
    FAILS(vmm_strlen(vm, PAGE - 3, 4, &len), VMM_ERANGE, "no NUL");
    CHECK(vmm_fill(vm, PAGE, PAGE, 'x') == 0);
    FAILS(vmm_strlen(vm, PAGE, SIZE_MAX, &len), VMM_ERANGE, "0x2000");
    CHECK(vmm_store(vm, 2 * PAGE - 1, 1, 0) == 0);
    CHECK(vmm_strlen(vm, PAGE, SIZE_MAX, &len) == 0 && len == PAGE - 1);
    vmm_close(vm);
}

/* The caller's own memory: what the guest does is seen there, it outlives the
 * machine, and pointers to other memory do not leave core. */
static void test_host_memory(const struct guest *g)
{
    struct vmm *vm = empty(g);
    void *own = NULL;
    struct vmm_range seen, range = {.size = SIZE, .prot = VMM_R | VMM_W};

    CHECK(posix_memalign(&own, PAGE, SIZE) == 0);
    memset(own, 0x5a, SIZE);
    range.host = (uint8_t *)own + 1;
    FAILS(vmm_map(vm, &range), VMM_EINVAL, "aligned");
    range.host = own;
    range.file = "/dev/null";
    FAILS(vmm_map(vm, &range), VMM_EINVAL, "/dev/null");
    range.file = NULL;
    CHECK(vmm_map(vm, &range) == 0);
    CHECK(vmm_range_at(vm, 0, &seen) && seen.host == own);
    CHECK(vmm_store(vm, 8, 4, 0x12345678) == 0);
    CHECK(memcmp((uint8_t *)own + 7, "\x5a\x78\x56\x34\x12\x5a", 6) == 0);
    CHECK(vmm_unmap(vm, 0) == 0 && vmm_map(vm, &range) == 0);
    vmm_close(vm);
    memset(own, 0, SIZE);
    free(own);
}

static void test_files(const struct guest *g)
{
    struct vmm *vm = empty(g);
    char path[] = "/tmp/hvlua-core-XXXXXX", text[4] = "";
    int file = mkstemp(path);
    struct vmm_range shared = {
        .size = PAGE, .prot = VMM_R | VMM_W, .file = path, .shared = true};
    struct vmm_range copy = shared;

    copy.at = PAGE;
    copy.shared = false;
    CHECK(file >= 0 && write(file, "one", 3) == 3);
    FAILS(vmm_map(vm, &shared), VMM_EINVAL, "too short");
    CHECK(vmm_map(vm, &copy) == 0 && ftruncate(file, PAGE) == 0);
    CHECK(vmm_map(vm, &shared) == 0 && vmm_write(vm, 0, "two", 3) == 0);
    CHECK(vmm_write(vm, PAGE + 1, "ther", 4) == 0);
    CHECK(pread(file, text, 3, 0) == 3 && memcmp(text, "two", 3) == 0);
    CHECK(vmm_read(vm, PAGE, text, 4) == 0 && memcmp(text, "othe", 4) == 0);
    close(file);
    unlink(path);
    CHECK(vmm_unmap(vm, 0) == 0 && vmm_unmap(vm, PAGE) == 0);
    FAILS(vmm_map(vm, &copy), VMM_EHOST, path);
    shared.file = NULL;
    FAILS(vmm_map(vm, &shared), VMM_EINVAL, "needs a file");
    vmm_close(vm);
}

/* ---- all of it ----------------------------------------------------------- */

static const struct test tests[] = {
    {"ranges of memory", test_ranges},
    {"memory read, written, filled, to the last byte", test_access},
    {"bytes found, strings measured, over edges", test_search},
    {"the caller's own memory", test_host_memory},
    {"memory from files, shared and copied", test_files},
    {NULL, NULL},
};

int main(void)
{
    test_names();
    test_registers();
    test_words();
    test_refusals();
    run_tests(tests);
    return plan();
}
