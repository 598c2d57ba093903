/* SPDX-License-Identifier: MIT */
/* vm.c - the process's one VM, the locks around it, and what a fork leaves. */
#include <string.h>

#include "fake.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

struct vm fake_vm;

void fake_lock(void)
{
    pthread_mutex_lock(&mutex);
}

void fake_unlock(void)
{
    pthread_mutex_unlock(&mutex);
}

/* ---- turns ---------------------------------------------------------------- */

/* In order of arrival, so that nobody starves. */
static struct {
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    uint64_t next, now;
    atomic_uint waiting, urgent;
} turn = {.mutex = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER};

void fake_turn_take(bool urgent)
{
    uint64_t mine;

    pthread_mutex_lock(&turn.mutex);
    mine = turn.next++;
    if (mine != turn.now) {
        atomic_fetch_add(&turn.waiting, 1);
        atomic_fetch_add(&turn.urgent, urgent);
        while (mine != turn.now)
            pthread_cond_wait(&turn.cond, &turn.mutex);
        atomic_fetch_sub(&turn.waiting, 1);
        atomic_fetch_sub(&turn.urgent, urgent);
    }
    pthread_mutex_unlock(&turn.mutex);
}

void fake_turn_give(void)
{
    pthread_mutex_lock(&turn.mutex);
    turn.now++;
    pthread_cond_broadcast(&turn.cond);
    pthread_mutex_unlock(&turn.mutex);
}

unsigned fake_turn_wanted(void)
{
    if (atomic_load_explicit(&turn.urgent, memory_order_relaxed) > 0)
        return 2;
    return atomic_load_explicit(&turn.waiting, memory_order_relaxed) > 0;
}

void fake_turn_reset(void)
{
    pthread_mutex_init(&turn.mutex, NULL);
    pthread_cond_init(&turn.cond, NULL);
    turn.next = turn.now = 0;
    atomic_store(&turn.waiting, 0);
    atomic_store(&turn.urgent, 0);
}

/* ---- fork ----------------------------------------------------------------- */

/* The child has no VM: what it had of one stays where it is, unused. */
static void in_child(void)
{
    memset(&fake_vm, 0, sizeof fake_vm);
    fake_turn_reset();
    fake_unlock();
}

__attribute__((constructor)) static void start(void)
{
    pthread_atfork(fake_lock, fake_unlock, in_child);
}

/* ---- creation ------------------------------------------------------------- */

hv_return_t fake_vm_get_max_vcpu_count(uint32_t *max_vcpu_count)
{
    if (max_vcpu_count == NULL)
        return HV_BAD_ARGUMENT;
    *max_vcpu_count = fake.max_vcpus;
    return HV_SUCCESS;
}

static hv_return_t create(hv_vm_config_t config)
{
    uint32_t bits = 0;

    if (fake_vm.exists)
        return HV_BUSY;
    fake_vm.tables = fake_stage2_open();
    if (fake_vm.tables == NULL)
        return HV_NO_RESOURCES;
    fake_vm_config_get_default_ipa_size(&bits);
    fake_vm.exists = true;
    fake_vm.granule = GRANULE_16K;
    fake_vm.el2 = false;
    if (config != NULL) {
        fake_vm_config_get_ipa_size(config, &bits);
        fake_vm.el2 = config->el2;
        if (config->granule == HV_IPA_GRANULE_4KB)
            fake_vm.granule = GRANULE_4K;
    }
    fake_vm.ipa_bits = bits;
    fake_vm.created = 0;
    return HV_SUCCESS;
}

hv_return_t fake_vm_create(hv_vm_config_t config)
{
    hv_return_t result;

    if (config != NULL)
        fake_object_check(config, VM_CONFIG);
    if (fake.inside_vm)
        return HV_UNSUPPORTED;
    if (!fake.entitled)
        return HV_DENIED;
    fake_lock();
    result = create(config);
    fake_unlock();
    return result;
}

hv_return_t fake_vm_destroy(void)
{
    hv_return_t result = HV_SUCCESS;

    fake_lock();
    if (!fake_vm.exists)
        result = HV_NO_DEVICE;
    else if (fake_vm.vcpus > 0)
        result = HV_BUSY;
    if (result == HV_SUCCESS) {
        fake_memory_clear();
        fake_stage2_close(fake_vm.tables);
        fake_vm.tables = NULL;
        fake_gic_close(fake_vm.gic);
        fake_vm.gic = NULL;
        fake_vm.exists = false;
    }
    fake_unlock();
    return result;
}
