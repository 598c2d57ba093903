/* SPDX-License-Identifier: MIT */
/* chip.c - which Mac this is: the switches, and what a Mac tells of itself. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysctl.h>

#include "fake.h"

struct fake_switches fake;

/* ---- switches ------------------------------------------------------------- */

static bool set_macos(const char *value)
{
    char *end;
    unsigned long major = strtoul(value, &end, 10), minor = 0;

    if (end == value || major < 11 || major > 99)
        return false;
    if (*end == '.')
        minor = strtoul(end + 1, &end, 10);
    if ((*end != '\0' && *end != '.') || minor > 99)
        return false;
    fake.macos = (unsigned)(major * 100 + minor);
    return true;
}

static bool set_chip(const char *value)
{
    unsigned model;

    if (strlen(value) != 2 || value[0] != 'm' || value[1] < '1' ||
        value[1] > '5')
        return false;
    model = (unsigned)(value[1] - '0');
    fake.max_ipa = model < 3 ? 36 : 40;
    fake.el2 = model >= 3;
    fake.sme = model >= 4;
    return true;
}

static bool number(const char *value, unsigned most, unsigned *n)
{
    char *end;
    unsigned long got = strtoul(value, &end, 10);

    if (end == value || *end != '\0' || got > most)
        return false;
    *n = (unsigned)got;
    return true;
}

static bool flag(const char *value, bool *on)
{
    unsigned n;

    if (!number(value, 1, &n))
        return false;
    *on = n;
    return true;
}

static bool set_entitled(const char *value)
{
    return flag(value, &fake.entitled);
}

static bool set_inside(const char *value)
{
    return flag(value, &fake.inside_vm);
}

static bool set_translated(const char *value)
{
    return flag(value, &fake.translated);
}

static bool set_strict(const char *value)
{
    return number(value, 2, &fake.strict);
}

static bool set_signals(const char *value)
{
    return flag(value, &fake.signals);
}

static bool set_spurious(const char *value)
{
    return number(value, 1000000, &fake.spurious);
}

static bool set_max_vcpus(const char *value)
{
    return number(value, MAX_VCPUS, &fake.max_vcpus) && fake.max_vcpus > 0;
}

static bool set_log(const char *value)
{
    fake_log_open(value);
    return true;
}

static const struct {
    const char *name, *value; /* unless it is set */
    bool (*set)(const char *value);
} switches[] = {
    {"FAKE_HV_MACOS", "26.0", set_macos},
    {"FAKE_HV_CHIP", "m4", set_chip},
    {"FAKE_HV_ENTITLED", "1", set_entitled},
    {"FAKE_HV_INSIDE_VM", "0", set_inside},
    {"FAKE_HV_TRANSLATED", "0", set_translated},
    {"FAKE_HV_STRICT", "1", set_strict},
    {"FAKE_HV_SIGNALS", "1", set_signals},
    {"FAKE_HV_SPURIOUS", "0", set_spurious},
    {"FAKE_HV_MAX_VCPUS", "64", set_max_vcpus},
    {"FAKE_HV_FAIL", "", fake_log_fail_list},
    {"FAKE_HV_LOG", "", set_log},
};

bool fake_hv_set(const char *name, const char *value)
{
    for (size_t i = 0; i < sizeof switches / sizeof *switches; i++)
        if (strcmp(switches[i].name, name) == 0)
            return switches[i].set(value != NULL ? value : switches[i].value);
    return false;
}

/* A wrong value must not pass for another Mac than was meant. */
void fake_switches_read(void)
{
    for (size_t i = 0; i < sizeof switches / sizeof *switches; i++) {
        const char *value = getenv(switches[i].name);

        if (value == NULL || *value == '\0')
            value = switches[i].value;
        if (!switches[i].set(value))
            fake_die("%s=%s is not among what fakehv.h knows", switches[i].name,
                     value);
    }
}

__attribute__((constructor(101))) static void start(void)
{
    fake_switches_read();
}

/* ---- sysctlbyname --------------------------------------------------------- */

static int give(const void *value, size_t size, void *old, size_t *old_size)
{
    if (old != NULL) {
        if (old_size == NULL || *old_size < size) {
            errno = ENOMEM;
            return -1;
        }
        memcpy(old, value, size);
    }
    if (old_size != NULL)
        *old_size = size;
    return 0;
}

static bool answer(const char *name, int *value)
{
    if (strcmp(name, "kern.hv_support") == 0)
        *value = !fake.inside_vm && !fake.translated;
    else if (strcmp(name, "kern.hv_vmm_present") == 0)
        *value = fake.inside_vm;
    else if (strcmp(name, "sysctl.proc_translated") == 0)
        *value = fake.translated;
    else if (strcmp(name, "hw.optional.arm64") == 0)
        *value = 1;
    else if (strcmp(name, "kern.hv.ipa_size_16k") == 0 ||
             strcmp(name, "kern.hv.ipa_size_4k") == 0)
        *value = (int)fake.max_ipa;
    else if (strcmp(name, "hw.optional.arm.sme_max_svl_b") == 0 && fake.sme)
        *value = SVL;
    else
        return false;
    return true;
}

int sysctlbyname(const char *name, void *old, size_t *old_size, void *new_value,
                 size_t new_size)
{
    char version[16];
    int64_t page = GRANULE_16K;
    int value;

    (void)new_size;
    if (new_value != NULL) {
        errno = EPERM;
        return -1;
    }
    if (answer(name, &value))
        return give(&value, sizeof value, old, old_size);
    if (strcmp(name, "hw.pagesize") == 0)
        return give(&page, sizeof page, old, old_size);
    if (strcmp(name, "kern.osproductversion") == 0) {
        snprintf(version, sizeof version, "%u.%u", fake.macos / 100,
                 fake.macos % 100);
        return give(version, strlen(version) + 1, old, old_size);
    }
    errno = ENOENT;
    return -1;
}
