/* SPDX-License-Identifier: MIT */
/* fakehv_vm.c - tests of the double: versions, chips, the VM, its objects, the
 * log, forks, and what a Mac tells of itself. */
#include <dlfcn.h>
#include <errno.h>
#include <sys/sysctl.h>

#include "test.h"

/* ---- which macOS, which Mac ----------------------------------------------- */

#define FN(since, type, name, params, args, log) {since, "hv_" #name},
static const struct {
    unsigned since;
    const char *name;
} functions[] = {
#include "functions.h"
};

/* The library, as a process that starts with this setting sees it. */
static void symbols_of(const char *macos, unsigned version)
{
    void *library;

    CHECK(fake_hv_set("FAKE_HV_MACOS", macos));
    library = dlopen("libHypervisor.so", RTLD_NOW | RTLD_LOCAL);
    CHECK(library != NULL);
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        bool found = dlsym(library, functions[i].name) != NULL;

        if (found != (functions[i].since <= version))
            printf("# %s in %s\n", functions[i].name, macos);
        CHECK(found == (functions[i].since <= version));
    }
}

static void symbols(void)
{
    CHECK(sizeof functions / sizeof *functions == 89);
    symbols_of("11.0", 1100);
    symbols_of("12.1", 1201);
    symbols_of("12.7", 1201);
    symbols_of("13.0", 1300);
    symbols_of("15.0", 1500);
    symbols_of("15.2", 1502);
    symbols_of("26.0", 2600);
    CHECK(!fake_hv_set("FAKE_HV_MACOS", "10.15"));
    CHECK(!fake_hv_set("FAKE_HV_MACOS", "big"));
    CHECK(!fake_hv_set("FAKE_HV_NOTHING", "1"));
}

/* What was found before is not to be called on an older one. */
static void call_what_is_newer(void)
{
    bool supported;

    hv_vm_config_get_el2_supported(&supported);
    fake_hv_set("FAKE_HV_MACOS", "13.0");
    hv_vm_config_get_el2_supported(&supported);
}

static void types(void)
{
    _Static_assert(sizeof(hv_sys_reg_t) == 2, "hv_sys_reg_t");
    _Static_assert(sizeof(hv_reg_t) == 4, "hv_reg_t");
    _Static_assert(sizeof(hv_gic_distributor_reg_t) == 2, "GICD");
    _Static_assert(sizeof(hv_gic_redistributor_reg_t) == 4, "GICR");
    _Static_assert(sizeof(hv_gic_icc_reg_t) == 2, "ICC");
    _Static_assert(sizeof(hv_gic_intid_t) == 2, "INTID");
    _Static_assert(sizeof(hv_simd_fp_uchar16_t) == 16, "Q");
    _Static_assert(sizeof(hv_sme_zt0_uchar64_t) == 64, "ZT0");
    _Static_assert(HV_REG_PC == 31 && HV_REG_CPSR == 34, "HV_REG");
    _Static_assert(HV_SYS_REG_DBGWCR15_EL1 == 0x807f, "DBGWCR15");
    _Static_assert(HV_SYS_REG_MDCR_EL2 == 0xe089, "MDCR_EL2");
    _Static_assert(HV_GIC_DISTRIBUTOR_REG_GICD_IROUTER1019 == 0x7fd8, "last");
    _Static_assert(HV_GIC_DISTRIBUTOR_REG_GICD_IPRIORITYR254 == 0x7f8, "last");
    CHECK(HV_BAD_ARGUMENT == -85377021);
    CHECK(HV_INTERRUPT_TYPE_IRQ == 0 && HV_INTERRUPT_TYPE_FIQ == 1);
}

static void chips(void)
{
    static const struct {
        const char *name;
        uint32_t ipa;
        bool el2, sme;
    } list[] = {{"m1", 36, false, false},
                {"m3", 40, true, false},
                {"m5", 40, true, true}};

    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        uint32_t bits = 0;
        bool el2 = false;
        size_t svl = 0;

        CHECK(fake_hv_set("FAKE_HV_CHIP", list[i].name));
        OK(hv_vm_config_get_max_ipa_size(&bits));
        CHECK(bits == list[i].ipa);
        OK(hv_vm_config_get_el2_supported(&el2));
        CHECK(el2 == list[i].el2);
        GIVES(hv_sme_config_get_max_svl_bytes(&svl),
              list[i].sme ? HV_SUCCESS : HV_UNSUPPORTED);
        CHECK(svl == (list[i].sme ? 64 : 0));
    }
    CHECK(!fake_hv_set("FAKE_HV_CHIP", "i9"));
}

static void sysctls(void)
{
    int value = -1;
    int64_t page = 0;
    char version[8];
    size_t size = sizeof value;

    CHECK(sysctlbyname("kern.hv_support", &value, &size, NULL, 0) == 0);
    CHECK(value == 1 && size == sizeof value);
    fake_hv_set("FAKE_HV_INSIDE_VM", "1");
    CHECK(sysctlbyname("kern.hv_support", &value, &size, NULL, 0) == 0);
    CHECK(value == 0);
    CHECK(sysctlbyname("kern.hv_vmm_present", &value, &size, NULL, 0) == 0);
    CHECK(value == 1);
    size = sizeof page;
    CHECK(sysctlbyname("hw.pagesize", &page, &size, NULL, 0) == 0);
    CHECK(page == 16384);
    fake_hv_set("FAKE_HV_MACOS", "15.2");
    size = sizeof version;
    CHECK(sysctlbyname("kern.osproductversion", version, &size, NULL, 0) == 0);
    CHECK(strcmp(version, "15.2") == 0 && size == 5);
    size = 2;
    CHECK(sysctlbyname("kern.osproductversion", version, &size, NULL, 0) < 0 &&
          errno == ENOMEM);
    CHECK(sysctlbyname("hw.nothing", &value, &size, NULL, 0) < 0 &&
          errno == ENOENT);
}

/* ---- the VM --------------------------------------------------------------- */

static void create(void)
{
    fake_hv_set("FAKE_HV_ENTITLED", "0");
    GIVES(hv_vm_create(NULL), HV_DENIED);
    fake_hv_set("FAKE_HV_ENTITLED", "1");
    fake_hv_set("FAKE_HV_INSIDE_VM", "1");
    GIVES(hv_vm_create(NULL), HV_UNSUPPORTED);
    fake_hv_set("FAKE_HV_INSIDE_VM", "0");
    for (int i = 0; i < 20; i++) {
        OK(hv_vm_create(NULL));
        GIVES(hv_vm_create(NULL), HV_BUSY);
        OK(hv_vm_destroy());
        GIVES(hv_vm_destroy(), HV_NO_DEVICE);
    }
    fake_hv_fail("hv_vm_create", HV_NO_RESOURCES, 1);
    GIVES(hv_vm_create(NULL), HV_NO_RESOURCES);
    OK(hv_vm_create(NULL));
    OK(hv_vm_destroy());
}

static void without_vm(void)
{
    hv_vcpu_t id = 0;
    uint64_t value;
    uint32_t number;
    size_t size;
    bool flag;

    GIVES(hv_vm_map(host_memory(GRANULE), 0, GRANULE, 7), HV_NO_DEVICE);
    GIVES(hv_vm_unmap(0, GRANULE), HV_NO_DEVICE);
    GIVES(hv_vm_protect(0, GRANULE, 1), HV_NO_DEVICE);
    GIVES(hv_vcpu_create(&id, &left, NULL), HV_NO_DEVICE);
    GIVES(hv_vcpu_destroy(0), HV_NO_DEVICE);
    GIVES(hv_vcpu_run(0), HV_NO_DEVICE);
    GIVES(hv_vcpus_exit(&id, 1), HV_NO_DEVICE);
    GIVES(hv_vcpu_get_reg(0, HV_REG_X0, &value), HV_NO_DEVICE);
    GIVES(hv_vcpu_get_vtimer_mask(0, &flag), HV_NO_DEVICE);
    GIVES(hv_gic_set_spi(32, true), HV_NO_DEVICE);
    GIVES(hv_gic_reset(), HV_NO_DEVICE);
    GIVES(hv_gic_get_distributor_size(&size), HV_NO_DEVICE);
    GIVES(hv_gic_get_icc_reg(0, HV_GIC_ICC_REG_PMR_EL1, &value), HV_NO_DEVICE);
    CHECK(hv_gic_state_create() == NULL);
    CHECK(hv_gic_config_create() == NULL);
    OK(hv_vm_get_max_vcpu_count(&number));
    CHECK(number == 64);
    GIVES(hv_vm_get_max_vcpu_count(NULL), HV_BAD_ARGUMENT);
}

static void destroy_with_vcpus(void)
{
    boot();
    GIVES(hv_vm_destroy(), HV_BUSY);
    OK(hv_vcpu_destroy(cpu));
    OK(hv_vm_destroy());
    OK(hv_vm_create(NULL));
    GIVES(hv_vm_unmap(0, RAM_SIZE), HV_BAD_ARGUMENT); /* it is gone */
    OK(hv_vm_map(ram, 0, RAM_SIZE, 7));
    OK(hv_vm_destroy());
}

static void in_child_of_fork(void)
{
    pid_t child;
    int status = 0;

    BOOT(0xd4000022 /* hvc #1 */);
    child = fork();
    if (child == 0) {
        GIVES(hv_vcpu_run(cpu), HV_NO_DEVICE);
        GIVES(hv_vm_destroy(), HV_NO_DEVICE);
        BOOT(0xd4000042 /* hvc #2 */);
        RUN_UNTIL(0x5a000002, CODE + 4);
        shut_down();
        fflush(stdout);
        _exit(bad);
    }
    waitpid(child, &status, 0);
    CHECK(status == 0);
    RUN_UNTIL(0x5a000001, CODE + 4);
    shut_down();
}

/* ---- configs -------------------------------------------------------------- */

static void ipa_size(void)
{
    hv_vm_config_t config = hv_vm_config_create();
    uint32_t bits = 0;

    fake_hv_set("FAKE_HV_CHIP", "m1");
    OK(hv_vm_config_get_default_ipa_size(&bits));
    CHECK(bits == 36);
    GIVES(hv_vm_config_set_ipa_size(config, 37), HV_UNSUPPORTED);
    fake_hv_set("FAKE_HV_CHIP", "m4");
    OK(hv_vm_config_set_ipa_size(config, 40));
    GIVES(hv_vm_config_set_ipa_size(config, 41), HV_UNSUPPORTED);
    OK(hv_vm_config_get_ipa_size(config, &bits));
    CHECK(bits == 40);
    OK(hv_vm_create(config));
    OK(hv_vm_map(host_memory(GRANULE), UINT64_C(1) << 39, GRANULE, 7));
    OK(hv_vm_destroy());
    OK(hv_vm_config_set_ipa_size(config, 0));
    OK(hv_vm_config_get_ipa_size(config, &bits));
    CHECK(bits == 36);
    OK(hv_vm_create(config));
    GIVES(hv_vm_map(host_memory(GRANULE), UINT64_C(1) << 39, GRANULE, 7),
          HV_BAD_ARGUMENT);
    OK(hv_vm_destroy());
    os_release(config);
}

static void el2_config(void)
{
    hv_vm_config_t config = hv_vm_config_create();
    bool on = true;

    OK(hv_vm_config_get_el2_enabled(config, &on));
    CHECK(!on);
    fake_hv_set("FAKE_HV_CHIP", "m2");
    GIVES(hv_vm_config_set_el2_enabled(config, true), HV_UNSUPPORTED);
    fake_hv_set("FAKE_HV_CHIP", "m3");
    OK(hv_vm_config_set_el2_enabled(config, true));
    OK(hv_vm_config_get_el2_enabled(config, &on));
    CHECK(on);
    os_release(config);
}

static void objects(void)
{
    hv_vm_config_t vm = hv_vm_config_create();
    hv_vcpu_config_t vcpu = hv_vcpu_config_create();

    CHECK(fake_hv_objects() == 2);
    os_retain(vm);
    os_release(vm);
    CHECK(fake_hv_objects() == 2);
    os_release(vm);
    os_release(vcpu);
    CHECK(fake_hv_objects() == 0);
}

static void use_after_release(void)
{
    hv_vm_config_t config = hv_vm_config_create();

    os_release(config);
    hv_vm_create(config);
}

static void release_twice(void)
{
    hv_vm_config_t config = hv_vm_config_create();

    os_release(config);
    os_release(config);
}

static void wrong_kind(void)
{
    hv_vm_create((hv_vm_config_t)(void *)hv_vcpu_config_create());
}

/* At the end of a process, on its stderr. */
static void leaks(void)
{
    int pipes[2], status = 0;
    char text[200] = "";
    pid_t child;

    CHECK(pipe(pipes) == 0);
    child = fork();
    if (child == 0) {
        dup2(pipes[1], 2);
        CHECK(hv_vm_config_create() != NULL);
        exit(0);
    }
    waitpid(child, &status, 0);
    CHECK(read(pipes[0], text, sizeof text - 1) > 0);
    CHECK(strstr(text, "hv_vm_config_t was never released") != NULL);
}

/* ---- log, failures -------------------------------------------------------- */

static void call_log(void)
{
    uint64_t first = fake_hv_calls();
    struct fake_hv_call call;

    OK(hv_vm_create(NULL));
    GIVES(hv_vm_unmap(GRANULE, 3), HV_BAD_ARGUMENT);
    CHECK(fake_hv_calls() == first + 2);
    CHECK(fake_hv_call(first, &call) &&
          strcmp(call.function, "hv_vm_create") == 0);
    CHECK(call.result == HV_SUCCESS && call.args == 1 && call.arg[0] == 0);
    CHECK(fake_hv_call(first + 1, &call));
    CHECK(call.number == first + 1 && call.args == 2);
    CHECK(call.arg[0] == GRANULE && call.arg[1] == 3);
    CHECK(call.result == HV_BAD_ARGUMENT && call.thread == gettid());
    CHECK(!fake_hv_call(first + 2, &call));
    fake_hv_forget();
    CHECK(fake_hv_calls() == 0);
    OK(hv_vm_destroy());
}

static void log_file(void)
{
    char path[] = "/tmp/fakehv-XXXXXX", line[100] = "", want[100];
    int file = mkstemp(path);
    FILE *text;

    CHECK(file >= 0 && fake_hv_set("FAKE_HV_LOG", path));
    fake_hv_forget();
    GIVES(hv_vm_unmap(GRANULE, 16), HV_NO_DEVICE);
    fake_hv_set("FAKE_HV_LOG", "");
    text = fdopen(file, "r");
    CHECK(fgets(line, sizeof line, text) != NULL);
    snprintf(want, sizeof want,
             "0 %d hv_vm_unmap(0x4000, 0x10) = HV_NO_DEVICE\n", (int)gettid());
    CHECK(strcmp(line, want) == 0);
    fclose(text);
    unlink(path);
}

static void failures(void)
{
    fake_hv_fail("hv_vm_destroy", HV_ERROR, 2);
    OK(hv_vm_create(NULL));
    GIVES(hv_vm_destroy(), HV_ERROR);
    GIVES(hv_vm_destroy(), HV_ERROR);
    OK(hv_vm_destroy());
    CHECK(fake_hv_set("FAKE_HV_FAIL",
                      "hv_vm_create=0xfae94005,hv_vm_config_create=1"));
    GIVES(hv_vm_create(NULL), HV_NO_RESOURCES);
    GIVES(hv_vm_create(NULL), HV_NO_RESOURCES);
    CHECK(hv_vm_config_create() == NULL);
    CHECK(!fake_hv_set("FAKE_HV_FAIL", "hv_vm_create"));
    CHECK(fake_hv_set("FAKE_HV_FAIL", NULL));
    OK(hv_vm_create(NULL));
    OK(hv_vm_destroy());
}

static void strict_reports(void)
{
    fake_hv_set("FAKE_HV_STRICT", "2");
    hv_gic_config_create(); /* without a VM */
}

static void clock_turns(void)
{
    mach_timebase_info_data_t base;
    uint64_t now;

    CHECK(mach_timebase_info(&base) == KERN_SUCCESS);
    CHECK(base.numer == 125 && base.denom == 3);
    now = mach_absolute_time();
    usleep(2000);
    CHECK(mach_absolute_time() - now >= 48000);
    fake_hv_clock_stop(1000);
    usleep(1000);
    CHECK(mach_absolute_time() == 1000);
    fake_hv_clock_advance(24);
    CHECK(mach_absolute_time() == 1024);
    fake_hv_clock_go();
    CHECK(mach_absolute_time() >= 1024);
    CHECK(mach_wait_until(mach_absolute_time() + 240) == KERN_SUCCESS);
}

int main(void)
{
    SKIP_ALL();
    test("names, values and sizes are the framework's", types, RETURNS);
    test("dlsym finds what this macOS has, and no more", symbols, RETURNS);
    test("a function newer than this macOS aborts", call_what_is_newer, ABORTS);
    test("a chip has its address width, EL2, SME", chips, RETURNS);
    test("sysctlbyname tells of the Mac", sysctls, RETURNS);
    test("one VM at a time: DENIED, UNSUPPORTED, BUSY, NO_RESOURCES", create,
         RETURNS);
    test("without a VM all is NO_DEVICE", without_vm, RETURNS);
    test("a VM with vCPUs is BUSY, and its mappings go with it",
         destroy_with_vcpus, RETURNS);
    test("the child of a fork has no VM, the parent keeps its own",
         in_child_of_fork, RETURNS);
    test("address widths: default, largest, too large", ipa_size, RETURNS);
    test("EL2 is off, and only some chips have it", el2_config, RETURNS);
    test("objects are counted", objects, RETURNS);
    test("an object used after its release aborts", use_after_release, ABORTS);
    test("an object released twice aborts", release_twice, ABORTS);
    test("an object of another kind aborts", wrong_kind, ABORTS);
    test("an object that is not released is reported at exit", leaks, RETURNS);
    test("calls are logged with arguments, thread and result", call_log,
         RETURNS);
    test("FAKE_HV_LOG gets a line for each call", log_file, RETURNS);
    test("calls fail on demand", failures, RETURNS);
    test("FAKE_HV_STRICT=2: a report aborts", strict_reports, ABORTS);
    test("a tick is 125/3 ns, and a test may stop the clock", clock_turns,
         RETURNS);
    return plan();
}
