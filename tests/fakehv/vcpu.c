/* SPDX-License-Identifier: MIT */
/* vcpu.c - vCPUs and their threads. */
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"

static pthread_key_t key;

/* The thread ends. Nobody can destroy its vCPU any more. */
static void owner_ends(void *value)
{
    struct vcpu *v = value;
    bool lives = false;

    fake_lock();
    for (unsigned i = 0; i < MAX_VCPUS; i++)
        lives |= fake_vm.vcpu[i] == v;
    fake_unlock();
    if (lives)
        fake_report("a thread ends and leaves vCPU %u behind", (unsigned)v->id);
}

__attribute__((constructor)) static void start(void)
{
    pthread_key_create(&key, owner_ends);
}

/* ---- whose is it ---------------------------------------------------------- */

struct vcpu *fake_vcpu_any(hv_vcpu_t id)
{
    return fake_vm.exists && id < MAX_VCPUS ? fake_vm.vcpu[id] : NULL;
}

struct vcpu *fake_vcpu(hv_vcpu_t id, hv_return_t *result)
{
    struct vcpu *v;
    bool exists;

    fake_lock();
    exists = fake_vm.exists;
    v = fake_vcpu_any(id);
    fake_unlock();
    *result = HV_SUCCESS;
    if (v != NULL && pthread_equal(v->owner, pthread_self()))
        return v;
    *result = exists ? HV_BAD_ARGUMENT : HV_NO_DEVICE;
    if (v != NULL)
        fake_report("vCPU %u used on a thread that does not own it",
                    (unsigned)id);
    return NULL;
}

unsigned fake_hv_vcpus(void)
{
    unsigned n;

    fake_lock();
    n = fake_vm.vcpus;
    fake_unlock();
    return n;
}

/* ---- creation ------------------------------------------------------------- */

static void close_vcpu(struct vcpu *v)
{
    if (v->engine != NULL)
        engine_close(v->engine);
    fake_gic_close_cpu(v);
    free(v->sme);
    free(v->exit);
    free(v);
}

static struct vcpu *open_vcpu(void)
{
    struct vcpu *v = calloc(1, sizeof *v);

    if (v == NULL)
        return NULL;
    v->owner = pthread_self();
    v->exit = calloc(1, sizeof *v->exit);
    v->sme = aligned_alloc(64, (sizeof *v->sme + 63) / 64 * 64);
    v->engine = engine_open(v);
    if (v->exit == NULL || v->sme == NULL || v->engine == NULL) {
        close_vcpu(v);
        return NULL;
    }
    memset(v->sme, 0, sizeof *v->sme);
    memset(v->exit, 0xdd, sizeof *v->exit);
    return v;
}

static hv_return_t find_slot(hv_vcpu_t *id)
{
    if (!fake_vm.exists)
        return HV_NO_DEVICE;
    for (unsigned i = 0; i < MAX_VCPUS; i++)
        if (fake_vm.vcpu[i] != NULL &&
            pthread_equal(fake_vm.vcpu[i]->owner, pthread_self()))
            return HV_BUSY;
    for (*id = 0; *id < fake.max_vcpus; (*id)++)
        if (fake_vm.vcpu[*id] == NULL)
            return HV_SUCCESS;
    return HV_NO_RESOURCES;
}

static void check_topology(void)
{
    for (unsigned i = 0; fake_vm.gic != NULL && i < MAX_VCPUS; i++)
        if (fake_vm.vcpu[i] != NULL && fake_vm.vcpu[i]->ran) {
            fake_report("a vCPU created after others have run, with a GIC");
            return;
        }
}

/* The engine is opened before the table is looked at for good: that takes a
 * millisecond, and the lock is for moments. */
hv_return_t fake_vcpu_create(hv_vcpu_t *vcpu, hv_vcpu_exit_t **exit,
                             hv_vcpu_config_t config)
{
    hv_return_t result;
    struct vcpu *v;
    hv_vcpu_t id = 0;

    if (config != NULL)
        fake_object_check(config, VCPU_CONFIG);
    if (vcpu == NULL || exit == NULL)
        return HV_BAD_ARGUMENT;
    fake_lock();
    result = find_slot(&id);
    fake_unlock();
    if (result != HV_SUCCESS)
        return result;
    v = open_vcpu();
    if (v == NULL)
        return HV_NO_RESOURCES;
    fake_lock();
    result = find_slot(&id);
    if (result == HV_SUCCESS && !fake_gic_open_cpu(v))
        result = HV_NO_RESOURCES;
    if (result == HV_SUCCESS) {
        check_topology();
        v->id = id;
        v->index = fake_vm.created++;
        fake_vm.vcpu[id] = v;
        fake_vm.sequence[id]++;
        fake_vm.vcpus++;
    }
    fake_unlock();
    if (result != HV_SUCCESS) {
        close_vcpu(v);
        return result;
    }
    fake_registers_reset(v);
    pthread_setspecific(key, v);
    *vcpu = id;
    *exit = v->exit;
    return HV_SUCCESS;
}

hv_return_t fake_vcpu_destroy(hv_vcpu_t vcpu)
{
    struct vcpu *v;
    bool exists, others;

    fake_lock();
    exists = fake_vm.exists;
    v = fake_vcpu_any(vcpu);
    if (v == NULL) {
        fake_unlock();
        return exists ? HV_BAD_ARGUMENT : HV_NO_DEVICE;
    }
    if (!pthread_equal(v->owner, pthread_self()))
        fake_die("hv_vcpu_destroy(%u) on a thread that does not own it, which "
                 "may bring a Mac down",
                 (unsigned)vcpu);
    others = fake_vm.gic != NULL && fake_vm.inside > 0;
    fake_vm.vcpu[vcpu] = NULL;
    fake_vm.sequence[vcpu]++;
    fake_vm.vcpus--;
    fake_unlock();
    if (others)
        fake_report("a vCPU destroyed while others run, with a GIC");
    pthread_setspecific(key, NULL);
    close_vcpu(v);
    return HV_SUCCESS;
}

hv_vcpu_config_t fake_vcpu_config_create(void)
{
    return fake_object_new(VCPU_CONFIG, sizeof(struct hv_vcpu_config_s));
}

/* ---- cancel --------------------------------------------------------------- */

/* Which of the ids is none? Gives count if all are. */
static uint32_t first_bad(const hv_vcpu_t *vcpus, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (fake_vcpu_any(vcpus[i]) == NULL)
            return i;
    return count;
}

static uint64_t sequence_of(const hv_vcpu_t *vcpus, uint32_t count)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < count; i++)
        sum += vcpus[i] < MAX_VCPUS ? fake_vm.sequence[vcpus[i]] : 0;
    return sum;
}

/* Between looking and acting others have a chance to destroy what this is about:
 * who cancels must not be in a race with that. */
hv_return_t fake_vcpus_exit(hv_vcpu_t *vcpus, uint32_t vcpu_count)
{
    hv_return_t result = HV_SUCCESS;
    uint64_t sequence;
    uint32_t bad;
    bool raced, stale;

    if (vcpus == NULL)
        return vcpu_count == 0 ? HV_SUCCESS : HV_BAD_ARGUMENT;
    fake_lock();
    sequence = sequence_of(vcpus, vcpu_count);
    fake_unlock();
    sched_yield();
    fake_lock();
    raced = sequence != sequence_of(vcpus, vcpu_count);
    bad = first_bad(vcpus, vcpu_count);
    stale = bad < vcpu_count && fake_vm.exists && vcpus[bad] < MAX_VCPUS &&
            fake_vm.sequence[vcpus[bad]] > 0;
    if (!fake_vm.exists)
        result = HV_NO_DEVICE;
    else if (bad < vcpu_count)
        result = HV_BAD_ARGUMENT;
    for (uint32_t i = 0; result == HV_SUCCESS && i < vcpu_count; i++)
        atomic_store(&fake_vm.vcpu[vcpus[i]]->cancel, true);
    fake_unlock();
    if (raced)
        fake_report("hv_vcpus_exit() in a race with hv_vcpu_create() or "
                    "hv_vcpu_destroy()");
    else if (stale)
        fake_report("hv_vcpus_exit() of vCPU %u, which was destroyed",
                    (unsigned)vcpus[bad]);
    return result;
}

/* ---- what else there is to set -------------------------------------------- */

static bool interrupts_are_the_frameworks(void)
{
    bool are;

    fake_lock();
    are = fake_vm.gic != NULL || fake_vm.el2;
    fake_unlock();
    return are;
}

hv_return_t fake_vcpu_get_pending_interrupt(hv_vcpu_t vcpu,
                                            hv_interrupt_type_t type,
                                            bool *pending)
{
    hv_return_t result;
    struct vcpu *v = fake_vcpu(vcpu, &result);

    if (v == NULL)
        return result;
    if (type > HV_INTERRUPT_TYPE_FIQ || pending == NULL)
        return HV_BAD_ARGUMENT;
    if (interrupts_are_the_frameworks())
        return HV_UNSUPPORTED;
    *pending = v->pending[type];
    return HV_SUCCESS;
}

hv_return_t fake_vcpu_set_pending_interrupt(hv_vcpu_t vcpu,
                                            hv_interrupt_type_t type,
                                            bool pending)
{
    hv_return_t result;
    struct vcpu *v = fake_vcpu(vcpu, &result);

    if (v == NULL)
        return result;
    if (type > HV_INTERRUPT_TYPE_FIQ)
        return HV_BAD_ARGUMENT;
    if (interrupts_are_the_frameworks())
        return HV_UNSUPPORTED;
    v->pending[type] = pending;
    return HV_SUCCESS;
}

static hv_return_t get_flag(hv_vcpu_t vcpu, size_t at, bool *value)
{
    hv_return_t result;
    const struct vcpu *v = fake_vcpu(vcpu, &result);

    if (v == NULL)
        return result;
    if (value == NULL)
        return HV_BAD_ARGUMENT;
    *value = *(const bool *)((const char *)v + at);
    return HV_SUCCESS;
}

static hv_return_t set_flag(hv_vcpu_t vcpu, size_t at, bool value)
{
    hv_return_t result;
    struct vcpu *v = fake_vcpu(vcpu, &result);

    if (v != NULL)
        *(bool *)((char *)v + at) = value;
    return result;
}

hv_return_t fake_vcpu_get_trap_debug_exceptions(hv_vcpu_t vcpu, bool *value)
{
    return get_flag(vcpu, offsetof(struct vcpu, trap_exceptions), value);
}

hv_return_t fake_vcpu_set_trap_debug_exceptions(hv_vcpu_t vcpu, bool value)
{
    return set_flag(vcpu, offsetof(struct vcpu, trap_exceptions), value);
}

hv_return_t fake_vcpu_get_trap_debug_reg_accesses(hv_vcpu_t vcpu, bool *value)
{
    return get_flag(vcpu, offsetof(struct vcpu, trap_registers), value);
}

hv_return_t fake_vcpu_set_trap_debug_reg_accesses(hv_vcpu_t vcpu, bool value)
{
    return set_flag(vcpu, offsetof(struct vcpu, trap_registers), value);
}

hv_return_t fake_vcpu_get_exec_time(hv_vcpu_t vcpu, uint64_t *time)
{
    hv_return_t result;
    const struct vcpu *v = fake_vcpu(vcpu, &result);

    if (v == NULL)
        return result;
    if (time == NULL)
        return HV_BAD_ARGUMENT;
    *time = v->exec_time;
    return HV_SUCCESS;
}
